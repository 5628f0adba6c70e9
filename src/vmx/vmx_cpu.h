/* SPDX-License-Identifier: ISC */
/*
 * vmx_cpu.h - the instructions of VMX (SDM 3C 31). The unit tests put a
 * simulated CPU behind the same names.
 *
 * A reboot takes VMX away from a CPU in an interrupt, whatever it was doing:
 * VMREAD gives 0 then, and the others do nothing.
 */
#ifndef VMX_CPU_H
#define VMX_CPU_H

#include "host.h"

/* In the log: VMWRITE has failed, which is an error of this driver. */
void	vmx_vmwrite_failed(uint32_t field, uint64_t value);

static inline uint64_t
vmx_vmread(uint32_t field)
{
	uint64_t value = 0;

	__asm__ volatile("1: vmread %1, %0\n2:\n" HOST_FIXUP(1b, 2b)
	    : "+r" (value) : "r" ((uint64_t)field) : "cc");
	return value;
}

/*
 * VMREAD after an exit, interrupts still off: VMX is on, and a VMCS current.
 */
static inline uint64_t
vmx_vmread_on(uint32_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0"
	    : "=r" (value) : "r" ((uint64_t)field) : "cc");
	return value;
}

static inline void
vmx_vmwrite(uint32_t field, uint64_t value)
{
	__asm__ goto("1: vmwrite %1, %0\n"
	    "jna %l[failed]\n" HOST_FIXUP(1b, %l[gone])
	    : : "r" ((uint64_t)field), "r" (value) : "cc" : failed, gone);
gone:
	return;
failed:
	vmx_vmwrite_failed(field, value);
}

/* The instructions with the physical address of a region; false: VMfail. */
static inline bool
vmx_vmxon(uint64_t pa)
{
	bool ok = false;

	__asm__ volatile("1: vmxon %1\nseta %0\n2:\n" HOST_FIXUP(1b, 2b)
	    : "+r" (ok) : "m" (pa) : "cc", "memory");
	return ok;
}

static inline void
vmx_vmxoff(void)
{
	__asm__ volatile("1: vmxoff\n2:\n" HOST_FIXUP(1b, 2b)
	    : : : "cc", "memory");
}

static inline bool
vmx_vmclear(uint64_t pa)
{
	bool ok = false;

	__asm__ volatile("1: vmclear %1\nseta %0\n2:\n" HOST_FIXUP(1b, 2b)
	    : "+r" (ok) : "m" (pa) : "cc", "memory");
	return ok;
}

static inline bool
vmx_vmptrld(uint64_t pa)
{
	bool ok = false;

	__asm__ volatile("1: vmptrld %1\nseta %0\n2:\n" HOST_FIXUP(1b, 2b)
	    : "+r" (ok) : "m" (pa) : "cc", "memory");
	return ok;
}

/* type: VMX_INVEPT_*, VMX_INVVPID_*. */
static inline void
vmx_invept(uint64_t type, uint64_t eptp)
{
	const uint64_t descriptor[2] = { eptp, 0 };

	__asm__ volatile("1: invept %0, %1\n2:\n" HOST_FIXUP(1b, 2b)
	    : : "m" (descriptor), "r" (type) : "cc", "memory");
}

static inline void
vmx_invvpid(uint64_t type, uint16_t vpid)
{
	const uint64_t descriptor[2] = { vpid, 0 };

	__asm__ volatile("1: invvpid %0, %1\n2:\n" HOST_FIXUP(1b, 2b)
	    : : "m" (descriptor), "r" (type) : "cc", "memory");
}

static inline uint64_t
vmx_read_cr3(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr3, %0" : "=r" (v) : : "memory");
	return v;
}

static inline void
vmx_write_cr2(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr2" : : "r" (v) : "memory");
}

/*
 * The world switch (vmx_enter.S): VMLAUNCH or VMRESUME the current VMCS with
 * the general registers of gpr[] (ABI order; RSP, RIP, RFLAGS are the VMCS's),
 * and come back with the guest's in gpr[]. 0, or 1 when the CPU refused to
 * try (VMfail). *host_rsp is what the VMCS's field host_rsp holds; host_rsp
 * _field is its encoding. Interrupts are off.
 */
int	vmx_enter(uint64_t *gpr, bool launched, uint64_t *host_rsp,
	    uint32_t host_rsp_field);
/* Where exits arrive: for the VMCS's field host_rip. */
void	vmx_exit(void);

#endif /* VMX_CPU_H */
