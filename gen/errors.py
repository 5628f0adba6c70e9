# SPDX-License-Identifier: ISC
"""What can be wrong with a spec, collected over a whole run.

Every sentence a user can see is a Message constant of the module that says it, so that
tests can list them all and hold a golden example against each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol


class Place(Protocol):
    """Anything with a position: a Map, a Seq, a Pos."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


@dataclass(frozen=True)
class Pos:
    """A bare position."""

    file: str
    line: int


@dataclass(frozen=True)
class Message:
    """What is wrong, and what would be right; {name} parts are filled in when it is used."""

    wrong: str
    right: str

    def text(self, args: dict[str, object]) -> str:
        return f"{self.wrong.format(**args)}: {self.right.format(**args)}"

    def pattern(self) -> re.Pattern[str]:
        """Matches every text that this message can give (for tests)."""
        parts = re.split(r"\{\w+(?:![rsa])?(?::[^}]*)?\}", f"{self.wrong}: {self.right}")
        return re.compile("(?s)" + ".*".join(re.escape(part) for part in parts))


class SpecError(Exception):
    """The spec is wrong in a way that leaves nothing to go on with; already noted in Errors."""


def where(node: Place, key: object = None) -> str:
    """FILE:LINE of a node, or of one key or index of it, for "first ... at" hints."""
    return f"{node.file}:{_line(node, key)}"


def _line(node: Place, key: object) -> int:
    line_of = getattr(node, "line_of", None)
    if key is None or line_of is None:
        return node.line
    return int(line_of(key))


class Errors:
    """All errors of a run. add() and go on; the run fails at its end."""

    def __init__(self) -> None:
        self._found: set[tuple[str, int, str]] = set()

    def add(self, node: Place, message: Message, key: object = None, /,
            **args: object) -> None:
        """Note `message` at `node` (a Map, Seq or Pos), or at its `key` or index."""
        self._found.add((node.file, _line(node, key), message.text(args)))

    def __len__(self) -> int:
        return len(self._found)

    def lines(self) -> list[str]:
        """Sorted by place."""
        return [f"{file}:{line}: {text}" for file, line, text in sorted(self._found)]
