/* SPDX-License-Identifier: ISC */
/*
 * vm.h - the driver's objects: who owns them, which lock guards what.
 *
 * Lock order, outermost first:
 *   vcpu.lock (mutex)       one vCPU: RUN holds it for as long as it runs
 *   vmm.lock (mutex)        virtualisation on and off, the count of vCPUs
 *   [address-space locks of the host]
 *   vm.mem_lock (mutex)     second-stage tables and protections
 *   vmm.table_lock (spin)   changes of the table of VMs, the sessions' lists
 *
 * References: a VM starts with one reference, held by the table; every ioctl
 * takes one for its duration. Delisting (TERM, the last close, the end of the
 * creator) drops the table's. vCPUs live and die
 * with their VM. An ioctl that finds vm->dying set reports ENOENT.
 *
 * The end of a VM: whoever can still call in goes before what it would reach.
 *   1. Delisted: no ioctl finds it. Its vCPUs leave the guest, and none enters.
 *   2. The last reference: no ioctl, no deferred call and no kick reaches it.
 *   3. The watches of its memory: until the last of them is removed, an
 *	invalidation may take mem_lock, change the second stage and kick the
 *	vCPUs (vm_flush()), and the end of the creator may ask for vm_orphan().
 *   4. vCPUs, and the backend's part; a VMCS leaves the CPU that has it by a
 *	call there, which is over when it returns.
 *   5. Second stage, protections, mem_lock, the address space, the VM.
 *   6. Its place in the table, and its share of the host's vCPUs.
 * One that was only half built begins at 3. It has no place in the table yet.
 */
#ifndef CORE_VM_H
#define CORE_VM_H

#include "host.h"
#include "sync.h"
#include "stage2.h"
#include <machine/vmmvar.h>
#include "arch.h"
#include "entry_check.h"
#include "exits.h"
#include "insn_cache.h"
#include "registers.h"
#include "msrs.h"

struct vm;
struct vcpu;
struct backend;

/* Could a CPU with 48-bit linear addresses use this one? (SDM 1 3.3.7.1) */
static inline bool
arch_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* One open of /dev/vmm: the owner of the VMs it created. */
struct vmm_session {
	struct vm *vms;		/* through vm.session_next; table_lock */
};

/*
 * A place in the table of VMs. Places stay where they are, so looking for a VM
 * takes no lock: a reference that is not yet zero, and whose VM it was.
 */
struct vm_slot {
	uint32_t id;		/* of the VM that is listed here; 0: none; sync_* */
	uint32_t refs;		/* sync_*; see the top of this file */
	struct vm *vm;		/* NULL: free; written without references */
} __attribute__((aligned(64)));

/* A piece of guest-physical memory; constant between init and fini. */
struct vm_range {
	uint64_t gpa, size;	/* bytes, multiples of 4 KiB */
	uint64_t hva;		/* in the creator's address space */
	struct vm *vm;
	struct host_watch *watch;
};

struct vm {
	/* Constant after creation. */
	uint32_t id;		/* never reused */
	uint32_t uid;		/* of the creator */
	int32_t	 pid;
	char	 name[VMM_MAX_NAME_LEN];
	struct host_as *as;	/* of the creator */
	uint64_t mem_size;	/* bytes, sum of the ranges */
	unsigned int nranges;
	struct vm_range range[VMM_MAX_MEM_RANGES];
	unsigned int ncpus;
	struct vcpu *vcpu[VMM_MAX_VCPUS_PER_VM];
	uint64_t tsc_start;	/* host TSC at creation: the guest's zero */
	uint64_t ns_start;	/* host_ns() then */

	struct vm_slot *slot;	/* in the table; constant once it is there */

	/* table_lock */
	struct vm *session_next, **session_link;	/* *session_link is this VM */

	uint32_t dying;		/* sync_*; set once, by TERM or close */
	uint32_t orphaned;	/* sync_*; set once, when the creator is gone */
	struct host_work orphan_work;

	/* mem_lock */
	struct host_mutex mem_lock;
	struct stage2 stage2;
	uint8_t	**prot;		/* per 2 MiB of GPA: 512 STAGE2_* bytes, or
				 * NULL for RWX; NULL as a whole: all RWX */
	uint64_t nprot;		/* entries in prot */
	struct host_cpuset *flush_cpus;	/* scratch of vm_flush() */

	uint64_t tlb_gen;	/* sync_*; grows with each flush request */

	void	*backend;	/* the backend's own, per VM */
};

/* An event for the CPU to deliver, or whose delivery an exit cut short. */
enum event_type { EVENT_NONE, EVENT_EXTINT, EVENT_NMI, EVENT_EXCEPTION };
struct event {
	uint8_t	 type;		/* enum event_type */
	uint8_t	 vector;
	bool	 has_error;
	uint32_t error;
};

/* An exception the driver owes the guest. */
struct guest_fault {
	uint8_t	 vector;
	bool	 has_error;
	uint32_t error;
	bool	 has_cr2;
	uint64_t cr2;
};

/* The last exit, decoded by the backend, the same for both vendors. */
struct exit_info {
	uint64_t reason;	/* hardware number; low 16 bits to the client */
	enum exit_kind kind;
	uint8_t	 insn_len;	/* bytes; 0: the CPU did not say */
	uint8_t	 bytes_len;	/* instruction bytes the CPU reported, or 0 */
	uint8_t	 bytes[15];
	uint64_t info1, info2;	/* as the CPU gave them, for traces */
	struct event interrupted; /* delivery that this exit cut short */
	union {
		struct {
			uint16_t port;
			uint8_t	 size;		/* 1, 2, 4 */
			uint8_t	 addr_size;	/* 2, 4, 8; 0: not told; string only */
			uint8_t	 seg;		/* enum sreg; string only */
			bool	 seg_valid;	/* the CPU named the segment */
			bool	 in, string, rep;
		} io;
		struct {
			uint64_t gpa;
			uint8_t	 access;	/* STAGE2_* wanted */
		} npf;
		struct {
			uint8_t	 cr;		/* 0, 3, 4, 8 */
			bool	 valid;		/* the CPU named op and gpr */
			uint8_t	 op;		/* enum cr_op */
			uint8_t	 gpr;		/* x86 encoding, 0..15 */
			uint16_t msw;		/* source of LMSW */
			bool	 msw_mem;	/* which was in memory, here: */
			uint64_t msw_gva;
		} cr;
		struct { bool write; } msr;
		struct { uint8_t vector; bool has_error; uint32_t error; } exc;
	};
};
enum cr_op { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

/* The host's own breakpoints, kept aside while the guest has the registers. */
struct host_debug {
	bool	 active;
	uint64_t dr[4], dr6, dr7;
	uint64_t debugctl;	/* of this turn */
};

/* An IN or string element that the client has been asked for. */
struct pending_io {
	bool	 active;
	bool	 answered;	/* with data, which is still to be stored */
	uint32_t data;
	struct exit_info exit;	/* kind io */
	uint64_t rip;		/* as the client was shown it */
};

/* vcpu.requests; set by anybody with vcpu_request(), taken by the run loop. */
#define VCPU_REQ_TERM	0x1u	/* the VM is ending */
/*
 * From here on a count, not a bit: threads that wait for vcpu.lock and are no
 * RUN. While there is one no RUN enters the guest, so that a client that
 * calls RUN again at once can not keep them away.
 */
#define VCPU_REQ_WAITER	0x100u

struct vcpu {
	struct vm *vm;		/* constant */
	uint32_t id;		/* constant */

	struct host_mutex lock;
	uint8_t	 state;		/* VCPU_STATE_*; written under lock or by TERM,
				 * read by INFO: sync_* */

	/* Kick protocol: see guest_loop.h. */
	uint32_t requests;	/* sync_* */
	uint32_t in_guest;	/* sync_*; 1 from just before the request check
				 * to just after the exit */
	uint32_t waits;		/* sync_*; 1: in host_fault_wait(), or about to be */
	uint32_t cpu;		/* sync_*; of this stay */
	uint64_t tlb_seen;	/* vm.tlb_gen at the last flush */
	uint32_t intr;		/* sync_*; VMM_IOC_INTR's flag */

	/* All below: lock. */
	struct host_stay stay;		/* while loaded */
	uint64_t gpr[VCPU_REGS_NGPRS];	/* ABI order; RSP, RIP and RFLAGS too */
	uint64_t cr2;
	uint64_t dr[4];		/* DR0-DR3 */
	bool	 dr_live;	/* DR0-3 of the CPU are the guest's: debug.c */
	struct host_debug host_debug;
	bool	 host_counts;	/* host_perf_msrs() is true for one entry only */
	/* Where the vendor's control structure has no place for them. */
	uint64_t dr6, cr8;
	uint64_t cr4;		/* as written; in force it has cr4_host too */
	uint64_t xcr0;
	bool	 osxsave;	/* CR4.OSXSAVE: XCR0 matters */
	uint64_t msr[MSR_SLOTS];	/* shadowed MSRs, by generated slot */
	void	*fpu;		/* XSAVE area, standard format, 64-byte aligned */

	struct exit_info exit;
	struct insn_cache insns;	/* that exits were at */
	struct event inject;	/* goes into the next entry; EVENT_NONE: none */
	uint64_t irr[4];	/* client vectors not yet delivered */
	bool	 faulted;	/* the exit's handler raised an exception */
	/*
	 * Bits of DR6: breakpoints that the emulated instruction has met, for
	 * vcpu_advance() to raise. 0 between exits.
	 */
	uint8_t	 debug_traps;
	bool	 turn_over;	/* something comes before the next entry: guest_loop.h */
	bool	 loaded;	/* guest FPU, XCR0 and the like are on the CPU */
	bool	 flush;		/* drop this vCPU's translations at next entry */
	uint64_t tsc_offset;	/* guest TSC = host TSC + this */
	struct pending_io io;
	uint16_t exit_reason;	/* what the client was told */
	uint64_t exit_groups;	/* VM_RWREGS_*: the registers it wants of it */
	struct vm_exit vmexit;	/* what the client gets */

	struct {
		uint64_t gpa;	/* as written, low bits too; sync_* */
		uint32_t version;	/* updates so far; sync_* */
		bool	 dirty;	/* publish before the next entry; sync_* */
		bool	 wall_due;	/* the wall clock likewise */
		uint64_t wall_gpa;
		uint64_t published;	/* host TSC of the last update */
		uint64_t period;	/* ticks between updates */
	} pvclock;

	uint64_t exits[EXIT_KINDS];	/* counters, for statistics */
	struct entry_refusal refusal;	/* of the last entry that failed */

	/* Of memory_fault(): its pages, and is it one in a sequence? */
	struct host_pages pages;
	struct host_fault *fault;	/* one that has to be waited for */
	uint64_t fault_next;	/* gpa where it would go on */
	unsigned int fault_ahead;	/* how far it has come: memory.c */

	void	*backend;	/* the backend's own, per vCPU */
};

/* --- vm.c: lists, references, lookup ------------------------------------- */

int	vmm_attach(const struct backend *const *backends);
void	vmm_detach(void);	/* no session is open */

/* The backend of this machine; vmm_attach() finds it. */
extern const struct backend *vmm_backend_found;
static inline const struct backend *
vmm_backend(void)
{
	return vmm_backend_found;
}

/*
 * An open and a close of the device. Close ends the session's VMs; a vCPU
 * inside the guest is made to leave. May sleep.
 */
int	vmm_open(struct vmm_session *s);
void	vmm_close(struct vmm_session *s);
/* ioctl.c: any of them. 0 or a negative errno; -ENOTTY: no such command.
 * May sleep. */
int	vmm_ioctl(struct vmm_session *s, unsigned int cmd, uint64_t uarg);

/* The VM named id, with a reference, whoever's it is; NULL: there is none. */
struct vm *vm_get(uint32_t id);
/*
 * Is it the caller's own? The address space that made it owns it, whoever runs
 * there now; everybody else by uid.
 */
static inline bool
vm_is_callers(const struct vm *vm)
{
	return host_as_is_current(vm->as) || vm->uid == host_caller_uid();
}
void	vm_hold(struct vm *vm);		/* one more; the caller has one */
void	vm_put(struct vm *vm);		/* the last one destroys it. May sleep. */
/* A VM whose id did not reach its creator must not stay. */
struct vm_create_params;
void	vm_create_undo(const struct vm_create_params *p);

/* For statistics: every VM the caller may see, under a reference each. */
void	vmm_for_each(void (*fn)(struct vm *vm, void *arg), void *arg);

/* --- vcpu.c --------------------------------------------------------------- */

/* Build and free one; -ENOMEM. May sleep. */
int	vcpu_create(struct vm *vm, uint32_t id, struct vcpu **v);
void	vcpu_destroy(struct vcpu *v);

/*
 * The client's registers, by VM_RWREGS_* groups, after the checks that the
 * CPU would make on the guest's own loads. -EINVAL: nothing changed.
 */
int	vcpu_regs_write(struct vcpu *v, uint64_t groups,
	    const struct vcpu_reg_state *r);

/* The creator's address space is gone: end the VM, a little later. */
void	vm_orphan(struct vm *vm);

/* Flush every vCPU's second-stage translations and wait; mem_lock. */
void	vm_flush(struct vm *vm);
/*
 * Leave the guest, or the wait for a page of it, to look at what has just been
 * stored.
 */
void	vcpu_kick(struct vcpu *v);
/* Set request bits and make the vCPU leave the guest to see them. */
void	vcpu_request(struct vcpu *v, uint32_t bits);

/* Has every vector that the client gave been delivered? */
static inline bool
vcpu_irr_empty(const struct vcpu *v)
{
	return (v->irr[0] | v->irr[1] | v->irr[2] | v->irr[3]) == 0;
}

/* Take the highest of them out; there is one. */
uint8_t	vcpu_irr_take(struct vcpu *v);

/* Queue an exception for the next entry (contributory rules applied). */
void	vcpu_fault(struct vcpu *v, const struct guest_fault *f);
/* The same for vectors without CR2; #GP(0): vcpu_exception(v, ARCH_EXC_GP). */
void	vcpu_exception(struct vcpu *v, uint8_t vector);
/* Drop this vCPU's translations before the next entry. Own thread. */
static inline void
vcpu_flush(struct vcpu *v)
{
	v->flush = true;
	v->turn_over = true;
}
/*
 * Step over the instruction of the current exit: RIP, the end of a shadow, the
 * debug exception of a single step, of breakpoints and of what MOV SS held.
 */
void	vcpu_advance(struct vcpu *v, unsigned int insn_len);

#endif /* CORE_VM_H */
