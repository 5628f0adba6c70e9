/* SPDX-License-Identifier: ISC */
/*
 * test_svm.c - what is SVM's own: ASIDs, clean bits, virtual interrupts, the
 * CPUs that cannot.
 */
#include <stdlib.h>

#include "backend.h"
#include "backends.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define VCPUS	64
#define EFER	0xc0000080u
#define HSAVE	0xc0010117u
#define ALL	VMCB_CLEAN_ALL
#define IF	0x200ULL

static struct fixture f;
static struct script s;
static struct vmcb seen[SCRIPT_MAX];	/* as each VMRUN found it */

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

static void
guest_is_watched(struct sim_guest *g, void *arg)
{
	seen[s.at] = *sim_svm_entered();
	script_guest(g, arg);
}

static void
steps(const struct step *step, unsigned int n, uint16_t irq)
{
	s = (struct script){ .step = step, .steps = n, .mem = f.mem };
	ck_assert_int_eq(fixture_run(&f, guest_is_watched, &s, irq), 0);
}

static const struct vmcb *
run(void)
{
	steps(NULL, 0, VMM_NO_IRQ);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	return &seen[0];
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

/* What the client wrote is there, whatever the CPU left behind; and it is told why. */
START_TEST(a_refused_state_stays_the_client_s)
{
	struct vcpu_reg_state good, bad, now;

	fixture_regs(&f, &good);
	bad = good;
	bad.vrs_sregs[VCPU_REGS_CS].vsi_ar |= 1 << 14;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &bad), 0);
	fixture_regs(&f, &bad);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), -EINVAL);
		ck_assert_str_eq(fixture_refused(&f), "cs_one_size");
		fixture_regs(&f, &now);
		ck_assert_mem_eq(&now, &bad, sizeof(now));
	}
	ck_assert(strstr(host_user.log, "VMEXIT_INVALID; cs_one_size: In long mode") != NULL);
	ck_assert_uint_eq(host_user.trace_refusals, 2);
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &good), 0);
	run();
	ck_assert_str_eq(fixture_refused(&f), "");
}
END_TEST

/* One vCPU's translations go: by its ASID where the CPU can, else it has a new one. */
START_TEST(a_flush_is_the_asid_s)
{
	struct vcpu_reg_state r;
	const struct vmcb *e = run();
	uint32_t asid = e->guest_asid;

	fixture_regs(&f, &r);
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
	e = run();
	if (sim_svm_has(SIM_SVM_FLUSH_BY_ASID)) {
		ck_assert_uint_eq(e->guest_asid, asid);
		ck_assert_uint_eq(e->tlb_control, VMCB_TLB_FLUSH_ASID);
	} else {
		ck_assert_uint_ne(e->guest_asid, asid);
	}
	e = run();
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_NONE);
}
END_TEST

/* --- Clean bits ---------------------------------------------------------- */

START_TEST(clean_when_nothing_has_changed)
{
	const struct step two[] = { { EXITS(EXIT_INTR) }, { EXITS(EXIT_INTR) } };

	steps(two, 2, VMM_NO_IRQ);
	ck_assert_uint_eq(seen[0].clean, 0);
	for (int i = 1; i < 3; i++)
		ck_assert_uint_eq(seen[i].clean, sim_svm_has(SIM_SVM_CLEAN_BITS) ? ALL : 0);
	ck_assert_uint_eq(run()->clean, sim_svm_has(SIM_SVM_CLEAN_BITS) ? ALL : 0);
	/* Others run in between: their state is not cached under our address. */
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	ck_assert_uint_eq(run()->clean, 0);
	f.run.vrp_vcpu_id = 0;
	ck_assert_uint_eq(run()->clean, sim_svm_has(SIM_SVM_CLEAN_BITS) ? ALL : 0);
}
END_TEST

static uint64_t rax, rcx;

static void
load(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = rax;
	g->gpr[VCPU_REGS_RCX] = rcx;
	g->gpr[VCPU_REGS_RDX] = 0;
}

START_TEST(exactly_what_has_changed_is_dirty)
{
	static const struct {
		struct step step;
		uint64_t rax, rcx;
		uint32_t dirty;
	} cases[] = {
		{ { AT(EXIT_CR_ACCESS, "\x0f\x22\xe0"),
		    .exit.cr = { .cr = 4 }, .act = load }, 0x2a, 0,
		  VMCB_CLEAN_CRX },
		{ { AT(EXIT_CR_ACCESS, "\x0f\x22\xc0"),
		    .exit.cr = { .cr = 0 }, .act = load }, 0x80000031, 0,
		  VMCB_CLEAN_CRX },
		{ { AT(EXIT_MSR, "\x0f\x30"),
		    .exit.msr.write = true, .act = load },
		  0x501, EFER, VMCB_CLEAN_CRX },
		{ { AT(EXIT_MSR, "\x0f\x30"),
		    .exit.msr.write = true, .act = load },
		  0x06060606, 0x277, VMCB_CLEAN_NP },
		{ { AT(EXIT_MSR, "\x0f\x30"),
		    .exit.msr.write = true, .act = load },
		  1, 0x10, VMCB_CLEAN_INTERCEPTS },
		{ { AT(EXIT_CPUID, "\x0f\xa2"), .act = load }, 0, 0, 0 },
		{ { AT(EXIT_MSR, "\x0f\x32"), .act = load }, 0, 0x277, 0 },
	};

	if (!sim_svm_has(SIM_SVM_CLEAN_BITS))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_long_mode(&f, RIP);
		run();
		rax = cases[i].rax;
		rcx = cases[i].rcx;
		steps(&cases[i].step, 1, VMM_NO_IRQ);
		ck_assert_uint_eq(seen[0].clean, ALL);
		ck_assert_uint_eq(seen[1].clean, ALL & ~cases[i].dirty);
	}
}
END_TEST

START_TEST(the_window_is_dirty)
{
	const struct step intr = { EXITS(EXIT_INTR) };

	ck_assert_uint_eq(run()->clean, 0);
	steps(&intr, 1, 0x30);
	ck_assert_uint_eq(seen[0].clean, sim_svm_has(SIM_SVM_CLEAN_BITS) ?
	    ALL & ~(VMCB_CLEAN_INTERCEPTS | VMCB_CLEAN_TPR) : 0);
	ck_assert_uint_eq(seen[1].clean, sim_svm_has(SIM_SVM_CLEAN_BITS) ? ALL : 0);
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

	if (!sim_svm_has(SIM_SVM_CLEAN_BITS))
		return;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		run();
		fixture_regs(&f, &r);
		ck_assert_int_eq(fixture_set_regs(&f, groups[i].group, &r), 0);
		/* And the flush may have taken another ASID. */
		ck_assert_uint_eq(run()->clean, ALL & ~groups[i].dirty &
		    ~(sim_svm_has(SIM_SVM_FLUSH_BY_ASID) ? 0u :
		    (uint32_t)VMCB_CLEAN_ASID));
	}
}
END_TEST

/* --- Virtual interrupts -------------------------------------------------- */

static void
take_interrupts(void)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	r.vrs_gprs[VCPU_REGS_RFLAGS] |= IF;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
}

/* An exit came before the guest took the virtual interrupt. */
static void
not_yet(struct sim_guest *g)
{
	(void)g;
	sim_svm_vmcb()->vintr |= VMCB_VINTR_IRQ;
}

START_TEST(an_interrupt_that_was_not_taken_goes_in_again)
{
	const struct step step[] = {
		{ EXITS(EXIT_INTR), .act = not_yet },
		{ EXITS(EXIT_INTR), .act = not_yet },
		{ EXITS(EXIT_INTR) },
	};

	take_interrupts();
	steps(step, sizeof(step) / sizeof(step[0]), 0x35);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x35));
	ck_assert_uint_eq(s.seen[1].event, EV_INTR(0x35));
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x35));
	ck_assert_uint_eq(s.seen[3].event, 0);
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
}
END_TEST

/* Its delivery was cut short: the CPU says so, and may or may not keep V_IRQ. */
START_TEST(a_cut_short_interrupt_goes_in_once)
{
	const struct step step[] = {
		{ EXITS(EXIT_INTR), .interrupted = EV_INTR(0x36), .act = not_yet },
		{ EXITS(EXIT_INTR), .interrupted = EV_INTR(0x36) },
	};

	take_interrupts();
	steps(step, sizeof(step) / sizeof(step[0]), 0x36);
	ck_assert_uint_eq(s.seen[1].event, EV_INTR(0x36));
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x36));
	ck_assert_uint_eq(s.at, 3);
}
END_TEST

/* As QEMU's: "TCGTCGTCGTCG". */
static void
tcg(void)
{
	sim_cpuid_set(0x40000000, UINT32_MAX, 0x40000001, 0x54474354,
	    0x43544743, 0x47435447);
}

static void
refuse_interrupts(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RFLAGS] &= ~IF;
}

/* EVENTINJ brings an interrupt with the window's request behind it. */
static uint64_t
self_interrupts(void)
{
	const struct step step[] = {
		{ EXITS(EXIT_INTR), .act = refuse_interrupts },
	};

	fixture_long_mode(&f, RIP);
	steps(NULL, 0, 0x50);
	take_interrupts();
	steps(step, 1, 0x61);
	ck_assert_uint_eq(seen[0].eventinj, 1u << 31 | 0x61);
	return host_user.self_interrupts;
}

START_TEST(what_eventinj_brings_exits_at_once_on_tcg)
{
	ck_assert_uint_eq(self_interrupts(), 0);
	fixture_stop(&f);
	fixture_machine = tcg;
	fixture_start(&f, VCPUS);
	fixture_machine = NULL;
	ck_assert_uint_eq(self_interrupts(), 1);
}
END_TEST

/* A triple fault there may be a machine check that the guest was not to get. */
START_TEST(a_shutdown_on_tcg_may_be_a_machine_check)
{
	static const struct step step[] = {
		{ EXITS(EXIT_TRIPLE_FAULT), .interrupted = EV_EXC(18) },
	};

	fixture_stop(&f);
	fixture_machine = tcg;
	fixture_start(&f, VCPUS);
	fixture_machine = NULL;
	fixture_long_mode(&f, RIP);
	steps(step, 1, VMM_NO_IRQ);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_SHUTDOWN);
	ck_assert_uint_eq(host_user.machine_checks, 0);
	sim_msr_set(0x17a, 7);
	steps(step, 1, VMM_NO_IRQ);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(host_user.machine_checks, 1);
	ck_assert_uint_eq(seen[1].eventinj, 0);
}
END_TEST

/* --- CPUs ---------------------------------------------------------------- */

START_TEST(a_cpu_knows_nothing_of_another_s_vcpu)
{
	const struct vmcb *e;

	e = run();
	ck_assert_uint_eq(sim.entered.cpu, 0);
	host_user_set_cpu(3);
	e = run();
	ck_assert_uint_eq(sim.entered.cpu, 3);
	ck_assert_uint_eq(e->clean, 0);
	ck_assert_uint_eq(e->guest_asid, 1);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_FLUSH_ALL);
	ck_assert_uint_eq(run()->clean, sim_svm_has(SIM_SVM_CLEAN_BITS) ? ALL : 0);
	host_user_set_cpu(0);
	e = run();
	ck_assert_uint_eq(e->clean, 0);
	ck_assert_uint_eq(e->guest_asid, 2);
	ck_assert_uint_eq(e->tlb_control, VMCB_TLB_NONE);
}
END_TEST

/* A CPU goes and comes: what it had cached is gone. */
START_TEST(a_cpu_forgets_while_it_is_off)
{
	run();
	host_user_cpu_down(0);
	ck_assert_uint_eq(cpu_rdmsr(EFER) & 0x1000, 0);
	ck_assert_uint_eq(cpu_rdmsr(HSAVE), 0);
	ck_assert_int_eq(host_user_cpu_up(0), 0);
	ck_assert_uint_ne(cpu_rdmsr(HSAVE), 0);
	run();
	ck_assert_uint_eq(seen[0].clean, 0);
	ck_assert_uint_eq(seen[0].tlb_control, VMCB_TLB_FLUSH_ALL);
}
END_TEST

static uint64_t xss_inside;

static void
look_at_xss(struct sim_guest *g)
{
	(void)g;
	xss_inside = cpu_rdmsr(0xda0);
}

/* XSAVES would obey the host's. */
START_TEST(the_host_s_xss_is_put_away)
{
	const struct step step = { EXITS(EXIT_INTR), .act = look_at_xss };

	/* As the kernel has it when the CPU comes. */
	host_user_cpu_down(host_cpu());
	sim_msr_set(0xda0, 0x800);
	ck_assert_int_eq(host_user_cpu_up(host_cpu()), 0);
	steps(&step, 1, VMM_NO_IRQ);
	ck_assert_uint_eq(xss_inside, 0);
	ck_assert_uint_eq(cpu_rdmsr(0xda0), 0x800);
	ck_assert(!sim_svm.cpu[0].gif_clear);
}
END_TEST

static uint64_t aux_inside;

static void
look_at_aux(struct sim_guest *g)
{
	(void)g;
	aux_inside = cpu_rdmsr(0xc0000103);
}

static void
with_bp_spec_reduce(void)
{
	host_user.bp_spec_reduce = true;
	sim_msr_set(0xc001102e, 0x20);
}

/* SRSO on Zen 5: while guests may run here, and not a moment longer. */
START_TEST(speculation_is_reduced_while_there_are_guests)
{
	fixture_stop(&f);
	fixture_machine = with_bp_spec_reduce;
	start();
	fixture_machine = NULL;
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++) {
		host_user_set_cpu(cpu);
		ck_assert_uint_eq(cpu_rdmsr(0xc001102e), 0x30);
	}
	host_user_set_cpu(0);
	host_user_cpu_down(0);
	ck_assert_uint_eq(cpu_rdmsr(0xc001102e), 0x20);
	/* Somebody else has it on, so it stays on. */
	sim_msr_set(0xc001102e, 0x30);
	ck_assert_int_eq(host_user_cpu_up(0), 0);
	host_user_cpu_down(0);
	ck_assert_uint_eq(cpu_rdmsr(0xc001102e), 0x30);
	ck_assert_int_eq(host_user_cpu_up(0), 0);
}
END_TEST

static void
with_rdpid(void)
{
	sim_cpuid_set(7, 0, 0, 0x209c01a9, 1u << 22, 0);
	sim_msr_set(0xc0000103, 0x1001);
}

/* RDPID has no intercept: it reads what is there. */
START_TEST(the_host_s_tsc_aux_is_put_away)
{
	const struct step step = { EXITS(EXIT_INTR), .act = look_at_aux };

	fixture_stop(&f);
	fixture_machine = with_rdpid;
	start();
	fixture_machine = NULL;
	steps(&step, 1, VMM_NO_IRQ);
	ck_assert_uint_eq(aux_inside, 0);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000103), 0x1001);
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

	fixture_stop(&f);
	fixture_machine = with_la57;
	start();
	fixture_machine = NULL;
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
	fixture_stop(&f);
	for (size_t i = 0; i < 4; i++) {
		fixture_reset(&f);
		machines[i].machine();
		ck_assert_int_eq(vmm_attach(vmm_backends), -ENODEV);
		ck_assert_ptr_nonnull(strstr(host_user.log, machines[i].says));
		ck_assert_uint_eq(host_user.infos, machines[i].lines);
		ck_assert_int_eq(host_user.alloc_live, 0);
	}
	fixture_start(&f, 1);
}
END_TEST

START_TEST(large_leaves_are_the_cpu_s)
{
	ck_assert_int_eq(vmm_backend()->largest_leaf(), STAGE2_1G);
	ck_assert(vmm_backend()->accessed_bits());
	fixture_stop(&f);
	fixture_reset(&f);
	sim_cpuid_set(0x80000001, UINT32_MAX, 0x00800f11, 0x20000000,
	    0x35c233ff, 0x2fd3fbff & ~(1u << 26));
	ck_assert_int_eq(vmm_attach(vmm_backends), 0);
	ck_assert_int_eq(vmm_backend()->largest_leaf(), STAGE2_2M);
	vmm_detach();
	fixture_start(&f, 1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		asids_run_out_and_everything_is_flushed,
		a_refused_flush_is_made_up_for,
		a_refused_state_stays_the_client_s,
		a_flush_is_the_asid_s,
		clean_when_nothing_has_changed,
		exactly_what_has_changed_is_dirty,
		the_window_is_dirty,
		writeregs_dirties_its_groups,
		an_interrupt_that_was_not_taken_goes_in_again,
		a_cut_short_interrupt_goes_in_once,
		what_eventinj_brings_exits_at_once_on_tcg,
		a_shutdown_on_tcg_may_be_a_machine_check,
		a_cpu_knows_nothing_of_another_s_vcpu,
		a_cpu_forgets_while_it_is_off,
		the_host_s_xss_is_put_away,
		the_host_s_tsc_aux_is_put_away,
		speculation_is_reduced_while_there_are_guests,
		a_host_with_five_levels,
		machines_that_cannot,
		large_leaves_are_the_cpu_s,
	};

	return fixture_main_svm("svm", tests, sizeof(tests) / sizeof(tests[0]),
	    start, stop);
}
