// SPDX-License-Identifier: ISC
#include <string.h>

#include "gva.h"

#define PAGE		4096u
#define CR0_WP		(1u << 16)
#define CR0_PG		(1u << 31)
#define CR4_PSE		(1u << 4)
#define CR4_PAE		(1u << 5)
#define CR4_LA57	(1u << 12)
#define EFER_LMA	(1u << 10)
#define AR_DPL_SHIFT	5
#define AR_L		(1u << 13)	/* code: 64-bit */
#define AR_DB		(1u << 14)	/* code: 32-bit */

#define PTE_P		0x01u
#define PTE_W		0x02u
#define PTE_U		0x04u
#define PTE_A		0x20u
#define PTE_D		0x40u
#define PTE_PS		0x80u
#define PTE_ADDRESS	0x000ffffffffff000ULL

/* How the guest's tables are built (SDM 3A 4.1.1). */
struct paging {
	unsigned int levels;	/* 0: off */
	unsigned int bits;	/* of the address, by one level */
	unsigned int entry;	/* bytes */
};

static bool long_mode(const struct guest_cpu *cpu)
{
	return cpu->regs->vrs_msrs[VCPU_REGS_EFER] & EFER_LMA;
}

enum insn_mode guest_mode(const struct guest_cpu *cpu)
{
	uint32_t ar = cpu->regs->vrs_sregs[VCPU_REGS_CS].vsi_ar;

	if (long_mode(cpu) && (ar & AR_L))
		return INSN_MODE_64;
	return ar & AR_DB ? INSN_MODE_32 : INSN_MODE_16;
}

uint64_t guest_linear(const struct guest_cpu *cpu, unsigned int seg, uint64_t offset)
{
	uint64_t base = cpu->regs->vrs_sregs[seg].vsi_base;

	if (guest_mode(cpu) != INSN_MODE_64)
		return (uint32_t)(base + offset);
	return seg == VCPU_REGS_FS || seg == VCPU_REGS_GS ? base + offset : offset;
}

static struct paging paging(const struct guest_cpu *cpu)
{
	uint64_t cr4 = cpu->regs->vrs_crs[VCPU_REGS_CR4];

	if (!(cpu->regs->vrs_crs[VCPU_REGS_CR0] & CR0_PG))
		return (struct paging){ 0, 0, 0 };
	if (long_mode(cpu))
		return (struct paging){ cr4 & CR4_LA57 ? 5 : 4, 9, 8 };
	if (cr4 & CR4_PAE)
		return (struct paging){ 3, 9, 8 };
	return (struct paging){ 2, 10, 4 };
}

static uint64_t entry_read(const uint8_t *at, unsigned int bytes)
{
	uint64_t v = 0;

	memcpy(&v, at, bytes);
	return v;
}

/* Is the entry at @level (1: the last) a page? */
static bool is_page(const struct guest_cpu *cpu, const struct paging *p, unsigned int level,
		    uint64_t pte)
{
	if (level == 1)
		return true;
	if (!(pte & PTE_PS) || level > 3)
		return false;
	if (p->levels == 2)
		return cpu->regs->vrs_crs[VCPU_REGS_CR4] & CR4_PSE;
	return level == 2 || p->levels >= 4;
}

/* The page's address; 4 MiB pages have bits 32 to 39 in bits 13 to 20 (SDM 3A 4.3). */
static uint64_t page_base(const struct paging *p, unsigned int level, uint64_t pte,
			  uint64_t page_size)
{
	if (p->levels == 2 && level == 2)
		return (pte & 0xffc00000u) | (pte >> 13 & 0xff) << 32;
	return pte & PTE_ADDRESS & ~(page_size - 1);
}

/* The rights that all levels agree on: user pages by anyone, writes by the rules of CR0.WP. */
static bool allowed(const struct guest_cpu *cpu, uint64_t rights, bool write)
{
	bool user = (cpu->regs->vrs_sregs[VCPU_REGS_SS].vsi_ar >> AR_DPL_SHIFT & 3) == 3;

	if (user && !(rights & PTE_U))
		return false;
	return !write || (rights & PTE_W) ||
	       (!user && !(cpu->regs->vrs_crs[VCPU_REGS_CR0] & CR0_WP));
}

bool guest_translate(const struct guest_cpu *cpu, uint64_t linear, bool write, uint64_t *gpa)
{
	const struct paging p = paging(cpu);
	uint64_t table, pte, page_size, rights = PTE_W | PTE_U;
	uint8_t *at[5];
	unsigned int level, shift, i, depth = 0;
	bool pae = p.levels == 3;

	if (p.levels == 0) {
		*gpa = linear;
		return true;
	}
	table = cpu->regs->vrs_crs[VCPU_REGS_CR3] & (pae ? 0xffffffe0u : PTE_ADDRESS);
	if (p.levels == 2)
		table &= UINT32_MAX;
	for (level = p.levels;; level--) {
		shift = 12 + (level - 1) * p.bits;
		at[depth] = ram_at(cpu->ram, table + (linear >> shift & ((1u << p.bits) - 1)) *
				   p.entry, p.entry);
		if (!at[depth])
			return false;	/* ones: reserved bits are set */
		pte = entry_read(at[depth], p.entry);
		if (!(pte & PTE_P))
			return false;
		/* The four top entries of PAE paging have no rights and no accessed bit. */
		if (!(pae && level == 3)) {
			rights &= pte;
			depth++;
		}
		if (is_page(cpu, &p, level, pte))
			break;
		table = pte & PTE_ADDRESS;
	}
	if (!allowed(cpu, rights, write))
		return false;
	for (i = 0; i < depth; i++)
		*at[i] |= PTE_A;
	if (write)
		*at[depth - 1] |= PTE_D;
	page_size = 1ULL << shift;
	*gpa = page_base(&p, level, pte, page_size) | (linear & (page_size - 1));
	return true;
}

size_t guest_code(const struct guest_cpu *cpu, uint8_t *code, size_t n)
{
	uint64_t rip = cpu->regs->vrs_gprs[VCPU_REGS_RIP], linear, gpa;
	size_t have = 0, len;
	const uint8_t *at;

	while (have < n) {
		linear = guest_linear(cpu, VCPU_REGS_CS, rip + have);
		len = PAGE - (linear & (PAGE - 1));
		if (len > n - have)
			len = n - have;
		if (!guest_translate(cpu, linear, false, &gpa))
			break;
		at = ram_at(cpu->ram, gpa, len);
		if (!at)
			break;
		memcpy(code + have, at, len);
		have += len;
	}
	return have;
}
