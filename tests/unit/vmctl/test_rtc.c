// SPDX-License-Identifier: ISC
#include <time.h>

#include "mc146818.h"
#include "suite.h"
#include "util.h"

/* 2026-11-22 17:05:09 UTC, a Sunday. */
#define WALL	(1795367109ULL * NSEC)
#define START	(5000 * NSEC)

static struct rtc rtc;
static bool line;

static void on_irq(void *arg, unsigned int irq, bool level)
{
	(void)arg;
	REQUIRE(irq == RTC_IRQ);
	line = level;
}

static uint64_t at(uint64_t ns)
{
	return START + ns;
}

static uint8_t rd(uint8_t reg, uint64_t t)
{
	rtc_out(&rtc, 0x70, reg, at(t));
	return rtc_in(&rtc, 0x71, at(t));
}

static void wr(uint8_t reg, uint8_t v, uint64_t t)
{
	rtc_out(&rtc, 0x70, reg, at(t));
	rtc_out(&rtc, 0x71, v, at(t));
}

static void start(void)
{
	line = false;
	rtc_init(&rtc, (struct irq_line){ on_irq, NULL, RTC_IRQ }, START, WALL, 512 * MIB, 2 * GIB);
}

START_TEST(shows_the_host_time)
{
	start();
	ck_assert_uint_eq(rd(0, 0), 0x09);
	ck_assert_uint_eq(rd(2, 0), 0x05);
	ck_assert_uint_eq(rd(4, 0), 0x17);
	ck_assert_uint_eq(rd(6, 0), 0x01);
	ck_assert_uint_eq(rd(7, 0), 0x22);
	ck_assert_uint_eq(rd(8, 0), 0x11);
	ck_assert_uint_eq(rd(9, 0), 0x26);
	ck_assert_uint_eq(rd(0x32, 0), 0x20);
	ck_assert_uint_eq(rd(0, 61 * NSEC), 0x10);
	ck_assert_uint_eq(rd(2, 61 * NSEC), 0x06);
	ck_assert_uint_eq(rd(0x0d, 0), 0x80);
}
END_TEST

START_TEST(binary_and_twelve_hours)
{
	start();
	wr(0x0b, 0x06, 0);
	ck_assert_uint_eq(rd(4, 0), 17);
	ck_assert_uint_eq(rd(7, 0), 22);
	wr(0x0b, 0x00, 0);
	ck_assert_uint_eq(rd(4, 0), 0x85);	/* 5 pm */
	ck_assert_uint_eq(rd(4, 7 * 3600 * NSEC), 0x12);	/* midnight: 12 am */
}
END_TEST

START_TEST(guest_sets_the_clock)
{
	start();
	wr(0x0b, 0x82, 0);
	wr(0, 0x58, 0);
	wr(2, 0x59, 0);
	wr(4, 0x23, 0);
	wr(7, 0x28, 0);
	wr(8, 0x02, 0);
	wr(9, 0x24, 0);
	wr(0x32, 0x20, 0);
	ck_assert_uint_eq(rd(0, 10 * NSEC), 0x58);	/* stopped while SET is on */
	wr(0x0b, 0x02, 10 * NSEC);
	ck_assert_uint_eq(rd(0, 12 * NSEC), 0x00);
	ck_assert_uint_eq(rd(2, 12 * NSEC), 0x00);
	ck_assert_uint_eq(rd(4, 12 * NSEC), 0x00);
	ck_assert_uint_eq(rd(7, 12 * NSEC), 0x29);	/* a leap year */
	wr(2, 0x30, 12 * NSEC);				/* without SET as well */
	ck_assert_uint_eq(rd(2, 12 * NSEC), 0x30);
	ck_assert_uint_eq(rd(7, 12 * NSEC), 0x29);
}
END_TEST

/* Every day of four centuries, against the C library. */
START_TEST(dates)
{
	uint64_t day;
	struct tm tm;
	time_t t;

	for (day = 0; day < 365 * 400 + 97; day++) {
		t = (time_t)(day * 86400 + day % 86400);
		gmtime_r(&t, &tm);
		rtc_init(&rtc, (struct irq_line){ on_irq, NULL, RTC_IRQ }, START,
			 (uint64_t)t * NSEC, 512 * MIB, 0);
		wr(0x0b, 0x06, 0);
		REQUIRE(rd(0, 0) == tm.tm_sec);
		REQUIRE(rd(4, 0) == tm.tm_hour);
		REQUIRE(rd(6, 0) == tm.tm_wday + 1);
		REQUIRE(rd(7, 0) == tm.tm_mday);
		REQUIRE(rd(8, 0) == tm.tm_mon + 1);
		REQUIRE(rd(9, 0) + rd(0x32, 0) * 100 == tm.tm_year + 1900);
		/* Setting it to what it shows changes nothing. */
		wr(7, rd(7, 0), 0);
		REQUIRE(rtc.offset == (int64_t)((uint64_t)t * NSEC - START));
	}
}
END_TEST

START_TEST(update_in_progress)
{
	start();
	ck_assert_uint_eq(rd(0x0a, 0), 0x26);
	ck_assert_uint_eq(rd(0x0a, NSEC - 100000), 0xa6);
	ck_assert_uint_eq(rd(0x0a, NSEC), 0x26);
	wr(0x0b, 0x82, NSEC);
	ck_assert_uint_eq(rd(0x0a, 2 * NSEC - 100000), 0x26);
}
END_TEST

START_TEST(update_interrupt)
{
	start();
	ck_assert(rtc_next(&rtc) == RTC_NEVER);
	wr(0x0b, 0x12, 0);
	ck_assert_uint_eq(rtc_next(&rtc), at(NSEC));
	rtc_run(&rtc, at(NSEC - 1));
	ck_assert(!line);
	rtc_run(&rtc, at(NSEC));
	ck_assert(line);
	ck_assert(rtc_next(&rtc) == RTC_NEVER);		/* until the flag is taken */
	ck_assert_uint_eq(rd(0x0c, NSEC) & 0xb0, 0x90);
	ck_assert(!line);
	ck_assert_uint_eq(rd(0x0c, NSEC), 0);
	ck_assert_uint_eq(rtc_next(&rtc), at(2 * NSEC));
}
END_TEST

START_TEST(periodic_interrupt)
{
	uint64_t next;

	start();
	wr(0x0a, 0x26, 0);		/* 1024 Hz */
	wr(0x0b, 0x42, 0);
	next = rtc_next(&rtc);
	ck_assert(next > at(0) && next <= at(NSEC / 1024 + 1));
	rtc_run(&rtc, next);
	ck_assert(line);
	ck_assert_uint_eq(rd(0x0c, next - START) & 0xd0, 0xc0);
	wr(0x0a, 0x20, next - START);	/* rate 0: none */
	ck_assert(rtc_next(&rtc) == RTC_NEVER);
	wr(0x0a, 0x21, next - START);	/* 256 Hz */
	next = rtc_next(&rtc) - at(next - START);
	ck_assert_uint_le(next, NSEC / 256 + 1);
}
END_TEST

START_TEST(alarm)
{
	start();
	wr(1, 0x12, 0);
	wr(3, 0x05, 0);
	wr(5, 0x17, 0);
	wr(0x0b, 0x22, 0);
	rtc_run(&rtc, at(2 * NSEC));
	ck_assert(!line);
	rtc_run(&rtc, at(3 * NSEC));
	ck_assert(line);
	ck_assert_uint_eq(rd(0x0c, 3 * NSEC) & 0xa0, 0xa0);
	rtc_run(&rtc, at(100 * NSEC));
	ck_assert(!line);
	/* Any minute, any hour; and a second that passed while nobody looked. */
	wr(3, 0xff, 100 * NSEC);
	wr(5, 0xc0, 100 * NSEC);
	rtc_run(&rtc, at(170 * NSEC));
	ck_assert(line);
}
END_TEST

START_TEST(set_switches_updates_off)
{
	start();
	wr(0x0b, 0x92, 0);
	ck_assert_uint_eq(rd(0x0b, 0), 0x82);
	rtc_run(&rtc, at(10 * NSEC));
	ck_assert_uint_eq(rd(0x0c, 10 * NSEC) & 0x10, 0);
}
END_TEST

START_TEST(memory_sizes)
{
	start();
	ck_assert_uint_eq(rd(0x15, 0) | rd(0x16, 0) << 8, 640);
	ck_assert_uint_eq(rd(0x17, 0) | rd(0x18, 0) << 8, 0xffff);
	ck_assert_uint_eq(rd(0x34, 0) | rd(0x35, 0) << 8, (512 - 16) * 16);
	ck_assert_uint_eq(rd(0x5b, 0) | rd(0x5c, 0) << 8 | rd(0x5d, 0) << 16, 32768);
}
END_TEST

START_TEST(ram_keeps_and_ports_behave)
{
	start();
	wr(0x8f, 0x5a, 0);		/* bit 7 is the NMI mask */
	ck_assert_uint_eq(rd(0x0f, 0), 0x5a);
	ck_assert_uint_eq(rtc_in(&rtc, 0x70, at(0)), 0xff);
	wr(0x0d, 0x00, 0);
	ck_assert_uint_eq(rd(0x0d, 0), 0x80);
}
END_TEST

START_TEST(any_accesses_are_safe)
{
	uint64_t t = 0;
	unsigned int i;

	srand(4);
	start();
	for (i = 0; i < 100000; i++) {
		t += (uint64_t)rand() % NSEC;
		if (rand() % 2)
			wr((uint8_t)(rand() % 14), (uint8_t)rand(), t);
		else
			rd((uint8_t)rand(), t);
		if (rand() % 100 == 0)
			t += (uint64_t)rand() * 1000000;
		rtc_run(&rtc, at(t));
		REQUIRE(rtc_next(&rtc) > at(t));
	}
}
END_TEST

SUITE_MAIN("vmctl: mc146818", shows_the_host_time, binary_and_twelve_hours,
	   guest_sets_the_clock, dates,
	   update_in_progress, update_interrupt, periodic_interrupt, alarm,
	   set_switches_updates_off, memory_sizes, ram_keeps_and_ports_behave,
	   any_accesses_are_safe)
