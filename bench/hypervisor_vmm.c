/* SPDX-License-Identifier: ISC */
/* hypervisor_vmm.c - the benchmark's client of /dev/vmm. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "machine.h"

/* Exit reasons of this CPU. */
static struct {
	uint16_t io, hlt, fault, window;
} reason;

/* Groups of registers that come with each exit. */
static void
registers_with_exits(struct machine *m, uint64_t groups)
{
	struct vm_exitregs_params p = { .vxr_vm_id = m->vm->id, .vxr_mask = groups };

	CHECK_OK(ioctl(m->vm->fd, VMM_IOC_EXITREGS, &p));
}

static void
create(struct machine *m)
{
	if (host_is_amd()) {
		reason.io = SVM_VMEXIT_IOIO;
		reason.hlt = SVM_VMEXIT_HLT;
		reason.fault = SVM_VMEXIT_NPF;
		reason.window = SVM_VMEXIT_VINTR;
	} else {
		reason.io = VMX_EXIT_IO;
		reason.hlt = VMX_EXIT_HLT;
		reason.fault = VMX_EXIT_EPT_VIOLATION;
		reason.window = VMX_EXIT_INT_WINDOW;
	}
	vm_create(m->vm);
	vm_reset(m->cpu, LONG);
	registers_with_exits(m, 0);
	m->run = (struct vm_run_params) {
		.vrp_vm_id = m->vm->id,
		.vrp_exit = m->cpu->exit,
	};
}

static void
destroy(struct machine *m)
{
	CHECK_OK(do_term(m->vm->fd, m->vm->id));
}

static enum stop
run(struct machine *m, unsigned int vector)
{
	uint16_t why;

	m->run.vrp_irq = (uint16_t)vector;
	CHECK_OK(ioctl(m->vm->fd, VMM_IOC_RUN, &m->run));
	m->run.vrp_continue = 1;
	why = m->run.vrp_exit_reason;
	if (why == reason.io)
		return m->cpu->exit->vei.vei_dir == VEI_DIR_OUT ? STOP_OUT : STOP_IN;
	if (why == reason.hlt)
		return STOP_HLT;
	if (why == reason.fault && m->cpu->exit->vee.vee_fault_type == VEE_FAULT_PROTECT)
		return STOP_MMIO;
	if (m->run.vrp_irqready)
		return STOP_WINDOW;
	return STOP_NOTHING;
}

static void
answer(struct machine *m, uint8_t value)
{
	m->cpu->exit->vei.vei_data = value;
}

static void
want_window(struct machine *m, bool wanted)
{
	vm_intr(m->cpu, wanted);
}

static void
want_registers(struct machine *m)
{
	registers_with_exits(m, VM_RWREGS_ALL);
}

static bool
ready(struct machine *m)
{
	return m->run.vrp_irqready;
}

static void
kick(struct machine *m)
{
	vm_intr(m->cpu, 1);
}

static void
protect(struct machine *m)
{
	vm_protect(m->cpu, MMIO_PAGE, PAGE, PROT_READ);
	registers_with_exits(m, VM_RWREGS_GPRS);
}

static void
skip_store(struct machine *m)
{
	m->cpu->exit->vrs.vrs_gprs[VCPU_REGS_RIP] += 3;
}

static struct vm_rwregs_params state;

static void
read_registers(struct machine *m)
{
	CHECK_OK(do_readregs(m->vm->fd, m->vm->id, 0, VM_RWREGS_ALL, &state));
}

static void
write_registers(struct machine *m)
{
	CHECK_OK(do_writeregs(m->vm->fd, m->vm->id, 0, VM_RWREGS_ALL, &state));
}

static unsigned int
list(struct machine *m)
{
	static struct vm_info_result all[VMM_MAX_VCPUS];

	return (unsigned int)CHECK_OK(do_info(m->vm->fd, all, VMM_MAX_VCPUS));
}

const struct hypervisor hypervisor_vmm = {
	.name = "vmm",
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
	.list = list,
};
