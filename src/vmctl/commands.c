// SPDX-License-Identifier: ISC
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "driver.h"
#include "files.h"
#include "vmctl.h"

const struct command commands[] = {
	{ "start", command_start,
	  "[-cR] -b kernel [-r initrd] [-a cmdline] [-m size] name",
	  "boot a Linux kernel as a new VM" },
	{ "stop", command_stop, "id | name", "end a VM at once" },
	{ "status", command_status, "[id | name]", "list VMs" },
	{ "console", command_console, "id | name", "connect this terminal to a VM's console" },
};

const size_t command_count = ARRAY_SIZE(commands);

int complain(const struct err *e)
{
	fprintf(stderr, "vmctl: %s\n", e->text);
	return 1;
}

const struct command *command_find(const char *name, struct err *e)
{
	const struct command *found = NULL;
	char shown[32];
	size_t i;

	printable(shown, sizeof(shown), name);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
		if (!*name || strncmp(commands[i].name, name, strlen(name)) != 0)
			continue;
		if (found) {
			err_set(e, "\"%s\" could be %s or %s: write more of it", shown, found->name,
				commands[i].name);
			return NULL;
		}
		found = &commands[i];
	}
	if (!found)
		err_set(e, "\"%s\" is not a command", shown);
	return found;
}

static int bad_option(const char *argv0, struct err *e)
{
	return err_set(e, optopt ? "%s does not take -%c, or it lacks its argument" :
		       "%s does not take this option", argv0,
		       optopt > 0x20 && optopt < 0x7f ? optopt : '?');
}

int parse_start(int argc, char **argv, struct start_options *o, struct err *e)
{
	int c;

	memset(o, 0, sizeof(*o));
	o->memory = DEFAULT_MEMORY;
	o->cmdline = DEFAULT_CMDLINE;
	optind = 0;		/* glibc: start over, whatever was parsed before */
	opterr = 0;
	while ((c = getopt(argc, argv, "+:a:b:cm:r:R")) != -1) {
		switch (c) {
		case 'a':
			o->cmdline = optarg;
			break;
		case 'b':
			o->kernel = optarg;
			break;
		case 'c':
			o->console = true;
			break;
		case 'm':
			if (parse_size(optarg, &o->memory, e) != 0)
				return -1;
			break;
		case 'r':
			o->initrd = optarg;
			break;
		case 'R':
			o->once = true;
			break;
		default:
			return bad_option("start", e);
		}
	}
	if (optind != argc - 1)
		return err_set(e, optind < argc ? "start takes one name, after the options" :
			       "start needs a name for the VM");
	o->name = argv[optind];
	if (check_name(o->name, e) != 0)
		return -1;
	if (!o->kernel)
		return err_set(e, "start needs a kernel: name a bzImage with -b");
	if (o->memory < MIB || o->memory % MIB)
		return err_set(e, "a VM's memory is a multiple of 1M: give -m 512M, for example");
	return 0;
}

/* The single operand of a command without options, or NULL. */
static const char *operand(int argc, char **argv, struct err *e)
{
	optind = 0;
	opterr = 0;
	if (getopt(argc, argv, "+:") != -1) {
		bad_option(argv[0], e);
		return NULL;
	}
	if (optind != argc - 1) {
		err_set(e, "%s takes one VM, by id or name", argv[0]);
		return NULL;
	}
	return argv[optind];
}

/* The VM that @which, an id or a name, means. */
static int find_vm(struct driver *d, const char *which, struct vm_info_result *vm, struct err *e)
{
	struct vm_info_result *list, *found = NULL;
	size_t count, i;
	char *end, shown[VMM_MAX_NAME_LEN];
	unsigned long id = strtoul(which, &end, 10);
	bool by_id = *which >= '0' && *which <= '9' && *end == '\0';

	if (driver_list(d, &list, &count, e) != 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (by_id ? list[i].vir_id != id :
		    strncmp(list[i].vir_name, which, sizeof(list[i].vir_name)) != 0)
			continue;
		if (found) {
			free(list);
			return err_set(e, "more than one VM has this name: use the id that `vmctl "
				       "status` shows");
		}
		found = &list[i];
	}
	if (found)
		*vm = *found;
	free(list);
	if (found)
		return 0;
	printable(shown, sizeof(shown), which);
	return err_set(e, "there is no VM %s: `vmctl status` lists those there are", shown);
}

int command_stop(int argc, char **argv, struct err *e)
{
	const char *which = operand(argc, argv, e);
	struct vm_info_result vm;
	struct driver d;
	char name[sizeof(vm.vir_name)];
	int r;

	if (!which)
		return USAGE;
	if (driver_open(&d, e) != 0)
		return complain(e);
	r = find_vm(&d, which, &vm, e);
	if (r == 0)
		r = driver_terminate(&d, vm.vir_id, e);
	driver_close(&d);
	if (r != 0)
		return complain(e);
	vm.vir_name[sizeof(vm.vir_name) - 1] = '\0';
	printable(name, sizeof(name), vm.vir_name);
	printf("%s: stopped, VM %u\n", name, vm.vir_id);
	return 0;
}

static const char *state_name(uint8_t state)
{
	static const char *const names[] = {
		[VCPU_STATE_STOPPED] = "stopped",
		[VCPU_STATE_RUNNING] = "running",
		[VCPU_STATE_REQTERM] = "ending",
		[VCPU_STATE_TERMINATED] = "ended",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* "512M", "1536K": the largest unit that says it exactly, or in four digits. */
static void show_size(char *out, size_t size, uint64_t bytes)
{
	static const char units[] = "BKMGT";
	const char *unit = units;

	while (bytes >= 10240 && unit[1]) {
		bytes /= 1024;
		unit++;
	}
	while (bytes && bytes % 1024 == 0 && unit[1]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, size, "%llu%c", (unsigned long long)bytes, *unit);
}

static void show_vm(const struct vm_info_result *vm)
{
	char name[sizeof(vm->vir_name) + 1], memory[24], used[24];

	snprintf(name, sizeof(name), "%.*s", (int)sizeof(vm->vir_name), vm->vir_name);
	printable(name, sizeof(name), name);
	show_size(memory, sizeof(memory), vm->vir_memory_size);
	show_size(used, sizeof(used), vm->vir_used_size);
	printf("%5u %7d %5zu %7s %7s  %-8s %s\n", vm->vir_id, vm->vir_creator_pid, vm->vir_ncpus,
	       memory, used, state_name(vm->vir_vcpu_state[0]), name);
}

int command_status(int argc, char **argv, struct err *e)
{
	struct vm_info_result *list = NULL, one;
	const char *which = NULL;
	struct driver d;
	size_t count, i;
	int r;

	if (argc > 1) {
		which = operand(argc, argv, e);
		if (!which)
			return USAGE;
	}
	if (driver_open(&d, e) != 0)
		return complain(e);
	r = which ? find_vm(&d, which, &one, e) : driver_list(&d, &list, &count, e);
	driver_close(&d);
	if (r != 0)
		return complain(e);
	printf("%5s %7s %5s %7s %7s  %-8s %s\n", "ID", "PID", "VCPUS", "MEM", "USED", "STATE",
	       "NAME");
	if (which)
		show_vm(&one);
	for (i = 0; list && i < count; i++)
		show_vm(&list[i]);
	free(list);
	return 0;
}

int command_console(int argc, char **argv, struct err *e)
{
	const char *which = operand(argc, argv, e);
	char name[VMM_MAX_NAME_LEN];
	struct vm_info_result vm;
	struct driver d;
	int fd;

	if (!which)
		return USAGE;
	snprintf(name, sizeof(name), "%s", which);
	if (*which >= '0' && *which <= '9') {
		if (driver_open(&d, e) != 0)
			return complain(e);
		if (find_vm(&d, which, &vm, e) != 0) {
			driver_close(&d);
			return complain(e);
		}
		driver_close(&d);
		snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, vm.vir_name);
	}
	fd = files_connect(name, e);
	if (fd < 0)
		return complain(e);
	console_say("Connected to the console (type ~. to leave)");
	switch (console_run(fd, -1, NULL, NULL)) {
	case CONSOLE_LEFT:
		console_say("[left]");
		break;
	case CONSOLE_CLOSED:
		console_say("[closed]");
		break;
	case CONSOLE_UNREAD:
	case CONSOLE_KILLED:
		break;
	}
	close(fd);
	return 0;
}
