/* SPDX-License-Identifier: ISC */
/*
 * guest.S - what guests of the benchmark do: loops around one operation.
 *
 * Each is a function that long_start (tests/guest/long.S) calls by the mailbox.
 * The code runs where machine_new() copies it, so it names no address. n is the
 * number of rounds; the table in operations.c knows how many instructions of a
 * round are the loop's own. Each round begins with MARK: see trace.h.
 */
#include "trace.h"

	.section .rodata
	.code64
	.macro FN name
	.globl	\name
	.p2align 4
\name:
	.endm

FN bench_guest

FN guest_cpuid				/* (n) */
	xor	%eax, %eax
1:	MARK
	cpuid
	xor	%eax, %eax
	dec	%rdi
	jnz	1b
	ret

FN guest_rdmsr				/* (n, index) */
	mov	%esi, %ecx
1:	MARK
	rdmsr
	dec	%rdi
	jnz	1b
	ret

FN guest_wrmsr				/* (n, index, value) */
	mov	%esi, %ecx
	mov	%edx, %eax
	shr	$32, %rdx
1:	MARK
	wrmsr
	dec	%rdi
	jnz	1b
	ret

FN guest_cr0				/* (n): MP off and on */
	mov	%cr0, %rax
1:	MARK
	xor	$2, %rax
	mov	%rax, %cr0
	dec	%rdi
	jnz	1b
	ret

FN guest_cr4				/* (n): PSE, without effect in long mode */
	mov	%cr4, %rax
1:	MARK
	xor	$0x10, %rax
	mov	%rax, %cr4
	dec	%rdi
	jnz	1b
	ret

FN guest_out				/* (n) */
1:	MARK
	out	%al, $0x80
	dec	%rdi
	jnz	1b
	ret

FN guest_in				/* (n) */
1:	MARK
	in	$0x80, %al
	dec	%rdi
	jnz	1b
	ret

FN guest_hlt				/* (n): asleep until an interrupt comes */
1:	MARK
	sti
	hlt
	cli
	dec	%rdi
	jnz	1b
	ret

FN guest_window				/* (n): interrupts are off at the OUT */
1:	MARK
	out	%al, $0x80
	sti
	nop
	cli
	dec	%rdi
	jnz	1b
	ret

FN guest_store				/* (n, address, step) */
1:	MARK
	mov	%rdi, (%rsi)
	add	%rdx, %rsi
	dec	%rdi
	jnz	1b
	ret

	.p2align 4
	.globl	bench_guest_end
bench_guest_end:
	.section .note.GNU-stack, "", @progbits
