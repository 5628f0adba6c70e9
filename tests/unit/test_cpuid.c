/* SPDX-License-Identifier: ISC */
/*
 * test_cpuid.c - the CPUID policy: each bit's place against Linux's, what a
 * guest sees of a CPU that has everything and of one that has nothing, as far
 * as the tables say; what the core makes of them is in test_cpuid_guest.c.
 */
#include <check.h>
#include <stdio.h>
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

/* Bits that Linux has no word for, as SDM 2A CPUID and APM 3 E have them: number and row. */
START_TEST(places_are_the_manuals)
{
	static const struct {
		uint32_t leaf, subleaf;
		int reg;
		const char *bits;
	} registers[] = {
		{ 0x4, 0, CPUID_EAX, "8 cache_self_initialising 9 cache_fully_associative" },
		{ 0x4, 0, CPUID_EDX, "0 cache_wbinvd_scope 1 cache_inclusive "
		    "2 cache_complex_indexing" },
		{ 0x5, 0, CPUID_ECX, "0 mwait_extensions 1 mwait_interrupt_break" },
		{ 0x6, 0, CPUID_EAX, "5 ecmd 13 hdc 14 turbo_max_3 15 hwp_capabilities "
		    "16 hwp_peci 17 hwp_flexible 18 hwp_fast 20 hwp_ignore_idle "
		    "23 thread_director 24 therm_interrupt_25" },
		{ 0x6, 0, CPUID_ECX, "0 aperfmperf 3 epb" },
		{ 0x7, 0, CPUID_EBX, "22 pcommit" },
		{ 0x7, 0, CPUID_ECX, "0 prefetchwt1 7 cet_ss 23 key_locker 31 pks" },
		{ 0x7, 0, CPUID_EDX, "1 sgx_keys 5 uintr" },
		{ 0x7, 1, CPUID_EAX, "0 sha512 1 sm3 2 sm4 3 rao_int 6 lass 7 cmpccxadd "
		    "8 arch_perfmon_ext 10 fzrm 11 fsrs 12 fsrc 17 fred 18 lkgs 19 wrmsrns "
		    "20 nmi_src 21 amx_fp16 22 hreset 23 avx_ifma 26 lam 27 msrlist "
		    "30 invd_disable" },
		{ 0x7, 1, CPUID_EBX, "0 ppin_msr 1 pbndkb 3 cpuid_max_lim_rem" },
		{ 0x7, 1, CPUID_EDX, "4 avx_vnni_int8 5 avx_ne_convert 8 amx_complex "
		    "10 avx_vnni_int16 13 utmr 14 prefetchi 15 user_msr 17 uiret_uif "
		    "18 cet_sss 19 avx10 21 apx_f 23 mwait_leaf" },
		{ 0x7, 2, CPUID_EDX, "0 psfd 1 ipred_ctrl 2 rrsba_ctrl 3 ddpd_u 4 bhi_ctrl "
		    "5 mcdt_no 6 uc_lock_disable 7 monitor_mitg_no" },
		{ 0xd, 0, CPUID_EAX, "0 xcr0_x87 1 xcr0_sse 2 xcr0_avx 3 xcr0_bndregs "
		    "4 xcr0_bndcsr 5 xcr0_opmask 6 xcr0_zmm_hi256 7 xcr0_hi16_zmm "
		    "9 xcr0_pkru 17 xcr0_tilecfg 18 xcr0_tiledata 19 xcr0_apx" },
		{ 0xf, 0, CPUID_EDX, "1 cqm_l3" },
		{ 0x40000001, 0, CPUID_EAX, "3 pvclock 24 pvclock_stable" },
		/* Linux, Documentation/virt/kvm/x86/cpuid.rst */
		{ 0x40000101, 0, CPUID_EAX, "0 kvm_clocksource 1 kvm_nop_io_delay "
		    "3 kvm_clocksource2 4 kvm_async_pf 5 kvm_steal_time 6 kvm_pv_eoi "
		    "7 kvm_pv_unhalt 9 kvm_pv_tlb_flush 11 kvm_pv_send_ipi "
		    "24 kvm_clocksource_stable" },
		{ 0x40000101, 0, CPUID_EDX, "0 kvm_hints_realtime" },
		{ 0x80000001, 0, CPUID_ECX, "30 dr_mask_ext" },
		/* The same places as in leaf 1. */
		{ 0x80000001, 0, CPUID_EDX, "0 ext_fpu 1 ext_vme 2 ext_de 3 ext_pse 4 ext_tsc "
		    "5 ext_msr 6 ext_pae 7 ext_mce 8 ext_cx8 9 ext_apic 12 ext_mtrr "
		    "13 ext_pge 14 ext_mca 15 ext_cmov 16 ext_pat 17 ext_pse36 23 ext_mmx "
		    "24 ext_fxsr" },
		{ 0x80000007, 0, CPUID_EBX, "2 hwa" },
		{ 0x80000007, 0, CPUID_EDX, "0 ts 1 fid 2 vid 3 ttp 4 htc 6 mhz_steps_100 "
		    "7 hw_pstate 8 invtsc 9 cpb 10 eff_freq_ro 11 proc_feedback "
		    "12 proc_power_reporting 13 connected_standby 14 rapl" },
		{ 0x80000008, 0, CPUID_EBX, "3 invlpgb 6 mbe 8 mcommit 13 int_wbinvd "
		    "16 ibrs_always_on 18 ibrs_preferred 19 ibrs_same_mode "
		    "20 lmsle_unsupported 21 invlpgb_nested 28 amd_psfd" },
		{ 0x80000021, 0, CPUID_EAX, "0 no_nested_data_bp 1 fsgs_base_not_serializing "
		    "2 lfence_serializing 3 smm_pg_cfg_lock 6 null_sel_clears_base "
		    "7 upper_address_ignore 9 no_smm_ctl_msr 10 fast_rep_stosb "
		    "11 fast_rep_cmpsb 13 prefetch_ctl_msr 17 cpuid_user_dis 18 epsf" },
		{ 0x80000021, 0, CPUID_ECX, "1 tsa_sq_no 2 tsa_l1_no" },
	};
	unsigned int i, bit;
	char name[64];

	for (i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		const char *at = registers[i].bits;
		int length;

		for (; sscanf(at, "%u %63s %n", &bit, name, &length) == 2; at += length) {
			int f = feature(name);
			const struct cpuid_rule *r;

			ck_assert_msg(f >= 0, "no row %s", name);
			r = &cpuid_rules[cpuid_feature_bit[f].rule];
			ck_assert_msg(r->leaf == registers[i].leaf &&
			    r->subleaf == registers[i].subleaf &&
			    cpuid_feature_bit[f].reg == registers[i].reg &&
			    cpuid_feature_bit[f].bit == bit, "%s", name);
		}
		ck_assert_msg(*at == '\0', "%s", at);
	}
}
END_TEST

/* SDM 1 13, APM 2 11.5: which part of the XSAVE area an instruction works on. */
START_TEST(states_are_the_manuals)
{
	static const struct { uint64_t xcr0; const char *names; } needs[] = {
		{ 0x2, "xsave xsaveopt xgetbv_ecx1" },
		{ 0x4, "fma avx f16c avx2 vaes vpclmulqdq sha512 sm3 sm4 avx_vnni avx_ifma "
		    "avx_vnni_int8 avx_ne_convert avx_vnni_int16 xop fma4" },
		{ 0x80, "avx512f avx512dq avx512_ifma avx512pf avx512er avx512cd avx512bw "
		    "avx512vl avx512_vbmi avx512_vbmi2 avx512_vnni avx512_bitalg "
		    "avx512_vpopcntdq avx512_4vnniw avx512_4fmaps avx512_vp2intersect "
		    "avx512_fp16 avx512_bf16" },
	};
	unsigned int i, j;
	char name[64];

	for (i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		const char *at = needs[i].names;
		int length;

		for (; sscanf(at, "%63s %n", name, &length) == 1; at += length) {
			uint64_t xcr0 = 0;

			for (j = 0; j < cpuid_state_need_count; j++)
				if ((int)cpuid_state_needs[j].feature == feature(name))
					xcr0 = cpuid_state_needs[j].xcr0;
			ck_assert_msg(xcr0 == needs[i].xcr0, "%s", name);
		}
	}
	/* What works on general registers alone needs no part of it. */
	for (j = 0; j < cpuid_state_need_count; j++)
		ck_assert_msg(strstr("sse sse2 aes gfni sha bmi1 bmi2 lm smep rdrand",
		    cpuid_feature_name[cpuid_state_needs[j].feature]) == NULL, "%s",
		    cpuid_feature_name[cpuid_state_needs[j].feature]);
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

static void
finds_the_rule(uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_rule *r = rule(leaf, subleaf);
	unsigned int want = r == NULL ? CPUID_RULE_COUNT : (unsigned int)(r - cpuid_rules);

	ck_assert_msg(cpuid_find(leaf, subleaf) == want, "leaf %#x sub-leaf %#x: %u, wanted %u",
	    leaf, subleaf, cpuid_find(leaf, subleaf), want);
}

/* The lookup finds what looking at one rule after the other finds. */
START_TEST(every_leaf_finds_its_rule)
{
	static const uint32_t subleaves[] = { 63, 64, 255, 256, 65535, 65536, 0x7fffffff,
	    0x80000000, 0x80000001, 0xffffffff };
	unsigned int i, bit, sub;

	for (i = 0; i < cpuid_rule_count; i++) {
		for (sub = 0; sub < 64; sub++)
			finds_the_rule(cpuid_rules[i].leaf, sub);
		for (sub = 0; sub < sizeof(subleaves) / sizeof(subleaves[0]); sub++)
			finds_the_rule(cpuid_rules[i].leaf, subleaves[sub]);
		for (bit = 0; bit < 32; bit++) {
			finds_the_rule(cpuid_rules[i].leaf ^ 1u << bit, 0);
			finds_the_rule(cpuid_rules[i].leaf ^ 1u << bit, 1);
		}
	}
	for (i = 0; i < 0x10000; i++) {
		finds_the_rule(i, 0);
		finds_the_rule(0x40000000 + i, 0);
		finds_the_rule(0x80000000 + i, 0);
		finds_the_rule(0xffffffff - i, 0);
		finds_the_rule(i * 0x9e3779b1, i);
	}
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
		{ 0x80000008, CPUID_EAX, 48 << 8 },	/* without la57 */
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
		{ 0x80000008, 0, CPUID_EAX, 48 << 8 | 0xff },	/* address widths */
		/* CLZERO XSAVEERPTR LMSLE SSB_NO BTC_NO */
		{ 0x80000008, 0, CPUID_EBX, 0x24100005 },
		{ 0x80000008, 0, CPUID_ECX, 0 }, { 0x80000008, 0, CPUID_EDX, 0 },
		{ 0x8000000a, 0, CPUID_EAX, 0 }, { 0x8000000a, 0, CPUID_EDX, 0 },
		{ 0x8000001d, 0, CPUID_EAX, 0 },
		{ 0x8000001e, 0, CPUID_EAX, 0 }, { 0x8000001f, 0, CPUID_EAX, 0 },
		{ 0x80000021, 0, CPUID_EAX, 0x20040e67 },
		{ 0x80000021, 0, CPUID_EBX, 0 },	/* microcode */
		{ 0x80000021, 0, CPUID_ECX, 0x6 },	/* TSA_SQ_NO TSA_L1_NO */
		/* SHA512 SM3 SM4 RAO-INT AVX-VNNI BF16 CMPCCXADD, fast strings,
		 * AVX-IFMA */
		{ 0x7, 1, CPUID_EAX, 0x00801cbf },
		/* VNNI-INT8 NE-CONVERT VNNI-INT16 PREFETCHI */
		{ 0x7, 1, CPUID_EDX, 0x00004430 },
		{ 0x7, 0, CPUID_EAX, 1 },		/* subleaves */
		/* Who made it and which it is; reserved bits of the signature. */
		{ 0x0, 0, CPUID_EAX, 0 },
		{ 0x0, 0, CPUID_EBX, ~0u }, { 0x0, 0, CPUID_ECX, ~0u },
		{ 0x0, 0, CPUID_EDX, ~0u }, { 0x1, 0, CPUID_EAX, 0x0fff3fff },
		{ 0x80000000, 0, CPUID_EAX, 0 },
		{ 0x80000000, 0, CPUID_EBX, ~0u }, { 0x80000000, 0, CPUID_ECX, ~0u },
		{ 0x80000000, 0, CPUID_EDX, ~0u }, { 0x80000001, 0, CPUID_EAX, ~0u },
		{ 0x80000001, 0, CPUID_EBX, 0xf000ffff },
		{ 0x80000002, 0, CPUID_EAX, ~0u }, { 0x80000002, 0, CPUID_EBX, ~0u },
		{ 0x80000002, 0, CPUID_ECX, ~0u }, { 0x80000002, 0, CPUID_EDX, ~0u },
		{ 0x80000003, 0, CPUID_EAX, ~0u }, { 0x80000003, 0, CPUID_EBX, ~0u },
		{ 0x80000003, 0, CPUID_ECX, ~0u }, { 0x80000003, 0, CPUID_EDX, ~0u },
		{ 0x80000004, 0, CPUID_EAX, ~0u }, { 0x80000004, 0, CPUID_EBX, ~0u },
		{ 0x80000004, 0, CPUID_ECX, ~0u }, { 0x80000004, 0, CPUID_EDX, ~0u },
		/* Caches are the host's, whose threads share them. */
		{ 0x2, 0, CPUID_EAX, ~0u }, { 0x2, 0, CPUID_EBX, ~0u },
		{ 0x2, 0, CPUID_ECX, ~0u }, { 0x2, 0, CPUID_EDX, ~0u },
		{ 0x4, 0, CPUID_EBX, ~0u }, { 0x4, 0, CPUID_ECX, ~0u },
		{ 0x4, 0, CPUID_EDX, 0x7 },
		{ 0x80000005, 0, CPUID_EAX, ~0u }, { 0x80000005, 0, CPUID_EBX, ~0u },
		{ 0x80000005, 0, CPUID_ECX, ~0u }, { 0x80000005, 0, CPUID_EDX, ~0u },
		{ 0x80000006, 0, CPUID_EAX, ~0u }, { 0x80000006, 0, CPUID_EBX, ~0u },
		{ 0x80000006, 0, CPUID_ECX, ~0u }, { 0x80000006, 0, CPUID_EDX, ~0u },
		/* Frequencies in MHz. */
		{ 0x16, 0, CPUID_EAX, 0xffff }, { 0x16, 0, CPUID_EBX, 0xffff },
		{ 0x16, 0, CPUID_ECX, 0xffff }, { 0x16, 0, CPUID_EDX, 0 },
		/* Nothing of the host's: waiting, power, counters, topology, sizes of
		 * state, sampling, the TSC's leaf and what AMD reports of its own. */
		{ 0x3, 0, CPUID_EDX, 0 },
		{ 0x5, 0, CPUID_EAX, 0 }, { 0x5, 0, CPUID_EBX, 0 },
		{ 0x6, 0, CPUID_EBX, 0 }, { 0x6, 0, CPUID_EDX, 0 },
		{ 0xa, 0, CPUID_EBX, 0 }, { 0xa, 0, CPUID_ECX, 0 },
		{ 0xb, 0, CPUID_EAX, 0 }, { 0xb, 0, CPUID_ECX, 0 },
		{ 0xb, 0, CPUID_EDX, 0 },
		{ 0xd, 0, CPUID_EBX, 0 }, { 0xd, 0, CPUID_ECX, 0 },
		{ 0xf, 0, CPUID_EDX, 0 },
		{ 0x15, 0, CPUID_EAX, 0 }, { 0x15, 0, CPUID_EBX, 0 },
		{ 0x15, 0, CPUID_ECX, 0 },
		{ 0x80000007, 0, CPUID_EAX, 0 }, { 0x80000007, 0, CPUID_ECX, 0 },
		{ 0x8000001d, 0, CPUID_EBX, 0 }, { 0x8000001d, 0, CPUID_ECX, 0 },
		{ 0x8000001d, 0, CPUID_EDX, 0 },
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
	tcase_add_test(t, places_are_the_manuals);
	tcase_add_test(t, states_are_the_manuals);
	tcase_add_test(t, rules_are_sorted_and_sound);
	tcase_add_test(t, every_leaf_finds_its_rule);
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
