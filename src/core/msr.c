/* SPDX-License-Identifier: ISC */
/*
 * msr.c - RDMSR and WRMSR by the rows of msrs.yaml. An MSR without a row, or
 * an access that its row refuses, raises #GP(0).
 */
#include "vm.h"
#include "backend.h"
#include "cpu.h"
#include "cr.h"
#include "exit.h"
#include "pvclock.h"

/* All of these: 0, or 1 for #GP(0). */
int
msr_read_efer(struct vcpu *v, uint64_t *value)
{
	*value = vmm_backend()->reg_get(v, REG_EFER);
	return 0;
}

int
msr_write_efer(struct vcpu *v, uint64_t value)
{
	return cr_write_efer(v, value);
}

int
msr_read_pat(struct vcpu *v, uint64_t *value)
{
	*value = vmm_backend()->reg_get(v, REG_PAT);
	return 0;
}

static int
write_register(struct vcpu *v, enum reg r, uint64_t value)
{
	vmm_backend()->reg_set(v, r, value);
	return 0;
}

int
msr_write_pat(struct vcpu *v, uint64_t value)
{
	return write_register(v, REG_PAT, value);
}

int
msr_write_star(struct vcpu *v, uint64_t value)
{
	return write_register(v, REG_STAR, value);
}

int
msr_write_lstar(struct vcpu *v, uint64_t value)
{
	return write_register(v, REG_LSTAR, value);
}

int
msr_write_cstar(struct vcpu *v, uint64_t value)
{
	return write_register(v, REG_CSTAR, value);
}

int
msr_write_sfmask(struct vcpu *v, uint64_t value)
{
	return write_register(v, REG_SFMASK, value);
}

/* The guest moves its own clock; the host's does not notice. */
int
msr_write_tsc(struct vcpu *v, uint64_t value)
{
	v->tsc_offset = value - cpu_rdtsc();
	vmm_backend()->tsc_offset(v);
	sync_store(&v->pvclock.dirty, true);
	v->turn_over = true;
	return 0;
}

int
msr_read_pvclock_system(struct vcpu *v, uint64_t *value)
{
	*value = sync_load(&v->pvclock.gpa);
	return 0;
}

int
msr_write_pvclock_system(struct vcpu *v, uint64_t value)
{
	v->turn_over = true;
	return !pvclock_set(v, value);
}

int
msr_read_pvclock_wall(struct vcpu *v, uint64_t *value)
{
	*value = v->pvclock.wall_gpa;
	return 0;
}

int
msr_write_pvclock_wall(struct vcpu *v, uint64_t value)
{
	v->turn_over = true;
	return !pvclock_set_wall(v, value);
}

/* The row for this vendor; without one the MSR does not exist. */
static const struct msr_policy *
find_policy(uint32_t index)
{
	const struct msr_policy *m = msr_policy(index);

	if (m != NULL && !(m->vendors & vmm_backend()->msr_vendor))
		return NULL;
	return m;
}

static bool
value_ok(const struct msr_policy *m, uint64_t value)
{
	if (m->check == MSR_CHECK_NONE)
		return true;
	switch (m->check) {
	case MSR_CHECK_CANONICAL:
		return arch_canonical(value);
	case MSR_CHECK_LOW32:
		return value >> 32 == 0;
	case MSR_CHECK_PAT:
		return arch_pat_valid(value);
	default:
		return true;
	}
}

static void
answer(struct vcpu *v, uint64_t value)
{
	v->gpr[VCPU_REGS_RAX] = (uint32_t)value;
	v->gpr[VCPU_REGS_RDX] = value >> 32;
}

/* Apart, so that what is read most needs no stack. */
static __attribute__((__noinline__)) int
read_emulated(struct vcpu *v, const struct msr_policy *m)
{
	uint64_t value;
	int gp = m->read_fn(v, &value);

	if (!gp)
		answer(v, value);
	return gp;
}

static int
msr_read(struct vcpu *v, const struct msr_policy *m)
{
	/* What guests do most is looked for first. */
	if (m->read == MSR_READ_CONSTANT) {
		answer(v, m->constant);
		return 0;
	}
	switch (m->read) {
	case MSR_READ_SHADOW:
		answer(v, v->msr[m->slot]);
		return 0;
	case MSR_READ_EMULATE:
		return read_emulated(v, m);
	default:
		return 1;
	}
}

static int
msr_write(struct vcpu *v, const struct msr_policy *m, uint64_t value)
{
	if (!value_ok(m, value))
		return 1;
	if (m->write == MSR_WRITE_IGNORE)
		return 0;
	switch (m->write) {
	case MSR_WRITE_SHADOW:
		if (value & ~m->writable)
			return 1;
		v->msr[m->slot] = value;
		return 0;
	case MSR_WRITE_EMULATE:
		return m->write_fn(v, value);
	default:
		return 1;
	}
}

int
emulate_msr(struct vcpu *v, const struct exit_policy *p)
{
	const uint64_t *gpr = v->gpr;
	const struct msr_policy *m = find_policy((uint32_t)gpr[VCPU_REGS_RCX]);
	int gp = 1;

	(void)p;
	if (m != NULL && v->exit.msr.write)
		gp = msr_write(v, m, gpr[VCPU_REGS_RDX] << 32 |
		    (uint32_t)gpr[VCPU_REGS_RAX]);
	else if (m != NULL)
		gp = msr_read(v, m);
	if (gp)
		vcpu_exception(v, ARCH_EXC_GP);
	return EXIT_RESUME;
}
