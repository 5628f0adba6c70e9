// SPDX-License-Identifier: ISC
/*
 * The terminal's side of a console, on a pseudo-terminal.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "console.h"
#include "suite.h"

static int terminal, guest;	/* the far ends: what a user types and what the guest has */
static int notes[2];		/* [0]: what the VM's process says */
static pid_t child;
static struct termios before;

/* A pipe ends when no process has its other end: the child must not keep ours. */
static void closefrom_but(int a, int b)
{
	int fd;

	for (fd = 3; fd < 64; fd++)
		if (fd != a && fd != b)
			close(fd);
}

static bool on_note(void *arg)
{
	char byte;

	(void)arg;
	ck_assert_int_eq(recv(notes[1], &byte, 1, 0), 1);
	console_say("noted");
	return true;
}

/*
 * A process whose terminal is connected to `guest`; its exit status is the console_end.
 * @in and @out: its standard input and output, or -1 for the terminal.
 */
static void start_with(int in, int out)
{
	int pair[2], slave;

	terminal = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_ge(terminal, 0);
	ck_assert_int_eq(grantpt(terminal), 0);
	ck_assert_int_eq(unlockpt(terminal), 0);
	slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, notes), 0);
	child = fork();
	if (child == 0) {
		enum console_end end;

		close(pair[0]);
		close(notes[0]);
		dup2(in < 0 ? slave : in, 0);
		dup2(out < 0 ? slave : out, 1);
		closefrom_but(pair[1], notes[1]);
		end = console_run(pair[1], notes[1], on_note, NULL);
		if (end == CONSOLE_LEFT || end == CONSOLE_CLOSED)
			console_say("bye");
		_exit((int)end);
	}
	close(pair[1]);
	close(notes[1]);
	close(slave);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	guest = pair[0];
}

static void start(void)
{
	start_with(-1, -1);
}

/* Reads from @fd until @text has come. */
static void expect(int fd, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char got[256] = "";
	size_t len = 0;
	ssize_t n;

	while (!strstr(got, text)) {
		ck_assert_msg(poll(&p, 1, 5000) == 1, "wanted \"%s\", had \"%s\"", text, got);
		n = read(fd, got + len, sizeof(got) - 1 - len);
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
		got[len] = '\0';
	}
}

static void type(const char *text)
{
	ck_assert_int_eq(write(terminal, text, strlen(text)), (ssize_t)strlen(text));
}

static struct termios settings(void)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(terminal, &t), 0);
	return t;
}

static void ended(enum console_end end)
{
	struct termios t;
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), end);
	/* The terminal is as it was. */
	t = settings();
	ck_assert_uint_eq(t.c_lflag, before.c_lflag);
	ck_assert_uint_eq(t.c_iflag, before.c_iflag);
	ck_assert_uint_eq(t.c_oflag, before.c_oflag);
	close(terminal);
	close(guest);
	close(notes[0]);
}

/* Until the process has made the terminal raw. */
static void wait_raw(void)
{
	unsigned int i;

	for (i = 0; i < 5000 && (settings().c_lflag & ICANON); i++)
		usleep(1000);
	ck_assert(!(settings().c_lflag & (ICANON | ECHO | ISIG)));
}

START_TEST(both_ways)
{
	start();
	wait_raw();
	type("ls\r\003");		/* an interrupt character is the guest's */
	expect(guest, "ls\r\003");
	ck_assert_int_eq(write(guest, "hello", 5), 5);
	expect(terminal, "hello");
	type("\r~.");
	expect(guest, "\r");
	expect(terminal, "\nbye");	/* on a line of its own */
	ended(CONSOLE_LEFT);
}
END_TEST

START_TEST(guest_goes)
{
	start();
	wait_raw();
	ck_assert_int_eq(write(guest, "last words\r\n", 12), 12);
	shutdown(guest, SHUT_RDWR);
	expect(terminal, "last words\r\nbye");
	ended(CONSOLE_CLOSED);
}
END_TEST

START_TEST(signal_restores_the_terminal)
{
	start();
	wait_raw();
	kill(child, SIGTERM);
	ended(CONSOLE_KILLED);
}
END_TEST

START_TEST(terminal_goes)
{
	int status;

	start();
	wait_raw();
	close(terminal);		/* nobody types, nobody reads */
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), CONSOLE_UNREAD);
	close(guest);
	close(notes[0]);
}
END_TEST

/* Standard input may end: the guest goes on. */
START_TEST(input_ends)
{
	int in[2];

	ck_assert_int_eq(pipe(in), 0);
	start_with(in[0], -1);
	ck_assert_int_eq(write(in[1], "last\n", 5), 5);
	close(in[1]);
	expect(guest, "last\n");
	ck_assert_int_eq(write(guest, "more", 4), 4);
	expect(terminal, "more");
	shutdown(guest, SHUT_RDWR);
	ended(CONSOLE_CLOSED);
}
END_TEST

/* `vmctl console x | grep -m1 ready`: the reader goes and the guest says nothing more. */
START_TEST(reader_goes)
{
	int out[2];

	ck_assert_int_eq(pipe(out), 0);
	start_with(-1, out[1]);
	wait_raw();
	ck_assert_int_eq(write(guest, "ready\n", 6), 6);
	expect(out[0], "ready\n");
	close(out[0]);
	ended(CONSOLE_UNREAD);
}
END_TEST

/* Writes as much as the console takes while nobody reads it. */
static size_t stuff(int fd)
{
	static uint8_t buf[4096];
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t all = 0;
	ssize_t n;

	while (poll(&p, 1, 200) == 1) {
		n = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			break;
		all += (size_t)n;
	}
	return all;
}

START_TEST(reader_goes_with_output_in_the_pipe)
{
	int out[2];

	ck_assert_int_eq(pipe(out), 0);
	start_with(-1, out[1]);
	wait_raw();
	ck_assert_uint_gt(stuff(guest), 65536);
	close(out[0]);
	ended(CONSOLE_UNREAD);
}
END_TEST

/* Nobody reads the pipe or the terminal: signals end it, and restore the terminal. */
static void stuck_and_killed(bool to_pipe, bool note, int sig)
{
	int out[2] = { -1, -1 };

	if (to_pipe)
		ck_assert_int_eq(pipe(out), 0);
	start_with(-1, out[1]);
	wait_raw();
	ck_assert_uint_gt(stuff(guest), 0);
	if (note)
		ck_assert_int_eq(write(notes[0], "n", 1), 1);
	kill(child, sig);
	ended(CONSOLE_KILLED);
	if (to_pipe)
		close(out[0]);
}

START_TEST(signals_end_it_though_nobody_reads)
{
	static const int sigs[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sigs); i++) {
		stuck_and_killed(true, false, sigs[i]);
		stuck_and_killed(false, false, sigs[i]);
		stuck_and_killed(true, true, sigs[i]);
	}
}
END_TEST

START_TEST(notes_come_behind_what_the_guest_said)
{
	int out[2];

	ck_assert_int_eq(pipe(out), 0);
	start_with(-1, out[1]);
	wait_raw();
	ck_assert_int_eq(write(guest, "half a line", 11), 11);
	expect(out[0], "half a line");
	ck_assert_int_eq(write(notes[0], "n", 1), 1);
	expect(out[0], "\r\nnoted\r\n");
	shutdown(guest, SHUT_RDWR);
	expect(out[0], "bye\n");
	ended(CONSOLE_CLOSED);
	close(out[0]);
}
END_TEST

#define MUCH	300000u

static uint8_t pattern(size_t i)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz\n";

	return (uint8_t)letters[i % 27];
}

/* Another process writes @n bytes to @fd, then @last, and closes it. */
static pid_t writer(int fd, size_t n, const char *last)
{
	static uint8_t buf[MUCH];
	pid_t pid = fork();
	size_t i, at = 0;
	ssize_t done;

	if (pid != 0)
		return pid;
	for (i = 0; i < n; i++)
		buf[i] = pattern(i);
	while (at < n) {
		done = write(fd, buf + at, n - at);
		if (done <= 0)
			_exit(1);
		at += (size_t)done;
	}
	_exit(write(fd, last, strlen(last)) == (ssize_t)strlen(last) ? 0 : 1);
}

/* Reads MUCH bytes of the pattern, in chunks, now and then late. */
static void read_much(int fd)
{
	static uint8_t buf[1000];
	size_t all = 0, k;
	ssize_t n;

	while (all < MUCH) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ck_assert_msg(poll(&p, 1, 5000) == 1, "%zu of %u bytes came", all, MUCH);
		n = read(fd, buf, MUCH - all < sizeof(buf) ? MUCH - all : sizeof(buf));
		ck_assert_int_gt(n, 0);
		for (k = 0; k < (size_t)n; k++)
			REQUIRE(buf[k] == pattern(all + k));
		all += (size_t)n;
		if (all % 50000 < 1000)
			usleep(20000);
	}
}

/* The guest takes its time: none of a script's input is lost. */
START_TEST(input_waits_for_the_guest)
{
	int in[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(in), 0);
	start_with(in[0], -1);
	pid = writer(in[1], MUCH, "");
	close(in[1]);
	usleep(300000);
	/* The writer waits as well. */
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	read_much(guest);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shutdown(guest, SHUT_RDWR);
	ended(CONSOLE_CLOSED);
}
END_TEST

START_TEST(a_script_leaves_behind_its_input)
{
	int in[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(in), 0);
	start_with(in[0], -1);
	pid = writer(in[1], MUCH, "\n~.");
	close(in[1]);
	read_much(guest);
	expect(guest, "\n");
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ended(CONSOLE_LEFT);
}
END_TEST

START_TEST(output_waits_for_the_reader)
{
	int out[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(out), 0);
	start_with(-1, out[1]);
	pid = writer(guest, MUCH, "");
	read_much(out[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shutdown(guest, SHUT_RDWR);
	ended(CONSOLE_CLOSED);
	close(out[0]);
}
END_TEST

/* A guest that takes nothing does not keep its user. */
START_TEST(leaves_a_guest_that_hangs)
{
	struct pollfd p;
	unsigned int i;

	start();
	wait_raw();
	p = (struct pollfd){ .fd = terminal, .events = POLLOUT };
	for (i = 0; i < 4000; i++) {
		ck_assert_int_eq(poll(&p, 1, 5000), 1);
		type("x");
	}
	type("\r~.");
	ended(CONSOLE_LEFT);
}
END_TEST

SUITE_MAIN("vmctl: console", both_ways, guest_goes, signal_restores_the_terminal, terminal_goes,
	   input_ends, reader_goes, reader_goes_with_output_in_the_pipe,
	   signals_end_it_though_nobody_reads, notes_come_behind_what_the_guest_said,
	   input_waits_for_the_guest, a_script_leaves_behind_its_input,
	   output_waits_for_the_reader, leaves_a_guest_that_hangs)
