/* SPDX-License-Identifier: ISC */
/*
 * prot.S - the 32-bit guest; built like long.S, with the low halves of the
 * mailbox. Starts without paging.
 */
#include "layout.h"

	.macro FN name
	.globl	\name
	.p2align 4
\name:
	.endm

	.text
	.code32
FN prot_start
1:	mov	%esp, %gs:MB_RSP
	movl	$2f, %gs:MB_RESUME
	mov	%gs:MB_A, %edi
	mov	%gs:MB_B, %esi
	mov	%gs:MB_C, %edx
	mov	%gs:MB_D, %ecx
	xor	%eax, %eax
	xor	%ebx, %ebx
	cld
	call	*%gs:MB_OP
2:	mov	%eax, %gs:MB_R0
	mov	%edx, %gs:MB_R1
	mov	%ebx, %gs:MB_R2
	mov	%ecx, %gs:MB_R3
	cli
	hlt
	jmp	1b

FN prot_isr
	vector = 0
	.rept	256
	.p2align 4
	.if	(vector > 31) || !((0x227d00 >> (vector & 31)) & 1)
	push	$0
	.endif
	push	$vector
	jmp	isr_common
	vector = vector + 1
	.endr

	.p2align 4
isr_common:				/* vector, error, EIP, CS, EFLAGS */
	push	%eax
	mov	4(%esp), %eax
	cmp	$32, %eax
	jae	3f
	mov	%eax, %gs:MB_VECTOR
	mov	8(%esp), %eax
	mov	%eax, %gs:MB_ERROR
	mov	12(%esp), %eax
	mov	%eax, %gs:MB_FRIP
	mov	16(%esp), %eax
	mov	%eax, %gs:MB_FCS
	mov	20(%esp), %eax
	mov	%eax, %gs:MB_FFLAGS
	mov	%cr2, %eax
	mov	%eax, %gs:MB_FCR2
	incl	%gs:MB_FAULTS
	pop	%eax
	mov	%gs:MB_RSP, %esp
	push	$2
	popf
	jmp	*%gs:MB_RESUME
3:	incl	%gs:MB_IRQ_COUNT(,%eax,4)
	mov	%eax, %gs:MB_IRQ_VECTOR
	cmpl	$0, %gs:MB_IRQS
	jne	4f
	mov	12(%esp), %eax
	mov	%eax, %gs:MB_IRQ_RIP
4:	incl	%gs:MB_IRQS
	pop	%eax
	add	$8, %esp
	iret

FN prot_nop
	ret

FN prot_rdmsr				/* (index) -> eax, edx */
	mov	%edi, %ecx
	rdmsr
	ret

FN prot_wrmsr				/* (index, low, high) */
	mov	%edi, %ecx
	mov	%esi, %eax
	wrmsr
	ret

FN prot_cpuid
	mov	%edi, %eax
	mov	%esi, %ecx
	cpuid
	ret

	.macro	CONTROL n
FN prot_rdcr\n
	mov	%cr\n, %eax
	ret
FN prot_wrcr\n
	mov	%edi, %cr\n
	mov	%cr\n, %eax
	ret
	.endm
	CONTROL	0
	CONTROL	3
	CONTROL	4

FN prot_outb				/* (port, data) */
	mov	%edi, %edx
	mov	%esi, %eax
	out	%al, %dx
	ret

FN prot_inl				/* (port) -> eax */
	mov	%edi, %edx
	in	%dx, %eax
	ret

FN prot_inw_prefixed			/* (port, eax before) -> eax */
	mov	%edi, %edx
	mov	%esi, %eax
	.byte	0x3e, 0x67, 0x66, 0xed
	ret

FN prot_rep_outsw			/* (port, address, count) -> esi */
	xchg	%edi, %edx
	mov	%edi, %ecx
	rep outsw
	mov	%esi, %eax
	ret

FN prot_rep_insl			/* (port, address, count) -> edi */
	xchg	%edi, %edx
	mov	%edi, %ecx
	mov	%esi, %edi
	rep insl
	mov	%edi, %eax
	ret

FN prot_addr16_outsb			/* (port, address): 16-bit SI */
	mov	%edi, %edx
	.byte	0x67
	outsb
	mov	%esi, %eax
	ret

FN prot_load
	mov	(%edi), %eax
	ret

FN prot_store
	mov	%esi, (%edi)
	ret

FN prot_spin
	sti
1:	incl	%gs:MB_COUNTER
	pause
	cmpl	$0, %gs:MB_STOP
	je	1b
	cli
	ret

FN prot_int
	int	$0x50
	ret

FN prot_int3
	int3
	ret

FN prot_hlt
	sti
	hlt
	cli
	ret

FN prot_limit				/* (offset): through a 64 KiB segment */
	push	$SEL_DATA16
	pop	%es
	.globl	prot_limit_insn
prot_limit_insn:
	movb	%es:(%edi), %al
	push	$SEL_DATA
	pop	%es
	ret
