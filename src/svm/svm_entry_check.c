/* SPDX-License-Identifier: ISC */
/*
 * svm_entry_check.c - which check of APM 2 15.5.1 a VMCB breaks.
 */
#include "vm.h"
#include "cpu.h"
#include "svm_entry_check.h"
#include "svm_entry_checks.h"

#define LEAF_ADDRESS_SIZES	0x80000008u

void
svm_diagnose(struct vcpu *v, const struct vmcb *vmcb)
{
	/* What the driver never turns on the CPU might as well not have. */
	struct svm_entry entry = {
		.vmcb = vmcb,
		.long_mode = 1,
		.host_paging = 1,
	};
	uint32_t r[4];

	cpu_cpuid(LEAF_ADDRESS_SIZES, 0, r);
	entry.maxphyaddr = r[0] & 0xff;
	entry.efer_valid = entry_host_bits(ARCH_EFER_VALID, arch_efer_needs,
	    arch_efer_needs_count);
	entry.cr4_valid = entry_host_bits(ARCH_CR4_VALID & ~(uint64_t)
	    (ARCH_CR4_VMXE | ARCH_CR4_SMXE), arch_cr4_needs,
	    arch_cr4_needs_count);
	entry_diagnose(v, &svm_entry_rules, svm_entry_operand, &entry,
	    "VMEXIT_INVALID");
}
