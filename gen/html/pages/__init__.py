# SPDX-License-Identifier: ISC
"""One module a page; each has build(spec) and returns a Page."""
