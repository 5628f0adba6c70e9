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
#define LEAF_TSC	0x15u
#define LEAF_SIZES	0x80000008u

/* By rule what guests see; behind the last rule, what they see without one. */
static struct answer {
	struct cpuid_regs regs;
	uint32_t live;		/* ask the vCPU, the CPU or the host as well */
	uint32_t pad[3];	/* a power of two is quickly found */
} answers[CPUID_RULE_COUNT + 1];

/* The rules' pass bits, less those whose registers this host does not switch. */
static struct cpuid_regs cpuid_pass[CPUID_RULE_COUNT];

static struct {
	uint64_t cr4, efer;
} may_set;
static unsigned int phys_bits;

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
	const struct cpuid_regs *r = &answers[bit->rule].regs;

	return cpuid_reg(r, bit->reg) >> bit->bit & 1;
}

uint64_t
cpuid_guest_cr4(void)
{
	return may_set.cr4;
}

uint64_t
cpuid_guest_efer(void)
{
	return may_set.efer;
}

unsigned int
cpuid_guest_phys_bits(void)
{
	return phys_bits;
}

/* The bits of `needs` whose features guests see. */
static uint64_t
allowed_bits(const struct arch_bit_need *needs, unsigned int n)
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

/* --- Fixups ------------------------------------------------------------------ */

/*
 * Leaf 0: the TSC's leaf is synthesised, whatever the host has. It is there, and
 * says nothing, where the TSC is of no use (SDM 2A CPUID 15H).
 */
static void
fix_level(struct answer *a)
{
	struct cpuid_regs max;

	host_cpuid(0, 0, &max);
	if (max.eax > CPUID_LEVEL_LAST)
		max.eax = CPUID_LEVEL_LAST;
	a->regs.eax = max.eax < LEAF_TSC ? LEAF_TSC : max.eax;
}

static void
fix_ext_level(struct answer *a)
{
	struct cpuid_regs max;

	host_cpuid(0x80000000, 0, &max);
	a->regs.eax = max.eax < CPUID_EXT_LEVEL_LAST ? max.eax :
	    CPUID_EXT_LEVEL_LAST;
}

/* Leaf 0xd.0: the area for all that could be enabled. */
static void
fix_xsave_size(struct answer *a)
{
	a->regs.eax &= (uint32_t)fpu_xcr0_allowed();
	a->regs.ecx = fpu_xsave_size(fpu_xcr0_allowed());
	a->live = true;
}

/* Leaf 0xd.n: offset and size of component n, if the guest may have it. */
static void
fix_xsave_area(struct answer *a, uint32_t component)
{
	if (!(fpu_xcr0_allowed() & 1ULL << component))
		return;
	host_cpuid(LEAF_XSAVE, component, &a->regs);
	/* Neither supervisor state nor XFD; compaction is hidden. */
	a->regs.ecx = 0;
}

/* What of a fixup stays as it is. */
static void
settle(const struct cpuid_rule *r, struct answer *a)
{
	apply_rule(r, r->subleaf, &a->regs);
	a->live = r->live;
	switch (r->fixup) {
	case CPUID_FIXUP_LEVEL:
		fix_level(a);
		break;
	case CPUID_FIXUP_EXT_LEVEL:
		fix_ext_level(a);
		break;
	case CPUID_FIXUP_XSAVE_SIZE:
		fix_xsave_size(a);
		break;
	case CPUID_FIXUP_XSAVE_AREA:
		fix_xsave_area(a, r->subleaf);
		break;
	case CPUID_FIXUP_APIC_ID:
	case CPUID_FIXUP_TSC:
	case CPUID_FIXUP_KVM_CLOCK:
		a->live = true;
		break;
	default:
		break;
	}
}

/* Leaf 1: the vCPU's number, and what it has put into CR4. */
static void
live_apic_id(struct vcpu *v, struct cpuid_regs *out)
{
	out->ebx |= v->id << 24;
	if (vmm_backend()->reg_get(v, REG_CR4) & ARCH_CR4_OSXSAVE)
		out->ecx |= feature_mask(CPUID_FEATURE_OSXSAVE);
}

/* Leaf 0x15: the TSC runs at the host's rate and never changes it. */
static void
live_tsc(struct cpuid_regs *out)
{
	if (!host_tsc_stable() || host_tsc_khz() == 0)
		return;
	out->eax = 1;
	out->ebx = 100;
	out->ecx = host_tsc_khz() * 10;
}

/* The rest, of an answer that is live. */
static void
answer_live(struct vcpu *v, unsigned int rule, uint32_t subleaf,
    struct cpuid_regs *out)
{
	const struct cpuid_rule *r = &cpuid_rules[rule];

	*out = answers[rule].regs;
	if (r->live)
		apply_rule(r, subleaf, out);
	switch (r->fixup) {
	case CPUID_FIXUP_APIC_ID:
		live_apic_id(v, out);
		break;
	case CPUID_FIXUP_XSAVE_SIZE:
		out->ebx = fpu_xsave_size(fpu_xcr0(v));
		break;
	case CPUID_FIXUP_TSC:
		live_tsc(out);
		break;
	case CPUID_FIXUP_KVM_CLOCK:
		if (!host_tsc_stable())
			out->eax &= ~feature_mask(CPUID_FEATURE_PVCLOCK_STABLE);
		break;
	default:
		break;
	}
}

/* CPUs without the leaf have 36 bits (SDM 2A CPUID, 80000008H). */
static unsigned int
find_phys_bits(void)
{
	uint32_t sizes = answers[cpuid_find(LEAF_SIZES, 0)].regs.eax;
	unsigned int bits = sizes & 0xff;

	return bits < 32 ? 36 : bits > 52 ? 52 : bits;
}

/* --- Answers ----------------------------------------------------------------- */

void
cpuid_init(void)
{
	unsigned int i;

	for (i = 0; i < CPUID_RULE_COUNT; i++)
		cpuid_pass[i] = cpuid_rules[i].pass;
	hide_stateless();
	for (i = 0; i < CPUID_RULE_COUNT; i++)
		settle(&cpuid_rules[i], &answers[i]);
	may_set.cr4 = ARCH_CR4_GUEST_FREE |
	    allowed_bits(arch_cr4_needs, arch_cr4_needs_count);
	may_set.efer = ARCH_EFER_GUEST_FREE |
	    allowed_bits(arch_efer_needs, arch_efer_needs_count);
	phys_bits = find_phys_bits();
}

void
cpuid_guest(struct vcpu *v, uint32_t leaf, uint32_t subleaf,
    struct cpuid_regs *out)
{
	unsigned int rule = cpuid_find(leaf, subleaf);

	if (answers[rule].live)
		answer_live(v, rule, subleaf, out);
	else
		*out = answers[rule].regs;
}

static int
show(struct vcpu *v, const struct cpuid_regs *r)
{
	v->gpr[VCPU_REGS_RAX] = r->eax;
	v->gpr[VCPU_REGS_RBX] = r->ebx;
	v->gpr[VCPU_REGS_RCX] = r->ecx;
	v->gpr[VCPU_REGS_RDX] = r->edx;
	return EXIT_RESUME;
}

/* Apart, so that what most leaves take needs no stack. */
static __attribute__((__noinline__)) int
show_live(struct vcpu *v, unsigned int rule, uint32_t subleaf)
{
	struct cpuid_regs r;

	answer_live(v, rule, subleaf, &r);
	return show(v, &r);
}

int
emulate_cpuid(struct vcpu *v, const struct exit_policy *p)
{
	uint32_t subleaf = (uint32_t)v->gpr[VCPU_REGS_RCX];
	unsigned int rule = cpuid_find((uint32_t)v->gpr[VCPU_REGS_RAX], subleaf);

	(void)p;
	if (answers[rule].live)
		return show_live(v, rule, subleaf);
	return show(v, &answers[rule].regs);
}
