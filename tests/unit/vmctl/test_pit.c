// SPDX-License-Identifier: ISC
#include "i8254.h"
#include "suite.h"
#include "util.h"

static struct pit pit;
static unsigned int edges;
static bool line;

static void on_irq(void *arg, unsigned int irq, bool level)
{
	(void)arg;
	REQUIRE(irq == 0);
	if (level && !line)
		edges++;
	line = level;
}

/* The first nanosecond of tick @t, counted from the start of the test. */
#define BASE	(1000 * NSEC)	/* a whole number of ticks */

static uint64_t at(uint64_t t)
{
	return BASE + (t * NSEC + PIT_HZ - 1) / PIT_HZ;
}

static void start(void)
{
	edges = 0;
	line = false;
	pit_init(&pit, (struct irq_line){ on_irq, NULL, 0 }, BASE);
}

static void program(unsigned int channel, unsigned int mode, uint16_t count, uint64_t t)
{
	pit_out(&pit, 0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1), at(t));
	pit_out(&pit, (uint16_t)(0x40 + channel), count & 0xff, at(t));
	pit_out(&pit, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8), at(t));
}

static unsigned int read16(unsigned int channel, uint64_t t)
{
	unsigned int low = pit_in(&pit, (uint16_t)(0x40 + channel), at(t));

	return low | (unsigned int)pit_in(&pit, (uint16_t)(0x40 + channel), at(t)) << 8;
}

static bool out2(uint64_t t)
{
	return pit_in(&pit, 0x61, at(t)) & 0x20;
}

START_TEST(silent_until_programmed)
{
	start();
	ck_assert(pit_next(&pit) == PIT_NEVER);
	pit_run(&pit, at(10000000));
	ck_assert_uint_eq(edges, 0);
}
END_TEST

START_TEST(mode_0_ends_once)
{
	start();
	program(0, 0, 1000, 0);
	ck_assert_uint_eq(pit_next(&pit), at(1000));
	ck_assert_uint_eq(read16(0, 400), 600);
	pit_run(&pit, at(999));
	ck_assert_uint_eq(edges, 0);
	pit_run(&pit, at(1000));
	ck_assert_uint_eq(edges, 1);
	ck_assert(pit_next(&pit) == PIT_NEVER);
	ck_assert_uint_eq(read16(0, 1001), 0xffff);	/* it goes on counting */
	pit_run(&pit, at(200000));
	ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(mode_0_first_byte_stops_it)
{
	start();
	program(0, 0, 1000, 0);
	pit_out(&pit, 0x40, 0x10, at(500));
	ck_assert(pit_next(&pit) == PIT_NEVER);
	pit_out(&pit, 0x40, 0x00, at(600));
	ck_assert_uint_eq(pit_next(&pit), at(616));
}
END_TEST

START_TEST(mode_2_repeats)
{
	unsigned int i;

	start();
	program(0, 2, 4773, 0);
	for (i = 1; i <= 20; i++) {
		ck_assert_uint_eq(pit_next(&pit), at(4773 * i));
		pit_run(&pit, at(4773 * i));
		ck_assert_uint_eq(edges, i);
	}
	ck_assert_uint_eq(read16(0, 4773 * 20), 4773);
	ck_assert_uint_eq(read16(0, 4773 * 20 + 4772), 1);
}
END_TEST

START_TEST(lost_ticks_are_one_edge)
{
	start();
	program(0, 2, 100, 0);
	pit_run(&pit, at(1000050));
	ck_assert_uint_eq(edges, 1);
	ck_assert_uint_eq(pit_next(&pit), at(1000100));
}
END_TEST

START_TEST(mode_2_new_count_waits_for_the_period)
{
	start();
	program(0, 2, 1000, 0);
	pit_out(&pit, 0x40, 0xf4, at(2300));	/* 500 */
	pit_out(&pit, 0x40, 0x01, at(2300));
	ck_assert_uint_eq(read16(0, 2400), 600);
	ck_assert_uint_eq(pit_next(&pit), at(3000));
	pit_run(&pit, at(3000));
	ck_assert_uint_eq(pit_next(&pit), at(3500));
	ck_assert_uint_eq(read16(0, 3100), 400);
}
END_TEST

START_TEST(mode_3_is_a_square_wave)
{
	start();
	pit_out(&pit, 0x61, 0x01, at(0));
	program(2, 3, 1000, 0);
	ck_assert(out2(0));
	ck_assert(out2(499));
	ck_assert(!out2(500));
	ck_assert(!out2(999));
	ck_assert(out2(1000));
	ck_assert_uint_eq(read16(2, 100), 800);	/* by twos */
	ck_assert_uint_eq(read16(2, 600), 800);
	program(2, 3, 5, 2000);			/* odd: the high half is longer */
	ck_assert(out2(2002));
	ck_assert(!out2(2003));
	ck_assert(!out2(2004));
	ck_assert(out2(2005));
}
END_TEST

START_TEST(mode_3_interrupts_once_a_period)
{
	start();
	program(0, 3, 1000, 0);
	ck_assert_uint_eq(pit_next(&pit), at(1000));
	pit_run(&pit, at(1000));
	pit_run(&pit, at(1500));
	ck_assert_uint_eq(edges, 1);
	pit_run(&pit, at(2000));
	ck_assert_uint_eq(edges, 2);
}
END_TEST

START_TEST(mode_4_strobes_once)
{
	start();
	program(0, 4, 50, 0);
	ck_assert_uint_eq(pit_next(&pit), at(51));
	pit_run(&pit, at(51));
	ck_assert_uint_eq(edges, 1);
	ck_assert(pit_next(&pit) == PIT_NEVER);
	/* The way Linux uses it: a new count each time, the mode stays. */
	pit_out(&pit, 0x40, 20, at(100));
	pit_out(&pit, 0x40, 0, at(100));
	ck_assert_uint_eq(pit_next(&pit), at(121));
}
END_TEST

START_TEST(modes_1_and_5_wait_for_the_gate)
{
	start();
	program(2, 1, 100, 0);
	ck_assert(out2(50));
	pit_out(&pit, 0x61, 1, at(60));
	ck_assert(!out2(61));
	ck_assert(!out2(159));
	ck_assert(out2(160));
	pit_out(&pit, 0x61, 0, at(170));
	pit_out(&pit, 0x61, 1, at(180));	/* again */
	ck_assert(!out2(279));
	ck_assert(out2(280));
	program(2, 5, 100, 300);
	pit_out(&pit, 0x61, 0, at(310));
	pit_out(&pit, 0x61, 1, at(320));
	ck_assert(out2(419));
	ck_assert(!out2(420));
	ck_assert(out2(421));
	program(0, 1, 100, 500);		/* channel 0's gate is tied high */
	ck_assert(pit_next(&pit) == PIT_NEVER);
}
END_TEST

START_TEST(gate_stops_and_continues)
{
	start();
	pit_out(&pit, 0x61, 1, at(0));
	program(2, 0, 1000, 0);
	pit_out(&pit, 0x61, 0, at(300));
	ck_assert_uint_eq(read16(2, 5000), 700);
	ck_assert(!out2(5000));
	pit_out(&pit, 0x61, 1, at(6000));
	ck_assert(!out2(6699));
	ck_assert(out2(6700));
	/* Modes 2 and 3 begin anew. */
	program(2, 2, 1000, 7000);
	pit_out(&pit, 0x61, 0, at(7400));
	ck_assert(out2(7999));
	pit_out(&pit, 0x61, 1, at(9000));
	ck_assert_uint_eq(read16(2, 9100), 900);
}
END_TEST

START_TEST(count_loaded_behind_a_closed_gate)
{
	start();
	program(2, 0, 100, 0);
	ck_assert(!out2(1000));
	pit_out(&pit, 0x61, 1, at(2000));
	ck_assert(!out2(2099));
	ck_assert(out2(2100));
}
END_TEST

/* The way Linux calibrates the TSC against channel 2. */
START_TEST(calibration_sequence)
{
	start();
	pit_out(&pit, 0x61, (pit_in(&pit, 0x61, at(0)) & ~2) | 1, at(0));
	pit_out(&pit, 0x43, 0xb0, at(0));
	pit_out(&pit, 0x42, 0xff, at(0));
	pit_out(&pit, 0x42, 0xff, at(0));
	pit_in(&pit, 0x42, at(10));
	ck_assert_uint_eq(pit_in(&pit, 0x42, at(10)), 0xff);
	pit_in(&pit, 0x42, at(300));
	ck_assert_uint_eq(pit_in(&pit, 0x42, at(300)), 0xfe);
}
END_TEST

START_TEST(count_0_is_65536)
{
	start();
	program(0, 2, 0, 0);
	ck_assert_uint_eq(pit_next(&pit), at(65536));
	pit_out(&pit, 0x43, 0x35, at(70000));	/* BCD: 10000 */
	pit_out(&pit, 0x40, 0, at(70000));
	pit_out(&pit, 0x40, 0, at(70000));
	ck_assert_uint_eq(pit_next(&pit), at(80000));
}
END_TEST

START_TEST(count_1_is_bounded)
{
	unsigned int mode;

	for (mode = 0; mode < 6; mode++) {
		start();
		program(0, mode, 1, 0);
		read16(0, 0);
		read16(0, 1);
		pit_run(&pit, at(100));
		ck_assert_uint_le(edges, 1);
		if (mode == 2 || mode == 3)
			ck_assert_uint_eq(pit_next(&pit), at(102));
	}
}
END_TEST

START_TEST(bcd_counts_and_reads)
{
	start();
	pit_out(&pit, 0x43, 0x31, at(0));
	pit_out(&pit, 0x40, 0x34, at(0));
	pit_out(&pit, 0x40, 0x12, at(0));
	ck_assert_uint_eq(read16(0, 35), 0x1199);
	ck_assert_uint_eq(pit_next(&pit), at(1234));
	ck_assert_uint_eq(read16(0, 1235), 0x9999);
}
END_TEST

START_TEST(latch_holds_until_read)
{
	start();
	program(0, 2, 1000, 0);
	pit_out(&pit, 0x43, 0x00, at(100));
	pit_out(&pit, 0x43, 0x00, at(200));	/* a second latch is ignored */
	ck_assert_uint_eq(read16(0, 300), 900);
	ck_assert_uint_eq(read16(0, 300), 700);
}
END_TEST

START_TEST(read_back_count_and_status)
{
	start();
	program(0, 2, 1000, 0);
	pit_out(&pit, 0x43, 0xc2, at(100));	/* both, channel 0 */
	ck_assert_uint_eq(pit_in(&pit, 0x40, at(500)), 0x80 | 0x30 | 2 << 1);
	ck_assert_uint_eq(read16(0, 500), 900);
	pit_out(&pit, 0x43, 0xe8, at(600));	/* status, channel 2 */
	ck_assert_uint_eq(pit_in(&pit, 0x42, at(600)) & 0x3f, 0x36);
	pit_out(&pit, 0x43, 0x30, at(700));	/* mode written, count not yet */
	pit_out(&pit, 0x43, 0xe2, at(700));
	ck_assert_uint_eq(pit_in(&pit, 0x40, at(700)), 0x40 | 0x30);
}
END_TEST

START_TEST(single_byte_access)
{
	start();
	pit_out(&pit, 0x43, 0x14, at(0));	/* low byte only, mode 2 */
	pit_out(&pit, 0x40, 200, at(0));
	ck_assert_uint_eq(pit_next(&pit), at(200));
	ck_assert_uint_eq(pit_in(&pit, 0x40, at(50)), 150);
	ck_assert_uint_eq(pit_in(&pit, 0x40, at(51)), 149);
	pit_out(&pit, 0x43, 0x24, at(300));	/* high byte only */
	pit_out(&pit, 0x40, 2, at(300));
	ck_assert_uint_eq(pit_next(&pit), at(812));
	ck_assert_uint_eq(pit_in(&pit, 0x40, at(300)), 2);
}
END_TEST

START_TEST(port_61)
{
	start();
	pit_out(&pit, 0x61, 0xff, at(0));
	ck_assert_uint_eq(pit_in(&pit, 0x61, at(0)) & 0xcf, 0x03);
	pit_out(&pit, 0x61, 0x00, at(0));
	ck_assert_uint_eq(pit_in(&pit, 0x61, at(0)) & 0xcf, 0x00);
	/* The refresh bit flips: old delay loops wait for it. */
	ck_assert_uint_ne(pit_in(&pit, 0x61, BASE) & 0x10,
			  pit_in(&pit, 0x61, BASE + 15085) & 0x10);
	ck_assert_uint_eq(pit_in(&pit, 0x43, at(0)), 0xff);
}
END_TEST

START_TEST(edge_due_before_reprogramming_counts)
{
	start();
	program(0, 0, 100, 0);
	program(0, 0, 100, 150);
	ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(any_writes_are_safe)
{
	uint64_t t = 0, next;
	unsigned int i;

	srand(2);
	start();
	for (i = 0; i < 300000; i++) {
		uint16_t port = (uint16_t)(rand() % 5 == 4 ? 0x61 : 0x40 + rand() % 4);

		t += (uint64_t)(rand() % 3000);
		if (rand() % 3)
			pit_out(&pit, port, (uint8_t)rand(), at(t));
		else
			pit_in(&pit, port, at(t));
		pit_run(&pit, at(t));
		next = pit_next(&pit);
		REQUIRE(next > at(t));
	}
}
END_TEST

SUITE_MAIN("vmctl: i8254", silent_until_programmed, mode_0_ends_once, mode_0_first_byte_stops_it,
	   mode_2_repeats, lost_ticks_are_one_edge, mode_2_new_count_waits_for_the_period,
	   mode_3_is_a_square_wave, mode_3_interrupts_once_a_period, mode_4_strobes_once,
	   modes_1_and_5_wait_for_the_gate, gate_stops_and_continues,
	   count_loaded_behind_a_closed_gate, calibration_sequence, count_0_is_65536,
	   count_1_is_bounded, bcd_counts_and_reads, latch_holds_until_read,
	   read_back_count_and_status, single_byte_access, port_61,
	   edge_due_before_reprogramming_counts, any_writes_are_safe)
