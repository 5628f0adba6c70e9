/* SPDX-License-Identifier: ISC */
/*
 * gva.h - guest memory as the guest's own instructions address it: segments
 * and the guest's page tables.
 */
#ifndef VMCTL_GVA_H
#define VMCTL_GVA_H

#include "insn.h"
#include "ram.h"

/* A stopped vCPU; @regs has all groups but the debug registers. */
struct guest_cpu {
	const struct ram *ram;
	struct vcpu_reg_state *regs;
};

enum insn_mode guest_mode(const struct guest_cpu *cpu);

/* The linear address of @offset in segment @seg (VCPU_REGS_CS ...). */
uint64_t guest_linear(const struct guest_cpu *cpu, unsigned int seg, uint64_t offset);

/*
 * The guest-physical address of @linear. False where the guest's page tables
 * do not allow the access, which would be a page fault. Sets the accessed and
 * dirty bits, as the CPU does.
 */
bool guest_translate(const struct guest_cpu *cpu, uint64_t linear, bool write, uint64_t *gpa);

/* Up to @n bytes of code at RIP into @code: how many there were. */
size_t guest_code(const struct guest_cpu *cpu, uint8_t *code, size_t n);

#endif /* VMCTL_GVA_H */
