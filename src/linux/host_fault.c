// SPDX-License-Identifier: ISC
/*
 * host_fault.c - page faults that have to wait, made by a worker.
 *
 * The thread that wants the page sleeps so that any signal and any kick wake it
 * up. The worker sleeps in the fault as faults do: until the page is there, or
 * SIGKILL. So it gets one when nobody waits any longer. Where the kernel does
 * not listen even to that (a FUSE server has the request already), it goes on
 * sleeping, and keeps its vCPU, and with it the VM, until that is over.
 */
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "host.h"
#include "host_watch.h"
#include "host_work.h"

struct host_fault {
	wait_queue_head_t wait;
	struct work_struct work;
	bool busy;		/* the worker clears it, with a release */

	/* What to do; while busy. */
	struct mm_struct *mm;	/* with its mappings: mmget() */
	unsigned long at;
	bool write;
	const struct host_fault_user *user;
	void *arg;
	int result;

	spinlock_t lock;
	struct task_struct *worker;	/* lock; in the fault */
	bool given_up;			/* lock */
};

static bool
worker_begin(struct host_fault *f)
{
	bool given_up;

	allow_signal(SIGKILL);
	spin_lock(&f->lock);
	f->worker = current;
	given_up = f->given_up;
	spin_unlock(&f->lock);
	return !given_up;
}

/* No signal comes after this, and none is left: the thread has other work. */
static void
worker_end(struct host_fault *f)
{
	spin_lock(&f->lock);
	f->worker = NULL;
	spin_unlock(&f->lock);
	disallow_signal(SIGKILL);
}

/* In the creator's address space, so that its memory control group pays. */
static void
fault_work(struct work_struct *work)
{
	struct host_fault *f = container_of(work, struct host_fault, work);
	const struct host_fault_user *user = f->user;
	struct mm_struct *mm = f->mm;
	void *arg = f->arg;

	if (worker_begin(f)) {
		kthread_use_mm(mm);
		f->result = watch_fault_in(mm, f->at, f->write);
		kthread_unuse_mm(mm);
	}
	worker_end(f);
	mmput(mm);
	smp_store_release(&f->busy, false);
	wake_up(&f->wait);
	user->release(arg);
}

struct host_fault *
host_fault_alloc(void)
{
	struct host_fault *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return NULL;
	init_waitqueue_head(&f->wait);
	spin_lock_init(&f->lock);
	INIT_WORK(&f->work, fault_work);
	return f;
}

void
host_fault_free(struct host_fault *f)
{
	kfree(f);
}

static void
fault_begin(struct host_fault *f, uint64_t hva, bool write,
    const struct host_fault_user *user, void *arg)
{
	f->busy = true;
	f->given_up = false;
	f->result = 0;
	f->mm = current->mm;
	f->at = hva;
	f->write = write;
	f->user = user;
	f->arg = arg;
	mmget(f->mm);
	user->hold(arg);
	queue_work(host_fault_queue, &f->work);
}

static void
fault_give_up(struct host_fault *f)
{
	spin_lock(&f->lock);
	f->given_up = true;
	if (f->worker)
		send_sig(SIGKILL, f->worker, 1);
	spin_unlock(&f->lock);
}

static bool
fault_over(struct host_fault *f)
{
	return !smp_load_acquire(&f->busy);
}

/* Until the fault is over. -EINTR: it is not. */
static int
fault_sleep(struct host_fault *f, const struct host_fault_user *user, void *arg)
{
	int r;

	r = wait_event_interruptible(f->wait, fault_over(f) || user->leave(arg));
	if (r)
		return -EINTR;
	return fault_over(f) ? 0 : -EINTR;
}

int
host_fault_wait(struct host_fault *f, uint64_t hva, bool write,
    const struct host_fault_user *user, void *arg)
{
	int r;

	might_sleep();
	/* The last one may have been given up, and not be over. */
	r = fault_sleep(f, user, arg);
	if (r)
		return r;
	fault_begin(f, hva, write, user, arg);
	r = fault_sleep(f, user, arg);
	if (r) {
		fault_give_up(f);
		return r;
	}
	return f->result;
}

void
host_fault_wake(struct host_fault *f)
{
	wake_up(&f->wait);
}
