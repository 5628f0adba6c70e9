/* SPDX-License-Identifier: ISC */
/*
 * test_controls_manual.c - every control bit of both vendors, as APM 2 B.1 and
 * SDM 3C 25.6 to 25.8 list them: which bit of which word is called what here.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "svm_controls.h"
#include "svm_vmcb.h"
#include "vmx_controls.h"

/* The next of "HIGH-LOW name BIT name ..."; false at the end. */
static bool
next(const char **at, uint64_t *mask, char name[64])
{
	unsigned int high, low;
	int length;

	if (sscanf(*at, "%u-%u %63s %n", &high, &low, name, &length) != 3) {
		if (sscanf(*at, "%u %63s %n", &high, name, &length) != 2) {
			ck_assert_str_eq(*at, "");
			return false;
		}
		low = high;
	}
	*mask = (~0ULL << low) & (~0ULL >> (63 - high));
	*at += length;
	return true;
}

static const struct { uint16_t offset; const char *bits; } svm[] = {
	{ offsetof(struct vmcb, intercept_cr_read),
	    "3-0 cr_read_low 4 cr4_read 15-5 cr_read_high " },
	{ offsetof(struct vmcb, intercept_cr_write),
	    "3-0 cr_write_low 4 cr4_write 15-5 cr_write_high " },
	{ offsetof(struct vmcb, intercept_dr_read),
	    "15-0 dr_read " },
	{ offsetof(struct vmcb, intercept_dr_write),
	    "15-0 dr_write " },
	{ offsetof(struct vmcb, intercept_exceptions),
	    "0 exception_de 1 exception_db 16-2 exception_2_16 17 exception_ac "
	    "18 exception_mc 31-19 exception_19_31 " },
	{ offsetof(struct vmcb, intercept_misc1),
	    "0 intr 1 nmi 2 smi 3 init 4 vintr 5 cr0_sel_write 6 idtr_read 7 gdtr_read "
	    "8 ldtr_read 9 tr_read 10 idtr_write 11 gdtr_write 12 ldtr_write 13 tr_write "
	    "14 rdtsc 15 rdpmc 16 pushf 17 popf 18 cpuid 19 rsm 20 iret 21 swint 22 invd "
	    "23 pause 24 hlt 25 invlpg 26 invlpga 27 io 28 msr 29 task_switch "
	    "30 ferr_freeze 31 shutdown " },
	{ offsetof(struct vmcb, intercept_misc2),
	    "0 vmrun 1 vmmcall 2 vmload 3 vmsave 4 stgi 5 clgi 6 skinit 7 rdtscp 8 icebp "
	    "9 wbinvd 10 monitor 11 mwait 12 mwait_conditional 13 xsetbv 14 rdpru "
	    "15 efer_write_trap 31-16 cr_write_trap " },
	{ offsetof(struct vmcb, intercept_misc3),
	    "0 invlpgb 1 invlpgb_illegal 2 invpcid 3 mcommit 4 tlbsync 5 bus_lock "
	    "6 idle_hlt " },
	{ offsetof(struct vmcb, vintr),
	    "24 vintr_masking 25 vgif 26 vnmi 30 x2avic 31 avic " },
	{ offsetof(struct vmcb, np_control),
	    "0 nested_paging 1 sev 2 sev_es 3 gmet 4 sss_check 5 vte 6 rogpt "
	    "7 tlbi_in_guest " },
	{ offsetof(struct vmcb, lbr_control),
	    "0 lbr 1 virtual_vmload 2 virtual_ibs 3 virtual_pmc " },
};

START_TEST(svm_bits_are_the_manuals)
{
	for (size_t i = 0; i < sizeof(svm) / sizeof(svm[0]); i++) {
		const char *at = svm[i].bits;
		uint64_t mask;
		char name[64];

		while (next(&at, &mask, name)) {
			const struct svm_control *found = NULL;

			for (unsigned int j = 0; j < svm_controls_count; j++)
				if (svm_controls[j].offset == svm[i].offset &&
				    strcmp(svm_controls[j].name, name) == 0)
					found = &svm_controls[j];
			ck_assert_msg(found != NULL, "no %s", name);
			ck_assert_msg(found->mask == mask, "%s", name);
		}
	}
}
END_TEST

static const struct { const char *word, *bits; } vmx[] = {
	{ "pin",
	    "0 intr 2-1 default1_1_2 3 nmi 4 default1_4 5 virtual_nmis 6 preemption_timer "
	    "7 posted_interrupts " },
	{ "proc",
	    "1 default1_1 2 intr_window 3 tsc_offsetting 6-4 default1_4_6 "
	    "7 hlt 8 default1_8 9 invlpg 10 mwait 11 rdpmc 12 rdtsc 14-13 default1_13_14 "
	    "15 cr3_load 16 cr3_store 17 activate_proc3 19 cr8_load "
	    "20 cr8_store 21 use_tpr_shadow 22 nmi_window 23 mov_dr 24 io 25 use_io_bitmaps "
	    "26 default1_26 27 monitor_trap_flag 28 use_msr_bitmaps 29 monitor "
	    "30 pause_always 31 activate_proc2 " },
	{ "exceptions",
	    "0 exception_de 1 exception_db 16-2 exception_2_16 17 exception_ac "
	    "18 exception_mc 31-19 exception_19_31 " },
	{ "proc2",
	    "0 virtualize_apic_accesses 1 ept 2 descriptor_tables 3 enable_rdtscp "
	    "4 virtualize_x2apic 5 vpid 6 wbinvd 7 unrestricted_guest "
	    "8 apic_register_virtualization 9 virtual_interrupt_delivery 10 pause_loop "
	    "11 rdrand 12 enable_invpcid 13 vm_functions 14 vmcs_shadowing 15 encls "
	    "16 rdseed 17 pml 18 ept_violation_ve 19 conceal_from_pt 20 enable_xsaves "
	    "21 pasid_translation 22 mode_based_execute 23 sub_page_write "
	    "24 pt_guest_physical 25 tsc_scaling 26 enable_user_wait 27 enable_pconfig "
	    "28 enclv 30 bus_lock 31 instruction_timeout " },
	{ "proc3",
	    "0 loadiwkey 1 hlat 2 ept_paging_write 3 guest_paging_verification "
	    "4 ipi_virtualization 6 enable_msr_list 7 virtualize_spec_ctrl "
	    "" },
	{ "exit",
	    "1-0 default1_0_1 2 save_debug_controls 8-3 default1_3_8 9 host_64bit "
	    "11-10 default1_10_11 12 load_ia32_perf_global_ctrl 14-13 default1_13_14 "
	    "15 acknowledge_interrupt 17-16 default1_16_17 18 save_ia32_pat "
	    "19 load_ia32_pat 20 save_ia32_efer 21 load_ia32_efer 22 save_preemption_timer "
	    "23 clear_ia32_bndcfgs 24 conceal_from_pt 25 clear_ia32_rtit_ctl "
	    "26 clear_ia32_lbr_ctl 27 clear_uinv 28 load_cet_state 29 load_pkrs "
	    "30 save_ia32_perf_global_ctrl 31 activate_exit2 " },
	{ "exit2",
	    "0 save_ia32_fred 1 load_ia32_fred 3 busy_shadow_stack "
	    "" },
	{ "entry",
	    "1-0 default1_0_1 2 load_debug_controls 8-3 default1_3_8 9 ia32e_mode 10 smm "
	    "11 deactivate_dual_monitor 12 default1_12 13 load_ia32_perf_global_ctrl "
	    "14 load_ia32_pat 15 load_ia32_efer 16 load_ia32_bndcfgs 17 conceal_from_pt "
	    "18 load_ia32_rtit_ctl 19 load_uinv 20 load_cet_state 21 load_ia32_lbr_ctl "
	    "22 load_pkrs 23 load_ia32_fred " },
};

START_TEST(vmx_bits_are_the_manuals)
{
	for (size_t i = 0; i < sizeof(vmx) / sizeof(vmx[0]); i++) {
		const char *at = vmx[i].bits;
		uint64_t mask;
		char name[64], whole[128];

		while (next(&at, &mask, name)) {
			const struct vmx_control *found = NULL;

			snprintf(whole, sizeof(whole), "%s.%s", vmx[i].word, name);
			for (unsigned int j = 0; j < vmx_control_count; j++)
				if (strcmp(vmx_control_table[j].name, whole) == 0)
					found = &vmx_control_table[j];
			ck_assert_msg(found != NULL, "no %s", whole);
			ck_assert_msg(found->mask == mask, "%s", whole);
			/* What the log says of a control that cannot be off. */
			ck_assert(strncmp(found->off, whole, strlen(whole)) == 0);
		}
	}
}
END_TEST

START_TEST(svm_capabilities_are_the_manuals)
{
	/* APM 3 E.4.9 and E.4.7: each by itself. */
	static const struct { unsigned int bit; size_t member; } edx[] = {
#define C(bit, name)	{ bit, offsetof(struct svm_caps, name) }
		C(0, npt), C(3, nrip_save), C(4, tsc_scale), C(5, clean_bits),
		C(6, flush_by_asid), C(7, decode_assists), C(10, pause_filter),
		C(12, pause_filter_threshold), C(16, vgif), C(20, spec_ctrl),
		C(23, host_mce_override), C(24, tlbi_ctl),
	}, ebx[] = {
		C(3, invlpgb), C(8, mcommit),
#undef C
	};
	struct svm_caps caps;

	for (size_t i = 0; i < sizeof(edx) / sizeof(edx[0]); i++) {
		const char *missing = svm_caps_read(&caps, 1, 1u << edx[i].bit);

		ck_assert_int_eq(missing == NULL, edx[i].bit == 0);
		ck_assert(missing == NULL || strcmp(missing, "nested paging") == 0);
		for (size_t j = 0; j < sizeof(edx) / sizeof(edx[0]); j++)
			ck_assert_int_eq(((const char *)&caps)[edx[j].member], i == j);
	}
	for (size_t i = 0; i < sizeof(ebx) / sizeof(ebx[0]); i++) {
		svm_caps_read(&caps, 1, 0);
		svm_caps_read_ext(&caps, 1u << ebx[i].bit);
		for (size_t j = 0; j < sizeof(ebx) / sizeof(ebx[0]); j++)
			ck_assert_int_eq(((const char *)&caps)[ebx[j].member], i == j);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controls_manual");
	TCase *t = tcase_create("controls_manual");
	SRunner *r;
	int failed;

	tcase_add_test(t, svm_bits_are_the_manuals);
	tcase_add_test(t, vmx_bits_are_the_manuals);
	tcase_add_test(t, svm_capabilities_are_the_manuals);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
