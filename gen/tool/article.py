# SPDX-License-Identifier: ISC
"""What an answer is made of, and how it is printed: as text, and as JSON."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

LABEL = 14
_WIDEST_CELL = 34


@dataclass(frozen=True)
class Part:
    """A labelled piece: paragraphs, or a table whose last column is words."""

    label: str
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def data(self) -> object:
        if self.columns:
            return [dict(zip(self.columns, row)) for row in self.rows]
        return list(self.lines)


@dataclass(frozen=True)
class Article:
    """All that is known about one thing."""

    topic: str
    name: str
    title: str
    doc: str
    parts: tuple[Part, ...]

    def data(self) -> dict[str, object]:
        return {"topic": self.topic, "name": self.name, "title": self.title,
                "doc": self.doc, "parts": {part.label: part.data() for part in self.parts}}

    def text(self, columns: int) -> str:
        lines = [self.title]
        if self.doc:
            lines += _wrapped(self.doc, "    ", "    ", columns)
        if self.parts:
            lines.append("")
        for part in self.parts:
            lines += _part(part, columns)
        return "\n".join(lines) + "\n"


def part(label: str, *lines: str) -> tuple[Part, ...]:
    """A part with these paragraphs, the empty ones left out; no part when none is left."""
    said = tuple(line for line in lines if line)
    return (Part(label, said),) if said else ()


def table(label: str, columns: tuple[str, ...],
          rows: Iterable[tuple[str, ...]]) -> tuple[Part, ...]:
    found = tuple(rows)
    return (Part(label, (), columns, found),) if found else ()


def width() -> int:
    """Of the terminal, within reason."""
    return max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))


def _part(item: Part, columns: int) -> list[str]:
    found: list[str] = []
    first = f"  {item.label:{LABEL}}"
    if len(item.label) >= LABEL:
        found.append(f"  {item.label}")
        first = " " * (LABEL + 2)
    rest = " " * (LABEL + 2)
    for line in _cells(item, columns - len(rest)) if item.columns else item.lines:
        if item.columns:
            found.append((first + line).rstrip())
        else:
            found += _wrapped(line, first, rest + "  ", columns)
        first = rest
    return found


def _cells(item: Part, columns: int) -> list[str]:
    """The rows of a table, aligned."""
    count = len(item.columns)
    widths = [min(_WIDEST_CELL, max(len(row[index]) for row in item.rows))
              for index in range(count - 1)]
    indent = sum(wide + 2 for wide in widths)
    lines = []
    for row in item.rows:
        head = "".join(f"{cell:{wide}}  " for cell, wide in zip(row, widths))
        words = textwrap.wrap(row[-1], max(24, columns - indent), break_on_hyphens=False)
        lines.append(head + (words[0] if words else ""))
        lines += [" " * indent + line for line in words[1:]]
    return lines


def _wrapped(text: str, first: str, rest: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=rest,
                         break_long_words=False, break_on_hyphens=False) or [first.rstrip()]
