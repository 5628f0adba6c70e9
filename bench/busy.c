/* SPDX-License-Identifier: ISC */
/*
 * busy.c - instructions of all that a host does, when some of it sleeps.
 *
 * The TSC of Bochs goes on while the CPU is idle. But a second has as many ns as
 * instructions in both emulators (bench/run), so the clock less the idle time is what
 * was executed, to a rounding error.
 */
#include <stdio.h>
#include <time.h>
#include "../tests/system/tap.h"
#include "busy.h"

static uint64_t
idle_ns(void)
{
	FILE *f = fopen("/proc/timer_list", "r");
	unsigned long long ns;
	char line[256];

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, " .idle_sleeptime : %llu", &ns) == 1) {
			fclose(f);
			return ns;
		}
	FAIL("no idle_sleeptime in /proc/timer_list");
}

uint64_t
busy_now(void)
{
	uint64_t idle = idle_ns();
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec - idle;
}

uint64_t
busy_since(uint64_t start)
{
	uint64_t cost = busy_now() - start, again = busy_now();

	/* To ask has its price, too. */
	return cost - (busy_now() - again);
}
