# SPDX-License-Identifier: ISC
"""Entry checks: what a CPU insists on when a guest is entered."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gen.html.content import (Cell, Page, Row, Section, Span, code, href, lines, link, listed,
                              number, text, word)
from gen.load import Map
from gen.model.controls import Controls
from gen.spec import Spec

_VENDORS = {"vmx": "Intel", "svm": "AMD"}
_NAME = re.compile(r"([A-Za-z_][\w.]*)")


def build(spec: Spec) -> Page:
    return _Checks(spec).page()


class _Checks:
    def __init__(self, spec: Spec) -> None:
        self._doc = spec.doc("entry_checks")
        self._places = {"vmx": dict(_vmx_names(spec)), "svm": dict(_svm_names(spec))}
        for row in self._doc["inputs"]:
            for vendor in row["vendors"]:
                self._places[vendor][row["input"]] = href("input", row["input"])

    def page(self) -> Page:
        doc = self._doc
        return Page("entry_checks", "Entry checks", "What the CPU checks when a guest is entered, "
                    "in its order. When an entry fails, the driver names the first check that is "
                    "broken.", (
                        *(self._phase(row) for row in doc["phases"]),
                        Section("Inputs", ("inputs",), ("Vendors", "Bits", "MSR"),
                                tuple(_input(row) for row in doc["inputs"]),
                                ((text("What checks look at besides the VMCS and the VMCB."),),)),
                        Section("Example states", ("states",), ("Values",),
                                tuple(_state(row) for row in doc["states"]),
                                ((text("Where the examples of the checks begin; each keeps every "
                                       "check."),),)),
                    ), "entry_checks")

    def _phase(self, phase: Map) -> Section:
        vendor = phase["vendor"]
        fails: Cell = ((text("A broken check ends in exit "), link("exit", phase["exit"]))
                       if "exit" in phase else
                       (text("A broken check makes VMLAUNCH fail with "), code(phase["error"]),
                        text(" of "), link("vmcs-word", "instruction_error")))
        rows = tuple(check for row in self._doc[f"{vendor}_checks"]
                     if row["phase"] == phase["phase"] for check in self._checks(row, vendor))
        return Section(f"{_VENDORS[vendor]}: {phase['phase'].replace('_', ' ')}",
                       (phase["phase"],), ("When", "Requires", "Example"), rows,
                       ((text(f"{phase['doc']} "), *fails, text(".")),), "phase", "Check",
                       phase["source"], phase["phase"])

    def _checks(self, row: Map, vendor: str) -> Iterator[Row]:
        for each in row.get("each", ("*",)):
            name = row["check"].replace("*", each)
            yield Row("check", (vendor, name), name,
                      (self._expression(row.get("when", ""), vendor, each),
                       self._expression(row["require"], vendor, each),
                       _example(row["example"], each)),
                      lines(((text(row["doc"].replace("*", each)),), *_emulators(row))),
                      row["source"],
                      words=(vendor, row["phase"]))

    def _expression(self, words: object, vendor: str, each: str) -> Cell:
        """An expression in which names lead to what they stand for."""
        parts = _NAME.split(str(words).replace("*", each))
        return tuple(self._name(part, vendor) for part in parts if part)

    def _name(self, part: str, vendor: str) -> Span:
        if not part.strip():
            return text(part)
        places = self._places[vendor]
        return Span(part, "code", places.get(part, places.get(part.split(".")[0], "")))


def _example(example: Map, each: str) -> Cell:
    return lines((text(f"{what}: "), *_settings(example[key], each))
                 for key, what in (("given", "with"), ("breaks", "broken by")) if key in example)


def _settings(values: Map, each: str = "*") -> Cell:
    return listed(code(f"{name.replace('*', each)} = {number(value) if value > 9 else value}")
                  for name, value in values.items())


def _state(row: Map) -> Row:
    return Row("state", (row["state"],), row["state"], (_settings(row["values"]),),
               (text(row["doc"]),))


def _emulators(row: Map) -> Iterator[Cell]:
    for name, answer in row.get("emulators", {}).items():
        for verdict, reason in answer.items():
            yield text(f"{name.title()} "), word(verdict), text(f": {reason}.")


def _input(row: Map) -> Row:
    msr: Cell = (link("msr", row["msr"]),) if "msr" in row else ()
    return Row("input", (row["input"],), row["input"],
               ((text(", ".join(_VENDORS[vendor] for vendor in row["vendors"])),),
                (text(str(row.get("width", 64))),), msr),
               (text(row["doc"]),), row["source"])


def _vmx_names(spec: Spec) -> Iterator[tuple[str, str]]:
    controls: Controls = spec.model("controls")
    for control in controls.vmx.controls:
        yield control.key, href("control", control.row["control"])
    for control_word in controls.vmx.words:
        for name in ("", "_must", "_may"):
            yield f"{control_word.name}{name}", href("vmx-control-word", control_word.name)
    for layout in spec.model("vmcs_fields").layouts:
        yield layout.name, href("vmcs-word", layout.name)
    for field in spec.model("vmcs_fields").fields:
        yield field.name, href("vmcs", field.name)


def _svm_names(spec: Spec) -> Iterator[tuple[str, str]]:
    for layout in spec.model("vmcb_fields").layouts:
        yield layout.name, href("vmcb-word", layout.name)
    for field in spec.model("vmcb_fields").fields:
        yield field.name, href("vmcb", field.name)
