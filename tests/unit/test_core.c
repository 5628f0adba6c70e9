/* SPDX-License-Identifier: ISC */
/*
 * test_core.c - the run loop on a simulated CPU: what reaches the client, what
 * the driver does by itself, how events get in.
 */
#include <check.h>
#include <stdlib.h>

#include "vmm_fixture.h"

static struct fixture f;

static void
start(void)
{
	fixture_start(&f, true, 1);
	fixture_long_mode(&f, 0x10000);
}

static void
start_bare(void)
{
	fixture_start(&f, false, 1);
	fixture_long_mode(&f, 0x10000);
}

static void
stop(void)
{
	fixture_stop(&f);
}

/* --- Guests ------------------------------------------------------------------- */

static void
exits(struct vmcb *vmcb, uint64_t code, unsigned int len)
{
	vmcb->exitcode = code;
	if (sim_svm.nrip_save && len != 0)
		vmcb->nrip = vmcb->rip + len;
}

static void
guest_hlt(struct vmcb *vmcb, uint64_t *gpr, void *arg)
{
	(void)gpr;
	(void)arg;
	exits(vmcb, SVM_VMEXIT_HLT, 1);
}

/* CPUID leaf `*arg` once, then HLT. */
static void
guest_cpuid(struct vmcb *vmcb, uint64_t *gpr, void *arg)
{
	uint32_t *leaf = arg;

	(void)gpr;
	if (*leaf == UINT32_MAX) {
		exits(vmcb, SVM_VMEXIT_HLT, 1);
		return;
	}
	vmcb->rax = *leaf;
	*leaf = UINT32_MAX;
	exits(vmcb, SVM_VMEXIT_CPUID, 2);
}

/* --- Tests ----------------------------------------------------------------------- */

START_TEST(hlt_reaches_client_past_the_instruction)
{
	f.mem[0x10000] = 0xf4;
	ck_assert_int_eq(fixture_run(&f, guest_hlt, NULL, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], 0x10001);
	ck_assert_uint_eq(f.run.vrp_irqready, 0);
	ck_assert_uint_eq(sim_svm.entries, 1);
}
END_TEST

START_TEST(cpuid_is_answered_without_the_client)
{
	uint32_t leaf = 0x40000000;

	f.mem[0x10000] = 0x0f;
	f.mem[0x10001] = 0xa2;
	f.mem[0x10002] = 0xf4;
	ck_assert_int_eq(fixture_run(&f, guest_cpuid, &leaf, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], 0x10003);
	ck_assert_mem_eq(&f.exit.vrs.vrs_gprs[VCPU_REGS_RBX], "Open", 4);
	ck_assert_uint_eq(sim_svm.entries, 2);
}
END_TEST

START_TEST(a_vm_ends_with_its_creator)
{
	struct vm_terminate_params p = { .vtp_vm_id = f.vm };

	host_user_owner_exit();
	host_defer_flush();
	ck_assert_int_eq(host_user.watches_live, 0);
	ck_assert(!host_user.cpus_on);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &p), -ENOENT);
}
END_TEST

START_TEST(the_last_close_and_the_end_of_the_creator_race)
{
	host_user_owner_exit();
	vmm_close(&f.session);
	host_defer_flush();
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("core");
	TCase *with = tcase_create("all features");
	TCase *bare = tcase_create("no optional feature");
	TCase *both[] = { with, bare };
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(with, start, stop);
	tcase_add_checked_fixture(bare, start_bare, stop);
	for (int i = 0; i < 2; i++) {
		tcase_add_test(both[i], hlt_reaches_client_past_the_instruction);
		tcase_add_test(both[i], cpuid_is_answered_without_the_client);
		tcase_add_test(both[i], a_vm_ends_with_its_creator);
		tcase_add_test(both[i],
		    the_last_close_and_the_end_of_the_creator_race);
		suite_add_tcase(s, both[i]);
	}
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
