/* SPDX-License-Identifier: ISC */
/*
 * svm.c - the backend for AMD SVM with nested paging (APM 2 15).
 */
#include "backends.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "debug.h"
#include "event.h"
#include "guest_loop.h"
#include "svm_controls.h"
#include "svm_cpu.h"
#include "svm_entry_check.h"
#include "svm_msrpm.h"
#include "svm_registers.h"
#include "svm_vmcb.h"

#define LEAF_HYPERVISOR		0x40000000u
#define LEAF_ADDRESS_SIZES	0x80000008u
#define LEAF_SVM		0x8000000au

#define MSRPM_ORDER		1	/* 8 KiB, APM 2 15.11 */
#define IOPM_ORDER		2	/* 12 KiB, APM 2 15.10.1 */

/* EXITCODE of a VMCB that VMRUN refused (APM 2 15.5); QEMU has the low half only. */
#define EXITCODE_INVALID(code)	((uint32_t)(code) == UINT32_MAX)

/* The registers in a VMCB, from the segments to the branch records. */
#define SAVED		offsetof(struct vmcb, es)
#define SAVED_SIZE	(offsetof(struct vmcb, reserved_6a0) - SAVED)

/* One CPU. Only that CPU touches it once the CPU is on. */
struct svm_cpu {
	bool	 on;
	void	*hsave;		/* VM_HSAVE_PA: what VMRUN saves */
	void	*host_vmcb;	/* what VMRUN does not: VMSAVE's part */
	uint64_t host_vmcb_pa;
	uint64_t old_hsave_pa;	/* as it was before cpu_on */
	uint64_t xss;		/* the kernel sets it once */
	uint32_t next_asid;
	uint64_t asid_gen;	/* grows when all ASIDs have been given out */
	uint64_t last_vcpu;	/* tag of the vCPU that ran last, 0: none */
	uint32_t times_on;
};

struct svm_vm {
	uint64_t *top;		/* fifth level of a host with LA57, or NULL */
	uint64_t root_pa;
};

struct svm_vcpu {
	struct vmcb *vmcb;
	/*
	 * What VMRUN was given, while it has not taken the state yet: a CPU that
	 * refuses it may leave its own registers in the VMCB (QEMU does).
	 */
	uint8_t	 tried[SAVED_SIZE];
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

static struct {
	struct svm_caps caps;
	uint32_t max_asid;
	bool	 la57;		/* the host's page tables have five levels */
	bool	 has_xss;
	uint32_t clean;		/* of a VMCB right after an exit */
	bool	 tcg;		/* the CPU is QEMU's; see put_event() */
	bool	 page_1g;	/* leaves of 1 GiB, nested ones too (APM 2 15.25) */
	void	*msrpm, *iopm;	/* the same for every guest */
	struct svm_cpu *cpu;	/* host_cpu_limit() of them */
	uint64_t last_tag;	/* sync_* */
} svm;

static struct svm_vcpu *
svm_vcpu(const struct vcpu *v)
{
	return v->backend;
}

static struct vmcb *
vmcb_of(const struct vcpu *v)
{
	return svm_vcpu(v)->vmcb;
}

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

static int
svm_cpu_on(void)
{
	struct svm_cpu *c = &svm.cpu[host_cpu()];
	uint64_t efer = cpu_rdmsr(ARCH_MSR_EFER);

	if (efer & ARCH_EFER_SVME)
		return -EBUSY;
	cpu_wrmsr(ARCH_MSR_EFER, efer | ARCH_EFER_SVME);
	c->old_hsave_pa = cpu_rdmsr(ARCH_MSR_VM_HSAVE_PA);
	cpu_wrmsr(ARCH_MSR_VM_HSAVE_PA, host_va_to_pa(c->hsave));
	c->xss = svm.has_xss ? cpu_rdmsr(ARCH_MSR_XSS) : 0;
	/* No ASID of before is valid, and the first one flushes everything. */
	c->asid_gen++;
	c->next_asid = svm.max_asid + 1;
	c->last_vcpu = 0;
	c->times_on++;
	c->on = true;
	return 0;
}

static void
svm_cpu_off(void)
{
	struct svm_cpu *c = &svm.cpu[host_cpu()];

	if (!c->on)
		return;
	c->on = false;
	cpu_wrmsr(ARCH_MSR_VM_HSAVE_PA, c->old_hsave_pa);
	cpu_wrmsr(ARCH_MSR_EFER,
	    cpu_rdmsr(ARCH_MSR_EFER) & ~(uint64_t)ARCH_EFER_SVME);
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
	m->cr4 = vmcb->cr4;
	m->efer = svm_reg_get(vmcb, v, REG_EFER);
	m->rflags = v->gpr[VCPU_REGS_RFLAGS];
	m->cpl = vmcb->cpl;
	m->code64 = lma && (vmcb->cs.attributes & VMCB_SEGATTR_L);
	m->code32 = !m->code64 && (vmcb->cs.attributes & VMCB_SEGATTR_DB);
}

GUEST_LOOP void
fetch_state(const struct vmcb *vmcb, struct fetch_state *s)
{
	s->cr0 = vmcb->cr0;
	s->cr3 = vmcb->cr3;
	s->cr4 = vmcb->cr4;
	s->efer = vmcb->efer;
	/* As it lies there: one load. */
	s->cs = (uint64_t)vmcb->cs.limit << 32 |
	    (uint64_t)vmcb->cs.attributes << 16 | vmcb->cs.selector;
	s->cs_base = vmcb->cs.base;
	s->cpl = vmcb->cpl;
}

static void
svm_fetch_state(struct vcpu *v, struct fetch_state *s)
{
	fetch_state(vmcb_of(v), s);
}

/* --- Events ------------------------------------------------------------------------------- */

static bool
svm_irq_ready(struct vcpu *v)
{
	return (v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF) &&
	    !(vmcb_of(v)->interrupt_shadow & VMCB_SHADOW_INTERRUPT);
}

/*
 * A virtual interrupt that never arrives: its intercept fires when the guest
 * could take it (APM 2 15.21.4).
 */
static void
svm_irq_window(struct vcpu *v, bool on)
{
	struct svm_vcpu *s = svm_vcpu(v);
	struct vmcb *vmcb = s->vmcb;

	if (s->window == on)
		return;
	s->window = on;
	if (on) {
		vmcb_set_intercept_misc1(vmcb,
		    vmcb->intercept_misc1 | SVM_CONTROL_VINTR);
		vmcb_set_vintr(vmcb, vmcb->vintr | VMCB_VINTR_IRQ |
		    VMCB_VINTR_IGN_TPR);
	} else {
		vmcb_set_intercept_misc1(vmcb,
		    vmcb->intercept_misc1 & ~SVM_CONTROL_VINTR);
		vmcb_set_vintr(vmcb, vmcb->vintr &
		    ~(VMCB_VINTR_IRQ | VMCB_VINTR_IGN_TPR));
	}
}

static void
svm_clear_shadow(struct vcpu *v)
{
	struct vmcb *vmcb = vmcb_of(v);

	vmcb->interrupt_shadow &= ~VMCB_SHADOW_INTERRUPT;
}

/* A VMCB has the error code in the upper half. */
static uint64_t
eventinj(const struct event *e)
{
	return event_to_hw(e) |
	    (e->has_error ? (uint64_t)e->error << VMCB_EVENTINJ_ERROR_SHIFT : 0);
}

/*
 * An external interrupt that the guest can take goes in as a virtual one,
 * which it takes first of all (APM 2 15.21.4). EVENTINJ would do as well, but
 * QEMU's TCG, up to 7.2 at least, may deliver what EVENTINJ brought once more
 * at any time before the next exit, and guests do not survive that. The
 * window's request needs the virtual interrupt for itself; then it is EVENTINJ,
 * and on TCG an interrupt of ours makes the next exit come at once.
 */
static void
put_event(struct vcpu *v)
{
	struct svm_vcpu *s = svm_vcpu(v);
	struct vmcb *vmcb = s->vmcb;
	const struct event *e = &v->inject;

	if (e->type == EVENT_NONE) {
		s->virq = false;
		vmcb->eventinj = 0;
		return;
	}
	s->virq = e->type == EVENT_EXTINT && !s->window && svm_irq_ready(v);
	vmcb->eventinj = s->virq ? 0 : eventinj(e);
	if (s->virq)
		vmcb_set_vintr(vmcb, (vmcb->vintr & ~VMCB_VINTR_VECTOR_MASK) |
		    (uint64_t)e->vector << VMCB_VINTR_VECTOR_SHIFT |
		    VMCB_VINTR_IRQ | VMCB_VINTR_IGN_TPR);
	else if (svm.tcg && e->type == EVENT_EXTINT)
		host_interrupt_self();
}

/* What was to go in and has not: the exit came first, or cut it short. */
static void
take_event_back(struct vcpu *v, const struct svm_vcpu *s, struct vmcb *vmcb)
{
	event_from_hw((uint32_t)vmcb->exitintinfo,
	    (uint32_t)(vmcb->exitintinfo >> VMCB_EVENTINJ_ERROR_SHIFT),
	    &v->exit.interrupted);
	if (!s->virq || !(vmcb->vintr & VMCB_VINTR_IRQ))
		return;
	/* The guest has not taken it. What QEMU then has in EXITINTINFO is void. */
	vmcb_set_vintr(vmcb, vmcb->vintr & ~VMCB_VINTR_IRQ);
	v->exit.interrupted = v->inject;
}

/* --- Exits ---------------------------------------------------------------------------------- */

/* Bytes from RIP to next, or 0 when that is no instruction's length. */
static uint8_t
insn_len_to(uint64_t rip, uint64_t next)
{
	uint64_t len = next - rip;

	/* Outside 64-bit mode the CPU may give the low half only. */
	if (len > 15)
		len = (uint32_t)len;
	return len >= 1 && len <= 15 ? (uint8_t)len : 0;
}

static void
decode_io(const struct vmcb *vmcb, struct exit_info *x)
{
	static const uint8_t seg[] = {
		[VMCB_IOIO_SEG_ES] = SREG_ES, [VMCB_IOIO_SEG_CS] = SREG_CS,
		[VMCB_IOIO_SEG_SS] = SREG_SS, [VMCB_IOIO_SEG_DS] = SREG_DS,
		[VMCB_IOIO_SEG_FS] = SREG_FS, [VMCB_IOIO_SEG_GS] = SREG_GS,
	};
	uint64_t info = vmcb->exitinfo1;
	unsigned int n = (info & VMCB_IOIO_SEG_MASK) >> VMCB_IOIO_SEG_SHIFT;

	x->io.port = (uint16_t)(info >> VMCB_IOIO_PORT_SHIFT);
	x->io.size = info & VMCB_IOIO_SZ32 ? 4 : info & VMCB_IOIO_SZ16 ? 2 : 1;
	/* An emulated CPU may name no address size at all. */
	x->io.addr_size = info & VMCB_IOIO_A64 ? 8 :
	    info & VMCB_IOIO_A32 ? 4 : info & VMCB_IOIO_A16 ? 2 : 0;
	x->io.in = info & VMCB_IOIO_IN;
	x->io.string = info & VMCB_IOIO_STR;
	x->io.rep = info & VMCB_IOIO_REP;
	x->io.seg_valid = svm.caps.decode_assists && n < sizeof(seg);
	if (x->io.seg_valid)
		x->io.seg = seg[n];
	x->insn_len = insn_len_to(vmcb->rip, vmcb->exitinfo2);
}

static void
decode_npf(const struct vmcb *vmcb, struct exit_info *x)
{
	uint64_t info = vmcb->exitinfo1;

	x->npf.gpa = vmcb->exitinfo2;
	x->npf.access = info & VMCB_NPF_W ? STAGE2_W :
	    info & VMCB_NPF_I ? STAGE2_X : STAGE2_R;
	if (svm.caps.decode_assists) {
		x->bytes_len = vmcb->insn_len & 0xf;
		memcpy(x->bytes, vmcb->insn_bytes, sizeof(x->bytes));
	}
}

static void
decode_cr(const struct vmcb *vmcb, struct exit_info *x)
{
	x->cr.cr = vmcb->exitcode == SVM_VMEXIT_CR4_WRITE ? 4 : 0;
	x->cr.op = CR_MOV_TO;
	x->cr.valid = svm.caps.decode_assists &&
	    (vmcb->exitinfo1 & VMCB_CRINFO_MOV);
	x->cr.gpr = vmcb->exitinfo1 & VMCB_CRINFO_GPR_MASK;
}

/* What the handlers of exits with something of their own want to know. */
static void
decode_details(struct vcpu *v)
{
	const struct vmcb *vmcb = vmcb_of(v);
	struct exit_info *x = &v->exit;

	switch (x->kind) {
	case EXIT_IO:
		decode_io(vmcb, x);
		break;
	case EXIT_STAGE2_FAULT:
		decode_npf(vmcb, x);
		break;
	case EXIT_CR_ACCESS:
		decode_cr(vmcb, x);
		break;
	case EXIT_EXCEPTION_DB:
		x->exc.vector = ARCH_EXC_DB;
		x->exc.has_error = false;
		break;
	case EXIT_EXCEPTION_AC:
		x->exc.vector = ARCH_EXC_AC;
		x->exc.has_error = true;
		x->exc.error = (uint32_t)vmcb->exitinfo1;
		break;
	default:
		break;
	}
}

/* The length, where the CPU does not tell it but a fetch is remembered. */
GUEST_LOOP uint8_t
known_length(const struct vcpu *v, const struct vmcb *vmcb, uint64_t insns)
{
	const uint64_t rip = v->gpr[VCPU_REGS_RIP];
	const struct insn_site *s = insn_site(&v->insns, rip);
	struct fetch_state now;

	fetch_state(vmcb, &now);
	return insn_site_holds(s, rip, &now, insns) ? s->insn.length : 0;
}

/* Fill v->exit. Quick exits, but for MOV CR, have nothing but a length. */
static int
decode_exit(struct vcpu *v, struct vmcb *vmcb)
{
	struct exit_info *x = &v->exit;
	const struct exit_policy *p;

	x->reason = vmcb->exitcode;
	x->kind = svm_exit_kind(vmcb->exitcode);
	svm_controls_renew(vmcb, x->kind);
	if (host_tracing(vmm_exit)) {
		x->info1 = vmcb->exitinfo1;
		x->info2 = vmcb->exitinfo2;
	}
	x->bytes_len = 0;
	x->insn_len = svm.caps.nrip_save ?
	    insn_len_to(vmcb->rip, vmcb->nrip) : 0;
	x->msr.write = vmcb->exitinfo1 & 1;
	p = &exit_policy[x->kind];
	if (!p->quick || p->operands)
		decode_details(v);
	/* Where an event has not gone in, it comes first. */
	if (!p->quick || x->interrupted.type != EVENT_NONE ||
	    (p->operands && !x->cr.valid))
		return ENTER_EXIT;
	if (x->insn_len == 0)
		x->insn_len = known_length(v, vmcb, p->insns);
	return x->insn_len != 0 ? ENTER_QUICK : ENTER_EXIT;
}

/* --- The world switch ------------------------------------------------------------------------ */

static void
svm_load(struct vcpu *v)
{
	struct svm_cpu *c = &svm.cpu[v->stay.cpu];
	struct svm_vcpu *s = svm_vcpu(v);

	/*
	 * Cached VMCB state and ASIDs are a CPU's own (APM 2 15.15.2), and
	 * neither outlives its being offline or asleep.
	 */
	if (s->cpu != v->stay.cpu || s->times_on != c->times_on) {
		s->cpu = v->stay.cpu;
		s->times_on = c->times_on;
		s->asid_gen = 0;
		s->vmcb->clean = 0;
	}
	if (c->last_vcpu != s->tag) {
		c->last_vcpu = s->tag;
		host_predictor_barrier();
	}
	s->host_saved = false;
	/* Guests see no IA32_XSS, but XSAVES would obey the host's. */
	if (c->xss != 0)
		cpu_wrmsr(ARCH_MSR_XSS, 0);
}

static void
svm_put(struct vcpu *v)
{
	const struct svm_cpu *c = &svm.cpu[v->stay.cpu];

	debug_put(v, vmcb_of(v)->dr6);
	if (c->xss != 0)
		cpu_wrmsr(ARCH_MSR_XSS, c->xss);
}

/* A fresh ASID: no translation carries it (APM 2 15.16.1). */
static void
new_asid(struct svm_cpu *c, struct svm_vcpu *s)
{
	if (c->next_asid > svm.max_asid) {
		c->next_asid = 1;
		c->asid_gen++;
		s->vmcb->tlb_control = VMCB_TLB_FLUSH_ALL;
	}
	s->asid_gen = c->asid_gen;
	vmcb_set_guest_asid(s->vmcb, c->next_asid++);
}

static void
prepare_tlb(struct svm_cpu *c, struct svm_vcpu *s, bool flush)
{
	s->vmcb->tlb_control = VMCB_TLB_NONE;
	if (s->asid_gen != c->asid_gen)
		new_asid(c, s);
	else if (flush && svm.caps.flush_by_asid)
		s->vmcb->tlb_control = VMCB_TLB_FLUSH_ASID;
	else if (flush)
		new_asid(c, s);
}

/* The general registers that VMRUN and #VMEXIT switch. */
static void
write_gprs(const struct vcpu *v, struct vmcb *vmcb)
{
	vmcb->rax = v->gpr[VCPU_REGS_RAX];
	vmcb->rsp = v->gpr[VCPU_REGS_RSP];
	vmcb->rip = v->gpr[VCPU_REGS_RIP];
	vmcb->rflags = v->gpr[VCPU_REGS_RFLAGS];
}

static void
read_gprs(struct vcpu *v, const struct vmcb *vmcb)
{
	v->gpr[VCPU_REGS_RAX] = vmcb->rax;
	v->gpr[VCPU_REGS_RSP] = vmcb->rsp;
	v->gpr[VCPU_REGS_RIP] = vmcb->rip;
	v->gpr[VCPU_REGS_RFLAGS] = vmcb->rflags;
}

/* The vCPU is as before; why it was refused is said. */
static int
entry_failed(struct vcpu *v)
{
	struct svm_cpu *c = &svm.cpu[v->stay.cpu];
	struct svm_vcpu *s = svm_vcpu(v);

	if (s->untried)
		memcpy((uint8_t *)s->vmcb + SAVED, s->tried, SAVED_SIZE);
	write_gprs(v, s->vmcb);
	/* The exit has taken it out. */
	put_event(v);
	s->vmcb->clean = 0;
	/* If this was to flush all, nobody knows whether it has. */
	c->next_asid = svm.max_asid + 1;
	s->asid_gen = 0;
	svm_diagnose(v, s->vmcb);
	return -EINVAL;
}

static int
turn_begin(struct vcpu *v, bool flush)
{
	struct svm_cpu *c = &svm.cpu[v->stay.cpu];
	struct svm_vcpu *s = svm_vcpu(v);

	if (!c->on)
		return -EAGAIN;
	if (!s->host_saved) {
		svm_vmsave(c->host_vmcb_pa);
		s->host_saved = true;
	}
	s->host_vmcb_pa = c->host_vmcb_pa;
	prepare_tlb(c, s, flush);
	put_event(v);
	if (s->untried)
		memcpy(s->tried, (uint8_t *)s->vmcb + SAVED, SAVED_SIZE);
	/* #VMEXIT disarms the host's breakpoints in DR7 (APM 2 15.6). */
	debug_enter(v);
	return 0;
}

static int
enter(struct vcpu *v)
{
	struct svm_vcpu *s = svm_vcpu(v);
	struct vmcb *vmcb = s->vmcb;

	write_gprs(v, vmcb);
	svm_clgi();
	svm_enter(v->gpr, s->vmcb_pa, s->host_vmcb_pa);
	/* A host NMI that came meanwhile is taken here. */
	svm_stgi();
	if (EXITCODE_INVALID(vmcb->exitcode))
		return entry_failed(v);
	s->untried = false;
	read_gprs(v, vmcb);
	take_event_back(v, s, vmcb);
	/* For the next entry of this turn. */
	vmcb->eventinj = 0;
	vmcb->tlb_control = VMCB_TLB_NONE;
	vmcb->clean = svm.clean;
	return decode_exit(v, vmcb);
}

static const struct guest_ops ops = {
	.load = svm_load,
	.put = svm_put,
	.turn_begin = turn_begin,
	.enter = enter,
	.turn_end = debug_leave,
	.irq_ready = svm_irq_ready,
	.irq_window = svm_irq_window,
	.clear_shadow = svm_clear_shadow,
};

static int
svm_stay(struct vcpu *v)
{
	return guest_stay(v, &ops);
}

const struct backend svm_backend = {
	.name = "SVM/RVI",
	.stage2 = &arch_npt_format,
	.msr_vendor = MSR_VENDOR_AMD,
	.window_reason = SVM_VMEXIT_VINTR,
	.largest_leaf = svm_largest_leaf,
	.attach = svm_attach,
	.detach = svm_detach,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
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
