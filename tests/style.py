# SPDX-License-Identifier: ISC
"""House rules that no compiler checks: python3 tests/style.py FILE...

Prints FILE:LINE: what is wrong; the exit status is the verdict.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator

COLUMNS = 100
LICENCE = "SPDX-License-Identifier: ISC"
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
C_SUFFIXES = {".c", ".h", ".S"}
# Formats whose rows are data, and files that can not carry a comment.
WIDE = {".yaml", ".json", ".csv", ".j2", ".md"}
BARE = {".json", ".csv"}
# What a guest or a caller controls: as an index it is kept in its table without a branch
# (src/core/nospec.h).
CONTROLLED = re.compile(r"\[([^][]*\b(?:gpa|gva|at|code|basic|encoding|rip|irq|port|subleaf"
                        r"|names->vcpu)\b[^][]*)\]")
KEPT = re.compile(r"index_nospec\(|level_index\(| % | & ")


def unguarded(line: str) -> bool:
    """Does the line read a table with an index that a branch alone has checked?"""
    return any(not KEPT.search(index) for index in CONTROLLED.findall(line))


def problems(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    if path.suffix not in BARE and path.name not in ("LICENSE", "expected"):
        # After #!, and after the title of a page for people.
        if not any(LICENCE in line for line in lines[:2 if path.suffix != ".md" else 5]):
            yield 1, f"no licence tag, {LICENCE}"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    if path.name == "expected":
        return
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "space at the end of the line"
        width = len(line.expandtabs(8))
        if path.suffix not in WIDE and width > COLUMNS:
            yield number, f"{width} columns, {COLUMNS} are enough"
        if UNFINISHED.search(line) and path.name != "style.py":
            yield number, "unfinished"
        if path.suffix in C_SUFFIXES:
            # Four columns continue a line that begins at column 0.
            if re.match(r" (?!\*|\w+:|   \S)", line):
                yield number, "indented with spaces"
            if path.parts[:2] in (("src", "core"), ("src", "svm"), ("src", "vmx")) and \
                    re.match(r"#\s*include\s*<(linux|asm)/", line):
                yield number, "the core includes no header of the host's kernel"
            if path.parts[:2] in (("src", "core"), ("src", "svm"), ("src", "vmx")) and \
                    unguarded(line):
                yield number, "an index that a guest or a caller controls: index_nospec()"


def main() -> int:
    status = 0
    for name in sys.argv[1:]:
        for number, what in problems(Path(name)):
            print(f"{name}:{number}: {what}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
