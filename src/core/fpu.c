/* SPDX-License-Identifier: ISC */
/*
 * fpu.c - switching the guest's x87, SSE, AVX and AVX-512 registers and XCR0.
 *
 * The switch happens once per stay in the guest loop, not per exit: the host
 * does not use the FPU in between (see host_stay_begin()).
 */
#include "fpu.h"
#include "cpu.h"
#include "cpuid_guest.h"

/* The legacy region and the header of an XSAVE area (SDM 1 13.4). */
#define XSAVE_LEGACY	512
#define XSAVE_HEADER	64
#define XSAVE_FCW	0	/* offset of FCW, 16 bits */
#define XSAVE_FSW	2	/* of FSW, 16 bits */
#define XSAVE_MXCSR	24	/* offset of MXCSR, 32 bits */

static struct {
	bool	 xsave;		/* the host kernel uses XSAVE */
	uint64_t host_xcr0;
	uint64_t mask;		/* components we switch */
	unsigned int order;	/* of one area */
	bool	 leaks;		/* FOP, FIP and FDP of before stay: fpu_load() */
} fpu;

/* Registers with an exception pending and all pointers zero; see fpu_load(). */
static uint8_t no_pointers[XSAVE_LEGACY] __attribute__((__aligned__(16)));

uint32_t
fpu_xsave_size(uint64_t mask)
{
	uint32_t r[4], size = XSAVE_LEGACY + XSAVE_HEADER;
	unsigned int i;

	for (i = 2; i < 63; i++) {
		if (!(mask & 1ULL << i))
			continue;
		cpu_cpuid(0xd, i, r);
		if (r[1] + r[0] > size)
			size = r[1] + r[0];
	}
	return size;
}

static void
init_no_pointers(void)
{
	const uint16_t fcw = 0x37e;	/* invalid operation is not masked */
	const uint16_t fsw = 0x8081;	/* and pending: B, ES, IE */
	const uint32_t mxcsr = 0x1f80;

	memcpy(no_pointers + XSAVE_FCW, &fcw, sizeof(fcw));
	memcpy(no_pointers + XSAVE_FSW, &fsw, sizeof(fsw));
	memcpy(no_pointers + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

void
fpu_init(void)
{
	uint32_t size;

	fpu.xsave = cpuid_host_has(CPUID_FEATURE_OSXSAVE);
	fpu.host_xcr0 = fpu.xsave ? cpu_xgetbv(0) : ARCH_XCR0_X87;
	fpu.mask = fpu.xsave ? fpu.host_xcr0 & CPUID_XCR0_POLICY :
	    ARCH_XCR0_X87;
	size = fpu_xsave_size(fpu.mask);
	/* Only AMD's have SVM. */
	fpu.leaks = cpuid_host_has(CPUID_FEATURE_SVM) &&
	    !cpuid_host_has(CPUID_FEATURE_XSAVEERPTR);
	init_no_pointers();
	for (fpu.order = 0; PAGE_SIZE_4K << fpu.order < size; fpu.order++)
		;
}

uint64_t
fpu_xcr0_allowed(void)
{
	return fpu.mask;
}

int
fpu_create(struct vcpu *v)
{
	v->fpu = host_page_alloc(fpu.order);
	return v->fpu == NULL ? -ENOMEM : 0;
}

void
fpu_destroy(struct vcpu *v)
{
	if (v->fpu != NULL)
		host_page_free(v->fpu, fpu.order);
	v->fpu = NULL;
}

void
fpu_reset(struct vcpu *v)
{
	uint8_t *area = v->fpu;
	const uint16_t fcw = 0x37f;	/* as after FNINIT */
	const uint32_t mxcsr = 0x1f80;

	memset(area, 0, (size_t)PAGE_SIZE_4K << fpu.order);
	memcpy(area + XSAVE_FCW, &fcw, sizeof(fcw));
	memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	/* XSTATE_BV = 0: XRSTOR gives every component its initial state. */
	v->xcr0 = ARCH_XCR0_X87;
}

/*
 * XCR0 is the guest's while its CR4.OSXSAVE is set. Without that nothing can
 * tell what it is: XGETBV, XSETBV, XSAVE and what is encoded with VEX or EVEX
 * are undefined (SDM 1 13.2, SDM 2 2.4), on AMD as well, so the host's stays.
 */
static void
xcr0_load(const struct vcpu *v)
{
	if (v->xcr0 != fpu.host_xcr0)
		cpu_xsetbv(0, v->xcr0);
}

/*
 * The CPU is asked, not v->xcr0: QEMU 7.2 runs XSETBV in the guest in spite of
 * its intercept.
 */
static void
xcr0_put(struct vcpu *v)
{
	v->xcr0 = cpu_xgetbv(0);
	if (v->xcr0 != fpu.host_xcr0)
		cpu_xsetbv(0, fpu.host_xcr0);
}

/*
 * AMD CPUs without XSAVEERPTR restore the pointers to the last instruction and
 * operand only with an exception pending (APM 2 11.5.9.1, 11.4.4.3). Without this
 * the guest would find those of the host or of another guest.
 */
void
fpu_load(struct vcpu *v)
{
	if (fpu.leaks)
		cpu_fxrstor(no_pointers);
	if (!fpu.xsave) {
		cpu_fxrstor(v->fpu);
		return;
	}
	cpu_xrstor(v->fpu, fpu.mask);
	if (v->osxsave)
		xcr0_load(v);
}

void
fpu_put(struct vcpu *v)
{
	if (!fpu.xsave) {
		cpu_fxsave(v->fpu);
		return;
	}
	if (v->osxsave)
		xcr0_put(v);
	cpu_xsave(v->fpu, fpu.mask);
}

void
fpu_osxsave(struct vcpu *v, bool on)
{
	if (v->osxsave == on)
		return;
	v->osxsave = on;
	if (!v->loaded)
		return;
	if (on)
		xcr0_load(v);
	else
		xcr0_put(v);
}

uint64_t
fpu_xcr0(const struct vcpu *v)
{
	return v->loaded && v->osxsave ? cpu_xgetbv(0) : v->xcr0;
}

void
fpu_xcr0_changed(struct vcpu *v)
{
	if (v->loaded && v->osxsave)
		cpu_xsetbv(0, v->xcr0);
}
