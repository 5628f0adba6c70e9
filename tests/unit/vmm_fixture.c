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
fixture_reset(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	host_user_reset();
	sim_start(sim_machine);
	if (fixture_machine != NULL)
		fixture_machine();
}

void
fixture_start(struct fixture *f, size_t ncpus)
{
	struct vm_create_params p;

	fixture_reset(f);
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
	ck_assert_int_eq(host_user.kept, 0);
	if (sim_machine->vmx) {
		ck_assert_uint_eq(sim_vmx.write_errors, 0);
		ck_assert_uint_eq(sim_vmx.failed, 0);
	}
	vmm_detach();
	ck_assert_int_eq(host_user.alloc_live, 0);
	ck_assert_int_eq(host_user.as_live, 0);
	ck_assert_int_eq(host_user.watches_live, 0);
	munmap(f->mem, FIXTURE_MEM);
}

int
fixture_run(struct fixture *f, sim_code *guest, void *arg, uint16_t irq)
{
	int err;

	sim.guest = guest;
	sim.arg = arg;
	f->run.vrp_irq = irq;
	err = fixture_ioctl(f, VMM_IOC_RUN, &f->run);
	f->run.vrp_continue = 1;
	return err;
}

struct vcpu *
fixture_vcpu(const struct fixture *f)
{
	struct vcpu *v;
	struct vm *vm = vm_get(f->vm);

	ck_assert_ptr_nonnull(vm);
	v = vm->vcpu[f->run.vrp_vcpu_id];
	vm_put(vm);
	return v;
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
script_guest(struct sim_guest *g, void *arg)
{
	static const struct step halt = { AT(EXIT_HLT, "\xf4") };
	struct script *s = arg;
	const struct step *step = s->at < s->steps ? &s->step[s->at] : &halt;

	if (s->at == SCRIPT_MAX)
		host_user_panic("the guest is entered again and again");
	s->seen[s->at] = sim.entered;
	s->at++;
	g->exit = step->exit;
	g->insn = step->insn;
	g->code = step->code;
	g->interrupted = step->interrupted;
	if (step->act != NULL)
		step->act(g);
	if (step->insn != NULL)
		memcpy(s->mem + g->cs_base + g->gpr[VCPU_REGS_RIP], step->insn,
		    step->exit.insn_len);
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

/* --- Suites ------------------------------------------------------------------ */

#define SVM_WITHOUT(what, o) \
	{ "SVM without " what, false, SIM_SVM_ALL & ~(1u << (o)), false }
#define VMX_WITHOUT(what, o) \
	{ "VMX without " what, true, SIM_VMX_ALL & ~(1u << (o)), false }

static const struct sim_machine machines[] = {
	{ "SVM", false, SIM_SVM_ALL, true },
	{ "SVM, no option", false, 0, false },
	SVM_WITHOUT("next-RIP save", SIM_SVM_NRIP_SAVE),
	SVM_WITHOUT("clean bits", SIM_SVM_CLEAN_BITS),
	SVM_WITHOUT("flush by ASID", SIM_SVM_FLUSH_BY_ASID),
	SVM_WITHOUT("decode assists", SIM_SVM_DECODE_ASSISTS),
	{ "VMX", true, SIM_VMX_ALL, true },
	{ "VMX, no option", true, 0, false },
	VMX_WITHOUT("TRUE controls", SIM_VMX_TRUE_CONTROLS),
	VMX_WITHOUT("TPR shadow", SIM_VMX_TPR_SHADOW),
	VMX_WITHOUT("VPID", SIM_VMX_VPID),
	VMX_WITHOUT("single-context INVVPID", SIM_VMX_INVVPID_SINGLE),
	VMX_WITHOUT("single-context INVEPT", SIM_VMX_INVEPT_SINGLE),
	VMX_WITHOUT("PAUSE-loop exits", SIM_VMX_PAUSE_LOOP),
	VMX_WITHOUT("information for INS and OUTS", SIM_VMX_INS_OUTS),
	VMX_WITHOUT("ENCLS exits", SIM_VMX_ENCLS),
	VMX_WITHOUT("preemption timer", SIM_VMX_TIMER),
	VMX_WITHOUT("execute-only pages", SIM_VMX_EXECUTE_ONLY),
	VMX_WITHOUT("accessed bits in EPT", SIM_VMX_EPT_ACCESSED),
};
#define MACHINES	(sizeof(machines) / sizeof(machines[0]))
_Static_assert(MACHINES == 2 + SIM_SVM_OPTIONS + 2 + SIM_VMX_OPTIONS,
    "every option is off once");

/* The set-up of each case, which is told nothing: one function a machine. */
#define SELECT(i)	static void select_##i(void) { sim_machine = &machines[i]; }
SELECT(0) SELECT(1) SELECT(2) SELECT(3) SELECT(4) SELECT(5) SELECT(6) SELECT(7)
SELECT(8) SELECT(9) SELECT(10) SELECT(11) SELECT(12) SELECT(13) SELECT(14)
SELECT(15) SELECT(16) SELECT(17) SELECT(18)
static const SFun select_machine[MACHINES] = {
	select_0, select_1, select_2, select_3, select_4, select_5, select_6,
	select_7, select_8, select_9, select_10, select_11, select_12, select_13,
	select_14, select_15, select_16, select_17,
	select_18,
};

typedef bool machine_filter(const struct sim_machine *m);

static bool
every(const struct sim_machine *m)
{
	(void)m;
	return true;
}

static bool
extreme(const struct sim_machine *m)
{
	return m->all || m->options == 0;
}

static bool
svm(const struct sim_machine *m)
{
	return !m->vmx;
}

static int
run_suite(const char *suite, const TTest *const *tests, size_t n, SFun start,
    SFun stop, machine_filter *wanted)
{
	Suite *s = suite_create(suite);
	SRunner *sr;
	int failed;

	for (size_t m = 0; m < MACHINES; m++) {
		TCase *tc;

		if (!wanted(&machines[m]))
			continue;
		tc = tcase_create(machines[m].name);
		tcase_add_unchecked_fixture(tc, select_machine[m], NULL);
		tcase_add_checked_fixture(tc, start, stop);
		for (size_t i = 0; i < n; i++)
			tcase_add_test(tc, tests[i]);
		suite_add_tcase(s, tc);
	}
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
fixture_main(const char *suite, const TTest *const *tests, size_t n, SFun start,
    SFun stop)
{
	return run_suite(suite, tests, n, start, stop, every);
}

int
fixture_main_extremes(const char *suite, const TTest *const *tests, size_t n,
    SFun start, SFun stop)
{
	return run_suite(suite, tests, n, start, stop, extreme);
}

int
fixture_main_svm(const char *suite, const TTest *const *tests, size_t n,
    SFun start, SFun stop)
{
	return run_suite(suite, tests, n, start, stop, svm);
}
