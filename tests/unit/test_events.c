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
#define WINDOW		(1u << 4)	/* intercept of VINTR */
#define V_IRQ		(1u << 8)

static struct fixture f;
static struct script s;

static void
start(void)
{
	fixture_start(&f, true, 1);
	fixture_long_mode(&f, RIP);
}

static void
start_bare(void)
{
	fixture_start(&f, false, 1);
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
	bool intercept = s.seen[n].intercept_misc1 & WINDOW;

	if (intercept)
		ck_assert(s.seen[n].vintr & V_IRQ);
	return intercept;
}

static int
intr(uint16_t pending)
{
	struct vm_intr_params p = { .vip_vm_id = f.vm, .vip_intr = pending };

	return fixture_ioctl(&f, VMM_IOC_INTR, &p);
}

static void
take_interrupts(struct vmcb *vmcb, uint64_t *gpr)
{
	(void)gpr;
	vmcb->rflags |= IF;
}

static void
sti(struct vmcb *vmcb, uint64_t *gpr)
{
	take_interrupts(vmcb, gpr);
	vmcb->interrupt_shadow = 1;
}

static void
refuse_interrupts(struct vmcb *vmcb, uint64_t *gpr)
{
	(void)gpr;
	vmcb->rflags &= ~IF;
}

/* --- Interrupts of the client --------------------------------------------------- */

START_TEST(an_interrupt_goes_in_at_once)
{
	set_rflags(IF);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x30), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x30));
	ck_assert(!window(0));
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
	ck_assert_uint_eq(host_user.trace_injects, 1);
	/* And once only. */
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), 0);
}
END_TEST

/* An exit came before the guest took the virtual interrupt. */
static void
not_yet(struct vmcb *vmcb, uint64_t *gpr)
{
	(void)gpr;
	vmcb->vintr |= V_IRQ;
}

START_TEST(an_interrupt_that_was_not_taken_goes_in_again)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = not_yet },
		{ .code = SVM_VMEXIT_INTR, .act = not_yet },
		{ .code = SVM_VMEXIT_INTR },
	};

	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x35), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x35));
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), HW_INTR(0x35));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x35));
	ck_assert_uint_eq(sim_svm_event(&s.seen[3]), 0);
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
}
END_TEST

/* Its delivery was cut short: the CPU says so, and may or may not keep V_IRQ. */
START_TEST(a_cut_short_interrupt_goes_in_once)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .intinfo = HW_INTR(0x36), .act = not_yet },
		{ .code = SVM_VMEXIT_INTR, .intinfo = HW_INTR(0x36) },
	};

	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x36), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), HW_INTR(0x36));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x36));
	ck_assert_uint_eq(s.at, 3);
}
END_TEST

/* One interrupt goes in while another asks for the window behind it. */
START_TEST(a_second_interrupt_asks_for_the_window)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = refuse_interrupts },
		{ .code = SVM_VMEXIT_VINTR, .act = take_interrupts },
	};

	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x50), 0);
	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x61), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x61));
	ck_assert(window(0));
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), 0);
	ck_assert(window(1));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x50));
	ck_assert(!window(2));
}
END_TEST

START_TEST(an_interrupt_waits_for_if)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR },
		{ .code = SVM_VMEXIT_VINTR, .act = take_interrupts },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x31), 0);
	ck_assert_uint_eq(s.at, 3);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), 0);
	ck_assert(window(0));
	ck_assert(s.seen[0].vintr & 1u << 20);	/* whatever the TPR is */
	ck_assert(window(1));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x31));
	ck_assert(!window(2));
}
END_TEST

START_TEST(an_interrupt_waits_for_the_shadow)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = sti },
		{ .code = SVM_VMEXIT_VINTR },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x32), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), 0);
	ck_assert_uint_eq(s.seen[1].interrupt_shadow, 1);
	ck_assert(window(1));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x32));
	ck_assert(!window(2));
}
END_TEST

/* The window opens, but something closes it before the next entry. */
START_TEST(a_window_that_closes_is_requested_again)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_VINTR },	/* IF is clear all the same */
		{ .code = SVM_VMEXIT_VINTR, .act = take_interrupts },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x33), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), 0);
	ck_assert(window(1));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x33));
}
END_TEST

static uint64_t injected[300];

/* Takes interrupts until there is none, then halts. */
static void
guest_takes_all(struct vmcb *vmcb, uint64_t *gpr, void *arg)
{
	unsigned int *n = arg;

	(void)gpr;
	vmcb->rflags |= IF;
	injected[(*n)++] = sim_svm_event(&sim_svm.entered);
	ck_assert_uint_lt(*n, 300);
	/* As it did before it took any: with the window asked for. */
	vmcb->exitcode = *n < 257 ? SVM_VMEXIT_INTR : SVM_VMEXIT_HLT;
	vmcb->nrip = sim_svm.nrip_save ? vmcb->rip + 1 : 0;
	f.mem[vmcb->rip] = 0xf4;
}

START_TEST(all_vectors_wait_and_the_highest_goes_first)
{
	unsigned int n = 0;

	for (uint16_t v = 0; v <= VMM_MAX_IRQ; v++) {
		/* In no order at all. */
		ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0,
		    (uint16_t)(v * 77 % 256)), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
		ck_assert_uint_eq(f.run.vrp_irqready, 0);
		ck_assert_uint_eq(sim_svm_event(&s.seen[0]), 0);
	}
	ck_assert_int_eq(fixture_run(&f, guest_takes_all, &n, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(n, 257);
	for (unsigned int i = 1; i < n; i++)
		ck_assert_uint_eq(injected[i], HW_INTR(256 - i));
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
}
END_TEST

/* STI; HLT: the interrupt comes after HLT, so HLT does not wait. */
START_TEST(a_waiting_interrupt_ends_hlt)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR },
		{ AT(SVM_VMEXIT_HLT, "\xf4"), .act = sti },
		{ .code = SVM_VMEXIT_INTR },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x40), 0);
	ck_assert_uint_eq(s.at, 4);
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_INTR(0x40));
	ck_assert_uint_eq(s.seen[2].rip, RIP + 1);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
}
END_TEST

/* With IF clear it waits on, and so does HLT. */
START_TEST(hlt_with_interrupts_off_reaches_the_client)
{
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x40), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(s.at, 1);
	ck_assert_uint_eq(f.run.vrp_irqready, 0);
}
END_TEST

START_TEST(reset_forgets_what_is_pending)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_NPF, .info2 = NO_MEMORY,
		  .intinfo = HW_EXC_CODE(14, 2) },
	};

	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x40), 0);
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x41), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_NPF);
	fixture_long_mode(&f, RIP);
	set_rflags(IF);
	f.run.vrp_continue = 0;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(s.at, 1);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), 0);
	ck_assert(!window(0));
}
END_TEST

/* --- VMM_IOC_INTR ---------------------------------------------------------------- */

START_TEST(intr_returns_at_once_when_the_guest_is_ready)
{
	set_rflags(IF);
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_VINTR);
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
	ck_assert_uint_eq(s.at, 0);
	ck_assert_uint_eq(host_user.kicks[0], 0);
	ck_assert_int_eq(intr(0), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(s.at, 1);
}
END_TEST

START_TEST(intr_waits_for_the_window)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR },
		{ .code = SVM_VMEXIT_VINTR, .act = take_interrupts },
	};

	ck_assert_int_eq(intr(0x8000), 0);	/* anything but 0 */
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_VINTR);
	ck_assert_uint_eq(f.run.vrp_irqready, 1);
	ck_assert_uint_eq(s.at, 2);
	ck_assert(window(0));
	ck_assert(window(1));
	/* The client keeps its promise. */
	ck_assert_int_eq(intr(0), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x55), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x55));
	ck_assert(!window(0));
}
END_TEST

/* The vector goes in first, then the client is asked for the next. */
START_TEST(intr_and_a_vector_both_work)
{
	set_rflags(IF);
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, (const struct step []){
	    { .code = SVM_VMEXIT_INTR, .act = refuse_interrupts },
	    { .code = SVM_VMEXIT_VINTR, .act = take_interrupts } }, 2, 0x56), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_VINTR);
	ck_assert_uint_eq(s.at, 2);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x56));
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), 0);
	ck_assert(window(1));
}
END_TEST

/* A guest that runs until it is kicked. */
static uint32_t inside;

static void
guest_spins(struct vmcb *vmcb, uint64_t *gpr, void *arg)
{
	(void)gpr;
	(void)arg;
	sync_store_release(&inside, 1);
	ck_assert(host_user_wait_kick(5000));
	vmcb->exitcode = SVM_VMEXIT_INTR;
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
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_VINTR);
	ck_assert_uint_eq(sim_svm.entries, 1);
	ck_assert_uint_eq(host_user.kicks[host_cpu()], 1);
}
END_TEST

static void
guest_intr_off(struct vmcb *vmcb, uint64_t *gpr, void *arg)
{
	(void)arg;
	if (sim_svm.entries == 1) {
		guest_spins(vmcb, gpr, arg);
	} else {
		ck_assert(vmcb->intercept_misc1 & WINDOW);
		vmcb->rflags |= IF;
		vmcb->exitcode = SVM_VMEXIT_VINTR;
	}
}

START_TEST(intr_kicks_to_request_the_window)
{
	pthread_t t;

	inside = 0;
	pthread_create(&t, NULL, intr_from_outside, NULL);
	ck_assert_int_eq(fixture_run(&f, guest_intr_off, NULL, VMM_NO_IRQ), 0);
	pthread_join(t, NULL);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_VINTR);
	ck_assert_uint_eq(sim_svm.entries, 2);
}
END_TEST

/* --- Deliveries that an exit cut short ---------------------------------------------- */

START_TEST(a_delivery_that_was_cut_short_is_made_again)
{
	static const struct { uint64_t cut, again; } events[] = {
		{ HW_INTR(0x21), HW_INTR(0x21) },
		{ HW_INTR(0xff), HW_INTR(0xff) },
		{ HW_NMI, HW_NMI },
		{ HW_EXC(0), HW_EXC(0) },
		{ HW_EXC(1), HW_EXC(1) },
		{ HW_EXC(6), HW_EXC(6) },
		{ HW_EXC_CODE(8, 0), HW_EXC_CODE(8, 0) },
		{ HW_EXC_CODE(11, 0x1234), HW_EXC_CODE(11, 0x1234) },
		{ HW_EXC_CODE(14, 7), HW_EXC_CODE(14, 7) },
		/* RIP still points at these instructions. */
		{ HW_EXC(3), 0 },
		{ HW_EXC(4), 0 },
		{ HW_SOFT(0x80), 0 },
		{ HW_SOFT(3), 0 },
		/* No valid bit. */
		{ HW_EXC(6) & ~0x80000000ULL, 0 },
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		const struct step steps[] = {
			{ .code = SVM_VMEXIT_NPF, .info1 = 6, .info2 = 0x200000,
			  .intinfo = events[i].cut },
			{ .code = SVM_VMEXIT_INTR },
		};

		fixture_long_mode(&f, RIP);
		ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(s.at, 3);
		ck_assert_uint_eq(sim_svm_event(&s.seen[1]), events[i].again);
		ck_assert_uint_eq(s.seen[1].rip, RIP);
		ck_assert_uint_eq(sim_svm_event(&s.seen[2]), 0);
	}
}
END_TEST

START_TEST(a_delivery_goes_before_a_new_interrupt)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_NPF, .info2 = NO_MEMORY,
		  .intinfo = HW_EXC_CODE(14, 2) },
	};

	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_NPF);
	ck_assert_uint_eq(f.run.vrp_irqready, 0);
	/* A client that injects nevertheless. */
	ck_assert_int_eq(intr(1), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, (const struct step []){
	    { .code = SVM_VMEXIT_INTR }, { .code = SVM_VMEXIT_INTR } }, 2,
	    0x60), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_VINTR);
	ck_assert_uint_eq(s.at, 2);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_EXC_CODE(14, 2));
	ck_assert(window(0));
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), HW_INTR(0x60));
}
END_TEST

/* An exception while an interrupt is delivered: first the one, then the other. */
START_TEST(an_interrupt_survives_a_fault)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_EXCP17, .intinfo = HW_INTR(0x50) },
		{ .code = SVM_VMEXIT_INTR, .act = refuse_interrupts },
		{ .code = SVM_VMEXIT_VINTR, .act = take_interrupts },
	};

	set_rflags(IF);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0x50), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x50));
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), HW_EXC_CODE(17, 0));
	ck_assert(window(1));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[3]), HW_INTR(0x50));
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
		uint64_t code, info1;
		unsigned int vector;
	} second[] = {
		{ SVM_VMEXIT_RDPMC, 0, 13 },
		{ SVM_VMEXIT_VMMCALL, 0, 6 },
		{ SVM_VMEXIT_EXCP1, 0, 1 },
		{ SVM_VMEXIT_EXCP17, 0, 17 },
	};

	for (unsigned int first = 0; first < 20; first++) {
		if (first == 2 || first == 3 || first == 4 || first == 8 ||
		    first == 9 || first == 15)
			continue;
		for (size_t i = 0; i < 4; i++) {
			bool code = codes >> first & 1;
			unsigned int v = second[i].vector;
			const struct step steps[] = {
				{ .code = second[i].code,
				  .intinfo = code ? HW_EXC_CODE(first, 0) :
				  HW_EXC(first) },
			};

			fixture_long_mode(&f, RIP);
			ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
			ck_assert_uint_eq(s.seen[1].rip, RIP);
			if (double_fault(first, v))
				ck_assert_uint_eq(sim_svm_event(&s.seen[1]),
				    HW_EXC_CODE(8, 0));
			else
				ck_assert_uint_eq(sim_svm_event(&s.seen[1]),
				    codes >> v & 1 ? HW_EXC_CODE(v, 0) :
				    HW_EXC(v));
		}
	}
}
END_TEST

START_TEST(an_intercepted_exception_reaches_the_guest)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_EXCP1 },
		{ .code = SVM_VMEXIT_EXCP17, .info1 = 0 },
		{ .code = SVM_VMEXIT_INTR },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), HW_EXC(1));
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_EXC_CODE(17, 0));
	ck_assert_uint_eq(sim_svm_event(&s.seen[3]), 0);
	ck_assert_uint_eq(s.seen[3].rip, RIP);
}
END_TEST

START_TEST(real_mode_pushes_no_error_code)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_RDPMC },
		{ AT(SVM_VMEXIT_MSR, "\x0f\x32") },
	};

	fixture_real_mode(&f, 0x8000);
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[1]), HW_EXC(13));
	ck_assert_uint_eq(s.seen[1].rip, 0x8000);
	ck_assert_uint_eq(sim_svm_event(&s.seen[2]), HW_EXC(13));
}
END_TEST

/* --- Reasons to leave that are the host's -------------------------------------------- */

START_TEST(a_signal_ends_run)
{
	host_user.signal = true;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x70), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(s.at, 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], RIP);
	/* The vector it came with is not lost, and what the client gives back
	 * changes nothing. */
	host_user.signal = false;
	f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] = 0x1234;
	set_rflags(IF);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_INTR(0x70));
	ck_assert_uint_eq(s.seen[0].rip, RIP);
}
END_TEST

static void
signal_comes(struct vmcb *vmcb, uint64_t *gpr)
{
	(void)vmcb;
	(void)gpr;
	host_user.signal = true;
}

START_TEST(a_signal_ends_a_stay_in_the_guest)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = signal_comes,
		  .intinfo = HW_EXC(6) },
	};

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(s.at, 1);
	host_user.signal = false;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(sim_svm_event(&s.seen[0]), HW_EXC(6));
}
END_TEST

static void
scheduler_comes(struct vmcb *vmcb, uint64_t *gpr)
{
	(void)vmcb;
	(void)gpr;
	host_user.resched = true;
}

START_TEST(the_scheduler_is_not_the_client_s_business)
{
	const struct step steps[] = {
		{ .code = SVM_VMEXIT_INTR, .act = scheduler_comes },
		{ .code = SVM_VMEXIT_INTR, .act = scheduler_comes },
	};

	host_user.resched = true;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, SVM_VMEXIT_HLT);
	ck_assert_uint_eq(s.at, 3);
	ck_assert_uint_eq(host_user.rescheds, 3);
	ck_assert_uint_eq(host_user.fpu_begins, 4);	/* off the CPU each time */
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		an_interrupt_goes_in_at_once,
		an_interrupt_that_was_not_taken_goes_in_again,
		a_cut_short_interrupt_goes_in_once,
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
		real_mode_pushes_no_error_code,
		a_signal_ends_run,
		a_signal_ends_a_stay_in_the_guest,
		the_scheduler_is_not_the_client_s_business,
	};

	return fixture_main("events", tests, sizeof(tests) / sizeof(tests[0]),
	    start, start_bare, stop);
}
