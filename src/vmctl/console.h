/* SPDX-License-Identifier: ISC */
/*
 * console.h - this terminal, connected to a guest's console.
 */
#ifndef VMCTL_CONSOLE_H
#define VMCTL_CONSOLE_H

#include "util.h"

/* cu(1)'s escapes: at the start of a line, `~.` leaves and `~~` types a tilde. */
enum escape_state { ESCAPE_LINE_START, ESCAPE_TILDE, ESCAPE_TEXT };

struct escape {
	enum escape_state state;
};

/* Passes one typed byte on: bytes for the guest into @out[2], their number, or -1 for `~.`. */
int escape_feed(struct escape *esc, uint8_t byte, uint8_t out[2]);

enum console_end {
	CONSOLE_CLOSED,		/* the guest's side is gone */
	CONSOLE_LEFT,		/* the user typed ~. */
	CONSOLE_UNREAD,		/* nobody reads standard output any more */
	CONSOLE_KILLED,		/* by a signal */
};

/*
 * Runs until one side ends it. Neither side loses anything to a slow other
 * one: bytes are read from one side when the other has taken those before.
 * @notes is -1, or a socket whose packets are given to @on_note, which returns
 * false to stop listening to it. Afterwards the terminal is as it was before,
 * and SIGINT, SIGTERM, SIGHUP and SIGQUIT have their default actions.
 */
enum console_end console_run(int console, int notes, bool (*on_note)(void *arg), void *arg);
/* Prints a line of our own below what the guest has printed. */
void console_say(const char *text);

#endif /* VMCTL_CONSOLE_H */
