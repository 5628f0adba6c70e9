/* SPDX-License-Identifier: ISC */
/*
 * i8259.h - the PC's two cascaded interrupt controllers.
 *
 * Devices drive lines, the vCPU takes vectors. Knows nothing of the driver:
 * `intr` is told whenever the controllers' output to the CPU changes.
 */
#ifndef VMCTL_I8259_H
#define VMCTL_I8259_H

#include <stdbool.h>
#include <stdint.h>

#define PIC_MASTER_PORT		0x20
#define PIC_SLAVE_PORT		0xa0
#define PIC_ELCR_PORT		0x4d0

struct pic_chip {
	uint8_t irr;		/* requests */
	uint8_t isr;		/* in service */
	uint8_t imr;		/* masked */
	uint8_t lines;		/* levels now */
	uint8_t elcr;		/* 1: level triggered */
	uint8_t base;		/* first vector (ICW2) */
	uint8_t top;		/* the line of highest priority */
	uint8_t init_step;	/* ICW awaited: 2, 3, 4; 0: none */
	bool single;		/* ICW1.SNGL: no ICW3 */
	bool want_icw4;
	bool auto_eoi;
	bool rotate_auto;	/* rotate in automatic EOI */
	bool nested;		/* special fully nested */
	bool special_mask;
	bool read_isr;
	bool poll;
};

struct pic {
	struct pic_chip master, slave;
	void (*intr)(void *arg, bool level);
	void *arg;
	bool out;
};

void pic_init(struct pic *p, void (*intr)(void *arg, bool level), void *arg);
/* Back to power-on state; the callback stays. */
void pic_reset(struct pic *p);
void pic_set_irq(void *pic, unsigned int irq, bool level);
bool pic_pending(const struct pic *p);
/* The INTA cycle: the vector the CPU takes. Spurious (line 7) when nothing asks. */
uint8_t pic_ack(struct pic *p);
uint8_t pic_in(void *pic, uint16_t port, uint64_t now);
void pic_out(void *pic, uint16_t port, uint8_t value, uint64_t now);

#endif /* VMCTL_I8259_H */
