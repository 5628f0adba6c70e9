# SPDX-License-Identifier: ISC
"""YAML with line numbers.

The YAML here is the plain part of 1.2: null, true, false, decimal, 0x and 0b integers (with _ as
separator); everything else is a string, so that 26.10 stays a section number and `on` a word.
No anchors, no tags, no duplicate keys.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterator

import yaml

from gen.errors import Errors, Message, Pos, SpecError, where

NO_FILE = Message("the file is missing", "create it, or take its outputs from gen/outputs.py")
NOT_ISC = Message("line 1 is no licence tag", "# SPDX-License-Identifier: ISC")
BAD_YAML = Message("not YAML, {problem}", "one document of mappings and sequences")
BAD_KEY = Message("a key that is no plain word", "write keys as plain strings")
DUPLICATE_KEY = Message("key '{name}' stands twice", "keep one, the first is at {first}")
NO_ALIAS = Message("anchors, aliases and tags are not read", "write the value out")
TOP_LEVEL = Message("the top level is no mapping", "a mapping of named lists")

_INT = re.compile(r"-?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0b[01][01_]*)\Z")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


class Map(dict[str, Any]):
    """A mapping that knows where it and its keys stand."""

    __slots__ = ("file", "line", "_lines")

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self._lines: dict[str, int] = {}

    def put(self, key: str, value: Any, line: int) -> None:
        self[key] = value
        self._lines[key] = line

    def line_of(self, key: object) -> int:
        return self._lines.get(str(key), self.line)


class Seq(list[Any]):
    """A sequence that knows where it and its items stand."""

    __slots__ = ("file", "line", "_lines")

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self._lines: list[int] = []

    def put(self, value: Any, line: int) -> None:
        self.append(value)
        self._lines.append(line)

    def line_of(self, index: object) -> int:
        if isinstance(index, int) and 0 <= index < len(self._lines):
            return self._lines[index]
        return self.line


Doc = Map


def load_file(path: Path, name: str, errors: Errors) -> Doc:
    """The document in `path`; `name` is what messages call it. SpecError when there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        errors.add(Pos(name, 1), NO_FILE)
        raise SpecError(name) from None
    if not text.startswith("# SPDX-License-Identifier: ISC\n"):
        errors.add(Pos(name, 1), NOT_ISC)
    try:
        return _Builder(name, text, errors).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or "unreadable")
        errors.add(Pos(name, mark.line + 1 if mark else 1), BAD_YAML, problem=problem)
        raise SpecError(name) from None


class _Builder:
    """Builds the document straight from parser events: libyaml does the work."""

    def __init__(self, name: str, text: str, errors: Errors) -> None:
        self._name = name
        self._errors = errors
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))

    def document(self) -> Doc:
        for event in self._events:
            if isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
                continue
            if isinstance(event, yaml.MappingStartEvent):
                doc = self._value(event)
                for _ in self._events:  # the rest may still hold a syntax error
                    pass
                assert isinstance(doc, Map)
                return doc
            break
        self._errors.add(Pos(self._name, 1), TOP_LEVEL)
        raise SpecError(self._name)

    def _value(self, event: Any) -> Any:
        line = event.start_mark.line + 1
        if event.anchor is not None or getattr(event, "tag", None) is not None:
            self._errors.add(Pos(self._name, line), NO_ALIAS)
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return scalar(event.value) if event.style is None or event.style == "" else event.value
        if kind is yaml.MappingStartEvent:
            return self._map(line)
        if kind is yaml.SequenceStartEvent:
            return self._seq(line)
        return None  # an alias; refused above

    def _map(self, line: int) -> Map:
        node = Map(self._name, line)
        for event in self._events:
            kind = type(event)
            if kind is yaml.MappingEndEvent:
                break
            at = event.start_mark.line + 1
            key: object = None
            if kind is yaml.ScalarEvent:
                key = event.value
            else:
                self._value(event)
                self._errors.add(Pos(self._name, at), BAD_KEY)
            value = self._value(next(self._events))
            if not isinstance(key, str):
                continue
            if key in node:
                self._errors.add(Pos(self._name, at), DUPLICATE_KEY, name=key,
                                 first=where(node, key))
                continue
            node.put(key, value, at)
        return node

    def _seq(self, line: int) -> Seq:
        node = Seq(self._name, line)
        for event in self._events:
            if type(event) is yaml.SequenceEndEvent:
                break
            node.put(self._value(event), event.start_mark.line + 1)
        return node


def scalar(text: str) -> str | int | bool | None:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text.replace("_", ""), 0)
    return text
