# SPDX-License-Identifier: ISC
"""decode vmcb and decode vmcs: whole dumps, field by field."""

from __future__ import annotations

from collections.abc import Iterator

from gen.model.vmcb_fields import VmcbField
from gen.model.vmcs_fields import VmcsField
from gen.tool.article import Article, Part, part, table
from gen.tool.decode import dump
from gen.tool.decode.shape import (Shape, control_shape, field_shape, inline, shapes,
                                   unlike, wrong)
from gen.tool.numbers import hexadecimal, near, number
from gen.tool.tables import Tables, ToolError

_GROUPS = ("info", "control", "guest", "host")


def vmcb(tables: Tables, name: str, everything: bool) -> Article:
    page = dump.page(name)
    known = shapes(tables)
    code = _number(tables, page, "exitcode")
    known.update(_details(tables, known, code))
    parts: list[Part] = []
    for area in tables.vmcb.areas:
        rows = [(f"{field.offset:#05x}", field.name, *_shown(field, page, known, tables))
                for field in tables.vmcb.fields
                if field.area == area.name and not field.reserved
                and (everything or any(_bytes(field, page)))]
        parts += table(area.name, ("offset", "name", "value", "meaning"), rows)
    parts += part("wrong", *_vmcb_wrong(tables, page, known))
    parts += part("unlike", *(f"{word.word}: {text}" for word in tables.controls.words
                              for text in unlike(control_shape(tables, word.word),
                                                 _number(tables, page, word.word))))
    return Article("vmcb", name, f"VMCB {name}", _left_for(tables, "svm", code), tuple(parts))


def _bytes(field: VmcbField, page: bytes) -> bytes:
    return page[field.offset:field.offset + field.size]


def _number(tables: Tables, page: bytes, name: str) -> int:
    field = tables.vmcb.field(name)
    assert field is not None
    return int.from_bytes(_bytes(field, page), "little")


def _details(tables: Tables, known: dict[str, Shape], code: int) -> dict[str, Shape]:
    """The shapes of EXITINFO1 and EXITINFO2 for this exit."""
    found: dict[str, Shape] = {}
    for item, _ in tables.exits.svm:
        if item.value == code:
            for layout, name in ((item.info1, "exitinfo1"), (item.info2, "exitinfo2")):
                if layout:
                    found[name] = known[layout]
    return found


def _left_for(tables: Tables, vendor: str, code: int) -> str:
    """The exit of the dump."""
    for item, row in tables.exits.svm if vendor == "svm" else tables.exits.vmx:
        if item.value == code:
            return f"Left for {item.name}, exit {row.name}: {row.doc}"
    return f"Left for {code:#x}, which is no exit."


def _shown(field: VmcbField, page: bytes, known: dict[str, Shape],
           tables: Tables) -> tuple[str, str]:
    """The value and its meaning."""
    raw = _bytes(field, page)
    if field.segment:
        return _segment(raw, known["segattr"])
    if not field.scalar:
        return f"{len(raw)} bytes", raw.rstrip(b"\0").hex(" ") if field.size <= 16 else field.doc
    value = int.from_bytes(raw, "little")
    shape = field_shape(tables, known, field.name)
    text = inline(shape, value) if shape is not None else field.doc
    if field.name == "exitcode":
        text = next((item.name for item, _ in tables.exits.svm if item.value == value), text)
    return hexadecimal(value), text


def _segment(raw: bytes, shape: Shape) -> tuple[str, str]:
    attributes = int.from_bytes(raw[2:4], "little")
    limit, base = int.from_bytes(raw[4:8], "little"), int.from_bytes(raw[8:16], "little")
    return (hexadecimal(int.from_bytes(raw[:2], "little")),
            f"base {base:#x} limit {limit:#x} attributes {attributes:#x}: "
            f"{inline(shape, attributes)}")


def _vmcb_wrong(tables: Tables, page: bytes, known: dict[str, Shape]) -> Iterator[str]:
    for field in tables.vmcb.fields:
        raw = _bytes(field, page)
        if field.reserved and any(raw):
            at = field.offset + next(index for index, byte in enumerate(raw) if byte)
            yield f"{field.name}: reserved byte {at:#05x} is not 0"
        elif field.scalar and not field.reserved:
            shape = field_shape(tables, known, field.name)
            for text in wrong(shape, int.from_bytes(raw, "little")) if shape is not None else ():
                yield f"{field.name}: {text}"


def vmcs(tables: Tables, name: str, everything: bool) -> Article:
    values = _vmcs_values(tables, name)
    known = shapes(tables)
    reason = next((value & 0xFFFF for field, value in values
                   if field.name == "exit_reason"), None)
    for item, _ in tables.exits.vmx:
        if item.value == reason and item.qualification:
            known["exit_qualification"] = known[item.qualification]
    parts: list[Part] = []
    for group in _GROUPS:
        rows = [(f"{field.encoding:#06x}", field.name, hexadecimal(value),
                 _vmcs_words(tables, known, field, value))
                for field, value in values
                if field.group == group and (everything or value)]
        parts += table(group, ("encoding", "name", "value", "meaning"), rows)
    parts += part("wrong", *_vmcs_wrong(tables, known, values))
    parts += part("unlike", *(f"{field.name}: {text}" for field, value in values
                              if field.name in known
                              for text in unlike(known[field.name], value)))
    doc = _left_for(tables, "vmx", reason) if reason is not None else ""
    return Article("vmcs", name, f"VMCS {name}", doc, tuple(parts))


def _vmcs_values(tables: Tables, name: str) -> list[tuple[VmcsField, int]]:
    by_name = {field.name: field for field in tables.vmcs.fields}
    by_encoding = {field.encoding: field for field in tables.vmcs.fields}
    found: dict[str, int] = {}
    for line, word, value in dump.pairs(name):
        encoding = number(word if word.lower().startswith("0x") or not word[0].isdigit()
                          else f"0x{word}")
        key = word.lower().removeprefix("vmcs_")
        field = by_encoding.get(encoding & ~1) if encoding is not None else by_name.get(key)
        if field is None or (encoding is not None and encoding & 1 and field.width != 64):
            nearest = near(key, by_name) if encoding is None else []
            hint = f"; near it: {', '.join(nearest)}" if nearest else ""
            raise ToolError(f"{name}:{line}: no VMCS field {word}{hint}")
        if value >> (32 if encoding is not None and encoding & 1 else field.width):
            raise ToolError(f"{name}:{line}: {value:#x} does not fit in {field.name}, "
                            f"{field.width} bits")
        shift = 32 if encoding is not None and encoding & 1 else 0
        found[field.name] = found.get(field.name, 0) | value << shift
    return sorted(((by_name[key], value) for key, value in found.items()),
                  key=lambda pair: pair[0].encoding)


def _vmcs_words(tables: Tables, known: dict[str, Shape], field: VmcsField, value: int) -> str:
    shape = field_shape(tables, known, field.name)
    if shape is None:
        return field.doc
    text = inline(shape, value)
    if field.name == "exit_reason":
        names = [item.name for item, _ in tables.exits.vmx if item.value == value & 0xFFFF]
        text = " ".join([text, *names])
    return text or "0"


def _vmcs_wrong(tables: Tables, known: dict[str, Shape],
                values: list[tuple[VmcsField, int]]) -> Iterator[str]:
    for field, value in values:
        shape = field_shape(tables, known, field.name)
        for text in wrong(shape, value) if shape is not None else ():
            yield f"{field.name}: {text}"
