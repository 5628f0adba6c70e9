/* SPDX-License-Identifier: ISC */
/*
 * host_watch.h - what host_fault.c needs of host_watch.c.
 */
#ifndef LINUX_HOST_WATCH_H
#define LINUX_HOST_WATCH_H

struct mm_struct;

/*
 * Fault one page in and wait as long as it takes; current uses mm, but need be
 * no thread of it. 0: it has been there, or was worth another look; -EFAULT,
 * -ENOMEM, -EINTR (SIGKILL).
 */
int	watch_fault_in(struct mm_struct *mm, unsigned long at, bool write);

#endif /* LINUX_HOST_WATCH_H */
