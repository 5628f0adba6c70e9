/* SPDX-License-Identifier: ISC */
/*
 * t_ioctl.c - the eleven ioctls against the real module: what they give, each
 * errno, and that a refused call changes nothing.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static const struct ioctl_row {
	const char *name;
	unsigned long cmd;
	size_t	 size;
	bool	 vcpu;		/* has a vCPU id behind the VM id */
} ioctls[] = {
	{ "CREATE", VMM_IOC_CREATE, sizeof(struct vm_create_params), false },
	{ "INFO", VMM_IOC_INFO, sizeof(struct vm_info_params), false },
	{ "TERM", VMM_IOC_TERM, sizeof(struct vm_terminate_params), false },
	{ "RUN", VMM_IOC_RUN, sizeof(struct vm_run_params), true },
	{ "RESETCPU", VMM_IOC_RESETCPU, sizeof(struct vm_resetcpu_params), true },
	{ "INTR", VMM_IOC_INTR, sizeof(struct vm_intr_params), true },
	{ "READREGS", VMM_IOC_READREGS, sizeof(struct vm_rwregs_params), true },
	{ "WRITEREGS", VMM_IOC_WRITEREGS, sizeof(struct vm_rwregs_params), true },
	{ "READVMPARAMS", VMM_IOC_READVMPARAMS,
	    sizeof(struct vm_rwvmparams_params), true },
	{ "WRITEVMPARAMS", VMM_IOC_WRITEVMPARAMS,
	    sizeof(struct vm_rwvmparams_params), true },
	{ "MPROTECT_EPT", VMM_IOC_MPROTECT_EPT,
	    sizeof(struct vm_mprotect_ept_params), true },
};

/* A good argument for each, about this VM, where only the ids matter. */
static void
good_argument(struct vm *vm, const struct ioctl_row *r, void *buf,
    struct vm_exit *exit)
{
	struct vm_run_params *run = buf;
	struct vm_resetcpu_params *reset = buf;
	struct vm_rwregs_params *regs = buf;
	struct vm_rwvmparams_params *par = buf;
	struct vm_mprotect_ept_params *prot = buf;

	memset(buf, 0, r->size);
	if (r->vcpu || r->cmd == VMM_IOC_TERM)
		*(uint32_t *)buf = vm->id;
	switch (r->cmd) {
	case VMM_IOC_RUN:
		run->vrp_irq = NO_IRQ;
		run->vrp_exit = exit;
		break;
	case VMM_IOC_RESETCPU:
		vm_init_state(&vm->cpu[0], LONG, &reset->vrp_init_state);
		break;
	case VMM_IOC_READREGS:
	case VMM_IOC_WRITEREGS:
		vm_init_state(&vm->cpu[0], LONG, &regs->vrwp_regs);
		regs->vrwp_mask = VM_RWREGS_ALL;
		break;
	case VMM_IOC_READVMPARAMS:
	case VMM_IOC_WRITEVMPARAMS:
		par->vpp_mask = VM_RWVMPARAMS_PVCLOCK_VERSION;
		break;
	case VMM_IOC_MPROTECT_EPT:
		prot->vmep_size = PAGE;
		prot->vmep_prot = PROT_READ | PROT_WRITE;
		break;
	}
}

TEST(ioctl_unknown, "ioctl/unknown_commands")
{
	static uint8_t buf[16384];
	int fd = vmm_open_device();
	unsigned int nr;
	size_t i;

	for (nr = 0; nr < 256; nr++)
		if (nr == 0 || nr > 64)
			CHECK_ERR(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'V',
			    nr, 32), buf), ENOTTY);
	for (i = 0; i < COUNT(ioctls); i++) {
		unsigned long cmd = ioctls[i].cmd;

		/* Another size, another direction, another group. */
		CHECK_ERR(ioctl(fd, cmd + (8 << _IOC_SIZESHIFT), buf), ENOTTY);
		CHECK_ERR(ioctl(fd, cmd - (4 << _IOC_SIZESHIFT), buf), ENOTTY);
		CHECK_ERR(ioctl(fd, cmd & ~((unsigned long)_IOC_DIRMASK <<
		    _IOC_DIRSHIFT), buf), ENOTTY);
		CHECK_ERR(ioctl(fd, cmd ^ 0x100, buf), ENOTTY);
	}
	CHECK_ERR(ioctl(fd, 0, buf), ENOTTY);
	CHECK_ERR(ioctl(fd, 0xffffffff, buf), ENOTTY);
}

TEST(ioctl_bad_pointers, "ioctl/bad_argument_pointers")
{
	struct vm *vm = vm_new(LONG);
	uint8_t *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vcpu_reg_state before, after;
	size_t i;

	CHECK(page != MAP_FAILED);
	CHECK_OK(munmap(page + PAGE, PAGE));
	vm_regs(&vm->cpu[0], &before);
	for (i = 0; i < COUNT(ioctls); i++) {
		CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd, NULL), EFAULT);
		CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd,
		    0xffff888000000000ul), EFAULT);
		CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd,
		    0x8000000000000000ul), EFAULT);
		if (ioctls[i].size > 4)
			CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd,
			    page + PAGE - ioctls[i].size + 4), EFAULT);
	}
	vm_regs(&vm->cpu[0], &after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

/* The argument can be read but the answer can not be written. */
TEST(ioctl_ro_argument, "ioctl/read_only_argument")
{
	struct vm *vm = vm_new(LONG);
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vm_exit exit;
	struct vm_info_result r;
	int before;
	size_t i;

	CHECK(page != MAP_FAILED);
	for (i = 0; i < COUNT(ioctls); i++) {
		if (!(ioctls[i].cmd >> _IOC_DIRSHIFT & _IOC_READ) ||
		    ioctls[i].cmd == VMM_IOC_RUN)
			continue;
		CHECK_OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
		good_argument(vm, &ioctls[i], page, &exit);
		if (ioctls[i].cmd == VMM_IOC_CREATE) {
			struct vm_create_params *p = (void *)page;

			p->vcp_ncpus = p->vcp_nmemranges = 1;
			p->vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
			p->vcp_memranges[0].vmr_size = vm->size;
		}
		before = do_info(vm->fd, &r, 1);
		CHECK_OK(mprotect(page, PAGE, PROT_READ));
		CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd, page), EFAULT);
		/* Nobody would know the id of a VM made here. */
		CHECK_EQ(do_info(vm->fd, &r, 1), before);
	}
}

TEST(ioctl_ids, "ioctl/wrong_ids")
{
	static const uint32_t off[] = { 1, 2, 0x7fffffff, 0x80000000,
	    0xffffffff };
	static const uint32_t vcpus[] = { 1, 2, 63, 64, 65, 512, 0x7fffffff,
	    0x80000000, 0xffffffff };
	struct vm *vm = vm_new(LONG);
	struct vcpu_reg_state before, after;
	struct vm_exit exit;
	uint32_t buf[512];
	size_t i, j;

	vm_regs(&vm->cpu[0], &before);
	for (i = 2; i < COUNT(ioctls); i++) {
		good_argument(vm, &ioctls[i], buf, &exit);
		buf[0] = 0;
		CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd, buf), ENOENT);
		for (j = 0; j < COUNT(off); j++) {
			good_argument(vm, &ioctls[i], buf, &exit);
			buf[0] = vm->id + off[j];
			CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd, buf), ENOENT);
		}
		for (j = 0; ioctls[i].vcpu && j < COUNT(vcpus); j++) {
			good_argument(vm, &ioctls[i], buf, &exit);
			buf[1] = vcpus[j];
			CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd, buf), ENOENT);
		}
	}
	vm_regs(&vm->cpu[0], &after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
}

TEST(ioctl_after_term, "ioctl/after_term")
{
	struct vm *vm = vm_new(LONG);
	struct vm_exit exit;
	uint8_t buf[2048];
	size_t i;

	CHECK_OK(do_term(vm->fd, vm->id));
	for (i = 2; i < COUNT(ioctls); i++) {
		good_argument(vm, &ioctls[i], buf, &exit);
		CHECK_ERR(ioctl(vm->fd, ioctls[i].cmd, buf), ENOENT);
	}
}

/* All ordered pairs on a fresh VM: whatever comes of it, the host is well. */
TEST_T(ioctl_order, "ioctl/any_order", 60)
{
	struct vm_exit exit;
	uint8_t buf[2048];
	size_t i, j;

	for (i = 1; i < COUNT(ioctls); i++)
		for (j = 1; j < COUNT(ioctls); j++) {
			struct vm *vm = vm_prepare(1, 1 * MB, 0);

			vm->cpu[0].mb->op = g_long_nop;
			vm_create(vm);
			good_argument(vm, &ioctls[i], buf, &exit);
			ioctl(vm->fd, ioctls[i].cmd, buf);
			good_argument(vm, &ioctls[j], buf, &exit);
			ioctl(vm->fd, ioctls[j].cmd, buf);
			vm_free(vm);
		}
}

/* A vCPU that never had RESETCPU. */
TEST(ioctl_run_fresh, "ioctl/run/before_reset")
{
	struct vm *vm = vm_prepare(1, VM_SIZE, 0);
	struct vm_info_result r;
	int rc;

	vm_create(vm);
	rc = do_run(&vm->cpu[0], NO_IRQ);
	CHECK(rc == 0 || errno == EINVAL || errno == EBUSY);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK(r.vir_vcpu_state[0] == VCPU_STATE_STOPPED ||
	    r.vir_vcpu_state[0] == VCPU_STATE_TERMINATED);
}

/* --- CREATE ----------------------------------------------------------------- */

static struct vm_create_params
create_params(struct vm *vm)
{
	struct vm_create_params p = { 0 };

	p.vcp_nmemranges = 1;
	p.vcp_ncpus = 1;
	p.vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
	p.vcp_memranges[0].vmr_size = vm->size;
	strcpy(p.vcp_name, "create");
	return p;
}

TEST(create_good, "ioctl/create/good")
{
	struct vm *vm = vm_prepare(1, VM_SIZE, 0);
	struct vm_create_params p = create_params(vm);
	struct vm_info_result r;
	uint32_t first;
	unsigned int i;

	p.vcp_ncpus = 3;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	first = p.vcp_id;
	CHECK(first != 0);
	CHECK(vm_info(vm->fd, first, &r));
	CHECK_EQ(r.vir_memory_size, VM_SIZE);
	CHECK_EQ(r.vir_ncpus, 3);
	CHECK_EQ(r.vir_creator_pid, getpid());
	CHECK(strcmp(r.vir_name, "create") == 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(r.vir_vcpu_state[i], VCPU_STATE_STOPPED);
	/* A second one over the same memory, with the same name. */
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	CHECK(p.vcp_id > first);
	CHECK_EQ(do_info(vm->fd, &r, 0), 0);
}

TEST(create_ids, "ioctl/create/ids_are_never_used_again")
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	struct vm_create_params p;
	uint32_t last = 0;
	int i;

	for (i = 0; i < 20; i++) {
		p = create_params(vm);
		CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
		CHECK(p.vcp_id > last);
		if (last != 0)
			CHECK_ERR(do_term(vm->fd, last), ENOENT);
		last = p.vcp_id;
		CHECK_OK(do_term(vm->fd, last));
		p.vcp_ncpus = 0;	/* a refused one */
		CHECK_ERR(ioctl(vm->fd, VMM_IOC_CREATE, &p), EINVAL);
	}
}

TEST(create_name, "ioctl/create/long_name_is_cut")
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	struct vm_create_params p = create_params(vm);
	struct vm_info_result r;

	memset(p.vcp_name, 'x', sizeof(p.vcp_name));
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	CHECK(vm_info(vm->fd, p.vcp_id, &r));
	CHECK_EQ(strnlen(r.vir_name, sizeof(r.vir_name)), 63);
}

TEST(create_ncpus, "ioctl/create/vcpu_counts")
{
	static const uint64_t bad[] = { 0, 65, 512, 1ull << 32,
	    (1ull << 32) + 1, UINT64_MAX };
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	struct vm_create_params p;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		p = create_params(vm);
		p.vcp_ncpus = bad[i];
		CHECK_ERR(ioctl(vm->fd, VMM_IOC_CREATE, &p), EINVAL);
	}
	p = create_params(vm);
	p.vcp_ncpus = 64;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
}

TEST_T(create_host_limit, "ioctl/create/512_vcpus_on_the_host", 60)
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	struct vm_create_params p;
	int i;

	for (i = 0; i < 8; i++) {
		p = create_params(vm);
		p.vcp_ncpus = 64;
		CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	}
	p = create_params(vm);
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_CREATE, &p), ENOMEM);
	CHECK_OK(do_term(vm->fd, CHECK_OK(do_info(vm->fd, NULL, 0)) == 0 ?
	    ({ struct vm_info_result r[8];
	    CHECK_EQ(do_info(vm->fd, r, 8), 8); r[0].vir_id; }) : 0));
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
}

struct range { uint64_t gpa, va, size; };
#define HOLE	VMM_PCI_MMIO_BAR_BASE

TEST(create_bad_ranges, "ioctl/create/bad_ranges")
{
	struct vm *vm = vm_prepare(1, 8 * MB, 0);
	const uint64_t va = (uintptr_t)vm->mem;
	const struct {
		const char *what;
		uint64_t n;
		struct range r[3];
	} bad[] = {
		{ "none", 0, {{ 0, va, MB }} },
		{ "too many", 17, {{ 0, va, MB }} },
		{ "far too many", UINT64_MAX, {{ 0, va, MB }} },
		{ "2^32 and one", (1ull << 32) + 1, {{ 0, va, MB }} },
		{ "size zero", 1, {{ 0, va, 0 }} },
		{ "gpa unaligned", 1, {{ 1, va, MB }} },
		{ "va unaligned", 1, {{ 0, va + 8, MB }} },
		{ "size unaligned", 1, {{ 0, va, MB + 1 }} },
		{ "sum no multiple of 1 MiB", 1, {{ 0, va, MB + PAGE }} },
		{ "one page", 1, {{ 0, va, PAGE }} },
		{ "va zero", 1, {{ 0, 0, MB }} },
		{ "va of the kernel", 1, {{ 0, 0xffff888000000000, MB }} },
		/* User space may have 57 bits of address. */
		{ "va not canonical", 1, {{ 0, 1ull << 62, MB }} },
		{ "va at the very end", 1, {{ 0, 0xfffffffffff000, MB }} },
		{ "va wraps", 1, {{ 0, UINT64_MAX - PAGE + 1, MB }} },
		{ "gpa too high", 1, {{ VMM_MAX_VM_MEM_SIZE, va, MB }} },
		{ "end too high", 1, {{ VMM_MAX_VM_MEM_SIZE - PAGE, va, MB }} },
		{ "size huge", 1, {{ 0, va, UINT64_MAX & ~(MB - 1) }} },
		{ "gpa wraps", 1, {{ UINT64_MAX - PAGE + 1, va, MB }} },
		{ "in the hole", 1, {{ HOLE, va, MB }} },
		{ "last page of the hole", 2, {{ 0, va, MB - PAGE },
		    { 4 * GB - PAGE, va, PAGE }} },
		{ "ends in the hole", 1, {{ HOLE - MB, va, 2 * MB }} },
		{ "ends one page in", 1, {{ HOLE - MB + PAGE, va, MB }} },
		{ "over the whole hole", 1, {{ HOLE - MB, va,
		    4 * GB - HOLE + 2 * MB }} },
		{ "up to 4 GiB over the hole", 1, {{ HOLE - MB, va,
		    4 * GB - HOLE + MB }} },
		{ "the same twice", 2, {{ 0, va, MB }, { 0, va, MB }} },
		{ "overlap of a page", 2, {{ 0, va, MB },
		    { MB - PAGE, va, MB }} },
		{ "descending", 2, {{ MB, va, MB }, { 0, va, MB }} },
		{ "third inside first", 3, {{ 0, va, 4 * MB },
		    { 4 * MB, va, MB }, { MB, va, MB }} },
	};
	struct vm_info_result r;
	struct vm_create_params p;
	size_t i, j;

	for (i = 0; i < COUNT(bad); i++) {
		memset(&p, 0, sizeof(p));
		p.vcp_ncpus = 1;
		p.vcp_nmemranges = bad[i].n;
		for (j = 0; j < 3; j++) {
			p.vcp_memranges[j].vmr_gpa = bad[i].r[j].gpa;
			p.vcp_memranges[j].vmr_va = bad[i].r[j].va;
			p.vcp_memranges[j].vmr_size = bad[i].r[j].size;
		}
		errno = 0;
		CHECK_MSG(ioctl(vm->fd, VMM_IOC_CREATE, &p) < 0 &&
		    errno == EINVAL, "%s: %s", bad[i].what, strerror(errno));
		CHECK_EQ(do_info(vm->fd, &r, 1), 0);
	}
}

TEST(create_good_ranges, "ioctl/create/good_ranges")
{
	struct vm *vm = vm_prepare(1, 8 * MB, 0);
	const uint64_t va = (uintptr_t)vm->mem;
	const struct {
		unsigned int n;
		struct range r[4];
	} good[] = {
		{ 1, {{ 0, va, MB }} },
		{ 2, {{ 0, va, MB }, { MB, va + MB, MB }} },
		{ 2, {{ 0, va, 640 * KB }, { MB, va + MB, MB + 384 * KB }} },
		{ 2, {{ 0, va, PAGE }, { 5 * MB, va, MB - PAGE }} },
		{ 1, {{ HOLE - MB, va, MB }} },
		{ 2, {{ HOLE - MB, va, MB }, { 4 * GB, va, MB }} },
		{ 1, {{ VMM_MAX_VM_MEM_SIZE - MB, va, MB }} },
	};
	struct vm_create_params p;
	size_t i, j;

	for (i = 0; i < COUNT(good); i++) {
		memset(&p, 0, sizeof(p));
		p.vcp_ncpus = 1;
		p.vcp_nmemranges = good[i].n;
		for (j = 0; j < good[i].n; j++) {
			p.vcp_memranges[j].vmr_gpa = good[i].r[j].gpa;
			p.vcp_memranges[j].vmr_va = good[i].r[j].va;
			p.vcp_memranges[j].vmr_size = good[i].r[j].size;
		}
		CHECK_MSG(ioctl(vm->fd, VMM_IOC_CREATE, &p) == 0,
		    "row %zu: %s", i, strerror(errno));
		CHECK_OK(do_term(vm->fd, p.vcp_id));
	}
	memset(&p, 0, sizeof(p));
	p.vcp_ncpus = 1;
	p.vcp_nmemranges = 16;
	for (j = 0; j < 16; j++) {
		p.vcp_memranges[j].vmr_gpa = j * MB;
		p.vcp_memranges[j].vmr_va = va + j % 8 * MB;
		p.vcp_memranges[j].vmr_size = MB;
	}
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
}

/* --- RUN -------------------------------------------------------------------- */

TEST(run_bad_exit, "ioctl/run/bad_exit_pointer")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vm_exit *good = v->exit;
	struct vm_info_result r;

	/* D4: neither way wedges the vCPU. */
	vm_call_start(v, g_long_nop, 0, 0, 0, 0);
	v->exit = NULL;
	CHECK_ERR(do_run(v, NO_IRQ), EFAULT);
	v->cont = 1;
	v->exit = (void *)0xffff888000000000;
	CHECK_ERR(do_run(v, NO_IRQ), EFAULT);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK_EQ(r.vir_vcpu_state[0], VCPU_STATE_STOPPED);
	v->exit = good;
	v->cont = 0;
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
}

TEST(run_snapshot, "ioctl/run/exit_has_all_registers")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;

	vm_call_start(v, g_long_outl, 0x1234, 0xcafe, 0, 0);
	vm_expect_out(v, 0x1234, 4, 0xcafe);
	vm_regs(v, &s);
	CHECK(memcmp(&s, &v->exit->vrs, sizeof(s)) == 0);
	CHECK_EQ(v->exit->cpl, 0);
	CHECK_EQ(s.vrs_gprs[VCPU_REGS_RAX], 0xcafe);
	CHECK_EQ(s.vrs_gprs[VCPU_REGS_RSI], 0xcafe);
	CHECK_EQ(s.vrs_gprs[VCPU_REGS_RDI], 0x1234);
	CHECK_EQ(s.vrs_crs[VCPU_REGS_CR3], LAYOUT_PML4);
	vm_finish(v);
}

TEST(run_poison, "ioctl/run/exit_has_nothing_stale")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vm_exit a, b;

	/* Every byte is written, and the same whatever was there. */
	memset(v->exit, 0xa5, sizeof(*v->exit));
	vm_call_start(v, g_long_hlt, 0, 0, 0, 0);
	v->mb->op = g_long_outb;
	vm_run_user(v);
	a = *v->exit;
	vm_finish(v);
	v->cont = 0;
	memset(v->exit, 0x5a, sizeof(*v->exit));
	vm_call_start(v, g_long_outb, 0, 0, 0, 0);
	vm_run_user(v);
	b = *v->exit;
	a.vrs = b.vrs;
	CHECK(memcmp(&a, &b, sizeof(a)) == 0);
}

/* --- INFO ------------------------------------------------------------------- */

TEST(info_sizes, "ioctl/info/buffer_sizes")
{
	struct vm *a = vm_new(LONG), *b = vm_new(LONG);
	const size_t row = sizeof(struct vm_info_result);
	struct vm_info_params p = { 0 };
	uint8_t *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const size_t small[] = { 0, 1, 159, 160, 319 };
	size_t i;

	CHECK(page != MAP_FAILED);
	CHECK_OK(munmap(page + PAGE, PAGE));
	for (i = 0; i < COUNT(small); i++) {
		memset(page, 0xee, PAGE);
		p.vip_size = small[i];
		p.vip_info_ct = 77;
		p.vip_info = (void *)(page + PAGE - small[i]);
		CHECK_OK(ioctl(a->fd, VMM_IOC_INFO, &p));
		CHECK_EQ(p.vip_info_ct, 0);
		CHECK_EQ(p.vip_size, 2 * row);
		CHECK_EQ(page[PAGE - 1], 0xee);
	}
	/* Exactly enough, before a page that is not there. */
	p.vip_size = 2 * row;
	p.vip_info = (void *)(page + PAGE - 2 * row);
	CHECK_OK(ioctl(b->fd, VMM_IOC_INFO, &p));
	CHECK_EQ(p.vip_info_ct, 2);
	CHECK_EQ(page[PAGE - 2 * row - 1], 0xee);
	/* Plenty: only the rows are written. */
	memset(page, 0xee, PAGE);
	p.vip_size = 1000 * row;
	p.vip_info = (void *)page;
	CHECK_OK(ioctl(b->fd, VMM_IOC_INFO, &p));
	CHECK_EQ(p.vip_info_ct, 2);
	CHECK_EQ(page[2 * row], 0xee);
	p.vip_size = 2 * row;
	p.vip_info = NULL;
	CHECK_ERR(ioctl(b->fd, VMM_IOC_INFO, &p), EFAULT);
	p.vip_info = (void *)(page + PAGE - row);
	CHECK_ERR(ioctl(b->fd, VMM_IOC_INFO, &p), EFAULT);
}

TEST(info_none, "ioctl/info/no_vm")
{
	int fd = vmm_open_device();
	struct vm_info_result r;
	struct vm_info_params p = { sizeof(r), 9, &r };

	CHECK_OK(ioctl(fd, VMM_IOC_INFO, &p));
	CHECK_EQ(p.vip_info_ct, 0);
}

TEST(info_used, "ioctl/info/used_memory_grows")
{
	struct vm *vm = vm_new(LONG);
	struct vm_info_result before, after;

	CHECK(vm_info(vm->fd, vm->id, &before));
	vm_call_ok(&vm->cpu[0], g_long_fill, LAYOUT_HIGH, 8 * MB, PAGE, 1);
	CHECK(vm_info(vm->fd, vm->id, &after));
	CHECK(after.vir_used_size >= before.vir_used_size + 8 * MB);
	CHECK(after.vir_used_size <= VM_SIZE + 2 * MB);
	CHECK_EQ(after.vir_used_size % PAGE, 0);
}

TEST(info_running, "ioctl/info/running_vcpu")
{
	struct vm *vm = vm_new_with(LONG, 2, VM_SIZE, 0);
	struct vcpu *v = &vm->cpu[1];
	struct vm_info_result info;
	struct runner *r;

	vm_call_start(v, g_long_spin_cli, 0, 0, 0, 0);
	r = runner_start(v);
	runner_wait_busy(v);
	CHECK(vm_info(vm->fd, vm->id, &info));
	CHECK_EQ(info.vir_vcpu_state[0], VCPU_STATE_STOPPED);
	CHECK_EQ(info.vir_vcpu_state[1], VCPU_STATE_RUNNING);
	v->mb->stop = 1;
	CHECK(is_exit_hlt(runner_join(r)));
	CHECK(vm_info(vm->fd, vm->id, &info));
	CHECK_EQ(info.vir_vcpu_state[1], VCPU_STATE_STOPPED);
}

/* --- READREGS, WRITEREGS, RESETCPU ------------------------------------------ */

TEST(regs_groups, "ioctl/readregs/only_the_groups_asked_for")
{
	struct vm *vm = vm_new(LONG);
	struct vm_rwregs_params p, q;
	unsigned int bit;

	/* Both full of the same, so that padding compares equal. */
	memset(&q, 0xa5, sizeof(q));
	CHECK_OK(do_readregs(vm->fd, vm->id, 0, VM_RWREGS_ALL, &q));
	for (bit = 0; bit < 5; bit++) {
		memset(&p, 0xa5, sizeof(p));
		CHECK_OK(do_readregs(vm->fd, vm->id, 0, 1u << bit, &p));
#define SAME(group, member)						\
	CHECK(!memcmp(&p.vrwp_regs.member, 1u << bit == (group) ?	\
	    (void *)&q.vrwp_regs.member : memset((char[600]){ 0 }, 0xa5, 600), \
	    sizeof(p.vrwp_regs.member)))
		SAME(VM_RWREGS_GPRS, vrs_gprs);
		SAME(VM_RWREGS_SREGS, vrs_sregs);
		SAME(VM_RWREGS_SREGS, vrs_gdtr);
		SAME(VM_RWREGS_SREGS, vrs_idtr);
		SAME(VM_RWREGS_CRS, vrs_crs);
		SAME(VM_RWREGS_MSRS, vrs_msrs);
		SAME(VM_RWREGS_DRS, vrs_drs);
#undef SAME
	}
	CHECK_ERR(do_readregs(vm->fd, vm->id, 0, 0x20, &p), EINVAL);
	CHECK_ERR(do_readregs(vm->fd, vm->id, 0, 1ull << 63, &p), EINVAL);
	CHECK_ERR(do_writeregs(vm->fd, vm->id, 0, 0x20, &q), EINVAL);
	CHECK_ERR(do_writeregs(vm->fd, vm->id, 0, 1ull << 32, &q), EINVAL);
}

TEST(regs_roundtrip, "ioctl/writeregs/every_register_reads_back")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s, t;
	unsigned int i;

	vm_regs(v, &s);
	for (i = 0; i < VCPU_REGS_NGPRS; i++)
		if (i != VCPU_REGS_RFLAGS && i != VCPU_REGS_RIP)
			s.vrs_gprs[i] = 0x1122334455667700 + i;
	s.vrs_gprs[VCPU_REGS_RIP] = 0x7fff12345678;
	s.vrs_gprs[VCPU_REGS_RFLAGS] = 0x246;
	s.vrs_crs[VCPU_REGS_CR2] = 0xdeadbeef000;	/* D27 */
	s.vrs_crs[VCPU_REGS_CR3] = 0x123000;
	s.vrs_crs[VCPU_REGS_CR8] = 5;
	s.vrs_crs[VCPU_REGS_XCR0] = 3;
	s.vrs_msrs[VCPU_REGS_EFER] = 0x500 | 1;
	s.vrs_msrs[VCPU_REGS_STAR] = 0x0023001000000000;
	s.vrs_msrs[VCPU_REGS_LSTAR] = 0xffffffff81000000;
	s.vrs_msrs[VCPU_REGS_CSTAR] = 0xffffffff82000000;
	s.vrs_msrs[VCPU_REGS_SFMASK] = 0x47700;
	s.vrs_msrs[VCPU_REGS_KGSBASE] = 0xffff888000000000;
	s.vrs_drs[VCPU_REGS_DR0] = 0x1000;
	s.vrs_drs[VCPU_REGS_DR1] = 0x2000;
	s.vrs_drs[VCPU_REGS_DR2] = 0x3000;
	s.vrs_drs[VCPU_REGS_DR3] = 0x4000;
	s.vrs_drs[VCPU_REGS_DR7] = 0x455;
	s.vrs_sregs[VCPU_REGS_FS].vsi_base = 0x7f0000001000;
	s.vrs_gdtr.vsi_base = 0xffff800000001000;
	s.vrs_gdtr.vsi_limit = 0x1ff;
	vm_set_regs(v, VM_RWREGS_ALL, &s);
	vm_regs(v, &t);
	for (i = 0; i < VCPU_REGS_NGPRS; i++)
		CHECK_MSG(s.vrs_gprs[i] == t.vrs_gprs[i], "gpr %u: %#llx", i,
		    (unsigned long long)t.vrs_gprs[i]);
	for (i = 0; i <= VCPU_REGS_XCR0; i++)
		CHECK_MSG(s.vrs_crs[i] == t.vrs_crs[i], "cr %u: %#llx", i,
		    (unsigned long long)t.vrs_crs[i]);
	for (i = 0; i < VCPU_REGS_NMSRS; i++)
		CHECK_MSG(s.vrs_msrs[i] == t.vrs_msrs[i], "msr %u: %#llx", i,
		    (unsigned long long)t.vrs_msrs[i]);
	for (i = 0; i < VCPU_REGS_NDRS; i++)
		CHECK_MSG(s.vrs_drs[i] == t.vrs_drs[i], "dr %u: %#llx", i,
		    (unsigned long long)t.vrs_drs[i]);
	for (i = 0; i < VCPU_REGS_NSREGS; i++)
		CHECK_MSG(memcmp(&s.vrs_sregs[i], &t.vrs_sregs[i],
		    sizeof(s.vrs_sregs[i])) == 0, "sreg %u: sel %#x base %#llx "
		    "limit %#x ar %#x", i, t.vrs_sregs[i].vsi_sel,
		    (unsigned long long)t.vrs_sregs[i].vsi_base,
		    t.vrs_sregs[i].vsi_limit, t.vrs_sregs[i].vsi_ar);
	CHECK_EQ(t.vrs_gdtr.vsi_base, s.vrs_gdtr.vsi_base);
	CHECK_EQ(t.vrs_gdtr.vsi_limit, s.vrs_gdtr.vsi_limit);
	/* D28: EFER bits can be taken away again. */
	s.vrs_msrs[VCPU_REGS_EFER] = 0x500;
	vm_set_regs(v, VM_RWREGS_MSRS, &s);
	vm_regs(v, &t);
	CHECK_EQ(t.vrs_msrs[VCPU_REGS_EFER], 0x500);
}

/* D25: a register written by the client is what the guest computes with. */
TEST(regs_reach_guest, "ioctl/writeregs/reaches_the_guest")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;

	vm_call_start(v, g_long_outl, 0x10, 1, 0, 0);
	vm_expect_out(v, 0x10, 4, 1);
	s = v->exit->vrs;
	s.vrs_gprs[VCPU_REGS_RAX] = 0x1111222233334444;
	s.vrs_gprs[VCPU_REGS_RDX] = 0x5555666677778888;
	s.vrs_gprs[VCPU_REGS_RBX] = 0x9999aaaabbbbcccc;
	s.vrs_crs[VCPU_REGS_CR2] = 0x7777000;
	s.vrs_drs[VCPU_REGS_DR1] = 0x8888000;
	vm_set_regs(v, VM_RWREGS_ALL, &s);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x1111222233334444);
	CHECK_EQ(v->mb->ret[1], 0x5555666677778888);
	CHECK_EQ(v->mb->ret[2], 0x9999aaaabbbbcccc);
	CHECK_EQ(vm_call_ok(v, g_long_rdcr2, 0, 0, 0, 0), 0x7777000);
	vm_call_ok(v, g_long_get_dr, 0, 0, 0, 0);
	CHECK_EQ(v->mb->ret[1], 0x8888000);
}

#define AT(member)	offsetof(struct vcpu_reg_state, member)
static const struct bad_value {
	const char *what;
	uint64_t mask;
	size_t	 at;
	uint64_t value;
} bad_values[] = {
	{ "CR0 without PE with PG", VM_RWREGS_CRS,
	    AT(vrs_crs[VCPU_REGS_CR0]), 0x80000010 },
	{ "CR0 NW without CD", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_CR0]),
	    0xa0000031 },
	{ "CR0 bit 32", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_CR0]),
	    0x180000031 },
	{ "CR4 VMXE", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_CR4]), 0x2620 },
	{ "CR4 reserved", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_CR4]),
	    0x80000620 },
	{ "CR4 high", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_CR4]),
	    0x100000620 },
	{ "CR4 without PAE in long mode", VM_RWREGS_CRS,
	    AT(vrs_crs[VCPU_REGS_CR4]), 0x600 },
	{ "CR3 beyond physical addresses", VM_RWREGS_CRS,
	    AT(vrs_crs[VCPU_REGS_CR3]), 1ull << 60 },
	{ "CR8 above 15", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_CR8]), 16 },
	{ "XCR0 zero", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_XCR0]), 0 },
	{ "XCR0 AVX without SSE", VM_RWREGS_CRS,
	    AT(vrs_crs[VCPU_REGS_XCR0]), 5 },
	{ "XCR0 unknown", VM_RWREGS_CRS, AT(vrs_crs[VCPU_REGS_XCR0]),
	    1ull << 62 | 1 },
	{ "EFER reserved", VM_RWREGS_MSRS, AT(vrs_msrs[VCPU_REGS_EFER]),
	    0x500 | 1ull << 20 },
	{ "EFER SVME", VM_RWREGS_MSRS, AT(vrs_msrs[VCPU_REGS_EFER]),
	    0x1500 },
	{ "LSTAR not canonical", VM_RWREGS_MSRS,
	    AT(vrs_msrs[VCPU_REGS_LSTAR]), 0x8000000000000000 },
	{ "CSTAR not canonical", VM_RWREGS_MSRS,
	    AT(vrs_msrs[VCPU_REGS_CSTAR]), 0x0001000000000000 },
	{ "KERNEL_GS_BASE not canonical", VM_RWREGS_MSRS,
	    AT(vrs_msrs[VCPU_REGS_KGSBASE]), 0x8000000000000000 },
	{ "FS base not canonical", VM_RWREGS_SREGS,
	    AT(vrs_sregs[VCPU_REGS_FS].vsi_base), 0x8000000000000000 },
	{ "GS base not canonical", VM_RWREGS_SREGS,
	    AT(vrs_sregs[VCPU_REGS_GS].vsi_base), 0x0000800000000000 },
	{ "DR7 high", VM_RWREGS_DRS, AT(vrs_drs[VCPU_REGS_DR7]),
	    0x100000400 },
	{ "DR6 high", VM_RWREGS_DRS, AT(vrs_drs[VCPU_REGS_DR6]),
	    0x1ffff0ff0 },
	{ "RFLAGS high", VM_RWREGS_GPRS, AT(vrs_gprs[VCPU_REGS_RFLAGS]),
	    1ull << 40 | 2 },
};

TEST(regs_bad, "ioctl/writeregs/bad_values_change_nothing")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vm_rwregs_params p;
	struct vcpu_reg_state before, after;
	size_t i;

	vm_regs(v, &before);
	for (i = 0; i < COUNT(bad_values); i++) {
		const struct bad_value *b = &bad_values[i];

		memset(&p, 0, sizeof(p));
		p.vrwp_regs = before;
		p.vrwp_regs.vrs_gprs[VCPU_REGS_R15] ^= 0xff;	/* not taken */
		memcpy((char *)&p.vrwp_regs + b->at, &b->value, 8);
		errno = 0;
		CHECK_MSG(do_writeregs(vm->fd, vm->id, 0,
		    b->mask | VM_RWREGS_GPRS, &p) < 0 && errno == EINVAL,
		    "%s: %s", b->what, strerror(errno));
		vm_regs(v, &after);
		CHECK_MSG(memcmp(&before, &after, sizeof(after)) == 0,
		    "%s: something changed", b->what);
	}
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
}

TEST(reset_bad, "ioctl/resetcpu/bad_values_change_nothing")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s, before, after;
	size_t i;

	vm_regs(v, &before);
	for (i = 0; i < COUNT(bad_values); i++) {
		vm_init_state(v, LONG, &s);
		memcpy((char *)&s + bad_values[i].at, &bad_values[i].value, 8);
		/* RESETCPU sets XCR0 itself. */
		if (bad_values[i].at == AT(vrs_crs[VCPU_REGS_XCR0]))
			continue;
		errno = 0;
		CHECK_MSG(do_resetcpu(vm->fd, vm->id, 0, &s) < 0 &&
		    errno == EINVAL, "%s: %s", bad_values[i].what,
		    strerror(errno));
		vm_regs(v, &after);
		CHECK_MSG(memcmp(&before, &after, sizeof(after)) == 0,
		    "%s: something changed", bad_values[i].what);
	}
}

TEST(reset_again, "ioctl/resetcpu/starts_over")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int i;

	for (i = 0; i < 100; i++) {
		vm_call_start(v, g_long_outb, 0x80, 0, 0, 0);
		vm_expect_out(v, 0x80, 1, 0);
		vm_reset(v, i % 2 ? LONG : REAL);
		vm_call_ok(v, i % 2 ? g_long_nop : g_real_nop, 0, 0, 0, 0);
		vm_reset(v, LONG);
	}
}

/* The two states that clients of vmm(4) start with (7. of the interface). */
TEST(reset_client_states, "ioctl/resetcpu/states_of_known_clients")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;

	vm_init_state(v, LONG, &s);
	s.vrs_crs[VCPU_REGS_CR0] = 0x80000011;
	s.vrs_crs[VCPU_REGS_CR4] = 0x30;
	s.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0xa09f;
	CHECK_OK(do_resetcpu(vm->fd, vm->id, 0, &s));
	v->cont = 0;
	vm_call_ok(v, g_long_nop, 0, 0, 0, 0);
	/* BIOS: F000:FFF0, and there a jump to the guest's loop. */
	vm_init_state(v, REAL, &s);
	s.vrs_crs[VCPU_REGS_CR0] = 0x60000010;
	s.vrs_gprs[VCPU_REGS_RIP] = 0xfff0;
	s.vrs_sregs[VCPU_REGS_CS].vsi_sel = 0xf000;
	s.vrs_sregs[VCPU_REGS_CS].vsi_base = 0xf0000;
	s.vrs_sregs[VCPU_REGS_CS].vsi_ar = 0x809f;
	s.vrs_sregs[VCPU_REGS_DS].vsi_ar = 0x8093;
	s.vrs_sregs[VCPU_REGS_ES].vsi_ar = 0x8093;
	s.vrs_sregs[VCPU_REGS_SS].vsi_ar = 0x8093;
	GUEST(vm, uint8_t, 0xffff0) = 0xea;	/* JMP far */
	GUEST(vm, uint16_t, 0xffff1) = g_real_start;
	GUEST(vm, uint16_t, 0xffff3) = 0;
	CHECK_OK(do_resetcpu(vm->fd, vm->id, 0, &s));
	v->cont = 0;
	vm_call_ok(v, g_real_nop, 0, 0, 0, 0);
}

/* --- READVMPARAMS, WRITEVMPARAMS --------------------------------------------- */

TEST(vmparams, "ioctl/vmparams")
{
	struct vm *vm = vm_new(LONG);
	struct vm_rwvmparams_params p = { 0 };
	const uint32_t all = VM_RWVMPARAMS_PVCLOCK_SYSTEM_GPA |
	    VM_RWVMPARAMS_PVCLOCK_VERSION;

	p.vpp_vm_id = vm->id;
	p.vpp_mask = all;
	p.vpp_pvclock_system_gpa = LAYOUT_SCRATCH | 1;
	p.vpp_pvclock_version = 42;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_WRITEVMPARAMS, &p));
	p.vpp_pvclock_system_gpa = 0;
	p.vpp_pvclock_version = 0;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_READVMPARAMS, &p));
	CHECK_EQ(p.vpp_pvclock_system_gpa, LAYOUT_SCRATCH | 1);
	CHECK_EQ(p.vpp_pvclock_version, 42);
	/* What is not asked for comes back as it was sent. */
	p.vpp_mask = VM_RWVMPARAMS_PVCLOCK_VERSION;
	p.vpp_pvclock_system_gpa = 0x1234;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_READVMPARAMS, &p));
	CHECK_EQ(p.vpp_pvclock_system_gpa, 0x1234);
	p.vpp_mask = 4;
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_READVMPARAMS, &p), EINVAL);
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_WRITEVMPARAMS, &p), EINVAL);
	p.vpp_mask = 0x80000001;
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_WRITEVMPARAMS, &p), EINVAL);
}

/* --- MPROTECT_EPT ------------------------------------------------------------ */

TEST(protect_bad, "ioctl/mprotect_ept/bad_arguments")
{
	const struct {
		uint64_t gpa, size;
		int prot;
	} bad[] = {
		{ 0, PAGE, 0 },
		{ 0, PAGE, PROT_WRITE },
		{ 0, PAGE, PROT_WRITE | PROT_EXEC },
		{ 0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC | 8 },
		{ 0, PAGE, 8 | PROT_READ },
		{ 0, PAGE, -1 },
		{ 0, PAGE, PROT_READ | (int)0x80000000 },
		{ 0, 0, PROT_READ },
		{ 1, PAGE, PROT_READ },
		{ 0, PAGE + 1, PROT_READ },
		{ 0, PAGE - 1, PROT_READ },
		{ 0, 512 * GB, PROT_READ },
		{ 0, UINT64_MAX & ~(PAGE - 1), PROT_READ },
		{ UINT64_MAX & ~(PAGE - 1), PAGE, PROT_READ },
		{ UINT64_MAX & ~(PAGE - 1), 2 * PAGE, PROT_READ },
		{ VM_SIZE, PAGE, PROT_READ },
		{ VM_SIZE - PAGE, 2 * PAGE, PROT_READ },
		{ HOLE, PAGE, PROT_READ },
		{ HOLE - PAGE, 2 * PAGE, PROT_READ },
		{ 4 * GB - PAGE, PAGE, PROT_READ },
		{ HOLE - PAGE, 4 * GB - HOLE + 2 * PAGE, PROT_READ },
	};
	struct vm *vm = vm_new(LONG);
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		errno = 0;
		CHECK_MSG(do_protect(vm->fd, vm->id, 0, bad[i].gpa,
		    bad[i].size, bad[i].prot) < 0 && errno == EINVAL,
		    "row %zu: %s", i, strerror(errno));
	}
	/* Nothing got protected on the way. */
	vm_call_ok(&vm->cpu[0], g_long_store, VM_SIZE - 8, 1, 0, 0);
	vm_call_ok(&vm->cpu[0], g_long_store, 0, 1, 0, 0);
}

/* --- INTR, TERM --------------------------------------------------------------- */

TEST(intr_values, "ioctl/intr/any_value")
{
	struct vm *vm = vm_new(LONG);

	vm_intr(&vm->cpu[0], 1);
	vm_intr(&vm->cpu[0], 0xffff);
	vm_intr(&vm->cpu[0], 0);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

TEST(term_twice, "ioctl/term/twice")
{
	struct vm *vm = vm_new(LONG);

	CHECK_OK(do_term(vm->fd, vm->id));
	CHECK_ERR(do_term(vm->fd, vm->id), ENOENT);
}
