/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_VMCB_H
#define ORACLE_VMCB_H

#include <stddef.h>
#include <stdint.h>

/* A member of the kernel's VMCB, by our name; size 0 ends the list. */
struct oracle_member {
	const char *name;
	size_t offset, size;
};
extern const struct oracle_member oracle_vmcb[];

/* A bit, mask or value of the kernel's, by the name of ours. */
struct oracle_mask {
	const char *name;
	uint64_t value;
};
extern const struct oracle_mask oracle_masks[];

#endif /* ORACLE_VMCB_H */
