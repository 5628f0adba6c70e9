// SPDX-License-Identifier: ISC
/*
 * The 8254 as its data sheet has it (order number 231164): six modes, binary
 * and BCD, counter latch and read-back. Time is counted in ticks of 1.193182 MHz since
 * the clock's zero, so that a count is always derived, never decremented.
 */
#include <string.h>

#include "i8254.h"
#include "util.h"

#define GATE2		0x01u
#define SPEAKER		0x02u
#define REFRESH		0x10u
#define OUT2		0x20u
#define REFRESH_NS	15085u	/* the refresh bit of port 0x61 flips at this pace */

#define STATUS_OUT	0x80u
#define STATUS_NULL	0x40u

static uint64_t to_ticks(uint64_t ns)
{
	return ns / NSEC * PIT_HZ + ns % NSEC * PIT_HZ / NSEC;
}

/* The first nanosecond that belongs to tick @t. */
static uint64_t to_ns(uint64_t t)
{
	return t / PIT_HZ * NSEC + (t % PIT_HZ * NSEC + PIT_HZ - 1) / PIT_HZ;
}

static uint32_t modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

static uint32_t from_bcd(uint16_t v)
{
	uint32_t n = (v >> 12 & 15) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);

	return n % 10000;	/* digits above 9 are not BCD: any value will do */
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool triggered(const struct pit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static bool counting(const struct pit_channel *c)
{
	return c->loaded && (!triggered(c) || c->armed);
}

/* The period in force at tick @t and how far into it we are. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t t, uint32_t *count)
{
	*count = c->count;
	if (c->paused)
		return c->stopped;
	if (t >= c->start)
		return t - c->start;
	if (!c->old_count)
		return 0;
	*count = c->old_count;
	return t >= c->old_start ? t - c->old_start : 0;
}

static bool output(const struct pit_channel *c, uint64_t t)
{
	uint32_t count;
	uint64_t el;

	if (!counting(c))
		return c->mode != 0;
	el = elapsed(c, t, &count);
	switch (c->mode) {
	case 0:
	case 1:
		return el >= count;
	case 2:
		return c->paused || el % count != count - 1;
	case 3:
		return c->paused || el % count < (count + 1) / 2;
	default:		/* 4 and 5: low for one tick */
		return el != count;
	}
}

/* The counting element, as a read shows it. */
static uint16_t value(const struct pit_channel *c, uint64_t t)
{
	uint32_t count, left;
	uint64_t el;

	if (!counting(c))
		return c->bcd ? to_bcd(c->count) : (uint16_t)c->count;
	el = elapsed(c, t, &count);
	switch (c->mode) {
	case 2:
		left = count - (uint32_t)(el % count);
		break;
	case 3:
		el %= count;
		if (el >= (count + 1) / 2)
			el -= (count + 1) / 2;
		left = (count & ~1u) - 2 * (uint32_t)el;
		break;
	default:
		left = (count + modulus(c) - (uint32_t)(el % modulus(c))) % modulus(c);
		break;
	}
	return c->bcd ? to_bcd(left) : (uint16_t)left;
}

static void latch_count(struct pit_channel *c, uint64_t t)
{
	if (c->latched)
		return;		/* the first latch wins until it is read */
	c->latch = value(c, t);
	c->latched = c->access == 3 ? 2 : 1;
}

static void latch_status(struct pit_channel *c, uint64_t t)
{
	if (c->status_latched)
		return;
	c->status = (output(c, t) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL) |
		    c->access << 4 | c->mode << 1 | c->bcd;
	c->status_latched = true;
}

static void read_back(struct pit *p, uint8_t v, uint64_t t)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		if (!(v & (2u << i)))
			continue;
		if (!(v & 0x20))
			latch_count(&p->channel[i], t);
		if (!(v & 0x10))
			latch_status(&p->channel[i], t);
	}
}

static void set_mode(struct pit_channel *c, uint8_t v)
{
	c->access = v >> 4 & 3;
	c->mode = v >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;	/* 6 and 7 are 2 and 3 */
	c->bcd = v & 1;
	c->loaded = false;
	c->armed = false;
	c->paused = false;
	c->high_next = false;
	c->read_high = false;
	c->latched = 0;
	c->status_latched = false;
	c->old_count = 0;
}

static void load(struct pit_channel *c, uint16_t written, uint64_t t)
{
	uint32_t count = c->bcd ? from_bcd(written) : written, running;
	uint64_t el;

	if (count == 0)
		count = modulus(c);
	if (periodic(c) && count == 1)
		count = 2;	/* not allowed by the data sheet; a period of one is no period */
	if (periodic(c) && c->loaded) {
		/* The new count counts from the end of the running period. */
		el = elapsed(c, t, &running);
		if (!c->paused) {
			c->old_start = t - el % running;
			c->old_count = running;
			c->start = c->old_start + running;
		}
		c->count = count;
		return;
	}
	c->count = count;
	c->loaded = true;
	if (triggered(c))
		return;		/* waits for the gate */
	c->start = t;
	c->old_count = 0;
	c->stopped = 0;
	c->paused = !c->gate;
}

static void write_count(struct pit_channel *c, uint8_t v, uint64_t t)
{
	switch (c->access) {
	case 1:
		load(c, v, t);
		break;
	case 2:
		load(c, (uint16_t)(v << 8), t);
		break;
	default:
		if (!c->high_next) {
			c->low = v;
			if (c->mode == 0)
				c->loaded = false;	/* the first byte stops the count */
		} else {
			load(c, (uint16_t)(v << 8 | c->low), t);
		}
		c->high_next = !c->high_next;
		break;
	}
}

static uint8_t read_count(struct pit_channel *c, uint64_t t)
{
	uint16_t v;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	v = c->latched ? c->latch : value(c, t);
	high = c->access == 2 || (c->access == 3 && c->read_high);
	if (c->access == 3)
		c->read_high = !c->read_high;
	if (c->latched)
		c->latched--;
	return high ? v >> 8 : v & 0xff;
}

static void set_gate(struct pit_channel *c, bool gate, uint64_t t)
{
	uint32_t count;

	if (gate == c->gate)
		return;
	if (triggered(c)) {
		if (gate && c->loaded) {
			c->armed = true;
			c->start = t;
		}
	} else if (c->loaded) {
		if (!gate) {
			c->stopped = elapsed(c, t, &count);
			c->paused = true;
		} else {
			/* Modes 2 and 3 begin anew, 0 and 4 go on. */
			c->start = periodic(c) ? t : t - c->stopped;
			c->paused = false;
		}
		c->old_count = 0;
	}
	c->gate = gate;
}

void pit_reset(struct pit *p, uint64_t now)
{
	struct irq_line irq = p->irq;
	unsigned int i;

	memset(p, 0, sizeof(*p));
	p->irq = irq;
	p->seen = to_ticks(now);
	for (i = 0; i < 3; i++) {
		struct pit_channel *c = &p->channel[i];

		/* What firmware leaves behind: square waves of 18.2 Hz, channel 2 gated off. */
		c->gate = i != 2;
		set_mode(c, 0x36);
		load(c, 0, p->seen);
	}
	/* No firmware wants the ticks: channel 0 waits for the guest's first count. */
	p->channel[0].loaded = false;
}

void pit_init(struct pit *p, struct irq_line irq, uint64_t now)
{
	p->irq = irq;
	pit_reset(p, now);
}

/* First tick after @t at which a channel's output rises, or PIT_NEVER. */
static uint64_t next_edge(const struct pit_channel *c, uint64_t t)
{
	uint64_t edge, start = c->start;
	uint32_t count = c->count;

	if (!counting(c) || c->paused)
		return PIT_NEVER;
	switch (c->mode) {
	case 0:
	case 1:
		edge = start + count;
		break;
	case 4:
	case 5:
		edge = start + count + 1;
		break;
	default:
		if (t < start)
			return start;	/* the running period's end is the new one's start */
		return t + count - (t - start) % count;
	}
	return edge > t ? edge : PIT_NEVER;
}

uint64_t pit_next(const struct pit *p)
{
	uint64_t edge = next_edge(&p->channel[0], p->seen);

	return edge == PIT_NEVER ? PIT_NEVER : to_ns(edge);
}

void pit_run(struct pit *p, uint64_t now)
{
	uint64_t t = to_ticks(now);

	if (t <= p->seen)
		return;
	if (next_edge(&p->channel[0], p->seen) <= t)
		irq_pulse(&p->irq);
	p->seen = t;
}

uint8_t pit_in(void *pit, uint16_t port, uint64_t now)
{
	struct pit *p = pit;
	uint64_t t = to_ticks(now);

	if (port == PIT_GATE_PORT)
		return (p->channel[2].gate ? GATE2 : 0) | (p->speaker ? SPEAKER : 0) |
		       (now / REFRESH_NS & 1 ? REFRESH : 0) |
		       (output(&p->channel[2], t) ? OUT2 : 0);
	if (port == PIT_CONTROL_PORT)
		return 0xff;	/* write only */
	return read_count(&p->channel[port & 3], t);
}

void pit_out(void *pit, uint16_t port, uint8_t v, uint64_t now)
{
	struct pit *p = pit;
	uint64_t t = to_ticks(now);

	pit_run(p, now);	/* edges due before the change still count */
	if (port == PIT_GATE_PORT) {
		set_gate(&p->channel[2], v & GATE2, t);
		p->speaker = v & SPEAKER;
	} else if (port != PIT_CONTROL_PORT) {
		write_count(&p->channel[port & 3], v, t);
	} else if (v >> 6 == 3) {
		read_back(p, v, t);
	} else if ((v >> 4 & 3) == 0) {
		latch_count(&p->channel[v >> 6], t);
	} else {
		set_mode(&p->channel[v >> 6], v);
	}
}
