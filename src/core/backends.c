/* SPDX-License-Identifier: ISC */
/*
 * backends.c - the vendors, in the order in which they are asked.
 */
#include "backends.h"

const struct backend *const vmm_backends[] = {
	&svm_backend,
	&vmx_backend,
	NULL
};
