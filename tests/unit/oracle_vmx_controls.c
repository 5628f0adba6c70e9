/* SPDX-License-Identifier: ISC */
/*
 * oracle_vmx_controls.c - VMX controls by the kernel's headers. Sees no header
 * of ours.
 */
#include <stdbool.h>
#include <stddef.h>

#include "oracle_vmx_controls.h"

/* What the kernel's header expects from those it includes. */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define _LINUX_BITOPS_H
#define _LINUX_TYPES_H
#define _UAPIVMX_H
#define BIT(n)			(1UL << (n))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define WARN_ON_ONCE(e)		((void)(e))
#define __aligned(n)		__attribute__((__aligned__(n)))

#pragma GCC diagnostic ignored "-Wunused-function"
/* Not <asm/vmx.h>: that is the one for user space. */
#include <../../x86/include/asm/vmx.h>

#define FEATURE(name, kernel)	{ name, VMCS_CONTROL_BIT(kernel) }

const struct oracle_control oracle_vmx_controls[] = {
	FEATURE("pin.intr", INTR_EXITING),
	FEATURE("pin.nmi", NMI_EXITING),
	FEATURE("pin.virtual_nmis", VIRTUAL_NMIS),
	FEATURE("pin.preemption_timer", PREEMPTION_TIMER),
	FEATURE("pin.posted_interrupts", POSTED_INTR),
	FEATURE("proc.intr_window", INTR_WINDOW_EXITING),
	FEATURE("proc.tsc_offsetting", USE_TSC_OFFSETTING),
	FEATURE("proc.hlt", HLT_EXITING),
	FEATURE("proc.invlpg", INVLPG_EXITING),
	FEATURE("proc.mwait", MWAIT_EXITING),
	FEATURE("proc.rdpmc", RDPMC_EXITING),
	FEATURE("proc.rdtsc", RDTSC_EXITING),
	FEATURE("proc.cr3_load", CR3_LOAD_EXITING),
	FEATURE("proc.cr3_store", CR3_STORE_EXITING),
	FEATURE("proc.activate_proc3", TERTIARY_CONTROLS),
	FEATURE("proc.cr8_load", CR8_LOAD_EXITING),
	FEATURE("proc.cr8_store", CR8_STORE_EXITING),
	FEATURE("proc.use_tpr_shadow", VIRTUAL_TPR),
	FEATURE("proc.nmi_window", NMI_WINDOW_EXITING),
	FEATURE("proc.mov_dr", MOV_DR_EXITING),
	FEATURE("proc.io", UNCOND_IO_EXITING),
	FEATURE("proc.use_io_bitmaps", USE_IO_BITMAPS),
	FEATURE("proc.monitor_trap_flag", MONITOR_TRAP_FLAG),
	FEATURE("proc.use_msr_bitmaps", USE_MSR_BITMAPS),
	FEATURE("proc.monitor", MONITOR_EXITING),
	FEATURE("proc.pause_always", PAUSE_EXITING),
	FEATURE("proc.activate_proc2", SEC_CONTROLS),
	FEATURE("proc2.virtualize_apic_accesses", VIRT_APIC_ACCESSES),
	FEATURE("proc2.ept", EPT),
	FEATURE("proc2.descriptor_tables", DESC_EXITING),
	FEATURE("proc2.enable_rdtscp", RDTSCP),
	FEATURE("proc2.virtualize_x2apic", VIRTUAL_X2APIC),
	FEATURE("proc2.vpid", VPID),
	FEATURE("proc2.wbinvd", WBINVD_EXITING),
	FEATURE("proc2.unrestricted_guest", UNRESTRICTED_GUEST),
	FEATURE("proc2.apic_register_virtualization", APIC_REGISTER_VIRT),
	FEATURE("proc2.virtual_interrupt_delivery", VIRT_INTR_DELIVERY),
	FEATURE("proc2.pause_loop", PAUSE_LOOP_EXITING),
	FEATURE("proc2.rdrand", RDRAND_EXITING),
	FEATURE("proc2.enable_invpcid", INVPCID),
	FEATURE("proc2.vm_functions", VMFUNC),
	FEATURE("proc2.vmcs_shadowing", SHADOW_VMCS),
	FEATURE("proc2.encls", ENCLS_EXITING),
	FEATURE("proc2.rdseed", RDSEED_EXITING),
	FEATURE("proc2.pml", PAGE_MOD_LOGGING),
	FEATURE("proc2.ept_violation_ve", EPT_VIOLATION_VE),
	FEATURE("proc2.conceal_from_pt", PT_CONCEAL_VMX),
	FEATURE("proc2.enable_xsaves", XSAVES),
	FEATURE("proc2.mode_based_execute", MODE_BASED_EPT_EXEC),
	FEATURE("proc2.pt_guest_physical", PT_USE_GPA),
	FEATURE("proc2.tsc_scaling", TSC_SCALING),
	FEATURE("proc2.enable_user_wait", USR_WAIT_PAUSE),
	FEATURE("proc2.enclv", ENCLV_EXITING),
	FEATURE("proc2.bus_lock", BUS_LOCK_DETECTION),
	FEATURE("proc2.instruction_timeout", NOTIFY_VM_EXITING),
	FEATURE("proc3.ipi_virtualization", IPI_VIRT),
	{ "exit.save_debug_controls", VM_EXIT_SAVE_DEBUG_CONTROLS },
	{ "exit.host_64bit", VM_EXIT_HOST_ADDR_SPACE_SIZE },
	{ "exit.load_ia32_perf_global_ctrl", VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL },
	{ "exit.acknowledge_interrupt", VM_EXIT_ACK_INTR_ON_EXIT },
	{ "exit.save_ia32_pat", VM_EXIT_SAVE_IA32_PAT },
	{ "exit.load_ia32_pat", VM_EXIT_LOAD_IA32_PAT },
	{ "exit.save_ia32_efer", VM_EXIT_SAVE_IA32_EFER },
	{ "exit.load_ia32_efer", VM_EXIT_LOAD_IA32_EFER },
	{ "exit.save_preemption_timer", VM_EXIT_SAVE_VMX_PREEMPTION_TIMER },
	{ "exit.clear_ia32_bndcfgs", VM_EXIT_CLEAR_BNDCFGS },
	{ "exit.conceal_from_pt", VM_EXIT_PT_CONCEAL_PIP },
	{ "exit.clear_ia32_rtit_ctl", VM_EXIT_CLEAR_IA32_RTIT_CTL },
	{ "entry.load_debug_controls", VM_ENTRY_LOAD_DEBUG_CONTROLS },
	{ "entry.ia32e_mode", VM_ENTRY_IA32E_MODE },
	{ "entry.smm", VM_ENTRY_SMM },
	{ "entry.deactivate_dual_monitor", VM_ENTRY_DEACT_DUAL_MONITOR },
	{ "entry.load_ia32_perf_global_ctrl", VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL },
	{ "entry.load_ia32_pat", VM_ENTRY_LOAD_IA32_PAT },
	{ "entry.load_ia32_efer", VM_ENTRY_LOAD_IA32_EFER },
	{ "entry.load_ia32_bndcfgs", VM_ENTRY_LOAD_BNDCFGS },
	{ "entry.conceal_from_pt", VM_ENTRY_PT_CONCEAL_PIP },
	{ "entry.load_ia32_rtit_ctl", VM_ENTRY_LOAD_IA32_RTIT_CTL },
	{ NULL, 0 },
};

const uint32_t oracle_default1_pin = PIN_BASED_ALWAYSON_WITHOUT_TRUE_MSR;
const uint32_t oracle_default1_proc = CPU_BASED_ALWAYSON_WITHOUT_TRUE_MSR;
const uint32_t oracle_default1_exit = VM_EXIT_ALWAYSON_WITHOUT_TRUE_MSR;
const uint32_t oracle_default1_entry = VM_ENTRY_ALWAYSON_WITHOUT_TRUE_MSR;
