/* SPDX-License-Identifier: ISC */
/* kvm.h - vmm's registers in KVM's form. */
#ifndef BENCH_KVM_H
#define BENCH_KVM_H

#include <machine/vmmvar.h>

/* What RESETCPU does, for a vCPU of KVM; -1 with errno set. */
int	kvm_reset(int cpu, const struct vcpu_reg_state *s);

#endif /* BENCH_KVM_H */
