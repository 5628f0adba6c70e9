# SPDX-License-Identifier: ISC
"""What a spec says, as plain data that two revisions can be compared by.

This file is also run inside older trees, on their models: it needs gen.spec and gen.errors only,
and takes what an older model does not have as not there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gen.errors import Errors, SpecError
from gen.spec import Spec

Fact = dict[str, Any]
Facts = dict[str, dict[str, Fact]]  # table, row


class BadSpec(Exception):
    """The lines of what is wrong."""


def facts(directory: Path) -> Facts:
    """BadSpec when it is no spec of our models. Tables that it is too old for are left out."""
    errors = Errors()
    spec = Spec(directory, errors)
    found: Facts = {}
    for table, rows in _TABLES.items():
        if table == "check" and not (directory / "entry_checks.yaml").exists():
            continue
        try:
            found[table] = dict(rows(spec))
        except SpecError:
            break
        except (AttributeError, KeyError, ModuleNotFoundError):
            pass  # older than this table
    if len(errors):
        raise BadSpec("\n".join(errors.lines()))
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


Rows = Iterator[tuple[str, Fact]]


def _doc(row: Any) -> Any:
    """Words that change nothing."""
    return [row.get("doc"), row.get("source"), row.get("reason"), row.get("text")]


def _ioctls(spec: Spec) -> Rows:
    rows = {row["name"]: row for row in spec.doc("ioctls")["ioctls"]}
    for item in spec.model("ioctls").ioctls:
        row = rows[item.name]
        yield item.name, {
            "number": item.number, "out": item.out, "struct": item.struct.name,
            "checks": {check.doc: check.errno for check in _flat(item.checks)},
            "errors": sorted({f"{error.errno}: {doc}" for error in item.errors
                              for doc in error.docs}),
            "doc": _doc(row)}


def _flat(checks: Any) -> Iterator[Any]:
    for check in checks:
        if check.inner:
            yield from _flat(check.inner)
        else:
            yield check


def _structs(spec: Spec) -> Rows:
    for struct in spec.model("ioctls").structs:
        yield struct.name, {
            "size": struct.size,
            "members": {member.name: [member.offset, member.size, member.c_type]
                        for member in struct.fields()},
            "doc": [struct.doc, [member.doc for member in struct.fields()]]}


def _constants(spec: Spec) -> Rows:
    model = spec.model("ioctls")
    for item in model.constants:
        yield item.name, {"value": item.value, "doc": item.doc}
    for enum in model.enums:
        for item in enum.values:
            yield item.name, {"value": item.value, "doc": item.doc}
        if enum.all:
            yield enum.all, {"value": enum.mask, "doc": ""}
    for name, value in spec.model("exit_reasons").public_names:
        yield name, {"value": value, "doc": ""}


def _exits(spec: Spec) -> Rows:
    vectors = {item.vector: item.name for item in spec.model("arch").exceptions}
    for item in spec.model("exit_reasons").exits:
        action = item.action
        if action == "inject":
            action += f" #{vectors.get(item.vector, item.vector)}"
        word = item.row.get("handler", item.row.get("payload", ""))
        yield item.name, {
            "action": f"{action} {word}".strip(), "rip": item.row["rip"], "sleep": item.sleep,
            "insns": list(item.insns),
            "AMD codes": [number.value for number in item.svm],
            "Intel reasons": [number.value for number in item.vmx],
            "layouts": [[number.qualification, getattr(number, "info1", ""),
                         getattr(number, "info2", "")] for number in (*item.vmx, *item.svm)],
            "doc": _doc(item.row)}


def _controls(spec: Spec) -> Rows:
    model = spec.model("controls")
    for item in model.controls:
        yield f"{item.word}.{item.name} (AMD)", {
            "policy": item.policy, "bits": [item.high, item.low], "waits for": item.needs,
            "exits": list(item.exits), "doc": _doc(item.row)}
    for item in model.vmx.controls:
        yield f"{item.key} (Intel)", {
            "policy": item.policy, "bits": [item.high, item.low], "waits for": item.unless,
            "exits": list(item.exits), "doc": _doc(item.row)}


def _capabilities(spec: Spec) -> Rows:
    model = spec.model("controls")
    for item in model.caps:
        yield f"{item.name} (AMD)", {"policy": item.policy,
                                     "bit": [item.leaf, item.reg, item.bit], "doc": item.doc}
    for item in model.vmx_capabilities.caps:
        yield f"{item.title} (Intel)", {"policy": item.policy, "mask": item.mask,
                                        "for": item.control.key, "doc": ""}


def _values(spec: Spec) -> Rows:
    model = spec.model("controls")
    for item in model.values:
        yield f"{item.field} (AMD)", {"value": item.value, "doc": ""}
    for item in model.vmx.values:
        yield f"{item.field.name} (Intel)", {"value": item.value, "doc": ""}
    for item in model.vmx_capabilities.fixed:
        yield f"{item.register} in VMX operation", {
            "relaxed": item.relaxed, "always 0": item.clear_mask, "doc": ""}


def _msrs(spec: Spec) -> Rows:
    rows = {row["msr"]: row for row in spec.doc("msrs")["msrs"]}
    for item in spec.model("msrs").msrs:
        read = f"constant {item.constant:#x}" if item.read == "constant" else item.read
        yield f"{item.index:#x}", {
            "name": item.name, "count": item.count, "read": read, "write": item.write,
            "vendors": list(item.vendors), "switched on AMD": item.svm,
            "switched on Intel": item.vmx, "reset": item.reset, "writable": item.writable,
            "check": item.check, "doc": _doc(rows[item.name])}


def _cpuid(spec: Spec) -> Rows:
    for leaf in spec.model("cpuid").leaves:
        place = f"{leaf.leaf:#x}" if leaf.any_subleaf else f"{leaf.leaf:#x}.{leaf.subleaf}"
        for row in leaf.rows:
            bits = str(row.low) if row.single else f"{row.low}-{row.high}"
            yield f"{place}.{row.register}.{bits}", {
                "name": row.name, "policy": row.policy, "value": row.value, "state": row.state,
                "doc": [row.doc, row.reason]}


def _leaves(spec: Spec) -> Rows:
    for leaf in spec.model("cpuid").leaves:
        place = f"{leaf.leaf:#x}" if leaf.any_subleaf else f"{leaf.leaf:#x}.{leaf.subleaf}"
        yield place, {"fixup": leaf.fixup, "doc": leaf.doc}


def _bits(spec: Spec) -> Rows:
    for word in spec.model("arch").registers:
        for item in word.bits:
            name = item.field.name or f"reserved {item.field.text}"
            yield f"{word.name.upper()}.{name}", {
                "bits": item.field.text, "guest": _guest(item), "fixed": item.fixed,
                "doc": item.field.doc}


def _guest(item: Any) -> str:
    return f"if CPUID shows {item.feature}" if item.feature else str(item.policy)


def _words(spec: Spec) -> Rows:
    for word in spec.model("arch").words:
        yield word.name, _layout([item.field for item in word.bits], word.doc)
    for name in ("vmcs_fields", "vmcb_fields"):
        for layout in spec.model(name).layouts:
            yield layout.name, _layout(layout.fields, layout.doc)


def _layout(fields: Any, doc: str) -> Fact:
    return {"bits": {field.name: field.text for field in fields if field.name},
            "values": {f"{field.name}.{value.name}": value.value for field in fields
                       for value in field.values},
            "doc": [doc, [field.doc for field in fields]]}


def _vmcs(spec: Spec) -> Rows:
    for field in spec.model("vmcs_fields").fields:
        yield field.name, {"encoding": f"{field.encoding:#06x}", "width": field.width,
                           "group": field.group, "exists with": list(field.needs),
                           "layout": field.row.get("layout", ""), "doc": _doc(field.row)}


def _vmcb(spec: Spec) -> Rows:
    for field in spec.model("vmcb_fields").fields:
        yield field.name, {"offset": f"{field.offset:#05x}", "size": field.size,
                           "clean bit": field.clean, "flow": field.flow, "layout": field.layout,
                           "doc": [field.doc, field.source]}


def _registers(spec: Spec) -> Rows:
    for section, key in (("registers", "register"), ("segments", "segment")):
        for row in spec.doc("registers")[section]:
            yield row[key], {"check": row.get("check", "none"), "on AMD": row["svm"],
                             "on Intel": row["vmx"], "doc": _doc(row)}


def _exceptions(spec: Spec) -> Rows:
    for item in spec.model("arch").exceptions:
        yield f"#{item.name}", {"vector": item.vector, "class": item.combines,
                                "error code": item.error_code, "doc": item.doc}


def _insns(spec: Spec) -> Rows:
    doc = spec.doc("insns")
    for row in (*doc["instructions"], *doc["memory_instructions"]):
        yield row["insn"], {"forms": list(row["forms"]), "doc": _doc(row)}


def _checks(spec: Spec) -> Rows:
    model = spec.model("entry_checks")
    for rules in (model.vmx, model.svm):
        for check in rules.checks:
            maker = "Intel" if rules is model.vmx else "AMD"
            yield f"{check.name} ({maker})", {
                "phase": check.phase.name, "when": check.row.get("when", "always"),
                "requires": check.row["require"], "doc": [check.doc, check.source]}


_TABLES = {
    "ioctl": _ioctls, "struct": _structs, "constant": _constants, "cpuid": _cpuid,
    "leaf": _leaves, "msr": _msrs, "bit": _bits, "exit": _exits, "control": _controls,
    "capability": _capabilities, "value": _values, "check": _checks, "register": _registers,
    "vmcs": _vmcs, "vmcb": _vmcb, "word": _words, "exception": _exceptions, "insn": _insns,
}


def main() -> int:
    try:
        json.dump(facts(Path(sys.argv[1])), sys.stdout)
        return 0
    except BadSpec as bad:
        print(bad, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
