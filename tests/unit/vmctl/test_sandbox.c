// SPDX-License-Identifier: ISC
/*
 * The sandbox, each time in a process of its own, which ends by the plain system
 * call: the sanitizers do things at _exit() that the sandbox forbids.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <machine/vmmvar.h>

#include "sandbox.h"
#include "suite.h"

/* The wait status of a process that enters the sandbox and then does @what. */
static int inside(void (*what)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		struct err e;

		setrlimit(RLIMIT_CORE, &none);
		if (sandbox_enter(0, &e) != 0)
			_exit(99);
		what();
		syscall(SYS_exit_group, 7);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void allowed(void (*what)(void))
{
	int status = inside(what);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status 0x%x",
	    (unsigned int)status);
}

static void killed(void (*what)(void))
{
	int status = inside(what);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status 0x%x",
		      (unsigned int)status);
}

static void nothing(void)
{
}

static void clocks(void)
{
	long ts[2];

	syscall(SYS_clock_gettime, 1, ts);
	syscall(SYS_gettimeofday, ts, NULL);
}

static void more_memory(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* What the C library does in a thread that has just begun. */
static void thread_begins(void)
{
	syscall(SYS_set_robust_list, NULL, 0);
	syscall(SYS_rseq, NULL, 0, 0, 0);
}

static void driver_request(void)
{
	syscall(SYS_ioctl, 0, VMM_IOC_RUN, NULL);
}

static void size_of_open_file(void)
{
	struct stat st;

	fstat(0, &st);
}

static void open_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void look_at_file(void)
{
	struct stat st;

	syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &st, 0);
}

static void remove_file(void)
{
	syscall(SYS_unlink, "/nonexistent");
}

static void run_program(void)
{
	syscall(SYS_execve, "/bin/true", NULL, NULL);
}

static void new_process(void)
{
	syscall(SYS_fork);
}

static void new_socket(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void connect_out(void)
{
	syscall(SYS_connect, 0, NULL, 0);
}

static void executable_memory(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_executable(void)
{
	syscall(SYS_mprotect, NULL, 4096, PROT_READ | PROT_EXEC);
}

static void terminal_request(void)
{
	syscall(SYS_ioctl, 0, TIOCSTI, "x");
}

static void other_request(void)
{
	syscall(SYS_ioctl, 0, VMM_IOC_WRITEREGS, NULL);
}

static void request_elsewhere(void)
{
	syscall(SYS_ioctl, 1, VMM_IOC_RUN, NULL);
}

static void signal_others(void)
{
	syscall(SYS_kill, 1, 0);
}

static void trace_others(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

START_TEST(what_the_monitor_needs)
{
	allowed(nothing);
	allowed(clocks);
	allowed(more_memory);
	allowed(driver_request);
	allowed(thread_begins);
	allowed(size_of_open_file);
}
END_TEST

START_TEST(what_it_does_not)
{
	killed(open_file);
	killed(look_at_file);
	killed(remove_file);
	killed(run_program);
	killed(new_process);
	killed(new_socket);
	killed(connect_out);
	killed(executable_memory);
	killed(make_executable);
	killed(terminal_request);
	killed(other_request);
	killed(request_elsewhere);
	killed(signal_others);
	killed(trace_others);
}
END_TEST

SUITE_MAIN("vmctl: sandbox", what_the_monitor_needs, what_it_does_not)
