/* SPDX-License-Identifier: ISC */
/*
 * sim/svm_cpu.c - VMRUN without a CPU: the checks of APM 2 15.5.1, the guest
 * of the test, and the part of #VMEXIT that the driver relies on.
 */
#include "svm_cpu.h"

#define EFER		0xc0000080u
#define EFER_SVME	(1ULL << 12)
#define HSAVE_PA	0xc0010117u
#define EFER_LME	(1ULL << 8)
#define EFER_MBZ	0xffffffff000002feULL
#define CR0_PE		1ULL
#define CR0_PG		(1ULL << 31)
#define CR4_PAE		(1ULL << 5)
#define DR7_OFF		0x400u
#define CR0_CD		(1ULL << 30)
#define CR0_NW		(1ULL << 29)
#define INTERCEPT1_VINTR (1u << 4)
#define INTERCEPT2_VMRUN 1u
#define RFLAGS_IF	(1u << 9)

#define CAPS_NP		(1u << 0)
#define CAPS_NRIP	(1u << 3)
#define CAPS_CLEAN	(1u << 5)
#define CAPS_FLUSH	(1u << 6)
#define CAPS_DECODE	(1u << 7)

struct sim_svm sim_svm;
/* Several threads may be inside, for tests that look at nothing else. */
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;

void
sim_svm_reset(bool all_features)
{
	uint32_t edx = CAPS_NP;

	memset(&sim_svm, 0, sizeof(sim_svm));
	if (all_features)
		edx |= CAPS_NRIP | CAPS_CLEAN | CAPS_FLUSH | CAPS_DECODE;
	sim_svm.nrip_save = sim_svm.decode_assists = sim_svm.clean_bits =
	    sim_svm.flush_by_asid = all_features;
	sim_cpuid_set(0x8000000a, UINT32_MAX, 1, SIM_ASIDS, 0, edx);
}

void
svm_clgi(void)
{
	if (!host_user_irqs_off())
		host_user_panic("CLGI with interrupts on");
	sim_svm.cpu[host_cpu()].gif_clear = true;
}

void
svm_stgi(void)
{
	sim_svm.cpu[host_cpu()].gif_clear = false;
}

void
svm_vmsave(uint64_t pa)
{
	if (!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("#UD in the host: VMSAVE without SVME");
	memset(host_pa_to_va(pa), 0, 1);
}

/* --- VMRUN ------------------------------------------------------------------ */

/* An event that can not be delivered (APM 2 15.20). */
static bool
event_refused(uint64_t e)
{
	unsigned int type = e >> 8 & 7, vector = e & 0xff;

	if (!(e & 1u << 31))
		return false;
	return type == 1 || type > 4 || (type == 3 && (vector == 2 || vector > 31));
}

/* Is there a virtual interrupt that the guest, not the host, is to get? */
static bool
virtual_irq(const struct vmcb *vmcb)
{
	return vmcb->vintr & VMCB_VINTR_IRQ &&
	    !(vmcb->intercept_misc1 & INTERCEPT1_VINTR);
}

uint64_t
sim_svm_event(const struct vmcb *entered)
{
	if (!virtual_irq(entered))
		return entered->eventinj;
	if (entered->eventinj != 0)
		host_user_panic("an event beside a virtual interrupt");
	return 1u << 31 | (entered->vintr >> VMCB_VINTR_VECTOR_SHIFT & 0xff);
}

/* The guest takes it as soon as it can (APM 2 15.21.4). */
static void
take_virtual_irq(struct vmcb *vmcb)
{
	if (virtual_irq(vmcb) && vmcb->rflags & RFLAGS_IF &&
	    !(vmcb->interrupt_shadow & VMCB_SHADOW_INTERRUPT))
		vmcb->vintr &= ~(uint64_t)VMCB_VINTR_IRQ;
}

/* What VMRUN refuses (APM 2 15.5.1). */
static bool
refused(const struct vmcb *vmcb)
{
	bool lme = vmcb->efer & EFER_LME, pg = vmcb->cr0 & CR0_PG;
	bool pae = vmcb->cr4 & CR4_PAE;

	return !(vmcb->efer & EFER_SVME) || vmcb->efer & EFER_MBZ ||
	    vmcb->guest_asid == 0 || vmcb->guest_asid >= SIM_ASIDS ||
	    (vmcb->cr0 & CR0_NW && !(vmcb->cr0 & CR0_CD)) ||
	    vmcb->cr0 >> 32 || vmcb->cr4 >> 32 || vmcb->dr6 >> 32 ||
	    vmcb->dr7 >> 32 || vmcb->cr3 >> 52 ||
	    (lme && pg && (!pae || !(vmcb->cr0 & CR0_PE))) ||
	    (lme && pg && pae && vmcb->cs.attributes & VMCB_SEGATTR_L &&
	    vmcb->cs.attributes & VMCB_SEGATTR_DB) ||
	    event_refused(vmcb->eventinj) ||
	    !(vmcb->intercept_misc2 & INTERCEPT2_VMRUN);
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

	if (!sim_svm.clean_bits && vmcb->clean != 0)
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

/* Nobody else's translations may carry the ASID. */
static void
check_asid(const struct vmcb *vmcb)
{
	struct sim_svm_cpu *c = &sim_svm.cpu[host_cpu()];

	if (vmcb->tlb_control == VMCB_TLB_FLUSH_ALL)
		memset(c->asid, 0, sizeof(c->asid));
	else if (vmcb->tlb_control != VMCB_TLB_NONE && !sim_svm.flush_by_asid)
		host_user_panic("TLB control %u on a CPU without it",
		    vmcb->tlb_control);
	else if (vmcb->tlb_control == VMCB_TLB_FLUSH_ASID)
		c->asid[vmcb->guest_asid] = NULL;
	if (c->asid[vmcb->guest_asid] != NULL &&
	    c->asid[vmcb->guest_asid] != vmcb)
		host_user_panic("ASID %u has another's translations",
		    vmcb->guest_asid);
	c->asid[vmcb->guest_asid] = vmcb;
}

void
svm_enter(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_vmcb_pa)
{
	struct vmcb *vmcb = host_pa_to_va(vmcb_pa);
	struct sim_cpu *cpu = &sim_cpu[host_cpu()];
	struct sim_svm_cpu *c = &sim_svm.cpu[host_cpu()];

	if (!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("#UD in the host: VMRUN without SVME");
	if (!c->gif_clear || cpu_rdmsr(HSAVE_PA) == 0 ||
	    host_vmcb_pa == 0)
		host_user_panic("VMRUN on an unprepared CPU");
	if (refused(vmcb)) {
		/* Whether the TLB was flushed before, nobody says. */
		vmcb->exitcode = (uint64_t)-1;
		sim_svm.refused++;
		return;
	}
	check_clean(vmcb);
	check_asid(vmcb);
	pthread_mutex_lock(&note_lock);
	sim_svm.entries++;
	sim_svm.entered = *vmcb;
	sim_svm.entered_on = host_cpu();
	pthread_mutex_unlock(&note_lock);
	take_virtual_irq(vmcb);
	vmcb->exitcode = 0;
	vmcb->exitinfo1 = vmcb->exitinfo2 = vmcb->exitintinfo = 0;
	vmcb->nrip = 0;
	vmcb->insn_len = 0;
	vmcb->eventinj = 0;
	vmcb->interrupt_shadow = 0;
	sim_svm.guest(vmcb, gpr, sim_svm.arg);
	/* Debug registers of the host are not kept (APM 2 15.6). */
	cpu->dr6 = vmcb->dr6;
	cpu->dr7 = DR7_OFF;
	c->vmcb = vmcb;
	c->left = *vmcb;
}
