# SPDX-License-Identifier: ISC
"""registers.yaml: the register table, and code to move registers between VMCB and client."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.msrs import Msrs
from gen.model.vmcb_fields import Vmcb
from gen.spec import Spec

SAME_NAME = Message("register '{name}' stands twice", "one row a name, the first is at {first}")
SAME_GROUP = Message("group '{name}' stands twice", "one row a group, the first is at {first}")
NO_GROUP = Message("register '{name}': group '{group}' has no row in groups", "one of {known}")
GROUP_MEMBER = Message("group '{name}': member and group internal do not go together",
                       "every other group is a member of struct vcpu_reg_state")
INDEX_ORDER = Message("register '{name}': index {index} in group '{group}'",
                      "the group's registers stand in order, this one is {expected}")
INDEX_KEY = Message("register '{name}': index and group internal do not go together",
                    "every other group gives its registers an index")
SEGMENT_PLACE = Message("segment '{name}': needs one of index and member",
                        "index within the segment group, or the member it has to itself")
NO_FIELD = Message("register '{name}': the VMCB has no field '{field}'",
                   "a field of vmcb_fields.yaml")
FIELD_SHAPE = Message("register '{name}': VMCB field '{field}' has the wrong shape",
                      "a segment for a segment, a number for a register")
FIELD_OUT = Message("register '{name}': VMCB field '{field}' is not loaded into the guest",
                    "a field with flow in, both or vmload")
NO_BITS = Message("register '{name}': VMCB field '{field}' has no part '{bits}'",
                  "a part of the field's layout")
SAME_FIELD = Message("register '{name}': VMCB field '{field}' is register '{other}' too",
                     "one place a register, the other is at {first}")
NO_SLOT = Message("register '{name}': MSR '{slot}' has no slot",
                  "an MSR of msrs.yaml with slot or shadow")
NO_MSR = Message("register '{name}': no MSR '{msr}'",
                 "an MSR of msrs.yaml whose VMX context is lists")


@dataclass(frozen=True)
class Register:
    name: str
    group: str
    member: str  # of struct vcpu_reg_state, or empty
    index: int
    check: str
    get: str  # C expression for the value, on SVM
    put: str  # C statement that stores `value`, on SVM; empty: dropped
    doc: str

    @property
    def constant(self) -> str:
        return f"REG_{self.name.upper()}"

    @property
    def abi(self) -> str:
        return f"VCPU_REGS_{self.name.upper()}"


@dataclass(frozen=True)
class Segment:
    name: str
    place: str  # in struct vcpu_reg_state
    field: str
    quirk: str
    table: bool  # GDTR or IDTR: base and limit only
    doc: str

    @property
    def constant(self) -> str:
        return f"SREG_{self.name.upper()}"


@dataclass(frozen=True)
class Group:
    name: str
    member: str
    doc: str
    registers: tuple[Register, ...]

    @property
    def mask(self) -> str:
        return f"VM_RWREGS_{self.name.upper()}" if self.member else "0"


@dataclass(frozen=True)
class Registers:
    groups: tuple[Group, ...]
    segments: tuple[Segment, ...]
    checks: tuple[str, ...]

    @property
    def all(self) -> tuple[Register, ...]:
        return tuple(register for group in self.groups for register in group.registers)


def build(spec: Spec, errors: Errors) -> Registers:
    doc = spec.doc("registers")
    vmcb: Vmcb = spec.model("vmcb_fields")
    msrs: Msrs = spec.model("msrs")
    members = _members(doc, errors)
    found: dict[str, list[Register]] = {group: [] for group in members}
    names: dict[str, Map] = {}
    fields: dict[tuple[str, str], Map] = {}
    for row in doc["registers"]:
        name, group = row["register"], row["group"]
        if name in names:
            errors.add(row, SAME_NAME, name=name, first=where(names[name]))
        names.setdefault(name, row)
        if group not in members:
            errors.add(row, NO_GROUP, "group", name=name, group=group, known=", ".join(members))
            continue
        _check_index(row, len(found[group]), errors)
        _check_vmx(row, msrs, errors)
        get, put = _svm(row, vmcb, msrs, fields, errors)
        found[group].append(Register(name, group, members[group], row.get("index", 0),
                                     row.get("check", "none"), get, put, row["doc"]))
    groups = tuple(Group(row["group"], members[row["group"]], row["doc"],
                         tuple(found[row["group"]])) for row in doc["groups"])
    checks = dict.fromkeys(register.check for group in groups for register in group.registers)
    return Registers(
        groups=groups,
        segments=_segments(doc, vmcb, members.get("sregs", ""), fields, errors),
        checks=("none", *(check for check in checks if check != "none")),
    )


def _members(doc: Map, errors: Errors) -> dict[str, str]:
    first: dict[str, Map] = {}
    for row in doc["groups"]:
        name = row["group"]
        if name in first:
            errors.add(row, SAME_GROUP, name=name, first=where(first[name]))
        first.setdefault(name, row)
        if ("member" in row) == (name == "internal"):
            errors.add(row, GROUP_MEMBER, name=name)
    return {name: row.get("member", "") for name, row in first.items()}


def _check_index(row: Map, expected: int, errors: Errors) -> None:
    name, group = row["register"], row["group"]
    if ("index" in row) == (group == "internal"):
        errors.add(row, INDEX_KEY, name=name)
    elif row.get("index", expected) != expected:
        errors.add(row, INDEX_ORDER, "index", name=name, index=row["index"], group=group,
                   expected=expected)


def _check_vmx(row: Map, msrs: Msrs, errors: Errors) -> None:
    name, vmx = row["register"], row["vmx"]
    if "slot" in vmx:
        _slot(vmx, name, msrs, errors)
    if "list" in vmx and not any(msr.name == vmx["list"] and msr.vmx == "lists"
                                 for msr in msrs.msrs):
        errors.add(vmx, NO_MSR, "list", name=name, msr=vmx["list"])


def _slot(node: Map, name: str, msrs: Msrs, errors: Errors) -> str:
    if not any(msr.name == node["slot"] for msr in msrs.slots):
        errors.add(node, NO_SLOT, "slot", name=name, slot=node["slot"])
    return f"v->msr[MSR_SLOT_{node['slot'].upper()}]"


def _svm(row: Map, vmcb: Vmcb, msrs: Msrs, fields: dict[tuple[str, str], Map],
         errors: Errors) -> tuple[str, str]:
    """How to read and write a register, as C."""
    name, svm = row["register"], row["svm"]
    if svm == "none":
        return "0", ""
    if "field" in svm:
        return _vmcb_field(svm, name, vmcb, fields, errors)
    if "slot" in svm:
        place = _slot(svm, name, msrs, errors)
    else:
        place = {"gpr": f"v->gpr[REG_{name.upper()}]", "dr": f"v->dr[{row.get('index', 0)}]",
                 "xcr0": "v->xcr0"}[svm["software"]]
    return place, f"{place} = value;"


def _vmcb_field(svm: Map, name: str, vmcb: Vmcb, fields: dict[tuple[str, str], Map],
                errors: Errors) -> tuple[str, str]:
    field = svm["field"]
    part = svm.get("bits", "")
    _claim(svm, name, vmcb, fields, False, errors)
    get, put = f"vmcb_get_{field}(vmcb)", "value"
    if part:
        stem = f"VMCB_{field.upper()}_{part.upper()}"
        found = vmcb.field(field)
        layout = vmcb.layout(found.layout) if found else None
        if layout is None or part.upper() not in [item.name for item in layout.fields]:
            errors.add(svm, NO_BITS, "bits", name=name, field=field, bits=part)
        put = f"({get} & ~{stem}_MASK) |\n\t\t    (value << {stem}_SHIFT & {stem}_MASK)"
        get = f"({get} & {stem}_MASK) >>\n\t\t    {stem}_SHIFT"
    if "forced" in svm:
        bit = f"ARCH_{svm['forced'].upper()}"
        get, put = f"{get} & ~(uint64_t){bit}", f"{put} | {bit}"
    return get, f"vmcb_set_{field}(vmcb, {put});"


def _claim(svm: Map, name: str, vmcb: Vmcb, fields: dict[tuple[str, str], Map], segment: bool,
           errors: Errors) -> None:
    """The field exists, fits, reaches the guest, and is nobody else's."""
    field = svm["field"]
    found = vmcb.field(field)
    if found is None:
        errors.add(svm, NO_FIELD, "field", name=name, field=field)
        return
    if found.segment != segment or not (segment or found.scalar):
        errors.add(svm, FIELD_SHAPE, "field", name=name, field=field)
    if found.flow not in ("in", "both", "vmload"):
        errors.add(svm, FIELD_OUT, "field", name=name, field=field)
    key = (field, svm.get("bits", ""))
    if key in fields:
        errors.add(svm, SAME_FIELD, "field", name=name, field=field, other=fields[key]["owner"],
                   first=where(fields[key]))
        return
    owner = Map(svm.file, svm.line)
    owner.put("owner", name, svm.line)
    fields[key] = owner


def _segments(doc: Map, vmcb: Vmcb, member: str, fields: dict[tuple[str, str], Map],
              errors: Errors) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    names: dict[str, Map] = {}
    expected = 0
    for row in doc["segments"]:
        name = row["segment"]
        if name in names:
            errors.add(row, SAME_NAME, name=name, first=where(names[name]))
        names.setdefault(name, row)
        if ("index" in row) == ("member" in row):
            errors.add(row, SEGMENT_PLACE, name=name)
        elif "index" in row and row["index"] != expected:
            errors.add(row, INDEX_ORDER, "index", name=name, index=row["index"], group="sregs",
                       expected=expected)
        expected += "index" in row
        _claim(row["svm"], name, vmcb, fields, True, errors)
        place = row.get("member", f"{member}[VCPU_REGS_{name.upper()}]")
        segments.append(Segment(name, place, row["svm"]["field"], row["svm"].get("quirk", "none"),
                                "member" in row, row["doc"]))
    return tuple(segments)
