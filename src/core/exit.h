/* SPDX-License-Identifier: ISC */
/*
 * exit.h - the handlers that exit_reasons.yaml names, one function a name.
 *
 * A handler returns what the run loop does next. Handlers whose row says
 * `sleep` run with preemption on and the vCPU's state off the CPU; the others
 * run on the CPU with the guest's FPU state loaded (v->loaded) and must not
 * sleep; one that has to now and then returns EXIT_SLEEP first.
 */
#ifndef CORE_EXIT_H
#define CORE_EXIT_H

struct vcpu;
struct exit_policy;

enum exit_next {
	EXIT_RESUME,		/* enter the guest again */
	EXIT_TO_CLIENT,		/* v->vmexit is filled; RUN returns 0 */
	EXIT_SLEEP,		/* nothing is done: call again with preemption on */
	/* or a negative errno: RUN fails with it, the vCPU is stopped */
};

typedef int exit_handler(struct vcpu *v, const struct exit_policy *p);

/* action: emulate, handler: NAME -> emulate_NAME. */
exit_handler emulate_cpuid;
exit_handler emulate_msr;
exit_handler emulate_cr;
exit_handler emulate_xsetbv;
exit_handler emulate_skip;	/* nothing to do but step over it (WBINVD) */

/* action: user, payload: NAME -> user_NAME. */
exit_handler user_plain;	/* no payload */
exit_handler user_inout;
exit_handler user_hlt;
exit_handler user_fault;	/* second-stage fault */

/* action: inject (vector of the row), reflect, host, resume, error. */
exit_handler exit_inject;
exit_handler exit_reflect;	/* an intercepted exception goes to the guest */
exit_handler exit_host;		/* the host's interrupt or NMI: taken by now */
exit_handler exit_machine_check;	/* likewise: guest_loop.h */
exit_handler exit_window;	/* the interrupt window is open */
exit_handler exit_resume;
exit_handler exit_error;

#endif /* CORE_EXIT_H */
