# SPDX-License-Identifier: ISC
"""The index of the search box: one entry a row of the spec."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gen.html.content import KINDS, Page, Row, href, plain
from gen.html.links import Target, targets


def entries(pages: tuple[Page, ...]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, kind, address, what else it is found by, and its text."""
    for page in pages:
        for _, target in targets(page):
            words = dict.fromkeys(word for word in target.words if word)
            yield (target.name, KINDS[target.kind].one, href(target.kind, *target.names),
                   " ".join(words), _text(target))


def _text(target: Target) -> str:
    if isinstance(target, Row):
        return plain(target.doc)
    return plain(target.paragraphs[0]) if target.paragraphs else ""


def script(pages: tuple[Page, ...]) -> str:
    """The index as a script, which a page can load from a file system too."""
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
                       for entry in entries(pages))
    return f"const SEARCH_INDEX = [\n{lines}\n];\n"
