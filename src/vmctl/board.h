/* SPDX-License-Identifier: ISC */
/*
 * board.h - a PC's glue: keyboard controller, system control port, PCI
 * configuration ports, POST port; and the table that sends ports to devices.
 */
#ifndef VMCTL_BOARD_H
#define VMCTL_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "irq.h"

#define KBC_DATA_PORT	0x60
#define KBC_PORT	0x64
#define KBC_IRQ		1
#define FAST_A20_PORT	0x92
#define POST_PORT	0x80
#define PCI_ADDR_PORT	0xcf8
#define PCI_DATA_PORT	0xcfc

/* An i8042 with nothing plugged in. */
struct kbc {
	struct irq_line irq;
	void (*reset)(void *arg);	/* the guest pulls the CPU's reset line */
	void *arg;
	uint8_t command;		/* command that waits for its data byte, or 0 */
	uint8_t config;
	uint8_t output;			/* output port */
	uint8_t data;
	uint8_t status;
	uint8_t port_92;
};

void kbc_init(struct kbc *k, struct irq_line irq, void (*reset)(void *), void *arg);
void kbc_reset(struct kbc *k);
uint8_t kbc_in(void *kbc, uint16_t port, uint64_t now);
void kbc_out(void *kbc, uint16_t port, uint8_t value, uint64_t now);

/* Configuration mechanism 1 with an empty bus, and the reset register at 0xcf9. */
struct pci {
	uint32_t address;
	uint8_t reset_control;
	void (*reset)(void *arg);
	void *arg;
};

uint32_t pci_in(void *pci, uint16_t port, unsigned int size);
void pci_out(void *pci, uint16_t port, unsigned int size, uint32_t value);

/* One row a device's ports. It has byte or wide handlers, or none: reads ones, writes nothing. */
struct port_range {
	uint16_t first, last;
	void *dev;
	uint8_t (*in)(void *dev, uint16_t port, uint64_t now);
	void (*out)(void *dev, uint16_t port, uint8_t value, uint64_t now);
	uint32_t (*in_wide)(void *dev, uint16_t port, unsigned int size);
	void (*out_wide)(void *dev, uint16_t port, unsigned int size, uint32_t value);
};

struct port_map {
	const struct port_range *range;
	size_t count;
};

/* @size is 1, 2 or 4; ports nobody answers read all ones, the space does not wrap. */
uint32_t ports_in(const struct port_map *map, uint16_t port, unsigned int size, uint64_t now);
void ports_out(const struct port_map *map, uint16_t port, unsigned int size, uint32_t value,
	       uint64_t now);

#endif /* VMCTL_BOARD_H */
