# SPDX-License-Identifier: ISC
"""What both vendors' CPUs have in common: control bits, exceptions, page-table entries."""

from __future__ import annotations

from collections.abc import Iterator

from gen.html.content import Cell, Page, Row, Section, code, lines, link, listed, text, word
from gen.html.pages.words import fields
from gen.load import Map
from gen.model.arch import Arch, Bits, Word
from gen.spec import Spec

_PARTS = ("table", "leaf", "large", "present", "r", "w", "x", "nx")


def build(spec: Spec) -> Page:
    arch: Arch = spec.model("arch")
    doc = spec.doc("arch")
    rows = {row.get("register", row.get("word")): row
            for row in (*doc["registers"], *doc["words"])}
    return Page("arch", "Architecture", "Bits of control registers and what a guest may do with "
                "them, words that tables hold, exceptions, page-table formats.", (
                    *(_word(item, rows[item.name], guest=True) for item in arch.registers),
                    *(_word(item, rows[item.name], guest=False) for item in arch.words),
                    Section("Rules", ("rules",), ("Of",), tuple(_rules(doc)),
                            ((text("What a value must be as a whole, or the write raises #GP."),),),
                            first="Rule"),
                    Section("Exceptions", ("exceptions",), ("Vector", "Class", "Error code"),
                            tuple(_exception(row) for row in doc["exceptions"])),
                    Section("Memory types", ("memory-types",), ("Value",),
                            tuple(Row("memory-type", (row["type"],), row["type"],
                                      ((code(row["value"]),
                                        text(", PAT only" if "pat_only" in row else "")),),
                                      (text(row["doc"]),), row["source"])
                                  for row in doc["memory_types"])),
                    Section("Second-stage formats", ("formats",), ("Entry", "Bits"),
                            tuple(_format(row) for row in doc["stage2_formats"])),
                ), "arch")


def _word(item: Word, row: Map, guest: bool) -> Section:
    title = item.name.upper()
    columns = ("Field", "Guest") if guest else ("Field",)
    return Section(f"{title}: {item.doc}", (item.name,), columns, fields("bit", item.name, (
        (bits.field, (_policy(bits),) if guest else ()) for bits in item.bits), title),
                   (), "word", "Bits", row["source"], title)


def _policy(bits: Bits) -> Cell:
    host = (text(", in force as the host has it"),) if bits.host else ()
    if bits.feature:
        return (text("CPUID bit "), link("cpuid", bits.feature), *host)
    return ((word(bits.policy), text(", reads as one" if bits.fixed else ""), *host)
            if bits.policy else ())


def _rules(doc: Map) -> Iterator[Row]:
    for register in doc["registers"]:
        name = register["register"]
        for index, row in enumerate(register.get("rules", ()), 1):
            yield Row("rule", (name, index), _rule(row),
                      ((link("word", name, label=name.upper()),),), (text(row["doc"]),),
                      label=f"{name.upper()} rule {index}")


def _rule(row: Map) -> str:
    if "always" in row:
        return f"{row['always']} is 1"
    if "together" in row:
        return " and ".join(row["together"]) + " together"
    return f"{row['if']} needs {row['needs']}"


def _exception(row: Map) -> Row:
    name = row["exception"]
    return Row("exception", (name,), f"#{name}",
               ((code(row["vector"]),), (word(row["class"]),),
                (text("yes" if "error_code" in row else "no"),)), (text(row["doc"]),),
               row["source"], words=(name, f"vector {row['vector']}"))


def _format(row: Map) -> Row:
    parts = [(text(f"{part}: "), *listed(code(bit) for bit in row[part]))
             for part in _PARTS if row[part]]
    if "memory_type" in row:
        parts.append((code(row["memory_type"]["field"]), text(" is "),
                      link("memory-type", row["memory_type"]["type"])))
    return Row("format", (row["format"],), row["format"],
               ((link("word", row["word"], label=row["word"].upper()),), lines(parts)),
               (text(row["doc"]),), row["source"])
