// SPDX-License-Identifier: ISC
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define NO_IRQ		0xffffu
#define RFLAGS_IF	0x200u

/* The guest decides how often its timers fire, the host how often that can be. */
#define TIMER_MIN_NS	50000u

/* A guest that resets itself this often, this soon, will never get further. */
#define QUICK_RESETS	5u
#define QUICK_RESET_NS	(2 * NSEC)

/* --- Lock, wake-up, end ------------------------------------------------------------- */

static void lock(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
}

static void unlock(struct machine *m)
{
	pthread_mutex_unlock(&m->lock);
}

static void wake_monitor(struct machine *m)
{
	uint64_t one = 1;

	if (m->woken)
		return;
	m->woken = true;
	/* An eventfd takes one byte count short of 2^64 - 1 writes: this can not fail. */
	(void)!write(m->wake_fd, &one, sizeof(one));
}

static void finish(struct machine *m, enum machine_end end, const char *text)
{
	if (m->ended)
		return;
	m->ended = true;
	m->end = end;
	snprintf(m->end_text, sizeof(m->end_text), "%s", text);
	wake_monitor(m);
}

static void fail(struct machine *m, const char *text)
{
	char line[sizeof(m->end_text)];

	snprintf(line, sizeof(line), "guest: ended: %s", text);
	finish(m, END_FAILED, line);
}

/* --- Devices ---------------------------------------------------------------------------- */

static void tell_driver(struct machine *m)
{
	bool pending = pic_pending(&m->pic);

	if (m->told == pending)
		return;
	m->told = pending;
	driver_interrupt(&m->driver, pending);
}

static void pic_changed(void *arg, bool level)
{
	struct machine *m = arg;

	if (level)
		pthread_cond_signal(&m->wake);
	/* The vCPU's own thread tells the driver once, just before it runs again. */
	if (!m->on_vcpu)
		tell_driver(m);
}

static void reset_pulled(void *arg)
{
	struct machine *m = arg;

	m->reset_wanted = true;
}

static bool console_room(void *arg)
{
	const struct machine *m = arg;

	/* With nobody reading, the ring keeps the newest output. */
	return !m->connected || !ring_full(&m->out);
}

static void console_tx(void *arg, uint8_t byte)
{
	struct machine *m = arg;

	ring_put(&m->out, byte);
	if (m->connected)
		wake_monitor(m);
}

/* Moves typed bytes into the serial port as it has room. */
static void feed_uart(struct machine *m)
{
	bool was_full = ring_full(&m->in);
	const uint8_t *at;

	while (m->in.count && uart_rx_room(&m->uart)) {
		ring_peek(&m->in, &at);
		uart_rx(&m->uart, *at);
		ring_drop(&m->in, 1);
	}
	if (was_full && !ring_full(&m->in))
		wake_monitor(m);
}

static void arm(int fd, uint64_t *armed, uint64_t deadline, uint64_t now)
{
	struct itimerspec t = { 0 };

	if (deadline == *armed)
		return;
	*armed = deadline;
	if (deadline != PIT_NEVER) {
		if (deadline < now + TIMER_MIN_NS)
			deadline = now + TIMER_MIN_NS;
		t.it_value.tv_sec = (time_t)(deadline / NSEC);
		t.it_value.tv_nsec = (long)(deadline % NSEC);
	}
	timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void arm_timers(struct machine *m, uint64_t now)
{
	arm(m->pit_timer, &m->pit_armed, pit_next(&m->pit), now);
	arm(m->rtc_timer, &m->rtc_armed, rtc_next(&m->rtc), now);
}

static void wire_devices(struct machine *m)
{
	const struct port_range rows[] = {
		{ .first = PIC_MASTER_PORT, .last = PIC_MASTER_PORT + 1, .dev = &m->pic,
		  .in = pic_in, .out = pic_out },
		{ .first = PIT_PORT, .last = PIT_CONTROL_PORT, .dev = &m->pit,
		  .in = pit_in, .out = pit_out },
		{ .first = KBC_DATA_PORT, .last = KBC_DATA_PORT, .dev = &m->kbc,
		  .in = kbc_in, .out = kbc_out },
		{ .first = PIT_GATE_PORT, .last = PIT_GATE_PORT, .dev = &m->pit,
		  .in = pit_in, .out = pit_out },
		{ .first = KBC_PORT, .last = KBC_PORT, .dev = &m->kbc,
		  .in = kbc_in, .out = kbc_out },
		{ .first = RTC_PORT, .last = RTC_PORT + 1, .dev = &m->rtc,
		  .in = rtc_in, .out = rtc_out },
		{ .first = POST_PORT, .last = POST_PORT },
		{ .first = FAST_A20_PORT, .last = FAST_A20_PORT, .dev = &m->kbc,
		  .in = kbc_in, .out = kbc_out },
		{ .first = PIC_SLAVE_PORT, .last = PIC_SLAVE_PORT + 1, .dev = &m->pic,
		  .in = pic_in, .out = pic_out },
		{ .first = UART_PORT, .last = UART_PORT + UART_PORTS - 1, .dev = &m->uart,
		  .in = uart_in, .out = uart_out },
		{ .first = PIC_ELCR_PORT, .last = PIC_ELCR_PORT + 1, .dev = &m->pic,
		  .in = pic_in, .out = pic_out },
		{ .first = PCI_ADDR_PORT, .last = PCI_DATA_PORT + 3, .dev = &m->pci,
		  .in_wide = pci_in, .out_wide = pci_out },
	};

	_Static_assert(sizeof(rows) == sizeof(m->range), "one row a device");
	memcpy(m->range, rows, sizeof(rows));
	m->ports.range = m->range;
	m->ports.count = ARRAY_SIZE(rows);
}

static void reset_devices(struct machine *m)
{
	struct timespec wall;
	uint64_t now = now_ns();

	clock_gettime(CLOCK_REALTIME, &wall);
	pic_init(&m->pic, pic_changed, m);
	pit_init(&m->pit, (struct irq_line){ pic_set_irq, &m->pic, 0 }, now);
	rtc_init(&m->rtc, (struct irq_line){ pic_set_irq, &m->pic, RTC_IRQ }, now,
		 (uint64_t)wall.tv_sec * NSEC + (uint64_t)wall.tv_nsec, m->ram.low, m->ram.high);
	uart_init(&m->uart, (struct irq_line){ pic_set_irq, &m->pic, UART_IRQ }, console_room,
		  console_tx, m);
	kbc_init(&m->kbc, (struct irq_line){ pic_set_irq, &m->pic, KBC_IRQ }, reset_pulled, m);
	m->pci = (struct pci){ .reset = reset_pulled, .arg = m };
	arm_timers(m, now);
}

/* --- Boot and reset ------------------------------------------------------------------------ */

/* Fresh devices, a loaded kernel in clear memory, a VM and its vCPU at the kernel's entry. */
static int boot(struct machine *m, struct err *e)
{
	struct linux_entry entry;
	struct vcpu_reg_state regs;

	reset_devices(m);
	if (linux_load(&m->ram, &m->config->image, &entry, e) != 0 ||
	    driver_create(&m->driver, m->config->name, &m->ram, e) != 0)
		return -1;
	linux_registers(&entry, &regs);
	if (driver_reset_cpu(&m->driver, &regs, e) != 0)
		return -1;
	memset(&m->run, 0, sizeof(m->run));
	memset(&m->exit, 0, sizeof(m->exit));
	m->run.vrp_exit = &m->exit;
	m->run.vrp_irq = NO_IRQ;
	m->told = false;
	m->reset_wanted = false;
	m->halted = false;
	m->vector_told = false;
	m->booted = now_ns();
	return 0;
}

static void reset(struct machine *m)
{
	struct err e;

	if (m->config->once) {
		finish(m, END_RESET, "guest: reset");
		return;
	}
	if (now_ns() - m->booted >= QUICK_RESET_NS) {
		m->quick_resets = 0;
	} else if (++m->quick_resets == QUICK_RESETS) {
		fail(m, "it resets itself as soon as it starts: give -a a command line with "
			"`earlyprintk=ttyS0` to see why");
		return;
	}
	m->config->notify(m->config->arg, "guest: reset");
	/* The VM may have been stopped meanwhile: then there is none to end. */
	(void)driver_terminate(&m->driver, m->driver.vm, &e);
	if (ram_clear(&m->ram, &e) != 0 || boot(m, &e) != 0)
		fail(m, e.text);
}

/* --- Exits ----------------------------------------------------------------------------------- */

static void exit_nothing(struct machine *m)
{
	(void)m;
}

static void exit_io(struct machine *m)
{
	struct vm_exit_inout *io = &m->exit.vei;
	unsigned int size = io->vei_size;
	uint64_t now = now_ns();
	uint32_t mask;

	if (size != 1 && size != 2 && size != 4) {
		fail(m, "the driver reported a port access of impossible size: use the driver "
			"that belongs to this vmctl");
		return;
	}
	mask = size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
	if (io->vei_dir == VEI_DIR_IN)
		io->vei_data = (io->vei_data & ~mask) |
			       ports_in(&m->ports, io->vei_port, size, now);
	else
		ports_out(&m->ports, io->vei_port, size, io->vei_data & mask, now);
	if (m->in.count)
		feed_uart(m);
	arm_timers(m, now);
}

static void exit_hlt(struct machine *m)
{
	/* Nothing but an interrupt could wake it, and it takes none. */
	if (!(m->exit.vrs.vrs_gprs[VCPU_REGS_RFLAGS] & RFLAGS_IF))
		finish(m, END_POWERED_OFF, "guest: powered off");
	m->halted = true;
}

static void exit_shutdown(struct machine *m)
{
	m->reset_wanted = true;
}

/* What can not be emulated ends the guest; @where is the address, @how what hindered. */
static void fail_mmio(struct machine *m, enum mmio how, const char *where)
{
	static const char *const what[] = {
		[MMIO_UNKNOWN] = "used memory that is not there, with an instruction that vmctl "
				 "does not know",
		[MMIO_NOT_DATA] = "ran code or has page tables where there is no memory",
		[MMIO_FAULT] = "moved data between memory that is not there and a page that it "
			       "has not mapped",
	};
	uint8_t code[INSN_MAX] = { 0 };
	char text[256], bytes[3 * INSN_MAX + 1] = "";
	const struct guest_cpu cpu = { &m->ram, &m->exit.vrs };
	size_t n = guest_code(&cpu, code, sizeof(code)), i;

	for (i = 0; i < n; i++)
		snprintf(bytes + 3 * i, 4, "%02x ", code[i]);
	snprintf(text, sizeof(text), "it %s: %s, RIP 0x%llx, code %s", what[how], where,
		 (unsigned long long)m->exit.vrs.vrs_gprs[VCPU_REGS_RIP], bytes);
	fail(m, text);
}

/* A PC without a device there: reads are ones, writes go nowhere. */
static void exit_mmio(struct machine *m, const char *where)
{
	const struct guest_cpu cpu = { &m->ram, &m->exit.vrs };
	const struct vm_exit_eptviolation *vee = &m->exit.vee;
	struct err e;
	enum mmio how;

	switch (driver_registers(&m->driver, VM_RWREGS_CRS | VM_RWREGS_MSRS | VM_RWREGS_SREGS,
				 &m->exit.vrs, &e)) {
	case DRIVER_RAN:
		break;
	case DRIVER_GONE:
		finish(m, END_STOPPED, "guest: stopped");
		return;
	case DRIVER_STUCK:
		fail(m, e.text);
		return;
	}
	how = mmio_emulate(&cpu, vm_exit_gpa(&m->exit), vee->vee_insn_bytes,
			   vee->vee_insn_info & VEE_BYTES_VALID ? vee->vee_insn_len : 0);
	if (how == MMIO_NO_VALUE && !m->vector_told) {
		m->vector_told = true;
		m->config->notify(m->config->arg, "guest: it reads memory that is not there with "
				  "vector instructions, which give no value");
	}
	if (how != MMIO_DONE && how != MMIO_NO_VALUE)
		fail_mmio(m, how, where);
}

static void exit_fault(struct machine *m)
{
	char text[160], where[48] = "an unknown address";
	bool known = m->exit.vee.vee_insn_info & VEE_GPA_VALID;

	if (known)
		snprintf(where, sizeof(where), "guest-physical address 0x%llx",
			 (unsigned long long)vm_exit_gpa(&m->exit));
	if (known && m->exit.vee.vee_fault_type == VEE_FAULT_MMIO_ASSIST) {
		exit_mmio(m, where);
		return;
	}
	snprintf(text, sizeof(text), "it broke the protection of %s (RIP 0x%llx)", where,
		 (unsigned long long)m->exit.vrs.vrs_gprs[VCPU_REGS_RIP]);
	fail(m, text);
}

/* Both vendors' numbers: they name different things only where no client sees them. */
static const struct {
	uint16_t reason;
	void (*handle)(struct machine *m);
} exits[] = {
	{ VM_EXIT_NONE, exit_nothing },
	{ SVM_VMEXIT_VINTR, exit_nothing },
	{ VMX_EXIT_INT_WINDOW, exit_nothing },
	{ SVM_VMEXIT_IOIO, exit_io },
	{ VMX_EXIT_IO, exit_io },
	{ SVM_VMEXIT_HLT, exit_hlt },
	{ VMX_EXIT_HLT, exit_hlt },
	{ SVM_VMEXIT_SHUTDOWN, exit_shutdown },
	{ VMX_EXIT_TRIPLE_FAULT, exit_shutdown },
	{ SVM_VMEXIT_NPF, exit_fault },
	{ VMX_EXIT_EPT_VIOLATION, exit_fault },
};

static void handle_exit(struct machine *m)
{
	uint16_t reason = m->run.vrp_exit_reason;
	char text[96];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(exits); i++) {
		if (exits[i].reason != reason)
			continue;
		exits[i].handle(m);
		return;
	}
	snprintf(text, sizeof(text), "the driver gave exit reason 0x%x, which vmctl does not know",
		 reason);
	fail(m, text);
}

/* --- The vCPU's thread -------------------------------------------------- */

/* Sleeps while the vCPU is halted, then decides on the interrupt; false at the end. */
static bool before_run(struct machine *m)
{
	while (m->halted && !pic_pending(&m->pic) && !m->stopping && !m->ended) {
		m->on_vcpu = false;
		pthread_cond_wait(&m->wake, &m->lock);
		m->on_vcpu = true;
	}
	m->halted = false;
	if (m->stopping)
		finish(m, END_STOPPED, "guest: stopped");
	if (m->ended)
		return false;
	m->run.vrp_irq = NO_IRQ;
	if (m->run.vrp_irqready && pic_pending(&m->pic))
		m->run.vrp_irq = pic_ack(&m->pic);
	tell_driver(m);
	return true;
}

static void after_run(struct machine *m, enum driver_run how, const struct err *e)
{
	m->run.vrp_continue = 1;
	switch (how) {
	case DRIVER_GONE:
		finish(m, END_STOPPED, "guest: stopped");
		break;
	case DRIVER_STUCK:
		fail(m, e->text);
		break;
	case DRIVER_RAN:
		handle_exit(m);
		break;
	}
	if (m->reset_wanted && !m->ended && !m->stopping)
		reset(m);
}

void *machine_vcpu(void *machine)
{
	struct machine *m = machine;
	enum driver_run how;
	struct err e;

	lock(m);
	m->on_vcpu = true;
	while (before_run(m)) {
		m->on_vcpu = false;
		unlock(m);
		how = driver_run(&m->driver, &m->run, &e);
		lock(m);
		m->on_vcpu = true;
		after_run(m, how, &e);
	}
	m->on_vcpu = false;
	unlock(m);
	return NULL;
}

/* --- The monitor's thread ----------------------------------------------- */

void machine_hold(struct machine *m)
{
	lock(m);
}

void machine_release(struct machine *m)
{
	unlock(m);
}

void machine_stop(struct machine *m)
{
	struct err e;

	lock(m);
	m->stopping = true;
	pthread_cond_signal(&m->wake);
	/* A vCPU inside the guest leaves when its VM goes. */
	if (!m->ended)
		(void)driver_terminate(&m->driver, m->driver.vm, &e);
	unlock(m);
}

void machine_timer(struct machine *m)
{
	uint64_t now, expired;

	(void)!read(m->pit_timer, &expired, sizeof(expired));
	(void)!read(m->rtc_timer, &expired, sizeof(expired));
	lock(m);
	now = now_ns();
	m->pit_armed = m->rtc_armed = 0;	/* arm again in any case */
	pit_run(&m->pit, now);
	rtc_run(&m->rtc, now);
	arm_timers(m, now);
	unlock(m);
}

void machine_connect(struct machine *m, bool connected)
{
	lock(m);
	m->connected = connected;
	if (!connected)
		uart_tx_ready(&m->uart);
	unlock(m);
}

size_t machine_output(struct machine *m, uint8_t *buf, size_t size)
{
	const uint8_t *at;
	size_t n;

	lock(m);
	n = ring_peek(&m->out, &at);
	if (n > size)
		n = size;
	memcpy(buf, at, n);
	unlock(m);
	return n;
}

void machine_sent(struct machine *m, size_t n)
{
	bool was_full;

	lock(m);
	was_full = ring_full(&m->out);
	ring_drop(&m->out, n);
	if (was_full && !ring_full(&m->out))
		uart_tx_ready(&m->uart);
	unlock(m);
}

size_t machine_input_room(struct machine *m)
{
	size_t room;

	lock(m);
	room = m->in.size - m->in.count;
	unlock(m);
	return room;
}

void machine_input(struct machine *m, const uint8_t *buf, size_t n)
{
	size_t i;

	lock(m);
	for (i = 0; i < n && !ring_full(&m->in); i++)
		ring_put(&m->in, buf[i]);
	feed_uart(m);
	unlock(m);
}

bool machine_woken(struct machine *m)
{
	uint64_t count;
	bool ended;

	(void)!read(m->wake_fd, &count, sizeof(count));
	lock(m);
	m->woken = false;
	ended = m->ended;
	unlock(m);
	return ended;
}

/* --- Set-up ------------------------------------------------------------- */

int machine_init(struct machine *m, const struct machine_config *config, struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->config = config;
	m->driver.fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->wake, NULL);
	m->pit_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	m->rtc_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->out.buf = malloc(CONSOLE_OUT_SIZE);
	m->in.buf = malloc(CONSOLE_IN_SIZE);
	m->out.size = CONSOLE_OUT_SIZE;
	m->in.size = CONSOLE_IN_SIZE;
	if (m->pit_timer < 0 || m->rtc_timer < 0 || m->wake_fd < 0 || !m->out.buf || !m->in.buf) {
		err_set(e, "the host has no files or memory left for a VM: end a program");
		goto failed;
	}
	m->pit_armed = m->rtc_armed = PIT_NEVER;
	wire_devices(m);
	if (driver_open(&m->driver, e) != 0 ||
	    ram_init(&m->ram, config->memory, e) != 0 || boot(m, e) != 0)
		goto failed;
	return 0;
failed:
	machine_free(m);
	return -1;
}

void machine_free(struct machine *m)
{
	/* The VM ends with its file; then its memory may go. */
	driver_close(&m->driver);
	ram_free(&m->ram);
	free(m->in.buf);
	free(m->out.buf);
	if (m->wake_fd >= 0)
		close(m->wake_fd);
	if (m->rtc_timer >= 0)
		close(m->rtc_timer);
	if (m->pit_timer >= 0)
		close(m->pit_timer);
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
}
