/* SPDX-License-Identifier: ISC */
/*
 * test_emulate.c - the instructions that the driver carries out itself, as the
 * guest sees them: results, RIP, flags and exceptions.
 */
#include "backend.h"
#include "pvclock.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define RF	0x10000ULL
#define TF	0x100ULL
#define DR6_BS	0x4000ULL
#define GP	EV_EXC_CODE(13, 0)
#define UD	EV_EXC(6)
#define PML4	0x1000ULL

#define MOV_TO_CR0	"\x0f\x22\xc0"	/* MOV CR0, RAX */
#define MOV_TO_CR4	"\x0f\x22\xe0"

/* For loops: ck_assert*() writes a line to a file each time it passes. */
#define expect(cond)	do { if (!(cond)) ck_abort_msg("%s", #cond); } while (0)

static struct fixture f;
static struct script s;

static void
start(void)
{
	fixture_start(&f, 2);
	fixture_long_mode(&f, RIP);
}

static void
stop(void)
{
	fixture_stop(&f);
}

/* What the instruction finds: loaded into the guest by load(). */
static uint64_t rax, rcx, rdx, rflags_or;

static void
load(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = rax;
	g->gpr[VCPU_REGS_RFLAGS] |= rflags_or;
	g->gpr[VCPU_REGS_RCX] = rcx;
	g->gpr[VCPU_REGS_RDX] = rdx;
}

/* One instruction, then HLT. s.seen[1] is what came of it. */
static void
run_one(struct step step)
{
	step.act = load;
	ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.at, 2);
}
#define ONE(kind, bytes, ...) \
	run_one((struct step){ AT(kind, bytes), __VA_ARGS__ })

/* Did the last instruction finish, or raise #GP(0) where it stands? */
static bool
finished(unsigned int len)
{
	uint64_t event = s.seen[1].event;

	if (event == GP) {
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], s.seen[0].gpr[VCPU_REGS_RIP]);
		return false;
	}
	ck_assert_uint_eq(event, 0);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], s.seen[0].gpr[VCPU_REGS_RIP] + len);
	return true;
}

static void
set_crs(uint64_t cr0, uint64_t cr4)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR0] = cr0;
	r.vrs_crs[VCPU_REGS_CR4] = cr4;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
}

/* --- Stepping over --------------------------------------------------------------- */

START_TEST(rip_moves_by_the_instruction_s_length)
{
	static const struct { const char *insn; uint8_t len; } insns[] = {
		{ "\x0f\xa2", 2 },
		{ "\x66\x0f\xa2", 3 },
		{ "\x48\x0f\xa2", 3 },
		{ "\xf3\x2e\x66\x67\x0f\xa2", 6 },
		{ "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\xa2",
		  15 },
	};

	rax = 0;
	rflags_or = RF;
	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		fixture_long_mode(&f, RIP);
		run_one((struct step){ EXITS(EXIT_CPUID),
		    .exit.insn_len = insns[i].len, .insn = insns[i].insn });
		ck_assert(finished(insns[i].len));
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RFLAGS], 2);	/* no RF */
		/* Where code is fetched, the next one waits for its page. */
		host_user.absent = true;
	}
}
END_TEST

static void
load_behind_sti(struct sim_guest *g)
{
	load(g);
	g->gpr[VCPU_REGS_RFLAGS] |= 0x200;
	g->shadow = true;
}

START_TEST(emulation_ends_the_shadow)
{
	const struct step step = {
		AT(EXIT_CPUID, "\x0f\xa2"), .act = load_behind_sti,
	};

	/* The client's interrupt comes right behind the instruction. */
	ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, 0x44), 0);
	ck_assert_uint_eq(s.seen[0].event, 0);
	ck_assert_uint_eq(s.seen[1].shadow, 0);
	ck_assert_uint_eq(s.seen[1].event, EV_INTR(0x44));
}
END_TEST

START_TEST(a_single_step_traps_behind_the_instruction)
{
	const struct step steps[] = {
		{ AT(EXIT_CPUID, "\x0f\xa2"), .act = load },
		{ EXITS(EXIT_TRIPLE_FAULT) },
	};

	rax = 0;
	rflags_or = TF;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP + 2);
	ck_assert_uint_eq(s.seen[1].event, EV_EXC(1));
	ck_assert_uint_eq(s.seen[1].dr6, 0xffff0ff0 | DR6_BS);
}
END_TEST

START_TEST(a_fault_is_no_step)
{
	const struct step steps[] = {
		{ AT(EXIT_MSR, "\x0f\x32"), .act = load },
		{ EXITS(EXIT_TRIPLE_FAULT) },
	};

	rcx = 0xdeadbeef;
	rflags_or = TF;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
	ck_assert_uint_eq(s.seen[1].event, GP);
	ck_assert_uint_eq(s.seen[1].dr6, 0xffff0ff0);
}
END_TEST

/* The trap ends HLT, so the client must not wait. */
START_TEST(a_single_step_over_hlt)
{
	const struct step steps[] = {
		{ AT(EXIT_HLT, "\xf4"), .act = load },
		{ EXITS(EXIT_INTR) },
		{ EXITS(EXIT_TRIPLE_FAULT) },
	};

	rflags_or = TF;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_TRIPLE_FAULT));
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP + 1);
	ck_assert_uint_eq(s.seen[1].event, EV_EXC(1));
	ck_assert_uint_eq(s.seen[2].event, 0);
}
END_TEST

/* Outside 64-bit mode RIP has 32 bits. */
static void
guest_at_the_top(struct sim_guest *g, void *arg)
{
	unsigned int *n = arg;

	g->exit.kind = EXIT_WBINVD;
	g->exit.insn_len = 2;
	if ((*n)++ == 1) {
		ck_assert_uint_eq(g->gpr[VCPU_REGS_RIP], 0);
		g->exit.kind = EXIT_TRIPLE_FAULT;
	}
}

START_TEST(rip_wraps_outside_64_bit_mode)
{
	struct vcpu_reg_state r;

	if (!sim_tells.length)
		return;		/* there is no code at the top to fetch */
	fixture_regs(&f, &r);
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xc09b;
	r.vrs_gprs[VCPU_REGS_RIP] = 0xfffffffe;
	/* SVM may give all of the sum, or its low half. */
	for (unsigned int half = 0; half < 2; half++) {
		unsigned int n = 0;

		sim_svm.nrip_half = half;
		ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
		ck_assert_int_eq(fixture_run(&f, guest_at_the_top, &n,
		    VMM_NO_IRQ), 0);
		ck_assert_uint_eq(n, 2);
	}
}
END_TEST

/* --- Exits that are nobody's instruction -------------------------------------------- */

START_TEST(the_host_s_own_exits_go_on)
{
	static const enum exit_kind kinds[] = {
		EXIT_INTR, EXIT_NMI, EXIT_SMI, EXIT_INIT, EXIT_PAUSE,
		EXIT_EXCEPTION_MC, EXIT_PREEMPTION_TIMER,
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!sim_has(kinds[i]))
			continue;
		fixture_long_mode(&f, RIP);
		ck_assert_int_eq(fixture_steps(&f, &s,
		    &(struct step){ EXITS(kinds[i]) }, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
		ck_assert_uint_eq(s.seen[1].event, 0);
	}
	ck_assert_uint_eq(host_user.machine_checks, 1);
	ck_assert_uint_eq(host_user.warns, 0);
}
END_TEST

/* The host's handler wants something of the thread, and finds nothing done yet. */
static void
poisoned(void)
{
	ck_assert_uint_eq(host_user.trace_exits, 0);
	host_user.thread_flags |= HOST_USER_SIGNAL;
}

START_TEST(a_machine_check_comes_first_and_is_the_thread_s)
{
	const struct step steps[] = {
		{ EXITS(EXIT_EXCEPTION_MC), .interrupted = EV_EXC(6) },
	};

	host_user.on_machine_check = poisoned;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, VM_EXIT_NONE);
	ck_assert_uint_eq(host_user.machine_checks, 1);
	ck_assert_uint_eq(s.at, 1);
	/* If it lives, its guest goes on with what was cut short. */
	host_user.thread_flags = 0;
	f.run.vrp_continue = 1;
	ck_assert_int_eq(fixture_run(&f, script_guest, &s, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.seen[1].event, EV_EXC(6));
	ck_assert_uint_eq(host_user.machine_checks, 1);
}
END_TEST

START_TEST(a_triple_fault_reaches_the_client)
{
	ck_assert_int_eq(fixture_steps(&f, &s,
	    &(struct step){ EXITS(EXIT_TRIPLE_FAULT) }, 1, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_TRIPLE_FAULT));
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], RIP);
}
END_TEST

START_TEST(what_is_hidden_does_not_exist)
{
	static const enum exit_kind kinds[] = {
		EXIT_RSM, EXIT_INVLPGA, EXIT_VMRUN, EXIT_VMCALL, EXIT_VMLOAD,
		EXIT_VMSAVE, EXIT_STGI, EXIT_CLGI, EXIT_SKINIT, EXIT_RDTSCP,
		EXIT_MONITOR, EXIT_MWAIT, EXIT_RDPRU, EXIT_INVLPGB,
		EXIT_INVLPGB_ILLEGAL, EXIT_MCOMMIT, EXIT_TLBSYNC, EXIT_GETSEC,
		EXIT_VMX_INSTRUCTION, EXIT_ENCLS,
	};
	unsigned int tried = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!sim_has(kinds[i]))
			continue;
		fixture_long_mode(&f, RIP);
		ONE(kinds[i], "\x0f\x01\xd9");
		ck_assert_uint_eq(s.seen[1].event, UD);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
		tried++;
	}
	ck_assert_uint_gt(tried, 7);
	ONE(EXIT_RDPMC, "\x0f\x33");
	ck_assert_uint_eq(s.seen[1].event, GP);
}
END_TEST

START_TEST(cache_instructions_do_nothing)
{
	static const struct {
		struct step step;
	} insns[] = {
		{ { AT(EXIT_INVD, "\x0f\x08") } },
		{ { AT(EXIT_WBINVD, "\x0f\x09") } },
		{ { AT(EXIT_WBINVD, "\xf3\x0f\x09") } },
	};

	rflags_or = 0;
	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		fixture_long_mode(&f, RIP);
		run_one(insns[i].step);
		ck_assert(finished(insns[i].step.exit.insn_len));
	}
}
END_TEST

static void
fails_run_only(struct step step)
{
	struct vcpu_reg_state before, after;

	fixture_long_mode(&f, RIP);
	fixture_regs(&f, &before);
	host_user.log[0] = '\0';
	host_user.warns = 0;
	ck_assert_msg(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ) == -EINVAL,
	    "exit %s %#llx", exit_policy[step.exit.kind].name,
	    (unsigned long long)step.code);
	ck_assert_uint_eq(host_user.warns, 1);
	ck_assert_ptr_nonnull(strstr(host_user.log, "unexpected exit"));
	fixture_regs(&f, &after);
	ck_assert_mem_eq(&before, &after, sizeof(after));
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
}

START_TEST(an_unexpected_exit_fails_run_only)
{
	static const enum exit_kind kinds[] = {
		EXIT_CR_NATIVE, EXIT_MOV_DR, EXIT_EXCEPTION, EXIT_IDTR_READ,
		EXIT_RDTSC, EXIT_PUSHF, EXIT_IRET, EXIT_SWINT, EXIT_ICEBP,
		EXIT_FERR_FREEZE, EXIT_EFER_WRITE_TRAP, EXIT_VMGEXIT,
		EXIT_NMI_WINDOW, EXIT_MTF, EXIT_APIC_ACCESS, EXIT_GDTR_IDTR,
		EXIT_EPT_MISCONFIGURATION, EXIT_PML_FULL,
	};
	static const uint64_t svm[] = { 0x3ff, 0x7fffffff, (uint64_t)-2, 1ULL << 40 };
	static const uint64_t vmx[] = { 0x7777, 0xffff };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (sim_has(kinds[i]))
			fails_run_only((struct step){ EXITS(kinds[i]) });
	for (size_t i = 0; i < (sim_machine->vmx ? 2 : 4); i++)
		fails_run_only((struct step){ EXITS(EXIT_CR_NATIVE),
		    .code = sim_machine->vmx ? vmx[i] : svm[i] });
}
END_TEST

/* --- CPUID ----------------------------------------------------------------------------- */

struct cpuid { uint32_t eax, ebx, ecx, edx; };

static struct cpuid
cpuid(uint32_t leaf, uint32_t subleaf)
{
	const uint64_t junk = 0xfeedfacebabe0000;
	const uint64_t *gpr;

	rax = leaf | junk << 32;
	rcx = subleaf | junk << 32;
	rdx = junk;
	rflags_or = 0;
	ONE(EXIT_CPUID, "\x0f\xa2");
	ck_assert(finished(2));
	gpr = s.seen[1].gpr;
	/* 32 bits each, the rest is zero. */
	ck_assert_uint_eq((gpr[VCPU_REGS_RAX] | gpr[VCPU_REGS_RBX] |
	    gpr[VCPU_REGS_RCX] | gpr[VCPU_REGS_RDX]) >> 32, 0);
	return (struct cpuid){ (uint32_t)gpr[VCPU_REGS_RAX],
	    (uint32_t)gpr[VCPU_REGS_RBX], (uint32_t)gpr[VCPU_REGS_RCX],
	    (uint32_t)gpr[VCPU_REGS_RDX] };
}

START_TEST(cpuid_leaf_1_is_this_vcpu_s)
{
	ck_assert_uint_eq(cpuid(1, 0).ebx >> 24, 0);
	ck_assert_uint_eq(cpuid(1, 0).ecx >> 27 & 1, 0);	/* OSXSAVE */
	ck_assert_uint_eq(cpuid(1, 0).ecx >> 31, 1);		/* a guest */
	set_crs(0x80000011, 0x40020);
	ck_assert_uint_eq(cpuid(1, 0).ecx >> 27 & 1, 1);
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	ck_assert_uint_eq(cpuid(1, 0).ebx >> 24, 1);
	ck_assert_uint_eq(cpuid(1, 0).ecx >> 27 & 1, 0);
}
END_TEST

START_TEST(cpuid_xsave_leaf_follows_xcr0)
{
	struct cpuid c;

	set_crs(0x80000011, 0x40020);
	c = cpuid(0xd, 0);
	ck_assert_uint_eq(c.eax, 7);
	ck_assert_uint_eq(c.ebx, 576);
	ck_assert_uint_eq(c.ecx, 832);
	rax = 7;
	rcx = rdx = 0;
	ONE(EXIT_XSETBV, "\x0f\x01\xd1");
	c = cpuid(0xd, 0);
	ck_assert_uint_eq(c.ebx, 832);
	c = cpuid(0xd, 2);
	ck_assert_uint_eq(c.eax, 256);
	ck_assert_uint_eq(c.ebx, 576);
	ck_assert_uint_eq(c.ecx, 0);
	/* A component that this host has not. */
	c = cpuid(0xd, 5);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
	c = cpuid(0xd, 62);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
}
END_TEST

START_TEST(cpuid_levels_and_names)
{
	struct cpuid c = cpuid(0, 0);

	ck_assert_uint_eq(c.eax, 0x15);
	ck_assert_mem_eq(&c.ebx, sim_machine->vmx ? "Genu" : "Auth", 4);
	c = cpuid(0x80000000, 0);
	ck_assert_uint_ge(c.eax, 0x80000008);
	ck_assert_uint_le(c.eax, 0x8000001f);
	c = cpuid(0x40000000, 0);
	ck_assert_mem_eq(&c.ebx, "OpenBSDVMM58", 12);
	c = cpuid(0x40000100, 0);
	ck_assert_mem_eq(&c.ebx, "KVMKVMKVM\0\0\0", 12);
	ck_assert_uint_eq(c.eax, 0x40000101);
	/* SVM is the host's. */
	ck_assert_uint_eq(cpuid(0x80000001, 0).ecx & 4, 0);
	c = cpuid(0x8000000a, 0);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
	/* Far from any leaf. */
	c = cpuid(0xffffffff, 0);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
	c = cpuid(0x12345678, 0);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
}
END_TEST

START_TEST(cpuid_clocks)
{
	struct cpuid c = cpuid(0x15, 0);

	ck_assert_uint_eq((uint64_t)c.ecx * c.ebx / c.eax, 2000000000);
	ck_assert_uint_eq(cpuid(0x40000101, 0).eax & 1u << 3, 1u << 3);
	ck_assert_uint_eq(cpuid(0x40000101, 0).eax & 1u << 24, 1u << 24);
	host_user.tsc_stable = false;
	c = cpuid(0x15, 0);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
	ck_assert_uint_eq(cpuid(0x40000101, 0).eax & 1u << 24, 0);
	/* The leaf is there, and says nothing. */
	ck_assert_uint_eq(cpuid(0, 0).eax, 0x15);
	host_user.tsc_stable = true;
	host_user.tsc_khz = 0;
	c = cpuid(0x15, 0);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
}
END_TEST

static void
with_many_leaves(void)
{
	sim_cpuid_set(0, UINT32_MAX, 0x23, 0x68747541, 0x444d4163, 0x69746e65);
	sim_cpuid_set(0x80000000, UINT32_MAX, 0x8000ffff, 0, 0, 0);
	sim_cpuid_set(0x23, UINT32_MAX, 1, 2, 3, 4);
}

/* A newer CPU than the rules know: what it has more is not shown. */
START_TEST(cpuid_levels_end_with_the_rules)
{
	struct cpuid c;
	uint32_t max;

	fixture_stop(&f);
	fixture_machine = with_many_leaves;
	fixture_start(&f, 2);
	fixture_machine = NULL;
	fixture_long_mode(&f, RIP);
	max = cpuid(0, 0).eax;
	ck_assert_uint_ge(max, 0x15);
	ck_assert_uint_lt(max, 0x23);
	/* The TSC's leaf is not the last one: it is there without a good TSC too. */
	host_user.tsc_stable = false;
	ck_assert_uint_eq(cpuid(0, 0).eax, max);
	c = cpuid(0x23, 0);
	ck_assert_uint_eq(c.eax | c.ebx | c.ecx | c.edx, 0);
	max = cpuid(0x80000000, 0).eax;
	ck_assert_uint_lt(max, 0x80000100);
}
END_TEST

/* --- MSRs ------------------------------------------------------------------------------- */

static bool
wrmsr(uint32_t index, uint64_t value)
{
	/* Only the low halves count. */
	rcx = index | 0xffffffff00000000;
	rax = (uint32_t)value | 0xeeeeeeee00000000;
	rdx = value >> 32 | 0xdddddddd00000000;
	rflags_or = 0;
	ONE(EXIT_MSR, "\x0f\x30", .exit.msr.write = true);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RAX], rax);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RDX], rdx);
	return finished(2);
}

static bool
rdmsr(uint32_t index, uint64_t *value)
{
	rcx = index;
	rax = rdx = 0x5555555566666666;
	rflags_or = 0;
	ONE(EXIT_MSR, "\x0f\x32");
	*value = s.seen[1].gpr[VCPU_REGS_RDX] << 32 | s.seen[1].gpr[VCPU_REGS_RAX];
	if (!finished(2)) {
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RAX], rax);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RDX], rdx);
		return false;
	}
	ck_assert_uint_eq((s.seen[1].gpr[VCPU_REGS_RAX] | s.seen[1].gpr[VCPU_REGS_RDX]) >> 32, 0);
	return true;
}

START_TEST(efer_each_bit)
{
	/* SCE, LME, LMA, NXE, and FFXSR, which Intel has not. */
	const uint64_t allowed = sim_machine->vmx ? 0xd01 : 0x4d01;
	uint64_t value;

	ck_assert(rdmsr(0xc0000080, &value));
	ck_assert_uint_eq(value, 0x500);
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t want = 0x500 ^ 1ULL << bit;
		bool ok = wrmsr(0xc0000080, want);

		if (bit == 10) {	/* LMA is the CPU's own */
			ck_assert(ok);
			want = 0x500;
		} else {
			ck_assert_int_eq(ok, bit != 8 && (allowed >> bit & 1));
		}
		ck_assert_uint_eq(s.seen[1].efer, ok ? want : 0x500);
		ck_assert(rdmsr(0xc0000080, &value));
		ck_assert_uint_eq(value, ok ? want : 0x500);
		ck_assert(wrmsr(0xc0000080, 0x500));
	}
}
END_TEST

START_TEST(efer_nxe_flushes)
{
	wrmsr(0xc0000080, 0x500);
	ck_assert(wrmsr(0xc0000080, 0xd00));
	ck_assert(s.seen[1].flushed);
}
END_TEST

START_TEST(pat_holds_memory_types_only)
{
	const uint64_t reset = 0x0007040600070406;
	uint64_t value;

	ck_assert(rdmsr(0x277, &value));
	ck_assert_uint_eq(value, reset);
	for (unsigned int type = 0; type < 256; type++) {
		unsigned int at = type % 8 * 8;
		uint64_t want = (reset & ~(0xffULL << at)) |
		    (uint64_t)type << at;
		bool ok = type < 8 && type != 2 && type != 3;

		ck_assert_int_eq(wrmsr(0x277, want), ok);
		ck_assert_uint_eq(s.seen[1].pat, ok ? want : reset);
		if (ok)
			ck_assert(wrmsr(0x277, reset));
	}
}
END_TEST

START_TEST(the_tsc_starts_at_zero_and_is_the_guest_s)
{
	uint64_t host, offset;

	sim_tsc_step = 0;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	offset = s.seen[0].tsc_offset;
	ck_assert_uint_lt(sim_tsc + offset, 1000000);
	host = sim_tsc += 12345;
	ck_assert(wrmsr(0x10, 0x8000000000000001));
	ck_assert_uint_eq(s.seen[1].tsc_offset + host, 0x8000000000000001);
	ck_assert_uint_eq(sim_tsc, host);
	/* A reset puts it back. */
	fixture_long_mode(&f, RIP);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].tsc_offset, offset);
	sim_tsc_step = 1000;
}
END_TEST

START_TEST(pvclock_lies_in_one_page_of_memory)
{
	static const struct { uint64_t value; bool ok; } clocks[] = {
		{ 0x20001, true }, { 0x20fe1, true }, { 0x20fe3, true },
		{ 0x20fe5, false }, { 0x20ffd, false },	/* crosses the page */
		{ FIXTURE_MEM - 32 + 1, true },
		{ FIXTURE_MEM - 28 + 1, false },
		{ FIXTURE_MEM + 1, false }, { 0xf0000001, false },
		{ 1ULL << 52 | 1, false }, { UINT64_MAX, false },
		/* Off: any address will do. */
		{ UINT64_MAX - 1, true }, { 0, true },
	};
	uint64_t value, last = 0;

	ck_assert(rdmsr(0x4b564d01, &value));
	ck_assert_uint_eq(value, 0);
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		bool ok = wrmsr(0x4b564d01, clocks[i].value);

		ck_assert_int_eq(ok, clocks[i].ok);
		if (ok)
			last = clocks[i].value;
		ck_assert(rdmsr(0x4b564d01, &value));
		ck_assert_uint_eq(value, last);
	}
	ck_assert(wrmsr(0x4b564d00, 0x30000));
	ck_assert(wrmsr(0x4b564d00, 0x30ff4));
	ck_assert(!wrmsr(0x4b564d00, 0x30ff8));
	ck_assert(!wrmsr(0x4b564d00, FIXTURE_MEM));
	ck_assert(rdmsr(0x4b564d00, &value));
	ck_assert_uint_eq(value, 0x30ff4);
}
END_TEST

/* What the guest computes from its page (KVM's interface). */
static uint64_t
guest_clock(const uint8_t *page, uint64_t guest_tsc)
{
	uint64_t timestamp, system;
	uint32_t version, mul;
	int8_t shift;
	unsigned __int128 delta;

	memcpy(&version, page, 4);
	memcpy(&timestamp, page + 8, 8);
	memcpy(&system, page + 16, 8);
	memcpy(&mul, page + 24, 4);
	memcpy(&shift, page + 28, 1);
	ck_assert_uint_eq(version & 1, 0);
	ck_assert_uint_ne(version, 0);
	delta = guest_tsc - timestamp;
	delta = shift >= 0 ? delta << shift : delta >> -shift;
	return system + (uint64_t)(delta * mul >> 32);
}

START_TEST(pvclock_tells_the_time)
{
	static const uint32_t khz[] = { 2000000, 1, 1000, 999999, 1000000,
	    1000001, 4294967295 };
	const uint8_t *page = f.mem + 0x20100;
	uint64_t ns, error;

	sim_tsc_step = 0;
	host_user.ns += 5000;
	for (size_t i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
		host_user.tsc_khz = khz[i];
		ck_assert(wrmsr(0x4b564d01, 0x20101));
		/* The VM is 5 us old, and one second later: */
		ns = guest_clock(page, sim_tsc + s.seen[1].tsc_offset);
		ck_assert_uint_eq(ns, 5000);
		ns = guest_clock(page, sim_tsc + s.seen[1].tsc_offset +
		    khz[i] * 1000ULL);
		error = ns > 1000005000 ? ns - 1000005000 : 1000005000 - ns;
		ck_assert_uint_le(error, 1000000000 / 1000000);
	}
	/* Two vCPUs: their clocks are not compared. */
	ck_assert_uint_eq(page[29], 0);
	/* And the wall clock, as of the VM's start. */
	ck_assert(wrmsr(0x4b564d00, 0x20200));
	ck_assert_uint_eq(*(const uint32_t *)(f.mem + 0x20204), 1599999999);
	ck_assert_uint_eq(*(const uint32_t *)(f.mem + 0x20208), 999995000);
	sim_tsc_step = 1000;
}
END_TEST

static unsigned int interruptions;

static void
interrupted(void)
{
	if (interruptions == 0)
		return;
	interruptions--;
	sim_tsc += 1000000000;
}

/* Between the TSC and the time that belongs to it, half a second may pass. */
START_TEST(pvclock_reads_one_moment)
{
	sim_tsc_step = 0;
	interruptions = 2;
	host_user.on_ns = interrupted;
	ck_assert(wrmsr(0x4b564d01, 0x20101));
	host_user.on_ns = NULL;
	ck_assert_uint_eq(interruptions, 0);
	ck_assert_uint_eq(*(const uint64_t *)(f.mem + 0x20108),
	    sim_tsc + s.seen[1].tsc_offset);
	sim_tsc_step = 1000;
}
END_TEST

START_TEST(pvclock_is_brought_up_to_date)
{
	uint32_t version, later;

	sim_tsc_step = 0;
	ck_assert(wrmsr(0x4b564d01, 0x20101));
	memcpy(&version, f.mem + 0x20100, 4);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	memcpy(&later, f.mem + 0x20100, 4);
	ck_assert_uint_eq(later, version);
	sim_tsc += 2000000001;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	memcpy(&later, f.mem + 0x20100, 4);
	ck_assert_uint_eq(later, version + 2);
	ck_assert(wrmsr(0x4b564d01, 0));
	memset(f.mem + 0x20100, 0, 32);
	sim_tsc += 2000000001;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.mem[0x20100], 0);
	sim_tsc_step = 1000;
}
END_TEST

/* A VM with one vCPU may rely on its clock alone, where the host's TSC is good. */
START_TEST(pvclock_of_a_single_vcpu_is_stable)
{
	struct vm_create_params p;
	const uint8_t *page = f.mem + 0x20100;

	fixture_create_params(&f, &p, 1);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), 0);
	f.vm = f.run.vrp_vm_id = p.vcp_id;
	fixture_long_mode(&f, RIP);
	ck_assert(wrmsr(0x4b564d01, 0x20101));
	ck_assert_uint_eq(page[29], 1);
	host_user.tsc_stable = false;
	ck_assert(wrmsr(0x4b564d01, 0x20101));
	ck_assert_uint_eq(page[29], 0);
}
END_TEST

/* The client has made the page read-only: nothing is written, not in part. */
START_TEST(pvclock_on_a_protected_page)
{
	struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
	    .vmep_sgpa = 0x20000, .vmep_size = 0x1000,
	    .vmep_prot = VMM_PROT_READ };

	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
	ck_assert(wrmsr(0x4b564d01, 0x20101));
	ck_assert(wrmsr(0x4b564d00, 0x20200));
	for (unsigned int i = 0; i < 0x1000; i++)
		expect(f.mem[0x20000 + i] == 0);
	p.vmep_prot = VMM_PROT_READ | VMM_PROT_WRITE;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
	sim_tsc += 2000000001;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_ne(f.mem[0x20100], 0);
	ck_assert_uint_eq(f.mem[0x20100] & 1, 0);
}
END_TEST

/*
 * During a stay in the guest it is written if the page is there, and else due
 * for when it can be waited for; so with the wall clock.
 */
START_TEST(pvclock_during_a_stay)
{
	struct vcpu *v = fixture_vcpu(&f);
	uint32_t version, later;

	ck_assert(wrmsr(0x4b564d01, 0x20101));
	memcpy(&version, f.mem + 0x20100, 4);
	v->loaded = true;
	host_preempt_disable();
	host_irq_disable();
	ck_assert(pvclock_set(v, 0x20101));
	ck_assert(pvclock_set_wall(v, 0x20200));
	host_user.absent = true;
	ck_assert(!pvclock_publish(v));
	ck_assert(pvclock_due(v));
	ck_assert_uint_eq(f.mem[0x20200], 0);
	host_user.absent = false;
	ck_assert(pvclock_publish(v));
	ck_assert(!pvclock_due(v));
	host_irq_enable();
	host_preempt_enable();
	v->loaded = false;
	memcpy(&later, f.mem + 0x20100, 4);
	ck_assert_uint_gt(later, version);
	ck_assert_uint_eq(later & 1, 0);
	ck_assert_uint_eq(f.mem[0x20200], 2);
}
END_TEST

/* Refused is refused, wherever that is found: it is not due for ever. */
START_TEST(pvclock_refused_during_a_stay)
{
	struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
	    .vmep_sgpa = 0x20000, .vmep_size = 0x1000,
	    .vmep_prot = VMM_PROT_READ };
	struct vcpu *v = fixture_vcpu(&f);

	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p), 0);
	ck_assert(pvclock_set(v, 0x20101));
	v->loaded = true;
	ck_assert(!pvclock_publish(v));
	v->loaded = false;
	ck_assert(pvclock_due(v));
	ck_assert(pvclock_publish(v));
	ck_assert(!pvclock_due(v));
	ck_assert_uint_eq(f.mem[0x20100], 0);
}
END_TEST

/* Every register of both banks and more: the rows decide, the host's are safe. */
static struct {
	uint32_t next, last;
	bool	 write, asked;
	uint64_t value;
} sweep;

static void
guest_sweeps(struct sim_guest *g, void *arg)
{
	const struct msr_policy *m;
	bool fault;

	(void)arg;
	if (sweep.asked) {
		uint64_t event = sim.entered.event;

		m = msr_policy(sweep.next);
		fault = m == NULL || !(m->vendors & vmm_backend()->msr_vendor);
		if (!fault)
			fault = sweep.write ? m->write == MSR_WRITE_FAULT ||
			    m->write == MSR_WRITE_PASS :
			    m->read == MSR_READ_FAULT || m->read == MSR_READ_PASS;
		/* What is emulated may find fault with the value. */
		if (fault || !sweep.write || m->write == MSR_WRITE_IGNORE)
			expect(event == (fault ? GP : 0));
		if (sweep.next == sweep.last) {
			g->exit.kind = EXIT_TRIPLE_FAULT;
			return;
		}
		sweep.next++;
	}
	sweep.asked = true;
	g->gpr[VCPU_REGS_RIP] = RIP;
	g->gpr[VCPU_REGS_RCX] = sweep.next;
	g->gpr[VCPU_REGS_RAX] = g->gpr[VCPU_REGS_RDX] = sweep.value;
	g->exit.kind = EXIT_MSR;
	g->exit.msr.write = sweep.write;
	g->exit.insn_len = 2;
}

START_TEST(msr_sweep)
{
	static const struct { uint32_t first, last; } banks[] = {
		{ 0, 0x1fff }, { 0xc0000000, 0xc0001fff },
		{ 0xc0010000, 0xc0011fff }, { 0x40000000, 0x400000ff },
		{ 0x4b564d00, 0x4b564dff }, { 0xffffff00, 0xffffffff },
	};
	uint64_t msrs = 0;

	if (!sim_machine->all)
		return;		/* the options have no part in it */
	for (size_t i = 0; i < sizeof(banks) / sizeof(banks[0]); i++) {
		for (int pass = 0; pass < 3; pass++) {
			sweep.next = banks[i].first;
			sweep.last = banks[i].last;
			sweep.asked = false;
			sweep.write = pass > 0;
			sweep.value = pass == 1 ? 0 : 0xffffffff;
			fixture_long_mode(&f, RIP);
			ck_assert_int_eq(fixture_run(&f, guest_sweeps, NULL,
			    VMM_NO_IRQ), 0);
			ck_assert_uint_eq(f.run.vrp_exit_reason,
			    sim_reason(EXIT_TRIPLE_FAULT));
			ck_assert_uint_eq(sweep.next, banks[i].last);
			msrs += sweep.last - sweep.next + 1;
		}
	}
	ck_assert_uint_eq(msrs, 18);
	ck_assert_uint_eq(cpu_rdmsr(0xc0000080), sim_machine->vmx ? 0xd01 : 0x1d01);
	ck_assert_uint_eq(cpu_rdmsr(0x277), 0x0007040600070406);
}
END_TEST

/* --- Control registers -------------------------------------------------------------------- */

static bool
mov_cr0(uint64_t value)
{
	rax = value;
	rflags_or = 0;
	ONE(EXIT_CR_ACCESS, MOV_TO_CR0, .exit.cr = { .cr = 0 });
	return finished(3);
}

static void
mce_off(void)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		sim_cpu[cpu].cr4 &= ~(uint64_t)ARCH_CR4_MCE;
}

static bool
mov_cr4(uint64_t value)
{
	rax = value;
	rflags_or = 0;
	ONE(EXIT_CR_ACCESS, MOV_TO_CR4, .exit.cr = { .cr = 4 });
	return finished(3);
}

START_TEST(cr0_each_bit)
{
	const uint64_t now = 0x80000011;
	/* MP EM TS NE WP AM CD may change; PE, PG, NW alone may not. */
	const uint64_t may = 0x4005002e;
	/* These read as they do whatever is written. */
	const uint64_t ignored = 0x1ffaffd0;

	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t b = 1ULL << bit;
		bool ok = mov_cr0(now ^ b);

		ck_assert_int_eq(ok, (b & (may | ignored)) != 0);
		ck_assert_uint_eq(s.seen[1].cr0, b & may ? now ^ b : now);
		if (ok)
			ck_assert(mov_cr0(now));
	}
	ck_assert(mov_cr0(now | 3u << 29));	/* CD and NW */
}
END_TEST

START_TEST(cr4_each_bit)
{
	/* What this CPU has; MCE, PCIDE, UMIP, LA57, PKE are not among it. */
	const uint64_t may = 0x3507bf;

	f.mem[PML4] = 3;		/* SMEP: not a user's page */
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t b = 1ULL << bit;
		bool ok = mov_cr4(0x20 ^ b);

		if (bit == 5)		/* long mode needs PAE */
			ck_assert(!ok);
		else
			ck_assert_int_eq(ok, (may & b) != 0);
		ck_assert_uint_eq(s.seen[1].cr4, ok ? 0x20 ^ b : 0x20);
		ck_assert(mov_cr4(0x20));
	}
	/* Any of the general registers. */
	for (unsigned int gpr = 0; gpr < 16; gpr++) {
		char insn[4] = { gpr & 8 ? 0x41 : 0x40, 0x0f, 0x22,
		    (char)(0xe0 | (gpr & 7)) };
		struct vcpu_reg_state r;

		fixture_long_mode(&f, RIP);
		fixture_regs(&f, &r);
		for (unsigned int i = 0; i < VCPU_REGS_RIP; i++)
			r.vrs_gprs[i] = 0x20 | 1 << 13;
		/* The encoding of each register; RSP and RBP lie elsewhere. */
		static const uint8_t abi[16] = { VCPU_REGS_RAX, VCPU_REGS_RCX,
		    VCPU_REGS_RDX, VCPU_REGS_RBX, VCPU_REGS_RSP, VCPU_REGS_RBP,
		    VCPU_REGS_RSI, VCPU_REGS_RDI, VCPU_REGS_R8, VCPU_REGS_R9,
		    VCPU_REGS_R10, VCPU_REGS_R11, VCPU_REGS_R12, VCPU_REGS_R13,
		    VCPU_REGS_R14, VCPU_REGS_R15 };
		r.vrs_gprs[abi[gpr]] = 0xa0;
		ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
		ck_assert_int_eq(fixture_steps(&f, &s, &(struct step){
		    EXITS(EXIT_CR_ACCESS),
		    .exit.cr = { .cr = 4, .gpr = (uint8_t)gpr },
		    .exit.insn_len = 4, .insn = insn }, 1, VMM_NO_IRQ), 0);
		ck_assert(finished(4));
		ck_assert_uint_eq(s.seen[1].cr4, 0xa0);
	}
}
END_TEST

#define MCE		0x40ULL

static void
real_mce(struct sim_guest *g)
{
	load(g);
	ck_assert_uint_eq(sim_real_cr4() & MCE,
	    sim_cpu[g->cpu].cr4 & MCE);
}

/* CR4.MCE in force is the host's, and nobody sees that. */
static void
mce_is_hidden(void)
{
	const struct step wbinvd = { AT(EXIT_WBINVD, "\x0f\x09"),
	    .act = real_mce };
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_CR4], 0x20);
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, &wbinvd, 1, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].cr4, 0x20);
	ck_assert_uint_eq(f.exit.vrs.vrs_crs[VCPU_REGS_CR4], 0x20);
	r.vrs_crs[VCPU_REGS_CR4] |= MCE;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), -EINVAL);
	/* By the guest itself. */
	ck_assert(!mov_cr4(0x20 | MCE));
	ck_assert(mov_cr4(0xa0));
	ck_assert_int_eq(fixture_steps(&f, &s, &wbinvd, 1, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].cr4, 0xa0);
	ck_assert(mov_cr4(0x20));
}

START_TEST(the_host_s_mce_is_in_force)
{
	mce_is_hidden();
	fixture_stop(&f);
	/* A host without a handler. */
	fixture_machine = mce_off;
	start();
	mce_is_hidden();
	fixture_machine = NULL;
}
END_TEST

START_TEST(reads_of_cr4_show_what_the_guest_wrote)
{
	static const struct { const char *insn; uint8_t gpr; } mov[] = {
		{ "\x40\x0f\x20\xe0", 0 }, { "\x40\x0f\x20\xe3", 3 },
		{ "\x40\x0f\x20\xe4", 4 }, { "\x41\x0f\x20\xe7", 15 },
	};
	static const uint8_t abi[] = { [0] = VCPU_REGS_RAX, [3] = VCPU_REGS_RBX,
	    [4] = VCPU_REGS_RSP, [15] = VCPU_REGS_R15 };

	if (sim_machine->vmx)
		return;		/* the CPU answers from the shadow */
	rax = rflags_or = 0;
	for (size_t i = 0; i < sizeof(mov) / sizeof(mov[0]); i++) {
		run_one((struct step){ EXITS(EXIT_CR_ACCESS),
		    .exit.insn_len = 4, .insn = mov[i].insn,
		    .exit.cr = { .cr = 4, .op = CR_MOV_FROM, .gpr = mov[i].gpr } });
		ck_assert(finished(4));
		ck_assert_uint_eq(s.seen[1].gpr[abi[mov[i].gpr]], 0x20);
	}
}
END_TEST

/* TLB: what was cached under other rules is gone. */
START_TEST(a_change_of_paging_flushes)
{
	ck_assert(mov_cr4(0x20));
	ck_assert(!s.seen[1].flushed);
	ck_assert(mov_cr4(0xa0));		/* PGE */
	ck_assert(s.seen[1].flushed);
	ck_assert(mov_cr0(0x80010011));		/* WP */
	ck_assert(s.seen[1].flushed);
	ck_assert(mov_cr0(0x80010031));		/* NE: nothing of the sort */
	ck_assert(!s.seen[1].flushed);
}
END_TEST

START_TEST(lmsw_and_clts)
{
	set_crs(0x8000001f, 0x20);		/* TS, EM, MP */
	rflags_or = 0;
	ONE(EXIT_CR_ACCESS, "\x0f\x06", .exit.cr = { .op = CR_CLTS });
	ck_assert(finished(2));
	ck_assert_uint_eq(s.seen[1].cr0, 0x80000017);
	/* LMSW reaches MP, EM and TS, and cannot clear PE. */
	rax = 0xfff8;
	ONE(EXIT_CR_ACCESS, "\x0f\x01\xf0",
	    .exit.cr = { .op = CR_LMSW, .msw = 0xfff8 });
	ck_assert(finished(3));
	ck_assert_uint_eq(s.seen[1].cr0, 0x80000019);
	/* From memory. */
	rax = 0x20800;
	*(uint16_t *)(f.mem + 0x20800) = 6;
	ONE(EXIT_CR_ACCESS, "\x0f\x01\x30",
	    .exit.cr = { .op = CR_LMSW, .msw = 6 });
	ck_assert(finished(3));
	ck_assert_uint_eq(s.seen[1].cr0, 0x80000017);
	/* From where there is none: #PF, and nothing happens. VMX exits later. */
	if (!sim_machine->vmx) {
		rax = 0x40000000;
		ONE(EXIT_CR_ACCESS, "\x0f\x01\x30",
		    .exit.cr = { .op = CR_LMSW });
		ck_assert_uint_eq(s.seen[1].event, EV_EXC_CODE(14, 0));
		ck_assert_uint_eq(s.seen[1].cr2, 0x40000000);
		ck_assert_uint_eq(s.seen[1].cr0, 0x80000017);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP],
		    s.seen[0].gpr[VCPU_REGS_RIP]);
	}
	/* In real mode it turns protection on. */
	fixture_real_mode(&f, 0x8000);
	rax = 1;
	ONE(EXIT_CR_ACCESS, "\x0f\x01\xf0",
	    .exit.cr = { .op = CR_LMSW, .msw = 1 });
	ck_assert(finished(3));
	ck_assert_uint_eq(s.seen[1].cr0, 0x11);
}
END_TEST

START_TEST(into_long_mode_and_back)
{
	struct vcpu_reg_state r;

	fixture_real_mode(&f, 0x8000);
	ck_assert(mov_cr0(0x11));
	ck_assert(wrmsr(0xc0000080, 0x100));
	ck_assert(!mov_cr0(0x80000011));	/* no PAE */
	ck_assert_uint_eq(s.seen[1].efer, 0x100);
	ck_assert(mov_cr4(0x20));
	/* Page tables for what is fetched next. */
	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR3] = PML4;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_CRS, &r), 0);
	ck_assert(mov_cr0(0x80000011));
	ck_assert_uint_eq(s.seen[1].efer, 0x500);
	ck_assert_uint_eq(s.seen[1].cr0, 0x80000011);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_msrs[VCPU_REGS_EFER], 0x500);
	ck_assert(!mov_cr4(0));
	ck_assert(!wrmsr(0xc0000080, 0));
	/* Compatibility mode may leave; 64-bit code may not. */
	ck_assert(mov_cr0(0x11));
	ck_assert_uint_eq(s.seen[1].efer, 0x100);
	ck_assert(wrmsr(0xc0000080, 0));
	fixture_long_mode(&f, RIP);
	ck_assert(!mov_cr0(0x11));
	ck_assert_uint_eq(s.seen[1].efer, 0x500);
}
END_TEST

START_TEST(long_mode_refuses_64_bit_code_beforehand)
{
	struct vcpu_reg_state r;

	fixture_real_mode(&f, 0x8000);
	fixture_regs(&f, &r);
	r.vrs_crs[VCPU_REGS_CR0] = 0x11;
	r.vrs_crs[VCPU_REGS_CR4] = 0x20;
	r.vrs_msrs[VCPU_REGS_EFER] = 0x100;
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0x209b;	/* L */
	r.vrs_sregs[VCPU_REGS_CS].vsi_limit = 0xffff;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
	ck_assert(!mov_cr0(0x80000011));
	ck_assert_uint_eq(s.seen[1].efer, 0x100);
}
END_TEST

/* Outside 64-bit mode MOV has 32 bits. */
START_TEST(mov_to_cr_is_narrow_outside_64_bit_mode)
{
	fixture_real_mode(&f, 0x8000);
	ck_assert(mov_cr0(0xffffffff00000031));
	ck_assert_uint_eq(s.seen[1].cr0, 0x31);
}
END_TEST

/* The code at RIP is not what the exit was about: the guest goes on. */
START_TEST(code_that_has_changed_runs_again)
{
	if (sim_tells.length)
		return;		/* nothing is fetched */
	rflags_or = 0;
	ONE(EXIT_CPUID, "\x0f\x30");
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
	ck_assert_uint_eq(s.seen[1].event, 0);
	ONE(EXIT_CR_ACCESS, "\x90", .exit.cr = { .cr = 4 });
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], s.seen[0].gpr[VCPU_REGS_RIP]);
	ck_assert_uint_eq(s.seen[1].cr4, 0x20);
}
END_TEST

START_TEST(a_fetch_that_faults_raises_the_fault)
{
	struct vcpu_reg_state r;

	if (sim_tells.length)
		return;
	fixture_regs(&f, &r);
	r.vrs_gprs[VCPU_REGS_RIP] = 0x40000000;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, (const struct step []){
	    { EXITS(EXIT_CPUID) }, { EXITS(EXIT_TRIPLE_FAULT) } }, 2,
	    VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].event, EV_EXC_CODE(14, 0));
	ck_assert_uint_eq(s.seen[1].cr2, 0x40000000);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], 0x40000000);
}
END_TEST

/* --- XSETBV ---------------------------------------------------------------------------------- */

static uint64_t xcr0_inside;

static void
look_at_xcr0(struct sim_guest *g)
{
	(void)g;
	xcr0_inside = sim_cpu[host_cpu()].xcr0;
}

/* True: done. The CPU has the value inside the guest, and the host's outside. */
static bool
xsetbv(uint32_t index, uint64_t value, uint64_t before)
{
	const struct step steps[] = {
		{ AT(EXIT_XSETBV, "\x0f\x01\xd1"), .act = load },
		{ EXITS(EXIT_INTR), .act = look_at_xcr0 },
	};
	struct vcpu_reg_state r;
	bool ok;

	rcx = index;
	rax = (uint32_t)value;
	rdx = value >> 32;
	rflags_or = 0;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ok = finished(3);
	ck_assert_uint_eq(xcr0_inside, ok ? value : before);
	ck_assert_uint_eq(sim_cpu[host_cpu()].xcr0, 7);
	fixture_regs(&f, &r);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_XCR0], ok ? value : before);
	return ok;
}

START_TEST(xsetbv_takes_sets_that_make_sense)
{
	uint64_t now = 1;

	set_crs(0x80000011, 0x40020);
	for (uint64_t v = 0; v < (sim_machine->all ? 0x400 : 0x10); v++) {
		bool ok = xsetbv(0, v, now);

		ck_assert_int_eq(ok, v == 1 || v == 3 || v == 7);
		if (ok)
			now = v;
	}
	for (unsigned int bit = 10; bit < 64; bit++)
		ck_assert(!xsetbv(0, 7 | 1ULL << bit, now));
	ck_assert(!xsetbv(1, 3, now));
	ck_assert(!xsetbv(0xffffffff, 3, now));
	ck_assert(xsetbv(0, 3, now));
}
END_TEST

START_TEST(xsetbv_is_the_supervisor_s)
{
	struct vcpu_reg_state r;

	rax = 3;
	rcx = rdx = rflags_or = 0;
	ONE(EXIT_XSETBV, "\x0f\x01\xd1");
	ck_assert_uint_eq(s.seen[1].event, UD);
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
	set_crs(0x80000011, 0x40020);
	fixture_regs(&f, &r);
	r.vrs_sregs[VCPU_REGS_SS].vsi_ar |= 3 << 5;
	r.vrs_sregs[VCPU_REGS_CS].vsi_ar |= 3 << 5;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &r), 0);
	ck_assert(!xsetbv(0, 3, 1));
	ck_assert_int_eq(f.exit.cpl, 3);
}
END_TEST

static uint64_t xsetbvs;

static void
set_osxsave(struct sim_guest *g)
{
	/* Until then nobody has touched XCR0. */
	look_at_xcr0(g);
	ck_assert_uint_eq(xcr0_inside, 7);
	ck_assert_uint_eq(sim_cpu[host_cpu()].xsetbvs, xsetbvs);
	g->gpr[VCPU_REGS_RAX] = 0x40020;
}

static void
xsetbv_sse(struct sim_guest *g)
{
	look_at_xcr0(g);
	ck_assert_uint_eq(xcr0_inside, 1);
	g->gpr[VCPU_REGS_RAX] = 3;
	g->gpr[VCPU_REGS_RCX] = g->gpr[VCPU_REGS_RDX] = 0;
}

static void
clear_osxsave(struct sim_guest *g)
{
	look_at_xcr0(g);
	ck_assert_uint_eq(xcr0_inside, 3);
	g->gpr[VCPU_REGS_RAX] = 0x20;
}

START_TEST(xcr0_follows_osxsave)
{
	const struct step steps[] = {
		{ AT(EXIT_CR_ACCESS, MOV_TO_CR4), .exit.cr = { .cr = 4 },
		  .act = set_osxsave },
		{ AT(EXIT_XSETBV, "\x0f\x01\xd1"), .act = xsetbv_sse },
		{ AT(EXIT_CR_ACCESS, MOV_TO_CR4), .exit.cr = { .cr = 4 },
		  .act = clear_osxsave },
		{ EXITS(EXIT_INTR), .act = look_at_xcr0 },
	};
	const struct step look[] = { { EXITS(EXIT_INTR), .act = look_at_xcr0 } };

	xsetbvs = sim_cpu[host_cpu()].xsetbvs;
	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.at, 5);
	ck_assert_uint_eq(xcr0_inside, 7);
	ck_assert_uint_eq(f.exit.vrs.vrs_crs[VCPU_REGS_XCR0], 3);
	/* By the client, too. */
	set_crs(0x80000011, 0x40020);
	ck_assert_int_eq(RUN_STEPS(&f, &s, look, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(xcr0_inside, 3);
	ck_assert_uint_eq(sim_cpu[host_cpu()].xcr0, 7);
	set_crs(0x80000011, 0x20);
	ck_assert_int_eq(RUN_STEPS(&f, &s, look, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(xcr0_inside, 7);
}
END_TEST

/* A reset leaves x87 only. */
START_TEST(reset_resets_xcr0)
{
	set_crs(0x80000011, 0x40020);
	ck_assert(xsetbv(0, 7, 1));
	fixture_long_mode(&f, RIP);
	set_crs(0x80000011, 0x40020);
	ck_assert(!xsetbv(0, 0, 1));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		rip_moves_by_the_instruction_s_length,
		emulation_ends_the_shadow,
		a_single_step_traps_behind_the_instruction,
		a_fault_is_no_step,
		a_single_step_over_hlt,
		rip_wraps_outside_64_bit_mode,
		the_host_s_own_exits_go_on,
		a_machine_check_comes_first_and_is_the_thread_s,
		a_triple_fault_reaches_the_client,
		what_is_hidden_does_not_exist,
		cache_instructions_do_nothing,
		an_unexpected_exit_fails_run_only,
		cpuid_leaf_1_is_this_vcpu_s,
		cpuid_xsave_leaf_follows_xcr0,
		cpuid_levels_and_names,
		cpuid_clocks,
		cpuid_levels_end_with_the_rules,
		efer_each_bit,
		efer_nxe_flushes,
		pat_holds_memory_types_only,
		the_tsc_starts_at_zero_and_is_the_guest_s,
		pvclock_lies_in_one_page_of_memory,
		pvclock_tells_the_time,
		pvclock_reads_one_moment,
		pvclock_is_brought_up_to_date,
		pvclock_of_a_single_vcpu_is_stable,
		pvclock_on_a_protected_page, pvclock_during_a_stay,
		pvclock_refused_during_a_stay,
		msr_sweep,
		cr0_each_bit,
		cr4_each_bit,
		the_host_s_mce_is_in_force,
		reads_of_cr4_show_what_the_guest_wrote,
		a_change_of_paging_flushes,
		lmsw_and_clts,
		into_long_mode_and_back,
		long_mode_refuses_64_bit_code_beforehand,
		mov_to_cr_is_narrow_outside_64_bit_mode,
		code_that_has_changed_runs_again,
		a_fetch_that_faults_raises_the_fault,
		xsetbv_takes_sets_that_make_sense,
		xsetbv_is_the_supervisor_s,
		xcr0_follows_osxsave,
		reset_resets_xcr0,
	};

	return fixture_main("emulate", tests, sizeof(tests) / sizeof(tests[0]),
	    start, stop);
}
