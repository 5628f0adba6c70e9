/* SPDX-License-Identifier: ISC */
/*
 * vmctl.h - the command line.
 */
#ifndef VMCTL_VMCTL_H
#define VMCTL_VMCTL_H

#include "util.h"

struct start_options {
	bool console;		/* -c */
	bool once;		/* -R */
	uint64_t memory;	/* -m */
	const char *kernel;	/* -b */
	const char *initrd;	/* -r, or NULL */
	const char *cmdline;	/* -a */
	const char *name;
};

#define DEFAULT_MEMORY	(512 * MIB)
#define DEFAULT_CMDLINE	"console=ttyS0"

/* A command returns vmctl's exit status, or USAGE for bad arguments with @e saying which. */
#define USAGE		(-1)

struct command {
	const char *name;
	int (*action)(int argc, char **argv, struct err *e);
	const char *usage;	/* what follows the name */
	const char *doc;
};

extern const struct command commands[];
extern const size_t command_count;

/* The command that @name means; an unambiguous beginning will do. NULL with @e: none. */
const struct command *command_find(const char *name, struct err *e);
/* Fills @o from the arguments after `vmctl`; argv[0] is "start". */
int parse_start(int argc, char **argv, struct start_options *o, struct err *e);

int command_start(int argc, char **argv, struct err *e);
int command_console(int argc, char **argv, struct err *e);
int command_status(int argc, char **argv, struct err *e);
int command_stop(int argc, char **argv, struct err *e);

/* Prints an error as vmctl does, and returns the exit status for it. */
int complain(const struct err *e);

#endif /* VMCTL_VMCTL_H */
