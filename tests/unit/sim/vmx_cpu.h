/* SPDX-License-Identifier: ISC */
/*
 * sim/vmx_cpu.h - simulated VMX behind the names of src/vmx/vmx_cpu.h.
 */
#ifndef VMX_CPU_H
#define VMX_CPU_H

#include "cpu.h"

/* Fields of the current VMCS. */
uint64_t vmx_vmread(uint32_t field);
void	vmx_vmwrite(uint32_t field, uint64_t value);

#endif /* VMX_CPU_H */
