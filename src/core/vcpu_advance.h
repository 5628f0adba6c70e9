/* SPDX-License-Identifier: ISC */
/*
 * vcpu_advance.h - stepping over an instruction that the driver has executed.
 */
#ifndef CORE_VCPU_ADVANCE_H
#define CORE_VCPU_ADVANCE_H

#include "vm.h"

/* RIP has passed a multiple of 4 GiB, which only 64-bit code can. */
void	vcpu_wrap_rip(struct vcpu *v);
/*
 * Raise the debug exception of traps that are due behind an instruction: bits of
 * DR6, of which one is set.
 */
void	vcpu_debug_trap(struct vcpu *v, uint64_t traps);

/* vcpu_advance(), where the backend is known. */
static inline void
vcpu_step_over(struct vcpu *v, unsigned int insn_len,
    uint64_t (*clear_shadow)(struct vcpu *v))
{
	uint64_t *rip = &v->gpr[VCPU_REGS_RIP], old = *rip;
	uint64_t *rflags = &v->gpr[VCPU_REGS_RFLAGS];
	uint64_t traps;

	*rip = old + insn_len;
	if ((old ^ *rip) >> 32)
		vcpu_wrap_rip(v);
	traps = clear_shadow(v) | v->debug_traps;
	if (!(*rflags & (ARCH_RFLAGS_RF | ARCH_RFLAGS_TF)) && traps == 0)
		return;
	*rflags &= ~(uint64_t)ARCH_RFLAGS_RF;
	if (*rflags & ARCH_RFLAGS_TF)
		traps |= ARCH_DR6_BS;
	if (traps != 0)
		vcpu_debug_trap(v, traps);
}

#endif /* CORE_VCPU_ADVANCE_H */
