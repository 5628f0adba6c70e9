# SPDX-License-Identifier: ISC
"""diff: what a change of the spec does to interface, guests and tables."""

from __future__ import annotations

from pathlib import Path

from gen.tool.diff.changes import HEADINGS, Changes, compare
from gen.tool.diff.history import facts_at, facts_now


def diff(spec: Path, old: str, new: str | None) -> Changes:
    """From one revision to another, or to the working tree."""
    before = facts_at(spec, old)
    return compare(before, facts_at(spec, new) if new else facts_now(spec))


def text(changes: Changes) -> str:
    lines: list[str] = []
    for heading in HEADINGS:
        mine = [change.line for change in changes.changes if change.heading == heading]
        if mine:
            lines += [heading, *(f"    {line}" for line in mine)]
    if changes.reworded:
        rows = "row says" if changes.reworded == 1 else "rows say"
        lines.append(f"{changes.reworded} {rows} the same in other words")
    if changes.skipped:
        lines.append("not compared, one of the two has no such table: "
                     + ", ".join(changes.skipped))
    return "\n".join(lines) or "the specs say the same"
