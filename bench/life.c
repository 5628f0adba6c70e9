/* SPDX-License-Identifier: ISC */
/* life.c - what a VM costs as a whole. */
#include <stdlib.h>
#include <x86intrin.h>
#include "busy.h"
#include "operations.h"
#include "trace.h"

#define CREATE_COUNT	100u
#define MANY		512u		/* VMs at most: VMM_MAX_VCPUS */
#define SCALE_COUNT	1000u
#define INFO_COUNT	10u
#define NEW_COUNT	7u		/* they differ by what the allocator has in stock */

extern const char guest_cpuid[], guest_out[];

/* --- Creation and end ------------------------------------------------------------ */

static void
first_exit(struct machine *m)
{
	vm_call_start(m->cpu, g_long_nop, 0, 0, 0, 0);
	machine_until_hlt(m);
}

static void
measure_creation(const struct hypervisor *by, bool tracing)
{
	unsigned int i, count = tracing ? TRACE_ROUNDS : CREATE_COUNT;
	struct machine *first = machine_new(by, VM_SIZE), *m[CREATE_COUNT];
	uint64_t start;

	first_exit(first);
	start = busy_now();
	for (i = 0; i < count; i++) {
		MARK();
		m[i] = machine_beside(first);
		first_exit(m[i]);
	}
	report("create to first exit", by->name, count, busy_since(start));
	start = busy_now();
	for (i = 0; i < count; i++) {
		MARK();
		machine_free_beside(m[i]);
	}
	report("terminate", by->name, count, busy_since(start));
	machine_free(first);
}

/* --- Registers --------------------------------------------------------------------- */

static void
measure_registers(const struct hypervisor *by, bool tracing)
{
	unsigned int i, count = tracing ? TRACE_ROUNDS : COUNT;
	struct machine *m = machine_new(by, VM_SIZE);
	uint64_t start;

	first_exit(m);
	start = __rdtsc();
	for (i = 0; i < count; i++) {
		MARK();
		by->read_registers(m);
	}
	report("READREGS", by->name, count, __rdtsc() - start);
	start = __rdtsc();
	for (i = 0; i < count; i++) {
		MARK();
		by->write_registers(m);
	}
	report("WRITEREGS", by->name, count, __rdtsc() - start);
	machine_free(m);
}

void
measure_life(const struct hypervisor *by, bool tracing)
{
	measure_creation(by, tracing);
	measure_registers(by, tracing);
}

/* --- Many VMs ------------------------------------------------------------------------ */

static void
report_at(const char *operation, const struct hypervisor *by, unsigned int vms, uint64_t count,
    uint64_t cost)
{
	char name[64];

	snprintf(name, sizeof(name), "%s @%u", operation, vms);
	report(name, by->name, count, cost);
}

static void
measure_among(struct machine *m, unsigned int vms)
{
	const struct {
		const char *name, *function;
	} exits[] = { { "CPUID", guest_cpuid }, { "OUT", guest_out } };
	uint64_t start, i;

	for (i = 0; i < 2; i++) {
		vm_call_start(m->cpu, machine_function(exits[i].function), SCALE_COUNT, 0, 0, 0);
		start = __rdtsc();
		machine_until_hlt(m);
		report_at(exits[i].name, m->by, vms, SCALE_COUNT, __rdtsc() - start);
	}
	if (m->by->list == NULL)
		return;
	start = __rdtsc();
	for (i = 0; i < INFO_COUNT; i++)
		CHECK_EQ(m->by->list(m), vms);
	report_at("INFO", m->by, vms, INFO_COUNT, __rdtsc() - start);
}

/* In bytes, of the kernel: the guests have one memory. */
static uint64_t
memory_used(void)
{
	return (uint64_t)(meminfo("MemTotal:") - meminfo("MemFree:")) * KB;
}

void
measure_scale(const struct hypervisor *by)
{
	static const unsigned int steps[] = { 1, 8, 64, MANY };
	static struct machine *m[MANY];
	uint64_t start, used, cost;
	unsigned int i, n = 1;

	m[0] = machine_new(by, VM_SIZE);
	first_exit(m[0]);
	measure_among(m[0], 1);
	used = memory_used();
	for (i = 1; i < sizeof(steps) / sizeof(steps[0]); i++) {
		/* The last ones are what creation costs now. */
		for (start = 0; n < steps[i]; n++) {
			if (n == steps[i] - NEW_COUNT)
				start = busy_now();
			m[n] = machine_beside(m[0]);
			first_exit(m[n]);
		}
		cost = busy_since(start);
		report_at("create to first exit", by, n, NEW_COUNT, cost);
		measure_among(m[0], n);
	}
	/* What the kernel keeps in stock does not show in few of them. */
	report("memory of an idle VM, bytes", by->name, n - 1, memory_used() - used);
	while (n > 1)
		machine_free_beside(m[--n]);
	machine_free(m[0]);
}
