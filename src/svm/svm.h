/* SPDX-License-Identifier: ISC */
/*
 * svm.h - what the files of the SVM backend share.
 */
#ifndef SVM_H
#define SVM_H

#include "backend.h"
#include "svm_controls.h"
#include "svm_vmcb.h"

/* The registers in a VMCB, from the segments to the branch records. */
#define SVM_SAVED		offsetof(struct vmcb, es)
#define SVM_SAVED_SIZE	(offsetof(struct vmcb, reserved_6a0) - SVM_SAVED)

/* One CPU. Only that CPU touches it once the CPU is on. */
struct svm_cpu {
	bool	 on;
	void	*hsave;		/* VM_HSAVE_PA: what VMRUN saves */
	void	*host_vmcb;	/* what VMRUN does not: VMSAVE's part */
	uint64_t host_vmcb_pa;
	uint64_t old_hsave_pa;	/* as it was before cpu_on */
	uint64_t xss, tsc_aux;	/* the kernel sets them once; 0: not switched */
	uint32_t next_asid;
	uint64_t asid_gen;	/* grows when all ASIDs have been given out */
	uint64_t last_vcpu;	/* tag of the vCPU that ran last, 0: none */
	uint32_t times_on;
	bool	 bp_reduced;	/* BP_SPEC_REDUCE is ours to clear */
};

struct svm_vcpu {
	struct vmcb *vmcb;
	/*
	 * What VMRUN was given, while it has not taken the state yet: a CPU that
	 * refuses it may leave its own registers in the VMCB (QEMU does).
	 */
	uint8_t	 tried[SVM_SAVED_SIZE];
	bool	 untried;	/* registers have been written since */
	uint64_t vmcb_pa;
	uint64_t host_vmcb_pa;	/* of this CPU */
	uint64_t tag;		/* unique among all vCPUs ever */
	uint32_t cpu;		/* of the ASID and the clean bits */
	uint32_t times_on;	/* of that CPU then */
	uint64_t asid_gen;	/* of the ASID; 0: none */
	bool	 window;	/* the interrupt window is requested */
	bool	 virq;		/* the virtual interrupt is v->inject */
	bool	 host_saved;	/* host_vmcb is this thread's, on this CPU */
};

/* The machine; constant after attach but for what is marked. */
struct svm_machine {
	struct svm_caps caps;
	uint32_t max_asid;
	bool	 la57;		/* the host's page tables have five levels */
	bool	 has_xss;
	bool	 bp_spec_reduce;	/* the host wants it around guests */
	bool	 reads_tsc_aux;	/* a guest can, without an exit */
	uint32_t clean;		/* of a VMCB right after an exit */
	bool	 tcg;		/* the CPU is QEMU's; see put_event() */
	bool	 page_1g;	/* leaves of 1 GiB, nested ones too (APM 2 15.25) */
	void	*msrpm, *iopm;	/* the same for every guest */
	struct svm_cpu *cpu;	/* host_cpu_limit() of them */
	uint64_t last_tag;	/* sync_* */
};
extern struct svm_machine svm;

static inline struct svm_vcpu *
svm_vcpu(const struct vcpu *v)
{
	return v->backend;
}

static inline struct vmcb *
vmcb_of(const struct vcpu *v)
{
	return svm_vcpu(v)->vmcb;
}

/* --- svm_run.c: operations of the backend on a vCPU that runs -------------------------- */

void	svm_fetch_state(struct vcpu *v, struct fetch_state *s);
bool	svm_irq_ready(struct vcpu *v);
void	svm_irq_window(struct vcpu *v, bool on);
uint64_t svm_clear_shadow(struct vcpu *v);
int	svm_stay(struct vcpu *v);

#endif /* SVM_H */
