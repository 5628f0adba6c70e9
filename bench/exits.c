/* SPDX-License-Identifier: ISC */
/* exits.c - what the guest does, and what the client does then. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <x86intrin.h>
#include "operations.h"
#include "trace.h"

#define VECTOR		0x50u
#define MSR_BIOS_SIGN	0x8bu
#define MSR_PAT		0x277u
#define MSR_PVCLOCK	0x4b564d01u
#define PVCLOCK_PAGE	(5 * MB)
#define PAT_RESET	0x0007040600070406ull

/* --- Guests that stop, and what the client does then -------------------------- */

static void
until_hlt(struct machine *m, unsigned int rounds)
{
	(void)rounds;
	machine_until_hlt(m);
}

static void
answer_in(struct machine *m, unsigned int rounds)
{
	enum stop stop;

	(void)rounds;
	while ((stop = m->by->run(m, NO_IRQ)) != STOP_HLT)
		if (stop == STOP_IN)
			m->by->answer(m, 0x5a);
}

static void
wake(struct machine *m, unsigned int rounds)
{
	unsigned int vector = NO_IRQ;

	while (rounds > 0) {
		if (m->by->run(m, vector) == STOP_HLT) {
			vector = VECTOR;
			rounds--;
		} else {
			vector = NO_IRQ;
		}
	}
	while (m->by->run(m, vector) != STOP_HLT)
		vector = NO_IRQ;
}

static void
open_window(struct machine *m, unsigned int rounds)
{
	unsigned int vector = NO_IRQ;
	enum stop stop;

	(void)rounds;
	while ((stop = m->by->run(m, vector)) != STOP_HLT) {
		vector = NO_IRQ;
		if (stop == STOP_OUT)
			m->by->want_window(m, true);
		if (stop == STOP_WINDOW) {
			m->by->want_window(m, false);
			vector = VECTOR;
		}
	}
}

static void
skip_stores(struct machine *m, unsigned int rounds)
{
	enum stop stop;

	(void)rounds;
	while ((stop = m->by->run(m, NO_IRQ)) != STOP_HLT)
		if (stop == STOP_MMIO)
			m->by->skip_store(m);
}

/* One operation of a guest. */
struct guest_operation {
	const char *name;
	const char *function;		/* of guest.S */
	uint64_t a, b;			/* its arguments after the count */
	unsigned int loop;		/* instructions of a round that are the loop's */
	void	(*drive)(struct machine *m, unsigned int rounds);
	void	(*prepare)(struct machine *m);
};

static void
all_registers(struct machine *m)
{
	m->by->want_registers(m);
}

static void
protect_page(struct machine *m)
{
	m->by->protect(m);
}

extern const char guest_cpuid[], guest_rdmsr[], guest_wrmsr[], guest_cr0[], guest_cr4[],
    guest_out[], guest_in[], guest_hlt[], guest_window[], guest_store[];

static const struct guest_operation guest_operations[] = {
	{ "CPUID", guest_cpuid, 0, 0, 4, until_hlt, NULL },
	{ "RDMSR", guest_rdmsr, MSR_BIOS_SIGN, 0, 3, until_hlt, NULL },
	{ "WRMSR", guest_wrmsr, MSR_BIOS_SIGN, 0, 3, until_hlt, NULL },
	{ "WRMSR, PAT", guest_wrmsr, MSR_PAT, PAT_RESET, 3, until_hlt, NULL },
	{ "CR0 write", guest_cr0, 0, 0, 4, until_hlt, NULL },
	{ "CR4 write", guest_cr4, 0, 0, 4, until_hlt, NULL },
	{ "pvclock update", guest_wrmsr, MSR_PVCLOCK, PVCLOCK_PAGE | 1, 3, until_hlt, NULL },
	{ "OUT", guest_out, 0, 0, 3, until_hlt, NULL },
	{ "OUT, all registers", guest_out, 0, 0, 3, until_hlt, all_registers },
	{ "IN", guest_in, 0, 0, 3, answer_in, NULL },
	{ "HLT, interrupt", guest_hlt, 0, 0, 5, wake, NULL },
	{ "interrupt window", guest_window, 0, 0, 6, open_window, NULL },
	{ "MMIO-style fault", guest_store, MMIO_PAGE, 0, 4, skip_stores, protect_page },
};

static uint64_t
cost_of(const struct guest_operation *op, struct machine *m, unsigned int rounds)
{
	uint64_t start;

	vm_call_start(m->cpu, machine_function(op->function), rounds, op->a, op->b, 0);
	start = __rdtsc();
	op->drive(m, rounds);
	return __rdtsc() - start;
}

static void
measure_guest(const struct guest_operation *op, const struct hypervisor *by, unsigned int count)
{
	struct machine *m = machine_new(by, VM_SIZE);
	uint64_t once, all;

	if (op->prepare != NULL)
		op->prepare(m);
	if (count == TRACE_ROUNDS) {
		report(op->name, by->name, count, cost_of(op, m, count));
	} else {
		/* To start the guest and to stop it is not part of it. */
		cost_of(op, m, TRACE_ROUNDS);
		once = cost_of(op, m, 1);
		all = cost_of(op, m, count + 1) - once;
		report(op->name, by->name, count, all - op->loop * (uint64_t)count);
	}
	vm_expect_no_fault(m->cpu);
	machine_free(m);
}

void
measure_exits(const struct hypervisor *by, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < sizeof(guest_operations) / sizeof(guest_operations[0]); i++)
		measure_guest(&guest_operations[i], by, count);
}
