// SPDX-License-Identifier: ISC
/*
 * trace_names.c - the numbers of trace_names.h are those of the core.
 */
#include "vm.h"
#include "memory.h"

static_assert(STAGE2_R == 1 && STAGE2_W == 2 && STAGE2_X == 4);
static_assert(MEMORY_FAULT_MAPPED == 0 && MEMORY_FAULT_MMIO == 1 &&
    MEMORY_FAULT_PROTECT == 2 && ENOMEM == 12 && EINTR == 4);
static_assert(EVENT_NONE == 0 && EVENT_EXTINT == 1 && EVENT_NMI == 2 &&
    EVENT_EXCEPTION == 3);
