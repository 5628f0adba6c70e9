/* SPDX-License-Identifier: ISC */
/* t_entry.c - entry checks: against the CPU's own, and what users get to know of them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"

#define RESULTS		"/sys/kernel/debug/vmmentry"
#define TRACING		"/sys/kernel/debug/tracing/"

/* --- The checks and the CPU ----------------------------------------------------- */

/* Module vmmentry tries the examples of all rows when it is loaded. */
static void
load_vmmentry(void)
{
	int fd = (int)CHECK_OK(open("/modules/vmmentry.ko", O_RDONLY | O_CLOEXEC));

	CHECK_OK(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
}

struct tally {
	unsigned int good, bad;
};

static void
count(struct tally *t, const char *state)
{
	if (strcmp(state, "good") == 0)
		t->good++;
	else
		t->bad++;
}

TEST_T(entry_cpu, "entry/checks_and_cpu_agree", 60)
{
	struct tally agreed = { 0 }, as_said = { 0 }, elsewhere = { 0 }, wrong = { 0 };
	char line[512], outcome[32], state[8];
	FILE *f;

	load_vmmentry();
	f = fopen(RESULTS, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		CHECK_EQ(sscanf(line, "%31s %7s", outcome, state), 2);
		if (strcmp(outcome, "agreed") == 0) {
			count(&agreed, state);
		} else if (strcmp(outcome, "as-said") == 0) {
			count(&as_said, state);
		} else if (strcmp(outcome, "not-here") == 0 || strcmp(outcome, "beside") == 0 ||
		    strcmp(outcome, "not-tried") == 0) {
			count(&elsewhere, state);
		} else {
			count(&wrong, state);
			test_note("%s", line);
		}
	}
	fclose(f);
	CHECK_OK(syscall(SYS_delete_module, "vmmentry", O_NONBLOCK));
	test_note("agreed on %u good and %u bad states; %u bad ones as the rows say of this "
	    "emulator; %u and %u are for other machines", agreed.good, agreed.bad, as_said.bad,
	    elsewhere.good, elsewhere.bad);
	CHECK_EQ(wrong.good + wrong.bad, 0);
	/* Few states are for other machines, so that most are tried here. */
	CHECK(agreed.good >= (host_is_amd() ? 20 : 150));
	CHECK(agreed.bad >= (host_is_amd() ? 15 : 150));
}

/* --- What users get to know ------------------------------------------------------- */

static void
trace(const char *file, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), TRACING "%s", file);
	f = fopen(path, "w");
	CHECK_MSG(f != NULL, "%s: %s", path, strerror(errno));
	fputs(text, f);
	CHECK(fclose(f) == 0);
}

static bool
traced(const char *what, const char *check)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen(TRACING "trace", "r");

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		found |= strstr(line, what) != NULL && strstr(line, check) != NULL;
	fclose(f);
	return found;
}

/* RUN fails, and everybody who asks is told the same. */
static void
refused(struct vcpu *v, const char *check, const char *section, const char *value)
{
	struct vm_refused_params p = { .vrf_vm_id = v->vm->id, .vrf_vcpu_id = v->id };

	CHECK_ERR(do_run(v, NO_IRQ), EINVAL);
	CHECK_OK(ioctl(v->vm->fd, VMM_IOC_REFUSED, &p));
	CHECK_MSG(strcmp(p.vrf_check, check) == 0, "check %s: %s", p.vrf_check, p.vrf_text);
	CHECK_MSG(strstr(p.vrf_text, section) != NULL, "%s", p.vrf_text);
	CHECK_MSG(strstr(p.vrf_text, value) != NULL, "%s", p.vrf_text);
	CHECK(traced("vmm_refused", check));
}

static void
explained(void (*spoil)(struct vcpu_reg_state *s), const char *check, const char *value)
{
	struct vm_refused_params p = { 0 };
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state good, bad, now;

	trace("trace", "");
	trace("events/vmm/vmm_refused/enable", "1");
	vm_regs(v, &good);
	bad = good;
	spoil(&bad);
	vm_set_regs(v, VM_RWREGS_ALL, &bad);
	vm_regs(v, &bad);
	refused(v, check, host_is_amd() ? "APM 2 15.5.1" : "SDM 3C 27.3.1", value);
	CHECK(klog_count("refused to enter", check, NULL) >= 1);
	/* Nothing has changed: not even where the CPU has left its own registers. */
	vm_regs(v, &now);
	CHECK(memcmp(&now, &bad, sizeof(now)) == 0);

	vm_set_regs(v, VM_RWREGS_ALL, &good);
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	p.vrf_vm_id = vm->id;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_REFUSED, &p));
	CHECK(p.vrf_check[0] == '\0' && p.vrf_text[0] == '\0');
	trace("events/vmm/vmm_refused/enable", "0");
	vm_free(vm);
}

static void
both_sizes(struct vcpu_reg_state *s)
{
	s->vrs_sregs[VCPU_REGS_CS].vsi_ar |= 0x6000;
}

TEST(entry_cs, "entry/refused_cs_with_two_sizes")
{
	if (host_is_amd())
		explained(both_sizes, "cs_one_size", "cs.attributes = 0x");
	else
		explained(both_sizes, "guest_cs_one_size", "guest_cs_access_rights = 0x");
}

static void
far_cr3(struct vcpu_reg_state *s)
{
	s->vrs_crs[VCPU_REGS_CR3] |= 1ull << 51;
}

TEST(entry_cr3, "entry/refused_cr3_beyond_memory")
{
	if (host_is_amd())
		explained(far_cr3, "cr3_width", "cr3 = 0x8000000");
	else
		explained(far_cr3, "guest_cr3_width", "guest_cr3 = 0x8000000");
}

TEST(entry_nobody, "entry/refused_of_nobody")
{
	struct vm_refused_params p = { .vrf_vm_id = 0xffffffff };
	struct vm *vm = vm_new(LONG);

	CHECK_ERR(ioctl(vm->fd, VMM_IOC_REFUSED, &p), ENOENT);
	p.vrf_vm_id = vm->id;
	p.vrf_vcpu_id = 1;
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_REFUSED, &p), ENOENT);
	vm_free(vm);
}
