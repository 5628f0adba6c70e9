/* SPDX-License-Identifier: ISC */
/*
 * alu.h - integer instructions on values of 1, 2, 4 or 8 bytes.
 *
 * Flags that the manuals leave undefined stay as they were, or are 0 with AND,
 * OR, XOR and TEST.
 */
#ifndef VMCTL_ALU_H
#define VMCTL_ALU_H

#include "insn.h"

#define FLAG_CF		0x001u
#define FLAG_PF		0x004u
#define FLAG_AF		0x010u
#define FLAG_ZF		0x040u
#define FLAG_SF		0x080u
#define FLAG_DF		0x400u
#define FLAG_OF		0x800u
#define FLAG_RF		0x10000u

/* The low @size bytes of @v, with zeros or copies of their sign above. */
uint64_t alu_zero_extend(uint64_t v, unsigned int size);
uint64_t alu_sign_extend(uint64_t v, unsigned int size);

/* ADD to CMP, and TEST: @a is the destination. */
uint64_t alu_two(enum insn_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *flags);
/* NOT, NEG, INC, DEC. */
uint64_t alu_one(enum insn_op op, uint64_t a, unsigned int size, uint64_t *flags);
/* ROL to SAR. */
uint64_t alu_shift(enum insn_op op, uint64_t a, unsigned int count, unsigned int size,
		   uint64_t *flags);
/* BT, BTS, BTR, BTC. */
uint64_t alu_bit(enum insn_op op, uint64_t a, unsigned int bit, uint64_t *flags);
/* BSF, BSR, TZCNT, LZCNT, POPCNT; @old is what the destination has. */
uint64_t alu_count(enum insn_op op, uint64_t a, uint64_t old, unsigned int size, uint64_t *flags);
/* MUL or IMUL: the low half of the product, the high half in @high. */
uint64_t alu_multiply(bool is_signed, uint64_t a, uint64_t b, unsigned int size, uint64_t *high,
		      uint64_t *flags);
/* A condition, as the low four bits of an opcode name it. */
bool alu_condition(unsigned int cc, uint64_t flags);

#endif /* VMCTL_ALU_H */
