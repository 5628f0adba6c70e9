/* SPDX-License-Identifier: ISC */
/*
 * insn_fetch.c - the instruction at CS:RIP, as the CPU would fetch it.
 */
#include "insn_fetch.h"
#include "backend.h"
#include "memory.h"

_Static_assert(INSN_OPS <= 64, "insn_fetch() takes a set of 64 bits");

const uint8_t reg_by_encoding[16] = {
	VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX,
	VCPU_REGS_RSP, VCPU_REGS_RBP, VCPU_REGS_RSI, VCPU_REGS_RDI,
	VCPU_REGS_R8, VCPU_REGS_R9, VCPU_REGS_R10, VCPU_REGS_R11,
	VCPU_REGS_R12, VCPU_REGS_R13, VCPU_REGS_R14, VCPU_REGS_R15,
};

/* The first bytes of an instruction, and where they came from. */
struct fetch {
	struct guest_mode m;
	uint8_t	 bytes[INSN_MAX];
	unsigned int n;
	unsigned int pieces;		/* of them, from memory */
	/* Of the last piece. */
	uint64_t addr;			/* in the creator */
	struct gva_trace tables;
};

static void
fetch_start(struct vcpu *v, struct fetch *f)
{
	vmm_backend()->mode(v, &f->m);
	f->n = v->exit.bytes_len;
	memcpy(f->bytes, v->exit.bytes, f->n);
	f->pieces = 0;
	f->tables.n = 0;
}

/*
 * Append what follows in the guest: up to the end of the page, or one byte
 * where the segment may end before that.
 */
static int
fetch_more(struct vcpu *v, struct fetch *f, struct guest_fault *fault)
{
	uint64_t rip = v->gpr[VCPU_REGS_RIP] + f->n, gva, gpa;
	size_t len = INSN_MAX - f->n, page;
	int err;

	err = gva_linear(v, &f->m, SREG_CS, rip, len, GVA_FETCH, &gva, fault);
	if (err) {
		len = 1;
		err = gva_linear(v, &f->m, SREG_CS, rip, len, GVA_FETCH, &gva,
		    fault);
	}
	if (err == 0)
		err = gva_translate(v, &f->m, gva, GVA_FETCH, &gpa, &f->tables,
		    fault);
	if (err)
		return err;
	page = PAGE_SIZE_4K - (gva & (PAGE_SIZE_4K - 1));
	if (len > page)
		len = page;
	err = memory_place(v->vm, gpa, 0, &f->addr);
	if (err == 0)
		err = memory_get(v, f->bytes + f->n, f->addr, len);
	if (err)
		return err;
	f->n += len;
	f->pieces++;
	return 0;
}

/* Remember it, unless it is in two pages or partly from the CPU. */
static void
fetch_keep(struct vcpu *v, const struct fetch *f, const struct insn *insn)
{
	if (f->pieces == 1 && v->exit.bytes_len == 0)
		insn_keep(v, f->bytes, f->n, f->addr, f->tables.word,
		    f->tables.n, insn);
}

static int
fetch_and_decode(struct vcpu *v, struct insn *out)
{
	struct guest_fault fault;
	struct fetch f;
	enum insn_mode mode;
	int err;

	fetch_start(v, &f);
	mode = f.m.code64 ? INSN_MODE_64 :
	    f.m.code32 ? INSN_MODE_32 : INSN_MODE_16;
	while ((err = insn_decode(f.bytes, f.n, mode, out)) == -EAGAIN) {
		err = fetch_more(v, &f, &fault);
		if (err == GVA_FAULT) {
			vcpu_fault(v, &fault);
			return INSN_RETRY;
		}
		if (err)
			return err;
	}
	if (err)
		return INSN_RETRY;
	fetch_keep(v, &f, out);
	return 0;
}

int
insn_fetch(struct vcpu *v, uint64_t ops, struct insn *out)
{
	const struct insn *known = NULL;
	int err;

	if (v->exit.bytes_len == 0)
		known = insn_known(v, ops);
	if (known != NULL) {
		*out = *known;
		return 0;
	}
	err = fetch_and_decode(v, out);
	if (err)
		return err;
	return ops & INSN_BIT(out->op) ? 0 : INSN_RETRY;
}

static int
fetch_bytes(struct vcpu *v, uint8_t bytes[INSN_MAX])
{
	struct guest_fault fault;
	struct fetch f;
	int err = 0;

	fetch_start(v, &f);
	while (err == 0 && f.n < INSN_MAX)
		err = fetch_more(v, &f, &fault);
	if (err == -EINTR)
		return err;
	fetch_keep(v, &f, NULL);
	memcpy(bytes, f.bytes, f.n);
	return (int)f.n;
}

int
insn_bytes(struct vcpu *v, uint8_t bytes[INSN_MAX])
{
	if (v->exit.bytes_len != 0) {
		memcpy(bytes, v->exit.bytes, v->exit.bytes_len);
		return v->exit.bytes_len;
	}
	return insn_bytes_known(v, bytes) ? INSN_MAX : fetch_bytes(v, bytes);
}

static uint64_t
address_part(const struct vcpu *v, uint8_t reg)
{
	return reg == INSN_NO_REG ? 0 : v->gpr[reg_by_encoding[reg & 15]];
}

int
insn_operand_gva(struct vcpu *v, const struct insn *insn, size_t len,
    enum gva_access access, uint64_t *gva, struct guest_fault *fault)
{
	struct guest_mode m;
	uint64_t offset;

	vmm_backend()->mode(v, &m);
	offset = address_part(v, insn->base) +
	    address_part(v, insn->index) * insn->scale +
	    (uint64_t)(int64_t)insn->disp;
	if (insn->rip_relative)
		offset += v->gpr[VCPU_REGS_RIP] + insn->length;
	if (insn->address_size == 2)
		offset &= 0xffff;
	else if (insn->address_size == 4)
		offset &= 0xffffffff;
	return gva_linear(v, &m, (enum sreg)insn->seg, offset, len, access, gva,
	    fault);
}
