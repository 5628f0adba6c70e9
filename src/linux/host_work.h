/* SPDX-License-Identifier: ISC */
/*
 * host_work.h - start and stop of the threads behind host_defer() and
 * host_fault_wait().
 */
#ifndef LINUX_HOST_WORK_H
#define LINUX_HOST_WORK_H

int	host_work_start(void);
void	host_work_stop(void);	/* the driver is not kept */

/* Faults that have to wait: one a vCPU. */
extern struct workqueue_struct *host_fault_queue;

#endif /* LINUX_HOST_WORK_H */
