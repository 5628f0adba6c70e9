/* SPDX-License-Identifier: ISC */
/*
 * insn.h - decoding the instructions that the driver steps over or emulates.
 *
 * The decoder is generated from insns.yaml by way of re2c. It knows the listed
 * instructions and no other, and looks at nothing but its arguments.
 */
#ifndef CORE_INSN_H
#define CORE_INSN_H

#include "host_os.h"
#include "registers.h"
#include "insn_ops.h"

#define INSN_MAX	15	/* bytes of the longest instruction there is */
#define INSN_NO_REG	0xff

enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

/* Registers are x86 encodings (0 = rAX ... 15 = R15), not indices of gpr[]. */
struct insn {
	enum insn_op op;
	uint8_t	 length;	/* bytes, prefixes included */
	uint8_t	 operand_size;	/* bytes; 0: the form has none */
	uint8_t	 address_size;	/* 2, 4 or 8 */
	uint8_t	 rep;		/* 0, 0xf2 or 0xf3 */
	bool	 lock;
	bool	 seg_valid;	/* an override names seg; otherwise the default */
	uint8_t	 seg;		/* enum sreg of the memory operand */
	uint8_t	 imm;

	/* With a ModRM byte; otherwise reg and rm are 0 and rm_is_reg false. */
	uint8_t	 reg;		/* REX.R included; 8 for LOCK MOV CR0 */
	uint8_t	 rm;		/* register, when rm_is_reg */
	bool	 rm_is_reg;
	bool	 rm_is_mem;
	/* Memory: base + index * scale + disp, cut to address_size. */
	bool	 rip_relative;	/* base is the next instruction's address */
	uint8_t	 base, index;	/* INSN_NO_REG: none */
	uint8_t	 scale;
	int32_t	 disp;
};

/*
 * Decode the instruction at bytes, of which n can be read.
 * 0: *out is set. -EAGAIN: more than n bytes are needed. -EINVAL: not one of
 * ours, or longer than 15 bytes.
 */
int	insn_decode(const uint8_t *bytes, size_t n, enum insn_mode mode,
	    struct insn *out);

#endif /* CORE_INSN_H */
