// SPDX-License-Identifier: ISC
/*
 * The 8259A as its data sheet has it (order number 231468), in 8086 mode, with
 * the edge/level control registers of later chip sets.
 *
 * An edge stays requested until it is taken: no timer tick is lost when the
 * line falls first. The cascade is computed, never latched, so a slave that
 * takes its request back leaves no spurious IRQ 15 behind.
 */
#include <string.h>

#include "i8259.h"

#define CASCADE		2u
#define CASCADE_BIT	(1u << CASCADE)
#define SPURIOUS	7u

/* Lines 0, 1, 2, 8 and 13 of a PC are edge triggered for good. */
#define ELCR_MASTER	0xf8u
#define ELCR_SLAVE	0xdeu

#define ICW1_INIT	0x10u
#define ICW1_SINGLE	0x02u
#define ICW1_ICW4	0x01u
#define ICW4_NESTED	0x10u
#define ICW4_AUTO_EOI	0x02u
#define OCW3		0x08u
#define OCW3_SET_MASK	0x40u
#define OCW3_MASK	0x20u
#define OCW3_POLL	0x04u
#define OCW3_READ	0x02u
#define OCW3_ISR	0x01u

/* How far line @irq is below the top: 0 is the highest priority. */
static unsigned int distance(const struct pic_chip *c, unsigned int irq)
{
	return (irq - c->top) & 7;
}

/* Highest-priority line in @set, or 8. */
static unsigned int highest(const struct pic_chip *c, uint8_t set)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		unsigned int irq = (c->top + i) & 7;

		if (set & (1u << irq))
			return irq;
	}
	return 8;
}

/* The line that may interrupt now, given the requests @irr; or 8. */
static unsigned int candidate(const struct pic_chip *c, uint8_t irr, uint8_t nested_bit)
{
	unsigned int irq = highest(c, irr & ~c->imr), busy;
	uint8_t isr = c->isr;

	if (irq == 8)
		return 8;
	if (c->special_mask)
		isr &= ~c->imr;
	if (c->nested)
		isr &= ~nested_bit;
	busy = highest(c, isr);
	if (busy != 8 && distance(c, busy) <= distance(c, irq))
		return 8;
	return irq;
}

static unsigned int slave_candidate(const struct pic *p)
{
	return candidate(&p->slave, p->slave.irr, 0);
}

static unsigned int master_candidate(const struct pic *p)
{
	uint8_t irr = p->master.irr & ~CASCADE_BIT;

	if (slave_candidate(p) != 8)
		irr |= CASCADE_BIT;
	return candidate(&p->master, irr, CASCADE_BIT);
}

static void update(struct pic *p)
{
	bool out = master_candidate(p) != 8;

	if (out != p->out) {
		p->out = out;
		p->intr(p->arg, out);
	}
}

static void chip_reset(struct pic_chip *c)
{
	memset(c, 0, sizeof(*c));
}

void pic_reset(struct pic *p)
{
	chip_reset(&p->master);
	chip_reset(&p->slave);
	p->out = false;
}

void pic_init(struct pic *p, void (*intr)(void *arg, bool level), void *arg)
{
	memset(p, 0, sizeof(*p));
	p->intr = intr;
	p->arg = arg;
}

void pic_set_irq(void *pic, unsigned int irq, bool level)
{
	struct pic *p = pic;
	struct pic_chip *c = irq & 8 ? &p->slave : &p->master;
	uint8_t bit = 1u << (irq & 7);

	if (irq > 15 || irq == CASCADE)
		return;
	if (c->elcr & bit) {
		if (level)
			c->irr |= bit;
		else
			c->irr &= ~bit;
	} else if (level && !(c->lines & bit)) {
		c->irr |= bit;
	}
	if (level)
		c->lines |= bit;
	else
		c->lines &= ~bit;
	update(p);
}

bool pic_pending(const struct pic *p)
{
	return p->out;
}

static void take(struct pic_chip *c, unsigned int irq)
{
	uint8_t bit = 1u << irq;

	if (!(c->elcr & bit))
		c->irr &= ~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto)
		c->top = (irq + 1) & 7;
}

uint8_t pic_ack(struct pic *p)
{
	unsigned int irq = master_candidate(p), vector;

	if (irq == CASCADE) {
		unsigned int slave_irq = slave_candidate(p);

		take(&p->slave, slave_irq);
		take(&p->master, CASCADE);
		vector = p->slave.base + slave_irq;
	} else if (irq != 8) {
		take(&p->master, irq);
		vector = p->master.base + irq;
	} else {
		vector = p->master.base + SPURIOUS;
	}
	update(p);
	return (uint8_t)vector;
}

static void icw1(struct pic_chip *c, uint8_t v)
{
	c->irr &= c->elcr;	/* the edge detectors are cleared; levels stay */
	c->isr = 0;
	c->imr = 0;
	c->top = 0;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->single = v & ICW1_SINGLE;
	c->want_icw4 = v & ICW1_ICW4;
	c->auto_eoi = false;
	c->rotate_auto = false;
	c->nested = false;
	c->init_step = 2;
}

static void icw_next(struct pic_chip *c, uint8_t v)
{
	switch (c->init_step) {
	case 2:
		c->base = v & 0xf8;
		c->init_step = !c->single ? 3 : c->want_icw4 ? 4 : 0;
		break;
	case 3:		/* the wiring of the cascade: fixed on a PC */
		c->init_step = c->want_icw4 ? 4 : 0;
		break;
	default:
		c->nested = v & ICW4_NESTED;
		c->auto_eoi = v & ICW4_AUTO_EOI;
		c->init_step = 0;
		break;
	}
}

static void ocw2(struct pic_chip *c, uint8_t v)
{
	unsigned int irq;

	switch (v >> 5) {
	case 0:			/* stop rotating in automatic EOI */
	case 4:			/* rotate in automatic EOI */
		c->rotate_auto = v >> 5;
		break;
	case 1:			/* EOI of what is highest in service */
	case 5:			/* the same, and make it the lowest */
		irq = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);
		if (irq == 8)
			break;
		c->isr &= ~(1u << irq);
		if (v >> 5 == 5)
			c->top = (irq + 1) & 7;
		break;
	case 3:			/* EOI of one line */
		c->isr &= ~(1u << (v & 7));
		break;
	case 7:
		c->isr &= ~(1u << (v & 7));
		c->top = (v + 1) & 7;
		break;
	case 6:			/* set the lowest priority */
		c->top = (v + 1) & 7;
		break;
	default:		/* 2: no operation */
		break;
	}
}

static void ocw3(struct pic_chip *c, uint8_t v)
{
	if (v & OCW3_SET_MASK)
		c->special_mask = v & OCW3_MASK;
	if (v & OCW3_POLL)
		c->poll = true;
	else if (v & OCW3_READ)
		c->read_isr = v & OCW3_ISR;
}

static void chip_out(struct pic_chip *c, bool data, uint8_t v)
{
	if (!data) {
		if (v & ICW1_INIT)
			icw1(c, v);
		else if (v & OCW3)
			ocw3(c, v);
		else
			ocw2(c, v);
	} else if (c->init_step) {
		icw_next(c, v);
	} else {
		c->imr = v;
	}
}

/* A read after the poll command is an INTA cycle for this chip alone. */
static uint8_t poll_read(struct pic *p, struct pic_chip *c)
{
	unsigned int irq = c == &p->master ? master_candidate(p) : slave_candidate(p);

	c->poll = false;
	if (irq == 8)
		return 0;
	take(c, irq);
	return 0x80 | irq;
}

uint8_t pic_in(void *pic, uint16_t port, uint64_t now)
{
	struct pic *p = pic;
	struct pic_chip *c = (port & ~1u) == PIC_SLAVE_PORT ? &p->slave : &p->master;
	uint8_t v;

	(void)now;
	switch (port) {
	case PIC_ELCR_PORT:
		return p->master.elcr;
	case PIC_ELCR_PORT + 1:
		return p->slave.elcr;
	}
	if (c->poll) {
		v = poll_read(p, c);
		update(p);
		return v;
	}
	if (port & 1)
		return c->imr;
	if (c->read_isr)
		return c->isr;
	if (c == &p->master && slave_candidate(p) != 8)
		return c->irr | CASCADE_BIT;
	return c->irr;
}

static void elcr_write(struct pic_chip *c, uint8_t v)
{
	c->elcr = v;
	/* A level line requests exactly while it is high. */
	c->irr = (c->irr & ~v) | (c->lines & v);
}

void pic_out(void *pic, uint16_t port, uint8_t v, uint64_t now)
{
	struct pic *p = pic;

	(void)now;
	switch (port) {
	case PIC_MASTER_PORT:
	case PIC_MASTER_PORT + 1:
		chip_out(&p->master, port & 1, v);
		break;
	case PIC_SLAVE_PORT:
	case PIC_SLAVE_PORT + 1:
		chip_out(&p->slave, port & 1, v);
		break;
	case PIC_ELCR_PORT:
		elcr_write(&p->master, v & ELCR_MASTER);
		break;
	case PIC_ELCR_PORT + 1:
		elcr_write(&p->slave, v & ELCR_SLAVE);
		break;
	}
	update(p);
}
