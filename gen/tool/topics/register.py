# SPDX-License-Identifier: ISC
"""explain register: where the guest's registers live, their bits, and what a guest may set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.arch import Rule, Word
from gen.tool.article import Article, Part, part
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.topics.bits import guest_may, register_table

_QUIRKS = {
    "cpl": "CPL stands in a field of its own, and SYSRET changes it without SS.DPL",
    "granularity": "some CPUs do not keep the granularity bit; it follows from the limit",
    "busy": "some CPUs do not keep the busy bit; it follows from the rest",
}


def entries(tables: Tables) -> Iterator[Entry]:
    state = tables.rows("registers", "registers", "register")
    words = {word.name: word for word in tables.arch.registers}
    rows = tables.rows("arch", "registers", "register")
    for name, row in state.items():
        word = words.get(name)
        yield Entry("register", name, row["doc"],
                    partial(_register, tables, name, row, word, rows.get(name)),
                    (f"reg_{name}", f"vcpu_regs_{name}"), group=name, row=row)
    for word in tables.arch.registers:
        yield Entry("register", word.name, word.doc,
                    partial(_register, tables, word.name, state.get(word.name), word,
                            rows[word.name]), group=word.name, row=rows[word.name])
        for bits in word.bits:
            if bits.field.name:
                yield Entry("register", f"{word.name}.{bits.field.name}", bits.field.doc,
                            partial(_bit, tables, word, bits.field.name),
                            (f"{word.name}_{bits.field.name}",), row=bits.field.row)
    for name, row in tables.rows("registers", "segments", "segment").items():
        yield Entry("register", name, row["doc"], partial(_segment, name, row),
                    (f"sreg_{name}",), row=row)
    for name, row in tables.rows("registers", "groups", "group").items():
        yield Entry("register", f"group.{name}", row["doc"], partial(_group, tables, row), row=row)


def _register(tables: Tables, name: str, row: Map | None, word: Word | None,
              arch: Map | None) -> Article:
    parts: list[Part] = []
    if row is not None:
        parts += _places(tables, row)
    if word is not None and arch is not None:
        parts += register_table("bits", word.bits)
        parts += part("rules", *(rule_text(word, rule) for rule in word.rules))
        parts += part("manual", sources(arch))
    doc = row["doc"] if row is not None else word.doc if word is not None else ""
    parts += part("spec", *(place(item) for item in (row, arch) if item is not None))
    return Article("register", name, f"register {name.upper()}", doc.rstrip(".") + ".",
                   tuple(parts))


def _places(tables: Tables, row: Map) -> Iterator[Part]:
    member = tables.rows("registers", "groups", "group")[row["group"]].get("member")
    if member:
        yield from part("client", f"{member}[VCPU_REGS_{row['register'].upper()}], index "
                                  f"{row['index']} of struct vcpu_reg_state")
    else:
        yield from part("client", "does not see it.")
    yield from part("on Intel", _place(row["vmx"], "VMCS", "vmcs"))
    yield from part("on AMD", _place(row["svm"], "VMCB", "vmcb"))
    check = row.get("check", "none")
    if check != "none":
        yield from part("check", f"{check}: VMM_IOC_WRITEREGS and VMM_IOC_RESETCPU refuse other "
                                 "values with EINVAL.")


def _place(where: Map | str, store: str, topic: str) -> str:
    """Where a vendor's backend finds a register."""
    if not isinstance(where, Map):
        return "there is no such state; it reads 0 and writes are dropped."
    if "field" in where:
        text = f"{store} field {where['field']} (vmmspec explain {topic} {where['field']})"
        if "bits" in where:
            text += f", its part {where['bits'].upper()}"
        if "shadow" in where:
            shadow = where["shadow"] if topic == "vmcs" else "a copy in struct vcpu"
            text += f"; bits that the guest does not own are read from {shadow}"
        if "forced" in where:
            text += f"; {where['forced']} is always set and never shown"
        return text + "."
    if "slot" in where:
        return f"kept by the driver, as MSR {where['slot']}."
    if "software" in where:
        return "kept by the driver in struct vcpu and switched around the entry."
    key, msr = next(iter(where.items()))
    return f"MSR {msr}, which the driver switches ({key})."


def rule_text(word: Word, rule: Rule) -> str:
    """A rule about several bits of a register."""
    def names(mask: int) -> str:
        return ", ".join(bits.field.name for bits in word.bits
                         if bits.field.name and bits.field.mask & mask)

    if rule.always:
        return f"{names(rule.always)} must be set: {rule.doc}"
    if rule.together:
        return f"{names(rule.together)} all or none: {rule.doc}"
    return f"{names(rule.condition)} needs {names(rule.needs)}: {rule.doc}"


def _bit(tables: Tables, word: Word, name: str) -> Article:
    bits = next(bits for bits in word.bits if bits.field.name == name)
    row = tables.rows("arch", "registers", "register")[word.name]
    hidden = [feature.row for feature in tables.cpuid.features
              if feature.row.name == bits.feature and feature.row.policy == "hidden"]
    shown = [f"CPUID hides {bits.feature} from every guest: {item.reason}." for item in hidden]
    return Article("register", f"{word.name}.{name}",
                   f"{word.name.upper()}.{name}: bit {bits.field.text}", bits.field.doc, (
                       *part("the guest", guest_may(bits) + ".", *shown),
                       *part("rules", *(rule_text(word, rule) for rule in word.rules
                                        if bits.field.mask & (rule.always | rule.condition |
                                                              rule.needs | rule.together))),
                       *part("manual", sources(row)), *part("spec", place(bits.field.row))))


def _segment(name: str, row: Map) -> Article:
    where = row.get("member") or f"vrs_sregs[VCPU_REGS_{name.upper()}]"
    fields = "base and limit" if "member" in row else "selector, base, limit and access_rights"
    quirk = row["svm"].get("quirk", "none")
    return Article("register", name, f"segment {name.upper()}", row["doc"].rstrip(".") + ".", (
        *part("client", f"{where} of struct vcpu_reg_state (vmmspec explain struct "
                        "vcpu_segment_info)"),
        *part("on Intel", f"VMCS fields {row['vmx']['fields']}_*: {fields}."),
        *part("on AMD", f"VMCB field {row['svm']['field']}.", _QUIRKS.get(quirk, "")),
        *part("spec", place(row))))


def _group(tables: Tables, row: Map) -> Article:
    name = row["group"]
    names = [key for key, item in tables.rows("registers", "registers", "register").items()
             if item["group"] == name]
    if name == "sregs":
        names += list(tables.rows("registers", "segments", "segment"))
    member = f"{row['member']} of struct vcpu_reg_state" if "member" in row else ""
    return Article("register", f"group.{name}", f"group {name} of registers",
                   row["doc"].rstrip(".") + ".", (
                       *part("client", member), *part("registers", ", ".join(names)),
                       *part("spec", place(row))))
