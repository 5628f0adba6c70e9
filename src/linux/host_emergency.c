// SPDX-License-Identifier: ISC
/*
 * host_emergency.c - CPUs that the kernel stops for good (panic, crash kernel,
 * emergency restart) have to leave virtualisation first: VMX operation blocks
 * INIT, and a kernel that clears CR4.VMXE in it dies (SDM 3C 24.8).
 *
 * The kernel has one callback for that, and warns when a second user comes.
 * KVM's modules register theirs when they are loaded, whoever was there
 * before. So it is ours only as long as no module of KVM's is loaded; KVM's
 * function ends VMX operation without asking who has begun it.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>
#include <asm/reboot.h>

#include "compat.h"
#include "host_emergency.h"

#ifdef COMPAT_EMERGENCY_CALLBACK

static const char *const kvm_names[] = { "kvm_intel", "kvm_amd" };

static DEFINE_MUTEX(callback_lock);
static cpu_emergency_virt_cb *callback;
static bool callback_is_ours;			/* callback_lock */
static bool kvm_is_loaded[ARRAY_SIZE(kvm_names)];	/* callback_lock */

/* Take the callback, or give it up, as KVM's modules come and go. */
static void
callback_update(bool wanted)
{
	unsigned int i;

	lockdep_assert_held(&callback_lock);
	for (i = 0; i < ARRAY_SIZE(kvm_names); i++)
		wanted &= !kvm_is_loaded[i];
	if (wanted == callback_is_ours)
		return;
	if (wanted)
		cpu_emergency_register_virt_callback(callback);
	else
		cpu_emergency_unregister_virt_callback(callback);
	callback_is_ours = wanted;
}

/* Before a module's init(), after its exit(), and after an init() that failed. */
static int
module_changes(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *module = data;
	int i;

	if (state != MODULE_STATE_COMING && state != MODULE_STATE_GOING)
		return NOTIFY_DONE;
	i = match_string(kvm_names, ARRAY_SIZE(kvm_names), module->name);
	if (i < 0)
		return NOTIFY_DONE;
	mutex_lock(&callback_lock);
	kvm_is_loaded[i] = state == MODULE_STATE_COMING;
	callback_update(true);
	mutex_unlock(&callback_lock);
	return NOTIFY_OK;
}

static struct notifier_block module_notifier = {
	.notifier_call = module_changes,
};

/* As /sys/module shows it, which also has what is built into the kernel. */
static bool
module_is_loaded(const char *name)
{
	struct kobject *found;

	found = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, name);
	kobject_put(found);
	return found;
}

int
emergency_start(void (*fn)(void))
{
	unsigned int i;
	int r;

	callback = fn;
	r = register_module_notifier(&module_notifier);
	if (r)
		return r;
	mutex_lock(&callback_lock);
	/* Those that came before; the notifier knows of the others. */
	for (i = 0; i < ARRAY_SIZE(kvm_names); i++)
		kvm_is_loaded[i] |= module_is_loaded(kvm_names[i]);
	callback_update(true);
	mutex_unlock(&callback_lock);
	return 0;
}

void
emergency_stop(void)
{
	unregister_module_notifier(&module_notifier);
	mutex_lock(&callback_lock);
	callback_update(false);
	mutex_unlock(&callback_lock);
}

#else /* !COMPAT_EMERGENCY_CALLBACK */

int
emergency_start(void (*fn)(void))
{
	return 0;
}

void
emergency_stop(void)
{
}

#endif
