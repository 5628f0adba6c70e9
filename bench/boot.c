/* SPDX-License-Identifier: ISC */
/* boot.c - a Linux guest's boot to user space and its end, by vmctl. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "busy.h"
#include "operations.h"

#define ARGUMENTS "console=ttyS0 quiet panic=-1"

/* The guest's console goes to our standard error, which is the host's. */
static int
start_vmctl(const char *program)
{
	int pid = (int)CHECK_OK(fork());

	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl(program, program, "start", "-c", "-m", "128M", "-b", "/guest/vmlinuz", "-r",
		    "/guest/initrd.gz", "-a", ARGUMENTS, "linux", NULL);
		_exit(127);
	}
	return pid;
}

void
measure_boot(const struct hypervisor *by)
{
	uint64_t start = busy_now();
	int status;

	CHECK_OK(waitpid(start_vmctl(by == &hypervisor_kvm ? "/vmctl-kvm" : "/vmctl-vmm"),
	    &status, 0));
	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0, "vmctl ended with status %#x",
	    (unsigned int)status);
	report("Linux guest's boot", by->name, 1, busy_since(start));
}
