/* SPDX-License-Identifier: ISC */
/*
 * test_vmcs.c - VMCS encodings and VMX's words: against the kernel's, and by
 * their own bits.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "exits.h"
#include "vmcs.h"
#include "oracle_vmcs.h"

static const struct vmcs_field *
by_name(const char *name)
{
	for (unsigned int i = 0; i < vmcs_fields_count; i++)
		if (strcmp(vmcs_fields[i].name, name) == 0)
			return &vmcs_fields[i];
	return NULL;
}

static const struct vmcs_field *
by_encoding(uint32_t encoding)
{
	for (unsigned int i = 0; i < vmcs_fields_count; i++)
		if (vmcs_fields[i].encoding == encoding)
			return &vmcs_fields[i];
	return NULL;
}

START_TEST(encodings_are_the_kernels)
{
	for (const struct oracle_number *o = oracle_vmcs_fields; o->name; o++) {
		const struct vmcs_field *f = by_name(o->name);

		ck_assert_msg(f != NULL, "no field %s", o->name);
		ck_assert_msg(f->encoding == o->value, "%s is %#x, not %#lx",
		    o->name, f->encoding, (unsigned long)o->value);
	}
}
END_TEST

START_TEST(the_kernel_knows_no_other_field)
{
	uint32_t encodings[512];
	size_t n = oracle_vmcs_encodings(encodings, 512);

	ck_assert_uint_gt(n, 150);
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(by_encoding(encodings[i] & ~1u) != NULL,
		    "no field %#x", encodings[i]);
		/* Upper halves are those of 64-bit fields. */
		ck_assert(!(encodings[i] & 1) ||
		    VMCS_ENCODING_WIDTH(encodings[i]) == VMCS_WIDTH_64);
	}
}
END_TEST

/* Of SDM 3D B, what the kernel's header does not have. */
START_TEST(newer_fields_are_there)
{
	static const struct oracle_number fields[] = {
		{ "eptp_index", 0x0004 }, { "hlat_prefix_size", 0x0006 },
		{ "guest_uinv", 0x0814 },
		{ "executive_vmcs_pointer", 0x200c },
		{ "ve_information_address", 0x202a },
		{ "sub_page_permission_table", 0x2030 },
		{ "enclv_exiting_bitmap", 0x2036 },
		{ "pasid_directory_low", 0x2038 },
		{ "pasid_directory_high", 0x203a },
		{ "pconfig_exiting_bitmap", 0x203e }, { "hlat_pointer", 0x2040 },
		{ "exit2_controls", 0x2044 }, { "spec_ctrl_mask", 0x204a },
		{ "spec_ctrl_shadow", 0x204c }, { "injected_event_data", 0x2052 },
		{ "original_event_data", 0x2404 },
		{ "guest_ia32_lbr_ctl", 0x2816 }, { "guest_ia32_pkrs", 0x2818 },
		{ "guest_ia32_fred_config", 0x281a },
		{ "guest_ia32_fred_rsp1", 0x281c },
		{ "guest_ia32_fred_stklvls", 0x2822 },
		{ "guest_ia32_fred_ssp3", 0x2828 },
		{ "host_ia32_pkrs", 0x2c06 }, { "host_ia32_fred_config", 0x2c08 },
		{ "host_ia32_fred_stklvls", 0x2c10 },
		{ "host_ia32_fred_ssp3", 0x2c16 },
		{ "guest_smbase", 0x4828 },
		{ "io_rcx", 0x6402 }, { "io_rsi", 0x6404 }, { "io_rdi", 0x6406 },
		{ "io_rip", 0x6408 },
		{ "guest_ia32_s_cet", 0x6828 }, { "guest_ssp", 0x682a },
		{ "guest_ia32_isst_address", 0x682c },
		{ "host_ia32_s_cet", 0x6c18 }, { "host_ssp", 0x6c1a },
		{ "host_ia32_isst_address", 0x6c1c },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct vmcs_field *f = by_name(fields[i].name);

		ck_assert_msg(f != NULL, "no field %s", fields[i].name);
		ck_assert_uint_eq(f->encoding, fields[i].value);
	}
}
END_TEST

/* SDM 3C 25.11.2: what the bits of an encoding say is what the name says. */
START_TEST(encodings_say_what_they_are)
{
	static const struct { const char *name; unsigned int width, group; } at[] = {
		{ "vpid", VMCS_WIDTH_16, VMCS_GROUP_CONTROL },
		{ "guest_tr_selector", VMCS_WIDTH_16, VMCS_GROUP_GUEST },
		{ "host_tr_selector", VMCS_WIDTH_16, VMCS_GROUP_HOST },
		{ "ept_pointer", VMCS_WIDTH_64, VMCS_GROUP_CONTROL },
		{ "guest_physical_address", VMCS_WIDTH_64, VMCS_GROUP_INFO },
		{ "guest_ia32_efer", VMCS_WIDTH_64, VMCS_GROUP_GUEST },
		{ "host_ia32_efer", VMCS_WIDTH_64, VMCS_GROUP_HOST },
		{ "exit_controls", VMCS_WIDTH_32, VMCS_GROUP_CONTROL },
		{ "exit_reason", VMCS_WIDTH_32, VMCS_GROUP_INFO },
		{ "guest_cs_access_rights", VMCS_WIDTH_32, VMCS_GROUP_GUEST },
		{ "host_ia32_sysenter_cs", VMCS_WIDTH_32, VMCS_GROUP_HOST },
		{ "cr0_read_shadow", VMCS_WIDTH_NATURAL, VMCS_GROUP_CONTROL },
		{ "exit_qualification", VMCS_WIDTH_NATURAL, VMCS_GROUP_INFO },
		{ "guest_rip", VMCS_WIDTH_NATURAL, VMCS_GROUP_GUEST },
		{ "host_rip", VMCS_WIDTH_NATURAL, VMCS_GROUP_HOST },
	};

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		const struct vmcs_field *f = by_name(at[i].name);

		ck_assert_msg(f != NULL, "no field %s", at[i].name);
		ck_assert_uint_eq(VMCS_ENCODING_WIDTH(f->encoding), at[i].width);
		ck_assert_uint_eq(VMCS_ENCODING_GROUP(f->encoding), at[i].group);
	}
	for (unsigned int i = 0; i < vmcs_fields_count; i++) {
		const char *name = vmcs_fields[i].name;
		unsigned int group = VMCS_ENCODING_GROUP(vmcs_fields[i].encoding);

		ck_assert_uint_eq(vmcs_fields[i].encoding & 0x9001, 0);
		ck_assert(i == 0 ||
		    vmcs_fields[i - 1].encoding < vmcs_fields[i].encoding);
		/* What the guest did is information, the rest is state. */
		if (strncmp(name, "host_", 5) == 0)
			ck_assert_uint_eq(group, VMCS_GROUP_HOST);
		else
			ck_assert_uint_ne(group, VMCS_GROUP_HOST);
	}
}
END_TEST

START_TEST(words_are_the_kernels)
{
#define W(word) { #word, word }
	static const struct oracle_number ours[] = {
		W(VMX_INTR_INFO_VECTOR_MASK),
		W(VMX_INTR_INFO_TYPE_MASK),
		W(VMX_INTR_INFO_EV),
		W(VMX_INTR_INFO_NMI_UNBLOCK),
		W(VMX_INTR_INFO_V),
		W(VMX_INTR_INFO_TYPE_INTR),
		W(VMX_INTR_INFO_TYPE_NMI),
		W(VMX_INTR_INFO_TYPE_EXCEPTION),
		W(VMX_INTR_INFO_TYPE_SOFT),
		W(VMX_INTR_INFO_TYPE_INT1),
		W(VMX_INTR_INFO_TYPE_SOFT_EXCEPTION),
		W(VMX_INTR_INFO_TYPE_OTHER),
		W(VMX_INTERRUPTIBILITY_STI),
		W(VMX_INTERRUPTIBILITY_MOV_SS),
		W(VMX_INTERRUPTIBILITY_SMI),
		W(VMX_INTERRUPTIBILITY_NMI),
		W(VMX_INTERRUPTIBILITY_ENCLAVE),
		W(VMX_ACTIVITY_ACTIVE),
		W(VMX_ACTIVITY_HLT),
		W(VMX_ACTIVITY_SHUTDOWN),
		W(VMX_ACTIVITY_WAIT_SIPI),
		W(VMX_QUAL_CR_TYPE_MASK),
		W(VMX_QUAL_CR_GPR_MASK),
		W(VMX_QUAL_CR_LMSW_MASK),
		W(VMX_QUAL_CR_LMSW_SHIFT),
		W(VMX_QUAL_DR_DR_MASK),
		W(VMX_QUAL_DR_MOV_FROM),
		W(VMX_QUAL_APIC_OFFSET_MASK),
		W(VMX_QUAL_APIC_TYPE_MASK),
		W(VMX_QUAL_EPT_R),
		W(VMX_QUAL_EPT_W),
		W(VMX_QUAL_EPT_X),
		W(VMX_QUAL_EPT_PAGE_R | VMX_QUAL_EPT_PAGE_W | VMX_QUAL_EPT_PAGE_X),
		W(VMX_QUAL_EPT_LINEAR_VALID),
		W(VMX_QUAL_EPT_FINAL),
		W(VMX_QUAL_ENTRY_OTHER),
		W(VMX_QUAL_ENTRY_PDPTE),
		W(VMX_QUAL_ENTRY_NMI),
		W(VMX_QUAL_ENTRY_LINK),
		W(VMX_ACCESS_RIGHTS_TYPE_MASK),
		W(VMX_ACCESS_RIGHTS_S),
		W(VMX_ACCESS_RIGHTS_P),
		W(VMX_ACCESS_RIGHTS_L),
		W(VMX_ACCESS_RIGHTS_DB),
		W(VMX_ACCESS_RIGHTS_G),
		W(VMX_ACCESS_RIGHTS_UNUSABLE),
		W(VMX_ACCESS_RIGHTS_DPL_SHIFT),
		W(VMX_INVVPID_ADDRESS),
		W(VMX_INVVPID_SINGLE),
		W(VMX_INVVPID_ALL),
		W(VMX_INVVPID_SINGLE_NON_GLOBAL),
		W(VMX_INVEPT_SINGLE),
		W(VMX_INVEPT_ALL),
		W(VMX_EPT_VPID_CAP_EXECUTE_ONLY),
		W(VMX_EPT_VPID_CAP_WALK_4),
		W(VMX_EPT_VPID_CAP_WALK_5),
		W(VMX_EPT_VPID_CAP_UC),
		W(VMX_EPT_VPID_CAP_WB),
		W(VMX_EPT_VPID_CAP_PAGE_2M),
		W(VMX_EPT_VPID_CAP_PAGE_1G),
		W(VMX_EPT_VPID_CAP_INVEPT),
		W(VMX_EPT_VPID_CAP_ACCESSED_DIRTY),
		W(VMX_EPT_VPID_CAP_INVEPT_SINGLE),
		W(VMX_EPT_VPID_CAP_INVEPT_ALL),
		W(VMX_EPT_VPID_CAP_INVVPID),
		W(VMX_EPT_VPID_CAP_INVVPID_ADDRESS),
		W(VMX_EPT_VPID_CAP_INVVPID_SINGLE),
		W(VMX_EPT_VPID_CAP_INVVPID_ALL),
		W(VMX_EPT_VPID_CAP_INVVPID_SINGLE_NON_GLOBAL),
		W(VMX_EPTP_MEMORY_TYPE_MASK),
		W(VMX_EPTP_WALK_MASK),
		W(3 << VMX_EPTP_WALK_SHIFT),
		W(VMX_EPTP_ACCESSED_DIRTY),
		W(VMX_MISC_TIMER_RATE_MASK),
		W(VMX_MISC_SAVE_LMA),
		W(VMX_MISC_HLT),
		W(VMX_MISC_WAIT_SIPI),
		W(VMX_MISC_ZERO_LENGTH),
		W(VMX_INSTRUCTION_ERROR_VMCALL_ROOT),
		W(VMX_INSTRUCTION_ERROR_VMCLEAR_ADDRESS),
		W(VMX_INSTRUCTION_ERROR_VMCLEAR_VMXON),
		W(VMX_INSTRUCTION_ERROR_VMLAUNCH_LAUNCHED),
		W(VMX_INSTRUCTION_ERROR_VMRESUME_CLEAR),
		W(VMX_INSTRUCTION_ERROR_VMRESUME_VMXOFF),
		W(VMX_INSTRUCTION_ERROR_CONTROLS),
		W(VMX_INSTRUCTION_ERROR_HOST_STATE),
		W(VMX_INSTRUCTION_ERROR_VMPTRLD_ADDRESS),
		W(VMX_INSTRUCTION_ERROR_VMPTRLD_VMXON),
		W(VMX_INSTRUCTION_ERROR_VMPTRLD_REVISION),
		W(VMX_INSTRUCTION_ERROR_NO_FIELD),
		W(VMX_INSTRUCTION_ERROR_READ_ONLY_FIELD),
		W(VMX_INSTRUCTION_ERROR_VMXON_ROOT),
		W(VMX_INSTRUCTION_ERROR_EXECUTIVE_POINTER),
		W(VMX_INSTRUCTION_ERROR_EXECUTIVE_CLEAR),
		W(VMX_INSTRUCTION_ERROR_EXECUTIVE_VMXON),
		W(VMX_INSTRUCTION_ERROR_VMCALL_LAUNCHED),
		W(VMX_INSTRUCTION_ERROR_VMCALL_EXIT_CONTROLS),
		W(VMX_INSTRUCTION_ERROR_VMCALL_MSEG),
		W(VMX_INSTRUCTION_ERROR_VMXOFF_DUAL_MONITOR),
		W(VMX_INSTRUCTION_ERROR_VMCALL_SMM),
		W(VMX_INSTRUCTION_ERROR_EXECUTIVE_CONTROLS),
		W(VMX_INSTRUCTION_ERROR_MOV_SS),
		W(VMX_INSTRUCTION_ERROR_INV_OPERAND),
	};
	size_t n = 0;

	for (const struct oracle_number *o = oracle_vmx_words; o->name; o++, n++) {
		ck_assert_uint_lt(n, sizeof(ours) / sizeof(ours[0]));
		ck_assert_str_eq(ours[n].name, o->name);
		ck_assert_msg(ours[n].value == o->value, "%s is %#lx, not %#lx",
		    o->name, (unsigned long)ours[n].value,
		    (unsigned long)o->value);
	}
	ck_assert_uint_eq(n, sizeof(ours) / sizeof(ours[0]));
}
END_TEST

/* What the kernel's headers do not have: SDM 3C 28.2.1, 28.2.5, 25.9.1, 3D A.1. */
START_TEST(words_are_the_manuals)
{
	/* in %dx, %eax: a double word from the port in DX */
	uint64_t q = 0x03f8000bULL;

	ck_assert_uint_eq((q & VMX_QUAL_IO_PORT_MASK) >> VMX_QUAL_IO_PORT_SHIFT, 0x3f8);
	ck_assert_uint_eq(q & VMX_QUAL_IO_SIZE_MASK, VMX_QUAL_IO_SIZE_4);
	ck_assert(q & VMX_QUAL_IO_IN);
	ck_assert(!(q & (VMX_QUAL_IO_STR | VMX_QUAL_IO_REP | VMX_QUAL_IO_IMMEDIATE)));
	/* rep outsw, 64-bit addresses, FS */
	q = 0x00ed0031ULL;
	ck_assert(q & VMX_QUAL_IO_STR && q & VMX_QUAL_IO_REP && !(q & VMX_QUAL_IO_IN));
	ck_assert_uint_eq(q & VMX_QUAL_IO_SIZE_MASK, VMX_QUAL_IO_SIZE_2);
	ck_assert_uint_eq((0x00020100u & VMX_IO_INFO_ADDRESS_MASK) >> VMX_IO_INFO_ADDRESS_SHIFT,
	    VMX_IO_INFO_ADDRESS_64);
	ck_assert_uint_eq((0x00020100u & VMX_IO_INFO_SEG_MASK) >> VMX_IO_INFO_SEG_SHIFT,
	    VMX_IO_INFO_SEG_FS);
	/* mov %r9, %cr8; mov %cr3, %rax; lmsw $0x1234 */
	q = 0x908;
	ck_assert_uint_eq(q & VMX_QUAL_CR_CR_MASK, 8);
	ck_assert_uint_eq((q & VMX_QUAL_CR_GPR_MASK) >> VMX_QUAL_CR_GPR_SHIFT, 9);
	ck_assert_uint_eq((q & VMX_QUAL_CR_TYPE_MASK) >> VMX_QUAL_CR_TYPE_SHIFT,
	    VMX_QUAL_CR_TYPE_MOV_TO);
	q = 0x13;
	ck_assert_uint_eq((q & VMX_QUAL_CR_TYPE_MASK) >> VMX_QUAL_CR_TYPE_SHIFT,
	    VMX_QUAL_CR_TYPE_MOV_FROM);
	q = 0x12340030;
	ck_assert_uint_eq((q & VMX_QUAL_CR_TYPE_MASK) >> VMX_QUAL_CR_TYPE_SHIFT,
	    VMX_QUAL_CR_TYPE_LMSW);
	ck_assert_uint_eq((q & VMX_QUAL_CR_LMSW_MASK) >> VMX_QUAL_CR_LMSW_SHIFT, 0x1234);
	ck_assert_uint_eq(VMX_QUAL_CR_TYPE_CLTS, 2);
	/* A task gate in the IDT to selector 0x28. */
	q = 0xc0000028;
	ck_assert_uint_eq((q & VMX_QUAL_TASK_SOURCE_MASK) >> VMX_QUAL_TASK_SOURCE_SHIFT,
	    VMX_QUAL_TASK_SOURCE_GATE);
	ck_assert_uint_eq(q & VMX_QUAL_TASK_SELECTOR_MASK, 0x28);
	/* DR6's own bits, DR6's inverted ones not inverted. */
	ck_assert_uint_eq(VMX_QUAL_DEBUG_BS, ARCH_DR6_BS);
	ck_assert_uint_eq(VMX_QUAL_DEBUG_BD, ARCH_DR6_BD);
	ck_assert_uint_eq(VMX_QUAL_DEBUG_RTM, ARCH_DR6_RTM);
	ck_assert_uint_eq(VMX_QUAL_DEBUG_BLD, ARCH_DR6_BLD);
	ck_assert_uint_eq(VMX_QUAL_DEBUG_B_MASK,
	    ARCH_DR6_B0 | ARCH_DR6_B1 | ARCH_DR6_B2 | ARCH_DR6_B3);
	ck_assert_uint_eq(VMX_PENDING_DEBUG_BS, ARCH_DR6_BS);
	ck_assert_uint_eq(VMX_PENDING_DEBUG_ENABLED, 1u << 12);
	ck_assert_uint_eq(VMX_EXIT_REASON_ENTRY_FAILED, 1u << 31);
	ck_assert_uint_eq(VMX_EXIT_REASON_BASIC_MASK, 0xffff);
	ck_assert_uint_eq(VMX_BASIC_TRUE_CONTROLS, 1ULL << 55);
	ck_assert_uint_eq(VMX_BASIC_INS_OUTS, 1ULL << 54);
	ck_assert_uint_eq(VMX_BASIC_MEMORY_TYPE_MASK, 0xfULL << 50);
	ck_assert_uint_eq(VMX_BASIC_ADDRESS_32, 1ULL << 48);
	ck_assert_uint_eq(VMX_BASIC_SIZE_MASK, 0x1fffULL << 32);
	ck_assert_uint_eq(VMX_BASIC_REVISION_MASK, 0x7fffffff);
	ck_assert_uint_eq(VMX_EPTP_ROOT_MASK, 0xffffffffff000ULL);
	/* The interface's segment attributes are VMX's own. */
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_UNUSABLE, ARCH_AR_UNUSABLE);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_G, ARCH_AR_G);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_DB, ARCH_AR_DB);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_L, ARCH_AR_L);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_AVL, ARCH_AR_AVL);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_P, ARCH_AR_P);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_DPL_MASK, ARCH_AR_DPL_MASK);
	ck_assert_uint_eq(VMX_ACCESS_RIGHTS_S, ARCH_AR_S);
}
END_TEST

START_TEST(names_are_found)
{
	for (unsigned int i = 0; i < vmcs_fields_count; i++)
		ck_assert_str_eq(vmcs_field_name(vmcs_fields[i].encoding),
		    vmcs_fields[i].name);
	ck_assert_str_eq(vmcs_field_name(VMCS_GUEST_RIP), "guest_rip");
	/* Upper halves, holes, and beyond both ends. */
	ck_assert_str_eq(vmcs_field_name(VMCS_EPT_POINTER + 1), "unknown");
	ck_assert_str_eq(vmcs_field_name(0x7ffe), "unknown");
	ck_assert_str_eq(vmcs_field_name(UINT32_MAX), "unknown");
	ck_assert_str_eq(vmx_instruction_error(VMX_INSTRUCTION_ERROR_CONTROLS),
	    "VM entry with controls that cannot be");
	ck_assert_str_eq(vmx_instruction_error(0), "unknown error");
	ck_assert_str_eq(vmx_instruction_error(14), "unknown error");
	ck_assert_str_eq(vmx_instruction_error(29), "unknown error");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("vmcs");
	TCase *t = tcase_create("vmcs");
	SRunner *r;
	int failed;

	tcase_add_test(t, encodings_are_the_kernels);
	tcase_add_test(t, the_kernel_knows_no_other_field);
	tcase_add_test(t, newer_fields_are_there);
	tcase_add_test(t, encodings_say_what_they_are);
	tcase_add_test(t, words_are_the_kernels);
	tcase_add_test(t, words_are_the_manuals);
	tcase_add_test(t, names_are_found);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
