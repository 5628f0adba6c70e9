# SPDX-License-Identifier: ISC
"""The manuals: which rows cite which section."""

from __future__ import annotations

from gen.html.citations import Citation, citations
from gen.html.content import Page, Row, Section
from gen.html.links import targets


def build(pages: tuple[Page, ...]) -> Page:
    """From what all other pages cite."""
    found = {item for page in pages for section, target in targets(page)
             for item in citations(target.sources)}
    books: dict[str, list[Citation]] = {}
    for item in sorted(found, key=lambda item: item.order):
        books.setdefault(item.book, []).append(item)
    return Page("manuals", "Manuals", "Every section of the manuals that a row cites, and the rows "
                "that do.", tuple(
                    Section(book, (book.split(":")[0],), (), tuple(
                        Row("source", (item.text,), item.section, (), label=item.text)
                        for item in items), first="Section", label=book.split(":")[0],
                            last="Rows that cite it")
                    for book, items in books.items()))
