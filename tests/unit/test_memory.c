/* SPDX-License-Identifier: ISC */
/*
 * test_memory.c - faults, invalidations, protections and the driver's own
 * accesses to guest memory, over a host whose pages the test describes.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "backend.h"
#include "host_user.h"
#include "memory.h"

#define KIB	1024ULL
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)
#define PAGE	4096ULL
#define R	STAGE2_R
#define W	STAGE2_W
#define X	STAGE2_X

/* For loops: ck_assert*() writes a line to a file each time it passes. */
#define expect(cond)	do { if (!(cond)) ck_abort_msg("%s", #cond); } while (0)

/*
 * The creator's memory, 2 MiB aligned, and the ranges that show it:
 *   LOW	ends at an odd place
 *   MAIN	begins in the middle of 2 MiB, ends at an odd place; the
 *		offset within 2 MiB is that of its host addresses
 *   TOUCH	touches MAIN, elsewhere in the host
 *   SKEW	from 4 GiB on, not at the offset of its host addresses
 */
#define HOST_SIZE	(20 * MIB)
#define LOW		0
#define LOW_SIZE	(0x9f * PAGE)
#define MAIN		(1 * MIB)
#define MAIN_SIZE	(7 * MIB + 3 * PAGE)
#define TOUCH		(MAIN + MAIN_SIZE)
#define TOUCH_SIZE	(PAGE)
#define SKEW		(4 * GIB)
#define SKEW_SIZE	(5 * MIB)
#define SKEW_AT		(12 * MIB + PAGE)

static uint8_t *host;
static struct vm vm;
static struct vcpu vcpu = { .vm = &vm };
static struct vm_mem_range ranges[4];

/* --- The rest of the driver ----------------------------------------------- */

static uint64_t flushes;
static int64_t live_at_flush;
static void (*on_flush)(void);

void
vm_orphan(struct vm *v)
{
	host_user_panic("the owner of VM %u is not expected to go", v->id);
}

void
vm_hold(struct vm *v)
{
	host_user_panic("VM %u is not expected to be held", v->id);
}

void
vm_put(struct vm *v)
{
	host_user_panic("VM %u is not held", v->id);
}

void
vm_flush(struct vm *v)
{
	if (!host_user_mutex_mine(&v->mem_lock))
		host_user_panic("vm_flush without mem_lock");
	flushes++;
	live_at_flush = host_user.alloc_live;
	if (on_flush != NULL)
		on_flush();
}

static enum stage2_level largest_leaf;

static enum stage2_level
backend_largest_leaf(void)
{
	return largest_leaf;
}

static bool accessed_bits;

static bool
backend_accessed_bits(void)
{
	return accessed_bits;
}

static const struct backend fake_backend = {
	.accessed_bits = backend_accessed_bits,
	.stage2 = &arch_npt_format,
	.largest_leaf = backend_largest_leaf,
};
const struct backend *vmm_backend_found = &fake_backend;

/* A CPU of Intel's. */
static bool execute_only;

static bool
backend_execute_only(void)
{
	return execute_only;
}

static const struct backend ept_backend = {
	.accessed_bits = backend_accessed_bits,
	.stage2 = &arch_ept_format,
	.largest_leaf = backend_largest_leaf,
	.execute_only = backend_execute_only,
};

/* --- Set-up --------------------------------------------------------------- */

static void
host_setup(void)
{
	host_user_reset();
	host = aligned_alloc(PAGE_SIZE_2M, HOST_SIZE);
	memset(host, 0, HOST_SIZE);
	host_user_mem_add(host, HOST_SIZE, R | W);
	ranges[0] = (struct vm_mem_range){ .vmr_gpa = LOW,
	    .vmr_va = (uintptr_t)host, .vmr_size = LOW_SIZE };
	ranges[1] = (struct vm_mem_range){ .vmr_gpa = MAIN,
	    .vmr_va = (uintptr_t)host + MAIN, .vmr_size = MAIN_SIZE };
	ranges[2] = (struct vm_mem_range){ .vmr_gpa = TOUCH,
	    .vmr_va = (uintptr_t)host + 10 * MIB, .vmr_size = TOUCH_SIZE };
	ranges[3] = (struct vm_mem_range){ .vmr_gpa = SKEW,
	    .vmr_va = (uintptr_t)host + SKEW_AT, .vmr_size = SKEW_SIZE };
	memset(&vm, 0, sizeof(vm));
	flushes = 0;
	on_flush = NULL;
	largest_leaf = STAGE2_1G;
	accessed_bits = true;
}

static void
setup(void)
{
	host_setup();
	ck_assert_int_eq(memory_init(&vm, ranges, 4), 0);
}

static void
teardown(void)
{
	memory_unwatch(&vm);
	memory_fini(&vm);
	ck_assert_int_eq(host_user.alloc_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	host_user_mem_remove(host);
	free(host);
}

/* Where the range table puts a guest address in the host. */
static uint8_t *
hva(uint64_t gpa)
{
	const struct vm_range *r = memory_range(&vm, gpa);

	expect(r != NULL);
	return (uint8_t *)(uintptr_t)(r->hva + (gpa - r->gpa));
}

static struct host_user_page *
page(uint64_t gpa)
{
	return host_user_page(hva(gpa));
}

/* The page is there, for the host, without a fault. */
static void
touch(uint64_t gpa, bool writable)
{
	page(gpa)->present = true;
	page(gpa)->pte_write = writable;
}

static int
fault(uint64_t gpa, unsigned int access)
{
	return memory_fault(&vcpu, gpa, access);
}

/* What the second stage allows at gpa, 0: nothing; the address must be right. */
static unsigned int
mapped(uint64_t gpa)
{
	struct stage2_mapping m;

	if (!stage2_lookup(&vm.stage2, gpa, &m))
		return 0;
	expect(m.pa == ((uintptr_t)hva(gpa) & ~(PAGE - 1)));
	return m.prot;
}

static enum stage2_level
level(uint64_t gpa)
{
	struct stage2_mapping m;

	expect(stage2_lookup(&vm.stage2, gpa, &m));
	return m.level;
}

/* While races is not 0, the page that was resolved goes again. */
static unsigned int races;

static void
race(uint64_t at)
{
	if (races == 0)
		return;
	races--;
	host_user_invalidate((void *)(uintptr_t)at, PAGE, races % 2);
}

/* --- Ranges --------------------------------------------------------------- */

START_TEST(ranges_end_where_they_end)
{
	ck_assert_ptr_eq(memory_range(&vm, 0), &vm.range[0]);
	ck_assert_ptr_eq(memory_range(&vm, LOW_SIZE - 1), &vm.range[0]);
	ck_assert_ptr_null(memory_range(&vm, LOW_SIZE));
	ck_assert_ptr_null(memory_range(&vm, MAIN - 1));
	ck_assert_ptr_eq(memory_range(&vm, MAIN), &vm.range[1]);
	ck_assert_ptr_eq(memory_range(&vm, TOUCH - 1), &vm.range[1]);
	ck_assert_ptr_eq(memory_range(&vm, TOUCH), &vm.range[2]);
	ck_assert_ptr_null(memory_range(&vm, TOUCH + TOUCH_SIZE));
	ck_assert_ptr_null(memory_range(&vm, SKEW - 1));
	ck_assert_ptr_eq(memory_range(&vm, SKEW + SKEW_SIZE - 1), &vm.range[3]);
	ck_assert_ptr_null(memory_range(&vm, SKEW + SKEW_SIZE));
	ck_assert_ptr_null(memory_range(&vm, UINT64_MAX));
	ck_assert_uint_eq(vm.mem_size,
	    LOW_SIZE + MAIN_SIZE + TOUCH_SIZE + SKEW_SIZE);
	ck_assert_uint_eq(memory_used(&vm), PAGE);
}
END_TEST

START_TEST(no_memory_is_mmio)
{
	static const uint64_t hole[] = {
		LOW_SIZE, MAIN - 1, TOUCH + TOUCH_SIZE, 0xf0000000, 0xffffffff,
		SKEW - 1, SKEW + SKEW_SIZE, 1ULL << 47, (1ULL << 48) - 1,
		1ULL << 48, 1ULL << 51, UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(hole) / sizeof(hole[0]); i++)
		for (unsigned int access = 1; access < 8; access++)
			expect(fault(hole[i], access) == MEMORY_FAULT_MMIO);
	ck_assert_uint_eq(host_user.resolves, 0);
	ck_assert_uint_eq(memory_used(&vm), PAGE);
	/* The edges of memory next to them work. */
	ck_assert_int_eq(fault(LOW_SIZE - 1, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(SKEW + SKEW_SIZE - 1, X), MEMORY_FAULT_MAPPED);
}
END_TEST

/* --- Faults --------------------------------------------------------------- */

START_TEST(a_read_maps_what_the_host_has)
{
	/* Fresh memory: the host gives a page it does not want written. */
	ck_assert_int_eq(fault(MAIN + 0x1234, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN + 0x1000), R | X);
	ck_assert_uint_eq(mapped(MAIN), 0);
	ck_assert_uint_eq(mapped(MAIN + 0x2000), 0);
	ck_assert_uint_eq(host_user.dirtied, 0);
	ck_assert_uint_eq(vm.stage2.resident, 1);
	ck_assert_uint_eq(memory_used(&vm), 5 * PAGE);
	/* A page that may be written becomes writable at once. */
	touch(MAIN + 64 * KIB, true);
	ck_assert_int_eq(fault(MAIN + 64 * KIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN + 64 * KIB), R | W | X);
	ck_assert_uint_eq(host_user.dirtied, 1);
	ck_assert_uint_eq(host_user.last_dirty,
	    (uintptr_t)hva(MAIN + 64 * KIB));
	ck_assert_uint_eq(flushes, 0);
}
END_TEST

START_TEST(a_write_breaks_sharing)
{
	uint64_t resolves;

	ck_assert_int_eq(fault(MAIN, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN), R | X);
	resolves = host_user.resolves;
	/* The host changes the page, so the first answer is void. */
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_ge(host_user.resolves, resolves + 2);
	ck_assert_uint_eq(mapped(MAIN), R | W | X);
	ck_assert_uint_eq(host_user.dirtied, 1);
	ck_assert_uint_eq(flushes, 1);
	/* Another vCPU had the same fault: nothing is left to do. */
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN), R | W | X);
	ck_assert_uint_eq(host_user.dirtied, 1);
	ck_assert_uint_eq(flushes, 1);
}
END_TEST

START_TEST(present_neighbours_come_along)
{
	const uint64_t group = MAIN + 3 * MIB + 128 * KIB;

	for (unsigned int i = 0; i < 32; i++)
		if (i % 3 != 0)
			touch(group + i * PAGE, i % 2);
	/* Outside the group: not looked at. */
	touch(group - PAGE, true);
	touch(group + 32 * PAGE, true);
	/* Not for one that is not there: it comes alone. */
	ck_assert_int_eq(fault(group + 9 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.resident, 1);
	ck_assert_int_eq(fault(group + 11 * PAGE, W), MEMORY_FAULT_MAPPED);
	for (unsigned int i = 0; i < 32; i++)
		ck_assert_uint_eq(mapped(group + i * PAGE), i == 9 ? R | W | X :
		    i % 3 == 0 ? 0 : i % 2 ? R | W | X : R | X);
	ck_assert_uint_eq(mapped(group - PAGE), 0);
	ck_assert_uint_eq(mapped(group + 32 * PAGE), 0);
	/* 9 and the odd ones that are no multiple of 3: told to the host. */
	ck_assert_uint_eq(host_user.dirtied, 12);
	ck_assert_uint_eq(vm.stage2.resident, 22);
}
END_TEST

/* What the host knows to be written needs no second word (M17). */
START_TEST(dirty_pages_are_not_told_again)
{
	touch(MAIN, true);
	touch(MAIN + PAGE, true);
	touch(MAIN + 2 * PAGE, false);
	page(MAIN)->dirty = true;
	ck_assert_int_eq(fault(MAIN, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN + PAGE), R | W | X);
	ck_assert_uint_eq(host_user.dirtied, 1);
	ck_assert_uint_eq(host_user.last_dirty, (uintptr_t)hva(MAIN + PAGE));
	/* Cleaned, it was taken away first, and the next write is news. */
	ck_assert(host_user_invalidate(hva(MAIN), PAGE, true));
	touch(MAIN, true);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(host_user.dirtied, 2);
	ck_assert_uint_eq(host_user.last_dirty, (uintptr_t)hva(MAIN));
}
END_TEST

START_TEST(neighbours_stay_within_the_range)
{
	/* Everything around is there, but not everything is the guest's. */
	for (uint64_t p = 0; p < HOST_SIZE; p += PAGE) {
		host_user_page(host + p)->present = true;
		host_user_page(host + p)->pte_write = true;
	}
	ck_assert_int_eq(fault(LOW_SIZE - 1, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.resident, 31);
	ck_assert_uint_eq(mapped(LOW_SIZE - PAGE), R | W | X);
	ck_assert_int_eq(fault(TOUCH, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.resident, 32);
	ck_assert_int_eq(fault(TOUCH - 1, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.resident, 35);
	ck_assert_int_eq(fault(SKEW, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.resident, 67);
	for (uint64_t gpa = 0; gpa < 9 * MIB; gpa += PAGE) {
		struct stage2_mapping m;

		if (memory_range(&vm, gpa) == NULL)
			expect(!stage2_lookup(&vm.stage2, gpa, &m));
		else
			mapped(gpa);
	}
}
END_TEST

START_TEST(neighbours_keep_what_they_have)
{
	touch(MAIN, true);
	touch(MAIN + PAGE, true);
	ck_assert_int_eq(memory_protect(&vm, MAIN + PAGE, PAGE, R), 0);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN), R | W | X);
	/* Mapped along, with the right that MPROTECT_EPT left it. */
	ck_assert_uint_eq(mapped(MAIN + PAGE), R);
	ck_assert_int_eq(fault(MAIN + 2 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN + PAGE), R);
	ck_assert_uint_eq(flushes, 0);
}
END_TEST

/* --- Pages that the guest will touch next --------------------------------- */

/* How many of the 512 pages from gpa on the host has. */
static unsigned int
populated(uint64_t gpa)
{
	unsigned int i, n = 0;

	for (i = 0; i < 512; i++)
		n += page(gpa + i * PAGE)->present;
	return n;
}

START_TEST(new_memory_comes_ahead_of_a_sequence)
{
	static const struct { unsigned int at, upto; } step[] = {
		{ 0, 1 }, { 1, 3 }, { 3, 7 }, { 7, 15 }, { 15, 23 }, { 23, 31 },
		/* Not beyond the group, and on with the next. */
		{ 31, 32 }, { 32, 40 },
	};
	const uint64_t start = 2 * MIB;

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		const uint64_t gpa = start + step[i].at * PAGE;

		ck_assert_int_eq(fault(gpa, W), MEMORY_FAULT_MAPPED);
		ck_assert_uint_eq(populated(start), step[i].upto);
		ck_assert_uint_eq(vm.stage2.resident, step[i].upto);
		ck_assert_uint_eq(mapped(start + (step[i].upto - 1) * PAGE),
		    R | W | X);
		ck_assert_uint_eq(mapped(start + step[i].upto * PAGE), 0);
	}
	/* Elsewhere it begins anew; one that is not the next page ends it. */
	ck_assert_int_eq(fault(4 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(4 * MIB + 2 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(4 * MIB + 1 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(4 * MIB + 64 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(populated(4 * MIB), 4);
	ck_assert_int_eq(fault(start + 40 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(populated(start), 41);
}
END_TEST

/* Touch pages one after the other until the last fault may bring 7 along. */
static void
sequence(uint64_t gpa)
{
	for (unsigned int i = 0; i < 7; i = 2 * i + 1)
		expect(fault(gpa + i * PAGE, W) == MEMORY_FAULT_MAPPED);
	expect(mapped(gpa + 6 * PAGE) != 0 && mapped(gpa + 7 * PAGE) == 0);
}

START_TEST(only_what_may_be_written_comes_ahead)
{
	const uint64_t start = 2 * MIB, end = MAIN + MAIN_SIZE;

	/* Reading brings what is read. */
	for (unsigned int i = 0; i < 9; i++)
		ck_assert_int_eq(fault(start + i * PAGE, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(populated(start), 9);
	ck_assert_uint_eq(mapped(start + 8 * PAGE), R | X);
	/* Not what MPROTECT_EPT keeps the guest from writing to, */
	ck_assert_int_eq(memory_protect(&vm, 4 * MIB + 10 * PAGE, PAGE, R), 0);
	sequence(4 * MIB);
	ck_assert_int_eq(fault(4 * MIB + 7 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(populated(4 * MIB), 10);
	/* nor what lies behind a page that the host has, or refuses, */
	touch(6 * MIB + 9 * PAGE, true);
	sequence(6 * MIB);
	ck_assert_int_eq(fault(6 * MIB + 7 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(populated(6 * MIB), 10);
	ck_assert_uint_eq(mapped(6 * MIB + 9 * PAGE), 0);
	page(SKEW + MIB + 10 * PAGE)->device = true;
	sequence(SKEW + MIB);
	ck_assert_int_eq(fault(SKEW + MIB + 7 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(populated(SKEW + MIB), 10);
	/* nor beyond the range. */
	host_user_invalidate(hva(end - 3 * PAGE), 3 * PAGE, true);
	sequence(end - 10 * PAGE);
	ck_assert_int_eq(fault(end - 3 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_ne(mapped(end - PAGE), 0);
	ck_assert_uint_eq(mapped(end), 0);
	ck_assert(!page(end)->present);
}
END_TEST

START_TEST(what_comes_ahead_and_goes_meanwhile_is_not_mapped)
{
	sequence(2 * MIB);
	host_user.on_resolved = race;
	races = 2;
	ck_assert_int_eq(fault(2 * MIB + 7 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(host_user.retries, 2);
	for (uint64_t gpa = 2 * MIB; gpa < 3 * MIB; gpa += PAGE)
		expect(mapped(gpa) == 0 || page(gpa)->present);
}
END_TEST

/* --- 2 MiB ---------------------------------------------------------------- */

START_TEST(a_huge_page_is_one_leaf)
{
	host_user_mem_huge(hva(2 * MIB), 9);
	ck_assert_int_eq(fault(3 * MIB + 5, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_2M);
	ck_assert_uint_eq(vm.stage2.resident, 512);
	ck_assert_uint_eq(vm.stage2.tables, 3);
	for (uint64_t gpa = 2 * MIB; gpa < 4 * MIB; gpa += PAGE)
		expect(mapped(gpa) == (R | W | X));
	ck_assert_uint_ge(host_user.dirtied, 1);
	ck_assert_uint_eq(flushes, 0);
	/* 1 GiB of the host is as good. */
	for (uint64_t gpa = 4 * MIB; gpa < 6 * MIB; gpa += PAGE) {
		touch(gpa, false);
		page(gpa)->order = 18;
	}
	ck_assert_int_eq(fault(6 * MIB - 1, X), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(4 * MIB), STAGE2_2M);
	ck_assert_uint_eq(mapped(4 * MIB), R | X);
}
END_TEST

/* M13: no CPU may execute from a leaf that can be split under it. */
START_TEST(code_is_4k_where_large_pages_are_dangerous)
{
	struct stage2_mapping m;

	host_user.itlb_multihit = true;
	host_user_mem_huge(hva(2 * MIB), 9);
	ck_assert_int_eq(fault(2 * MIB, STAGE2_W), MEMORY_FAULT_MAPPED);
	ck_assert(stage2_lookup(&vm.stage2, 3 * MIB, &m));
	ck_assert_int_eq(m.level, STAGE2_2M);
	ck_assert_uint_eq(m.prot, STAGE2_R | STAGE2_W);

	/* The fetch splits it; only what is executed is executable. */
	ck_assert_int_eq(fault(3 * MIB, STAGE2_X), MEMORY_FAULT_MAPPED);
	ck_assert(stage2_lookup(&vm.stage2, 3 * MIB, &m));
	ck_assert_int_eq(m.level, STAGE2_4K);
	ck_assert_uint_eq(m.prot, STAGE2_RWX);
	ck_assert(stage2_lookup(&vm.stage2, 3 * MIB + 64 * 4096, &m));
	ck_assert_int_eq(m.level, STAGE2_4K);
	ck_assert_uint_eq(m.prot, STAGE2_R | STAGE2_W);
}
END_TEST

START_TEST(a_huge_page_is_4k_where_it_must_be)
{
	/* Too small, at another offset, or not all of it the guest's (M15). */
	host_user_mem_huge(hva(2 * MIB), 8);
	ck_assert_int_eq(fault(2 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_4K);
	host_user_mem_huge(hva(SKEW + 2 * MIB), 9);
	ck_assert_int_eq(fault(SKEW + 2 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(SKEW + 2 * MIB), STAGE2_4K);
	host_user_mem_huge(hva(LOW), 9);
	ck_assert_int_eq(fault(LOW, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(LOW), STAGE2_4K);
	ck_assert_int_eq(fault(MAIN, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(MAIN), STAGE2_4K);
	host_user_mem_huge(hva(8 * MIB), 9);
	ck_assert_int_eq(fault(8 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(8 * MIB), STAGE2_4K);
	ck_assert_int_eq(fault(TOUCH - PAGE, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(TOUCH), 0);
	/* The last whole 2 MiB of the range are one. */
	host_user_mem_huge(hva(6 * MIB), 9);
	ck_assert_int_eq(fault(6 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(6 * MIB), STAGE2_2M);
}
END_TEST

/* The host has it in one piece, the second stage not: the group is known. */
START_TEST(neighbours_in_a_huge_page_come_along)
{
	const uint64_t edge = SKEW + 2 * MIB - PAGE;

	/* In the host, 2 MiB end between the last page of a group and it. */
	host_user_mem_huge(hva(SKEW), 9);
	ck_assert_int_eq(fault(edge - 8 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(edge - 8 * PAGE), STAGE2_4K);
	ck_assert_uint_eq(vm.stage2.resident, 31);
	for (uint64_t gpa = edge - 31 * PAGE; gpa < edge; gpa += PAGE)
		ck_assert_uint_eq(mapped(gpa), R | W | X);
	ck_assert_uint_eq(mapped(edge), 0);
	/* Not beyond the range either (M15). */
	host_user_mem_huge(hva(LOW), 9);
	ck_assert_int_eq(fault(LOW_SIZE - 1, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.resident, 62);
	ck_assert_uint_eq(mapped(LOW_SIZE - 31 * PAGE), R | W | X);
	/* As writable and as dirty as the whole. */
	for (uint64_t gpa = 6 * MIB; gpa < 8 * MIB; gpa += PAGE) {
		touch(gpa, false);
		page(gpa)->order = 9;
	}
	ck_assert_int_eq(memory_protect(&vm, 6 * MIB, PAGE, R), 0);
	host_user.dirtied = 0;
	ck_assert_int_eq(fault(7 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(7 * MIB + 31 * PAGE), R | X);
	ck_assert_uint_eq(mapped(7 * MIB + 32 * PAGE), 0);
	ck_assert_uint_eq(host_user.dirtied, 0);
}
END_TEST

START_TEST(small_pages_give_way_to_a_huge_one)
{
	touch(2 * MIB, true);
	ck_assert_int_eq(fault(2 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_4K);
	host_user_mem_huge(hva(2 * MIB), 9);
	ck_assert_int_eq(fault(2 * MIB + 100 * PAGE, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_2M);
	ck_assert_uint_eq(vm.stage2.resident, 512);
	/* The old table was still alive when the CPUs were told. */
	ck_assert_uint_eq(flushes, 1);
	ck_assert_int_eq(host_user.alloc_live, live_at_flush - 1);
}
END_TEST

/* --- 1 GiB ---------------------------------------------------------------- */

/*
 * The creator's memory for this, 1 GiB aligned; nobody touches it. Ranges:
 *   WIDE	begins before 1 GiB, ends before 3 GiB: one whole GiB, at 1 GiB
 *   ODD	one whole GiB at 4 GiB, which the host has 2 MiB further on
 */
#define BIG_SIZE	(5 * GIB)
#define WIDE		(GIB - 2 * MIB)
#define WIDE_SIZE	(2 * MIB + GIB + GIB - 2 * MIB)
#define ODD		(4 * GIB)
#define ODD_SIZE	GIB
#define ODD_AT		(3 * GIB + 2 * MIB)
#define PAGES_1G	262144u

static void
big_setup(void)
{
	uint8_t *at;

	host_setup();
	host_user_mem_remove(host);
	free(host);
	at = mmap(NULL, BIG_SIZE + GIB, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	host = (uint8_t *)(((uintptr_t)at + GIB - 1) & ~(GIB - 1));
	munmap(at, (size_t)(host - at));
	munmap(host + BIG_SIZE, (size_t)(at + GIB - host));
	host_user_mem_add(host, BIG_SIZE, R | W);
	ranges[0] = (struct vm_mem_range){ .vmr_gpa = WIDE,
	    .vmr_va = (uintptr_t)host + WIDE, .vmr_size = WIDE_SIZE };
	ranges[1] = (struct vm_mem_range){ .vmr_gpa = ODD,
	    .vmr_va = (uintptr_t)host + ODD_AT, .vmr_size = ODD_SIZE };
	ck_assert_int_eq(memory_init(&vm, ranges, 2), 0);
	for (unsigned int i = 0; i < 5; i++)
		host_user_mem_huge(host + i * GIB, 18);
}

static void
big_teardown(void)
{
	memory_unwatch(&vm);
	memory_fini(&vm);
	ck_assert_int_eq(host_user.alloc_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	host_user_mem_remove(host);
	munmap(host, BIG_SIZE);
}

/* All pages of the GiB at gpa, some of them looked at, are mapped so. */
static void
gigabyte_is(uint64_t gpa, unsigned int prot)
{
	for (uint64_t at = 0; at < GIB; at += 509 * PAGE)
		expect(mapped(gpa + at) == prot);
	ck_assert_uint_eq(mapped(gpa + GIB - 1), prot);
}

START_TEST(a_gigabyte_is_one_leaf)
{
	ck_assert_int_eq(fault(GIB + 700 * MIB + 5, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | W | X);
	ck_assert_uint_eq(vm.stage2.resident, PAGES_1G);
	ck_assert_uint_eq(vm.stage2.tables, 2);
	ck_assert_uint_eq(memory_used(&vm), GIB + 2 * PAGE);
	ck_assert_uint_eq(host_user.dirtied, 1);
	ck_assert_uint_eq(flushes, 0);
	/* Neither what lies before it nor what lies behind it came along. */
	ck_assert_uint_eq(mapped(GIB - 1), 0);
	ck_assert_uint_eq(mapped(2 * GIB), 0);
}
END_TEST

START_TEST(a_gigabyte_is_as_writable_as_the_host_has_it)
{
	for (uint64_t gpa = GIB; gpa < 2 * GIB; gpa += PAGE)
		page(gpa)->pte_write = false;
	ck_assert_int_eq(fault(2 * GIB - 1, X), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | X);
	ck_assert_uint_eq(host_user.dirtied, 0);
	/* The host makes a page of its own of it: the whole leaf goes. */
	host_user_mem_huge(hva(GIB), 18);
	page(GIB + 3 * PAGE)->pte_write = false;
	ck_assert_int_eq(fault(GIB + 3 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | W | X);
	ck_assert_uint_eq(flushes, 1);
}
END_TEST

START_TEST(a_gigabyte_needs_a_cpu_that_takes_it)
{
	largest_leaf = STAGE2_2M;
	ck_assert_int_eq(fault(GIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_2M);
	ck_assert_uint_eq(vm.stage2.resident, 512);
	ck_assert_uint_eq(mapped(GIB + 2 * MIB), 0);
}
END_TEST

START_TEST(a_gigabyte_is_smaller_where_it_must_be)
{
	/* The range begins or ends within it (M15). */
	ck_assert_int_eq(fault(WIDE, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(WIDE), STAGE2_2M);
	ck_assert_int_eq(fault(WIDE + WIDE_SIZE - 1, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(WIDE + WIDE_SIZE - 1), STAGE2_2M);
	ck_assert_int_eq(fault(2 * GIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * GIB), STAGE2_2M);
	/* At another offset in the host. */
	ck_assert_int_eq(fault(ODD, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(ODD), STAGE2_2M);
	ck_assert_int_eq(fault(ODD + ODD_SIZE - 1, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(ODD + ODD_SIZE - 1), STAGE2_2M);
	ck_assert_uint_eq(vm.stage2.resident, 5 * 512);
	/* The host has less in one piece. */
	host_user_mem_huge(hva(GIB), 17);
	ck_assert_int_eq(fault(GIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_2M);
	host_user_mem_huge(hva(GIB + 512 * MIB), 8);
	ck_assert_int_eq(fault(GIB + 512 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB + 512 * MIB), STAGE2_4K);
}
END_TEST

START_TEST(invalidation_of_a_page_takes_the_gigabyte)
{
	const uint64_t gone = GIB + 300 * MIB;

	ck_assert_int_eq(fault(GIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(2 * GIB, W), MEMORY_FAULT_MAPPED);
	ck_assert(host_user_invalidate(hva(gone), PAGE, true));
	ck_assert_uint_eq(flushes, 1);
	gigabyte_is(GIB, 0);
	ck_assert_uint_eq(mapped(2 * GIB), R | W | X);
	ck_assert_uint_eq(vm.stage2.resident, 512);
	/* It comes back as the host has it now: in three sizes, */
	for (uint64_t gpa = GIB; gpa < 2 * GIB; gpa += 2 * MIB)
		host_user_mem_huge(hva(gpa), 9);
	for (uint64_t gpa = gone; gpa < gone + 2 * MIB; gpa += PAGE)
		*page(gpa) = (struct host_user_page){ .prot = R | W };
	ck_assert_int_eq(fault(gone, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(gone), STAGE2_4K);
	ck_assert_uint_eq(mapped(gone), R | X);
	ck_assert_uint_eq(mapped(gone + PAGE), 0);
	ck_assert_int_eq(fault(gone - PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(gone - PAGE), STAGE2_2M);
	ck_assert_uint_eq(vm.stage2.resident, 512 + 1 + 512);
	ck_assert_uint_eq(flushes, 1);
	/* and in one piece; the tables are there until the CPUs are told. */
	host_user_mem_huge(hva(GIB), 18);
	ck_assert_int_eq(fault(GIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | W | X);
	ck_assert_uint_eq(vm.stage2.resident, PAGES_1G + 512);
	ck_assert_uint_eq(flushes, 2);
	ck_assert_int_eq(host_user.alloc_live, live_at_flush - 2);
}
END_TEST

START_TEST(a_gigabyte_that_goes_meanwhile_is_asked_for_again)
{
	host_user.on_resolved = race;
	races = 3;
	ck_assert_int_eq(fault(GIB + 5 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(host_user.retries, 3);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | W | X);
}
END_TEST

START_TEST(a_protected_page_splits_a_gigabyte)
{
	const uint64_t odd = GIB + 600 * MIB;

	ck_assert_int_eq(fault(GIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(memory_protect(&vm, odd + MIB, PAGE, R), 0);
	/* The old right is gone before the call returns. */
	ck_assert_uint_eq(flushes, 1);
	gigabyte_is(GIB, 0);
	ck_assert_int_eq(fault(odd + MIB, W), MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(odd + MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(odd + MIB), STAGE2_4K);
	ck_assert_uint_eq(mapped(odd + MIB), R);
	ck_assert_uint_eq(mapped(odd + MIB + PAGE), R | W | X);
	/* Around it 2 MiB are alike. */
	ck_assert_int_eq(fault(odd - PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(odd - PAGE), STAGE2_2M);
	ck_assert_uint_eq(mapped(odd - PAGE), R | W | X);
	ck_assert_int_eq(fault(GIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_2M);
	/* All alike again: one leaf, beside chunks that were never needed. */
	ck_assert_int_eq(memory_protect(&vm, odd + MIB, PAGE, R | W | X), 0);
	ck_assert_int_eq(fault(odd + MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | W | X);
	ck_assert_uint_eq(vm.stage2.resident, PAGES_1G);
	ck_assert_uint_eq(vm.stage2.tables, 2);
}
END_TEST

START_TEST(a_gigabyte_has_one_protection)
{
	/* Every 2 MiB is uniform, and one of them, the last, is another. */
	ck_assert_int_eq(memory_protect(&vm, 2 * GIB - 2 * MIB, 2 * MIB, R), 0);
	ck_assert_int_eq(fault(GIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_2M);
	ck_assert_int_eq(fault(2 * GIB - 1, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * GIB - 1), STAGE2_2M);
	ck_assert_uint_eq(mapped(2 * GIB - 1), R);
	/* The last page alone, the first page alone. */
	ck_assert_int_eq(memory_protect(&vm, GIB, GIB, R | X), 0);
	ck_assert_int_eq(memory_protect(&vm, 2 * GIB - PAGE, PAGE, R), 0);
	ck_assert_int_eq(fault(GIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_2M);
	ck_assert_int_eq(memory_protect(&vm, 2 * GIB - PAGE, PAGE, R | X), 0);
	ck_assert_int_eq(memory_protect(&vm, GIB, PAGE, R), 0);
	ck_assert_int_eq(fault(GIB + 4 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB + 4 * MIB), STAGE2_2M);
	/* Whatever the right, as long as it is one; neighbours do not count. */
	ck_assert_int_eq(memory_protect(&vm, GIB - PAGE, GIB + PAGE, R | X), 0);
	ck_assert_int_eq(fault(GIB + 4 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(GIB), STAGE2_1G);
	gigabyte_is(GIB, R | X);
	ck_assert_int_eq(fault(GIB, W), MEMORY_FAULT_PROTECT);
}
END_TEST

/* --- What the host refuses ------------------------------------------------ */

START_TEST(the_hosts_own_rights_hold)
{
	page(MAIN)->prot = R;
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_PROTECT);
	ck_assert_uint_eq(mapped(MAIN), 0);
	ck_assert_int_eq(fault(MAIN, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN), R | X);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_PROTECT);
	ck_assert_uint_eq(mapped(MAIN), R | X);
	page(MAIN + MIB)->prot = 0;
	ck_assert_int_eq(fault(MAIN + MIB, R), MEMORY_FAULT_PROTECT);
	page(MAIN + 2 * MIB)->device = true;
	ck_assert_int_eq(fault(MAIN + 2 * MIB, R), MEMORY_FAULT_PROTECT);
	/* A device is no neighbour either. */
	page(MAIN + 2 * MIB)->present = true;
	ck_assert_int_eq(fault(MAIN + 2 * MIB + PAGE, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN + 2 * MIB), 0);
	ck_assert_uint_eq(vm.stage2.resident, 2);
}
END_TEST

/* --- Invalidation --------------------------------------------------------- */

START_TEST(invalidation_takes_the_pages)
{
	touch(MAIN, true);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(SKEW + 0x3000, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(SKEW + 0x4000, W), MEMORY_FAULT_MAPPED);
	flushes = 0;
	/* Host addresses become guest addresses of the right range. */
	ck_assert(host_user_invalidate(hva(SKEW + 0x3000), PAGE, true));
	ck_assert_uint_eq(mapped(SKEW + 0x3000), 0);
	ck_assert_uint_ne(mapped(SKEW + 0x4000), 0);
	ck_assert_uint_ne(mapped(MAIN), 0);
	ck_assert_uint_eq(flushes, 1);
	/* Nothing there: nobody is disturbed. */
	ck_assert(host_user_invalidate(hva(SKEW + 0x3000), PAGE, true));
	ck_assert_uint_eq(flushes, 1);
	/* All of the creator's memory: clipped to each range. */
	ck_assert(host_user_invalidate(host, HOST_SIZE, true));
	ck_assert_uint_eq(vm.stage2.resident, 0);
	ck_assert_uint_eq(vm.stage2.tables, 1);
	ck_assert_uint_eq(flushes, 3);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
}
END_TEST

START_TEST(invalidation_of_a_part_takes_the_leaf)
{
	host_user_mem_huge(hva(2 * MIB), 9);
	host_user_mem_huge(hva(4 * MIB), 9);
	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(4 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert(host_user_invalidate(hva(4 * MIB - PAGE), PAGE, true));
	ck_assert_uint_eq(mapped(2 * MIB), 0);
	ck_assert_uint_eq(mapped(4 * MIB), R | W | X);
	/* The rest comes back in small pages. */
	for (uint64_t gpa = 2 * MIB; gpa < 4 * MIB; gpa += PAGE)
		page(gpa)->order = 0;
	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_4K);
}
END_TEST

START_TEST(tables_outlive_the_flush)
{
	ck_assert_int_eq(fault(SKEW, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(vm.stage2.tables, 4);
	ck_assert(host_user_invalidate(hva(SKEW), PAGE, true));
	ck_assert_uint_eq(flushes, 1);
	ck_assert_int_eq(host_user.alloc_live, live_at_flush - 3);
	ck_assert_uint_eq(vm.stage2.tables, 1);
}
END_TEST

/* --- Which pages are used ------------------------------------------------- */

/* As a CPU's walk: A of the leaf (APM 2 5.4.2). */
static void
cpu_uses(uint64_t gpa)
{
	uint64_t *table = vm.stage2.root;

	for (unsigned int level = 3; ; level--) {
		uint64_t *e = &table[gpa >> (12 + 9 * level) & 511];

		expect(*e & 1);
		if (level == 0 || (*e & 0x80)) {
			*e |= 0x20;
			return;
		}
		table = host_pa_to_va(*e & 0x000ffffffffff000);
	}
}

START_TEST(the_host_learns_which_pages_are_used)
{
	fault(MAIN, W);
	fault(MAIN + 40 * PAGE, W);
	/* Mapping it is a use; asking alone changes nothing. */
	ck_assert(host_user_age(hva(MAIN), PAGE, false));
	ck_assert(host_user_age(hva(MAIN), PAGE, true));
	ck_assert_uint_eq(vm.tlb_gen, 1);
	ck_assert(!host_user_age(hva(MAIN), PAGE, false));
	ck_assert(!host_user_age(hva(MAIN), PAGE, true));
	ck_assert_uint_eq(vm.tlb_gen, 1);
	cpu_uses(MAIN);
	ck_assert(host_user_age(hva(MAIN), PAGE, false));
	ck_assert(host_user_age(hva(MAIN), PAGE, true));
	ck_assert(!host_user_age(hva(MAIN), PAGE, true));
	/* The others are asked for themselves; what is not there is unused. */
	ck_assert(!host_user_age(hva(MAIN + 64 * PAGE), 8 * PAGE, true));
	ck_assert(host_user_age(hva(MAIN), 64 * PAGE, true));
	ck_assert(!host_user_age(hva(MAIN), 64 * PAGE, true));
	/* All stays mapped, and nobody is disturbed. */
	ck_assert_uint_eq(mapped(MAIN), R | W | X);
	ck_assert_uint_eq(mapped(MAIN + 40 * PAGE), R | W | X);
	ck_assert_uint_eq(vm.tlb_gen, 3);
	ck_assert_uint_eq(flushes, 0);
	/* An invalidation is one as before. */
	host_user_invalidate(hva(MAIN), PAGE, true);
	ck_assert_uint_eq(flushes, 1);
}
END_TEST

START_TEST(a_large_leaf_is_used_as_a_whole)
{
	host_user_mem_huge(hva(2 * MIB), 9);
	fault(2 * MIB, R);
	ck_assert_uint_eq(vm.stage2.resident, 512);
	ck_assert(host_user_age(hva(3 * MIB), PAGE, true));
	ck_assert(!host_user_age(hva(2 * MIB), 2 * MIB, true));
	cpu_uses(2 * MIB + 7 * PAGE);
	ck_assert(host_user_age(hva(2 * MIB), PAGE, true));
	ck_assert(!host_user_age(hva(3 * MIB), PAGE, true));
	ck_assert_uint_eq(vm.stage2.resident, 512);
}
END_TEST

/* Then the host hears of the next use by a fault, and who may still use an old
 * translation is flushed before any memory goes. */
START_TEST(a_cpu_without_accessed_bits)
{
	int64_t tables;

	vm.stage2.accessed = false;
	for (int i = 0; i < 3; i++) {
		flushes = 0;
		fault(MAIN, W);
		fault(SKEW, W);
		tables = host_user.alloc_live;
		ck_assert(host_user_age(hva(MAIN), PAGE, false));
		ck_assert(host_user_age(hva(MAIN), PAGE, true));
		ck_assert(!host_user_age(hva(MAIN), PAGE, true));
		ck_assert_uint_eq(mapped(MAIN), 0);
		ck_assert_uint_eq(flushes, 0);
		ck_assert_int_eq(host_user.alloc_live, tables);
		switch (i) {
		case 0:		/* of what is not mapped any more */
			host_user_invalidate(hva(MAIN), PAGE, true);
			break;
		case 1:		/* of what never was */
			host_user_invalidate(hva(TOUCH), PAGE, true);
			break;
		case 2:
			ck_assert_int_eq(memory_protect(&vm, TOUCH, PAGE, R), 0);
		}
		ck_assert_uint_eq(flushes, 1);
		/* The table was there until then. */
		ck_assert_int_eq(live_at_flush, i < 2 ? tables : live_at_flush);
		host_user_invalidate(hva(TOUCH), PAGE, true);
		ck_assert_uint_eq(flushes, 1);
	}
}
END_TEST

/* The callback must not wait for mem_lock. */
START_TEST(a_page_that_is_being_mapped_is_used)
{
	fault(MAIN, W);
	ck_assert(host_user_age(hva(MAIN), PAGE, true));
	host_mutex_lock(&vm.mem_lock);
	ck_assert(host_user_age(hva(MAIN), PAGE, true));
	host_mutex_unlock(&vm.mem_lock);
	ck_assert(!host_user_age(hva(MAIN), PAGE, true));
}
END_TEST

/* --- Invalidations that must not wait ------------------------------------- */

START_TEST(invalidation_that_must_not_wait)
{
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	host_mutex_lock(&vm.mem_lock);
	ck_assert(!host_user_invalidate(hva(MAIN), PAGE, false));
	host_mutex_unlock(&vm.mem_lock);
	ck_assert_uint_eq(mapped(MAIN), R | W | X);
	ck_assert_uint_eq(flushes, 0);
	ck_assert(host_user_invalidate(hva(MAIN), PAGE, false));
	ck_assert_uint_eq(mapped(MAIN), 0);
	ck_assert_uint_eq(flushes, 1);
}
END_TEST

START_TEST(a_page_that_goes_meanwhile_is_asked_for_again)
{
	host_user.on_resolved = race;
	for (unsigned int n = 0; n < 5; n++) {
		uint64_t gpa = MAIN + n * MIB;

		races = n;
		host_user.resolves = host_user.retries = 0;
		ck_assert_int_eq(fault(gpa, W), MEMORY_FAULT_MAPPED);
		ck_assert_uint_eq(races, 0);
		ck_assert_uint_eq(host_user.retries, n);
		/* One more answer when tables had to be allocated. */
		ck_assert_uint_le(host_user.resolves, n + 2);
		ck_assert_uint_eq(mapped(gpa), R | W | X);
		ck_assert(page(gpa)->present);
	}
}
END_TEST

static void
race_elsewhere(uint64_t at)
{
	(void)at;
	host_user_invalidate(hva(SKEW), PAGE, true);
}

START_TEST(other_ranges_do_not_disturb)
{
	host_user.on_resolved = race_elsewhere;
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(host_user.retries, 0);
}
END_TEST

static void
race_and_signal(uint64_t at)
{
	race(at);
	if (races == 0)
		host_user.thread_flags |= HOST_USER_SIGNAL;
}

START_TEST(a_signal_ends_the_retries)
{
	host_user.on_resolved = race_and_signal;
	races = 4;
	ck_assert_int_eq(fault(MAIN, W), -EINTR);
	ck_assert_uint_eq(mapped(MAIN), 0);
	ck_assert_uint_eq(host_user.retries, 4);
	/* A fault that needs no second try is finished all the same. */
	host_user.on_resolved = NULL;
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_MAPPED);
}
END_TEST

static void
protect_meanwhile(uint64_t at)
{
	(void)at;
	host_user.on_resolved = NULL;
	expect(memory_protect(&vm, MAIN, PAGE, R) == 0);
}

static void
map_meanwhile(uint64_t at)
{
	(void)at;
	host_user.on_resolved = NULL;
	expect(fault(MAIN, W) == MEMORY_FAULT_MAPPED);
}

START_TEST(others_come_first)
{
	/* Another vCPU brings the page in. */
	host_user.on_resolved = map_meanwhile;
	ck_assert_int_eq(fault(MAIN, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN), R | W | X);
	ck_assert(host_user_invalidate(hva(MAIN), PAGE, true));
	/* Another thread protects it. */
	host_user.on_resolved = protect_meanwhile;
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_PROTECT);
	ck_assert_uint_eq(mapped(MAIN), 0);
}
END_TEST

/* --- Protection ----------------------------------------------------------- */

START_TEST(protections_hold)
{
	static const unsigned int prots[] = { R, R | W, R | X, X, R | W | X };

	for (size_t i = 0; i < sizeof(prots) / sizeof(prots[0]); i++) {
		unsigned int have = prots[i] | R;

		ck_assert_int_eq(fault(MAIN, R), MEMORY_FAULT_MAPPED);
		flushes = 0;
		ck_assert_int_eq(memory_protect(&vm, MAIN, PAGE, prots[i]), 0);
		/* The old right is gone before the call returns. */
		ck_assert_uint_eq(flushes, 1);
		ck_assert_uint_eq(mapped(MAIN) & ~have, 0);
		for (unsigned int access = 1; access < 8; access++)
			ck_assert_int_eq(fault(MAIN, access), access & ~have ?
			    MEMORY_FAULT_PROTECT : MEMORY_FAULT_MAPPED);
		ck_assert_uint_eq(mapped(MAIN) & ~have, 0);
		/* Its neighbour is free. */
		ck_assert_int_eq(fault(MAIN + PAGE, R | W | X),
		    MEMORY_FAULT_MAPPED);
		ck_assert_uint_eq(mapped(MAIN + PAGE), R | W | X);
	}
}
END_TEST

START_TEST(a_refused_access_does_not_populate)
{
	ck_assert_int_eq(memory_protect(&vm, MAIN, PAGE, R), 0);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_PROTECT);
	ck_assert_uint_eq(host_user.resolves, 0);
	ck_assert(!page(MAIN)->present);
}
END_TEST

START_TEST(one_protected_page_splits_a_huge_one)
{
	host_user_mem_huge(hva(2 * MIB), 9);
	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_2M);
	ck_assert_int_eq(memory_protect(&vm, 3 * MIB, PAGE, R), 0);
	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(3 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_4K);
	ck_assert_uint_eq(mapped(2 * MIB), R | W | X);
	ck_assert_uint_eq(mapped(3 * MIB), R);
	ck_assert_uint_eq(mapped(3 * MIB + PAGE), R | W | X);
	ck_assert_int_eq(fault(3 * MIB, W), MEMORY_FAULT_PROTECT);
	/* All alike again, whatever the right: one leaf. */
	ck_assert_int_eq(memory_protect(&vm, 2 * MIB, 2 * MIB, R | X), 0);
	ck_assert_int_eq(fault(2 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(level(2 * MIB), STAGE2_2M);
	ck_assert_uint_eq(mapped(3 * MIB), R | X);
	ck_assert_int_eq(memory_protect(&vm, 2 * MIB, 2 * MIB, R | W | X), 0);
	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(4 * MIB - 1), R | W | X);
}
END_TEST

START_TEST(protection_across_ranges_and_holes)
{
	ck_assert_int_eq(memory_protect(&vm, LOW_SIZE - PAGE, 2 * MIB, R), 0);
	ck_assert_int_eq(fault(LOW_SIZE - 2 * PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(fault(LOW_SIZE - PAGE, W), MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(LOW_SIZE, W), MEMORY_FAULT_MMIO);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(LOW_SIZE - 2 * PAGE + 2 * MIB, W),
	    MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(LOW_SIZE - PAGE + 2 * MIB, W),
	    MEMORY_FAULT_MAPPED);
	/* The end of memory and beyond, without an overflow. */
	ck_assert_int_eq(memory_protect(&vm, SKEW + SKEW_SIZE - PAGE,
	    UINT64_MAX, R), 0);
	ck_assert_int_eq(fault(SKEW + SKEW_SIZE - 1, W), MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(SKEW + SKEW_SIZE - PAGE - 1, W),
	    MEMORY_FAULT_MAPPED);
	ck_assert_int_eq(memory_protect(&vm, 128 * GIB - PAGE, PAGE, R), 0);
	ck_assert_int_eq(memory_protect(&vm, UINT64_MAX - PAGE + 1, PAGE, R), 0);
	ck_assert_int_eq(memory_protect(&vm, MAIN, 0, R), 0);
}
END_TEST

/* --- The driver's own accesses -------------------------------------------- */

START_TEST(reads_and_writes)
{
	uint8_t out[3 * PAGE], in[3 * PAGE];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	ck_assert_int_eq(memory_write(&vcpu, MAIN + 100, out, sizeof(out)), 0);
	ck_assert_int_eq(memcmp(hva(MAIN + 100), out, sizeof(out)), 0);
	ck_assert_int_eq(memory_read(&vcpu, MAIN + 100, in, sizeof(in)), 0);
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
	/* Two ranges that touch are one piece of memory to the guest. */
	ck_assert_int_eq(memory_write(&vcpu, TOUCH - 3, "abcdef", 6), 0);
	ck_assert_int_eq(memcmp(hva(TOUCH - 3), "abc", 3), 0);
	ck_assert_int_eq(memcmp(hva(TOUCH), "def", 3), 0);
	ck_assert_int_eq(memory_read(&vcpu, TOUCH - 3, in, 6), 0);
	ck_assert_int_eq(memcmp(in, "abcdef", 6), 0);
	ck_assert_int_eq(memory_read(&vcpu, LOW_SIZE, in, 0), 0);
}
END_TEST

START_TEST(accesses_stay_in_memory)
{
	static const uint64_t at[] = {
		LOW_SIZE - 4, LOW_SIZE, MAIN - 4, TOUCH + TOUCH_SIZE - 7,
		SKEW - 4, SKEW + SKEW_SIZE - 7, UINT64_MAX, UINT64_MAX - 6,
		UINT64_MAX - 7, 1ULL << 48,
	};
	uint64_t word = 0x5555555555555555;
	static uint8_t before[HOST_SIZE];

	memset(host, 0xaa, HOST_SIZE);
	memset(before, 0xaa, HOST_SIZE);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		ck_assert_int_eq(memory_write(&vcpu, at[i], &word, 8), -EFAULT);
		ck_assert_int_eq(memory_read(&vcpu, at[i], &word, 8), -EFAULT);
		ck_assert_int_eq(memory_cmpxchg(&vcpu, at[i] & ~7ULL, 8, &word, 1),
		    memory_range(&vm, at[i] & ~7ULL) != NULL ? -EAGAIN : -EFAULT);
		word = 0x5555555555555555;
	}
	/* Not even the part that was memory has been written. */
	ck_assert_int_eq(memcmp(host, before, HOST_SIZE), 0);
	ck_assert_int_eq(memory_write(&vcpu, LOW_SIZE - 8, &word, 8), 0);
	ck_assert_int_eq(memory_write(&vcpu, SKEW + SKEW_SIZE - 8, &word, 8), 0);
}
END_TEST

START_TEST(accesses_honour_protections)
{
	uint64_t word = 1, old = 0;

	ck_assert_int_eq(memory_protect(&vm, MAIN + PAGE, PAGE, R | X), 0);
	ck_assert_int_eq(memory_read(&vcpu, MAIN + PAGE, &word, 8), 0);
	ck_assert_int_eq(memory_write(&vcpu, MAIN + PAGE, &word, 8), -EFAULT);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + PAGE, 8, &old, 1), -EFAULT);
	/* Across the edge: nothing happens on this side of it either. */
	word = UINT64_MAX;
	ck_assert_int_eq(memory_write(&vcpu, MAIN + PAGE - 4, &word, 8), -EFAULT);
	ck_assert_uint_eq(hva(MAIN + PAGE - 4)[0], 0);
	ck_assert_int_eq(memory_write(&vcpu, MAIN + 2 * PAGE - 4, &word, 8), -EFAULT);
	ck_assert_uint_eq(hva(MAIN + 2 * PAGE)[0], 0);
	ck_assert_int_eq(memory_write(&vcpu, MAIN + 2 * PAGE, &word, 8), 0);
}
END_TEST

/* For who reads and writes single words: where they are, and whether he may. */
/* On a CPU that has it, on an old one, and on AMD's, where reading comes along. */
START_TEST(execute_alone)
{
	const unsigned int rights = _i == 0 ? X : R | X;
	uint8_t buf[8];
	uint64_t addr, old = 0;

	teardown();
	vmm_backend_found = _i == 2 ? &fake_backend : &ept_backend;
	execute_only = _i == 0;
	setup();
	ck_assert_int_eq(memory_protect(&vm, MAIN, 2 * PAGE, X), 0);
	ck_assert_int_eq(fault(MAIN, W), MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(MAIN, R), rights & R ? MEMORY_FAULT_MAPPED :
	    MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(MAIN, X), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(MAIN), rights);
	/* The driver's own accesses to data; the last byte is not protected. */
	ck_assert_int_eq(memory_read(&vcpu, MAIN, buf, 8), rights & R ? 0 : -EFAULT);
	ck_assert_int_eq(memory_read(&vcpu, MAIN + 2 * PAGE - 7, buf, 8),
	    rights & R ? 0 : -EFAULT);
	ck_assert_int_eq(memory_read(&vcpu, MAIN + 2 * PAGE, buf, 8), 0);
	ck_assert_int_eq(memory_write(&vcpu, MAIN, buf, 8), -EFAULT);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN, 8, &old, 0), -EFAULT);
	ck_assert_int_eq(memory_place(&vm, MAIN, R, &addr),
	    rights & R ? 0 : -EFAULT);
	ck_assert_int_eq(memory_place(&vm, MAIN, 0, &addr), 0);
	/* All of a large page. */
	host_user_mem_huge(hva(4 * MIB), 9);
	ck_assert_int_eq(memory_protect(&vm, 4 * MIB, 2 * MIB, X), 0);
	ck_assert_int_eq(fault(5 * MIB, X), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(level(5 * MIB), STAGE2_2M);
	ck_assert_uint_eq(mapped(5 * MIB), rights);
	/* Reading comes back. */
	ck_assert_int_eq(memory_protect(&vm, 4 * MIB, 2 * MIB, R | X), 0);
	ck_assert_int_eq(fault(5 * MIB, R), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(mapped(5 * MIB), R | X);
	/* Where a large leaf must not be executed, code comes page by page. */
	host_user.itlb_multihit = true;
	ck_assert_int_eq(memory_protect(&vm, 4 * MIB, 2 * MIB, X), 0);
	ck_assert_int_eq(fault(5 * MIB, X), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(level(5 * MIB), STAGE2_4K);
	ck_assert_uint_eq(mapped(5 * MIB), rights);
}
END_TEST

START_TEST(places)
{
	uint64_t addr = 0;

	ck_assert_int_eq(memory_place(&vm, TOUCH + 8, R | W, &addr), 0);
	ck_assert_uint_eq(addr, (uint64_t)(uintptr_t)hva(TOUCH + 8));
	ck_assert_int_eq(memory_place(&vm, SKEW + SKEW_SIZE - 8, R, &addr), 0);
	ck_assert_uint_eq(addr, (uint64_t)(uintptr_t)hva(SKEW + SKEW_SIZE - 8));
	ck_assert_int_eq(memory_place(&vm, SKEW + SKEW_SIZE, R, &addr), -EFAULT);
	ck_assert_int_eq(memory_place(&vm, LOW_SIZE, R, &addr), -EFAULT);
	ck_assert_int_eq(memory_place(&vm, UINT64_MAX, R, &addr), -EFAULT);

	ck_assert_int_eq(memory_protect(&vm, MAIN + PAGE, PAGE, X), 0);
	ck_assert_int_eq(memory_place(&vm, MAIN + PAGE, R, &addr), 0);
	ck_assert_int_eq(memory_place(&vm, MAIN + PAGE, W, &addr), -EFAULT);
	ck_assert_int_eq(memory_place(&vm, MAIN + 2 * PAGE, W, &addr), 0);
}
END_TEST

START_TEST(exchanges)
{
	uint64_t old = 5;

	*(uint64_t *)hva(MAIN + 8) = 0x1122334455667788;
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + 8, 8, &old, 6), -EAGAIN);
	ck_assert_uint_eq(old, 0x1122334455667788);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + 8, 8, &old, 6), 0);
	ck_assert_uint_eq(*(uint64_t *)hva(MAIN + 8), 6);
	old = 0;
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + 12, 4, &old, 9), 0);
	ck_assert_uint_eq(*(uint64_t *)hva(MAIN + 8), 9ULL << 32 | 6);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + 9, 8, &old, 0), -EFAULT);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + 8, 2, &old, 0), -EFAULT);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, LOW_SIZE, 8, &old, 0), -EFAULT);
}
END_TEST

/* A copy that fails although the page is there, which it is for most accesses. */
START_TEST(the_hosts_refusal_is_reported)
{
	uint64_t word = 0;

	host_user.fail_copies = true;
	ck_assert_int_eq(memory_read(&vcpu, MAIN, &word, 8), -EFAULT);
	ck_assert_int_eq(memory_write(&vcpu, TOUCH - 4, &word, 8), -EFAULT);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN, 8, &word, 1), -EFAULT);
	host_user.fail_copies = false;
	/* Once is nothing: the page had gone just then. */
	host_user.fail_copy = 1;
	ck_assert_int_eq(memory_read(&vcpu, MAIN, &word, 8), 0);
	host_user.fail_copy = 2;
	ck_assert_int_eq(memory_write(&vcpu, TOUCH - 4, &word, 8), 0);
	host_user.fail_copy = 1;
	word = 1;
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN, 8, &word, 1), -EAGAIN);
	/* What the creator may not touch is not there for the guest. */
	page(MAIN)->present = false;
	page(MAIN)->prot = R;
	ck_assert_int_eq(memory_write(&vcpu, MAIN, &word, 8), -EFAULT);
	ck_assert_int_eq(memory_read(&vcpu, MAIN, &word, 8), 0);
}
END_TEST

/* Outside a stay, each access brings in what it wants, and never by itself. */
START_TEST(accesses_bring_pages_in)
{
	uint64_t word = 1, old = 0;

	host_user.absent = true;
	ck_assert_int_eq(memory_write(&vcpu, MAIN + PAGE - 4, &word, 8), 0);
	ck_assert_int_eq(memory_read(&vcpu, MAIN + PAGE - 4, &word, 8), 0);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN + 2 * PAGE, 8, &old, 1), 0);
	ck_assert_uint_gt(host_user.resolves, 4);
	/* During a stay they do not. */
	vcpu.loaded = true;
	host_preempt_disable();
	ck_assert_int_eq(memory_write(&vcpu, MAIN, &word, 8), -EFAULT);
	ck_assert_int_eq(memory_read(&vcpu, MAIN, &word, 8), -EFAULT);
	ck_assert_int_eq(memory_cmpxchg(&vcpu, MAIN, 8, &old, 1), -EFAULT);
	host_preempt_enable();
	vcpu.loaded = false;
}
END_TEST

/* --- Failing allocations, one by one -------------------------------------- */

START_TEST(creation_without_memory)
{
	unsigned int n;

	host_setup();
	for (n = 1; ; n++) {
		int err;

		memset(&vm, 0, sizeof(vm));
		host_user_fail_alloc(n);
		err = memory_init(&vm, ranges, 4);
		if (!host_user_alloc_failed())
			break;
		ck_assert_int_eq(err, -ENOMEM);
		memory_unwatch(&vm);
	memory_fini(&vm);
		ck_assert_int_eq(host_user.alloc_live, 0);
		ck_assert_int_eq(host_user.watches_live, 0);
	}
	/* The root, the CPU set and four watches. */
	ck_assert_uint_eq(n, 7);
	teardown();
}
END_TEST

START_TEST(a_watch_that_is_refused)
{
	host_setup();
	ranges[2].vmr_va = 0;
	ck_assert_int_eq(memory_init(&vm, ranges, 4), -EINVAL);
	teardown();
}
END_TEST

START_TEST(faults_without_memory)
{
	const int64_t live = host_user.alloc_live;
	unsigned int n;
	int r;

	for (n = 1; ; n++) {
		host_user_fail_alloc(n);
		r = fault(MAIN, W);
		if (!host_user_alloc_failed())
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_uint_eq(mapped(MAIN), 0);
		ck_assert_uint_eq(vm.stage2.tables, 1);
		ck_assert_int_eq(host_user.alloc_live, live);
	}
	ck_assert_uint_ge(n, 4);
	ck_assert_int_eq(r, MEMORY_FAULT_MAPPED);
	/* Three tables, and nothing that was not needed. */
	ck_assert_int_eq(host_user.alloc_live, live + 3);
	/* With the tables in place a fault allocates nothing at all. */
	host_user_fail_alloc(1);
	ck_assert_int_eq(fault(MAIN + PAGE, W), MEMORY_FAULT_MAPPED);
	ck_assert(!host_user_alloc_failed());
	host_user_fail_alloc(0);
}
END_TEST

START_TEST(protection_without_memory)
{
	unsigned int n;
	int err;

	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	for (n = 1; ; n++) {
		const int64_t live = host_user.alloc_live;

		host_user_fail_alloc(n);
		err = memory_protect(&vm, MAIN + MIB / 2, 5 * MIB, R);
		if (!host_user_alloc_failed())
			break;
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_int_eq(host_user.alloc_live, live);
		ck_assert_uint_eq(flushes, 0);
		ck_assert_uint_eq(mapped(2 * MIB), R | W | X);
		ck_assert_int_eq(fault(MAIN + MIB / 2, W), MEMORY_FAULT_MAPPED);
		ck_assert_int_eq(fault(5 * MIB, W), MEMORY_FAULT_MAPPED);
	}
	/* A list, the top, four chunks. */
	ck_assert_uint_eq(n, 7);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(fault(MAIN + MIB / 2, W), MEMORY_FAULT_PROTECT);
	ck_assert_int_eq(fault(5 * MIB, W), MEMORY_FAULT_PROTECT);
	/* The second time only the list is needed. */
	host_user_fail_alloc(2);
	ck_assert_int_eq(memory_protect(&vm, MAIN + MIB / 2, 5 * MIB, R | W), 0);
	ck_assert(!host_user_alloc_failed());
	host_user_fail_alloc(0);
	ck_assert_int_eq(fault(5 * MIB, W), MEMORY_FAULT_MAPPED);
}
END_TEST

/* --- All at once ---------------------------------------------------------- */

static uint32_t stop;

static void *
storm_faults(void *arg)
{
	struct vcpu v = { .vm = &vm };
	uint64_t seed = (uintptr_t)arg;

	while (!sync_load(&stop)) {
		uint64_t gpa;
		int r;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		gpa = 2 * MIB + (seed >> 33) % (4 * MIB);
		r = memory_fault(&v, gpa, seed >> 20 & 1 ? W : R);
		expect(r == MEMORY_FAULT_MAPPED || r == MEMORY_FAULT_PROTECT);
	}
	return NULL;
}

static void *
storm_invalidations(void *arg)
{
	uint64_t seed = 77;

	(void)arg;
	while (!sync_load(&stop)) {
		uint64_t gpa;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		gpa = 2 * MIB + (seed >> 33) % (4 * MIB - 64 * KIB);
		host_user_invalidate((void *)((uintptr_t)hva(gpa) & ~(PAGE - 1)),
		    (1 + (seed >> 20) % 16) * PAGE, seed >> 30 & 1);
	}
	return NULL;
}

/*
 * M3, M4, M8: whatever the others do, with mem_lock held nothing is mapped
 * that the host has taken back, nor with a right that the host or
 * MPROTECT_EPT has refused.
 */
START_TEST(a_storm)
{
	pthread_t t[3];
	uint64_t seen = 0;

	/* Lots of pages at once otherwise hide the small races. */
	stop = 0;
	ck_assert_int_eq(pthread_create(&t[0], NULL, storm_faults, (void *)1), 0);
	ck_assert_int_eq(pthread_create(&t[1], NULL, storm_faults, (void *)2), 0);
	ck_assert_int_eq(pthread_create(&t[2], NULL, storm_invalidations, NULL), 0);
	for (unsigned int round = 0; round < 150 || seen < 20000; round++) {
		const uint64_t where = 2 * MIB + round % 64 * 64 * KIB;
		const bool locked = round % 2;

		expect(memory_protect(&vm, where, 8 * PAGE,
		    locked ? R : R | W | X) == 0);
		host_mutex_lock(&vm.mem_lock);
		for (uint64_t gpa = 2 * MIB; gpa < 6 * MIB; gpa += PAGE) {
			unsigned int prot = mapped(gpa);

			if (prot == 0)
				continue;
			seen++;
			expect(page(gpa)->present);
			expect(!(prot & W) || page(gpa)->pte_write);
			if (locked && gpa - where < 8 * PAGE)
				expect(!(prot & W));
		}
		host_mutex_unlock(&vm.mem_lock);
	}
	sync_store(&stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_gt(host_user.invalidations, 0);
}
END_TEST

/* INFO may ask at any time. */
START_TEST(used_memory_counts_tables)
{
	host_user_mem_huge(hva(2 * MIB), 9);
	ck_assert_int_eq(fault(2 * MIB, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(memory_used(&vm), (512 + 3) * PAGE);
	ck_assert_int_eq(fault(SKEW, W), MEMORY_FAULT_MAPPED);
	ck_assert_uint_eq(memory_used(&vm), (513 + 5) * PAGE);
	ck_assert(host_user_invalidate(host, HOST_SIZE, true));
	ck_assert_uint_eq(memory_used(&vm), PAGE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = tcase_create("with a VM"), *bare = tcase_create("without");
	TCase *big = tcase_create("with a VM of gigabytes");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, ranges_end_where_they_end);
	tcase_add_test(tc, no_memory_is_mmio);
	tcase_add_test(tc, a_read_maps_what_the_host_has);
	tcase_add_test(tc, a_write_breaks_sharing);
	tcase_add_test(tc, present_neighbours_come_along);
	tcase_add_test(tc, dirty_pages_are_not_told_again);
	tcase_add_test(tc, neighbours_stay_within_the_range);
	tcase_add_test(tc, neighbours_keep_what_they_have);
	tcase_add_test(tc, new_memory_comes_ahead_of_a_sequence);
	tcase_add_test(tc, only_what_may_be_written_comes_ahead);
	tcase_add_test(tc, what_comes_ahead_and_goes_meanwhile_is_not_mapped);
	tcase_add_test(tc, a_huge_page_is_one_leaf);
	tcase_add_test(tc, code_is_4k_where_large_pages_are_dangerous);
	tcase_add_test(tc, a_huge_page_is_4k_where_it_must_be);
	tcase_add_test(tc, neighbours_in_a_huge_page_come_along);
	tcase_add_test(tc, small_pages_give_way_to_a_huge_one);
	tcase_add_test(tc, the_hosts_own_rights_hold);
	tcase_add_test(tc, invalidation_takes_the_pages);
	tcase_add_test(tc, invalidation_of_a_part_takes_the_leaf);
	tcase_add_test(tc, tables_outlive_the_flush);
	tcase_add_test(tc, the_host_learns_which_pages_are_used);
	tcase_add_test(tc, a_large_leaf_is_used_as_a_whole);
	tcase_add_test(tc, a_cpu_without_accessed_bits);
	tcase_add_test(tc, a_page_that_is_being_mapped_is_used);
	tcase_add_test(tc, invalidation_that_must_not_wait);
	tcase_add_test(tc, a_page_that_goes_meanwhile_is_asked_for_again);
	tcase_add_test(tc, other_ranges_do_not_disturb);
	tcase_add_test(tc, a_signal_ends_the_retries);
	tcase_add_test(tc, others_come_first);
	tcase_add_test(tc, protections_hold);
	tcase_add_test(tc, a_refused_access_does_not_populate);
	tcase_add_test(tc, one_protected_page_splits_a_huge_one);
	tcase_add_test(tc, protection_across_ranges_and_holes);
	tcase_add_test(tc, reads_and_writes);
	tcase_add_test(tc, accesses_stay_in_memory);
	tcase_add_test(tc, accesses_honour_protections);
	tcase_add_loop_test(tc, execute_alone, 0, 3);
	tcase_add_test(tc, places);
	tcase_add_test(tc, exchanges);
	tcase_add_test(tc, the_hosts_refusal_is_reported);
	tcase_add_test(tc, accesses_bring_pages_in);
	tcase_add_test(tc, faults_without_memory);
	tcase_add_test(tc, protection_without_memory);
	tcase_add_test(tc, a_storm);
	tcase_add_test(tc, used_memory_counts_tables);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(big, big_setup, big_teardown);
	tcase_set_timeout(big, 60);
	tcase_add_test(big, a_gigabyte_is_one_leaf);
	tcase_add_test(big, a_gigabyte_is_as_writable_as_the_host_has_it);
	tcase_add_test(big, a_gigabyte_needs_a_cpu_that_takes_it);
	tcase_add_test(big, a_gigabyte_is_smaller_where_it_must_be);
	tcase_add_test(big, invalidation_of_a_page_takes_the_gigabyte);
	tcase_add_test(big, a_gigabyte_that_goes_meanwhile_is_asked_for_again);
	tcase_add_test(big, a_protected_page_splits_a_gigabyte);
	tcase_add_test(big, a_gigabyte_has_one_protection);
	suite_add_tcase(s, big);
	tcase_add_test(bare, creation_without_memory);
	tcase_add_test(bare, a_watch_that_is_refused);
	suite_add_tcase(s, bare);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
