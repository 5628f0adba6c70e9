/* SPDX-License-Identifier: ISC */
/*
 * sim/svm_cpu.c - VMRUN without a CPU: the checks of APM 2 15.5.1, the guest
 * of the test, and the part of #VMEXIT that the driver relies on.
 */
#include "svm_cpu.h"

#define EFER		0xc0000080u
#define EFER_SVME	(1ULL << 12)
#define HSAVE_PA	0xc0010117u
#define CR0_CD		(1ULL << 30)
#define CR0_NW		(1ULL << 29)
#define INTERCEPT2_VMRUN 1u

#define CAPS_NP		(1u << 0)
#define CAPS_NRIP	(1u << 3)
#define CAPS_CLEAN	(1u << 5)
#define CAPS_FLUSH	(1u << 6)
#define CAPS_DECODE	(1u << 7)

struct sim_svm sim_svm;

void
sim_svm_reset(bool all_features)
{
	uint32_t edx = CAPS_NP;

	memset(&sim_svm, 0, sizeof(sim_svm));
	if (all_features)
		edx |= CAPS_NRIP | CAPS_CLEAN | CAPS_FLUSH | CAPS_DECODE;
	sim_svm.nrip_save = sim_svm.decode_assists = sim_svm.clean_bits =
	    all_features;
	sim_cpuid_set(0x8000000a, UINT32_MAX, 1, 64, 0, edx);
}

void
svm_clgi(void)
{
	if (!host_user_irqs_off())
		host_user_panic("CLGI with interrupts on");
	sim_svm.gif_clear = true;
}

void
svm_stgi(void)
{
	sim_svm.gif_clear = false;
}

void
svm_vmsave(uint64_t pa)
{
	if (!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("#UD in the host: VMSAVE without SVME");
	memset(host_pa_to_va(pa), 0, 1);
}

/* What VMRUN refuses (APM 2 15.5.1); 0: it does not. */
static bool
refused(const struct vmcb *vmcb)
{
	return !(vmcb->efer & EFER_SVME) || vmcb->guest_asid == 0 ||
	    (vmcb->cr0 & CR0_NW && !(vmcb->cr0 & CR0_CD)) ||
	    vmcb->cr0 >> 32 || vmcb->dr6 >> 32 || vmcb->dr7 >> 32 ||
	    !(vmcb->intercept_misc2 & INTERCEPT2_VMRUN);
}

void
svm_enter(uint64_t vmcb_pa, uint64_t *gpr, uint64_t host_vmcb_pa)
{
	struct vmcb *vmcb = host_pa_to_va(vmcb_pa);

	if (!(cpu_rdmsr(EFER) & EFER_SVME))
		host_user_panic("#UD in the host: VMRUN without SVME");
	if (!sim_svm.gif_clear || cpu_rdmsr(HSAVE_PA) == 0 ||
	    host_vmcb_pa == 0)
		host_user_panic("VMRUN on an unprepared CPU");
	if (refused(vmcb)) {
		vmcb->exitcode = (uint64_t)-1;
		sim_svm.refused++;
		return;
	}
	sim_svm.entries++;
	sim_svm.entered = *vmcb;
	vmcb->exitcode = 0;
	vmcb->exitinfo1 = vmcb->exitinfo2 = vmcb->exitintinfo = 0;
	vmcb->nrip = 0;
	vmcb->insn_len = 0;
	vmcb->eventinj = 0;
	vmcb->interrupt_shadow = 0;
	sim_svm.guest(vmcb, gpr, sim_svm.arg);
}
