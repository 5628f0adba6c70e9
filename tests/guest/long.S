/* SPDX-License-Identifier: ISC */
/*
 * long.S - the 64-bit guest: a loop that calls the function in the mailbox,
 * and the functions. GS base is the vCPU's mailbox; an exception ends the
 * function with its vector in the mailbox, an interrupt is counted.
 */
#include "layout.h"

	.macro FN name
	.globl	\name
	.p2align 4
\name:
	.endm

	.text
	.code64
FN long_start
1:	mov	%rsp, %gs:MB_RSP
	movq	$2f, %gs:MB_RESUME
	mov	%gs:MB_A, %rdi
	mov	%gs:MB_B, %rsi
	mov	%gs:MB_C, %rdx
	mov	%gs:MB_D, %rcx
	xor	%eax, %eax
	xor	%ebx, %ebx
	cld
	call	*%gs:MB_OP
2:	mov	%rax, %gs:MB_R0
	mov	%rdx, %gs:MB_R1
	mov	%rbx, %gs:MB_R2
	mov	%rcx, %gs:MB_R3
	cli
	hlt				/* the test looks at the mailbox now */
	jmp	1b

/* Entry stubs: vector and error code on the stack, whatever the CPU pushed. */
FN long_isr
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
isr_common:				/* vector, error, RIP, CS, RFLAGS, ... */
	push	%rax
	mov	8(%rsp), %rax
	cmp	$32, %rax
	jae	3f
	mov	%rax, %gs:MB_VECTOR
	mov	16(%rsp), %rax
	mov	%rax, %gs:MB_ERROR
	mov	24(%rsp), %rax
	mov	%rax, %gs:MB_FRIP
	mov	32(%rsp), %rax
	mov	%rax, %gs:MB_FCS
	mov	40(%rsp), %rax
	mov	%rax, %gs:MB_FFLAGS
	mov	%cr2, %rax
	mov	%rax, %gs:MB_FCR2
	mov	%dr6, %rax
	mov	%rax, %gs:MB_FDR6
	incq	%gs:MB_FAULTS
	pop	%rax
	mov	%gs:MB_RSP, %rsp
	push	$2
	popfq
	jmp	*%gs:MB_RESUME
3:	incl	%gs:MB_IRQ_COUNT(,%rax,4)
	mov	%rax, %gs:MB_IRQ_VECTOR
	cmpq	$0, %gs:MB_IRQS
	jne	4f
	mov	24(%rsp), %rax
	mov	%rax, %gs:MB_IRQ_RIP
4:	incq	%gs:MB_IRQS
	pop	%rax
	add	$16, %rsp
	iretq

/* --- Registers of the system --------------------------------------------- */

FN long_nop
	ret

FN long_rdmsr				/* (index) -> value */
	mov	%edi, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	ret

FN long_wrmsr				/* (index, value) */
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	.globl	long_wrmsr_insn
long_wrmsr_insn:
	wrmsr
	ret

FN long_cpuid				/* (leaf, subleaf) -> eax, edx, ebx, ecx */
	mov	%edi, %eax
	mov	%esi, %ecx
	cpuid
	ret

FN long_cpuid_prefixed			/* the same behind prefixes it ignores */
	mov	%edi, %eax
	mov	%esi, %ecx
	.byte	0x66, 0x2e, 0x48, 0x0f, 0xa2
	ret

FN long_xsetbv				/* (index, value) */
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	.globl	long_xsetbv_insn
long_xsetbv_insn:
	xsetbv
	ret

FN long_xgetbv				/* (index) -> value */
	mov	%edi, %ecx
	xgetbv
	shl	$32, %rdx
	or	%rdx, %rax
	ret

FN long_rdtsc
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret

	.macro	CONTROL n
FN long_rdcr\n
	mov	%cr\n, %rax
	ret
FN long_wrcr\n				/* (value) -> read back */
	.globl	long_wrcr\n\()_insn
long_wrcr\n\()_insn:
	mov	%rdi, %cr\n
	mov	%cr\n, %rax
	ret
	.endm
	CONTROL	0
	CONTROL	2
	CONTROL	3
	CONTROL	4
	CONTROL	8

FN long_clts
	clts
	mov	%cr0, %rax
	ret

FN long_lmsw				/* (msw) -> CR0 */
	lmsw	%di
	mov	%cr0, %rax
	ret

FN long_set_dr				/* (dr0, dr1, dr2, dr3) */
	mov	%rdi, %dr0
	mov	%rsi, %dr1
	mov	%rdx, %dr2
	mov	%rcx, %dr3
	ret

FN long_get_dr				/* -> dr0, dr1, dr2, dr3 */
	mov	%dr0, %rax
	mov	%dr1, %rdx
	mov	%dr2, %rbx
	mov	%dr3, %rcx
	ret

FN long_wrdr6
	mov	%rdi, %dr6
	ret

FN long_wrdr7
	mov	%rdi, %dr7
	ret

FN long_rddr67				/* -> dr6, dr7 */
	mov	%dr6, %rax
	mov	%dr7, %rdx
	ret

/* --- Ports --------------------------------------------------------------- */

	.macro	PORT suffix, reg, rsrc
FN long_out\suffix			/* (port, data) */
	mov	%edi, %edx
	mov	%rsi, %rax
	out	\reg, %dx
	ret
FN long_in\suffix			/* (port, rax before) -> rax */
	mov	%edi, %edx
	mov	%rsi, %rax
	in	%dx, \reg
	ret
FN long_out\suffix\()_imm		/* (ignored, data): port 0x80 */
	mov	%rsi, %rax
	out	\reg, $0x80
	ret
FN long_in\suffix\()_imm
	mov	%rsi, %rax
	in	$0x80, \reg
	ret
FN long_outs\suffix			/* (port, address) -> rsi after */
	mov	%edi, %edx
	outs\suffix
	mov	%rsi, %rax
	ret
FN long_ins\suffix			/* (port, address) -> rdi after */
	mov	%edi, %edx
	mov	%rsi, %rdi
	ins\suffix
	mov	%rdi, %rax
	ret
FN long_rep_outs\suffix			/* (port, address, count, backwards) */
	call	string_args
	rep outs\suffix
	mov	%rsi, %rax
	cld
	ret
FN long_rep_ins\suffix
	call	string_args
	mov	%rsi, %rdi
	rep ins\suffix
	mov	%rdi, %rax
	cld
	ret
	.endm
	PORT	b, %al
	PORT	w, %ax
	PORT	l, %eax

string_args:
	test	%ecx, %ecx
	mov	%rdx, %rcx
	mov	%edi, %edx
	jz	1f
	std
1:	ret

FN long_out_prefixed			/* (port, data): ignored prefixes */
	mov	%edi, %edx
	mov	%rsi, %rax
	.byte	0x2e, 0x3e, 0x26, 0x67, 0xf2, 0xf3, 0x48, 0xee
	ret

FN long_in_prefixed			/* (port, rax before) -> rax */
	mov	%edi, %edx
	mov	%rsi, %rax
	.byte	0x64, 0x65, 0x36, 0xf3, 0x41, 0xec
	ret

FN long_out_longest			/* fifteen bytes */
	mov	%edi, %edx
	mov	%rsi, %rax
	.fill	14, 1, 0x2e
	out	%al, %dx
	ret

FN long_fs_outsb			/* (port, offset from FS) -> rsi */
	mov	%edi, %edx
	.byte	0x64
	outsb
	mov	%rsi, %rax
	ret

FN long_addr32_rep_outsb		/* (port, address, count) -> rsi */
	call	string_args
	mov	$0xffffffff00000000, %rax
	or	%rax, %rcx		/* ECX counts, not RCX */
	.byte	0x67
	rep outsb
	mov	%rsi, %rax
	ret

/* --- Interrupts ---------------------------------------------------------- */

FN long_hlt				/* with interrupts on; -> after one came */
	sti
	hlt
	cli
	ret

FN long_sti_shadow			/* -> rax: 1 if the shadow was kept */
	xor	%eax, %eax
	sti
	.globl	long_shadow_first, long_shadow_after
long_shadow_first:
	inc	%eax			/* still in the shadow */
long_shadow_after:
	nop
	nop
	cli
	ret

FN long_sti_nop_loop			/* opens and closes the window b times */
	mov	%rdi, %rcx
1:	sti
	nop
	nop
	cli
	loop	1b
	ret

FN long_sti_ret				/* goes on with interrupts on */
	mov	%rdi, %rcx
	sti
1:	pause
	loop	1b
	cli
	ret

FN long_spin				/* until MB_STOP, interrupts on */
	sti
	jmp	1f
FN long_spin_cli			/* the same with interrupts off */
	cli
1:	incq	%gs:MB_COUNTER
	pause
	cmpq	$0, %gs:MB_STOP
	je	1b
	cli
	ret

FN long_spin_exits			/* the same by exits that end in the kernel */
	sti
	jmp	1f
FN long_spin_exits_cli
	cli
1:	incq	%gs:MB_COUNTER
	xor	%eax, %eax
	cpuid
	cmpq	$0, %gs:MB_STOP
	je	1b
	cli
	ret

FN long_jmp_self			/* nothing ends this from inside */
	cli
1:	jmp	1b

FN long_hlt_loop			/* (n): n interrupts, asleep in between */
	mov	%rdi, %rcx
1:	mov	%gs:MB_IRQS, %rax
	cmp	%rcx, %rax
	jae	2f
	sti
	hlt
	cli
	jmp	1b
2:	ret

FN long_out_then_int3			/* (port): the test acts in between */
	mov	%edi, %edx
	out	%al, %dx
	.globl	long_the_int3
long_the_int3:
	int3
	ret

FN long_out_then_int			/* INT 0x50: counted, comes back */
	mov	%edi, %edx
	out	%al, %dx
	.globl	long_the_int
long_the_int:
	int	$0x50
	.globl	long_after_int
long_after_int:
	ret

FN long_out_then_ud			/* a fault delivered by hardware */
	mov	%edi, %edx
	out	%al, %dx
	.globl	long_the_ud
long_the_ud:
	ud2

FN long_out_then_load			/* (port, address): guest #PF */
	mov	%edi, %edx
	out	%al, %dx
	.globl	long_the_load
long_the_load:
	mov	(%rsi), %rax
	ret

FN long_tf_cpuid			/* single-step an emulated instruction */
	pushfq
	orq	$0x100, (%rsp)
	xor	%eax, %eax
	popfq
	cpuid				/* TF was set before it */
	.globl	long_tf_after
long_tf_after:
	nop
	ret

FN long_tf_out				/* (port): the same with an I/O exit */
	mov	%edi, %edx
	pushfq
	orq	$0x100, (%rsp)
	popfq
	out	%al, %dx
	.globl	long_tf_out_after
long_tf_out_after:
	nop
	ret

FN long_tf_sti				/* single-step over STI */
	cli
	pushfq
	orq	$0x100, (%rsp)
	popfq
	sti
	.globl	long_tf_sti_after
long_tf_sti_after:
	nop
	ret

FN long_tf_store			/* (address, value): the client emulates it */
	pushfq
	orq	$0x100, (%rsp)
	popfq
	mov	%rsi, (%rdi)
	.globl	long_tf_store_after
long_tf_store_after:
	nop
	ret

/* MOV SS from memory, whose watchpoint it holds until after the next one. */
	.macro	BEHIND_SS name, insn:vararg
FN long_ss_\name			/* (address of the selector, port) */
	mov	%esi, %edx
	xor	%eax, %eax
	mov	(%rdi), %ss
	\insn
	.globl	long_ss_\name\()_after
long_ss_\name\()_after:
	nop
	ret
	.endm
	BEHIND_SS nop, nop
	BEHIND_SS cpuid, cpuid
	BEHIND_SS hlt, hlt
	BEHIND_SS out, out %al, %dx
	BEHIND_SS wbinvd, wbinvd

FN long_watched_out			/* (port): an I/O breakpoint */
	mov	%edi, %edx
	out	%al, %dx
	.globl	long_watched_out_after
long_watched_out_after:
	nop
	ret

FN long_watched_in			/* (port) */
	mov	%edi, %edx
	in	%dx, %al
	.globl	long_watched_in_after
long_watched_in_after:
	nop
	ret

FN long_watched_rep_outsb		/* (port, address, count) */
	call	string_args
	.globl	long_watched_rep_outsb_insn, long_watched_rep_outsb_after
long_watched_rep_outsb_insn:
	rep outsb
long_watched_rep_outsb_after:
	nop
	ret

FN long_watched_rep_insb		/* (port, address, count) */
	call	string_args
	mov	%rsi, %rdi
	.globl	long_watched_rep_insb_insn, long_watched_rep_insb_after
long_watched_rep_insb_insn:
	rep insb
long_watched_rep_insb_after:
	nop
	ret

FN long_watched_lmsw			/* (address) */
	lmsw	(%rdi)
	.globl	long_watched_lmsw_after
long_watched_lmsw_after:
	nop
	ret

FN long_sti_cpuid			/* the shadow ends with an emulated insn */
	xor	%eax, %eax
	sti
	cpuid
	.globl	long_sti_cpuid_after
long_sti_cpuid_after:
	nop
	nop
	cli
	ret

/* --- Memory -------------------------------------------------------------- */

FN long_load				/* (address) -> value */
	mov	(%rdi), %rax
	ret
FN long_load_b
	movzbl	(%rdi), %eax
	ret
FN long_store				/* (address, value) */
	.globl	long_store_insn
long_store_insn:
	mov	%rsi, (%rdi)
	ret
FN long_store_b
	mov	%sil, (%rdi)
	ret
FN long_rmw				/* (address): adds one */
	lock incq (%rdi)
	ret
FN long_exec				/* (address) */
	call	*%rdi
	ret

FN long_fill				/* (start, bytes, step, seed) */
1:	mov	%rcx, (%rdi)
	inc	%rcx
	add	%rdx, %rdi
	sub	%rdx, %rsi
	ja	1b
	ret

FN long_verify				/* (start, bytes, step, seed) -> errors */
1:	cmp	%rcx, (%rdi)
	je	2f
	inc	%rax
2:	inc	%rcx
	add	%rdx, %rdi
	sub	%rdx, %rsi
	ja	1b
	ret

FN long_verify_loop			/* the same until MB_STOP -> errors */
	mov	%rdi, %r8
	mov	%rsi, %r9
	mov	%rcx, %r10
1:	mov	%r8, %rdi
	mov	%r9, %rsi
	mov	%r10, %rcx
2:	cmp	%rcx, (%rdi)
	je	3f
	inc	%rax
3:	inc	%rcx
	add	%rdx, %rdi
	sub	%rdx, %rsi
	ja	2b
	incq	%gs:MB_COUNTER
	cmpq	$0, %gs:MB_STOP
	je	1b
	ret

FN long_store_loop			/* (address): counts there until MB_STOP */
1:	incq	(%rdi)
	incq	%gs:MB_COUNTER
	cmpq	$0, %gs:MB_STOP
	je	1b
	ret

FN long_lock_inc_loop			/* (address, n): n locked increments */
	mov	%rsi, %rcx
1:	lock incq (%rdi)
	loop	1b
	ret

/*
 * (start, pages, stamps, flags): counts in the first and the last word of each
 * page, over and over until MB_STOP; `stamps` are what it wrote last. The third
 * word becomes what the second is. -> 0, or 1 and where, what, what it should be.
 */
FN long_stamp_loop
	mov	%rdi, %r8
	mov	%rsi, %r9
	mov	%rdx, %r10
	mov	%rcx, %r11
1:	mov	%r8, %rdi
	mov	%r9, %rsi
	mov	%r10, %rdx
2:	mov	(%rdx), %rcx
	mov	(%rdi), %rbx
	cmp	%rcx, %rbx
	je	3f
	call	stamp_restarts
	xor	%ecx, %ecx
	jmp	4f
3:	mov	4088(%rdi), %rbx
	cmp	%rcx, %rbx
	je	4f
	call	stamp_restarts
4:	test	$STAMP_READ, %r11b
	jnz	5f
	inc	%rcx
	mov	%rcx, (%rdi)
	mov	%rcx, 4088(%rdi)
	mov	8(%rdi), %rbx
	mov	%rbx, 16(%rdi)
5:	mov	%rcx, (%rdx)
	add	$4096, %rdi
	add	$8, %rdx
	dec	%rsi
	jnz	2b
	incq	%gs:MB_COUNTER
	cmpq	$0, %gs:MB_STOP
	je	1b
	ret

stamp_restarts:				/* a word is not as it was: is it new? */
	test	$STAMP_ZEROS, %r11b
	jz	1f
	test	%rbx, %rbx
	jnz	1f
	ret
1:	add	$8, %rsp
	mov	%rdi, %rdx
	mov	$1, %eax
	ret

/* --- Floating point and vectors ------------------------------------------ */

FN long_sse				/* (256 bytes, rounds) -> differences */
	.irp	r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu	(\r*16)(%rdi), %xmm\r
	.endr
	mov	%rsi, %r9
1:	mov	%r9, %r8
	xor	%eax, %eax
	cpuid				/* an exit, handled in the kernel */
	mov	$2000, %ecx
2:	pause
	loop	2b
	incq	%gs:MB_COUNTER
	mov	%r8, %r9
	dec	%r9
	jnz	1b
	sub	$256, %rsp
	.irp	r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu	%xmm\r, (\r*16)(%rsp)
	.endr
	xor	%eax, %eax
	mov	$31, %ecx
3:	mov	(%rsp,%rcx,8), %rdx
	cmp	(%rdi,%rcx,8), %rdx
	je	4f
	inc	%eax
4:	dec	%ecx
	jns	3b
	add	$256, %rsp
	ret

FN long_avx				/* (512 bytes, rounds) -> differences */
	.irp	r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	(\r*32)(%rdi), %ymm\r
	.endr
	mov	%rsi, %r9
1:	xor	%eax, %eax
	cpuid
	mov	$2000, %ecx
2:	pause
	loop	2b
	incq	%gs:MB_COUNTER
	dec	%r9
	jnz	1b
	sub	$512, %rsp
	.irp	r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%ymm\r, (\r*32)(%rsp)
	.endr
	xor	%eax, %eax
	mov	$63, %ecx
3:	mov	(%rsp,%rcx,8), %rdx
	cmp	(%rdi,%rcx,8), %rdx
	je	4f
	inc	%eax
4:	dec	%ecx
	jns	3b
	add	$512, %rsp
	ret

FN long_dump_sse			/* (256 bytes): what the registers hold */
	.irp	r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu	%xmm\r, (\r*16)(%rdi)
	.endr
	ret

/* --- Instructions with a policy ------------------------------------------ */

	.macro	PLAIN name, insn:vararg
FN long_\name
	.globl	long_\name\()_insn
long_\name\()_insn:
	\insn
	ret
	.endm
	PLAIN	ud2, ud2
	PLAIN	invd, invd
	PLAIN	wbinvd, wbinvd
	PLAIN	vmmcall, vmmcall
	PLAIN	vmcall, vmcall
	PLAIN	vmrun, .byte 0x0f, 0x01, 0xd8
	PLAIN	vmload, .byte 0x0f, 0x01, 0xda
	PLAIN	vmsave, .byte 0x0f, 0x01, 0xdb
	PLAIN	stgi, .byte 0x0f, 0x01, 0xdc
	PLAIN	clgi, .byte 0x0f, 0x01, 0xdd
	PLAIN	skinit, .byte 0x0f, 0x01, 0xde
	PLAIN	invlpga, .byte 0x0f, 0x01, 0xdf
	PLAIN	vmxoff, .byte 0x0f, 0x01, 0xc4
	PLAIN	monitor, .byte 0x0f, 0x01, 0xc8
	PLAIN	mwait, .byte 0x0f, 0x01, 0xc9
	PLAIN	rdtscp, .byte 0x0f, 0x01, 0xf9
	PLAIN	rdpid, .byte 0xf3, 0x0f, 0xc7, 0xf8	/* %rax */
	PLAIN	rdpmc, rdpmc
	PLAIN	invlpg, invlpg (%rdi)
	PLAIN	pause, pause
	PLAIN	rsm, .byte 0x0f, 0xaa
	PLAIN	getsec, .byte 0x0f, 0x37

FN long_tsc_aux				/* what RDTSCP puts in ECX */
	.byte	0x0f, 0x01, 0xf9
	mov	%ecx, %eax
	ret

FN long_triple				/* no IDT: an exception is the end */
	lidt	1f
	.globl	long_triple_insn
long_triple_insn:
	ud2
	.p2align 3
1:	.word	0
	.quad	0

FN long_div0
	xor	%edx, %edx
	xor	%ecx, %ecx
	div	%ecx
	ret

/* --- CPL 3 --------------------------------------------------------------- */

FN long_user				/* (function): call it at CPL 3 */
	push	$SEL_UDATA
	push	$LAYOUT_USTACK
	push	$2
	push	$SEL_UCODE64
	push	%rdi
	iretq

/* These end with UD2, so vector 6 there says that nothing faulted before. */
	.macro	USER name, insn:vararg
FN user_\name
	xor	%ecx, %ecx
	.globl	user_\name\()_insn
user_\name\()_insn:
	\insn
	.globl	user_\name\()_end
user_\name\()_end:
	ud2
	.endm
	USER	nop, nop
	USER	hlt, hlt
	USER	out, out %al, $0x80
	USER	outsb, outsb
	USER	rdmsr, rdmsr
	USER	wrmsr, wrmsr
	USER	xsetbv, xsetbv
	USER	vmmcall, vmmcall
	USER	vmcall, vmcall
	USER	invd, invd
	USER	movcr, mov %rax, %cr0
	USER	cpuid, cpuid
	USER	int3, int3

/* #AC at CPL 3: AM is in CR0, AC comes with the flags. */
FN user_ac
	pushfq
	orq	$0x40000, (%rsp)
	popfq
	.globl	user_ac_insn
user_ac_insn:
	mov	1(%rsp), %eax
	ud2
