/* SPDX-License-Identifier: ISC */
/*
 * negotiate.c - vmx_controls_negotiate() for capabilities on standard input:
 * lines of MSR and value; an empty line asks. For test_tool_negotiate.py.
 */
#include <stdio.h>

#include "host.h"
#include "msrs.h"
#include "vmcs.h"
#include "vmx_controls.h"

#define MSRS 64

static struct {
	uint32_t index;
	uint64_t value;
} msrs[MSRS];
static unsigned int msr_count;

static uint64_t
rdmsr_from_input(uint32_t index)
{
	for (unsigned int i = 0; i < msr_count; i++)
		if (msrs[i].index == index)
			return msrs[i].value;
	return 0;
}

static void
answer(void)
{
	struct vmx_controls c;
	const char *missing = vmx_controls_negotiate(&c, rdmsr_from_input);

	if (missing != NULL)
		printf("%s\n", missing);
	else
		printf("%x %x %x %x %llx %x %llx %x\n", c.pin, c.proc, c.exceptions, c.proc2,
		    (unsigned long long)c.proc3, c.exit, (unsigned long long)c.exit2,
		    c.entry);
}

int
main(void)
{
	char line[128];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		unsigned int index;
		unsigned long long value;

		if (sscanf(line, "%x %llx", &index, &value) == 2 && msr_count < MSRS) {
			msrs[msr_count].index = index;
			msrs[msr_count++].value = value;
		} else {
			answer();
			msr_count = 0;
		}
	}
	return 0;
}
