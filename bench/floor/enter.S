/* SPDX-License-Identifier: ISC */
/*
 * enter.S - the bare world switches: the general registers, and what the CPU
 * needs to be told.
 */
#include <linux/linkage.h>
#include <asm/unwind_hints.h>


	/* RAX is the array; its place 0 stays free for what is in the way. */
	.macro LOAD_GPRS
	mov	8(%rax), %rbx
	mov	16(%rax), %rcx
	mov	24(%rax), %rdx
	mov	32(%rax), %rsi
	mov	40(%rax), %rdi
	mov	48(%rax), %rbp
	mov	56(%rax), %r8
	mov	64(%rax), %r9
	mov	72(%rax), %r10
	mov	80(%rax), %r11
	mov	88(%rax), %r12
	mov	96(%rax), %r13
	mov	104(%rax), %r14
	mov	112(%rax), %r15
	.endm

	.macro SAVE_GPRS
	mov	%rbx, 8(%rax)
	mov	%rcx, 16(%rax)
	mov	%rdx, 24(%rax)
	mov	%rsi, 32(%rax)
	mov	%rdi, 40(%rax)
	mov	%rbp, 48(%rax)
	mov	%r8, 56(%rax)
	mov	%r9, 64(%rax)
	mov	%r10, 72(%rax)
	mov	%r11, 80(%rax)
	mov	%r12, 88(%rax)
	mov	%r13, 96(%rax)
	mov	%r14, 104(%rax)
	mov	%r15, 112(%rax)
	.endm

	.macro PUSH_CALLEE_SAVED
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	.endm

	.macro POP_CALLEE_SAVED
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	.endm

	.section .noinstr.text, "ax"

SYM_FUNC_START(floor_svm_enter)		/* (vmcb, gpr, host_vmcb) */
	PUSH_CALLEE_SAVED
	push	%rdx
	push	%rsi
	push	%rdi
	clgi
	mov	%rsi, %rax
	LOAD_GPRS
	mov	(%rsp), %rax
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	mov	8(%rsp), %rax
	SAVE_GPRS
	mov	16(%rsp), %rax
	vmload	%rax
	stgi
	add	$24, %rsp
	POP_CALLEE_SAVED
	RET
SYM_FUNC_END(floor_svm_enter)

SYM_FUNC_START(floor_vmx_enter)		/* (gpr, host_rsp, launched) */
	PUSH_CALLEE_SAVED
	push	%rdi
	cmp	%rsp, (%rsi)
	je	1f
	mov	%rsp, (%rsi)
	mov	$0x6c14, %eax		/* HOST_RSP, SDM 3D appendix B */
	vmwrite	%rsp, %rax
1:	mov	%rdi, %rax
	test	%dl, %dl
	LOAD_GPRS
	mov	(%rax), %rax
	UNWIND_HINT_SAVE
	jz	2f
	vmresume
	jmp	3f
2:	vmlaunch
3:	pop	%rdi
	mov	$-1, %eax
	jmp	4f
SYM_INNER_LABEL(floor_vmx_exit, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	push	%rax
	mov	8(%rsp), %rax
	SAVE_GPRS
	pop	(%rax)
	pop	%rax
	xor	%eax, %eax
4:	POP_CALLEE_SAVED
	RET
SYM_FUNC_END(floor_vmx_enter)

SYM_CODE_START(floor_guest)
	UNWIND_HINT_EMPTY
1:	cpuid
	jmp	1b
SYM_CODE_END(floor_guest)
