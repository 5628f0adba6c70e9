/* SPDX-License-Identifier: ISC */
/* t_perf.c - the host's perf, while a thread runs a guest. */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"

#define PAGES		16u		/* of the ring, a power of 2; what does not fit is lost */
#define SAMPLES		20u		/* that are enough */

/* A clock of this thread that takes samples of where it is. */
static int
open_clock(void)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,	/* ns */
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID,
	};

	return (int)CHECK_OK(syscall(SYS_perf_event_open, &a, 0, -1, -1,
	    PERF_FLAG_FD_CLOEXEC));
}

struct sampled {
	struct perf_event_header header;
	uint64_t ip;
	uint32_t pid, tid;
};

/*
 * All of its samples so far: where the kernel says that it was in its own code,
 * it was; the guest's addresses are nobody's here. How many were the kernel's.
 */
static unsigned int
check_samples(const struct perf_event_mmap_page *ring, unsigned int *all)
{
	const uint8_t *data = (const uint8_t *)ring + PAGE;
	uint64_t at, head = ring->data_head;
	unsigned int kernel = 0;
	struct sampled s;
	size_t i;

	atomic_thread_fence(memory_order_acquire);
	*all = 0;
	for (at = 0; at < head; at += s.header.size) {
		for (i = 0; i < sizeof(s); i++)
			((uint8_t *)&s)[i] = data[(at + i) % (PAGES * PAGE)];
		CHECK(s.header.size >= sizeof(s.header));
		if (s.header.type != PERF_RECORD_SAMPLE)
			continue;
		++*all;
		CHECK_EQ(s.pid, getpid());
		switch (s.header.misc & PERF_RECORD_MISC_CPUMODE_MASK) {
		case PERF_RECORD_MISC_KERNEL:
			CHECK(s.ip >> 63 != 0);
			kernel++;
			break;
		case PERF_RECORD_MISC_USER:
			CHECK(s.ip >= MB && s.ip >> 47 == 0);
			break;
		default:
			FAIL("a sample of mode %u", s.header.misc);
		}
	}
	return kernel;
}

static struct perf_event_mmap_page *ring;

/* The guest computes, and the thread that runs it is sampled. */
static void *
run_sampled(void *arg)
{
	struct vcpu *v = arg;
	int fd = open_clock();

	ring = mmap(NULL, (1 + PAGES) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(ring != MAP_FAILED);
	vm_run_user(v);
	CHECK_OK(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	return (void *)(uintptr_t)fd;
}

/* Time in a guest is the time of the thread that runs it, in the kernel's code. */
TEST(perf_samples, "host/perf/samples_a_running_guest")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int all, kernel;
	uint64_t clock;
	pthread_t t;
	void *fd;

	vm_call_start(v, g_long_spin, 0, 0, 0, 0);
	CHECK_EQ(pthread_create(&t, NULL, run_sampled, v), 0);
	runner_wait_busy(v);
	while (check_samples(ring, &all) < SAMPLES)
		sleep_ms(5);
	v->mb->stop = 1;
	CHECK_EQ(pthread_join(t, &fd), 0);
	CHECK(is_exit_hlt(v->reason));
	vm_expect_no_fault(v);
	kernel = check_samples(ring, &all);
	CHECK_EQ(read((int)(uintptr_t)fd, &clock, sizeof(clock)), sizeof(clock));
	CHECK_MSG(clock >= kernel * 1000000ull, "%llu ns for %u samples",
	    (unsigned long long)clock, all);
}
