// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

#include <machine/vmmvar.h>

#include "sandbox.h"

/* Allowed whatever their arguments: none of them names a file or starts a program. */
static const int calls[] = {
	SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(close),
	SCMP_SYS(accept4), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(poll),
	/* The clocks are system calls where the vDSO can not read them. */
	SCMP_SYS(timerfd_settime), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(restart_syscall),
	SCMP_SYS(madvise), SCMP_SYS(munmap), SCMP_SYS(brk),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	/* How a thread begins, which may be as late as this. */
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* What the monitor asks of the driver while a guest runs: a reset makes a new VM, and an
 * access to nothing is emulated on the vCPU's registers. */
static const unsigned long requests[] = {
	VMM_IOC_RUN, VMM_IOC_INTR, VMM_IOC_TERM, VMM_IOC_CREATE, VMM_IOC_RESETCPU,
	VMM_IOC_EXITREGS, VMM_IOC_REFUSED, VMM_IOC_READREGS,
};

int sandbox_enter(int driver_fd, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = -ENOMEM;
	size_t i;

	if (!ctx)
		goto out;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	for (i = 0; r == 0 && i < ARRAY_SIZE(requests); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2,
				     SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)driver_fd),
				     SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)requests[i]));
	/* Memory, never code. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* fstat() of an open file: no path is looked at. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				     SCMP_A3_32(SCMP_CMP_EQ, AT_EMPTY_PATH));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fstat), 0);
	if (r == 0)
		r = seccomp_load(ctx);
out:
	seccomp_release(ctx);
	if (r != 0)
		return err_set(e, "the sandbox can not be set up (%s): use a kernel with seccomp "
			       "filters", strerror(-r));
	return 0;
}
