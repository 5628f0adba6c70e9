/* SPDX-License-Identifier: ISC */
/*
 * vmx.c - the backend for Intel VMX with EPT and unrestricted guest (SDM 3C
 * 24-31): the machine, its VMs and vCPUs.
 */
#include "vmx.h"
#include "backends.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "cr.h"

/* Memory type write-back, in capability MSRs and EPTP (SDM 3C 25.6.11). */
#define TYPE_WB		6u
#define EPT_LEVELS	4u

#define STAY_MS		1		/* a stay in the guest ends after that */

/* PAE root entries: what must be 0 (SDM 3A 4.4.1). */
#define PDPTE_RESERVED	0x1e6u
#define LEAF_ADDRESS_SIZES 0x80000008u

struct vmx_machine vmx;

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
	if (missing == NULL)
		missing = vmx_capabilities_negotiate(&vmx.controls,
		    &vmx.ept_cap, cpu_rdmsr);
	if (missing == NULL)
		missing = vmx_owned_negotiate(&vmx_owned_cr0, &vmx_owned_cr4,
		    cpu_rdmsr);
	if (missing != NULL) {
		host_info("vmm: this CPU's VMX lacks %s\n", missing);
		return -ENODEV;
	}
	return 0;
}

/* Which MSRs there are to switch. */
static void
find_msrs(void)
{
	unsigned int i;

	vmx.stay_msrs.count = vmx.sce_msrs.count = 0;
	for (i = 0; i < VMX_MSR_CONTEXTS; i++) {
		const struct vmx_msr_context *m = &vmx_msr_contexts[i];
		struct vmx_msrs *set = m->sce ? &vmx.sce_msrs : &vmx.stay_msrs;

		if (m->feature == CPUID_FEATURES || cpuid_host_has(m->feature))
			set->msr[set->count++] = *m;
	}
}

/*
 * Of CR4, too, the guest owns only the bits that its CPUID shows, which is
 * known only after attach; an attempt on any other exits. A change of OSXSAVE
 * does as well: XCR0 depends on it (fpu.c). Some in force are the host's.
 */
static void
own_cr4(void)
{
	vmx_owned_cr4.mask |= ~cpuid_guest_cr4() | ARCH_CR4_OSXSAVE |
	    ARCH_CR4_HOST;
	vmx_owned_cr4.set |= cr4_host;
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
	find_msrs();
	vmx.l1d_flush = host_l1d_may_flush();
	vmx.pdpte_reserved = PDPTE_RESERVED | UINT64_MAX << (r[0] & 0xff);
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

static bool
vmx_execute_only(void)
{
	return vmx.ept_cap & VMX_EPT_VPID_CAP_EXECUTE_ONLY;
}

static bool
vmx_accessed_bits(void)
{
	return vmx.ept_cap & VMX_EPT_VPID_CAP_ACCESSED_DIRTY;
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
	struct vmx_cpu *c = vmx_this_cpu();
	int err;

	if (cpu_read_cr4() & ARCH_CR4_VMXE)
		return -EBUSY;
	err = feature_control_on();
	if (err)
		return err;
	host_cr4_change(ARCH_CR4_VMXE, 0);
	host_perf_virt(true);
	if (!vmx_vmxon(host_va_to_pa(c->region))) {
		host_perf_virt(false);
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
	vmx_read_host(c);
	c->on = true;
	return 0;
}

static void
disable_vmx(void)
{
	vmx_vmxoff();
	host_cr4_change(0, ARCH_CR4_VMXE);
}

static void
vmx_cpu_off(void)
{
	struct vmx_cpu *c = vmx_this_cpu();

	if (!c->on)
		return;
	while (c->active != NULL)
		vmcs_leave(c, c->active);
	c->on = false;
	disable_vmx();
	host_perf_virt(false);
}

/* As KVM, it does not ask who has begun VMX operation: it has to end. */
static void
vmx_cpu_emergency(void)
{
	if (!(cpu_read_cr4() & ARCH_CR4_VMXE))
		return;
	vmcs_save_all(vmx_this_cpu());
	disable_vmx();
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
	if (vmx_accessed_bits())
		xv->eptp |= VMX_EPTP_ACCESSED_DIRTY;
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
	for (i = 0; i < VMX_MAX_VPIDS && (vmx.vpids[i / 8] >> i % 8 & 1); i++)
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
	s->cpu = VMX_NO_CPU;
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
	s->msrs = host_page_alloc(0);
	if (s->msrs == NULL)
		return -ENOMEM;
	s->vpid = vpid_get();
	return 0;
}

static void
vmx_vcpu_fini(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (s == NULL)
		return;
	/* Before its page goes: the CPU may still write to it. */
	vmcs_retire(s);
	vpid_put(s->vpid);
	if (s->apic != NULL)
		host_page_free(s->apic, 0);
	if (s->msrs != NULL)
		host_page_free(s->msrs, 0);
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
	vmx_vmwrite(VMCS_ENTRY_MSR_LOAD_ADDRESS, host_va_to_pa(s->msrs->entry));
	vmx_vmwrite(VMCS_EXIT_MSR_LOAD_ADDRESS, host_va_to_pa(s->msrs->exit));
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

	own_cr4();
	if (!vmcs_begin(v))
		return;
	write_controls(s, v->vm->backend);
	write_guest_state(v);
	vmcs_end(v);
	s->proc = vmx.controls.proc;
	s->perf_msrs = 0;
	s->written = false;
	s->window = false;
	s->shadow_known = false;
	s->pdptes_due = false;
	s->flush = true;
}

const struct backend vmx_backend = {
	.name = "VMX/EPT",
	.stage2 = &arch_ept_format,
	.msr_vendor = MSR_VENDOR_INTEL,
	.window_reason = VMX_EXIT_INT_WINDOW,
	.largest_leaf = vmx_largest_leaf,
	.execute_only = vmx_execute_only,
	.accessed_bits = vmx_accessed_bits,
	.attach = vmx_attach,
	.detach = vmx_detach,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.cpu_emergency = vmx_cpu_emergency,
	.vm_init = vmx_vm_init,
	.vm_fini = vmx_vm_fini,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_fini = vmx_vcpu_fini,
	.vcpu_reset = vmx_vcpu_reset,
	.regs_read = vmx_op_regs_read,
	.regs_write = vmx_op_regs_write,
	.reg_get = vmx_op_reg_get,
	.reg_set = vmx_op_reg_set,
	.seg_get = vmx_op_seg_get,
	.mode = vmx_op_mode,
	.fetch_state = vmx_op_fetch_state,
	.tsc_offset = vmx_tsc_offset,
	.prepare = vmx_op_prepare,
	.stay = vmx_op_stay,
	.irq_ready = vmx_op_irq_ready,
	.irq_window = vmx_irq_window,
	.clear_shadow = vmx_op_clear_shadow,
};
