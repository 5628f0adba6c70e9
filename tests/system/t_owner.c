/* SPDX-License-Identifier: ISC */
/* t_owner.c - whose VM it is: users, processes, descriptors. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"

#define STRANGER	4711u

/* Everything a stranger can try on a VM: EPERM or ENOENT, and no effect. */
static void
stranger(void *arg)
{
	struct vm *vm = arg;
	struct vm_rwvmparams_params par = { 0 };
	struct vm_rwregs_params regs = { 0 };
	struct vm_info_result info[4];
	struct vcpu_reg_state s;
	int fd = vmm_open_device(), fds[2] = { fd, vm->fd };
	int i;

	for (i = 0; i < 2; i++) {
		vm->fd = fds[i];
		CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), EPERM);
		CHECK_ERR(do_term(vm->fd, vm->id), EPERM);
		CHECK_ERR(do_intr(vm->fd, vm->id, 0, 1), EPERM);
		CHECK_ERR(do_readregs(vm->fd, vm->id, 0, VM_RWREGS_ALL, &regs),
		    EPERM);
		vm_init_state(&vm->cpu[0], LONG, &s);
		regs.vrwp_regs = s;
		CHECK_ERR(do_writeregs(vm->fd, vm->id, 0, VM_RWREGS_GPRS,
		    &regs), EPERM);
		CHECK_ERR(do_resetcpu(vm->fd, vm->id, 0, &s), EPERM);
		CHECK_ERR(do_protect(vm->fd, vm->id, 0, 0, PAGE, PROT_READ),
		    EPERM);
		par.vpp_vm_id = vm->id;
		par.vpp_mask = VM_RWVMPARAMS_PVCLOCK_VERSION;
		CHECK_ERR(ioctl(vm->fd, VMM_IOC_READVMPARAMS, &par), EPERM);
		CHECK_ERR(ioctl(vm->fd, VMM_IOC_WRITEVMPARAMS, &par), EPERM);
		CHECK_EQ(do_info(vm->fd, info, 4), 0);
	}
}

TEST(owner_stranger, "owner/another_user")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu_reg_state before, after;

	vm_regs(&vm->cpu[0], &before);
	run_as(STRANGER, stranger, vm);
	vm_regs(&vm->cpu[0], &after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

/* A user's own VM works without any privilege; root sees it, too. */
static int info_fd, info_pipe[2];

static void
plain_user(void *arg)
{
	struct vm *vm = vm_new(LONG);
	struct vm_info_result r;
	char c;

	(void)arg;
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK_EQ(r.vir_creator_pid, getpid());
	CHECK_EQ(write(info_pipe[1], &vm->id, sizeof(vm->id)),
	    sizeof(vm->id));
	CHECK_EQ(read(info_fd, &c, 1), 1);
	/* Root has ended it. */
	CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), ENOENT);
}

static void
plain_user_as(void *arg)
{
	CHECK_OK(setresuid(STRANGER, STRANGER, STRANGER));
	plain_user(arg);
}

TEST(owner_admin, "owner/root_sees_and_ends_all")
{
	int fd = vmm_open_device(), pid, go[2];
	struct vm_info_result r;
	uint32_t id;

	CHECK_OK(pipe(info_pipe));
	CHECK_OK(pipe(go));
	info_fd = go[0];
	pid = child_start(plain_user_as, NULL);
	CHECK_OK(close(info_pipe[1]));	/* so that its end is seen */
	CHECK_EQ(read(info_pipe[0], &id, sizeof(id)), sizeof(id));
	CHECK(vm_info(fd, id, &r));
	CHECK_EQ(r.vir_creator_pid, pid);
	CHECK_OK(do_term(fd, id));
	CHECK_EQ(write(go[1], "x", 1), 1);
	child_wait(pid);
}

/* --- The creator gives up root, as clients that separate privileges do -------- */

static void
same_user(void *arg)
{
	struct vm *vm = arg;
	struct vm_rwregs_params regs = { 0 };
	struct vm_info_result info[4];

	CHECK_EQ(getuid(), STRANGER);
	CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), EPERM);
	CHECK_ERR(do_readregs(vm->fd, vm->id, 0, VM_RWREGS_ALL, &regs), EPERM);
	CHECK_ERR(do_term(vm->fd, vm->id), EPERM);
	CHECK_EQ(do_info(vm->fd, info, 4), 0);
}

static void
gives_up_root(void *arg)
{
	struct vm_rwvmparams_params par = { 0 };
	struct vm *vm = vm_new(LONG);
	struct vm_info_result r;
	struct vcpu_reg_state s;

	(void)arg;
	CHECK_OK(chroot("/proc/self/fdinfo"));
	CHECK_OK(chdir("/"));
	CHECK_OK(setresgid(STRANGER, STRANGER, STRANGER));
	CHECK_OK(setresuid(STRANGER, STRANGER, STRANGER));
	/* All there is, as before. */
	vm_reset(&vm->cpu[0], LONG);
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	vm_regs(&vm->cpu[0], &s);
	vm_set_regs(&vm->cpu[0], VM_RWREGS_ALL, &s);
	vm_intr(&vm->cpu[0], 0);
	vm_protect(&vm->cpu[0], LAYOUT_HIGH, PAGE, PROT_READ);
	par.vpp_vm_id = vm->id;
	par.vpp_mask = VM_RWVMPARAMS_PVCLOCK_VERSION;
	CHECK_OK(ioctl(vm->fd, VMM_IOC_READVMPARAMS, &par));
	CHECK_OK(ioctl(vm->fd, VMM_IOC_WRITEVMPARAMS, &par));
	CHECK(vm_info(vm->fd, vm->id, &r));
	/* Another process of that user is a stranger. */
	child_wait(child_start(same_user, vm));
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	CHECK_OK(do_term(vm->fd, vm->id));
}

TEST(owner_gives_up, "owner/creator_gives_up_root")
{
	child_wait(child_start(gives_up_root, NULL));
}

/* --- RUN belongs to the address space that made the VM ----------------------------- */

static void
child_of_owner(void *arg)
{
	struct vm *vm = arg;
	struct vcpu_reg_state s;

	CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), EPERM);
	/* What needs no guest memory works: it is the same user. */
	vm_regs(&vm->cpu[0], &s);
	vm_intr(&vm->cpu[0], 0);
}

TEST(owner_fork, "owner/run_in_a_forked_child")
{
	struct vm *vm = vm_new(LONG);

	child_wait(child_start(child_of_owner, vm));
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

/* Another process of the user ends the VM by its id. */
static void
term_by_id(void *arg)
{
	struct vm *vm = arg;

	CHECK_OK(do_term(vmm_open_device(), vm->id));
}

TEST(owner_term_other, "owner/term_from_another_process")
{
	struct vm *vm = vm_new(LONG);

	child_wait(child_start(term_by_id, vm));
	CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), ENOENT);
}

/* The parent goes first: the child holds the descriptor, and may go on. */
TEST(owner_parent_first, "owner/parent_exits_before_child")
{
	int up[2], pid, status;
	struct vm *vm;
	uint32_t id;
	char c;

	CHECK_OK(pipe(up));
	pid = (int)CHECK_OK(fork());
	if (pid == 0) {
		vm = vm_new(LONG);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		CHECK_EQ(write(up[1], &vm->id, 4), 4);
		if (fork() == 0) {
			/* The creator is gone, and its VM with it, although
			 * the descriptor lives on here. */
			prctl(PR_SET_PDEATHSIG, 0);
			while (do_run(&vm->cpu[0], NO_IRQ) < 0 &&
			    errno == EPERM)
				sleep_ms(5);
			CHECK_EQ(errno, ENOENT);
			CHECK_ERR(do_term(vm->fd, vm->id), ENOENT);
			CHECK_EQ(write(up[1], "k", 1), 1);
			_exit(0);
		}
		_exit(0);
	}
	CHECK_OK(waitpid(pid, &status, 0));
	CHECK_EQ(read(up[0], &id, 4), 4);
	CHECK_EQ(read(up[0], &c, 1), 1);
}

static void
send_fd(int sock, int fd)
{
	char buf[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'x';
	struct iovec iov = { &c, 1 };
	struct msghdr m = { 0 };
	struct cmsghdr *cm;

	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = buf;
	m.msg_controllen = sizeof(buf);
	cm = CMSG_FIRSTHDR(&m);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	CHECK_OK(sendmsg(sock, &m, 0));
}

/* L8: a descriptor passed on keeps the VM alive, and still runs nothing. */
TEST(owner_passed, "owner/descriptor_passed_on")
{
	char buf[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { 0 };
	struct vm_info_result r;
	struct vm *vm;
	int sv[2], fd, pid, other;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = (int)CHECK_OK(fork());
	if (pid == 0) {
		vm = vm_new(LONG);
		CHECK_EQ(write(sv[1], &vm->id, 4), 4);
		send_fd(sv[1], vm->fd);
		_exit(0);
	}
	vm = vm_prepare(1, 1 * MB, 0);
	CHECK_EQ(read(sv[0], &vm->id, 4), 4);
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = buf;
	m.msg_controllen = sizeof(buf);
	CHECK_EQ(recvmsg(sv[0], &m, 0), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	child_wait(pid);
	other = vmm_open_device();
	/* The death of the owner ends the VM, whoever has its descriptor. */
	while (vm_info(other, vm->id, &r))
		sleep_ms(5);
	CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), ENOENT);
	CHECK_OK(close(fd));
}

/* The session that made it ends it: the last close. */
TEST(owner_close, "owner/last_close_ends_the_vm")
{
	struct vm *vm = vm_new(LONG);
	int other = vmm_open_device(), copy;
	struct vm_info_result r;

	copy = (int)CHECK_OK(dup(vm->fd));
	CHECK_OK(close(vm->fd));
	vm->fd = copy;
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	CHECK_OK(close(copy));
	CHECK(!vm_info(other, vm->id, &r));
	vm->fd = other;
	CHECK_ERR(do_run(&vm->cpu[0], NO_IRQ), ENOENT);
}

/* Another session of the same process may drive it. */
TEST(owner_second, "owner/second_descriptor_of_the_process")
{
	struct vm *vm = vm_new(LONG);
	int first = vm->fd;

	vm->fd = vmm_open_device();
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
	CHECK_OK(close(vm->fd));
	vm->fd = first;
	vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
}

/* kill -9 with vCPUs in the guest: nothing stays. */
static void
owner_victim(void *arg)
{
	struct vm *vm = vm_new_with(LONG, 3, 64 * MB, 0);
	int *up = arg, i;

	vm_call_ok(&vm->cpu[0], g_long_fill, LAYOUT_HIGH, 60 * MB, PAGE, 1);
	for (i = 0; i < 3; i++) {
		vm_call_start(&vm->cpu[i], i == 1 ? g_long_jmp_self :
		    g_long_spin, 0, 0, 0, 0);
		runner_start(&vm->cpu[i]);
	}
	runner_wait_busy(&vm->cpu[0]);
	CHECK_EQ(write(up[1], &vm->id, 4), 4);
	for (;;)
		sleep_ms(1000);
}

static void
kill_some(int fd, int n)
{
	struct vm_info_result r;
	int up[2], i, pid;
	uint64_t start;
	uint32_t id;

	CHECK_OK(pipe(up));
	for (i = 0; i < n; i++) {
		pid = child_start(owner_victim, up);
		CHECK_EQ(read(up[0], &id, 4), 4);
		CHECK(vm_info(fd, id, &r));
		start = now_ns();
		child_kill(pid);
		CHECK(now_ns() - start < 3000000000u * time_scale());
		CHECK(!vm_info(fd, id, &r));
	}
	CHECK_OK(close(up[0]));
	CHECK_OK(close(up[1]));
}

TEST_T(owner_kill, "owner/kill_9", 90)
{
	int fd = vmm_open_device(), batch, i;
	long before, after = 0, slab;

	kill_some(fd, 1);
	/* What a kill leaves behind, every batch of them leaves behind. */
	for (batch = 0; batch < 3; batch++) {
		sleep_ms(200);
		before = meminfo("MemFree:");
		slab = meminfo("Slab:");
		kill_some(fd, 8);
		for (i = 0; i < 10; i++) {
			sleep_ms(100);
			after = meminfo("MemFree:");
			if (after > before - 6000)
				return;
		}
		test_note("eight kills: MemFree %ld to %ld kB, Slab %ld to %ld "
		    "kB", before, after, slab, meminfo("Slab:"));
	}
	FAIL("memory is lost with every owner killed");
}

/* Killed with memory in two ranges, some of which is being taken back. */
static void *
takes_memory(void *arg)
{
	struct vm *vm = arg;

	for (;;)
		CHECK_OK(madvise(vm->mem + LAYOUT_HIGH, vm->size - LAYOUT_HIGH,
		    MADV_DONTNEED));
	return NULL;
}

static void
ranges_victim(void *arg)
{
	struct vm *vm = vm_prepare(3, 8 * MB, 0);
	pthread_t t;
	int *up = arg;

	vm_create_ranges(vm, 2);
	vm_reset(&vm->cpu[0], LONG);
	CHECK_EQ(pthread_create(&t, NULL, takes_memory, vm), 0);
	CHECK_EQ(write(up[1], "x", 1), 1);
	for (;;)
		vm_call_ok(&vm->cpu[0], g_long_fill, LAYOUT_HIGH, vm->size -
		    LAYOUT_HIGH, PAGE, 1);
}

TEST_T(owner_kill_ranges, "owner/kill_9_with_two_ranges", 90)
{
	int up[2], i, pid;
	char c;

	CHECK_OK(pipe(up));
	srandom(2);
	for (i = 0; i < 25; i++) {
		pid = child_start(ranges_victim, up);
		CHECK_EQ(read(up[0], &c, 1), 1);
		usleep((unsigned int)(random() % 20000));
		child_kill(pid);
	}
}

/* L7: killed at any moment. */
static void
quick_victim(void *arg)
{
	struct vm *vm;

	(void)arg;
	for (;;) {
		vm = vm_prepare(2, 2 * MB, 0);
		vm_create(vm);
		vm_reset(&vm->cpu[0], LONG);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		vm_free(vm);
	}
}

TEST_T(owner_kill_random, "owner/kill_9_at_any_moment", 60)
{
	unsigned int i;
	int pid;

	srandom(1);
	for (i = 0; i < 60; i++) {
		pid = child_start(quick_victim, NULL);
		usleep((unsigned int)(random() % 30000));
		child_kill(pid);
	}
}
