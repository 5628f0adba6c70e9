/* SPDX-License-Identifier: ISC */
/*
 * cpuid_guest.h - what CPUID says inside a guest (policy: spec/cpuid.yaml).
 */
#ifndef CORE_CPUID_GUEST_H
#define CORE_CPUID_GUEST_H

#include "vm.h"
#include "cpuid.h"

/* Combine the rules with this host's CPUID; once, at attach, after fpu_init(). */
void	cpuid_init(void);

/* The answer for one leaf on this vCPU. */
void	cpuid_guest(struct vcpu *v, uint32_t leaf, uint32_t subleaf,
	    struct cpuid_regs *out);
/* Does the CPU that runs this have the feature? */
bool	cpuid_host_has(enum cpuid_feature f);
/* Does every guest on this host see the feature? */
bool	cpuid_guest_has(enum cpuid_feature f);
/* The width of a guest's physical addresses, 32 to 52. */
unsigned int cpuid_guest_phys_bits(void);
/* The bits that guests may set, by the features they see. */
uint64_t cpuid_guest_cr4(void);
uint64_t cpuid_guest_efer(void);

#endif /* CORE_CPUID_GUEST_H */
