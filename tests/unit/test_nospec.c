/* SPDX-License-Identifier: ISC */
/* test_nospec.c - indexes that stay in their table without a branch. */
#include <check.h>
#include <stdlib.h>

#include "nospec.h"

START_TEST(an_index_below_the_limit_stays)
{
	for (uint64_t limit = 1; limit < 70; limit++)
		for (uint64_t i = 0; i < limit; i++)
			ck_assert_uint_eq(index_nospec(i, limit), i);
	ck_assert_uint_eq(index_nospec(UINT64_MAX - 1, UINT64_MAX), UINT64_MAX - 1);
	ck_assert_uint_eq(index_nospec(1ULL << 63, UINT64_MAX), 1ULL << 63);
}
END_TEST

START_TEST(an_index_beyond_the_limit_is_zero)
{
	static const uint64_t beyond[] = { 0, 1, 2, 1ULL << 31, 1ULL << 32, 1ULL << 63,
	    UINT64_MAX };

	for (uint64_t limit = 0; limit < 70; limit++)
		for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
			if (beyond[i] >= limit)
				ck_assert_uint_eq(index_nospec(beyond[i], limit), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("nospec");
	TCase *tc = tcase_create("index");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, an_index_below_the_limit_stays);
	tcase_add_test(tc, an_index_beyond_the_limit_is_zero);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
