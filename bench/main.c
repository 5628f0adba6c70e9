/* SPDX-License-Identifier: ISC */
/*
 * main.c - vmmbench kvm|vmm measure|trace|smp|boot|check, vmmbench floor: one
 * line an operation on standard output,
 *
 *	OPERATION<tab>BY<tab>COUNT<tab>COST OF ALL
 *
 * The cost is in ticks of the TSC. In the emulators, that is instructions.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "operations.h"
#include "trace.h"

void
test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("failed: %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

void
sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

void
report(const char *operation, const char *by, uint64_t count, uint64_t cost)
{
	printf("%s\t%s\t%llu\t%llu\n", operation, by, (unsigned long long)count,
	    (unsigned long long)cost);
	fflush(stdout);
}

/* KVM has two descriptors a VM. */
static void
many_files(void)
{
	struct rlimit limit = { 4096, 4096 };

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
}

static bool
measure(const struct hypervisor *by, const char *mode)
{
	bool tracing = strcmp(mode, "trace") == 0;

	if (strcmp(mode, "smp") == 0) {
		measure_smp(by);
		return true;
	}
	if (strcmp(mode, "boot") == 0) {
		measure_boot(by);
		return true;
	}
	if (strcmp(mode, "check") == 0) {
		measure_exits(by, CHECK_COUNT);
		return true;
	}
	if (!tracing && strcmp(mode, "measure") != 0)
		return false;
	measure_exits(by, tracing ? TRACE_ROUNDS : COUNT);
	measure_memory(by, tracing);
	measure_life(by, tracing);
	if (!tracing)
		measure_scale(by);
	return true;
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "floor") == 0) {
		measure_floor();
		return 0;
	}
	many_files();
	if (argc == 3 && strcmp(argv[1], "kvm") == 0 && measure(&hypervisor_kvm, argv[2]))
		return 0;
	if (argc == 3 && strcmp(argv[1], "vmm") == 0 && measure(&hypervisor_vmm, argv[2]))
		return 0;
	fprintf(stderr, "usage: vmmbench floor; vmmbench kvm|vmm measure|trace|smp|boot|check\n");
	return 2;
}
