# SPDX-License-Identifier: ISC
"""vmmspec: questions about the spec, answered in words."""
