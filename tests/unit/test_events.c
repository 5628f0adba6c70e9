/* SPDX-License-Identifier: ISC */
/*
 * test_events.c - what goes into the guest beside its own instructions:
 * interrupts of the client, exceptions, deliveries that an exit cut short.
 */
#include <pthread.h>

#include "vmm_fixture.h"

#define RIP		0x10000
#define IF		0x200ULL
#define NO_MEMORY	0xe0000000ULL	/* a GPA */

static struct fixture f;
static struct script s;

static void
start(void)
{
	fixture_start(&f, 1);
	fixture_long_mode(&f, RIP);
}

static void
stop(void)
{
	fixture_stop(&f);
}

static void
set_rflags(uint64_t bits)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	r.vrs_gprs[VCPU_REGS_RFLAGS] = 2 | bits;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
}

/* Was entry n made with an open request for the interrupt window? */
static bool
window(unsigned int n)
{
	return s.seen[n].window;
}

static int
intr(uint16_t pending)
{
	struct vm_intr_params p = { .vip_vm_id = f.vm, .vip_intr = pending };

	return fixture_ioctl(&f, VMM_IOC_INTR, &p);
}

static void
take_interrupts(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RFLAGS] |= IF;
}

static void
sti(struct sim_guest *g)
{
	take_interrupts(g);
	g->shadow = true;
}

static void
refuse_interrupts(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RFLAGS] &= ~IF;
}

/* --- Interrupts of the client --------------------------------------------------- */

START_TEST(an_interrupt_goes_in_at_once)
{
	set_rflags(IF);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x30), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x30));
	ck_assert(!window(0));
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
	ck_assert_uint_eq(host_user.trace_injects, 1);
	/* And once only. */
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].event, 0);
}
END_TEST

/* One interrupt goes in while another asks for the window behind it. */
START_TEST(a_second_interrupt_asks_for_the_window)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = refuse_interrupts },
		{ EXITS(EXIT_INTR_WINDOW), .act = take_interrupts },
	};

	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x50), 0);
	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x61), 0);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x61));
	ck_assert(window(0));
	ck_assert_uint_eq(s.seen[1].event, 0);
	ck_assert(window(1));
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x50));
	ck_assert(!window(2));
}
END_TEST

START_TEST(an_interrupt_waits_for_if)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR) },
		{ EXITS(EXIT_INTR_WINDOW), .act = take_interrupts },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x31), 0);
	ck_assert_uint_eq(s.at, 3);
	ck_assert_uint_eq(s.seen[0].event, 0);
	ck_assert(window(0));
	ck_assert(window(1));
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x31));
	ck_assert(!window(2));
}
END_TEST

START_TEST(an_interrupt_waits_for_the_shadow)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = sti },
		{ EXITS(EXIT_INTR_WINDOW) },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x32), 0);
	ck_assert_uint_eq(s.seen[1].event, 0);
	ck_assert_uint_eq(s.seen[1].shadow, 1);
	ck_assert(window(1));
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x32));
	ck_assert(!window(2));
}
END_TEST

/* The window opens, but something closes it before the next entry. */
START_TEST(a_window_that_closes_is_requested_again)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR_WINDOW) },	/* IF is clear all the same */
		{ EXITS(EXIT_INTR_WINDOW), .act = take_interrupts },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x33), 0);
	ck_assert_uint_eq(s.seen[1].event, 0);
	ck_assert(window(1));
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x33));
}
END_TEST

static uint64_t injected[300];

/* Takes interrupts until there is none, then halts. */
static void
guest_takes_all(struct sim_guest *g, void *arg)
{
	unsigned int *n = arg;

	g->gpr[VCPU_REGS_RFLAGS] |= IF;
	injected[(*n)++] = sim.entered.event;
	ck_assert_uint_lt(*n, 300);
	/* As it did before it took any: with the window asked for. */
	g->exit.kind = *n < 257 ? EXIT_INTR : EXIT_HLT;
	g->exit.insn_len = 1;
	f.mem[g->gpr[VCPU_REGS_RIP]] = 0xf4;
}

START_TEST(all_vectors_wait_and_the_highest_goes_first)
{
	unsigned int n = 0;

	for (uint16_t v = 0; v <= VMM_MAX_IRQ; v++) {
		/* In no order at all. */
		ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0,
		    (uint16_t)(v * 77 % 256)), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
		ck_assert_uint_eq(f.run.vrp_irqready, 0);
		ck_assert_uint_eq(s.seen[0].event, 0);
	}
	ck_assert_int_eq(fixture_run(&f, guest_takes_all, &n, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(n, 257);
	for (unsigned int i = 1; i < n; i++)
		ck_assert_uint_eq(injected[i], EV_INTR(256 - i));
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
}
END_TEST

/* STI; HLT: the interrupt comes after HLT, so HLT does not wait. */
START_TEST(a_waiting_interrupt_ends_hlt)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR) },
		{ AT(EXIT_HLT, "\xf4"), .act = sti },
		{ EXITS(EXIT_INTR) },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x40), 0);
	ck_assert_uint_eq(s.at, 4);
	ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x40));
	ck_assert_uint_eq(s.seen[2].gpr[VCPU_REGS_RIP], RIP + 1);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
}
END_TEST

/* With IF clear it waits on, and so does HLT. */
START_TEST(hlt_with_interrupts_off_reaches_the_client)
{
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x40), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.at, 1);
	ck_assert_uint_eq(f.run.vrp_irqready, 0);
}
END_TEST

START_TEST(reset_forgets_what_is_pending)
{
	const struct step steps[] = {
		{ EXITS(EXIT_STAGE2_FAULT), .exit.npf = { NO_MEMORY, STAGE2_R },
		  .interrupted = EV_EXC_CODE(14, 2) },
	};

	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x40), 0);
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x41), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_STAGE2_FAULT));
	fixture_long_mode(&f, RIP);
	set_rflags(IF);
	f.run.vrp_continue = 0;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.at, 1);
	ck_assert_uint_eq(s.seen[0].event, 0);
	ck_assert(!window(0));
}
END_TEST

/* --- VMM_IOC_INTR ---------------------------------------------------------------- */

START_TEST(intr_returns_at_once_when_the_guest_is_ready)
{
	set_rflags(IF);
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_INTR_WINDOW));
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
	ck_assert_uint_eq(s.at, 0);
	ck_assert_uint_eq(host_user.kicks[0], 0);
	ck_assert_int_eq(intr(0), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.at, 1);
}
END_TEST

START_TEST(intr_waits_for_the_window)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR) },
		{ EXITS(EXIT_INTR_WINDOW), .act = take_interrupts },
	};

	ck_assert_int_eq(intr(0x8000), 0);	/* anything but 0 */
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_INTR_WINDOW));
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
	ck_assert_uint_eq(s.at, 2);
	ck_assert(window(0));
	ck_assert(window(1));
	/* The client keeps its promise. */
	ck_assert_int_eq(intr(0), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x55), 0);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x55));
	ck_assert(!window(0));
}
END_TEST

/* The vector goes in first, then the client is asked for the next. */
START_TEST(intr_and_a_vector_both_work)
{
	set_rflags(IF);
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, (const struct step []){
	    { EXITS(EXIT_INTR), .act = refuse_interrupts },
	    { EXITS(EXIT_INTR_WINDOW), .act = take_interrupts } }, 2, 0x56), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_INTR_WINDOW));
	ck_assert_uint_eq(s.at, 2);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x56));
	ck_assert_uint_eq(s.seen[1].event, 0);
	ck_assert(window(1));
}
END_TEST

/* A guest that runs until it is kicked. */
static uint32_t inside;

static void
guest_spins(struct sim_guest *g, void *arg)
{
	(void)arg;
	sync_store_release(&inside, 1);
	ck_assert(host_user_wait_kick(5000));
	g->exit.kind = EXIT_INTR;
}

static void *
intr_from_outside(void *arg)
{
	(void)arg;
	while (!sync_load_acquire(&inside))
		sched_yield();
	ck_assert_int_eq(intr(1), 0);
	return NULL;
}

START_TEST(intr_kicks_a_running_vcpu)
{
	pthread_t t;

	set_rflags(IF);
	inside = 0;
	pthread_create(&t, NULL, intr_from_outside, NULL);
	ck_assert_int_eq(fixture_run(&f, guest_spins, NULL, VMM_NO_IRQ), 0);
	pthread_join(t, NULL);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_INTR_WINDOW));
	ck_assert_uint_eq(sim.entries, 1);
	ck_assert_uint_eq(host_user.kicks[host_cpu()], 1);
}
END_TEST

static void
guest_intr_off(struct sim_guest *g, void *arg)
{
	(void)arg;
	if (sim.entries == 1) {
		guest_spins(g, arg);
	} else {
		ck_assert(g->window);
		g->gpr[VCPU_REGS_RFLAGS] |= IF;
		g->exit.kind = EXIT_INTR_WINDOW;
	}
}

START_TEST(intr_kicks_to_request_the_window)
{
	pthread_t t;

	inside = 0;
	pthread_create(&t, NULL, intr_from_outside, NULL);
	ck_assert_int_eq(fixture_run(&f, guest_intr_off, NULL, VMM_NO_IRQ), 0);
	pthread_join(t, NULL);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_INTR_WINDOW));
	ck_assert_uint_eq(sim.entries, 2);
}
END_TEST

/* --- Deliveries that an exit cut short ---------------------------------------------- */

START_TEST(a_delivery_that_was_cut_short_is_made_again)
{
	static const struct { uint64_t cut, again; } events[] = {
		{ EV_INTR(0x21), EV_INTR(0x21) },
		{ EV_INTR(0xff), EV_INTR(0xff) },
		{ EV_NMI, EV_NMI },
		{ EV_EXC(0), EV_EXC(0) },
		{ EV_EXC(1), EV_EXC(1) },
		{ EV_EXC(6), EV_EXC(6) },
		{ EV_EXC_CODE(8, 0), EV_EXC_CODE(8, 0) },
		{ EV_EXC_CODE(11, 0x1234), EV_EXC_CODE(11, 0x1234) },
		{ EV_EXC_CODE(14, 7), EV_EXC_CODE(14, 7) },
		/* RIP still points at these instructions. */
		{ EV_EXC(3), 0 },
		{ EV_EXC(4), 0 },
		{ EV_INT_N(0x80), 0 },
		{ EV_INT_N(3), 0 },
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		const struct step steps[] = {
			{ EXITS(EXIT_STAGE2_FAULT), .exit.npf = { 0x200000, STAGE2_W },
			  .interrupted = events[i].cut },
			{ EXITS(EXIT_INTR) },
		};

		fixture_long_mode(&f, RIP);
		set_rflags(IF);
		ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(s.at, 3);
		ck_assert_uint_eq(s.seen[1].event, events[i].again);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
		ck_assert_uint_eq(s.seen[2].event, 0);
	}
}
END_TEST

START_TEST(a_delivery_goes_before_a_new_interrupt)
{
	const struct step steps[] = {
		{ EXITS(EXIT_STAGE2_FAULT), .exit.npf = { NO_MEMORY, STAGE2_R },
		  .interrupted = EV_EXC_CODE(14, 2) },
	};

	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_STAGE2_FAULT));
	ck_assert_uint_eq(f.run.vrp_irqready, 0);
	/* A client that injects nevertheless. */
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, (const struct step []){
	    { EXITS(EXIT_INTR) }, { EXITS(EXIT_INTR) } }, 2,
	    0x60), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_INTR_WINDOW));
	ck_assert_uint_eq(s.at, 2);
	ck_assert_uint_eq(s.seen[0].event, EV_EXC_CODE(14, 2));
	ck_assert(window(0));
	ck_assert_uint_eq(s.seen[1].event, EV_INTR(0x60));
}
END_TEST

/* An exception while an interrupt is delivered: first the one, then the other. */
START_TEST(an_interrupt_survives_a_fault)
{
	const struct step steps[] = {
		{ EXITS(EXIT_EXCEPTION_AC), .interrupted = EV_INTR(0x50) },
		{ EXITS(EXIT_INTR), .act = refuse_interrupts },
		{ EXITS(EXIT_INTR_WINDOW), .act = take_interrupts },
	};

	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x50), 0);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x50));
	ck_assert_uint_eq(s.seen[1].event, EV_EXC_CODE(17, 0));
	ck_assert(window(1));
	ck_assert_uint_eq(s.seen[2].event, 0);
	ck_assert_uint_eq(s.seen[3].event, EV_INTR(0x50));
}
END_TEST

/* --- Exceptions --------------------------------------------------------------------- */

/* SDM 3A tables 6-4 and 6-5, APM 2 8.2.9. */
static bool
double_fault(unsigned int first, unsigned int second)
{
	const uint32_t contributory = 1u << 0 | 1u << 10 | 1u << 11 | 1u << 12 |
	    1u << 13;

	if (first == 14)
		return second == 14 || contributory & 1u << second;
	return contributory & 1u << first && contributory & 1u << second;
}

START_TEST(two_exceptions_make_a_double_fault)
{
	static const unsigned int codes = 0x227d00;	/* these push one */
	static const struct {
		enum exit_kind kind;
		unsigned int vector;
	} second[] = {
		{ EXIT_EXCEPTION_DB, 1 }, { EXIT_EXCEPTION_AC, 17 },
		{ EXIT_TASK_SWITCH, 13 },
		{ EXIT_VMCALL, 6 },	/* VMX tells of no delivery then */
	};

	for (unsigned int first = 0; first < 20; first++) {
		if (first == 2 || first == 3 || first == 4 || first == 8 ||
		    first == 9 || first == 15)
			continue;
		for (size_t i = 0; i < (sim_machine->vmx ? 3 : 4); i++) {
			bool code = codes >> first & 1;
			unsigned int v = second[i].vector;
			const struct step steps[] = {
				{ EXITS(second[i].kind),
				  .interrupted = code ? EV_EXC_CODE(first, 0) :
				  EV_EXC(first) },
			};

			fixture_long_mode(&f, RIP);
			ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
			ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
			if (double_fault(first, v))
				ck_assert_uint_eq(s.seen[1].event,
				    EV_EXC_CODE(8, 0));
			else
				ck_assert_uint_eq(s.seen[1].event,
				    codes >> v & 1 ? EV_EXC_CODE(v, 0) :
				    EV_EXC(v));
		}
	}
}
END_TEST

START_TEST(an_intercepted_exception_reaches_the_guest)
{
	const struct step steps[] = {
		{ EXITS(EXIT_EXCEPTION_DB) },
		{ EXITS(EXIT_EXCEPTION_AC) },
		{ EXITS(EXIT_INTR) },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].event, EV_EXC(1));
	ck_assert_uint_eq(s.seen[2].event, EV_EXC_CODE(17, 0));
	ck_assert_uint_eq(s.seen[3].event, 0);
	ck_assert_uint_eq(s.seen[3].gpr[VCPU_REGS_RIP], RIP);
}
END_TEST

static void
set_user(uint64_t cr0, uint64_t rflags)
{
	struct vcpu_reg_state r;

	fixture_long_mode(&f, RIP);
	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR0] |= cr0;
	r.vrs_gprs[VCPU_REGS_RFLAGS] |= rflags;
	r.vrs_sregs[VCPU_REGS_SS].vsi_ar |= 3 << ARCH_AR_DPL_SHIFT;
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar |= 3 << ARCH_AR_DPL_SHIFT;
	r.vrs_sregs[VCPU_REGS_SS].vsi_sel |= 3;
	r.vrs_sregs[VCPU_REGS_CS].vsi_sel |= 3;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
}

/* A host that detects split locks takes #AC for one, whatever the guest wants. */
START_TEST(a_split_lock_is_the_hosts)
{
	static const struct {
		uint64_t cr0, rflags;
		bool	 guests;
	} cases[] = {
		{ 0, 0, false }, { ARCH_CR0_AM, 0, false },
		{ 0, ARCH_RFLAGS_AC, false },
		{ ARCH_CR0_AM, ARCH_RFLAGS_AC, true },
	};
	const struct step steps[] = {
		{ EXITS(EXIT_EXCEPTION_AC), .interrupted = EV_INTR(0x50) },
		{ EXITS(EXIT_INTR) },
	};
	uint64_t before;

	host_user.detects_split_locks = true;
	set_rflags(IF);
	/* At CPL 0, where no guest can ask for it. */
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(host_user.split_locks, 1);
	ck_assert_uint_eq(host_user.split_lock_rip, RIP);
	/* What was under way goes on; RIP stays. */
	ck_assert_uint_eq(s.seen[1].event, EV_INTR(0x50));
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		before = host_user.split_locks;
		set_user(cases[i].cr0, cases[i].rflags);
		ck_assert_int_eq(fixture_steps(&f, &s, &(const struct step){
		    EXITS(EXIT_EXCEPTION_AC) }, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(host_user.split_locks - before,
		    !cases[i].guests);
		ck_assert_uint_eq(s.seen[1].event,
		    cases[i].guests ? EV_EXC_CODE(17, 0) : 0);
	}
}
END_TEST

/* A host that detects none: it can only be the guest's. */
START_TEST(without_split_locks_it_is_the_guests)
{
	const struct step steps[] = { { EXITS(EXIT_EXCEPTION_AC) } };

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].event, EV_EXC_CODE(17, 0));
	ck_assert_uint_eq(host_user.split_locks, 0);
}
END_TEST

START_TEST(real_mode_pushes_no_error_code)
{
	const struct step steps[] = {
		{ EXITS(EXIT_RDPMC) },
		{ AT(EXIT_MSR, "\x0f\x32") },
	};

	fixture_real_mode(&f, 0x8000);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].event, EV_EXC(13));
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], 0x8000);
	ck_assert_uint_eq(s.seen[2].event, EV_EXC(13));
}
END_TEST

/* --- Reasons to leave that are the host's -------------------------------------------- */

START_TEST(a_signal_ends_run)
{
	host_user.thread_flags |= HOST_USER_SIGNAL;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x70), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(s.at, 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], RIP);
	/* The vector it came with is not lost, and what the client gives back
	 * changes nothing. */
	host_user.thread_flags &= ~HOST_USER_SIGNAL;
	f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] = 0x1234;
	set_rflags(IF);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x70));
	ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RIP], RIP);
}
END_TEST

static void
signal_comes(struct sim_guest *g)
{
	(void)g;
	host_user.thread_flags |= HOST_USER_SIGNAL;
}

START_TEST(a_signal_ends_a_stay_in_the_guest)
{
	const struct step steps[] = {
		{ EXITS(EXIT_STAGE2_FAULT),
		  .exit.npf = { 0x200000, STAGE2_W }, .act = signal_comes,
		  .interrupted = EV_EXC(6) },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(s.at, 1);
	host_user.thread_flags &= ~HOST_USER_SIGNAL;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].event, EV_EXC(6));
}
END_TEST

static void
scheduler_comes(struct sim_guest *g)
{
	(void)g;
	host_user.thread_flags |= HOST_USER_RESCHED;
}

START_TEST(the_scheduler_is_not_the_client_s_business)
{
	const struct step steps[] = {
		{ EXITS(EXIT_INTR), .act = scheduler_comes },
		{ EXITS(EXIT_INTR), .act = scheduler_comes },
	};

	host_user.thread_flags |= HOST_USER_RESCHED;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.at, 3);
	ck_assert_uint_eq(host_user.rescheds, 3);
	ck_assert_uint_eq(host_user.stays, 4);	/* off the CPU each time */
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		an_interrupt_goes_in_at_once,
		a_second_interrupt_asks_for_the_window,
		an_interrupt_waits_for_if,
		an_interrupt_waits_for_the_shadow,
		a_window_that_closes_is_requested_again,
		all_vectors_wait_and_the_highest_goes_first,
		a_waiting_interrupt_ends_hlt,
		hlt_with_interrupts_off_reaches_the_client,
		reset_forgets_what_is_pending,
		intr_returns_at_once_when_the_guest_is_ready,
		intr_waits_for_the_window,
		intr_and_a_vector_both_work,
		intr_kicks_a_running_vcpu,
		intr_kicks_to_request_the_window,
		a_delivery_that_was_cut_short_is_made_again,
		a_delivery_goes_before_a_new_interrupt,
		an_interrupt_survives_a_fault,
		two_exceptions_make_a_double_fault,
		an_intercepted_exception_reaches_the_guest,
		a_split_lock_is_the_hosts,
		without_split_locks_it_is_the_guests,
		real_mode_pushes_no_error_code,
		a_signal_ends_run,
		a_signal_ends_a_stay_in_the_guest,
		the_scheduler_is_not_the_client_s_business,
	};

	return fixture_main("events", tests, sizeof(tests) / sizeof(tests[0]),
	    start, stop);
}
