/* SPDX-License-Identifier: ISC */
/*
 * test_layouts_manual.c - what the words of VMCS and VMCB are made of, bit by bit, as
 * SDM 3C 25, 28.2, 3D A and APM 2 15, B list it where Linux has no name.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "svm_vmcb.h"
#include "vmcs.h"

struct bit {
	const char *name;
	uint64_t ours, manual;
};

#define B(name, bit)		{ #name, name, 1ULL << (bit) }
#define MASK(high, low)		((~0ULL << (low)) & (~0ULL >> (63 - (high))))
#define F(name, high, low)	{ #name, name##_MASK, MASK(high, low) }, \
				{ #name, name##_SHIFT, low }
#define V(name, value)		{ #name, name, value }

static const struct bit vmx[] = {
	/* VMX_BASIC, VMX_MISC, VMX_EPT_VPID_CAP (SDM 3D A) */
	B(VMX_BASIC_NESTED_EXCEPTION, 58), B(VMX_BASIC_ANY_ERROR_CODE, 56),
	B(VMX_BASIC_TRUE_CONTROLS, 55), B(VMX_BASIC_INS_OUTS, 54),
	F(VMX_BASIC_MEMORY_TYPE, 53, 50), B(VMX_BASIC_DUAL_MONITOR, 49),
	F(VMX_BASIC_SIZE, 44, 32), F(VMX_BASIC_REVISION, 30, 0),
	F(VMX_MISC_MSEG_REVISION, 63, 32), B(VMX_MISC_WRITE_ALL, 29),
	B(VMX_MISC_SMM_UNBLOCK, 28), F(VMX_MISC_MSR_LIST, 27, 25),
	F(VMX_MISC_CR3_TARGETS, 24, 16), B(VMX_MISC_SMBASE, 15), B(VMX_MISC_PT, 14),
	B(VMX_MISC_SHUTDOWN, 7), B(VMX_MISC_HLT, 6), F(VMX_MISC_TIMER_RATE, 4, 0),
	F(VMX_EPT_VPID_CAP_HLAT_PREFIX, 53, 48), B(VMX_EPT_VPID_CAP_SHADOW_STACK, 23),
	B(VMX_EPT_VPID_CAP_ADVANCED, 22),
	/* Exit qualifications (SDM 3C 28.2.1) */
	F(VMX_QUAL_DEBUG_B, 3, 0),
	V(VMX_QUAL_TASK_SOURCE_CALL, 0), V(VMX_QUAL_TASK_SOURCE_IRET, 1),
	V(VMX_QUAL_TASK_SOURCE_JMP, 2), F(VMX_QUAL_TASK_SELECTOR, 15, 0),
	B(VMX_QUAL_CR_LMSW_MEMORY, 6), F(VMX_QUAL_CR_CR, 3, 0),
	F(VMX_QUAL_DR_GPR, 11, 8), F(VMX_QUAL_DR_DR, 2, 0),
	F(VMX_QUAL_IO_SIZE, 2, 0), V(VMX_QUAL_IO_SIZE_1, 0),
	B(VMX_QUAL_APIC_ASYNCHRONOUS, 16), F(VMX_QUAL_APIC_TYPE, 15, 12),
	F(VMX_QUAL_APIC_OFFSET, 11, 0),
	B(VMX_QUAL_EPT_ASYNCHRONOUS, 16), B(VMX_QUAL_EPT_VERIFICATION, 15),
	B(VMX_QUAL_EPT_SSS, 14), B(VMX_QUAL_EPT_SS, 13), B(VMX_QUAL_EPT_NMI_UNBLOCK, 12),
	B(VMX_QUAL_EPT_LINEAR_NX, 11), B(VMX_QUAL_EPT_LINEAR_W, 10),
	B(VMX_QUAL_EPT_LINEAR_U, 9), B(VMX_QUAL_EPT_PAGE_XU, 6),
	/* Other words of the VMCS (SDM 3C 25) */
	B(VMX_EXIT_REASON_FROM_ROOT, 29), B(VMX_EXIT_REASON_PENDING_MTF, 28),
	B(VMX_EXIT_REASON_ENCLAVE, 27), B(VMX_EXIT_REASON_BUS_LOCK, 26),
	B(VMX_EXIT_REASON_BUSY_SHADOW_STACK, 25), F(VMX_EXIT_REASON_BASIC, 15, 0),
	B(VMX_INTR_INFO_NESTED, 13), F(VMX_INTR_INFO_TYPE, 10, 8), F(VMX_INTR_INFO_VECTOR, 7, 0),
	V(VMX_IO_INFO_SEG_ES, 0), V(VMX_IO_INFO_SEG_CS, 1), V(VMX_IO_INFO_SEG_SS, 2),
	V(VMX_IO_INFO_SEG_DS, 3), V(VMX_IO_INFO_SEG_FS, 4), V(VMX_IO_INFO_SEG_GS, 5),
	V(VMX_IO_INFO_ADDRESS_16, 0), V(VMX_IO_INFO_ADDRESS_32, 1),
	F(VMX_ACCESS_RIGHTS_TYPE, 3, 0),
	B(VMX_PENDING_DEBUG_RTM, 16), B(VMX_PENDING_DEBUG_BLD, 11), F(VMX_PENDING_DEBUG_B, 3, 0),
	F(VMX_EPTP_ROOT, 51, 12), B(VMX_EPTP_SHADOW_STACK, 7), F(VMX_EPTP_MEMORY_TYPE, 2, 0),
};

static const struct bit svm[] = {
	/* Clean bits (APM 2 15.15.3) */
	B(VMCB_CLEAN_INTERCEPTS, 0), B(VMCB_CLEAN_IOPM, 1), B(VMCB_CLEAN_ASID, 2),
	B(VMCB_CLEAN_TPR, 3), B(VMCB_CLEAN_NP, 4), B(VMCB_CLEAN_CRX, 5), B(VMCB_CLEAN_DRX, 6),
	B(VMCB_CLEAN_DT, 7), B(VMCB_CLEAN_SEG, 8), B(VMCB_CLEAN_CR2, 9), B(VMCB_CLEAN_LBR, 10),
	B(VMCB_CLEAN_AVIC, 11), B(VMCB_CLEAN_CET, 12),
	/* Virtual interrupts (APM 2 15.21, B.1) */
	F(VMCB_VINTR_VECTOR, 39, 32), B(VMCB_VINTR_AVIC, 31), B(VMCB_VINTR_X2AVIC, 30),
	B(VMCB_VINTR_NMI_ENABLE, 26), B(VMCB_VINTR_GIF_ENABLE, 25), B(VMCB_VINTR_MASKING, 24),
	B(VMCB_VINTR_IGN_TPR, 20), F(VMCB_VINTR_PRIO, 19, 16), B(VMCB_VINTR_NMI_MASKED, 12),
	B(VMCB_VINTR_NMI, 11), B(VMCB_VINTR_GIF, 9), B(VMCB_VINTR_IRQ, 8),
	F(VMCB_VINTR_TPR, 3, 0),
	B(VMCB_SHADOW_GUEST_IF, 1), B(VMCB_SHADOW_INTERRUPT, 0),
	/* Events (APM 2 15.20) */
	F(VMCB_EVENTINJ_ERROR, 63, 32), B(VMCB_EVENTINJ_V, 31), B(VMCB_EVENTINJ_EV, 11),
	F(VMCB_EVENTINJ_TYPE, 10, 8), V(VMCB_EVENTINJ_TYPE_INTR, 0), V(VMCB_EVENTINJ_TYPE_NMI, 2),
	V(VMCB_EVENTINJ_TYPE_EXCEPTION, 3), V(VMCB_EVENTINJ_TYPE_SOFT, 4),
	F(VMCB_EVENTINJ_VECTOR, 7, 0),
	/* Translations (APM 2 15.16.1, 15.24.5, B.1) */
	V(VMCB_TLB_NONE, 0), V(VMCB_TLB_FLUSH_ALL, 1), V(VMCB_TLB_FLUSH_ASID, 3),
	V(VMCB_TLB_FLUSH_ASID_LOCAL, 7), B(VMCB_ERAP_CLEAR, 1), B(VMCB_ERAP_LARGER, 0),
	B(VMCB_NP_INVLPGB, 7), B(VMCB_NP_ROGPT, 6), B(VMCB_NP_VTE, 5), B(VMCB_NP_SSS, 4),
	B(VMCB_NP_GMET, 3), B(VMCB_NP_SEV_ES, 2), B(VMCB_NP_SEV, 1), B(VMCB_NP_ENABLE, 0),
	B(VMCB_LBR_PMC, 3), B(VMCB_LBR_IBS, 2), B(VMCB_LBR_VMLOAD, 1), B(VMCB_LBR_ENABLE, 0),
	/* What an exit says (APM 2 15.8, 15.10.2, 15.14.1, 15.25.6) */
	V(VMCB_IOIO_SEG_ES, 0), V(VMCB_IOIO_SEG_CS, 1), V(VMCB_IOIO_SEG_SS, 2),
	V(VMCB_IOIO_SEG_DS, 3), V(VMCB_IOIO_SEG_FS, 4), V(VMCB_IOIO_SEG_GS, 5),
	B(VMCB_IOIO_REP, 3), B(VMCB_IOIO_STR, 2), B(VMCB_IOIO_IN, 0),
	B(VMCB_NPF_SSS, 37), B(VMCB_NPF_VMPL, 36), B(VMCB_NPF_SIZEM, 35), B(VMCB_NPF_ENC, 34),
	B(VMCB_NPF_RMP, 31), B(VMCB_NPF_SS, 6),
	F(VMCB_CRINFO_GPR, 3, 0),
	B(VMCB_TASKINFO_RF, 48), B(VMCB_TASKINFO_HAS_ERROR, 44), B(VMCB_TASKINFO_JMP, 38),
	B(VMCB_TASKINFO_IRET, 36), F(VMCB_TASKINFO_ERROR, 31, 0),
	/* Attributes of a segment (APM 2 15.5.1, B.2) */
	B(VMCB_SEGATTR_G, 11), B(VMCB_SEGATTR_DB, 10), B(VMCB_SEGATTR_L, 9),
	B(VMCB_SEGATTR_AVL, 8), B(VMCB_SEGATTR_P, 7), F(VMCB_SEGATTR_DPL, 6, 5),
	B(VMCB_SEGATTR_S, 4), F(VMCB_SEGATTR_TYPE, 3, 0),
};

static void
compare(const struct bit *bits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(bits[i].ours == bits[i].manual, "%s is %#lx, not %#lx", bits[i].name,
		    (unsigned long)bits[i].ours, (unsigned long)bits[i].manual);
}

START_TEST(vmx_words_are_the_manuals)
{
	compare(vmx, sizeof(vmx) / sizeof(vmx[0]));
}
END_TEST

START_TEST(svm_words_are_the_manuals)
{
	compare(svm, sizeof(svm) / sizeof(svm[0]));
}
END_TEST

/* SDM 3D B.2: fields that are newer than Linux 6.1. */
START_TEST(new_fields_are_the_manuals)
{
	static const struct { const char *name; uint16_t encoding; } fields[] = {
		{ "shared_ept_pointer", 0x203c },
		{ "guest_ia32_fred_config", 0x281a }, { "guest_ia32_fred_rsp1", 0x281c },
		{ "guest_ia32_fred_rsp2", 0x281e }, { "guest_ia32_fred_rsp3", 0x2820 },
		{ "guest_ia32_fred_stklvls", 0x2822 }, { "guest_ia32_fred_ssp1", 0x2824 },
		{ "guest_ia32_fred_ssp2", 0x2826 }, { "guest_ia32_fred_ssp3", 0x2828 },
		{ "host_ia32_fred_config", 0x2c08 }, { "host_ia32_fred_rsp1", 0x2c0a },
		{ "host_ia32_fred_rsp2", 0x2c0c }, { "host_ia32_fred_rsp3", 0x2c0e },
		{ "host_ia32_fred_stklvls", 0x2c10 }, { "host_ia32_fred_ssp1", 0x2c12 },
		{ "host_ia32_fred_ssp2", 0x2c14 }, { "host_ia32_fred_ssp3", 0x2c16 },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		ck_assert_str_eq(vmcs_field_name(fields[i].encoding), fields[i].name);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("layouts_manual");
	TCase *t = tcase_create("layouts_manual");
	SRunner *r;
	int failed;

	tcase_add_test(t, vmx_words_are_the_manuals);
	tcase_add_test(t, svm_words_are_the_manuals);
	tcase_add_test(t, new_fields_are_the_manuals);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
