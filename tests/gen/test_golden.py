# SPDX-License-Identifier: ISC
"""Every error message, by example: see golden.py."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Callable

import gen
from gen import validate
from gen.errors import Message
from tests.gen import golden
from tests.gen.tools import SPEC, contents, generate


class Golden(unittest.TestCase):
    """One test an example; filled below."""

    maxDiff = None


def _example(name: str) -> Callable[[Golden], None]:
    def test(self: Golden) -> None:
        expected = (golden.DIRECTORY / name / "expected").read_text(encoding="utf-8")
        self.assertNotEqual(expected, "", "an example of an error has none")
        outcome = golden.run(name)
        self.assertEqual(outcome.text, outcome.expand(expected))
    return test


for _name in golden.names():
    setattr(Golden, f"test_{_name}", _example(_name))


class Messages(unittest.TestCase):
    def test_each_message_has_an_example(self) -> None:
        shown: set[Message] = set()
        for name in golden.names():
            shown |= golden.run(name).messages
        missing = [f"{where}: {message.wrong}" for where, message in _messages()
                   if message not in shown]
        self.assertEqual(missing, [])

    def test_each_limit_of_a_schema_has_an_example(self) -> None:
        """One message serves several keywords of JSON Schema."""
        said = "".join((golden.DIRECTORY / name / "expected").read_text(encoding="utf-8")
                       for name in golden.names())
        used = _keywords()
        for keyword, words in {**validate.LIMITS, **validate.LENGTHS}.items():
            if keyword in used:
                with self.subTest(keyword):
                    self.assertRegex(said, words.format(r"\d+"))

    def test_no_keyword_of_a_schema_is_without_words(self) -> None:
        self.assertLessEqual(_keywords(), validate.KEYWORDS | SILENT)

    def test_no_message_stands_twice(self) -> None:
        found: dict[tuple[str, str], str] = {}
        for where, message in _messages():
            key = (where.split(":")[0], message.wrong)
            self.assertNotIn(key, found, where)
            found[key] = where

    def test_examples_are_named_by_behaviour(self) -> None:
        for path in golden.DIRECTORY.iterdir():
            self.assertRegex(path.name, r"^[a-z]+(_[a-z0-9]+)+$")
            self.assertEqual({item.name for item in path.iterdir()}, {"patch.yaml", "expected"})

    def test_the_command_says_the_same(self) -> None:
        """End to end: exit status 1, the text on stderr, and nothing written."""
        name = golden.names()[0]
        with tempfile.TemporaryDirectory() as scratch:
            spec, out = Path(scratch) / "spec", Path(scratch) / "out"
            shutil.copytree(SPEC, spec)
            golden.apply(name, spec)
            done = generate(out, spec)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, golden.run(name).text)
            self.assertEqual(done.stdout, "")
            self.assertFalse(out.exists() and contents(out))

    def test_all_errors_are_reported_at_once(self) -> None:
        """Errors of several files in one run, sorted by place."""
        with tempfile.TemporaryDirectory() as scratch:
            spec = Path(scratch) / "spec"
            shutil.copytree(SPEC, spec)
            for file in ("ioctls.yaml", "insns.yaml"):
                path = spec / file
                path.write_text(path.read_text(encoding="utf-8") + "surprise: 1\n",
                                encoding="utf-8")
            done = generate(Path(scratch) / "out", spec)
            lines = done.stderr.splitlines()
            self.assertEqual(done.returncode, 1)
            self.assertEqual([line.split(":")[0] for line in lines],
                             ["spec/insns.yaml", "spec/ioctls.yaml"])
            self.assertEqual(lines, sorted(lines))


# What structures a schema; the keywords inside speak.
SILENT = {"$schema", "$ref", "title", "description", "definitions", "properties",
          "patternProperties", "items", "if", "then", "else", "allOf", "not"}


def _keywords() -> set[str]:
    """Every keyword of the schemas; below properties and definitions stand names instead."""
    found: set[str] = set()

    def walk(node: object, names: bool = False) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if not names:
                    found.add(key)
                if names or key not in ("const", "enum", "dependencies"):
                    walk(value, not names and key in ("properties", "patternProperties",
                                                      "definitions"))
        elif isinstance(node, list):
            for item in node:
                walk(item)

    for path in (Path(gen.__path__[0]) / "schema").glob("*.json"):
        walk(json.loads(path.read_text(encoding="utf-8")))
    return found


def _messages() -> list[tuple[str, Message]]:
    """(module:NAME, message) of every Message constant of the generator."""
    found: dict[int, tuple[str, Message]] = {}
    for info in pkgutil.walk_packages(gen.__path__, "gen."):
        if info.name == "gen.__main__":
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, Message):
                found.setdefault(id(value), (f"{info.name}:{name}", value))
    return sorted(found.values(), key=lambda item: item[0])


if __name__ == "__main__":
    unittest.main()
