/* SPDX-License-Identifier: ISC */
/* memory.c - what the first access of a guest to its memory costs. */
#include <sys/mman.h>
#include <x86intrin.h>
#include "operations.h"
#include "trace.h"

#define LARGE_PAGE	(2 * MB)
#define START		(16 * MB)	/* below it are code and tables */
#define MEMORY		(288 * MB)
#define LARGE_COUNT	128u
#define LOOP		4u		/* instructions of guest_store that are the loop's */
/* When tracing, pages this far apart: each brings its own work. */
#define TRACE_STEP	(128 * KB)

extern const char guest_store[];

static void
host_touch(struct machine *m, uint64_t step, unsigned int pages)
{
	unsigned int i;

	for (i = 0; i < pages; i++)
		m->vm->mem[START + i * step] = 1;
}

static uint64_t
guest_touch(struct machine *m, uint64_t step, unsigned int pages)
{
	uint64_t start;

	vm_call_start(m->cpu, machine_function(guest_store), pages, START, step, 0);
	start = __rdtsc();
	machine_until_hlt(m);
	return __rdtsc() - start;
}

static void
touch(const char *name, const struct hypervisor *by, bool large, bool present, bool tracing)
{
	uint64_t step = large ? LARGE_PAGE : tracing ? TRACE_STEP : PAGE;
	unsigned int pages = tracing ? TRACE_ROUNDS : large ? LARGE_COUNT : COUNT;
	struct machine *m = machine_new(by, MEMORY);

	/* Before the VM may use the memory; where it differs from the host's setting. */
	CHECK_OK(madvise(m->vm->mem + START, MEMORY - START,
	    large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	if (present)
		host_touch(m, step, pages);
	/* The first round starts the guest: it is not among the pages. */
	vm_call_start(m->cpu, g_long_nop, 0, 0, 0, 0);
	machine_until_hlt(m);
	report(name, by->name, pages, guest_touch(m, step, pages) - LOOP * (uint64_t)pages);
	vm_expect_no_fault(m->cpu);
	machine_free(m);
}

void
measure_memory(const struct hypervisor *by, bool tracing)
{
	touch("first touch, page present", by, false, true, tracing);
	touch("first touch, page absent", by, false, false, tracing);
	touch("first touch, 2 MiB present", by, true, true, tracing);
}
