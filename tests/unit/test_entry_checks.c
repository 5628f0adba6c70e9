/* SPDX-License-Identifier: ISC */
/*
 * test_entry_checks.c - the entry checks against the examples of their rows, and what they read
 * where the driver runs them.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "entry_check.h"
#include "msrs.h"
#include "svm_entry_vectors.h"
#include "vmx_controls.h"
#include "vmx_entry_vectors.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static uint64_t
read_array(const void *state, unsigned int operand)
{
	return ((const uint64_t *)state)[operand];
}

/* The states of a vendor's vectors. */
#define APPLY(v, state, first, count)						\
	for (unsigned int i_ = (first); i_ < (first) + (count); i_++)		\
		(state)[v##_settings[i_].operand] =				\
		    ((state)[v##_settings[i_].operand] & ~v##_settings[i_].mask) |	\
		    v##_settings[i_].value

static void
vmx_good(const struct vmx_vector *t, uint64_t state[VMX_ENTRY_OPERANDS])
{
	memset(state, 0, VMX_ENTRY_OPERANDS * sizeof(state[0]));
	APPLY(vmx, state, t->state, t->state_count);
	APPLY(vmx, state, t->given, t->given_count);
}

static void
svm_good(const struct svm_vector *t, uint64_t state[SVM_ENTRY_OPERANDS])
{
	memset(state, 0, SVM_ENTRY_OPERANDS * sizeof(state[0]));
	APPLY(svm, state, t->state, t->state_count);
	APPLY(svm, state, t->given, t->given_count);
}

static const char *
name_of(const struct entry_rules *rules, unsigned int check)
{
	return check < rules->count ? rules->checks[check].name : "nothing";
}

static void
broken_is(const struct entry_rules *rules, const void *state, unsigned int about,
    unsigned int want)
{
	unsigned int got = entry_next_broken(rules, read_array, state, 0);

	ck_assert_msg(got == want, "the state for %s breaks %s, not %s", name_of(rules, about),
	    name_of(rules, got), name_of(rules, want));
	if (want == rules->count)
		return;
	got = entry_next_broken(rules, read_array, state, want + 1);
	ck_assert_msg(got == rules->count, "the state for %s breaks %s too", name_of(rules, about),
	    name_of(rules, got));
}

START_TEST(good_states_break_nothing)
{
	for (size_t i = 0; i < COUNT(vmx_vectors); i++) {
		uint64_t state[VMX_ENTRY_OPERANDS];

		vmx_good(&vmx_vectors[i], state);
		broken_is(&vmx_entry_rules, state, vmx_vectors[i].check, VMX_CHECKS);
	}
	for (size_t i = 0; i < COUNT(svm_vectors); i++) {
		uint64_t state[SVM_ENTRY_OPERANDS];

		svm_good(&svm_vectors[i], state);
		broken_is(&svm_entry_rules, state, svm_vectors[i].check, SVM_CHECKS);
	}
}
END_TEST

START_TEST(bad_states_break_their_check_alone)
{
	for (size_t i = 0; i < COUNT(vmx_vectors); i++) {
		const struct vmx_vector *t = &vmx_vectors[i];
		uint64_t state[VMX_ENTRY_OPERANDS];

		vmx_good(t, state);
		APPLY(vmx, state, t->breaks, t->breaks_count);
		broken_is(&vmx_entry_rules, state, t->check, t->check);
	}
	for (size_t i = 0; i < COUNT(svm_vectors); i++) {
		const struct svm_vector *t = &svm_vectors[i];
		uint64_t state[SVM_ENTRY_OPERANDS];

		svm_good(t, state);
		APPLY(svm, state, t->breaks, t->breaks_count);
		broken_is(&svm_entry_rules, state, t->check, t->check);
	}
}
END_TEST

START_TEST(every_check_has_an_example)
{
	bool vmx[VMX_CHECKS] = { false }, svm[SVM_CHECKS] = { false };

	for (size_t i = 0; i < COUNT(vmx_vectors); i++)
		vmx[vmx_vectors[i].check] = true;
	for (size_t i = 0; i < COUNT(svm_vectors); i++)
		svm[svm_vectors[i].check] = true;
	for (unsigned int i = 0; i < VMX_CHECKS; i++)
		ck_assert_msg(vmx[i], "no example of %s", vmx_entry_rules.checks[i].name);
	for (unsigned int i = 0; i < SVM_CHECKS; i++)
		ck_assert_msg(svm[i], "no example of %s", svm_entry_rules.checks[i].name);
	ck_assert_uint_ge(VMX_CHECKS, 280);
	ck_assert_uint_ge(SVM_CHECKS, 30);
}
END_TEST

/* Several broken at once: the first is the CPU's first, and all can be had. */
START_TEST(all_broken_checks_can_be_had)
{
	uint64_t state[VMX_ENTRY_OPERANDS];
	unsigned int at;

	vmx_good(&vmx_vectors[0], state);
	state[VMX_ENTRY_GUEST_RFLAGS] = 0;
	state[VMX_ENTRY_HOST_CS_SELECTOR] = 0;
	state[VMX_ENTRY_CR3_TARGET_COUNT] = 99;
	at = entry_next_broken(&vmx_entry_rules, read_array, state, 0);
	ck_assert_uint_eq(at, VMX_CHECK_CR3_TARGET_COUNT);
	at = entry_next_broken(&vmx_entry_rules, read_array, state, at + 1);
	ck_assert_uint_eq(at, VMX_CHECK_HOST_CS_NOT_NULL);
	at = entry_next_broken(&vmx_entry_rules, read_array, state, at + 1);
	ck_assert_uint_eq(at, VMX_CHECK_GUEST_RFLAGS_RESERVED);
	at = entry_next_broken(&vmx_entry_rules, read_array, state, at + 1);
	ck_assert_uint_eq(at, VMX_CHECKS);
}
END_TEST

START_TEST(explanations_have_section_and_values)
{
	uint64_t state[VMX_ENTRY_OPERANDS];
	char text[384];

	vmx_good(&vmx_vectors[0], state);
	state[VMX_ENTRY_GUEST_CR3] = 1ULL << 60;
	entry_explain(&vmx_entry_rules, read_array, state, VMX_CHECK_GUEST_CR3_WIDTH, text,
	    sizeof(text));
	ck_assert_str_eq(text, "guest_cr3_width: CR3 is a physical address (SDM 3C 27.3.1.1): "
	    "guest_cr3 = 0x1000000000000000, maxphyaddr = 0x27");
	/* What does not fit is cut off, and the text ends. */
	entry_explain(&vmx_entry_rules, read_array, state, VMX_CHECK_GUEST_CR3_WIDTH, text, 20);
	ck_assert_str_eq(text, "guest_cr3_width: CR");
}
END_TEST

START_TEST(every_explanation_fits)
{
	uint64_t vmx[VMX_ENTRY_OPERANDS], svm[SVM_ENTRY_OPERANDS];
	char text[384];

	memset(vmx, 0xff, sizeof(vmx));
	memset(svm, 0xff, sizeof(svm));
	for (unsigned int i = 0; i < VMX_CHECKS; i++) {
		entry_explain(&vmx_entry_rules, read_array, vmx, i, text, sizeof(text));
		ck_assert_msg(strlen(text) < sizeof(text) - 1, "%s is cut off: %s",
		    vmx_entry_rules.checks[i].name, text);
		ck_assert_uint_lt(strlen(vmx_entry_rules.checks[i].name), 64);
	}
	for (unsigned int i = 0; i < SVM_CHECKS; i++) {
		entry_explain(&svm_entry_rules, read_array, svm, i, text, sizeof(text));
		ck_assert_msg(strlen(text) < sizeof(text) - 1, "%s is cut off: %s",
		    svm_entry_rules.checks[i].name, text);
	}
}
END_TEST

/* The phases say how the CPU fails. */
START_TEST(phases_are_the_cpus)
{
	const struct entry_phase *p = vmx_entry_rules.phases;

	ck_assert_uint_eq(p[vmx_entry_rules.checks[VMX_CHECK_VPID_NOT_ZERO].phase].error, 7);
	ck_assert_uint_eq(p[vmx_entry_rules.checks[VMX_CHECK_HOST_CS_NOT_NULL].phase].error, 8);
	p += vmx_entry_rules.checks[VMX_CHECK_GUEST_CR3_WIDTH].phase;
	ck_assert_uint_eq(p->error, 0);
	ck_assert_uint_eq(p->exit, 33);
	ck_assert_int_eq(vmx_entry_rules.checks[VMX_CHECK_GUEST_CR3_WIDTH].qualification, 0);
	ck_assert_int_eq(vmx_entry_rules.checks[VMX_CHECK_LINK_POINTER_OTHER].qualification, 4);
	ck_assert_int_eq(vmx_entry_rules.checks[VMX_CHECK_GUEST_PDPTE3].qualification, 2);
	ck_assert_int_eq(vmx_entry_rules.checks[VMX_CHECK_VPID_NOT_ZERO].qualification, -1);
	ck_assert_uint_eq(svm_entry_rules.phases[0].exit, UINT64_MAX);
}
END_TEST

/* --- What the driver's reader reads ----------------------------------------------------- */

static uint32_t last_msr;
static uint32_t proc;
static uint64_t proc_may, basic;

static uint64_t
fake_vmread(uint32_t field)
{
	return field == VMCS_PROC_CONTROLS ? proc : 0xf00d0000ULL + field;
}

static uint64_t
fake_rdmsr(uint32_t index)
{
	last_msr = index;
	if (index == ARCH_MSR_VMX_BASIC)
		return basic;
	if (index == ARCH_MSR_VMX_PROCBASED_CTLS || index == ARCH_MSR_VMX_TRUE_PROCBASED_CTLS)
		return proc_may << 32 | 0x1234;
	return (uint64_t)index << 32 | 0xabc;
}

static struct vmx_entry entry = { .vmread = fake_vmread, .rdmsr = fake_rdmsr, .maxphyaddr = 40 };

START_TEST(vmx_operands_come_from_the_vmcs)
{
	unsigned int fields = 0;

	proc = VMX_PROC_ACTIVATE_PROC2 | VMX_PROC_ACTIVATE_PROC3;
	for (unsigned int i = 0; i < VMX_ENTRY_OPERANDS; i++) {
		uint16_t place = vmx_operand_place[i].place;

		if (vmx_operand_place[i].width == 0)
			continue;
		ck_assert_str_eq(vmx_entry_rules.operand_names[i], vmcs_field_name(place));
		if (place == VMCS_PROC_CONTROLS || place == VMCS_EXIT2_CONTROLS)
			continue;
		ck_assert_uint_eq(vmx_entry_operand(&entry, i), 0xf00d0000ULL + place);
		fields++;
	}
	ck_assert_uint_gt(fields, 120);
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_MAXPHYADDR), 40);
}
END_TEST

/* A word that is not activated is 0 for the CPU, whatever the field holds. */
START_TEST(inactive_words_are_zero)
{
	proc = 0;
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PROC2_CONTROLS), 0);
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PROC3_CONTROLS), 0);
	proc = VMX_PROC_ACTIVATE_PROC2;
	ck_assert_uint_ne(vmx_entry_operand(&entry, VMX_ENTRY_PROC2_CONTROLS), 0);
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PROC3_CONTROLS), 0);
}
END_TEST

/* An MSR that the CPU does not have is not read: that would be #GP in the host. */
START_TEST(capabilities_are_read_where_they_exist)
{
	basic = 0;
	proc_may = 0;
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PIN_MUST), 0xabc);
	ck_assert_uint_eq(last_msr, ARCH_MSR_VMX_PINBASED_CTLS);
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PIN_MAY), ARCH_MSR_VMX_PINBASED_CTLS);
	for (int i = 0; i < 5; i++) {
		static const unsigned int none[] = {
			VMX_ENTRY_PROC2_MUST, VMX_ENTRY_PROC2_MAY, VMX_ENTRY_PROC3_MAY,
			VMX_ENTRY_VMX_EPT_VPID_CAP, VMX_ENTRY_VMX_VMFUNC,
		};

		ck_assert_uint_eq(vmx_entry_operand(&entry, none[i]), 0);
		ck_assert_uint_eq(last_msr, ARCH_MSR_VMX_PROCBASED_CTLS);
	}
	basic = VMX_BASIC_TRUE_CONTROLS;
	proc_may = VMX_PROC_ACTIVATE_PROC2;
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PIN_MAY),
	    ARCH_MSR_VMX_TRUE_PINBASED_CTLS);
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PROC2_MAY),
	    ARCH_MSR_VMX_PROCBASED_CTLS2);
	ck_assert_uint_eq(vmx_entry_operand(&entry, VMX_ENTRY_PROC2_MUST), 0xabc);
}
END_TEST

START_TEST(svm_operands_come_from_the_vmcb)
{
	static struct vmcb vmcb;
	struct svm_entry e = { .vmcb = &vmcb, .maxphyaddr = 48, .long_mode = 1 };

	for (size_t i = 0; i < sizeof(vmcb); i++)
		((uint8_t *)&vmcb)[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned int i = 0; i < SVM_ENTRY_OPERANDS; i++) {
		uint64_t want = 0;

		if (svm_operand_place[i].width == 0)
			continue;
		memcpy(&want, (uint8_t *)&vmcb + svm_operand_place[i].place,
		    svm_operand_place[i].width / 8);
		ck_assert_msg(svm_entry_operand(&e, i) == want, "%s",
		    svm_entry_rules.operand_names[i]);
	}
	ck_assert_uint_eq(svm_entry_operand(&e, SVM_ENTRY_MAXPHYADDR), 48);
	ck_assert_uint_eq(svm_entry_operand(&e, SVM_ENTRY_LONG_MODE), 1);
}
END_TEST

START_TEST(helpers_know_their_limits)
{
	ck_assert(entry_within(UINT64_MAX, 64));
	ck_assert(!entry_within(1ULL << 39, 39));
	ck_assert(entry_within((1ULL << 39) - 1, 39));
	ck_assert(entry_canonical(0x00007fffffffffff, 48));
	ck_assert(entry_canonical(0xffff800000000000, 48));
	ck_assert(!entry_canonical(0x0000800000000000, 48));
	ck_assert(entry_canonical(0x0000800000000000, 57));
	ck_assert(!entry_canonical(0x8000000000000000, 57));
	ck_assert(entry_pat(0x0007040600070406));
	ck_assert(entry_pat(0x0501010101010101));
	ck_assert(!entry_pat(0x0200000000000000));
	ck_assert(!entry_pat(0x0000000000000003));
	ck_assert(!entry_pat(0x0000000800000000));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("entry_checks");
	TCase *t = tcase_create("checks");
	SRunner *r;
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, good_states_break_nothing);
	tcase_add_test(t, bad_states_break_their_check_alone);
	tcase_add_test(t, every_check_has_an_example);
	tcase_add_test(t, all_broken_checks_can_be_had);
	tcase_add_test(t, explanations_have_section_and_values);
	tcase_add_test(t, every_explanation_fits);
	tcase_add_test(t, phases_are_the_cpus);
	tcase_add_test(t, vmx_operands_come_from_the_vmcs);
	tcase_add_test(t, inactive_words_are_zero);
	tcase_add_test(t, capabilities_are_read_where_they_exist);
	tcase_add_test(t, svm_operands_come_from_the_vmcb);
	tcase_add_test(t, helpers_know_their_limits);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
