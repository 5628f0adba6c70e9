/* SPDX-License-Identifier: ISC */
/*
 * test_life.c - how VMs begin and end: without memory, without a CPU, while
 * they run, and when several threads want different things at once.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define VCPUS	3

static struct fixture f;
static struct script s;

static void
start(void)
{
	fixture_start(&f, VCPUS);
	for (uint32_t i = VCPUS; i-- > 0; ) {
		f.run.vrp_vcpu_id = i;
		fixture_long_mode(&f, RIP);
	}
}

static void
stop(void)
{
	fixture_stop(&f);
}

static int
term(uint32_t vm)
{
	struct vm_terminate_params p = { .vtp_vm_id = vm };

	return fixture_ioctl(&f, VMM_IOC_TERM, &p);
}

static int
create(struct vmm_session *session, uint32_t *id)
{
	struct vm_create_params p;
	int err;

	/* Two ranges. */
	fixture_create_params(&f, &p, VCPUS);
	p.vcp_nmemranges = 2;
	p.vcp_memranges[0].vmr_size = FIXTURE_MEM / 2;
	p.vcp_memranges[1] = (struct vm_mem_range){ 0x100000000,
	    p.vcp_memranges[0].vmr_va + FIXTURE_MEM / 2, FIXTURE_MEM / 2 };
	err = vmm_ioctl(session, VMM_IOC_CREATE, (uint64_t)(uintptr_t)&p);
	*id = p.vcp_id;
	return err;
}

/* --- Without memory ------------------------------------------------------ */

static void
with_la57(void)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		sim_cpu[cpu].cr4 |= 1 << 12;
}

static void
create_without_memory(void)
{
	uint64_t n;
	uint32_t id;

	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	for (n = 1; ; n++) {
		int64_t live = host_user.alloc_live;
		int err;

		host_user_fail_alloc(n);
		err = create(&f.session, &id);
		if (!host_user_alloc_failed()) {
			ck_assert_int_eq(err, 0);
			break;
		}
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_int_eq(host_user.alloc_live, live);
		ck_assert_int_eq(host_user.watches_live, 0);
		ck_assert_int_eq(host_user.as_live, 0);
		ck_assert(!host_user.cpus_on);
		ck_assert(!sim_cpu_taken(0));
	}
	host_user_fail_alloc(0);
	/* The argument, the VM, its tables and watches, each vCPU. */
	ck_assert_uint_gt(n, 6 + VCPUS * 4);
	/* None of the failures counts as a vCPU or as an id. */
	ck_assert_uint_eq(id, f.vm + 1);
	ck_assert(host_user.cpus_on);
	ck_assert_int_eq(term(id), 0);
	ck_assert(!host_user.cpus_on);
}

START_TEST(create_without_memory_leaves_nothing)
{
	create_without_memory();
	fixture_stop(&f);
	/* With one more table. */
	fixture_machine = with_la57;
	start();
	fixture_machine = NULL;
	create_without_memory();
}
END_TEST

START_TEST(a_fault_without_memory_can_be_tried_again)
{
	const struct step steps[] = {
		{ EXITS(EXIT_STAGE2_FAULT), .exit.npf = { 0x200000, STAGE2_W } },
	};
	uint64_t n;

	for (n = 1; ; n++) {
		struct vcpu_reg_state before, after;
		int64_t live;
		int err;

		/* Another VM: tables that are there stay there. */
		ck_assert_int_eq(term(f.vm), 0);
		live = host_user.alloc_live;
		{
			struct vm_create_params p;

			fixture_create_params(&f, &p, 1);
			ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), 0);
			f.vm = f.run.vrp_vm_id = p.vcp_id;
			f.run.vrp_continue = 0;
		}
		fixture_long_mode(&f, RIP);
		fixture_regs(&f, &before);
		host_user_fail_alloc(n);
		err = RUN_STEPS(&f, &s, steps, VMM_NO_IRQ);
		if (!host_user_alloc_failed()) {
			ck_assert_int_eq(err, 0);
			break;
		}
		ck_assert_int_eq(err, -ENOMEM);
		fixture_regs(&f, &after);
		ck_assert_mem_eq(&before, &after, sizeof(after));
		ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(s.at, 2);
		ck_assert_int_eq(term(f.vm), 0);
		ck_assert_int_eq(host_user.alloc_live, live);
		ck_assert_int_eq(create(&f.session, &f.vm), 0);
	}
	host_user_fail_alloc(0);
	ck_assert_uint_gt(n, 1);
}
END_TEST

/* --- Without a CPU ------------------------------------------------------- */

START_TEST(a_cpu_that_cannot_undoes_the_others)
{
	uint32_t id;

	ck_assert_int_eq(term(f.vm), 0);
	for (unsigned int n = 1; n <= HOST_USER_CPUS; n++) {
		host_user.cpus_fail = n;
		ck_assert_int_eq(create(&f.session, &id), -EIO);
		ck_assert(!host_user.cpus_on);
		ck_assert_int_eq(host_user.watches_live, 0);
		for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++) {
			ck_assert(!sim_cpu_taken(cpu));
		}
	}
	host_user_set_cpu(0);
	host_user.cpus_fail = 0;
	ck_assert_int_eq(create(&f.session, &id), 0);
	ck_assert_uint_eq(id, f.vm + 1);
}
END_TEST

START_TEST(another_hypervisor_is_left_alone)
{
	uint32_t id;

	ck_assert_int_eq(term(f.vm), 0);
	for (unsigned int n = 0; n < HOST_USER_CPUS; n++) {
		sim_cpu_take(n, true);
		host_user.log[0] = '\0';
		ck_assert_int_eq(create(&f.session, &id), -EBUSY);
		ck_assert_ptr_nonnull(strstr(host_user.log, "KVM"));
		/* Its CPU as it was, the others off. */
		for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++) {
			ck_assert(sim_cpu_taken(cpu) == (cpu == n));
		}
		sim_cpu_take(n, false);
	}
	host_user_set_cpu(0);
}
END_TEST

/* --- The end ------------------------------------------------------------- */

START_TEST(close_ends_its_own_vms)
{
	struct vmm_session other;
	struct vm_info_result info[8];
	struct vm_info_params p = { .vip_size = sizeof(info), .vip_info = info };
	uint32_t id[3];

	ck_assert_int_eq(vmm_open(&other), 0);
	ck_assert_int_eq(create(&other, &id[0]), 0);
	ck_assert_int_eq(create(&f.session, &id[1]), 0);
	ck_assert_int_eq(create(&other, &id[2]), 0);
	vmm_close(&other);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
	ck_assert_uint_eq(p.vip_info_ct, 2);
	ck_assert_uint_eq(info[0].vir_id, f.vm);
	ck_assert_uint_eq(info[1].vir_id, id[1]);
	ck_assert_int_eq(term(id[0]), -ENOENT);
	ck_assert(host_user.cpus_on);
	/* Any descriptor of the same user's will do. */
	ck_assert_int_eq(vmm_open(&other), 0);
	p.vip_size = sizeof(info);
	ck_assert_int_eq(vmm_ioctl(&other, VMM_IOC_TERM,
	    (uint64_t)(uintptr_t)&(struct vm_terminate_params){ id[1] }), 0);
	vmm_close(&other);
}
END_TEST

/* --- The end, step by step ------------------------------------------------ */

#define GIB4	0x100000000ULL

static struct {
	unsigned int at, owner_at;	/* steps so far; when the creator goes */
	uint64_t page;			/* the next one that the host takes */
	uint32_t vm;
} steps;

/* All that can call in, between two steps of a VM's life. */
static void
everything_calls(void)
{
	const uint64_t page = steps.page++ % (FIXTURE_MEM / 2 / 4096);

	host_user_invalidate(f.mem + page * 4096, 4096, true);
	host_user_invalidate(f.mem + FIXTURE_MEM / 2 + page * 4096, 4096, true);
	if (steps.at++ == steps.owner_at)
		host_user_owner_exit();
}

/* As clients do that know the id. */
static void
everything_calls_by_id(void)
{
	struct vm_intr_params intr = { .vip_vm_id = steps.vm, .vip_intr = 1 };
	struct vm_info_result info[4];
	struct vm_info_params list = { .vip_size = sizeof(info), .vip_info = info };

	everything_calls();
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INTR, &intr), -ENOENT);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &list), 0);
	ck_assert_uint_eq(list.vip_info_ct, 0);
	ck_assert_int_eq(term(steps.vm), -ENOENT);
}

/* Memory of both ranges is in the second stage, so that taking it flushes. */
static void
touch_all(uint32_t vm)
{
	struct step touch[] = {
		{ EXITS(EXIT_STAGE2_FAULT), .exit.npf = { 0, STAGE2_W } },
		{ EXITS(EXIT_STAGE2_FAULT), .exit.npf = { GIB4, STAGE2_W } },
	};
	uint64_t at;

	f.vm = f.run.vrp_vm_id = vm;
	f.run.vrp_vcpu_id = f.run.vrp_continue = 0;
	fixture_long_mode(&f, RIP);
	for (at = 0; at < FIXTURE_MEM / 2; at += HOST_PAGES * 4096) {
		touch[0].exit.npf.gpa = at;
		touch[1].exit.npf.gpa = GIB4 + at;
		ck_assert_int_eq(RUN_STEPS(&f, &s, touch, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(s.at, 3);
	}
}

/* The fixture's VM goes: what is left is the case's own. */
static int64_t
alone(void)
{
	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	return host_user.alloc_live;
}

START_TEST(each_step_of_an_end_meets_each_callback)
{
	const int64_t live = alone();
	struct vmm_session other;

	steps.owner_at = 0;
	do {
		ck_assert_int_eq(vmm_open(&other), 0);
		ck_assert_int_eq(create(&other, &steps.vm), 0);
		touch_all(steps.vm);
		steps.at = 0;
		host_user.on_step = everything_calls_by_id;
		if (steps.owner_at % 2)
			ck_assert_int_eq(term(steps.vm), 0);
		vmm_close(&other);
		host_user.on_step = NULL;
		host_defer_flush();
		ck_assert_int_eq(host_user.alloc_live, live);
		ck_assert_int_eq(host_user.watches_live, 0);
		ck_assert_int_eq(host_user.as_live, 0);
	} while (steps.owner_at++ < steps.at);
	/* Watches and locks, each vCPU, tables. */
	ck_assert_uint_gt(steps.at, 2 + VCPUS * 3);
}
END_TEST

/* The end of the creator is the end of the VM, in any of its steps too. */
START_TEST(each_step_of_a_creation_meets_each_callback)
{
	const int64_t live = alone();
	uint32_t id;

	steps.owner_at = 0;
	do {
		steps.at = 0;
		host_user.on_step = everything_calls;
		ck_assert_int_eq(create(&f.session, &id), 0);
		host_user.on_step = NULL;
		host_defer_flush();
		/* Before there is a watch, nobody is told. */
		if (term(id) == -ENOENT)
			ck_assert_uint_gt(steps.owner_at, 1);
		ck_assert_int_eq(host_user.alloc_live, live);
		ck_assert_int_eq(host_user.watches_live, 0);
	} while (steps.owner_at++ < steps.at);
	ck_assert_uint_gt(steps.at, 2 + VCPUS * 3);
}
END_TEST

START_TEST(each_step_of_a_failed_creation_meets_each_callback)
{
	const int64_t live = alone();
	uint64_t n;
	uint32_t id;
	int err;

	for (n = 1; ; n++) {
		for (steps.owner_at = 0; ; steps.owner_at++) {
			steps.at = 0;
			host_user.on_step = everything_calls;
			host_user_fail_alloc(n);
			err = create(&f.session, &id);
			host_user.on_step = NULL;
			host_defer_flush();
			if (!host_user_alloc_failed())
				goto whole;
			ck_assert_int_eq(err, -ENOMEM);
			ck_assert_int_eq(host_user.alloc_live, live);
			ck_assert_int_eq(host_user.watches_live, 0);
			ck_assert(!host_user.cpus_on);
			if (steps.owner_at > steps.at)
				break;
		}
	}
whole:
	host_user_fail_alloc(0);
	ck_assert_uint_gt(n, 6 + VCPUS * 3);
	term(id);
}
END_TEST

/* --- What comes between ---------------------------------------------------- */

/* Somebody has guessed the id, and ends the VM before its creator knows it. */
static void
ends_what_is_listed(void)
{
	host_user.on_spin_unlocked = NULL;
	if (term(f.vm + 1) == -ENOENT)	/* another lock */
		host_user.on_spin_unlocked = ends_what_is_listed;
}

START_TEST(a_vm_ends_as_soon_as_it_is_listed)
{
	const int64_t live = host_user.alloc_live;
	uint32_t id = 0;

	host_user.on_spin_unlocked = ends_what_is_listed;
	ck_assert_int_eq(create(&f.session, &id), 0);
	ck_assert_ptr_null(host_user.on_spin_unlocked);
	ck_assert_uint_eq(id, f.vm + 1);
	ck_assert_int_eq(term(id), -ENOENT);
	ck_assert_int_eq(host_user.alloc_live, live);
}
END_TEST

/* As many VMs as come before a place of the table is used again. */
static void
until_the_place_of(uint32_t id)
{
	struct vm_create_params p;

	fixture_create_params(&f, &p, 1);
	do {
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), 0);
		ck_assert_int_eq(term(p.vcp_id), 0);
	} while ((p.vcp_id + 1) % VMM_MAX_VCPUS != id % VMM_MAX_VCPUS);
}

static uint32_t next_vm;

/* Between the look at the place and the reference to its VM, another moves in. */
static void
place_changes_hands(int at)
{
	if (at != SYNC_SLOT_NAMED)
		return;
	host_user.on_sync = NULL;
	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_int_eq(create(&f.session, &next_vm), 0);
	ck_assert_uint_eq(next_vm % VMM_MAX_VCPUS, f.vm % VMM_MAX_VCPUS);
}

START_TEST(an_id_finds_no_other_vm)
{
	struct vm_rwregs_params p = { .vrwp_vm_id = f.vm,
	    .vrwp_mask = VM_RWREGS_ALL };

	until_the_place_of(f.vm);
	host_user.on_sync = place_changes_hands;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READREGS, &p), -ENOENT);
	ck_assert_ptr_null(host_user.on_sync);
	/* Its reference has been given back. */
	ck_assert_int_eq(term(next_vm), 0);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

/* Its place is free when all of it is gone: callbacks still ask the place. */
static void
another_comes(void)
{
	host_user.on_step = NULL;
	ck_assert_int_eq(create(&f.session, &next_vm), 0);
	ck_assert_uint_ne(next_vm % VMM_MAX_VCPUS, f.vm % VMM_MAX_VCPUS);
}

START_TEST(a_place_is_free_when_its_vm_is_gone)
{
	until_the_place_of(f.vm);
	host_user.on_step = another_comes;
	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_ptr_null(host_user.on_step);
	ck_assert_int_eq(term(next_vm), 0);
}
END_TEST

/* TERM comes when the vCPU is found, and locked. */
static void
ends_what_is_locked(struct host_mutex *m)
{
	if (m != &fixture_vcpu(&f)->lock)
		return;
	host_user.on_locked = NULL;
	ck_assert_int_eq(term(f.vm), 0);
}

START_TEST(an_ended_vm_is_gone_for_those_who_waited)
{
	struct vm_rwregs_params regs = { .vrwp_vm_id = f.vm,
	    .vrwp_mask = VM_RWREGS_ALL };

	f.run.vrp_vcpu_id = 0;
	host_user.on_locked = ends_what_is_locked;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READREGS, &regs), -ENOENT);
	ck_assert_ptr_null(host_user.on_locked);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

/* The second stage changes in the last moment that needs no interrupt. */
static bool entry_flushed;

static void
guest_notes_flush(struct sim_guest *g, void *arg)
{
	(void)arg;
	entry_flushed = g->flushed;
	g->exit.kind = EXIT_TRIPLE_FAULT;
}

static void
memory_goes(int at)
{
	if (at != SYNC_ENTRY)
		return;
	host_user.on_sync = NULL;
	/* As from another CPU: its work there is over. */
	sync_add(&fixture_vcpu(&f)->vm->tlb_gen, 1);
}

START_TEST(a_flush_before_the_entry_is_not_missed)
{
	f.run.vrp_vcpu_id = 0;
	f.run.vrp_irq = VMM_NO_IRQ;
	sim.guest = guest_notes_flush;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RUN, &f.run), 0);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RUN, &f.run), 0);
	ck_assert(!entry_flushed);
	host_user.on_sync = memory_goes;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RUN, &f.run), 0);
	ck_assert_ptr_null(host_user.on_sync);
	ck_assert(entry_flushed);
}
END_TEST

/* Each of two ranges says that the creator is gone: the VM hears it once. */
START_TEST(a_vm_is_orphaned_once)
{
	uint32_t id;

	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_int_eq(create(&f.session, &id), 0);
	host_user_owner_exit();
	host_user_owner_exit();
	/* It outlives its file, and the driver stays as long. */
	vmm_close(&f.session);
	ck_assert_int_eq(host_user.kept, 1);
	host_defer_flush();
	ck_assert_int_eq(host_user.kept, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

/* --- Threads ------------------------------------------------------------- */

static uint32_t inside, inside_max, stays, done;

/* Stays until it is kicked. */
static void
guest_spins(struct sim_guest *g, void *arg)
{
	uint32_t n = sync_add(&inside, 1);

	(void)arg;
	if (n > sync_load(&inside_max))
		sync_store(&inside_max, n);
	sync_add(&stays, 1);
	if (!host_user_wait_kick(5000))
		host_user_panic("nobody kicks the guest");
	sync_sub(&inside, 1);
	g->exit.kind = EXIT_INTR;
}

struct runner {
	pthread_t thread;
	uint32_t vcpu;
	struct vm_exit exit;
	struct vm_run_params run;
	int	 err;
};

static void *
runs(void *arg)
{
	struct runner *r = arg;

	r->run = (struct vm_run_params){ .vrp_vm_id = f.vm,
	    .vrp_vcpu_id = r->vcpu, .vrp_irq = VMM_NO_IRQ, .vrp_exit = &r->exit };
	r->err = fixture_ioctl(&f, VMM_IOC_RUN, &r->run);
	sync_add(&done, 1);
	return NULL;
}

static void
wait_for(uint32_t *value, uint32_t n)
{
	while (sync_load(value) != n)
		sched_yield();
}

/* n threads, each inside with a vCPU of its own. */
static void
go(struct runner *r, uint32_t n)
{
	inside = inside_max = stays = done = 0;
	sim.guest = guest_spins;
	for (uint32_t i = 0; i < n; i++) {
		r[i].vcpu = i;
		ck_assert_int_eq(pthread_create(&r[i].thread, NULL, runs, &r[i]),
		    0);
	}
	wait_for(&inside, n);
}

START_TEST(term_ends_running_vcpus)
{
	struct runner r[VCPUS];
	struct vm_info_result info;
	struct vm_info_params p = { .vip_size = sizeof(info), .vip_info = &info };

	go(r, VCPUS);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
	for (int i = 0; i < VCPUS; i++)
		ck_assert_uint_eq(info.vir_vcpu_state[i], VCPU_STATE_RUNNING);
	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_uint_eq(inside, 0);
	for (int i = 0; i < VCPUS; i++) {
		pthread_join(r[i].thread, NULL);
		ck_assert_int_eq(r[i].err, 0);
		ck_assert_uint_eq(r[i].run.vrp_exit_reason, VM_EXIT_TERMINATED);
		ck_assert_uint_eq(r[i].exit.vrs.vrs_gprs[VCPU_REGS_RIP], RIP);
	}
	ck_assert_uint_eq(inside_max, VCPUS);	/* they did run at once */
	ck_assert_uint_eq(stays, VCPUS);
	ck_assert_int_eq(term(f.vm), -ENOENT);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

START_TEST(close_ends_running_vcpus)
{
	struct runner r[VCPUS];

	go(r, VCPUS);
	vmm_close(&f.session);
	ck_assert_uint_eq(inside, 0);
	for (int i = 0; i < VCPUS; i++) {
		pthread_join(r[i].thread, NULL);
		ck_assert_int_eq(r[i].err, 0);
		ck_assert_uint_eq(r[i].run.vrp_exit_reason, VM_EXIT_TERMINATED);
	}
}
END_TEST

/* All that wants the vCPU makes it leave, and then has it for itself. */
START_TEST(others_get_at_a_running_vcpu)
{
	struct vcpu_reg_state regs;
	struct runner r[1];

	for (int what = 0; what < 4; what++) {
		struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
		    .vmep_size = 0x1000, .vmep_prot = VMM_PROT_READ };

		go(r, 1);
		f.run.vrp_vcpu_id = 0;
		switch (what) {
		case 0:
			fixture_regs(&f, &regs);
			ck_assert_uint_eq(regs.vrs_gprs[VCPU_REGS_RIP], RIP);
			break;
		case 1:
			regs.vrs_gprs[VCPU_REGS_RBX] = 0x1234;
			ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS,
			    &regs), 0);
			break;
		case 2:
			fixture_long_mode(&f, RIP + 16);
			break;
		case 3:
			ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT,
			    &p), 0);
			break;
		}
		pthread_join(r[0].thread, NULL);
		ck_assert_int_eq(r[0].err, 0);
		ck_assert_uint_eq(r[0].run.vrp_exit_reason, VM_EXIT_NONE);
		ck_assert_uint_eq(stays, 1);
	}
	fixture_regs(&f, &regs);
	ck_assert_uint_eq(regs.vrs_gprs[VCPU_REGS_RIP], RIP + 16);
}
END_TEST

START_TEST(runs_of_one_vcpu_take_turns)
{
	struct vcpu_reg_state regs;
	struct runner r[8];

	inside = inside_max = stays = done = 0;
	sim.guest = guest_spins;
	for (int i = 0; i < 8; i++) {
		r[i].vcpu = 0;
		ck_assert_int_eq(pthread_create(&r[i].thread, NULL, runs, &r[i]),
		    0);
	}
	/* They wait for each other; who wants the registers does not. */
	f.run.vrp_vcpu_id = 0;
	while (sync_load(&done) < 8)
		fixture_regs(&f, &regs);
	for (int i = 0; i < 8; i++) {
		pthread_join(r[i].thread, NULL);
		ck_assert_int_eq(r[i].err, 0);
		ck_assert_uint_eq(r[i].run.vrp_exit_reason, VM_EXIT_NONE);
	}
	ck_assert_uint_le(inside_max, 1);
}
END_TEST

START_TEST(a_second_run_does_not_disturb_the_first)
{
	struct vcpu_reg_state regs;
	struct runner r[2];

	go(r, 1);
	r[1].vcpu = 0;
	pthread_create(&r[1].thread, NULL, runs, &r[1]);
	usleep(2000);
	ck_assert_uint_eq(sync_load(&done), 0);
	ck_assert_uint_eq(sync_load(&stays), 1);
	f.run.vrp_vcpu_id = 0;
	while (sync_load(&done) < 2)
		fixture_regs(&f, &regs);
	pthread_join(r[0].thread, NULL);
	pthread_join(r[1].thread, NULL);
}
END_TEST

static _Thread_local bool interrupted;

static bool
this_thread_is_interrupted(void)
{
	return interrupted;
}

static uint32_t let_go;

/* Does not hear the kick: as if it were far away in the host. */
static void
guest_is_deaf(struct sim_guest *g, void *arg)
{
	(void)arg;
	sync_store(&inside, 1);
	wait_for(&let_go, 1);
	g->exit.kind = EXIT_TRIPLE_FAULT;
}

START_TEST(a_signal_ends_the_wait_for_a_vcpu)
{
	struct vm_rwregs_params p = { .vrwp_vm_id = f.vm };
	struct vm_resetcpu_params reset = { .vrp_vm_id = f.vm };
	struct vm_mprotect_ept_params protect = { .vmep_vm_id = f.vm,
	    .vmep_size = 0x1000, .vmep_prot = VMM_PROT_READ };
	struct runner r = { .vcpu = 0 };

	inside = let_go = 0;
	host_user.on_signal_pending = this_thread_is_interrupted;
	sim.guest = guest_is_deaf;
	pthread_create(&r.thread, NULL, runs, &r);
	wait_for(&inside, 1);
	interrupted = true;
	f.run.vrp_vcpu_id = 0;
	f.run.vrp_irq = VMM_NO_IRQ;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READREGS, &p), -EINTR);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEREGS, &p), -EINTR);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RESETCPU, &reset), -EINTR);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &protect),
	    -EINTR);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RUN, &f.run), -EINTR);
	interrupted = false;
	sync_store(&let_go, 1);
	pthread_join(r.thread, NULL);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.run.vrp_exit_reason, sim_reason(EXIT_TRIPLE_FAULT));
}
END_TEST

/* One vCPU is inside when another one's client protects a page. */
static bool flushed;

static void
guest_is_flushed(struct sim_guest *g, void *arg)
{
	if (sync_load(&stays) == 0) {
		guest_spins(g, arg);
		return;
	}
	flushed = g->flushed;
	g->exit.kind = EXIT_TRIPLE_FAULT;
}

START_TEST(a_protection_reaches_running_vcpus)
{
	const struct step touch = { EXITS(EXIT_STAGE2_FAULT),
	    .exit.npf = { 0x200000, STAGE2_W } };
	struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
	    .vmep_sgpa = 0x200000, .vmep_size = 0x1000,
	    .vmep_prot = VMM_PROT_READ };
	struct runner r = { .vcpu = 1 };

	f.run.vrp_vcpu_id = 0;
	ck_assert_int_eq(fixture_steps(&f, &s, &touch, 1, VMM_NO_IRQ), 0);
	inside = stays = 0;
	sim.guest = guest_is_flushed;
	pthread_create(&r.thread, NULL, runs, &r);
	wait_for(&inside, 1);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
	/* When it returns, the other has left. */
	ck_assert_uint_eq(inside, 0);
	ck_assert_uint_eq(host_user.kick_waits, 1);
	pthread_join(r.thread, NULL);
	ck_assert_uint_eq(r.run.vrp_exit_reason, sim_reason(EXIT_TRIPLE_FAULT));
	ck_assert(flushed);
}
END_TEST

static uint32_t ended;

static void *
terminates(void *arg)
{
	int err = term(*(uint32_t *)arg);

	if (err == 0)
		sync_add(&ended, 1);
	else
		ck_assert_int_eq(err, -ENOENT);
	return NULL;
}

START_TEST(only_one_of_many_ends_a_vm)
{
	for (int round = 0; round < 20; round++) {
		struct runner r[2];
		pthread_t t[4];
		uint32_t vm = f.vm;

		for (uint32_t i = 0; i < 2; i++) {
			f.run.vrp_vcpu_id = i;
			fixture_long_mode(&f, RIP);
		}
		go(r, 2);
		ended = 0;
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, terminates, &vm);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		for (int i = 0; i < 2; i++)
			pthread_join(r[i].thread, NULL);
		ck_assert_uint_eq(ended, 1);
		ck_assert_int_eq(host_user.watches_live, 0);
		{
			struct vm_create_params p;

			fixture_create_params(&f, &p, 2);
			ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), 0);
			f.vm = f.run.vrp_vm_id = p.vcp_id;
		}
	}
}
END_TEST

/* Guests that write to what is theirs alone. */
static void
guest_counts(struct sim_guest *g, void *arg)
{
	(void)arg;
	g->exit.kind = ++g->gpr[VCPU_REGS_RBX] % 50 ? EXIT_INTR :
	    EXIT_TRIPLE_FAULT;
}

struct counter {
	pthread_t thread;
	uint32_t vm;
};

static void *
counts(void *arg)
{
	const struct counter *c = arg;
	struct vm_exit exit;
	struct vm_run_params p = { .vrp_vm_id = c->vm, .vrp_irq = VMM_NO_IRQ,
	    .vrp_exit = &exit };

	for (uint64_t n = 1; n <= 20; n++) {
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RUN, &p), 0);
		ck_assert_uint_eq(p.vrp_exit_reason, sim_reason(EXIT_TRIPLE_FAULT));
		ck_assert_uint_eq(exit.vrs.vrs_gprs[VCPU_REGS_RBX], n * 50);
		host_user_set_cpu((unsigned int)(n + c->vm) % HOST_USER_CPUS);
	}
	return NULL;
}

START_TEST(two_vms_do_not_meet)
{
	struct counter c[2];

	c[0].vm = f.vm;
	ck_assert_int_eq(create(&f.session, &c[1].vm), 0);
	sim.guest = guest_counts;
	for (int i = 0; i < 2; i++)
		pthread_create(&c[i].thread, NULL, counts, &c[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(c[i].thread, NULL);
}
END_TEST

/* --- All at once --------------------------------------------------------- */

static uint32_t latest, over;

static void *
disturbs(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!sync_load(&over)) {
		uint32_t vm = sync_load(&latest) - (uint32_t)rand_r(&seed) % 2;
		uint32_t vcpu = (uint32_t)rand_r(&seed) % VCPUS;
		struct vm_exit exit;
		struct vm_info_result info[4];
		struct vm_run_params run = { .vrp_vm_id = vm,
		    .vrp_vcpu_id = vcpu, .vrp_irq = VMM_NO_IRQ,
		    .vrp_exit = &exit };
		struct vm_rwregs_params regs = { .vrwp_vm_id = vm,
		    .vrwp_vcpu_id = vcpu, .vrwp_mask = VM_RWREGS_ALL };
		struct vm_intr_params intr = { .vip_vm_id = vm,
		    .vip_vcpu_id = vcpu, .vip_intr = 1 };
		struct vm_info_params list = { .vip_size = sizeof(info),
		    .vip_info = info };
		struct vm_mprotect_ept_params protect = { .vmep_vm_id = vm,
		    .vmep_vcpu_id = vcpu, .vmep_size = 0x1000,
		    .vmep_prot = VMM_PROT_READ };
		int err = 0;

		switch (rand_r(&seed) % 6) {
		case 0:
		case 1:
			err = fixture_ioctl(&f, VMM_IOC_RUN, &run);
			break;
		case 2:
			err = fixture_ioctl(&f, VMM_IOC_READREGS, &regs);
			break;
		case 3:
			err = fixture_ioctl(&f, VMM_IOC_INTR, &intr);
			break;
		case 4:
			err = fixture_ioctl(&f, VMM_IOC_INFO, &list);
			break;
		case 5:
			err = fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &protect);
			break;
		}
		if (err != 0 && err != -ENOENT && err != -EBUSY)
			host_user_panic("error %d", err);
	}
	return NULL;
}

START_TEST(vms_come_and_go_under_everybody_s_hands)
{
	pthread_t t[4];

	sim.guest = guest_counts;
	latest = f.vm;
	over = 0;
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, disturbs, (void *)(i + 1));
	for (int i = 0; i < 60; i++) {
		uint32_t id;

		ck_assert_int_eq(create(&f.session, &id), 0);
		sync_store(&latest, id);
		ck_assert_int_eq(term(id - 1), 0);
	}
	sync_store(&over, 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(host_user.watches_live, 2);
	ck_assert_int_eq(host_user.as_live, 1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		create_without_memory_leaves_nothing,
		a_fault_without_memory_can_be_tried_again,
		a_cpu_that_cannot_undoes_the_others,
		another_hypervisor_is_left_alone,
		close_ends_its_own_vms,
		each_step_of_an_end_meets_each_callback,
		each_step_of_a_creation_meets_each_callback,
		each_step_of_a_failed_creation_meets_each_callback,
		a_vm_ends_as_soon_as_it_is_listed,
		an_id_finds_no_other_vm,
		a_place_is_free_when_its_vm_is_gone,
		an_ended_vm_is_gone_for_those_who_waited,
		a_flush_before_the_entry_is_not_missed,
		a_vm_is_orphaned_once,
		term_ends_running_vcpus,
		close_ends_running_vcpus,
		others_get_at_a_running_vcpu,
		runs_of_one_vcpu_take_turns,
		a_second_run_does_not_disturb_the_first,
		a_signal_ends_the_wait_for_a_vcpu,
		a_protection_reaches_running_vcpus,
		only_one_of_many_ends_a_vm,
		two_vms_do_not_meet,
		vms_come_and_go_under_everybody_s_hands,
	};

	return fixture_main_extremes("life", tests,
	    sizeof(tests) / sizeof(tests[0]), start, stop);
}
