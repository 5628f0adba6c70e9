/* SPDX-License-Identifier: ISC */
/*
 * test_debug.c - debug exceptions around what the driver does for the guest:
 * single steps, breakpoints on the accesses of emulated instructions, what MOV
 * SS holds, and entries in an interrupt shadow. The simulated CPU refuses every
 * state that entry_checks.yaml says it refuses.
 */
#include "backend.h"
#include "vmcs.h"
#include "vmm_fixture.h"

#define RIP	0x10000ULL
#define DATA	0x20000ULL	/* operands in memory */
#define PORT	0x80
#define TF	0x100ULL
#define IF	0x200ULL
#define RF	0x10000ULL
#define BS	0x4000ULL
#define BD	0x2000ULL
#define DR6	0xffff0ff0ULL
#define GD	0x2000ULL
#define DE	8ULL
#define CR4	(0x40020 | DE)	/* OSXSAVE, PAE */
#define DB	EV_EXC(1)
#define GP	EV_EXC_CODE(13, 0)
#define PF	EV_EXC_CODE(14, 2)

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
/* For loops: ck_assert*() writes a line to a file each time it passes. */
#define expect(cond, ...)						\
	do {								\
		if (!(cond))						\
			ck_abort_msg(#cond ": " __VA_ARGS__);		\
	} while (0)

static struct fixture f;
static struct script s;

static void
set_debug(uint64_t dr7, uint64_t cr4, const uint64_t dr[4])
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	memcpy(&r.vrs_drs[VCPU_REGS_DR0], dr, 4 * sizeof(dr[0]));
	r.vrs_drs[VCPU_REGS_DR6] = DR6;
	r.vrs_drs[VCPU_REGS_DR7] = dr7;
	r.vrs_crs[VCPU_REGS_CR4] = cr4;
	r.vrs_gprs[VCPU_REGS_RIP] = RIP;
	r.vrs_gprs[VCPU_REGS_RFLAGS] = 2;
	expect(fixture_set_regs(&f, VM_RWREGS_ALL, &r) == 0, "DRs");
	f.run.vrp_continue = 0;
}

static void
fresh(void)
{
	static const uint64_t none[4];

	fixture_long_mode(&f, RIP);
	set_debug(0x400, CR4, none);
}

static void
start(void)
{
	fixture_start(&f, 1);
	fresh();
	/* For LMSW: PE, ET, NE. */
	f.mem[DATA] = 0x31;
}

static void
stop(void)
{
	fixture_stop(&f);
}

/* --- What the guest does ------------------------------------------------------------- */

/* Loaded by at_exit() before the exit. */
static struct {
	uint64_t rflags, pending, met;
	uint64_t rax, rcx, dr7;
	bool	 sti, mov_ss;
} now;

static void
at_exit(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RFLAGS] = 2 | now.rflags;
	g->gpr[VCPU_REGS_RAX] = now.rax;
	g->gpr[VCPU_REGS_RCX] = now.rcx;
	g->gpr[VCPU_REGS_RDX] = 0;
	g->gpr[VCPU_REGS_RSI] = g->gpr[VCPU_REGS_RDI] = DATA;
	g->shadow = now.sti || now.mov_ss;
	g->mov_ss = now.mov_ss;
	g->pending = now.pending;
	g->met = now.met;
	if (now.dr7 != 0)
		g->dr7 = now.dr7;
}

/* What the CPU tells of held debug exceptions. */
static uint64_t
told(uint64_t held)
{
	return sim_machine->vmx ? held : 0;
}

#define STRING(is_in, is_rep)						\
	.exit.io = { .port = PORT, .size = 1, .addr_size = 8, .in = (is_in),	\
	    .seg = (is_in) ? SREG_ES : SREG_DS, .string = true, .rep = (is_rep) }

static const struct insn_case {
	const char *name;
	struct step step;
	uint64_t rax, rcx;
	bool	 client;	/* it is shown the exit */
	bool	 again;		/* it is not over, after one element */
} insns[] = {
	{ .name = "CPUID", .step = { AT(EXIT_CPUID, "\x0f\xa2") } },
	{ .name = "RDMSR", .step = { AT(EXIT_MSR, "\x0f\x32") }, .rcx = 0x277 },
	{ .name = "WRMSR", .step = { AT(EXIT_MSR, "\x0f\x30"), .exit.msr.write = true },
	  .rax = 0x501, .rcx = 0xc0000080 },
	{ .name = "MOV CR4", .step = { AT(EXIT_CR_ACCESS, "\x0f\x22\xe0"), .exit.cr.cr = 4 },
	  .rax = CR4 },
	{ .name = "CLTS", .step = { AT(EXIT_CR_ACCESS, "\x0f\x06"), .exit.cr.op = CR_CLTS } },
	{ .name = "LMSW", .step = { AT(EXIT_CR_ACCESS, "\x0f\x01\x37"), .exit.cr = {
	    .op = CR_LMSW, .msw = 0x31, .msw_mem = true, .msw_gva = DATA } } },
	{ .name = "XSETBV", .step = { AT(EXIT_XSETBV, "\x0f\x01\xd1") }, .rax = 7 },
	{ .name = "WBINVD", .step = { AT(EXIT_WBINVD, "\x0f\x09") } },
	{ .name = "INVD", .step = { AT(EXIT_INVD, "\x0f\x08") } },
	{ .name = "HLT", .step = { AT(EXIT_HLT, "\xf4") } },
	{ .name = "OUT", .step = { AT(EXIT_IO, "\xe6\x80"), .exit.io = { .port = PORT,
	    .size = 1 } }, .client = true },
	{ .name = "IN", .step = { AT(EXIT_IO, "\xe4\x80"), .exit.io = { .port = PORT,
	    .size = 1, .in = true } }, .client = true },
	{ .name = "OUTS", .step = { AT(EXIT_IO, "\x6e"), STRING(false, false) }, .client = true },
	{ .name = "INS", .step = { AT(EXIT_IO, "\x6c"), STRING(true, false) }, .client = true },
	{ .name = "REP OUTS", .step = { AT(EXIT_IO, "\xf3\x6e"), STRING(false, true) },
	  .rcx = 2, .client = true, .again = true },
	{ .name = "REP INS", .step = { AT(EXIT_IO, "\xf3\x6c"), STRING(true, true) },
	  .rcx = 2, .client = true, .again = true },
	{ .name = "the last REP OUTS", .step = { AT(EXIT_IO, "\xf3\x6e"), STRING(false, true) },
	  .rcx = 1, .client = true },
};

/* Up to an exit, and behind it a triple fault. RUN's result, with its irq. */
static int
run_one(const struct step *step, uint16_t irq)
{
	static struct step steps[2];

	steps[0] = *step;
	steps[1] = (struct step){ EXITS(EXIT_TRIPLE_FAULT) };
	return fixture_steps(&f, &s, steps, 2, irq);
}

/* The client has done its part. */
static void
run_on(void)
{
	expect(fixture_run(&f, script_guest, &s, VMM_NO_IRQ) == 0, "RUN");
}

/* Execute it; s.seen[1] is what comes behind it, if HLT does not wait. */
static void
execute(const struct insn_case *c)
{
	struct step step = c->step;

	now.rax = c->rax;
	now.rcx = c->rcx;
	step.act = at_exit;
	expect(run_one(&step, VMM_NO_IRQ) == 0, "%s: %s", c->name,
	    fixture_refused(&f));
	if (c->client) {
		expect(f.run.vrp_exit_reason == sim_reason(EXIT_IO), "%s", c->name);
		expect(fixture_run(&f, script_guest, &s, VMM_NO_IRQ) == 0, "%s",
		    c->name);
	}
}

/* traps: of DR6, behind the instruction; 0: none. */
static void
traps_are(const struct insn_case *c, uint64_t traps)
{
	const struct sim_guest *g = &s.seen[1];
	unsigned int len = c->again ? 0 : c->step.exit.insn_len;

	if (c->step.exit.kind == EXIT_HLT && traps == 0) {
		expect(s.at == 1, "HLT does not wait");
		expect(f.run.vrp_exit_reason == sim_reason(EXIT_HLT), "%s", c->name);
		return;
	}
	expect(f.run.vrp_exit_reason == sim_reason(EXIT_TRIPLE_FAULT), "%s", c->name);
	expect(s.at == 2, "%s: %u entries", c->name, s.at);
	expect(g->event == (traps != 0 ? DB : 0), "%s: event %#llx, not %#llx", c->name,
	    (unsigned long long)g->event, (unsigned long long)traps);
	expect(g->dr6 == (DR6 | traps), "%s: DR6 %#llx, not %#llx", c->name,
	    (unsigned long long)g->dr6, (unsigned long long)(DR6 | traps));
	expect(g->gpr[VCPU_REGS_RIP] == RIP + len, "%s", c->name);
	expect(!g->shadow, "%s", c->name);
	expect(!(g->gpr[VCPU_REGS_RFLAGS] & RF) == !c->again, "%s: RF", c->name);
}

/* --- Behind an emulated instruction ---------------------------------------------------- */

START_TEST(each_instruction_raises_what_is_due)
{
	static const uint64_t none[4];

	for (size_t i = 0; i < COUNT(insns); i++) {
		for (unsigned int bits = 0; bits < 32; bits++) {
			memset(&now, 0, sizeof(now));
			now.rflags = (bits & 1 ? TF : 0) | (bits & 2 ? RF : 0);
			now.mov_ss = bits & 4;
			now.pending = now.mov_ss && bits & 8 ? 9 : 0;
			now.sti = !now.mov_ss && bits & 8;
			if (now.sti)
				now.rflags |= IF;
			now.dr7 = 0x400 | (bits & 16 ? GD : 0);
			set_debug(0x400, CR4, none);
			execute(&insns[i]);
			traps_are(&insns[i], (bits & 1 ? BS : 0) |
			    told(now.pending));
			/* Delivery turns GD off. */
			if (s.at == 2)
				expect(!(s.seen[1].dr7 & GD) ==
				    (s.seen[1].event == DB || !(bits & 16)),
				    "%s", insns[i].name);
		}
	}
}
END_TEST

/* Breakpoints that matched but are off are no exception. */
static void
pending_but_off(struct sim_guest *g)
{
	at_exit(g);
	g->pending = 0;
	sim_vmx_set(VMCS_GUEST_PENDING_DEBUG, 3);
}

START_TEST(a_remark_is_no_exception)
{
	const struct step step = { AT(EXIT_CPUID, "\x0f\xa2"), .act = pending_but_off };

	if (!sim_machine->vmx)
		return;
	memset(&now, 0, sizeof(now));
	now.mov_ss = true;
	ck_assert_int_eq(run_one(&step, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].event, 0);
	ck_assert_uint_eq(s.seen[1].dr6, DR6);
	ck_assert_uint_eq(s.seen[1].pending, 0);
}
END_TEST

/* A fault is no execution: nothing is due, and what MOV SS held is lost. */
START_TEST(a_faulting_instruction_raises_its_fault_alone)
{
	struct insn_case bad = { .name = "RDMSR", .step = { AT(EXIT_MSR, "\x0f\x32") },
	    .rcx = 0xdeadbeef };
	static const uint64_t none[4];

	for (unsigned int bits = 0; bits < 4; bits++) {
		memset(&now, 0, sizeof(now));
		now.rflags = bits & 1 ? TF : 0;
		now.mov_ss = bits & 2;
		now.pending = bits & 2 ? 1 : 0;
		set_debug(0x400, CR4, none);
		execute(&bad);
		ck_assert_uint_eq(s.seen[1].event, GP);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
		ck_assert_uint_eq(s.seen[1].dr6, DR6);
		ck_assert(!s.seen[1].shadow);
		ck_assert_uint_eq(s.seen[1].pending, 0);
	}
}
END_TEST

/* B0-B3 are of the last exception, the rest of DR6 adds up. */
static void
old_dr6(struct sim_guest *g)
{
	at_exit(g);
	g->dr6 = DR6 | BD | 5;
}

START_TEST(dr6_forgets_older_breakpoints)
{
	const struct step step = { AT(EXIT_CPUID, "\x0f\xa2"), .act = old_dr6 };

	memset(&now, 0, sizeof(now));
	now.rflags = TF;
	ck_assert_int_eq(run_one(&step, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].dr6, DR6 | BD | BS);
}
END_TEST

/* --- Breakpoints on what an instruction accesses ------------------------------------------ */

enum { EXECUTE, WRITE, IO, ACCESS };	/* R/W of DR7 */

struct access { uint64_t at; unsigned int size, kinds; };

/* As silicon does it, byte by byte. */
static bool
meets(const struct access *a, unsigned int type, unsigned int len_code, uint64_t dr)
{
	static const uint64_t len[] = { 1, 2, 8, 4 };
	uint64_t first = dr & ~(len[len_code] - 1);

	if (!(a->kinds >> type & 1))
		return false;
	for (unsigned int i = 0; i < a->size; i++)
		for (unsigned int j = 0; j < len[len_code]; j++)
			if (a->at + i == first + j)
				return true;
	return false;
}

static const int64_t offsets[] = { -8, -4, -2, -1, 0, 1, 2, 3, 4, 8, 0x10000, 1LL << 32 };

/* Each kind of breakpoint, in each register, around the access. */
static void
try_access(const struct insn_case *c, const struct access *access, unsigned int n)
{
	unsigned int turn = 0;

	for (unsigned int type = 0; type < 4; type++)
	for (unsigned int len = 0; len < 4; len++)
	for (size_t o = 0; o < COUNT(offsets); o++)
	for (unsigned int a = 0; a < n; a++) {
		unsigned int reg = turn++ % 4, on = turn / 4 % 4;
		uint64_t dr[4] = { 0 }, cr4 = turn % 5 == 0 ? CR4 & ~DE : CR4;
		uint64_t want = 0, dr7;

		dr[reg] = access[a].at + (uint64_t)offsets[o];
		dr7 = 0x400 | (uint64_t)on << reg * 2 |
		    (uint64_t)(type | len << 2) << (16 + reg * 4);
		if (type != IO || cr4 & DE)
			for (unsigned int i = 0; i < n; i++)
				want |= meets(&access[i], type, len, dr[reg]);
		set_debug(dr7, cr4, dr);
		memset(&now, 0, sizeof(now));
		now.rflags = turn % 3 == 0 ? TF : 0;
		execute(c);
		traps_are(c, (on ? want << reg : 0) | (now.rflags ? BS : 0));
	}
}

static const struct insn_case *
insn(const char *name)
{
	const struct insn_case *c = insns;

	while (strcmp(c->name, name) != 0)
		c++;
	return c;
}

START_TEST(ports_are_watched)
{
	static const struct { const char *bytes[2]; unsigned int len, size; } forms[] = {
		{ { "\xe6\x80", "\xe4\x80" }, 2, 1 },
		{ { "\x66\xe7\x80", "\x66\xe5\x80" }, 3, 2 },
		{ { "\xe7\x80", "\xe5\x80" }, 2, 4 },
	};

	for (size_t i = 0; i < COUNT(forms); i++) {
		for (unsigned int in = 0; in < 2; in++) {
			const struct access a = { PORT, forms[i].size, 1 << IO };
			struct insn_case c = *insn(in ? "IN" : "OUT");

			c.step.insn = forms[i].bytes[in];
			c.step.exit.insn_len = (uint8_t)forms[i].len;
			c.step.exit.io.size = (uint8_t)forms[i].size;
			try_access(&c, &a, 1);
		}
	}
}
END_TEST

START_TEST(strings_are_watched_in_port_and_memory)
{
	static const char *const names[] = {
		"OUTS", "INS", "REP OUTS", "REP INS", "the last REP OUTS",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		const struct insn_case *c = insn(names[i]);
		const struct access a[] = {
			{ PORT, 1, 1 << IO },
			{ DATA, 1, 1 << ACCESS |
			  (c->step.exit.io.in ? 1 << WRITE : 0) },
		};

		try_access(c, a, 2);
	}
}
END_TEST

START_TEST(the_operand_of_lmsw_is_watched)
{
	const struct access a = { DATA, 2, 1 << ACCESS };

	try_access(insn("LMSW"), &a, 1);
}
END_TEST

/* What touches neither port nor memory meets nothing. */
START_TEST(others_meet_no_breakpoint)
{
	const uint64_t dr[4] = { DATA, PORT, RIP, 0 };
	const uint64_t dr7 = 0x4ff | 3 << 16 | 2 << 20 | 1 << 24 | 3U << 28;

	for (size_t i = 0; i < COUNT(insns); i++) {
		if (insns[i].client || strcmp(insns[i].name, "LMSW") == 0)
			continue;
		memset(&now, 0, sizeof(now));
		set_debug(dr7, CR4, dr);
		execute(&insns[i]);
		traps_are(&insns[i], 0);
	}
}
END_TEST

/* All at once: held by MOV SS, met by port and memory, and a single step. */
START_TEST(everything_comes_in_one_exception)
{
	const uint64_t dr[4] = { PORT, DATA, DATA, 0 };
	const uint64_t dr7 = 0x455 | 2 << 16 | 3 << 20 | 1 << 24;

	memset(&now, 0, sizeof(now));
	now.rflags = TF;
	now.mov_ss = true;
	now.pending = 8;
	set_debug(dr7, CR4, dr);
	execute(insn("REP OUTS"));
	traps_are(insn("REP OUTS"), BS | 3 | told(8));
	set_debug(dr7, CR4, dr);
	execute(insn("REP INS"));
	traps_are(insn("REP INS"), BS | 7 | told(8));
}
END_TEST

/* The guest has loaded DR0 itself, without an exit. */
static void
load_dr0(struct sim_guest *g)
{
	const uint64_t dr[4] = { PORT };

	at_exit(g);
	cpu_write_dr0_3(dr);
	g->dr7 = 0x20402;
}

START_TEST(dr0_is_the_one_that_the_guest_has_loaded)
{
	struct step step = insn("OUT")->step;

	memset(&now, 0, sizeof(now));
	step.act = load_dr0;
	ck_assert_int_eq(run_one(&step, VMM_NO_IRQ), 0);
	run_on();
	traps_are(insn("OUT"), 1);
}
END_TEST

/* A client that does not serve an INS: the port was not read into memory. */
START_TEST(a_cancelled_element_has_written_nothing)
{
	const uint64_t dr[4] = { DATA, PORT };
	struct step step = insn("INS")->step;

	memset(&now, 0, sizeof(now));
	set_debug(0x405 | 1 << 16 | 2 << 20, CR4, dr);
	step.act = at_exit;
	ck_assert_int_eq(run_one(&step, VMM_NO_IRQ), 0);
	f.run.vrp_continue = 0;
	run_on();
	traps_are(insn("INS"), 2);
}
END_TEST

/* --- What the client emulates -------------------------------------------- */

#define HOLE	(FIXTURE_MEM + 0x1000ULL)
static const struct step mmio = {
	EXITS(EXIT_STAGE2_FAULT), .exit.npf = { .gpa = HOLE, .access = STAGE2_W },
	.act = at_exit,
};

/* The client moves RIP: the instruction is over, as for the driver's own. */
START_TEST(what_the_client_emulates_is_an_instruction)
{
	static const uint64_t none[4];

	for (unsigned int bits = 0; bits < 16; bits++) {
		bool moves = bits & 4;
		uint64_t traps;

		memset(&now, 0, sizeof(now));
		now.rflags = (bits & 1 ? TF : 0) | IF | RF;
		now.mov_ss = bits & 2;
		now.pending = bits & 2 ? 4 : 0;
		now.sti = !(bits & 2) && bits & 8 && !(bits & 1);
		set_debug(0x400, CR4, none);
		ck_assert_int_eq(run_one(&mmio, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_STAGE2_FAULT));
		if (moves)
			f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] += 3;
		run_on();
		ck_assert_uint_eq(s.at, 2);
		traps = moves ? (bits & 1 ? BS : 0) | told(now.pending) : 0;
		ck_assert_uint_eq(s.seen[1].event, traps != 0 ? DB : 0);
		ck_assert_uint_eq(s.seen[1].dr6, DR6 | traps);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP + (moves ? 3 : 0));
		/* Not yet over: all of it is still held. */
		ck_assert_uint_eq(s.seen[1].shadow, !moves && (now.sti || now.mov_ss));
		ck_assert_uint_eq(s.seen[1].pending, moves ? 0 : told(now.pending));
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RFLAGS] & RF, moves ? 0 : RF);
	}
}
END_TEST

/* Whatever the client makes of TF and IF in a shadow, the entry is one. */
START_TEST(a_client_may_change_flags_in_a_shadow)
{
	static const uint64_t none[4];
	struct vcpu_reg_state r;

	for (unsigned int bits = 0; bits < 64; bits++) {
		now = (typeof(now)){ .rflags = (bits & 1 ? TF : 0) | IF };
		now.mov_ss = bits & 2;
		now.sti = !now.mov_ss;
		/* Behind STI the single step has come before. */
		if (now.sti)
			now.rflags = IF;
		now.pending = now.mov_ss && bits & 4 ? 1 : 0;
		set_debug(0x400, CR4, none);
		ck_assert_int_eq(run_one(&mmio, VMM_NO_IRQ), 0);
		if (bits & 32) {
			fixture_regs(&f, &r);
			r.vrs_gprs[VCPU_REGS_RFLAGS] = 2 | (bits & 8 ? TF : 0) |
			    (bits & 16 ? IF : 0);
			ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
			f.run.vrp_continue = 0;
		} else {
			f.exit.vrs.vrs_gprs[VCPU_REGS_RFLAGS] = 2 |
			    (bits & 8 ? TF : 0) | (bits & 16 ? IF : 0);
		}
		expect(fixture_run(&f, script_guest, &s, VMM_NO_IRQ) == 0,
		    "%#x: %s", bits, fixture_refused(&f));
		/* Behind MOV SS, an exception is held as before. */
		if (now.mov_ss)
			ck_assert_uint_eq(s.seen[1].pending, told(now.pending));
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RFLAGS] & (TF | IF),
		    (bits & 8 ? TF : 0) | (bits & 16 ? IF : 0));
	}
}
END_TEST

/* --- Entries in a shadow ---------------------------------------------------- */

/* PUSHF, OR, POPF, STI: the step over STI exits in its shadow. */
START_TEST(a_step_over_sti_is_delivered)
{
	const struct step step = { EXITS(EXIT_EXCEPTION_DB), .act = at_exit };

	memset(&now, 0, sizeof(now));
	now.rflags = TF | IF;
	now.sti = true;
	now.met = BS;
	ck_assert_int_eq(run_one(&step, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[1].event, DB);
	ck_assert_uint_eq(s.seen[1].dr6, DR6 | BS);
	ck_assert(!s.seen[1].shadow);
}
END_TEST

/* Every event, whatever the shadow and whatever TF. */
START_TEST(each_event_goes_in_from_a_shadow)
{
	static const uint64_t none[4];
	static const struct { struct step step; uint64_t event; } events[] = {
		{ { EXITS(EXIT_EXCEPTION_DB) }, DB },
		{ { EXITS(EXIT_EXCEPTION_AC) }, EV_EXC_CODE(17, 0) },
		{ { AT(EXIT_VMCALL, "\x0f\x01\xd9") }, EV_EXC(6) },
		{ { AT(EXIT_RDPMC, "\x0f\x33") }, GP },
		{ { AT(EXIT_MSR, "\x0f\x32") }, GP },
		{ { EXITS(EXIT_STAGE2_FAULT), .interrupted = PF,
		    .exit.npf = { 0x3000, STAGE2_R } }, PF },
		{ { EXITS(EXIT_STAGE2_FAULT), .interrupted = DB,
		    .exit.npf = { 0x3000, STAGE2_R } }, DB },
		{ { EXITS(EXIT_STAGE2_FAULT), .interrupted = GP,
		    .exit.npf = { 0x3000, STAGE2_R } }, GP },
		{ { EXITS(EXIT_STAGE2_FAULT), .interrupted = EV_NMI,
		    .exit.npf = { 0x3000, STAGE2_R } }, EV_NMI },
	};

	for (size_t i = 0; i < COUNT(events); i++) {
		for (unsigned int bits = 0; bits < 16; bits++) {
			struct step step = events[i].step;

			memset(&now, 0, sizeof(now));
			now.rflags = IF | (bits & 1 ? TF : 0);
			now.mov_ss = bits & 2;
			now.sti = !now.mov_ss;
			now.pending = now.mov_ss && bits & 4 ? 1 : 0;
			now.rcx = 0xdeadbeef;
			set_debug(0x400, CR4, none);
			/* At an odd address the CPU keeps BS to itself. */
			step.act = at_exit;
			if (bits & 8) {
				struct vcpu_reg_state r;

				fixture_regs(&f, &r);
				r.vrs_gprs[VCPU_REGS_RIP]++;
				fixture_set_regs(&f, VM_RWREGS_GPRS, &r);
			}
			expect(run_one(&step, VMM_NO_IRQ) == 0,
			    "%zu, %#x: %s", i, bits, fixture_refused(&f));
			expect(s.seen[1].event == events[i].event, "%zu, %#x",
			    i, bits);
			expect(!s.seen[1].shadow, "%zu, %#x", i, bits);
		}
	}
}
END_TEST

/* An exit that is nobody's instruction leaves a shadow, and what it holds. */
START_TEST(a_shadow_outlives_the_host_s_exits)
{
	static const uint64_t none[4];
	const struct step step = { EXITS(EXIT_INTR), .act = at_exit };

	for (unsigned int bits = 0; bits < 16; bits++) {
		struct vcpu_reg_state r;

		now = (typeof(now)){ .rflags = IF };
		now.mov_ss = bits & 1;
		now.sti = !now.mov_ss;
		if (now.mov_ss) {
			now.rflags |= bits & 2 ? TF : 0;
			now.pending = bits & 4 ? 2 : 0;
		}
		set_debug(0x400, CR4, none);
		fixture_regs(&f, &r);
		r.vrs_gprs[VCPU_REGS_RIP] += bits >> 3;
		fixture_set_regs(&f, VM_RWREGS_GPRS, &r);
		expect(run_one(&step, 0x50) == 0, "%#x: %s",
		    bits, fixture_refused(&f));
		ck_assert_uint_eq(s.seen[1].event, 0);
		ck_assert(s.seen[1].shadow);
		ck_assert_uint_eq(s.seen[1].pending, told(now.pending));
	}
}
END_TEST

/* INT1 is an instruction, too: what MOV SS held comes with it. */
static void
int1(struct sim_guest *g)
{
	at_exit(g);
	g->exit.kind = SIM_EXITED;
	sim_vmx_set(VMCS_EXIT_INTERRUPTION_INFO, VMX_INTR_INFO_V |
	    VMX_INTR_INFO_TYPE_INT1 << VMX_INTR_INFO_TYPE_SHIFT | 1);
	sim_vmx_exits(g, VMX_EXIT_NMI, 0, 1);
}

START_TEST(int1_brings_what_was_held)
{
	static const uint64_t none[4];
	const struct step step = { .act = int1 };

	if (!sim_machine->vmx)
		return;		/* the CPU does it */
	for (unsigned int bits = 0; bits < 4; bits++) {
		now = (typeof(now)){ .mov_ss = true };
		now.rflags = bits & 1 ? TF : 0;
		now.pending = bits & 2 ? 1 : 0;
		set_debug(0x400, CR4, none);
		ck_assert_int_eq(run_one(&step, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(s.seen[1].event, DB);
		ck_assert_uint_eq(s.seen[1].dr6, DR6 | now.pending);
		ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP + 1);
	}
}
END_TEST

/* The host's event came before a trap of the guest, and before its interrupt. */
START_TEST(a_trap_survives_the_host_s_event)
{
	static const enum exit_kind kinds[] = {
		EXIT_EXCEPTION_MC, EXIT_INIT, EXIT_SMI,
	};
	static const uint64_t none[4];

	if (!sim_machine->vmx)
		return;		/* the CPU delivers it at the next entry */
	for (size_t i = 0; i < COUNT(kinds); i++) {
		const struct step steps[] = {
			{ EXITS(kinds[i]), .act = at_exit },
			{ EXITS(EXIT_INTR) },
			{ EXITS(EXIT_TRIPLE_FAULT) },
		};

		now = (typeof(now)){ .rflags = IF, .pending = 2, .dr7 = 0x402 | GD };
		set_debug(0x400, CR4, none);
		ck_assert_int_eq(fixture_steps(&f, &s, steps, 3, 0x44), 0);
		ck_assert_uint_eq(s.seen[0].event, 0);
		ck_assert_uint_eq(s.seen[1].event, DB);
		ck_assert_uint_eq(s.seen[1].dr6, DR6 | 2);
		ck_assert_uint_eq(s.seen[1].dr7, 0x402);
		ck_assert_uint_eq(s.seen[2].event, EV_INTR(0x44));
	}
}
END_TEST

/* --- At random -------------------------------------------------------------- */

#define RUNS	1000

static uint64_t seed;

static unsigned int
pick(unsigned int n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(seed >> 33) % n;
}

static struct {
	bool	 known;		/* what comes next, beside an interrupt, is: */
	uint64_t event, dr6, rip;
	bool	 shadow;
	unsigned int entries;
	enum exit_kind kind;	/* of the exit before */
} next;

static void
came(const struct sim_guest *g)
{
	uint64_t event = g->event;

	expect(event == 0 || !g->shadow, "an event in a shadow");
	if (EV_TYPE(event) == SIM_INTR && event != 0)
		expect(g->gpr[VCPU_REGS_RFLAGS] & IF, "an interrupt without IF");
	if (!next.known)
		return;
	if (EV_TYPE(event) == SIM_INTR && event != 0 && next.event == 0)
		expect(!next.shadow, "an interrupt in a shadow");
	else
		expect(event == next.event, "after %s: event %#llx, not %#llx",
		    exit_policy[next.kind].name, (unsigned long long)event,
		    (unsigned long long)next.event);
	expect(g->dr6 == next.dr6, "DR6 %#llx, not %#llx",
	    (unsigned long long)g->dr6, (unsigned long long)next.dr6);
	expect(g->gpr[VCPU_REGS_RIP] == next.rip, "RIP");
}

/* A state that a CPU can be in at an exit of this kind. */
static void
any_state(bool in_shadow, bool stepped)
{
	memset(&now, 0, sizeof(now));
	now.rflags = (pick(2) ? TF : 0) | (pick(2) ? IF : 0) | (pick(4) ? 0 : RF);
	if (!in_shadow)
		return;
	now.mov_ss = pick(2);
	now.sti = !now.mov_ss && pick(2);
	if (now.sti)
		now.rflags |= IF;
	/* The trap of STI itself comes before anything else. */
	if (now.sti && !stepped)
		now.rflags &= ~TF;
	now.pending = now.mov_ss && pick(2) ? pick(16) : 0;
}

static void
random_guest(struct sim_guest *g, void *arg)
{
	static const uint64_t cut_short[] = { PF, GP, DB, EV_NMI };
	static const enum exit_kind late[] = { EXIT_EXCEPTION_MC, EXIT_INIT, EXIT_SMI };
	const struct insn_case *c = &insns[pick(COUNT(insns))];
	struct step step = c->step;

	(void)arg;
	came(&sim.entered);
	next.entries++;
	next.known = true;
	next.event = 0;
	g->dr6 = DR6;
	g->gpr[VCPU_REGS_RIP] = next.rip = RIP + pick(64) * 16 + pick(2);
	any_state(true, false);
	next.dr6 = DR6;
	switch (pick(8)) {
	case 0: case 1: case 2:
		now.rax = c->rax;
		now.rcx = c->rcx;
		next.rip += c->again ? 0 : c->step.exit.insn_len;
		next.dr6 |= told(now.pending) | (now.rflags & TF ? BS : 0);
		next.event = next.dr6 != DR6 ? DB : 0;
		next.shadow = false;
		break;
	case 3:
		step = (struct step){ AT(EXIT_MSR, "\x0f\x32") };
		now.rcx = 0xdeadbeef;
		next.event = GP;
		break;
	case 4:
		any_state(true, true);
		step = (struct step){ EXITS(EXIT_EXCEPTION_DB) };
		now.met = now.mov_ss ? BD : BS;
		now.pending = 0;
		next.dr6 |= now.met;
		next.event = DB;
		break;
	case 5:
		step = (struct step){ EXITS(EXIT_INTR) };
		next.shadow = now.sti || now.mov_ss;
		break;
	case 6:
		any_state(true, true);
		step = (struct step){ EXITS(EXIT_STAGE2_FAULT),
		    .exit.npf = { 0x3000, STAGE2_R },
		    .interrupted = cut_short[pick(COUNT(cut_short))] };
		next.event = step.interrupted;
		break;
	default:
		any_state(false, false);
		step = (struct step){ EXITS(late[pick(COUNT(late))]) };
		now.pending = pick(16);
		next.dr6 |= told(now.pending);
		next.event = told(now.pending) != 0 ? DB : 0;
		next.shadow = false;
		break;
	}
	at_exit(g);
	g->exit = step.exit;
	g->insn = step.insn;
	g->interrupted = step.interrupted;
	if (step.insn != NULL)
		memcpy(f.mem + g->gpr[VCPU_REGS_RIP], step.insn, step.exit.insn_len);
	if (next.entries % 16 == 0) {
		any_state(true, false);
		at_exit(g);
		g->exit = mmio.exit;
		g->insn = NULL;
		g->interrupted = 0;
		next.known = false;
	}
	next.kind = g->exit.kind;
}

/* The client, between two RUNs, changes flags, moves RIP or gives a vector. */
static uint16_t
random_client(void)
{
	struct vcpu_reg_state r;

	if (f.run.vrp_exit_reason == sim_reason(EXIT_STAGE2_FAULT)) {
		f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] += pick(2) * 3;
		f.exit.vrs.vrs_gprs[VCPU_REGS_RFLAGS] ^= pick(2) * TF | pick(2) * IF;
	} else if (pick(4) == 0) {
		fixture_regs(&f, &r);
		r.vrs_gprs[VCPU_REGS_RFLAGS] ^= pick(2) * TF | pick(2) * IF;
		ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_GPRS, &r), 0);
		next.known = false;	/* an INS may not be over */
	}
	return pick(3) ? VMM_NO_IRQ : (uint16_t)(0x30 + pick(16));
}

START_TEST(no_state_is_refused)
{
	for (seed = 1; seed < 4; seed++) {
		uint64_t first = seed;

		fresh();
		next.known = false;
		for (unsigned int i = 0; i < RUNS; i++) {
			expect(fixture_run(&f, random_guest, NULL,
			    random_client()) == 0, "seed %llu, run %u: %s",
			    (unsigned long long)first, i, fixture_refused(&f));
			if (host_user.log[0] != '\0')
				host_user.log[0] = '\0';
		}
		seed = first;
	}
	ck_assert_uint_eq(sim.refused, 0);
	ck_assert_uint_gt(next.entries, RUNS);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		each_instruction_raises_what_is_due,
		a_remark_is_no_exception,
		a_faulting_instruction_raises_its_fault_alone,
		dr6_forgets_older_breakpoints,
		ports_are_watched,
		strings_are_watched_in_port_and_memory,
		the_operand_of_lmsw_is_watched,
		others_meet_no_breakpoint,
		everything_comes_in_one_exception,
		dr0_is_the_one_that_the_guest_has_loaded,
		a_cancelled_element_has_written_nothing,
		what_the_client_emulates_is_an_instruction,
		a_client_may_change_flags_in_a_shadow,
		a_step_over_sti_is_delivered,
		each_event_goes_in_from_a_shadow,
		a_shadow_outlives_the_host_s_exits,
		int1_brings_what_was_held,
		a_trap_survives_the_host_s_event,
		no_state_is_refused,
	};

	return fixture_main_extremes("debug", tests, COUNT(tests), start, stop);
}
