/* SPDX-License-Identifier: ISC */
#ifndef BENCH_OPERATIONS_H
#define BENCH_OPERATIONS_H

#include "machine.h"

/* All operations, one after the other; tracing: a few rounds of each. */
void	measure(const struct hypervisor *by, bool tracing);
/* What costs as much whoever does it. */
void	measure_floor(void);
/* One was done so many times, and cost so much in all. */
void	report(const char *operation, const char *by, uint64_t count, uint64_t cost);

#endif /* BENCH_OPERATIONS_H */
