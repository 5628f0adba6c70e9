/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"

extern const uint8_t guest_real[], guest_real_end[];
extern const uint8_t guest_prot[], guest_prot_end[];
extern const uint8_t guest_long[], guest_long_end[];

/* --- Guest memory ----------------------------------------------------------- */

static void
put64(struct vm *vm, uint64_t gpa, uint64_t value)
{
	GUEST(vm, uint64_t, gpa) = value;
}

void
vm_refresh(struct vm *vm)
{
	static const uint64_t gdt[] = {
		0,
		0x00af9b000000ffff,	/* SEL_CODE64 */
		0x00cf93000000ffff,	/* SEL_DATA */
		0x00cf9b000000ffff,	/* SEL_CODE32 */
		0x00009b000000ffff,	/* SEL_CODE16 */
		0x000093000000ffff,	/* SEL_DATA16 */
		0x00affb000000ffff,	/* SEL_UCODE64 */
		0x00cff3000000ffff,	/* SEL_UDATA */
		0x00008b0000000000 | (LAYOUT_TSS & 0xffff) << 16 |
		    ((uint64_t)LAYOUT_TSS >> 16) << 32 | 0x2067,
		0,			/* base bits 63:32 of the TSS */
	};
	uint64_t entry;
	unsigned int i;

	memcpy(vm->mem + LAYOUT_GDT, gdt, sizeof(gdt));
	/* Everything is the user's too: U, W, P. */
	put64(vm, LAYOUT_PML4, LAYOUT_PDPT | 7);
	put64(vm, LAYOUT_PDPT, LAYOUT_PD0 | 7);
	put64(vm, LAYOUT_PDPT + 24, LAYOUT_PD3 | 7);
	put64(vm, LAYOUT_PDPT32, LAYOUT_PDPAE | 1);
	for (i = 0; i < 512; i++) {
		put64(vm, LAYOUT_PD0 + i * 8, (i * 2 * MB) | 0x87);
		put64(vm, LAYOUT_PDPAE + i * 8, (i * 2 * MB) | 0x87);
		put64(vm, LAYOUT_PD3 + i * 8, (3 * GB + i * 2 * MB) | 0x87);
		put64(vm, LAYOUT_PT0 + i * 8, (i * PAGE) | 7);
	}
	put64(vm, LAYOUT_PD0, LAYOUT_PT0 | 7);
	for (i = 0; i < 1024; i++)
		GUEST(vm, uint32_t, LAYOUT_PD32 + i * 4) =
		    (i * (uint32_t)(4 * MB)) | 0x87;
	for (i = 0; i < 256; i++) {
		entry = g_long_isr + i * ISR_STEP;
		put64(vm, LAYOUT_IDT64 + i * 16,
		    (entry & 0xffff) | SEL_CODE64 << 16 | (entry >> 16) << 48 |
		    (i == 3 ? 0xeeull : 0x8eull) << 40);
		put64(vm, LAYOUT_IDT64 + i * 16 + 8, 0);
		entry = g_prot_isr + i * ISR_STEP;
		put64(vm, LAYOUT_IDT32 + i * 8, (entry & 0xffff) |
		    SEL_CODE32 << 16 | 0x8eull << 40 | (entry >> 16) << 48);
		GUEST(vm, uint32_t, LAYOUT_IVT + i * 4) =
		    g_real_isr + i * ISR_STEP;
	}
	put64(vm, LAYOUT_TSS + 4, LAYOUT_KSTACK);
	GUEST(vm, uint16_t, LAYOUT_TSS + 102) = 0x68;
	memset(vm->mem + LAYOUT_TSS + 0x68, 0xff, 0x2000);
	memcpy(vm->mem + LAYOUT_REAL, guest_real,
	    (size_t)(guest_real_end - guest_real));
	memcpy(vm->mem + LAYOUT_PROT, guest_prot,
	    (size_t)(guest_prot_end - guest_prot));
	memcpy(vm->mem + LAYOUT_LONG, guest_long,
	    (size_t)(guest_long_end - guest_long));
}

void
guest_unmap_page(struct vm *vm, uint64_t gva)
{
	CHECK(gva < 2 * MB);
	put64(vm, LAYOUT_PT0 + gva / PAGE * 8, 0);
}

/* --- Making a VM ------------------------------------------------------------ */

int
vmm_open_device(void)
{
	int fd = open("/dev/vmm", O_RDWR | O_CLOEXEC);

	CHECK_MSG(fd >= 0, "/dev/vmm: %s", strerror(errno));
	return fd;
}

struct vm *
vm_prepare(unsigned int ncpus, uint64_t size, unsigned int flags)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	uint8_t *p;
	unsigned int i;

	CHECK(vm != NULL);
	vm->fd = vmm_open_device();
	vm->size = size;
	vm->ncpus = ncpus;
	vm->memfd = -1;
	if (flags & VM_SHARED) {
		vm->memfd = (int)CHECK_OK(memfd_create("guest", MFD_CLOEXEC));
		CHECK_OK(ftruncate(vm->memfd, (off_t)size));
	}
	/* On a 2 MiB boundary, so that large pages are possible. */
	p = mmap(NULL, size + 2 * MB, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p != MAP_FAILED);
	p = (uint8_t *)(((uintptr_t)p + 2 * MB - 1) & ~(2 * MB - 1));
	vm->mem = mmap(p, size, PROT_READ | PROT_WRITE, MAP_FIXED |
	    (vm->memfd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
	    vm->memfd, 0);
	CHECK(vm->mem == p);
	for (i = 0; i < ncpus; i++) {
		vm->cpu[i].vm = vm;
		vm->cpu[i].id = i;
		vm->cpu[i].mb = (struct mailbox *)(vm->mem + LAYOUT_MAILBOX +
		    i * LAYOUT_STEP);
		vm->cpu[i].mb->vector = NO_VECTOR;
		vm->cpu[i].exit = calloc(1, sizeof(struct vm_exit));
		CHECK(vm->cpu[i].exit != NULL);
	}
	vm_refresh(vm);
	return vm;
}

void
vm_create(struct vm *vm)
{
	vm_create_ranges(vm, 1);
}

void
vm_create_ranges(struct vm *vm, unsigned int n)
{
	struct vm_create_params p = { 0 };
	unsigned int i;

	p.vcp_nmemranges = n;
	p.vcp_ncpus = vm->ncpus;
	for (i = 0; i < n; i++) {
		p.vcp_memranges[i].vmr_gpa = vm->size / n * i;
		p.vcp_memranges[i].vmr_va = (uintptr_t)vm->mem + vm->size / n * i;
		p.vcp_memranges[i].vmr_size = vm->size / n;
	}
	strcpy(p.vcp_name, "test");
	CHECK_OK(ioctl(vm->fd, VMM_IOC_CREATE, &p));
	vm->id = p.vcp_id;
}

static struct vcpu_segment_info
segment(unsigned int sel, uint64_t base, uint32_t limit, uint32_t ar)
{
	struct vcpu_segment_info s = { 0 };

	s.vsi_sel = (uint16_t)sel;
	s.vsi_base = base;
	s.vsi_limit = limit;
	s.vsi_ar = ar;
	return s;
}

void
vm_init_state(struct vcpu *v, enum mode mode, struct vcpu_reg_state *s)
{
	uint64_t mailbox = LAYOUT_MAILBOX + v->id * LAYOUT_STEP;
	uint64_t stack = LAYOUT_STACKS + (v->id + 1) * LAYOUT_STEP;
	struct vcpu_segment_info data, code;

	memset(s, 0, sizeof(*s));
	s->vrs_gprs[VCPU_REGS_RFLAGS] = 2;
	s->vrs_gprs[VCPU_REGS_RSP] = stack;
	s->vrs_crs[VCPU_REGS_XCR0] = 1;
	s->vrs_drs[VCPU_REGS_DR6] = 0xffff0ff0;
	s->vrs_drs[VCPU_REGS_DR7] = 0x400;
	s->vrs_gdtr = segment(0, LAYOUT_GDT, 0x7f, 0);
	s->vrs_sregs[VCPU_REGS_LDTR] = segment(0, 0, 0xffff, 0x82);
	s->vrs_sregs[VCPU_REGS_TR] = segment(SEL_TSS, LAYOUT_TSS, 0x2067, 0x8b);
	switch (mode) {
	case REAL:
		s->vrs_gprs[VCPU_REGS_RIP] = g_real_start;
		s->vrs_gprs[VCPU_REGS_RSP] = LAYOUT_REAL_STACK;
		s->vrs_crs[VCPU_REGS_CR0] = 0x60000010;
		s->vrs_idtr = segment(0, LAYOUT_IVT, 0x3ff, 0);
		s->vrs_sregs[VCPU_REGS_TR] = segment(0, 0, 0xffff, 0x8b);
		code = segment(0, 0, 0xffff, 0x9b);
		data = segment(0, 0, 0xffff, 0x93);
		break;
	case PROT:
		s->vrs_gprs[VCPU_REGS_RIP] = g_prot_start;
		s->vrs_crs[VCPU_REGS_CR0] = 0x31;
		s->vrs_idtr = segment(0, LAYOUT_IDT32, 0x7ff, 0);
		code = segment(SEL_CODE32, 0, 0xffffffff, 0xc09b);
		data = segment(SEL_DATA, 0, 0xffffffff, 0xc093);
		break;
	default:
		s->vrs_gprs[VCPU_REGS_RIP] = g_long_start;
		s->vrs_crs[VCPU_REGS_CR0] = 0x80000031;
		s->vrs_crs[VCPU_REGS_CR3] = LAYOUT_PML4;
		s->vrs_crs[VCPU_REGS_CR4] = 0x620; /* PAE, FXSR, XMM */
		s->vrs_msrs[VCPU_REGS_EFER] = 0x500;
		s->vrs_idtr = segment(0, LAYOUT_IDT64, 0xfff, 0);
		code = segment(SEL_CODE64, 0, 0xffffffff, 0xa09b);
		data = segment(SEL_UDATA, 0, 0xffffffff, 0xc0f3);
		break;
	}
	s->vrs_sregs[VCPU_REGS_CS] = code;
	s->vrs_sregs[VCPU_REGS_DS] = data;
	s->vrs_sregs[VCPU_REGS_ES] = data;
	s->vrs_sregs[VCPU_REGS_FS] = data;
	s->vrs_sregs[VCPU_REGS_GS] = data;
	s->vrs_sregs[VCPU_REGS_SS] = data;
	if (mode == LONG)
		s->vrs_sregs[VCPU_REGS_SS] =
		    segment(SEL_DATA, 0, 0xffffffff, 0xc093);
	if (mode == REAL)
		s->vrs_sregs[VCPU_REGS_GS].vsi_sel = (uint16_t)(mailbox >> 4);
	s->vrs_sregs[VCPU_REGS_GS].vsi_base = mailbox;
}

void
vm_reset(struct vcpu *v, enum mode mode)
{
	struct vcpu_reg_state s;

	vm_init_state(v, mode, &s);
	CHECK_OK(do_resetcpu(v->vm->fd, v->vm->id, v->id, &s));
	v->cont = 0;
}

struct vm *
vm_new_with(enum mode mode, unsigned int ncpus, uint64_t size,
    unsigned int flags)
{
	struct vm *vm = vm_prepare(ncpus, size, flags);
	unsigned int i;

	vm_create(vm);
	for (i = 0; i < ncpus; i++)
		vm_reset(&vm->cpu[i], mode);
	return vm;
}

struct vm *
vm_new(enum mode mode)
{
	return vm_new_with(mode, 1, VM_SIZE, 0);
}

void
vm_free(struct vm *vm)
{
	unsigned int i;

	CHECK_OK(close(vm->fd));
	CHECK_OK(munmap(vm->mem, vm->size));
	if (vm->memfd >= 0)
		CHECK_OK(close(vm->memfd));
	for (i = 0; i < vm->ncpus; i++)
		free(vm->cpu[i].exit);
	free(vm);
}

int
load_module(const char *name)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = (int)syscall(SYS_finit_module, fd, "", 0);
	close(fd);
	return rc;
}

/* --- Exit reasons ----------------------------------------------------------- */

bool
host_is_amd(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 4) != 0;
}

bool
host_is_tcg(void)
{
	unsigned int r[4];

	__cpuid(0x40000000, r[0], r[1], r[2], r[3]);
	return memcmp(&r[1], "TCGTCGTCGTCG", 12) == 0;
}

bool
is_exit_io(uint16_t reason)
{
	return reason == (host_is_amd() ? SVM_VMEXIT_IOIO : VMX_EXIT_IO);
}

bool
is_exit_hlt(uint16_t reason)
{
	return reason == (host_is_amd() ? SVM_VMEXIT_HLT : VMX_EXIT_HLT);
}

bool
is_exit_fault(uint16_t reason)
{
	return reason ==
	    (host_is_amd() ? SVM_VMEXIT_NPF : VMX_EXIT_EPT_VIOLATION);
}

bool
is_exit_shutdown(uint16_t reason)
{
	return reason ==
	    (host_is_amd() ? SVM_VMEXIT_SHUTDOWN : VMX_EXIT_TRIPLE_FAULT);
}

/* --- The host's memory --------------------------------------------------------- */

long
meminfo(const char *key)
{
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");
	long kb = -1;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kb = atol(line + strlen(key) + 1);
	fclose(f);
	CHECK(kb >= 0);
	return kb;
}

/* --- Running ---------------------------------------------------------------- */

uint16_t
vm_run_irq(struct vcpu *v, unsigned int vector)
{
	CHECK_OK(do_run(v, vector));
	return v->reason;
}

uint16_t
vm_run(struct vcpu *v)
{
	return vm_run_irq(v, NO_IRQ);
}

uint16_t
vm_run_user(struct vcpu *v)
{
	uint16_t r;

	do
		r = vm_run(v);
	while (!is_exit_io(r) && !is_exit_hlt(r) && !is_exit_fault(r) &&
	    !is_exit_shutdown(r) && r != VM_EXIT_TERMINATED);
	return r;
}

void
vm_call_start(struct vcpu *v, uint64_t fn, uint64_t a, uint64_t b, uint64_t c,
    uint64_t d)
{
	struct mailbox *mb = v->mb;

	mb->op = fn;
	mb->arg[0] = a;
	mb->arg[1] = b;
	mb->arg[2] = c;
	mb->arg[3] = d;
	memset((void *)(uintptr_t)mb->ret, 0, sizeof(mb->ret));
	mb->vector = NO_VECTOR;
	mb->error = mb->rip = mb->cr2 = mb->faults = 0;
	mb->stop = mb->counter = mb->irqs = 0;
}

static const char *
exit_text(struct vcpu *v)
{
	static char text[160];
	const struct vcpu_reg_state *s = &v->exit->vrs;

	snprintf(text, sizeof(text), "exit %#x at rip %#llx (vector %#llx at "
	    "%#llx, port %#x, fault type %u, gpa %#llx)", v->reason,
	    (unsigned long long)s->vrs_gprs[VCPU_REGS_RIP],
	    (unsigned long long)v->mb->vector, (unsigned long long)v->mb->rip,
	    v->exit->vei.vei_port, v->exit->vee.vee_fault_type,
	    (unsigned long long)vm_exit_gpa(v->exit));
	return text;
}

void
vm_finish(struct vcpu *v)
{
	vm_run_user(v);
	CHECK_MSG(is_exit_hlt(v->reason), "wanted HLT, got %s", exit_text(v));
}

uint64_t
vm_call(struct vcpu *v, uint64_t fn, uint64_t a, uint64_t b, uint64_t c,
    uint64_t d)
{
	vm_call_start(v, fn, a, b, c, d);
	vm_finish(v);
	return v->mb->ret[0];
}

void
vm_expect_no_fault(struct vcpu *v)
{
	CHECK_MSG(v->mb->vector == NO_VECTOR,
	    "the guest took vector %llu, error %#llx, at %#llx, cr2 %#llx",
	    (unsigned long long)v->mb->vector, (unsigned long long)v->mb->error,
	    (unsigned long long)v->mb->rip, (unsigned long long)v->mb->cr2);
}

uint64_t
vm_call_ok(struct vcpu *v, uint64_t fn, uint64_t a, uint64_t b, uint64_t c,
    uint64_t d)
{
	vm_call(v, fn, a, b, c, d);
	vm_expect_no_fault(v);
	return v->mb->ret[0];
}

void
vm_call_faults(struct vcpu *v, unsigned int vector, uint64_t rip, uint64_t fn,
    uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	vm_call(v, fn, a, b, c, d);
	CHECK_MSG(v->mb->vector == vector,
	    "function %#llx(%#llx, %#llx): vector %#llx at %#llx, not %#x",
	    (unsigned long long)fn, (unsigned long long)a,
	    (unsigned long long)b, (unsigned long long)v->mb->vector,
	    (unsigned long long)v->mb->rip, vector);
	if (rip != 0)
		CHECK_EQ(v->mb->rip, rip);
	CHECK_EQ(v->mb->faults, 1);
}

void
vm_expect_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t data)
{
	uint32_t mask = size == 4 ? 0xffffffff : (1u << size * 8) - 1;
	const struct vm_exit_inout *io = &v->exit->vei;

	vm_run_user(v);
	CHECK_MSG(is_exit_io(v->reason), "wanted OUT, got %s", exit_text(v));
	CHECK_EQ(io->vei_dir, VEI_DIR_OUT);
	CHECK_EQ(io->vei_port, port);
	CHECK_EQ(io->vei_size, size);
	CHECK_EQ(io->vei_data & mask, data & mask);
	CHECK_EQ(io->vei_string, 0);
	CHECK_EQ(io->vei_rep, 0);
}

void
vm_expect_in(struct vcpu *v, uint16_t port, unsigned int size, uint32_t answer)
{
	uint32_t mask = size == 4 ? 0xffffffff : (1u << size * 8) - 1;
	struct vm_exit_inout *io = &v->exit->vei;

	vm_run_user(v);
	CHECK_MSG(is_exit_io(v->reason), "wanted IN, got %s", exit_text(v));
	CHECK_EQ(io->vei_dir, VEI_DIR_IN);
	CHECK_EQ(io->vei_port, port);
	CHECK_EQ(io->vei_size, size);
	CHECK_EQ(io->vei_string, 0);
	CHECK_EQ(io->vei_rep, 0);
	io->vei_data = (io->vei_data & ~mask) | (answer & mask);
}

void
vm_expect_fault(struct vcpu *v, unsigned int type, uint64_t gpa)
{
	vm_run_user(v);
	CHECK_MSG(is_exit_fault(v->reason), "wanted a second-stage fault, "
	    "got %s", exit_text(v));
	CHECK_EQ(v->exit->vee.vee_fault_type, type);
	CHECK((v->exit->vee.vee_insn_info & VEE_GPA_VALID) != 0);
	CHECK_EQ(vm_exit_gpa(v->exit), gpa);
}

/* --- Threads ---------------------------------------------------------------- */

struct runner {
	pthread_t thread;
	struct vcpu *v;
	uint16_t reason;
	bool	 once;
};

static void *
runner_main(void *p)
{
	struct runner *r = p;

	r->reason = r->once ? vm_run(r->v) : vm_run_user(r->v);
	return NULL;
}

static struct runner *
runner_new(struct vcpu *v, bool once)
{
	struct runner *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	r->v = v;
	r->once = once;
	CHECK_EQ(pthread_create(&r->thread, NULL, runner_main, r), 0);
	return r;
}

struct runner *
runner_start(struct vcpu *v)
{
	return runner_new(v, false);
}

struct runner *
runner_start_once(struct vcpu *v)
{
	return runner_new(v, true);
}

void
runner_wait_busy(struct vcpu *v)
{
	uint64_t start = v->mb->counter;

	while (v->mb->counter == start)
		sleep_ms(1);
}

uint16_t
runner_join(struct runner *r)
{
	uint16_t reason;

	CHECK_EQ(pthread_join(r->thread, NULL), 0);
	reason = r->reason;
	free(r);
	return reason;
}

/* --- ioctls ----------------------------------------------------------------- */

int
do_run(struct vcpu *v, unsigned int irq)
{
	struct vm_run_params p = { 0 };
	int rc, err;

	p.vrp_vm_id = v->vm->id;
	p.vrp_vcpu_id = v->id;
	p.vrp_continue = v->cont;
	p.vrp_irq = (uint16_t)irq;
	p.vrp_exit = v->exit;
	rc = ioctl(v->vm->fd, VMM_IOC_RUN, &p);
	err = errno;
	if (rc == 0) {
		v->reason = p.vrp_exit_reason;
		v->irqready = p.vrp_irqready != 0;
		v->cont = 1;
	}
	errno = err;
	return rc;
}

int
do_term(int fd, uint32_t id)
{
	struct vm_terminate_params p = { .vtp_vm_id = id };

	return ioctl(fd, VMM_IOC_TERM, &p);
}

int
do_intr(int fd, uint32_t id, uint32_t vcpu, uint16_t intr)
{
	struct vm_intr_params p = { 0 };

	p.vip_vm_id = id;
	p.vip_vcpu_id = vcpu;
	p.vip_intr = intr;
	return ioctl(fd, VMM_IOC_INTR, &p);
}

int
do_readregs(int fd, uint32_t id, uint32_t vcpu, uint64_t mask,
    struct vm_rwregs_params *p)
{
	p->vrwp_vm_id = id;
	p->vrwp_vcpu_id = vcpu;
	p->vrwp_mask = mask;
	return ioctl(fd, VMM_IOC_READREGS, p);
}

int
do_writeregs(int fd, uint32_t id, uint32_t vcpu, uint64_t mask,
    struct vm_rwregs_params *p)
{
	p->vrwp_vm_id = id;
	p->vrwp_vcpu_id = vcpu;
	p->vrwp_mask = mask;
	return ioctl(fd, VMM_IOC_WRITEREGS, p);
}

int
do_resetcpu(int fd, uint32_t id, uint32_t vcpu, const struct vcpu_reg_state *s)
{
	struct vm_resetcpu_params p = { 0 };

	p.vrp_vm_id = id;
	p.vrp_vcpu_id = vcpu;
	p.vrp_init_state = *s;
	return ioctl(fd, VMM_IOC_RESETCPU, &p);
}

int
do_protect(int fd, uint32_t id, uint32_t vcpu, uint64_t gpa, uint64_t size,
    int prot)
{
	struct vm_mprotect_ept_params p = { 0 };

	p.vmep_vm_id = id;
	p.vmep_vcpu_id = vcpu;
	p.vmep_sgpa = gpa;
	p.vmep_size = size;
	p.vmep_prot = prot;
	return ioctl(fd, VMM_IOC_MPROTECT_EPT, &p);
}

int
do_info(int fd, struct vm_info_result *r, unsigned int max)
{
	struct vm_info_params p = { 0 };
	int rc;

	p.vip_size = max * sizeof(*r);
	p.vip_info = r;
	rc = ioctl(fd, VMM_IOC_INFO, &p);
	return rc < 0 ? rc : (int)p.vip_info_ct;
}

bool
vm_info(int fd, uint32_t id, struct vm_info_result *r)
{
	static struct vm_info_result all[256];
	int i, n = (int)CHECK_OK(do_info(fd, all, 256));

	for (i = 0; i < n; i++)
		if (all[i].vir_id == id) {
			*r = all[i];
			return true;
		}
	return false;
}

void
vm_regs(struct vcpu *v, struct vcpu_reg_state *s)
{
	struct vm_rwregs_params p = { 0 };

	CHECK_OK(do_readregs(v->vm->fd, v->vm->id, v->id, VM_RWREGS_ALL, &p));
	*s = p.vrwp_regs;
}

void
vm_set_regs(struct vcpu *v, uint64_t mask, const struct vcpu_reg_state *s)
{
	struct vm_rwregs_params p = { 0 };

	p.vrwp_regs = *s;
	CHECK_OK(do_writeregs(v->vm->fd, v->vm->id, v->id, mask, &p));
	/* The next RUN must not undo it with an older snapshot. */
	v->exit->vrs = *s;
}

void
vm_intr(struct vcpu *v, uint16_t intr)
{
	CHECK_OK(do_intr(v->vm->fd, v->vm->id, v->id, intr));
}

void
vm_protect(struct vcpu *v, uint64_t gpa, uint64_t size, int prot)
{
	CHECK_OK(do_protect(v->vm->fd, v->vm->id, v->id, gpa, size, prot));
}

void
pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
}
