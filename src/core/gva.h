/* SPDX-License-Identifier: ISC */
/*
 * gva.h - the driver's own accesses to a guest's linear addresses: fetching an
 * instruction the CPU did not report, and moving the data of string I/O.
 * May sleep; only on the vCPU's own thread, in the creator's address space.
 */
#ifndef CORE_GVA_H
#define CORE_GVA_H

#include "vm.h"
#include "backend.h"

enum gva_access { GVA_READ, GVA_WRITE, GVA_FETCH };

/*
 * What a walk depended on: the words of the tables, the first level last, as
 * the walk left them.
 */
#define GVA_LEVELS	4
struct gva_trace {
	unsigned int n;
	struct host_user_word word[GVA_LEVELS];
};

/*
 * Walk the guest's page tables as the CPU would (SDM 3A 4, APM 2 5): all
 * paging modes, permissions with WP, NX, SMEP, SMAP and CPL, reserved bits,
 * accessed and dirty bits.
 * 0: *gpa is set. GVA_FAULT: *fault describes the exception the guest gets.
 * -EFAULT: a table of the guest lies outside its memory, or changes faster
 * than it can be walked. -EINTR: RUN is to return before a page can be there.
 * m is the vCPU's mode; trace is NULL, or set with 0.
 */
#define GVA_FAULT	1
int	gva_translate(struct vcpu *v, const struct guest_mode *m, uint64_t gva,
	    enum gva_access access, uint64_t *gpa, struct gva_trace *trace,
	    struct guest_fault *fault);

/* Same results; may cross pages. Nothing was written when a fault is
 * reported: all pages are walked first. len is at most 15. */
int	gva_read(struct vcpu *v, uint64_t gva, void *buf, size_t len,
	    enum gva_access access, struct guest_fault *fault);
int	gva_write(struct vcpu *v, uint64_t gva, const void *buf, size_t len,
	    struct guest_fault *fault);

/* As gva_write() up to the writing: 0 also means that memory is there. */
int	gva_probe(struct vcpu *v, uint64_t gva, size_t len,
	    enum gva_access access, struct guest_fault *fault);

/*
 * Linear address of seg:offset for an access of len bytes, after the checks
 * the CPU makes (type, limit, canonical form: SDM 3A 5.3, APM 2 4.12).
 */
int	gva_linear(struct vcpu *v, const struct guest_mode *m, enum sreg seg,
	    uint64_t offset, size_t len, enum gva_access access, uint64_t *gva,
	    struct guest_fault *fault);

#endif /* CORE_GVA_H */
