# SPDX-License-Identifier: ISC
"""The VMCS: fields by encoding, and the layouts of VMX's words."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.bits import build_fields
from gen.model.vmcb_fields import Layout
from gen.spec import Spec

TWICE = Message("the name '{name}' stands twice", "rename one, the first is at {place}")
ENCODING_TWICE = Message("'{field}' has the encoding {encoding} of '{other}'",
                         "correct one of them, see {place}")
BAD_WIDTH = Message("'{field}': encoding {encoding} is that of a {real} field, not {width}",
                    "bits 14-13 of the encoding say the width")
BAD_GROUP = Message("'{field}': encoding {encoding} is that of group {real}, not {group}",
                    "bits 11-10 of the encoding say the group")
BAD_ENCODING = Message("'{field}': bits 12 and 0 of encoding {encoding} are not 0",
                       "bit 12 is reserved, bit 0 names the upper half of a 64-bit field")
BAD_ACCESS = Message("'{field}' of group {group} is {access}", "info is ro, all others are rw")
ORDER = Message("'{field}' stands after one with a higher encoding", "keep the manual's order")
NO_LAYOUT = Message("'{field}' names layout '{layout}', which is no layout", "one of {known}")
LAYOUT_WIDTH = Message("'{field}' has {bits} bits but layout '{layout}' has {width}",
                       "make them agree")
LAYOUT_TWICE = Message("layout '{name}' stands twice", "rename one, the first is at {place}")

# By bits 14-13 and 11-10 of an encoding (SDM 3C 25.11.2).
_WIDTHS: tuple[int | str, ...] = (16, 64, 32, "natural")
_GROUPS = ("control", "info", "guest", "host")


@dataclass(frozen=True)
class VmcsField:
    name: str
    encoding: int
    width: int  # natural is 64
    natural: bool
    group: str
    needs: tuple[str, ...]  # controls, WORD.NAME; the field exists with any of them
    doc: str
    row: Map

    @property
    def constant(self) -> str:
        return f"VMCS_{self.name.upper()}"


@dataclass(frozen=True)
class Vmcs:
    layouts: tuple[Layout, ...]
    fields: tuple[VmcsField, ...]

    def field(self, name: str) -> VmcsField | None:
        return next((field for field in self.fields if field.name == name), None)

    @property
    def instruction_errors(self) -> tuple[tuple[int, str], ...]:
        """Number and words of each failure that the CPU reports."""
        return tuple((value.value, value.doc) for layout in self.layouts
                     if layout.name == "instruction_error"
                     for field in layout.fields for value in field.values)


def build(spec: Spec, errors: Errors) -> Vmcs:
    doc = spec.doc("vmcs_fields")
    layouts: dict[str, Layout] = {}
    places: dict[str, Map] = {}
    for row in doc["layouts"]:
        name = row["layout"]
        if name in places:
            errors.add(row, LAYOUT_TWICE, "layout", name=name, place=where(places[name]))
        places.setdefault(name, row)
        layouts[name] = Layout(name, row["width"], row["doc"], build_fields(
            row["bits"], f"layout '{name}'", row["width"], errors))
    fields = tuple(_field(row, layouts, errors) for row in doc["fields"])
    _check_places(fields, errors)
    return Vmcs(tuple(layouts.values()), fields)


def _field(row: Map, layouts: dict[str, Layout], errors: Errors) -> VmcsField:
    name, encoding, width, group = row["field"], row["encoding"], row["width"], row["group"]
    text = f"0x{encoding:04x}"
    real_width, real_group = _WIDTHS[encoding >> 13 & 3], _GROUPS[encoding >> 10 & 3]
    if encoding & 0x1001:
        errors.add(row, BAD_ENCODING, "encoding", field=name, encoding=text)
    if width != real_width:
        errors.add(row, BAD_WIDTH, "width", field=name, encoding=text, width=width,
                   real=real_width)
    if group != real_group:
        errors.add(row, BAD_GROUP, "group", field=name, encoding=text, group=group,
                   real=real_group)
    if (group == "info") != (row["access"] == "ro"):
        errors.add(row, BAD_ACCESS, "access", field=name, group=group, access=row["access"])
    bits = 64 if width == "natural" else width
    layout = row.get("layout")
    if layout is not None and layout not in layouts:
        errors.add(row, NO_LAYOUT, "layout", field=name, layout=layout, known=", ".join(layouts))
    elif layout is not None and layouts[layout].width != bits:
        errors.add(row, LAYOUT_WIDTH, "layout", field=name, bits=bits, layout=layout,
                   width=layouts[layout].width)
    needs = row.get("needs", ())
    return VmcsField(name, encoding, bits, width == "natural", group,
                     (needs,) if isinstance(needs, str) else tuple(needs), row["doc"], row)


def _check_places(fields: tuple[VmcsField, ...], errors: Errors) -> None:
    names: dict[str, Map] = {}
    encodings: dict[int, VmcsField] = {}
    before = -1
    for field in fields:
        if field.name in names:
            errors.add(field.row, TWICE, "field", name=field.name, place=where(names[field.name]))
        names.setdefault(field.name, field.row)
        other = encodings.setdefault(field.encoding, field)
        if other is not field:
            errors.add(field.row, ENCODING_TWICE, "encoding", field=field.name,
                       encoding=f"0x{field.encoding:04x}", other=other.name,
                       place=where(other.row))
        elif field.encoding < before:
            errors.add(field.row, ORDER, "encoding", field=field.name)
        before = field.encoding
