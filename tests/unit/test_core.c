/* SPDX-License-Identifier: ISC */
/*
 * test_core.c - the run loop on a simulated CPU: what reaches the client, what
 * the driver does by itself, how events get in.
 */
#include "vmm_fixture.h"

static struct fixture f;

static void
start(void)
{
	fixture_start(&f, 1);
	fixture_long_mode(&f, 0x10000);
}

static void
stop(void)
{
	fixture_stop(&f);
}

static struct script s;

START_TEST(hlt_reaches_client_past_the_instruction)
{
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], 0x10001);
	ck_assert_uint_eq(f.run.vrp_irqready, 0);
	ck_assert_uint_eq(sim.entries, 1);
}
END_TEST

static void
ask_for_the_name(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = 0x40000000;
}

START_TEST(cpuid_is_answered_without_the_client)
{
	static const struct step steps[] = {
		{ AT(EXIT_CPUID, "\x0f\xa2"), .act = ask_for_the_name },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], 0x10003);
	ck_assert_mem_eq(&f.exit.vrs.vrs_gprs[VCPU_REGS_RBX], "Open", 4);
	ck_assert_uint_eq(sim.entries, 2);
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
	const TTest *const tests[] = {
		hlt_reaches_client_past_the_instruction,
		cpuid_is_answered_without_the_client,
		a_vm_ends_with_its_creator,
		the_last_close_and_the_end_of_the_creator_race,
	};

	return fixture_main("core", tests, sizeof(tests) / sizeof(tests[0]),
	    start, stop);
}
