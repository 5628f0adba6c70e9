// SPDX-License-Identifier: ISC
/*
 * host_perf.c - the host's counters, samples and traces beside a guest.
 */
#include <linux/perf_event.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/perf_event.h>

#include "host.h"
#include "compat.h"

#if !defined(COMPAT_EXPORTS_perf_guest_get_msrs) && defined(CONFIG_PERF_EVENTS)
/*
 * A kernel that does not say what its perf wants: what samples by the page
 * tables is off in guests, and the counters that do so with it.
 */
static unsigned int
pebs_off(struct host_perf_msr msr[HOST_PERF_MSRS])
{
	u64 pebs, counters;

	if (!boot_cpu_has(X86_FEATURE_ARCH_PERFMON) ||
	    !boot_cpu_has(X86_FEATURE_PEBS) ||
	    rdmsrl_safe(MSR_IA32_PEBS_ENABLE, &pebs) || pebs == 0)
		return 0;
	rdmsrl(MSR_CORE_PERF_GLOBAL_CTRL, counters);
	msr[0] = (struct host_perf_msr){ MSR_CORE_PERF_GLOBAL_CTRL, counters,
	    counters & ~pebs };
	msr[1] = (struct host_perf_msr){ MSR_IA32_PEBS_ENABLE, pebs, 0 };
	return 2;
}
#endif

unsigned int
host_perf_msrs(struct host_perf_msr msr[HOST_PERF_MSRS])
{
#if defined(COMPAT_EXPORTS_perf_guest_get_msrs)
	const struct perf_guest_switch_msr *all;
	unsigned int found = 0;
	int i, n = 0;

	/* It has all that it could ever want, most of it the same for both. */
	all = perf_guest_get_msrs(&n, NULL);
	for (i = 0; all && i < n && found < HOST_PERF_MSRS; i++) {
		if (all[i].host == all[i].guest)
			continue;
		msr[found].index = all[i].msr;
		msr[found].host = all[i].host;
		msr[found++].guest = all[i].guest;
	}
	return found;
#elif defined(CONFIG_PERF_EVENTS)
	return pebs_off(msr);
#else
	return 0;
#endif
}

/*
 * A kernel that does not export these has a trace end at VMXON, or has its
 * host-only events on AMD count guests too.
 */
void
host_perf_virt(bool on)
{
	if (boot_cpu_has(X86_FEATURE_SVM)) {
#if defined(COMPAT_EXPORTS_amd_pmu_enable_virt)
		on ? amd_pmu_enable_virt() : amd_pmu_disable_virt();
#endif
	} else {
#if defined(COMPAT_EXPORTS_intel_pt_handle_vmx)
		intel_pt_handle_vmx(on);
#endif
	}
}
