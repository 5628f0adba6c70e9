// SPDX-License-Identifier: ISC
/*
 * host_caller.c - who calls, its address space, and copies from and to it.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "host.h"

/*
 * Ids as the initial namespaces see them: the same user in two namespaces is
 * one user, and two users with one number in two namespaces are two.
 */
uint32_t
host_caller_uid(void)
{
	return __kuid_val(current_euid());
}

void
host_caller(struct host_caller *c)
{
	c->uid = host_caller_uid();
	c->pid = task_tgid_nr(current);
	/* A question, not a use of the privilege: nothing for the audit log. */
	c->admin = ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

/* struct host_as is struct mm_struct; a reference keeps the structure only. */
struct host_as *
host_as_get_current(void)
{
	mmgrab(current->mm);
	return (struct host_as *)current->mm;
}

void
host_as_put(struct host_as *as)
{
	mmdrop((struct mm_struct *)as);
}

bool
host_as_is_current(const struct host_as *as)
{
	return as == (const struct host_as *)current->mm;
}

void
host_faults_off(void)
{
	pagefault_disable();
}

void
host_faults_on(void)
{
	pagefault_enable();
}

int
host_copy_in(void *dst, uint64_t uaddr, size_t len)
{
	return copy_from_user(dst, u64_to_user_ptr(uaddr), len) ? -EFAULT : 0;
}

int
host_copy_out(uint64_t uaddr, const void *src, size_t len)
{
	return copy_to_user(u64_to_user_ptr(uaddr), src, len) ? -EFAULT : 0;
}

/* Word by word: what is fast for pages has to be set up first. */
int
host_copy_in_few(void *dst, uint64_t uaddr, size_t len)
{
	const u8 __user *from = u64_to_user_ptr(uaddr);
	u8 *to = dst;
	size_t i;

	might_fault();
	if (!user_read_access_begin(from, len))
		return -EFAULT;
	for (i = 0; i + sizeof(u64) <= len; i += sizeof(u64))
		unsafe_get_user(*(u64 *)(to + i), (const u64 __user *)(from + i), fault);
	if (len & sizeof(u32)) {
		unsafe_get_user(*(u32 *)(to + i), (const u32 __user *)(from + i), fault);
		i += sizeof(u32);
	}
	for (; i < len; i++)
		unsafe_get_user(to[i], from + i, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

int
host_copy_out_few(uint64_t uaddr, const void *src, size_t len)
{
	u8 __user *to = u64_to_user_ptr(uaddr);
	const u8 *from = src;
	size_t i;

	might_fault();
	if (!user_write_access_begin(to, len))
		return -EFAULT;
	for (i = 0; i + sizeof(u64) <= len; i += sizeof(u64))
		unsafe_put_user(*(const u64 *)(from + i), (u64 __user *)(to + i), fault);
	if (len & sizeof(u32)) {
		unsafe_put_user(*(const u32 *)(from + i), (u32 __user *)(to + i), fault);
		i += sizeof(u32);
	}
	for (; i < len; i++)
		unsafe_put_user(from[i], to + i, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/*
 * host_user_range_ok() checked the addresses when the VM was made: nothing is
 * left here that speculation could run past.
 */
bool
host_user_words_same(const struct host_user_word w[HOST_USER_WORDS])
{
	u64 now, changed = 0;
	int i;

	might_fault();
	__uaccess_begin();
#pragma GCC unroll 8
	for (i = 0; i < HOST_USER_WORDS; i++) {
		unsafe_get_user(now, (const u64 __user *)u64_to_user_ptr(w[i].addr), fault);
		changed |= now ^ w[i].value;
	}
	user_read_access_end();
	return changed == 0;
fault:
	user_read_access_end();
	return false;
}

static int
cmpxchg_user32(u32 __user *p, u32 *old, u32 new)
{
	return __try_cmpxchg_user(p, old, new, efault);
}

static int
cmpxchg_user64(u64 __user *p, u64 *old, u64 new)
{
	return __try_cmpxchg_user(p, old, new, efault);
}

int
host_cmpxchg_user(uint64_t uaddr, unsigned int size, uint64_t *old,
    uint64_t new)
{
	void __user *p = u64_to_user_ptr(uaddr);
	u64 was64 = *old;
	u32 was32 = *old;
	int r;

	if ((size != 4 && size != 8) || (uaddr & (size - 1)))
		return -EFAULT;
	if (!access_ok(p, size))
		return -EFAULT;
	might_fault();
	if (size == 4) {
		r = cmpxchg_user32(p, &was32, new);
		was64 = was32;
	} else {
		r = cmpxchg_user64(p, &was64, new);
	}
	if (r > 0) {
		*old = was64;
		return -EAGAIN;
	}
	return r;
}

bool
host_user_range_ok(uint64_t uaddr, uint64_t size)
{
	return uaddr + size >= uaddr && access_ok(u64_to_user_ptr(uaddr), size);
}
