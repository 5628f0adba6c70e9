/* SPDX-License-Identifier: ISC */
/*
 * test_host.c - the fake host itself: that it lets pass what host.h allows,
 * and refuses what host.h forbids.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "host_user.h"
#include "stage2.h"
#include "sync.h"

static struct host_mutex mutex;

/* Tests that only look at the host need no memory.c. */
bool
mem_invalidate(void *arg, uint64_t start, uint64_t end, bool may_block,
    unsigned long token)
{
	struct host_watch *const *w = arg;

	(void)start;
	(void)end;
	if (!may_block) {
		if (!host_mutex_trylock(&mutex))
			return false;
	} else {
		host_mutex_lock(&mutex);
	}
	host_watch_note(*w, token);
	host_mutex_unlock(&mutex);
	return true;
}

void
mem_owner_gone(void *arg)
{
	(void)arg;
}

static void
setup(void)
{
	host_user_reset();
	host_mutex_init(&mutex);
}

START_TEST(allocation_fails_on_request)
{
	void *a, *b, *c;

	host_user_fail_alloc(2);
	a = host_alloc(10);
	ck_assert_ptr_nonnull(a);
	ck_assert(!host_user_alloc_failed());
	b = host_page_alloc(1);
	ck_assert_ptr_null(b);
	ck_assert(host_user_alloc_failed());
	c = host_page_alloc(1);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq((uintptr_t)c % 8192, 0);
	ck_assert_int_eq(host_user.alloc_live, 2);
	ck_assert_int_eq(host_user.alloc_bytes, 10 + 8192);
	host_free(a);
	host_page_free(c, 1);
	ck_assert_int_eq(host_user.alloc_live, 0);
	ck_assert_uint_eq(host_user.allocs, 3);
}
END_TEST

START_TEST(user_copies_honour_page_rights)
{
	uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t u = (uint64_t)(uintptr_t)p, old = 1;
	uint8_t buf[16] = "0123456789abcde";

	ck_assert_int_eq(host_copy_out(u + 4088, buf, 16), 0);
	ck_assert_int_eq(memcmp(p + 4088, buf, 16), 0);
	ck_assert_int_eq(mprotect(p + 4096, 4096, PROT_READ), 0);
	ck_assert_int_eq(host_copy_in(buf, u + 4088, 16), 0);
	ck_assert_int_eq(host_copy_out(u + 4096, buf, 1), -EFAULT);
	ck_assert_int_eq(host_cmpxchg_user(u + 4096, 4, &old, 2), -EFAULT);
	ck_assert_int_eq(munmap(p + 4096, 4096), 0);
	ck_assert_int_eq(host_copy_in(buf, u + 4088, 16), -EFAULT);
	ck_assert_int_eq(host_copy_in(buf, 0, 1), -EFAULT);
	ck_assert_int_eq(host_copy_in(buf, UINT64_MAX - 3, 8), -EFAULT);
	host_user.fail_copy = 2;
	ck_assert_int_eq(host_copy_in(buf, u, 1), 0);
	ck_assert_int_eq(host_copy_in(buf, u, 1), -EFAULT);
	ck_assert_int_eq(host_copy_in(buf, u, 1), 0);
	munmap(p, 4096);
}
END_TEST

START_TEST(cmpxchg_reports_what_was_there)
{
	uint64_t word = 0x1111222233334444, old = 5;
	uint64_t u = (uint64_t)(uintptr_t)&word;

	ck_assert_int_eq(host_cmpxchg_user(u, 8, &old, 6), -EAGAIN);
	ck_assert_uint_eq(old, 0x1111222233334444);
	ck_assert_int_eq(host_cmpxchg_user(u, 8, &old, 6), 0);
	ck_assert_uint_eq(word, 6);
	old = 7;
	ck_assert_int_eq(host_cmpxchg_user(u, 4, &old, 9), -EAGAIN);
	ck_assert_uint_eq(old, 6);
}
END_TEST

/* Ask for page `want` of n at p. */
static int
resolve(struct host_watch *w, const uint8_t *p, unsigned int n,
    unsigned int want, bool write, struct host_pages *pages)
{
	pages->hva = (uintptr_t)p;
	pages->n = n;
	pages->want = want;
	pages->write = write;
	return host_watch_resolve(w, pages);
}

START_TEST(invalidation_makes_a_resolver_retry)
{
	struct host_watch *w;
	struct host_pages f = { .ahead = 0 };
	uint8_t *p = aligned_alloc(4096, 4 * 4096);
	unsigned long seq;

	host_user_mem_add(p, 4 * 4096, STAGE2_R | STAGE2_W);
	ck_assert_int_eq(host_watch_add(&w, (uintptr_t)p, 4 * 4096, &w), 0);
	seq = host_watch_begin(w);
	ck_assert_int_eq(resolve(w, p, 4, 1, true, &f), 0);
	ck_assert_uint_eq(f.first, 1);
	ck_assert_uint_eq(f.end, 2);
	ck_assert(f.frame[1].present);
	ck_assert(f.frame[1].writable);
	ck_assert_uint_eq(f.frame[1].pa, (uintptr_t)p + 4096);
	host_mutex_lock(&mutex);
	ck_assert(!host_watch_retry(w, seq));
	/* An invalidation that may not wait finds the lock taken. */
	ck_assert(!host_user_invalidate(p, 4096, false));
	ck_assert(!host_watch_retry(w, seq));
	host_mutex_unlock(&mutex);
	ck_assert(host_user_invalidate(p + 4096, 4096, false));
	ck_assert(!host_user_page(p + 4096)->present);
	host_mutex_lock(&mutex);
	ck_assert(host_watch_retry(w, seq));
	host_mutex_unlock(&mutex);
	host_watch_remove(w);
	host_user_mem_remove(p);
	free(p);
}
END_TEST

START_TEST(neighbours_are_reported_or_faulted_in)
{
	struct host_watch *w;
	struct host_pages f = { .ahead = 1 };
	uint8_t *p = aligned_alloc(4096, 4 * 4096);

	host_user_mem_add(p, 4 * 4096, STAGE2_R | STAGE2_W);
	ck_assert_int_eq(host_watch_add(&w, (uintptr_t)p, 4 * 4096, &w), 0);
	/* A read brings one page, a write as many as it was told. */
	ck_assert_int_eq(resolve(w, p, 4, 0, false, &f), 0);
	ck_assert_uint_eq(f.end, 1);
	ck_assert_int_eq(resolve(w, p, 4, 1, true, &f), 0);
	ck_assert_uint_eq(f.first, 1);
	ck_assert_uint_eq(f.end, 3);
	ck_assert(f.frame[2].present);
	ck_assert(f.frame[2].writable);
	ck_assert(!host_user_page(p + 3 * 4096)->present);
	/* Of one that is there, all others are reported. */
	ck_assert_int_eq(resolve(w, p, 4, 2, true, &f), 0);
	ck_assert_uint_eq(f.first, 0);
	ck_assert_uint_eq(f.end, 4);
	ck_assert(f.frame[0].present);
	ck_assert(!f.frame[0].writable);
	ck_assert(f.frame[1].present);
	ck_assert(!f.frame[3].present);
	ck_assert(!host_user_page(p + 3 * 4096)->present);
	/* Not so in a large one: it is known. */
	for (unsigned int i = 0; i < 4; i++)
		host_user_page(p + i * 4096)->order = 2;
	ck_assert_int_eq(resolve(w, p, 4, 2, true, &f), 0);
	ck_assert_uint_eq(f.frame[2].order, 2);
	ck_assert_uint_eq(f.first, 2);
	ck_assert_uint_eq(f.end, 3);
	host_watch_remove(w);
	host_user_mem_remove(p);
	free(p);
}
END_TEST

START_TEST(sharing_is_broken_by_a_write)
{
	struct host_watch *w;
	struct host_pages f = { .ahead = 0 };
	uint8_t *p = aligned_alloc(4096, 4096);
	unsigned long seq;

	host_user_mem_add(p, 4096, STAGE2_R | STAGE2_W);
	ck_assert_int_eq(host_watch_add(&w, (uintptr_t)p, 4096, &w), 0);
	seq = host_watch_begin(w);
	ck_assert_int_eq(resolve(w, p, 1, 0, false, &f), 0);
	ck_assert(f.frame[0].present);
	ck_assert(!f.frame[0].writable);
	ck_assert_int_eq(resolve(w, p, 1, 0, true, &f), 0);
	ck_assert(f.frame[0].writable);
	/* The page has changed since the watch was asked. */
	host_mutex_lock(&mutex);
	ck_assert(host_watch_retry(w, seq));
	host_mutex_unlock(&mutex);
	host_user_page(p)->prot = STAGE2_R;
	ck_assert_int_eq(resolve(w, p, 1, 0, true, &f), -EFAULT);
	host_watch_remove(w);
	host_user_mem_remove(p);
	free(p);
}
END_TEST

static unsigned int ons, offs;
static int on(void) { ons |= 1u << host_cpu(); return 0; }
static void off(void) { offs |= 1u << host_cpu(); }

START_TEST(cpus_come_on_together_or_not_at_all)
{
	ons = offs = 0;
	host_user.cpus_fail = 3;
	host_user.cpus_errno = -EBUSY;
	ck_assert_int_eq(host_cpus_enable(on, off), -EBUSY);
	ck_assert_uint_eq(ons, 3);
	ck_assert_uint_eq(offs, 3);
	host_user.cpus_fail = 0;
	ons = offs = 0;
	ck_assert_int_eq(host_cpus_enable(on, off), 0);
	ck_assert_uint_eq(ons, (1u << HOST_USER_CPUS) - 1);
	host_user_cpu_down(5);
	ck_assert_uint_eq(offs, 1u << 5);
	ck_assert_int_eq(host_user_cpu_up(5), 0);
	host_cpus_disable();
	ck_assert_uint_eq(offs, (1u << HOST_USER_CPUS) - 1);
}
END_TEST

static void *
guest(void *arg)
{
	host_user_set_cpu(3);
	host_irq_disable();
	sync_store((uint32_t *)arg, 1);
	if (host_user_wait_kick(10000))
		sync_store((uint32_t *)arg, 2);
	host_irq_enable();
	return NULL;
}

START_TEST(a_kick_ends_the_wait_of_a_guest)
{
	struct host_cpuset *s = host_cpuset_alloc();
	uint32_t state = 0;
	pthread_t t;

	host_cpuset_clear(s);
	host_cpuset_add(s, 3);
	host_cpuset_add(s, 4);
	pthread_create(&t, NULL, guest, &state);
	while (sync_load(&state) != 1)
		sched_yield();
	host_cpuset_kick_wait(s);
	ck_assert_uint_eq(sync_load(&state), 2);
	pthread_join(t, NULL);
	ck_assert_uint_eq(host_user.kicks[3], 1);
	ck_assert_uint_eq(host_user.kicks[4], 1);
	host_cpuset_free(s);
}
END_TEST

START_TEST(log_is_kept)
{
	host_info("vmm%d at mainbus%d: %s", 0, 0, "SVM/RVI");
	host_warn("careful\n");
	ck_assert_str_eq(host_user.log, "vmm0 at mainbus0: SVM/RVI\ncareful\n");
	ck_assert_uint_eq(host_user.infos, 1);
	ck_assert_uint_eq(host_user.warns, 1);
}
END_TEST

/* Each of these must abort; Check expects the signal. */
static void sleep_with_preemption_off(void)
{
	host_preempt_disable();
	host_mutex_lock(&mutex);
}

static void alloc_under_a_reclaim_lock(void)
{
	struct host_watch *w;
	static uint8_t page[4096];

	if (host_watch_add(&w, (uintptr_t)page, sizeof(page), &w) != 0)
		return;
	host_user_invalidate(page, 1, true);
	host_mutex_lock(&mutex);
	host_alloc(1);
}

static void unlock_not_mine(void)
{
	host_mutex_unlock(&mutex);
}

static void lock_twice(void)
{
	host_mutex_lock(&mutex);
	host_mutex_lock(&mutex);
}

static void double_free(void)
{
	void *p = host_alloc(1);

	host_free(p);
	host_free(p);
}

static void kick_with_interrupts_off(void)
{
	host_irq_disable();
	host_kick(1);
}

static void (*const abuses[])(void) = {
	sleep_with_preemption_off, alloc_under_a_reclaim_lock,
	unlock_not_mine, lock_twice, double_free, kick_with_interrupts_off,
};
#define ABUSES	(int)(sizeof(abuses) / sizeof(abuses[0]))

START_TEST(abuse_aborts)
{
	/* The sanitizers' own report of a deliberate abort is of no use. */
	fclose(stderr);
	abuses[_i]();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("host");
	TCase *tc = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, allocation_fails_on_request);
	tcase_add_test(tc, user_copies_honour_page_rights);
	tcase_add_test(tc, cmpxchg_reports_what_was_there);
	tcase_add_test(tc, invalidation_makes_a_resolver_retry);
	tcase_add_test(tc, neighbours_are_reported_or_faulted_in);
	tcase_add_test(tc, sharing_is_broken_by_a_write);
	tcase_add_test(tc, cpus_come_on_together_or_not_at_all);
	tcase_add_test(tc, a_kick_ends_the_wait_of_a_guest);
	tcase_add_test(tc, log_is_kept);
	tcase_add_loop_test_raise_signal(tc, abuse_aborts, SIGABRT, 0, ABUSES);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
