/* SPDX-License-Identifier: ISC */
/*
 * core.h - the core's headers, for files that have included the kernel's.
 * A name that both have is the kernel's here.
 */
#ifndef LINUX_CORE_H
#define LINUX_CORE_H

#define cpuid_regs	core_cpuid_regs

#include "vm.h"
#include "backends.h"

#undef cpuid_regs

#endif /* LINUX_CORE_H */
