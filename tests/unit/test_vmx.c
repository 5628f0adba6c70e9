/* SPDX-License-Identifier: ISC */
/*
 * test_vmx.c - the whole driver on a simulated VMX CPU: with all that such a
 * CPU may have, and with each optional capability off in turn.
 */
#include <sys/mman.h>
#include <stdlib.h>

#include "backends.h"
#include "vmcs.h"
#include "vmm_fixture.h"
#include "vmx_controls.h"

#define RIP	0x10000u
#define EXC(vector)	(VMX_INTR_INFO_V | 0x300u | (vector))
#define EXC_CODE(vector) (EXC(vector) | VMX_INTR_INFO_EV)

static const struct backend *const backends[] = { &vmx_backend, NULL };
static struct fixture f;
/* _i of the loop tests: all options, or without the one of that number. */
#define VARIANTS	(SIM_VMX_OPTIONS + 1)

static unsigned int
variant(int i)
{
	return i == SIM_VMX_OPTIONS ? SIM_VMX_ALL : SIM_VMX_ALL & ~(1u << i);
}

static struct sim_machine chosen = { .name = "VMX", .vmx = true };

static void
machine(unsigned int options)
{
	chosen.options = options;
	sim_machine = &chosen;
	fixture_reset(&f);
}

static void
start_with(unsigned int options)
{
	machine(options);
	fixture_start(&f, 1);
	fixture_long_mode(&f, RIP);
}

static void
stop(void)
{
	fixture_stop(&f);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		ck_assert(!(sim_cpu[cpu].cr4 & ARCH_CR4_VMXE));
}

/* --- Guests as lists of exits --------------------------------------------------- */

struct vmx_step {
	uint32_t reason;
	uint64_t qualification;
	unsigned int length;
	void	(*act)(struct sim_guest *g);
};
static struct {
	const struct vmx_step *step;
	unsigned int n, at;
} script;

/* Without steps left, HLT. */
static void
steps_guest(struct sim_guest *g, void *arg)
{
	static const struct vmx_step halt = { VMX_EXIT_HLT, 0, 1, NULL };
	const struct vmx_step *s = script.at < script.n ?
	    &script.step[script.at] : &halt;

	(void)arg;
	script.at++;
	if (s->act != NULL)
		s->act(g);
	sim_vmx_exits(g, s->reason, s->qualification, s->length);
}

static int
run_irq(const struct vmx_step *steps, unsigned int n, uint16_t irq)
{
	int err;

	script.step = steps;
	script.n = n;
	script.at = 0;
	sim.guest = steps_guest;
	f.run.vrp_irq = irq;
	err = fixture_ioctl(&f, VMM_IOC_RUN, &f.run);
	f.run.vrp_continue = 1;
	return err;
}
#define RUN(steps) run_irq(steps, sizeof(steps) / sizeof((steps)[0]), VMM_NO_IRQ)

static int
run_hlt(void)
{
	return run_irq(NULL, 0, VMM_NO_IRQ);
}

static uint64_t
gpr(unsigned int r)
{
	return f.exit.vrs.vrs_gprs[r];
}

static void
set_rflags(uint64_t rflags)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	r.vrs_gprs[VCPU_REGS_RFLAGS] = rflags;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
	f.run.vrp_continue = 0;
}

/* --- Attach and the CPUs ---------------------------------------------------------- */

static void
refuses(const char *word)
{
	ck_assert_int_eq(vmm_attach(backends), -ENODEV);
	ck_assert_msg(strstr(host_user.log, word) != NULL, "\"%s\" in: %s",
	    word, host_user.log);
	ck_assert_int_eq(host_user.alloc_live, 0);
}

START_TEST(attach_names_what_is_missing)
{
	machine(SIM_VMX_ALL);
	sim_cpuid_set(1, UINT32_MAX, 0x306c3, 0x800, 0x7ed8320b & ~(1u << 5), 0);
	refuses("no VMX/EPT");
	machine(SIM_VMX_ALL);
	sim_msr_set(0x3a, 1);
	refuses("firmware");
}
END_TEST

/* Each required control in turn. */
START_TEST(attach_wants_every_required_control)
{
	const struct { size_t offset; uint32_t index; } word[] = {
		{ offsetof(struct vmx_controls, pin), 0x48d },
		{ offsetof(struct vmx_controls, proc), 0x48e },
		{ offsetof(struct vmx_controls, proc2), 0x48b },
		{ offsetof(struct vmx_controls, exit), 0x48f },
		{ offsetof(struct vmx_controls, entry), 0x490 },
	};
	unsigned int tried = 0;

	for (unsigned int i = 0; i < vmx_control_count; i++) {
		const struct vmx_control *c = &vmx_control_table[i];

		if (c->policy != VMX_CONTROL_REQUIRED)
			continue;
		for (unsigned int w = 0; w < sizeof(word) / sizeof(word[0]); w++) {
			if (word[w].offset != c->offset)
				continue;
			machine(SIM_VMX_ALL);
			sim_msr_set(word[w].index, cpu_rdmsr(word[w].index) &
			    ~(c->mask << 32) & ~c->mask);
			refuses(c->name);
			tried++;
		}
	}
	ck_assert_uint_gt(tried, 15);
}
END_TEST

START_TEST(attach_wants_ept)
{
	static const uint64_t bits[] = {
		1 << 6, 1 << 14, 1 << 16, 1 << 20, 3 << 25,
	};

	for (unsigned int i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		machine(SIM_VMX_ALL);
		sim_msr_set(0x48c, cpu_rdmsr(0x48c) & ~bits[i]);
		refuses(bits[i] >= 1 << 20 ? "INVEPT" : "EPT");
	}
	machine(SIM_VMX_ALL);
	sim_msr_set(0x486, cpu_rdmsr(0x486) | 1 << 30);
	refuses("cr0.CD = 0");
}
END_TEST

START_TEST(large_leaves_are_those_of_ept)
{
	for (unsigned int without = 0; without < 2; without++) {
		machine(SIM_VMX_ALL);
		sim_msr_set(0x48c, cpu_rdmsr(0x48c) & ~((uint64_t)without << 17));
		ck_assert_int_eq(vmm_attach(backends), 0);
		ck_assert_int_eq(vmm_backend()->largest_leaf(),
		    without ? STAGE2_2M : STAGE2_1G);
		vmm_detach();
		ck_assert_int_eq(host_user.alloc_live, 0);
	}
}
END_TEST

static void
leave_firmware_open(void)
{
	sim_msr_set(0x3a, 0);
}

START_TEST(open_firmware_is_closed_with_vmx_on)
{
	machine(SIM_VMX_ALL);
	fixture_machine = leave_firmware_open;
	fixture_start(&f, 1);
	fixture_machine = NULL;
	ck_assert_uint_eq(cpu_rdmsr(0x3a), 5);
	stop();
}
END_TEST

START_TEST(another_hypervisor_keeps_its_cpus)
{
	struct vm_create_params p;

	machine(SIM_VMX_ALL);
	sim_cpu[3].cr4 |= ARCH_CR4_VMXE;
	ck_assert_int_eq(vmm_attach(backends), 0);
	ck_assert_int_eq(vmm_open(&f.session), 0);
	f.mem = mmap(NULL, FIXTURE_MEM, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fixture_create_params(&f, &p, 1);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), -EBUSY);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		ck_assert(!!(sim_cpu[cpu].cr4 & ARCH_CR4_VMXE) == (cpu == 3));
	sim_cpu[3].cr4 &= ~ARCH_CR4_VMXE;
	stop();
}
END_TEST

/* --- Exits ---------------------------------------------------------------------------- */

static void
ask_cpuid(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = 0x40000000;
}

/* With each option off in turn: the way in and out works. */
START_TEST(runs_without_each_option)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_CPUID, 0, 2, ask_cpuid },
		{ VMX_EXIT_EXTINT, 0, 0, NULL },
		{ VMX_EXIT_VMX_PREEMPTION_TIMER_EXPIRED, 0, 0, NULL },
	};

	start_with(variant(_i));
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 3);
	ck_assert_mem_eq(&f.exit.vrs.vrs_gprs[VCPU_REGS_RBX], "Open", 4);
	ck_assert_uint_eq(sim_vmx.launches, 1);
	ck_assert_uint_eq(sim_vmx.resumes, 3);
	ck_assert_uint_gt(sim_vmx.invepts, 0);
	stop();
}
END_TEST

START_TEST(controls_follow_the_options)
{
	uint64_t proc, proc2;

	start_with(variant(_i));
	ck_assert_int_eq(run_hlt(), 0);
	proc = sim_vmx_entered(VMCS_PROC_CONTROLS);
	proc2 = sim_vmx_entered(VMCS_PROC2_CONTROLS);
	ck_assert(!!(proc & VMX_PROC_USE_TPR_SHADOW) ==
	    !!(sim_vmx.options >> SIM_VMX_TPR_SHADOW & 1));
	ck_assert(!!(proc & VMX_PROC_CR8_LOAD) ==
	    !(sim_vmx.options >> SIM_VMX_TPR_SHADOW & 1));
	ck_assert(!!(proc2 & VMX_PROC2_VPID) ==
	    !!(sim_vmx.options >> SIM_VMX_VPID & 1));
	ck_assert(!!(sim_vmx_entered(VMCS_EPT_POINTER) & 0x40) ==
	    !!(sim_vmx.options >> SIM_VMX_EPT_ACCESSED & 1));
	ck_assert(vmm_backend()->accessed_bits() ==
	    !!(sim_vmx.options >> SIM_VMX_EPT_ACCESSED & 1));
	/* A millisecond of a TSC with 2 GHz, in units of 32 ticks. */
	if (sim_vmx.options >> SIM_VMX_TIMER & 1)
		ck_assert_uint_eq(sim_vmx_entered(VMCS_PREEMPTION_TIMER_VALUE),
		    62500);
	ck_assert(proc2 & VMX_PROC2_UNRESTRICTED_GUEST);
	ck_assert(!(sim_vmx_entered(VMCS_EXIT_CONTROLS) &
	    VMX_EXIT_ACKNOWLEDGE_INTERRUPT));
	/* #DB, #AC and #MC. */
	ck_assert_uint_eq(sim_vmx_entered(VMCS_EXCEPTION_BITMAP), 0x60002);
	stop();
}
END_TEST

START_TEST(port_access_reaches_the_client)
{
	/* IN AX, 0x3f8: DX form. */
	static const struct vmx_step in[] = { { VMX_EXIT_IO, 0x3f80009, 2, NULL } };
	static const struct vmx_step out[] = { { VMX_EXIT_IO, 0x700040, 2, NULL } };

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(in), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_IO);
	ck_assert_uint_eq(f.exit.vei.vei_port, 0x3f8);
	ck_assert_uint_eq(f.exit.vei.vei_size, 2);
	ck_assert_uint_eq(f.exit.vei.vei_dir, VEI_DIR_IN);
	f.exit.vei.vei_data = 0x1234;
	ck_assert_int_eq(RUN(out), 0);
	ck_assert_uint_eq(f.exit.vei.vei_port, 0x70);
	ck_assert_uint_eq(f.exit.vei.vei_dir, VEI_DIR_OUT);
	ck_assert_uint_eq(f.exit.vei.vei_size, 1);
	ck_assert_uint_eq(gpr(VCPU_REGS_RAX) & 0xffff, 0x1234);
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 4);
	stop();
}
END_TEST

static void
set_fault_address(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0xf0001000);
}

START_TEST(device_access_has_its_address)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_W, 0, set_fault_address },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_EPT_VIOLATION);
	ck_assert_uint_eq(f.exit.vee.vee_fault_type, VEE_FAULT_MMIO_ASSIST);
	ck_assert_uint_eq(vm_exit_gpa(&f.exit), 0xf0001000);
	ck_assert_uint_eq(host_user.trace_fault.access, STAGE2_W);
	stop();
}
END_TEST

static void
interrupted_pf(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0x3000);
	sim_vmx_set(VMCS_IDT_VECTORING_INFO, EXC_CODE(14));
	sim_vmx_set(VMCS_IDT_VECTORING_ERROR_CODE, 6);
}

static void
interrupted_int3(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0x3000);
	sim_vmx_set(VMCS_IDT_VECTORING_INFO, VMX_INTR_INFO_V |
	    VMX_INTR_INFO_TYPE_SOFT_EXCEPTION << 8 | 3);
}

/* E4: a delivery that a fault cut short is done again, INT3 by itself. */
START_TEST(interrupted_delivery_is_done_again)
{
	static const struct vmx_step pf[] = {
		{ VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_R, 0, interrupted_pf },
	};
	static const struct vmx_step int3[] = {
		{ VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_R, 0, interrupted_int3 },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(pf), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    EXC_CODE(14));
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_EXCEPTION_ERROR_CODE), 6);
	ck_assert_int_eq(RUN(int3), 0);
	ck_assert(!(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO) &
	    VMX_INTR_INFO_V));
	stop();
}
END_TEST

static void
nmi_info(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, VMX_INTR_INFO_V | 0x202);
}

static void
mc_info(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, EXC(18));
}

static void
db_info(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, EXC(1));
	sim_vmx_set(VMCS_GUEST_DR7, 0x2402);
}

static void
int1_info(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, VMX_INTR_INFO_V | 0x501);
}

static void
ac_info(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, EXC_CODE(17));
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_ERROR_CODE, 0);
}

START_TEST(the_hosts_events_go_to_the_host)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_NMI, 0, 0, nmi_info },
		{ VMX_EXIT_NMI, 0, 0, mc_info },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(host_user.nmis, 1);
	ck_assert_uint_eq(host_user.machine_checks, 1);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
	stop();
}
END_TEST

static void
poisoned(void)
{
	host_user.thread_flags |= HOST_USER_SIGNAL;
}

/* The vCPU is as before such an entry, and goes on with what was to go in. */
START_TEST(a_machine_check_on_the_way_in_is_the_hosts)
{
	static const struct vmx_step wbinvd[] = { { VMX_EXIT_WBINVD, 0, 2, NULL } };
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	fixture_regs(&f, &r);
	r.vrs_gprs[VCPU_REGS_RFLAGS] |= ARCH_RFLAGS_IF;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
	sim_vmx.check_entries = 2;
	ck_assert_int_eq(run_irq(NULL, 0, 0x50), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
	ck_assert_uint_eq(host_user.machine_checks, 2);
	ck_assert_uint_eq(script.at, 1);
	ck_assert_uint_eq(sim.entered.event, EV_INTR(0x50));
	ck_assert_uint_eq(sim.entered.gpr[VCPU_REGS_RIP], RIP);
	/* A thread that the handler wants has it before the next entry. */
	host_user.on_machine_check = poisoned;
	sim_vmx.check_entries = 1;
	ck_assert_int_eq(RUN(wbinvd), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(script.at, 0);
	host_user.thread_flags = 0;
	ck_assert_int_eq(RUN(wbinvd), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
	ck_assert_uint_eq(sim.entered.event, 0);
	ck_assert_uint_eq(host_user.warns, 0);
	stop();
}
END_TEST

#define GLOBAL_CTRL	0x38fu
#define PEBS_ENABLE	0x3f1u
#define RTIT_CTL	0x570u
#define TRACE_EN	1u

static void
count_as(uint64_t global, uint64_t pebs)
{
	sim_msr_set(GLOBAL_CTRL, global);
	sim_msr_set(PEBS_ENABLE, pebs);
}

static void
counts_guest_events(struct sim_guest *g)
{
	(void)g;
	ck_assert_uint_eq(cpu_rdmsr(GLOBAL_CTRL), 0x4);
	ck_assert_uint_eq(cpu_rdmsr(PEBS_ENABLE), 0);
}

static void
breaks_the_vmcs(struct sim_guest *g)
{
	counts_guest_events(g);
	sim_vmx_set(VMCS_PIN_CONTROLS, 0);
}

/* Counters with PEBS, and those that leave guests out, are off in them. */
START_TEST(the_hosts_counters_are_off_in_guests)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_CPUID, 0, 2, counts_guest_events },
		{ VMX_EXIT_CPUID, 0, 2, counts_guest_events },
		{ VMX_EXIT_HLT, 0, 1, counts_guest_events },
	};
	static const struct vmx_step broken[] = {
		{ VMX_EXIT_HLT, 0, 1, breaks_the_vmcs },
	};

	start_with(SIM_VMX_ALL);
	count_as(0x7, 0x1);
	host_user.perf[0] = (struct host_perf_msr){ GLOBAL_CTRL, 0x7, 0x4 };
	host_user.perf[1] = (struct host_perf_msr){ PEBS_ENABLE, 0x1, 0 };
	host_user.perf_msrs = 2;
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
	ck_assert_uint_eq(cpu_rdmsr(GLOBAL_CTRL), 0x7);
	ck_assert_uint_eq(cpu_rdmsr(PEBS_ENABLE), 0x1);
	/* An NMI may have changed them: the host is asked before each entry. */
	ck_assert_uint_eq(host_user.perf_asked, 3);
	/* Nor are they lost where the CPU refuses to try. */
	ck_assert_int_eq(RUN(broken), 0);
	ck_assert_int_eq(run_hlt(), -EINVAL);
	ck_assert_uint_eq(sim_vmx.failed, 1);
	sim_vmx.failed = 0;
	ck_assert_uint_eq(cpu_rdmsr(GLOBAL_CTRL), 0x7);
	ck_assert_uint_eq(cpu_rdmsr(PEBS_ENABLE), 0x1);
	/* Without counters entries load nothing. */
	fixture_long_mode(&f, RIP);
	count_as(0x3, 0);
	host_user.perf_msrs = 0;
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_MSR_LOAD_COUNT), 0);
	ck_assert_uint_eq(cpu_rdmsr(GLOBAL_CTRL), 0x3);
	stop();
}
END_TEST

static void
traced(void)
{
	sim_msr_set(RTIT_CTL, TRACE_EN);
}

static void
traced_in_vmx(void)
{
	traced();
	sim_msr_set(0x485, 0x401e5 | VMX_MISC_PT);
}

/* Where a CPU cannot do both, the host stops tracing for as long as it must. */
START_TEST(processor_trace_pauses_for_vmx)
{
	fixture_machine = traced;
	start_with(SIM_VMX_ALL);
	ck_assert_uint_eq(cpu_rdmsr(RTIT_CTL), 0);
	ck_assert_int_eq(run_hlt(), 0);
	stop();
	ck_assert_uint_eq(cpu_rdmsr(RTIT_CTL), TRACE_EN);
	fixture_machine = traced_in_vmx;
	start_with(SIM_VMX_ALL);
	ck_assert_uint_eq(cpu_rdmsr(RTIT_CTL), TRACE_EN);
	ck_assert_int_eq(run_hlt(), 0);
	stop();
	fixture_machine = NULL;
}
END_TEST

/* A #DB that exits leaves DR6 and DR7 to the driver. */
START_TEST(debug_exceptions_are_handed_on)
{
	static const struct vmx_step db[] = {
		{ VMX_EXIT_NMI, 0x4001, 0, db_info },
	};
	static const struct vmx_step int1[] = { { VMX_EXIT_NMI, 0, 1, int1_info } };
	static const struct vmx_step ac[] = { { VMX_EXIT_NMI, 0, 0, ac_info } };

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(db), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO), EXC(1));
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_DR7), 0x402);
	ck_assert_uint_eq(f.exit.vrs.vrs_drs[VCPU_REGS_DR6], 0xffff4ff1);
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 1);
	ck_assert_int_eq(RUN(int1), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO), EXC(1));
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_RIP), RIP + 2);
	ck_assert_int_eq(RUN(ac), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    EXC_CODE(17));
	stop();
}
END_TEST

/* An IRET that an exit cut short had ended the blocking, and runs again. */
static void
iret_faults(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0x3000);
}

static void
iret_raises_ac(struct sim_guest *g)
{
	ac_info(g);
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, EXC_CODE(17) |
	    VMX_INTR_INFO_NMI_UNBLOCK);
}

static void
nmi_cut_short(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_PHYSICAL_ADDRESS, 0x3000);
	sim_vmx_set(VMCS_IDT_VECTORING_INFO, VMX_INTR_INFO_V | 0x202);
	sim_vmx_set(VMCS_GUEST_INTERRUPTIBILITY, VMX_INTERRUPTIBILITY_NMI);
}

START_TEST(blocking_of_nmis_is_the_guests)
{
	static const struct {
		struct vmx_step step;
		uint64_t blocking, event;
	} cases[] = {
		{ { VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_R |
		    VMX_QUAL_EPT_NMI_UNBLOCK, 0, iret_faults },
		  VMX_INTERRUPTIBILITY_NMI, 0 },
		{ { VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_R, 0, iret_faults },
		  0, 0 },
		{ { VMX_EXIT_NMI, 0, 0, iret_raises_ac },
		  VMX_INTERRUPTIBILITY_NMI, EXC_CODE(17) },
		{ { VMX_EXIT_NMI, 0, 0, ac_info }, 0, EXC_CODE(17) },
		/* A fault while an event is delivered is no IRET's. */
		{ { VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_R |
		    VMX_QUAL_EPT_NMI_UNBLOCK, 0, interrupted_pf },
		  0, EXC_CODE(14) },
		/* What goes in again must not be blocked by itself. */
		{ { VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_R, 0, nmi_cut_short },
		  0, VMX_INTR_INFO_V | 0x202 },
	};

	start_with(SIM_VMX_ALL);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(run_irq(&cases[i].step, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_INTERRUPTIBILITY),
		    cases[i].blocking);
		ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO) &
		    (cases[i].event ? UINT32_MAX : VMX_INTR_INFO_V),
		    cases[i].event);
	}
	ck_assert(sim_vmx_entered(VMCS_PIN_CONTROLS) & VMX_PIN_VIRTUAL_NMIS);
	stop();
}
END_TEST

START_TEST(instructions_of_vmx_do_not_exist)
{
	static const uint32_t reasons[] = {
		VMX_EXIT_VMCALL, VMX_EXIT_VMXON, VMX_EXIT_INVEPT,
		VMX_EXIT_GETSEC, VMX_EXIT_MONITOR,
	};

	start_with(SIM_VMX_ALL);
	for (unsigned int i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		const struct vmx_step steps[] = { { reasons[i], 0, 3, NULL } };

		ck_assert_int_eq(RUN(steps), 0);
		ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
		    EXC(6));
	}
	/* RIP moved for the HLTs only. */
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 5);
	stop();
}
END_TEST

START_TEST(caches_and_tasks_do_not_kill_a_guest)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_INVD, 0, 2, NULL }, { VMX_EXIT_WBINVD, 0, 2, NULL },
	};
	static const struct vmx_step task[] = { { VMX_EXIT_TASK_SWITCH, 0, 2, NULL } };

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 5);
	ck_assert_int_eq(RUN(task), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    EXC_CODE(13));
	stop();
}
END_TEST

static void
bad_link(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_VMCS_LINK_POINTER, 0);
}

/* A7 and the last point: refused, said, and everything goes on. */
START_TEST(a_refused_state_is_an_error)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_EXTINT, 0, 0, bad_link },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), -EINVAL);
	ck_assert_uint_eq(sim.refused, 1);
	/* The log, the trace and the client's question have the broken check. */
	ck_assert(strstr(host_user.log, "refused to enter the guest: "
	    "entry_failed_guest_state, qualification 4; link_pointer_") != NULL);
	ck_assert_uint_eq(host_user.trace_refusals, 1);
	ck_assert(strstr(host_user.trace_refused.why, "vmcs_link_pointer = 0x0") != NULL);
	ck_assert_str_eq(fixture_refused(&f), "link_pointer_revision");
	fixture_long_mode(&f, RIP);
	f.run.vrp_continue = 0;
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_HLT);
	ck_assert_str_eq(fixture_refused(&f), "");
	stop();
}
END_TEST

START_TEST(an_unknown_reason_is_an_error)
{
	static const struct vmx_step steps[] = { { 0x7777, 0, 0, NULL } };

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), -EINVAL);
	ck_assert_uint_eq(host_user.warns, 1);
	f.run.vrp_continue = 0;
	ck_assert_int_eq(run_hlt(), 0);
	stop();
}
END_TEST

/* --- Interrupts ------------------------------------------------------------------------- */

START_TEST(interrupt_waits_for_its_window)
{
	static const struct vmx_step none[] = { { VMX_EXIT_EXTINT, 0, 0, NULL } };

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(run_irq(none, 1, 0x50), 0);
	/* IF is clear: it waits, and the window is asked for. */
	ck_assert(!(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO) &
	    VMX_INTR_INFO_V));
	ck_assert(sim_vmx_entered(VMCS_PROC_CONTROLS) & VMX_PROC_INTR_WINDOW);
	set_rflags(0x202);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    VMX_INTR_INFO_V | 0x50);
	ck_assert(!(sim_vmx_entered(VMCS_PROC_CONTROLS) & VMX_PROC_INTR_WINDOW));
	stop();
}
END_TEST

static void
sti_shadow(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_RFLAGS, 0x202);
	sim_vmx_set(VMCS_GUEST_INTERRUPTIBILITY, VMX_INTERRUPTIBILITY_STI);
}

static void
in_shadow(struct sim_guest *g)
{
	(void)g;
	ck_assert(!(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO) &
	    VMX_INTR_INFO_V));
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_INTERRUPTIBILITY),
	    VMX_INTERRUPTIBILITY_STI);
}

static void
takes_0x51(struct sim_guest *g)
{
	(void)g;
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    VMX_INTR_INFO_V | 0x51);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

static void
takes_0x51_then_sti(struct sim_guest *g)
{
	takes_0x51(g);
	sti_shadow(g);
}

START_TEST(the_shadow_of_sti_holds_an_interrupt)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_EXTINT, 0, 0, takes_0x51_then_sti },
		{ VMX_EXIT_EXTINT, 0, 0, in_shadow },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(run_irq(NULL, 0, 0x50), 0);
	set_rflags(0x202);
	ck_assert_int_eq(run_irq(steps, 2, 0x51), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    VMX_INTR_INFO_V | 0x50);
	stop();
}
END_TEST

/* D10 */
START_TEST(an_emulated_instruction_ends_the_shadow)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_CPUID, 0, 2, sti_shadow },
		{ VMX_EXIT_EXTINT, 0, 0, takes_0x51 },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(run_irq(steps, 2, 0x51), 0);
	stop();
}
END_TEST

static void
device_in_shadow(struct sim_guest *g)
{
	set_fault_address(g);
	sti_shadow(g);
}

/* A client that clears IF clears what hangs on it (SDM 3C 27.3.1.5). */
START_TEST(no_shadow_without_if)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_EPT_VIOLATION, VMX_QUAL_EPT_W, 0, device_in_shadow },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VMX_EXIT_EPT_VIOLATION);
	set_rflags(2);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_INTERRUPTIBILITY), 0);
	stop();
}
END_TEST

/* --- Registers --------------------------------------------------------------------------- */

START_TEST(control_registers_hide_the_hosts_bits)
{
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_CR0], 0x80000011);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_CR4], 0x20);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_CR0), 0x80000031);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_CR4), 0x2060);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_CR0_READ_SHADOW) & 0x20, 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_CR4_READ_SHADOW) & 0x2000, 0);
	/* The guest owns PG, PE, TS; not NE, CD, NW, VMXE, nor what is not. */
	ck_assert_uint_eq(sim_vmx_entered(VMCS_CR0_GUEST_HOST_MASK), 0x60000020);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_CR4_GUEST_HOST_MASK) & 0x2060,
	    0x2040);
	r.vrs_crs[VCPU_REGS_CR4] |= 0x2000;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), -EINVAL);
	stop();
}
END_TEST

static void
rax_cr0_cached(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = 0xc0000031;		/* CD, NE */
}

static void
rax_cr4_vmxe(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = 0x2020;
}

START_TEST(cache_bits_are_a_shadow_and_vmxe_is_refused)
{
	static const struct vmx_step cr0[] = {
		{ VMX_EXIT_CR_ACCESS, 0, 3, rax_cr0_cached },
	};
	static const struct vmx_step cr4[] = {
		{ VMX_EXIT_CR_ACCESS, 4, 3, rax_cr4_vmxe },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(cr0), 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_crs[VCPU_REGS_CR0], 0xc0000031);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_CR0) & 0x60000000, 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_CR0_READ_SHADOW) & 0x60000020,
	    0x40000020);
	ck_assert_int_eq(RUN(cr4), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_ENTRY_INTERRUPTION_INFO),
	    EXC_CODE(13));
	ck_assert_uint_eq(f.exit.vrs.vrs_crs[VCPU_REGS_CR4], 0x20);
	stop();
}
END_TEST

static void
rax_cr0_unpaged(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = 0x40000011;		/* CD; paging off */
}

static void
cs_32(struct sim_guest *g)
{
	(void)g;
	sim_vmx_set(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xc09b);
}

/* The driver ends long mode when it does a MOV that the CPU would have. */
START_TEST(the_entry_control_follows_lma)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_EXTINT, 0, 0, cs_32 },
		{ VMX_EXIT_CR_ACCESS, 0, 3, rax_cr0_unpaged },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert(!(sim_vmx_entered(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_MODE));
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_IA32_EFER), 0x100);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_CR0), 0x31);
	stop();
}
END_TEST

static void
rbx_cr8(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RBX] = 7;
}

/* Without a virtual TPR the accesses exit. */
START_TEST(cr8_is_the_guests_own)
{
	static const struct vmx_step to[] = {
		{ VMX_EXIT_CR_ACCESS, 8 | 3 << 8, 4, rbx_cr8 },
		{ VMX_EXIT_CR_ACCESS, 8 | 1 << 4 | 1 << 8, 4, NULL },
	};
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR8] = 5;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(((uint8_t *)host_pa_to_va(
	    sim_vmx_entered(VMCS_VIRTUAL_APIC_ADDRESS)))[0x80], 0x50);
	ck_assert_uint_eq(f.exit.vrs.vrs_crs[VCPU_REGS_CR8], 5);
	stop();
	start_with(SIM_VMX_ALL & ~(1u << SIM_VMX_TPR_SHADOW));
	ck_assert_int_eq(RUN(to), 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_crs[VCPU_REGS_CR8], 7);
	ck_assert_uint_eq(gpr(VCPU_REGS_RCX), 7);
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 9);
	stop();
}
END_TEST

/* D13: PAE root entries come from where CR3 points, bits 5 to 11 included. */
START_TEST(pae_root_is_read_for_the_client)
{
	struct vcpu_reg_state r;
	uint64_t *pdpt;

	start_with(SIM_VMX_ALL);
	pdpt = (uint64_t *)(f.mem + 0x5020);
	pdpt[0] = 0x6001;
	pdpt[1] = 0x7007;		/* a reserved bit: as if absent */
	pdpt[3] = 0x8001;
	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR0] = 0x80000011;
	r.vrs_crs[VCPU_REGS_CR3] = 0x5020;
	r.vrs_msrs[VCPU_REGS_EFER] = 0;
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xc09b;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_PDPTE0), 0x6001);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_PDPTE1), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_PDPTE3), 0x8001);
	ck_assert(!(sim_vmx_entered(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_MODE));
	/* A client that restores them keeps its own. */
	r.vrs_crs[VCPU_REGS_PDPTE0] = 0x9001;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx_entered(VMCS_GUEST_PDPTE0), 0x9001);
	stop();
}
END_TEST

/* --- The host ---------------------------------------------------------------------------- */

/* The host's, of sim_reset(). */
#define HOST_LSTAR	0xffffffff81a00080
#define HOST_SFMASK	0x257fd5
#define SCE		1ull

static void
junk_msrs(struct sim_guest *g)
{
	(void)g;
	/* The guest's are in force, and SWAPGS changes one. */
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), 0x1234);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000102), 0x4567);
	cpu_wrmsr(0xc0000102, 0x9abc);
}

START_TEST(host_gets_back_what_is_its_own)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_EXTINT, 0, 0, junk_msrs },
	};
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	sim_msr_set(0x1d9, 0x801);
	sim_msr_set(0xc0000102, 0x7777);
	fixture_regs(&f, &r);
	r.vrs_msrs[VCPU_REGS_EFER] |= SCE;
	r.vrs_msrs[VCPU_REGS_LSTAR] = 0x1234;
	r.vrs_msrs[VCPU_REGS_KGSBASE] = 0x4567;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_MSRS, &r), 0);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), HOST_LSTAR);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000084), HOST_SFMASK);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000102), 0x7777);
	ck_assert_uint_eq(cpu_rdmsr(0x1d9), 0x801);
	ck_assert_uint_eq(sim_cpu[host_cpu()].dr6, 0xffff0ff0);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_msrs[VCPU_REGS_LSTAR], 0x1234);
	ck_assert_uint_eq(r.vrs_msrs[VCPU_REGS_KGSBASE], 0x9abc);
	ck_assert_uint_eq(host_user.context_saves, host_user.context_restores);
	ck_assert_uint_eq(host_user.l1d_flushes, 2);
	stop();
}
END_TEST

/* A thread of the host with a selector in GS: its base comes back all the same. */
START_TEST(a_selector_in_gs_costs_no_base)
{
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	host_user.thread.gs = 0x2b;
	sim_msr_set(0xc0000102, 0x7777);
	fixture_regs(&f, &r);
	r.vrs_msrs[VCPU_REGS_KGSBASE] = 0x4567;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_MSRS, &r), 0);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000102), 0x7777);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_msrs[VCPU_REGS_KGSBASE], 0x4567);
	stop();
}
END_TEST

#define BEYOND_48_BITS	0x00ff800000000000u

static void
write_wide_base(struct sim_guest *g)
{
	(void)g;
	/* The guest's WRMSR: no exit, and not a question of its paging mode. */
	ck_assert(sim_msr_takes(0xc0000102, BEYOND_48_BITS));
	cpu_wrmsr(0xc0000102, BEYOND_48_BITS);
}

static void
has_wide_base(struct sim_guest *g)
{
	(void)g;
	ck_assert_uint_eq(cpu_rdmsr(0xc0000102), BEYOND_48_BITS);
}

/* A CPU with LA57, and a host with four levels: WRGSBASE would fault. */
START_TEST(a_wide_base_does_not_fault_in_the_host)
{
	static const struct vmx_step write[] = {
		{ VMX_EXIT_HLT, 0, 1, write_wide_base },
	};
	static const struct vmx_step read[] = {
		{ VMX_EXIT_HLT, 0, 1, has_wide_base },
	};
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	sim_cpuid_set(7, 0, 0, 0x209c01a9, 1u << 16, 0);
	sim_msr_set(0xc0000102, 0x7777);
	ck_assert_int_eq(RUN(write), 0);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000102), 0x7777);
	ck_assert_int_eq(RUN(read), 0);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000102), 0x7777);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_msrs[VCPU_REGS_KGSBASE], BEYOND_48_BITS);
	stop();
}
END_TEST

/* --- What SYSCALL uses ------------------------------------------------------------------- */

static void
msr_access(struct sim_guest *g, uint32_t index, uint64_t value)
{
	g->gpr[VCPU_REGS_RCX] = index;
	g->gpr[VCPU_REGS_RAX] = (uint32_t)value;
	g->gpr[VCPU_REGS_RDX] = value >> 32;
}

static void
write_lstar(struct sim_guest *g)
{
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), HOST_LSTAR);
	msr_access(g, 0xc0000082, 0xffffffff80001234);
}

static void
read_lstar(struct sim_guest *g)
{
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), HOST_LSTAR);
	msr_access(g, 0xc0000082, 0);
}

static void
write_sfmask(struct sim_guest *g)
{
	/* What the last one has read. */
	ck_assert_uint_eq(g->gpr[VCPU_REGS_RAX], 0x80001234);
	ck_assert_uint_eq(g->gpr[VCPU_REGS_RDX], 0xffffffff);
	msr_access(g, 0xc0000084, 0x47700);
}

static void
set_sce(struct sim_guest *g)
{
	ck_assert_uint_eq(cpu_rdmsr(0xc0000084), HOST_SFMASK);
	msr_access(g, 0xc0000080, 0x501);
}

static void
write_lstar_again(struct sim_guest *g)
{
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), 0xffffffff80001234);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000084), 0x47700);
	/* Never written, so zero. */
	ck_assert_uint_eq(cpu_rdmsr(0xc0000081), 0);
	msr_access(g, 0xc0000082, 0x5678);
}

static void
read_star(struct sim_guest *g)
{
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), 0x5678);
	msr_access(g, 0xc0000081, 0xbad);
}

static void
clear_sce(struct sim_guest *g)
{
	ck_assert_uint_eq(g->gpr[VCPU_REGS_RAX], 0);
	msr_access(g, 0xc0000080, 0x500);
}

START_TEST(syscall_msrs_follow_sce)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_WRMSR, 0, 2, write_lstar },
		{ VMX_EXIT_RDMSR, 0, 2, read_lstar },
		{ VMX_EXIT_WRMSR, 0, 2, write_sfmask },
		{ VMX_EXIT_WRMSR, 0, 2, set_sce },
		{ VMX_EXIT_WRMSR, 0, 2, write_lstar_again },
		{ VMX_EXIT_RDMSR, 0, 2, read_star },
		{ VMX_EXIT_WRMSR, 0, 2, clear_sce },
		{ VMX_EXIT_RDMSR, 0, 2, read_lstar },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(script.at, 9);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000082), HOST_LSTAR);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000084), HOST_SFMASK);
	ck_assert_uint_eq(gpr(VCPU_REGS_RAX), 0x5678);
	ck_assert_uint_eq(f.exit.vrs.vrs_msrs[VCPU_REGS_LSTAR], 0x5678);
	ck_assert_uint_eq(f.exit.vrs.vrs_msrs[VCPU_REGS_SFMASK], 0x47700);
	stop();
}
END_TEST

static void
bad_lstar(struct sim_guest *g)
{
	msr_access(g, 0xc0000082, 1ull << 63);
}

static void
bad_sfmask(struct sim_guest *g)
{
	ck_assert_uint_eq(g->event, EV_EXC_CODE(13, 0));
	msr_access(g, 0xc0000084, 1ull << 32);
}

static void
after_bad(struct sim_guest *g)
{
	ck_assert_uint_eq(g->event, EV_EXC_CODE(13, 0));
}

/* What the host could not write on the guest's behalf. */
START_TEST(syscall_msrs_are_checked)
{
	static const struct vmx_step steps[] = {
		{ VMX_EXIT_WRMSR, 0, 2, bad_lstar },
		{ VMX_EXIT_WRMSR, 0, 2, bad_sfmask },
		{ VMX_EXIT_EXTINT, 0, 0, after_bad },
	};

	start_with(SIM_VMX_ALL);
	ck_assert_int_eq(RUN(steps), 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_msrs[VCPU_REGS_LSTAR], 0);
	ck_assert_uint_eq(f.exit.vrs.vrs_msrs[VCPU_REGS_SFMASK], 0);
	stop();
}
END_TEST

START_TEST(host_breakpoints_survive)
{
	start_with(SIM_VMX_ALL);
	host_user.debug_armed = 0x402;
	sim_cpu[host_cpu()].dr[0] = 0x7777;
	sim_cpu[host_cpu()].dr7 = 0x403;
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_cpu[host_cpu()].dr[0], 0x7777);
	ck_assert_uint_eq(sim_cpu[host_cpu()].dr7, 0x403);
	stop();
}
END_TEST

/* --- CPUs ---------------------------------------------------------------------------------- */

START_TEST(a_vcpu_moves)
{
	struct vcpu_reg_state r;
	uint64_t flushes;

	start_with(SIM_VMX_ALL);
	host_user_set_cpu(1);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx.launches, 1);
	ck_assert_uint_eq(sim_vmx.resumes, 1);
	flushes = sim_vmx.invvpids;
	host_user_set_cpu(2);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx.launches, 2);
	ck_assert_uint_eq(sim.entered.cpu, 2);
	ck_assert_uint_eq(sim_vmx.invvpids, flushes + 1);
	/* A look at the registers takes it along, too. */
	host_user_set_cpu(3);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_gprs[VCPU_REGS_RIP], RIP + 3);
	/* And back: what CPU 1 remembers is old. */
	host_user_set_cpu(1);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim_vmx.invvpids, flushes + 2);
	ck_assert_uint_ge(host_user.calls_on, 3);
	stop();
}
END_TEST

START_TEST(a_cpu_goes_and_comes_back)
{
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	host_user_set_cpu(1);
	ck_assert_int_eq(run_hlt(), 0);
	host_user_cpu_down(1);
	ck_assert(!(sim_cpu[1].cr4 & ARCH_CR4_VMXE));
	host_user_set_cpu(2);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_gprs[VCPU_REGS_RIP], RIP + 1);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_int_eq(host_user_cpu_up(1), 0);
	host_user_set_cpu(1);
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(gpr(VCPU_REGS_RIP), RIP + 3);
	stop();
}
END_TEST

static void
move_on(void)
{
	host_user_set_cpu(4);
	host_user.on_resched = NULL;
}

/* On a CPU that is going, a vCPU waits until the scheduler has moved it. */
START_TEST(a_cpu_that_is_going_runs_no_guest)
{
	start_with(SIM_VMX_ALL);
	host_user_set_cpu(1);
	host_user_cpu_down(1);
	host_user.thread_flags |= HOST_USER_RESCHED;
	host_user.on_resched = move_on;
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(sim.entered.cpu, 4);
	stop();
}
END_TEST

static unsigned int asked;

static void
signal_in_the_end(void)
{
	if (++asked > 5)
		host_user.thread_flags |= HOST_USER_SIGNAL;
}

/* A CPU that stays off runs nothing, and RUN still hears a signal. */
START_TEST(a_cpu_that_is_off_runs_no_guest)
{
	struct vcpu_reg_state r;

	start_with(SIM_VMX_ALL);
	host_user_set_cpu(1);
	host_user_cpu_down(1);
	asked = 0;
	host_user.on_resched = signal_in_the_end;
	ck_assert_int_eq(run_hlt(), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(sim_vmx.launches, 0);
	ck_assert_uint_gt(asked, 5);
	/* The vCPU has lost nothing. */
	host_user_set_cpu(2);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_gprs[VCPU_REGS_RIP], RIP);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_CR4], 0x20);
	stop();
}
END_TEST

START_TEST(tags_come_back)
{
	struct vm_terminate_params t = { 0 };
	struct vm_create_params p;

	start_with(SIM_VMX_ALL);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(run_hlt(), 0);
		ck_assert_uint_eq(sim_vmx_entered(VMCS_VPID), 1);
		t.vtp_vm_id = f.vm;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &t), 0);
		fixture_create_params(&f, &p, 1);
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), 0);
		f.vm = f.run.vrp_vm_id = p.vcp_id;
		f.run.vrp_continue = 0;
		fixture_long_mode(&f, RIP);
	}
	stop();
}
END_TEST

START_TEST(every_vcpu_has_its_own_tag)
{
	machine(SIM_VMX_ALL);
	fixture_start(&f, 8);
	for (unsigned int i = 0; i < 8; i++) {
		f.run.vrp_vcpu_id = i;
		f.run.vrp_continue = 0;
		fixture_long_mode(&f, RIP);
		ck_assert_int_eq(run_hlt(), 0);
		ck_assert_uint_eq(sim_vmx_entered(VMCS_VPID), i + 1);
	}
	stop();
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		attach_names_what_is_missing,
		attach_wants_every_required_control,
		attach_wants_ept,
		large_leaves_are_those_of_ept,
		open_firmware_is_closed_with_vmx_on,
		another_hypervisor_keeps_its_cpus,
		port_access_reaches_the_client,
		device_access_has_its_address,
		interrupted_delivery_is_done_again,
		the_hosts_events_go_to_the_host,
		a_machine_check_on_the_way_in_is_the_hosts,
		the_hosts_counters_are_off_in_guests,
		processor_trace_pauses_for_vmx,
		debug_exceptions_are_handed_on,
		blocking_of_nmis_is_the_guests,
		instructions_of_vmx_do_not_exist,
		caches_and_tasks_do_not_kill_a_guest,
		a_refused_state_is_an_error,
		an_unknown_reason_is_an_error,
		interrupt_waits_for_its_window,
		the_shadow_of_sti_holds_an_interrupt,
		an_emulated_instruction_ends_the_shadow,
		no_shadow_without_if,
		the_entry_control_follows_lma,
		control_registers_hide_the_hosts_bits,
		cache_bits_are_a_shadow_and_vmxe_is_refused,
		cr8_is_the_guests_own,
		pae_root_is_read_for_the_client,
		host_gets_back_what_is_its_own,
		a_selector_in_gs_costs_no_base,
		a_wide_base_does_not_fault_in_the_host,
		syscall_msrs_follow_sce,
		syscall_msrs_are_checked,
		host_breakpoints_survive,
		a_vcpu_moves,
		a_cpu_goes_and_comes_back,
		a_cpu_that_is_going_runs_no_guest,
		a_cpu_that_is_off_runs_no_guest,
		every_vcpu_has_its_own_tag,
		tags_come_back,
	};
	Suite *s = suite_create("vmx");
	TCase *tc = tcase_create("all options");
	TCase *each = tcase_create("each option off");
	SRunner *sr;
	int failed;

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_loop_test(each, runs_without_each_option, 0, VARIANTS);
	tcase_add_loop_test(each, controls_follow_the_options, 0, VARIANTS);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, each);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
