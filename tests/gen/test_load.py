# SPDX-License-Identifier: ISC
"""The YAML reader: values and places."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from gen.errors import Errors, Message, Pos, where
from gen.load import Doc, load_file, scalar
from tests.gen.tools import ROOT


def load(text: str) -> Doc:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "demo.yaml"
        path.write_text("# SPDX-License-Identifier: ISC\n" + text, encoding="utf-8")
        errors = Errors()
        doc = load_file(path, "spec/demo.yaml", errors)
        if len(errors):
            raise AssertionError(errors.lines())
        return doc


class Load(unittest.TestCase):
    def test_plain_scalars(self) -> None:
        for text, value in [("7", 7), ("0", 0), ("-3", -3), ("0x1F", 31), ("0x1_0000", 65536),
                            ("0b101", 5), ("1_000", 1000), ("true", True), ("false", False),
                            ("null", None), ("", None)]:
            self.assertEqual(scalar(text), value, text)

    def test_what_other_readers_would_turn_into_something_else_stays_text(self) -> None:
        for text in ["on", "off", "yes", "no", "y", "n", "26.10", "1e3", "010", "12:30",
                     "2022-09-07", "0x", "1 2", "True", "NULL"]:
            self.assertEqual(scalar(text), text)

    def test_quoted_scalars_are_text(self) -> None:
        self.assertEqual(load("a: '7'\nb: \"true\"\n"), {"a": "7", "b": "true"})

    def test_places_of_keys_and_items(self) -> None:
        doc = load("rows:\n- {a: 1,\n   b: 2}\n-\n  c: [x,\n      y]\n")
        rows = doc["rows"]
        self.assertEqual(doc.line_of("rows"), 2)
        self.assertEqual([rows.line_of(0), rows.line_of(1)], [3, 6])
        self.assertEqual(rows[0].line_of("b"), 4)
        self.assertEqual(rows[1]["c"].line_of(1), 7)
        self.assertEqual(where(rows[0], "b"), "spec/demo.yaml:4")
        self.assertEqual(where(rows[0]), "spec/demo.yaml:3")


class Collected(unittest.TestCase):
    def test_errors_are_sorted_and_said_once(self) -> None:
        errors = Errors()
        message = Message("no {name}", "a {name}")
        errors.add(Pos("spec/b.yaml", 2), message, name="x")
        errors.add(Pos("spec/b.yaml", 10), message, name="x")
        errors.add(Pos("spec/a.yaml", 99), message, name="x")
        errors.add(Pos("spec/b.yaml", 2), message, name="x")
        self.assertEqual(errors.lines(), ["spec/a.yaml:99: no x: a x", "spec/b.yaml:2: no x: a x",
                                          "spec/b.yaml:10: no x: a x"])


class Schemas(unittest.TestCase):
    def test_every_object_is_closed(self) -> None:
        for path in sorted((ROOT / "gen" / "schema").glob("*.json")):
            schema = json.loads(path.read_text(encoding="utf-8"))
            self._closed(schema, path.name)

    def _closed(self, node: Any, where_: str) -> None:
        if isinstance(node, list):
            for index, item in enumerate(node):
                self._closed(item, f"{where_}[{index}]")
        elif isinstance(node, dict):
            if node.get("type") == "object":
                # False, or a schema for mappings from names to values.
                self.assertIn("additionalProperties", node, where_)
                self.assertIsNot(node["additionalProperties"], True, where_)
            for key, item in node.items():
                self._closed(item, f"{where_}.{key}")


if __name__ == "__main__":
    unittest.main()
