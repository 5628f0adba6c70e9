# SPDX-License-Identifier: ISC
#
# The system tests, and more, on a kernel that checks itself (docs/reliability.md).
#
#   make debug-kernel			build that kernel, once
#   make check-debug			all of it, on both emulated machines
#   make check-debug VENDOR=amd		on one of them
#   make check-debug PART=churn		one part: suite or churn
#   make check-debug SEED=7 CHURN=5000	another order of events; fewer
#   make check-debug TESTS='life/*'	only these cases

DEBUG		:= $(BUILD)/debug

.PHONY: debug-kernel check-debug debug-plant
debug-kernel:		## the kernel of check-debug: a quarter of an hour, once
	@tests/system/deps debug
	@tests/debug/kernel

check-debug: debug-kernel	## all system tests, and more, on that kernel (VENDOR=amd)
	@MAKE=$(MAKE) OUT=$(DEBUG) PYTHON=$(PYTHON) SHOW=$(V) VENDOR=$(VENDOR) PART=$(PART) \
		SEED=$(SEED) CHURN=$(CHURN) TESTS='$(TESTS)' tests/debug/check

# For check: the mistakes that show that the checkers are awake.
debug-plant:
	@mkdir -p $(DEBUG)/plant
	@flock $(DEBUG)/plant $(SHELL) -e -c ' \
	    cp tests/debug/plant/* $(DEBUG)/plant/; \
	    $(MAKE) -C $(KDIR) M=$(CURDIR)/$(DEBUG)/plant --no-print-directory modules'
