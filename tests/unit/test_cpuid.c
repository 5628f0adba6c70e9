/* SPDX-License-Identifier: ISC */
/*
 * test_cpuid.c - the CPUID policy: each bit's place against Linux's, what a
 * guest sees of a CPU that has everything and of one that has nothing, as far
 * as the tables say; what the core makes of them is in test_cpuid_guest.c.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cpuid.h"
#include "oracle_cpuid.h"

/* Where the words of Linux's capability array come from (asm/cpufeature.h). */
static const struct { unsigned int word; uint32_t leaf, subleaf; int reg; } words[] = {
	{ 0, 0x1, 0, CPUID_EDX },
	{ 1, 0x80000001, 0, CPUID_EDX },
	{ 4, 0x1, 0, CPUID_ECX },
	{ 6, 0x80000001, 0, CPUID_ECX },
	{ 9, 0x7, 0, CPUID_EBX },
	{ 10, 0xd, 1, CPUID_EAX },
	{ 12, 0x7, 1, CPUID_EAX },
	{ 13, 0x80000008, 0, CPUID_EBX },
	{ 14, 0x6, 0, CPUID_EAX },
	{ 16, 0x7, 0, CPUID_ECX },
	{ 17, 0x80000007, 0, CPUID_EBX },
	{ 18, 0x7, 0, CPUID_EDX },
	{ 20, 0x80000021, 0, CPUID_EAX },
};

static const struct cpuid_rule *
rule(uint32_t leaf, uint32_t subleaf)
{
	unsigned int i;

	for (i = 0; i < cpuid_rule_count; i++) {
		const struct cpuid_rule *r = &cpuid_rules[i];

		if (r->leaf == leaf && (r->any_subleaf || r->subleaf == subleaf))
			return r;
	}
	return NULL;
}

/* What a guest sees, before fixups, of a CPU whose every register is host. */
static uint32_t
seen(uint32_t leaf, uint32_t subleaf, unsigned int reg, uint32_t host)
{
	const struct cpuid_rule *r = rule(leaf, subleaf);

	if (r == NULL)
		return 0;
	return (host & cpuid_reg(&r->pass, reg)) | cpuid_reg(&r->set, reg);
}

static bool
shown(enum cpuid_feature f, uint32_t host)
{
	const struct cpuid_bit *b = &cpuid_feature_bit[f];
	const struct cpuid_rule *r = &cpuid_rules[b->rule];

	return seen(r->leaf, r->subleaf, b->reg, host) >> b->bit & 1;
}

static int
feature(const char *name)
{
	unsigned int i;

	for (i = 0; i < CPUID_FEATURES; i++) {
		if (strcmp(cpuid_feature_name[i], name) == 0)
			return (int)i;
	}
	return -1;
}

START_TEST(places_are_linux_s)
{
	unsigned int i, w;

	for (i = 0; i < oracle_cpuid_count; i++) {
		const struct oracle_cpuid *o = &oracle_cpuid[i];
		int f = feature(o->row);
		const struct cpuid_rule *r;

		ck_assert_msg(f >= 0, "no row %s", o->row);
		for (w = 0; words[w].word != o->word; w++)
			ck_assert_uint_lt(w + 1, sizeof(words) / sizeof(words[0]));
		r = &cpuid_rules[cpuid_feature_bit[f].rule];
		ck_assert_msg(r->leaf == words[w].leaf &&
		    r->subleaf == words[w].subleaf &&
		    cpuid_feature_bit[f].reg == words[w].reg &&
		    cpuid_feature_bit[f].bit == o->bit, "%s", o->kernel);
	}
}
END_TEST

START_TEST(rules_are_sorted_and_sound)
{
	unsigned int i, reg;

	for (i = 0; i < cpuid_rule_count; i++) {
		const struct cpuid_rule *r = &cpuid_rules[i];

		ck_assert(!r->any_subleaf || r->subleaf == 0);
		ck_assert_uint_lt(r->fixup, CPUID_FIXUPS);
		if (i > 0)
			ck_assert(r[-1].leaf < r->leaf || (r[-1].leaf == r->leaf &&
			    r[-1].subleaf < r->subleaf));
		for (reg = 0; reg < 4; reg++)
			ck_assert_msg(!(cpuid_reg(&r->pass, reg) &
			    cpuid_reg(&r->set, reg)), "%#x", r->leaf);
	}
	ck_assert_uint_eq(cpuid_rule_count, CPUID_RULE_COUNT);
}
END_TEST

/* Each single bit: a place inside the table, a name of its own, one policy. */
START_TEST(features_are_sound)
{
	unsigned int i, j;

	for (i = 0; i < CPUID_FEATURES; i++) {
		const struct cpuid_bit *b = &cpuid_feature_bit[i];

		ck_assert_uint_lt(b->rule, cpuid_rule_count);
		ck_assert_uint_le(b->reg, CPUID_EDX);
		ck_assert_uint_le(b->bit, 31);
		/* A bit that no host has is only seen when it is set. */
		if (shown(i, 0))
			ck_assert(shown(i, ~0u));
		for (j = 0; j < i; j++)
			ck_assert(memcmp(b, &cpuid_feature_bit[j], sizeof(*b)) != 0);
	}
}
END_TEST

/* A CPU that has nothing: the guest sees what is ours alone. */
START_TEST(all_zeros_host)
{
	static const struct { uint32_t leaf; unsigned int reg; uint32_t value; } ours[] = {
		{ 0x1, CPUID_ECX, 1u << 31 },
		{ 0x7, CPUID_EAX, 1 },
		{ 0x40000000, CPUID_EBX, 0x6e65704f },	/* "Open" */
		{ 0x40000000, CPUID_ECX, 0x56445342 },	/* "BSDV" */
		{ 0x40000000, CPUID_EDX, 0x38354d4d },	/* "MM58" */
		{ 0x40000001, CPUID_EAX, 1u << 3 | 1u << 24 },
		{ 0x40000100, CPUID_EAX, 0x40000101 },
		{ 0x40000100, CPUID_EBX, 0x4b4d564b },	/* "KVMK" */
		{ 0x40000100, CPUID_ECX, 0x564b4d56 },	/* "VMKV" */
		{ 0x40000100, CPUID_EDX, 0x0000004d },	/* "M" */
		{ 0x40000101, CPUID_EAX, 1u << 1 | 1u << 3 | 1u << 24 },
	};
	unsigned int i, j, reg;

	for (i = 0; i < cpuid_rule_count; i++) {
		const struct cpuid_rule *r = &cpuid_rules[i];

		for (reg = 0; reg < 4; reg++) {
			uint32_t want = 0;

			for (j = 0; j < sizeof(ours) / sizeof(ours[0]); j++) {
				if (ours[j].leaf == r->leaf && r->subleaf == 0 &&
				    ours[j].reg == reg)
					want = ours[j].value;
			}
			ck_assert_msg(seen(r->leaf, r->subleaf, reg, 0) == want,
			    "leaf %#x register %u", r->leaf, reg);
		}
	}
}
END_TEST

/*
 * A CPU that has everything: whole registers, written down from the manuals
 * by the rule that a guest sees a feature only when its state is switched and
 * its MSRs work (and never one that reaches the host).
 */
START_TEST(all_ones_host)
{
	static const struct {
		uint32_t leaf, subleaf;
		unsigned int reg;
		uint32_t value;
	} guest[] = {
		/* SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES
		 * XSAVE AVX F16C RDRAND HV */
		{ 0x1, 0, CPUID_ECX, 0xf6d83203 },
		/* FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36
		 * CLFSH MMX FXSR SSE SSE2 */
		{ 0x1, 0, CPUID_EDX, 0x078ba97f },
		{ 0x1, 0, CPUID_EBX, 0x0000ffff },
		/* FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS FCS AVX512* RDSEED
		 * ADX SMAP CLFLUSHOPT CLWB SHA */
		{ 0x7, 0, CPUID_EBX, 0xfdbf23e9 },
		/* PREFETCHWT1 VBMI UMIP VBMI2 GFNI VAES VPCLMUL VNNI BITALG
		 * VPOPCNTDQ CLDEMOTE MOVDIRI MOVDIR64B */
		{ 0x7, 0, CPUID_ECX, 0x1a005f47 },
		/* 4VNNIW 4FMAPS FSRM VP2INTERSECT MD_CLEAR SERIALIZE FP16 */
		{ 0x7, 0, CPUID_EDX, 0x0080451c },
		{ 0x7, 1, CPUID_EBX, 0 },
		{ 0x7, 1, CPUID_ECX, 0 },
		{ 0x7, 2, CPUID_EDX, 0 },
		{ 0x3, 0, CPUID_ECX, 0 },
		{ 0x4, 0, CPUID_EAX, 0x3ff },
		{ 0x4, 9, CPUID_EAX, 0x3ff },
		{ 0x5, 0, CPUID_ECX, 0 }, { 0x5, 0, CPUID_EDX, 0 },
		{ 0x6, 0, CPUID_EAX, 0 }, { 0x6, 0, CPUID_ECX, 0 },
		{ 0x9, 0, CPUID_EAX, 0 },
		{ 0xa, 0, CPUID_EAX, 0 }, { 0xa, 0, CPUID_EDX, 0 },
		{ 0xb, 0, CPUID_EBX, 0 }, { 0xb, 1, CPUID_EDX, 0 },
		/* x87 SSE AVX and the three parts of AVX-512 */
		{ 0xd, 0, CPUID_EAX, 0xe7 }, { 0xd, 0, CPUID_EDX, 0 },
		/* XSAVEOPT, XGETBV with ECX 1 */
		{ 0xd, 1, CPUID_EAX, 0x5 }, { 0xd, 1, CPUID_EBX, 0 },
		{ 0xd, 1, CPUID_ECX, 0 }, { 0xd, 1, CPUID_EDX, 0 },
		{ 0xd, 9, CPUID_EAX, 0 }, { 0xd, 17, CPUID_EAX, 0 },
		{ 0xf, 0, CPUID_EBX, 0 }, { 0x14, 0, CPUID_EAX, 0 },
		{ 0x40000000, 0, CPUID_EAX, 0 },
		{ 0x40000002, 0, CPUID_EAX, 0 },
		{ 0x40000101, 0, CPUID_EDX, 0 },
		/* LAHF CR8 ABM SSE4A MISALIGN PREFETCHW XOP FMA4 TBM */
		{ 0x80000001, 0, CPUID_ECX, 0x002109f1 },
		/* as leaf 1, and SYSCALL NX MMXEXT FFXSR 1GB LM 3DNOW* */
		{ 0x80000001, 0, CPUID_EDX, 0xe7d3a97f },
		{ 0x80000007, 0, CPUID_EBX, 0 },
		{ 0x80000007, 0, CPUID_EDX, 1u << 8 },	/* invariant TSC */
		{ 0x80000008, 0, CPUID_EAX, 0xffff },	/* address widths */
		/* CLZERO XSAVEERPTR LMSLE SSB_NO BTC_NO */
		{ 0x80000008, 0, CPUID_EBX, 0x24100005 },
		{ 0x80000008, 0, CPUID_ECX, 0 }, { 0x80000008, 0, CPUID_EDX, 0 },
		{ 0x8000000a, 0, CPUID_EAX, 0 }, { 0x8000000a, 0, CPUID_EDX, 0 },
		{ 0x8000001d, 0, CPUID_EAX, 0 },
		{ 0x8000001e, 0, CPUID_EAX, 0 }, { 0x8000001f, 0, CPUID_EAX, 0 },
		{ 0x80000021, 0, CPUID_EAX, 0x20040e67 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(guest) / sizeof(guest[0]); i++)
		ck_assert_msg(seen(guest[i].leaf, guest[i].subleaf, guest[i].reg,
		    ~0u) == guest[i].value, "leaf %#x.%u register %u: %#x, not %#x",
		    guest[i].leaf, guest[i].subleaf, guest[i].reg,
		    seen(guest[i].leaf, guest[i].subleaf, guest[i].reg, ~0u),
		    guest[i].value);
}
END_TEST

/* By name, the ones that would hurt most (hazard class: over-promise). */
START_TEST(hidden_whatever_the_host_has)
{
	static const char *const names[] = {
		"monitor", "mwaitx", "vmx", "svm", "smx", "skinit", "pcid",
		"invpcid", "x2apic", "apic", "ext_apic", "extapic", "mtrr",
		"ext_mtrr", "mce", "mca", "ext_mce", "ext_mca", "tsc_deadline",
		"tsc_adjust", "rdtscp", "rdpid", "xsaves", "xsavec", "xfd", "pku",
		"ospke", "pks", "cet_ss", "cet_ibt", "amx_tile", "amx_int8",
		"amx_bf16", "amx_fp16", "apx_f", "uintr", "la57", "lass", "lam",
		"fred", "mpx", "rtm", "hle", "sgx", "intel_pt", "pdcm", "ds",
		"arch_lbr", "waitpkg", "enqcmd", "key_locker", "spec_ctrl",
		"stibp", "spec_ctrl_ssbd", "flush_l1d", "arch_capabilities",
		"core_capabilities", "amd_ibpb", "amd_ibrs", "amd_stibp",
		"amd_ssbd", "virt_ssbd", "automatic_ibrs", "rdpru", "invlpgb",
		"mcommit", "wbnoinvd", "osvw", "ibs", "lwp", "nodeid_msr", "dbx",
		"topoext", "perfctr_core", "aperfmperf", "arat", "hwp", "epb",
		"htt", "cmp_legacy", "psn", "amd_ppin", "kvm_pv_eoi",
		"kvm_steal_time", "kvm_async_pf", "kvm_clocksource",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int f = feature(names[i]);

		ck_assert_msg(f >= 0, "no row %s", names[i]);
		ck_assert_msg(!shown((enum cpuid_feature)f, ~0u), "%s", names[i]);
	}
}
END_TEST

START_TEST(passes_when_the_host_has_it)
{
	static const char *const names[] = {
		"fpu", "tsc", "msr", "pae", "pge", "pat", "cx8", "sep", "fxsr",
		"sse2", "xsave", "avx", "avx2", "avx512f", "fsgsbase", "smep",
		"smap", "umip", "nx", "syscall", "lm", "page1gb", "ffxsr",
		"invtsc", "rdrand", "rdseed", "aes", "xsaveopt",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int f = feature(names[i]);

		ck_assert_msg(f >= 0, "no row %s", names[i]);
		ck_assert_msg(shown((enum cpuid_feature)f, ~0u) &&
		    !shown((enum cpuid_feature)f, 0), "%s", names[i]);
	}
}
END_TEST

START_TEST(fixups_stand_where_they_work)
{
	static const struct { uint32_t leaf, subleaf; uint8_t fixup; } at[] = {
		{ 0x0, 0, CPUID_FIXUP_LEVEL },
		{ 0x1, 0, CPUID_FIXUP_APIC_ID },
		{ 0xd, 0, CPUID_FIXUP_XSAVE_SIZE },
		{ 0xd, 2, CPUID_FIXUP_XSAVE_AREA },
		{ 0xd, 5, CPUID_FIXUP_XSAVE_AREA },
		{ 0xd, 6, CPUID_FIXUP_XSAVE_AREA },
		{ 0xd, 7, CPUID_FIXUP_XSAVE_AREA },
		{ 0x15, 0, CPUID_FIXUP_TSC },
		{ 0x40000001, 0, CPUID_FIXUP_KVM_CLOCK },
		{ 0x40000101, 0, CPUID_FIXUP_KVM_CLOCK },
		{ 0x80000000, 0, CPUID_FIXUP_EXT_LEVEL },
	};
	unsigned int i, n = 0;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		ck_assert_uint_eq(rule(at[i].leaf, at[i].subleaf)->fixup,
		    at[i].fixup);
	for (i = 0; i < cpuid_rule_count; i++)
		n += cpuid_rules[i].fixup != CPUID_FIXUP_NONE;
	ck_assert_uint_eq(n, sizeof(at) / sizeof(at[0]));
	ck_assert_uint_eq(CPUID_LEVEL_LAST, 0x16);
	ck_assert_uint_eq(CPUID_EXT_LEVEL_LAST, 0x80000021);
	ck_assert_uint_eq(CPUID_XCR0_POLICY, 0xe7);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cpuid");
	TCase *t = tcase_create("cpuid");
	SRunner *r;
	int failed;

	tcase_add_test(t, places_are_linux_s);
	tcase_add_test(t, rules_are_sorted_and_sound);
	tcase_add_test(t, features_are_sound);
	tcase_add_test(t, all_zeros_host);
	tcase_add_test(t, all_ones_host);
	tcase_add_test(t, hidden_whatever_the_host_has);
	tcase_add_test(t, passes_when_the_host_has_it);
	tcase_add_test(t, fixups_stand_where_they_work);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
