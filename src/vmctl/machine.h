/* SPDX-License-Identifier: ISC */
/*
 * machine.h - a PC around one vCPU.
 *
 * Two threads: the vCPU's (machine_vcpu) and the one that watches timers and
 * console (monitor.c). Devices and rings belong to whoever holds `lock`.
 */
#ifndef VMCTL_MACHINE_H
#define VMCTL_MACHINE_H

#include <pthread.h>

#include "board.h"
#include "driver.h"
#include "i8254.h"
#include "i8259.h"
#include "linux.h"
#include "mc146818.h"
#include "mmio.h"
#include "ns8250.h"
#include "ring.h"

#define CONSOLE_OUT_SIZE	(64 * KIB)
#define CONSOLE_IN_SIZE		(4 * KIB)

/* vmctl's exit status for a VM that has run. */
enum machine_end {
	END_POWERED_OFF = 0,
	END_FAILED = 1,
	END_STOPPED = 2,
	END_RESET = 3,
};

struct machine_config {
	const char *name;
	struct linux_image image;
	uint64_t memory;
	bool once;		/* a reset ends the VM */
	/* Something the user should know; called from either thread. */
	void (*notify)(void *arg, const char *text);
	void *arg;
};

struct machine {
	/* Fixed once machine_init has returned. */
	const struct machine_config *config;
	struct driver driver;	/* .vm changes at a reset, under the lock */
	struct ram ram;
	int pit_timer, rtc_timer;	/* timerfds */
	int wake_fd;		/* eventfd: output, room for input, or the end */
	pthread_mutex_t lock;
	pthread_cond_t wake;	/* an interrupt for a sleeping vCPU, or `stopping` */

	/* Under the lock. */
	struct pic pic;
	struct pit pit;
	struct uart uart;
	struct rtc rtc;
	struct kbc kbc;
	struct pci pci;
	struct port_range range[12];
	struct port_map ports;
	uint64_t pit_armed, rtc_armed;	/* deadlines the timerfds have */
	struct ring out, in;
	bool connected;		/* somebody reads `out` */
	bool woken;		/* wake_fd was written and not yet read */
	bool on_vcpu;		/* the vCPU's thread is the one that holds the lock */
	bool told;		/* what the driver was told last: interrupt pending */
	bool reset_wanted;
	bool stopping;		/* the user wants it to end */
	bool ended;
	enum machine_end end;
	char end_text[sizeof(((struct err *)0)->text) + 32];

	/* The vCPU's thread only. */
	struct vm_run_params run;
	struct vm_exit exit;
	bool halted;
	bool vector_told;	/* the user knows of vector loads from nothing */
	uint64_t booted;
	unsigned int quick_resets;
};

/* Builds the machine and the VM, ready to run. */
int machine_init(struct machine *m, const struct machine_config *config, struct err *e);
void machine_free(struct machine *m);
/* Between the two, the vCPU's thread does not enter the guest. */
void machine_hold(struct machine *m);
void machine_release(struct machine *m);
/* The vCPU's thread: runs the guest until `ended`. @machine is a struct machine. */
void *machine_vcpu(void *machine);
/* Makes the vCPU's thread end, with END_STOPPED if the guest has not ended by itself. */
void machine_stop(struct machine *m);
/* A timerfd has expired. */
void machine_timer(struct machine *m);
/* Somebody begins or ceases to read the console. */
void machine_connect(struct machine *m, bool connected);
/* Up to @size bytes of console output into @buf; machine_sent says how many were taken. */
size_t machine_output(struct machine *m, uint8_t *buf, size_t size);
void machine_sent(struct machine *m, size_t n);
/* Room for console input, and the input itself. */
size_t machine_input_room(struct machine *m);
void machine_input(struct machine *m, const uint8_t *buf, size_t n);
/* After wake_fd was read: true when the machine has ended. */
bool machine_woken(struct machine *m);

#endif /* VMCTL_MACHINE_H */
