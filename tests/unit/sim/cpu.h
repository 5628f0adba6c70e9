/* SPDX-License-Identifier: ISC */
/*
 * sim/cpu.h - the simulated CPU behind the names of src/core/cpu.h.
 *
 * The build includes this file first everywhere and it has the include guard
 * of the real one. What real silicon would answer with #GP is a panic: the
 * driver must never let the host take it.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "host_user.h"

uint64_t cpu_rdmsr(uint32_t index);
void	cpu_wrmsr(uint32_t index, uint64_t value);
bool	cpu_wrmsr_safe(uint32_t index, uint64_t value);
void	cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4]);
uint64_t cpu_rdtsc(void);
uint64_t cpu_xgetbv(uint32_t index);
void	cpu_xsetbv(uint32_t index, uint64_t value);
void	cpu_xsave(void *area, uint64_t mask);
void	cpu_xrstor(const void *area, uint64_t mask);
void	cpu_fxsave(void *area);
void	cpu_fxrstor(const void *area);
uint64_t cpu_read_cr2(void);
uint64_t cpu_read_cr4(void);
uint64_t cpu_read_dr6(void);
uint64_t cpu_read_dr7(void);
void	cpu_write_dr6(uint64_t v);
void	cpu_write_dr7(uint64_t v);
void	cpu_read_dr0_3(uint64_t dr[4]);
void	cpu_write_dr0_3(const uint64_t dr[4]);

/* --- For tests ------------------------------------------------------------ */

/* If set, comes before each privileged instruction but VMREAD and VMWRITE. */
extern void (*sim_on_insn)(void);

static inline void
sim_insn(void)
{
	if (sim_on_insn != NULL)
		sim_on_insn();
}

#define SIM_MSRS	64
#define SIM_XSAVE_SIZE	832	/* x87, SSE, AVX */

/* One CPU's registers; sim_cpu[host_cpu()] is the running one. */
struct sim_cpu {
	struct {
		uint32_t index;
		bool	 known;
		uint64_t value;
	} msr[SIM_MSRS];
	uint64_t xcr0, cr2, cr4, dr[4], dr6, dr7;
	/* Standard XSAVE layout; the header part is not used. */
	_Alignas(64) uint8_t fpu[SIM_XSAVE_SIZE];
	uint64_t xsetbvs, dr_writes;	/* executed; of DR0-3 together */
};
extern struct sim_cpu sim_cpu[HOST_USER_CPUS];
extern uint64_t sim_tsc;	/* of all CPUs; a read adds sim_tsc_step */
extern uint64_t sim_tsc_step;

/* All CPUs as after reset: an AMD CPU with SVM, nested paging and AVX. */
void	sim_reset(void);
/* An MSR of every CPU; one that was never set faults. */
void	sim_msr_set(uint32_t index, uint64_t value);
void	sim_msr_remove(uint32_t index);
/* Does this CPU, whatever its paging mode, take the value for that MSR? */
bool	sim_msr_takes(uint32_t index, uint64_t value);
/* Has va a form that linear addresses of so many bits have? */
bool	sim_canonical(uint64_t va, unsigned int bits);
/* What CPUID says; subleaf UINT32_MAX: all of them. */
void	sim_cpuid_set(uint32_t leaf, uint32_t subleaf, uint32_t eax,
	    uint32_t ebx, uint32_t ecx, uint32_t edx);

#endif /* CORE_CPU_H */
