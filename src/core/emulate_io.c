/* SPDX-License-Identifier: ISC */
/*
 * emulate_io.c - IN, OUT, INS and OUTS: see emulate_io.h.
 */
#include "emulate_io.h"
#include "backend.h"
#include "breakpoint.h"
#include "exit.h"
#include "insn_fetch.h"

/* --- Registers of 2, 4 and 8 bytes ------------------------------------------ */

static uint64_t
size_mask(unsigned int size)
{
	return size == 8 ? ~0ULL : (1ULL << 8 * size) - 1;
}

/*
 * Write the low `size` bytes as an instruction would: 4 bytes clear the upper
 * half, 1 and 2 leave the rest alone (APM 1 3.1.2).
 */
static void
gpr_write(struct vcpu *v, unsigned int reg, uint64_t value, unsigned int size)
{
	uint64_t mask = size_mask(size);

	if (size < 4)
		value = (v->gpr[reg] & ~mask) | (value & mask);
	else
		value &= mask;
	v->gpr[reg] = value;
}

static uint64_t
gpr_read(const struct vcpu *v, unsigned int reg, unsigned int size)
{
	return v->gpr[reg] & size_mask(size);
}

/* --- What the exit is about ---------------------------------------------------- */

/* Is this decoded instruction what the CPU says it left at? */
static bool
insn_matches(const struct vcpu *v, const struct insn *insn)
{
	const struct exit_info *x = &v->exit;
	bool string = insn->op == INSN_INS || insn->op == INSN_OUTS;
	bool in = insn->op == INSN_IN || insn->op == INSN_INS;

	return string == x->io.string && in == x->io.in &&
	    insn->operand_size == x->io.size && (!string ||
	    ((insn->rep != 0) == x->io.rep && (x->io.addr_size == 0 ||
	    insn->address_size == x->io.addr_size)));
}

/* The length, and for strings the address size and the segment of OUTS. */
static bool
io_insn_known(const struct exit_info *x)
{
	if (x->insn_len == 0)
		return false;
	return !x->io.string ||
	    (x->io.addr_size != 0 && (x->io.in || x->io.seg_valid));
}

/* Find out what the CPU kept back. 0, INSN_RETRY or -EFAULT. */
static int
io_complete_insn(struct vcpu *v, const struct exit_policy *p)
{
	struct exit_info *x = &v->exit;
	struct insn insn;
	int err;

	if (io_insn_known(x))
		return 0;
	err = insn_fetch(v, p->insns, &insn);
	if (err)
		return err;
	/* Another vCPU may have written to the code. */
	if (!insn_matches(v, &insn))
		return INSN_RETRY;
	x->insn_len = insn.length;
	if (!x->io.seg_valid)
		x->io.seg = insn.seg;
	x->io.addr_size = insn.address_size;
	return 0;
}

static void
present(struct vcpu *v, uint32_t data)
{
	const struct exit_info *x = &v->exit;
	struct vm_exit_inout *vei = &v->vmexit.vei;

	vei->vei_size = x->io.size;
	vei->vei_dir = x->io.in ? VEI_DIR_IN : VEI_DIR_OUT;
	vei->vei_rep = 0;
	vei->vei_string = 0;
	vei->vei_encoding = 0;
	vei->vei_port = x->io.port;
	vei->vei_data = data;
}

/* --- Strings --------------------------------------------------------------------- */

static unsigned int
pointer_reg(const struct exit_info *x)
{
	return x->io.in ? VCPU_REGS_RDI : VCPU_REGS_RSI;
}

/* Linear address of the element; a fault is queued. */
static int
element_gva(struct vcpu *v, const struct exit_info *x, uint64_t *gva)
{
	enum sreg seg = x->io.in ? SREG_ES : (enum sreg)x->io.seg;
	struct guest_fault fault;
	struct guest_mode m;
	int err;

	vmm_backend()->mode(v, &m);
	err = gva_linear(v, &m, seg, gpr_read(v, pointer_reg(x), x->io.addr_size),
	    x->io.size, x->io.in ? GVA_WRITE : GVA_READ, gva, &fault);
	if (err == GVA_FAULT)
		vcpu_fault(v, &fault);
	return err;
}

/* The element is done: pointer, count, and RIP with the last. */
static void
element_done(struct vcpu *v, const struct exit_info *x)
{
	unsigned int ptr = pointer_reg(x), size = x->io.addr_size;
	uint64_t step = x->io.size, left = 0;

	breakpoint_io(v, x->io.port, x->io.size);
	if (v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_DF)
		step = -step;
	gpr_write(v, ptr, v->gpr[ptr] + step, size);
	if (x->io.rep) {
		left = gpr_read(v, VCPU_REGS_RCX, size) - 1;
		gpr_write(v, VCPU_REGS_RCX, left, size);
	}
	vcpu_advance(v, left == 0 ? x->insn_len : 0);
	/* The instruction goes on: no second stop at its breakpoint. */
	if (left != 0)
		v->gpr[VCPU_REGS_RFLAGS] |= ARCH_RFLAGS_RF;
}

/* OUTS: fetch the element, step on, show an OUT. */
static int
outs_element(struct vcpu *v)
{
	struct guest_fault fault;
	uint32_t data = 0;
	uint64_t gva;
	int err;

	err = element_gva(v, &v->exit, &gva);
	if (err)
		return err;
	err = gva_read(v, gva, &data, v->exit.io.size, GVA_READ, &fault);
	if (err == GVA_FAULT)
		vcpu_fault(v, &fault);
	if (err)
		return err;
	present(v, data);
	breakpoint_data(v, gva, v->exit.io.size, false);
	element_done(v, &v->exit);
	return 0;
}

/* INS: see that the element can be stored before the port is read. */
static int
ins_element(struct vcpu *v)
{
	struct guest_fault fault;
	uint64_t gva;
	int err;

	err = element_gva(v, &v->exit, &gva);
	if (err)
		return err;
	err = gva_probe(v, gva, v->exit.io.size, GVA_WRITE, &fault);
	if (err == GVA_FAULT)
		vcpu_fault(v, &fault);
	if (err)
		return err;
	present(v, 0);
	return 0;
}

static int
string_io(struct vcpu *v)
{
	const struct exit_info *x = &v->exit;
	int err;

	if (x->io.rep && gpr_read(v, VCPU_REGS_RCX, x->io.addr_size) == 0) {
		vcpu_advance(v, x->insn_len);
		return EXIT_RESUME;
	}
	err = x->io.in ? ins_element(v) : outs_element(v);
	if (err == GVA_FAULT)
		return EXIT_RESUME;
	if (err == -EFAULT)
		host_warn("vmm: vm %u vcpu %u: string I/O with memory that "
		    "is not there\n", v->vm->id, v->id);
	return err ? err : EXIT_TO_CLIENT;
}

/* --- The exit and its completion ----------------------------------------------------- */

int
user_inout(struct vcpu *v, const struct exit_policy *p)
{
	const struct exit_info *x = &v->exit;
	int next;

	if (v->loaded && (x->io.string || !io_insn_known(x)))
		return EXIT_SLEEP;
	next = io_complete_insn(v, p);
	if (next)
		return next == INSN_RETRY ? EXIT_RESUME : next;
	if (x->io.string) {
		next = string_io(v);
		if (next != EXIT_TO_CLIENT)
			return next;
	} else {
		/* Clients of vmm(4) merge a short IN into what is there. */
		present(v, (uint32_t)gpr_read(v, VCPU_REGS_RAX,
		    x->io.in ? 4 : x->io.size));
		breakpoint_io(v, x->io.port, x->io.size);
		vcpu_advance(v, x->insn_len);
	}
	if (x->io.in) {
		v->io.active = true;
		v->io.exit = *x;
		v->io.rip = v->gpr[VCPU_REGS_RIP];
	}
	return EXIT_TO_CLIENT;
}

/* Is the INS whose element the client was asked for still under way? */
static bool
ins_pending(const struct vcpu *v)
{
	return v->io.active && v->io.exit.io.string &&
	    v->io.rip == v->gpr[VCPU_REGS_RIP];
}

int
io_complete(struct vcpu *v, uint32_t data)
{
	const struct exit_info *x = &v->io.exit;
	bool ins = ins_pending(v), plain = v->io.active && !x->io.string;
	struct guest_fault fault;
	uint64_t gva;
	int err;

	v->io.active = v->io.answered = false;
	if (plain)
		gpr_write(v, VCPU_REGS_RAX, data, x->io.size);
	if (!ins)
		return 0;
	err = element_gva(v, x, &gva);
	if (err == 0) {
		err = gva_write(v, gva, &data, x->io.size, &fault);
		if (err == GVA_FAULT)
			vcpu_fault(v, &fault);
	}
	if (err == -EINTR) {
		v->io.active = v->io.answered = true;
		v->io.data = data;
	}
	if (err)
		return err == GVA_FAULT ? 0 : err;
	breakpoint_data(v, gva, x->io.size, true);
	element_done(v, x);
	return 0;
}

int
io_cancel(struct vcpu *v)
{
	if (v->io.answered)
		return io_complete(v, v->io.data);
	if (ins_pending(v))
		element_done(v, &v->io.exit);
	v->io.active = false;
	return 0;
}
