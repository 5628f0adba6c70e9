# SPDX-License-Identifier: ISC
"""Models to files: all of them or none, and only those whose text changed."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import Any

import jinja2

from gen.outputs import Output
from gen.spec import Spec

_TEMPLATES = Path(__file__).parent.parent / "templates"


def c_string(text: str) -> str:
    """A C string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def c_hex(value: int, digits: int = 0) -> str:
    """0x and at least `digits` hexadecimal digits."""
    return f"0x{value:0{digits}x}"


def wrap(text: str, prefix: str = "", width: int = 79) -> str:
    """Text in lines of at most `width` columns, each after `prefix`."""
    return textwrap.fill(text, width, initial_indent=prefix, subsequent_indent=prefix,
                         break_long_words=False, break_on_hyphens=False)


def plain(text: str) -> str:
    """Documentation text without its `markup`, for comments."""
    return text.replace("`", "")


def mdoc(text: str) -> str:
    """Documentation text as mdoc(7): a line a sentence, `names` set by what they are."""
    lines: list[str] = []
    for sentence in re.split(r"(?<=[.:;]) (?=[A-Z`0-9])", text):
        for part in re.split(r"(?:^| )(\(?`[^`]*`[.,:;)]*)(?= |$)", sentence):
            if part.strip():
                lines.append(_mdoc_line(part.strip()))
    return "\n".join(lines)


def _mdoc_line(part: str) -> str:
    name = re.fullmatch(r"(\(?)`([^`]*)`([.,:;)]*)", part)
    if name is None:
        text = part.replace("\\", "\\e")
        return textwrap.fill("\\&" + text if text[0] in ".'" else text, 79,
                             break_on_hyphens=False)
    before, word, after = name.groups()
    if word.startswith("struct "):
        macro, word = "Vt", f'"{word}"'
    else:
        macro = "Dv" if word.isupper() else "Va"
    return " ".join([f".{macro}", *before, word, *after])


def c_comment(text: str, indent: str = "") -> str:
    """A C comment, on one line when it fits."""
    line = f"{indent}/* {text} */"
    if len(line.expandtabs(8)) <= 96:
        return line
    return f"{indent}/*\n{wrap(text, indent + ' * ', 90)}\n{indent} */"


def break_condition(text: str, indent: str) -> str:
    """A C condition on one line, or one line a term when that would be long."""
    if len(text) + 8 * len(indent) <= 86:
        return text
    return re.sub(r" (\|\||&&) ", rf" \1\n{indent}    ", text)


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
    env.filters["c_string"] = c_string
    env.filters["hex"] = c_hex
    env.filters["wrap"] = wrap
    env.filters["c_comment"] = c_comment
    env.filters["mdoc"] = mdoc
    env.filters["plain"] = plain
    env.filters["break_condition"] = break_condition
    return env


def header(output: Output) -> str:
    """The top of a generated file: licence, origin, and how to make it again."""
    specs = ", ".join(f"spec/{model}.yaml" for model in output.models)
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
        for dest, text in texts.items():
            path = out / dest
            data = text.encode()
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
