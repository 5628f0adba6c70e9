/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "fault.h"
#include "tap.h"

static void
write_file(const char *path, const char *text)
{
	int fd = (int)CHECK_OK(open(path, O_WRONLY | O_CLOEXEC));

	CHECK_MSG(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path,
	    strerror(errno));
	CHECK_OK(close(fd));
}

void
faults_of_all_kinds(void)
{
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

static __thread int nth_fd = -1;

void
fault_set(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (nth_fd < 0)
		nth_fd = (int)CHECK_OK(open("/proc/thread-self/fail-nth",
		    O_RDWR | O_CLOEXEC));
	/* What is left of the last one may hit this copy. */
	if (pwrite(nth_fd, text, (size_t)len, 0) != len)
		CHECK(pwrite(nth_fd, text, (size_t)len, 0) == len);
}

bool
fault_hit(void)
{
	char text[16] = "";
	ssize_t n = pread(nth_fd, text, sizeof(text) - 1, 0);
	bool hit = n > 0 && atoi(text) == 0;

	fault_set(0);
	return hit;
}
