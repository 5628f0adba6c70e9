/* SPDX-License-Identifier: ISC */
/*
 * trace_qemu.c - a plugin of QEMU that writes down what runs between the last
 * two marks of each operation (trace.h): one line an instruction, its address
 * and its text, and a line "end" after each operation.
 *
 *	-plugin trace_qemu.so,out=FILE
 *
 * Debian has QEMU's plugins, but no header for them: what is used of the
 * interface (version 1) is declared here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace.h"

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void	 qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
	    void (*fn)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void	 qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
	    void (*fn)(qemu_plugin_id_t id, void *arg), void *arg);
size_t	 qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t	 qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
char	*qemu_plugin_insn_disas(const struct qemu_plugin_insn *insn);
void	 qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
	    void (*fn)(unsigned int cpu, void *arg), enum qemu_plugin_cb_flags flags, void *arg);
int	 qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

extern int qemu_plugin_version;
int qemu_plugin_version = 1;

/* An instruction that was translated; it stays, for QEMU may run it at any time. */
struct insn {
	uint64_t address;
	char	*text;
};

static FILE *out;
static unsigned int marks;

static bool
recording(void)
{
	return marks % TRACE_ROUNDS == TRACE_ROUNDS - 1;
}

static void
executed(unsigned int cpu, void *arg)
{
	const struct insn *insn = arg;

	(void)cpu;
	if (recording())
		fprintf(out, "%llx %s\n", (unsigned long long)insn->address, insn->text);
}

static void
mark(unsigned int cpu, void *arg)
{
	(void)cpu;
	(void)arg;
	if (recording())
		fputs("end\n", out);
	marks++;
}

static bool
is_mark(const struct qemu_plugin_insn *i)
{
	return qemu_plugin_insn_size(i) == 3 &&
	    memcmp(qemu_plugin_insn_data(i), "\x66\x87\xdb", 3) == 0;
}

static void
translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), k;
	struct qemu_plugin_insn *i;
	struct insn *insn;

	(void)id;
	for (k = 0; k < n; k++) {
		i = qemu_plugin_tb_get_insn(tb, k);
		if (is_mark(i)) {
			qemu_plugin_register_vcpu_insn_exec_cb(i, mark, QEMU_PLUGIN_CB_NO_REGS,
			    NULL);
			continue;
		}
		insn = malloc(sizeof(*insn));
		if (insn == NULL)
			abort();
		insn->address = qemu_plugin_insn_vaddr(i);
		insn->text = qemu_plugin_insn_disas(i);
		qemu_plugin_register_vcpu_insn_exec_cb(i, executed, QEMU_PLUGIN_CB_NO_REGS, insn);
	}
}

static void
finish(qemu_plugin_id_t id, void *arg)
{
	(void)id;
	(void)arg;
	fclose(out);
}

__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) != 0)
		return -1;
	out = fopen(argv[0] + 4, "w");
	if (out == NULL)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
