// SPDX-License-Identifier: ISC
/*
 * host_watch.c - guest memory is the creator's memory: looking up its pages,
 * and hearing about it before they change.
 *
 * An interval notifier covers each range. Nothing is pinned: a page that the
 * second stage maps is held by the creator's own mapping, and before that
 * goes, the notifier has taken it out of the second stage.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/magic.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "host.h"

struct host_watch {
	struct mmu_interval_notifier notifier;
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
	r = mmu_interval_notifier_insert(&w->notifier, current->mm, hva, size,
	    &watch_ops);
	if (r) {
		*out = NULL;
		kfree(w);
		return r == -ENOMEM ? -ENOMEM : -EINVAL;
	}
	return 0;
}

void
host_watch_remove(struct host_watch *w)
{
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

/* Memory that is hidden from the kernel stays out of guests as well. */
static bool
vma_is_secret(const struct vm_area_struct *vma)
{
	return vma->vm_file &&
	    file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC;
}

/* There, but not for a guest: no struct page, or memory of a device. */
static bool
pfn_is_foreign(unsigned long pfn)
{
	return (pfn & HMM_PFN_ERROR) || ((pfn & HMM_PFN_VALID) &&
	    is_zone_device_page(hmm_pfn_to_page(pfn)));
}

static void
frame_set(struct host_frame *f, unsigned long pfn)
{
	*f = (struct host_frame){ 0 };
	if (!(pfn & HMM_PFN_VALID) || pfn_is_foreign(pfn))
		return;
	f->pa = __sme_set(PFN_PHYS(pfn & ~HMM_PFN_FLAGS));
	f->order = hmm_pfn_to_map_order(pfn);
	f->present = true;
	f->writable = pfn & HMM_PFN_WRITE;
}

/*
 * What the page tables say now, without a fault, about page `want` alone or
 * about all pages of the mapping that holds it; others are reported absent.
 * 1: page `want` can be used; 0: it must be faulted in.
 */
static int
frames_look(struct host_watch *w, unsigned long hva, unsigned int npages,
    unsigned int want, bool all, bool write, struct host_frame *frames,
    unsigned long seq)
{
	unsigned long *pfns = (unsigned long *)frames;
	unsigned long at = hva + want * PAGE_SIZE;
	struct hmm_range range = {
		.notifier = &w->notifier,
		.notifier_seq = seq,
	};
	struct vm_area_struct *vma;
	unsigned long pfn;
	unsigned int i;
	int r;

	vma = find_vma(w->notifier.mm, at);
	if (!vma || vma->vm_start > at || !(vma->vm_flags & VM_READ) ||
	    (vma->vm_flags & (VM_IO | VM_PFNMAP)) || vma_is_secret(vma))
		return -EFAULT;

	/* The page frame numbers fit into the lower half of the result... */
	static_assert(sizeof(frames[0]) >= 2 * sizeof(pfns[0]));
	memset(pfns, 0, npages * sizeof(pfns[0]));
	range.start = all ? max3(hva, vma->vm_start, w->start) : at;
	range.end = all ? min3(hva + npages * PAGE_SIZE, vma->vm_end, w->end) :
	    at + PAGE_SIZE;
	range.hmm_pfns = pfns + (range.start - hva) / PAGE_SIZE;
	r = hmm_range_fault(&range);
	if (r)
		return r == -EBUSY ? -EBUSY : -EFAULT;
	pfn = pfns[want];
	if (pfn_is_foreign(pfn))
		return -EFAULT;
	if (all) {
		/* ...and are consumed from the top, before they are overwritten. */
		for (i = npages; i-- > 0;)
			frame_set(&frames[i], pfns[i]);
	} else {
		memset(frames, 0, npages * sizeof(frames[0]));
		frame_set(&frames[want], pfn);
	}
	return frames[want].present && (frames[want].writable || !write);
}

/*
 * A page that has to be faulted in is most often one of many, so looking
 * around is for pages that are there, and not already a large one's part.
 */
int
host_watch_resolve(struct host_watch *w, uint64_t hva, unsigned int npages,
    unsigned int want, bool write, struct host_frame *frames, unsigned long seq)
{
	struct mm_struct *mm = w->notifier.mm;
	unsigned long at = hva + want * PAGE_SIZE;
	bool unlocked = false;
	int r;

	if (at < w->start || at >= w->end)
		return -EFAULT;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	r = frames_look(w, hva, npages, want, false, write, frames, seq);
	if (r == 1 && frames[want].order == 0)
		r = frames_look(w, hva, npages, want, true, write, frames, seq);
	if (r)
		goto out;

	/* Waits for swap-in and for userfaultfd; only death ends the wait. */
	r = fixup_user_fault(mm, at, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	if (r) {
		if (r != -ENOMEM && r != -EINTR)
			r = -EFAULT;
		goto out;
	}
	r = frames_look(w, hva, npages, want, false, write, frames, seq);
	if (r == 0)
		r = -EBUSY;	/* it came and went again */
out:
	mmap_read_unlock(mm);
	return min(r, 0);
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
