# SPDX-License-Identifier: ISC
"""The VMCS, field by field."""

from __future__ import annotations

from gen.html.content import Page, Row, Section, code, link, listed, number, text
from gen.html.pages.words import layout
from gen.model.controls import Controls
from gen.model.vmcs_fields import Vmcs, VmcsField
from gen.spec import Spec

_GROUPS = {
    "control": ("Control fields", "What an entry is asked to do."),
    "guest": ("Guest state", "Loaded by an entry, stored by an exit."),
    "host": ("Host state", "Loaded by an exit."),
    "info": ("Exit information", "Written by the CPU, read-only."),
}


def build(spec: Spec) -> Page:
    vmcs: Vmcs = spec.model("vmcs_fields")
    controls: Controls = spec.model("controls")
    names = {control.key: control.row["control"] for control in controls.vmx.controls}
    rows = {row["layout"]: row for row in spec.doc("vmcs_fields")["layouts"]}
    return Page("vmcs", "VMCS fields", "Intel's control structure of a vCPU: every field, and the "
                "words with structure that VMX uses. The upper half of a 64-bit field has the next "
                "encoding.", (
                    *(Section(title, (group,), ("Encoding", "Width", "Exists with", "Layout"),
                              tuple(_field(field, names) for field in vmcs.fields
                                    if field.group == group), ((text(doc),),))
                      for group, (title, doc) in _GROUPS.items()),
                    *(layout("vmcs-word", item, rows[item.name]) for item in vmcs.layouts),
                ), "vmcs_fields")


def _field(field: VmcsField, names: dict[str, str]) -> Row:
    encoding = number(field.encoding, 4)
    upper = (number(field.encoding + 1, 4),) if field.width == 64 and not field.natural else ()
    return Row("vmcs", (field.name,), field.name,
               ((code(encoding),),
                (text("natural" if field.natural else str(field.width)),),
                listed((link("control", names[need], label=need) for need in field.needs), " or "),
                (link("vmcs-word", field.row["layout"]),) if "layout" in field.row else ()),
               (text(field.doc),), field.row["source"],
               words=(field.constant, encoding, *upper))
