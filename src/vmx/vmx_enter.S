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
	GPR_LOAD

	HOST_VMX_CLEAR_CPU_BUFFERS
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
	GPR_STORE
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
	GPR_SCRUB

	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	HOST_RET
HOST_FUNC_END(vmx_enter)
