/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_CPUID_H
#define ORACLE_CPUID_H

struct oracle_cpuid {
	const char *kernel, *row;
	unsigned int word, bit;	/* of the kernel's capability array */
};
extern const struct oracle_cpuid oracle_cpuid[];
extern const unsigned int oracle_cpuid_count;

#endif /* ORACLE_CPUID_H */
