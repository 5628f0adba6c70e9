/* SPDX-License-Identifier: ISC */
/*
 * debug.h - DR0-DR3 of guest and host, for the backends.
 */
#ifndef CORE_DEBUG_H
#define CORE_DEBUG_H

#include "vm.h"

/* The host's own breakpoints, kept aside for one stay in the guest. */
struct host_debug {
	bool	 active;
	uint64_t dr[4], dr6, dr7;
};

/* With the backend's load() and put(). Preemption off. */
void	debug_load(struct vcpu *v);
void	debug_put(struct vcpu *v);
/*
 * Right around a world switch that does DR7 by itself and leaves it disarmed:
 * DR0-DR3 become the guest's, then the host's as far as it uses them.
 * Interrupts off.
 */
void	debug_enter(struct vcpu *v, struct host_debug *d);
void	debug_leave(struct vcpu *v, const struct host_debug *d);

#endif /* CORE_DEBUG_H */
