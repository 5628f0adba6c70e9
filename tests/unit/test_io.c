/* SPDX-License-Identifier: ISC */
/*
 * Port I/O: what the client is shown, and what is left in registers and memory
 * when it has answered. The whole path runs (decoder, fetch, page walk) over a
 * guest of 64 pages; a loop in this file says what a CPU would have done.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend.h"
#include "cpuid_guest.h"
#include "emulate_io.h"
#include "exit.h"
#include "insn_fetch.h"
#include "memory.h"

/* --- The guest ------------------------------------------------------------------ */

#define PAGES	64
#define CODE	0x5000
#define PORT	0x1f0

static uint8_t ram[PAGES * 4096];
static struct vm vm;
static struct vcpu vcpu, *v = &vcpu;
static struct guest_mode mode;
static struct vcpu_segment_info segs[SREG_COUNT];
static unsigned int advances, faults, touched[PAGES];
static struct guest_fault fault;

static const struct exit_policy policy = {
	.name = "io",
	.insns = INSN_BIT(INSN_IN) | INSN_BIT(INSN_OUT) | INSN_BIT(INSN_INS) |
	    INSN_BIT(INSN_OUTS),
};

static void
fake_mode(struct vcpu *vc, struct guest_mode *m)
{
	(void)vc;
	*m = mode;
	m->rflags = v->gpr[VCPU_REGS_RFLAGS];
}

static void
fake_seg_get(struct vcpu *vc, enum sreg s, struct vcpu_segment_info *seg)
{
	(void)vc;
	*seg = segs[s];
}

/* Never the same: what is fetched is fetched from memory. */
static void
fake_fetch_state(struct vcpu *vc, struct fetch_state *s)
{
	static uint64_t count;

	(void)vc;
	*s = (struct fetch_state){ .cr0 = count++ };
}

static uint64_t dr7, cr4;	/* what breakpoint.c looks at */

static uint64_t
fake_reg_get(struct vcpu *vc, enum reg r)
{
	(void)vc;
	return r == REG_DR7 ? dr7 : r == REG_CR4 ? cr4 : 0;
}

static const struct backend fake_backend = {
	.reg_get = fake_reg_get,
	.mode = fake_mode,
	.seg_get = fake_seg_get,
	.fetch_state = fake_fetch_state,
};

const struct backend *vmm_backend_found = &fake_backend;

unsigned int
cpuid_guest_phys_bits(void)
{
	return 40;
}

bool
cpuid_guest_has(enum cpuid_feature f)
{
	(void)f;
	return false;
}

/* As vcpu.c has it, without the traps. */
void
vcpu_advance(struct vcpu *vc, unsigned int len)
{
	vc->gpr[VCPU_REGS_RIP] += len;
	vc->gpr[VCPU_REGS_RFLAGS] &= ~(uint64_t)ARCH_RFLAGS_RF;
	advances++;
}

void
vcpu_fault(struct vcpu *vc, const struct guest_fault *f)
{
	(void)vc;
	fault = *f;
	faults++;
}

static bool
in_ram(uint64_t gpa, size_t len)
{
	return gpa < sizeof(ram) && len <= sizeof(ram) - gpa;
}

const struct vm_range *
memory_range(const struct vm *m, uint64_t gpa)
{
	static const struct vm_range range;

	(void)m;
	return in_ram(gpa, 1) ? &range : NULL;
}

int
memory_read(struct vcpu *m, uint64_t gpa, void *buf, size_t len)
{
	(void)m;
	if (!in_ram(gpa, len))
		return -EFAULT;
	touched[gpa / 4096]++;
	memcpy(buf, ram + gpa, len);
	return 0;
}

int
memory_place(const struct vm *m, uint64_t gpa, unsigned int access, uint64_t *addr)
{
	(void)m;
	(void)access;
	if (!in_ram(gpa, 1))
		return -EFAULT;
	touched[gpa / 4096]++;
	*addr = (uint64_t)(uintptr_t)(ram + gpa);
	return 0;
}

int
memory_get_waiting(struct vcpu *m, void *to, uint64_t addr, size_t len)
{
	(void)m;
	return host_copy_in_few(to, addr, len);
}

int
memory_write(struct vcpu *m, uint64_t gpa, const void *buf, size_t len)
{
	(void)m;
	if (!in_ram(gpa, len))
		return -EFAULT;
	memcpy(ram + gpa, buf, len);
	return 0;
}

int
memory_cmpxchg(struct vcpu *m, uint64_t gpa, unsigned int size, uint64_t *old, uint64_t new)
{
	(void)m;
	if (!in_ram(gpa, size) || memcmp(ram + gpa, old, size) != 0)
		return -EAGAIN;
	memcpy(ram + gpa, &new, size);
	return 0;
}

/* --- Modes ------------------------------------------------------------------------ */

/* Long mode: tables in pages 1 to 4; linear equals physical. */
static void
map_page(unsigned int page, bool present)
{
	uint64_t pte = page * 4096ull | (present ? 7 : 0);

	memcpy(ram + 0x4000 + page * 8, &pte, 8);
}

static void
segments(uint64_t base, uint32_t limit, uint32_t db)
{
	unsigned int s;

	for (s = 0; s <= SREG_SS; s++)
		segs[s] = (struct vcpu_segment_info){ .vsi_base = base, .vsi_limit = limit,
			.vsi_ar = (s == SREG_CS ? 0x9b : 0x93) | db };
}

static void
enter_mode(enum insn_mode m)
{
	static const uint64_t tables[] = { 0x2007, 0x3007, 0x4007 };
	unsigned int i;

	memset(&vcpu, 0, sizeof(vcpu));
	memset(&mode, 0, sizeof(mode));
	memset(touched, 0, sizeof(touched));
	advances = faults = 0;
	v->vm = &vm;
	v->gpr[VCPU_REGS_RFLAGS] = 2;
	v->gpr[VCPU_REGS_RIP] = CODE;
	switch (m) {
	case INSN_MODE_16:
		segments(0, 0xffff, 0);
		break;
	case INSN_MODE_32:
		segments(0, 0xffffffff, ARCH_AR_DB);
		mode.cr0 = ARCH_CR0_PE;
		mode.code32 = true;
		break;
	case INSN_MODE_64:
		segments(0, 0, 0);
		for (i = 0; i < 3; i++)
			memcpy(ram + (i + 1) * 0x1000, &tables[i], 8);
		for (i = 0; i < PAGES; i++)
			map_page(i, true);
		mode.cr0 = ARCH_CR0_PE | ARCH_CR0_PG;
		mode.cr4 = ARCH_CR4_PAE;
		mode.cr3 = 0x1000;
		mode.efer = ARCH_EFER_LMA;
		mode.code64 = true;
		break;
	}
}

static void
setup(void)
{
	memset(ram, 0, sizeof(ram));
	enter_mode(INSN_MODE_64);
}

/* An exit as a CPU with decode assists reports it. */
static void
exit_io(bool in, unsigned int size, unsigned int insn_len)
{
	memset(&v->exit, 0, sizeof(v->exit));
	v->exit.insn_len = insn_len;
	v->exit.io.port = PORT;
	v->exit.io.size = size;
	v->exit.io.in = in;
}

static void
exit_string(bool in, unsigned int size, unsigned int addr_size, bool rep, enum sreg seg)
{
	exit_io(in, size, 2);
	v->exit.io.string = true;
	v->exit.io.addr_size = addr_size;
	v->exit.io.rep = rep;
	v->exit.io.seg = seg;
	v->exit.io.seg_valid = true;
}

/* The client must not be able to tell a string from a plain access. */
static void
shown(bool in, unsigned int size, uint32_t data)
{
	const struct vm_exit_inout *vei = &v->vmexit.vei;

	ck_assert_uint_eq(vei->vei_dir, in ? VEI_DIR_IN : VEI_DIR_OUT);
	ck_assert_uint_eq(vei->vei_size, size);
	ck_assert_uint_eq(vei->vei_port, PORT);
	ck_assert_uint_eq(vei->vei_data, data);
	ck_assert_uint_eq(vei->vei_rep, 0);
	ck_assert_uint_eq(vei->vei_string, 0);
	ck_assert_uint_eq(vei->vei_encoding, 0);
	ck_assert_int_eq(v->io.active, in);
}

/* --- Plain ----------------------------------------------------------------------------- */

static const uint64_t masks[5] = { 0, 0xff, 0xffff, 0, 0xffffffff };

/* OUT shows the low bytes of RAX, IN all of EAX; IN changes its bytes, 4 clear the rest. */
START_TEST(plain_sizes)
{
	static const uint64_t after[5] = { 0, 0x1122334455667799, 0x1122334455668899, 0,
		0xaabb8899 };
	unsigned int size;

	for (size = 1; size <= 4; size *= 2) {
		v->gpr[VCPU_REGS_RAX] = 0x1122334455667788;
		v->gpr[VCPU_REGS_RIP] = CODE;
		exit_io(false, size, 2);
		ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
		shown(false, size, 0x1122334455667788 & masks[size]);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 2);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RAX], 0x1122334455667788);
		ck_assert_int_eq(io_complete(v, 0xdeadbeef), 0);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RAX], 0x1122334455667788);

		exit_io(true, size, 1);
		ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
		shown(true, size, 0x55667788);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 3);
		ck_assert_int_eq(io_complete(v, 0xaabb8899), 0);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RAX], after[size]);
		ck_assert(!v->io.active);
		/* Once only. */
		ck_assert_int_eq(io_complete(v, 0), 0);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RAX], after[size]);
	}
}
END_TEST

START_TEST(plain_cancelled)
{
	v->gpr[VCPU_REGS_RAX] = 0x1122334455667788;
	exit_io(true, 4, 1);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	ck_assert_int_eq(io_cancel(v), 0);
	ck_assert(!v->io.active);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RAX], 0x1122334455667788);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 1);
	ck_assert_uint_eq(advances, 1);
	ck_assert_int_eq(io_cancel(v), 0);
	ck_assert_uint_eq(advances, 1);
}
END_TEST

/* --- Strings against a model ------------------------------------------------------------ */

/* What a CPU does with registers and memory; one element a call. */
struct model {
	uint64_t rcx, ptr;
	uint8_t	 memory[sizeof(ram)];
};

static uint64_t
put_low(uint64_t old, uint64_t new, unsigned int size)
{
	return size == 8 ? new : size == 4 ? (uint32_t)new :
	    (old & ~0xffffull) | (new & 0xffff);
}

static uint64_t
low(uint64_t value, unsigned int size)
{
	return size == 8 ? value : size == 4 ? (uint32_t)value : (uint16_t)value;
}

static uint32_t
device(unsigned int element)
{
	return 0x9e3779b9u * (element + 1);
}

static unsigned long elements;

/* Runs the instruction to its end; both sides start from the same state. */
static void
run_string(bool in, unsigned int size, unsigned int addr_size, bool rep, bool down,
    enum sreg seg)
{
	static struct model m;
	unsigned int reg = in ? VCPU_REGS_RDI : VCPU_REGS_RSI, n = 0;
	uint64_t rip = v->gpr[VCPU_REGS_RIP], other = in ? VCPU_REGS_RSI : VCPU_REGS_RDI;
	uint64_t other_value = v->gpr[other], base = segs[in ? SREG_ES : seg].vsi_base, at;
	uint32_t data;
	int next;

	v->gpr[VCPU_REGS_RFLAGS] = down ? 2 | ARCH_RFLAGS_DF : 2;
	m.rcx = v->gpr[VCPU_REGS_RCX];
	m.ptr = v->gpr[reg];
	memcpy(m.memory, ram, sizeof(ram));
	for (;;) {
		bool last = !rep || low(m.rcx, addr_size) <= 1;

		exit_string(in, size, addr_size, rep, seg);
		next = user_inout(v, &policy);
		ck_assert_uint_eq(faults, 0);
		if (rep && low(m.rcx, addr_size) == 0) {
			ck_assert_int_eq(next, EXIT_RESUME);
			break;
		}
		ck_assert_int_eq(next, EXIT_TO_CLIENT);
		at = base + low(m.ptr, addr_size);
		if (in) {
			shown(true, size, 0);
			ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], rip);
			data = device(n) & masks[size];
			memcpy(m.memory + at, &data, size);
			ck_assert_int_eq(io_complete(v, device(n)), 0);
		} else {
			data = 0;
			memcpy(&data, m.memory + at, size);
			shown(false, size, data);
		}
		m.ptr = put_low(m.ptr, down ? m.ptr - size : m.ptr + size, addr_size);
		if (rep)
			m.rcx = put_low(m.rcx, m.rcx - 1, addr_size);
		n++;
		elements++;
		ck_assert_uint_eq(v->gpr[reg], m.ptr);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], m.rcx);
		ck_assert_uint_eq(advances, n);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], last ? rip + 2 : rip);
		/* Between elements a breakpoint on the instruction stays quiet. */
		ck_assert_int_eq(!!(v->gpr[VCPU_REGS_RFLAGS] & ARCH_RFLAGS_RF), !last);
		if (last)
			break;
	}
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], rip + 2);
	ck_assert_uint_eq(v->gpr[other], other_value);
	/* All but the page tables, whose accessed bits may have come. */
	ck_assert(memcmp(m.memory + 0x5000, ram + 0x5000, sizeof(ram) - 0x5000) == 0);
}

START_TEST(strings)
{
	static const uint8_t counts[] = { 0, 1, 2, 3, 7 };
	unsigned int m, in, size, addr, rep, down, c, i;

	for (m = INSN_MODE_16; m <= INSN_MODE_64; m++)
	for (in = 0; in < 2; in++)
	for (size = 1; size <= 4; size *= 2)
	for (addr = m == INSN_MODE_64 ? 4 : 2; addr <= (m == INSN_MODE_64 ? 8u : 4u); addr *= 2)
	for (rep = 0; rep < 2; rep++)
	for (down = 0; down < 2; down++)
	for (c = 0; c < sizeof(counts); c++) {
		enter_mode(m);
		for (i = 0x5000; i < sizeof(ram); i++)
			ram[i] = i * 7 + i / 256;
		/* Rubbish above what the address size reaches. */
		v->gpr[VCPU_REGS_RCX] = 0xa5a5a5a500000000 | (addr == 2 ? 0x77770000 : 0);
		v->gpr[VCPU_REGS_RSI] = v->gpr[VCPU_REGS_RDI] = v->gpr[VCPU_REGS_RCX];
		if (addr == 8)
			v->gpr[VCPU_REGS_RCX] = v->gpr[VCPU_REGS_RSI] =
			    v->gpr[VCPU_REGS_RDI] = 0;
		v->gpr[VCPU_REGS_RCX] += counts[c];
		v->gpr[VCPU_REGS_RSI] += 0x8ffd;	/* elements cross the page */
		v->gpr[VCPU_REGS_RDI] += 0x9ffd;
		run_string(in, size, addr, rep, down, SREG_DS);
	}
	printf("# %lu elements\n", elements);
}
END_TEST

/* Pointers wrap at the address size. */
START_TEST(pointer_wraps)
{
	enter_mode(INSN_MODE_16);
	v->gpr[VCPU_REGS_RCX] = 4;
	v->gpr[VCPU_REGS_RSI] = 0x1234fffc;
	run_string(false, 2, 2, true, false, SREG_DS);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RSI], 0x12340004);

	enter_mode(INSN_MODE_16);
	v->gpr[VCPU_REGS_RCX] = 3;
	v->gpr[VCPU_REGS_RDI] = 1;
	run_string(true, 1, 2, true, true, SREG_DS);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RDI], 0xfffe);

	enter_mode(INSN_MODE_64);
	v->gpr[VCPU_REGS_RCX] = 1;
	v->gpr[VCPU_REGS_RSI] = 0xffffffff00000001;
	run_string(false, 1, 4, true, true, SREG_DS);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RSI], 0);
}
END_TEST

/* OUTS reads from the segment that the CPU or a prefix names, INS writes ES. */
START_TEST(segment_of_the_element)
{
	static const struct { uint8_t prefix; enum sreg seg; } table[] = {
		{ 0x26, SREG_ES }, { 0x2e, SREG_CS }, { 0x36, SREG_SS }, { 0x3e, SREG_DS },
		{ 0x64, SREG_FS }, { 0x65, SREG_GS },
	};
	unsigned int i, in, told, s;

	for (i = 0; i < 6; i++)
	for (in = 0; in < 2; in++)
	for (told = 0; told < 2; told++) {
		enter_mode(INSN_MODE_16);
		for (s = 0; s <= SREG_SS; s++)
			segs[s].vsi_base = 0x10000 + s * 0x1000;
		segs[SREG_CS].vsi_base = 0;
		ram[segs[table[i].seg].vsi_base + 0x10] = 0x42;
		ram[CODE] = table[i].prefix;
		ram[CODE + 1] = in ? 0x6c : 0x6e;
		v->gpr[VCPU_REGS_RSI] = v->gpr[VCPU_REGS_RDI] = 0x10;
		exit_string(in, 1, 2, false, table[i].seg);
		v->exit.io.seg_valid = told;
		ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
		shown(in, 1, in ? 0 : 0x42);
		if (in) {
			ck_assert_int_eq(io_complete(v, 0x99), 0);
			ck_assert_uint_eq(ram[segs[SREG_ES].vsi_base + 0x10], 0x99);
		}
		ram[segs[table[i].seg].vsi_base + 0x10] = 0;
	}
}
END_TEST

/* A count that would take years is one element an exit like any other. */
START_TEST(huge_count)
{
	static const struct { enum insn_mode m; unsigned int addr; uint64_t rcx; } table[] = {
		{ INSN_MODE_32, 4, 0xffffffff }, { INSN_MODE_64, 8, ~0ULL },
		{ INSN_MODE_64, 4, 0xffffffff }, { INSN_MODE_16, 2, 0xffff },
	};
	unsigned int i, in, n;

	for (i = 0; i < 4; i++)
	for (in = 0; in < 2; in++) {
		enter_mode(table[i].m);
		v->gpr[VCPU_REGS_RCX] = table[i].rcx;
		v->gpr[VCPU_REGS_RSI] = v->gpr[VCPU_REGS_RDI] = 0x8000;
		for (n = 1; n <= 100; n++) {
			exit_string(in, 4, table[i].addr, true, SREG_DS);
			ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
			ck_assert_int_eq(io_complete(v, n), 0);
			ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], table[i].rcx - n);
			ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE);
		}
	}
}
END_TEST

/* --- Faults -------------------------------------------------------------------------------- */

/*
 * Element `bad` meets a page that is not there: the guest's handler sees a
 * state from which the instruction goes on when the page has come.
 */
START_TEST(fault_at_any_element)
{
	unsigned int in, bad, n, size;

	for (in = 0; in < 2; in++)
	for (size = 1; size <= 4; size *= 2)
	for (bad = 0; bad < 5; bad++) {
		unsigned int reg = in ? VCPU_REGS_RDI : VCPU_REGS_RSI;
		uint64_t start = 0x9000 - bad * size;

		enter_mode(INSN_MODE_64);
		map_page(9, false);
		v->gpr[VCPU_REGS_RCX] = 5;
		v->gpr[reg] = start;
		for (n = 0; n < 5; n++) {
			exit_string(in, size, 8, true, SREG_DS);
			if (n == bad) {
				memset(&v->vmexit, 0, sizeof(v->vmexit));
				ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
				ck_assert_uint_eq(faults, 1);
				ck_assert_uint_eq(fault.vector, ARCH_EXC_PF);
				ck_assert_uint_eq(fault.error, in ? ARCH_PF_W : 0);
				ck_assert_uint_eq(fault.cr2, 0x9000);
				/* Nothing was done: no port, no register. */
				ck_assert(!v->io.active);
				ck_assert_uint_eq(v->vmexit.vei.vei_size, 0);
				ck_assert_uint_eq(advances, n);
				ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], 5 - n);
				ck_assert_uint_eq(v->gpr[reg], 0x9000);
				ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE);
				map_page(9, true);
			}
			ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
			ck_assert_int_eq(io_complete(v, n), 0);
		}
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], 0);
		ck_assert_uint_eq(v->gpr[reg], start + 5 * size);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 2);
	}
}
END_TEST

/* An element across two pages of which the second is missing. */
START_TEST(fault_within_an_element)
{
	unsigned int in;

	for (in = 0; in < 2; in++) {
		enter_mode(INSN_MODE_64);
		map_page(9, false);
		memset(ram + 0x8ffe, 0x55, 2);
		v->gpr[VCPU_REGS_RSI] = v->gpr[VCPU_REGS_RDI] = 0x8ffe;
		exit_string(in, 4, 8, false, SREG_DS);
		ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
		ck_assert_uint_eq(fault.cr2, 0x9000);
		ck_assert_uint_eq(ram[0x8ffe], 0x55);
		ck_assert_uint_eq(advances, 0);
	}
}
END_TEST

START_TEST(segment_faults)
{
	/* Beyond the limit: #GP, in SS #SS. */
	enter_mode(INSN_MODE_16);
	v->gpr[VCPU_REGS_RSI] = 0xffff;
	exit_string(false, 2, 2, false, SREG_DS);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	ck_assert_uint_eq(fault.vector, ARCH_EXC_GP);
	exit_string(false, 2, 2, false, SREG_SS);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	ck_assert_uint_eq(fault.vector, ARCH_EXC_SS);
	/* A read-only destination. */
	enter_mode(INSN_MODE_32);
	segs[SREG_ES].vsi_ar = 0xc091;
	exit_string(true, 1, 4, false, SREG_DS);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	ck_assert_uint_eq(fault.vector, ARCH_EXC_GP);
	ck_assert_uint_eq(fault.error, 0);
	ck_assert(!v->io.active);
}
END_TEST

/* Memory that is not there: RUN fails, in words, before the port is touched. */
START_TEST(no_memory)
{
	unsigned int in;

	for (in = 0; in < 2; in++) {
		enter_mode(INSN_MODE_32);
		v->gpr[VCPU_REGS_RSI] = v->gpr[VCPU_REGS_RDI] = 0xf0000000;
		exit_string(in, 4, 4, false, SREG_DS);
		ck_assert_int_eq(user_inout(v, &policy), -EFAULT);
		ck_assert(!v->io.active);
		ck_assert_uint_eq(advances, 0);
	}
}
END_TEST

/* The page goes while the client reads the port: the guest gets the fault. */
START_TEST(destination_goes_meanwhile)
{
	v->gpr[VCPU_REGS_RDI] = 0x9000;
	v->gpr[VCPU_REGS_RCX] = 2;
	exit_string(true, 2, 8, true, SREG_ES);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	map_page(9, false);
	ck_assert_int_eq(io_complete(v, 0x1234), 0);
	ck_assert_uint_eq(faults, 1);
	ck_assert_uint_eq(fault.cr2, 0x9000);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], 2);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE);
	ck_assert(!v->io.active);
}
END_TEST

/* No answer from the client: the element counts, memory keeps its bytes. */
START_TEST(string_cancelled)
{
	ram[0x9000] = 0x77;
	v->gpr[VCPU_REGS_RDI] = 0x9000;
	v->gpr[VCPU_REGS_RCX] = 2;
	exit_string(true, 1, 8, true, SREG_ES);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	ck_assert_int_eq(io_cancel(v), 0);
	ck_assert_uint_eq(ram[0x9000], 0x77);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RDI], 0x9001);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], 1);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE);
	exit_string(true, 1, 8, true, SREG_ES);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	ck_assert_int_eq(io_cancel(v), 0);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 2);
}
END_TEST

/* WRITEREGS has put the vCPU somewhere else: nothing of the INS is left. */
START_TEST(client_moved_the_vcpu)
{
	unsigned int answered;

	for (answered = 0; answered < 2; answered++) {
		enter_mode(INSN_MODE_64);
		ram[0x9000] = 0x77;
		v->gpr[VCPU_REGS_RDI] = 0x9000;
		v->gpr[VCPU_REGS_RCX] = 2;
		exit_string(true, 1, 8, true, SREG_ES);
		ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
		v->gpr[VCPU_REGS_RIP] = 0x100;
		ck_assert_int_eq(answered ? io_complete(v, 1) : io_cancel(v), 0);
		ck_assert(!v->io.active);
		ck_assert_uint_eq(ram[0x9000], 0x77);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RDI], 0x9000);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], 2);
		ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], 0x100);
		ck_assert_uint_eq(advances, 0);
	}
}
END_TEST

/* --- Fetching what the CPU kept back ------------------------------------ */

static void
code(const char *bytes, size_t n)
{
	memcpy(ram + v->gpr[VCPU_REGS_RIP], bytes, n);
}

/* Prefixes that mean nothing are part of the length (D7). */
START_TEST(length_from_the_code)
{
	code("\x66\x2e\x3e\xec", 4);
	exit_io(true, 1, 0);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	shown(true, 1, 0);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 4);
}
END_TEST

/* A CPU that names neither address size nor segment, nor a length. */
START_TEST(everything_from_the_code)
{
	segs[SREG_GS].vsi_base = 0x1000;
	ram[0x9004] = 0x5a;
	code("\xf3\x67\x65\x6e", 4);
	v->gpr[VCPU_REGS_RSI] = 0xffffffff00008004;
	v->gpr[VCPU_REGS_RCX] = 0xffffffff00000002;
	exit_io(false, 1, 0);
	v->exit.io.string = v->exit.io.rep = true;
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	shown(false, 1, 0x5a);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RSI], 0x8005);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RCX], 1);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], CODE + 4);
}
END_TEST

/* Another vCPU has put other code there: go back and see (X1). */
START_TEST(code_has_changed)
{
	static const struct { const char *bytes; size_t n; } table[] = {
		{ "\xec", 1 },		/* IN, not OUT */
		{ "\xef", 1 },		/* 4 bytes, not 1 */
		{ "\x6e", 1 },		/* a string */
		{ "\x0f\xa2", 2 },	/* CPUID */
		{ "\xeb\xfe", 2 },	/* nothing of ours */
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		enter_mode(INSN_MODE_64);
		code(table[i].bytes, table[i].n);
		exit_io(false, 1, 0);
		ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
		ck_assert_uint_eq(advances, 0);
		ck_assert_uint_eq(faults, 0);
	}
	/* Strings: REP and the address size count as well. */
	code("\xf3\x6e", 2);
	exit_string(false, 1, 8, false, SREG_DS);
	v->exit.io.seg_valid = false;
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	v->exit.io.rep = true;
	v->exit.io.addr_size = 4;
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	v->exit.io.addr_size = 8;
	v->gpr[VCPU_REGS_RCX] = 1;
	v->gpr[VCPU_REGS_RSI] = 0x8000;
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
}
END_TEST

/* The next page is looked at only when the instruction goes on there. */
START_TEST(fetch_ends_with_the_page)
{
	map_page(6, false);
	v->gpr[VCPU_REGS_RIP] = 0x5ffe;
	code("\x66\xed", 2);
	exit_io(true, 2, 0);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	ck_assert_uint_eq(faults, 0);
	ck_assert_uint_eq(touched[6], 0);

	/* IN AL, imm8 whose immediate is on the missing page. */
	v->io.active = false;
	v->gpr[VCPU_REGS_RIP] = 0x5fff;
	ram[0x5fff] = 0xe4;
	exit_io(true, 1, 0);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	ck_assert_uint_eq(faults, 1);
	ck_assert_uint_eq(fault.vector, ARCH_EXC_PF);
	ck_assert_uint_eq(fault.cr2, 0x6000);
	map_page(6, true);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], 0x6001);
}
END_TEST

/* So with the segment's limit. */
START_TEST(fetch_ends_with_the_segment)
{
	enter_mode(INSN_MODE_16);
	segs[SREG_CS].vsi_limit = CODE + 1;
	code("\xe4\x60", 2);
	exit_io(true, 1, 0);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_TO_CLIENT);
	segs[SREG_CS].vsi_limit = CODE;
	enter_mode(INSN_MODE_16);
	segs[SREG_CS].vsi_limit = CODE;
	exit_io(true, 1, 0);
	ck_assert_int_eq(user_inout(v, &policy), EXIT_RESUME);
	ck_assert_uint_eq(fault.vector, ARCH_EXC_GP);
}
END_TEST

/* Bytes that the CPU reported stand for the memory, as far as they go. */
START_TEST(bytes_from_the_cpu)
{
	struct insn insn;
	uint8_t bytes[INSN_MAX];

	exit_io(true, 1, 0);
	v->exit.bytes_len = 2;
	memcpy(v->exit.bytes, "\xe4\x60", 2);
	map_page(CODE / 4096, false);
	ck_assert_int_eq(insn_fetch(v, policy.insns, &insn), 0);
	ck_assert_uint_eq(insn.length, 2);
	ck_assert_uint_eq(insn.imm, 0x60);
	ck_assert_uint_eq(insn_bytes(v, bytes), 2);
	ck_assert_mem_eq(bytes, "\xe4\x60", 2);

	map_page(CODE / 4096, true);
	code("\xe4\x61", 2);
	v->exit.bytes_len = 1;
	ck_assert_int_eq(insn_fetch(v, policy.insns, &insn), 0);
	ck_assert_uint_eq(insn.imm, 0x61);
	ck_assert_int_eq(insn_fetch(v, INSN_BIT(INSN_CPUID), &insn), INSN_RETRY);
}
END_TEST

START_TEST(bytes_for_the_client)
{
	uint8_t bytes[INSN_MAX];

	code("\x8b\x07", 2);
	ck_assert_uint_eq(insn_bytes(v, bytes), 15);
	ck_assert_mem_eq(bytes, ram + CODE, 15);
	v->gpr[VCPU_REGS_RIP] = 0x5ffd;
	ck_assert_uint_eq(insn_bytes(v, bytes), 15);
	map_page(6, false);
	ck_assert_uint_eq(insn_bytes(v, bytes), 3);
	map_page(5, false);
	ck_assert_uint_eq(insn_bytes(v, bytes), 0);
	ck_assert_uint_eq(faults, 0);
}
END_TEST

/* --- Memory operands, as LMSW has them ---------------------------------- */

static void
operand(const char *bytes, size_t n, enum sreg seg, uint64_t want)
{
	struct guest_fault f;
	struct insn insn;
	uint64_t gva;

	ck_assert_int_eq(insn_decode((const uint8_t *)bytes, n, mode.code64 ? INSN_MODE_64 :
	    mode.code32 ? INSN_MODE_32 : INSN_MODE_16, &insn), 0);
	ck_assert_uint_eq(insn.length, n);
	ck_assert_uint_eq(insn.seg, seg);
	ck_assert_int_eq(insn_operand_gva(v, &insn, 2, GVA_READ, &gva, &f), 0);
	ck_assert_uint_eq(gva, want);
}

START_TEST(operand_addresses)
{
	unsigned int i;

	enter_mode(INSN_MODE_16);
	for (i = 0; i <= SREG_SS; i++)
		segs[i].vsi_base = 0x10000 * (i + 1);
	v->gpr[VCPU_REGS_RBX] = 0xf000;
	v->gpr[VCPU_REGS_RSI] = 0x2000;
	v->gpr[VCPU_REGS_RBP] = 0x300;
	operand("\x0f\x01\x30", 3, SREG_DS, 0x20000 + 0x1000);		/* [bx+si] wraps */
	operand("\x0f\x01\x72\xf0", 4, SREG_SS, 0x60000 + 0x22f0);	/* [bp+si-16] */
	operand("\x0f\x01\x36\x34\x12", 5, SREG_DS, 0x21234);		/* [0x1234] */
	operand("\x64\x0f\x01\x76\x00", 5, SREG_FS, 0x40300);		/* fs:[bp] */
	operand("\x67\x0f\x01\x33", 4, SREG_DS, 0x2f000);		/* [ebx] */

	enter_mode(INSN_MODE_64);
	v->gpr[VCPU_REGS_RAX] = 0x100000001000;
	v->gpr[VCPU_REGS_RSP] = 0x2000;
	v->gpr[VCPU_REGS_R12] = 0x8000;
	v->gpr[VCPU_REGS_R13] = 0x10;
	segs[SREG_GS].vsi_base = 0xffff800000000000;
	operand("\x0f\x01\x30", 3, SREG_DS, 0x100000001000);		/* [rax] */
	operand("\x67\x0f\x01\x30", 4, SREG_DS, 0x1000);		/* [eax] */
	operand("\x0f\x01\x35\xfc\xff\xff\xff", 7, SREG_DS, CODE + 7 - 4);	/* [rip-4] */
	operand("\x0f\x01\x34\x24", 4, SREG_SS, 0x2000);		/* [rsp] */
	operand("\x43\x0f\x01\x74\xec\x08", 6, SREG_DS, 0x8088);	/* [r12+r13*8+8] */
	operand("\x65\x0f\x01\x34\x25\x10\x00\x00\x00", 9, SREG_GS,
	    0xffff800000000010);					/* gs:[0x10] */
}
END_TEST

static TCase *
group(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("io");
	SRunner *runner;
	TCase *tc;
	int failed;

	tc = group(suite, "plain");
	tcase_add_test(tc, plain_sizes);
	tcase_add_test(tc, plain_cancelled);
	tc = group(suite, "string");
	tcase_add_test(tc, strings);
	tcase_add_test(tc, pointer_wraps);
	tcase_add_test(tc, segment_of_the_element);
	tcase_add_test(tc, huge_count);
	tcase_add_test(tc, string_cancelled);
	tcase_add_test(tc, client_moved_the_vcpu);
	tc = group(suite, "fault");
	tcase_add_test(tc, fault_at_any_element);
	tcase_add_test(tc, fault_within_an_element);
	tcase_add_test(tc, segment_faults);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, destination_goes_meanwhile);
	tc = group(suite, "fetch");
	tcase_add_test(tc, length_from_the_code);
	tcase_add_test(tc, everything_from_the_code);
	tcase_add_test(tc, code_has_changed);
	tcase_add_test(tc, fetch_ends_with_the_page);
	tcase_add_test(tc, fetch_ends_with_the_segment);
	tcase_add_test(tc, bytes_from_the_cpu);
	tcase_add_test(tc, bytes_for_the_client);
	tcase_add_test(tc, operand_addresses);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
