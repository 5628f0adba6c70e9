# SPDX-License-Identifier: ISC
"""Text for C and mdoc: what templates use as filters."""

from __future__ import annotations

import re
import textwrap


def c_string(text: str) -> str:
    """A C string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def c_hex(value: int, digits: int = 0) -> str:
    """0x and at least `digits` hexadecimal digits."""
    return f"0x{value:0{digits}x}"


def c_number(value: int) -> str:
    """A C literal in the style of the manuals, the same in C99 and C++."""
    text = str(value) if value < 0x1000 else f"{value:#x}"
    return text + "ULL" if value > 0x7FFFFFFF else text


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
    elif word.endswith("()"):
        macro, word = "Fn", word.removesuffix("()")
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


def c_define(name: str, value: str, doc: str) -> str:
    """A #define with its comment, which stands above when the line would be long."""
    line = f"#define {name} {value}\t/* {doc} */"
    if len(line.expandtabs(8)) <= 100:
        return line
    return f"{c_comment(doc)}\n#define {name} {value}"
