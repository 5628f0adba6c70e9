// SPDX-License-Identifier: ISC
/* svm.c - the floor of SVM: VMRUN, VMLOAD and VMSAVE, and the general registers. */
#include <linux/gfp.h>
#include <linux/io.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/svm.h>

#include "floor.h"

static struct vmcb_seg
segment(u16 selector, u16 attributes)
{
	return (struct vmcb_seg) {
		.selector = selector, .attrib = attributes, .limit = 0xffffffff,
	};
}

/* A guest that is the host, but for where it executes. */
static void
fill(struct vmcb *vmcb)
{
	struct vmcb_save_area *s = &vmcb->save;
	struct desc_ptr table;

	vmcb->control.intercepts[INTERCEPT_CPUID / 32] |= 1u << INTERCEPT_CPUID % 32;
	vmcb->control.intercepts[INTERCEPT_VMRUN / 32] |= 1u << INTERCEPT_VMRUN % 32;
	vmcb->control.asid = 1;
	s->cs = segment(__KERNEL_CS, 0xa9b);
	s->ss = s->ds = s->es = segment(__KERNEL_DS, 0xc93);
	native_store_gdt(&table);
	s->gdtr = (struct vmcb_seg) { .base = table.address, .limit = table.size };
	store_idt(&table);
	s->idtr = (struct vmcb_seg) { .base = table.address, .limit = table.size };
	rdmsrl(MSR_EFER, s->efer);
	s->cr0 = read_cr0();
	s->cr3 = __read_cr3();
	s->cr4 = __read_cr4();
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->rflags = X86_EFLAGS_FIXED;
	s->rip = (u64)floor_guest;
	rdmsrl(MSR_IA32_CR_PAT, s->g_pat);
}

static int
loop(struct vmcb *vmcb, struct vmcb *host, struct floor_switch *s)
{
	u64 gpr[15] = { 0 }, pa = virt_to_phys(vmcb), host_pa = virt_to_phys(host), i;

	s->ticks = rdtsc();
	for (i = 0; i < s->rounds; i++) {
		floor_svm_enter(pa, gpr, host_pa);
		if (vmcb->control.exit_code != SVM_EXIT_CPUID)
			return -EIO;
		vmcb->save.rip += GUEST_CPUID_LENGTH;
	}
	s->ticks = rdtsc() - s->ticks;
	return 0;
}

int
floor_svm(struct floor_switch *s)
{
	struct vmcb *vmcb = (void *)get_zeroed_page(GFP_KERNEL);
	struct vmcb *host = (void *)get_zeroed_page(GFP_KERNEL);
	void *save = (void *)get_zeroed_page(GFP_KERNEL);
	int r = -ENOMEM;
	u64 efer;

	if (vmcb && host && save) {
		preempt_disable();
		rdmsrl(MSR_EFER, efer);
		wrmsrl(MSR_EFER, efer | EFER_SVME);
		wrmsrl(MSR_VM_HSAVE_PA, virt_to_phys(save));
		fill(vmcb);
		asm volatile("vmsave %0" : : "a" (virt_to_phys(vmcb)) : "memory");
		asm volatile("vmsave %0" : : "a" (virt_to_phys(host)) : "memory");
		r = loop(vmcb, host, s);
		wrmsrl(MSR_VM_HSAVE_PA, 0);
		wrmsrl(MSR_EFER, efer);
		preempt_enable();
	}
	free_page((unsigned long)save);
	free_page((unsigned long)host);
	free_page((unsigned long)vmcb);
	return r;
}
