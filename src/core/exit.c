/* SPDX-License-Identifier: ISC */
/*
 * exit.c - the small handlers of exit_reasons.yaml, and second-stage faults.
 */
#include "exit.h"
#include "vm.h"
#include "backend.h"
#include "insn_fetch.h"
#include "memory.h"

int
user_plain(struct vcpu *v, const struct exit_policy *p)
{
	(void)v;
	(void)p;
	return EXIT_TO_CLIENT;
}

/*
 * With IF = 0 too: the client sees vrp_irqready = 0 and may decide. Not when
 * something ends HLT at once: a vector that was waiting for the end of STI's
 * shadow, or, which exit_handle() knows, a debug exception.
 */
int
user_hlt(struct vcpu *v, const struct exit_policy *p)
{
	uint64_t rflags = v->gpr[VCPU_REGS_RFLAGS];

	if ((rflags & ARCH_RFLAGS_IF) && !vcpu_irr_empty(v))
		return EXIT_RESUME;
	return user_plain(v, p);
}

/* Tell the client everything about an access it has to emulate; -EINTR. */
static int
report_fault(struct vcpu *v, uint8_t type)
{
	struct vm_exit_eptviolation *vee = &v->vmexit.vee;
	uint64_t gpa = v->exit.npf.gpa;
	int n;

	n = insn_bytes(v, vee->vee_insn_bytes);
	if (n < 0)
		return n;
	vee->vee_fault_type = type;
	vee->vee_insn_info = VEE_GPA_VALID;
	v->vmexit.vex_gpa_low = (uint32_t)gpa;
	v->vmexit.vex_gpa_high = (uint32_t)(gpa >> 32);
	vee->vee_insn_len = (uint8_t)n;
	if (vee->vee_insn_len != 0)
		vee->vee_insn_info |= VEE_BYTES_VALID;
	return EXIT_TO_CLIENT;
}

int
user_fault(struct vcpu *v, const struct exit_policy *p)
{
	int r;

	(void)p;
	r = memory_fault(v, v->exit.npf.gpa, v->exit.npf.access);
	host_trace_fault(v->vm->id, v->id, v->exit.npf.gpa,
	    v->exit.npf.access, r);
	switch (r) {
	case MEMORY_FAULT_MAPPED:
		return EXIT_RESUME;
	case MEMORY_FAULT_MMIO:
		return report_fault(v, VEE_FAULT_MMIO_ASSIST);
	case MEMORY_FAULT_PROTECT:
		return report_fault(v, VEE_FAULT_PROTECT);
	default:
		return r;
	}
}

/* Nothing to emulate: the row says that stepping over it is all. */
int
emulate_skip(struct vcpu *v, const struct exit_policy *p)
{
	(void)v;
	(void)p;
	return EXIT_RESUME;
}

int
exit_inject(struct vcpu *v, const struct exit_policy *p)
{
	vcpu_exception(v, p->vector);
	return EXIT_RESUME;
}

/* Has the guest asked for #AC, and is where it can come (SDM 3A 6.15, #AC)? */
static bool
checks_alignment(struct vcpu *v)
{
	struct guest_mode m;

	vmm_backend()->mode(v, &m);
	return m.cpl == 3 && (m.cr0 & ARCH_CR0_AM) &&
	    (m.rflags & ARCH_RFLAGS_AC);
}

/* The host's #AC, for a split lock: the guest would not know what it is. */
static int
split_lock(struct vcpu *v)
{
	if (v->loaded)
		return EXIT_SLEEP;
	host_split_lock(v->gpr[VCPU_REGS_RIP]);
	return EXIT_RESUME;
}

/* An exception that was intercepted only to break endless delivery. */
int
exit_reflect(struct vcpu *v, const struct exit_policy *p)
{
	const struct guest_fault f = {
		.vector = v->exit.exc.vector,
		.has_error = v->exit.exc.has_error,
		.error = v->exit.exc.error,
	};

	(void)p;
	if (f.vector == ARCH_EXC_AC && host_detects_split_locks() &&
	    !checks_alignment(v))
		return split_lock(v);
	vcpu_fault(v, &f);
	return EXIT_RESUME;
}

/* Interrupts and NMIs of the host: it took them when the switch was over. */
int
exit_host(struct vcpu *v, const struct exit_policy *p)
{
	(void)v;
	(void)p;
	return EXIT_RESUME;
}

/*
 * The host's handler has had it (guest_loop.h). If it wants the thread dead,
 * or in its handler of SIGBUS, that is seen before the next entry.
 */
int
exit_machine_check(struct vcpu *v, const struct exit_policy *p)
{
	(void)v;
	(void)p;
	return EXIT_RESUME;
}

/* The run loop looks at what is waiting before the next entry. */
int
exit_window(struct vcpu *v, const struct exit_policy *p)
{
	(void)p;
	vmm_backend()->irq_window(v, false);
	return EXIT_RESUME;
}

int
exit_resume(struct vcpu *v, const struct exit_policy *p)
{
	(void)v;
	(void)p;
	return EXIT_RESUME;
}

/* An exit that we did not ask for: RUN fails, the host and the VM go on. */
int
exit_error(struct vcpu *v, const struct exit_policy *p)
{
	host_warn("vmm: vm %u vcpu %u: unexpected exit %s (0x%llx)\n",
	    v->vm->id, v->id, p->name, (unsigned long long)v->exit.reason);
	return -EINVAL;
}
