/* SPDX-License-Identifier: ISC */
#ifndef BENCH_BUSY_H
#define BENCH_BUSY_H

#include <stdint.h>

/* Instructions of a host with one CPU, without those of the idle task and of this. */
uint64_t busy_now(void);
uint64_t busy_since(uint64_t start);

#endif /* BENCH_BUSY_H */
