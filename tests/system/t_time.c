/* SPDX-License-Identifier: ISC */
/* t_time.c - the guest's TSC and its paravirtual clock. */
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include "vm.h"

#define MSR_TSC		0x10
#define MSR_WALL	0x4b564d00
#define MSR_CLOCK	0x4b564d01
#define GP		13

struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t	 shift;
	uint8_t	 flags, pad1[2];
};

/* Guest TSC: from zero when the VM was made, by the offset. */
TEST(tsc_start, "run/tsc/starts_at_zero")
{
	uint64_t before = __rdtsc(), first, second, spent;
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	first = vm_call_ok(v, g_long_rdtsc, 0, 0, 0, 0);
	spent = __rdtsc() - before;
	CHECK_MSG(first <= spent, "guest TSC %llu after %llu ticks",
	    (unsigned long long)first, (unsigned long long)spent);
	sleep_ms(20);
	second = vm_call_ok(v, g_long_rdtsc, 0, 0, 0, 0);
	CHECK(second > first);
	CHECK(second <= __rdtsc() - before);
	/* The same by RDMSR; TCG reads this MSR as 0. */
	CHECK(host_is_tcg() ||
	    vm_call_ok(v, g_long_rdmsr, MSR_TSC, 0, 0, 0) > second);
}

TEST_SMP(tsc_monotonic, "run/tsc/monotonic_over_cpus", TEST_SECONDS)
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint64_t last = 0, t;
	cpu_set_t set;
	int i;

	for (i = 0; i < 300; i++) {
		CPU_ZERO(&set);
		CPU_SET(i & 1, &set);
		CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
		t = vm_call_ok(v, g_long_rdtsc, 0, 0, 0, 0);
		CHECK_MSG(t > last, "%llu after %llu", (unsigned long long)t,
		    (unsigned long long)last);
		last = t;
	}
}

/* G18: a guest's write moves its own TSC only. */
TEST(tsc_write, "run/tsc/write")
{
	struct vm *vm = vm_new(LONG), *other = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint64_t host = __rdtsc(), t;

	vm_call_ok(v, g_long_wrmsr, MSR_TSC, 1ull << 40, 0, 0);
	t = vm_call_ok(v, g_long_rdtsc, 0, 0, 0, 0);
	CHECK(t >= 1ull << 40 && t < (1ull << 40) + (1ull << 36));
	t = vm_call_ok(&other->cpu[0], g_long_rdtsc, 0, 0, 0, 0);
	CHECK(t < 1ull << 38);
	CHECK(__rdtsc() - host < 1ull << 38);
}

/* --- The paravirtual clock -------------------------------------------------------- */

static uint64_t
pv_now(struct vcpu *v, uint64_t gpa)
{
	volatile struct pvclock *p = (void *)(v->vm->mem + gpa);
	uint64_t tsc, delta;

	tsc = vm_call_ok(v, g_long_rdtsc, 0, 0, 0, 0);
	CHECK_EQ(p->version & 1, 0);
	CHECK(tsc >= p->tsc_timestamp);
	delta = tsc - p->tsc_timestamp;
	delta = p->shift >= 0 ? delta << p->shift : delta >> -p->shift;
	return p->system_time +
	    (uint64_t)((unsigned __int128)delta * p->mul >> 32);
}

TEST(pvclock_time, "run/pvclock/time_advances")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const uint64_t gpa = LAYOUT_SCRATCH + 64;
	volatile struct pvclock *p = (void *)(vm->mem + gpa);
	uint64_t g0, g1, h0, h1;
	uint32_t version;
	int i;

	memset((void *)(uintptr_t)p, 0xee, sizeof(*p) + 8);
	vm_call_ok(v, g_long_wrmsr, MSR_CLOCK, gpa | 1, 0, 0);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK(p->version != 0xeeeeeeee);
	CHECK_EQ(p->version & 1, 0);
	CHECK(p->mul != 0);
	CHECK_EQ(GUEST(vm, uint64_t, gpa + 32), 0xeeeeeeeeeeeeeeee);
	h0 = now_ns();
	g0 = pv_now(v, gpa);
	sleep_ms(300);
	h1 = now_ns();
	g1 = pv_now(v, gpa);
	CHECK(g0 < 20000000000 * time_scale());		/* since the VM was made */
	CHECK_MSG(g1 - g0 > (h1 - h0) / 2 && g1 - g0 < (h1 - h0) * 2,
	    "guest %llu ns, host %llu ns", (unsigned long long)(g1 - g0),
	    (unsigned long long)(h1 - h0));
	/* It is kept up to date, and never goes backwards. */
	version = p->version;
	for (i = 0; i < 25; i++) {
		sleep_ms(100);
		g0 = pv_now(v, gpa);
		CHECK(g0 > g1);
		g1 = g0;
	}
	CHECK(p->version != version);
}

/* M1, D33: addresses that can not be. Refused, and nothing is written. */
TEST(pvclock_bad, "run/pvclock/bad_addresses")
{
	static const uint64_t bad[] = {
		VM_SIZE, VM_SIZE + 0x1000, VMM_PCI_MMIO_BAR_BASE, 1ull << 40,
		1ull << 51, 1ull << 52, UINT64_MAX & ~15ull,
		0x8000000000000000, VM_SIZE - 16,
		LAYOUT_SCRATCH + PAGE - 16,	/* crosses into the next page */
	};
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	size_t i;

	memset(vm->mem + LAYOUT_SCRATCH, 0xee, 2 * PAGE);
	memset(vm->mem + VM_SIZE - 64, 0xee, 64);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vm_call_faults(v, GP, g_long_wrmsr_insn, g_long_wrmsr,
		    MSR_CLOCK, bad[i] | 1, 0, 0);
		vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	}
	CHECK_EQ(GUEST(vm, uint64_t, VM_SIZE - 16), 0xeeeeeeeeeeeeeeee);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_SCRATCH + PAGE - 16),
	    0xeeeeeeeeeeeeeeee);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_SCRATCH + PAGE),
	    0xeeeeeeeeeeeeeeee);
	/* The last place that fits; switching off may say anything. */
	vm_call_ok(v, g_long_wrmsr, MSR_CLOCK, (VM_SIZE - 32) | 1, 0, 0);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK(GUEST(vm, uint32_t, VM_SIZE - 32) != 0xeeeeeeee);
	vm_call_ok(v, g_long_wrmsr, MSR_CLOCK, 0, 0, 0);
	GUEST(vm, uint32_t, VM_SIZE - 32) = 0x5555;
	sleep_ms(1200);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK_EQ(GUEST(vm, uint32_t, VM_SIZE - 32), 0x5555);
}

/* M2: the page is taken from under it. */
TEST(pvclock_unmapped, "run/pvclock/page_goes_away")
{
	struct vm *vm = vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_wrmsr, MSR_CLOCK, (8 * MB) | 1, 0, 0);
	CHECK_OK(ftruncate(vm->memfd, 8 * MB));
	sleep_ms(1200);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK_OK(ftruncate(vm->memfd, VM_SIZE));
	sleep_ms(1200);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK(GUEST(vm, uint32_t, 8 * MB) != 0);
	CHECK_EQ(GUEST(vm, uint32_t, 8 * MB) & 1, 0);
}

TEST(pvclock_wall, "run/pvclock/wall_clock")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct timespec now;
	uint32_t sec;

	vm_call_ok(v, g_long_wrmsr, MSR_WALL, LAYOUT_SCRATCH, 0, 0);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	sec = GUEST(vm, uint32_t, LAYOUT_SCRATCH + 4);
	CHECK_OK(clock_gettime(CLOCK_REALTIME, &now));
	CHECK_EQ(GUEST(vm, uint32_t, LAYOUT_SCRATCH) & 1, 0);
	CHECK(sec <= (uint64_t)now.tv_sec && sec + 20 > (uint64_t)now.tv_sec);
	CHECK(GUEST(vm, uint32_t, LAYOUT_SCRATCH + 8) < 1000000000);
	vm_call_faults(v, GP, g_long_wrmsr_insn, g_long_wrmsr, MSR_WALL,
	    VM_SIZE, 0, 0);
}
