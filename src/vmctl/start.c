// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "console.h"
#include "monitor.h"
#include "vmctl.h"

/* The vmctl that started a VM: what it heard from the VM's process so far. */
struct starter {
	int notes;
	bool over;		/* no more notes will come */
	int status;
};

/* Reads one note; false when it is not there to be read or there will be none. */
static bool hear(struct starter *s, struct note *note)
{
	ssize_t n;

	do
		n = recv(s->notes, note, sizeof(*note), 0);
	while (n < 0 && errno == EINTR);
	if (n <= (ssize_t)offsetof(struct note, text)) {
		s->over = true;
		return false;
	}
	note->text[n - (ssize_t)offsetof(struct note, text) - 1] = '\0';
	if (note->kind == NOTE_END) {
		s->over = true;
		s->status = note->status;
	}
	return true;
}

static bool on_note(void *arg)
{
	struct starter *s = arg;
	struct note note;

	if (hear(s, &note))
		console_say(note.text);
	return !s->over;
}

/* Waits for the guest to be running, or for the reason why it is not. */
static int await_start(struct starter *s, struct err *e)
{
	struct note note;

	while (hear(s, &note)) {
		if (note.kind == NOTE_STARTED) {
			console_say(note.text);
			return 0;
		}
		if (note.kind == NOTE_END)
			return err_set(e, "%s", note.text);
	}
	return err_set(e, "the VM's process died before the guest ran: see dmesg");
}

static int attach(struct starter *s, int console, pid_t child)
{
	const char detach = MONITOR_DETACH;

	switch (console_run(console, s->notes, on_note, s)) {
	case CONSOLE_LEFT:
		(void)send(s->notes, &detach, 1, MSG_NOSIGNAL);
		console_say("[left: the VM goes on; `vmctl console` comes back to it]");
		return 0;
	case CONSOLE_UNREAD:
	case CONSOLE_KILLED:
		/* It takes the VM along: the monitor sees the socket close. */
		close(s->notes);
		close(console);
		waitpid(child, NULL, 0);
		return END_STOPPED;
	case CONSOLE_CLOSED:
		break;
	}
	while (!s->over)
		on_note(s);
	waitpid(child, NULL, 0);
	return s->status;
}

int command_start(int argc, char **argv, struct err *e)
{
	struct start_options o;
	struct monitor_config config;
	struct starter s = { .status = END_FAILED };
	int notes[2], console[2] = { -1, -1 };
	pid_t child;

	if (parse_start(argc, argv, &o, e) != 0)
		return USAGE;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, notes) != 0 ||
	    (o.console && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) != 0)) {
		err_set(e, "no connection to a VM's process can be made: %s", strerror(errno));
		return complain(e);
	}
	child = fork();
	if (child < 0) {
		err_set(e, "no process can be made for the VM: %s", strerror(errno));
		return complain(e);
	}
	if (child == 0) {
		close(notes[0]);
		if (o.console) {
			close(console[0]);
			fcntl(console[1], F_SETFL, O_NONBLOCK);
		}
		config = (struct monitor_config){
			.name = o.name, .kernel = o.kernel, .initrd = o.initrd,
			.cmdline = o.cmdline, .memory = o.memory, .once = o.once,
			.notes = notes[1], .console = console[1],
		};
		monitor_run(&config);
	}
	close(notes[1]);
	if (o.console)
		close(console[1]);
	s.notes = notes[0];
	if (await_start(&s, e) != 0) {
		waitpid(child, NULL, 0);
		return complain(e);
	}
	return o.console ? attach(&s, console[0], child) : 0;
}
