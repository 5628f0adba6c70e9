# SPDX-License-Identifier: ISC
"""What the pieces of a value say together: kinds of segments, and which event a word holds."""

from __future__ import annotations

from gen.tool.article import Part, part
from gen.tool.decode.shape import Piece, Shape
from gen.tool.tables import Tables

_SEGMENTS = ("segattr", "access_rights", "ar")
_EVENTS = ("intr_info", "eventinj", "event")
_EXCEPTION = 3  # on both vendors, as in APM 2 15.20 and SDM 3C 25.8.3

# APM 2 4.8.3, SDM 3A 3.5.
_SYSTEM = {1: "available 16-bit TSS", 2: "LDT", 3: "busy 16-bit TSS", 4: "16-bit call gate",
           5: "task gate", 6: "16-bit interrupt gate", 7: "16-bit trap gate",
           9: "available TSS", 11: "busy TSS", 12: "call gate", 14: "interrupt gate",
           15: "trap gate"}


def context(tables: Tables, shape: Shape, value: int) -> tuple[Part, ...]:
    pieces = {item.name: item for item in shape.pieces}
    if shape.name in _SEGMENTS:
        return part("segment", segment_type(pieces, value))
    if shape.name in _EVENTS and pieces["TYPE"].of(value) == _EXCEPTION:
        vector = pieces["VECTOR"].of(value)
        return part("event", *(f"#{item.name}: {item.doc}" for item in tables.arch.exceptions
                               if item.vector == vector))
    return ()


def segment_type(pieces: dict[str, Piece], value: int) -> str:
    """In a descriptor's words (APM 2 4.7, SDM 3A 3.4.5.1)."""
    kind = pieces["TYPE"].of(value)
    if not pieces["S"].of(value):
        return f"system, {_SYSTEM.get(kind, 'reserved type')}."
    accessed = "accessed" if kind & 1 else "not accessed"
    if kind & 8:
        rights = "readable" if kind & 2 else "execute only"
        return f"code, {rights}, {'conforming, ' if kind & 4 else ''}{accessed}."
    rights = "writable" if kind & 2 else "read only"
    return f"data, {rights}, {'expand down, ' if kind & 4 else ''}{accessed}."
