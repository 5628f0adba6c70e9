# SPDX-License-Identifier: ISC
"""The VMCB: fields, clean groups, word layouts."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.bits import Field, build_fields
from gen.spec import Spec

AREA_SHAPE = Message("area '{area}' is no part of the page that follows the one before",
                     "areas in order, from 0x000 to 0x1000 without a gap")
OVERLAP = Message("'{field}' overlaps '{other}' at byte {byte}", "move one of them, see {place}")
GAP = Message("bytes {start} to {end} belong to no field", "add them, if need be as reserved")
OUTSIDE = Message("'{field}' leaves the area '{area}'", "areas and fields of appendix B agree")
ORDER = Message("'{field}' stands after a field with a higher offset", "keep the manual's order")
TWICE = Message("the name '{name}' stands twice", "rename one, the first is at {place}")
ALIGNMENT = Message("'{field}' at {offset} is not aligned to its size {size}", "check both numbers")
NO_GROUP = Message("'{field}' names clean group '{group}', which is no group", "one of {known}")
NO_LAYOUT = Message("'{field}' names layout '{layout}', which is no layout", "one of {known}")
LAYOUT_WIDTH = Message("'{field}' has {bits} bits but layout '{layout}' has {width}",
                       "make them agree")
GROUP_TWICE = Message("clean bit {bit} has two groups", "keep one, the first is at {place}")
CLEAN_RESERVED = Message("'{field}' is reserved and has '{key}'", "drop the key")
SEG_SIZE = Message("'{field}' is a segment of {size} bytes", "segments have 16")
REPEAT_STAR = Message("'{field}': a repeated field has one * in its name and a stride",
                      "name_*, repeat and stride together, or none")

PAGE = 4096
_SCALARS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}


@dataclass(frozen=True)
class Area:
    name: str
    start: int
    end: int
    doc: str


@dataclass(frozen=True)
class Group:
    name: str
    bit: int
    doc: str


@dataclass(frozen=True)
class Layout:
    name: str
    width: int
    doc: str
    fields: tuple[Field, ...]

    @property
    def suffix(self) -> str:
        return "ULL" if self.width > 32 else "u"


@dataclass(frozen=True)
class VmcbField:
    name: str
    offset: int
    size: int
    segment: bool
    flow: str
    clean: str  # group, or empty
    layout: str
    area: str
    doc: str
    source: str

    @property
    def reserved(self) -> bool:
        return self.flow == "reserved"

    @property
    def scalar(self) -> bool:
        return self.size in _SCALARS and not self.segment

    @property
    def c_type(self) -> str:
        return "struct vmcb_seg" if self.segment else _SCALARS.get(self.size, "uint8_t")

    @property
    def declaration(self) -> str:
        if self.segment or (self.scalar and not self.reserved):
            return f"{self.c_type} {self.name}"
        return f"uint8_t {self.name}[{self.size}]"


@dataclass(frozen=True)
class Vmcb:
    areas: tuple[Area, ...]
    groups: tuple[Group, ...]
    layouts: tuple[Layout, ...]
    fields: tuple[VmcbField, ...]

    @property
    def clean_mask(self) -> int:
        return sum(1 << group.bit for group in self.groups)

    def field(self, name: str) -> VmcbField | None:
        return next((field for field in self.fields if field.name == name), None)

    def layout(self, name: str) -> Layout | None:
        return next((layout for layout in self.layouts if layout.name == name), None)

    @property
    def segments(self) -> tuple[VmcbField, ...]:
        return tuple(field for field in self.fields if field.segment)

    @property
    def scalars(self) -> tuple[VmcbField, ...]:
        return tuple(field for field in self.fields if field.scalar and not field.reserved)

    @property
    def arrays(self) -> tuple[VmcbField, ...]:
        return tuple(field for field in self.fields
                     if not field.scalar and not field.segment and not field.reserved)


def build(spec: Spec, errors: Errors) -> Vmcb:
    doc = spec.doc("vmcb_fields")
    areas = _areas(doc, errors)
    groups = _groups(doc, errors)
    layouts = tuple(Layout(row["layout"], row["width"], row["doc"],
                           build_fields(row["bits"], f"layout '{row['layout']}'", row["width"],
                                        errors))
                    for row in doc["layouts"])
    return Vmcb(areas, groups, layouts, _fields(doc, areas, groups, layouts, errors))


def _areas(doc: Map, errors: Errors) -> tuple[Area, ...]:
    areas: list[Area] = []
    at = 0
    for row in doc["areas"]:
        if row["start"] != at or row["end"] <= at or row["end"] > PAGE:
            errors.add(row, AREA_SHAPE, area=row["area"])
        at = row["end"]
        areas.append(Area(row["area"], row["start"], row["end"], row["doc"]))
    if at != PAGE:
        errors.add(doc["areas"][-1], AREA_SHAPE, area=areas[-1].name)
    return tuple(areas)


def _groups(doc: Map, errors: Errors) -> tuple[Group, ...]:
    seen: dict[int, Map] = {}
    for row in doc["clean_groups"]:
        if row["bit"] in seen:
            errors.add(row, GROUP_TWICE, "bit", bit=row["bit"], place=where(seen[row["bit"]]))
        seen[row["bit"]] = row
    return tuple(Group(row["group"], row["bit"], row["doc"]) for row in doc["clean_groups"])


def _fields(doc: Map, areas: tuple[Area, ...], groups: tuple[Group, ...],
            layouts: tuple[Layout, ...], errors: Errors) -> tuple[VmcbField, ...]:
    known = {layout.name: layout for layout in layouts}
    found: list[tuple[VmcbField, Map]] = []
    for row in doc["fields"]:
        _check_row(row, groups, known, errors)
        for field in _expand(row, areas, errors):
            found.append((field, row))
    _check_order(found, errors)
    found.sort(key=lambda pair: pair[0].offset)
    _check_bytes(found, areas, errors)
    _check_names(found, errors)
    return tuple(field for field, _ in found)


def _expand(row: Map, areas: tuple[Area, ...], errors: Errors) -> list[VmcbField]:
    name = row["field"]
    count = row.get("repeat", 1)
    repeated = [key in row for key in ("repeat", "stride")]
    if any(repeated) != all(repeated) or name.count("*") != (1 if any(repeated) else 0):
        errors.add(row, REPEAT_STAR, field=name)
        count = 1
    fields = []
    for index in range(count):
        offset = row["offset"] + index * row.get("stride", 0)
        area = next((area for area in areas if area.start <= offset < area.end), None)
        full = name.replace("*", str(index))
        if area is None or offset + row["size"] > area.end:
            errors.add(row, OUTSIDE, "offset", field=full,
                       area=area.name if area else areas[-1].name)
        fields.append(VmcbField(full, offset, row["size"], row.get("type") == "seg", row["flow"],
                                row.get("clean", ""), row.get("layout", ""),
                                area.name if area else "", row["doc"], row["source"]))
    return fields


def _check_row(row: Map, groups: tuple[Group, ...], layouts: dict[str, Layout],
               errors: Errors) -> None:
    name, size = row["field"], row["size"]
    for key in ("clean", "layout", "type"):
        if row["flow"] == "reserved" and key in row:
            errors.add(row, CLEAN_RESERVED, key, field=name, key=key)
    if row.get("type") == "seg" and size != 16:
        errors.add(row, SEG_SIZE, "size", field=name, size=size)
    if size in _SCALARS and row["flow"] != "reserved" and row["offset"] % size:
        errors.add(row, ALIGNMENT, "offset", field=name, offset=f"0x{row['offset']:03x}", size=size)
    group = row.get("clean")
    if group is not None and group not in [item.name for item in groups]:
        errors.add(row, NO_GROUP, "clean", field=name, group=group,
                   known=", ".join(item.name for item in groups))
    layout = row.get("layout")
    if layout is not None and layout not in layouts:
        errors.add(row, NO_LAYOUT, "layout", field=name, layout=layout, known=", ".join(layouts))
    elif layout is not None and layouts[layout].width != size * 8:
        errors.add(row, LAYOUT_WIDTH, "layout", field=name, bits=size * 8, layout=layout,
                   width=layouts[layout].width)


def _check_order(found: list[tuple[VmcbField, Map]], errors: Errors) -> None:
    highest = -1
    for field, row in found:
        if "repeat" in row:
            continue
        if field.offset < highest:
            errors.add(row, ORDER, "offset", field=field.name)
        highest = max(highest, field.offset)


def _check_bytes(found: list[tuple[VmcbField, Map]], areas: tuple[Area, ...],
                 errors: Errors) -> None:
    at = 0
    last: tuple[VmcbField, Map] | None = None
    for field, row in found:
        if last is not None and field.offset < at:
            errors.add(row, OVERLAP, "offset", field=field.name, other=last[0].name,
                       byte=f"0x{field.offset:03x}", place=where(last[1]))
        elif field.offset > at:
            errors.add(row, GAP, "offset", start=f"0x{at:03x}", end=f"0x{field.offset - 1:03x}")
        if field.offset + field.size >= at:
            at = field.offset + field.size
            last = (field, row)
    if at < PAGE and last is not None:
        errors.add(last[1], GAP, start=f"0x{at:03x}", end=f"0x{PAGE - 1:03x}")


def _check_names(found: list[tuple[VmcbField, Map]], errors: Errors) -> None:
    seen: dict[str, Map] = {}
    for field, row in found:
        if field.name in seen:
            errors.add(row, TWICE, "field", name=field.name, place=where(seen[field.name]))
        seen.setdefault(field.name, row)
