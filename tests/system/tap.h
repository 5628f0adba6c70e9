/* SPDX-License-Identifier: ISC */
/*
 * tap.h - the frame of the system tests: cases, checks, verdicts.
 *
 * A case is a function; it runs in a process of its own and passes when the
 * function returns. A failed check ends the process with a message. A case
 * also fails when its time is up, when it dies, when it leaves a VM behind, or
 * when the host's log shows trouble after it.
 */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test_case {
	const char *name;		/* topic/what/detail */
	void	(*run)(void);
	unsigned int seconds;		/* on a fast machine: time_scale() */
	unsigned int cpus;		/* of the host, at least */
};

#define TEST_SECONDS	30

#define TEST_CASE(id, path, limit, cpus)				\
	static void test_##id(void);					\
	static const struct test_case case_##id =			\
	    { path, test_##id, limit, cpus };				\
	static const struct test_case *const listed_##id		\
	    __attribute__((section("test_cases"), used)) = &case_##id;	\
	static void test_##id(void)
#define TEST_T(id, path, limit)	TEST_CASE(id, path, limit, 1)
#define TEST(id, path)		TEST_T(id, path, TEST_SECONDS)
/* A case about two CPUs of the host: it is none where there is one. */
#define TEST_SMP(id, path, limit) TEST_CASE(id, path, limit, 2)

/* End the case as failed, from any of its threads and child processes. */
void	test_fail(const char *file, int line, const char *fmt, ...)
	    __attribute__((noreturn, format(printf, 3, 4)));
/* A line in the results that is no verdict. */
void	test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define FAIL(...)	test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(cond) do {						\
	if (!(cond))							\
		FAIL("not so: %s", #cond);				\
} while (0)
#define CHECK_MSG(cond, ...) do {					\
	if (!(cond))							\
		FAIL(__VA_ARGS__);					\
} while (0)
#define CHECK_EQ(got, want) do {					\
	uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want);	\
	if (got_ != want_)						\
		FAIL("%s is %#llx, not %#llx", #got,			\
		    (unsigned long long)got_, (unsigned long long)want_); \
} while (0)
/* A call that gives 0 or more; its value. */
#define CHECK_OK(call) ({						\
	long ok_ = (long)(call);					\
	if (ok_ < 0)							\
		FAIL("%s: %s", #call, strerror(errno));			\
	ok_;								\
})
/* A call that fails with exactly this errno. */
#define CHECK_ERR(call, want) do {					\
	long rc_ = (long)(call);					\
	int err_ = errno;						\
	if (rc_ >= 0)							\
		FAIL("%s gives %ld, not %s", #call, rc_, #want);	\
	if (err_ != (want))						\
		FAIL("%s: %s, not %s", #call, strerror(err_), #want);	\
} while (0)

/* How much slower this machine is than what limits of time are made for. */
uint64_t time_scale(void);
/* A number from the environment, if it is there. */
unsigned int number_from(const char *name, unsigned int otherwise);
/* Sleep; time since boot. */
void	sleep_ms(unsigned int ms);
uint64_t now_ns(void);

/* Lines with all of these words that the kernel logged since the case began. */
unsigned int klog_count(const char *word, ...);

/* This case makes the kernel print backtraces: no trouble; off the console. */
void	klog_expect_backtraces(void);

/* Run fn in a child with this uid, and fail if it fails. */
void	run_as(unsigned int uid, void (*fn)(void *), void *arg);
/* A child process that runs fn; wait for it with child_wait(). */
int	child_start(void (*fn)(void *), void *arg);
void	child_wait(int pid);
void	child_kill(int pid);

#endif /* TAP_H */
