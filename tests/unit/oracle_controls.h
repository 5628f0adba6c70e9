/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_CONTROLS_H
#define ORACLE_CONTROLS_H

/* A bit of the kernel's, by the name of our control or capability. */
struct oracle_bit {
	const char *name;
	unsigned int bit;
};
extern const struct oracle_bit oracle_intercepts[];	/* word * 32 + bit */
extern const struct oracle_bit oracle_caps[];		/* of 0x8000000a EDX */

#endif /* ORACLE_CONTROLS_H */
