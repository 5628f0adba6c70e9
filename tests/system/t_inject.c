/* SPDX-License-Identifier: ISC */
/*
 * t_inject.c - faults of the host's own, place by place: for a debug kernel
 * (`make check-debug`). These cases run only when named.
 *
 * /proc/thread-self/fail-nth makes the Nth allocation or copy that this thread asks
 * the kernel for fail. Each call here is made with N = 1, 2, ... until it ends before
 * its Nth, so that each place has failed once. A call that fails must say so by a known
 * error and leave everything as it was: the same call without a fault works afterwards.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fault.h"
#include "vm.h"

#define MOST	3000		/* places that one call may have */

static bool
good_error(int err)
{
	return err == ENOMEM || err == EFAULT || err == EINTR || err == EAGAIN;
}

/*
 * call(arg) with each fault in turn, then without one. undo(arg) follows each call that
 * was successful; NULL: nothing to undo.
 */
static void
each_fault(const char *name, int (*call)(void *arg), void (*undo)(void *arg), void *arg)
{
	unsigned int n, failed = 0;
	int rc, err;
	bool hit = true;

	for (n = 1; hit; n++) {
		CHECK_MSG(n < MOST, "%s: no end of faults", name);
		fault_set(n);
		errno = 0;
		rc = call(arg);
		err = errno;
		hit = fault_hit();
		if (rc < 0) {
			CHECK_MSG(hit && good_error(err), "%s, fault %u: %s%s", name, n,
			    strerror(err), hit ? "" : " without a fault");
			failed++;
		} else if (undo != NULL) {
			undo(arg);
		}
	}
	CHECK_MSG(call(arg) >= 0, "%s, afterwards: %s", name, strerror(errno));
	if (undo != NULL)
		undo(arg);
	test_note("%s: %u faults, %u made it fail", name, n - 2, failed);
}

/* --- Calls ------------------------------------------------------------------------- */

/* A VM to be, of several ranges and vCPUs. */
static struct making {
	struct vm *vm;
	struct vm_create_params p;
	int	 fd;
} making;

static struct making *
making_new(unsigned int ncpus)
{
	struct vm_create_params *p = &making.p;
	unsigned int i;

	making.vm = vm_prepare(1, 4 * MB, 0);
	p->vcp_nmemranges = 4;
	p->vcp_ncpus = ncpus;
	for (i = 0; i < 4; i++)
		p->vcp_memranges[i] = (struct vm_mem_range){ i * 4 * MB,
		    (uintptr_t)making.vm->mem + i * MB, MB };
	return &making;
}

static int
call_create(void *arg)
{
	struct making *m = arg;

	return ioctl(m->vm->fd, VMM_IOC_CREATE, &m->p);
}

static void
undo_create(void *arg)
{
	struct making *m = arg;

	CHECK_OK(do_term(m->vm->fd, m->p.vcp_id));
}

static int
no_vms(void)
{
	struct vm_info_result r[4];
	int fd = vmm_open_device(), n = do_info(fd, r, 4);

	CHECK_OK(close(fd));
	return n;
}

TEST_T(inject_create, "debug/inject/create", 300)
{
	faults_of_all_kinds();
	each_fault("CREATE of 1 vCPU", call_create, undo_create, making_new(1));
	CHECK_EQ(no_vms(), 0);
	each_fault("CREATE of 8 vCPUs", call_create, undo_create, making_new(8));
	CHECK_EQ(no_vms(), 0);
}

/* The memory of a VM that is never finished goes meanwhile. */
static volatile int forgetting;

static void *
forget(void *arg)
{
	struct making *m = arg;

	while (forgetting) {
		madvise(m->vm->mem, 4 * MB, MADV_DONTNEED);
		*(volatile uint8_t *)(m->vm->mem + MB) = 1;
	}
	return NULL;
}

TEST_T(inject_create_forget, "debug/inject/create_while_memory_goes", 300)
{
	struct making *m = making_new(8);
	pthread_t thread;

	faults_of_all_kinds();
	forgetting = 1;
	CHECK_EQ(pthread_create(&thread, NULL, forget, m), 0);
	each_fault("CREATE of 8 vCPUs", call_create, undo_create, m);
	forgetting = 0;
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static int
call_open(void *arg)
{
	struct making *m = arg;

	m->fd = open("/dev/vmm", O_RDWR | O_CLOEXEC);
	return m->fd;
}

static void
undo_open(void *arg)
{
	struct making *m = arg;

	CHECK_OK(close(m->fd));
}

/* A child has a copy of the creator's memory, and each copied page is the guest's too. */
static int
call_fork(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : (int)waitpid(pid, NULL, 0);
}

TEST_T(inject_open, "debug/inject/open_and_fork", 300)
{
	struct vm *vm = vm_new(LONG);

	faults_of_all_kinds();
	each_fault("open", call_open, undo_open, &making);
	vm_call_ok(&vm->cpu[0], g_long_fill, LAYOUT_HIGH, 2 * MB, PAGE, 1);
	each_fault("fork", call_fork, NULL, NULL);
	CHECK_EQ(vm_call_ok(&vm->cpu[0], g_long_verify, LAYOUT_HIGH, 2 * MB, PAGE, 1), 0);
}

/* --- The ioctls of a VM that is there ---------------------------------------------- */

static struct vm_rwregs_params regs;
static struct vcpu_reg_state state;

static int
call_readregs(void *arg)
{
	struct vcpu *v = arg;

	return do_readregs(v->vm->fd, v->vm->id, v->id, VM_RWREGS_ALL, &regs);
}

static int
call_writeregs(void *arg)
{
	struct vcpu *v = arg;

	return do_writeregs(v->vm->fd, v->vm->id, v->id, VM_RWREGS_ALL, &regs);
}

static int
call_resetcpu(void *arg)
{
	struct vcpu *v = arg;

	return do_resetcpu(v->vm->fd, v->vm->id, v->id, &state);
}

static int
call_intr(void *arg)
{
	struct vcpu *v = arg;

	return do_intr(v->vm->fd, v->vm->id, v->id, 0);
}

static int
call_protect(void *arg)
{
	struct vcpu *v = arg;

	return do_protect(v->vm->fd, v->vm->id, v->id, LAYOUT_HIGH,
	    v->vm->size - LAYOUT_HIGH, VMM_PROT_READ | VMM_PROT_WRITE);
}

static int
call_info(void *arg)
{
	static struct vm_info_result r[4];
	struct vcpu *v = arg;

	return do_info(v->vm->fd, r, 4);
}

static int
call_vmparams(void *arg)
{
	struct vcpu *v = arg;
	struct vm_rwvmparams_params p = { .vpp_vm_id = v->vm->id,
	    .vpp_mask = VM_RWVMPARAMS_ALL };

	if (ioctl(v->vm->fd, VMM_IOC_READVMPARAMS, &p) < 0)
		return -1;
	return ioctl(v->vm->fd, VMM_IOC_WRITEVMPARAMS, &p);
}

static int
call_refused(void *arg)
{
	struct vcpu *v = arg;
	struct vm_refused_params p = { .vrf_vm_id = v->vm->id };

	return ioctl(v->vm->fd, VMM_IOC_REFUSED, &p);
}

static int
call_exitregs(void *arg)
{
	struct vcpu *v = arg;
	struct vm_exitregs_params p = { .vxr_vm_id = v->vm->id,
	    .vxr_mask = VM_RWREGS_ALL };

	return ioctl(v->vm->fd, VMM_IOC_EXITREGS, &p);
}

static int
call_statistics(void *arg)
{
	char text[256];
	ssize_t n;
	int fd;

	(void)arg;
	fd = open("/sys/kernel/debug/vmm/exits", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	do
		n = read(fd, text, sizeof(text));
	while (n > 0);
	CHECK_OK(close(fd));
	return (int)n;
}

TEST_T(inject_ioctls, "debug/inject/ioctls", 300)
{
	static const struct { const char *name; int (*call)(void *arg); } calls[] = {
		{ "READREGS", call_readregs }, { "WRITEREGS", call_writeregs },
		{ "RESETCPU", call_resetcpu }, { "INTR", call_intr },
		{ "MPROTECT_EPT", call_protect }, { "INFO", call_info },
		{ "VMPARAMS", call_vmparams }, { "REFUSED", call_refused },
		{ "EXITREGS", call_exitregs }, { "statistics", call_statistics },
	};
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	faults_of_all_kinds();
	vm_init_state(v, LONG, &state);
	vm_call_ok(v, g_long_fill, LAYOUT_HIGH, 4 * MB, PAGE, 1);
	CHECK_OK(call_readregs(v));
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		each_fault(calls[i].name, calls[i].call, NULL, v);
	vm_reset(v, LONG);
	CHECK_EQ(vm_call_ok(v, g_long_verify, LAYOUT_HIGH, 4 * MB, PAGE, 1), 0);
}

static int
call_term(void *arg)
{
	struct making *m = arg;

	return do_term(m->vm->fd, m->p.vcp_id);
}

static void
undo_term(void *arg)
{
	CHECK_OK(call_create(arg));
}

TEST_T(inject_term, "debug/inject/term", 300)
{
	struct making *m = making_new(4);

	faults_of_all_kinds();
	CHECK_OK(call_create(m));
	each_fault("TERM", call_term, undo_term, m);
}

/* --- RUN --------------------------------------------------------------------------- */

/* What a client does that wants to go on after an error: RUN again. */
static unsigned int
run_with_faults(struct vcpu *v, bool from_scratch)
{
	unsigned int n, failed = 0;
	bool hit = true;
	int rc, err;

	for (n = 1; hit; n++) {
		CHECK_MSG(n < MOST, "RUN: no end of faults");
		/* All of it comes by faults, and half of it is new. */
		if (from_scratch)
			CHECK_OK(madvise(v->vm->mem + LAYOUT_HIGH, 2 * MB, MADV_DONTNEED));
		vm_call_start(v, g_long_fill, LAYOUT_HIGH, 64 * PAGE, PAGE, n);
		fault_set(n);
		rc = do_run(v, NO_IRQ);
		err = errno;
		hit = fault_hit();
		if (rc < 0) {
			CHECK_MSG(hit && good_error(err), "RUN, fault %u: %s%s", n,
			    strerror(err), hit ? "" : " without a fault");
			failed++;
		}
		if (rc < 0 || !is_exit_hlt(v->reason))
			vm_finish(v);
		vm_expect_no_fault(v);
		CHECK_EQ(vm_call_ok(v, g_long_verify, LAYOUT_HIGH, 64 * PAGE, PAGE, n), 0);
	}
	test_note("RUN: %u faults, %u made it fail", n - 2, failed);
	return n - 2;
}

TEST_T(inject_run, "debug/inject/run", 300)
{
	struct vm *vm = vm_new(LONG);

	faults_of_all_kinds();
	run_with_faults(&vm->cpu[0], false);
	CHECK(run_with_faults(&vm->cpu[0], true) >= 10);
}
