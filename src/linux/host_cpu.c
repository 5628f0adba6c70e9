// SPDX-License-Identifier: ISC
/*
 * host_cpu.c - CPUs: scheduling, kicks, and virtualisation on and off through
 * hotplug, suspend and reboot.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>

#include "host.h"
#include "compat.h"
#include "host_emergency.h"

unsigned int
host_cpu_limit(void)
{
	return nr_cpu_ids;
}

unsigned int
host_cpu(void)
{
	return raw_smp_processor_id();
}

void
host_preempt_disable(void)
{
	preempt_disable();
	/* Copies from user space find a page or fail. */
	pagefault_disable();
}

void
host_preempt_enable(void)
{
	pagefault_enable();
	preempt_enable();
}

void
host_irq_disable(void)
{
	local_irq_disable();
}

void
host_irq_enable(void)
{
	local_irq_enable();
}

bool
host_signal_pending(void)
{
	return signal_pending(current);
}

bool
host_resched_pending(void)
{
	return compat_need_resched();
}

void
host_resched(void)
{
	might_sleep();
	if (compat_need_resched())
		schedule();
}

/* --- On and off ---------------------------------------------------------- */

static int (*cpus_on)(void);
static void (*cpus_off)(void);
static enum cpuhp_state cpus_state;
static bool cpus_rebooting;
/* Written on its own CPU only. */
static DEFINE_PER_CPU(bool, cpu_is_on);

/*
 * With interrupts off, it ends before reboot_off() comes to this CPU, or sees
 * that it is on its way.
 */
static int
cpu_on(void)
{
	unsigned long flags;
	int r = 0;

	local_irq_save(flags);
	if (!__this_cpu_read(cpu_is_on)) {
		r = READ_ONCE(cpus_rebooting) ? -EBUSY : cpus_on();
		__this_cpu_write(cpu_is_on, r == 0);
	}
	local_irq_restore(flags);
	return r;
}

/* A CPU that is unplugged comes here with interrupts on. */
static void
cpu_off(void)
{
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_read(cpu_is_on)) {
		__this_cpu_write(cpu_is_on, false);
		cpus_off();
	}
	local_irq_restore(flags);
}

/*
 * Hotplug calls these on the CPU concerned. A CPU that goes has been closed
 * to user threads by then, but the one that was running may be back for as
 * long as it takes the scheduler to push it away: its need_resched is set.
 */
static int
hotplug_up(unsigned int cpu)
{
	return cpu_on();
}

static int
hotplug_down(unsigned int cpu)
{
	cpu_off();
	return 0;
}

/* Suspend and resume of the last CPU; the others are unplugged by then. */
static int
last_cpu_suspend(void)
{
	cpu_off();
	return 0;
}

static void
last_cpu_resume(void)
{
	if (cpu_on())
		host_warn("vmm: no virtualisation after suspend\n");
}

static struct syscore_ops last_cpu_ops = {
	.suspend = last_cpu_suspend,
	.resume = last_cpu_resume,
};

static void
reboot_off(void *unused)
{
	cpu_off();
}

/* Firmware and the next kernel expect virtualisation to be off. */
static int
reboot_notify(struct notifier_block *nb, unsigned long event, void *unused)
{
	WRITE_ONCE(cpus_rebooting, true);
	on_each_cpu(reboot_off, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = {
	.notifier_call = reboot_notify,
	.priority = 0,
};

int
host_cpus_enable(int (*on)(void), void (*off)(void))
{
	int r;

	cpus_on = on;
	cpus_off = off;
	r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/vmm:online",
	    hotplug_up, hotplug_down);
	if (r < 0)
		return r;
	cpus_state = r;
	register_syscore_ops(&last_cpu_ops);
	return 0;
}

void
host_cpus_disable(void)
{
	unregister_syscore_ops(&last_cpu_ops);
	cpuhp_remove_state(cpus_state);
}

int
host_cpus_attach(void (*emergency)(void))
{
	int r;

	r = register_reboot_notifier(&reboot_notifier);
	if (r)
		return r;
	r = emergency_start(emergency);
	if (r)
		unregister_reboot_notifier(&reboot_notifier);
	return r;
}

void
host_cpus_detach(void)
{
	emergency_stop();
	unregister_reboot_notifier(&reboot_notifier);
}

/* --- Kicks --------------------------------------------------------------- */

/*
 * Any interrupt makes a guest exit; the rescheduling one costs the host the
 * least and has no payload.
 */
void
host_kick(unsigned int cpu)
{
	unsigned int self = get_cpu();

	if (cpu != self && cpu < nr_cpu_ids && cpu_online(cpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

void
host_interrupt_self(void)
{
	smp_send_reschedule(smp_processor_id());
}

struct host_cpuset {
	struct cpumask mask;
};

struct host_cpuset *
host_cpuset_alloc(void)
{
	return kzalloc(max_t(size_t, cpumask_size(), sizeof(long)),
	    GFP_KERNEL_ACCOUNT);
}

void
host_cpuset_free(struct host_cpuset *s)
{
	kfree(s);
}

void
host_cpuset_clear(struct host_cpuset *s)
{
	cpumask_clear(&s->mask);
}

void
host_cpuset_add(struct host_cpuset *s, unsigned int cpu)
{
	if (cpu < nr_cpu_ids)
		__cpumask_set_cpu(cpu, &s->mask);
}

static void
kick_ack(void *unused)
{
	/* To run this, the CPU has left the guest. */
}

void
host_cpuset_kick_wait(struct host_cpuset *s)
{
	preempt_disable();
	smp_call_function_many(&s->mask, kick_ack, NULL, true);
	preempt_enable();
}
