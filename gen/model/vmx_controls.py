# SPDX-License-Identifier: ISC
"""The VMX columns of controls.yaml: words, their capability MSRs, what is asked of each bit."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, SpecError, where
from gen.load import Map
from gen.model.bits import parse_range
from gen.model.cpuid import Cpuid
from gen.model.msrs import Msrs
from gen.model.vmcs_fields import Vmcs, VmcsField
from gen.spec import Spec

NO_WORD = Message("'{name}' is of word '{word}', which vmx_words does not list", "one of {known}")
WORD_TWICE = Message("VMX word '{word}' stands twice", "keep one, the first is at {place}")
NO_FIELD = Message("'{name}' names field '{field}', which the VMCS does not have as a control",
                   "a field of vmcs_fields.yaml with group control")
NO_MSR = Message("VMX word '{word}' names '{msr}', which is no MSR", "an MSR of msrs.yaml")
BAD_BITS = Message("'{name}': bits {bits} of VMX word {word} do not exist", "below {width}")
BIT_TWICE = Message("bit {bit} of VMX word {word} belongs to '{name}' and to '{other}'",
                    "give it to one, see {place}")
BIT_GAP = Message("bit {bit} of VMX word {word} has no control", "add it, if need be as refused")
NAME_TWICE = Message("'{name}' stands twice in VMX word {word}",
                     "rename one, the first is at {place}")
NOT_DEFAULT1 = Message("'{name}' is default1 but outside that class of {word}",
                       "policy: refused, or correct the word's default1")
NO_CONTROL = Message("'{name}' needs '{control}', which is no VMX control",
                     "WORD.NAME of a row with a VMX column")
NOT_ACTIVE = Message("'{name}' may be set, but {control} that activates its word is {policy}",
                     "policy: required or wanted for {control}")
UNLESS_KEY = Message("'{name}' is {policy} and unless does not fit",
                     "policy fallback and unless go together")
UNLESS_WANTED = Message("'{name}' stands in for '{control}'",
                        "a control of the same word that is wanted, the same for the whole word")
NO_FEATURE = Message("'{name}' names CPUID feature '{feature}'", "the name of a bit of cpuid.yaml")
FEATURE_HIDDEN = Message("'{name}' lets the guest use '{feature}', which CPUID hides",
                         "policy: refused, or show the feature")
FEATURE_SHOWN = Message("'{name}' keeps from the guest '{feature}', which CPUID shows",
                        "policy: required or wanted, or hide the feature")
VALUE_WIDE = Message("value {value} does not fit in '{field}'", "at most {limit}")
VALUE_NEED = Message("'{field}' does not depend on '{control}'", "one of {known}")

ON = ("required", "wanted", "fallback", "dynamic")


@dataclass(frozen=True)
class VmxControl:
    name: str
    word: str
    high: int
    low: int
    policy: str
    unless: str
    exits: tuple[str, ...]
    doc: str
    row: Map

    @property
    def key(self) -> str:
        return f"{self.word}.{self.name}"

    @property
    def constant(self) -> str:
        return f"VMX_{self.word.upper()}_{self.name.upper()}"

    @property
    def mask(self) -> int:
        return ((1 << (self.high - self.low + 1)) - 1) << self.low


@dataclass(frozen=True)
class VmxWord:
    name: str
    field: VmcsField
    msr: str  # empty: every bit can be set
    true_msr: str
    active: VmxControl | None
    controls: tuple[VmxControl, ...]

    @property
    def wide(self) -> bool:
        return self.field.width == 64

    @property
    def c_type(self) -> str:
        return "uint64_t" if self.wide else "uint32_t"

    @property
    def suffix(self) -> str:
        return "ULL" if self.wide else "u"

    def mask(self, policy: str) -> int:
        return sum(control.mask for control in self.controls if control.policy == policy)

    @property
    def instead(self) -> int:
        """The wanted bits that the fallback stands in for."""
        names = {control.unless for control in self.controls if control.unless}
        return sum(control.mask for control in self.controls if control.key in names)


@dataclass(frozen=True)
class VmxValue:
    field: VmcsField
    value: int
    needs: VmxControl


@dataclass(frozen=True)
class VmxControls:
    words: tuple[VmxWord, ...]
    values: tuple[VmxValue, ...]

    @property
    def controls(self) -> tuple[VmxControl, ...]:
        return tuple(control for word in self.words for control in word.controls)

    def policy(self, key: str) -> str:
        """Of WORD.NAME; empty when there is none."""
        return next((control.policy for control in self.controls if control.key == key), "")


def build_vmx(spec: Spec, doc: Map, errors: Errors) -> VmxControls:
    vmcs: Vmcs = spec.model("vmcs_fields")
    rows, fields = _words(doc, vmcs, spec.model("msrs"), errors)
    if len(fields) != len(doc["vmx_words"]):
        raise SpecError("controls")
    found = _controls(doc, fields, spec.model("cpuid"), errors)
    by_key = {control.key: control for control in found}
    words = tuple(_word(rows[name], field, found, by_key, errors)
                  for name, field in fields.items())
    _check_unless(words, by_key, errors)
    for field in vmcs.fields:
        for need in field.needs:
            if need not in by_key:
                errors.add(field.row, NO_CONTROL, "needs", name=field.name, control=need)
    return VmxControls(words, _values(doc, vmcs, by_key, errors))


def _words(doc: Map, vmcs: Vmcs, msrs: Msrs,
           errors: Errors) -> tuple[dict[str, Map], dict[str, VmcsField]]:
    rows: dict[str, Map] = {}
    fields: dict[str, VmcsField] = {}
    known = {msr.name for msr in msrs.msrs}
    for row in doc["vmx_words"]:
        name = row["word"]
        if name in rows:
            errors.add(row, WORD_TWICE, "word", word=name, place=where(rows[name]))
            continue
        rows[name] = row
        for key in ("msr", "true_msr"):
            if key in row and row[key] not in known:
                errors.add(row, NO_MSR, key, word=name, msr=row[key])
        field = _control_field(row, name, vmcs, errors)
        if field is not None:
            fields[name] = field
    return rows, fields


def _control_field(row: Map, name: str, vmcs: Vmcs, errors: Errors) -> VmcsField | None:
    field = vmcs.field(row["field"])
    if field is None or field.group != "control":
        errors.add(row, NO_FIELD, "field", name=name, field=row["field"])
        return None
    return field


def _controls(doc: Map, fields: dict[str, VmcsField], cpuid: Cpuid,
              errors: Errors) -> tuple[VmxControl, ...]:
    found: list[VmxControl] = []
    owner: dict[tuple[str, int], VmxControl] = {}
    names: dict[str, Map] = {}
    for row in doc["controls"]:
        if "vmx" not in row:
            continue
        control = _control(row, fields, errors)
        if control is None:
            continue
        if control.key in names:
            errors.add(row, NAME_TWICE, "vmx", name=control.name, word=control.word,
                       place=where(names[control.key]))
        names.setdefault(control.key, row)
        _claim(control, owner, errors)
        _check_feature(control, cpuid, errors)
        found.append(control)
    for row in doc["vmx_words"]:
        word = row["word"]
        for bit in range(fields[word].width if word in fields else 0):
            if (word, bit) not in owner:
                errors.add(row, BIT_GAP, "word", bit=bit, word=word)
                break
        for control in found:
            if (control.word == word and control.policy == "default1"
                    and control.mask & ~row.get("default1", 0)):
                errors.add(control.row, NOT_DEFAULT1, "policy", name=control.name, word=word)
    return tuple(found)


def _control(row: Map, fields: dict[str, VmcsField], errors: Errors) -> VmxControl | None:
    column = row["vmx"]
    name, word = column.get("name", row["control"]), column["word"]
    if word not in fields:
        errors.add(row, NO_WORD, "vmx", name=name, word=word, known=", ".join(fields))
        return None
    bits = parse_range(column["bits"], fields[word].width)
    if bits is None:
        errors.add(row, BAD_BITS, "vmx", name=name, bits=column["bits"], word=word,
                   width=fields[word].width)
        return None
    return VmxControl(name, word, bits[0], bits[1], row["policy"], row.get("unless", ""),
                      tuple(row["exits"]), row["doc"], row)


def _claim(control: VmxControl, owner: dict[tuple[str, int], VmxControl],
           errors: Errors) -> None:
    for bit in range(control.high, control.low - 1, -1):
        other = owner.setdefault((control.word, bit), control)
        if other is not control:
            errors.add(control.row, BIT_TWICE, "vmx", bit=bit, word=control.word,
                       name=control.name, other=other.name, place=where(other.row))
            return


def _check_feature(control: VmxControl, cpuid: Cpuid, errors: Errors) -> None:
    feature = control.row.get("feature")
    if feature is None:
        return
    policies = [item.row.policy for item in cpuid.features if item.row.name == feature]
    if not policies:
        errors.add(control.row, NO_FEATURE, "feature", name=control.name, feature=feature)
    elif policies[0] == "hidden" and control.policy in ON:
        errors.add(control.row, FEATURE_HIDDEN, "policy", name=control.name, feature=feature)
    elif policies[0] != "hidden" and control.policy not in ON:
        errors.add(control.row, FEATURE_SHOWN, "policy", name=control.name, feature=feature)


def _word(row: Map, field: VmcsField, found: tuple[VmxControl, ...],
          by_key: dict[str, VmxControl], errors: Errors) -> VmxWord:
    mine = tuple(sorted((control for control in found if control.word == row["word"]),
                        key=lambda control: control.low))
    active = by_key.get(row.get("active", ""))
    if "active" in row and active is None:
        errors.add(row, NO_CONTROL, "active", name=row["word"], control=row["active"])
    for control in mine if active is not None else ():
        if active is not None and control.policy in ON and active.policy not in ("required",
                                                                                "wanted"):
            errors.add(control.row, NOT_ACTIVE, "policy", name=control.name,
                       control=active.key, policy=active.policy)
    return VmxWord(row["word"], field, row.get("msr", ""), row.get("true_msr", ""), active, mine)


def _check_unless(words: tuple[VmxWord, ...], by_key: dict[str, VmxControl],
                  errors: Errors) -> None:
    for word in words:
        chosen = ""
        for control in word.controls:
            if (control.policy == "fallback") != bool(control.unless):
                errors.add(control.row, UNLESS_KEY, "policy", name=control.name,
                           policy=control.policy)
            if not control.unless:
                continue
            other = by_key.get(control.unless)
            if (other is None or other.word != word.name or other.policy != "wanted"
                    or chosen not in ("", other.key)):
                errors.add(control.row, UNLESS_WANTED, "unless", name=control.name,
                           control=control.unless)
            chosen = chosen or control.unless


def _values(doc: Map, vmcs: Vmcs, by_key: dict[str, VmxControl],
            errors: Errors) -> tuple[VmxValue, ...]:
    values: list[VmxValue] = []
    for row in doc["vmx_values"]:
        field = _control_field(row, row["field"], vmcs, errors)
        control = by_key.get(row["needs"])
        if control is None:
            errors.add(row, NO_CONTROL, "needs", name=row["field"], control=row["needs"])
        if field is None or control is None:
            continue
        if row["value"] >= 1 << field.width:
            errors.add(row, VALUE_WIDE, "value", value=row["value"], field=field.name,
                       limit=(1 << field.width) - 1)
        if control.key not in field.needs:
            errors.add(row, VALUE_NEED, "needs", field=field.name, control=control.key,
                       known=", ".join(field.needs) or "none: it always exists")
        values.append(VmxValue(field, row["value"], control))
    return tuple(values)
