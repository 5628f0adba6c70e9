// SPDX-License-Identifier: ISC
/*
 * The MC146818A as its data sheet has it, with the century byte and the memory sizes
 * that a PC's firmware keeps in its RAM.
 */
#include <string.h>

#include "mc146818.h"
#include "util.h"

enum {
	SECONDS = 0, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM,
	WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D,
	EQUIPMENT = 0x14, BASE_KB = 0x15, EXT_KB = 0x17, EXT_KB_2 = 0x30, CENTURY = 0x32,
	EXT_64KB = 0x34, HIGH_64KB = 0x5b,
};

#define A_UIP		0x80u
#define A_RATE		0x0fu
#define B_SET		0x80u
#define B_PIE		0x40u
#define B_AIE		0x20u
#define B_UIE		0x10u
#define B_BINARY	0x04u
#define B_24H		0x02u
#define C_IRQF		0x80u
#define C_FLAGS		0x70u	/* PF, AF, UF: the same bits as their enables in B */
#define C_PF		0x40u
#define C_AF		0x20u
#define C_UF		0x10u
#define D_VALID		0x80u
#define PM		0x80u
#define ALARM_ANY	0xc0u
#define UIP_NS		244000u	/* how long before the update UIP warns */
#define DAY_S		86400u

static uint64_t wall(const struct rtc *r, uint64_t now)
{
	return now + (uint64_t)r->offset;
}

static uint8_t encode(const struct rtc *r, unsigned int v)
{
	return r->ram[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10;
}

static unsigned int decode(const struct rtc *r, uint8_t v)
{
	return r->ram[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, unsigned int h)
{
	if (r->ram[REG_B] & B_24H)
		return encode(r, h);
	return encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? PM : 0);
}

static unsigned int decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->ram[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & ~PM) % 12 + (v & PM ? 12 : 0);
}

/*
 * Dates are worked out here: the C library's functions read the time zone's
 * file, which the sandbox does not allow. Years begin in March, so that a leap
 * day is a year's last; day 0 is 1970-01-01.
 */
#define DAYS_400_YEARS	146097u
#define EPOCH_DAYS	719468u		/* from 0000-03-01 to 1970-01-01 */

static uint64_t days_before_year(uint64_t y)
{
	return y * 365 + y / 4 - y / 100 + y / 400;
}

/* Days before month @m, counted from March as 0. */
static unsigned int days_before_month(unsigned int m)
{
	return (153 * m + 2) / 5;
}

static uint64_t days_from_date(uint64_t year, unsigned int month, unsigned int day)
{
	unsigned int m = (month + 9) % 12;
	uint64_t days = days_before_year(m >= 10 ? year - 1 : year) +
	    days_before_month(m) + day - 1;

	return days > EPOCH_DAYS ? days - EPOCH_DAYS : 0;
}

static void date_from_days(uint64_t days, uint64_t *year, unsigned int *month, unsigned int *day)
{
	uint64_t y;
	unsigned int m, rest;

	days += EPOCH_DAYS;
	y = days * 400 / DAYS_400_YEARS;	/* right, or one too many or too few */
	while (days_before_year(y + 1) <= days)
		y++;
	while (days_before_year(y) > days)
		y--;
	rest = (unsigned int)(days - days_before_year(y));
	m = (5 * rest + 2) / 153;
	*day = rest - days_before_month(m) + 1;
	*month = (m + 2) % 12 + 1;
	*year = m >= 10 ? y + 1 : y;
}

static void fields_from_time(struct rtc *r, uint64_t now)
{
	uint64_t t = wall(r, now) / NSEC, days = t / DAY_S, year;
	unsigned int s = (unsigned int)(t % DAY_S), month, day;

	date_from_days(days, &year, &month, &day);
	r->ram[SECONDS] = encode(r, s % 60);
	r->ram[MINUTES] = encode(r, s / 60 % 60);
	r->ram[HOURS] = encode_hour(r, s / 3600);
	r->ram[WEEKDAY] = encode(r, (unsigned int)((days + 4) % 7) + 1);
	r->ram[DAY] = encode(r, day);
	r->ram[MONTH] = encode(r, month);
	r->ram[YEAR] = encode(r, (unsigned int)(year % 100));
	r->ram[CENTURY] = encode(r, (unsigned int)(year / 100));
}

/* The guest has set the clock: from now on it runs from these fields. */
static void time_from_fields(struct rtc *r, uint64_t now)
{
	uint64_t year = decode(r, r->ram[CENTURY]) * 100 + decode(r, r->ram[YEAR]);
	unsigned int month = decode(r, r->ram[MONTH]), day = decode(r, r->ram[DAY]);
	uint64_t t;

	if (year < 1970)
		year = 1970;
	t = days_from_date(year, month, day ? day : 1) * DAY_S +
	    decode_hour(r, r->ram[HOURS]) * 3600 + decode(r, r->ram[MINUTES]) * 60 +
	    decode(r, r->ram[SECONDS]);
	r->offset = (int64_t)(t * NSEC - now);
}

/* Nanoseconds between periodic flags; 0: none. */
static uint64_t period(const struct rtc *r)
{
	unsigned int rate = r->ram[REG_A] & A_RATE;

	if (!rate)
		return 0;
	if (rate < 3)
		rate += 7;	/* 1 and 2 give 256 and 128 Hz from a 32 kHz crystal */
	return NSEC * (1u << (rate - 1)) / 32768;
}

static bool alarm_field(uint8_t alarm, uint8_t field)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == field;
}

/* Did any second in (@from, @to] match the alarm? At most a day is looked at. */
static bool alarm_hit(const struct rtc *r, uint64_t from, uint64_t to)
{
	uint64_t s;

	if (to - from > DAY_S)
		from = to - DAY_S;
	for (s = from + 1; s <= to; s++) {
		unsigned int d = (unsigned int)(s % DAY_S);

		if (alarm_field(r->ram[SECONDS_ALARM], encode(r, d % 60)) &&
		    alarm_field(r->ram[MINUTES_ALARM], encode(r, d / 60 % 60)) &&
		    alarm_field(r->ram[HOURS_ALARM], encode_hour(r, d / 3600)))
			return true;
	}
	return false;
}

static void update_irq(struct rtc *r)
{
	bool raised = r->ram[REG_C] & r->ram[REG_B] & C_FLAGS;

	if (raised)
		r->ram[REG_C] |= C_IRQF;
	else
		r->ram[REG_C] &= ~C_IRQF;
	irq_set(&r->irq, raised);
}

void rtc_run(struct rtc *r, uint64_t now)
{
	uint64_t from = wall(r, r->seen) / NSEC, to = wall(r, now) / NSEC;
	uint64_t step = period(r);

	if (now < r->seen)
		return;
	if (step && now / step != r->periods) {
		r->periods = now / step;
		r->ram[REG_C] |= C_PF;
	}
	if (!(r->ram[REG_B] & B_SET) && to > from) {
		r->ram[REG_C] |= C_UF;
		if (!(r->ram[REG_C] & C_AF) && alarm_hit(r, from, to))
			r->ram[REG_C] |= C_AF;
	}
	r->seen = now;
	update_irq(r);
}

uint64_t rtc_next(const struct rtc *r)
{
	uint8_t wanted = r->ram[REG_B] & ~r->ram[REG_C] & C_FLAGS;
	uint64_t next = RTC_NEVER, step = period(r), second;

	if ((wanted & C_PF) && step)
		next = (r->seen / step + 1) * step;
	if ((wanted & (C_UF | C_AF)) && !(r->ram[REG_B] & B_SET)) {
		second = r->seen + NSEC - wall(r, r->seen) % NSEC;
		if (second < next)
			next = second;
	}
	return next;
}

static void put_le(struct rtc *r, unsigned int at, uint64_t v, uint64_t max)
{
	if (v > max)
		v = max;
	for (; max; max >>= 8, v >>= 8)
		r->ram[at++] = v & 0xff;
}

void rtc_init(struct rtc *r, struct irq_line irq, uint64_t now, uint64_t wall_ns, uint64_t low,
	      uint64_t high)
{
	memset(r, 0, sizeof(*r));
	r->irq = irq;
	r->offset = (int64_t)(wall_ns - now);
	r->seen = now;
	r->ram[REG_A] = 0x26;	/* 32 kHz crystal, periodic rate 1024 Hz */
	r->ram[REG_B] = B_24H;
	r->ram[REG_D] = D_VALID;
	r->periods = now / period(r);
	put_le(r, BASE_KB, 640, 0xffff);
	put_le(r, EXT_KB, (low - MIB) / KIB, 0xffff);
	put_le(r, EXT_KB_2, (low - MIB) / KIB, 0xffff);
	put_le(r, EXT_64KB, low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0, 0xffff);
	put_le(r, HIGH_64KB, high / (64 * KIB), 0xffffff);
}

static bool clock_field(unsigned int index)
{
	return index == SECONDS || index == MINUTES || index == HOURS || index == CENTURY ||
	       (index >= WEEKDAY && index <= YEAR);
}

uint8_t rtc_in(void *rtc, uint16_t port, uint64_t now)
{
	struct rtc *r = rtc;
	uint8_t v;

	if (port == RTC_PORT)
		return 0xff;	/* write only */
	rtc_run(r, now);
	if (clock_field(r->index) && !(r->ram[REG_B] & B_SET))
		fields_from_time(r, now);
	v = r->ram[r->index];
	if (r->index == REG_A && !(r->ram[REG_B] & B_SET) &&
	    wall(r, now) % NSEC >= NSEC - UIP_NS)
		v |= A_UIP;
	if (r->index == REG_C) {
		r->ram[REG_C] = 0;	/* reading takes the flags */
		update_irq(r);
	}
	return v;
}

static void write_field(struct rtc *r, uint8_t v, uint64_t now)
{
	if (!(r->ram[REG_B] & B_SET))
		fields_from_time(r, now);
	r->ram[r->index] = v;
	if (!(r->ram[REG_B] & B_SET))
		time_from_fields(r, now);
}

static void write_b(struct rtc *r, uint8_t v, uint64_t now)
{
	uint8_t before = r->ram[REG_B];

	if ((v & B_SET) && !(before & B_SET))
		fields_from_time(r, now);	/* the clock stops at what it shows */
	if (v & B_SET)
		v &= ~B_UIE;			/* SET clears UIE */
	r->ram[REG_B] = v;
	if (!(v & B_SET) && (before & B_SET)) {
		time_from_fields(r, now);
		r->seen = now;
	}
	update_irq(r);
}

void rtc_out(void *rtc, uint16_t port, uint8_t v, uint64_t now)
{
	struct rtc *r = rtc;

	if (port == RTC_PORT) {
		r->index = v & 0x7f;	/* bit 7 masks NMIs, of which there are none */
		return;
	}
	rtc_run(r, now);
	if (clock_field(r->index)) {
		write_field(r, v, now);
		return;
	}
	switch (r->index) {
	case REG_A:
		r->ram[REG_A] = v & ~A_UIP;
		r->periods = period(r) ? now / period(r) : 0;
		break;
	case REG_B:
		write_b(r, v, now);
		break;
	case REG_C:
	case REG_D:
		break;			/* read only */
	default:
		r->ram[r->index] = v;
		break;
	}
}
