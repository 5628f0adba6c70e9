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

struct machine *
machine_beside(const struct machine *m)
{
	struct machine *other = calloc(1, sizeof(*other));
	struct vm *vm = malloc(sizeof(*vm));

	CHECK(other != NULL && vm != NULL);
	*vm = *m->vm;
	vm->cpu[0].vm = vm;
	other->by = m->by;
	other->vm = vm;
	other->cpu = &vm->cpu[0];
	other->by->create(other);
	return other;
}

void
machine_free_beside(struct machine *m)
{
	m->by->destroy(m);
	free(m->vm);
	free(m);
}

void
machine_until_hlt(struct machine *m)
{
	while (m->by->run(m, NO_IRQ) != STOP_HLT)
		continue;
}
