// SPDX-License-Identifier: ISC
/*
 * vmmplant.c - one planted mistake for each checker of the debug kernel.
 *
 * Write the name of a mistake to /sys/kernel/debug/vmmplant and it is made; the
 * file lists the names. The console has a line before and one behind each, with
 * what its checker says in between. The order matters: lockdep is off after its
 * first report and after KASAN's, and what RCU protects is known by lockdep; the last
 * ones kill the task that wrote.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/page_table_check.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

/* Nothing here may be optimised away, nor seen through. */
static volatile unsigned int zero;
static volatile unsigned long sink;

static void
plant_warn(void)
{
	WARN_ON(zero == 0);
}

/* --- KASAN --------------------------------------------------------------------- */

static void
plant_use_after_free(void)
{
	volatile unsigned long *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return;
	kfree((void *)p);
	OPTIMIZER_HIDE_VAR(p);
	sink = p[1];
}

static void
plant_stack_overrun(void)
{
	volatile char buf[16] = { 0 };

	sink = *(buf + sizeof(buf) + zero);
}

static void
plant_vmalloc_overrun(void)
{
	volatile char *p = vmalloc(PAGE_SIZE - 64);

	if (!p)
		return;
	sink = p[PAGE_SIZE - 64 + zero];
	vfree((void *)p);
}

/* --- UBSAN --------------------------------------------------------------------- */

static void
plant_shift(void)
{
	sink = 1u << (32 + zero);
}

static void
plant_index(void)
{
	static int table[4];
	unsigned int i = 4 + zero;

	OPTIMIZER_HIDE_VAR(i);
	sink = (unsigned long)&table[i];
	table[i % 4] = table[i] & 1;
}

/* --- Lists and objects --------------------------------------------------------- */

static void
plant_list_add(void)
{
	LIST_HEAD(list);
	LIST_HEAD(other);
	struct list_head entry;

	list.next = &other;
	list_add(&entry, &list);
}

static void
plant_list_del(void)
{
	LIST_HEAD(list);
	struct list_head entry;

	list_add(&entry, &list);
	list_del(&entry);
	list_del(&entry);
}

static void
never(struct timer_list *timer)
{
}

static void
plant_timer_freed(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, never, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
}

static void
no_work(struct work_struct *work)
{
}

static void
plant_work_freed(void)
{
	struct delayed_work *work = kmalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return;
	INIT_DELAYED_WORK(work, no_work);
	schedule_delayed_work(work, 1000 * HZ);
	kfree(work);
}

/* --- Memory -------------------------------------------------------------------- */

/* Behind KASAN's back: what pages of the allocator hold is checked, too. */
static void
plant_free_page_written(void)
{
	unsigned long va;

	va = __get_free_page(GFP_KERNEL);
	if (!va)
		return;
	free_page(va);
	asm volatile("movb $0x55, 100(%0)" : : "r"(va) : "memory");
	/* The page that was freed last is the first to be given out. */
	va = __get_free_page(GFP_KERNEL);
	if (va)
		free_page(va);
}

static void
plant_leak(void)
{
	sink = (unsigned long)kmalloc(200, GFP_KERNEL) & 1;
}

static void
plant_page_freed_twice(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return;
	put_page(page);
	put_page(page);
}

/* A mapping goes that never came. */
static void
plant_page_table(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (page)
		page_table_check_pte_clear(current->mm, PAGE_SIZE,
		    mk_pte(page, PAGE_SHARED));
}

/* --- Context, RCU, locks ------------------------------------------------------- */

static DEFINE_SPINLOCK(spin);
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void
plant_sleep_in_atomic(void)
{
	spin_lock(&spin);
	mutex_lock(&first);
	mutex_unlock(&first);
	spin_unlock(&spin);
}

static void
plant_which_cpu(void)
{
	sink = smp_processor_id();
}

static void
plant_rcu(void)
{
	static int __rcu *pointer;

	sink = (unsigned long)rcu_dereference(pointer);
}

static void
plant_lock_order(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/* --- Watchdogs ----------------------------------------------------------------- */

/* Whoever plants these sets the watchdogs to a second or three before. */
static void
plant_hung_task(void)
{
	schedule_timeout_uninterruptible(8 * HZ);
}

/* Time is the emulator's. */
static void
plant_stall(void)
{
	u64 end = ktime_get_mono_fast_ns() + 10 * NSEC_PER_SEC;

	preempt_disable();
	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
	preempt_enable();
}

/* --- By name ------------------------------------------------------------------- */

static const struct plant {
	const char *name;
	void	(*make)(void);
} plants[] = {
	{ "warn", plant_warn },
	{ "rcu", plant_rcu },
	{ "lock_order", plant_lock_order },
	{ "use_after_free", plant_use_after_free },
	{ "stack_overrun", plant_stack_overrun },
	{ "vmalloc_overrun", plant_vmalloc_overrun },
	{ "shift", plant_shift },
	{ "index", plant_index },
	{ "list_add", plant_list_add },
	{ "list_del", plant_list_del },
	{ "timer_freed", plant_timer_freed },
	{ "work_freed", plant_work_freed },
	{ "free_page_written", plant_free_page_written },
	{ "leak", plant_leak },
	{ "sleep_in_atomic", plant_sleep_in_atomic },
	{ "which_cpu", plant_which_cpu },
	{ "hung_task", plant_hung_task },
	{ "stall", plant_stall },
	{ "page_freed_twice", plant_page_freed_twice },
	{ "page_table", plant_page_table },
};

static ssize_t
plant_write(struct file *file, const char __user *user, size_t len, loff_t *at)
{
	char name[32] = { 0 };
	unsigned int i;

	if (len >= sizeof(name) || copy_from_user(name, user, len))
		return -EINVAL;
	strim(name);
	for (i = 0; i < ARRAY_SIZE(plants); i++)
		if (strcmp(plants[i].name, name) == 0) {
			plants[i].make();
			return len;
		}
	return -ENOENT;
}

static ssize_t
plant_read(struct file *file, char __user *user, size_t len, loff_t *at)
{
	char text[512];
	unsigned int i;
	int n = 0;

	for (i = 0; i < ARRAY_SIZE(plants); i++)
		n += scnprintf(text + n, sizeof(text) - n, "%s\n", plants[i].name);
	return simple_read_from_buffer(user, len, at, text, n);
}

static const struct file_operations plant_fops = {
	.owner = THIS_MODULE,
	.read = plant_read,
	.write = plant_write,
};

static struct dentry *entry;

static int __init
plant_load(void)
{
	entry = debugfs_create_file("vmmplant", 0600, NULL, NULL, &plant_fops);
	return PTR_ERR_OR_ZERO(entry);
}

static void __exit
plant_unload(void)
{
	debugfs_remove(entry);
}

module_init(plant_load);
module_exit(plant_unload);

MODULE_DESCRIPTION("mistakes, to see that a debug kernel reports them");
MODULE_AUTHOR("the vmm project");
MODULE_LICENSE("Dual BSD/GPL");
