/* SPDX-License-Identifier: ISC */
/*
 * t_slow.c - guest memory that somebody does not give: userfaultfd without an
 * answer, and a file of a FUSE server that does not answer reads, with and
 * without readahead. RUN sleeps then, and nothing else does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"

#define SLOW		(8 * MB)	/* guest-physical: what does not come */
#define SLOW_SIZE	(1 * MB)

/* Who does not give the page, and how to hear that it is wanted. */
enum kind { UFFD, FUSE, FUSE_NO_READAHEAD, KINDS };

struct giver {
	enum kind kind;
	int	 fd;		/* userfaultfd, or the file */
	int	 asked, go;	/* FUSE: pipes from and to the server */
	int	 pid;		/* FUSE: the server */
};

/* --- A FUSE server with one file -------------------------------------------------- */

#define READS	64

static struct { uint64_t unique; uint32_t size; } pending[READS];
static unsigned int npending;

static void
fuse_reply(int fd, uint64_t unique, int error, const void *data, size_t size)
{
	static struct {
		struct fuse_out_header h;
		uint8_t	 data[128 * KB];
	} out;

	out.h.len = (uint32_t)(sizeof(out.h) + size);
	out.h.error = error;
	out.h.unique = unique;
	if (data != NULL)
		memcpy(out.data, data, size);
	else
		memset(out.data, 0, size);
	/* The request may be gone. */
	if (write(fd, &out, out.h.len) < 0)
		return;
}

static struct fuse_attr
fuse_attr_of(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node, .nlink = 1, .size = node == 1 ? 0 : SLOW_SIZE,
		.mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0644,
	};
}

static void
fuse_serve(int fd, const struct fuse_in_header *in, const struct giver *g, bool given)
{
	struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 4096,
	    .max_readahead = g->kind == FUSE ? 128 * KB : 0 };
	struct fuse_entry_out entry = { .nodeid = 2, .entry_valid = 1000,
	    .attr_valid = 1000, .attr = fuse_attr_of(2) };
	struct fuse_attr_out attr = { .attr_valid = 1000,
	    .attr = fuse_attr_of(in->nodeid) };
	const struct fuse_read_in *read_in = (const void *)(in + 1);
	struct fuse_open_out open_out = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		fuse_reply(fd, in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		fuse_reply(fd, in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		fuse_reply(fd, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		fuse_reply(fd, in->unique, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_READ:
		if (given) {
			fuse_reply(fd, in->unique, 0, NULL, read_in->size);
			break;
		}
		if (npending < READS) {
			pending[npending].unique = in->unique;
			pending[npending++].size = read_in->size;
		}
		CHECK_EQ(write(g->asked, "r", 1), 1);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		fuse_reply(fd, in->unique, -ENOSYS, NULL, 0);
		break;
	}
}

/* Until it is killed. From the first byte on `go` on, it gives. */
static void
fuse_server(int fd, const struct giver *g)
{
	static uint8_t buf[256 * KB] __attribute__((aligned(8)));
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { g->go, POLLIN, 0 } };
	bool given = false;

	for (;;) {
		if (poll(p, given ? 1 : 2, -1) < 0)
			continue;
		if (!given && (p[1].revents & POLLIN)) {
			given = true;
			while (npending > 0) {
				npending--;
				fuse_reply(fd, pending[npending].unique, 0, NULL,
				    pending[npending].size);
			}
		}
		if ((p[0].revents & POLLIN) && read(fd, buf, sizeof(buf)) > 0)
			fuse_serve(fd, (const void *)buf, g, given);
	}
}

/* Mount it, open its file, and leave nothing in the name space. */
static void
fuse_start(struct giver *g)
{
	int fd, up[2], down[2];
	char options[64];

	if (access("/sys/module/fuse", F_OK) != 0)
		CHECK_OK(load_module("fuse"));
	mkdir("/tmp/slow", 0755);
	/* The miscellaneous device comes with the module. */
	fd = (int)CHECK_OK(open("/dev/fuse", O_RDWR));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	CHECK_OK(mount("slow", "/tmp/slow", "fuse", MS_NOSUID | MS_NODEV, options));
	CHECK_OK(pipe(up));
	CHECK_OK(pipe(down));
	g->pid = (int)CHECK_OK(fork());
	if (g->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		g->asked = up[1];
		g->go = down[0];
		fuse_server(fd, g);
	}
	CHECK_OK(close(fd));
	g->asked = up[0];
	g->go = down[1];
	g->fd = (int)CHECK_OK(open("/tmp/slow/file", O_RDWR));
	CHECK_OK(umount2("/tmp/slow", MNT_DETACH));
}

/* --- Memory that does not come --------------------------------------------------- */

static void
uffd_start(struct giver *g, struct vm *vm)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	g->fd = (int)CHECK_OK(syscall(SYS_userfaultfd, O_CLOEXEC));
	CHECK_OK(ioctl(g->fd, UFFDIO_API, &api));
	r.range.start = (uintptr_t)vm->mem + SLOW;
	r.range.len = SLOW_SIZE;
	CHECK_OK(ioctl(g->fd, UFFDIO_REGISTER, &r));
}

/* FUSE: its server, before there is a VM. */
static void
giver_start(struct giver *g, enum kind kind)
{
	*g = (struct giver){ .kind = kind };
	if (kind != UFFD)
		fuse_start(g);
}

/* A VM with two vCPUs, and slow memory at SLOW. */
static struct vm *
slow_vm(struct giver *g)
{
	struct vm *vm = vm_new_with(LONG, 2, VM_SIZE, 0);

	if (g->kind == UFFD)
		uffd_start(g, vm);
	else
		CHECK(mmap(vm->mem + SLOW, SLOW_SIZE, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE, g->fd, 0) == vm->mem + SLOW);
	return vm;
}

/* Until somebody sleeps for the page. */
static void
wait_asked(struct giver *g)
{
	struct pollfd p = { g->fd, POLLIN, 0 };
	struct uffd_msg msg;
	char c;

	if (g->kind != UFFD) {
		CHECK_EQ(read(g->asked, &c, 1), 1);
		return;
	}
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(read(g->fd, &msg, sizeof(msg)), sizeof(msg));
	CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
}

/* Zeros, from now on. */
static void
give(struct giver *g, struct vm *vm)
{
	struct uffdio_zeropage z = { 0 };

	if (g->kind != UFFD) {
		CHECK_EQ(write(g->go, "g", 1), 1);
		return;
	}
	z.range.start = (uintptr_t)vm->mem + SLOW;
	z.range.len = SLOW_SIZE;
	CHECK_OK(ioctl(g->fd, UFFDIO_ZEROPAGE, &z));
}

/* Whatever still waits for it ends. */
static void
giver_end(struct giver *g)
{
	if (g->pid != 0)
		child_kill(g->pid);
	close(g->fd);	/* which the server would have to hear of */
}

/* --- RUN in a thread ---------------------------------------------------------------- */

struct sleeper {
	pthread_t thread;
	struct vcpu *v;
	int	 rc, err;
	volatile bool over;
};

static void *
sleeper_run(void *arg)
{
	struct sleeper *s = arg;

	s->rc = do_run(s->v, NO_IRQ);
	s->err = errno;
	s->over = true;
	return NULL;
}

static void
sleeper_start(struct sleeper *s, struct vcpu *v, struct giver *g)
{
	s->v = v;
	s->over = false;
	CHECK_EQ(pthread_create(&s->thread, NULL, sleeper_run, s), 0);
	wait_asked(g);
}

/* RUN has returned this. */
static void
sleeper_join(struct sleeper *s, uint16_t reason)
{
	CHECK_EQ(pthread_join(s->thread, NULL), 0);
	CHECK_MSG(s->rc == 0, "RUN: %s", strerror(s->err));
	CHECK_EQ(s->v->reason, reason);
}

/* --- Signals ------------------------------------------------------------------------- */

static void
on_signal(int sig)
{
	(void)sig;
}

static void
signal_ends_run(enum kind kind)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct vcpu_reg_state before, after;
	struct sleeper s;
	struct giver g;
	struct vm *vm;
	int i;

	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	giver_start(&g, kind);
	vm = slow_vm(&g);
	vm_call_start(&vm->cpu[0], g_long_load, SLOW, 0, 0, 0);
	sleeper_start(&s, &vm->cpu[0], &g);
	CHECK_EQ(pthread_kill(s.thread, SIGUSR1), 0);
	for (i = 0; i < 3; i++) {
		sleeper_join(&s, VM_EXIT_NONE);
		vm_regs(&vm->cpu[0], &after);
		if (i > 0)
			CHECK(memcmp(&before, &after, sizeof(after)) == 0);
		before = after;
		/* Once more. The server may have been asked all it will be. */
		s.over = false;
		CHECK_EQ(pthread_create(&s.thread, NULL, sleeper_run, &s), 0);
		while (!s.over) {
			sleep_ms(2);
			CHECK_EQ(pthread_kill(s.thread, SIGUSR1), 0);
		}
	}
	sleeper_join(&s, VM_EXIT_NONE);
	give(&g, vm);
	vm_finish(&vm->cpu[0]);
	vm_expect_no_fault(&vm->cpu[0]);
	CHECK_EQ(vm->cpu[0].mb->ret[0], 0);
	giver_end(&g);
}

TEST(slow_signal_uffd, "slow/signal/userfaultfd") { signal_ends_run(UFFD); }
TEST(slow_signal_fuse, "slow/signal/fuse") { signal_ends_run(FUSE); }
TEST(slow_signal_fuse0, "slow/signal/fuse_without_readahead")
{
	signal_ends_run(FUSE_NO_READAHEAD);
}

/* Memory of an instruction that the driver carries out: OUTS and its operand. */
static void
signal_ends_outs(enum kind kind)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct sleeper s;
	struct giver g;
	struct vm *vm;

	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	giver_start(&g, kind);
	vm = slow_vm(&g);
	vm_call_start(&vm->cpu[0], g_long_outsb, 0x80, SLOW, 0, 0);
	sleeper_start(&s, &vm->cpu[0], &g);
	CHECK_EQ(pthread_kill(s.thread, SIGUSR1), 0);
	sleeper_join(&s, VM_EXIT_NONE);
	give(&g, vm);
	vm_expect_out(&vm->cpu[0], 0x80, 1, 0);
	vm_finish(&vm->cpu[0]);
	giver_end(&g);
}

TEST(slow_outs_uffd, "slow/outs/userfaultfd") { signal_ends_outs(UFFD); }
TEST(slow_outs_fuse, "slow/outs/fuse") { signal_ends_outs(FUSE); }

/* --- Others --------------------------------------------------------------------------- */

static void
others_get_at_it(enum kind kind)
{
	struct vm_rwregs_params p;
	struct vm_info_result r;
	struct sleeper s;
	struct giver g;
	struct vm *vm;

	giver_start(&g, kind);
	vm = slow_vm(&g);
	vm_call_start(&vm->cpu[0], g_long_load, SLOW, 0, 0, 0);
	sleeper_start(&s, &vm->cpu[0], &g);
	/* It sleeps on, and the other vCPU runs, and needs its memory back. */
	vm_intr(&vm->cpu[0], 1);
	vm_intr(&vm->cpu[0], 0);
	CHECK(vm_info(vm->fd, vm->id, &r));
	CHECK_EQ(r.vir_vcpu_state[0], VCPU_STATE_RUNNING);
	CHECK_OK(madvise(vm->mem + 4 * MB, 1 * MB, MADV_DONTNEED));
	vm_call_ok(&vm->cpu[1], g_long_nop, 0, 0, 0, 0);
	/* READREGS makes it leave. */
	CHECK_OK(do_readregs(vm->fd, vm->id, 0, VM_RWREGS_ALL, &p));
	sleeper_join(&s, VM_EXIT_NONE);
	CHECK_EQ(pthread_create(&s.thread, NULL, sleeper_run, &s), 0);
	CHECK_OK(do_protect(vm->fd, vm->id, 0, LAYOUT_HIGH, PAGE, PROT_READ));
	give(&g, vm);
	CHECK_EQ(pthread_join(s.thread, NULL), 0);
	CHECK_EQ(s.rc, 0);
	giver_end(&g);
}

TEST(slow_others_uffd, "slow/others/userfaultfd") { others_get_at_it(UFFD); }
TEST(slow_others_fuse, "slow/others/fuse") { others_get_at_it(FUSE); }

/* --- The end --------------------------------------------------------------------------- */

/* By a thread of the client, by another process that sees it in INFO, by close. */
enum end { END_TERM, END_ADMIN, END_CLOSE, ENDS };

static void
administrator(void *arg)
{
	struct vm *vm = arg;
	struct vm_info_result r;
	int fd = vmm_open_device();

	CHECK(vm_info(fd, vm->id, &r));
	CHECK_OK(do_term(fd, vm->id));
	CHECK(!vm_info(fd, vm->id, &r));
}

static void
end_by(struct vm *vm, enum end end)
{
	switch (end) {
	case END_TERM:
		CHECK_OK(do_term(vm->fd, vm->id));
		break;
	case END_ADMIN:
		child_wait(child_start(administrator, vm));
		break;
	default:
		/* RUN's own use of the file keeps it open. */
		CHECK_OK(close(vm->fd));
		vm->fd = vmm_open_device();
		CHECK_OK(do_term(vm->fd, vm->id));
		break;
	}
}

static void
ends_end_run(enum kind kind)
{
	struct vm_info_result r;
	enum end end;

	for (end = END_TERM; end < ENDS; end++) {
		struct sleeper s;
		struct giver g;
		struct vm *vm;
		int other;

		giver_start(&g, kind);
		vm = slow_vm(&g);
		vm_call_start(&vm->cpu[0], g_long_load, SLOW, 0, 0, 0);
		sleeper_start(&s, &vm->cpu[0], &g);
		end_by(vm, end);
		sleeper_join(&s, VM_EXIT_TERMINATED);
		other = vmm_open_device();
		CHECK(!vm_info(other, vm->id, &r));
		CHECK_OK(close(other));
		giver_end(&g);
		vm_free(vm);
	}
}

TEST(slow_end_uffd, "slow/ends/userfaultfd") { ends_end_run(UFFD); }
TEST(slow_end_fuse, "slow/ends/fuse") { ends_end_run(FUSE); }
TEST(slow_end_fuse0, "slow/ends/fuse_without_readahead")
{
	ends_end_run(FUSE_NO_READAHEAD);
}

/*
 * The creator goes, by itself or killed, while a RUN sleeps. Nobody has its
 * userfaultfd, or somebody who never gives; and somebody has its /dev/vmm.
 */
struct victim {
	struct giver g;
	int	 up, fd;
	bool	 kill;
};

static void
victim_run(void *arg)
{
	struct victim *c = arg;
	struct sleeper s;
	struct vm *vm;

	vm = slow_vm(&c->g);
	vm_call_start(&vm->cpu[0], g_long_load, SLOW, 0, 0, 0);
	sleeper_start(&s, &vm->cpu[0], &c->g);
	CHECK_EQ(write(c->up, &vm->id, sizeof(vm->id)), sizeof(vm->id));
	while (c->kill)
		sleep_ms(1000);
	_exit(0);
}

static void
creator_goes(enum kind kind)
{
	struct vm_info_result r;
	struct victim c;
	int i, pid, up[2], other = vmm_open_device();
	uint32_t id;

	CHECK_OK(pipe(up));
	for (i = 0; i < 2; i++) {
		c.up = up[1];
		c.kill = i;
		giver_start(&c.g, kind);
		pid = child_start(victim_run, &c);
		CHECK_EQ(read(up[0], &id, sizeof(id)), sizeof(id));
		if (c.kill)
			child_kill(pid);
		else
			child_wait(pid);
		while (vm_info(other, id, &r))
			sleep_ms(5);
		if (kind != UFFD)
			giver_end(&c.g);
	}
}

TEST(slow_exit_uffd, "slow/creator_goes/userfaultfd") { creator_goes(UFFD); }
TEST(slow_exit_fuse, "slow/creator_goes/fuse") { creator_goes(FUSE); }
