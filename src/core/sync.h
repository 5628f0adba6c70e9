/* SPDX-License-Identifier: ISC */
/*
 * sync.h - loads, stores and read-modify-writes that other threads see.
 *
 * The compiler's own atomics: the same code in the kernel and in the tests,
 * and visible to the thread sanitizer.
 */
#ifndef CORE_SYNC_H
#define CORE_SYNC_H

#include "host_os.h"

#define sync_load(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define sync_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define sync_store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define sync_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define sync_or(p, v)		__atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define sync_add(p, v)		__atomic_add_fetch(p, v, __ATOMIC_SEQ_CST)
#define sync_sub(p, v)		__atomic_sub_fetch(p, v, __ATOMIC_SEQ_CST)
#define sync_exchange(p, v)	__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
/* Add one unless it is zero: a reference to what may be on its way out. */
static inline bool
sync_get(uint32_t *refs)
{
	uint32_t n = sync_load(refs);

	while (n != 0) {
		if (__atomic_compare_exchange_n(refs, &n, n + 1, true,
		    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

/*
 * Where another thread could come between, in the unit tests one does; elsewhere
 * this is nothing.
 */
enum sync_at {
	SYNC_SLOT_NAMED,	/* slot_get() has the id, and no reference yet */
	SYNC_ENTRY,		/* in_guest is about to be set */
};
#ifndef sync_point
#define sync_point(at)		do { } while (0)
#endif

/* Stores before it are seen before stores after it. */
#define sync_stores()		__atomic_thread_fence(__ATOMIC_RELEASE)
/* Full barrier: orders a store before a later load. */
#define sync_full()		__atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif /* CORE_SYNC_H */
