// SPDX-License-Identifier: ISC
/*
 * host_watch.c - guest memory is the creator's memory: looking up its pages,
 * and hearing about it before they change.
 *
 * An interval notifier covers each range. Nothing is pinned: a page that the
 * second stage maps is held by the creator's own mapping, and before that
 * goes, the notifier has taken it out of the second stage. What an interval
 * notifier does not hear, which pages reclaim asks about, another notifier
 * does: one for each address space, which knows the ranges in it.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/hugetlb.h>
#include <linux/sched/signal.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swapops.h>
#include <linux/userfaultfd_k.h>
#include <asm/mmu_context.h>

#include "compat.h"
#include "host.h"
#include "host_watch.h"

/* One address space with watches; they keep it. */
struct space {
	struct mmu_notifier notifier;
	spinlock_t lock;		/* innermost but for mem_age() */
	struct list_head watches;
};

struct host_watch {
	struct mmu_interval_notifier notifier;
	struct space *space;
	struct list_head link;		/* in space->watches */
	unsigned long start, end;
	void *arg;
};

static bool
watch_invalidate(struct mmu_interval_notifier *notifier,
    const struct mmu_notifier_range *range, unsigned long token)
{
	struct host_watch *w =
	    container_of(notifier, struct host_watch, notifier);

	if (!mem_invalidate(w->arg, max(range->start, w->start),
	    min(range->end, w->end), mmu_notifier_range_blockable(range),
	    token))
		return false;
	if (range->event == MMU_NOTIFY_RELEASE)
		mem_owner_gone(w->arg);
	return true;
}

static const struct mmu_interval_notifier_ops watch_ops = {
	.invalidate = watch_invalidate,
};

/* Called under spinlocks, those of page tables for one. */
static bool
space_age(struct mmu_notifier *notifier, unsigned long start,
    unsigned long end, bool clear)
{
	struct space *space = container_of(notifier, struct space, notifier);
	struct host_watch *w;
	bool used = false;

	spin_lock(&space->lock);
	list_for_each_entry(w, &space->watches, link)
		if (start < w->end && end > w->start &&
		    mem_age(w->arg, max(start, w->start), min(end, w->end), clear))
			used = true;
	spin_unlock(&space->lock);
	return used;
}

static int
space_clear_young(struct mmu_notifier *notifier, struct mm_struct *mm,
    unsigned long start, unsigned long end)
{
	return space_age(notifier, start, end, true);
}

static int
space_test_young(struct mmu_notifier *notifier, struct mm_struct *mm,
    unsigned long at)
{
	return space_age(notifier, at, at + 1, false);
}

static struct mmu_notifier *
space_alloc(struct mm_struct *mm)
{
	struct space *space = kzalloc(sizeof(*space), GFP_KERNEL_ACCOUNT);

	if (!space)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&space->lock);
	INIT_LIST_HEAD(&space->watches);
	return &space->notifier;
}

static void
space_free(struct mmu_notifier *notifier)
{
	kfree(container_of(notifier, struct space, notifier));
}

/*
 * Nothing is flushed in clear_flush_young either: x86 does not for its own page
 * tables. An out-of-date answer costs a fault at most.
 */
static const struct mmu_notifier_ops space_ops = {
	.clear_flush_young = space_clear_young,
	.clear_young = space_clear_young,
	.test_young = space_test_young,
	.alloc_notifier = space_alloc,
	.free_notifier = space_free,
};

/* The notifiers stop at once if a signal is pending: CREATE starts again then. */
static int
register_error(long r)
{
	if (r == -EINTR)
		return -ERESTARTNOINTR;
	return r == -ENOMEM ? -ENOMEM : -EINVAL;
}

static int
space_join(struct host_watch *w)
{
	struct mmu_notifier *notifier = mmu_notifier_get(&space_ops, current->mm);

	if (IS_ERR(notifier))
		return register_error(PTR_ERR(notifier));
	w->space = container_of(notifier, struct space, notifier);
	spin_lock(&w->space->lock);
	list_add(&w->link, &w->space->watches);
	spin_unlock(&w->space->lock);
	return 0;
}

/* No mem_age() for this watch any more. */
static void
space_leave(struct host_watch *w)
{
	spin_lock(&w->space->lock);
	list_del(&w->link);
	spin_unlock(&w->space->lock);
	mmu_notifier_put(&w->space->notifier);
}

int
host_watch_add(struct host_watch **out, uint64_t hva, uint64_t size, void *arg)
{
	struct host_watch *w;
	int r;

	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return -ENOMEM;
	w->start = hva;
	w->end = hva + size;
	w->arg = arg;
	/* The first invalidation may come at once, and wants the watch. */
	*out = w;
	r = space_join(w);
	if (r)
		goto fail;
	r = mmu_interval_notifier_insert(&w->notifier, current->mm, hva, size,
	    &watch_ops);
	if (r) {
		r = register_error(r);
		space_leave(w);
		goto fail;
	}
	return 0;

fail:
	*out = NULL;
	kfree(w);
	return r;
}

void
host_watch_remove(struct host_watch *w)
{
	space_leave(w);
	mmu_interval_notifier_remove(&w->notifier);
	kfree(w);
}

void
host_watch_note(struct host_watch *w, unsigned long token)
{
	mmu_interval_set_seq(&w->notifier, token);
}

unsigned long
host_watch_begin(struct host_watch *w)
{
	return mmu_interval_read_begin(&w->notifier);
}

bool
host_watch_retry(struct host_watch *w, unsigned long seq)
{
	return mmu_interval_read_retry(&w->notifier, seq);
}

/* --- The creator's page tables -------------------------------------------- */

/* Memory that is hidden from the kernel stays out of guests as well. */
static bool
vma_is_secret(const struct vm_area_struct *vma)
{
	return vma->vm_file &&
	    file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC;
}

#define VM_NOT_FOR_GUESTS	(VM_IO | VM_PFNMAP | COMPAT_VM_SHADOW_STACK)

/*
 * Does the current thread's PKRU allow this access? The kernel never runs with
 * another PKRU than that of the thread, not even with a guest's FPU registers
 * loaded.
 */
static bool
pkey_allows(struct vm_area_struct *vma, bool write)
{
	return arch_vma_access_permitted(vma, write, false, false);
}

/*
 * The mapping that holds an address, if a guest may have it for this access, as
 * far as that does not depend on the thread.
 */
static struct vm_area_struct *
guest_vma(struct mm_struct *mm, unsigned long at, bool write)
{
	const unsigned long want = VM_READ | (write ? VM_WRITE : 0);
	struct vm_area_struct *vma = vma_lookup(mm, at);

	if (!vma || (vma->vm_flags & (want | VM_NOT_FOR_GUESTS)) != want ||
	    vma_is_secret(vma))
		return NULL;
	return vma;
}

/* An entry that translates; those of all sizes have their flags alike. */
struct leaf {
	unsigned long flags;	/* 0: there is none */
	unsigned long pfn;	/* of the 4 KiB page */
	unsigned int order;
	const pte_t *pte;	/* where it is, if it is one of 4 KiB */
	bool	 moving;	/* not there, but neither nowhere nor in swap */
};

#define LEAF_FLAGS	(_PAGE_PRESENT | _PAGE_USER)

/*
 * With interrupts off, no table that is reached is freed: whoever does that
 * waits for all CPUs first, by interrupts or by RCU. But entries may change
 * at any time, so each is read once.
 */
static void
leaf_find(struct leaf *l, struct mm_struct *mm, unsigned long at)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, at));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pte_t pte;

	if (!pgd_present(pgd))
		return;
	p4d = READ_ONCE(*p4d_offset(&pgd, at));
	if (!p4d_present(p4d))
		return;
	pud = READ_ONCE(*pud_offset(&p4d, at));
	if (!(pud_flags(pud) & _PAGE_PRESENT))
		return;
	if (pud_flags(pud) & _PAGE_PSE) {
		l->flags = pud_flags(pud);
		l->pfn = pud_pfn(pud) + PHYS_PFN(at & ~PUD_MASK);
		l->order = PUD_SHIFT - PAGE_SHIFT;
		return;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, at));
	if (!(pmd_flags(pmd) & _PAGE_PRESENT)) {
		l->moving = is_swap_pmd(pmd);
		return;
	}
	if (pmd_flags(pmd) & _PAGE_PSE) {
		l->flags = pmd_flags(pmd);
		l->pfn = pmd_pfn(pmd) + PHYS_PFN(at & ~PMD_MASK);
		l->order = PMD_SHIFT - PAGE_SHIFT;
		return;
	}
	l->pte = pte_offset_kernel(&pmd, at);
	pte = READ_ONCE(*l->pte);
	l->flags = pte_flags(pte);
	l->pfn = pte_pfn(pte);
	l->order = 0;
	l->moving = is_swap_pte(pte) && non_swap_entry(pte_to_swp_entry(pte));
}

/*
 * There, but not for a guest: no struct page, or memory of a device. Pages of
 * zeros are special too, and the only such pages in anonymous memory.
 */
static bool
page_is_foreign(struct vm_area_struct *vma, unsigned long flags,
    unsigned long pfn)
{
	if (flags & _PAGE_SPECIAL)
		return !is_zero_pfn(pfn) && !vma_is_anonymous(vma);
	return is_zone_device_page(pfn_to_page(pfn));
}

/* pkey_write: pkey_allows() writing to vma. -EFAULT: not for a guest. */
static int
frame_set(struct host_frame *f, struct vm_area_struct *vma, bool pkey_write,
    unsigned long flags, unsigned long pfn)
{
	f->present = false;
	if ((flags & LEAF_FLAGS) != LEAF_FLAGS)
		return 0;
	if (page_is_foreign(vma, flags, pfn))
		return -EFAULT;
	f->pa = __sme_set(PFN_PHYS(pfn));
	f->order = 0;
	f->present = true;
	f->writable = (flags & _PAGE_RW) && pkey_write;
	f->dirty = flags & _PAGE_DIRTY;
	return 0;
}

/* Page `want` is there: what of first to end - 1 is known with it? */
static void
frames_around(struct host_pages *p, struct vm_area_struct *vma,
    bool pkey_write, const struct leaf *l, unsigned int index)
{
	unsigned int i;

	if (!l->pte) {
		/* A large page is all that there is to know. */
		p->frame[p->want].order = l->order;
		p->first = p->want;
		p->end = p->want + 1;
		return;
	}
	p->first = max(p->first, p->want - min(p->want, index));
	p->end = min(p->end, p->want + PTRS_PER_PTE - index);
	for (i = p->first; i < p->end; i++) {
		pte_t e = READ_ONCE(l->pte[(long)i - p->want]);

		if (i != p->want)
			frame_set(&p->frame[i], vma, pkey_write,
			    pte_flags(e), pte_pfn(e));
	}
}

/*
 * Page `want` is not there: which are to be faulted in with it? None that
 * somebody else wants to hear of, or has to bring from afar.
 */
static void
frames_behind(struct host_pages *p, struct vm_area_struct *vma,
    const struct leaf *l, unsigned int index)
{
	unsigned int n = 0, most = min3(p->ahead, p->end - p->want - 1,
	    PTRS_PER_PTE - index - 1);

	if (p->write && l->pte && pte_none(READ_ONCE(*l->pte)) &&
	    vma_is_anonymous(vma) && !userfaultfd_armed(vma))
		while (n < most && pte_none(READ_ONCE(l->pte[n + 1])))
			n++;
	p->first = p->want;
	p->end = p->want + 1 + n;
}

/*
 * What the page tables say now, without a fault, of the pages first to
 * end - 1. 0: page `want` must be faulted in, with the others that are left;
 * *there says that there is something to begin with, *moving as in struct leaf.
 */
static int
frames_look(struct host_pages *p, struct vm_area_struct *vma, bool *there,
    bool *moving)
{
	const unsigned long at = p->hva + p->want * PAGE_SIZE;
	const unsigned int index = pte_index(at);
	const bool pkey_write = pkey_allows(vma, true);
	struct host_frame *f = &p->frame[p->want];
	struct leaf l = { 0 };
	int r;

	local_irq_disable();
	leaf_find(&l, vma->vm_mm, at);
	r = frame_set(f, vma, pkey_write, l.flags, l.pfn);
	if (r == 0 && f->present && (f->writable || !p->write)) {
		frames_around(p, vma, pkey_write, &l, index);
		r = 1;
	} else if (r == 0) {
		frames_behind(p, vma, &l, index);
	}
	local_irq_enable();
	*there = f->present || (l.pte && l.flags);
	*moving = l.moving;
	return r;
}

/* --- The creator's page faults --------------------------------------------- */

/* Memory without a file behind it: what is not there yet is zeros. */
static bool
vma_is_tmpfs(const struct vm_area_struct *vma)
{
	return file_inode(vma->vm_file)->i_sb->s_magic == TMPFS_MAGIC;
}

/* Is what a file's mapping has at `at` in memory, or to be had for nothing? */
static bool
contents_are_there(struct vm_area_struct *vma, unsigned long at)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	const pgoff_t index = linear_page_index(vma, at);
	struct page *page = find_get_page(mapping, index);
	bool there;

	if (!page)
		return vma_is_tmpfs(vma) && !xa_load(&mapping->i_pages, index);
	there = PageUptodate(page) && !PageLocked(page);
	put_page(page);
	return there;
}

/*
 * Would the fault wait, even if it was told not to? For pages in swap, and for
 * userfaultfd, it then does not. But file systems read, and wait for their turn
 * to let a page be written to, as they like; and a page that is being moved is
 * waited for.
 */
static bool
fault_waits(struct vm_area_struct *vma, unsigned long at, bool write, bool there,
    bool moving)
{
	if (moving)
		return true;
	if (vma_is_anonymous(vma) || is_vm_hugetlb_page(vma) || !vma->vm_file)
		return false;
	if (write && (vma->vm_flags & VM_SHARED) && vma->vm_ops->page_mkwrite)
		return true;
	return !there && !contents_are_there(vma, at);
}

/*
 * The host's own page fault. -EAGAIN: the page has to be waited for. Without
 * FAULT_FLAG_RETRY_NOWAIT it has been, without mmap_lock, which is free now.
 */
static int
fault_in(struct vm_area_struct *vma, unsigned long at, unsigned int flags)
{
	vm_fault_t fault = handle_mm_fault(vma, at, flags, NULL);

	if (fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
		return -EAGAIN;
	if (fault & VM_FAULT_OOM)
		return -ENOMEM;
	return fault & VM_FAULT_ERROR ? -EFAULT : 0;
}

#define FAULT_NOWAIT	(FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT)

/* With mmap_lock. */
static int
pages_resolve(struct host_pages *p, struct mm_struct *mm)
{
	const unsigned long at = p->hva + p->want * PAGE_SIZE;
	struct vm_area_struct *vma = guest_vma(mm, at, p->write);
	bool there, moving;
	unsigned int i;
	int r;

	if (!vma || !pkey_allows(vma, p->write))
		return -EFAULT;
	p->first = p->want -
	    min_t(unsigned long, p->want, PHYS_PFN(at - vma->vm_start));
	p->end = min_t(unsigned long, p->n,
	    p->want + PHYS_PFN(vma->vm_end - at));
	r = frames_look(p, vma, &there, &moving);
	if (r)
		return min(r, 0);
	if (fault_waits(vma, at, p->write, there, moving))
		return -EAGAIN;
	r = fault_in(vma, at, FAULT_NOWAIT | (p->write ? FAULT_FLAG_WRITE : 0));
	if (r)
		return r;
	/* Nothing here waits, and nothing is lost if it fails. */
	for (i = p->want + 1; i < p->end; i++)
		if (fault_in(vma, p->hva + i * PAGE_SIZE, FAULT_NOWAIT | FAULT_FLAG_WRITE))
			break;
	r = frames_look(p, vma, &there, &moving);
	return r ? min(r, 0) : -EBUSY;	/* it came and went again */
}

int
host_watch_resolve(struct host_watch *w, struct host_pages *p)
{
	struct mm_struct *mm = w->notifier.mm;
	int r;

	if (p->hva < w->start || p->hva + p->n * PAGE_SIZE > w->end)
		return -EFAULT;
	/* Who holds it may itself be waiting for a page. */
	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	r = pages_resolve(p, mm);
	mmap_read_unlock(mm);
	return r;
}

/* The caller has asked the thread's protection keys, which are not current's. */
int
watch_fault_in(struct mm_struct *mm, unsigned long at, bool write)
{
	const unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE |
	    FAULT_FLAG_INTERRUPTIBLE | FAULT_FLAG_REMOTE |
	    (write ? FAULT_FLAG_WRITE : 0);
	struct vm_area_struct *vma;
	int r;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = guest_vma(mm, at, write);
	r = vma ? fault_in(vma, at, flags) : -EFAULT;
	if (r == -EAGAIN)
		return 0;
	mmap_read_unlock(mm);
	return r;
}

/*
 * The frame cannot go while the notifier is held off. A page that is mapped
 * writable in the creator's page table and clean in the page cache is rare:
 * the fault that made it writable has dirtied it.
 */
void
host_frame_dirty(const struct host_frame *f)
{
	struct page *page = pfn_to_page(PHYS_PFN(__sme_clr(f->pa)));

	if (!PageReserved(page) && !PageDirty(page))
		set_page_dirty(page);
}
