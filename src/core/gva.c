/* SPDX-License-Identifier: ISC */
/*
 * gva.c - the guest's own paging and segmentation, walked in software.
 */
#include "gva.h"
#include "cpuid_guest.h"
#include "memory.h"

#define PAGE_MASK_4K	(PAGE_SIZE_4K - 1)

/* Bits lo to hi, both included. */
#define BITS(hi, lo)	((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))

/* Other vCPUs may write to the tables under our feet this often, no more. */
#define WALK_TRIES	64

enum paging { PAGING_32 = 2, PAGING_PAE = 3, PAGING_4LEVEL = 4 };

struct walk {
	struct vcpu *v;
	const struct guest_mode *m;
	enum paging paging;	/* the number of levels, too */
	unsigned int entry_size;
	uint64_t gva;
	enum gva_access access;
	struct guest_fault *fault;

	/* What the entries so far allow. */
	bool	 user, write, nx;
	struct gva_trace trace;
};

static uint64_t
linear_mask(const struct guest_mode *m)
{
	return m->code64 ? ~0ULL : 0xffffffff;
}

static int
fault_code(struct guest_fault *f, uint8_t vector)
{
	*f = (struct guest_fault){ .vector = vector, .has_error = true };
	return GVA_FAULT;
}

/* code: ARCH_PF_P, ARCH_PF_RSVD or none; the rest follows from the access. */
static int
page_fault(const struct walk *w, uint32_t code)
{
	bool exec_bit = (w->m->cr4 & ARCH_CR4_SMEP) ||
	    (w->paging != PAGING_32 && (w->m->efer & ARCH_EFER_NXE));

	if (w->access == GVA_WRITE)
		code |= ARCH_PF_W;
	if (w->m->cpl == 3)
		code |= ARCH_PF_U;
	/* SDM 3A 4.7: only where a fetch can fault as such. */
	if (w->access == GVA_FETCH && exec_bit)
		code |= ARCH_PF_I;
	*w->fault = (struct guest_fault){
		.vector = ARCH_EXC_PF,
		.has_error = true,
		.error = code,
		.has_cr2 = true,
		.cr2 = w->gva,
	};
	return GVA_FAULT;
}

/* Does a set PS bit at this level mean a large page? */
static bool
has_large(const struct walk *w, unsigned int level)
{
	switch (level) {
	case 2:
		return w->paging != PAGING_32 || (w->m->cr4 & ARCH_CR4_PSE);
	case 3:
		return w->paging == PAGING_4LEVEL &&
		    cpuid_guest_has(CPUID_FEATURE_PAGE1GB);
	default:
		return false;
	}
}

/* Bits that must be zero (SDM 3A 4.3 to 4.5, APM 2 5.2 to 5.3). */
static uint64_t
reserved(const struct walk *w, unsigned int level, bool large)
{
	const unsigned int width = cpuid_guest_phys_bits();
	uint64_t bits = 0;

	if (w->paging == PAGING_32) {
		/* PSE-36: bits 13 to 20 are address bits 32 to 39. */
		if (!large)
			return 0;
		bits = BITS(21, 21);
		if (width < 40)
			bits |= BITS(20, width - 32 + 13);
		return bits;
	}
	if (width < 52)
		bits |= BITS(51, width);
	if (w->paging == PAGING_PAE)
		bits |= BITS(62, 52);
	if (!(w->m->efer & ARCH_EFER_NXE))
		bits |= ARCH_PTE_NX;
	/* QEMU 7.2 sets bit 5 of these, as if they had an accessed bit. */
	if (w->paging == PAGING_PAE && level == 3)
		return bits | ARCH_PTE_NX | BITS(8, 6) | BITS(2, 1);
	if (large)
		return bits | (level == 3 ? BITS(29, 13) : BITS(20, 13));
	if (level >= 3)
		bits |= ARCH_PTE_PS;
	return bits;
}

/* Read a table's entry, and the aligned word that it is in or is. */
static int
entry_read(struct walk *w, uint64_t at, uint64_t *entry)
{
	struct host_user_word *word = &w->trace.word[w->trace.n++];
	int err;

	err = memory_place(w->v->vm, at & ~7ULL, STAGE2_R, &word->addr);
	if (err == 0)
		err = memory_get(w->v, &word->value, word->addr,
		    sizeof(word->value));
	if (err)
		return err;
	*entry = w->entry_size == 8 ? word->value :
	    (uint32_t)(word->value >> (at & 4) * 8);
	return 0;
}

/*
 * Set accessed and dirty bits in the entry that was read last. -EAGAIN: it is
 * not what it was.
 */
static int
entry_mark(struct walk *w, uint64_t at, uint64_t entry, uint64_t bits)
{
	uint64_t old = entry;

	if ((entry & bits) == bits)
		return 0;
	w->trace.word[w->trace.n - 1].value |= bits << (at & 4) * 8;
	return memory_cmpxchg(w->v, at, w->entry_size, &old, entry | bits);
}

/* The rights that all levels together give. */
static int
check_rights(const struct walk *w)
{
	bool supervisor = w->m->cpl != 3;

	if (!supervisor && !w->user)
		return page_fault(w, ARCH_PF_P);
	switch (w->access) {
	case GVA_FETCH:
		if (w->nx)
			return page_fault(w, ARCH_PF_P);
		if (supervisor && w->user && (w->m->cr4 & ARCH_CR4_SMEP))
			return page_fault(w, ARCH_PF_P);
		return 0;
	case GVA_WRITE:
		if (!w->write && (!supervisor || (w->m->cr0 & ARCH_CR0_WP)))
			return page_fault(w, ARCH_PF_P);
		break;
	case GVA_READ:
		break;
	}
	if (supervisor && w->user && (w->m->cr4 & ARCH_CR4_SMAP) &&
	    !(w->m->rflags & ARCH_RFLAGS_AC))
		return page_fault(w, ARCH_PF_P);
	return 0;
}

static uint64_t
leaf_address(const struct walk *w, uint64_t entry, unsigned int shift)
{
	uint64_t offset = w->gva & BITS(shift - 1, 0), base;

	base = entry & BITS(w->paging == PAGING_32 ? 31 : 51, shift);
	if (w->paging == PAGING_32 && shift == 22)
		base |= (entry & BITS(20, 13)) << (32 - 13);
	return base | offset;
}

/* One attempt; -EAGAIN: an entry changed on the way. */
static int
walk(struct walk *w, uint64_t *gpa)
{
	unsigned int bits = w->paging == PAGING_32 ? 10 : 9;
	unsigned int level = w->paging, shift;
	uint64_t table, at, entry;
	bool large;
	int err;

	/* In PAE mode CR3 points to four entries (SDM 3A 4.4.1). */
	table = w->m->cr3 & (w->paging == PAGING_4LEVEL ? BITS(51, 12) :
	    w->paging == PAGING_PAE ? BITS(31, 5) : BITS(31, 12));
	w->user = w->write = true;
	w->nx = false;
	w->trace.n = 0;
	for (;; level--) {
		shift = 12 + (level - 1) * bits;
		at = table + ((w->gva >> shift) & BITS(bits - 1, 0)) *
		    w->entry_size;
		err = entry_read(w, at, &entry);
		if (err)
			return err;
		if (!(entry & ARCH_PTE_P))
			return page_fault(w, 0);
		large = (entry & ARCH_PTE_PS) && has_large(w, level);
		if (entry & reserved(w, level, large))
			return page_fault(w, ARCH_PF_P | ARCH_PF_RSVD);
		table = entry & BITS(51, 12);
		if (w->paging == PAGING_PAE && level == 3)
			continue;	/* no rights, nothing to mark */
		w->user = w->user && (entry & ARCH_PTE_U);
		w->write = w->write && (entry & ARCH_PTE_W);
		/* Reserved, so clear, unless NXE. */
		w->nx = w->nx || (entry & ARCH_PTE_NX);
		if (large || level == 1)
			break;
		err = entry_mark(w, at, entry, ARCH_PTE_A);
		if (err)
			return err;
	}
	err = check_rights(w);
	if (err == 0)
		err = entry_mark(w, at, entry, ARCH_PTE_A |
		    (w->access == GVA_WRITE ? ARCH_PTE_D : 0));
	if (err == 0)
		*gpa = leaf_address(w, entry, shift);
	return err;
}

int
gva_translate(struct vcpu *v, const struct guest_mode *m, uint64_t gva,
    enum gva_access access, uint64_t *gpa, struct gva_trace *trace,
    struct guest_fault *fault)
{
	struct walk w = { .v = v, .m = m, .access = access, .fault = fault };
	unsigned int tries;
	int err = -EAGAIN;

	w.gva = gva & linear_mask(m);
	if (!arch_canonical(w.gva))
		return fault_code(fault, ARCH_EXC_GP);
	if (!(m->cr0 & ARCH_CR0_PG)) {
		*gpa = w.gva;
		return 0;
	}
	w.paging = m->efer & ARCH_EFER_LMA ? PAGING_4LEVEL :
	    m->cr4 & ARCH_CR4_PAE ? PAGING_PAE : PAGING_32;
	w.entry_size = w.paging == PAGING_32 ? 4 : 8;
	for (tries = 0; err == -EAGAIN && tries < WALK_TRIES; tries++)
		err = walk(&w, gpa);
	if (err == 0 && trace != NULL)
		*trace = w.trace;
	return err == -EAGAIN ? -EFAULT : err;
}

/* A piece of an access: what lies in one page. */
struct piece {
	uint64_t gpa;
	size_t	 len;
};

/* Walk for every byte; returns the number of pieces, 1 or 2, in *n. */
static int
translate_all(struct vcpu *v, uint64_t gva, size_t len, enum gva_access access,
    struct piece piece[2], unsigned int *n, struct guest_fault *fault)
{
	size_t first = PAGE_SIZE_4K - (gva & PAGE_MASK_4K);
	struct guest_mode m;
	int err;

	vmm_backend()->mode(v, &m);
	piece[0].len = len < first ? len : first;
	piece[1].len = len - piece[0].len;
	*n = piece[1].len != 0 ? 2 : 1;
	err = gva_translate(v, &m, gva, access, &piece[0].gpa, NULL, fault);
	if (err == 0 && *n == 2)
		err = gva_translate(v, &m, gva + first, access, &piece[1].gpa,
		    NULL, fault);
	return err;
}

int
gva_read(struct vcpu *v, uint64_t gva, void *buf, size_t len,
    enum gva_access access, struct guest_fault *fault)
{
	struct piece piece[2];
	uint8_t *p = buf;
	unsigned int n, i;
	int err;

	err = translate_all(v, gva, len, access, piece, &n, fault);
	for (i = 0; err == 0 && i < n; i++) {
		err = memory_read(v, piece[i].gpa, p, piece[i].len);
		p += piece[i].len;
	}
	return err;
}

int
gva_write(struct vcpu *v, uint64_t gva, const void *buf, size_t len,
    struct guest_fault *fault)
{
	struct piece piece[2];
	const uint8_t *p = buf;
	unsigned int n, i;
	int err;

	err = translate_all(v, gva, len, GVA_WRITE, piece, &n, fault);
	for (i = 0; err == 0 && i < n; i++) {
		err = memory_write(v, piece[i].gpa, p, piece[i].len);
		p += piece[i].len;
	}
	return err;
}

int
gva_probe(struct vcpu *v, uint64_t gva, size_t len, enum gva_access access,
    struct guest_fault *fault)
{
	struct piece piece[2];
	unsigned int n, i;
	int err;

	err = translate_all(v, gva, len, access, piece, &n, fault);
	for (i = 0; err == 0 && i < n; i++) {
		if (memory_range(v->vm, piece[i].gpa) == NULL)
			err = -EFAULT;
	}
	return err;
}

/* Type of a code or data segment (SDM 3A 3.4.5.1), as in ARCH_AR_TYPE_MASK. */
#define TYPE_CODE	8u
#define TYPE_DOWN	4u	/* data: expands down */
#define TYPE_RW		2u	/* data: writable; code: readable */

static bool
type_allows(uint32_t ar, enum gva_access access)
{
	uint32_t type = ar & ARCH_AR_TYPE_MASK;

	switch (access) {
	case GVA_READ:
		return !(type & TYPE_CODE) || (type & TYPE_RW);
	case GVA_WRITE:
		return !(type & TYPE_CODE) && (type & TYPE_RW);
	default:
		return true;	/* what is in CS is code */
	}
}

/* Are [offset, offset + len) inside the segment? All within 32 bits. */
static bool
limit_allows(const struct vcpu_segment_info *s, uint64_t offset, size_t len)
{
	uint32_t type = s->vsi_ar & ARCH_AR_TYPE_MASK;
	uint64_t last = offset + len - 1, limit = s->vsi_limit;

	if ((type & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN) {
		/* From above the limit to the top. */
		uint64_t top = s->vsi_ar & ARCH_AR_DB ? 0xffffffff : 0xffff;

		return offset > limit && last <= top;
	}
	return last <= limit;
}

/* Alignment check: data accesses at CPL 3 only (SDM 3A 6.15, #AC). */
static bool
misaligned(const struct guest_mode *m, uint64_t gva, size_t len,
    enum gva_access access)
{
	return access != GVA_FETCH && m->cpl == 3 && (m->cr0 & ARCH_CR0_AM) &&
	    (m->rflags & ARCH_RFLAGS_AC) && (gva & (len - 1)) != 0;
}

int
gva_linear(struct vcpu *v, const struct guest_mode *m, enum sreg seg,
    uint64_t offset, size_t len, enum gva_access access, uint64_t *gva,
    struct guest_fault *fault)
{
	uint8_t vector = seg == SREG_SS ? ARCH_EXC_SS : ARCH_EXC_GP;
	struct vcpu_segment_info s;

	vmm_backend()->seg_get(v, seg, &s);
	if (m->code64) {
		/* Base for FS and GS only; neither limit nor type. */
		if (seg == SREG_FS || seg == SREG_GS)
			offset += s.vsi_base;
		if (!arch_canonical(offset) || !arch_canonical(offset + len - 1))
			return fault_code(fault, vector);
		*gva = offset;
	} else {
		offset &= 0xffffffff;
		if (s.vsi_ar & ARCH_AR_UNUSABLE)
			return fault_code(fault, vector);
		/* Real and virtual-8086 mode know limits, but no types. */
		if ((m->cr0 & ARCH_CR0_PE) && !(m->rflags & ARCH_RFLAGS_VM) &&
		    !type_allows(s.vsi_ar, access))
			return fault_code(fault, vector);
		if (!limit_allows(&s, offset, len))
			return fault_code(fault, vector);
		*gva = (uint32_t)(s.vsi_base + offset);
	}
	if (misaligned(m, *gva, len, access))
		return fault_code(fault, ARCH_EXC_AC);
	return 0;
}
