/* SPDX-License-Identifier: ISC */
/*
 * test_arch_manual.c - registers and table entries bit by bit, as the manuals
 * draw them (SDM 3A 2.5, 4.5, 4.7, 17.2, 3C 24.4.1, 29.3.2; APM 2 3.1, 5.4, 8.4, 13.1,
 * 15.25), and what a guest gets of each register.
 */
#include <check.h>
#include <stdlib.h>

#include "stage2.h"
#include "arch.h"

struct bit {
	const char *name;
	uint64_t ours, manual;
};

#define B(name, bit)		{ #name, ARCH_##name, 1ULL << (bit) }
#define MASK(high, low)		((~0ULL << (low)) & (~0ULL >> (63 - (high))))
#define F(name, high, low)	{ #name, ARCH_##name##_MASK, MASK(high, low) }, \
				{ #name, ARCH_##name##_SHIFT, low }
#define V(name, value)		{ #name, ARCH_##name, value }

static const struct bit bits[] = {
	B(CR0_PG, 31), B(CR0_CD, 30), B(CR0_NW, 29), B(CR0_AM, 18), B(CR0_WP, 16),
	B(CR0_NE, 5), B(CR0_ET, 4), B(CR0_TS, 3), B(CR0_EM, 2), B(CR0_MP, 1), B(CR0_PE, 0),
	B(CR3_NOFLUSH, 63), F(CR3_ADDRESS, 51, 12), B(CR3_PCD, 4), B(CR3_PWT, 3),
	B(CR4_FRED, 32), B(CR4_LAM_SUP, 28), B(CR4_UINTR, 25), B(CR4_PKS, 24), B(CR4_CET, 23),
	B(CR4_PKE, 22), B(CR4_SMAP, 21), B(CR4_SMEP, 20), B(CR4_KL, 19), B(CR4_OSXSAVE, 18),
	B(CR4_PCIDE, 17), B(CR4_FSGSBASE, 16), B(CR4_SMXE, 14), B(CR4_VMXE, 13),
	B(CR4_LA57, 12), B(CR4_UMIP, 11), B(CR4_OSXMMEXCPT, 10), B(CR4_OSFXSR, 9),
	B(CR4_PCE, 8), B(CR4_PGE, 7), B(CR4_MCE, 6), B(CR4_PAE, 5), B(CR4_PSE, 4),
	B(CR4_DE, 3), B(CR4_TSD, 2), B(CR4_PVI, 1), B(CR4_VME, 0),
	F(CR8_TPR, 3, 0),
	B(EFER_AIBRS, 21), B(EFER_UAIE, 20), B(EFER_INTWB, 18), B(EFER_MCOMMIT, 17),
	B(EFER_TCE, 15), B(EFER_FFXSR, 14), B(EFER_LMSLE, 13), B(EFER_SVME, 12),
	B(EFER_NXE, 11), B(EFER_LMA, 10), B(EFER_LME, 8), B(EFER_SCE, 0),
	B(RFLAGS_ID, 21), B(RFLAGS_VIP, 20), B(RFLAGS_VIF, 19), B(RFLAGS_AC, 18),
	B(RFLAGS_VM, 17), B(RFLAGS_RF, 16), B(RFLAGS_NT, 14), F(RFLAGS_IOPL, 13, 12),
	B(RFLAGS_OF, 11), B(RFLAGS_DF, 10), B(RFLAGS_IF, 9), B(RFLAGS_TF, 8),
	B(RFLAGS_SF, 7), B(RFLAGS_ZF, 6), B(RFLAGS_AF, 4), B(RFLAGS_PF, 2), B(RFLAGS_CF, 0),
	B(DR6_RTM, 16), B(DR6_BT, 15), B(DR6_BS, 14), B(DR6_BD, 13), B(DR6_BLD, 11),
	B(DR6_B3, 3), B(DR6_B2, 2), B(DR6_B1, 1), B(DR6_B0, 0),
	F(DR7_LEN3, 31, 30), F(DR7_RW3, 29, 28), F(DR7_LEN2, 27, 26), F(DR7_RW2, 25, 24),
	F(DR7_LEN1, 23, 22), F(DR7_RW1, 21, 20), F(DR7_LEN0, 19, 18), F(DR7_RW0, 17, 16),
	B(DR7_GD, 13), B(DR7_RTM, 11), B(DR7_GE, 9), B(DR7_LE, 8), B(DR7_G3, 7), B(DR7_L3, 6),
	B(DR7_G2, 5), B(DR7_L2, 4), B(DR7_G1, 3), B(DR7_L1, 2), B(DR7_G0, 1), B(DR7_L0, 0),
	B(XCR0_X, 63), B(XCR0_LWP, 62), B(XCR0_APX, 19), B(XCR0_XTILEDATA, 18),
	B(XCR0_XTILECFG, 17), B(XCR0_PKRU, 9), B(XCR0_HI16_ZMM, 7), B(XCR0_ZMM_HI256, 6),
	B(XCR0_OPMASK, 5), B(XCR0_BNDCSR, 4), B(XCR0_BNDREGS, 3), B(XCR0_AVX, 2),
	B(XCR0_SSE, 1), B(XCR0_X87, 0),
	B(PF_RMP, 31), B(PF_SGX, 15), B(PF_HLAT, 7), B(PF_SS, 6), B(PF_PK, 5), B(PF_I, 4),
	B(PF_RSVD, 3), B(PF_U, 2), B(PF_W, 1), B(PF_P, 0),
	B(PTE_NX, 63), F(PTE_PKEY, 62, 59), F(PTE_AVL_HIGH, 58, 52), F(PTE_ADDRESS, 51, 12),
	F(PTE_AVL, 11, 9), B(PTE_G, 8), B(PTE_PS, 7), B(PTE_D, 6), B(PTE_A, 5), B(PTE_PCD, 4),
	B(PTE_PWT, 3), B(PTE_U, 2), B(PTE_W, 1), B(PTE_P, 0),
	B(EPTE_SUPPRESS_VE, 63), B(EPTE_SPP, 61), B(EPTE_SSS, 60), B(EPTE_PW, 58),
	B(EPTE_VGP, 57), F(EPTE_ADDRESS, 51, 12), B(EPTE_XU, 10), B(EPTE_D, 9), B(EPTE_A, 8),
	B(EPTE_PS, 7), B(EPTE_IPAT, 6), F(EPTE_MEMTYPE, 5, 3), B(EPTE_X, 2), B(EPTE_W, 1),
	B(EPTE_R, 0),
	B(AR_UNUSABLE, 16), B(AR_G, 15), B(AR_DB, 14), B(AR_L, 13), B(AR_AVL, 12), B(AR_P, 7),
	F(AR_DPL, 6, 5), B(AR_S, 4), F(AR_TYPE, 3, 0),
	V(EXC_DE, 0), V(EXC_DB, 1), V(EXC_NMI, 2), V(EXC_BP, 3), V(EXC_OF, 4), V(EXC_BR, 5),
	V(EXC_UD, 6), V(EXC_NM, 7), V(EXC_DF, 8), V(EXC_CSO, 9), V(EXC_TS, 10), V(EXC_NP, 11),
	V(EXC_SS, 12), V(EXC_GP, 13), V(EXC_PF, 14), V(EXC_MF, 16), V(EXC_AC, 17),
	V(EXC_MC, 18), V(EXC_XM, 19), V(EXC_VE, 20), V(EXC_CP, 21), V(EXC_HV, 28),
	V(EXC_VC, 29), V(EXC_SX, 30),
	V(MEMTYPE_UC, 0), V(MEMTYPE_WC, 1), V(MEMTYPE_WT, 4), V(MEMTYPE_WP, 5),
	V(MEMTYPE_WB, 6), V(MEMTYPE_UC_MINUS, 7),
	/* What stands between the named ones is reserved. */
	V(CR0_VALID, 0xe005003f), V(CR3_VALID, 0x800ffffffffff018),
	V(CR4_VALID, 0x113ff7fff), V(CR8_VALID, 0xf), V(EFER_VALID, 0x36fd01),
	V(RFLAGS_VALID, 0x3f7fd7), V(DR6_VALID, 0xffffefff),
	V(DR7_VALID, 0xffff2fff), V(XCR0_VALID, 0xc0000000000e02ff),
	V(PF_VALID, 0x800080ff), V(PTE_VALID, ~0ULL), V(EPTE_VALID, 0xb60ffffffffff7ff),
	V(AR_VALID, 0x1f0ff),
	/* And these read as one. */
	V(CR0_MB1, 0x10), V(CR3_MB1, 0), V(CR4_MB1, 0), V(CR8_MB1, 0), V(EFER_MB1, 0),
	V(RFLAGS_MB1, 0x2), V(DR6_MB1, 0xffff0ff0), V(DR7_MB1, 0x400), V(XCR0_MB1, 0),
};

START_TEST(bits_are_the_manuals)
{
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		ck_assert_msg(bits[i].ours == bits[i].manual, "ARCH_%s is %#lx, not %#lx",
		    bits[i].name, (unsigned long)bits[i].ours,
		    (unsigned long)bits[i].manual);
}
END_TEST

/*
 * What a guest that sets a bit gets: it, nothing, or #GP. Where MOV faults is
 * SDM 2B MOV (control registers, debug registers) and APM 3 MOV; POPF and IRET
 * never fault on flags.
 */
START_TEST(the_guests_share)
{
	/* Bits 28-19, 17, 15-6 and ET are kept; above 31 is #GP. */
	ck_assert_uint_eq(ARCH_CR0_GUEST_FREE, 0xe005002f);
	ck_assert_uint_eq(ARCH_CR0_IGNORED, 0x1ffaffd0);
	ck_assert_uint_eq(ARCH_CR0_REFUSED, 0xffffffff00000000);
	/* Above the address is #GP; bit 63 waits for PCIDs. */
	ck_assert_uint_eq(ARCH_CR3_GUEST_FREE, 0x000ffffffffff018);
	ck_assert_uint_eq(ARCH_CR3_IGNORED, 0xfe7);
	ck_assert_uint_eq(ARCH_CR3_REFUSED, 0x7ff0000000000000);
	/* Each bit waits for a feature or is #GP, but PCE. */
	ck_assert_uint_eq(ARCH_CR4_GUEST_FREE, 1u << 8);
	ck_assert_uint_eq(ARCH_CR4_IGNORED, 0);
	ck_assert_uint_eq(ARCH_CR4_REFUSED, 0xffffffffff88e000);
	ck_assert_uint_eq(ARCH_CR8_GUEST_FREE, 0xf);
	ck_assert_uint_eq(ARCH_CR8_IGNORED, 0);
	ck_assert_uint_eq(ARCH_CR8_REFUSED, 0xfffffffffffffff0);
	ck_assert_uint_eq(ARCH_EFER_GUEST_FREE, 0);
	ck_assert_uint_eq(ARCH_EFER_IGNORED, 0);
	ck_assert_uint_eq(ARCH_EFER_REFUSED, 0xffffffffffff32fe);
	ck_assert_uint_eq(ARCH_RFLAGS_GUEST_FREE, 0x3f7fd5);
	ck_assert_uint_eq(ARCH_RFLAGS_IGNORED, 0xffffffffffc0802a);
	ck_assert_uint_eq(ARCH_RFLAGS_REFUSED, 0);
	/* B0 to B3, BD, BS, BT; neither transactions nor bus locks. */
	ck_assert_uint_eq(ARCH_DR6_GUEST_FREE, 0xe00f);
	ck_assert_uint_eq(ARCH_DR6_IGNORED, 0xffff1ff0);
	ck_assert_uint_eq(ARCH_DR6_REFUSED, 0xffffffff00000000);
	ck_assert_uint_eq(ARCH_DR7_GUEST_FREE, 0xffff23ff);
	ck_assert_uint_eq(ARCH_DR7_IGNORED, 0xdc00);
	ck_assert_uint_eq(ARCH_DR7_REFUSED, 0xffffffff00000000);
	/* Each component waits for its bit of CPUID leaf 0xd. */
	ck_assert_uint_eq(ARCH_XCR0_GUEST_FREE, 0);
	ck_assert_uint_eq(ARCH_XCR0_IGNORED, 0);
	ck_assert_uint_eq(ARCH_XCR0_REFUSED, 0xfffffffffff1fd00);
}
END_TEST

START_TEST(what_waits_for_cpuid)
{
	static const struct arch_bit_need xcr0[] = {
		{ 1u << 0, CPUID_FEATURE_XCR0_X87 },
		{ 1u << 1, CPUID_FEATURE_XCR0_SSE },
		{ 1u << 2, CPUID_FEATURE_XCR0_AVX },
		{ 1u << 3, CPUID_FEATURE_XCR0_BNDREGS },
		{ 1u << 4, CPUID_FEATURE_XCR0_BNDCSR },
		{ 1u << 5, CPUID_FEATURE_XCR0_OPMASK },
		{ 1u << 6, CPUID_FEATURE_XCR0_ZMM_HI256 },
		{ 1u << 7, CPUID_FEATURE_XCR0_HI16_ZMM },
		{ 1u << 9, CPUID_FEATURE_XCR0_PKRU },
		{ 1u << 17, CPUID_FEATURE_XCR0_TILECFG },
		{ 1u << 18, CPUID_FEATURE_XCR0_TILEDATA },
		{ 1u << 19, CPUID_FEATURE_XCR0_APX },
	};

	for (size_t i = 0; i < sizeof(xcr0) / sizeof(xcr0[0]); i++) {
		uint64_t bits_of = 0;

		for (unsigned int j = 0; j < arch_xcr0_needs_count; j++)
			if (arch_xcr0_needs[j].feature == xcr0[i].feature)
				bits_of |= arch_xcr0_needs[j].bits;
		ck_assert_uint_eq(bits_of, xcr0[i].bits);
	}
	ck_assert_uint_eq(arch_cr3_needs_count, 1);
	ck_assert_uint_eq(arch_cr3_needs[0].bits, 1ULL << 63);
	ck_assert_uint_eq(arch_cr3_needs[0].feature, CPUID_FEATURE_PCID);
}
END_TEST

START_TEST(formats_have_names)
{
	ck_assert_str_eq(arch_npt_format.name, "NPT");
	ck_assert_str_eq(arch_ept_format.name, "EPT");
	ck_assert_uint_eq(arch_npt_format.r, 0x1);
	ck_assert_uint_eq(arch_npt_format.leaf, 0x64);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("arch_manual");
	TCase *t = tcase_create("arch_manual");
	SRunner *r;
	int failed;

	tcase_add_test(t, bits_are_the_manuals);
	tcase_add_test(t, the_guests_share);
	tcase_add_test(t, what_waits_for_cpuid);
	tcase_add_test(t, formats_have_names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
