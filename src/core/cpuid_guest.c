/* SPDX-License-Identifier: ISC */
/*
 * cpuid_guest.c - CPUID inside a guest: the rules of cpuid.yaml applied to
 * what this host's CPU says.
 */
#include "cpuid_guest.h"
#include "backend.h"
#include "cpu.h"
#include "exit.h"
#include "fpu.h"

#define LEAF_XSAVE	0xdu

static struct cpuid_regs cpuid_value[CPUID_RULE_COUNT];
/* The rules' pass bits, less those whose registers this host does not switch. */
static struct cpuid_regs cpuid_pass[CPUID_RULE_COUNT];
/* The last leaves that this host has. */
static uint32_t host_level, host_ext_level;

static void
host_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	uint32_t r[4];

	cpu_cpuid(leaf, subleaf, r);
	out->eax = r[0];
	out->ebx = r[1];
	out->ecx = r[2];
	out->edx = r[3];
}

/* Does this CPU have the leaf? Above its maximum it answers something else. */
static bool
host_has_leaf(uint32_t leaf)
{
	struct cpuid_regs max;

	host_cpuid(leaf & 0xffff0000, 0, &max);
	return leaf <= max.eax && max.eax >> 16 == leaf >> 16;
}

static void
apply_rule(const struct cpuid_rule *r, uint32_t subleaf, struct cpuid_regs *out)
{
	const struct cpuid_regs *pass = &cpuid_pass[r - cpuid_rules];
	struct cpuid_regs host = { 0, 0, 0, 0 };

	if (host_has_leaf(r->leaf))
		host_cpuid(r->leaf, subleaf, &host);
	out->eax = (host.eax & pass->eax) | r->set.eax;
	out->ebx = (host.ebx & pass->ebx) | r->set.ebx;
	out->ecx = (host.ecx & pass->ecx) | r->set.ecx;
	out->edx = (host.edx & pass->edx) | r->set.edx;
}

/* A feature of registers that the host leaves off would fault in the guest. */
static void
hide_stateless(void)
{
	unsigned int i;

	for (i = 0; i < cpuid_state_need_count; i++) {
		const struct cpuid_state_need *n = &cpuid_state_needs[i];
		const struct cpuid_bit *b = &cpuid_feature_bit[n->feature];
		struct cpuid_regs *pass = &cpuid_pass[b->rule];
		uint32_t *reg[] = { &pass->eax, &pass->ebx, &pass->ecx,
		    &pass->edx };

		if ((fpu_xcr0_allowed() & n->xcr0) != n->xcr0)
			*reg[b->reg] &= ~(1u << b->bit);
	}
}

void
cpuid_init(void)
{
	struct cpuid_regs max;
	unsigned int i;

	host_cpuid(0, 0, &max);
	host_level = max.eax;
	host_cpuid(0x80000000, 0, &max);
	host_ext_level = max.eax;
	for (i = 0; i < CPUID_RULE_COUNT; i++)
		cpuid_pass[i] = cpuid_rules[i].pass;
	hide_stateless();
	for (i = 0; i < CPUID_RULE_COUNT; i++)
		apply_rule(&cpuid_rules[i], cpuid_rules[i].subleaf,
		    &cpuid_value[i]);
}

/* The rules are sorted by leaf, then subleaf. */
static const struct cpuid_rule *
find_rule(uint32_t leaf, uint32_t subleaf)
{
	unsigned int lo = 0, hi = CPUID_RULE_COUNT;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct cpuid_rule *r = &cpuid_rules[mid];

		if (r->leaf == leaf && (r->any_subleaf ||
		    r->subleaf == subleaf))
			return r;
		if (r->leaf < leaf || (r->leaf == leaf && r->subleaf < subleaf))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool
cpuid_host_has(enum cpuid_feature f)
{
	const struct cpuid_bit *bit = &cpuid_feature_bit[f];
	const struct cpuid_rule *r = &cpuid_rules[bit->rule];
	struct cpuid_regs regs;

	if (!host_has_leaf(r->leaf))
		return false;
	host_cpuid(r->leaf, r->subleaf, &regs);
	return cpuid_reg(&regs, bit->reg) >> bit->bit & 1;
}

bool
cpuid_guest_has(enum cpuid_feature f)
{
	const struct cpuid_bit *bit = &cpuid_feature_bit[f];
	const struct cpuid_regs *r = &cpuid_value[bit->rule];

	return cpuid_reg(r, bit->reg) >> bit->bit & 1;
}

uint64_t
cpuid_allowed_bits(const struct arch_bit_need *needs, unsigned int n)
{
	uint64_t bits = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (cpuid_guest_has(needs[i].feature))
			bits |= needs[i].bits;
	}
	return bits;
}

/* A feature's bit within its register. */
static uint32_t
feature_mask(enum cpuid_feature f)
{
	return 1u << cpuid_feature_bit[f].bit;
}

/* Leaf 0xd.0: the area for what is enabled, and for all that could be. */
static void
fixup_xsave_size(const struct vcpu *v, struct cpuid_regs *out)
{
	out->eax &= (uint32_t)fpu_xcr0_allowed();
	out->ebx = fpu_xsave_size(fpu_xcr0(v));
	out->ecx = fpu_xsave_size(fpu_xcr0_allowed());
}

/* Leaf 0xd.n: offset and size of component n, if the guest may have it. */
static void
fixup_xsave_area(uint32_t component, struct cpuid_regs *out)
{
	if (!(fpu_xcr0_allowed() & 1ULL << component))
		return;
	host_cpuid(LEAF_XSAVE, component, out);
	/* Neither supervisor state nor XFD; compaction is hidden. */
	out->ecx = 0;
}

/* Leaf 0x15: the TSC runs at the host's rate and never changes it. */
static void
fixup_tsc(struct cpuid_regs *out)
{
	if (!host_tsc_stable() || host_tsc_khz() == 0)
		return;
	out->eax = 1;
	out->ebx = 100;
	out->ecx = host_tsc_khz() * 10;
}

static void
apply_fixup(struct vcpu *v, const struct cpuid_rule *r, struct cpuid_regs *out)
{
	switch (r->fixup) {
	case CPUID_FIXUP_LEVEL:
		out->eax = host_level;
		/* The TSC's leaf is synthesised, whatever the host has. */
		if (host_tsc_stable() && out->eax < 0x15)
			out->eax = 0x15;
		if (out->eax > CPUID_LEVEL_LAST)
			out->eax = CPUID_LEVEL_LAST;
		break;
	case CPUID_FIXUP_EXT_LEVEL:
		out->eax = host_ext_level < CPUID_EXT_LEVEL_LAST ?
		    host_ext_level : CPUID_EXT_LEVEL_LAST;
		break;
	case CPUID_FIXUP_APIC_ID:
		out->ebx |= v->id << 24;
		if (vmm_backend()->reg_get(v, REG_CR4) & ARCH_CR4_OSXSAVE)
			out->ecx |= feature_mask(CPUID_FEATURE_OSXSAVE);
		break;
	case CPUID_FIXUP_XSAVE_SIZE:
		fixup_xsave_size(v, out);
		break;
	case CPUID_FIXUP_XSAVE_AREA:
		fixup_xsave_area(r->subleaf, out);
		break;
	case CPUID_FIXUP_TSC:
		fixup_tsc(out);
		break;
	case CPUID_FIXUP_KVM_CLOCK:
		if (!host_tsc_stable())
			out->eax &= ~feature_mask(CPUID_FEATURE_PVCLOCK_STABLE);
		break;
	default:
		break;
	}
}

void
cpuid_guest(struct vcpu *v, uint32_t leaf, uint32_t subleaf,
    struct cpuid_regs *out)
{
	const struct cpuid_rule *r = find_rule(leaf, subleaf);

	if (r == NULL) {
		memset(out, 0, sizeof(*out));
		return;
	}
	if (r->live)
		apply_rule(r, subleaf, out);
	else
		*out = cpuid_value[r - cpuid_rules];
	if (r->fixup != CPUID_FIXUP_NONE)
		apply_fixup(v, r, out);
}

int
emulate_cpuid(struct vcpu *v, const struct exit_policy *p)
{
	struct cpuid_regs r;

	(void)p;
	cpuid_guest(v, (uint32_t)v->gpr[VCPU_REGS_RAX],
	    (uint32_t)v->gpr[VCPU_REGS_RCX], &r);
	v->gpr[VCPU_REGS_RAX] = r.eax;
	v->gpr[VCPU_REGS_RBX] = r.ebx;
	v->gpr[VCPU_REGS_RCX] = r.ecx;
	v->gpr[VCPU_REGS_RDX] = r.edx;
	return EXIT_RESUME;
}
