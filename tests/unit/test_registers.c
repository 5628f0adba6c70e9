/* SPDX-License-Identifier: ISC */
/*
 * test_registers.c - moving registers between a client, struct vcpu and a
 * VMCB: every register there and back, and what the VMCB looks like meanwhile.
 */
#include <check.h>
#include <stdlib.h>

#include "vm.h"
#include "svm_vmcb.h"
#include "svm_registers.h"

/* EFER.SVME, from the manual (APM 2 3.1.7), not from our own tables. */
#define SVME	(1ULL << 12)

static struct vmcb *vmcb;
static struct vcpu *v;

static void
setup(void)
{
	vmcb = aligned_alloc(4096, sizeof(*vmcb));
	v = calloc(1, sizeof(*v));
	memset(vmcb, 0, sizeof(*vmcb));
	vmcb->clean = ~0u;
}

static void
teardown(void)
{
	free(vmcb);
	free(v);
}

static uint64_t
random64(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^
	    (uint64_t)random();
}

/* What a register reads as after `value` was written. */
static uint64_t
read_back(enum reg r, uint64_t value)
{
	switch (r) {
	case REG_EFER:
		return value & ~SVME;
	case REG_CR8:
		return value & 0xf;
	case REG_PDPTE0:
	case REG_PDPTE1:
	case REG_PDPTE2:
	case REG_PDPTE3:
		return 0;
	default:
		return value;
	}
}

static struct vcpu_segment_info *
seg_in(struct vcpu_reg_state *vrs, enum sreg s)
{
	return (struct vcpu_segment_info *)(void *)((char *)vrs +
	    sreg_table[s].offset);
}

static void
fill_segment(struct vcpu_segment_info *seg)
{
	memset(seg, 0, sizeof(*seg));
	seg->vsi_sel = (uint16_t)random();
	seg->vsi_limit = 0xfffff & (uint32_t)random();
	/* Present, never unusable; TR-like busy bit set. */
	seg->vsi_ar = ((uint32_t)random() & 0xf07f) | 0x80 | 0x2;
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

START_TEST(table_follows_the_interface)
{
	static const struct { enum reg r; uint16_t offset; uint64_t group; } at[] = {
		/* Layout of the interface: vrs_gprs 0, vrs_crs 144, vrs_msrs 224,
		 * vrs_drs 280. */
		{ REG_RAX, 0, VM_RWREGS_GPRS }, { REG_RBX, 8, VM_RWREGS_GPRS },
		{ REG_R8, 48, VM_RWREGS_GPRS }, { REG_RSP, 112, VM_RWREGS_GPRS },
		{ REG_RBP, 120, VM_RWREGS_GPRS }, { REG_RIP, 128, VM_RWREGS_GPRS },
		{ REG_RFLAGS, 136, VM_RWREGS_GPRS },
		{ REG_CR0, 144, VM_RWREGS_CRS }, { REG_CR2, 152, VM_RWREGS_CRS },
		{ REG_CR3, 160, VM_RWREGS_CRS }, { REG_CR4, 168, VM_RWREGS_CRS },
		{ REG_CR8, 176, VM_RWREGS_CRS }, { REG_XCR0, 184, VM_RWREGS_CRS },
		{ REG_PDPTE0, 192, VM_RWREGS_CRS },
		{ REG_PDPTE3, 216, VM_RWREGS_CRS },
		{ REG_EFER, 224, VM_RWREGS_MSRS },
		{ REG_STAR, 232, VM_RWREGS_MSRS },
		{ REG_KGSBASE, 264, VM_RWREGS_MSRS },
		{ REG_MISC_ENABLE, 272, VM_RWREGS_MSRS },
		{ REG_DR0, 280, VM_RWREGS_DRS }, { REG_DR6, 312, VM_RWREGS_DRS },
		{ REG_DR7, 320, VM_RWREGS_DRS },
	};
	unsigned int i, slots = 0;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		ck_assert_uint_eq(reg_table[at[i].r].offset, at[i].offset);
		ck_assert_uint_eq(reg_table[at[i].r].group, at[i].group);
	}
	for (i = 0; i < REG_COUNT; i++) {
		ck_assert_ptr_ne(reg_table[i].name, NULL);
		ck_assert((reg_table[i].group == 0) ==
		    (reg_table[i].offset == REG_NO_OFFSET));
		slots += reg_table[i].group != 0;
	}
	ck_assert_uint_eq(slots, VCPU_REGS_NGPRS + VCPU_REGS_NCRS +
	    VCPU_REGS_NMSRS + VCPU_REGS_NDRS);
	ck_assert_uint_eq(REG_RFLAGS, 17);
	ck_assert_uint_eq(sreg_table[SREG_CS].offset, 328);
	ck_assert_uint_eq(sreg_table[SREG_TR].offset, 328 + 7 * 24);
	ck_assert_uint_eq(sreg_table[SREG_GDTR].offset, 520);
	ck_assert_uint_eq(sreg_table[SREG_IDTR].offset, 544);
}
END_TEST

START_TEST(checks_guard_what_the_cpu_would_refuse)
{
	static const struct { enum reg r; uint8_t check; } at[] = {
		{ REG_RIP, REG_CHECK_CANONICAL }, { REG_RFLAGS, REG_CHECK_RFLAGS },
		{ REG_CR0, REG_CHECK_CR0 }, { REG_CR3, REG_CHECK_CR3 },
		{ REG_CR4, REG_CHECK_CR4 }, { REG_CR8, REG_CHECK_CR8 },
		{ REG_XCR0, REG_CHECK_XCR0 }, { REG_EFER, REG_CHECK_EFER },
		{ REG_LSTAR, REG_CHECK_CANONICAL },
		{ REG_CSTAR, REG_CHECK_CANONICAL },
		{ REG_KGSBASE, REG_CHECK_CANONICAL },
		{ REG_SFMASK, REG_CHECK_LOW32 },
		{ REG_DR6, REG_CHECK_DR6 }, { REG_DR7, REG_CHECK_DR7 },
		{ REG_PAT, REG_CHECK_PAT },
	};
	unsigned int i, n = 0;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		ck_assert_uint_eq(reg_table[at[i].r].check, at[i].check);
	for (i = 0; i < REG_COUNT; i++)
		n += reg_table[i].check != REG_CHECK_NONE;
	ck_assert_uint_eq(n, sizeof(at) / sizeof(at[0]));
}
END_TEST

START_TEST(every_register_there_and_back)
{
	struct vcpu_reg_state in, out;
	unsigned int i, round;

	for (round = 0; round < 64; round++) {
		fill(&in);
		svm_regs_write(vmcb, v, VM_RWREGS_ALL, &in);
		memset(&out, 0x5a, sizeof(out));
		svm_regs_read(vmcb, v, VM_RWREGS_ALL, &out);
		for (i = 0; i < REG_COUNT; i++) {
			uint64_t a, b;

			if (reg_table[i].group == 0)
				continue;
			memcpy(&a, (char *)&in + reg_table[i].offset, sizeof(a));
			memcpy(&b, (char *)&out + reg_table[i].offset, sizeof(b));
			ck_assert_msg(b == read_back((enum reg)i, a), "%s",
			    reg_table[i].name);
			ck_assert_uint_eq(svm_reg_get(vmcb, v, (enum reg)i), b);
		}
		for (i = 0; i < SREG_COUNT; i++) {
			const struct vcpu_segment_info *a, *b;
			struct vcpu_segment_info one;

			a = seg_in(&in, (enum sreg)i);
			b = seg_in(&out, (enum sreg)i);
			ck_assert_msg(a->vsi_sel == b->vsi_sel &&
			    a->vsi_limit == b->vsi_limit &&
			    a->vsi_ar == b->vsi_ar && a->vsi_base == b->vsi_base,
			    "%s", sreg_table[i].name);
			svm_seg_get(vmcb, (enum sreg)i, &one);
			ck_assert(one.vsi_sel == b->vsi_sel &&
			    one.vsi_limit == b->vsi_limit &&
			    one.vsi_ar == b->vsi_ar && one.vsi_base == b->vsi_base);
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
		svm_reg_set(vmcb, v, (enum reg)i, random64());
	for (i = 0; i < REG_COUNT; i++) {
		uint64_t value = random64();

		for (j = 0; j < REG_COUNT; j++)
			before[j] = svm_reg_get(vmcb, v, (enum reg)j);
		svm_reg_set(vmcb, v, (enum reg)i, value);
		for (j = 0; j < REG_COUNT; j++)
			ck_assert_msg(svm_reg_get(vmcb, v, (enum reg)j) ==
			    (i == j ? read_back((enum reg)i, value) : before[j]),
			    "%s changed %s", reg_table[i].name, reg_table[j].name);
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
		svm_regs_write(vmcb, v, VM_RWREGS_ALL, &old);
		svm_regs_read(vmcb, v, VM_RWREGS_ALL, &old);
		fill(&in);
		svm_regs_write(vmcb, v, groups[g], &in);
		svm_regs_read(vmcb, v, VM_RWREGS_ALL, &out);
		for (i = 0; i < REG_COUNT; i++) {
			uint64_t a, b, c;

			if (reg_table[i].group == 0)
				continue;
			memcpy(&a, (char *)&in + reg_table[i].offset, sizeof(a));
			memcpy(&b, (char *)&out + reg_table[i].offset, sizeof(b));
			memcpy(&c, (char *)&old + reg_table[i].offset, sizeof(c));
			ck_assert_msg(b == (reg_table[i].group == groups[g] ?
			    read_back((enum reg)i, a) : c), "%s", reg_table[i].name);
		}
		for (i = 0; i < SREG_COUNT; i++)
			ck_assert_uint_eq(seg_in(&out, (enum sreg)i)->vsi_base,
			    seg_in(groups[g] == VM_RWREGS_SREGS ? &in : &old,
			    (enum sreg)i)->vsi_base);
		/* Reading leaves the other groups of the buffer alone. */
		memset(&in, 0x5a, sizeof(in));
		svm_regs_read(vmcb, v, groups[g], &in);
		for (i = 0; i < REG_COUNT; i++) {
			uint64_t a;

			if (reg_table[i].group == 0 ||
			    reg_table[i].group == groups[g])
				continue;
			memcpy(&a, (char *)&in + reg_table[i].offset, sizeof(a));
			ck_assert_uint_eq(a, 0x5a5a5a5a5a5a5a5aULL);
		}
	}
	memset(&in, 0x5a, sizeof(in));
	memset(&out, 0x5a, sizeof(out));
	svm_regs_read(vmcb, v, 0, &in);
	ck_assert_mem_eq(&in, &out, sizeof(in));
}
END_TEST

START_TEST(svme_is_neither_seen_nor_cleared)
{
	static const uint64_t values[] = { 0, SVME, 0xd01, 0xd01 | SVME, ~0ULL };
	struct vcpu_reg_state vrs;
	unsigned int i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		svm_reg_set(vmcb, v, REG_EFER, values[i]);
		ck_assert(vmcb->efer == (values[i] | SVME));
		ck_assert_uint_eq(svm_reg_get(vmcb, v, REG_EFER),
		    values[i] & ~SVME);
		memset(&vrs, 0, sizeof(vrs));
		vrs.vrs_msrs[VCPU_REGS_EFER] = values[i];
		svm_regs_write(vmcb, v, VM_RWREGS_MSRS, &vrs);
		/* D28: bits that the client clears are cleared. */
		ck_assert(vmcb->efer == (values[i] | SVME));
		svm_regs_read(vmcb, v, VM_RWREGS_MSRS, &vrs);
		ck_assert_uint_eq(vrs.vrs_msrs[VCPU_REGS_EFER], values[i] & ~SVME);
	}
}
END_TEST

START_TEST(cpl_follows_ss)
{
	struct vcpu_segment_info ss = { .vsi_sel = 0x10, .vsi_limit = ~0u };
	unsigned int cpl;

	for (cpl = 0; cpl < 4; cpl++) {
		ss.vsi_ar = 0xc093 | cpl << 5;
		svm_seg_set(vmcb, SREG_SS, &ss);
		ck_assert_uint_eq(vmcb->cpl, cpl);
		/* A null stack segment at CPL 0 to 3 in 64-bit mode. */
		ss.vsi_ar = 0x10000 | cpl << 5;
		svm_seg_set(vmcb, SREG_SS, &ss);
		ck_assert_uint_eq(vmcb->cpl, cpl);
	}
	/* SYSRET: CPL became 3, the attributes did not; a copy keeps CPL. */
	ss.vsi_ar = 0xc093;
	svm_seg_set(vmcb, SREG_SS, &ss);
	vmcb->cpl = 3;
	svm_seg_get(vmcb, SREG_SS, &ss);
	ck_assert_uint_eq(ss.vsi_ar, 0xc0f3);
	svm_seg_set(vmcb, SREG_SS, &ss);
	ck_assert_uint_eq(vmcb->cpl, 3);
	/* Other segments do not matter. */
	ss.vsi_ar = 0xa09b;
	svm_seg_set(vmcb, SREG_CS, &ss);
	svm_seg_set(vmcb, SREG_DS, &ss);
	ck_assert_uint_eq(vmcb->cpl, 3);
}
END_TEST

START_TEST(attributes_are_converted)
{
	static const struct { uint32_t ar; uint16_t attr; } at[] = {
		{ 0xa09b, 0xa9b },	/* 64-bit code */
		{ 0xc09b, 0xc9b }, { 0xc093, 0xc93 }, { 0xc0f3, 0xcf3 },
		{ 0x809f, 0x89f }, { 0x8093, 0x893 }, { 0x0093, 0x093 },
		{ 0x008b, 0x08b }, { 0x0082, 0x082 }, { 0xf0ff, 0xfff },
	};
	static const enum sreg all[] = { SREG_CS, SREG_DS, SREG_ES, SREG_FS,
	    SREG_GS, SREG_LDTR };
	struct vcpu_segment_info seg = { .vsi_limit = 0xffff };
	unsigned int i, j;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (j = 0; j < sizeof(all) / sizeof(all[0]); j++) {
			seg.vsi_ar = at[i].ar;
			svm_seg_set(vmcb, all[j], &seg);
			svm_seg_get(vmcb, all[j], &seg);
			ck_assert_uint_eq(seg.vsi_ar, at[i].ar);
		}
		ck_assert_uint_eq(vmcb->ds.attributes, at[i].attr);
		ck_assert_uint_eq(vmcb->ldtr.attributes, at[i].attr);
	}
}
END_TEST

START_TEST(unusable_is_not_present)
{
	static const enum sreg all[] = { SREG_DS, SREG_ES, SREG_FS, SREG_GS,
	    SREG_SS, SREG_LDTR, SREG_TR };
	struct vcpu_segment_info seg;
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		memset(&seg, 0, sizeof(seg));
		seg.vsi_ar = 0x10000;
		svm_seg_set(vmcb, all[i], &seg);
		svm_seg_get(vmcb, all[i], &seg);
		ck_assert_uint_eq(seg.vsi_ar, 0x10000);
		/* The client may leave the rest of the rights as they were. */
		seg.vsi_ar = 0x1c093;
		svm_seg_set(vmcb, all[i], &seg);
		svm_seg_get(vmcb, all[i], &seg);
		ck_assert_uint_eq(seg.vsi_ar, 0x1c013);
		/* Nothing present: nobody can use it. */
		seg.vsi_ar = 0x0013;
		svm_seg_set(vmcb, all[i], &seg);
		svm_seg_get(vmcb, all[i], &seg);
		ck_assert_uint_eq(seg.vsi_ar, 0x10013);
	}
	/* The VMCB has 12 bits of attributes, and no unusable bit. */
	ck_assert_uint_eq(vmcb->ds.attributes & 0xf080, 0);
	ck_assert_uint_eq(vmcb->tr.attributes & 0xf080, 0);
}
END_TEST

START_TEST(bits_that_cpus_lose)
{
	struct vcpu_segment_info seg = { .vsi_limit = 0xffffffff };

	/* CS.G follows from the limit. */
	vmcb->cs.limit = 0xffffffff;
	vmcb->cs.attributes = 0x29b;
	svm_seg_get(vmcb, SREG_CS, &seg);
	ck_assert_uint_eq(seg.vsi_ar, 0xa09b);
	vmcb->cs.limit = 0xfffff;
	svm_seg_get(vmcb, SREG_CS, &seg);
	ck_assert_uint_eq(seg.vsi_ar, 0x209b);
	/* A loaded TR is busy. */
	vmcb->tr.attributes = 0x089;
	svm_seg_get(vmcb, SREG_TR, &seg);
	ck_assert_uint_eq(seg.vsi_ar, 0x8b);
	vmcb->tr.attributes = 0;
	svm_seg_get(vmcb, SREG_TR, &seg);
	ck_assert_uint_eq(seg.vsi_ar, 0x10000);
}
END_TEST

START_TEST(tables_have_base_and_limit_only)
{
	struct vcpu_segment_info seg = { .vsi_sel = 0x1234, .vsi_ar = 0xf0ff,
	    .vsi_limit = 0x7f, .vsi_base = 0x1000 };

	svm_seg_set(vmcb, SREG_GDTR, &seg);
	seg.vsi_base = 0x2000;
	svm_seg_set(vmcb, SREG_IDTR, &seg);
	ck_assert_uint_eq(vmcb->gdtr.selector, 0);
	ck_assert_uint_eq(vmcb->gdtr.attributes, 0);
	ck_assert_uint_eq(vmcb->gdtr.base, 0x1000);
	ck_assert_uint_eq(vmcb->idtr.base, 0x2000);
	svm_seg_get(vmcb, SREG_GDTR, &seg);
	ck_assert_uint_eq(seg.vsi_sel, 0);
	ck_assert_uint_eq(seg.vsi_ar, 0);
	ck_assert_uint_eq(seg.vsi_limit, 0x7f);
	ck_assert_uint_eq(seg.vsi_base, 0x1000);
}
END_TEST

/* D31: what a write must drop, from APM 2 15.15.3 by hand. */
START_TEST(each_write_drops_its_clean_bit)
{
	static const struct { enum reg r; uint32_t bit; } regs[] = {
		{ REG_CR0, 1u << 5 }, { REG_CR3, 1u << 5 }, { REG_CR4, 1u << 5 },
		{ REG_EFER, 1u << 5 }, { REG_CR2, 1u << 9 }, { REG_CR8, 1u << 3 },
		{ REG_DR6, 1u << 6 }, { REG_DR7, 1u << 6 }, { REG_PAT, 1u << 4 },
		/* Loaded by VMLOAD, by software, or at every VMRUN. */
		{ REG_STAR, 0 }, { REG_LSTAR, 0 }, { REG_CSTAR, 0 },
		{ REG_SFMASK, 0 }, { REG_KGSBASE, 0 }, { REG_MISC_ENABLE, 0 },
		{ REG_XCR0, 0 }, { REG_DR0, 0 }, { REG_DR3, 0 },
		{ REG_RAX, 0 }, { REG_RIP, 0 }, { REG_RSP, 0 }, { REG_RFLAGS, 0 },
	};
	static const struct { enum sreg s; uint32_t bit; } segs[] = {
		{ SREG_CS, 1u << 8 }, { SREG_DS, 1u << 8 }, { SREG_ES, 1u << 8 },
		{ SREG_SS, 1u << 8 }, { SREG_GDTR, 1u << 7 },
		{ SREG_IDTR, 1u << 7 }, { SREG_FS, 0 }, { SREG_GS, 0 },
		{ SREG_LDTR, 0 }, { SREG_TR, 0 },
	};
	struct vcpu_segment_info seg = { .vsi_ar = 0x93 };
	struct vcpu_reg_state vrs;
	unsigned int i;

	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		vmcb->clean = ~0u;
		svm_reg_set(vmcb, v, regs[i].r, 0);
		ck_assert_msg(vmcb->clean == ~regs[i].bit, "%s",
		    reg_table[regs[i].r].name);
		svm_reg_get(vmcb, v, regs[i].r);
		ck_assert_uint_eq(vmcb->clean, ~regs[i].bit);
	}
	for (i = 0; i < sizeof(segs) / sizeof(segs[0]); i++) {
		vmcb->clean = ~0u;
		svm_seg_set(vmcb, segs[i].s, &seg);
		ck_assert_msg(vmcb->clean == ~segs[i].bit, "%s",
		    sreg_table[segs[i].s].name);
	}
	memset(&vrs, 0, sizeof(vrs));
	vmcb->clean = ~0u;
	svm_regs_write(vmcb, v, VM_RWREGS_CRS, &vrs);
	ck_assert_uint_eq(vmcb->clean, ~(1u << 3 | 1u << 5 | 1u << 9));
	vmcb->clean = ~0u;
	svm_regs_write(vmcb, v, VM_RWREGS_SREGS, &vrs);
	ck_assert_uint_eq(vmcb->clean, ~(1u << 7 | 1u << 8));
	vmcb->clean = ~0u;
	svm_regs_write(vmcb, v, VM_RWREGS_DRS, &vrs);
	ck_assert_uint_eq(vmcb->clean, ~(1u << 6));
	vmcb->clean = ~0u;
	svm_regs_read(vmcb, v, VM_RWREGS_ALL, &vrs);
	ck_assert_uint_eq(vmcb->clean, ~0u);
}
END_TEST

/* CR8 shares its word with virtual interrupts. */
START_TEST(cr8_leaves_the_rest_of_its_word)
{
	vmcb->vintr = 0xfffffffffffffff0ULL;
	svm_reg_set(vmcb, v, REG_CR8, 5);
	ck_assert(vmcb->vintr == 0xfffffffffffffff5ULL);
	svm_reg_set(vmcb, v, REG_CR8, ~0ULL);
	ck_assert(vmcb->vintr == ~0ULL);
	svm_reg_set(vmcb, v, REG_CR8, 0);
	ck_assert(vmcb->vintr == 0xfffffffffffffff0ULL);
	ck_assert_uint_eq(svm_reg_get(vmcb, v, REG_CR8), 0);
}
END_TEST

/* D25, D27: the places the entry code takes them from. */
START_TEST(values_reach_the_entry)
{
	svm_reg_set(vmcb, v, REG_RAX, 1);
	svm_reg_set(vmcb, v, REG_RFLAGS, 2);
	svm_reg_set(vmcb, v, REG_CR2, 3);
	svm_reg_set(vmcb, v, REG_DR0, 4);
	svm_reg_set(vmcb, v, REG_DR3, 5);
	svm_reg_set(vmcb, v, REG_XCR0, 7);
	svm_reg_set(vmcb, v, REG_MISC_ENABLE, 8);
	svm_reg_set(vmcb, v, REG_PAT, 9);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RAX], 1);
	ck_assert_uint_eq(v->gpr[VCPU_REGS_RFLAGS], 2);
	ck_assert_uint_eq(vmcb->cr2, 3);
	ck_assert_uint_eq(v->dr[0], 4);
	ck_assert_uint_eq(v->dr[3], 5);
	ck_assert_uint_eq(v->xcr0, 7);
	ck_assert_uint_eq(v->msr[MSR_SLOT_MISC_ENABLE], 8);
	ck_assert_uint_eq(vmcb->g_pat, 9);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("registers");
	TCase *t = tcase_create("registers");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, table_follows_the_interface);
	tcase_add_test(t, checks_guard_what_the_cpu_would_refuse);
	tcase_add_test(t, every_register_there_and_back);
	tcase_add_test(t, registers_do_not_share_a_place);
	tcase_add_test(t, groups_are_apart);
	tcase_add_test(t, svme_is_neither_seen_nor_cleared);
	tcase_add_test(t, cpl_follows_ss);
	tcase_add_test(t, attributes_are_converted);
	tcase_add_test(t, unusable_is_not_present);
	tcase_add_test(t, bits_that_cpus_lose);
	tcase_add_test(t, tables_have_base_and_limit_only);
	tcase_add_test(t, each_write_drops_its_clean_bit);
	tcase_add_test(t, cr8_leaves_the_rest_of_its_word);
	tcase_add_test(t, values_reach_the_entry);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
