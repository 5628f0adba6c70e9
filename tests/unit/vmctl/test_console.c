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
static pid_t child;
static struct termios before;

/* A process whose terminal is connected to `guest`; its exit status is the console_end. */
static void start(void)
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
	child = fork();
	if (child == 0) {
		enum console_end end;

		close(pair[0]);
		dup2(slave, 0);
		dup2(slave, 1);
		end = console_run(pair[1], -1, NULL, NULL);
		console_say("bye");
		_exit((int)end);
	}
	close(pair[1]);
	close(slave);
	guest = pair[0];
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
	close(terminal);		/* end of input, and the guest goes on */
	ck_assert_int_eq(write(guest, "x", 1), 1);
	usleep(50000);
	ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0);
	close(guest);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}
END_TEST

SUITE_MAIN("vmctl: console", both_ways, guest_goes, signal_restores_the_terminal, terminal_goes)
