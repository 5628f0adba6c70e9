/* SPDX-License-Identifier: ISC */
/*
 * mc146818.h - the real-time clock and its CMOS memory.
 *
 * Calls are told the monotonic time; the wall clock is that plus an offset,
 * which moves when the guest sets the clock. The host's clock never moves.
 */
#ifndef VMCTL_MC146818_H
#define VMCTL_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#include "irq.h"

#define RTC_PORT	0x70
#define RTC_IRQ		8
#define RTC_NEVER	UINT64_MAX

struct rtc {
	uint8_t ram[128];	/* registers A to D included, the clock's only while SET is on */
	uint8_t index;
	struct irq_line irq;
	int64_t offset;		/* wall clock minus monotonic clock, ns */
	uint64_t seen;		/* monotonic time up to which flags are true */
	uint64_t periods;	/* periodic ticks up to `seen` */
};

/* @wall: ns since 1970 at monotonic time @now; @low and @high: memory below and above 4 GiB. */
void rtc_init(struct rtc *r, struct irq_line irq, uint64_t now, uint64_t wall, uint64_t low,
	      uint64_t high);
uint8_t rtc_in(void *rtc, uint16_t port, uint64_t now);
void rtc_out(void *rtc, uint16_t port, uint8_t value, uint64_t now);
/* Sets the flags that are due and raises IRQ 8 for those enabled. */
void rtc_run(struct rtc *r, uint64_t now);
/* When a flag with an enabled interrupt may be due next; RTC_NEVER without one. */
uint64_t rtc_next(const struct rtc *r);

#endif /* VMCTL_MC146818_H */
