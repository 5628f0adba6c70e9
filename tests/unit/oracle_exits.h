/* SPDX-License-Identifier: ISC */
#ifndef ORACLE_EXITS_H
#define ORACLE_EXITS_H

int	oracle_each(const char *file, const char *prefix,
	    void (*fn)(const char *name, unsigned long long value));

#endif /* ORACLE_EXITS_H */
