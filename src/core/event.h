/* SPDX-License-Identifier: ISC */
/*
 * event.h - events in the form in which CPUs are given them and report them;
 * but for names, it is the same for both vendors (APM 2 15.20, SDM 3C 25.8.3).
 * An error code, if ARCH_EVENT_EV says that there is one, is kept elsewhere.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "vm.h"

/* 0 for EVENT_NONE. */
uint32_t event_to_hw(const struct event *e);
/* event_from_hw(), of an event that is there. */
void	event_decode(uint32_t hw, uint32_t error, struct event *e);
/*
 * The event whose delivery an exit cut short. INT n, INT1, INT3 and INTO are
 * none: RIP still points at them, so they simply run again (APM 2 15.7.2,
 * SDM 3C 28.3.3).
 */
static inline void
event_from_hw(uint32_t hw, uint32_t error, struct event *e)
{
	if (hw & ARCH_EVENT_V)
		event_decode(hw, error, e);
	else
		e->type = EVENT_NONE;
}

#endif /* CORE_EVENT_H */
