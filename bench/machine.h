/* SPDX-License-Identifier: ISC */
/*
 * machine.h - a VM with one vCPU, made by vmm or by KVM, for the benchmark.
 *
 * Both run the guests of tests/guest and of guest.S in memory that
 * tests/system/vm.c prepares; a hypervisor is a table of what differs.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <pthread.h>
#include "../tests/system/vm.h"

#define GUEST_CODE	LAYOUT_SCRATCH	/* where guest.S is copied to */
#define MMIO_PAGE	(4 * MB)	/* what the client keeps from the guest */

/* Why the guest stopped. */
enum stop { STOP_NOTHING, STOP_OUT, STOP_IN, STOP_HLT, STOP_MMIO, STOP_WINDOW };

struct kvm_run;

struct machine {
	const struct hypervisor *by;
	struct vm *vm;			/* its memory; with vmm, all of it */
	struct vcpu *cpu;
	struct vm_run_params run;	/* vmm */
	int	 kvm_vm, kvm_cpu;	/* KVM */
	struct kvm_run *kvm_run;
	pthread_t thread;		/* of the vCPU, if it has one of its own */
};

struct hypervisor {
	const char *name;
	/* A VM over m->vm's memory; its vCPU starts at g_long_start. */
	void	(*create)(struct machine *m);
	void	(*destroy)(struct machine *m);
	/* Go on, with an interrupt of this vector or NO_IRQ. */
	enum stop (*run)(struct machine *m, unsigned int vector);
	/* What the IN that stopped the guest reads. */
	void	(*answer)(struct machine *m, uint8_t value);
	/* The client wants to know when the guest can take an interrupt. */
	void	(*want_window)(struct machine *m, bool wanted);
	/* All registers come with an exit; else, only what the operation needs. */
	void	(*want_registers)(struct machine *m);
	/* The guest can take one now. */
	bool	(*ready)(struct machine *m);
	/* From another thread: there is an interrupt, the guest must stop for it. */
	void	(*kick)(struct machine *m);
	/* MMIO_PAGE stops the guest from now on. */
	void	(*protect)(struct machine *m);
	/* Past the store that stopped it. */
	void	(*skip_store)(struct machine *m);
	/* All that READREGS gives; the same back. */
	void	(*read_registers)(struct machine *m);
	void	(*write_registers)(struct machine *m);
	/* How many VMs there are, by INFO; KVM has nothing like it. */
	unsigned int (*list)(struct machine *m);
};

extern const struct hypervisor hypervisor_vmm, hypervisor_kvm;

/* A VM that is ready to run guest.S, and its end. */
struct machine *machine_new(const struct hypervisor *by, uint64_t size);
void	machine_free(struct machine *m);
/* Another VM over the memory of one that is there, and ends later. */
struct machine *machine_beside(const struct machine *m);
void	machine_free_beside(struct machine *m);
/* The guest's address of a function of guest.S. */
uint64_t machine_function(const char *function);
/* Run until HLT, whatever else comes. */
void	machine_until_hlt(struct machine *m);

#endif /* BENCH_MACHINE_H */
