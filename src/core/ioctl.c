/* SPDX-License-Identifier: ISC */
/*
 * ioctl.c - what every ioctl does: copy the argument in, check it, find and
 * lock the vCPU that it names, call the handler, copy the argument out. The
 * generated table says which of it, and how.
 */
#include "vm.h"
#include "ioctls.h"

/* --- The vCPU ---------------------------------------------------------------- */

/* Find the vCPU; the VM is referenced, nothing is locked. */
static int
vcpu_find(const struct ioctl_names *n, struct vcpu **out)
{
	struct vm *vm;
	int err;

	err = vm_get(n->vm, &vm);
	if (err)
		return err;
	if (n->vcpu >= vm->ncpus) {
		vm_put(vm);
		return -ENOENT;
	}
	/* Masked, so that a mispredicted branch does not read past the table. */
	*out = vm->vcpu[n->vcpu % VMM_MAX_VCPUS_PER_VM];
	return 0;
}

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

static int
vcpu_lock(struct vcpu *v, enum ioctl_vcpu how)
{
	int err;

	err = how == IOCTL_VCPU_RUN ? host_mutex_lock_interruptible(&v->lock) :
	    lock_from_run(v);
	if (err)
		return err;
	if (sync_load(&v->vm->dying)) {
		host_mutex_unlock(&v->lock);
		return -ENOENT;
	}
	return 0;
}

/* Call the handler with the vCPU as it wants it. */
static int
call_for_vcpu(struct vmm_session *s, const struct ioctl_desc *d, void *arg)
{
	bool locked = d->vcpu != IOCTL_VCPU_FOUND;
	struct vcpu *v;
	struct vm *vm;
	int err;

	err = vcpu_find(arg, &v);
	if (err)
		return err;
	vm = v->vm;
	if (locked)
		err = vcpu_lock(v, d->vcpu);
	if (err == 0) {
		err = d->handler(s, v, arg);
		if (locked)
			host_mutex_unlock(&v->lock);
	}
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
	return call_for_vcpu(s, d, arg);
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

static __attribute__((__noinline__)) int
call_large(struct vmm_session *s, const struct ioctl_desc *d, uint64_t uarg)
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
	if (d->size > sizeof(arg))
		return call_large(s, d, uarg);
	err = host_copy_in_few(arg, uarg, d->size);
	if (err == 0)
		err = call(s, d, arg);
	if (err == 0 && (d->dir & IOCTL_DIR_OUT))
		err = host_copy_out_few(uarg, arg, d->size);
	return err;
}
