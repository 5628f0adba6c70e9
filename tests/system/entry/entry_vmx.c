// SPDX-License-Identifier: ISC
/*
 * entry_vmx.c - the examples of VMX. Controls and host state are this CPU's own; the guest's
 * part is the example's. No guest executes anything: the preemption timer is 0 where there is
 * one, and EPT maps nothing.
 */
#include <linux/vmalloc.h>
#include <linux/gfp.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#include "entry.h"
#include "vmcs.h"
#include "vmx_controls.h"
#include "vmx_cpu.h"
#include "vmx_entry_vectors.h"

#define FEATURE_CONTROL_ON	5u	/* locked, VMX outside SMX */
#define EPTP_WB_4		0x1eu	/* write-back, four levels */

/* Addresses in the examples that stand for pages of ours. */
#define EXAMPLE_VMCS		0x10000
#define EXAMPLE_LINK		0x12000

static struct {
	uint32_t *vmxon, *vmcs, *link;
	void	*zero;			/* bitmaps, EPT, virtual APIC: all empty */
	struct vmx_controls controls;
	struct vmx_entry entry;
	struct host_context context;
	struct host_thread thread;
	uint64_t host_rsp;
	bool	 lacks_field;		/* a VMWRITE has failed */
} m;

void
vmx_vmwrite_failed(uint32_t field, uint64_t value)
{
	(void)field, (void)value;
	m.lacks_field = true;
}

static uint64_t
read_msr(uint32_t index)
{
	uint64_t value;

	rdmsrl(index, value);
	return value;
}

static void
write_field(uint32_t field, uint64_t value)
{
	vmx_vmwrite(field, value);
}

/* --- A state ------------------------------------------------------------------------------ */

static void
write_host(void)
{
	const struct host_context *c = &m.context;

	vmx_vmwrite(VMCS_HOST_CR0, c->cr0);
	vmx_vmwrite(VMCS_HOST_CR3, __read_cr3());
	vmx_vmwrite(VMCS_HOST_CR4, native_read_cr4());
	vmx_vmwrite(VMCS_HOST_CS_SELECTOR, c->cs);
	vmx_vmwrite(VMCS_HOST_SS_SELECTOR, c->ss);
	vmx_vmwrite(VMCS_HOST_DS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_ES_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmx_vmwrite(VMCS_HOST_TR_SELECTOR, c->tr);
	vmx_vmwrite(VMCS_HOST_FS_BASE, m.thread.fs_base);
	vmx_vmwrite(VMCS_HOST_GS_BASE, c->gs_base);
	vmx_vmwrite(VMCS_HOST_TR_BASE, c->tr_base);
	vmx_vmwrite(VMCS_HOST_GDTR_BASE, c->gdt_base);
	vmx_vmwrite(VMCS_HOST_IDTR_BASE, c->idt_base);
	vmx_vmwrite(VMCS_HOST_IA32_PAT, read_msr(MSR_IA32_CR_PAT));
	vmx_vmwrite(VMCS_HOST_IA32_EFER, read_msr(MSR_EFER));
	vmx_vmwrite(VMCS_HOST_IA32_SYSENTER_CS, read_msr(MSR_IA32_SYSENTER_CS));
	vmx_vmwrite(VMCS_HOST_IA32_SYSENTER_ESP, read_msr(MSR_IA32_SYSENTER_ESP));
	vmx_vmwrite(VMCS_HOST_IA32_SYSENTER_EIP, read_msr(MSR_IA32_SYSENTER_EIP));
	vmx_vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
	m.host_rsp = 0;
}

static void
write_controls(void)
{
	uint64_t zero = virt_to_phys(m.zero);

	vmx_controls_write(&m.controls, write_field);
	vmx_vmwrite(VMCS_MSR_BITMAP, zero);
	vmx_vmwrite(VMCS_EPT_POINTER, zero | EPTP_WB_4);
	if (m.controls.proc2 & VMX_PROC2_VPID)
		vmx_vmwrite(VMCS_VPID, 1);
	if (m.controls.proc & VMX_PROC_USE_TPR_SHADOW) {
		vmx_vmwrite(VMCS_VIRTUAL_APIC_ADDRESS, zero);
		vmx_vmwrite(VMCS_TPR_THRESHOLD, 0);
	}
	vmx_vmwrite(VMCS_CR0_GUEST_HOST_MASK, 0);
	vmx_vmwrite(VMCS_CR4_GUEST_HOST_MASK, 0);
	vmx_vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmx_vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmx_vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmx_vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmx_vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
	vmx_vmwrite(VMCS_ENTRY_INSTRUCTION_LENGTH, 0);
	if (m.controls.pin & VMX_PIN_PREEMPTION_TIMER)
		vmx_vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 0);
}

static bool
is_guest(uint16_t operand)
{
	return vmx_operand_place[operand].width != 0 &&
	    VMCS_ENCODING_GROUP(vmx_operand_place[operand].place) == VMCS_GROUP_GUEST;
}

/* What a guest begins with, and the two controls that its mode is made of. */
static void
write_state(const struct vmx_vector *t)
{
	uint64_t proc2 = VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED_GUEST;
	uint64_t entry = VMX_ENTRY_IA32E_MODE;

	/* What the states do not name is 0, where this CPU has it. */
	for (unsigned int i = 0; i < VMX_ENTRY_OPERANDS; i++)
		if (is_guest(i))
			vmx_vmwrite(vmx_operand_place[i].place, 0);
	vmx_vmwrite(VMCS_PREEMPTION_TIMER_VALUE, 0);
	for (unsigned int i = t->state; i < t->state + t->state_count; i++) {
		const struct vmx_setting *set = &vmx_settings[i];

		if (is_guest(set->operand))
			vmx_vmwrite(vmx_operand_place[set->operand].place, set->value);
		if (set->operand == VMX_ENTRY_PROC2_CONTROLS)
			vmx_vmwrite(VMCS_PROC2_CONTROLS, (m.controls.proc2 & ~proc2) |
			    (set->value & proc2));
		if (set->operand == VMX_ENTRY_ENTRY_CONTROLS)
			vmx_vmwrite(VMCS_ENTRY_CONTROLS, (m.controls.entry & ~entry) |
			    (set->value & entry));
	}
	*m.link = *m.vmcs;
	m.entry.link_revision = *m.link;
	m.lacks_field = false;
}

/* The example's addresses are none of this machine's. */
static uint64_t
translate(uint64_t value)
{
	if ((value & ~0xfffull) == EXAMPLE_VMCS)
		return virt_to_phys(m.vmcs) | (value & 0xfff);
	if ((value & ~0xfffull) == EXAMPLE_LINK)
		return virt_to_phys(m.link) | (value & 0xfff);
	return value;
}

/* False: the setting is about another machine. */
static bool
write_setting(const struct vmx_setting *set)
{
	uint16_t field = vmx_operand_place[set->operand].place;
	uint64_t value;

	switch (set->operand) {
	case VMX_ENTRY_LINK_REVISION:
		/* 0x11 is the right one. */
		*m.link = *m.vmcs ^ (uint32_t)(set->value ^ 0x11);
		m.entry.link_revision = *m.link;
		return true;
	case VMX_ENTRY_CURRENT_VMCS:
		return set->value == EXAMPLE_VMCS;
	case VMX_ENTRY_VMCS_LINK_POINTER:
		vmx_vmwrite(field, translate(set->value));
		return true;
	default:
		break;
	}
	if (vmx_operand_place[set->operand].width == 0)
		return (vmx_entry_operand(&m.entry, set->operand) & set->mask) == set->value;
	value = (vmx_vmread(field) & ~set->mask) | set->value;
	vmx_vmwrite(field, value);
	return !m.lacks_field;
}

static bool
write_settings(unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++)
		if (!write_setting(&vmx_settings[i]))
			return false;
	return true;
}

/* --- The CPU ------------------------------------------------------------------------------- */

/* Interrupts are off, and nobody else sees what an entry changes. */
static struct verdict
enter(void)
{
	struct verdict v = { .qualification = -1 };
	uint64_t gpr[VCPU_REGS_NGPRS] = { 0 };
	unsigned long dr6, dr7;
	uint64_t debugctl = read_msr(MSR_IA32_DEBUGCTLMSR);
	uint64_t reason;

	get_debugreg(dr6, 6);
	get_debugreg(dr7, 7);
	if (vmx_enter(gpr, false, &m.host_rsp, VMCS_HOST_RSP)) {
		v.error = (uint32_t)vmx_vmread(VMCS_INSTRUCTION_ERROR);
		return v;
	}
	set_debugreg(dr6, 6);
	set_debugreg(dr7, 7);
	wrmsrl(MSR_IA32_DEBUGCTLMSR, debugctl);
	reason = vmx_vmread(VMCS_EXIT_REASON);
	v.exit = reason & 0xffff;
	v.entered = !(reason & VMX_EXIT_REASON_ENTRY_FAILED);
	if (!v.entered)
		v.qualification = (int64_t)vmx_vmread(VMCS_EXIT_QUALIFICATION);
	return v;
}

static const struct entry_check *
first_broken(void)
{
	const struct entry_rules *rules = &vmx_entry_rules;

	for (unsigned int i = 0; i < rules->count; i++)
		if (!rules->holds(i, vmx_entry_operand, &m.entry))
			return &rules->checks[i];
	return NULL;
}

/* What the broken check's row says of this emulator. */
static unsigned int
said_of(const struct entry_check *broken)
{
	if (broken == NULL)
		return SAID_NOTHING;
	for (unsigned int i = 0; i < ARRAY_SIZE(vmx_vectors); i++)
		if (&vmx_entry_rules.checks[vmx_vectors[i].check] == broken)
			return vmx_vectors[i].emulator;
	return SAID_NOTHING;
}

static void
try(const struct vmx_vector *t, bool good, struct entry_result *r)
{
	uint64_t vmcs = virt_to_phys(m.vmcs);

	r->check = &vmx_entry_rules.checks[t->check];
	r->good = good;
	r->reason = t->reason;
	r->outcome = NOT_TRIED;
	if (t->emulator == VMX_UNTRIED || (good && t->never_entered))
		return;
	vmx_vmclear(vmcs);
	vmx_vmptrld(vmcs);
	write_controls();
	write_host();
	write_state(t);
	r->outcome = NOT_HERE;
	r->reason = "the state is one of another machine";
	if (!write_settings(t->given, t->given_count) ||
	    (!good && !write_settings(t->breaks, t->breaks_count)))
		return;
	r->broken = first_broken();
	r->cpu = enter();
	entry_judge(r, &vmx_entry_rules, said_of(r->broken));
}

static void
try_all(struct entry_result *r)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(vmx_vectors); i++) {
		try(&vmx_vectors[i], true, &r[2 * i]);
		try(&vmx_vectors[i], false, &r[2 * i + 1]);
	}
}

static int
vmx_on(void)
{
	uint64_t control = read_msr(MSR_IA32_FEAT_CTL);

	if (native_read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	if (!(control & 1))
		wrmsrl(MSR_IA32_FEAT_CTL, control | FEATURE_CONTROL_ON);
	host_cr4_change(X86_CR4_VMXE, 0);
	return vmx_vmxon(virt_to_phys(m.vmxon)) ? 0 : -EIO;
}

static void
vmx_off(void)
{
	vmx_vmclear(virt_to_phys(m.vmcs));
	vmx_vmxoff();
	host_cr4_change(0, X86_CR4_VMXE);
}

static int
negotiate(void)
{
	uint64_t caps;

	if (vmx_controls_negotiate(&m.controls, read_msr) != NULL ||
	    vmx_capabilities_negotiate(&m.controls, &caps, read_msr) != NULL)
		return -ENODEV;
	m.entry = (struct vmx_entry) {
		.vmread = vmx_vmread,
		.rdmsr = read_msr,
		.maxphyaddr = boot_cpu_data.x86_phys_bits,
		.linear_bits = boot_cpu_data.x86_virt_bits,
		.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX,
		.host_lma = 1,
		.has_sgx = boot_cpu_has(X86_FEATURE_SGX),
		.has_rtm = boot_cpu_has(X86_FEATURE_RTM),
		.current_vmcs = virt_to_phys(m.vmcs),
		.vmxon_region = virt_to_phys(m.vmxon),
	};
	*m.vmxon = *m.vmcs = read_msr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
	return 0;
}

struct entry_result *
entry_vmx(unsigned int *n, int *err)
{
	struct entry_result *r;

	*n = 2 * ARRAY_SIZE(vmx_vectors);
	r = vzalloc(array_size(*n, sizeof(*r)));
	m.vmxon = (void *)get_zeroed_page(GFP_KERNEL);
	m.vmcs = (void *)get_zeroed_page(GFP_KERNEL);
	m.link = (void *)get_zeroed_page(GFP_KERNEL);
	m.zero = (void *)get_zeroed_page(GFP_KERNEL);
	*err = -ENOMEM;
	if (r != NULL && m.vmxon && m.vmcs && m.link && m.zero)
		*err = negotiate();
	if (*err == 0) {
		local_irq_disable();
		host_context_save(&m.context);
		host_thread_save(&m.thread);
		*err = vmx_on();
		if (*err == 0) {
			try_all(r);
			vmx_off();
		}
		host_context_restore(&m.context, &m.thread);
		local_irq_enable();
	}
	free_page((unsigned long)m.vmxon);
	free_page((unsigned long)m.vmcs);
	free_page((unsigned long)m.link);
	free_page((unsigned long)m.zero);
	if (*err != 0) {
		vfree(r);
		r = NULL;
	}
	return r;
}
