/* SPDX-License-Identifier: ISC */
/*
 * sandbox.h - what a VM's process may still do once its guest runs.
 */
#ifndef VMCTL_SANDBOX_H
#define VMCTL_SANDBOX_H

#include "util.h"

/*
 * For all threads, for good: the listed system calls, and on @driver_fd the
 * listed requests. Anything else kills the process. Make threads before.
 */
int sandbox_enter(int driver_fd, struct err *e);

#endif /* VMCTL_SANDBOX_H */
