/* SPDX-License-Identifier: ISC */
/*
 * backend.h - what a vendor's virtualisation looks like to the core.
 *
 * One constant object a vendor; the table in backends.c is the only place
 * in the core that names one. Unless noted: the vCPU's lock is
 * held, nothing sleeps, functions returning int give 0 or a negative errno.
 */
#ifndef CORE_BACKEND_H
#define CORE_BACKEND_H

#include "vm.h"

/* The guest's paging and privilege, for the driver's own walks. */
struct guest_mode {
	uint64_t cr0, cr3, cr4, efer, rflags;
	uint8_t	 cpl;
	bool	 code64, code32;	/* CS.L in long mode; CS.D otherwise */
};

struct backend {
	const char *name;		/* as the attach line has it */
	const struct stage2_format *stage2;
	uint8_t	 msr_vendor;		/* MSR_VENDOR_*: which rows apply */
	uint16_t window_reason;		/* exit reason "interrupt window" */
	/* The largest leaf that the CPU takes in stage2; after attach. */
	enum stage2_level (*largest_leaf)(void);
	/* NULL, or: can a leaf allow execution and not reading? After attach. */
	bool	(*execute_only)(void);
	/* Does it set the accessed bits of leaves? After attach. */
	bool	(*accessed_bits)(void);

	/*
	 * May this CPU be used? -ENODEV with a sentence in the log; -ENXIO
	 * without one: it has nothing of the kind. Sleeps.
	 */
	int	(*attach)(void);
	void	(*detach)(void);
	/* One CPU on or off; on that CPU, interrupts off. -EBUSY: another
	 * hypervisor has it. */
	int	(*cpu_on)(void);
	void	(*cpu_off)(void);
	/*
	 * This CPU stops for good: off, whatever it was doing, and with what
	 * it caches of a VM written to memory. See host_cpus_attach().
	 */
	void	(*cpu_emergency)(void);

	/* Per-VM and per-vCPU state; sleep. fini accepts a half-built one. */
	int	(*vm_init)(struct vm *vm);
	void	(*vm_fini)(struct vm *vm);
	int	(*vcpu_init)(struct vcpu *v);
	void	(*vcpu_fini)(struct vcpu *v);
	/* Controls as after power-on; registers follow by regs_write(). */
	void	(*vcpu_reset)(struct vcpu *v);

	/* The client's registers by VM_RWREGS_* groups; values are checked. */
	void	(*regs_read)(struct vcpu *v, uint64_t groups,
		    struct vcpu_reg_state *vrs);
	void	(*regs_write)(struct vcpu *v, uint64_t groups,
		    const struct vcpu_reg_state *vrs);
	/* Single registers, by their name in registers.yaml. */
	uint64_t (*reg_get)(struct vcpu *v, enum reg r);
	void	(*reg_set)(struct vcpu *v, enum reg r, uint64_t value);
	void	(*seg_get)(struct vcpu *v, enum sreg s,
		    struct vcpu_segment_info *seg);
	void	(*mode)(struct vcpu *v, struct guest_mode *m);
	/* Interrupts may be off. */
	void	(*fetch_state)(struct vcpu *v, struct fetch_state *s);

	/* Guest TSC = host TSC + v->tsc_offset from the next entry on. */
	void	(*tsc_offset)(struct vcpu *v);

	/* NULL, or: before a stay in the guest, what may sleep. 0 or -EINTR. */
	int	(*prepare)(struct vcpu *v);
	/*
	 * One stay in the guest: guest_stay() with this backend's operations.
	 * What the outer loop has to do next; -EAGAIN: prepare() is due, or this
	 * CPU is being taken out of use and the scheduler moves the thread.
	 */
	int	(*stay)(struct vcpu *v);
	/* Can the guest take an external interrupt at once? */
	bool	(*irq_ready)(struct vcpu *v);
	/* Exit as soon as it can. */
	void	(*irq_window)(struct vcpu *v, bool on);
	/*
	 * End the interrupt shadow of STI or MOV SS. Returns the debug exceptions
	 * that MOV SS has held, as bits of DR6, and forgets them; 0 on SVM, where
	 * the CPU does not report them.
	 */
	uint64_t (*clear_shadow)(struct vcpu *v);
};

#endif /* CORE_BACKEND_H */
