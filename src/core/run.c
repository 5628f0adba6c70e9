/* SPDX-License-Identifier: ISC */
/*
 * run.c - VMM_IOC_RUN: the outer loop, and what the client is told.
 *
 * The inner loop is in guest_loop.h: it runs with preemption off and the
 * guest's FPU state on the CPU. Whatever may sleep happens in the outer one,
 * between stays of the inner. So a vCPU changes CPUs only between a put and a
 * load, and nothing decided per CPU can go stale.
 */
#include "vm.h"
#include "backend.h"
#include "cr.h"
#include "emulate_io.h"
#include "exit.h"
#include "fpu.h"
#include "guest_loop.h"
#include "insn.h"
#include "insn_fetch.h"
#include "ioctls.h"
#include "memory.h"
#include "pvclock.h"

/* --- The inner loop, as far as it is the same code for both vendors ---------------------- */

/* Can the handler not do without the instruction, which the CPU kept back? */
static bool
exit_lacks_insn(const struct vcpu *v, const struct exit_policy *p)
{
	return (p->advance && v->exit.insn_len == 0) ||
	    (p->operands && !v->exit.cr.valid);
}

/* Fetch what the CPU did not report: length and, for MOV CR, operands. */
static int
exit_complete_insn(struct vcpu *v, const struct exit_policy *p)
{
	struct insn insn;
	int err;

	err = insn_fetch(v, p->insns, &insn);
	if (err)
		return err;
	v->exit.insn_len = insn.length;
	if (p->operands)
		return cr_operands(v, &insn);
	return 0;
}

int
exit_handle(struct vcpu *v)
{
	const struct exit_policy *p = &exit_policy[v->exit.kind];
	int next, err;

	if (p->sleep && v->loaded)
		return EXIT_SLEEP;
	v->faulted = false;
	if (exit_lacks_insn(v, p)) {
		err = exit_complete_insn(v, p);
		/* A fault is queued, or the code has changed: try again. */
		if (err > 0)
			return EXIT_RESUME;
		/* Perhaps a page has to be waited for. */
		if (err < 0)
			return v->loaded ? EXIT_SLEEP : err;
	}
	next = p->handler(v, p);
	if (next >= 0 && next != EXIT_SLEEP && p->advance && !v->faulted) {
		vcpu_advance(v, v->exit.insn_len);
		/* A trap behind the instruction comes first: it ends HLT. */
		if (v->faulted && next == EXIT_TO_CLIENT)
			next = EXIT_RESUME;
	}
	return next;
}

/* --- The outer loop ------------------------------------------------------------------- */

/* The reason when nothing has happened but that RUN is to return. */
static int
leave_reason(const struct vcpu *v)
{
	return sync_load(&v->requests) & VCPU_REQ_TERM ? VM_EXIT_TERMINATED :
	    VM_EXIT_NONE;
}

/* What may sleep, before a stay; -EINTR: RUN is to return first. */
static int
run_prepare(struct vcpu *v)
{
	if (pvclock_due(v) && !pvclock_publish(v))
		return -EINTR;
	return vmm_backend()->prepare != NULL ? vmm_backend()->prepare(v) : 0;
}

/* Run until there is something for the client; the reason, or an errno. */
static int
run_loop(struct vcpu *v)
{
	int next;

	for (;;) {
		next = run_prepare(v);
		if (next == 0)
			next = vmm_backend()->stay(v);
		if (next == EXIT_SLEEP)
			next = exit_handle(v);
		if (next == EXIT_TO_CLIENT)
			return (uint16_t)v->exit.reason;
		switch (next) {
		case EXIT_RESUME:
		case LOOP_WORK:
		case -EAGAIN:
			host_resched();
			break;
		case LOOP_WINDOW:
			return vmm_backend()->window_reason;
		case -EINTR:	/* a page that is not waited for any longer */
		case LOOP_LEAVE:
			return leave_reason(v);
		default:
			return next;
		}
	}
}

/* --- The ioctl --------------------------------------------------------------------------- */

/* What the exit that the client was told of has put into v->vmexit: its row. */
static exit_handler *
exit_payload(const struct vcpu *v)
{
	return v->exit_reason == (uint16_t)v->exit.reason ?
	    exit_policy[v->exit.kind].handler : user_plain;
}

/*
 * The client has answered an access that it had to emulate: v->vmexit has its
 * general registers. If RIP has moved, the instruction is over. -EINVAL.
 */
static int
client_emulated(struct vcpu *v)
{
	uint64_t rip = v->gpr[VCPU_REGS_RIP];
	int err;

	err = vcpu_regs_write(v, VM_RWREGS_GPRS, &v->vmexit.vrs);
	if (err == 0 && v->gpr[VCPU_REGS_RIP] != rip &&
	    v->inject.type == EVENT_NONE)
		vcpu_advance(v, 0);
	return err;
}

/*
 * What the client did with the last exit: of that, what matters is read.
 * -EFAULT: nothing has changed. -EINTR: the next RUN goes on with it.
 */
static int
run_continue(struct vcpu *v, uint64_t uexit)
{
	struct vm_exit *x = &v->vmexit;

	if (v->io.active) {
		/* RUN has left before the answer was in memory. */
		if (v->io.answered)
			return io_complete(v, v->io.data);
		if (host_copy_in_few(&x->vei.vei_data, uexit +
		    offsetof(struct vm_exit, vei.vei_data), sizeof(x->vei.vei_data)))
			return -EFAULT;
		return io_complete(v, x->vei.vei_data);
	}
	if (exit_payload(v) != user_fault)
		return 0;
	if (host_copy_in_few(x->vrs.vrs_gprs,
	    uexit + offsetof(struct vm_exit, vrs.vrs_gprs),
	    sizeof(x->vrs.vrs_gprs)))
		return -EFAULT;
	return client_emulated(v);
}

/* The registers that the client wants. Apart: it may want none. */
static __attribute__((__noinline__)) void
report_groups(struct vcpu *v)
{
	struct guest_mode m;

	vmm_backend()->regs_read(v, v->exit_groups, &v->vmexit.vrs);
	if (v->exit_groups & VM_RWREGS_SREGS) {
		vmm_backend()->mode(v, &m);
		v->vmexit.cpl = m.cpl;
	}
}

/* What the client gets to see. */
static void
run_report(struct vcpu *v, struct vm_run_params *p, uint16_t reason)
{
	if (v->exit_groups != 0)
		report_groups(v);
	v->exit_reason = reason;
	p->vrp_exit_reason = reason;
	p->vrp_irqready = v->inject.type == EVENT_NONE && vcpu_irr_empty(v) &&
	    vmm_backend()->irq_ready(v);
}

/* Where the groups lie in struct vm_exit; before the first: what happened. */
#define FIRST_GROUP	offsetof(struct vm_exit, vrs)
#define GROUP(g, first, behind) \
	{ VM_RWREGS_##g, offsetof(struct vm_exit, vrs.first), \
	  offsetof(struct vm_exit, behind) }
static const struct {
	uint64_t group;
	size_t	 start, end;
} group_place[] = {
	GROUP(GPRS, vrs_gprs, vrs.vrs_crs),
	GROUP(CRS, vrs_crs, vrs.vrs_msrs),
	GROUP(MSRS, vrs_msrs, vrs.vrs_drs),
	GROUP(DRS, vrs_drs, vrs.vrs_sregs),
	GROUP(SREGS, vrs_sregs, vex_gpa_high),
};

static int
copy_groups(const struct vcpu *v, uint64_t uexit)
{
	size_t i, start, end;
	int err = 0;

	for (i = 0; err == 0 && i < sizeof(group_place) / sizeof(group_place[0]); i++) {
		start = group_place[i].start;
		end = group_place[i].end;
		if (v->exit_groups & group_place[i].group)
			err = host_copy_out_few(uexit + start,
			    (const char *)&v->vmexit + start, end - start);
	}
	return err;
}

/* What the exit has filled in. */
static int
copy_payload(const struct vcpu *v, uint64_t uexit)
{
	const struct vm_exit *x = &v->vmexit;
	exit_handler *payload = exit_payload(v);
	int err;

	if (payload == user_inout)
		return host_copy_out_few(uexit, &x->vei, sizeof(x->vei));
	if (payload != user_fault)
		return 0;
	err = host_copy_out_few(uexit, x, FIRST_GROUP);
	if (err == 0)
		err = host_copy_out_few(uexit +
		    offsetof(struct vm_exit, vex_gpa_high), &x->vex_gpa_high,
		    sizeof(x->vex_gpa_high));
	return err;
}

static int
run_copy_out(const struct vcpu *v, uint64_t uexit)
{
	int err;

	if (v->exit_groups == VM_RWREGS_ALL)
		return host_copy_out_few(uexit, &v->vmexit, sizeof(v->vmexit));
	err = copy_payload(v, uexit);
	if (err == 0 && v->exit_groups != 0)
		err = copy_groups(v, uexit);
	return err;
}

int
vmm_ioctl_run(struct vcpu *v, struct vm_run_params *p)
{
	uint64_t uexit = (uint64_t)(uintptr_t)p->vrp_exit;
	int reason, err;

	if (!host_as_is_current(v->vm->as))
		return -EPERM;
	if (p->vrp_continue)
		err = run_continue(v, uexit);
	else
		err = io_cancel(v);
	if (err < 0 && err != -EINTR)
		return err;
	if (p->vrp_irq != VMM_NO_IRQ)
		v->irr[(p->vrp_irq & 0xff) / 64] |= 1ULL << p->vrp_irq % 64;

	v->refusal.check[0] = v->refusal.text[0] = '\0';
	/* Registers that it does not want are not looked at. */
	memset(&v->vmexit, 0, FIRST_GROUP);
	v->vmexit.vex_gpa_high = 0;
	sync_store(&v->state, VCPU_STATE_RUNNING);
	reason = err == -EINTR ? leave_reason(v) : run_loop(v);
	/* After an error too: RESETCPU or WRITEREGS may mend what was wrong. */
	sync_store(&v->state, VCPU_STATE_STOPPED);
	if (reason < 0)
		return reason;
	run_report(v, p, (uint16_t)reason);
	return run_copy_out(v, uexit);
}
