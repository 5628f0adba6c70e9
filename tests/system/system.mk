# SPDX-License-Identifier: ISC
#
# System tests: a Linux host in an emulator, with the module loaded.
#
#   make check-svm			all cases, on an emulated AMD machine
#   make check-vmx			on an emulated Intel machine; in all that follows, too
#   make check-svm TESTS='run/io/*'	those that match
#   make check-svm V=1			passed ones are listed too
#   make check-svm KREL=...		on another Debian kernel with headers here

SYSTEM		:= $(BUILD)/system
TESTS		?=
# The kernel to test on: the newest whose cloud headers are here.
TEST_KREL	= $(if $(filter command line environment,$(origin KREL)),$(KREL),$(patsubst \
	/lib/modules/%/build,%,$(lastword $(shell ls -d /lib/modules/*-cloud-amd64/build \
	2>/dev/null | sort -V))))

SYSTEM_CFLAGS	:= -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wstrict-prototypes \
		-Wmissing-prototypes -pthread -fno-toplevel-reorder \
		-I$(SYSTEM) -I$(BUILD)/include
SYSTEM_SRC	:= $(sort $(wildcard tests/system/*.c))
SYSTEM_OBJ	= $(SYSTEM_SRC:tests/system/%.c=$(SYSTEM)/%.o) $(SYSTEM)/embed.o
GUESTS		:= real:0x8000 prot:0x1a000 long:0x20000
GUEST_BIN	:= $(foreach g,$(GUESTS),$(SYSTEM)/$(firstword $(subst :, ,$(g))).bin)

.PHONY: deps system-ready system-tests check-svm check-vmx check-module check-crash \
	check-crash-intel check-mce check-table demo check

deps:			## install the Debian packages that are missing (as root, or through sudo)
	@tests/system/deps

check-svm: system-ready	## system tests in an emulated AMD machine (TESTS='run/io/*' V=1)
	@$(call CHECK_HOST,svm)

check-vmx: system-ready	## the same in an emulated Intel machine, with 1 and with 2 CPUs (CPUS=1)
	@$(call CHECK_HOST,vmx)

CHECK_HOST	= set -f; OUT=$(SYSTEM) PYTHON=$(PYTHON) SHOW=$(V) tests/system/check-host $(1) \
	$(TEST_KREL) $(TESTS)

check-crash: system-ready	## a crash kernel, and kexec, while guests run, on AMD (V=1)
	@$(call CHECK_CRASH,svm)

check-crash-intel: system-ready	## the same on emulated Intel machines
	@$(call CHECK_CRASH,vmx)

CHECK_CRASH	= set -f; OUT=$(SYSTEM) PYTHON=$(PYTHON) SHOW=$(V) tests/system/check-crash $(1) \
	$(TEST_KREL) $(TESTS)

# Debian's cloud kernel has no handler of machine checks: the newest other one with headers here.
MCE_KREL	= $(lastword $(shell ls -d /lib/modules/*[0-9]-amd64/build 2>/dev/null | \
	cut -d/ -f4 | sort -V))

check-mce: system-ready	## machine checks under guests, in an emulated machine with SVM
	@test -n "$(MCE_KREL)" || { echo >&2 "no headers of Debian's kernel: make deps"; exit 1; }
	@$(MAKE) --no-print-directory module V= MODULE_DIR=$(BUILD)/module-mce KREL=$(MCE_KREL) \
		> $(SYSTEM)/module-mce.log 2>&1 || { tail -n 40 $(SYSTEM)/module-mce.log; exit 1; }
	@OUT=$(SYSTEM) PYTHON=$(PYTHON) SHOW=$(V) tests/system/check-mce $(MCE_KREL)

# What both need: the module, the test program, and that it can tell.
system-ready: generate
	@test -n "$(TEST_KREL)" || { echo >&2 "no headers of a Debian cloud kernel: make deps"; \
		exit 1; }
	@mkdir -p $(SYSTEM)
	@$(BUILD_MODULE)
	@$(MAKE) --no-print-directory entry-module KREL=$(TEST_KREL) > $(SYSTEM)/entry.log 2>&1 \
		|| { tail -n 40 $(SYSTEM)/entry.log; exit 1; }
	@$(MAKE) --no-print-directory system-tests

BUILD_MODULE	= $(MAKE) --no-print-directory module V= KREL=$(TEST_KREL) \
	> $(SYSTEM)/module.log 2>&1 || { tail -n 40 $(SYSTEM)/module.log; exit 1; }

# What no case can show: an emulator has no CPU bugs.
check-module: generate	## what the module is made of: the mitigations, for this kernel and others
	@mkdir -p $(SYSTEM)
	@$(BUILD_MODULE)
	@$(PYTHON) tests/unit/run.py --out $(SYSTEM)/module.results --python tests/module

TABLE_AMD	:= $(BUILD)/system-vmctl-amd/tap.log,$(SYSTEM)/crash-svm-panic/tap.log
TABLE_INTEL	:= $(BUILD)/system-vmctl-intel/tap.log,$(SYSTEM)/crash-vmx-panic/tap.log
# What README claims, against what the last runs of the suites above reported.
check-table:
	@$(PYTHON) tests/system/table.py --readme README.md --out $(SYSTEM)/table.results \
		"AMD SVM=$(SYSTEM)/svm-2/tap.log,$(TABLE_AMD)" \
		"Intel VT-x=$(SYSTEM)/vmx-1/tap.log,$(TABLE_INTEL)" \
		"Intel VT-x=$(SYSTEM)/vmx-2/tap.log,$(TABLE_INTEL)"

demo:			## boot a Linux guest by the driver, in an emulated machine (VENDOR=intel)
	@MAKE=$(MAKE) tests/system/demo

check:			## all tests, unit and system; the last line is `N passed, N failed`
	@MAKE=$(MAKE) tests/system/check

# --- vmmentry.ko: the entry checks beside a CPU --------------------------------------------
#
# Of the driver it has the generated checks and controls, and the world switches.

ENTRY		:= $(SYSTEM)/entry
ENTRY_SOURCES	:= $(wildcard tests/system/entry/*) $(addprefix $(BUILD)/gen/,vmcs.c \
		vmx_controls.c svm_controls.c vmx_entry_checks.c svm_entry_checks.c) \
		src/vmx/vmx_enter.S src/svm/svm_enter.S src/linux/host_context.c
ENTRY_HEADERS	:= src/core src/linux src/vmx src/svm $(BUILD)/gen

.PHONY: entry-module
entry-module: generate
	@mkdir -p $(ENTRY)/include
	@flock $(ENTRY) $(SHELL) -e -c ' \
	    find $(ENTRY) -type l -delete; \
	    ln -s $(addprefix $(CURDIR)/,$(ENTRY_SOURCES)) $(ENTRY)/; \
	    ln -s $(CURDIR)/$(BUILD)/include/machine $(ENTRY)/include/; \
	    for directory in $(ENTRY_HEADERS); do \
	        ln -s $(CURDIR)/$$directory/*.h $(ENTRY)/include/; done; \
	    $(MAKE) -C $(KDIR) M=$(CURDIR)/$(ENTRY) W=1 KCFLAGS=-Werror \
	        --no-print-directory modules'

# --- The test program ---------------------------------------------------------

system-tests: $(SYSTEM)/selftest.passed

$(SYSTEM)/selftest.passed: $(SYSTEM)/vmmtest tests/system/selftest tests/system/verdict.py
	@OUT=$(SYSTEM) PYTHON=$(PYTHON) tests/system/selftest
	@touch $@

$(SYSTEM)/vmmtest: $(SYSTEM_OBJ)
	@$(CC) -static -pthread -o $@ $^

$(SYSTEM)/%.o: tests/system/%.c $(SYSTEM)/guest.h
	@mkdir -p $(@D)
	@$(CC) $(SYSTEM_CFLAGS) -MMD -MP -c -o $@ $<

$(SYSTEM)/embed.o: tests/guest/embed.S $(GUEST_BIN)
	@$(CC) -Wa,-I$(SYSTEM) -c -o $@ $<

# --- The guests: flat binaries, and a header that says where things are in them

define GUEST
$(SYSTEM)/$(1).elf: tests/guest/$(1).S tests/guest/layout.h
	@mkdir -p $(SYSTEM)
	@$$(CC) -c -o $(SYSTEM)/$(1).guest.o $$<
	@$$(LD) -m elf_x86_64 -static --no-warn-rwx-segments -Ttext=$(2) -e $(1)_start -o $$@ \
		$(SYSTEM)/$(1).guest.o
endef
$(foreach g,$(GUESTS),$(eval $(call GUEST,$(firstword $(subst :, ,$(g))),$(lastword \
	$(subst :, ,$(g))))))

$(SYSTEM)/%.bin: $(SYSTEM)/%.elf
	@objcopy -O binary -j .text $< $@

$(SYSTEM)/guest.h: $(GUEST_BIN:.bin=.elf) tests/system/system.mk
	@nm $(filter %.elf,$^) | awk '$$2 == "T" && $$3 !~ /^_/ { \
		printf "#define g_%s 0x%s\n", $$3, $$1 }' > $@

-include $(wildcard $(SYSTEM)/*.d)
