// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <machine/vmmvar.h>

#include "ram.h"

int ram_init(struct ram *r, uint64_t size, struct err *e)
{
	void *base;

	memset(r, 0, sizeof(*r));
	if (size < MIB || size % MIB)
		return err_set(e, "%llu bytes are no memory size: give -m a multiple of 1M",
			       (unsigned long long)size);
	r->low = size < VMM_PCI_MMIO_BAR_BASE ? size : VMM_PCI_MMIO_BAR_BASE;
	r->high = size - r->low;
	if (r->high > VMM_MAX_VM_MEM_SIZE - RAM_HIGH_BASE)
		return err_set(e, "%lluM are more than a VM can have: give -m %lluM at most",
			       (unsigned long long)(size / MIB),
			       (unsigned long long)((VMM_MAX_VM_MEM_SIZE - RAM_HIGH_BASE +
						     VMM_PCI_MMIO_BAR_BASE) / MIB));
	base = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return err_set(e, "the host has no %lluM for the guest (%s): give -m less",
			       (unsigned long long)(size / MIB), strerror(errno));
	/* A host without huge pages runs the guest all the same. */
	(void)madvise(base, size, MADV_HUGEPAGE);
	/* A child would get a copy of the guest, which nobody wants. */
	(void)madvise(base, size, MADV_DONTFORK);
	r->base = base;
	return 0;
}

int ram_clear(struct ram *r, struct err *e)
{
	if (madvise(r->base, r->low + r->high, MADV_DONTNEED) != 0)
		return err_set(e, "the guest's memory can not be cleared: %s", strerror(errno));
	return 0;
}

void ram_free(struct ram *r)
{
	if (r->base)
		munmap(r->base, r->low + r->high);
	memset(r, 0, sizeof(*r));
}

void *ram_at(const struct ram *r, uint64_t gpa, uint64_t len)
{
	if (range_fits(gpa, len, r->low))
		return r->base + gpa;
	if (gpa >= RAM_HIGH_BASE && range_fits(gpa - RAM_HIGH_BASE, len, r->high))
		return r->base + r->low + (gpa - RAM_HIGH_BASE);
	return NULL;
}
