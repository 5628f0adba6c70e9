/* SPDX-License-Identifier: ISC */
/*
 * trace.h - the trace events, group vmm: what perf and trace-cmd show of a
 * guest. The names of exits and exceptions come from the spec.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vmm

#if !defined(LINUX_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LINUX_TRACE_H

#include <linux/tracepoint.h>
#include <linux/version.h>

#include "trace_names.h"

/* From 6.10 on the source of a string is known from its declaration. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define VMM_ASSIGN_STR(dst, src)	__assign_str(dst)
#else
#define VMM_ASSIGN_STR(dst, src)	__assign_str(dst, src)
#endif

TRACE_EVENT(vmm_entry,
	TP_PROTO(u32 vm, u32 vcpu, u64 rip),
	TP_ARGS(vm, vcpu, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, vm)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->vm = vm;
		__entry->vcpu = vcpu;
	),
	TP_printk("vm %u vcpu %u rip 0x%llx",
		__entry->vm, __entry->vcpu, __entry->rip)
);

TRACE_EVENT(vmm_exit,
	TP_PROTO(u32 vm, u32 vcpu, u16 kind, u64 reason, u64 rip, u64 info1,
		u64 info2),
	TP_ARGS(vm, vcpu, kind, reason, rip, info1, info2),
	TP_STRUCT__entry(
		__field(u64, reason)
		__field(u64, rip)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, vm)
		__field(u32, vcpu)
		__field(u16, kind)
	),
	TP_fast_assign(
		__entry->reason = reason;
		__entry->rip = rip;
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->vm = vm;
		__entry->vcpu = vcpu;
		__entry->kind = kind;
	),
	TP_printk("vm %u vcpu %u %s (0x%llx) rip 0x%llx info 0x%llx 0x%llx",
		__entry->vm, __entry->vcpu,
		__print_symbolic(__entry->kind, VMM_TRACE_EXIT_KINDS),
		__entry->reason, __entry->rip, __entry->info1, __entry->info2)
);

TRACE_EVENT(vmm_fault,
	TP_PROTO(u32 vm, u32 vcpu, u64 gpa, u32 access, int result),
	TP_ARGS(vm, vcpu, gpa, access, result),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u32, vm)
		__field(u32, vcpu)
		__field(u32, access)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->gpa = gpa;
		__entry->vm = vm;
		__entry->vcpu = vcpu;
		__entry->access = access;
		__entry->result = result;
	),
	TP_printk("vm %u vcpu %u gpa 0x%llx %s: %s (%d)",
		__entry->vm, __entry->vcpu, __entry->gpa,
		__print_flags(__entry->access, "|", VMM_TRACE_ACCESS),
		__print_symbolic(__entry->result, VMM_TRACE_FAULTS),
		__entry->result)
);

TRACE_EVENT(vmm_inject,
	TP_PROTO(u32 vm, u32 vcpu, u8 type, u8 vector, u32 error),
	TP_ARGS(vm, vcpu, type, vector, error),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, vcpu)
		__field(u32, error)
		__field(u16, event)
		__field(u8, vector)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->vcpu = vcpu;
		__entry->error = error;
		__entry->event = VMM_TRACE_EVENT(type, vector);
		__entry->vector = vector;
	),
	TP_printk("vm %u vcpu %u %s vector %u error 0x%x",
		__entry->vm, __entry->vcpu,
		__print_symbolic(__entry->event, VMM_TRACE_EVENTS),
		__entry->vector, __entry->error)
);

/* The CPU did not enter the guest: what it said, and the check that was broken. */
TRACE_EVENT(vmm_refused,
	TP_PROTO(u32 vm, u32 vcpu, const char *how, const char *why),
	TP_ARGS(vm, vcpu, how, why),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, vcpu)
		__string(how, how)
		__string(why, why)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->vcpu = vcpu;
		VMM_ASSIGN_STR(how, how);
		VMM_ASSIGN_STR(why, why);
	),
	TP_printk("vm %u vcpu %u %s; %s", __entry->vm, __entry->vcpu,
		__get_str(how), __get_str(why))
);

#endif /* LINUX_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
