// SPDX-License-Identifier: ISC
#include "board.h"
#include "suite.h"

static struct kbc kbc;
static struct pci pci;
static unsigned int resets;
static bool line;

static void on_irq(void *arg, unsigned int irq, bool level)
{
	(void)arg;
	(void)irq;
	line = level;
}

static void on_reset(void *arg)
{
	(void)arg;
	resets++;
}

static void start(void)
{
	resets = 0;
	line = false;
	kbc_init(&kbc, (struct irq_line){ on_irq, NULL, KBC_IRQ }, on_reset, NULL);
	pci = (struct pci){ .reset = on_reset };
}

static void out(uint16_t port, uint8_t v)
{
	kbc_out(&kbc, port, v, 0);
}

static uint8_t in(uint16_t port)
{
	return kbc_in(&kbc, port, 0);
}

START_TEST(reset_pulse)
{
	start();
	ck_assert_uint_eq(in(0x64) & 3, 0);	/* ready for a command */
	out(0x64, 0xff);		/* pulses nothing */
	out(0x64, 0xf1);
	ck_assert_uint_eq(resets, 0);
	out(0x64, 0xfe);
	ck_assert_uint_eq(resets, 1);
	out(0x64, 0xd1);
	out(0x60, 0x02);		/* the output port's bit 0 is the reset line */
	ck_assert_uint_eq(resets, 2);
	out(0x92, 0x02);
	ck_assert_uint_eq(in(0x92), 0x02);
	out(0x92, 0x03);
	ck_assert_uint_eq(resets, 3);
	out(0x92, 0x03);		/* only when it rises */
	ck_assert_uint_eq(resets, 3);
}
END_TEST

/* What Linux's i8042 driver asks of a controller before it believes in it. */
START_TEST(controller_answers)
{
	start();
	out(0x64, 0x20);
	ck_assert_uint_eq(in(0x64) & 0x01, 0x01);
	ck_assert_uint_eq(in(0x60), 0x24);
	ck_assert_uint_eq(in(0x64) & 0x01, 0x00);
	out(0x64, 0x60);
	out(0x60, 0x41);
	out(0x64, 0x20);
	ck_assert(line);		/* its interrupt is on now */
	ck_assert_uint_eq(in(0x60), 0x61);
	ck_assert(!line);
	out(0x64, 0xaa);
	ck_assert_uint_eq(in(0x60), 0x55);
	out(0x64, 0xab);
	ck_assert_uint_eq(in(0x60), 0x00);
	out(0x64, 0xa9);
	ck_assert_uint_eq(in(0x60), 0x01);	/* no mouse port */
	out(0x64, 0xd3);
	out(0x60, 0x5a);
	ck_assert_uint_eq(in(0x64) & 0x21, 0x01);	/* not marked as from a mouse */
	ck_assert_uint_eq(in(0x60), 0x5a);
	out(0x64, 0xd0);
	ck_assert_uint_eq(in(0x60), 0x03);
}
END_TEST

START_TEST(no_keyboard_answers)
{
	start();
	out(0x60, 0xf2);
	ck_assert_uint_eq(in(0x64) & 0x41, 0x41);	/* timeout */
	ck_assert_uint_eq(in(0x60), 0xfe);
	ck_assert_uint_eq(in(0x64) & 0x41, 0x00);
	out(0x64, 0xd4);
	out(0x60, 0xff);
	ck_assert_uint_eq(in(0x60), 0xfe);
	out(0x64, 0xad);
	out(0x64, 0xae);
	out(0x64, 0x77);			/* no such command */
	ck_assert_uint_eq(in(0x64) & 0x01, 0);
}
END_TEST

START_TEST(pci_has_no_device)
{
	start();
	pci_out(&pci, 0xcf8, 4, 0x80000000);
	ck_assert_uint_eq(pci_in(&pci, 0xcf8, 4), 0x80000000);
	ck_assert_uint_eq(pci_in(&pci, 0xcfc, 4), UINT32_MAX);
	pci_out(&pci, 0xcfb, 1, 0x01);
	ck_assert_uint_eq(pci_in(&pci, 0xcf8, 4), 0x80000000);
	pci_out(&pci, 0xcf9, 1, 0x02);
	ck_assert_uint_eq(resets, 0);
	pci_out(&pci, 0xcf9, 1, 0x06);
	ck_assert_uint_eq(resets, 1);
}
END_TEST

struct probe {
	unsigned int reads, writes;
	uint16_t last_port;
	uint8_t last;
};

static uint8_t probe_in(void *dev, uint16_t port, uint64_t now)
{
	struct probe *p = dev;

	(void)now;
	p->reads++;
	return port & 0xff;
}

static void probe_out(void *dev, uint16_t port, uint8_t v, uint64_t now)
{
	struct probe *p = dev;

	(void)now;
	p->writes++;
	p->last_port = port;
	p->last = v;
}

START_TEST(ports_split_and_miss)
{
	struct probe probe = { 0 };
	const struct port_range rows[] = {
		{ .first = 0x10, .last = 0x12, .dev = &probe, .in = probe_in, .out = probe_out },
		{ .first = 0x80, .last = 0x80 },
		{ .first = 0xcf8, .last = 0xcff, .dev = &pci, .in_wide = pci_in,
		  .out_wide = pci_out },
		{ .first = 0xffff, .last = 0xffff, .dev = &probe, .in = probe_in,
		  .out = probe_out },
	};
	const struct port_map map = { rows, sizeof(rows) / sizeof(rows[0]) };

	start();
	ck_assert_uint_eq(ports_in(&map, 0x10, 1, 0), 0x10);
	ck_assert_uint_eq(ports_in(&map, 0x11, 2, 0), 0x1211);
	ck_assert_uint_eq(ports_in(&map, 0x10, 4, 0), 0xff121110);	/* the last is nobody's */
	ck_assert_uint_eq(ports_in(&map, 0x80, 2, 0), 0xffff);
	ck_assert_uint_eq(ports_in(&map, 0x2f8, 4, 0), 0xffffffff);
	ports_out(&map, 0x11, 4, 0x44332211, 0);
	ck_assert_uint_eq(probe.writes, 2);
	ck_assert_uint_eq(probe.last_port, 0x12);
	ck_assert_uint_eq(probe.last, 0x22);
	ports_out(&map, 0x80, 1, 1, 0);
	/* Beyond the last port there is nothing, and no way back to port 0. */
	ck_assert_uint_eq(ports_in(&map, 0xffff, 4, 0), 0xffffffff);
	ck_assert_uint_eq(ports_in(&map, 0xfffe, 2, 0), 0xffff);
	ports_out(&map, 0xffff, 4, 0x01020304, 0);
	ck_assert_uint_eq(probe.last, 0x04);
	ports_out(&map, 0xcf8, 4, 0x80000800, 0);
	ck_assert_uint_eq(ports_in(&map, 0xcf8, 4, 0), 0x80000800);
	ck_assert_uint_eq(ports_in(&map, 0xcfe, 2, 0), 0xffff);
	ck_assert_uint_eq(ports_in(&map, 0xcfd, 4, 0), 0xffffffff);	/* leaves the row */
}
END_TEST

SUITE_MAIN("vmctl: board", reset_pulse, controller_answers, no_keyboard_answers,
	   pci_has_no_device, ports_split_and_miss)
