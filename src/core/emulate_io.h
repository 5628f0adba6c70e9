/* SPDX-License-Identifier: ISC */
/*
 * emulate_io.h - port I/O: what is left to do when the client has answered.
 *
 * The client sees plain INs and OUTs. The driver moves the data of INS and
 * OUTS itself and presents one plain access an element; RIP moves on with the
 * last, so that the instruction is interruptible between elements, as on a
 * CPU.
 *
 * RIP has moved by the time that the client sees IN, OUT or OUTS; INS moves it,
 * rDI and rCX when the element is in memory. A client that has set another RIP
 * in between (VMM_IOC_WRITEREGS) has given the INS up.
 */
#ifndef CORE_EMULATE_IO_H
#define CORE_EMULATE_IO_H

#include "vm.h"

/*
 * The client has served v->io (active): put what it read where the
 * instruction wants it.
 * 0; the element's page may have become unwritable since it was checked: then
 * the fault is queued and the element is lost, as the port was read.
 * -EFAULT: the destination is no memory of the guest any more.
 * -EINTR: RUN is to return first; v->io keeps the answer (answered).
 * May sleep.
 */
int	io_complete(struct vcpu *v, uint32_t data);

/*
 * The client has not (vrp_continue = 0): the instruction is complete and its
 * destination keeps its value. 0. If it had been served before, and what was
 * read is still to be stored: as io_complete().
 */
int	io_cancel(struct vcpu *v);

#endif /* CORE_EMULATE_IO_H */
