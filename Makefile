# SPDX-License-Identifier: ISC
# Every command a person needs; `make help` lists them.
# The parts define their targets in *.mk beside their sources; everything built goes below build/.

SHELL		:= /bin/bash
.SHELLFLAGS	:= -eu -o pipefail -c
.DELETE_ON_ERROR:
# A file that only pattern rules name is intermediate for make, which removes it at its end.
# None is: other targets and people use what is below build/.
.SECONDARY:
.SUFFIXES:
MAKEFLAGS	+= --no-builtin-rules
.DEFAULT_GOAL	:= help

BUILD		:= build
GEN_STAMP	:= $(BUILD)/.generated

# The first Python that has what the generator needs (Debian's own before any other).
PYTHON_NEEDS	:= jinja2 yaml jsonschema fastjsonschema
find_python	= $(shell for python in /usr/bin/python3 python3; do \
	$$python -c 'import sys, importlib.util as u; \
sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))' $(PYTHON_NEEDS) 2>/dev/null && \
	{ echo $$python; break; }; done)
ifndef PYTHON
PYTHON		= $(eval PYTHON := $(or $(find_python),$(error No python3 here can import all of \
$(PYTHON_NEEDS): run `make deps`, or `apt-get install python3-jinja2 python3-yaml \
python3-jsonschema python3-fastjsonschema`)))$(PYTHON)
endif

.PHONY: help
# What a newcomer wants first stands first; the rest as the fragments have it.
HELP_FIRST	:= demo check check-unit check-spec check-svm check-vmctl check-vmx deps module \
		   vmctl generate install

help:				## list the targets
	@awk -F '[:#]+' -v first='$(HELP_FIRST)' '/^[a-z][a-z-]*:[^=]*##/ { \
		match($$0, /## */); if (!($$1 in text)) order[++n] = $$1; \
		text[$$1] = substr($$0, RSTART + RLENGTH) } \
		function show(t) { \
			if (t in text) printf "  %-12s %s\n", t, text[t]; delete text[t] } \
		END { m = split(first, want, " "); for (i = 1; i <= m; i++) show(want[i]); \
			for (i = 1; i <= n; i++) show(order[i]) }' $(MAKEFILE_LIST)

# --- Generated files ------------------------------------------------------------

GEN_SOURCES	:= $(wildcard spec/*.yaml templates/*.j2 gen/*.py gen/model/*.py gen/schema/*.json)

.PHONY: generate FORCE
DECODERS	:= $(BUILD)/gen/insn.c $(BUILD)/vmctl.gen/insn.c
generate: $(GEN_STAMP) $(DECODERS)	## make code, header and manual pages from spec/

# The stamp lists the outputs: one that is gone makes the generator run again.
ifneq ($(wildcard $(GEN_STAMP)),)
GENERATED	:= $(file < $(GEN_STAMP))
ifneq ($(filter-out $(wildcard $(GENERATED)),$(GENERATED)),)
$(GEN_STAMP): FORCE
endif
endif

$(GEN_STAMP): $(GEN_SOURCES)
	@mkdir -p $(@D)
	@$(PYTHON) -m gen --spec spec --out $(BUILD) --stamp $@

# A file keeps its time when its text stays the same, so nothing that needs it is built again.
$(BUILD)/gen/%.h: $(GEN_STAMP)
	@test -e $@
$(BUILD)/gen/%.c: $(GEN_STAMP)
	@test -e $@
$(BUILD)/gen/%.re: $(GEN_STAMP)
	@test -e $@
$(BUILD)/gen/%.S: $(GEN_STAMP)
	@test -e $@
$(BUILD)/vmctl.gen/%.h: $(GEN_STAMP)
	@test -e $@
$(BUILD)/vmctl.gen/%.re: $(GEN_STAMP)
	@test -e $@
# The decoders, the driver's and the monitor's, go through re2c.
$(DECODERS): %.c: %.re
	@re2c -W -Werror --no-debug-info --no-generation-date -o $@ $<
$(BUILD)/include/machine/%.h: $(GEN_STAMP)
	@test -e $@
$(BUILD)/man/%: $(GEN_STAMP)
	@test -e $@

# Pages keep their times when their texts stay the same; all of them take about a second.
.PHONY: docs
docs: generate			## manual page and HTML reference, build/html/index.html
	@$(PYTHON) -m gen.html --spec spec --out $(BUILD)/html

# --- The parts --------------------------------------------------------------------

-include tests/unit/unit.mk
-include tests/spec/spec.mk
-include src/linux/module.mk
-include src/vmctl/vmctl.mk
-include gen/tool/tool.mk
-include tests/system/system.mk
-include tests/debug/debug.mk
-include bench/bench.mk

# --- Checks -----------------------------------------------------------------------

.PHONY: check check-unit check-gen check-svm lint lint-module

# A part of check-spec, by itself.
.PHONY: check-gen golden
check-gen: $(GEN_STAMP)		## the generator's tests alone, a part of check-spec
	@$(PYTHON) -m unittest discover -q -t . -s tests/gen

golden:				## rewrite the expected error messages; review what changes
	@$(PYTHON) -m tests.gen.golden

# Everything that people write, in the tree as git has it.
lint_files	= $(shell git ls-files -co --exclude-standard)

lint: generate			## static checks: types, house style, manual pages, sparse
	@$(PYTHON) -m mypy gen bench tests/gen tests/spec tests/module tests/style.py
	@$(PYTHON) tests/style.py $(lint_files)
	@mandoc -Tlint -Wwarning $(wildcard $(BUILD)/man/*.? docs/*.[1-9])
	@mkdir -p $(MODULE_DIR)
	@flock $(MODULE_DIR) $(MAKE) --no-print-directory lint-module

lint-module: module-links
	@$(MODULE_MAKE) -k C=2 CHECK="sparse -Wsparse-error" modules >/dev/null

.PHONY: clean
clean:				## remove everything that was built
	rm -rf $(BUILD)
