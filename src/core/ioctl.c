/* SPDX-License-Identifier: ISC */
/*
 * ioctl.c - what every ioctl does: copy the argument in, check it, find and
 * lock the vCPU that it names, call the handler, copy the argument out. The
 * generated table says which of it, and how.
 */
#include "vm.h"
#include "ioctls.h"

/* --- The vCPU ---------------------------------------------------------------- */

/* Lock a vCPU that a RUN may hold, which then ends. */
static int
lock_from_run(struct vcpu *v)
{
	int err;

	if (host_mutex_trylock(&v->lock))
		return 0;
	sync_add(&v->requests, VCPU_REQ_WAITER);
	vcpu_kick(v);
	err = host_mutex_lock_interruptible(&v->lock);
	sync_sub(&v->requests, VCPU_REQ_WAITER);
	return err;
}

/* Call the handler with the vCPU locked. */
static int
call_locked(struct vcpu *v, const struct ioctl_desc *d, void *arg)
{
	int err;

	err = d->vcpu == IOCTL_VCPU_RUN ?
	    host_mutex_lock_interruptible(&v->lock) : lock_from_run(v);
	if (err)
		return err;
	err = sync_load(&v->vm->dying) ? -ENOENT : d->handler(NULL, v, arg);
	host_mutex_unlock(&v->lock);
	return err;
}

/* Call the handler with the vCPU as its row wants it. The VM is referenced. */
static int
call_with_vcpu(struct vm *vm, const struct ioctl_desc *d, void *arg)
{
	const struct ioctl_names *names = arg;
	struct vcpu *v;

	if (!vm_is_callers(vm))
		return -EPERM;
	if (names->vcpu >= vm->ncpus)
		return -ENOENT;
	v = vm->vcpu[index_nospec(names->vcpu, vm->ncpus)];
	if (d->vcpu == IOCTL_VCPU_FOUND)
		return d->handler(NULL, v, arg);
	return call_locked(v, d, arg);
}

static int
call_for_vcpu(const struct ioctl_desc *d, void *arg)
{
	const struct ioctl_names *names = arg;
	struct vm *vm = vm_get(names->vm);
	int err;

	if (vm == NULL)
		return -ENOENT;
	err = call_with_vcpu(vm, d, arg);
	vm_put(vm);
	return err;
}

/* --- The argument ------------------------------------------------------------ */

/* Check the argument and call the handler. */
static int
call(struct vmm_session *s, const struct ioctl_desc *d, void *arg)
{
	int err;

	err = d->check(arg);
	if (err)
		return err;
	if (d->vcpu == IOCTL_VCPU_NONE)
		return d->handler(s, NULL, arg);
	return call_for_vcpu(d, arg);
}

/* An argument of more than some words. */
static int
call_copied(struct vmm_session *s, const struct ioctl_desc *d, void *arg,
    uint64_t uarg)
{
	int err;

	err = host_copy_in(arg, uarg, d->size);
	if (err == 0)
		err = call(s, d, arg);
	if (err || !(d->dir & IOCTL_DIR_OUT))
		return err;
	err = host_copy_out(uarg, arg, d->size);
	if (err && d->cmd == VMM_IOC_CREATE)
		vm_create_undo(arg);
	return err;
}

/* Registers: not worth a visit to the allocator. */
#define STACK_WORDS	73

static __attribute__((__noinline__)) int
call_on_stack(struct vmm_session *s, const struct ioctl_desc *d, uint64_t uarg)
{
	uint64_t arg[STACK_WORDS];

	return call_copied(s, d, arg, uarg);
}

static __attribute__((__noinline__)) int
call_on_heap(struct vmm_session *s, const struct ioctl_desc *d, uint64_t uarg)
{
	void *arg;
	int err;

	arg = host_alloc(d->size);
	if (arg == NULL)
		return -ENOMEM;
	err = call_copied(s, d, arg, uarg);
	host_free(arg);
	return err;
}

/* Arguments of up to so many words are copied word by word. */
#define FEW_WORDS	4

int
vmm_ioctl(struct vmm_session *s, unsigned int cmd, uint64_t uarg)
{
	const struct ioctl_desc *d = ioctl_find(cmd);
	uint64_t arg[FEW_WORDS];
	int err;

	if (d == NULL)
		return -ENOTTY;
	if (d->size > STACK_WORDS * sizeof(uint64_t))
		return call_on_heap(s, d, uarg);
	if (d->size > sizeof(arg))
		return call_on_stack(s, d, uarg);
	err = host_copy_in_few(arg, uarg, d->size);
	if (err == 0)
		err = call(s, d, arg);
	if (err == 0 && (d->dir & IOCTL_DIR_OUT))
		err = host_copy_out_few(uarg, arg, d->size);
	return err;
}
