# SPDX-License-Identifier: ISC
"""Words made of bits, as sections; and text about them that several pages need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gen.html.content import Cell, Row, Section, code, lines, text
from gen.model.bits import Field
from gen.model.vmcb_fields import Layout


def fields(kind: str, owner: str, bits: Iterable[tuple[Field, tuple[Cell, ...]]],
           label: str = "") -> tuple[Row, ...]:
    """A row for each field, with the cells that are given besides."""
    return tuple(Row(kind, (owner, field.text), field.text,
                     ((code(field.name) if field.name else text("reserved"),), *cells),
                     lines(((text(field.doc),), *_values(field))),
                     label=f"{label or owner}.{field.name or field.text}",
                     words=(field.name, f"{owner}.{field.text}"))
                 for field, cells in bits)


def _values(field: Field) -> list[Cell]:
    return [(code(value.value), text(" "), code(value.name), text(f": {value.doc}"))
            for value in field.values]


def layout(kind: str, item: Layout, row: Mapping[str, object]) -> Section:
    return Section(item.name, (item.name,), ("Field",),
                   fields(kind.replace("word", "bit"), item.name,
                          ((field, ()) for field in item.fields)),
                   ((text(item.doc),),), kind, "Bits", row["source"], words=(item.name,))
