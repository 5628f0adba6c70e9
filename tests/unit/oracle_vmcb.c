/* SPDX-License-Identifier: ISC */
/*
 * oracle_vmcb.c - the VMCB as the kernel declares it. Sees no header of ours.
 */
#include <stdbool.h>

#include "oracle_vmcb.h"

/* What the kernel's header expects from those it includes. */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define __packed		__attribute__((__packed__))
#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define static_assert		_Static_assert
#define BUILD_BUG_ON(e)		_Static_assert(!(e), #e)
#define PAGE_SIZE		4096
#undef __always_inline
#define __always_inline		inline __attribute__((unused))
#define test_bit(n, p)		((p)[(n) / 64] >> ((n) % 64) & 1)
#define __set_bit(n, p)		((p)[(n) / 64] |= 1UL << ((n) % 64))
#define _ASM_X86_KVM_H
#define _ASM_X86_HYPERV_TLFS_H
struct hv_vmcb_enlightenments {
	u8 bytes[32];
};

#pragma GCC diagnostic ignored "-Wunused-function"
/* Not <asm/svm.h>: that is the one for user space. */
#include <../../x86/include/asm/svm.h>

#define SIZE(type, m)	sizeof(((struct type *)0)->m)
#define CONTROL(name, m) \
	{ #name, offsetof(struct vmcb_control_area, m), SIZE(vmcb_control_area, m) }
#define SAVE(name, m) \
	{ #name, 0x400 + offsetof(struct vmcb_save_area, m), SIZE(vmcb_save_area, m) }

const struct oracle_member oracle_vmcb[] = {
	/* The kernel takes reads and writes as one word. */
	CONTROL(intercept_cr_read, intercepts[INTERCEPT_CR]),
	CONTROL(intercept_dr_read, intercepts[INTERCEPT_DR]),
	CONTROL(intercept_exceptions, intercepts[INTERCEPT_EXCEPTION]),
	CONTROL(intercept_misc1, intercepts[INTERCEPT_WORD3]),
	CONTROL(intercept_misc2, intercepts[INTERCEPT_WORD4]),
	CONTROL(intercept_misc3, intercepts[INTERCEPT_WORD5]),
	CONTROL(pause_filter_threshold, pause_filter_thresh),
	CONTROL(pause_filter_count, pause_filter_count),
	CONTROL(iopm_base_pa, iopm_base_pa),
	CONTROL(msrpm_base_pa, msrpm_base_pa),
	CONTROL(tsc_offset, tsc_offset),
	CONTROL(guest_asid, asid),
	CONTROL(tlb_control, tlb_ctl),
	CONTROL(vintr, int_ctl),
	CONTROL(interrupt_shadow, int_state),
	CONTROL(exitcode, exit_code),
	CONTROL(exitinfo1, exit_info_1),
	CONTROL(exitinfo2, exit_info_2),
	CONTROL(exitintinfo, exit_int_info),
	CONTROL(np_control, nested_ctl),
	CONTROL(avic_apic_bar, avic_vapic_bar),
	CONTROL(ghcb_pa, ghcb_gpa),
	CONTROL(eventinj, event_inj),
	CONTROL(n_cr3, nested_cr3),
	CONTROL(lbr_control, virt_ext),
	CONTROL(clean, clean),
	CONTROL(nrip, next_rip),
	CONTROL(insn_len, insn_len),
	CONTROL(insn_bytes, insn_bytes),
	CONTROL(avic_backing_page, avic_backing_page),
	CONTROL(avic_logical_table, avic_logical_id),
	CONTROL(avic_physical_table, avic_physical_id),
	CONTROL(vmsa_pa, vmsa_pa),
	CONTROL(host_use, reserved_sw),
	SAVE(es, es),
	SAVE(cs, cs),
	SAVE(ss, ss),
	SAVE(ds, ds),
	SAVE(fs, fs),
	SAVE(gs, gs),
	SAVE(gdtr, gdtr),
	SAVE(ldtr, ldtr),
	SAVE(idtr, idtr),
	SAVE(tr, tr),
	SAVE(vmpl, vmpl),
	SAVE(cpl, cpl),
	SAVE(efer, efer),
	SAVE(cr4, cr4),
	SAVE(cr3, cr3),
	SAVE(cr0, cr0),
	SAVE(dr7, dr7),
	SAVE(dr6, dr6),
	SAVE(rflags, rflags),
	SAVE(rip, rip),
	SAVE(rsp, rsp),
	SAVE(s_cet, s_cet),
	SAVE(ssp, ssp),
	SAVE(isst_addr, isst_addr),
	SAVE(rax, rax),
	SAVE(star, star),
	SAVE(lstar, lstar),
	SAVE(cstar, cstar),
	SAVE(sfmask, sfmask),
	SAVE(kernel_gs_base, kernel_gs_base),
	SAVE(sysenter_cs, sysenter_cs),
	SAVE(sysenter_esp, sysenter_esp),
	SAVE(sysenter_eip, sysenter_eip),
	SAVE(cr2, cr2),
	SAVE(g_pat, g_pat),
	SAVE(dbgctl, dbgctl),
	SAVE(br_from, br_from),
	SAVE(br_to, br_to),
	SAVE(lastexcpfrom, last_excp_from),
	SAVE(lastexcpto, last_excp_to),
	SAVE(spec_ctrl, spec_ctrl),
	{ NULL, 0, 0 },
};

/* Some of the kernel's masks are negative ints. */
#define U(value)	((uint64_t)(uint32_t)(value))

const struct oracle_mask oracle_masks[] = {
	{ "VINTR_TPR_MASK", V_TPR_MASK },
	{ "VINTR_IRQ", V_IRQ_MASK },
	{ "VINTR_GIF", V_GIF_MASK },
	{ "VINTR_PRIO_SHIFT", V_INTR_PRIO_SHIFT },
	{ "VINTR_PRIO_MASK", V_INTR_PRIO_MASK },
	{ "VINTR_IGN_TPR", V_IGN_TPR_MASK },
	{ "VINTR_MASKING", V_INTR_MASKING_MASK },
	{ "VINTR_GIF_ENABLE", V_GIF_ENABLE_MASK },
	{ "VINTR_AVIC", U(AVIC_ENABLE_MASK) },
	{ "VINTR_X2AVIC", X2APIC_MODE_MASK },
	{ "LBR_ENABLE", LBR_CTL_ENABLE_MASK },
	{ "LBR_VMLOAD", VIRTUAL_VMLOAD_VMSAVE_ENABLE_MASK },
	{ "SHADOW_INTERRUPT", SVM_INTERRUPT_SHADOW_MASK },
	{ "SHADOW_GUEST_IF", SVM_GUEST_INTERRUPT_MASK },
	{ "IOIO_IN", SVM_IOIO_TYPE_MASK },
	{ "IOIO_STR", SVM_IOIO_STR_MASK },
	{ "IOIO_REP", SVM_IOIO_REP_MASK },
	{ "IOIO_SZ", SVM_IOIO_SIZE_MASK },
	{ "IOIO_A", SVM_IOIO_ASIZE_MASK },
	{ "NP_ENABLE", SVM_NESTED_CTL_NP_ENABLE },
	{ "NP_SEV", SVM_NESTED_CTL_SEV_ENABLE },
	{ "NP_SEV_ES", SVM_NESTED_CTL_SEV_ES_ENABLE },
	{ "TLB_NONE", TLB_CONTROL_DO_NOTHING },
	{ "TLB_FLUSH_ALL", TLB_CONTROL_FLUSH_ALL_ASID },
	{ "TLB_FLUSH_ASID", TLB_CONTROL_FLUSH_ASID },
	{ "TLB_FLUSH_ASID_LOCAL", TLB_CONTROL_FLUSH_ASID_LOCAL },
	{ "EVENTINJ_VECTOR_MASK", SVM_EVTINJ_VEC_MASK },
	{ "EVENTINJ_TYPE_SHIFT", SVM_EVTINJ_TYPE_SHIFT },
	{ "EVENTINJ_TYPE_MASK", SVM_EVTINJ_TYPE_MASK },
	{ "EVENTINJ_TYPE_INTR", SVM_EVTINJ_TYPE_INTR >> SVM_EVTINJ_TYPE_SHIFT },
	{ "EVENTINJ_TYPE_NMI", SVM_EVTINJ_TYPE_NMI >> SVM_EVTINJ_TYPE_SHIFT },
	{ "EVENTINJ_TYPE_EXCEPTION",
	  SVM_EVTINJ_TYPE_EXEPT >> SVM_EVTINJ_TYPE_SHIFT },
	{ "EVENTINJ_TYPE_SOFT", SVM_EVTINJ_TYPE_SOFT >> SVM_EVTINJ_TYPE_SHIFT },
	{ "EVENTINJ_V", U(SVM_EVTINJ_VALID) },
	{ "EVENTINJ_EV", SVM_EVTINJ_VALID_ERR },
	{ "CRINFO_GPR_MASK", SVM_EXITINFO_REG_MASK },
	{ "TASKINFO_IRET", 1ULL << SVM_EXITINFOSHIFT_TS_REASON_IRET },
	{ "TASKINFO_JMP", 1ULL << SVM_EXITINFOSHIFT_TS_REASON_JMP },
	{ "TASKINFO_HAS_ERROR", 1ULL << SVM_EXITINFOSHIFT_TS_HAS_ERROR_CODE },
	{ "SEGATTR_TYPE_MASK", SVM_SELECTOR_TYPE_MASK },
	{ "SEGATTR_S", SVM_SELECTOR_S_MASK },
	{ "SEGATTR_DPL_MASK", SVM_SELECTOR_DPL_MASK },
	{ "SEGATTR_P", SVM_SELECTOR_P_MASK },
	{ "SEGATTR_AVL", SVM_SELECTOR_AVL_MASK },
	{ "SEGATTR_L", SVM_SELECTOR_L_MASK },
	{ "SEGATTR_DB", SVM_SELECTOR_DB_MASK },
	{ "SEGATTR_G", SVM_SELECTOR_G_MASK },
	{ NULL, 0 },
};
