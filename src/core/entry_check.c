/* SPDX-License-Identifier: ISC */
/*
 * entry_check.c - run the entry checks, and say which one a vCPU breaks.
 */
#include "vm.h"
#include "cpuid_guest.h"
#include "entry_check.h"

unsigned int
entry_next_broken(const struct entry_rules *rules, entry_reader *read,
    const void *state, unsigned int from)
{
	while (from < rules->count && rules->holds(from, read, state))
		from++;
	return from;
}

void
entry_explain(const struct entry_rules *rules, entry_reader *read,
    const void *state, unsigned int check, char *text, size_t size)
{
	const struct entry_check *c = &rules->checks[check];
	size_t used;
	unsigned int i;

	used = host_format(text, size, "%s: %s (%s)", c->name, c->doc, c->source);
	for (i = 0; i < c->operand_count; i++) {
		unsigned int operand = c->operands[i];

		used += host_format(text + used, size - used, "%s %s = 0x%llx",
		    i == 0 ? ":" : ",", rules->operand_names[operand],
		    (unsigned long long)read(state, operand));
	}
}

void
entry_diagnose(struct vcpu *v, const struct entry_rules *rules,
    entry_reader *read, const void *state, const char *how)
{
	struct entry_refusal *r = &v->refusal;
	unsigned int first = entry_next_broken(rules, read, state, 0);

	memset(r, 0, sizeof(*r));
	if (first < rules->count) {
		host_format(r->check, sizeof(r->check), "%s",
		    rules->checks[first].name);
		entry_explain(rules, read, state, first, r->text, sizeof(r->text));
	} else {
		host_format(r->text, sizeof(r->text), "no known check is broken");
	}
	host_warn("vmm: vm %u vcpu %u: the CPU refused to enter the guest: %s; %s\n",
	    v->vm->id, v->id, how, r->text);
	host_trace_refused(v->vm->id, v->id, how, r->text);
}

uint64_t
entry_host_bits(uint64_t bits, const struct arch_bit_need *needs,
    unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!cpuid_host_has(needs[i].feature))
			bits &= ~needs[i].bits;
	return bits;
}
