/* SPDX-License-Identifier: ISC */
/*
 * svm_enter.S - the world switch of SVM (APM 2 15.5, 15.6).
 *
 * void svm_enter(uint64_t vmcb_pa, uint64_t *gpr, uint64_t host_vmcb_pa)
 *                %rdi              %rsi           %rdx
 *
 * Called with GIF and RFLAGS.IF clear, returns so. VMRUN and #VMEXIT switch
 * RAX, RSP, RIP and RFLAGS; this code switches the other general registers,
 * and with VMLOAD and VMSAVE the segment bases, TR, LDTR and syscall MSRs.
 * Clobbers what a C function may clobber.
 */
#include "host_asm.h"
#include "gpr_offsets.h"

/* The stack from the top: vmcb_pa, gpr, host_vmcb_pa, callee-saved. */
#define STACK_GPR	8(%rsp)
#define STACK_HOST	16(%rsp)

HOST_FUNC_START(svm_enter)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rsi
	push	%rdi

	/*
	 * RFLAGS.IF of the host decides whether a physical interrupt ends the
	 * guest's stay (V_INTR_MASKING, APM 2 15.21.1). Nothing is taken here:
	 * GIF is clear. Well before VMRUN, so that the shadow of STI does not
	 * end up in the guest's state.
	 */
	sti

	mov	%rdi, %rax
	vmload	%rax

	mov	GPR_RBX(%rsi), %rbx
	mov	GPR_RCX(%rsi), %rcx
	mov	GPR_RDX(%rsi), %rdx
	mov	GPR_RDI(%rsi), %rdi
	mov	GPR_RBP(%rsi), %rbp
	mov	GPR_R8(%rsi), %r8
	mov	GPR_R9(%rsi), %r9
	mov	GPR_R10(%rsi), %r10
	mov	GPR_R11(%rsi), %r11
	mov	GPR_R12(%rsi), %r12
	mov	GPR_R13(%rsi), %r13
	mov	GPR_R14(%rsi), %r14
	mov	GPR_R15(%rsi), %r15
	mov	GPR_RSI(%rsi), %rsi

	HOST_CLEAR_CPU_BUFFERS
	vmrun	%rax

	/* RAX is the host's again: vmcb_pa. All other registers but RSP are
	 * still the guest's, GS too: no per-CPU data before the VMLOAD. */
	cli
	vmsave	%rax
	mov	STACK_GPR, %rax
	mov	%rbx, GPR_RBX(%rax)
	mov	%rcx, GPR_RCX(%rax)
	mov	%rdx, GPR_RDX(%rax)
	mov	%rsi, GPR_RSI(%rax)
	mov	%rdi, GPR_RDI(%rax)
	mov	%rbp, GPR_RBP(%rax)
	mov	%r8, GPR_R8(%rax)
	mov	%r9, GPR_R9(%rax)
	mov	%r10, GPR_R10(%rax)
	mov	%r11, GPR_R11(%rax)
	mov	%r12, GPR_R12(%rax)
	mov	%r13, GPR_R13(%rax)
	mov	%r14, GPR_R14(%rax)
	mov	%r15, GPR_R15(%rax)
	mov	STACK_HOST, %rax
	vmload	%rax

	/* Before the first RET or indirect branch. */
	HOST_STUFF_RSB %rax
	HOST_UNTRAIN_RET
	HOST_IBPB_ON_VMEXIT

	/* No speculation with what the guest left behind. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	add	$24, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	HOST_RET
HOST_FUNC_END(svm_enter)
