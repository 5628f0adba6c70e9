// SPDX-License-Identifier: ISC
/*
 * module.c - the module and its device node.
 *
 * A session is one open of /dev/vmm. The file keeps the module: with one open
 * it does not unload.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "core.h"
#include "debugfs.h"
#include "host_work.h"

static int
device_open(struct inode *inode, struct file *file)
{
	struct vmm_session *s;
	int r;

	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	r = vmm_open(s);
	if (r) {
		kfree(s);
		return r;
	}
	file->private_data = s;
	return nonseekable_open(inode, file);
}

static int
device_release(struct inode *inode, struct file *file)
{
	struct vmm_session *s = file->private_data;

	vmm_close(s);
	kfree(s);
	return 0;
}

static long
device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vmm_ioctl(file->private_data, cmd, arg);
}

#ifdef CONFIG_COMPAT
/* Structures hold 64-bit pointers and registers: no 32-bit callers. */
static long
device_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return -ENOTTY;
}
#endif

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = device_compat_ioctl,
#endif
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vmm",
	.mode = 0660,
	.fops = &device_fops,
};

static int __init
module_load(void)
{
	int r;

	r = host_work_start();
	if (r)
		return r;
	r = vmm_attach(vmm_backends);
	if (r)
		goto stop_work;
	debugfs_start();
	r = misc_register(&device);
	if (r)
		goto detach;
	return 0;

detach:
	debugfs_stop();
	vmm_detach();
stop_work:
	host_work_stop();
	return r;
}

static void __exit
module_unload(void)
{
	misc_deregister(&device);
	debugfs_stop();
	vmm_detach();
	host_work_stop();
	/* Those of host_watch.c are freed by code of this module. */
	mmu_notifier_synchronize();
}

module_init(module_load);
module_exit(module_unload);

MODULE_DESCRIPTION("virtual machine monitor with the interface of vmm(4)");
MODULE_AUTHOR("the vmm project");
MODULE_LICENSE("Dual BSD/GPL");
