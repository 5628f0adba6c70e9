/* SPDX-License-Identifier: ISC */
/*
 * fpu.h - the guest's x87, SSE, AVX and AVX-512 registers, and its XCR0.
 */
#ifndef CORE_FPU_H
#define CORE_FPU_H

#include "vm.h"

/* Learn what the host's XSAVE can do; once, at attach. */
void	fpu_init(void);

/* XCR0 bits a guest may set: what the host has and the CPUID policy shows. */
uint64_t fpu_xcr0_allowed(void);
/* Bytes of the XSAVE area for XCR0 = mask (CPUID 0xd). */
uint32_t fpu_xsave_size(uint64_t mask);

/* One vCPU's area: -ENOMEM; reset brings the registers to their reset state. */
int	fpu_create(struct vcpu *v);
void	fpu_destroy(struct vcpu *v);
void	fpu_reset(struct vcpu *v);

/*
 * Put the guest's registers on this CPU, and take them off. Preemption is
 * off in between.
 */
void	fpu_load(struct vcpu *v);
void	fpu_put(struct vcpu *v);
/* The guest's XCR0 right now. */
uint64_t fpu_xcr0(const struct vcpu *v);
/* The guest's CR4.OSXSAVE, which is 0 on a host without XSAVE, at each change. */
void	fpu_osxsave(struct vcpu *v, bool on);
/* The guest changed v->xcr0 (validated). */
void	fpu_xcr0_changed(struct vcpu *v);

#endif /* CORE_FPU_H */
