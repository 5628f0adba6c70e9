# SPDX-License-Identifier: ISC
"""Instructions that the driver steps over or emulates, and those of the monitor."""

from __future__ import annotations

from gen.html.content import Cell, Page, Row, Section, code, lines, text
from gen.load import Map
from gen.spec import Spec

# What else a form says, in the order in which it is shown.
_KEYS = ("rm", "prefix", "modes", "vex", "size", "memory", "operands", "registers", "lock", "rex_b",
         "segment")


def build(spec: Spec) -> Page:
    doc = spec.doc("insns")
    return Page("insns", "Instructions", "What the driver steps over or emulates, for CPUs that "
                "tell neither the next RIP nor the instruction; and what the monitor emulates "
                "where a guest uses memory that is not there. Nothing else is decoded.", (
                    Section("Instructions", ("instructions",), ("Forms",),
                            tuple(_insn(row) for row in doc["instructions"])),
                    Section("Instructions of the monitor", ("memory_instructions",), ("Forms",),
                            tuple(_insn(row) for row in doc["memory_instructions"])),
                    Section("Prefixes", ("prefixes",), ("Effect",),
                            tuple(_prefix(row) for row in doc["prefixes"])),
                ), "insns")


def _insn(row: Map) -> Row:
    return Row("insn", (row["insn"],), row["insn"],
               (lines(_form(form) for form in row["forms"]),), (text(row["doc"]),), row["source"])


def _form(form: Map) -> Cell:
    more = "; ".join(f"{key} {_words(form[key])}" for key in _KEYS if key in form)
    return (code(form["opcode"]), text(f" ({more})" if more else ""))


def _words(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _prefix(row: Map) -> Row:
    effect = row["effect"].replace("_", " ")
    if "segment" in row:
        effect += f" {row['segment'].upper()}, in 64-bit mode {row['long_mode']}"
    name = f"{row['prefix']:02X}"
    return Row("prefix", (name,), name, ((text(effect),),), (text(row["doc"]),), row["source"],
               words=(f"0x{row['prefix']:x}",))
