# SPDX-License-Identifier: ISC
"""vmmspec knows every row of every file in spec/, and finds each by its names and numbers."""

from __future__ import annotations

import functools
import json
import re
import unittest
from collections.abc import Iterator

from gen.load import Map, Seq
from gen.text import plain
from gen.tool.find import everything, find, named
from gen.tool.tables import Entry, Tables
from gen.tool.topics import TOPICS
from gen.tool.words import (ACTION, CAPABILITY, CONTROL, CPUID, FLOW, FUNCTION, GROUP, GUEST_BIT,
                            MSR_READ, MSR_WRITE, NO_CLIENT, RIP)
from tests.gen.tools import ROOT, SPEC

# Lists in rows that are rows themselves.
_NESTED = {"cpuid": ("eax", "ebx", "ecx", "edx"), "ioctls": ("members", "union", "values")}
# Rows that say how others are read, and have no name.
_NAMELESS = {("ioctls", "interface"), ("ioctls", "differences")}
# What the client sees of an exit stands in the article about the exit.
_ELSEWHERE = {("ioctls", "exits")}


@functools.cache
def tables() -> Tables:
    return Tables()


@functools.cache
def entries() -> list[Entry]:
    return list(everything(tables()))


def rows(file: str) -> Iterator[Map]:
    """Every row of a file."""
    for section, items in tables().spec.doc(file).items():
        if (file, section) not in _NAMELESS | _ELSEWHERE:
            for item in items:
                yield from _below(file, item)


def _below(file: str, row: Map) -> Iterator[Map]:
    if "union" not in row:
        yield row
    for key in _NESTED.get(file, ()):
        for item in row.get(key, ()):
            yield from _below(file, item)


class Complete(unittest.TestCase):
    def test_every_row_has_an_entry(self) -> None:
        known = {id(entry.row) for entry in entries()}
        files = sorted(path.stem for path in SPEC.glob("*.yaml"))
        self.assertGreater(len(files), 9)
        missing = [f"{row.file}:{row.line}" for file in files for row in rows(file)
                   if id(row) not in known]
        self.assertEqual(missing, [])

    def test_every_control_bit_of_a_register_has_an_entry(self) -> None:
        known = {id(entry.row) for entry in entries()}
        for register in tables().spec.doc("arch")["registers"]:
            for bits in register["bits"]:
                if "name" in bits:
                    self.assertIn(id(bits), known, f"{register['register']}.{bits['name']}")

    def test_every_entry_can_be_written(self) -> None:
        for entry in entries():
            with self.subTest(topic=entry.topic, name=entry.name):
                article = entry.write()
                self.assertEqual(article.topic, entry.topic)
                text = article.text(100)
                self.assertIsNone(re.search(r"\bNone\b(?!\s+of)|[{}]", text), text)
                for line in text.split("\n"):
                    self.assertLessEqual(len(line), 130, line)
                    self.assertEqual(line, line.rstrip())
                self.assertEqual(json.loads(json.dumps(article.data()))["name"], article.name)

    def test_every_article_says_where_it_is_from(self) -> None:
        for entry in entries():
            with self.subTest(topic=entry.topic, name=entry.name):
                labels = [part.label for part in entry.write().parts]
                self.assertIn("more" if "difference" in entry.name else "spec", labels)

    def test_every_name_is_found(self) -> None:
        for topic in TOPICS.values():
            mine = [entry for entry in entries() if entry.topic == topic.name]
            self.assertTrue(mine, topic.name)
            for entry in mine:
                with self.subTest(topic=topic.name, name=entry.name):
                    found = named(mine, entry.name)
                    self.assertIn(entry, found)
                    for other in found:  # a row and its numbers, or the same of two vendors
                        self.assertTrue(other is entry or other.group == entry.group != ""
                                        or other.scope != entry.scope, other.name)

    def test_every_number_is_found(self) -> None:
        for name in ("vmcs", "msr", "exception", "ioctl"):
            for entry in (item for item in entries() if item.topic == name):
                assert isinstance(entry.numbers, (tuple, range))
                for number in entry.numbers[:1]:
                    with self.subTest(topic=name, number=number):
                        found = find(tables(), TOPICS[name], [hex(number)])
                        self.assertEqual([item.name for item in found], [entry.name])

    def test_every_byte_of_the_vmcb_is_found(self) -> None:
        mine = [entry for entry in entries() if entry.topic == "vmcb"]
        for offset in range(4096):
            self.assertEqual(sum(offset in entry.numbers for entry in mine), 1, hex(offset))

    def test_every_exit_number_is_found(self) -> None:
        for vendor, numbers in (("vmx", tables().exits.vmx), ("svm", tables().exits.svm)):
            found = {value for entry in entries() if entry.scope == vendor
                     for value in (entry.numbers if isinstance(entry.numbers, tuple) else ())}
            self.assertEqual(found, {number.value for number, _ in numbers})


class Vocabulary(unittest.TestCase):
    """Every word that a row may use has a sentence."""

    def enum(self, file: str, *path: str) -> list[str]:
        node = json.loads((ROOT / "gen" / "schema" / f"{file}.json").read_text(encoding="utf-8"))
        for key in path:
            node = node[key]
        return [word for word in node["enum"] if isinstance(word, str)]

    def used(self, file: str, key: str) -> set[str]:
        return {row[key] for row in rows(file) if isinstance(row.get(key), str)}

    def test_closed_words(self) -> None:
        exit_row = ("properties", "exits", "items", "properties")
        for words, wanted in (
                (ACTION, self.enum("exit_reasons", *exit_row, "action")),
                (RIP, self.enum("exit_reasons", *exit_row, "rip")),
                (FLOW, self.used("vmcb_fields", "flow")),
                (GROUP, self.used("vmcs_fields", "group")),
                (CPUID, self.used("cpuid", "policy")),
                (MSR_READ, self.used("msrs", "read")),
                (MSR_WRITE, self.used("msrs", "write")),
                (CONTROL, {item.policy for item in tables().controls.vmx.controls}),
                (CAPABILITY, {cap.policy for cap in tables().controls.caps}),
                (GUEST_BIT, {bits.policy for word in tables().arch.registers
                             for bits in word.bits})):
            with self.subTest(words=sorted(words)):
                self.assertLessEqual(set(wanted), set(words))

    def test_functions_and_clients(self) -> None:
        self.assertLessEqual(set(FUNCTION), set(tables().exits.functions))
        told = tables().rows("ioctls", "exits", "exit")
        for row in tables().exits.exits:
            self.assertNotEqual(row.name in told, row.action in NO_CLIENT
                                and row.name != "intr_window", row.name)
        for name, said in told.items():
            text = json.dumps(find(tables(), TOPICS["exit"], [name])[0].write().data())
            for words in said["text"]:
                self.assertIn(json.dumps(plain(words))[1:-1], text)

    def test_sections_are_lists(self) -> None:
        for path in SPEC.glob("*.yaml"):
            tables().model(path.stem)
            for section, items in tables().spec.doc(path.stem).items():
                if section != "interface":
                    self.assertIsInstance(items, Seq, f"{path.stem}.{section}")


if __name__ == "__main__":
    unittest.main()
