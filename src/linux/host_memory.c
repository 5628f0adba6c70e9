// SPDX-License-Identifier: ISC
/*
 * host_memory.c - the kernel memory of VMs, charged to whoever asks for it.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/mem_encrypt.h>

#include "host.h"

/*
 * No warning on failure: the size of most requests is the caller's wish.
 * No victim for it either: who asks for a VM that does not fit into the
 * machine or the control group gets -ENOMEM, and the OOM killer sleeps on.
 */
#define ALLOC_FLAGS	(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | \
			 __GFP_RETRY_MAYFAIL)

void *
host_alloc(size_t size)
{
	return kvmalloc(size, ALLOC_FLAGS);
}

void
host_free(void *p)
{
	kvfree(p);
}

void *
host_page_alloc(unsigned int order)
{
	return (void *)__get_free_pages(ALLOC_FLAGS, order);
}

void
host_page_free(void *va, unsigned int order)
{
	free_pages((unsigned long)va, order);
}

uint64_t
host_va_to_pa(const void *va)
{
	return __sme_pa(va);
}

void *
host_pa_to_va(uint64_t pa)
{
	return __va(__sme_clr(pa));
}
