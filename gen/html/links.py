# SPDX-License-Identifier: ISC
"""Links in the other direction: who leads to a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gen.html.citations import citations
from gen.html.content import KINDS, Cell, Page, Row, Section, Span, href, link

Target = Row | Section


@dataclass(frozen=True)
class Group:
    """Rows of one kind that lead to the same place."""

    title: str
    links: Cell


def sources(target: Target) -> Cell:
    """Its citations, each leading to the list of all rows that cite that section."""
    return tuple(link("source", item.text) for item in citations(target.sources))


def targets(page: Page) -> Iterator[tuple[Section, Target]]:
    """Everything on a page that stands for a row of the spec."""
    for section in page.sections:
        if section.kind:
            yield section, section
        for row in section.rows:
            yield section, row


class Links:
    """All links of all pages."""

    def __init__(self, pages: tuple[Page, ...]) -> None:
        self._from: dict[str, dict[str, Target]] = {}
        for page in pages:
            for section, target in targets(page):
                for span in _outgoing(target) if section.counts else ():
                    self._from.setdefault(span.href, {}).setdefault(_address(target), target)

    def groups(self, target: Target) -> tuple[Group, ...]:
        """Who leads to it, by kind; without those to whom it leads itself."""
        known = {span.href for span in _outgoing(target)} | {_address(target)}
        found: dict[str, list[Span]] = {}
        for address, other in self._from.get(_address(target), {}).items():
            if address not in known:
                found.setdefault(other.kind, []).append(Span(other.name, "code", address))
        return tuple(Group(KINDS[kind].one if len(spans) == 1 else KINDS[kind].many, tuple(spans))
                     for kind, spans in found.items())

    def any(self, section: Section) -> bool:
        """Whether one of its rows cites or is led to."""
        return any(sources(row) or self.groups(row) for row in section.rows)


def _outgoing(target: Target) -> Iterator[Span]:
    cells = (*target.cells, target.doc) if isinstance(target, Row) else target.paragraphs
    for cell in (*cells, sources(target)):
        yield from (span for span in cell if span.href)


def _address(target: Target) -> str:
    return href(target.kind, *target.names)
