// SPDX-License-Identifier: ISC
/*
 * host_work.c - calls for later, on the kernel's own worker threads.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#include "host.h"
#include "host_work.h"

static_assert(sizeof(struct work_struct) <=
    sizeof_field(struct host_work, kernel));
static_assert(__alignof__(struct work_struct) <= __alignof__(struct host_work));

/*
 * Of our own, so that the module can wait for all of it. Two, as a fault may
 * last for ever.
 */
static struct workqueue_struct *queue;
struct workqueue_struct *host_fault_queue;

int
host_work_start(void)
{
	queue = alloc_workqueue("vmm", WQ_UNBOUND, 0);
	if (!queue)
		return -ENOMEM;
	/* As many at a time as a kernel allows: not fewer than there are vCPUs. */
	host_fault_queue = alloc_workqueue("vmm_fault", WQ_UNBOUND,
	    WQ_UNBOUND_MAX_ACTIVE);
	if (!host_fault_queue) {
		destroy_workqueue(queue);
		return -ENOMEM;
	}
	return 0;
}

/* The end of a fault may put work into the other queue. */
void
host_work_stop(void)
{
	destroy_workqueue(host_fault_queue);
	destroy_workqueue(queue);
}

/*
 * Who lets go of the module is in a system call on its file, for which that is
 * kept, or on one of these queues, which it empties before its text goes.
 */
void
host_keep_driver(void)
{
	__module_get(THIS_MODULE);
}

void
host_let_driver_go(void)
{
	module_put(THIS_MODULE);
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
	flush_workqueue(host_fault_queue);
	flush_workqueue(queue);
}
