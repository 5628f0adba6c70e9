/* SPDX-License-Identifier: ISC */
/*
 * test_vmcb.c - struct vmcb against the kernel's declaration of the same page,
 * and which clean bit each write drops.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "svm_vmcb.h"
#include "oracle_vmcb.h"

/*
 * Every field with a setter, its offset by hand from APM 2 B.1, and the clean
 * bits that a write must drop (APM 2 15.15.3, by number).
 */
#define I	(1u << 0)
#define IOPM	(1u << 1)
#define ASID	(1u << 2)
#define TPR	(1u << 3)
#define NP	(1u << 4)
#define CRX	(1u << 5)
#define DRX	(1u << 6)
#define DT	(1u << 7)
#define SEG	(1u << 8)
#define CR2	(1u << 9)
#define LBR	(1u << 10)
#define AVIC	(1u << 11)
#define CET	(1u << 12)

#define SCALARS(X) \
	X(intercept_cr_read, 0x000, I) X(intercept_cr_write, 0x002, I) \
	X(intercept_dr_read, 0x004, I) X(intercept_dr_write, 0x006, I) \
	X(intercept_exceptions, 0x008, I) X(intercept_misc1, 0x00c, I) \
	X(intercept_misc2, 0x010, I) X(intercept_misc3, 0x014, I) \
	X(pause_filter_threshold, 0x03c, I) X(pause_filter_count, 0x03e, I) \
	X(iopm_base_pa, 0x040, IOPM) X(msrpm_base_pa, 0x048, IOPM) \
	X(tsc_offset, 0x050, I) X(guest_asid, 0x058, ASID) \
	X(tlb_control, 0x05c, 0) X(erap_control, 0x05d, 0) \
	X(vintr, 0x060, TPR) X(interrupt_shadow, 0x068, 0) \
	X(exitcode, 0x070, 0) X(exitinfo1, 0x078, 0) X(exitinfo2, 0x080, 0) \
	X(exitintinfo, 0x088, 0) X(np_control, 0x090, NP) \
	X(avic_apic_bar, 0x098, AVIC) X(ghcb_pa, 0x0a0, 0) \
	X(eventinj, 0x0a8, 0) X(n_cr3, 0x0b0, NP) X(lbr_control, 0x0b8, LBR) \
	X(nrip, 0x0c8, 0) X(insn_len, 0x0d0, 0) \
	X(avic_backing_page, 0x0e0, AVIC) X(avic_logical_table, 0x0f0, AVIC) \
	X(avic_physical_table, 0x0f8, AVIC) X(vmsa_pa, 0x108, 0) \
	X(vmgexit_rax, 0x110, 0) X(vmgexit_cpl, 0x118, 0) \
	X(bus_lock_counter, 0x120, 0) X(update_irr, 0x134, 0) \
	X(allowed_sev_features, 0x138, 0) X(guest_sev_features, 0x140, 0) \
	X(vmpl, 0x4ca, 0) X(cpl, 0x4cb, SEG) X(efer, 0x4d0, CRX) \
	X(perf_ctl0, 0x4e0, 0) X(perf_ctr0, 0x4e8, 0) \
	X(perf_ctl5, 0x530, 0) X(perf_ctr5, 0x538, 0) \
	X(cr4, 0x548, CRX) X(cr3, 0x550, CRX) X(cr0, 0x558, CRX) \
	X(dr7, 0x560, DRX) X(dr6, 0x568, DRX) X(rflags, 0x570, 0) \
	X(rip, 0x578, 0) X(instr_retired_ctr, 0x5c0, 0) \
	X(perf_ctr_global_sts, 0x5c8, 0) X(perf_ctr_global_ctl, 0x5d0, 0) \
	X(rsp, 0x5d8, 0) X(s_cet, 0x5e0, CET) X(ssp, 0x5e8, CET) \
	X(isst_addr, 0x5f0, CET) X(rax, 0x5f8, 0) X(star, 0x600, 0) \
	X(lstar, 0x608, 0) X(cstar, 0x610, 0) X(sfmask, 0x618, 0) \
	X(kernel_gs_base, 0x620, 0) X(sysenter_cs, 0x628, 0) \
	X(sysenter_esp, 0x630, 0) X(sysenter_eip, 0x638, 0) \
	X(cr2, 0x640, CR2) X(g_pat, 0x668, NP) X(dbgctl, 0x670, LBR) \
	X(br_from, 0x678, LBR) X(br_to, 0x680, LBR) \
	X(lastexcpfrom, 0x688, LBR) X(lastexcpto, 0x690, LBR) \
	X(dbgextnctl, 0x698, LBR) X(spec_ctrl, 0x6e0, 0) \
	X(lbr_select, 0xb70, LBR) X(ibs_fetch_ctl, 0xb78, 0) \
	X(ic_ibs_extd_ctl, 0xbc0, 0)

#define SEGMENTS(X) \
	X(es, 0x400, SEG) X(cs, 0x410, SEG) X(ss, 0x420, SEG) \
	X(ds, 0x430, SEG) X(fs, 0x440, 0) X(gs, 0x450, 0) \
	X(gdtr, 0x460, DT) X(ldtr, 0x470, 0) X(idtr, 0x480, DT) \
	X(tr, 0x490, 0)

static struct vmcb vmcb;

/* Nothing but [offset, offset + size) and the clean word differs from zero. */
static void
check_alone(const char *name, size_t offset, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)&vmcb;

	for (size_t i = 0; i < sizeof(vmcb); i++) {
		if ((i >= 0xc0 && i < 0xc4) ||
		    (i >= offset && i < offset + size))
			continue;
		ck_assert_msg(bytes[i] == 0, "%s also wrote byte %#zx", name,
		    i);
	}
}

START_TEST(setters_write_their_field_and_drop_its_clean_bit)
{
#define X(name, offset, bits) do {					\
	__typeof__(vmcb.name) all = (__typeof__(vmcb.name))~0ULL;	\
	memset(&vmcb, 0, sizeof(vmcb));					\
	vmcb.clean = 0xffffffff;					\
	vmcb_set_##name(&vmcb, all);					\
	ck_assert_msg(vmcb.clean == (uint32_t)~(bits),			\
	    "%s: clean %#x", #name, vmcb.clean);			\
	ck_assert_msg(vmcb_get_##name(&vmcb) == all, "%s", #name);	\
	ck_assert_msg(memcmp((uint8_t *)&vmcb + (offset), &all,		\
	    sizeof(all)) == 0, "%s is not at %#x", #name, offset);	\
	check_alone(#name, offset, sizeof(all));			\
} while (0);
	SCALARS(X)
#undef X
}
END_TEST

START_TEST(segment_setters_too)
{
	const struct vmcb_seg seg = { 0x1111, 0x2222, 0x33333333,
	    0x4444444444444444 };

#define X(name, offset, bits) do {					\
	memset(&vmcb, 0, sizeof(vmcb));					\
	vmcb.clean = 0xffffffff;					\
	vmcb_set_##name(&vmcb, &seg);					\
	ck_assert_msg(vmcb.clean == (uint32_t)~(bits),			\
	    "%s: clean %#x", #name, vmcb.clean);			\
	ck_assert(memcmp(vmcb_get_##name(&vmcb), &seg,			\
	    sizeof(seg)) == 0);						\
	ck_assert_msg(memcmp((uint8_t *)&vmcb + (offset), &seg,		\
	    sizeof(seg)) == 0, "%s is not at %#x", #name, offset);	\
	check_alone(#name, offset, sizeof(seg));			\
} while (0);
	SEGMENTS(X)
#undef X
}
END_TEST

START_TEST(touching_a_group_drops_its_bit)
{
#define X(group, bit) do {						\
	vmcb.clean = 0xffffffff;					\
	vmcb_touch_##group(&vmcb);					\
	ck_assert_uint_eq(vmcb.clean, (uint32_t)~(bit));		\
} while (0);
	X(intercepts, I) X(iopm, IOPM) X(asid, ASID) X(tpr, TPR) X(np, NP)
	X(crx, CRX) X(drx, DRX) X(dt, DT) X(seg, SEG) X(cr2, CR2)
	X(lbr, LBR) X(avic, AVIC) X(cet, CET)
#undef X
	ck_assert_uint_eq(VMCB_CLEAN_ALL, 0x1fff);
}
END_TEST

/* Ours, by name. */
static const struct oracle_member ours[] = {
#define X(name, offset, bits) \
	{ #name, offsetof(struct vmcb, name), sizeof(vmcb.name) },
	SCALARS(X) SEGMENTS(X)
#undef X
	{ "clean", offsetof(struct vmcb, clean), sizeof(vmcb.clean) },
	{ "insn_bytes", offsetof(struct vmcb, insn_bytes), 15 },
	{ "host_use", offsetof(struct vmcb, host_use), 32 },
	{ NULL, 0, 0 },
};

/* The kernel splits these where the manual has one number, or the reverse. */
static const char *const split[] = { "intercept_cr_read", "intercept_dr_read",
    "vintr", "interrupt_shadow", "exitcode", "exitintinfo", "eventinj",
    "spec_ctrl", NULL };

START_TEST(offsets_are_the_kernels)
{
	size_t n = 0;

	ck_assert_uint_eq(sizeof(struct vmcb), 4096);
	for (const struct oracle_member *o = oracle_vmcb; o->name; o++, n++) {
		const struct oracle_member *m = ours;
		bool halves = false;

		while (m->name != NULL && strcmp(m->name, o->name) != 0)
			m++;
		ck_assert_msg(m->name != NULL, "no field %s", o->name);
		ck_assert_msg(m->offset == o->offset, "%s: %#zx, not %#zx",
		    o->name, m->offset, o->offset);
		for (const char *const *p = split; *p != NULL; p++)
			halves = halves || strcmp(*p, o->name) == 0;
		if (!halves)
			ck_assert_msg(m->size == o->size, "%s: %zu bytes",
			    o->name, m->size);
	}
	ck_assert_uint_ge(n, 70);
}
END_TEST

static const struct oracle_mask masks[] = {
#define M(name)	{ #name, VMCB_##name }
	M(VINTR_TPR_MASK), M(VINTR_IRQ), M(VINTR_GIF), M(VINTR_PRIO_SHIFT),
	M(VINTR_PRIO_MASK), M(VINTR_IGN_TPR), M(VINTR_MASKING),
	M(VINTR_GIF_ENABLE), M(VINTR_AVIC), M(VINTR_X2AVIC), M(LBR_ENABLE),
	M(LBR_VMLOAD), M(SHADOW_INTERRUPT), M(SHADOW_GUEST_IF), M(IOIO_IN),
	M(IOIO_STR), M(IOIO_REP),
	{ "IOIO_SZ", VMCB_IOIO_SZ8 | VMCB_IOIO_SZ16 | VMCB_IOIO_SZ32 },
	{ "IOIO_A", VMCB_IOIO_A16 | VMCB_IOIO_A32 | VMCB_IOIO_A64 },
	M(NP_ENABLE), M(NP_SEV), M(NP_SEV_ES), M(TLB_NONE), M(TLB_FLUSH_ALL),
	M(TLB_FLUSH_ASID), M(TLB_FLUSH_ASID_LOCAL), M(EVENTINJ_VECTOR_MASK),
	M(EVENTINJ_TYPE_SHIFT), M(EVENTINJ_TYPE_MASK), M(EVENTINJ_TYPE_INTR),
	M(EVENTINJ_TYPE_NMI), M(EVENTINJ_TYPE_EXCEPTION),
	M(EVENTINJ_TYPE_SOFT), M(EVENTINJ_V), M(EVENTINJ_EV),
	M(CRINFO_GPR_MASK), M(TASKINFO_IRET), M(TASKINFO_JMP),
	M(TASKINFO_HAS_ERROR), M(SEGATTR_TYPE_MASK), M(SEGATTR_S),
	M(SEGATTR_DPL_MASK), M(SEGATTR_P), M(SEGATTR_AVL), M(SEGATTR_L),
	M(SEGATTR_DB), M(SEGATTR_G),
#undef M
	{ NULL, 0 },
};

START_TEST(bits_are_the_kernels)
{
	for (const struct oracle_mask *o = oracle_masks; o->name; o++) {
		const struct oracle_mask *m = masks;

		while (m->name != NULL && strcmp(m->name, o->name) != 0)
			m++;
		ck_assert_msg(m->name != NULL, "no mask %s", o->name);
		ck_assert_msg(m->value == o->value, "%s: %#lx, not %#lx",
		    o->name, (unsigned long)m->value, (unsigned long)o->value);
	}
}
END_TEST

/* What the kernel has no name for, from the manual. */
START_TEST(bits_are_the_manuals)
{
	ck_assert_uint_eq(VMCB_IOIO_SZ8, 1u << 4);
	ck_assert_uint_eq(VMCB_IOIO_A16, 1u << 7);
	ck_assert_uint_eq(VMCB_IOIO_PORT_SHIFT, 16);
	ck_assert_uint_eq(VMCB_IOIO_PORT_MASK, 0xffff0000);
	ck_assert_uint_eq(VMCB_IOIO_SEG_SHIFT, 10);
	ck_assert_uint_eq(VMCB_IOIO_SEG_MASK, 7u << 10);
	ck_assert_uint_eq(VMCB_EVENTINJ_ERROR_SHIFT, 32);
	ck_assert_uint_eq(VMCB_VINTR_VECTOR_SHIFT, 32);
	ck_assert_uint_eq(VMCB_VINTR_NMI, 1u << 11);
	ck_assert_uint_eq(VMCB_VINTR_NMI_ENABLE, 1u << 26);
	ck_assert_uint_eq(VMCB_CRINFO_MOV, 1ULL << 63);
	ck_assert_uint_eq(VMCB_NPF_P, 1);
	ck_assert_uint_eq(VMCB_NPF_W, 2);
	ck_assert_uint_eq(VMCB_NPF_U, 4);
	ck_assert_uint_eq(VMCB_NPF_RSVD, 8);
	ck_assert_uint_eq(VMCB_NPF_I, 16);
	ck_assert_uint_eq(VMCB_NPF_FINAL, 1ULL << 32);
	ck_assert_uint_eq(VMCB_NPF_TABLE, 1ULL << 33);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vmcb");
	TCase *t = tcase_create("vmcb");
	SRunner *r;
	int failed;

	tcase_add_test(t, setters_write_their_field_and_drop_its_clean_bit);
	tcase_add_test(t, segment_setters_too);
	tcase_add_test(t, touching_a_group_drops_its_bit);
	tcase_add_test(t, offsets_are_the_kernels);
	tcase_add_test(t, bits_are_the_kernels);
	tcase_add_test(t, bits_are_the_manuals);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
