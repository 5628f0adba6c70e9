/* SPDX-License-Identifier: ISC */
/*
 * breakpoint.c - which breakpoints an access meets: see breakpoint.h.
 */
#include "breakpoint.h"
#include "backend.h"
#include "debug.h"

#define BREAKPOINTS	4
#define ENABLED_ANY	0xffu	/* L0 to G3 */
#define ENABLED(dr7, i)	((dr7) >> (i) * 2 & 3)
#define RW(dr7, i)	((dr7) >> (16 + (i) * 4) & 3)
#define LEN(dr7, i)	((dr7) >> (18 + (i) * 4) & 3)

/* DR7.RWn (SDM 3B 17.2.4, APM 2 13.1.1.4). */
enum rw { RW_EXECUTE, RW_WRITE, RW_IO, RW_READ_WRITE };
#define RW_BIT(rw)	(1u << (rw))

/* Bytes, by DR7.LENn. */
static const uint8_t length[] = { 1, 2, 8, 4 };

/* Do [a, a + n) and [b, b + m) meet, with what wraps around? */
static bool
overlap(uint64_t a, uint64_t n, uint64_t b, uint64_t m)
{
	return a - b < m || b - a < n;
}

/* kinds: RW_BIT() of those that such an access can meet. */
static void
meet(struct vcpu *v, uint64_t dr7, unsigned int kinds, uint64_t address,
    unsigned int size)
{
	unsigned int i;

	debug_sync(v);
	for (i = 0; i < BREAKPOINTS; i++) {
		uint64_t len = length[LEN(dr7, i)];

		/* The low bits of an address are not looked at. */
		if (ENABLED(dr7, i) && (kinds & RW_BIT(RW(dr7, i))) &&
		    overlap(address, size, v->dr[i] & ~(len - 1), len))
			v->debug_traps |= (uint8_t)(1u << i);
	}
}

void
breakpoint_io(struct vcpu *v, uint16_t port, unsigned int size)
{
	const struct backend *b = vmm_backend();
	uint64_t dr7 = b->reg_get(v, REG_DR7);

	if ((dr7 & ENABLED_ANY) && (b->reg_get(v, REG_CR4) & ARCH_CR4_DE))
		meet(v, dr7, RW_BIT(RW_IO), port, size);
}

void
breakpoint_data(struct vcpu *v, uint64_t gva, unsigned int size, bool write)
{
	uint64_t dr7 = vmm_backend()->reg_get(v, REG_DR7);

	if (dr7 & ENABLED_ANY)
		meet(v, dr7, RW_BIT(RW_READ_WRITE) |
		    (write ? RW_BIT(RW_WRITE) : 0), gva, size);
}
