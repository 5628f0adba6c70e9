/* SPDX-License-Identifier: ISC */
/*
 * hypervisor_kvm.c - the benchmark's client of /dev/kvm. As vmm, it has no
 * interrupt controller in the kernel: HLT ends a run, and the client injects.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "machine.h"

static int device = -1;
static size_t run_size;
static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[128];
} cpuid;

static void
open_device(void)
{
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

static struct kvm_segment
segment(const struct vcpu_segment_info *s)
{
	struct kvm_segment k = { 0 };

	k.base = s->vsi_base;
	k.limit = s->vsi_limit;
	k.selector = s->vsi_sel;
	k.type = s->vsi_ar & 15;
	k.s = s->vsi_ar >> 4 & 1;
	k.dpl = s->vsi_ar >> 5 & 3;
	k.present = s->vsi_ar >> 7 & 1;
	k.avl = s->vsi_ar >> 12 & 1;
	k.l = s->vsi_ar >> 13 & 1;
	k.db = s->vsi_ar >> 14 & 1;
	k.g = s->vsi_ar >> 15 & 1;
	return k;
}

static struct kvm_dtable
table(const struct vcpu_segment_info *s)
{
	struct kvm_dtable k = { .base = s->vsi_base, .limit = (uint16_t)s->vsi_limit };

	return k;
}

static void
reset(struct machine *m)
{
	struct vcpu_reg_state s;
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs;

	vm_init_state(m->cpu, LONG, &s);
	CHECK_OK(ioctl(m->kvm_cpu, KVM_GET_SREGS, &sregs));
	sregs.cs = segment(&s.vrs_sregs[VCPU_REGS_CS]);
	sregs.ds = segment(&s.vrs_sregs[VCPU_REGS_DS]);
	sregs.es = segment(&s.vrs_sregs[VCPU_REGS_ES]);
	sregs.fs = segment(&s.vrs_sregs[VCPU_REGS_FS]);
	sregs.gs = segment(&s.vrs_sregs[VCPU_REGS_GS]);
	sregs.ss = segment(&s.vrs_sregs[VCPU_REGS_SS]);
	sregs.tr = segment(&s.vrs_sregs[VCPU_REGS_TR]);
	sregs.ldt = segment(&s.vrs_sregs[VCPU_REGS_LDTR]);
	sregs.gdt = table(&s.vrs_gdtr);
	sregs.idt = table(&s.vrs_idtr);
	sregs.cr0 = s.vrs_crs[VCPU_REGS_CR0];
	sregs.cr3 = s.vrs_crs[VCPU_REGS_CR3];
	sregs.cr4 = s.vrs_crs[VCPU_REGS_CR4];
	sregs.efer = s.vrs_msrs[VCPU_REGS_EFER];
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_SREGS, &sregs));
	regs.rip = s.vrs_gprs[VCPU_REGS_RIP];
	regs.rsp = s.vrs_gprs[VCPU_REGS_RSP];
	regs.rflags = s.vrs_gprs[VCPU_REGS_RFLAGS];
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_REGS, &regs));
}

static void
create(struct machine *m)
{
	if (device < 0)
		open_device();
	m->kvm_vm = (int)CHECK_OK(ioctl(device, KVM_CREATE_VM, 0));
	add_memory(m, 0, 0, m->vm->size);
	m->kvm_cpu = (int)CHECK_OK(ioctl(m->kvm_vm, KVM_CREATE_VCPU, 0));
	m->kvm_run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->kvm_cpu, 0);
	CHECK(m->kvm_run != MAP_FAILED);
	CHECK_OK(ioctl(m->kvm_cpu, KVM_SET_CPUID2, &cpuid));
	reset(m);
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
	.protect = protect,
	.skip_store = skip_store,
};
