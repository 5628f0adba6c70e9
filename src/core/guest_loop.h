/* SPDX-License-Identifier: ISC */
/*
 * guest_loop.h - the inner loop: enter, exit, handle, enter again.
 *
 * Each backend compiles it with its own operations, which the compiler then
 * puts in place: an exit that the driver answers by itself costs little more
 * than the world switch. The words:
 *
 *   stay	from load() to put(): preemption is off, and what is switched by
 *		software (FPU, debug registers, MSRs) is the guest's.
 *   turn	the part of a stay between turning interrupts off and on. Most
 *		turns have one entry. After an exit whose row says `quick`, the
 *		guest is entered again in the same turn.
 *
 * The kick protocol. With interrupts off, the vCPU sets in_guest, then looks
 * for reasons not to enter. Others store their reason, then look at in_guest
 * and send an interrupt to the CPU. Whatever the order, either the vCPU sees
 * the reason, or the interrupt is pending at VM entry and ends the turn. That
 * holds for each entry of a turn, so the reasons are looked for once.
 *
 * The outer loop sleeps for as long as it takes in one place only: page_wait()
 * of memory.c, for a page of the guest. There the vCPU sets `waits` instead, then
 * looks for requests; the others wake it up instead of interrupting it.
 */
#ifndef CORE_GUEST_LOOP_H
#define CORE_GUEST_LOOP_H

#include "vm.h"
#include "exit.h"
#include "fpu.h"
#include "pvclock.h"
#include "vcpu_advance.h"

/* Must be compiled into its caller, or the operations stay calls. */
#define GUEST_LOOP	static inline __attribute__((always_inline))

/*
 * Quick exits in a turn, at most. The interrupt that a kick has sent ends the
 * turn before; this is for emulators that keep interrupts back (vmx.c,
 * write_timer()).
 */
#define TURN_EXITS	256

/* What the loop wants next, beside enum exit_next and errno. */
enum loop_next {
	LOOP_WORK = EXIT_SLEEP + 1,	/* sleepable work or the scheduler: then go on */
	LOOP_LEAVE,	/* RUN returns with VM_EXIT_NONE */
	LOOP_WINDOW,	/* RUN returns: the guest can take an interrupt */
	LOOP_EXIT,	/* the exit is to be handled with interrupts on */
};

/* What comes out of an entry, beside an errno. */
enum enter_result {
	ENTER_EXIT,	/* v->exit is filled */
	ENTER_QUICK,	/* so it is, the row says `quick`, and the handler needs no more */
};

/* A backend's part of a stay. Unless noted: loaded, interrupts off. */
struct guest_ops {
	/* Bring the vCPU onto this CPU / take it off. Interrupts on. */
	void	(*load)(struct vcpu *v);
	void	(*put)(struct vcpu *v);
	/*
	 * Before the first entry, with v->inject. flush: drop this vCPU's
	 * translations. -EAGAIN as for backend.stay(); then no end.
	 */
	int	(*turn_begin)(struct vcpu *v, bool flush);
	/*
	 * One world switch; enum enter_result. -EINVAL: the CPU refused the
	 * state, which is in the log.
	 */
	int	(*enter)(struct vcpu *v);
	void	(*turn_end)(struct vcpu *v);
	/* As those of struct backend. */
	bool	(*irq_ready)(struct vcpu *v);
	void	(*irq_window)(struct vcpu *v, bool on);
	uint64_t (*clear_shadow)(struct vcpu *v);
};

/* Call the row's handler and step over the instruction if the row says so. */
int	exit_handle(struct vcpu *v);

/* Interrupts are off and in_guest is set: a reason not to enter, or 0. */
GUEST_LOOP int
entry_refused(struct vcpu *v, const struct guest_ops *ops)
{
	if (sync_load(&v->requests) || host_stay_signal(&v->stay))
		return LOOP_LEAVE;
	if (host_stay_resched(&v->stay))
		return LOOP_WORK;
	/* Mostly the clock's page is there. */
	if ((v->pvclock.wall_due || sync_load(&v->pvclock.dirty)) &&
	    !pvclock_publish(v))
		return LOOP_WORK;
	/* The client waits for a chance to inject, and here it is. */
	if (sync_load(&v->intr) && v->inject.type == EVENT_NONE &&
	    vcpu_irr_empty(v) && ops->irq_ready(v))
		return LOOP_WINDOW;
	return 0;
}

/*
 * Before a turn: which event goes in, and is a window wanted for another? If
 * so, each exit may be the chance.
 */
GUEST_LOOP bool
prepare_event(struct vcpu *v, const struct guest_ops *ops)
{
	bool waiting = !vcpu_irr_empty(v), window;

	if (waiting && v->inject.type == EVENT_NONE && ops->irq_ready(v)) {
		v->inject.type = EVENT_EXTINT;
		v->inject.vector = vcpu_irr_take(v);
		v->inject.has_error = false;
		waiting = !vcpu_irr_empty(v);
	}
	window = waiting || sync_load(&v->intr);
	ops->irq_window(v, window);
	if (v->inject.type != EVENT_NONE)
		host_trace_inject(v->vm->id, v->id, v->inject.type,
		    v->inject.vector, v->inject.error);
	return window;
}

/* The exit has all that its handler needs, and nothing was cut short. */
GUEST_LOOP int
exit_quick(struct vcpu *v, const struct guest_ops *ops)
{
	const struct exit_policy *p = &exit_policy[v->exit.kind];
	int next;

	v->inject.type = EVENT_NONE;
	v->faulted = false;
	next = p->handler(v, p);
	if (next == EXIT_RESUME && !v->faulted)
		vcpu_step_over(v, v->exit.insn_len, ops->clear_shadow);
	return next;
}

/* Every exit is counted, and traced when somebody listens. */
GUEST_LOOP void
note_exit(struct vcpu *v)
{
	const struct exit_info *x = &v->exit;

	v->exits[x->kind]++;
	if (host_tracing(vmm_exit))
		host_trace_exit(v->vm->id, v->id, x->kind, x->reason,
		    v->gpr[VCPU_REGS_RIP], x->info1, x->info2);
}

/*
 * Entries and quick exits, n at most. LOOP_EXIT, what a handler said, or an
 * errno.
 */
GUEST_LOOP int
guest_enter(struct vcpu *v, const struct guest_ops *ops, unsigned int n)
{
	int next;

	do {
		if (host_tracing(vmm_entry))
			host_trace_entry(v->vm->id, v->id, v->gpr[VCPU_REGS_RIP]);
		next = ops->enter(v);
		if (next < 0)
			return next;
		if (next == ENTER_EXIT) {
			/* Before anything that could raise another. */
			if (exit_policy[v->exit.kind].handler ==
			    exit_machine_check)
				host_machine_check();
			note_exit(v);
			v->inject = v->exit.interrupted;
			return LOOP_EXIT;
		}
		/* Twice, so that what the entry has found out is not asked again. */
		note_exit(v);
		next = exit_quick(v, ops);
	} while (next == EXIT_RESUME && !v->turn_over && --n != 0);
	return next;
}

/* One turn. As guest_enter(), or enum loop_next. */
GUEST_LOOP int
guest_turn(struct vcpu *v, const struct guest_ops *ops)
{
	uint64_t gen;
	bool window;
	int next;

	host_irq_disable();
	sync_point(SYNC_ENTRY);
	sync_store(&v->in_guest, 1);
	sync_full();
	next = entry_refused(v, ops);
	if (next != 0)
		goto out;
	gen = sync_load_acquire(&v->vm->tlb_gen);
	window = prepare_event(v, ops);
	next = ops->turn_begin(v, v->flush || gen != v->tlb_seen);
	if (next != 0)
		goto out;
	v->flush = false;
	v->tlb_seen = gen;
	v->turn_over = false;
	/* With breakpoints or counters of its own, the host wants them back after each. */
	next = guest_enter(v, ops, window || v->host_debug.active ||
	    v->host_counts ? 1 : TURN_EXITS);
	ops->turn_end(v);
out:
	sync_store_release(&v->in_guest, 0);
	/* The interrupt that ended the turn, if one did, is taken here. */
	host_irq_enable();
	return next;
}

GUEST_LOOP void
guest_load(struct vcpu *v, const struct guest_ops *ops)
{
	host_stay_begin(&v->stay);
	fpu_load(v);
	ops->load(v);
	sync_store(&v->cpu, v->stay.cpu);
	v->loaded = true;
}

GUEST_LOOP void
guest_put(struct vcpu *v, const struct guest_ops *ops)
{
	v->loaded = false;
	ops->put(v);
	fpu_put(v);
	host_stay_end(&v->stay);
}

/* One stay; what the outer loop of run.c has to do next. */
GUEST_LOOP int
guest_stay(struct vcpu *v, const struct guest_ops *ops)
{
	int next;

	guest_load(v, ops);
	do {
		next = guest_turn(v, ops);
		if (next == LOOP_EXIT)
			next = exit_handle(v);
	} while (next == EXIT_RESUME);
	guest_put(v, ops);
	return next;
}

#endif /* CORE_GUEST_LOOP_H */
