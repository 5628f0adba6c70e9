/* SPDX-License-Identifier: ISC */
/*
 * t_crash.c - the kernel makes place for another one while guests run.
 *
 * tests/system/crash-init runs one of crash/stop/ in the first kernel, which
 * that ends, and crash/next/ in the second. They are in no other plan.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include "vm.h"

#define SECONDS	300	/* the end of the machine's time is another's business */

/* A guest on each CPU, which does not leave it. */
static void
guest_everywhere(void)
{
	unsigned int cpu, n = (unsigned int)get_nprocs();
	struct vm *vm = vm_new_with(LONG, n, VM_SIZE, 0);

	for (cpu = 0; cpu < n; cpu++) {
		pin(cpu);	/* the thread inherits it */
		vm_call_start(&vm->cpu[cpu], g_long_spin, 0, 0, 0, 0);
		runner_start(&vm->cpu[cpu]);
		runner_wait_busy(&vm->cpu[cpu]);
	}
	/* INIT to the boot processor would be a reset of the machine. */
	pin(0);
}

TEST_T(panic, "crash/stop/panic", SECONDS)
{
	int fd = (int)CHECK_OK(open("/proc/sysrq-trigger", O_WRONLY));

	guest_everywhere();
	CHECK_EQ(write(fd, "c", 1), 1);
	FAIL("there is a life after the panic");
}

TEST_T(kexec, "crash/stop/kexec", SECONDS)
{
	guest_everywhere();
	CHECK_EQ(system("kexec -e"), 0);
	FAIL("there is a life after kexec");
}

/* A CPU that was left in VMX operation would not even have come up. */
TEST_T(next, "crash/next/every_cpu_runs_guests", SECONDS)
{
	unsigned int cpu, n = (unsigned int)get_nprocs();
	struct vm *vm = vm_new_with(LONG, n, VM_SIZE, 0);

	for (cpu = 0; cpu < n; cpu++) {
		pin(cpu);
		vm_call_ok(&vm->cpu[cpu], g_long_nop, 0, 0, 0, 0);
	}
}
