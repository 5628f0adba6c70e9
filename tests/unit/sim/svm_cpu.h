/* SPDX-License-Identifier: ISC */
/*
 * sim/svm_cpu.h - simulated SVM behind the names of src/svm/svm_cpu.h.
 *
 * A "guest" is a C function of the test: it gets the VMCB as VMRUN would load
 * it, does what its instructions would do, and leaves an exit code behind.
 */
#ifndef SVM_CPU_H
#define SVM_CPU_H

#include "cpu.h"
#include "svm_vmcb.h"

void	svm_clgi(void);
void	svm_stgi(void);
void	svm_vmsave(uint64_t pa);
void	svm_enter(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_vmcb_pa);

/* --- For tests ------------------------------------------------------------ */

/* Fills exitcode and the like; gpr[] is in ABI order. */
typedef void sim_guest(struct vmcb *vmcb, uint64_t *gpr, void *arg);

#define SIM_ASIDS	64	/* the host's 0 included */

/* What one CPU remembers between two VMRUNs. */
struct sim_svm_cpu {
	bool	 gif_clear;
	const struct vmcb *vmcb;	/* the last one, as it was at its exit */
	struct vmcb left;
	const struct vmcb *asid[SIM_ASIDS];	/* who filled the TLB */
};

/*
 * VMRUN panics where a CPU would silently do the wrong thing: a clean bit for
 * something that has changed, an ASID with another vCPU's translations.
 */
struct sim_svm {
	sim_guest *guest;
	void	*arg;
	uint64_t entries;	/* VMRUNs that the CPU accepted */
	uint64_t refused;	/* and those it did not */
	/* The control block as VMRUN saw it the last time. */
	struct vmcb entered;
	unsigned int entered_on;	/* CPU */
	struct sim_svm_cpu cpu[HOST_USER_CPUS];
	/* What this CPU can do beyond the minimum (CPUID 0x8000000A EDX). */
	bool	 nrip_save, decode_assists, clean_bits, flush_by_asid;
};
extern struct sim_svm sim_svm;

/*
 * The event that an entry brings, in the form of EVENTINJ; 0: none. A virtual
 * interrupt whose intercept is off is one.
 */
uint64_t sim_svm_event(const struct vmcb *entered);

/* Before the driver attaches: a CPU with all features, or with none. */
void	sim_svm_reset(bool all_features);

#endif /* SVM_CPU_H */
