/* SPDX-License-Identifier: ISC */
/*
 * driver.h - /dev/vmm, with its error numbers turned into sentences.
 *
 * Everything returns 0, or -1 with @e filled; driver_run says more.
 */
#ifndef VMCTL_DRIVER_H
#define VMCTL_DRIVER_H

#include <machine/vmmvar.h>

#include "ram.h"

#define DRIVER_PATH	"/dev/vmm"

struct driver {
	int fd;
	uint32_t vm;		/* the VM made last, 0: none */
};

enum driver_run {
	DRIVER_RAN,		/* look at vrp_exit_reason */
	DRIVER_GONE,		/* somebody ended the VM */
	DRIVER_STUCK,		/* the vCPU can not go on; @e says why */
};

int driver_open(struct driver *d, struct err *e);
void driver_close(struct driver *d);
int driver_create(struct driver *d, const char *name, const struct ram *ram, struct err *e);
int driver_reset_cpu(struct driver *d, const struct vcpu_reg_state *regs, struct err *e);
/*
 * The register groups @mask (VM_RWREGS_...) of the stopped vCPU, into their
 * places in @regs; DRIVER_RAN if they are there.
 */
enum driver_run driver_registers(struct driver *d, uint64_t mask, struct vcpu_reg_state *regs,
				 struct err *e);
/* Tells the driver whether an interrupt is pending; kicks a vCPU that is inside the guest. */
void driver_interrupt(struct driver *d, bool pending);
enum driver_run driver_run(struct driver *d, struct vm_run_params *run, struct err *e);
/* Ends VM @id; -1 with @e where there is none. */
int driver_terminate(struct driver *d, uint32_t id, struct err *e);
/* All VMs the caller may see, in an array the caller frees. */
int driver_list(struct driver *d, struct vm_info_result **list, size_t *count, struct err *e);

#endif /* VMCTL_DRIVER_H */
