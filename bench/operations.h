/* SPDX-License-Identifier: ISC */
/*
 * operations.h - what is measured. Each function does a group of operations, or
 * when tracing, TRACE_ROUNDS rounds of each.
 */
#ifndef BENCH_OPERATIONS_H
#define BENCH_OPERATIONS_H

#include "machine.h"

#define COUNT		10000u	/* rounds, if not many instructions each */
#define CHECK_COUNT	10000

/* exits.c: exits that the hypervisor handles, and those that the client does; of
 * TRACE_ROUNDS rounds, nothing is warmed up and nothing taken off. */
void	measure_exits(const struct hypervisor *by, unsigned int count);
/* memory.c: pages that the guest touches for the first time. */
void	measure_memory(const struct hypervisor *by, bool tracing);
/* life.c: creation and end, registers, and many VMs. */
void	measure_life(const struct hypervisor *by, bool tracing);
void	measure_scale(const struct hypervisor *by);
/* smp.c: needs two CPUs. */
void	measure_smp(const struct hypervisor *by);
/* boot.c: needs vmctl and a guest. */
void	measure_boot(const struct hypervisor *by);
/* floor.c: what costs as much whoever does it. */
void	measure_floor(void);

/* One was done so many times, and cost so much in all. */
void	report(const char *operation, const char *by, uint64_t count, uint64_t cost);

#endif /* BENCH_OPERATIONS_H */
