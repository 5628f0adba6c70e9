// SPDX-License-Identifier: ISC
/*
 * vmx.c - the floor of VMX: VMRESUME, the general registers, and of the VMCS
 * only what tells why the guest stopped and lets it go on behind that.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/vmx.h>

#include "floor.h"

static inline u64
vmread(u64 field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r" (value) : "r" (field) : "cc");
	return value;
}

static inline void
vmwrite(u64 field, u64 value)
{
	asm volatile("vmwrite %1, %0" : : "r" (field), "r" (value) : "cc", "memory");
}

static u64
msr(u32 index)
{
	u64 value;

	rdmsrl(index, value);
	return value;
}

/* Low half: bits that must be 1; high half: those that may be (SDM 3D A.3). */
static u64
control(u32 index, u32 wanted)
{
	u64 allowed = msr(index);

	return (wanted | (u32)allowed) & (u32)(allowed >> 32);
}

static void
fill_controls(void)
{
	vmwrite(PIN_BASED_VM_EXEC_CONTROL, control(MSR_IA32_VMX_PINBASED_CTLS, 0));
	vmwrite(CPU_BASED_VM_EXEC_CONTROL, control(MSR_IA32_VMX_PROCBASED_CTLS, 0));
	vmwrite(VM_EXIT_CONTROLS,
	    control(MSR_IA32_VMX_EXIT_CTLS, VM_EXIT_HOST_ADDR_SPACE_SIZE));
	vmwrite(VM_ENTRY_CONTROLS, control(MSR_IA32_VMX_ENTRY_CTLS, VM_ENTRY_IA32E_MODE));
	vmwrite(EXCEPTION_BITMAP, 0);
	vmwrite(CR3_TARGET_COUNT, 0);
	vmwrite(CR0_GUEST_HOST_MASK, 0);
	vmwrite(CR4_GUEST_HOST_MASK, 0);
	vmwrite(VMCS_LINK_POINTER, ~0ull);
}

/* Fields of the guest and of the host that hold the same. */
static void
fill_both(const struct desc_ptr *gdt, const struct desc_ptr *idt)
{
	u64 tss = (u64)&get_cpu_entry_area(smp_processor_id())->tss.x86_tss;
	const struct {
		u32	guest, host;
		u64	value;
	} both[] = {
		{ GUEST_CR0, HOST_CR0, read_cr0() },
		{ GUEST_CR3, HOST_CR3, __read_cr3() },
		{ GUEST_CR4, HOST_CR4, __read_cr4() },
		{ GUEST_CS_SELECTOR, HOST_CS_SELECTOR, __KERNEL_CS },
		{ GUEST_SS_SELECTOR, HOST_SS_SELECTOR, __KERNEL_DS },
		{ GUEST_DS_SELECTOR, HOST_DS_SELECTOR, 0 },
		{ GUEST_ES_SELECTOR, HOST_ES_SELECTOR, 0 },
		{ GUEST_FS_SELECTOR, HOST_FS_SELECTOR, 0 },
		{ GUEST_GS_SELECTOR, HOST_GS_SELECTOR, 0 },
		{ GUEST_TR_SELECTOR, HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8 },
		{ GUEST_FS_BASE, HOST_FS_BASE, msr(MSR_FS_BASE) },
		{ GUEST_GS_BASE, HOST_GS_BASE, msr(MSR_GS_BASE) },
		{ GUEST_TR_BASE, HOST_TR_BASE, tss },
		{ GUEST_GDTR_BASE, HOST_GDTR_BASE, gdt->address },
		{ GUEST_IDTR_BASE, HOST_IDTR_BASE, idt->address },
		{ GUEST_SYSENTER_CS, HOST_IA32_SYSENTER_CS, msr(MSR_IA32_SYSENTER_CS) },
		{ GUEST_SYSENTER_ESP, HOST_IA32_SYSENTER_ESP, msr(MSR_IA32_SYSENTER_ESP) },
		{ GUEST_SYSENTER_EIP, HOST_IA32_SYSENTER_EIP, msr(MSR_IA32_SYSENTER_EIP) },
		{ GUEST_RIP, HOST_RIP, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(both); i++) {
		vmwrite(both[i].guest, both[i].value);
		vmwrite(both[i].host, both[i].value);
	}
}

static void
fill_guest(const struct desc_ptr *gdt, const struct desc_ptr *idt)
{
	static const u32 unusable[] = {
		GUEST_ES_AR_BYTES, GUEST_DS_AR_BYTES, GUEST_FS_AR_BYTES, GUEST_GS_AR_BYTES,
		GUEST_LDTR_AR_BYTES,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unusable); i++)
		vmwrite(unusable[i], 1u << 16);
	vmwrite(GUEST_CS_AR_BYTES, 0xa09b);
	vmwrite(GUEST_SS_AR_BYTES, 0xc093);
	vmwrite(GUEST_TR_AR_BYTES, 0x8b);
	vmwrite(GUEST_CS_LIMIT, 0xffffffff);
	vmwrite(GUEST_SS_LIMIT, 0xffffffff);
	vmwrite(GUEST_TR_LIMIT, 0x67);
	vmwrite(GUEST_CS_BASE, 0);
	vmwrite(GUEST_SS_BASE, 0);
	vmwrite(GUEST_GDTR_LIMIT, gdt->size);
	vmwrite(GUEST_IDTR_LIMIT, idt->size);
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	vmwrite(GUEST_RSP, 0);
	vmwrite(GUEST_RIP, (u64)floor_guest);
	vmwrite(HOST_RIP, (u64)floor_vmx_exit);
	vmwrite(GUEST_ACTIVITY_STATE, 0);
	vmwrite(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmwrite(GUEST_IA32_DEBUGCTL, 0);
}

static int
loop(struct floor_switch *s)
{
	u64 gpr[15] = { 0 }, host_rsp = 0, i;

	s->ticks = rdtsc();
	for (i = 0; i < s->rounds; i++) {
		local_irq_disable();
		if (floor_vmx_enter(gpr, &host_rsp, i != 0) != 0 ||
		    vmread(VM_EXIT_REASON) != EXIT_REASON_CPUID) {
			local_irq_enable();
			pr_err("floor: VMX error %llu, exit %llx\n",
			    vmread(VM_INSTRUCTION_ERROR), vmread(VM_EXIT_REASON));
			return -EIO;
		}
		vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(VM_EXIT_INSTRUCTION_LEN));
		local_irq_enable();
	}
	s->ticks = rdtsc() - s->ticks;
	return 0;
}

static int
vmx_on(void *region)
{
	u64 pa = virt_to_phys(region);
	bool failed;

	if ((msr(MSR_IA32_FEAT_CTL) & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX) == 0)
		return -ENODEV;
	*(u32 *)region = (u32)msr(MSR_IA32_VMX_BASIC);
	cr4_set_bits(X86_CR4_VMXE);
	asm volatile("vmxon %1" : "=@ccbe" (failed) : "m" (pa) : "memory");
	if (failed)
		cr4_clear_bits(X86_CR4_VMXE);
	return failed ? -EBUSY : 0;
}

static int
with_vmcs(void *vmcs, struct floor_switch *s)
{
	u64 pa = virt_to_phys(vmcs);
	struct desc_ptr gdt, idt;
	int r;

	*(u32 *)vmcs = (u32)msr(MSR_IA32_VMX_BASIC);
	asm volatile("vmclear %0" : : "m" (pa) : "cc", "memory");
	asm volatile("vmptrld %0" : : "m" (pa) : "cc", "memory");
	native_store_gdt(&gdt);
	store_idt(&idt);
	fill_controls();
	fill_both(&gdt, &idt);
	fill_guest(&gdt, &idt);
	r = loop(s);
	/* An exit leaves limits of 64 KiB. */
	native_load_gdt(&gdt);
	native_load_idt(&idt);
	asm volatile("vmclear %0" : : "m" (pa) : "cc", "memory");
	return r;
}

int
floor_vmx(struct floor_switch *s)
{
	void *on = (void *)get_zeroed_page(GFP_KERNEL);
	void *vmcs = (void *)get_zeroed_page(GFP_KERNEL);
	int r = -ENOMEM;

	if (on && vmcs) {
		preempt_disable();
		r = vmx_on(on);
		if (r == 0) {
			r = with_vmcs(vmcs, s);
			asm volatile("vmxoff" : : : "cc");
			cr4_clear_bits(X86_CR4_VMXE);
		}
		preempt_enable();
	}
	free_page((unsigned long)vmcs);
	free_page((unsigned long)on);
	return r;
}
