// SPDX-License-Identifier: ISC
/*
 * The run directory is /run/vmctl for root, $XDG_RUNTIME_DIR/vmctl for others, or what
 * VMCTL_RUNDIR names. It belongs to the user and is closed to everybody else: who can
 * connect to a console types into the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

static int run_dir(char *dir, size_t size, struct err *e)
{
	const char *given = getenv("VMCTL_RUNDIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int n;

	if (given && *given)
		n = snprintf(dir, size, "%s", given);
	else if (geteuid() == 0)
		n = snprintf(dir, size, "/run/vmctl");
	else if (xdg && *xdg)
		n = snprintf(dir, size, "%s/vmctl", xdg);
	else
		n = snprintf(dir, size, "/tmp/vmctl-%u", geteuid());
	/* sun_path has to hold the directory, the name and a suffix. */
	if (n < 0 || (size_t)n >= size ||
	    (size_t)n + 72 > sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(e, "the path of the run directory is too long: "
			       "set VMCTL_RUNDIR to a shorter one");
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return err_set(e, "%s can not be made (%s): set VMCTL_RUNDIR to a directory of "
			       "yours", dir, strerror(errno));
	if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		return err_set(e, "%s is not a directory of yours alone: remove it, or set "
			       "VMCTL_RUNDIR to another one", dir);
	return 0;
}

static int vm_path(char *path, size_t size, const char *name, const char *suffix, struct err *e)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (run_dir(dir, sizeof(dir), e) != 0)
		return -1;
	if ((size_t)snprintf(path, size, "%s/%s.%s", dir, name, suffix) >= size)
		return err_set(e, "\"%s\" is too long a name here: choose a shorter one", name);
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);		/* of a VM that is gone: we hold its lock */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 4) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int files_claim(struct vm_files *f, const char *name, struct err *e)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	f->lock = f->listener = f->log = -1;
	if (vm_path(path, sizeof(path), name, "lock", e) != 0)
		return -1;
	f->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->lock < 0)
		return err_set(e, "%s can not be opened: %s", path, strerror(errno));
	if (flock(f->lock, LOCK_EX | LOCK_NB) != 0) {
		close(f->lock);
		f->lock = -1;
		return err_set(e, "a VM named %s is running: choose another name, or stop it first",
			       name);
	}
	if (vm_path(path, sizeof(path), name, "log", e) != 0)
		goto failed;
	f->log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->log < 0) {
		err_set(e, "%s can not be written: %s", path, strerror(errno));
		goto failed;
	}
	if (vm_path(path, sizeof(path), name, "sock", e) != 0)
		goto failed;
	f->listener = listen_at(path);
	if (f->listener < 0) {
		err_set(e, "%s can not be made: %s", path, strerror(errno));
		goto failed;
	}
	return 0;
failed:
	files_abandon(f, name);
	return -1;
}

void files_abandon(struct vm_files *f, const char *name)
{
	static const char *const suffix[] = { "sock", "log", "lock" };
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct err e;
	size_t i;

	if (f->lock < 0)
		return;
	for (i = 0; i < ARRAY_SIZE(suffix); i++)
		if (vm_path(path, sizeof(path), name, suffix[i], &e) == 0)
			unlink(path);
	if (f->listener >= 0)
		close(f->listener);
	if (f->log >= 0)
		close(f->log);
	close(f->lock);
	f->lock = f->listener = f->log = -1;
}

int files_connect(const char *name, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (check_name(name, e) != 0 ||
	    vm_path(addr.sun_path, sizeof(addr.sun_path), name, "sock", e) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set(e, "no VM of yours named %s is running: `vmctl status` lists those there "
		       "are", name);
}
