# SPDX-License-Identifier: ISC
# The kernel module, and `make install`.
#
#   make module				for the running kernel, or else for the newest headers here
#   make module KREL=6.1.0-56-cloud-amd64	for that release
#   make module KDIR=/path/to/headers		with those headers

MODULE_DIR	:= $(BUILD)/module

# Headers of release $(KREL); without one, of the running kernel; without those, the newest.
newest_headers	= $(lastword $(shell ls -d /lib/modules/*/build 2>/dev/null | sort -V))
ifndef KDIR
ifdef KREL
KDIR		= /lib/modules/$(KREL)/build
else
KDIR		= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) $(newest_headers))
endif
endif
ifndef KREL
KREL		= $(shell cat $(KDIR)/include/config/kernel.release)
endif

# W=1 is the kernel's own set of extra warnings; WERROR=1 makes all of them errors.
MODULE_MAKE	= $(MAKE) -C $(KDIR) M=$(CURDIR)/$(MODULE_DIR) W=1 \
	$(if $(WERROR),KCFLAGS=-Werror) --no-print-directory

.PHONY: module module-build module-links
# One build at a time: two would take the links away under each other.
module: generate	## the kernel module, build/module/vmm.ko (KREL=release or KDIR=headers)
	@mkdir -p $(MODULE_DIR)
	@flock $(MODULE_DIR) $(MAKE) --no-print-directory module-build

module-build: module-links
	@$(MODULE_MAKE) modules

# Kbuild puts objects beside sources: give it links, so that the source tree stays clean.
module-links:
	@test -n "$(KDIR)" -a -e "$(KDIR)/Makefile" || { \
	    echo >&2 "no kernel headers in '$(KDIR)':" \
	    "install linux-headers-$${KREL:-$$(uname -r)}, or give KREL= or KDIR="; exit 1; }
	@mkdir -p $(addprefix $(MODULE_DIR)/,core svm vmx linux gen)
	@find $(MODULE_DIR) -type l -delete
	@for part in core svm vmx linux; do \
	    for file in src/$$part/*.[chS]; do \
	        test ! -e $$file || ln -s ../../../$$file $(MODULE_DIR)/$$part/; \
	    done; \
	done
	@for file in $(BUILD)/gen/*.[chS]; do \
	    ln -s ../../gen/$${file##*/} $(MODULE_DIR)/gen/; \
	done
	@ln -s ../include $(MODULE_DIR)/include
	@ln -s ../../src/linux/Kbuild $(MODULE_DIR)/Kbuild
# Objects are for one kernel, and Kbuild cannot tell: it names the headers by relative paths.
	@kernel=$$(cksum $(KDIR)/include/generated/autoconf.h $(KDIR)/Module.symvers); \
	    test "$$kernel" = "$$(cat $(MODULE_DIR)/.kernel 2>&1)" || { \
	    find $(MODULE_DIR) -type f -delete; echo "$$kernel" > $(MODULE_DIR)/.kernel; }
# An object whose source is gone must not stay either.
	@find $(MODULE_DIR) -name '*.o' ! -name 'vmm*.o' | while read -r object; do \
	    test -e $${object%.o}.c -o -e $${object%.o}.S || rm -f $$object; done

# --- Installation ---------------------------------------------------------------------------------

PREFIX		?= /usr/local
SBINDIR		?= $(PREFIX)/sbin
MANDIR		?= $(PREFIX)/share/man
DOCDIR		?= $(PREFIX)/share/doc/vmm
INCLUDEDIR	?= $(PREFIX)/include
MODDIR		?= /lib/modules/$(KREL)/updates
UDEVDIR		?= /lib/udev/rules.d
SYSUSERSDIR	?= /usr/lib/sysusers.d

# Into DESTDIR, when that is given; otherwise into this system, which then learns of it.
.PHONY: install
install: module vmctl docs	## all of it, with manuals (as root; DESTDIR= for a package)
	install -D -m 644 $(MODULE_DIR)/vmm.ko "$(DESTDIR)$(MODDIR)/vmm.ko"
	install -D -m 755 $(BUILD)/vmctl "$(DESTDIR)$(SBINDIR)/vmctl"
	install -D -m 644 $(BUILD)/man/vmm.4 "$(DESTDIR)$(MANDIR)/man4/vmm.4"
	install -D -m 644 docs/vmctl.8 "$(DESTDIR)$(MANDIR)/man8/vmctl.8"
	install -d "$(DESTDIR)$(DOCDIR)/html"
	install -m 644 $(BUILD)/html/* "$(DESTDIR)$(DOCDIR)/html"
	install -D -m 644 $(BUILD)/include/machine/vmmvar.h \
	    "$(DESTDIR)$(INCLUDEDIR)/machine/vmmvar.h"
	install -D -m 644 src/linux/vmm.sysusers "$(DESTDIR)$(SYSUSERSDIR)/vmm.conf"
	install -D -m 644 src/linux/60-vmm.rules "$(DESTDIR)$(UDEVDIR)/60-vmm.rules"
ifeq ($(DESTDIR),)
	depmod $(KREL)
	getent group vmm >/dev/null || groupadd --system vmm
	! command -v udevadm >/dev/null || udevadm control --reload || true
endif
