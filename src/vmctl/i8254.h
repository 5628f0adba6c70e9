/* SPDX-License-Identifier: ISC */
/*
 * i8254.h - the PC's interval timer, and port 0x61 that gates its channel 2.
 *
 * Pure state: every call is told the time, nothing is counted in between.
 */
#ifndef VMCTL_I8254_H
#define VMCTL_I8254_H

#include <stdbool.h>
#include <stdint.h>

#include "irq.h"

#define PIT_PORT		0x40
#define PIT_CONTROL_PORT	0x43
#define PIT_GATE_PORT		0x61
#define PIT_HZ			1193182ULL
#define PIT_NEVER		UINT64_MAX

struct pit_channel {
	uint8_t mode;		/* 0 to 5 */
	uint8_t access;		/* 1 low byte, 2 high byte, 3 both */
	bool bcd;
	bool gate;
	bool loaded;		/* a count was written since the mode was */
	bool armed;		/* modes 1 and 5: the gate has triggered */
	bool high_next;		/* the next byte written is the high one */
	bool read_high;		/* the next byte read is the high one */
	uint8_t low;		/* low byte written, high one awaited */
	uint8_t latched;	/* bytes of `latch` still to be read */
	bool status_latched;
	uint8_t status;
	uint16_t latch;
	uint32_t count;		/* ticks from load to end: 1 to 65536 */
	uint64_t start;		/* tick at which `count` was loaded */
	uint64_t stopped;	/* ticks into the count when the gate closed */
	bool paused;
	uint32_t old_count;	/* modes 2 and 3: the period that runs until `start` */
	uint64_t old_start;
};

struct pit {
	struct pit_channel channel[3];
	struct irq_line irq;
	uint64_t seen;		/* tick up to which edges of channel 0 were delivered */
	bool speaker;
};

void pit_init(struct pit *p, struct irq_line irq, uint64_t now);
void pit_reset(struct pit *p, uint64_t now);
uint8_t pit_in(void *pit, uint16_t port, uint64_t now);
void pit_out(void *pit, uint16_t port, uint8_t value, uint64_t now);
/* Raises IRQ 0 if channel 0's output rose since the last call (once, however often it did). */
void pit_run(struct pit *p, uint64_t now);
/* When channel 0's output rises next, in the caller's nanoseconds; PIT_NEVER if it will not. */
uint64_t pit_next(const struct pit *p);

#endif /* VMCTL_I8254_H */
