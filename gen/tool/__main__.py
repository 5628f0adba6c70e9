# SPDX-License-Identifier: ISC
"""python3 -m gen.tool: the same as vmmspec."""

from __future__ import annotations

import sys

from gen.tool.cli import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
