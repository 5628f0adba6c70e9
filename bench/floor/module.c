// SPDX-License-Identifier: ISC
/* module.c - /dev/floor; see floor.h. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "floor.h"

static long
floor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct floor_switch s;
	int r;

	if (cmd == FLOOR_EMPTY)
		return 0;
	if (cmd != FLOOR_SWITCH)
		return -ENOTTY;
	if (copy_from_user(&s, (void __user *)arg, sizeof(s)))
		return -EFAULT;
	r = boot_cpu_has(X86_FEATURE_SVM) ? floor_svm(&s) : floor_vmx(&s);
	if (r)
		return r;
	return copy_to_user((void __user *)arg, &s, sizeof(s)) ? -EFAULT : 0;
}

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = floor_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "floor",
	.fops = &floor_fops,
};

module_misc_device(device);

MODULE_DESCRIPTION("what a world switch and an ioctl cost at least");
MODULE_LICENSE("Dual BSD/GPL");
