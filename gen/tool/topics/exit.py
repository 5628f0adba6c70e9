# SPDX-License-Identifier: ISC
"""explain exit: what it is, when it happens, what is done about it, what its details mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from gen.model.controls import Control
from gen.model.exit_reasons import Exit, Number
from gen.model.vmx_controls import VmxControl
from gen.text import plain
from gen.tool.article import Article, Part, part
from gen.tool.numbers import hexadecimal
from gen.tool.tables import Entry, Tables, place
from gen.tool.topics.bits import field_table
from gen.tool.words import ACTION, CLIENT, CONTROL, FUNCTION, NO_CLIENT, RIP

VENDORS = {"vmx": "Intel", "svm": "AMD"}
_PREFIX = {"vmx": "VMX_EXIT_", "svm": "SVM_VMEXIT_"}
_SHOWN = 6


def entries(tables: Tables) -> Iterator[Entry]:
    for row in tables.exits.exits:
        yield Entry("exit", row.name, row.doc, partial(_article, tables, row, "", None),
                    (row.kind,), group=row.name, row=row.row)
        for vendor, numbers in (("vmx", row.vmx), ("svm", row.svm)):
            for number in numbers:
                yield Entry("exit", number.name, row.doc,
                            partial(_article, tables, row, vendor, number),
                            (f"{_PREFIX[vendor]}{number.name}",),
                            (number.value,) if number.vector is None else (), vendor, row.name)


def number_text(tables: Tables, vendor: str, number: Number) -> str:
    if vendor == "svm":
        return f"AMD exit code {hexadecimal(number.value)}"
    text = f"Intel exit reason {number.value} ({hexadecimal(number.value)})"
    if number.vector is None:
        return text
    name = next(item.name for item in tables.arch.exceptions if item.vector == number.vector)
    return f"{text} with vector {number.vector}, #{name}"


def _article(tables: Tables, row: Exit, vendor: str, focus: Number | None) -> Article:
    title = f"exit {row.name}"
    if focus is not None:
        title = f"{focus.name}: {number_text(tables, vendor, focus)}, {title}"
    parts: list[Part] = []
    for side in ("vmx", "svm"):
        parts += _numbers(tables, side, row)
    parts += part("when", *_when(tables, row, "vmx"), *_when(tables, row, "svm"))
    parts += part("the driver", *_driver(tables, row))
    parts += part("RIP", RIP[row.row["rip"]] + _insns(row) + ".")
    reason = _reason(row, vendor, focus)
    parts += part("the client", *_client(tables, row, reason))
    parts += _details(tables, row, vendor, focus)
    parts += part("manual", *row.source)
    parts += part("spec", place(row.row))
    return Article("exit", row.name, title, row.doc, tuple(parts))


def _numbers(tables: Tables, vendor: str, row: Exit) -> tuple[Part, ...]:
    numbers = row.vmx if vendor == "vmx" else row.svm
    lines = [f"{number_text(tables, vendor, number)}: {_PREFIX[vendor]}{number.name}"
             for number in numbers]
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN - 1], f"and {len(lines) - _SHOWN + 1} more, to {lines[-1]}"]
    return part(f"on {VENDORS[vendor]}", *lines)


def _when(tables: Tables, row: Exit, vendor: str) -> Iterator[str]:
    numbers = row.vmx if vendor == "vmx" else row.svm
    if not numbers:
        return
    side = f"On {VENDORS[vendor]}"
    always = [number.name for number in numbers if number.unconditional]
    if always:
        some = "" if len(always) == len(numbers) else f" ({', '.join(always)})"
        yield f"{side}: always{some}; no control turns it on."
    found: list[str] = []
    for control in controls_of(tables, vendor):
        if row.name in control.exits:
            found.append(f"{side}: {control_text(tables, control)}")
    yield from found
    if not always and not found:
        yield f"{side}: no control of ours asks for it; the manual says what brings it."


def controls_of(tables: Tables, vendor: str) -> Sequence[Control | VmxControl]:
    if vendor == "vmx":
        return tables.controls.vmx.controls
    return tables.controls.controls


def control_text(tables: Tables, control: Control | VmxControl) -> str:
    """A control, where its bit is, and what the driver does with it."""
    bits = f"bit {control.low}" if control.high == control.low else \
        f"bits {control.high}-{control.low}"
    if isinstance(control, VmxControl):
        word = next(word for word in tables.controls.vmx.words if word.name == control.word)
        where = f"{bits} of VMCS field {word.field.name}, {word.field.encoding:#06x}"
        name, policy = control.key, CONTROL[control.policy].format(unless=control.unless)
        if control.policy == "required":
            policy += "; a CPU that cannot is refused"
    else:
        field = tables.vmcb.field(control.word)
        assert field is not None
        where = f"{bits} of VMCB field {control.word}, offset {field.offset:#05x}"
        name, policy = f"{control.word}.{control.name}", CONTROL[control.policy]
        if control.needs:
            policy += f" (capability {control.needs})"
    return f"{name} ({where}) is {policy}. {control.doc}"


def _client(tables: Tables, row: Exit, reason: str) -> Iterator[str]:
    """What comes of it outside of the kernel."""
    said = tables.rows("ioctls", "exits", "exit").get(row.name)
    if said is None:
        yield NO_CLIENT[row.action]
        return
    yield CLIENT.format(reason=reason)
    for text in said["text"]:
        yield plain(text)


def _driver(tables: Tables, row: Exit) -> Iterator[str]:
    vector = next((f"#{item.name}" for item in tables.arch.exceptions
                   if item.vector == row.vector), "")
    words = f"action {row.action}: {ACTION[row.action].format(vector=vector)}"
    detail = FUNCTION.get(row.function, "")
    yield f"{words}; {detail}." if detail else f"{words}."
    yield f"Done by {row.function}() in src/core." + (
        " It may sleep, outside the guest's loop." if row.sleep else "")


def _insns(row: Exit) -> str:
    names = [name.removeprefix("INSN_") for name in row.insns]
    return f": {', '.join(names)}" if names else ""


def _reason(row: Exit, vendor: str, focus: Number | None) -> str:
    if focus is not None:
        return f"{hexadecimal(focus.value)}, {_PREFIX[vendor]}{focus.name}"
    names = [f"{_PREFIX[side]}{number.name}" for side, numbers in (("vmx", row.vmx),
                                                                  ("svm", row.svm))
             for number in numbers]
    return " or ".join(names)


def _details(tables: Tables, row: Exit, vendor: str, focus: Number | None) -> Iterator[Part]:
    """The words that the CPU reports with the exit."""
    seen: set[tuple[str, str]] = set()
    for side, numbers in (("vmx", row.vmx), ("svm", row.svm)):
        if vendor not in ("", side):
            continue
        for number in numbers:
            if focus is not None and number is not focus:
                continue
            for label, layout in (("exit qualification (VMCS field 0x6400)",
                                   number.qualification),
                                  ("EXITINFO1 (VMCB offset 0x078)", number.info1),
                                  ("EXITINFO2 (VMCB offset 0x080)", number.info2)):
                if layout and (label, layout) not in seen:
                    seen.add((label, layout))
                    yield from field_table(label, tables.layout(layout).fields)
