# SPDX-License-Identifier: ISC
"""The VMCB, byte by byte."""

from __future__ import annotations

from gen.html.content import Cell, Page, Row, Section, code, link, number, text, word
from gen.html.pages.words import layout
from gen.model.vmcb_fields import Vmcb, VmcbField
from gen.spec import Spec


def build(spec: Spec) -> Page:
    vmcb: Vmcb = spec.model("vmcb_fields")
    doc = spec.doc("vmcb_fields")
    areas = {row["area"]: row for row in doc["areas"]}
    layouts = {row["layout"]: row for row in doc["layouts"]}
    return Page("vmcb", "VMCB fields", "AMD's control block of a vCPU: every byte, with its clean "
                "bit, and the words with structure.", (
                    *(Section({"control": "Control area", "save": "State save area"}[area.name],
                              (area.name,), ("Offset", "Bytes", "Flow", "Clean bit", "Layout"),
                              tuple(_field(field) for field in vmcb.fields
                                    if field.area == area.name),
                              ((text(area.doc),),), "area", sources=areas[area.name]["source"])
                      for area in vmcb.areas),
                    Section("Clean bits", ("clean",), ("Bit",),
                            tuple(Row("clean", (row["group"],), row["group"],
                                      ((text(str(row["bit"])),),), (text(row["doc"]),),
                                      row["source"]) for row in doc["clean_groups"]),
                            ((text("A clean bit says that the fields of its group are as the last "
                                   "entry left them."),),)),
                    *(layout("vmcb-word", item, layouts[item.name]) for item in vmcb.layouts),
                ), "vmcb_fields")


def _field(field: VmcbField) -> Row:
    offset = number(field.offset, 3)
    clean: Cell = (link("clean", field.clean),) if field.clean else ()
    structure: Cell = (link("vmcb-word", field.layout),) if field.layout else ()
    return Row("vmcb", (field.name,), field.name,
               ((code(offset),), (text(str(field.size)),), (word(field.flow),), clean, structure),
               (text(field.doc),), field.source, words=(offset, f"0x{field.offset:x}"))
