// SPDX-License-Identifier: ISC
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vmctl.h"

static int usage(FILE *to)
{
	const char *lead = "usage:";
	size_t i;

	for (i = 0; i < command_count; i++, lead = "      ")
		fprintf(to, "%s vmctl %s %s\n", lead, commands[i].name, commands[i].usage);
	return 1;
}

/* A program started with a standard file closed would take the next one it opens for it. */
static void standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *command;
	struct err e;
	int status;

	standard_files();
	if (argc < 2)
		return usage(stderr);
	command = command_find(argv[1], &e);
	if (!command) {
		complain(&e);
		return usage(stderr);
	}
	status = command->action(argc - 1, argv + 1, &e);
	if (status == USAGE) {
		complain(&e);
		fprintf(stderr, "usage: vmctl %s %s\n", command->name, command->usage);
		return 1;
	}
	return status;
}
