/* SPDX-License-Identifier: ISC */
/*
 * sim/guest.c - what the simulated CPUs of both vendors share.
 */
#include "guest.h"
#include "vmcs.h"
#include "svm_cpu.h"
#include "vmx_cpu.h"

struct sim sim;
struct sim_tells sim_tells;
const struct sim_machine *sim_machine;

/* Several threads may be inside, for tests that look at nothing else. */
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;

void
sim_start(const struct sim_machine *m)
{
	memset(&sim, 0, sizeof(sim));
	sim_machine = m;
	sim_reset();
	if (m->vmx)
		sim_vmx_reset(m->options);
	else
		sim_svm_reset(m->options);
}

uint64_t
sim_real_cr4(void)
{
	return sim_machine->vmx ? sim_vmx_get(VMCS_GUEST_CR4) :
	    sim_svm_vmcb()->cr4;
}

/* Without it a machine check is a shutdown, of the guest or of all (SDM 3A 6.15). */
void
sim_check_cr4(uint64_t real)
{
	if (sim_cpu[host_cpu()].cr4 & ~real & ARCH_CR4_MCE)
		host_user_panic("a guest without the host's CR4.MCE");
}

void
sim_note_entry(struct sim_guest *g)
{
	g->cpu = host_cpu();
	pthread_mutex_lock(&note_lock);
	sim.entries++;
	sim.entered = *g;
	pthread_mutex_unlock(&note_lock);
}

void
sim_run_guest(struct sim_guest *g)
{
	sim_note_entry(g);
	/* Over with the first instruction. */
	g->shadow = g->mov_ss = false;
	g->pending = 0;
	sim.guest(g, sim.arg);
}

uint16_t
sim_reason(enum exit_kind kind)
{
	const struct exit_info exit = { .kind = kind };

	return (uint16_t)(sim_machine->vmx ? sim_vmx_reason(&exit) :
	    sim_svm_code(&exit));
}

bool
sim_has(enum exit_kind kind)
{
	const struct exit_info exit = { .kind = kind };

	return (sim_machine->vmx ? sim_vmx_reason(&exit) :
	    sim_svm_code(&exit)) != SIM_NO_NUMBER;
}

#define EFER		0xc0000080u
#define HSAVE_PA	0xc0010117u
#define THEIR_HSAVE	0x1234000u

/* An MSR of a CPU that need not be this one. */
static uint64_t
msr_of(unsigned int cpu, uint32_t index)
{
	unsigned int here = host_cpu();
	uint64_t value;

	host_user_set_cpu(cpu);
	value = cpu_rdmsr(index);
	host_user_set_cpu(here);
	return value;
}

bool
sim_cpu_taken(unsigned int cpu)
{
	if (sim_machine->vmx)
		return sim_cpu[cpu].cr4 & ARCH_CR4_VMXE;
	if (!!(msr_of(cpu, EFER) & ARCH_EFER_SVME) != !!msr_of(cpu, HSAVE_PA))
		host_user_panic("half in use for SVM");
	return msr_of(cpu, EFER) & ARCH_EFER_SVME;
}

void
sim_cpu_take(unsigned int cpu, bool take)
{
	unsigned int here = host_cpu();

	host_user_set_cpu(cpu);
	if (sim_machine->vmx) {
		sim_cpu[cpu].cr4 ^= ARCH_CR4_VMXE;
	} else {
		cpu_wrmsr(EFER, cpu_rdmsr(EFER) ^ ARCH_EFER_SVME);
		cpu_wrmsr(HSAVE_PA, take ? THEIR_HSAVE : 0);
	}
	host_user_set_cpu(here);
}
