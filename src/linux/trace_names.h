/* SPDX-License-Identifier: ISC */
/*
 * trace_names.h - numbers and words of the trace events. The numbers stand
 * here as numbers because the tools that read a trace see this text, and
 * know no enum of ours; trace_names.c asserts that they are right.
 */
#ifndef LINUX_TRACE_NAMES_H
#define LINUX_TRACE_NAMES_H

/* VMM_TRACE_EXIT_KINDS and VMM_TRACE_EXCEPTIONS are generated. */
#include "trace_words.h"

/* STAGE2_R, _W, _X */
#define VMM_TRACE_ACCESS						\
	{ 1, "read" }, { 2, "write" }, { 4, "exec" }

/* enum memory_fault, and the errors of memory_fault() */
#define VMM_TRACE_FAULTS						\
	{ 0, "mapped" }, { 1, "mmio" }, { 2, "protect" },		\
	{ -12, "no memory" }, { -4, "interrupted" }

/* Exceptions by vector, and enum event_type for the others. */
#define VMM_TRACE_EVENT(type, vector)					\
	((type) == 3 ? (vector) : 0x100 + (type))
#define VMM_TRACE_EVENTS						\
	{ 0x100, "none" }, { 0x101, "interrupt" }, { 0x102, "nmi" },	\
	VMM_TRACE_EXCEPTIONS

#endif /* LINUX_TRACE_NAMES_H */
