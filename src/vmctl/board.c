// SPDX-License-Identifier: ISC
#include <string.h>

#include "board.h"

#define ST_FULL		0x01u	/* a byte waits in the output buffer */
#define ST_SYSTEM	0x04u	/* self-test passed */
#define ST_COMMAND	0x08u	/* last write went to the command port */
#define ST_UNLOCKED	0x10u
#define ST_TIMEOUT	0x40u
#define CFG_IRQ		0x01u
#define CFG_SYSTEM	0x04u
#define CFG_NO_AUX	0x20u
#define OUT_RUN		0x01u	/* reset line, active low */
#define OUT_A20		0x02u
#define NO_DEVICE	0xfeu	/* what the controller puts up when nobody answers */

enum {
	CMD_READ_CONFIG = 0x20, CMD_WRITE_CONFIG = 0x60, CMD_AUX_OFF = 0xa7, CMD_AUX_ON,
	CMD_AUX_TEST, CMD_SELF_TEST, CMD_KBD_TEST, CMD_KBD_OFF = 0xad, CMD_KBD_ON,
	CMD_READ_OUTPUT = 0xd0, CMD_WRITE_OUTPUT, CMD_ECHO_KBD, CMD_ECHO_AUX, CMD_TO_AUX,
	CMD_PULSE = 0xf0,
};

static void answer(struct kbc *k, uint8_t v, uint8_t extra_status)
{
	k->data = v;
	k->status = (k->status & ~ST_TIMEOUT) | ST_FULL | extra_status;
	irq_set(&k->irq, k->config & CFG_IRQ);
}

void kbc_reset(struct kbc *k)
{
	k->command = 0;
	k->config = CFG_SYSTEM | CFG_NO_AUX;
	k->output = OUT_RUN | OUT_A20;
	k->data = 0;
	k->status = ST_SYSTEM | ST_UNLOCKED;
	k->port_92 = OUT_A20;
	irq_set(&k->irq, false);
}

void kbc_init(struct kbc *k, struct irq_line irq, void (*reset)(void *), void *arg)
{
	memset(k, 0, sizeof(*k));
	k->irq = irq;
	k->reset = reset;
	k->arg = arg;
	kbc_reset(k);
}

static void write_output(struct kbc *k, uint8_t v)
{
	k->output = v;
	if (!(v & OUT_RUN))
		k->reset(k->arg);
}

static void command(struct kbc *k, uint8_t v)
{
	k->command = 0;
	k->status |= ST_COMMAND;
	if (v >= CMD_PULSE) {
		if (!(v & OUT_RUN))	/* bits that are 0 are pulsed low */
			k->reset(k->arg);
		return;
	}
	switch (v) {
	case CMD_READ_CONFIG:
		answer(k, k->config, 0);
		break;
	case CMD_AUX_TEST:
		answer(k, 0x01, 0);	/* clock line stuck: no such port */
		break;
	case CMD_SELF_TEST:
		answer(k, 0x55, 0);
		break;
	case CMD_KBD_TEST:
		answer(k, 0x00, 0);
		break;
	case CMD_READ_OUTPUT:
		answer(k, k->output, 0);
		break;
	case CMD_WRITE_CONFIG:
	case CMD_WRITE_OUTPUT:
	case CMD_ECHO_KBD:
	case CMD_ECHO_AUX:
	case CMD_TO_AUX:
		k->command = v;
		break;
	default:		/* port switches and what no PC has: nothing to do */
		break;
	}
}

static void data(struct kbc *k, uint8_t v)
{
	uint8_t cmd = k->command;

	k->command = 0;
	k->status &= ~ST_COMMAND;
	switch (cmd) {
	case CMD_WRITE_CONFIG:
		k->config = v | CFG_NO_AUX;
		break;
	case CMD_WRITE_OUTPUT:
		write_output(k, v);
		break;
	case CMD_ECHO_KBD:
	case CMD_ECHO_AUX:
		answer(k, v, 0);
		break;
	default:		/* for a keyboard or mouse that is not there */
		answer(k, NO_DEVICE, ST_TIMEOUT);
		break;
	}
}

uint8_t kbc_in(void *kbc, uint16_t port, uint64_t now)
{
	struct kbc *k = kbc;

	(void)now;
	switch (port) {
	case KBC_DATA_PORT:
		k->status &= ~(ST_FULL | ST_TIMEOUT);
		irq_set(&k->irq, false);
		return k->data;
	case KBC_PORT:
		return k->status;
	default:
		return k->port_92;
	}
}

void kbc_out(void *kbc, uint16_t port, uint8_t v, uint64_t now)
{
	struct kbc *k = kbc;

	(void)now;
	switch (port) {
	case KBC_DATA_PORT:
		data(k, v);
		break;
	case KBC_PORT:
		command(k, v);
		break;
	default:
		/* Bit 0 resets when it rises; bit 1 is A20, which is always open here. */
		if ((v & 1) && !(k->port_92 & 1))
			k->reset(k->arg);
		k->port_92 = v;
		break;
	}
}

#define PCI_RESET_PORT	0xcf9
#define RESET_NOW	0x04u

uint32_t pci_in(void *pci, uint16_t port, unsigned int size)
{
	struct pci *p = pci;

	if (port == PCI_ADDR_PORT && size == 4)
		return p->address;
	if (port == PCI_RESET_PORT && size == 1)
		return p->reset_control;
	return UINT32_MAX;	/* no device drives the bus */
}

void pci_out(void *pci, uint16_t port, unsigned int size, uint32_t v)
{
	struct pci *p = pci;

	if (port == PCI_ADDR_PORT && size == 4) {
		p->address = v & 0x80fffffc;
	} else if (port == PCI_RESET_PORT && size == 1) {
		bool rises = (v & RESET_NOW) && !(p->reset_control & RESET_NOW);

		p->reset_control = (uint8_t)v;
		if (rises)
			p->reset(p->arg);
	}
}

static const struct port_range *find(const struct port_map *map, uint32_t port)
{
	size_t i;

	for (i = 0; i < map->count; i++)
		if (port >= map->range[i].first && port <= map->range[i].last)
			return &map->range[i];
	return NULL;
}

/* A row that takes the access whole. */
static const struct port_range *find_wide(const struct port_map *map, uint16_t port,
					  unsigned int size)
{
	const struct port_range *r = find(map, port);

	return r && (r->in_wide || r->out_wide) && port + size - 1 <= r->last ? r : NULL;
}

uint32_t ports_in(const struct port_map *map, uint16_t port, unsigned int size, uint64_t now)
{
	const struct port_range *r = find_wide(map, port, size);
	uint32_t value = 0, mask = size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
	unsigned int i;

	if (r)
		return r->in_wide(r->dev, port, size) & mask;
	for (i = 0; i < size; i++) {
		uint8_t byte = 0xff;

		r = find(map, (uint32_t)port + i);
		if (r && r->in)
			byte = r->in(r->dev, (uint16_t)(port + i), now);
		value |= (uint32_t)byte << 8 * i;
	}
	return value;
}

void ports_out(const struct port_map *map, uint16_t port, unsigned int size, uint32_t value,
	       uint64_t now)
{
	const struct port_range *r = find_wide(map, port, size);
	unsigned int i;

	if (r) {
		r->out_wide(r->dev, port, size, value);
		return;
	}
	for (i = 0; i < size; i++) {
		r = find(map, (uint32_t)port + i);
		if (r && r->out)
			r->out(r->dev, (uint16_t)(port + i), value >> 8 * i & 0xff, now);
	}
}
