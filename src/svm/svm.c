/* SPDX-License-Identifier: ISC */
/*
 * svm.c - the backend for AMD SVM with nested paging (APM 2 15): the machine,
 * its VMs and vCPUs, and their registers.
 */
#include "backends.h"
#include "svm.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "svm_cpu.h"
#include "svm_msrpm.h"
#include "svm_registers.h"

#define LEAF_HYPERVISOR		0x40000000u
#define LEAF_ADDRESS_SIZES	0x80000008u
#define LEAF_SVM		0x8000000au

#define BP_SPEC_REDUCE		(1ULL << 4)	/* of BP_CFG */

#define MSRPM_ORDER		1	/* 8 KiB, APM 2 15.11 */
#define IOPM_ORDER		2	/* 12 KiB, APM 2 15.10.1 */

struct svm_vm {
	uint64_t *top;		/* fifth level of a host with LA57, or NULL */
	uint64_t root_pa;
};

struct svm_machine svm;

/* --- The machine ------------------------------------------------------------------- */

static void
svm_detach(void)
{
	unsigned int i;

	for (i = 0; svm.cpu != NULL && i < host_cpu_limit(); i++) {
		if (svm.cpu[i].hsave != NULL)
			host_page_free(svm.cpu[i].hsave, 0);
		if (svm.cpu[i].host_vmcb != NULL)
			host_page_free(svm.cpu[i].host_vmcb, 0);
	}
	host_free(svm.cpu);
	if (svm.msrpm != NULL)
		host_page_free(svm.msrpm, MSRPM_ORDER);
	if (svm.iopm != NULL)
		host_page_free(svm.iopm, IOPM_ORDER);
	memset(&svm, 0, sizeof(svm));
}

static int
svm_alloc(void)
{
	unsigned int i;

	svm.msrpm = host_page_alloc(MSRPM_ORDER);
	svm.iopm = host_page_alloc(IOPM_ORDER);
	svm.cpu = host_alloc(host_cpu_limit() * sizeof(svm.cpu[0]));
	if (svm.msrpm == NULL || svm.iopm == NULL || svm.cpu == NULL)
		return -ENOMEM;
	for (i = 0; i < host_cpu_limit(); i++) {
		svm.cpu[i].hsave = host_page_alloc(0);
		svm.cpu[i].host_vmcb = host_page_alloc(0);
		if (svm.cpu[i].hsave == NULL || svm.cpu[i].host_vmcb == NULL)
			return -ENOMEM;
		svm.cpu[i].host_vmcb_pa = host_va_to_pa(svm.cpu[i].host_vmcb);
	}
	svm_msrpm_init(svm.msrpm);
	/* Every port exits. */
	memset(svm.iopm, 0xff, PAGE_SIZE_4K << IOPM_ORDER);
	return 0;
}

/* -ENODEV: the log says what is missing. -ENXIO: everything. */
static int
svm_check_cpu(void)
{
	const char *missing;
	uint32_t r[4];

	if (!cpuid_host_has(CPUID_FEATURE_SVM))
		return -ENXIO;
	if (cpu_rdmsr(ARCH_MSR_VM_CR) & ARCH_MSR_VM_CR_SVMDIS) {
		host_info("vmm: SVM is disabled by the firmware; enable it "
		    "(\"SVM mode\") in the firmware's setup\n");
		return -ENODEV;
	}
	cpu_cpuid(LEAF_SVM, 0, r);
	missing = svm_caps_read(&svm.caps, r[1], r[3]);
	if (missing != NULL) {
		host_info("vmm: this CPU's SVM lacks %s\n", missing);
		return -ENODEV;
	}
	cpu_cpuid(LEAF_ADDRESS_SIZES, 0, r);
	svm_caps_read_ext(&svm.caps, r[1]);
	/* ASID 0 is the host's, the count includes it (APM 2 15.16.1). */
	if (svm.caps.asids < 2) {
		host_info("vmm: this CPU's SVM has no ASID for a guest\n");
		return -ENODEV;
	}
	svm.max_asid = svm.caps.asids - 1;
	cpu_cpuid(LEAF_HYPERVISOR, 0, r);
	svm.tcg = memcmp(&r[1], "TCGTCGTCGTCG", 12) == 0;
	return 0;
}

static int
svm_attach(void)
{
	int err;

	err = svm_check_cpu();
	if (err)
		return err;
	svm.clean = svm.caps.clean_bits ? VMCB_CLEAN_ALL : 0;
	svm.la57 = cpu_read_cr4() & ARCH_CR4_LA57;
	svm.has_xss = cpuid_host_has(CPUID_FEATURE_XSAVES);
	/* RDPID has no intercept, and QEMU's RDTSCP has none either. */
	svm.reads_tsc_aux = cpuid_host_has(CPUID_FEATURE_RDPID) ||
	    (svm.tcg && cpuid_host_has(CPUID_FEATURE_RDTSCP));
	svm.bp_spec_reduce = host_bp_spec_reduce();
	svm.page_1g = cpuid_host_has(CPUID_FEATURE_PAGE1GB);
	err = svm_alloc();
	if (err)
		svm_detach();
	return err;
}

static enum stage2_level
svm_largest_leaf(void)
{
	return svm.page_1g ? STAGE2_1G : STAGE2_2M;
}

/* A nested page table is a page table of the host (APM 2 15.25.5). */
static bool
svm_accessed_bits(void)
{
	return true;
}

/* SRSO on Zen 5: less speculation for as long as guests may run on this CPU. */
static void
reduce_speculation(struct svm_cpu *c, bool on)
{
	uint64_t cfg;

	if (!svm.bp_spec_reduce || c->bp_reduced == on)
		return;
	cfg = cpu_rdmsr(ARCH_MSR_BP_CFG);
	if (on && (cfg & BP_SPEC_REDUCE))
		return;
	cpu_wrmsr(ARCH_MSR_BP_CFG, cfg ^ BP_SPEC_REDUCE);
	c->bp_reduced = on;
}

static int
svm_cpu_on(void)
{
	struct svm_cpu *c = &svm.cpu[host_cpu()];
	uint64_t efer = cpu_rdmsr(ARCH_MSR_EFER);

	if (efer & ARCH_EFER_SVME)
		return -EBUSY;
	cpu_wrmsr(ARCH_MSR_EFER, efer | ARCH_EFER_SVME);
	host_perf_virt(true);
	c->old_hsave_pa = cpu_rdmsr(ARCH_MSR_VM_HSAVE_PA);
	cpu_wrmsr(ARCH_MSR_VM_HSAVE_PA, host_va_to_pa(c->hsave));
	c->xss = svm.has_xss ? cpu_rdmsr(ARCH_MSR_XSS) : 0;
	c->tsc_aux = svm.reads_tsc_aux ? cpu_rdmsr(ARCH_MSR_TSC_AUX) : 0;
	/* No ASID of before is valid, and the first one flushes everything. */
	c->asid_gen++;
	c->next_asid = svm.max_asid + 1;
	c->last_vcpu = 0;
	c->times_on++;
	c->bp_reduced = false;
	reduce_speculation(c, true);
	c->on = true;
	return 0;
}

static void
disable_svm(const struct svm_cpu *c)
{
	cpu_wrmsr(ARCH_MSR_VM_HSAVE_PA, c->old_hsave_pa);
	cpu_wrmsr(ARCH_MSR_EFER,
	    cpu_rdmsr(ARCH_MSR_EFER) & ~(uint64_t)ARCH_EFER_SVME);
}

static void
svm_cpu_off(void)
{
	struct svm_cpu *c = &svm.cpu[host_cpu()];

	if (!c->on)
		return;
	c->on = false;
	reduce_speculation(c, false);
	disable_svm(c);
	host_perf_virt(false);
}

static void
svm_cpu_emergency(void)
{
	if (!(cpu_rdmsr(ARCH_MSR_EFER) & ARCH_EFER_SVME))
		return;
	/* With GIF clear, INIT would not start this CPU again (APM 2 15.17). */
	svm_stgi();
	disable_svm(&svm.cpu[host_cpu()]);
}

/* --- VMs and vCPUs -------------------------------------------------------------------- */

static int
svm_vm_init(struct vm *vm)
{
	struct svm_vm *sv;

	sv = host_alloc(sizeof(*sv));
	if (sv == NULL)
		return -ENOMEM;
	vm->backend = sv;
	sv->root_pa = host_va_to_pa(vm->stage2.root);
	if (!svm.la57)
		return 0;
	/* The nested walk has as many levels as the host's (APM 2 15.25.3). */
	sv->top = host_page_alloc(0);
	if (sv->top == NULL)
		return -ENOMEM;
	sv->top[0] = sv->root_pa | vm->stage2.fmt->table;
	sv->root_pa = host_va_to_pa(sv->top);
	return 0;
}

static void
svm_vm_fini(struct vm *vm)
{
	struct svm_vm *sv = vm->backend;

	if (sv == NULL)
		return;
	if (sv->top != NULL)
		host_page_free(sv->top, 0);
	host_free(sv);
	vm->backend = NULL;
}

static int
svm_vcpu_init(struct vcpu *v)
{
	struct svm_vcpu *s;

	s = host_alloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	v->backend = s;
	s->vmcb = host_page_alloc(0);
	if (s->vmcb == NULL)
		return -ENOMEM;
	s->vmcb_pa = host_va_to_pa(s->vmcb);
	s->tag = sync_add(&svm.last_tag, 1);
	return 0;
}

static void
svm_vcpu_fini(struct vcpu *v)
{
	struct svm_vcpu *s = svm_vcpu(v);

	if (s == NULL)
		return;
	if (s->vmcb != NULL)
		host_page_free(s->vmcb, 0);
	host_free(s);
	v->backend = NULL;
}

static void
svm_tsc_offset(struct vcpu *v)
{
	vmcb_set_tsc_offset(vmcb_of(v), v->tsc_offset);
}

static void
svm_vcpu_reset(struct vcpu *v)
{
	const struct svm_vm *sv = v->vm->backend;
	struct svm_vcpu *s = svm_vcpu(v);
	struct vmcb *vmcb = s->vmcb;

	memset(vmcb, 0, sizeof(*vmcb));
	svm_controls_init(vmcb, &svm.caps);
	vmcb_set_iopm_base_pa(vmcb, host_va_to_pa(svm.iopm));
	vmcb_set_msrpm_base_pa(vmcb, host_va_to_pa(svm.msrpm));
	vmcb_set_n_cr3(vmcb, sv->root_pa);
	svm_reg_set(vmcb, v, REG_PAT, msr_policy(ARCH_MSR_PAT)->reset);
	svm_tsc_offset(v);
	vmcb->clean = 0;
	s->window = false;
	s->asid_gen = 0;
}

/* --- Registers -------------------------------------------------------------------------- */

/* The guest reads the CR4 that it wrote: without an exit while that is in force. */
static void
follow_cr4(struct vcpu *v)
{
	struct vmcb *vmcb = vmcb_of(v);
	uint16_t reads = vmcb->intercept_cr_read & ~SVM_CONTROL_CR4_READ;

	if (vmcb->cr4 != v->cr4)
		reads |= SVM_CONTROL_CR4_READ;
	if (reads != vmcb->intercept_cr_read)
		vmcb_set_intercept_cr_read(vmcb, reads);
}

static void
svm_regs_read_op(struct vcpu *v, uint64_t groups, struct vcpu_reg_state *vrs)
{
	svm_regs_read(vmcb_of(v), v, groups, vrs);
}

static void
svm_regs_write_op(struct vcpu *v, uint64_t groups,
    const struct vcpu_reg_state *vrs)
{
	svm_regs_write(vmcb_of(v), v, groups, vrs);
	if (groups & VM_RWREGS_CRS)
		follow_cr4(v);
	if (groups & ~(uint64_t)VM_RWREGS_GPRS)
		svm_vcpu(v)->untried = true;
}

static uint64_t
svm_reg_get_op(struct vcpu *v, enum reg r)
{
	return svm_reg_get(vmcb_of(v), v, r);
}

/* Registers that VMRUN may refuse (APM 2 15.5.1); of PAT, msr.c knows the value. */
static bool
vmrun_checks(enum reg r)
{
	switch (r) {
	case REG_CR0:
	case REG_CR3:
	case REG_CR4:
	case REG_EFER:
	case REG_DR6:
	case REG_DR7:
		return true;
	default:
		return false;
	}
}

static void
svm_reg_set_op(struct vcpu *v, enum reg r, uint64_t value)
{
	svm_reg_set(vmcb_of(v), v, r, value);
	if (r == REG_CR4)
		follow_cr4(v);
	if (vmrun_checks(r)) {
		svm_vcpu(v)->untried = true;
		v->turn_over = true;
	}
}

static void
svm_seg_get_op(struct vcpu *v, enum sreg s, struct vcpu_segment_info *seg)
{
	svm_seg_get(vmcb_of(v), s, seg);
}

static void
svm_mode(struct vcpu *v, struct guest_mode *m)
{
	const struct vmcb *vmcb = vmcb_of(v);
	bool lma = vmcb->efer & ARCH_EFER_LMA;

	m->cr0 = vmcb->cr0;
	m->cr3 = vmcb->cr3;
	m->cr4 = v->cr4;
	m->efer = svm_reg_get(vmcb, v, REG_EFER);
	m->rflags = v->gpr[VCPU_REGS_RFLAGS];
	m->cpl = vmcb->cpl;
	m->code64 = lma && (vmcb->cs.attributes & VMCB_SEGATTR_L);
	m->code32 = !m->code64 && (vmcb->cs.attributes & VMCB_SEGATTR_DB);
}

const struct backend svm_backend = {
	.name = "SVM/RVI",
	.stage2 = &arch_npt_format,
	.msr_vendor = MSR_VENDOR_AMD,
	.window_reason = SVM_VMEXIT_VINTR,
	.largest_leaf = svm_largest_leaf,
	.accessed_bits = svm_accessed_bits,
	.attach = svm_attach,
	.detach = svm_detach,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.cpu_emergency = svm_cpu_emergency,
	.vm_init = svm_vm_init,
	.vm_fini = svm_vm_fini,
	.vcpu_init = svm_vcpu_init,
	.vcpu_fini = svm_vcpu_fini,
	.vcpu_reset = svm_vcpu_reset,
	.regs_read = svm_regs_read_op,
	.regs_write = svm_regs_write_op,
	.reg_get = svm_reg_get_op,
	.reg_set = svm_reg_set_op,
	.seg_get = svm_seg_get_op,
	.mode = svm_mode,
	.fetch_state = svm_fetch_state,
	.tsc_offset = svm_tsc_offset,
	.stay = svm_stay,
	.irq_ready = svm_irq_ready,
	.irq_window = svm_irq_window,
	.clear_shadow = svm_clear_shadow,
};
