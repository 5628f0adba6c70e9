# SPDX-License-Identifier: ISC
"""What entry checks can name: fields, control words, capabilities and inputs, and how C reads them.

    guest_cr0, cs.base      fields of vmcs_fields.yaml and vmcb_fields.yaml
    proc2.vpid              a bit of a control word (VMX); an inactive word is 0
    proc2_must, proc2_may   what the capability MSRs say of a control word (VMX)
    vmx_misc                a capability MSR that inputs lists
    maxphyaddr              an input that the caller gives
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.arch import Arch
from gen.model.bits import Field
from gen.model.controls import Controls
from gen.model.entry_expr import Bits, Operand
from gen.model.msrs import Msrs
from gen.model.vmcb_fields import Layout, Vmcb
from gen.model.vmcs_fields import Vmcs, VmcsField
from gen.model.vmx_controls import VmxWord
from gen.spec import Spec

INPUT_TWICE = Message("input '{name}' of {vendor} has the name of something else",
                      "another name, see {place}")
NO_MSR = Message("input '{name}' is of MSR '{msr}', which is none", "an MSR of msrs.yaml")
NO_CONTROL = Message("input '{name}' needs '{control}', which is no VMX control",
                     "WORD.NAME of controls.yaml")
NO_LAYOUT = Message("input '{name}' has layout '{layout}', which is none",
                    "a layout of vmcs_fields.yaml")

VENDORS = ("vmx", "svm")
_SEGMENT = (("selector", 16), ("attributes", 16), ("limit", 32), ("base", 64))


@dataclass(frozen=True)
class Input:
    """What is not in the VMCS or VMCB."""

    name: str
    width: int
    msr: str  # C name of its index; empty: the caller gives it
    doc: str
    row: Map


@dataclass
class EntryScope:
    """Scope of entry_expr, and what C needs to know of each operand."""

    vendor: str
    operands: list[Operand] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    _by_name: dict[str, Operand] = field(default_factory=dict)
    _alias: dict[str, str] = field(default_factory=dict)  # control word: its field
    _c: dict[str, str] = field(default_factory=dict)
    _groups: dict[str, str] = field(default_factory=dict)
    _needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _reads: dict[str, set[str]] = field(default_factory=dict)  # by what C reads for it
    _values: dict[tuple[str, str], int] = field(default_factory=dict)
    places: dict[str, Map] = field(default_factory=dict)

    def operand(self, name: str) -> Operand | None:
        return self._by_name.get(self._alias.get(name, name))

    def value(self, layout: str, name: str) -> int | None:
        return self._values.get((layout, name))

    def group(self, name: str) -> str:
        """Of the VMCS; empty: no field."""
        return self._groups.get(name, "")

    def needs(self, name: str) -> tuple[str, ...]:
        return self._needs.get(name, ())

    def c(self, operand: Operand) -> str:
        """How the driver reads it."""
        return self._c[operand.name]

    def place(self, operand: Operand) -> str:
        """For tests that set it on a CPU: where it is and its width, or nowhere."""
        if operand.name not in self._groups:
            return "{ 0, 0 }"
        where_ = f"VMCS_{operand.constant}" if self.vendor == "vmx" else \
            f"offsetof(struct vmcb, {operand.name})"
        return f"{{ {where_}, {operand.width} }}"

    def read_by(self, names: set[str]) -> set[str]:
        found: set[str] = set()
        todo = set(names)
        while todo:
            more = self._reads.get(todo.pop(), set()) - found
            found |= more
            todo |= more
        return found

    def complete(self, values: dict[str, int]) -> dict[str, int]:
        """A state with 0 for what it does not say."""
        return {**{operand.name: 0 for operand in self.operands}, **values}

    def add(self, operand: Operand, c: str, row: Map | None = None, group: str = "",
            needs: tuple[str, ...] = (), reads: set[str] | None = None) -> None:
        self.operands.append(operand)
        self._by_name[operand.name] = operand
        self._c[operand.name] = c
        if group:
            self._groups[operand.name] = group
        self._needs[operand.name] = needs
        if row is not None:
            self.places[operand.name] = row
        self._reads[operand.name] = reads or set()

    def alias(self, name: str, operand: str) -> None:
        self._alias[name] = operand

    def add_values(self, layout: Layout) -> None:
        for item in layout.fields:
            for value in item.values:
                self._values[layout.name, value.name] = value.value


def build_scope(spec: Spec, doc: Map, vendor: str, errors: Errors) -> EntryScope:
    scope = EntryScope(vendor)
    arch: Arch = spec.model("arch")
    words = {word.name: (word.width, tuple(bits.field for bits in word.bits))
             for word in arch.registers}
    if vendor == "vmx":
        _vmcs(scope, spec.model("vmcs_fields"), spec.model("controls"), words)
    else:
        _vmcb(scope, spec.model("vmcb_fields"), spec.model("controls"), words)
    _inputs(scope, doc, spec, errors)
    return scope


def _named(fields: tuple[Field, ...], width: int) -> tuple[dict[str, Bits], int]:
    """The bits with a name, and those without."""
    names = {item.name: Bits(item.high, item.low) for item in fields if item.name}
    claimed = sum(item.mask for item in fields if item.name)
    return names, ((1 << width) - 1) & ~claimed


# --- VMX -----------------------------------------------------------------------------


def _vmcs(scope: EntryScope, vmcs: Vmcs, controls: Controls,
          registers: dict[str, tuple[int, tuple[Field, ...]]]) -> None:
    layouts = {layout.name: layout for layout in vmcs.layouts}
    for layout in vmcs.layouts:
        scope.add_values(layout)
    words = {word.field.name: word for word in controls.vmx.words}
    for item in vmcs.fields:
        if item.group == "info":
            continue
        word = words.get(item.name)
        if word is not None:
            _control_word(scope, word, item)
            continue
        bits: dict[str, Bits] = {}
        reserved: int | None = None
        stem = item.name.removeprefix("guest_").removeprefix("host_").removeprefix("ia32_")
        if "layout" in item.row:
            bits, reserved = _named(layouts[item.row["layout"]].fields, item.width)
        elif stem in registers and item.group in ("guest", "host"):
            bits, reserved = _named(registers[stem][1], item.width)
        scope.add(Operand(item.name, item.width, bits, reserved), f"s->vmread({item.constant})",
                  item.row, item.group, item.needs)


def _control_word(scope: EntryScope, word: VmxWord, item: VmcsField) -> None:
    """The word as the CPU takes it, and what its capability MSRs say."""
    bits = {control.name: Bits(control.high, control.low) for control in word.controls}
    active, exists = "", ""
    reads: set[str] = set()
    if word.active is not None:
        stem = word.active.word
        mask = word.active.constant
        active = f"!(V({stem.upper()}_CONTROLS) & {mask}) ? 0 : "
        exists = f"!(V({stem.upper()}_MAY) & {mask}) ? 0 : "
        reads = {f"{stem}_controls", f"{stem}_may"}
    scope.add(Operand(item.name, item.width, bits, None), f"{active}s->vmread({item.constant})",
              item.row, item.group, (), reads)
    scope.alias(word.name, item.name)
    if not word.msr:
        return
    msr = f"s->rdmsr(ARCH_MSR_{word.msr.upper()})"
    if word.true_msr:
        msr = f"s->rdmsr(true_controls(s) ? ARCH_MSR_{word.true_msr.upper()} :\n" \
              f"\t\t    ARCH_MSR_{word.msr.upper()})"
    if word.wide:
        scope.add(Operand(f"{word.name}_may", 64, bits, None), exists + msr, reads=reads)
        return
    scope.add(Operand(f"{word.name}_must", 32, bits, None), f"{exists}(uint32_t){msr}",
              reads=reads)
    scope.add(Operand(f"{word.name}_may", 32, bits, None), f"{exists}{msr} >> 32", reads=reads)


# --- SVM -----------------------------------------------------------------------------


def _vmcb(scope: EntryScope, vmcb: Vmcb, controls: Controls,
          registers: dict[str, tuple[int, tuple[Field, ...]]]) -> None:
    for layout in vmcb.layouts:
        scope.add_values(layout)
    intercepts: dict[str, dict[str, Bits]] = {}
    for control in controls.controls:
        intercepts.setdefault(control.word, {})[control.name] = Bits(control.high, control.low)
    attributes = vmcb.layout("segattr")
    for item in vmcb.fields:
        if item.segment:
            for part, width in _SEGMENT:
                bits: dict[str, Bits] = {}
                reserved: int | None = None
                if part == "attributes" and attributes is not None:
                    bits, reserved = _named(attributes.fields, width)
                name = f"{item.name}.{part}"
                scope.add(Operand(name, width, bits, reserved), f"s->vmcb->{name}", None, item.area)
        elif item.scalar and not item.reserved:
            width = item.size * 8
            bits, reserved = dict(intercepts.get(item.name, {})), None
            word = vmcb.layout(item.layout)
            if word is not None:
                named, reserved = _named(word.fields, width)
                bits.update(named)
            elif item.name in registers and item.area == "save":
                bits, reserved = _named(registers[item.name][1], width)
            scope.add(Operand(item.name, width, bits, reserved), f"s->vmcb->{item.name}", None,
                      item.area)


# --- Both ----------------------------------------------------------------------------


def _inputs(scope: EntryScope, doc: Map, spec: Spec, errors: Errors) -> None:
    msrs: Msrs = spec.model("msrs")
    vmcs: Vmcs = spec.model("vmcs_fields")
    controls: Controls = spec.model("controls")
    layouts = {layout.name: layout for layout in vmcs.layouts}
    for row in _rows_of(doc, scope.vendor):
        name, msr, layout = row["input"], row.get("msr"), row.get("layout")
        if scope.operand(name) is not None:
            place = scope.places.get(name)
            errors.add(row, INPUT_TWICE, "input", name=name, vendor=scope.vendor,
                       place=where(place) if place is not None else "controls.yaml")
        if msr is not None and not any(item.name == msr for item in msrs.msrs):
            errors.add(row, NO_MSR, "msr", name=name, msr=msr)
        if layout is not None and layout not in layouts:
            errors.add(row, NO_LAYOUT, "layout", name=name, layout=layout)
        bits: dict[str, Bits] = {}
        if layout in layouts:
            bits, _ = _named(layouts[layout].fields, 64)
        c = f"s->{name}"
        reads: set[str] = set()
        if msr is not None:
            c = f"s->rdmsr(ARCH_MSR_{msr.upper()})"
        for need in row.get("needs", ()):
            stem, _, control = need.partition(".")
            found = next((item for item in controls.vmx.controls if item.key == need), None)
            if found is None:
                errors.add(row, NO_CONTROL, "needs", name=name, control=need)
                continue
            reads.add(f"{stem}_may")
        if reads:
            test = " || ".join(f"V({need.split('.')[0].upper()}_MAY) & VMX_"
                               f"{need.replace('.', '_').upper()}" for need in row["needs"])
            c = f"!({test}) ? 0 : {c}"
        width = row.get("width", 64)
        scope.add(Operand(name, width, bits, None), c, row, reads=reads)
        scope.inputs.append(Input(name, width, msr or "", row["doc"], row))


def _rows_of(doc: Map, vendor: str) -> Iterator[Map]:
    for row in doc["inputs"]:
        if vendor in row["vendors"]:
            yield row
