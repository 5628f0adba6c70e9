/* SPDX-License-Identifier: ISC */
/*
 * cr.c - writes to CR0, CR4, EFER and XCR0 that the driver checks.
 *
 * A guest can set exactly the bits whose feature its CPUID shows; every other
 * write raises the exception that the manual names (APM 2 3.1, 15.8).
 */
#include "cr.h"
#include "backend.h"
#include "breakpoint.h"
#include "cpu.h"
#include "cpuid_guest.h"
#include "exit.h"
#include "fpu.h"
#include "gva.h"
#include "insn_fetch.h"

/* Bits of CR0 that LMSW reaches. */
#define CR0_MSW	(ARCH_CR0_PE | ARCH_CR0_MP | ARCH_CR0_EM | ARCH_CR0_TS)

/* Bits whose change drops cached translations. */
#define CR0_PAGING	(ARCH_CR0_PG | ARCH_CR0_WP | ARCH_CR0_PE)
#define CR4_PAGING	(ARCH_CR4_PSE | ARCH_CR4_PAE | ARCH_CR4_PGE | \
			 ARCH_CR4_SMEP | ARCH_CR4_SMAP)

uint64_t cr4_host;

/*
 * Without MCE in force a machine check while a guest runs is the shutdown of
 * the machine, or looks like the guest's own (APM 2 8.2.18, SDM 3A 6.15). The
 * kernel sets it for all CPUs alike.
 */
void
cr_init(void)
{
	cr4_host = cpu_read_cr4() & ARCH_CR4_HOST;
}

/* 0, or 1 for #GP(0). */
static int
write_cr0(struct vcpu *v, uint64_t value)
{
	const struct backend *b = vmm_backend();
	struct vcpu_segment_info cs;
	struct guest_mode m;
	uint64_t changed, efer;

	b->mode(v, &m);
	/* ET reads as one and the unused bits as zero, whatever is written. */
	value = (value & ~(uint64_t)ARCH_CR0_IGNORED) | ARCH_CR0_MB1;
	if (!arch_cr0_valid(value))
		return 1;
	changed = m.cr0 ^ value;
	efer = m.efer;
	if ((changed & value & ARCH_CR0_PG) && (efer & ARCH_EFER_LME)) {
		/* Long mode begins (APM 2 14.6). */
		b->seg_get(v, SREG_CS, &cs);
		if (!(m.cr4 & ARCH_CR4_PAE) || (cs.vsi_ar & ARCH_AR_L))
			return 1;
		efer |= ARCH_EFER_LMA;
	} else if (changed & ~value & ARCH_CR0_PG) {
		if (m.code64)
			return 1;
		efer &= ~(uint64_t)ARCH_EFER_LMA;
	}
	b->reg_set(v, REG_CR0, value);
	if (efer != m.efer)
		b->reg_set(v, REG_EFER, efer);
	if (changed & CR0_PAGING)
		vcpu_flush(v);
	return 0;
}

static int
write_cr4(struct vcpu *v, uint64_t value)
{
	const struct backend *b = vmm_backend();
	uint64_t old = b->reg_get(v, REG_CR4);

	if (value & ~cpuid_guest_cr4())
		return 1;
	if (!(value & ARCH_CR4_PAE) &&
	    (b->reg_get(v, REG_EFER) & ARCH_EFER_LMA))
		return 1;
	b->reg_set(v, REG_CR4, value);
	fpu_osxsave(v, value & ARCH_CR4_OSXSAVE);
	if ((old ^ value) & CR4_PAGING)
		vcpu_flush(v);
	return 0;
}

int
cr_write_efer(struct vcpu *v, uint64_t value)
{
	const struct backend *b = vmm_backend();
	uint64_t old = b->reg_get(v, REG_EFER);

	/* LMA is the CPU's own: writes to it do nothing (APM 2 3.1.7). */
	value = (value & ~(uint64_t)ARCH_EFER_LMA) | (old & ARCH_EFER_LMA);
	if (value & ~cpuid_guest_efer())
		return 1;
	if (((old ^ value) & ARCH_EFER_LME) &&
	    (b->reg_get(v, REG_CR0) & ARCH_CR0_PG))
		return 1;
	b->reg_set(v, REG_EFER, value);
	if ((old ^ value) & ARCH_EFER_NXE)
		vcpu_flush(v);
	return 0;
}

/* 0, or -1: nothing of the kind exits. */
static int
read_cr(struct vcpu *v, uint8_t cr, uint64_t *value)
{
	switch (cr) {
	case 4:		/* while a bit of it in force is the host's */
		*value = vmm_backend()->reg_get(v, REG_CR4);
		return 0;
	case 8:
		*value = vmm_backend()->reg_get(v, REG_CR8);
		return 0;
	default:
		return -1;
	}
}

/* CR8 exits only where the CPU has no virtual TPR. */
static int
write_cr8(struct vcpu *v, uint64_t value)
{
	if (value > 15)
		return 1;
	vmm_backend()->reg_set(v, REG_CR8, value);
	return 0;
}

static int
write_cr(struct vcpu *v, uint8_t cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return write_cr0(v, value);
	case 8:
		return write_cr8(v, value);
	default:
		return write_cr4(v, value);
	}
}

static uint64_t *
gpr(struct vcpu *v, uint8_t encoding)
{
	return &v->gpr[reg_by_encoding[encoding & 15]];
}

int
cr_operands(struct vcpu *v, const struct insn *insn)
{
	struct exit_info *x = &v->exit;
	struct guest_fault fault;
	uint64_t gva;
	int err;

	x->cr.gpr = insn->rm;
	switch (insn->op) {
	case INSN_MOV_TO_CR:
		x->cr.op = CR_MOV_TO;
		break;
	case INSN_CLTS:
		x->cr.op = CR_CLTS;
		break;
	case INSN_LMSW:
		x->cr.op = CR_LMSW;
		x->cr.msw_mem = !insn->rm_is_reg;
		if (insn->rm_is_reg) {
			x->cr.msw = (uint16_t)*gpr(v, insn->rm);
			break;
		}
		err = insn_operand_gva(v, insn, sizeof(x->cr.msw), GVA_READ,
		    &gva, &fault);
		if (err == 0)
			err = gva_read(v, gva, &x->cr.msw, sizeof(x->cr.msw),
			    GVA_READ, &fault);
		if (err == GVA_FAULT)
			vcpu_fault(v, &fault);
		if (err)
			return err;
		x->cr.msw_gva = gva;
		break;
	default:
		x->cr.op = CR_MOV_FROM;
		break;
	}
	x->cr.valid = true;
	return 0;
}

/* A write, CLTS or LMSW of a control register, or a read of CR4 or CR8. */
int
emulate_cr(struct vcpu *v, const struct exit_policy *p)
{
	const struct backend *b = vmm_backend();
	const struct exit_info *x = &v->exit;
	uint64_t cr0 = b->reg_get(v, REG_CR0), value;
	struct guest_mode m;
	int gp;

	(void)p;
	switch (x->cr.op) {
	case CR_CLTS:
		gp = write_cr0(v, cr0 & ~(uint64_t)ARCH_CR0_TS);
		break;
	case CR_LMSW:
		/* LMSW can set PE but not clear it. */
		value = (cr0 & ~(uint64_t)(CR0_MSW & ~ARCH_CR0_PE)) |
		    (x->cr.msw & CR0_MSW);
		gp = write_cr0(v, value);
		if (!gp && x->cr.msw_mem)
			breakpoint_data(v, x->cr.msw_gva, sizeof(x->cr.msw),
			    false);
		break;
	case CR_MOV_TO:
		b->mode(v, &m);
		value = *gpr(v, x->cr.gpr);
		if (!m.code64)
			value = (uint32_t)value;
		gp = write_cr(v, x->cr.cr, value);
		break;
	default:
		if (read_cr(v, x->cr.cr, &value))
			return exit_error(v, p);
		*gpr(v, x->cr.gpr) = value;
		gp = 0;
		break;
	}
	if (gp)
		vcpu_exception(v, ARCH_EXC_GP);
	return EXIT_RESUME;
}

int
emulate_xsetbv(struct vcpu *v, const struct exit_policy *p)
{
	const struct backend *b = vmm_backend();
	uint64_t value = v->gpr[VCPU_REGS_RDX] << 32 |
	    (uint32_t)v->gpr[VCPU_REGS_RAX];
	struct guest_mode m;

	(void)p;
	b->mode(v, &m);
	if (!(m.cr4 & ARCH_CR4_OSXSAVE)) {
		vcpu_exception(v, ARCH_EXC_UD);
	} else if (m.cpl != 0 || (uint32_t)v->gpr[VCPU_REGS_RCX] != 0 ||
	    !arch_xcr0_valid(value, fpu_xcr0_allowed())) {
		vcpu_exception(v, ARCH_EXC_GP);
	} else if (v->xcr0 != value) {
		v->xcr0 = value;
		fpu_xcr0_changed(v);
	}
	return EXIT_RESUME;
}
