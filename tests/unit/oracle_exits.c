/* SPDX-License-Identifier: ISC */
/*
 * oracle_exits.c - the kernel's numbers of exits, read from its headers' text so
 * that none of them can be left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_exits.h"

/*
 * Calls fn for each `#define PREFIXname number` of a header below KHEADERS.
 * Gives the number of them, or -1 without the file.
 */
int
oracle_each(const char *file, const char *prefix,
    void (*fn)(const char *name, unsigned long long value))
{
	char path[512], line[512], name[128], value[128], *end;
	unsigned long long number;
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", KHEADERS, file);
	f = fopen(path, "r");
	if (f == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "#define %127s %127s", name, value) != 2 ||
		    strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		number = strtoull(value, &end, 0);
		if (end == value || *end != '\0')
			continue;
		fn(name + strlen(prefix), number);
		n++;
	}
	fclose(f);
	return n;
}
