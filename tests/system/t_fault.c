/* SPDX-License-Identifier: ISC */
/* t_fault.c - which of the host's pages a guest's fault brings in, and which not. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"

#define NEW	(8 * MB)	/* nobody has touched memory from here on */

/* How many of the pages from gpa on the host has. */
static unsigned int
resident(struct vm *vm, uint64_t gpa, unsigned int pages)
{
	unsigned char there[512];
	unsigned int i, n = 0;

	CHECK(pages <= sizeof(there));
	CHECK_OK(mincore(vm->mem + gpa, pages * PAGE, there));
	for (i = 0; i < pages; i++)
		n += there[i] & 1;
	return n;
}

static struct vm *
vm_small_pages(void)
{
	struct vm *vm = vm_new(LONG);

	CHECK_OK(madvise(vm->mem + NEW, VM_SIZE - NEW, MADV_NOHUGEPAGE));
	CHECK_EQ(resident(vm, NEW, 512), 0);
	return vm;
}

/* What is touched in sequence brings a few pages more; nothing else does. */
TEST(fault_ahead, "run/fault/ahead_of_a_sequence")
{
	struct vm *vm = vm_small_pages();
	struct vcpu *v = &vm->cpu[0];
	unsigned int n;

	vm_call_ok(v, g_long_store, NEW + 5 * PAGE, 1, 0, 0);
	CHECK_EQ(resident(vm, NEW, 512), 1);
	vm_call_ok(v, g_long_fill, NEW + 2 * MB, 128 * PAGE, 2 * PAGE, 1);
	CHECK_EQ(resident(vm, NEW + 2 * MB, 512), 64);
	vm_call_ok(v, g_long_fill, NEW + 4 * MB, 100 * PAGE, PAGE, 1);
	n = resident(vm, NEW + 4 * MB, 512);
	CHECK_MSG(n >= 100 && n < 108, "%u pages for 100", n);
	CHECK_EQ(resident(vm, NEW + 4 * MB, n), n);
	CHECK_EQ(vm_call_ok(v, g_long_verify, NEW + 4 * MB, 100 * PAGE, PAGE, 1), 0);
	/* They are all zeros, whoever looks first. */
	CHECK_EQ(vm_call_ok(v, g_long_load, NEW + 4 * MB + 100 * PAGE, 0, 0, 0), 0);
	CHECK_EQ(GUEST(vm, uint64_t, NEW + 4 * MB + 101 * PAGE), 0);
	CHECK_EQ(GUEST(vm, uint64_t, NEW + 4 * MB + 99 * PAGE), 100);
}

/* Memory that another thread provides: it hears of what the guest touches. */
TEST(fault_user, "run/fault/userfaultfd")
{
	struct vm *vm = vm_small_pages();
	struct vcpu *v = &vm->cpu[0];
	struct uffdio_register watch = {
		.range = { (uintptr_t)vm->mem + NEW, 1 * MB },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	struct runner *r;
	unsigned int i;
	int fd;

	fd = (int)CHECK_OK(syscall(SYS_userfaultfd, O_CLOEXEC));
	CHECK_OK(ioctl(fd, UFFDIO_API, &api));
	CHECK_OK(ioctl(fd, UFFDIO_REGISTER, &watch));
	vm_call_start(v, g_long_fill, NEW, 16 * PAGE, PAGE, 1);
	r = runner_start(v);
	for (i = 0; i < 16; i++) {
		struct uffdio_zeropage zero = {
			.range = { (uintptr_t)vm->mem + NEW + i * PAGE, PAGE },
		};
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct uffd_msg msg;

		CHECK_EQ(poll(&p, 1, -1), 1);
		CHECK_EQ(read(fd, &msg, sizeof(msg)), sizeof(msg));
		CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
		CHECK_EQ(msg.arg.pagefault.address & ~(PAGE - 1), zero.range.start);
		CHECK_OK(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
	}
	CHECK(is_exit_hlt(runner_join(r)));
	CHECK_EQ(resident(vm, NEW, 256), 16);
	CHECK_EQ(vm_call_ok(v, g_long_verify, NEW, 16 * PAGE, PAGE, 1), 0);
	CHECK_OK(close(fd));
}

/* M7: 2 MiB of zeros, the same for everybody, until they are written to. */
TEST(fault_huge_zero, "run/fault/huge_page_of_zeros")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	CHECK_OK(madvise(vm->mem + NEW, 4 * MB, MADV_HUGEPAGE));
	CHECK_EQ(vm_call_ok(v, g_long_load, NEW + 3 * PAGE, 0, 0, 0), 0);
	CHECK_EQ(vm_call_ok(v, g_long_load, NEW + 2 * MB, 0, 0, 0), 0);
	vm_call_ok(v, g_long_store, NEW + 3 * PAGE, 7, 0, 0);
	CHECK_EQ(GUEST(vm, uint64_t, NEW + 3 * PAGE), 7);
	CHECK_EQ(vm_call_ok(v, g_long_load, NEW + 2 * MB + 3 * PAGE, 0, 0, 0), 0);
	CHECK_EQ(GUEST(vm, uint64_t, NEW + 2 * MB + 3 * PAGE), 0);
}

/* M6: memory that is hidden even from the kernel. */
TEST(fault_secret, "run/fault/secret_memory")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int fd = (int)CHECK_OK(syscall(SYS_memfd_secret, 0));

	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK(mmap(vm->mem + NEW, 2 * PAGE, PROT_READ | PROT_WRITE,
	    MAP_FIXED | MAP_SHARED, fd, 0) == vm->mem + NEW);
	GUEST(vm, uint64_t, NEW) = 0x5ec4e7;
	/* One that is there, and one that is not yet. */
	vm_call_start(v, g_long_load, NEW, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, NEW);
	vm_reset(v, LONG);
	vm_call_start(v, g_long_store, NEW + PAGE, 1, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, NEW + PAGE);
	/* Nor as the neighbour of one that it may have. */
	GUEST(vm, uint64_t, NEW - PAGE) = 1;
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_store, NEW - PAGE, 2, 0, 0);
	vm_call_start(v, g_long_load, NEW, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, NEW);
	CHECK_EQ(GUEST(vm, uint64_t, NEW), 0x5ec4e7);
}

/* M6: what is no memory of the host, such as the firmware's ROM or a device. */
TEST(fault_device, "run/fault/memory_of_a_device")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	int fd = (int)CHECK_OK(open("/dev/mem", O_RDWR | O_CLOEXEC));

	CHECK(mmap(vm->mem + NEW, 2 * PAGE, PROT_READ | PROT_WRITE,
	    MAP_FIXED | MAP_SHARED, fd, 0xf0000) == vm->mem + NEW);
	vm_call_start(v, g_long_load, NEW, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, NEW);
	vm_reset(v, LONG);
	vm_call_start(v, g_long_store, NEW + PAGE, 1, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, NEW + PAGE);
	/* Nor as the neighbour of memory. */
	GUEST(vm, uint64_t, NEW - PAGE) = 1;
	vm_reset(v, LONG);
	vm_call_ok(v, g_long_store, NEW - PAGE, 2, 0, 0);
	vm_call_start(v, g_long_load, NEW, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, NEW);
}

/* --- Memory protection keys ------------------------------------------------------- */

static bool
cpu_has_pkeys(void)
{
	unsigned int a, b, c, d;

	/* PKU and OSPKE: SDM 3A 4.6.2. */
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
	    (c & 0x18) == 0x18;
}

/* The guest gets no page that the thread itself could not access so. */
static void
pkey_case(struct vm *vm, int key, uint64_t at)
{
	struct vcpu *v = &vm->cpu[0];

	/* Denied: neither reading nor writing, and not as a neighbour. */
	CHECK_OK(pkey_set(key, PKEY_DISABLE_ACCESS));
	CHECK_EQ(vm_call_ok(v, g_long_load, at - PAGE, 0, 0, 0), 0x11);
	vm_call_start(v, g_long_load, at, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	vm_reset(v, LONG);
	vm_call_start(v, g_long_store, at + PAGE, 1, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at + PAGE);
	vm_reset(v, LONG);
	/* The driver's own accesses for the guest likewise: OUTS from there. */
	vm_call_start(v, g_long_outsb, 0x80, at, 0, 0);
	CHECK_ERR(do_run(v, NO_IRQ), EFAULT);
	vm_reset(v, LONG);

	/* Reading alone. */
	CHECK_OK(pkey_set(key, PKEY_DISABLE_WRITE));
	CHECK_EQ(vm_call_ok(v, g_long_load, at, 0, 0, 0), 0x22);
	vm_call_start(v, g_long_store, at, 1, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	/* Its neighbour came along, no more writable than it. */
	vm_reset(v, LONG);
	vm_call_start(v, g_long_store, at + PAGE, 1, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at + PAGE);

	/* All of it: the store that waits is done. */
	CHECK_OK(pkey_set(key, 0));
	CHECK_EQ(GUEST(vm, uint64_t, at), 0x22);
	CHECK_EQ(GUEST(vm, uint64_t, at + PAGE), 0x33);
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, at + PAGE), 1);
	vm_call_ok(v, g_long_store, at, 2, 0, 0);
	CHECK_EQ(GUEST(vm, uint64_t, at), 2);

	/* A new key for the page is a change of the mapping: it goes at once. */
	CHECK_OK(pkey_set(key, PKEY_DISABLE_ACCESS));
	CHECK_OK(pkey_mprotect(vm->mem + at, PAGE, PROT_READ | PROT_WRITE, 0));
	CHECK_OK(pkey_mprotect(vm->mem + at, PAGE, PROT_READ | PROT_WRITE, key));
	vm_call_start(v, g_long_load, at, 0, 0, 0);
	vm_expect_fault(v, VEE_FAULT_PROTECT, at);
	CHECK_OK(pkey_set(key, 0));
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 2);
}

/* Pages that the host has already, of 4 KiB and of 2 MiB. */
TEST(fault_pkeys, "run/fault/protection_keys")
{
	struct vm *vm;
	uint64_t at;
	int key;

	if (!cpu_has_pkeys()) {
		CHECK_ERR(pkey_alloc(0, 0), ENOSPC);
		test_note("this CPU has no protection keys");
		return;
	}
	key = (int)CHECK_OK(pkey_alloc(0, 0));
	for (at = 6 * MB; at <= NEW; at += NEW - 6 * MB) {
		vm = vm_new(LONG);
		CHECK_OK(madvise(vm->mem + at, 2 * MB,
		    at == NEW ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
		GUEST(vm, uint64_t, at - PAGE) = 0x11;
		GUEST(vm, uint64_t, at) = 0x22;
		GUEST(vm, uint64_t, at + PAGE) = 0x33;
		CHECK_OK(pkey_mprotect(vm->mem + at, 2 * MB,
		    PROT_READ | PROT_WRITE, key));
		pkey_case(vm, key, at);
		vm_free(vm);
	}
}
