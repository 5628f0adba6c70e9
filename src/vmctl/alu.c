// SPDX-License-Identifier: ISC
#include "alu.h"

#define FLAGS_SZP	(FLAG_SF | FLAG_ZF | FLAG_PF)
#define FLAGS_ALL	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

uint64_t alu_zero_extend(uint64_t v, unsigned int size)
{
	return size == 8 ? v : v & ((1ULL << 8 * size) - 1);
}

static bool top(uint64_t v, unsigned int size)
{
	return v >> (8 * size - 1) & 1;
}

uint64_t alu_sign_extend(uint64_t v, unsigned int size)
{
	v = alu_zero_extend(v, size);
	return size < 8 && top(v, size) ? v | ~0ULL << 8 * size : v;
}

static uint64_t szp(uint64_t v, unsigned int size)
{
	v = alu_zero_extend(v, size);
	return (top(v, size) ? FLAG_SF : 0) | (v == 0 ? FLAG_ZF : 0) |
	       (__builtin_parity((unsigned int)(v & 0xff)) ? 0 : FLAG_PF);
}

static void set_flags(uint64_t *flags, uint64_t which, uint64_t to)
{
	*flags = (*flags & ~which) | (to & which);
}

/* Carries out of each bit, from the operands and the result (SDM 1 app. A). */
static void add_flags(uint64_t a, uint64_t b, uint64_t r, unsigned int size, uint64_t *flags)
{
	uint64_t carry = (a & b) | ((a | b) & ~r);

	set_flags(flags, FLAGS_ALL, szp(r, size) | (top(carry, size) ? FLAG_CF : 0) |
		  ((a ^ b ^ r) & FLAG_AF) | (top((a ^ r) & (b ^ r), size) ? FLAG_OF : 0));
}

static void sub_flags(uint64_t a, uint64_t b, uint64_t r, unsigned int size, uint64_t *flags)
{
	uint64_t borrow = (~a & b) | ((~a | b) & r);

	set_flags(flags, FLAGS_ALL, szp(r, size) | (top(borrow, size) ? FLAG_CF : 0) |
		  ((a ^ b ^ r) & FLAG_AF) | (top((a ^ b) & (a ^ r), size) ? FLAG_OF : 0));
}

uint64_t alu_two(enum insn_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *flags)
{
	uint64_t carry = *flags & FLAG_CF, r;

	switch (op) {
	case INSN_ADD:
	case INSN_ADC:
	case INSN_XADD:
		r = a + b + (op == INSN_ADC ? carry : 0);
		add_flags(a, b, r, size, flags);
		return alu_zero_extend(r, size);
	case INSN_SUB:
	case INSN_SBB:
	case INSN_CMP:
		r = a - b - (op == INSN_SBB ? carry : 0);
		sub_flags(a, b, r, size, flags);
		return alu_zero_extend(r, size);
	case INSN_OR:
		r = a | b;
		break;
	case INSN_XOR:
		r = a ^ b;
		break;
	default:		/* AND, TEST */
		r = a & b;
		break;
	}
	set_flags(flags, FLAGS_ALL, szp(r, size));
	return alu_zero_extend(r, size);
}

uint64_t alu_one(enum insn_op op, uint64_t a, unsigned int size, uint64_t *flags)
{
	uint64_t carry = *flags & FLAG_CF, r;

	switch (op) {
	case INSN_NEG:
		return alu_two(INSN_SUB, 0, a, size, flags);
	case INSN_INC:
	case INSN_DEC:
		r = alu_two(op == INSN_INC ? INSN_ADD : INSN_SUB, a, 1, size, flags);
		set_flags(flags, FLAG_CF, carry);
		return r;
	default:		/* NOT */
		return alu_zero_extend(~a, size);
	}
}

/* One bit at a time: rotates. */
static uint64_t rotate(enum insn_op op, uint64_t a, unsigned int count, unsigned int size,
		       uint64_t *flags)
{
	unsigned int bits = 8 * size;
	bool out, in;

	while (count-- > 0) {
		bool left = op == INSN_ROL || op == INSN_RCL;

		out = left ? top(a, size) : a & 1;
		in = op == INSN_ROL || op == INSN_ROR ? out : *flags & FLAG_CF;
		a = left ? a << 1 | in : alu_zero_extend(a, size) >> 1 | (uint64_t)in << (bits - 1);
		set_flags(flags, FLAG_CF, out ? FLAG_CF : 0);
	}
	return alu_zero_extend(a, size);
}

uint64_t alu_shift(enum insn_op op, uint64_t a, unsigned int count, unsigned int size,
		   uint64_t *flags)
{
	uint64_t before = a = alu_zero_extend(a, size), r = a;
	bool carry = *flags & FLAG_CF;

	count &= size == 8 ? 63 : 31;
	if (count == 0)
		return a;
	switch (op) {
	case INSN_SHL:
		carry = count <= 8 * size && a >> (8 * size - count) & 1;
		r = a << count;
		break;
	case INSN_SHR:
		carry = a >> (count - 1) & 1;
		r = a >> count;
		break;
	case INSN_SAR:
		a = alu_sign_extend(a, size);
		carry = (int64_t)a >> (count - 1) & 1;
		r = (uint64_t)((int64_t)a >> count);
		break;
	default:
		r = rotate(op, a, count, size, flags);
		carry = *flags & FLAG_CF;
		break;
	}
	set_flags(flags, FLAG_CF, carry ? FLAG_CF : 0);
	if (op == INSN_SHL || op == INSN_SHR || op == INSN_SAR)
		set_flags(flags, FLAGS_SZP, szp(r, size));
	/* OF is defined for a count of 1. */
	if (count == 1) {
		bool overflow;

		if (op == INSN_SHL || op == INSN_ROL || op == INSN_RCL)
			overflow = top(r, size) != carry;
		else if (op == INSN_SHR)
			overflow = top(before, size);
		else if (op == INSN_SAR)
			overflow = false;
		else		/* ROR, RCR: the two highest bits differ */
			overflow = top(r ^ r << 1, size);
		set_flags(flags, FLAG_OF, overflow ? FLAG_OF : 0);
	}
	return alu_zero_extend(r, size);
}

uint64_t alu_bit(enum insn_op op, uint64_t a, unsigned int bit, uint64_t *flags)
{
	set_flags(flags, FLAG_CF, a >> bit & 1 ? FLAG_CF : 0);
	switch (op) {
	case INSN_BTS:
		return a | 1ULL << bit;
	case INSN_BTR:
		return a & ~(1ULL << bit);
	case INSN_BTC:
		return a ^ 1ULL << bit;
	default:
		return a;
	}
}

uint64_t alu_count(enum insn_op op, uint64_t a, uint64_t old, unsigned int size, uint64_t *flags)
{
	unsigned int bits = 8 * size;
	uint64_t r;

	a = alu_zero_extend(a, size);
	switch (op) {
	case INSN_POPCNT:
		set_flags(flags, FLAGS_ALL, a == 0 ? FLAG_ZF : 0);
		return (uint64_t)__builtin_popcountll(a);
	case INSN_BSF:
	case INSN_BSR:
		set_flags(flags, FLAG_ZF, a == 0 ? FLAG_ZF : 0);
		if (a == 0)
			return old;
		return op == INSN_BSF ? (uint64_t)__builtin_ctzll(a) :
		       63u - (uint64_t)__builtin_clzll(a);
	case INSN_TZCNT:
		r = a == 0 ? bits : (uint64_t)__builtin_ctzll(a);
		break;
	default:		/* LZCNT */
		r = a == 0 ? bits : (uint64_t)__builtin_clzll(a) - (64 - bits);
		break;
	}
	set_flags(flags, FLAG_CF | FLAG_ZF, (a == 0 ? FLAG_CF : 0) | (r == 0 ? FLAG_ZF : 0));
	return r;
}

uint64_t alu_multiply(bool is_signed, uint64_t a, uint64_t b, unsigned int size, uint64_t *high,
		      uint64_t *flags)
{
	unsigned __int128 product;
	uint64_t low;
	bool lost;

	if (is_signed)
		product = (unsigned __int128)((__int128)(int64_t)alu_sign_extend(a, size) *
					      (int64_t)alu_sign_extend(b, size));
	else
		product = (unsigned __int128)alu_zero_extend(a, size) * alu_zero_extend(b, size);
	low = alu_zero_extend((uint64_t)product, size);
	*high = alu_zero_extend((uint64_t)(product >> 8 * size), size);
	lost = *high != (is_signed && top(low, size) ? alu_zero_extend(~0ULL, size) : 0);
	set_flags(flags, FLAG_CF | FLAG_OF, lost ? FLAG_CF | FLAG_OF : 0);
	return low;
}

bool alu_condition(unsigned int cc, uint64_t flags)
{
	bool less = !(flags & FLAG_SF) != !(flags & FLAG_OF), yes;

	switch (cc >> 1 & 7) {
	case 0:
		yes = flags & FLAG_OF;
		break;
	case 1:
		yes = flags & FLAG_CF;
		break;
	case 2:
		yes = flags & FLAG_ZF;
		break;
	case 3:
		yes = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		yes = flags & FLAG_SF;
		break;
	case 5:
		yes = flags & FLAG_PF;
		break;
	case 6:
		yes = less;
		break;
	default:
		yes = less || (flags & FLAG_ZF);
		break;
	}
	return yes != (cc & 1);
}
