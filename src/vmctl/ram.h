/* SPDX-License-Identifier: ISC */
/*
 * ram.h - the guest's memory, as one mapping of this process.
 *
 * Guest-physical memory is [0, low) and, for what does not fit below the
 * device window, [4 GiB, 4 GiB + high). In the mapping the two are adjacent.
 */
#ifndef VMCTL_RAM_H
#define VMCTL_RAM_H

#include "util.h"

#define RAM_HIGH_BASE	(4 * GIB)

struct ram {
	uint8_t *base;
	uint64_t low;
	uint64_t high;
};

/* @size is a multiple of 1 MiB. The memory is zero; it takes host memory when touched. */
int ram_init(struct ram *r, uint64_t size, struct err *e);
/* Zeroes the memory by giving it back to the host. */
int ram_clear(struct ram *r, struct err *e);
void ram_free(struct ram *r);
/* Host address of [@gpa, @gpa + @len), or NULL if not all of it is memory of one range. */
void *ram_at(const struct ram *r, uint64_t gpa, uint64_t len);

#endif /* VMCTL_RAM_H */
