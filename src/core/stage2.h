/* SPDX-License-Identifier: ISC */
/*
 * stage2.h - the second-stage page table: guest-physical to host-physical.
 *
 * One walker for both vendors; an entry format says which bits mean what
 * (generated from arch.yaml). Every function here expects the VM's mem_lock;
 * none of them sleeps or allocates: tables come from a cache that the caller
 * filled before it took the lock.
 */
#ifndef CORE_STAGE2_H
#define CORE_STAGE2_H

#include "host.h"

#define PAGE_SIZE_4K	0x1000ULL
#define PAGE_SIZE_2M	0x200000ULL

/* Protection of guest memory; the numbers are those of PROT_*. */
#define STAGE2_R	1u
#define STAGE2_W	2u
#define STAGE2_X	4u
#define STAGE2_RWX	7u

/* Leaf sizes. */
enum stage2_level { STAGE2_4K, STAGE2_2M, STAGE2_1G };

/* What an entry of a table of this level covers, leaf or not. */
static inline unsigned int
stage2_shift(unsigned int level)
{
	return 12 + 9 * level;
}

static inline uint64_t
stage2_size(unsigned int level)
{
	return 1ULL << stage2_shift(level);
}

/* How a vendor writes an entry; one constant object a vendor, generated. */
struct stage2_format {
	const char *name;
	uint64_t table;		/* bits of an entry that points to a table */
	uint64_t leaf;		/* bits that every leaf has (memory type...) */
	uint64_t large;		/* more bits of a leaf above 4 KiB */
	uint64_t present;	/* an entry with none of these is empty */
	uint64_t r, w, x;	/* set when the access is allowed */
	uint64_t nx;		/* set when execution is refused */
	uint64_t accessed;	/* set in leaves; of those a CPU uses, by it */
	uint64_t address;	/* the physical address field */
};

struct stage2 {
	const struct stage2_format *fmt;
	uint64_t *root;		/* top level, level 4 */
	uint64_t tables;	/* table pages, the root included */
	uint64_t resident;	/* 4 KiB pages that leaves map */
	void	*deferred;	/* table pages to free after a flush */
	bool	 accessed;	/* CPUs set the accessed bit; otherwise false */
	bool	 stale;		/* stage2_age() took something: see there */
	uint64_t *recent;	/* table of the last 4 KiB leaf mapped, or NULL */
	uint64_t recent_gpa;	/* what it translates: 2 MiB from here on */
};

/* Table pages for one mapping operation: at most one a level below the root. */
#define STAGE2_CACHE	3
struct stage2_cache {
	void *page[STAGE2_CACHE];
	unsigned int n;
	unsigned int need;	/* as many stage2_map() would have needed */
};

/* Fill up to need; -ENOMEM. May sleep; without mem_lock. */
int	stage2_cache_fill(struct stage2_cache *c);
void	stage2_cache_drain(struct stage2_cache *c);

/* -ENOMEM. init may sleep; fini wants no vCPU inside the guest. */
int	stage2_init(struct stage2 *s, const struct stage2_format *fmt);
void	stage2_fini(struct stage2 *s);

/*
 * Map one leaf at gpa (aligned to its level); prot needs STAGE2_R, or is
 * STAGE2_X alone where backend.execute_only() says so. What was
 * there is replaced; a large leaf in the way is split, a table in the way of
 * a large leaf is deferred. *flush becomes true when a CPU may hold on to
 * something that is no longer so (another page, a right taken away, a table
 * taken out), and is left alone otherwise: a right that was only added needs
 * no flush, for CPUs walk the tables again before they report a fault.
 * -ENOMEM: the cache needs more, c->need; the table still says what it said.
 * -EINVAL: gpa has more bits than the walk (48).
 */
int	stage2_map(struct stage2 *s, uint64_t gpa, uint64_t pa,
	    enum stage2_level level, unsigned int prot,
	    struct stage2_cache *c, bool *flush);

/*
 * Take away every translation that touches [gpa, gpa + size); a large leaf
 * that sticks out goes whole (it comes back by a fault). True when something
 * was taken: the caller flushes before it lets go of the memory.
 */
bool	stage2_unmap(struct stage2 *s, uint64_t gpa, uint64_t size);

/*
 * Has a CPU used a page of [gpa, gpa + size) since it was mapped, or since this
 * was last asked with `clear`? A large leaf is one page. Where the CPU does not
 * set accessed bits, every page that is mapped counts, and `clear` takes the
 * leaves away: `stale` says that CPUs may hold on to them. The caller flushes
 * and resets it before it lets go of any memory, or calls stage2_reap().
 */
bool	stage2_age(struct stage2 *s, uint64_t gpa, uint64_t size, bool clear);

struct stage2_mapping {
	uint64_t pa;		/* of gpa's 4 KiB page */
	unsigned int prot;
	enum stage2_level level;
};
/* False when gpa has no translation. */
bool	stage2_lookup(const struct stage2 *s, uint64_t gpa,
	    struct stage2_mapping *m);

/* Free deferred table pages; only after every vCPU has flushed its TLB. */
void	stage2_reap(struct stage2 *s);

#endif /* CORE_STAGE2_H */
