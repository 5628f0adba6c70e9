/* SPDX-License-Identifier: ISC */
/*
 * features.c - the features that the handbook turns on by rows, on simulated
 * CPUs that have them and on ones that have not. test_features.py builds it in
 * a copy of the tree with these rows.
 */
#include <stdlib.h>

#include "cpuid_guest.h"
#include "exits.h"
#include "msrs.h"
#include "svm_vmcb.h"
#include "vmcs.h"
#include "vmm_fixture.h"
#include "vmx_controls.h"
#include "vmx_msrbm.h"

#define RIP		0x10000u
#define NOTIFY_WINDOW	0x20000u
#define HRESET_ENABLE	0x17dau
#define PAGE_FAULT	EV_EXC_CODE(ARCH_EXC_PF, 6)

static const struct sim_machine svm = { "SVM", false, SIM_SVM_ALL, true };
static const struct sim_machine vmx = { "VMX", true, SIM_VMX_ALL, true };
static struct fixture f;
static struct script s;
/* Of the loop tests: whether the CPU has the feature. */
static bool has;

static void
start(int with, const struct sim_machine *m, void (*machine)(void))
{
	has = with != 0;
	sim_machine = m;
	fixture_machine = machine;
	fixture_start(&f, 1);
	fixture_long_mode(&f, RIP);
}

/* --- The bus-lock threshold ---------------------------------------------------- */

static void
amd(void)
{
	uint32_t r[4];

	cpu_cpuid(0x8000000a, 0, r);
	if (has)
		r[3] |= 1u << 29;
	sim_cpuid_set(0x8000000a, UINT32_MAX, r[0], r[1], r[2], r[3]);
}

static void
use_up(struct sim_guest *g)
{
	(void)g;
	ck_assert_uint_eq(sim_svm_vmcb()->bus_lock_counter, 1);
	sim_svm_vmcb()->bus_lock_counter = 0;
}

START_TEST(svm_bus_lock)
{
	static const struct step locks[] = {
		{ EXITS(EXIT_BUS_LOCK), .act = use_up },
		{ EXITS(EXIT_BUS_LOCK), .act = use_up },
	};

	start(_i, &svm, amd);
	ck_assert_int_eq(fixture_steps(&f, &s, locks, has ? 2 : 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(s.at, has ? 3 : 1);
	ck_assert_uint_eq(sim_svm_entered()->intercept_misc3 >> 5 & 1, has);
	ck_assert_uint_eq(sim_svm_entered()->bus_lock_counter, has);
	fixture_stop(&f);
}
END_TEST

/* --- The same on VMX, and the notify window --------------------------------------- */

/* Secondary controls that this CPU can set, besides the usual ones. */
static void
intel_with(uint32_t controls)
{
	if (has)
		sim_msr_set(ARCH_MSR_VMX_PROCBASED_CTLS2,
		    cpu_rdmsr(ARCH_MSR_VMX_PROCBASED_CTLS2) | (uint64_t)controls << 32);
}

static void
intel_notify(void)
{
	intel_with(VMX_PROC2_INSTRUCTION_TIMEOUT);
}

/* The window runs out while a page fault is delivered: it is due again. */
START_TEST(vmx_notify)
{
	static const struct step step = {
		EXITS(EXIT_NOTIFY), .interrupted = PAGE_FAULT,
	};

	start(_i, &vmx, intel_notify);
	ck_assert_int_eq(fixture_steps(&f, &s, &step, has ? 1 : 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.at, has ? 2 : 1);
	ck_assert_uint_eq(s.seen[0].event, 0);
	if (has)
		ck_assert_uint_eq(s.seen[1].event, PAGE_FAULT);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_PROC2_CONTROLS) >> 31 & 1, has);
	/* A field of a VMCS that nobody has written has any value. */
	ck_assert_uint_eq(sim_vmx_entered(VMCS_INSTRUCTION_TIMEOUT) == NOTIFY_WINDOW, has);
	fixture_stop(&f);
}
END_TEST

static void
intel_bus_lock(void)
{
	intel_with(VMX_PROC2_BUS_LOCK);
}

START_TEST(vmx_bus_lock)
{
	static const struct step step = { EXITS(EXIT_BUS_LOCK) };

	start(_i, &vmx, intel_bus_lock);
	ck_assert_int_eq(fixture_steps(&f, &s, &step, has ? 1 : 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.at, has ? 2 : 1);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_PROC2_CONTROLS) >> 30 & 1, has);
	fixture_stop(&f);
}
END_TEST

/* --- HRESET ------------------------------------------------------------------------ */

static void
intel_hreset(void)
{
	sim_cpuid_set(0, UINT32_MAX, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69);
	sim_cpuid_set(7, 1, has ? 1u << 22 : 0, 0, 0, 0);
	sim_cpuid_set(0x20, 0, 0, has ? 1 : 0, 0, 0);
	if (has)
		sim_msr_set(HRESET_ENABLE, 0);
}

/* The guest finds what it wrote, though the host has its own in between. */
static uint64_t expected;

static void
hreset_guest(struct sim_guest *g, void *arg)
{
	(void)arg;
	if (has) {
		ck_assert_uint_eq(cpu_rdmsr(HRESET_ENABLE), expected);
		cpu_wrmsr(HRESET_ENABLE, ++expected);
	}
	g->exit.kind = EXIT_HLT;
	g->exit.insn_len = 1;
}

/* Without the feature, any access of the driver to the MSR is a panic of the CPU. */
START_TEST(vmx_hreset)
{
	uint8_t map[VMX_MSRBM_SIZE];

	start(_i, &vmx, intel_hreset);
	ck_assert_uint_eq(cpuid_guest_has(CPUID_FEATURE_HRESET), has);
	ck_assert_uint_eq(cpuid_guest_has(CPUID_FEATURE_HRESET_THREAD_DIRECTOR), has);
	vmx_msrbm_init(map);
	ck_assert_uint_eq(map[HRESET_ENABLE / 8] >> HRESET_ENABLE % 8 & 1, 0);
	expected = 0;
	for (unsigned int stay = 0; stay < 3; stay++) {
		ck_assert_int_eq(fixture_run(&f, hreset_guest, NULL, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
		if (has)
			ck_assert_uint_eq(cpu_rdmsr(HRESET_ENABLE), 0);
	}
	ck_assert_uint_eq(expected, has ? 3 : 0);
	fixture_stop(&f);
}
END_TEST

/* --- The tables ----------------------------------------------------------------------- */

START_TEST(tables)
{
	const struct msr_policy *m = msr_policy(HRESET_ENABLE);

	ck_assert_uint_eq(vmx_exit_kind(75), EXIT_NOTIFY);
	ck_assert_uint_eq(exit_policy[EXIT_NOTIFY].action, EXIT_ACTION_RESUME);
	ck_assert_uint_eq(svm_exit_kind(0xa5), EXIT_BUS_LOCK);
	ck_assert_uint_eq(vmx_exit_kind(74), EXIT_BUS_LOCK);
	ck_assert_uint_eq(exit_policy[EXIT_BUS_LOCK].action, EXIT_ACTION_RESUME);
	ck_assert_uint_eq(VMX_QUAL_NOTIFY_INVALID, 1);
	ck_assert_uint_eq(VMX_QUAL_NOTIFY_NMI_UNBLOCK, 1u << 12);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->read, MSR_READ_PASS);
	ck_assert_uint_eq(m->write, MSR_WRITE_PASS);
	ck_assert_uint_eq(m->vendors, MSR_VENDOR_INTEL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("features");
	TCase *tc = tcase_create("rows");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, tables);
	tcase_add_loop_test(tc, svm_bus_lock, 0, 2);
	tcase_add_loop_test(tc, vmx_notify, 0, 2);
	tcase_add_loop_test(tc, vmx_bus_lock, 0, 2);
	tcase_add_loop_test(tc, vmx_hreset, 0, 2);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
