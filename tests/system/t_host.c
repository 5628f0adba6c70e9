/* SPDX-License-Identifier: ISC */
/* t_host.c - what the host keeps through it all: FPU, debug registers, CPUs. */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <cpuid.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include "vm.h"

static bool
have_avx(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 28) != 0 &&
	    (c & 1u << 27) != 0;
}

/* RUN with these in all vector registers; what is there afterwards in out. */
static int
run_with_sse(struct vcpu *v, const uint8_t *in, uint8_t *out)
{
	struct vm_run_params p = { 0 };
	long rc = SYS_ioctl;

	p.vrp_vm_id = v->vm->id;
	p.vrp_vcpu_id = v->id;
	p.vrp_irq = NO_IRQ;
	p.vrp_exit = v->exit;
#define LOAD(n)		"movdqu " #n "*16(%[in]), %%xmm" #n "\n\t"
#define STORE(n)	"movdqu %%xmm" #n ", " #n "*16(%[out])\n\t"
#define SIXTEEN(F)	F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) \
			F(10) F(11) F(12) F(13) F(14) F(15)
	__asm__ volatile(SIXTEEN(LOAD) "syscall\n\t" SIXTEEN(STORE)
	    : "+a"(rc)
	    : [in] "r"(in), [out] "r"(out), "D"((long)v->vm->fd),
	      "S"(VMM_IOC_RUN), "d"(&p)
	    : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
	      "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
	      "xmm12", "xmm13", "xmm14", "xmm15");
	v->reason = p.vrp_exit_reason;
	return (int)rc;
}

static int
__attribute__((target("avx")))
run_with_avx(struct vcpu *v, const uint8_t *in, uint8_t *out)
{
	struct vm_run_params p = { 0 };
	long rc = SYS_ioctl;

	p.vrp_vm_id = v->vm->id;
	p.vrp_vcpu_id = v->id;
	p.vrp_irq = NO_IRQ;
	p.vrp_exit = v->exit;
#define VLOAD(n)	"vmovdqu " #n "*32(%[in]), %%ymm" #n "\n\t"
#define VSTORE(n)	"vmovdqu %%ymm" #n ", " #n "*32(%[out])\n\t"
	__asm__ volatile(SIXTEEN(VLOAD) "syscall\n\t" SIXTEEN(VSTORE)
	    : "+a"(rc)
	    : [in] "r"(in), [out] "r"(out), "D"((long)v->vm->fd),
	      "S"(VMM_IOC_RUN), "d"(&p)
	    : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
	      "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
	      "xmm12", "xmm13", "xmm14", "xmm15");
	v->reason = p.vrp_exit_reason;
	return (int)rc;
}

static void
fill(uint8_t *p, size_t n, unsigned int seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + seed * 31 + 1);
}

/* H6: neither sees the other's registers, and both keep their own. */
TEST(host_sse, "host/fpu/sse_of_host_and_guest")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint8_t in[256], out[256], *g = vm->mem + LAYOUT_SCRATCH;
	unsigned int i, j;

	for (i = 0; i < 20; i++) {
		fill(in, sizeof(in), i);
		fill(g, 256, 100 + i);
		vm_call_start(v, g_long_sse, LAYOUT_SCRATCH, 5, 0, 0);
		memset(out, 0, sizeof(out));
		CHECK_EQ(run_with_sse(v, in, out), 0);
		CHECK(is_exit_hlt(v->reason));
		CHECK(memcmp(in, out, sizeof(in)) == 0);
		CHECK_EQ(v->mb->ret[0], 0);
		/* What the guest left is there in its next run. */
		vm_call_start(v, g_long_dump_sse, LAYOUT_SCRATCH + 0x400, 0, 0,
		    0);
		CHECK_EQ(run_with_sse(v, in, out), 0);
		CHECK(memcmp(g, g + 0x400, 256) == 0);
	}
	/* A new vCPU starts with nothing of the host's in it. */
	vm_reset(v, LONG);
	vm = vm_new(LONG);
	v = &vm->cpu[0];
	memset(in, 0xa5, sizeof(in));
	vm_call_start(v, g_long_dump_sse, LAYOUT_SCRATCH, 0, 0, 0);
	CHECK_EQ(run_with_sse(v, in, out), 0);
	for (i = 0; i < 256; i++)
		CHECK_EQ(vm->mem[LAYOUT_SCRATCH + i], 0);
	for (j = 0; j < 256; j++)
		CHECK_EQ(out[j], 0xa5);
}

TEST(host_avx, "host/fpu/avx_of_host_and_guest")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint8_t in[512], out[512], *g = vm->mem + LAYOUT_SCRATCH;
	unsigned int i;

	CHECK(have_avx());
	vm_call_ok(v, g_long_wrcr4, 0x40620, 0, 0, 0);
	for (i = 0; i < 20; i++) {
		/* H7: the guest's XCR0 may be less than the host's. */
		vm_call_ok(v, g_long_xsetbv, 0, i % 2 ? 7 : 1, 0, 0);
		fill(in, sizeof(in), i);
		fill(g, 512, 200 + i);
		vm_call_start(v, i % 2 ? g_long_avx : g_long_sse,
		    LAYOUT_SCRATCH, 5, 0, 0);
		memset(out, 0, sizeof(out));
		CHECK_EQ(run_with_avx(v, in, out), 0);
		CHECK(is_exit_hlt(v->reason));
		vm_expect_no_fault(v);
		CHECK(memcmp(in, out, sizeof(in)) == 0);
		CHECK_EQ(v->mb->ret[0], 0);
	}
}

/* --- Moving between CPUs ------------------------------------------------------------- */

static volatile int mover_stop;
static volatile unsigned long moves;

struct mover { int tid[8]; unsigned int n; };

static void *
mover(void *arg)
{
	const struct mover *m = arg;
	cpu_set_t set;
	unsigned int i;

	while (!mover_stop) {
		for (i = 0; i < m->n; i++) {
			CPU_ZERO(&set);
			CPU_SET(random() % 2, &set);
			sched_setaffinity(m->tid[i], sizeof(set), &set);
			moves++;
		}
		usleep(300);
	}
	return NULL;
}

struct worker { struct vcpu *v; int tid; bool avx; unsigned long runs; };

static void *
worker(void *arg)
{
	struct worker *w = arg;
	struct vcpu *v = w->v;
	uint8_t in[512], out[512];
	unsigned int n = 0;

	w->tid = (int)syscall(SYS_gettid);
	while (!mover_stop) {
		fill(in, sizeof(in), n);
		fill(v->vm->mem + LAYOUT_SCRATCH + v->id * 1024, 512, n + 50);
		vm_call_start(v, w->avx ? g_long_avx : g_long_sse,
		    LAYOUT_SCRATCH + v->id * 1024, 8, 0, 0);
		memset(out, 0, sizeof(out));
		do {
			int rc = w->avx ? run_with_avx(v, in, out) :
			    run_with_sse(v, in, out);

			CHECK_MSG(rc == 0, "RUN: %s", strerror(-rc));
			CHECK(memcmp(in, out, w->avx ? 512 : 256) == 0);
		} while (!is_exit_hlt(v->reason));
		vm_expect_no_fault(v);
		CHECK_EQ(v->mb->ret[0], 0);
		w->runs++;
		n++;
	}
	return NULL;
}

/* L1, M10, H2: several vCPUs under load on two CPUs, pushed around. */
TEST_SMP(host_migrate, "host/cpus/migration_under_load", 60)
{
	struct vm *vm[2] = { vm_new_with(LONG, 2, VM_SIZE, 0),
	    vm_new_with(LONG, 2, VM_SIZE, 0) };
	struct worker w[4] = { 0 };
	struct mover m = { .n = 4 };
	pthread_t t[5];
	unsigned int i;

	for (i = 0; i < 4; i++) {
		w[i].v = &vm[i / 2]->cpu[i % 2];
		w[i].avx = have_avx() && i % 2;
		if (w[i].avx) {
			vm_call_ok(w[i].v, g_long_wrcr4, 0x40620, 0, 0, 0);
			vm_call_ok(w[i].v, g_long_xsetbv, 0, 7, 0, 0);
			w[i].v->cont = 0;
		}
		CHECK_EQ(pthread_create(&t[i], NULL, worker, &w[i]), 0);
		while (((volatile struct worker *)&w[i])->tid == 0)
			sleep_ms(1);
		m.tid[i] = w[i].tid;
	}
	CHECK_EQ(pthread_create(&t[4], NULL, mover, &m), 0);
	sleep_ms(8000);
	mover_stop = 1;
	for (i = 0; i < 5; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	test_note("%lu moves, %lu %lu %lu %lu runs", moves, w[0].runs,
	    w[1].runs, w[2].runs, w[3].runs);
	CHECK(moves > 100);
	for (i = 0; i < 4; i++)
		CHECK(w[i].runs > 3);
}

/* M10: map on one CPU, change on the other, come back. */
TEST_SMP(host_stale, "host/cpus/no_stale_translations", TEST_SECONDS)
{
	struct vm *vm = vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	for (i = 0; i < 60; i++) {
		pin(i & 1);
		GUEST(vm, uint64_t, LAYOUT_HIGH) = i;
		CHECK_EQ(vm_call_ok(v, g_long_load, LAYOUT_HIGH, 0, 0, 0), i);
		if (i % 3 == 0) {
			/* The guest's own tables point elsewhere now. */
			GUEST(vm, uint64_t, LAYOUT_PT0 + 0x150 * 8) =
			    (LAYOUT_SCRATCH + (i & 15) * PAGE) | 7;
			GUEST(vm, uint64_t, LAYOUT_SCRATCH + (i & 15) * PAGE) =
			    i + 1000;
			vm_call_ok(v, g_long_wrcr3, LAYOUT_PML4, 0, 0, 0);
			CHECK_EQ(vm_call_ok(v, g_long_load, 0x150000, 0, 0, 0),
			    i + 1000);
		}
	}
}

static void
online(const char *value)
{
	int fd = open("/sys/devices/system/cpu/cpu1/online", O_WRONLY |
	    O_CLOEXEC);

	CHECK_MSG(fd >= 0, "cpu1/online: %s", strerror(errno));
	CHECK_EQ(write(fd, value, 1), 1);
	CHECK_OK(close(fd));
}

/* L2: a CPU goes and comes while vCPUs run; RUN works on it again. */
TEST_SMP(host_hotplug, "host/cpus/offline_and_online", 120)
{
	struct vm *vm = vm_new_with(LONG, 3, VM_SIZE, 0);
	struct runner *r[3];
	unsigned int i, round;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < 3; i++) {
			vm_call_start(&vm->cpu[i], g_long_spin, 0, 0, 0, 0);
			r[i] = runner_start(&vm->cpu[i]);
		}
		for (i = 0; i < 3; i++)
			runner_wait_busy(&vm->cpu[i]);
		online("0");
		for (i = 0; i < 3; i++)
			runner_wait_busy(&vm->cpu[i]);
		online("1");
		for (i = 0; i < 3; i++)
			runner_wait_busy(&vm->cpu[i]);
		for (i = 0; i < 3; i++) {
			vm->cpu[i].mb->stop = 1;
			CHECK(is_exit_hlt(runner_join(r[i])));
		}
		pin(1);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		pin(0);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		CHECK_OK(sched_setaffinity(0, sizeof(cpu_set_t),
		    &(cpu_set_t){ { 3 } }));
	}
	/* CREATE with a CPU missing, which comes later. */
	vm_free(vm);
	online("0");
	vm = vm_new(LONG);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	online("1");
	pin(1);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

/* --- Registers of the host ------------------------------------------------------------- */

/* H9: a watchpoint of the host survives a guest that uses all of its own. */
TEST(host_dr, "host/registers/debug_registers")
{
	static volatile uint64_t watched;
	struct perf_event_attr attr = { 0 };
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint64_t hits = 0;
	int fd, i;

	attr.type = PERF_TYPE_BREAKPOINT;
	attr.size = sizeof(attr);
	attr.bp_type = HW_BREAKPOINT_W;
	attr.bp_addr = (uintptr_t)&watched;
	attr.bp_len = HW_BREAKPOINT_LEN_8;
	attr.exclude_kernel = 1;
	fd = (int)CHECK_OK(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
	for (i = 0; i < 20; i++) {
		vm_call_ok(v, g_long_set_dr, LAYOUT_SCRATCH,
		    LAYOUT_SCRATCH + 8, LAYOUT_SCRATCH + 16,
		    LAYOUT_SCRATCH + 24);
		vm_call_ok(v, g_long_wrdr7, 0x400, 0, 0, 0);
		watched = (uint64_t)i;
		vm_call_ok(v, g_long_get_dr, 0, 0, 0, 0);
		CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH);
		CHECK_EQ(v->mb->ret[3], LAYOUT_SCRATCH + 24);
	}
	CHECK_EQ(read(fd, &hits, sizeof(hits)), sizeof(hits));
	CHECK_EQ(hits, 20);
	/* The guest's addresses never hit in the host, nor the other way. */
	vm_call_ok(v, g_long_set_dr, (uintptr_t)&watched, 0, 0, 0);
	watched = 99;
	CHECK_EQ(read(fd, &hits, sizeof(hits)), sizeof(hits));
	CHECK_EQ(hits, 21);
}

/* H3: selectors of a process's own LDT still load after RUN. */
TEST(host_ldt, "host/registers/ldt")
{
	struct user_desc d = { .entry_number = 5, .base_addr = 0x1000,
	    .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1 };
	struct vm *vm = vm_new(LONG);
	unsigned short sel = 5 << 3 | 7, back;
	int i;

	CHECK_OK(syscall(SYS_modify_ldt, 1, &d, sizeof(d)));
	for (i = 0; i < 20; i++) {
		__asm__ volatile("mov %0, %%es" : : "r"(sel));
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		__asm__ volatile("mov %%es, %0" : "=r"(back));
		CHECK_EQ(back, sel);
		__asm__ volatile("mov %0, %%es" : : "r"(0));
		__asm__ volatile("mov %0, %%es" : : "r"(sel));
	}
	__asm__ volatile("mov %0, %%es" : : "r"(0));
}

/* H5: junk in the guest's syscall and base registers stays in the guest. */
TEST(host_msrs, "host/registers/syscall_and_bases")
{
	static __thread int local = 77;
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 30; i++) {
		vm_call_ok(v, g_long_wrmsr, 0xc0000081, 0x1234567800000000, 0, 0);
		vm_call_ok(v, g_long_wrmsr, 0xc0000082, 0xffff800000000000, 0, 0);
		vm_call_ok(v, g_long_wrmsr, 0xc0000083, 0xffff800000000000, 0, 0);
		vm_call_ok(v, g_long_wrmsr, 0xc0000084, 0xffffffff, 0, 0);
		vm_call_ok(v, g_long_wrmsr, 0xc0000102, 0xffff800000000000, 0, 0);
		vm_call_ok(v, g_long_wrmsr, 0xc0000100, 0x1234000, 0, 0);
		vm_call_ok(v, g_long_wrmsr, 0x176, 0xffff800000000000, 0, 0);
		CHECK_EQ(local, 77);
		CHECK(syscall(SYS_getpid) == getpid());
		sched_yield();
	}
	CHECK_EQ(vm_call_ok(v, g_long_rdmsr, 0xc0000082, 0, 0, 0),
	    0xffff800000000000);
}

/* H1: the limits of GDT and IDT, as any program can read them. */
TEST(host_tables, "host/registers/table_limits")
{
	struct __attribute__((packed)) table { uint16_t limit; uint64_t base; }
	    before[2], after[2];
	struct vm *vm = vm_new(LONG);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		pin(i % (unsigned int)get_nprocs());
		__asm__ volatile("sgdt %0; sidt %1" : "=m"(before[0]),
		    "=m"(before[1]));
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		__asm__ volatile("sgdt %0; sidt %1" : "=m"(after[0]),
		    "=m"(after[1]));
		CHECK_EQ(before[0].limit, after[0].limit);
		CHECK_EQ(before[1].limit, after[1].limit);
		CHECK_EQ(before[0].base, after[0].base);
		CHECK_EQ(before[1].base, after[1].base);
	}
}

/* A3, E9: spinning vCPUs on all CPUs, and the host's clock still ticks. */
TEST_T(host_hog, "host/cpus/spinning_guests_share", 60)
{
	struct vm *vm = vm_new_with(LONG, 8, VM_SIZE, 0);
	struct runner *r[8];
	uint64_t start, worst = 0, took;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		vm_call_start(&vm->cpu[i], g_long_spin_cli, 0, 0, 0, 0);
		r[i] = runner_start(&vm->cpu[i]);
	}
	for (i = 0; i < 8; i++)
		runner_wait_busy(&vm->cpu[i]);
	for (i = 0; i < 50; i++) {
		start = now_ns();
		sleep_ms(10);
		took = now_ns() - start - 10000000;
		worst = took > worst ? took : worst;
	}
	test_note("sleep of 10 ms was late by at most %llu us",
	    (unsigned long long)worst / 1000);
	CHECK(worst < 2000000000u * time_scale());
	for (i = 0; i < 8; i++)
		vm->cpu[i].mb->stop = 1;
	for (i = 0; i < 8; i++)
		CHECK(is_exit_hlt(runner_join(r[i])));
}

/* D8, E8: NMIs of the host reach the host, and the guest does not notice. */
TEST_SMP(host_nmi, "host/cpus/nmi_while_a_guest_runs", 60)
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i, seen;
	struct runner *r;
	int fd;

	/* 'l' sends an NMI to every other CPU, which prints where it was. */
	klog_expect_backtraces();
	fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	CHECK_OK(fd);
	vm_call_start(v, g_long_spin_cli, 0, 0, 0, 0);
	pin(1);
	r = runner_start(v);
	pin(0);
	for (i = 0; i < 10; i++) {
		runner_wait_busy(v);
		CHECK_EQ(write(fd, "l", 1), 1);
	}
	runner_wait_busy(v);
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
	vm_expect_no_fault(v);
	seen = klog_count("NMI backtrace for cpu 1", NULL);
	test_note("the host saw %u of 10 NMIs", seen);
	CHECK(seen >= 1);
}
