/* SPDX-License-Identifier: ISC */
/* t_example.c - the examples in docs/examples do what they say. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include "vm.h"

int	example_hlt(void);
#define main example_hlt
#include "../../docs/examples/hlt.c"
#undef main

/* What an example prints on its standard output; its status must be 0. */
static void
output_of(int (*example)(void), char *text, size_t size)
{
	int out = (int)CHECK_OK(memfd_create("output", 0)), old;
	ssize_t n;

	fflush(stdout);
	old = (int)CHECK_OK(dup(STDOUT_FILENO));
	CHECK_OK(dup2(out, STDOUT_FILENO));
	CHECK_EQ(example(), 0);
	fflush(stdout);
	CHECK_OK(dup2(old, STDOUT_FILENO));
	n = CHECK_OK(pread(out, text, size - 1, 0));
	text[n] = '\0';
	close(out);
	close(old);
}

TEST(example_hlt, "example/hlt")
{
	char text[200], want[200];

	output_of(example_hlt, text, sizeof(text));
	snprintf(want, sizeof(want), "exit reason 0x%x, HLT, RIP 0x1\n",
	    host_is_amd() ? SVM_VMEXIT_HLT : VMX_EXIT_HLT);
	CHECK_MSG(strcmp(text, want) == 0, "it prints: %s", text);
}
