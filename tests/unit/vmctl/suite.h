/* SPDX-License-Identifier: ISC */
/*
 * suite.h - one table of tests makes a Check program.
 */
#ifndef VMCTL_TEST_SUITE_H
#define VMCTL_TEST_SUITE_H

#include <check.h>
#include <stdlib.h>

/* An assertion for hot loops: Check tells its parent of each ck_assert, this one of failures. */
#define REQUIRE(condition) do {							\
	if (!(condition))							\
		ck_abort_msg("%s", #condition);				\
} while (0)

#define SUITE_MAIN(name, ...)							\
int main(void)									\
{										\
	const TTest *const tests[] = { __VA_ARGS__ };				\
	Suite *suite = suite_create(name);					\
	TCase *tcase = tcase_create(name);					\
	SRunner *runner;							\
	unsigned int i;								\
	int failed;								\
										\
	tcase_set_timeout(tcase, 30);						\
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)			\
		tcase_add_test(tcase, tests[i]);				\
	suite_add_tcase(suite, tcase);						\
	runner = srunner_create(suite);						\
	srunner_run_all(runner, CK_ENV);					\
	failed = srunner_ntests_failed(runner);					\
	srunner_free(runner);							\
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;				\
}

#endif /* VMCTL_TEST_SUITE_H */
