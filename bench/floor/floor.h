/* SPDX-License-Identifier: ISC */
/*
 * floor.h - what nothing can be cheaper than: an ioctl that does nothing, and a
 * guest that is entered and left without anything else, on /dev/floor.
 */
#ifndef FLOOR_H
#define FLOOR_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
typedef uint64_t u64;
#endif

#define FLOOR_EMPTY	_IO('f', 0)
#define FLOOR_SWITCH	_IOWR('f', 1, struct floor_switch)

struct floor_switch {
	u64	rounds;		/* into the guest and out again */
	u64	ticks;		/* of the TSC, for all of them */
};

/* Instructions of the guest in a round beside the CPUID that ends it. */
#define FLOOR_LOOP	1

#ifdef __KERNEL__
#define GUEST_CPUID_LENGTH	2

/* CPUID in a loop; runs in the guest, in the host's own address space. */
extern const u8 floor_guest[];

/* Without interruption; a negative number when the CPU can not. */
int	floor_svm(struct floor_switch *s);
int	floor_vmx(struct floor_switch *s);

/* enter.S; gpr: room for the guest's general registers. */
void	floor_svm_enter(u64 vmcb, u64 *gpr, u64 host_vmcb);
/* 0, or that the entry failed. */
int	floor_vmx_enter(u64 *gpr, u64 *host_rsp, bool launched);
extern const u8 floor_vmx_exit[];
#endif

#endif /* FLOOR_H */
