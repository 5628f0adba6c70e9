# SPDX-License-Identifier: ISC
"""One module a spec file; each has build(spec, errors) and returns a frozen dataclass."""
