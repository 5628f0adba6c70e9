// SPDX-License-Identifier: ISC
/*
 * host_lock.c - the core's locks are the kernel's.
 */
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include "host.h"

static_assert(sizeof(struct mutex) <= sizeof(struct host_mutex));
static_assert(sizeof(spinlock_t) <= sizeof(struct host_spinlock));
static_assert(__alignof__(struct mutex) <= __alignof__(struct host_mutex));
static_assert(__alignof__(spinlock_t) <= __alignof__(struct host_spinlock));

static struct mutex *
kernel_mutex(struct host_mutex *m)
{
	return (struct mutex *)m->kernel;
}

static spinlock_t *
kernel_spinlock(struct host_spinlock *s)
{
	return (spinlock_t *)s->kernel;
}

/*
 * The lock checker tells locks apart by where they are made. All are made
 * here, so the key is the place that called: text of a module is as good a
 * key as its data.
 */
noinline void
host_mutex_init(struct host_mutex *m)
{
	__mutex_init(kernel_mutex(m), "vmm", (struct lock_class_key *)_RET_IP_);
}

void
host_mutex_destroy(struct host_mutex *m)
{
	mutex_destroy(kernel_mutex(m));
}

void
host_mutex_lock(struct host_mutex *m)
{
	mutex_lock(kernel_mutex(m));
}

int
host_mutex_lock_interruptible(struct host_mutex *m)
{
	return mutex_lock_interruptible(kernel_mutex(m));
}

bool
host_mutex_trylock(struct host_mutex *m)
{
	return mutex_trylock(kernel_mutex(m));
}

void
host_mutex_unlock(struct host_mutex *m)
{
	mutex_unlock(kernel_mutex(m));
}

void
host_spin_init(struct host_spinlock *s)
{
	spin_lock_init(kernel_spinlock(s));
}

void
host_spin_lock(struct host_spinlock *s)
	__acquires(s)
{
	spin_lock(kernel_spinlock(s));
}

void
host_spin_unlock(struct host_spinlock *s)
	__releases(s)
{
	spin_unlock(kernel_spinlock(s));
}
