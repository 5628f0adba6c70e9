# SPDX-License-Identifier: ISC
"""Golden tests of error messages.

golden/BEHAVIOUR/patch.yaml says how to break the real spec: one mapping or a list of

    {file: NAME.yaml, replace: TEXT, with: TEXT}	TEXT stands exactly once in the file
    {file: NAME.yaml, remove: true}

and golden/BEHAVIOUR/expected is what the generator then says, byte for byte. Lines of the patched
file may be counted from the (first) patch, so that rows can be added elsewhere: spec/NAME.yaml:{+2}
is two lines below it. `make golden` rewrites every `expected`; read the difference before it is
committed.
"""

from __future__ import annotations

import functools
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gen.__main__ import build
from gen.errors import Errors, Message, Place
from gen.spec import Spec
from tests.gen.tools import SPEC, valid

DIRECTORY = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Outcome:
    """What a run over a patched spec said, and by which messages."""

    text: str
    messages: frozenset[Message]
    file: str  # that the first patch is in
    line: int  # where it begins

    def expand(self, expected: str) -> str:
        """Counted lines to real ones."""
        return re.sub(r"(spec/\w+\.yaml:)\{([+-]\d+)\}",
                      lambda found: f"{found[1]}{self.line + int(found[2])}", expected)

    def counted(self) -> str:
        """The text, its lines counted from the patch."""
        return re.sub(rf"(spec/{re.escape(self.file)}:)(\d+)",
                      lambda found: f"{found[1]}{{{int(found[2]) - self.line:+d}}}", self.text)


class _Witness(Errors):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[Message] = set()

    def add(self, node: Place, message: Message, key: object = None, /,
            **args: object) -> None:
        self.seen.add(message)
        super().add(node, message, key, **args)


def names() -> list[str]:
    return sorted(path.parent.name for path in DIRECTORY.glob("*/patch.yaml"))


def patches(name: str) -> list[dict[str, Any]]:
    found = yaml.safe_load((DIRECTORY / name / "patch.yaml").read_text(encoding="utf-8"))
    return found if isinstance(found, list) else [found]


def apply(name: str, spec: Path) -> int:
    """Patch the spec directory; gives the line where the first patch begins."""
    line = 0
    for patch in patches(name):
        path = spec / patch["file"]
        if patch.get("remove"):
            path.unlink()
            continue
        text = path.read_text(encoding="utf-8")
        count = text.count(patch["replace"])
        if count != 1:
            raise AssertionError(f"{name}: its text stands {count} times in {patch['file']}")
        line = line or text[:text.index(patch["replace"])].count("\n") + 1
        path.write_text(text.replace(patch["replace"], patch["with"]), encoding="utf-8")
    return line or 1


@functools.cache
def run(name: str) -> Outcome:
    """Build from the patched spec what the patch can reach."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = Path(scratch) / "spec"
        shutil.copytree(SPEC, spec)
        line = apply(name, spec)
        changed = {Path(patch["file"]).stem for patch in patches(name)}
        valid_spec = valid()
        docs = {key: doc for key, doc in valid_spec.docs.items() if key not in changed}
        models = {key: model for key, model in valid_spec.models.items()
                  if not valid_spec.needs[key] & changed}
        errors = _Witness()
        build(Spec(spec, errors, docs, models))
    return Outcome("".join(line + "\n" for line in errors.lines()), frozenset(errors.seen),
                   patches(name)[0]["file"], line)


def update() -> int:
    """Write every `expected` anew; 1 when a patch does not apply."""
    status = 0
    for name in names():
        path = DIRECTORY / name / "expected"
        try:
            text = run(name).counted()
        except AssertionError as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(DIRECTORY))
    return status


if __name__ == "__main__":
    sys.exit(update())
