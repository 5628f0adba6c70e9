/* SPDX-License-Identifier: ISC */
/*
 * pvclock.h - the paravirtual clock: a page in the guest from which it
 * computes the time out of its TSC (the interface of KVM's kvmclock).
 */
#ifndef CORE_PVCLOCK_H
#define CORE_PVCLOCK_H

#include "vm.h"

/*
 * The guest (MSR 0x4b564d01) or the client names the clock's structure; bit 0
 * enables. False: an enabled address is not inside the VM's memory, or the
 * structure would cross a page; then nothing changed. May be called while the
 * vCPU runs.
 */
bool	pvclock_set(struct vcpu *v, uint64_t value);
/* MSR 0x4b564d00: where to write the wall clock at the VM's start, once. */
bool	pvclock_set_wall(struct vcpu *v, uint64_t gpa);

/* Does the next entry want pvclock_publish() first? */
bool	pvclock_due(struct vcpu *v);
/*
 * Bring the guest's structures up to date; vcpu.lock. False: it is still due,
 * because a page of the creator has to be waited for: during a stay in the
 * guest it is not, and otherwise RUN is to return first. A page that cannot
 * be written to is left alone until the next update. Interrupts may be off.
 */
bool	pvclock_publish(struct vcpu *v);

#endif /* CORE_PVCLOCK_H */
