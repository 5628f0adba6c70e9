/* SPDX-License-Identifier: ISC */
/*
 * sim/svm_cpu.c - VMRUN without a CPU: every check that entry_checks.yaml
 * has, the guest of the test, and the part of #VMEXIT that the driver relies on.
 */
#include "svm_cpu.h"
#include "guest.h"
#include "svm_entry_checks.h"

#define EFER		0xc0000080u
#define EFER_SVME	(1ULL << 12)
#define HSAVE_PA	0xc0010117u
#define EFER_VALID	0xfd01u		/* SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE */
#define DEBUGCTL	0x1d9u
#define CR4_MCE		(1ULL << 6)
#define INTERCEPT_CR4	(1u << 4)
#define DR7_OFF		0x400u
#define INTERCEPT1_VINTR (1u << 4)
#define RFLAGS_IF	(1u << 9)

#define CAPS_NP		(1u << 0)
#define CAPS_NRIP	(1u << 3)
#define CAPS_CLEAN	(1u << 5)
#define CAPS_FLUSH	(1u << 6)
#define CAPS_DECODE	(1u << 7)

struct sim_svm sim_svm;

bool
sim_svm_has(enum sim_svm_option o)
{
	return sim_svm.options >> o & 1;
}

/* A counter of the host only counts nothing while SVME is clear (APM 2 13.2.1). */
static void
perf_virt(bool on)
{
	if (on != !!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("counters of the host only would stand still");
	sim_svm.cpu[host_cpu()].host_only = on;
}

void
sim_svm_reset(unsigned int options)
{
	static const uint32_t bit[SIM_SVM_OPTIONS] = {
		[SIM_SVM_NRIP_SAVE] = CAPS_NRIP,
		[SIM_SVM_CLEAN_BITS] = CAPS_CLEAN,
		[SIM_SVM_FLUSH_BY_ASID] = CAPS_FLUSH,
		[SIM_SVM_DECODE_ASSISTS] = CAPS_DECODE,
	};
	uint32_t edx = CAPS_NP;

	memset(&sim_svm, 0, sizeof(sim_svm));
	sim_svm.options = options;
	for (unsigned int i = 0; i < SIM_SVM_OPTIONS; i++)
		if (sim_svm_has(i))
			edx |= bit[i];
	sim_tells.length = sim_svm_has(SIM_SVM_NRIP_SAVE);
	sim_tells.operands = sim_tells.bytes =
	    sim_svm_has(SIM_SVM_DECODE_ASSISTS);
	sim_cpuid_set(0x8000000a, UINT32_MAX, 1, SIM_ASIDS, 0, edx);
	host_user.on_perf_virt = perf_virt;
}

const struct vmcb *
sim_svm_entered(void)
{
	return &sim_svm.cpu[sim.entered.cpu].entered;
}

struct vmcb *
sim_svm_vmcb(void)
{
	return sim_svm.cpu[host_cpu()].inside;
}

void
svm_clgi(void)
{
	sim_insn();
	if (!host_user_irqs_off())
		host_user_panic("CLGI with interrupts on");
	sim_svm.cpu[host_cpu()].gif_clear = true;
}

void
svm_stgi(void)
{
	sim_insn();
	sim_svm.cpu[host_cpu()].gif_clear = false;
}

void
svm_vmsave(uint64_t pa)
{
	sim_insn();
	if (!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("#UD in the host: VMSAVE without SVME");
	memset(host_pa_to_va(pa), 0, 1);
}

/* --- VMRUN ------------------------------------------------------------------ */

/* Is there a virtual interrupt that the guest, not the host, is to get? */
static bool
virtual_irq(const struct vmcb *vmcb)
{
	return vmcb->vintr & VMCB_VINTR_IRQ &&
	    !(vmcb->intercept_misc1 & INTERCEPT1_VINTR);
}

/* The guest takes it as soon as it can (APM 2 15.21.4). */
static void
take_virtual_irq(struct vmcb *vmcb)
{
	if (virtual_irq(vmcb) && vmcb->rflags & RFLAGS_IF &&
	    !(vmcb->interrupt_shadow & VMCB_SHADOW_INTERRUPT))
		vmcb->vintr &= ~(uint64_t)VMCB_VINTR_IRQ;
}

/* What VMRUN refuses: every check of entry_checks.yaml. */
static bool
refused(const struct vmcb *vmcb)
{
	uint32_t bits[4];
	struct svm_entry entry = {
		.vmcb = vmcb,
		.efer_valid = EFER_VALID,
		.cr4_valid = entry_host_bits(ARCH_CR4_VALID &
		    ~(uint64_t)(ARCH_CR4_VMXE | ARCH_CR4_SMXE),
		    arch_cr4_needs, arch_cr4_needs_count),
		.long_mode = 1,
		.host_paging = 1,
	};

	cpu_cpuid(0x80000008, 0, bits);
	entry.maxphyaddr = bits[0] & 0xff;
	if (vmcb->guest_asid >= SIM_ASIDS)
		host_user_panic("ASID %u of %u", vmcb->guest_asid, SIM_ASIDS);
	return entry_next_broken(&svm_entry_rules, svm_entry_operand, &entry,
	    0) < SVM_CHECKS;
}

/* What each clean bit stands for (APM 2 15.15.3). */
#define GROUP(bit, member) \
	{ VMCB_CLEAN_##bit, offsetof(struct vmcb, member), \
	  sizeof(((struct vmcb *)0)->member) }
static const struct {
	uint32_t bit;
	size_t	 offset, size;
} cached[] = {
	GROUP(INTERCEPTS, intercept_cr_read),
	GROUP(INTERCEPTS, intercept_cr_write),
	GROUP(INTERCEPTS, intercept_dr_read),
	GROUP(INTERCEPTS, intercept_dr_write),
	GROUP(INTERCEPTS, intercept_exceptions),
	GROUP(INTERCEPTS, intercept_misc1),
	GROUP(INTERCEPTS, intercept_misc2),
	GROUP(INTERCEPTS, intercept_misc3),
	GROUP(INTERCEPTS, pause_filter_count),
	GROUP(INTERCEPTS, pause_filter_threshold),
	GROUP(INTERCEPTS, tsc_offset),
	GROUP(IOPM, iopm_base_pa), GROUP(IOPM, msrpm_base_pa),
	GROUP(ASID, guest_asid), GROUP(TPR, vintr),
	GROUP(NP, np_control), GROUP(NP, n_cr3), GROUP(NP, g_pat),
	GROUP(CRX, cr0), GROUP(CRX, cr3), GROUP(CRX, cr4), GROUP(CRX, efer),
	GROUP(DRX, dr6), GROUP(DRX, dr7),
	GROUP(DT, gdtr), GROUP(DT, idtr),
	GROUP(SEG, cs), GROUP(SEG, ds), GROUP(SEG, es), GROUP(SEG, ss),
	GROUP(SEG, cpl), GROUP(CR2, cr2),
	GROUP(LBR, dbgctl), GROUP(LBR, br_from), GROUP(LBR, br_to),
};

/* A CPU believes a clean bit: what it covers must be what the CPU left there. */
static void
check_clean(const struct vmcb *vmcb)
{
	const struct sim_svm_cpu *c = &sim_svm.cpu[host_cpu()];

	if (!sim_svm_has(SIM_SVM_CLEAN_BITS) && vmcb->clean != 0)
		host_user_panic("clean bits %#x on a CPU without them", vmcb->clean);
	if (c->vmcb != vmcb)
		return;
	for (size_t i = 0; i < sizeof(cached) / sizeof(cached[0]); i++)
		if (vmcb->clean & cached[i].bit &&
		    memcmp((const char *)vmcb + cached[i].offset,
		    (const char *)&c->left + cached[i].offset, cached[i].size) != 0)
			host_user_panic("clean bits %#x, but offset %#zx changed",
			    vmcb->clean, cached[i].offset);
}

/* Nobody else's translations may carry the ASID. True: nor this guest's. */
static bool
check_asid(const struct vmcb *vmcb)
{
	struct sim_svm_cpu *c = &sim_svm.cpu[host_cpu()];
	const struct vmcb **owner = &c->asid[vmcb->guest_asid];
	bool flushed;

	if (vmcb->tlb_control == VMCB_TLB_FLUSH_ALL)
		memset(c->asid, 0, sizeof(c->asid));
	else if (vmcb->tlb_control != VMCB_TLB_NONE &&
	    !sim_svm_has(SIM_SVM_FLUSH_BY_ASID))
		host_user_panic("TLB control %u on a CPU without it",
		    vmcb->tlb_control);
	else if (vmcb->tlb_control == VMCB_TLB_FLUSH_ASID)
		*owner = NULL;
	if (*owner != NULL && *owner != vmcb)
		host_user_panic("ASID %u has another's translations",
		    vmcb->guest_asid);
	flushed = *owner == NULL;
	*owner = vmcb;
	return flushed;
}

/* --- The guest of the test ---------------------------------------------------- */

/* Events of the tests and EVENTINJ (APM 2 15.20). */
static const uint8_t event_type[] = {
	[SIM_INTR] = VMCB_EVENTINJ_TYPE_INTR, [SIM_NMI] = VMCB_EVENTINJ_TYPE_NMI,
	[SIM_EXC] = VMCB_EVENTINJ_TYPE_EXCEPTION,
	[SIM_INT_N] = VMCB_EVENTINJ_TYPE_SOFT,
};

static uint64_t
event_to_svm(uint64_t ev)
{
	if (ev == 0)
		return 0;
	return VMCB_EVENTINJ_V | EV_VECTOR(ev) |
	    (uint64_t)event_type[EV_TYPE(ev)] << VMCB_EVENTINJ_TYPE_SHIFT |
	    (ev & EV_HAS_CODE ? VMCB_EVENTINJ_EV : 0) |
	    (uint64_t)EV_ERROR(ev) << VMCB_EVENTINJ_ERROR_SHIFT;
}

static uint64_t
event_from_svm(uint64_t hw)
{
	unsigned int type = (hw & VMCB_EVENTINJ_TYPE_MASK) >>
	    VMCB_EVENTINJ_TYPE_SHIFT;
	enum sim_event e = SIM_INTR;

	if (!(hw & VMCB_EVENTINJ_V))
		return 0;
	while (event_type[e] != type)
		e++;
	return EV(e, hw & VMCB_EVENTINJ_VECTOR_MASK) |
	    (hw & VMCB_EVENTINJ_EV ? EV_HAS_CODE |
	    (hw & VMCB_EVENTINJ_ERROR_MASK) : 0);
}

/* An interrupt comes by EVENTINJ or as a virtual one, not both. */
static uint64_t
event_of_entry(const struct vmcb *vmcb)
{
	if (!virtual_irq(vmcb))
		return event_from_svm(vmcb->eventinj);
	if (vmcb->eventinj != 0)
		host_user_panic("an event beside a virtual interrupt");
	return EV_INTR(vmcb->vintr >> VMCB_VINTR_VECTOR_SHIFT & 0xff);
}

/* The window: a virtual interrupt whose intercept is on, whatever the TPR. */
static bool
window_of_entry(const struct vmcb *vmcb)
{
	bool wanted = vmcb->intercept_misc1 & INTERCEPT1_VINTR;

	if (wanted && (vmcb->vintr & (VMCB_VINTR_IRQ | VMCB_VINTR_IGN_TPR)) !=
	    (VMCB_VINTR_IRQ | VMCB_VINTR_IGN_TPR))
		host_user_panic("the window would not open");
	return wanted;
}

static void
load_guest(struct sim_guest *g, const struct vmcb *vmcb, const uint64_t *gpr)
{
	memset(g, 0, sizeof(*g));
	memcpy(g->gpr, gpr, sizeof(g->gpr));
	g->gpr[VCPU_REGS_RAX] = vmcb->rax;
	g->gpr[VCPU_REGS_RSP] = vmcb->rsp;
	g->gpr[VCPU_REGS_RIP] = vmcb->rip;
	g->gpr[VCPU_REGS_RFLAGS] = vmcb->rflags;
	g->cr0 = vmcb->cr0;
	g->cr2 = vmcb->cr2;
	g->cr3 = vmcb->cr3;
	/* A read that exits is the driver's to answer. */
	g->cr4 = vmcb->cr4;
	if (vmcb->intercept_cr_read & INTERCEPT_CR4)
		g->cr4 &= ~CR4_MCE;
	g->efer = vmcb->efer & ~EFER_SVME;
	g->pat = vmcb->g_pat;
	g->dr6 = vmcb->dr6;
	g->dr7 = vmcb->dr7;
	g->cs_base = vmcb->cs.base;
	g->shadow = vmcb->interrupt_shadow & VMCB_SHADOW_INTERRUPT;
	g->event = event_of_entry(vmcb);
	g->tsc_offset = vmcb->tsc_offset;
	g->window = window_of_entry(vmcb);
}

static void
store_guest(const struct sim_guest *g, struct vmcb *vmcb, uint64_t *gpr)
{
	/* VMRUN does not touch what RAX and the like have in gpr[]. */
	for (unsigned int i = 0; i < VCPU_REGS_NGPRS; i++)
		if (i != VCPU_REGS_RAX && i != VCPU_REGS_RSP &&
		    i != VCPU_REGS_RIP && i != VCPU_REGS_RFLAGS)
			gpr[i] = g->gpr[i];
	vmcb->rax = g->gpr[VCPU_REGS_RAX];
	vmcb->rsp = g->gpr[VCPU_REGS_RSP];
	vmcb->rip = g->gpr[VCPU_REGS_RIP];
	vmcb->rflags = g->gpr[VCPU_REGS_RFLAGS];
	vmcb->dr6 = g->dr6;
	vmcb->dr7 = g->dr7;
	vmcb->interrupt_shadow = g->shadow || g->mov_ss ? VMCB_SHADOW_INTERRUPT : 0;
}

/* --- #VMEXIT ------------------------------------------------------------------ */

uint64_t
sim_svm_code(const struct exit_info *x)
{
	if (x->kind == EXIT_CR_ACCESS && x->cr.cr == 4)
		return x->cr.op == CR_MOV_FROM ? SVM_VMEXIT_CR4_READ :
		    SVM_VMEXIT_CR4_WRITE;
	if (x->kind == EXIT_CR_ACCESS)
		return SVM_VMEXIT_CR0_SEL_WRITE;
	for (uint64_t code = 0; code <= SVM_VMEXIT_NPF; code++)
		if (svm_exit_kind(code) == x->kind)
			return code;
	return SIM_NO_NUMBER;
}

static uint64_t
io_info(const struct exit_info *x)
{
	static const uint8_t seg[] = {
		[SREG_ES] = VMCB_IOIO_SEG_ES, [SREG_CS] = VMCB_IOIO_SEG_CS,
		[SREG_SS] = VMCB_IOIO_SEG_SS, [SREG_DS] = VMCB_IOIO_SEG_DS,
		[SREG_FS] = VMCB_IOIO_SEG_FS, [SREG_GS] = VMCB_IOIO_SEG_GS,
	};

	return (uint64_t)x->io.port << VMCB_IOIO_PORT_SHIFT |
	    (x->io.size == 4 ? VMCB_IOIO_SZ32 : x->io.size == 2 ?
	    VMCB_IOIO_SZ16 : VMCB_IOIO_SZ8) |
	    (x->io.addr_size == 8 ? VMCB_IOIO_A64 : x->io.addr_size == 4 ?
	    VMCB_IOIO_A32 : x->io.addr_size == 2 ? VMCB_IOIO_A16 : 0) |
	    (x->io.in ? VMCB_IOIO_IN : 0) | (x->io.rep ? VMCB_IOIO_REP : 0) |
	    (x->io.string ? VMCB_IOIO_STR : 0) |
	    (uint64_t)(sim_svm_has(SIM_SVM_DECODE_ASSISTS) && x->io.string ?
	    seg[x->io.seg] : 0) << VMCB_IOIO_SEG_SHIFT;
}

/* What the CPU tells of an exit, as far as its features go (APM 2 15.7-15.9). */
static void
store_exit(const struct sim_guest *g, struct vmcb *vmcb)
{
	const struct exit_info *x = &g->exit;
	uint64_t next = vmcb->rip + x->insn_len;

	vmcb->exitintinfo = event_to_svm(g->interrupted);
	vmcb->exitcode = g->code != 0 ? g->code : sim_svm_code(x);
	if (vmcb->exitcode == SIM_NO_NUMBER)
		host_user_panic("SVM has no exit %s", exit_policy[x->kind].name);
	if (sim_svm_has(SIM_SVM_NRIP_SAVE) && x->insn_len != 0)
		vmcb->nrip = sim_svm.nrip_half ? (uint32_t)next : next;
	switch (x->kind) {
	case EXIT_IO:
		vmcb->exitinfo1 = io_info(x);
		vmcb->exitinfo2 = next;
		break;
	case EXIT_MSR:
		vmcb->exitinfo1 = x->msr.write;
		break;
	case EXIT_CR_ACCESS:
		if (vmcb->exitcode == SVM_VMEXIT_CR4_READ &&
		    !(vmcb->intercept_cr_read & INTERCEPT_CR4))
			host_user_panic("a read of CR4 does not exit");
		if (sim_svm_has(SIM_SVM_DECODE_ASSISTS) &&
		    (x->cr.op == CR_MOV_TO || x->cr.op == CR_MOV_FROM))
			vmcb->exitinfo1 = VMCB_CRINFO_MOV | x->cr.gpr;
		break;
	case EXIT_EXCEPTION_DB:
		/* Before the intercept, unlike VMX (APM 2 15.12.2). */
		vmcb->dr6 = (vmcb->dr6 & ~0xfULL) | g->met;
		vmcb->dr7 &= ~(uint64_t)ARCH_DR7_GD;
		break;
	case EXIT_EXCEPTION_AC:
		vmcb->exitinfo1 = x->exc.error;
		break;
	case EXIT_STAGE2_FAULT:
		vmcb->exitinfo1 = VMCB_NPF_U |
		    (x->npf.access & STAGE2_W ? VMCB_NPF_W : 0) |
		    (x->npf.access & STAGE2_X ? VMCB_NPF_I : 0);
		vmcb->exitinfo2 = x->npf.gpa;
		if (sim_svm_has(SIM_SVM_DECODE_ASSISTS) && g->insn != NULL) {
			vmcb->insn_len = x->insn_len;
			memcpy(vmcb->insn_bytes, g->insn, x->insn_len);
		}
		break;
	default:
		break;
	}
}

void
svm_enter(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_vmcb_pa)
{
	struct vmcb *vmcb = host_pa_to_va(vmcb_pa);
	struct sim_cpu *cpu = &sim_cpu[host_cpu()];
	struct sim_svm_cpu *c = &sim_svm.cpu[host_cpu()];
	struct sim_guest g;

	if (!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("#UD in the host: VMRUN without SVME");
	if (!c->gif_clear || cpu_rdmsr(HSAVE_PA) == 0 ||
	    host_vmcb_pa == 0)
		host_user_panic("VMRUN on an unprepared CPU");
	if (refused(vmcb)) {
		/*
		 * Whether the TLB was flushed before, nobody says. The half of
		 * the code, and registers that are the host's, are as in QEMU.
		 */
		vmcb->exitcode = UINT32_MAX;
		vmcb->eventinj &= ~VMCB_EVENTINJ_V;
		memset(&vmcb->es, 0xa5, offsetof(struct vmcb, spec_ctrl) -
		    offsetof(struct vmcb, es));
		sim.refused++;
		return;
	}
	if (cpu_rdmsr(DEBUGCTL) != 0)
		host_user_panic("a guest under the host's DEBUGCTL");
	if (!c->host_only)
		host_user_panic("the host's counters count this guest");
	check_clean(vmcb);
	sim_check_cr4(vmcb->cr4);
	c->entered = *vmcb;
	c->inside = vmcb;
	load_guest(&g, vmcb, gpr);
	g.flushed = check_asid(vmcb);
	take_virtual_irq(vmcb);
	vmcb->exitcode = 0;
	vmcb->exitinfo1 = vmcb->exitinfo2 = vmcb->exitintinfo = 0;
	vmcb->nrip = 0;
	vmcb->insn_len = 0;
	vmcb->eventinj = 0;
	sim_run_guest(&g);
	store_guest(&g, vmcb, gpr);
	if (g.exit.kind != SIM_EXITED)
		store_exit(&g, vmcb);
	/* Debug registers of the host are not kept (APM 2 15.6). */
	cpu->dr6 = vmcb->dr6;
	cpu->dr7 = DR7_OFF;
	c->vmcb = vmcb;
	c->left = *vmcb;
}
