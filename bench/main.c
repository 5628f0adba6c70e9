/* SPDX-License-Identifier: ISC */
/*
 * main.c - vmmbench kvm|vmm [trace], vmmbench floor: one line an operation on standard output,
 *
 *	OPERATION<tab>BY<tab>COUNT<tab>COST OF ALL
 *
 * The cost is in ticks of the TSC. In the emulators, that is instructions.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "operations.h"

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

int
main(int argc, char **argv)
{
	bool tracing = argc == 3 && strcmp(argv[2], "trace") == 0;

	if (argc == 2 && strcmp(argv[1], "floor") == 0) {
		measure_floor();
		return 0;
	}

	if (argc == 2 || tracing) {
		if (strcmp(argv[1], "kvm") == 0) {
			measure(&hypervisor_kvm, tracing);
			return 0;
		}
		if (strcmp(argv[1], "vmm") == 0) {
			measure(&hypervisor_vmm, tracing);
			return 0;
		}
	}
	fprintf(stderr, "usage: vmmbench kvm|vmm [trace]; vmmbench floor\n");
	return 2;
}
