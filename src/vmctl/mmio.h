/* SPDX-License-Identifier: ISC */
/*
 * mmio.h - instructions that use memory which is not there.
 *
 * The CPU has left the guest in the middle of such an instruction; it is
 * carried out here, on the registers and the guest's memory. There is no
 * device: reads are ones, writes go nowhere.
 */
#ifndef VMCTL_MMIO_H
#define VMCTL_MMIO_H

#include "gva.h"

enum mmio {
	MMIO_DONE,		/* the registers are those behind the instruction */
	MMIO_NO_VALUE,		/* so they are, but a vector register has its old value */
	MMIO_UNKNOWN,		/* not one of the instructions in insns.yaml */
	MMIO_NOT_DATA,		/* code or a page table is where there is no memory */
	MMIO_FAULT,		/* another operand's page is not there, or protected */
};

/*
 * Carries out the instruction at RIP, of whose @n bytes @code is the beginning;
 * they are read from the guest's memory if there are too few. @gpa is the
 * address that the CPU reported. Nothing changes unless it is done.
 * A string instruction may need several calls: RIP stays until it is over.
 */
enum mmio mmio_emulate(const struct guest_cpu *cpu, uint64_t gpa, const uint8_t *code, size_t n);

#endif /* VMCTL_MMIO_H */
