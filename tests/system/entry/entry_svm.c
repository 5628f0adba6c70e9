// SPDX-License-Identifier: ISC
/*
 * entry_svm.c - the examples of SVM. The control area is this CPU's own; the save area is the
 * example's. No guest executes anything: the nested page table maps nothing.
 */
#include <linux/vmalloc.h>
#include <linux/gfp.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "entry.h"
#include "svm_controls.h"
#include "svm_cpu.h"
#include "svm_entry_vectors.h"
#include "svm_vmcb.h"

#define LEAF_SVM	0x8000000au
#define LEAF_SVM_EXT	0x80000008u

/* An address in the examples that stands for a page of ours. */
#define SAVE_AREA	offsetof(struct vmcb, es)

static struct {
	struct vmcb *vmcb, *host_vmcb;
	void	*hsave, *iopm, *msrpm, *nested;
	struct svm_caps caps;
	struct svm_entry entry;
	uint64_t old_hsave;
} m;

static void
write_base(void)
{
	struct vmcb *vmcb = m.vmcb;

	memset(vmcb, 0, sizeof(*vmcb));
	svm_controls_init(vmcb, &m.caps);
	vmcb->iopm_base_pa = virt_to_phys(m.iopm);
	vmcb->msrpm_base_pa = virt_to_phys(m.msrpm);
	vmcb->n_cr3 = virt_to_phys(m.nested);
	vmcb->guest_asid = 1;
	vmcb->tlb_control = VMCB_TLB_FLUSH_ALL;
}

/* False: the setting is about another machine. */
static bool
write_setting(const struct svm_setting *set)
{
	unsigned int size = svm_operand_place[set->operand].width / 8;
	uint8_t *at = (uint8_t *)m.vmcb + svm_operand_place[set->operand].place;
	uint64_t value = 0;

	if (size == 0)
		return (svm_entry_operand(&m.entry, set->operand) & set->mask) == set->value;
	memcpy(&value, at, size);
	value = (value & ~set->mask) | set->value;
	memcpy(at, &value, size);
	return true;
}

static bool
write_settings(unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++)
		if (!write_setting(&svm_settings[i]))
			return false;
	return true;
}

static void
write_state(const struct svm_vector *t)
{
	for (unsigned int i = t->state; i < t->state + t->state_count; i++)
		if (svm_operand_place[svm_settings[i].operand].place >= SAVE_AREA)
			write_setting(&svm_settings[i]);
}

static const struct entry_check *
first_broken(void)
{
	const struct entry_rules *rules = &svm_entry_rules;

	for (unsigned int i = 0; i < rules->count; i++)
		if (!rules->holds(i, svm_entry_operand, &m.entry))
			return &rules->checks[i];
	return NULL;
}

/* Interrupts are off, and nobody else sees what an entry changes. */
static struct verdict
enter(void)
{
	uint64_t gpr[VCPU_REGS_NGPRS] = { 0 };
	uint64_t host_vmcb = virt_to_phys(m.host_vmcb);
	unsigned long dr6, dr7;
	struct verdict v = { .qualification = -1 };

	get_debugreg(dr6, 6);
	get_debugreg(dr7, 7);
	svm_clgi();
	svm_vmsave(host_vmcb);
	svm_enter(gpr, virt_to_phys(m.vmcb), host_vmcb);
	set_debugreg(dr6, 6);
	set_debugreg(dr7, 7);
	svm_stgi();
	v.exit = m.vmcb->exitcode;
	/* QEMU gives the low half of VMEXIT_INVALID only. */
	v.entered = (uint32_t)v.exit != UINT32_MAX;
	if (!v.entered)
		v.exit = UINT64_MAX;
	return v;
}

/* What the broken check's row says of this emulator. */
static unsigned int
said_of(const struct entry_check *broken)
{
	if (broken == NULL)
		return SAID_NOTHING;
	for (unsigned int i = 0; i < ARRAY_SIZE(svm_vectors); i++)
		if (&svm_entry_rules.checks[svm_vectors[i].check] == broken)
			return svm_vectors[i].emulator;
	return SAID_NOTHING;
}

static void
try(const struct svm_vector *t, bool good, struct entry_result *r)
{
	r->check = &svm_entry_rules.checks[t->check];
	r->good = good;
	r->reason = t->reason;
	r->outcome = NOT_TRIED;
	if (t->emulator == SVM_UNTRIED || (good && t->never_entered))
		return;
	write_base();
	write_state(t);
	r->outcome = NOT_HERE;
	r->reason = "the state is one of another machine";
	if (!write_settings(t->given, t->given_count) ||
	    (!good && !write_settings(t->breaks, t->breaks_count)))
		return;
	r->broken = first_broken();
	r->cpu = enter();
	entry_judge(r, &svm_entry_rules, said_of(r->broken));
}

static void
try_all(struct entry_result *r)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(svm_vectors); i++) {
		try(&svm_vectors[i], true, &r[2 * i]);
		try(&svm_vectors[i], false, &r[2 * i + 1]);
	}
}

static int
svm_on(void)
{
	uint64_t efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	rdmsrl(MSR_VM_HSAVE_PA, m.old_hsave);
	wrmsrl(MSR_VM_HSAVE_PA, virt_to_phys(m.hsave));
	return 0;
}

static void
svm_off(void)
{
	uint64_t efer;

	wrmsrl(MSR_VM_HSAVE_PA, m.old_hsave);
	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~(uint64_t)EFER_SVME);
}

static int
negotiate(void)
{
	uint32_t ebx = cpuid_ebx(LEAF_SVM), edx = cpuid_edx(LEAF_SVM);

	if (svm_caps_read(&m.caps, ebx, edx) != NULL)
		return -ENODEV;
	svm_caps_read_ext(&m.caps, cpuid_ebx(LEAF_SVM_EXT));
	m.entry = (struct svm_entry) {
		.vmcb = m.vmcb,
		.maxphyaddr = cpuid_eax(LEAF_SVM_EXT) & 0xff,
		.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_SVME |
		    (boot_cpu_has(X86_FEATURE_FXSR_OPT) ? EFER_FFXSR : 0),
		.cr4_valid = 0x7f9ff & ~(uint64_t)X86_CR4_SMXE,
		.long_mode = 1,
		.svm_avic = edx >> 13 & 1,
		.svm_vnmi = edx >> 25 & 1,
		.host_paging = 1,
	};
	return 0;
}

struct entry_result *
entry_svm(unsigned int *n, int *err)
{
	struct host_context context;
	struct host_thread thread;
	struct entry_result *r;

	*n = 2 * ARRAY_SIZE(svm_vectors);
	r = vzalloc(array_size(*n, sizeof(*r)));
	m.vmcb = (void *)get_zeroed_page(GFP_KERNEL);
	m.host_vmcb = (void *)get_zeroed_page(GFP_KERNEL);
	m.hsave = (void *)get_zeroed_page(GFP_KERNEL);
	m.nested = (void *)get_zeroed_page(GFP_KERNEL);
	m.iopm = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);
	m.msrpm = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
	*err = -ENOMEM;
	if (r != NULL && m.vmcb && m.host_vmcb && m.hsave && m.nested && m.iopm && m.msrpm)
		*err = negotiate();
	if (*err == 0) {
		local_irq_disable();
		host_context_save(&context);
		host_thread_save(&thread);
		*err = svm_on();
		if (*err == 0) {
			try_all(r);
			svm_off();
		}
		host_context_restore(&context, &thread);
		local_irq_enable();
	}
	free_page((unsigned long)m.vmcb);
	free_page((unsigned long)m.host_vmcb);
	free_page((unsigned long)m.hsave);
	free_page((unsigned long)m.nested);
	free_pages((unsigned long)m.iopm, 2);
	free_pages((unsigned long)m.msrpm, 1);
	if (*err != 0) {
		vfree(r);
		r = NULL;
	}
	return r;
}
