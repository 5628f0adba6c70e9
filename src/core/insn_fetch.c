/* SPDX-License-Identifier: ISC */
/*
 * insn_fetch.c - the instruction at CS:RIP, as the CPU would fetch it.
 */
#include "insn_fetch.h"
#include "backend.h"

_Static_assert(INSN_OPS <= 64, "insn_fetch() takes a set of 64 bits");

const uint8_t reg_by_encoding[16] = {
	VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX,
	VCPU_REGS_RSP, VCPU_REGS_RBP, VCPU_REGS_RSI, VCPU_REGS_RDI,
	VCPU_REGS_R8, VCPU_REGS_R9, VCPU_REGS_R10, VCPU_REGS_R11,
	VCPU_REGS_R12, VCPU_REGS_R13, VCPU_REGS_R14, VCPU_REGS_R15,
};

/*
 * Append to bytes[0..*n) what follows it in the guest: up to the end of the
 * page, or one byte where the segment ends before the page does.
 */
static int
fetch_more(struct vcpu *v, uint8_t bytes[INSN_MAX], unsigned int *n,
    struct guest_fault *fault)
{
	uint64_t rip = v->gpr[VCPU_REGS_RIP] + *n, gva;
	size_t len, page;
	int err;

	err = gva_linear(v, SREG_CS, rip, 1, GVA_FETCH, &gva, fault);
	if (err)
		return err;
	len = INSN_MAX - *n;
	page = PAGE_SIZE_4K - (gva & (PAGE_SIZE_4K - 1));
	if (len > page)
		len = page;
	if (gva_linear(v, SREG_CS, rip, len, GVA_FETCH, &gva, fault))
		len = 1;
	err = gva_read(v, gva, bytes + *n, len, GVA_FETCH, fault);
	if (err == 0)
		*n += len;
	return err;
}

int
insn_fetch(struct vcpu *v, uint64_t ops, struct insn *out)
{
	uint8_t bytes[INSN_MAX];
	struct guest_fault fault;
	struct guest_mode m;
	enum insn_mode mode;
	unsigned int n = v->exit.bytes_len;
	int err;

	vmm_backend()->mode(v, &m);
	mode = m.code64 ? INSN_MODE_64 : m.code32 ? INSN_MODE_32 : INSN_MODE_16;
	memcpy(bytes, v->exit.bytes, n);
	while ((err = insn_decode(bytes, n, mode, out)) == -EAGAIN) {
		err = fetch_more(v, bytes, &n, &fault);
		if (err == GVA_FAULT) {
			vcpu_fault(v, &fault);
			return INSN_RETRY;
		}
		if (err)
			return err;
	}
	if (err || !(ops & INSN_BIT(out->op)))
		return INSN_RETRY;
	return 0;
}

unsigned int
insn_bytes(struct vcpu *v, uint8_t bytes[INSN_MAX])
{
	struct guest_fault fault;
	unsigned int n = v->exit.bytes_len;

	memcpy(bytes, v->exit.bytes, n);
	if (n != 0)
		return n;
	while (n < INSN_MAX && fetch_more(v, bytes, &n, &fault) == 0)
		continue;
	return n;
}

static uint64_t
address_part(const struct vcpu *v, uint8_t reg)
{
	return reg == INSN_NO_REG ? 0 : v->gpr[reg_by_encoding[reg]];
}

int
insn_operand_gva(struct vcpu *v, const struct insn *insn, size_t len,
    enum gva_access access, uint64_t *gva, struct guest_fault *fault)
{
	uint64_t offset;

	offset = address_part(v, insn->base) +
	    address_part(v, insn->index) * insn->scale +
	    (uint64_t)(int64_t)insn->disp;
	if (insn->rip_relative)
		offset += v->gpr[VCPU_REGS_RIP] + insn->length;
	if (insn->address_size == 2)
		offset &= 0xffff;
	else if (insn->address_size == 4)
		offset &= 0xffffffff;
	return gva_linear(v, (enum sreg)insn->seg, offset, len, access, gva,
	    fault);
}
