/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_VMX_CONTROLS_H
#define ORACLE_VMX_CONTROLS_H

#include <stdint.h>

/* A bit of the kernel's, by the name of our control: WORD.NAME. */
struct oracle_control {
	const char *name;
	uint64_t mask;
};
extern const struct oracle_control oracle_vmx_controls[];

/* Bits that are 1 on a CPU without the TRUE capability MSRs. */
extern const uint32_t oracle_default1_pin, oracle_default1_proc, oracle_default1_exit,
    oracle_default1_entry;

#endif /* ORACLE_VMX_CONTROLS_H */
