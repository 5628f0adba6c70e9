/* SPDX-License-Identifier: ISC */
/*
 * driver_kvm.c - vmctl's driver.h over KVM, so that one monitor with the same
 * devices boots Linux by either. One VM a process; the sandbox is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "../../src/vmctl/driver.h"
#include "../kvm.h"

#define NO_IRQ		0xffffu
#define RFLAGS_IF	0x200u

static struct {
	int vm, cpu;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;	/* the vCPU's, once it has run */
	atomic_bool started;
	atomic_bool pending;	/* an interrupt waits */
	unsigned int element;	/* of an access to a port: how many the client has seen */
} kvm;

static int failed(const char *what, struct err *e)
{
	return err_set(e, "%s: %s", what, strerror(errno));
}

static void nothing(int number)
{
	(void)number;
}

int driver_open(struct driver *d, struct err *e)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	d->vm = 0;
	d->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return d->fd < 0 ? failed("/dev/kvm", e) : 0;
}

void driver_close(struct driver *d)
{
	close(d->fd);
	d->fd = -1;
}

/* No local APIC in the kernel, so none for the guest: as vmm's CPUID. */
static int set_cpuid(int device)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[128];
	} cpuid = { .head.nent = 128 };
	unsigned int i;

	if (ioctl(device, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
		return -1;
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entry[i].function == 1) {
			cpuid.entry[i].edx &= ~(1u << 9);		/* APIC */
			cpuid.entry[i].ecx &= ~(1u << 21 | 1u << 24);	/* X2APIC, DEADLINE */
		}
	return ioctl(kvm.cpu, KVM_SET_CPUID2, &cpuid);
}

static int add_memory(uint32_t slot, uint64_t gpa, const uint8_t *at, uint64_t size)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)at,
	};

	return size == 0 ? 0 : ioctl(kvm.vm, KVM_SET_USER_MEMORY_REGION, &r);
}

int driver_create(struct driver *d, const char *name, const struct ram *ram, struct err *e)
{
	(void)name;
	kvm.vm = ioctl(d->fd, KVM_CREATE_VM, 0);
	if (kvm.vm < 0 || add_memory(0, 0, ram->base, ram->low) < 0 ||
	    add_memory(1, RAM_HIGH_BASE, ram->base + ram->low, ram->high) < 0)
		return failed("the VM", e);
	kvm.cpu = ioctl(kvm.vm, KVM_CREATE_VCPU, 0);
	if (kvm.cpu < 0 || set_cpuid(d->fd) < 0)
		return failed("the vCPU", e);
	kvm.run_size = (size_t)ioctl(d->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	kvm.run = mmap(NULL, kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kvm.cpu, 0);
	if (kvm.run == MAP_FAILED)
		return failed("kvm_run", e);
	d->vm = 1;
	return 0;
}

int driver_reset_cpu(struct driver *d, const struct vcpu_reg_state *regs, struct err *e)
{
	(void)d;
	return kvm_reset(kvm.cpu, regs) < 0 ? failed("the vCPU's registers", e) : 0;
}

/* Not needed: KVM emulates what uses memory that is not there. */
enum driver_run driver_registers(struct driver *d, uint64_t mask, struct vcpu_reg_state *regs,
				 struct err *e)
{
	(void)d;
	(void)mask;
	(void)regs;
	err_set(e, "registers are not read from KVM");
	return DRIVER_STUCK;
}

void driver_interrupt(struct driver *d, bool pending)
{
	(void)d;
	atomic_store(&kvm.pending, pending);
	if (!pending || !atomic_load(&kvm.started) || pthread_equal(kvm.thread, pthread_self()))
		return;
	kvm.run->immediate_exit = 1;
	pthread_kill(kvm.thread, SIGUSR1);
}

/* Where the current element of an access to a port is. */
static void *port_data(void)
{
	return (uint8_t *)kvm.run + kvm.run->io.data_offset +
	       kvm.element * kvm.run->io.size;
}

static void show_port(struct vm_run_params *run)
{
	struct vm_exit_inout *io = &run->vrp_exit->vei;

	run->vrp_exit_reason = SVM_VMEXIT_IOIO;
	*io = (struct vm_exit_inout){
		.vei_size = kvm.run->io.size,
		.vei_dir = kvm.run->io.direction == KVM_EXIT_IO_IN ? VEI_DIR_IN : VEI_DIR_OUT,
		.vei_port = kvm.run->io.port,
	};
	memcpy(&io->vei_data, port_data(), kvm.run->io.size);
}

/* The client has seen an element; true if KVM gave more of them. */
static bool next_port(struct vm_run_params *run)
{
	if (!run->vrp_continue || kvm.run->exit_reason != KVM_EXIT_IO)
		return false;
	if (kvm.element < kvm.run->io.count && kvm.run->io.direction == KVM_EXIT_IO_IN)
		memcpy(port_data(), &run->vrp_exit->vei.vei_data, kvm.run->io.size);
	return ++kvm.element < kvm.run->io.count;
}

static void show_exit(struct vm_run_params *run)
{
	uint64_t *rflags = &run->vrp_exit->vrs.vrs_gprs[VCPU_REGS_RFLAGS];

	*rflags = kvm.run->if_flag ? RFLAGS_IF : 0;
	switch (kvm.run->exit_reason) {
	case KVM_EXIT_IO:
		kvm.element = 0;
		show_port(run);
		break;
	case KVM_EXIT_HLT:
		run->vrp_exit_reason = SVM_VMEXIT_HLT;
		break;
	case KVM_EXIT_SHUTDOWN:
		run->vrp_exit_reason = SVM_VMEXIT_SHUTDOWN;
		break;
	case KVM_EXIT_MMIO:
		/* Nothing is there. */
		memset(kvm.run->mmio.data, 0xff, sizeof(kvm.run->mmio.data));
		run->vrp_exit_reason = VM_EXIT_NONE;
		break;
	default:
		run->vrp_exit_reason = VM_EXIT_NONE;
		break;
	}
}

enum driver_run driver_run(struct driver *d, struct vm_run_params *run, struct err *e)
{
	struct kvm_interrupt irq = { .irq = run->vrp_irq };
	int r;

	(void)d;
	kvm.thread = pthread_self();
	atomic_store(&kvm.started, true);
	if (next_port(run)) {
		show_port(run);
		return DRIVER_RAN;
	}
	if (run->vrp_irq != NO_IRQ && ioctl(kvm.cpu, KVM_INTERRUPT, &irq) < 0) {
		failed("KVM_INTERRUPT", e);
		return DRIVER_STUCK;
	}
	kvm.run->request_interrupt_window = atomic_load(&kvm.pending);
	r = ioctl(kvm.cpu, KVM_RUN, 0);
	if (r < 0 && errno != EINTR) {
		failed("KVM_RUN", e);
		return DRIVER_STUCK;
	}
	run->vrp_irqready = kvm.run->ready_for_interrupt_injection;
	if (r < 0) {
		kvm.run->immediate_exit = 0;
		kvm.run->exit_reason = KVM_EXIT_INTR;
	}
	show_exit(run);
	return DRIVER_RAN;
}

int driver_terminate(struct driver *d, uint32_t id, struct err *e)
{
	(void)id;
	(void)e;
	munmap(kvm.run, kvm.run_size);
	close(kvm.cpu);
	close(kvm.vm);
	d->vm = 0;
	return 0;
}

int driver_list(struct driver *d, struct vm_info_result **list, size_t *count, struct err *e)
{
	(void)d;
	(void)e;
	*list = NULL;
	*count = 0;
	return 0;
}
