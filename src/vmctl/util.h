/* SPDX-License-Identifier: ISC */
/*
 * util.h - what every part of vmctl needs: one error sentence, sizes, names.
 */
#ifndef VMCTL_UTIL_H
#define VMCTL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define KIB		(1ULL << 10)
#define MIB		(1ULL << 20)
#define GIB		(1ULL << 30)
#define NSEC		1000000000ULL

/* One sentence for the user: what is wrong and what to do about it. */
struct err {
	char text[512];
};

/* Fills @e and returns -1, so that a check reads `return err_set(...)`. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "512M", "2G", "1073741824": bytes into @size. */
int parse_size(const char *text, uint64_t *size, struct err *e);

/* A VM's name names files and terminal lines: letters, digits, `-`, `_` and `.` only. */
int check_name(const char *name, struct err *e);

/* @in made harmless for a terminal, cut to @size - 1 bytes. */
void printable(char *out, size_t size, const char *in);

/* True when [@off, @off + @len) lies within [0, @limit); never overflows. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t limit)
{
	return off <= limit && len <= limit - off;
}

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* All of @len bytes at @off, or -1: with errno, or errno 0 where the file ends first. */
int pread_full(int fd, void *buf, size_t len, off_t off);

#endif /* VMCTL_UTIL_H */
