// SPDX-License-Identifier: ISC
/*
 * Instructions that use memory which is not there. The oracle is this CPU: it
 * runs the same bytes on ordinary memory that holds ones, with the same
 * registers and flags, and must come to the same end.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "alu.h"
#include "mmio.h"
#include "suite.h"

#define PAGE		4096u
#define NOTHING		0xfed80000u	/* where the guest has no memory */
#define WINDOW		(3 * PAGE)	/* of it, and of the ordinary memory */
#define MIDDLE		(PAGE + 0x800u)

#define ALL_FLAGS	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define FIXED_FLAGS	0x202u

static struct ram ram;
static struct vcpu_reg_state regs;
static struct guest_cpu cpu = { &ram, &regs };
static struct err err;

/* --- A guest in 64-bit mode on an identity map of the first 4 GiB ----------------------------- */

#define PML4	0x2000u
#define PDPT	0x3000u
#define PD	0x4000u

static void *at(uint64_t gpa)
{
	void *p = ram_at(&ram, gpa, 8);

	ck_assert_ptr_nonnull(p);
	return p;
}

static void guest(void)
{
	uint64_t i;

	if (ram.base)
		ram_free(&ram);
	ck_assert_int_eq(ram_init(&ram, 16 * MIB, &err), 0);
	*(uint64_t *)at(PML4) = PDPT | 3;
	for (i = 0; i < 4; i++)
		((uint64_t *)at(PDPT))[i] = (PD + i * PAGE) | 3;
	for (i = 0; i < 2048; i++)
		((uint64_t *)at(PD))[i] = i * 2 * MIB | 0x83;
	memset(&regs, 0, sizeof(regs));
	regs.vrs_gprs[VCPU_REGS_RIP] = 0x100000;
	regs.vrs_gprs[VCPU_REGS_RFLAGS] = FIXED_FLAGS;
	regs.vrs_crs[VCPU_REGS_CR0] = 0x80010011;
	regs.vrs_crs[VCPU_REGS_CR3] = PML4;
	regs.vrs_crs[VCPU_REGS_CR4] = 0x20;
	regs.vrs_msrs[VCPU_REGS_EFER] = 0x500;
	regs.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xa09b;
	regs.vrs_sregs[VCPU_REGS_SS].vsi_ar = 0xc093;
}

static enum mmio emulate(uint64_t gpa, const void *code, size_t n)
{
	return mmio_emulate(&cpu, gpa, code, n);
}

/* --- The same by the CPU ---------------------------------------------------------------------- */

static const uint8_t by_encoding[16] = {
	VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX,
	VCPU_REGS_RSP, VCPU_REGS_RBP, VCPU_REGS_RSI, VCPU_REGS_RDI,
	VCPU_REGS_R8, VCPU_REGS_R9, VCPU_REGS_R10, VCPU_REGS_R11,
	VCPU_REGS_R12, VCPU_REGS_R13, VCPU_REGS_R14, VCPU_REGS_R15,
};

/* One page of code and, behind it, the registers that it loads and stores. */
static struct native {
	uint8_t code[PAGE];
	uint64_t gpr[16], flags, rsp;
} *native;
static uint8_t *window;		/* ordinary memory */

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

/* An instruction's opcode bytes, then a RIP-relative operand. */
static uint8_t *put_rip(uint8_t *p, const void *opcode, size_t n, const void *target)
{
	int32_t disp;

	p = put(p, opcode, n);
	disp = (int32_t)((const uint8_t *)target - (p + 4));
	return put(p, &disp, 4);
}

static uint8_t *put_move(uint8_t *p, uint8_t opcode, unsigned int reg, uint64_t *slot)
{
	const uint8_t bytes[3] = { (uint8_t)(0x48 | (reg & 8) >> 1), opcode,
				   (uint8_t)(0x05 | (reg & 7) << 3) };

	return put_rip(p, bytes, 3, slot);
}

static void run_native(const uint8_t *insn, size_t n)
{
	static const uint8_t save[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57,
					0x9c };
	static const uint8_t restore[] = { 0x9d, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c,
					   0x5d, 0x5b, 0xfc, 0xc3 };
	uint8_t *p = native->code;
	unsigned int i;

	p = put(p, save, sizeof(save));
	p = put_move(p, 0x89, 4, &native->rsp);
	p = put_rip(p, "\xff\x35", 2, &native->flags);
	p = put(p, "\x9d", 1);
	for (i = 0; i < 16; i++)
		if (i != 4)
			p = put_move(p, 0x8b, i, &native->gpr[i]);
	p = put(p, insn, n);
	for (i = 0; i < 16; i++)
		if (i != 4)
			p = put_move(p, 0x89, i, &native->gpr[i]);
	p = put(p, "\x9c", 1);
	p = put_rip(p, "\x8f\x05", 2, &native->flags);
	p = put_move(p, 0x8b, 4, &native->rsp);
	put(p, restore, sizeof(restore));
	((void (*)(void))(uintptr_t)native->code)();
}

static void setup(void)
{
	guest();
	native = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(native, MAP_FAILED);
	window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(window, MAP_FAILED);
	srand(7);
}

static uint64_t random64(void)
{
	static const uint64_t edge[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
					 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX,
					 1ULL << 63, UINT64_MAX };

	if (rand() % 3 == 0)
		return edge[(unsigned int)rand() % ARRAY_SIZE(edge)];
	return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
}

static bool is_bit_op(enum insn_op op)
{
	return op == INSN_BT || op == INSN_BTS || op == INSN_BTR || op == INSN_BTC;
}

/* Flags that the manuals define for this instruction; others differ from CPU to CPU. */
static uint64_t defined_flags(const struct insn *in, unsigned int count)
{
	switch (in->op) {
	case INSN_AND:
	case INSN_OR:
	case INSN_XOR:
	case INSN_TEST:
		return ALL_FLAGS & ~FLAG_AF;
	case INSN_MUL:
	case INSN_IMUL:
		return FLAG_CF | FLAG_OF;
	case INSN_SHL:
	case INSN_SHR:
	case INSN_SAR:
	case INSN_ROL:
	case INSN_ROR:
	case INSN_RCL:
	case INSN_RCR:
		count &= in->operand_size == 8 ? 63 : 31;
		if (count == 0)
			return ALL_FLAGS;
		return FLAG_SF | FLAG_ZF | FLAG_PF | (count == 1 ? FLAG_OF : 0) |
		       (count < 8u * in->operand_size ? FLAG_CF : 0);
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return FLAG_CF | FLAG_ZF;
	case INSN_BSF:
	case INSN_BSR:
		return FLAG_ZF;
	case INSN_TZCNT:
	case INSN_LZCNT:
		return FLAG_CF | FLAG_ZF;
	default:
		return ALL_FLAGS;
	}
}

static const char *hex(const uint8_t *b, size_t n)
{
	static char text[64];
	size_t i;

	for (i = 0; i < n; i++)
		snprintf(text + 3 * i, 4, "%02x ", b[i]);
	return text;
}

/*
 * One instruction with the operand [base + disp]. @ran counts how often each was tried.
 */
static void try(const uint8_t *code, const struct insn *in, unsigned long *ran)
{
	uint64_t address = NOTHING + MIDDLE, gpa = address + (uint64_t)in->disp;
	uint64_t start[16], want, have;
	unsigned int i, count;
	int64_t number;

	for (i = 0; i < 16; i++)
		start[i] = random64();
	if (is_bit_op(in->op) && in->operands == OPERANDS_MEM_REG) {
		number = rand() % 16000 - 8000;
		start[in->reg] = (uint64_t)number;
		gpa += (uint64_t)((number >> __builtin_ctz(8 * in->operand_size)) *
				  in->operand_size);
	}
	if (in->op == INSN_CMPXCHG && rand() % 2)
		start[0] = UINT64_MAX;
	if (in->op == INSN_CMPXCHG_PAIR && rand() % 2)
		start[0] = start[2] = UINT64_MAX;
	count = in->operands == OPERANDS_MEM_CL ? start[1] & 0xff :
		in->operands == OPERANDS_MEM_ONE ? 1 : in->imm & 0xff;
	regs.vrs_gprs[VCPU_REGS_RFLAGS] = FIXED_FLAGS | ((uint64_t)rand() & ALL_FLAGS);
	native->flags = regs.vrs_gprs[VCPU_REGS_RFLAGS];
	start[in->base] = address;
	for (i = 0; i < 16; i++)
		regs.vrs_gprs[by_encoding[i]] = start[i];
	memcpy(native->gpr, start, sizeof(start));
	native->gpr[in->base] = (uintptr_t)window + MIDDLE;
	memset(window, 0xff, WINDOW);
	regs.vrs_gprs[VCPU_REGS_RIP] = 0x100000;

	run_native(code, in->length);
	ck_assert_msg(emulate(gpa, code, in->length) == MMIO_DONE, "%s: not done",
		      hex(code, in->length));
	REQUIRE(regs.vrs_gprs[VCPU_REGS_RIP] == 0x100000u + in->length);
	for (i = 0; i < 16; i++) {
		want = native->gpr[i];
		have = regs.vrs_gprs[by_encoding[i]];
		if (i == in->base)
			want += address - ((uintptr_t)window + MIDDLE);
		if (i != 4 && want != have)
			ck_abort_msg("%s(%s): register %u from 0x%llx is 0x%llx, by the CPU 0x%llx",
				     hex(code, in->length), insn_op_name(in->op), i,
				     (unsigned long long)start[i], (unsigned long long)have,
				     (unsigned long long)want);
	}
	want = native->flags & defined_flags(in, count);
	have = regs.vrs_gprs[VCPU_REGS_RFLAGS] & defined_flags(in, count);
	if (want != have)
		ck_abort_msg("%s(%s): flags 0x%llx, by the CPU 0x%llx", hex(code, in->length),
			     insn_op_name(in->op), (unsigned long long)have,
			     (unsigned long long)want);
	ran[in->op]++;
}

static bool has(const struct insn *in)
{
	switch (in->op) {
	case INSN_MOVBE:
		return __builtin_cpu_supports("movbe");
	case INSN_CMPXCHG_PAIR:
		return in->operand_size == 8 || __builtin_cpu_supports("cmpxchg16b");
	case INSN_POPCNT:
		return __builtin_cpu_supports("popcnt");
	default:
		return true;
	}
}

static bool may_try(const struct insn *in)
{
	switch (in->op) {
	case INSN_VECTOR_LOAD:
	case INSN_VECTOR_STORE:
	case INSN_CACHE_LINE:
	case INSN_MOV_FROM_SEG:	/* other segments than ours */
		return false;
	default:
		/* A register that is the stack pointer or the base is not for this. */
		return has(in) && in->operands != OPERANDS_NONE && in->base < 16 && in->base != 4 &&
		       in->index == INSN_NO_REG && !in->seg_valid && in->address_size == 8 &&
		       in->disp >= -128 && in->disp < 128 &&
		       in->reg != in->base && in->reg != 4 &&
		       !(in->operand_size == 1 && !in->rex && (in->reg & 3) == in->base) &&
		       !(in->operands == OPERANDS_MEM && in->base < 4);
	}
}

/* All opcodes that the decoder takes, with random prefixes, registers, values and flags. */
START_TEST(as_the_cpu_does)
{
	static const uint8_t prefixes[] = { 0x66, 0xf2, 0xf3 };
	static const uint8_t bases[] = { 3, 5, 6, 7 };
	static unsigned long ran[INSN_OPS];
	uint8_t code[INSN_MAX];
	unsigned int round, map, opcode, op;
	struct insn in;
	size_t n, k;

	setup();
	for (round = 0; round < 150; round++)
		for (map = 0; map < 3; map++)
			for (opcode = 0; opcode < 256; opcode++) {
				n = 0;
				if (rand() % 3 == 0)
					code[n++] = prefixes[(unsigned int)rand() % 3];
				if (rand() % 2)
					code[n++] = (uint8_t)(0x40 | rand() % 16);
				if (map > 0)
					code[n++] = 0x0f;
				if (map > 1)
					code[n++] = 0x38;
				code[n++] = (uint8_t)opcode;
				code[n++] = (uint8_t)(0x40 | (rand() % 8) << 3 |
						      bases[(unsigned int)rand() % 4]);
				code[n++] = (uint8_t)(rand() % 16 * 16);
				for (k = 0; k < 4; k++)
					code[n++] = (uint8_t)random64();
				if (insn_decode(code, n, INSN_MODE_64, &in) == 0 &&
				    in.opcode == opcode && may_try(&in))
					try(code, &in, ran);
			}
	for (op = 0; op < INSN_OPS; op++) {
		in = (struct insn){ .op = (enum insn_op)op, .base = 3, .reg = 1,
				    .index = INSN_NO_REG, .address_size = 8, .operand_size = 8,
				    .operands = OPERANDS_MEM_REG };
		if (may_try(&in) && op != INSN_MOVS && op != INSN_CMPS && op != INSN_STOS &&
		    op != INSN_LODS && op != INSN_SCAS)
			ck_assert_msg(ran[op] > 5, "%s was tried %lu times", insn_op_name(op),
				      ran[op]);
	}
}
END_TEST

/* --- Strings ---------------------------------------------------------------------------------- */

#define BUFFER	0x200000u	/* guest memory beside the nothing */

static void string_case(uint8_t opcode, uint8_t rep, bool wide, bool down, bool source,
			unsigned int count)
{
	uint8_t code[4], *other = at(BUFFER);
	static uint8_t copy[2 * PAGE];
	unsigned int n = 0, i, size;
	uint64_t nothing = NOTHING + MIDDLE, real = (uintptr_t)window + MIDDLE;
	uint64_t *gpr = regs.vrs_gprs;
	struct insn in;
	size_t k;

	if (rep)
		code[n++] = rep;
	if (wide)
		code[n++] = 0x48;
	code[n++] = opcode;
	ck_assert_int_eq(insn_decode(code, n, INSN_MODE_64, &in), 0);
	size = in.operand_size;
	memset(window, 0xff, WINDOW);
	/* Some ones, so that comparisons go on for a while. */
	for (k = 0; k < sizeof(copy); k++)
		copy[k] = rand() % 20 ? 0xff : (uint8_t)rand();
	memcpy(other, copy, sizeof(copy));
	for (i = 0; i < 16; i++)
		gpr[by_encoding[i]] = native->gpr[i] = random64();
	native->gpr[0] = gpr[VCPU_REGS_RAX] = rand() % 2 ? UINT64_MAX : random64();
	native->gpr[1] = gpr[VCPU_REGS_RCX] = count;
	native->gpr[6] = source ? real : (uintptr_t)copy + 0x800;
	gpr[VCPU_REGS_RSI] = source ? nothing : BUFFER + 0x800;
	native->gpr[7] = source ? (uintptr_t)copy + 0x800 : real;
	gpr[VCPU_REGS_RDI] = source ? BUFFER + 0x800 : nothing;
	native->flags = gpr[VCPU_REGS_RFLAGS] = FIXED_FLAGS | (down ? FLAG_DF : 0);
	gpr[VCPU_REGS_RIP] = 0x100000;

	run_native(code, n);
	ck_assert_int_eq(emulate(nothing, code, n), MMIO_DONE);
	ck_assert_msg(gpr[VCPU_REGS_RIP] == 0x100000 + n, "%s", hex(code, n));
	ck_assert_uint_eq(gpr[VCPU_REGS_RCX], native->gpr[1]);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], native->gpr[0]);
	ck_assert_uint_eq(gpr[VCPU_REGS_RSI] - (source ? nothing : BUFFER),
			  native->gpr[6] - (source ? real : (uintptr_t)copy));
	ck_assert_uint_eq(gpr[VCPU_REGS_RDI] - (source ? BUFFER : nothing),
			  native->gpr[7] - (source ? (uintptr_t)copy : real));
	ck_assert_uint_eq(gpr[VCPU_REGS_RFLAGS] & ALL_FLAGS, native->flags & ALL_FLAGS);
	ck_assert_mem_eq(other, copy, sizeof(copy));
	(void)size;
}

START_TEST(strings)
{
	static const uint8_t opcodes[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae,
					   0xaf };
	static const uint8_t reps[] = { 0, 0xf2, 0xf3 };
	unsigned int i, k, round;

	setup();
	for (i = 0; i < ARRAY_SIZE(opcodes); i++)
		for (k = 0; k < ARRAY_SIZE(reps); k++)
			for (round = 0; round < 40; round++) {
				uint8_t op = opcodes[i];
				bool wide = (op & 1) && rand() % 2;
				bool source = op <= 0xa7 ? rand() % 2 : op == 0xac || op == 0xad;

				string_case(op, reps[k], wide, rand() % 2, source,
					    1 + (unsigned int)rand() % 60);
			}
}
END_TEST

/* A long string is done piece by piece, and is the CPU's again beyond the page. */
START_TEST(long_strings_stop_at_the_page)
{
	uint64_t *gpr = regs.vrs_gprs;

	setup();
	gpr[VCPU_REGS_RSI] = NOTHING + 0xff0;
	gpr[VCPU_REGS_RDI] = BUFFER;
	gpr[VCPU_REGS_RCX] = 1000000;
	ck_assert_int_eq(emulate(NOTHING + 0xff0, "\xf3\xa4", 2), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RIP], 0x100000);
	ck_assert_uint_eq(gpr[VCPU_REGS_RCX], 1000000 - 16);
	ck_assert_uint_eq(gpr[VCPU_REGS_RDI], BUFFER + 16);
	/* Within a page as well: a store of bytes to one address pair can not take for ever. */
	gpr[VCPU_REGS_RSI] = NOTHING;
	gpr[VCPU_REGS_RDI] = NOTHING;
	gpr[VCPU_REGS_RCX] = UINT64_MAX;
	ck_assert_int_eq(emulate(NOTHING, "\xf3\xaa", 2), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RCX], UINT64_MAX - PAGE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RIP], 0x100000);
}
END_TEST

/* --- By hand ------------------------------------------------------------------------------ */

#define CODE(bytes)	bytes, sizeof(bytes) - 1

/* What Linux since 6.15 does on Zen: reads the reset reason, and writes it back. */
START_TEST(zen_reset_reason)
{
	uint64_t *gpr = regs.vrs_gprs;

	setup();
	gpr[VCPU_REGS_RDX] = 0xfed803c0;
	gpr[VCPU_REGS_RAX] = 0x1234567812345678;
	ck_assert_int_eq(emulate(0xfed803c0, CODE("\x8b\x02")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], 0xffffffff);
	ck_assert_int_eq(emulate(0xfed803c0, CODE("\x89\x02")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RIP], 0x100004);
	ck_assert_uint_eq(gpr[VCPU_REGS_RFLAGS], FIXED_FLAGS);
}
END_TEST

START_TEST(absolute_addresses)
{
	uint64_t *gpr = regs.vrs_gprs;

	setup();
	ck_assert_int_eq(emulate(NOTHING, CODE("\x48\xa1\x00\x00\xd8\xfe\x00\x00\x00\x00")),
			 MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], UINT64_MAX);
	ck_assert_uint_eq(gpr[VCPU_REGS_RIP], 0x10000a);
	gpr[VCPU_REGS_RAX] = 0;
	/* With 67 the address has 32 bits. */
	ck_assert_int_eq(emulate(NOTHING, CODE("\x67\xa0\x00\x00\xd8\xfe")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], 0xff);
	/* Relative to the next instruction. */
	gpr[VCPU_REGS_RIP] = NOTHING - 0x1000;
	memset(&gpr[VCPU_REGS_RCX], 0, 8);
	ck_assert_int_eq(emulate(NOTHING, CODE("\x8b\x0d\xfa\x0f\x00\x00")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RCX], 0xffffffff);
	/* Base, index, scale, and FS. */
	regs.vrs_sregs[VCPU_REGS_FS].vsi_base = NOTHING - 0x30;
	gpr[VCPU_REGS_RBX] = 0x10;
	gpr[VCPU_REGS_RSI] = 0x4;
	gpr[VCPU_REGS_RCX] = 0;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x64\x66\x8b\x4c\xb3\x10")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RCX], 0xffff);
}
END_TEST

START_TEST(legacy_modes)
{
	uint64_t *gpr = regs.vrs_gprs;

	setup();
	/* 32 bits, no paging, a segment with a base. */
	regs.vrs_msrs[VCPU_REGS_EFER] = 0;
	regs.vrs_crs[VCPU_REGS_CR0] = 0x11;
	regs.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xc09b;
	regs.vrs_sregs[VCPU_REGS_DS].vsi_base = 0xfe000000;
	gpr[VCPU_REGS_RBX] = 0xd80000;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x8b\x03")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], 0xffffffff);
	/* The sum wraps at 4 GiB. */
	gpr[VCPU_REGS_RBX] = 0x00d80000;
	regs.vrs_sregs[VCPU_REGS_DS].vsi_base = 0xfe000000;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x66\x81\x3b\xff\xff")), MMIO_DONE);
	ck_assert(gpr[VCPU_REGS_RFLAGS] & FLAG_ZF);
	/* 16 bits: [BX + SI], and the pointers of strings keep their upper halves. */
	regs.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0x9b;
	regs.vrs_sregs[VCPU_REGS_DS].vsi_base = 0xfed70000;
	gpr[VCPU_REGS_RBX] = 0x1f000;
	gpr[VCPU_REGS_RSI] = 0x20ffe;
	gpr[VCPU_REGS_RAX] = 0;
	regs.vrs_sregs[VCPU_REGS_DS].vsi_base = NOTHING;
	ck_assert_int_eq(emulate(NOTHING + 0xfffe, CODE("\x8a\x00")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], 0xff);
	gpr[VCPU_REGS_RSI] = 0x2ffff;
	gpr[VCPU_REGS_RCX] = 0x30001;
	ck_assert_int_eq(emulate(NOTHING + 0xffff, CODE("\xf3\xac")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RSI], 0x20000);
	ck_assert_uint_eq(gpr[VCPU_REGS_RCX], 0x30000);
}
END_TEST

START_TEST(other_page_tables)
{
	uint64_t *gpr = regs.vrs_gprs;
	uint32_t *table;

	setup();
	/* Two levels, 4 KiB pages: linear 0x400000 is NOTHING. */
	regs.vrs_msrs[VCPU_REGS_EFER] = 0;
	regs.vrs_crs[VCPU_REGS_CR4] = 0;
	regs.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xc09b;
	regs.vrs_crs[VCPU_REGS_CR3] = 0x10000;
	table = at(0x10000);
	table[1] = 0x11000 | 3;
	table = at(0x11000);
	table[0] = NOTHING | 3;
	gpr[VCPU_REGS_RBX] = 0x400000;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x8b\x03")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], 0xffffffff);
	ck_assert_uint_eq(table[0], NOTHING | 0x23);
	ck_assert_int_eq(emulate(NOTHING, CODE("\x89\x03")), MMIO_DONE);
	ck_assert_uint_eq(table[0], NOTHING | 0x63);
	/* 4 MiB pages. */
	regs.vrs_crs[VCPU_REGS_CR4] = 0x10;
	table = at(0x10000);
	table[1] = 0xfec00083;
	gpr[VCPU_REGS_RBX] = 0x580000;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x8a\x0b")), MMIO_DONE);
	/* PAE. */
	regs.vrs_crs[VCPU_REGS_CR4] = 0x20;
	regs.vrs_crs[VCPU_REGS_CR3] = 0x10020;
	*(uint64_t *)at(0x10020) = PD | 1;
	((uint64_t *)at(PD))[2] = 0xfec00083;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x8a\x0b")), MMIO_DONE);
	/* Five levels. */
	guest();
	gpr[VCPU_REGS_RBX] = NOTHING;
	regs.vrs_crs[VCPU_REGS_CR4] = 0x1020;
	regs.vrs_crs[VCPU_REGS_CR3] = 0x10000;
	*(uint64_t *)at(0x10000) = PML4 | 3;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x8a\x0b")), MMIO_DONE);
}
END_TEST

/* Half of it is memory: that half is read and written. */
START_TEST(across_the_end_of_memory)
{
	uint64_t *gpr = regs.vrs_gprs;
	uint8_t *last;

	setup();
	last = ram_at(&ram, 16 * MIB - 2, 2);
	last[0] = 0x12;
	last[1] = 0x34;
	gpr[VCPU_REGS_RBX] = 16 * MIB - 2;
	ck_assert_int_eq(emulate(16 * MIB, CODE("\x8b\x03")), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RAX], 0xffff3412);
	gpr[VCPU_REGS_RAX] = 0x55667788;
	ck_assert_int_eq(emulate(16 * MIB, CODE("\x89\x03")), MMIO_DONE);
	ck_assert_uint_eq(last[0], 0x88);
	ck_assert_uint_eq(last[1], 0x77);
	ck_assert_int_eq(emulate(16 * MIB, CODE("\x01\x03")), MMIO_DONE);
	ck_assert_uint_eq(last[0], 0x10);
}
END_TEST

START_TEST(registers_that_are_not_general)
{
	setup();
	regs.vrs_gprs[VCPU_REGS_RBX] = 16 * MIB - 1;
	regs.vrs_sregs[VCPU_REGS_GS].vsi_sel = 0x4b;
	ck_assert_int_eq(emulate(16 * MIB, CODE("\x8c\x2b")), MMIO_DONE);
	ck_assert_uint_eq(*(uint8_t *)ram_at(&ram, 16 * MIB - 1, 1), 0x4b);
	regs.vrs_gprs[VCPU_REGS_RBX] = NOTHING;
	ck_assert_int_eq(emulate(NOTHING, CODE("\x0f\x11\x03")), MMIO_DONE);
	ck_assert_int_eq(emulate(NOTHING, CODE("\x66\x0f\x6f\x03")), MMIO_NO_VALUE);
	ck_assert_int_eq(emulate(NOTHING, CODE("\x0f\xae\x3b")), MMIO_DONE);
	ck_assert_uint_eq(regs.vrs_gprs[VCPU_REGS_RIP], 0x10000c);
	/* VEX of two and three bytes; the second names R8. */
	ck_assert_int_eq(emulate(NOTHING, CODE("\xc5\xfe\x6f\x03")), MMIO_NO_VALUE);
	regs.vrs_gprs[VCPU_REGS_RBX] = 0;
	regs.vrs_gprs[VCPU_REGS_R8] = NOTHING;
	ck_assert_int_eq(emulate(NOTHING, CODE("\xc4\xc1\x7e\x7f\x00")), MMIO_DONE);
	ck_assert_uint_eq(regs.vrs_gprs[VCPU_REGS_RIP], 0x100015);
}
END_TEST

/* What is not done changes nothing. */
static void not_done(enum mmio why, uint64_t gpa, const void *code, size_t n)
{
	struct vcpu_reg_state before = regs;

	ck_assert_int_eq(emulate(gpa, code, n), why);
	ck_assert_mem_eq(&regs, &before, sizeof(regs));
}

START_TEST(what_is_not_done)
{
	uint64_t *gpr = regs.vrs_gprs;

	setup();
	gpr[VCPU_REGS_RBX] = gpr[VCPU_REGS_RSI] = NOTHING;
	gpr[VCPU_REGS_RDI] = BUFFER;
	gpr[VCPU_REGS_RCX] = 5;
	not_done(MMIO_UNKNOWN, NOTHING, CODE("\xff\x23"));		/* jmp (%rbx) */
	not_done(MMIO_UNKNOWN, NOTHING, CODE("\x8b\xc3"));		/* no memory */
	/* The fault is elsewhere: in code, or in a page table. */
	not_done(MMIO_NOT_DATA, NOTHING + PAGE, CODE("\x8b\x03"));
	not_done(MMIO_NOT_DATA, NOTHING + PAGE, CODE("\xf3\xa4"));
	/* The other side of a copy is not mapped, or must not be written. */
	((uint64_t *)at(PD))[1] = 0;
	not_done(MMIO_FAULT, NOTHING, CODE("\xf3\xa4"));
	((uint64_t *)at(PD))[1] = 2 * MIB | 0x81;
	not_done(MMIO_FAULT, NOTHING, CODE("\xf3\xa4"));
	regs.vrs_crs[VCPU_REGS_CR0] &= ~0x10000ull;
	ck_assert_int_eq(emulate(NOTHING, CODE("\xa4")), MMIO_DONE);
	regs.vrs_sregs[VCPU_REGS_SS].vsi_ar = 0xc0f3;			/* CPL 3 */
	not_done(MMIO_FAULT, NOTHING, CODE("\xa4"));
	regs.vrs_sregs[VCPU_REGS_SS].vsi_ar = 0xc093;
	regs.vrs_crs[VCPU_REGS_CR3] = 0xfe000000;
	not_done(MMIO_FAULT, 0xfe000000, CODE("\x8b\x03"));
}
END_TEST

/* The driver may have no bytes, or too few: they are in the guest's memory. */
START_TEST(code_from_memory)
{
	uint64_t *gpr = regs.vrs_gprs;
	uint64_t rip = 0x101000 - 3;

	setup();
	memcpy(at(rip), "\x48\xc7\x83\x00\x00\x00\x00\x44\x33\x22\x11", 11);
	gpr[VCPU_REGS_RBX] = NOTHING;
	gpr[VCPU_REGS_RIP] = rip;
	ck_assert_int_eq(emulate(NOTHING, NULL, 0), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RIP], rip + 11);
	gpr[VCPU_REGS_RIP] = rip;
	ck_assert_int_eq(emulate(NOTHING, "\x48\xc7\x83", 3), MMIO_DONE);
	ck_assert_uint_eq(gpr[VCPU_REGS_RIP], rip + 11);
	gpr[VCPU_REGS_RIP] = NOTHING;
	not_done(MMIO_UNKNOWN, NOTHING, NULL, 0);
}
END_TEST

/* Whatever the bytes and registers are, nothing outside of the guest is touched. */
START_TEST(anything_is_safe)
{
	uint8_t code[INSN_MAX];
	unsigned int i, k;

	setup();
	for (i = 0; i < 100000; i++) {
		for (k = 0; k < sizeof(code); k++)
			code[k] = (uint8_t)rand();
		for (k = 0; k < 16; k++)
			regs.vrs_gprs[by_encoding[k]] = rand() % 2 ? NOTHING + random64() % 64 :
							random64();
		regs.vrs_sregs[VCPU_REGS_CS].vsi_ar =
			((const uint32_t[]){ 0xa09b, 0xc09b, 0x9b })[rand() % 3];
		(void)mmio_emulate(&cpu, NOTHING, code, (size_t)rand() % 16);
	}
}
END_TEST

SUITE_MAIN("vmctl: memory that is not there", as_the_cpu_does, strings,
	   long_strings_stop_at_the_page, zen_reset_reason, absolute_addresses, legacy_modes,
	   other_page_tables, across_the_end_of_memory, registers_that_are_not_general,
	   what_is_not_done, code_from_memory, anything_is_safe)
