/* SPDX-License-Identifier: ISC */
/*
 * sim/cpu.c - the registers of a few simulated CPUs.
 */
#include "cpu.h"

#define XSAVE_LEGACY	512
#define XSAVE_AVX	576	/* offset of the AVX component */
#define XSAVE_AVX_SIZE	256
#define SUPPORTED_XCR0	7u

#define CPUIDS		64

struct sim_cpu sim_cpu[HOST_USER_CPUS];
uint64_t sim_tsc, sim_tsc_step;
void (*sim_on_insn)(void);

static struct cpuid {
	uint32_t leaf, subleaf, r[4];
	bool	 used;
} cpuids[CPUIDS];

static struct sim_cpu *
current(void)
{
	return &sim_cpu[host_cpu()];
}

/* --- Set-up --------------------------------------------------------------- */

static void
msr_set(struct sim_cpu *c, uint32_t index, uint64_t value, bool known)
{
	unsigned int i, slot = SIM_MSRS;

	for (i = SIM_MSRS; i-- > 0; ) {
		if (c->msr[i].known && c->msr[i].index == index)
			break;
		if (!c->msr[i].known)
			slot = i;
	}
	if (i < SIM_MSRS)
		slot = i;
	if (slot == SIM_MSRS)
		host_user_panic("the simulated CPU has no room for MSR %#x", index);
	c->msr[slot].index = index;
	c->msr[slot].value = value;
	c->msr[slot].known = known;
}

void
sim_msr_set(uint32_t index, uint64_t value)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		msr_set(&sim_cpu[cpu], index, value, true);
}

void
sim_msr_remove(uint32_t index)
{
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++)
		msr_set(&sim_cpu[cpu], index, 0, false);
}

void
sim_cpuid_set(uint32_t leaf, uint32_t subleaf, uint32_t eax, uint32_t ebx,
    uint32_t ecx, uint32_t edx)
{
	struct cpuid *c;

	for (c = cpuids; c < cpuids + CPUIDS && c->used; c++)
		if (c->leaf == leaf && c->subleaf == subleaf)
			break;
	if (c == cpuids + CPUIDS)
		host_user_panic("the simulated CPU has no room for leaf %#x", leaf);
	*c = (struct cpuid){ leaf, subleaf, { eax, ebx, ecx, edx }, true };
}

void
sim_reset(void)
{
	static const struct { uint32_t index; uint64_t value; } msrs[] = {
		{ 0x00000010, 0 },			/* TSC */
		{ 0x00000174, 0x10 },			/* SYSENTER_CS */
		{ 0x0000017a, 0 },			/* MCG_STATUS */
		{ 0x00000175, 0xffffc90000000000 },
		{ 0x00000176, 0xffffffff81a00000 },
		{ 0x000001d9, 0 },			/* DEBUGCTL */
		{ 0x00000277, 0x0007040600070406 },	/* PAT */
		{ 0x00000da0, 0 },			/* XSS */
		{ 0xc0000080, 0xd01 },			/* EFER */
		{ 0xc0000081, 0x0023001000000000 },	/* STAR */
		{ 0xc0000082, 0xffffffff81a00080 },
		{ 0xc0000083, 0xffffffff81a00100 },
		{ 0xc0000084, 0x257fd5 },
		{ 0xc0000100, 0x7f0000001000 },		/* FS base */
		{ 0xc0000101, 0xffff888000000000 },
		{ 0xc0000102, 0 },
		{ 0xc0000103, 0 },			/* TSC_AUX */
		{ 0xc0010114, 0 },			/* VM_CR */
		{ 0xc0010117, 0 },			/* VM_HSAVE_PA */
	};
	const uint32_t all = UINT32_MAX;

	memset(sim_cpu, 0, sizeof(sim_cpu));
	memset(cpuids, 0, sizeof(cpuids));
	sim_tsc = 1000000;
	sim_tsc_step = 1000;
	for (unsigned int i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		sim_msr_set(msrs[i].index, msrs[i].value);
	for (unsigned int cpu = 0; cpu < HOST_USER_CPUS; cpu++) {
		struct sim_cpu *c = &sim_cpu[cpu];

		c->xcr0 = SUPPORTED_XCR0;
		c->cr4 = 0x406f0;	/* OSXSAVE, ... */
		c->dr6 = 0xffff0ff0;
		c->dr7 = 0x400;
	}
	sim_cpuid_set(0, all, 0xd, 0x68747541, 0x444d4163, 0x69746e65);
	/* Family 17h; with XSAVE, OSXSAVE, AVX, no hypervisor. */
	sim_cpuid_set(1, all, 0x00800f11, 0x00080800, 0x7ed8320b, 0x178bfbff);
	sim_cpuid_set(7, 0, 0, 0x209c01a9, 0, 0);
	sim_cpuid_set(0xd, 0, SUPPORTED_XCR0, SIM_XSAVE_SIZE, SIM_XSAVE_SIZE, 0);
	sim_cpuid_set(0xd, 1, 0xf, SIM_XSAVE_SIZE, 0, 0);
	sim_cpuid_set(0xd, 2, XSAVE_AVX_SIZE, XSAVE_AVX, 0, 0);
	sim_cpuid_set(0x80000000, all, 0x8000001f, 0x68747541, 0x444d4163,
	    0x69746e65);
	/* With SVM, NX, 1 GiB pages, RDTSCP, long mode. */
	sim_cpuid_set(0x80000001, all, 0x00800f11, 0x20000000, 0x35c233ff,
	    0x2fd3fbff);
	sim_cpuid_set(0x80000002, all, 0x756d6953, 0x6574616c, 0x50432064, 0x55);
	sim_cpuid_set(0x80000007, all, 0, 0, 0, 0x6799);
	sim_cpuid_set(0x80000008, all, 0x3030, 0x1007, 0x3007, 0);
	/* Revision 1, 64 ASIDs, nested paging and all the rest of Zen. */
	sim_cpuid_set(0x8000000a, all, 1, 64, 0, 0x1bcff);
}

__attribute__((constructor)) static void
sim_init(void)
{
	sim_reset();
}

/* --- Instructions --------------------------------------------------------- */

uint64_t
cpu_rdmsr(uint32_t index)
{
	struct sim_cpu *c = current();

	sim_insn();
	for (unsigned int i = 0; i < SIM_MSRS; i++)
		if (c->msr[i].known && c->msr[i].index == index)
			return c->msr[i].value;
	host_user_panic("#GP in the host: RDMSR %#x", index);
}

bool
sim_canonical(uint64_t va, unsigned int bits)
{
	return (uint64_t)((int64_t)(va << (64 - bits)) >> (64 - bits)) == va;
}

bool
sim_msr_takes(uint32_t index, uint64_t value)
{
	uint32_t r[4];

	switch (index) {
	case 0x175: case 0x176:			/* SYSENTER_ESP, EIP */
	case 0xc0000082: case 0xc0000083:	/* LSTAR, CSTAR */
	case 0xc0000100: case 0xc0000101: case 0xc0000102:
		/* By what the CPU can do, not by the paging mode. */
		cpu_cpuid(7, 0, r);
		return sim_canonical(value, r[2] & 1u << 16 ? 57 : 48);
	case 0xc0000084:			/* SFMASK */
	case 0xc0000103:			/* TSC_AUX */
		return value >> 32 == 0;
	default:
		return true;
	}
}

bool
cpu_wrmsr_safe(uint32_t index, uint64_t value)
{
	cpu_rdmsr(index);
	if (!sim_msr_takes(index, value))
		return false;
	msr_set(current(), index, value, true);
	return true;
}

void
cpu_wrmsr(uint32_t index, uint64_t value)
{
	if (!cpu_wrmsr_safe(index, value))
		host_user_panic("#GP in the host: WRMSR %#x, %#llx", index,
		    (unsigned long long)value);
}

void
cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	memset(r, 0, 4 * sizeof(r[0]));
	for (const struct cpuid *c = cpuids; c < cpuids + CPUIDS && c->used; c++)
		if (c->leaf == leaf &&
		    (c->subleaf == subleaf || c->subleaf == UINT32_MAX)) {
			memcpy(r, c->r, sizeof(c->r));
			return;
		}
}

uint64_t
cpu_rdtsc(void)
{
	return __atomic_fetch_add(&sim_tsc, sim_tsc_step, __ATOMIC_RELAXED);
}

static void
xsave_usable(const char *what)
{
	if (!(current()->cr4 & 1u << 18))
		host_user_panic("#UD in the host: %s without OSXSAVE", what);
}

uint64_t
cpu_xgetbv(uint32_t index)
{
	xsave_usable("XGETBV");
	if (index != 0)
		host_user_panic("#GP in the host: XGETBV %u", index);
	return current()->xcr0;
}

void
cpu_xsetbv(uint32_t index, uint64_t value)
{
	xsave_usable("XSETBV");
	/* x87 always; AVX needs SSE. */
	if (index != 0 || (value & ~(uint64_t)SUPPORTED_XCR0) || !(value & 1) ||
	    (value & 6) == 4)
		host_user_panic("#GP in the host: XSETBV %u, %#llx", index,
		    (unsigned long long)value);
	current()->xcr0 = value;
	current()->xsetbvs++;
}

static void
aligned(const void *area, unsigned int to)
{
	if ((uintptr_t)area % to != 0)
		host_user_panic("#GP in the host: an FPU area at %p", area);
}

/* Byte offsets of FOP, FIP and FDP in the legacy region, and of what is behind. */
#define POINTERS	6
#define POINTERS_END	24

/*
 * Copies x87 and SSE state. AMD CPUs without XSAVEERPTR leave the pointers alone
 * unless the state that is copied has an exception pending (FSW.ES).
 */
static void
copy_legacy(uint8_t *to, const uint8_t *from)
{
	uint32_t vendor[4], sizes[4];
	bool whole;

	cpu_cpuid(0, 0, vendor);
	cpu_cpuid(0x80000008, 0, sizes);
	whole = vendor[1] != 0x68747541 || (sizes[1] & 4) || (from[2] & 0x80);
	memcpy(to, from, POINTERS);
	if (whole)
		memcpy(to + POINTERS, from + POINTERS, POINTERS_END - POINTERS);
	memcpy(to + POINTERS_END, from + POINTERS_END,
	    XSAVE_LEGACY - POINTERS_END);
}

void
cpu_xsave(void *area, uint64_t mask)
{
	struct sim_cpu *c = current();
	uint8_t *p = area;
	uint64_t bv;

	xsave_usable("XSAVE");
	aligned(area, 64);
	mask &= c->xcr0;
	if (mask & 3)
		copy_legacy(p, c->fpu);
	if (mask & 4)
		memcpy(p + XSAVE_AVX, c->fpu + XSAVE_AVX, XSAVE_AVX_SIZE);
	memcpy(&bv, p + XSAVE_LEGACY, sizeof(bv));
	bv = (bv & ~mask) | mask;
	memcpy(p + XSAVE_LEGACY, &bv, sizeof(bv));
}

void
cpu_xrstor(const void *area, uint64_t mask)
{
	struct sim_cpu *c = current();
	const uint8_t *p = area;
	uint64_t bv, zero[7];

	xsave_usable("XRSTOR");
	aligned(area, 64);
	memcpy(&bv, p + XSAVE_LEGACY, sizeof(bv));
	memcpy(zero, p + XSAVE_LEGACY + 8, sizeof(zero));
	for (unsigned int i = 0; i < 7; i++)
		if (zero[i] != 0)
			host_user_panic("#GP in the host: XRSTOR, reserved bytes");
	if (bv & ~c->xcr0)
		host_user_panic("#GP in the host: XRSTOR of %#llx under XCR0 %#llx",
		    (unsigned long long)bv, (unsigned long long)c->xcr0);
	mask &= c->xcr0;
	if (mask & 3) {
		if (bv & mask & 3)
			copy_legacy(c->fpu, p);
		else
			memset(c->fpu, 0, XSAVE_LEGACY);
	}
	if (mask & 4) {
		if (bv & 4)
			memcpy(c->fpu + XSAVE_AVX, p + XSAVE_AVX, XSAVE_AVX_SIZE);
		else
			memset(c->fpu + XSAVE_AVX, 0, XSAVE_AVX_SIZE);
	}
}

void
cpu_fxsave(void *area)
{
	aligned(area, 16);
	copy_legacy(area, current()->fpu);
}

void
cpu_fxrstor(const void *area)
{
	aligned(area, 16);
	copy_legacy(current()->fpu, area);
}

uint64_t
cpu_read_cr2(void)
{
	return current()->cr2;
}

uint64_t
cpu_read_cr4(void)
{
	return current()->cr4;
}

uint64_t
cpu_read_dr6(void)
{
	return current()->dr6;
}

uint64_t
cpu_read_dr7(void)
{
	return current()->dr7;
}

static void
upper_half_clear(const char *what, uint64_t v)
{
	if (v >> 32 != 0)
		host_user_panic("#GP in the host: %s = %#llx", what,
		    (unsigned long long)v);
}

void
cpu_write_dr6(uint64_t v)
{
	upper_half_clear("DR6", v);
	current()->dr6 = v;
}

void
cpu_write_dr7(uint64_t v)
{
	upper_half_clear("DR7", v);
	current()->dr7 = v;
}

void
cpu_read_dr0_3(uint64_t dr[4])
{
	memcpy(dr, current()->dr, sizeof(current()->dr));
}

void
cpu_write_dr0_3(const uint64_t dr[4])
{
	memcpy(current()->dr, dr, sizeof(current()->dr));
	current()->dr_writes++;
}
