# SPDX-License-Identifier: ISC
"""Exits: what ends a stay in the guest, and what the driver does about it."""

from __future__ import annotations

import re

from gen.html.content import (BREAK, Cell, Page, Row, Section, Span, code, lines, link, listed,
                              number, text, word)
from gen.model.exit_reasons import Exit, Exits, Number
from gen.spec import Spec

_RIP = {"keep": "RIP stays", "advance": "RIP moves past the instruction",
        "handler": "the handler moves RIP"}


def build(spec: Spec) -> Page:
    exits: Exits = spec.model("exit_reasons")
    return Page("exits", "Exits", "Every way out of a guest, and what the driver does with it.", (
        Section("Kinds of exit", ("kinds",), ("Intel", "AMD", "Action"),
                tuple(_kind(item) for item in exits.exits), (
                    (text("A kind is a row of the spec. What both vendors do stands once."),),)),
        Section("Intel exit reasons", ("intel",), ("Constant", "Kind", "Action", "Qualification"),
                tuple(_reason(value, item) for value, item in (*exits.vmx, *exits.vmx_vectors)),
                ((text("By basic exit reason, bits 15-0 of the VMCS field "),
                  link("vmcs", "exit_reason"), text(".")),), first="Reason", counts=False),
        Section("AMD exit codes", ("amd",), ("Constant", "Kind", "Action", "Information"),
                tuple(_code(value, item) for value, item in exits.svm),
                ((text("By the VMCB field "), link("vmcb", "exitcode"), text(".")),),
                first="Code", counts=False),
    ), "exit_reasons")


def _kind(item: Exit) -> Row:
    return Row("exit", (item.name,), item.name, (_vmx(item), _svm(item), _action(item)),
               (text(item.doc),), item.source,
               words=(item.kind, *(_svm_constant(value) for value in item.svm),
                      *(_vmx_constant(value) for value in item.vmx)))


def _vmx(item: Exit) -> Cell:
    return lines(
        (link("vmx-exit", *_reason_names(value), label=str(value.value)), text(" "),
         code(value.name), *_by_vector(value), *_qualification(value)) for value in item.vmx)


def _svm(item: Exit) -> Cell:
    """Runs of codes in one line."""
    runs: list[list[Number]] = []
    for value in item.svm:
        last = runs[-1][-1] if runs else None
        if last and last.value + 1 == value.value and _stem(last) == _stem(value) != last.name:
            runs[-1].append(value)
        else:
            runs.append([value])
    return lines(_run(run) for run in runs)


def _stem(value: Number) -> str:
    """The name without its number."""
    return re.sub(r"\d+", "*", value.name)


def _run(run: list[Number]) -> Cell:
    first, last = run[0], run[-1]
    if first is last:
        return (link("svm-exit", _hex(first), label=_hex(first)), text(" "), code(first.name),
                *_after(_information(first)))
    return (link("svm-exit", _hex(first), label=_hex(first)), text(" to "),
            link("svm-exit", _hex(last), label=_hex(last)), text(" "), code(first.name),
            text(" to "), code(last.name), *_after(_information(first)))


def _information(value: Number) -> Cell:
    """The layouts of EXITINFO1 and EXITINFO2."""
    return tuple(link("vmcb-word", layout, label=f"{name}: {layout}")
                 for name, layout in (("EXITINFO1", value.info1), ("EXITINFO2", value.info2))
                 if layout)


def _after(cell: Cell) -> Cell:
    return tuple(span for item in cell for span in (text(", "), item))


def _by_vector(value: Number) -> Cell:
    return () if value.vector is None else (text(f" (vector {value.vector})"),)


def _qualification(value: Number) -> Cell:
    if not value.qualification:
        return ()
    return (text(", qualification "), link("vmcs-word", value.qualification))


def _action(item: Exit) -> Cell:
    row = item.row
    parts: list[Span] = [word(item.action)]
    for key in ("payload", "handler"):
        if key in row:
            parts += [text(f", {key} "), code(row[key])]
    if "vector" in row:
        parts += [text(" of "), link("exception", row["vector"], label=f"#{row['vector']}")]
    parts += [BREAK, text(_RIP[row["rip"]])]
    if "insns" in row:
        parts += [text(" "), *listed(link("insn", name) for name in row["insns"])]
    if item.sleep:
        parts.append(text("; may sleep"))
    if "delivery" in row:
        parts.append(text("; may cut the delivery of an event short"))
    return tuple(parts)


def _reason_names(value: Number) -> tuple[object, ...]:
    return (value.value,) if value.vector is None else (value.value, value.vector)


def _reason(value: Number, item: Exit) -> Row:
    title = str(value.value) if value.vector is None else f"{value.value}, vector {value.vector}"
    always: Cell = (text("no control turns it off"),) if value.unconditional else ()
    return Row("vmx-exit", _reason_names(value), title,
               ((code(_vmx_constant(value)),), (link("exit", item.name),),
                lines(((word(item.action),), always)),
                (link("vmcs-word", value.qualification),) if value.qualification else ()),
               (text(item.doc),), label=f"{title} {value.name}",
               words=(str(value.value), number(value.value)))


def _code(value: Number, item: Exit) -> Row:
    return Row("svm-exit", (_hex(value),), _hex(value),
               ((code(_svm_constant(value)),), (link("exit", item.name),),
                (word(item.action),), listed(_information(value))), (text(item.doc),),
               label=f"{_hex(value)} {value.name}", words=(_hex(value), str(value.value)))


def _vmx_constant(value: Number) -> str:
    return f"VMX_EXIT_{value.name}"


def _svm_constant(value: Number) -> str:
    return f"SVM_VMEXIT_{value.name}"


def _hex(value: Number) -> str:
    return number(value.value, 2)
