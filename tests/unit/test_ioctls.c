/* SPDX-License-Identifier: ISC */
/*
 * test_ioctls.c - the generated ioctl table: which commands exist, that each
 * reaches its handler, and what each argument check refuses. The expected
 * results are written out here by hand, from vmm(4).
 */
#include <check.h>
#include <stdlib.h>
#include <linux/ioctl.h>

#include "host_user.h"
#include "ioctls.h"

static void *called_with;
static void *called_arg;
static int called;		/* number of the last ioctl */

#define HANDLER(name, number, type, with)				\
int									\
vmm_ioctl_##name(struct with *context, struct type *p)			\
{									\
	called_with = context;						\
	called_arg = p;							\
	called = number;						\
	return -(number);						\
}
HANDLER(create, 1, vm_create_params, vmm_session)
HANDLER(run, 2, vm_run_params, vcpu)
HANDLER(info, 3, vm_info_params, vmm_session)
HANDLER(term, 4, vm_terminate_params, vmm_session)
HANDLER(resetcpu, 5, vm_resetcpu_params, vcpu)
HANDLER(intr, 6, vm_intr_params, vcpu)
HANDLER(readregs, 7, vm_rwregs_params, vcpu)
HANDLER(writeregs, 8, vm_rwregs_params, vcpu)
HANDLER(readvmparams, 9, vm_rwvmparams_params, vcpu)
HANDLER(writevmparams, 10, vm_rwvmparams_params, vcpu)
HANDLER(mprotect_ept, 11, vm_mprotect_ept_params, vcpu)
HANDLER(refused, 32, vm_refused_params, vcpu)
HANDLER(exitregs, 33, vm_exitregs_params, vcpu)

/* These tests need no memory.c. */
bool
mem_invalidate(void *arg, uint64_t start, uint64_t end, bool may_block,
    unsigned long token)
{
	(void)arg, (void)start, (void)end, (void)may_block, (void)token;
	return true;
}

#define EXTENSIONS	2

/* The commands of ioctls.csv, as numbers: an oracle that no macro made. */
static const struct {
	uint32_t cmd;
	uint16_t size;
	bool out;
	uint8_t vcpu;	/* what the handler needs of it */
} commands[] = {
	{ 0xc5005601, 1280, true, IOCTL_VCPU_NONE },
	{ 0xc0205602, 32, true, IOCTL_VCPU_RUN },
	{ 0xc0185603, 24, true, IOCTL_VCPU_NONE },
	{ 0x40045604, 4, false, IOCTL_VCPU_NONE },
	{ 0x42405605, 576, false, IOCTL_VCPU_LOCKED },
	{ 0x400c5606, 12, false, IOCTL_VCPU_FOUND },	/* while RUN goes on */
	{ 0xc2485607, 584, true, IOCTL_VCPU_LOCKED },
	{ 0x42485608, 584, false, IOCTL_VCPU_LOCKED },
	{ 0xc0205609, 32, true, IOCTL_VCPU_FOUND },
	{ 0x4020560a, 32, false, IOCTL_VCPU_FOUND },
	{ 0x4020560b, 32, false, IOCTL_VCPU_LOCKED },
};
#define COMMANDS	((int)(sizeof(commands) / sizeof(commands[0])))

static int
check(uint32_t cmd, const void *arg)
{
	const struct ioctl_desc *d = ioctl_find(cmd);

	ck_assert_ptr_nonnull(d);
	return d->check(arg);
}

START_TEST(command_has_size_direction_and_handler)
{
	const struct ioctl_desc *d = ioctl_find(commands[_i].cmd);
	struct vmm_session *session = (struct vmm_session *)&d;
	struct vcpu *v = (struct vcpu *)(&d + 1);
	char arg[IOCTL_ARG_MAX];

	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(d->cmd, commands[_i].cmd);
	ck_assert_uint_eq(d->size, commands[_i].size);
	ck_assert_uint_le(d->size, IOCTL_ARG_MAX);
	ck_assert_uint_eq(d->dir, IOCTL_DIR_IN |
	    (commands[_i].out ? IOCTL_DIR_OUT : 0));
	ck_assert(strncmp(d->name, "VMM_IOC_", 8) == 0);
	ck_assert_uint_eq(d->vcpu, commands[_i].vcpu);
	ck_assert_int_eq(d->handler(session, v, arg), -(_i + 1));
	ck_assert_int_eq(called, _i + 1);
	ck_assert_ptr_eq(called_with, d->vcpu == IOCTL_VCPU_NONE ? (void *)session : v);
	ck_assert_ptr_eq(called_arg, arg);
}
END_TEST

START_TEST(any_other_command_is_unknown)
{
	unsigned int number, dir, size, i, found = 0;
	static const unsigned int sizes[] = {
		0, 4, 8, 12, 16, 24, 28, 32, 36, 456, 576, 584, 1280, 1284, 16383,
	};

	for (number = 0; number < 256; number++) {
		for (dir = 0; dir < 4; dir++) {
			for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
				size = sizes[i];
				found += ioctl_find(_IOC(dir, 'V', number,
				    size)) != NULL;
				ck_assert_ptr_null(ioctl_find(_IOC(dir, 'W',
				    number, size)));
			}
		}
	}
	ck_assert_uint_eq(found, COMMANDS + EXTENSIONS);
	for (number = 0; number < 0x10000; number++)
		ck_assert_ptr_null(ioctl_find(number));
}
END_TEST

/* What vmm(4) does not have is numbered from 32 up. */
START_TEST(extensions_are_out_of_the_way)
{
	static const struct {
		uint32_t cmd;
		const char *name;
		uint16_t size;
	} extensions[] = {
		{ 0xc1c85620, "VMM_IOC_REFUSED", 456 },
		{ 0x40105621, "VMM_IOC_EXITREGS", 16 },
	};

	for (int i = 0; i < EXTENSIONS; i++) {
		const struct ioctl_desc *d = ioctl_find(extensions[i].cmd);

		ck_assert_ptr_nonnull(d);
		ck_assert_str_eq(d->name, extensions[i].name);
		ck_assert_uint_eq(d->size, extensions[i].size);
		ck_assert_uint_eq(d->vcpu, IOCTL_VCPU_LOCKED);
		ck_assert_int_eq(d->handler(NULL, NULL, NULL), -32 - i);
	}
}
END_TEST

/* --- CREATE ------------------------------------------------------------------ */

#define MIB		0x100000ULL
#define HOLE		0xf0000000ULL
#define HOLE_END	0x100000000ULL	/* exclusive */
#define LIMIT		0x2000000000ULL	/* 128 GiB */
#define USER		0x7f0000000000ULL

/* A PC: low memory, a gap, the rest; 2 MiB together. */
static struct vm_create_params
pc(void)
{
	struct vm_create_params p = {
		.vcp_nmemranges = 2, .vcp_ncpus = 1,
		.vcp_memranges = {
			{ .vmr_gpa = 0, .vmr_va = USER, .vmr_size = 0xa0000 },
			{ .vmr_gpa = MIB, .vmr_va = USER + MIB,
			    .vmr_size = 0x160000 },
		},
	};

	return p;
}

static int
create(const struct vm_create_params *p)
{
	return check(VMM_IOC_CREATE, p);
}

/* One range. */
static int
create_range(uint64_t gpa, uint64_t va, uint64_t size)
{
	struct vm_create_params p = pc();

	p.vcp_nmemranges = 1;
	p.vcp_memranges[0].vmr_gpa = gpa;
	p.vcp_memranges[0].vmr_va = va;
	p.vcp_memranges[0].vmr_size = size;
	return create(&p);
}

START_TEST(create_takes_a_usual_vm)
{
	struct vm_create_params p = pc();

	ck_assert_int_eq(create(&p), 0);
	/* Everything that the driver does not read. */
	p.vcp_ndisks = p.vcp_nnics = SIZE_MAX;
	memset(p.vcp_disks, 0xff, sizeof(p.vcp_disks));
	memset(p.vcp_cdrom, 0xff, sizeof(p.vcp_cdrom));
	memset(p.vcp_name, 0xff, sizeof(p.vcp_name));
	memset(p.vcp_kernel, 0xff, sizeof(p.vcp_kernel));
	memset(p.vcp_macs, 0xff, sizeof(p.vcp_macs));
	p.vcp_id = UINT32_MAX;
	memset(&p.vcp_memranges[2], 0xff, 14 * sizeof(p.vcp_memranges[0]));
	ck_assert_int_eq(create(&p), 0);
}
END_TEST

START_TEST(create_counts_vcpus)
{
	struct vm_create_params p = pc();
	size_t n;

	for (n = 1; n <= 64; n++) {
		p.vcp_ncpus = n;
		ck_assert_int_eq(create(&p), 0);
	}
	p.vcp_ncpus = 0;
	ck_assert_int_eq(create(&p), -EINVAL);
	p.vcp_ncpus = 65;
	ck_assert_int_eq(create(&p), -EINVAL);
	p.vcp_ncpus = (size_t)1 << 32 | 1;
	ck_assert_int_eq(create(&p), -EINVAL);
	p.vcp_ncpus = SIZE_MAX;
	ck_assert_int_eq(create(&p), -EINVAL);
}
END_TEST

START_TEST(create_counts_ranges)
{
	struct vm_create_params p = pc();
	size_t i;

	for (i = 0; i < 16; i++) {
		p.vcp_memranges[i].vmr_gpa = i * MIB;
		p.vcp_memranges[i].vmr_va = USER + i * MIB;
		p.vcp_memranges[i].vmr_size = MIB;
	}
	for (i = 1; i <= 16; i++) {
		p.vcp_nmemranges = i;
		ck_assert_int_eq(create(&p), 0);
	}
	p.vcp_nmemranges = 0;
	ck_assert_int_eq(create(&p), -EINVAL);
	/* Under the address sanitizer: nothing behind the array is read. */
	p.vcp_nmemranges = 17;
	ck_assert_int_eq(create(&p), -EINVAL);
	p.vcp_nmemranges = SIZE_MAX;
	ck_assert_int_eq(create(&p), -EINVAL);
}
END_TEST

START_TEST(create_wants_pages)
{
	unsigned int bit;

	ck_assert_int_eq(create_range(MIB, USER, MIB), 0);
	for (bit = 0; bit < 12; bit++) {
		ck_assert_int_eq(create_range(MIB | 1u << bit, USER, MIB),
		    -EINVAL);
		ck_assert_int_eq(create_range(MIB, USER | 1u << bit, MIB),
		    -EINVAL);
		ck_assert_int_eq(create_range(MIB, USER, MIB | 1u << bit),
		    -EINVAL);
	}
	ck_assert_int_eq(create_range(MIB, USER, 0), -EINVAL);
}
END_TEST

START_TEST(create_ends_at_the_limit)
{
	ck_assert_int_eq(create_range(LIMIT - MIB, USER, MIB), 0);
	ck_assert_int_eq(create_range(LIMIT - MIB, USER, 2 * MIB), -EINVAL);
	ck_assert_int_eq(create_range(LIMIT - MIB, USER, MIB + 4096), -EINVAL);
	ck_assert_int_eq(create_range(LIMIT, USER, MIB), -EINVAL);
	ck_assert_int_eq(create_range(-MIB, USER, MIB), -EINVAL);
	ck_assert_int_eq(create_range(MIB, USER, -MIB), -EINVAL);
	ck_assert_int_eq(create_range(MIB, USER, -4096ULL), -EINVAL);
}
END_TEST

START_TEST(create_wants_user_addresses)
{
	ck_assert_int_eq(create_range(0, 0x10000, MIB), 0);
	ck_assert_int_eq(create_range(0, 0, MIB), -EINVAL);
	ck_assert_int_eq(create_range(0, 0xffff800000000000, MIB), -EINVAL);
	ck_assert_int_eq(create_range(0, -MIB, MIB), -EINVAL);
	ck_assert_int_eq(create_range(0, 0x7ffffff00000, 2 * MIB), -EINVAL);
}
END_TEST

START_TEST(create_keeps_off_the_device_window)
{
	ck_assert_int_eq(create_range(HOLE - MIB, USER, MIB), 0);
	ck_assert_int_eq(create_range(HOLE_END, USER, MIB), 0);
	ck_assert_int_eq(create_range(HOLE - MIB, USER, 2 * MIB), -EINVAL);
	ck_assert_int_eq(create_range(HOLE, USER, MIB), -EINVAL);
	ck_assert_int_eq(create_range(HOLE_END - MIB, USER, MIB), -EINVAL);
	ck_assert_int_eq(create_range(HOLE_END - MIB, USER, 2 * MIB), -EINVAL);
	/* The whole window, which vmm(4) lets pass. */
	ck_assert_int_eq(create_range(HOLE - MIB, USER,
	    HOLE_END - HOLE + 2 * MIB), -EINVAL);
	ck_assert_int_eq(create_range(HOLE - MIB, USER,
	    HOLE_END - HOLE + MIB), -EINVAL);
	ck_assert_int_eq(create_range(0, USER, 2 * HOLE_END), -EINVAL);
}
END_TEST

START_TEST(create_wants_order)
{
	struct vm_create_params p = pc(), q;

	/* Touching. */
	p.vcp_memranges[1].vmr_gpa = 0xa0000;
	ck_assert_int_eq(create(&p), 0);
	/* A page too low, the same place, and the wrong way round. */
	p.vcp_memranges[1].vmr_gpa = 0xa0000 - 4096;
	ck_assert_int_eq(create(&p), -EINVAL);
	p.vcp_memranges[1].vmr_gpa = 0;
	ck_assert_int_eq(create(&p), -EINVAL);
	p = q = pc();
	p.vcp_memranges[0] = q.vcp_memranges[1];
	p.vcp_memranges[1] = q.vcp_memranges[0];
	ck_assert_int_eq(create(&p), -EINVAL);
}
END_TEST

START_TEST(create_wants_whole_mebibytes)
{
	struct vm_create_params p = pc();

	p.vcp_memranges[1].vmr_size += 4096;
	ck_assert_int_eq(create(&p), -EINVAL);
	p.vcp_memranges[1].vmr_size += MIB - 4096;
	ck_assert_int_eq(create(&p), 0);
	p.vcp_memranges[1].vmr_size -= 0x80000;
	ck_assert_int_eq(create(&p), -EINVAL);
}
END_TEST

/* --- The others ---------------------------------------------------------------- */

START_TEST(run_takes_vectors)
{
	struct vm_run_params p;
	unsigned int irq;

	memset(&p, 0xff, sizeof(p));
	for (irq = 0; irq <= 0xffff; irq++) {
		p.vrp_irq = (uint16_t)irq;
		ck_assert_int_eq(check(VMM_IOC_RUN, &p),
		    irq <= 0xff || irq == 0xffff ? 0 : -EINVAL);
	}
}
END_TEST

START_TEST(masks_have_defined_bits_only)
{
	struct vm_rwregs_params r;
	struct vm_rwvmparams_params v;
	unsigned int bit;

	memset(&r, 0xff, sizeof(r));
	memset(&v, 0xff, sizeof(v));
	for (bit = 0; bit < 64; bit++) {
		r.vrwp_mask = 1ULL << bit;
		ck_assert_int_eq(check(VMM_IOC_READREGS, &r),
		    bit < 5 ? 0 : -EINVAL);
		ck_assert_int_eq(check(VMM_IOC_WRITEREGS, &r),
		    bit < 5 ? 0 : -EINVAL);
		r.vrwp_mask |= 1;
		ck_assert_int_eq(check(VMM_IOC_READREGS, &r),
		    bit < 5 ? 0 : -EINVAL);
	}
	for (bit = 0; bit < 32; bit++) {
		v.vpp_mask = 1u << bit;
		ck_assert_int_eq(check(VMM_IOC_READVMPARAMS, &v),
		    bit < 2 ? 0 : -EINVAL);
		ck_assert_int_eq(check(VMM_IOC_WRITEVMPARAMS, &v),
		    bit < 2 ? 0 : -EINVAL);
	}
	r.vrwp_mask = 0;
	v.vpp_mask = 0;
	ck_assert_int_eq(check(VMM_IOC_READREGS, &r), 0);
	ck_assert_int_eq(check(VMM_IOC_WRITEREGS, &r), 0);
	ck_assert_int_eq(check(VMM_IOC_READVMPARAMS, &v), 0);
	ck_assert_int_eq(check(VMM_IOC_WRITEVMPARAMS, &v), 0);
	r.vrwp_mask = 0x1f;
	v.vpp_mask = 3;
	ck_assert_int_eq(check(VMM_IOC_READREGS, &r), 0);
	ck_assert_int_eq(check(VMM_IOC_WRITEREGS, &r), 0);
	ck_assert_int_eq(check(VMM_IOC_READVMPARAMS, &v), 0);
	ck_assert_int_eq(check(VMM_IOC_WRITEVMPARAMS, &v), 0);
}
END_TEST

static int
protect(uint64_t gpa, uint64_t size, int prot)
{
	struct vm_mprotect_ept_params p = {
		.vmep_vm_id = UINT32_MAX, .vmep_vcpu_id = UINT32_MAX,
		.vmep_sgpa = gpa, .vmep_size = size, .vmep_prot = prot,
	};

	return check(VMM_IOC_MPROTECT_EPT, &p);
}

START_TEST(mprotect_takes_sensible_rights)
{
	/* R 1, W 2, X 4: not nothing, no W without R, no W with X. */
	static const bool good[8] = {
		[1] = true, [3] = true, [4] = true, [5] = true,
	};
	unsigned int bit;
	int prot;

	for (prot = 0; prot < 8; prot++)
		ck_assert_int_eq(protect(0, 4096, prot),
		    good[prot] ? 0 : -EINVAL);
	for (bit = 3; bit < 32; bit++)
		ck_assert_int_eq(protect(0, 4096, (int)(1 | 1u << bit)),
		    -EINVAL);
	ck_assert_int_eq(protect(0, 4096, -1), -EINVAL);
}
END_TEST

START_TEST(mprotect_takes_pages_of_guest_memory)
{
	unsigned int bit;

	ck_assert_int_eq(protect(LIMIT - 4096, 4096, 1), 0);
	ck_assert_int_eq(protect(0, HOLE, 1), 0);
	ck_assert_int_eq(protect(HOLE_END, LIMIT - HOLE_END, 1), 0);
	ck_assert_int_eq(protect(0, 0, 1), -EINVAL);
	for (bit = 0; bit < 12; bit++) {
		ck_assert_int_eq(protect(1u << bit, 4096, 1), -EINVAL);
		ck_assert_int_eq(protect(0, 4096 | 1u << bit, 1), -EINVAL);
	}
	ck_assert_int_eq(protect(LIMIT, 4096, 1), -EINVAL);
	ck_assert_int_eq(protect(LIMIT - 4096, 8192, 1), -EINVAL);
	ck_assert_int_eq(protect(4096, -4096ULL, 1), -EINVAL);
	ck_assert_int_eq(protect(-4096ULL, 4096, 1), -EINVAL);
	ck_assert_int_eq(protect(-4096ULL, 8192, 1), -EINVAL);
	ck_assert_int_eq(protect(HOLE - 4096, 8192, 1), -EINVAL);
	ck_assert_int_eq(protect(HOLE, 4096, 1), -EINVAL);
	ck_assert_int_eq(protect(HOLE_END - 4096, 4096, 1), -EINVAL);
	ck_assert_int_eq(protect(0, LIMIT, 1), -EINVAL);
}
END_TEST

START_TEST(the_rest_takes_anything)
{
	static const uint32_t cmds[] = {
		VMM_IOC_INFO, VMM_IOC_TERM, VMM_IOC_RESETCPU, VMM_IOC_INTR,
	};
	unsigned char *arg;
	unsigned int i, fill;

	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		/* Exactly its size, so that the sanitizer sees more. */
		arg = malloc(ioctl_find(cmds[i])->size);
		ck_assert_ptr_nonnull(arg);
		for (fill = 0; fill <= 0xff; fill += 0x55) {
			memset(arg, (int)fill, ioctl_find(cmds[i])->size);
			ck_assert_int_eq(check(cmds[i], arg), 0);
		}
		free(arg);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ioctls");
	TCase *tc = tcase_create("ioctls");
	SRunner *r;
	int failed;

	tcase_add_loop_test(tc, command_has_size_direction_and_handler, 0,
	    COMMANDS);
	tcase_add_test(tc, any_other_command_is_unknown);
	tcase_add_test(tc, extensions_are_out_of_the_way);
	tcase_add_test(tc, create_takes_a_usual_vm);
	tcase_add_test(tc, create_counts_vcpus);
	tcase_add_test(tc, create_counts_ranges);
	tcase_add_test(tc, create_wants_pages);
	tcase_add_test(tc, create_ends_at_the_limit);
	tcase_add_test(tc, create_wants_user_addresses);
	tcase_add_test(tc, create_keeps_off_the_device_window);
	tcase_add_test(tc, create_wants_order);
	tcase_add_test(tc, create_wants_whole_mebibytes);
	tcase_add_test(tc, run_takes_vectors);
	tcase_add_test(tc, masks_have_defined_bits_only);
	tcase_add_test(tc, mprotect_takes_sensible_rights);
	tcase_add_test(tc, mprotect_takes_pages_of_guest_memory);
	tcase_add_test(tc, the_rest_takes_anything);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
