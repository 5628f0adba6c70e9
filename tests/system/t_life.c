/* SPDX-License-Identifier: ISC */
/* t_life.c - VMs and vCPUs together: threads, races, ends, leaks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"

TEST(life_two, "life/two_vms_at_once")
{
	struct vm *vm[2] = { vm_new(LONG), vm_new(PROT) };
	int i;

	/* The same guest addresses, different memory (M9). */
	for (i = 0; i < 100; i++) {
		vm_call_ok(&vm[0]->cpu[0], g_long_store, LAYOUT_HIGH,
		    0x1000u + (unsigned int)i, 0, 0);
		vm_call_ok(&vm[1]->cpu[0], g_prot_store, LAYOUT_HIGH,
		    0x2000u + (unsigned int)i, 0, 0);
		CHECK_EQ(vm_call_ok(&vm[0]->cpu[0], g_long_load, LAYOUT_HIGH,
		    0, 0, 0), 0x1000 + i);
		CHECK_EQ(vm_call_ok(&vm[1]->cpu[0], g_prot_load, LAYOUT_HIGH,
		    0, 0, 0) & 0xffffffff, 0x2000 + i);
	}
}

TEST_T(life_two_busy, "life/two_vms_in_threads", 60)
{
	struct vm *vm[4];
	struct runner *r[4];
	int i;

	for (i = 0; i < 4; i++) {
		vm[i] = vm_new(LONG);
		vm_call_ok(&vm[i]->cpu[0], g_long_fill, LAYOUT_HIGH, 2 * MB,
		    PAGE, (uint64_t)i << 32);
		vm_call_start(&vm[i]->cpu[0], g_long_verify_loop, LAYOUT_HIGH,
		    2 * MB, PAGE, (uint64_t)i << 32);
		r[i] = runner_start(&vm[i]->cpu[0]);
	}
	for (i = 0; i < 4; i++)
		runner_wait_busy(&vm[i]->cpu[0]);
	sleep_ms(1000);
	for (i = 0; i < 4; i++) {
		vm[i]->cpu[0].mb->stop = 1;
		CHECK(is_exit_hlt(runner_join(r[i])));
		CHECK_EQ(vm[i]->cpu[0].mb->ret[0], 0);
	}
}

/* M9: many VMs, one set of addresses. */
TEST_T(life_many, "life/forty_vms_in_turn", 60)
{
	struct vm *vm[40];
	unsigned int i, round;

	for (i = 0; i < 40; i++) {
		vm[i] = vm_new_with(LONG, 1, 1 * MB, 0);
		vm_call_ok(&vm[i]->cpu[0], g_long_store, LAYOUT_SCRATCH, i,
		    0, 0);
	}
	for (round = 0; round < 10; round++)
		for (i = 0; i < 40; i++) {
			CHECK_EQ(vm_call_ok(&vm[i]->cpu[0], g_long_load,
			    LAYOUT_SCRATCH, 0, 0, 0), i + round);
			vm_call_ok(&vm[i]->cpu[0], g_long_store,
			    LAYOUT_SCRATCH, i + round + 1, 0, 0);
		}
}

TEST_T(life_vcpus, "life/sixty_four_vcpus_in_threads", 90)
{
	struct vm *vm = vm_new_with(LONG, 64, VM_SIZE, 0);
	struct runner *r[64];
	unsigned int i;

	for (i = 0; i < 64; i++) {
		vm_call_start(&vm->cpu[i], g_long_lock_inc_loop, LAYOUT_HIGH,
		    500, 0, 0);
		r[i] = runner_start(&vm->cpu[i]);
	}
	for (i = 0; i < 64; i++) {
		CHECK(is_exit_hlt(runner_join(r[i])));
		vm_expect_no_fault(&vm->cpu[i]);
		CHECK_EQ(vm_call_ok(&vm->cpu[i], g_long_cpuid, 1, 0, 0, 0) * 0 +
		    (vm->cpu[i].mb->ret[2] >> 24), i);
	}
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 64 * 500);
}

/* I11: two RUNs of one vCPU take turns. */
static void *
run_many(void *arg)
{
	struct vcpu v = *(struct vcpu *)arg;
	int i;

	v.exit = calloc(1, sizeof(*v.exit));
	for (i = 0; i < 300; i++)
		CHECK_OK(do_run(&v, NO_IRQ));
	return NULL;
}

TEST(life_same_vcpu, "life/one_vcpu_two_threads")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu_reg_state s;
	pthread_t t[2];
	int i;

	vm_call_start(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, run_many, &vm->cpu[0]), 0);
	for (i = 0; i < 200; i++) {
		vm_regs(&vm->cpu[0], &s);
		CHECK(s.vrs_gprs[VCPU_REGS_RIP] - g_long_start < 0x10000);
	}
	for (i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

/* READREGS of a vCPU in the guest: it leaves, answers, and goes on. */
TEST(life_regs_running, "life/registers_of_a_running_vcpu")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;
	uint64_t start;
	struct runner *r;
	int i;

	vm_call_start(v, g_long_spin_cli, 0, 0, 0, 0);
	r = runner_start(v);
	runner_wait_busy(v);
	for (i = 0; i < 20; i++) {
		start = now_ns();
		vm_regs(v, &s);
		CHECK(now_ns() - start < 2000000000u * time_scale());
		CHECK(s.vrs_gprs[VCPU_REGS_RIP] - g_long_start < 0x10000);
	}
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
}

/* D39: TERM ends a RUN at once, which then says so. */
TEST(life_term_running, "life/term_of_a_running_vcpu")
{
	struct vm_info_result info;
	struct runner *r;
	struct vm *vm;
	uint64_t start, most = 0;
	int i;

	for (i = 0; i < 20; i++) {
		vm = vm_new_with(LONG, 2, 2 * MB, 0);
		vm_call_start(&vm->cpu[0], i % 2 ? g_long_spin :
		    g_long_spin_cli, 0, 0, 0, 0);
		r = runner_start_once(&vm->cpu[0]);
		runner_wait_busy(&vm->cpu[0]);
		start = now_ns();
		CHECK_OK(do_term(vm->fd, vm->id));
		CHECK(!vm_info(vm->fd, vm->id, &info));
		CHECK_EQ(runner_join(r), VM_EXIT_TERMINATED);
		if (now_ns() - start > most)
			most = now_ns() - start;
		CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), ENOENT);
		vm_free(vm);
	}
	test_note("TERM to return of RUN: at most %llu us",
	    (unsigned long long)most / 1000);
	CHECK(most < 1000000000u * time_scale());
}

/* I1: everything at once, while VMs come and go. */
static struct { volatile uint32_t id; volatile int stop; int fd; } storm;

static void *
storm_thread(void *arg)
{
	struct vm_rwregs_params regs;
	struct vm_info_result info[8];
	struct vcpu_reg_state s;
	struct vm_exit *exit = calloc(1, sizeof(*exit));
	struct vm_run_params run;
	unsigned int n = 0;
	int rc, err;

	memset(&s, 0, sizeof(s));
	while (!storm.stop) {
		uint32_t id = storm.id;

		errno = 0;
		switch ((n++ + (unsigned int)(uintptr_t)arg) % 6) {
		case 0:
			memset(&run, 0, sizeof(run));
			run.vrp_vm_id = id;
			run.vrp_irq = NO_IRQ;
			run.vrp_exit = exit;
			rc = ioctl(storm.fd, VMM_IOC_RUN, &run);
			break;
		case 1:
			rc = do_readregs(storm.fd, id, 0, VM_RWREGS_ALL, &regs);
			break;
		case 2:
			rc = do_intr(storm.fd, id, 0, (uint16_t)(n & 8));
			break;
		case 3:
			rc = do_info(storm.fd, info, 8);
			break;
		case 4:
			rc = do_protect(storm.fd, id, 0, LAYOUT_HIGH, PAGE,
			    n & 16 ? PROT_READ : PROT_READ | PROT_WRITE);
			break;
		default:
			rc = (unsigned int)(uintptr_t)arg == 3 ?
			    do_term(storm.fd, id) : 0;
			break;
		}
		err = errno;
		CHECK_MSG(rc >= 0 || err == ENOENT || err == EBUSY,
		    "ioctl %u: %s", n % 6, strerror(err));
	}
	return NULL;
}

TEST_T(life_storm, "life/storm", 60)
{
	struct vm *vm = vm_prepare(1, 2 * MB, 0);
	struct vm_create_params p;
	struct vcpu_reg_state s;
	pthread_t t[6];
	uint64_t end, last;
	unsigned int i, made = 0;

	storm.fd = vm->fd;
	vm_init_state(&vm->cpu[0], LONG, &s);
	for (i = 0; i < 6; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, storm_thread,
		    (void *)(uintptr_t)i), 0);
	/* For eight seconds, and longer where that is too short for fifty VMs. */
	end = now_ns() + 8000000000u;
	last = now_ns() + 40000000000u * time_scale();
	while (now_ns() < end || (made <= 50 && now_ns() < last)) {
		memset(&p, 0, sizeof(p));
		p.vcp_ncpus = p.vcp_nmemranges = 1;
		p.vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
		p.vcp_memranges[0].vmr_size = 2 * MB;
		CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
		storm.id = p.vcp_id;
		vm->cpu[0].mb->op = made % 2 ? g_long_nop : g_long_spin;
		do_resetcpu(vm->fd, p.vcp_id, 0, &s);
		usleep(3000);
		if (do_term(vm->fd, p.vcp_id) < 0)
			CHECK_EQ(errno, ENOENT);
		made++;
	}
	storm.stop = 1;
	for (i = 0; i < 6; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	test_note("%u VMs came and went", made);
	CHECK(made > 50);
}

/* --- Ends while the host takes memory back ------------------------------------ */

#define ENDS_SIZE	(16 * MB)

static struct { struct vm *vm; volatile int stop; } ends;

/* The memory of the VM, but for what the guest needs to run. */
static void *
ends_zap(void *unused)
{
	uint64_t at;

	(void)unused;
	while (!ends.stop)
		for (at = LAYOUT_HIGH; at < ENDS_SIZE && !ends.stop; at += 64 * KB)
			CHECK_OK(madvise(ends.vm->mem + at, 64 * KB,
			    MADV_DONTNEED));
	return NULL;
}

/* Ends by TERM and by close, with several ranges, all of them in use. */
TEST_T(life_end_zap, "life/ends_while_memory_goes", 90)
{
	struct vm *vm = vm_prepare(4, ENDS_SIZE, 0);
	unsigned int i;
	pthread_t t;

	ends.vm = vm;
	CHECK_EQ(pthread_create(&t, NULL, ends_zap, NULL), 0);
	for (i = 0; i < 15; i++) {
		vm_create_ranges(vm, 4);
		vm_reset(&vm->cpu[0], LONG);
		vm_call_ok(&vm->cpu[0], g_long_fill, LAYOUT_HIGH,
		    ENDS_SIZE - LAYOUT_HIGH, PAGE, i);
		if (i % 2) {
			CHECK_OK(do_term(vm->fd, vm->id));
		} else {
			CHECK_OK(close(vm->fd));
			vm->fd = vmm_open_device();
		}
	}
	ends.stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* A thousand VMs leave nothing behind. */
TEST_T(life_churn, "life/create_and_terminate_1000", 120)
{
	struct vm *vm = vm_prepare(2, 1 * MB, 0);
	long free0 = 0, slab0 = 0, free1, slab1;
	int i;

	for (i = 0; i < 1100; i++) {
		if (i == 100) {
			sleep_ms(300);
			free0 = meminfo("MemFree:");
			slab0 = meminfo("Slab:");
		}
		vm_create(vm);
		vm_reset(&vm->cpu[0], LONG);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		CHECK_OK(do_term(vm->fd, vm->id));
	}
	for (i = 0; i < 20; i++) {
		sleep_ms(200);
		free1 = meminfo("MemFree:");
		slab1 = meminfo("Slab:");
		if (free1 > free0 - 6000 && slab1 < slab0 + 3000)
			return;
	}
	/* KASAN keeps what was freed for a while; kmemleak knows better there. */
	if (access("/sys/kernel/debug/kmemleak", F_OK) == 0)
		return;
	FAIL("MemFree %ld to %ld kB, Slab %ld to %ld kB", free0, free1, slab0,
	    slab1);
}

/* I13: limits of a memory cgroup would be the next step; here: many at once. */
TEST_T(life_all_at_once, "life/five_hundred_vms_at_once", 120)
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	struct vm_create_params p;
	int i;

	for (i = 0; i < 512; i++) {
		memset(&p, 0, sizeof(p));
		p.vcp_ncpus = p.vcp_nmemranges = 1;
		p.vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
		p.vcp_memranges[0].vmr_size = 1 * MB;
		CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	}
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_CREATE, &p), ENOMEM);
	/* One close ends them all. */
	CHECK_OK(close(vm->fd));
	vm->fd = vmm_open_device();
	CHECK_EQ(do_info(vm->fd, NULL, 0), 0);
	p.vcp_ncpus = 64;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
}

/* A10: neither a caller nor a guest can flood the log. */
TEST_T(log_ioctls, "log/bad_ioctls", 90)
{
	struct vm *vm = vm_new(LONG);
	struct vm_create_params c = { 0 };
	struct vcpu_reg_state s;
	int i;

	vm_init_state(&vm->cpu[0], LONG, &s);
	s.vrs_crs[VCPU_REGS_CR0] = 0x80000000;
	for (i = 0; i < 20000; i++) {
		do_term(vm->fd, 0xffffff);
		ioctl(vm->fd, 0xdead, NULL);
		ioctl(vm->fd, VMM_IOC_CREATE, &c);
		do_resetcpu(vm->fd, vm->id, 0, &s);
		do_protect(vm->fd, vm->id, 0, 1, 2, 3);
	}
	CHECK(klog_count("vmm", NULL) < 20);
}

TEST_T(log_guest, "log/bad_guest", 90)
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 5000; i++) {
		vm_call(v, g_long_wrmsr, 0x12345, 0, 0, 0);
		vm_call(v, g_long_xsetbv, 9, 9, 0, 0);
		vm_call(v, g_long_vmrun, 0, 0, 0, 0);
		vm_call(v, g_long_wrcr4, 1ull << 40, 0, 0, 0);
		vm_call_start(v, g_long_triple, 0, 0, 0, 0);
		vm_run_user(v);
		vm_reset(v, LONG);
	}
	CHECK(klog_count("vmm", NULL) < 20);
}

static void
on_alarm(int sig)
{
	(void)sig;
}

/*
 * Whatever the CPU refuses, the driver knows the check that was broken; but for
 * what emulated CPUs want beyond the manuals (`stricter` in entry_checks.yaml).
 */
static void
refusal_has_a_name(struct vcpu *v, const struct vcpu_reg_state *s)
{
	const struct vcpu_segment_info *cs = &s->vrs_sregs[VCPU_REGS_CS];
	struct vm_refused_params p = { .vrf_vm_id = v->vm->id, .vrf_vcpu_id = v->id };
	bool stricter = host_is_amd() ? s->vrs_crs[VCPU_REGS_CR3] >> 32 != 0 :
	    (cs->vsi_sel & 3u) != (cs->vsi_ar >> 5 & 3);

	CHECK_OK(ioctl(v->vm->fd, VMM_IOC_REFUSED, &p));
	CHECK_MSG(p.vrf_text[0] == '\0' || p.vrf_check[0] != '\0' || stricter, "%s",
	    p.vrf_text);
}

/* G14: any state at all: RUN or RESETCPU says no, or it runs; in few lines. */
TEST_T(log_states, "log/bad_states", 120)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i, refused = 0, failed = 0;
	struct vcpu_reg_state s;

	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	srandom(7);
	for (i = 0; i < 1500; i++) {
		/* What ran before may have written anywhere. */
		vm_refresh(vm);
		vm_init_state(v, (enum mode)(i % 3), &s);
		((uint32_t *)&s)[(size_t)random() % (sizeof(s) / 4)] ^=
		    1u << random() % 32;
		if (i % 2)
			((uint32_t *)&s)[(size_t)random() % (sizeof(s) / 4)] =
			    (uint32_t)random();
		/* With a busy TSS, TCG gives up at a change of privilege. */
		if (host_is_tcg())
			s.vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x89;
		vm_call_start(v, i % 3 == 2 ? g_long_nop : i % 3 == 1 ?
		    g_prot_nop : g_real_nop, 0, 0, 0, 0);
		v->cont = 0;
		if (do_resetcpu(vm->fd, vm->id, 0, &s) < 0) {
			CHECK_EQ(errno, EINVAL);
			refused++;
			continue;
		}
		ualarm(20000, 20000);
		if (do_run(v, NO_IRQ) < 0) {
			CHECK_EQ(errno, EINVAL);
			failed++;
			refusal_has_a_name(v, &s);
		}
		ualarm(0, 0);
	}
	/* A good state, and it runs again. */
	vm_refresh(vm);
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	test_note("%u of 1500 refused by RESETCPU, %u by RUN", refused, failed);
	CHECK(klog_count("vmm", NULL) < 40);
}
