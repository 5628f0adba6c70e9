# SPDX-License-Identifier: ISC
"""explain vmcs: fields by name and encoding, and which controls give them meaning."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.model.vmcs_fields import VmcsField
from gen.tool.article import Article, Part, part, table
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.topics.bits import field_table
from gen.tool.topics.exit import control_text
from gen.tool.words import GROUP


def entries(tables: Tables) -> Iterator[Entry]:
    for field in tables.vmcs.fields:
        numbers = (field.encoding, field.encoding + 1) if _halves(field) else (field.encoding,)
        yield Entry("vmcs", field.name, field.doc, partial(_article, tables, field),
                    (field.constant,), numbers, row=field.row)


def _halves(field: VmcsField) -> bool:
    return field.width == 64 and not field.natural


def _article(tables: Tables, field: VmcsField) -> Article:
    title = f"{field.name}: VMCS field {field.encoding:#06x}, {_width(field)}"
    parts: list[Part] = []
    access = "the CPU writes it" if field.row["access"] == "ro" else "software writes it"
    parts += part("group", f"{field.group}: {GROUP[field.group]}; {access}.")
    if _halves(field):
        parts += part("upper half", f"encoding {field.encoding + 1:#06x}, for 32-bit software.")
    by_key = {control.key: control for control in tables.controls.vmx.controls}
    parts += part("exists with", *(control_text(tables, by_key[need]) for need in field.needs))
    parts += part("register", *registers_in(tables, field.name))
    parts += part("value", *(f"{value.value:#x} while {value.needs.key} is set"
                             for value in tables.controls.vmx.values if value.field is field))
    for word in tables.controls.vmx.words:
        if word.field is field:
            parts += table("bits", ("bits", "name", "policy", "meaning"), (
                (str(item.low) if item.low == item.high else f"{item.high}-{item.low}",
                 item.name, item.policy, item.doc) for item in word.controls))
    if "layout" in field.row:
        parts += field_table("bits", tables.layout(field.row["layout"]).fields)
    if field.name == "exit_reason":
        parts += part("values", "vmmspec explain exit vmx REASON")
    if field.name == "exit_qualification":
        parts += part("layout", *(f"{number.name}: vmmspec explain word {number.qualification}"
                                  for number, _ in tables.exits.vmx if number.qualification))
    parts += part("manual", sources(field.row))
    parts += part("spec", place(field.row))
    return Article("vmcs", field.name, title, field.doc, tuple(parts))


def _width(field: VmcsField) -> str:
    return "natural width (64 bits)" if field.natural else f"{field.width} bits"


def registers_in(tables: Tables, field: str) -> Iterator[str]:
    """Registers of the client's that live in a VMCS field."""
    for name, row in tables.rows("registers", "registers", "register").items():
        if row["vmx"].get("field") == field:
            yield f"{name} of struct vcpu_reg_state (vmmspec explain register {name})"
        elif row["vmx"].get("shadow") == field:
            yield f"{name}, the bits that the guest does not own"
    for name, row in tables.rows("registers", "segments", "segment").items():
        if field in [f"{row['vmx']['fields']}_{part}"
                     for part in ("selector", "base", "limit", "access_rights")]:
            yield f"{name} of struct vcpu_reg_state (vmmspec explain register {name})"
