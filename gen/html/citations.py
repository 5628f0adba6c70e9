# SPDX-License-Identifier: ISC
"""The `source` of a row, as the manual sections that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MANUALS = {
    "APM": "AMD64 Architecture Programmer's Manual",
    "SDM": "Intel 64 and IA-32 Architectures Software Developer's Manual",
}
OTHER = "Other sources"

_CITATION = re.compile(r"(APM|SDM) (\d[A-D]?) (.+)\Z")
_SECTION = re.compile(r"(?:\d+|[A-Z])(?:\.\d+)*\Z")


@dataclass(frozen=True)
class Citation:
    manual: str  # empty: none of the two
    volume: str
    section: str

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.manual, self.volume, self.section) if part)

    @property
    def book(self) -> str:
        """The heading under which it is listed."""
        if not self.manual:
            return OTHER
        return f"{self.manual} {self.volume}: {MANUALS[self.manual]}, volume {self.volume}"

    @property
    def order(self) -> tuple[object, ...]:
        """Manuals first; sections by their numbers, appendices behind, names last."""
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part)
                      for part in self.section.split("."))
        numbered = _SECTION.match(self.section) is not None
        return (not self.manual, self.manual, self.volume, not numbered, parts)


def citations(source: object) -> Iterator[Citation]:
    """`APM 2 15.9; SDM 3C 26.1.3, 26.2`, a list of such, or {apm: 3 CPUID, sdm: 2A CPUID}."""
    if isinstance(source, Mapping):
        for manual, place in source.items():
            yield from citations(f"{str(manual).upper()} {place}")
    elif isinstance(source, (list, tuple)):
        for item in source:
            yield from citations(item)
    else:
        for part in str(source).split(";"):
            yield from _one(part.strip())


def _one(part: str) -> Iterator[Citation]:
    found = _CITATION.match(part)
    if found is None:
        yield Citation("", "", part)
        return
    for section in found[3].split(", "):
        yield Citation(found[1], found[2], section)
