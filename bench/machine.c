/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "machine.h"

extern const char bench_guest[], bench_guest_end[];

uint64_t
machine_function(const char *function)
{
	return GUEST_CODE + (uint64_t)(function - bench_guest);
}

struct machine *
machine_new(const struct hypervisor *by, uint64_t size)
{
	struct machine *m = calloc(1, sizeof(*m));

	CHECK(m != NULL);
	m->by = by;
	m->vm = vm_prepare(1, size, 0);
	m->cpu = &m->vm->cpu[0];
	memcpy(m->vm->mem + GUEST_CODE, bench_guest, (size_t)(bench_guest_end - bench_guest));
	by->create(m);
	return m;
}

void
machine_free(struct machine *m)
{
	m->by->destroy(m);
	vm_free(m->vm);
	free(m);
}
