/* SPDX-License-Identifier: ISC */
/* t_python.c - clients in Python, by the generated bindings. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"

struct script {
	const char *path;
	int	 out;		/* gets what it prints, on either stream */
};

static void
exec_python(void *arg)
{
	const struct script *script = arg;

	CHECK_OK(dup2(script->out, STDOUT_FILENO));
	CHECK_OK(dup2(script->out, STDERR_FILENO));
	CHECK_OK(setenv("PYTHONHOME", "/usr", 1));
	CHECK_OK(setenv("PYTHONPATH", "/python", 1));
	/* -S, -B: nothing of a site, and no compiled files. */
	execl("/usr/bin/python3.11", "python3", "-S", "-B", script->path, NULL);
	dprintf(script->out, "no Python: %s\n", strerror(errno));
	_exit(127);
}

/* Run a script; it must print this and no more. */
static void
python_prints(const char *path, const char *wanted)
{
	struct script script = { path, (int)CHECK_OK(memfd_create("output", 0)) };
	char text[400], *c;
	ssize_t n;

	/* Its status counts too, but its words say more. */
	waitpid(child_start(exec_python, &script), NULL, 0);
	n = CHECK_OK(pread(script.out, text, sizeof(text) - 1, 0));
	text[n] = '\0';
	close(script.out);
	if (strcmp(text, wanted) == 0)
		return;
	for (c = text; *c != '\0'; c++)		/* a report has one line */
		*c = *c == '\n' ? '|' : *c;
	FAIL("%s prints: %s", path, text);
}

TEST_T(python_guest, "python/guest", 60)
{
	python_prints("/python/bindings.py", "a guest ran\n");
}

TEST_T(python_example, "example/hlt_py", 60)
{
	char wanted[200];

	snprintf(wanted, sizeof(wanted), "exit reason 0x%x, HLT, RIP 0x1\n",
	    host_is_amd() ? SVM_VMEXIT_HLT : VMX_EXIT_HLT);
	python_prints("/python/hlt.py", wanted);
}
