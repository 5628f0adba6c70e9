/* SPDX-License-Identifier: ISC */
/*
 * host_user.c - host.h in user space, on pthreads, for the unit tests.
 *
 * Strict where a kernel would only misbehave now and then: every rule that
 * host.h states about contexts is asserted.
 */
#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "host_user.h"
#include "stage2.h"
#include "sync.h"

#define USER_END	0x7ffffffff000ULL
#define MUTEX_MAGIC	0x6d757478u
#define SPIN_MAGIC	0x7370696eu
#define WAIT_SECONDS	20

/* Tests without memory.c link too; only a watch ever calls it. */
bool	mem_invalidate(void *arg, uint64_t start, uint64_t end, bool may_block,
	    unsigned long token) __attribute__((weak));
void	mem_owner_gone(void *arg) __attribute__((weak));
bool	mem_age(void *arg, uint64_t start, uint64_t end, bool clear)
	    __attribute__((weak));

struct host_user host_user;

/* --- Threads and contexts ------------------------------------------------- */

static uint32_t nthreads;

static _Thread_local struct {
	uint32_t number;	/* from 1; 0: not yet seen */
	unsigned int cpu, as;
	unsigned int preempt;	/* depth */
	bool	 irqs_off;
	unsigned int spins, mutexes, reclaim_mutexes;
	bool	 invalidating, atomic;	/* inside mem_invalidate() */
	bool	 stay;
	unsigned int faults_off;	/* depth */
	bool	 brought;	/* a page, for the next copy */
	bool	 stepping;	/* inside on_step() */
} self;

static uint32_t
thread_number(void)
{
	if (self.number == 0) {
		self.number = sync_add(&nthreads, 1);
		self.cpu = (self.number - 1) % host_cpu_limit();
	}
	return self.number;
}

void
host_user_panic(const char *fmt, ...)
{
	va_list ap;

	fputs("host_user: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static void
might_sleep(const char *what)
{
	if (self.preempt > 0)
		host_user_panic("%s may sleep, but preemption is off", what);
	if (self.spins > 0)
		host_user_panic("%s may sleep, but a spinlock is held", what);
	if (self.atomic)
		host_user_panic("%s may sleep, but the invalidation must not", what);
}

/* Takes memory or touches user pages: may end in an invalidation. */
static void
might_reclaim(const char *what)
{
	might_sleep(what);
	if (self.reclaim_mutexes > 0 || self.invalidating)
		host_user_panic("%s under a lock that invalidations take", what);
}

/* A small quarantine: the suites allocate pages by the hundred thousand. */
const char *
__asan_default_options(void)
{
	return "quarantine_size_mb=16:detect_leaks=1";
}

/* What the address sanitizer knows of the caller's objects; without it, nothing is. */
static bool
is_poisoned(void *base, size_t len)
{
#ifdef __SANITIZE_ADDRESS__
	return __asan_region_is_poisoned(base, len) != NULL;
#else
	(void)base, (void)len;
	return false;
#endif
}

/* --- Reset ---------------------------------------------------------------- */

void
host_user_sync(int at)
{
	if (host_user.on_sync != NULL)
		host_user.on_sync(at);
}

static int64_t fail_alloc;	/* counts down to 0, then fails once */
static bool alloc_failed;

void
host_user_reset(void)
{
	int64_t live = host_user.alloc_live, bytes = host_user.alloc_bytes;
	int64_t as = host_user.as_live, watches = host_user.watches_live;
	int64_t kept = host_user.kept;

	host_user = (struct host_user){
		.caller = { .uid = 1000, .pid = 100 },
		.cpus = HOST_USER_CPUS,
		.alloc_live = live,
		.alloc_bytes = bytes,
		.as_live = as,
		.watches_live = watches,
		.kept = kept,
		.cpus_errno = -EIO,
		.ns = 1000000000ULL,
		.wall_ns = 1600000000000000000ULL,
		.tsc_khz = 2000000,
		.tsc_stable = true,
		.thread = { .fs_base = 0x7f0000001000 },
	};
	fail_alloc = 0;
	alloc_failed = false;
}

__attribute__((constructor)) static void
host_user_init(void)
{
	host_user_reset();
	thread_number();
}

/* --- Memory --------------------------------------------------------------- */

/* Live objects, so that a foreign or doubly freed pointer is caught. */
struct object {
	struct object *next;
	void	*p;
	size_t	 size;
	unsigned int order;	/* UINT32_MAX: from host_alloc() */
};
#define OBJECT_HASH	1024
static struct object *objects[OBJECT_HASH];
static pthread_mutex_t objects_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned int
object_slot(const void *p)
{
	uint64_t a = (uint64_t)(uintptr_t)p;

	return (unsigned int)((a >> 4 ^ a >> 14) % OBJECT_HASH);
}

void
host_user_fail_alloc(uint64_t nth)
{
	alloc_failed = false;
	sync_store(&fail_alloc, (int64_t)nth);
}

bool
host_user_alloc_failed(void)
{
	return sync_load(&alloc_failed);
}

/* A step in the life of an object: what the test has come between. */
static void
step(void)
{
	void (*on_step)(void) = host_user.on_step;

	if (on_step == NULL || self.stepping || self.mutexes > 0 || self.spins > 0 ||
	    self.preempt > 0 || self.invalidating)
		return;
	self.stepping = true;
	on_step();
	self.stepping = false;
}

static bool
alloc_should_fail(void)
{
	step();
	sync_add(&host_user.allocs, 1);
	if (sync_load(&fail_alloc) > 0 && sync_sub(&fail_alloc, 1) == 0) {
		sync_store(&alloc_failed, true);
		return true;
	}
	return false;
}

static void *
object_add(void *p, size_t size, unsigned int order)
{
	struct object *o = malloc(sizeof(*o));
	unsigned int slot = object_slot(p);

	if (p == NULL || o == NULL)
		host_user_panic("the machine itself is out of memory");
	memset(p, 0, size);
	pthread_mutex_lock(&objects_lock);
	*o = (struct object){ objects[slot], p, size, order };
	objects[slot] = o;
	host_user.alloc_live++;
	host_user.alloc_bytes += (int64_t)size;
	pthread_mutex_unlock(&objects_lock);
	return p;
}

static void
object_remove(void *p, unsigned int order)
{
	struct object **link, *o;

	step();
	pthread_mutex_lock(&objects_lock);
	for (link = &objects[object_slot(p)]; (o = *link) != NULL;
	    link = &o->next)
		if (o->p == p)
			break;
	if (o == NULL)
		host_user_panic("free of %p, which is not alive", p);
	if (o->order != order)
		host_user_panic("free of %p as another kind of memory", p);
	*link = o->next;
	host_user.alloc_live--;
	host_user.alloc_bytes -= (int64_t)o->size;
	pthread_mutex_unlock(&objects_lock);
	free(o);
	free(p);
}

void *
host_alloc(size_t size)
{
	might_reclaim("host_alloc");
	if (size == 0)
		host_user_panic("host_alloc of nothing");
	if (alloc_should_fail())
		return NULL;
	return object_add(malloc(size), size, UINT32_MAX);
}

void
host_free(void *p)
{
	if (p != NULL)
		object_remove(p, UINT32_MAX);
}

void *
host_page_alloc(unsigned int order)
{
	size_t size = (size_t)4096 << order;

	might_reclaim("host_page_alloc");
	if (order > 10)
		host_user_panic("host_page_alloc of order %u", order);
	if (alloc_should_fail())
		return NULL;
	return object_add(aligned_alloc(size, size), size, order);
}

void
host_page_free(void *va, unsigned int order)
{
	if (va != NULL)
		object_remove(va, order);
}

uint64_t
host_va_to_pa(const void *va)
{
	return (uint64_t)(uintptr_t)va;
}

void *
host_pa_to_va(uint64_t pa)
{
	return (void *)(uintptr_t)pa;
}

/* --- Locks ---------------------------------------------------------------- */

void
host_mutex_init(struct host_mutex *m)
{
	pthread_mutex_init(&m->m, NULL);
	m->owner = 0;
	m->reclaim = false;
	m->magic = MUTEX_MAGIC;
}

static void
mutex_check(const struct host_mutex *m, const char *what)
{
	if (m->magic != MUTEX_MAGIC)
		host_user_panic("%s of a mutex that was not initialised", what);
}

void
host_mutex_destroy(struct host_mutex *m)
{
	step();
	mutex_check(m, "destroy");
	if (sync_load(&m->owner) != 0)
		host_user_panic("destroy of a mutex that is held");
	pthread_mutex_destroy(&m->m);
	m->magic = 0;
}

bool
host_user_mutex_mine(const struct host_mutex *m)
{
	return sync_load(&m->owner) == thread_number();
}

static void
mutex_taken(struct host_mutex *m)
{
	sync_store(&m->owner, thread_number());
	self.mutexes++;
	if (self.invalidating)
		sync_store(&m->reclaim, true);
	if (sync_load(&m->reclaim))
		self.reclaim_mutexes++;
	if (host_user.on_locked != NULL)
		host_user.on_locked(m);
}

static void
mutex_want(struct host_mutex *m)
{
	mutex_check(m, "lock");
	might_sleep("host_mutex_lock");
	if (host_user_mutex_mine(m))
		host_user_panic("lock of a mutex that this thread holds");
}

void
host_mutex_lock(struct host_mutex *m)
{
	mutex_want(m);
	pthread_mutex_lock(&m->m);
	mutex_taken(m);
}

int
host_mutex_lock_interruptible(struct host_mutex *m)
{
	struct timespec t;

	mutex_want(m);
	while (pthread_mutex_trylock(&m->m) != 0) {
		if (host_signal_pending())
			return -EINTR;
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 1000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_nsec -= 1000000000;
			t.tv_sec++;
		}
		if (pthread_mutex_timedlock(&m->m, &t) == 0)
			break;
	}
	mutex_taken(m);
	return 0;
}

bool
host_mutex_trylock(struct host_mutex *m)
{
	mutex_check(m, "trylock");
	if (host_user_mutex_mine(m) || pthread_mutex_trylock(&m->m) != 0)
		return false;
	mutex_taken(m);
	return true;
}

void
host_mutex_unlock(struct host_mutex *m)
{
	mutex_check(m, "unlock");
	if (!host_user_mutex_mine(m))
		host_user_panic("unlock of a mutex that this thread does not hold");
	self.mutexes--;
	if (m->reclaim)
		self.reclaim_mutexes--;
	sync_store(&m->owner, 0);
	pthread_mutex_unlock(&m->m);
}

void
host_spin_init(struct host_spinlock *s)
{
	pthread_mutex_init(&s->m, NULL);
	s->owner = 0;
	s->magic = SPIN_MAGIC;
}

void
host_spin_lock(struct host_spinlock *s)
{
	if (s->magic != SPIN_MAGIC)
		host_user_panic("a spinlock that was not initialised");
	if (sync_load(&s->owner) == thread_number())
		host_user_panic("a spinlock taken twice");
	pthread_mutex_lock(&s->m);
	sync_store(&s->owner, thread_number());
	self.spins++;
}

void
host_spin_unlock(struct host_spinlock *s)
{
	if (sync_load(&s->owner) != thread_number())
		host_user_panic("unlock of a spinlock that this thread does not hold");
	self.spins--;
	sync_store(&s->owner, 0);
	pthread_mutex_unlock(&s->m);
	if (host_user.on_spin_unlocked != NULL)
		host_user.on_spin_unlocked();
}

/* --- The caller ----------------------------------------------------------- */

struct host_as {
	uint64_t refs;
	unsigned int number;
};

uint32_t
host_caller_uid(void)
{
	return host_user.caller.uid;
}

void
host_caller(struct host_caller *c)
{
	*c = host_user.caller;
}

void
host_user_set_as(unsigned int as)
{
	self.as = as;
}

struct host_as *
host_as_get_current(void)
{
	struct host_as *as = malloc(sizeof(*as));

	if (as == NULL)
		host_user_panic("the machine itself is out of memory");
	as->refs = 1;
	as->number = self.as;
	sync_add(&host_user.as_live, 1);
	return as;
}

void
host_as_put(struct host_as *as)
{
	sync_sub(&host_user.as_live, 1);
	if (sync_sub(&as->refs, 1) == 0)
		free(as);
}

bool
host_as_is_current(const struct host_as *as)
{
	return as->number == self.as;
}

bool
host_user_range_ok(uint64_t uaddr, uint64_t size)
{
	return uaddr >= 4096 && uaddr < USER_END && size <= USER_END - uaddr;
}

static bool
copy_should_fail(void)
{
	sync_add(&host_user.copies, 1);
	return host_user.fail_copies || (sync_load(&host_user.fail_copy) > 0 &&
	    sync_sub(&host_user.fail_copy, 1) == 0);
}

/* The kernel's view of user memory: page rights hold, a bad address is an
 * error. Overrunning an object of the test is a bug of the driver. */
static bool
user_copy(void *kernel, uint64_t uaddr, size_t len, bool out)
{
	struct iovec k = { kernel, len };
	struct iovec u = { (void *)(uintptr_t)uaddr, len };
	ssize_t n;

	if (len == 0)
		return true;
	if (!host_user_range_ok(uaddr, len))
		return false;
	n = out ? process_vm_writev(getpid(), &k, 1, &u, 1, 0) :
	    process_vm_readv(getpid(), &k, 1, &u, 1, 0);
	if (n < 0 && errno != EFAULT)
		host_user_panic("process_vm_*: %s", strerror(errno));
	if (n != (ssize_t)len)
		return false;
	if (is_poisoned(u.iov_base, len))
		host_user_panic("copy of %zu bytes overruns the caller's object",
		    len);
	return true;
}

void
host_faults_off(void)
{
	if (self.stay)
		host_user_panic("host_faults_off during a stay, which has them off");
	self.faults_off++;
}

void
host_faults_on(void)
{
	if (self.faults_off-- == 0)
		host_user_panic("host_faults_on once too often");
}

static bool is_absent(uint64_t va);

static bool
is_there(uint64_t uaddr, size_t len)
{
	uint64_t at;

	if (!host_user_range_ok(uaddr, len))
		return true;	/* it fails for that */
	for (at = uaddr & ~4095ULL; at < uaddr + len; at += 4096)
		if (is_absent(at))
			return false;
	return true;
}

/* A copy waits for a page where it may sleep. */
static bool
may_touch(const char *what, uint64_t uaddr, size_t len)
{
	bool brought = self.brought;

	if (host_user_preemptible() && self.faults_off == 0) {
		might_reclaim(what);
		if (!is_there(uaddr, len))
			host_user_panic("%s waits for a page of a guest", what);
		return true;
	}
	self.brought = false;
	return (!host_user.absent || (host_user_preemptible() && brought)) &&
	    is_there(uaddr, len);
}

int
host_copy_in(void *dst, uint64_t uaddr, size_t len)
{
	if (!may_touch("host_copy_in", uaddr, len))
		return -EFAULT;
	if (host_user.on_copy_in != NULL)
		host_user.on_copy_in(uaddr, len);
	if (copy_should_fail() || !user_copy(dst, uaddr, len, false))
		return -EFAULT;
	return 0;
}

int
host_copy_out(uint64_t uaddr, const void *src, size_t len)
{
	if (!may_touch("host_copy_out", uaddr, len))
		return -EFAULT;
	if (copy_should_fail() || !user_copy((void *)(uintptr_t)src, uaddr, len, true))
		return -EFAULT;
	return 0;
}

int
host_copy_in_few(void *dst, uint64_t uaddr, size_t len)
{
	return host_copy_in(dst, uaddr, len);
}

int
host_copy_out_few(uint64_t uaddr, const void *src, size_t len)
{
	return host_copy_out(uaddr, src, len);
}

bool
host_user_words_same(const struct host_user_word w[HOST_USER_WORDS])
{
	bool same = true;
	unsigned int i;
	uint64_t now;

	for (i = 0; i < HOST_USER_WORDS; i++)
		if (!may_touch("host_user_words_same", w[i].addr, sizeof(now)))
			return false;
	sync_add(&host_user.compares, 1);
	for (i = 0; i < HOST_USER_WORDS; i++) {
		if (!host_user_range_ok(w[i].addr, sizeof(now)) ||
		    w[i].addr % 4096 > 4096 - sizeof(now))
			host_user_panic("a word at %#llx", (unsigned long long)w[i].addr);
		if (!user_copy(&now, w[i].addr, sizeof(now), false))
			return false;
		same = same && now == w[i].value;
	}
	return same;
}

/* Can the page at va be read, or written? Writing back what is there is safe
 * enough: tests do not let two threads store into the byte that is probed. */
static bool
probe(uint64_t va, bool write)
{
	struct iovec u = { (void *)(uintptr_t)va, 1 };
	uint8_t byte;
	struct iovec k = { &byte, 1 };

	if (!host_user_range_ok(va, 1) ||
	    process_vm_readv(getpid(), &k, 1, &u, 1, 0) != 1)
		return false;
	return !write || process_vm_writev(getpid(), &k, 1, &u, 1, 0) == 1;
}

int
host_cmpxchg_user(uint64_t uaddr, unsigned int size, uint64_t *old,
    uint64_t new)
{
	if (!may_touch("host_cmpxchg_user", uaddr, size))
		return -EFAULT;
	if ((size != 4 && size != 8) || uaddr % size != 0)
		host_user_panic("host_cmpxchg_user of %u bytes at %#llx", size,
		    (unsigned long long)uaddr);
	if (copy_should_fail() || !probe(uaddr, true))
		return -EFAULT;
	if (size == 4) {
		uint32_t want = (uint32_t)*old;

		if (__atomic_compare_exchange_n((uint32_t *)(uintptr_t)uaddr,
		    &want, (uint32_t)new, false, __ATOMIC_SEQ_CST,
		    __ATOMIC_SEQ_CST))
			return 0;
		*old = want;
	} else if (__atomic_compare_exchange_n((uint64_t *)(uintptr_t)uaddr,
	    old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return 0;
	return -EAGAIN;
}

/* --- Guest memory --------------------------------------------------------- */

struct host_watch {
	struct host_watch *next;
	uint64_t hva, size;
	void	*arg;
	unsigned long seq;	/* token of the last change noted */
	unsigned int active;	/* invalidations under way */
};

/* A piece of memory whose pages the test describes. */
struct mem {
	struct mem *next;
	uint64_t va, npages;
	struct host_user_page page[];
};

static struct host_watch *watches;
static struct mem *mems;
static unsigned long last_token;
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t watch_cond = PTHREAD_COND_INITIALIZER;
/* Page faults of one process do not overlap; outside watch_lock. */
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

int
host_watch_add(struct host_watch **wp, uint64_t hva, uint64_t size, void *arg)
{
	struct host_watch *w;

	if (!host_user_range_ok(hva, size) || size == 0)
		return -EINVAL;
	w = host_alloc(sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->hva = hva;
	w->size = size;
	w->arg = arg;
	*wp = w;
	pthread_mutex_lock(&watch_lock);
	w->next = watches;
	watches = w;
	host_user.watches_live++;
	pthread_mutex_unlock(&watch_lock);
	return 0;
}

void
host_watch_remove(struct host_watch *w)
{
	struct host_watch **link;

	might_reclaim("host_watch_remove");
	step();
	pthread_mutex_lock(&watch_lock);
	for (link = &watches; *link != w; link = &(*link)->next)
		if (*link == NULL)
			host_user_panic("removal of a watch that is not there");
	*link = w->next;
	host_user.watches_live--;
	pthread_mutex_unlock(&watch_lock);
	host_free(w);
}

void
host_watch_note(struct host_watch *w, unsigned long token)
{
	if (!self.invalidating || self.mutexes == 0)
		host_user_panic("host_watch_note outside an invalidation or a lock");
	if (token != last_token)
		host_user_panic("host_watch_note with a foreign token");
	sync_store(&w->seq, token);
}

unsigned long
host_watch_begin(struct host_watch *w)
{
	unsigned long seq;

	might_reclaim("host_watch_begin");
	pthread_mutex_lock(&watch_lock);
	while (w->active > 0)
		pthread_cond_wait(&watch_cond, &watch_lock);
	seq = sync_load(&w->seq);
	pthread_mutex_unlock(&watch_lock);
	return seq;
}

bool
host_watch_retry(struct host_watch *w, unsigned long seq)
{
	if (self.mutexes == 0)
		host_user_panic("host_watch_retry without a lock");
	if (sync_load(&w->seq) == seq)
		return false;
	sync_add(&host_user.retries, 1);
	return true;
}

void
host_frame_dirty(const struct host_frame *f)
{
	if (self.mutexes == 0)
		host_user_panic("host_frame_dirty without a lock");
	if (!f->present || !f->writable || f->dirty)
		host_user_panic("host_frame_dirty of a page that cannot become so");
	sync_add(&host_user.dirtied, 1);
	sync_store(&host_user.last_dirty, f->pa);
}

static struct host_user_page *
page_at(uint64_t va)
{
	for (struct mem *m = mems; m != NULL; m = m->next)
		if (va - m->va < m->npages * 4096)
			return &m->page[(va - m->va) / 4096];
	return NULL;
}

void
host_user_mem_add(void *p, size_t size, unsigned int prot)
{
	uint64_t npages = size / 4096;
	struct mem *m = calloc(1, sizeof(*m) + npages * sizeof(m->page[0]));

	if (m == NULL || (uintptr_t)p % 4096 != 0)
		host_user_panic("host_user_mem_add(%p)", p);
	m->va = (uint64_t)(uintptr_t)p;
	m->npages = npages;
	for (uint64_t i = 0; i < npages; i++)
		m->page[i].prot = (uint8_t)prot;
	m->next = mems;
	mems = m;
}

void
host_user_mem_remove(void *p)
{
	struct mem **link, *m;

	for (link = &mems; (m = *link) != NULL; link = &m->next)
		if (m->va == (uint64_t)(uintptr_t)p) {
			*link = m->next;
			free(m);
			return;
		}
	host_user_panic("host_user_mem_remove(%p)", p);
}

struct host_user_page *
host_user_page(const void *va)
{
	struct host_user_page *page = page_at((uint64_t)(uintptr_t)va);

	if (page == NULL)
		host_user_panic("host_user_page(%p)", va);
	return page;
}

void
host_user_mem_huge(const void *va, unsigned int order)
{
	uint64_t size = 4096ULL << order;
	uint64_t start = (uint64_t)(uintptr_t)va & ~(size - 1);

	for (uint64_t a = start; a < start + size; a += 4096) {
		struct host_user_page *page = host_user_page((void *)(uintptr_t)a);

		page->present = page->pte_write = true;
		page->order = (uint8_t)order;
	}
}

/* Where the host itself changes page tables, watches hear of it first. */
static bool
invalidate(uint64_t start, uint64_t end, bool may_block, bool forget)
{
	bool atomic = self.atomic, invalidating = self.invalidating;
	bool done = true;
	unsigned int mutexes = self.mutexes;

	pthread_mutex_lock(&watch_lock);
	last_token++;
	host_user.invalidations++;
	for (struct host_watch *w = watches; w != NULL; w = w->next) {
		uint64_t from = start > w->hva ? start : w->hva;
		uint64_t to = end < w->hva + w->size ? end : w->hva + w->size;
		unsigned long seq = sync_load(&w->seq);

		if (from >= to)
			continue;
		w->active++;
		self.invalidating = true;
		self.atomic = !may_block;
		done = mem_invalidate(w->arg, from, to, may_block, last_token);
		self.invalidating = invalidating;
		self.atomic = atomic;
		w->active--;
		if (self.mutexes != mutexes)
			host_user_panic("mem_invalidate left a lock held");
		if (!done && may_block)
			host_user_panic("mem_invalidate refused, but may block");
		if (sync_load(&w->seq) != (done ? last_token : seq))
			host_user_panic("mem_invalidate: token %s",
			    done ? "not noted" : "noted, but nothing done");
		if (!done)
			break;
	}
	for (uint64_t a = start & ~4095ULL; done && forget && a < end; a += 4096) {
		struct host_user_page *page = page_at(a);

		if (page != NULL)
			page->present = page->pte_write = page->dirty = false;
	}
	pthread_cond_broadcast(&watch_cond);
	pthread_mutex_unlock(&watch_lock);
	return done;
}

/* As under the spinlock of a page table. */
bool
host_user_age(const void *va, size_t size, bool clear)
{
	uint64_t start = (uint64_t)(uintptr_t)va, end = start + size;
	unsigned int mutexes = self.mutexes;
	bool used = false;

	pthread_mutex_lock(&watch_lock);
	self.preempt++;
	for (struct host_watch *w = watches; w != NULL; w = w->next) {
		uint64_t from = start > w->hva ? start : w->hva;
		uint64_t to = end < w->hva + w->size ? end : w->hva + w->size;

		if (from < to && mem_age(w->arg, from, to, clear))
			used = true;
	}
	if (self.mutexes != mutexes)
		host_user_panic("mem_age left a lock held");
	self.preempt--;
	pthread_mutex_unlock(&watch_lock);
	return used;
}

bool
host_user_invalidate(const void *va, size_t size, bool may_block)
{
	uint64_t start = (uint64_t)(uintptr_t)va;

	return invalidate(start, start + size, may_block, true);
}

void
host_user_owner_exit(void)
{
	const struct host_watch *w;

	pthread_mutex_lock(&watch_lock);
	for (w = watches; w != NULL; w = w->next)
		mem_owner_gone(w->arg);
	pthread_mutex_unlock(&watch_lock);
}

/* One page as the host has it; faulted in when it is the wanted one. */
static int
resolve_page(uint64_t va, bool want, bool write, struct host_frame *f)
{
	struct host_user_page *page = page_at(va);

	*f = (struct host_frame){ .pa = va };
	if (page == NULL) {
		f->present = probe(va, false);
		f->writable = f->present && probe(va, true);
		return want && (!f->present || (write && !f->writable)) ?
		    -EFAULT : 0;
	}
	if (want) {
		if (page->device || !(page->prot & STAGE2_R) ||
		    (write && !(page->prot & STAGE2_W)))
			return -EFAULT;
		if (write && page->present && !page->pte_write) {
			/* The host breaks the sharing: the page changes. */
			if (!invalidate(va, va + 4096, true, false))
				host_user_panic("invalidation refused");
			page->pte_write = true;
		}
		if (!page->present) {
			page->present = true;
			page->pte_write = write;
		}
	}
	f->present = page->present && !page->device;
	f->writable = f->present && page->pte_write;
	f->dirty = f->writable && page->dirty;
	f->order = page->order;
	return 0;
}

static bool
is_slow(uint64_t va)
{
	const struct host_user_page *page = page_at(va);

	return page != NULL && !page->present && sync_load(&page->slow);
}

static bool
is_absent(uint64_t va)
{
	const struct host_user_page *page = page_at(va);

	return page != NULL && !page->present && !page->device;
}

/* Pages of zeros are for reading: only a write brings more along. */
static int
resolve_pages(struct host_pages *p)
{
	const uint64_t at = p->hva + p->want * 4096ULL;
	const bool fault = is_absent(at);
	unsigned int i;
	int error;

	error = resolve_page(at, true, p->write, &p->frame[p->want]);
	if (error)
		return error;
	p->first = p->want;
	p->end = p->want + 1;
	if (fault) {
		while (p->write && p->end < p->n &&
		    p->end <= p->want + p->ahead &&
		    is_absent(p->hva + p->end * 4096ULL)) {
			resolve_page(p->hva + p->end * 4096ULL, true, true,
			    &p->frame[p->end]);
			p->end++;
		}
	} else if (p->frame[p->want].order == 0) {
		p->first = 0;
		p->end = p->n;
		for (i = 0; i < p->n; i++)
			if (i != p->want)
				resolve_page(p->hva + i * 4096ULL, false, false,
				    &p->frame[i]);
	}
	return 0;
}

int
host_watch_resolve(struct host_watch *w, struct host_pages *p)
{
	int error;

	might_reclaim("host_watch_resolve");
	if (p->hva % 4096 != 0 || p->n > HOST_PAGES || p->want >= p->n ||
	    p->hva < w->hva || p->hva + p->n * 4096ULL > w->hva + w->size)
		host_user_panic("host_watch_resolve(%#llx, %u, %u)",
		    (unsigned long long)p->hva, p->n, p->want);
	sync_add(&host_user.resolves, 1);
	if (self.as != 0)
		return -EFAULT;
	if (is_slow(p->hva + p->want * 4096ULL))
		return -EAGAIN;
	self.brought = true;
	/* What is not reported is not to be looked at. */
	memset(p->frame, 0xa5, sizeof(p->frame));
	p->first = p->end = UINT32_MAX;
	pthread_mutex_lock(&fault_lock);
	error = resolve_pages(p);
	pthread_mutex_unlock(&fault_lock);
	if (error == 0 && host_user.on_resolved != NULL)
		host_user.on_resolved(p->hva + p->want * 4096ULL);
	return error;
}

/* --- Faults of slow pages ------------------------------------------------- */

struct host_fault {
	bool	 busy, given_up;
	uint64_t hva, wakes;
	const struct host_fault_user *user;
	void	*arg;
};

/* Of all faults. */
static pthread_mutex_t slow_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slow_cond = PTHREAD_COND_INITIALIZER;

void
host_user_answer(void)
{
	pthread_mutex_lock(&slow_lock);
	for (struct mem *m = mems; m != NULL; m = m->next)
		for (uint64_t i = 0; i < m->npages; i++)
			sync_store(&m->page[i].slow, false);
	pthread_cond_broadcast(&slow_cond);
	pthread_mutex_unlock(&slow_lock);
}

struct host_fault *
host_fault_alloc(void)
{
	return host_alloc(sizeof(struct host_fault));
}

void
host_fault_free(struct host_fault *f)
{
	if (f != NULL && sync_load(&f->busy))
		host_user_panic("host_fault_free during a fault");
	host_free(f);
}

/* The host's thread. */
static void *
fault_thread(void *arg)
{
	struct host_fault *f = arg;
	const struct host_fault_user *user = f->user;

	arg = f->arg;
	pthread_mutex_lock(&slow_lock);
	while (is_slow(f->hva) && (!f->given_up || host_user.deaf_faults))
		pthread_cond_wait(&slow_cond, &slow_lock);
	f->busy = false;
	pthread_cond_broadcast(&slow_cond);
	pthread_mutex_unlock(&slow_lock);
	user->release(arg);
	sync_sub(&host_user.faults_live, 1);
	return NULL;
}

static void
fault_begin(struct host_fault *f, uint64_t hva, const struct host_fault_user *user,
    void *arg)
{
	pthread_t t;

	f->busy = true;
	f->given_up = false;
	f->hva = hva;
	f->user = user;
	f->arg = arg;
	user->hold(arg);
	sync_add(&host_user.faults, 1);
	sync_add(&host_user.faults_live, 1);
	if (pthread_create(&t, NULL, fault_thread, f) != 0)
		host_user_panic("no more threads");
	pthread_detach(t);
}

/* Leaves as a kernel's thread does: for signals, and when it is told to look. */
static int
fault_sleep(struct host_fault *f, const struct host_fault_user *user, void *arg)
{
	uint64_t seen = f->wakes - 1;
	struct timespec t;
	int error = 0;

	sync_add(&host_user.fault_waiters, 1);
	while (f->busy && error == 0) {
		if (host_signal_pending() || (f->wakes != seen && user->leave(arg))) {
			error = -EINTR;
			break;
		}
		seen = f->wakes;
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 1000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_nsec -= 1000000000;
			t.tv_sec++;
		}
		pthread_cond_timedwait(&slow_cond, &slow_lock, &t);
	}
	sync_sub(&host_user.fault_waiters, 1);
	return error;
}

int
host_fault_wait(struct host_fault *f, uint64_t hva, bool write,
    const struct host_fault_user *user, void *arg)
{
	int error;

	(void)write;
	might_reclaim("host_fault_wait");
	if (self.as != 0)
		host_user_panic("host_fault_wait in another address space");
	pthread_mutex_lock(&slow_lock);
	error = fault_sleep(f, user, arg);
	if (error == 0) {
		fault_begin(f, hva, user, arg);
		error = fault_sleep(f, user, arg);
		if (error) {
			f->given_up = true;
			pthread_cond_broadcast(&slow_cond);
		}
	}
	pthread_mutex_unlock(&slow_lock);
	return error;
}

void
host_fault_wake(struct host_fault *f)
{
	pthread_mutex_lock(&slow_lock);
	f->wakes++;
	host_user.fault_wakes++;
	pthread_cond_broadcast(&slow_cond);
	pthread_mutex_unlock(&slow_lock);
}

/* --- The driver's own life -------------------------------------------------- */

void
host_keep_driver(void)
{
	sync_add(&host_user.kept, 1);
}

void
host_let_driver_go(void)
{
	if (sync_sub(&host_user.kept, 1) < 0)
		host_user_panic("host_let_driver_go once too often");
}

/* --- CPUs ----------------------------------------------------------------- */

static struct cpu {
	pthread_mutex_t busy;	/* held with preemption off */
	bool	 irqs_off, kicked;
	bool	 interrupted;	/* host_call_on() runs something here */
	uint64_t epoch;		/* grows when interrupts come on */
	bool	 virt;		/* on() succeeded here */
} cpu_state[HOST_USER_CPUS] = {
	[0 ... HOST_USER_CPUS - 1] = { .busy = PTHREAD_MUTEX_INITIALIZER },
};
static pthread_mutex_t irq_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t irq_cond = PTHREAD_COND_INITIALIZER;
static int (*cpu_on)(void);
static void (*cpu_off)(void);
static void (*cpu_emergency)(void);

unsigned int
host_cpu_limit(void)
{
	return host_user.cpus;
}

unsigned int
host_cpu(void)
{
	thread_number();
	return self.cpu;
}

void
host_user_set_cpu(unsigned int cpu)
{
	thread_number();
	if (self.preempt > 0)
		host_user_panic("a CPU change with preemption off");
	if (cpu >= host_user.cpus)
		host_user_panic("CPU %u", cpu);
	self.cpu = cpu;
}

void
host_preempt_disable(void)
{
	thread_number();
	if (self.preempt++ == 0)
		pthread_mutex_lock(&cpu_state[self.cpu].busy);
}

void
host_preempt_enable(void)
{
	if (self.preempt == 0)
		host_user_panic("host_preempt_enable once too often");
	if (self.preempt == 1 && self.irqs_off)
		host_user_panic("preemption comes on with interrupts off");
	if (--self.preempt == 0)
		pthread_mutex_unlock(&cpu_state[self.cpu].busy);
}

void
host_irq_disable(void)
{
	if (self.irqs_off)
		host_user_panic("host_irq_disable twice");
	host_preempt_disable();
	if (host_user.on_irq_disable != NULL)
		host_user.on_irq_disable();
	pthread_mutex_lock(&irq_lock);
	while (cpu_state[self.cpu].interrupted)
		pthread_cond_wait(&irq_cond, &irq_lock);
	self.irqs_off = true;
	cpu_state[self.cpu].irqs_off = true;
	pthread_mutex_unlock(&irq_lock);
}

void
host_irq_enable(void)
{
	struct cpu *c = &cpu_state[self.cpu];

	if (!self.irqs_off)
		host_user_panic("host_irq_enable with interrupts on");
	pthread_mutex_lock(&irq_lock);
	self.irqs_off = false;
	c->irqs_off = c->kicked = false;
	c->epoch++;
	pthread_cond_broadcast(&irq_cond);
	pthread_mutex_unlock(&irq_lock);
	host_preempt_enable();
}

bool
host_user_preemptible(void)
{
	return self.preempt == 0;
}

bool
host_user_irqs_off(void)
{
	return self.irqs_off;
}

static struct timespec
deadline(unsigned int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

bool
host_user_wait_kick(unsigned int ms)
{
	struct timespec t = deadline(ms);
	bool kicked;
	int error = 0;

	if (!self.irqs_off)
		host_user_panic("a kick is waited for with interrupts on");
	pthread_mutex_lock(&irq_lock);
	while (!(kicked = cpu_state[self.cpu].kicked) && error == 0 && ms > 0)
		error = pthread_cond_timedwait(&irq_cond, &irq_lock, &t);
	pthread_mutex_unlock(&irq_lock);
	return kicked;
}

bool
host_user_kicked(void)
{
	return host_user_wait_kick(0);
}

/* Under irq_lock. */
static void
kick(unsigned int cpu)
{
	host_user.kicks[cpu]++;
	if (cpu_state[cpu].irqs_off) {
		cpu_state[cpu].kicked = true;
		pthread_cond_broadcast(&irq_cond);
	}
}

void
host_kick(unsigned int cpu)
{
	if (self.irqs_off)
		host_user_panic("host_kick with interrupts off");
	if (cpu >= host_user.cpus)
		host_user_panic("host_kick of CPU %u", cpu);
	pthread_mutex_lock(&irq_lock);
	kick(cpu);
	pthread_mutex_unlock(&irq_lock);
	if (host_user.on_kick != NULL)
		host_user.on_kick(cpu);
}

void
host_interrupt_self(void)
{
	if (!self.irqs_off)
		host_user_panic("host_interrupt_self with interrupts on");
	sync_add(&host_user.self_interrupts, 1);
}

struct host_cpuset {
	bool	in[HOST_USER_CPUS];
};

struct host_cpuset *
host_cpuset_alloc(void)
{
	return host_alloc(sizeof(struct host_cpuset));
}

void
host_cpuset_free(struct host_cpuset *s)
{
	host_free(s);
}

void
host_cpuset_clear(struct host_cpuset *s)
{
	memset(s, 0, sizeof(*s));
}

void
host_cpuset_add(struct host_cpuset *s, unsigned int cpu)
{
	if (cpu >= host_user.cpus)
		host_user_panic("host_cpuset_add of CPU %u", cpu);
	s->in[cpu] = true;
}

void
host_cpuset_kick_wait(struct host_cpuset *s)
{
	struct timespec t = deadline(WAIT_SECONDS * 1000);
	uint64_t epoch[HOST_USER_CPUS];

	if (self.irqs_off)
		host_user_panic("host_cpuset_kick_wait with interrupts off");
	pthread_mutex_lock(&irq_lock);
	host_user.kick_waits++;
	for (unsigned int cpu = 0; cpu < host_user.cpus; cpu++) {
		epoch[cpu] = cpu_state[cpu].epoch;
		if (s->in[cpu])
			kick(cpu);
	}
	for (unsigned int cpu = 0; cpu < host_user.cpus; cpu++)
		while (s->in[cpu] && cpu_state[cpu].irqs_off &&
		    cpu_state[cpu].epoch == epoch[cpu])
			if (pthread_cond_timedwait(&irq_cond, &irq_lock, &t) != 0)
				host_user_panic("CPU %u stays inside the guest", cpu);
	pthread_mutex_unlock(&irq_lock);
	for (unsigned int cpu = 0; cpu < host_user.cpus; cpu++)
		if (s->in[cpu] && host_user.on_kick != NULL)
			host_user.on_kick(cpu);
}

bool
host_signal_pending(void)
{
	if (host_user.on_signal_pending != NULL && host_user.on_signal_pending())
		return true;
	return sync_load(&host_user.thread_flags) & HOST_USER_SIGNAL;
}

bool
host_resched_pending(void)
{
	return sync_load(&host_user.thread_flags) & HOST_USER_RESCHED;
}

void
host_resched(void)
{
	might_sleep("host_resched");
	__atomic_fetch_and(&host_user.thread_flags, ~HOST_USER_RESCHED,
	    __ATOMIC_SEQ_CST);
	sync_add(&host_user.rescheds, 1);
	if (host_user.on_resched != NULL)
		host_user.on_resched();
}

/* Run fn on a CPU, as an interrupt or its hotplug thread would. */
static int
run_on(unsigned int cpu, int (*on)(void), void (*off)(void))
{
	unsigned int back = host_cpu();
	int error = 0;

	host_user_set_cpu(cpu);
	host_irq_disable();
	if (on == NULL)
		off();
	else if (host_user.cpus_fail == cpu + 1)
		error = host_user.cpus_errno;
	else
		error = on();
	host_irq_enable();
	host_user_set_cpu(back);
	if (error == 0)
		cpu_state[cpu].virt = on != NULL;
	return error;
}

static void
all_off(void (*off)(void))
{
	for (unsigned int cpu = 0; cpu < host_user.cpus; cpu++)
		if (cpu_state[cpu].virt)
			run_on(cpu, NULL, off);
}

int
host_cpus_enable(int (*on)(void), void (*off)(void))
{
	int error = 0;

	might_sleep("host_cpus_enable");
	if (host_user.cpus_on)
		host_user_panic("host_cpus_enable twice");
	for (unsigned int cpu = 0; cpu < host_user.cpus && error == 0; cpu++)
		error = run_on(cpu, on, off);
	if (error != 0) {
		all_off(off);
		return error;
	}
	cpu_on = on;
	cpu_off = off;
	host_user.cpus_on = true;
	return 0;
}

void
host_cpus_disable(void)
{
	might_sleep("host_cpus_disable");
	if (!host_user.cpus_on)
		host_user_panic("host_cpus_disable, but they are not enabled");
	all_off(cpu_off);
	host_user.cpus_on = false;
}

int
host_cpus_attach(void (*emergency)(void))
{
	might_sleep("host_cpus_attach");
	if (cpu_emergency != NULL)
		host_user_panic("host_cpus_attach twice");
	cpu_emergency = emergency;
	return 0;
}

void
host_cpus_detach(void)
{
	might_sleep("host_cpus_detach");
	if (cpu_emergency == NULL)
		host_user_panic("host_cpus_detach without attach");
	cpu_emergency = NULL;
}

void
host_user_emergency(void)
{
	/* An NMI waits for nothing and can happen in any state. */
	self.preempt++;
	self.irqs_off = true;
	if (cpu_emergency != NULL)
		cpu_emergency();
}

void
host_user_cpu_down(unsigned int cpu)
{
	if (host_user.cpus_on && cpu_state[cpu].virt)
		run_on(cpu, NULL, cpu_off);
}

int
host_user_cpu_up(unsigned int cpu)
{
	return host_user.cpus_on && !cpu_state[cpu].virt ?
	    run_on(cpu, cpu_on, cpu_off) : 0;
}

/*
 * What interrupts a CPU ends a guest there, waits until interrupts are on, and
 * has the CPU to itself as far as sections without interrupts go.
 */
static void
interrupt_begin(struct cpu *c)
{
	pthread_mutex_lock(&irq_lock);
	while (c->irqs_off || c->interrupted) {
		c->kicked |= c->irqs_off;
		pthread_cond_broadcast(&irq_cond);
		pthread_cond_wait(&irq_cond, &irq_lock);
	}
	c->interrupted = true;
	pthread_mutex_unlock(&irq_lock);
}

static void
interrupt_end(struct cpu *c)
{
	pthread_mutex_lock(&irq_lock);
	c->interrupted = false;
	pthread_cond_broadcast(&irq_cond);
	pthread_mutex_unlock(&irq_lock);
}

void
host_call_on(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	unsigned int back = host_cpu();

	if (self.irqs_off)
		host_user_panic("host_call_on with interrupts off");
	if (cpu >= host_user.cpus)
		host_user_panic("host_call_on of CPU %u", cpu);
	if (cpu != back)
		sync_add(&host_user.calls_on, 1);
	/* On this CPU, too: with preemption on, others may be on it as well. */
	interrupt_begin(&cpu_state[cpu]);
	self.cpu = cpu;
	self.preempt++;
	fn(arg);
	self.preempt--;
	self.cpu = back;
	interrupt_end(&cpu_state[cpu]);
}

/* Different on each CPU where a kernel's are. */
void
host_context_save(struct host_context *c)
{
	if (self.preempt == 0)
		host_user_panic("host_context_save with preemption on");
	*c = (struct host_context){
		.cr0 = 0x80050033, .cs = 0x10, .ss = 0x18, .tr = 0x40,
		.gs_base = 0xffff888000000000 + self.cpu * 0x10000ULL,
		.tr_base = 0xfffffe0000003000 + self.cpu * 0x30000ULL,
		.gdt_base = 0xfffffe0000001000 + self.cpu * 0x30000ULL,
		.idt_base = 0xfffffe0000000000,
		.gdt_limit = 127, .idt_limit = 0xfff,
	};
}

void
host_thread_save(struct host_thread *t)
{
	if (self.preempt == 0)
		host_user_panic("host_thread_save with preemption on");
	sync_add(&host_user.context_saves, 1);
	*t = host_user.thread;
}

void
host_context_restore(const struct host_context *c, const struct host_thread *t)
{
	if (c->gs_base != 0xffff888000000000 + self.cpu * 0x10000ULL)
		host_user_panic("host_context_restore of another CPU's");
	if (t->fs_base != host_user.thread.fs_base ||
	    t->gs != host_user.thread.gs)
		host_user_panic("host_context_restore of another thread's");
	sync_add(&host_user.context_restores, 1);
	if (t->gs != 0 && host_user.on_swapgs_base != NULL)
		host_user.on_swapgs_base(0xbad);
}

uint64_t
host_swapgs_base(uint64_t base)
{
	if (self.preempt == 0 || self.irqs_off)
		host_user_panic("host_swapgs_base in the wrong context");
	if (host_user.on_swapgs_base == NULL)
		host_user_panic("host_swapgs_base, but it is nobody's");
	return host_user.on_swapgs_base(base);
}

void
host_cr4_change(uint64_t set, uint64_t clear)
{
	if (self.preempt == 0)
		host_user_panic("host_cr4_change with preemption on");
	if (host_user.on_cr4_change == NULL)
		host_user_panic("host_cr4_change, but CR4 is nobody's");
	host_user.on_cr4_change(set, clear);
}

/* --- Stays, mitigations --------------------------------------------------- */

void
host_stay_begin(struct host_stay *s)
{
	if (self.stay)
		host_user_panic("host_stay_begin twice");
	if (self.irqs_off)
		host_user_panic("host_stay_begin with interrupts off");
	host_preempt_disable();
	self.stay = true;
	*s = (struct host_stay){
		.thread_flags = &host_user.thread_flags,
		.leave_mask = HOST_USER_SIGNAL,
		.resched_mask = HOST_USER_RESCHED,
		.debug_armed = &host_user.debug_armed,
		.cpu = self.cpu,
	};
	sync_add(&host_user.stays, 1);
}

void
host_stay_end(const struct host_stay *s)
{
	if (!self.stay)
		host_user_panic("host_stay_end without host_stay_begin");
	if (s->cpu != self.cpu)
		host_user_panic("host_stay_end of another CPU's");
	self.stay = false;
	sync_add(&host_user.stays_ended, 1);
	host_preempt_enable();
}

void
host_predictor_barrier(void)
{
	sync_add(&host_user.predictor_barriers, 1);
}

void
host_nmi(void)
{
	if (!self.irqs_off)
		host_user_panic("host_nmi with interrupts on");
	sync_add(&host_user.nmis, 1);
}

bool
host_large_exec(void)
{
	return !host_user.itlb_multihit;
}

bool
host_l1d_may_flush(void)
{
	return true;
}

void
host_l1d_flush(bool loaded)
{
	(void)loaded;
	if (!self.irqs_off)
		host_user_panic("host_l1d_flush with interrupts on");
	sync_add(&host_user.l1d_flushes, 1);
}

bool
host_stay_must_leave(unsigned long flags)
{
	return flags != 0;
}

bool
host_bp_spec_reduce(void)
{
	return host_user.bp_spec_reduce;
}

bool
host_detects_split_locks(void)
{
	return host_user.detects_split_locks;
}

void
host_split_lock(uint64_t rip)
{
	if (self.preempt != 0 || self.irqs_off)
		host_user_panic("host_split_lock where it cannot sleep");
	host_user.split_lock_rip = rip;
	sync_add(&host_user.split_locks, 1);
}

void
host_machine_check(void)
{
	if (self.preempt == 0 || !self.irqs_off)
		host_user_panic("host_machine_check, but too late");
	sync_add(&host_user.machine_checks, 1);
	if (host_user.on_machine_check != NULL)
		host_user.on_machine_check();
}

unsigned int
host_perf_msrs(struct host_perf_msr msr[HOST_PERF_MSRS])
{
	if (!self.irqs_off)
		host_user_panic("host_perf_msrs with interrupts on");
	sync_add(&host_user.perf_asked, 1);
	memcpy(msr, host_user.perf, sizeof(host_user.perf));
	return host_user.perf_msrs;
}

void
host_perf_virt(bool on)
{
	if (self.preempt == 0)
		host_user_panic("host_perf_virt with preemption on");
	if (host_user.on_perf_virt != NULL)
		host_user.on_perf_virt(on);
}

/* --- Time ----------------------------------------------------------------- */

uint64_t
host_ns(void)
{
	if (host_user.on_ns != NULL)
		host_user.on_ns();
	return sync_add(&host_user.ns, host_user.ns_step);
}

uint64_t
host_wall_ns(void)
{
	return sync_load(&host_user.wall_ns);
}

uint32_t
host_tsc_khz(void)
{
	return host_user.tsc_khz;
}

bool
host_tsc_stable(void)
{
	return host_user.tsc_stable;
}

/* --- Words ---------------------------------------------------------------- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void
log_line(uint64_t *counter, const char *fmt, va_list ap)
{
	size_t used;
	int n;

	pthread_mutex_lock(&log_lock);
	++*counter;
	used = strlen(host_user.log);
	n = vsnprintf(host_user.log + used, HOST_USER_LOG - used, fmt, ap);
	/* A line that does not fit is not kept. */
	if (n < 0 || (size_t)n + 2 > HOST_USER_LOG - used)
		host_user.log[used] = '\0';
	else if (n == 0 || host_user.log[used + (size_t)n - 1] != '\n')
		strcpy(host_user.log + used + (size_t)n, "\n");
	pthread_mutex_unlock(&log_lock);
}

void
host_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&host_user.infos, fmt, ap);
	va_end(ap);
}

void
host_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&host_user.warns, fmt, ap);
	va_end(ap);
}

size_t
host_format(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (size == 0)
		return 0;
	va_start(ap, fmt);
	n = vsnprintf(text, size, fmt, ap);
	va_end(ap);
	return (size_t)n < size ? (size_t)n : size - 1;
}

void
host_trace_entry(uint32_t vm, uint32_t vcpu, uint64_t rip)
{
	(void)vm, (void)vcpu, (void)rip;
	sync_add(&host_user.trace_entries, 1);
}

void
host_trace_exit(uint32_t vm, uint32_t vcpu, uint16_t kind, uint64_t reason,
    uint64_t rip, uint64_t info1, uint64_t info2)
{
	pthread_mutex_lock(&log_lock);
	host_user.trace_exits++;
	host_user.trace_exit.vm = vm;
	host_user.trace_exit.vcpu = vcpu;
	host_user.trace_exit.kind = kind;
	host_user.trace_exit.reason = reason;
	host_user.trace_exit.rip = rip;
	host_user.trace_exit.info1 = info1;
	host_user.trace_exit.info2 = info2;
	pthread_mutex_unlock(&log_lock);
}

void
host_trace_fault(uint32_t vm, uint32_t vcpu, uint64_t gpa, uint32_t access,
    int result)
{
	pthread_mutex_lock(&log_lock);
	host_user.trace_faults++;
	host_user.trace_fault.vm = vm;
	host_user.trace_fault.vcpu = vcpu;
	host_user.trace_fault.gpa = gpa;
	host_user.trace_fault.access = access;
	host_user.trace_fault.result = result;
	pthread_mutex_unlock(&log_lock);
}

void
host_trace_inject(uint32_t vm, uint32_t vcpu, uint8_t type, uint8_t vector,
    uint32_t error)
{
	pthread_mutex_lock(&log_lock);
	host_user.trace_injects++;
	host_user.trace_inject.vm = vm;
	host_user.trace_inject.vcpu = vcpu;
	host_user.trace_inject.type = type;
	host_user.trace_inject.vector = vector;
	host_user.trace_inject.error = error;
	pthread_mutex_unlock(&log_lock);
}

void
host_trace_refused(uint32_t vm, uint32_t vcpu, const char *how, const char *why)
{
	pthread_mutex_lock(&log_lock);
	host_user.trace_refusals++;
	host_user.trace_refused.vm = vm;
	host_user.trace_refused.vcpu = vcpu;
	host_format(host_user.trace_refused.how,
	    sizeof(host_user.trace_refused.how), "%s", how);
	host_format(host_user.trace_refused.why,
	    sizeof(host_user.trace_refused.why), "%s", why);
	pthread_mutex_unlock(&log_lock);
}

/* --- Later ------------------------------------------------------------------ */

static struct host_work *deferred;
static pthread_mutex_t defer_lock = PTHREAD_MUTEX_INITIALIZER;

/* Made by the next host_defer_flush(), so that tests see before and after. */
void
host_defer(struct host_work *w, void (*fn)(void *arg), void *arg)
{
	struct host_work **p;

	if (sync_load(&host_user.kept) == 0)
		host_user_panic("host_defer when the driver may be gone");
	pthread_mutex_lock(&defer_lock);
	for (p = &deferred; *p != NULL; p = &(*p)->next)
		if (*p == w)
			host_user_panic("host_defer of work that waits already");
	w->next = NULL;
	w->fn = fn;
	w->arg = arg;
	*p = w;
	pthread_mutex_unlock(&defer_lock);
}

void
host_defer_flush(void)
{
	struct host_work *w;

	for (;;) {
		pthread_mutex_lock(&defer_lock);
		w = deferred;
		if (w != NULL)
			deferred = w->next;
		pthread_mutex_unlock(&defer_lock);
		if (w == NULL)
			return;
		w->fn(w->arg);
	}
}
