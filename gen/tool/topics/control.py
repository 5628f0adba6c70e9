# SPDX-License-Identifier: ISC
"""explain control and explain capability: what is asked of the CPU, and what it must have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.controls import Control
from gen.model.vmx_controls import VmxControl
from gen.tool.article import Article, Part, part
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.topics.exit import control_text
from gen.tool.words import CAPABILITY

Either = Control | VmxControl


def entries(tables: Tables) -> Iterator[Entry]:
    for name, row in tables.rows("controls", "controls", "control").items():
        columns = _columns(tables, row)
        aliases = [column.name for column in columns]
        aliases += [f"{column.word}.{column.name}" for column in columns]
        aliases += [f"{column.word}.{bit}" for column in columns
                    for bit in range(column.low, column.high + 1)]
        yield Entry("control", name, row["doc"], partial(_control, tables, row, columns),
                    tuple(aliases), row=row)
    yield from _words(tables)
    yield from _values(tables)
    for name, row in tables.rows("controls", "vmx_fixed", "register").items():
        yield Entry("control", f"{name}.fixed", f"Bits of {name.upper()} in VMX operation.",
                    partial(_fixed, row), row=row)


def capability_entries(tables: Tables) -> Iterator[Entry]:
    for name, row in tables.rows("controls", "svm_capabilities", "cap").items():
        bit = f"{row['leaf']:#x}.{row['reg']}.{row['bit']}"
        yield Entry("capability", name, row["doc"], partial(_svm_cap, tables, row), (bit,),
                    row=row)
    for name, row in tables.rows("controls", "vmx_capabilities", "cap").items():
        yield Entry("capability", name, row["doc"], partial(_vmx_cap, tables, row),
                    tuple(row["bits"]), row=row)


def _columns(tables: Tables, row: Map) -> list[Either]:
    found: list[Either] = [item for item in tables.controls.controls if item.row is row]
    return found + [item for item in tables.controls.vmx.controls if item.row is row]


def _control(tables: Tables, row: Map, columns: list[Either]) -> Article:
    parts: list[Part] = []
    for column in columns:
        maker = "Intel" if isinstance(column, VmxControl) else "AMD"
        parts += part(f"on {maker}", control_text(tables, column).removesuffix(f" {row['doc']}"))
        if isinstance(column, VmxControl):
            parts += part("fields", ", ".join(field.name for field in tables.vmcs.fields
                                              if column.key in field.needs))
    docs = {item.name: item.doc for item in tables.exits.exits}
    parts += part("exits", *(f"{name}: {docs[name]} (vmmspec explain exit {name})"
                             for name in row["exits"]))
    if "feature" in row:
        parts += part("guest", f"may use it when its CPUID shows {row['feature']}.")
    parts += part("manual", sources(row))
    parts += part("spec", place(row))
    return Article("control", row["control"], f"control {row['control']}, {row['policy']}",
                   row["doc"], tuple(parts))


def _words(tables: Tables) -> Iterator[Entry]:
    for name, row in tables.rows("controls", "svm_words", "word").items():
        yield Entry("control", f"word.{name}", f"Controls of AMD in VMCB field {name}.",
                    partial(_svm_word, tables, row), (name,), row=row)
    for name, row in tables.rows("controls", "vmx_words", "word").items():
        yield Entry("control", f"word.{name}", f"Controls of Intel in VMCS field {row['field']}.",
                    partial(_vmx_word, tables, row), (name, row["field"]), row=row)


def _svm_word(tables: Tables, row: Map) -> Article:
    name = row["word"]
    mine = [item for item in tables.controls.controls if item.word == name]
    return Article("control", f"word.{name}", f"{name}: VMCB word of controls", "", (
        *_by_policy(mine), *part("field", f"vmmspec explain vmcb {name}"),
        *part("spec", place(row))))


def _vmx_word(tables: Tables, row: Map) -> Article:
    name = row["word"]
    word = next(item for item in tables.controls.vmx.words if item.name == name)
    asks = [f"{row[key]}: vmmspec explain msr {row[key]}" for key in ("msr", "true_msr")
            if key in row]
    active = f"only while {row['active']} is set" if "active" in row else ""
    title = f"{name}: VMX control word, VMCS field {word.field.name}"
    return Article("control", f"word.{name}", title, "", (
        *part("active", active), *_by_policy(list(word.controls)),
        *part("CPU says", *asks), *part("field", f"vmmspec explain vmcs {word.field.name}"),
        *part("spec", place(row))))


def _by_policy(controls: list[Control] | list[VmxControl]) -> Iterator[Part]:
    for policy in ("required", "wanted", "fallback", "dynamic", "refused", "default1"):
        names = [item.name for item in controls if item.policy == policy]
        yield from part(policy, ", ".join(names))


def _values(tables: Tables) -> Iterator[Entry]:
    for section, maker in (("svm_values", "AMD"), ("vmx_values", "Intel")):
        for name, row in tables.rows("controls", section, "field").items():
            yield Entry("control", f"{name}.value", row["doc"], partial(_value, row, maker),
                        row=row)


def _value(row: Map, maker: str) -> Article:
    return Article("control", f"{row['field']}.value",
                   f"{row['field']}.value: {row['value']:#x} on {maker}", row["doc"], (
                       *part("when", f"{row['needs']} is there and set."),
                       *part("manual", sources(row)), *part("spec", place(row))))


def _fixed(row: Map) -> Article:
    name = row["register"]
    return Article("control", f"{name}.fixed", f"{name}.fixed: {name.upper()} in VMX operation",
                   "The CPU says which bits cannot be 0, and which can be 1.", (
                       *part("must be 1", f"MSR {row['fixed0']}"),
                       *part("may be 1", f"MSR {row['fixed1']}"),
                       *part("relaxed", *(f"{item['bit']} may be 0, by {item['control']}: "
                                          f"{item['doc']}" for item in row["relaxed"])),
                       *part("always 0", *(f"{item['bit']}: {item['doc']}"
                                           for item in row["clear"])),
                       *part("manual", sources(row)), *part("spec", place(row))))


def _svm_cap(tables: Tables, row: Map) -> Article:
    users = [item.name for item in tables.controls.controls if item.needs == row["cap"]]
    users += [f"value of {item.field}" for item in tables.controls.values
              if item.needs == row["cap"]]
    name = row["cap"]
    place_of = f"CPUID {row['leaf']:#x} {row['reg'].upper()} bit {row['bit']}"
    return Article("capability", name, f"{name}: {place_of}", row["doc"], (
        *part("the driver", f"{row['policy']}: {CAPABILITY[row['policy']]}."),
        *part("used by", ", ".join(users)),
        *part("manual", sources(row)), *part("spec", place(row))))


def _vmx_cap(tables: Tables, row: Map) -> Article:
    name = row["cap"]
    fields = {field.name: field for field in tables.layout("ept_vpid_cap").fields}
    bits = " or ".join(f"{bit} (bit {fields[bit].text})" for bit in row["bits"])
    return Article("capability", name, f"{name}: MSR vmx_ept_vpid_cap, {bits}", row["doc"], (
        *part("the driver", f"{row['policy']}: {CAPABILITY[row['policy']]}."),
        *part("for", f"control {row['control']}"),
        *part("manual", sources(row)), *part("spec", place(row))))
