/* SPDX-License-Identifier: ISC */
/*
 * entry_check.h - why a CPU refused to enter a guest: the rules of
 * entry_checks.yaml, run over a VMCS or VMCB.
 *
 * The rules and the operands that they look at are generated, one set a vendor
 * (vmx_entry_checks.h, svm_entry_checks.h).
 */
#ifndef CORE_ENTRY_CHECK_H
#define CORE_ENTRY_CHECK_H

#include "host.h"
#include <machine/vmmvar.h>

struct vcpu;

/* The value of an operand: a field, a capability, an input. */
typedef uint64_t entry_reader(const void *state, unsigned int operand);

struct entry_phase {
	const char *name;
	uint32_t error;		/* VM-instruction error, or 0: there is an exit */
	uint64_t exit;		/* its reason or code */
};

struct entry_check {
	const char *name, *doc, *source;
	const uint16_t *operands;
	uint8_t	 operand_count;
	uint8_t	 phase;
	int8_t	 qualification;	/* of the exit; -1: there is none */
};

/* A vendor's, in the order of its CPUs. */
struct entry_rules {
	const struct entry_check *checks;
	unsigned int count;
	const struct entry_phase *phases;
	const char *const *operand_names;
	bool	(*holds)(unsigned int check, entry_reader *read, const void *state);
};

/* The first check from `from` on that the state breaks; rules->count: none. */
unsigned int entry_next_broken(const struct entry_rules *rules, entry_reader *read,
	    const void *state, unsigned int from);

/* In words: the check, what it says, its section and the values it looked at. */
void	entry_explain(const struct entry_rules *rules, entry_reader *read,
	    const void *state, unsigned int check, char *text, size_t size);

/* What vcpu.refusal keeps for VMM_IOC_REFUSED. */
struct entry_refusal {
	char	 check[VMM_MAX_NAME_LEN]; /* its name; empty: none is broken */
	char	 text[VMM_MAX_REFUSAL_LEN];
};

/*
 * The CPU has refused to enter the vCPU, and said how: to the log, the trace
 * and v->refusal goes which check was broken. Any context.
 */
void	entry_diagnose(struct vcpu *v, const struct entry_rules *rules,
	    entry_reader *read, const void *state, const char *how);

struct arch_bit_need;
/* Of these bits of a register, those that the host's CPU has. */
uint64_t entry_host_bits(uint64_t bits, const struct arch_bit_need *needs,
	    unsigned int count);

/* --- For the generated rules ------------------------------------------------ */

/* No bit of the value above the lowest `bits`? */
static inline bool
entry_within(uint64_t value, uint64_t bits)
{
	return bits > 63 || value >> bits == 0;
}

/* Are the bits from bits - 1 up all the same? */
static inline bool
entry_canonical(uint64_t value, uint64_t bits)
{
	uint64_t high;

	if (bits < 1 || bits > 64)
		return true;
	high = value >> (bits - 1);
	return high == 0 || high == UINT64_MAX >> (bits - 1);
}

/* Is every byte a memory type of PAT? (SDM 3A 11.12.2) */
static inline bool
entry_pat(uint64_t value)
{
	unsigned int i, type;

	for (i = 0; i < 8; i++, value >>= 8) {
		type = value & 0xff;
		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

#endif /* CORE_ENTRY_CHECK_H */
