# SPDX-License-Identifier: ISC
"""Tests of the generator and of what it writes."""
