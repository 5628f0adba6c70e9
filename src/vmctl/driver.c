// SPDX-License-Identifier: ISC
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "driver.h"

/* What an errno of a call means to the user. A row without a number ends the table. */
struct sentence {
	int number;
	const char *text;
};

static int explain(const struct sentence *table, const char *what, struct err *e)
{
	int number = errno;

	for (; table->number; table++)
		if (table->number == number)
			return err_set(e, "%s", table->text);
	return err_set(e, "%s: %s: the kernel log may say more (dmesg)", what, strerror(number));
}

#define NO_DRIVER	"the vmm driver is not loaded, there is no " DRIVER_PATH \
			": load it as root (modprobe vmm)"
#define NO_SILICON	"the driver refuses this machine: it has no usable AMD SVM or Intel VMX; " \
			"enable virtualisation in the firmware set-up, and see dmesg"
#define NO_PERMISSION	DRIVER_PATH " is not yours to use: become a member of its group, or root"

static const struct sentence open_errors[] = {
	{ ENOENT, NO_DRIVER },
	{ ENXIO, NO_SILICON },
	{ ENODEV, NO_SILICON },
	{ EOPNOTSUPP, NO_SILICON },
	{ EACCES, NO_PERMISSION },
	{ EPERM, NO_PERMISSION },
	{ EBUSY, DRIVER_PATH " is busy: wait for the host to finish what it is doing" },
	{ 0, NULL },
};

int driver_open(struct driver *d, struct err *e)
{
	d->vm = 0;
	d->fd = open(DRIVER_PATH, O_RDWR | O_CLOEXEC);
	if (d->fd < 0)
		return explain(open_errors, DRIVER_PATH, e);
	return 0;
}

void driver_close(struct driver *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static void add_range(struct vm_create_params *p, uint64_t gpa, const uint8_t *va, uint64_t size)
{
	struct vm_mem_range *r;

	if (!size)
		return;
	r = &p->vcp_memranges[p->vcp_nmemranges++];
	r->vmr_gpa = gpa;
	r->vmr_va = (uintptr_t)va;
	r->vmr_size = size;
}

static const struct sentence create_errors[] = {
	{ EBUSY, "another hypervisor has the CPUs: stop its VMs and unload it (modprobe -r "
		 "kvm_amd kvm_intel)" },
	{ EIO, "the CPUs can not be switched to virtualisation: see dmesg for the reason" },
	{ ENODEV, NO_SILICON },
	{ ENOMEM, "the host has not enough memory, or too many vCPUs run: stop a VM, or give -m "
		  "less" },
	{ EPERM, NO_PERMISSION },
	{ ENOTTY, DRIVER_PATH " does not speak this vmctl's interface: load the driver that "
		  "belongs to it" },
	{ 0, NULL },
};

/*
 * Of the registers, this monitor looks at RIP and RFLAGS at most exits, and asks
 * for others when it needs them. Other drivers give it all, always.
 */
static void want_registers(struct driver *d)
{
	struct vm_exitregs_params p = { .vxr_vm_id = d->vm, .vxr_mask = VM_RWREGS_GPRS };

	(void)ioctl(d->fd, VMM_IOC_EXITREGS, &p);
}

int driver_create(struct driver *d, const char *name, const struct ram *ram, struct err *e)
{
	struct vm_create_params p = { .vcp_ncpus = 1 };

	/* The conventional map: [0, 640 KiB), [640 KiB, 1 MiB), up to the device window, the rest
	 * from 4 GiB. The second is memory too: firmware would live there. */
	add_range(&p, 0, ram->base, 640 * KIB);
	add_range(&p, 640 * KIB, ram->base + 640 * KIB, MIB - 640 * KIB);
	add_range(&p, MIB, ram->base + MIB, ram->low - MIB);
	add_range(&p, RAM_HIGH_BASE, ram->base + ram->low, ram->high);
	snprintf(p.vcp_name, sizeof(p.vcp_name), "%s", name);
	while (ioctl(d->fd, VMM_IOC_CREATE, &p) != 0)
		if (errno != EINTR)
			return explain(create_errors, "the VM can not be created", e);
	d->vm = p.vcp_id;
	want_registers(d);
	return 0;
}

int driver_reset_cpu(struct driver *d, const struct vcpu_reg_state *regs, struct err *e)
{
	static const struct sentence none[] = { { 0, NULL } };
	struct vm_resetcpu_params p = { .vrp_vm_id = d->vm, .vrp_init_state = *regs };

	if (ioctl(d->fd, VMM_IOC_RESETCPU, &p) != 0)
		return explain(none, "the vCPU can not be reset", e);
	return 0;
}

enum driver_run driver_registers(struct driver *d, uint64_t mask, struct vcpu_reg_state *regs,
				 struct err *e)
{
	static const struct sentence none[] = { { 0, NULL } };
	struct vm_rwregs_params p = { .vrwp_vm_id = d->vm, .vrwp_mask = mask };

	if (ioctl(d->fd, VMM_IOC_READREGS, &p) != 0) {
		if (errno == ENOENT)
			return DRIVER_GONE;
		explain(none, "the vCPU's registers can not be read", e);
		return DRIVER_STUCK;
	}
	if (mask & VM_RWREGS_GPRS)
		memcpy(regs->vrs_gprs, p.vrwp_regs.vrs_gprs, sizeof(regs->vrs_gprs));
	if (mask & VM_RWREGS_CRS)
		memcpy(regs->vrs_crs, p.vrwp_regs.vrs_crs, sizeof(regs->vrs_crs));
	if (mask & VM_RWREGS_MSRS)
		memcpy(regs->vrs_msrs, p.vrwp_regs.vrs_msrs, sizeof(regs->vrs_msrs));
	if (mask & VM_RWREGS_DRS)
		memcpy(regs->vrs_drs, p.vrwp_regs.vrs_drs, sizeof(regs->vrs_drs));
	if (mask & VM_RWREGS_SREGS) {
		memcpy(regs->vrs_sregs, p.vrwp_regs.vrs_sregs, sizeof(regs->vrs_sregs));
		regs->vrs_gdtr = p.vrwp_regs.vrs_gdtr;
		regs->vrs_idtr = p.vrwp_regs.vrs_idtr;
	}
	return DRIVER_RAN;
}

void driver_interrupt(struct driver *d, bool pending)
{
	struct vm_intr_params p = { .vip_vm_id = d->vm, .vip_intr = pending };

	/* It fails only when the VM has just ended, which the next RUN reports. */
	(void)ioctl(d->fd, VMM_IOC_INTR, &p);
}

static const struct sentence run_errors[] = {
	{ EINVAL, "the CPU refused the guest's state, which ended it: see dmesg for the reason" },
	{ EIO, "the guest can not go on: see dmesg for the reason" },
	{ EBUSY, "the vCPU has ended: start the VM again" },
	{ ENOMEM, "the host ran out of memory for the guest: stop a VM, or give -m less" },
	{ EFAULT, "the guest's memory could not be reached, the host may be out of memory: give "
		  "-m less" },
	{ 0, NULL },
};

/* If RUN failed because the guest's state broke an entry check, @e says which. */
static void why_refused(struct driver *d, struct err *e)
{
	struct vm_refused_params p = { .vrf_vm_id = d->vm };

	if (ioctl(d->fd, VMM_IOC_REFUSED, &p) == 0 && p.vrf_text[0])
		err_set(e, "the CPU refused the guest's state, which ended it: %.*s",
			(int)sizeof(p.vrf_text), p.vrf_text);
}

enum driver_run driver_run(struct driver *d, struct vm_run_params *run, struct err *e)
{
	int number;

	run->vrp_vm_id = d->vm;
	run->vrp_vcpu_id = 0;
	if (ioctl(d->fd, VMM_IOC_RUN, run) == 0)
		return run->vrp_exit_reason == VM_EXIT_TERMINATED ? DRIVER_GONE : DRIVER_RAN;
	number = errno;
	if (errno == ENOENT)
		return DRIVER_GONE;
	if (errno == EINTR || errno == EAGAIN) {
		run->vrp_exit_reason = VM_EXIT_NONE;
		return DRIVER_RAN;
	}
	explain(run_errors, "the guest can not run", e);
	if (number == EINVAL)
		why_refused(d, e);
	return DRIVER_STUCK;
}

static const struct sentence terminate_errors[] = {
	{ ENOENT, "there is no such VM: `vmctl status` lists those there are" },
	{ EPERM, "the VM belongs to another user: stop it as that user or as root" },
	{ 0, NULL },
};

int driver_terminate(struct driver *d, uint32_t id, struct err *e)
{
	struct vm_terminate_params p = { .vtp_vm_id = id };

	if (ioctl(d->fd, VMM_IOC_TERM, &p) != 0)
		return explain(terminate_errors, "the VM can not be stopped", e);
	return 0;
}

int driver_list(struct driver *d, struct vm_info_result **list, size_t *count, struct err *e)
{
	static const struct sentence none[] = { { 0, NULL } };
	struct vm_info_params p = { 0 };
	struct vm_info_result *got = NULL, *more;

	*list = NULL;
	*count = 0;
	for (;;) {
		size_t had = p.vip_size;

		if (ioctl(d->fd, VMM_IOC_INFO, &p) != 0) {
			free(got);
			return explain(none, "the VMs can not be listed", e);
		}
		/* A list that does not fit comes back empty, with the size it needs. */
		if (p.vip_size <= had || p.vip_info_ct)
			break;
		more = realloc(got, p.vip_size);
		if (!more) {
			free(got);
			return err_set(e, "there is no memory for the list of VMs: end a program");
		}
		got = more;
		p.vip_info = got;
	}
	*list = got;
	*count = p.vip_info_ct;
	return 0;
}
