/* SPDX-License-Identifier: ISC */
/*
 * sim/vmx_cpu.c - VMX without a CPU: VMCSs, entries with every check that
 * entry_checks.yaml has, the guest of the test, and what an exit does.
 */
#include "vmx_cpu.h"
#include "guest.h"
#include "vmcs.h"
#include "vmx_controls.h"
#include "vmx_entry_checks.h"

#define EFER		0xc0000080u
#define EFER_VALID	0xd01u		/* SCE, LME, LMA, NXE */
#define DEBUGCTL	0x1d9u
#define FEATURE_CONTROL	0x3au
#define GLOBAL_CTRL	0x38fu
#define PEBS_ENABLE	0x3f1u
#define RTIT_CTL	0x570u
#define RTIT_TRACE_EN	1ULL
#define VMX_MISC	0x485u
#define KERNEL_GS_BASE	0xc0000102u
#define CR0_PE		1ULL
#define CR0_NE		(1ULL << 5)
#define CR0_PG		(1ULL << 31)
#define CR4_LA57	(1ULL << 12)
#define CR4_VMXE	(1ULL << 13)
#define DR7_OFF		0x400u
#define REVISION	0x5eu
#define KNOWN		0x766d6373766d6373ULL
#define SHADOW		(VMX_INTERRUPTIBILITY_STI | VMX_INTERRUPTIBILITY_MOV_SS)
#define EPTP_WB_4	0x1eu		/* write-back, four levels */
#define REASON_GUEST_STATE 0x80000021u
#define REASON_MACHINE_CHECK 0x80000029u

enum {	/* VM-instruction errors, SDM 3C 31.4 */
	ERROR_LAUNCHED = 4, ERROR_CLEAR = 5,
	ERROR_NO_FIELD = 12, ERROR_READ_ONLY = 13,
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

bool
sim_vmx_has(enum sim_vmx_option o)
{
	return sim_vmx.options >> o & 1;
}

/* --- Set-up ------------------------------------------------------------------ */

static void
change_cr4(uint64_t set, uint64_t clear)
{
	uint64_t *cr4 = &sim_cpu[host_cpu()].cr4;

	sim_insn();
	if (here()->on && (clear & CR4_VMXE))
		host_user_panic("#GP in the host: CR4.VMXE cleared in VMX operation");
	*cr4 = (*cr4 | set) & ~clear;
}

static uint64_t
swapgs_base(uint64_t base)
{
	const bool la57 = sim_cpu[host_cpu()].cr4 & CR4_LA57;
	uint64_t old = cpu_rdmsr(KERNEL_GS_BASE);

	if (!sim_canonical(base, la57 ? 57 : 48))
		host_user_panic("#GP in the host: WRGSBASE %#llx",
		    (unsigned long long)base);
	cpu_wrmsr(KERNEL_GS_BASE, base);
	return old;
}

/* The host stops a trace before VMXON, and goes on with it after VMXOFF. */
static void
perf_virt(bool on)
{
	struct sim_vmx_cpu *c = here();

	if (c->on)
		host_user_panic("a trace changes in VMX operation");
	if (cpu_rdmsr(VMX_MISC) & VMX_MISC_PT)
		return;
	if (on) {
		c->rtit_ctl = cpu_rdmsr(RTIT_CTL);
		cpu_wrmsr(RTIT_CTL, c->rtit_ctl & ~RTIT_TRACE_EN);
	} else {
		cpu_wrmsr(RTIT_CTL, c->rtit_ctl);
	}
}

static void
set_capabilities(void)
{
	uint32_t pin_may = capability[0].may, proc_may = capability[1].may;
	uint32_t proc2_may = PROC2_MAY;
	uint64_t ept = 0x06334140 & ~(1ULL << 25), vpid = 0;

	if (!sim_vmx_has(SIM_VMX_TIMER))
		pin_may &= ~VMX_PIN_PREEMPTION_TIMER;
	if (!sim_vmx_has(SIM_VMX_TPR_SHADOW))
		proc_may &= ~VMX_PROC_USE_TPR_SHADOW;
	if (!sim_vmx_has(SIM_VMX_VPID))
		proc2_may &= ~VMX_PROC2_VPID;
	if (!sim_vmx_has(SIM_VMX_PAUSE_LOOP))
		proc2_may &= ~VMX_PROC2_PAUSE_LOOP;
	if (!sim_vmx_has(SIM_VMX_ENCLS))
		proc2_may &= ~VMX_PROC2_ENCLS;
	if (sim_vmx_has(SIM_VMX_EXECUTE_ONLY))
		ept |= VMX_EPT_VPID_CAP_EXECUTE_ONLY;
	if (!sim_vmx_has(SIM_VMX_EPT_ACCESSED))
		ept &= ~VMX_EPT_VPID_CAP_ACCESSED_DIRTY;
	if (sim_vmx_has(SIM_VMX_INVEPT_SINGLE))
		ept |= VMX_EPT_VPID_CAP_INVEPT_SINGLE;
	if (sim_vmx_has(SIM_VMX_VPID))
		vpid = VMX_EPT_VPID_CAP_INVVPID | VMX_EPT_VPID_CAP_INVVPID_ALL;
	if (sim_vmx_has(SIM_VMX_VPID) && sim_vmx_has(SIM_VMX_INVVPID_SINGLE))
		vpid |= VMX_EPT_VPID_CAP_INVVPID_SINGLE;
	sim_msr_set(0x480, REVISION | 4096ULL << VMX_BASIC_SIZE_SHIFT |
	    6ULL << VMX_BASIC_MEMORY_TYPE_SHIFT |
	    (sim_vmx_has(SIM_VMX_TRUE_CONTROLS) ? VMX_BASIC_TRUE_CONTROLS : 0) |
	    (sim_vmx_has(SIM_VMX_INS_OUTS) ? VMX_BASIC_INS_OUTS : 0));
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t may = (uint64_t)(i == 0 ? pin_may : i == 1 ? proc_may :
		    capability[i].may) << 32;

		/* CPUs before the TRUE ones: what they need of CR3 exits is on
		 * then, so only ones that can do without are simulated. */
		sim_msr_set(capability[i].index, may |
		    (sim_vmx_has(SIM_VMX_TRUE_CONTROLS) ? capability[i].must :
		    capability[i].true_must));
		if (sim_vmx_has(SIM_VMX_TRUE_CONTROLS))
			sim_msr_set(capability[i].true_index,
			    may | capability[i].true_must);
	}
	sim_msr_set(VMX_MISC, 0x401e5);		/* timer rate 5, LMA saved, no PT */
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
	sim_tells.length = sim_tells.operands = true;
	sim_tells.bytes = false;
	host_user.on_cr4_change = change_cr4;
	host_user.on_swapgs_base = swapgs_base;
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
	sim_msr_set(GLOBAL_CTRL, 0);
	sim_msr_set(PEBS_ENABLE, 0);
	sim_msr_set(RTIT_CTL, 0);
	host_user.on_perf_virt = perf_virt;
	set_capabilities();
}

/* --- The VMCS ---------------------------------------------------------------- */

/* By encoding, place + 1 in vmcs_fields[]; 0: no field. */
static uint16_t places[0x8000];

__attribute__((constructor)) static void
find_places(void)
{
	for (unsigned int i = 0; i < vmcs_fields_count; i++)
		places[vmcs_fields[i].encoding] = (uint16_t)(i + 1);
}

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
		if (maybe[i].field == field && !sim_vmx_has(maybe[i].needs))
			return SIM_FIELDS;
	return field < sizeof(places) / sizeof(places[0]) && places[field] != 0 ?
	    places[field] - 1u : SIM_FIELDS;
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
	return sim_vmx.cpu[sim.entered.cpu].entered.field[place(field)];
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
	struct sim_vmcs *s = host_pa_to_va(pa);

	if (pa % 4096 != 0)
		host_user_panic("a VMCS at %#llx", (unsigned long long)pa);
	if (s->revision != REVISION)
		host_user_panic("a VMCS without the revision");
	if (!here()->on)
		host_user_panic("#UD in the host: VMX without VMXON");
	if (s->known != KNOWN) {
		s->active = 0;
		s->launched = false;
		memset(s->flushes, 0, sizeof(s->flushes));
		/* What memory of before may look like. */
		memset(s->field, 0x5a, sizeof(s->field));
		s->known = KNOWN;
	}
	if (s->active != 0 && s->active != host_cpu() + 1)
		host_user_panic("a VMCS of another CPU");
	return s;
}

bool
vmx_vmclear(uint64_t pa)
{
	struct sim_vmcs *s;

	sim_insn();
	s = find(pa);
	here()->active -= s->active != 0;
	s->active = 0;
	s->launched = false;
	if (here()->current == s)
		here()->current = NULL;
	return true;
}

bool
vmx_vmptrld(uint64_t pa)
{
	struct sim_vmcs *s;

	sim_insn();
	s = find(pa);
	here()->active += s->active == 0;
	s->active = host_cpu() + 1;
	here()->current = s;
	return true;
}

/* --- VMX operation ------------------------------------------------------------ */

bool
vmx_vmxon(uint64_t pa)
{
	sim_insn();
	if (!(cpu_read_cr4() & CR4_VMXE))
		host_user_panic("#UD in the host: VMXON without CR4.VMXE");
	if ((cpu_rdmsr(FEATURE_CONTROL) & 5) != 5)
		host_user_panic("#GP in the host: VMXON against the firmware");
	if (*(uint32_t *)host_pa_to_va(pa) != REVISION)
		return false;
	/* It would be off from here on, and nobody told (SDM 3C 33.2.7.1). */
	if (cpu_rdmsr(RTIT_CTL) & RTIT_TRACE_EN &&
	    !(cpu_rdmsr(VMX_MISC) & VMX_MISC_PT))
		host_user_panic("VMXON stops the host's trace");
	here()->on = true;
	here()->region = pa;
	here()->current = NULL;
	return true;
}

void
vmx_vmxoff(void)
{
	sim_insn();
	if (!host_user_irqs_off())
		host_user_panic("a VMCS may leave this CPU during VMXOFF");
	if (here()->active != 0)
		host_user_panic("VMXOFF with a VMCS still active");
	here()->on = false;
}

/* Write-back, four levels, and accessed bits where there are any. */
static bool
eptp_is_good(uint64_t eptp)
{
	if (sim_vmx_has(SIM_VMX_EPT_ACCESSED))
		eptp &= ~VMX_EPTP_ACCESSED_DIRTY;
	return (eptp & 0xfff) == EPTP_WB_4;
}

void
vmx_invept(uint64_t type, uint64_t eptp)
{
	sim_insn();
	if (type == VMX_INVEPT_SINGLE && !sim_vmx_has(SIM_VMX_INVEPT_SINGLE))
		host_user_panic("INVEPT type %u on a CPU without it",
		    (unsigned int)type);
	if (type == VMX_INVEPT_SINGLE && !eptp_is_good(eptp))
		host_user_panic("INVEPT of %#llx", (unsigned long long)eptp);
	here()->flushes++;
	sim_vmx.invepts++;
}

void
vmx_invvpid(uint64_t type, uint16_t vpid)
{
	struct sim_vmx_cpu *c = here();

	sim_insn();
	if (!sim_vmx_has(SIM_VMX_VPID) ||
	    (type == VMX_INVVPID_SINGLE && !sim_vmx_has(SIM_VMX_INVVPID_SINGLE)))
		host_user_panic("INVVPID type %u on a CPU without it",
		    (unsigned int)type);
	if (type == VMX_INVVPID_SINGLE)
		c->vpid[vpid] = NULL;
	else
		memset(c->vpid, 0, sizeof(c->vpid));
	c->flushes++;
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

/* The MSRs of a list, in its order (SDM 3C 27.4, 28.6). */
static void
load_list(uint32_t count, uint32_t address)
{
	const struct { uint32_t index, reserved; uint64_t value; } *m =
	    host_pa_to_va(sim_vmx_get(address));

	for (uint64_t i = 0; i < sim_vmx_get(count); i++) {
		/* FS and GS are not for lists, nor is what has reserved bits. */
		if (m[i].reserved != 0 || m[i].index >> 1 == 0xc0000100u >> 1)
			host_user_panic("an MSR %#x in a list", m[i].index);
		cpu_wrmsr(m[i].index, m[i].value);
	}
}

/*
 * A record of PEBS goes to a linear address, by the tables in force (SDM 3B
 * 19.9.5). It may come a little later than its event: PEBS has to be off before.
 */
static void
check_pebs(void)
{
	if (cpu_rdmsr(PEBS_ENABLE) != 0)
		host_user_panic("PEBS would write by the guest's tables");
	load_list(VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDRESS);
	if (cpu_rdmsr(PEBS_ENABLE) != 0)
		host_user_panic("PEBS is on in a guest");
}

static void
end_entry(void)
{
	load_list(VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDRESS);
	cpu_wrmsr(DEBUGCTL, 0);
}

/* What the driver never asks of a CPU, this one cannot do. */
static void
check_simulated(void)
{
	if (!eptp_is_good(sim_vmx_get(VMCS_EPT_POINTER)))
		host_user_panic("EPT pointer %#llx",
		    (unsigned long long)sim_vmx_get(VMCS_EPT_POINTER));
	if (sim_vmx_get(VMCS_CR3_TARGET_COUNT) != 0 ||
	    sim_vmx_get(VMCS_EXIT_MSR_STORE_COUNT) != 0 ||
	    sim_vmx_get(VMCS_EXIT_MSR_LOAD_COUNT) > HOST_PERF_MSRS ||
	    sim_vmx_get(VMCS_ENTRY_MSR_LOAD_COUNT) > HOST_PERF_MSRS)
		host_user_panic("a list that is not simulated");
	if (sim_vmx_get(VMCS_GUEST_ACTIVITY_STATE) != VMX_ACTIVITY_ACTIVE)
		host_user_panic("an activity state that is not simulated");
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
static void
check_host(uint64_t host_rsp)
{
	struct host_context c;
	struct host_thread t;

	host_context_save(&c);
	host_thread_save(&t);
	host_user.context_saves--;
	must_be(VMCS_HOST_CR0, c.cr0);
	must_be(VMCS_HOST_CR3, vmx_read_cr3());
	must_be(VMCS_HOST_CR4, cpu_read_cr4());
	must_be(VMCS_HOST_FS_BASE, t.fs_base);
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
}

/* The first of entry_checks.yaml that the VMCS breaks; VMX_CHECKS: none. */
static unsigned int
broken_check(void)
{
	uint32_t bits[4];
	struct vmx_entry entry = {
		.vmread = sim_vmx_get,
		.rdmsr = cpu_rdmsr,
		.efer_valid = EFER_VALID,
		.host_lma = 1,
		.current_vmcs = host_va_to_pa(current()),
		.vmxon_region = here()->region,
		.vtpr = sim_vmx_has(SIM_VMX_TPR_SHADOW) ?
		    *((uint8_t *)host_pa_to_va(
		    sim_vmx_get(VMCS_VIRTUAL_APIC_ADDRESS)) + 0x80) : 0,
	};

	cpu_cpuid(0x80000008, 0, bits);
	entry.maxphyaddr = bits[0] & 0xff;
	entry.linear_bits = bits[0] >> 8 & 0xff;
	return entry_next_broken(&vmx_entry_rules, vmx_entry_operand, &entry, 0);
}

/* A CPU may refuse an NMI behind STI, too (SDM 3C 27.3.1.5). */
static bool
nmi_behind_sti(void)
{
	uint32_t event = (uint32_t)sim_vmx_get(VMCS_ENTRY_INTERRUPTION_INFO);

	return (event & VMX_INTR_INFO_V) &&
	    (event & VMX_INTR_INFO_TYPE_MASK) ==
	    VMX_INTR_INFO_TYPE_NMI << VMX_INTR_INFO_TYPE_SHIFT &&
	    (sim_vmx_get(VMCS_GUEST_INTERRUPTIBILITY) & VMX_INTERRUPTIBILITY_STI);
}

/* Translations of another vCPU must not carry this one's tag. */
static void
check_vpid(const struct sim_vmcs *s)
{
	uint64_t vpid;

	if (!sim_vmx_has(SIM_VMX_VPID))
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
sim_vmx_exits(struct sim_guest *g, uint32_t reason, uint64_t qualification,
    unsigned int length)
{
	g->exit.kind = SIM_EXITED;
	sim_vmx_set(VMCS_EXIT_REASON, reason);
	sim_vmx_set(VMCS_EXIT_QUALIFICATION, qualification);
	sim_vmx_set(VMCS_EXIT_INSTRUCTION_LENGTH, length);
}

/* --- The guest of the test ---------------------------------------------------- */

/* Events of the tests and the words of the VMCS (SDM 3C 25.8.3). */
static const uint8_t event_type[] = {
	[SIM_INTR] = VMX_INTR_INFO_TYPE_INTR, [SIM_NMI] = VMX_INTR_INFO_TYPE_NMI,
	[SIM_EXC] = VMX_INTR_INFO_TYPE_EXCEPTION,
	[SIM_INT_N] = VMX_INTR_INFO_TYPE_SOFT,
};

static uint32_t
event_to_vmx(uint64_t ev)
{
	unsigned int type = event_type[EV_TYPE(ev)];

	if (ev == 0)
		return 0;
	if (ev == EV_EXC(3) || ev == EV_EXC(4))
		type = VMX_INTR_INFO_TYPE_SOFT_EXCEPTION;
	return VMX_INTR_INFO_V | EV_VECTOR(ev) |
	    type << VMX_INTR_INFO_TYPE_SHIFT |
	    (ev & EV_HAS_CODE ? VMX_INTR_INFO_EV : 0);
}

static uint64_t
event_of_entry(void)
{
	uint32_t hw = (uint32_t)sim_vmx_get(VMCS_ENTRY_INTERRUPTION_INFO);
	unsigned int type = (hw & VMX_INTR_INFO_TYPE_MASK) >>
	    VMX_INTR_INFO_TYPE_SHIFT;
	enum sim_event e = SIM_INTR;

	if (!(hw & VMX_INTR_INFO_V))
		return 0;
	while (event_type[e] != type)
		e++;
	return EV(e, hw & VMX_INTR_INFO_VECTOR_MASK) |
	    (hw & VMX_INTR_INFO_EV ? EV_HAS_CODE |
	    sim_vmx_get(VMCS_ENTRY_EXCEPTION_ERROR_CODE) << 32 : 0);
}

/* What MOV from a control register gives (SDM 3C 26.3). */
static uint64_t
read_cr(uint32_t field, uint32_t mask, uint32_t shadow)
{
	uint64_t m = sim_vmx_get(mask);

	return (sim_vmx_get(field) & ~m) | (sim_vmx_get(shadow) & m);
}

static void
load_guest(struct sim_guest *g, const uint64_t *gpr)
{
	const struct sim_cpu *cpu = &sim_cpu[host_cpu()];

	memset(g, 0, sizeof(*g));
	memcpy(g->gpr, gpr, sizeof(g->gpr));
	g->gpr[VCPU_REGS_RSP] = sim_vmx_get(VMCS_GUEST_RSP);
	g->gpr[VCPU_REGS_RIP] = sim_vmx_get(VMCS_GUEST_RIP);
	g->gpr[VCPU_REGS_RFLAGS] = sim_vmx_get(VMCS_GUEST_RFLAGS);
	g->cr0 = read_cr(VMCS_GUEST_CR0, VMCS_CR0_GUEST_HOST_MASK,
	    VMCS_CR0_READ_SHADOW);
	g->cr2 = cpu->cr2;
	g->cr3 = sim_vmx_get(VMCS_GUEST_CR3);
	g->cr4 = read_cr(VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK,
	    VMCS_CR4_READ_SHADOW);
	g->efer = sim_vmx_get(VMCS_GUEST_IA32_EFER);
	g->pat = sim_vmx_get(VMCS_GUEST_IA32_PAT);
	g->dr6 = cpu->dr6;
	g->dr7 = sim_vmx_get(VMCS_GUEST_DR7);
	g->cs_base = sim_vmx_get(VMCS_GUEST_CS_BASE);
	g->shadow = sim_vmx_get(VMCS_GUEST_INTERRUPTIBILITY) & SHADOW;
	g->mov_ss = sim_vmx_get(VMCS_GUEST_INTERRUPTIBILITY) &
	    VMX_INTERRUPTIBILITY_MOV_SS;
	g->pending = sim_vmx_get(VMCS_GUEST_PENDING_DEBUG) &
	    VMX_PENDING_DEBUG_B_MASK;
	g->event = event_of_entry();
	g->tsc_offset = sim_vmx_get(VMCS_TSC_OFFSET);
	g->window = sim_vmx_get(VMCS_PROC_CONTROLS) & VMX_PROC_INTR_WINDOW;
}

/*
 * The debug exceptions that are pending at an exit (SDM 3C 28.3.4). A CPU may
 * leave out the single step behind MOV SS; this one does so on odd addresses.
 */
static void
store_pending(const struct sim_guest *g)
{
	uint64_t pending = g->pending != 0 ?
	    g->pending | VMX_PENDING_DEBUG_ENABLED : 0;

	if (g->mov_ss && (g->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_TF) &&
	    !(g->gpr[VCPU_REGS_RIP] & 1))
		pending |= VMX_PENDING_DEBUG_BS;
	if (pending != 0)
		sim_vmx_set(VMCS_GUEST_PENDING_DEBUG, pending);
}

/*
 * Valid pending debug exceptions come before the first instruction, unless
 * another event does, or MOV SS holds them (SDM 3C 27.7.3): #DB, which exits.
 */
static bool
pending_debug_exits(struct sim_guest *g)
{
	uint64_t pending = sim_vmx_get(VMCS_GUEST_PENDING_DEBUG);

	if (g->event != 0 || g->mov_ss || !(pending &
	    (VMX_PENDING_DEBUG_ENABLED | VMX_PENDING_DEBUG_BS)))
		return false;
	g->exit.kind = EXIT_EXCEPTION_DB;
	g->met = pending & (VMX_PENDING_DEBUG_B_MASK |
	    VMX_PENDING_DEBUG_BS);
	return true;
}

/* What the guest has changed itself; a test may have changed the VMCS as well. */
static void
store_guest(const struct sim_guest *g, const struct sim_guest *before,
    uint64_t *gpr)
{
	static const struct { unsigned int gpr; uint32_t field; } at[] = {
		{ VCPU_REGS_RSP, VMCS_GUEST_RSP }, { VCPU_REGS_RIP, VMCS_GUEST_RIP },
		{ VCPU_REGS_RFLAGS, VMCS_GUEST_RFLAGS },
	};
	uint64_t kept[VCPU_REGS_NGPRS];

	/* An exit does not touch what RSP and the like have in gpr[]. */
	memcpy(kept, gpr, sizeof(kept));
	memcpy(gpr, g->gpr, sizeof(g->gpr));
	for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		gpr[at[i].gpr] = kept[at[i].gpr];
		if (g->gpr[at[i].gpr] != before->gpr[at[i].gpr])
			sim_vmx_set(at[i].field, g->gpr[at[i].gpr]);
	}
	if (g->dr6 != before->dr6)
		sim_cpu[host_cpu()].dr6 = g->dr6;
	if (g->dr7 != before->dr7)
		sim_vmx_set(VMCS_GUEST_DR7, g->dr7);
	if (g->shadow || g->mov_ss)
		sim_vmx_set(VMCS_GUEST_INTERRUPTIBILITY, g->mov_ss ?
		    VMX_INTERRUPTIBILITY_MOV_SS : VMX_INTERRUPTIBILITY_STI);
	store_pending(g);
}

/* --- Exits -------------------------------------------------------------------- */

uint64_t
sim_vmx_reason(const struct exit_info *x)
{
	if (x->kind == EXIT_MSR)
		return x->msr.write ? VMX_EXIT_WRMSR : VMX_EXIT_RDMSR;
	for (unsigned int vector = 0; vector < 32; vector++)
		if (vmx_exception_kind((uint8_t)vector) == x->kind)
			return VMX_EXIT_NMI;
	for (uint32_t reason = 0; reason < 128; reason++)
		if (vmx_exit_kind(reason) == x->kind)
			return reason;
	return SIM_NO_NUMBER;
}

static uint64_t
io_qualification(const struct exit_info *x)
{
	return (x->io.size - 1u) | (uint64_t)x->io.port << VMX_QUAL_IO_PORT_SHIFT |
	    (x->io.in ? VMX_QUAL_IO_IN : 0) | (x->io.rep ? VMX_QUAL_IO_REP : 0) |
	    (x->io.string ? VMX_QUAL_IO_STR : 0);
}

static uint32_t
io_info(const struct exit_info *x)
{
	static const uint8_t segment[] = {
		[SREG_ES] = VMX_IO_INFO_SEG_ES, [SREG_CS] = VMX_IO_INFO_SEG_CS,
		[SREG_SS] = VMX_IO_INFO_SEG_SS, [SREG_DS] = VMX_IO_INFO_SEG_DS,
		[SREG_FS] = VMX_IO_INFO_SEG_FS, [SREG_GS] = VMX_IO_INFO_SEG_GS,
	};
	unsigned int address = x->io.addr_size == 8 ? 2 : x->io.addr_size == 4;

	return address << VMX_IO_INFO_ADDRESS_SHIFT |
	    (uint32_t)segment[x->io.seg] << VMX_IO_INFO_SEG_SHIFT;
}

static uint64_t
cr_qualification(const struct exit_info *x)
{
	static const uint8_t type[] = {
		[CR_MOV_TO] = VMX_QUAL_CR_TYPE_MOV_TO,
		[CR_MOV_FROM] = VMX_QUAL_CR_TYPE_MOV_FROM,
		[CR_CLTS] = VMX_QUAL_CR_TYPE_CLTS,
		[CR_LMSW] = VMX_QUAL_CR_TYPE_LMSW,
	};

	return x->cr.cr | (uint64_t)type[x->cr.op] << VMX_QUAL_CR_TYPE_SHIFT |
	    (uint64_t)x->cr.gpr << VMX_QUAL_CR_GPR_SHIFT |
	    (x->cr.msw_mem ? VMX_QUAL_CR_LMSW_MEMORY : 0) |
	    (uint64_t)x->cr.msw << VMX_QUAL_CR_LMSW_SHIFT;
}

static void
exception_info(const struct exit_info *x)
{
	uint64_t ev = EV_NMI;

	if (x->kind == EXIT_EXCEPTION_AC)
		ev = EV_EXC_CODE(17, x->exc.error);
	else if (x->kind == EXIT_EXCEPTION_DB)
		ev = EV_EXC(1);
	else if (x->kind == EXIT_EXCEPTION_MC)
		ev = EV_EXC(18);
	else if (x->kind == EXIT_EXCEPTION)
		ev = EV_EXC(6);
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, event_to_vmx(ev));
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_ERROR_CODE, EV_ERROR(ev));
}

/* What the CPU tells of an exit (SDM 3C 28.2). */
static void
store_exit(const struct sim_guest *g)
{
	const struct exit_info *x = &g->exit;
	uint64_t reason = g->code != 0 ? g->code : sim_vmx_reason(x);

	if (reason == SIM_NO_NUMBER)
		host_user_panic("VMX has no exit %s", exit_policy[x->kind].name);
	sim_vmx_set(VMCS_EXIT_REASON, reason);
	sim_vmx_set(VMCS_EXIT_QUALIFICATION, 0);
	sim_vmx_set(VMCS_EXIT_INSTRUCTION_LENGTH, x->insn_len);
	sim_vmx_set(VMCS_IDT_VECTORING_INFO, event_to_vmx(g->interrupted));
	sim_vmx_set(VMCS_IDT_VECTORING_ERROR_CODE, EV_ERROR(g->interrupted));
	switch (x->kind) {
	case EXIT_IO:
		sim_vmx_set(VMCS_EXIT_QUALIFICATION, io_qualification(x));
		if (sim_vmx_has(SIM_VMX_INS_OUTS))
			sim_vmx_set(VMCS_EXIT_INSTRUCTION_INFO, io_info(x));
		break;
	case EXIT_CR_ACCESS:
		sim_vmx_set(VMCS_EXIT_QUALIFICATION, cr_qualification(x));
		sim_vmx_set(VMCS_GUEST_LINEAR_ADDRESS, x->cr.msw_gva);
		break;
	case EXIT_STAGE2_FAULT:
		current()->violation = x->npf.gpa + 1;
		sim_vmx_set(VMCS_GUEST_PHYSICAL_ADDRESS, x->npf.gpa);
		sim_vmx_set(VMCS_EXIT_QUALIFICATION,
		    (x->npf.access & STAGE2_R ? VMX_QUAL_EPT_R : 0) |
		    (x->npf.access & STAGE2_W ? VMX_QUAL_EPT_W : 0) |
		    (x->npf.access & STAGE2_X ? VMX_QUAL_EPT_X : 0));
		break;
	default:
		if (reason == VMX_EXIT_NMI)
			exception_info(x);
		if (x->kind == EXIT_EXCEPTION_DB)
			sim_vmx_set(VMCS_EXIT_QUALIFICATION, g->met);
		break;
	}
}

/*
 * The guest repeats the access that was an EPT violation: no entry on the way
 * is misconfigured (SDM 3C 29.3.3.1).
 */
static void
check_ept(uint64_t gpa)
{
	const uint64_t address = ((1ULL << 48) - 1) & ~0xfffULL;
	uint64_t e = sim_vmx_get(VMCS_EPT_POINTER);
	bool leaf;

	for (int level = 3; level >= 0; level--) {
		const uint64_t *table = host_pa_to_va(e & address);
		unsigned int rights, type;

		e = __atomic_load_n(&table[gpa >> (12 + 9 * level) & 511],
		    __ATOMIC_RELAXED);
		rights = e & STAGE2_RWX;
		type = e >> 3 & 7;
		leaf = level == 0 || (e & 1u << 7);
		if (rights == 0)
			return;
		if (!(rights & STAGE2_R) && ((rights & STAGE2_W) ||
		    !sim_vmx_has(SIM_VMX_EXECUTE_ONLY)))
			host_user_panic("EPT misconfiguration: rights %u", rights);
		if (leaf ? type == 2 || type == 3 || type == 7 || level == 3 :
		    e & 0xf8)
			host_user_panic("EPT misconfiguration: entry %#llx",
			    (unsigned long long)e);
		if (leaf)
			return;
	}
}

int
vmx_enter(uint64_t *gpr, bool launched, uint64_t *host_rsp,
    uint32_t host_rsp_field)
{
	struct sim_vmcs *s = current();
	struct sim_cpu *cpu = &sim_cpu[host_cpu()];
	const struct entry_check *c = NULL;
	struct sim_guest g, before;
	unsigned int broken;
	bool debug_exits;

	sim_insn();
	if (!host_user_irqs_off())
		host_user_panic("a VM entry with interrupts on");
	if (*host_rsp != (uintptr_t)&sim_vmx) {
		*host_rsp = (uintptr_t)&sim_vmx;
		vmx_vmwrite(host_rsp_field, *host_rsp);
	}
	if (s->launched != launched)
		return vmfail(launched ? ERROR_CLEAR : ERROR_LAUNCHED);
	check_host(*host_rsp);
	broken = broken_check();
	if (broken < VMX_CHECKS) {
		c = &vmx_entry_rules.checks[broken];
		if (vmx_entry_rules.phases[c->phase].error != 0)
			return vmfail(vmx_entry_rules.phases[c->phase].error);
	}
	cpu->dr7 = DR7_OFF;
	if (broken < VMX_CHECKS || nmi_behind_sti()) {
		sim.refused++;
		sim_vmx_set(VMCS_EXIT_REASON, REASON_GUEST_STATE);
		sim_vmx_set(VMCS_EXIT_QUALIFICATION, c != NULL &&
		    c->qualification > 0 ? (uint64_t)c->qualification : 0);
		end_entry();
		return 0;
	}
	sim_check_cr4(sim_vmx_get(VMCS_GUEST_CR4));
	if (sim_vmx.check_entries != 0) {
		/* The host's state is loaded, no other saved (SDM 3C 27.8). */
		sim_vmx.check_entries--;
		sim_vmx_set(VMCS_EXIT_REASON, REASON_MACHINE_CHECK);
		sim_vmx_set(VMCS_EXIT_QUALIFICATION, 0);
		end_entry();
		return 0;
	}
	check_simulated();
	check_vpid(s);
	check_pebs();
	if (s->violation != 0)
		check_ept(s->violation - 1);
	s->launched = true;
	launched ? sim_vmx.resumes++ : sim_vmx.launches++;
	here()->entered = *s;
	load_guest(&g, gpr);
	g.flushed = s->flushes[host_cpu()] != here()->flushes;
	s->flushes[host_cpu()] = here()->flushes;
	before = g;

	sim_vmx_set(VMCS_IDT_VECTORING_INFO, 0);
	debug_exits = pending_debug_exits(&g);
	sim_vmx_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	sim_vmx_set(VMCS_GUEST_PENDING_DEBUG, 0);
	if (debug_exits)
		sim_note_entry(&g);
	else
		sim_run_guest(&g);
	store_guest(&g, &before, gpr);
	if (g.exit.kind != SIM_EXITED)
		store_exit(&g);
	sim_vmx_set(VMCS_ENTRY_INTERRUPTION_INFO,
	    sim_vmx_get(VMCS_ENTRY_INTERRUPTION_INFO) & ~VMX_INTR_INFO_V);
	/* An exit disarms what watches the host (SDM 3C 28.5.1). */
	cpu->dr7 = DR7_OFF;
	end_entry();
	return 0;
}
