/* SPDX-License-Identifier: ISC */
/*
 * entry.h - vmmentry.ko, a module for tests: it puts the examples of entry_checks.yaml into a real
 * VMCS or VMCB, one after the other, and notes what the CPU makes of each and what the checks say.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include "host.h"
#include "entry_check.h"

/* What a CPU, or the checks, say of a state. */
struct verdict {
	bool	 entered;
	uint32_t error;		/* VM-instruction error, or 0: there was an exit */
	uint64_t exit;		/* its reason or code */
	int64_t	 qualification;	/* of a refusal; -1: there is none */
};

enum outcome {
	AGREED,
	AGREED_BESIDE,		/* about what this CPU lacks, not about the example */
	DIFFERED,		/* nobody has said so before */
	DIFFERED_AS_SAID,	/* the row says that this emulator does */
	AGREED_AFTER_ALL,	/* the row says that it does not */
	NOT_HERE,		/* the state is about another machine */
	NOT_TRIED,		/* the row says that it cannot be */
};

struct entry_result {
	const struct entry_check *check;
	const struct entry_check *broken;	/* the checks' word; NULL: none is */
	const char *reason;			/* of the row */
	struct verdict cpu;
	uint8_t	 outcome;			/* enum outcome */
	bool	 good;				/* the state that all checks accept */
};

/*
 * Try all. The results, *n of them, are the caller's to free; NULL with an
 * errno in *err. Sleeps.
 */
struct entry_result *entry_vmx(unsigned int *n, int *err);
struct entry_result *entry_svm(unsigned int *n, int *err);

/* What the CPU must say if `broken` is the first broken check; NULL: it enters. */
struct verdict entry_expected(const struct entry_rules *rules,
	    const struct entry_check *broken);
bool	entry_same(const struct verdict *a, const struct verdict *b);

/* What a row says of this emulator: enum vmx_emulator_verdict, svm_emulator_verdict. */
enum { SAID_NOTHING, SAID_ACCEPTS, SAID_DIFFERS, SAID_UNTRIED };

/* Compare, and fill r->outcome. said: of the broken check's row. */
void	entry_judge(struct entry_result *r, const struct entry_rules *rules, unsigned int said);

#endif /* ENTRY_H */
