/* SPDX-License-Identifier: ISC */
/* t_mem.c - guest memory: protections, MMIO, and the host's own doings. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"

#define RW	(PROT_READ | PROT_WRITE)
#define RX	(PROT_READ | PROT_EXEC)

static void mmio_step(struct vcpu *v, uint64_t gpa, unsigned int insn_len,
    uint8_t opcode);

/* --- MPROTECT_EPT ------------------------------------------------------------ */

/* D20: a write to read-only memory is reported, not let through. */
TEST(protect_ro, "run/protect/read_only")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const uint64_t at = LAYOUT_HIGH + 0x18;
	struct vcpu_reg_state s;

	vm_call_ok(v, g_long_store, at, 1, 0, 0);
	vm_protect(v, LAYOUT_HIGH, PAGE, PROT_READ);
	CHECK_EQ(vm_call_ok(v, g_long_load, at, 0, 0, 0), 1);
	vm_call_start(v, g_long_store, at, 2, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	vm_regs(v, &s);
	CHECK_EQ(s.vrs_gprs[VCPU_REGS_RIP], g_long_store_insn);
	CHECK_EQ(GUEST(vm, uint64_t, at), 1);
	/* Nothing done: the same again. */
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	/* The neighbours are as before. */
	vm_protect(v, LAYOUT_HIGH, PAGE, RW);
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, at), 2);
	vm_protect(v, LAYOUT_HIGH, PAGE, PROT_READ);
	vm_call_ok(v, g_long_store, LAYOUT_HIGH - 8, 3, 0, 0);
	vm_call_ok(v, g_long_store, LAYOUT_HIGH + PAGE, 4, 0, 0);
}

TEST(protect_ro_untouched, "run/protect/read_only_before_first_use")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const uint64_t at = 5 * MB;

	vm_protect(v, 4 * MB, 2 * MB, PROT_READ);
	CHECK_EQ(vm_call_ok(v, g_long_load, at, 0, 0, 0), 0);
	vm_call_start(v, g_long_store, at, 2, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	vm_protect(v, 4 * MB, 2 * MB, RW);
	vm_finish(v);
	vm_expect_no_fault(v);
}

/* A read-modify-write counts as the write that it is. */
TEST(protect_rmw, "run/protect/read_modify_write")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_protect(v, LAYOUT_HIGH, PAGE, PROT_READ);
	vm_call_start(v, g_long_rmw, LAYOUT_HIGH, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, LAYOUT_HIGH);
	vm_protect(v, LAYOUT_HIGH, PAGE, RW);
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 1);
}

TEST(protect_nx, "run/protect/no_exec")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	GUEST(vm, uint8_t, LAYOUT_HIGH + 16) = 0xc3;	/* RET */
	vm_call_ok(v, g_long_exec, LAYOUT_HIGH + 16, 0, 0, 0);
	vm_protect(v, LAYOUT_HIGH, PAGE, RW);
	vm_call_start(v, g_long_exec, LAYOUT_HIGH + 16, 0, 0, 0);
	vm_run_user(v);
	CHECK(is_exit_fault(v->reason));
	CHECK_EQ(v->exit->vee.vee_fault_type, VEE_FAULT_PROTECT);
	CHECK_EQ(vm_exit_gpa(v->exit) & ~(PAGE - 1), LAYOUT_HIGH);
	CHECK_EQ(v->exit->vrs.vrs_gprs[VCPU_REGS_RIP], LAYOUT_HIGH + 16);
	vm_protect(v, LAYOUT_HIGH, PAGE, RX);
	vm_finish(v);
	vm_call_start(v, g_long_store, LAYOUT_HIGH, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, LAYOUT_HIGH);
}

/*
 * Intel's CPUs can execute what they may not read, AMD's cannot; and neither can
 * the driver read it for the guest, but for the instruction itself.
 */
TEST(protect_exec_only, "run/protect/execute_only")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const uint64_t at = LAYOUT_HIGH + 16;

	/* MOV (%rsi), %rax; RET */
	memcpy(vm->mem + at, "\x48\x8b\x06\xc3", 4);
	vm_protect(v, LAYOUT_HIGH, PAGE, PROT_EXEC);
	vm_call_start(v, g_long_exec, at, 0xfee00030, 0, 0);
	mmio_step(v, 0xfee00030, 3, 0x8b);
	v->exit->vrs.vrs_gprs[VCPU_REGS_RAX] = 0x1122334455667788;
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x1122334455667788);
	vm_call_start(v, g_long_store, at, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	vm_reset(v, LONG);
	if (host_is_amd()) {
		CHECK_EQ((uint8_t)vm_call_ok(v, g_long_load, at, 0, 0, 0), 0x48);
		return;
	}
	vm_call_start(v, g_long_load, at, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	vm_protect(v, LAYOUT_HIGH, PAGE, RX);
	vm_finish(v);
	vm_expect_no_fault(v);
	CHECK_EQ((uint8_t)v->mb->ret[0], 0x48);
	vm_protect(v, LAYOUT_HIGH, PAGE, PROT_EXEC);
	vm_call_start(v, g_long_outsb, 0x80, at, 0, 0);
	CHECK_ERR(do_run(v, NO_IRQ), EFAULT);
	vm_protect(v, LAYOUT_HIGH, PAGE, RX);
	vm_expect_out(v, 0x80, 1, 0x48);
	vm_finish(v);
}

/* The driver's own accesses for the guest respect it: INS into read-only. */
TEST(protect_ins, "run/protect/string_io")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	GUEST(vm, uint8_t, LAYOUT_HIGH) = 0x11;
	vm_protect(v, LAYOUT_HIGH, PAGE, PROT_READ);
	vm_call_start(v, g_long_outsb, 0x80, LAYOUT_HIGH, 0, 0);
	vm_expect_out(v, 0x80, 1, 0x11);
	vm_finish(v);
	vm_call_start(v, g_long_insb, 0x80, LAYOUT_HIGH, 0, 0);
	vm_run_user(v);
	if (is_exit_io(v->reason)) {
		v->exit->vei.vei_data = 0x22;
		do_run(v, NO_IRQ);
	}
	CHECK_EQ(GUEST(vm, uint8_t, LAYOUT_HIGH), 0x11);
}

/* M8, D22: when the call returns, another vCPU can not write any more. */
TEST_T(protect_other, "run/protect/while_another_vcpu_writes", 60)
{
	struct vm *vm = vm_new_with(LONG, 2, VM_SIZE, 0);
	struct vcpu *a = &vm->cpu[0], *b = &vm->cpu[1];
	const uint64_t at = LAYOUT_HIGH + 0x40;
	struct runner *r;
	uint64_t seen;
	int i;

	vm_call_start(b, g_long_store_loop, at, 0, 0, 0);
	for (i = 0; i < 30; i++) {
		r = runner_start(b);
		runner_wait_busy(b);
		vm_protect(a, LAYOUT_HIGH, PAGE, PROT_READ);
		seen = GUEST(vm, uint64_t, at);
		CHECK(is_exit_fault(runner_join(r)));
		CHECK_EQ(GUEST(vm, uint64_t, at), seen);
		CHECK_EQ(b->exit->vee.vee_fault_type, VEE_FAULT_PROTECT);
		CHECK_EQ(vm_exit_gpa(b->exit), at);
		vm_protect(a, LAYOUT_HIGH, PAGE, RW);
	}
	b->mb->stop = 1;
	vm_finish(b);
	CHECK_EQ(GUEST(vm, uint64_t, at), b->mb->counter);
}

TEST(protect_big, "run/protect/all_of_memory")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_fill, LAYOUT_HIGH, 8 * MB, PAGE, 1);
	vm_protect(v, 0, VM_SIZE, PROT_READ);
	vm_call_start(v, g_long_nop, 0, 0, 0, 0);
	vm_run_user(v);
	CHECK(is_exit_fault(v->reason));
	vm_protect(v, 0, VM_SIZE, RW);
	vm_protect(v, LAYOUT_PROT & ~(PAGE - 1), 22 * PAGE, RX);
	vm_run_user(v);
	CHECK(is_exit_hlt(v->reason));
	CHECK_EQ(vm_call_ok(v, g_long_verify, LAYOUT_HIGH, 8 * MB, PAGE, 1), 0);
}

/* --- No memory there: the client emulates ----------------------------------------- */

static void
mmio_step(struct vcpu *v, uint64_t gpa, unsigned int insn_len, uint8_t opcode)
{
	struct vm_exit_eptviolation *e = &v->exit->vee;
	struct vcpu_reg_state *s = &v->exit->vrs;
	unsigned int i;

	vm_expect_fault(v, VEE_FAULT_MMIO_ASSIST, gpa);
	CHECK((e->vee_insn_info & VEE_BYTES_VALID) != 0);
	CHECK(e->vee_insn_len >= insn_len && e->vee_insn_len <= 15);
	CHECK_EQ(memcmp(e->vee_insn_bytes, v->vm->mem +
	    s->vrs_gprs[VCPU_REGS_RIP], insn_len), 0);
	for (i = 0; i < insn_len && e->vee_insn_bytes[i] != opcode; i++)
		continue;
	CHECK(i < insn_len);
	/* D41: enough to do what the instruction says, and go on behind it. */
	s->vrs_gprs[VCPU_REGS_RIP] += insn_len;
}

TEST(mmio_assist, "run/mmio/assist")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	/* MOV (%rdi), %rax is 48 8b 07; MOV %rsi, (%rdi) is 48 89 37. */
	vm_call_start(v, g_long_load, 0xfee00030, 0, 0, 0);
	mmio_step(v, 0xfee00030, 3, 0x8b);
	v->exit->vrs.vrs_gprs[VCPU_REGS_RAX] = 0x1122334455667788;
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x1122334455667788);
	vm_call_start(v, g_long_store, VMM_PCI_MMIO_BAR_BASE, 0x99, 0, 0);
	mmio_step(v, VMM_PCI_MMIO_BAR_BASE, 3, 0x89);
	CHECK_EQ(v->exit->vrs.vrs_gprs[VCPU_REGS_RSI], 0x99);
	vm_finish(v);
	vm_call_start(v, g_long_load, 0xfffffff8, 0, 0, 0);
	mmio_step(v, 0xfffffff8, 3, 0x8b);
	vm_finish(v);
	vm_expect_no_fault(v);
}

/* Behind the last range, where nothing is. */
TEST(mmio_hole, "run/mmio/outside_memory")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_load, VM_SIZE - 8, 0, 0, 0);
	vm_call_start(v, g_long_load, VM_SIZE, 0, 0, 0);
	mmio_step(v, VM_SIZE, 3, 0x8b);
	vm_finish(v);
	vm_call_start(v, g_long_store, 512 * MB, 1, 0, 0);
	mmio_step(v, 512 * MB, 3, 0x89);
	vm_finish(v);
	vm_expect_no_fault(v);
}

/* Code that is not there: a fault of its own, no bytes. */
TEST(mmio_fetch, "run/mmio/instruction_fetch")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_exec, 0xfee00000, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_MMIO_ASSIST, 0xfee00000);
	CHECK_EQ(v->exit->vrs.vrs_gprs[VCPU_REGS_RIP], 0xfee00000);
	/* The client gives up on this guest; the VM is still in order. */
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
}

/* --- The host changes its mappings under the guest ----------------------------------- */

TEST(mem_both_ways, "run/memory/seen_from_both_sides")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint64_t at;

	for (at = LAYOUT_HIGH; at < 4 * MB; at += 37 * PAGE + 8) {
		GUEST(vm, uint64_t, at) = at;
		CHECK_EQ(vm_call_ok(v, g_long_load, at, 0, 0, 0), at);
		vm_call_ok(v, g_long_store, at, ~at, 0, 0);
		CHECK_EQ(GUEST(vm, uint64_t, at), ~at);
	}
}

/* M3: pages that the host takes are gone for the guest at once. */
TEST(mem_dontneed, "run/memory/madvise_dontneed")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 20; i++) {
		vm_call_ok(v, g_long_fill, LAYOUT_HIGH, 2 * MB, PAGE, 1);
		CHECK_OK(madvise(vm->mem + LAYOUT_HIGH, 2 * MB, MADV_DONTNEED));
		CHECK_EQ(vm_call_ok(v, g_long_load, LAYOUT_HIGH, 0, 0, 0), 0);
		CHECK_EQ(vm_call_ok(v, g_long_load, LAYOUT_HIGH + 2 * MB - PAGE,
		    0, 0, 0), 0);
		/* Read as the zero page: the first write makes it its own. */
		vm_call_ok(v, g_long_store, LAYOUT_HIGH, 7, 0, 0);
		CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 7);
	}
}

/* The same while the guest reads and writes there without a pause. */
TEST_T(mem_dontneed_busy, "run/memory/dontneed_under_a_running_guest", 60)
{
	struct vm *vm = vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
	struct vcpu *v = &vm->cpu[0];
	struct runner *r;
	int i;

	/* Shared memory: the content stays, only the mappings go. */
	vm_call_ok(v, g_long_fill, LAYOUT_HIGH, 2 * MB, PAGE, 100);
	vm_call_start(v, g_long_verify_loop, LAYOUT_HIGH, 2 * MB, PAGE, 100);
	r = runner_start(v);
	for (i = 0; i < 300; i++) {
		CHECK_OK(madvise(vm->mem + LAYOUT_HIGH +
		    (uint64_t)(i % 512) * PAGE, i % 3 ? PAGE : 64 * PAGE,
		    MADV_DONTNEED));
		if (i % 50 == 0)
			runner_wait_busy(v);
	}
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
	CHECK_EQ(v->mb->ret[0], 0);
}

TEST(mem_mprotect, "run/memory/host_mprotect")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const uint64_t at = LAYOUT_HIGH + 8;

	/* M7: the guest has no right that the host's mapping has not. */
	vm_call_ok(v, g_long_store, at, 1, 0, 0);
	CHECK_OK(mprotect(vm->mem + LAYOUT_HIGH, PAGE, PROT_READ));
	CHECK_EQ(vm_call_ok(v, g_long_load, at, 0, 0, 0), 1);
	vm_call_start(v, g_long_store, at, 2, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	CHECK_EQ(GUEST(vm, uint64_t, at), 1);
	CHECK_OK(mprotect(vm->mem + LAYOUT_HIGH, PAGE, PROT_READ | PROT_WRITE));
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, at), 2);
	CHECK_OK(mprotect(vm->mem + LAYOUT_HIGH, PAGE, PROT_NONE));
	vm_call_start(v, g_long_load, at, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	CHECK_OK(mprotect(vm->mem + LAYOUT_HIGH, PAGE, PROT_READ | PROT_WRITE));
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 2);
}

TEST(mem_munmap, "run/memory/munmap_and_remap")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	uint8_t *page = vm->mem + LAYOUT_HIGH;

	vm_call_ok(v, g_long_store, LAYOUT_HIGH, 0xaaaa, 0, 0);
	CHECK_OK(munmap(page, PAGE));
	vm_call_start(v, g_long_load, LAYOUT_HIGH, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, LAYOUT_HIGH);
	/* Something else in its place: the guest sees that, not what was. */
	CHECK(mmap(page, PAGE, PROT_READ | PROT_WRITE,
	    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page);
	*(uint64_t *)page = 0xbbbb;
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0xbbbb);
	vm_call_ok(v, g_long_store, LAYOUT_HIGH, 0xcccc, 0, 0);
	CHECK_EQ(*(uint64_t *)page, 0xcccc);
}

TEST(mem_munmap_all, "run/memory/munmap_all_under_a_running_guest")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct runner *r;

	vm_call_start(v, g_long_spin_cli, 0, 0, 0, 0);
	r = runner_start(v);
	runner_wait_busy(v);
	v->mb = NULL;
	CHECK_OK(munmap(vm->mem, vm->size));
	CHECK(is_exit_fault(runner_join(r)));
	CHECK_OK(do_term(vm->fd, vm->id));
}

static void
idle_child(void *arg)
{
	(void)arg;
	for (;;)
		sleep_ms(100);
}

/* Copy on write after fork: the guest's memory is the parent's. */
TEST(mem_fork, "run/memory/fork")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i, pid;

	vm_call_ok(v, g_long_fill, LAYOUT_HIGH, 1 * MB, PAGE, 1);
	for (i = 0; i < 5; i++) {
		pid = child_start(idle_child, NULL);
		/* Shared with the child until one of both writes. */
		vm_call_ok(v, g_long_fill, LAYOUT_HIGH, 1 * MB, PAGE, 1000);
		CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 1000);
		GUEST(vm, uint64_t, LAYOUT_HIGH) = 5;
		CHECK_EQ(vm_call_ok(v, g_long_load, LAYOUT_HIGH, 0, 0, 0), 5);
		vm_call_ok(v, g_long_store, LAYOUT_HIGH, 6, 0, 0);
		CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 6);
		child_kill(pid);
	}
}

/* The same against a guest that never stops writing. */
TEST_T(mem_fork_busy, "run/memory/fork_under_a_running_guest", 60)
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct runner *r;
	uint64_t value;
	int i;

	vm_call_start(v, g_long_store_loop, LAYOUT_HIGH, 0, 0, 0);
	r = runner_start(v);
	for (i = 0; i < 15; i++) {
		runner_wait_busy(v);
		child_kill(child_start(idle_child, NULL));
		value = GUEST(vm, uint64_t, LAYOUT_HIGH);
		/* The parent still sees what the guest writes now; if it did
		 * not, the case's time would run out here. */
		while (GUEST(vm, uint64_t, LAYOUT_HIGH) <= value)
			sleep_ms(1);
	}
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), v->mb->counter);
}

/* 2 MiB host pages become 2 MiB guest mappings; and come apart again. */
TEST(mem_thp, "run/memory/transparent_huge_pages")
{
	struct vm *vm = vm_prepare(1, 64 * MB, 0);
	struct vcpu *v = &vm->cpu[0];
	struct vm_info_result small, large;

	CHECK_OK(madvise(vm->mem + 32 * MB, 32 * MB, MADV_HUGEPAGE));
	memset(vm->mem + 32 * MB, 1, 32 * MB);
	vm_create(vm);
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK(vm_info(vm->fd, vm->id, &small));
	/* One access, and a whole 2 MiB page is there. */
	vm_call_ok(v, g_long_load, 34 * MB + 5 * PAGE, 0, 0, 0);
	CHECK(vm_info(vm->fd, vm->id, &large));
	CHECK_MSG(large.vir_used_size >= small.vir_used_size + 2 * MB,
	    "used %llu, then %llu", (unsigned long long)small.vir_used_size,
	    (unsigned long long)large.vir_used_size);
	CHECK_EQ(vm_call_ok(v, g_long_fill, 32 * MB, 32 * MB, PAGE, 1), 0);
	/* A hole in the middle of one. */
	CHECK_OK(madvise(vm->mem + 36 * MB + 7 * PAGE, PAGE, MADV_DONTNEED));
	CHECK_EQ(vm_call_ok(v, g_long_load, 36 * MB + 7 * PAGE, 0, 0, 0), 0);
	CHECK_EQ(vm_call_ok(v, g_long_load, 36 * MB + 8 * PAGE, 0, 0, 0),
	    1 + 4 * MB / PAGE + 8);
	/* And a protection that splits another. */
	vm_protect(v, 40 * MB + 3 * PAGE, PAGE, PROT_READ);
	vm_call_ok(v, g_long_store, 40 * MB + 2 * PAGE, 9, 0, 0);
	vm_call_start(v, g_long_store, 40 * MB + 3 * PAGE, 9, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, 40 * MB + 3 * PAGE);
}

/* M15: a range that ends inside a 2 MiB page reaches no further. */
TEST(mem_thp_edge, "run/memory/huge_page_beyond_the_range")
{
	struct vm *vm = vm_prepare(1, 4 * MB, 0);
	struct vm_create_params p = { 0 };
	struct vcpu *v = &vm->cpu[0];

	CHECK_OK(madvise(vm->mem, 4 * MB, MADV_HUGEPAGE));
	memset(vm->mem + 2 * MB, 0x77, 2 * MB);
	p.vcp_ncpus = p.vcp_nmemranges = 1;
	p.vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
	p.vcp_memranges[0].vmr_size = 3 * MB;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	vm->id = p.vcp_id;
	vm_reset(v, LONG);
	CHECK_EQ(vm_call_ok(v, g_long_load, 3 * MB - 8, 0, 0, 0),
	    0x7777777777777777);
	vm_call_start(v, g_long_load, 3 * MB, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_MMIO_ASSIST, 3 * MB);
}

/* Ranges with a gap, and the same host page at two places. */
TEST(mem_ranges, "run/memory/several_ranges")
{
	struct vm *vm = vm_prepare(1, 8 * MB, 0);
	struct vm_create_params p = { 0 };
	struct vcpu *v = &vm->cpu[0];

	p.vcp_ncpus = 1;
	p.vcp_nmemranges = 3;
	p.vcp_memranges[0] = (struct vm_mem_range){ 0, (uintptr_t)vm->mem,
	    2 * MB };
	p.vcp_memranges[1] = (struct vm_mem_range){ 16 * MB,
	    (uintptr_t)vm->mem + 2 * MB, 1 * MB };
	p.vcp_memranges[2] = (struct vm_mem_range){ 32 * MB,
	    (uintptr_t)vm->mem + 2 * MB, 1 * MB };
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	vm->id = p.vcp_id;
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_store, 16 * MB + 24, 0x1234, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_long_load, 32 * MB + 24, 0, 0, 0), 0x1234);
	CHECK_EQ(GUEST(vm, uint64_t, 2 * MB + 24), 0x1234);
	vm_call_start(v, g_long_load, 2 * MB, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_MMIO_ASSIST, 2 * MB);
	vm_reset(v, LONG);
	vm_call_start(v, g_long_load, 17 * MB, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_MMIO_ASSIST, 17 * MB);
}

/* Memory above 4 GiB, behind the device window. */
TEST(mem_high, "run/memory/above_4_gib")
{
	struct vm *vm = vm_prepare(1, 8 * MB, 0);
	struct vm_create_params p = { 0 };
	struct vcpu *v = &vm->cpu[0];

	p.vcp_ncpus = 1;
	p.vcp_nmemranges = 2;
	p.vcp_memranges[0] = (struct vm_mem_range){ 0, (uintptr_t)vm->mem,
	    4 * MB };
	p.vcp_memranges[1] = (struct vm_mem_range){ 4 * GB,
	    (uintptr_t)vm->mem + 4 * MB, 4 * MB };
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	vm->id = p.vcp_id;
	vm_reset(v, LONG);
	/* 3 to 4 GiB of the guest's linear addresses go there. */
	GUEST(vm, uint64_t, LAYOUT_PD3 + 8) = (4 * GB + 2 * MB) | 0x87;
	GUEST(vm, uint64_t, 6 * MB + 16) = 0x4321;
	CHECK_EQ(vm_call_ok(v, g_long_load, 3 * GB + 2 * MB + 16, 0, 0, 0),
	    0x4321);
	vm_call_ok(v, g_long_store, 3 * GB + 2 * MB + 16, 0x8765, 0, 0);
	CHECK_EQ(GUEST(vm, uint64_t, 6 * MB + 16), 0x8765);
}

/* M6, M7: a read-only file mapping stays what it is on disk. */
TEST(mem_file, "run/memory/read_only_file")
{
	char path[] = "/tmp/guestXXXXXX";
	int fd = mkstemp(path), ro;
	struct vm *vm = vm_prepare(1, 4 * MB, 0);
	struct vcpu *v = &vm->cpu[0];
	uint8_t byte;

	CHECK_OK(fd);
	CHECK_OK(ftruncate(fd, 1 * MB));
	CHECK_EQ(pwrite(fd, "\x5a", 1, 0), 1);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_OK(ro);
	CHECK(mmap(vm->mem + 2 * MB, 1 * MB, PROT_READ, MAP_FIXED | MAP_SHARED,
	    ro, 0) != MAP_FAILED);
	CHECK(mmap(vm->mem + 3 * MB, 1 * MB, PROT_READ | PROT_WRITE,
	    MAP_FIXED | MAP_PRIVATE, ro, 0) != MAP_FAILED);
	vm_create(vm);
	vm_reset(v, LONG);
	CHECK_EQ(vm_call_ok(v, g_long_load_b, 2 * MB, 0, 0, 0), 0x5a);
	vm_call_start(v, g_long_store_b, 2 * MB, 1, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, 2 * MB);
	vm_reset(v, LONG);
	CHECK_EQ(vm_call_ok(v, g_long_load_b, 3 * MB, 0, 0, 0), 0x5a);
	vm_call_ok(v, g_long_store_b, 3 * MB, 0x77, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_long_load_b, 3 * MB, 0, 0, 0), 0x77);
	CHECK_EQ(pread(fd, &byte, 1, 0), 1);
	CHECK_EQ(byte, 0x5a);
	CHECK_EQ(vm_call_ok(v, g_long_load_b, 2 * MB, 0, 0, 0), 0x5a);
	CHECK_OK(unlink(path));
}

/* A file shorter than its mapping: no page, no SIGBUS, no oops. */
TEST(mem_short_file, "run/memory/beyond_the_end_of_a_file")
{
	struct vm *vm = vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
	struct vcpu *v = &vm->cpu[0];

	CHECK_OK(ftruncate(vm->memfd, 8 * MB));
	vm_call_ok(v, g_long_load, 8 * MB - 8, 0, 0, 0);
	vm_call_start(v, g_long_load, 8 * MB, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, 8 * MB);
	CHECK_OK(ftruncate(vm->memfd, VM_SIZE));
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0);
}

/* Several vCPUs and the host count in one word. */
TEST_T(mem_atomic, "run/memory/locked_increments_of_four_vcpus", 60)
{
	struct vm *vm = vm_new_with(LONG, 4, VM_SIZE, 0);
	struct runner *r[4];
	int i;

	for (i = 0; i < 4; i++) {
		vm_call_start(&vm->cpu[i], g_long_lock_inc_loop, LAYOUT_HIGH,
		    20000, 0, 0);
		r[i] = runner_start(&vm->cpu[i]);
	}
	for (i = 0; i < 1000; i++)
		__atomic_fetch_add((uint64_t *)(vm->mem + LAYOUT_HIGH), 1,
		    __ATOMIC_SEQ_CST);
	for (i = 0; i < 4; i++)
		CHECK(is_exit_hlt(runner_join(r[i])));
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 81000);
}
