/* SPDX-License-Identifier: ISC */
/*
 * sim/svm_cpu.h - simulated SVM behind the names of src/svm/svm_cpu.h.
 *
 * Tests of SVM itself may look at the VMCB: sim_svm_entered() is how VMRUN
 * found it, and a guest can change sim_svm_vmcb().
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

#define SIM_ASIDS	64	/* the host's 0 included */

/* What a CPU can do beyond the minimum (CPUID 0x8000000A EDX). */
enum sim_svm_option {
	SIM_SVM_NRIP_SAVE, SIM_SVM_CLEAN_BITS, SIM_SVM_FLUSH_BY_ASID,
	SIM_SVM_DECODE_ASSISTS,
	SIM_SVM_OPTIONS
};
#define SIM_SVM_ALL	((1u << SIM_SVM_OPTIONS) - 1)

/* What one CPU remembers between two VMRUNs. */
struct sim_svm_cpu {
	bool	 gif_clear;
	bool	 host_only;		/* counters leave guests out */
	const struct vmcb *vmcb;	/* the last one, as it was at its exit */
	struct vmcb left;
	struct vmcb entered;		/* as VMRUN found it the last time */
	struct vmcb *inside;		/* of the guest that is inside */
	const struct vmcb *asid[SIM_ASIDS];	/* who filled the TLB */
};

/*
 * VMRUN panics where a CPU would silently do the wrong thing: a clean bit for
 * something that has changed, an ASID with another vCPU's translations.
 */
struct sim_svm {
	unsigned int options;
	struct sim_svm_cpu cpu[HOST_USER_CPUS];
	/* NRIP of a guest outside 64-bit mode: the low half only. */
	bool	 nrip_half;
};
extern struct sim_svm sim_svm;

/* Of the last VMRUN on any CPU; of the guest inside on this one. */
const struct vmcb *sim_svm_entered(void);
struct vmcb *sim_svm_vmcb(void);

bool	sim_svm_has(enum sim_svm_option o);
/* Before the driver attaches, after sim_reset(): an AMD CPU. */
void	sim_svm_reset(unsigned int options);
struct exit_info;
/* EXITCODE of an exit; SIM_NO_NUMBER: SVM has none such. */
uint64_t sim_svm_code(const struct exit_info *x);

#endif /* SVM_CPU_H */
