/* SPDX-License-Identifier: ISC */
/*
 * linux.h - puts a Linux kernel into guest memory and says how to enter it.
 */
#ifndef VMCTL_LINUX_H
#define VMCTL_LINUX_H

#include "ram.h"

struct vcpu_reg_state;

struct linux_image {
	int kernel;		/* open file; regular */
	int initrd;		/* open file, or -1 */
	const char *kernel_name;
	const char *initrd_name;
	const char *cmdline;
};

struct linux_entry {
	uint64_t rip;
	uint64_t boot_params;
	uint64_t page_table;
	uint64_t gdt;
	uint16_t gdt_limit;
};

/* Loads the image into zeroed @ram. The files are checked, never trusted. */
int linux_load(const struct ram *ram, const struct linux_image *image, struct linux_entry *entry,
	       struct err *e);
/* The register state of the 64-bit boot protocol. */
void linux_registers(const struct linux_entry *entry, struct vcpu_reg_state *regs);

#endif /* VMCTL_LINUX_H */
