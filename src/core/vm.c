/* SPDX-License-Identifier: ISC */
/*
 * vm.c - attach, sessions, the table of VMs, and the ioctls that make, list
 * and end them.
 */
#include "vm.h"
#include "backend.h"
#include "cr.h"
#include "cpuid_guest.h"
#include "fpu.h"
#include "ioctls.h"
#include "memory.h"
#include "cpu.h"

/* No more VMs than these at a time: each has a vCPU. */
#define VM_SLOTS	VMM_MAX_VCPUS

const struct backend *vmm_backend_found;

static struct {
	struct host_mutex lock;
	unsigned int enabled;		/* VMs that need the CPUs on; lock */
	unsigned int nvcpus;		/* host-wide; lock */

	struct host_spinlock table_lock;
	uint32_t last_id;		/* table_lock */
	unsigned int used;		/* slots that have ever been; sync_* */
	struct vm_slot slot[VM_SLOTS];	/* that of a VM: its id % VM_SLOTS */
} vmm;

/* No backend has found anything: say what was looked for. */
static void
say_none(const struct backend *const *backends)
{
	for (; *backends != NULL; backends++)
		host_info("vmm: this CPU has no %s\n", (*backends)->name);
}

/*
 * Find the backend of this machine. Sleeps.
 * -ENODEV: none, or not usable; the log says why.
 */
int
vmm_attach(const struct backend *const *backends)
{
	const struct backend *const *all = backends;
	int err = -ENXIO;

	memset(&vmm, 0, sizeof(vmm));
	host_mutex_init(&vmm.lock);
	host_spin_init(&vmm.table_lock);

	for (; *backends != NULL; backends++) {
		err = (*backends)->attach();
		if (err != -ENXIO)
			break;
	}
	if (err == -ENXIO) {
		say_none(all);
		return -ENODEV;
	}
	if (err)
		return err;
	err = host_cpus_attach((*backends)->cpu_emergency);
	if (err) {
		(*backends)->detach();
		return err;
	}
	vmm_backend_found = *backends;
	cr_init();
	fpu_init();
	cpuid_init();	/* shows what the FPU switch can carry */
	host_info("vmm0 at mainbus0: %s\n", vmm_backend()->name);
	return 0;
}

void
vmm_detach(void)
{
	host_defer_flush();
	host_cpus_detach();
	vmm_backend()->detach();
	host_mutex_destroy(&vmm.lock);
	vmm_backend_found = NULL;
}

/* --- The table ------------------------------------------------------------ */

/* The VM that is listed here as id, with a reference; NULL: it is not. */
static inline struct vm *
slot_get(struct vm_slot *slot, uint32_t id)
{
	if (sync_load(&slot->id) != id || id == 0)
		return NULL;
	sync_point(SYNC_SLOT_NAMED);
	if (!sync_get(&slot->refs))
		return NULL;
	/* It may have gone before, and another come. */
	if (sync_load(&slot->id) == id)
		return slot->vm;
	vm_put(slot->vm);
	return NULL;
}

struct vm *
vm_get(uint32_t id)
{
	return slot_get(&vmm.slot[id % VM_SLOTS], id);
}

static bool
caller_may(const struct vm *vm, const struct host_caller *c)
{
	return vm_is_callers(vm) || c->admin;
}

/*
 * List a finished VM under a fresh id, the next one whose place is free. From
 * then on anybody may end it, so the caller gets a reference of its own.
 */
static void
table_add(struct vm *vm, struct vmm_session *s)
{
	struct vm_slot *slot;

	host_spin_lock(&vmm.table_lock);
	do {
		vm->id = ++vmm.last_id;
		slot = &vmm.slot[vm->id % VM_SLOTS];
	} while (vm->id == 0 || slot->vm != NULL);
	if (vmm.used <= vm->id % VM_SLOTS)
		sync_store(&vmm.used, vm->id % VM_SLOTS + 1);
	sync_store_release(&vm->slot, slot);
	slot->vm = vm;
	vm->session_next = s->vms;
	vm->session_link = &s->vms;
	if (s->vms != NULL)
		s->vms->session_link = &vm->session_next;
	s->vms = vm;
	sync_store(&slot->id, vm->id);
	sync_store_release(&slot->refs, 2);
	host_spin_unlock(&vmm.table_lock);
}

/* Delist; false when somebody else was first. */
static bool
table_remove(struct vm *vm)
{
	bool first;

	host_spin_lock(&vmm.table_lock);
	first = !sync_exchange(&vm->dying, 1);
	if (first) {
		sync_store(&vm->slot->id, 0);
		*vm->session_link = vm->session_next;
		if (vm->session_next != NULL)
			vm->session_next->session_link = vm->session_link;
	}
	host_spin_unlock(&vmm.table_lock);
	return first;
}

/* From place *i on, the next VM that the caller may see, with a reference. */
static struct vm *
table_next(unsigned int *i, const struct host_caller *c)
{
	struct vm_slot *slot;
	struct vm *vm;

	while (*i < sync_load(&vmm.used)) {
		slot = &vmm.slot[(*i)++];
		vm = slot_get(slot, sync_load(&slot->id));
		if (vm == NULL)
			continue;
		if (caller_may(vm, c))
			return vm;
		vm_put(vm);
	}
	return NULL;
}

void
vmm_for_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	struct host_caller c;
	struct vm *vm;
	unsigned int i = 0;

	host_caller(&c);
	while ((vm = table_next(&i, &c)) != NULL) {
		fn(vm, arg);
		vm_put(vm);
	}
}

/* --- Virtualisation on and off --------------------------------------------- */

/* Account for ncpus more vCPUs; the first VM switches the CPUs on. */
static int
vmm_enable(unsigned int ncpus)
{
	int err = 0;

	host_mutex_lock(&vmm.lock);
	if (vmm.nvcpus + ncpus > VMM_MAX_VCPUS) {
		err = -ENOMEM;
		goto out;
	}
	if (vmm.enabled == 0) {
		err = host_cpus_enable(vmm_backend()->cpu_on,
		    vmm_backend()->cpu_off);
		if (err == -EBUSY)
			host_warn("vmm: another hypervisor (KVM?) has this "
			    "CPU's %s in use\n", vmm_backend()->name);
		/* Of all that can go wrong there, callers know these two. */
		if (err && err != -EBUSY)
			err = -EIO;
		if (err)
			goto out;
	}
	vmm.enabled++;
	vmm.nvcpus += ncpus;
out:
	host_mutex_unlock(&vmm.lock);
	return err;
}

static void
vmm_disable(unsigned int ncpus)
{
	host_mutex_lock(&vmm.lock);
	vmm.nvcpus -= ncpus;
	if (--vmm.enabled == 0)
		host_cpus_disable();
	host_mutex_unlock(&vmm.lock);
}

/* --- Life of a VM ----------------------------------------------------------- */

/*
 * Free everything a VM has, in the order that vm.h gives; accepts a half-built
 * one. Sleeps.
 */
static void
vm_destroy(struct vm *vm)
{
	unsigned int i;

	memory_unwatch(vm);
	for (i = 0; i < vm->ncpus; i++) {
		if (vm->vcpu[i] != NULL)
			vcpu_destroy(vm->vcpu[i]);
	}
	vmm_backend()->vm_fini(vm);
	memory_fini(vm);
	if (vm->as != NULL)
		host_as_put(vm->as);
	host_free(vm);
}

void
vm_hold(struct vm *vm)
{
	sync_add(&vm->slot->refs, 1);
}

void
vm_put(struct vm *vm)
{
	struct vm_slot *slot = vm->slot;
	unsigned int ncpus = vm->ncpus;

	if (sync_sub(&slot->refs, 1) != 0)
		return;
	vm_destroy(vm);
	host_spin_lock(&vmm.table_lock);
	slot->vm = NULL;
	host_spin_unlock(&vmm.table_lock);
	/* Who counts on a free place asks for the vCPUs first. */
	vmm_disable(ncpus);
	host_let_driver_go();
}

static int
vm_build(const struct vm_create_params *p, struct vm **out)
{
	struct host_caller c;
	struct vm *vm;
	unsigned int i;
	int err;

	vm = host_alloc(sizeof(*vm));
	if (vm == NULL)
		return -ENOMEM;
	host_caller(&c);
	vm->uid = c.uid;
	vm->pid = c.pid;
	memcpy(vm->name, p->vcp_name, sizeof(vm->name) - 1);
	vm->as = host_as_get_current();
	vm->tsc_start = cpu_rdtsc();
	vm->ns_start = host_ns();

	err = memory_init(vm, p->vcp_memranges,
	    (unsigned int)p->vcp_nmemranges);
	if (err)
		goto fail;
	err = vmm_backend()->vm_init(vm);
	if (err)
		goto fail;
	vm->ncpus = (unsigned int)p->vcp_ncpus;
	for (i = 0; i < vm->ncpus; i++) {
		err = vcpu_create(vm, i, &vm->vcpu[i]);
		if (err)
			goto fail;
	}
	*out = vm;
	return 0;
fail:
	vm_destroy(vm);
	return err;
}

/*
 * End a delisted VM: no vCPU is inside the guest, and none will enter, when
 * this returns. RUNs that sleep are woken up and not waited for: they may need
 * somebody else's memory to return. The caller's reference stays. Sleeps, but
 * only until interrupts have been taken.
 */
static void
vm_stop(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->ncpus; i++) {
		struct vcpu *v = vm->vcpu[i];

		sync_store(&v->state, sync_load(&v->state) ==
		    VCPU_STATE_RUNNING ? VCPU_STATE_REQTERM :
		    VCPU_STATE_TERMINATED);
		vcpu_request(v, VCPU_REQ_TERM);
	}
	/* Who has not seen the request is inside, and has left when it returns. */
	host_mutex_lock(&vm->mem_lock);
	vm_flush(vm);
	host_mutex_unlock(&vm->mem_lock);
}

/* Delist, stop, and drop the table's reference. -ENOENT: already ending. */
static int
vm_end(struct vm *vm)
{
	if (!table_remove(vm))
		return -ENOENT;
	vm_stop(vm);
	vm_put(vm);
	return 0;
}

static void
orphan_end(void *arg)
{
	struct vm *vm = arg;

	vm_end(vm);
	vm_put(vm);
}

void
vm_orphan(struct vm *vm)
{
	struct vm_slot *slot;

	if (sync_exchange(&vm->orphaned, 1))
		return;
	/* Not listed yet: its CREATE fails, or looks at `orphaned` behind that. */
	slot = sync_load_acquire(&vm->slot);
	/* One of its watches is calling: ending it here would wait for that. */
	if (slot != NULL && sync_get(&slot->refs))
		host_defer(&vm->orphan_work, orphan_end, vm);
}

int
vmm_open(struct vmm_session *s)
{
	s->vms = NULL;
	return 0;
}

void
vmm_close(struct vmm_session *s)
{
	struct vm *vm;

	for (;;) {
		host_spin_lock(&vmm.table_lock);
		vm = s->vms;
		if (vm != NULL)
			vm_hold(vm);
		host_spin_unlock(&vmm.table_lock);
		if (vm == NULL)
			return;
		vm_end(vm);
		vm_put(vm);
	}
}

/* --- ioctls ------------------------------------------------------------------ */

int
vmm_ioctl_create(struct vmm_session *s, struct vm_create_params *p)
{
	struct vm *vm;
	size_t i;
	int err;

	for (i = 0; i < p->vcp_nmemranges; i++) {
		if (!host_user_range_ok(p->vcp_memranges[i].vmr_va,
		    p->vcp_memranges[i].vmr_size))
			return -EINVAL;
	}
	err = vmm_enable((unsigned int)p->vcp_ncpus);
	if (err)
		return err;
	err = vm_build(p, &vm);
	if (err) {
		vmm_disable((unsigned int)p->vcp_ncpus);
		return err;
	}
	/* It may outlive the file. */
	host_keep_driver();
	table_add(vm, s);
	p->vcp_id = vm->id;
	/* Pairs with vm_orphan(), which finds it listed or is seen here. */
	sync_full();
	if (sync_load(&vm->orphaned))
		vm_end(vm);
	vm_put(vm);
	return 0;
}

int
vmm_ioctl_term(struct vmm_session *s, struct vm_terminate_params *p)
{
	struct vm *vm = vm_get(p->vtp_vm_id);
	struct host_caller c;
	int err;

	(void)s;
	if (vm == NULL)
		return -ENOENT;
	host_caller(&c);
	err = caller_may(vm, &c) ? vm_end(vm) : -EPERM;
	vm_put(vm);
	return err;
}

static void
info_fill(struct vm *vm, struct vm_info_result *r)
{
	unsigned int i;

	memset(r, 0, sizeof(*r));
	r->vir_memory_size = vm->mem_size;
	r->vir_used_size = memory_used(vm);
	r->vir_ncpus = vm->ncpus;
	for (i = 0; i < VMM_MAX_VCPUS_PER_VM; i++)
		r->vir_vcpu_state[i] = i < vm->ncpus ?
		    sync_load(&vm->vcpu[i]->state) : VCPU_STATE_UNKNOWN;
	r->vir_creator_pid = vm->pid;
	r->vir_id = vm->id;
	memcpy(r->vir_name, vm->name, sizeof(r->vir_name));
}

/*
 * One entry is copied out at a time, so that the number of VMs costs the
 * kernel no memory; VMs that come or go meanwhile are listed or not.
 */
int
vmm_ioctl_info(struct vmm_session *s, struct vm_info_params *p)
{
	struct vm_info_result result;
	struct host_caller c;
	uint64_t uaddr = (uint64_t)(uintptr_t)p->vip_info;
	size_t want = 0, room = p->vip_size / sizeof(result);
	struct vm *vm;
	unsigned int i;
	int err = 0;

	(void)s;
	host_caller(&c);
	for (i = 0; (vm = table_next(&i, &c)) != NULL; vm_put(vm))
		want++;
	p->vip_info_ct = 0;
	if (p->vip_size < want * sizeof(result)) {
		p->vip_size = want * sizeof(result);
		return 0;
	}
	for (i = 0; err == 0 && p->vip_info_ct < room &&
	    (vm = table_next(&i, &c)) != NULL; ) {
		info_fill(vm, &result);
		/* The copy may take as long as the caller likes. */
		vm_put(vm);
		err = host_copy_out_few(uaddr + p->vip_info_ct * sizeof(result),
		    &result, sizeof(result));
		p->vip_info_ct++;
	}
	return err;
}

void
vm_create_undo(const struct vm_create_params *p)
{
	struct vm *vm = vm_get(p->vcp_id);

	if (vm != NULL) {
		vm_end(vm);
		vm_put(vm);
	}
}
