/* SPDX-License-Identifier: ISC */
/*
 * t_debug.c - debug exceptions around the instructions that the driver or the
 * client carries out for the guest.
 */
#include "vm.h"

#define DB		1
#define PORT		0x80
#define SELECTOR	LAYOUT_SCRATCH
#define DATA		(LAYOUT_SCRATCH + 0x100)
#define HOLE		0xfee00030
#define MMIO_INSN_LEN	3

#define DR6_B0		0x1u
#define DR6_BS		0x4000u
#define DR7_G0		0x402u
#define DR7_WRITE	(1u << 16)
#define DR7_IO		(2u << 16)
#define DR7_ACCESS	(3u << 16)
#define DR7_2_BYTES	(1u << 18)
#define CR0_EM		4u
#define CR4_DE		8u
#define RFLAGS_RF	0x10000u

/*
 * DR0 at an address or port, with DR7 and CR4.DE. By the client: QEMU 7.2 crashed
 * here when the guest had set a watchpoint itself and the vCPU was reset.
 */
static void
watch(struct vcpu *v, uint64_t at, uint64_t dr7)
{
	uint64_t cr4 = vm_call_ok(v, g_long_rdcr4, 0, 0, 0, 0);
	struct vcpu_reg_state s;

	vm_call_ok(v, g_long_wrcr4, cr4 | CR4_DE, 0, 0, 0);
	vm_regs(v, &s);
	s.vrs_drs[VCPU_REGS_DR0] = at;
	s.vrs_drs[VCPU_REGS_DR7] = dr7;
	vm_set_regs(v, VM_RWREGS_DRS, &s);
}

/* The function has ended with #DB at rip, for this reason. */
static void
debug_exception(struct vcpu *v, uint64_t rip, uint64_t dr6)
{
	CHECK_EQ(v->mb->vector, DB);
	CHECK_EQ(v->mb->rip, rip);
	CHECK_EQ(v->mb->dr6 & 0xf00f, dr6);
	CHECK_EQ(v->mb->faults, 1);
}

/*
 * User code that may change IF could end its VM (SDM 3C 27.3.1.5). TCG steps over
 * the next instruction, too.
 */
TEST(debug_sti, "run/debug/step_over_sti")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call(v, g_long_tf_sti, 0, 0, 0, 0);
	debug_exception(v, g_long_tf_sti_after + host_is_tcg(), DR6_BS);
}

/* The client moves RIP, and the driver raises the trap. */
TEST(debug_mmio_step, "run/debug/step_over_mmio")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_tf_store, HOLE, 0x11, 0, 0);
	vm_expect_fault(v, VEE_FAULT_MMIO_ASSIST, HOLE);
	v->exit->vrs.vrs_gprs[VCPU_REGS_RIP] += MMIO_INSN_LEN;
	vm_finish(v);
	debug_exception(v, g_long_tf_store_after, DR6_BS);
}

/*
 * A watchpoint that MOV SS holds is raised behind the next instruction, whoever
 * executes it. TCG watches nothing here.
 */
static void
behind_ss(struct vm *vm, uint64_t fn, uint64_t after, bool out)
{
	struct vcpu *v = &vm->cpu[0];

	vm_reset(v, LONG);
	GUEST(vm, uint16_t, SELECTOR) = SEL_DATA;
	watch(v, SELECTOR, DR7_G0 | DR7_ACCESS | DR7_2_BYTES);
	vm_call_start(v, fn, SELECTOR, PORT, 0, 0);
	if (out)
		vm_expect_out(v, PORT, 1, 0);
	vm_finish(v);
	if (host_is_tcg())
		vm_expect_no_fault(v);
	else
		debug_exception(v, after, DR6_B0);
}
#define BEHIND_SS(vm, name, out) \
	behind_ss(vm, g_long_ss_##name, g_long_ss_##name##_after, out)

TEST(debug_mov_ss, "run/debug/held_by_mov_ss")
{
	struct vm *vm = vm_new(LONG);

	BEHIND_SS(vm, nop, false);	/* the CPU */
	BEHIND_SS(vm, cpuid, false);
	BEHIND_SS(vm, wbinvd, false);
	BEHIND_SS(vm, hlt, false);
	BEHIND_SS(vm, out, true);
}

TEST(debug_io, "run/debug/io_breakpoint")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	watch(v, PORT, DR7_G0 | DR7_IO);
	vm_call_start(v, g_long_watched_out, PORT, 0, 0, 0);
	vm_expect_out(v, PORT, 1, 0);
	vm_finish(v);
	debug_exception(v, g_long_watched_out_after, DR6_B0);

	vm_call_start(v, g_long_watched_in, PORT, 0, 0, 0);
	vm_expect_in(v, PORT, 1, 0x5a);
	vm_finish(v);
	debug_exception(v, g_long_watched_in_after, DR6_B0);
	CHECK_EQ(v->mb->ret[0] & 0xff, 0x5a);

	/* Another port, and the same without DE. */
	vm_call_start(v, g_long_watched_out, PORT + 1, 0, 0, 0);
	vm_expect_out(v, PORT + 1, 1, 0);
	vm_finish(v);
	vm_expect_no_fault(v);
	vm_call_ok(v, g_long_wrcr4,
	    vm_call_ok(v, g_long_rdcr4, 0, 0, 0, 0) & ~(uint64_t)CR4_DE, 0, 0, 0);
	vm_call_start(v, g_long_watched_out, PORT, 0, 0, 0);
	vm_expect_out(v, PORT, 1, 0);
	vm_finish(v);
	vm_expect_no_fault(v);
}

/* A trap behind an element that is not the last: RIP stays, and RF is set. */
static void
in_string(struct vcpu *v, uint64_t insn, uint64_t left)
{
	debug_exception(v, insn, DR6_B0);
	CHECK_EQ(v->mb->ret[3], left);
	CHECK((v->mb->rflags & RFLAGS_RF) != 0);
}

TEST(debug_strings, "run/debug/string_breakpoints")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	memcpy(vm->mem + DATA, "abcd", 4);
	watch(v, PORT, DR7_G0 | DR7_IO);
	vm_call_start(v, g_long_watched_rep_outsb, PORT, DATA, 4, 0);
	vm_expect_out(v, PORT, 1, 'a');
	vm_finish(v);
	in_string(v, g_long_watched_rep_outsb_insn, 3);

	/* Read, in the second element. */
	watch(v, DATA + 1, DR7_G0 | DR7_ACCESS);
	vm_call_start(v, g_long_watched_rep_outsb, PORT, DATA, 4, 0);
	vm_expect_out(v, PORT, 1, 'a');
	vm_expect_out(v, PORT, 1, 'b');
	vm_finish(v);
	in_string(v, g_long_watched_rep_outsb_insn, 2);

	/* Written, in the last. */
	watch(v, DATA + 3, DR7_G0 | DR7_WRITE);
	vm_call_start(v, g_long_watched_rep_insb, PORT, DATA, 4, 0);
	for (i = 0; i < 4; i++)
		vm_expect_in(v, PORT, 1, 'w' + i);
	vm_finish(v);
	debug_exception(v, g_long_watched_rep_insb_after, DR6_B0);
	CHECK(memcmp(vm->mem + DATA, "wxyz", 4) == 0);

	/* OUTS does not write. */
	vm_call_start(v, g_long_watched_rep_outsb, PORT, DATA, 4, 0);
	for (i = 0; i < 4; i++)
		vm_expect_out(v, PORT, 1, 'w' + i);
	vm_finish(v);
	vm_expect_no_fault(v);
}

TEST(debug_lmsw, "run/debug/lmsw_breakpoint")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	/* A change of EM exits on SVM as well. */
	GUEST(vm, uint16_t, DATA) =
	    (uint16_t)(vm_call_ok(v, g_long_rdcr0, 0, 0, 0, 0) ^ CR0_EM);
	watch(v, DATA, DR7_G0 | DR7_ACCESS | DR7_2_BYTES);
	vm_call(v, g_long_watched_lmsw, DATA, 0, 0, 0);
	debug_exception(v, g_long_watched_lmsw_after, DR6_B0);
}
