/* SPDX-License-Identifier: ISC */
/*
 * insn_fetch.h - the instruction at CS:RIP, where the CPU does not report it.
 * May sleep; only on the vCPU's own thread, in the creator's address space.
 */
#ifndef CORE_INSN_FETCH_H
#define CORE_INSN_FETCH_H

#include "gva.h"
#include "insn.h"

/* gpr[] index of an x86 register encoding. */
extern const uint8_t reg_by_encoding[16];

/* A set of instructions, for insn_fetch(). */
#define INSN_BIT(op)	(1ULL << (op))

/*
 * Decode the instruction of the last exit: from v->exit.bytes where the CPU
 * gave them, else from the guest's memory, which is touched page by page and
 * never beyond the instruction's end. ops are those that the exit can be
 * about (INSN_BIT); anything else at CS:RIP means that the code has changed
 * since.
 * 0: *out is set. INSN_RETRY: enter the guest again, either because the fetch
 * faults (the fault is queued) or because the code is another by now.
 * -EFAULT: CS:RIP, or a page table on the way, is no memory of the guest.
 * -EINTR: RUN is to return first.
 */
#define INSN_RETRY	1
int	insn_fetch(struct vcpu *v, uint64_t ops, struct insn *out);

/*
 * The bytes at CS:RIP for a client that decodes by itself: as many of 15 as
 * can be had without a fault. Returns their number, or -EINTR.
 */
int	insn_bytes(struct vcpu *v, uint8_t bytes[INSN_MAX]);

/*
 * Linear address of a decoded instruction's memory operand of len bytes, after
 * the segment's checks; RIP is still that of the instruction.
 * 0, GVA_FAULT (*fault is set).
 */
int	insn_operand_gva(struct vcpu *v, const struct insn *insn, size_t len,
	    enum gva_access access, uint64_t *gva, struct guest_fault *fault);

#endif /* CORE_INSN_FETCH_H */
