/* SPDX-License-Identifier: ISC */
/*
 * ring.h - a bounded queue of bytes.
 */
#ifndef VMCTL_RING_H
#define VMCTL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t *buf;
	size_t size, head, count;
};

static inline bool ring_full(const struct ring *r)
{
	return r->count == r->size;
}

/* Puts a byte in; a full ring loses its oldest one. */
static inline void ring_put(struct ring *r, uint8_t byte)
{
	r->buf[(r->head + r->count) % r->size] = byte;
	if (ring_full(r))
		r->head = (r->head + 1) % r->size;
	else
		r->count++;
}

/* The oldest bytes that lie together: their number, and where. */
static inline size_t ring_peek(const struct ring *r, const uint8_t **at)
{
	size_t to_end = r->size - r->head;

	*at = r->buf + r->head;
	return r->count < to_end ? r->count : to_end;
}

static inline void ring_drop(struct ring *r, size_t n)
{
	if (n > r->count)
		n = r->count;
	r->head = (r->head + n) % r->size;
	r->count -= n;
}

#endif /* VMCTL_RING_H */
