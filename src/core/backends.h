/* SPDX-License-Identifier: ISC */
/*
 * backends.h - the table of vendors. It and the two declarations that it is
 * made of are all that the core knows of them by name.
 */
#ifndef CORE_BACKENDS_H
#define CORE_BACKENDS_H

#include "backend.h"

extern const struct backend svm_backend, vmx_backend;

/* In the order in which they are asked; ends with NULL. */
extern const struct backend *const vmm_backends[];

#endif /* CORE_BACKENDS_H */
