# SPDX-License-Identifier: ISC
"""Tables of the bits of a word, which several topics print."""

from __future__ import annotations

from collections.abc import Iterable

from gen.model.arch import Bits
from gen.model.bits import Field
from gen.tool.article import Part, table
from gen.tool.words import GUEST_BIT

COLUMNS = ("bits", "name", "meaning")
_SHORT = {"free": "free", "refused": "#GP", "ignored": "ignored", "": ""}


def meaning(field: Field) -> str:
    """The words of a field and of its values."""
    values = ", ".join(f"{item.value} {item.name} ({item.doc.rstrip('.')})"
                       for item in field.values)
    return f"{field.doc} {values}." if values else field.doc


def field_table(label: str, fields: Iterable[Field]) -> tuple[Part, ...]:
    """Reserved bits are left out."""
    return table(label, COLUMNS, ((item.text, item.name, meaning(item))
                                  for item in fields if item.name))


def guest_may(bits: Bits) -> str:
    """What a guest may do with the bits of a register; empty for a word that is none."""
    words = GUEST_BIT.get(bits.policy, "").format(feature=bits.feature)
    if words and bits.host:
        return f"{words}; in force is what the host has"
    return f"{words}; reads as 1" if words and bits.fixed else words


def register_table(label: str, bits: Iterable[Bits]) -> tuple[Part, ...]:
    """With what a guest may do, in a column of its own."""
    return table(label, ("bits", "name", "guest", "meaning"), (
        (item.field.text, item.field.name or "(reserved)", guest_word(item),
         meaning(item.field) if item.field.name else "")
        for item in bits if item.field.name or item.policy))


def guest_word(bits: Bits) -> str:
    """guest_may() in a word."""
    return f"if {bits.feature}" if bits.feature else _SHORT[bits.policy]
