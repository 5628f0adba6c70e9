# SPDX-License-Identifier: ISC
"""Controls: what the driver asks of the CPU, and the capabilities that it waits for."""

from __future__ import annotations

from collections.abc import Iterator

from gen.html.content import (Cell, Page, Row, Section, Span, code, href, lines, link, listed,
                              number, text, word)
from gen.load import Map
from gen.model.controls import Controls
from gen.spec import Spec


def build(spec: Spec) -> Page:
    controls: Controls = spec.model("controls")
    doc = spec.doc("controls")
    names = {control.key: str(control.row["control"]) for control in controls.vmx.controls}
    fields = {row["word"]: row["field"] for row in doc["vmx_words"]}
    return Page("controls", "Controls", "Intel's control words and AMD's intercepts and switches: "
                "which bits the driver sets, and what they turn on.", (
                    Section("Controls", ("controls",), ("Intel", "AMD", "Policy", "Exits"),
                            tuple(_control(row, names, fields) for row in doc["controls"])),
                    Section("VMX control words", ("vmx-words",),
                            ("Field", "Capability MSRs", "Reserved ones"),
                            tuple(_vmx_word(row, names) for row in doc["vmx_words"]), (
                                (text("The words of the VMCS whose bits stand above, and the MSRs "
                                      "that say which bits can be 0 and 1."),),)),
                    Section("SVM control words", ("svm-words",), ("Field",),
                            tuple(_svm_word(row) for row in doc["svm_words"])),
                    Section("VMX capabilities", ("vmx-capabilities",), ("Bits", "Policy", "For"),
                            tuple(_vmx_capability(row, names) for row in doc["vmx_capabilities"]),
                            ((text("Bits of "), link("vmcs-word", "ept_vpid_cap"), text(
                                "; any one of a row's will do."),),)),
                    Section("SVM capabilities", ("svm-capabilities",), ("CPUID", "Policy"),
                            tuple(_svm_capability(row) for row in doc["svm_capabilities"])),
                    Section("Values", ("values",), ("Value", "With"), tuple(_values(doc, names)),
                            ((text("Numbers that go with a control or a capability."),),)),
                    Section("Fixed bits of control registers", ("fixed",),
                            ("Capability MSRs", "May be 0", "Kept 0"),
                            tuple(_fixed(row, names) for row in doc["vmx_fixed"]),
                            ((text("What VMX operation demands of CR0 and CR4."),),)),
                ), "controls")


def _control(row: Map, names: dict[str, str], fields: dict[str, str]) -> Row:
    name = row["control"]
    doc: list[Cell] = [(text(row["doc"]),)]
    if "feature" in row:
        doc.append((text("Goes with CPUID bit "), link("cpuid", row["feature"]), text(".")))
    return Row("control", (name,), name,
               (_vmx(row, fields), _svm(row), _policy(row, names),
                listed(link("exit", item) for item in row["exits"])),
               lines(doc), row["source"], words=tuple(_places(row)))


def _places(row: Map) -> Iterator[str]:
    """WORD.NAME and WORD.BITS of each vendor, as one may look for it."""
    for vendor in ("vmx", "svm"):
        column = row.get(vendor)
        if column is not None:
            yield f"{column['word']}.{column.get('name', row['control'])}"
            yield f"{column['word']}.{column['bits']}"


def _vmx(row: Map, fields: dict[str, str]) -> Cell:
    if "vmx" not in row:
        return ()
    column = row["vmx"]
    name: Cell = (text(" as "), code(column["name"])) if "name" in column else ()
    return (Span(column["word"], "code", href("vmcs", fields[column["word"]])),
            text(f" {_bits(column['bits'])}"), *name)


def _svm(row: Map) -> Cell:
    if "svm" not in row:
        return ()
    column = row["svm"]
    return (link("vmcb", column["word"]), text(f" {_bits(column['bits'])}"))


def _bits(bits: object) -> str:
    return f"bits\u00a0{bits}" if "-" in str(bits) else f"bit\u00a0{bits}"


def _policy(row: Map, names: dict[str, str]) -> Cell:
    found: list[Span] = [word(row["policy"])]
    if "needs" in row:
        found += [text(" with "), link("svm-capability", row["needs"])]
    if "unless" in row:
        found += [text(" unless "), link("control", names[row["unless"]])]
    return tuple(found)


def _vmx_word(row: Map, names: dict[str, str]) -> Row:
    always: list[Cell] = []
    if "default1" in row:
        always.append((code(number(row["default1"], 8)), text(" are 1 where the CPU says so")))
    if "active" in row:
        always.append((text("counts only with "), link("control", names[row["active"]])))
    return Row("vmx-control-word", (row["word"],), row["word"],
               ((link("vmcs", row["field"]),),
                listed(link("msr", row[key]) for key in ("msr", "true_msr") if key in row),
                lines(always)))


def _svm_word(row: Map) -> Row:
    return Row("svm-control-word", (row["word"],), row["word"], ((link("vmcb", row["word"]),),))


def _vmx_capability(row: Map, names: dict[str, str]) -> Row:
    return Row("vmx-capability", (row["cap"],), row["cap"],
               (listed((code(bit) for bit in row["bits"]), " or "), (word(row["policy"]),),
                (link("control", names[row["control"]]),)), (text(row["doc"]),), row["source"])


def _svm_capability(row: Map) -> Row:
    place = f"{number(row['leaf'], 8)} {row['reg'].upper()} bit {row['bit']}"
    return Row("svm-capability", (row["cap"],), row["cap"],
               ((code(place),), (word(row["policy"]),)), (text(row["doc"]),), row["source"],
               words=(f"{row['leaf']:x}.0.{row['reg']}.{row['bit']}",))


def _values(doc: Map, names: dict[str, str]) -> Iterator[Row]:
    for row in doc["vmx_values"]:
        yield _value(row, link("control", names[row["needs"]]), link("vmcs", row["field"]))
    for row in doc["svm_values"]:
        yield _value(row, link("svm-capability", row["needs"]), link("vmcb", row["field"]))


def _value(row: Map, needs: Span, field: Span) -> Row:
    return Row("value", (row["field"],), row["field"],
               ((field, text(" = "), code(number(row["value"]))), (needs,)),
               (text(row["doc"]),), row["source"])


def _fixed(row: Map, names: dict[str, str]) -> Row:
    name = row["register"]
    relaxed = lines((code(item["bit"]), text(" because of "),
                     link("control", names[item["control"]]), text(f": {item['doc']}"))
                    for item in row["relaxed"])
    clear = lines((code(item["bit"]), text(f": {item['doc']}")) for item in row["clear"])
    return Row("fixed", (name,), name,
               (listed(link("msr", row[key]) for key in ("fixed0", "fixed1")), relaxed, clear),
               (text("Bits of "), link("word", name, label=name.upper()), text(".")),
               row["source"])
