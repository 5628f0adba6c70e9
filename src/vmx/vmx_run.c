/* SPDX-License-Identifier: ISC */
/*
 * vmx_run.c - the way into the guest and back: the host's state in the VMCS,
 * what the CPU does not switch, and the entry.
 */
#include "vmx.h"
#include "cpu.h"
#include "debug.h"
#include "event.h"
#include "guest_loop.h"

#define APIC_TPR	0x80	/* offset in the virtual-APIC page */
#define TPR_SHIFT	4	/* CR8 is bits 7-4 of the TPR (SDM 3A 11.8.6) */

static void
host_field(struct vmx_vcpu *s, uint32_t field, uint64_t *copy, uint64_t value)
{
	if (s->written && *copy == value)
		return;
	vmx_vmwrite(field, value);
	*copy = value;
}

/* The host's state on this CPU, whatever the thread (SDM 3C 25.5). */
static void
write_host_state(struct vmx_vcpu *s, const struct vmx_cpu *cpu)
{
	const struct host_context *c = &cpu->host;

	vmx_vmwrite(VMCS_HOST_CR0, c->cr0);
	vmx_vmwrite(VMCS_HOST_GS_BASE, c->gs_base);
	vmx_vmwrite(VMCS_HOST_TR_BASE, c->tr_base);
	vmx_vmwrite(VMCS_HOST_GDTR_BASE, c->gdt_base);
	vmx_vmwrite(VMCS_HOST_IDTR_BASE, c->idt_base);
	vmx_vmwrite(VMCS_HOST_IA32_PAT, cpu->pat);
	vmx_vmwrite(VMCS_HOST_IA32_EFER, cpu->efer);
	vmx_vmwrite(VMCS_HOST_IA32_SYSENTER_CS, cpu->sysenter_cs);
	vmx_vmwrite(VMCS_HOST_IA32_SYSENTER_ESP, cpu->sysenter_esp);
	vmx_vmwrite(VMCS_HOST_IA32_SYSENTER_EIP, cpu->sysenter_eip);
	/* Selectors with RPL or TI are no host state: put() brings them. */
	vmx_vmwrite(VMCS_HOST_CS_SELECTOR, c->cs);
	vmx_vmwrite(VMCS_HOST_SS_SELECTOR, c->ss);
	vmx_vmwrite(VMCS_HOST_DS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_ES_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_TR_SELECTOR, c->tr);
	vmx_vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
	s->host_rsp = 0;
	s->moved = false;
}

static void
read_msrs(const struct vmx_msrs *set, uint64_t *value)
{
	unsigned int i;

	for (i = 0; i < set->count; i++)
		value[i] = cpu_rdmsr(set->msr[i].index);
}

void
vmx_read_host(struct vmx_cpu *c)
{
	host_context_save(&c->host);
	c->pat = cpu_rdmsr(ARCH_MSR_PAT);
	c->efer = cpu_rdmsr(ARCH_MSR_EFER);
	c->sysenter_cs = cpu_rdmsr(ARCH_MSR_SYSENTER_CS);
	c->sysenter_esp = cpu_rdmsr(ARCH_MSR_SYSENTER_ESP);
	c->sysenter_eip = cpu_rdmsr(ARCH_MSR_SYSENTER_EIP);
	read_msrs(&vmx.stay_msrs, c->stay_msr);
	read_msrs(&vmx.sce_msrs, c->sce_msr);
}

/* The guest's values for the host's, or the reverse, where they differ. */
static void
write_msrs(const struct vmx_msrs *set, const struct vcpu *v,
    const uint64_t *host, bool guest)
{
	unsigned int i;

	for (i = 0; i < set->count; i++) {
		uint64_t value = v->msr[set->msr[i].slot];

		if (value == host[i])
			continue;
		if (!guest)
			cpu_wrmsr(set->msr[i].index, host[i]);
		else if (!cpu_wrmsr_safe(set->msr[i].index, value))
			/* Not with what is checked before it is kept. */
			cpu_wrmsr(set->msr[i].index, 0);
	}
}

/* What the guest has written without an exit. */
static void
keep_msrs(struct vcpu *v)
{
	const struct vmx_msrs *set = &vmx.stay_msrs;
	unsigned int i;

	for (i = 0; i < set->count; i++)
		v->msr[set->msr[i].slot] = cpu_rdmsr(set->msr[i].index);
}

/*
 * The guest's KERNEL_GS_BASE for the thread's, which it returns. On a CPU with
 * LA57 a guest can have a value of 57 bits there, whatever the paging mode:
 * WRMSR takes what the CPU could use, WRGSBASE what the paging mode can (SDM 1
 * 3.3.7.1), and it must not fault here.
 */
static uint64_t
put_swapgs_base(uint64_t base)
{
	uint64_t old;

	if (arch_canonical(base))
		return host_swapgs_base(base);
	old = cpu_rdmsr(ARCH_MSR_KERNEL_GS_BASE);
	if (!cpu_wrmsr_safe(ARCH_MSR_KERNEL_GS_BASE, base))
		cpu_wrmsr(ARCH_MSR_KERNEL_GS_BASE, 0);
	return old;
}

void
vmx_syscall_load(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	/* Without SCE the instruction is undefined, and reads exit. */
	if (!s->here || !s->sce)
		return;
	write_msrs(&vmx.sce_msrs, v, vmx.cpu[v->stay.cpu].sce_msr, true);
	s->syscall = true;
}

void
vmx_syscall_put(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->syscall)
		return;
	write_msrs(&vmx.sce_msrs, v, vmx.cpu[v->stay.cpu].sce_msr, false);
	s->syscall = false;
}

static void
load(struct vcpu *v)
{
	struct vmx_cpu *c = &vmx.cpu[v->stay.cpu];
	struct vmx_vcpu *s = vmx_vcpu(v);

	s->here = c->on;
	if (!s->here)
		return;
	vmcs_bring(c, s);
	if (c->last_vcpu != s->tag) {
		c->last_vcpu = s->tag;
		host_predictor_barrier();
	}
	if (s->moved)
		write_host_state(s, c);
	host_thread_save(&s->thread);
	/* CR3 and CR4 can change during a stay: see write_turn_state(). */
	host_field(s, VMCS_HOST_FS_BASE, &s->host.fs_base, s->thread.fs_base);
	write_msrs(&vmx.stay_msrs, v, c->stay_msr, true);
	s->thread_swapgs_base =
	    put_swapgs_base(v->msr[MSR_SLOT_KERNEL_GS_BASE]);
	vmx_syscall_load(v);
	s->fresh = true;
}

static void
put(struct vcpu *v)
{
	const struct vmx_cpu *c = &vmx.cpu[v->stay.cpu];
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->here)
		return;
	s->here = false;
	if (s->rsp_due)
		vmx_read_rsp(v);
	debug_put(v, v->dr6);
	vmx_syscall_put(v);
	keep_msrs(v);
	write_msrs(&vmx.stay_msrs, v, c->stay_msr, false);
	v->msr[MSR_SLOT_KERNEL_GS_BASE] =
	    host_swapgs_base(s->thread_swapgs_base);
	host_context_restore(&c->host, &s->thread);
	if (s->thread.gs != 0)
		host_swapgs_base(s->thread_swapgs_base);
}

/* Translations with this vCPU's tags end here (SDM 3C 29.4.3). */
static void
drop_translations(const struct vcpu *v)
{
	const struct vmx_vcpu *s = vmx_vcpu(v);
	const struct vmx_vm *xv = v->vm->backend;

	vmx_invept(vmx.ept_cap & VMX_EPT_VPID_CAP_INVEPT_SINGLE ?
	    VMX_INVEPT_SINGLE : VMX_INVEPT_ALL, xv->eptp);
	if (s->vpid != 0)
		vmx_invvpid(vmx.ept_cap & VMX_EPT_VPID_CAP_INVVPID_SINGLE ?
		    VMX_INVVPID_SINGLE : VMX_INVVPID_ALL, s->vpid);
}

static void
guest_field(uint32_t field, uint64_t *copy, uint64_t value)
{
	if (*copy == value)
		return;
	vmx_vmwrite(field, value);
	*copy = value;
}

/* The VMCS has nothing of the copies yet. */
static void
write_copies(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	s->rsp = v->gpr[VCPU_REGS_RSP];
	vmx_vmwrite(VMCS_GUEST_RSP, s->rsp);
	s->rip = v->gpr[VCPU_REGS_RIP];
	vmx_vmwrite(VMCS_GUEST_RIP, s->rip);
	s->rflags = v->gpr[VCPU_REGS_RFLAGS] | ARCH_RFLAGS_MB1;
	vmx_vmwrite(VMCS_GUEST_RFLAGS, s->rflags);
	s->rsp_due = false;
	s->written = true;
}

/* What interrupts or the client may have changed since the last turn. */
static void
write_turn_state(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	uint32_t proc = vmx.controls.proc |
	    (s->window ? VMX_PROC_INTR_WINDOW : 0);

	host_field(s, VMCS_HOST_CR3, &s->host.cr3, vmx_read_cr3());
	host_field(s, VMCS_HOST_CR4, &s->host.cr4, cpu_read_cr4());
	if (!s->written)
		write_copies(v);
	if (proc != s->proc) {
		vmx_vmwrite(VMCS_PROC_CONTROLS, proc);
		s->proc = proc;
	}
	if (v->inject.type != EVENT_NONE) {
		/*
		 * Delivery ends a shadow, and loses what MOV SS held (SDM 3C
		 * 27.7.1, 27.7.3). Left alone, the shadow of a stepped STI would
		 * fail the entry: see vmx_follow_tf().
		 */
		vmx_clear_shadow(v);
		vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO,
		    event_to_hw(&v->inject));
		if (v->inject.has_error)
			vmx_vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE,
			    v->inject.error);
	}
}

/*
 * The CPU itself switches the host's counters, with the entry and the exit:
 * until then an NMI may turn them on again. PEBS is off a little before as well:
 * a record that is under way still goes by the host's tables.
 */
static void
write_perf_msrs(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	struct host_perf_msr msr[HOST_PERF_MSRS];
	unsigned int i, n = host_perf_msrs(msr);

	for (i = 0; i < n; i++) {
		s->msrs->entry[i] = (struct vmx_msr_entry){
			.index = msr[i].index, .value = msr[i].guest,
		};
		s->msrs->exit[i] = (struct vmx_msr_entry){
			.index = msr[i].index, .value = msr[i].host,
		};
		if (msr[i].index == ARCH_MSR_PEBS_ENABLE)
			cpu_wrmsr(ARCH_MSR_PEBS_ENABLE, msr[i].guest);
	}
	v->host_counts = n != 0;
	if (n == s->perf_msrs)
		return;
	vmx_vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, n);
	vmx_vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, n);
	s->perf_msrs = n;
}

/* What an exit would have done. */
static void
host_perf_back(const struct vmx_vcpu *s)
{
	unsigned int i;

	for (i = 0; i < s->perf_msrs; i++)
		cpu_wrmsr(s->msrs->exit[i].index, s->msrs->exit[i].value);
}

/* The CPU refused to try: an error of this driver. */
static int
enter_failed(struct vcpu *v)
{
	uint32_t error = (uint32_t)vmx_vmread(VMCS_INSTRUCTION_ERROR);
	char how[96];

	host_format(how, sizeof(how), "error %u, %s", error,
	    vmx_instruction_error(error));
	host_perf_back(vmx_vcpu(v));
	vmx_diagnose(v, how);
	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	return -EINVAL;
}

/* The CPU refused the guest's state, and has loaded the host's. */
static int
entry_failed(struct vcpu *v, uint32_t reason)
{
	char how[96];

	host_format(how, sizeof(how), "%s, qualification %llu",
	    vmx_exit_name(reason), (unsigned long long)
	    vmx_vmread(VMCS_EXIT_QUALIFICATION));
	vmx_diagnose(v, how);
	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	return -EINVAL;
}

/* A machine check came first (SDM 3C 27.9): all is as before the entry. */
static int
entry_cut_short(struct vcpu *v, uint32_t reason)
{
	struct exit_info *x = &v->exit;

	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	x->reason = reason;
	x->kind = EXIT_ENTRY_FAILED_MCE;
	x->info1 = x->info2 = 0;
	x->interrupted = v->inject;
	return ENTER_EXIT;
}

void
vmx_read_rsp(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	v->gpr[VCPU_REGS_RSP] = s->rsp = vmx_vmread(VMCS_GUEST_RSP);
	s->rsp_due = false;
}

static int
turn_begin(struct vcpu *v, bool flush)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->here || !vmx.cpu[v->stay.cpu].on || s->pdptes_due)
		return -EAGAIN;
	write_turn_state(v);
	if (flush || s->flush) {
		drop_translations(v);
		s->flush = false;
	}
	write_perf_msrs(v);
	debug_enter(v);
	return 0;
}

/* Registers that neither entries nor exits switch, and those that handlers change. */
static void
write_guest(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (!s->rsp_due)
		guest_field(VMCS_GUEST_RSP, &s->rsp, v->gpr[VCPU_REGS_RSP]);
	guest_field(VMCS_GUEST_RIP, &s->rip, v->gpr[VCPU_REGS_RIP]);
	guest_field(VMCS_GUEST_RFLAGS, &s->rflags,
	    v->gpr[VCPU_REGS_RFLAGS] | ARCH_RFLAGS_MB1);
	if (v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_TF)
		vmx_follow_tf(v);
	if (s->apic != NULL)
		s->apic[APIC_TPR] = (uint8_t)(v->cr8 << TPR_SHIFT);
	if (cpu_read_dr6() != v->dr6)
		cpu_write_dr6(v->dr6);
	if (cpu_read_cr2() != v->cr2)
		vmx_write_cr2(v->cr2);
}

static void
read_guest(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);

	if (s->apic != NULL)
		v->cr8 = s->apic[APIC_TPR] >> TPR_SHIFT;
	s->rsp_due = true;
	v->gpr[VCPU_REGS_RIP] = s->rip = vmx_vmread_on(VMCS_GUEST_RIP);
	v->gpr[VCPU_REGS_RFLAGS] = s->rflags =
	    vmx_vmread_on(VMCS_GUEST_RFLAGS);
}

/* Fill v->exit. Quick exits, but for MOV CR, have nothing but a length. */
static int
decode_exit(struct vcpu *v, uint32_t reason)
{
	struct exit_info *x = &v->exit;
	const struct exit_policy *p;

	x->reason = reason;
	x->kind = vmx_exit_kind(reason);
	x->info1 = x->info2 = 0;
	x->interrupted.type = EVENT_NONE;
	x->msr.write = (reason & VMX_EXIT_REASON_BASIC_MASK) == VMX_EXIT_WRMSR;
	p = &exit_policy[x->kind];
	if (!p->quick || p->operands) {
		vmx_decode_exit(v);
		return p->quick ? ENTER_QUICK : ENTER_EXIT;
	}
	x->insn_len = (uint8_t)vmx_vmread_on(VMCS_EXIT_INSTRUCTION_LENGTH);
	return ENTER_QUICK;
}

static int
enter(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_vcpu(v);
	uint32_t reason;
	int failed;

	write_guest(v);
	if (vmx.l1d_flush) {
		host_l1d_flush(s->fresh);
		s->fresh = false;
	}

	failed = vmx_enter(v->gpr, s->launched, &s->host_rsp, VMCS_HOST_RSP);

	v->cr2 = cpu_read_cr2();
	v->dr6 = cpu_read_dr6();
	if (failed)
		return enter_failed(v);
	reason = (uint32_t)vmx_vmread_on(VMCS_EXIT_REASON);
	if (reason & VMX_EXIT_REASON_ENTRY_FAILED)
		return vmx_exit_kind(reason) == EXIT_ENTRY_FAILED_MCE ?
		    entry_cut_short(v, reason) : entry_failed(v, reason);
	s->launched = true;
	s->shadow_known = false;
	read_guest(v);
	return decode_exit(v, reason);
}

static bool
irq_ready(struct vcpu *v)
{
	return (v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_IF) &&
	    vmx_vcpu(v)->here && vmx_shadow(v) == 0;
}

/* Right after an exit: what is known of the shadow is of before. */
static uint64_t
clear_shadow(struct vcpu *v)
{
	if (!(vmx_vmread_on(VMCS_GUEST_INTERRUPTIBILITY) & VMX_SHADOW))
		return 0;
	return vmx_clear_shadow(v);
}

static const struct guest_ops ops = {
	.load = load,
	.put = put,
	.turn_begin = turn_begin,
	.enter = enter,
	.turn_end = debug_leave,
	.irq_ready = irq_ready,
	.irq_window = vmx_irq_window,
	.clear_shadow = clear_shadow,
};

int
vmx_op_stay(struct vcpu *v)
{
	return guest_stay(v, &ops);
}
