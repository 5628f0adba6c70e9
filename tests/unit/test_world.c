/* SPDX-License-Identifier: ISC */
/*
 * test_world.c - the switch between host and guest: whose registers are on the
 * CPU when, which translations and cached state a CPU may keep, and what
 * becomes of all that when a vCPU changes CPUs.
 */
#include <stdlib.h>

#include "backends.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define VCPUS	64
#define XSS	0xda0u
#define EFER	0xc0000080u
#define HSAVE	0xc0010117u
#define ALL	VMCB_CLEAN_ALL

static struct fixture f;
static struct script s;
static const struct step intr = { .code = SVM_VMEXIT_INTR };

static void
start(void)
{
	fixture_start(&f, true, VCPUS);
	fixture_long_mode(&f, RIP);
}

static void
start_bare(void)
{
	fixture_start(&f, false, VCPUS);
	fixture_long_mode(&f, RIP);
}

static void
stop(void)
{
	fixture_stop(&f);
}

static const struct vmcb *
run(void)
{
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	return &s.seen[0];
}

/* --- ASIDs --------------------------------------------------------------- */

START_TEST(asids_run_out_and_everything_is_flushed)
{
	const struct vmcb *e;

	for (uint32_t i = 0; i < VCPUS; i++) {
		f.run.vrp_vcpu_id = i;
		fixture_long_mode(&f, RIP);
	}
	for (uint32_t i = 0; i < SIM_ASIDS - 1; i++) {
		f.run.vrp_vcpu_id = i;
		e = run();
		ck_assert_uint_eq(e->guest_asid, i + 1);
		ck_assert_uint_eq(e->tlb_control,
		    i == 0 ? VMCB_TLB_FLUSH_ALL : VMCB_TLB_NONE);
	}
	/* Each keeps its own. */
	f.run.vrp_vcpu_id = 7;
	e = run();
	ck_assert_uint_eq(e->guest_asid, 8);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_NONE);
	/* The 64th begins a new generation, in which the 7th has none yet. */
	f.run.vrp_vcpu_id = 63;
	e = run();
	ck_assert_uint_eq(e->guest_asid, 1);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_FLUSH_ALL);
	f.run.vrp_vcpu_id = 7;
	e = run();
	ck_assert_uint_eq(e->guest_asid, 2);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_NONE);
}
END_TEST

/* VMRUN that was to flush everything is refused: nobody knows whether it did. */
START_TEST(a_refused_flush_is_made_up_for)
{
	struct vcpu_reg_state r;

	for (uint32_t i = 0; i < VCPUS; i++) {
		f.run.vrp_vcpu_id = i;
		fixture_long_mode(&f, RIP);
		if (i < SIM_ASIDS - 1)
			run();
	}
	fixture_regs(&f, &r);
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar |= 1 << 14;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &r), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), -EINVAL);
	/* The simulated CPU did not, and watches. */
	for (uint32_t i = 0; i < VCPUS - 1; i++) {
		f.run.vrp_vcpu_id = i;
		run();
	}
}
END_TEST

START_TEST(a_reset_takes_a_new_asid)
{
	uint32_t asid = run()->guest_asid;

	fixture_long_mode(&f, RIP);
	ck_assert_uint_ne(run()->guest_asid, asid);
}
END_TEST

START_TEST(writeregs_flushes)
{
	struct vcpu_reg_state r;
	const struct vmcb *e = run();
	uint32_t asid = e->guest_asid;

	fixture_regs(&f, &r);
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
	e = run();
	if (sim_svm.flush_by_asid) {
		ck_assert_uint_eq(e->guest_asid, asid);
		ck_assert_uint_eq(e->tlb_control, VMCB_TLB_FLUSH_ASID);
	} else {
		ck_assert_uint_ne(e->guest_asid, asid);
	}
	e = run();
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_NONE);
}
END_TEST

/* A page that the guest has goes away: no entry with the old translation. */
static void
expect_flush(void (*change)(void))
{
	const struct step touch = { .code = SVM_VMEXIT_NPF, .info1 = 6,
	    .info2 = 0x200000 };
	uint32_t asid;

	ck_assert_int_eq(fixture_steps(&f, &s, &touch, 1, VMM_NO_IRQ), 0);
	asid = s.seen[1].guest_asid;
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	run();
	for (uint32_t i = 0; i < 2; i++) {
		if (i == 0)
			change();
		/* Every vCPU of the VM, each at its own next entry. */
		f.run.vrp_vcpu_id = i;
		run();
		if (sim_svm.flush_by_asid)
			ck_assert_uint_eq(s.seen[0].tlb_control,
			    VMCB_TLB_FLUSH_ASID);
		else
			ck_assert_uint_gt(s.seen[0].guest_asid, asid + 1);
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

/* --- Clean bits ---------------------------------------------------------- */

START_TEST(clean_when_nothing_has_changed)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR }, { .code = SVM_VMEXIT_INTR },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].clean, 0);
	for (int i = 1; i < 3; i++)
		ck_assert_uint_eq(s.seen[i].clean, sim_svm.clean_bits ? ALL : 0);
	ck_assert_uint_eq(run()->clean, sim_svm.clean_bits ? ALL : 0);
	/* Others run in between: their state is not cached under our address. */
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	ck_assert_uint_eq(run()->clean, 0);
	f.run.vrp_vcpu_id = 0;
	ck_assert_uint_eq(run()->clean, sim_svm.clean_bits ? ALL : 0);
}
END_TEST

static uint64_t rax, rcx;

static void
load(struct vmcb *vmcb, uint64_t *gpr)
{
	vmcb->rax = rax;
	gpr[VCPU_REGS_RCX] = rcx;
	gpr[VCPU_REGS_RDX] = 0;
}

START_TEST(exactly_what_has_changed_is_dirty)
{
	static const struct {
		struct step step;
		uint64_t rax, rcx;
		uint32_t dirty;
	} cases[] = {
		{ { AT(SVM_VMEXIT_CR4_WRITE, "\x0f\x22\xe0"),
		    .info1 = 1ULL << 63, .act = load }, 0x2a, 0,
		  VMCB_CLEAN_CRX },
		{ { AT(SVM_VMEXIT_CR0_SEL_WRITE, "\x0f\x22\xc0"),
		    .info1 = 1ULL << 63, .act = load }, 0x80000031, 0,
		  VMCB_CLEAN_CRX },
		{ { AT(SVM_VMEXIT_MSR, "\x0f\x30"), .info1 = 1, .act = load },
		  0x501, EFER, VMCB_CLEAN_CRX },
		{ { AT(SVM_VMEXIT_MSR, "\x0f\x30"), .info1 = 1, .act = load },
		  0x06060606, 0x277, VMCB_CLEAN_NP },
		{ { AT(SVM_VMEXIT_MSR, "\x0f\x30"), .info1 = 1, .act = load },
		  1, 0x10, VMCB_CLEAN_INTERCEPTS },
		{ { AT(SVM_VMEXIT_CPUID, "\x0f\xa2"), .act = load }, 0, 0, 0 },
		{ { AT(SVM_VMEXIT_MSR, "\x0f\x32"), .act = load }, 0, 0x277, 0 },
	};

	if (!sim_svm.clean_bits)
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_long_mode(&f, RIP);
		run();
		rax = cases[i].rax;
		rcx = cases[i].rcx;
		ck_assert_int_eq(fixture_steps(&f, &s, &cases[i].step, 1,
		    VMM_NO_IRQ), 0);
		ck_assert_uint_eq(s.seen[0].clean, ALL);
		ck_assert_uint_eq(s.seen[1].clean, ALL & ~cases[i].dirty);
	}
}
END_TEST

START_TEST(the_window_is_dirty)
{
	ck_assert_uint_eq(run()->clean, 0);
	ck_assert_int_eq(fixture_steps(&f, &s, &intr, 1, 0x30), 0);
	ck_assert_uint_eq(s.seen[0].clean, sim_svm.clean_bits ?
	    ALL & ~(VMCB_CLEAN_INTERCEPTS | VMCB_CLEAN_TPR) : 0);
	ck_assert_uint_eq(s.seen[1].clean, sim_svm.clean_bits ? ALL : 0);
}
END_TEST

START_TEST(writeregs_dirties_its_groups)
{
	static const struct { uint64_t group; uint32_t dirty; } groups[] = {
		{ VM_RWREGS_GPRS, 0 },
		{ VM_RWREGS_CRS, VMCB_CLEAN_CRX | VMCB_CLEAN_CR2 |
		  VMCB_CLEAN_TPR },
		{ VM_RWREGS_MSRS, VMCB_CLEAN_CRX },
		{ VM_RWREGS_DRS, VMCB_CLEAN_DRX },
		{ VM_RWREGS_SREGS, VMCB_CLEAN_SEG | VMCB_CLEAN_DT },
	};
	struct vcpu_reg_state r;

	if (!sim_svm.clean_bits)
		return;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		run();
		fixture_regs(&f, &r);
		ck_assert_int_eq(fixture_set_regs(&f, groups[i].group, &r), 0);
		ck_assert_uint_eq(run()->clean, ALL & ~groups[i].dirty);
	}
}
END_TEST

/* --- Another CPU --------------------------------------------------------- */

START_TEST(a_cpu_knows_nothing_of_another_s_vcpu)
{
	const struct vmcb *e;

	e = run();
	ck_assert_uint_eq(sim_svm.entered_on, 0);
	host_user_set_cpu(3);
	e = run();
	ck_assert_uint_eq(sim_svm.entered_on, 3);
	ck_assert_uint_eq(e->clean, 0);
	ck_assert_uint_eq(e->guest_asid, 1);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_FLUSH_ALL);
	ck_assert_uint_eq(run()->clean, sim_svm.clean_bits ? ALL : 0);
	host_user_set_cpu(0);
	e = run();
	ck_assert_uint_eq(e->clean, 0);
	ck_assert_uint_eq(e->guest_asid, 2);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_NONE);
}
END_TEST

static void
wander(void)
{
	host_user_set_cpu((host_cpu() + 1) % HOST_USER_CPUS);
}

static void
mark(struct vmcb *vmcb, uint64_t *gpr)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	/* Everything that is carried from CPU to CPU. */
	ck_assert_uint_eq(c->fpu[100], (uint8_t)gpr[VCPU_REGS_RBX]);
	ck_assert_uint_eq(c->dr[2], gpr[VCPU_REGS_RBX]);
	gpr[VCPU_REGS_RBX]++;
	c->fpu[100]++;
	c->dr[2]++;
	(void)vmcb;
	host_user.resched = true;
}

START_TEST(a_vcpu_wanders_during_run)
{
	static struct step steps[20];

	for (int i = 0; i < 20; i++)
		steps[i] = (struct step){ .code = SVM_VMEXIT_INTR, .act = mark };
	host_user.on_resched = wander;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RBX], 20);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR2], 20);
	for (unsigned int i = 1; i < 20; i++)
		ck_assert_uint_eq(s.seen[i].clean, 0);
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
	ck_assert_uint_eq(host_user.guest_rans, 4);
}
END_TEST

/* A CPU goes and comes: what it had cached is gone. */
START_TEST(a_cpu_goes_and_comes)
{
	run();
	host_user_cpu_down(0);
	ck_assert_uint_eq(cpu_rdmsr(EFER) & 0x1000, 0);
	ck_assert_uint_eq(cpu_rdmsr(HSAVE), 0);
	ck_assert_int_eq(host_user_cpu_up(0), 0);
	ck_assert_uint_ne(cpu_rdmsr(HSAVE), 0);
	run();
	ck_assert_uint_eq(s.seen[0].clean, 0);
	ck_assert_uint_eq(s.seen[0].tlb_control, VMCB_TLB_FLUSH_ALL);
}
END_TEST

/* The thread is on a CPU that is being taken away: the scheduler moves it. */
START_TEST(a_cpu_goes_under_a_vcpu)
{
	host_user_cpu_down(0);
	host_user.on_resched = wander;
	run();
	ck_assert_uint_eq(sim_svm.entered_on, 1);
	ck_assert_int_eq(host_user_cpu_up(0), 0);
}
END_TEST

/* --- The host's own state ------------------------------------------------ */

static struct {
	uint64_t xss, xcr0, dr[4], fs;
} inside;

static void
look(struct vmcb *vmcb, uint64_t *gpr)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	(void)vmcb;
	(void)gpr;
	inside.xss = cpu_rdmsr(XSS);
	inside.xcr0 = c->xcr0;
	memcpy(inside.dr, c->dr, sizeof(inside.dr));
	c->dr[1] = 0x600d;		/* MOV DR1 */
	vmcb->dr6 = 0xffff0ff1;
	vmcb->dr7 = 0x403;
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
		{ .code = SVM_VMEXIT_INTR, .act = look },
		{ .code = SVM_VMEXIT_INTR },
	};
	struct sim_cpu *c = &sim_cpu[0];

	sim_msr_set(XSS, 0x800);
	host_user.debug_active = true;
	for (unsigned int i = 0; i < 4; i++)
		c->dr[i] = 0xffffffff81000000 + i;
	c->dr7 = 0x4aa;
	c->dr6 = 0xffff0ff4;
	set_drs(0x1000);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(inside.xss, 0);
	ck_assert_uint_eq(inside.xcr0, 1);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(inside.dr[i], 0x1000 + i);
		ck_assert_uint_eq(c->dr[i], 0xffffffff81000000 + i);
	}
	ck_assert_uint_eq(c->dr7, 0x4aa);
	ck_assert_uint_eq(c->dr6, 0xffff0ff4);
	ck_assert_uint_eq(cpu_rdmsr(XSS), 0x800);
	ck_assert_uint_eq(c->xcr0, 7);
	ck_assert(!sim_svm.cpu[0].gif_clear);
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
host_arms(struct vmcb *vmcb, uint64_t *gpr)
{
	struct sim_cpu *c = &sim_cpu[host_cpu()];

	look(vmcb, gpr);
	host_user.debug_active = true;
	c->dr[0] = 0xffffffff82000000;
}

static void
host_arms_late(void)
{
	sim_cpu[0].dr7 = 0x402;
	sim_cpu[0].dr[0] = 0xffffffff82000000;
}

static bool
arm_once(void)
{
	static bool armed;

	if (host_user.debug_active && !armed) {
		host_arms_late();
		armed = true;
	}
	return false;
}

START_TEST(the_host_arms_a_breakpoint_meanwhile)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = host_arms },
		{ .code = SVM_VMEXIT_INTR, .act = look },
	};

	host_user.on_signal_pending = arm_once;
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

START_TEST(the_guest_keeps_its_fpu_registers)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = look },
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

START_TEST(the_last_vm_leaves_no_trace)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++) {
		host_user_set_cpu(cpu);
		ck_assert_uint_eq(cpu_rdmsr(EFER), 0x1d01);
		ck_assert_uint_ne(cpu_rdmsr(HSAVE), 0);
	}
	vmm_close(&f.session);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++) {
		host_user_set_cpu(cpu);
		ck_assert_uint_eq(cpu_rdmsr(EFER), 0xd01);
		ck_assert_uint_eq(cpu_rdmsr(HSAVE), 0);
	}
	host_user_set_cpu(0);
}
END_TEST

/* --- Other machines ------------------------------------------------------ */

static void
again(void (*machine)(void))
{
	bool all = sim_svm.nrip_save;

	fixture_stop(&f);
	fixture_machine = machine;
	fixture_start(&f, all, VCPUS);
	fixture_long_mode(&f, RIP);
	fixture_machine = NULL;
}

static void
without_xsave(void)
{
	sim_cpuid_set(1, UINT32_MAX, 0x00800f11, 0x00080800, 0x62d8320b,
	    0x178bfbff);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		sim_cpu[cpu].cr4 = 0x6f0;
}

START_TEST(a_host_without_xsave)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = look },
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

static void
with_la57(void)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		sim_cpu[cpu].cr4 |= 1 << 12;
}

/* The nested walk has the host's five levels. */
START_TEST(a_host_with_five_levels)
{
	const uint64_t *top;

	again(with_la57);
	top = host_pa_to_va(run()->n_cr3);
	ck_assert_uint_eq(top[0] & 0xfff & ~0x20ULL, 7);
	for (unsigned int i = 1; i < 512; i++)
		ck_assert_uint_eq(top[i], 0);
}
END_TEST

static void no_svm(void)
{
	sim_cpuid_set(0x80000001, UINT32_MAX, 0x00800f11, 0x20000000,
	    0x35c233fb, 0x2fd3fbff);
}
static void locked(void) { sim_msr_set(0xc0010114, 0x10); }
static void no_npt(void)
{
	sim_cpuid_set(0x8000000a, UINT32_MAX, 1, 64, 0, 0);
}
static void no_asid(void)
{
	sim_cpuid_set(0x8000000a, UINT32_MAX, 1, 1, 0, 1);
}

START_TEST(machines_that_cannot)
{
	static const struct {
		void	(*machine)(void);
		const char *says;
		unsigned int lines;
	} machines[] = {
		{ no_svm, "no SVM/RVI\nvmm: this CPU has no VMX/EPT", 2 },
		{ locked, "firmware", 1 },
		{ no_npt, "nested paging", 1 },
		{ no_asid, "no ASID", 1 },
	};
	bool all = sim_svm.nrip_save;

	fixture_stop(&f);
	for (size_t i = 0; i < 4; i++) {
		host_user_reset();
		sim_reset();
		sim_svm_reset(all);
		machines[i].machine();
		ck_assert_int_eq(vmm_attach(vmm_backends), -ENODEV);
		ck_assert_ptr_nonnull(strstr(host_user.log, machines[i].says));
		ck_assert_uint_eq(host_user.infos, machines[i].lines);
		ck_assert_int_eq(host_user.alloc_live, 0);
	}
	fixture_start(&f, all, 1);
}
END_TEST

START_TEST(large_leaves_are_the_cpu_s)
{
	bool all = sim_svm.nrip_save;

	ck_assert_int_eq(vmm_backend()->largest_leaf(), STAGE2_1G);
	fixture_stop(&f);
	sim_reset();
	sim_svm_reset(all);
	sim_cpuid_set(0x80000001, UINT32_MAX, 0x00800f11, 0x20000000,
	    0x35c233ff, 0x2fd3fbff & ~(1u << 26));
	ck_assert_int_eq(vmm_attach(vmm_backends), 0);
	ck_assert_int_eq(vmm_backend()->largest_leaf(), STAGE2_2M);
	vmm_detach();
	fixture_start(&f, all, 1);
}
END_TEST

START_TEST(attach_without_memory)
{
	bool all = sim_svm.nrip_save;
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
	ck_assert_uint_gt(n, 2 * HOST_USER_CPUS);
	host_user_fail_alloc(0);
	vmm_detach();
	ck_assert_int_eq(host_user.alloc_live, 0);
	fixture_start(&f, all, 1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		asids_run_out_and_everything_is_flushed,
		a_refused_flush_is_made_up_for,
		a_reset_takes_a_new_asid,
		writeregs_flushes,
		a_protection_flushes,
		an_invalidation_flushes,
		clean_when_nothing_has_changed,
		exactly_what_has_changed_is_dirty,
		the_window_is_dirty,
		writeregs_dirties_its_groups,
		a_cpu_knows_nothing_of_another_s_vcpu,
		a_vcpu_wanders_during_run,
		the_predictor_forgets_other_vcpus,
		a_cpu_goes_and_comes,
		a_cpu_goes_under_a_vcpu,
		the_host_gets_its_state_back,
		the_host_arms_a_breakpoint_meanwhile,
		the_guest_keeps_its_fpu_registers,
		the_last_vm_leaves_no_trace,
		a_host_without_xsave,
		a_host_with_five_levels,
		machines_that_cannot,
		large_leaves_are_the_cpu_s,
		attach_without_memory,
	};

	return fixture_main("world", tests, sizeof(tests) / sizeof(tests[0]),
	    start, start_bare, stop);
}
