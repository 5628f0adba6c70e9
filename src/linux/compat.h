/* SPDX-License-Identifier: ISC */
/*
 * compat.h - what differs between kernel versions, and nothing else.
 *
 * C files and assembly include it. A feature test on the kernel's own macros
 * is better than a version number: distributions backport.
 */
#ifndef LINUX_COMPAT_H
#define LINUX_COMPAT_H

#include <linux/version.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "vmm needs Linux 6.1 or newer"
#endif

#ifdef __ASSEMBLY__

/*
 * The CPU features that ask for VERW before an entry. CLEAR_CPU_BUF is what
 * MDS, TAA, MMIO stale data and RFDS set, which only Intel has; KVM's VMX honours
 * it. CLEAR_CPU_BUF_VM is what KVM's SVM honours: TSA sets it, and newer kernels
 * set it for the others too. Kernels that have neither decide by a static key,
 * which assembly can not read: there VERW follows the bugs.
 */
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
#define COMPAT_SVM_VERW		X86_FEATURE_CLEAR_CPU_BUF_VM
#define COMPAT_VMX_VERW		X86_FEATURE_CLEAR_CPU_BUF
#define COMPAT_VMX_VERW_TOO	X86_FEATURE_CLEAR_CPU_BUF_VM
#elif defined(X86_FEATURE_CLEAR_CPU_BUF)
#define COMPAT_VMX_VERW		X86_FEATURE_CLEAR_CPU_BUF
#define COMPAT_VMX_VERW_TOO	X86_FEATURE_CLEAR_CPU_BUF
#else
#define COMPAT_VMX_VERW		X86_BUG_MDS
#define COMPAT_VMX_VERW_TOO	X86_BUG_TAA
#endif

/* The divider keeps what it had: AMD Zen 1. */
#ifdef X86_BUG_DIV0
#define COMPAT_CLEAR_DIVIDER	X86_BUG_DIV0
#endif

/*
 * Retbleed and SRSO, after an exit. Newer kernels have one macro for exits; with
 * older ones the IBPB comes on top.
 */
#ifdef UNTRAIN_RET_VM
#define COMPAT_UNTRAIN_RET	UNTRAIN_RET_VM
#define COMPAT_IBPB_ON_VMEXIT
#else
#define COMPAT_UNTRAIN_RET	UNTRAIN_RET
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
#define COMPAT_IBPB_ON_VMEXIT \
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#else
#define COMPAT_IBPB_ON_VMEXIT
#endif
#endif

/* One more entry into the RSB, where an exit leaves the guest's last one (PBRSB). */
#ifdef X86_FEATURE_RSB_VMEXIT_LITE
#define COMPAT_RSB_LITE		X86_FEATURE_RSB_VMEXIT_LITE
#endif

/* Branch history injection: overwrite what the guest has left. */
#ifdef X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#define COMPAT_CLEAR_BRANCH_HISTORY	CLEAR_BRANCH_HISTORY_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_VMEXIT)
#define COMPAT_CLEAR_BRANCH_HISTORY	CLEAR_BRANCH_HISTORY_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_LOOP)
#define COMPAT_CLEAR_BRANCH_HISTORY	CLEAR_BRANCH_HISTORY
#else
#define COMPAT_CLEAR_BRANCH_HISTORY
#endif

#else /* !__ASSEMBLY__ */

/* COMPAT_EXPORTS_symbol: the kernel exports it to any module (Kbuild). */

#include <linux/entry-common.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/task_work.h>

/* 6.12 has a second, lazy bit for the scheduler's wish. */
#ifdef TIF_NEED_RESCHED_LAZY
#define COMPAT_RESCHED_MASK	(BIT(TIF_NEED_RESCHED) | BIT(TIF_NEED_RESCHED_LAZY))
#else
#define COMPAT_RESCHED_MASK	BIT(TIF_NEED_RESCHED)
#endif

static inline bool
compat_need_resched(void)
{
	return read_thread_flags() & COMPAT_RESCHED_MASK;
}

/* 6.19 has a flag for rseq alone; the return to user space looks at it. */
#ifdef TIF_RSEQ
#define COMPAT_RSEQ_MASK	BIT(TIF_RSEQ)
#else
#define COMPAT_RSEQ_MASK	0
#endif

/*
 * The thread flags for which a thread has to return to user space: signals, and
 * whatever else the kernel does there (task work, throttling, uprobes, live
 * patches). The return clears all of them. Some threads ask not to be interrupted
 * by TIF_NOTIFY_SIGNAL.
 */
static inline unsigned long
compat_leave_mask(void)
{
	unsigned long mask = EXIT_TO_USER_MODE_WORK &
	    ~(COMPAT_RESCHED_MASK | COMPAT_RSEQ_MASK);

#ifdef PF_NO_NOTIFY_SIGNAL
	if (current->flags & PF_NO_NOTIFY_SIGNAL)
		mask &= ~BIT(TIF_NOTIFY_SIGNAL);
#endif
	return mask;
}

/*
 * Is rseq what TIF_NOTIFY_RESUME stands for? Not if there is other work that can
 * be recognised, nor if rseq has nothing to do: then it is work of another kind.
 * Work that comes while the flag is set for rseq does not kick this CPU, and is seen
 * at the next exit: the next tick at the latest, where there are ticks.
 */
static inline bool
compat_resume_is_rseq(void)
{
#if defined(CONFIG_RSEQ) && !defined(TIF_RSEQ)
	if (task_work_pending(current))
		return false;
#ifdef CONFIG_MEMCG
	if (current->memcg_nr_pages_over_high != 0)
		return false;
#endif
	return current->rseq && READ_ONCE(current->rseq_event_mask) != 0;
#else
	return false;
#endif
}

/* SRSO on Zen 5: known since 6.14. */
static inline bool
compat_bp_spec_reduce(void)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	return cpu_feature_enabled(X86_FEATURE_SRSO_BP_SPEC_REDUCE);
#else
	return false;
#endif
}

/* SWAPGS, RDGSBASE and WRGSBASE work: with FRED there is no SWAPGS. */
static inline bool
compat_may_swapgs(void)
{
#ifdef X86_FEATURE_FRED
	if (cpu_feature_enabled(X86_FEATURE_FRED))
		return false;
#endif
	return cpu_feature_enabled(X86_FEATURE_FSGSBASE);
}

/* Mappings for return addresses, which nobody may write directly: since 6.6. */
#ifdef VM_SHADOW_STACK
#define COMPAT_VM_SHADOW_STACK	VM_SHADOW_STACK
#else
#define COMPAT_VM_SHADOW_STACK	0
#endif

/*
 * The kernel calls a hypervisor's function on each CPU that it stops in an
 * emergency. Kernels before that look at CR4.VMXE and EFER.SVME by themselves.
 */
#ifdef COMPAT_EXPORTS_cpu_emergency_register_virt_callback
#define COMPAT_EMERGENCY_CALLBACK
#endif

/* A predictor barrier is due before this CPU runs user code (VMSCAPE). */
static inline void
compat_ibpb_exit_to_user(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

#endif /* __ASSEMBLY__ */

#endif /* LINUX_COMPAT_H */
