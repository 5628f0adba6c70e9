/* SPDX-License-Identifier: ISC */
/*
 * layout.h - where things are in a test guest's memory, for its assembly and
 * for the C that drives it.
 */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define LAYOUT_IVT	0x00000		/* real mode: 256 far pointers */
#define LAYOUT_REAL_STACK 0x07800	/* grows down */
#define LAYOUT_REAL	0x08000		/* real.S; below 64 KiB */
#define LAYOUT_PML4	0x10000
#define LAYOUT_PDPT	0x11000
#define LAYOUT_PD0	0x12000		/* 0 to 1 GiB */
#define LAYOUT_PD3	0x13000		/* 3 to 4 GiB: the MMIO hole is there */
#define LAYOUT_PT0	0x14000		/* 0 to 2 MiB in 4 KiB pages */
#define LAYOUT_IDT64	0x15000
#define LAYOUT_GDT	0x16000
#define LAYOUT_IDT32	0x16800
#define LAYOUT_TSS	0x17000		/* with an I/O bitmap of all ones */
#define LAYOUT_PROT	0x1a000		/* prot.S */
#define LAYOUT_LONG	0x20000		/* long.S */
#define LAYOUT_STACKS	0x30000		/* one a vCPU, LAYOUT_STEP each */
#define LAYOUT_MAILBOX	0x50000		/* one a vCPU, LAYOUT_STEP each */
#define LAYOUT_STEP	0x800
#define LAYOUT_PD32	0x70000		/* page directory of 32-bit paging */
#define LAYOUT_PDPT32	0x71000		/* the four PAE pointers */
#define LAYOUT_PDPAE	0x72000
#define LAYOUT_KSTACK	0x75000		/* top; entered from CPL 3 */
#define LAYOUT_USTACK	0x76000		/* top; used at CPL 3 */
#define LAYOUT_SCRATCH	0x80000		/* free for a test's data, 128 KiB */
#define LAYOUT_HIGH	0x100000	/* the same, up to the end of memory */

/* Selectors of the GDT. */
#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_UCODE64	0x33
#define SEL_UDATA	0x3b
#define SEL_TSS		0x40

/*
 * The mailbox: the test puts a function and its arguments in, the guest calls
 * it and leaves the registers it returned with. Offsets of struct mailbox.
 */
#define MB_OP		0x00		/* address of the function */
#define MB_A		0x08		/* RDI, RSI, RDX, RCX */
#define MB_B		0x10
#define MB_C		0x18
#define MB_D		0x20
#define MB_R0		0x28		/* RAX, RDX, RBX, RCX */
#define MB_R1		0x30
#define MB_R2		0x38
#define MB_R3		0x40
#define MB_VECTOR	0x48		/* of the last exception */
#define MB_ERROR	0x50
#define MB_FRIP		0x58
#define MB_FCR2		0x60
#define MB_FCS		0x68
#define MB_FFLAGS	0x70
#define MB_FDR6		0x78
#define MB_FAULTS	0x80		/* exceptions so far */
#define MB_RESUME	0x88		/* where an exception goes on */
#define MB_RSP		0x90
#define MB_STOP		0x98		/* the test asks a loop to end */
#define MB_COUNTER	0xa0		/* a loop shows that it runs */
#define MB_IRQS		0xa8		/* interrupts so far */
#define MB_IRQ_VECTOR	0xb0		/* of the last one */
#define MB_IRQ_RIP	0xb8		/* where the first one came */
#define MB_IRQ_COUNT	0x200		/* 256 counters of 32 bits */

/* Of long_stamp_loop. */
#define STAMP_ZEROS	1		/* a page may become new at any time */
#define STAMP_READ	2		/* look only */

#define ISR_STEP	16		/* bytes from one entry stub to the next */

#endif /* GUEST_LAYOUT_H */
