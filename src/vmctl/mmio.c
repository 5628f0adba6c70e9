// SPDX-License-Identifier: ISC
#include <errno.h>
#include <string.h>

#include "alu.h"
#include "mmio.h"

#define PAGE		4096u
#define STRING_MAX	4096u	/* elements of a string in one go: interrupts come between */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };	/* encodings */

struct emulation {
	const struct guest_cpu *cpu;
	uint64_t *gpr;
	struct insn insn;
	uint64_t fault_page;
	bool ours;		/* an operand is on the page of the fault */
};

/* Where an operand is: its bytes, on a page or two; at: NULL where there is no memory. */
struct place {
	uint8_t *at[2];
	unsigned int len[2];
};

/* --- Registers ------------------------------------------------------------------------------ */

static const uint8_t by_encoding[16] = {
	VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX,
	VCPU_REGS_RSP, VCPU_REGS_RBP, VCPU_REGS_RSI, VCPU_REGS_RDI,
	VCPU_REGS_R8, VCPU_REGS_R9, VCPU_REGS_R10, VCPU_REGS_R11,
	VCPU_REGS_R12, VCPU_REGS_R13, VCPU_REGS_R14, VCPU_REGS_R15,
};

static uint64_t *flags(struct emulation *e)
{
	return &e->gpr[VCPU_REGS_RFLAGS];
}

/* AH, CH, DH and BH: bytes 4 to 7 without REX. */
static bool is_high_byte(const struct emulation *e, uint8_t reg, unsigned int size)
{
	return size == 1 && !e->insn.rex && reg >= 4 && reg < 8;
}

static uint64_t reg_get(const struct emulation *e, uint8_t reg, unsigned int size)
{
	if (is_high_byte(e, reg, size))
		return e->gpr[by_encoding[reg - 4]] >> 8 & 0xff;
	return alu_zero_extend(e->gpr[by_encoding[reg]], size);
}

static void reg_set(struct emulation *e, uint8_t reg, uint64_t v, unsigned int size)
{
	uint64_t *r, mask;

	if (is_high_byte(e, reg, size)) {
		r = &e->gpr[by_encoding[reg - 4]];
		*r = (*r & ~0xff00ULL) | (v & 0xff) << 8;
		return;
	}
	r = &e->gpr[by_encoding[reg]];
	/* 32 bits clear what is above, fewer keep it (APM 1 3.1.2). */
	mask = alu_zero_extend(~0ULL, size);
	*r = size >= 4 ? v & mask : (*r & ~mask) | (v & mask);
}

/* --- Memory --------------------------------------------------------------------------------- */

/* False: a page fault. Nothing is read or written yet. */
static bool find(struct emulation *e, uint64_t linear, unsigned int size, bool write,
		 struct place *p)
{
	unsigned int first = PAGE - (linear & (PAGE - 1)), i;
	uint64_t gpa;

	p->len[0] = size < first ? size : first;
	p->len[1] = size - p->len[0];
	for (i = 0; i < 2 && p->len[i]; i++, linear += p->len[0]) {
		if (guest_mode(e->cpu) != INSN_MODE_64)
			linear = (uint32_t)linear;
		if (!guest_translate(e->cpu, linear, write, &gpa))
			return false;
		p->at[i] = ram_at(e->cpu->ram, gpa, p->len[i]);
		if ((gpa & ~(uint64_t)(PAGE - 1)) == e->fault_page)
			e->ours = true;
	}
	return true;
}

/* Reads of nothing are ones. */
static void load(const struct place *p, void *to)
{
	uint8_t *byte = to;
	unsigned int i;

	for (i = 0; i < 2 && p->len[i]; byte += p->len[i++]) {
		if (p->at[i])
			memcpy(byte, p->at[i], p->len[i]);
		else
			memset(byte, 0xff, p->len[i]);
	}
}

/* Writes to nothing go nowhere. */
static void store(const struct place *p, const void *from)
{
	const uint8_t *byte = from;
	unsigned int i;

	for (i = 0; i < 2 && p->len[i]; byte += p->len[i++])
		if (p->at[i])
			memcpy(p->at[i], byte, p->len[i]);
}

/* Values of up to 8 bytes: the CPU and this program are little-endian. */
static uint64_t load_value(const struct place *p)
{
	uint64_t v = 0;

	load(p, &v);
	return v;
}

static uint64_t cut(const struct emulation *e, uint64_t address)
{
	return alu_zero_extend(address, e->insn.address_size);
}

static uint64_t effective_address(const struct emulation *e)
{
	const struct insn *in = &e->insn;
	uint64_t a = (uint64_t)in->disp;

	if (in->rip_relative)
		a += e->gpr[VCPU_REGS_RIP] + in->length;
	if (in->base != INSN_NO_REG)
		a += e->gpr[by_encoding[in->base]];
	if (in->index != INSN_NO_REG)
		a += e->gpr[by_encoding[in->index]] * in->scale;
	return cut(e, a);
}

/* --- Strings -------------------------------------------------------------------------------- */

static void pointer_set(struct emulation *e, uint8_t reg, uint64_t v)
{
	reg_set(e, reg, v, e->insn.address_size);
}

static void pointer_step(struct emulation *e, uint8_t reg)
{
	uint64_t v = e->gpr[by_encoding[reg]];
	unsigned int size = e->insn.operand_size;

	pointer_set(e, reg, *flags(e) & FLAG_DF ? v - size : v + size);
}

static bool uses_source(const struct emulation *e)
{
	return e->insn.op == INSN_MOVS || e->insn.op == INSN_CMPS || e->insn.op == INSN_LODS;
}

static bool uses_target(const struct emulation *e)
{
	return e->insn.op != INSN_LODS;
}

static bool compares(const struct emulation *e)
{
	return e->insn.op == INSN_CMPS || e->insn.op == INSN_SCAS;
}

/* One element. */
static enum mmio string_step(struct emulation *e)
{
	const struct insn *in = &e->insn;
	unsigned int size = in->operand_size;
	bool write = in->op == INSN_MOVS || in->op == INSN_STOS;
	struct place source, target;
	uint64_t a, b;

	e->ours = false;
	if (uses_source(e) &&
	    !find(e, guest_linear(e->cpu, in->seg, cut(e, e->gpr[VCPU_REGS_RSI])), size, false,
		  &source))
		return MMIO_FAULT;
	if (uses_target(e) &&
	    !find(e, guest_linear(e->cpu, VCPU_REGS_ES, cut(e, e->gpr[VCPU_REGS_RDI])), size,
		  write, &target))
		return MMIO_FAULT;
	if (!e->ours)
		return MMIO_NOT_DATA;
	a = uses_source(e) ? load_value(&source) : reg_get(e, RAX, size);
	if (write)
		store(&target, &a);
	if (in->op == INSN_LODS)
		reg_set(e, RAX, a, size);
	if (compares(e)) {
		b = load_value(&target);
		(void)alu_two(INSN_CMP, a, b, size, flags(e));
	}
	if (uses_source(e))
		pointer_step(e, RSI);
	if (uses_target(e))
		pointer_step(e, RDI);
	return MMIO_DONE;
}

/* Is the string over, after an element? */
static bool string_ends(struct emulation *e)
{
	const struct insn *in = &e->insn;
	uint64_t count;

	if (!in->rep)
		return true;
	count = cut(e, e->gpr[VCPU_REGS_RCX]) - 1;
	pointer_set(e, RCX, count);
	if (cut(e, count) == 0)
		return true;
	/* REPE goes on while ZF is 1, REPNE while it is 0. */
	return compares(e) && !(*flags(e) & FLAG_ZF) != (in->rep == 0xf2);
}

/* An element that is not on the page of the fault is for the CPU. */
static enum mmio string(struct emulation *e)
{
	unsigned int done;
	enum mmio how;

	for (done = 0; done < STRING_MAX; done++) {
		how = string_step(e);
		if (how != MMIO_DONE)
			return done ? MMIO_DONE : how;
		if (string_ends(e)) {
			e->gpr[VCPU_REGS_RIP] += e->insn.length;
			return MMIO_DONE;
		}
	}
	return MMIO_DONE;
}

/* --- The others ----------------------------------------------------------------------------- */

/* Does the instruction write its memory operand? */
static bool writes(const struct insn *in)
{
	switch (in->op) {
	case INSN_CMP:
	case INSN_TEST:
	case INSN_BT:
	case INSN_MUL:
	case INSN_IMUL:
	case INSN_VECTOR_LOAD:
	case INSN_CACHE_LINE:
		return false;
	default:
		return in->operands != OPERANDS_REG_MEM && in->operands != OPERANDS_REG_MEM_IMM;
	}
}

/* A register's bit number reaches beyond the operand it is relative to. */
static uint64_t bit_address(const struct emulation *e, uint64_t address, unsigned int *bit)
{
	const struct insn *in = &e->insn;
	unsigned int bits = 8 * in->operand_size;
	int64_t number = in->imm, words;

	if (in->operands == OPERANDS_MEM_REG) {
		number = (int64_t)alu_sign_extend(reg_get(e, in->reg, in->operand_size),
						  in->operand_size);
		words = number >> __builtin_ctz(bits);
		address = cut(e, address + (uint64_t)words * in->operand_size);
	}
	*bit = (unsigned int)((uint64_t)number & (bits - 1));
	return address;
}

/* The operand that is not memory. */
static uint64_t other_operand(const struct emulation *e)
{
	const struct insn *in = &e->insn;

	switch (in->operands) {
	case OPERANDS_MEM_IMM:
		return alu_zero_extend((uint64_t)in->imm, in->operand_size);
	case OPERANDS_MEM_ONE:
		return 1;
	case OPERANDS_MEM_CL:
		return reg_get(e, RCX, 1) & 0xff;
	case OPERANDS_MEM_REG:
	case OPERANDS_REG_MEM:
		return reg_get(e, in->reg, in->operand_size);
	default:
		return 0;
	}
}

/* ModRM's segment registers (APM 3 table A-32). */
static uint64_t selector(const struct emulation *e, uint8_t reg)
{
	static const uint8_t segs[8] = { VCPU_REGS_ES, VCPU_REGS_CS, VCPU_REGS_SS, VCPU_REGS_DS,
					 VCPU_REGS_FS, VCPU_REGS_GS, VCPU_REGS_FS, VCPU_REGS_GS };

	return e->cpu->regs->vrs_sregs[segs[reg & 7]].vsi_sel;
}

static uint64_t swap_bytes(uint64_t v, unsigned int size)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}

static void multiply(struct emulation *e, uint64_t mem)
{
	const struct insn *in = &e->insn;
	unsigned int size = in->operand_size;
	uint64_t a = reg_get(e, RAX, size), high, low;

	if (in->operands == OPERANDS_REG_MEM)
		a = reg_get(e, in->reg, size);
	else if (in->operands == OPERANDS_REG_MEM_IMM)
		a = (uint64_t)in->imm;
	low = alu_multiply(in->op == INSN_IMUL, a, mem, size, &high, flags(e));
	if (in->operands != OPERANDS_MEM) {
		reg_set(e, in->reg, low, size);
	} else if (size == 1) {
		reg_set(e, RAX, high << 8 | low, 2);
	} else {
		reg_set(e, RAX, low, size);
		reg_set(e, RDX, high, size);
	}
}

/* CMPXCHG8B, CMPXCHG16B. */
static void exchange_pair(struct emulation *e, const struct place *p)
{
	unsigned int half = e->insn.operand_size / 2;
	uint64_t want[2] = { reg_get(e, RAX, half), reg_get(e, RDX, half) };
	uint64_t with[2] = { reg_get(e, RBX, half), reg_get(e, RCX, half) };
	uint8_t mem[16] = { 0 }, old[16];
	uint64_t have[2] = { 0, 0 };

	load(p, mem);
	memcpy(old, mem, sizeof(old));
	memcpy(&have[0], mem, half);
	memcpy(&have[1], mem + half, half);
	if (have[0] == want[0] && have[1] == want[1]) {
		*flags(e) |= FLAG_ZF;
		memcpy(mem, &with[0], half);
		memcpy(mem + half, &with[1], half);
		store(p, mem);
		return;
	}
	*flags(e) &= ~(uint64_t)FLAG_ZF;
	reg_set(e, RAX, have[0], half);
	reg_set(e, RDX, have[1], half);
	store(p, old);
}

/* Loads: what the register gets. */
static void load_register(struct emulation *e, uint64_t mem)
{
	const struct insn *in = &e->insn;
	unsigned int size = in->operand_size;
	uint64_t old = reg_get(e, in->reg, size);

	switch (in->op) {
	case INSN_MOVSX:
		mem = alu_sign_extend(mem, in->memory_size);
		break;
	case INSN_MOVBE:
		mem = swap_bytes(mem, size);
		break;
	case INSN_CMOV:
		mem = alu_condition(in->opcode, *flags(e)) ? mem : old;
		break;
	case INSN_BSF:
	case INSN_BSR:
	case INSN_POPCNT:
		mem = alu_count(in->op, mem, old, size, flags(e));
		break;
	case INSN_TZCNT:	/* to a CPU without them, BSF and BSR */
		mem = alu_count(__builtin_cpu_supports("bmi") ? INSN_TZCNT : INSN_BSF, mem, old,
				size, flags(e));
		break;
	case INSN_LZCNT:
		mem = alu_count(__builtin_cpu_supports("lzcnt") ? INSN_LZCNT : INSN_BSR, mem, old,
				size, flags(e));
		break;
	case INSN_CMP:
	case INSN_TEST:
		(void)alu_two(in->op, old, mem, size, flags(e));
		return;
	case INSN_ADD:
	case INSN_OR:
	case INSN_ADC:
	case INSN_SBB:
	case INSN_AND:
	case INSN_SUB:
	case INSN_XOR:
		mem = alu_two(in->op, old, mem, size, flags(e));
		break;
	default:		/* MOV, MOVZX */
		break;
	}
	reg_set(e, in->reg, mem, size);
}

/* Everything else with a memory operand of up to 8 bytes: what the memory gets. */
static uint64_t new_value(struct emulation *e, uint64_t mem, unsigned int bit)
{
	const struct insn *in = &e->insn;
	unsigned int size = in->operand_size;
	uint64_t other = other_operand(e), acc;

	switch (in->op) {
	case INSN_MOVBE:
		return swap_bytes(other, size);
	case INSN_SETCC:
		return alu_condition(in->opcode, *flags(e));
	case INSN_MOV_FROM_SEG:
		return selector(e, in->reg);
	case INSN_NOT:
	case INSN_NEG:
	case INSN_INC:
	case INSN_DEC:
		return alu_one(in->op, mem, size, flags(e));
	case INSN_ROL:
	case INSN_ROR:
	case INSN_RCL:
	case INSN_RCR:
	case INSN_SHL:
	case INSN_SHR:
	case INSN_SAR:
		return alu_shift(in->op, mem, (unsigned int)other, size, flags(e));
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return alu_bit(in->op, mem, bit, flags(e));
	case INSN_XCHG:
		reg_set(e, in->reg, mem, size);
		return other;
	case INSN_XADD:
		reg_set(e, in->reg, mem, size);
		return alu_two(INSN_ADD, mem, other, size, flags(e));
	case INSN_CMPXCHG:
		acc = reg_get(e, RAX, size);
		(void)alu_two(INSN_CMP, acc, mem, size, flags(e));
		if (acc == mem)
			return other;
		reg_set(e, RAX, mem, size);
		return mem;
	case INSN_ADD:
	case INSN_OR:
	case INSN_ADC:
	case INSN_SBB:
	case INSN_AND:
	case INSN_SUB:
	case INSN_XOR:
	case INSN_CMP:
	case INSN_TEST:
		return alu_two(in->op, mem, other, size, flags(e));
	default:		/* MOV, MOVNTI */
		return other;
	}
}

static enum mmio one(struct emulation *e)
{
	const struct insn *in = &e->insn;
	uint64_t address = effective_address(e), v;
	unsigned int bit = 0, size = in->memory_size ? in->memory_size : 1;
	enum mmio how = MMIO_DONE;
	struct place p;

	if (in->op == INSN_BT || in->op == INSN_BTS || in->op == INSN_BTR || in->op == INSN_BTC)
		address = bit_address(e, address, &bit);
	if (!find(e, guest_linear(e->cpu, in->seg, address), size, writes(in), &p))
		return MMIO_FAULT;
	if (!e->ours)
		return MMIO_NOT_DATA;
	switch (in->op) {
	case INSN_VECTOR_LOAD:
		how = MMIO_NO_VALUE;
		break;
	case INSN_VECTOR_STORE:
	case INSN_CACHE_LINE:
		break;
	case INSN_MUL:
	case INSN_IMUL:
		multiply(e, load_value(&p));
		break;
	case INSN_CMPXCHG_PAIR:
		exchange_pair(e, &p);
		break;
	default:
		if (in->operands == OPERANDS_REG_MEM) {
			load_register(e, load_value(&p));
			break;
		}
		v = new_value(e, load_value(&p), bit);
		if (writes(in))
			store(&p, &v);
		break;
	}
	e->gpr[VCPU_REGS_RIP] += in->length;
	return how;
}

/* --- Beginning and end ---------------------------------------------------------------------- */

/* What the CPU has reported of the instruction may be a part of it. */
static int decode(struct emulation *e, const uint8_t *code, size_t n)
{
	enum insn_mode mode = guest_mode(e->cpu);
	uint8_t more[INSN_MAX];
	int err = n ? insn_decode(code, n, mode, &e->insn) : -EAGAIN;

	if (err == -EAGAIN)
		err = insn_decode(more, guest_code(e->cpu, more, sizeof(more)), mode, &e->insn);
	return err;
}

enum mmio mmio_emulate(const struct guest_cpu *cpu, uint64_t gpa, const uint8_t *code, size_t n)
{
	struct emulation e = {
		.cpu = cpu,
		.gpr = cpu->regs->vrs_gprs,
		.fault_page = gpa & ~(uint64_t)(PAGE - 1),
	};
	enum mmio how;

	if (decode(&e, code, n) != 0)
		return MMIO_UNKNOWN;
	how = e.insn.operands == OPERANDS_NONE ? string(&e) : one(&e);
	if (how != MMIO_DONE && how != MMIO_NO_VALUE)
		return how;
	if (guest_mode(cpu) != INSN_MODE_64)
		e.gpr[VCPU_REGS_RIP] = (uint32_t)e.gpr[VCPU_REGS_RIP];
	*flags(&e) &= ~(uint64_t)FLAG_RF;
	return how;
}
