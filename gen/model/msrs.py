# SPDX-License-Identifier: ISC
"""msrs.yaml: the policy table, the slots, and what is open in the vendors' permission maps."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model import slots
from gen.model.cpuid import Cpuid
from gen.model.slots import Slots
from gen.model.vmcs_fields import Vmcs
from gen.spec import Spec

SAME_NAME = Message("MSR name '{name}' stands twice", "one name an MSR, the first is at {first}")
SAME_INDEX = Message("MSR '{name}': index {index:#x} is MSR '{other}' too",
                     "one row an index, the other is at {first}")
INDEX_ORDER = Message("MSR '{name}': index {index:#x} comes after {before:#x}", "indices ascend")
TOP_INDEX = Message("MSR '{name}': the count runs past 0xffffffff", "a smaller count")
UNKNOWN_BIT = Message("MSR '{name}': constant has bit '{bit}' without a number", "one of {known}")
SAME_BIT = Message("MSR '{name}': bits '{bit}' and '{other}' are both bit {number}",
                   "one name a bit")
PASS_CONTEXT = Message("MSR '{name}': passes without context",
                       "say who switches it on the vendors it passes on, or do not pass it")
NO_PASS = Message("MSR '{name}': context without pass", "remove it")
PASS_RANGE = Message("MSR '{name}': passes outside the permission maps",
                     "0-0x1fff or 0xc0000000-0xc0001fff")
SLOT_NEEDED = Message("MSR '{name}': reset or writable without shadow, slot or emulate",
                      "they describe a value that the driver keeps")
SHADOW_WRITABLE = Message("MSR '{name}': write shadow without writable",
                          "the bits a guest may change")
NO_REASON = Message("MSR '{name}': {policy} without reason or feature",
                    "say why, or name the CPUID bit that announces it")
NO_FEATURE = Message("MSR '{name}': no CPUID feature '{feature}'",
                     "the name of a bit of cpuid.yaml")
PROMISED = Message("MSR '{name}': faults although CPUID shows '{feature}'",
                   "hide the feature, or let the MSR work")
HIDDEN = Message("MSR '{name}': works although CPUID hides '{feature}'",
                 "show the feature, or refuse the MSR")
COUNT_STATE = Message("MSR '{name}': count with an MSR that passes or that the driver keeps",
                      "count is for fault, constant and ignore")

NO_VMCS = Message("MSR '{name}': the VMCS has neither guest_{name} nor guest_ia32_{name}",
                  "context vmx: stay, or a field of vmcs_fields.yaml")

# First index and the offset of its bits in VMX's read bitmaps; those for writes follow, as far
# away as both are long (SDM 3C 25.6.9).
VMX_BANKS = ((0x00000000, 0x000), (0xC0000000, 0x400))
VMX_WRITE = 0x800
# First index and the offset of its bits in SVM's map (APM 2 15.11).
SVM_BANKS = ((0x00000000, 0x0000), (0xC0000000, 0x0800), (0xC0010000, 0x1000))
BANK_SIZE = 0x2000
VENDORS = ("intel", "amd")
# A context of VMX: the MSR passes on SVM only.
SCE = "sce"


@dataclass(frozen=True)
class Bit:
    name: str
    number: int


@dataclass(frozen=True)
class Msr:
    name: str
    index: int
    count: int
    read: str
    write: str
    constant: int
    slot: bool
    writable: int
    reset: int
    check: str
    svm: str
    vmx: str
    vendors: tuple[str, ...]
    feature: str  # the CPUID bit that announces it, if one does
    bits: tuple[Bit, ...]
    doc: str

    @property
    def upper(self) -> str:
        return self.name.upper()

    @property
    def refused(self) -> bool:
        """A guest finds no difference between this and an MSR without a row."""
        return self.read == self.write == "fault"

    @property
    def exit_read(self) -> str:
        """What the driver does about an access that exits."""
        return "shadow" if self.vmx == SCE else self.read

    @property
    def exit_write(self) -> str:
        return "emulate" if self.vmx == SCE else self.write

    @property
    def feature_constant(self) -> str:
        return f"CPUID_FEATURE_{self.feature.upper()}" if self.feature else "CPUID_FEATURES"

    @property
    def vendor_mask(self) -> str:
        return " | ".join(f"MSR_VENDOR_{vendor.upper()}" for vendor in self.vendors)


@dataclass(frozen=True)
class Hole:
    """One byte of a permission map and the bits that are open in it."""

    byte: int
    mask: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Lookup:
    """From a number to its row, unless that refuses both ways."""

    slots: Slots
    rows: tuple[int | None, ...]


@dataclass(frozen=True)
class Msrs:
    msrs: tuple[Msr, ...]
    lookup: Lookup
    slots: tuple[Msr, ...]
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    svm_open: tuple[Hole, ...]
    vmx_open: tuple[Hole, ...]

    @property
    def vmx_contexts(self) -> tuple[Msr, ...]:
        """Those that the driver writes on VMX: in each stay, or in those with EFER.SCE."""
        return tuple(msr for msr in self.msrs if msr.vmx in ("stay", SCE))


def build(spec: Spec, errors: Errors) -> Msrs:
    doc = spec.doc("msrs")
    cpuid: Cpuid = spec.model("cpuid")
    vmcs: Vmcs = spec.model("vmcs_fields")
    msrs: list[Msr] = []
    names: dict[str, Map] = {}
    indices: dict[int, tuple[Msr, Map]] = {}
    last = -1
    for row in doc["msrs"]:
        if row["index"] < last:
            errors.add(row, INDEX_ORDER, name=row["msr"], index=row["index"], before=last)
        last = row["index"]
        _check_row(row, cpuid, errors)
        _check_vmcs(row, vmcs, errors)
        msr = _msr(row, errors)
        if msr.name in names:
            errors.add(row, SAME_NAME, name=msr.name, first=where(names[msr.name]))
        names.setdefault(msr.name, row)
        for index in range(msr.index, msr.index + msr.count):
            if index in indices:
                other, place = indices[index]
                errors.add(row, SAME_INDEX, name=msr.name, index=index, other=other.name,
                           first=where(place))
                break
            indices[index] = (msr, row)
        msrs.append(msr)
    return Msrs(
        msrs=tuple(msrs),
        lookup=_lookup(msrs),
        slots=tuple(msr for msr in msrs if msr.slot),
        readers=tuple(msr.name for msr in msrs if msr.exit_read == "emulate"),
        writers=tuple(msr.name for msr in msrs if msr.exit_write == "emulate"),
        svm_open=_svm_open(msrs),
        vmx_open=_vmx_open(msrs),
    )


def _lookup(msrs: list[Msr]) -> Lookup:
    rows = {msr.index + nth: row for row, msr in enumerate(msrs) if not msr.refused
            for nth in range(msr.count)}
    found = slots.find(tuple(rows))
    order = tuple(rows.values())
    return Lookup(found, tuple(None if index is None else order[index]
                               for index in found.spread(tuple(rows))))


def _check_vmcs(row: Map, vmcs: Vmcs, errors: Errors) -> None:
    name = row["msr"]
    if row.get("context", {}).get("vmx") == "vmcs" and not any(
            vmcs.field(f"guest_{prefix}{name}") for prefix in ("", "ia32_")):
        errors.add(row["context"], NO_VMCS, "vmx", name=name)


def _check_row(row: Map, cpuid: Cpuid, errors: Errors) -> None:
    name = row["msr"]
    read = "constant" if isinstance(row["read"], Map) else row["read"]
    write = row["write"]
    passes = "pass" in (read, write)
    context = row.get("context")
    switched = [context[{"intel": "vmx", "amd": "svm"}[vendor]] for vendor in _vendors(row)
                ] if context else ["none"]
    if passes and "none" in switched:
        errors.add(row, PASS_CONTEXT, name=name)
    if context is not None and not passes:
        errors.add(row, NO_PASS, "context", name=name)
    if passes and not all({"intel": _vmx_place, "amd": _svm_place}[vendor](row["index"])
                          for vendor in _vendors(row)):
        errors.add(row, PASS_RANGE, name=name)
    kept = "shadow" in (read, write) or "emulate" in (read, write) or "slot" in row
    if ("reset" in row or "writable" in row) and not kept:
        errors.add(row, SLOT_NEEDED, name=name)
    if write == "shadow" and "writable" not in row:
        errors.add(row, SHADOW_WRITABLE, name=name)
    if "count" in row and (kept or passes):
        errors.add(row, COUNT_STATE, "count", name=name)
    for policy in (read, write):
        if policy in ("fault", "constant", "ignore") and not {"reason", "feature"} & row.keys():
            errors.add(row, NO_REASON, name=name, policy=policy)
    _check_feature(row, read, write, cpuid, errors)
    _check_bits(row, errors)


def _check_feature(row: Map, read: str, write: str, cpuid: Cpuid, errors: Errors) -> None:
    if "feature" not in row:
        return
    found = [feature.row for feature in cpuid.features if feature.row.name == row["feature"]]
    if not found:
        errors.add(row, NO_FEATURE, "feature", name=row["msr"], feature=row["feature"])
    elif found[0].policy == "hidden" and {"pass", "shadow", "emulate"} & {read, write}:
        errors.add(row, HIDDEN, "feature", name=row["msr"], feature=row["feature"])
    elif found[0].policy != "hidden" and (read, write) == ("fault", "fault"):
        errors.add(row, PROMISED, "feature", name=row["msr"], feature=row["feature"])


def _check_bits(row: Map, errors: Errors) -> None:
    bits = row.get("bits", {})
    numbers: dict[int, str] = {}
    for bit, number in bits.items():
        if number in numbers:
            errors.add(bits, SAME_BIT, bit, name=row["msr"], bit=bit, other=numbers[number],
                       number=number)
        numbers.setdefault(number, bit)
    for bit in _constant_bits(row):
        if bit not in bits:
            errors.add(row, UNKNOWN_BIT, "read", name=row["msr"], bit=bit,
                       known=", ".join(bits) or "none: give the row bits")


def _constant_bits(row: Map) -> list[str]:
    if isinstance(row["read"], Map) and isinstance(row["read"]["constant"], list):
        return list(row["read"]["constant"])
    return []


def _vendors(row: Map) -> tuple[str, ...]:
    return tuple(row.get("vendors", VENDORS))


def _msr(row: Map, errors: Errors) -> Msr:
    count = row.get("count", 1)
    if row["index"] + count - 1 > 0xFFFFFFFF:
        errors.add(row, TOP_INDEX, "count", name=row["msr"])
        count = 1
    constant = 0
    if isinstance(row["read"], Map):
        value = row["read"]["constant"]
        bits = row.get("bits", {})
        constant = value if isinstance(value, int) else sum(
            1 << number for number in {bits[bit] for bit in value if bit in bits})
    context = row.get("context", {})
    return Msr(
        name=row["msr"],
        index=row["index"],
        count=count,
        read="constant" if isinstance(row["read"], Map) else row["read"],
        write=row["write"],
        constant=constant,
        slot=("slot" in row or "shadow" in (row["read"], row["write"])
              or context.get("vmx") in ("stay", "swapgs", SCE)),
        writable=row.get("writable", 0),
        reset=row.get("reset", 0),
        check=row.get("check", "none"),
        svm=context.get("svm", "none"),
        vmx=context.get("vmx", "none"),
        vendors=_vendors(row),
        feature=row.get("feature", ""),
        bits=tuple(Bit(bit, number) for bit, number in row.get("bits", {}).items()),
        doc=row["doc"],
    )


def _svm_place(index: int) -> tuple[int, int] | None:
    """Byte and bit of an MSR's read intercept; the write intercept is the next bit."""
    for first, offset in SVM_BANKS:
        if first <= index < first + BANK_SIZE:
            bit = 2 * (index - first)
            return offset + bit // 8, bit % 8
    return None


def _svm_open(msrs: list[Msr]) -> tuple[Hole, ...]:
    masks: dict[int, int] = {}
    names: dict[int, list[str]] = {}
    for msr in msrs:
        place = _svm_place(msr.index)
        if place is None or "amd" not in msr.vendors or msr.svm == "none":
            continue
        byte, bit = place
        mask = (1 if msr.read == "pass" else 0) | (2 if msr.write == "pass" else 0)
        masks[byte] = masks.get(byte, 0) | mask << bit
        names.setdefault(byte, []).append(msr.name)
    return tuple(Hole(byte, mask, tuple(names[byte])) for byte, mask in sorted(masks.items()))


def _vmx_place(index: int) -> tuple[int, int] | None:
    """Byte and bit of an MSR's read intercept."""
    for first, offset in VMX_BANKS:
        if first <= index < first + BANK_SIZE:
            return offset + (index - first) // 8, (index - first) % 8
    return None


def _vmx_open(msrs: list[Msr]) -> tuple[Hole, ...]:
    masks: dict[int, int] = {}
    names: dict[int, list[str]] = {}
    for msr in msrs:
        place = _vmx_place(msr.index)
        if place is None or "intel" not in msr.vendors or msr.vmx in ("none", SCE):
            continue
        for policy, offset in ((msr.read, 0), (msr.write, VMX_WRITE)):
            if policy == "pass":
                byte = place[0] + offset
                masks[byte] = masks.get(byte, 0) | 1 << place[1]
                names.setdefault(byte, []).append(msr.name)
    return tuple(Hole(byte, mask, tuple(names[byte])) for byte, mask in sorted(masks.items()))
