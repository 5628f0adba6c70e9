# SPDX-License-Identifier: ISC
"""All pages, and the files that they become."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from gen.html import search
from gen.html.citations import MANUALS
from gen.html.content import Page
from gen.html.links import Links, sources
from gen.html.pages import manuals
from gen.spec import Spec

_AS_THEY_ARE = ("style.css", "search.js", "page.js")
_TEMPLATES = Path(__file__).parent.parent.parent / "templates" / "html"

# In the order in which they are listed; each a module of gen.html.pages, and what it needs.
PAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("exits", ("exit_reasons",)),
    ("controls", ("controls",)),
    ("vmcs", ("vmcs_fields", "controls")),
    ("vmcb", ("vmcb_fields",)),
    ("registers", ("registers",)),
    ("msrs", ("msrs",)),
    ("cpuid", ("cpuid",)),
    ("arch", ("arch",)),
    ("insns", ("insns",)),
    ("entry_checks", ("entry_checks",)),
    ("ioctls", ("ioctls",)),
)
MODELS = tuple(dict.fromkeys(model for _, models in PAGES for model in models))


def pages(spec: Spec) -> tuple[Page, ...]:
    """Every page but the index."""
    found = tuple(_page(name, spec) for name, _ in PAGES)
    return (*found, manuals.build(found))


def _page(name: str, spec: Spec) -> Page:
    page = importlib.import_module(f"gen.html.pages.{name}").build(spec)
    assert isinstance(page, Page)
    return page


def legend(page: Page, spec_dir: Path) -> str:
    """The comment on top of its file in spec/: what the words of the table mean."""
    lines: list[str] = []
    if page.spec:
        text = (spec_dir / f"{page.spec}.yaml").read_text(encoding="utf-8")
        for line in text.splitlines()[1:]:
            if not line.startswith("#"):
                break
            lines.append(line[2:])
    return "\n".join(lines).strip()


def breakable(name: str) -> Markup:
    """A name that a line may break behind its _ and / and dots."""
    return Markup(re.sub(r"([_/.])(?=\w)", r"\1<wbr>", str(escape(name))))


def environment(every: tuple[Page, ...]) -> jinja2.Environment:
    links = Links(every)
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
                             undefined=jinja2.StrictUndefined, trim_blocks=True,
                             lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False)
    env.filters.update(breakable=breakable)
    env.globals.update(manuals=MANUALS, pages=every, sources=sources, referrers=links.groups,
                       related_rows=links.any, zip=zip)
    return env


def files(spec: Spec, spec_dir: Path) -> dict[str, str]:
    """Text of every file, by name."""
    every = pages(spec)
    env = environment(every)
    template = env.get_template("page.html.j2")
    texts = {page.file: template.render(page=page, legend=legend(page, spec_dir))
             for page in every}
    texts["index.html"] = env.get_template("index.html.j2").render(page=None)
    texts["search-index.js"] = search.script(every)
    for name in _AS_THEY_ARE:
        texts[name] = (_TEMPLATES / name).read_text(encoding="utf-8")
    return texts
