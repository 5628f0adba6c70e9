/* SPDX-License-Identifier: ISC */
/*
 * host_asm.h - what the world switch of a backend needs from the kernel: the
 * frame of a function, and the mitigations around a guest.
 *
 * All of them are the kernel's own alternatives: they turn into nothing, or
 * into what this CPU needs, by the same settings that rule the rest of the
 * host (mitigations=, spectre_v2=, spec_rstack_overflow=, ...).
 *
 *   HOST_FUNC_START(name), HOST_FUNC_END(name)
 *	A global function; not traceable, no probes.
 *   HOST_UNWIND_SAVE, HOST_EXIT_LABEL(name)
 *	Another entry in the middle of a function, where the CPU itself goes:
 *	the stack is as it was at HOST_UNWIND_SAVE, once in the function.
 *   HOST_RET
 *	Return, through the return thunk where the host wants it.
 *   HOST_CLEAR_DIVIDER
 *	Before the guest's registers are loaded; no division may follow. SVM.
 *	Clobbers rax, rdx, flags.
 *   HOST_SVM_CLEAR_CPU_BUFFERS, HOST_VMX_CLEAR_CPU_BUFFERS
 *	Last before the guest, with its registers loaded. Clobbers ZF only.
 *   HOST_STUFF_RSB reg
 *	First after the guest; needs a valid stack. Clobbers reg and flags.
 *   HOST_RESTORE_IBRS
 *	After HOST_STUFF_RSB where the exit keeps SPEC_CTRL (VMX): a CPU whose
 *	kernel runs with IBRS wants it written again. Needs the host's GS base.
 *	Clobbers rax, rcx, rdx, flags.
 *   HOST_CLEAR_BRANCH_HISTORY
 *	Before the first indirect branch after the guest. Clobbers rax, rcx,
 *	flags.
 *   HOST_UNTRAIN_RET
 *	Before the first return or indirect branch after the guest; needs the
 *	host's GS base. Clobbers rax, rcx, rdx, flags.
 *   HOST_IBPB_ON_VMEXIT
 *	After HOST_UNTRAIN_RET. Clobbers rax, rcx, rdx, flags.
 */
#ifndef LINUX_HOST_ASM_H
#define LINUX_HOST_ASM_H

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
#include <asm/ibt.h>
#include <asm/msr-index.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>
#include "compat.h"

#define HOST_FUNC_START(name)			\
	.pushsection .noinstr.text, "ax";	\
	SYM_FUNC_START(name)

#define HOST_FUNC_END(name)			\
	SYM_FUNC_END(name);			\
	.popsection

#define HOST_UNWIND_SAVE	UNWIND_HINT_SAVE

#define HOST_EXIT_LABEL(name)			\
	SYM_INNER_LABEL(name, SYM_L_GLOBAL);	\
	UNWIND_HINT_RESTORE;			\
	ENDBR

#define HOST_RET		RET

/* No guest value is in the divider afterwards: 0 / 1. */
.macro HOST_CLEAR_DIVIDER
#ifdef COMPAT_CLEAR_DIVIDER
	ALTERNATIVE "jmp .Lskip_div_\@", "", COMPAT_CLEAR_DIVIDER
	push	$1
	xor	%eax, %eax
	xor	%edx, %edx
	divl	(%rsp)
	add	$8, %rsp
.Lskip_div_\@:
#endif
.endm

/*
 * Only the form with a memory operand clears the buffers, and only with a
 * selector that may be written to. The kernel's own operand has had several
 * names; this one is ours.
 */
.macro HOST_VERW feature:req feature_too:req
	ALTERNATIVE_2 "jmp .Lskip_verw_\@", "", \feature, "", \feature_too
	verw	.Lverw_selector_\@(%rip)
.Lskip_verw_\@:
	.pushsection .rodata
	.balign 2
.Lverw_selector_\@:
	.word	__KERNEL_DS
	.popsection
.endm

#ifdef COMPAT_SVM_VERW
#define HOST_SVM_CLEAR_CPU_BUFFERS	HOST_VERW COMPAT_SVM_VERW, COMPAT_SVM_VERW
#else
#define HOST_SVM_CLEAR_CPU_BUFFERS
#endif
#define HOST_VMX_CLEAR_CPU_BUFFERS	HOST_VERW COMPAT_VMX_VERW, COMPAT_VMX_VERW_TOO

/*
 * The kernel stuffs the RSB after an exit when it uses retpolines (SVM) or
 * when it says so for exits (both vendors); do it for either. One entry is
 * enough where only the youngest could be the guest's.
 */
.macro HOST_STUFF_RSB reg:req
	ALTERNATIVE_2 "jmp .Lskip_stuff_\@",				       \
	    __stringify(__FILL_RETURN_BUFFER(\reg, RSB_CLEAR_LOOPS)),	       \
	    X86_FEATURE_RETPOLINE,					       \
	    __stringify(__FILL_RETURN_BUFFER(\reg, RSB_CLEAR_LOOPS)),	       \
	    X86_FEATURE_RSB_VMEXIT
.Lskip_stuff_\@:
#ifdef COMPAT_RSB_LITE
	ALTERNATIVE "jmp .Lskip_one_\@", __stringify(__FILL_ONE_RETURN),       \
	    COMPAT_RSB_LITE
.Lskip_one_\@:
#endif
.endm

/* The guest cannot write SPEC_CTRL, so what the host had last is still there. */
.macro HOST_RESTORE_IBRS
#ifdef X86_FEATURE_KERNEL_IBRS
	ALTERNATIVE "jmp .Lskip_ibrs_\@", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %rdx
	mov	%edx, %eax
	shr	$32, %rdx
	wrmsr
.Lskip_ibrs_\@:
#endif
.endm

#define HOST_CLEAR_BRANCH_HISTORY	COMPAT_CLEAR_BRANCH_HISTORY

#define HOST_UNTRAIN_RET	COMPAT_UNTRAIN_RET

#define HOST_IBPB_ON_VMEXIT	COMPAT_IBPB_ON_VMEXIT

#endif /* LINUX_HOST_ASM_H */
