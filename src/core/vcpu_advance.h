/* SPDX-License-Identifier: ISC */
/*
 * vcpu_advance.h - stepping over an instruction that the driver has executed.
 */
#ifndef CORE_VCPU_ADVANCE_H
#define CORE_VCPU_ADVANCE_H

#include "vm.h"

/* RIP has passed a multiple of 4 GiB, which only 64-bit code can. */
void	vcpu_wrap_rip(struct vcpu *v);
/* The trap of a single step, which the emulation has swallowed. */
void	vcpu_step_trap(struct vcpu *v);

/* vcpu_advance(), where the backend is known. */
static inline void
vcpu_step_over(struct vcpu *v, unsigned int insn_len,
    void (*clear_shadow)(struct vcpu *v))
{
	uint64_t *rip = &v->gpr[VCPU_REGS_RIP], old = *rip;
	uint64_t *rflags = &v->gpr[VCPU_REGS_RFLAGS];

	*rip = old + insn_len;
	if ((old ^ *rip) >> 32)
		vcpu_wrap_rip(v);
	clear_shadow(v);
	if (!(*rflags & (ARCH_RFLAGS_RF | ARCH_RFLAGS_TF)))
		return;
	*rflags &= ~(uint64_t)ARCH_RFLAGS_RF;
	if (*rflags & ARCH_RFLAGS_TF)
		vcpu_step_trap(v);
}

#endif /* CORE_VCPU_ADVANCE_H */
