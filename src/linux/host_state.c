// SPDX-License-Identifier: ISC
/*
 * host_state.c - what the host owns of a CPU and lends to a guest: debug
 * registers, FPU, branch predictors, machine checks, and the clocks.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <asm/cpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/mce.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/ptrace.h>
#include <asm/segment.h>
#include <asm/tsc.h>

#include "host.h"
#include "compat.h"

/*
 * The FPU section is the kernel's own: while it lasts, irq_fpu_usable() is
 * false, so what an interrupt brings in does without the FPU or waits. Nothing
 * is initialised: the caller loads everything. It has preemption off, too.
 */
void
host_stay_begin(struct host_stay *s)
{
	BUILD_BUG_ON(HOST_DEBUG_GLOBAL != DR_GLOBAL_ENABLE_MASK);

	kernel_fpu_begin_mask(0);
	/* Copies from user space find a page or fail. */
	pagefault_disable();
	s->thread_flags = &current_thread_info()->flags;
	s->leave_mask = compat_leave_mask();
	s->resched_mask = COMPAT_RESCHED_MASK;
	s->debug_armed = this_cpu_ptr(&cpu_dr7);
	s->cpu = smp_processor_id();
}

void
host_stay_end(const struct host_stay *s)
{
	compat_ibpb_exit_to_user();
	pagefault_enable();
	kernel_fpu_end();
}

/*
 * Whatever is asked for needs the return to user space. But rseq, which each
 * switch of threads asks for, needs only that it happens before user code runs.
 */
bool
host_stay_must_leave(unsigned long flags)
{
	return flags != BIT(TIF_NOTIFY_RESUME) || !compat_resume_is_rseq();
}

void
host_predictor_barrier(void)
{
	indirect_branch_prediction_barrier();
}

bool
host_bp_spec_reduce(void)
{
	return compat_bp_spec_reduce();
}

bool
host_detects_split_locks(void)
{
	return boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT);
}

/*
 * Warns and turns the detection off for a moment, or sends SIGBUS: as
 * split_lock_detect= says. Where that is not for modules, always SIGBUS.
 */
void
host_split_lock(uint64_t rip)
{
#ifdef COMPAT_EXPORTS_handle_guest_split_lock
	handle_guest_split_lock(rip);
#else
	host_warn("vmm: a guest has split a lock at %#llx\n", rip);
	send_sig(SIGBUS, current, 0);
#endif
}

/*
 * An intercepted #MC is not pending any more (APM 2 15.12.18), but the banks
 * still hold what happened. The guest's memory is the thread's, so the frame is
 * one of its user code: the handler kills the thread for what it would panic
 * for in the kernel. By its gate it is a frame of the kernel's. A kernel
 * without a handler has no gate.
 */
void
host_machine_check(void)
{
#if defined(COMPAT_EXPORTS_do_machine_check)
	struct pt_regs regs = {
		.cs = __USER_CS,
		.ss = __USER_DS,
		.flags = X86_EFLAGS_IF | X86_EFLAGS_FIXED,
	};

	do_machine_check(&regs);
#elif defined(CONFIG_X86_MCE)
	asm volatile("int $18" : : : "memory");
#else
	host_warn("vmm: machine check in a guest, and no handler\n");
#endif
}

/*
 * Boot time by the raw clock: it runs at the TSC's rate, not steered by NTP,
 * so that what two vCPUs compute from the TSC and from different updates
 * agrees; and it counts time asleep.
 */
uint64_t
host_ns(void)
{
	return ktime_to_ns(ktime_add(ktime_get_raw(),
	    ktime_mono_to_any(0, TK_OFFS_BOOT)));
}

uint64_t
host_wall_ns(void)
{
	return ktime_get_real_ns();
}

uint32_t
host_tsc_khz(void)
{
	return tsc_khz;
}

bool
host_tsc_stable(void)
{
	return boot_cpu_has(X86_FEATURE_CONSTANT_TSC) &&
	    boot_cpu_has(X86_FEATURE_NONSTOP_TSC) && !check_tsc_unstable();
}
