/* SPDX-License-Identifier: ISC */
/*
 * test_controls.c - intercept bits against the kernel's, and what is set with
 * all capabilities, with each of them off, and with none.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "svm_controls.h"
#include "svm_vmcb.h"
#include "oracle_controls.h"

/* By hand from APM 2 B.1 and the policy of the driver. */
#define MISC1		0x9d4c802fu	/* without PAUSE */
#define MISC1_PAUSE	(1u << 23)
#define MISC2		0x00007effu
#define MISC3_INVLPGB	0x3u
#define MISC3_MCOMMIT	0x8u
#define MISC3_TLBSYNC	0x10u
#define EXCEPTIONS	((1u << 1) | (1u << 17) | (1u << 18))

static struct vmcb vmcb;

static void
init(const struct svm_caps *caps)
{
	/* Whatever was there before must not shine through. */
	memset(&vmcb, 0xff, sizeof(vmcb));
	svm_controls_init(&vmcb, caps);
}

static struct svm_caps
all_caps(void)
{
	struct svm_caps caps;

	ck_assert_ptr_null(svm_caps_read(&caps, 0x8000, 0xffffffff));
	svm_caps_read_ext(&caps, 0xffffffff);
	return caps;
}

/* What stands in the VMCB whatever the capabilities are. */
static void
check_constant(void)
{
	ck_assert_uint_eq(vmcb.intercept_cr_read, 0);
	ck_assert_uint_eq(vmcb.intercept_cr_write, 1u << 4);
	ck_assert_uint_eq(vmcb.intercept_dr_read, 0);
	ck_assert_uint_eq(vmcb.intercept_dr_write, 0);
	ck_assert_uint_eq(vmcb.intercept_exceptions, EXCEPTIONS);
	ck_assert_uint_eq(vmcb.intercept_misc1 & ~MISC1_PAUSE, MISC1);
	ck_assert_uint_eq(vmcb.intercept_misc2, MISC2);
	ck_assert_uint_eq(vmcb.vintr, 1u << 24);
	ck_assert_uint_eq(vmcb.np_control, 1);
	ck_assert_uint_eq(vmcb.lbr_control, 0);
	/* The groups of what was written are dirty. */
	ck_assert_uint_eq(vmcb.clean & (VMCB_CLEAN_INTERCEPTS |
	    VMCB_CLEAN_TPR | VMCB_CLEAN_NP | VMCB_CLEAN_LBR), 0);
}

START_TEST(all_capabilities)
{
	struct svm_caps caps = all_caps();

	init(&caps);
	check_constant();
	ck_assert_uint_eq(vmcb.intercept_misc1, MISC1 | MISC1_PAUSE);
	ck_assert_uint_eq(vmcb.intercept_misc3,
	    MISC3_INVLPGB | MISC3_MCOMMIT | MISC3_TLBSYNC);
	ck_assert_uint_eq(vmcb.pause_filter_count, 3000);
	ck_assert_uint_eq(vmcb.pause_filter_threshold, 128);
}
END_TEST

START_TEST(no_capability_but_the_required)
{
	struct svm_caps caps;

	/* What QEMU's TCG has: nested paging and nothing that we use. */
	ck_assert_ptr_null(svm_caps_read(&caps, 16, 1));
	svm_caps_read_ext(&caps, 0);
	init(&caps);
	check_constant();
	ck_assert_uint_eq(vmcb.intercept_misc1, MISC1);
	ck_assert_uint_eq(vmcb.intercept_misc3, 0);
	ck_assert_uint_eq(vmcb.pause_filter_count, 0);
	ck_assert_uint_eq(vmcb.pause_filter_threshold, 0);
}
END_TEST

START_TEST(each_capability_off)
{
	struct svm_caps caps;

	for (unsigned int bit = 1; bit < 32; bit++) {
		ck_assert_ptr_null(svm_caps_read(&caps, 2, ~(1u << bit)));
		svm_caps_read_ext(&caps, 0xffffffff);
		init(&caps);
		check_constant();
		ck_assert_uint_eq(vmcb.intercept_misc1,
		    MISC1 | (bit == 10 ? 0 : MISC1_PAUSE));
		ck_assert_uint_eq(vmcb.intercept_misc3, MISC3_INVLPGB |
		    MISC3_MCOMMIT | (bit == 24 ? 0 : MISC3_TLBSYNC));
		ck_assert_uint_eq(vmcb.pause_filter_count,
		    bit == 10 ? 0 : 3000);
		ck_assert_uint_eq(vmcb.pause_filter_threshold,
		    bit == 12 ? 0 : 128);
	}
	for (unsigned int bit = 0; bit < 32; bit++) {
		ck_assert_ptr_null(svm_caps_read(&caps, 2, 0xffffffff));
		svm_caps_read_ext(&caps, ~(1u << bit));
		init(&caps);
		check_constant();
		ck_assert_uint_eq(vmcb.intercept_misc3, MISC3_TLBSYNC |
		    (bit == 3 ? 0 : MISC3_INVLPGB) |
		    (bit == 8 ? 0 : MISC3_MCOMMIT));
	}
}
END_TEST

START_TEST(a_missing_required_capability_is_named)
{
	struct svm_caps caps;

	ck_assert_str_eq(svm_caps_read(&caps, 16, 0), "nested paging");
	ck_assert_str_eq(svm_caps_read(&caps, 16, ~1u), "nested paging");
}
END_TEST

START_TEST(capabilities_come_from_their_bits)
{
	struct svm_caps caps;

	ck_assert_ptr_null(svm_caps_read(&caps, 0x8000, 1));
	ck_assert_uint_eq(caps.asids, 0x8000);
#define X(cap) do {							\
	const struct oracle_bit *o = oracle_caps;			\
	while (o->name != NULL && strcmp(o->name, #cap) != 0)		\
		o++;							\
	ck_assert_msg(o->name != NULL, "%s", #cap);			\
	svm_caps_read(&caps, 2, 1u << o->bit);				\
	ck_assert_msg(caps.cap, "%s is not bit %u", #cap, o->bit);	\
	svm_caps_read(&caps, 2, ~(1u << o->bit));			\
	ck_assert_msg(!caps.cap, "%s is more than bit %u", #cap,	\
	    o->bit);							\
} while (0);
	X(npt) X(nrip_save) X(tsc_scale) X(clean_bits) X(flush_by_asid)
	X(decode_assists) X(pause_filter) X(pause_filter_threshold) X(vgif)
	X(spec_ctrl)
#undef X
	/* Newer than the kernel's list: APM 3 E.4.9. */
	svm_caps_read(&caps, 2, 1u << 24);
	ck_assert(caps.tlbi_ctl && !caps.npt);
	/* The second leaf starts from nothing. */
	svm_caps_read(&caps, 2, 0xffffffff);
	ck_assert(!caps.invlpgb && !caps.mcommit);
}
END_TEST

/* Offset and mask of a control, in the kernel's numbering: word * 32 + bit. */
static unsigned int
number_of(const struct svm_control *c)
{
	return (c->offset * 8) + (unsigned int)__builtin_ctzll(c->mask);
}

START_TEST(intercepts_are_the_kernels)
{
	for (const struct oracle_bit *o = oracle_intercepts; o->name; o++) {
		const struct svm_control *c = NULL;

		for (unsigned int i = 0; i < svm_controls_count; i++)
			if (strcmp(svm_controls[i].name, o->name) == 0)
				c = &svm_controls[i];
		ck_assert_msg(c != NULL, "no control %s", o->name);
		ck_assert_msg(number_of(c) == o->bit, "%s is %u, not %u",
		    o->name, number_of(c), o->bit);
	}
}
END_TEST

/*
 * Every bit of the table is what the VMCB has: required on, refused and dynamic
 * off; and the bits of all intercept words are in the table once.
 */
START_TEST(the_table_is_what_is_set)
{
	struct svm_caps caps = all_caps();
	uint32_t seen[6] = { 0 };

	init(&caps);
	for (unsigned int i = 0; i < svm_controls_count; i++) {
		const struct svm_control *c = &svm_controls[i];
		uint64_t word = 0;

		memcpy(&word, (const uint8_t *)&vmcb + c->offset, c->size);
		ck_assert_msg((word & c->mask) ==
		    (c->policy == SVM_CONTROL_REQUIRED ||
		    c->policy == SVM_CONTROL_WANTED ? c->mask : 0), "%s",
		    c->name);
		if (c->offset < 0x18) {
			uint64_t mask = c->mask << (c->offset % 4 * 8);

			ck_assert_msg(!(seen[c->offset / 4] & mask), "%s",
			    c->name);
			seen[c->offset / 4] |= (uint32_t)mask;
		}
	}
	for (unsigned int i = 0; i < 6; i++)
		ck_assert_uint_eq(seen[i], 0xffffffff);
	ck_assert_uint_eq(SVM_CONTROL_VINTR, 1u << 4);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controls");
	TCase *t = tcase_create("controls");
	SRunner *r;
	int failed;

	tcase_add_test(t, all_capabilities);
	tcase_add_test(t, no_capability_but_the_required);
	tcase_add_test(t, each_capability_off);
	tcase_add_test(t, a_missing_required_capability_is_named);
	tcase_add_test(t, capabilities_come_from_their_bits);
	tcase_add_test(t, intercepts_are_the_kernels);
	tcase_add_test(t, the_table_is_what_is_set);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
