/* SPDX-License-Identifier: ISC */
/*
 * vmm_fixture.c - the whole driver on a simulated CPU.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "backends.h"
#include "vmm_fixture.h"

#define PML4	0x1000
#define PDPT	0x2000
#define PD	0x3000
#define PTE_RW	0x7		/* present, writable, user */
#define PTE_2M	0x80

void (*fixture_machine)(void);

int
fixture_ioctl(struct fixture *f, unsigned int cmd, void *arg)
{
	return vmm_ioctl(&f->session, cmd, (uint64_t)(uintptr_t)arg);
}

void
fixture_create_params(struct fixture *f, struct vm_create_params *p,
    size_t ncpus)
{
	memset(p, 0, sizeof(*p));
	p->vcp_nmemranges = 1;
	p->vcp_ncpus = ncpus;
	p->vcp_memranges[0].vmr_gpa = 0;
	p->vcp_memranges[0].vmr_va = (uint64_t)(uintptr_t)f->mem;
	p->vcp_memranges[0].vmr_size = FIXTURE_MEM;
	strcpy(p->vcp_name, "test");
}

void
fixture_start(struct fixture *f, bool all_features, size_t ncpus)
{
	struct vm_create_params p;

	memset(f, 0, sizeof(*f));
	host_user_reset();
	sim_reset();
	sim_svm_reset(all_features);
	if (fixture_machine != NULL)
		fixture_machine();
	f->mem = mmap(NULL, FIXTURE_MEM, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(f->mem, MAP_FAILED);
	ck_assert_int_eq(vmm_attach(vmm_backends), 0);
	ck_assert_int_eq(vmm_open(&f->session), 0);
	fixture_create_params(f, &p, ncpus);
	ck_assert_int_eq(fixture_ioctl(f, VMM_IOC_CREATE, &p), 0);
	f->vm = p.vcp_id;
	f->run.vrp_vm_id = f->vm;
	f->run.vrp_exit = &f->exit;
}

void
fixture_stop(struct fixture *f)
{
	vmm_close(&f->session);
	ck_assert(!host_user.cpus_on);
	vmm_detach();
	ck_assert_int_eq(host_user.alloc_live, 0);
	ck_assert_int_eq(host_user.as_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	munmap(f->mem, FIXTURE_MEM);
}

int
fixture_run(struct fixture *f, sim_guest *guest, void *arg, uint16_t irq)
{
	int err;

	sim_svm.guest = guest;
	sim_svm.arg = arg;
	f->run.vrp_irq = irq;
	err = fixture_ioctl(f, VMM_IOC_RUN, &f->run);
	f->run.vrp_continue = 1;
	return err;
}

void
fixture_regs(struct fixture *f, struct vcpu_reg_state *regs)
{
	struct vm_rwregs_params p = {
		.vrwp_vm_id = f->vm, .vrwp_vcpu_id = f->run.vrp_vcpu_id,
		.vrwp_mask = VM_RWREGS_ALL,
	};

	ck_assert_int_eq(fixture_ioctl(f, VMM_IOC_READREGS, &p), 0);
	*regs = p.vrwp_regs;
}

int
fixture_set_regs(struct fixture *f, uint64_t groups,
    const struct vcpu_reg_state *regs)
{
	struct vm_rwregs_params p = {
		.vrwp_vm_id = f->vm, .vrwp_vcpu_id = f->run.vrp_vcpu_id,
		.vrwp_mask = groups, .vrwp_regs = *regs,
	};

	return fixture_ioctl(f, VMM_IOC_WRITEREGS, &p);
}

const char *
fixture_refused(struct fixture *f)
{
	static struct vm_refused_params p;

	memset(&p, 0xff, sizeof(p));
	p.vrf_vm_id = f->vm;
	p.vrf_vcpu_id = f->run.vrp_vcpu_id;
	ck_assert_int_eq(fixture_ioctl(f, VMM_IOC_REFUSED, &p), 0);
	return p.vrf_check;
}

void
fixture_long_mode(struct fixture *f, uint64_t rip)
{
	struct vm_resetcpu_params p = {
		.vrp_vm_id = f->vm, .vrp_vcpu_id = f->run.vrp_vcpu_id,
	};
	struct vcpu_reg_state *r = &p.vrp_init_state;
	uint64_t *pd = (uint64_t *)(f->mem + PD);

	*(uint64_t *)(f->mem + PML4) = PDPT | PTE_RW;
	*(uint64_t *)(f->mem + PDPT) = PD | PTE_RW;
	for (uint64_t i = 0; i < FIXTURE_MEM >> 21; i++)
		pd[i] = i << 21 | PTE_RW | PTE_2M;

	r->vrs_gprs[VCPU_REGS_RIP] = rip;
	r->vrs_gprs[VCPU_REGS_RFLAGS] = 2;
	r->vrs_crs[VCPU_REGS_CR0] = 0x80000011;	/* PG, ET, PE */
	r->vrs_crs[VCPU_REGS_CR3] = PML4;
	r->vrs_crs[VCPU_REGS_CR4] = 0x20;	/* PAE */
	r->vrs_msrs[VCPU_REGS_EFER] = 0x500;	/* LMA, LME */
	r->vrs_drs[VCPU_REGS_DR6] = 0xffff0ff0;
	r->vrs_drs[VCPU_REGS_DR7] = 0x400;
	for (int i = 0; i < VCPU_REGS_NSREGS; i++) {
		r->vrs_sregs[i].vsi_sel = 0x10;
		r->vrs_sregs[i].vsi_limit = 0xffffffff;
		r->vrs_sregs[i].vsi_ar = 0xc093;
	}
	r->vrs_sregs[VCPU_REGS_CS].vsi_sel = 8;
	r->vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xa09b;
	r->vrs_sregs[VCPU_REGS_LDTR].vsi_ar = 0x82;
	r->vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x8b;
	ck_assert_int_eq(fixture_ioctl(f, VMM_IOC_RESETCPU, &p), 0);
}

void
fixture_real_mode(struct fixture *f, uint16_t rip)
{
	struct vm_resetcpu_params p = {
		.vrp_vm_id = f->vm, .vrp_vcpu_id = f->run.vrp_vcpu_id,
	};
	struct vcpu_reg_state *r = &p.vrp_init_state;

	r->vrs_gprs[VCPU_REGS_RIP] = rip;
	r->vrs_gprs[VCPU_REGS_RFLAGS] = 2;
	r->vrs_crs[VCPU_REGS_CR0] = 0x10;	/* ET */
	r->vrs_drs[VCPU_REGS_DR6] = 0xffff0ff0;
	r->vrs_drs[VCPU_REGS_DR7] = 0x400;
	for (int i = 0; i < VCPU_REGS_NSREGS; i++) {
		r->vrs_sregs[i].vsi_limit = 0xffff;
		r->vrs_sregs[i].vsi_ar = 0x93;
	}
	r->vrs_sregs[VCPU_REGS_CS].vsi_ar = 0x9b;
	r->vrs_sregs[VCPU_REGS_LDTR].vsi_ar = 0x82;
	r->vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x8b;
	ck_assert_int_eq(fixture_ioctl(f, VMM_IOC_RESETCPU, &p), 0);
}

/* --- Guests as lists of exits ---------------------------------------------- */

void
script_guest(struct vmcb *vmcb, uint64_t *gpr, void *arg)
{
	static const struct step halt = { AT(SVM_VMEXIT_HLT, "\xf4") };
	struct script *s = arg;
	const struct step *step = s->at < s->steps ? &s->step[s->at] : &halt;

	if (s->at == SCRIPT_MAX)
		host_user_panic("the guest is entered again and again");
	s->seen[s->at] = sim_svm.entered;
	memcpy(s->gpr[s->at], gpr, sizeof(s->gpr[0]));
	s->at++;
	if (step->act != NULL)
		step->act(vmcb, gpr);
	vmcb->exitcode = step->code;
	vmcb->exitintinfo = step->intinfo;
	vmcb->exitinfo1 = step->info1;
	vmcb->exitinfo2 = step->info2;
	if (step->insn == NULL)
		return;
	memcpy(s->mem + vmcb->cs.base + vmcb->rip, step->insn, step->len);
	if (sim_svm.nrip_save)
		vmcb->nrip = vmcb->rip + step->len;
	if (step->code == SVM_VMEXIT_IOIO)
		vmcb->exitinfo2 = vmcb->rip + step->len;
	if (step->code == SVM_VMEXIT_CR0_SEL_WRITE ||
	    step->code == SVM_VMEXIT_CR4_WRITE)
		vmcb->exitinfo1 = sim_svm.decode_assists ? step->info1 : 0;
	if (step->code == SVM_VMEXIT_NPF && sim_svm.decode_assists) {
		vmcb->insn_len = (uint8_t)step->len;
		memcpy(vmcb->insn_bytes, step->insn, step->len);
	}
}

int
fixture_steps(struct fixture *f, struct script *s, const struct step *steps,
    unsigned int n, uint16_t irq)
{
	memset(s, 0, sizeof(*s));
	s->step = steps;
	s->steps = n;
	s->mem = f->mem;
	return fixture_run(f, script_guest, s, irq);
}

int
fixture_main(const char *suite, const TTest *const *tests, size_t n, SFun start,
    SFun start_bare, SFun stop)
{
	Suite *s = suite_create(suite);
	TCase *with = tcase_create("all features");
	TCase *bare = tcase_create("no optional feature");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(with, start, stop);
	tcase_add_checked_fixture(bare, start_bare, stop);
	for (size_t i = 0; i < n; i++) {
		tcase_add_test(with, tests[i]);
		tcase_add_test(bare, tests[i]);
	}
	suite_add_tcase(s, with);
	suite_add_tcase(s, bare);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
