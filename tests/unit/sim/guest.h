/* SPDX-License-Identifier: ISC */
/*
 * sim/guest.h - a simulated guest, whichever vendor's CPU it runs on.
 *
 * A "guest" is a C function of the test: it gets its registers and the event
 * that the entry brings, does what its instructions would do, and says how it
 * exits. The simulated CPUs (svm_cpu.c, vmx_cpu.c) translate between that and
 * their control structures.
 */
#ifndef SIM_GUEST_H
#define SIM_GUEST_H

#include "cpu.h"
#include "vm.h"

/* --- Events: a form of the tests' own, which is no CPU's ------------------- */

enum sim_event { SIM_NONE, SIM_INTR, SIM_NMI, SIM_EXC, SIM_INT_N };

#define EV(type, vector)	((uint64_t)(type) << 8 | (vector))
#define EV_HAS_CODE		(1ULL << 16)
#define EV_INTR(vector)		EV(SIM_INTR, vector)
#define EV_NMI			EV(SIM_NMI, 2)
#define EV_EXC(vector)		EV(SIM_EXC, vector)
#define EV_EXC_CODE(vector, code) \
	(EV_EXC(vector) | EV_HAS_CODE | (uint64_t)(code) << 32)
#define EV_INT_N(vector)	EV(SIM_INT_N, vector)

#define EV_TYPE(ev)		((enum sim_event)((ev) >> 8 & 0xff))
#define EV_VECTOR(ev)		((uint8_t)(ev))
#define EV_ERROR(ev)		((uint32_t)((ev) >> 32))

/* --- The guest --------------------------------------------------------------- */

struct sim_guest {
	/* Its registers, as it sees them: gpr[] in ABI order. It may change
	 * gpr[], dr6, dr7, the shadow and what is pending. */
	uint64_t gpr[VCPU_REGS_NGPRS];
	uint64_t cr0, cr2, cr3, cr4, efer, pat, dr6, dr7;
	uint64_t cs_base;
	bool	 shadow;	/* of STI or MOV SS */
	bool	 mov_ss;	/* and that of MOV SS */
	/*
	 * B0-B3 of DR6: enabled breakpoints whose debug exception MOV SS holds,
	 * or a host's event precedes. A single step adds itself. Only VMX tells
	 * the driver.
	 */
	uint64_t pending;

	/* What comes with the entry. */
	uint64_t event;		/* EV_*; 0: none */
	uint64_t tsc_offset;
	bool	 window;	/* it is to exit when it can take an interrupt */
	bool	 flushed;	/* no translation of before is left */
	unsigned int cpu;

	/*
	 * How it exits: by exit.kind, with the details that this kind has, and
	 * with insn_len and the bytes of insn where an instruction exits. The
	 * CPU tells the driver of these what it can. code, if it is not 0,
	 * stands for the kind. kind SIM_EXITED: the guest has seen to all of it.
	 */
	struct exit_info exit;
	const char *insn;
	uint64_t code;
	uint64_t interrupted;	/* EV_*: the delivery that the exit cuts short */
	uint64_t met;		/* of #DB: bits of DR6 */
};
#define SIM_EXITED	EXIT_KINDS

typedef void sim_code(struct sim_guest *g, void *arg);

struct sim {
	sim_code *guest;
	void	*arg;
	uint64_t entries;	/* that the CPU accepted */
	uint64_t refused;	/* for the guest's state */
	struct sim_guest entered;	/* as the last entry found it */
};
extern struct sim sim;

/* What an exit has that does not exist: no CPU gives this number. */
#define SIM_NO_NUMBER	UINT64_MAX

/* What the CPU tells of an instruction that exits. */
struct sim_tells {
	bool	 length;
	bool	 operands;	/* of MOV CR */
	bool	 bytes;		/* of one that faults in the second stage */
};
extern struct sim_tells sim_tells;

/* The number of a kind of exit, as the client is told it. */
uint16_t sim_reason(enum exit_kind kind);
/* Has this vendor such an exit? */
bool	sim_has(enum exit_kind kind);

/* --- Machines ------------------------------------------------------------------ */

/* One CPU of a vendor's; options: SIM_SVM_* or SIM_VMX_* bits. */
struct sim_machine {
	const char *name;
	bool	 vmx;
	unsigned int options;
	bool	 all;		/* of them: for long tests that one will do for */
};
extern const struct sim_machine *sim_machine;

/* All of the simulation as after reset, on such CPUs. */
void	sim_start(const struct sim_machine *m);

/* Is a CPU in use for virtualisation? Another hypervisor takes it, or leaves. */
bool	sim_cpu_taken(unsigned int cpu);
void	sim_cpu_take(unsigned int cpu, bool take);

/* CR4 as it is in force in the guest that is inside on this CPU. */
uint64_t sim_real_cr4(void);
/* For the simulated CPUs, before an entry with that CR4. */
void	sim_check_cr4(uint64_t real);

/*
 * For the simulated CPUs. An entry is counted and remembered; then the guest
 * runs, unless something exits before its first instruction.
 */
void	sim_note_entry(struct sim_guest *g);
void	sim_run_guest(struct sim_guest *g);

#endif /* SIM_GUEST_H */
