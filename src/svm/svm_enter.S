/* SPDX-License-Identifier: ISC */
/*
 * svm_enter.S - the world switch of SVM (APM 2 15.5, 15.6).
 *
 * void svm_enter(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_vmcb_pa)
 *                %rdi           %rsi              %rdx
 *
 * Called with GIF and RFLAGS.IF clear, returns so. VMRUN and #VMEXIT switch
 * RAX, RSP, RIP and RFLAGS; this code switches the other general registers,
 * and with VMLOAD and VMSAVE the segment bases, TR, LDTR and syscall MSRs.
 * Clobbers what a C function may clobber.
 */
#include "host_asm.h"
#include "gpr_offsets.h"

/* The stack from the top: gpr, host_vmcb_pa, callee-saved. */
#define STACK_GPR	(%rsp)
#define STACK_HOST	8(%rsp)

HOST_FUNC_START(svm_enter)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rdi

	/*
	 * RFLAGS.IF of the host decides whether a physical interrupt ends the
	 * guest's stay (V_INTR_MASKING, APM 2 15.21.1). Nothing is taken here:
	 * GIF is clear. Well before VMRUN, so that the shadow of STI does not
	 * end up in the guest's state.
	 */
	sti

	HOST_CLEAR_DIVIDER
	mov	%rsi, %rax
	vmload	%rax

	GPR_LOAD

	HOST_SVM_CLEAR_CPU_BUFFERS
	vmrun	%rax

	/* RAX is the host's again: vmcb_pa. All other registers but RSP are
	 * still the guest's, GS too: no per-CPU data before the VMLOAD. */
	cli
	vmsave	%rax
	mov	STACK_GPR, %rax
	GPR_STORE
	mov	STACK_HOST, %rax
	vmload	%rax

	/* Before the first RET or indirect branch. */
	HOST_STUFF_RSB %rax
	HOST_UNTRAIN_RET
	HOST_IBPB_ON_VMEXIT

	GPR_SCRUB

	add	$16, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	HOST_RET
HOST_FUNC_END(svm_enter)
