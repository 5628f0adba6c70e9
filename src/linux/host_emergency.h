/* SPDX-License-Identifier: ISC */
/* host_emergency.h - for host_cpu.c: the kernel's callback for emergencies. */
#ifndef LINUX_HOST_EMERGENCY_H
#define LINUX_HOST_EMERGENCY_H

/*
 * From start to stop the kernel calls fn on each CPU that it stops for good,
 * perhaps in an NMI; or KVM's function, which ends virtualisation as well.
 * Sleep.
 */
int	emergency_start(void (*fn)(void));
void	emergency_stop(void);

#endif /* LINUX_HOST_EMERGENCY_H */
