/* SPDX-License-Identifier: ISC */
/*
 * hypervisor_kvm.c - the benchmark's client of /dev/kvm. As vmm, it has no
 * interrupt controller in the kernel: HLT ends a run, and the client injects.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "kvm.h"
#include "machine.h"

static int device = -1;
static size_t run_size;
static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[128];
} cpuid;

static void
nothing(int signal)
{
	(void)signal;
}

static void
open_device(void)
{
	struct sigaction action = { .sa_handler = nothing };

	CHECK_OK(sigaction(SIGUSR1, &action, NULL));
	device = (int)CHECK_OK(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	run_size = (size_t)CHECK_OK(ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0));
	cpuid.head.nent = 128;
	CHECK_OK(ioctl(device, KVM_GET_SUPPORTED_CPUID, &cpuid));
}

static void
add_memory(struct machine *m, uint32_t slot, uint64_t from, uint64_t to)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = from,
		.memory_size = to - from,
		.userspace_addr = (uintptr_t)(m->vm->mem + from),
	};

	CHECK_OK(ioctl(m->kvm_vm, KVM_SET_USER_MEMORY_REGION, &r));
}

/* What READREGS and WRITEREGS carry, KVM has in five pieces. */
static struct {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[6];
	} msrs;
} state = {
	.msrs = { { .nmsrs = 6 }, {
		{ .index = 0xc0000080 },	/* EFER, STAR, LSTAR, CSTAR, SFMASK, KERNELGSBASE */
		{ .index = 0xc0000081 }, { .index = 0xc0000082 }, { .index = 0xc0000083 },
		{ .index = 0xc0000084 }, { .index = 0xc0000102 },
	} },
};

static void
read_registers(struct machine *m)
{
	CHECK_OK(ioctl(m->kvm_cpu, KVM_GET_REGS, &state.regs));
	CHECK_OK(ioctl(m->kvm_cpu, KVM_GET_SREGS, &state.sregs));
	CHECK_OK(ioctl(m->kvm_cpu, KVM_GET_DEBUGREGS, &state.debug));
	CHECK_OK(ioctl(m->kvm_cpu, KVM_GET_XCRS, &state.xcrs));
	CHECK_EQ(CHECK_OK(ioctl(m->kvm_cpu, KVM_GET_MSRS, &state.msrs)), 6);
}

static void
write_registers(struct machine *m)
{
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_REGS, &state.regs));
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_SREGS, &state.sregs));
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_DEBUGREGS, &state.debug));
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_XCRS, &state.xcrs));
	CHECK_EQ(CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_MSRS, &state.msrs)), 6);
}

static void
create(struct machine *m)
{
	struct vcpu_reg_state s;

	if (device < 0)
		open_device();
	m->kvm_vm = (int)CHECK_OK(ioctl(device, KVM_CREATE_VM, 0));
	add_memory(m, 0, 0, m->vm->size);
	m->kvm_cpu = (int)CHECK_OK(ioctl(m->kvm_vm, KVM_CREATE_VCPU, 0));
	m->kvm_run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->kvm_cpu, 0);
	CHECK(m->kvm_run != MAP_FAILED);
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_CPUID2, &cpuid));
	vm_init_state(m->cpu, LONG, &s);
	CHECK_OK(kvm_reset(m->kvm_cpu, &s));
}

static void
destroy(struct machine *m)
{
	CHECK_OK(munmap(m->kvm_run, run_size));
	CHECK_OK(close(m->kvm_cpu));
	CHECK_OK(close(m->kvm_vm));
}

static enum stop
run(struct machine *m, unsigned int vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	if (vector != NO_IRQ)
		CHECK_OK(ioctl(m->kvm_cpu, KVM_INTERRUPT, &irq));
	if (ioctl(m->kvm_cpu, KVM_RUN, 0) < 0) {
		CHECK_MSG(errno == EINTR, "KVM_RUN: %s", strerror(errno));
		m->kvm_run->immediate_exit = 0;
		return STOP_NOTHING;
	}
	switch (m->kvm_run->exit_reason) {
	case KVM_EXIT_IO:
		return m->kvm_run->io.direction == KVM_EXIT_IO_OUT ? STOP_OUT : STOP_IN;
	case KVM_EXIT_HLT:
		return STOP_HLT;
	case KVM_EXIT_MMIO:
		return STOP_MMIO;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return STOP_WINDOW;
	default:
		FAIL("KVM exit %u", m->kvm_run->exit_reason);
	}
}

static void
answer(struct machine *m, uint8_t value)
{
	*((uint8_t *)m->kvm_run + m->kvm_run->io.data_offset) = value;
}

static void
want_window(struct machine *m, bool wanted)
{
	m->kvm_run->request_interrupt_window = wanted;
}

/* With KVM, registers never come with an exit. */
static void
want_registers(struct machine *m)
{
	(void)m;
}

static bool
ready(struct machine *m)
{
	return m->kvm_run->ready_for_interrupt_injection;
}

static void
kick(struct machine *m)
{
	/* Also when it comes too early for KVM_RUN to see the signal. */
	m->kvm_run->immediate_exit = 1;
	CHECK_EQ(pthread_kill(m->thread, SIGUSR1), 0);
}

/* A hole between two slots. */
static void
protect(struct machine *m)
{
	add_memory(m, 0, 0, 0);
	add_memory(m, 0, 0, MMIO_PAGE);
	add_memory(m, 1, MMIO_PAGE + PAGE, m->vm->size);
}

static void
skip_store(struct machine *m)
{
	(void)m;	/* KVM has emulated it */
}

const struct hypervisor hypervisor_kvm = {
	.name = "KVM",
	.create = create,
	.destroy = destroy,
	.run = run,
	.answer = answer,
	.want_window = want_window,
	.want_registers = want_registers,
	.ready = ready,
	.kick = kick,
	.protect = protect,
	.skip_store = skip_store,
	.read_registers = read_registers,
	.write_registers = write_registers,
};
