/* SPDX-License-Identifier: ISC */
/*
 * selftest.c - cases that must fail, to show that the frame can tell. They
 * run only when named: tests/system/selftest does.
 */
#include <stdlib.h>
#include "tap.h"

TEST(selftest_pass, "selftest/pass")
{
	CHECK_EQ(1 + 1, 2);
}

TEST(selftest_fail, "selftest/fail")
{
	CHECK_EQ(1 + 1, 3);
}

TEST(selftest_errno, "selftest/errno")
{
	errno = EPERM;
	CHECK_ERR(-1, EINVAL);
}

TEST(selftest_crash, "selftest/crash")
{
	abort();
}

TEST_T(selftest_hang, "selftest/hang", 1)
{
	for (;;)
		sleep_ms(1000);
}

static void
bad_child(void *arg)
{
	(void)arg;
	FAIL("the child finds fault");
}

TEST(selftest_child, "selftest/child")
{
	child_wait(child_start(bad_child, NULL));
}
