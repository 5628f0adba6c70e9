/* SPDX-License-Identifier: ISC */
/*
 * test_world.c - the switch between host and guest: whose registers are on the
 * CPU when, which translations a CPU may keep, and what becomes of all that
 * when a vCPU changes CPUs.
 */
#include <stdlib.h>

#include "backends.h"
#include "fpu.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define VCPUS	64

static struct fixture f;
static struct script s;
static const struct step intr = { EXITS(EXIT_INTR) };

static void
start(void)
{
	fixture_start(&f, VCPUS);
	fixture_long_mode(&f, RIP);
}

static void
stop(void)
{
	fixture_stop(&f);
}

static const struct sim_guest *
run(void)
{
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	return &s.seen[0];
}

/* --- Translations -------------------------------------------------------- */

START_TEST(a_reset_flushes)
{
	run();
	ck_assert(!run()->flushed);
	fixture_long_mode(&f, RIP);
	ck_assert(run()->flushed);
}
END_TEST

START_TEST(writeregs_flushes)
{
	struct vcpu_reg_state r;

	run();
	fixture_regs(&f, &r);
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
	ck_assert(run()->flushed);
	ck_assert(!run()->flushed);
}
END_TEST

/* A page that the guest has goes away: no entry with the old translation. */
static void
expect_flush(void (*change)(void))
{
	const struct step touch = { EXITS(EXIT_STAGE2_FAULT),
	    .exit.npf = { 0x200000, STAGE2_W } };

	ck_assert_int_eq(fixture_steps(&f, &s, &touch, 1, VMM_NO_IRQ), 0);
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	run();
	ck_assert(!run()->flushed);
	change();
	/* Every vCPU of the VM, each at its own next entry. */
	for (uint32_t i = 0; i < 2; i++) {
		f.run.vrp_vcpu_id = i;
		ck_assert(run()->flushed);
		ck_assert(!run()->flushed);
	}
	f.run.vrp_vcpu_id = 0;
}

static void
protect(void)
{
	struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
	    .vmep_sgpa = 0x200000, .vmep_size = 0x1000,
	    .vmep_prot = VMM_PROT_READ };

	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
}

START_TEST(a_protection_flushes)
{
	expect_flush(protect);
}
END_TEST

static void
invalidate(void)
{
	ck_assert(host_user_invalidate(f.mem + 0x200000, 4096, true));
}

START_TEST(an_invalidation_flushes)
{
	expect_flush(invalidate);
}
END_TEST

/* --- Another CPU --------------------------------------------------------- */

START_TEST(a_cpu_knows_nothing_of_another_s_vcpu)
{
	run();
	ck_assert_uint_eq(sim.entered.cpu, 0);
	host_user_set_cpu(3);
	ck_assert(run()->flushed);
	ck_assert_uint_eq(sim.entered.cpu, 3);
	ck_assert(!run()->flushed);
	host_user_set_cpu(0);
	ck_assert(run()->flushed);
}
END_TEST

static void
wander(void)
{
	host_user_set_cpu((host_cpu() + 1) % HOST_USER_CPUS);
}

static void
mark(struct sim_guest *g)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	/* Everything that is carried from CPU to CPU. */
	ck_assert_uint_eq(c->fpu[100], (uint8_t)g->gpr[VCPU_REGS_RBX]);
	ck_assert_uint_eq(c->dr[2], g->gpr[VCPU_REGS_RBX]);
	g->gpr[VCPU_REGS_RBX]++;
	c->fpu[100]++;
	c->dr[2]++;
	host_user.thread_flags |= HOST_USER_RESCHED;
}

START_TEST(a_vcpu_wanders_during_run)
{
	static struct step steps[20];

	for (int i = 0; i < 20; i++)
		steps[i] = (struct step){ EXITS(EXIT_INTR), .act = mark };
	host_user.on_resched = wander;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RBX], 20);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR2], 20);
	for (unsigned int i = 1; i < 20; i++)
		ck_assert(s.seen[i].flushed);
	ck_assert_uint_ge(host_user.predictor_barriers, HOST_USER_CPUS);
}
END_TEST

START_TEST(the_predictor_forgets_other_vcpus)
{
	run();
	ck_assert_uint_eq(host_user.predictor_barriers, 1);
	run();
	ck_assert_uint_eq(host_user.predictor_barriers, 1);
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	run();
	ck_assert_uint_eq(host_user.predictor_barriers, 2);
	f.run.vrp_vcpu_id = 0;
	run();
	ck_assert_uint_eq(host_user.predictor_barriers, 3);
	ck_assert_uint_eq(host_user.stays_ended, 4);
}
END_TEST

/* A CPU goes and comes: what it had cached is gone. */
START_TEST(a_cpu_goes_and_comes)
{
	run();
	ck_assert(sim_cpu_taken(0));
	host_user_cpu_down(0);
	ck_assert(!sim_cpu_taken(0));
	ck_assert_int_eq(host_user_cpu_up(0), 0);
	ck_assert(sim_cpu_taken(0));
	ck_assert(run()->flushed);
}
END_TEST

/* The thread is on a CPU that is being taken away: the scheduler moves it. */
START_TEST(a_cpu_goes_under_a_vcpu)
{
	host_user_cpu_down(0);
	host_user.on_resched = wander;
	run();
	ck_assert_uint_eq(sim.entered.cpu, 1);
	ck_assert_int_eq(host_user_cpu_up(0), 0);
}
END_TEST

/* --- The host's own state ------------------------------------------------ */

static struct {
	uint64_t xcr0, dr[4];
} inside;

static void
look(struct sim_guest *g)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	inside.xcr0 = c->xcr0;
	memcpy(inside.dr, c->dr, sizeof(inside.dr));
	c->dr[1] = 0x600d;		/* MOV DR1 */
	g->dr6 = 0xffff0ff1;
	g->dr7 = 0x403;
	memset(c->fpu, 0x5a, 416);
}

static void
set_drs(uint64_t first)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	for (unsigned int i = 0; i < 4; i++)
		r.vrs_drs[VCPU_REGS_DR0 + i] = first + i;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_DRS, &r), 0);
}

START_TEST(the_host_gets_its_state_back)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = look },
		{ EXITS(EXIT_INTR) },
	};
	struct sim_cpu *c = &sim_cpu[0];

	host_user.debug_armed = 0x402;
	for (unsigned int i = 0; i < 4; i++)
		c->dr[i] = 0xffffffff81000000 + i;
	c->dr7 = 0x4aa;
	c->dr6 = 0xffff0ff4;
	set_drs(0x1000);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	/* The guest's CR4.OSXSAVE is clear. */
	ck_assert_uint_eq(inside.xcr0, 7);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(inside.dr[i], 0x1000 + i);
		ck_assert_uint_eq(c->dr[i], 0xffffffff81000000 + i);
	}
	ck_assert_uint_eq(c->dr7, 0x4aa);
	ck_assert_uint_eq(c->dr6, 0xffff0ff4);
	ck_assert_uint_eq(c->xcr0, 7);
	ck_assert(host_user_preemptible());
	ck_assert(!host_user_irqs_off());
	/* And the guest its own. */
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR0], 0x1000);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR1], 0x600d);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR6], 0xffff0ff1);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR7], 0x403);
}
END_TEST

/* Somebody sets a breakpoint of the host while the vCPU is between two exits. */
static void
host_arms(struct sim_guest *g)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	look(g);
	host_user.debug_armed = 0x402;
	c->dr[0] = 0xffffffff82000000;
}

static void
host_arms_late(void)
{
	sim_cpu[0].dr7 = 0x402;
	sim_cpu[0].dr[0] = 0xffffffff82000000;
}

static void
arm_once(void)
{
	static bool armed;

	if (host_user.debug_armed && !armed) {
		host_arms_late();
		armed = true;
	}
}

START_TEST(the_host_arms_a_breakpoint_meanwhile)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = host_arms },
		{ EXITS(EXIT_INTR), .act = look },
	};

	host_user.on_irq_disable = arm_once;
	set_drs(0x2000);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(inside.dr[0], 0x2000);
	ck_assert_uint_eq(inside.dr[1], 0x600d);
	ck_assert_uint_eq(inside.dr[3], 0x2003);
	ck_assert_uint_eq(sim_cpu[0].dr[0], 0xffffffff82000000);
	ck_assert_uint_eq(sim_cpu[0].dr7, 0x402);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR0], 0x2000);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR2], 0x2002);
}
END_TEST

/* DR0-3 that are there from the last stay are not written again. */
#define DEBUGCTL	0x1d9u
#define LBR		1u
#define BUS_LOCK	4u

static void
debugctl_is_off(struct sim_guest *g)
{
	(void)g;
	ck_assert_uint_eq(cpu_rdmsr(DEBUGCTL), 0);
}

/* Branch records and traps of the host's are not on in a guest. */
START_TEST(the_host_s_debugctl_is_its_own)
{
	const struct step steps[] = {
		{ AT(EXIT_CPUID, "\x0f\xa2"), .act = debugctl_is_off },
		{ EXITS(EXIT_INTR), .act = debugctl_is_off },
		{ EXITS(EXIT_TRIPLE_FAULT), .act = debugctl_is_off },
	};

	sim_msr_set(DEBUGCTL, LBR | BUS_LOCK);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.at, 3);
	ck_assert_uint_eq(cpu_rdmsr(DEBUGCTL), LBR | BUS_LOCK);
}
END_TEST

START_TEST(breakpoints_are_written_when_they_differ)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = look },
	};
	struct sim_cpu *c = &sim_cpu[0];
	uint64_t writes;

	set_drs(0x3000);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	writes = c->dr_writes;
	/* Nor is the guest's DR6 left to the host. */
	ck_assert_uint_eq(c->dr6, 0xffff0ff0);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(c->dr_writes, writes);
	ck_assert_uint_eq(inside.dr[1], 0x600d);
	ck_assert_uint_eq(inside.dr[3], 0x3003);
	/* Somebody has used one in between. */
	c->dr[3] = 0xffffffff83000000;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(c->dr_writes, writes + 1);
	ck_assert_uint_eq(inside.dr[3], 0x3003);
}
END_TEST

START_TEST(the_guest_keeps_its_fpu_registers)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = look },
	};
	struct sim_cpu *c = &sim_cpu[0];
	uint16_t fcw;

	/* After a reset: as FNINIT leaves it. */
	memset(c->fpu, 0xff, sizeof(c->fpu));
	ck_assert_int_eq(fixture_steps(&f, &s, &intr, 1, VMM_NO_IRQ), 0);
	memcpy(&fcw, c->fpu, 2);
	ck_assert_uint_ne(fcw, 0xffff);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	memset(c->fpu, 0x11, sizeof(c->fpu));	/* the host's */
	run();
	ck_assert_uint_eq(c->fpu[200], 0x5a);	/* loaded for the guest */
	fixture_long_mode(&f, RIP);
	run();
	ck_assert_uint_ne(c->fpu[200], 0x5a);
}
END_TEST

static uint8_t pointers_inside[18];

static void
look_at_pointers(struct sim_guest *g)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	(void)g;
	memcpy(pointers_inside, c->fpu + 6, sizeof(pointers_inside));
	memset(c->fpu + 6, 0x77, sizeof(pointers_inside));
}

/* The x87 pointers of the host, or of another guest, must not be seen in this one. */
START_TEST(the_guest_sees_no_other_pointers)
{
	static const uint8_t none[18];
	const struct step step = { EXITS(EXIT_INTR), .act = look_at_pointers };
	uint32_t r[4];

	if (sim_machine->vmx)
		return;
	cpu_cpuid(0x80000008, 0, r);
	for (unsigned int errptr = 0; errptr < 2; errptr++) {
		sim_cpuid_set(0x80000008, UINT32_MAX, r[0],
		    (r[1] & ~4u) | errptr << 2, r[2], r[3]);
		fpu_init();
		fixture_long_mode(&f, RIP);
		for (unsigned int i = 0; i < 2; i++) {
			memset(sim_cpu[host_cpu()].fpu + 6, 0x11 + i, 18);
			ck_assert_int_eq(fixture_steps(&f, &s, &step, 1,
			    VMM_NO_IRQ), 0);
			/* With XSAVEERPTR its own come back. */
			if (!errptr || i == 0)
				ck_assert_mem_eq(pointers_inside, none, 18);
		}
	}
}
END_TEST

START_TEST(the_last_vm_leaves_no_trace)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		ck_assert(sim_cpu_taken(cpu));
	vmm_close(&f.session);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		ck_assert(!sim_cpu_taken(cpu));
}
END_TEST

/* --- Other machines ------------------------------------------------------ */

static void
again(void (*machine)(void))
{
	fixture_stop(&f);
	fixture_machine = machine;
	fixture_start(&f, VCPUS);
	fixture_long_mode(&f, RIP);
	fixture_machine = NULL;
}

static void
without_xsave(void)
{
	uint32_t r[4];

	cpu_cpuid(1, 0, r);
	sim_cpuid_set(1, UINT32_MAX, r[0], r[1], r[2] & ~(3u << 26 | 1u << 28),
	    r[3]);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		sim_cpu[cpu].cr4 = 0x6f0;
}

START_TEST(a_host_without_xsave)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = look },
	};
	struct vcpu_reg_state r;

	again(without_xsave);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	memset(sim_cpu[0].fpu, 0x11, 512);
	run();
	ck_assert_uint_eq(sim_cpu[0].fpu[200], 0x5a);
	/* Nor has the guest any. */
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_XCR0], 1);
	r.vrs_crs[VCPU_REGS_CR4] |= 1 << 18;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), -EINVAL);
}
END_TEST

START_TEST(attach_without_memory)
{
	uint64_t n;

	fixture_stop(&f);
	for (n = 1; ; n++) {
		host_user_fail_alloc(n);
		if (vmm_attach(vmm_backends) == 0)
			break;
		ck_assert(host_user_alloc_failed());
		ck_assert_int_eq(host_user.alloc_live, 0);
	}
	ck_assert(!host_user_alloc_failed());
	ck_assert_uint_gt(n, HOST_USER_CPUS);
	host_user_fail_alloc(0);
	vmm_detach();
	ck_assert_int_eq(host_user.alloc_live, 0);
	fixture_start(&f, 1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		a_reset_flushes,
		writeregs_flushes,
		a_protection_flushes,
		an_invalidation_flushes,
		a_cpu_knows_nothing_of_another_s_vcpu,
		a_vcpu_wanders_during_run,
		the_predictor_forgets_other_vcpus,
		a_cpu_goes_and_comes,
		a_cpu_goes_under_a_vcpu,
		the_host_gets_its_state_back,
		the_host_arms_a_breakpoint_meanwhile,
		the_host_s_debugctl_is_its_own,
		breakpoints_are_written_when_they_differ,
		the_guest_keeps_its_fpu_registers,
		the_guest_sees_no_other_pointers,
		the_last_vm_leaves_no_trace,
		a_host_without_xsave,
		attach_without_memory,
	};

	return fixture_main("world", tests, sizeof(tests) / sizeof(tests[0]),
	    start, stop);
}
