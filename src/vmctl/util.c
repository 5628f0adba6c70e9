// SPDX-License-Identifier: ISC
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <machine/vmmvar.h>

#include "util.h"

int err_set(struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

int parse_size(const char *text, uint64_t *size, struct err *e)
{
	static const char units[] = "BKMGT";
	const char *p = text, *unit;
	uint64_t value = 0;
	char shown[32];

	printable(shown, sizeof(shown), text);
	if (!isdigit((unsigned char)*p))
		goto bad;
	for (; isdigit((unsigned char)*p); p++) {
		unsigned int digit = (unsigned int)(*p - '0');

		if (value > (UINT64_MAX - digit) / 10)
			goto big;
		value = value * 10 + digit;
	}
	if (*p != '\0') {
		unit = strchr(units, toupper((unsigned char)*p));
		if (!unit || p[1] != '\0')
			goto bad;
		for (; unit > units; unit--) {
			if (value > UINT64_MAX / KIB)
				goto big;
			value *= KIB;
		}
	}
	*size = value;
	return 0;
bad:
	return err_set(e, "\"%s\" is not a size: write a number and K, M or G, such as 512M",
		       shown);
big:
	return err_set(e, "\"%s\" is too large a size: write a smaller one, such as 512M", shown);
}

int check_name(const char *name, struct err *e)
{
	size_t len = strlen(name);
	const char *p;

	if (len == 0 || len >= VMM_MAX_NAME_LEN)
		return err_set(e, "a VM's name has 1 to %d characters: choose another one",
			       VMM_MAX_NAME_LEN - 1);
	for (p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			return err_set(e, "a VM's name has only letters, digits, '-', '_' and '.': "
				       "choose another one");
	/* A name of digits alone could not be told from an id, one with a dot or dash in front
	 * hides its files or looks like an option. */
	if (!isalpha((unsigned char)*name))
		return err_set(e, "a VM's name starts with a letter: choose another one");
	return 0;
}

void printable(char *out, size_t size, const char *in)
{
	size_t i;

	for (i = 0; i + 1 < size && in[i]; i++)
		out[i] = in[i] >= 0x20 && in[i] < 0x7f ? in[i] : '?';
	out[i] = '\0';
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

int pread_full(int fd, void *buf, size_t len, off_t off)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = 0;
			return -1;
		}
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}
