/* SPDX-License-Identifier: ISC */
/*
 * smp.c - an interrupt for a guest that runs on another CPU: from the client's
 * decision to the guest's handler.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <x86intrin.h>
#include "operations.h"

#define ROUNDS	1000u
#define VECTOR	0x50u

struct interrupted {
	struct machine *m;
	atomic_bool wanted;	/* there is an interrupt for the guest */
};

static void
stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
}

/* The vCPU's thread: what a client does with an interrupt, until the guest ends. */
static void *
run_guest(void *p)
{
	struct interrupted *i = p;
	struct machine *m = i->m;
	unsigned int vector = NO_IRQ;

	stay_on(1);
	while (m->by->run(m, vector) != STOP_HLT) {
		vector = NO_IRQ;
		if (!atomic_load(&i->wanted))
			continue;
		if (m->by->ready(m)) {
			atomic_store(&i->wanted, false);
			vector = VECTOR;
		}
		m->by->want_window(m, vector == NO_IRQ);
	}
	return NULL;
}

void
measure_smp(const struct hypervisor *by)
{
	struct machine *m = machine_new(by, VM_SIZE);
	struct interrupted i = { .m = m };
	volatile uint64_t *irqs = &m->cpu->mb->irqs;
	uint64_t start, before, cost = 0;
	unsigned int n;

	stay_on(0);
	vm_call_start(m->cpu, g_long_spin, 0, 0, 0, 0);
	CHECK_EQ(pthread_create(&m->thread, NULL, run_guest, &i), 0);
	runner_wait_busy(m->cpu);
	for (n = 0; n < ROUNDS; n++) {
		before = *irqs;
		start = __rdtsc();
		atomic_store(&i.wanted, true);
		by->kick(m);
		while (*irqs == before)
			_mm_pause();
		cost += __rdtsc() - start;
		/* The next one is for a guest that has run for a while. */
		runner_wait_busy(m->cpu);
	}
	report("interrupt from another CPU", by->name, ROUNDS, cost);
	m->cpu->mb->stop = 1;
	CHECK_EQ(pthread_join(m->thread, NULL), 0);
	vm_expect_no_fault(m->cpu);
	machine_free(m);
}
