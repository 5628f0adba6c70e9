/* SPDX-License-Identifier: ISC */
/*
 * t_hostmem.c - what the host does to guest memory while a guest uses it.
 *
 * The guest goes round a region of pages. It writes to each page a number that
 * only grows, and looks whether the last one is still there. The host works on
 * the region meanwhile. Three things must hold:
 *
 *   - the contents stay: the guest finds what it wrote (long_stamp_loop);
 *   - no translation is stale: what the guest writes arrives where the host
 *     looks, and the other way round (region_alive());
 *   - pages that were given back are not the guest's any more: whoever got them
 *     finds them as it left them (struct heir).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"

#define BASE	(8 * MB)	/* of the region; two huge pages' worth */
#define PAGES	1024u
#define SIZE	(PAGES * PAGE)
#define STAMPS	LAYOUT_SCRATCH	/* what the guest wrote last, a word a page */
_Static_assert(PAGES * 8 <= 128 * KB, "LAYOUT_SCRATCH");
_Static_assert(BASE + SIZE <= VM_SIZE, "the usual VM");

#define RW	(PROT_READ | PROT_WRITE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25	/* since Linux 6.1 */
#endif

/* Words of a page. */
enum { FIRST = 0, TAG = 1, ECHO = 2, LAST = 511 };

/* --- The guest and its region --------------------------------------------- */

struct region {
	struct vm *vm;
	struct vcpu *v;
	struct runner *r;
	unsigned int pages, from;	/* from: for pagemap() */
	uint64_t flags;		/* STAMP_* */
	uint64_t tag;		/* what the host has written last */
};

static volatile uint64_t *
region_page(const struct region *g, unsigned int i)
{
	return (volatile uint64_t *)(g->vm->mem + BASE + i * PAGE);
}

static uint8_t *
region_start(const struct region *g)
{
	return g->vm->mem + BASE;
}

static size_t
region_size(const struct region *g)
{
	return g->pages * PAGE;
}

/* Give the guest something to do, and let it; what it wrote before counts. */
static void
region_run(struct region *g, uint64_t flags)
{
	g->flags = flags;
	vm_call_start(g->v, g_long_stamp_loop, BASE, g->pages, STAMPS, flags);
	g->r = runner_start(g->v);
}

static void
region_check(const struct region *g)
{
	const struct mailbox *mb = g->v->mb;

	CHECK_MSG(mb->ret[0] == 0, "page %llu has %#llx, not %#llx, after %llu "
	    "rounds", (unsigned long long)((mb->ret[1] - BASE) / PAGE),
	    (unsigned long long)mb->ret[2], (unsigned long long)mb->ret[3],
	    (unsigned long long)mb->counter);
	vm_expect_no_fault(g->v);
}

/* Until the guest has been everywhere n times since now. */
static void
region_rounds(const struct region *g, unsigned int n)
{
	const uint64_t until = g->v->mb->counter + n + 1;

	while (g->v->mb->counter < until) {
		region_check(g);
		sleep_ms(1);
	}
}

static void
region_stop(struct region *g)
{
	g->v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(g->r)));
	region_check(g);
}

static struct region
region_new(struct vm *vm)
{
	return (struct region){ .vm = vm, .v = &vm->cpu[0], .pages = PAGES };
}

/* Is what the guest has there what the host has there, both ways? */
static void
region_alive(struct region *g)
{
	uint64_t before[PAGES];
	unsigned int i;

	g->tag++;
	for (i = 0; i < g->pages; i++) {
		before[i] = region_page(g, i)[FIRST];
		region_page(g, i)[TAG] = g->tag;
	}
	region_rounds(g, 2);
	for (i = 0; i < g->pages; i++) {
		CHECK_MSG(region_page(g, i)[FIRST] > before[i],
		    "page %u: the guest writes somewhere else", i);
		CHECK_MSG(region_page(g, i)[ECHO] == g->tag,
		    "page %u: the guest reads somewhere else", i);
	}
}

/* Who gets the memory that others have given back. */
struct heir {
	uint64_t *mem;
	size_t	 size;
};
#define HEIRLOOM	0x0e112100e112100eull

static struct heir
heir_new(size_t size)
{
	struct heir h = { .size = size };
	size_t i;

	h.mem = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(h.mem != MAP_FAILED);
	for (i = 0; i < size / 8; i++)
		h.mem[i] = HEIRLOOM;
	return h;
}

static void
heir_end(struct heir *h)
{
	size_t i;

	for (i = 0; i < h->size / 8; i++)
		CHECK_MSG(h->mem[i] == HEIRLOOM,
		    "a page that is not the guest's has %#llx at %#llx",
		    (unsigned long long)h->mem[i], i * 8 % PAGE);
	CHECK_OK(munmap(h->mem, h->size));
}

/* After the host has moved things: as it should be, for the heirs as well. */
static void
region_settled(struct region *g)
{
	struct heir h = heir_new(SIZE);

	region_alive(g);
	heir_end(&h);
}

/* --- The host's files ----------------------------------------------------- */

static void
file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CHECK_MSG(fd >= 0, "%s: %s", path, strerror(errno));
	CHECK_MSG(write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	    "%s: %s", path, strerror(errno));
	CHECK_OK(close(fd));
}

/* The number in a file, or behind a word at the start of one of its lines. */
static long
file_number(const char *path, const char *word)
{
	FILE *f = fopen(path, "r");
	char line[256];
	long n = -1;

	CHECK_MSG(f != NULL, "%s: %s", path, strerror(errno));
	while (n < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, word, strlen(word)) == 0)
			n = atol(line + strlen(word));
	fclose(f);
	CHECK_MSG(n >= 0, "no %s in %s", word, path);
	return n;
}

static long
vmstat(const char *word)
{
	return file_number("/proc/vmstat", word);
}

/* Of /proc/self/pagemap. */
#define PAGEMAP_PFN	((1ull << 55) - 1)
#define PAGEMAP_SOFT_DIRTY (1ull << 55)
#define PAGEMAP_SWAPPED	(1ull << 62)
#define PAGEMAP_PRESENT	(1ull << 63)

static void
pagemap(const struct region *g, uint64_t *entry)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	CHECK_OK(fd);
	CHECK_EQ(pread(fd, entry, g->pages * 8,
	    (off_t)(((uintptr_t)region_start(g) / PAGE + g->from) * 8)),
	    g->pages * 8);
	CHECK_OK(close(fd));
}

/* How many of the region's pages have one of these bits. */
static unsigned int
pagemap_count(const struct region *g, uint64_t bits)
{
	uint64_t entry[PAGES];
	unsigned int i, n = 0;

	pagemap(g, entry);
	for (i = 0; i < g->pages; i++)
		n += (entry[i] & bits) != 0;
	return n;
}

/* How much of a mapping is in huge pages, in kB; it is one mapping. */
static long
smaps_huge(const void *start)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	bool here = false;
	char line[256];
	long kb = -1;

	CHECK(f != NULL);
	while (kb < 0 && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)start >= from &&
			    (uintptr_t)start < to;
		else if (here && strncmp(line, "AnonHugePages:", 14) == 0)
			kb = atol(line + 14);
	}
	fclose(f);
	CHECK(kb >= 0);
	return kb;
}

/* --- Advice and rights ---------------------------------------------------- */

/* Pages that go, here and there, while the guest is about to use them. */
static void
zap_everywhere(struct region *g, void (*zap)(struct region *, uint64_t at,
    uint64_t size))
{
	unsigned int i;

	for (i = 0; i < 40; i++)
		zap(g, (i * 37ull) % PAGES * PAGE, (i % 3 ? 1 : 16) * PAGE);
	zap(g, 0, SIZE);
	region_settled(g);
}

static void
zap_dontneed(struct region *g, uint64_t at, uint64_t size)
{
	if (at + size > SIZE)
		size = SIZE - at;
	CHECK_OK(madvise(region_start(g) + at, size, MADV_DONTNEED));
}

static void
zap_remove(struct region *g, uint64_t at, uint64_t size)
{
	if (at + size > SIZE)
		size = SIZE - at;
	CHECK_OK(madvise(region_start(g) + at, size, MADV_REMOVE));
}

static void
zap_punch(struct region *g, uint64_t at, uint64_t size)
{
	if (at + size > SIZE)
		size = SIZE - at;
	CHECK_OK(fallocate(g->vm->memfd, FALLOC_FL_PUNCH_HOLE |
	    FALLOC_FL_KEEP_SIZE, (off_t)(BASE + at), (off_t)size));
}

TEST_T(hostmem_dontneed, "run/hostmem/dontneed", 60)
{
	struct region g = region_new(vm_new(LONG));

	region_run(&g, STAMP_ZEROS);
	zap_everywhere(&g, zap_dontneed);
	CHECK_OK(madvise(region_start(&g), SIZE, MADV_HUGEPAGE));
	zap_everywhere(&g, zap_dontneed);
	region_stop(&g);
}

/* A hole in the file takes the page from everybody; DONTNEED from nobody. */
TEST_T(hostmem_punch, "run/hostmem/hole_in_a_memfd", 60)
{
	struct region g = region_new(vm_new_with(LONG, 1, VM_SIZE, VM_SHARED));

	region_run(&g, STAMP_ZEROS);
	zap_everywhere(&g, zap_punch);
	zap_everywhere(&g, zap_remove);
	region_stop(&g);
	region_run(&g, 0);
	zap_everywhere(&g, zap_dontneed);
	region_stop(&g);
}

/* Another mapping of the file sees and changes the same memory. */
TEST_T(hostmem_two, "run/hostmem/two_mappings_of_a_memfd", 60)
{
	struct vm *vm = vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
	struct region g = region_new(vm);
	uint8_t *mine = vm->mem, *other;
	unsigned int i;

	other = mmap(NULL, VM_SIZE, RW, MAP_SHARED, vm->memfd, 0);
	CHECK(other != MAP_FAILED);
	region_run(&g, 0);
	for (i = 0; i < 5; i++) {
		/* The other mapping's pages go; then the guest's own. */
		CHECK_OK(madvise(other + BASE, SIZE, MADV_DONTNEED));
		vm->mem = other;
		region_alive(&g);
		vm->mem = mine;
		zap_dontneed(&g, 0, SIZE);
		vm->mem = other;
		region_alive(&g);
		vm->mem = mine;
	}
	region_stop(&g);
	CHECK_OK(munmap(other, VM_SIZE));
}

/* Pages that the host may drop until somebody writes to them again. */
TEST_T(hostmem_free, "run/hostmem/madvise_free", 60)
{
	struct region g = region_new(vm_new(LONG));
	unsigned int i;

	g.pages = 128;
	CHECK_OK(madvise(region_start(&g), SIZE, MADV_NOHUGEPAGE));
	for (i = 0; i < 3; i++) {
		/* Dropped under the guest's hands: old contents or zeros. */
		region_run(&g, STAMP_ZEROS);
		region_rounds(&g, 1);
		CHECK_OK(madvise(region_start(&g), region_size(&g), MADV_FREE));
		CHECK_OK(madvise(region_start(&g), region_size(&g), MADV_PAGEOUT));
		region_settled(&g);
		region_stop(&g);
		/* Not used any more, so they go. */
		CHECK_OK(madvise(region_start(&g), region_size(&g), MADV_FREE));
		CHECK_OK(madvise(region_start(&g), region_size(&g), MADV_PAGEOUT));
		CHECK_EQ(pagemap_count(&g, PAGEMAP_PRESENT), 0);
		memset(g.vm->mem + STAMPS, 0, g.pages * 8);
		/* Written to by the guest after the advice, so they stay. */
		region_run(&g, 0);
		region_rounds(&g, 1);
		region_stop(&g);
		CHECK_OK(madvise(region_start(&g), region_size(&g), MADV_FREE));
		region_run(&g, 0);
		region_rounds(&g, 1);
		CHECK_OK(madvise(region_start(&g), region_size(&g), MADV_PAGEOUT));
		region_settled(&g);
		region_stop(&g);
	}
}

/* Rights that go and come: the guest stops at once, and goes on as if nothing
 * had been. */
TEST_T(hostmem_mprotect, "run/hostmem/mprotect", 60)
{
	static const int rights[] = { PROT_READ, PROT_NONE };
	struct region g = region_new(vm_new(LONG));
	uint64_t seen[PAGES];
	unsigned int i, p;

	for (i = 0; i < 12; i++) {
		const uint64_t at = i % 3 ? 200 * PAGE : 0;
		const uint64_t size = i % 3 ? 1 * PAGE : SIZE;

		CHECK_OK(madvise(region_start(&g), SIZE,
		    i < 6 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE));
		region_run(&g, 0);
		region_rounds(&g, 1);
		CHECK_OK(mprotect(region_start(&g) + at, size, rights[i % 2]));
		CHECK(is_exit_fault(runner_join(g.r)));
		CHECK_EQ(g.v->exit->vee.vee_fault_type, VEE_FAULT_PROTECT);
		CHECK_EQ(do_run(g.v, NO_IRQ), 0);
		CHECK(is_exit_fault(g.v->reason));
		CHECK_OK(mprotect(region_start(&g) + at, size, PROT_READ));
		for (p = 0; p < PAGES; p++)
			seen[p] = region_page(&g, p)[FIRST];
		CHECK_EQ(do_run(g.v, NO_IRQ), 0);
		CHECK(is_exit_fault(g.v->reason));
		for (p = 0; p < PAGES; p++)
			CHECK_EQ(region_page(&g, p)[FIRST], seen[p]);
		CHECK_OK(mprotect(region_start(&g) + at, size, RW));
		g.r = runner_start(g.v);
		region_alive(&g);
		region_stop(&g);
	}
}

/* The memory is somewhere else for a while; in its place, nothing or zeros. */
TEST_T(hostmem_mremap, "run/hostmem/mremap", 60)
{
	struct region g = region_new(vm_new(LONG));
	uint8_t *start = region_start(&g), *away;
	uint64_t seen[PAGES];
	unsigned int i, p;

	away = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(away != MAP_FAILED);
	for (i = 0; i < 8; i++) {
		const bool stays = i % 2;	/* the mapping, but empty */

		if (i == 4)
			CHECK_OK(madvise(start, SIZE, MADV_HUGEPAGE));
		region_run(&g, stays ? STAMP_ZEROS : 0);
		region_rounds(&g, 1);
		CHECK(mremap(start, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED |
		    (stays ? MREMAP_DONTUNMAP : 0), away) == away);
		for (p = 0; p < PAGES; p++)
			seen[p] = *(volatile uint64_t *)(away + p * PAGE);
		if (stays) {
			region_alive(&g);
			region_stop(&g);
		} else {
			CHECK(is_exit_fault(runner_join(g.r)));
			CHECK_EQ(g.v->exit->vee.vee_fault_type,
			    VEE_FAULT_PROTECT);
		}
		/* What was moved is not the guest's any more. */
		for (p = 0; p < PAGES; p++)
			CHECK_EQ(*(volatile uint64_t *)(away + p * PAGE), seen[p]);
		CHECK(mremap(away, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    start) == start);
		CHECK(mmap(away, SIZE, PROT_NONE, MAP_FIXED | MAP_PRIVATE |
		    MAP_ANONYMOUS, -1, 0) == away);
		if (stays) {
			for (p = 0; p < PAGES; p++)
				GUEST(g.vm, uint64_t, STAMPS + p * 8) =
				    region_page(&g, p)[FIRST];
			for (p = 0; p < PAGES; p++)
				region_page(&g, p)[LAST] = region_page(&g, p)[FIRST];
			region_run(&g, 0);
		} else {
			g.r = runner_start(g.v);
		}
		region_alive(&g);
		region_stop(&g);
	}
}

/* --- Huge pages ----------------------------------------------------------- */

static void
split_huge_pages(const void *start, uint64_t size)
{
	char text[96];

	snprintf(text, sizeof(text), "%d,%#lx,%#lx", getpid(),
	    (unsigned long)(uintptr_t)start,
	    (unsigned long)((uintptr_t)start + size));
	file_write("/sys/kernel/debug/split_huge_pages", text);
}

TEST_T(hostmem_thp, "run/hostmem/huge_pages_split_and_collapse", 90)
{
	struct region g = region_new(vm_new(LONG));
	uint8_t *start = region_start(&g);
	unsigned int i;

	CHECK_OK(madvise(start, SIZE, MADV_NOHUGEPAGE));
	region_run(&g, 0);
	region_rounds(&g, 1);
	CHECK_EQ(smaps_huge(start), 0);
	CHECK_OK(madvise(start, SIZE, MADV_HUGEPAGE));
	for (i = 0; i < 4; i++) {
		CHECK_OK(madvise(start, SIZE, MADV_COLLAPSE));
		CHECK_EQ(smaps_huge(start), SIZE / KB);
		region_settled(&g);
		CHECK_EQ(smaps_huge(start), SIZE / KB);
		switch (i % 3) {
		case 0:		/* the page itself */
			split_huge_pages(start, SIZE);
			break;
		case 1:		/* its mapping */
			CHECK_OK(mprotect(start + 3 * PAGE, PAGE, RW | PROT_EXEC));
			CHECK_OK(mprotect(start + 700 * PAGE, PAGE,
			    RW | PROT_EXEC));
			CHECK_OK(mprotect(start, SIZE, RW));
			break;
		default:	/* one of the two */
			split_huge_pages(start + 2 * MB, 2 * MB);
		}
		CHECK(smaps_huge(start) < (long)(SIZE / KB));
		region_settled(&g);
	}
	region_stop(&g);
}

#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

/* As many as there can be; how many there are then. */
static unsigned int
reserve_huge_pages(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	file_write(NR_HUGEPAGES, text);
	return (unsigned int)file_number(NR_HUGEPAGES, "");
}

TEST_T(hostmem_hugetlb, "run/hostmem/hugetlbfs", 60)
{
	struct vm *vm = vm_prepare(1, VM_SIZE, 0);
	struct region g = region_new(vm);
	uint8_t *start = region_start(&g), *other;
	unsigned int i;
	int fd;

	CHECK_EQ(reserve_huge_pages(6), 6);
	fd = (int)CHECK_OK(memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));
	CHECK_OK(ftruncate(fd, SIZE));
	CHECK(mmap(start, SIZE, RW, MAP_FIXED | MAP_SHARED, fd, 0) == start);
	other = mmap(NULL, SIZE, RW, MAP_SHARED, fd, 0);
	CHECK(other != MAP_FAILED);
	vm_create(vm);
	vm_reset(g.v, LONG);
	for (i = 0; i < 5; i++) {
		region_run(&g, STAMP_ZEROS);
		region_rounds(&g, 1);
		CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
		    FALLOC_FL_KEEP_SIZE, i % 2 * 2 * MB, 2 * MB));
		region_alive(&g);
		CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
		    FALLOC_FL_KEEP_SIZE, 0, SIZE));
		region_alive(&g);
		region_stop(&g);
		region_run(&g, 0);
		region_rounds(&g, 1);
		CHECK_OK(madvise(start, SIZE, MADV_DONTNEED));
		region_alive(&g);
		CHECK_EQ(((volatile uint64_t *)other)[ECHO], g.tag);
		CHECK_OK(mprotect(start, 2 * MB, PROT_READ));
		CHECK(is_exit_fault(runner_join(g.r)));
		CHECK_OK(mprotect(start, 2 * MB, RW));
		g.r = runner_start(g.v);
		region_alive(&g);
		region_stop(&g);
	}
	vm_free(vm);
	CHECK_OK(munmap(other, SIZE));
	CHECK_OK(close(fd));
	reserve_huge_pages(0);
}

/* --- Pages that move ------------------------------------------------------ */

/*
 * Compaction moves pages from one end of memory into the holes at the other,
 * where some are in use: so the region lies scattered in between holes.
 */
static uint8_t *
scatter(struct region *g, size_t size)
{
	uint8_t *p = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const size_t pages = size / PAGE;
	size_t i;

	CHECK(p != MAP_FAILED);
	CHECK_OK(madvise(p, size, MADV_NOHUGEPAGE));
	CHECK_OK(madvise(region_start(g), SIZE, MADV_NOHUGEPAGE));
	for (i = 0; i < pages; i++) {
		p[i * PAGE] = 1;
		/* A MiB of the one, a few pages of the other. */
		if (i % 256 < 256 * g->pages / pages)
			region_page(g, (unsigned int)(i / 256 * 256 *
			    g->pages / pages + i % 256))[TAG] = 0;
	}
	for (i = 0; i < pages; i += 8)
		CHECK_OK(madvise(p + i * PAGE, 7 * PAGE, MADV_DONTNEED));
	return p;
}

TEST_T(hostmem_compact, "run/hostmem/compaction", 90)
{
	struct region g = region_new(vm_new(LONG));
	uint64_t before[PAGES], after[PAGES];
	const size_t size = 64 * MB;
	unsigned int i, p, moved = 0;
	uint8_t *holes;

	for (i = 0; i < 4 && moved == 0; i++) {
		holes = scatter(&g, size);
		region_run(&g, 0);
		region_rounds(&g, 1);
		pagemap(&g, before);
		file_write("/proc/sys/vm/compact_memory", "1");
		region_settled(&g);
		pagemap(&g, after);
		region_stop(&g);
		CHECK_OK(munmap(holes, size));
		for (p = 0; p < PAGES; p++)
			moved += (before[p] & PAGEMAP_PFN) !=
			    (after[p] & PAGEMAP_PFN);
		/* New pages in another order, for the next time. */
		CHECK_OK(madvise(region_start(&g), SIZE, MADV_DONTNEED));
		memset(g.vm->mem + STAMPS, 0, PAGES * 8);
	}
	test_note("%u of %u pages moved", moved, PAGES);
	CHECK(moved > 0);
}

/* --- Fork ----------------------------------------------------------------- */

struct snapshot {
	struct region *g;
	int	 go[2], done[2];	/* pipes */
};

/* The child has the memory as it was, whatever the guest does to its own. */
static void
snapshot_child(void *arg)
{
	struct snapshot *s = arg;
	uint64_t seen[PAGES];
	unsigned int p;
	char c;

	CHECK_OK(close(s->go[1]));
	for (p = 0; p < PAGES; p++) {
		seen[p] = region_page(s->g, p)[FIRST];
		/* Between the guest's two stores, perhaps. */
		CHECK(seen[p] - region_page(s->g, p)[LAST] <= 1);
	}
	CHECK_EQ(write(s->done[1], "x", 1), 1);
	CHECK_EQ(read(s->go[0], &c, 1), 1);
	for (p = 0; p < PAGES; p++) {
		CHECK_EQ(region_page(s->g, p)[FIRST], seen[p]);
		region_page(s->g, p)[FIRST] = HEIRLOOM;
		region_page(s->g, p)[LAST] = HEIRLOOM;
	}
	CHECK_EQ(write(s->done[1], "x", 1), 1);
	CHECK_EQ(read(s->go[0], &c, 1), 1);
	for (p = 0; p < PAGES; p++) {
		CHECK_EQ(region_page(s->g, p)[FIRST], HEIRLOOM);
		CHECK_EQ(region_page(s->g, p)[LAST], HEIRLOOM);
	}
}

static void
snapshot_once(struct region *g)
{
	struct snapshot s = { .g = g };
	int pid, i;
	char c;

	CHECK_OK(pipe(s.go));
	CHECK_OK(pipe(s.done));
	pid = child_start(snapshot_child, &s);
	CHECK_OK(close(s.done[1]));
	for (i = 0; i < 2; i++) {
		CHECK_EQ(read(s.done[0], &c, 1), 1);
		region_alive(g);
		CHECK_EQ(write(s.go[1], "x", 1), 1);
	}
	child_wait(pid);
	region_alive(g);
	CHECK_OK(close(s.go[0]));
	CHECK_OK(close(s.go[1]));
	CHECK_OK(close(s.done[0]));
}

TEST_T(hostmem_fork, "run/hostmem/fork", 90)
{
	struct region g = region_new(vm_new(LONG));
	unsigned int i;

	CHECK_OK(madvise(region_start(&g), SIZE, MADV_NOHUGEPAGE));
	region_run(&g, 0);
	region_rounds(&g, 1);
	for (i = 0; i < 6; i++) {
		if (i == 3) {
			CHECK_OK(madvise(region_start(&g), SIZE, MADV_HUGEPAGE));
			CHECK_OK(madvise(region_start(&g), SIZE, MADV_COLLAPSE));
		}
		snapshot_once(&g);
	}
	region_stop(&g);
}

/* --- KSM ------------------------------------------------------------------ */

#define KSM	"/sys/kernel/mm/ksm/"

/* One page for all that are alike, and one each again as they are written to. */
TEST_T(hostmem_ksm, "run/hostmem/ksm", 120)
{
	struct region g = region_new(vm_new(LONG));
	uint8_t *start = region_start(&g);
	volatile uint64_t *twin;
	unsigned int i, p;

	g.pages = 128;
	CHECK_OK(madvise(start, SIZE, MADV_NOHUGEPAGE));
	twin = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(twin != MAP_FAILED);
	CHECK_OK(madvise((void *)(uintptr_t)twin, PAGE, MADV_MERGEABLE));
	file_write(KSM "pages_to_scan", "10000");
	file_write(KSM "sleep_millisecs", "1");
	for (i = 0; i < 3; i++) {
		const uint64_t value = 0x1000 * (i + 1);

		for (p = 0; p < g.pages; p++) {
			memset((void *)(uintptr_t)region_page(&g, p), 0, PAGE);
			region_page(&g, p)[FIRST] = value;
			region_page(&g, p)[LAST] = value;
			GUEST(g.vm, uint64_t, STAMPS + p * 8) = value;
		}
		twin[ECHO] = 0;
		twin[FIRST] = twin[LAST] = value;
		region_run(&g, STAMP_READ);
		CHECK_OK(madvise(start, g.pages * PAGE, MADV_MERGEABLE));
		file_write(KSM "run", "1");
		while (file_number(KSM "pages_sharing", "") < g.pages) {
			region_check(&g);
			sleep_ms(5);
		}
		region_rounds(&g, 2);
		region_stop(&g);
		CHECK_EQ(file_number(KSM "pages_shared", ""), 1);
		/* Everybody's own again: by writing, or all at once. */
		region_run(&g, i % 2 ? STAMP_READ : 0);
		region_rounds(&g, 1);
		if (i % 2)
			CHECK_OK(madvise(start, g.pages * PAGE,
			    MADV_UNMERGEABLE));
		region_rounds(&g, 1);
		region_stop(&g);
		region_run(&g, 0);
		region_settled(&g);
		CHECK_EQ(twin[FIRST], value);
		CHECK_EQ(twin[LAST], value);
		region_stop(&g);
		file_write(KSM "run", "2");
		CHECK_EQ(file_number(KSM "pages_shared", ""), 0);
	}
	file_write(KSM "run", "0");
	file_write(KSM "sleep_millisecs", "20");
	file_write(KSM "pages_to_scan", "100");
}

/* --- Swap and write-back -------------------------------------------------- */

#define ZRAM	"/dev/zram0"

static void
zram_start(const char *size)
{
	load_module("zsmalloc");
	load_module("lzo");
	load_module("lzo-rle");
	load_module("zram");
	file_write("/sys/block/zram0/reset", "1");
	file_write("/sys/block/zram0/disksize", size);
}

static void
swap_start(void)
{
	uint32_t page[PAGE / 4] = { 0 };
	int fd;

	zram_start("64M");
	page[256] = 1;				/* version */
	page[257] = 64 * MB / PAGE - 1;		/* the last page */
	memcpy((uint8_t *)page + PAGE - 10, "SWAPSPACE2", 10);
	fd = open(ZRAM, O_RDWR | O_CLOEXEC);
	CHECK_OK(fd);
	CHECK_EQ(write(fd, page, PAGE), PAGE);
	CHECK_OK(close(fd));
	CHECK_OK(swapon(ZRAM, 0));
}

static void
swap_stop(void)
{
	CHECK_OK(swapoff(ZRAM));
	file_write("/sys/block/zram0/reset", "1");
}

/* Twice: what the guest has used since the host last looked stays once. */
static void
page_out(const struct region *g)
{
	CHECK_OK(madvise(region_start(g), region_size(g), MADV_PAGEOUT));
	CHECK_OK(madvise(region_start(g), region_size(g), MADV_PAGEOUT));
}

TEST_T(hostmem_swap, "run/hostmem/swap", 90)
{
	struct region g = region_new(vm_new(LONG));
	uint8_t *start = region_start(&g);
	unsigned int i;
	long out, in;

	swap_start();
	for (i = 0; i < 3; i++) {
		g.pages = i < 2 ? 128 : 512;
		CHECK_OK(madvise(start, SIZE,
		    i < 2 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE));
		region_run(&g, 0);
		region_rounds(&g, 1);
		out = vmstat("pswpout ");
		in = vmstat("pswpin ");
		/* What the guest does not use for a moment. */
		page_out(&g);
		region_settled(&g);
		region_stop(&g);
		/* All of it, while the guest does not run. */
		page_out(&g);
		CHECK(vmstat("pswpout ") > out);
		CHECK(pagemap_count(&g, PAGEMAP_SWAPPED) > g.pages / 2);
		region_run(&g, i % 2 ? STAMP_READ : 0);
		region_rounds(&g, 1);
		CHECK(vmstat("pswpin ") > in);
		region_stop(&g);
	}
	/* All comes back at once under the guest. */
	page_out(&g);
	region_run(&g, 0);
	swap_stop();
	region_settled(&g);
	region_stop(&g);
}

/* --- Which pages are in use --------------------------------------------------- */

#define CGROUP	"/tmp/cgroup"

/* This process alone, so that reclaim has nobody else's pages. */
static void
cgroup_join(void)
{
	CHECK(mkdir(CGROUP, 0755) == 0 || errno == EEXIST);
	CHECK(mount("cgroup", CGROUP, "cgroup2", 0, NULL) == 0 || errno == EBUSY);
	file_write(CGROUP "/cgroup.subtree_control", "+memory");
	CHECK(mkdir(CGROUP "/guest", 0755) == 0 || errno == EEXIST);
	file_write(CGROUP "/guest/cgroup.procs", "0");
}

/* About as much as that; how much there is depends on what is in use. */
static void
cgroup_reclaim(const char *bytes)
{
	int fd = open(CGROUP "/guest/memory.reclaim", O_WRONLY | O_CLOEXEC);

	CHECK_OK(fd);
	if (write(fd, bytes, strlen(bytes)) < 0)
		CHECK_EQ(errno, EAGAIN);
	CHECK_OK(close(fd));
}

/*
 * The host's own entries say that all pages are alike: the guest has touched
 * them once, the first half before the other. Only the second stage knows that
 * it goes on using the first half, which reclaim would take before the other.
 */
TEST_T(hostmem_young, "run/hostmem/pages_in_use", 60)
{
	struct region first, second, g;
	unsigned int from_first, from_second, i;

	swap_start();
	cgroup_join();
	g = region_new(vm_new(LONG));
	CHECK_OK(madvise(region_start(&g), SIZE, MADV_NOHUGEPAGE));
	vm_call_ok(g.v, g_long_fill, BASE, SIZE, PAGE, 1);
	first = second = g;
	first.pages = second.pages = PAGES / 2;
	first.from = 0;
	second.from = PAGES / 2;
	from_first = from_second = 0;
	for (i = 0; i < 3; i++) {
		/* Until nothing counts as used any more. */
		cgroup_reclaim("4K");
		CHECK_EQ(vm_call_ok(g.v, g_long_verify, BASE, SIZE / 2, PAGE, 1),
		    0);
		from_first -= pagemap_count(&first, PAGEMAP_SWAPPED);
		from_second -= pagemap_count(&second, PAGEMAP_SWAPPED);
		cgroup_reclaim("512K");
		from_first += pagemap_count(&first, PAGEMAP_SWAPPED);
		from_second += pagemap_count(&second, PAGEMAP_SWAPPED);
	}
	test_note("reclaimed: %u pages in use, %u others", from_first,
	    from_second);
	CHECK(from_second >= 128);
	CHECK(from_first * 2 < from_second);
	CHECK_EQ(vm_call_ok(g.v, g_long_verify, BASE, SIZE, PAGE, 1), 0);
	file_write(CGROUP "/cgroup.procs", "0");
	vm_free(g.vm);
	swap_stop();
}

/* A file that is written to a disk: nothing that the guest wrote is lost. */
TEST_T(hostmem_writeback, "run/hostmem/write_back", 90)
{
	struct vm *vm = vm_prepare(1, VM_SIZE, 0);
	struct region g = region_new(vm);
	uint8_t *start = region_start(&g);
	uint64_t page[PAGE / 8];
	unsigned int i, p;
	int fd;

	g.pages = 256;
	zram_start("8M");
	fd = open(ZRAM, O_RDWR | O_CLOEXEC);
	CHECK_OK(fd);
	CHECK(mmap(start, SIZE, RW, MAP_FIXED | MAP_SHARED, fd, 0) == start);
	vm_create(vm);
	vm_reset(g.v, LONG);
	for (i = 0; i < 6; i++) {
		region_run(&g, 0);
		region_rounds(&g, 1);
		CHECK_OK(msync(start, SIZE, MS_SYNC));
		region_alive(&g);
		CHECK_OK(msync(start, SIZE, MS_SYNC));
		region_rounds(&g, 1);
		region_stop(&g);
		CHECK_OK(msync(start, SIZE, MS_SYNC));
		/* Only what has reached the disk is there then. */
		CHECK_OK(madvise(start, SIZE, MADV_DONTNEED));
		CHECK_OK(posix_fadvise(fd, 0, SIZE, POSIX_FADV_DONTNEED));
		file_write("/proc/sys/vm/drop_caches", "1");
		for (p = 0; p < g.pages; p++) {
			CHECK_EQ(pread(fd, page, PAGE, p * PAGE), PAGE);
			CHECK_EQ(page[FIRST], GUEST(vm, uint64_t, STAMPS + p * 8));
			CHECK_EQ(page[LAST], page[FIRST]);
		}
	}
	vm_free(vm);
	CHECK_OK(close(fd));
	file_write("/sys/block/zram0/reset", "1");
}

/* Which pages have been written to since the question was last asked. */
TEST_T(hostmem_soft_dirty, "run/hostmem/soft_dirty", 60)
{
	struct region g = region_new(vm_new(LONG));
	unsigned int i;

	for (i = 0; i < 4; i++) {
		CHECK_OK(madvise(region_start(&g), SIZE,
		    i < 2 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE));
		region_run(&g, 0);
		region_rounds(&g, 1);
		file_write("/proc/self/clear_refs", "4");
		region_rounds(&g, 1);
		CHECK_EQ(pagemap_count(&g, PAGEMAP_SOFT_DIRTY), PAGES);
		region_stop(&g);
		file_write("/proc/self/clear_refs", "4");
		region_run(&g, STAMP_READ);
		region_rounds(&g, 1);
		region_stop(&g);
		CHECK_EQ(pagemap_count(&g, PAGEMAP_SOFT_DIRTY), 0);
	}
}

/* --- userfaultfd ---------------------------------------------------------- */

/* A thread that answers for the region. */
struct pager {
	struct region *g;
	pthread_t thread;
	int	 fd, stop[2];
	unsigned int faults;
	void	(*answer)(struct pager *, uint64_t page, uint64_t flags);
};

static void *
pager_main(void *arg)
{
	struct pager *u = arg;
	struct uffd_msg msg;
	struct pollfd p[2] = {
		{ .fd = u->fd, .events = POLLIN },
		{ .fd = u->stop[0], .events = POLLIN },
	};

	for (;;) {
		CHECK(poll(p, 2, -1) > 0);
		if (p[1].revents != 0)
			return NULL;
		if (read(u->fd, &msg, sizeof(msg)) != sizeof(msg)) {
			CHECK_EQ(errno, EAGAIN);
			continue;
		}
		CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
		u->faults++;
		u->answer(u, msg.arg.pagefault.address & ~(PAGE - 1),
		    msg.arg.pagefault.flags);
	}
}

static void
pager_start(struct pager *u, struct region *g, uint64_t mode, uint64_t features,
    void (*answer)(struct pager *, uint64_t page, uint64_t flags))
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)region_start(g), g->pages * PAGE },
		.mode = mode,
	};

	*u = (struct pager){ .g = g, .answer = answer };
	u->fd = (int)CHECK_OK(syscall(SYS_userfaultfd,
	    O_CLOEXEC | O_NONBLOCK));
	CHECK_OK(ioctl(u->fd, UFFDIO_API, &api));
	CHECK_OK(ioctl(u->fd, UFFDIO_REGISTER, &reg));
	CHECK_OK(pipe(u->stop));
	CHECK_EQ(pthread_create(&u->thread, NULL, pager_main, u), 0);
}

/* Nobody waits for an answer any more. */
static void
pager_end(struct pager *u)
{
	CHECK_EQ(write(u->stop[1], "x", 1), 1);
	CHECK_EQ(pthread_join(u->thread, NULL), 0);
	CHECK_OK(close(u->stop[0]));
	CHECK_OK(close(u->stop[1]));
	CHECK_OK(close(u->fd));
}

/* As if it came from afar: a page that says where it belongs. */
static void
pager_copy(struct pager *u, uint64_t page, uint64_t flags)
{
	static uint64_t from[PAGE / 8] __attribute__((aligned(4096)));
	uint64_t i = (page - (uintptr_t)region_start(u->g)) / PAGE;
	struct uffdio_copy copy = {
		.dst = page, .src = (uintptr_t)from, .len = PAGE,
	};

	CHECK((flags & UFFD_PAGEFAULT_FLAG_WP) == 0);
	from[FIRST] = from[LAST] = 1000 + i;
	if (ioctl(u->fd, UFFDIO_COPY, &copy) != 0)
		CHECK_EQ(errno, EEXIST);
}

/* All pages from afar, and gone again, and again. */
TEST_T(hostmem_uffd_missing, "run/hostmem/userfaultfd_missing", 90)
{
	struct region g = region_new(vm_new(LONG));
	struct pager u;
	unsigned int i, p;

	g.pages = 128;
	CHECK_OK(madvise(region_start(&g), SIZE, MADV_NOHUGEPAGE));
	pager_start(&u, &g, UFFDIO_REGISTER_MODE_MISSING, 0, pager_copy);
	for (i = 0; i < 4; i++) {
		for (p = 0; p < g.pages; p++)
			GUEST(g.vm, uint64_t, STAMPS + p * 8) = 1000 + p;
		region_run(&g, 0);
		region_rounds(&g, 1);
		region_alive(&g);
		region_stop(&g);
		CHECK_OK(madvise(region_start(&g), SIZE, MADV_DONTNEED));
	}
	CHECK_EQ(u.faults, 4 * g.pages);
	pager_end(&u);
}

/* What a monitor does that takes a snapshot: each page before it is changed. */
static uint64_t protected_stamp[PAGES];

static void
pager_unprotect(struct pager *u, uint64_t page, uint64_t flags)
{
	uint64_t i = (page - (uintptr_t)region_start(u->g)) / PAGE;
	struct uffdio_writeprotect wp = { .range = { page, PAGE } };

	CHECK((flags & UFFD_PAGEFAULT_FLAG_WP) != 0);
	CHECK_EQ(region_page(u->g, (unsigned int)i)[FIRST], protected_stamp[i]);
	CHECK_OK(ioctl(u->fd, UFFDIO_WRITEPROTECT, &wp));
}

TEST_T(hostmem_uffd_wp, "run/hostmem/userfaultfd_write_protect", 90)
{
	struct region g = region_new(vm_new(LONG));
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)region_start(&g), 128 * PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct pager u;
	unsigned int i, p;

	g.pages = 128;
	CHECK_OK(madvise(region_start(&g), SIZE, MADV_NOHUGEPAGE));
	pager_start(&u, &g, UFFDIO_REGISTER_MODE_WP,
	    UFFD_FEATURE_PAGEFAULT_FLAG_WP, pager_unprotect);
	region_run(&g, 0);
	region_rounds(&g, 1);
	region_stop(&g);
	for (i = 0; i < 6; i++) {
		for (p = 0; p < g.pages; p++)
			protected_stamp[p] = region_page(&g, p)[FIRST];
		CHECK_OK(ioctl(u.fd, UFFDIO_WRITEPROTECT, &wp));
		/* Reading is free. */
		region_run(&g, STAMP_READ);
		region_rounds(&g, 1);
		region_stop(&g);
		CHECK_EQ(u.faults, i * g.pages);
		region_run(&g, 0);
		region_rounds(&g, 1);
		region_stop(&g);
		CHECK_EQ(u.faults, (i + 1) * g.pages);
	}
	pager_end(&u);
}

/* The same under a guest that is writing: it stops at once. */
static void
pager_watch(struct pager *u, uint64_t page, uint64_t flags)
{
	uint64_t i = (page - (uintptr_t)region_start(u->g)) / PAGE;
	struct uffdio_writeprotect wp = { .range = { page, PAGE } };
	uint64_t seen = region_page(u->g, (unsigned int)i)[FIRST];

	CHECK((flags & UFFD_PAGEFAULT_FLAG_WP) != 0);
	sleep_ms(1);
	CHECK_EQ(region_page(u->g, (unsigned int)i)[FIRST], seen);
	CHECK_OK(ioctl(u->fd, UFFDIO_WRITEPROTECT, &wp));
}

TEST_T(hostmem_uffd_wp_busy, "run/hostmem/userfaultfd_write_protect_busy", 90)
{
	struct region g = region_new(vm_new(LONG));
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)region_start(&g), 64 * PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct pager u;
	unsigned int i;

	g.pages = 64;
	CHECK_OK(madvise(region_start(&g), SIZE, MADV_NOHUGEPAGE));
	pager_start(&u, &g, UFFDIO_REGISTER_MODE_WP,
	    UFFD_FEATURE_PAGEFAULT_FLAG_WP, pager_watch);
	region_run(&g, 0);
	region_rounds(&g, 1);
	for (i = 0; i < 5; i++) {
		CHECK_OK(ioctl(u.fd, UFFDIO_WRITEPROTECT, &wp));
		region_rounds(&g, 2);
		CHECK(u.faults >= (i + 1) * g.pages);
	}
	region_stop(&g);
	pager_end(&u);
}

/* The page is in the file; somebody wants to see it before it is mapped. */
static uint64_t *minor_other;

static void
pager_continue(struct pager *u, uint64_t page, uint64_t flags)
{
	struct uffdio_continue c = { .range = { page, PAGE } };
	uint64_t i = (page - (uintptr_t)region_start(u->g)) / PAGE;
	volatile uint64_t *words = minor_other + i * (PAGE / 8);

	CHECK((flags & UFFD_PAGEFAULT_FLAG_MINOR) != 0);
	words[TAG] = 5000 + u->faults;
	if (ioctl(u->fd, UFFDIO_CONTINUE, &c) != 0)
		CHECK_EQ(errno, EEXIST);
}

TEST_T(hostmem_uffd_minor, "run/hostmem/userfaultfd_minor", 90)
{
	struct vm *vm = vm_new_with(LONG, 1, VM_SIZE, VM_SHARED);
	struct region g = region_new(vm);
	struct pager u;
	unsigned int i, p;

	g.pages = 128;
	minor_other = mmap(NULL, SIZE, RW, MAP_SHARED, vm->memfd, BASE);
	CHECK(minor_other != MAP_FAILED);
	memset(minor_other, 0, g.pages * PAGE);
	pager_start(&u, &g, UFFDIO_REGISTER_MODE_MINOR,
	    UFFD_FEATURE_MINOR_SHMEM, pager_continue);
	for (i = 0; i < 4; i++) {
		region_run(&g, 0);
		region_rounds(&g, 1);
		region_stop(&g);
		for (p = 0; p < g.pages; p++) {
			volatile uint64_t *w = minor_other + p * (PAGE / 8);

			CHECK(w[TAG] >= 5000 + i * g.pages);
			CHECK_EQ(w[ECHO], w[TAG]);
		}
		CHECK_EQ(u.faults, (i + 1) * g.pages);
		CHECK_OK(madvise(region_start(&g), SIZE, MADV_DONTNEED));
	}
	pager_end(&u);
	CHECK_OK(munmap(minor_other, SIZE));
}
