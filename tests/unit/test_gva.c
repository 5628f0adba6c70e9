/* SPDX-License-Identifier: ISC */
/*
 * The walk of the guest's page tables, and segmentation, against a model that
 * is written from the manuals' tables rather than as a walk: SDM 3A 4.6.1 for
 * the rights, 4.7 for the error code, figures 4-4 to 4-11 for reserved bits.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend.h"
#include "cpuid_guest.h"
#include "gva.h"
#include "memory.h"

/* --- A guest of 16 pages ----------------------------------------------------- */

#define PAGES	16
static uint8_t ram[PAGES * 4096];
static struct vm vm;
static struct vcpu vcpu = { .vm = &vm };
static struct guest_mode mode;
static struct vcpu_segment_info segs[SREG_COUNT];
static unsigned int phys_bits;
static bool page1gb;
/* Runs in place of the next compare-and-exchange. */
static int (*on_cmpxchg)(uint64_t gpa, uint64_t *old);

static void
fake_mode(struct vcpu *v, struct guest_mode *m)
{
	(void)v;
	*m = mode;
}

static void
fake_seg_get(struct vcpu *v, enum sreg s, struct vcpu_segment_info *seg)
{
	(void)v;
	*seg = segs[s];
}

static const struct backend fake_backend = { .mode = fake_mode, .seg_get = fake_seg_get };

const struct backend *vmm_backend_found = &fake_backend;

unsigned int
cpuid_guest_phys_bits(void)
{
	return phys_bits;
}

bool
cpuid_guest_has(enum cpuid_feature f)
{
	return f == CPUID_FEATURE_PAGE1GB && page1gb;
}

const struct vm_range *
memory_range(const struct vm *m, uint64_t gpa)
{
	static const struct vm_range range;

	(void)m;
	return gpa < sizeof(ram) ? &range : NULL;
}

static bool
in_ram(uint64_t gpa, size_t len)
{
	return gpa < sizeof(ram) && len <= sizeof(ram) - gpa;
}

int
memory_read(struct vcpu *m, uint64_t gpa, void *buf, size_t len)
{
	(void)m;
	if (!in_ram(gpa, len))
		return -EFAULT;
	memcpy(buf, ram + gpa, len);
	return 0;
}

int
memory_place(const struct vm *m, uint64_t gpa, unsigned int access, uint64_t *addr)
{
	(void)m;
	(void)access;
	if (!in_ram(gpa, 1))
		return -EFAULT;
	*addr = (uint64_t)(uintptr_t)(ram + gpa);
	return 0;
}

int
memory_get_waiting(struct vcpu *m, void *to, uint64_t addr, size_t len)
{
	(void)m;
	return host_copy_in_few(to, addr, len);
}

int
memory_write(struct vcpu *m, uint64_t gpa, const void *buf, size_t len)
{
	(void)m;
	if (!in_ram(gpa, len))
		return -EFAULT;
	memcpy(ram + gpa, buf, len);
	return 0;
}

int
memory_cmpxchg(struct vcpu *m, uint64_t gpa, unsigned int size, uint64_t *old, uint64_t new)
{
	uint64_t now = 0;

	(void)m;
	if (!in_ram(gpa, size) || gpa % size != 0)
		return -EFAULT;
	if (on_cmpxchg != NULL) {
		int r = on_cmpxchg(gpa, old);

		if (r != 0)
			return r;
	}
	memcpy(&now, ram + gpa, size);
	if (now != *old) {
		*old = now;
		return -EAGAIN;
	}
	memcpy(ram + gpa, &new, size);
	return 0;
}

static uint64_t seed = 0x2545f4914f6cdd1d;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void
setup(void)
{
	memset(ram, 0, sizeof(ram));
	memset(&mode, 0, sizeof(mode));
	memset(segs, 0, sizeof(segs));
	phys_bits = 40;
	page1gb = true;
	on_cmpxchg = NULL;
}

static int
translate(uint64_t gva, enum gva_access access, uint64_t *gpa, struct guest_fault *fault)
{
	return gva_translate(&vcpu, &mode, gva, access, gpa, NULL, fault);
}

/* --- The model --------------------------------------------------------------- */

enum flavour { F32, F32_PSE, FPAE, F4LEVEL, FLAVOURS };

#define P	0x001ULL
#define W	0x002ULL
#define U	0x004ULL
#define A	0x020ULL
#define D	0x040ULL
#define PS	0x080ULL
#define NX	0x8000000000000000ULL

/* entry[0] is the leaf's level, page table; entry[n - 1] what CR3 points to. */
struct tables {
	unsigned int n;
	uint64_t entry[4];
	uint64_t at[4];
};

struct verdict {
	bool	 ok;
	uint32_t error;
	uint64_t entry[4];	/* after the access */
	uint64_t gpa;
};

/* Must-be-zero bits for 40 bits of physical address, NX apart. */
static uint64_t
must_be_zero(enum flavour f, unsigned int level, bool large)
{
	if (f == F32 || f == F32_PSE)
		return large ? 0x00200000 : 0;
	if (f == FPAE)
		return level == 2 ? 0x7fffff00000001c6 :
		    large ? 0x7fffff00001fe000 : 0x7fffff0000000000;
	if (level == 3)
		return 0x000fff0000000080;
	if (large)
		return level == 2 ? 0x000fff003fffe000 : 0x000fff00001fe000;
	return 0x000fff0000000000;
}

static bool
is_large(enum flavour f, unsigned int level, uint64_t entry)
{
	return (entry & PS) != 0 && ((level == 1 && f != F32) || (level == 2 && f == F4LEVEL));
}

static bool
allowed(bool user_page, bool writable, bool nx, enum gva_access access)
{
	bool wp = mode.cr0 & ARCH_CR0_WP, ac = mode.rflags & ARCH_RFLAGS_AC;
	bool smap = mode.cr4 & ARCH_CR4_SMAP, smep = mode.cr4 & ARCH_CR4_SMEP;

	if (mode.cpl == 3)
		return user_page && (access == GVA_READ || (access == GVA_WRITE && writable) ||
		    (access == GVA_FETCH && !nx));
	if (access == GVA_FETCH)
		return !nx && !(user_page && smep);
	if (user_page && smap && !ac)
		return false;
	return access == GVA_READ || writable || !wp;
}

static struct verdict
judge(enum flavour f, const struct tables *t, uint64_t gva, enum gva_access access)
{
	static const unsigned int shift[2][4] = { { 12, 22 }, { 12, 21, 30, 39 } };
	bool nxe = (mode.efer & ARCH_EFER_NXE) != 0, wide = f >= FPAE;
	bool user = true, writable = true, nx = false, large = false;
	struct verdict r = { 0 };
	unsigned int level, i;
	uint64_t zero, size;

	if (access == GVA_WRITE)
		r.error |= 2;
	if (mode.cpl == 3)
		r.error |= 4;
	if (access == GVA_FETCH && ((wide && nxe) || (mode.cr4 & ARCH_CR4_SMEP)))
		r.error |= 16;
	memcpy(r.entry, t->entry, sizeof(r.entry));
	for (level = t->n - 1;; level--) {
		uint64_t e = t->entry[level];

		large = is_large(f, level, e);
		zero = must_be_zero(f, level, large);
		if (wide && (!nxe || (f == FPAE && level == 2)))
			zero |= NX;
		if (!(e & P))
			return r;
		if (e & zero) {
			r.error |= 1 | 8;
			return r;
		}
		if (level == 0 || large)
			break;
		if (!(f == FPAE && level == 2))
			r.entry[level] |= A;
	}
	for (i = level; i < t->n; i++) {
		if (f == FPAE && i == 2)
			continue;
		user = user && (t->entry[i] & U);
		writable = writable && (t->entry[i] & W);
		nx = nx || (wide && (t->entry[i] & NX));
	}
	if (!allowed(user, writable, nx, access)) {
		r.error |= 1;
		return r;
	}
	r.ok = true;
	r.entry[level] |= A | (access == GVA_WRITE ? D : 0);
	size = 1ULL << shift[wide][level];
	r.gpa = (t->entry[level] & 0x000000fffffff000 & ~(size - 1)) | (gva & (size - 1));
	if (!wide) {
		r.gpa &= 0xffffffff;
		if (large)	/* PSE-36 */
			r.gpa |= (t->entry[level] >> 13 & 0xff) << 32;
	}
	return r;
}

/* --- The matrix ---------------------------------------------------------------- */

static unsigned long walks, faults;

static void
put_entry(enum flavour f, uint64_t at, uint64_t entry)
{
	memcpy(ram + at, &entry, f >= FPAE ? 8 : 4);
}

static uint64_t
get_entry(enum flavour f, uint64_t at)
{
	uint64_t e = 0;

	memcpy(&e, ram + at, f >= FPAE ? 8 : 4);
	return e;
}

/* A table's entry for each level; its address part leads to the next table. */
static void
lay_out(enum flavour f, struct tables *t, uint64_t gva)
{
	static const unsigned int levels[] = { 2, 2, 3, 4 };
	bool wide = f >= FPAE;
	unsigned int i, bits = wide ? 9 : 10;

	memset(t, 0, sizeof(*t));
	t->n = levels[f];
	for (i = 0; i < t->n; i++) {
		uint64_t table = (1 + i) * 4096, index = gva >> (12 + i * bits);

		if (f == FPAE && i == 2)
			table += 0x7e0;	/* 32-byte alignment is enough */
		t->at[i] = table + (index & ((1u << bits) - 1) & (f == FPAE && i == 2 ? 3 : ~0u)) *
		    (wide ? 8 : 4);
		t->entry[i] = i == 0 ? 0x8000 : i * 4096;
	}
	mode.cr0 |= ARCH_CR0_PG | ARCH_CR0_PE;
	mode.cr3 = t->n * 4096 + (f == FPAE ? 0x7e0 : 0);
	mode.cr4 &= ~(uint64_t)(ARCH_CR4_PAE | ARCH_CR4_PSE);
	mode.cr4 |= f == F32_PSE ? ARCH_CR4_PSE : wide ? ARCH_CR4_PAE : 0;
	mode.efer &= ~(uint64_t)ARCH_EFER_LMA;
	mode.efer |= f == F4LEVEL ? ARCH_EFER_LMA : 0;
	mode.code64 = f == F4LEVEL;
	mode.code32 = f != F4LEVEL;
}

static void
controls(unsigned int c)
{
	mode.cr0 = c & 1 ? ARCH_CR0_WP : 0;
	mode.cr4 = (c & 2 ? ARCH_CR4_SMEP : 0) | (c & 4 ? ARCH_CR4_SMAP : 0);
	mode.efer = c & 8 ? ARCH_EFER_NXE : 0;
	mode.rflags = c & 16 ? ARCH_RFLAGS_AC : 0;
	mode.cpl = c & 32 ? 3 : 0;
}

#define CONTROLS	64

static void
check_walk(enum flavour f, const struct tables *t, uint64_t gva, enum gva_access access)
{
	struct verdict want = judge(f, t, gva, access);
	struct guest_fault fault = { 0 };
	uint64_t gpa = ~0ULL;
	unsigned int i;
	bool same;
	int r;

	for (i = 0; i < t->n; i++)
		put_entry(f, t->at[i], t->entry[i]);
	r = translate(gva, access, &gpa, &fault);
	walks++;
	faults += r != 0;
	if (want.ok)
		same = r == 0 && gpa == want.gpa;
	else
		same = r == GVA_FAULT && fault.vector == 14 && fault.has_error &&
		    fault.error == want.error && fault.has_cr2 && fault.cr2 == gva;
	for (i = 0; i < t->n; i++)
		same = same && get_entry(f, t->at[i]) == want.entry[i];
	if (same)
		return;
	ck_abort_msg("flavour %d gva %lx access %d cr0 %lx cr4 %lx efer %lx rflags %lx cpl %d "
	    "entries %lx %lx %lx %lx: %d gpa %lx error %x cr2 %lx, expected ok %d gpa %lx error %x",
	    f, gva, access, mode.cr0, mode.cr4, mode.efer, mode.rflags, mode.cpl, t->entry[0],
	    t->entry[1], t->entry[2], t->entry[3], r, gpa, fault.error, fault.cr2, want.ok,
	    want.gpa, want.error);
}

/* Every combination of a page's bits with its table's rights. */
START_TEST(page_and_table_bits)
{
	static const uint64_t page_bits[] = { P, W, U, A, D, NX, 1ULL << 51 };
	static const uint64_t table_bits[] = { P, W, U, NX };
	enum flavour f = _i;
	unsigned int c, i, k, access, width = f >= FPAE ? 7 : 5, twidth = f >= FPAE ? 4 : 3;
	uint64_t gva = 0x40c0d678;
	struct tables t;

	for (c = 0; c < CONTROLS; c++)
		for (i = 0; i < 1u << (width + twidth); i++) {
			controls(c);
			lay_out(f, &t, gva);
			for (k = 0; k < width; k++)
				t.entry[0] |= i >> k & 1 ? page_bits[k] : 0;
			for (k = 0; k < twidth; k++)
				t.entry[1] |= i >> (width + k) & 1 ? table_bits[k] : 0;
			if (t.n > 2)
				t.entry[2] |= f == FPAE ? P : P | W | U;
			if (t.n > 3)
				t.entry[3] |= P | W | U;
			for (access = GVA_READ; access <= GVA_FETCH; access++)
				check_walk(f, &t, gva, access);
		}
	printf("# %lu walks, %lu faults\n", walks, faults);
}
END_TEST

/* The same for large pages, 2 or 4 MiB, and 1 GiB. */
START_TEST(large_page_bits)
{
	static const uint64_t bits[] = { P, W, U, A, D, NX, 1ULL << 51, 1ULL << 21, 1ULL << 13,
		1ULL << 12 };
	enum flavour f = _i;
	unsigned int c, i, k, access, level;
	uint64_t gva = 0x40f0d678;
	struct tables t;

	for (level = 1; level <= (f == F4LEVEL ? 2u : 1u); level++)
		for (c = 0; c < CONTROLS; c++)
			for (i = 0; i < 1u << 10; i++) {
				controls(c);
				lay_out(f, &t, gva);
				t.entry[0] = P;
				t.entry[level] = PS | (level == 2 ? 0x80000000 : 0x40000000);
				for (k = 0; k < 10; k++)
					t.entry[level] |= i >> k & 1 ? bits[k] : 0;
				if (f < FPAE)
					t.entry[1] &= 0xffffffff;
				if (level == 1 && t.n > 2)
					t.entry[2] |= f == FPAE ? P : P | W | U;
				if (t.n > 3)
					t.entry[3] |= P | W | U;
				for (access = GVA_READ; access <= GVA_FETCH; access++)
					check_walk(f, &t, gva, access);
			}
	printf("# %lu walks, %lu faults\n", walks, faults);
}
END_TEST

/* Any bits at any level that do not lead the walk elsewhere. */
START_TEST(random_entries)
{
	enum flavour f = _i;
	unsigned int i, k;
	struct tables t;

	for (i = 0; i < 200000; i++) {
		uint64_t gva = rnd();

		gva = f == F4LEVEL ? (uint64_t)((int64_t)(gva << 16) >> 16) : (uint32_t)gva;
		controls(rnd());
		lay_out(f, &t, gva);
		for (k = 0; k < t.n; k++) {
			uint64_t r = rnd(), noise;

			/* Mostly sound entries, or few walks would get far. */
			t.entry[k] |= r & 7 ? P : 0;
			t.entry[k] |= r & 0x18 ? W : 0;
			t.entry[k] |= r & 0x60 ? U : 0;
			t.entry[k] |= r >> 7 & (A | D);
			t.entry[k] |= (r >> 20 & 15) == 0 ? PS : 0;
			t.entry[k] |= (r >> 23 & 3) == 0 ? NX : 0;
			noise = 0xf18;		/* PWT, PCD, G, AVL */
			if (f == F4LEVEL)
				noise |= 0x7ff0000000000000;
			if ((r >> 26 & 63) == 0)
				noise |= must_be_zero(f, k, is_large(f, k, t.entry[k]));
			t.entry[k] |= rnd() & noise & rnd();
			if (f == FPAE && k == 2 && r >> 32 & 3)
				t.entry[k] &= ~must_be_zero(f, k, false) & ~NX;
			if (f < FPAE)
				t.entry[k] &= 0xffffffff;
		}
		check_walk(f, &t, gva, rnd() % 3);
	}
	printf("# %lu walks, %lu faults\n", walks, faults);
	ck_assert_uint_gt(faults, walks / 10);
	ck_assert_uint_lt(faults, walks / 10 * 9);
}
END_TEST

/* Reserved address bits follow the width of physical addresses. */
START_TEST(physical_address_width)
{
	uint64_t gva = 0x40c0d678, gpa;
	struct guest_fault fault;
	struct tables t;
	unsigned int width, bit, i;

	for (width = 36; width <= 52; width += 4)
		for (bit = 30; bit < 52; bit++) {
			phys_bits = width;
			controls(0);
			lay_out(F4LEVEL, &t, gva);
			for (i = 0; i < 4; i++)
				put_entry(F4LEVEL, t.at[i], t.entry[i] | P | (i ? 0 : 1ULL << bit));
			ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault),
			    bit >= width ? GVA_FAULT : 0);
			if (bit >= width)
				ck_assert_uint_eq(fault.error, 9);
			else
				ck_assert_uint_eq(gpa, (1ULL << bit) | 0x8678);
			/* PSE-36: bit 13 + n of the entry is address bit 32 + n. */
			if (bit < 32 || bit >= 40)
				continue;
			lay_out(F32_PSE, &t, gva);
			put_entry(F32_PSE, t.at[1], P | PS | 1ULL << (bit - 32 + 13));
			ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault),
			    bit >= width ? GVA_FAULT : 0);
			if (bit < width)
				ck_assert_uint_eq(gpa, (1ULL << bit) | 0x00d678);
		}
}
END_TEST

/* Without 1 GiB pages in CPUID the bit is reserved. */
START_TEST(gigabyte_pages_by_cpuid)
{
	uint64_t gva = 0x40c0d678, gpa;
	struct guest_fault fault;
	struct tables t;

	lay_out(F4LEVEL, &t, gva);
	put_entry(F4LEVEL, t.at[3], t.entry[3] | P);
	put_entry(F4LEVEL, t.at[2], P | PS);
	ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault), 0);
	ck_assert_uint_eq(gpa, 0xc0d678);
	page1gb = false;
	ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault), GVA_FAULT);
	ck_assert_uint_eq(fault.error, 9);
}
END_TEST

START_TEST(no_paging)
{
	struct guest_fault fault;
	uint64_t gpa;

	ck_assert_int_eq(translate(0x123456789, GVA_WRITE, &gpa, &fault), 0);
	ck_assert_uint_eq(gpa, 0x23456789);
}
END_TEST

/* --- Tables that are not there, or change ------------------------------------------ */

START_TEST(table_outside_memory)
{
	uint64_t gva = 0x40c0d678, gpa;
	struct guest_fault fault;
	struct tables t;

	lay_out(F4LEVEL, &t, gva);
	put_entry(F4LEVEL, t.at[3], 0x100000000 | P);
	ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault), -EFAULT);
	mode.cr3 = 0x100000000;
	ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault), -EFAULT);
}
END_TEST

static struct tables changing;
static unsigned int changes;

static int
clear_present_once(uint64_t gpa, uint64_t *old)
{
	(void)old;
	if (gpa != changing.at[0])
		return 0;
	changes++;
	put_entry(F4LEVEL, gpa, 0);
	on_cmpxchg = NULL;
	return -EAGAIN;
}

static int
always_changing(uint64_t gpa, uint64_t *old)
{
	(void)gpa;
	(void)old;
	changes++;
	return -EAGAIN;
}

/* Another vCPU unmaps the page just before the accessed bit is set. */
START_TEST(entry_changes_under_the_walk)
{
	uint64_t gva = 0x40c0d678, gpa;
	struct guest_fault fault;
	unsigned int i;

	lay_out(F4LEVEL, &changing, gva);
	for (i = 0; i < 4; i++)
		put_entry(F4LEVEL, changing.at[i], changing.entry[i] | P);
	changes = 0;
	on_cmpxchg = clear_present_once;
	ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault), GVA_FAULT);
	ck_assert_uint_eq(changes, 1);
	ck_assert_uint_eq(fault.error, 0);
	ck_assert_uint_eq(get_entry(F4LEVEL, changing.at[0]), 0);

	put_entry(F4LEVEL, changing.at[0], changing.entry[0] | P);
	on_cmpxchg = always_changing;
	ck_assert_int_eq(translate(gva, GVA_READ, &gpa, &fault), -EFAULT);
	ck_assert_uint_lt(changes, 1000);
}
END_TEST

/* --- Reads and writes across pages --------------------------------------------------- */

/* Linear pages 0 and 1 of an identity map go to pages 8 and 10. */
static void
two_pages(uint64_t first, uint64_t second)
{
	struct tables t;
	unsigned int i;

	lay_out(F4LEVEL, &t, 0);
	for (i = 1; i < 4; i++)
		put_entry(F4LEVEL, t.at[i], t.entry[i] | P | W | U);
	put_entry(F4LEVEL, t.at[0], first);
	put_entry(F4LEVEL, t.at[0] + 8, second);
}

START_TEST(crossing_pages)
{
	struct guest_fault fault;
	uint8_t buf[15], i;
	unsigned int off;

	two_pages(0x8000 | P | W, 0xa000 | P | W);
	for (off = 4096 - 16; off <= 4096; off++) {
		for (i = 0; i < 15; i++)
			buf[i] = off + i;
		ck_assert_int_eq(gva_write(&vcpu, off, buf, 15, &fault), 0);
		for (i = 0; i < 15; i++) {
			unsigned int at = off + i;

			ck_assert_uint_eq(ram[at < 4096 ? 0x8000 + at : 0xa000 + at - 4096],
			    (uint8_t)(off + i));
		}
		memset(buf, 0, sizeof(buf));
		ck_assert_int_eq(gva_read(&vcpu, off, buf, 15, GVA_READ, &fault), 0);
		for (i = 0; i < 15; i++)
			ck_assert_uint_eq(buf[i], (uint8_t)(off + i));
	}
}
END_TEST

/* The second page is missing: CR2 points to it, the first keeps its bytes. */
START_TEST(second_page_faults)
{
	static const uint8_t zero[8];
	struct guest_fault fault;
	uint64_t data = ~0ULL;

	two_pages(0x8000 | P | W, 0xa000);
	ck_assert_int_eq(gva_write(&vcpu, 4092, &data, 8, &fault), GVA_FAULT);
	ck_assert_uint_eq(fault.cr2, 4096);
	ck_assert_uint_eq(fault.error, 2);
	ck_assert_mem_eq(ram + 0x8ffc, zero, 4);
	ck_assert_int_eq(gva_probe(&vcpu, 4092, 8, GVA_WRITE, &fault), GVA_FAULT);
	ck_assert_int_eq(gva_read(&vcpu, 4092, &data, 8, GVA_READ, &fault), GVA_FAULT);
	ck_assert_uint_eq(fault.cr2, 4096);
	/* What ends with the page does not look at the next. */
	ck_assert_int_eq(gva_write(&vcpu, 4088, &data, 8, &fault), 0);
	ck_assert_int_eq(gva_probe(&vcpu, 4088, 8, GVA_WRITE, &fault), 0);
}
END_TEST

START_TEST(probe_wants_memory)
{
	struct guest_fault fault;

	two_pages(0x8000 | P | W, 0x100000000 | P | W);
	ck_assert_int_eq(gva_probe(&vcpu, 4090, 4, GVA_WRITE, &fault), 0);
	ck_assert_int_eq(gva_probe(&vcpu, 4094, 4, GVA_WRITE, &fault), -EFAULT);
}
END_TEST

/* The end of the linear address space: 32 bits wrap, 64 leave canonical form. */
START_TEST(end_of_address_space)
{
	struct guest_fault fault;
	uint32_t data = 0x44332211, back = 0;
	uint64_t gpa;

	ram[0] = 0x33;
	ram[1] = 0x44;
	ck_assert_int_eq(gva_read(&vcpu, 0xfffffffe, &data, 4, GVA_READ, &fault), -EFAULT);
	ck_assert_int_eq(gva_read(&vcpu, 0x100000000, &back, 2, GVA_READ, &fault), 0);
	ck_assert_uint_eq(back, 0x4433);
	mode.code64 = true;
	ck_assert_int_eq(translate(0x800000000000, GVA_READ, &gpa, &fault), GVA_FAULT);
	ck_assert_uint_eq(fault.vector, 13);
	ck_assert_uint_eq(fault.error, 0);
	ck_assert(!fault.has_cr2);
}
END_TEST

/* --- Segmentation ----------------------------------------------------------------------- */

static void
check_linear(enum sreg seg, uint64_t offset, size_t len, enum gva_access access, int vector,
    uint64_t want)
{
	struct guest_fault fault = { 0 };
	uint64_t gva = ~0ULL;
	int r = gva_linear(&vcpu, &mode, seg, offset, len, access, &gva, &fault);

	if (vector >= 0) {
		ck_assert_msg(r == GVA_FAULT && fault.vector == vector && fault.has_error &&
		    fault.error == 0 && !fault.has_cr2,
		    "seg %d offset %lx len %zu access %d ar %x limit %x: %d vector %d, expected %d",
		    seg, offset, len, access, segs[seg].vsi_ar, segs[seg].vsi_limit, r,
		    fault.vector, vector);
		return;
	}
	ck_assert_msg(r == 0 && gva == want,
	    "seg %d offset %lx len %zu access %d ar %x limit %x: %d %lx, expected %lx",
	    seg, offset, len, access, segs[seg].vsi_ar, segs[seg].vsi_limit, r, gva, want);
}

/* Types by SDM 3A table 3-1, limits on both sides of both kinds of segment. */
START_TEST(types_and_limits)
{
	static const uint32_t limits[] = { 0, 0xff, 0xfffe, 0xffff, 0x12345678, 0xfffffffe,
		0xffffffff };
	static const size_t lens[] = { 1, 2, 4, 15 };
	unsigned int type, db, l, i, access, vm86;
	enum sreg seg;
	int64_t delta;

	for (type = 0; type < 16; type++)
	for (db = 0; db < 2; db++)
	for (l = 0; l < sizeof(limits) / sizeof(limits[0]); l++)
	for (i = 0; i < 4; i++)
	for (access = GVA_READ; access <= GVA_FETCH; access++)
	for (vm86 = 0; vm86 < 3; vm86++)
	for (seg = SREG_DS; seg <= SREG_SS; seg += SREG_SS - SREG_DS)
	for (delta = -20; delta <= 20; delta++) {
		uint64_t offset = (uint32_t)(limits[l] + delta), end = offset + lens[i];
		bool code = type >= 8, rw = type & 2, down = !code && (type & 4);
		bool types, ok;

		segs[seg] = (struct vcpu_segment_info){ .vsi_base = 0x10000,
			.vsi_limit = limits[l], .vsi_ar = 0x90 | type | (db ? 0x4000 : 0) };
		mode.cr0 = vm86 == 2 ? 0 : ARCH_CR0_PE;
		mode.rflags = vm86 == 1 ? ARCH_RFLAGS_VM : 0;
		types = vm86 != 0 || access == GVA_FETCH || (access == GVA_READ ? !code || rw :
		    !code && rw);
		ok = types && (down ? offset > limits[l] && end <= (db ? 0x100000000 : 0x10000) :
		    end <= limits[l] + 1ULL);
		check_linear(seg, offset, lens[i], access, ok ? -1 : seg == SREG_SS ? 12 : 13,
		    (uint32_t)(offset + 0x10000));
	}
}
END_TEST

START_TEST(null_and_wrapping_segments)
{
	mode.cr0 = ARCH_CR0_PE;
	segs[SREG_ES] = (struct vcpu_segment_info){ .vsi_limit = ~0u,
		.vsi_ar = 0x93 | ARCH_AR_UNUSABLE };
	check_linear(SREG_ES, 0, 1, GVA_READ, 13, 0);
	segs[SREG_ES] = (struct vcpu_segment_info){ .vsi_limit = ~0u, .vsi_base = 0xfffff000,
		.vsi_ar = 0xc093 };
	check_linear(SREG_ES, 0x1fff, 4, GVA_READ, -1, 0xfff);
	/* Offsets have 32 bits outside 64-bit mode. */
	check_linear(SREG_ES, 0x700001fff, 4, GVA_READ, -1, 0xfff);
}
END_TEST

START_TEST(long_mode_segments)
{
	enum sreg seg;

	mode.cr0 = ARCH_CR0_PE | ARCH_CR0_PG;
	mode.code64 = true;
	for (seg = SREG_CS; seg <= SREG_SS; seg++) {
		bool based = seg == SREG_FS || seg == SREG_GS;
		int vector = seg == SREG_SS ? 12 : 13;
		uint64_t base = based ? 0xffff800000001000 : 0;

		/* Neither limit nor type nor null counts. */
		segs[seg] = (struct vcpu_segment_info){ .vsi_base = 0xffff800000001000,
			.vsi_ar = ARCH_AR_UNUSABLE };
		check_linear(seg, 0x5000, 8, GVA_WRITE, -1, base + 0x5000);
		segs[seg].vsi_base = 0;
		check_linear(seg, 0x7ffffffffff8, 8, GVA_READ, -1, 0x7ffffffffff8);
		check_linear(seg, 0x7ffffffffff9, 8, GVA_READ, vector, 0);
		check_linear(seg, 0x800000000000, 1, GVA_READ, vector, 0);
		check_linear(seg, 0xffff7fffffffffff, 1, GVA_READ, vector, 0);
		check_linear(seg, 0xffff800000000000, 1, GVA_READ, -1, 0xffff800000000000);
	}
}
END_TEST

START_TEST(alignment_check)
{
	unsigned int c, off;
	size_t len;

	for (c = 0; c < 8; c++)
		for (len = 1; len <= 4; len *= 2)
			for (off = 0; off < 8; off++) {
				bool on = c == 7 && off % len != 0;

				mode.cr0 = ARCH_CR0_PE | (c & 1 ? ARCH_CR0_AM : 0);
				mode.rflags = c & 2 ? ARCH_RFLAGS_AC : 0;
				mode.cpl = c & 4 ? 3 : 0;
				segs[SREG_DS] = (struct vcpu_segment_info){ .vsi_limit = ~0u,
					.vsi_ar = 0xc0f3 };
				segs[SREG_CS] = (struct vcpu_segment_info){ .vsi_limit = ~0u,
					.vsi_ar = 0xc0fb };
				check_linear(SREG_DS, off, len, GVA_READ, on ? 17 : -1, off);
				check_linear(SREG_DS, off, len, GVA_WRITE, on ? 17 : -1, off);
				check_linear(SREG_CS, off, len, GVA_FETCH, -1, off);
			}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("gva");
	TCase *tc = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, page_and_table_bits, 0, FLAVOURS);
	tcase_add_loop_test(tc, large_page_bits, F32_PSE, FLAVOURS);
	tcase_add_loop_test(tc, random_entries, 0, FLAVOURS);
	tcase_add_test(tc, physical_address_width);
	tcase_add_test(tc, gigabyte_pages_by_cpuid);
	tcase_add_test(tc, no_paging);
	tcase_add_test(tc, table_outside_memory);
	tcase_add_test(tc, entry_changes_under_the_walk);
	tcase_add_test(tc, crossing_pages);
	tcase_add_test(tc, second_page_faults);
	tcase_add_test(tc, probe_wants_memory);
	tcase_add_test(tc, end_of_address_space);
	suite_add_tcase(suite, tc);
	tc = tcase_create("segments");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, types_and_limits);
	tcase_add_test(tc, null_and_wrapping_segments);
	tcase_add_test(tc, long_mode_segments);
	tcase_add_test(tc, alignment_check);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
