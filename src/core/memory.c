/* SPDX-License-Identifier: ISC */
/*
 * memory.c - guest-physical memory: the creator's pages, brought into the
 * second stage by faults and taken out of it when the host wants them back.
 *
 * Whoever takes a translation away flushes before mem_lock is released, so
 * with mem_lock held the tables and the TLBs of all vCPUs agree.
 */
#include "memory.h"
#include "backend.h"
#include "nospec.h"

#define AHEAD		7u		/* pages faulted in before they are touched */
#define CHUNK_PAGES	512u		/* pages in one entry of vm->prot */
#define STEP		(1ULL << 30)	/* torn down between two host_resched() */

const struct vm_range *
memory_range(const struct vm *vm, uint64_t gpa)
{
	unsigned int i;

	for (i = 0; i < vm->nranges; i++)
		if (gpa >= vm->range[i].gpa &&
		    gpa - vm->range[i].gpa < vm->range[i].size)
			return &vm->range[i];
	return NULL;
}

/* Where gpa, which is in the range, is in the creator. */
static uint64_t
hva_of(const struct vm_range *r, uint64_t gpa)
{
	return r->hva + index_nospec(gpa - r->gpa, r->size);
}

/* --- Life ----------------------------------------------------------------- */

int
memory_init(struct vm *vm, const struct vm_mem_range *range, unsigned int n)
{
	unsigned int i;
	int err;

	host_mutex_init(&vm->mem_lock);
	err = stage2_init(&vm->stage2, vmm_backend()->stage2);
	if (err)
		return err;
	vm->stage2.accessed = vmm_backend()->accessed_bits();
	vm->flush_cpus = host_cpuset_alloc();
	if (vm->flush_cpus == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct vm_range *r = &vm->range[i];

		r->gpa = range[i].vmr_gpa;
		r->size = range[i].vmr_size;
		r->hva = range[i].vmr_va;
		r->vm = vm;
		vm->mem_size += r->size;
		/* Ascending, so the last one decides. */
		vm->nprot = (r->gpa + r->size + PAGE_SIZE_2M - 1) / PAGE_SIZE_2M;
	}
	vm->nranges = n;
	for (i = 0; i < n; i++) {
		struct vm_range *r = &vm->range[i];

		err = host_watch_add(&r->watch, r->hva, r->size, r);
		if (err)
			return err;
	}
	return 0;
}

void
memory_unwatch(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nranges; i++)
		if (vm->range[i].watch != NULL)
			host_watch_remove(vm->range[i].watch);
}

void
memory_fini(struct vm *vm)
{
	uint64_t i, at;

	for (i = 0; i < vm->nranges; i++) {
		const struct vm_range *r = &vm->range[i];

		for (at = 0; at < r->size; at += STEP) {
			stage2_unmap(&vm->stage2, r->gpa + at,
			    r->size - at < STEP ? r->size - at : STEP);
			stage2_reap(&vm->stage2);
			host_resched();
		}
	}
	stage2_fini(&vm->stage2);
	if (vm->prot != NULL)
		for (i = 0; i < vm->nprot; i++)
			host_free(vm->prot[i]);
	host_free(vm->prot);
	host_cpuset_free(vm->flush_cpus);
	host_mutex_destroy(&vm->mem_lock);
}

uint64_t
memory_used(struct vm *vm)
{
	uint64_t pages;

	host_mutex_lock(&vm->mem_lock);
	pages = vm->stage2.resident + vm->stage2.tables;
	host_mutex_unlock(&vm->mem_lock);
	return pages * PAGE_SIZE_4K;
}

/*
 * Something was taken out of the second stage, if `taken`, or before by
 * mem_age(): returns when no CPU can use it any more. mem_lock.
 */
static void
flush(struct vm *vm, bool taken)
{
	if (taken || vm->stage2.stale)
		vm_flush(vm);
	vm->stage2.stale = false;
	stage2_reap(&vm->stage2);
}

/* --- Protection ----------------------------------------------------------- */

/* gpa lies in a range. Exact under mem_lock, otherwise as of just now. */
static unsigned int
prot_at(const struct vm *vm, uint64_t gpa)
{
	uint8_t *const *prot = sync_load_acquire(&vm->prot);
	const uint8_t *chunk;

	if (prot == NULL)
		return STAGE2_RWX;
	chunk = sync_load_acquire(&prot[index_nospec(gpa / PAGE_SIZE_2M, vm->nprot)]);
	if (chunk == NULL)
		return STAGE2_RWX;
	return sync_load(&chunk[gpa / PAGE_SIZE_4K % CHUNK_PAGES]);
}

/* Whole chunks, [gpa, gpa + size) of a range, have one protection. mem_lock. */
static bool
prot_uniform(const struct vm *vm, uint64_t gpa, uint64_t size)
{
	const unsigned int prot = prot_at(vm, gpa);
	uint64_t at;

	if (vm->prot == NULL)
		return true;
	for (at = gpa; at < gpa + size; at += PAGE_SIZE_2M) {
		const uint8_t *chunk =
		    vm->prot[index_nospec(at / PAGE_SIZE_2M, vm->nprot)];

		if (prot_at(vm, at) != prot)
			return false;
		/* Each page as the one before it. */
		if (chunk != NULL &&
		    memcmp(chunk, chunk + 1, CHUNK_PAGES - 1) != 0)
			return false;
	}
	return true;
}

/* Chunks that a change of protections may need, allocated beforehand. */
struct chunks {
	uint8_t	**prot;		/* the top, when the VM had none */
	uint8_t	**chunk;	/* of the 2 MiB from `first` on */
	uint64_t first, n;
};

static void
chunks_free(struct chunks *c)
{
	uint64_t i;

	host_free(c->prot);
	if (c->chunk != NULL)
		for (i = 0; i < c->n; i++)
			host_free(c->chunk[i]);
	host_free(c->chunk);
}

static int
chunks_alloc(struct chunks *c, struct vm *vm)
{
	uint8_t *const *prot = sync_load_acquire(&vm->prot);
	uint64_t i;

	c->chunk = host_alloc(c->n * sizeof(c->chunk[0]));
	if (c->chunk == NULL)
		return -ENOMEM;
	if (prot == NULL) {
		c->prot = host_alloc(vm->nprot * sizeof(c->prot[0]));
		if (c->prot == NULL)
			return -ENOMEM;
	}
	for (i = 0; i < c->n; i++) {
		/* A chunk that is there stays there until the VM ends. */
		if (prot != NULL &&
		    sync_load_acquire(&prot[c->first + i]) != NULL)
			continue;
		c->chunk[i] = host_alloc(CHUNK_PAGES);
		if (c->chunk[i] == NULL)
			return -ENOMEM;
		memset(c->chunk[i], STAGE2_RWX, CHUNK_PAGES);
	}
	return 0;
}

/* Put in what is still missing. mem_lock. */
static void
chunks_install(struct chunks *c, struct vm *vm)
{
	uint64_t i;

	if (vm->prot == NULL) {
		sync_store_release(&vm->prot, c->prot);
		c->prot = NULL;
	}
	for (i = 0; i < c->n; i++) {
		if (vm->prot[c->first + i] != NULL)
			continue;
		sync_store_release(&vm->prot[c->first + i], c->chunk[i]);
		c->chunk[i] = NULL;
	}
}

static bool
has_execute_only(void)
{
	return vmm_backend()->execute_only != NULL &&
	    vmm_backend()->execute_only();
}

int
memory_protect(struct vm *vm, uint64_t gpa, uint64_t size, unsigned int prot)
{
	const uint64_t limit = vm->nprot * PAGE_SIZE_2M;
	struct chunks c = { .first = index_nospec(gpa / PAGE_SIZE_2M, vm->nprot) };
	uint64_t at, end;
	int err;

	if (gpa >= limit || size == 0)
		return 0;
	end = size < limit - gpa ? gpa + size : limit;
	c.n = (end - 1) / PAGE_SIZE_2M - c.first + 1;
	if (prot != STAGE2_X || !has_execute_only())
		prot |= STAGE2_R;

	err = chunks_alloc(&c, vm);
	if (err == 0) {
		host_mutex_lock(&vm->mem_lock);
		chunks_install(&c, vm);
		for (at = gpa; at < end; at += PAGE_SIZE_4K)
			sync_store(&vm->prot[index_nospec(at / PAGE_SIZE_2M, vm->nprot)]
			    [at / PAGE_SIZE_4K % CHUNK_PAGES], (uint8_t)prot);
		/* What is allowed comes back by faults. */
		flush(vm, stage2_unmap(&vm->stage2, gpa, end - gpa));
		host_mutex_unlock(&vm->mem_lock);
	}
	chunks_free(&c);
	return err;
}

/* --- Pages that have to be waited for ------------------------------------- */

static bool
vcpu_is_wanted(void *arg)
{
	const struct vcpu *v = arg;

	return sync_load(&v->requests) != 0;
}

static void
vcpu_hold(void *arg)
{
	const struct vcpu *v = arg;

	vm_hold(v->vm);
}

static void
vcpu_release(void *arg)
{
	const struct vcpu *v = arg;

	vm_put(v->vm);
}

/* A fault that RUN has given up lasts until the VM's end, at most: it counts. */
static const struct host_fault_user waiting_vcpu = {
	.leave = vcpu_is_wanted,
	.hold = vcpu_hold,
	.release = vcpu_release,
};

/*
 * Wait for page `want` of v->pages. As host_fault_wait(); no lock but
 * vcpu.lock is held. Kicks wake it up: see guest_loop.h.
 */
static int
page_wait(struct vcpu *v)
{
	const struct host_pages *p = &v->pages;
	int r;

	sync_store(&v->waits, 1);
	sync_full();
	r = host_fault_wait(v->fault, p->hva + p->want * PAGE_SIZE_4K, p->write,
	    &waiting_vcpu, v);
	sync_store(&v->waits, 0);
	return r;
}

/* As host_watch_resolve() of v->pages; -EBUSY after a wait, too. -EINTR. */
static int
pages_resolve(struct vcpu *v, struct host_watch *w)
{
	int r;

	r = host_watch_resolve(w, &v->pages);
	if (r != -EAGAIN)
		return r;
	r = page_wait(v);
	return r == 0 ? -EBUSY : r;
}

/* Is the vCPU's thread to do something else than to start over? */
static bool
interrupted(struct vcpu *v)
{
	return vcpu_is_wanted(v) || host_signal_pending();
}

/* --- Faults --------------------------------------------------------------- */

struct fault {
	struct vcpu *v;
	struct vm *vm;
	const struct vm_range *range;
	uint64_t gpa;			/* of the page */
	unsigned int access;
	uint64_t start;			/* gpa of frame[0] */
	struct host_pages *p;		/* those around it, as the host has them */
	struct stage2_cache tables;
	bool	 flush;
};

/* The aligned group of pages around the one, as far as the range goes. */
static void
fault_window(struct fault *f)
{
	const struct vm_range *r = f->range;
	const uint64_t group = HOST_PAGES * PAGE_SIZE_4K;
	uint64_t start = f->gpa & ~(group - 1), end = start + group;

	if (start < r->gpa)
		start = r->gpa;
	if (end > r->gpa + r->size)
		end = r->gpa + r->size;
	f->start = start;
	f->p->hva = hva_of(r, start);
	f->p->n = (unsigned int)((end - start) / PAGE_SIZE_4K);
	f->p->want = (unsigned int)((f->gpa - start) / PAGE_SIZE_4K);
	f->p->write = f->access & STAGE2_W;
}

/*
 * As long as the guest touches memory page after page, more and more come
 * along that are new: fewer than it has touched so far, and at most AHEAD.
 */
static void
fault_ahead(struct fault *f, struct vcpu *v)
{
	struct host_pages *p = f->p;
	unsigned int n = 0;

	v->fault_ahead = f->gpa == v->fault_next ? v->fault_ahead * 2 + 1 : 0;
	if (v->fault_ahead > AHEAD)
		v->fault_ahead = AHEAD;
	while (n < v->fault_ahead && p->want + n + 1 < p->n && (STAGE2_W &
	    prot_at(f->vm, f->gpa + (n + 1) * PAGE_SIZE_4K)))
		n++;
	p->ahead = n;
}

/* Does the second stage allow the access already? Another vCPU was faster. */
static bool
fault_is_stale(const struct fault *f)
{
	struct stage2_mapping m;

	return stage2_lookup(&f->vm->stage2, f->gpa, &m) &&
	    (f->access & ~m.prot) == 0;
}

/*
 * May what lies around the page be one large leaf? The host must have it in
 * one piece, at the same offset, all within the range (what lies beyond it is
 * not the guest's) and under one protection.
 */
static bool
fault_fits(const struct fault *f, unsigned int level)
{
	const struct vm_range *r = f->range;
	const struct host_frame *frame = &f->p->frame[f->p->want];
	const uint64_t size = stage2_size(level), mask = size - 1;
	const uint64_t base = f->gpa & ~mask;
	const uint64_t hva = r->hva + (f->gpa - r->gpa);

	return PAGE_SIZE_4K << frame->order >= size &&
	    ((f->gpa ^ hva) & mask) == 0 &&
	    ((f->gpa ^ frame->pa) & mask) == 0 && base >= r->gpa &&
	    r->size >= size && base - r->gpa <= r->size - size &&
	    prot_uniform(f->vm, base, size);
}

static enum stage2_level
fault_level(const struct fault *f)
{
	unsigned int level;

	if (f->p->frame[f->p->want].order == 0)
		return STAGE2_4K;
	if ((f->access & STAGE2_X) && !host_large_exec())
		return STAGE2_4K;
	level = vmm_backend()->largest_leaf();
	while (level > STAGE2_4K && !fault_fits(f, level))
		level--;
	return (enum stage2_level)level;
}

static int
fault_map(struct fault *f, uint64_t gpa, const struct host_frame *frame,
    enum stage2_level level)
{
	unsigned int prot = prot_at(f->vm, gpa);
	uint64_t mask = stage2_size(level) - 1;
	int err;

	if (!frame->writable)
		prot &= ~STAGE2_W;
	/* Code comes back page by page, which splits the leaf. */
	if (level != STAGE2_4K && !host_large_exec())
		prot &= ~STAGE2_X;
	err = stage2_map(&f->vm->stage2, gpa & ~mask, frame->pa & ~mask, level,
	    prot, &f->tables, &f->flush);
	if (err == 0 && (prot & STAGE2_W) && !frame->dirty)
		host_frame_dirty(frame);
	return err;
}

/* The host has more than the page in one piece: its neighbours are known. */
static void
fault_spread(struct host_pages *p)
{
	const struct host_frame *frame = &p->frame[p->want];
	const uint64_t mask = (PAGE_SIZE_4K << frame->order) - 1;
	unsigned int i;

	for (i = 0; i < p->n; i++) {
		const uint64_t pa = frame->pa + i * PAGE_SIZE_4K -
		    p->want * PAGE_SIZE_4K;

		if (i == p->want)
			continue;
		p->frame[i] = *frame;
		p->frame[i].pa = pa;
		p->frame[i].present = ((pa ^ frame->pa) & ~mask) == 0;
	}
	p->first = 0;
	p->end = p->n;
}

/* Map what was resolved; mem_lock. -ENOMEM: more table pages are needed. */
static int
fault_map_all(struct fault *f)
{
	const enum stage2_level level = fault_level(f);
	struct host_pages *p = f->p;
	struct stage2_mapping m;
	unsigned int i;
	int err;

	err = fault_map(f, f->gpa, &p->frame[p->want], level);
	if (err || level != STAGE2_4K)
		return err;
	if (p->frame[p->want].order != 0)
		fault_spread(p);
	for (i = p->first; i < p->end; i++) {
		uint64_t gpa = f->start + i * PAGE_SIZE_4K;

		if (i == p->want || !p->frame[i].present ||
		    stage2_lookup(&f->vm->stage2, gpa, &m))
			continue;
		/* The page's own table holds its neighbours as well. */
		err = fault_map(f, gpa, &p->frame[i], STAGE2_4K);
		if (err)
			return err;
	}
	return 0;
}

/* Map what was resolved since seq, unless it has changed: -EAGAIN. */
static int
fault_settle(struct fault *f, unsigned long seq)
{
	int r = MEMORY_FAULT_MAPPED;

	host_mutex_lock(&f->vm->mem_lock);
	if (host_watch_retry(f->range->watch, seq))
		r = -EAGAIN;
	else if (f->access & ~prot_at(f->vm, f->gpa))
		r = MEMORY_FAULT_PROTECT;
	else if (!fault_is_stale(f))
		r = fault_map_all(f);
	if (f->flush)
		flush(f->vm, true);
	f->flush = false;
	host_mutex_unlock(&f->vm->mem_lock);
	return r;
}

/* Resolve and map once. -EAGAIN: start over. */
static int
fault_try(struct fault *f)
{
	struct host_watch *w = f->range->watch;
	unsigned long seq;
	int r;

	seq = host_watch_begin(w);
	r = pages_resolve(f->v, w);
	if (r == -EBUSY)
		return -EAGAIN;
	if (r == -EFAULT)
		return MEMORY_FAULT_PROTECT;
	if (r)
		return r;

	/* Most faults find their tables there. */
	do
		r = fault_settle(f, seq);
	while (r == -ENOMEM && stage2_cache_fill(&f->tables) == 0);
	return r;
}

int
memory_fault(struct vcpu *v, uint64_t gpa, unsigned int access)
{
	struct fault f = {
		.v = v,
		.vm = v->vm,
		.range = memory_range(v->vm, gpa),
		.gpa = gpa & ~(PAGE_SIZE_4K - 1),
		.access = access,
		.p = &v->pages,
	};
	int r;

	if (f.range == NULL)
		return MEMORY_FAULT_MMIO;
	/* What is refused does not bring the page in. */
	if (f.access & ~prot_at(f.vm, f.gpa))
		return MEMORY_FAULT_PROTECT;
	fault_window(&f);
	fault_ahead(&f, v);
	do
		r = fault_try(&f);
	while (r == -EAGAIN && !interrupted(v));
	stage2_cache_drain(&f.tables);
	if (r == MEMORY_FAULT_MAPPED)
		v->fault_next = f.start + f.p->end * PAGE_SIZE_4K;
	return r == -EAGAIN ? -EINTR : r;
}

bool
mem_invalidate(void *arg, uint64_t start, uint64_t end, bool may_block,
    unsigned long token)
{
	const struct vm_range *r = arg;
	struct vm *vm = r->vm;

	if (may_block)
		host_mutex_lock(&vm->mem_lock);
	else if (!host_mutex_trylock(&vm->mem_lock))
		return false;
	host_watch_note(r->watch, token);
	flush(vm, stage2_unmap(&vm->stage2, r->gpa + (start - r->hva),
	    end - start));
	host_mutex_unlock(&vm->mem_lock);
	return true;
}

/*
 * The host asks with spinlocks held, so mem_lock is not waited for: who has it
 * changes mappings, which is a use. Nobody is kicked either: a vCPU that stays
 * in the guest, with the translation cached, is noticed after its next entry.
 */
bool
mem_age(void *arg, uint64_t start, uint64_t end, bool clear)
{
	const struct vm_range *r = arg;
	struct vm *vm = r->vm;
	bool used;

	if (!host_mutex_trylock(&vm->mem_lock))
		return true;
	used = stage2_age(&vm->stage2, r->gpa + (start - r->hva), end - start,
	    clear);
	if (used && clear)
		sync_add(&vm->tlb_gen, 1);
	host_mutex_unlock(&vm->mem_lock);
	return used;
}

void
mem_owner_gone(void *arg)
{
	const struct vm_range *r = arg;

	vm_orphan(r->vm);
}

/* --- The driver's own accesses -------------------------------------------- */

static bool
allowed(const struct vm *vm, uint64_t gpa, unsigned int access)
{
	return (access & ~prot_at(vm, gpa)) == 0;
}

int
memory_place(const struct vm *vm, uint64_t gpa, unsigned int access,
    uint64_t *addr)
{
	const struct vm_range *r = memory_range(vm, gpa);

	if (r == NULL || !allowed(vm, gpa, access))
		return -EFAULT;
	*addr = hva_of(r, gpa);
	return 0;
}

/*
 * The next piece of an access that lies in one range, and where that is in
 * the creator; 0: not memory, or refused.
 */
static size_t
piece(const struct vm *vm, uint64_t gpa, size_t len, unsigned int access,
    uint64_t *hva)
{
	const struct vm_range *r = memory_range(vm, gpa);
	uint64_t at, left;

	if (r == NULL)
		return 0;
	left = r->gpa + r->size - gpa;
	if (len > left)
		len = (size_t)left;
	for (at = gpa & ~(PAGE_SIZE_4K - 1); at < gpa + len; at += PAGE_SIZE_4K)
		if (!allowed(vm, at, access))
			return 0;
	*hva = hva_of(r, gpa);
	return len;
}

/* Is all of it there? Nothing is to happen when a later part is refused. */
static bool
all_there(const struct vm *vm, uint64_t gpa, size_t len, unsigned int access)
{
	uint64_t hva;
	size_t n;

	for (; len > 0; gpa += n, len -= n) {
		n = piece(vm, gpa, len, access, &hva);
		if (n == 0)
			return false;
	}
	return true;
}

/*
 * A page may go again between bringing it in and using it, and there is one
 * that is never there for this access (not by a protection key, say).
 */
#define TRIES	64

/* The range that has this piece of the creator's memory; there is one. */
static const struct vm_range *
range_of(const struct vm *vm, uint64_t hva)
{
	const struct vm_range *r = vm->range;

	while (hva - r->hva >= r->size)
		r++;
	return r;
}

/* Bring one page of the creator's in. 0, -EFAULT, -ENOMEM, -EINTR. */
static int
page_bring(struct vcpu *v, uint64_t hva, bool write)
{
	struct host_watch *w = range_of(v->vm, hva)->watch;
	struct host_pages *p = &v->pages;
	int r;

	do {
		p->hva = hva & ~(PAGE_SIZE_4K - 1);
		p->n = 1;
		p->want = p->ahead = 0;
		p->write = write;
		r = pages_resolve(v, w);
	} while (r == -EBUSY && !interrupted(v));
	return r == -EBUSY ? -EINTR : r;
}

/*
 * An access to [hva, hva + len), all within a range, has failed with err: is it
 * to be tried again, with *tries more? 0: yes.
 */
static int
bring(struct vcpu *v, uint64_t hva, size_t len, bool write, int err,
    unsigned int *tries)
{
	uint64_t at;

	if (err != -EFAULT || v->loaded || ++*tries > TRIES)
		return err;
	err = 0;
	for (at = hva & ~(PAGE_SIZE_4K - 1); err == 0 && at < hva + len;
	    at += PAGE_SIZE_4K)
		err = page_bring(v, at, write);
	return err;
}

int
memory_get_waiting(struct vcpu *v, void *to, uint64_t addr, size_t len)
{
	unsigned int tries = 0;
	int err;

	do {
		host_faults_off();
		err = host_copy_in_few(to, addr, len);
		host_faults_on();
		if (err == 0)
			return 0;
		err = bring(v, addr, len, false, err, &tries);
	} while (err == 0);
	return err;
}

int
memory_put_waiting(struct vcpu *v, uint64_t addr, const void *from, size_t len)
{
	unsigned int tries = 0;
	int err;

	do {
		host_faults_off();
		err = host_copy_out_few(addr, from, len);
		host_faults_on();
		if (err == 0)
			return 0;
		err = bring(v, addr, len, true, err, &tries);
	} while (err == 0);
	return err;
}

int
memory_read(struct vcpu *v, uint64_t gpa, void *buf, size_t len)
{
	uint8_t *to = buf;
	uint64_t hva;
	size_t n;
	int err;

	for (; len > 0; gpa += n, to += n, len -= n) {
		n = piece(v->vm, gpa, len, STAGE2_R, &hva);
		if (n == 0)
			return -EFAULT;
		err = memory_get(v, to, hva, n);
		if (err)
			return err;
	}
	return 0;
}

int
memory_write(struct vcpu *v, uint64_t gpa, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	uint64_t hva;
	size_t n;
	int err;

	if (!all_there(v->vm, gpa, len, STAGE2_W))
		return -EFAULT;
	for (; len > 0; gpa += n, from += n, len -= n) {
		n = piece(v->vm, gpa, len, STAGE2_W, &hva);
		if (n == 0)
			return -EFAULT;
		err = memory_put(v, hva, from, n);
		if (err)
			return err;
	}
	return 0;
}

int
memory_cmpxchg(struct vcpu *v, uint64_t gpa, unsigned int size, uint64_t *old,
    uint64_t new)
{
	unsigned int tries = 0;
	uint64_t hva;
	int err;

	if ((size != 4 && size != 8) || gpa % size != 0 ||
	    memory_place(v->vm, gpa, STAGE2_R | STAGE2_W, &hva))
		return -EFAULT;
	do {
		memory_faults_off(v);
		err = host_cmpxchg_user(hva, size, old, new);
		memory_faults_on(v);
		if (err == 0)
			return 0;
		err = bring(v, hva, size, true, err, &tries);
	} while (err == 0);
	return err;
}
