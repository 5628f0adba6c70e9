/* SPDX-License-Identifier: ISC */
/*
 * t_mce.c - machine checks while a guest runs. The emulator's monitor makes
 * them, so these cases run only when they are asked for: check-mce.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"

#define POISON		(8 * MB)	/* a page that the guest does not need */
#define CHECK_INTERVAL	"/sys/devices/system/machinecheck/machinecheck0/check_interval"

/* Status of a bank (SDM 3B 17.3.2.2): valid, enabled, with address and kind of it. */
#define BANK		9
#define CORRECTED	0x9c00000000000090ull	/* a read of memory */
#define ACTION_REQUIRED	0xbd80000000000134ull	/* data, not corrected, in no context */
#define CAN_GO_ON	7			/* MCG_STATUS: MCIP, EIPV, RIPV */
#define PAGE_ADDRESS	0x8c			/* MISC: physical, to the page */

/*
 * For tests/system/monitor.py, which sends it to the emulator when the guest is
 * running, and not the host.
 */
static void
monitor(const char *fmt, ...)
{
	va_list ap;

	printf("# monitor in guest: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static void
machine_check(uint64_t status, unsigned int mcg_status, uint64_t pa)
{
	monitor("mce 0 %u 0x%llx 0x%x 0x%llx 0x%x", BANK,
	    (unsigned long long)status, mcg_status, (unsigned long long)pa,
	    PAGE_ADDRESS);
}

/* Physical address of a page of this process. */
static uint64_t
physical(const void *p)
{
	int fd = (int)CHECK_OK(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	uint64_t entry;

	CHECK_EQ(pread(fd, &entry, sizeof(entry),
	    (off_t)((uintptr_t)p / PAGE * sizeof(entry))), sizeof(entry));
	close(fd);
	CHECK((entry >> 63) != 0);
	return (entry & ((1ull << 55) - 1)) * PAGE;
}

/* How often the host looks at its banks, in seconds. */
static void
look_each_second(void)
{
	int fd = (int)CHECK_OK(open(CHECK_INTERVAL, O_WRONLY | O_CLOEXEC));

	CHECK_EQ(write(fd, "1", 1), 1);
	close(fd);
}

/*
 * QEMU's TCG, up to 7.2 at least, does not look at the intercept of #MC: the
 * guest gets it. One without an IDT can not take it.
 */
static void
no_idt(struct vcpu *v, struct vcpu_reg_state *before)
{
	struct vcpu_reg_state s;

	vm_regs(v, &s);
	*before = s;
	if (!host_is_tcg())
		return;
	s.vrs_idtr.vsi_limit = 0;
	vm_set_regs(v, VM_RWREGS_SREGS, &s);
}

/* A VM with a page that can be poisoned alone; its pa. */
static struct vm *
vm_with_page(uint64_t *pa)
{
	struct vm *vm = vm_new(LONG);

	CHECK_OK(madvise(vm->mem + POISON, 2 * MB, MADV_NOHUGEPAGE));
	vm_call_ok(&vm->cpu[0], g_long_store, POISON, 1, 0, 0);
	*pa = physical(vm->mem + POISON);
	return vm;
}

static struct runner *
spin(struct vcpu *v)
{
	struct runner *r;

	vm_call_start(v, g_long_spin_cli, 0, 0, 0, 0);
	r = runner_start(v);
	runner_wait_busy(v);
	return r;
}

/* The host logs it, and the guest knows nothing of it. */
TEST(mce_corrected, "mce/corrected")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct runner *r = spin(v);

	look_each_second();
	machine_check(CORRECTED, 0, physical(vm->mem));
	while (klog_count("Hardware Error", NULL) == 0)
		sleep_ms(50);
	runner_wait_busy(v);
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
	vm_expect_no_fault(v);
}

static volatile sig_atomic_t bus_code;
static void *volatile bus_address;

static void
on_bus_error(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	bus_address = info->si_addr;
	bus_code = info->si_code;
}

/* Poison that the guest found is the client's: it is told, and may go on. */
TEST(mce_recoverable, "mce/recoverable")
{
	struct sigaction action = { .sa_sigaction = on_bus_error,
	    .sa_flags = SA_SIGINFO };
	struct vcpu_reg_state before;
	struct runner *r;
	struct vcpu *v;
	struct vm *vm;
	uint64_t pa;

	CHECK_OK(sigaction(SIGBUS, &action, NULL));
	vm = vm_with_page(&pa);
	v = &vm->cpu[0];
	no_idt(v, &before);
	r = spin(v);
	machine_check(ACTION_REQUIRED, CAN_GO_ON, pa);
	while (bus_code == 0)
		sleep_ms(10);
	CHECK_EQ(bus_code, BUS_MCEERR_AR);
	CHECK_EQ((uintptr_t)bus_address, (uintptr_t)vm->mem + POISON);
	/* The guest has lost one page, and nothing else. */
	runner_wait_busy(v);
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
	before.vrs_gprs[VCPU_REGS_RIP] = 0;
	vm_set_regs(v, VM_RWREGS_SREGS, &before);
	CHECK_EQ(vm_call_ok(v, g_long_load, POISON + PAGE, 0, 0, 0), 0);
	vm_call_start(v, g_long_load, POISON, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, POISON);
	CHECK(klog_count("Memory failure", NULL) > 0);
}

static void
client(void *arg)
{
	struct vcpu_reg_state before;
	struct vcpu *v;
	uint64_t pa;

	(void)arg;
	v = &vm_with_page(&pa)->cpu[0];
	no_idt(v, &before);
	spin(v);
	machine_check(ACTION_REQUIRED, CAN_GO_ON, pa);
	for (;;)
		pause();
}

/* One that knows nothing of it is killed, and the host lives. */
TEST(mce_kills, "mce/kills_the_client")
{
	int pid = child_start(client, NULL), status;
	struct vm *vm;

	CHECK_OK(waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGBUS);
	/* Guests run as before. */
	vm = vm_new(LONG);
	CHECK_EQ(vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0), 0);
}
