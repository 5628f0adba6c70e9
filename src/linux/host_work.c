// SPDX-License-Identifier: ISC
/*
 * host_work.c - calls for later, on the kernel's own worker threads.
 */
#include <linux/kernel.h>
#include <linux/workqueue.h>

#include "host.h"
#include "host_work.h"

static_assert(sizeof(struct work_struct) <=
    sizeof_field(struct host_work, kernel));
static_assert(__alignof__(struct work_struct) <= __alignof__(struct host_work));

/* Of our own, so that the module can wait for all of it. */
static struct workqueue_struct *queue;

int
host_work_start(void)
{
	queue = alloc_workqueue("vmm", WQ_UNBOUND, 0);
	return queue ? 0 : -ENOMEM;
}

void
host_work_stop(void)
{
	destroy_workqueue(queue);
}

static void
work_run(struct work_struct *work)
{
	struct host_work *w = container_of((void *)work, struct host_work,
	    kernel);

	w->fn(w->arg);
}

void
host_defer(struct host_work *w, void (*fn)(void *arg), void *arg)
{
	struct work_struct *work = (struct work_struct *)w->kernel;

	w->fn = fn;
	w->arg = arg;
	INIT_WORK(work, work_run);
	queue_work(queue, work);
}

void
host_defer_flush(void)
{
	flush_workqueue(queue);
}
