/* SPDX-License-Identifier: ISC */
/*
 * irq.h - one interrupt line, as a device sees it.
 */
#ifndef VMCTL_IRQ_H
#define VMCTL_IRQ_H

#include <stdbool.h>

struct irq_line {
	void (*set)(void *arg, unsigned int irq, bool level);
	void *arg;
	unsigned int irq;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	line->set(line->arg, line->irq, level);
}

/* A rising edge, whatever the line's level was. */
static inline void irq_pulse(const struct irq_line *line)
{
	line->set(line->arg, line->irq, false);
	line->set(line->arg, line->irq, true);
}

#endif /* VMCTL_IRQ_H */
