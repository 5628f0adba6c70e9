/* SPDX-License-Identifier: ISC */
/*
 * memory.h - guest-physical memory: ranges of the creator's address space,
 * their protections, and the faults that bring pages into the second stage.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include "vm.h"

/*
 * Take the ranges over and start watching them; the caller has validated
 * them (vm_create_params order). The VM must be zeroed; memory_unwatch() and
 * memory_fini() follow whatever happens. -ENOMEM, -EINVAL. May sleep.
 */
int	memory_init(struct vm *vm, const struct vm_mem_range *range,
	    unsigned int n);
/*
 * Stop watching: the host calls neither mem_invalidate() nor mem_owner_gone()
 * for this VM once this has returned. Until then both may come, and the first
 * one looks at each vCPU. May sleep.
 */
void	memory_unwatch(struct vm *vm);
/* Free tables; nothing is watched and no vCPU runs any more. May sleep. */
void	memory_fini(struct vm *vm);

/* The range that holds gpa, or NULL. */
const struct vm_range *memory_range(const struct vm *vm, uint64_t gpa);

/* Bytes of second-stage leaves and tables (vir_used_size). */
uint64_t memory_used(struct vm *vm);

enum memory_fault {
	MEMORY_FAULT_MAPPED,	/* handled: enter again */
	MEMORY_FAULT_MMIO,	/* no memory there: the client emulates */
	/*
	 * Refused: by MPROTECT_EPT, or because the creator's own mapping does
	 * not allow it (unmapped, read-only, device memory).
	 */
	MEMORY_FAULT_PROTECT,
};
/*
 * A second-stage fault at gpa wanting `access` (STAGE2_* bits). Brings the
 * page in, with its neighbours or as the 2 MiB or 1 GiB that the host has.
 * Returns enum memory_fault, or -ENOMEM, -EINTR. May sleep.
 */
int	memory_fault(struct vcpu *v, uint64_t gpa, unsigned int access);

/*
 * Protect [gpa, gpa + size), validated; returns when no CPU can use an older
 * right. Holes between ranges are passed over. Reading is always allowed, but
 * for STAGE2_X alone on a CPU that has execute-only pages. -ENOMEM (nothing
 * changed). May sleep.
 */
int	memory_protect(struct vm *vm, uint64_t gpa, uint64_t size,
	    unsigned int prot);

/*
 * The driver's own access to guest-physical memory; may cross pages but not
 * leave the ranges. Honours MPROTECT_EPT. -EFAULT; a write that leaves the
 * ranges or is refused has changed nothing. On the vCPU's own thread, in the
 * creator's address space. A page that is not there is brought in, which may
 * sleep; -EINTR: RUN is to return first, and part may have been written. During
 * a stay in the guest (v->loaded) nothing sleeps, and -EFAULT also stands for a
 * page that would have to be brought in.
 */
int	memory_read(struct vcpu *v, uint64_t gpa, void *buf, size_t len);
int	memory_write(struct vcpu *v, uint64_t gpa, const void *buf, size_t len);
/* Between these, copies do not sleep; as they do not during a stay anyway. */
static inline void
memory_faults_off(const struct vcpu *v)
{
	if (!v->loaded)
		host_faults_off();
}

static inline void
memory_faults_on(const struct vcpu *v)
{
	if (!v->loaded)
		host_faults_on();
}

/*
 * Where the creator has gpa, and with it the rest of that page, if this access
 * (STAGE2_* bits) is allowed there; for copies of a few words. The place stays
 * true as long as the VM lives: ranges do not move. access 0 asks for no right,
 * and is for the instruction that the CPU itself has fetched. -EFAULT.
 */
int	memory_place(const struct vm *vm, uint64_t gpa, unsigned int access,
	    uint64_t *addr);
/* memory_get() and memory_put() outside a stay, where a page may be waited for. */
int	memory_get_waiting(struct vcpu *v, void *to, uint64_t addr, size_t len);
int	memory_put_waiting(struct vcpu *v, uint64_t addr, const void *from,
	    size_t len);
/* Copies of a few words at a place; otherwise as memory_read() and _write(). */
static inline int
memory_get(struct vcpu *v, void *to, uint64_t addr, size_t len)
{
	return v->loaded ? host_copy_in_few(to, addr, len) :
	    memory_get_waiting(v, to, addr, len);
}

static inline int
memory_put(struct vcpu *v, uint64_t addr, const void *from, size_t len)
{
	return v->loaded ? host_copy_out_few(addr, from, len) :
	    memory_put_waiting(v, addr, from, len);
}

/* As host_cmpxchg_user(), on guest-physical memory; errors as above, too. */
int	memory_cmpxchg(struct vcpu *v, uint64_t gpa, unsigned int size,
	    uint64_t *old, uint64_t new);

#endif /* CORE_MEMORY_H */
