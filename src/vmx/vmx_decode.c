/* SPDX-License-Identifier: ISC */
/*
 * vmx_decode.c - from the exit information of a VMCS to struct exit_info. Only
 * what the exit's handler will need is read.
 */
#include "vmx.h"
#include "debug.h"
#include "event.h"

#define DR6_ACTIVE_LOW	(VMX_QUAL_DEBUG_RTM | VMX_QUAL_DEBUG_BLD)

/*
 * NMIs of the guest are virtual: whether it blocks them says nothing about the
 * host's (SDM 3C 25.3).
 */
static void
set_nmi_blocking(bool on)
{
	uint64_t state = vmx_vmread(VMCS_GUEST_INTERRUPTIBILITY) &
	    ~(uint64_t)VMX_INTERRUPTIBILITY_NMI;

	vmx_vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
	    state | (on ? VMX_INTERRUPTIBILITY_NMI : 0));
}

/* The event whose delivery this exit cut short. False: there was none. */
static bool
read_interrupted(struct event *e)
{
	uint32_t hw = (uint32_t)vmx_vmread(VMCS_IDT_VECTORING_INFO);

	event_from_hw(hw, hw & VMX_INTR_INFO_EV ?
	    (uint32_t)vmx_vmread(VMCS_IDT_VECTORING_ERROR_CODE) : 0, e);
	/* An NMI that goes in again must not find itself in the way. */
	if (e->type == EVENT_NMI)
		set_nmi_blocking(false);
	return hw & VMX_INTR_INFO_V;
}

static void
decode_io(struct exit_info *x)
{
	static const uint8_t segment[] = {
		[VMX_IO_INFO_SEG_ES] = SREG_ES, [VMX_IO_INFO_SEG_CS] = SREG_CS,
		[VMX_IO_INFO_SEG_SS] = SREG_SS, [VMX_IO_INFO_SEG_DS] = SREG_DS,
		[VMX_IO_INFO_SEG_FS] = SREG_FS, [VMX_IO_INFO_SEG_GS] = SREG_GS,
	};
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);
	uint32_t info;
	unsigned int n;

	x->io.port = (uint16_t)(q >> VMX_QUAL_IO_PORT_SHIFT);
	x->io.size = (uint8_t)((q & VMX_QUAL_IO_SIZE_MASK) + 1);
	x->io.in = q & VMX_QUAL_IO_IN;
	x->io.string = q & VMX_QUAL_IO_STR;
	x->io.rep = q & VMX_QUAL_IO_REP;
	x->io.addr_size = 0;
	x->io.seg_valid = false;
	if (!x->io.string || !(vmx.basic & VMX_BASIC_INS_OUTS))
		return;
	info = (uint32_t)vmx_vmread(VMCS_EXIT_INSTRUCTION_INFO);
	x->info2 = info;
	x->io.addr_size = (uint8_t)(2u << ((info & VMX_IO_INFO_ADDRESS_MASK) >>
	    VMX_IO_INFO_ADDRESS_SHIFT));
	n = (info & VMX_IO_INFO_SEG_MASK) >> VMX_IO_INFO_SEG_SHIFT;
	/* Undefined for INS, which always uses ES. */
	if (x->io.in)
		n = VMX_IO_INFO_SEG_ES;
	x->io.seg_valid = n < sizeof(segment);
	if (x->io.seg_valid)
		x->io.seg = segment[index_nospec(n, sizeof(segment))];
}

/* What the exit cut short; the bit of the qualification is the same for all of these. */
static void
decode_delivery(struct exit_info *x)
{
	bool interrupted = read_interrupted(&x->interrupted);

	x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);
	/* An IRET that will run again has not ended it (SDM 3C 28.2.3). */
	if (!interrupted && (x->info1 & VMX_QUAL_EPT_NMI_UNBLOCK))
		set_nmi_blocking(true);
}

static void
decode_ept(struct exit_info *x)
{
	uint64_t q = x->info1;

	x->npf.gpa = x->info2 = vmx_vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
	x->npf.access = q & VMX_QUAL_EPT_W ? STAGE2_W :
	    q & VMX_QUAL_EPT_X ? STAGE2_X : STAGE2_R;
}

static void
decode_cr(struct exit_info *x)
{
	static const uint8_t op[] = {
		[VMX_QUAL_CR_TYPE_MOV_TO] = CR_MOV_TO,
		[VMX_QUAL_CR_TYPE_MOV_FROM] = CR_MOV_FROM,
		[VMX_QUAL_CR_TYPE_CLTS] = CR_CLTS,
		[VMX_QUAL_CR_TYPE_LMSW] = CR_LMSW,
	};
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);

	x->cr.cr = q & VMX_QUAL_CR_CR_MASK;
	x->cr.op = op[(q & VMX_QUAL_CR_TYPE_MASK) >> VMX_QUAL_CR_TYPE_SHIFT];
	x->cr.gpr = (q & VMX_QUAL_CR_GPR_MASK) >> VMX_QUAL_CR_GPR_SHIFT;
	x->cr.msw = (uint16_t)(q >> VMX_QUAL_CR_LMSW_SHIFT);
	x->cr.msw_mem = x->cr.op == CR_LMSW && (q & VMX_QUAL_CR_LMSW_MEMORY);
	if (x->cr.msw_mem)
		x->cr.msw_gva = vmx_vmread(VMCS_GUEST_LINEAR_ADDRESS);
	x->cr.valid = true;
}

/*
 * A #DB that exits has changed neither DR6 nor DR7 yet (SDM 3C 28.1). That of
 * INT1 leaves RIP at the instruction, but is a trap; with it comes what a MOV SS
 * before has held.
 */
static void
decode_debug(struct vcpu *v, uint32_t hw)
{
	struct exit_info *x = &v->exit;
	uint64_t q = x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);
	uint64_t met = q & (VMX_QUAL_DEBUG_B_MASK | VMX_QUAL_DEBUG_BD |
	    VMX_QUAL_DEBUG_BS);

	if ((hw & VMX_INTR_INFO_TYPE_MASK) >> VMX_INTR_INFO_TYPE_SHIFT ==
	    VMX_INTR_INFO_TYPE_INT1) {
		v->gpr[VCPU_REGS_RIP] +=
		    vmx_vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
		met |= vmx_clear_shadow(v) & VMX_QUAL_DEBUG_B_MASK;
	}
	debug_report(v, met);
	v->dr6 = (v->dr6 | DR6_ACTIVE_LOW) & ~(q & DR6_ACTIVE_LOW);
}

/*
 * An event of the host can come before the trap behind the guest's last
 * instruction (SDM 3C 28.3.4). The trap is due like an exception whose delivery
 * was cut short: left in the VMCS, it would be lost with the next injection.
 */
static void
decode_pending_debug(struct vcpu *v)
{
	struct event *e = &v->exit.interrupted;
	uint64_t met;

	/* MOV SS still holds it. */
	if (vmx_shadow(v) & VMX_INTERRUPTIBILITY_MOV_SS)
		return;
	met = vmx_take_pending_debug();
	if (met == 0 || e->type != EVENT_NONE)
		return;
	debug_report(v, met);
	*e = (struct event){ .type = EVENT_EXCEPTION, .vector = ARCH_EXC_DB };
}

/* Reason 0: an exception that exits, or the host's NMI. */
static void
decode_exception(struct vcpu *v)
{
	struct exit_info *x = &v->exit;
	bool interrupted = read_interrupted(&x->interrupted);
	uint32_t hw = (uint32_t)vmx_vmread(VMCS_EXIT_INTERRUPTION_INFO);

	x->info2 = hw;
	x->exc.vector = hw & VMX_INTR_INFO_VECTOR_MASK;
	x->exc.has_error = hw & VMX_INTR_INFO_EV;
	if (x->exc.has_error)
		x->exc.error = (uint32_t)
		    vmx_vmread(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
	x->kind = vmx_exception_kind(x->exc.vector);
	if (x->kind == EXIT_NMI)
		host_nmi();
	else if (x->kind == EXIT_EXCEPTION_DB)
		decode_debug(v, hw);
	else if (x->kind == EXIT_EXCEPTION_MC)
		decode_pending_debug(v);
	if (!interrupted && (hw & VMX_INTR_INFO_NMI_UNBLOCK))
		set_nmi_blocking(true);
}

void
vmx_decode_exit(struct vcpu *v)
{
	struct exit_info *x = &v->exit;

	x->insn_len = 0;
	if (exit_policy[x->kind].delivery)
		decode_delivery(x);

	switch (x->kind) {
	case EXIT_NMI:
		decode_exception(v);
		return;
	case EXIT_STAGE2_FAULT:
		decode_ept(x);
		return;
	case EXIT_EPT_MISCONFIGURATION:
		x->info2 = vmx_vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
		return;
	case EXIT_TASK_SWITCH:
		read_interrupted(&x->interrupted);
		x->info1 = vmx_vmread(VMCS_EXIT_QUALIFICATION);
		return;
	case EXIT_INIT:
	case EXIT_SMI:
		decode_pending_debug(v);
		return;
	case EXIT_IO:
		decode_io(x);
		break;
	case EXIT_CR_ACCESS:
		decode_cr(x);
		vmx_read_rsp(v);
		break;
	default:
		if (!exit_policy[x->kind].advance)
			return;
		break;
	}
	x->insn_len = (uint8_t)vmx_vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
}
