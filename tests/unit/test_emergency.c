/* SPDX-License-Identifier: ISC */
/*
 * test_emergency.c - CPUs that the host stops for good, before a crash kernel
 * for one, are out of virtualisation then, whatever they were doing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm_fixture.h"

#define RIP	0x10000ULL

static struct fixture f;
static unsigned int insns, stop_at;

/* The CPU is as the next kernel wants it; the process ends with the verdict. */
static void
stop_cpu(void)
{
	unsigned int cpu = host_cpu();
	const char *wrong = NULL;

	host_user_emergency();
	/* VMXOFF of the simulated CPU has looked for VMCSs that are active. */
	if (sim_vmx.cpu[cpu].on || cpu_read_cr4() & ARCH_CR4_VMXE)
		wrong = "in VMX operation";
	if (sim_svm.cpu[cpu].gif_clear)
		wrong = "with GIF clear";
	if (cpu_rdmsr(ARCH_MSR_EFER) & ARCH_EFER_SVME)
		wrong = "with SVM enabled";
	if (wrong != NULL)
		fprintf(stderr, "instruction %u: CPU %u stops %s\n", stop_at, cpu,
		    wrong);
	_exit(wrong != NULL ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void
count_insn(void)
{
	if (++insns != stop_at)
		return;
	sim_on_insn = NULL;
	stop_cpu();
}

static void
two_cpus(void)
{
	host_user.cpus = 2;
}

/*
 * A VM from CREATE to its end: two vCPUs that run on one CPU, one of which
 * moves to another.
 */
static void
whole_life(void)
{
	static const struct step steps[] = {
		{ AT(EXIT_CPUID, "\x0f\xa2") },
		{ EXITS(EXIT_INTR) },
	};
	static const struct { uint32_t vcpu; unsigned int cpu; } runs[] = {
		{ 0, 0 }, { 1, 0 }, { 0, 0 }, { 1, 1 },
	};
	static struct script s;

	fixture_machine = two_cpus;
	fixture_start(&f, 2);
	for (f.run.vrp_vcpu_id = 0; f.run.vrp_vcpu_id < 2; f.run.vrp_vcpu_id++)
		fixture_long_mode(&f, RIP);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		host_user_set_cpu(runs[i].cpu);
		f.run.vrp_vcpu_id = runs[i].vcpu;
		ck_assert_int_eq(RUN_STEPS(&f, &s, steps, 0xffff), 0);
	}
	fixture_stop(&f);
}

START_TEST(whatever_the_cpu_was_doing)
{
	/* How many instructions are there? */
	stop_at = UINT32_MAX;
	sim_on_insn = count_insn;
	whole_life();
	ck_assert_uint_gt(insns, 40);
	for (unsigned int n = insns, i = 1; i <= n; i++) {
		int status;
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			insns = 0;
			stop_at = i;
			whole_life();
			/* The last ones can differ: times do. */
			_exit(EXIT_SUCCESS);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(status == 0, "instruction %u of %u", i, n);
	}
}
END_TEST

static bool
emergency_in_child(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		stop_cpu();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status == 0;
}

/* The callback is there as long as the driver is, not only with a VM. */
START_TEST(from_load_to_unload)
{
	struct vm_terminate_params p = { 0 };

	fixture_start(&f, 1);
	p.vtp_vm_id = f.vm;
	ck_assert(emergency_in_child());
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &p), 0);
	ck_assert(!host_user.cpus_on);
	ck_assert(emergency_in_child());
	fixture_stop(&f);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		whatever_the_cpu_was_doing, from_load_to_unload,
	};

	return fixture_main_extremes("emergency", tests,
	    sizeof(tests) / sizeof(tests[0]), NULL, NULL);
}
