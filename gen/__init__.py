# SPDX-License-Identifier: ISC
"""The generator: reads spec/, checks it, and writes the C and the manual that follow from it."""
