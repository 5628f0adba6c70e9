/* SPDX-License-Identifier: ISC */
/*
 * host_os.h - the types that host.h builds on, in user space.
 *
 * What the fake host can be told to do is in host_user.h.
 */
#ifndef HOST_OS_H
#define HOST_OS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Everybody listens to trace events. */
#define host_tracing(event)	true

/* Others come between here: host_user.on_sync(). */
#define sync_point(at)		host_user_sync(at)
void	host_user_sync(int at);

/* owner is the number of the thread inside, 0: nobody (atomic). */
struct host_mutex {
	pthread_mutex_t	m;
	uint32_t	owner;
	uint32_t	magic;
	bool		reclaim;	/* taken by an invalidation: no allocation under it */
};

struct host_spinlock {
	pthread_mutex_t	m;
	uint32_t	owner;
	uint32_t	magic;
};

struct host_work {
	struct host_work *next;
	void (*fn)(void *arg);
	void *arg;
};

#endif /* HOST_OS_H */
