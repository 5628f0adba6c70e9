/* SPDX-License-Identifier: ISC */
/*
 * vmx_entry_check.c - which check of SDM 3C 27 the current VMCS breaks.
 */
#include "vmx.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "vmx_entry_checks.h"

#define LEAF_ADDRESS_SIZES	0x80000008u
#define APIC_TPR		0x80	/* offset in the virtual-APIC page */

void
vmx_diagnose(struct vcpu *v, const char *how)
{
	const struct vmx_vcpu *s = vmx_vcpu(v);
	struct vmx_entry entry = {
		.vmread = vmx_vmread,
		.rdmsr = cpu_rdmsr,
		.host_lma = 1,
		.has_sgx = cpuid_host_has(CPUID_FEATURE_SGX),
		.has_rtm = cpuid_host_has(CPUID_FEATURE_RTM),
		.current_vmcs = s->vmcs_pa,
		.vmxon_region = host_va_to_pa(vmx_this_cpu()->region),
		.vtpr = s->apic != NULL ? s->apic[APIC_TPR] : 0,
	};
	uint32_t r[4];

	cpu_cpuid(LEAF_ADDRESS_SIZES, 0, r);
	entry.maxphyaddr = r[0] & 0xff;
	entry.linear_bits = r[0] >> 8 & 0xff;
	entry.efer_valid = entry_host_bits(ARCH_EFER_VALID & ~ARCH_EFER_SVME,
	    arch_efer_needs, arch_efer_needs_count);
	entry_diagnose(v, &vmx_entry_rules, vmx_entry_operand, &entry, how);
}
