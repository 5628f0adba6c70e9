/* SPDX-License-Identifier: ISC */
/*
 * vcpu.c - one vCPU: its life, its registers as the client sees them, the
 * exceptions the driver owes it, and the ways to get its attention.
 */
#include "vm.h"
#include "backend.h"
#include "cpuid_guest.h"
#include "debug.h"
#include "fpu.h"
#include "ioctls.h"
#include "memory.h"
#include "pvclock.h"
#include "vcpu_advance.h"

/* --- Life -------------------------------------------------------------------- */

/* The state after power-on: real mode at the reset vector (SDM 3A 10.1.1). */
static void
power_on_state(struct vcpu_reg_state *r)
{
	struct vcpu_segment_info *s;
	unsigned int i;

	memset(r, 0, sizeof(*r));
	r->vrs_gprs[VCPU_REGS_RIP] = 0xfff0;
	r->vrs_gprs[VCPU_REGS_RFLAGS] = ARCH_RFLAGS_MB1;
	r->vrs_crs[VCPU_REGS_CR0] = ARCH_CR0_CD | ARCH_CR0_NW | ARCH_CR0_ET;
	r->vrs_crs[VCPU_REGS_XCR0] = ARCH_XCR0_X87;
	r->vrs_drs[VCPU_REGS_DR6] = 0xffff0ff0;
	r->vrs_drs[VCPU_REGS_DR7] = 0x400;
	for (i = 0; i < VCPU_REGS_NSREGS; i++) {
		s = &r->vrs_sregs[i];
		s->vsi_limit = 0xffff;
		s->vsi_ar = 0x93;
	}
	s = &r->vrs_sregs[VCPU_REGS_CS];
	s->vsi_sel = 0xf000;
	s->vsi_base = 0xffff0000;
	s->vsi_ar = 0x9b;
	r->vrs_sregs[VCPU_REGS_LDTR].vsi_ar = 0x82;
	r->vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x8b;
	r->vrs_gdtr.vsi_limit = 0xffff;
	r->vrs_idtr.vsi_limit = 0xffff;
}

static void
write_regs(struct vcpu *v, uint64_t groups, const struct vcpu_reg_state *r)
{
	vmm_backend()->regs_write(v, groups, r);
	if (groups & VM_RWREGS_CRS)
		fpu_osxsave(v, r->vrs_crs[VCPU_REGS_CR4] & ARCH_CR4_OSXSAVE);
}

/* Everything a reset sets, then the client's registers. */
static void
vcpu_reset(struct vcpu *v, const struct vcpu_reg_state *regs)
{
	unsigned int i;

	v->cr2 = 0;
	memset(&v->exit, 0, sizeof(v->exit));
	memset(&v->inject, 0, sizeof(v->inject));
	memset(&v->io, 0, sizeof(v->io));
	memset(&v->vmexit, 0, sizeof(v->vmexit));
	memset(&v->pvclock, 0, sizeof(v->pvclock));
	memset(v->irr, 0, sizeof(v->irr));
	v->debug_traps = 0;
	v->exit_reason = VM_EXIT_NONE;
	v->flush = true;
	v->tsc_offset = -v->vm->tsc_start;
	sync_store(&v->intr, 0);
	for (i = 0; i < msr_policy_count; i++) {
		if (msr_policies[i].slot != MSR_SLOT_NONE)
			v->msr[msr_policies[i].slot] = msr_policies[i].reset;
	}
	vmm_backend()->vcpu_reset(v);
	write_regs(v, VM_RWREGS_ALL, regs);
	/* Whatever the client asked for: a reset leaves x87 only. */
	fpu_reset(v);
}

int
vcpu_create(struct vm *vm, uint32_t id, struct vcpu **out)
{
	struct vcpu_reg_state *regs;
	struct vcpu *v;
	int err = -ENOMEM;

	v = host_alloc(sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	v->vm = vm;
	v->id = id;
	v->state = VCPU_STATE_STOPPED;
	v->exit_groups = VM_RWREGS_ALL;
	host_mutex_init(&v->lock);
	regs = host_alloc(sizeof(*regs));
	if (regs == NULL)
		goto fail;
	v->fault = host_fault_alloc();
	if (v->fault == NULL)
		goto fail;
	err = fpu_create(v);
	if (err == 0)
		err = vmm_backend()->vcpu_init(v);
	if (err)
		goto fail;
	power_on_state(regs);
	vcpu_reset(v, regs);
	host_free(regs);
	*out = v;
	return 0;
fail:
	host_free(regs);
	vcpu_destroy(v);
	return err;
}

void
vcpu_destroy(struct vcpu *v)
{
	vmm_backend()->vcpu_fini(v);
	fpu_destroy(v);
	host_fault_free(v->fault);
	host_mutex_destroy(&v->lock);
	host_free(v);
}

/* --- Attention ----------------------------------------------------------------- */

void
vcpu_kick(struct vcpu *v)
{
	/* Pairs with the stores of in_guest in guest_loop.h, of waits in memory.c. */
	sync_full();
	if (sync_load(&v->in_guest))
		host_kick(sync_load(&v->cpu));
	if (sync_load(&v->waits))
		host_fault_wake(v->fault);
}

void
vcpu_request(struct vcpu *v, uint32_t bits)
{
	sync_or(&v->requests, bits);
	vcpu_kick(v);
}

void
vm_flush(struct vm *vm)
{
	bool inside = false;
	unsigned int i;

	sync_add(&vm->tlb_gen, 1);
	host_cpuset_clear(vm->flush_cpus);
	for (i = 0; i < vm->ncpus; i++) {
		struct vcpu *v = vm->vcpu[i];

		if (v == NULL || !sync_load(&v->in_guest))
			continue;
		host_cpuset_add(vm->flush_cpus, sync_load(&v->cpu));
		inside = true;
	}
	if (inside)
		host_cpuset_kick_wait(vm->flush_cpus);
}

/* --- Interrupts ------------------------------------------------------------------ */

uint8_t
vcpu_irr_take(struct vcpu *v)
{
	unsigned int w = 3, bit;

	while (v->irr[w] == 0)
		w--;
	bit = 63 - (unsigned int)__builtin_clzll(v->irr[w]);
	v->irr[w] &= ~(1ULL << bit);
	return (uint8_t)(w * 64 + bit);
}

/* --- Exceptions ------------------------------------------------------------------ */

static bool
in_mask(uint32_t mask, uint8_t vector)
{
	return vector < 32 && (mask >> vector & 1);
}

/* Two faults at once: #DF when SDM 3A table 6-5 says so. */
static bool
becomes_double_fault(uint8_t first, uint8_t second)
{
	if (first == ARCH_EXC_PF)
		return second == ARCH_EXC_PF ||
		    in_mask(ARCH_EXC_CONTRIBUTORY_MASK, second);
	return in_mask(ARCH_EXC_CONTRIBUTORY_MASK, first) &&
	    in_mask(ARCH_EXC_CONTRIBUTORY_MASK, second);
}

void
vcpu_fault(struct vcpu *v, const struct guest_fault *f)
{
	const struct event old = v->inject;
	struct event *e = &v->inject;

	v->faulted = true;
	v->turn_over = true;
	/* An instruction that faults has not been executed. */
	v->debug_traps = 0;
	if (f->has_cr2)
		vmm_backend()->reg_set(v, REG_CR2, f->cr2);
	/* An interrupt whose delivery faulted comes again afterwards. */
	if (old.type == EVENT_EXTINT)
		v->irr[old.vector / 64] |= 1ULL << old.vector % 64;
	e->type = EVENT_EXCEPTION;
	e->vector = f->vector;
	e->has_error = f->has_error;
	e->error = f->error;
	if (old.type == EVENT_EXCEPTION &&
	    becomes_double_fault(old.vector, f->vector)) {
		e->vector = ARCH_EXC_DF;
		e->has_error = true;
		e->error = 0;
	}
	/* Real mode pushes no error code (SDM 3A 20.1.4). */
	if (!(vmm_backend()->reg_get(v, REG_CR0) & ARCH_CR0_PE))
		e->has_error = false;
}

void
vcpu_exception(struct vcpu *v, uint8_t vector)
{
	const struct guest_fault f = {
		.vector = vector,
		.has_error = in_mask(ARCH_EXC_ERROR_CODE_MASK, vector),
	};

	vcpu_fault(v, &f);
}

void
vcpu_wrap_rip(struct vcpu *v)
{
	struct guest_mode m;

	vmm_backend()->mode(v, &m);
	if (!m.code64)
		v->gpr[VCPU_REGS_RIP] = (uint32_t)v->gpr[VCPU_REGS_RIP];
}

void
vcpu_debug_trap(struct vcpu *v, uint64_t traps)
{
	debug_report(v, traps);
	vcpu_exception(v, ARCH_EXC_DB);
}

void
vcpu_advance(struct vcpu *v, unsigned int insn_len)
{
	vcpu_step_over(v, insn_len, vmm_backend()->clear_shadow);
}

/* --- Registers as the client sees them --------------------------------------------- */

/* Is this a value that the guest itself could have put there? */
static bool
reg_value_ok(const struct reg_desc *d, uint64_t value)
{
	switch (d->check) {
	case REG_CHECK_CANONICAL:
		return arch_canonical(value);
	case REG_CHECK_CR0:
		return arch_cr0_valid(value);
	case REG_CHECK_CR4:
		return !(value & ~cpuid_guest_cr4());
	case REG_CHECK_EFER:
		return !(value & ~cpuid_guest_efer());
	case REG_CHECK_RFLAGS:
		return !(value & ~(uint64_t)ARCH_RFLAGS_VALID);
	case REG_CHECK_XCR0:
		return arch_xcr0_valid(value, fpu_xcr0_allowed());
	case REG_CHECK_DR6:
	case REG_CHECK_DR7:
		return value >> 32 == 0;
	case REG_CHECK_CR3:
		return value >> 52 == 0;
	case REG_CHECK_CR8:
		return value < 16;
	case REG_CHECK_LOW32:
		return value >> 32 == 0;
	default:
		return true;
	}
}

static const uint8_t canonical_bases[] = {
	VCPU_REGS_FS, VCPU_REGS_GS, VCPU_REGS_LDTR, VCPU_REGS_TR,
};

/* Could the guest have loaded what the client gives these groups? */
static bool
values_ok(uint64_t groups, const struct vcpu_reg_state *r)
{
	const struct reg_group *g;
	const struct reg_desc *d;
	uint64_t value;
	size_t i;

	for (g = reg_groups; g < reg_groups + REG_GROUPS; g++) {
		if (!(g->group & groups))
			continue;
		for (i = 0; i < g->n; i++) {
			d = &reg_table[g->checked[i]];
			memcpy(&value, (const uint8_t *)r + d->offset,
			    sizeof(value));
			if (!reg_value_ok(d, value))
				return false;
		}
	}
	return true;
}

static bool
bases_ok(const struct vcpu_reg_state *r)
{
	size_t i;

	for (i = 0; i < sizeof(canonical_bases); i++) {
		if (!arch_canonical(r->vrs_sregs[canonical_bases[i]].vsi_base))
			return false;
	}
	return arch_canonical(r->vrs_gdtr.vsi_base) &&
	    arch_canonical(r->vrs_idtr.vsi_base);
}

/* A paging mode that exists, with what stays of the registers. */
static bool
paging_ok(struct vcpu *v, uint64_t groups, const struct vcpu_reg_state *r)
{
	const struct backend *b = vmm_backend();
	uint64_t cr0, cr4, efer;
	bool lma;

	cr0 = groups & VM_RWREGS_CRS ? r->vrs_crs[VCPU_REGS_CR0] :
	    b->reg_get(v, REG_CR0);
	cr4 = groups & VM_RWREGS_CRS ? r->vrs_crs[VCPU_REGS_CR4] :
	    b->reg_get(v, REG_CR4);
	efer = groups & VM_RWREGS_MSRS ? r->vrs_msrs[VCPU_REGS_EFER] :
	    b->reg_get(v, REG_EFER);
	lma = (cr0 & ARCH_CR0_PG) && (efer & ARCH_EFER_LME);
	return lma == !!(efer & ARCH_EFER_LMA) &&
	    (!lma || (cr4 & ARCH_CR4_PAE));
}

/* Registers outside `groups` keep their value. */
static bool
regs_ok(struct vcpu *v, uint64_t groups, const struct vcpu_reg_state *r)
{
	if (!values_ok(groups, r))
		return false;
	if ((groups & VM_RWREGS_SREGS) && !bases_ok(r))
		return false;
	return !(groups & (VM_RWREGS_CRS | VM_RWREGS_MSRS)) ||
	    paging_ok(v, groups, r);
}

int
vcpu_regs_write(struct vcpu *v, uint64_t groups, const struct vcpu_reg_state *r)
{
	if (!regs_ok(v, groups, r))
		return -EINVAL;
	write_regs(v, groups, r);
	return 0;
}

int
vmm_ioctl_resetcpu(struct vcpu *v, struct vm_resetcpu_params *p)
{
	struct vcpu_reg_state *r = &p->vrp_init_state;

	r->vrs_crs[VCPU_REGS_XCR0] = ARCH_XCR0_X87;
	if (!regs_ok(v, VM_RWREGS_ALL, r))
		return -EINVAL;
	vcpu_reset(v, r);
	return 0;
}

int
vmm_ioctl_readregs(struct vcpu *v, struct vm_rwregs_params *p)
{
	vmm_backend()->regs_read(v, p->vrwp_mask, &p->vrwp_regs);
	return 0;
}

int
vmm_ioctl_writeregs(struct vcpu *v, struct vm_rwregs_params *p)
{
	int err;

	err = vcpu_regs_write(v, p->vrwp_mask, &p->vrwp_regs);
	v->flush = true;
	return err;
}

int
vmm_ioctl_exitregs(struct vcpu *v, struct vm_exitregs_params *p)
{
	v->exit_groups = p->vxr_mask;
	return 0;
}

int
vmm_ioctl_refused(struct vcpu *v, struct vm_refused_params *p)
{
	memset(p->vrf_check, 0, sizeof(p->vrf_check));
	memset(p->vrf_text, 0, sizeof(p->vrf_text));
	host_format(p->vrf_check, sizeof(p->vrf_check), "%s", v->refusal.check);
	host_format(p->vrf_text, sizeof(p->vrf_text), "%s", v->refusal.text);
	return 0;
}

/* Does the VM have memory at all of [gpa, gpa + size)? */
static bool
is_memory(const struct vm *vm, uint64_t gpa, uint64_t size)
{
	const struct vm_range *r;
	uint64_t n;

	for (; size != 0; gpa += n, size -= n) {
		r = memory_range(vm, gpa);
		if (r == NULL)
			return false;
		n = r->gpa + r->size - gpa;
		if (n > size)
			n = size;
	}
	return true;
}

int
vmm_ioctl_mprotect_ept(struct vcpu *v, struct vm_mprotect_ept_params *p)
{
	if (!is_memory(v->vm, p->vmep_sgpa, p->vmep_size))
		return -EINVAL;
	return memory_protect(v->vm, p->vmep_sgpa, p->vmep_size,
	    (unsigned int)p->vmep_prot);
}

/* --- What works while the vCPU runs -------------------------------------------------- */

int
vmm_ioctl_intr(struct vcpu *v, struct vm_intr_params *p)
{
	sync_store(&v->intr, p->vip_intr != 0);
	if (p->vip_intr != 0)
		vcpu_kick(v);
	return 0;
}

int
vmm_ioctl_readvmparams(struct vcpu *v, struct vm_rwvmparams_params *p)
{
	if (p->vpp_mask & VM_RWVMPARAMS_PVCLOCK_SYSTEM_GPA)
		p->vpp_pvclock_system_gpa = sync_load(&v->pvclock.gpa);
	if (p->vpp_mask & VM_RWVMPARAMS_PVCLOCK_VERSION)
		p->vpp_pvclock_version = sync_load(&v->pvclock.version);
	return 0;
}

int
vmm_ioctl_writevmparams(struct vcpu *v, struct vm_rwvmparams_params *p)
{
	if ((p->vpp_mask & VM_RWVMPARAMS_PVCLOCK_SYSTEM_GPA) &&
	    !pvclock_set(v, p->vpp_pvclock_system_gpa))
		return -EINVAL;
	if (p->vpp_mask & VM_RWVMPARAMS_PVCLOCK_VERSION)
		sync_store(&v->pvclock.version, p->vpp_pvclock_version);
	return 0;
}
