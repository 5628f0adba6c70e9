# SPDX-License-Identifier: ISC
"""Tests of the specification and of everything that reads it; `make check-spec` runs them."""
