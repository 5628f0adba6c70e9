# SPDX-License-Identifier: ISC
"""Words made of named bits, wherever the spec describes them, and values taken apart by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gen.model.arch import Word
from gen.model.bits import Field
from gen.tool.article import Part, part, table
from gen.tool.numbers import hexadecimal
from gen.tool.tables import Tables
from gen.tool.topics.bits import guest_word
from gen.tool.topics.register import rule_text


@dataclass(frozen=True)
class Piece:
    """Bits high..low."""

    high: int
    low: int
    name: str  # empty: reserved
    doc: str
    values: tuple[tuple[int, str, str], ...] = ()  # number, name, meaning
    note: str = ""  # policy, or what a guest may do
    fixed: bool = False  # reads as 1

    @property
    def bits(self) -> str:
        return str(self.low) if self.high == self.low else f"{self.high}-{self.low}"

    @property
    def mask(self) -> int:
        return ((1 << (self.high - self.low + 1)) - 1) << self.low

    def of(self, value: int) -> int:
        return (value & self.mask) >> self.low


@dataclass(frozen=True)
class Shape:
    """A word."""

    name: str
    width: int
    doc: str
    pieces: tuple[Piece, ...]
    notes: str = ""  # what the notes of the pieces are about
    word: Word | None = None  # with rules of its own

    def reserved(self, value: int) -> int:
        """Bits of the value that should not be set."""
        return value & sum(item.mask for item in self.pieces if not item.name and not item.fixed)


def shapes(tables: Tables) -> dict[str, Shape]:
    """Every word by its name; then control words by the field that holds them."""
    found: dict[str, Shape] = {}
    for word in tables.arch.everything:
        found[word.name] = _register(word)
    for layout in (*tables.vmcs.layouts, *tables.vmcb.layouts):
        found.setdefault(layout.name, Shape(layout.name, layout.width, layout.doc, tuple(
            _piece(item, item.name) for item in layout.fields)))
    for vmx in tables.controls.vmx.words:
        shape = Shape(vmx.name, vmx.field.width, vmx.field.doc, tuple(
            Piece(item.high, item.low, item.name, item.doc, note=item.policy)
            for item in reversed(vmx.controls)), "policy")
        found[vmx.name] = found[vmx.field.name] = shape
    for setting in tables.controls.words:
        home = tables.vmcb.field(setting.word)
        if home is not None and not home.layout:
            found[setting.word] = control_shape(tables, setting.word)
    return found


def control_shape(tables: Tables, word: str) -> Shape:
    """An SVM word as controls."""
    home = tables.vmcb.field(word)
    assert home is not None
    mine = [item for item in tables.controls.controls if item.word == word]
    return Shape(word, home.size * 8, home.doc, tuple(
        Piece(item.high, item.low, item.name, item.doc, note=item.policy)
        for item in sorted(mine, key=lambda control: -control.low)), "policy")


def field_shape(tables: Tables, known: dict[str, Shape], name: str) -> Shape | None:
    """The word that a field of the VMCS or the VMCB holds."""
    if name in known:
        return known[name]
    vmcs, vmcb = tables.vmcs.field(name), tables.vmcb.field(name)
    if vmcs is not None and "layout" in vmcs.row:
        return known[vmcs.row["layout"]]
    if vmcb is not None and vmcb.layout:
        return known[vmcb.layout]
    if name == "clean":
        pieces = tuple(Piece(item.bit, item.bit, item.name, item.doc)
                       for item in reversed(tables.vmcb.groups))
        top = tables.vmcb.groups[-1].bit
        return Shape(name, 32, "Groups that did not change.", (Piece(31, top + 1, "", ""), *pieces))
    register = name.removeprefix("guest_").removeprefix("host_").removeprefix("ia32_")
    return known.get(register) if vmcs is not None and register in (
        "cr0", "cr3", "cr4", "efer", "dr7", "rflags") else None


def _piece(item: Field, name: str) -> Piece:
    return Piece(item.high, item.low, name, item.doc,
                 tuple((value.value, value.name, value.doc) for value in item.values))


def _register(word: Word) -> Shape:
    pieces = tuple(Piece(bits.field.high, bits.field.low, bits.field.name, bits.field.doc,
                         note=guest_word(bits), fixed=bits.fixed) for bits in word.bits)
    notes = "guest" if any(item.note for item in pieces) else ""
    return Shape(word.name, word.width, word.doc, pieces, notes, word if word.rules else None)


def taken_apart(shape: Shape, value: int, everything: bool = False) -> Iterator[Part]:
    """The value, piece by piece."""
    notes = (shape.notes,) if shape.notes else ()
    yield from table("bits", ("bits", "name", "value", *notes, "meaning"), (
        (item.bits, item.name or "(reserved)", _number(item, value),
         *((item.note,) if notes else ()), _words(item, value))
        for item in shape.pieces if _shown(item, value, everything)))
    if not everything:
        yield from part("clear", ", ".join(item.name for item in shape.pieces
                                           if item.name and not item.values
                                           and not item.of(value)))
    yield from part("wrong", *wrong(shape, value))


def _shown(item: Piece, value: int, everything: bool) -> bool:
    if everything:
        return bool(item.name)
    return item.of(value) != 0 and (bool(item.name) or not item.fixed) or bool(item.values)


def _number(item: Piece, value: int) -> str:
    return hexadecimal(item.of(value)) if item.high != item.low else str(item.of(value))


def _words(item: Piece, value: int) -> str:
    """What a piece says; of a field with named values, the name."""
    text = item.doc if item.name else "Reserved."
    if item.values:
        text = next((f"{name}: {doc}" for number, name, doc in item.values
                     if number == item.of(value)), f"{item.doc} No such value.")
    return text


def wrong(shape: Shape, value: int) -> Iterator[str]:
    """What no CPU would hold, and which rules of the register the value breaks."""
    bad = shape.reserved(value)
    if bad:
        yield f"reserved bits are set: {bad:#x}"
    word = shape.word
    for rule in word.rules if word is not None else ():
        broken = (rule.always & ~value
                  or (rule.condition and value & rule.condition and rule.needs & ~value)
                  or (rule.together and value & rule.together not in (0, rule.together)))
        if broken and word is not None:
            yield rule_text(word, rule)


def unlike(shape: Shape, value: int) -> Iterator[str]:
    """Where a word of controls is not what the driver would have written."""
    clear = [item.name for item in shape.pieces if item.note == "required" and item.mask & ~value]
    extra = [item.name for item in shape.pieces if item.note == "refused" and item.mask & value]
    if clear:
        yield f"always set by the driver, clear here: {', '.join(clear)}"
    if extra:
        yield f"never set by the driver, set here: {', '.join(extra)}"


def inline(shape: Shape, value: int) -> str:
    """The value on one line: names of bits that are set, NAME=value of wider fields."""
    said = []
    for item in shape.pieces:
        number = item.of(value)
        named = next((name for known, name, _ in item.values if known == number), "")
        if item.name and (named or number):
            if item.high == item.low:
                said.append(item.name)
            else:
                said.append(f"{item.name}={named or hexadecimal(number)}")
    if shape.reserved(value):
        said.append(f"reserved bits {shape.reserved(value):#x}")
    return " ".join(said)
