/* SPDX-License-Identifier: ISC */
/*
 * host_user.h - what a test can ask of the host in user space (host_user.c).
 *
 * The fake host enforces host.h: a service called in the wrong context (a
 * sleep with preemption off, an allocation under a lock that invalidations
 * take, an unlock by a stranger) prints what was wrong and aborts, which
 * Check reports as a failed test. Physical addresses are virtual ones.
 */
#ifndef HOST_USER_H
#define HOST_USER_H

#include "host.h"

#define HOST_USER_CPUS	8
#define HOST_USER_LOG	8192

#define HOST_USER_SIGNAL	1ul	/* a signal is pending */
#define HOST_USER_RESCHED	2ul	/* until the next host_resched() */

/* Knobs and counters. host_user_reset() zeroes all but the noted defaults. */
struct host_user {
	struct host_caller caller;	/* default: uid 1000, pid 100 */
	unsigned int cpus;		/* default HOST_USER_CPUS */

	/* Allocations: see host_user_fail_alloc(). */
	uint64_t allocs;		/* asked for, so far */
	int64_t	 alloc_live;		/* objects alive */
	int64_t	 alloc_bytes;		/* in live objects */
	int64_t	 as_live;		/* references to address spaces */
	int64_t	 watches_live;
	/*
	 * Runs before each allocation, and before each object, lock or watch
	 * goes; not under a lock. What it does does not call it again.
	 */
	void	(*on_step)(void);
	/* Runs at each sync_point(), an enum sync_at; perhaps without interrupts. */
	void	(*on_sync)(int at);
	/* Run after a mutex was taken, and after a spinlock was given back. */
	void	(*on_locked)(struct host_mutex *m);
	void	(*on_spin_unlocked)(void);

	/* User copies: the Nth from now fails with EFAULT; 0: none. */
	int64_t	 fail_copy;
	bool	 fail_copies;	/* all of them */
	/* With preemption off no page is there; with faults off, each has to be
	 * brought in for each copy. */
	bool	 absent;
	uint64_t copies;
	uint64_t compares;	/* host_user_words_same() */
	/* Runs before each host_copy_in(), to change memory behind it. */
	void	(*on_copy_in)(uint64_t uaddr, size_t len);

	/* The current thread. */
	unsigned long thread_flags;	/* HOST_USER_*, of all threads */
	uint64_t rescheds;
	void	(*on_resched)(void);	/* may host_user_set_cpu() */
	/* Asked each time, outside the guest's loop; true makes the answer true. */
	bool	(*on_signal_pending)(void);
	/* Interrupts go off. */
	void	(*on_irq_disable)(void);
	void	(*on_ns)(void);		/* host_ns() is about to answer */

	/* CPUs */
	unsigned int cpus_fail;		/* on() fails on CPU cpus_fail - 1 */
	int	 cpus_errno;		/* with this; default -EIO */
	bool	 cpus_on;
	uint64_t kicks[HOST_USER_CPUS];
	uint64_t kick_waits;
	uint64_t self_interrupts;
	void	(*on_kick)(unsigned int cpu);

	/* A CPU's CR4 is the simulation's; NULL: nobody may change it. */
	void	(*on_cr4_change)(uint64_t set, uint64_t clear);
	struct host_thread thread;	/* the current one's; default: FS base */
	/* Exchanges the base that SWAPGS brings; NULL: it is nobody's. */
	uint64_t (*on_swapgs_base)(uint64_t base);
	uint64_t calls_on;		/* host_call_on() of another CPU */
	uint64_t context_saves, context_restores;
	uint64_t nmis, l1d_flushes;
	bool	 itlb_multihit;		/* no execution from large leaves */

	/* Guest memory */
	uint64_t resolves, retries, dirtied, invalidations;
	uint64_t last_dirty;		/* pa */
	/* Faults of slow pages: so far, under way, and RUNs that wait for one. */
	uint64_t faults, fault_wakes;
	uint32_t faults_live, fault_waiters;
	bool	 deaf_faults;	/* they go on when they are given up */
	int64_t	 kept;		/* host_keep_driver() */
	/* After host_watch_resolve() has its answer, before it returns. */
	void	(*on_resolved)(uint64_t hva);

	/* FPU and mitigations */
	unsigned long debug_armed;	/* DR7 as the host wants it */
	uint64_t stays, stays_ended, predictor_barriers, machine_checks;
	/* What host_perf_msrs() answers, and how often it was asked. */
	struct host_perf_msr perf[HOST_PERF_MSRS];
	unsigned int perf_msrs;
	uint64_t perf_asked;
	/* Virtualisation comes or goes: the simulation's. */
	void	(*on_perf_virt)(bool on);
	void	(*on_machine_check)(void);	/* as the host's handler */
	bool	 bp_spec_reduce, detects_split_locks;
	uint64_t split_locks, split_lock_rip;	/* calls; of the last one */

	/* Time */
	uint64_t ns, wall_ns;		/* defaults 1 s, 1 600 000 000 s */
	uint64_t ns_step;		/* host_ns() advances by this */
	uint32_t tsc_khz;		/* default 2 000 000 */
	bool	 tsc_stable;		/* default true */

	/* Words */
	uint64_t infos, warns;
	char	 log[HOST_USER_LOG];	/* the first lines, each with '\n' */
	uint64_t trace_entries, trace_exits, trace_faults, trace_injects;
	struct {
		uint32_t vm, vcpu;
		uint16_t kind;
		uint64_t reason, rip, info1, info2;
	} trace_exit;			/* the last one */
	struct {
		uint32_t vm, vcpu, access;
		uint64_t gpa;
		int	 result;
	} trace_fault;
	struct {
		uint32_t vm, vcpu, error;
		uint8_t	 type, vector;
	} trace_inject;
	uint64_t trace_refusals;
	struct {
		uint32_t vm, vcpu;
		char	 how[128], why[512];
	} trace_refused;
};
extern struct host_user host_user;

/* As at the start of the program. Objects still alive stay alive. */
void	host_user_reset(void);
/* Print and abort. */
void	host_user_panic(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));

/*
 * The nth allocation from now fails, the others succeed; 0: none fails.
 * host_user_alloc_failed() tells whether it came to that.
 */
void	host_user_fail_alloc(uint64_t nth);
bool	host_user_alloc_failed(void);

/* Does the calling thread hold this lock? */
bool	host_user_mutex_mine(const struct host_mutex *m);

/* The calling thread's CPU; each thread starts on one of its own. */
void	host_user_set_cpu(unsigned int cpu);
/* A CPU goes or comes while virtualisation is on. */
void	host_user_cpu_down(unsigned int cpu);
int	host_user_cpu_up(unsigned int cpu);
/* The calling thread's CPU stops for good, as in an NMI: call this and end. */
void	host_user_emergency(void);
/* Preemption and interrupts of the calling thread. */
bool	host_user_preemptible(void);
bool	host_user_irqs_off(void);
/* For the simulated guest: has somebody kicked this CPU since interrupts were
 * disabled? Or wait for that, at most ms milliseconds. */
bool	host_user_kicked(void);
bool	host_user_wait_kick(unsigned int ms);

/* Other address spaces: 0 is the creator's, which every thread starts in. */
void	host_user_set_as(unsigned int as);

/*
 * Guest memory of which the test says page by page what the host has. Memory
 * that was not added is looked at for real: what can be read is present.
 */
struct host_user_page {
	bool	 present;
	bool	 pte_write;	/* the host's own mapping allows writes now */
	bool	 dirty;		/* and it knows of a write */
	bool	 device;	/* nothing the host may hand out */
	bool	 slow;		/* absent, it comes with host_user_answer() only */
	uint8_t	 prot;		/* STAGE2_R and _W: what the mapping permits */
	uint8_t	 order;
};
void	host_user_mem_add(void *p, size_t size, unsigned int prot);
void	host_user_mem_remove(void *p);
struct host_user_page *host_user_page(const void *va);
/* All slow pages are slow no more, and faults of them end. */
void	host_user_answer(void);
/* The whole aligned 4 KiB << order around va is one present, writable page. */
void	host_user_mem_huge(const void *va, unsigned int order);
/*
 * The host takes pages away: watches hear of it, then the pages are absent.
 * False: a watch would have had to sleep, and nothing happened to the pages.
 */
bool	host_user_invalidate(const void *va, size_t size, bool may_block);

/* The host asks whether a guest has used a page of these; see mem_age(). */
bool	host_user_age(const void *va, size_t size, bool clear);

/*
 * The creator's address space ends: all watches hear of it. What that defers
 * runs at host_defer_flush().
 */
void	host_user_owner_exit(void);

#endif /* HOST_USER_H */
