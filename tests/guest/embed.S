/* SPDX-License-Identifier: ISC */
/* embed.S - the flat guests as data of the test program. */
	.section .rodata
	.macro	IMAGE name
	.globl	guest_\name, guest_\name\()_end
	.p2align 4
guest_\name:
	.incbin	"\name\().bin"
guest_\name\()_end:
	.endm
	IMAGE	real
	IMAGE	prot
	IMAGE	long
	.section .note.GNU-stack, "", @progbits
