/* SPDX-License-Identifier: ISC */
/*
 * insn_cache.h - instructions that a vCPU has fetched before.
 *
 * What a fetch gives depends on some registers, on the entries of the page
 * tables that lead to the bytes, and on the bytes. An instruction is kept
 * with all of these, and is only good while each is what it was: then a fresh
 * fetch would give the same. Nobody has to be told when any of it changes.
 */
#ifndef CORE_INSN_CACHE_H
#define CORE_INSN_CACHE_H

#include "host.h"
#include "insn.h"

struct vcpu;

/*
 * The registers that say where and how an instruction is fetched, RIP apart.
 * In the hardware's own form: good for nothing but to be compared.
 */
struct fetch_state {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t cs, cs_base;		/* cs: limit and attributes, at least */
	uint64_t cpl;
};

/* Where an exit was. */
struct insn_site {
	uint64_t rip;
	struct fetch_state state;
	uint64_t cr4_mask;	/* of CR4, what matters */
	/* Entries of up to four tables, and the bytes, whose words overlap. */
	struct host_user_word word[HOST_USER_WORDS];
	uint64_t ops;		/* what insn is, as a set; 0: not decoded */
	struct insn insn;
	uint8_t	 n;		/* bytes; 0: the site is empty */
	uint8_t	 bytes[INSN_MAX];
};

/* By the low bits of RIP. */
#define INSN_SITES	4u
struct insn_cache {
	struct insn_site site[INSN_SITES];
};

/* Would a fetch find now what it found then? Registers first, then memory. */
static inline bool
insn_site_true(const struct insn_site *s, uint64_t rip,
    const struct fetch_state *now)
{
	const struct fetch_state *old = &s->state;
	uint64_t changed = rip ^ s->rip;

	changed |= now->cr0 ^ old->cr0;
	changed |= now->cr3 ^ old->cr3;
	changed |= (now->cr4 ^ old->cr4) & s->cr4_mask;
	changed |= now->efer ^ old->efer;
	changed |= now->cs ^ old->cs;
	changed |= now->cs_base ^ old->cs_base;
	changed |= now->cpl ^ old->cpl;
	return changed == 0 && host_user_words_same(s->word);
}

static inline const struct insn_site *
insn_site(const struct insn_cache *c, uint64_t rip)
{
	return &c->site[rip % INSN_SITES];
}

/*
 * Is the instruction at RIP, whose site this is, one of ops (INSN_BIT), and
 * would a fetch from memory find it now? Then s->insn is that. Does not sleep
 * when preemption is off, and may be called with interrupts off; in the
 * creator's address space.
 */
static inline bool
insn_site_holds(const struct insn_site *s, uint64_t rip,
    const struct fetch_state *now, uint64_t ops)
{
	return (s->ops & ops) && insn_site_true(s, rip, now);
}

/*
 * The same for whoever has only the vCPU: the instruction or NULL, good until
 * the next fetch.
 */
const struct insn *insn_known(struct vcpu *v, uint64_t ops);
/* Likewise the bytes at CS:RIP, if 15 are known. */
bool	insn_bytes_known(struct vcpu *v, uint8_t bytes[INSN_MAX]);

/*
 * Keep what has just been fetched: n bytes in one page, which are at addr in
 * the creator; the table words that led there; and what they mean, or NULL.
 * Fewer bytes than a word are not kept.
 */
void	insn_keep(struct vcpu *v, const uint8_t *bytes, unsigned int n,
	    uint64_t addr, const struct host_user_word *tables,
	    unsigned int levels, const struct insn *insn);

#endif /* CORE_INSN_CACHE_H */
