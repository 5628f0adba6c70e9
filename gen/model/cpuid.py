# SPDX-License-Identifier: ISC
"""cpuid.yaml: per leaf which bits pass, which are set, and which fixup makes the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model import slots
from gen.model.slots import Slots
from gen.spec import Spec

SAME_LEAF = Message("leaf {leaf:#x} sub-leaf {subleaf} stands twice",
                    "one entry a leaf and sub-leaf, the first is at {first}")
MIXED_LEAF = Message("leaf {leaf:#x} stands with and without numbered sub-leaves",
                     "number all of its entries, the other is at {first}")
LEAF_ORDER = Message("leaf {leaf:#x} comes after {before:#x}", "leaves and sub-leaves ascend")
EMPTY_LEAF = Message("leaf {leaf:#x} has neither rows nor a fixup",
                     "remove it, leaves without an entry are zero")
BIT_OR_BITS = Message("row '{name}': needs one of bit and bits", "bit: 3, or bits: [0, 7]")
BITS_ORDER = Message("row '{name}': bits go from {low} to {high}", "lowest bit first, two at least")
OVERLAP = Message("row '{name}': overlaps row '{other}'", "one row a bit, the other is at {first}")
SAME_NAME = Message("row name '{name}' stands twice", "one name a bit, the first is at {first}")
VALUE_POLICY = Message("row '{name}': value or text with policy '{policy}'",
                       "they say what policy set sets")
VALUE_MISSING = Message("row '{name}': policy set without a value",
                        "a field needs one of value and text, a single bit is set to 1")
VALUE_FIT = Message("row '{name}': value {value:#x} does not fit {width} bits",
                    "at most {most:#x}")
TEXT_FIT = Message("row '{name}': text '{text}' does not fill the register",
                   "four ASCII characters in a row of 32 bits")
REASON_POLICY = Message("row '{name}': reason with policy '{policy}'",
                        "only hidden bits need one")
REASON_MISSING = Message("row '{name}': hidden without a reason",
                         "say why the guest must not see it")
NO_FIXUP = Message("row '{name}': synthesise in a leaf without fixup",
                   "name the fixup that makes the value")
COMPONENT = Message("leaf {leaf:#x}: component and fixup xsave_area do not come together",
                    "a leaf 0xd sub-leaf has both, other leaves neither")
COMPONENT_BIT = Message("leaf 0xd sub-leaf {subleaf}: component '{name}' is no such bit",
                        "the name of the passed bit {subleaf} of leaf 0xd EAX without xcr0_")
NO_STATE = Message("row '{name}': state '{state}' is no XCR0 component that passes",
                   "the name of a passed bit of leaf 0xd EAX without xcr0_, for a passed bit")

REGISTERS = ("eax", "ebx", "ecx", "edx")
RANGES = {"basic": (0, 0x3FFFFFFF), "extended": (0x80000000, 0x8FFFFFFF)}


@dataclass(frozen=True)
class Row:
    name: str
    register: str
    low: int
    high: int
    policy: str
    value: int
    doc: str
    reason: str
    state: str

    @property
    def mask(self) -> int:
        return ((1 << (self.high - self.low + 1)) - 1) << self.low

    @property
    def single(self) -> bool:
        return self.low == self.high

    @property
    def constant(self) -> str:
        return f"CPUID_FEATURE_{self.name.upper()}"


@dataclass(frozen=True)
class Leaf:
    index: int
    leaf: int
    subleaf: int
    any_subleaf: bool
    live: bool  # depends on the sub-leaf, whichever it is
    fixup: str
    doc: str
    rows: tuple[Row, ...]

    def passed(self, register: str) -> int:
        return _union(row.mask for row in self.rows
                      if row.register == register and row.policy == "pass")

    def preset(self, register: str) -> int:
        return _union(row.value << row.low for row in self.rows
                      if row.register == register and row.policy == "set")


@dataclass(frozen=True)
class Feature:
    """A single bit: CPUID_FEATURE_<NAME>."""

    row: Row
    leaf: Leaf
    register: int


@dataclass(frozen=True)
class StateNeed:
    """A feature that works on registers of an XCR0 component."""

    feature: Feature
    xcr0: int


@dataclass(frozen=True)
class LeafSlot:
    """A slot of the table of leaves: which sub-leaves count, and where their rules stand."""

    leaf: int
    above: int  # bits of a sub-leaf that none of the rules has
    mask: int  # bits that choose among them
    first: int  # index into Lookup.rules


@dataclass(frozen=True)
class Lookup:
    """From leaf to rules. A power of two of them a leaf, so that no index is out of bounds."""

    slots: Slots
    places: tuple[LeafSlot, ...]
    rules: tuple[int, ...]  # indices of rules; of none: the number of rules


@dataclass(frozen=True)
class Cpuid:
    leaves: tuple[Leaf, ...]
    lookup: Lookup
    features: tuple[Feature, ...]
    states: tuple[StateNeed, ...]
    fixups: tuple[str, ...]
    level: int
    extended_level: int
    xcr0_policy: int

    @property
    def names(self) -> frozenset[str]:
        """What other files may call a feature."""
        return frozenset(feature.row.name for feature in self.features)


def _union(values: Iterable[int]) -> int:
    total = 0
    for value in values:
        total |= value
    return total


def build(spec: Spec, errors: Errors) -> Cpuid:
    doc = spec.doc("cpuid")
    seen: dict[str, Map] = {}
    leaves: list[Leaf] = []
    _check_order(doc, errors)
    for index, node in enumerate(doc["leaves"]):
        leaves.append(_leaf(index, node, seen, errors))
    components = _components(leaves)
    _check_components(doc, leaves, components, errors)
    _check_states(doc, components, errors)
    features = tuple(Feature(row, leaf, REGISTERS.index(row.register))
                     for leaf in leaves for row in leaf.rows if row.single)
    return Cpuid(
        leaves=tuple(leaves),
        lookup=_lookup(leaves),
        features=features,
        states=tuple(StateNeed(feature, 1 << components[feature.row.state])
                     for feature in features if feature.row.state in components),
        fixups=("none", *_fixups(leaves)),
        level=_last(leaves, "basic"),
        extended_level=_last(leaves, "extended"),
        xcr0_policy=_xcr0(leaves),
    )


def _lookup(leaves: list[Leaf]) -> Lookup:
    numbers = list(dict.fromkeys(leaf.leaf for leaf in leaves))
    found = slots.find(numbers)
    none = len(leaves)
    rules = [none]
    places: list[LeafSlot] = []
    for index in found.spread(numbers):
        if index is None:
            places.append(LeafSlot(0, 0, 0, 0))
            continue
        number = numbers[index]
        own = {leaf.subleaf: leaf for leaf in leaves if leaf.leaf == number}
        numbered = not any(leaf.any_subleaf for leaf in own.values())
        mask = (1 << max(own).bit_length()) - 1
        places.append(LeafSlot(number, ~mask & 0xFFFFFFFF if numbered else 0, mask, len(rules)))
        rules += [own[sub].index if sub in own else none for sub in range(mask + 1)]
    return Lookup(found, tuple(places), tuple(rules))


def _fixups(leaves: list[Leaf]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(leaf.fixup for leaf in leaves if leaf.fixup != "none"))


def _last(leaves: list[Leaf], which: str) -> int:
    """The last leaf of a range that gives the guest anything."""
    first, last = RANGES[which]
    return max((leaf.leaf for leaf in leaves if first <= leaf.leaf <= last and _gives(leaf)),
               default=first)


def _gives(leaf: Leaf) -> bool:
    return leaf.fixup != "none" or any(row.policy != "hidden" for row in leaf.rows)


def _xcr0(leaves: list[Leaf]) -> int:
    for leaf in leaves:
        if leaf.leaf == 0xD and leaf.subleaf == 0:
            return leaf.passed("eax") | leaf.passed("edx") << 32
    return 0


def _check_order(doc: Map, errors: Errors) -> None:
    first: dict[tuple[int, object], Map] = {}
    kinds: dict[int, Map] = {}
    before: tuple[int, int] | None = None
    for node in doc["leaves"]:
        leaf, sub = node["leaf"], node.get("subleaf", "any")
        if (leaf, sub) in first:
            errors.add(node, SAME_LEAF, leaf=leaf, subleaf=sub, first=where(first[leaf, sub]))
            continue
        first[leaf, sub] = node
        other = kinds.setdefault(leaf, node)
        if (other.get("subleaf", "any") == "any") != (sub == "any"):
            errors.add(node, MIXED_LEAF, leaf=leaf, first=where(other))
        place = (leaf, 0 if sub == "any" else sub)
        if before is not None and place < before:
            errors.add(node, LEAF_ORDER, leaf=leaf, before=before[0])
        before = place


def _leaf(index: int, node: Map, seen: dict[str, Map], errors: Errors) -> Leaf:
    rows: list[Row] = []
    for register in REGISTERS:
        claimed: list[tuple[Row, Map]] = []
        for item in node.get(register, ()):
            row = _row(item, register, "fixup" in node, errors)
            for other, place in claimed:
                if row.mask & other.mask:
                    errors.add(item, OVERLAP, name=row.name, other=other.name, first=where(place))
            if row.name in seen:
                errors.add(item, SAME_NAME, name=row.name, first=where(seen[row.name]))
            seen.setdefault(row.name, item)
            claimed.append((row, item))
            rows.append(row)
    if not rows and "fixup" not in node:
        errors.add(node, EMPTY_LEAF, leaf=node["leaf"])
    subleaf = node.get("subleaf", "any")
    return Leaf(
        index=index,
        leaf=node["leaf"],
        subleaf=0 if subleaf == "any" else subleaf,
        any_subleaf=subleaf == "any",
        live=node.get("subleaf") == "any",
        fixup=node.get("fixup", "none"),
        doc=node["doc"],
        rows=tuple(rows),
    )


def _row(item: Map, register: str, has_fixup: bool, errors: Errors) -> Row:
    name, policy = item["name"], item["policy"]
    if ("bit" in item) == ("bits" in item):
        errors.add(item, BIT_OR_BITS, name=name)
    low, high = item["bits"] if "bits" in item else (item.get("bit", 0), item.get("bit", 0))
    if "bits" in item and low >= high:
        errors.add(item, BITS_ORDER, name=name, low=low, high=high)
        high = low
    if policy != "set" and ("value" in item or "text" in item):
        errors.add(item, VALUE_POLICY, name=name, policy=policy)
    if policy != "hidden" and "reason" in item:
        errors.add(item, REASON_POLICY, name=name, policy=policy)
    if policy == "hidden" and "reason" not in item:
        errors.add(item, REASON_MISSING, name=name)
    if policy == "synthesise" and not has_fixup:
        errors.add(item, NO_FIXUP, name=name)
    value = _value(item, high - low + 1, errors) if policy == "set" else 0
    return Row(name, register, low, high, policy, value, item["doc"], item.get("reason", ""),
               item.get("state", ""))


def _value(item: Map, width: int, errors: Errors) -> int:
    name = item["name"]
    if "text" in item:
        text = str(item["text"])
        if width != 32 or not text.isascii() or "value" in item:
            errors.add(item, TEXT_FIT, name=name, text=text)
            return 0
        return int.from_bytes(text.encode("ascii"), "little")
    if "value" not in item and width > 1:
        errors.add(item, VALUE_MISSING, name=name)
        return 0
    value = int(item.get("value", 1))
    most = (1 << width) - 1
    if value > most:
        errors.add(item, VALUE_FIT, name=name, value=value, width=width, most=most)
        return 0
    return value


def _components(leaves: list[Leaf]) -> dict[str, int]:
    """The XCR0 components that pass, by name."""
    return {row.name.removeprefix("xcr0_"): row.low for leaf in leaves
            if (leaf.leaf, leaf.subleaf) == (0xD, 0)
            for row in leaf.rows if row.register == "eax" and row.policy == "pass"}


def _check_components(doc: Map, leaves: list[Leaf], components: dict[str, int],
                      errors: Errors) -> None:
    """The area sub-leaves are those of the XCR0 bits that pass."""
    for node, leaf in zip(doc["leaves"], leaves):
        if ("component" in node) != (leaf.fixup == "xsave_area"):
            errors.add(node, COMPONENT, leaf=leaf.leaf)
        elif "component" in node and components.get(node["component"]) != leaf.subleaf:
            errors.add(node, COMPONENT_BIT, subleaf=leaf.subleaf, name=node["component"])


def _check_states(doc: Map, components: dict[str, int], errors: Errors) -> None:
    for node in doc["leaves"]:
        for item in (item for register in REGISTERS for item in node.get(register, ())):
            if "state" in item and (item["state"] not in components or item["policy"] != "pass"
                                    or "bit" not in item):
                errors.add(item, NO_STATE, "state", name=item["name"], state=item["state"])
