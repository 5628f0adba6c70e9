/* SPDX-License-Identifier: ISC */
/* floor.c - what nothing can be cheaper than (floor/floor.h), and whether ticks
 * are instructions. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>
#include "floor/floor.h"
#include "operations.h"

#define FLOOR	"floor"

/* Two instructions a round. */
static void
known_loop(void)
{
	uint64_t start = __rdtsc(), rounds = COUNT;

	__asm__ volatile("1: dec %0; jnz 1b" : "+r" (rounds));
	report("two instructions", FLOOR, COUNT, __rdtsc() - start);
}

static void
empty_ioctl(int fd)
{
	uint64_t start = __rdtsc();
	unsigned int i;

	for (i = 0; i < COUNT; i++)
		ioctl(fd, FLOOR_EMPTY, 0);
	report("empty ioctl", FLOOR, COUNT, __rdtsc() - start);
}

void
measure_floor(void)
{
	struct floor_switch s = { .rounds = COUNT };
	int fd = (int)CHECK_OK(open("/dev/floor", O_RDWR | O_CLOEXEC));

	known_loop();
	empty_ioctl(fd);
	CHECK_OK(ioctl(fd, FLOOR_SWITCH, &s));
	report("world switch", FLOOR, s.rounds, s.ticks - s.rounds * FLOOR_LOOP);
	close(fd);
}
