/* SPDX-License-Identifier: ISC */
/*
 * debug.h - DR0-DR3 and DEBUGCTL of guest and host, for the backends.
 */
#ifndef CORE_DEBUG_H
#define CORE_DEBUG_H

#include "vm.h"
#include "cpu.h"

/*
 * Bring v->dr[] up to date: the guest writes DR0-DR3 without an exit. The vCPU's
 * own thread; loaded or not.
 */
void	debug_sync(struct vcpu *v);

/*
 * DR6 and DR7 as a debug exception leaves them. met: B0-B3, BD and BS of this
 * one. B0-B3 of older ones go, the others stay until the guest clears them (SDM
 * 3B 17.2.3, APM 2 13.1.1.3). Interrupts may be off.
 */
void	debug_report(struct vcpu *v, uint64_t met);

/* With the backend's put(); dr6 is the guest's, which an exit leaves there. */
void	debug_put(struct vcpu *v, uint64_t dr6);

/* debug_enter() and debug_leave(), when there is something to do. */
void	debug_give(struct vcpu *v);
void	debug_take(struct vcpu *v);

/*
 * Around a turn, whose world switches do DR7 by themselves and leave it
 * disarmed: DR0-DR3 become the guest's, then the host's as far as it uses them.
 * DEBUGCTL is 0 in guests: branch records, steps by branch and traps of bus
 * locks are the host's. SVM does not switch it, VMX leaves 0 (SDM 3C 28.5.1).
 * Interrupts off.
 */
static inline void
debug_enter(struct vcpu *v)
{
	struct host_debug *d = &v->host_debug;

	d->debugctl = cpu_rdmsr(ARCH_MSR_DEBUGCTL);
	if (d->debugctl != 0)
		cpu_wrmsr(ARCH_MSR_DEBUGCTL, 0);
	d->active = host_stay_debug_active(&v->stay);
	if (d->active || !v->dr_live)
		debug_give(v);
}

static inline void
debug_leave(struct vcpu *v)
{
	if (v->host_debug.active)
		debug_take(v);
	if (v->host_debug.debugctl != 0)
		cpu_wrmsr(ARCH_MSR_DEBUGCTL, v->host_debug.debugctl);
}

#endif /* CORE_DEBUG_H */
