/* SPDX-License-Identifier: ISC */
/*
 * nospec.h - indexes that a guest or a caller controls.
 *
 * The rule: an index that comes from a guest (a GPA, an exit code, the operand
 * of an instruction) or from an ioctl's arguments, and that a branch has checked
 * against a limit, goes through index_nospec() before memory is read with it.
 * Otherwise the CPU may mispredict the branch, read beyond the table, and leave
 * a trace of what it found there in its caches (Spectre v1). No call is needed
 * where arithmetic alone keeps the index below the limit: a mask, a remainder, a
 * shift. tests/style.py knows the usual names of such indexes.
 */
#ifndef CORE_NOSPEC_H
#define CORE_NOSPEC_H

#include "host_os.h"

/* index if that is below limit, otherwise 0; also when speculating. */
static inline uint64_t
index_nospec(uint64_t index, uint64_t limit)
{
	uint64_t mask;

	/* The borrow of index - limit, in all bits: no branch. */
	__asm__ volatile("cmp %2, %1\n\tsbb %0, %0"
	    : "=r" (mask) : "r" (index), "r" (limit) : "cc");
	return index & mask;
}

#endif /* CORE_NOSPEC_H */
