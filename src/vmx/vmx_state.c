/* SPDX-License-Identifier: ISC */
/*
 * vmx_state.c - a vCPU's registers and what blocks its interrupts, in a VMCS
 * that may be on any CPU.
 */
#include "vmx.h"
#include "memory.h"

#define PDPTE_P		1u		/* a PAE root entry is present */

/* --- Registers -------------------------------------------------------------------------- */

static bool
pae_paging(const struct vcpu *v)
{
	return (vmx_reg_get(v, REG_CR0) & ARCH_CR0_PG) &&
	    (vmx_reg_get(v, REG_CR4) & ARCH_CR4_PAE) &&
	    !(vmx_reg_get(v, REG_EFER) & ARCH_EFER_LMA);
}

/*
 * The entry control has to agree with EFER.LMA (SDM 3C 27.3.1.1), and SCE says
 * whether the CPU needs what SYSCALL uses.
 */
static void
follow_efer(struct vcpu *v)
{
	uint32_t entry = vmx.controls.entry & ~VMX_ENTRY_IA32E_MODE;
	uint64_t efer = vmx_reg_get(v, REG_EFER);

	if (efer & ARCH_EFER_LMA)
		entry |= VMX_ENTRY_IA32E_MODE;
	vmx_vmwrite(VMCS_ENTRY_CONTROLS, entry);
	vmx_vcpu(v)->sce = efer & ARCH_EFER_SCE;
}

/* No shadow of STI without RFLAGS.IF (SDM 3C 27.3.1.5). */
static void
follow_if(struct vcpu *v)
{
	if (!(v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF) &&
	    (vmx_shadow(v) & VMX_INTERRUPTIBILITY_STI))
		vmx_clear_shadow(v);
}

void
vmx_follow_tf(struct vcpu *v)
{
	uint64_t step = v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_TF ?
	    VMX_PENDING_DEBUG_BS : 0;
	uint64_t pending;

	if (vmx_shadow(v) == 0)
		return;
	pending = vmx_vmread(VMCS_GUEST_PENDING_DEBUG);
	if ((pending & VMX_PENDING_DEBUG_BS) != step)
		vmx_vmwrite(VMCS_GUEST_PENDING_DEBUG,
		    pending ^ VMX_PENDING_DEBUG_BS);
}

void
vmx_op_regs_read(struct vcpu *v, uint64_t groups, struct vcpu_reg_state *vrs)
{
	if (!vmcs_begin(v))
		return;
	vmx_regs_read(v, groups, vrs);
	vmcs_end(v);
}

/*
 * General registers are in struct vcpu; the VMCS follows them only where a shadow
 * depends on it: when IF or TF goes. When TF comes, enter() sees to it.
 */
static bool
needs_vmcs(const struct vcpu *v, uint64_t groups,
    const struct vcpu_reg_state *vrs)
{
	return groups != VM_RWREGS_GPRS || (v->gpr[VCPU_REGS_RFLAGS] &
	    ~vrs->vrs_gprs[VCPU_REGS_RFLAGS] &
	    (ARCH_RFLAGS_IF | ARCH_RFLAGS_TF));
}

void
vmx_op_regs_write(struct vcpu *v, uint64_t groups,
    const struct vcpu_reg_state *vrs)
{
	const uint64_t *pdpte = &vrs->vrs_crs[VCPU_REGS_PDPTE0];

	if (!needs_vmcs(v, groups, vrs)) {
		vmx_regs_write(v, groups, vrs);
		return;
	}
	if (!vmcs_begin(v))
		return;
	vmx_regs_write(v, groups, vrs);
	if (groups & VM_RWREGS_GPRS) {
		follow_if(v);
		vmx_follow_tf(v);
	}
	if (groups & VM_RWREGS_MSRS)
		follow_efer(v);
	/* A client that does not know them gets what MOV CR3 would load. */
	if (groups & (VM_RWREGS_CRS | VM_RWREGS_MSRS))
		vmx_vcpu(v)->pdptes_due = pae_paging(v) &&
		    (!(groups & VM_RWREGS_CRS) ||
		    !(pdpte[0] | pdpte[1] | pdpte[2] | pdpte[3]));
	vmcs_end(v);
}

uint64_t
vmx_op_reg_get(struct vcpu *v, enum reg r)
{
	uint64_t value;

	if (!vmcs_begin(v))
		return 0;
	value = vmx_reg_get(v, r);
	vmcs_end(v);
	return value;
}

/* Does SYSCALL depend on it? */
static bool
is_syscall(enum reg r)
{
	return r == REG_EFER || (r >= REG_STAR && r <= REG_SFMASK);
}

void
vmx_op_reg_set(struct vcpu *v, enum reg r, uint64_t value)
{
	if (!vmcs_begin(v))
		return;
	if (is_syscall(r))
		vmx_syscall_put(v);
	vmx_reg_set(v, r, value);
	if (r == REG_EFER)
		follow_efer(v);
	if (is_syscall(r))
		vmx_syscall_load(v);
	/* What the CPU does by itself for a MOV that does not exit. */
	if (r == REG_CR0 || r == REG_CR4 || r == REG_EFER)
		vmx_vcpu(v)->pdptes_due = pae_paging(v);
	vmcs_end(v);
}

void
vmx_op_seg_get(struct vcpu *v, enum sreg s, struct vcpu_segment_info *seg)
{
	memset(seg, 0, sizeof(*seg));
	if (!vmcs_begin(v))
		return;
	vmx_seg_get(s, seg);
	vmcs_end(v);
}

void
vmx_op_mode(struct vcpu *v, struct guest_mode *m)
{
	uint64_t cs;

	memset(m, 0, sizeof(*m));
	if (!vmcs_begin(v))
		return;
	m->cr0 = vmx_reg_get(v, REG_CR0);
	m->cr3 = vmx_reg_get(v, REG_CR3);
	m->cr4 = vmx_reg_get(v, REG_CR4);
	m->efer = vmx_reg_get(v, REG_EFER);
	m->rflags = v->gpr[VCPU_REGS_RFLAGS];
	/* SS.DPL is CPL (SDM 3C 25.4.1). */
	m->cpl = (vmx_vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) & ARCH_AR_DPL_MASK) >>
	    ARCH_AR_DPL_SHIFT;
	cs = vmx_vmread(VMCS_GUEST_CS_ACCESS_RIGHTS);
	m->code64 = (m->efer & ARCH_EFER_LMA) && (cs & ARCH_AR_L);
	m->code32 = !m->code64 && (cs & ARCH_AR_DB);
	vmcs_end(v);
}

void
vmx_op_fetch_state(struct vcpu *v, struct fetch_state *s)
{
	memset(s, 0, sizeof(*s));
	if (!vmcs_begin(v))
		return;
	s->cr0 = vmx_reg_get(v, REG_CR0);
	s->cr3 = vmx_reg_get(v, REG_CR3);
	s->cr4 = vmx_reg_get(v, REG_CR4);
	s->efer = vmx_reg_get(v, REG_EFER);
	s->cs = vmx_vmread(VMCS_GUEST_CS_LIMIT) << 32 |
	    vmx_vmread(VMCS_GUEST_CS_ACCESS_RIGHTS);
	s->cs_base = vmx_vmread(VMCS_GUEST_CS_BASE);
	s->cpl = vmx_vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) & ARCH_AR_DPL_MASK;
	vmcs_end(v);
}

/*
 * PAE root entries live in the VMCS; here they come from memory, for a state
 * that the CPU has not loaded itself. What MOV CR3 would refuse is absent.
 */
int
vmx_op_prepare(struct vcpu *v)
{
	uint64_t pdpte[4] = { 0 };
	unsigned int i;
	int err;

	if (!vmx_vcpu(v)->pdptes_due)
		return 0;
	err = memory_read(v, vmx_op_reg_get(v, REG_CR3) & 0xffffffe0, pdpte,
	    sizeof(pdpte));
	if (err == -EINTR)
		return err;
	if (err)
		memset(pdpte, 0, sizeof(pdpte));
	if (!vmcs_begin(v))
		return 0;
	for (i = 0; i < 4; i++) {
		if (!(pdpte[i] & PDPTE_P) || (pdpte[i] & vmx.pdpte_reserved))
			pdpte[i] = 0;
		vmx_reg_set(v, (enum reg)(REG_PDPTE0 + i), pdpte[i]);
	}
	vmcs_end(v);
	vmx_vcpu(v)->pdptes_due = false;
	return 0;
}

/* --- Events ------------------------------------------------------------------------------- */

bool
vmx_op_irq_ready(struct vcpu *v)
{
	const struct vmx_vcpu *s = vmx_vcpu(v);
	bool ready;

	if (!(v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF))
		return false;
	if (s->shadow_known)
		return s->shadow == 0;
	if (!vmcs_begin(v))
		return false;
	ready = vmx_shadow(v) == 0;
	vmcs_end(v);
	return ready;
}

uint64_t
vmx_take_pending_debug(void)
{
	uint64_t pending = vmx_vmread(VMCS_GUEST_PENDING_DEBUG);
	uint64_t dr6 = 0;

	if (pending == 0)
		return 0;
	vmx_vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	/* Unless one was enabled, breakpoints are only remarks. */
	if (pending & VMX_PENDING_DEBUG_ENABLED)
		dr6 = pending & VMX_PENDING_DEBUG_B_MASK;
	if (pending & VMX_PENDING_DEBUG_BS)
		dr6 |= ARCH_DR6_BS;
	return dr6;
}

uint64_t
vmx_op_clear_shadow(struct vcpu *v)
{
	uint64_t held;

	if (!vmcs_begin(v))
		return 0;
	held = vmx_clear_shadow(v);
	vmcs_end(v);
	return held;
}
