/* SPDX-License-Identifier: ISC */
/*
 * vmx.h - what the files of the VMX backend share.
 *
 * A VMCS is active on one CPU at most, and only there it can be read. Each CPU
 * has a list of those that are active on it; a vCPU that arrives on another
 * CPU has its VMCS cleared on the old one first, by a call to that CPU.
 */
#ifndef VMX_H
#define VMX_H

#include "backend.h"
#include "vmcs.h"
#include "vmx_controls.h"
#include "vmx_cpu.h"
#include "vmx_msrbm.h"
#include "vmx_registers.h"

#define VMX_NO_CPU	UINT32_MAX
#define VMX_MAX_VPIDS	(VMM_MAX_VCPUS + 1u)

struct vmx_vcpu;

/* One CPU. Only that CPU touches it once the CPU is on; interrupts off. */
struct vmx_cpu {
	bool	 on;
	void	*region;		/* of VMXON */
	struct vmx_vcpu *current;	/* whose VMCS VMREAD reads */
	struct vmx_vcpu *active;	/* through next: the VMCSs active here */
	uint64_t last_vcpu;		/* tag of the vCPU that ran last, 0: none */
	/* What the host sets once for all threads; since the CPU is on. */
	struct host_context host;
	uint64_t pat, efer, sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t stay_msr[VMX_MSR_CONTEXTS], sce_msr[VMX_MSR_CONTEXTS];
};

struct vmx_vm {
	uint64_t eptp;
};

/* What the host fields of a VMCS hold, as far as it can change on one CPU. */
struct host_fields {
	uint64_t fs_base, cr3, cr4;
};

/* MSRs that an entry or an exit loads (SDM 3C 25.7.2, 25.8.2): one page. */
struct vmx_msr_lists {
	struct vmx_msr_entry {
		uint32_t index, reserved;
		uint64_t value;
	} entry[HOST_PERF_MSRS], exit[HOST_PERF_MSRS];
};

struct vmx_vcpu {
	void	*vmcs;
	uint64_t vmcs_pa;
	uint8_t	*apic;		/* virtual-APIC page; NULL: no TPR shadow */
	struct vmx_msr_lists *msrs;	/* what entries and exits load */
	unsigned int perf_msrs;	/* how many: those of host_perf_msrs() */
	uint64_t tag;		/* unique among all vCPUs ever */
	uint16_t vpid;		/* 0: no VPIDs */

	/* Where the VMCS is active, or VMX_NO_CPU: sync_*. Set on that CPU. */
	uint32_t cpu;
	bool	 launched;	/* VMRESUME, not VMLAUNCH */
	struct vmx_vcpu *next, **prev;	/* in the list of that CPU */

	bool	 flush;		/* this CPU may remember old translations */
	bool	 here;		/* loaded, on a CPU that is on */
	bool	 fresh;		/* has not been inside since load() */
	bool	 moved;		/* its host fields are another CPU's */
	bool	 sce;		/* the guest's EFER.SCE */
	bool	 syscall;	/* the CPU has the guest's STAR and so on */
	struct host_thread thread;		/* while loaded */
	uint64_t thread_swapgs_base;

	/* Copies of what the VMCS holds, written only when they change. */
	struct host_fields host;
	uint64_t host_rsp, rip, rsp, rflags;
	bool	 rsp_due;	/* v->gpr[] has not this exit's RSP yet */
	uint32_t proc;
	bool	 written;	/* the copies are true */
	bool	 window;	/* wanted; in the VMCS from the next entry on */
	bool	 shadow_known;	/* shadow is as after the last exit */
	uint32_t shadow;	/* of STI or MOV SS, in guest_interruptibility */
	bool	 pdptes_due;	/* load them from guest memory first */
};

struct vmx_msrs {
	unsigned int count;
	struct vmx_msr_context msr[VMX_MSR_CONTEXTS];
};

/* The machine; constant after attach but for what is marked. */
struct vmx_machine {
	struct vmx_controls controls;
	uint64_t basic, ept_cap;
	uint64_t pdpte_reserved;
	void	*msrbm;			/* the same for every guest */
	bool	 l1d_flush;		/* the host may want it before entries */
	/* Of vmx_msr_contexts[], those that this CPU has; sce: SYSCALL's. */
	struct vmx_msrs stay_msrs, sce_msrs;
	struct vmx_cpu *cpu;		/* host_cpu_limit() of them */
	uint64_t last_tag;		/* sync_* */
	struct host_spinlock lock;
	uint8_t	 vpids[(VMX_MAX_VPIDS + 7) / 8];	/* in use; lock */
};
extern struct vmx_machine vmx;

static inline struct vmx_vcpu *
vmx_vcpu(const struct vcpu *v)
{
	return v->backend;
}

static inline struct vmx_cpu *
vmx_this_cpu(void)
{
	return &vmx.cpu[host_cpu()];
}

#define VMX_SHADOW	(VMX_INTERRUPTIBILITY_STI | VMX_INTERRUPTIBILITY_MOV_SS)

/*
 * Take the pending debug exceptions out of the current VMCS, as bits of DR6; 0:
 * none is valid.
 */
uint64_t vmx_take_pending_debug(void);

/* Is the guest in the shadow of STI or MOV SS? Its VMCS is current. */
static inline uint32_t
vmx_shadow(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->shadow_known) {
		s->shadow = vmx_vmread(VMCS_GUEST_INTERRUPTIBILITY) & VMX_SHADOW;
		s->shadow_known = true;
	}
	return s->shadow;
}

/* backend.clear_shadow(); its VMCS is current. */
static inline uint64_t
vmx_clear_shadow(struct vcpu *v)
{
	if (vmx_shadow(v) == 0)
		return 0;
	vmx_vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
	    vmx_vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)VMX_SHADOW);
	vmx_vcpu(v)->shadow = 0;
	return vmx_take_pending_debug();
}

/*
 * In a shadow, a single step has to be pending exactly if TF is set. A CPU need
 * not say so itself when it leaves the guest behind MOV SS (SDM 3C 27.3.1.5,
 * 28.3.4), and the client may have changed TF. Its VMCS is current.
 */
void	vmx_follow_tf(struct vcpu *v);

static inline void
vmx_irq_window(struct vcpu *v, bool on)
{
	vmx_vcpu(v)->window = on;
}

/* --- vmx_vmcs.c ---------------------------------------------------------------- */

/* Take a VMCS from the CPU that runs this, where it is active. */
void	vmcs_leave(struct vmx_cpu *c, struct vmx_vcpu *s);
/* VMCLEAR all that are active on the CPU that runs this, in an emergency. */
void	vmcs_save_all(const struct vmx_cpu *c);
/* From any CPU. Not from atomic context with interrupts off. */
void	vmcs_retire(struct vmx_vcpu *s);
/* Make the VMCS the current one of this CPU. Preemption off, CPU on. */
void	vmcs_make_current(struct vmx_cpu *c, struct vmx_vcpu *s);
static inline void
vmcs_bring(struct vmx_cpu *c, struct vmx_vcpu *s)
{
	if (c->current != s)
		vmcs_make_current(c, s);
}
/* vmcs_begin() outside a stay. */
bool	vmcs_fetch(struct vcpu *v);
/*
 * Between begin and end the vCPU's VMCS can be accessed; preemption is off.
 * Where the scheduler will soon take this thread away from a CPU that is off,
 * it waits for that. False: there is no VMX any more (a reboot, or a resume
 * that failed), and no end.
 */
static inline bool
vmcs_begin(struct vcpu *v)
{
	return v->loaded ? vmx_vcpu(v)->here : vmcs_fetch(v);
}
static inline void
vmcs_end(const struct vcpu *v)
{
	if (!v->loaded)
		host_preempt_enable();
}

/* --- vmx_state.c: the operations of the backend on a vCPU's registers ------------- */

void	vmx_op_regs_read(struct vcpu *v, uint64_t groups,
	    struct vcpu_reg_state *vrs);
void	vmx_op_regs_write(struct vcpu *v, uint64_t groups,
	    const struct vcpu_reg_state *vrs);
uint64_t vmx_op_reg_get(struct vcpu *v, enum reg r);
void	vmx_op_reg_set(struct vcpu *v, enum reg r, uint64_t value);
void	vmx_op_seg_get(struct vcpu *v, enum sreg s,
	    struct vcpu_segment_info *seg);
void	vmx_op_mode(struct vcpu *v, struct guest_mode *m);
void	vmx_op_fetch_state(struct vcpu *v, struct fetch_state *s);
int	vmx_op_prepare(struct vcpu *v);
bool	vmx_op_irq_ready(struct vcpu *v);
uint64_t vmx_op_clear_shadow(struct vcpu *v);

/* --- vmx_entry_check.c --------------------------------------------------------------- */

/*
 * The CPU refused to enter the vCPU, whose VMCS is current and as it was: say
 * why. how: what the CPU said.
 */
void	vmx_diagnose(struct vcpu *v, const char *how);

/* The host's own, for load(). On that CPU, when it is put on. */
void	vmx_read_host(struct vmx_cpu *c);

/*
 * Around a change, during a stay, of what SYSCALL uses or of EFER.SCE: the
 * host's values on this CPU, and the guest's again. Not loaded: nothing.
 */
void	vmx_syscall_put(struct vcpu *v);
void	vmx_syscall_load(struct vcpu *v);

/* --- vmx_decode.c ------------------------------------------------------------------ */

/*
 * Fill in what v->exit has beside the reason and its kind. Right after the exit,
 * interrupts off.
 */
void	vmx_decode_exit(struct vcpu *v);

/* The guest's RSP, which few exits look at, into v->gpr[]. Loaded. */
void	vmx_read_rsp(struct vcpu *v);

/* --- vmx_run.c: the operations around the world switch ------------------------------- */

int	vmx_op_stay(struct vcpu *v);

#endif /* VMX_H */
