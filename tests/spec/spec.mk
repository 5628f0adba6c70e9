# SPDX-License-Identifier: ISC
#
# Tests of the specification, without emulators: the generator's own (tests/gen), and all
# modules tests/spec/test_*.py, each in a process of its own.
# Other fragments append Check programs to SPEC_PROGRAMS.

SPEC_CHECK	:= $(BUILD)/spec
SPEC_TESTS	= $(sort $(wildcard tests/spec/test_*.py))

.PHONY: check-spec spec-programs

check-spec: generate	## the specification's tests: rules, readers, documents, mutants
	@$(MAKE) --no-print-directory $(UNIT_JOBS) spec-programs
	@$(PYTHON) tests/unit/run.py --out $(SPEC_CHECK)/results --timeout 180 \
		$(SPEC_TESTS:%=--python %) --python tests/gen $(SPEC_PROGRAMS)

spec-programs: $(SPEC_PROGRAMS)
	@:
