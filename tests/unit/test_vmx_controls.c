/* SPDX-License-Identifier: ISC */
/*
 * test_vmx_controls.c - VMX control bits against the kernel's, and what comes
 * of the capability MSRs: with everything, with each bit missing or stuck, and
 * with nothing that is not required. The same for EPT and VPIDs, and for the
 * bits of CR0 and CR4 that VMX fixes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmcs.h"
#include "vmx_controls.h"
#include "vmx_registers.h"
#include "oracle_vmx_controls.h"

/* Capability MSRs, SDM 3D A. */
#define BASIC		0x480u
#define PIN		0x481u
#define PROC		0x482u
#define EXIT		0x483u
#define ENTRY		0x484u
#define CR0_FIXED0	0x486u
#define CR0_FIXED1	0x487u
#define CR4_FIXED0	0x488u
#define CR4_FIXED1	0x489u
#define PROC2		0x48bu
#define EPT_VPID	0x48cu
#define TRUE_PIN	0x48du
#define TRUE_PROC	0x48eu
#define TRUE_EXIT	0x48fu
#define TRUE_ENTRY	0x490u
#define PROC3		0x492u
#define EXIT2		0x493u
#define FIRST		BASIC
#define LAST		EXIT2

/* By hand from SDM 3C 25.6-25.8 and the policy of the driver. */
#define PIN_ON		0x00000029u
#define PIN_WANTED	0x00000040u	/* preemption timer */
#define PROC_ON		0xb1000c88u	/* without CR8 */
#define PROC_TPR	0x00200000u
#define PROC_CR8	0x00180000u
#define PROC2_ON	0x000000c2u
#define PROC2_WANTED	0x10008420u	/* VPID, PAUSE loops, ENCLS, ENCLV */
#define EXIT_ON		0x003c0204u
#define ENTRY_ON	0x0000c004u
#define EXCEPTIONS	((1u << 1) | (1u << 17) | (1u << 18))
/* Reserved bits of the class default1: 1 whatever the TRUE MSRs say. */
#define PIN_FIXED	0x00000016u
#define PROC_FIXED	0x04006172u
#define EXIT_FIXED	0x00036dfbu
#define ENTRY_FIXED	0x000011fbu

static uint64_t msr[LAST + 1 - FIRST];
static unsigned int reads[LAST + 1 - FIRST];
static struct vmx_controls c;

static uint64_t
rdmsr(uint32_t index)
{
	ck_assert_msg(index >= FIRST && index <= LAST, "RDMSR %#x", index);
	reads[index - FIRST]++;
	return msr[index - FIRST];
}

static void
set(uint32_t index, uint64_t must, uint64_t may)
{
	msr[index - FIRST] = must | may << 32;
}

/* A CPU that can do everything, and whose TRUE MSRs insist on nothing known. */
static void
setup(void)
{
	memset(reads, 0, sizeof(reads));
	memset(msr, 0, sizeof(msr));
	msr[BASIC - FIRST] = 1ULL << 55;
	set(PIN, oracle_default1_pin, 0xffffffff);
	set(PROC, oracle_default1_proc, 0xffffffff);
	set(EXIT, oracle_default1_exit, 0xffffffff);
	set(ENTRY, oracle_default1_entry, 0xffffffff);
	set(TRUE_PIN, PIN_FIXED, 0xffffffff);
	set(TRUE_PROC, PROC_FIXED, 0xffffffff);
	set(TRUE_EXIT, EXIT_FIXED, 0xffffffff);
	set(TRUE_ENTRY, ENTRY_FIXED, 0xffffffff);
	set(PROC2, 0, 0xffffffff);
	msr[PROC3 - FIRST] = ~0ULL;
	msr[EXIT2 - FIRST] = ~0ULL;
	msr[EPT_VPID - FIRST] = ~0ULL;
	msr[CR0_FIXED0 - FIRST] = 0x80000021;
	msr[CR0_FIXED1 - FIRST] = 0xffffffff;
	msr[CR4_FIXED0 - FIRST] = 0x2000;
	msr[CR4_FIXED1 - FIRST] = 0x3767ff;
	memset(&c, 0xff, sizeof(c));
}

START_TEST(everything_is_there)
{
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	ck_assert_uint_eq(c.pin, PIN_ON | PIN_WANTED | PIN_FIXED);
	ck_assert_uint_eq(c.proc, PROC_ON | PROC_TPR | PROC_FIXED);
	ck_assert_uint_eq(c.exceptions, EXCEPTIONS);
	ck_assert_uint_eq(c.proc2, PROC2_ON | PROC2_WANTED);
	ck_assert_uint_eq(c.proc3, 0);
	ck_assert_uint_eq(c.exit, EXIT_ON | EXIT_FIXED);
	ck_assert_uint_eq(c.exit2, 0);
	ck_assert_uint_eq(c.entry, ENTRY_ON | ENTRY_FIXED);
	/* Words that are not activated have MSRs that may not exist. */
	ck_assert_uint_eq(reads[PROC3 - FIRST], 0);
	ck_assert_uint_eq(reads[EXIT2 - FIRST], 0);
	/* The TRUE MSRs are the ones that count. */
	ck_assert_uint_eq(reads[PIN - FIRST] + reads[PROC - FIRST] +
	    reads[EXIT - FIRST] + reads[ENTRY - FIRST], 0);
}
END_TEST

START_TEST(nothing_but_what_is_required)
{
	set(TRUE_PIN, PIN_FIXED, PIN_ON | PIN_FIXED);
	set(TRUE_PROC, PROC_FIXED, PROC_ON | PROC_CR8 | PROC_FIXED |
	    VMX_PROC_INTR_WINDOW);
	set(TRUE_EXIT, EXIT_FIXED, EXIT_ON | EXIT_FIXED);
	set(TRUE_ENTRY, ENTRY_FIXED, ENTRY_ON | ENTRY_FIXED |
	    VMX_ENTRY_IA32E_MODE);
	set(PROC2, 0, PROC2_ON);
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	ck_assert_uint_eq(c.pin, PIN_ON | PIN_FIXED);
	ck_assert_uint_eq(c.proc, PROC_ON | PROC_CR8 | PROC_FIXED);
	ck_assert_uint_eq(c.proc2, PROC2_ON);
	ck_assert_uint_eq(c.exit, EXIT_ON | EXIT_FIXED);
	ck_assert_uint_eq(c.entry, ENTRY_ON | ENTRY_FIXED);
}
END_TEST

/* Which capability MSR a control comes from; 0: none. */
static uint32_t
msr_of(const struct vmx_control *control)
{
	static const struct { const char *word; uint32_t index; } words[] = {
		{ "pin.", TRUE_PIN }, { "proc.", TRUE_PROC }, { "proc2.", PROC2 },
		{ "exit.", TRUE_EXIT }, { "entry.", TRUE_ENTRY },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(control->name, words[i].word, strlen(words[i].word)) == 0)
			return words[i].index;
	return 0;
}

static uint64_t
word_of(const struct vmx_control *control)
{
	const void *at = (const uint8_t *)&c + control->offset;

	if (control->offset == offsetof(struct vmx_controls, proc3) ||
	    control->offset == offsetof(struct vmx_controls, exit2))
		return *(const uint64_t *)at;
	return *(const uint32_t *)at;
}

START_TEST(each_control_missing)
{
	unsigned int named = 0;

	for (unsigned int i = 0; i < vmx_control_count; i++) {
		const struct vmx_control *control = &vmx_control_table[i];
		uint32_t index = msr_of(control);
		bool asked = control->policy == VMX_CONTROL_REQUIRED ||
		    control->policy == VMX_CONTROL_DYNAMIC;
		const char *missing;

		if (index == 0 || control->policy == VMX_CONTROL_DEFAULT1)
			continue;
		setup();
		msr[index - FIRST] &= ~(control->mask << 32);
		missing = vmx_controls_negotiate(&c, rdmsr);
		if (asked) {
			ck_assert_msg(missing != NULL, "%s", control->name);
			ck_assert_str_eq(missing, control->name);
			named++;
			continue;
		}
		ck_assert_msg(missing == NULL, "%s: %s", control->name, missing);
		ck_assert_msg((word_of(control) & control->mask) == 0, "%s",
		    control->name);
		/* Only CR8 has a substitute. */
		ck_assert_uint_eq(c.proc, PROC_FIXED | PROC_ON |
		    (strcmp(control->name, "proc.use_tpr_shadow") == 0 ?
		    PROC_CR8 : PROC_TPR));
	}
	ck_assert_uint_eq(named, 3 + 9 + 3 + 6 + 4);
}
END_TEST

START_TEST(each_control_stuck)
{
	for (unsigned int i = 0; i < vmx_control_count; i++) {
		const struct vmx_control *control = &vmx_control_table[i];
		uint32_t index = msr_of(control);
		const char *lacking;

		if (index == 0)
			continue;
		setup();
		msr[index - FIRST] |= control->mask;
		lacking = vmx_controls_negotiate(&c, rdmsr);
		switch (control->policy) {
		case VMX_CONTROL_REQUIRED:
		case VMX_CONTROL_WANTED:
		case VMX_CONTROL_DEFAULT1:
			ck_assert_msg(lacking == NULL, "%s", control->name);
			ck_assert((word_of(control) & control->mask) ==
			    control->mask);
			break;
		default:
			/* CR8 exits too: there is a TPR shadow. */
			ck_assert_msg(lacking != NULL, "%s", control->name);
			ck_assert_str_eq(lacking, control->off);
			ck_assert_ptr_nonnull(strstr(lacking, " = 0"));
			ck_assert_int_eq(strncmp(lacking, control->name,
			    strlen(control->name)), 0);
		}
	}
}
END_TEST

START_TEST(cr8_without_a_tpr_shadow)
{
	set(TRUE_PROC, PROC_FIXED, 0xffffffff & ~PROC_TPR);
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	ck_assert_uint_eq(c.proc, PROC_ON | PROC_CR8 | PROC_FIXED);
	set(TRUE_PROC, PROC_FIXED, 0xffffffff & ~(PROC_TPR | VMX_PROC_CR8_STORE));
	ck_assert_str_eq(vmx_controls_negotiate(&c, rdmsr), "proc.cr8_store");
	set(TRUE_PROC, PROC_FIXED | PROC_CR8, 0xffffffff & ~PROC_TPR);
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
}
END_TEST

/* Without the TRUE MSRs accesses to CR3 exit, and the driver does not do those. */
START_TEST(a_cpu_without_true_msrs)
{
	msr[BASIC - FIRST] = 0;
	ck_assert_str_eq(vmx_controls_negotiate(&c, rdmsr), "proc.cr3_load = 0");
	ck_assert_uint_eq(reads[TRUE_PIN - FIRST] + reads[TRUE_PROC - FIRST], 0);
	/* The classes are the kernel's: all but the CR3 exits can stay 1. */
	set(PROC, oracle_default1_proc & ~0x18000u, 0xffffffff);
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	ck_assert_uint_eq(c.pin, PIN_ON | PIN_WANTED | oracle_default1_pin);
	ck_assert_uint_eq(c.exit, EXIT_ON | oracle_default1_exit);
	ck_assert_uint_eq(c.entry, ENTRY_ON | oracle_default1_entry);
}
END_TEST

START_TEST(no_secondary_controls_at_all)
{
	set(TRUE_PROC, PROC_FIXED, 0x7fffffff);
	ck_assert_str_eq(vmx_controls_negotiate(&c, rdmsr), "proc.activate_proc2");
	ck_assert_uint_eq(reads[PROC2 - FIRST], 0);
}
END_TEST

static struct {
	uint32_t field;
	uint64_t value;
} written[32];
static unsigned int writes;

static void
vmwrite(uint32_t field, uint64_t value)
{
	ck_assert_uint_lt(writes, 32);
	ck_assert_str_ne(vmcs_field_name(field), "unknown");
	for (unsigned int i = 0; i < writes; i++)
		ck_assert_uint_ne(written[i].field, field);
	written[writes].field = field;
	written[writes++].value = value;
}

static const uint64_t *
value_of(uint32_t field)
{
	for (unsigned int i = 0; i < writes; i++)
		if (written[i].field == field)
			return &written[i].value;
	return NULL;
}

START_TEST(words_go_into_their_fields)
{
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	writes = 0;
	vmx_controls_write(&c, vmwrite);
	ck_assert_uint_eq(*value_of(0x4000), c.pin);
	ck_assert_uint_eq(*value_of(0x4002), c.proc);
	ck_assert_uint_eq(*value_of(0x4004), EXCEPTIONS);
	ck_assert_uint_eq(*value_of(0x401e), c.proc2);
	ck_assert_uint_eq(*value_of(0x400c), c.exit);
	ck_assert_uint_eq(*value_of(0x4012), c.entry);
	ck_assert_uint_eq(*value_of(0x202e), ~0ULL);	/* ENCLS */
	ck_assert_uint_eq(*value_of(0x2036), ~0ULL);	/* ENCLV */
	ck_assert_uint_eq(*value_of(0x4020), 128);	/* PAUSE loops */
	ck_assert_uint_eq(*value_of(0x4022), 4096);
	ck_assert_uint_eq(writes, 10);
}
END_TEST

/* Fields that a CPU need not have are left alone. */
START_TEST(fields_of_controls_that_are_off_are_not_written)
{
	set(PROC2, 0, PROC2_ON);
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	writes = 0;
	vmx_controls_write(&c, vmwrite);
	ck_assert_uint_eq(writes, 6);
	ck_assert_ptr_null(value_of(0x202e));
	ck_assert_ptr_null(value_of(0x4020));
	ck_assert_ptr_null(value_of(0x2034));
	ck_assert_ptr_null(value_of(0x2044));
}
END_TEST

/* SDM 3D A.10; the log says what is missing. */
static const struct { uint64_t bits; const char *name; } ept_needs[] = {
	{ 1ULL << 6, "EPT with four levels" },
	{ 1ULL << 14, "EPT in write-back memory" },
	{ 1ULL << 16, "EPT with 2 MiB pages" },
	{ 1ULL << 20, "INVEPT" },
	{ 3ULL << 25, "INVEPT of one table or all" },
};
#define EPT_NEEDS (sizeof(ept_needs) / sizeof(ept_needs[0]))
/* 1 GiB pages, accessed and dirty bits, execute-only pages */
#define EPT_WANTED	(1ULL << 17 | 1ULL << 21 | 1ULL)
#define VPID_NEEDS	(1ULL << 32 | 3ULL << 41)

static const char *
capabilities(uint64_t cpu, uint64_t *caps)
{
	msr[EPT_VPID - FIRST] = cpu;
	ck_assert_ptr_null(vmx_controls_negotiate(&c, rdmsr));
	return vmx_capabilities_negotiate(&c, caps, rdmsr);
}

START_TEST(each_capability_of_ept_missing)
{
	uint64_t caps, all = 0;

	for (unsigned int i = 0; i < EPT_NEEDS; i++)
		all |= ept_needs[i].bits;
	for (unsigned int i = 0; i < EPT_NEEDS; i++) {
		const char *missing = capabilities(~ept_needs[i].bits, &caps);

		ck_assert_msg(missing != NULL, "%s", ept_needs[i].name);
		ck_assert_str_eq(missing, ept_needs[i].name);
	}
	ck_assert_ptr_nonnull(capabilities(0, &caps));
	/* One kind of INVEPT will do. */
	ck_assert_ptr_null(capabilities(~(1ULL << 25), &caps));
	ck_assert_ptr_null(capabilities(~(1ULL << 26), &caps));
	ck_assert_uint_eq(caps & 3ULL << 25, 1ULL << 25);
	/* The rest is not needed, or not even looked at. */
	ck_assert_ptr_null(capabilities(all, &caps));
	ck_assert_uint_eq(caps, all);
	ck_assert_ptr_null(capabilities(~0ULL, &caps));
	ck_assert_uint_eq(caps, all | EPT_WANTED | VPID_NEEDS);
}
END_TEST

START_TEST(vpids_need_a_way_to_drop_one)
{
	static const struct { uint64_t lacks; bool usable; } cpu[] = {
		{ 0, true }, { 1ULL << 32, false }, { 3ULL << 41, false },
		{ 1ULL << 41, true }, { 1ULL << 42, true },
		{ 1ULL << 40 | 1ULL << 43, true },
	};
	uint64_t caps;

	for (unsigned int i = 0; i < sizeof(cpu) / sizeof(cpu[0]); i++) {
		ck_assert_ptr_null(capabilities(~cpu[i].lacks, &caps));
		ck_assert_uint_eq(c.proc2, PROC2_ON | (PROC2_WANTED &
		    (cpu[i].usable ? ~0u : ~(1u << 5))));
	}
	/* Without VPIDs, how to drop them does not matter. */
	set(PROC2, 0, ~(1u << 5));
	ck_assert_ptr_null(capabilities(~VPID_NEEDS, &caps));
	ck_assert_uint_eq(c.proc2, PROC2_ON | (PROC2_WANTED & ~(1u << 5)));
}
END_TEST

static struct vmx_owned cr0, cr4;

START_TEST(fixed_bits_are_not_the_guests)
{
	ck_assert_ptr_null(vmx_owned_negotiate(&cr0, &cr4, rdmsr));
	/* NE, and the cache's; PE and PG may be 0 all the same. */
	ck_assert_uint_eq(cr0.mask, 0x60000020);
	ck_assert_uint_eq(cr0.set, 0x20);
	ck_assert_uint_eq(cr0.clear, 0x60000000);
	ck_assert_uint_eq(cr4.mask, ~0x3747ffULL);
	ck_assert_uint_eq(cr4.set, 0x2000);
	ck_assert_uint_eq(cr4.clear, ~0x3767ffULL);
}
END_TEST

START_TEST(each_bit_fixed)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		uint64_t mask = 1ULL << bit;
		bool relaxed = bit == 0 || bit == 31, caches = bit == 29 || bit == 30;
		const char *missing;

		setup();
		msr[CR0_FIXED0 - FIRST] = msr[CR4_FIXED0 - FIRST] = mask;
		msr[CR4_FIXED1 - FIRST] = ~0ULL;
		missing = vmx_owned_negotiate(&cr0, &cr4, rdmsr);
		if (caches) {
			ck_assert_str_eq(missing, bit == 29 ? "cr0.NW = 0" :
			    "cr0.CD = 0");
			continue;
		}
		ck_assert_ptr_null(missing);
		ck_assert_uint_eq(cr0.set, relaxed ? 0 : mask);
		ck_assert_uint_eq(cr0.mask, cr0.set | 0x60000000);
		ck_assert_uint_eq(cr4.set, mask);
		ck_assert_uint_eq(cr4.mask, mask);
		ck_assert_uint_eq(cr4.clear, 0);

		setup();
		msr[CR0_FIXED0 - FIRST] = msr[CR4_FIXED0 - FIRST] = 0;
		msr[CR0_FIXED1 - FIRST] = msr[CR4_FIXED1 - FIRST] = ~mask;
		ck_assert_ptr_null(vmx_owned_negotiate(&cr0, &cr4, rdmsr));
		ck_assert_uint_eq(cr0.set, 0);
		ck_assert_uint_eq(cr0.clear, mask | 0x60000000);
		ck_assert_uint_eq(cr0.mask, cr0.clear);
		ck_assert_uint_eq(cr4.clear, mask);
		ck_assert_uint_eq(cr4.mask, mask);
	}
}
END_TEST

START_TEST(bits_are_the_kernels)
{
	for (const struct oracle_control *o = oracle_vmx_controls; o->name; o++) {
		const struct vmx_control *found = NULL;

		for (unsigned int i = 0; i < vmx_control_count; i++)
			if (strcmp(vmx_control_table[i].name, o->name) == 0)
				found = &vmx_control_table[i];
		ck_assert_msg(found != NULL, "no control %s", o->name);
		ck_assert_msg(found->mask == o->mask, "%s is %#lx, not %#lx",
		    o->name, (unsigned long)found->mask, (unsigned long)o->mask);
	}
}
END_TEST

/* Every bit of every word has one row, and a reserved one is never asked for. */
START_TEST(the_table_is_complete)
{
	uint64_t seen[sizeof(struct vmx_controls) / 4] = { 0 };

	for (unsigned int i = 0; i < vmx_control_count; i++) {
		const struct vmx_control *control = &vmx_control_table[i];

		ck_assert_msg(!(seen[control->offset / 4] & control->mask), "%s",
		    control->name);
		seen[control->offset / 4] |= control->mask;
		if (strstr(control->name, ".reserved_"))
			ck_assert_uint_eq(control->policy, VMX_CONTROL_REFUSED);
	}
#define ALL(word) seen[offsetof(struct vmx_controls, word) / 4]
	ck_assert_uint_eq(ALL(pin), UINT32_MAX);
	ck_assert_uint_eq(ALL(proc), UINT32_MAX);
	ck_assert_uint_eq(ALL(exceptions), UINT32_MAX);
	ck_assert_uint_eq(ALL(proc2), UINT32_MAX);
	ck_assert_uint_eq(ALL(proc3), UINT64_MAX);
	ck_assert_uint_eq(ALL(exit), UINT32_MAX);
	ck_assert_uint_eq(ALL(exit2), UINT64_MAX);
	ck_assert_uint_eq(ALL(entry), UINT32_MAX);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vmx_controls");
	TCase *t = tcase_create("vmx_controls");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, everything_is_there);
	tcase_add_test(t, nothing_but_what_is_required);
	tcase_add_test(t, each_control_missing);
	tcase_add_test(t, each_control_stuck);
	tcase_add_test(t, cr8_without_a_tpr_shadow);
	tcase_add_test(t, a_cpu_without_true_msrs);
	tcase_add_test(t, no_secondary_controls_at_all);
	tcase_add_test(t, words_go_into_their_fields);
	tcase_add_test(t, fields_of_controls_that_are_off_are_not_written);
	tcase_add_test(t, each_capability_of_ept_missing);
	tcase_add_test(t, vpids_need_a_way_to_drop_one);
	tcase_add_test(t, fixed_bits_are_not_the_guests);
	tcase_add_test(t, each_bit_fixed);
	tcase_add_test(t, bits_are_the_kernels);
	tcase_add_test(t, the_table_is_complete);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
