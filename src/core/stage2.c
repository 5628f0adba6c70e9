/* SPDX-License-Identifier: ISC */
/*
 * stage2.c - the walker of the second-stage page table.
 *
 * CPUs read these tables at any time, so every change is one aligned 64-bit
 * store, and a table is complete before an entry points to it. A table that
 * is taken out stays as it is until every vCPU has flushed: a CPU may have
 * cached its address (SDM 3C 29.4, APM 2 15.25.9). Apart from the root no
 * table is ever empty.
 */
#include "stage2.h"
#include "sync.h"

#define ENTRIES		512u
#define ROOT_LEVEL	3u		/* four levels: 0 holds 4 KiB leaves */
#define GPA_LIMIT	(1ULL << 48)

static unsigned int
level_index(uint64_t gpa, unsigned int level)
{
	return gpa >> stage2_shift(level) & (ENTRIES - 1);
}

static uint64_t
level_pages(unsigned int level)
{
	return 1ULL << 9 * level;
}

static bool
is_present(const struct stage2 *s, uint64_t e)
{
	return e & s->fmt->present;
}

static bool
is_leaf(const struct stage2 *s, uint64_t e, unsigned int level)
{
	return is_present(s, e) && (level == STAGE2_4K ||
	    (level < ROOT_LEVEL && (e & s->fmt->large) == s->fmt->large));
}

static uint64_t *
table_of(const struct stage2 *s, uint64_t e)
{
	return host_pa_to_va(e & s->fmt->address);
}

/* Pages are most often touched one after the other. */
static uint64_t *
recent_table(const struct stage2 *s, uint64_t gpa)
{
	return s->recent_gpa == (gpa & ~(PAGE_SIZE_2M - 1)) ? s->recent : NULL;
}

static uint64_t
table_entry(const struct stage2 *s, const uint64_t *table)
{
	return host_va_to_pa(table) | s->fmt->table;
}

static uint64_t
leaf_entry(const struct stage2 *s, uint64_t pa, unsigned int level,
    unsigned int prot)
{
	const struct stage2_format *f = s->fmt;
	uint64_t e = (pa & f->address) | f->leaf;

	if (level != STAGE2_4K)
		e |= f->large;
	if (prot & STAGE2_R)
		e |= f->r;
	if (prot & STAGE2_W)
		e |= f->w;
	e |= prot & STAGE2_X ? f->x : f->nx;
	return e;
}

static unsigned int
leaf_prot(const struct stage2 *s, uint64_t e)
{
	const struct stage2_format *f = s->fmt;
	unsigned int prot = 0;

	if ((e & f->r) == f->r)
		prot |= STAGE2_R;
	if (e & f->w)
		prot |= STAGE2_W;
	if ((e & f->x) == f->x && !(e & f->nx))
		prot |= STAGE2_X;
	return prot;
}

/* --- Table pages ---------------------------------------------------------- */

int
stage2_cache_fill(struct stage2_cache *c)
{
	while (c->n < c->need) {
		void *page = host_page_alloc(0);

		if (page == NULL)
			return -ENOMEM;
		c->page[c->n++] = page;
	}
	return 0;
}

void
stage2_cache_drain(struct stage2_cache *c)
{
	while (c->n > 0)
		host_page_free(c->page[--c->n], 0);
}

/* The caller has seen to it that there is one. */
static uint64_t *
table_take(struct stage2 *s, struct stage2_cache *c)
{
	s->tables++;
	return c->page[--c->n];
}

/*
 * Nothing points to the table any more, but a CPU may still walk it, so the
 * list goes through an entry that looks empty to it: present bits clear, the
 * address inverted so that not even a speculative load finds memory there
 * (L1TF).
 */
static void
table_defer(struct stage2 *s, uint64_t *table)
{
	uint64_t link = 0;

	if (s->deferred != NULL)
		link = ~host_va_to_pa(s->deferred) & s->fmt->address;
	sync_store_release(&table[0], link);
	s->deferred = table;
	s->recent = NULL;
	s->tables--;
}

void
stage2_reap(struct stage2 *s)
{
	uint64_t *table = s->deferred;

	s->deferred = NULL;
	while (table != NULL) {
		uint64_t link = table[0];

		host_page_free(table, 0);
		table = link == 0 ? NULL :
		    host_pa_to_va(~link & s->fmt->address);
	}
}

static bool
table_is_empty(const uint64_t *table)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++)
		if (sync_load(&table[i]) != 0)
			return false;
	return true;
}

/* The table and all below it are unlinked: count and keep for later. */
static void
subtree_defer(struct stage2 *s, uint64_t *table, unsigned int level)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		uint64_t e = sync_load(&table[i]);

		if (is_leaf(s, e, level))
			s->resident -= level_pages(level);
		else if (is_present(s, e))
			subtree_defer(s, table_of(s, e), level - 1);
	}
	table_defer(s, table);
}

/* --- Life ----------------------------------------------------------------- */

int
stage2_init(struct stage2 *s, const struct stage2_format *fmt)
{
	*s = (struct stage2){ .fmt = fmt };
	s->root = host_page_alloc(0);
	if (s->root == NULL)
		return -ENOMEM;
	s->tables = 1;
	return 0;
}

void
stage2_fini(struct stage2 *s)
{
	if (s->root == NULL)
		return;
	stage2_unmap(s, 0, GPA_LIMIT);
	stage2_reap(s);
	host_page_free(s->root, 0);
	s->root = NULL;
	s->recent = NULL;
	s->tables = 0;
}

/* --- Mapping -------------------------------------------------------------- */

/*
 * Replace a large leaf by a table of leaves that say the same. CPUs see the
 * one or the other; both translate alike, so nothing needs a flush.
 */
static void
split(struct stage2 *s, uint64_t *entry, unsigned int level,
    struct stage2_cache *c)
{
	const struct stage2_format *f = s->fmt;
	uint64_t *table = table_take(s, c);
	uint64_t e = sync_load(entry);
	unsigned int i;

	if (level - 1 == STAGE2_4K)
		e &= ~f->large;
	for (i = 0; i < ENTRIES; i++)
		table[i] = e + i * stage2_size(level - 1);
	sync_store_release(entry, table_entry(s, table));
}

/* Does the new leaf take something away that a CPU may have cached? */
static bool
leaf_loses(const struct stage2 *s, uint64_t old, uint64_t new)
{
	return ((old ^ new) & s->fmt->address) != 0 ||
	    (leaf_prot(s, old) & ~leaf_prot(s, new)) != 0;
}

int
stage2_map(struct stage2 *s, uint64_t gpa, uint64_t pa,
    enum stage2_level level, unsigned int prot, struct stage2_cache *c,
    bool *flush)
{
	uint64_t *table = NULL, *entry;
	uint64_t old, new = leaf_entry(s, pa, level, prot);
	unsigned int l = level;

	if (gpa >= GPA_LIMIT)
		return -EINVAL;
	if (level == STAGE2_4K)
		table = recent_table(s, gpa);
	if (table == NULL) {
		table = s->root;
		l = ROOT_LEVEL;
	}
	for (; l > level; l--) {
		entry = &table[level_index(gpa, l)];
		old = sync_load(entry);
		if (!is_present(s, old) || is_leaf(s, old, l)) {
			/* One table for each level from here down; all or none. */
			c->need = l - level;
			if (c->n < c->need)
				return -ENOMEM;
			break;
		}
		table = table_of(s, old);
	}
	for (; l > level; l--) {
		entry = &table[level_index(gpa, l)];
		old = sync_load(entry);
		if (is_present(s, old)) {
			split(s, entry, l, c);
			table = table_of(s, sync_load(entry));
		} else {
			table = table_take(s, c);
			/* Linked while empty: walks that come by just fault. */
			sync_store_release(entry, table_entry(s, table));
		}
	}

	if (level == STAGE2_4K) {
		s->recent = table;
		s->recent_gpa = gpa & ~(PAGE_SIZE_2M - 1);
	}
	entry = &table[level_index(gpa, level)];
	old = sync_load(entry);
	sync_store_release(entry, new);
	s->resident += level_pages(level);
	if (is_leaf(s, old, level)) {
		s->resident -= level_pages(level);
		if (leaf_loses(s, old, new))
			*flush = true;
	} else if (is_present(s, old)) {
		subtree_defer(s, table_of(s, old), level - 1);
		*flush = true;
	}
	return 0;
}

/* Take [gpa, end) out of a table that covers it; true: something was there. */
static bool
unmap_table(struct stage2 *s, uint64_t *table, unsigned int level,
    uint64_t gpa, uint64_t end)
{
	const uint64_t size = stage2_size(level);
	bool taken = false;

	while (gpa < end) {
		uint64_t *entry = &table[level_index(gpa, level)];
		uint64_t e = sync_load(entry);
		uint64_t next = (gpa & ~(size - 1)) + size;
		uint64_t stop = next < end ? next : end;

		if (is_leaf(s, e, level)) {
			sync_store_release(entry, 0);
			s->resident -= level_pages(level);
			taken = true;
		} else if (is_present(s, e) && unmap_table(s,
		    table_of(s, e), level - 1, gpa, stop)) {
			taken = true;
			if (table_is_empty(table_of(s, e))) {
				sync_store_release(entry, 0);
				table_defer(s, table_of(s, e));
			}
		}
		gpa = stop;
	}
	return taken;
}

bool
stage2_unmap(struct stage2 *s, uint64_t gpa, uint64_t size)
{
	if (gpa >= GPA_LIMIT)
		return false;
	if (size > GPA_LIMIT - gpa)
		size = GPA_LIMIT - gpa;
	return unmap_table(s, s->root, ROOT_LEVEL, gpa, gpa + size);
}

/* --- Aging ---------------------------------------------------------------- */

/*
 * CPUs set the bit meanwhile, and nothing else: one that is set between the
 * load and the store is lost, as if the page had been used a little earlier.
 */
static bool
age_table(struct stage2 *s, uint64_t *table, unsigned int level, uint64_t gpa,
    uint64_t end, bool clear)
{
	const uint64_t size = stage2_size(level);
	bool used = false;

	while (gpa < end) {
		uint64_t *entry = &table[level_index(gpa, level)];
		uint64_t e = sync_load(entry);
		uint64_t next = (gpa & ~(size - 1)) + size;
		uint64_t stop = next < end ? next : end;

		if (is_leaf(s, e, level)) {
			if (e & s->fmt->accessed) {
				used = true;
				if (clear && s->accessed)
					sync_store_release(entry,
					    e & ~s->fmt->accessed);
			}
		} else if (is_present(s, e) && age_table(s, table_of(s, e),
		    level - 1, gpa, stop, clear)) {
			used = true;
		}
		gpa = stop;
	}
	return used;
}

bool
stage2_age(struct stage2 *s, uint64_t gpa, uint64_t size, bool clear)
{
	bool used;

	if (gpa >= GPA_LIMIT)
		return false;
	if (size > GPA_LIMIT - gpa)
		size = GPA_LIMIT - gpa;
	used = age_table(s, s->root, ROOT_LEVEL, gpa, gpa + size, clear);
	if (used && clear && !s->accessed && stage2_unmap(s, gpa, size))
		s->stale = true;
	return used;
}

/* --- Looking -------------------------------------------------------------- */

bool
stage2_lookup(const struct stage2 *s, uint64_t gpa, struct stage2_mapping *m)
{
	const uint64_t *table = recent_table(s, gpa);
	unsigned int level = STAGE2_4K;

	if (gpa >= GPA_LIMIT)
		return false;
	if (table == NULL) {
		table = s->root;
		level = ROOT_LEVEL;
	}
	for (; ; level--) {
		uint64_t e = sync_load(&table[level_index(gpa, level)]);

		if (!is_present(s, e))
			return false;
		if (is_leaf(s, e, level)) {
			uint64_t offset = gpa & (stage2_size(level) - 1);

			m->pa = (e & s->fmt->address) +
			    (offset & ~(PAGE_SIZE_4K - 1));
			m->prot = leaf_prot(s, e);
			m->level = (enum stage2_level)level;
			return true;
		}
		table = table_of(s, e);
	}
}
