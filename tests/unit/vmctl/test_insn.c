// SPDX-License-Identifier: ISC
/*
 * The monitor's decoder against capstone: all opcodes it knows, in all modes,
 * with all ways to address memory. What it makes of the values is test_mmio's.
 */
#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "insn.h"
#include "suite.h"
#include "util.h"

static const cs_mode modes[] = {
	[INSN_MODE_16] = CS_MODE_16, [INSN_MODE_32] = CS_MODE_32, [INSN_MODE_64] = CS_MODE_64,
};
static csh capstone[3];
static cs_insn *cs;

static const char *const gpr_names[4][16] = {
	{ "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil",
	  "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b" },
	{ "ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
	  "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w" },
	{ "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi",
	  "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d" },
	{ "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" },
};

/* A register's encoding, or INSN_NO_REG for none (or EIZ, RIZ). */
static unsigned int number(enum insn_mode mode, unsigned int reg)
{
	const char *name = cs_reg_name(capstone[mode], reg);
	unsigned int i, k;

	for (i = 0; name && i < 4; i++)
		for (k = 0; k < 16; k++)
			if (strcmp(name, gpr_names[i][k]) == 0)
				return k;
	return INSN_NO_REG;
}

static const char *hex(const uint8_t *b, size_t n)
{
	static char text[64];
	size_t i;

	for (i = 0; i < n; i++)
		snprintf(text + 3 * i, 4, "%02x ", b[i]);
	return text;
}

#define SAME(what, a, b) do {							\
	if ((uint64_t)(a) != (uint64_t)(b))					\
		ck_abort_msg("mode %d, %s(%s %s): " what " is %lld, expected %lld",	\
			     (int)mode, hex(bytes, o->length), cs->mnemonic,	\
			     cs->op_str, (long long)(a), (long long)(b));	\
} while (0)

static void compare_memory(const cs_x86_op *op, const struct insn *o, enum insn_mode mode,
			   const uint8_t *bytes)
{
	bool rip = op->mem.base == X86_REG_RIP || op->mem.base == X86_REG_EIP;
	unsigned int index = number(mode, op->mem.index);

	SAME("rip_relative", o->rip_relative, rip);
	SAME("base", o->base, rip ? INSN_NO_REG : number(mode, op->mem.base));
	SAME("index", o->index, index);
	if (index != INSN_NO_REG)
		SAME("scale", o->scale, op->mem.scale);
	if (o->address_size == 2)
		SAME("disp", (uint16_t)o->disp, (uint16_t)op->mem.disp);
	else if (o->address_size == 4)
		SAME("disp", (uint32_t)o->disp, (uint32_t)op->mem.disp);
	else
		SAME("disp", o->disp, op->mem.disp);
	if (o->memory_size && o->op != INSN_MOV_FROM_SEG)
		SAME("size", o->memory_size, op->size);
}

static void compare(const struct insn *o, enum insn_mode mode, const uint8_t *bytes)
{
	const cs_x86 *x = &cs->detail->x86;
	bool memory = false;
	unsigned int i;

	SAME("length", o->length, cs->size);
	if (o->operands == OPERANDS_NONE)
		return;
	for (i = 0; i < x->op_count; i++) {
		const cs_x86_op *op = &x->operands[i];
		uint64_t mask = o->operand_size >= 8 ? UINT64_MAX :
				(1ULL << 8 * o->operand_size) - 1;

		if (op->type == X86_OP_MEM) {
			compare_memory(op, o, mode, bytes);
			memory = true;
		} else if (op->type == X86_OP_IMM && o->operands != OPERANDS_MEM_ONE) {
			SAME("immediate", (uint64_t)o->imm & mask & (i == 1 && x->encoding.imm_size
			     == 1 && o->op >= INSN_ROL && o->op <= INSN_BTC ? 0xff : mask),
			     (uint64_t)op->imm & mask);
		} else if (op->type == X86_OP_REG && o->operands != OPERANDS_MEM_CL &&
			   o->op != INSN_MOV_FROM_SEG && number(mode, op->reg) != INSN_NO_REG) {
			SAME("register", o->reg, number(mode, op->reg));
			/* MOVSXD without REX.W has 32 bits (APM 3 MOVSXD): unknown to capstone. */
			if (o->opcode != 0x63)
				SAME("operand size", o->operand_size, op->size);
		}
	}
	SAME("has memory", memory, true);
}

/* Capstone takes 66 and 67 beside REX.W, F2 and F3 in its own ways (tests/unit/test_insn.c). */
static size_t random_bytes(uint8_t *b, enum insn_mode mode, unsigned int map, unsigned int opcode)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0x64, 0x65 };
	size_t n = 0, k;

	if (rand() % 2)
		b[n++] = prefixes[(unsigned int)rand() % sizeof(prefixes)];
	if (mode == INSN_MODE_64 && rand() % 2) {
		uint8_t rex = (uint8_t)(0x40 | (rand() & (n ? 7 : 15)));

		b[n++] = rex;
	}
	if (map > 0)
		b[n++] = 0x0f;
	if (map > 1)
		b[n++] = 0x38;
	b[n++] = (uint8_t)opcode;
	for (k = 0; k < 10 && n < INSN_MAX; k++)
		b[n++] = (uint8_t)rand();
	return n;
}

START_TEST(against_capstone)
{
	static unsigned long seen[INSN_OPS];
	uint8_t bytes[INSN_MAX], shorter[INSN_MAX];
	unsigned int mode, round, map, opcode, i;
	struct insn in, again;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(cs_open(CS_ARCH_X86, modes[i], &capstone[i]), CS_ERR_OK);
		cs_option(capstone[i], CS_OPT_DETAIL, CS_OPT_ON);
	}
	cs = cs_malloc(capstone[0]);
	srand(11);
	for (mode = 0; mode < 3; mode++)
		for (round = 0; round < 60; round++)
			for (map = 0; map < 3; map++)
				for (opcode = 0; opcode < 256; opcode++) {
					size_t n = random_bytes(bytes, (enum insn_mode)mode, map,
								opcode), left = n;
					const uint8_t *at = bytes;
					uint64_t address = 0;

					if (insn_decode(bytes, n, (enum insn_mode)mode, &in) != 0 ||
					    (in.opcode != opcode && opcode != 0xc4 &&
					     opcode != 0xc5))
						continue;
					if (!cs_disasm_iter(capstone[mode], &at, &left, &address,
							    cs))
						continue;
					compare(&in, (enum insn_mode)mode, bytes);
					seen[in.op]++;
					/* Fewer bytes are too few, whatever is behind them. */
					for (i = 0; i < in.length; i++) {
						memcpy(shorter, bytes, i);
						REQUIRE(insn_decode(shorter, i,
								    (enum insn_mode)mode,
								    &again) == -EAGAIN);
					}
				}
	for (i = 0; i < INSN_OPS; i++)
		ck_assert_msg(seen[i] > 0, "%s was never seen", insn_op_name(i));
}
END_TEST

START_TEST(not_ours)
{
	static const char *const strings[] = {
		"\x90", "\xc3", "\x8b\xc1", "\x0f\x05", "\xff\x20", "\x0f\x01\x38", "\xcc",
		"\x0f\xc3\xc0", "\x0f\xff", "\xd9\x00", "\x8f\x00",
	};
	static const uint8_t long_one[16] = { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
					      0x66, 0x66, 0x66, 0x66, 0x66, 0x8b, 0x00 };
	struct insn in;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(strings); i++)
		ck_assert_msg(insn_decode((const uint8_t *)strings[i], strlen(strings[i]),
					  INSN_MODE_64, &in) != 0, "%s",
			      hex((const uint8_t *)strings[i], strlen(strings[i])));
	ck_assert_int_eq(insn_decode(long_one, 16, INSN_MODE_64, &in), -EINVAL);
	/* The last prefix before the opcode counts as REX, no other. */
	ck_assert_int_eq(insn_decode((const uint8_t *)"\x48\x66\x8b\x00", 4, INSN_MODE_64, &in), 0);
	ck_assert_uint_eq(in.operand_size, 2);
	ck_assert_str_eq(insn_op_name(INSN_OPS), "?");
}
END_TEST

SUITE_MAIN("vmctl: decoder", against_capstone, not_ours)
