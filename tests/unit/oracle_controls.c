/* SPDX-License-Identifier: ISC */
/*
 * oracle_controls.c - intercepts and SVM capabilities by the kernel's headers.
 * Sees no header of ours.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oracle_controls.h"

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
#define _ASM_X86_REQUIRED_FEATURES_H
#define _ASM_X86_DISABLED_FEATURES_H
struct hv_vmcb_enlightenments {
	u8 bytes[32];
};

#pragma GCC diagnostic ignored "-Wunused-function"
#include <../../x86/include/asm/svm.h>
#include <../../x86/include/asm/cpufeatures.h>

const struct oracle_bit oracle_intercepts[] = {
	{ "intr", INTERCEPT_INTR },
	{ "nmi", INTERCEPT_NMI },
	{ "smi", INTERCEPT_SMI },
	{ "init", INTERCEPT_INIT },
	{ "vintr", INTERCEPT_VINTR },
	{ "cr0_sel_write", INTERCEPT_SELECTIVE_CR0 },
	{ "idtr_read", INTERCEPT_STORE_IDTR },
	{ "gdtr_read", INTERCEPT_STORE_GDTR },
	{ "ldtr_read", INTERCEPT_STORE_LDTR },
	{ "tr_read", INTERCEPT_STORE_TR },
	{ "idtr_write", INTERCEPT_LOAD_IDTR },
	{ "gdtr_write", INTERCEPT_LOAD_GDTR },
	{ "ldtr_write", INTERCEPT_LOAD_LDTR },
	{ "tr_write", INTERCEPT_LOAD_TR },
	{ "rdtsc", INTERCEPT_RDTSC },
	{ "rdpmc", INTERCEPT_RDPMC },
	{ "pushf", INTERCEPT_PUSHF },
	{ "popf", INTERCEPT_POPF },
	{ "cpuid", INTERCEPT_CPUID },
	{ "rsm", INTERCEPT_RSM },
	{ "iret", INTERCEPT_IRET },
	{ "swint", INTERCEPT_INTn },
	{ "invd", INTERCEPT_INVD },
	{ "pause", INTERCEPT_PAUSE },
	{ "hlt", INTERCEPT_HLT },
	{ "invlpg", INTERCEPT_INVLPG },
	{ "invlpga", INTERCEPT_INVLPGA },
	{ "io", INTERCEPT_IOIO_PROT },
	{ "msr", INTERCEPT_MSR_PROT },
	{ "task_switch", INTERCEPT_TASK_SWITCH },
	{ "ferr_freeze", INTERCEPT_FERR_FREEZE },
	{ "shutdown", INTERCEPT_SHUTDOWN },
	{ "vmrun", INTERCEPT_VMRUN },
	{ "vmmcall", INTERCEPT_VMMCALL },
	{ "vmload", INTERCEPT_VMLOAD },
	{ "vmsave", INTERCEPT_VMSAVE },
	{ "stgi", INTERCEPT_STGI },
	{ "clgi", INTERCEPT_CLGI },
	{ "skinit", INTERCEPT_SKINIT },
	{ "rdtscp", INTERCEPT_RDTSCP },
	{ "icebp", INTERCEPT_ICEBP },
	{ "wbinvd", INTERCEPT_WBINVD },
	{ "monitor", INTERCEPT_MONITOR },
	{ "mwait", INTERCEPT_MWAIT },
	{ "mwait_conditional", INTERCEPT_MWAIT_COND },
	{ "xsetbv", INTERCEPT_XSETBV },
	{ "rdpru", INTERCEPT_RDPRU },
	{ "efer_write_trap", TRAP_EFER_WRITE },
	{ "cr_write_trap", TRAP_CR0_WRITE },
	{ "invlpgb", INTERCEPT_INVLPGB },
	{ "invlpgb_illegal", INTERCEPT_INVLPGB_ILLEGAL },
	{ "invpcid", INTERCEPT_INVPCID },
	{ "mcommit", INTERCEPT_MCOMMIT },
	{ "tlbsync", INTERCEPT_TLBSYNC },
	{ "cr4_write", INTERCEPT_CR4_WRITE },
	{ NULL, 0 },
};

/* Word 15 of the kernel's features is CPUID 0x8000000a EDX. */
const struct oracle_bit oracle_caps[] = {
	{ "npt", X86_FEATURE_NPT - 15 * 32 },
	{ "nrip_save", X86_FEATURE_NRIPS - 15 * 32 },
	{ "tsc_scale", X86_FEATURE_TSCRATEMSR - 15 * 32 },
	{ "clean_bits", X86_FEATURE_VMCBCLEAN - 15 * 32 },
	{ "flush_by_asid", X86_FEATURE_FLUSHBYASID - 15 * 32 },
	{ "decode_assists", X86_FEATURE_DECODEASSISTS - 15 * 32 },
	{ "pause_filter", X86_FEATURE_PAUSEFILTER - 15 * 32 },
	{ "pause_filter_threshold", X86_FEATURE_PFTHRESHOLD - 15 * 32 },
	{ "vgif", X86_FEATURE_VGIF - 15 * 32 },
	{ "spec_ctrl", X86_FEATURE_V_SPEC_CTRL - 15 * 32 },
	{ NULL, 0 },
};
