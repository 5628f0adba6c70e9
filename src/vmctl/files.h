/* SPDX-License-Identifier: ISC */
/*
 * files.h - a running VM's files: its lock, its console's socket, its log.
 */
#ifndef VMCTL_FILES_H
#define VMCTL_FILES_H

#include <sys/un.h>

#include "util.h"

struct vm_files {
	int lock;		/* held while the VM's process lives */
	int listener;		/* console */
	int log;
};

/* Takes the name @name for this process; refused when a live VM has it. */
int files_claim(struct vm_files *f, const char *name, struct err *e);
/* Closes everything and removes the files: only for a VM that never started. */
void files_abandon(struct vm_files *f, const char *name);
/* Connects to the console of the VM @name: a file descriptor, or -1. */
int files_connect(const char *name, struct err *e);

#endif /* VMCTL_FILES_H */
