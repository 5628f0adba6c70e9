# SPDX-License-Identifier: ISC
#
# Unit tests: the driver's core, its backends and the generated C in user
# space, under the address and undefined-behaviour sanitizers.
#
# A test is tests/unit/test_NAME.c (Check). It gets, where they exist:
#   tests/unit/oracle_NAME*.c	linked in; compiled against the kernel's headers
#   UNIT_LIBS_NAME		more libraries
#   UNIT_CFLAGS_NAME		more flags for test_NAME.c
# The core comes from an archive: a test may define a function of the driver
# itself, provided that it needs nothing else from that file.
# Other fragments append programs of their own to UNIT_PROGRAMS.
# One test with some of the sources only:
#   make build/unit/test_NAME UNIT_SRC="src/core/NAME.c tests/unit/host_user.c"
# The same programs, built elsewhere and otherwise: UNIT, UNIT_OPT, UNIT_SANITIZE, UNIT_LDFLAGS.

UNIT		:= build/unit
KHEADERS	?= $(lastword $(sort $(wildcard /usr/src/linux-headers-*-common)))

UNIT_SANITIZE	:= -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_WARN	:= -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes
# -O1 keeps the whole build under the minute that check-unit has.
UNIT_OPT	:= -O1 -g -fno-omit-frame-pointer
UNIT_CFLAGS	:= -std=gnu11 $(UNIT_OPT) $(UNIT_SANITIZE) \
		$(UNIT_WARN) -pthread -D_GNU_SOURCE
UNIT_INCLUDE	:= -Itests/unit/sim -Itests/unit -Isrc/core -Isrc/svm -Isrc \
		-Ibuild/include -Ibuild/gen
# The simulated CPU takes the place of the headers with the real instructions:
# it comes first and has their include guards.
UNIT_SIM	:= $(patsubst %,-include tests/unit/sim/%_cpu.h,svm vmx)
UNIT_LIBS	:= $(shell pkg-config --libs check 2>/dev/null || echo -lcheck)

UNIT_TESTS	:= $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_PROGRAMS	+= $(UNIT_TESTS:%=$(UNIT)/test_%)
UNIT_SRC	= $(wildcard src/core/*.c src/svm/*.c src/vmx/*.c build/gen/*.c) \
		tests/unit/host_user.c tests/unit/vmm_fixture.c $(wildcard tests/unit/sim/*.c)
UNIT_OBJ	= $(UNIT_SRC:%.c=$(UNIT)/obj/%.o)

UNIT_LIBS_insn	:= -lcapstone
# GNU's <sys/wait.h> brings names of registers that are ours as well.
UNIT_CFLAGS_emergency := -U_GNU_SOURCE

UNIT_COMPILE	= $(CC) $(UNIT_CFLAGS) $(UNIT_SIM) $(UNIT_INCLUDE)
UNIT_LINK	= $(CC) $(UNIT_SANITIZE) $(UNIT_LDFLAGS) -pthread

# All CPUs, unless the caller has said how many.
UNIT_JOBS	= $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: check-unit unit-programs

check-unit: generate ## unit tests, in user space, under ASan and UBSan
	@$(MAKE) --no-print-directory $(UNIT_JOBS) unit-programs
	@$(PYTHON) tests/unit/run.py --out $(UNIT)/results \
		--python tests/unit $(UNIT_PROGRAMS)

# A make of its own: what `generate` wrote is only seen by a fresh one.
unit-programs: $(UNIT_PROGRAMS)

$(UNIT)/obj/%.o: %.c tests/unit/unit.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(UNIT_COMPILE) -MMD -MP -c -o $@ $<

# Oracles see the kernel's headers and nothing of ours.
$(UNIT)/obj/tests/unit/oracle_%.o: tests/unit/oracle_%.c tests/unit/unit.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -Itests/unit \
		-DKHEADERS='"$(KHEADERS)"' -idirafter $(KHEADERS)/arch/x86/include \
		-idirafter $(KHEADERS)/arch/x86/include/uapi \
		-idirafter $(KHEADERS)/include -idirafter $(KHEADERS)/include/uapi \
		-MMD -MP -c -o $@ $<

$(UNIT)/libvmm.a: $(UNIT_OBJ)
	@rm -f $@
	@$(AR) rc $@ $^

define UNIT_TEST
$(UNIT)/obj/tests/unit/test_$(1).o: UNIT_CFLAGS += $(UNIT_CFLAGS_$(1))
$(UNIT)/test_$(1): $(UNIT)/obj/tests/unit/test_$(1).o \
    $(patsubst %.c,$(UNIT)/obj/%.o,$(wildcard tests/unit/oracle_$(1)*.c)) \
    $(UNIT)/libvmm.a
	@echo "  LD      $$@"
	@$$(UNIT_LINK) -o $$@ $$^ $(UNIT_LIBS_$(1)) $$(UNIT_LIBS)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call UNIT_TEST,$(t))))

-include $(shell find $(UNIT)/obj -name '*.d' 2>/dev/null)
