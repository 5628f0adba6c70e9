/* SPDX-License-Identifier: ISC */
/*
 * cr.h - control registers and EFER: what a guest may write, and what follows.
 */
#ifndef CORE_CR_H
#define CORE_CR_H

#include "vm.h"
#include "insn.h"

/*
 * Of ARCH_CR4_HOST, what this host has on: in force in every guest, which reads
 * what it wrote itself. Constant after cr_init().
 */
extern uint64_t cr4_host;

/* Once, at attach. */
void	cr_init(void);

/* Fill v->exit.cr from the decoded instruction; 0, or GVA_FAULT. May sleep. */
int	cr_operands(struct vcpu *v, const struct insn *insn);

/* WRMSR EFER: 0, or 1 for #GP(0). */
int	cr_write_efer(struct vcpu *v, uint64_t value);

#endif /* CORE_CR_H */
