/* SPDX-License-Identifier: ISC */
/*
 * test_cpuid_guest.c - what the core makes of the CPUID policy on a given host.
 */
#include <check.h>
#include <stdlib.h>

#include "vm.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "fpu.h"

/* The core's tables for a host that has all features and runs with xcr0. */
static void
host_with(uint32_t leaf1_ecx, uint64_t xcr0)
{
	unsigned int i;

	sim_reset();
	for (i = 0; i < HOST_USER_CPUS; i++)
		sim_cpu[i].xcr0 = xcr0;
	sim_cpuid_set(0x1, UINT32_MAX, ~0u, ~0u, leaf1_ecx, ~0u);
	sim_cpuid_set(0x7, 0, ~0u, ~0u, ~0u, ~0u);
	sim_cpuid_set(0x7, 1, ~0u, ~0u, ~0u, ~0u);
	sim_cpuid_set(0xd, 1, ~0u, ~0u, ~0u, ~0u);
	sim_cpuid_set(0x80000001, UINT32_MAX, ~0u, ~0u, ~0u, ~0u);
	fpu_init();
	cpuid_init();
}

/* Hazard G16: no feature whose registers the host leaves off. */
START_TEST(features_need_their_state)
{
	static const enum cpuid_feature legacy[] = { CPUID_FEATURE_SSE2,
	    CPUID_FEATURE_AES, CPUID_FEATURE_GFNI, CPUID_FEATURE_SHA,
	    CPUID_FEATURE_BMI2, CPUID_FEATURE_LM, CPUID_FEATURE_SMEP };
	static const enum cpuid_feature avx[] = { CPUID_FEATURE_AVX,
	    CPUID_FEATURE_AVX2, CPUID_FEATURE_FMA, CPUID_FEATURE_F16C,
	    CPUID_FEATURE_XOP, CPUID_FEATURE_FMA4, CPUID_FEATURE_VAES,
	    CPUID_FEATURE_VPCLMULQDQ, CPUID_FEATURE_AVX_VNNI,
	    CPUID_FEATURE_SHA512 };
	static const enum cpuid_feature avx512[] = { CPUID_FEATURE_AVX512F,
	    CPUID_FEATURE_AVX512VL, CPUID_FEATURE_AVX512_VBMI,
	    CPUID_FEATURE_AVX512_FP16, CPUID_FEATURE_AVX512_BF16 };
	static const enum cpuid_feature xsave[] = { CPUID_FEATURE_XSAVE,
	    CPUID_FEATURE_XSAVEOPT, CPUID_FEATURE_XGETBV_ECX1 };
	static const struct {
		uint32_t leaf1_ecx;
		uint64_t xcr0;
		bool xsave, avx, avx512;
	} hosts[] = {
		{ ~0u, 0xe7, true, true, true },
		{ ~0u, 0x2e7 | 3ULL << 17, true, true, true },
		{ ~0u, 0x7, true, true, false },
		{ ~0u, 0x3, true, false, false },
		{ ~(1u << 27), 0x1, false, false, false },	/* no OSXSAVE */
	};
	unsigned int h, i;

	for (h = 0; h < sizeof(hosts) / sizeof(hosts[0]); h++) {
		host_with(hosts[h].leaf1_ecx, hosts[h].xcr0);
#define ALL(list, want) \
		for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) \
			ck_assert_msg(cpuid_guest_has(list[i]) == (want), \
			    "host %u: %s", h, cpuid_feature_name[list[i]])
		ALL(legacy, true);
		ALL(xsave, hosts[h].xsave);
		ALL(avx, hosts[h].avx);
		ALL(avx512, hosts[h].avx512);
#undef ALL
	}
	sim_reset();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cpuid_guest");
	TCase *t = tcase_create("cpuid_guest");
	SRunner *r;
	int failed;

	tcase_add_test(t, features_need_their_state);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
