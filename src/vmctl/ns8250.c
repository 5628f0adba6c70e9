// SPDX-License-Identifier: ISC
/*
 * The PC16550D as its data sheet has it (SNLS378): FIFOs, interrupt priorities, modem
 * lines, loopback. Bytes take no time on the wire; the far side's `room` is
 * the only thing that makes the transmitter wait. Then THRE is 0 until all of
 * the FIFO is sent, and a driver that sees it 1 may write as many bytes as the
 * FIFO holds, or one if the FIFOs are off.
 */
#include <string.h>

#include "ns8250.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

#define IER_RX		0x01u
#define IER_THRE	0x02u
#define IER_LINE	0x04u
#define IER_MODEM	0x08u
#define IIR_NONE	0x01u
#define IIR_MODEM	0x00u
#define IIR_THRE	0x02u
#define IIR_RX		0x04u
#define IIR_LINE	0x06u
#define IIR_TIMEOUT	0x0cu
#define IIR_FIFOS	0xc0u
#define FCR_ENABLE	0x01u
#define FCR_CLEAR_RX	0x02u
#define FCR_CLEAR_TX	0x04u
#define LCR_DLAB	0x80u
#define MCR_DTR		0x01u
#define MCR_RTS		0x02u
#define MCR_OUT1	0x04u
#define MCR_OUT2	0x08u
#define MCR_LOOP	0x10u
#define LSR_READY	0x01u
#define LSR_OVERRUN	0x02u
#define LSR_THRE	0x20u
#define LSR_IDLE	0x40u
#define MSR_CTS		0x10u
#define MSR_DSR		0x20u
#define MSR_RI		0x40u
#define MSR_DCD		0x80u
#define MSR_DELTA_RI	0x04u

static bool fifo(const struct uart *u)
{
	return u->fcr & FCR_ENABLE;
}

static bool loop(const struct uart *u)
{
	return u->mcr & MCR_LOOP;
}

/* Bytes that the receiver holds, and the transmitter. */
static unsigned int depth(const struct uart *u)
{
	return fifo(u) ? UART_FIFO : 1;
}

static unsigned int rx_trigger(const struct uart *u)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	return fifo(u) ? level[u->fcr >> 6] : 1;
}

static uint8_t cause(const struct uart *u)
{
	if ((u->ier & IER_LINE) && u->errors)
		return IIR_LINE;
	if ((u->ier & IER_RX) && u->rx_count >= rx_trigger(u))
		return IIR_RX;
	/* A byte below the trigger level would be reported after four character times. */
	if ((u->ier & IER_RX) && u->rx_count)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct uart *u)
{
	/* On a PC, OUT2 connects the interrupt line; loopback takes it away. */
	irq_set(&u->irq, cause(u) != IIR_NONE && (u->mcr & MCR_OUT2) && !loop(u));
}

static uint8_t modem_status(const struct uart *u)
{
	if (!loop(u))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct uart *u, uint8_t v)
{
	uint8_t before = modem_status(u), changed;

	u->mcr = v & 0x1f;
	changed = before ^ modem_status(u);
	u->msr_delta |= changed >> 4 & ~MSR_DELTA_RI;
	/* The ring indicator reports its trailing edge only. */
	if ((changed & MSR_RI) && (before & MSR_RI))
		u->msr_delta |= MSR_DELTA_RI;
}

void uart_reset(struct uart *u)
{
	u->ier = u->lcr = u->mcr = u->fcr = u->scratch = 0;
	u->dll = 1;		/* 115200 baud */
	u->dlm = 0;
	u->errors = u->msr_delta = 0;
	u->thre = false;
	u->rx_head = u->rx_count = 0;
	u->tx_head = u->tx_count = 0;
	update(u);
}

void uart_init(struct uart *u, struct irq_line irq, bool (*room)(void *),
	       void (*tx)(void *, uint8_t), void *arg)
{
	memset(u, 0, sizeof(*u));
	u->irq = irq;
	u->room = room;
	u->tx = tx;
	u->arg = arg;
	uart_reset(u);
}

bool uart_rx_room(const struct uart *u)
{
	return !loop(u) && u->rx_count < depth(u);
}

static void rx_put(struct uart *u, uint8_t byte)
{
	if (u->rx_count == depth(u)) {
		u->errors |= LSR_OVERRUN;
		if (fifo(u))
			return;		/* the FIFO keeps what it has */
		u->rx_count = 0;	/* without one, the new byte replaces the old */
	}
	u->rx[(u->rx_head + u->rx_count++) % UART_FIFO] = byte;
}

void uart_rx(struct uart *u, uint8_t byte)
{
	if (loop(u))
		return;			/* the line is disconnected */
	rx_put(u, byte);
	update(u);
}

static void tx_put(struct uart *u, uint8_t byte)
{
	if (u->tx_count == depth(u)) {
		/* The driver did not wait for THRE: a byte is lost, as on the chip. */
		if (fifo(u))
			return;
		u->tx_count = 0;
	}
	u->tx_fifo[(u->tx_head + u->tx_count++) % UART_FIFO] = byte;
}

/* Sends what it can; the end of the last byte is an interrupt. */
static void tx_drain(struct uart *u)
{
	uint8_t byte;

	while (u->tx_count && (loop(u) || u->room(u->arg))) {
		byte = u->tx_fifo[u->tx_head];
		u->tx_head = (u->tx_head + 1) % UART_FIFO;
		u->thre = --u->tx_count == 0;
		if (loop(u))
			rx_put(u, byte);
		else
			u->tx(u->arg, byte);
	}
}

void uart_tx_ready(struct uart *u)
{
	tx_drain(u);
	update(u);
}

static uint8_t rx_get(struct uart *u)
{
	uint8_t byte;

	if (!u->rx_count)
		return 0;
	byte = u->rx[u->rx_head];
	u->rx_head = (u->rx_head + 1) % UART_FIFO;
	u->rx_count--;
	return byte;
}

static uint8_t read_iir(struct uart *u)
{
	uint8_t v = cause(u);

	if (v == IIR_THRE)
		u->thre = false;	/* reading it is the acknowledgement */
	return v | (fifo(u) ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t v = u->errors | (u->rx_count ? LSR_READY : 0) |
		    (u->tx_count ? 0 : LSR_THRE | LSR_IDLE);

	u->errors = 0;
	return v;
}

uint8_t uart_in(void *uart, uint16_t port, uint64_t now)
{
	struct uart *u = uart;
	uint8_t v;

	(void)now;
	switch (port & 7) {
	case REG_DATA:
		v = u->lcr & LCR_DLAB ? u->dll : rx_get(u);
		break;
	case REG_IER:
		v = u->lcr & LCR_DLAB ? u->dlm : u->ier;
		break;
	case REG_IIR_FCR:
		v = read_iir(u);
		break;
	case REG_LCR:
		v = u->lcr;
		break;
	case REG_MCR:
		v = u->mcr;
		break;
	case REG_LSR:
		v = read_lsr(u);
		break;
	case REG_MSR:
		v = modem_status(u) | u->msr_delta;
		u->msr_delta = 0;
		break;
	default:
		v = u->scratch;
		break;
	}
	update(u);
	return v;
}

static void write_data(struct uart *u, uint8_t v)
{
	u->thre = false;
	update(u);		/* the line falls, so that the next empty is a new edge */
	tx_put(u, v);
	tx_drain(u);
}

static void write_fcr(struct uart *u, uint8_t v)
{
	bool switched = (v ^ u->fcr) & FCR_ENABLE;

	/* Turning the FIFOs on or off empties them; other bits count only while they are on. */
	if (!(v & FCR_ENABLE))
		v = 0;
	if (switched || (v & FCR_CLEAR_RX))
		u->rx_head = u->rx_count = 0;
	if ((switched || (v & FCR_CLEAR_TX)) && u->tx_count) {
		u->tx_head = u->tx_count = 0;
		u->thre = true;
	}
	u->fcr = v & (FCR_ENABLE | 0xc0);
}

void uart_out(void *uart, uint16_t port, uint8_t v, uint64_t now)
{
	struct uart *u = uart;

	(void)now;
	switch (port & 7) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB)
			u->dll = v;
		else
			write_data(u, v);
		break;
	case REG_IER:
		if (u->lcr & LCR_DLAB) {
			u->dlm = v;
			break;
		}
		/* Asking for the interrupt while the transmitter is empty gives one. */
		if ((v & IER_THRE) && !(u->ier & IER_THRE))
			u->thre = u->tx_count == 0;
		u->ier = v & 0x0f;
		break;
	case REG_IIR_FCR:
		write_fcr(u, v);
		break;
	case REG_LCR:
		u->lcr = v;
		break;
	case REG_MCR:
		write_mcr(u, v);
		tx_drain(u);	/* loopback takes what waits */
		break;
	case REG_SCRATCH:
		u->scratch = v;
		break;
	default:		/* LSR and MSR are read only */
		break;
	}
	update(u);
}
