/* SPDX-License-Identifier: ISC */
/*
 * test_entry_manual.c - that no entry check of the manuals is left out: their names, section by
 * section of SDM 3C 27.2 and 27.3 and of APM 2 15.5.1, with the phase in which the entry fails and
 * the qualification of the exit.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry_check.h"
#include "svm_entry_checks.h"
#include "vmx_entry_checks.h"

struct group {
	uint8_t phase;
	int8_t qualification;
	const char *names;
};

static const struct group vmx[] = {
	/* 3C 27.2.1.1 */
	{ 0, -1,
	    "pin_must_be_1 pin_may_be_1 proc_must_be_1 proc_may_be_1 proc2_must_be_1 "
	    "proc2_may_be_1 proc3_may_be_1 cr3_target_count io_bitmap_a_address "
	    "io_bitmap_b_address msr_bitmap_address virtual_apic_address tpr_threshold_reserved "
	    "tpr_threshold_reached virtual_nmis_exit nmi_window_virtual apic_access_address "
	    "apic_features_need_tpr_shadow x2apic_or_apic_accesses virtual_interrupts_exit "
	    "posted_interrupts_need_delivery posted_interrupts_need_acknowledge "
	    "posted_interrupt_vector posted_interrupt_descriptor vpid_not_zero ept_memory_type "
	    "ept_levels ept_accessed_dirty ept_shadow_stack ept_reserved pml_needs_ept "
	    "pml_address unrestricted_guest_needs_ept mode_based_execute_needs_ept "
	    "sub_page_write_needs_ept sub_page_permission_table vm_functions_may_be_1 "
	    "eptp_switching_needs_ept eptp_list_address vmread_bitmap_address "
	    "vmwrite_bitmap_address ve_information_address pt_guest_physical_needs "
	    "tsc_multiplier_not_zero pasid_directory_low pasid_directory_high hlat_needs_ept "
	    "hlat_pointer ipi_virtualization_needs_tpr_shadow pid_pointer_table " },
	/* 3C 27.2.1.2 */
	{ 0, -1,
	    "exit_must_be_1 exit_may_be_1 exit2_may_be_1 save_timer_needs_timer "
	    "exit_msr_store_address exit_msr_load_address exit_msr_store_end exit_msr_load_end " },
	/* 3C 27.2.1.3 */
	{ 0, -1,
	    "entry_must_be_1 entry_may_be_1 event_type event_nmi_vector event_exception_vector "
	    "event_other_vector event_error_code_mode event_error_code_kind "
	    "event_error_code_vector event_reserved event_error_code_high event_length "
	    "entry_msr_load_address entry_msr_load_end entry_to_smm_outside "
	    "deactivate_dual_monitor_outside smm_or_deactivate " },
	/* 3C 27.2.2 */
	{ 1, -1,
	    "host_cr0_must_be_1 host_cr0_may_be_1 host_cr4_must_be_1 host_cr4_may_be_1 "
	    "host_cet_needs_wp host_cr3_width host_sysenter_esp_canonical "
	    "host_sysenter_eip_canonical host_perf_global_ctrl_reserved host_pat_types "
	    "host_efer_reserved host_efer_mode host_s_cet_reserved host_s_cet_canonical "
	    "host_ssp_aligned host_isst_canonical host_pkrs_high host_fred_config host_fred_rsp1 "
	    "host_fred_rsp2 host_fred_rsp3 host_fred_ssp1 host_fred_ssp2 host_fred_ssp3 " },
	/* 3C 27.2.3 */
	{ 1, -1,
	    "host_es_selector_table host_cs_selector_table host_ss_selector_table "
	    "host_ds_selector_table host_fs_selector_table host_gs_selector_table "
	    "host_tr_selector_table host_cs_not_null host_tr_not_null host_ss_not_null "
	    "host_fs_base_canonical host_gs_base_canonical host_tr_base_canonical "
	    "host_gdtr_base_canonical host_idtr_base_canonical " },
	/* 3C 27.2.4 */
	{ 1, -1,
	    "host_32bit_enters_32bit host_64bit_returns guest_64bit_needs_host_64bit "
	    "host_pcid_needs_64bit host_fred_needs_64bit host_rip_width host_ssp_width "
	    "host_64bit_needs_pae host_rip_canonical host_ssp_canonical " },
	/* 3C 27.3.1.1 */
	{ 2, 0,
	    "guest_cr0_must_be_1 guest_cr0_may_be_1 guest_paging_needs_protection "
	    "guest_cr4_must_be_1 guest_cr4_may_be_1 guest_cet_needs_wp guest_debugctl_reserved "
	    "guest_64bit_needs_paging guest_64bit_needs_pae guest_pcid_needs_64bit "
	    "guest_fred_needs_64bit guest_cr3_width guest_dr7_high guest_sysenter_esp_canonical "
	    "guest_sysenter_eip_canonical guest_s_cet_reserved guest_s_cet_canonical "
	    "guest_isst_canonical guest_perf_global_ctrl_reserved guest_pat_types "
	    "guest_efer_reserved guest_efer_lma guest_efer_lme guest_bndcfgs "
	    "guest_rtit_ctl_reserved guest_lbr_ctl_reserved guest_pkrs_high guest_uinv_high "
	    "guest_fred_config guest_fred_rsp1 guest_fred_rsp2 guest_fred_rsp3 guest_fred_ssp1 "
	    "guest_fred_ssp2 guest_fred_ssp3 " },
	/* 3C 27.3.1.2 */
	{ 2, 0,
	    "guest_tr_selector_table guest_ldtr_selector_table guest_ss_selector_rpl "
	    "guest_cs_base_v8086 guest_ss_base_v8086 guest_ds_base_v8086 guest_es_base_v8086 "
	    "guest_fs_base_v8086 guest_gs_base_v8086 guest_tr_base_canonical "
	    "guest_fs_base_canonical guest_gs_base_canonical guest_ldtr_base_canonical "
	    "guest_cs_base_width guest_ss_base_width guest_ds_base_width guest_es_base_width "
	    "guest_cs_limit_v8086 guest_ss_limit_v8086 guest_ds_limit_v8086 guest_es_limit_v8086 "
	    "guest_fs_limit_v8086 guest_gs_limit_v8086 guest_cs_rights_v8086 "
	    "guest_ss_rights_v8086 guest_ds_rights_v8086 guest_es_rights_v8086 "
	    "guest_fs_rights_v8086 guest_gs_rights_v8086 guest_cs_type guest_ss_type "
	    "guest_ds_type guest_es_type guest_fs_type guest_gs_type guest_cs_is_segment "
	    "guest_ss_is_segment guest_ds_is_segment guest_es_is_segment guest_fs_is_segment "
	    "guest_gs_is_segment guest_cs_dpl_data guest_cs_dpl_code guest_cs_dpl_conforming "
	    "guest_ss_dpl_rpl guest_ss_dpl_real guest_ds_dpl guest_es_dpl guest_fs_dpl "
	    "guest_gs_dpl guest_cs_present guest_ss_present guest_ds_present guest_es_present "
	    "guest_fs_present guest_gs_present guest_cs_rights_reserved guest_ss_rights_reserved "
	    "guest_ds_rights_reserved guest_es_rights_reserved guest_fs_rights_reserved "
	    "guest_gs_rights_reserved guest_cs_one_size guest_cs_granularity guest_ss_granularity "
	    "guest_ds_granularity guest_es_granularity guest_fs_granularity guest_gs_granularity "
	    "guest_tr_type guest_tr_is_system guest_tr_present guest_tr_rights_reserved "
	    "guest_tr_granularity guest_tr_usable guest_ldtr_type guest_ldtr_is_system "
	    "guest_ldtr_present guest_ldtr_rights_reserved guest_ldtr_granularity " },
	/* 3C 27.3.1.3 */
	{ 2, 0,
	    "guest_gdtr_base_canonical_table guest_idtr_base_canonical_table "
	    "guest_gdtr_limit_width guest_idtr_limit_width " },
	/* 3C 27.3.1.4 */
	{ 2, 0,
	    "guest_rip_width guest_rip_canonical guest_rflags_reserved guest_v8086_mode "
	    "event_needs_if guest_ssp_aligned guest_ssp_width guest_ssp_canonical " },
	/* 3C 27.3.1.5 */
	{ 2, 0,
	    "activity_exists activity_hlt_supported activity_shutdown_supported "
	    "activity_wait_sipi_supported activity_hlt_privilege activity_without_shadow "
	    "event_in_hlt event_in_shutdown event_in_wait_sipi activity_in_smm "
	    "interruptibility_reserved one_shadow sti_shadow_needs_if interrupt_without_shadow "
	    "smi_blocking_outside smi_blocking_inside virtual_nmi_not_blocked enclave_supported "
	    "enclave_without_shadow pending_debug_reserved pending_step transaction_supported "
	    "pending_transaction " },
	/* 3C 27.3.1.5 */
	{ 2, 3,
	    "nmi_without_shadow " },
	/* 3C 27.3.1.5 */
	{ 2, 4,
	    "link_pointer_address link_pointer_revision link_pointer_other link_pointer_vmxon " },
	/* 3C 27.3.1.6 */
	{ 2, 2,
	    "guest_pdpte0 guest_pdpte1 guest_pdpte2 guest_pdpte3 memory_pdpte0 memory_pdpte1 "
	    "memory_pdpte2 memory_pdpte3 " },
};

static const struct group svm[] = {
	/* 2 15.5.1 */
	{ 0, -1,
	    "efer_svme cr0_cache cr0_high cr3_width cr4_reserved dr6_high dr7_high efer_reserved "
	    "efer_long_mode long_mode_needs_pae long_mode_needs_protection cs_one_size "
	    "vmrun_intercepted msrpm_within iopm_within asid_not_zero cet_needs_wp "
	    "s_cet_reserved " },
	/* 2 15.20 */
	{ 0, -1,
	    "event_type event_exception_vector " },
	/* 2 15.25.4 */
	{ 0, -1,
	    "n_cr3_width g_pat_types " },
	/* 2 15.25.3 */
	{ 0, -1,
	    "nested_paging_needs_paging " },
	/* 2 15.34.3 */
	{ 0, -1,
	    "sev_is_on sev_needs_nested_paging sev_asid " },
	/* 2 15.21.10 */
	{ 0, -1,
	    "vnmi_needs_intercept " },
	/* 2 15.29.4.1 */
	{ 0, -1,
	    "avic_apic_bar avic_backing_page avic_logical_table avic_physical_table " },
};

static void
all_there(const struct entry_rules *rules, const struct group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *at = groups[i].names;
		char name[64];
		int length;

		for (; sscanf(at, "%63s %n", name, &length) == 1; at += length) {
			const struct entry_check *found = NULL;

			for (unsigned int j = 0; j < rules->count; j++)
				if (strcmp(rules->checks[j].name, name) == 0)
					found = &rules->checks[j];
			ck_assert_msg(found != NULL, "no check %s", name);
			ck_assert_msg(found->phase == groups[i].phase &&
			    found->qualification == groups[i].qualification,
			    "%s: phase %u, qualification %d", name, found->phase,
			    found->qualification);
		}
	}
}

START_TEST(vmx_checks_are_the_manuals)
{
	all_there(&vmx_entry_rules, vmx, sizeof(vmx) / sizeof(vmx[0]));
}
END_TEST

START_TEST(svm_checks_are_the_manuals)
{
	all_there(&svm_entry_rules, svm, sizeof(svm) / sizeof(svm[0]));
}
END_TEST

static uint64_t
read_array(const void *state, unsigned int operand)
{
	return ((const uint64_t *)state)[operand];
}

/* SDM 3C 27.3.1.5: a single step that MOV SS holds back is pending, unless BTF is on. */
START_TEST(single_steps_are_pending)
{
	for (unsigned int tf = 0; tf < 2; tf++)
		for (unsigned int btf = 0; btf < 2; btf++)
			for (unsigned int bs = 0; bs < 2; bs++) {
				uint64_t state[VMX_ENTRY_OPERANDS] = {
					[VMX_ENTRY_GUEST_INTERRUPTIBILITY] = 1u << 1,
					[VMX_ENTRY_GUEST_RFLAGS] = 2 | tf << 8,
					[VMX_ENTRY_GUEST_IA32_DEBUGCTL] = btf << 1,
					[VMX_ENTRY_GUEST_PENDING_DEBUG] = bs << 14,
				};

				ck_assert_int_eq(bs == (tf && !btf), vmx_entry_rules.holds(
				    VMX_CHECK_PENDING_STEP, read_array, state));
			}
}
END_TEST

#define UNUSABLE	(1u << 16)
#define EPT_AD		(1u << 6)	/* of the EPT pointer */
#define PROC2_EPT	(1u << 1)
#define SOFT_INT	0x80000480u
#define EXT_INT		0x80000080u
#define ZERO_LENGTH	(1u << 30)	/* of IA32_VMX_MISC */

/*
 * Where a check does not apply, and at its edges. Operands that are not set are 0; so are the
 * capabilities, and unrestricted guest is off.
 */
static const struct {
	uint16_t check;
	bool holds;
	struct { uint16_t operand; uint64_t value; } set[4];
} edges[] = {
	/* 3C 27.2.1.1: bits of an EPT pointer that is not used. */
	{ VMX_CHECK_EPT_ACCESSED_DIRTY, true, {{ VMX_ENTRY_EPT_POINTER, EPT_AD }} },
	{ VMX_CHECK_EPT_ACCESSED_DIRTY, true, {{ VMX_ENTRY_PROC2_CONTROLS, PROC2_EPT }} },
	{ VMX_CHECK_EPT_ACCESSED_DIRTY, false,
	    {{ VMX_ENTRY_PROC2_CONTROLS, PROC2_EPT }, { VMX_ENTRY_EPT_POINTER, EPT_AD }} },
	/* 3C 27.2.1.3: the length is that of software events, 1 to 15, or 0 on some CPUs. */
	{ VMX_CHECK_EVENT_LENGTH, true, {{ VMX_ENTRY_ENTRY_INTERRUPTION_INFO, EXT_INT },
	    { VMX_ENTRY_ENTRY_INSTRUCTION_LENGTH, 16 }} },
	{ VMX_CHECK_EVENT_LENGTH, true, {{ VMX_ENTRY_ENTRY_INTERRUPTION_INFO, SOFT_INT },
	    { VMX_ENTRY_ENTRY_INSTRUCTION_LENGTH, 15 }} },
	{ VMX_CHECK_EVENT_LENGTH, false, {{ VMX_ENTRY_ENTRY_INTERRUPTION_INFO, SOFT_INT },
	    { VMX_ENTRY_ENTRY_INSTRUCTION_LENGTH, 16 }} },
	{ VMX_CHECK_EVENT_LENGTH, false, {{ VMX_ENTRY_ENTRY_INTERRUPTION_INFO, SOFT_INT }} },
	{ VMX_CHECK_EVENT_LENGTH, true, {{ VMX_ENTRY_ENTRY_INTERRUPTION_INFO, SOFT_INT },
	    { VMX_ENTRY_VMX_MISC, ZERO_LENGTH }} },
	/* 3C 27.3.1.2: segments that are not usable, and conforming code, have any privilege. */
#define DPL(name) \
	{ VMX_CHECK_GUEST_##name##_DPL, false, {{ VMX_ENTRY_GUEST_##name##_SELECTOR, 3 }} }, \
	{ VMX_CHECK_GUEST_##name##_DPL, true, {{ VMX_ENTRY_GUEST_##name##_SELECTOR, 3 }, \
	    { VMX_ENTRY_GUEST_##name##_ACCESS_RIGHTS, UNUSABLE }} }, \
	{ VMX_CHECK_GUEST_##name##_DPL, true, {{ VMX_ENTRY_GUEST_##name##_SELECTOR, 3 }, \
	    { VMX_ENTRY_GUEST_##name##_ACCESS_RIGHTS, 12 }} }, \
	{ VMX_CHECK_GUEST_##name##_DPL, false, {{ VMX_ENTRY_GUEST_##name##_SELECTOR, 3 }, \
	    { VMX_ENTRY_GUEST_##name##_ACCESS_RIGHTS, 11 }} }
	DPL(DS), DPL(ES), DPL(FS), DPL(GS),
	{ VMX_CHECK_GUEST_LDTR_RIGHTS_RESERVED, false,
	    {{ VMX_ENTRY_GUEST_LDTR_ACCESS_RIGHTS, 0x100 }} },
	{ VMX_CHECK_GUEST_LDTR_RIGHTS_RESERVED, true,
	    {{ VMX_ENTRY_GUEST_LDTR_ACCESS_RIGHTS, UNUSABLE | 0x100 }} },
	/* 3C 27.3.1.5: nothing holds the step back, so the CPU has taken it. */
	{ VMX_CHECK_PENDING_STEP, true, {{ VMX_ENTRY_GUEST_RFLAGS, 0x102 }} },
};

START_TEST(checks_bite_where_they_apply)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		uint64_t state[VMX_ENTRY_OPERANDS] = { 0 };

		for (size_t j = 0; j < 4 && edges[i].set[j].value != 0; j++)
			state[edges[i].set[j].operand] = edges[i].set[j].value;
		ck_assert_msg(edges[i].holds == vmx_entry_rules.holds(edges[i].check,
		    read_array, state), "case %zu", i);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("entry_manual");
	TCase *t = tcase_create("entry_manual");
	SRunner *r;
	int failed;

	tcase_add_test(t, vmx_checks_are_the_manuals);
	tcase_add_test(t, svm_checks_are_the_manuals);
	tcase_add_test(t, single_steps_are_pending);
	tcase_add_test(t, checks_bite_where_they_apply);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
