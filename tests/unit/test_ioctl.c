/* SPDX-License-Identifier: ISC */
/*
 * test_ioctl.c - each ioctl through the whole driver: what it does, each errno
 * that vmm(4) documents, and that a refused one changes nothing.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "vmm_fixture.h"

#define RIP		0x10000ULL
#define VCPUS		2
#define NO_MEMORY	0xe0000000ULL	/* a GPA */

/* For loops: ck_assert*() writes a line to a file each time it passes. */
#define expect(cond)	do { if (!(cond)) ck_abort_msg("%s", #cond); } while (0)

static struct fixture f;
static struct script s;

static void
start(void)
{
	fixture_start(&f, VCPUS);
	fixture_long_mode(&f, RIP);
}

static void
stop(void)
{
	fixture_stop(&f);
}

/* --- All that a client can see, before and after ------------------------- */

#define VMS	8

struct snapshot {
	struct vcpu_reg_state regs[VCPUS];
	struct vm_rwvmparams_params clock[VCPUS];
	struct vm_info_params info;
	struct vm_info_result vm[VMS];
	int64_t	 live, as, watches;
	bool	 cpus_on;
};

static void
take(struct snapshot *p)
{
	struct host_caller caller = host_user.caller;

	memset(p, 0, sizeof(*p));
	host_user.caller = (struct host_caller){ .uid = 1000, .pid = 100 };
	for (uint32_t i = 0; i < VCPUS; i++) {
		f.run.vrp_vcpu_id = i;
		fixture_regs(&f, &p->regs[i]);
		p->clock[i].vpp_vm_id = f.vm;
		p->clock[i].vpp_vcpu_id = i;
		p->clock[i].vpp_mask = VM_RWVMPARAMS_ALL;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READVMPARAMS,
		    &p->clock[i]), 0);
	}
	f.run.vrp_vcpu_id = 0;
	p->info.vip_size = sizeof(p->vm);
	p->info.vip_info = p->vm;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p->info), 0);
	p->info.vip_info = NULL;
	p->live = host_user.alloc_live;
	p->as = host_user.as_live;
	p->watches = host_user.watches_live;
	p->cpus_on = host_user.cpus_on;
	host_user.caller = caller;
}

static void
unchanged(const struct snapshot *before)
{
	struct snapshot now;

	take(&now);
	ck_assert_mem_eq(before, &now, sizeof(now));
}

/* --- A good argument for each ioctl -------------------------------------- */

static union {
	struct vm_create_params create;
	struct vm_run_params run;
	struct vm_info_params info;
	struct vm_terminate_params term;
	struct vm_resetcpu_params reset;
	struct vm_intr_params intr;
	struct vm_rwregs_params regs;
	struct vm_rwvmparams_params clock;
	struct vm_mprotect_ept_params protect;
	struct vm_exitregs_params groups;
} arg;

static struct vm_info_result infos[VMS];

static const struct ioctl {
	unsigned int cmd;
	bool	 out;		/* copies its argument out */
	size_t	 vm, vcpu;	/* where the ids are; 0 as vcpu: none */
	bool	 has_vm;
} ioctls[] = {
#define IDS(type, vm, vcpu) offsetof(struct type, vm), offsetof(struct type, vcpu), true
	{ VMM_IOC_CREATE, true, 0, 0, false },
	{ VMM_IOC_RUN, true, IDS(vm_run_params, vrp_vm_id, vrp_vcpu_id) },
	{ VMM_IOC_INFO, true, 0, 0, false },
	{ VMM_IOC_TERM, false, offsetof(struct vm_terminate_params, vtp_vm_id),
	  0, true },
	{ VMM_IOC_RESETCPU, false,
	  IDS(vm_resetcpu_params, vrp_vm_id, vrp_vcpu_id) },
	{ VMM_IOC_INTR, false, IDS(vm_intr_params, vip_vm_id, vip_vcpu_id) },
	{ VMM_IOC_READREGS, true,
	  IDS(vm_rwregs_params, vrwp_vm_id, vrwp_vcpu_id) },
	{ VMM_IOC_WRITEREGS, false,
	  IDS(vm_rwregs_params, vrwp_vm_id, vrwp_vcpu_id) },
	{ VMM_IOC_READVMPARAMS, true,
	  IDS(vm_rwvmparams_params, vpp_vm_id, vpp_vcpu_id) },
	{ VMM_IOC_WRITEVMPARAMS, false,
	  IDS(vm_rwvmparams_params, vpp_vm_id, vpp_vcpu_id) },
	{ VMM_IOC_MPROTECT_EPT, false,
	  IDS(vm_mprotect_ept_params, vmep_vm_id, vmep_vcpu_id) },
	{ VMM_IOC_EXITREGS, false,
	  IDS(vm_exitregs_params, vxr_vm_id, vxr_vcpu_id) },
};
#define IOCTLS	(sizeof(ioctls) / sizeof(ioctls[0]))

static uint32_t *
id_at(size_t offset)
{
	return (uint32_t *)((char *)&arg + offset);
}

/* An argument with which the ioctl succeeds and changes something. */
static void
good(const struct ioctl *i)
{
	struct vcpu_reg_state r;

	fixture_regs(&f, &r);
	memset(&arg, 0, sizeof(arg));
	switch (i->cmd) {
	case VMM_IOC_CREATE:
		fixture_create_params(&f, &arg.create, 1);
		break;
	case VMM_IOC_RUN:
		arg.run.vrp_exit = &f.exit;
		arg.run.vrp_irq = VMM_NO_IRQ;
		memset(&s, 0, sizeof(s));
		s.mem = f.mem;
		sim.guest = script_guest;
		sim.arg = &s;
		break;
	case VMM_IOC_INFO:
		arg.info.vip_size = sizeof(infos);
		arg.info.vip_info = infos;
		break;
	case VMM_IOC_RESETCPU:
		arg.reset.vrp_init_state = r;
		arg.reset.vrp_init_state.vrs_gprs[VCPU_REGS_RBX] = 0x7777;
		break;
	case VMM_IOC_INTR:
		arg.intr.vip_intr = 1;
		break;
	case VMM_IOC_READREGS:
		arg.regs.vrwp_mask = VM_RWREGS_ALL;
		break;
	case VMM_IOC_WRITEREGS:
		arg.regs.vrwp_mask = VM_RWREGS_ALL;
		arg.regs.vrwp_regs = r;
		arg.regs.vrwp_regs.vrs_gprs[VCPU_REGS_RCX] = 0x8888;
		break;
	case VMM_IOC_READVMPARAMS:
		arg.clock.vpp_mask = VM_RWVMPARAMS_ALL;
		break;
	case VMM_IOC_WRITEVMPARAMS:
		arg.clock.vpp_mask = VM_RWVMPARAMS_ALL;
		arg.clock.vpp_pvclock_system_gpa = 0x20001;
		arg.clock.vpp_pvclock_version = 99;
		break;
	case VMM_IOC_MPROTECT_EPT:
		arg.protect.vmep_sgpa = 0x30000;
		arg.protect.vmep_size = 0x1000;
		arg.protect.vmep_prot = VMM_PROT_READ;
		break;
	case VMM_IOC_EXITREGS:
		arg.groups.vxr_mask = VM_RWREGS_GPRS;
		break;
	}
	if (i->has_vm)
		*id_at(i->vm) = f.vm;
}

static int
call(const struct ioctl *i)
{
	return fixture_ioctl(&f, i->cmd, &arg);
}

/* --- What is common to all ----------------------------------------------- */

static bool
known(unsigned int cmd)
{
	for (size_t i = 0; i < IOCTLS; i++)
		if (ioctls[i].cmd == cmd)
			return true;
	return false;
}

START_TEST(unknown_commands)
{
	struct snapshot before;

	take(&before);
	host_user.copies = 0;
	for (unsigned int nr = 0; nr < 256; nr++) {
		ck_assert_int_eq(fixture_ioctl(&f, _IO('V', nr), &arg), -ENOTTY);
		ck_assert_int_eq(fixture_ioctl(&f, _IOWR('V', nr, char), &arg),
		    -ENOTTY);
		ck_assert_int_eq(fixture_ioctl(&f, _IOWR('W', nr,
		    struct vm_run_params), &arg), -ENOTTY);
	}
	for (size_t i = 0; i < IOCTLS; i++)
		for (unsigned int bit = 0; bit < 32; bit++) {
			unsigned int cmd = ioctls[i].cmd ^ 1u << bit;

			if (!known(cmd))
				ck_assert_int_eq(fixture_ioctl(&f, cmd, &arg),
				    -ENOTTY);
		}
	/* Nothing was even looked at. */
	ck_assert_uint_eq(host_user.copies, 0);
	unchanged(&before);
}
END_TEST

START_TEST(an_argument_that_cannot_be_read)
{
	struct snapshot before;

	take(&before);
	for (size_t i = 0; i < IOCTLS; i++) {
		good(&ioctls[i]);
		host_user.fail_copy = 1;
		ck_assert_int_eq(call(&ioctls[i]), -EFAULT);
		ck_assert_int_eq(vmm_ioctl(&f.session, ioctls[i].cmd, 0),
		    -EFAULT);
		ck_assert_int_eq(vmm_ioctl(&f.session, ioctls[i].cmd,
		    UINT64_MAX - 7), -EFAULT);
		unchanged(&before);
	}
}
END_TEST

START_TEST(no_memory_for_the_argument)
{
	struct snapshot before;

	take(&before);
	for (size_t i = 0; i < IOCTLS; i++) {
		if (_IOC_SIZE(ioctls[i].cmd) <= 584)
			continue;
		good(&ioctls[i]);
		host_user_fail_alloc(1);
		ck_assert_int_eq(call(&ioctls[i]), -ENOMEM);
		unchanged(&before);
	}
}
END_TEST

START_TEST(an_answer_that_cannot_be_written)
{
	struct snapshot before;

	for (size_t i = 0; i < IOCTLS; i++) {
		uint64_t copies;

		if (!ioctls[i].out || ioctls[i].cmd == VMM_IOC_RUN)
			continue;
		good(&ioctls[i]);
		host_user.copies = 0;
		take(&before);
		/* The last copy is that of the argument. */
		host_user.copies = 0;
		good(&ioctls[i]);
		copies = host_user.copies;
		host_user.fail_copy = ioctls[i].cmd == VMM_IOC_INFO ? 3 : 2;
		ck_assert_int_eq(call(&ioctls[i]), -EFAULT);
		ck_assert_int_eq(host_user.fail_copy, 0);
		ck_assert_uint_gt(host_user.copies, copies);
		unchanged(&before);
	}
}
END_TEST

START_TEST(ids_of_nobody)
{
	static const uint32_t vms[] = { 0, 2, 255, 257, 0x80000000, UINT32_MAX };
	static const uint32_t vcpus[] = { VCPUS, VCPUS + 1, 63, 64,
	    0x80000000, UINT32_MAX };
	struct snapshot before;

	take(&before);
	for (size_t i = 0; i < IOCTLS; i++) {
		if (!ioctls[i].has_vm)
			continue;
		for (size_t n = 0; n < sizeof(vms) / sizeof(vms[0]); n++) {
			good(&ioctls[i]);
			*id_at(ioctls[i].vm) = f.vm + vms[n] == f.vm ? 0 :
			    f.vm + vms[n];
			ck_assert_int_eq(call(&ioctls[i]), -ENOENT);
		}
		for (size_t n = 0; ioctls[i].vcpu != 0 &&
		    n < sizeof(vcpus) / sizeof(vcpus[0]); n++) {
			good(&ioctls[i]);
			*id_at(ioctls[i].vcpu) = vcpus[n];
			ck_assert_int_eq(call(&ioctls[i]), -ENOENT);
		}
		unchanged(&before);
	}
}
END_TEST

/* Another user is another process, too; the creator is 1000. */
static void
become(uint32_t uid)
{
	host_user.caller.uid = uid;
	host_user_set_as(uid != 1000);
}

START_TEST(another_user_s_vm)
{
	struct snapshot before;

	take(&before);
	for (int admin = 0; admin < 2; admin++) {
		for (size_t i = 0; i < IOCTLS; i++) {
			if (!ioctls[i].has_vm || (admin &&
			    ioctls[i].cmd == VMM_IOC_TERM))
				continue;
			good(&ioctls[i]);
			become(1001);
			host_user.caller.admin = admin;
			ck_assert_int_eq(call(&ioctls[i]), -EPERM);
			become(1000);
			host_user.caller.admin = false;
			unchanged(&before);
		}
	}
	/* He does not see it, unless he is the administrator, who may end it. */
	good(&ioctls[2]);
	become(1001);
	ck_assert_int_eq(call(&ioctls[2]), 0);
	ck_assert_uint_eq(arg.info.vip_info_ct, 0);
	host_user.caller.admin = true;
	arg.info.vip_size = sizeof(infos);
	ck_assert_int_eq(call(&ioctls[2]), 0);
	ck_assert_uint_eq(arg.info.vip_info_ct, 1);
	ck_assert_uint_eq(infos[0].vir_id, f.vm);
	arg.term.vtp_vm_id = f.vm;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &arg), 0);
	ck_assert_int_eq(host_user.watches_live, 0);
}
END_TEST

START_TEST(an_ended_vm_is_nobody_s)
{
	arg.term.vtp_vm_id = f.vm;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &arg), 0);
	ck_assert(!host_user.cpus_on);
	ck_assert_int_eq(host_user.watches_live, 0);
	ck_assert_int_eq(host_user.as_live, 0);
	for (size_t i = 0; i < IOCTLS; i++) {
		if (!ioctls[i].has_vm)
			continue;
		memset(&arg, 0, sizeof(arg));
		*id_at(ioctls[i].vm) = f.vm;
		if (ioctls[i].cmd == VMM_IOC_MPROTECT_EPT) {
			arg.protect.vmep_size = 0x1000;
			arg.protect.vmep_prot = VMM_PROT_READ;
		}
		ck_assert_int_eq(call(&ioctls[i]), -ENOENT);
	}
}
END_TEST

/* --- CREATE, INFO, TERM -------------------------------------------------- */

static uint32_t
create(size_t ncpus, const char *name)
{
	struct vm_create_params p;

	fixture_create_params(&f, &p, ncpus);
	memset(p.vcp_name, 0, sizeof(p.vcp_name));
	memcpy(p.vcp_name, name, strnlen(name, sizeof(p.vcp_name)));
	return fixture_ioctl(&f, VMM_IOC_CREATE, &p) == 0 ? p.vcp_id : 0;
}

static int
term(uint32_t vm)
{
	struct vm_terminate_params p = { .vtp_vm_id = vm };

	return fixture_ioctl(&f, VMM_IOC_TERM, &p);
}

START_TEST(create_refuses)
{
	static uint8_t other[4096];
	struct snapshot before;
	struct vm_create_params p;

	take(&before);
	for (int i = 0; i < 10; i++) {
		fixture_create_params(&f, &p, 1);
		switch (i) {
		case 0: p.vcp_ncpus = 0; break;
		case 1: p.vcp_ncpus = 65; break;
		case 2: p.vcp_ncpus = SIZE_MAX; break;
		case 3: p.vcp_nmemranges = 0; break;
		case 4: p.vcp_nmemranges = 17; break;
		case 5: p.vcp_memranges[0].vmr_size = 0x1000; break;
		case 6: p.vcp_memranges[0].vmr_va = 0; break;
		case 7: p.vcp_memranges[0].vmr_va = 0xffff800000000000; break;
		case 8: p.vcp_memranges[0].vmr_gpa = 0xf0000000; break;
		case 9: p.vcp_memranges[0].vmr_va =
			(uint64_t)(uintptr_t)other | 1; break;
		}
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), -EINVAL);
		unchanged(&before);
	}
}
END_TEST

/* VMs with ids apart by 512 have the same place in the driver's table. */
START_TEST(an_id_is_of_one_vm)
{
	uint32_t old = create(1, "old"), id = old;
	struct vm_intr_params p;

	ck_assert_int_eq(term(old), 0);
	while (id != old + VMM_MAX_VCPUS) {
		id = create(1, "x");
		if (id != old + VMM_MAX_VCPUS)
			ck_assert_int_eq(term(id), 0);
	}
	for (uint32_t other = id % VMM_MAX_VCPUS; other < 10 * VMM_MAX_VCPUS;
	    other += VMM_MAX_VCPUS) {
		p = (struct vm_intr_params){ .vip_vm_id = other };
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INTR, &p),
		    other == id ? 0 : -ENOENT);
		if (other != id)
			ck_assert_int_eq(term(other), -ENOENT);
	}
	ck_assert_int_eq(term(id), 0);
	ck_assert_int_eq(term(0), -ENOENT);
	ck_assert_int_eq(term(VMM_MAX_VCPUS), -ENOENT);
}
END_TEST

START_TEST(ids_are_never_used_again)
{
	uint32_t last = f.vm, id;

	for (int i = 0; i < 600; i++) {
		id = create(1, "x");
		ck_assert_uint_gt(id, last);
		last = id;
		ck_assert_int_eq(term(id), 0);
		ck_assert_int_eq(term(id), -ENOENT);
	}
}
END_TEST

/* Nobody has learnt its id: the VM does not stay. */
START_TEST(a_vm_whose_id_cannot_be_told)
{
	struct snapshot before;
	struct vm_create_params p;

	take(&before);
	fixture_create_params(&f, &p, 1);
	host_user.fail_copy = 2;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), -EFAULT);
	unchanged(&before);
	ck_assert_int_eq(term(f.vm + 1), -ENOENT);
	ck_assert_uint_eq(create(1, "next"), f.vm + 2);
}
END_TEST

START_TEST(the_host_has_512_vcpus)
{
	uint32_t id[9];

	ck_assert_int_eq(term(f.vm), 0);
	for (int i = 0; i < 8; i++) {
		id[i] = create(64, "many");
		ck_assert_uint_ne(id[i], 0);
	}
	ck_assert_uint_eq(create(1, "one too many"), 0);
	{
		struct vm_create_params p;

		fixture_create_params(&f, &p, 1);
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_CREATE, &p), -ENOMEM);
	}
	ck_assert_int_eq(term(id[3]), 0);
	ck_assert_uint_ne(create(63, "most"), 0);
	ck_assert_uint_ne(create(1, "last"), 0);
	ck_assert_uint_eq(create(1, "one too many"), 0);
}
END_TEST

START_TEST(info_tells_everything)
{
	static const char name[] = "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789";
	struct vm_info_params p = { .vip_info = infos };
	uint32_t second = create(64, name);

	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
	ck_assert_uint_eq(p.vip_size, 2 * sizeof(infos[0]));
	ck_assert_uint_eq(p.vip_info_ct, 0);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
	ck_assert_uint_eq(p.vip_info_ct, 2);
	ck_assert_uint_eq(infos[0].vir_id, f.vm);
	ck_assert_str_eq(infos[0].vir_name, "test");
	ck_assert_uint_eq(infos[0].vir_memory_size, FIXTURE_MEM);
	ck_assert_uint_eq(infos[0].vir_ncpus, VCPUS);
	ck_assert_int_eq(infos[0].vir_creator_pid, 100);
	ck_assert_uint_eq(infos[0].vir_used_size, 4096);	/* the root */
	for (unsigned int i = 0; i < VMM_MAX_VCPUS_PER_VM; i++)
		ck_assert_uint_eq(infos[0].vir_vcpu_state[i],
		    i < VCPUS ? VCPU_STATE_STOPPED : VCPU_STATE_UNKNOWN);
	ck_assert_uint_eq(infos[1].vir_id, second);
	/* Cut, and ended. */
	ck_assert_uint_eq(strlen(infos[1].vir_name), 63);
	ck_assert_mem_eq(infos[1].vir_name, name, 63);
	for (unsigned int i = 0; i < VMM_MAX_VCPUS_PER_VM; i++)
		ck_assert_uint_eq(infos[1].vir_vcpu_state[i],
		    VCPU_STATE_STOPPED);
}
END_TEST

START_TEST(info_never_writes_beyond)
{
	const size_t one = sizeof(struct vm_info_result);
	struct vm_info_params p;
	char *page, *end;

	create(1, "second");
	create(1, "third");
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	ck_assert_int_eq(mprotect(page + 4096, 4096, PROT_NONE), 0);
	end = page + 4096;
	for (size_t size = 0; size <= 3 * one; size += size % one ? 1 : one - 1) {
		memset(page, 0xaa, 4096);
		p = (struct vm_info_params){ .vip_size = size,
		    .vip_info = (void *)(end - size) };
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
		ck_assert_uint_eq(p.vip_info_ct, size < 3 * one ? 0 : 3);
		ck_assert_uint_eq(p.vip_size, 3 * one);
		if (size < 3 * one)
			for (size_t i = 0; i < 4096; i++)
				expect(page[i] == (char)0xaa);
	}
	/* More room than there is memory: it is not used. */
	p = (struct vm_info_params){ .vip_size = SIZE_MAX,
	    .vip_info = (void *)(end - 3 * one) };
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
	ck_assert_uint_eq(p.vip_info_ct, 3);
	/* Too little memory for what is promised. */
	p = (struct vm_info_params){ .vip_size = 3 * one,
	    .vip_info = (void *)(end - 2 * one) };
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), -EFAULT);
	p.vip_info = NULL;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), -EFAULT);
	munmap(page, 8192);
}
END_TEST

START_TEST(info_of_nothing)
{
	struct vm_info_params p = { .vip_size = 12345 };

	ck_assert_int_eq(term(f.vm), 0);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &p), 0);
	ck_assert_uint_eq(p.vip_info_ct, 0);
}
END_TEST

static uint32_t listed[4], nlisted;

static void
list(struct vm *vm, void *p)
{
	ck_assert_ptr_eq(p, &nlisted);
	ck_assert_uint_lt(nlisted, 4);
	listed[nlisted++] = vm->id;
}

/* What statistics are made from: the same VMs as INFO. */
START_TEST(every_vm_that_the_caller_may_see)
{
	uint32_t second;

	become(1001);
	second = create(1, "other");
	vmm_for_each(list, &nlisted);
	ck_assert_uint_eq(nlisted, 1);
	ck_assert_uint_eq(listed[0], second);
	host_user.caller.admin = true;
	nlisted = 0;
	vmm_for_each(list, &nlisted);
	ck_assert_uint_eq(nlisted, 2);
	ck_assert_uint_eq(listed[0], f.vm);
	ck_assert_uint_eq(listed[1], second);
	host_user.caller = (struct host_caller){ .uid = 1000, .pid = 100 };
}
END_TEST

/* --- Registers ----------------------------------------------------------- */

/* One register, and values that no CPU would hold in it. */
static const struct bad {
	uint64_t group;
	size_t	 offset;
	uint64_t value;
} bad_regs[] = {
#define REG(array, n) offsetof(struct vcpu_reg_state, array) + (n) * sizeof(uint64_t)
	{ VM_RWREGS_GPRS, REG(vrs_gprs, VCPU_REGS_RIP), 1ULL << 63 },
	{ VM_RWREGS_GPRS, REG(vrs_gprs, VCPU_REGS_RFLAGS), 1ULL << 32 },
	{ VM_RWREGS_GPRS, REG(vrs_gprs, VCPU_REGS_RFLAGS), 0x8002 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR0), 1ULL << 32 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR0), 0x80000010 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR0), 0xa0000011 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR3), 1ULL << 52 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR4), 0 },	/* long mode */
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR4), 0x2020 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR4), 1ULL << 40 | 0x20 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_CR8), 16 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_XCR0), 0 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_XCR0), 5 },
	{ VM_RWREGS_CRS, REG(vrs_crs, VCPU_REGS_XCR0), 0x107 },
	{ VM_RWREGS_MSRS, REG(vrs_msrs, VCPU_REGS_EFER), 0x100 },
	{ VM_RWREGS_MSRS, REG(vrs_msrs, VCPU_REGS_EFER), 0x400 },
	{ VM_RWREGS_MSRS, REG(vrs_msrs, VCPU_REGS_EFER), 0x1500 },
	{ VM_RWREGS_MSRS, REG(vrs_msrs, VCPU_REGS_LSTAR), 1ULL << 63 },
	{ VM_RWREGS_MSRS, REG(vrs_msrs, VCPU_REGS_CSTAR), 1ULL << 47 },
	{ VM_RWREGS_MSRS, REG(vrs_msrs, VCPU_REGS_KGSBASE), 1ULL << 48 },
	{ VM_RWREGS_DRS, REG(vrs_drs, VCPU_REGS_DR6), 1ULL << 32 },
	{ VM_RWREGS_DRS, REG(vrs_drs, VCPU_REGS_DR7), 1ULL << 63 },
#define BASE(seg) offsetof(struct vcpu_reg_state, vrs_sregs[seg].vsi_base)
	{ VM_RWREGS_SREGS, BASE(VCPU_REGS_FS), 1ULL << 63 },
	{ VM_RWREGS_SREGS, BASE(VCPU_REGS_GS), 1ULL << 47 },
	{ VM_RWREGS_SREGS, BASE(VCPU_REGS_LDTR), 1ULL << 50 },
	{ VM_RWREGS_SREGS, BASE(VCPU_REGS_TR), 1ULL << 62 },
	{ VM_RWREGS_SREGS, offsetof(struct vcpu_reg_state, vrs_gdtr.vsi_base),
	  1ULL << 55 },
	{ VM_RWREGS_SREGS, offsetof(struct vcpu_reg_state, vrs_idtr.vsi_base),
	  1ULL << 55 },
};
#define BAD_REGS	(sizeof(bad_regs) / sizeof(bad_regs[0]))

START_TEST(registers_that_no_cpu_would_hold)
{
	struct snapshot before;

	take(&before);
	for (size_t i = 0; i < BAD_REGS; i++) {
		const struct bad *b = &bad_regs[i];

		memset(&arg, 0, sizeof(arg));
		arg.regs.vrwp_vm_id = f.vm;
		arg.regs.vrwp_regs = before.regs[0];
		/* All good ones would change. */
		arg.regs.vrwp_regs.vrs_gprs[VCPU_REGS_RAX] = 1;
		arg.regs.vrwp_regs.vrs_drs[VCPU_REGS_DR0] = 2;
		arg.regs.vrwp_regs.vrs_sregs[VCPU_REGS_DS].vsi_sel = 3;
		memcpy((char *)&arg.regs.vrwp_regs + b->offset, &b->value, 8);
		arg.regs.vrwp_mask = VM_RWREGS_ALL;
		ck_assert_msg(fixture_ioctl(&f, VMM_IOC_WRITEREGS, &arg) ==
		    -EINVAL, "bad register %zu", i);
		arg.regs.vrwp_mask = b->group;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEREGS, &arg),
		    -EINVAL);
		unchanged(&before);
		if (b->offset == REG(vrs_crs, VCPU_REGS_XCR0))
			continue;	/* RESETCPU does not look at it */
		memset(&arg, 0, sizeof(arg));
		arg.reset.vrp_vm_id = f.vm;
		arg.reset.vrp_init_state = before.regs[0];
		memcpy((char *)&arg.reset.vrp_init_state + b->offset,
		    &b->value, 8);
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RESETCPU, &arg),
		    -EINVAL);
		unchanged(&before);
	}
}
END_TEST

START_TEST(register_groups_are_apart)
{
	static const struct { uint64_t group; size_t from, to; } groups[] = {
#define END_OF(m) offsetof(struct vcpu_reg_state, m) + sizeof(((struct vcpu_reg_state *)0)->m)
#define GROUP_OF(m) offsetof(struct vcpu_reg_state, m), END_OF(m)
		{ VM_RWREGS_GPRS, GROUP_OF(vrs_gprs) },
		{ VM_RWREGS_CRS, GROUP_OF(vrs_crs) },
		{ VM_RWREGS_MSRS, GROUP_OF(vrs_msrs) },
		{ VM_RWREGS_DRS, GROUP_OF(vrs_drs) },
		{ VM_RWREGS_SREGS, offsetof(struct vcpu_reg_state, vrs_sregs),
		  END_OF(vrs_idtr) },
	};
	struct vcpu_reg_state now, mixed;

	fixture_regs(&f, &now);
	for (size_t i = 0; i < 5; i++) {
		memset(&arg, 0xee, sizeof(arg));
		arg.regs.vrwp_vm_id = f.vm;
		arg.regs.vrwp_vcpu_id = 0;
		arg.regs.vrwp_mask = groups[i].group;
		memset(&mixed, 0xee, sizeof(mixed));
		memcpy((char *)&mixed + groups[i].from,
		    (char *)&now + groups[i].from, groups[i].to - groups[i].from);
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READREGS, &arg), 0);
		/* Padding of segments aside. */
		if (groups[i].group != VM_RWREGS_SREGS)
			ck_assert_mem_eq(&arg.regs.vrwp_regs, &mixed,
			    sizeof(mixed));
		else
			ck_assert_mem_eq(&arg.regs.vrwp_regs, &mixed,
			    groups[i].from);
		/* Nothing but its own group is written, or even looked at. */
		arg.regs.vrwp_regs.vrs_gprs[VCPU_REGS_RIP] =
		    groups[i].group == VM_RWREGS_GPRS ? RIP : 1ULL << 63;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEREGS, &arg), 0);
		fixture_regs(&f, &mixed);
		ck_assert_mem_eq(&mixed, &now, sizeof(now));
	}
	for (unsigned int bit = 5; bit < 64; bit++) {
		arg.regs.vrwp_mask = 1ULL << bit;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READREGS, &arg),
		    -EINVAL);
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEREGS, &arg),
		    -EINVAL);
	}
}
END_TEST

START_TEST(resetcpu_resets)
{
	struct vcpu_reg_state r, after;

	fixture_regs(&f, &r);
	for (unsigned int i = 0; i < VCPU_REGS_RIP; i++)
		r.vrs_gprs[i] = 0x1111111111111111ULL * i;
	r.vrs_gprs[VCPU_REGS_RFLAGS] = 0x202;
	r.vrs_crs[VCPU_REGS_CR2] = 0x123;
	r.vrs_crs[VCPU_REGS_CR8] = 9;
	r.vrs_crs[VCPU_REGS_XCR0] = 7;
	r.vrs_msrs[VCPU_REGS_LSTAR] = 0xffffffff81000000;
	r.vrs_drs[VCPU_REGS_DR3] = 0x7fff0000;
	memset(&arg, 0, sizeof(arg));
	arg.reset.vrp_vm_id = f.vm;
	arg.reset.vrp_vcpu_id = 1;
	arg.reset.vrp_init_state = r;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_RESETCPU, &arg), 0);
	f.run.vrp_vcpu_id = 1;
	fixture_regs(&f, &after);
	r.vrs_crs[VCPU_REGS_XCR0] = 1;		/* whatever was asked for */
	ck_assert_mem_eq(&after, &r, sizeof(r));
}
END_TEST

/* --- RUN ----------------------------------------------------------------- */

START_TEST(run_refuses)
{
	const struct step in = { AT(EXIT_IO, "\xe4\x80"),
	    .exit.io = { .port = 0x80, .size = 1, .in = true } };
	struct snapshot before;
	const struct ioctl *run = &ioctls[1];

	fixture_long_mode(&f, RIP);
	ck_assert_int_eq(fixture_steps(&f, &s, &in, 1, VMM_NO_IRQ), 0);
	take(&before);
	for (unsigned int irq = 256; irq < 0xffff; irq += 255) {
		good(run);
		arg.run.vrp_irq = (uint16_t)irq;
		ck_assert_int_eq(call(run), -EINVAL);
	}
	/* Somebody else's process, though of the same user. */
	good(run);
	host_user_set_as(1);
	ck_assert_int_eq(call(run), -EPERM);
	host_user_set_as(0);
	/* The answer cannot be read. */
	good(run);
	arg.run.vrp_continue = 1;
	arg.run.vrp_exit = NULL;
	ck_assert_int_eq(call(run), -EFAULT);
	ck_assert_uint_eq(s.at, 0);
	unchanged(&before);
}
END_TEST

/* A client that gave up its privileges keeps its VM; its new user has not got it. */
START_TEST(the_creator_has_another_uid)
{
	struct vm_info_result info[2];
	struct vm_info_params list = { .vip_size = sizeof(info), .vip_info = info };
	struct vm_intr_params intr = { .vip_vm_id = f.vm };
	struct vm_terminate_params term = { .vtp_vm_id = f.vm };
	struct vcpu_reg_state r;

	host_user.caller.uid = 4711;
	host_user_set_as(1);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INTR, &intr), -EPERM);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &term), -EPERM);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &list), 0);
	ck_assert_uint_eq(list.vip_info_ct, 0);
	host_user_set_as(0);
	fixture_regs(&f, &r);
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INTR, &intr), 0);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	list.vip_size = sizeof(info);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_INFO, &list), 0);
	ck_assert_uint_eq(list.vip_info_ct, 1);
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_TERM, &term), 0);
}
END_TEST

/* The exit cannot be told; the vCPU can run again. */
START_TEST(run_that_cannot_report)
{
	const struct ioctl *run = &ioctls[1];
	int64_t copies;

	/* Not the first one, which marks the guest's page tables. */
	for (int i = 0; i < 2; i++) {
		good(run);
		host_user.copies = 0;
		ck_assert_int_eq(call(run), 0);
	}
	copies = (int64_t)host_user.copies;
	/* The last two are the exit and the argument. */
	for (int64_t n = copies - 1; n <= copies; n++) {
		good(run);
		host_user.fail_copy = n;
		ck_assert_int_eq(call(run), -EFAULT);
		ck_assert_uint_eq(s.at, 1);
		good(run);
		ck_assert_int_eq(call(run), 0);
		ck_assert_uint_eq(arg.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	}
}
END_TEST

START_TEST(a_vcpu_s_state_is_told)
{
	struct snapshot now;

	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	take(&now);
	ck_assert_uint_eq(now.vm[0].vir_vcpu_state[0], VCPU_STATE_STOPPED);
}
END_TEST

/* The CPU refuses what WRITEREGS cannot know: 64-bit and 32-bit code at once. */
START_TEST(a_state_that_the_cpu_refuses)
{
	struct vcpu_reg_state r, bad;

	fixture_regs(&f, &r);
	bad = r;
	bad.vrs_sregs[VCPU_REGS_CS].vsi_ar |= 1 << 14;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_SREGS, &bad), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, 0x30), -EINVAL);
	ck_assert_uint_eq(sim.refused, 3);
	ck_assert_uint_eq(s.at, 0);
	ck_assert_uint_eq(host_user.warns, 3);
	ck_assert_ptr_nonnull(strstr(host_user.log, "refused"));
	fixture_regs(&f, &bad);
	r.vrs_gprs[VCPU_REGS_RFLAGS] |= 0x200;
	ck_assert_int_eq(fixture_set_regs(&f, VM_RWREGS_ALL, &r), 0);
	f.run.vrp_continue = 0;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].event, EV_INTR(0x30));
	/* The other vCPU never noticed. */
	f.run.vrp_vcpu_id = 1;
	fixture_long_mode(&f, RIP);
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
}
END_TEST

static void
load_rax(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RAX] = 0x1122334455667788;
	g->gpr[VCPU_REGS_RDX] = 0x3f8;
}

START_TEST(out_reaches_the_client)
{
	static const struct {
		struct step step;
		uint32_t data, port;
		uint8_t size;
	} outs[] = {
		{ { AT(EXIT_IO, "\xe6\x80"),
		    .exit.io = { .port = 0x80, .size = 1 },
		    .act = load_rax }, 0x88, 0x80, 1 },
		{ { AT(EXIT_IO, "\x66\xef"),
		    .exit.io = { .port = 0x3f8, .size = 2 },
		    .act = load_rax }, 0x7788, 0x3f8, 2 },
		{ { AT(EXIT_IO, "\xef"),
		    .exit.io = { .port = 0x3f8, .size = 4 },
		    .act = load_rax }, 0x55667788, 0x3f8, 4 },
	};

	for (size_t i = 0; i < 3; i++) {
		fixture_long_mode(&f, RIP);
		f.run.vrp_continue = 0;
		ck_assert_int_eq(fixture_steps(&f, &s, &outs[i].step, 1,
		    VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_IO));
		ck_assert_uint_eq(f.exit.vei.vei_dir, VEI_DIR_OUT);
		ck_assert_uint_eq(f.exit.vei.vei_size, outs[i].size);
		ck_assert_uint_eq(f.exit.vei.vei_port, outs[i].port);
		ck_assert_uint_eq(f.exit.vei.vei_data, outs[i].data);
		ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP],
		    RIP + outs[i].step.exit.insn_len);
	}
}
END_TEST

START_TEST(in_takes_the_client_s_answer)
{
	static const struct {
		struct step step;
		uint64_t rax;
	} ins[] = {
		{ { AT(EXIT_IO, "\xe4\x60"),
		    .exit.io = { .port = 0x60, .size = 1, .in = true },
		    .act = load_rax }, 0x11223344556677cc },
		{ { AT(EXIT_IO, "\x66\xed"),
		    .exit.io = { .port = 0x3f8, .size = 2, .in = true },
		    .act = load_rax }, 0x112233445566bbcc },
		{ { AT(EXIT_IO, "\xed"),
		    .exit.io = { .port = 0x3f8, .size = 4, .in = true },
		    .act = load_rax }, 0x99aabbcc },
	};

	for (size_t i = 0; i < 3; i++) {
		for (uint8_t again = 0; again < 2; again++) {
			fixture_long_mode(&f, RIP);
			f.run.vrp_continue = 0;
			ck_assert_int_eq(fixture_steps(&f, &s, &ins[i].step, 1,
			    VMM_NO_IRQ), 0);
			ck_assert_uint_eq(f.exit.vei.vei_dir, VEI_DIR_IN);
			f.exit.vei.vei_data = 0x99aabbcc;
			f.run.vrp_continue = again;
			ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0,
			    VMM_NO_IRQ), 0);
			ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RIP],
			    RIP + ins[i].step.exit.insn_len);
			/* Unanswered, it leaves RAX as it is. */
			ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RAX],
			    again ? ins[i].rax : 0x1122334455667788);
			f.run.vrp_continue = 0;
		}
	}
}
END_TEST

static void
load_string(struct sim_guest *g)
{
	g->gpr[VCPU_REGS_RSI] = g->gpr[VCPU_REGS_RDI] = 0x20000;
	g->gpr[VCPU_REGS_RCX] = 3;
	g->gpr[VCPU_REGS_RDX] = 0x1f0;
}

START_TEST(strings_come_one_by_one)
{
	struct step outs = { AT(EXIT_IO, "\xf3\x6e"),
	    .exit.io = { .port = 0x1f0, .size = 1, .string = true, .rep = true,
	    .addr_size = 8, .seg = SREG_DS }, .act = load_string };
	struct step ins = { AT(EXIT_IO, "\xf3\x6c"),
	    .exit.io = { .port = 0x1f0, .size = 1, .in = true, .string = true,
	    .rep = true, .addr_size = 8, .seg = SREG_ES }, .act = load_string };

	memcpy(f.mem + 0x20000, "abc", 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(fixture_steps(&f, &s, &outs, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_IO));
		ck_assert_uint_eq(f.exit.vei.vei_data, (uint32_t)"abc"[i]);
		ck_assert_uint_eq(f.exit.vei.vei_string, 0);
		ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RCX], 2 - i);
		ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP],
		    i < 2 ? RIP : RIP + 2);
		outs.act = NULL;
	}
	fixture_long_mode(&f, RIP);
	memset(f.mem + 0x20000, 0, 8);
	f.run.vrp_continue = 0;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(fixture_steps(&f, &s, &ins, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.exit.vei.vei_dir, VEI_DIR_IN);
		f.exit.vei.vei_data = (uint32_t)"xyz"[i];
		ins.act = NULL;
	}
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RIP], RIP + 2);
	ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RDI], 0x20003);
	ck_assert_mem_eq(f.mem + 0x20000, "xyz", 4);
}
END_TEST

/* --- Registers that come with an exit -------------------------------------- */

static const struct { uint64_t group; size_t start, end; } places[] = {
#define PLACE(g, first, behind) { VM_RWREGS_##g, \
	offsetof(struct vm_exit, vrs.first), offsetof(struct vm_exit, behind) }
	PLACE(GPRS, vrs_gprs, vrs.vrs_crs), PLACE(CRS, vrs_crs, vrs.vrs_msrs),
	PLACE(MSRS, vrs_msrs, vrs.vrs_drs), PLACE(DRS, vrs_drs, vrs.vrs_sregs),
	PLACE(SREGS, vrs_sregs, vex_gpa_high),
};

/* What was not asked for stays as it is; the rest is as with all of them. */
/* Without registers, of struct vm_exit the bytes that say what has happened. */
START_TEST(exits_bring_what_they_are_about)
{
	static const struct {
		struct step step;
		size_t head;
		bool gpa;
	} exits[] = {
		{ { AT(EXIT_IO, "\xe6\x80"), .exit.io = { .port = 0x80, .size = 1 } },
		    sizeof(struct vm_exit_inout), false },
		{ { AT(EXIT_HLT, "\xf4") }, 0, false },
		{ { EXITS(EXIT_STAGE2_FAULT), .exit.npf = { 0xfe0000000, STAGE2_R } },
		    offsetof(struct vm_exit, vrs), true },
	};
	struct vm_exitregs_params p = { .vxr_vm_id = f.vm };
	const uint8_t *got = (const uint8_t *)&f.exit;

	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_EXITREGS, &p), 0);
	for (unsigned int i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
		fixture_long_mode(&f, RIP);
		memset(&f.exit, 0x5a, sizeof(f.exit));
		f.run.vrp_continue = 0;
		ck_assert_int_eq(fixture_steps(&f, &s, &exits[i].step, 1, VMM_NO_IRQ), 0);
		ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(exits[i].step.exit.kind));
		if (exits[i].gpa) {
			ck_assert_uint_eq(vm_exit_gpa(&f.exit), 0xfe0000000);
			ck_assert_uint_eq(f.exit.vee.vee_fault_type, VEE_FAULT_MMIO_ASSIST);
		} else {
			ck_assert_uint_eq(f.exit.vex_gpa_high, 0x5a5a5a5a);
		}
		for (size_t b = exits[i].head; b < offsetof(struct vm_exit, vex_gpa_high); b++)
			expect(got[b] == 0x5a);
		/* With nothing to tell, there need not be a place for it. */
		f.run.vrp_exit = (struct vm_exit *)16;
		fixture_long_mode(&f, RIP);
		ck_assert_int_eq(fixture_steps(&f, &s, &exits[i].step, 1, VMM_NO_IRQ),
		    exits[i].head != 0 ? -EFAULT : 0);
		f.run.vrp_exit = &f.exit;
	}
}
END_TEST

START_TEST(exits_bring_the_registers_asked_for)
{
	const struct step step = { AT(EXIT_IO, "\xe6\x80"),
	    .exit.io = { .port = 0x80, .size = 1 } };
	struct vm_exitregs_params p = { .vxr_vm_id = f.vm };
	const char *got = (const char *)&f.exit;
	struct vm_exit all;

	ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ), 0);
	all = f.exit;
	for (uint64_t groups = 0; groups <= VM_RWREGS_ALL; groups++) {
		p.vxr_mask = groups;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_EXITREGS, &p), 0);
		fixture_long_mode(&f, RIP);
		memset(&f.exit, 0x5a, sizeof(f.exit));
		f.run.vrp_continue = 0;
		ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ), 0);
		ck_assert_mem_eq(&f.exit.vei, &all.vei, sizeof(all.vei));
		/* No exit has filled in the rest. */
		if (groups != VM_RWREGS_ALL) {
			for (size_t b = sizeof(all.vei); b < offsetof(struct vm_exit, vrs); b++)
				expect(got[b] == 0x5a);
			ck_assert_uint_eq(f.exit.vex_gpa_high, 0x5a5a5a5a);
		}
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			size_t at = places[i].start, len = places[i].end - at;

			if (groups & places[i].group) {
				ck_assert_mem_eq(got + at, (char *)&all + at, len);
				continue;
			}
			for (size_t b = at; b < at + len; b++)
				expect(got[b] == 0x5a);
		}
	}
	p.vxr_mask = VM_RWREGS_ALL + 1;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_EXITREGS, &p), -EINVAL);
}
END_TEST

/* --- Second-stage faults ------------------------------------------------- */

START_TEST(memory_appears_when_it_is_touched)
{
	const struct step steps[] = {
		{ EXITS(EXIT_STAGE2_FAULT),
		  .exit.npf = { 0x200123, STAGE2_W } },
	};
	struct snapshot now;

	ck_assert_int_eq(RUN_STEPS(&f, &s, steps, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_HLT));
	ck_assert_uint_eq(s.seen[1].gpr[VCPU_REGS_RIP], RIP);
	ck_assert_uint_eq(host_user.trace_fault.gpa, 0x200123);
	take(&now);
	ck_assert_uint_gt(now.vm[0].vir_used_size, 4096);
}
END_TEST

START_TEST(mmio_is_described_and_answered)
{
	const struct step step = { AT(EXIT_STAGE2_FAULT, "\x8b\x03\x90\x90"),
	    .exit.npf = { NO_MEMORY + 0x123456789000, STAGE2_R } };
	const struct vm_exit_eptviolation *vee = &f.exit.vee;

	ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(f.run.vrp_exit_reason, sim_reason(EXIT_STAGE2_FAULT));
	ck_assert_uint_eq(vee->vee_fault_type, VEE_FAULT_MMIO_ASSIST);
	ck_assert(vee->vee_insn_info & VEE_GPA_VALID);
	ck_assert(vee->vee_insn_info & VEE_BYTES_VALID);
	ck_assert_uint_eq(vm_exit_gpa(&f.exit), NO_MEMORY + 0x123456789000);
	ck_assert_uint_ge(vee->vee_insn_len, 4);
	ck_assert_mem_eq(vee->vee_insn_bytes, "\x8b\x03\x90\x90", 4);
	ck_assert_uint_eq(f.exit.vrs.vrs_gprs[VCPU_REGS_RIP], RIP);
	/* Impossible registers: refused, and the exit can still be answered. */
	f.exit.vrs.vrs_gprs[VCPU_REGS_RAX] = 0x77;
	f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] = 1ULL << 63;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), -EINVAL);
	ck_assert_uint_eq(s.at, 0);
	f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] = RIP + 2;
	f.exit.vrs.vrs_crs[VCPU_REGS_CR3] = 0;	/* not the client's now */
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RIP], RIP + 2);
	ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RAX], 0x77);
	ck_assert_uint_eq(s.seen[0].cr3, 0x1000);
}
END_TEST

/* Without an answer the guest tries again. */
START_TEST(mmio_unanswered)
{
	const struct step step = { EXITS(EXIT_STAGE2_FAULT),
	    .exit.npf = { NO_MEMORY, STAGE2_R } };

	ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ), 0);
	f.exit.vrs.vrs_gprs[VCPU_REGS_RIP] = RIP + 2;
	f.run.vrp_continue = 0;
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(s.seen[0].gpr[VCPU_REGS_RIP], RIP);
}
END_TEST

static int
protect(uint64_t gpa, size_t size, int prot)
{
	struct vm_mprotect_ept_params p = { .vmep_vm_id = f.vm,
	    .vmep_sgpa = gpa, .vmep_size = size, .vmep_prot = prot };

	return fixture_ioctl(&f, VMM_IOC_MPROTECT_EPT, &p);
}

/* The CPU can refuse to read what it executes. */
static bool
execute_only(void)
{
	return sim_machine->vmx && sim_vmx_has(SIM_VMX_EXECUTE_ONLY);
}

START_TEST(protections_hold)
{
	const struct {
		int	 prot;
		uint8_t	 access;
		bool	 refused;
	} cases[] = {
		{ VMM_PROT_EXEC, STAGE2_X, false },
		{ VMM_PROT_EXEC, STAGE2_W, true },
		{ VMM_PROT_EXEC, STAGE2_R, execute_only() },
		{ VMM_PROT_READ, STAGE2_R, false },
		{ VMM_PROT_READ, STAGE2_W, true },
		{ VMM_PROT_READ, STAGE2_X, true },
		{ VMM_PROT_READ | VMM_PROT_WRITE, STAGE2_W, false },
		{ VMM_PROT_READ | VMM_PROT_WRITE, STAGE2_X, true },
		{ VMM_PROT_READ | VMM_PROT_EXEC, STAGE2_X, false },
		{ VMM_PROT_READ | VMM_PROT_EXEC, STAGE2_W, true },
		{ VMM_PROT_READ | VMM_PROT_EXEC, STAGE2_R, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct step step = { EXITS(EXIT_STAGE2_FAULT),
		    .exit.npf = { 0x30008, cases[i].access } };

		ck_assert_int_eq(protect(0x30000, 0x1000, cases[i].prot), 0);
		f.run.vrp_continue = 0;
		fixture_long_mode(&f, RIP);
		ck_assert_int_eq(fixture_steps(&f, &s, &step, 1, VMM_NO_IRQ), 0);
		if (!cases[i].refused) {
			ck_assert_uint_eq(f.run.vrp_exit_reason,
			    sim_reason(EXIT_HLT));
			continue;
		}
		ck_assert_uint_eq(f.run.vrp_exit_reason,
		    sim_reason(EXIT_STAGE2_FAULT));
		ck_assert_uint_eq(f.exit.vee.vee_fault_type, VEE_FAULT_PROTECT);
		ck_assert_uint_eq(vm_exit_gpa(&f.exit), 0x30008);
	}
}
END_TEST

START_TEST(mprotect_refuses)
{
	struct snapshot before;

	take(&before);
	ck_assert_int_eq(protect(FIXTURE_MEM, 0x1000, VMM_PROT_READ), -EINVAL);
	ck_assert_int_eq(protect(FIXTURE_MEM - 0x1000, 0x2000, VMM_PROT_READ),
	    -EINVAL);
	ck_assert_int_eq(protect(0, 0, VMM_PROT_READ), -EINVAL);
	ck_assert_int_eq(protect(1, 0x1000, VMM_PROT_READ), -EINVAL);
	ck_assert_int_eq(protect(0, 0x1001, VMM_PROT_READ), -EINVAL);
	ck_assert_int_eq(protect(0, 0x1000, 0), -EINVAL);
	ck_assert_int_eq(protect(0, 0x1000, 8), -EINVAL);
	ck_assert_int_eq(protect(0, 0x1000, VMM_PROT_WRITE), -EINVAL);
	ck_assert_int_eq(protect(0, 0x1000, VMM_PROT_ALL), -EINVAL);
	unchanged(&before);
	for (uint64_t n = 1; ; n++) {
		int err;

		host_user_fail_alloc(n);
		err = protect(0, FIXTURE_MEM, VMM_PROT_READ);
		if (!host_user_alloc_failed()) {
			ck_assert_int_eq(err, 0);
			ck_assert_uint_gt(n, 3);
			break;
		}
		ck_assert_int_eq(err, -ENOMEM);
		unchanged(&before);
	}
	host_user_fail_alloc(0);
}
END_TEST

/* --- The clock's parameters ---------------------------------------------- */

START_TEST(vmparams)
{
	struct vm_rwvmparams_params p = { .vpp_vm_id = f.vm };
	struct snapshot before;

	p.vpp_mask = VM_RWVMPARAMS_ALL;
	p.vpp_pvclock_system_gpa = 0x20001;
	p.vpp_pvclock_version = 41;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEVMPARAMS, &p), 0);
	take(&before);
	ck_assert_uint_eq(before.clock[0].vpp_pvclock_system_gpa, 0x20001);
	ck_assert_uint_eq(before.clock[0].vpp_pvclock_version, 41);
	ck_assert_uint_eq(before.clock[1].vpp_pvclock_system_gpa, 0);
	/* A place that is none: neither of the two changes. */
	p.vpp_pvclock_system_gpa = FIXTURE_MEM + 1;
	p.vpp_pvclock_version = 77;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEVMPARAMS, &p), -EINVAL);
	for (unsigned int bit = 2; bit < 32; bit++) {
		p.vpp_mask = 1u << bit;
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEVMPARAMS, &p),
		    -EINVAL);
		ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READVMPARAMS, &p),
		    -EINVAL);
	}
	unchanged(&before);
	/* Only what is asked for. */
	p.vpp_mask = VM_RWVMPARAMS_PVCLOCK_VERSION;
	p.vpp_pvclock_version = 5;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_WRITEVMPARAMS, &p), 0);
	p.vpp_mask = VM_RWVMPARAMS_PVCLOCK_SYSTEM_GPA;
	p.vpp_pvclock_version = 1234;
	ck_assert_int_eq(fixture_ioctl(&f, VMM_IOC_READVMPARAMS, &p), 0);
	ck_assert_uint_eq(p.vpp_pvclock_system_gpa, 0x20001);
	ck_assert_uint_eq(p.vpp_pvclock_version, 1234);
	/* And the clock runs: one update more. */
	ck_assert_int_eq(fixture_steps(&f, &s, NULL, 0, VMM_NO_IRQ), 0);
	ck_assert_uint_eq(*(uint32_t *)(f.mem + 0x20000), 12);
	take(&before);
	ck_assert_uint_eq(before.clock[0].vpp_pvclock_version, 6);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
		unknown_commands,
		an_argument_that_cannot_be_read,
		no_memory_for_the_argument,
		an_answer_that_cannot_be_written,
		ids_of_nobody,
		another_user_s_vm,
		an_ended_vm_is_nobody_s,
		create_refuses,
		an_id_is_of_one_vm,
		ids_are_never_used_again,
		a_vm_whose_id_cannot_be_told,
		the_host_has_512_vcpus,
		info_tells_everything,
		info_never_writes_beyond,
		info_of_nothing,
		every_vm_that_the_caller_may_see,
		registers_that_no_cpu_would_hold,
		register_groups_are_apart,
		resetcpu_resets,
		run_refuses,
		the_creator_has_another_uid,
		run_that_cannot_report,
		a_vcpu_s_state_is_told,
		a_state_that_the_cpu_refuses,
		out_reaches_the_client,
		in_takes_the_client_s_answer,
		strings_come_one_by_one,
		exits_bring_what_they_are_about,
		exits_bring_the_registers_asked_for,
		memory_appears_when_it_is_touched,
		mmio_is_described_and_answered,
		mmio_unanswered,
		protections_hold,
		mprotect_refuses,
		vmparams,
	};

	return fixture_main_extremes("ioctl", tests,
	    sizeof(tests) / sizeof(tests[0]), start, stop);
}
