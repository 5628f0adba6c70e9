/* SPDX-License-Identifier: ISC */
/*
 * cpu.h - instructions that both vendors have and that need privilege or the
 * real machine. The unit tests put a simulated CPU behind the same names.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "host.h"

static inline uint64_t
cpu_rdmsr(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (index));
	return (uint64_t)hi << 32 | lo;
}

static inline void
cpu_wrmsr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c" (index), "a" ((uint32_t)value),
	    "d" ((uint32_t)(value >> 32)) : "memory");
}

/*
 * For a value that a guest or a client has chosen: false, and nothing has
 * changed, when this CPU refuses it.
 */
static inline bool
cpu_wrmsr_safe(uint32_t index, uint64_t value)
{
	bool ok = false;

	__asm__ volatile("1: wrmsr\n\tmovb $1, %0\n2:\n" HOST_FIXUP(1b, 2b)
	    : "+r" (ok) : "c" (index), "a" ((uint32_t)value),
	    "d" ((uint32_t)(value >> 32)) : "memory");
	return ok;
}

static inline void
cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a" (r[0]), "=b" (r[1]), "=c" (r[2]),
	    "=d" (r[3]) : "0" (leaf), "2" (subleaf));
}

static inline uint64_t
cpu_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a" (lo), "=d" (hi));
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t
cpu_xgetbv(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a" (lo), "=d" (hi) : "c" (index));
	return (uint64_t)hi << 32 | lo;
}

static inline void
cpu_xsetbv(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c" (index), "a" ((uint32_t)value),
	    "d" ((uint32_t)(value >> 32)) : "memory");
}

/* area: 64-byte aligned, large enough for every component in mask. */
static inline void
cpu_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)" : : "r" (area), "a" ((uint32_t)mask),
	    "d" ((uint32_t)(mask >> 32)) : "memory");
}

static inline void
cpu_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)" : : "r" (area), "a" ((uint32_t)mask),
	    "d" ((uint32_t)(mask >> 32)) : "memory");
}

static inline void
cpu_fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r" (area) : "memory");
}

static inline void
cpu_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r" (area) : "memory");
}

static inline uint64_t
cpu_read_cr2(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr2, %0" : "=r" (v));
	return v;
}

static inline uint64_t
cpu_read_cr4(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r" (v));
	return v;
}

static inline uint64_t
cpu_read_dr7(void)
{
	uint64_t v;

	__asm__ volatile("mov %%dr7, %0" : "=r" (v));
	return v;
}

static inline void
cpu_write_dr7(uint64_t v)
{
	__asm__ volatile("mov %0, %%dr7" : : "r" (v));
}

static inline uint64_t
cpu_read_dr6(void)
{
	uint64_t v;

	__asm__ volatile("mov %%dr6, %0" : "=r" (v));
	return v;
}

static inline void
cpu_write_dr6(uint64_t v)
{
	__asm__ volatile("mov %0, %%dr6" : : "r" (v));
}

static inline void
cpu_read_dr0_3(uint64_t dr[4])
{
	__asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
	    : "=&r" (dr[0]), "=&r" (dr[1]), "=&r" (dr[2]), "=&r" (dr[3]));
}

static inline void
cpu_write_dr0_3(const uint64_t dr[4])
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
	    : : "r" (dr[0]), "r" (dr[1]), "r" (dr[2]), "r" (dr[3]));
}

#endif /* CORE_CPU_H */
