/* SPDX-License-Identifier: ISC */
/*
 * sim/vmx_cpu.c - VMX without a CPU: VMCSs, the checks of SDM 3C 27 that the
 * driver could fail, the guest of the test, and what an exit does.
 */
#include "vmx_cpu.h"
#include "vmcs.h"
#include "vmx_controls.h"

#define EFER		0xc0000080u
#define EFER_LMA	(1ULL << 10)
#define DEBUGCTL	0x1d9u
#define FEATURE_CONTROL	0x3au
#define CR0_PE		1ULL
#define CR0_NE		(1ULL << 5)
#define CR0_PG		(1ULL << 31)
#define CR4_VMXE	(1ULL << 13)
#define DR7_OFF		0x400u
#define RFLAGS_IF	(1ULL << 9)
#define RFLAGS_MB1	2u
#define REVISION	0x5eu
#define SHADOW		(VMX_INTERRUPTIBILITY_STI | VMX_INTERRUPTIBILITY_MOV_SS)
#define EPTP_WB_4	0x1eu		/* write-back, four levels */
#define REASON_GUEST_STATE 0x80000021u

enum {	/* VM-instruction errors, SDM 3C 31.4 */
	ERROR_LAUNCHED = 4, ERROR_CLEAR = 5, ERROR_CONTROLS = 7,
	ERROR_HOST = 8, ERROR_NO_FIELD = 12, ERROR_READ_ONLY = 13,
};

/* Capability MSRs: must be 1, may be 1. The TRUE ones allow more zeros. */
static const struct {
	uint32_t index, true_index;
	uint32_t must, true_must, may;
} capability[] = {
	{ 0x481, 0x48d, 0x16, 0x16, 0x7f },
	{ 0x482, 0x48e, 0x401e172, 0x4006172, 0xfff9fffe },
	{ 0x483, 0x48f, 0x36dff, 0x36dfb, 0x7fffff },
	{ 0x484, 0x490, 0x11ff, 0x11fb, 0xffff },
};
#define PROC2_MAY	0x0010fcffu	/* as Haswell, with ENCLS */

struct sim_vmx sim_vmx;

static struct sim_vmx_cpu *
here(void)
{
	return &sim_vmx.cpu[host_cpu()];
}

static bool
has(enum sim_vmx_option o)
{
	return sim_vmx.options >> o & 1;
}

/* --- Set-up ------------------------------------------------------------------ */

static void
change_cr4(uint64_t set, uint64_t clear)
{
	uint64_t *cr4 = &sim_cpu[host_cpu()].cr4;

	if (here()->on && (clear & CR4_VMXE))
		host_user_panic("#GP in the host: CR4.VMXE cleared in VMX operation");
	*cr4 = (*cr4 | set) & ~clear;
}

static void
set_capabilities(void)
{
	uint32_t pin_may = capability[0].may, proc_may = capability[1].may;
	uint32_t proc2_may = PROC2_MAY;
	uint64_t ept = 0x06334141 & ~(1ULL << 25), vpid = 0;

	if (!has(SIM_VMX_TIMER))
		pin_may &= ~VMX_PIN_PREEMPTION_TIMER;
	if (!has(SIM_VMX_TPR_SHADOW))
		proc_may &= ~VMX_PROC_USE_TPR_SHADOW;
	if (!has(SIM_VMX_VPID))
		proc2_may &= ~VMX_PROC2_VPID;
	if (!has(SIM_VMX_PAUSE_LOOP))
		proc2_may &= ~VMX_PROC2_PAUSE_LOOP;
	if (!has(SIM_VMX_ENCLS))
		proc2_may &= ~VMX_PROC2_ENCLS;
	if (has(SIM_VMX_INVEPT_SINGLE))
		ept |= VMX_EPT_VPID_CAP_INVEPT_SINGLE;
	if (has(SIM_VMX_VPID))
		vpid = VMX_EPT_VPID_CAP_INVVPID | VMX_EPT_VPID_CAP_INVVPID_ALL;
	if (has(SIM_VMX_VPID) && has(SIM_VMX_INVVPID_SINGLE))
		vpid |= VMX_EPT_VPID_CAP_INVVPID_SINGLE;
	sim_msr_set(0x480, REVISION | 4096ULL << VMX_BASIC_SIZE_SHIFT |
	    6ULL << VMX_BASIC_MEMORY_TYPE_SHIFT |
	    (has(SIM_VMX_TRUE_CONTROLS) ? VMX_BASIC_TRUE_CONTROLS : 0) |
	    (has(SIM_VMX_INS_OUTS) ? VMX_BASIC_INS_OUTS : 0));
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t may = (uint64_t)(i == 0 ? pin_may : i == 1 ? proc_may :
		    capability[i].may) << 32;

		/* CPUs before the TRUE ones: what they need of CR3 exits is on
		 * then, so only ones that can do without are simulated. */
		sim_msr_set(capability[i].index, may |
		    (has(SIM_VMX_TRUE_CONTROLS) ? capability[i].must :
		    capability[i].true_must));
		if (has(SIM_VMX_TRUE_CONTROLS))
			sim_msr_set(capability[i].true_index,
			    may | capability[i].true_must);
	}
	sim_msr_set(0x485, 0x401e5);		/* MISC: timer rate 5, LMA saved */
	sim_msr_set(0x486, CR0_PG | CR0_NE | CR0_PE);	/* CR0_FIXED0, 1 */
	sim_msr_set(0x487, 0xffffffff);
	sim_msr_set(0x488, CR4_VMXE);
	sim_msr_set(0x489, 0x3767ff);
	sim_msr_set(0x48b, (uint64_t)proc2_may << 32);
	sim_msr_set(0x48c, ept | vpid);
}

void
sim_vmx_reset(unsigned int options)
{
	memset(&sim_vmx, 0, sizeof(sim_vmx));
	sim_vmx.options = options;
	host_user.on_cr4_change = change_cr4;
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		sim_vmx.cpu[cpu].cr3 = 0x1000000 + cpu * 0x1000ULL;
	/* GenuineIntel with VMX and without SVM. */
	sim_cpuid_set(0, UINT32_MAX, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69);
	sim_cpuid_set(1, UINT32_MAX, 0x000306c3, 0x00080800, 0x7ed8320b | 1u << 5,
	    0x178bfbff);
	sim_cpuid_set(0x80000001, UINT32_MAX, 0, 0, 0x21, 0x2c100800);
	sim_cpuid_set(0x8000000a, UINT32_MAX, 0, 0, 0, 0);
	sim_msr_remove(0xc0010114);
	sim_msr_remove(0xc0010117);
	sim_msr_set(FEATURE_CONTROL, 5);
	sim_msr_set(DEBUGCTL, 0);
	set_capabilities();
}

/* --- The VMCS ---------------------------------------------------------------- */

/* The field's place; SIM_FIELDS: this CPU has none. */
static unsigned int
place(uint32_t field)
{
	static const struct { uint32_t field; enum sim_vmx_option needs; } maybe[] = {
		{ VMCS_VPID, SIM_VMX_VPID },
		{ VMCS_VIRTUAL_APIC_ADDRESS, SIM_VMX_TPR_SHADOW },
		{ VMCS_TPR_THRESHOLD, SIM_VMX_TPR_SHADOW },
		{ VMCS_PLE_GAP, SIM_VMX_PAUSE_LOOP },
		{ VMCS_PLE_WINDOW, SIM_VMX_PAUSE_LOOP },
		{ VMCS_ENCLS_EXITING_BITMAP, SIM_VMX_ENCLS },
		{ VMCS_PREEMPTION_TIMER_VALUE, SIM_VMX_TIMER },
	};
	unsigned int i;

	for (i = 0; i < sizeof(maybe) / sizeof(maybe[0]); i++)
		if (maybe[i].field == field && !has(maybe[i].needs))
			return SIM_FIELDS;
	for (i = 0; i < vmcs_fields_count; i++)
		if (vmcs_fields[i].encoding == field)
			return i;
	return SIM_FIELDS;
}

static struct sim_vmcs *
current(void)
{
	struct sim_vmx_cpu *c = here();

	if (!c->on)
		host_user_panic("#UD in the host: VMX without VMXON");
	if (c->current == NULL)
		host_user_panic("no VMCS is current");
	return c->current;
}

uint64_t
sim_vmx_get(uint32_t field)
{
	unsigned int at = place(field);

	if (at == SIM_FIELDS)
		host_user_panic("this CPU has no field %#x", field);
	return current()->field[at];
}

void
sim_vmx_set(uint32_t field, uint64_t value)
{
	unsigned int at = place(field);

	if (at == SIM_FIELDS)
		host_user_panic("this CPU has no field %#x", field);
	if (VMCS_ENCODING_WIDTH(field) == VMCS_WIDTH_16)
		value = (uint16_t)value;
	if (VMCS_ENCODING_WIDTH(field) == VMCS_WIDTH_32)
		value = (uint32_t)value;
	current()->field[at] = value;
}

uint64_t
sim_vmx_entered(uint32_t field)
{
	return sim_vmx.entered.field[place(field)];
}

uint64_t
vmx_vmread(uint32_t field)
{
	return sim_vmx_get(field);
}

void
vmx_vmwrite(uint32_t field, uint64_t value)
{
	current();
	if (place(field) == SIM_FIELDS ||
	    VMCS_ENCODING_GROUP(field) == VMCS_GROUP_INFO) {
		sim_vmx_set(VMCS_INSTRUCTION_ERROR, place(field) == SIM_FIELDS ?
		    ERROR_NO_FIELD : ERROR_READ_ONLY);
		sim_vmx.write_errors++;
		vmx_vmwrite_failed(field, value);
		return;
	}
	sim_vmx_set(field, value);
}

/* The VMCS at pa, which a VMCLEAR or VMPTRLD brings to life. */
static struct sim_vmcs *
find(uint64_t pa)
{
	struct sim_vmcs *s, *unused = NULL;

	if (pa % 4096 != 0)
		host_user_panic("a VMCS at %#llx", (unsigned long long)pa);
	if ((*(uint32_t *)host_pa_to_va(pa) & 0x7fffffff) != REVISION)
		host_user_panic("a VMCS without the revision");
	for (s = sim_vmx.vmcs; s < sim_vmx.vmcs + SIM_VMCSS; s++) {
		if (s->pa == pa)
			return s;
		/* A clear one may be gone with its page. */
		if (unused == NULL && (s->pa == 0 || s->active == 0))
			unused = s;
	}
	if (unused == NULL)
		host_user_panic("too many VMCSs");
	memset(unused, 0, sizeof(*unused));
	/* What memory of before may look like. */
	memset(unused->field, 0x5a, sizeof(unused->field));
	unused->pa = pa;
	return unused;
}

bool
vmx_vmclear(uint64_t pa)
{
	struct sim_vmcs *s = find(pa);

	if (!here()->on)
		host_user_panic("#UD in the host: VMCLEAR without VMXON");
	if (s->active != 0 && s->active != host_cpu() + 1)
		host_user_panic("VMCLEAR on another CPU than where it is active");
	s->active = 0;
	s->launched = false;
	if (here()->current == s)
		here()->current = NULL;
	return true;
}

bool
vmx_vmptrld(uint64_t pa)
{
	struct sim_vmcs *s = find(pa);

	if (!here()->on)
		host_user_panic("#UD in the host: VMPTRLD without VMXON");
	if (s->active != 0 && s->active != host_cpu() + 1)
		host_user_panic("a VMCS active on two CPUs");
	s->active = host_cpu() + 1;
	here()->current = s;
	return true;
}

/* --- VMX operation ------------------------------------------------------------ */

bool
vmx_vmxon(uint64_t pa)
{
	if (!(cpu_read_cr4() & CR4_VMXE))
		host_user_panic("#UD in the host: VMXON without CR4.VMXE");
	if ((cpu_rdmsr(FEATURE_CONTROL) & 5) != 5)
		host_user_panic("#GP in the host: VMXON against the firmware");
	if (*(uint32_t *)host_pa_to_va(pa) != REVISION)
		return false;
	here()->on = true;
	here()->current = NULL;
	return true;
}

void
vmx_vmxoff(void)
{
	struct sim_vmcs *s;

	for (s = sim_vmx.vmcs; s < sim_vmx.vmcs + SIM_VMCSS; s++)
		if (s->pa != 0 && s->active == host_cpu() + 1)
			host_user_panic("VMXOFF with a VMCS still active");
	here()->on = false;
}

void
vmx_invept(uint64_t type, uint64_t eptp)
{
	if (type == VMX_INVEPT_SINGLE && !has(SIM_VMX_INVEPT_SINGLE))
		host_user_panic("INVEPT type %u on a CPU without it",
		    (unsigned int)type);
	if (type == VMX_INVEPT_SINGLE && (eptp & 0xfff) != EPTP_WB_4)
		host_user_panic("INVEPT of %#llx", (unsigned long long)eptp);
	sim_vmx.invepts++;
}

void
vmx_invvpid(uint64_t type, uint16_t vpid)
{
	struct sim_vmx_cpu *c = here();

	if (!has(SIM_VMX_VPID) ||
	    (type == VMX_INVVPID_SINGLE && !has(SIM_VMX_INVVPID_SINGLE)))
		host_user_panic("INVVPID type %u on a CPU without it",
		    (unsigned int)type);
	if (type == VMX_INVVPID_SINGLE)
		c->vpid[vpid] = NULL;
	else
		memset(c->vpid, 0, sizeof(c->vpid));
	sim_vmx.invvpids++;
}

uint64_t
vmx_read_cr3(void)
{
	return here()->cr3;
}

void
vmx_write_cr2(uint64_t v)
{
	sim_cpu[host_cpu()].cr2 = v;
}

/* --- Entries -------------------------------------------------------------------- */

static bool
controls_bad(void)
{
	static const struct { uint32_t field, index, true_index; } word[] = {
		{ VMCS_PIN_CONTROLS, 0x481, 0x48d },
		{ VMCS_PROC_CONTROLS, 0x482, 0x48e },
		{ VMCS_EXIT_CONTROLS, 0x483, 0x48f },
		{ VMCS_ENTRY_CONTROLS, 0x484, 0x490 },
		{ VMCS_PROC2_CONTROLS, 0x48b, 0x48b },
	};
	uint32_t event = (uint32_t)sim_vmx_get(VMCS_ENTRY_INTERRUPTION_INFO);

	for (unsigned int i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		uint64_t offer = cpu_rdmsr(has(SIM_VMX_TRUE_CONTROLS) ?
		    word[i].true_index : word[i].index);
		uint32_t value = (uint32_t)sim_vmx_get(word[i].field);

		if (((uint32_t)offer & ~value) || (value & ~(offer >> 32)))
			return true;
	}
	if ((sim_vmx_get(VMCS_EPT_POINTER) & 0xfff) != EPTP_WB_4)
		return true;
	if (has(SIM_VMX_VPID) && sim_vmx_get(VMCS_VPID) == 0 &&
	    (sim_vmx_get(VMCS_PROC2_CONTROLS) & VMX_PROC2_VPID))
		return true;
	/* An error code with the exceptions that have one, in protected mode. */
	if ((event & VMX_INTR_INFO_V) && (event & VMX_INTR_INFO_EV) &&
	    (!(sim_vmx_get(VMCS_GUEST_CR0) & CR0_PE) ||
	    !(0x27d00u >> (event & 31) & 1)))
		return true;
	return sim_vmx_get(VMCS_CR3_TARGET_COUNT) != 0 ||
	    sim_vmx_get(VMCS_EXIT_MSR_STORE_COUNT) != 0 ||
	    sim_vmx_get(VMCS_EXIT_MSR_LOAD_COUNT) != 0 ||
	    sim_vmx_get(VMCS_ENTRY_MSR_LOAD_COUNT) != 0;
}

static void
must_be(uint32_t field, uint64_t value)
{
	if (sim_vmx_get(field) != value)
		host_user_panic("an exit would bring %s = %#llx, not %#llx",
		    vmcs_field_name(field),
		    (unsigned long long)sim_vmx_get(field),
		    (unsigned long long)value);
}

/* What an exit loads has to be this CPU's and this thread's. */
static bool
host_bad(uint64_t host_rsp)
{
	struct host_context c;

	host_context_save(&c);
	host_user.context_saves--;
	must_be(VMCS_HOST_CR0, c.cr0);
	must_be(VMCS_HOST_CR3, vmx_read_cr3());
	must_be(VMCS_HOST_CR4, cpu_read_cr4());
	must_be(VMCS_HOST_FS_BASE, c.fs_base);
	must_be(VMCS_HOST_GS_BASE, c.gs_base);
	must_be(VMCS_HOST_TR_BASE, c.tr_base);
	must_be(VMCS_HOST_GDTR_BASE, c.gdt_base);
	must_be(VMCS_HOST_IDTR_BASE, c.idt_base);
	must_be(VMCS_HOST_CS_SELECTOR, c.cs);
	must_be(VMCS_HOST_SS_SELECTOR, c.ss);
	must_be(VMCS_HOST_TR_SELECTOR, c.tr);
	must_be(VMCS_HOST_IA32_EFER, cpu_rdmsr(EFER));
	must_be(VMCS_HOST_IA32_PAT, cpu_rdmsr(0x277));
	must_be(VMCS_HOST_IA32_SYSENTER_CS, cpu_rdmsr(0x174));
	must_be(VMCS_HOST_IA32_SYSENTER_ESP, cpu_rdmsr(0x175));
	must_be(VMCS_HOST_IA32_SYSENTER_EIP, cpu_rdmsr(0x176));
	must_be(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
	must_be(VMCS_HOST_RSP, host_rsp);
	return !(sim_vmx_get(VMCS_HOST_CR4) & CR4_VMXE) ||
	    ((sim_vmx_get(VMCS_HOST_DS_SELECTOR) |
	    sim_vmx_get(VMCS_HOST_ES_SELECTOR) |
	    sim_vmx_get(VMCS_HOST_FS_SELECTOR) |
	    sim_vmx_get(VMCS_HOST_GS_SELECTOR)) & 7);
}

static bool
guest_bad(void)
{
	uint64_t cr0 = sim_vmx_get(VMCS_GUEST_CR0);
	uint64_t rflags = sim_vmx_get(VMCS_GUEST_RFLAGS);
	uint64_t state = sim_vmx_get(VMCS_GUEST_INTERRUPTIBILITY);
	uint32_t event = (uint32_t)sim_vmx_get(VMCS_ENTRY_INTERRUPTION_INFO);
	bool lma = sim_vmx_get(VMCS_GUEST_IA32_EFER) & EFER_LMA;
	bool ia32e = sim_vmx_get(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_MODE;

	if (!(cr0 & CR0_NE) || cr0 >> 32 || (cr0 & CR0_PG && !(cr0 & CR0_PE)) ||
	    !(sim_vmx_get(VMCS_GUEST_CR4) & CR4_VMXE) || lma != ia32e ||
	    !(rflags & RFLAGS_MB1) || (rflags & 0xffffffffffc08028))
		return true;
	if (!(rflags & RFLAGS_IF) && (state & VMX_INTERRUPTIBILITY_STI))
		return true;
	if ((event & VMX_INTR_INFO_V) && !(event & VMX_INTR_INFO_TYPE_MASK) &&
	    (!(rflags & RFLAGS_IF) || state & SHADOW))
		return true;
	if ((event & VMX_INTR_INFO_V) && (event & VMX_INTR_INFO_TYPE_MASK) ==
	    VMX_INTR_INFO_TYPE_NMI << VMX_INTR_INFO_TYPE_SHIFT && state != 0)
		return true;
	return sim_vmx_get(VMCS_GUEST_ACTIVITY_STATE) != 0 ||
	    sim_vmx_get(VMCS_VMCS_LINK_POINTER) != UINT64_MAX;
}

/* Translations of another vCPU must not carry this one's tag. */
static void
check_vpid(const struct sim_vmcs *s)
{
	uint64_t vpid;

	if (!has(SIM_VMX_VPID))
		return;
	vpid = sim_vmx_get(VMCS_VPID);
	if (here()->vpid[vpid] != NULL && here()->vpid[vpid] != s)
		host_user_panic("VPID %u has another's translations",
		    (unsigned int)vpid);
	here()->vpid[vpid] = s;
}

static int
vmfail(unsigned int error)
{
	sim_vmx_set(VMCS_INSTRUCTION_ERROR, error);
	sim_vmx.failed++;
	return 1;
}

void
vmx_exit(void)
{
}

void
sim_vmx_exits(uint32_t reason, uint64_t qualification, unsigned int length)
{
	sim_vmx_set(VMCS_EXIT_REASON, reason);
	sim_vmx_set(VMCS_EXIT_QUALIFICATION, qualification);
	sim_vmx_set(VMCS_EXIT_INSTRUCTION_LENGTH, length);
}

int
vmx_enter(uint64_t *gpr, bool launched, uint64_t *host_rsp,
    uint32_t host_rsp_field)
{
	struct sim_vmcs *s = current();
	struct sim_cpu *cpu = &sim_cpu[host_cpu()];

	if (!host_user_irqs_off())
		host_user_panic("a VM entry with interrupts on");
	if (*host_rsp != (uintptr_t)&sim_vmx) {
		*host_rsp = (uintptr_t)&sim_vmx;
		vmx_vmwrite(host_rsp_field, *host_rsp);
	}
	if (s->launched != launched)
		return vmfail(launched ? ERROR_CLEAR : ERROR_LAUNCHED);
	if (controls_bad())
		return vmfail(ERROR_CONTROLS);
	if (host_bad(*host_rsp))
		return vmfail(ERROR_HOST);
	cpu->dr7 = DR7_OFF;
	if (guest_bad()) {
		sim_vmx.refused++;
		sim_vmx_exits(REASON_GUEST_STATE, 0, 0);
		return 0;
	}
	check_vpid(s);
	s->launched = true;
	launched ? sim_vmx.resumes++ : sim_vmx.launches++;
	sim_vmx.entered = *s;
	sim_vmx.entered_on = host_cpu();

	sim_vmx_set(VMCS_EXIT_REASON, 0xffff);
	sim_vmx_set(VMCS_IDT_VECTORING_INFO, 0);
	sim_vmx_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	sim_vmx.guest(gpr, sim_vmx.arg);
	if (sim_vmx_get(VMCS_EXIT_REASON) == 0xffff)
		host_user_panic("the guest of the test has not exited");
	sim_vmx_set(VMCS_ENTRY_INTERRUPTION_INFO,
	    sim_vmx_get(VMCS_ENTRY_INTERRUPTION_INFO) & ~VMX_INTR_INFO_V);
	/* An exit disarms what watches the host (SDM 3C 28.5.1). */
	cpu->dr7 = DR7_OFF;
	cpu_wrmsr(DEBUGCTL, 0);
	return 0;
}
