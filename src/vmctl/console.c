// SPDX-License-Identifier: ISC
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "console.h"

/*
 * A pipe that poll() finds writable takes this much without waiting. Other
 * files may make write() wait all the same: signals interrupt it.
 */
#define OUT_CHUNK	((size_t)PIPE_BUF)
#define IN_CHUNK	((size_t)256)
#define LINE_MAX_LEN	((size_t)512)	/* of console_say */
#define DRAIN_MS	20		/* between two looks at what the guest has taken */

/* Bytes on their way to a file that may be slow. */
struct pending {
	size_t at, len;
	uint8_t buf[OUT_CHUNK + LINE_MAX_LEN];
};

static struct pending to_stdout, to_guest;
static struct termios saved;
static bool raw;
static bool mid_line;		/* the guest's last byte was not the end of a line */
static bool looping;		/* console_run writes `to_stdout`, nobody else */
static volatile sig_atomic_t killed;
static volatile sig_atomic_t writing;
static sigjmp_buf interrupted;

/* --- Buffers ---------------------------------------------------------------------------- */

static bool empty(const struct pending *p)
{
	return p->at == p->len;
}

/* Appends what fits. */
static void append(struct pending *p, const void *bytes, size_t n)
{
	size_t room;

	if (empty(p))
		p->at = p->len = 0;
	room = sizeof(p->buf) - p->len;
	if (n > room)
		n = room;
	memcpy(p->buf + p->len, bytes, n);
	p->len += n;
}

/* --- Escapes, terminal, signals ----------------------------------------------------------- */

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
		/* Not TCSADRAIN, which waits for a terminal that takes no output. */
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	raw = false;
}

static void on_signal(int sig)
{
	killed = sig;
	/* write() may not have begun: coming back to it would be waiting. */
	if (writing)
		siglongjmp(interrupted, 1);
}

/* --- To the terminal ------------------------------------------------------------------------ */

/*
 * One write of pending output, which @waiting's signals end at any time.
 * False when nobody will ever read it.
 */
static bool write_some(const sigset_t *waiting)
{
	struct pending *p = &to_stdout;
	size_t n = p->len - p->at;
	sigset_t block;
	ssize_t done;

	if (sigsetjmp(interrupted, 1)) {
		writing = 0;
		return true;
	}
	writing = 1;
	sigprocmask(SIG_SETMASK, waiting, &block);
	done = write(STDOUT_FILENO, p->buf + p->at, n < OUT_CHUNK ? n : OUT_CHUNK);
	sigprocmask(SIG_SETMASK, &block, NULL);
	writing = 0;
	if (done < 0)
		return errno == EINTR || errno == EAGAIN;
	p->at += (size_t)done;
	return true;
}

/* Outside of console_run: waits; signals have their default actions. */
static void write_all(void)
{
	struct pending *p = &to_stdout;
	struct pollfd room = { .fd = STDOUT_FILENO, .events = POLLOUT };
	ssize_t done;

	while (!empty(p)) {
		done = write(STDOUT_FILENO, p->buf + p->at, p->len - p->at);
		if (done >= 0)
			p->at += (size_t)done;
		else if (errno == EAGAIN)
			poll(&room, 1, -1);
		else if (errno != EINTR)
			return;
	}
}

void console_say(const char *text)
{
	const char *end = raw ? "\r\n" : "\n";
	char line[LINE_MAX_LEN];
	int n;

	n = snprintf(line, sizeof(line), "%s%s%s", mid_line ? end : "", text, end);
	append(&to_stdout, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
	mid_line = false;
	if (!looping)
		write_all();
}

/* Guest to terminal; false at the end. */
static bool show(int console)
{
	uint8_t buf[OUT_CHUNK];
	ssize_t n = recv(console, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	append(&to_stdout, buf, (size_t)n);
	mid_line = buf[n - 1] != '\n';
	return true;
}

/* --- To the guest --------------------------------------------------------------------------- */

enum typed { TYPED_SOME, TYPED_END, TYPED_LEAVE };

/* What an escape makes of a chunk of input may be twice as long. */
static bool room_to_type(void)
{
	return empty(&to_guest) || sizeof(to_guest.buf) - to_guest.len >= 2 * IN_CHUNK;
}

/* Takes what is typed; room_to_type() says when. */
static enum typed type(struct escape *esc)
{
	uint8_t buf[IN_CHUNK], out[2];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf)), i;
	int k;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? TYPED_SOME : TYPED_END;
	if (n == 0)
		return TYPED_END;
	for (i = 0; i < n; i++) {
		k = escape_feed(esc, buf[i], out);
		if (k < 0)
			return TYPED_LEAVE;
		append(&to_guest, out, (size_t)k);
	}
	return TYPED_SOME;
}

/* An error is the end of the console, which show() sees. */
static void send_some(int console)
{
	struct pending *p = &to_guest;
	ssize_t n = send(console, p->buf + p->at, p->len - p->at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		p->at += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		p->at = p->len;
}

/*
 * May a user who typed `~.` go? At once from a terminal, whose guest may hang;
 * a script's input is for the guest first.
 */
static bool may_leave(int console)
{
	int unread = 0;

	if (!empty(&to_guest))
		send_some(console);
	if (isatty(STDIN_FILENO))
		return true;
	return empty(&to_guest) && (ioctl(console, SIOCOUTQ, &unread) != 0 || unread == 0);
}

/* --- Both ways ------------------------------------------------------------------------------ */

enum { CONSOLE, TYPED, NOTES, SHOWN, FILES };

/* poll() tells of the end of a file that is asked for nothing: leave such a file out. */
static void watch(struct pollfd *p, int fd, short events)
{
	p->fd = events ? fd : -1;
	p->events = events;
	p->revents = 0;
}

/* Signals are let in only while it waits, so that none is missed. */
static enum console_end loop(int console, int notes, bool (*on_note)(void *), void *arg,
			     const sigset_t *waiting)
{
	const struct timespec drain = { .tv_nsec = DRAIN_MS * 1000000L };
	struct escape esc = { ESCAPE_LINE_START };
	bool typing = true, leaving = false;
	struct pollfd p[FILES];

	while (!killed) {
		if (leaving && may_leave(console))
			return CONSOLE_LEFT;
		watch(&p[CONSOLE], console, (short)((empty(&to_stdout) ? POLLIN : 0) |
						    (empty(&to_guest) ? 0 : POLLOUT)));
		watch(&p[TYPED], STDIN_FILENO, typing && room_to_type() ? POLLIN : 0);
		watch(&p[NOTES], notes, empty(&to_stdout) ? POLLIN : 0);
		/* Always: that its reader is gone shows before there is anything to write. */
		p[SHOWN] = (struct pollfd){ .fd = STDOUT_FILENO,
					    .events = empty(&to_stdout) ? 0 : POLLOUT };
		if (ppoll(p, FILES, leaving ? &drain : NULL, waiting) < 0) {
			if (errno == EINTR)
				continue;
			return CONSOLE_CLOSED;
		}
		if (p[SHOWN].revents & (POLLERR | POLLHUP | POLLNVAL))
			return CONSOLE_UNREAD;
		if ((p[SHOWN].revents & POLLOUT) && !write_some(waiting))
			return CONSOLE_UNREAD;
		if (p[CONSOLE].revents & POLLOUT)
			send_some(console);
		if ((p[CONSOLE].revents & ~POLLOUT) && empty(&to_stdout) && !show(console))
			return CONSOLE_CLOSED;
		if (p[NOTES].revents && !on_note(arg))
			notes = -1;
		if (!p[TYPED].revents)
			continue;
		switch (type(&esc)) {
		case TYPED_SOME:
			break;
		case TYPED_END:
			typing = false;	/* the guest goes on without input */
			break;
		case TYPED_LEAVE:
			typing = false;
			leaving = true;
			break;
		}
	}
	return CONSOLE_KILLED;
}

enum console_end console_run(int console, int notes, bool (*on_note)(void *arg), void *arg)
{
	static const int fatal[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
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
	looping = true;
	end = loop(console, notes, on_note, arg, &before);
	looping = false;
	terminal_restore();
	/* From here on nothing has to be put back. */
	for (i = 0; i < ARRAY_SIZE(fatal); i++)
		signal(fatal[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return end;
}
