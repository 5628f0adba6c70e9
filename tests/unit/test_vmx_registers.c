/* SPDX-License-Identifier: ISC */
/*
 * test_vmx_registers.c - moving registers between a client, struct vcpu and a
 * VMCS: every register there and back, and what the VMCS looks like meanwhile.
 */
#include <check.h>
#include <stdlib.h>

#include "vm.h"
#include "vmcs.h"
#include "vmx_registers.h"

static struct vcpu *v;
static uint64_t vmcs[0x8000];	/* by encoding */
static unsigned int writes;

/* As SDM 3C 25.11.2 has it: a field drops what it has no room for. */
static uint64_t
in_width(uint32_t field, uint64_t value)
{
	switch (VMCS_ENCODING_WIDTH(field)) {
	case VMCS_WIDTH_16:
		return (uint16_t)value;
	case VMCS_WIDTH_32:
		return (uint32_t)value;
	default:
		return value;
	}
}

uint64_t
vmx_vmread(uint32_t field)
{
	ck_assert_msg(strcmp(vmcs_field_name(field), "unknown") != 0, "%#x", field);
	return vmcs[field];
}

void
vmx_vmwrite(uint32_t field, uint64_t value)
{
	ck_assert_msg(strcmp(vmcs_field_name(field), "unknown") != 0, "%#x", field);
	ck_assert_uint_ne(VMCS_ENCODING_GROUP(field), VMCS_GROUP_INFO);
	ck_assert_uint_ne(VMCS_ENCODING_GROUP(field), VMCS_GROUP_HOST);
	vmcs[field] = in_width(field, value);
	writes++;
}

static void
setup(void)
{
	v = calloc(1, sizeof(*v));
	memset(vmcs, 0, sizeof(vmcs));
	vmx_owned_cr0 = (struct vmx_owned) { 0 };
	vmx_owned_cr4 = (struct vmx_owned) { 0 };
}

static void
teardown(void)
{
	free(v);
}

static uint64_t
random64(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^
	    (uint64_t)random();
}

static struct vcpu_segment_info *
seg_in(struct vcpu_reg_state *vrs, enum sreg s)
{
	return (struct vcpu_segment_info *)(void *)((char *)vrs +
	    sreg_table[s].offset);
}

/* A segment as the CPU would have loaded it. */
static void
fill_segment(struct vcpu_segment_info *seg)
{
	memset(seg, 0, sizeof(*seg));
	seg->vsi_sel = (uint16_t)random();
	seg->vsi_limit = 0xffff & (uint32_t)random() & ~1u;
	seg->vsi_ar = ((uint32_t)random() & 0x707f) | 0x83;
	seg->vsi_base = random64();
}

static void
fill(struct vcpu_reg_state *vrs)
{
	uint64_t *p = (uint64_t *)vrs;
	unsigned int i;

	for (i = 0; i < sizeof(*vrs) / sizeof(*p); i++)
		p[i] = random64();
	for (i = 0; i < SREG_COUNT; i++)
		fill_segment(seg_in(vrs, (enum sreg)i));
	vrs->vrs_gdtr.vsi_sel = vrs->vrs_idtr.vsi_sel = 0;
	vrs->vrs_gdtr.vsi_ar = vrs->vrs_idtr.vsi_ar = 0;
}

static void
check_same_segment(const struct vcpu_segment_info *a,
    const struct vcpu_segment_info *b, enum sreg s)
{
	ck_assert_msg(a->vsi_sel == b->vsi_sel && a->vsi_limit == b->vsi_limit &&
	    a->vsi_ar == b->vsi_ar && a->vsi_base == b->vsi_base, "%s",
	    sreg_table[s].name);
}

START_TEST(every_register_there_and_back)
{
	struct vcpu_reg_state in, out;
	unsigned int i, round;

	vmx_owned_cr0 = (struct vmx_owned) { 0x60000020, 0x20, 0x60000000 };
	vmx_owned_cr4 = (struct vmx_owned) { 0xff002000, 0x2000, 0 };
	for (round = 0; round < 64; round++) {
		fill(&in);
		vmx_regs_write(v, VM_RWREGS_ALL, &in);
		memset(&out, 0x5a, sizeof(out));
		vmx_regs_read(v, VM_RWREGS_ALL, &out);
		for (i = 0; i < REG_COUNT; i++) {
			uint64_t a, b;

			if (reg_table[i].group == 0)
				continue;
			memcpy(&a, (char *)&in + reg_table[i].offset, sizeof(a));
			memcpy(&b, (char *)&out + reg_table[i].offset, sizeof(b));
			ck_assert_msg(a == b, "%s", reg_table[i].name);
			ck_assert_uint_eq(vmx_reg_get(v, (enum reg)i), b);
		}
		for (i = 0; i < SREG_COUNT; i++) {
			struct vcpu_segment_info one;

			check_same_segment(seg_in(&in, (enum sreg)i),
			    seg_in(&out, (enum sreg)i), (enum sreg)i);
			vmx_seg_get((enum sreg)i, &one);
			check_same_segment(&one, seg_in(&out, (enum sreg)i),
			    (enum sreg)i);
		}
	}
}
END_TEST

/* Writing one register changes that one and no other. */
START_TEST(registers_do_not_share_a_place)
{
	uint64_t before[REG_COUNT];
	unsigned int i, j;

	for (i = 0; i < REG_COUNT; i++)
		vmx_reg_set(v, (enum reg)i, random64());
	for (i = 0; i < REG_COUNT; i++) {
		uint64_t value = random64();

		for (j = 0; j < REG_COUNT; j++)
			before[j] = vmx_reg_get(v, (enum reg)j);
		vmx_reg_set(v, (enum reg)i, value);
		for (j = 0; j < REG_COUNT; j++)
			ck_assert_msg(vmx_reg_get(v, (enum reg)j) ==
			    (i == j ? value : before[j]), "%s changed %s",
			    reg_table[i].name, reg_table[j].name);
	}
}
END_TEST

START_TEST(segments_do_not_share_a_place)
{
	struct vcpu_segment_info before[SREG_COUNT], now, seg;
	unsigned int i, j;

	for (i = 0; i < SREG_COUNT; i++) {
		fill_segment(&seg);
		vmx_seg_set((enum sreg)i, &seg);
	}
	for (i = 0; i < SREG_COUNT; i++) {
		for (j = 0; j < SREG_COUNT; j++)
			vmx_seg_get((enum sreg)j, &before[j]);
		fill_segment(&seg);
		if (sreg_table[i].table)
			seg.vsi_sel = 0, seg.vsi_ar = 0;
		vmx_seg_set((enum sreg)i, &seg);
		for (j = 0; j < SREG_COUNT; j++) {
			vmx_seg_get((enum sreg)j, &now);
			check_same_segment(&now, i == j ? &seg : &before[j],
			    (enum sreg)j);
		}
	}
}
END_TEST

START_TEST(groups_are_apart)
{
	static const uint64_t groups[] = { VM_RWREGS_GPRS, VM_RWREGS_SREGS,
	    VM_RWREGS_CRS, VM_RWREGS_MSRS, VM_RWREGS_DRS };
	struct vcpu_reg_state in, out, old;
	unsigned int g, i;

	for (g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		fill(&old);
		vmx_regs_write(v, VM_RWREGS_ALL, &old);
		fill(&in);
		vmx_regs_write(v, groups[g], &in);
		vmx_regs_read(v, VM_RWREGS_ALL, &out);
		for (i = 0; i < REG_COUNT; i++) {
			const struct vcpu_reg_state *from =
			    reg_table[i].group == groups[g] ? &in : &old;

			if (reg_table[i].group == 0)
				continue;
			ck_assert_mem_eq((char *)&out + reg_table[i].offset,
			    (const char *)from + reg_table[i].offset, 8);
		}
		for (i = 0; i < SREG_COUNT; i++)
			check_same_segment(seg_in(&out, (enum sreg)i),
			    seg_in(groups[g] == VM_RWREGS_SREGS ? &in : &old,
			    (enum sreg)i), (enum sreg)i);
		/* Reading leaves the other groups of the buffer alone. */
		memset(&in, 0x5a, sizeof(in));
		vmx_regs_read(v, groups[g], &in);
		for (i = 0; i < REG_COUNT; i++) {
			uint64_t a;

			if (reg_table[i].group == 0 ||
			    reg_table[i].group == groups[g])
				continue;
			memcpy(&a, (char *)&in + reg_table[i].offset, sizeof(a));
			ck_assert_uint_eq(a, 0x5a5a5a5a5a5a5a5aULL);
		}
	}
	writes = 0;
	vmx_regs_write(v, 0, &old);
	ck_assert_uint_eq(writes, 0);
}
END_TEST

/* By hand from SDM 3D B. */
START_TEST(registers_lie_in_their_fields)
{
	static const struct { enum reg r; uint32_t field; } at[] = {
		{ REG_CR0, 0x6800 }, { REG_CR3, 0x6802 }, { REG_CR4, 0x6804 },
		{ REG_PDPTE0, 0x280a }, { REG_PDPTE1, 0x280c },
		{ REG_PDPTE2, 0x280e }, { REG_PDPTE3, 0x2810 },
		{ REG_EFER, 0x2806 }, { REG_PAT, 0x2804 }, { REG_DR7, 0x681a },
	};
	static const struct { enum sreg s; uint32_t sel, limit, ar, base; } seg[] = {
		{ SREG_ES, 0x800, 0x4800, 0x4814, 0x6806 },
		{ SREG_CS, 0x802, 0x4802, 0x4816, 0x6808 },
		{ SREG_SS, 0x804, 0x4804, 0x4818, 0x680a },
		{ SREG_DS, 0x806, 0x4806, 0x481a, 0x680c },
		{ SREG_FS, 0x808, 0x4808, 0x481c, 0x680e },
		{ SREG_GS, 0x80a, 0x480a, 0x481e, 0x6810 },
		{ SREG_LDTR, 0x80c, 0x480c, 0x4820, 0x6812 },
		{ SREG_TR, 0x80e, 0x480e, 0x4822, 0x6814 },
		{ SREG_GDTR, 0, 0x4810, 0, 0x6816 },
		{ SREG_IDTR, 0, 0x4812, 0, 0x6818 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		vmx_reg_set(v, at[i].r, 0x1234567890abcde0ULL + i);
		ck_assert_uint_eq(vmcs[at[i].field], 0x1234567890abcde0ULL + i);
	}
	ck_assert_uint_eq(sizeof(seg) / sizeof(seg[0]), SREG_COUNT);
	for (i = 0; i < SREG_COUNT; i++) {
		struct vcpu_segment_info s;

		fill_segment(&s);
		vmx_seg_set(seg[i].s, &s);
		ck_assert_uint_eq(vmcs[seg[i].limit], s.vsi_limit);
		ck_assert_uint_eq(vmcs[seg[i].base], s.vsi_base);
		if (seg[i].ar == 0)
			continue;
		ck_assert_uint_eq(vmcs[seg[i].sel], s.vsi_sel);
		ck_assert_uint_eq(vmcs[seg[i].ar], s.vsi_ar);
	}
	/* What the VMCS has no place for. */
	vmx_reg_set(v, REG_RSP, 1);
	vmx_reg_set(v, REG_RIP, 2);
	vmx_reg_set(v, REG_RFLAGS, 3);
	vmx_reg_set(v, REG_CR2, 4);
	vmx_reg_set(v, REG_CR8, 5);
	vmx_reg_set(v, REG_DR6, 6);
	vmx_reg_set(v, REG_XCR0, 7);
	vmx_reg_set(v, REG_KGSBASE, 8);
	vmx_reg_set(v, REG_STAR, 9);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RSP], 1);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RIP], 2);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RFLAGS], 3);
	ck_assert_uint_eq(v->cr2, 4);
	ck_assert_uint_eq(v->cr8, 5);
	ck_assert_uint_eq(v->dr6, 6);
	ck_assert_uint_eq(v->xcr0, 7);
	ck_assert_uint_eq(v->msr[MSR_SLOT_KERNEL_GS_BASE], 8);
	ck_assert_uint_eq(v->msr[MSR_SLOT_STAR], 9);
}
END_TEST

/* SDM 3C 25.6.6: the guest reads the shadow where a mask bit is 1. */
START_TEST(bits_that_are_not_the_guests)
{
	static const struct {
		enum reg r;
		struct vmx_owned *owned;
		uint32_t field, shadow;
	} at[] = {
		{ REG_CR0, &vmx_owned_cr0, 0x6800, 0x6004 },
		{ REG_CR4, &vmx_owned_cr4, 0x6804, 0x6006 },
	};

	for (unsigned int i = 0; i < 2; i++) {
		*at[i].owned = (struct vmx_owned) {
			.mask = 0xff, .set = 0x11, .clear = 0x22,
		};
		/* The guest wants none of what is set, all of what is clear. */
		vmx_reg_set(v, at[i].r, 0xa22);
		ck_assert_uint_eq(vmcs[at[i].field], 0xa11);
		ck_assert_uint_eq(vmx_reg_get(v, at[i].r), 0xa22);
		/* And the other way round. */
		vmx_reg_set(v, at[i].r, 0x511);
		ck_assert_uint_eq(vmcs[at[i].field], 0x511);
		ck_assert_uint_eq(vmx_reg_get(v, at[i].r), 0x511);
		/* Bits of the mask that are neither are in force as written. */
		vmx_reg_set(v, at[i].r, 0x0cc);
		ck_assert_uint_eq(vmcs[at[i].field], 0x0dd);
		ck_assert_uint_eq(vmx_reg_get(v, at[i].r), 0x0cc);
		/* The guest has changed its own bits without an exit. */
		vmcs[at[i].field] ^= 0x7700;
		ck_assert_uint_eq(vmx_reg_get(v, at[i].r), 0x77cc);
		/* What the CPU shows it, is what the client sees. */
		ck_assert_uint_eq((vmcs[at[i].field] & ~0xffULL) |
		    (vmcs[at[i].shadow] & 0xff), vmx_reg_get(v, at[i].r));
	}
}
END_TEST

static uint32_t
written_ar(enum sreg s, uint32_t ar, uint32_t limit)
{
	struct vcpu_segment_info seg = { .vsi_ar = ar, .vsi_limit = limit };

	vmx_seg_set(s, &seg);
	vmx_seg_get(s, &seg);
	ck_assert_uint_eq(seg.vsi_limit, limit);
	return seg.vsi_ar;
}

/* SDM 3C 27.3.1.2: what VM entry insists on. */
START_TEST(segments_are_made_loadable)
{
	static const enum sreg code_or_data[] = { SREG_CS, SREG_DS, SREG_ES,
	    SREG_FS, SREG_GS, SREG_SS };

	for (unsigned int i = 0; i < 6; i++) {
		enum sreg s = code_or_data[i];

		/* Accessed. */
		ck_assert_uint_eq(written_ar(s, 0x0092, 0xffff), 0x0093);
		/* Not present is unusable, and then nothing else matters. */
		ck_assert_uint_eq(written_ar(s, 0x0012, 0xffff), 0x10012);
		ck_assert_uint_eq(written_ar(s, 0, 0), 0x10000);
		ck_assert_uint_eq(written_ar(s, 0x1c092, 0xffff), 0x1c092);
		/* G and the limit. */
		ck_assert_uint_eq(written_ar(s, 0x4093, 0xffffffff), 0xc093);
		ck_assert_uint_eq(written_ar(s, 0xc093, 0xffffffff), 0xc093);
		ck_assert_uint_eq(written_ar(s, 0xc093, 0xfffff), 0xc093);
		ck_assert_uint_eq(written_ar(s, 0x4093, 0xfffff), 0x4093);
		ck_assert_uint_eq(written_ar(s, 0xc093, 0xffffe), 0x4093);
		ck_assert_uint_eq(written_ar(s, 0xc093, 0x67), 0x4093);
		/* Reserved bits. */
		ck_assert_uint_eq(written_ar(s, 0xfffe0f00 | 0x93, 0xffff), 0x0093);
	}
	/* TR is busy; it stays unusable where a client says so. */
	ck_assert_uint_eq(written_ar(SREG_TR, 0x89, 0x67), 0x8b);
	ck_assert_uint_eq(written_ar(SREG_TR, 0x81, 0x67), 0x83);
	ck_assert_uint_eq(written_ar(SREG_TR, 0x8b, 0x67), 0x8b);
	ck_assert_uint_eq(written_ar(SREG_TR, 0x09, 0x67), 0x10009);
	ck_assert_uint_eq(written_ar(SREG_LDTR, 0x82, 0xffff), 0x82);
	ck_assert_uint_eq(written_ar(SREG_LDTR, 0x10000, 0), 0x10000);
}
END_TEST

START_TEST(tables_have_16_bit_limits)
{
	struct vcpu_segment_info seg = { .vsi_sel = 0x1234, .vsi_ar = 0x93,
	    .vsi_limit = 0xabcd1234, .vsi_base = 0xffff800012345678ULL };

	for (enum sreg s = SREG_GDTR; s <= SREG_IDTR; s++) {
		struct vcpu_segment_info out;

		vmx_seg_set(s, &seg);
		memset(&out, 0x5a, sizeof(out));
		vmx_seg_get(s, &out);
		ck_assert_uint_eq(out.vsi_limit, 0x1234);
		ck_assert_uint_eq(out.vsi_base, 0xffff800012345678ULL);
		ck_assert_uint_eq(out.vsi_sel, 0);
		ck_assert_uint_eq(out.vsi_ar, 0);
	}
}
END_TEST

START_TEST(numbers_beyond_the_tables)
{
	struct vcpu_segment_info seg;

	writes = 0;
	ck_assert_uint_eq(vmx_reg_get(v, REG_COUNT), 0);
	vmx_reg_set(v, REG_COUNT, 1);
	memset(&seg, 0x5a, sizeof(seg));
	vmx_seg_get(SREG_COUNT, &seg);
	ck_assert_uint_eq(seg.vsi_base, 0);
	vmx_seg_set(SREG_COUNT, &seg);
	ck_assert_uint_eq(writes, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vmx_registers");
	TCase *t = tcase_create("vmx_registers");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_register_there_and_back);
	tcase_add_test(t, registers_do_not_share_a_place);
	tcase_add_test(t, segments_do_not_share_a_place);
	tcase_add_test(t, groups_are_apart);
	tcase_add_test(t, registers_lie_in_their_fields);
	tcase_add_test(t, bits_that_are_not_the_guests);
	tcase_add_test(t, segments_are_made_loadable);
	tcase_add_test(t, tables_have_16_bit_limits);
	tcase_add_test(t, numbers_beyond_the_tables);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
