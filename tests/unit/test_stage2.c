/* SPDX-License-Identifier: ISC */
/*
 * test_stage2.c - the second-stage walker against a model that knows of each
 * 4 KiB page what it maps to, and against a walk as a CPU does it.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "arch.h"
#include "host_user.h"
#include "stage2.h"
#include "sync.h"

#define GIB		(1ULL << 30)
#define PAGES_2M	512u
#define PAGES_1G	(512u * 512u)

/*
 * The formats once more, by hand from the manuals: APM 2 15.25.5 (a nested
 * access is a user access) and SDM 3C 29.3.2.
 */
static const struct stage2_format npt = {
	.name = "npt",
	.table = 0x1 | 0x2 | 0x4 | 0x20,	/* P, W, U, A: the CPU writes nothing */
	.leaf = 0x1 | 0x4 | 0x20 | 0x40,	/* P, U, A, D */
	.large = 0x80,
	.present = 0x1,
	.w = 0x2,
	.nx = 1ULL << 63,
	.accessed = 0x20,
	.address = 0x000ffffffffff000,
};
static const struct stage2_format ept = {
	.name = "ept",
	.table = 0x107,			/* R, W, X, A */
	.leaf = 6 << 3 | 0x300,		/* write-back, A, D */
	.accessed = 0x100,
	.large = 0x80,
	.present = 0x7,
	.r = 0x1,
	.w = 0x2,
	.x = 0x4,
	.address = 0x000ffffffffff000,
};
static const struct stage2_format *const formats[] = { &npt, &ept };

/* For loops: ck_assert*() writes a line to a file each time it passes. */
#define expect(cond)	do { if (!(cond)) ck_abort_msg("%s", #cond); } while (0)

static void
setup(void)
{
	host_user_reset();
}

static struct stage2_cache
cache_of(unsigned int n)
{
	struct stage2_cache c = { .n = 0 };

	while (c.n < n)
		c.page[c.n++] = host_page_alloc(0);
	return c;
}

/* Map with as many table pages as it takes. */
static bool
map(struct stage2 *s, uint64_t gpa, uint64_t pa, enum stage2_level level,
    unsigned int prot)
{
	struct stage2_cache c = cache_of(3);
	bool flush = false;

	expect(stage2_map(s, gpa, pa, level, prot, &c, &flush) == 0);
	stage2_cache_drain(&c);
	return flush;
}

/* --- A look at the raw tables --------------------------------------------- */

struct audit {
	const struct stage2_format *f;
	uint64_t tables, resident;
	/* Sees what each entry of the lowest tables maps, 0: nothing. */
	void	(*entry)(uint64_t gpa, uint64_t e, unsigned int level);
};

static unsigned int
audit_table(struct audit *a, const uint64_t *table, unsigned int level,
    uint64_t gpa)
{
	const uint64_t size = 4096ULL << 9 * level;
	unsigned int used = 0;

	a->tables++;
	for (unsigned int i = 0; i < 512; i++, gpa += size) {
		uint64_t e = table[i];

		if (!(e & a->f->present)) {
			/* M19: nothing of a frame is left in an empty entry. */
			expect(e == 0);
			if (a->entry != NULL)
				a->entry(gpa, 0, level);
			continue;
		}
		used++;
		if (level == 0 || (level < 3 && (e & 0x80))) {
			/* Aligned to what it maps, with all that a leaf has. */
			if ((e & a->f->leaf) != a->f->leaf ||
			    (level == 0 && (e & 0x80)) ||
			    (e & a->f->address & (size - 1)))
				ck_abort_msg("leaf %#lx of level %u", e, level);
			a->resident += 1ULL << 9 * level;
			if (a->entry != NULL)
				a->entry(gpa, e, level);
		} else {
			expect((e & ~a->f->address) == a->f->table);
			expect(audit_table(a, host_pa_to_va(e &
			    a->f->address), level - 1, gpa) > 0);
		}
	}
	return used;
}

static void
audit_with(const struct stage2 *s,
    void (*entry)(uint64_t gpa, uint64_t e, unsigned int level))
{
	struct audit a = { .f = s->fmt, .entry = entry };

	audit_table(&a, s->root, 3, 0);
	expect(a.tables == s->tables);
	expect(a.resident == s->resident);
}

static void
audit(const struct stage2 *s)
{
	audit_with(s, NULL);
}

static unsigned int
entry_prot(const struct stage2_format *f, uint64_t e)
{
	bool x = f == &ept ? (e & 4) != 0 : !(e >> 63);

	return (e & 1) | (e & 2) | (unsigned int)x << 2;
}

/* A walk as the CPU does it; 0: not mapped, otherwise pa | prot. */
static uint64_t
cpu_walk(const struct stage2 *s, uint64_t gpa)
{
	const struct stage2_format *f = s->fmt;
	uint64_t *table = s->root;

	for (int level = 3; ; level--) {
		uint64_t size = 4096ULL << 9 * level;
		uint64_t e = sync_load_acquire(&table[gpa / size % 512]);

		if (!(e & f->present))
			return 0;
		if (level == 0 || (e & 0x80)) {
			/* SDM 3C 29.3.3.1: a leaf that CPUs refuse. */
			if (f == &ept && (e & 3) == 2)
				ck_abort_msg("EPT misconfiguration %#lx", e);
			return ((e & f->address & ~(size - 1)) |
			    (gpa & (size - 1) & ~4095ULL)) | entry_prot(f, e);
		}
		table = host_pa_to_va(e & f->address);
	}
}

/* --- Small steps ---------------------------------------------------------- */

START_TEST(entries_look_as_the_manual_says)
{
	struct stage2 s;
	struct stage2_mapping m;
	const uint64_t pa = 0x123456000;
	uint64_t *t;

	ck_assert_int_eq(stage2_init(&s, formats[_i]), 0);
	ck_assert(!map(&s, 0x1000, pa, STAGE2_4K, STAGE2_R));
	ck_assert(!map(&s, 0x2000, pa, STAGE2_4K, STAGE2_RWX));
	ck_assert(!map(&s, 2 << 20, 4 << 20, STAGE2_2M, STAGE2_R | STAGE2_X));
	ck_assert_uint_eq(s.tables, 4);
	ck_assert_uint_eq(s.resident, 2 + 512);
	t = host_pa_to_va(s.root[0] & 0xffffffffff000);
	t = host_pa_to_va(t[0] & 0xffffffffff000);
	if (formats[_i] == &npt) {
		ck_assert_uint_eq(t[1], 4 << 20 | 0xe5);
		t = host_pa_to_va(t[0] & 0xffffffffff000);
		ck_assert_uint_eq(t[1], pa | 0x65 | 1ULL << 63);
		ck_assert_uint_eq(t[2], pa | 0x67);
	} else {
		ck_assert_uint_eq(t[1], 4 << 20 | 0x3b5);
		t = host_pa_to_va(t[0] & 0xffffffffff000);
		ck_assert_uint_eq(t[1], pa | 0x331);
		ck_assert_uint_eq(t[2], pa | 0x337);
		/* Execute-only, and split from a large leaf. */
		ck_assert(map(&s, 0x2000, pa, STAGE2_4K, STAGE2_X));
		ck_assert_uint_eq(t[2], pa | 0x334);
		ck_assert(stage2_lookup(&s, 0x2000, &m));
		ck_assert_uint_eq(m.prot, STAGE2_X);
		ck_assert(!map(&s, 6 << 20, 4 << 20, STAGE2_2M, STAGE2_X));
		ck_assert(!map(&s, (6 << 20) + 0x1000, (4 << 20) + 0x1000,
		    STAGE2_4K, STAGE2_R | STAGE2_X));
		ck_assert_uint_eq(cpu_walk(&s, 6 << 20), 4 << 20 | STAGE2_X);
		ck_assert_uint_eq(cpu_walk(&s, (6 << 20) + 0x1000),
		    (4 << 20) + 0x1000 + (STAGE2_R | STAGE2_X));
		ck_assert(stage2_unmap(&s, 6 << 20, 2 << 20));
	}
	ck_assert(stage2_lookup(&s, 0x1fff, &m));
	ck_assert_uint_eq(m.pa, pa);
	ck_assert_uint_eq(m.prot, STAGE2_R);
	ck_assert_uint_eq(m.level, STAGE2_4K);
	ck_assert(stage2_lookup(&s, (2 << 20) + 0x3123, &m));
	ck_assert_uint_eq(m.pa, (4 << 20) + 0x3000);
	ck_assert_uint_eq(m.prot, STAGE2_R | STAGE2_X);
	ck_assert_uint_eq(m.level, STAGE2_2M);
	ck_assert(!stage2_lookup(&s, 0, &m));
	ck_assert(!stage2_lookup(&s, 0x3000, &m));
	stage2_fini(&s);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

START_TEST(generated_formats_agree_with_the_manual)
{
	const struct stage2_format *g = _i == 0 ? &arch_npt_format :
	    &arch_ept_format, *f = formats[_i];
	struct stage2 a, b;

	/* Same entries for every protection and level. */
	ck_assert_int_eq(stage2_init(&a, f), 0);
	ck_assert_int_eq(stage2_init(&b, g), 0);
	ck_assert_uint_eq(f->table, g->table);
	ck_assert_uint_eq(f->present, g->present);
	ck_assert_uint_eq(f->address, g->address);
	for (unsigned int prot = 1; prot <= 7; prot += 2)
		for (int level = 0; level < 3; level++) {
			uint64_t gpa = (uint64_t)level << 39;

			map(&a, gpa, 5 * GIB, (enum stage2_level)level, prot);
			map(&b, gpa, 5 * GIB, (enum stage2_level)level, prot);
			uint64_t *ta = a.root + level, *tb = b.root + level;

			for (int l = 3; l > level; l--) {
				ta = host_pa_to_va(*ta & f->address);
				tb = host_pa_to_va(*tb & f->address);
			}
			ck_assert_uint_eq(*ta, *tb);
		}
	stage2_fini(&a);
	stage2_fini(&b);
}
END_TEST

START_TEST(a_split_keeps_all_translations)
{
	struct stage2 s;
	struct stage2_mapping m;

	ck_assert_int_eq(stage2_init(&s, formats[_i]), 0);
	map(&s, 3 * GIB, 7 * GIB, STAGE2_1G, STAGE2_R | STAGE2_W);
	/* The same page, one right more: nothing to flush. */
	ck_assert(!map(&s, 3 * GIB + 0x5000, 7 * GIB + 0x5000, STAGE2_4K,
	    STAGE2_RWX));
	ck_assert_uint_eq(s.resident, PAGES_1G);
	ck_assert_uint_eq(s.tables, 4);
	for (uint64_t page = 0; page < PAGES_1G; page++) {
		expect(stage2_lookup(&s, 3 * GIB + page * 4096, &m));
		if (m.pa != 7 * GIB + page * 4096 || m.prot != (page == 5 ?
		    STAGE2_RWX : STAGE2_R | STAGE2_W) ||
		    m.level != (page < 512 ? STAGE2_4K : STAGE2_2M))
			ck_abort_msg("page %lu: %lx %u %u", page, m.pa, m.prot,
			    m.level);
	}
	audit(&s);
	stage2_fini(&s);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

START_TEST(a_large_leaf_replaces_a_table)
{
	struct stage2 s;

	ck_assert_int_eq(stage2_init(&s, formats[_i]), 0);
	for (unsigned int i = 0; i < 40; i++)
		map(&s, GIB + i * 4096, i * 8192, STAGE2_4K, STAGE2_R);
	map(&s, GIB + (6 << 20), 0, STAGE2_2M, STAGE2_R);
	ck_assert(map(&s, GIB, 0, STAGE2_2M, STAGE2_RWX));
	ck_assert_uint_eq(s.resident, 1024);
	ck_assert_uint_eq(s.tables, 3);
	ck_assert_ptr_nonnull(s.deferred);
	ck_assert_int_eq(host_user.alloc_live, 4);
	stage2_reap(&s);
	ck_assert_int_eq(host_user.alloc_live, 3);
	map(&s, GIB, 0, STAGE2_4K, STAGE2_R);
	/* Three levels at once: a table of tables gives way. */
	ck_assert(map(&s, GIB, 0, STAGE2_1G, STAGE2_RWX));
	ck_assert_uint_eq(s.resident, PAGES_1G);
	ck_assert_uint_eq(s.tables, 2);
	stage2_reap(&s);
	ck_assert_int_eq(host_user.alloc_live, 2);
	audit(&s);
	stage2_fini(&s);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

START_TEST(flushes_are_asked_for_when_needed)
{
	struct stage2 s;

	ck_assert_int_eq(stage2_init(&s, formats[_i]), 0);
	ck_assert(!map(&s, 0, 0x1000, STAGE2_4K, STAGE2_R));
	ck_assert(!map(&s, 0, 0x1000, STAGE2_4K, STAGE2_R));
	ck_assert(!map(&s, 0, 0x1000, STAGE2_4K, STAGE2_RWX));
	ck_assert(map(&s, 0, 0x1000, STAGE2_4K, STAGE2_R | STAGE2_W));
	ck_assert(map(&s, 0, 0x2000, STAGE2_4K, STAGE2_RWX));
	ck_assert(!stage2_unmap(&s, 0x1000, 0x1000));
	ck_assert(!stage2_unmap(&s, 0, 0));
	ck_assert(stage2_unmap(&s, 0, 1));
	ck_assert(!stage2_unmap(&s, 0, 1ULL << 48));
	ck_assert_uint_eq(s.tables, 1);
	ck_assert_uint_eq(s.resident, 0);
	stage2_fini(&s);
}
END_TEST

START_TEST(addresses_at_the_edge)
{
	struct stage2 s;
	struct stage2_mapping m;
	struct stage2_cache c = cache_of(3);
	const uint64_t last = (1ULL << 48) - 4096, top = 0x000ffffffffff000;
	bool flush = false;

	ck_assert_int_eq(stage2_init(&s, formats[_i]), 0);
	ck_assert_int_eq(stage2_map(&s, 1ULL << 48, 0, STAGE2_4K, STAGE2_R, &c,
	    &flush), -EINVAL);
	ck_assert_int_eq(stage2_map(&s, UINT64_MAX & ~4095ULL, 0, STAGE2_4K,
	    STAGE2_R, &c, &flush), -EINVAL);
	ck_assert_uint_eq(c.n, 3);
	stage2_cache_drain(&c);
	map(&s, last, top, STAGE2_4K, STAGE2_R);
	ck_assert(stage2_lookup(&s, last + 4095, &m));
	ck_assert_uint_eq(m.pa, top);
	ck_assert(!stage2_lookup(&s, 1ULL << 48, &m));
	ck_assert(!stage2_lookup(&s, UINT64_MAX, &m));
	ck_assert(!stage2_unmap(&s, 1ULL << 48, UINT64_MAX));
	ck_assert(!stage2_unmap(&s, UINT64_MAX, UINT64_MAX));
	ck_assert(stage2_unmap(&s, last, UINT64_MAX));
	audit(&s);
	stage2_fini(&s);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

START_TEST(an_empty_cache_changes_nothing)
{
	/* Tables that each step needs, and what it leaves to be done. */
	static const struct {
		uint64_t gpa;
		enum stage2_level level;
		unsigned int needs;
	} step[] = {
		{ 0, STAGE2_4K, 3 },
		{ 2 << 20, STAGE2_2M, 0 },
		{ (2 << 20) + 4096, STAGE2_4K, 1 },	/* splits */
		{ 1 * GIB, STAGE2_1G, 0 },
		{ 1 * GIB + 4096, STAGE2_4K, 2 },	/* splits twice */
		{ 512 * GIB, STAGE2_1G, 1 },
		{ 512 * GIB + (4 << 20), STAGE2_2M, 1 },
		{ 1024 * GIB, STAGE2_2M, 2 },
	};
	struct stage2 s;

	ck_assert_int_eq(stage2_init(&s, formats[_i]), 0);
	for (unsigned int i = 0; i < sizeof(step) / sizeof(step[0]); i++)
		for (unsigned int n = 0; n <= step[i].needs; n++) {
			struct stage2_cache c = cache_of(n);
			const uint64_t tables = s.tables, resident = s.resident;
			const uint64_t before = cpu_walk(&s, step[i].gpa);
			bool flush = false;
			int error = stage2_map(&s, step[i].gpa, 9 * GIB,
			    step[i].level, STAGE2_R, &c, &flush);

			ck_assert_int_eq(error, n < step[i].needs ? -ENOMEM : 0);
			audit(&s);
			if (error != 0) {
				ck_assert_uint_eq(s.tables, tables);
				ck_assert_uint_eq(s.resident, resident);
				ck_assert_uint_eq(cpu_walk(&s, step[i].gpa), before);
				ck_assert_uint_eq(c.n, n);
				ck_assert_uint_eq(c.need, step[i].needs);
				ck_assert(!flush);
			} else {
				ck_assert_uint_eq(s.tables, tables + n);
				ck_assert_uint_eq(c.n, 0);
			}
			stage2_cache_drain(&c);
		}
	stage2_fini(&s);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

START_TEST(allocation_failures)
{
	struct stage2 s;
	struct stage2_cache c = { .need = STAGE2_CACHE };

	host_user_fail_alloc(1);
	ck_assert_int_eq(stage2_init(&s, formats[_i]), -ENOMEM);
	stage2_fini(&s);
	for (unsigned int n = 1; n <= STAGE2_CACHE; n++) {
		host_user_fail_alloc(n);
		ck_assert_int_eq(stage2_cache_fill(&c), -ENOMEM);
		ck_assert_uint_eq(c.n, n - 1);
		stage2_cache_drain(&c);
	}
	host_user_fail_alloc(0);
	ck_assert_int_eq(stage2_cache_fill(&c), 0);
	ck_assert_uint_eq(c.n, STAGE2_CACHE);
	ck_assert_int_eq(stage2_cache_fill(&c), 0);
	stage2_cache_drain(&c);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

/* --- The model ------------------------------------------------------------ */

/* Where the model looks: the low GiB and both sides of a top-level edge. */
static const uint64_t window[] = { 0, 511 * GIB, 512 * GIB };
#define WINDOWS		3u
#define PAGES		(WINDOWS * PAGES_1G)
#define OPERATIONS	20000
#define SEEDS		6

struct page {
	uint64_t pa;		/* of the page */
	uint8_t	 prot;		/* 0: not mapped */
	uint8_t	 level;
};
static struct page *model;

static uint64_t
random64(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static uint64_t
gpa_of(uint64_t page)
{
	return window[page / PAGES_1G] + page % PAGES_1G * 4096;
}

static uint64_t
block(uint64_t page, unsigned int level)
{
	return page & ~((1ULL << 9 * level) - 1);
}

/* True when the change needs a flush. */
static bool
model_map(uint64_t page, uint64_t pa, unsigned int level, unsigned int prot)
{
	bool flush = false;

	if (model[page].prot != 0)
		for (unsigned int l = model[page].level; l > level; l--)
			for (uint64_t i = 0; i < 1ULL << 9 * l; i++)
				model[block(page, l) + i].level = (uint8_t)(l - 1);
	for (uint64_t i = 0; i < 1ULL << 9 * level; i++) {
		struct page *p = &model[page + i];

		if (p->prot != 0 && (p->level < level ||
		    p->pa != pa + i * 4096 || (p->prot & ~prot)))
			flush = true;
		*p = (struct page){ pa + i * 4096, (uint8_t)prot, (uint8_t)level };
	}
	return flush;
}

static bool
model_unmap(uint64_t page, uint64_t npages)
{
	bool taken = false;

	for (uint64_t p = page; p < page + npages; p++) {
		unsigned int level = model[p].level;
		uint64_t from = block(p, level);

		if (model[p].prot == 0)
			continue;
		taken = true;
		for (uint64_t i = 0; i < 1ULL << 9 * level; i++)
			model[from + i].prot = 0;
	}
	return taken;
}

static const struct stage2_format *model_format;

/* One entry of the tables says what the model says, for all its pages. */
static void
model_entry(uint64_t gpa, uint64_t e, unsigned int level)
{
	const uint64_t pa = e & model_format->address;

	for (unsigned int w = 0; w < WINDOWS; w++) {
		const struct page *p = &model[w * PAGES_1G];
		uint64_t first = 0, n = PAGES_1G;

		if (level == 3 ? window[w] / (512 * GIB) != gpa / (512 * GIB) :
		    window[w] / GIB != gpa / GIB)
			continue;
		if (level < 2) {
			first = gpa % GIB / 4096;
			n = 1ULL << 9 * level;
		}
		for (uint64_t i = first; i < first + n; i++) {
			if (e == 0 ? p[i].prot != 0 :
			    p[i].pa != pa + (i - first) * 4096 ||
			    p[i].level != level ||
			    p[i].prot != entry_prot(model_format, e))
				ck_abort_msg("window %u page %lu: %#lx", w, i, e);
		}
	}
}

/* What is there, and that there are no more tables than that needs. */
static void
model_check(const struct stage2 *s)
{
	uint64_t resident = 0, tables = 1;
	bool pml4[2] = { false, false };

	model_format = s->fmt;
	audit_with(s, model_entry);
	for (uint64_t g = 0; g < WINDOWS; g++) {
		bool pd = false, any = false;

		for (uint64_t m = 0; m < 512; m++) {
			const struct page *p = &model[g * PAGES_1G + m * 512];
			bool pt = false;

			for (uint64_t i = 0; i < 512; i++) {
				if (p[i].prot == 0)
					continue;
				resident++;
				any = true;
				pd |= p[i].level < STAGE2_1G;
				pt |= p[i].level < STAGE2_2M;
			}
			tables += pt;
		}
		tables += pd;
		pml4[window[g] >= 512 * GIB] |= any;
	}
	tables += pml4[0] + pml4[1];
	ck_assert_uint_eq(s->resident, resident);
	ck_assert_uint_eq(s->tables, tables);
}

static void
one_map(struct stage2 *s, uint64_t *seed)
{
	const uint64_t r = random64(seed);
	const unsigned int level = r % 1000 < 2 ? STAGE2_1G :
	    r % 1000 < 60 ? STAGE2_2M : STAGE2_4K;
	static const unsigned int prots[] = { 1, 3, 5, 7, 4 };
	const unsigned int prot = prots[(r >> 16 & 0xff) %
	    (s->fmt == &ept ? 5 : 4)];
	const uint64_t size = 4096ULL << 9 * level;
	uint64_t page = block(random64(seed) % PAGES, level);
	/* Half of the time the same frames again, as after a fault. */
	uint64_t pa = (r >> 20 & 1 ? gpa_of(page) + 64 * GIB :
	    random64(seed) & 0xfffffffff000) & ~(size - 1);
	uint64_t tables = s->tables, resident = s->resident;
	const void *deferred = s->deferred;
	unsigned int n = (unsigned int)(r >> 24) % 5;
	bool flush = false;
	int error;

	/* Stay in a few regions often, so that tables fill up and empty. */
	if (r >> 28 & 1)
		page = block(page / PAGES_1G * PAGES_1G + page % 1536, level);
	if (r >> 20 & 1)
		pa = (gpa_of(page) + 64 * GIB) & ~(size - 1);
	do {
		struct stage2_cache c = cache_of(n > 3 ? 3 : n);

		error = stage2_map(s, gpa_of(page), pa, (enum stage2_level)level,
		    prot, &c, &flush);
		if (error != 0) {
			expect(error == -ENOMEM);
			expect(n < 3);
			expect(c.n == n);
			expect(!flush);
			expect(s->tables == tables);
			expect(s->resident == resident);
			expect(s->deferred == deferred);
		}
		stage2_cache_drain(&c);
		n++;
	} while (error != 0);
	if (flush != model_map(page, pa, level, prot))
		ck_abort_msg("flush is %d", flush);
}

START_TEST(random_operations)
{
	const struct stage2_format *f = formats[_i % 2];
	uint64_t seed = 0x9e3779b97f4a7c15ULL * (uint64_t)(_i + 1);
	struct stage2 s;

	model = calloc(PAGES, sizeof(*model));
	expect(stage2_init(&s, f) == 0);
	for (unsigned int op = 1; op <= OPERATIONS; op++) {
		uint64_t r = random64(&seed);
		uint64_t page = random64(&seed) % PAGES, n;
		struct stage2_mapping m;

		switch (r % 8) {
		default:
			one_map(&s, &seed);
			break;
		case 5:
		case 6:
			/* Mostly small, now and then across everything. */
			if (r >> 8 & 1)
				page = page / PAGES_1G * PAGES_1G + page % 1536;
			n = random64(&seed) % (1ULL << random64(&seed) %
			    (r >> 9 & 31 ? 12 : 19));
			/* Not over the gap between the windows. */
			if (page < PAGES_1G && n > PAGES_1G - page)
				n = PAGES_1G - page;
			if (n > PAGES - page)
				n = PAGES - page;
			expect(stage2_unmap(&s, gpa_of(page), n * 4096) ==
			    model_unmap(page, n));
			break;
		case 7:
			expect(stage2_lookup(&s, gpa_of(page) + r % 4096,
			    &m) == (model[page].prot != 0));
			if (model[page].prot != 0) {
				expect(m.pa == model[page].pa);
				expect(m.prot == model[page].prot);
				expect(cpu_walk(&s, gpa_of(page)) ==
				    (m.pa | m.prot));
			}
		}
		if (r >> 32 & 1)
			stage2_reap(&s);
		if (op % 5000 == 0)
			model_check(&s);
	}
	stage2_fini(&s);
	expect(host_user.alloc_live == 0);
	free(model);
}
END_TEST

/* --- A CPU that walks meanwhile ------------------------------------------- */

static struct {
	struct stage2 s;
	uint32_t stop, walks;
	uint32_t inside;	/* odd: in the middle of a walk */
	uint32_t bad;
} live;

static void *
walker(void *arg)
{
	uint64_t seed = 99;

	(void)arg;
	while (!sync_load(&live.stop)) {
		uint64_t gpa = random64(&seed) % (4 << 20) & ~4095ULL;
		uint64_t got;

		sync_add(&live.inside, 1);
		got = cpu_walk(&live.s, gpa);
		sync_add(&live.inside, 1);
		if ((got & ~7ULL) != gpa + GIB || !(got & 1))
			sync_store(&live.bad, 1);
		sync_add(&live.walks, 1);
	}
	return NULL;
}

/*
 * Wait until a walk that has begun has ended: the TLB flush of this CPU. A walk
 * that begins later must see the new entries, so they are stored before the
 * look, as vm_flush() has it.
 */
static void
flush_walker(void)
{
	uint32_t inside;

	sync_full();
	inside = sync_load(&live.inside);
	while ((inside & 1) && sync_load(&live.inside) == inside)
		sched_yield();
}

/* Every translation stays, however it is written: a CPU never misses it. */
START_TEST(a_cpu_walks_during_splits_and_merges)
{
	uint64_t seed = 7;
	pthread_t t;

	memset(&live, 0, sizeof(live));
	ck_assert_int_eq(stage2_init(&live.s, formats[_i]), 0);
	map(&live.s, 0, GIB, STAGE2_2M, STAGE2_RWX);
	map(&live.s, 2 << 20, GIB + (2 << 20), STAGE2_2M, STAGE2_RWX);
	ck_assert_int_eq(pthread_create(&t, NULL, walker, NULL), 0);
	for (int i = 0; i < 4000 || sync_load(&live.walks) < 20000; i++) {
		uint64_t r = random64(&seed);
		uint64_t gpa = r % (4 << 20) & ~4095ULL;
		bool flush;

		if (r >> 40 & 1)
			flush = map(&live.s, gpa, gpa + GIB, STAGE2_4K,
			    r >> 41 & 1 ? STAGE2_RWX : STAGE2_R);
		else
			flush = map(&live.s, gpa & ~0x1fffffULL,
			    (gpa & ~0x1fffffULL) + GIB, STAGE2_2M, STAGE2_RWX);
		if (flush)
			flush_walker();
		stage2_reap(&live.s);
		if (sync_load(&live.bad))
			break;
	}
	sync_store(&live.stop, 1);
	pthread_join(t, NULL);
	ck_assert_uint_eq(live.bad, 0);
	audit(&live.s);
	stage2_fini(&live.s);
	ck_assert_int_eq(host_user.alloc_live, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stage2");
	TCase *tc = tcase_create("stage2");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, entries_look_as_the_manual_says, 0, 2);
	tcase_add_loop_test(tc, generated_formats_agree_with_the_manual, 0, 2);
	tcase_add_loop_test(tc, a_split_keeps_all_translations, 0, 2);
	tcase_add_loop_test(tc, a_large_leaf_replaces_a_table, 0, 2);
	tcase_add_loop_test(tc, flushes_are_asked_for_when_needed, 0, 2);
	tcase_add_loop_test(tc, addresses_at_the_edge, 0, 2);
	tcase_add_loop_test(tc, an_empty_cache_changes_nothing, 0, 2);
	tcase_add_loop_test(tc, allocation_failures, 0, 2);
	tcase_add_loop_test(tc, random_operations, 0, 2 * SEEDS);
	tcase_add_loop_test(tc, a_cpu_walks_during_splits_and_merges, 0, 2);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
