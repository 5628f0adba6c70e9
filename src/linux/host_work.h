/* SPDX-License-Identifier: ISC */
/*
 * host_work.h - start and stop of the queue behind host_defer().
 */
#ifndef LINUX_HOST_WORK_H
#define LINUX_HOST_WORK_H

int	host_work_start(void);
void	host_work_stop(void);

#endif /* LINUX_HOST_WORK_H */
