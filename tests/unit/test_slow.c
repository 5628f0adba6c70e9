/* SPDX-License-Identifier: ISC */
/*
 * test_slow.c - guest memory that the host has to wait for, perhaps for ever:
 * signals, other callers and the end of the VM do not wait with it.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "backend.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define DATA	0x20000ULL
#define CLOCK	0x30000ULL
#define FAR	0x200000ULL
#define NOWHERE	0x40000000ULL
#define PML4	0x1000ULL
#define PD	0x3000ULL

static struct fixture f;
static struct script s;

static void
start(void)
{
	fixture_start(&f, 2);
	host_user_mem_add(f.mem, FIXTURE_MEM, STAGE2_R | STAGE2_W);
	fixture_long_mode(&f, RIP);
}

/* The threads of the host end with what they wait for. */
static void
faults_end(void)
{
	host_user_answer();
	while (sync_load(&host_user.faults_live) != 0)
		sched_yield();
}

static void
stop(void)
{
	uint8_t *mem = f.mem;

	faults_end();
	fixture_stop(&f);
	host_user_mem_remove(mem);
}

/* The page is somewhere from where it does not come. */
static void
slow(uint64_t gpa)
{
	struct host_user_page *page = host_user_page(f.mem + gpa);

	ck_assert(host_user_invalidate(f.mem + gpa, 4096, true));
	page->slow = true;
}

static const struct step touch = { EXITS(EXIT_STAGE2_FAULT),
    .exit.npf = { FAR, STAGE2_W } };

/* --- Signals ----------------------------------------------------------------- */

static unsigned int waits;

/* A signal comes whenever the thread waits for a page. */
static bool
signal_while_waiting(void)
{
	if (sync_load(&host_user.fault_waiters) == 0)
		return false;
	waits++;
	return true;
}

static void
signals(bool on)
{
	waits = 0;
	host_user.on_signal_pending = on ? signal_while_waiting : NULL;
}

/*
 * Of the access that this exit makes to a page, whatever it is for: a RUN that
 * is interrupted has changed nothing, and the next one goes on as if nothing
 * had been. On some CPUs, this exit needs no such access.
 */
static void
interrupt_at(const struct step *step, uint64_t page, uint16_t reason)
{
	struct vcpu_reg_state before, after;

	fixture_regs(&f, &before);
	slow(page);
	signals(true);
	ck_assert_int_eq(fixture_steps(&f, &s, step, 1, 0x41), 0);
	if (waits != 0) {
		ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
		fixture_regs(&f, &after);
		ck_assert_mem_eq(&before, &after, sizeof(after));
		/* Once more, whether the fault that was given up is over or not. */
		ck_assert_int_eq(fixture_steps(&f, &s, step, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
		faults_end();
		signals(false);
		ck_assert_int_eq(fixture_steps(&f, &s, step, 1, VMM_NO_IRQ), 0);
	}
	ck_assert_uint_eq(f.run.vrp_exit_reason, reason);
	/* The vector that came with the first RUN is still there. */
	ck_assert_uint_eq(fixture_vcpu(&f)->irr[1], 2);
	signals(false);
}

START_TEST(a_signal_ends_the_wait_of_a_fault)
{
	interrupt_at(&touch, FAR, sim_reason(EXIT_HLT));
	ck_assert(host_user.faults != 0);
}
END_TEST

static void
set_string(void)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	r.vrs_gprs[VCPU_REGS_RSI] = r.vrs_gprs[VCPU_REGS_RDI] = DATA;
	r.vrs_gprs[VCPU_REGS_RCX] = 3;
	r.vrs_gprs[VCPU_REGS_RDX] = 0x1f0;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
}

static const struct step outs = { AT(EXIT_IO, "\xf3\x6e"),
    .exit.io = { .port = 0x1f0, .size = 1, .string = true, .rep = true,
    .addr_size = 8, .seg = SREG_DS } };
static const struct step ins = { AT(EXIT_IO, "\xf3\x6c"),
    .exit.io = { .port = 0x1f0, .size = 1, .in = true, .string = true,
    .rep = true, .addr_size = 8, .seg = SREG_ES } };

/* The element, and each kind of table on the way to it. */
START_TEST(a_signal_ends_the_wait_of_a_string)
{
	static const uint64_t pages[] = { DATA, PML4, PD, RIP };

	for (size_t i = 0; i < 4; i++) {
		set_string();
		host_user.faults = 0;
		f.mem[DATA] = 'a';
		interrupt_at(&outs, pages[i], sim_reason(EXIT_IO));
		ck_assert_uint_eq(f.exit.vei.vei_data, 'a');
		ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RCX], 2);
		ck_assert(pages[i] == RIP || host_user.faults != 0);
		fixture_long_mode(&f, RIP);
		f.run.vrp_continue = 0;
	}
}
END_TEST

/* Where the CPU says neither how long an instruction is nor what it is. */
START_TEST(a_signal_ends_the_wait_of_a_fetch)
{
	const struct step cpuid = { AT(EXIT_CPUID, "\x0f\xa2") };
	const struct step mmio = { AT(EXIT_STAGE2_FAULT, "\x88\x03"),
	    .exit.npf = { NOWHERE, STAGE2_W } };

	interrupt_at(&cpuid, RIP, sim_reason(EXIT_HLT));
	ck_assert(!sim_tells.length == (host_user.faults != 0));
	fixture_long_mode(&f, RIP);
	host_user.faults = f.run.vrp_continue = 0;
	interrupt_at(&mmio, PD, sim_reason(EXIT_STAGE2_FAULT));
	ck_assert(!sim_tells.bytes == (host_user.faults != 0));
	ck_assert_uint_ge(f.exit.vee.vee_insn_len, 2);
	ck_assert_mem_eq(f.exit.vee.vee_insn_bytes, "\x88\x03", 2);
}
END_TEST

START_TEST(a_signal_ends_the_wait_of_the_clock)
{
	struct vm_rwvmparams_params p = { .vpp_vm_id = f.vm,
	    .vpp_mask = VM_RWVMPARAMS_PVCLOCK_SYSTEM_GPA,
	    .vpp_pvclock_system_gpa = CLOCK | 1 };
	uint32_t version;

	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEVMPARAMS, &p), 0);
	interrupt_at(&touch, CLOCK, sim_reason(EXIT_HLT));
	ck_assert(host_user.faults != 0);
	memcpy(&version, f.mem + CLOCK, sizeof(version));
	ck_assert_uint_ne(version, 0);
	ck_assert_uint_eq(version & 1, 0);
}
END_TEST

START_TEST(a_signal_ends_the_wait_for_pae_roots)
{
	struct vcpu_reg_state r;

	/* Other CPUs read them at each walk. */
	if (!sim_machine->vmx)
		return;
	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR3] = DATA;
	r.vrs_msrs[VCPU_REGS_EFER] = 0;
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xc09b;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
	interrupt_at(&touch, DATA, sim_reason(EXIT_HLT));
	ck_assert(host_user.faults != 0);
}
END_TEST

/*
 * The port has been read: what it said is stored once the page is there,
 * whatever is in the client's struct vm_exit by then.
 */
START_TEST(an_element_read_waits_for_its_page)
{
	struct vcpu_reg_state before, after;

	for (uint8_t again = 0; again < 2; again++) {
		fixture_long_mode(&f, RIP);
		set_string();
		memset(f.mem + DATA, 0, 8);
		f.run.vrp_continue = 0;
		ck_assert_int_eq(fixture_steps(&f, &s, &ins, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.exit.vei.vei_dir, VEI_DIR_IN);
		fixture_regs(&f, &before);
		slow(DATA);
		signals(true);
		f.exit.vei.vei_data = 'x';
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0,
			    VMM_NO_IRQ), 0);
			ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
			fixture_regs(&f, &after);
			ck_assert_mem_eq(&before, &after, sizeof(after));
			f.exit.vei.vei_data = 'y';
		}
		signals(false);
		faults_end();
		f.run.vrp_continue = again;
		ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
		ck_assert_mem_eq(f.mem + DATA, "x\0\0\0", 4);
		ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RCX], 2);
		ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RDI], DATA + 1);
	}
}
END_TEST

/* --- Other threads ------------------------------------------------------------- */

struct runner {
	pthread_t thread;
	struct vm_exit exit;
	struct vm_run_params run;
	int	 err;
};

static void *
runs(void *arg)
{
	struct runner *r = arg;

	r->run = (struct vm_run_params){ .vrp_vm_id = f.vm, .vrp_irq = VMM_NO_IRQ,
	    .vrp_exit = &r->exit };
	r->err = fixture_ioctl(&f, VMM_IOC_RUN, &r->run);
	return NULL;
}

static void
guest_touches(struct sim_guest *g, void *arg)
{
	(void)arg;
	g->exit = touch.exit;
}

static void
wait_for(uint32_t *value, uint32_t n)
{
	while (sync_load(value) != n)
		sched_yield();
}

/* vCPU 0 waits for a page. */
static void
go(struct runner *r)
{
	slow(FAR);
	sim.guest = guest_touches;
	ck_assert_int_eq(pthread_create(&r->thread, NULL, runs, r), 0);
	wait_for(&host_user.fault_waiters, 1);
}

static void
ends(struct runner *r, uint16_t reason)
{
	pthread_join(r->thread, NULL);
	ck_assert_int_eq(r->err, 0);
	ck_assert_uint_eq(r->run.vrp_exit_reason, reason);
	ck_assert_uint_eq(r->exit.vrs.vrs_gprs[VCPU_REGS_RIP], RIP);
}

static int
term(void)
{
	struct vm_terminate_params p = { .vtp_vm_id = f.vm };

	return fixture_ioctl(&f, VMM_IOC_TERM, &p);
}

START_TEST(term_ends_the_wait)
{
	struct runner r;

	go(&r);
	ck_assert_int_eq(term(), 0);
	ends(&r, VM_EXIT_TERMINATED);
	ck_assert_int_eq(term(), -ENOENT);
	/* The page is still not there, and the fault is over. */
	wait_for(&host_user.faults_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	ck_assert_int_eq(host_user.kept, 0);
}
END_TEST

START_TEST(close_ends_the_wait)
{
	struct runner r;

	go(&r);
	vmm_close(&f.session);
	ends(&r, VM_EXIT_TERMINATED);
	wait_for(&host_user.faults_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

START_TEST(the_end_of_the_creator_ends_the_wait)
{
	struct runner r;

	go(&r);
	host_user_owner_exit();
	host_defer_flush();
	ends(&r, VM_EXIT_TERMINATED);
	wait_for(&host_user.faults_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

/* Whoever wants the vCPU gets it, again and again. */
START_TEST(others_get_at_a_vcpu_that_waits)
{
	struct vcpu_reg_state regs;
	struct runner r;

	for (int what = 0; what < 4; what++) {
		struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
		    .vmep_size = 0x1000, .vmep_prot = VMM_PROT_READ };

		go(&r);
		f.run.vrp_vcpu_id = 0;
		switch (what) {
		case 0:
			fixture_regs(&f, &regs);
			ck_assert_uint_eq(regs.vrs_gprs[VCPU_REGS_RIP], RIP);
			break;
		case 1:
			ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS,
			    &regs), 0);
			break;
		case 2:
			fixture_long_mode(&f, RIP);
			break;
		case 3:
			ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT,
			    &p), 0);
			break;
		}
		ends(&r, VM_EXIT_NONE);
	}
}
END_TEST

/* INTR and INFO want nothing of the thread, and wait for nothing. */
START_TEST(who_wants_nothing_does_not_disturb)
{
	struct vm_intr_params intr = { .vip_vm_id = f.vm, .vip_intr = 1 };
	struct vm_info_result info[2];
	struct vm_info_params list = { .vip_size = sizeof(info), .vip_info = info };
	struct runner r;

	go(&r);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INTR, &intr), 0);
	intr.vip_intr = 0;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INTR, &intr), 0);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &list), 0);
	ck_assert_uint_eq(list.vip_info_ct, 1);
	ck_assert_uint_eq(info[0].vir_vcpu_state[0], VCPU_STATE_RUNNING);
	usleep(5000);
	ck_assert_uint_eq(sync_load(&host_user.fault_waiters), 1);
	ck_assert_int_eq(term(), 0);
	ends(&r, VM_EXIT_TERMINATED);
}
END_TEST

/* The other vCPUs of the VM go on. */
START_TEST(the_others_run)
{
	struct runner r;

	go(&r);
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP + 64);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(sync_load(&host_user.fault_waiters), 1);
	ck_assert_int_eq(term(), 0);
	ends(&r, VM_EXIT_TERMINATED);
}
END_TEST

/* --- A host that does not hear -------------------------------------------------- */

/* The fault goes on; the VM is gone for everybody, and freed with its end. */
START_TEST(a_fault_that_does_not_end_holds_nobody_up)
{
	const int64_t live = host_user.alloc_live;
	struct runner r;

	host_user.deaf_faults = true;
	go(&r);
	ck_assert_int_eq(term(), 0);
	ends(&r, VM_EXIT_TERMINATED);
	vmm_close(&f.session);
	ck_assert_uint_eq(sync_load(&host_user.faults_live), 1);
	/* It counts as long as it lasts, and the driver stays. */
	ck_assert_int_eq(host_user.kept, 1);
	ck_assert(host_user.cpus_on);
	ck_assert_int_eq(host_user.alloc_live, live);
	faults_end();
	ck_assert_int_eq(host_user.kept, 0);
	ck_assert(!host_user.cpus_on);
	ck_assert_int_lt(host_user.alloc_live, live);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

/* One a vCPU: the next RUN waits for it, and can be interrupted. */
START_TEST(a_vcpu_has_one_fault_at_a_time)
{
	struct runner r;

	host_user.deaf_faults = true;
	slow(FAR);
	slow(FAR + 0x1000);
	signals(true);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(fixture_steps(&f, &s, &touch, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	}
	ck_assert_uint_eq(host_user.faults, 1);
	signals(false);
	sim.guest = guest_touches;
	ck_assert_int_eq(pthread_create(&r.thread, NULL, runs, &r), 0);
	wait_for(&host_user.fault_waiters, 1);
	ck_assert_int_eq(term(), 0);
	ends(&r, VM_EXIT_TERMINATED);
	ck_assert_uint_eq(host_user.faults, 1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		a_signal_ends_the_wait_of_a_fault,
		a_signal_ends_the_wait_of_a_string,
		a_signal_ends_the_wait_of_a_fetch,
		a_signal_ends_the_wait_of_the_clock,
		a_signal_ends_the_wait_for_pae_roots,
		an_element_read_waits_for_its_page,
		term_ends_the_wait,
		close_ends_the_wait,
		the_end_of_the_creator_ends_the_wait,
		others_get_at_a_vcpu_that_waits,
		who_wants_nothing_does_not_disturb,
		the_others_run,
		a_fault_that_does_not_end_holds_nobody_up,
		a_vcpu_has_one_fault_at_a_time,
	};

	return fixture_main_extremes("slow", tests,
	    sizeof(tests) / sizeof(tests[0]), start, stop);
}
