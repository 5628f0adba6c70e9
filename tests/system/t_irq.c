/* SPDX-License-Identifier: ISC */
/* t_irq.c - interrupts into the guest: vectors, windows, HLT, kicks. */
#define _GNU_SOURCE
#include <linux/keyctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* HLT comes to the client whatever IF is; irqready tells the difference. */
TEST(hlt_if, "run/hlt/with_and_without_interrupts")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vm_info_result r;
	uint64_t rip;

	vm_call(v, g_long_nop, 0, 0, 0, 0);		/* CLI; HLT */
	CHECK(!v->irqready);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK_EQ(r.vir_vcpu_state[0], VCPU_STATE_STOPPED);
	vm_call_start(v, g_long_hlt, 0, 0, 0, 0);	/* STI; HLT */
	vm_run_user(v);
	CHECK(is_exit_hlt(v->reason));
	CHECK(v->irqready);
	rip = v->exit->vrs.vrs_gprs[VCPU_REGS_RIP];
	CHECK_EQ(GUEST(vm, uint8_t, rip - 1), 0xf4);	/* behind it */
	CHECK_OK(do_run(v, 0x41));
	CHECK(is_exit_hlt(v->reason));			/* the loop's own */
	CHECK_EQ(v->mb->irq_count[0x41], 1u);
	CHECK_EQ(v->mb->irq_rip, rip);
}

TEST(hlt_real_prot, "run/hlt/real_and_protected_mode")
{
	struct vm *real = vm_new(REAL), *prot = vm_new(PROT);

	vm_call_start(&real->cpu[0], g_real_hlt, 0, 0, 0, 0);
	vm_run_user(&real->cpu[0]);
	CHECK(is_exit_hlt(real->cpu[0].reason) && real->cpu[0].irqready);
	vm_run_irq(&real->cpu[0], 0x70);
	CHECK_EQ(real->cpu[0].mb->irq_count[0x70], 1u);
	vm_call_start(&prot->cpu[0], g_prot_hlt, 0, 0, 0, 0);
	vm_run_user(&prot->cpu[0]);
	CHECK(is_exit_hlt(prot->cpu[0].reason) && prot->cpu[0].irqready);
	vm_run_irq(&prot->cpu[0], 0x70);
	CHECK_EQ(prot->cpu[0].mb->irq_count[0x70], 1u);
}

/* Every vector a client may send arrives as itself. */
TEST(irq_vectors, "run/irq/every_vector")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int vector;

	for (vector = 32; vector < 256; vector++) {
		vm_call_start(v, g_long_hlt, 0, 0, 0, 0);
		vm_run_user(v);
		CHECK(v->irqready);
		vm_run_irq(v, vector);
		while (!is_exit_hlt(v->reason))
			vm_run(v);
		CHECK_EQ(v->mb->irqs, 1u);
		CHECK_EQ(v->mb->irq_vector, vector);
	}
}

/* D34: a vector given at the wrong time waits, and is delivered once. */
TEST(irq_kept, "run/irq/kept_until_it_can_be_taken")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_outb, 0x80, 0, 0, 0);
	vm_expect_out(v, 0x80, 1, 0);
	CHECK(!v->irqready);
	vm_run_irq(v, 0x42);			/* IF is clear */
	CHECK(is_exit_hlt(v->reason));
	CHECK_EQ(v->mb->irqs, 0);
	vm_call(v, g_long_nop, 0, 0, 0, 0);
	CHECK_EQ(v->mb->irqs, 0);
	vm_call(v, g_long_sti_ret, 100, 0, 0, 0);
	CHECK_EQ(v->mb->irqs, 1u);
	CHECK_EQ(v->mb->irq_vector, 0x42);
	vm_call(v, g_long_sti_ret, 100, 0, 0, 0);
	CHECK_EQ(v->mb->irqs, 0);
}

/* Several wait: the highest goes first, each goes once. */
TEST(irq_several, "run/irq/several_waiting")
{
	static const uint8_t sent[] = { 0x21, 0xf0, 0x80, 0x40, 0xff };
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	size_t i;

	for (i = 0; i < COUNT(sent); i++) {
		vm_call_start(v, g_long_nop, 0, 0, 0, 0);
		CHECK(is_exit_hlt(vm_run_irq(v, sent[i])));
	}
	memset((void *)(uintptr_t)v->mb->irq_count, 0, 1024);
	vm_call(v, g_long_sti_nop_loop, 50, 0, 0, 0);
	for (i = 0; i < COUNT(sent); i++)
		CHECK_EQ(v->mb->irq_count[sent[i]], 1u);
	CHECK_EQ(v->mb->irqs, COUNT(sent));
}

/* INTR: RUN returns when the guest opens the window, not before. */
TEST(irq_window, "run/irq/window")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 50; i++) {
		vm_call_start(v, g_long_outb, 0x80, 0, 0, 0);
		vm_expect_out(v, 0x80, 1, 0);
		vm_intr(v, 1);
		v->mb->op = g_long_sti_ret;
		v->mb->arg[0] = 1000;
		vm_run(v);			/* CLI; HLT ends the OUT */
		CHECK(is_exit_hlt(v->reason));
		CHECK(!v->irqready);
		vm_run(v);			/* STI: the window */
		CHECK_MSG(!is_exit_hlt(v->reason) && v->irqready,
		    "exit %#x, irqready %d", v->reason, v->irqready);
		CHECK(v->exit->vrs.vrs_gprs[VCPU_REGS_RFLAGS] & 0x200);
		vm_intr(v, 0);
		vm_run_irq(v, 0x43);
		while (!is_exit_hlt(v->reason))
			vm_run(v);
		CHECK_EQ(v->mb->irqs, 1u);
		CHECK_EQ(v->mb->irq_vector, 0x43);
	}
}

/* E1: not in the shadow of STI. */
TEST(irq_shadow, "run/irq/sti_shadow")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 100; i++) {
		vm_call_start(v, g_long_nop, 0, 0, 0, 0);
		CHECK(is_exit_hlt(vm_run_irq(v, 0x44)));
		vm_call(v, g_long_sti_shadow, 0, 0, 0, 0);
		CHECK_EQ(v->mb->irqs, 1u);
		CHECK(v->mb->irq_rip >= g_long_shadow_after);
		CHECK_EQ(v->mb->ret[0], 1);
	}
}

/* D10: an emulated instruction is the shadow's end. */
TEST(irq_shadow_emulated, "run/irq/sti_shadow_over_cpuid")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_nop, 0, 0, 0, 0);
	CHECK(is_exit_hlt(vm_run_irq(v, 0x44)));
	vm_call(v, g_long_sti_cpuid, 0, 0, 0, 0);
	CHECK_EQ(v->mb->irqs, 1u);
	CHECK_EQ(v->mb->irq_rip, g_long_sti_cpuid_after);
}

TEST(irq_real, "run/irq/real_mode")
{
	struct vm *vm = vm_new(REAL);
	struct vcpu *v = &vm->cpu[0];
	struct runner *r;
	int i;

	vm_call_start(v, g_real_spin, 0, 0, 0, 0);
	for (i = 0; i < 20; i++) {
		vm_intr(v, 1);
		vm_run(v);
		CHECK(v->irqready);
		vm_intr(v, 0);
		r = runner_start_once(v);
		sleep_ms(1);
		vm_intr(v, 1);
		runner_join(r);
		CHECK_OK(do_run(v, 0x75));
		CHECK(v->irqready || v->mb->irq_count[0x75] >= (uint32_t)i + 1);
	}
	v->mb->stop = 1;
	vm_intr(v, 0);
	vm_finish(v);
	CHECK_EQ(v->mb->irq_count[0x75], 20u);
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* D39: INTR ends RUN of a spinning guest at once. */
TEST(irq_kick, "run/irq/intr_kicks_a_spinning_vcpu")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint64_t took[21], start;
	struct runner *r;
	size_t i;

	vm_call_start(v, g_long_spin, 0, 0, 0, 0);
	for (i = 0; i < COUNT(took); i++) {
		r = runner_start_once(v);
		runner_wait_busy(v);
		start = now_ns();
		vm_intr(v, 1);
		runner_join(r);
		took[i] = now_ns() - start;
		CHECK(v->irqready);
		vm_intr(v, 0);
	}
	qsort(took, COUNT(took), sizeof(took[0]), by_value);
	test_note("INTR to return of RUN: median %llu us, most %llu us",
	    (unsigned long long)took[COUNT(took) / 2] / 1000,
	    (unsigned long long)took[COUNT(took) - 1] / 1000);
	CHECK(took[COUNT(took) / 2] < 100000000u * time_scale());
	v->mb->stop = 1;
	vm_finish(v);
}

static void
ends_exits_in_a_row(uint64_t spin, bool interrupts)
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;
	uint64_t start, counted = 0;
	struct runner *r;
	int i;

	vm_call_start(v, spin, 0, 0, 0, 0);
	for (i = 0; interrupts && i < 20; i++) {
		r = runner_start_once(v);
		runner_wait_busy(v);
		start = now_ns();
		vm_intr(v, 1);
		runner_join(r);
		CHECK(now_ns() - start < 2000000000u * time_scale());
		CHECK(v->irqready);
		vm_intr(v, 0);
	}
	r = runner_start(v);
	for (i = 0; i < 20; i++) {
		runner_wait_busy(v);
		start = now_ns();
		vm_regs(v, &s);
		CHECK(now_ns() - start < 2000000000u * time_scale());
		CHECK(v->mb->counter > counted);
		counted = v->mb->counter;
	}
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
}

/* A guest that exits all the time, and never to its client, is reached as well. */
TEST(irq_kick_exits, "run/irq/reaches_a_vcpu_between_quick_exits")
{
	ends_exits_in_a_row(g_long_spin_exits, true);
	ends_exits_in_a_row(g_long_spin_exits_cli, false);
}

/* INTR that comes before RUN is not lost. */
TEST(irq_before, "run/irq/intr_before_run")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_spin, 0, 0, 0, 0);
	vm_intr(v, 1);
	vm_run(v);
	CHECK(v->irqready);
	/* It stays until it is taken back. */
	vm_run(v);
	CHECK(v->irqready);
	v->mb->stop = 1;
	vm_intr(v, 0);
	vm_finish(v);
}

/* E3: interrupts and HLT, one for one. */
static struct { pthread_mutex_t lock; pthread_cond_t cond; int posted; bool end; }
    line = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false };

static void *
interrupter(void *arg)
{
	struct vcpu *v = arg;
	int i;

	for (i = 0; i < 2000; i++) {
		pthread_mutex_lock(&line.lock);
		line.posted++;
		pthread_cond_signal(&line.cond);
		pthread_mutex_unlock(&line.lock);
		vm_intr(v, 1);
		if (i % 7 == 0)
			usleep(50);
	}
	return NULL;
}

TEST_T(irq_pingpong, "run/irq/none_lost_around_hlt", 60)
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int irq;
	pthread_t t;

	vm_call_start(v, g_long_hlt_loop, 2000, 0, 0, 0);
	CHECK_EQ(pthread_create(&t, NULL, interrupter, v), 0);
	for (;;) {
		irq = NO_IRQ;
		pthread_mutex_lock(&line.lock);
		if (v->irqready && line.posted > 0) {
			line.posted--;
			irq = 0x60;
		}
		vm_intr(v, line.posted > 0);
		pthread_mutex_unlock(&line.lock);
		vm_run_irq(v, irq);
		if (!is_exit_hlt(v->reason))
			continue;
		if (!v->irqready)		/* the function is through */
			break;
		pthread_mutex_lock(&line.lock);
		while (line.posted == 0)
			pthread_cond_wait(&line.cond, &line.lock);
		pthread_mutex_unlock(&line.lock);
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(v->mb->irq_count[0x60], v->mb->irqs);
	CHECK_EQ(v->mb->irqs, 2000u);
	vm_expect_no_fault(v);
}

/* --- Interrupted delivery (D36, E4) --------------------------------------------------- */

/* Take the host's page away and give it back: the next access faults. */
static void
zap(struct vm *vm, uint64_t gpa)
{
	CHECK_OK(madvise(vm->mem + gpa, PAGE, MADV_DONTNEED));
}

static struct vm *
shared_vm(void)
{
	return vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
}

TEST(deliver_irq, "run/deliver/interrupt_over_page_faults")
{
	struct vm *vm = shared_vm();
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 100; i++) {
		vm_call_start(v, g_long_hlt, 0, 0, 0, 0);
		vm_run_user(v);
		CHECK(v->irqready);
		zap(vm, LAYOUT_IDT64);
		if (i % 2)
			zap(vm, LAYOUT_GDT);
		if (i % 3)
			zap(vm, LAYOUT_STACKS);
		if (i % 5 == 0)
			zap(vm, LAYOUT_PML4);
		vm_run_irq(v, 0x45);
		while (!is_exit_hlt(v->reason))
			vm_run(v);
		CHECK_EQ(v->mb->irqs, 1u);
		CHECK_EQ(v->mb->irq_vector, 0x45);
	}
}

TEST(deliver_int3, "run/deliver/int3_over_page_faults")
{
	struct vm *vm = shared_vm();
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 50; i++) {
		vm_call_start(v, g_long_out_then_int3, 0x80, 0, 0, 0);
		vm_expect_out(v, 0x80, 1, 0);
		zap(vm, i % 2 ? LAYOUT_IDT64 : LAYOUT_STACKS);
		zap(vm, LAYOUT_GDT);
		vm_finish(v);
		CHECK_EQ(v->mb->vector, 3);
		CHECK_EQ(v->mb->rip, g_long_the_int3 + 1);
		CHECK_EQ(v->mb->faults, 1);
	}
}

TEST(deliver_int, "run/deliver/int_n_over_page_faults")
{
	struct vm *vm = shared_vm();
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 50; i++) {
		vm_call_start(v, g_long_out_then_int, 0x80, 0, 0, 0);
		vm_expect_out(v, 0x80, 1, 0);
		zap(vm, i % 2 ? LAYOUT_IDT64 : LAYOUT_STACKS);
		zap(vm, LAYOUT_GDT);
		vm_finish(v);
		CHECK_EQ(v->mb->irqs, 1);
		CHECK_EQ(v->mb->irq_vector, 0x50);
		CHECK_EQ(v->mb->irq_rip, g_long_after_int);
		vm_expect_no_fault(v);
	}
}

TEST(deliver_fault, "run/deliver/exceptions_over_page_faults")
{
	struct vm *vm = shared_vm();
	struct vcpu *v = &vm->cpu[0];
	int i;

	guest_unmap_page(vm, LAYOUT_SCRATCH);
	for (i = 0; i < 50; i++) {
		vm_call_start(v, g_long_out_then_ud, 0x80, 0, 0, 0);
		vm_expect_out(v, 0x80, 1, 0);
		zap(vm, i % 2 ? LAYOUT_IDT64 : LAYOUT_STACKS);
		vm_finish(v);
		CHECK_EQ(v->mb->vector, 6);
		CHECK_EQ(v->mb->rip, g_long_the_ud);
		CHECK_EQ(v->mb->faults, 1);
		/* #PF keeps its error code and CR2. */
		vm_call_start(v, g_long_out_then_load, 0x80,
		    LAYOUT_SCRATCH + 24, 0, 0);
		vm_expect_out(v, 0x80, 1, 0);
		zap(vm, i % 2 ? LAYOUT_IDT64 : LAYOUT_STACKS);
		vm_finish(v);
		CHECK_EQ(v->mb->vector, 14);
		CHECK_EQ(v->mb->rip, g_long_the_load);
		CHECK_EQ(v->mb->cr2, LAYOUT_SCRATCH + 24);
		CHECK_EQ(v->mb->error, 0);
		CHECK_EQ(v->mb->faults, 1);
	}
}

/* An exception that the driver injects meets a missing IDT page, too. */
TEST(deliver_injected, "run/deliver/injected_over_page_faults")
{
	struct vm *vm = shared_vm();
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 50; i++) {
		zap(vm, LAYOUT_IDT64);
		zap(vm, LAYOUT_GDT);
		if (i % 2)
			zap(vm, LAYOUT_STACKS);
		vm_call_faults(v, 13, g_long_wrmsr_insn, g_long_wrmsr, 0x12345,
		    0, 0, 0);
		CHECK_EQ(v->mb->error, 0);
	}
}

/* The IDT's page can not be had at all: to the client, and no event is lost. */
TEST(deliver_refused, "run/deliver/interrupt_survives_a_protect_exit")
{
	struct vm *vm = shared_vm();
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_hlt, 0, 0, 0, 0);
	vm_run_user(v);
	CHECK_OK(mprotect(vm->mem + LAYOUT_IDT64, PAGE, PROT_NONE));
	vm_run_irq(v, 0x46);
	while (!is_exit_fault(v->reason) && !is_exit_hlt(v->reason))
		vm_run(v);
	CHECK(is_exit_fault(v->reason));
	CHECK_EQ(v->exit->vee.vee_fault_type, VEE_FAULT_PROTECT);
	CHECK_EQ(vm_exit_gpa(v->exit) & ~(PAGE - 1), LAYOUT_IDT64);
	CHECK_EQ(v->mb->irqs, 0);
	CHECK_OK(mprotect(vm->mem + LAYOUT_IDT64, PAGE,
	    PROT_READ | PROT_WRITE));
	vm_finish(v);
	CHECK_EQ(v->mb->irqs, 1u);
	CHECK_EQ(v->mb->irq_vector, 0x46);
}

/* --- Signals ----------------------------------------------------------------------------- */

static volatile sig_atomic_t alarms;

static void
on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A3: neither guest nor IF can keep a signal away. */
TEST(signal_leaves, "run/signal/ends_run")
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval it = { { 0, 10000 }, { 0, 10000 } };
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vm_info_result r;
	int i;

	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	vm_call_start(v, g_long_jmp_self, 0, 0, 0, 0);
	CHECK_OK(setitimer(ITIMER_REAL, &it, NULL));
	for (i = 0; i < 20; i++) {
		vm_run(v);
		CHECK_EQ(v->reason, VM_EXIT_NONE);
	}
	it = (struct itimerval){ 0 };
	CHECK_OK(setitimer(ITIMER_REAL, &it, NULL));
	CHECK(alarms >= 20);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK_EQ(r.vir_vcpu_state[0], VCPU_STATE_STOPPED);
}

/*
 * Gives its parent a session keyring, over and over: as task work. A new one each
 * time, for there is no work if the parent has it already, as it may by the time
 * of its first RUN.
 */
static void
keyring_giver(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
			_exit(1);
		syscall(SYS_keyctl, KEYCTL_SESSION_TO_PARENT);
		usleep(20000);
	}
}

static long
session_keyring(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
	    KEY_SPEC_SESSION_KEYRING, 0);
}

/* What the kernel does when a thread returns to user space is done for RUN, too. */
TEST(work_leaves, "run/signal/task_work_ends_run")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	long before = session_keyring();
	pid_t giver;

	giver = (pid_t)CHECK_OK(fork());
	if (giver == 0)
		keyring_giver();
	vm_call_start(v, g_long_jmp_self, 0, 0, 0, 0);
	do {
		vm_run(v);
		CHECK_EQ(v->reason, VM_EXIT_NONE);
	} while (session_keyring() == before);
	CHECK_OK(kill(giver, SIGKILL));
	CHECK_OK(waitpid(giver, NULL, 0));
}

TEST(irq_bad, "ioctl/run/bad_vector")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int irq;

	vm_call_start(v, g_long_nop, 0, 0, 0, 0);
	for (irq = 256; irq < 0xffff; irq += 997)
		CHECK_ERR(do_run(v, irq), EINVAL);
	CHECK_ERR(do_run(v, 0xfffe), EINVAL);
	vm_finish(v);
	CHECK_EQ(v->mb->irqs, 0);
}
