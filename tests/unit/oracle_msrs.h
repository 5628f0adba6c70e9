/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_MSRS_H
#define ORACLE_MSRS_H

struct oracle_msr {
	const char *kernel, *row;
	unsigned int nth, index;	/* nth MSR of the row */
};
extern const struct oracle_msr oracle_msrs[];
extern const unsigned int oracle_msr_count;

struct oracle_msr_bit {
	const char *name;
	unsigned long long mask;
};
extern const struct oracle_msr_bit oracle_msr_bits[];
extern const unsigned int oracle_msr_bit_count;

#endif /* ORACLE_MSRS_H */
