/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_ARCH_H
#define ORACLE_ARCH_H

#include <stdint.h>

/* A number of the kernel's, by our name without ARCH_. */
struct oracle_number {
	const char *name;
	uint64_t value;
};
extern const struct oracle_number oracle_arch[];
extern const struct oracle_number oracle_arch_state[];

#endif /* ORACLE_ARCH_H */
