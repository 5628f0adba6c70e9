/* SPDX-License-Identifier: ISC */
/*
 * Instructions that were fetched before: found again without a walk, and only
 * while a walk would find the same. After each change the answer is compared
 * with that of a vCPU which remembers nothing.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "backend.h"
#include "insn_fetch.h"
#include "vmm_fixture.h"

#define P	0x001ULL
#define W	0x002ULL
#define U	0x004ULL
#define A	0x020ULL
#define PS	0x080ULL
#define NX	0x8000000000000000ULL

/* Guest-physical. */
#define TABLES	0x10000u		/* a page for each level, the leaf's first */
#define OTHERS	0x20000u		/* a second set */
#define CODE	0x8000u			/* two pages, and two for the second set */
#define OTHER	0xa000u
#define OFFSET	0x123u			/* of the instruction in its page */

static struct fixture f;
static struct vcpu *v;

/* --- The guest ------------------------------------------------------------- */

enum kind { REAL, TWO_LEVELS, PAE, LONG, KINDS };

static enum kind kind;
static unsigned int levels, width;
static uint64_t linear;			/* of the code's first page */

/* Where the entry of a level is that leads to page `page` of the code. */
static uint8_t *
entry_of(uint64_t tables, unsigned int level, uint64_t page)
{
	unsigned int bits = width == 8 ? 9 : 10;
	uint64_t index = (linear + page * 4096) >> (12 + level * bits);

	return f.mem + tables + level * 4096 + (index & ((1u << bits) - 1)) * width;
}

static uint64_t
entry(unsigned int level)
{
	uint64_t e = 0;

	memcpy(&e, entry_of(TABLES, level, 0), width);
	return e;
}

static void
set_entry(unsigned int level, uint64_t e)
{
	memcpy(entry_of(TABLES, level, 0), &e, width);
}

/* Tables that lead to two pages at `code`; nothing has been accessed yet. */
static void
lay_out(uint64_t tables, uint64_t code)
{
	unsigned int level;
	uint64_t e, page;

	for (page = 0; page < 2; page++)
		for (level = 0; level < levels; level++) {
			e = level == 0 ? code + page * 4096 : tables + (level - 1) * 4096;
			e |= kind == PAE && level == 2 ? P : P | W | U;
			memcpy(entry_of(tables, level, page), &e, width);
		}
}

static uint64_t
root(uint64_t tables)
{
	return levels == 0 ? 0 : tables + (levels - 1) * 4096;
}

static void
enter(enum kind k)
{
	static const unsigned int levels_of[] = { 0, 2, 3, 4 };
	struct vcpu_reg_state r;
	struct vcpu_segment_info *cs = &r.vrs_sregs[VCPU_REGS_CS];

	kind = k;
	levels = levels_of[k];
	width = k == TWO_LEVELS ? 4 : 8;
	linear = k == REAL ? CODE : k == LONG ? 0x7f1234c08000 : 0x40c08000;
	memset(f.mem, 0, FIXTURE_MEM);
	lay_out(TABLES, CODE);
	lay_out(OTHERS, OTHER);

	fixture_real_mode(&f, OFFSET);
	fixture_regs(&f, &r);
	cs->vsi_base = CODE;
	if (k != REAL) {
		r.vrs_gprs[VCPU_REGS_RIP] = linear + OFFSET;
		r.vrs_crs[VCPU_REGS_CR0] = ARCH_CR0_PG | ARCH_CR0_PE | ARCH_CR0_ET;
		r.vrs_crs[VCPU_REGS_CR3] = root(TABLES);
		cs->vsi_base = 0;
		cs->vsi_limit = 0xffffffff;
		cs->vsi_ar = k == LONG ? 0xa09b : 0xc09b;
	}
	if (k >= PAE)
		r.vrs_crs[VCPU_REGS_CR4] = ARCH_CR4_PAE;
	if (k == LONG)
		r.vrs_msrs[VCPU_REGS_EFER] = ARCH_EFER_LME | ARCH_EFER_LMA;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
}

static void
code(uint64_t at, const char *bytes, size_t n)
{
	memcpy(f.mem + at, bytes, n);
}
#define CODE_AT(at, bytes)	code(at, bytes, sizeof(bytes) - 1)
#define CPUID			"\x0f\xa2"
#define RDMSR			"\x0f\x32"
#define WRMSR			"\x0f\x30"

static void
start(void)
{
	fixture_start(&f, 1);
	v = fixture_vcpu(&f);
}

static void
stop(void)
{
	fixture_stop(&f);
}

/* --- What a fetch gives ------------------------------------------------------ */

struct outcome {
	int	 err;
	struct insn insn;
	struct event fault;
	uint64_t cr2;
	uint8_t	 bytes[INSN_MAX];
	unsigned int n;
	bool	 read;		/* from the guest's memory */
};

static struct outcome
outcome(void)
{
	uint64_t copies = host_user.copies;
	struct outcome o;

	memset(&o, 0, sizeof(o));
	memset(&v->inject, 0, sizeof(v->inject));
	v->exit.bytes_len = 0;
	o.err = insn_fetch(v, ~0ULL, &o.insn);
	if (o.err != 0)
		memset(&o.insn, 0, sizeof(o.insn));
	o.fault = v->inject;
	o.cr2 = o.fault.type == EVENT_NONE ? 0 : vmm_backend()->reg_get(v, REG_CR2);
	o.read = host_user.copies != copies;
	memset(&v->inject, 0, sizeof(v->inject));
	o.n = insn_bytes(v, o.bytes);
	return o;
}

/* The same vCPU, remembering nothing. */
static struct outcome
fresh(void)
{
	memset(&v->insns, 0, sizeof(v->insns));
	return outcome();
}

static void
check_same(const struct outcome *a, const struct outcome *b)
{
	ck_assert_int_eq(a->err, b->err);
	ck_assert_int_eq(a->insn.op, b->insn.op);
	ck_assert_uint_eq(a->insn.length, b->insn.length);
	ck_assert_mem_eq(&a->insn, &b->insn, sizeof(a->insn));
	ck_assert_mem_eq(&a->fault, &b->fault, sizeof(a->fault));
	ck_assert_uint_eq(a->cr2, b->cr2);
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_mem_eq(a->bytes, b->bytes, INSN_MAX);
}

/* The site is known: fetched, and found again without a look at its memory. */
static void
learn(enum insn_op op)
{
	struct outcome first, second;

	first = outcome();
	ck_assert_int_eq(first.err, 0);
	ck_assert_int_eq(first.insn.op, op);
	second = outcome();
	ck_assert(!second.read);
	check_same(&first, &second);
}

/* Something has changed that a fetch depends on: it is made anew. */
static void
check_fetched_anew(int err)
{
	struct outcome now = outcome(), want;

	ck_assert(now.read);
	ck_assert_int_eq(now.err, err);
	want = fresh();
	check_same(&now, &want);
}

static void
check_anew_op(enum insn_op op)
{
	struct insn insn;

	check_fetched_anew(0);
	ck_assert_int_eq(insn_fetch(v, INSN_BIT(op), &insn), 0);
}

static void
check_anew_fault(uint8_t vector)
{
	struct insn insn;

	check_fetched_anew(INSN_RETRY);
	ck_assert_int_eq(insn_fetch(v, ~0ULL, &insn), INSN_RETRY);
	ck_assert_uint_eq(v->inject.type, EVENT_EXCEPTION);
	ck_assert_uint_eq(v->inject.vector, vector);
	memset(&v->inject, 0, sizeof(v->inject));
}

static void
check_still_known(void)
{
	struct outcome now = outcome(), want;

	ck_assert(!now.read);
	want = fresh();
	check_same(&now, &want);
}

static void
set_reg(enum reg r, uint64_t value)
{
	vmm_backend()->reg_set(v, r, value);
}

static struct vcpu_reg_state
regs(void)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	return r;
}

static void
set_cs(uint64_t base, uint32_t limit, uint32_t ar)
{
	struct vcpu_reg_state r = regs();

	r.vrs_sregs[VCPU_REGS_CS].vsi_base = base;
	r.vrs_sregs[VCPU_REGS_CS].vsi_limit = limit;
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar = ar;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &r), 0);
}

static void
set_cpl(unsigned int cpl)
{
	struct vcpu_reg_state r = regs();

	r.vrs_sregs[VCPU_REGS_SS].vsi_ar &= ~ARCH_AR_DPL_MASK;
	r.vrs_sregs[VCPU_REGS_SS].vsi_ar |= cpl << ARCH_AR_DPL_SHIFT;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &r), 0);
}

/* Each kind of paging, with the same code in it. */
static void
enter_at(enum kind k, const char *bytes, size_t n, enum insn_op op)
{
	enter(k);
	code(CODE + OFFSET, bytes, n);
	learn(op);
}
#define ENTER(k, bytes, op)	enter_at(k, bytes, sizeof(bytes) - 1, op)

#define FOR_EACH_KIND(k)	for (enum kind k = REAL; k < KINDS; k++)
#define FOR_EACH_PAGING(k)	for (enum kind k = TWO_LEVELS; k < KINDS; k++)

/* --- Hits --------------------------------------------------------------------- */

/* Four levels' entries and the bytes are looked at, by one service. */
START_TEST(known_without_a_walk)
{
	uint64_t copies, compares;
	struct insn insn;
	uint8_t bytes[INSN_MAX];

	FOR_EACH_KIND(k) {
		ENTER(k, CPUID, INSN_CPUID);
		copies = host_user.copies;
		compares = host_user.compares;
		ck_assert_int_eq(insn_fetch(v, INSN_BIT(INSN_CPUID), &insn), 0);
		ck_assert_uint_eq(insn.length, 2);
		ck_assert_uint_eq(host_user.compares, compares + 1);
		ck_assert_uint_eq(insn_bytes(v, bytes), INSN_MAX);
		ck_assert_mem_eq(bytes, f.mem + CODE + OFFSET, INSN_MAX);
		ck_assert_uint_eq(host_user.compares, compares + 2);
		ck_assert_uint_eq(host_user.copies, copies);
		/* Not what was asked for: that is for a fetch to say. */
		ck_assert_int_eq(insn_fetch(v, INSN_BIT(INSN_RDMSR), &insn), INSN_RETRY);
	}
}
END_TEST

/* As the loop asks: preemption and interrupts off, and a page may be gone. */
START_TEST(known_with_interrupts_off)
{
	const struct insn *insn;

	FOR_EACH_KIND(k) {
		ENTER(k, CPUID, INSN_CPUID);
		host_preempt_disable();
		host_irq_disable();
		insn = insn_known(v, INSN_BIT(INSN_CPUID));
		ck_assert_ptr_nonnull(insn);
		ck_assert_int_eq(insn->op, INSN_CPUID);
		ck_assert_ptr_null(insn_known(v, INSN_BIT(INSN_RDMSR)));
		host_user.absent = true;
		ck_assert_ptr_null(insn_known(v, INSN_BIT(INSN_CPUID)));
		host_user.absent = false;
		host_irq_enable();
		host_preempt_enable();
	}
}
END_TEST

/* The bytes that a client was given say nothing about the instruction. */
START_TEST(bytes_are_not_an_instruction)
{
	uint8_t bytes[INSN_MAX];

	FOR_EACH_KIND(k) {
		enter(k);
		CODE_AT(CODE + OFFSET, CPUID);
		ck_assert_uint_eq(insn_bytes(v, bytes), INSN_MAX);
		ck_assert_ptr_null(insn_known(v, ~0ULL));
		learn(INSN_CPUID);
	}
}
END_TEST

/* A vCPU that has fetched nothing knows nothing, in whatever state. */
START_TEST(nothing_is_known_at_first)
{
	uint8_t bytes[INSN_MAX];

	enter(REAL);
	set_cs(0, 0xffff, 0x9b);
	v->gpr[VCPU_REGS_RIP] = 0;
	ck_assert_ptr_null(insn_known(v, ~0ULL));
	ck_assert(!insn_bytes_known(v, bytes));
}
END_TEST

/* --- Registers ------------------------------------------------------------------ */

/* Sites that share a place take it from each other. */
START_TEST(other_rip)
{
	FOR_EACH_KIND(k) {
		ENTER(k, CPUID, INSN_CPUID);
		CODE_AT(CODE + OFFSET + 8 * INSN_SITES, RDMSR);
		v->gpr[VCPU_REGS_RIP] += 8 * INSN_SITES;
		check_anew_op(INSN_RDMSR);
		v->gpr[VCPU_REGS_RIP] -= 8 * INSN_SITES;
		CODE_AT(CODE + OFFSET, CPUID);
		check_anew_op(INSN_CPUID);
	}
}
END_TEST

START_TEST(other_tables)
{
	FOR_EACH_PAGING(k) {
		ENTER(k, CPUID, INSN_CPUID);
		CODE_AT(OTHER + OFFSET, WRMSR);
		set_reg(REG_CR3, root(OTHERS));
		check_anew_op(INSN_WRMSR);
		set_reg(REG_CR3, root(TABLES));
		check_anew_op(INSN_CPUID);
	}
}
END_TEST

/* The same bytes, decoded otherwise: 48 is REX.W or DEC. */
START_TEST(other_code_size)
{
	ENTER(LONG, "\x48" CPUID, INSN_CPUID);
	set_cs(0, 0xffffffff, 0xc09b);
	v->gpr[VCPU_REGS_RIP] = linear + OFFSET;
	check_fetched_anew(INSN_RETRY);

	/* 32 bits, then 16: the size of what OUT writes. */
	ENTER(TWO_LEVELS, "\xef", INSN_OUT);
	ck_assert_uint_eq(outcome().insn.operand_size, 4);
	set_cs(0, 0xffffffff, 0x809b);
	check_anew_op(INSN_OUT);
	ck_assert_uint_eq(outcome().insn.operand_size, 2);
}
END_TEST

START_TEST(other_segment)
{
	/* Real mode, based elsewhere. */
	ENTER(REAL, CPUID, INSN_CPUID);
	CODE_AT(OTHER + OFFSET, WRMSR);
	set_cs(OTHER, 0xffff, 0x9b);
	check_anew_op(INSN_WRMSR);
	set_cs(OTHER, OFFSET, 0x9b);
	check_anew_fault(ARCH_EXC_GP);

	ENTER(TWO_LEVELS, CPUID, INSN_CPUID);
	set_cs(0, (uint32_t)(linear + OFFSET), 0x409b);
	check_anew_fault(ARCH_EXC_GP);
}
END_TEST

/* The pages are the supervisor's, then so is their user. */
START_TEST(other_privilege)
{
	FOR_EACH_PAGING(k) {
		enter(k);
		CODE_AT(CODE + OFFSET, CPUID);
		set_entry(0, entry(0) & ~U);
		learn(INSN_CPUID);
		set_cpl(3);
		check_anew_fault(ARCH_EXC_PF);
		set_cpl(0);
		check_anew_op(INSN_CPUID);
	}
}
END_TEST

START_TEST(other_cr4)
{
	FOR_EACH_PAGING(k) {
		uint64_t cr4;

		/* User pages are no code for the supervisor. */
		ENTER(k, CPUID, INSN_CPUID);
		cr4 = vmm_backend()->reg_get(v, REG_CR4);
		set_reg(REG_CR4, cr4 | ARCH_CR4_SMEP);
		check_anew_fault(ARCH_EXC_PF);
		set_reg(REG_CR4, cr4);
		/* Means nothing for a fetch: no reason for one. */
		learn(INSN_CPUID);
		set_reg(REG_CR4, cr4 ^ ARCH_CR4_PGE);
		check_still_known();
		set_reg(REG_CR4, cr4);
		learn(INSN_CPUID);
		set_reg(REG_CR4, cr4 ^ ARCH_CR4_PSE);
		if (k == TWO_LEVELS)
			check_anew_op(INSN_CPUID);
		else
			check_still_known();
	}
	/* PSE makes a page of what was a table: one far beyond the memory. */
	enter(TWO_LEVELS);
	set_entry(1, entry(1) | PS);
	CODE_AT(CODE + OFFSET, CPUID);
	learn(INSN_CPUID);
	set_reg(REG_CR4, ARCH_CR4_PSE);
	check_fetched_anew(-EFAULT);
}
END_TEST

/* NX means something, or is a reserved bit. */
START_TEST(other_efer)
{
	uint64_t efer;

	enter(LONG);
	CODE_AT(CODE + OFFSET, CPUID);
	efer = vmm_backend()->reg_get(v, REG_EFER);
	learn(INSN_CPUID);
	set_reg(REG_EFER, efer | ARCH_EFER_NXE);
	check_anew_op(INSN_CPUID);
}
END_TEST

START_TEST(paging_off)
{
	enter(TWO_LEVELS);
	CODE_AT(CODE + OFFSET, CPUID);
	CODE_AT(OTHER + OFFSET, WRMSR);
	/* The page is mapped at its own address, to another. */
	linear = CODE;
	lay_out(TABLES, OTHER);
	v->gpr[VCPU_REGS_RIP] = CODE + OFFSET;
	learn(INSN_WRMSR);
	set_reg(REG_CR0, ARCH_CR0_PE | ARCH_CR0_ET);
	check_anew_op(INSN_CPUID);
}
END_TEST

/* --- Tables ---------------------------------------------------------------------- */

/* At each level: not present, no rights, led elsewhere; accessed again. */
START_TEST(other_entries)
{
	FOR_EACH_PAGING(k) {
		ENTER(k, CPUID, INSN_CPUID);
		for (unsigned int level = 0; level < levels; level++) {
			bool root_pae = k == PAE && level == 2;
			uint64_t e = entry(level);

			if (!root_pae)
				ck_assert_uint_eq(e & A, A);
			set_entry(level, e & ~P);
			check_anew_fault(ARCH_EXC_PF);
			set_entry(level, e);
			learn(INSN_CPUID);

			if (!root_pae) {
				set_entry(level, e & ~A);
				check_anew_op(INSN_CPUID);
				ck_assert_uint_eq(entry(level), e);
			}

			if (k == LONG) {	/* reserved, without EFER.NXE */
				set_entry(level, e | NX);
				check_anew_fault(ARCH_EXC_PF);
				set_entry(level, e);
				learn(INSN_CPUID);
			}
			/* Led to other code. */
			CODE_AT(OTHER + OFFSET, RDMSR);
			set_entry(level, (e & 0xfff) |
			    (level == 0 ? OTHER : OTHERS + (level - 1) * 4096));
			check_anew_op(INSN_RDMSR);
			set_entry(level, e);
			check_anew_op(INSN_CPUID);
			learn(INSN_CPUID);
		}
	}
}
END_TEST

START_TEST(other_rights)
{
	FOR_EACH_PAGING(k) {
		enter(k);
		CODE_AT(CODE + OFFSET, CPUID);
		if (k >= PAE)
			set_reg(REG_EFER, vmm_backend()->reg_get(v, REG_EFER) | ARCH_EFER_NXE);
		set_cpl(3);
		learn(INSN_CPUID);
		for (unsigned int level = 0; level < levels; level++) {
			uint64_t e = entry(level);

			if (k == PAE && level == 2)
				continue;	/* has none */
			set_entry(level, e & ~U);
			check_anew_fault(ARCH_EXC_PF);
			set_entry(level, e);
			learn(INSN_CPUID);
			if (k == TWO_LEVELS)
				continue;
			set_entry(level, e | NX);
			check_anew_fault(ARCH_EXC_PF);
			set_entry(level, e);
			learn(INSN_CPUID);
		}
	}
}
END_TEST

/* --- Bytes ------------------------------------------------------------------------- */

START_TEST(other_bytes)
{
	FOR_EACH_KIND(k) {
		ENTER(k, CPUID, INSN_CPUID);
		CODE_AT(CODE + OFFSET, RDMSR);
		check_anew_op(INSN_RDMSR);
		/* Each of the fifteen, for who wants all. */
		for (unsigned int i = 0; i < INSN_MAX; i++) {
			learn(INSN_RDMSR);
			f.mem[CODE + OFFSET + i] ^= 0x40;
			struct outcome now = outcome(), want = fresh();

			check_same(&now, &want);
			ck_assert_mem_eq(now.bytes, f.mem + CODE + OFFSET, INSN_MAX);
			f.mem[CODE + OFFSET + i] ^= 0x40;
		}
	}
}
END_TEST

/* An instruction in two pages: whatever happens to the second is seen. */
START_TEST(across_pages)
{
	FOR_EACH_KIND(k) {
		struct outcome now, want;

		enter(k);
		CODE_AT(CODE + 0xfff, CPUID);
		v->gpr[VCPU_REGS_RIP] += 0xfff - OFFSET;
		ck_assert_int_eq(outcome().insn.op, INSN_CPUID);
		ck_assert_int_eq(outcome().insn.op, INSN_CPUID);
		CODE_AT(CODE + 0xfff, RDMSR);
		ck_assert_int_eq(outcome().insn.op, INSN_RDMSR);
		if (k == REAL)
			continue;
		memset(entry_of(TABLES, 0, 1), 0, width);
		now = outcome();
		ck_assert_int_eq(now.err, INSN_RETRY);
		ck_assert_uint_eq(now.fault.vector, ARCH_EXC_PF);
		ck_assert_uint_eq(now.cr2, linear + 4096);
		want = fresh();
		check_same(&now, &want);
	}
}
END_TEST

/* Even where the second page begins like the instruction. */
START_TEST(across_pages_that_look_alike)
{
	FOR_EACH_KIND(k) {
		enter(k);
		memset(f.mem + CODE + 0xfff, 0xe4, 16);	/* IN AL, 0xe4 */
		v->gpr[VCPU_REGS_RIP] += 0xfff - OFFSET;
		ck_assert_int_eq(outcome().insn.op, INSN_IN);
		f.mem[CODE + 0xfff] = 0xe6;
		ck_assert_int_eq(outcome().insn.op, INSN_OUT);
	}
}
END_TEST

/* So with bytes that the CPU gave, which were those of before. */
START_TEST(bytes_from_the_cpu)
{
	struct insn insn;

	FOR_EACH_KIND(k) {
		enter(k);
		memset(f.mem + CODE + OFFSET, 0xe4, 16);
		f.mem[CODE + OFFSET] = 0xe6;
		v->exit.bytes_len = 1;
		v->exit.bytes[0] = 0xe4;
		ck_assert_int_eq(insn_fetch(v, ~0ULL, &insn), 0);
		ck_assert_int_eq(insn.op, INSN_IN);
		v->exit.bytes_len = 0;
		ck_assert_int_eq(insn_fetch(v, ~0ULL, &insn), 0);
		ck_assert_int_eq(insn.op, INSN_OUT);
	}
}
END_TEST

/* Towards the end of the page: as many bytes as there are, and they change. */
START_TEST(before_the_end_of_the_page)
{
	struct insn insn;

	FOR_EACH_PAGING(k)
		for (unsigned int at = 0xff0; at <= 0xffe; at++) {
			enter(k);
			memset(entry_of(TABLES, 0, 1), 0, width);
			v->gpr[VCPU_REGS_RIP] += at - OFFSET;
			CODE_AT(CODE + at, CPUID);
			ck_assert_int_eq(insn_fetch(v, ~0ULL, &insn), 0);
			ck_assert_int_eq(insn_fetch(v, ~0ULL, &insn), 0);
			ck_assert_int_eq(insn.op, INSN_CPUID);
			ck_assert_uint_eq(outcome().n, 0x1000 - at < 15 ? 0x1000 - at : 15);
			for (unsigned int b = at; b <= 0xfff; b++) {
				struct outcome now, want;

				f.mem[CODE + b] ^= 0x10;
				now = outcome();
				want = fresh();
				check_same(&now, &want);
			}
		}
}
END_TEST

/* --- The host ------------------------------------------------------------------------ */

static void
protect(uint64_t gpa, int prot)
{
	ck_assert_int_eq(mprotect(f.mem + gpa, 4096, prot), 0);
}

/* The creator takes a page away, of the code or of a table, and brings it back. */
START_TEST(page_gone)
{
	FOR_EACH_KIND(k) {
		ENTER(k, CPUID, INSN_CPUID);
		for (unsigned int i = 0; i <= levels; i++) {
			uint64_t gpa = i == 0 ? CODE : TABLES + (i - 1) * 4096;
			struct outcome now;

			protect(gpa, PROT_NONE);
			now = outcome();
			protect(gpa, PROT_READ | PROT_WRITE);
			ck_assert_int_eq(now.err, -EFAULT);
			ck_assert_uint_eq(now.n, 0);
			learn(INSN_CPUID);
		}
	}
}
END_TEST

/* The instruction is fetched whatever its rights are by now: the CPU had it. */
START_TEST(page_protected)
{
	struct vm_mprotect_ept_params p = {
		.vmep_vm_id = f.vm, .vmep_sgpa = 0, .vmep_size = FIXTURE_MEM,
	};

	FOR_EACH_KIND(k) {
		ENTER(k, CPUID, INSN_CPUID);
		p.vmep_prot = VMM_PROT_READ;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
		check_still_known();
		p.vmep_sgpa = CODE;
		p.vmep_size = 0x1000;
		p.vmep_prot = VMM_PROT_EXEC;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
		check_still_known();
		p.vmep_sgpa = 0;
		p.vmep_size = FIXTURE_MEM;
		p.vmep_prot = VMM_PROT_READ | VMM_PROT_WRITE;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
		ck_assert_int_eq(outcome().err, 0);
	}
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		known_without_a_walk, known_with_interrupts_off,
		bytes_are_not_an_instruction, nothing_is_known_at_first,
		other_rip, other_tables, other_code_size, other_segment,
		other_privilege, other_cr4, other_efer, paging_off, other_entries,
		other_rights, other_bytes, across_pages,
		across_pages_that_look_alike, bytes_from_the_cpu,
		before_the_end_of_the_page, page_gone, page_protected,
	};

	return fixture_main_extremes("insn_cache", tests, sizeof(tests) / sizeof(tests[0]),
	    start, stop);
}
