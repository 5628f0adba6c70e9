# SPDX-License-Identifier: ISC
#
# Tests of the specification, without emulators: the generator's own (tests/gen), and all
# modules tests/spec/test_*.py, each in a process of its own.
# Other fragments append Check programs to SPEC_PROGRAMS.

SPEC_CHECK	:= $(BUILD)/spec
SPEC_TESTS	= $(sort $(wildcard tests/spec/test_*.py))

# Mutants are tried on the unit tests, built without sanitizers, and with maps that tell what
# each program is linked from.
SPEC_UNIT	:= $(SPEC_CHECK)/unit
SPEC_LIBS	= $(sort $(foreach t,$(UNIT_TESTS),$(UNIT_LIBS_$(t))))
ONLY		?=

.PHONY: check-spec spec-unit spec-unit-commands mutate

check-spec: generate	## tests of the specification and of all that is made from it
	@$(MAKE) --no-print-directory $(UNIT_JOBS) spec-unit $(SPEC_PROGRAMS)
	@$(PYTHON) tests/unit/run.py --out $(SPEC_CHECK)/results --timeout 1800 \
		$(SPEC_TESTS:%=--python %) --python tests/gen $(SPEC_PROGRAMS)

mutate: spec-unit	## try every mutant of the specification: hours (ONLY=cpuid/leaves/0x7)
	@$(PYTHON) -m tests.spec.mutate --only '$(ONLY)'

spec-unit: generate
	@$(MAKE) --no-print-directory $(UNIT_JOBS) UNIT=$(SPEC_UNIT) UNIT_SANITIZE= UNIT_OPT=-O0 \
		UNIT_LDFLAGS='-Wl,-Map=$$@.map' spec-unit-commands \
		$(UNIT_TESTS:%=$(SPEC_UNIT)/test_%) > /dev/null

# How an object is compiled and a program linked, for those who do it without make.
spec-unit-commands:
	@mkdir -p $(UNIT)
	@printf '%s\n' "$(UNIT_COMPILE)" "$(CC) -pthread OBJECTS $(SPEC_LIBS) $(UNIT_LIBS)" \
		> $(UNIT)/commands
