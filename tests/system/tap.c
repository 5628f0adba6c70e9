/* SPDX-License-Identifier: ISC */
/* tap.c - runs the cases and prints TAP version 13. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <machine/vmmvar.h>
#include "tap.h"

extern const struct test_case *const __start_test_cases[];
extern const struct test_case *const __stop_test_cases[];

/* What a case tells the runner; shared between the processes. */
static struct report {
	int	 failed;
	int	 backtraces;	/* wanted, for once */
	char	 text[512];
	char	 notes[1024];
	long	 log_start;	/* lines of the log before the case */
} *report;

/* The kernel's log, line by line, as far as it was read. */
static char **klog;
static unsigned int klog_lines, klog_case;
static int klog_fd = -1;

/* Words by which the kernel says that something is wrong with it. */
static const char *const trouble[] = {
	"BUG:", "WARNING:", "Oops", "general protection", "kernel panic",
	"Kernel panic", "soft lockup", "hard LOCKUP", "detected stall",
	"rcu_sched self-detected", "self-detected stall", "Call Trace",
	"unchecked MSR access", "blocked for more than", "UBSAN", "KASAN",
	"list_add corruption", "list_del corruption", "Bad page",
	"Bad rss-counter", "refcount_t:", "invalid opcode:", "double fault",
	"scheduling while atomic", "suspicious RCU usage", "unable to handle",
	"INFO: task", "possible circular locking", "nobody cared", "ODEBUG:",
	"pagealloc: ", "page dumped because", "ernel BUG at",
};

void
sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

unsigned int
number_from(const char *name, unsigned int otherwise)
{
	const char *s = getenv(name);

	return s != NULL && *s != '\0' ? (unsigned int)strtoul(s, NULL, 10) : otherwise;
}

uint64_t
time_scale(void)
{
	return number_from("TIME_SCALE", 1);
}

void
test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (!__atomic_exchange_n(&report->failed, 1, __ATOMIC_SEQ_CST)) {
		n = (size_t)snprintf(report->text, sizeof(report->text),
		    "%s:%d: ", file, line);
		va_start(ap, fmt);
		vsnprintf(report->text + n, sizeof(report->text) - n, fmt, ap);
		va_end(ap);
	}
	_exit(1);
}

void
test_note(const char *fmt, ...)
{
	size_t n = strlen(report->notes);
	va_list ap;

	va_start(ap, fmt);
	if (n < sizeof(report->notes) - 80) {
		n += (size_t)snprintf(report->notes + n, 3, "# ");
		n += (size_t)vsnprintf(report->notes + n,
		    sizeof(report->notes) - n - 2, fmt, ap);
		if (n < sizeof(report->notes) - 2)
			strcpy(report->notes + n, "\n");
	}
	va_end(ap);
}

/* --- The host's log -------------------------------------------------------- */

static void
klog_read(void)
{
	char line[2048], *text;
	ssize_t n;

	if (klog_fd < 0)
		klog_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (klog_fd < 0)
		return;
	for (;;) {
		n = read(klog_fd, line, sizeof(line) - 1);
		if (n < 0 && errno == EPIPE)	/* we were too slow: go on */
			continue;
		if (n <= 0)
			return;
		line[n] = '\0';
		text = strchr(line, ';');
		text = text != NULL ? text + 1 : line;
		klog = realloc(klog, (klog_lines + 1) * sizeof(*klog));
		klog[klog_lines++] = strdup(text);
	}
}

unsigned int
klog_count(const char *word, ...)
{
	unsigned int i, found = 0;
	const char *w;
	va_list ap;
	bool all;

	sleep_ms(20);
	klog_read();
	for (i = klog_case; i < klog_lines; i++) {
		all = strstr(klog[i], word) != NULL;
		va_start(ap, word);
		while ((w = va_arg(ap, const char *)) != NULL)
			all = all && strstr(klog[i], w) != NULL;
		va_end(ap);
		found += all;
	}
	return found;
}

/* The first number is how bad a message must be to reach the console. */
static void
console_level(const char *levels)
{
	int fd = open("/proc/sys/kernel/printk", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, levels, strlen(levels)) < 0)
		perror("/proc/sys/kernel/printk");
	if (fd >= 0)
		close(fd);
}

/* For whoever reads the console: at a level that is always printed. */
static void
klog_mark(const char *text)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), n;
	char line[80];

	n = snprintf(line, sizeof(line), "<0>vmmtest: %s\n", text);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		perror("/dev/kmsg");
	if (fd >= 0)
		close(fd);
}

void
klog_expect_backtraces(void)
{
	report->backtraces = 1;
	klog_mark("backtraces are wanted");
	console_level("1");
}

static const char *
klog_trouble(void)
{
	unsigned int i, t;

	klog_read();
	for (i = klog_case; i < klog_lines; i++)
		for (t = 0; t < sizeof(trouble) / sizeof(trouble[0]); t++)
			if (strstr(klog[i], trouble[t]) != NULL &&
			    !(report->backtraces &&
			    strcmp(trouble[t], "Call Trace") == 0))
				return klog[i];
	return NULL;
}

/* --- Processes ------------------------------------------------------------- */

int
child_start(void (*fn)(void *), void *arg)
{
	int pid = (int)CHECK_OK(fork());

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fn(arg);
	_exit(0);
}

void
child_wait(int pid)
{
	int status;

	CHECK_OK(waitpid(pid, &status, 0));
	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "a child process ended with status %#x", (unsigned int)status);
}

void
child_kill(int pid)
{
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_OK(waitpid(pid, NULL, 0));
}

struct run_as_args {
	unsigned int uid;
	void	(*fn)(void *);
	void	*arg;
};

static void
run_as_child(void *p)
{
	struct run_as_args *a = p;

	CHECK_OK(setresgid(a->uid, a->uid, a->uid));
	CHECK_OK(setresuid(a->uid, a->uid, a->uid));
	a->fn(a->arg);
}

void
run_as(unsigned int uid, void (*fn)(void *), void *arg)
{
	struct run_as_args a = { uid, fn, arg };

	child_wait(child_start(run_as_child, &a));
}

/* --- The runner ------------------------------------------------------------ */

/* VMs that are still there; -1 when the device can not say. */
static int
vms_left(void)
{
	struct vm_info_params p = { 0 };
	int fd = open("/dev/vmm", O_RDWR | O_CLOEXEC), n = -1;

	if (fd < 0)
		return -1;
	if (ioctl(fd, VMM_IOC_INFO, &p) == 0)
		n = (int)(p.vip_size / sizeof(struct vm_info_result));
	close(fd);
	return n;
}

/* Runs one case; NULL or why it failed. *stuck: it can not even be killed. */
static const char *
run_case(const struct test_case *c, bool *stuck)
{
	static char why[256];
	uint64_t end;
	unsigned int i;
	int status = 0, left;
	pid_t pid, got;

	report->failed = report->backtraces = 0;
	report->text[0] = report->notes[0] = '\0';
	klog_read();
	klog_case = klog_lines;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		c->run();
		_exit(0);
	}
	if (pid < 0)
		return "no process for it";
	end = now_ns() + c->seconds * time_scale() * 1000000000u;
	while ((got = waitpid(pid, &status, WNOHANG)) == 0 && now_ns() < end)
		sleep_ms(3);
	if (got == 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		end = now_ns() + time_scale() * 10000000000u;
		while ((got = waitpid(pid, &status, WNOHANG)) == 0 &&
		    now_ns() < end)
			sleep_ms(10);
		*stuck = got == 0;
		return *stuck ? "its time is up, and it can not be killed" :
		    "its time is up";
	}
	kill(-pid, SIGKILL);
	if (report->backtraces) {
		console_level("6");
		klog_mark("backtraces are trouble again");
	}
	if (report->failed)
		return report->text;
	if (WIFSIGNALED(status)) {
		snprintf(why, sizeof(why), "died by signal %d",
		    WTERMSIG(status));
		return why;
	}
	if (WEXITSTATUS(status) != 0)
		return "ended with an error and no message";
	for (i = 0, left = vms_left(); left > 0 && i < 50 * time_scale(); i++) {
		sleep_ms(20);
		left = vms_left();
	}
	if (left > 0) {
		snprintf(why, sizeof(why), "left %d VMs behind", left);
		return why;
	}
	return klog_trouble();
}

/* The host's CPUs. */
static unsigned int cpus;

static bool
wanted(const struct test_case *c, int n, char **patterns)
{
	bool asked = strncmp(c->name, "selftest/", 9) == 0 ||
	    strncmp(c->name, "debug/", 6) == 0 ||
	    strncmp(c->name, "crash/", 6) == 0 ||
	    strncmp(c->name, "mce/", 4) == 0;
	int i;

	if (c->cpus > cpus)
		return false;
	if (n == 0)
		return !asked;
	for (i = 0; i < n; i++)
		if (fnmatch(patterns[i], c->name, 0) == 0)
			return true;
	return false;
}

/* Usage: vmmtest [pattern ...]; -l lists the names instead. */
int
main(int argc, char **argv)
{
	const struct test_case *const *p;
	unsigned int total = 0, number = 0, failed = 0;
	bool list = argc > 1 && strcmp(argv[1], "-l") == 0, stuck = false;
	const char *why;
	uint64_t start;

	argc -= 1 + list;
	argv += 1 + list;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus != number_from("CPUS", cpus)) {
		printf("Bail out! %u CPUs are here, not %s\n", cpus,
		    getenv("CPUS"));
		return 2;
	}
	for (p = __start_test_cases; p < __stop_test_cases; p++)
		if (wanted(*p, argc, argv)) {
			total++;
			if (list)
				puts((*p)->name);
		}
	if (list)
		return 0;
	printf("TAP version 13\n1..%u\n", total);
	for (p = __start_test_cases; p < __stop_test_cases && !stuck; p++) {
		if (!wanted(*p, argc, argv))
			continue;
		start = now_ns();
		why = run_case(*p, &stuck);
		failed += why != NULL;
		printf("%sok %u - %s # %llu ms\n", why != NULL ? "not " : "",
		    ++number, (*p)->name,
		    (unsigned long long)((now_ns() - start) / 1000000));
		if (why != NULL)
			printf("# %s%s", why,
			    strchr(why, '\n') != NULL ? "" : "\n");
		fputs(report->notes, stdout);
		fflush(stdout);
	}
	if (stuck)
		printf("Bail out! a case could not be ended\n");
	fflush(stdout);
	return failed != 0 || total == 0 || number != total;
}
