# SPDX-License-Identifier: ISC
"""The documentation says what is so: names of tests, targets, files and links, and the examples."""

from __future__ import annotations

import fnmatch
import functools
import re
import subprocess
import unittest
from collections.abc import Iterator
from pathlib import Path

from tests.gen.tools import ROOT, compile_c

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.c"))
DEFECTS = 47

ROW = re.compile(r"^\| (?:D(\d+) \| )?(.*) \| ([^|]*) \|$")
QUOTED = re.compile(r"`([^`]+)`")
SYSTEM_TEST = re.compile(r'^TEST(?:_[A-Z]+)?\(\w+, "([^"]+)"', re.MULTILINE)
UNIT_TEST = re.compile(r"^START_TEST\((\w+)\)", re.MULTILINE)
TARGET = re.compile(r"\bmake ((?:[a-z][a-z-]*(?=[\s`,.;)]|$) ?)+)", re.MULTILINE)
HELP = re.compile(r"^  ([a-z-]+) ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```c\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TREES = ("docs", "gen", "spec", "src", "templates", "tests", ".ci")
FILE = re.compile(rf"`((?:{'|'.join(map(re.escape, TREES))})/[\w./-]+)`")
PATTERN = re.compile(r"TESTS='?([\w/*-]+)")


@functools.cache
def tests() -> frozenset[str]:
    """Every case of the system tests, and FILE:TEST of the unit tests."""
    found: set[str] = set()
    for path in (ROOT / "tests" / "system").glob("t_*.c"):
        found.update(SYSTEM_TEST.findall(path.read_text(encoding="utf-8")))
    for path in (ROOT / "tests" / "unit").rglob("test_*.c"):
        found.update(f"{path.name}:{name}"
                     for name in UNIT_TEST.findall(path.read_text(encoding="utf-8")))
    return frozenset(found)


def rows() -> Iterator[tuple[int | None, str]]:
    """The rows of docs/differences.md: number of the defect, and what shows it."""
    text = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        found = ROW.match(line)
        if found and found[3] != "Shown by" and not found[3].startswith("---"):
            yield (int(found[1]) if found[1] else None), found[3]


def prose() -> Iterator[tuple[str, str]]:
    for path in DOCS:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


class Differences(unittest.TestCase):
    def test_every_defect_has_one_row(self) -> None:
        self.assertEqual([number for number, _ in rows() if number is not None],
                         list(range(1, DEFECTS + 1)))

    def test_every_row_names_tests_that_exist(self) -> None:
        for number, shown in rows():
            with self.subTest(row=number, shown=shown):
                names = QUOTED.findall(shown)
                self.assertTrue(names)
                self.assertEqual(QUOTED.sub("", shown).strip(", "), "")
                self.assertEqual([name for name in names if name not in tests()], [])


class Documents(unittest.TestCase):
    def test_targets_are_those_of_make_help(self) -> None:
        helped = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, text=True,
                                capture_output=True, check=True).stdout
        known = set(HELP.findall(helped))
        self.assertIn("check", known)
        for name, text in prose():
            # In prose, `make module` is meant; "make sure" is not.
            commands = [*QUOTED.findall(text), *re.findall(r"^    (.*)$", text, re.MULTILINE)]
            used = {target for command in commands for group in TARGET.findall(command)
                    for target in group.split()}
            with self.subTest(document=name):
                self.assertEqual(used - known, set())

    def test_links_lead_somewhere(self) -> None:
        for name, text in prose():
            for link in LINK.findall(text):
                if "://" in link:
                    continue
                path = (ROOT / name).parent / link.partition("#")[0]
                with self.subTest(document=name, link=link):
                    self.assertTrue(path.exists())

    def test_files_are_there(self) -> None:
        for name, text in prose():
            for path in FILE.findall(text):
                if re.search(r"[A-Z]{3,}", Path(path).name.partition(".")[0]):
                    continue  # a placeholder, NAME or BEHAVIOUR
                with self.subTest(document=name, path=path):
                    self.assertTrue((ROOT / path).exists())

    def test_patterns_match_cases(self) -> None:
        for name, text in prose():
            for pattern in PATTERN.findall(text):
                with self.subTest(document=name, pattern=pattern):
                    self.assertTrue(fnmatch.filter(tests(), pattern))


class Examples(unittest.TestCase):
    def test_excerpts_are_of_the_examples(self) -> None:
        sources = [path.read_text(encoding="utf-8") for path in EXAMPLES]
        excerpts = [(name, code) for name, text in prose() for code in CODE.findall(text)]
        self.assertTrue(excerpts)
        for name, code in excerpts:
            with self.subTest(document=name, begins=code[:40]):
                self.assertTrue(any(code in source for source in sources))

    def test_examples_compile(self) -> None:
        self.assertTrue(EXAMPLES)
        for path in EXAMPLES:
            with self.subTest(example=path.name):
                done = compile_c("gcc", path.read_text(encoding="utf-8"),
                                 "-std=c99", "-D_GNU_SOURCE", "-fsyntax-only")
                self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
