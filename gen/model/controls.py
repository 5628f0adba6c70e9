# SPDX-License-Identifier: ISC
"""Controls: the bits that make the CPU leave the guest, and what each waits for."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.bits import parse_range
from gen.model.exit_reasons import Exit, Exits
from gen.model.vmcb_fields import Vmcb
from gen.model.vmx_capabilities import VmxCapabilities, build_capabilities
from gen.model.vmx_controls import ON, VmxControl, VmxControls, build_vmx
from gen.spec import Spec

NAME_TWICE = Message("the name '{name}' stands twice", "rename one, the first is at {place}")
CAP_TWICE = Message("capability bit {bit} of leaf {leaf} {reg} has two names",
                    "keep one, the first is at {place}")
CAP_GAP = Message("bit {bit} of CPUID 0x8000000a EDX is no capability",
                  "add it, if need be as unused")
NO_TITLE = Message("capability '{cap}' is required and has no title",
                   "title: what the log line says is missing")
NO_WORD = Message("'{name}' is of word '{word}', which svm_words does not list", "one of {known}")
NO_FIELD = Message("'{word}' is no number of the VMCB", "a field of vmcb_fields.yaml")
BAD_BITS = Message("'{name}': bits {bits} of {word} do not exist", "below {width}")
BIT_TWICE = Message("bit {bit} of {word} belongs to '{name}' and to '{other}'",
                    "give it to one, see {place}")
BIT_GAP = Message("bit {bit} of {word} has no control", "add it, if need be as refused")
NOT_NAMED = Message("'{name}' sets bit {bit} of {word}, which is reserved there",
                    "policy: refused, or name the bit in vmcb_fields.yaml")
NO_CAP = Message("'{name}' needs '{cap}', which is no capability", "one of {known}")
CAP_UNUSED = Message("'{name}' needs '{cap}', which the driver does not look at",
                     "policy: wanted for the capability")
NEEDS_POLICY = Message("'{name}' is {policy} and needs a capability", "policy: wanted")
WANTED_FREE = Message("'{name}' is wanted and waits for nothing",
                      "needs: a capability, or required")
NO_COLUMN = Message("'{name}' has no bit of either vendor", "svm, vmx, or both")
ONLY_VMX = Message("'{name}' is {policy}, which SVM does not have",
                   "required, wanted, dynamic or refused")
NO_EXIT = Message("'{name}' turns exit '{exit}' on, which exit_reasons.yaml does not have for "
                  "{vendor}", "the name of a row with a number of that vendor")
ERROR_EXIT = Message("'{name}' turns exit '{exit}' on, whose action is error",
                     "an action in exit_reasons.yaml, or policy: refused")
DEAD_EXIT = Message("exit '{exit}' has action '{action}' but no {vendor} control turns it on",
                    "a control with this exit that is not refused, or action: error")
NO_AFTER = Message("'{field}' is written after exit '{exit}', which exit_reasons.yaml does not "
                   "have for SVM", "the name of a row with an SVM code")
VALUE_WIDE = Message("value {value} does not fit in '{field}'", "at most {limit}")

_LEAF = 0x8000000A


@dataclass(frozen=True)
class Cap:
    name: str
    leaf: int
    reg: str
    bit: int
    policy: str
    title: str
    doc: str

    @property
    def used(self) -> bool:
        return self.policy != "unused"


@dataclass(frozen=True)
class Control:
    name: str
    word: str
    high: int
    low: int
    policy: str
    needs: str
    exits: tuple[str, ...]
    doc: str
    row: Map

    @property
    def mask(self) -> int:
        return ((1 << (self.high - self.low + 1)) - 1) << self.low

    @property
    def suffix(self) -> str:
        return "ULL" if self.mask >> 32 else "u"


@dataclass(frozen=True)
class WordSetting:
    """What svm_controls_init() puts into one word."""

    word: str
    c_type: str
    required: int
    wanted: tuple[tuple[str, int], ...]  # capability, mask

    @property
    def suffix(self) -> str:
        return "ULL" if self.everything >> 32 else "u"

    @property
    def everything(self) -> int:
        return self.required | sum(mask for _, mask in self.wanted)


@dataclass(frozen=True)
class Setting:
    field: str
    value: int
    needs: str
    after: Exit | None  # also written after each of these


@dataclass(frozen=True)
class Controls:
    caps: tuple[Cap, ...]
    controls: tuple[Control, ...]
    words: tuple[WordSetting, ...]
    values: tuple[Setting, ...]
    vmx: VmxControls
    vmx_capabilities: VmxCapabilities

    @property
    def used_caps(self) -> tuple[Cap, ...]:
        return tuple(cap for cap in self.caps if cap.used)

    @property
    def renewed(self) -> tuple[Setting, ...]:
        """What the exit it names has used up."""
        return tuple(value for value in self.values if value.after is not None)

    @property
    def dynamic(self) -> tuple[Control, ...]:
        return tuple(control for control in self.controls if control.policy == "dynamic")

    def caps_of(self, leaf: int, reg: str) -> tuple[Cap, ...]:
        return tuple(cap for cap in self.used_caps if (cap.leaf, cap.reg) == (leaf, reg))


def build(spec: Spec, errors: Errors) -> Controls:
    doc = spec.doc("controls")
    vmcb: Vmcb = spec.model("vmcb_fields")
    exits: Exits = spec.model("exit_reasons")
    caps = _caps(doc, errors)
    controls = _controls(doc, vmcb, caps, errors)
    vmx = build_vmx(spec, doc, errors)
    _check_exits(controls, vmx.controls, exits, errors)
    words = tuple(_word(row, vmcb, controls) for row in doc["svm_words"])
    return Controls(caps, controls, words, _values(doc, vmcb, caps, exits, errors), vmx,
                    build_capabilities(spec, doc, vmx, errors))


def _caps(doc: Map, errors: Errors) -> tuple[Cap, ...]:
    seen: dict[tuple[int, str, int], Map] = {}
    names: dict[str, Map] = {}
    for row in doc["svm_capabilities"]:
        key = (row["leaf"], row["reg"], row["bit"])
        if key in seen:
            errors.add(row, CAP_TWICE, "bit", bit=row["bit"], leaf=f"0x{row['leaf']:08x}",
                       reg=row["reg"].upper(), place=where(seen[key]))
        seen.setdefault(key, row)
        if row["cap"] in names:
            errors.add(row, NAME_TWICE, "cap", name=row["cap"], place=where(names[row["cap"]]))
        names.setdefault(row["cap"], row)
        if row["policy"] == "required" and "title" not in row:
            errors.add(row, NO_TITLE, cap=row["cap"])
    for bit in range(32):
        if (_LEAF, "edx", bit) not in seen:
            errors.add(doc["svm_capabilities"], CAP_GAP, bit=bit)
    return tuple(Cap(row["cap"], row["leaf"], row["reg"], row["bit"], row["policy"],
                     row.get("title", ""), row["doc"]) for row in doc["svm_capabilities"])


def _controls(doc: Map, vmcb: Vmcb, caps: tuple[Cap, ...], errors: Errors) -> tuple[Control, ...]:
    widths: dict[str, int] = {}
    for row in doc["svm_words"]:
        field = vmcb.field(row["word"])
        if field is None or not field.scalar or field.reserved:
            errors.add(row, NO_FIELD, "word", word=row["word"])
            continue
        widths[row["word"]] = field.size * 8
    controls: list[Control] = []
    owner: dict[tuple[str, int], Control] = {}
    names: dict[str, Map] = {}
    for row in doc["controls"]:
        name = row["control"]
        if name in names:
            errors.add(row, NAME_TWICE, "control", name=name, place=where(names[name]))
        names.setdefault(name, row)
        if "svm" not in row:
            if "vmx" not in row:
                errors.add(row, NO_COLUMN, "control", name=name)
            continue
        if row["policy"] in ("fallback", "default1"):
            errors.add(row, ONLY_VMX, "policy", name=name, policy=row["policy"])
        control = _control(row, widths, errors)
        if control is None:
            continue
        _check_needs(row, name, row["policy"], caps, errors)
        _check_named(control, vmcb, errors)
        _claim(control, owner, errors)
        controls.append(control)
    for row in doc["svm_words"]:
        for bit in range(widths.get(row["word"], 0) if row["complete"] else 0):
            if (row["word"], bit) not in owner:
                errors.add(row, BIT_GAP, "word", bit=bit, word=row["word"])
                break
    return tuple(controls)


def _claim(control: Control, owner: dict[tuple[str, int], Control], errors: Errors) -> None:
    for bit in range(control.high, control.low - 1, -1):
        key = (control.word, bit)
        if key in owner:
            errors.add(control.row, BIT_TWICE, "svm", bit=bit, word=control.word,
                       name=control.name, other=owner[key].name, place=where(owner[key].row))
            return
        owner[key] = control


def _control(row: Map, widths: dict[str, int], errors: Errors) -> Control | None:
    name, word, bits = row["control"], row["svm"]["word"], row["svm"]["bits"]
    if word not in widths:
        errors.add(row, NO_WORD, "svm", name=name, word=word, known=", ".join(widths))
        return None
    found = parse_range(bits, widths[word])
    if found is None:
        errors.add(row, BAD_BITS, "svm", name=name, bits=bits, word=word, width=widths[word])
        return None
    return Control(name, word, found[0], found[1], row["policy"], row.get("needs", ""),
                   tuple(row["exits"]), row["doc"], row)


def _check_needs(row: Map, name: str, policy: str, caps: tuple[Cap, ...], errors: Errors) -> None:
    needs = row.get("needs")
    if needs is None:
        if policy == "wanted":
            errors.add(row, WANTED_FREE, "policy", name=name)
        return
    if policy != "wanted":
        errors.add(row, NEEDS_POLICY, "needs", name=name, policy=policy)
    cap = next((cap for cap in caps if cap.name == needs), None)
    if cap is None:
        errors.add(row, NO_CAP, "needs", name=name, cap=needs,
                   known=", ".join(item.name for item in caps if item.used))
    elif not cap.used:
        errors.add(row, CAP_UNUSED, "needs", name=name, cap=needs)


def _check_named(control: Control, vmcb: Vmcb, errors: Errors) -> None:
    """A bit that we set must exist in the word's layout, where it has one."""
    field = vmcb.field(control.word)
    layout = vmcb.layout(field.layout) if field is not None and field.layout else None
    if layout is None or control.policy == "refused":
        return
    named = sum(item.mask for item in layout.fields if item.name)
    if control.mask & ~named:
        errors.add(control.row, NOT_NAMED, "svm", name=control.name, bit=control.high,
                   word=control.word)


def _check_exits(svm: tuple[Control, ...], vmx: tuple[VmxControl, ...], exits: Exits,
                 errors: Errors) -> None:
    """Exits that a vendor has are turned on by its controls, and the others are not asked for."""
    rows = {item.name: item for item in exits.exits}
    on: dict[str, set[str]] = {"SVM": set(), "VMX": set()}
    named: dict[str, set[str]] = {"SVM": set(), "VMX": set()}
    both: tuple[tuple[str, tuple[Control | VmxControl, ...]], ...] = (("SVM", svm), ("VMX", vmx))
    for vendor, controls in both:
        for control in controls:
            for name in control.exits:
                known = name in rows and (rows[name].svm if vendor == "SVM" else rows[name].vmx)
                if not known and not (control.policy == "refused" and name in rows):
                    errors.add(control.row, NO_EXIT, "exits", name=control.name, exit=name,
                               vendor=vendor)
                named[vendor].add(name)
                # The fallback's exits come only where there is a fallback.
                if known and control.policy in ON:
                    on[vendor].add(name)
                    if rows[name].action == "error":
                        errors.add(control.row, ERROR_EXIT, "exits", name=control.name, exit=name)
    for item in exits.exits:
        if any(number.unconditional for number in item.vmx):
            on["VMX"].add(item.name)
    for item in exits.exits:
        for vendor, other, numbers in (("SVM", "VMX", item.svm), ("VMX", "SVM", item.vmx)):
            refused = item.name in named[vendor] and item.name in on[other]
            if numbers and item.action != "error" and item.name not in on[vendor] and not refused:
                errors.add(item.row, DEAD_EXIT, "action", exit=item.name, action=item.action,
                           vendor=vendor)


def _word(row: Map, vmcb: Vmcb, controls: tuple[Control, ...]) -> WordSetting:
    word = row["word"]
    mine = [control for control in controls if control.word == word]
    required = sum(control.mask for control in mine if control.policy == "required")
    caps = dict.fromkeys(control.needs for control in mine if control.policy == "wanted")
    wanted = tuple((cap, sum(control.mask for control in mine if control.needs == cap))
                   for cap in caps)
    field = vmcb.field(word)
    return WordSetting(word, field.c_type if field is not None else "", required, wanted)


def _values(doc: Map, vmcb: Vmcb, caps: tuple[Cap, ...], exits: Exits,
            errors: Errors) -> tuple[Setting, ...]:
    by_name = {item.name: item for item in exits.exits if item.svm}
    for row in doc["svm_values"]:
        field = vmcb.field(row["field"])
        if field is None or not field.scalar or field.reserved:
            errors.add(row, NO_FIELD, "field", word=row["field"])
        elif row["value"] >= 1 << (field.size * 8):
            errors.add(row, VALUE_WIDE, "value", value=row["value"], field=row["field"],
                       limit=(1 << (field.size * 8)) - 1)
        _check_needs(row, row["field"], "wanted", caps, errors)
        if "after" in row and row["after"] not in by_name:
            errors.add(row, NO_AFTER, "after", field=row["field"], exit=row["after"])
    return tuple(Setting(row["field"], row["value"], row["needs"], by_name.get(row.get("after")))
                 for row in doc["svm_values"])
