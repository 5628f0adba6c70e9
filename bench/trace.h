/* SPDX-License-Identifier: ISC */
/*
 * trace.h - marks that a tracing emulator sees: an instruction without effect,
 * which nobody else uses. Bochs calls it a magic breakpoint; in QEMU,
 * trace_qemu.c looks for it.
 *
 * One round of an operation is what runs from a mark to the next. When tracing,
 * an operation has TRACE_ROUNDS rounds, and so many marks; what comes between
 * the last two is written down.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#define TRACE_ROUNDS	5

#ifdef __ASSEMBLER__
#define MARK	xchg %bx, %bx
#else
#define MARK()	__asm__ volatile("xchg %%bx, %%bx" : : : "memory")
#endif

#endif /* BENCH_TRACE_H */
