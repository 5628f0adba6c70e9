// SPDX-License-Identifier: ISC
/*
 * The machine on a simulated driver: ioctl() and open() of /dev/vmm end here,
 * RUN takes its exits from a script.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"
#include "suite.h"

#define FAKE_FD		1000
#define IF		0x200u

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

/* One RUN: what the driver returns. */
struct step {
	uint16_t reason;
	uint8_t dir, size;
	uint16_t port;
	uint32_t data;
	uint64_t rflags;
	int error;
	uint32_t want_in;	/* the answer to the IN before this step */
	bool check_in;
	bool irqready;
	bool refusal;		/* the driver knows which entry check was broken */
	uint16_t want_irq;	/* vector given with this RUN; 0: do not care */
	void (*during)(void);	/* while the guest "runs" */
	/* A second-stage fault at RDX: the instruction, and what the last one has left. */
	const char *code;
	bool check_regs;
	uint64_t want_rax, want_rip;
};

static struct {
	int open_error, create_error, read_error;
	const struct step *script;
	size_t steps, at;
	unsigned int created, terminated, resets, runs;
	uint32_t next_id;
	int intr;		/* as told last */
	struct vm_create_params create;
	struct vcpu_reg_state regs;
	uint64_t exit_groups;	/* as told last */
	bool refusal;
} fake;

static struct machine m;
static struct machine_config config;
static char notes[512];
static struct err e;

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (strcmp(path, "/dev/vmm") != 0)
		return __real_open(path, flags, mode);
	if (fake.open_error) {
		errno = fake.open_error;
		return -1;
	}
	return FAKE_FD;
}

static int fake_run(struct vm_run_params *p)
{
	const struct step *s;
	struct vm_exit *x = p->vrp_exit;

	fake.runs++;
	if (p->vrp_vm_id != fake.next_id || fake.at == fake.steps) {
		errno = ENOENT;
		return -1;
	}
	s = &fake.script[fake.at++];
	if (s->check_in) {
		ck_assert_uint_eq(p->vrp_continue, 1);
		ck_assert_uint_eq(x->vei.vei_data, s->want_in);
	}
	if (s->check_regs) {
		ck_assert_uint_eq(p->vrp_continue, 1);
		ck_assert_uint_eq(x->vrs.vrs_gprs[VCPU_REGS_RAX], s->want_rax);
		ck_assert_uint_eq(x->vrs.vrs_gprs[VCPU_REGS_RIP] -
				  fake.regs.vrs_gprs[VCPU_REGS_RIP], s->want_rip);
	}
	if (s->want_irq)
		ck_assert_uint_eq(p->vrp_irq, s->want_irq);
	if (s->during)
		s->during();
	fake.refusal = s->refusal;
	if (s->error) {
		errno = s->error;
		return -1;
	}
	memset(x, 0, sizeof(*x));
	x->vrs.vrs_gprs[VCPU_REGS_RFLAGS] = s->rflags;
	if (s->reason == SVM_VMEXIT_NPF) {
		x->vee.vee_fault_type = VEE_FAULT_MMIO_ASSIST;
		x->vee.vee_insn_info = VEE_GPA_VALID | VEE_BYTES_VALID;
		x->vee.vee_insn_len = (uint8_t)strlen(s->code);
		memcpy(x->vee.vee_insn_bytes, s->code, strlen(s->code));
		x->vex_gpa_low = s->data;
		x->vrs.vrs_gprs[VCPU_REGS_RDX] = s->data;
		x->vrs.vrs_gprs[VCPU_REGS_RIP] = fake.regs.vrs_gprs[VCPU_REGS_RIP];
	} else {
		x->vei.vei_dir = s->dir;
		x->vei.vei_size = s->size;
		x->vei.vei_port = s->port;
		x->vei.vei_data = s->data;
	}
	p->vrp_exit_reason = s->reason;
	p->vrp_irqready = s->irqready;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd != FAKE_FD)
		return __real_ioctl(fd, request, arg);
	switch (request) {
	case VMM_IOC_CREATE:
		if (fake.create_error) {
			errno = fake.create_error;
			return -1;
		}
		fake.created++;
		fake.exit_groups = VM_RWREGS_ALL;
		fake.create = *(struct vm_create_params *)arg;
		((struct vm_create_params *)arg)->vcp_id = ++fake.next_id;
		return 0;
	case VMM_IOC_RESETCPU:
		ck_assert_uint_eq(((struct vm_resetcpu_params *)arg)->vrp_vm_id, fake.next_id);
		fake.resets++;
		fake.regs = ((struct vm_resetcpu_params *)arg)->vrp_init_state;
		return 0;
	case VMM_IOC_READREGS:
		if (fake.read_error) {
			errno = fake.read_error;
			return -1;
		}
		ck_assert_uint_eq(((struct vm_rwregs_params *)arg)->vrwp_vm_id, fake.next_id);
		ck_assert_uint_eq(((struct vm_rwregs_params *)arg)->vrwp_mask & VM_RWREGS_GPRS, 0);
		((struct vm_rwregs_params *)arg)->vrwp_regs = fake.regs;
		return 0;
	case VMM_IOC_EXITREGS:
		ck_assert_uint_eq(((struct vm_exitregs_params *)arg)->vxr_vm_id, fake.next_id);
		fake.exit_groups = ((struct vm_exitregs_params *)arg)->vxr_mask;
		return 0;
	case VMM_IOC_RUN:
		/* RIP and RFLAGS are all that it looks at. */
		ck_assert_uint_eq(fake.exit_groups, VM_RWREGS_GPRS);
		return fake_run(arg);
	case VMM_IOC_INTR:
		fake.intr = ((struct vm_intr_params *)arg)->vip_intr;
		return 0;
	case VMM_IOC_REFUSED:
		ck_assert_uint_eq(((struct vm_refused_params *)arg)->vrf_vm_id, fake.next_id);
		if (fake.refusal)
			memset(((struct vm_refused_params *)arg)->vrf_text, 'x',
			       sizeof(((struct vm_refused_params *)arg)->vrf_text));
		return fake.refusal ? 0 : -1;
	case VMM_IOC_TERM:
		ck_assert_uint_eq(((struct vm_terminate_params *)arg)->vtp_vm_id, fake.next_id);
		fake.terminated++;
		return 0;
	default:
		ck_abort_msg("request 0x%lx", request);
	}
}

static int kernel_file(void)
{
	struct setup_header h = {
		.setup_sects = 4, .syssize = 4096 / 16, .boot_flag = 0xaa55, .jump = 0x6aeb,
		.header = 0x53726448, .version = 0x020f, .loadflags = LOADED_HIGH,
		.kernel_alignment = 2 * MIB, .relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64, .cmdline_size = 2047, .pref_address = 16 * MIB,
		.init_size = MIB,
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 5 * 512 + 4096), 0);
	ck_assert_int_eq(pwrite(fd, &h, sizeof(h), 0x1f1), sizeof(h));
	return fd;
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	strncat(notes, text, sizeof(notes) - strlen(notes) - 1);
	strncat(notes, ";", sizeof(notes) - strlen(notes) - 1);
}

static void prepare(void)
{
	memset(&fake, 0, sizeof(fake));
	notes[0] = '\0';
	config = (struct machine_config){
		.name = "test", .memory = 64 * MIB, .notify = on_note,
		.image = { .kernel = kernel_file(), .initrd = -1, .kernel_name = "kernel",
			   .cmdline = "" },
	};
}

static void setup(const struct step *script, size_t steps)
{
	prepare();
	fake.script = script;
	fake.steps = steps;
	ck_assert_msg(machine_init(&m, &config, &e) == 0, "%s", e.text);
}

static void teardown(void)
{
	machine_free(&m);
	close(config.image.kernel);
}

#define RUN_SCRIPT(script)	do {						\
	setup(script, ARRAY_SIZE(script));					\
	machine_vcpu(&m);							\
	ck_assert(m.ended);							\
} while (0)

#define OUT8(p, v)	{ .reason = SVM_VMEXIT_IOIO, .dir = VEI_DIR_OUT, .size = 1, .port = (p), \
			  .data = (v) }
#define IN8(p, rax)	{ .reason = SVM_VMEXIT_IOIO, .dir = VEI_DIR_IN, .size = 1, .port = (p), \
			  .data = (rax) }
#define OFF		{ .reason = SVM_VMEXIT_HLT, .rflags = 2 }

START_TEST(creates_and_enters)
{
	static const struct step script[] = { OFF };

	RUN_SCRIPT(script);
	ck_assert_uint_eq(fake.created, 1);
	ck_assert_uint_eq(fake.resets, 1);
	ck_assert_uint_eq(fake.create.vcp_ncpus, 1);
	ck_assert_str_eq(fake.create.vcp_name, "test");
	ck_assert_uint_eq(fake.create.vcp_nmemranges, 3);
	ck_assert_uint_eq(fake.create.vcp_memranges[1].vmr_gpa, 640 * KIB);
	ck_assert_uint_eq(fake.create.vcp_memranges[2].vmr_gpa, MIB);
	ck_assert_uint_eq(fake.create.vcp_memranges[2].vmr_size, 63 * MIB);
	ck_assert_uint_eq(fake.create.vcp_memranges[2].vmr_va, (uintptr_t)m.ram.base + MIB);
	ck_assert_uint_eq(fake.regs.vrs_gprs[VCPU_REGS_RIP], 16 * MIB + 0x200);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	ck_assert_str_eq(m.end_text, "guest: powered off");
	teardown();
}
END_TEST

START_TEST(prints_and_powers_off)
{
	static const struct step script[] = {
		OUT8(0x3f8, 'o'), OUT8(0x3f8, 'k'), { .reason = VM_EXIT_NONE },
		{ .reason = SVM_VMEXIT_VINTR }, OFF,
	};
	uint8_t buf[16];

	RUN_SCRIPT(script);
	ck_assert_uint_eq(machine_output(&m, buf, sizeof(buf)), 2);
	ck_assert_mem_eq(buf, "ok", 2);
	machine_sent(&m, 2);
	ck_assert_uint_eq(machine_output(&m, buf, sizeof(buf)), 0);
	teardown();
}
END_TEST

START_TEST(in_merges_into_rax)
{
	static const struct step script[] = {
		OUT8(0x3ff, 0x5a),
		IN8(0x3ff, 0xaabbccdd),
		{ .reason = SVM_VMEXIT_IOIO, .dir = VEI_DIR_IN, .size = 2, .port = 0x300,
		  .data = 0x11223344, .check_in = true, .want_in = 0xaabbcc5a },
		{ .reason = VMX_EXIT_IO, .dir = VEI_DIR_IN, .size = 4, .port = 0xcfc,
		  .check_in = true, .want_in = 0x1122ffff },
		{ .reason = VMX_EXIT_HLT, .rflags = 2, .check_in = true, .want_in = 0xffffffff },
	};

	RUN_SCRIPT(script);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	teardown();
}
END_TEST

/* IRQ 4 with vectors from 0x30: the INTR flag, then the vector once the guest is ready. */
START_TEST(interrupt_is_delivered_when_ready)
{
	static const struct step script[] = {
		OUT8(0x20, 0x11), OUT8(0x21, 0x30), OUT8(0x21, 0x04), OUT8(0x21, 0x01),
		OUT8(0x21, 0x00), OUT8(0x3fc, 0x08),
		OUT8(0x3f9, 0x02),			/* empty transmitter: IRQ 4 */
		{ .reason = VM_EXIT_NONE, .want_irq = 0xffff, .irqready = true },
		{ .reason = SVM_VMEXIT_HLT, .rflags = 2, .want_irq = 0x34 },
	};

	RUN_SCRIPT(script);
	ck_assert_int_eq(fake.intr, 0);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	teardown();
}
END_TEST

static void press_key(void)
{
	/* From the other thread while the vCPU is in the guest. */
	machine_input(&m, (const uint8_t *)"k", 1);
	ck_assert_int_eq(fake.intr, 1);
}

START_TEST(input_interrupts_a_running_guest)
{
	static const struct step script[] = {
		OUT8(0x20, 0x11), OUT8(0x21, 0x30), OUT8(0x21, 0x04), OUT8(0x21, 0x01),
		OUT8(0x21, 0x00), OUT8(0x3fc, 0x08), OUT8(0x3f9, 0x01),
		{ .reason = VM_EXIT_NONE, .irqready = true, .during = press_key },
		{ .reason = SVM_VMEXIT_IOIO, .dir = VEI_DIR_IN, .size = 1, .port = 0x3f8,
		  .want_irq = 0x34 },
		{ .reason = SVM_VMEXIT_HLT, .rflags = 2, .check_in = true, .want_in = 'k' },
	};

	RUN_SCRIPT(script);
	ck_assert_int_eq(fake.intr, 0);
	teardown();
}
END_TEST

static void *later(void *arg)
{
	(void)arg;
	usleep(50000);
	machine_input(&m, (const uint8_t *)"k", 1);
	return NULL;
}

START_TEST(hlt_sleeps_until_an_interrupt)
{
	static const struct step script[] = {
		OUT8(0x20, 0x11), OUT8(0x21, 0x30), OUT8(0x21, 0x04), OUT8(0x21, 0x01),
		OUT8(0x21, 0x00), OUT8(0x3fc, 0x08), OUT8(0x3f9, 0x01),
		{ .reason = SVM_VMEXIT_HLT, .rflags = 2 | IF, .irqready = true },
		{ .reason = SVM_VMEXIT_HLT, .rflags = 2, .want_irq = 0x34 },
	};
	uint64_t before = now_ns();
	pthread_t typist;

	setup(script, ARRAY_SIZE(script));
	pthread_create(&typist, NULL, later, NULL);
	machine_vcpu(&m);
	pthread_join(typist, NULL);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	ck_assert(now_ns() - before >= 40000000);
	ck_assert_uint_eq(fake.runs, ARRAY_SIZE(script));
	teardown();
}
END_TEST

static void *stop_later(void *arg)
{
	(void)arg;
	usleep(50000);
	machine_stop(&m);
	return NULL;
}

START_TEST(stop_wakes_a_halted_guest)
{
	static const struct step script[] = { { .reason = SVM_VMEXIT_HLT, .rflags = 2 | IF } };
	pthread_t stopper;

	setup(script, ARRAY_SIZE(script));
	pthread_create(&stopper, NULL, stop_later, NULL);
	machine_vcpu(&m);
	pthread_join(stopper, NULL);
	ck_assert_int_eq(m.end, END_STOPPED);
	ck_assert_uint_eq(fake.terminated, 1);
	teardown();
}
END_TEST

START_TEST(somebody_else_ends_the_vm)
{
	static const struct step gone[] = { { .error = ENOENT } };
	static const struct step terminated[] = { { .reason = VM_EXIT_TERMINATED } };

	RUN_SCRIPT(gone);
	ck_assert_int_eq(m.end, END_STOPPED);
	ck_assert_str_eq(m.end_text, "guest: stopped");
	teardown();
	RUN_SCRIPT(terminated);
	ck_assert_int_eq(m.end, END_STOPPED);
	teardown();
}
END_TEST

START_TEST(reset_makes_a_new_vm)
{
	static const struct step script[] = {
		OUT8(0x3f8, 'a'), OUT8(0x3ff, 0x77), OUT8(0x64, 0xfe),
		IN8(0x3ff, 0),		/* the devices are new as well */
		{ .reason = SVM_VMEXIT_SHUTDOWN, .check_in = true, .want_in = 0 },
		{ .reason = VMX_EXIT_TRIPLE_FAULT }, OUT8(0xcf9, 0x06), OFF,
	};
	uint8_t buf[4];

	RUN_SCRIPT(script);
	ck_assert_str_eq(notes, "guest: reset;guest: reset;guest: reset;guest: reset;");
	ck_assert_uint_eq(fake.created, 5);
	ck_assert_uint_eq(fake.terminated, 4);
	ck_assert_uint_eq(fake.resets, 5);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	ck_assert_uint_eq(machine_output(&m, buf, sizeof(buf)), 1);	/* what it said stays */
	teardown();
}
END_TEST

START_TEST(reset_clears_memory)
{
	static const struct step script[] = { OUT8(0x64, 0xfe), OFF };

	setup(script, ARRAY_SIZE(script));
	m.ram.base[40 * MIB] = 0x5a;
	machine_vcpu(&m);
	ck_assert_uint_eq(m.ram.base[40 * MIB], 0);
	teardown();
}
END_TEST

START_TEST(reset_ends_a_vm_that_runs_once)
{
	static const struct step script[] = { OUT8(0x92, 0x01) };

	setup(script, ARRAY_SIZE(script));
	config.once = true;
	machine_vcpu(&m);
	ck_assert_int_eq(m.end, END_RESET);
	ck_assert_str_eq(m.end_text, "guest: reset");
	ck_assert_uint_eq(fake.created, 1);
	teardown();
}
END_TEST

START_TEST(endless_resets_end)
{
	static struct step script[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(script); i++)
		script[i] = (struct step){ .reason = SVM_VMEXIT_SHUTDOWN };
	RUN_SCRIPT(script);
	ck_assert_int_eq(m.end, END_FAILED);
	ck_assert_ptr_nonnull(strstr(m.end_text, "resets itself as soon as it starts"));
	ck_assert_uint_le(fake.created, 10);
	teardown();
}
END_TEST

/* Reads of nothing are ones, writes are dropped, and the guest goes on. */
START_TEST(memory_that_is_not_there)
{
	static const struct step script[] = {
		{ .reason = SVM_VMEXIT_NPF, .data = 0xfed803c0, .code = "\x8b\x02" },
		{ .reason = VMX_EXIT_IO, .dir = VEI_DIR_OUT, .size = 1, .port = 0x80,
		  .check_regs = true, .want_rax = 0xffffffff, .want_rip = 2 },
		{ .reason = SVM_VMEXIT_NPF, .data = 0xfed803c0, .code = "\x48\x89\x02" },
		{ .reason = SVM_VMEXIT_HLT, .check_regs = true, .want_rip = 3 },
	};

	RUN_SCRIPT(script);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	ck_assert_uint_eq(fake.runs, 4);
	ck_assert_str_eq(notes, "");
	teardown();
}
END_TEST

START_TEST(vector_loads_are_told_once)
{
	static const struct step script[] = {
		{ .reason = SVM_VMEXIT_NPF, .data = 0xfed803c0, .code = "\x0f\x28\x02" },
		{ .reason = SVM_VMEXIT_NPF, .data = 0xfed803c0, .code = "\x0f\x28\x02" },
		{ .reason = SVM_VMEXIT_HLT, .check_regs = true, .want_rip = 3 },
	};
	const char *said;

	RUN_SCRIPT(script);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	said = strstr(notes, "vector instructions");
	ck_assert_ptr_nonnull(said);
	ck_assert_ptr_null(strstr(said + 1, "vector instructions"));
	teardown();
}
END_TEST

START_TEST(what_can_not_be_emulated_is_named)
{
	static const struct step jump[] = {
		{ .reason = SVM_VMEXIT_NPF, .data = 0xfee00020, .code = "\xff\x22" },
	};
	static const struct step table[] = {
		{ .reason = VMX_EXIT_EPT_VIOLATION },
		{ .reason = SVM_VMEXIT_NPF, .data = 0xfee00020, .code = "\x8b\x03" },
	};

	RUN_SCRIPT(jump);
	ck_assert_int_eq(m.end, END_FAILED);
	ck_assert_ptr_nonnull(strstr(m.end_text, "instruction that vmctl does not know"));
	ck_assert_ptr_nonnull(strstr(m.end_text, "guest-physical address 0xfee00020"));
	teardown();
	RUN_SCRIPT(table);		/* no address: not an access to nothing */
	ck_assert_ptr_nonnull(strstr(m.end_text, "broke the protection of an unknown address"));
	teardown();
	setup(table + 1, 1);
	machine_vcpu(&m);
	ck_assert_ptr_nonnull(strstr(m.end_text, "ran code or has page tables where"));
	teardown();
	setup(jump, 1);
	fake.read_error = ENOENT;
	machine_vcpu(&m);
	ck_assert_int_eq(m.end, END_STOPPED);
	teardown();
	setup(jump, 1);
	fake.read_error = EIO;
	machine_vcpu(&m);
	ck_assert_ptr_nonnull(strstr(m.end_text, "registers can not be read"));
	teardown();
}
END_TEST

START_TEST(strange_exits_end_it)
{
	static const struct step size[] = {
		{ .reason = SVM_VMEXIT_IOIO, .size = 3, .port = 0x3f8 },
	};
	static const struct step reason[] = { { .reason = 0x1234 } };
	static const struct step stuck[] = { { .error = EINVAL } };
	static const struct step refused[] = { { .error = EINVAL, .refusal = true } };

	RUN_SCRIPT(size);
	ck_assert_ptr_nonnull(strstr(m.end_text, "impossible size"));
	teardown();
	RUN_SCRIPT(reason);
	ck_assert_ptr_nonnull(strstr(m.end_text, "exit reason 0x1234"));
	teardown();
	RUN_SCRIPT(stuck);
	ck_assert_ptr_nonnull(strstr(m.end_text, "refused the guest's state"));
	ck_assert_ptr_nonnull(strstr(m.end_text, "dmesg"));
	ck_assert_int_eq(m.end, END_FAILED);
	teardown();
	/* The driver knows why; it need not end what it says. */
	RUN_SCRIPT(refused);
	ck_assert_ptr_nonnull(strstr(m.end_text, "ended it: xxxx"));
	ck_assert_ptr_null(strstr(m.end_text, "dmesg"));
	teardown();
}
END_TEST

START_TEST(signals_do_not_end_it)
{
	static const struct step script[] = { { .error = EINTR }, { .reason = VM_EXIT_NONE }, OFF };

	RUN_SCRIPT(script);
	ck_assert_int_eq(m.end, END_POWERED_OFF);
	teardown();
}
END_TEST

START_TEST(console_flood_is_bounded)
{
	static struct step script[3 * CONSOLE_OUT_SIZE + 1];
	static uint8_t buf[2 * CONSOLE_OUT_SIZE];
	size_t i, n, all = 0;

	for (i = 0; i + 1 < ARRAY_SIZE(script); i++)
		script[i] = (struct step)OUT8(0x3f8, (uint8_t)(i >> 12));
	script[i] = (struct step)OFF;
	setup(script, ARRAY_SIZE(script));
	machine_connect(&m, true);	/* a reader that does not read: the newest is lost */
	machine_vcpu(&m);
	while ((n = machine_output(&m, buf + all, sizeof(buf) - all)) > 0) {
		all += n;
		machine_sent(&m, n);
	}
	ck_assert_uint_eq(all, CONSOLE_OUT_SIZE + 1);	/* one was in the serial port */
	ck_assert_uint_eq(buf[0], 0);
	teardown();
	setup(script, ARRAY_SIZE(script));	/* nobody there: the oldest is lost */
	machine_vcpu(&m);
	ck_assert_uint_eq(m.out.count, CONSOLE_OUT_SIZE);
	machine_output(&m, buf, 1);
	ck_assert_uint_eq(buf[0], 2 * CONSOLE_OUT_SIZE >> 12);
	teardown();
}
END_TEST

START_TEST(input_flood_is_bounded)
{
	static uint8_t flood[2 * CONSOLE_IN_SIZE];
	static const struct step script[] = { OFF };

	setup(script, ARRAY_SIZE(script));
	machine_input(&m, flood, sizeof(flood));
	ck_assert_uint_eq(machine_input_room(&m), 1);	/* one byte is in the serial port */
	machine_vcpu(&m);
	teardown();
}
END_TEST

START_TEST(open_refusals)
{
	static const struct {
		int error;
		const char *why;
	} row[] = {
		{ ENOENT, "driver is not loaded" },
		{ ENODEV, "no usable AMD SVM or Intel VMX" },
		{ ENXIO, "no usable AMD SVM or Intel VMX" },
		{ EACCES, "not yours to use" },
		{ EBUSY, "is busy" },
		{ EIO, "Input/output error" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		prepare();
		fake.open_error = row[i].error;
		ck_assert_int_eq(machine_init(&m, &config, &e), -1);
		ck_assert_msg(strstr(e.text, row[i].why), "%s", e.text);
		close(config.image.kernel);
	}
}
END_TEST

START_TEST(create_refusals)
{
	static const struct {
		int error;
		const char *why;
	} row[] = {
		{ EBUSY, "another hypervisor has the CPUs" },
		{ EIO, "can not be switched to virtualisation" },
		{ ENOMEM, "not enough memory" },
		{ ENOTTY, "does not speak this vmctl's interface" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		prepare();
		fake.create_error = row[i].error;
		ck_assert_int_eq(machine_init(&m, &config, &e), -1);
		ck_assert_msg(strstr(e.text, row[i].why), "%s", e.text);
		close(config.image.kernel);
	}
}
END_TEST

START_TEST(memory_above_the_device_window)
{
	static const struct step script[] = { OFF };

	prepare();
	config.memory = 5 * GIB;
	fake.script = script;
	fake.steps = 1;
	ck_assert_int_eq(machine_init(&m, &config, &e), 0);
	ck_assert_uint_eq(fake.create.vcp_nmemranges, 4);
	ck_assert_uint_eq(fake.create.vcp_memranges[2].vmr_gpa +
			  fake.create.vcp_memranges[2].vmr_size, 0xf0000000);
	ck_assert_uint_eq(fake.create.vcp_memranges[3].vmr_gpa, 4 * GIB);
	machine_vcpu(&m);
	teardown();
}
END_TEST

SUITE_MAIN("vmctl: machine", creates_and_enters, prints_and_powers_off, in_merges_into_rax,
	   interrupt_is_delivered_when_ready, input_interrupts_a_running_guest,
	   hlt_sleeps_until_an_interrupt, stop_wakes_a_halted_guest, somebody_else_ends_the_vm,
	   reset_makes_a_new_vm, reset_clears_memory, reset_ends_a_vm_that_runs_once,
	   endless_resets_end, memory_that_is_not_there, vector_loads_are_told_once,
	   what_can_not_be_emulated_is_named, strange_exits_end_it,
	   signals_do_not_end_it, console_flood_is_bounded, input_flood_is_bounded, open_refusals,
	   create_refusals, memory_above_the_device_window)
