# SPDX-License-Identifier: ISC
#
# What an exit costs, in instructions, beside KVM (docs/bench.md).
#
#   make bench VENDORS=amd		on one vendor's machine only
#   make bench-record		keep the tables in bench/results.md

BENCH		:= $(BUILD)/bench
BENCH_SRC	:= $(filter-out bench/trace_qemu.c,$(wildcard bench/*.c)) bench/guest.S
BENCH_OBJ	:= $(patsubst bench/%,$(BENCH)/%.o,$(basename $(BENCH_SRC)))

.PHONY: bench bench-check bench-record bench-ready bench-floor
bench: bench-ready	## what exits cost beside KVM, on both vendors' emulated machines
	@PYTHON=$(PYTHON) VENDORS="$(VENDORS)" bench/bench all $(TEST_KREL)

# One vendor is enough for most mistakes; VENDORS="amd intel" checks both.
bench-check: bench-ready	## no exit costs 5 % more instructions than recorded (VENDORS=intel)
	@PYTHON=$(PYTHON) VENDORS="$(or $(VENDORS),amd)" bench/bench check $(TEST_KREL)

bench-record: bench	## the same, kept in bench/results.md for `make bench-check`
	@cp $(addprefix $(BENCH)/,results.md results.json profile.md) bench/

bench-ready: system-ready
	@$(MAKE) -s --no-print-directory bench-floor $(addprefix $(BENCH)/,vmmbench vmctl-kvm \
		vmctl-vmm trace_qemu.so)

$(BENCH)/vmmbench: $(BENCH_OBJ) $(SYSTEM)/vm.o $(SYSTEM)/embed.o
	@$(CC) -static -pthread -o $@ $^

$(BENCH)/%.o: bench/%.c $(SYSTEM)/guest.h
	@mkdir -p $(@D)
	@$(CC) $(SYSTEM_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH)/guest.o: bench/guest.S bench/trace.h
	@mkdir -p $(@D)
	@$(CC) -c -o $@ $<

-include $(wildcard $(BENCH)/*.d)

# vmctl over either driver, without its sandbox, which knows only one of them.
# The linker would warn of what libevent might look up, but vmctl does not.
BENCH_VMCTL	:= $(filter-out %/driver.o %/sandbox.o,$(VMCTL_OBJ)) $(BENCH)/sandbox_none.o
BENCH_VMCTL_KVM	:= $(BENCH)/driver_kvm.o $(BENCH)/kvm.o

$(BENCH)/vmctl-kvm: $(BENCH_VMCTL) $(BENCH_VMCTL_KVM)
	@$(CC) -static -pthread -Wl,--no-warnings -o $@ $^ -levent_core

$(BENCH)/vmctl-vmm: $(BENCH_VMCTL) $(BUILD)/vmctl.d/driver.o
	@$(CC) -static -pthread -Wl,--no-warnings -o $@ $^ -levent_core

$(BENCH)/%.o: bench/vmctl/%.c $(GEN_STAMP)
	@mkdir -p $(@D)
	@$(CC) $(VMCTL_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH)/trace_qemu.so: bench/trace_qemu.c bench/trace.h
	@mkdir -p $(@D)
	@$(CC) -shared -fPIC $(SYSTEM_CFLAGS) -o $@ $<

# Kbuild wants the sources where the objects go.
bench-floor:
	@mkdir -p $(BENCH)/floor
	@ln -sf $(addprefix ../../../,$(wildcard bench/floor/*)) $(BENCH)/floor/
	@$(MAKE) -C /lib/modules/$(TEST_KREL)/build M=$(CURDIR)/$(BENCH)/floor W=1 \
		--no-print-directory modules > $(BENCH)/floor/build.log 2>&1 || { \
		cat $(BENCH)/floor/build.log; exit 1; }
