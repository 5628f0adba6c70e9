/* SPDX-License-Identifier: ISC */
/*
 * host_os.h - the types, string functions and locks that host.h asks of its
 * host, for the Linux kernel.
 *
 * Every file of the core and of the backends includes this, so it includes as
 * little of the kernel as it can: kernel headers that describe the CPU have
 * names (struct insn, struct cpuid_regs, MSR_*) that the specs use as well.
 */
#ifndef LINUX_HOST_OS_H
#define LINUX_HOST_OS_H

#include <linux/types.h>
#include <linux/stddef.h>
#include <linux/limits.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/build_bug.h>
#include <linux/tracepoint-defs.h>
#include <asm/asm.h>

#ifndef UINT8_MAX
#define UINT8_MAX	0xffu
#define UINT16_MAX	0xffffu
#define UINT32_MAX	0xffffffffu
#define UINT64_MAX	0xffffffffffffffffull
#define INT32_MAX	0x7fffffff
#define INT64_MAX	0x7fffffffffffffffll
#endif
#ifndef UINT64_C
#define UINT32_C(c)	c ## u
#define UINT64_C(c)	c ## ull
#endif

/* In inline assembly: a fault at the label `from` goes on at `to`. */
#define HOST_FIXUP(from, to)	_ASM_EXTABLE(from, to)

/* Does anybody listen to this trace event? */
#define host_tracing(event)	tracepoint_enabled(event)
DECLARE_TRACEPOINT(vmm_entry);
DECLARE_TRACEPOINT(vmm_exit);

/*
 * The kernel's struct mutex and spinlock_t, without their headers;
 * host_lock.c asserts that they fit. They grow when the kernel checks locks.
 */
#if defined(CONFIG_DEBUG_LOCK_ALLOC) || defined(CONFIG_DEBUG_SPINLOCK) || \
    defined(CONFIG_DEBUG_MUTEXES) || defined(CONFIG_PREEMPT_RT)
#define HOST_MUTEX_WORDS	32
#define HOST_WORK_WORDS		16
#define HOST_SPINLOCK_WORDS	24
#else
#define HOST_MUTEX_WORDS	4
#define HOST_WORK_WORDS		4
#define HOST_SPINLOCK_WORDS	1
#endif

struct host_mutex {
	unsigned long kernel[HOST_MUTEX_WORDS];
};

struct host_spinlock {
	unsigned long kernel[HOST_SPINLOCK_WORDS];
};

/* struct work_struct and what to call; host_work.c asserts the size. */
struct host_work {
	unsigned long kernel[HOST_WORK_WORDS];
	void (*fn)(void *arg);
	void *arg;
};

#endif /* LINUX_HOST_OS_H */
