/* SPDX-License-Identifier: ISC */
/*
 * insn_cache.c - see insn_cache.h.
 */
#include "insn_cache.h"
#include "backend.h"
#include "insn_fetch.h"
#include "memory.h"

#define WORD	sizeof(uint64_t)

_Static_assert(HOST_USER_WORDS == GVA_LEVELS + 2, "tables, and the bytes");
_Static_assert(INSN_MAX <= 2 * WORD, "two words hold an instruction");

/*
 * Guests change CR4 to flush their TLBs, and that is not to cost a fetch: these
 * are the bits that gva.c looks at for one. PSE is for tables of two levels.
 */
static uint64_t
cr4_mask(uint64_t cr4)
{
	return ARCH_CR4_PAE | ARCH_CR4_SMEP |
	    (cr4 & ARCH_CR4_PAE ? 0 : ARCH_CR4_PSE);
}

const struct insn *
insn_known(struct vcpu *v, uint64_t ops)
{
	const uint64_t rip = v->gpr[VCPU_REGS_RIP];
	const struct insn_site *s = insn_site(&v->insns, rip);
	struct fetch_state now;
	bool holds;

	vmm_backend()->fetch_state(v, &now);
	/* A page that is not there is no reason to wait, but to fetch. */
	memory_faults_off(v);
	holds = insn_site_holds(s, rip, &now, ops);
	memory_faults_on(v);
	return holds ? &s->insn : NULL;
}

bool
insn_bytes_known(struct vcpu *v, uint8_t bytes[INSN_MAX])
{
	const uint64_t rip = v->gpr[VCPU_REGS_RIP];
	const struct insn_site *s = insn_site(&v->insns, rip);
	struct fetch_state now;
	bool holds;

	if (s->n < INSN_MAX)
		return false;
	vmm_backend()->fetch_state(v, &now);
	memory_faults_off(v);
	holds = insn_site_true(s, rip, &now);
	memory_faults_on(v);
	if (!holds)
		return false;
	memcpy(bytes, s->bytes, INSN_MAX);
	return true;
}

static struct host_user_word
word_of(const uint8_t *bytes, uint64_t addr)
{
	struct host_user_word w = { .addr = addr };

	memcpy(&w.value, bytes, WORD);
	return w;
}

void
insn_keep(struct vcpu *v, const uint8_t *bytes, unsigned int n, uint64_t addr,
    const struct host_user_word *tables, unsigned int levels,
    const struct insn *insn)
{
	const uint64_t rip = v->gpr[VCPU_REGS_RIP];
	struct insn_site *s = &v->insns.site[rip % INSN_SITES];
	unsigned int i;

	if (n < WORD)
		return;
	s->rip = rip;
	vmm_backend()->fetch_state(v, &s->state);
	s->cr4_mask = cr4_mask(s->state.cr4);
	for (i = 0; i < levels; i++)
		s->word[i] = tables[i];
	s->word[i++] = word_of(bytes, addr);
	/* The others, needed or not, end with the last byte. */
	for (; i < HOST_USER_WORDS; i++)
		s->word[i] = word_of(bytes + n - WORD, addr + n - WORD);
	s->ops = 0;
	if (insn != NULL) {
		s->ops = INSN_BIT(insn->op);
		s->insn = *insn;
	}
	s->n = (uint8_t)n;
	memcpy(s->bytes, bytes, n);
}
