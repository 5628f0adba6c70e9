/* SPDX-License-Identifier: ISC */
/*
 * hlt.c - the smallest client of /dev/vmm: one vCPU in real mode, whose only
 * instruction is HLT.
 *
 *	cc -o hlt docs/examples/hlt.c		(after make install)
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <machine/vmmvar.h>

#define MEMORY	VMM_MEM_UNIT		/* 1 MiB, the least there is */

/* Real mode at guest-physical address 0. */
static void
real_mode(struct vcpu_reg_state *r)
{
	unsigned int i;

	r->vrs_gprs[VCPU_REGS_RFLAGS] = 0x2;
	r->vrs_crs[VCPU_REGS_CR0] = 0x10;
	r->vrs_drs[VCPU_REGS_DR6] = 0xffff0ff0;
	r->vrs_drs[VCPU_REGS_DR7] = 0x400;
	for (i = 0; i < VCPU_REGS_NSREGS; i++) {
		r->vrs_sregs[i].vsi_limit = 0xffff;
		r->vrs_sregs[i].vsi_ar = 0x93;		/* data, writable */
	}
	r->vrs_sregs[VCPU_REGS_CS].vsi_ar = 0x9b;	/* code */
	r->vrs_sregs[VCPU_REGS_LDTR].vsi_ar = 0x82;
	r->vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x8b;
	r->vrs_gdtr.vsi_limit = r->vrs_idtr.vsi_limit = 0xffff;
}

int
main(void)
{
	struct vm_create_params create = {
		.vcp_nmemranges = 1, .vcp_ncpus = 1, .vcp_name = "hlt",
	};
	struct vm_resetcpu_params reset = { .vrp_vcpu_id = 0 };
	struct vm_exit exit;
	struct vm_run_params run = { .vrp_irq = VMM_NO_IRQ, .vrp_exit = &exit };
	uint8_t *memory;
	int fd;

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	memory[0] = 0xf4;				/* HLT */

	fd = open("/dev/vmm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/vmm");
	create.vcp_memranges[0].vmr_va = (uintptr_t)memory;
	create.vcp_memranges[0].vmr_size = MEMORY;
	if (ioctl(fd, VMM_IOC_CREATE, &create) < 0)
		err(1, "VMM_IOC_CREATE");

	reset.vrp_vm_id = run.vrp_vm_id = create.vcp_id;
	real_mode(&reset.vrp_init_state);
	if (ioctl(fd, VMM_IOC_RESETCPU, &reset) < 0)
		err(1, "VMM_IOC_RESETCPU");

	do {
		if (ioctl(fd, VMM_IOC_RUN, &run) < 0)
			err(1, "VMM_IOC_RUN");
	} while (run.vrp_exit_reason == VM_EXIT_NONE);	/* a signal, perhaps */

	printf("exit reason 0x%x, %s, RIP 0x%llx\n", run.vrp_exit_reason,
	    run.vrp_exit_reason == SVM_VMEXIT_HLT ||		/* AMD */
	    run.vrp_exit_reason == VMX_EXIT_HLT ? "HLT" : "not HLT",
	    (unsigned long long)exit.vrs.vrs_gprs[VCPU_REGS_RIP]);
	close(fd);					/* ends the VM */
	munmap(memory, MEMORY);
	return 0;
}
