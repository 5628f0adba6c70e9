/* SPDX-License-Identifier: ISC */
/*
 * debugfs.h - counters of exits, in /sys/kernel/debug/vmm/exits.
 */
#ifndef LINUX_DEBUGFS_H
#define LINUX_DEBUGFS_H

void	debugfs_start(void);
void	debugfs_stop(void);

#endif /* LINUX_DEBUGFS_H */
