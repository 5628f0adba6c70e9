# SPDX-License-Identifier: ISC
"""The generator: reads spec/, checks it, and writes the C, headers and manual that follow from it."""
