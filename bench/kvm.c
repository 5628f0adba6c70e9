/* SPDX-License-Identifier: ISC */
#include <sys/ioctl.h>
#include <linux/kvm.h>
#include "kvm.h"

static struct kvm_segment
segment(const struct vcpu_segment_info *s)
{
	struct kvm_segment k = { 0 };

	k.base = s->vsi_base;
	k.limit = s->vsi_limit;
	k.selector = s->vsi_sel;
	k.type = s->vsi_ar & 15;
	k.s = s->vsi_ar >> 4 & 1;
	k.dpl = s->vsi_ar >> 5 & 3;
	k.present = s->vsi_ar >> 7 & 1;
	k.avl = s->vsi_ar >> 12 & 1;
	k.l = s->vsi_ar >> 13 & 1;
	k.db = s->vsi_ar >> 14 & 1;
	k.g = s->vsi_ar >> 15 & 1;
	return k;
}

static struct kvm_dtable
table(const struct vcpu_segment_info *s)
{
	struct kvm_dtable k = { .base = s->vsi_base, .limit = (uint16_t)s->vsi_limit };

	return k;
}

int
kvm_reset(int cpu, const struct vcpu_reg_state *s)
{
	struct kvm_regs regs = {
		.rip = s->vrs_gprs[VCPU_REGS_RIP],
		.rsp = s->vrs_gprs[VCPU_REGS_RSP],
		.rflags = s->vrs_gprs[VCPU_REGS_RFLAGS],
		.rsi = s->vrs_gprs[VCPU_REGS_RSI],
	};
	struct kvm_sregs sregs;

	if (ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs = segment(&s->vrs_sregs[VCPU_REGS_CS]);
	sregs.ds = segment(&s->vrs_sregs[VCPU_REGS_DS]);
	sregs.es = segment(&s->vrs_sregs[VCPU_REGS_ES]);
	sregs.fs = segment(&s->vrs_sregs[VCPU_REGS_FS]);
	sregs.gs = segment(&s->vrs_sregs[VCPU_REGS_GS]);
	sregs.ss = segment(&s->vrs_sregs[VCPU_REGS_SS]);
	sregs.tr = segment(&s->vrs_sregs[VCPU_REGS_TR]);
	sregs.ldt = segment(&s->vrs_sregs[VCPU_REGS_LDTR]);
	sregs.gdt = table(&s->vrs_gdtr);
	sregs.idt = table(&s->vrs_idtr);
	sregs.cr0 = s->vrs_crs[VCPU_REGS_CR0];
	sregs.cr3 = s->vrs_crs[VCPU_REGS_CR3];
	sregs.cr4 = s->vrs_crs[VCPU_REGS_CR4];
	sregs.efer = s->vrs_msrs[VCPU_REGS_EFER];
	if (ioctl(cpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(cpu, KVM_SET_REGS, &regs);
}
