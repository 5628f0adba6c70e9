# SPDX-License-Identifier: ISC
"""explain cpuid: leaves, registers and bits; 7, 7.0, 7.0.ebx, 7.0.ebx.5, or a bit's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.cpuid import REGISTERS, Leaf, Row
from gen.tool.article import Article, Part, part, table
from gen.tool.numbers import number
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.words import CPUID

_PLACE = re.compile(r"([0-9a-fxA-FX]+)(?:\.([0-9]+))?(?:\.(e[abcd]x))?(?:\.([0-9]+))?\Z", re.I)


def entries(tables: Tables) -> Iterator[Entry]:
    tables.model("cpuid")
    nodes = tables.spec.doc("cpuid")["leaves"]
    for leaf, node in zip(tables.cpuid.leaves, nodes):
        yield Entry("cpuid", leaf_name(leaf), leaf.doc,
                    partial(_leaf, tables, leaf, node, REGISTERS), _aliases(leaf), row=node)
        items = {item["name"]: item for register in REGISTERS for item in node.get(register, ())}
        for row in leaf.rows:
            yield Entry("cpuid", row.name, row.doc,
                        partial(_row, tables, leaf, node, row, items[row.name]),
                        (row.constant, bit_name(leaf, row)), row=items[row.name])


def leaf_name(leaf: Leaf) -> str:
    """7.0, or 0x80000001."""
    text = str(leaf.leaf) if leaf.leaf < 0x100 else f"{leaf.leaf:#x}"
    return text if leaf.any_subleaf else f"{text}.{leaf.subleaf}"


def bit_name(leaf: Leaf, row: Row) -> str:
    bits = str(row.low) if row.single else f"{row.low}-{row.high}"
    return f"{leaf_name(leaf)}.{row.register}.{bits}"


def _aliases(leaf: Leaf) -> tuple[str, ...]:
    return (f"{leaf.leaf:#x}", f"leaf {leaf.leaf:#x}") if leaf.any_subleaf else ()


def sees(row: Row) -> str:
    """What a guest sees of a row."""
    words = CPUID[row.policy].format(value=f"{row.value:#x}")
    return f"{words} ({row.reason})" if row.reason else words


def _leaf(tables: Tables, leaf: Leaf, node: Map, registers: tuple[str, ...]) -> Article:
    parts: list[Part] = []
    if leaf.fixup != "none":
        parts += part("made by", f"fixup {leaf.fixup}, in src/core/cpuid_guest.c")
    for register in registers:
        parts += table(register.upper(), ("bits", "name", "guest", "meaning"), (
            (str(row.low) if row.single else f"{row.high}-{row.low}", row.name, row.policy,
             f"{row.doc} ({row.reason})" if row.reason else row.doc)
            for row in leaf.rows if row.register == register))
    parts += part("other bits", "the guest always sees 0.")
    parts += part("manual", sources(node))
    parts += part("spec", place(node))
    name = leaf_name(leaf)
    subleaf = " (any sub-leaf)" if node.get("subleaf") == "any" else ""
    return Article("cpuid", name, f"CPUID leaf {name}{subleaf}", leaf.doc, tuple(parts))


def _row(tables: Tables, leaf: Leaf, node: Map, row: Row, item: Map) -> Article:
    parts: list[Part] = []
    parts += part("the guest", f"policy {row.policy}: {sees(row)}.")
    if row.state:
        parts += part("needs", f"XCR0 component {row.state}: hidden on a host without it.")
    if row.policy == "synthesise":
        parts += part("made by", f"fixup {leaf.fixup}, in src/core/cpuid_guest.c")
    parts += part("announces", *(f"MSR {name}" for name, msr in
                                 tables.rows("msrs", "msrs", "msr").items()
                                 if msr.get("feature") == row.name))
    parts += part("allows", *_allows(tables, row.name))
    parts += part("manual", sources(node))
    parts += part("spec", place(item))
    return Article("cpuid", row.name, f"{row.name}: CPUID {bit_name(leaf, row)}",
                   row.doc.rstrip(".") + ".", tuple(parts))


def _allows(tables: Tables, name: str) -> Iterator[str]:
    for word in tables.arch.registers:
        for bits in word.bits:
            if bits.feature == name:
                yield f"{word.name.upper()}.{bits.field.name}: {bits.field.doc}"
    for control in tables.controls.vmx.controls:
        if control.row.get("feature") == name:
            yield f"VMX control {control.key} ({control.policy}): {control.doc}"


def missing(tables: Tables, text: str) -> Article | None:
    """Registers of a leaf, and bits and leaves without a row."""
    found = _PLACE.match(text)
    index = number(found[1]) if found else None
    if found is None or index is None or index > 0xFFFFFFFF:
        return None
    subleaf = int(found[2] or 0)
    register, bit = (found[3] or "").lower(), found[4]
    if bit is not None and int(bit) > 31:
        return None
    tables.model("cpuid")
    nodes = tables.spec.doc("cpuid")["leaves"]
    for leaf, node in zip(tables.cpuid.leaves, nodes):
        if leaf.leaf == index and (leaf.any_subleaf or leaf.subleaf == subleaf):
            if bit is not None:
                for row in leaf.rows:
                    if row.register == register and row.low <= int(bit) <= row.high:
                        item = next(item for item in node[register] if item["name"] == row.name)
                        return _row(tables, leaf, node, row, item)
                break
            return _leaf(tables, leaf, node, (register,) if register else REGISTERS)
    what = f"CPUID {text}"
    return Article("cpuid", text, f"{what} has no row", "", (
        *part("the guest", "always sees 0."),
        *part("spec", "spec/cpuid.yaml: a row would say otherwise.")))
