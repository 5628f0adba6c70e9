# SPDX-License-Identifier: ISC
"""A reader of syzlang, as far as build/syzkaller uses it.

The grammar is that of syzkaller's documentation (docs/syscall_descriptions_syntax.md there), the
layout is that of C: a struct's members are aligned, and a union is as long as its longest member.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
META = re.compile(r'meta arches\["(\w+)"\]')
RESOURCE = re.compile(rf"resource ({NAME})\[({NAME})\](?:: (.+))?")
CALL = re.compile(rf"({NAME})\$({NAME})\((.*)\)(?: ({NAME}))?")
OPEN = re.compile(rf"({NAME}) ([{{\[])")
FIELD = re.compile(rf"\t({NAME})\s+(\S.*?)(?:\t\((in|out|inout)\))?")
FLAGS = re.compile(rf"({NAME}) = ({NAME}(?:, {NAME})*)")
TOKEN = re.compile(rf'{NAME}|0x[0-9a-f]+|[0-9]+|"[^"]*"|[\[\],:]| +')
CONST = re.compile(rf"({NAME}) = ([0-9]+)")

INTEGERS = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}
RESERVED = {"parent", "syscall"}


class SyntaxProblem(Exception):
    """The text is no syzlang, or means nothing."""


@dataclass(frozen=True)
class Range:
    low: int
    high: int


@dataclass(frozen=True)
class Type:
    name: str
    args: tuple[Type | Range | int | str, ...] = ()  # a str is a literal with its quotes


@dataclass(frozen=True)
class Field:
    name: str
    type: Type
    direction: str


@dataclass
class Struct:
    name: str
    union: bool
    fields: list[Field] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    call: str
    variant: str
    args: tuple[Field, ...]
    result: str | None


@dataclass
class Description:
    arches: list[str] = field(default_factory=list)
    resources: dict[str, str] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)

    # --- layout

    def size_align(self, kind: Type) -> tuple[int, int]:
        """Bytes and alignment of a type inside a struct."""
        name = kind.name
        if name in INTEGERS:
            return INTEGERS[name], INTEGERS[name]
        if name in ("ptr64", "vma64"):
            return 8, 8
        if name in ("flags", "const", "len", "bytesize"):
            base = kind.args[1]
            assert isinstance(base, Type)
            return self.size_align(base)
        if name == "array":
            element, count = kind.args
            assert isinstance(element, Type) and isinstance(count, int)
            size, align = self.size_align(element)
            return size * count, align
        if name in self.resources:
            return self.size_align(Type(self.resources[name]))
        if name in self.structs:
            return self.layout(name)[1:]
        raise SyntaxProblem(f"no type {name}")

    def layout(self, name: str) -> tuple[dict[str, tuple[int, int]], int, int]:
        """Offset and size of each field, then size and alignment of the whole."""
        struct = self.structs[name]
        places: dict[str, tuple[int, int]] = {}
        offset = longest = 0
        most = 1
        for item in struct.fields:
            size, align = self.size_align(item.type)
            offset = 0 if struct.union else -(-offset // align) * align
            places[item.name] = (offset, size)
            offset += size
            longest, most = max(longest, offset), max(most, align)
        return places, longest if struct.union else -(-longest // most) * most, most


def parse_type(text: str) -> Type:
    tokens = TOKEN.findall(text)
    if "".join(tokens) != text:
        raise SyntaxProblem(f"no type: {text}")
    tokens = [token for token in tokens if token.strip()]
    kind, rest = _type(tokens)
    if rest or not isinstance(kind, Type):
        raise SyntaxProblem(f"no type: {text}")
    return kind


def _type(tokens: list[str]) -> tuple[Type | Range | int | str, list[str]]:
    if not tokens:
        raise SyntaxProblem("a type is missing")
    first, rest = tokens[0], tokens[1:]
    if first[0].isdigit():
        if rest[:1] == [":"]:
            return Range(int(first, 0), int(rest[1], 0)), rest[2:]
        return int(first, 0), rest
    if first[0] == '"':
        return first, rest
    if not re.fullmatch(NAME, first):
        raise SyntaxProblem(f"unexpected {first}")
    args: list[Type | Range | int | str] = []
    if rest[:1] == ["["]:
        while rest[:1] != ["]"]:
            arg, rest = _type(rest[1:])
            args.append(arg)
            if rest[:1] not in ([","], ["]"]):
                raise SyntaxProblem(f"unexpected {rest[:1]} in {first}")
        rest = rest[1:]
    return Type(first, tuple(args)), rest


def parse(path: Path) -> Description:
    """The description; SyntaxProblem with the line where it is wrong."""
    found = Description()
    current: Struct | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            current = _line(line, found, current)
        except SyntaxProblem as problem:
            raise SyntaxProblem(f"{path.name}:{number}: {problem}") from problem
    if current is not None:
        raise SyntaxProblem(f"{current.name} has no end")
    return found


def _line(line: str, found: Description, current: Struct | None) -> Struct | None:
    if not line or line.startswith("#"):
        return current
    if current is not None:
        if line == ("]" if current.union else "}"):
            if not current.fields:
                raise SyntaxProblem(f"{current.name} is empty")
            return None
        match = FIELD.fullmatch(line)
        if match is None or match[1] in RESERVED or match[1] in (f.name for f in current.fields):
            raise SyntaxProblem(f"no field, or twice: {line}")
        current.fields.append(Field(match[1], parse_type(match[2]), match[3] or ""))
        return current
    if match := META.fullmatch(line):
        found.arches.append(match[1])
    elif match := RESOURCE.fullmatch(line):
        _once(found.resources, match[1])
        found.resources[match[1]] = match[2]
    elif match := CALL.fullmatch(line):
        _once(found.calls, match[2])
        found.calls[match[2]] = Call(match[1], match[2], _arguments(match[3]), match[4])
    elif match := OPEN.fullmatch(line):
        _once(found.structs, match[1])
        found.structs[match[1]] = Struct(match[1], match[2] == "[")
        return found.structs[match[1]]
    elif match := FLAGS.fullmatch(line):
        _once(found.flags, match[1])
        found.flags[match[1]] = tuple(match[2].split(", "))
    else:
        raise SyntaxProblem(f"neither meta, resource, call, struct nor flags: {line}")
    return None


def _once(known: dict[str, object] | dict[str, str] | dict[str, Call] | dict[str, Struct]
          | dict[str, tuple[str, ...]], name: str) -> None:
    if name in known:
        raise SyntaxProblem(f"{name} stands twice")


def _arguments(text: str) -> tuple[Field, ...]:
    parts: list[str] = []
    depth = 0
    for piece in text.split(", "):
        if depth:
            parts[-1] += ", " + piece
        else:
            parts.append(piece)
        depth += piece.count("[") - piece.count("]")
    fields = []
    for part in parts:
        name, _, kind = part.partition(" ")
        fields.append(Field(name, parse_type(kind), ""))
    return tuple(fields)


def constants(path: Path) -> tuple[str, dict[str, int]]:
    """The architectures, and the numbers."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines()
             if line and not line.startswith("#")]
    if not lines or not lines[0].startswith("arches = "):
        raise SyntaxProblem("no arches")
    found: dict[str, int] = {}
    for line in lines[1:]:
        match = CONST.fullmatch(line)
        if match is None or match[1] in found:
            raise SyntaxProblem(f"no constant, or twice: {line}")
        found[match[1]] = int(match[2])
    return lines[0].removeprefix("arches = "), found
