/* SPDX-License-Identifier: ISC */
/* t_cpu.c - CPUID, MSRs, control registers, XCR0, instructions with a policy. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <sched.h>
#include "vm.h"

#define GP	13
#define UD	6
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

struct regs { uint32_t eax, ebx, ecx, edx; };

static struct regs
guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
	struct regs r;

	r.eax = (uint32_t)vm_call_ok(v, g_long_cpuid, leaf, subleaf, 0, 0);
	r.edx = (uint32_t)v->mb->ret[1];
	r.ebx = (uint32_t)v->mb->ret[2];
	r.ecx = (uint32_t)v->mb->ret[3];
	CHECK_EQ(v->mb->ret[0] >> 32 | v->mb->ret[1] >> 32 |
	    v->mb->ret[2] >> 32 | v->mb->ret[3] >> 32, 0);
	return r;
}

static struct regs
host_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct regs r;

	__cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

TEST(cpuid_vendor, "run/cpuid/vendor")
{
	struct vm *vm = vm_new(LONG);
	struct regs g = guest_cpuid(&vm->cpu[0], 0, 0), h = host_cpuid(0, 0);

	CHECK_EQ(g.ebx, h.ebx);
	CHECK_EQ(g.ecx, h.ecx);
	CHECK_EQ(g.edx, h.edx);
	CHECK(g.eax >= 0xd && g.eax <= 0x20);
}

TEST(cpuid_features, "run/cpuid/hidden_and_shown_bits")
{
	struct vm *vm = vm_new_with(LONG, 3, VM_SIZE, 0);
	struct vcpu *v = &vm->cpu[2];
	struct regs g = guest_cpuid(v, 1, 0), h = host_cpuid(1, 0);
	/* MONITOR, VMX, SMX, PCID, x2APIC, deadline; MCE, APIC, MTRR, MCA. */
	const uint32_t hidden_c = 0x00228000 | 1u << 3 | 1u << 5 | 1u << 6 |
	    1u << 24;
	const uint32_t hidden_d = 1u << 7 | 1u << 9 | 1u << 12 | 1u << 14 |
	    1u << 28;

	CHECK_EQ(g.eax, h.eax);
	CHECK_EQ(g.ebx >> 24, 2);		/* the vCPU's id */
	CHECK_EQ(g.ecx & hidden_c, 0);
	CHECK_EQ(g.edx & hidden_d, 0);
	CHECK(g.ecx & 1u << 31);		/* a hypervisor is here */
	CHECK_EQ(g.ecx & ~(h.ecx | 1u << 31 | 1u << 27), 0);
	CHECK_EQ(g.edx & ~h.edx, 0);
	CHECK_EQ(g.ecx & 1u << 28, h.ecx & 1u << 28);	/* AVX */
	CHECK_EQ(g.edx & 1u << 26, 1u << 26);		/* SSE2 */
	/* OSXSAVE follows CR4. */
	CHECK_EQ(g.ecx & 1u << 27, 0);
	vm_call_ok(v, g_long_wrcr4, 0x40620, 0, 0, 0);
	CHECK_EQ(guest_cpuid(v, 1, 0).ecx & 1u << 27, 1u << 27);
	vm_call_ok(v, g_long_wrcr4, 0x620, 0, 0, 0);
	CHECK_EQ(guest_cpuid(v, 1, 0).ecx & 1u << 27, 0);
}

TEST(cpuid_extended, "run/cpuid/extended")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct regs g, h;

	g = guest_cpuid(v, 0x80000000, 0);
	CHECK(g.eax >= 0x80000008 && g.eax < 0x80000100);
	g = guest_cpuid(v, 0x80000001, 0);
	CHECK_EQ(g.ecx & 1u << 2, 0);		/* SVM */
	CHECK_EQ(g.ecx & 1u << 29, 0);		/* MWAITX */
	CHECK_EQ(g.edx & 1u << 27, 0);		/* RDTSCP */
	CHECK_EQ(g.edx & 1u << 29, 1u << 29);	/* long mode */
	g = guest_cpuid(v, 0x80000008, 0);
	h = host_cpuid(0x80000008, 0);
	CHECK_EQ(g.eax & 0xff, h.eax & 0xff);
	/* Linear addresses: LA57 is hidden, whatever the host has. */
	CHECK_EQ(g.eax >> 8, 48);
	g = guest_cpuid(v, 0x8000000a, 0);	/* SVM's own leaf */
	CHECK_EQ(g.eax | g.ebx | g.ecx | g.edx, 0);
}

TEST(cpuid_hypervisor, "run/cpuid/hypervisor_leaves")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct regs g = guest_cpuid(v, 0x40000000, 0);

	CHECK(memcmp(&g.ebx, "OpenBSDVMM58", 12) == 0 ||
	    !memcmp((uint32_t[]){ g.ebx, g.ecx, g.edx }, "OpenBSDVMM58", 12));
	g = guest_cpuid(v, 0x40000100, 0);
	CHECK(memcmp((uint32_t[]){ g.ebx, g.ecx, g.edx }, "KVMKVMKVM\0\0\0",
	    12) == 0);
	CHECK_EQ(g.eax, 0x40000101);
	g = guest_cpuid(v, 0x40000101, 0);
	CHECK(g.eax & 1u << 3);			/* CLOCKSOURCE2 */
	CHECK_EQ(g.eax & ~(1u << 3 | 1u << 1 | 1u << 24), 0);
	g = guest_cpuid(v, 0x40000200, 0);
	CHECK_EQ(g.eax | g.ebx | g.ecx | g.edx, 0);
}

/* D12: what the guest gets told about XSAVE is about its own XCR0. */
TEST(cpuid_xsave, "run/cpuid/xsave_sizes")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct regs g;

	vm_call_ok(v, g_long_wrcr4, 0x40620, 0, 0, 0);
	g = guest_cpuid(v, 0xd, 0);
	CHECK_EQ(g.eax & 3, 3);
	CHECK_EQ(g.eax & ~0xe7u, 0);		/* x87, SSE, AVX, AVX-512 */
	CHECK_EQ(g.edx, 0);
	CHECK_EQ(g.ebx, 576);			/* XCR0 = 1 */
	CHECK(g.ecx >= 576);
	if (g.eax & 4) {
		vm_call_ok(v, g_long_xsetbv, 0, 7, 0, 0);
		CHECK_EQ(guest_cpuid(v, 0xd, 0).ebx, 832);
		g = guest_cpuid(v, 0xd, 2);
		CHECK_EQ(g.eax, 256);
		CHECK_EQ(g.ebx, 576);
	}
	g = guest_cpuid(v, 0xd, 9);		/* PKRU is hidden */
	CHECK_EQ(g.eax | g.ebx | g.ecx | g.edx, 0);
	g = guest_cpuid(v, 0xd, 1);
	CHECK_EQ(g.eax & 8, 0);			/* XSAVES */
}

TEST(cpuid_features7, "run/cpuid/leaf_7")
{
	struct vm *vm = vm_new(LONG);
	struct regs g = guest_cpuid(&vm->cpu[0], 7, 0), h = host_cpuid(7, 0);

	CHECK_EQ(g.ebx & ~h.ebx, 0);
	CHECK_EQ(g.ecx & ~h.ecx, 0);
	CHECK_EQ(g.ebx & (1u << 1 | 1u << 2 | 1u << 4 | 1u << 11 | 1u << 14), 0);
	CHECK_EQ(g.ebx & 1u << 10, 0);		/* INVPCID */
	CHECK_EQ(g.ecx & (1u << 3 | 1u << 5 | 1u << 7 | 1u << 16), 0);
}

TEST(cpuid_prefixed, "run/cpuid/prefixed")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct regs g = guest_cpuid(v, 0, 0);

	CHECK_EQ(vm_call_ok(v, g_long_cpuid_prefixed, 0, 0, 0, 0), g.eax);
	CHECK_EQ(v->mb->ret[2], g.ebx);
}

TEST(cpuid_modes, "run/cpuid/other_modes")
{
	struct vm *real = vm_new(REAL), *prot = vm_new(PROT);
	struct regs h = host_cpuid(0, 0);

	vm_call_ok(&real->cpu[0], g_real_cpuid, 0, 0, 0, 0);
	CHECK_EQ((uint32_t)real->cpu[0].mb->ret[2], h.ebx);
	vm_call_ok(&prot->cpu[0], g_prot_cpuid, 0, 0, 0, 0);
	CHECK_EQ((uint32_t)prot->cpu[0].mb->ret[2], h.ebx);
	vm_call_faults(&prot->cpu[0], GP, 0, g_prot_wrmsr, 0x12345, 0, 0, 0);
}

/* An emulated instruction ends the STI shadow (D10) and a single step (D11). */
TEST(cpuid_step, "run/cpuid/single_step")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_faults(v, 1, g_long_tf_after, g_long_tf_cpuid, 0, 0, 0, 0);
	CHECK((v->mb->dr6 & 0x4000) != 0);
}

/* --- MSRs -------------------------------------------------------------------- */

TEST(msr_pass, "run/msr/the_guests_own")
{
	static const struct { uint32_t index; uint64_t value; } own[] = {
		{ 0x174, 0x10 },			/* SYSENTER_CS */
		{ 0x175, 0xffff800000001000 },
		{ 0x176, 0xffffffff81000000 },
		{ 0xc0000081, 0x0023001000000000 },	/* STAR */
		{ 0xc0000082, 0xffffffff81234567 },	/* LSTAR */
		{ 0xc0000083, 0xffffffff81234568 },	/* CSTAR */
		{ 0xc0000084, 0x47700 },		/* SFMASK */
		{ 0xc0000100, 0x7f1234567000 },		/* FS base */
		{ 0xc0000102, 0xffff888012345000 },	/* kernel GS base */
		{ 0x277, 0x0007010600070106 },		/* PAT */
	};
	struct vm *vm = vm_new(LONG), *other = vm_new(LONG);
	size_t i;

	for (i = 0; i < COUNT(own); i++) {
		vm_call_ok(&vm->cpu[0], g_long_wrmsr, own[i].index,
		    own[i].value, 0, 0);
		vm_call_ok(&other->cpu[0], g_long_wrmsr, own[i].index, 0, 0, 0);
	}
	for (i = 0; i < COUNT(own); i++) {
		uint64_t got = vm_call_ok(&vm->cpu[0], g_long_rdmsr,
		    own[i].index, 0, 0, 0);

		CHECK_MSG(got == own[i].value, "MSR %#x: %#llx", own[i].index,
		    (unsigned long long)got);
	}
}

/* Reads and writes of what has no row fault, and nothing else happens. */
TEST_T(msr_sweep, "run/msr/unknown_ones_fault", 120)
{
	static const uint32_t never[] = {
		0x1b, 0x48, 0x49, 0x79, 0xfe, 0x10b, 0x179, 0x200, 0x2ff, 0x38f,
		0x400, 0x480, 0x600, 0x800, 0x802, 0x830, 0xc00, 0xda0,
		0x12345, 0x4b564d02, 0x40000000, 0xbfffffff, 0xc0000103,
		0xc0000107, 0xc0010000, 0xc0010058, 0xc0010117,
		0xc001103c, 0xc0012000, 0xffffffff, 0xdeadbeef,
	};
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	size_t i;

	for (i = 0; i < COUNT(never); i++) {
		/* Not every one of these is an error to read. */
		if (never[i] != 0x79)
			vm_call_faults(v, GP, 0, g_long_rdmsr, never[i], 0, 0, 0);
		if (never[i] == 0x79)
			continue;
		vm_call_faults(v, GP, g_long_wrmsr_insn, g_long_wrmsr,
		    never[i], 0, 0, 0);
		CHECK_EQ(v->mb->error, 0);
	}
}

/* Every MSR number of the ranges that a bitmap covers: an answer or #GP. */
TEST_T(msr_every, "run/msr/every_number", 120)
{
	static const struct { uint32_t first, count; } spans[] = {
		{ 0, 0x2000 }, { 0xc0000000, 0x2000 }, { 0xc0010000, 0x2000 },
	};
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int answered = 0;
	uint32_t i, s;

	for (s = 0; s < COUNT(spans); s++)
		for (i = 0; i < spans[s].count; i++) {
			vm_call(v, g_long_rdmsr, spans[s].first + i, 0, 0, 0);
			if (v->mb->vector == NO_VECTOR)
				answered++;
			else
				CHECK_EQ(v->mb->vector, GP);
		}
	CHECK(answered > 10 && answered < 100);
	test_note("%u MSRs can be read", answered);
}

TEST(msr_canonical, "run/msr/non_canonical_values")
{
	static const uint32_t addresses[] = { 0x175, 0x176, 0xc0000082,
	    0xc0000083, 0xc0000100, 0xc0000102 };
	static const uint64_t bad[] = { 0x8000000000000000, 0x0000800000000000,
	    0xffff7fffffffffff, 0x7fffffffffffffff };
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	size_t i, j;
	uint64_t old;

	for (i = 0; i < COUNT(addresses); i++)
		for (j = 0; j < COUNT(bad); j++) {
			old = vm_call_ok(v, g_long_rdmsr, addresses[i], 0, 0, 0);
			vm_call(v, g_long_wrmsr, addresses[i], bad[j], 0, 0);
			/* AMD checks SYSENTER_* at SYSENTER; such a value may
			 * stay, but must not hurt the host. */
			if (v->mb->vector == NO_VECTOR) {
				CHECK(host_is_amd());
				continue;
			}
			CHECK_EQ(v->mb->vector, GP);
			CHECK_EQ(vm_call_ok(v, g_long_rdmsr, addresses[i], 0,
			    0, 0), old);
		}
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
}

TEST(msr_pat, "run/msr/pat")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int byte, type;
	uint64_t value;

	CHECK_EQ(vm_call_ok(v, g_long_rdmsr, 0x277, 0, 0, 0),
	    0x0007040600070406);
	for (byte = 0; byte < 8; byte++)
		for (type = 0; type < 256; type = type < 9 ? type + 1 : type * 2) {
			value = 0x0007040600070406 & ~(0xffull << byte * 8);
			value |= (uint64_t)type << byte * 8;
			vm_call(v, g_long_wrmsr, 0x277, value, 0, 0);
			CHECK_MSG((v->mb->vector == NO_VECTOR) == (type < 8 &&
			    type != 2 && type != 3), "byte %u, type %u", byte,
			    type);
		}
}

TEST(msr_efer, "run/msr/efer")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int bit;
	uint64_t got;

	for (bit = 0; bit < 64; bit++) {
		uint64_t value = 0x500 ^ 1ull << bit;
		bool free = bit == 0 || bit == 10 ||
		    (bit == 11 && (host_cpuid(0x80000001, 0).edx & 1u << 20)) ||
		    (bit == 14 && (host_cpuid(0x80000001, 0).edx & 1u << 25));

		vm_call(v, g_long_wrmsr, 0xc0000080, value, 0, 0);
		CHECK_MSG(v->mb->vector == (free ? NO_VECTOR : GP),
		    "bit %u: vector %#llx", bit,
		    (unsigned long long)v->mb->vector);
		got = vm_call_ok(v, g_long_rdmsr, 0xc0000080, 0, 0, 0);
		/* LMA is not written; LME can not change now. */
		CHECK_EQ(got, free && bit != 10 ? value : 0x500);
		vm_call_ok(v, g_long_wrmsr, 0xc0000080, 0x500, 0, 0);
	}
}

TEST(msr_user, "run/msr/cpl3")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_faults(v, GP, g_user_rdmsr_insn, g_long_user, g_user_rdmsr,
	    0, 0, 0);
	vm_call_faults(v, GP, g_user_wrmsr_insn, g_long_user, g_user_wrmsr,
	    0, 0, 0);
}

/* --- Control registers ---------------------------------------------------------- */

TEST(cr0_bits, "run/cr/cr0")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int bit;

	/* TCG drops the high half before it looks. */
	for (bit = host_is_tcg() ? 64 : 32; bit < 64; bit++)
		vm_call_faults(v, GP, g_long_wrcr0_insn, g_long_wrcr0,
		    0x80000031 | 1ull << bit, 0, 0, 0);
	/* NW without CD; PG without PE; PG off in 64-bit code. */
	vm_call_faults(v, GP, g_long_wrcr0_insn, g_long_wrcr0, 0xa0000031, 0, 0, 0);
	vm_call_faults(v, GP, g_long_wrcr0_insn, g_long_wrcr0, 0x80000030, 0, 0, 0);
	vm_call_faults(v, GP, g_long_wrcr0_insn, g_long_wrcr0, 0x31, 0, 0, 0);
	/* What it may: WP, AM, TS, MP, EM, NE, CD. */
	CHECK_EQ(vm_call_ok(v, g_long_wrcr0, 0x8005003b, 0, 0, 0), 0x8005003b);
	CHECK_EQ(vm_call_ok(v, g_long_wrcr0, 0xc0000031, 0, 0, 0), 0xc0000031);
	CHECK_EQ(vm_call_ok(v, g_long_wrcr0, 0x80000031, 0, 0, 0), 0x80000031);
	/* NE off is the guest's own choice. */
	CHECK_EQ(vm_call_ok(v, g_long_wrcr0, 0x80000011, 0, 0, 0), 0x80000011);
}

TEST(cr0_parts, "run/cr/clts_and_lmsw")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	CHECK_EQ(vm_call_ok(v, g_long_wrcr0, 0x80000039, 0, 0, 0), 0x80000039);
	CHECK_EQ(vm_call_ok(v, g_long_clts, 0, 0, 0, 0), 0x80000031);
	CHECK_EQ(vm_call_ok(v, g_long_lmsw, 0xb, 0, 0, 0), 0x8000003b);
	/* It can not clear PE. */
	CHECK_EQ(vm_call_ok(v, g_long_lmsw, 0, 0, 0, 0), 0x80000031);
}

TEST(cr4_bits, "run/cr/cr4_by_cpuid")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const struct regs r1 = guest_cpuid(v, 1, 0), r7 = guest_cpuid(v, 7, 0);
	/* What each bit needs the guest's CPUID to show. */
	const struct { unsigned int bit; bool shown; } needs[] = {
		{ 0, r1.edx & 1u << 1 }, { 1, r1.edx & 1u << 1 },
		{ 2, r1.edx & 1u << 4 }, { 3, r1.edx & 1u << 2 },
		{ 4, r1.edx & 1u << 3 }, { 5, r1.edx & 1u << 6 },
		{ 6, r1.edx & 1u << 7 }, { 7, r1.edx & 1u << 13 }, { 8, true },
		{ 9, r1.edx & 1u << 24 }, { 10, r1.edx & 1u << 25 },
		{ 11, r7.ecx & 1u << 2 }, { 16, r7.ebx & 1u << 0 },
		{ 18, r1.ecx & 1u << 26 }, { 20, r7.ebx & 1u << 7 },
		{ 21, r7.ebx & 1u << 20 },
	};
	unsigned int bit;
	size_t i;

	for (bit = 0; bit < 64; bit++) {
		uint64_t value = 0x620 | 1ull << bit;
		bool shown = false;

		for (i = 0; i < COUNT(needs); i++)
			shown = shown || (needs[i].bit == bit && needs[i].shown);
		/* SMEP and SMAP would hit our own pages, which are the user's. */
		if (bit == 20 || bit == 21)
			continue;
		vm_call(v, g_long_wrcr4, value, 0, 0, 0);
		CHECK_MSG(v->mb->vector == (shown ? NO_VECTOR : GP),
		    "bit %u: vector %#llx", bit,
		    (unsigned long long)v->mb->vector);
		if (shown)
			CHECK_EQ(v->mb->ret[0], value);
		else
			CHECK_EQ(v->mb->rip, g_long_wrcr4_insn);
		CHECK_EQ(vm_call_ok(v, g_long_wrcr4, 0x620, 0, 0, 0), 0x620);
	}
	/* PAE can not go in long mode. */
	vm_call_faults(v, GP, g_long_wrcr4_insn, g_long_wrcr4, 0x600, 0, 0, 0);
}

TEST(cr3_cr8, "run/cr/cr3_and_cr8")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	CHECK_EQ(vm_call_ok(v, g_long_rdcr3, 0, 0, 0, 0), LAYOUT_PML4);
	CHECK_EQ(vm_call_ok(v, g_long_wrcr3, LAYOUT_PML4 | 0x18, 0, 0, 0),
	    LAYOUT_PML4 | 0x18);
	for (i = 0; i < 16; i++)			/* D14 */
		CHECK_EQ(vm_call_ok(v, g_long_wrcr8, i, 0, 0, 0), i);
	/* TCG takes the low four bits of anything. */
	if (!host_is_tcg())
		vm_call_faults(v, GP, g_long_wrcr8_insn, g_long_wrcr8, 16,
		    0, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_long_rdcr8, 0, 0, 0, 0), 15);
	CHECK_EQ(vm_call_ok(v, g_long_wrcr2, 0x1234567, 0, 0, 0), 0x1234567);
}

TEST(cr_user, "run/cr/cpl3")
{
	struct vm *vm = vm_new(LONG);

	vm_call_faults(&vm->cpu[0], GP, g_user_movcr_insn, g_long_user,
	    g_user_movcr, 0, 0, 0);
}

/* --- XSETBV ------------------------------------------------------------------------ */

TEST(xsetbv, "run/xsetbv/values")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int bit;
	uint64_t allowed;

	/* TCG has no XSETBV intercept: what its CPU can, the guest can. */
	const uint64_t native = host_is_tcg() ? host_cpuid(0xd, 0).eax : 0;

	/* Without CR4.OSXSAVE there is no such instruction. */
	vm_call_faults(v, UD, g_long_xsetbv_insn, g_long_xsetbv, 0, 1, 0, 0);
	vm_call_ok(v, g_long_wrcr4, 0x40620, 0, 0, 0);
	allowed = guest_cpuid(v, 0xd, 0).eax;
	CHECK_EQ(vm_call_ok(v, g_long_xgetbv, 0, 0, 0, 0), 1);
	vm_call_ok(v, g_long_xsetbv, 0, 3, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_long_xgetbv, 0, 0, 0, 0), 3);
	if (allowed & 4) {
		vm_call_ok(v, g_long_xsetbv, 0, 7, 0, 0);
		CHECK_EQ(vm_call_ok(v, g_long_xgetbv, 0, 0, 0, 0), 7);
	}
	/* D15, D16: refused with RIP on the instruction, and still running. */
	vm_call_faults(v, GP, g_long_xsetbv_insn, g_long_xsetbv, 0, 0, 0, 0);
	vm_call_faults(v, GP, g_long_xsetbv_insn, g_long_xsetbv, 0, 2, 0, 0);
	vm_call_faults(v, GP, g_long_xsetbv_insn, g_long_xsetbv, 0, 5, 0, 0);
	vm_call_faults(v, GP, g_long_xsetbv_insn, g_long_xsetbv, 1, 1, 0, 0);
	vm_call_faults(v, GP, g_long_xsetbv_insn, g_long_xsetbv, 0, 0x27, 0, 0);
	for (bit = 0; bit < 64; bit++)
		if (!((allowed | native) & 1ull << bit))
			vm_call_faults(v, GP, g_long_xsetbv_insn,
			    g_long_xsetbv, 0, 3 | 1ull << bit, 0, 0);
	vm_call_ok(v, g_long_xsetbv, 0, 1, 0, 0);
	CHECK_EQ(vm_call_ok(v, g_long_xgetbv, 0, 0, 0, 0), 1);
	vm_call_faults(v, GP, g_user_xsetbv_insn, g_long_user, g_user_xsetbv,
	    0, 0, 0);
}

/* --- Instructions --------------------------------------------------------------------- */

TEST(insn_refused, "run/insn/refused_ones")
{
	static const struct { const char *name; uint64_t fn, at; } refused[] = {
#define ROW(n)	{ #n, g_long_##n, g_long_##n##_insn }
		ROW(vmmcall), ROW(vmcall), ROW(vmrun), ROW(vmload), ROW(vmsave),
		ROW(stgi), ROW(clgi), ROW(skinit), ROW(invlpga), ROW(vmxoff),
		ROW(monitor), ROW(mwait), ROW(rdtscp), ROW(rsm), ROW(getsec),
#undef ROW
	};
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	size_t i;

	for (i = 0; i < COUNT(refused); i++) {
		/* TCG has no RDTSCP intercept. */
		if (refused[i].fn == g_long_rdtscp && host_is_tcg())
			continue;
		vm_call(v, refused[i].fn, 0, 0, 0, 0);
		CHECK_MSG(v->mb->vector == UD && v->mb->rip == refused[i].at,
		    "%s: vector %#llx at %#llx", refused[i].name,
		    (unsigned long long)v->mb->vector,
		    (unsigned long long)v->mb->rip);
	}
}

/* A guest cannot tell which CPU of the host it is on: TSC_AUX has it on Linux. */
TEST_SMP(insn_aux, "run/insn/no_number_of_the_host", TEST_SECONDS)
{
	static const struct { uint64_t fn, at; } insns[] = {
		{ g_long_rdpid, g_long_rdpid_insn },
		{ g_long_tsc_aux, g_long_tsc_aux },
	};
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	cpu_set_t second;
	uint64_t value;
	uint32_t aux;
	size_t i;

	CPU_ZERO(&second);
	CPU_SET(1, &second);
	CHECK_OK(sched_setaffinity(0, sizeof(second), &second));
	__builtin_ia32_rdtscp(&aux);
	CHECK_EQ(aux & 0xfff, 1);
	for (i = 0; i < COUNT(insns); i++) {
		value = vm_call(v, insns[i].fn, 0, 0, 0, 0);
		if (v->mb->vector == UD)
			CHECK_EQ(v->mb->rip, insns[i].at);
		else
			CHECK_EQ(value, 0);
	}
	__builtin_ia32_rdtscp(&aux);
	CHECK_EQ(aux & 0xfff, 1);
}

TEST(insn_native, "run/insn/native_ones")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_invlpg, LAYOUT_SCRATCH, 0, 0, 0);
	vm_call_ok(v, g_long_invlpg, 0x8000000000000000, 0, 0, 0);
	vm_call_ok(v, g_long_pause, 0, 0, 0, 0);
	vm_call_ok(v, g_long_rdtsc, 0, 0, 0, 0);
}

/* D9: cache instructions are steps over nothing; the guest lives. */
TEST(insn_caches, "run/insn/invd_and_wbinvd")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 100; i++) {
		vm_call_ok(v, g_long_invd, 0, 0, 0, 0);
		vm_call_ok(v, g_long_wbinvd, 0, 0, 0, 0);
	}
	vm_call_faults(v, GP, g_user_invd_insn, g_long_user, g_user_invd,
	    0, 0, 0);
}

TEST(insn_rdpmc, "run/insn/rdpmc")
{
	struct vm *vm = vm_new(LONG);

	vm_call_faults(&vm->cpu[0], GP, g_long_rdpmc_insn, g_long_rdpmc,
	    0, 0, 0, 0);
}

/* G12: from CPL 3 as well. */
TEST(insn_user, "run/insn/hypercalls_from_cpl3")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_faults(v, UD, g_user_vmmcall_insn, g_long_user, g_user_vmmcall,
	    0, 0, 0);
	vm_call_faults(v, UD, g_user_vmcall_insn, g_long_user, g_user_vmcall,
	    0, 0, 0);
}

/* A1: an #AC that is intercepted and handed on arrives as on hardware. */
TEST(insn_ac, "run/insn/alignment_check")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_wrcr0, 0x80040031, 0, 0, 0);
	vm_call(v, g_long_user, g_user_ac, 0, 0, 0);
	CHECK(v->mb->vector == 17 || v->mb->vector == UD);
	if (v->mb->vector == 17) {
		CHECK_EQ(v->mb->rip, g_user_ac_insn);
		CHECK_EQ(v->mb->error, 0);
	} else {
		test_note("this CPU raises no #AC");
	}
}

/* --- Debug registers ---------------------------------------------------------------------- */

TEST(dr_own, "run/dr/the_guests_own")
{
	struct vm *a = vm_new(LONG), *b = vm_new(LONG);

	vm_call_ok(&a->cpu[0], g_long_set_dr, 0x1111, 0x2222, 0x3333, 0x4444);
	vm_call_ok(&b->cpu[0], g_long_set_dr, 0x5555, 0x6666, 0x7777, 0x8888);
	vm_call_ok(&a->cpu[0], g_long_get_dr, 0, 0, 0, 0);
	CHECK_EQ(a->cpu[0].mb->ret[0], 0x1111);
	CHECK_EQ(a->cpu[0].mb->ret[1], 0x2222);
	CHECK_EQ(a->cpu[0].mb->ret[2], 0x3333);
	CHECK_EQ(a->cpu[0].mb->ret[3], 0x4444);
	vm_call_faults(&a->cpu[0], GP, 0, g_long_wrdr7, 1ull << 32, 0, 0, 0);
	vm_call_faults(&a->cpu[0], GP, 0, g_long_wrdr6, 1ull << 63, 0, 0, 0);
}

TEST(dr_watch, "run/dr/guest_watchpoint")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_ok(v, g_long_set_dr, LAYOUT_SCRATCH, 0, 0, 0);
	vm_call_ok(v, g_long_wrdr6, 0xffff0ff0, 0, 0, 0);
	/* Eight bytes, writes, DR0. */
	vm_call_ok(v, g_long_wrdr7, 0x00090402, 0, 0, 0);
	vm_call(v, g_long_store, LAYOUT_SCRATCH, 1, 0, 0);
	CHECK_EQ(v->mb->vector, 1);
	CHECK_EQ(v->mb->dr6 & 0xf, 1);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_SCRATCH), 1);
	vm_call_ok(v, g_long_wrdr7, 0x400, 0, 0, 0);
	vm_call_ok(v, g_long_store, LAYOUT_SCRATCH, 2, 0, 0);
}
