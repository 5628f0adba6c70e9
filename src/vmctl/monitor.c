// SPDX-License-Identifier: ISC
/*
 * The VM's process: libevent watches timers, console, signals and the vmctl
 * that started it; a second thread runs the vCPU.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"
#include "monitor.h"
#include "sandbox.h"

#define CHUNK		4096u
#define PAUSE_US	2000	/* between two looks at the console's output */
#define DRAIN_NS	(2 * NSEC)	/* how long the last output may take to be read */

struct monitor {
	const struct monitor_config *config;
	struct machine machine;
	struct vm_files files;
	int notes;		/* -1: detached */
	int client;		/* who has the console, or -1 */
	int signals;
	struct event_base *base;
	struct event *client_read, *client_write, *notes_read, *wake, *pause;
};

/* --- Words to the user -------------------------------------------------------------------- */

static void send_note(const struct monitor *mon, enum note_kind kind, int status,
		      const char *text)
{
	struct note note = { .kind = (uint8_t)kind, .status = (uint8_t)status };

	if (mon->notes < 0)
		return;
	snprintf(note.text, sizeof(note.text), "%s", text);
	/* A vmctl that does not listen must not hold up the guest. */
	(void)send(mon->notes, &note, offsetof(struct note, text) + strlen(note.text) + 1,
		   MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void log_line(const struct monitor *mon, const char *text)
{
	char line[sizeof(struct note)];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (mon->files.log >= 0)
		(void)!write(mon->files.log, line, (size_t)n);
}

static void notify(void *arg, const char *text)
{
	const struct monitor *mon = arg;

	log_line(mon, text);
	send_note(mon, NOTE_TEXT, 0, text);
}

static void die(struct monitor *mon, const char *text) __attribute__((noreturn));
static void die(struct monitor *mon, const char *text)
{
	send_note(mon, NOTE_END, END_FAILED, text);
	files_abandon(&mon->files, mon->config->name);
	_exit(END_FAILED);
}

/* --- Console -------------------------------------------------------------------------------- */

static void client_gone(struct monitor *mon)
{
	event_free(mon->client_read);
	event_free(mon->client_write);
	mon->client_read = mon->client_write = NULL;
	close(mon->client);
	mon->client = -1;
	machine_connect(&mon->machine, false);
}

static void flush_console(struct monitor *mon)
{
	uint8_t buf[CHUNK];
	ssize_t sent;
	size_t n;

	while (mon->client >= 0 && (n = machine_output(&mon->machine, buf, sizeof(buf))) > 0) {
		sent = send(mon->client, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0) {
			machine_sent(&mon->machine, (size_t)sent);
		} else if (errno == EAGAIN) {
			event_add(mon->client_write, NULL);
			return;
		} else if (errno != EINTR) {
			client_gone(mon);
		}
	}
}

static void on_client_write(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush_console(arg);
}

static void on_client_read(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *mon = arg;
	uint8_t buf[CHUNK];
	size_t room = machine_input_room(&mon->machine);
	ssize_t n;

	(void)what;
	if (room == 0) {
		event_del(mon->client_read);	/* until the guest has read some: see on_wake */
		return;
	}
	n = recv(fd, buf, room < sizeof(buf) ? room : sizeof(buf), MSG_DONTWAIT);
	if (n > 0)
		machine_input(&mon->machine, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		client_gone(mon);
}

static void client_new(struct monitor *mon, int fd)
{
	mon->client = fd;
	mon->client_read = event_new(mon->base, fd, EV_READ | EV_PERSIST, on_client_read, mon);
	mon->client_write = event_new(mon->base, fd, EV_WRITE, on_client_write, mon);
	event_add(mon->client_read, NULL);
	machine_connect(&mon->machine, true);
	flush_console(mon);
}

/*
 * Has the client left? With the guest taking no input this shows in no event:
 * its input, not read to the end, is in front of the end of file.
 */
static bool client_left(const struct monitor *mon)
{
	struct pollfd p = { .fd = mon->client, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void on_connect(evutil_socket_t fd, short what, void *arg)
{
	static const char busy[] = "vmctl: somebody else has this console: try again later\r\n";
	struct monitor *mon = arg;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (client < 0)
		return;
	if (mon->client >= 0 && client_left(mon))
		client_gone(mon);
	if (mon->client >= 0) {
		(void)send(client, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(client);
		return;
	}
	client_new(mon, client);
}

/* --- The other events ------------------------------------------------------------------------ */

/* A guest that prints byte by byte wakes this thread now and then, not for each byte. */
static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *mon = arg;

	(void)fd;
	(void)what;
	event_add(mon->wake, NULL);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { .tv_usec = PAUSE_US };
	struct monitor *mon = arg;
	bool ended = machine_woken(&mon->machine);

	(void)fd;
	(void)what;
	event_del(mon->wake);
	evtimer_add(mon->pause, &pause);
	flush_console(mon);
	if (mon->client >= 0)
		event_add(mon->client_read, NULL);
	if (ended)
		event_base_loopbreak(mon->base);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *mon = arg;

	(void)fd;
	(void)what;
	machine_timer(&mon->machine);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *mon = arg;
	struct signalfd_siginfo info;

	(void)what;
	(void)!read(fd, &info, sizeof(info));
	machine_stop(&mon->machine);
}

static void on_notes(evutil_socket_t fd, short what, void *arg)
{
	struct monitor *mon = arg;
	char byte = 0;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	event_del(mon->notes_read);
	close(mon->notes);
	mon->notes = -1;
	/* Who waits for a VM and dies takes it along; who leaves it says so. */
	if (n != 1 || byte != MONITOR_DETACH)
		machine_stop(&mon->machine);
}

static int watch(struct monitor *mon, int fd, event_callback_fn on, struct event **ev)
{
	struct event *new = event_new(mon->base, fd, EV_READ | EV_PERSIST, on, mon);

	if (!new || event_add(new, NULL) != 0)
		return -1;
	if (ev)
		*ev = new;
	return 0;
}

static int watch_all(struct monitor *mon)
{
	struct event_config *no_env = event_config_new();

	if (!no_env)
		return -1;
	/* Only epoll is in the sandbox's list. */
	event_config_set_flag(no_env, EVENT_BASE_FLAG_IGNORE_ENV);
	mon->base = event_base_new_with_config(no_env);
	event_config_free(no_env);
	if (!mon->base)
		return -1;
	mon->pause = evtimer_new(mon->base, on_pause, mon);
	return !mon->pause ||
	       watch(mon, mon->machine.pit_timer, on_timer, NULL) ||
	       watch(mon, mon->machine.rtc_timer, on_timer, NULL) ||
	       watch(mon, mon->machine.wake_fd, on_wake, &mon->wake) ||
	       watch(mon, mon->signals, on_signal, NULL) ||
	       watch(mon, mon->files.listener, on_connect, NULL) ||
	       (mon->config->console >= 0 && watch(mon, mon->notes, on_notes, &mon->notes_read));
}

/* --- From start to end -------------------------------------------------- */

static void open_image(struct monitor *mon, struct linux_image *image)
{
	const struct monitor_config *c = mon->config;
	struct err e;

	image->kernel_name = c->kernel;
	image->initrd_name = c->initrd;
	image->cmdline = c->cmdline;
	image->initrd = -1;
	image->kernel = open(c->kernel, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (image->kernel < 0) {
		err_set(&e, "the kernel %s can not be opened: %s", c->kernel, strerror(errno));
		die(mon, e.text);
	}
	if (!c->initrd)
		return;
	image->initrd = open(c->initrd, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (image->initrd < 0) {
		err_set(&e, "the initial RAM disk %s can not be opened: %s", c->initrd,
			strerror(errno));
		die(mon, e.text);
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Blocked in the threads to come as well. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void quiet(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	if (null > 2)
		close(null);
}

/* The guest has ended: whoever reads the console gets the rest of it, within reason. */
static void drain(struct monitor *mon)
{
	uint64_t until = now_ns() + DRAIN_NS;
	uint8_t byte;

	for (;;) {
		struct pollfd p = { .fd = mon->client, .events = POLLOUT };
		uint64_t now = now_ns();

		flush_console(mon);
		if (mon->client < 0 || now >= until ||
		    machine_output(&mon->machine, &byte, 1) == 0)
			return;
		poll(&p, 1, (int)((until - now) / 1000000) + 1);
	}
}

static void start(struct monitor *mon, pthread_t *vcpu)
{
	char text[128];
	struct err e;

	snprintf(text, sizeof(text), "%s: started, VM %u", mon->config->name,
		 mon->machine.driver.vm);
	quiet();
	/* The thread has to be there when the sandbox closes, the guest must not run before. */
	machine_hold(&mon->machine);
	if (pthread_create(vcpu, NULL, machine_vcpu, &mon->machine) != 0)
		die(mon, "the host has no thread left for the vCPU: end a program");
	if (sandbox_enter(mon->machine.driver.fd, &e) != 0)
		die(mon, e.text);
	log_line(mon, text);
	send_note(mon, NOTE_STARTED, 0, text);
	machine_release(&mon->machine);
}

void monitor_run(const struct monitor_config *config)
{
	static struct monitor monitor;
	struct monitor *mon = &monitor;
	struct machine_config mc = {
		.name = config->name, .memory = config->memory, .once = config->once,
		.notify = notify, .arg = mon,
	};
	pthread_t vcpu;
	struct err e;

	mon->config = config;
	mon->notes = config->notes;
	mon->client = -1;
	mon->files = (struct vm_files){ -1, -1, -1 };
	setsid();
	signal(SIGPIPE, SIG_IGN);
	if (files_claim(&mon->files, config->name, &e) != 0)
		die(mon, e.text);
	open_image(mon, &mc.image);
	if (machine_init(&mon->machine, &mc, &e) != 0)
		die(mon, e.text);
	mon->signals = open_signals();
	if (mon->signals < 0 || chdir("/") != 0 || watch_all(mon) != 0)
		die(mon, "the host has no files or memory left for a VM: end a program");
	if (config->console >= 0)
		client_new(mon, config->console);
	start(mon, &vcpu);
	if (config->console < 0) {
		close(mon->notes);	/* nobody waits */
		mon->notes = -1;
	}

	event_base_dispatch(mon->base);

	pthread_join(vcpu, NULL);
	log_line(mon, mon->machine.end_text);
	drain(mon);
	if (mon->client >= 0)
		client_gone(mon);
	send_note(mon, NOTE_END, mon->machine.end, mon->machine.end_text);
	_exit(mon->machine.end);
}
