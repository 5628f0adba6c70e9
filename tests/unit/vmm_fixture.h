/* SPDX-License-Identifier: ISC */
/*
 * vmm_fixture.h - the whole driver on a simulated CPU: open it, make a VM,
 * run a "guest" that is a C function. Every ioctl goes through vmm_ioctl(),
 * as a client's would.
 */
#ifndef VMM_FIXTURE_H
#define VMM_FIXTURE_H

#include <check.h>

#include "host_user.h"
#include "vm.h"
#include "sim/guest.h"

#define FIXTURE_MEM	(4u << 20)	/* bytes of guest memory at GPA 0 */

struct fixture {
	struct vmm_session session;
	uint8_t	*mem;			/* HVA of GPA 0 */
	uint32_t vm;			/* id */
	struct vm_run_params run;
	struct vm_exit exit;
};

/* Changes the simulated machine before the driver attaches, if set. */
extern void (*fixture_machine)(void);
/* The simulated machine as after reset, with nothing attached. */
void	fixture_reset(struct fixture *f);
/* On it: attach, open, create a VM. */
void	fixture_start(struct fixture *f, size_t ncpus);
/* Close, detach; nothing may be left allocated. */
void	fixture_stop(struct fixture *f);

/* One ioctl; 0 or a negative errno. */
int	fixture_ioctl(struct fixture *f, unsigned int cmd, void *arg);
/* A valid CREATE argument for `ncpus` vCPUs and the fixture's memory. */
void	fixture_create_params(struct fixture *f, struct vm_create_params *p,
	    size_t ncpus);
/* All below is about the vCPU that run.vrp_vcpu_id names, at first 0. */

/* RUN with `guest` inside; vrp_irq as given. The ioctl's result. */
int	fixture_run(struct fixture *f, sim_code *guest, void *arg,
	    uint16_t irq);
/* The driver's own. */
struct vcpu *fixture_vcpu(const struct fixture *f);
/* The registers, all groups. */
void	fixture_regs(struct fixture *f, struct vcpu_reg_state *regs);
int	fixture_set_regs(struct fixture *f, uint64_t groups,
	    const struct vcpu_reg_state *regs);
/* The entry check that the last RUN broke, as VMM_IOC_REFUSED names it. */
const char *fixture_refused(struct fixture *f);
/* RESETCPU to flat 64-bit mode at RIP, page tables identity-mapped in mem. */
void	fixture_long_mode(struct fixture *f, uint64_t rip);

/* RESETCPU to real mode at RIP, segments based at 0. */
void	fixture_real_mode(struct fixture *f, uint16_t rip);

/* --- Guests as lists of exits ---------------------------------------------- */

/*
 * What the guest does between an entry and the exit. The bytes of insn are put
 * at RIP, for a driver that has to fetch them; the CPU reports of them what
 * its features allow. act() runs first and may change registers.
 */
struct step {
	struct exit_info exit;	/* the kind, and what this kind has */
	const char *insn;	/* exit.insn_len bytes; NULL: no instruction exits */
	uint64_t code;		/* the CPU's number instead of exit.kind */
	uint64_t interrupted;	/* EV_*: the delivery that the exit cuts short */
	void	(*act)(struct sim_guest *g);
};
/* An exit of a kind; at an instruction, given as a string of its bytes. */
#define EXITS(what)	.exit.kind = (what)
#define AT(what, bytes) \
	EXITS(what), .exit.insn_len = sizeof(bytes) - 1, .insn = (bytes)

/* When the steps are over, the guest halts. */
#define SCRIPT_MAX	24
struct script {
	const struct step *step;
	unsigned int steps;
	unsigned int at;		/* entries so far */
	uint8_t	*mem;
	struct sim_guest seen[SCRIPT_MAX];	/* as each entry found it */
};
sim_code script_guest;			/* arg: struct script */

/* RUN through the steps; the ioctl's result. script is reset. */
int	fixture_steps(struct fixture *f, struct script *s,
	    const struct step *steps, unsigned int n, uint16_t irq);
#define RUN_STEPS(f, s, steps, irq) \
	fixture_steps(f, s, steps, sizeof(steps) / sizeof((steps)[0]), irq)

/* --- Suites ------------------------------------------------------------------ */

/*
 * main() of a suite whose tests each run on every simulated machine: each
 * vendor's CPU with all its options, with none, and with each off in turn.
 */
int	fixture_main(const char *suite, const TTest *const *tests, size_t n,
	    SFun start, SFun stop);
/* On each vendor's CPU with all options and with none. */
int	fixture_main_extremes(const char *suite, const TTest *const *tests,
	    size_t n, SFun start, SFun stop);
/* As fixture_main(), on AMD's only. */
int	fixture_main_svm(const char *suite, const TTest *const *tests, size_t n,
	    SFun start, SFun stop);

#endif /* VMM_FIXTURE_H */
