/* SPDX-License-Identifier: ISC */
/*
 * vmx.c - the backend for Intel VMX with EPT and unrestricted guest (SDM 3C
 * 24-31).
 *
 * A VMCS is active on one CPU at most, and only there it can be read. Each CPU
 * has a list of those that are active on it; a vCPU that arrives on another
 * CPU has its VMCS cleared on the old one first, by a call to that CPU.
 */
#include "backend.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "debug.h"
#include "memory.h"
#include "vmcs.h"
#include "vmx_controls.h"
#include "vmx_cpu.h"
#include "vmx_msrbm.h"
#include "vmx_registers.h"

#define NO_CPU		UINT32_MAX
#define MAX_VPIDS	(VMM_MAX_VCPUS + 1u)

/* Memory type write-back, in capability MSRs and EPTP (SDM 3C 25.6.11). */
#define TYPE_WB		6u
#define EPT_LEVELS	4u

#define APIC_TPR	0x80	/* offset in the virtual-APIC page */
#define TPR_SHIFT	4	/* CR8 is bits 7-4 of the TPR (SDM 3A 11.8.6) */

#define DR6_INIT	0xffff0ff0u	/* no condition met */
#define DR6_ACTIVE_LOW	(VMX_QUAL_DEBUG_RTM | VMX_QUAL_DEBUG_BLD)
#define DR7_GD		(1u << 13)

#define STAY_MS		1		/* a stay in the guest ends after that */

#define SHADOW		(VMX_INTERRUPTIBILITY_STI | VMX_INTERRUPTIBILITY_MOV_SS)

/* PAE root entries: present, and what must be 0 (SDM 3A 4.4.1). */
#define PDPTE_P		1u
#define PDPTE_RESERVED	0x1e6u
#define LEAF_ADDRESS_SIZES 0x80000008u

struct vmx_vcpu;

/* One CPU. Only that CPU touches it once the CPU is on; interrupts off. */
struct vmx_cpu {
	bool	 on;
	void	*region;		/* of VMXON */
	struct vmx_vcpu *current;	/* whose VMCS VMREAD reads */
	struct vmx_vcpu *active;	/* through next: the VMCSs active here */
	uint64_t last_vcpu;		/* tag of the vCPU that ran last, 0: none */
};

struct vmx_vm {
	uint64_t eptp;
};

/* What the host fields of a VMCS hold, as far as it can change. */
struct host_fields {
	struct host_context c;
	uint64_t cr3, cr4, pat, efer, sysenter_cs, sysenter_esp, sysenter_eip;
};

struct vmx_vcpu {
	void	*vmcs;
	uint64_t vmcs_pa;
	uint8_t	*apic;		/* virtual-APIC page; NULL: no TPR shadow */
	uint64_t tag;		/* unique among all vCPUs ever */
	uint16_t vpid;		/* 0: no VPIDs */

	/* Where the VMCS is active, or NO_CPU: sync_*. Set on that CPU. */
	uint32_t cpu;
	bool	 launched;	/* VMRESUME, not VMLAUNCH */
	struct vmx_vcpu *next, **prev;	/* in the list of that CPU */

	bool	 flush;		/* this CPU may remember old translations */
	bool	 here;		/* loaded, on a CPU that is on */
	bool	 fresh;		/* has not been inside since load() */
	uint64_t host_msr[VMX_MSR_CONTEXTS];	/* while loaded */
	struct host_context context;		/* while loaded */

	/* Copies of what the VMCS holds, written only when they change. */
	struct host_fields host;
	uint64_t host_rsp, rip, rsp, rflags;
	uint32_t proc;
	bool	 written;	/* the copies are true */
	bool	 window;	/* wanted; in the VMCS from the next entry on */
	bool	 shadow_known;	/* shadow is as after the last exit */
	uint32_t shadow;	/* SHADOW bits of guest_interruptibility */
	bool	 pdptes_due;	/* load them from guest memory first */
};

static struct {
	struct vmx_controls controls;
	uint64_t basic, ept_cap;
	uint64_t cr4_fixed0, cr4_fixed1;
	uint64_t pdpte_reserved;
	void	*msrbm;			/* the same for every guest */
	struct vmx_cpu *cpu;		/* host_cpu_limit() of them */
	uint64_t last_tag;		/* sync_* */
	struct host_spinlock lock;
	uint8_t	 vpids[(MAX_VPIDS + 7) / 8];	/* in use; lock */
} vmx;

static struct vmx_vcpu *
vmx_vcpu(const struct vcpu *v)
{
	return v->backend;
}

static struct vmx_cpu *
this_cpu(void)
{
	return &vmx.cpu[host_cpu()];
}

void
vmx_vmwrite_failed(uint32_t field, uint64_t value)
{
	host_warn("vmm: VMWRITE of %s, 0x%llx: %s\n", vmcs_field_name(field),
	    (unsigned long long)value,
	    vmx_instruction_error((uint32_t)vmx_vmread(VMCS_INSTRUCTION_ERROR)));
}

static void
write_field(uint32_t field, uint64_t value)
{
	vmx_vmwrite(field, value);
}

/* --- The machine ------------------------------------------------------------------- */

static void
vmx_detach(void)
{
	unsigned int i;

	for (i = 0; vmx.cpu != NULL && i < host_cpu_limit(); i++) {
		if (vmx.cpu[i].region != NULL)
			host_page_free(vmx.cpu[i].region, 0);
	}
	host_free(vmx.cpu);
	if (vmx.msrbm != NULL)
		host_page_free(vmx.msrbm, 0);
	memset(&vmx, 0, sizeof(vmx));
}

/* A VMXON region or a VMCS: begins with the revision (SDM 3C 25.2). */
static void *
region_alloc(void)
{
	uint32_t *region = host_page_alloc(0);

	if (region != NULL)
		*region = vmx.basic & VMX_BASIC_REVISION_MASK;
	return region;
}

static int
vmx_alloc(void)
{
	unsigned int i;

	vmx.msrbm = host_page_alloc(0);
	vmx.cpu = host_alloc(host_cpu_limit() * sizeof(vmx.cpu[0]));
	if (vmx.msrbm == NULL || vmx.cpu == NULL)
		return -ENOMEM;
	for (i = 0; i < host_cpu_limit(); i++) {
		vmx.cpu[i].region = region_alloc();
		if (vmx.cpu[i].region == NULL)
			return -ENOMEM;
	}
	vmx_msrbm_init(vmx.msrbm);
	host_spin_init(&vmx.lock);
	/* VPID 0 is the host's (SDM 3C 29.1). */
	vmx.vpids[0] = 1;
	return 0;
}

/* What EPT must be able to do: no row of controls.yaml says that. */
static const char *
ept_lacks(void)
{
	static const struct { uint64_t bits; const char *name; } need[] = {
		{ VMX_EPT_VPID_CAP_WALK_4, "EPT with four levels" },
		{ VMX_EPT_VPID_CAP_WB, "EPT in write-back memory" },
		{ VMX_EPT_VPID_CAP_PAGE_2M, "EPT with 2 MiB pages" },
		{ VMX_EPT_VPID_CAP_INVEPT, "INVEPT" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
		if (!(vmx.ept_cap & need[i].bits))
			return need[i].name;
	}
	return NULL;
}

/* VPIDs without a way to drop one's translations are none. */
static bool
vpid_usable(void)
{
	return (vmx.ept_cap & VMX_EPT_VPID_CAP_INVVPID) &&
	    (vmx.ept_cap & (VMX_EPT_VPID_CAP_INVVPID_SINGLE |
	    VMX_EPT_VPID_CAP_INVVPID_ALL));
}

static bool
firmware_refuses(void)
{
	uint64_t control = cpu_rdmsr(ARCH_MSR_FEATURE_CONTROL);

	return (control & ARCH_MSR_FEATURE_CONTROL_LOCKED) &&
	    !(control & ARCH_MSR_FEATURE_CONTROL_VMX_OUTSIDE_SMX);
}

/* -ENODEV: the log says what is missing. -ENXIO: everything. */
static int
vmx_check_cpu(void)
{
	const char *missing;

	if (!cpuid_host_has(CPUID_FEATURE_VMX))
		return -ENXIO;
	if (firmware_refuses()) {
		host_info("vmm: VMX is disabled by the firmware; enable it "
		    "(\"Intel VT-x\") in the firmware's setup\n");
		return -ENODEV;
	}
	vmx.basic = cpu_rdmsr(ARCH_MSR_VMX_BASIC);
	missing = vmx_controls_negotiate(&vmx.controls, cpu_rdmsr);
	if (missing == NULL) {
		vmx.ept_cap = cpu_rdmsr(ARCH_MSR_VMX_EPT_VPID_CAP);
		missing = ept_lacks();
	}
	if (missing != NULL) {
		host_info("vmm: this CPU's VMX lacks %s\n", missing);
		return -ENODEV;
	}
	if (!vpid_usable())
		vmx.controls.proc2 &= ~VMX_PROC2_VPID;
	return 0;
}

/*
 * CR0 is the guest's, but for what VMX wants to be so (SDM 3C 24.8) and the
 * bits for the caches, which are the machine's: an entry does not load them,
 * MOV would. PE and PG are free: unrestricted guest.
 */
static void
own_cr0(void)
{
	const uint64_t caches = ARCH_CR0_CD | ARCH_CR0_NW;
	uint64_t set = cpu_rdmsr(ARCH_MSR_VMX_CR0_FIXED0) &
	    ~(uint64_t)(ARCH_CR0_PE | ARCH_CR0_PG);
	uint64_t clear = ~cpu_rdmsr(ARCH_MSR_VMX_CR0_FIXED1) | caches;

	vmx_owned_cr0 = (struct vmx_owned) {
		.mask = (uint32_t)(set | clear),
		.set = set,
		.clear = (uint32_t)clear,
	};
}

/*
 * CR4 has the bits that the guest's CPUID shows, which is known only after
 * attach; an attempt on any other exits.
 */
static void
own_cr4(void)
{
	uint64_t allowed = ARCH_CR4_GUEST_FREE |
	    cpuid_allowed_bits(arch_cr4_needs, arch_cr4_needs_count);

	vmx_owned_cr4 = (struct vmx_owned) {
		.mask = ~allowed | vmx.cr4_fixed0 | ~vmx.cr4_fixed1,
		.set = vmx.cr4_fixed0,
		.clear = ~vmx.cr4_fixed1,
	};
}

static int
vmx_attach(void)
{
	uint32_t r[4];
	int err;

	err = vmx_check_cpu();
	if (err)
		return err;
	cpu_cpuid(LEAF_ADDRESS_SIZES, 0, r);
	vmx.pdpte_reserved = PDPTE_RESERVED | UINT64_MAX << (r[0] & 0xff);
	vmx.cr4_fixed0 = cpu_rdmsr(ARCH_MSR_VMX_CR4_FIXED0);
	vmx.cr4_fixed1 = cpu_rdmsr(ARCH_MSR_VMX_CR4_FIXED1);
	own_cr0();
	err = vmx_alloc();
	if (err)
		vmx_detach();
	return err;
}

static enum stage2_level
vmx_largest_leaf(void)
{
	return vmx.ept_cap & VMX_EPT_VPID_CAP_PAGE_1G ? STAGE2_1G : STAGE2_2M;
}

/* Firmware that left the decision open leaves it to us (SDM 3C 24.7). */
static int
feature_control_on(void)
{
	uint64_t control = cpu_rdmsr(ARCH_MSR_FEATURE_CONTROL);

	if (firmware_refuses()) {
		host_warn("vmm: the firmware has disabled VMX on CPU %u\n",
		    host_cpu());
		return -ENODEV;
	}
	if (!(control & ARCH_MSR_FEATURE_CONTROL_LOCKED))
		cpu_wrmsr(ARCH_MSR_FEATURE_CONTROL, control |
		    ARCH_MSR_FEATURE_CONTROL_VMX_OUTSIDE_SMX |
		    ARCH_MSR_FEATURE_CONTROL_LOCKED);
	return 0;
}

static int
vmx_cpu_on(void)
{
	struct vmx_cpu *c = this_cpu();
	int err;

	if (cpu_read_cr4() & ARCH_CR4_VMXE)
		return -EBUSY;
	err = feature_control_on();
	if (err)
		return err;
	host_cr4_change(ARCH_CR4_VMXE, 0);
	if (!vmx_vmxon(host_va_to_pa(c->region))) {
		host_cr4_change(0, ARCH_CR4_VMXE);
		host_warn("vmm: VMXON failed on CPU %u\n", host_cpu());
		return -EIO;
	}
	/* Nothing of before may still be cached (SDM 3C 29.4.3.4). */
	if (vmx.ept_cap & VMX_EPT_VPID_CAP_INVEPT_ALL)
		vmx_invept(VMX_INVEPT_ALL, 0);
	c->current = NULL;
	c->active = NULL;
	c->last_vcpu = 0;
	c->on = true;
	return 0;
}

/* Take a VMCS from the CPU that runs this, where it is active. */
static void
vmcs_leave(struct vmx_cpu *c, struct vmx_vcpu *s)
{
	vmx_vmclear(s->vmcs_pa);
	s->launched = false;
	if (c->current == s)
		c->current = NULL;
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	sync_store_release(&s->cpu, NO_CPU);
}

static void
vmx_cpu_off(void)
{
	struct vmx_cpu *c = this_cpu();

	if (!c->on)
		return;
	while (c->active != NULL)
		vmcs_leave(c, c->active);
	c->on = false;
	vmx_vmxoff();
	host_cr4_change(0, ARCH_CR4_VMXE);
}

/* --- The current VMCS ---------------------------------------------------------------- */

/* In interrupt context, on the CPU where the VMCS is thought to be active. */
static void
vmcs_leave_here(void *arg)
{
	struct vmx_vcpu *s = arg;

	if (sync_load(&s->cpu) == host_cpu())
		vmcs_leave(this_cpu(), s);
}

static void
vmcs_leave_other(struct vmx_vcpu *s)
{
	uint32_t cpu;

	while ((cpu = sync_load_acquire(&s->cpu)) != NO_CPU &&
	    cpu != host_cpu())
		host_call_on(cpu, vmcs_leave_here, s);
}

/* Make the VMCS the current one of this CPU. Preemption off, CPU on. */
static void
vmcs_bring(struct vmx_vcpu *s)
{
	struct vmx_cpu *c = this_cpu();

	vmcs_leave_other(s);
	if (c->current == s)
		return;
	/* Other VMCSs may leave this CPU in interrupts. */
	host_irq_disable();
	if (s->cpu == NO_CPU) {
		vmx_vmclear(s->vmcs_pa);
		s->next = c->active;
		s->prev = &c->active;
		if (s->next != NULL)
			s->next->prev = &s->next;
		c->active = s;
		s->flush = true;
		sync_store(&s->cpu, host_cpu());
	}
	vmx_vmptrld(s->vmcs_pa);
	c->current = s;
	host_irq_enable();
}

/*
 * Between begin and end the vCPU's VMCS can be accessed; preemption is off.
 * Where the scheduler will soon take this thread away from a CPU that is off,
 * it waits for that. False: there is no VMX any more (a reboot, or a resume
 * that failed), and no end.
 */
static bool
vmcs_begin(struct vcpu *v)
{
	bool moving;

	if (v->loaded)
		return vmx_vcpu(v)->here;
	for (;;) {
		host_preempt_disable();
		if (this_cpu()->on) {
			vmcs_bring(vmx_vcpu(v));
			return true;
		}
		moving = host_resched_pending();
		host_preempt_enable();
		if (!moving)
			return false;
		host_resched();
	}
}

static void
vmcs_end(struct vcpu *v)
{
	if (!v->loaded)
		host_preempt_enable();
}

/* --- VMs and vCPUs -------------------------------------------------------------------- */

static int
vmx_vm_init(struct vm *vm)
{
	struct vmx_vm *xv;

	xv = host_alloc(sizeof(*xv));
	if (xv == NULL)
		return -ENOMEM;
	vm->backend = xv;
	xv->eptp = host_va_to_pa(vm->stage2.root) |
	    TYPE_WB << VMX_EPTP_MEMORY_TYPE_SHIFT |
	    (EPT_LEVELS - 1) << VMX_EPTP_WALK_SHIFT;
	return 0;
}

static void
vmx_vm_fini(struct vm *vm)
{
	host_free(vm->backend);
	vm->backend = NULL;
}

/* One of its own for each vCPU: there are more VPIDs than vCPUs. */
static uint16_t
vpid_get(void)
{
	unsigned int i;

	if (!(vmx.controls.proc2 & VMX_PROC2_VPID))
		return 0;
	host_spin_lock(&vmx.lock);
	for (i = 0; i < MAX_VPIDS && (vmx.vpids[i / 8] >> i % 8 & 1); i++)
		;
	vmx.vpids[i / 8] |= (uint8_t)(1u << i % 8);
	host_spin_unlock(&vmx.lock);
	return (uint16_t)i;
}

static void
vpid_put(uint16_t vpid)
{
	if (vpid == 0)
		return;
	host_spin_lock(&vmx.lock);
	vmx.vpids[vpid / 8] &= (uint8_t)~(1u << vpid % 8);
	host_spin_unlock(&vmx.lock);
}

static int
vmx_vcpu_init(struct vcpu *v)
{
	struct vmx_vcpu *s;

	s = host_alloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	v->backend = s;
	s->cpu = NO_CPU;
	s->tag = sync_add(&vmx.last_tag, 1);
	s->vmcs = region_alloc();
	if (s->vmcs == NULL)
		return -ENOMEM;
	s->vmcs_pa = host_va_to_pa(s->vmcs);
	if (vmx.controls.proc & VMX_PROC_USE_TPR_SHADOW) {
		s->apic = host_page_alloc(0);
		if (s->apic == NULL)
			return -ENOMEM;
	}
	s->vpid = vpid_get();
	return 0;
}

static void
vmx_vcpu_fini(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	uint32_t cpu;

	if (s == NULL)
		return;
	/* Before its page goes: the CPU may still write to it. */
	while ((cpu = sync_load_acquire(&s->cpu)) != NO_CPU)
		host_call_on(cpu, vmcs_leave_here, s);
	vpid_put(s->vpid);
	if (s->apic != NULL)
		host_page_free(s->apic, 0);
	if (s->vmcs != NULL)
		host_page_free(s->vmcs, 0);
	host_free(s);
	v->backend = NULL;
}

static void
vmx_tsc_offset(struct vcpu *v)
{
	if (!vmcs_begin(v))
		return;
	vmx_vmwrite(VMCS_TSC_OFFSET, v->tsc_offset);
	vmcs_end(v);
}

/*
 * The host's next interrupt ends a stay in the guest, whatever the guest does.
 * Not in Bochs 2.7 though, when the guest is entered with RFLAGS.IF = 0 and
 * leaves it so: there, and wherever the timer exists, a stay has an end of its
 * own. The timer counts TSC ticks >> TIMER_RATE (SDM 3C 26.5.1).
 */
static void
write_timer(void)
{
	uint64_t ticks = (uint64_t)host_tsc_khz() * STAY_MS;
	unsigned int rate = cpu_rdmsr(ARCH_MSR_VMX_MISC) &
	    VMX_MISC_TIMER_RATE_MASK;

	if (!(vmx.controls.pin & VMX_PIN_PREEMPTION_TIMER))
		return;
	ticks >>= rate;
	vmx_vmwrite(VMCS_PREEMPTION_TIMER_VALUE,
	    ticks == 0 || ticks > UINT32_MAX ? UINT32_MAX : ticks);
}

static void
write_controls(const struct vmx_vcpu *s, const struct vmx_vm *xv)
{
	vmx_controls_write(&vmx.controls, write_field);
	vmx_vmwrite(VMCS_MSR_BITMAP, host_va_to_pa(vmx.msrbm));
	vmx_vmwrite(VMCS_EPT_POINTER, xv->eptp);
	if (s->vpid != 0)
		vmx_vmwrite(VMCS_VPID, s->vpid);
	if (s->apic != NULL) {
		vmx_vmwrite(VMCS_VIRTUAL_APIC_ADDRESS, host_va_to_pa(s->apic));
		vmx_vmwrite(VMCS_TPR_THRESHOLD, 0);
	}
	vmx_vmwrite(VMCS_CR0_GUEST_HOST_MASK, vmx_owned_cr0.mask);
	vmx_vmwrite(VMCS_CR4_GUEST_HOST_MASK, vmx_owned_cr4.mask);
	vmx_vmwrite(VMCS_PF_ERROR_CODE_MASK, 0);
	vmx_vmwrite(VMCS_PF_ERROR_CODE_MATCH, 0);
	vmx_vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmx_vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmx_vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmx_vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmx_vmwrite(VMCS_VMCS_LINK_POINTER, UINT64_MAX);
	write_timer();
}

/* What no group of the client's registers has. */
static void
write_guest_state(struct vcpu *v)
{
	vmx_vmwrite(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
	vmx_vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmx_vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmx_vmwrite(VMCS_GUEST_IA32_DEBUGCTL, 0);
	vmx_vmwrite(VMCS_GUEST_IA32_SYSENTER_CS, 0);
	vmx_vmwrite(VMCS_GUEST_IA32_SYSENTER_ESP, 0);
	vmx_vmwrite(VMCS_GUEST_IA32_SYSENTER_EIP, 0);
	vmx_reg_set(v, REG_PAT, msr_policy(ARCH_MSR_PAT)->reset);
	vmx_vmwrite(VMCS_TSC_OFFSET, v->tsc_offset);
}

static void
vmx_vcpu_reset(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (vmx_owned_cr4.mask == 0)
		own_cr4();
	if (!vmcs_begin(v))
		return;
	write_controls(s, v->vm->backend);
	write_guest_state(v);
	vmcs_end(v);
	s->proc = vmx.controls.proc;
	s->written = false;
	s->window = false;
	s->shadow_known = false;
	s->pdptes_due = false;
	s->flush = true;
}

/* --- Registers -------------------------------------------------------------------------- */

static bool
pae_paging(const struct vcpu *v)
{
	return (vmx_reg_get(v, REG_CR0) & ARCH_CR0_PG) &&
	    (vmx_reg_get(v, REG_CR4) & ARCH_CR4_PAE) &&
	    !(vmx_reg_get(v, REG_EFER) & ARCH_EFER_LMA);
}

/* The entry control that has to agree with EFER.LMA (SDM 3C 27.3.1.1). */
static void
follow_lma(const struct vcpu *v)
{
	uint32_t entry = vmx.controls.entry & ~VMX_ENTRY_IA32E_MODE;

	if (vmx_reg_get(v, REG_EFER) & ARCH_EFER_LMA)
		entry |= VMX_ENTRY_IA32E_MODE;
	vmx_vmwrite(VMCS_ENTRY_CONTROLS, entry);
}

/* No shadow of STI without RFLAGS.IF (SDM 3C 27.3.1.5). */
static void
follow_if(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	uint64_t state;

	if (v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF)
		return;
	state = vmx_vmread(VMCS_GUEST_INTERRUPTIBILITY);
	if (state & VMX_INTERRUPTIBILITY_STI)
		vmx_vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
		    state & ~(uint64_t)VMX_INTERRUPTIBILITY_STI);
	s->shadow_known = false;
}

static void
vmx_regs_read_op(struct vcpu *v, uint64_t groups, struct vcpu_reg_state *vrs)
{
	if (!vmcs_begin(v))
		return;
	vmx_regs_read(v, groups, vrs);
	vmcs_end(v);
}

static void
vmx_regs_write_op(struct vcpu *v, uint64_t groups,
    const struct vcpu_reg_state *vrs)
{
	const uint64_t *pdpte = &vrs->vrs_crs[VCPU_REGS_PDPTE0];

	if (!vmcs_begin(v))
		return;
	vmx_regs_write(v, groups, vrs);
	if (groups & VM_RWREGS_GPRS)
		follow_if(v);
	if (groups & VM_RWREGS_MSRS)
		follow_lma(v);
	/* A client that does not know them gets what MOV CR3 would load. */
	if (groups & (VM_RWREGS_CRS | VM_RWREGS_MSRS))
		vmx_vcpu(v)->pdptes_due = pae_paging(v) &&
		    (!(groups & VM_RWREGS_CRS) ||
		    !(pdpte[0] | pdpte[1] | pdpte[2] | pdpte[3]));
	vmcs_end(v);
}

static uint64_t
vmx_reg_get_op(struct vcpu *v, enum reg r)
{
	uint64_t value;

	if (!vmcs_begin(v))
		return 0;
	value = vmx_reg_get(v, r);
	vmcs_end(v);
	return value;
}

static void
vmx_reg_set_op(struct vcpu *v, enum reg r, uint64_t value)
{
	if (!vmcs_begin(v))
		return;
	vmx_reg_set(v, r, value);
	if (r == REG_EFER)
		follow_lma(v);
	/* What the CPU does by itself for a MOV that does not exit. */
	if (r == REG_CR0 || r == REG_CR4 || r == REG_EFER)
		vmx_vcpu(v)->pdptes_due = pae_paging(v);
	vmcs_end(v);
}

static void
vmx_seg_get_op(struct vcpu *v, enum sreg s, struct vcpu_segment_info *seg)
{
	memset(seg, 0, sizeof(*seg));
	if (!vmcs_begin(v))
		return;
	vmx_seg_get(s, seg);
	vmcs_end(v);
}

static void
vmx_mode(struct vcpu *v, struct guest_mode *m)
{
	uint64_t cs;

	memset(m, 0, sizeof(*m));
	if (!vmcs_begin(v))
		return;
	m->cr0 = vmx_reg_get(v, REG_CR0);
	m->cr3 = vmx_reg_get(v, REG_CR3);
	m->cr4 = vmx_reg_get(v, REG_CR4);
	m->efer = vmx_reg_get(v, REG_EFER);
	m->rflags = v->gpr[VCPU_REGS_RFLAGS];
	/* SS.DPL is CPL (SDM 3C 25.4.1). */
	m->cpl = (vmx_vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) & ARCH_AR_DPL_MASK) >>
	    ARCH_AR_DPL_SHIFT;
	cs = vmx_vmread(VMCS_GUEST_CS_ACCESS_RIGHTS);
	m->code64 = (m->efer & ARCH_EFER_LMA) && (cs & ARCH_AR_L);
	m->code32 = !m->code64 && (cs & ARCH_AR_DB);
	vmcs_end(v);
}

/*
 * PAE root entries live in the VMCS; here they come from memory, for a state
 * that the CPU has not loaded itself. What MOV CR3 would refuse is absent.
 */
static void
vmx_prepare(struct vcpu *v)
{
	uint64_t pdpte[4] = { 0 };
	unsigned int i;

	if (!vmx_vcpu(v)->pdptes_due)
		return;
	if (memory_read(v->vm, vmx_reg_get_op(v, REG_CR3) & 0xffffffe0, pdpte,
	    sizeof(pdpte)))
		memset(pdpte, 0, sizeof(pdpte));
	if (!vmcs_begin(v))
		return;
	for (i = 0; i < 4; i++) {
		if (!(pdpte[i] & PDPTE_P) || (pdpte[i] & vmx.pdpte_reserved))
			pdpte[i] = 0;
		vmx_reg_set(v, (enum reg)(REG_PDPTE0 + i), pdpte[i]);
	}
	vmcs_end(v);
	vmx_vcpu(v)->pdptes_due = false;
}

/* --- Events ------------------------------------------------------------------------------- */

/* Is the guest in the shadow of STI or MOV SS? */
static uint32_t
shadow(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->shadow_known) {
		s->shadow = vmx_vmread(VMCS_GUEST_INTERRUPTIBILITY) & SHADOW;
		s->shadow_known = true;
	}
	return s->shadow;
}

static bool
vmx_irq_ready(struct vcpu *v)
{
	bool ready;

	if (!(v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF) || !vmcs_begin(v))
		return false;
	ready = shadow(v) == 0;
	vmcs_end(v);
	return ready;
}

static void
vmx_irq_window(struct vcpu *v, bool on)
{
	vmx_vcpu(v)->window = on;
}

static void
vmx_clear_shadow(struct vcpu *v)
{
	if (!vmcs_begin(v))
		return;
	if (shadow(v) != 0) {
		vmx_vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
		    vmx_vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)SHADOW);
		/* A trap that waited for its end is the caller's to raise. */
		vmx_vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
		vmx_vcpu(v)->shadow = 0;
	}
	vmcs_end(v);
}

static uint32_t
event_to_hw(const struct event *e)
{
	static const uint8_t type[] = {
		[EVENT_EXTINT] = VMX_INTR_INFO_TYPE_INTR,
		[EVENT_NMI] = VMX_INTR_INFO_TYPE_NMI,
		[EVENT_EXCEPTION] = VMX_INTR_INFO_TYPE_EXCEPTION,
	};

	return VMX_INTR_INFO_V | e->vector |
	    (uint32_t)type[e->type] << VMX_INTR_INFO_TYPE_SHIFT |
	    (e->has_error ? VMX_INTR_INFO_EV : 0);
}

static unsigned int
event_type(uint32_t hw)
{
	return (hw & VMX_INTR_INFO_TYPE_MASK) >> VMX_INTR_INFO_TYPE_SHIFT;
}

/*
 * The event that an exit interrupted. INT n, INT1, INT3 and INTO are dropped:
 * RIP still points at them, so they simply run again (SDM 3C 28.3.3).
 */
static void
read_interrupted(struct event *e)
{
	uint32_t hw = (uint32_t)vmx_vmread(VMCS_IDT_VECTORING_INFO);
	unsigned int type = event_type(hw);

	if (!(hw & VMX_INTR_INFO_V))
		return;
	e->vector = hw & VMX_INTR_INFO_VECTOR_MASK;
	e->has_error = hw & VMX_INTR_INFO_EV;
	if (e->has_error)
		e->error = (uint32_t)vmx_vmread(VMCS_IDT_VECTORING_ERROR_CODE);
	if (type == VMX_INTR_INFO_TYPE_INTR)
		e->type = EVENT_EXTINT;
	else if (type == VMX_INTR_INFO_TYPE_NMI)
		e->type = EVENT_NMI;
	else if (type == VMX_INTR_INFO_TYPE_EXCEPTION)
		e->type = EVENT_EXCEPTION;
}

/* --- Exits ---------------------------------------------------------------------------------- */

static void
decode_io(struct exit_info *x)
{
	static const uint8_t segment[] = {
		[VMX_IO_INFO_SEG_ES] = SREG_ES, [VMX_IO_INFO_SEG_CS] = SREG_CS,
		[VMX_IO_INFO_SEG_SS] = SREG_SS, [VMX_IO_INFO_SEG_DS] = SREG_DS,
		[VMX_IO_INFO_SEG_FS] = SREG_FS, [VMX_IO_INFO_SEG_GS] = SREG_GS,
	};
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);
	uint32_t info;
	unsigned int n;

	x->io.port = (uint16_t)(q >> VMX_QUAL_IO_PORT_SHIFT);
	x->io.size = (uint8_t)((q & VMX_QUAL_IO_SIZE_MASK) + 1);
	x->io.in = q & VMX_QUAL_IO_IN;
	x->io.string = q & VMX_QUAL_IO_STR;
	x->io.rep = q & VMX_QUAL_IO_REP;
	x->io.addr_size = 0;
	x->io.seg_valid = false;
	if (!x->io.string || !(vmx.basic & VMX_BASIC_INS_OUTS))
		return;
	info = (uint32_t)vmx_vmread(VMCS_EXIT_INSTRUCTION_INFO);
	x->info2 = info;
	x->io.addr_size = (uint8_t)(2u << ((info & VMX_IO_INFO_ADDRESS_MASK) >>
	    VMX_IO_INFO_ADDRESS_SHIFT));
	n = (info & VMX_IO_INFO_SEG_MASK) >> VMX_IO_INFO_SEG_SHIFT;
	/* Undefined for INS, which always uses ES. */
	if (x->io.in)
		n = VMX_IO_INFO_SEG_ES;
	x->io.seg_valid = n < sizeof(segment);
	if (x->io.seg_valid)
		x->io.seg = segment[n];
}

static void
decode_ept(struct exit_info *x)
{
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);

	x->npf.gpa = x->info2 = vmx_vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
	x->npf.access = q & VMX_QUAL_EPT_W ? STAGE2_W :
	    q & VMX_QUAL_EPT_X ? STAGE2_X : STAGE2_R;
}

static void
decode_cr(struct exit_info *x)
{
	static const uint8_t op[] = {
		[VMX_QUAL_CR_TYPE_MOV_TO] = CR_MOV_TO,
		[VMX_QUAL_CR_TYPE_MOV_FROM] = CR_MOV_FROM,
		[VMX_QUAL_CR_TYPE_CLTS] = CR_CLTS,
		[VMX_QUAL_CR_TYPE_LMSW] = CR_LMSW,
	};
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);

	x->cr.cr = q & VMX_QUAL_CR_CR_MASK;
	x->cr.op = op[(q & VMX_QUAL_CR_TYPE_MASK) >> VMX_QUAL_CR_TYPE_SHIFT];
	x->cr.gpr = (q & VMX_QUAL_CR_GPR_MASK) >> VMX_QUAL_CR_GPR_SHIFT;
	x->cr.msw = (uint16_t)(q >> VMX_QUAL_CR_LMSW_SHIFT);
	x->cr.valid = true;
}

/*
 * A #DB that exits has changed neither DR6 nor DR7 yet (SDM 3C 28.1). That of
 * INT1 leaves RIP at the instruction, but is a trap.
 */
static void
decode_debug(struct vcpu *v, unsigned int type)
{
	struct exit_info *x = &v->exit;
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);

	if (type == VMX_INTR_INFO_TYPE_INT1) {
		v->gpr[VCPU_REGS_RIP] +=
		    vmx_vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
		return;
	}
	v->dr6 &= ~VMX_QUAL_DEBUG_B_MASK;
	v->dr6 |= q & (VMX_QUAL_DEBUG_B_MASK | VMX_QUAL_DEBUG_BD |
	    VMX_QUAL_DEBUG_BS);
	v->dr6 = (v->dr6 | DR6_ACTIVE_LOW) & ~(q & DR6_ACTIVE_LOW);
	vmx_vmwrite(VMCS_GUEST_DR7, vmx_vmread(VMCS_GUEST_DR7) &
	    ~(uint64_t)DR7_GD);
}

/* Reason 0: an exception that exits, or the host's NMI. */
static void
decode_exception(struct vcpu *v)
{
	struct exit_info *x = &v->exit;
	uint32_t hw = (uint32_t)vmx_vmread(VMCS_EXIT_INTERRUPTION_INFO);

	x->info2 = hw;
	x->exc.vector = hw & VMX_INTR_INFO_VECTOR_MASK;
	x->exc.has_error = hw & VMX_INTR_INFO_EV;
	if (x->exc.has_error)
		x->exc.error = (uint32_t)
		    vmx_vmread(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
	x->kind = vmx_exception_kind(x->exc.vector);
	if (x->kind == EXIT_NMI)
		host_nmi();
	else if (x->kind == EXIT_EXCEPTION_DB)
		decode_debug(v, event_type(hw));
}

static void
decode_exit(struct vcpu *v, uint32_t reason)
{
	struct exit_info *x = &v->exit;

	x->reason = reason;
	x->kind = vmx_exit_kind(reason);
	x->info1 = x->info2 = 0;
	x->insn_len = x->bytes_len = 0;
	x->interrupted.type = EVENT_NONE;

	switch (x->kind) {
	case EXIT_NMI:
		read_interrupted(&x->interrupted);
		decode_exception(v);
		return;
	case EXIT_STAGE2_FAULT:
	case EXIT_EPT_MISCONFIGURATION:
		read_interrupted(&x->interrupted);
		decode_ept(x);
		return;
	case EXIT_TASK_SWITCH:
		read_interrupted(&x->interrupted);
		x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);
		return;
	case EXIT_IO:
		decode_io(x);
		break;
	case EXIT_CR_ACCESS:
		decode_cr(x);
		break;
	case EXIT_MSR:
		x->msr.write = (reason & VMX_EXIT_REASON_BASIC_MASK) ==
		    VMX_EXIT_WRMSR;
		break;
	default:
		if (!exit_policy[x->kind].advance)
			return;
		break;
	}
	x->insn_len = (uint8_t)vmx_vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
}

/* --- The world switch ------------------------------------------------------------------------ */

static void
host_field(struct vmx_vcpu *s, uint32_t field, uint64_t *copy, uint64_t value)
{
	if (s->written && *copy == value)
		return;
	vmx_vmwrite(field, value);
	*copy = value;
}

/*
 * The host's state on this CPU, for this thread (SDM 3C 25.5). CR3 and CR4 can
 * change during a stay: they are written before each entry.
 */
static void
write_host_state(struct vmx_vcpu *s)
{
	const struct host_context *c = &s->context;
	struct host_fields *f = &s->host;

	host_field(s, VMCS_HOST_CR0, &f->c.cr0, c->cr0);
	host_field(s, VMCS_HOST_FS_BASE, &f->c.fs_base, c->fs_base);
	host_field(s, VMCS_HOST_GS_BASE, &f->c.gs_base, c->gs_base);
	host_field(s, VMCS_HOST_TR_BASE, &f->c.tr_base, c->tr_base);
	host_field(s, VMCS_HOST_GDTR_BASE, &f->c.gdt_base, c->gdt_base);
	host_field(s, VMCS_HOST_IDTR_BASE, &f->c.idt_base, c->idt_base);
	host_field(s, VMCS_HOST_IA32_PAT, &f->pat, cpu_rdmsr(ARCH_MSR_PAT));
	host_field(s, VMCS_HOST_IA32_EFER, &f->efer, cpu_rdmsr(ARCH_MSR_EFER));
	host_field(s, VMCS_HOST_IA32_SYSENTER_CS, &f->sysenter_cs,
	    cpu_rdmsr(ARCH_MSR_SYSENTER_CS));
	host_field(s, VMCS_HOST_IA32_SYSENTER_ESP, &f->sysenter_esp,
	    cpu_rdmsr(ARCH_MSR_SYSENTER_ESP));
	host_field(s, VMCS_HOST_IA32_SYSENTER_EIP, &f->sysenter_eip,
	    cpu_rdmsr(ARCH_MSR_SYSENTER_EIP));
	if (s->written)
		return;
	/* Selectors with RPL or TI are no host state: put() brings them. */
	vmx_vmwrite(VMCS_HOST_CS_SELECTOR, c->cs);
	vmx_vmwrite(VMCS_HOST_SS_SELECTOR, c->ss);
	vmx_vmwrite(VMCS_HOST_DS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_ES_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_TR_SELECTOR, c->tr);
	vmx_vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
	s->host_rsp = 0;
}

/* MSRs that matter in user mode only are switched once a stay. */
static void
msrs_load(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	unsigned int i;

	for (i = 0; i < VMX_MSR_CONTEXTS; i++) {
		const struct vmx_msr_context *m = &vmx_msr_contexts[i];

		s->host_msr[i] = cpu_rdmsr(m->index);
		if (v->msr[m->slot] != s->host_msr[i])
			cpu_wrmsr(m->index, v->msr[m->slot]);
	}
}

static void
msrs_save(struct vcpu *v)
{
	unsigned int i;

	for (i = 0; i < VMX_MSR_CONTEXTS; i++)
		v->msr[vmx_msr_contexts[i].slot] =
		    cpu_rdmsr(vmx_msr_contexts[i].index);
}

/* After a load of GS, the base that SWAPGS brings is neither's. */
static void
msrs_restore(const struct vcpu *v)
{
	const struct vmx_vcpu *s = vmx_vcpu(v);
	unsigned int i;

	for (i = 0; i < VMX_MSR_CONTEXTS; i++) {
		const struct vmx_msr_context *m = &vmx_msr_contexts[i];

		if (v->msr[m->slot] != s->host_msr[i] || s->context.gs != 0)
			cpu_wrmsr(m->index, s->host_msr[i]);
	}
}

static void
vmx_load(struct vcpu *v)
{
	struct vmx_cpu *c = this_cpu();
	struct vmx_vcpu *s = vmx_vcpu(v);

	s->here = c->on;
	if (!s->here)
		return;
	vmcs_bring(s);
	if (c->last_vcpu != s->tag) {
		c->last_vcpu = s->tag;
		host_predictor_barrier();
	}
	host_context_save(&s->context);
	write_host_state(s);
	msrs_load(v);
	debug_load(v);
	s->fresh = true;
}

static void
vmx_put(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->here)
		return;
	s->here = false;
	debug_put(v);
	if (!host_debug_active() && v->dr6 != DR6_INIT)
		cpu_write_dr6(DR6_INIT);
	msrs_save(v);
	host_context_restore(&s->context);
	msrs_restore(v);
}

/* Translations with this vCPU's tags end here (SDM 3C 29.4.3). */
static void
drop_translations(const struct vcpu *v)
{
	const struct vmx_vcpu *s = vmx_vcpu(v);
	const struct vmx_vm *xv = v->vm->backend;

	vmx_invept(vmx.ept_cap & VMX_EPT_VPID_CAP_INVEPT_SINGLE ?
	    VMX_INVEPT_SINGLE : VMX_INVEPT_ALL, xv->eptp);
	if (s->vpid != 0)
		vmx_invvpid(vmx.ept_cap & VMX_EPT_VPID_CAP_INVVPID_SINGLE ?
		    VMX_INVVPID_SINGLE : VMX_INVVPID_ALL, s->vpid);
}

static void
guest_field(struct vmx_vcpu *s, uint32_t field, uint64_t *copy, uint64_t value)
{
	if (s->written && *copy == value)
		return;
	vmx_vmwrite(field, value);
	*copy = value;
}

/* Bring the VMCS up to date: what may have changed since the last exit. */
static void
write_entry_state(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	uint32_t proc = vmx.controls.proc |
	    (s->window ? VMX_PROC_INTR_WINDOW : 0);

	host_field(s, VMCS_HOST_CR3, &s->host.cr3, vmx_read_cr3());
	host_field(s, VMCS_HOST_CR4, &s->host.cr4, cpu_read_cr4());
	guest_field(s, VMCS_GUEST_RSP, &s->rsp, v->gpr[VCPU_REGS_RSP]);
	guest_field(s, VMCS_GUEST_RIP, &s->rip, v->gpr[VCPU_REGS_RIP]);
	guest_field(s, VMCS_GUEST_RFLAGS, &s->rflags,
	    v->gpr[VCPU_REGS_RFLAGS] | ARCH_RFLAGS_MB1);
	if (proc != s->proc) {
		vmx_vmwrite(VMCS_PROC_CONTROLS, proc);
		s->proc = proc;
	}
	if (v->inject.type != EVENT_NONE) {
		vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO,
		    event_to_hw(&v->inject));
		if (v->inject.has_error)
			vmx_vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE,
			    v->inject.error);
	}
	s->written = true;
}

/* The CPU refused to try: an error of this driver. */
static int
enter_failed(struct vcpu *v)
{
	uint32_t error = (uint32_t)vmx_vmread(VMCS_INSTRUCTION_ERROR);

	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	host_warn("vmm: vm %u vcpu %u: error %u: %s\n", v->vm->id, v->id, error,
	    vmx_instruction_error(error));
	return -EINVAL;
}

/* The CPU refused the guest's state, and has loaded the host's. */
static int
entry_refused(struct vcpu *v, uint32_t reason)
{
	uint64_t q = vmx_vmread(VMCS_EXIT_QUALIFICATION);

	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	if (vmx_exit_kind(reason) == EXIT_ENTRY_FAILED_MCE) {
		host_machine_check();
		return -EINVAL;
	}
	host_warn("vmm: vm %u vcpu %u: the CPU refused the guest's state: %s, "
	    "qualification %llu\n", v->vm->id, v->id, vmx_exit_name(reason),
	    (unsigned long long)q);
	return -EINVAL;
}

static int
vmx_run(struct vcpu *v, bool flush)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	struct host_debug debug;
	uint64_t debugctl;
	uint32_t reason;
	int failed;

	if (!s->here || !this_cpu()->on || s->pdptes_due)
		return -EAGAIN;
	write_entry_state(v);
	if (flush || s->flush) {
		drop_translations(v);
		s->flush = false;
	}
	if (s->apic != NULL)
		s->apic[APIC_TPR] = (uint8_t)(v->cr8 << TPR_SHIFT);
	/* An exit leaves 0 in DEBUGCTL and disarms DR7 (SDM 3C 28.5.1). */
	debugctl = cpu_rdmsr(ARCH_MSR_DEBUGCTL);
	debug_enter(v, &debug);
	if (cpu_read_dr6() != v->dr6)
		cpu_write_dr6(v->dr6);
	if (cpu_read_cr2() != v->cr2)
		vmx_write_cr2(v->cr2);
	host_l1d_flush(s->fresh);
	s->fresh = false;

	failed = vmx_enter(v->gpr, s->launched, &s->host_rsp, VMCS_HOST_RSP);

	v->cr2 = cpu_read_cr2();
	v->dr6 = cpu_read_dr6();
	debug_leave(v, &debug);
	if (debugctl != 0)
		cpu_wrmsr(ARCH_MSR_DEBUGCTL, debugctl);
	if (failed)
		return enter_failed(v);
	reason = (uint32_t)vmx_vmread(VMCS_EXIT_REASON);
	if (reason & VMX_EXIT_REASON_ENTRY_FAILED)
		return entry_refused(v, reason);

	s->launched = true;
	s->shadow_known = false;
	if (s->apic != NULL)
		v->cr8 = s->apic[APIC_TPR] >> TPR_SHIFT;
	v->gpr[VCPU_REGS_RSP] = s->rsp = vmx_vmread(VMCS_GUEST_RSP);
	v->gpr[VCPU_REGS_RIP] = s->rip = vmx_vmread(VMCS_GUEST_RIP);
	v->gpr[VCPU_REGS_RFLAGS] = s->rflags = vmx_vmread(VMCS_GUEST_RFLAGS);
	decode_exit(v, reason);
	return 0;
}

const struct backend vmx_backend = {
	.name = "VMX/EPT",
	.stage2 = &arch_ept_format,
	.msr_vendor = MSR_VENDOR_INTEL,
	.window_reason = VMX_EXIT_INT_WINDOW,
	.largest_leaf = vmx_largest_leaf,
	.attach = vmx_attach,
	.detach = vmx_detach,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.vm_init = vmx_vm_init,
	.vm_fini = vmx_vm_fini,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_fini = vmx_vcpu_fini,
	.vcpu_reset = vmx_vcpu_reset,
	.regs_read = vmx_regs_read_op,
	.regs_write = vmx_regs_write_op,
	.reg_get = vmx_reg_get_op,
	.reg_set = vmx_reg_set_op,
	.seg_get = vmx_seg_get_op,
	.mode = vmx_mode,
	.tsc_offset = vmx_tsc_offset,
	.prepare = vmx_prepare,
	.load = vmx_load,
	.put = vmx_put,
	.enter = vmx_run,
	.irq_ready = vmx_irq_ready,
	.irq_window = vmx_irq_window,
	.clear_shadow = vmx_clear_shadow,
};
