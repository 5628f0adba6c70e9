// SPDX-License-Identifier: ISC
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "ring.h"
#include "suite.h"
#include "vmctl.h"

static struct err e;

START_TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "17B", 17 }, { "64K", 65536 }, { "512M", 512 * MIB },
		{ "512m", 512 * MIB }, { "2G", 2 * GIB }, { "1T", 1024 * GIB },
		{ "18446744073709551615", UINT64_MAX }, { "0512M", 512 * MIB },
	};
	static const char *const bad[] = {
		"", "M", "12x", "-1", "+1", " 1", "1 ", "1.5G", "0x10", "1MM", "1MB", "1\n",
		"\033[2J",
	};
	static const char *const big[] = {
		"18446744073709551616", "99999999999999999999999", "17179869184G", "16777216T",
	};
	uint64_t size;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(parse_size(good[i].text, &size, &e), 0);
		ck_assert(size == good[i].size);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(parse_size(bad[i], &size, &e), -1);
		ck_assert_ptr_nonnull(strstr(e.text, "is not a size"));
		ck_assert_ptr_null(strchr(e.text, '\033'));
	}
	for (i = 0; i < ARRAY_SIZE(big); i++) {
		ck_assert_int_eq(parse_size(big[i], &size, &e), -1);
		ck_assert_ptr_nonnull(strstr(e.text, "too large"));
	}
}
END_TEST

START_TEST(names)
{
	static const char *const good[] = { "a", "vm-1", "Debian.12_x" };
	static const char *const bad[] = {
		"", "1", "-c", ".x", "../x", "a/b", "a b", "a\033[0m", "\303\244",
		"a123456789b123456789c123456789d123456789e123456789f123456789abcd",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_int_eq(check_name(good[i], &e), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(check_name(bad[i], &e), -1);
}
END_TEST

static int parse(struct start_options *o, const char *words)
{
	static char buf[256];
	char *argv[16], *p;
	int argc = 0;

	snprintf(buf, sizeof(buf), "%s", words);
	for (p = strtok(buf, " "); p; p = strtok(NULL, " "))
		argv[argc++] = p;
	argv[argc] = NULL;
	return parse_start(argc, argv, o, &e);
}

START_TEST(start_options)
{
	struct start_options o;

	ck_assert_int_eq(parse(&o, "start -b k vm"), 0);
	ck_assert_str_eq(o.kernel, "k");
	ck_assert_str_eq(o.name, "vm");
	ck_assert_ptr_null(o.initrd);
	ck_assert_str_eq(o.cmdline, "console=ttyS0");
	ck_assert(o.memory == 512 * MIB);
	ck_assert(!o.console && !o.once);
	ck_assert_int_eq(parse(&o, "start -cR -m 1G -r ird -a quiet -bk vm"), 0);
	ck_assert(o.console && o.once);
	ck_assert_str_eq(o.initrd, "ird");
	ck_assert_str_eq(o.cmdline, "quiet");
	ck_assert(o.memory == GIB);
}
END_TEST

START_TEST(start_refusals)
{
	static const struct {
		const char *words, *why;
	} row[] = {
		{ "start", "needs a name" },
		{ "start -b k", "needs a name" },
		{ "start vm", "needs a kernel" },
		{ "start -b k vm other", "one name" },
		{ "start vm -b k", "one name" },
		{ "start -b k -x vm", "does not take -x" },
		{ "start -b", "lacks its argument" },
		{ "start -b k -m lots vm", "is not a size" },
		{ "start -b k -m 0 vm", "multiple of 1M" },
		{ "start -b k -m 1000K vm", "multiple of 1M" },
		{ "start -b k 9lives", "starts with a letter" },
	};
	struct start_options o;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		ck_assert_int_eq(parse(&o, row[i].words), -1);
		ck_assert_msg(strstr(e.text, row[i].why), "%s: %s", row[i].words, e.text);
	}
}
END_TEST

START_TEST(commands_by_name)
{
	size_t i;

	for (i = 0; i < command_count; i++) {
		ck_assert_ptr_eq(command_find(commands[i].name, &e), &commands[i]);
		ck_assert_ptr_nonnull(commands[i].usage);
	}
	ck_assert_str_eq(command_find("con", &e)->name, "console");
	ck_assert_ptr_null(command_find("sta", &e));
	ck_assert_ptr_nonnull(strstr(e.text, "could be start or status"));
	ck_assert_ptr_null(command_find("", &e));
	ck_assert_ptr_null(command_find("\033]0;x", &e));
	ck_assert_ptr_null(strchr(e.text, '\033'));
}
END_TEST

/* What a session of typing sends; "." at the end of @want: the user left. */
static void type(const char *typed, const char *want)
{
	struct escape esc = { ESCAPE_LINE_START };
	char got[64];
	uint8_t out[2];
	size_t n = 0;
	int k;

	for (; *typed; typed++) {
		k = escape_feed(&esc, (uint8_t)*typed, out);
		if (k < 0) {
			got[n++] = '!';
			break;
		}
		memcpy(got + n, out, (size_t)k);
		n += (size_t)k;
	}
	got[n] = '\0';
	ck_assert_str_eq(got, want);
}

START_TEST(escapes)
{
	type("ls\r", "ls\r");
	type("~.", "!");
	type("ls\r~.", "ls\r!");
	type("ls\n~.", "ls\n!");
	type("a~.", "a~.");
	type("~~.", "~.");
	type("~~~", "~~");
	type("~x~.", "~x~.");
	type("~\r~.", "~\r!");
	type("~", "");
}
END_TEST

START_TEST(ring)
{
	uint8_t buf[4];
	const uint8_t *at;
	struct ring r = { .buf = buf, .size = sizeof(buf) };
	unsigned int i;

	ck_assert_uint_eq(ring_peek(&r, &at), 0);
	for (i = 1; i <= 6; i++)
		ring_put(&r, (uint8_t)i);	/* 1 and 2 are lost */
	ck_assert(ring_full(&r));
	ck_assert_uint_eq(ring_peek(&r, &at), 2);
	ck_assert_uint_eq(at[0], 3);
	ring_drop(&r, 2);
	ck_assert_uint_eq(ring_peek(&r, &at), 2);
	ck_assert_uint_eq(at[1], 6);
	ring_drop(&r, 100);
	ck_assert_uint_eq(r.count, 0);
}
END_TEST

SUITE_MAIN("vmctl: command line", sizes, names, start_options, start_refusals, commands_by_name,
	   escapes, ring)
