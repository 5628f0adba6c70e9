// SPDX-License-Identifier: ISC
#include <string.h>

#include "ns8250.h"
#include "suite.h"

static struct uart uart;
static bool line;
static unsigned int edges;
static char sent[65536 * 2];
static size_t sent_count, room;

static void on_irq(void *arg, unsigned int irq, bool level)
{
	(void)arg;
	REQUIRE(irq == UART_IRQ);
	if (level && !line)
		edges++;
	line = level;
}

static bool has_room(void *arg)
{
	(void)arg;
	return room > 0;
}

static void tx(void *arg, uint8_t byte)
{
	(void)arg;
	REQUIRE(room > 0);
	room--;
	sent[sent_count++] = (char)byte;
}

static void out(unsigned int reg, uint8_t v)
{
	uart_out(&uart, (uint16_t)(0x3f8 + reg), v, 0);
}

static uint8_t in(unsigned int reg)
{
	return uart_in(&uart, (uint16_t)(0x3f8 + reg), 0);
}

static void start(void)
{
	sent_count = 0;
	room = sizeof(sent);
	edges = 0;
	line = false;
	uart_init(&uart, (struct irq_line){ on_irq, NULL, UART_IRQ }, has_room, tx, NULL);
	out(4, 0x0b);		/* DTR, RTS, OUT2 */
}

START_TEST(bytes_go_out)
{
	start();
	ck_assert_uint_eq(in(5), 0x60);
	out(0, 'h');
	out(0, 'i');
	ck_assert_uint_eq(in(5), 0x60);
	ck_assert_mem_eq(sent, "hi", 2);
	ck_assert_uint_eq(sent_count, 2);
}
END_TEST

START_TEST(divisor_is_not_data)
{
	start();
	out(3, 0x83);
	out(0, 0x0c);
	out(1, 0x01);
	ck_assert_uint_eq(in(0), 0x0c);
	ck_assert_uint_eq(in(1), 0x01);
	out(3, 0x03);
	ck_assert_uint_eq(in(1), 0x00);
	ck_assert_uint_eq(sent_count, 0);
	ck_assert_uint_eq(in(3), 0x03);
}
END_TEST

START_TEST(scratch_and_reserved_bits)
{
	start();
	out(7, 0x5a);
	ck_assert_uint_eq(in(7), 0x5a);
	out(1, 0xff);
	ck_assert_uint_eq(in(1), 0x0f);
	out(4, 0xff);
	ck_assert_uint_eq(in(4), 0x1f);
	out(5, 0xff);		/* read only */
	out(6, 0xff);
	ck_assert_uint_eq(in(5) & 0x9f, 0x00);
}
END_TEST

START_TEST(fifo_is_announced)
{
	start();
	ck_assert_uint_eq(in(2), 0x01);
	out(2, 0x01);
	ck_assert_uint_eq(in(2), 0xc1);
	out(2, 0x00);
	ck_assert_uint_eq(in(2), 0x01);
}
END_TEST

START_TEST(transmitter_interrupt)
{
	start();
	out(1, 0x02);
	ck_assert(line);		/* empty when enabled: an interrupt at once */
	ck_assert_uint_eq(in(2), 0x02);
	ck_assert(!line);		/* reading it acknowledges */
	ck_assert_uint_eq(in(2), 0x01);
	out(0, 'x');
	ck_assert(line);
	ck_assert_uint_eq(edges, 2);
	out(0, 'y');			/* an edge-triggered controller needs a new edge */
	ck_assert_uint_eq(edges, 3);
	/* Linux looks for chips that do not raise it again. */
	out(1, 0x00);
	ck_assert(!line);
	in(2);
	out(1, 0x02);
	ck_assert_uint_eq(in(2), 0x02);
}
END_TEST

START_TEST(receiver_interrupt_by_trigger_level)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };
	unsigned int i, k;

	for (i = 0; i < 4; i++) {
		start();
		out(2, (uint8_t)(0x01 | i << 6));
		out(1, 0x01);
		for (k = 1; k < level[i]; k++) {
			uart_rx(&uart, 'a');
			ck_assert_uint_eq(in(2), 0xcc);	/* character timeout */
		}
		uart_rx(&uart, 'b');
		ck_assert_uint_eq(in(2), 0xc4);
		ck_assert(line);
		for (k = 1; k < level[i]; k++)
			ck_assert_uint_eq(in(0), 'a');
		ck_assert_uint_eq(in(0), 'b');
		ck_assert(!line);
		ck_assert_uint_eq(in(5) & 1, 0);
	}
}
END_TEST

START_TEST(line_status_has_the_highest_priority)
{
	unsigned int i;

	start();
	out(1, 0x0f);
	out(2, 0x01);
	for (i = 0; i < 17; i++)
		uart_rx(&uart, (uint8_t)i);
	ck_assert_uint_eq(in(2), 0xc6);
	ck_assert_uint_eq(in(5), 0x63);
	ck_assert_uint_eq(in(2), 0xc4);
	for (i = 0; i < 16; i++)
		ck_assert_uint_eq(in(0), i);	/* the 17th was lost, not the first */
	ck_assert_uint_eq(in(2), 0xc2);
	ck_assert_uint_eq(in(2), 0xc1);
	ck_assert_uint_eq(in(5), 0x60);
}
END_TEST

START_TEST(overrun_without_fifo)
{
	start();
	ck_assert(uart_rx_room(&uart));
	uart_rx(&uart, 1);
	ck_assert(!uart_rx_room(&uart));
	uart_rx(&uart, 2);
	ck_assert_uint_eq(in(5), 0x63);
	ck_assert_uint_eq(in(5), 0x61);
	ck_assert_uint_eq(in(0), 2);
	ck_assert(uart_rx_room(&uart));
}
END_TEST

START_TEST(fifo_reset_and_switch)
{
	start();
	out(2, 0x01);
	uart_rx(&uart, 1);
	out(2, 0x03);			/* clear the receiver */
	ck_assert_uint_eq(in(5) & 1, 0);
	uart_rx(&uart, 1);
	out(2, 0x00);			/* switching it off empties it */
	ck_assert_uint_eq(in(5) & 1, 0);
	ck_assert_uint_eq(in(0), 0);	/* nothing there */
}
END_TEST

/* The probe of Linux's 8250 driver. */
START_TEST(loopback)
{
	start();
	out(4, 0x1a);
	ck_assert_uint_eq(in(6) & 0xf0, 0x90);
	out(0, 'L');
	ck_assert_uint_eq(sent_count, 0);
	ck_assert_uint_eq(in(0), 'L');
	ck_assert(!uart_rx_room(&uart));
	uart_rx(&uart, 'x');		/* the wire is cut */
	ck_assert_uint_eq(in(5) & 1, 0);
	out(1, 0x0f);
	ck_assert(!line);
	out(4, 0x0b);
	ck_assert_uint_eq(in(6) & 0xf0, 0xb0);
}
END_TEST

START_TEST(modem_changes)
{
	start();
	in(6);
	out(1, 0x08);
	out(4, 0x18);			/* loop, OUT2 = DCD; CTS and DSR fall */
	ck_assert_uint_eq(in(6), 0x80 | 0x03);
	ck_assert_uint_eq(in(6), 0x80);
	out(4, 0x1c);			/* the ring indicator rises: no delta */
	ck_assert_uint_eq(in(6), 0xc0);
	out(4, 0x08);			/* and falls */
	ck_assert_uint_eq(in(2), 0x00);
	ck_assert(line);
	ck_assert_uint_eq(in(6), 0xb0 | 0x07);
	ck_assert(!line);
}
END_TEST

START_TEST(out2_connects_the_interrupt)
{
	start();
	out(4, 0x03);
	out(1, 0x01);
	uart_rx(&uart, 1);
	ck_assert(!line);
	out(4, 0x0b);
	ck_assert(line);
}
END_TEST

START_TEST(flood_is_bounded)
{
	unsigned int i;

	start();
	room = 1000;
	for (i = 0; i < 100000; i++)
		out(0, 'F');		/* does not look at the line status */
	ck_assert_uint_eq(sent_count, 1000);
	ck_assert_uint_eq(in(5), 0x00);	/* full */
	out(1, 0x02);
	ck_assert(!line);
	room = 10;
	uart_tx_ready(&uart);
	ck_assert(line);
	ck_assert_uint_eq(in(5), 0x60);
	ck_assert_uint_eq(sent_count, 1001);	/* what the holding register had */
	out(0, 'G');
	ck_assert_uint_eq(sent_count, 1002);
}
END_TEST

/* Each empty transmitter is given as many bytes as fit; none is lost, however it is read. */
static void slow_reader(uint8_t fcr, unsigned int burst)
{
	unsigned int n = 0, k;

	start();
	out(2, fcr);
	out(1, 0x02);
	room = 0;
	while (sent_count < 100000) {
		while (line && n < 100000) {
			REQUIRE((in(2) & 0x0f) == 0x02);
			REQUIRE((in(5) & 0x60) == 0x60);
			for (k = 0; k < burst && n < 100000; k++)
				out(0, (uint8_t)(n++ * 7));
		}
		room += 100;
		uart_tx_ready(&uart);
		REQUIRE(sent_count > 0);
	}
	ck_assert_uint_eq(n, 100000);
	ck_assert_uint_eq(sent_count, 100000);
	for (n = 0; n < 100000; n++)
		REQUIRE((uint8_t)sent[n] == (uint8_t)(n * 7));
	ck_assert_uint_eq(in(5), 0x60);
}

START_TEST(nothing_is_lost_with_fifos)
{
	slow_reader(0x01, 16);
	slow_reader(0xc7, 16);
	slow_reader(0x01, 3);
}
END_TEST

START_TEST(nothing_is_lost_without_fifos)
{
	slow_reader(0x00, 1);
}
END_TEST

/* A driver that polls the line status, as Linux' console does. */
START_TEST(polled_output)
{
	unsigned int n;

	start();
	room = 0;
	for (n = 0; n < 1000; n++) {
		while (!(in(5) & 0x20)) {
			room = 1;
			uart_tx_ready(&uart);
		}
		out(0, (uint8_t)n);
	}
	room = 1;
	uart_tx_ready(&uart);
	ck_assert_uint_eq(sent_count, 1000);
	for (n = 0; n < 1000; n++)
		REQUIRE((uint8_t)sent[n] == (uint8_t)n);
}
END_TEST

START_TEST(transmitter_fifo)
{
	unsigned int i;

	start();
	out(2, 0x01);
	out(1, 0x02);
	in(2);
	room = 0;
	for (i = 0; i < 17; i++)
		out(0, (uint8_t)('a' + i));
	ck_assert_uint_eq(in(5), 0x00);
	ck_assert(!line);
	room = 15;
	uart_tx_ready(&uart);
	ck_assert_uint_eq(sent_count, 15);
	ck_assert_uint_eq(in(5), 0x00);	/* THRE is the whole FIFO's */
	ck_assert(!line);
	room = 2;
	uart_tx_ready(&uart);
	ck_assert_mem_eq(sent, "abcdefghijklmnop", 16);
	ck_assert_uint_eq(sent_count, 16);	/* the 17th was one too many */
	ck_assert_uint_eq(in(5), 0x60);
	ck_assert(line);
	ck_assert_uint_eq(in(2), 0xc2);
	ck_assert(!line);
}
END_TEST

START_TEST(transmitter_fifo_reset)
{
	start();
	out(2, 0x01);
	out(1, 0x02);
	in(2);
	room = 0;
	out(0, 'x');
	out(0, 'y');
	out(2, 0x03);			/* the receiver's only */
	ck_assert_uint_eq(in(5), 0x00);
	out(2, 0x05);
	ck_assert_uint_eq(in(5), 0x60);
	ck_assert(line);
	ck_assert_uint_eq(in(2), 0xc2);
	out(0, 'z');
	out(2, 0x00);			/* switching the FIFOs off empties them */
	ck_assert_uint_eq(in(5), 0x60);
	room = 10;
	uart_tx_ready(&uart);
	ck_assert_uint_eq(sent_count, 0);
	/* Without FIFOs there is nothing to reset (FCR bit 0). */
	room = 0;
	out(0, 'v');
	uart_rx(&uart, 'w');
	out(2, 0x06);
	ck_assert_uint_eq(in(5), 0x01);
	room = 10;
	uart_tx_ready(&uart);
	ck_assert_mem_eq(sent, "v", 1);
	ck_assert_uint_eq(in(0), 'w');
}
END_TEST

START_TEST(loopback_takes_what_waits)
{
	start();
	out(2, 0x01);
	room = 0;
	out(0, 'a');
	out(0, 'b');
	out(4, 0x1b);
	ck_assert_uint_eq(in(5), 0x61);
	ck_assert_uint_eq(in(0), 'a');
	ck_assert_uint_eq(in(0), 'b');
	ck_assert_uint_eq(sent_count, 0);
}
END_TEST

START_TEST(any_accesses_are_safe)
{
	unsigned int i;

	srand(3);
	start();
	for (i = 0; i < 300000; i++) {
		room = (size_t)(rand() % 3);
		sent_count = 0;
		switch (rand() % 5) {
		case 0:
			in((unsigned int)rand() % 8);
			break;
		case 1:
			uart_rx(&uart, (uint8_t)rand());
			break;
		case 2:
			uart_tx_ready(&uart);
			break;
		default:
			out((unsigned int)rand() % 8, (uint8_t)rand());
			break;
		}
		REQUIRE(uart.rx_count <= UART_FIFO);
		REQUIRE(uart.tx_count <= UART_FIFO);
	}
}
END_TEST

SUITE_MAIN("vmctl: 16550", bytes_go_out, divisor_is_not_data, scratch_and_reserved_bits,
	   fifo_is_announced, transmitter_interrupt, receiver_interrupt_by_trigger_level,
	   line_status_has_the_highest_priority, overrun_without_fifo, fifo_reset_and_switch,
	   loopback, modem_changes, out2_connects_the_interrupt, flood_is_bounded,
	   nothing_is_lost_with_fifos, nothing_is_lost_without_fifos, polled_output,
	   transmitter_fifo, transmitter_fifo_reset, loopback_takes_what_waits,
	   any_accesses_are_safe)
