// SPDX-License-Identifier: ISC
/*
 * host_context.c - what a VM exit of VMX takes from the host and its software
 * has to give back, and the host's events and caches around a guest.
 */
#include <linux/cpu.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/hardirq.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "host.h"
#include "compat.h"

void
host_call_on(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	smp_call_function_single(cpu, fn, arg, 1);
}

void
host_cr4_change(uint64_t set, uint64_t clear)
{
	unsigned long flags;

	local_irq_save(flags);
	cr4_update_irqsoff(set, clear);
	local_irq_restore(flags);
}

static uint64_t
read_msr(uint32_t index)
{
	uint64_t value;

	rdmsrl(index, value);
	return value;
}

void
host_context_save(struct host_context *c)
{
	struct desc_ptr gdt, idt;

	c->cr0 = read_cr0();
	savesegment(cs, c->cs);
	savesegment(ss, c->ss);
	store_tr(c->tr);
	c->gs_base = read_msr(MSR_GS_BASE);
	c->tr_base = (unsigned long)
	    &get_cpu_entry_area(raw_smp_processor_id())->tss.x86_tss;
	native_store_gdt(&gdt);
	store_idt(&idt);
	c->gdt_base = gdt.address;
	c->gdt_limit = gdt.size;
	c->idt_base = idt.address;
	c->idt_limit = idt.size;
}

void
host_thread_save(struct host_thread *t)
{
	savesegment(ds, t->ds);
	savesegment(es, t->es);
	savesegment(fs, t->fs);
	savesegment(gs, t->gs);
	store_ldt(t->ldtr);
	t->fs_base = x86_fsbase_read_cpu();
}

void
host_context_restore(const struct host_context *c, const struct host_thread *t)
{
	const struct desc_ptr gdt = { .size = c->gdt_limit, .address = c->gdt_base };
	const struct desc_ptr idt = { .size = c->idt_limit, .address = c->idt_base };

	native_load_gdt(&gdt);
	native_load_idt(&idt);
	/* The I/O bitmap lies beyond the limit that the CPU has set. */
	invalidate_tss_limit();
	if (t->ldtr != 0)
		asm volatile("lldt %0" : : "m" (t->ldtr));
	if (t->ds != 0)
		loadsegment(ds, t->ds);
	if (t->es != 0)
		loadsegment(es, t->es);
	if (t->gs != 0)
		load_gs_index(t->gs);
	if (t->fs != 0) {
		loadsegment(fs, t->fs);
		x86_fsbase_write_cpu(t->fs_base);
	}
}

/*
 * As the kernel does it for itself: with FSGSBASE, going over to the other
 * base and back is quicker than the MSR. Between the two nothing may look at
 * per-CPU data; NMIs and machine checks find out by themselves what GS is.
 */
uint64_t
host_swapgs_base(uint64_t base)
{
	uint64_t old;

	if (compat_may_swapgs()) {
		local_irq_disable();
		asm volatile("swapgs\n\t"
		    "rdgsbase %0\n\t"
		    "wrgsbase %1\n\t"
		    "swapgs" : "=&r" (old) : "r" (base) : "memory");
		local_irq_enable();
		return old;
	}
	old = read_msr(MSR_KERNEL_GS_BASE);
	if (old != base)
		wrmsrl(MSR_KERNEL_GS_BASE, base);
	return old;
}

/*
 * An NMI that ends a guest's stay is not pending any more, but NMIs are
 * blocked as if it had been delivered (SDM 3C 28.3.3): the handler's IRET
 * ends that, as always.
 */
void
host_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

/* --- L1TF ------------------------------------------------------------------ */

#define L1D_SIZE	(64 * 1024)	/* twice the largest cache concerned */
#define L1D_LINE	64

/* By loads, where the microcode has no command for it. */
static void
l1d_flush_by_loads(void)
{
	static u8 buffer[L1D_SIZE] __aligned(PAGE_SIZE);
	size_t i;

	/* The pages first: their translations must not be missing later. */
	for (i = 0; i < L1D_SIZE; i += PAGE_SIZE)
		READ_ONCE(buffer[i]);
	native_cpuid_eax(0);	/* serialises */
	for (i = 0; i < L1D_SIZE; i += L1D_LINE)
		READ_ONCE(buffer[i]);
	rmb();
}

/* Has the kernel touched secrets on this CPU since the last flush? */
static bool
l1d_is_due(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	bool due = kvm_get_cpu_l1tf_flush_l1d();

	kvm_clear_cpu_l1tf_flush_l1d();
	return due;
#else
	return true;
#endif
}

bool
host_large_exec(void)
{
	return !boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) ||
	    cpu_mitigations_off();
}

bool
host_l1d_may_flush(void)
{
	if (!boot_cpu_has_bug(X86_BUG_L1TF) ||
	    l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	return !boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) ||
	    !(read_msr(MSR_IA32_ARCH_CAPABILITIES) &
	    ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

void
host_l1d_flush(bool loaded)
{
	if (!l1d_is_due() && !loaded &&
	    l1tf_mitigation != L1TF_MITIGATION_FULL &&
	    l1tf_mitigation != L1TF_MITIGATION_FULL_FORCE)
		return;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		l1d_flush_by_loads();
}
