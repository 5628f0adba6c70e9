/* SPDX-License-Identifier: ISC */
/* t_modes.c - the CPU's modes, and the changes between them. */
#include "vm.h"

TEST(mode_real, "run/modes/real")
{
	struct vm *vm = vm_new(REAL);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_real_nop, 0, 0, 0, 0);
	CHECK_EQ(v->exit->cpl, 0);
	vm_call_ok(v, g_real_int, 0, 0, 0, 0);
	CHECK_EQ(v->mb->irq_count[0x50], 1);
	/* Far above 64 KiB through a segment. */
	vm_call_ok(v, g_real_store, 0x20, 0x11223344, 0, 0x9000);
	CHECK_EQ(GUEST(vm, uint32_t, 0x90020), 0x11223344);
	/* The last segment reaches over 1 MiB: no A20 gate here. */
	vm_call_ok(v, g_real_store, 0x20, 0x55667788, 0, 0xffff);
	CHECK_EQ(GUEST(vm, uint32_t, 0x100010), 0x55667788);
}

TEST(mode_real_faults, "run/modes/real_exceptions")
{
	struct vm *vm = vm_new(REAL);
	struct vcpu *v = &vm->cpu[0];

	vm_call_faults(v, 0, g_real_div0_insn, g_real_div0, 0, 0, 0, 0);
	vm_call_faults(v, 6, g_real_ud2_insn, g_real_ud2, 0, 0, 0, 0);
	/* D35: #GP from the driver pushes no error code in real mode. */
	vm_call_faults(v, 13, g_real_rdmsr_insn, g_real_rdmsr, 0x12345, 0, 0, 0);
	CHECK_EQ(v->mb->cs, 0);
	vm_call_ok(v, g_real_nop, 0, 0, 0, 0);
}

TEST(mode_prot, "run/modes/protected")
{
	struct vm *vm = vm_new(PROT);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_prot_nop, 0, 0, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_prot_rdcr0, 0, 0, 0, 0) & 0x80000001, 1);
	vm_call_ok(v, g_prot_int, 0, 0, 0, 0);
	CHECK_EQ(v->mb->irq_count[0x50], 1);
	/* TCG checks no segment limits. */
	if (!host_is_tcg())
		vm_call_faults(v, 13, g_prot_limit_insn, g_prot_limit,
		    0x10000, 0, 0, 0);
	vm_call_faults(v, 13, 0, g_prot_rdmsr, 0x12345, 0, 0, 0);
	CHECK_EQ(v->mb->error, 0);
}

TEST(mode_paging32, "run/modes/32_bit_paging")
{
	struct vm *vm = vm_new(PROT);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_prot_wrcr3, LAYOUT_PD32, 0, 0, 0);
	vm_call_ok(v, g_prot_wrcr4, 0x10, 0, 0, 0);		/* PSE */
	CHECK_EQ(vm_call_ok(v, g_prot_wrcr0, 0x80000031, 0, 0, 0) &
	    0x80000001, 0x80000001);
	vm_call_ok(v, g_prot_store, LAYOUT_HIGH, 0x12345678, 0, 0);
	CHECK_EQ(GUEST(vm, uint32_t, LAYOUT_HIGH), 0x12345678);
	/* 8 MiB is not mapped any more: #PF with its address. */
	GUEST(vm, uint32_t, LAYOUT_PD32 + 2 * 4) = 0;
	vm_call_ok(v, g_prot_wrcr3, LAYOUT_PD32, 0, 0, 0);
	vm_call_faults(v, 14, 0, g_prot_load, 8 * MB + 4, 0, 0, 0);
	CHECK_EQ(v->mb->cr2, 8 * MB + 4);
	/* Off again. */
	CHECK_EQ(vm_call_ok(v, g_prot_wrcr0, 0x31, 0, 0, 0) & 0x80000000, 0);
	CHECK_EQ((uint32_t)vm_call_ok(v, g_prot_load, LAYOUT_HIGH, 0, 0, 0),
	    0x12345678);
}

TEST(mode_pae, "run/modes/pae_paging")
{
	struct vm *vm = vm_new(PROT);
	struct vcpu *v = &vm->cpu[0];

	/* The pointers lie at 32 bytes into their page: bits 5 to 11 of CR3
	 * count (D13). */
	memcpy(vm->mem + LAYOUT_PDPT32 + 32, vm->mem + LAYOUT_PDPT32, 32);
	memset(vm->mem + LAYOUT_PDPT32, 0, 32);
	vm_call_ok(v, g_prot_wrcr3, LAYOUT_PDPT32 + 32, 0, 0, 0);
	vm_call_ok(v, g_prot_wrcr4, 0x20, 0, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_prot_wrcr0, 0x80000031, 0, 0, 0) &
	    0x80000001, 0x80000001);
	vm_call_ok(v, g_prot_store, LAYOUT_HIGH + 8, 0x87654321, 0, 0);
	CHECK_EQ(GUEST(vm, uint32_t, LAYOUT_HIGH + 8), 0x87654321);
	/* 1 GiB and up have no pointer. */
	vm_call_faults(v, 14, 0, g_prot_load, 1 * GB, 0, 0, 0);
	CHECK_EQ(v->mb->cr2, 1 * GB);
}

TEST(mode_long, "run/modes/long")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_long_rdcr0, 0, 0, 0, 0) & 0x80000001,
	    0x80000001);
	/* EFER as the guest knows it: SVME is ours. */
	CHECK_EQ(vm_call_ok(v, g_long_rdmsr, 0xc0000080, 0, 0, 0), 0x500);
	vm_call_faults(v, 6, g_long_ud2_insn, g_long_ud2, 0, 0, 0, 0);
	vm_call_faults(v, 0, 0, g_long_div0, 0, 0, 0, 0);
	guest_unmap_page(vm, LAYOUT_SCRATCH);
	vm_call_faults(v, 14, g_long_store_insn, g_long_store,
	    LAYOUT_SCRATCH + 8, 1, 0, 0);
	CHECK_EQ(v->mb->error, 2);
	CHECK_EQ(v->mb->cr2, LAYOUT_SCRATCH + 8);
}

TEST(mode_user, "run/modes/cpl3")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_faults(v, 6, g_user_nop_end, g_long_user, g_user_nop, 0, 0, 0);
	CHECK_EQ(v->mb->cs & 3, 3);
	vm_call_faults(v, 13, g_user_hlt_insn, g_long_user, g_user_hlt, 0, 0, 0);
	vm_call_faults(v, 13, g_user_movcr_insn, g_long_user, g_user_movcr,
	    0, 0, 0);
	vm_call_faults(v, 6, g_user_cpuid_end, g_long_user, g_user_cpuid,
	    0, 0, 0);
	vm_call_faults(v, 3, g_user_int3_end, g_long_user, g_user_int3, 0, 0, 0);
}

/* Real, protected, long, compatibility, protected, real: many times. */
TEST(mode_tour, "run/modes/tour_through_all")
{
	struct vm *vm = vm_new(REAL);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 200; i++) {
		vm_call_start(v, g_real_tour, 0, 0, 0, 0);
		vm_finish(v);
		vm_expect_no_fault(v);
		CHECK_EQ(v->mb->ret[2], 0x123432);
		CHECK_EQ(v->mb->ret[0] & 1, 0);
		CHECK_EQ(v->mb->irqs, 1);
	}
}

/* A triple fault ends the run with SHUTDOWN; the VM can be started again. */
TEST(mode_triple, "run/modes/triple_fault")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vm_info_result r;

	vm_call_start(v, g_long_triple, 0, 0, 0, 0);
	vm_run_user(v);
	CHECK_MSG(is_exit_shutdown(v->reason), "exit %#x", v->reason);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK_EQ(r.vir_vcpu_state[0], VCPU_STATE_STOPPED);
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
}

TEST(mode_triple_many, "run/modes/triple_fault_many_times")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 2000; i++) {
		vm_call_start(v, g_long_triple, 0, 0, 0, 0);
		vm_run_user(v);
		CHECK(is_exit_shutdown(v->reason));
		vm_reset(v, LONG);
	}
}
