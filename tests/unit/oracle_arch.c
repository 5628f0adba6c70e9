/* SPDX-License-Identifier: ISC */
/*
 * oracle_arch.c - architectural bits by the kernel's headers. Sees no header of
 * ours.
 */
#include <stddef.h>

#include "oracle_arch.h"

#include <asm/processor-flags.h>

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK(h, l)		((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define __LINUX_BITS_H
#define _LINUX_BITOPS_H
#include <../../x86/include/asm/msr-index.h>
#include <../../x86/include/asm/trapnr.h>
#include <../../x86/include/uapi/asm/debugreg.h>
#include <../../x86/include/asm/trap_pf.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define __packed		__attribute__((__packed__))
#define __aligned(n)		__attribute__((__aligned__(n)))
#pragma GCC diagnostic ignored "-Wunused-function"
#include <../../x86/include/asm/vmx.h>

#define EXC(name, trap)	{ "EXC_" #name, X86_TRAP_##trap }
#define CR0(bit)	{ "CR0_" #bit, X86_CR0_##bit }
#define CR4(bit)	{ "CR4_" #bit, X86_CR4_##bit }
#define FL(bit)		{ "RFLAGS_" #bit, X86_EFLAGS_##bit }

const struct oracle_number oracle_arch[] = {
	CR0(PE), CR0(MP), CR0(EM), CR0(TS), CR0(ET), CR0(NE), CR0(WP),
	CR0(AM), CR0(NW), CR0(CD), CR0(PG),
	{ "CR3_PWT", X86_CR3_PWT },
	{ "CR3_PCD", X86_CR3_PCD },
	CR4(VME), CR4(PVI), CR4(TSD), CR4(DE), CR4(PSE), CR4(PAE), CR4(MCE),
	CR4(PGE), CR4(PCE), CR4(OSFXSR), CR4(OSXMMEXCPT), CR4(UMIP),
	CR4(LA57), CR4(VMXE), CR4(SMXE), CR4(FSGSBASE), CR4(PCIDE),
	CR4(OSXSAVE), CR4(SMEP), CR4(SMAP), CR4(PKE),
	{ "CR8_TPR_MASK", X86_CR8_TPR },
	FL(CF), FL(PF), FL(AF), FL(ZF), FL(SF), FL(TF), FL(IF), FL(DF),
	FL(OF), FL(NT), FL(RF), FL(VM), FL(AC), FL(VIF), FL(VIP), FL(ID),
	{ "RFLAGS_MB1", X86_EFLAGS_FIXED },
	{ "RFLAGS_IOPL_MASK", X86_EFLAGS_IOPL },
	{ "EFER_SCE", EFER_SCE },
	{ "EFER_LME", EFER_LME },
	{ "EFER_LMA", EFER_LMA },
	{ "EFER_NXE", EFER_NX },
	{ "EFER_SVME", EFER_SVME },
	{ "EFER_LMSLE", EFER_LMSLE },
	{ "EFER_FFXSR", EFER_FFXSR },
	{ "DR6_B0", DR_TRAP0 },
	{ "DR6_B1", DR_TRAP1 },
	{ "DR6_B2", DR_TRAP2 },
	{ "DR6_B3", DR_TRAP3 },
	{ "DR6_BLD", DR_BUS_LOCK },
	{ "DR6_BS", DR_STEP },
	{ "DR6_BT", DR_SWITCH },
	{ "DR6_MB1", DR6_RESERVED },
	EXC(DE, DE), EXC(DB, DB), EXC(NMI, NMI), EXC(BP, BP), EXC(OF, OF),
	EXC(BR, BR), EXC(UD, UD), EXC(NM, NM), EXC(DF, DF),
	EXC(CSO, OLD_MF), EXC(TS, TS), EXC(NP, NP), EXC(SS, SS), EXC(GP, GP),
	EXC(PF, PF), EXC(MF, MF), EXC(AC, AC), EXC(MC, MC), EXC(XM, XF),
	EXC(VE, VE), EXC(CP, CP), EXC(VC, VC),
	{ "PF_P", X86_PF_PROT },
	{ "PF_W", X86_PF_WRITE },
	{ "PF_U", X86_PF_USER },
	{ "PF_RSVD", X86_PF_RSVD },
	{ "PF_I", X86_PF_INSTR },
	{ "PF_PK", X86_PF_PK },
	{ "PF_SGX", X86_PF_SGX },
	{ "AR_TYPE_MASK", VMX_AR_TYPE_MASK },
	{ "AR_S", VMX_AR_S_MASK },
	{ "AR_P", VMX_AR_P_MASK },
	{ "AR_L", VMX_AR_L_MASK },
	{ "AR_DB", VMX_AR_DB_MASK },
	{ "AR_DPL_SHIFT", VMX_AR_DPL_SHIFT },
	{ "AR_UNUSABLE", VMX_AR_UNUSABLE_MASK },
	{ "EVENT_V", INTR_INFO_VALID_MASK },
	{ "EVENT_EV", INTR_INFO_DELIVER_CODE_MASK },
	{ "EVENT_TYPE_MASK", INTR_INFO_INTR_TYPE_MASK },
	{ "EVENT_VECTOR_MASK", INTR_INFO_VECTOR_MASK },
	{ "EPTE_R", VMX_EPT_READABLE_MASK },
	{ "EPTE_W", VMX_EPT_WRITABLE_MASK },
	{ "EPTE_X", VMX_EPT_EXECUTABLE_MASK },
	{ "EPTE_IPAT", VMX_EPT_IPAT_BIT },
	{ "EPTE_A", VMX_EPT_ACCESS_BIT },
	{ "EPTE_D", VMX_EPT_DIRTY_BIT },
	{ "EPTE_MEMTYPE_SHIFT", VMX_EPT_MT_EPTE_SHIFT },
	{ "EPTE_MEMTYPE_MASK", VMX_EPT_MT_MASK },
	{ NULL, 0 },
};
