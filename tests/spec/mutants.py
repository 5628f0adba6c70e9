# SPDX-License-Identifier: ISC
"""Mutants: the specification with one thing wrong.

Each changes one fact of one file, as a slip of the hand would; which one follows from the file
alone. Kinds:

    drop-row    a row is gone
    drop-key    a key is gone that other rows do without
    drop-item   an item of a list is gone
    swap        two neighbours have each other's number
    number      a number, or one end of a range, is off by one or by one bit
    opcode      the last byte of an opcode is off by one bit
    word        a word is another one that stands under the same key: a policy, a reference
    flip        true is false, or the other way round
    rename      a row has another name
    operator    an expression compares, joins or negates otherwise
    operand     a number or a name in an expression is another one

Text for people (doc, source, reason, ...) is left alone: no machine can say that it is wrong. So
are the examples and states of entry checks: they are tests themselves, held against the rules.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

from gen.load import Doc, Map, Seq

Step = str | int
Path = tuple[Step, ...]
Pattern = tuple[str, ...]

PROSE = frozenset({"doc", "source", "reason", "title", "differences", "never_entered"})
TESTS = frozenset({"example", "states", "emulators"})
EXPRESSIONS = frozenset({"when", "require"})
GONE = object()

_RANGE = re.compile(r"(\d+)-(\d+)\Z")
_OPCODE = re.compile(r"([0-9A-F]{2} )*([0-9A-F]{2})(?= |\Z)")


@dataclass(frozen=True)
class Mutant:
    """What is changed, and how; `row` is the place, by names."""

    file: str
    row: str
    kind: str
    change: str
    edits: tuple[tuple[Path, Any], ...]

    @property
    def name(self) -> str:
        return f"{self.file}/{self.row} {self.kind}"

    @property
    def rank(self) -> int:
        """Puts mutants into an order that has nothing to do with their place, for samples."""
        return _hash(self.name)

    def apply(self, doc: Doc) -> Doc:
        """The document, changed; what is given stays as it is."""
        changed: Any = doc
        for path, value in self.edits:
            changed = _replaced(changed, path, value)
        assert isinstance(changed, Map)
        return changed


def mutants(file: str, doc: Doc) -> list[Mutant]:
    """All mutants of one file."""
    return list(_Maker(file, doc).all())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _replaced(node: Any, path: Path, value: Any) -> Any:
    """A copy of `node` with another value at `path`; what lies beside the way is shared."""
    head, rest = path[0], path[1:]
    copy: Any = type(node)(node.file, node.line)
    items: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, Map) else enumerate(node)
    for key, old in items:
        new = old
        if key == head:
            new = _replaced(old, rest, value) if rest else value
        if new is GONE:
            continue
        if isinstance(node, Map):
            copy.put(key, new, node.line_of(key))
        else:
            copy.put(new, node.line_of(key))
    return copy


class _Maker:
    """Walks a document twice: to see what stands under each key, and to make mutants."""

    def __init__(self, file: str, doc: Doc) -> None:
        self._file = file
        self._doc = doc
        self._words: dict[Pattern, set[str]] = defaultdict(set)
        self._times: dict[Pattern, int] = defaultdict(int)
        self._names: dict[str, int] = defaultdict(int)
        self._survey(doc, ())

    def all(self) -> Iterator[Mutant]:
        yield from self._node(self._doc, (), (), "")

    # --- What there is -----------------------------------------------------------

    def _survey(self, node: Any, pattern: Pattern) -> None:
        self._times[pattern] += 1
        if isinstance(node, Map):
            for key, value in node.items():
                self._survey(value, (*pattern, key))
        elif isinstance(node, Seq):
            for value in node:
                self._survey(value, (*pattern, "*"))
        elif isinstance(node, str):
            self._words[pattern].add(node)

    def _is_name(self, pattern: Pattern, holder: Any) -> bool:
        """The key by which a row is called: `name`, or the first, when all are different."""
        if not isinstance(holder, Map) or len(pattern) < 2 or pattern[-2] != "*":
            return False
        return pattern[-1] == "name" or (next(iter(holder)) == pattern[-1] and
                                         len(self._words[pattern]) == self._times[pattern])

    # --- Mutants -------------------------------------------------------------------

    def _mutant(self, row: str, kind: str, change: str, *edits: tuple[Path, Any]) -> Mutant:
        """Rows that are called the same are numbered."""
        key = f"{row} {kind}"
        self._names[key] += 1
        if self._names[key] > 1:
            row = f"{row}#{self._names[key]}"
        return Mutant(self._file, row, kind, change, edits)

    def _node(self, node: Any, path: Path, pattern: Pattern, row: str) -> Iterator[Mutant]:
        if isinstance(node, Map):
            for key, value in node.items():
                if key not in PROSE | TESTS:
                    yield from self._key(node, key, value, (*path, key), (*pattern, key),
                                         f"{row}/{key}" if row else key)
        elif isinstance(node, Seq):
            yield from self._items(node, path, (*pattern, "*"), row)

    def _key(self, holder: Map, key: str, value: Any, path: Path, pattern: Pattern,
             row: str) -> Iterator[Mutant]:
        if _is_prose(key, value):
            return
        if self._times[pattern] < self._times[pattern[:-1]]:
            yield self._mutant(row, "drop-key", f"no {key}", (path, GONE))
        if isinstance(value, (Map, Seq)):
            yield from self._node(value, path, pattern, row)
        elif key in EXPRESSIONS and isinstance(value, str):
            yield from self._expression(value, path, row)
        elif self._is_name(pattern, holder) and isinstance(value, str):
            yield from self._changed(value, _renamed(value), path, row, "rename")
        else:
            yield from self._scalar(value, path, pattern, row)

    def _items(self, node: Seq, path: Path, pattern: Pattern, row: str) -> Iterator[Mutant]:
        for index, item in enumerate(node):
            here, below = f"{row}/{_called(item, index)}", (*path, index)
            if isinstance(item, Map):
                yield self._mutant(here, "drop-row", "no such row", (below, GONE))
                if index + 1 < len(node):
                    yield from self._swaps(item, node[index + 1], below, (*path, index + 1), here)
                yield from self._node(item, below, pattern, here)
            elif not _is_prose(str(path[-1]), item):
                yield self._mutant(here, "drop-item", f"no {item}", (below, GONE))
                yield from self._scalar(item, below, pattern, here)

    def _swaps(self, one: Map, two: Any, path: Path, other: Path, row: str) -> Iterator[Mutant]:
        for key, value in one.items():
            theirs = two.get(key) if isinstance(two, Map) else None
            if _is_number(value) and _is_number(theirs) and value != theirs:
                yield self._mutant(f"{row}/{key}", "swap", f"{value} <-> {theirs}",
                                   ((*path, key), theirs), ((*other, key), value))

    def _scalar(self, value: Any, path: Path, pattern: Pattern, row: str) -> Iterator[Mutant]:
        choice = _hash(f"{self._file}/{row}")
        if isinstance(value, bool):
            if self._times[pattern] == self._times[pattern[:-1]]:
                yield from self._changed(value, not value, path, row, "flip")
        elif isinstance(value, int):
            yield from self._changed(value, _other_number(value, choice), path, row, "number")
        elif isinstance(value, str) and _RANGE.match(value):
            yield from self._changed(value, _other_range(value, choice), path, row, "number")
        elif isinstance(value, str) and _OPCODE.match(value) and pattern[-1] == "opcode":
            yield from self._changed(value, _other_opcode(value), path, row, "opcode")
        elif isinstance(value, str):
            words = sorted(self._words[pattern] - {value})
            if words:
                yield from self._changed(value, words[choice % len(words)], path, row, "word")

    def _expression(self, value: str, path: Path, row: str) -> Iterator[Mutant]:
        choice = _hash(f"{self._file}/{row}")
        for kind, others in (("operator", _other_operators(value)),
                             ("operand", _other_operands(value))):
            if others:
                yield from self._changed(value, others[choice % len(others)], path, row, kind)

    def _changed(self, old: Any, new: Any, path: Path, row: str, kind: str) -> Iterator[Mutant]:
        yield self._mutant(row, kind, f"{old} -> {new}", (path, new))


def _called(item: Any, index: int) -> str:
    """A row's name: `name`, or its first word or number."""
    if not isinstance(item, Map):
        return str(item)
    for value in [item.get("name"), *item.values()]:
        if isinstance(value, int) and not isinstance(value, bool):
            return hex(value)
        if isinstance(value, str) and " " not in value:
            return value
    return str(index)


def _is_prose(key: str, value: Any) -> bool:
    """A sentence, not a fact: words with spaces between them."""
    return (isinstance(value, str) and " " in value and key not in EXPRESSIONS and
            not _OPCODE.match(value))


def _is_number(value: Any) -> bool:
    if isinstance(value, Seq):
        return all(_is_number(item) for item in value)
    if isinstance(value, str):
        return _RANGE.match(value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def _other_number(value: int, choice: int) -> int:
    """One more, one less, or with another bit."""
    bit = value ^ (1 << (choice >> 8) % max(1, value.bit_length()))
    return (value + 1, max(value - 1, 0) if value else 1, bit)[choice % 3]


def _other_range(value: str, choice: int) -> str:
    found = _RANGE.match(value)
    assert found
    first, last = int(found[1]), int(found[2])
    return (f"{first + 1}-{last}", f"{first - 1}-{last}", f"{first}-{last + 1}",
            f"{first}-{abs(last - 1)}")[choice % 4]


def _other_opcode(value: str) -> str:
    found = _OPCODE.match(value)
    assert found
    return f"{value[:found.start(2)]}{int(found[2], 16) ^ 1:02X}{value[found.end(2):]}"


def _renamed(value: str) -> str:
    return value + ("X" if value.isupper() else "x")


_OPERATORS = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<", "and": "or",
              "or": "and", "in": "not in", "not in": "in", "&": "|", "|": "&", "not": ""}
_OPERATOR = re.compile(r"==|!=|<=|>=|(?<![<>])[<>](?![<>])|[&|]|\b(?:and|or|not in|in|not)\b")
_NUMBER = re.compile(r"\b(?:0x[0-9a-fA-F]+|\d+)\b")


def _other_operators(text: str) -> list[str]:
    return [text[:found.start()] + _OPERATORS[found[0]] + text[found.end():]
            for found in _OPERATOR.finditer(text)]


def _other_operands(text: str) -> list[str]:
    return [f"{text[:found.start()]}{int(found[0], 0) ^ 1}{text[found.end():]}"
            for found in _NUMBER.finditer(text)]
