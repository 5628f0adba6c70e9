/* SPDX-License-Identifier: ISC */
/*
 * host.h - what the core and the backends need from the system below them.
 *
 * src/linux implements these services in the kernel, tests/unit in user
 * space. "host_os.h" is found on the include path: each host supplies it with
 * the fixed-width types, bool, size_t, the mem*() and str*() functions, the
 * errno numbers, and the types struct host_mutex, struct host_spinlock and
 * struct host_work.
 *
 * Unless a comment says otherwise a service may be called from any context,
 * and functions that return int return 0 or a negative errno.
 */
#ifndef CORE_HOST_H
#define CORE_HOST_H

#include "host_os.h"

/* --- Memory -------------------------------------------------------------- */

/*
 * Zeroed kernel memory, charged to the caller's memory control group.
 * May sleep and may reclaim, so never under a VM's mem_lock.
 * NULL when there is none.
 */
void	*host_alloc(size_t size);
void	 host_free(void *p);

/*
 * 4 KiB << order of zeroed, physically contiguous, naturally aligned memory;
 * otherwise as host_alloc().
 */
void	*host_page_alloc(unsigned int order);
void	 host_page_free(void *va, unsigned int order);

/* Physical address as the CPU's tables want it (with the encryption bit). */
uint64_t host_va_to_pa(const void *va);
/* The inverse, for pages that host_page_alloc() gave. */
void	*host_pa_to_va(uint64_t pa);

/* --- Locks --------------------------------------------------------------- */

void	host_mutex_init(struct host_mutex *m);
void	host_mutex_destroy(struct host_mutex *m);
void	host_mutex_lock(struct host_mutex *m);
int	host_mutex_lock_interruptible(struct host_mutex *m);	/* -EINTR */
bool	host_mutex_trylock(struct host_mutex *m);
void	host_mutex_unlock(struct host_mutex *m);

/* Never held across anything that sleeps. Not for interrupt context. */
void	host_spin_init(struct host_spinlock *s);
void	host_spin_lock(struct host_spinlock *s);
void	host_spin_unlock(struct host_spinlock *s);

/* --- The caller ---------------------------------------------------------- */

struct host_caller {
	uint32_t uid;
	int32_t	 pid;		/* process (thread group) id */
	bool	 admin;		/* CAP_SYS_ADMIN */
};
void	host_caller(struct host_caller *c);
uint32_t host_caller_uid(void);		/* the same, alone: for every ioctl */

/* An address space; the reference keeps the object, not its mappings. */
struct host_as;
struct host_as *host_as_get_current(void);
void	host_as_put(struct host_as *as);
bool	host_as_is_current(const struct host_as *as);

/*
 * Copies between kernel memory and the current address space. May sleep.
 * -EFAULT when an address is bad; then an unknown part may have been copied.
 * With preemption off, and between host_faults_off() and host_faults_on(), they
 * do not sleep: a page that is not there is -EFAULT.
 */
int	host_copy_in(void *dst, uint64_t uaddr, size_t len);
int	host_copy_out(uint64_t uaddr, const void *src, size_t len);
/* For the current thread; they nest. */
void	host_faults_off(void);
void	host_faults_on(void);
/* The same for sizes that the compiler knows: some tens of words. */
int	host_copy_in_few(void *dst, uint64_t uaddr, size_t len);
int	host_copy_out_few(uint64_t uaddr, const void *src, size_t len);
/*
 * Words of user memory and what they were; any alignment, but none crosses a
 * page. Are they all still that? False also when one of them cannot be read;
 * with preemption off, and perhaps interrupts, it does not wait for a page.
 * host_user_range_ok() has agreed to the addresses.
 */
struct host_user_word {
	uint64_t addr, value;
};
#define HOST_USER_WORDS	6
bool	host_user_words_same(const struct host_user_word w[HOST_USER_WORDS]);
/*
 * Atomic compare-and-exchange on user memory; size is 4 or 8, uaddr aligned.
 * 0: done, -EAGAIN: the value was not *old (which then holds what was there),
 * -EFAULT. May sleep.
 */
int	host_cmpxchg_user(uint64_t uaddr, unsigned int size, uint64_t *old,
	    uint64_t new);
/* Is [uaddr, uaddr + size) entirely an address a process may have? */
bool	host_user_range_ok(uint64_t uaddr, uint64_t size);

/* --- Guest memory: part of the creator's address space ------------------- */

/*
 * A watch on [hva, hva + size) of the current address space. Before any page
 * in it changes or goes, the host calls mem_invalidate(arg, ...), which the
 * core implements (memory.c). *w is set before that happens for the first
 * time. -ENOMEM, -EINVAL; a signal ended it: -EINTR, or the host's own number for
 * a system call that starts again. May sleep.
 */
struct host_watch;
int	host_watch_add(struct host_watch **w, uint64_t hva, uint64_t size,
	    void *arg);
/* No mem_*() for this watch runs once this has returned. May sleep. */
void	host_watch_remove(struct host_watch *w);

/*
 * The core's side of a watch. [start, end) is in host virtual addresses and
 * already clipped to the watch. Called with the host's own locks held; it must
 * not allocate. token goes to host_watch_note() under mem_lock. When may_block
 * is false it must not sleep: if it would, it returns false and changes
 * nothing.
 */
bool	mem_invalidate(void *arg, uint64_t start, uint64_t end, bool may_block,
	    unsigned long token);
/*
 * Has a guest used a page of [start, end), clipped likewise, since it was mapped
 * or since this was last asked with `clear`? Also true if that cannot be told
 * now. Called with the host's spinlocks held: it must not sleep. Never in
 * interrupts, nor where mem_lock is held.
 */
bool	mem_age(void *arg, uint64_t start, uint64_t end, bool clear);
/* Mark the watch changed; only from mem_invalidate(), under mem_lock. */
void	host_watch_note(struct host_watch *w, unsigned long token);

/*
 * The address space of a watch has ended: its last thread has exited or has
 * executed another program. Called once a watch; must not sleep for the VM.
 */
void	mem_owner_gone(void *arg);

/*
 * Resolving pages: seq = host_watch_begin(w); host_watch_resolve(...);
 * take mem_lock; if host_watch_retry(w, seq) drop the lock and start over;
 * otherwise the frames stay true until mem_lock is released.
 */
struct host_frame {
	uint64_t pa;		/* of the 4 KiB page; with encryption bit */
	uint8_t	 order;		/* the host maps 4 KiB << order around it */
	bool	 present;
	bool	 writable;
	bool	 dirty;		/* the host knows that it is written to */
};
#define HOST_PAGES	32u
struct host_pages {
	/* The question: n pages from hva on, all within the watch. */
	uint64_t hva;
	unsigned int n;
	unsigned int want;	/* the one that is accessed */
	unsigned int ahead;	/* so many behind it may be faulted in with it */
	bool	 write;
	/* The answer: frame[first] to frame[end - 1] are set. */
	unsigned int first, end;
	struct host_frame frame[HOST_PAGES];
};
/* May sleep (waits for invalidations under way). */
unsigned long host_watch_begin(struct host_watch *w);
/*
 * Page `want` is faulted in if need be, for writing if `write`. If not, and it
 * is no part of a larger one, its neighbours are reported too. If so, `ahead`
 * is honoured for writes to anonymous memory that has never been touched.
 * -EFAULT: no page can be there for this access (not mapped, no permission,
 * not by the current thread's protection keys, device memory). -EBUSY: start
 * over. -EAGAIN: the page has to be waited for: host_fault_wait(). -ENOMEM.
 * Current must be the creator's address space. May sleep, to allocate memory,
 * but does not wait for what is in a page.
 */
int	host_watch_resolve(struct host_watch *w, struct host_pages *p);
bool	host_watch_retry(struct host_watch *w, unsigned long seq);

/*
 * A page that has to be waited for: it is in swap, in a file, or somebody else's
 * to give (userfaultfd, FUSE), and may never come. A thread of the host makes
 * the fault, so that who wants the page can leave at any time. Each vCPU has one
 * of these, for one fault at a time.
 */
struct host_fault;
struct host_fault *host_fault_alloc(void);	/* NULL: no memory. May sleep. */
void	host_fault_free(struct host_fault *f);	/* NULL, or no fault is under way */
/* Who waits; all get arg. */
struct host_fault_user {
	/* Is there a reason to leave? Asked at first and after each host_fault_wake(). */
	bool	(*leave)(void *arg);
	/* Keep f until release(); called before the fault begins. */
	void	(*hold)(void *arg);
	/*
	 * The fault is over. In a thread of the host and after everything else,
	 * perhaps long after host_fault_wait() has returned. May sleep, may free f.
	 */
	void	(*release)(void *arg);
};
/*
 * Wait for the page at hva of the current address space, to write to it if
 * `write`. 0: look again. -EINTR: a signal, or leave(); then the fault is ended
 * if the host can, and otherwise ends by itself before f takes another one.
 * -EFAULT: no page can be there. -ENOMEM. Sleeps.
 */
int	host_fault_wait(struct host_fault *f, uint64_t hva, bool write,
	    const struct host_fault_user *user, void *arg);
/* Have host_fault_wait(), if it waits, ask leave() again. Any context. */
void	host_fault_wake(struct host_fault *f);
/* The guest may write to a page that is not dirty: tell the host. Under mem_lock. */
void	host_frame_dirty(const struct host_frame *f);

/* --- CPUs ---------------------------------------------------------------- */

unsigned int host_cpu_limit(void);	/* CPU numbers are below this */
unsigned int host_cpu(void);		/* stable only with preemption off */
void	host_preempt_disable(void);
void	host_preempt_enable(void);
void	host_irq_disable(void);
void	host_irq_enable(void);
/* Does a signal wait for the current thread, or the scheduler? */
bool	host_signal_pending(void);
bool	host_resched_pending(void);
/* Give the CPU away if somebody wants it. May sleep. */
void	host_resched(void);

/*
 * Run on() on every CPU, now and whenever one comes up (hotplug, resume), and
 * off() before one goes (hotplug, suspend, reboot) and at
 * host_cpus_disable(). on() and off() run on the CPU concerned, which can not
 * be inside a guest then, with interrupts off: calls from other CPUs must not
 * come between. When on() fails, it is undone everywhere and its error
 * returned. May sleep.
 */
int	host_cpus_enable(int (*on)(void), void (*off)(void));
void	host_cpus_disable(void);
/*
 * From attach to detach, whether or not the CPUs are on: a reboot or kexec
 * under way makes host_cpus_enable() fail with -EBUSY, and emergency() runs
 * on each CPU that the host stops for good without off(), as before a crash
 * kernel. It may come in an NMI, in the middle of on(), off() or a world
 * switch, and what it interrupts never goes on. It must not wait for anything.
 * May sleep.
 */
int	host_cpus_attach(void (*emergency)(void));
void	host_cpus_detach(void);

/* Make a CPU leave a guest soon; does not wait. Not with interrupts off. */
void	host_kick(unsigned int cpu);
/* An interrupt for this CPU, pending as long as interrupts are off. */
void	host_interrupt_self(void);
/* A set of CPUs; host_cpuset_kick_wait() returns when each has been outside
 * the guest once. Not with interrupts off. */
struct host_cpuset;
struct host_cpuset *host_cpuset_alloc(void);
void	host_cpuset_free(struct host_cpuset *s);
void	host_cpuset_clear(struct host_cpuset *s);
void	host_cpuset_add(struct host_cpuset *s, unsigned int cpu);
void	host_cpuset_kick_wait(struct host_cpuset *s);

/*
 * Run fn on a CPU, in interrupt context, and wait. Nothing happens when that
 * CPU is down. Interrupts on; preemption may be off.
 */
void	host_call_on(unsigned int cpu, void (*fn)(void *arg), void *arg);

/*
 * What has to be given back after a guest: a CPU's own, the same for all its
 * threads for as long as it is up, and a thread's.
 */
struct host_context {
	uint64_t cr0;
	uint64_t gs_base, tr_base, gdt_base, idt_base;
	uint16_t cs, ss, tr;
	uint16_t gdt_limit, idt_limit;
};
struct host_thread {
	uint64_t fs_base;
	uint16_t ds, es, fs, gs, ldtr;
};
/*
 * Preemption off. Restoring brings back the selectors in DS, ES, FS, GS and
 * LDTR, FS's base, and the limits of GDT, IDT and TSS; the caller has seen to
 * the rest. If there is a selector in GS, the base that SWAPGS brings is lost.
 */
void	host_context_save(struct host_context *c);
void	host_thread_save(struct host_thread *t);
void	host_context_restore(const struct host_context *c,
	    const struct host_thread *t);
/*
 * Exchange the base that SWAPGS brings, which is the thread's, for another.
 * base: canonical with 48 bits, so in each paging mode of the host; others
 * fault. Returns what was there. Preemption off, interrupts on.
 */
uint64_t host_swapgs_base(uint64_t base);
/* Bits of this CPU's CR4, which the host keeps a record of. Preemption off. */
void	host_cr4_change(uint64_t set, uint64_t clear);

/* --- A stay in the guest's loop -------------------------------------------- */

/*
 * What the loop looks at between two exits. begin() finds it once, and it is
 * true until end(): the words change, where they are does not.
 */
struct host_stay {
	const volatile unsigned long *thread_flags;
	unsigned long leave_mask;	/* of them: work for a return to user space */
	unsigned long resched_mask;	/* of them: the scheduler does */
	/* DR7 as the host wants it on this CPU. */
	const volatile unsigned long *debug_armed;
	unsigned int cpu;
};

/*
 * Between begin and end preemption is off, interrupts may be on, and the FPU,
 * SSE and AVX registers belong to the caller; the thread's own user state has
 * been saved and comes back by itself before it returns to user space. end()
 * also notes what leaving to user space needs after a guest.
 */
void	host_stay_begin(struct host_stay *s);
void	host_stay_end(const struct host_stay *s);

/*
 * The thread should leave the loop: for a signal or other work that only a return
 * to user space does, or for the scheduler.
 */
bool	host_stay_must_leave(unsigned long flags);	/* those of leave_mask */

static inline bool
host_stay_signal(const struct host_stay *s)
{
	unsigned long flags = *s->thread_flags & s->leave_mask;

	return flags != 0 && host_stay_must_leave(flags);
}

static inline bool
host_stay_resched(const struct host_stay *s)
{
	return *s->thread_flags & s->resched_mask;
}

/* Has the host breakpoints armed on this CPU? It enables them globally. */
#define HOST_DEBUG_GLOBAL	0xaaul	/* G0-G3 of DR7 (SDM 3B 18.2.4) */
static inline bool
host_stay_debug_active(const struct host_stay *s)
{
	return *s->debug_armed & HOST_DEBUG_GLOBAL;
}

/* --- Counters and traces ---------------------------------------------------- */

/*
 * An MSR that counts or samples for the host, and what it is to hold while a
 * guest runs on this CPU.
 */
struct host_perf_msr {
	uint32_t index;
	uint64_t host, guest;
};
#define HOST_PERF_MSRS	8
/*
 * Those whose two values differ, and how many they are. Then nothing counts in
 * a guest that should not, and nothing samples that writes its records by the
 * page tables in force (PEBS). True for the next entry. Interrupts off.
 */
unsigned int host_perf_msrs(struct host_perf_msr msr[HOST_PERF_MSRS]);
/*
 * Virtualisation comes to this CPU, or has left it: on before VMXON or once
 * EFER.SVME is set, off after VMXOFF or once that is clear. The host stops
 * tracing where both together are impossible (Intel PT), and knows whether its
 * counters can tell host from guest (AMD). Preemption off.
 */
void	host_perf_virt(bool on);

/* --- Mitigations, by the host's own settings ------------------------------ */

/* Another vCPU's training of the branch predictors ends here. */
void	host_predictor_barrier(void);
/*
 * #MC in a guest, or on the way into it: the host's handler takes it as one in
 * the thread's user code. What it decides for the thread comes when the thread
 * leaves, and shows in host_stay_signal(). Right after the exit, interrupts off.
 */
void	host_machine_check(void);

/* Does the host mitigate SRSO by BP_SPEC_REDUCE while guests may run? Constant. */
bool	host_bp_spec_reduce(void);
/* Does the host detect split locks by #AC (SDM 3B 18.3.1)? Constant. */
bool	host_detects_split_locks(void);
/*
 * A split lock of the guest at rip made the host's #AC: do what the host does for
 * its own threads, after which the guest can go on, or the thread has a signal
 * pending. May sleep.
 */
void	host_split_lock(uint64_t rip);

/* The NMI that ended a guest's stay: the host's handler. Interrupts off. */
void	host_nmi(void);
/* May the host want the L1 data cache flushed before a guest (L1TF)? Constant. */
bool	host_l1d_may_flush(void);
/* Flush it if this entry needs it; loaded: for the first time since load().
 * Interrupts off. */
void	host_l1d_flush(bool loaded);

/* May a guest execute from large leaves? Not where a change of the page size
 * under it can stop the machine (iTLB multihit, CVE-2018-12207). */
bool	host_large_exec(void);

/* --- The driver's own life -------------------------------------------------- */

/*
 * The driver stays loaded until it is let go of as often. It may be let go of
 * wherever the host waits for the caller before it unloads: in ioctls and
 * closes, and in the threads behind host_defer() and host_fault_wait().
 */
void	host_keep_driver(void);
void	host_let_driver_go(void);

/* --- Later ----------------------------------------------------------------- */

/*
 * Call fn(arg) soon from a thread of the host, where it may sleep. Each work
 * is used once and stays where it is until fn runs, which may free it. Only
 * with the driver kept: nothing is to come behind the last host_defer_flush().
 */
void	host_defer(struct host_work *w, void (*fn)(void *arg), void *arg);
/* Returns when all deferred calls have been made. May sleep. */
void	host_defer_flush(void);

/* --- Time ---------------------------------------------------------------- */

uint64_t host_ns(void);			/* since host boot, monotonic */
uint64_t host_wall_ns(void);		/* since 1970 */
uint32_t host_tsc_khz(void);		/* 0: unknown */
bool	host_tsc_stable(void);		/* constant, and the same on all CPUs */

/* --- Words --------------------------------------------------------------- */

/*
 * One line in the host's log. Anything a guest or an unprivileged caller can
 * cause must use host_warn(), which is rate-limited.
 */
void	host_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	host_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Into text, cut off where size ends, with a NUL; the characters before it. */
size_t	host_format(char *text, size_t size, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/*
 * Trace events. Reasons are hardware numbers. host_os.h has host_tracing(event),
 * by the name of the event: false when nobody listens.
 */
void	host_trace_entry(uint32_t vm, uint32_t vcpu, uint64_t rip);
void	host_trace_exit(uint32_t vm, uint32_t vcpu, uint16_t kind,
	    uint64_t reason, uint64_t rip, uint64_t info1, uint64_t info2);
void	host_trace_fault(uint32_t vm, uint32_t vcpu, uint64_t gpa,
	    uint32_t access, int result);
void	host_trace_inject(uint32_t vm, uint32_t vcpu, uint8_t type,
	    uint8_t vector, uint32_t error);
void	host_trace_refused(uint32_t vm, uint32_t vcpu, const char *how,
	    const char *why);

#endif /* CORE_HOST_H */
