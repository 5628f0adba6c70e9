/* SPDX-License-Identifier: ISC */
/* t_trace.c - the trace events, as perf and trace-cmd read them. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>
#include "vm.h"

#define TRACING	"/sys/kernel/tracing/"

static char text[1 << 16];

static void
tracing_write(const char *file, const char *value)
{
	int fd = (int)CHECK_OK(open(file, O_WRONLY | O_TRUNC | O_CLOEXEC));

	CHECK_OK(write(fd, value, strlen(value)));
	close(fd);
}

/* A file's beginning, into `text`. */
static void
tracing_read(const char *file)
{
	int fd = (int)CHECK_OK(open(file, O_RDONLY | O_CLOEXEC));
	size_t size = 0;
	ssize_t n;

	do {
		n = CHECK_OK(read(fd, text + size, sizeof(text) - 1 - size));
		size += (size_t)n;
	} while (n != 0 && size < sizeof(text) - 1);
	text[size] = '\0';
	close(fd);
}

/* Some line of the trace has all of these. */
static void
expect_line(const char *event, const struct vm *vm, const char *words)
{
	char *copy = strdup(text), *line, *rest, who[32];
	bool found = false;

	snprintf(who, sizeof(who), "vm %u vcpu 0 ", vm->id);
	for (line = strtok_r(copy, "\n", &rest); line != NULL && !found;
	    line = strtok_r(NULL, "\n", &rest))
		found = strstr(line, event) != NULL && strstr(line, who) != NULL &&
		    strstr(line, words) != NULL;
	free(copy);
	CHECK_MSG(found, "no %s: %s... with \"%s\" in the trace", event, who, words);
}

TEST(trace_names, "trace/names")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) < 0)
		CHECK_EQ(errno, EBUSY);
	tracing_write(TRACING "trace", "");
	tracing_write(TRACING "events/vmm/enable", "1");
	vm_call_start(v, g_long_outb, 0x3f8, 'x', 0, 0);
	vm_expect_out(v, 0x3f8, 1, 'x');
	vm_finish(v);
	vm_call_faults(v, 13, 0, g_long_rdmsr, 0x12345, 0, 0, 0);
	tracing_write(TRACING "events/vmm/enable", "0");

	tracing_read(TRACING "trace");
	expect_line("vmm_entry", vm, "rip 0x");
	expect_line("vmm_exit", vm, host_is_amd() ? "io (0x7b) rip 0x" : "io (0x1e) rip 0x");
	expect_line("vmm_exit", vm, host_is_amd() ? "hlt (0x78)" : "hlt (0xc)");
	expect_line("vmm_exit", vm, "msr (0x");
	expect_line("vmm_exit", vm, "stage2_fault (0x");
	expect_line("vmm_fault", vm, ": mapped (0)");
	expect_line("vmm_inject", vm, "exception #GP vector 13 error 0x0");

	/* What a trace is read by on another machine has the numbers in it. */
	tracing_read(TRACING "events/vmm/vmm_inject/format");
	CHECK(strstr(text, "{ 13, \"exception #GP\" }") != NULL);
	tracing_read(TRACING "events/vmm/vmm_exit/format");
	CHECK(strstr(text, "\"stage2_fault\" }") != NULL);
	CHECK(strstr(text, "EXIT_") == NULL);
	vm_free(vm);
}
