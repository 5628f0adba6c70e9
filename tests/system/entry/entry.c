// SPDX-License-Identifier: ISC
/*
 * entry.c - run the examples when the module is loaded; /sys/kernel/debug/vmmentry has a line for
 * each: what it was about, and who said what.
 */
#include <linux/cpufeature.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>

#include "entry.h"

static struct entry_result *results;
static unsigned int count;
static struct dentry *file;

struct verdict
entry_expected(const struct entry_rules *rules, const struct entry_check *broken)
{
	struct verdict v = { .entered = broken == NULL, .qualification = -1 };

	if (broken != NULL) {
		v.error = rules->phases[broken->phase].error;
		v.exit = rules->phases[broken->phase].exit;
		v.qualification = broken->qualification;
	}
	return v;
}

bool
entry_same(const struct verdict *a, const struct verdict *b)
{
	if (a->entered || b->entered)
		return a->entered == b->entered;
	return a->error == b->error && (a->error != 0 ||
	    (a->exit == b->exit && a->qualification == b->qualification));
}

void
entry_judge(struct entry_result *r, const struct entry_rules *rules, unsigned int said)
{
	struct verdict want = entry_expected(rules, r->broken);
	bool example = r->broken == (r->good ? NULL : r->check);

	if (entry_same(&r->cpu, &want))
		r->outcome = !example ? AGREED_BESIDE :
		    said == SAID_NOTHING ? AGREED : AGREED_AFTER_ALL;
	else if (said != SAID_NOTHING && (said == SAID_ACCEPTS) == r->cpu.entered)
		r->outcome = DIFFERED_AS_SAID;
	else
		r->outcome = DIFFERED;
}

static void
print_verdict(struct seq_file *s, const struct verdict *v)
{
	if (v->entered)
		seq_printf(s, "entered, exit 0x%llx", (unsigned long long)v->exit);
	else if (v->error != 0)
		seq_printf(s, "error %u", v->error);
	else
		seq_printf(s, "exit 0x%llx, qualification %lld",
		    (unsigned long long)v->exit, (long long)v->qualification);
}

static int
vmmentry_show(struct seq_file *s, void *unused)
{
	static const char *const word[] = {
		[AGREED] = "agreed", [AGREED_BESIDE] = "beside", [DIFFERED] = "differed",
		[DIFFERED_AS_SAID] = "as-said", [AGREED_AFTER_ALL] = "agreed-after-all",
		[NOT_HERE] = "not-here", [NOT_TRIED] = "not-tried",
	};

	(void)unused;
	for (unsigned int i = 0; i < count; i++) {
		const struct entry_result *r = &results[i];

		seq_printf(s, "%s %s %s: ", word[r->outcome], r->good ? "good" : "bad",
		    r->check->name);
		if (r->outcome == NOT_HERE || r->outcome == NOT_TRIED) {
			seq_printf(s, "%s\n", r->reason);
			continue;
		}
		seq_printf(s, "checks: %s; CPU: ", r->broken ? r->broken->name : "none broken");
		print_verdict(s, &r->cpu);
		seq_puts(s, "\n");
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmmentry);

static int __init
entry_init(void)
{
	int err = -ENODEV;

	if (boot_cpu_has(X86_FEATURE_VMX))
		results = entry_vmx(&count, &err);
	else if (boot_cpu_has(X86_FEATURE_SVM))
		results = entry_svm(&count, &err);
	if (results == NULL)
		return err;
	file = debugfs_create_file("vmmentry", 0400, NULL, NULL, &vmmentry_fops);
	return 0;
}

static void __exit
entry_exit(void)
{
	debugfs_remove(file);
	vfree(results);
}

module_init(entry_init);
module_exit(entry_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("Entry checks against the CPU's own, for the tests of vmm");
