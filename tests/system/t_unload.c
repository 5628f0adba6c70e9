/* SPDX-License-Identifier: ISC */
/* t_module.c - the module beside others: unloading, KVM. Runs last. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"

static int
unload(const char *name)
{
	return (int)syscall(SYS_delete_module, name, O_NONBLOCK);
}

static void
load_vmm(void)
{
	CHECK_OK(load_module("vmm"));
	CHECK_OK(chmod("/dev/vmm", 0666));
}

TEST(attach_line, "module/attach_line")
{
	CHECK_OK(unload("vmm"));
	load_vmm();
	CHECK_EQ(klog_count("vmm0 at mainbus0: ", host_is_amd() ? "SVM/RVI" :
	    "VMX/EPT", NULL), 1);
}

/* With a VM, or only the device open: no. Without: yes, and again. */
TEST_T(module_unload, "module/unload", 60)
{
	struct vm *vm = vm_new(LONG);
	int i, fd;

	CHECK_ERR(unload("vmm"), EWOULDBLOCK);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	vm_free(vm);
	fd = vmm_open_device();
	CHECK_ERR(unload("vmm"), EWOULDBLOCK);
	CHECK_OK(close(fd));
	for (i = 0; i < 10; i++) {
		CHECK_OK(unload("vmm"));
		CHECK_ERR(open("/dev/vmm", O_RDWR), ENOENT);
		load_vmm();
		vm = vm_new(LONG);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		vm_free(vm);
	}
}

/* --- KVM: one hypervisor at a time, whichever came first ------------------------------ */

static void
load_kvm(void)
{
	if (access("/dev/kvm", F_OK) == 0)
		return;
	load_module("irqbypass");
	CHECK_OK(load_module("kvm"));
	load_module("ccp");
	CHECK_OK(load_module(host_is_amd() ? "kvm-amd" : "kvm-intel"));
}

static int
kvm_vm(int kvm)
{
	return ioctl(kvm, KVM_CREATE_VM, 0);
}

TEST_T(kvm_first, "module/kvm/kvm_is_running", 60)
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	struct vm_create_params p = { 0 };
	int kvm, its;

	load_kvm();
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	CHECK_OK(kvm);
	its = (int)CHECK_OK(kvm_vm(kvm));
	p.vcp_ncpus = p.vcp_nmemranges = 1;
	p.vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
	p.vcp_memranges[0].vmr_size = vm->size;
	CHECK_ERR(ioctl(vm->fd, VMM_IOC_CREATE, &p), EBUSY);
	CHECK(klog_count("vmm", NULL) >= 1);
	CHECK_OK(close(its));
	CHECK_OK(close(kvm));
	/* It let go: our turn. */
	sleep_ms(100);
	vm_create(vm);
	vm_reset(&vm->cpu[0], LONG);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

TEST_T(kvm_second, "module/kvm/we_are_running", 60)
{
	struct vm *vm = vm_new(LONG);
	int kvm, its;

	load_kvm();
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	CHECK_OK(kvm);
	CHECK_ERR(kvm_vm(kvm), EBUSY);
	/* It has not hurt us. */
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	vm_free(vm);
	its = (int)CHECK_OK(kvm_vm(kvm));
	CHECK_OK(close(its));
	CHECK_OK(close(kvm));
}

/* A VM that dies with a refused CREATE of ours next to it. */
TEST_T(kvm_turns, "module/kvm/taking_turns", 60)
{
	struct vm *vm;
	int kvm, its, i;

	load_kvm();
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	CHECK_OK(kvm);
	for (i = 0; i < 10; i++) {
		its = (int)CHECK_OK(kvm_vm(kvm));
		CHECK_OK(close(its));
		sleep_ms(50);
		vm = vm_new(LONG);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		vm_free(vm);
	}
	CHECK_OK(close(kvm));
}

/* --- For a debug kernel: these run only when named ------------------------------------ */

/* Somebody who is always about to open the device, with and without a VM. */
static void
open_often(void *arg)
{
	struct vm_create_params p = { .vcp_ncpus = 1, .vcp_nmemranges = 1 };
	struct vm *vm = arg;
	int fd;

	p.vcp_memranges[0].vmr_va = (uintptr_t)vm->mem;
	p.vcp_memranges[0].vmr_size = vm->size;
	for (;;) {
		fd = open("/dev/vmm", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		ioctl(fd, VMM_IOC_CREATE, &p);
		close(fd);
	}
}

TEST_T(module_reloads, "debug/reload/twenty_times", 300)
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	int i, pid, busy = 0;

	CHECK_OK(close(vm->fd));
	pid = child_start(open_often, vm);
	for (i = 0; i < 20; i++) {
		while (unload("vmm") < 0) {
			CHECK_MSG(errno == EWOULDBLOCK || errno == EBUSY, "unload: %s",
			    strerror(errno));
			busy++;
			sleep_ms(1);
		}
		load_vmm();
		vm_free(vm_new(LONG));
	}
	child_kill(pid);
	test_note("unloading refused %d times, to who had it open", busy);
}

TEST(module_gone, "module/unload_at_the_end")
{
	CHECK_OK(unload("vmm"));
	CHECK_ERR(open("/dev/vmm", O_RDWR), ENOENT);
	CHECK_EQ(klog_count("vmm", "leak", NULL), 0);
}
