// SPDX-License-Identifier: ISC
#include "i8259.h"
#include "suite.h"

static struct pic pic;
static unsigned int changes;
static bool output;

static void on_intr(void *arg, bool level)
{
	REQUIRE(arg == &pic);
	changes++;
	output = level;
}

static void out(uint16_t port, uint8_t v)
{
	pic_out(&pic, port, v, 0);
}

static uint8_t in(uint16_t port)
{
	return pic_in(&pic, port, 0);
}

/* As Linux programs them: vectors 0x30 and 0x38, explicit EOI, nothing masked. */
static void start(void)
{
	changes = 0;
	output = false;
	pic_init(&pic, on_intr, &pic);
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, 0x01);
	out(0xa0, 0x11);
	out(0xa1, 0x38);
	out(0xa1, 0x02);
	out(0xa1, 0x01);
	out(0x21, 0x00);
	out(0xa1, 0x00);
}

static void edge(unsigned int irq)
{
	pic_set_irq(&pic, irq, true);
	pic_set_irq(&pic, irq, false);
}

START_TEST(init_sequence)
{
	start();
	out(0x21, 0xff);
	ck_assert_uint_eq(in(0x21), 0xff);
	out(0x20, 0x11);	/* ICW1 clears the mask; then three ICWs are awaited */
	out(0x21, 0x47);	/* the low bits of ICW2 are not part of the base */
	out(0x21, 0x04);
	out(0x21, 0x01);
	ck_assert_uint_eq(in(0x21), 0x00);
	out(0x21, 0xfe);	/* a mask again */
	ck_assert_uint_eq(in(0x21), 0xfe);
	edge(0);
	ck_assert_uint_eq(pic_ack(&pic), 0x40);
}
END_TEST

START_TEST(init_without_icw4_or_cascade)
{
	start();
	out(0x20, 0x12);	/* single, no ICW4 */
	out(0x21, 0x50);
	out(0x21, 0xaa);	/* so this is a mask */
	ck_assert_uint_eq(in(0x21), 0xaa);
	out(0x20, 0x10);	/* cascade, no ICW4 */
	out(0x21, 0x50);
	out(0x21, 0x04);
	out(0x21, 0x55);
	ck_assert_uint_eq(in(0x21), 0x55);
}
END_TEST

START_TEST(init_forgets_requests_and_service)
{
	start();
	edge(3);
	edge(4);
	pic_ack(&pic);
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, 0x01);
	ck_assert(!pic_pending(&pic));
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0);
}
END_TEST

START_TEST(lower_number_goes_first)
{
	start();
	edge(7);
	edge(1);
	edge(5);
	ck_assert(pic_pending(&pic));
	ck_assert_uint_eq(pic_ack(&pic), 0x31);
	ck_assert(!pic_pending(&pic));	/* 1 in service blocks 5 and 7 */
	edge(0);
	ck_assert_uint_eq(pic_ack(&pic), 0x30);	/* but not 0 */
	out(0x20, 0x20);
	out(0x20, 0x20);
	ck_assert_uint_eq(pic_ack(&pic), 0x35);
	out(0x20, 0x20);
	ck_assert_uint_eq(pic_ack(&pic), 0x37);
	out(0x20, 0x20);
	ck_assert(!pic_pending(&pic));
}
END_TEST

START_TEST(mask_holds_back_and_lets_go)
{
	start();
	out(0x21, 0x10);
	edge(4);
	ck_assert(!pic_pending(&pic));
	out(0x20, 0x0a);
	ck_assert_uint_eq(in(0x20), 0x10);	/* requested all the same */
	out(0x21, 0x00);
	ck_assert_uint_eq(pic_ack(&pic), 0x34);
}
END_TEST

START_TEST(edge_is_one_request)
{
	start();
	pic_set_irq(&pic, 4, true);
	ck_assert_uint_eq(pic_ack(&pic), 0x34);
	out(0x20, 0x20);
	pic_set_irq(&pic, 4, true);	/* still high: no new edge */
	ck_assert(!pic_pending(&pic));
	pic_set_irq(&pic, 4, false);
	pic_set_irq(&pic, 4, true);
	ck_assert(pic_pending(&pic));
}
END_TEST

START_TEST(level_line_asks_until_it_falls)
{
	start();
	out(0x4d1, 0x08);		/* IRQ 11 */
	ck_assert_uint_eq(in(0x4d1), 0x08);
	pic_set_irq(&pic, 11, true);
	ck_assert_uint_eq(pic_ack(&pic), 0x3b);
	ck_assert(!pic_pending(&pic));
	out(0xa0, 0x20);
	out(0x20, 0x20);
	ck_assert(pic_pending(&pic));	/* still high: again */
	pic_set_irq(&pic, 11, false);
	ck_assert(!pic_pending(&pic));
}
END_TEST

START_TEST(elcr_keeps_the_fixed_lines)
{
	start();
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	ck_assert_uint_eq(in(0x4d0), 0xf8);
	ck_assert_uint_eq(in(0x4d1), 0xde);
}
END_TEST

START_TEST(elcr_change_takes_the_line_as_it_is)
{
	start();
	edge(5);			/* latched, line low */
	out(0x4d0, 0x20);
	ck_assert(!pic_pending(&pic));
	out(0x4d0, 0x00);
	pic_set_irq(&pic, 6, true);
	pic_ack(&pic);
	out(0x20, 0x66);
	out(0x4d0, 0x40);
	ck_assert(pic_pending(&pic));
}
END_TEST

START_TEST(spurious_is_line_7)
{
	start();
	ck_assert_uint_eq(pic_ack(&pic), 0x37);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0);	/* and is not in service */
	out(0x4d0, 0x20);
	pic_set_irq(&pic, 5, true);
	pic_set_irq(&pic, 5, false);	/* gone before the CPU asks */
	ck_assert_uint_eq(pic_ack(&pic), 0x37);
}
END_TEST

START_TEST(cascade)
{
	start();
	edge(12);
	edge(8);
	ck_assert_uint_eq(pic_ack(&pic), 0x38);
	out(0x20, 0x0b);
	out(0xa0, 0x0b);
	ck_assert_uint_eq(in(0x20), 0x04);
	ck_assert_uint_eq(in(0xa0), 0x01);
	ck_assert(!pic_pending(&pic));
	edge(1);			/* above the cascade */
	ck_assert_uint_eq(pic_ack(&pic), 0x31);
	out(0x20, 0x20);
	out(0xa0, 0x20);
	ck_assert(!pic_pending(&pic));	/* the master still has line 2 in service */
	out(0x20, 0x62);
	ck_assert_uint_eq(pic_ack(&pic), 0x3c);
}
END_TEST

START_TEST(cascade_leaves_no_spurious_request)
{
	start();
	edge(9);
	ck_assert(pic_pending(&pic));
	out(0xa1, 0xff);
	ck_assert(!pic_pending(&pic));
	pic_set_irq(&pic, 2, true);	/* the cascade pin is no device's */
	ck_assert(!pic_pending(&pic));
}
END_TEST

START_TEST(special_fully_nested)
{
	start();
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, 0x11);
	edge(12);
	ck_assert_uint_eq(pic_ack(&pic), 0x3c);
	edge(9);			/* above 12 on the slave: the master lets it through */
	ck_assert_uint_eq(pic_ack(&pic), 0x39);
}
END_TEST

START_TEST(special_mask_mode)
{
	start();
	edge(1);
	pic_ack(&pic);
	edge(6);
	ck_assert(!pic_pending(&pic));
	out(0x21, 0x02);
	out(0x20, 0x68);		/* a masked line in service no longer blocks */
	ck_assert_uint_eq(pic_ack(&pic), 0x36);
	out(0x20, 0x20);		/* and a plain EOI does not reach it */
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0x02);
	out(0x20, 0x48);
	out(0x20, 0x61);
	ck_assert_uint_eq(in(0x20), 0x00);
}
END_TEST

START_TEST(automatic_eoi)
{
	start();
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, 0x03);
	edge(2 + 1);
	ck_assert_uint_eq(pic_ack(&pic), 0x33);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0);
	out(0x20, 0x80);		/* rotating */
	edge(3);
	ck_assert_uint_eq(pic_ack(&pic), 0x33);
	edge(3);
	edge(4);
	ck_assert_uint_eq(pic_ack(&pic), 0x34);
}
END_TEST

START_TEST(rotation)
{
	start();
	edge(3);
	pic_ack(&pic);
	out(0x20, 0xa0);		/* EOI, and 3 becomes the lowest */
	edge(3);
	edge(4);
	edge(0);
	ck_assert_uint_eq(pic_ack(&pic), 0x34);
	out(0x20, 0xe4);		/* the same for line 4 by name */
	ck_assert_uint_eq(pic_ack(&pic), 0x30);
	out(0x20, 0x20);
	out(0x20, 0xc7);		/* 7 the lowest: the order of power-on */
	edge(4);
	edge(0);
	ck_assert_uint_eq(pic_ack(&pic), 0x30);
	out(0x20, 0x40);		/* no operation */
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0x01);
}
END_TEST

START_TEST(poll)
{
	start();
	out(0x20, 0x0c);
	ck_assert_uint_eq(in(0x20), 0x00);
	edge(5);
	out(0x20, 0x0c);
	ck_assert_uint_eq(in(0x20), 0x85);
	out(0x20, 0x0b);
	ck_assert_uint_eq(in(0x20), 0x20);
	edge(10);
	out(0xa0, 0x0c);
	ck_assert_uint_eq(in(0xa0), 0x82);
}
END_TEST

START_TEST(irr_shows_the_cascade)
{
	start();
	out(0x21, 0xff);
	edge(9);
	edge(0);
	out(0x20, 0x0a);
	ck_assert_uint_eq(in(0x20), 0x05);
	out(0xa0, 0x0a);
	ck_assert_uint_eq(in(0xa0), 0x02);
}
END_TEST

START_TEST(output_is_reported_once_a_change)
{
	start();
	edge(4);
	edge(5);
	ck_assert_uint_eq(changes, 1);
	ck_assert(output);
	pic_ack(&pic);
	ck_assert_uint_eq(changes, 2);
	ck_assert(!output);
	out(0x20, 0x20);
	ck_assert_uint_eq(changes, 3);
	ck_assert(output);
	pic_reset(&pic);
	ck_assert(!pic_pending(&pic));
}
END_TEST

START_TEST(any_writes_are_safe)
{
	static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	unsigned int i;

	srand(1);
	start();
	for (i = 0; i < 200000; i++) {
		uint16_t port = ports[(unsigned int)rand() % 6];

		switch (rand() % 4) {
		case 0:
			in(port);
			break;
		case 1:
			pic_set_irq(&pic, (unsigned int)rand() % 18, rand() % 2);
			break;
		case 2:
			if (pic_pending(&pic))
				pic_ack(&pic);
			break;
		default:
			out(port, (uint8_t)rand());
			break;
		}
		REQUIRE(output == pic_pending(&pic));
	}
}
END_TEST

SUITE_MAIN("vmctl: i8259", init_sequence, init_without_icw4_or_cascade,
	   init_forgets_requests_and_service, lower_number_goes_first, mask_holds_back_and_lets_go,
	   edge_is_one_request, level_line_asks_until_it_falls, elcr_keeps_the_fixed_lines,
	   elcr_change_takes_the_line_as_it_is, spurious_is_line_7, cascade,
	   cascade_leaves_no_spurious_request, special_fully_nested, special_mask_mode,
	   automatic_eoi, rotation, poll, irr_shows_the_cascade,
	   output_is_reported_once_a_change, any_writes_are_safe)
