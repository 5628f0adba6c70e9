/* SPDX-License-Identifier: ISC */
/*
 * svm_entry_check.h - why VMRUN refused a VMCB.
 */
#ifndef SVM_ENTRY_CHECK_H
#define SVM_ENTRY_CHECK_H

struct vcpu;
struct vmcb;

/* The VMCB is as VMRUN found it. */
void	svm_diagnose(struct vcpu *v, const struct vmcb *vmcb);

#endif /* SVM_ENTRY_CHECK_H */
