# SPDX-License-Identifier: ISC
"""Words made of bits: every bit claimed once, from the top to bit 0."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map, Seq

BAD_RANGE = Message("bits '{bits}' of {word} are no range", "HIGH-LOW or one number, below {width}")
BIT_TWICE = Message("bit {bit} of {word} is claimed twice, by '{second}' and by '{first}'",
                    "give it to one of them")
BIT_GAP = Message("bit {bit} of {word} is claimed by nobody", "add it, if need be as reserved")
BIT_ORDER = Message("bits {bits} of {word} stand after lower ones", "go from the top bit to bit 0")
NAMELESS = Message("bits {bits} of {word} have neither a name nor 'reserved: true'",
                   "name and doc, or reserved")
NAME_AND_RESERVED = Message("bits {bits} of {word} are both '{name}' and reserved", "keep one")
NAME_TWICE = Message("{word} has two fields called '{name}'", "rename one, the first is at {place}")
VALUE_TWICE = Message("'{name}' of {word} has two values {value}", "keep one")
VALUE_WIDE = Message("value {value} of '{name}' in {word} does not fit in {width} bits",
                     "at most {limit}")

_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z")


@dataclass(frozen=True)
class Value:
    """A named value of a field."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Field:
    """Bits high..low of a word."""

    name: str  # empty: reserved
    high: int
    low: int
    doc: str
    values: tuple[Value, ...]
    unprefixed: bool  # values are called WORD_VALUE, not WORD_FIELD_VALUE
    row: Map

    @property
    def width(self) -> int:
        return self.high - self.low + 1

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.low

    @property
    def single(self) -> bool:
        return self.width == 1

    @property
    def text(self) -> str:
        return str(self.high) if self.single else f"{self.high}-{self.low}"


def parse_range(text: object, width: int) -> tuple[int, int] | None:
    """(high, low) of '7-4' or 7; None when that makes no sense in `width` bits."""
    found = _RANGE.match(str(text))
    if found is None:
        return None
    high = int(found[1])
    low = int(found[2]) if found[2] is not None else high
    return (high, low) if low <= high < width else None


def mask_of(fields: tuple[Field, ...] | list[Field]) -> int:
    return sum(field.mask for field in fields)


def build_fields(rows: Seq, word: str, width: int, errors: Errors) -> tuple[Field, ...]:
    """The fields of a word, complete and in order; what is not, is in `errors`."""
    fields: list[Field] = []
    owner: dict[int, str] = {}
    names: dict[str, Map] = {}
    for row in rows:
        found = parse_range(row["bits"], width)
        if found is None:
            errors.add(row, BAD_RANGE, "bits", bits=row["bits"], word=word, width=width)
            continue
        field = _field(row, found, word, errors)
        if fields and field.high > fields[-1].low and field.low > fields[-1].high:
            errors.add(row, BIT_ORDER, "bits", bits=field.text, word=word)
        for bit in range(field.high, field.low - 1, -1):
            label = field.name or f"reserved {field.text}"
            if bit in owner:
                errors.add(row, BIT_TWICE, "bits", bit=bit, word=word, second=label,
                           first=owner[bit])
                break
            owner[bit] = label
        if field.name in names:
            errors.add(row, NAME_TWICE, "name", word=word, name=field.name,
                       place=where(names[field.name]))
        elif field.name:
            names[field.name] = row
        fields.append(field)
    for bit in range(width - 1, -1, -1):
        if bit not in owner:
            errors.add(rows, BIT_GAP, bit=bit, word=word)
            break
    return tuple(fields)


def _field(row: Map, bits: tuple[int, int], word: str, errors: Errors) -> Field:
    high, low = bits
    name = str(row.get("name", ""))
    reserved = bool(row.get("reserved", False))
    if not name and not reserved:
        errors.add(row, NAMELESS, bits=row["bits"], word=word)
    if name and reserved:
        errors.add(row, NAME_AND_RESERVED, bits=row["bits"], word=word, name=name)
    values: dict[int, Value] = {}
    for item in row.get("values", ()):
        number = int(item["value"])
        if number >= 1 << (high - low + 1):
            errors.add(item, VALUE_WIDE, "value", value=number, name=name, word=word,
                       width=high - low + 1, limit=(1 << (high - low + 1)) - 1)
        if number in values:
            errors.add(item, VALUE_TWICE, "value", name=name, word=word, value=number)
        values[number] = Value(str(item["name"]), number, str(item["doc"]))
    return Field(name, high, low, str(row.get("doc", "Reserved.")), tuple(values.values()),
                 bool(row.get("unprefixed", False)), row)
