/* SPDX-License-Identifier: ISC */
/*
 * insn.h - decoding the instructions that use memory which is not there.
 *
 * The decoder is generated from memory_instructions in insns.yaml by way of
 * re2c. It looks at nothing but its arguments. The CPU has executed the
 * instruction up to its access to memory: whether it is legal is not checked.
 */
#ifndef VMCTL_INSN_H
#define VMCTL_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <machine/vmmvar.h>

#include "insn_ops.h"

#define INSN_MAX	15	/* bytes of the longest instruction there is */
#define INSN_NO_REG	0xff

enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

/* Segments by the names that the generated code has for them. */
enum {
	SREG_CS = VCPU_REGS_CS, SREG_DS = VCPU_REGS_DS, SREG_ES = VCPU_REGS_ES,
	SREG_FS = VCPU_REGS_FS, SREG_GS = VCPU_REGS_GS, SREG_SS = VCPU_REGS_SS,
};

/* Which operands there are, the destination first. */
enum insn_operands {
	OPERANDS_NONE,		/* a string instruction */
	OPERANDS_MEM,
	OPERANDS_MEM_REG,
	OPERANDS_MEM_IMM,
	OPERANDS_MEM_ONE,	/* as if the immediate were 1 */
	OPERANDS_MEM_CL,
	OPERANDS_REG_MEM,
	OPERANDS_REG_MEM_IMM,
};

/* Registers are x86 encodings (0 = rAX ... 15 = R15). */
struct insn {
	enum insn_op op;
	enum insn_operands operands;
	uint8_t	 opcode;	/* its last byte: a condition is in the low four bits */
	uint8_t	 length;	/* bytes, prefixes included */
	uint8_t	 operand_size;	/* bytes; 0: the form has none */
	uint8_t	 memory_size;	/* of the memory operand */
	uint8_t	 address_size;	/* 2, 4 or 8 */
	uint8_t	 rep;		/* 0, 0xf2 or 0xf3 */
	bool	 rex;		/* byte registers 4 to 7 are SPL, BPL, SIL, DIL */
	bool	 seg_valid;	/* an override names seg; otherwise the default */
	uint8_t	 seg;		/* of the memory operand */
	uint8_t	 reg;
	int64_t	 imm;		/* extended by the sign */
	/* Memory: base + index * scale + disp, cut to address_size. */
	bool	 rip_relative;	/* base is the next instruction's address */
	uint8_t	 base, index;	/* INSN_NO_REG: none */
	uint8_t	 scale;
	int64_t	 disp;
};

/*
 * Decode the instruction at @code, of which @n bytes can be read.
 * 0: *out is set. -EAGAIN: more than n bytes are needed. -EINVAL: not one of
 * ours, or longer than 15 bytes.
 */
int insn_decode(const uint8_t *code, size_t n, enum insn_mode mode, struct insn *out);

#endif /* VMCTL_INSN_H */
