/* SPDX-License-Identifier: ISC */
/*
 * svm_run.c - the way into the guest and back: what is switched once a stay,
 * events, what an exit is about, and VMRUN (APM 2 15.5, 15.6).
 */
#include "svm.h"
#include "cpu.h"
#include "cr.h"
#include "debug.h"
#include "event.h"
#include "guest_loop.h"
#include "nospec.h"
#include "svm_cpu.h"
#include "svm_entry_check.h"

/* EXITCODE of a VMCB that VMRUN refused (APM 2 15.5); QEMU has the low half only. */
#define EXITCODE_INVALID(code)	((uint32_t)(code) == UINT32_MAX)

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

void
svm_fetch_state(struct vcpu *v, struct fetch_state *s)
{
	fetch_state(vmcb_of(v), s);
}

/* --- Events ------------------------------------------------------------------------------- */

bool
svm_irq_ready(struct vcpu *v)
{
	return (v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF) &&
	    !(vmcb_of(v)->interrupt_shadow & VMCB_SHADOW_INTERRUPT);
}

/*
 * A virtual interrupt that never arrives: its intercept fires when the guest
 * could take it (APM 2 15.21.4).
 */
void
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

/* A VMCB has no place for debug exceptions that the shadow holds. */
uint64_t
svm_clear_shadow(struct vcpu *v)
{
	struct vmcb *vmcb = vmcb_of(v);

	vmcb->interrupt_shadow &= ~VMCB_SHADOW_INTERRUPT;
	return 0;
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
	/* Delivery ends a shadow, which would else reach into the handler. */
	svm_clear_shadow(v);
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
		x->io.seg = seg[index_nospec(n, sizeof(seg))];
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
	x->cr.cr = vmcb->exitcode == SVM_VMEXIT_CR0_SEL_WRITE ? 0 : 4;
	x->cr.op = vmcb->exitcode == SVM_VMEXIT_CR4_READ ? CR_MOV_FROM :
	    CR_MOV_TO;
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

/*
 * QEMU's TCG, up to 7.2 at least, does not look at the intercept of #MC: the
 * guest gets the exception. Where it cannot take it, which is a shutdown, the
 * host has it after all.
 */
static void
tcg_machine_check(struct exit_info *x)
{
	if (!svm.tcg || x->kind != EXIT_TRIPLE_FAULT ||
	    !(cr4_host & ARCH_CR4_MCE) ||
	    !(cpu_rdmsr(ARCH_MSR_MCG_STATUS) & ARCH_MSR_MCG_STATUS_MCIP))
		return;
	x->kind = EXIT_EXCEPTION_MC;
	/* Which has #MC as what the shutdown cut short. */
	x->interrupted.type = EVENT_NONE;
}

/* Fill v->exit. Quick exits, but for MOV CR, have nothing but a length. */
static int
decode_exit(struct vcpu *v, struct vmcb *vmcb)
{
	struct exit_info *x = &v->exit;
	const struct exit_policy *p;

	x->reason = vmcb->exitcode;
	x->kind = svm_exit_kind(vmcb->exitcode);
	tcg_machine_check(x);
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
	/* It has the number of the host's CPU. */
	if (c->tsc_aux != 0)
		cpu_wrmsr(ARCH_MSR_TSC_AUX, 0);
}

static void
svm_put(struct vcpu *v)
{
	const struct svm_cpu *c = &svm.cpu[v->stay.cpu];

	debug_put(v, vmcb_of(v)->dr6);
	if (c->xss != 0)
		cpu_wrmsr(ARCH_MSR_XSS, c->xss);
	if (c->tsc_aux != 0)
		cpu_wrmsr(ARCH_MSR_TSC_AUX, c->tsc_aux);
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
		memcpy((uint8_t *)s->vmcb + SVM_SAVED, s->tried, SVM_SAVED_SIZE);
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
		memcpy(s->tried, (uint8_t *)s->vmcb + SVM_SAVED, SVM_SAVED_SIZE);
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

int
svm_stay(struct vcpu *v)
{
	return guest_stay(v, &ops);
}

