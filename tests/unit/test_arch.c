/* SPDX-License-Identifier: ISC */
/*
 * test_arch.c - architectural bits against the kernel's, the guest's share of
 * the control registers, and the rules for whole values.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "stage2.h"
#include "arch.h"
#include "oracle_arch.h"

static const struct oracle_number ours[] = {
#define N(name)	{ #name, ARCH_##name }
	N(CR0_PE), N(CR0_MP), N(CR0_EM), N(CR0_TS), N(CR0_ET), N(CR0_NE),
	N(CR0_WP), N(CR0_AM), N(CR0_NW), N(CR0_CD), N(CR0_PG), N(CR3_PWT),
	N(CR3_PCD), N(CR4_VME), N(CR4_PVI), N(CR4_TSD), N(CR4_DE),
	N(CR4_PSE), N(CR4_PAE), N(CR4_MCE), N(CR4_PGE), N(CR4_PCE),
	N(CR4_OSFXSR), N(CR4_OSXMMEXCPT), N(CR4_UMIP), N(CR4_LA57),
	N(CR4_VMXE), N(CR4_SMXE), N(CR4_FSGSBASE), N(CR4_PCIDE),
	N(CR4_OSXSAVE), N(CR4_SMEP), N(CR4_SMAP), N(CR4_PKE), N(CR8_TPR_MASK),
	N(RFLAGS_CF), N(RFLAGS_PF), N(RFLAGS_AF), N(RFLAGS_ZF), N(RFLAGS_SF),
	N(RFLAGS_TF), N(RFLAGS_IF), N(RFLAGS_DF), N(RFLAGS_OF), N(RFLAGS_NT),
	N(RFLAGS_RF), N(RFLAGS_VM), N(RFLAGS_AC), N(RFLAGS_VIF),
	N(RFLAGS_VIP), N(RFLAGS_ID), N(RFLAGS_MB1), N(RFLAGS_IOPL_MASK),
	N(EFER_SCE), N(EFER_LME), N(EFER_LMA), N(EFER_NXE), N(EFER_SVME),
	N(EFER_LMSLE), N(EFER_FFXSR), N(DR6_B0), N(DR6_B1), N(DR6_B2),
	N(DR6_B3), N(DR6_BLD), N(DR6_BS), N(DR6_BT), N(DR6_MB1), N(EXC_DE),
	N(EXC_DB), N(EXC_NMI), N(EXC_BP), N(EXC_OF), N(EXC_BR), N(EXC_UD),
	N(EXC_NM), N(EXC_DF), N(EXC_CSO), N(EXC_TS), N(EXC_NP), N(EXC_SS),
	N(EXC_GP), N(EXC_PF), N(EXC_MF), N(EXC_AC), N(EXC_MC), N(EXC_XM),
	N(EXC_VE), N(EXC_CP), N(EXC_VC), N(PF_P), N(PF_W), N(PF_U),
	N(PF_RSVD), N(PF_I), N(PF_PK), N(PF_SGX), N(AR_TYPE_MASK), N(AR_S),
	N(AR_P), N(AR_L), N(AR_DB), N(AR_DPL_SHIFT), N(AR_UNUSABLE),
	N(EVENT_V), N(EVENT_EV), N(EVENT_TYPE_MASK), N(EVENT_VECTOR_MASK),
	N(EPTE_R), N(EPTE_W), N(EPTE_X), N(EPTE_IPAT), N(EPTE_A), N(EPTE_D),
	N(EPTE_MEMTYPE_SHIFT), N(EPTE_MEMTYPE_MASK), N(PTE_P), N(PTE_W),
	N(PTE_U), N(PTE_PWT), N(PTE_PCD), N(PTE_A), N(PTE_D), N(PTE_PS),
	N(PTE_G), N(PTE_NX), N(PTE_PKEY_SHIFT), N(XCR0_X87), N(XCR0_SSE),
	N(XCR0_AVX), N(XCR0_BNDREGS), N(XCR0_BNDCSR), N(XCR0_OPMASK),
	N(XCR0_ZMM_HI256), N(XCR0_HI16_ZMM), N(XCR0_PKRU), N(XCR0_XTILECFG),
	N(XCR0_XTILEDATA),
#undef N
};

static void
compare(const struct oracle_number *o)
{
	for (; o->name != NULL; o++) {
		const struct oracle_number *m = NULL;

		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			if (strcmp(ours[i].name, o->name) == 0)
				m = &ours[i];
		ck_assert_msg(m != NULL, "no ARCH_%s", o->name);
		ck_assert_msg(m->value == o->value, "ARCH_%s is %#lx, not %#lx",
		    o->name, (unsigned long)m->value, (unsigned long)o->value);
	}
}

START_TEST(bits_are_the_kernels)
{
	compare(oracle_arch);
	compare(oracle_arch_state);
}
END_TEST

/* What the kernel of the day has no name for, from the manuals. */
START_TEST(bits_are_the_manuals)
{
	ck_assert_uint_eq(ARCH_AR_AVL, 1u << 12);
	ck_assert_uint_eq(ARCH_AR_G, 1u << 15);
	ck_assert_uint_eq(ARCH_AR_DPL_MASK, 3u << 5);
	ck_assert_uint_eq(ARCH_DR6_BD, 1u << 13);
	ck_assert_uint_eq(ARCH_DR6_RTM, 1u << 16);
	ck_assert_uint_eq(ARCH_DR7_GD, 1u << 13);
	ck_assert_uint_eq(ARCH_DR7_MB1, 1u << 10);
	ck_assert_uint_eq(ARCH_DR7_L0, 1);
	ck_assert_uint_eq(ARCH_DR7_G3, 1u << 7);
	ck_assert_uint_eq(ARCH_DR7_RW0_SHIFT, 16);
	ck_assert_uint_eq(ARCH_DR7_LEN3_SHIFT, 30);
	ck_assert_uint_eq(ARCH_DR7_REFUSED, 0xffffffff00000000);
	ck_assert_uint_eq(ARCH_DR6_REFUSED, 0xffffffff00000000);
	ck_assert_uint_eq(ARCH_RFLAGS_VALID, 0x3f7fd7);
	ck_assert_uint_eq(ARCH_PTE_ADDRESS_MASK, 0x000ffffffffff000);
	ck_assert_uint_eq(ARCH_EFER_TCE, 1u << 15);
	ck_assert_uint_eq(ARCH_XCR0_APX, 1u << 19);
	ck_assert_uint_eq(ARCH_MEMTYPE_WB, 6);
	ck_assert_uint_eq(ARCH_MEMTYPE_UC_MINUS, 7);
}
END_TEST

START_TEST(exceptions_combine_as_the_manual_says)
{
	/* SDM 3A 6.15, APM 2 8.2: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX. */
	ck_assert_uint_eq(ARCH_EXC_ERROR_CODE_MASK, 1u << 8 | 1u << 10 |
	    1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21 |
	    1u << 29 | 1u << 30);
	/* SDM 3A 6.15: #DE #TS #NP #SS #GP #CP. */
	ck_assert_uint_eq(ARCH_EXC_CONTRIBUTORY_MASK, 1u << 0 | 1u << 10 |
	    1u << 11 | 1u << 12 | 1u << 13 | 1u << 21);
	ck_assert_uint_eq(ARCH_EXC_PAGE_FAULT_MASK, 1u << 14 | 1u << 20);
}
END_TEST

START_TEST(cr0_values)
{
	static const struct {
		uint64_t value;
		bool ok;
	} t[] = {
		{ 0x60000010, true },		/* reset: CD, NW, ET */
		{ 0x80050033, true },		/* a running Linux */
		{ 0x00000010, true },
		{ 0x80000000, false },		/* PG without PE */
		{ 0x80000001, true },
		{ 0x20000010, false },		/* NW without CD */
		{ 0x40000010, true },		/* CD alone */
		{ 0xe0000011, true },
		{ 0x0000000100000011, false },	/* above 32 bits */
		{ 0x8000000000000011, false },
		{ 0x1ffaffc0, true },		/* reserved bits that are ignored */
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_msg(arch_cr0_valid(t[i].value) == t[i].ok, "%#lx",
		    (unsigned long)t[i].value);
	for (unsigned int bit = 32; bit < 64; bit++)
		ck_assert(!arch_cr0_valid(0x80050033 | 1ULL << bit));
}
END_TEST

START_TEST(xcr0_values)
{
	static const struct {
		uint64_t value;
		bool ok;
	} t[] = {
		{ 0x0, false }, { 0x1, true }, { 0x2, false }, { 0x3, true },
		{ 0x4, false },
		{ 0x5, false },			/* AVX without SSE */
		{ 0x7, true },
		{ 0x9, false }, { 0x11, false }, { 0x19, true }, /* MPX */
		{ 0x23, false }, { 0x27, false }, { 0x47, false },
		{ 0x67, false }, { 0xa7, false }, { 0xc7, false },
		{ 0xe3, false },		/* AVX-512 without AVX */
		{ 0xe7, true },
		{ 0x201, true },		/* PKRU */
		{ 0x20003, false }, { 0x40003, false }, { 0x60003, true },
		{ 0x80001, true },
	};
	const uint64_t all = 0x600ff | 0x200 | 0x80000;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_msg(arch_xcr0_valid(t[i].value, all) == t[i].ok,
		    "%#lx", (unsigned long)t[i].value);
	/* Nothing outside what is allowed. */
	ck_assert(!arch_xcr0_valid(0x7, 0x3));
	ck_assert(!arch_xcr0_valid(0xe7, 0x7));
	ck_assert(arch_xcr0_valid(0x3, 0x3));
	/* Never these, whatever is allowed. */
	for (unsigned int bit = 0; bit < 64; bit++)
		if (!(ARCH_XCR0_VALID & 1ULL << bit) || bit >= 62)
			ck_assert_msg(!arch_xcr0_valid(1 | 1ULL << bit, ~0ULL),
			    "%u", bit);
}
END_TEST

START_TEST(pat_values)
{
	ck_assert(arch_pat_valid(0x0007040600070406));	/* reset */
	ck_assert(arch_pat_valid(0x0407050600070106));	/* Linux */
	ck_assert(arch_pat_valid(0));
	for (unsigned int byte = 0; byte < 8; byte++)
		for (unsigned int type = 0; type < 256; type++) {
			uint64_t value = 0x0606060606060606 &
			    ~(0xffULL << (8 * byte));
			bool ok = type == 0 || type == 1 ||
			    (type >= 4 && type <= 7);

			value |= (uint64_t)type << (8 * byte);
			if (arch_pat_valid(value) != ok)
				ck_abort_msg("byte %u type %u", byte, type);
		}
}
END_TEST

/* Bits of all needs, and that no bit stands twice. */
static uint64_t
needed(const struct arch_bit_need *needs, unsigned int n)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < n; i++) {
		ck_assert_uint_ne(needs[i].bits, 0);
		ck_assert_uint_eq(all & needs[i].bits, 0);
		all |= needs[i].bits;
	}
	return all;
}

static uint64_t
needs_of(const struct arch_bit_need *needs, unsigned int n,
    enum cpuid_feature feature)
{
	for (unsigned int i = 0; i < n; i++)
		if (needs[i].feature == feature)
			return needs[i].bits;
	return 0;
}

START_TEST(the_guests_share_of_cr4_and_efer)
{
	uint64_t cr4 = needed(arch_cr4_needs, arch_cr4_needs_count);
	uint64_t efer = needed(arch_efer_needs, arch_efer_needs_count);

	/* Every bit is exactly one of free, waiting and refused. */
	ck_assert_uint_eq(cr4 | ARCH_CR4_GUEST_FREE | ARCH_CR4_REFUSED, ~0ULL);
	ck_assert_uint_eq(cr4 & (ARCH_CR4_GUEST_FREE | ARCH_CR4_REFUSED), 0);
	ck_assert_uint_eq(efer | ARCH_EFER_GUEST_FREE | ARCH_EFER_REFUSED,
	    ~0ULL);
	ck_assert_uint_eq(efer & (ARCH_EFER_GUEST_FREE | ARCH_EFER_REFUSED),
	    0);
	ck_assert_uint_eq(ARCH_CR4_GUEST_FREE, 1u << 8);
	ck_assert_uint_eq(ARCH_EFER_GUEST_FREE, 0);

	/* Never: nested virtualisation, and state that nobody switches. */
	ck_assert_uint_eq(ARCH_EFER_REFUSED & ARCH_EFER_SVME, ARCH_EFER_SVME);
	ck_assert_uint_eq(cr4 & (1u << 13 | 1u << 14 | 1u << 23 | 1u << 24 |
	    1u << 25 | 1u << 28), 0);
	ck_assert_uint_eq(efer & (1u << 13 | 1u << 17 | 1u << 18 | 1u << 20 |
	    1u << 21), 0);

#define NEED(reg, bits, name) \
	ck_assert_uint_eq(needs_of(arch_##reg##_needs, \
	    arch_##reg##_needs_count, CPUID_FEATURE_##name), bits)
	NEED(cr4, 1u << 0 | 1u << 1, VME);
	NEED(cr4, 1u << 2, TSC);
	NEED(cr4, 1u << 3, DE);
	NEED(cr4, 1u << 4, PSE);
	NEED(cr4, 1u << 5, PAE);
	NEED(cr4, 1u << 6, MCE);
	NEED(cr4, 1u << 7, PGE);
	NEED(cr4, 1u << 9, FXSR);
	NEED(cr4, 1u << 10, SSE);
	NEED(cr4, 1u << 11, UMIP);
	NEED(cr4, 1u << 12, LA57);
	NEED(cr4, 1u << 16, FSGSBASE);
	NEED(cr4, 1u << 17, PCID);
	NEED(cr4, 1u << 18, XSAVE);
	NEED(cr4, 1u << 20, SMEP);
	NEED(cr4, 1u << 21, SMAP);
	NEED(cr4, 1u << 22, PKU);
	NEED(efer, 1u << 0, SYSCALL);
	NEED(efer, 1u << 8 | 1u << 10, LM);
	NEED(efer, 1u << 11, NX);
	NEED(efer, 1u << 14, FFXSR);
	NEED(efer, 1u << 15, TCE);
#undef NEED
}
END_TEST

START_TEST(second_stage_formats)
{
	const struct stage2_format *n = &arch_npt_format, *e = &arch_ept_format;

	/* APM 2 15.25.5: for users, accessed and dirty from the start. */
	ck_assert_uint_eq(n->table, 0x27);
	ck_assert_uint_eq((n->leaf | n->r | n->w) & ~0x2ULL, 0x65);
	ck_assert_uint_eq(n->present, 0x1);
	ck_assert_uint_eq(n->w, 0x2);
	ck_assert_uint_eq(n->nx, 1ULL << 63);
	ck_assert_uint_eq(n->x, 0);
	ck_assert_uint_eq(n->large, 0x80);
	ck_assert_uint_eq(n->address, 0x000ffffffffff000);
	ck_assert_uint_eq(n->accessed, 0x20);
	/* SDM 3C 29.3.2: write-back, the guest's PAT respected; 29.3.5: A and D. */
	ck_assert_uint_eq(e->table, 0x107);
	ck_assert_uint_eq(e->leaf, 6 << 3 | 0x300);
	ck_assert_uint_eq(e->accessed, 0x100);
	ck_assert_uint_eq(e->present, 0x7);
	ck_assert_uint_eq(e->r, 0x1);
	ck_assert_uint_eq(e->w, 0x2);
	ck_assert_uint_eq(e->x, 0x4);
	ck_assert_uint_eq(e->nx, 0);
	ck_assert_uint_eq(e->large, 0x80);
	ck_assert_uint_eq(e->address, 0x000ffffffffff000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("arch");
	TCase *t = tcase_create("arch");
	SRunner *r;
	int failed;

	tcase_add_test(t, bits_are_the_kernels);
	tcase_add_test(t, bits_are_the_manuals);
	tcase_add_test(t, exceptions_combine_as_the_manual_says);
	tcase_add_test(t, cr0_values);
	tcase_add_test(t, xcr0_values);
	tcase_add_test(t, pat_values);
	tcase_add_test(t, the_guests_share_of_cr4_and_efer);
	tcase_add_test(t, second_stage_formats);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
