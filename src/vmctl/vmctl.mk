# SPDX-License-Identifier: ISC
#
# vmctl: the monitor and its command line.
#
# Devices (i8259, i8254, ns8250, mc146818, board) know nothing of the driver
# or of each other: a unit test links just what it tests.

VMCTL_SRC	:= $(wildcard src/vmctl/*.c)
# The decoder of instructions that use memory which is not there.
VMCTL_GEN	:= $(BUILD)/vmctl.gen
VMCTL_OBJ	:= $(VMCTL_SRC:src/vmctl/%.c=$(BUILD)/vmctl.d/%.o) $(BUILD)/vmctl.d/insn.o
VMCTL_WARN	:= -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
VMCTL_CFLAGS	:= -std=gnu11 -O2 -g -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
		-fPIE -pthread $(VMCTL_WARN) -I$(BUILD)/include -I$(VMCTL_GEN)
VMCTL_LDFLAGS	:= -pie -Wl,-z,relro,-z,now -pthread
VMCTL_LIBS	:= -levent_core -lseccomp

.PHONY: vmctl
vmctl: $(BUILD)/vmctl		## the monitor, build/vmctl

$(BUILD)/vmctl: $(VMCTL_OBJ)
	@echo "  LD      $@"
	@$(CC) $(VMCTL_LDFLAGS) -o $@ $^ $(VMCTL_LIBS)

$(BUILD)/vmctl.d/%.o: src/vmctl/%.c src/vmctl/vmctl.mk \
    $(BUILD)/include/machine/vmmvar.h $(VMCTL_GEN)/insn_ops.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(VMCTL_CFLAGS) -MMD -MP -c -o $@ $<

# The scanner is large: optimising it takes a quarter of a minute that nobody gets back. Without,
# the compiler cannot tell what is always set.
VMCTL_SCANNER	:= -Og -Wno-maybe-uninitialized
$(BUILD)/vmctl.d/insn.o: $(VMCTL_GEN)/insn.c src/vmctl/vmctl.mk \
    $(BUILD)/include/machine/vmmvar.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(VMCTL_CFLAGS) $(VMCTL_SCANNER) -Isrc/vmctl -MMD -MP -c -o $@ $<

# --- Unit tests: tests/unit/vmctl/test_NAME.c -> build/unit/test_vmctl_NAME --------

VMCTL_TESTS	:= $(patsubst tests/unit/vmctl/test_%.c,$(BUILD)/unit/test_vmctl_%,\
		$(wildcard tests/unit/vmctl/test_*.c))
VMCTL_TEST_OBJ	:= $(VMCTL_SRC:src/vmctl/%.c=$(BUILD)/unit/vmctl.d/%.o) \
		$(BUILD)/unit/vmctl.d/insn.o
VMCTL_TEST_CFLAGS := -std=gnu11 -O1 -g -D_GNU_SOURCE -fno-omit-frame-pointer -pthread \
		$(UNIT_SANITIZE) $(VMCTL_WARN) -I$(BUILD)/include -I$(VMCTL_GEN) -Isrc/vmctl
# The driver is simulated where vmctl asks for it.
VMCTL_TEST_WRAP	:= -Wl,--wrap=ioctl,--wrap=open

UNIT_PROGRAMS	+= $(VMCTL_TESTS)
unit-programs: $(VMCTL_TESTS)

$(BUILD)/unit/vmctl.d/%.o: src/vmctl/%.c src/vmctl/vmctl.mk \
    $(BUILD)/include/machine/vmmvar.h $(VMCTL_GEN)/insn_ops.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(VMCTL_TEST_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit/vmctl.d/insn.o: $(VMCTL_GEN)/insn.c src/vmctl/vmctl.mk \
    $(BUILD)/include/machine/vmmvar.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(VMCTL_TEST_CFLAGS) $(VMCTL_SCANNER) -MMD -MP -c -o $@ $<

$(BUILD)/unit/vmctl.d/test_%.o: tests/unit/vmctl/test_%.c src/vmctl/vmctl.mk \
    $(BUILD)/include/machine/vmmvar.h $(VMCTL_GEN)/insn_ops.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(VMCTL_TEST_CFLAGS) -MMD -MP -c -o $@ $<

# An archive, so that a test takes only what it calls; main() stays out of it.
$(BUILD)/unit/libvmctl.a: $(filter-out %/main.o,$(VMCTL_TEST_OBJ))
	@rm -f $@
	@$(AR) rc $@ $^

$(VMCTL_TESTS): $(BUILD)/unit/test_vmctl_%: $(BUILD)/unit/vmctl.d/test_%.o \
    $(BUILD)/unit/libvmctl.a
	@echo "  LD      $@"
	@$(CC) $(UNIT_SANITIZE) -pthread -o $@ $^ $(if $(filter %/test_vmctl_machine,$@),\
		$(VMCTL_TEST_WRAP)) $(if $(filter %/test_vmctl_insn,$@),-lcapstone) \
		$(VMCTL_LIBS) $(UNIT_LIBS)

# --- vmctl against the driver: tests/system/vmctl-host ------------------------------

.PHONY: check-vmctl check-vmctl-intel check-vmctl-zen
check-vmctl: system-ready vmctl	## vmctl's system tests, in an emulated AMD machine (TESTS= V=1)
	@set -f; PYTHON=$(PYTHON) V=$(V) tests/system/check-vmctl $(TEST_KREL) $(TESTS)

# vmctl knows little of vendors: that a Linux guest runs to its end says enough.
check-vmctl-intel: system-ready vmctl
	@VENDOR=intel CPUS=1 PYTHON=$(PYTHON) V=$(V) tests/system/check-vmctl $(TEST_KREL) power_off

# On the CPU model of the emulator that has the most, Linux takes no path of Zen's.
check-vmctl-zen: system-ready vmctl
	@QEMU_OPTIONS="-cpu EPYC-Rome,+svm,+npt" MACHINE=zen PYTHON=$(PYTHON) V=$(V) \
		tests/system/check-vmctl $(TEST_KREL) memory_that_is_not_there

-include $(wildcard $(BUILD)/vmctl.d/*.d $(BUILD)/unit/vmctl.d/*.d)
