# SPDX-License-Identifier: ISC
"""explain word and explain exception: words with structure that are no registers, and vectors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.arch import Word
from gen.model.vmcb_fields import Layout
from gen.tool.article import Article, part
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.topics.bits import field_table


def entries(tables: Tables) -> Iterator[Entry]:
    for file, layouts in (("vmcs_fields", tables.vmcs.layouts), ("vmcb_fields",
                                                                 tables.vmcb.layouts)):
        rows = tables.rows(file, "layouts", "layout")
        for layout in layouts:
            yield Entry("word", layout.name, layout.doc,
                        partial(_layout, tables, layout, rows[layout.name]), row=rows[layout.name])
    rows = tables.rows("arch", "words", "word")
    for word in tables.arch.words:
        yield Entry("word", word.name, word.doc, partial(_word, word, rows[word.name]),
                    row=rows[word.name])
    for name, row in tables.rows("arch", "stage2_formats", "format").items():
        yield Entry("word", f"format.{name}", row["doc"], partial(_format, row), row=row)
    for name, row in tables.rows("arch", "memory_types", "type").items():
        yield Entry("word", f"memory_type.{name}", row["doc"], partial(_memory, row), row=row)


def exception_entries(tables: Tables) -> Iterator[Entry]:
    for name, row in tables.rows("arch", "exceptions", "exception").items():
        yield Entry("exception", name, row["doc"], partial(_exception, tables, row),
                    (f"#{name}", f"exc_{name}"), (row["vector"],), row=row)


def _layout(tables: Tables, layout: Layout, row: Map) -> Article:
    return Article("word", layout.name, f"word {layout.name}, {layout.width} bits", layout.doc, (
        *part("used by", *_users(tables, layout.name)), *field_table("bits", layout.fields),
        *part("manual", sources(row)), *part("spec", place(row))))


def _users(tables: Tables, name: str) -> Iterator[str]:
    for vmcs in tables.vmcs.fields:
        if vmcs.row.get("layout") == name:
            yield f"VMCS field {vmcs.name}"
    for field in tables.vmcb.fields:
        if field.layout == name:
            yield f"VMCB field {field.name}"
    uses = [(number.qualification, "exit qualification", row.name)
            for number, row in tables.exits.vmx]
    uses += [(number.qualification, "exit qualification", row.name)
             for number, row in tables.exits.vmx_vectors]
    uses += [(number.info1, "EXITINFO1", row.name) for number, row in tables.exits.svm]
    uses += [(number.info2, "EXITINFO2", row.name) for number, row in tables.exits.svm]
    for layout, what, row in dict.fromkeys(uses):
        if layout == name:
            yield f"{what} of exit {row}"


def _word(word: Word, row: Map) -> Article:
    return Article("word", word.name, f"word {word.name}, {word.width} bits", word.doc, (
        *field_table("bits", (bits.field for bits in word.bits)), *part("manual", sources(row)),
        *part("spec", place(row))))


def _format(row: Map) -> Article:
    def names(key: str) -> str:
        return ", ".join(row[key]) or "nothing"

    kept = [f"{label}: {names(key)}" for key, label in (
        ("table", "an entry that leads to a table"), ("leaf", "an entry that maps a page"),
        ("large", "and a large page besides"), ("r", "to read"), ("w", "to write"),
        ("x", "to execute"), ("nx", "not to execute"), ("present", "not empty"))]
    if "memory_type" in row:
        kept.append(f"{row['memory_type']['field']}: {row['memory_type']['type']}")
    return Article("word", f"format.{row['format']}",
                   f"format.{row['format']}: second stage, word {row['word']}", row["doc"], (
                       *part("bits", *kept), *part("manual", sources(row)),
                       *part("spec", place(row))))


def _memory(row: Map) -> Article:
    only = "In PAT bytes only, not in EPT entries." if "pat_only" in row else ""
    return Article("word", f"memory_type.{row['type']}",
                   f"memory_type.{row['type']}: encoding {row['value']}", row["doc"], (
                       *part("where", only), *part("manual", sources(row)),
                       *part("spec", place(row))))


def _exception(tables: Tables, row: Map) -> Article:
    code = "pushes an error code" if "error_code" in row else "pushes no error code"
    name = row["exception"]
    injected = [item.name for item in tables.exits.exits
                if item.action == "inject" and item.vector == row["vector"]]
    return Article("exception", name, f"#{name}: vector {row['vector']}", row["doc"], (
        *part("delivery", f"{code}; of class {row['class'].replace('_', ' ')}, when two come "
                          "together."),
        *part("raised by", ", ".join(f"exit {item}" for item in injected)),
        *part("manual", sources(row)), *part("spec", place(row))))
