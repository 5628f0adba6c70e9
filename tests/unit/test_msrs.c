/* SPDX-License-Identifier: ISC */
/*
 * test_msrs.c - the MSR policy: numbers against Linux's own list, the verdict
 * on every index, and both vendors' permission maps bit by bit.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_os.h"
#include "msrs.h"
#include "svm_msrpm.h"
#include "vmx_msrbm.h"
#include "oracle_msrs.h"

/* The indices SVM's map covers (APM 2 15.11), and its offsets. */
static const struct { uint32_t first, offset; } banks[] = {
	{ 0x00000000, 0x0000 }, { 0xc0000000, 0x0800 }, { 0xc0010000, 0x1000 },
};
#define BANK	0x2000u

/*
 * What a guest may touch at all, from the manuals and the interface; every
 * other MSR is #GP both ways. r, w: p pass, c constant, e emulate, i ignore,
 * s shadow, f fault. What reads as a shadow passes on SVM.
 */
static const struct expect {
	uint32_t index;
	char r, w;
	uint64_t constant;
} expect[] = {
	{ 0x10, 'p', 'e', 0 },		/* TSC */
	{ 0x17, 'c', 'f', 0 },
	{ 0x2a, 'c', 'f', 0 },
	{ 0x3a, 'c', 'f', 0x1 },	/* locked, VMX off */
	{ 0x79, 'f', 'i', 0 },		/* microcode update */
	{ 0x8b, 'c', 'i', 0 },
	{ 0xcd, 'c', 'f', 0 },
	{ 0xce, 'c', 'f', 0 },
	{ 0x174, 'p', 'p', 0 }, { 0x175, 'p', 'p', 0 }, { 0x176, 'p', 'p', 0 },
	{ 0x198, 'c', 'f', 0 },
	{ 0x1a0, 'c', 'i', 0x1801 },	/* MISC_ENABLE */
	{ 0x1d9, 'c', 'i', 0 },		/* DEBUGCTL */
	{ 0x1db, 'c', 'f', 0 }, { 0x1dc, 'c', 'f', 0 },
	{ 0x1dd, 'c', 'f', 0 }, { 0x1de, 'c', 'f', 0 },
	{ 0x277, 'e', 'e', 0 },		/* PAT */
	{ 0x4b564d00, 'e', 'e', 0 }, { 0x4b564d01, 'e', 'e', 0 },
	{ 0xc0000080, 'e', 'e', 0 },	/* EFER */
	{ 0xc0000081, 's', 'e', 0 }, { 0xc0000082, 's', 'e', 0 },
	{ 0xc0000083, 's', 'e', 0 }, { 0xc0000084, 's', 'e', 0 },
	{ 0xc0000100, 'p', 'p', 0 }, { 0xc0000101, 'p', 'p', 0 },
	{ 0xc0000102, 'p', 'p', 0 },
	{ 0xc0010010, 'c', 'i', 0 },	/* SYSCFG */
	{ 0xc0010015, 'c', 'i', 1u << 24 },	/* HWCR.TscFreqSel */
	{ 0xc001001f, 'c', 'i', 0 },	/* NB_CFG */
	{ 0xc0010020, 'f', 'i', 0 },	/* microcode update */
	{ 0xc0010055, 'c', 'f', 0 },
	{ 0xc0010114, 'c', 'f', 0x18 },	/* VM_CR: SVM off and locked */
	{ 0xc0011029, 'c', 'i', 0x2 },	/* DE_CFG: LFENCE serialises */
};
#define EXPECTED	(sizeof(expect) / sizeof(expect[0]))

/* The core's handlers: the table only takes their addresses. */
#define READER(name) \
int \
msr_read_##name(struct vcpu *v, uint64_t *value) \
{ \
	(void)v; \
	*value = 0; \
	return 0; \
}
#define WRITER(name) \
int \
msr_write_##name(struct vcpu *v, uint64_t value) \
{ \
	(void)v; \
	(void)value; \
	return 0; \
}
READER(efer)
READER(pat)
READER(pvclock_system)
READER(pvclock_wall)
WRITER(efer)
WRITER(pat)
WRITER(pvclock_system)
WRITER(pvclock_wall)
WRITER(tsc)
WRITER(star)
WRITER(lstar)
WRITER(cstar)
WRITER(sfmask)

static const struct expect *
expected(uint32_t index)
{
	unsigned int i;

	for (i = 0; i < EXPECTED; i++) {
		if (expect[i].index == index)
			return &expect[i];
	}
	return NULL;
}

static const struct msr_policy *
by_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < msr_policy_count; i++) {
		if (strcmp(msr_policies[i].name, name) == 0)
			return &msr_policies[i];
	}
	return NULL;
}

/* A row that only says why: to a guest it is none. */
static bool
refused(const struct msr_policy *p)
{
	return p->read == MSR_READ_FAULT && p->write == MSR_WRITE_FAULT;
}

/* What a guest finds at an index, row by row. */
static const struct msr_policy *
search(uint32_t index)
{
	unsigned int i;

	for (i = 0; i < msr_policy_count; i++) {
		if (index - msr_policies[i].index < msr_policies[i].count &&
		    !refused(&msr_policies[i]))
			return &msr_policies[i];
	}
	return NULL;
}

static void
check_index(uint32_t index)
{
	const struct msr_policy *p = msr_policy(index);
	const struct expect *e = expected(index);
	static const char reads[] = "fpcse", writes[] = "fpise";

	ck_assert_msg(p == search(index), "%#x: another row than its own", index);
	if (e == NULL) {
		ck_assert_msg(p == NULL, "%#x is reachable", index);
		return;
	}
	ck_assert_msg(p != NULL, "%#x has no row", index);
	ck_assert_msg(p->index <= index && index - p->index < p->count,
	    "%#x: found the row of %#x", index, p->index);
	ck_assert_msg(reads[p->read] == e->r, "read of %#x: %c, wanted %c", index,
	    reads[p->read], e->r);
	ck_assert_msg(writes[p->write] == e->w, "write of %#x: %c, wanted %c",
	    index, writes[p->write], e->w);
	ck_assert_uint_eq(p->constant, e->constant);
	ck_assert((p->read == MSR_READ_EMULATE) == (p->read_fn != NULL));
	ck_assert((p->write == MSR_WRITE_EMULATE) == (p->write_fn != NULL));
}

START_TEST(numbers_are_linux_s)
{
	unsigned int i;

	for (i = 0; i < oracle_msr_count; i++) {
		const struct oracle_msr *o = &oracle_msrs[i];
		const struct msr_policy *p = by_name(o->row);

		ck_assert_msg(p != NULL, "no row %s", o->row);
		ck_assert_msg(p->index + o->nth == o->index && o->nth < p->count,
		    "%s: %#x, Linux has %#x", o->kernel, p->index + o->nth,
		    o->index);
		ck_assert_ptr_eq(msr_policy(o->index), refused(p) ? NULL : p);
	}
}
END_TEST

START_TEST(bits_are_linux_s)
{
	static const struct { const char *name; uint64_t mask; } ours[] = {
		{ "feature_control locked", ARCH_MSR_FEATURE_CONTROL_LOCKED },
		{ "feature_control vmx_outside_smx",
		    ARCH_MSR_FEATURE_CONTROL_VMX_OUTSIDE_SMX },
		{ "misc_enable fast_strings", ARCH_MSR_MISC_ENABLE_FAST_STRINGS },
		{ "misc_enable bts_unavailable",
		    ARCH_MSR_MISC_ENABLE_BTS_UNAVAILABLE },
		{ "misc_enable pebs_unavailable",
		    ARCH_MSR_MISC_ENABLE_PEBS_UNAVAILABLE },
		{ "misc_enable limit_cpuid", ARCH_MSR_MISC_ENABLE_LIMIT_CPUID },
		{ "hwcr smm_lock", ARCH_MSR_HWCR_SMM_LOCK },
		{ "hwcr irperf_en", ARCH_MSR_HWCR_IRPERF_EN },
		{ "de_cfg lfence_serialize", ARCH_MSR_DE_CFG_LFENCE_SERIALIZE },
		{ "de_cfg fp_backup_fix", ARCH_MSR_DE_CFG_FP_BACKUP_FIX },
	};
	unsigned int i;

	ck_assert_uint_eq(oracle_msr_bit_count, sizeof(ours) / sizeof(ours[0]));
	for (i = 0; i < oracle_msr_bit_count; i++) {
		ck_assert_str_eq(oracle_msr_bits[i].name, ours[i].name);
		ck_assert_msg(oracle_msr_bits[i].mask == ours[i].mask, "%s",
		    ours[i].name);
	}
}
END_TEST

START_TEST(table_is_sorted)
{
	unsigned int i;

	for (i = 1; i < msr_policy_count; i++)
		ck_assert_msg(msr_policies[i - 1].index +
		    (msr_policies[i - 1].count - 1u) < msr_policies[i].index,
		    "%s", msr_policies[i].name);
}
END_TEST

START_TEST(every_index_has_its_verdict)
{
	unsigned int b, i;

	for (b = 0; b < 3; b++) {
		for (i = 0; i < BANK; i++)
			check_index(banks[b].first + i);
	}
	for (i = 0; i < 0x1000; i++)
		check_index(0x4b564000 + i);
	for (i = 0; i < 0x10000; i++)
		check_index(0x40000000 + i);
	/* Numbers from all over, and all that differ from a row's in a bit. */
	for (i = 0; i < 0x4000; i++)
		check_index(i * 0x9e3779b1);
	for (i = 0; i < msr_policy_count; i++) {
		for (b = 0; b < 32; b++)
			check_index(msr_policies[i].index ^ 1u << b);
		check_index(msr_policies[i].index + msr_policies[i].count);
	}
	check_index(0xffffffff);
	check_index(0x80000000);
	for (i = 0; i < EXPECTED; i++)
		check_index(expect[i].index);
}
END_TEST

START_TEST(no_row_is_null)
{
	static const uint32_t none[] = {
		0x2, 0x5, 0x7, 0xf, 0x13, 0x1fff, 0x2000, 0x4b564cff, 0x4b564d05,
		0x40000000, 0xbfffffff, 0xc0000000, 0xc0001fff, 0xc0011fff,
		0xc0012000, 0xffffffff,
	};
	unsigned int i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ck_assert_msg(msr_policy(none[i]) == NULL, "%#x", none[i]);
}
END_TEST

/* The map as the CPU reads it: true when the access is intercepted. */
static bool
intercepted(const uint8_t *map, unsigned int bank, uint32_t index, bool write)
{
	unsigned int bit = 2 * (index - banks[bank].first) + write;

	return map[banks[bank].offset + bit / 8] >> bit % 8 & 1;
}

START_TEST(map_opens_exactly_the_pass_rows)
{
	uint8_t *map = malloc(SVM_MSRPM_SIZE);
	unsigned int b, open = 0;
	uint32_t i;

	memset(map, 0, SVM_MSRPM_SIZE);
	svm_msrpm_init(map);
	for (b = 0; b < 3; b++) {
		for (i = banks[b].first; i < banks[b].first + BANK; i++) {
			const struct expect *e = expected(i);
			bool r = e != NULL && (e->r == 's' || e->r == 'p');
			bool w = e != NULL && (e->r == 's' || e->w == 'p');

			ck_assert_msg(intercepted(map, b, i, false) == !r,
			    "read of %#x", i);
			ck_assert_msg(intercepted(map, b, i, true) == !w,
			    "write of %#x", i);
			open += r + w;
		}
	}
	ck_assert_uint_eq(open, 1 + 2 * 3 + 2 * 4 + 2 * 3);
	/* The map's tail is beyond its three banks: all ones. */
	for (i = 0x1800; i < SVM_MSRPM_SIZE; i++)
		ck_assert_uint_eq(map[i], 0xff);
	free(map);
}
END_TEST

/* SDM 3C 25.6.9: reads of low and high MSRs, then writes of both. */
START_TEST(vmx_map_opens_exactly_the_pass_rows)
{
	static const uint32_t first[] = { 0x00000000, 0xc0000000 };
	uint8_t *map = malloc(VMX_MSRBM_SIZE);
	unsigned int b, open = 0;
	uint32_t i;

	memset(map, 0, VMX_MSRBM_SIZE);
	vmx_msrbm_init(map);
	for (b = 0; b < 2; b++) {
		for (i = 0; i < BANK; i++) {
			const struct expect *e = expected(first[b] + i);
			bool r = e != NULL && e->r == 'p';
			bool w = e != NULL && e->w == 'p';

			ck_assert_msg((map[b * 0x400 + i / 8] >> i % 8 & 1) == !r,
			    "read of %#x", first[b] + i);
			ck_assert_msg((map[0x800 + b * 0x400 + i / 8] >> i % 8 & 1) ==
			    !w, "write of %#x", first[b] + i);
			open += r + w;
		}
	}
	ck_assert_uint_eq(open, 1 + 2 * 3 + 2 * 3);
	free(map);
}
END_TEST

/* What passes on VMX is switched; what does on SVM only, the driver keeps. */
START_TEST(vmx_switches_what_passes)
{
	/* FS and GS base, SYSENTER: SDM 3C 25.4.1. And one by the driver. */
	static const uint32_t switched[] = { 0x10, 0x174, 0x175, 0x176,
	    0xc0000100, 0xc0000101, 0xc0000102 };
	bool slot[MSR_SLOTS] = { false };
	unsigned int i, j, passing = 0, kept = 0;

	for (i = 0; i < EXPECTED; i++) {
		passing += expect[i].r == 'p';
		kept += expect[i].r == 's';
	}
	ck_assert_uint_eq(passing, sizeof(switched) / sizeof(switched[0]));
	ck_assert_uint_eq(kept, VMX_MSR_CONTEXTS);
	for (i = 0; i < VMX_MSR_CONTEXTS; i++) {
		const struct vmx_msr_context *c = &vmx_msr_contexts[i];

		ck_assert_int_eq(expected(c->index)->r, 's');
		for (j = 0; j < sizeof(switched) / sizeof(switched[0]); j++)
			ck_assert_uint_ne(c->index, switched[j]);
		ck_assert_uint_lt(c->slot, MSR_SLOTS);
		ck_assert(!slot[c->slot]);
		slot[c->slot] = true;
		ck_assert_uint_eq(msr_policy(c->index)->slot, c->slot);
	}
}
END_TEST

START_TEST(kept_values_have_slots)
{
	bool used[MSR_SLOTS] = { false };
	unsigned int i;

	for (i = 0; i < msr_policy_count; i++) {
		const struct msr_policy *p = &msr_policies[i];
		bool shadow = p->read == MSR_READ_SHADOW ||
		    p->write == MSR_WRITE_SHADOW;

		ck_assert_msg(!shadow || p->slot < MSR_SLOTS, "%s", p->name);
		if (p->slot == MSR_SLOT_NONE)
			continue;
		ck_assert_uint_lt(p->slot, MSR_SLOTS);
		ck_assert(!used[p->slot]);
		used[p->slot] = true;
	}
	ck_assert_uint_eq(by_name("misc_enable")->slot, MSR_SLOT_MISC_ENABLE);
}
END_TEST

START_TEST(vendors_keep_to_themselves)
{
	static const struct { const char *name; uint8_t vendors; } rows[] = {
		{ "misc_enable", MSR_VENDOR_INTEL },
		{ "feature_control", MSR_VENDOR_INTEL },
		{ "hwcr", MSR_VENDOR_AMD },
		{ "vm_cr", MSR_VENDOR_AMD },
		{ "efer", MSR_VENDOR_INTEL | MSR_VENDOR_AMD },
		{ "pvclock_system", MSR_VENDOR_INTEL | MSR_VENDOR_AMD },
	};
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_uint_eq(by_name(rows[i].name)->vendors, rows[i].vendors);
	for (i = 0; i < msr_policy_count; i++) {
		if (msr_policies[i].index >= 0xc0010000)
			ck_assert_uint_eq(msr_policies[i].vendors, MSR_VENDOR_AMD);
	}
}
END_TEST

START_TEST(pat_resets_as_the_manual_says)
{
	/* SDM 3A 11.12.4: WB, WT, UC-, UC, twice. */
	ck_assert_uint_eq(by_name("pat")->reset, 0x0007040600070406ULL);
	ck_assert_uint_eq(by_name("pat")->check, MSR_CHECK_PAT);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("msrs");
	TCase *t = tcase_create("msrs");
	SRunner *r;
	int failed;

	tcase_add_test(t, numbers_are_linux_s);
	tcase_add_test(t, bits_are_linux_s);
	tcase_add_test(t, table_is_sorted);
	tcase_add_test(t, every_index_has_its_verdict);
	tcase_add_test(t, no_row_is_null);
	tcase_add_test(t, map_opens_exactly_the_pass_rows);
	tcase_add_test(t, vmx_map_opens_exactly_the_pass_rows);
	tcase_add_test(t, vmx_switches_what_passes);
	tcase_add_test(t, kept_values_have_slots);
	tcase_add_test(t, vendors_keep_to_themselves);
	tcase_add_test(t, pat_resets_as_the_manual_says);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
