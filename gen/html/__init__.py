# SPDX-License-Identifier: ISC
"""The HTML reference: the rows of spec/, one page a table, with links between them."""
