/* SPDX-License-Identifier: ISC */
/*
 * vm.h - a client of /dev/vmm for tests: one call makes a VM that is ready to
 * run the guests of tests/guest, in any mode, on either vendor.
 *
 * Functions here check what they do and fail the case; do_*() ioctl wrappers
 * at the end return the ioctl's result instead.
 */
#ifndef TEST_VM_H
#define TEST_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <machine/vmmvar.h>
#include "../guest/layout.h"
#include "guest.h"		/* g_NAME: where the guests' functions are */
#include "tap.h"

#define KB	1024ull
#define MB	(1024 * KB)
#define GB	(1024 * MB)
#define PAGE	4096ull
#define NO_IRQ	0xffffu
#define NO_VECTOR 0x100u	/* mailbox: no exception */

#define VM_SIZE	(16 * MB)	/* of the usual VM */

/* struct mailbox is what layout.h says. */
struct mailbox {
	volatile uint64_t op, arg[4], ret[4];
	volatile uint64_t vector, error, rip, cr2, cs, rflags, dr6, faults;
	volatile uint64_t resume, rsp, stop, counter;
	volatile uint64_t irqs, irq_vector, irq_rip;
	uint8_t	 pad[MB_IRQ_COUNT - 0xc0];
	volatile uint32_t irq_count[256];
};
_Static_assert(offsetof(struct mailbox, vector) == MB_VECTOR, "layout.h");
_Static_assert(offsetof(struct mailbox, irq_rip) == MB_IRQ_RIP, "layout.h");
_Static_assert(offsetof(struct mailbox, irq_count) == MB_IRQ_COUNT, "layout.h");
_Static_assert(sizeof(struct mailbox) <= LAYOUT_STEP, "layout.h");

enum mode { REAL, PROT, LONG };

struct vm;
struct vcpu {
	struct vm *vm;
	uint32_t id;
	struct mailbox *mb;
	struct vm_exit *exit;	/* what the last RUN gave */
	uint16_t reason;
	bool	 irqready;
	uint8_t	 cont;		/* vrp_continue of the next RUN */
};

struct vm {
	int	 fd;
	uint32_t id;
	uint8_t	*mem;		/* guest-physical 0 */
	uint64_t size;
	int	 memfd;		/* behind mem; -1: anonymous memory */
	unsigned int ncpus;
	struct vcpu cpu[VMM_MAX_VCPUS_PER_VM];
};

#define VM_SHARED	1u	/* memory from a memfd, so that it can be zapped */

/* A VM with memory, tables and guests in place; vCPUs are reset to mode. */
struct vm *vm_new(enum mode mode);
struct vm *vm_new_with(enum mode mode, unsigned int ncpus, uint64_t size,
	    unsigned int flags);
void	vm_free(struct vm *vm);
/* Put tables and guests into its memory again. */
void	vm_refresh(struct vm *vm);
/* Memory, tables and guests without a VM; create with vm_create(). */
struct vm *vm_prepare(unsigned int ncpus, uint64_t size, unsigned int flags);
void	vm_create(struct vm *vm);
/* The same with its memory in n ranges, one behind the other. */
void	vm_create_ranges(struct vm *vm, unsigned int n);
void	vm_reset(struct vcpu *v, enum mode mode);
/* What vm_reset() sends, to change before sending. */
void	vm_init_state(struct vcpu *v, enum mode mode, struct vcpu_reg_state *s);
int	vmm_open_device(void);

/* RUN once; the reason. */
uint16_t vm_run(struct vcpu *v);
uint16_t vm_run_irq(struct vcpu *v, unsigned int vector);
/* RUN until the client has something to do (no NONE, no window...). */
uint16_t vm_run_user(struct vcpu *v);
/* Ask the guest to call a function; the next RUN starts it. */
void	vm_call_start(struct vcpu *v, uint64_t fn, uint64_t a, uint64_t b,
	    uint64_t c, uint64_t d);
/* RUN until the function is through (HLT); I/O on the way fails the case. */
void	vm_finish(struct vcpu *v);
/* Start and finish; its first result. It may have faulted: see the mailbox. */
uint64_t vm_call(struct vcpu *v, uint64_t fn, uint64_t a, uint64_t b,
	    uint64_t c, uint64_t d);
/* The same, and the exception it must have raised. */
void	vm_call_faults(struct vcpu *v, unsigned int vector, uint64_t rip,
	    uint64_t fn, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
/* The same, and it must not have faulted. */
uint64_t vm_call_ok(struct vcpu *v, uint64_t fn, uint64_t a, uint64_t b,
	    uint64_t c, uint64_t d);
void	vm_expect_no_fault(struct vcpu *v);

/* The next exit must be this access to a port; in: what the client answers. */
void	vm_expect_out(struct vcpu *v, uint16_t port, unsigned int size,
	    uint32_t data);
void	vm_expect_in(struct vcpu *v, uint16_t port, unsigned int size,
	    uint32_t answer);
/* The next exit must be a fault of this type at gpa. */
void	vm_expect_fault(struct vcpu *v, unsigned int type, uint64_t gpa);

/* --- Exit reasons of both vendors ------------------------------------------ */

bool	host_is_amd(void);
/* QEMU's TCG, where it is not like a CPU; each use says in what. */
bool	host_is_tcg(void);
bool	is_exit_io(uint16_t reason);
bool	is_exit_hlt(uint16_t reason);
bool	is_exit_fault(uint16_t reason);		/* second stage */
bool	is_exit_shutdown(uint16_t reason);	/* triple fault */

/* A kernel module of the test machine; 0, or -1 and errno. */
int	load_module(const char *name);
/* A line of /proc/meminfo, in kB. */
long	meminfo(const char *key);

/* --- A vCPU in a thread ----------------------------------------------------- */

struct runner;
/* Runs the function that was started, until HLT; windows are ignored. */
struct runner *runner_start(struct vcpu *v);
/* Until the counter in the mailbox grows: the guest runs now. */
void	runner_wait_busy(struct vcpu *v);
/* Wait for its end; the last reason. */
uint16_t runner_join(struct runner *r);
/* RUN in a thread, once; its result is what runner_join() returns. */
struct runner *runner_start_once(struct vcpu *v);

/* --- ioctls ----------------------------------------------------------------- */

int	do_run(struct vcpu *v, unsigned int irq);	/* fills the vcpu */
int	do_term(int fd, uint32_t id);
int	do_intr(int fd, uint32_t id, uint32_t vcpu, uint16_t intr);
int	do_readregs(int fd, uint32_t id, uint32_t vcpu, uint64_t mask,
	    struct vm_rwregs_params *p);
int	do_writeregs(int fd, uint32_t id, uint32_t vcpu, uint64_t mask,
	    struct vm_rwregs_params *p);
int	do_resetcpu(int fd, uint32_t id, uint32_t vcpu,
	    const struct vcpu_reg_state *s);
int	do_protect(int fd, uint32_t id, uint32_t vcpu, uint64_t gpa,
	    uint64_t size, int prot);
/* Number of VMs that fd's user sees; the first max of them in r. */
int	do_info(int fd, struct vm_info_result *r, unsigned int max);
/* The VM's row of INFO; false: it is not there. */
bool	vm_info(int fd, uint32_t id, struct vm_info_result *r);

/* Checked shorthands. */
void	vm_regs(struct vcpu *v, struct vcpu_reg_state *s);
void	vm_set_regs(struct vcpu *v, uint64_t mask,
	    const struct vcpu_reg_state *s);
void	vm_intr(struct vcpu *v, uint16_t intr);
void	vm_protect(struct vcpu *v, uint64_t gpa, uint64_t size, int prot);

/* A value in guest memory. */
#define GUEST(vm, type, gpa)	(*(volatile type *)((vm)->mem + (gpa)))

/* Guest #PF for gpa in the first 2 MiB: unmap it in the guest's own tables. */
void	guest_unmap_page(struct vm *vm, uint64_t gva);

/* The calling thread, and those it makes, run on this CPU of the host only. */
void	pin(unsigned int cpu);

#endif /* TEST_VM_H */
