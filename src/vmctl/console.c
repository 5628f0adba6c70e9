// SPDX-License-Identifier: ISC
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "console.h"

#define CHUNK	4096

static struct termios saved;
static bool raw;
static bool mid_line;		/* the guest's last byte was not the end of a line */
static volatile sig_atomic_t killed;

int escape_feed(struct escape *esc, uint8_t byte, uint8_t out[2])
{
	int n = 0;

	switch (esc->state) {
	case ESCAPE_LINE_START:
		if (byte == '~') {
			esc->state = ESCAPE_TILDE;
			return 0;
		}
		break;
	case ESCAPE_TILDE:
		if (byte == '.')
			return -1;
		esc->state = ESCAPE_TEXT;
		out[n++] = '~';
		if (byte == '~')
			return n;
		break;
	case ESCAPE_TEXT:
		break;
	}
	out[n++] = byte;
	esc->state = byte == '\r' || byte == '\n' ? ESCAPE_LINE_START : ESCAPE_TEXT;
	return n;
}

static void terminal_raw(void)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) != 0)
		return;
	t = saved;
	cfmakeraw(&t);
	raw = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

static void terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	raw = false;
}

static void on_signal(int sig)
{
	killed = sig;
}

static void write_all(int fd, const uint8_t *buf, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, buf, n);

		if (done < 0 && errno == EINTR && !killed)
			continue;
		if (done <= 0)
			return;
		buf += done;
		n -= (size_t)done;
	}
}

void console_say(const char *text)
{
	const char *end = raw ? "\r\n" : "\n";
	char line[512];
	int n;

	n = snprintf(line, sizeof(line), "%s%s%s", mid_line ? end : "", text, end);
	write_all(STDOUT_FILENO, (const uint8_t *)line,
		  (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
	mid_line = false;
}

/* Guest to terminal; false at the end. */
static bool show(int console)
{
	uint8_t buf[CHUNK];
	ssize_t n = recv(console, buf, sizeof(buf), 0);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	write_all(STDOUT_FILENO, buf, (size_t)n);
	mid_line = buf[n - 1] != '\n';
	return true;
}

enum typed { TYPED_SOME, TYPED_END, TYPED_LEAVE };

/* Terminal to guest. */
static enum typed type(int console, struct escape *esc)
{
	uint8_t buf[256], out[2 * sizeof(buf)];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf)), i;
	size_t len = 0;
	int k;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? TYPED_SOME : TYPED_END;
	if (n == 0)
		return TYPED_END;
	for (i = 0; i < n; i++) {
		k = escape_feed(esc, buf[i], out + len);
		if (k < 0)
			break;
		len += (size_t)k;
	}
	/* A guest that does not read loses input rather than hanging the terminal. */
	if (len)
		(void)send(console, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return i < n ? TYPED_LEAVE : TYPED_SOME;
}

/* Signals are let in only while it waits, so that none is missed. */
static enum console_end loop(int console, int notes, bool (*on_note)(void *), void *arg,
			     const sigset_t *waiting)
{
	struct escape esc = { ESCAPE_LINE_START };
	struct pollfd p[3] = {
		{ .fd = console, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = notes, .events = POLLIN },
	};

	while (!killed) {
		if (ppoll(p, ARRAY_SIZE(p), NULL, waiting) < 0) {
			if (errno == EINTR)
				continue;
			return CONSOLE_CLOSED;
		}
		if (p[0].revents && !show(console))
			return CONSOLE_CLOSED;
		if (p[2].revents && !on_note(arg))
			p[2].fd = -1;
		if (!p[1].revents)
			continue;
		switch (type(console, &esc)) {
		case TYPED_SOME:
			break;
		case TYPED_END:
			p[1].fd = -1;	/* the guest goes on without input */
			break;
		case TYPED_LEAVE:
			return CONSOLE_LEFT;
		}
	}
	return CONSOLE_KILLED;
}

enum console_end console_run(int console, int notes, bool (*on_note)(void *arg), void *arg)
{
	static const int fatal[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t block, before;
	enum console_end end;
	size_t i;

	sigemptyset(&block);
	for (i = 0; i < ARRAY_SIZE(fatal); i++) {
		sigaddset(&block, fatal[i]);
		sigaction(fatal[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, &before);
	signal(SIGPIPE, SIG_IGN);
	terminal_raw();
	end = loop(console, notes, on_note, arg, &before);
	terminal_restore();
	sigprocmask(SIG_SETMASK, &before, NULL);
	return end;
}
