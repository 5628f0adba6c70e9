# SPDX-License-Identifier: ISC
"""The HTML reference, made once for a test program, and its pages taken apart."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]


def make(out: Path, seed: str = "0") -> None:
    """What `make docs` runs."""
    subprocess.run([sys.executable, "-m", "gen.html", "--spec", "spec", "--out", str(out)],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                   env={"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"})


@functools.cache
def site() -> Path:
    """A directory with the whole reference, gone at the end of the program."""
    keep = tempfile.TemporaryDirectory(prefix="vmm-html-")
    atexit.register(keep.cleanup)
    out = Path(keep.name)
    make(out)
    return out


class Document(HTMLParser):
    """Ids, links and labels of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []  # of a and link elements, and scripts
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append((tag, values))
        if "id" in values:
            self.ids.append(values["id"])
        self.links += [values[name] for name in ("href", "src", "action") if name in values]


@functools.cache
def documents() -> dict[str, Document]:
    return {path.name: Document(path) for path in sorted(site().glob("*.html"))}


def search_index() -> list[list[str]]:
    """The entries that search.js looks through."""
    text = (site() / "search-index.js").read_text(encoding="utf-8")
    entries = json.loads(text.removeprefix("const SEARCH_INDEX = ").rstrip().removesuffix(";"))
    assert isinstance(entries, list)
    return entries


def dead(page: str, address: str) -> str:
    """Why an address on a page leads nowhere; empty when it leads somewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return "leaves the reference"
    name = parts.path or page
    if not (site() / name).is_file():
        return "no such file"
    if parts.fragment and unquote(parts.fragment) not in documents()[name].ids:
        return "no such anchor"
    return ""
