# SPDX-License-Identifier: ISC
"""explain insn: the instructions that driver and monitor know, and prefixes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.tool.article import Article, part, table
from gen.tool.tables import Entry, Tables, place, sources


def entries(tables: Tables) -> Iterator[Entry]:
    for part_of in ("instructions", "memory_instructions"):
        for name, row in tables.rows("insns", part_of, "insn").items():
            yield Entry("insn", name, row["doc"], partial(_insn, tables, row), (f"insn_{name}",),
                        row=row)
    for row in tables.rows("insns", "prefixes", "prefix").values():
        yield Entry("insn", f"prefix.{row['prefix']:02x}", row["doc"], partial(_prefix, row),
                    row=row)


def _insn(tables: Tables, row: Map) -> Article:
    name = row["insn"]
    exits = [item.name for item in tables.exits.exits if f"INSN_{name.upper()}" in item.insns]
    return Article("insn", name, f"instruction {name.upper()}", row["doc"], (
        *table("forms", ("opcode", "when"), ((form["opcode"], _when(form))
                                             for form in row["forms"])),
        *part("decoded at", *(f"exit {item} (vmmspec explain exit {item})" for item in exits)),
        *part("manual", sources(row)), *part("spec", place(row))))


def _when(form: Map) -> str:
    said = []
    for key, value in form.items():
        if key == "opcode":
            continue
        shown = " or ".join(str(item) for item in value) if isinstance(value, list) else value
        said.append(f"{key} {shown}")
    return ", ".join(said)


def _prefix(row: Map) -> Article:
    long_mode = f"In 64-bit mode it is {row['long_mode']}." if "long_mode" in row else ""
    return Article("insn", f"prefix.{row['prefix']:02x}",
                   f"prefix.{row['prefix']:02x}: prefix byte {row['prefix']:#04x}", row["doc"], (
                       *part("effect", row["effect"].replace("_", " ") + ".", long_mode),
                       *part("manual", sources(row)), *part("spec", place(row))))
