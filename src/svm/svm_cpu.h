/* SPDX-License-Identifier: ISC */
/*
 * svm_cpu.h - the instructions of SVM (APM 2 15). The unit tests put a
 * simulated CPU behind the same names.
 */
#ifndef SVM_CPU_H
#define SVM_CPU_H

#include "host.h"

/* GIF := 0: interrupts, NMIs and SMIs stay pending (APM 2 15.17). */
static inline void
svm_clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}

static inline void
svm_stgi(void)
{
	__asm__ volatile("stgi" : : : "memory");
}

/* Store FS, GS, TR, LDTR and the syscall MSRs to the VMCB at pa (15.5.2). */
static inline void
svm_vmsave(uint64_t pa)
{
	__asm__ volatile("vmsave %%rax" : : "a" (pa) : "memory");
}

/*
 * The world switch (svm_enter.S): VMLOAD and VMRUN the guest's VMCB with the
 * general registers of gpr[] (ABI order; RAX, RSP, RIP, RFLAGS are the
 * VMCB's), then the reverse, then VMLOAD the host's. GIF and RFLAGS.IF are 0.
 */
void	svm_enter(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_vmcb_pa);

#endif /* SVM_CPU_H */
