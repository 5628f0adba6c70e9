/* SPDX-License-Identifier: ISC */
/*
 * monitor.h - a VM's process, from its claim on the name to its end.
 */
#ifndef VMCTL_MONITOR_H
#define VMCTL_MONITOR_H

#include "machine.h"

/* What the VM's process tells the vmctl that started it: one packet each. */
enum note_kind {
	NOTE_STARTED,		/* status: unused; text: what to tell the user */
	NOTE_TEXT,
	NOTE_END,		/* status: exit status; text: last words, or the error */
};

struct note {
	uint8_t kind;
	uint8_t status;
	char text[384];
};

/* What vmctl tells the VM's process: to live on without it. Its end without this is the VM's. */
#define MONITOR_DETACH	'd'

struct monitor_config {
	const char *name;
	const char *kernel, *initrd, *cmdline;	/* initrd: NULL for none */
	uint64_t memory;
	bool once;
	int notes;		/* SOCK_SEQPACKET to the vmctl that started this */
	int console;		/* its end of the console, or -1 */
};

/* Runs the VM and never returns. Standard files are /dev/null from when the guest starts. */
void monitor_run(const struct monitor_config *config) __attribute__((noreturn));

#endif /* VMCTL_MONITOR_H */
