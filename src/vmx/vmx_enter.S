/* SPDX-License-Identifier: ISC */
/*
 * vmx_enter.S - the world switch of VMX (SDM 3C 27, 28).
 *
 * int vmx_enter(uint64_t *gpr, bool launched, uint64_t *host_rsp, uint32_t field)
 *               %rdi           %esi           %rdx                %ecx
 *
 * Called with RFLAGS.IF clear, returns so. Entries and exits switch RSP, RIP,
 * RFLAGS, segments and control registers; this code switches the other general
 * registers. Clobbers what a C function may clobber.
 */
#include "host_asm.h"
#include "gpr_offsets.h"

HOST_FUNC_START(vmx_enter)
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi

	/* Where the exit finds this stack; seldom another one than last time. */
	cmp	%rsp, (%rdx)
	je	.Lhost_rsp_is_set
	mov	%rsp, (%rdx)
	mov	%ecx, %ecx
	vmwrite	%rsp, %rcx
.Lhost_rsp_is_set:

	/* In CF, which neither MOV nor the clearing of buffers touches. */
	bt	$0, %esi

	mov	GPR_RAX(%rdi), %rax
	mov	GPR_RBX(%rdi), %rbx
	mov	GPR_RCX(%rdi), %rcx
	mov	GPR_RDX(%rdi), %rdx
	mov	GPR_RSI(%rdi), %rsi
	mov	GPR_RBP(%rdi), %rbp
	mov	GPR_R8(%rdi), %r8
	mov	GPR_R9(%rdi), %r9
	mov	GPR_R10(%rdi), %r10
	mov	GPR_R11(%rdi), %r11
	mov	GPR_R12(%rdi), %r12
	mov	GPR_R13(%rdi), %r13
	mov	GPR_R14(%rdi), %r14
	mov	GPR_R15(%rdi), %r15
	mov	GPR_RDI(%rdi), %rdi

	HOST_CLEAR_CPU_BUFFERS
	HOST_UNWIND_SAVE
	jc	.Lresume
	vmlaunch
	jmp	.Lfailed
.Lresume:
	vmresume
.Lfailed:
	/* Still here: no register has changed, and gpr[] is right as it is. */
	add	$8, %rsp
	mov	$1, %eax
	jmp	.Lscrub

HOST_EXIT_LABEL(vmx_exit)
	push	%rax
	mov	8(%rsp), %rax
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
	pop	GPR_RAX(%rax)
	add	$8, %rsp

	/* Before the first RET or indirect branch. */
	HOST_STUFF_RSB %rax
	HOST_RESTORE_IBRS
	HOST_CLEAR_BRANCH_HISTORY
	HOST_UNTRAIN_RET
	HOST_IBPB_ON_VMEXIT
	xor	%eax, %eax

.Lscrub:
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

	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	HOST_RET
HOST_FUNC_END(vmx_enter)
