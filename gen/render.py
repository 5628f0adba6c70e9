# SPDX-License-Identifier: ISC
"""Models to files: all of them or none, and only those whose text changed."""

from __future__ import annotations

import functools
import os
import textwrap
from pathlib import Path
from typing import Any

import jinja2

from gen import text
from gen.outputs import Output
from gen.spec import Spec, has_file

_TEMPLATES = Path(__file__).parent.parent / "templates"


@functools.cache
def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        auto_reload=False,
    )
    env.filters.update(
        break_condition=text.break_condition,
        c_comment=text.c_comment,
        c_define=text.c_define,
        c_number=text.c_number,
        c_string=text.c_string,
        hex=text.c_hex,
        mdoc=text.mdoc,
        plain=text.plain,
        wrap=text.wrap,
    )
    return env


def header(output: Output) -> str:
    """The top of a generated file: licence, origin, and how to make it again."""
    # A model without a file is a view of the others.
    specs = ", ".join(f"spec/{model}.yaml" for model in output.models if has_file(model))
    lines = [
        "SPDX-License-Identifier: ISC",
        "Generated, do not edit: change the spec or the template and run `make generate`.",
        f"spec: {specs}",
        f"template: templates/{output.template}",
    ]
    if output.dest.endswith((".c", ".h", ".S", ".re")):
        middle = "".join(textwrap.fill(line, 94, initial_indent=" * ", subsequent_indent=" *   ",
                                       break_on_hyphens=False) + "\n" for line in lines[1:])
        return f"/* {lines[0]} */\n/*\n{middle} */\n"
    comment = '.\\"' if output.dest[-2:-1] == "." and output.dest[-1].isdigit() else "#"
    return "".join(f"{comment} {line}\n" for line in lines)


def render(spec: Spec, outputs: tuple[Output, ...]) -> dict[str, str]:
    """Text of every output, by destination."""
    env = environment()
    texts: dict[str, str] = {}
    for output in outputs:
        values: dict[str, Any] = {name: spec.model(name) for name in output.models}
        texts[output.dest] = header(output) + env.get_template(output.template).render(values)
    return texts


def write(out: Path, texts: dict[str, str]) -> list[str]:
    """Bring the files up to date; gives the destinations that changed."""
    changed: list[tuple[Path, Path, str]] = []
    try:
        for dest, content in texts.items():
            path = out / dest
            data = content.encode()
            if path.is_file() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
            changed.append((temporary, path, dest))
            temporary.write_bytes(data)
        for temporary, path, _ in changed:
            temporary.replace(path)
    finally:
        for temporary, _, _ in changed:
            temporary.unlink(missing_ok=True)
    return [dest for _, _, dest in changed]
