# SPDX-License-Identifier: ISC
"""What VMX can do that is no control: EPT and VPIDs, and the fixed bits of control registers."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.arch import Word
from gen.model.bits import Field, mask_of
from gen.model.vmx_controls import NO_CONTROL, NO_MSR, VmxControl, VmxControls
from gen.spec import Spec

NO_BIT = Message("'{name}' names bit '{bit}', which layout {layout} does not have",
                 "one of {known}")
BIT_TWICE = Message("bit '{bit}' belongs to '{name}' and to '{other}'",
                    "give it to one, see {place}")
BIT_GAP = Message("bit '{bit}' of {layout} is no capability", "add it, if need be as unused")
CONTROL_OFF = Message("'{name}' is {policy} for {control}, which is {other}",
                      "policy: unused, or a control that is required or wanted")
REGISTER_TWICE = Message("fixed bits of '{register}' stand twice",
                         "one row a register, the first is at {place}")
NO_REGISTER_BIT = Message("{register} has no bit '{bit}'", "one of {known}")
REGISTER_BIT_TWICE = Message("{register}.{bit} stands twice", "keep one, the first is at {place}")
NOT_RELAXED = Message("{register}.{bit} may be 0 because of {control}, which is {policy}",
                      "a control that is required")

_LAYOUT = "ept_vpid_cap"


@dataclass(frozen=True)
class VmxCap:
    """Any of the bits of `mask` will do."""

    title: str
    mask: int
    policy: str
    control: VmxControl


@dataclass(frozen=True)
class VmxFixed:
    register: str
    fixed0: str
    fixed1: str
    width: int
    relaxed: int
    clear: tuple[tuple[str, int], ...]  # bit, mask

    @property
    def clear_mask(self) -> int:
        return sum(mask for _, mask in self.clear)


@dataclass(frozen=True)
class VmxCapabilities:
    caps: tuple[VmxCap, ...]
    fixed: tuple[VmxFixed, ...]

    @property
    def used(self) -> int:
        return sum(cap.mask for cap in self.caps if cap.policy != "unused")

    def lacking(self, policy: str) -> tuple[VmxCap, ...]:
        """Those that a control of that policy cannot do without."""
        return tuple(cap for cap in self.caps
                     if cap.policy == "required" and cap.control.policy == policy)


def build_capabilities(spec: Spec, doc: Map, controls: VmxControls,
                       errors: Errors) -> VmxCapabilities:
    by_key = {control.key: control for control in controls.controls}
    return VmxCapabilities(_caps(spec, doc, by_key, errors), _fixed(spec, doc, by_key, errors))


def _caps(spec: Spec, doc: Map, by_key: dict[str, VmxControl],
          errors: Errors) -> tuple[VmxCap, ...]:
    fields: dict[str, Field] = {
        field.name: field for layout in spec.model("vmcs_fields").layouts
        if layout.name == _LAYOUT for field in layout.fields if field.name}
    owner: dict[str, Map] = {}
    caps: list[VmxCap] = []
    for row in doc["vmx_capabilities"]:
        found = []
        for bit in row["bits"]:
            if bit not in fields:
                errors.add(row, NO_BIT, "bits", name=row["cap"], bit=bit, layout=_LAYOUT,
                           known=", ".join(fields))
                continue
            if bit in owner:
                errors.add(row, BIT_TWICE, "bits", bit=bit, name=row["cap"],
                           other=owner[bit]["cap"], place=where(owner[bit]))
            owner.setdefault(bit, row)
            found.append(fields[bit])
        control = _control(row, row["cap"], by_key, errors)
        if control is None:
            continue
        if row["policy"] != "unused" and control.policy not in ("required", "wanted"):
            errors.add(row, CONTROL_OFF, "control", name=row["cap"], policy=row["policy"],
                       control=control.key, other=control.policy)
        caps.append(VmxCap(row["cap"], mask_of(found), row["policy"], control))
    for bit in fields:
        if bit not in owner:
            errors.add(doc["vmx_capabilities"], BIT_GAP, bit=bit, layout=_LAYOUT)
    return tuple(caps)


def _control(row: Map, name: str, by_key: dict[str, VmxControl],
             errors: Errors) -> VmxControl | None:
    control = by_key.get(row["control"])
    if control is None:
        errors.add(row, NO_CONTROL, "control", name=name, control=row["control"])
    return control


def _fixed(spec: Spec, doc: Map, by_key: dict[str, VmxControl],
           errors: Errors) -> tuple[VmxFixed, ...]:
    msrs = {msr.name for msr in spec.model("msrs").msrs}
    seen: dict[str, Map] = {}
    fixed = []
    for row in doc["vmx_fixed"]:
        name = row["register"]
        if name in seen:
            errors.add(row, REGISTER_TWICE, "register", register=name, place=where(seen[name]))
        seen.setdefault(name, row)
        for key in ("fixed0", "fixed1"):
            if row[key] not in msrs:
                errors.add(row, NO_MSR, key, word=name, msr=row[key])
        fixed.append(_register(row, spec.model("arch").register(name), by_key, errors))
    return tuple(fixed)


def _register(row: Map, word: Word, by_key: dict[str, VmxControl], errors: Errors) -> VmxFixed:
    name = word.name.upper()
    masks = {bits.field.name: bits.field.mask for bits in word.bits if bits.field.name}
    seen: dict[str, Map] = {}
    for item in [*row["relaxed"], *row["clear"]]:
        bit = item["bit"]
        if bit not in masks:
            errors.add(item, NO_REGISTER_BIT, "bit", register=name, bit=bit,
                       known=", ".join(masks))
        if bit in seen:
            errors.add(item, REGISTER_BIT_TWICE, "bit", register=name, bit=bit,
                       place=where(seen[bit]))
        seen.setdefault(bit, item)
    for item in row["relaxed"]:
        control = _control(item, f"{name}.{item['bit']}", by_key, errors)
        if control is not None and control.policy != "required":
            errors.add(item, NOT_RELAXED, "control", register=name, bit=item["bit"],
                       control=control.key, policy=control.policy)
    return VmxFixed(word.name, row["fixed0"], row["fixed1"], row["width"],
                    sum(masks.get(item["bit"], 0) for item in row["relaxed"]),
                    tuple((item["bit"], masks.get(item["bit"], 0)) for item in row["clear"]))
