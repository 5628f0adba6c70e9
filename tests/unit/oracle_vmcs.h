/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_VMCS_H
#define ORACLE_VMCS_H

#include <stddef.h>
#include <stdint.h>

/* A number of the kernel's, by our name. */
struct oracle_number {
	const char *name;
	uint64_t value;
};
extern const struct oracle_number oracle_vmcs_fields[];
/* Masks and values of words, by our macros. */
extern const struct oracle_number oracle_vmx_words[];
/* Encodings in the header's text, upper halves too. */
size_t	oracle_vmcs_encodings(uint32_t *encodings, size_t max);

#endif /* ORACLE_VMCS_H */
