# SPDX-License-Identifier: ISC
"""Registers: what a client reads and writes, and where each lives."""

from __future__ import annotations

from gen.html.content import Cell, Page, Row, Section, Span, code, lines, link, listed, text
from gen.load import Map
from gen.model.registers import Registers
from gen.model.vmcs_fields import Vmcs
from gen.spec import Spec

_PARTS = ("selector", "base", "limit", "access_rights")


def build(spec: Spec) -> Page:
    registers: Registers = spec.model("registers")
    doc = spec.doc("registers")
    vmcs: Vmcs = spec.model("vmcs_fields")
    words = {row["register"] for row in spec.doc("arch")["registers"]}
    rows = {row["register"]: row for row in doc["registers"]}
    return Page("registers", "Registers", "The registers that a client reads and writes, and where "
                "the driver finds each.", (
                    *(Section(group.doc, (group.name,), ("Index", "Intel", "AMD", "Check"),
                              tuple(_register(rows[register.name], group.member, words)
                                    for register in group.registers), _about(group.member),
                              "register-group", label=group.name)
                      for group in registers.groups if group.registers),
                    Section("Segments and descriptor tables", ("sregs",),
                            ("Place", "Intel", "AMD"),
                            tuple(_segment(row, vmcs) for row in doc["segments"]),
                            _about("vrs_sregs"), "register-group", label="sregs"),
                ), "registers")


def _about(member: str) -> tuple[Cell, ...]:
    if not member:
        return ()
    return ((text("In "), link("member", "vcpu_reg_state", member), text(" of "),
             link("struct", "vcpu_reg_state", label="struct vcpu_reg_state"), text(".")),)


def _register(row: Map, member: str, words: set[str]) -> Row:
    name = row["register"]
    index: Cell = (code(f"VCPU_REGS_{name.upper()}"), text(f" = {row['index']}")) if member else ()
    doc: list[Cell] = [(text(f"{row['doc']}."),)]
    if name in words:
        doc.append((text("Bits: "), link("word", name)))
    check: Cell = (text(row["check"]),) if "check" in row else ()
    return Row("register", (name,), name, (index, _place(row["vmx"], "vmcs"),
                                           _place(row["svm"], "vmcb"), check), lines(doc),
               words=(f"VCPU_REGS_{name.upper()}",))


def _place(place: object, fields: str) -> Cell:
    """Where one vendor's backend keeps it."""
    if not isinstance(place, Map):
        return (text("nowhere: reads 0"),)
    if "field" not in place:
        ((how, what),) = place.items()
        if how == "software":
            return (text("the driver's "), code(what))
        return (text(f"{how}: MSR "), link("msr", what))
    found: list[Span] = [link(fields, place["field"])]
    if "bits" in place:
        found += [text(" "), code(place["bits"])]
    if "shadow" in place:
        found += [text(" and "), link(fields, place["shadow"]) if fields == "vmcs"
                  else text("the driver's shadow")]
    if "forced" in place:
        found += [text(" with "), code(place["forced"]), text(" always set")]
    return tuple(found)


def _segment(row: Map, vmcs: Vmcs) -> Row:
    name, stem, svm = row["segment"], row["vmx"]["fields"], row["svm"]
    fields = [f"{stem}_{part}" for part in _PARTS if vmcs.field(f"{stem}_{part}") is not None]
    quirk: Cell = (text(f", quirk: {svm['quirk']}"),) if "quirk" in svm else ()
    index: Cell = ((code(f"VCPU_REGS_{name.upper()}"), text(f" = {row['index']}"))
                   if "index" in row else (code(row["member"]),))
    return Row("segment", (name,), name,
               (index, listed(link("vmcs", field) for field in fields),
                (link("vmcb", svm["field"]), *quirk)), (text(f"{row['doc']}."),))
