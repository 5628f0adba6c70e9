/* SPDX-License-Identifier: ISC */
/*
 * test_msrs_manual.c - every MSR that the policy knows, as the manuals list them:
 * SDM 4 2, APM 2 A with AMD's processor programming references, and for KVM's own
 * Linux, Documentation/virt/kvm/x86/msr.rst.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_os.h"
#include "cpuid.h"
#include "msrs.h"
#include "vmx_msrbm.h"

/* The table only takes the addresses of the core's handlers. */
#define READER(name) \
int \
msr_read_##name(struct vcpu *v, uint64_t *value) \
{ \
	(void)v, (void)value; \
	return 0; \
}
#define WRITER(name) \
int \
msr_write_##name(struct vcpu *v, uint64_t value) \
{ \
	(void)v, (void)value; \
	return 0; \
}
READER(efer)
READER(pat)
READER(pvclock_system)
READER(pvclock_wall)
WRITER(efer)
WRITER(pat)
WRITER(pvclock_system)
WRITER(pvclock_wall)
WRITER(tsc)
WRITER(star)
WRITER(lstar)
WRITER(cstar)
WRITER(sfmask)

/* Number in hexadecimal, how many follow each other, and our name. */
static const struct {
	uint8_t vendors;
	const char *msrs;
} lists[] = {
	{ MSR_VENDOR_INTEL,
		    "0 p5_mc_addr 1 p5_mc_type 6 monitor_filter_size 17 platform_id "
		    "2a ebl_cr_poweron 2c ebc_frequency_id 33 test_ctrl 34 smi_count "
		    "35 core_thread_count 3a feature_control 40+8 lbr_core_from 4e ppin_ctl "
		    "4f ppin 60+8 lbr_core_to 79 ucode_write 8c+4 sgx_le_pubkey_hash "
		    "9b smm_monitor_ctl 9e smbase bd xapic_disable_status c1+8 pmc cd fsb_freq "
		    "ce platform_info cf core_caps e1 umwait_control e2 pkg_cst_config_control "
		    "10a arch_capabilities 10f tsx_force_abort 119 bbl_cr_ctl 11e bbl_cr_ctl3 "
		    "122 tsx_ctrl 123 mcu_opt_ctrl 140 misc_features_enables 17f error_control "
		    "180+6 mcg_reg 186+8 perfevtsel 190+8 mcg_reg_r8 198 perf_status 199 perf_ctl "
		    "19a clock_modulation 19b therm_interrupt 19c therm_status 19d therm2_ctl "
		    "1a0 misc_enable 1a2 temperature_target 1a4 misc_feature_control "
		    "1a6+2 offcore_rsp 1aa misc_pwr_mgmt 1ad+3 turbo_ratio_limit "
		    "1b0 energy_perf_bias 1b1 package_therm_status 1b2 package_therm_interrupt "
		    "1c8 lbr_select 1c9 lbr_tos 1f2 smrr_physbase 1f3 smrr_physmask "
		    "1f8 platform_dca_cap 1f9 cpu_dca_cap 1fa dca_0_cap 1fc power_ctl "
		    "280+32 mc_ctl2 2d9 integrity_caps 309+7 fixed_ctr 329 perf_metrics "
		    "345 perf_capabilities 38d fixed_ctr_ctrl 38e perf_global_status "
		    "38f perf_global_ctrl 390 perf_global_ovf_ctrl 391 perf_global_status_set "
		    "392 perf_global_inuse 3f1 pebs_enable 3f2 pebs_data_cfg 3f6 pebs_ld_lat "
		    "3f7 pebs_frontend 3f8+8 residency 480 vmx_basic 481 vmx_pinbased_ctls "
		    "482 vmx_procbased_ctls 483 vmx_exit_ctls 484 vmx_entry_ctls 485 vmx_misc "
		    "486 vmx_cr0_fixed0 487 vmx_cr0_fixed1 488 vmx_cr4_fixed0 489 vmx_cr4_fixed1 "
		    "48a vmx_vmcs_enum 48b vmx_procbased_ctls2 48c vmx_ept_vpid_cap "
		    "48d vmx_true_pinbased_ctls 48e vmx_true_procbased_ctls "
		    "48f vmx_true_exit_ctls 490 vmx_true_entry_ctls 491 vmx_vmfunc "
		    "492 vmx_procbased_ctls3 493 vmx_exit_ctls2 4c1+8 a_pmc 4d0 mcg_ext_ctl "
		    "560 rtit_output_base 561 rtit_output_mask 570 rtit_ctl 571 rtit_status "
		    "572 rtit_cr3_match 580+8 rtit_addr 600 ds_area 601 vr_current_config "
		    "606 rapl_power_unit 60a+4 pkgc_irtl 610+13 pkg_power 630+6 pkgc_more "
		    "638+11 pp_power 648+6 config_tdp 64e pperf 64f perf_limit_reasons "
		    "650 secondary_turbo_ratio_limit 658+18 core_residency 66a+4 atom_core "
		    "680+32 lbr_nhm_from 6c0+32 lbr_nhm_to 6e1 pkrs 770 pm_enable "
		    "771 hwp_capabilities 772 hwp_request_pkg 773 hwp_interrupt 774 hwp_request "
		    "775 pecihwp_request 777 hwp_status c80 debug_interface d90 bndcfgs d93 pasid "
		    "db0 pkg_hdc_ctl db1 pm_ctl1 db2 thread_stall dc0+32 lbr_info "
		    "1200+32 arch_lbr_info 14ce arch_lbr_ctl 14cf arch_lbr_depth "
		    "1500+32 arch_lbr_from 1600+32 arch_lbr_to 17d0 hw_feedback_ptr "
		    "17d1 hw_feedback_config 17da hreset_enable " },
	{ MSR_VENDOR_AMD,
		    "c00000e7 mperf_ro c00000e8 aperf_ro c00000e9 irperf c0000104 tsc_ratio "
		    "c000010e amd_lbr_select c000010f amd_dbg_extn_cfg "
		    "c0000300 amd_perf_global_status c0000301 amd_perf_global_ctl "
		    "c0000302 amd_perf_global_status_clr c0002000+256 mca_ext_bank "
		    "c0010000+4 k7_evntsel c0010004+4 k7_perfctr c0010010 syscfg c0010015 hwcr "
		    "c0010016+4 iorr c001001a top_mem c001001b k7_clk_ctl c001001d top_mem2 "
		    "c001001f nb_cfg c0010020 patch_loader c0010030+6 processor_name c001003e htc "
		    "c0010041 fidvid_ctl c0010042 fidvid_status c0010044+7 mc_ctl_mask "
		    "c0010050+5 smi_trap c0010055 int_pending_msg c0010058 mmio_conf_base "
		    "c0010061 pstate_limit c0010062 pstate_ctl c0010063 pstate_status "
		    "c0010064+8 pstate_def c0010073 cstate_base c0010074 cpu_watchdog "
		    "c001007a cu_pwr_acc c001007b cu_pwr_acc_max c0010111 smm_base "
		    "c0010112 smm_addr c0010113 smm_mask c0010114 vm_cr c0010115 ignne "
		    "c0010116 smm_ctl c0010117 vm_hsave_pa c0010118 svm_lock_key "
		    "c001011a local_smi_status c001011b avic_doorbell c001011e vm_page_flush "
		    "c001011f virt_spec_ctrl c0010130 sev_es_ghcb c0010131 sev_status "
		    "c0010140 osvw_id_length c0010141 osvw_status c0010200+12 perf_ctl_ctr "
		    "c0010230+12 l2i_perf c0010240+8 nb_perf c0010280 ptsc "
		    "c0010299 amd_rapl_power_unit c001029a amd_core_energy "
		    "c001029b amd_pkg_energy c00102b0+5 cppc c00102f0 amd_ppin_ctl "
		    "c00102f1 amd_ppin c0010300+32 samp_br c0011002+4 cpuid_override "
		    "c001100c node_id c001100d cpuid_override_k8 c0011019+3 dr_addr_mask "
		    "c0011020 ls_cfg c0011021 ic_cfg c0011022 dc_cfg c0011023 tw_cfg "
		    "c0011027 dr0_addr_mask c0011028 fp_cfg c0011029 de_cfg c001102a bu_cfg2 "
		    "c001102c ex_cfg c001102e bp_cfg c0011030+14 ibs c00110e3 spectral_chicken " },
	{ MSR_VENDOR_INTEL | MSR_VENDOR_AMD,
		    "10 tsc 11 kvm_wall_clock_old 12 kvm_system_time_old 1b apic_base "
		    "3b tsc_adjust 48 spec_ctrl 49 pred_cmd 8b patch_level e7 mperf e8 aperf "
		    "fe mtrrcap 10b flush_cmd 174 sysenter_cs 175 sysenter_esp 176 sysenter_eip "
		    "179 mcg_cap 17a mcg_status 17b mcg_ctl 1c4 xfd 1c5 xfd_err 1d9 debugctl "
		    "1db last_branch_from_ip 1dc last_branch_to_ip 1dd last_int_from_ip "
		    "1de last_int_to_ip 200+32 mtrr_phys 250 mtrr_fix64k_00000 "
		    "258 mtrr_fix16k_80000 259 mtrr_fix16k_a0000 268+8 mtrr_fix4k 277 pat "
		    "2ff mtrr_def_type 400+128 mc_bank 6a0 u_cet 6a2 s_cet 6a4 pl0_ssp "
		    "6a5 pl1_ssp 6a6 pl2_ssp 6a7 pl3_ssp 6a8 int_ssp_tab 6e0 tsc_deadline "
		    "800+256 x2apic c81 l3_qos_cfg c8d qm_evtsel c8e qm_ctr c8f pqr_assoc "
		    "c90+128 l3_mask da0 xss 4b564d00 pvclock_wall 4b564d01 pvclock_system "
		    "4b564d02 kvm_async_pf_en 4b564d03 kvm_steal_time 4b564d04 kvm_pv_eoi_en "
		    "c0000080 efer c0000081 star c0000082 lstar c0000083 cstar c0000084 sfmask "
		    "c0000100 fs_base c0000101 gs_base c0000102 kernel_gs_base c0000103 tsc_aux " },
};

static const struct msr_policy *
by_name(const char *name)
{
	for (unsigned int i = 0; i < msr_policy_count; i++)
		if (strcmp(msr_policies[i].name, name) == 0)
			return &msr_policies[i];
	ck_abort_msg("no row %s", name);
}

START_TEST(msrs_are_the_manuals)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *at = lists[i].msrs;
		char name[64];
		uint32_t index;
		int length;

		for (; sscanf(at, "%x%n", &index, &length) == 1; at += length) {
			unsigned int count = 1;
			const struct msr_policy *p;

			at += length;
			if (*at == '+') {
				ck_assert_int_eq(sscanf(at, "+%u%n", &count, &length), 1);
				at += length;
			}
			ck_assert_int_eq(sscanf(at, "%63s %n", name, &length), 1);
			p = by_name(name);
			ck_assert_msg(p->index == index && p->count == count &&
			    p->vendors == lists[i].vendors, "%s: %#x+%u, vendors %#x", name,
			    p->index, p->count, p->vendors);
		}
		ck_assert_msg(*at == '\0', "%s", at);
	}
}
END_TEST

START_TEST(bits_are_the_manuals)
{
	static const struct {
		const char *name;
		uint64_t mask;
		unsigned int bit;
	} bits[] = {
#define N(name, bit)	{ #name, ARCH_MSR_##name, bit }
		N(FEATURE_CONTROL_LOCKED, 0), N(FEATURE_CONTROL_VMX_IN_SMX, 1),
		N(FEATURE_CONTROL_VMX_OUTSIDE_SMX, 2), N(FEATURE_CONTROL_SGX_LAUNCH, 17),
		N(FEATURE_CONTROL_SGX, 18), N(FEATURE_CONTROL_LMCE, 20),
		N(MCG_STATUS_RIPV, 0), N(MCG_STATUS_EIPV, 1), N(MCG_STATUS_MCIP, 2),
		N(MISC_ENABLE_FAST_STRINGS, 0), N(MISC_ENABLE_TCC, 1), N(MISC_ENABLE_PERFMON, 7),
		N(MISC_ENABLE_BTS_UNAVAILABLE, 11), N(MISC_ENABLE_PEBS_UNAVAILABLE, 12),
		N(MISC_ENABLE_EST, 16), N(MISC_ENABLE_MONITOR, 18), N(MISC_ENABLE_LIMIT_CPUID, 22),
		N(MISC_ENABLE_XTPR_DISABLE, 23), N(MISC_ENABLE_XD_DISABLE, 34), N(HWCR_SMM_LOCK, 0),
		 N(HWCR_TSC_FREQ_SEL, 24), N(HWCR_IRPERF_EN, 30),
		N(VM_CR_DPD, 0), N(VM_CR_R_INIT, 1), N(VM_CR_DIS_A20M, 2), N(VM_CR_LOCK, 3),
		N(VM_CR_SVMDIS, 4), N(DE_CFG_LFENCE_SERIALIZE, 1), N(DE_CFG_FP_BACKUP_FIX, 9),
#undef N
	};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		ck_assert_msg(bits[i].mask == 1ULL << bits[i].bit, "%s", bits[i].name);
}
END_TEST

/* What a WRMSR of the guest must not get past, on SVM and where it is kept. */
START_TEST(values_are_checked)
{
	static const char *const canonical[] = { "lstar", "cstar", "fs_base", "gs_base",
	    "kernel_gs_base" };

	for (size_t i = 0; i < sizeof(canonical) / sizeof(canonical[0]); i++)
		ck_assert_msg(by_name(canonical[i])->check == MSR_CHECK_CANONICAL, "%s",
		    canonical[i]);
	ck_assert_int_eq(by_name("pat")->check, MSR_CHECK_PAT);
	/* SDM 4 2.1: the upper half is reserved. */
	ck_assert_int_eq(by_name("sfmask")->check, MSR_CHECK_LOW32);
	/* Of no row: the bits are the MSR's own, or it is the core that looks. */
	ck_assert_int_eq(by_name("star")->check, MSR_CHECK_NONE);
	ck_assert_int_eq(by_name("sysenter_cs")->check, MSR_CHECK_NONE);
}
END_TEST

START_TEST(kept_values)
{
	static const struct { const char *name; uint8_t slot; } kept[] = {
		{ "misc_enable", MSR_SLOT_MISC_ENABLE },
		{ "star", MSR_SLOT_STAR },
		{ "lstar", MSR_SLOT_LSTAR },
		{ "cstar", MSR_SLOT_CSTAR },
		{ "sfmask", MSR_SLOT_SFMASK },
		{ "kernel_gs_base", MSR_SLOT_KERNEL_GS_BASE },
	};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		ck_assert_msg(by_name(kept[i].name)->slot == kept[i].slot, "%s", kept[i].name);
	/* SDM 3A 10.1: zero but for PAT, which is 0x0007040600070406. */
	for (unsigned int i = 0; i < msr_policy_count; i++)
		ck_assert_msg(msr_policies[i].reset ==
		    (strcmp(msr_policies[i].name, "pat") == 0 ? 0x0007040600070406 : 0), "%s",
		    msr_policies[i].name);
}
END_TEST

/* SDM 4 2.1: which CPUs have them. */
START_TEST(switched_msrs_have_their_feature)
{
	static const struct { uint32_t index; enum cpuid_feature feature; } switched[] = {
		{ 0xc0000081, CPUID_FEATURE_SYSCALL }, { 0xc0000082, CPUID_FEATURE_SYSCALL },
		{ 0xc0000083, CPUID_FEATURE_SYSCALL }, { 0xc0000084, CPUID_FEATURE_SYSCALL },
	};

	for (size_t i = 0; i < sizeof(switched) / sizeof(switched[0]); i++) {
		unsigned int feature = CPUID_FEATURES;

		for (unsigned int j = 0; j < VMX_MSR_CONTEXTS; j++)
			if (vmx_msr_contexts[j].index == switched[i].index)
				feature = vmx_msr_contexts[j].feature;
		ck_assert_msg(feature == switched[i].feature, "%#x", switched[i].index);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("msrs_manual");
	TCase *t = tcase_create("msrs_manual");
	SRunner *r;
	int failed;

	tcase_add_test(t, msrs_are_the_manuals);
	tcase_add_test(t, bits_are_the_manuals);
	tcase_add_test(t, values_are_checked);
	tcase_add_test(t, kept_values);
	tcase_add_test(t, switched_msrs_have_their_feature);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
