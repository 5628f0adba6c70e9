// SPDX-License-Identifier: ISC
/*
 * debugfs.c - /sys/kernel/debug/vmm/exits: how often each vCPU of each VM has
 * exited, and why. One line an exit reason that has occurred.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "core.h"
#include "debugfs.h"

static struct dentry *root;

static void
show_vm(struct vm *vm, void *arg)
{
	struct seq_file *m = arg;
	unsigned int i, kind;
	uint64_t n;

	for (i = 0; i < vm->ncpus; i++) {
		for (kind = 0; kind < EXIT_KINDS; kind++) {
			n = sync_load(&vm->vcpu[i]->exits[kind]);
			if (n)
				seq_printf(m, "vm %u vcpu %u %s %llu\n", vm->id,
				    i, exit_policy[kind].name, n);
		}
	}
}

static int
exits_show(struct seq_file *m, void *unused)
{
	vmm_for_each(show_vm, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exits);

/* Without debugfs these do nothing. */
void
debugfs_start(void)
{
	root = debugfs_create_dir("vmm", NULL);
	debugfs_create_file("exits", 0400, root, NULL, &exits_fops);
}

void
debugfs_stop(void)
{
	debugfs_remove_recursive(root);
}
