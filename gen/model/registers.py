# SPDX-License-Identifier: ISC
"""registers.yaml: the register table, and code to move registers between hardware and client."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.arch import Arch
from gen.model.controls import Controls
from gen.model.msrs import Msrs
from gen.model.vmcb_fields import Vmcb
from gen.model.vmcs_fields import Vmcs, VmcsField
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
NO_GUEST_FIELD = Message("'{name}': the VMCS has no guest field '{field}'",
                         "a field of vmcs_fields.yaml with group guest")
NO_CONTROL_FIELD = Message("register '{name}': the VMCS has no control field '{field}'",
                           "a field of vmcs_fields.yaml with group control")
GUEST_FIELD_TWICE = Message("'{name}': VMCS field '{field}' is '{other}' too",
                            "one place a register, the other is at {first}")
NOT_SWITCHED = Message("'{name}': VMCS field '{field}' waits for {control}, which is {policy}",
                       "policy: required for {control} in controls.yaml")
NO_SHADOW = Message("register '{name}': bits of it are the host's, and there is no shadow",
                    "shadow for both vendors: the guest reads what it wrote")
NO_HOST_BITS = Message("register '{name}': shadow, and no bit of it is the host's",
                       "a register with host bits in arch.yaml, or no shadow")
NO_MSR = Message("register '{name}': no MSR '{msr}'",
                 "an MSR of msrs.yaml whose VMX context is stay or swapgs")

# What the world switches do by themselves: RAX, of which each vendor has another use, and what
# the CPU switches. RDI holds the address meanwhile, and is loaded last.
_SWITCHED_APART = ("rax", "rsp", "rip", "rflags")
_SWITCH_AREA = "rdi"

_TABLE_PARTS = ("base", "limit")
_SEGMENT_PARTS = ("selector", "base", "limit", "access_rights")


@dataclass(frozen=True)
class Register:
    name: str
    group: str
    member: str  # of struct vcpu_reg_state, or empty
    index: int
    check: str
    get: str  # C expression for the value, on SVM
    put: str  # C statement that stores `value`, on SVM; empty: dropped
    vmx_get: str  # the same on VMX
    vmx_put: str
    doc: str

    @property
    def constant(self) -> str:
        return f"REG_{self.name.upper()}"

    @property
    def abi(self) -> str:
        return f"VCPU_REGS_{self.name.upper()}"

    @property
    def low_half(self) -> str:
        """The assembler's name for the low 32 bits of a general register."""
        return f"{self.name}d" if self.name[1:].isdigit() else f"e{self.name[1:]}"


@dataclass(frozen=True)
class Segment:
    name: str
    place: str  # in struct vcpu_reg_state
    field: str
    quirk: str
    table: bool  # GDTR or IDTR: base and limit only
    vmx: str  # VMCS_STEM of its fields
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

    @property
    def checked(self) -> tuple[Register, ...]:
        """Those whose values a client can get wrong."""
        return tuple(register for register in self.registers
                     if self.member and register.check != "none")


@dataclass(frozen=True)
class Registers:
    groups: tuple[Group, ...]
    segments: tuple[Segment, ...]
    checks: tuple[str, ...]

    @property
    def shadowed(self) -> tuple[Register, ...]:
        """Registers of which the guest on VMX owns some bits only."""
        return tuple(register for register in self.all if "vmx_owned_" in register.vmx_get)

    @property
    def switched(self) -> tuple[Register, ...]:
        """General registers that the code around the guest loads and stores, in that order."""
        found = [register for register in self.all
                 if register.group == "gprs" and register.name not in _SWITCHED_APART]
        return tuple(sorted(found, key=lambda register: register.name == _SWITCH_AREA))

    @property
    def all(self) -> tuple[Register, ...]:
        return tuple(register for group in self.groups for register in group.registers)


def build(spec: Spec, errors: Errors) -> Registers:
    doc = spec.doc("registers")
    vmcb: Vmcb = spec.model("vmcb_fields")
    msrs: Msrs = spec.model("msrs")
    arch: Arch = spec.model("arch")
    hosts = {word.name for word in arch.registers if word.host}
    members = _members(doc, errors)
    found: dict[str, list[Register]] = {group: [] for group in members}
    names: dict[str, Map] = {}
    fields: dict[tuple[str, str], Map] = {}
    vmcs = _VmcsPlaces(spec.model("vmcs_fields"), spec.model("controls"), errors)
    for row in doc["registers"]:
        name, group = row["register"], row["group"]
        if name in names:
            errors.add(row, SAME_NAME, name=name, first=where(names[name]))
        names.setdefault(name, row)
        if group not in members:
            errors.add(row, NO_GROUP, "group", name=name, group=group, known=", ".join(members))
            continue
        _check_index(row, len(found[group]), errors)
        _check_shadow(row, name in hosts, errors)
        found[group].append(Register(name, group, members[group], row.get("index", 0),
                                     row.get("check", "none"),
                                     *_svm(row, vmcb, msrs, fields, errors),
                                     *_vmx(row, vmcs, msrs, errors), row["doc"]))
    groups = tuple(Group(row["group"], members[row["group"]], row["doc"],
                         tuple(found[row["group"]])) for row in doc["groups"])
    checks = dict.fromkeys(register.check for group in groups for register in group.registers)
    return Registers(
        groups=groups,
        segments=_segments(doc, vmcb, vmcs, members.get("sregs", ""), fields, errors),
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


def _check_shadow(row: Map, host: bool, errors: Errors) -> None:
    """Bits that are the host's need a place for what the guest wrote."""
    shadows = ["shadow" in place for place in (row["vmx"], row["svm"]) if isinstance(place, Map)]
    if host and not all(shadows):
        errors.add(row, NO_SHADOW, name=row["register"])
    elif isinstance(row["svm"], Map) and "shadow" in row["svm"] and not host:
        errors.add(row["svm"], NO_HOST_BITS, "shadow", name=row["register"])


class _VmcsPlaces:
    """VMCS fields that hold registers: each there, switched, and used once."""

    def __init__(self, vmcs: Vmcs, controls: Controls, errors: Errors) -> None:
        self._vmcs = vmcs
        self._controls = controls
        self._errors = errors
        self._owners: dict[str, tuple[str, Map]] = {}

    def claim(self, node: Map, key: str, field: str, name: str) -> str:
        """The C name of a guest field."""
        found = self._vmcs.field(field)
        if found is None or found.group != "guest":
            self._errors.add(node, NO_GUEST_FIELD, key, name=name, field=field)
        else:
            self._check_switched(node, key, found, name)
        other, place = self._owners.setdefault(field, (name, node))
        if place is not node:
            self._errors.add(node, GUEST_FIELD_TWICE, key, name=name, field=field, other=other,
                             first=where(place))
        return f"VMCS_{field.upper()}"

    def control(self, node: Map, key: str, name: str) -> str:
        """The C name of a control field that goes with a register."""
        field = node[key]
        found = self._vmcs.field(field)
        if found is None or found.group != "control":
            self._errors.add(node, NO_CONTROL_FIELD, key, name=name, field=field)
        return f"VMCS_{field.upper()}"

    def _check_switched(self, node: Map, key: str, field: VmcsField, name: str) -> None:
        for control in field.needs:
            policy = self._controls.vmx.policy(control)
            if policy not in ("required", ""):
                self._errors.add(node, NOT_SWITCHED, key, name=name, field=field.name,
                                 control=control, policy=policy)


def _vmx(row: Map, vmcs: _VmcsPlaces, msrs: Msrs, errors: Errors) -> tuple[str, str]:
    """How to read and write a register on VMX, as C."""
    name, vmx = row["register"], row["vmx"]
    if "field" in vmx:
        field = vmcs.claim(vmx, "field", vmx["field"], name)
        if "shadow" not in vmx:
            return f"vmx_vmread({field})", f"vmx_vmwrite({field}, value);"
        shadow = vmcs.control(vmx, "shadow", name)
        owned = f"&vmx_owned_{name}"
        return (f"owned_read({field}, {shadow}, {owned})",
                f"owned_write({field}, {shadow}, {owned}, value);")
    if "stay" in vmx:
        if not any(msr.name == vmx["stay"] and msr.vmx in ("stay", "swapgs")
                   for msr in msrs.msrs):
            errors.add(vmx, NO_MSR, "stay", name=name, msr=vmx["stay"])
        place = f"v->msr[MSR_SLOT_{vmx['stay'].upper()}]"
    elif "slot" in vmx:
        place = _slot(vmx, name, msrs, errors)
    else:
        place = _software(vmx["software"], row)
    return place, f"{place} = value;"


def _software(word: str, row: Map) -> str:
    """Where struct vcpu keeps a register."""
    if word == "gpr":
        return f"v->gpr[REG_{row['register'].upper()}]"
    return f"v->dr[{row.get('index', 0)}]" if word == "dr" else f"v->{word}"


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
        place = _software(svm["software"], row)
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
    if "shadow" in svm:
        shadow, host = f"v->{svm['shadow']}", f"ARCH_{name.upper()}_HOST"
        get = f"({get} & ~(uint64_t){host}) |\n\t\t    ({shadow} & {host})"
        return get, (f"{shadow} = value;\n"
                     f"\t\tvmcb_set_{field}(vmcb, value | {name}_host);")
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


def _segments(doc: Map, vmcb: Vmcb, vmcs: _VmcsPlaces, member: str,
              fields: dict[tuple[str, str], Map], errors: Errors) -> tuple[Segment, ...]:
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
        else:
            for part in _TABLE_PARTS if "member" in row else _SEGMENT_PARTS:
                vmcs.claim(row["vmx"], "fields", f"{row['vmx']['fields']}_{part}", name)
        expected += "index" in row
        _claim(row["svm"], name, vmcb, fields, True, errors)
        place = row.get("member", f"{member}[VCPU_REGS_{name.upper()}]")
        segments.append(Segment(name, place, row["svm"]["field"], row["svm"].get("quirk", "none"),
                                "member" in row, f"VMCS_{row['vmx']['fields'].upper()}",
                                row["doc"]))
    return tuple(segments)
