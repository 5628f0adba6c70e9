/* SPDX-License-Identifier: ISC */
/*
 * real.S - the 16-bit guest, built like long.S with the low words of the
 * mailbox, and a tour through all modes. CS, DS, ES, SS base 0; GS at the
 * mailbox.
 */
#include "layout.h"

	.macro FN name
	.globl	\name
	.p2align 4
\name:
	.endm

	.text
	.code16
FN real_start
1:	mov	%esp, %gs:MB_RSP
	movw	$2f, %gs:MB_RESUME
	mov	%gs:MB_A, %edi
	mov	%gs:MB_B, %esi
	mov	%gs:MB_C, %edx
	mov	%gs:MB_D, %ecx
	xor	%eax, %eax
	xor	%ebx, %ebx
	cld
	callw	*%gs:MB_OP
2:	mov	%eax, %gs:MB_R0
	mov	%edx, %gs:MB_R1
	mov	%ebx, %gs:MB_R2
	mov	%ecx, %gs:MB_R3
	cli
	hlt
	jmp	1b

/* Real mode pushes no error codes (SDM 3A 20.1.4). */
FN real_isr
	vector = 0
	.rept	256
	.p2align 4
	pushw	$vector
	jmp	isr_common
	vector = vector + 1
	.endr

	.p2align 4
isr_common:				/* vector, IP, CS, FLAGS */
	push	%bp
	mov	%sp, %bp
	push	%eax
	push	%ebx
	movzwl	2(%bp), %eax
	cmp	$32, %ax
	jae	3f
	mov	%eax, %gs:MB_VECTOR
	movzwl	4(%bp), %eax
	mov	%eax, %gs:MB_FRIP
	movzwl	6(%bp), %eax
	mov	%eax, %gs:MB_FCS
	movzwl	8(%bp), %eax
	mov	%eax, %gs:MB_FFLAGS
	incl	%gs:MB_FAULTS
	pop	%ebx
	pop	%eax
	mov	%gs:MB_RSP, %esp
	pushw	$2
	popfw
	jmpw	*%gs:MB_RESUME
3:	mov	%eax, %gs:MB_IRQ_VECTOR
	mov	%ax, %bx
	shl	$2, %bx
	incl	%gs:MB_IRQ_COUNT(%bx)
	cmpl	$0, %gs:MB_IRQS
	jne	4f
	movzwl	4(%bp), %eax
	mov	%eax, %gs:MB_IRQ_RIP
4:	incl	%gs:MB_IRQS
	pop	%ebx
	pop	%eax
	pop	%bp
	add	$2, %sp
	iretw

FN real_nop
	retw

FN real_rdmsr				/* (index) -> eax, edx */
	mov	%edi, %ecx
	.globl	real_rdmsr_insn
real_rdmsr_insn:
	rdmsr
	retw

FN real_cpuid
	mov	%edi, %eax
	mov	%esi, %ecx
	cpuid
	retw

FN real_wrcr0				/* (value) -> CR0 */
	mov	%edi, %cr0
	mov	%cr0, %eax
	retw

FN real_outb				/* (port, data) */
	mov	%di, %dx
	mov	%esi, %eax
	out	%al, %dx
	retw

FN real_outl
	mov	%di, %dx
	mov	%esi, %eax
	out	%eax, %dx
	retw

FN real_inb				/* (port, eax before) -> eax */
	mov	%di, %dx
	mov	%esi, %eax
	in	%dx, %al
	retw

FN real_inw
	mov	%di, %dx
	mov	%esi, %eax
	in	%dx, %ax
	retw

FN real_rep_outsb			/* (port, offset, count, segment) */
	push	%ds
	mov	%cx, %ds
	mov	%dx, %cx
	mov	%di, %dx
	rep outsb
	pop	%ds
	mov	%esi, %eax
	retw

FN real_rep_insw			/* (port, offset, count, segment) */
	push	%es
	mov	%cx, %es
	mov	%dx, %cx
	mov	%di, %dx
	mov	%si, %di
	rep insw
	pop	%es
	movzwl	%di, %eax
	retw

FN real_es_outsb			/* (port, offset, -, segment): override */
	push	%es
	mov	%cx, %es
	mov	%di, %dx
	.byte	0x26
	outsb
	pop	%es
	mov	%esi, %eax
	retw

FN real_int
	int	$0x50
	retw

FN real_div0
	xor	%dx, %dx
	xor	%cx, %cx
	.globl	real_div0_insn
real_div0_insn:
	div	%cx
	retw

FN real_ud2
	.globl	real_ud2_insn
real_ud2_insn:
	ud2

FN real_hlt
	sti
	hlt
	cli
	retw

FN real_spin
	sti
1:	incl	%gs:MB_COUNTER
	pause
	cmpl	$0, %gs:MB_STOP
	je	1b
	cli
	retw

FN real_store				/* (offset, value, -, segment) */
	push	%es
	mov	%cx, %es
	mov	%esi, %es:(%di)
	pop	%es
	retw

/*
 * Real, protected, long, compatibility, protected, real. Every stop adds its
 * digit to EBX, so 0x123432 at the end says that all were there.
 */
FN real_tour
	mov	%esp, %gs:MB_COUNTER
	mov	$1, %ebx
	lgdtl	tour_gdt
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $1f
	.code32
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	mov	%eax, %es
	shl	$4, %ebx
	or	$2, %ebx
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	$LAYOUT_PML4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	ljmp	$SEL_CODE64, $1f
	.code64
1:	mov	$0x123456789abcdef0, %r8
	movabs	$0x123456789abcdef0, %rax
	cmp	%rax, %r8
	jne	tour_lost
	shl	$4, %ebx
	or	$3, %ebx
	mov	$0xc0000080, %ecx	/* LMA must be there now */
	rdmsr
	test	$0x400, %eax
	jz	tour_lost
	push	$SEL_CODE32
	push	$1f
	lretq
	.code32
1:	shl	$4, %ebx
	or	$4, %ebx
	mov	%cr0, %eax		/* compatibility mode, so this is legal */
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx
	rdmsr
	test	$0x400, %eax		/* and gone */
	jnz	tour_lost32
	and	$~0x100, %eax
	wrmsr
	xor	%eax, %eax
	mov	%eax, %cr3
	shl	$4, %ebx
	or	$3, %ebx
	ljmp	$SEL_CODE16, $1f
	.code16
1:	mov	$SEL_DATA16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	%ax, %gs
	mov	%cr0, %eax
	and	$0xfe, %al
	mov	%eax, %cr0
	ljmp	$0, $1f
1:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$(LAYOUT_MAILBOX >> 4), %ax
	mov	%ax, %gs
	mov	%gs:MB_COUNTER, %esp
	shl	$4, %ebx
	or	$2, %ebx
	int	$0x50			/* the real-mode table still counts */
	mov	%cr0, %eax
	retw
	.code64
tour_lost:
	hlt
	.code32
tour_lost32:
	hlt
	.p2align 3
tour_gdt:
	.word	0x7f
	.long	LAYOUT_GDT
	.long	0
