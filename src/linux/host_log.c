// SPDX-License-Identifier: ISC
/*
 * host_log.c - lines in the log, and trace events.
 */
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "host.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void
host_info(const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list ap;

	va_start(ap, fmt);
	vaf.va = &ap;
	printk(KERN_INFO "%pV", &vaf);
	va_end(ap);
}

/*
 * Few lines in long intervals, and no second message about the first ones
 * that were dropped: whoever can cause a line can cause a million.
 */
void
host_warn(const char *fmt, ...)
{
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 8);
	struct va_format vaf = { .fmt = fmt };
	va_list ap;

	if (!__ratelimit(&limit))
		return;
	va_start(ap, fmt);
	vaf.va = &ap;
	printk(KERN_WARNING "%pV", &vaf);
	va_end(ap);
}

size_t
host_format(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vscnprintf(text, size, fmt, ap);
	va_end(ap);
	return (size_t)n;
}

void
host_trace_entry(uint32_t vm, uint32_t vcpu, uint64_t rip)
{
	trace_vmm_entry(vm, vcpu, rip);
}

void
host_trace_exit(uint32_t vm, uint32_t vcpu, uint16_t kind, uint64_t reason,
    uint64_t rip, uint64_t info1, uint64_t info2)
{
	trace_vmm_exit(vm, vcpu, kind, reason, rip, info1, info2);
}

void
host_trace_fault(uint32_t vm, uint32_t vcpu, uint64_t gpa, uint32_t access,
    int result)
{
	trace_vmm_fault(vm, vcpu, gpa, access, result);
}

void
host_trace_inject(uint32_t vm, uint32_t vcpu, uint8_t type, uint8_t vector,
    uint32_t error)
{
	trace_vmm_inject(vm, vcpu, type, vector, error);
}

void
host_trace_refused(uint32_t vm, uint32_t vcpu, const char *how, const char *why)
{
	trace_vmm_refused(vm, vcpu, how, why);
}
