/* SPDX-License-Identifier: ISC */
/*
 * ns8250.h - a 16550A serial port.
 *
 * The far side of the line is two calls: `room` asks whether a byte can be
 * sent now, `tx` sends it. While there is no room, bytes wait in the
 * transmitter's FIFO, which is not empty then: a guest that floods its console
 * is slowed, loses nothing, and memory stays bounded.
 */
#ifndef VMCTL_NS8250_H
#define VMCTL_NS8250_H

#include <stdbool.h>
#include <stdint.h>

#include "irq.h"

#define UART_PORT	0x3f8
#define UART_PORTS	8
#define UART_IRQ	4
#define UART_FIFO	16

struct uart {
	uint8_t ier, lcr, mcr, fcr, scratch, dll, dlm;
	uint8_t errors;			/* LSR error bits, cleared when read */
	uint8_t msr_delta;
	bool thre;			/* transmitter-empty interrupt pending */
	uint8_t rx[UART_FIFO], tx_fifo[UART_FIFO];
	unsigned int rx_head, rx_count;
	unsigned int tx_head, tx_count;
	struct irq_line irq;
	bool (*room)(void *arg);
	void (*tx)(void *arg, uint8_t byte);
	void *arg;
};

void uart_init(struct uart *u, struct irq_line irq, bool (*room)(void *),
	       void (*tx)(void *, uint8_t), void *arg);
void uart_reset(struct uart *u);
uint8_t uart_in(void *uart, uint16_t port, uint64_t now);
void uart_out(void *uart, uint16_t port, uint8_t value, uint64_t now);
/* May the far side send a byte that will not be lost? */
bool uart_rx_room(const struct uart *u);
/* A byte arrives; without room it is an overrun, as on the chip. */
void uart_rx(struct uart *u, uint8_t byte);
/* There is room again: sends what waits. */
void uart_tx_ready(struct uart *u);

#endif /* VMCTL_NS8250_H */
