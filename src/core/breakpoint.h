/* SPDX-License-Identifier: ISC */
/*
 * breakpoint.h - breakpoints of DR0-DR3 on what the driver does for an
 * instruction.
 *
 * The CPU watches what it does itself. Of an instruction that the driver
 * emulates, the driver has to say what it has accessed; vcpu_advance() then
 * raises the debug exception behind the instruction. Instruction breakpoints
 * are faults, and the CPU has looked for them before the exit.
 */
#ifndef CORE_BREAKPOINT_H
#define CORE_BREAKPOINT_H

#include "vm.h"

/*
 * The instruction being emulated has accessed these ports, or these bytes at a
 * linear address: note the guest's breakpoints on them in v->debug_traps. Right
 * before vcpu_advance(), when nothing can fault any more. The vCPU's own thread;
 * loaded or not; nothing sleeps.
 */
void	breakpoint_io(struct vcpu *v, uint16_t port, unsigned int size);
void	breakpoint_data(struct vcpu *v, uint64_t gva, unsigned int size,
	    bool write);

#endif /* CORE_BREAKPOINT_H */
