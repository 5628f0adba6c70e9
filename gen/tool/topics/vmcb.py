# SPDX-License-Identifier: ISC
"""explain vmcb: fields by name and offset, areas and clean bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.vmcb_fields import VmcbField
from gen.tool.article import Article, Part, part, table
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.topics.bits import field_table
from gen.tool.words import FLOW

_SEGMENT = (("0", "selector", "16 bits."), ("2", "attributes", "16 bits, layout segattr."),
            ("4", "limit", "32 bits."), ("8", "base", "64 bits."))


def entries(tables: Tables) -> Iterator[Entry]:
    rows = _field_rows(tables)
    for field in tables.vmcb.fields:
        row = rows[field.name]
        yield Entry("vmcb", field.name, field.doc, partial(_field, tables, field, row),
                    numbers=range(field.offset, field.offset + field.size), row=row)
    for name, row in tables.rows("vmcb_fields", "clean_groups", "group").items():
        yield Entry("vmcb", f"clean.{name}", row["doc"], partial(_group, tables, row), row=row)
    for name, row in tables.rows("vmcb_fields", "areas", "area").items():
        yield Entry("vmcb", f"area.{name}", row["doc"], partial(_area, tables, row), row=row)


def _field_rows(tables: Tables) -> dict[str, Map]:
    found: dict[str, Map] = {}
    for name, row in tables.rows("vmcb_fields", "fields", "field").items():
        for index in range(row.get("repeat", 1)):
            found[name.replace("*", str(index))] = row
    return found


def _field(tables: Tables, field: VmcbField, row: Map) -> Article:
    bits = f"{field.size * 8} bits" if field.scalar else f"{field.size} bytes"
    title = f"{field.name}: VMCB offset {field.offset:#05x}, {bits}"
    parts: list[Part] = []
    parts += part("area", f"{field.area}; {FLOW[field.flow]}.")
    if field.clean:
        bit = next(item.bit for item in tables.vmcb.groups if item.name == field.clean)
        parts += part("clean bit", f"{field.clean}, bit {bit}: whoever writes the field "
                                   "clears it, or the CPU may use the old value.")
    parts += part("register", *_registers(tables, field.name))
    parts += part("value", *(f"{value.value} where the CPU has {value.needs}"
                             for value in tables.controls.values if value.field == field.name))
    parts += table("controls", ("bits", "name", "policy", "meaning"), (
        (str(item.low) if item.low == item.high else f"{item.high}-{item.low}",
         item.name, item.policy, item.doc)
        for item in tables.controls.controls if item.word == field.name))
    if field.segment:
        parts += table("parts", ("offset", "name", "meaning"), _SEGMENT)
    if field.name == "exitcode":
        parts += part("values", "vmmspec explain exit svm CODE")
    if field.layout:
        parts += field_table("bits", tables.layout(field.layout).fields)
    for key in ("info1", "info2"):
        if field.name == f"exit{key}":
            parts += part("layout", *sorted(
                {f"{row.name}: vmmspec explain word {getattr(number, key)}"
                 for number, row in tables.exits.svm if getattr(number, key)}))
    parts += part("manual", field.source)
    parts += part("spec", place(row))
    return Article("vmcb", field.name, title, field.doc, tuple(parts))


def _registers(tables: Tables, field: str) -> Iterator[str]:
    for section, key in (("registers", "register"), ("segments", "segment")):
        for name, row in tables.rows("registers", section, key).items():
            if isinstance(row["svm"], Map) and row["svm"].get("field") == field:
                yield f"{name} of struct vcpu_reg_state (vmmspec explain register {name})"


def _group(tables: Tables, row: Map) -> Article:
    fields = [field.name for field in tables.vmcb.fields if field.clean == row["group"]]
    return Article("vmcb", f"clean.{row['group']}",
                   f"clean.{row['group']}: clean bit {row['bit']} of the VMCB", row["doc"], (
                       *part("fields", ", ".join(fields)), *part("manual", sources(row)),
                       *part("spec", place(row))))


def _area(tables: Tables, row: Map) -> Article:
    title = f"area.{row['area']}: VMCB bytes {row['start']:#05x} to {row['end'] - 1:#05x}"
    fields = [field.name for field in tables.vmcb.fields
              if field.area == row["area"] and not field.reserved]
    return Article("vmcb", f"area.{row['area']}", title, row["doc"], (
        *part("fields", ", ".join(fields)), *part("manual", sources(row)),
        *part("spec", place(row))))
