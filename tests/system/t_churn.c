/* SPDX-License-Identifier: ISC */
/*
 * t_churn.c - what users may do, at random and all at once: for the checkers of a
 * debug kernel (`make check-debug`). These cases run only when named.
 *
 * SEED makes each thread do the same again, if not at the same time; CHURN is how
 * many ioctls debug/churn/ioctls makes. Whatever the driver answers is fine if it is
 * one of its answers: the verdict is the kernel's log.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "fault.h"
#include "vm.h"

#define PROCESSES	4
#define THREADS		3
#define SLOTS		4		/* pieces of memory that a VM may have */
#define SLOT_SIZE	(2 * MB)
#define AREA_SIZE	(SLOTS * SLOT_SIZE)
#define IDS		8

/* Marsaglia's xorshift: small, and the same everywhere. */
struct rng { uint64_t state; };

static uint64_t
rng_next(struct rng *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

static unsigned int
below(struct rng *r, unsigned int n)
{
	return (unsigned int)((rng_next(r) >> 20) % n);
}

static bool
chance(struct rng *r, unsigned int percent)
{
	return below(r, 100) < percent;
}

static struct rng
rng_from(uint32_t seed, uint32_t who)
{
	struct rng r = { (seed + 1) * 0x9e3779b97f4a7c15ull ^
	    (who + 1) * 0xbf58476d1ce4e5b9ull };
	int i;

	for (i = 0; i < 8; i++)
		rng_next(&r);
	return r;
}

static uint32_t
seed(void)
{
	return number_from("SEED", 1);
}

/* Shared between all processes. */
static struct shared {
	volatile uint32_t id[IDS];	/* VMs that there may be */
	unsigned int ioctls, answers, runs, vms, memory, forks, faults;
	volatile int inject;		/* some operations meet a fault of the host's */
	volatile int stop;
} *shared;

#define COUNT(what)	__atomic_fetch_add(&shared->what, 1, __ATOMIC_RELAXED)

/* One process of many; its threads have all of it together. */
static struct worker {
	int	 fd;
	uint8_t	*area;
	uint8_t	*image;			/* what slot 0 holds at first */
	struct vm *form;		/* a VM's memory, to take states from */
} worker;

/* --- The driver -------------------------------------------------------------------- */

/* Answers of the driver to anything; EBADF is the kernel's, between two sessions. */
static bool
known_answer(int err)
{
	static const int known[] = { EINVAL, ENOENT, EFAULT, EBUSY, EPERM, ENOMEM,
	    EINTR, ENOTTY, EIO, EBADF };
	unsigned int i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (err == known[i])
			return true;
	return false;
}

static int
ask(unsigned long cmd, void *arg)
{
	int rc = ioctl(worker.fd, cmd, arg);

	COUNT(ioctls);
	if (rc >= 0)
		COUNT(answers);
	else
		CHECK_MSG(known_answer(errno), "ioctl %#lx: %s", cmd, strerror(errno));
	return rc;
}

static uint32_t
some_id(struct rng *r)
{
	return chance(r, 95) ? shared->id[below(r, IDS)] : (uint32_t)rng_next(r);
}

static uint32_t
some_vcpu(struct rng *r)
{
	return chance(r, 95) ? below(r, 3) : (uint32_t)rng_next(r);
}

static void
op_create(struct rng *r)
{
	struct vm_create_params p = { 0 };
	unsigned int i, slot = 0, n = 1 + below(r, SLOTS);

	for (i = 0; i < n; i++, slot++) {
		struct vm_mem_range *range = &p.vcp_memranges[i];

		range->vmr_gpa = i * SLOT_SIZE;
		range->vmr_size = chance(r, 30) ? SLOT_SIZE / 2 : SLOT_SIZE;
		/* Mostly in order; now and then two of them are the same memory. */
		if (i > 0 && chance(r, 10))
			slot = below(r, SLOTS);
		range->vmr_va = (uintptr_t)worker.area + slot % SLOTS * SLOT_SIZE;
	}
	p.vcp_nmemranges = n;
	p.vcp_ncpus = chance(r, 95) ? 1 + below(r, 3) : 1 + below(r, 64);
	if (chance(r, 5))
		((uint64_t *)&p)[below(r, 24)] = rng_next(r);
	if (ask(VMM_IOC_CREATE, &p) == 0) {
		shared->id[below(r, IDS)] = p.vcp_id;
		COUNT(vms);
	}
}

static void
op_term(struct rng *r)
{
	struct vm_terminate_params p = { .vtp_vm_id = some_id(r) };

	ask(VMM_IOC_TERM, &p);
}

/* Another session takes the number of the old one, which may end with that. */
static void
op_reopen(struct rng *r)
{
	int fd = open("/dev/vmm", O_RDWR | O_CLOEXEC);

	(void)r;
	if (fd < 0)
		return;
	dup2(fd, worker.fd);
	close(fd);
}

/* What the guest is to do, and the guest itself: written as another process would. */
static void
op_program(struct rng *r)
{
	static const uint64_t functions[] = { g_long_nop, g_long_spin, g_long_spin_cli,
	    g_long_spin_exits, g_long_fill, g_long_verify_loop, g_long_triple,
	    g_long_jmp_self };
	uint32_t cpu = below(r, 3);
	struct mailbox mb = { .vector = NO_VECTOR };
	struct iovec from = { worker.image, LAYOUT_SCRATCH };
	struct iovec to = { worker.area, LAYOUT_SCRATCH };

	if (chance(r, 20))
		process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	mb.op = functions[below(r, sizeof(functions) / sizeof(functions[0]))];
	mb.arg[0] = LAYOUT_HIGH;
	mb.arg[1] = SLOTS * SLOT_SIZE - LAYOUT_HIGH;
	mb.arg[2] = PAGE;
	from = (struct iovec){ &mb, sizeof(mb) };
	to = (struct iovec){ worker.area + LAYOUT_MAILBOX + cpu * LAYOUT_STEP, sizeof(mb) };
	process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

static void
some_state(struct rng *r, struct vcpu_reg_state *s)
{
	vm_init_state(&worker.form->cpu[below(r, 3)], LONG, s);
	if (chance(r, 30))
		((uint32_t *)s)[below(r, sizeof(*s) / 4)] ^= 1u << below(r, 32);
	/* With a busy TSS, TCG gives up at a change of privilege. */
	if (host_is_tcg())
		s->vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x89;
}

static void
op_reset(struct rng *r)
{
	struct vm_resetcpu_params p = { .vrp_vm_id = some_id(r),
	    .vrp_vcpu_id = some_vcpu(r) };

	some_state(r, &p.vrp_init_state);
	ask(VMM_IOC_RESETCPU, &p);
}

static void
op_run(struct rng *r)
{
	struct vm_exit exit;
	struct vm_run_params p = { .vrp_vm_id = some_id(r), .vrp_vcpu_id = some_vcpu(r),
	    .vrp_irq = chance(r, 90) ? NO_IRQ : (uint16_t)(32 + below(r, 200)),
	    .vrp_exit = &exit };
	unsigned int i;

	memset(&exit, 0, sizeof(exit));
	for (i = 0; i < 3; i++) {
		COUNT(runs);
		if (ask(VMM_IOC_RUN, &p) < 0)
			break;
		p.vrp_continue = 1;
	}
}

static void
op_readregs(struct rng *r)
{
	struct vm_rwregs_params p = { .vrwp_vm_id = some_id(r),
	    .vrwp_vcpu_id = some_vcpu(r),
	    .vrwp_mask = chance(r, 95) ? below(r, 32) : rng_next(r) };

	ask(VMM_IOC_READREGS, &p);
}

static void
op_writeregs(struct rng *r)
{
	struct vm_rwregs_params p = { .vrwp_vm_id = some_id(r),
	    .vrwp_vcpu_id = some_vcpu(r), .vrwp_mask = below(r, 32) };

	some_state(r, &p.vrwp_regs);
	ask(VMM_IOC_WRITEREGS, &p);
}

static void
op_intr(struct rng *r)
{
	struct vm_intr_params p = { .vip_vm_id = some_id(r), .vip_vcpu_id = some_vcpu(r),
	    .vip_intr = (uint16_t)below(r, 2) };

	ask(VMM_IOC_INTR, &p);
}

static void
op_vmparams(struct rng *r)
{
	struct vm_rwvmparams_params p = { .vpp_vm_id = some_id(r),
	    .vpp_vcpu_id = some_vcpu(r), .vpp_mask = below(r, 4),
	    .vpp_pvclock_system_gpa = below(r, AREA_SIZE) | below(r, 2),
	    .vpp_pvclock_version = (uint32_t)rng_next(r) };

	ask(chance(r, 50) ? VMM_IOC_READVMPARAMS : VMM_IOC_WRITEVMPARAMS, &p);
}

static void
op_protect(struct rng *r)
{
	struct vm_mprotect_ept_params p = { .vmep_vm_id = some_id(r),
	    .vmep_vcpu_id = some_vcpu(r),
	    .vmep_sgpa = below(r, AREA_SIZE / PAGE) * PAGE,
	    .vmep_size = (1 + below(r, chance(r, 80) ? 8 : 1024)) * PAGE,
	    .vmep_prot = (int)below(r, 8) };

	ask(VMM_IOC_MPROTECT_EPT, &p);
}

static void
op_info(struct rng *r)
{
	struct vm_info_result result[IDS];
	struct vm_info_params p = { .vip_info = result,
	    .vip_size = below(r, IDS + 1) * sizeof(result[0]) };

	ask(VMM_IOC_INFO, &p);
}

static void
op_refused(struct rng *r)
{
	struct vm_refused_params p = { .vrf_vm_id = some_id(r),
	    .vrf_vcpu_id = some_vcpu(r) };

	ask(VMM_IOC_REFUSED, &p);
}

static void
op_exitregs(struct rng *r)
{
	struct vm_exitregs_params p = { .vxr_vm_id = some_id(r),
	    .vxr_vcpu_id = some_vcpu(r), .vxr_mask = below(r, 40) };

	ask(VMM_IOC_EXITREGS, &p);
}

/* Any bytes, anywhere: also memory that comes and goes, or that ends too early. */
static void
op_garbage(struct rng *r)
{
	static const unsigned long cmds[] = { VMM_IOC_CREATE, VMM_IOC_RUN, VMM_IOC_INFO,
	    VMM_IOC_TERM, VMM_IOC_RESETCPU, VMM_IOC_INTR, VMM_IOC_READREGS,
	    VMM_IOC_WRITEREGS, VMM_IOC_READVMPARAMS, VMM_IOC_WRITEVMPARAMS,
	    VMM_IOC_MPROTECT_EPT, VMM_IOC_REFUSED, VMM_IOC_EXITREGS };
	unsigned long cmd = cmds[below(r, sizeof(cmds) / sizeof(cmds[0]))];
	uint64_t bytes[512];
	unsigned int i;

	switch (below(r, 4)) {
	case 0:
		for (i = 0; i < 512; i++)
			bytes[i] = chance(r, 50) ? below(r, 4) : rng_next(r);
		if (chance(r, 50))
			memcpy(bytes, &(uint32_t){ some_id(r) }, 4);
		ask(cmd, bytes);
		break;
	case 1:
		ask(cmd, worker.area + below(r, AREA_SIZE));
		break;
	case 2:
		ask(cmd, (void *)(uintptr_t)rng_next(r));
		break;
	default:
		ask(chance(r, 50) ? cmd ^ 1ul << below(r, 32) : rng_next(r), bytes);
		break;
	}
}

static void
op_statistics(struct rng *r)
{
	char text[512];
	int fd = open("/sys/kernel/debug/vmm/exits", O_RDONLY | O_CLOEXEC);

	(void)r;
	if (fd < 0)
		return;
	while (read(fd, text, sizeof(text)) > 0)
		continue;
	close(fd);
}

/* --- The host's memory ------------------------------------------------------------- */

static uint8_t *
some_place(struct rng *r, size_t *size)
{
	size_t at = below(r, AREA_SIZE / PAGE) * PAGE;

	*size = (chance(r, 50) ? 1 + below(r, 16) : 1 + below(r, 1024)) * PAGE;
	if (*size > AREA_SIZE - at)
		*size = AREA_SIZE - at;
	return worker.area + at;
}

static void
op_madvise(struct rng *r)
{
	static const int advice[] = { MADV_DONTNEED, MADV_DONTNEED, MADV_FREE,
	    MADV_REMOVE, MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE,
	    MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_UNMERGEABLE, 22 /* POPULATE_READ */,
	    23 /* POPULATE_WRITE */, 25 /* COLLAPSE */ };
	size_t size;
	uint8_t *at = some_place(r, &size);

	COUNT(memory);
	madvise(at, size, advice[below(r, sizeof(advice) / sizeof(advice[0]))]);
}

static void
op_mprotect(struct rng *r)
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
	    PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC };
	size_t size;
	uint8_t *at = some_place(r, &size);

	COUNT(memory);
	mprotect(at, size, prot[below(r, sizeof(prot) / sizeof(prot[0]))]);
}

static void
op_munmap(struct rng *r)
{
	size_t size;
	uint8_t *at = some_place(r, &size);

	COUNT(memory);
	munmap(at, size);
}

static void
op_mmap(struct rng *r)
{
	size_t size;
	uint8_t *at = some_place(r, &size);

	COUNT(memory);
	mmap(at, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_ANONYMOUS |
	    (chance(r, 70) ? MAP_PRIVATE : MAP_SHARED) |
	    (chance(r, 10) ? MAP_POPULATE : 0), -1, 0);
}

static void
op_mremap(struct rng *r)
{
	size_t size, unused;
	uint8_t *at = some_place(r, &size), *to = some_place(r, &unused);

	COUNT(memory);
	if (to + size <= worker.area + AREA_SIZE)
		mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static void
op_mlock(struct rng *r)
{
	size_t size;
	uint8_t *at = some_place(r, &size);

	COUNT(memory);
	if (chance(r, 50))
		mlock(at, size);
	else
		munlock(at, size);
}

/* Reading and writing it, where it may be gone. */
static void
op_touch(struct rng *r)
{
	uint64_t value = rng_next(r);
	struct iovec from = { &value, sizeof(value) };
	struct iovec to = { worker.area + below(r, AREA_SIZE / 8) * 8, sizeof(value) };

	process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

/* --- Processes and CPUs ------------------------------------------------------------ */

/* A child has the memory as a copy, the session as it is, and no VM of its own. */
static void
op_fork(struct rng *r)
{
	unsigned int how = below(r, 3);
	struct vm_info_params info = { 0 };
	pid_t pid;

	COUNT(forks);
	pid = fork();
	if (pid < 0)
		return;
	if (pid == 0) {
		ioctl(worker.fd, VMM_IOC_INFO, &info);
		if (how == 0)
			execl("/bin/busybox", "true", (char *)NULL);
		if (how == 1)
			op_run(r);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void
op_signal(struct rng *r)
{
	(void)r;
	kill(getpid(), SIGUSR1);
}

static void
op_affinity(struct rng *r)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(below(r, (unsigned int)sysconf(_SC_NPROCESSORS_CONF)), &set);
	if (chance(r, 30))
		memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

static void
op_compact(struct rng *r)
{
	int fd = open(chance(r, 50) ? "/proc/sys/vm/compact_memory" :
	    "/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		COUNT(memory);
	close(fd);
}

/* --- All of it --------------------------------------------------------------------- */

static const struct op {
	void	(*make)(struct rng *r);
	unsigned int weight;
} ops[] = {
	{ op_create, 8 }, { op_term, 4 }, { op_reopen, 1 }, { op_program, 10 },
	{ op_reset, 16 }, { op_run, 30 }, { op_readregs, 8 }, { op_writeregs, 6 },
	{ op_intr, 6 }, { op_vmparams, 4 }, { op_protect, 6 }, { op_info, 3 },
	{ op_refused, 2 }, { op_exitregs, 2 }, { op_garbage, 8 }, { op_statistics, 1 },
	{ op_madvise, 12 }, { op_mprotect, 4 }, { op_munmap, 2 }, { op_mmap, 6 },
	{ op_mremap, 2 }, { op_mlock, 1 }, { op_touch, 6 }, { op_fork, 1 },
	{ op_signal, 4 }, { op_affinity, 2 }, { op_compact, 1 },
};

static void
op_any(struct rng *r)
{
	unsigned int i, total = 0, pick;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		total += ops[i].weight;
	pick = below(r, total);
	for (i = 0; pick >= ops[i].weight; i++)
		pick -= ops[i].weight;
	ops[i].make(r);
}

static void
on_signal(int sig)
{
	(void)sig;
}

/* Signals that come again and again, to this thread: no RUN lasts. */
static void
wake_often(unsigned int ms)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
	    .sigev_signo = SIGALRM };
	struct itimerspec every = { .it_interval.tv_nsec = ms * 1000000L,
	    .it_value.tv_nsec = ms * 1000000L };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &every, NULL));
}

static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	CHECK_OK(sigaction(SIGALRM, &action, NULL));
	CHECK_OK(sigaction(SIGUSR1, &action, NULL));
}

static void *
churn_thread(void *arg)
{
	struct rng r = rng_from(seed(), (uint32_t)(uintptr_t)arg);

	wake_often(20);
	while (!shared->stop) {
		bool fault = shared->inject && chance(&r, 30);

		if (fault)
			fault_set(1 + below(&r, chance(&r, 50) ? 5 : 100));
		op_any(&r);
		if (fault && fault_hit())
			COUNT(faults);
	}
	return NULL;
}

static uint8_t *
area_new(void)
{
	uint8_t *p = mmap(NULL, AREA_SIZE + SLOT_SIZE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	p = (uint8_t *)(((uintptr_t)p + SLOT_SIZE - 1) & ~(SLOT_SIZE - 1));
	CHECK(mmap(p, AREA_SIZE, PROT_READ | PROT_WRITE,
	    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
	return p;
}

/* The threads of one process, until the end or until somebody kills it. */
static void
churn_process(void *arg)
{
	const uint32_t who = (uint32_t)(uintptr_t)arg * THREADS;
	pthread_t thread[THREADS];
	unsigned int i;

	worker.form = vm_prepare(3, 1 * MB, 0);
	worker.image = worker.form->mem;
	worker.area = area_new();
	worker.fd = vmm_open_device();
	memcpy(worker.area, worker.image, LAYOUT_SCRATCH);
	catch_signals();
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, churn_thread,
		    (void *)(uintptr_t)(who + i)), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void
share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
}

/* A child has been killed, or ends well; a check in it that failed ends the case. */
static void
child_gone(int pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		CHECK(errno == EINTR);
	/* The frame of a signal is a copy too: where that fails, the kernel sends SIGSEGV. */
	CHECK_MSG((WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL ||
	    (shared->inject && WTERMSIG(status) == SIGSEGV))) ||
	    (WIFEXITED(status) && WEXITSTATUS(status) == 0),
	    "a process ended with status %#x", (unsigned int)status);
}

static void
churn(unsigned int wanted, bool inject)
{
	const uint64_t end = now_ns() + 600000000000u * time_scale();
	struct rng r = rng_from(seed(), 0xffffffff);
	unsigned int i, next = 0, killed = 0;
	int pid[PROCESSES];

	share();
	shared->inject = inject;
	for (i = 0; i < PROCESSES; i++)
		pid[i] = child_start(churn_process, (void *)(uintptr_t)next++);
	while (shared->ioctls < wanted && now_ns() < end) {
		sleep_ms(200 + below(&r, 800));
		i = below(&r, PROCESSES);
		if (kill(pid[i], SIGKILL) == 0)
			killed++;
		child_gone(pid[i]);
		pid[i] = child_start(churn_process, (void *)(uintptr_t)next++);
	}
	shared->stop = 1;
	for (i = 0; i < PROCESSES; i++)
		child_gone(pid[i]);
	test_note("seed %u: %u ioctls, %u of them with an answer, %u RUNs, %u VMs", seed(),
	    shared->ioctls, shared->answers, shared->runs, shared->vms);
	test_note("%u changes of memory, %u forks, %u processes killed, %u faults",
	    shared->memory, shared->forks, killed, shared->faults);
	CHECK(shared->ioctls >= wanted);
	CHECK(shared->vms >= wanted / 200);
	CHECK(shared->answers >= wanted / 20);
}

/* I1: processes, threads, VMs and memory come and go, in any order. */
TEST_T(churn_ioctls, "debug/churn/ioctls", 900)
{
	churn(number_from("CHURN", 20000), false);
}

/* The same, where any allocation or copy may fail. */
TEST_T(churn_faults, "debug/inject/churn", 900)
{
	/* vmalloc() says with a backtrace that it has failed, in fork() for one. */
	klog_expect_backtraces();
	faults_of_all_kinds();
	churn(number_from("CHURN", 20000) / 2, true);
	CHECK(shared->faults > 0);
}

/* --- The end of a VM, and its memory meanwhile ------------------------------------ */

/* A VM with several ranges and vCPUs, whose tables the guest has filled. */
struct busy {
	struct vm *vm;			/* its memory is the first range */
	uint8_t	*more;			/* the second */
	volatile int stop;
};

static void
busy_memory(struct busy *b)
{
	b->vm = vm_prepare(4, 1 * MB, 0);
	b->more = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
	CHECK(b->more != MAP_FAILED);
}

static void
busy_create(struct busy *b)
{
	struct vm_create_params p = { .vcp_nmemranges = 2, .vcp_ncpus = 4 };

	p.vcp_memranges[0] = (struct vm_mem_range){ 0, (uintptr_t)b->vm->mem, 1 * MB };
	p.vcp_memranges[1] = (struct vm_mem_range){ 2 * MB, (uintptr_t)b->more, 4 * MB };
	CHECK_OK(ioctl(b->vm->fd, VMM_IOC_CREATE, &p));
	b->vm->id = p.vcp_id;
	vm_reset(&b->vm->cpu[0], LONG);
	vm_call_ok(&b->vm->cpu[0], g_long_fill, 2 * MB, 4 * MB, PAGE, 1);
}

/* The memory of the second range goes, and comes back in part. */
static void *
busy_forget(void *arg)
{
	struct busy *b = arg;
	unsigned int n = 0;

	while (!b->stop) {
		madvise(b->more + n % 1024 * PAGE, (1024 - n % 1024) * PAGE, MADV_DONTNEED);
		*(volatile uint8_t *)(b->more + n++ % 1024 * PAGE) = 1;
	}
	return NULL;
}

static void
end_while(unsigned int times, void (*end)(struct busy *b))
{
	struct busy b = { 0 };
	pthread_t thread[2];
	unsigned int i, t;

	busy_memory(&b);
	for (i = 0; i < times; i++) {
		busy_create(&b);
		b.stop = 0;
		for (t = 0; t < 2; t++)
			CHECK_EQ(pthread_create(&thread[t], NULL, busy_forget, &b), 0);
		usleep(i % 10 * 300);
		end(&b);
		b.stop = 1;
		for (t = 0; t < 2; t++)
			pthread_join(thread[t], NULL);
	}
	test_note("%u VMs ended", times);
}

static void
end_by_term(struct busy *b)
{
	CHECK_OK(do_term(b->vm->fd, b->vm->id));
}

static void
end_by_close(struct busy *b)
{
	CHECK_OK(close(b->vm->fd));
	b->vm->fd = vmm_open_device();
}

TEST_T(churn_term, "debug/churn/term_while_memory_goes", 300)
{
	end_while(100, end_by_term);
}

TEST_T(churn_close, "debug/churn/close_while_memory_goes", 300)
{
	end_while(100, end_by_close);
}

static void
owner(void *arg)
{
	struct busy b = { 0 };

	busy_memory(&b);
	busy_create(&b);
	*(volatile int *)arg = 1;
	vm_call_start(&b.vm->cpu[0], g_long_verify_loop, 2 * MB, 4 * MB, PAGE, 1);
	vm_run_user(&b.vm->cpu[0]);
}

/* All its memory goes at once, range after range. */
TEST_T(churn_killed, "debug/churn/owners_killed", 300)
{
	volatile int *ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;
	int pid;

	CHECK(ready != MAP_FAILED);
	for (i = 0; i < 70; i++) {
		*ready = 0;
		pid = child_start(owner, (void *)(uintptr_t)ready);
		while (*ready == 0 && waitpid(pid, NULL, WNOHANG) == 0)
			sleep_ms(2);
		sleep_ms(i % 7);
		child_kill(pid);
	}
}

/* --- CPUs -------------------------------------------------------------------------- */

static void
cpu1_online(const char *how)
{
	int fd = (int)CHECK_OK(open("/sys/devices/system/cpu/cpu1/online",
	    O_WRONLY | O_CLOEXEC)), i;

	/* Who holds it off does so for a moment. */
	for (i = 0; write(fd, how, 1) != 1; i++) {
		CHECK_MSG(errno == EBUSY && i < 100, "cpu1/online: %s", strerror(errno));
		sleep_ms(20);
	}
	CHECK_OK(close(fd));
}

static void *
come_and_go(void *arg)
{
	struct vm *vm = vm_prepare(1, 1 * MB, 0);
	volatile int *stop = arg;

	while (!*stop) {
		vm_create(vm);
		vm_reset(&vm->cpu[0], LONG);
		vm_call_ok(&vm->cpu[0], g_long_nop, 0, 0, 0, 0);
		CHECK_OK(do_term(vm->fd, vm->id));
	}
	return NULL;
}

/* H7: a CPU goes and comes back under running guests, and while others are made. */
TEST_CASE(churn_hotplug, "debug/churn/hotplug", 300, 2)
{
	struct vm *vm = vm_new_with(LONG, 4, VM_SIZE, 0);
	volatile int stop = 0;
	struct runner *r[4];
	pthread_t thread;
	unsigned int i, n;

	for (i = 0; i < 4; i++) {
		vm_call_start(&vm->cpu[i], i % 2 ? g_long_spin : g_long_spin_exits, 0, 0,
		    0, 0);
		r[i] = runner_start(&vm->cpu[i]);
	}
	CHECK_EQ(pthread_create(&thread, NULL, come_and_go, (void *)(uintptr_t)&stop), 0);
	for (n = 0; n < 20; n++) {
		cpu1_online(n % 2 ? "1" : "0");
		for (i = 0; i < 4; i++)
			runner_wait_busy(&vm->cpu[i]);
	}
	stop = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	for (i = 0; i < 4; i++) {
		vm->cpu[i].mb->stop = 1;
		CHECK(is_exit_hlt(runner_join(r[i])));
	}
}
