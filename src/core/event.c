/* SPDX-License-Identifier: ISC */
/*
 * event.c - events to and from the words of a control structure.
 */
#include "event.h"

/* The types that both vendors number alike, but for instructions. */
enum hw_type { HW_INTR = 0, HW_NMI = 2, HW_EXCEPTION = 3 };

uint32_t
event_to_hw(const struct event *e)
{
	static const uint8_t type[] = {
		[EVENT_EXTINT] = HW_INTR,
		[EVENT_NMI] = HW_NMI,
		[EVENT_EXCEPTION] = HW_EXCEPTION,
	};

	if (e->type == EVENT_NONE)
		return 0;
	return ARCH_EVENT_V | e->vector |
	    (uint32_t)type[e->type] << ARCH_EVENT_TYPE_SHIFT |
	    (e->has_error ? ARCH_EVENT_EV : 0);
}

void
event_decode(uint32_t hw, uint32_t error, struct event *e)
{
	e->type = EVENT_NONE;
	e->vector = hw & ARCH_EVENT_VECTOR_MASK;
	e->has_error = hw & ARCH_EVENT_EV;
	e->error = e->has_error ? error : 0;
	switch ((hw & ARCH_EVENT_TYPE_MASK) >> ARCH_EVENT_TYPE_SHIFT) {
	case HW_INTR:
		e->type = EVENT_EXTINT;
		break;
	case HW_NMI:
		e->type = EVENT_NMI;
		break;
	case HW_EXCEPTION:
		/* To SVM, INT3 and INTO are exceptions, too. */
		if (e->vector != ARCH_EXC_BP && e->vector != ARCH_EXC_OF)
			e->type = EVENT_EXCEPTION;
		break;
	}
}
