/* SPDX-License-Identifier: ISC */
/*
 * test_exits.c - the generated exit tables against the kernel's numbers, and
 * the policy of the exits that matter against a table written by hand.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "exits.h"
#include "trace_words.h"
#include "exit.h"
#include "oracle_exits.h"
#include <machine/vmmvar.h>

#define SVM_HEADER	"arch/x86/include/uapi/asm/svm.h"
#define VMX_HEADER	"arch/x86/include/uapi/asm/vmx.h"

/* The handlers are only compared: these stand for the driver's. */
#define HANDLER(name) \
int \
name(struct vcpu *v, const struct exit_policy *p) \
{ \
	(void)v, (void)p; \
	ck_abort_msg(#name " was called"); \
}
HANDLER(emulate_cpuid)
HANDLER(emulate_cr)
HANDLER(emulate_msr)
HANDLER(emulate_skip)
HANDLER(emulate_xsetbv)
HANDLER(exit_error)
HANDLER(exit_host)
HANDLER(exit_inject)
HANDLER(exit_machine_check)
HANDLER(exit_reflect)
HANDLER(exit_resume)
HANDLER(exit_window)
HANDLER(user_fault)
HANDLER(user_hlt)
HANDLER(user_inout)
HANDLER(user_plain)

/* The kernel's word and the manual's, where they differ. */
struct alias {
	const char *kernel, *manual;
};

static const struct alias svm_aliases[] = {
	{ "EXCP_BASE", "excp0" },
	{ "LAST_EXCP", "excp31" },
	{ "MWAIT_COND", "mwait_conditional" },
	{ "AVIC_UNACCELERATED_ACCESS", "avic_noaccel" },
	{ "SW", "host_reserved" },
	{ "ERR", "invalid" },
};

static const struct alias vmx_aliases[] = {
	{ "EXCEPTION_NMI", "nmi" },
	{ "EXTERNAL_INTERRUPT", "extint" },
	{ "INIT_SIGNAL", "init" },
	{ "SIPI_SIGNAL", "sipi" },
	{ "INTERRUPT_WINDOW", "int_window" },
	{ "VMOFF", "vmxoff" },
	{ "VMON", "vmxon" },
	{ "DR_ACCESS", "mov_dr" },
	{ "IO_INSTRUCTION", "io" },
	{ "MSR_READ", "rdmsr" },
	{ "MSR_WRITE", "wrmsr" },
	{ "INVALID_STATE", "entry_failed_guest_state" },
	{ "MSR_LOAD_FAIL", "entry_failed_msr_load" },
	{ "MWAIT_INSTRUCTION", "mwait" },
	{ "MONITOR_TRAP_FLAG", "mtf" },
	{ "MONITOR_INSTRUCTION", "monitor" },
	{ "PAUSE_INSTRUCTION", "pause" },
	{ "MCE_DURING_VMENTRY", "entry_failed_mce" },
	{ "TPR_BELOW_THRESHOLD", "tpr_below_threshold" },
	{ "EOI_INDUCED", "virtualized_eoi" },
	{ "EPT_MISCONFIG", "ept_misconfiguration" },
	{ "PREEMPTION_TIMER", "vmx_preemption_timer_expired" },
	{ "NOTIFY", "instruction_timeout" },
};

static void
lower(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; from[i] != '\0' && i < size - 1; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ?
		    (char)(from[i] + 'a' - 'A') : from[i];
	to[i] = '\0';
}

static void
manual_word(char *to, size_t size, const char *kernel,
    const struct alias *aliases, size_t n)
{
	int reg;
	char kind[8], what[8];

	for (size_t i = 0; i < n; i++)
		if (strcmp(aliases[i].kernel, kernel) == 0) {
			snprintf(to, size, "%s", aliases[i].manual);
			return;
		}
	/* READ_CR3 is CR3_READ in the manual. */
	if (sscanf(kernel, "%7[A-Z]_%2[CDR]%d", what, kind, &reg) == 3 &&
	    (strcmp(what, "READ") == 0 || strcmp(what, "WRITE") == 0)) {
		char joined[64];

		snprintf(joined, sizeof(joined), "%s%d_%s", kind, reg, what);
		lower(to, size, joined);
		return;
	}
	lower(to, size, kernel);
}

static void
check_svm(const char *name, unsigned long long value)
{
	char word[64];

	/* -1 is a 64-bit number (APM 2 C). */
	manual_word(word, sizeof(word), name, svm_aliases,
	    sizeof(svm_aliases) / sizeof(svm_aliases[0]));
	ck_assert_msg(strcmp(svm_exit_name(value), word) == 0,
	    "SVM_EXIT_%s is %#llx: '%s', not '%s'", name, value,
	    svm_exit_name(value), word);
	ck_assert_msg(svm_exit_kind(value) != EXIT_UNKNOWN, "%s", name);
}

START_TEST(svm_codes_are_the_kernels)
{
	ck_assert_int_ge(oracle_each(SVM_HEADER, "SVM_EXIT_", check_svm), 99);
}
END_TEST

static void
check_vmx(const char *name, unsigned long long value)
{
	char word[64];

	manual_word(word, sizeof(word), name, vmx_aliases,
	    sizeof(vmx_aliases) / sizeof(vmx_aliases[0]));
	ck_assert_msg(strcmp(vmx_exit_name((uint32_t)value), word) == 0,
	    "EXIT_REASON_%s is %llu: '%s', not '%s'", name, value,
	    vmx_exit_name((uint32_t)value), word);
	ck_assert_msg(vmx_exit_kind((uint32_t)value) != EXIT_UNKNOWN, "%s",
	    name);
	/* A failed entry sets bit 31. */
	ck_assert_int_eq(vmx_exit_kind((uint32_t)value | 0x80000000u),
	    vmx_exit_kind((uint32_t)value));
}

START_TEST(vmx_reasons_are_the_kernels)
{
	ck_assert_int_ge(oracle_each(VMX_HEADER, "EXIT_REASON_", check_vmx),
	    62);
}
END_TEST

/* Codes of APM 2 C (revision 3.44) and SDM 3C C that the kernel has no word for. */
START_TEST(newer_numbers_are_there)
{
	static const struct {
		uint64_t code;
		const char *word;
	} svm[] = {
		{ 0x01, "cr1_read" }, { 0x0f, "cr15_read" },
		{ 0x1f, "cr15_write" }, { 0x2f, "dr15_read" },
		{ 0x3f, "dr15_write" }, { 0x41, "excp1" }, { 0x5e, "excp30" },
		{ 0xa0, "invlpgb" }, { 0xa1, "invlpgb_illegal" },
		{ 0xa3, "mcommit" }, { 0xa4, "tlbsync" }, { 0xa5, "buslock" },
		{ 0xa6, "idle_hlt" },
		{ 0xffffffffffffffff, "invalid" },
		{ 0xfffffffffffffffe, "busy" },
		{ 0xfffffffffffffffd, "idle_required" },
		{ 0xfffffffffffffffc, "invalid_pmc" },
	};
	static const struct {
		uint32_t reason;
		const char *word;
	} vmx[] = {
		{ 5, "io_smi" }, { 6, "other_smi" }, { 11, "getsec" },
		{ 17, "rsm" }, { 65, "pconfig" }, { 66, "spp_event" },
		{ 69, "loadiwkey" }, { 70, "enclv" }, { 72, "enqcmd_pasid" },
		{ 73, "enqcmds_pasid" }, { 76, "seamcall" }, { 77, "tdcall" },
		{ 78, "rdmsrlist" }, { 79, "wrmsrlist" }, { 80, "urdmsr" },
		{ 81, "uwrmsr" }, { 84, "rdmsr_imm" }, { 85, "wrmsrns_imm" },
	};

	for (size_t i = 0; i < sizeof(svm) / sizeof(svm[0]); i++)
		ck_assert_str_eq(svm_exit_name(svm[i].code), svm[i].word);
	for (size_t i = 0; i < sizeof(vmx) / sizeof(vmx[0]); i++)
		ck_assert_str_eq(vmx_exit_name(vmx[i].reason), vmx[i].word);
}
END_TEST

START_TEST(numbers_of_no_row_are_unknown)
{
	static const uint64_t codes[] = { 0xa7, 0xff, 0x100, 0x3ff, 0x404,
	    0x10072, 0xffffffff, 0x100000072, 0xefffffff, 0xf0000001,
	    0xfffffffffffffffb, 0x7fffffffffffffff };
	static const uint32_t reasons[] = { 35, 38, 42, 71, 82, 83, 86, 255,
	    256, 0xffff };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		ck_assert_msg(svm_exit_kind(codes[i]) == EXIT_UNKNOWN, "%#lx",
		    (unsigned long)codes[i]);
		ck_assert_str_eq(svm_exit_name(codes[i]), "unknown");
	}
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		ck_assert_msg(vmx_exit_kind(reasons[i]) == EXIT_UNKNOWN, "%u",
		    reasons[i]);
		ck_assert_str_eq(vmx_exit_name(reasons[i]), "unknown");
	}
	ck_assert_ptr_eq(exit_policy[EXIT_UNKNOWN].handler, exit_error);
	ck_assert_int_eq(exit_policy[EXIT_UNKNOWN].action, EXIT_ACTION_ERROR);
}
END_TEST

/*
 * What each exit does, by hand. Numbers, not kinds: an exit that the hardware
 * gives must end here, whatever rows it went through.
 */
struct want {
	uint64_t number;
	uint8_t	 action, vector;
	bool	 advance;
	exit_handler *handler;
};

#define NONE	0, false
#define UD	EXIT_ACTION_INJECT, 6, false, exit_inject

static const struct want svm_want[] = {
	{ 0x14, EXIT_ACTION_EMULATE, 0, true, emulate_cr },	/* CR4 */
	{ 0x65, EXIT_ACTION_EMULATE, 0, true, emulate_cr },	/* CR0 */
	{ 0x00, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0x10, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0x13, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0x18, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0x27, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0x41, EXIT_ACTION_REFLECT, NONE, exit_reflect },	/* #DB */
	{ 0x51, EXIT_ACTION_REFLECT, NONE, exit_reflect },	/* #AC */
	{ 0x52, EXIT_ACTION_HOST, NONE, exit_machine_check },	/* #MC */
	{ 0x46, EXIT_ACTION_ERROR, NONE, exit_error },		/* #UD */
	{ 0x4d, EXIT_ACTION_ERROR, NONE, exit_error },		/* #GP */
	{ 0x4e, EXIT_ACTION_ERROR, NONE, exit_error },		/* #PF */
	{ 0x60, EXIT_ACTION_HOST, NONE, exit_host },
	{ 0x61, EXIT_ACTION_HOST, NONE, exit_host },
	{ 0x62, EXIT_ACTION_HOST, NONE, exit_host },
	{ 0x63, EXIT_ACTION_HOST, NONE, exit_host },
	{ 0x64, EXIT_ACTION_RESUME, NONE, exit_window },
	{ 0x6f, EXIT_ACTION_INJECT, 13, false, exit_inject },	/* RDPMC */
	{ 0x72, EXIT_ACTION_EMULATE, 0, true, emulate_cpuid },
	{ 0x73, UD },						/* RSM */
	{ 0x76, EXIT_ACTION_EMULATE, 0, true, emulate_skip },	/* INVD */
	{ 0x77, EXIT_ACTION_RESUME, NONE, exit_resume },	/* PAUSE */
	{ 0x78, EXIT_ACTION_USER, 0, true, user_hlt },
	{ 0x7a, UD },						/* INVLPGA */
	{ 0x7c, EXIT_ACTION_EMULATE, 0, true, emulate_msr },
	{ 0x7e, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0x7f, EXIT_ACTION_USER, NONE, user_plain },		/* SHUTDOWN */
	{ 0x80, UD }, { 0x81, UD }, { 0x82, UD }, { 0x83, UD },
	{ 0x84, UD }, { 0x85, UD }, { 0x86, UD }, { 0x87, UD },
	{ 0x88, EXIT_ACTION_ERROR, NONE, exit_error },		/* ICEBP */
	{ 0x89, EXIT_ACTION_EMULATE, 0, true, emulate_skip },	/* WBINVD */
	{ 0x8a, UD }, { 0x8b, UD }, { 0x8c, UD },
	{ 0x8d, EXIT_ACTION_EMULATE, 0, true, emulate_xsetbv },
	{ 0x8e, UD }, { 0xa0, UD }, { 0xa1, UD }, { 0xa3, UD }, { 0xa4, UD },
	{ 0x400, EXIT_ACTION_USER, NONE, user_fault },
	{ 0x403, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0xffffffffffffffff, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0xfffffffffffffffe, EXIT_ACTION_ERROR, NONE, exit_error },
	{ 0xa7, EXIT_ACTION_ERROR, NONE, exit_error },		/* unknown */
	{ 0x12345, EXIT_ACTION_ERROR, NONE, exit_error },
};

#define ERROR	EXIT_ACTION_ERROR, NONE, exit_error
static const struct want vmx_want[] = {
	{ 0, EXIT_ACTION_HOST, NONE, exit_host },
	{ 1, EXIT_ACTION_HOST, NONE, exit_host },
	{ 2, EXIT_ACTION_USER, NONE, user_plain },
	{ 3, EXIT_ACTION_HOST, NONE, exit_host },		/* INIT */
	{ 4, ERROR },						/* SIPI */
	{ 5, EXIT_ACTION_HOST, NONE, exit_host },		/* SMI */
	{ 6, EXIT_ACTION_HOST, NONE, exit_host },
	{ 7, EXIT_ACTION_RESUME, NONE, exit_window },
	{ 8, ERROR },						/* NMI window */
	/* The guest goes on: no 64-bit kernel switches tasks in hardware. */
	{ 9, EXIT_ACTION_INJECT, 13, false, exit_inject },
	{ 10, EXIT_ACTION_EMULATE, 0, true, emulate_cpuid },
	{ 11, UD },						/* GETSEC */
	{ 12, EXIT_ACTION_USER, 0, true, user_hlt },
	{ 13, EXIT_ACTION_EMULATE, 0, true, emulate_skip },	/* INVD */
	{ 14, ERROR },						/* INVLPG */
	{ 15, EXIT_ACTION_INJECT, 13, false, exit_inject },	/* RDPMC */
	{ 16, ERROR },						/* RDTSC */
	{ 17, UD },						/* RSM */
	{ 18, UD }, { 19, UD }, { 20, UD }, { 21, UD }, { 22, UD },
	{ 23, UD }, { 24, UD }, { 25, UD }, { 26, UD }, { 27, UD },
	{ 28, EXIT_ACTION_EMULATE, 0, true, emulate_cr },
	{ 29, ERROR },						/* MOV DR */
	{ 31, EXIT_ACTION_EMULATE, 0, true, emulate_msr },
	{ 32, EXIT_ACTION_EMULATE, 0, true, emulate_msr },
	{ 33, ERROR },
	{ 34, ERROR },
	{ 0x80000021, ERROR },					/* a failed entry */
	{ 36, UD }, { 39, UD },					/* MWAIT, MONITOR */
	{ 37, ERROR },						/* MTF */
	{ 40, EXIT_ACTION_RESUME, NONE, exit_resume },		/* PAUSE */
	{ 41, EXIT_ACTION_HOST, NONE, exit_machine_check },
	{ 43, ERROR }, { 44, ERROR }, { 45, ERROR },		/* virtual APIC */
	{ 46, ERROR }, { 47, ERROR },				/* tables */
	{ 48, EXIT_ACTION_USER, NONE, user_fault },
	{ 49, ERROR },
	{ 50, UD }, { 51, UD }, { 53, UD }, { 59, UD },
	{ 52, EXIT_ACTION_RESUME, NONE, exit_resume },		/* timer */
	{ 54, EXIT_ACTION_EMULATE, 0, true, emulate_skip },
	{ 55, EXIT_ACTION_EMULATE, 0, true, emulate_xsetbv },
	{ 56, ERROR },
	{ 57, ERROR }, { 61, ERROR },				/* RDRAND, RDSEED */
	{ 58, ERROR },						/* INVPCID */
	{ 60, UD }, { 70, UD },					/* ENCLS, ENCLV */
	{ 62, ERROR }, { 63, ERROR }, { 64, ERROR }, { 65, ERROR },
	{ 66, ERROR }, { 67, ERROR }, { 68, ERROR }, { 69, ERROR },
	{ 72, ERROR }, { 73, ERROR }, { 74, ERROR }, { 75, ERROR },
	{ 76, UD }, { 77, UD },					/* trust domains */
	{ 78, ERROR }, { 79, ERROR }, { 80, ERROR }, { 81, ERROR },
	{ 84, UD }, { 85, UD },
	{ 35, ERROR },						/* unknown */
};

static void
check_want(const char *vendor, const struct want *w, enum exit_kind kind)
{
	const struct exit_policy *p = &exit_policy[kind];

	ck_assert_msg(p->action == w->action && p->vector == w->vector &&
	    p->advance == w->advance && p->handler == w->handler,
	    "%s %#lx, kind %s: action %u vector %u advance %d", vendor,
	    (unsigned long)w->number, p->name, p->action, p->vector,
	    p->advance);
}

START_TEST(policies_are_those_written_by_hand)
{
	for (size_t i = 0; i < sizeof(svm_want) / sizeof(svm_want[0]); i++)
		check_want("SVM", &svm_want[i],
		    svm_exit_kind(svm_want[i].number));
	for (size_t i = 0; i < sizeof(vmx_want) / sizeof(vmx_want[0]); i++)
		check_want("VMX", &vmx_want[i],
		    vmx_exit_kind((uint32_t)vmx_want[i].number));
	/* I/O: string forms move data, so it may sleep; RIP waits for the end. */
	ck_assert_int_eq(svm_exit_kind(0x7b), EXIT_IO);
	ck_assert_int_eq(vmx_exit_kind(30), EXIT_IO);
	ck_assert_int_eq(exit_policy[EXIT_IO].action, EXIT_ACTION_USER);
	ck_assert_ptr_eq(exit_policy[EXIT_IO].handler, user_inout);
}
END_TEST

START_TEST(vmx_exceptions_are_told_apart)
{
	ck_assert_int_eq(vmx_exception_kind(1), EXIT_EXCEPTION_DB);
	ck_assert_int_eq(vmx_exception_kind(2), EXIT_NMI);
	ck_assert_int_eq(vmx_exception_kind(14), EXIT_EXCEPTION);
	ck_assert_int_eq(vmx_exception_kind(17), EXIT_EXCEPTION_AC);
	ck_assert_int_eq(vmx_exception_kind(18), EXIT_EXCEPTION_MC);
	ck_assert_int_eq(vmx_exception_kind(255), EXIT_EXCEPTION);
}
END_TEST

START_TEST(every_kind_is_complete)
{
	static const struct {
		int kind;
		const char *name;
	} trace[] = { VMM_TRACE_EXIT_KINDS };

	ck_assert_uint_eq(sizeof(trace) / sizeof(trace[0]), EXIT_KINDS);
	for (int k = 0; k < EXIT_KINDS; k++) {
		const struct exit_policy *p = &exit_policy[k];

		ck_assert_ptr_nonnull(p->name);
		ck_assert_ptr_nonnull(p->handler);
		ck_assert_int_eq(trace[k].kind, k);
		ck_assert_str_eq(trace[k].name, p->name);
		/* An error never pretends to have done the instruction. */
		if (p->action == EXIT_ACTION_ERROR)
			ck_assert(!p->advance && !p->sleep &&
			    p->handler == exit_error);
		/* What always sleeps; string I/O asks for it when it comes. */
		ck_assert_int_eq(p->sleep, k == EXIT_STAGE2_FAULT);
		/* A length that the CPU does not give is found by decoding. */
		if (p->advance)
			ck_assert_msg(p->insns != 0, "%s", p->name);
	}
}
END_TEST

START_TEST(public_names_have_these_numbers)
{
	ck_assert_int_eq(SVM_VMEXIT_CR0_READ, 0x00);
	ck_assert_int_eq(SVM_VMEXIT_EXCP14, 0x4e);
	ck_assert_int_eq(SVM_VMEXIT_INTR, 0x60);
	ck_assert_int_eq(SVM_VMEXIT_VINTR, 0x64);
	ck_assert_int_eq(SVM_VMEXIT_CPUID, 0x72);
	ck_assert_int_eq(SVM_VMEXIT_HLT, 0x78);
	ck_assert_int_eq(SVM_VMEXIT_IOIO, 0x7b);
	ck_assert_int_eq(SVM_VMEXIT_MSR, 0x7c);
	ck_assert_int_eq(SVM_VMEXIT_SHUTDOWN, 0x7f);
	ck_assert_int_eq(SVM_VMEXIT_MWAIT_CONDITIONAL, 0x8c);
	ck_assert_int_eq(SVM_VMEXIT_NPF, 0x400);
	ck_assert_int_eq(VMX_EXIT_EXTINT, 1);
	ck_assert_int_eq(VMX_EXIT_TRIPLE_FAULT, 2);
	ck_assert_int_eq(VMX_EXIT_INT_WINDOW, 7);
	ck_assert_int_eq(VMX_EXIT_HLT, 12);
	ck_assert_int_eq(VMX_EXIT_IO, 30);
	ck_assert_int_eq(VMX_EXIT_EPT_VIOLATION, 48);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("exits");
	TCase *t = tcase_create("exits");
	SRunner *r;
	int failed;

	tcase_add_test(t, svm_codes_are_the_kernels);
	tcase_add_test(t, vmx_reasons_are_the_kernels);
	tcase_add_test(t, newer_numbers_are_there);
	tcase_add_test(t, numbers_of_no_row_are_unknown);
	tcase_add_test(t, policies_are_those_written_by_hand);
	tcase_add_test(t, vmx_exceptions_are_told_apart);
	tcase_add_test(t, every_kind_is_complete);
	tcase_add_test(t, public_names_have_these_numbers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
