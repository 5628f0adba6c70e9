/* SPDX-License-Identifier: ISC */
/*
 * vmm_fixture.h - the whole driver on a simulated CPU: open it, make a VM,
 * run a "guest" that is a C function. Every ioctl goes through vmm_ioctl(),
 * as a client's would.
 */
#ifndef VMM_FIXTURE_H
#define VMM_FIXTURE_H

#include "host_user.h"
#include "vm.h"
#include "sim/svm_cpu.h"

#define FIXTURE_MEM	(4u << 20)	/* bytes of guest memory at GPA 0 */

struct fixture {
	struct vmm_session session;
	uint8_t	*mem;			/* HVA of GPA 0 */
	uint32_t vm;			/* id */
	struct vm_run_params run;
	struct vm_exit exit;
};

/* Attach on a CPU with all features of SVM or none, open, create a VM. */
void	fixture_start(struct fixture *f, bool all_features, size_t ncpus);
/* Close, detach; nothing may be left allocated. */
void	fixture_stop(struct fixture *f);

/* One ioctl; 0 or a negative errno. */
int	fixture_ioctl(struct fixture *f, unsigned int cmd, void *arg);
/* A valid CREATE argument for `ncpus` vCPUs and the fixture's memory. */
void	fixture_create_params(struct fixture *f, struct vm_create_params *p,
	    size_t ncpus);
/* RUN vCPU 0 with `guest` inside; vrp_irq as given. The ioctl's result. */
int	fixture_run(struct fixture *f, sim_guest *guest, void *arg,
	    uint16_t irq);
/* The registers of vCPU 0, all groups. */
void	fixture_regs(struct fixture *f, struct vcpu_reg_state *regs);
int	fixture_set_regs(struct fixture *f, uint64_t groups,
	    const struct vcpu_reg_state *regs);
/* RESETCPU to flat 64-bit mode at RIP, page tables identity-mapped in mem. */
void	fixture_long_mode(struct fixture *f, uint64_t rip);

#endif /* VMM_FIXTURE_H */
