# SPDX-License-Identifier: ISC
"""Architectural words: control bits with their guest policy, exceptions, page-table formats."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, SpecError, where
from gen.load import Map
from gen.model.bits import Field, build_fields, mask_of
from gen.spec import Spec

NO_REGISTER = Message("there is no register '{name}'",
                      "a row: whole values of it are checked before the CPU has them")
WORD_TWICE = Message("'{word}' stands twice", "merge the two, the first is at {place}")
NO_FEATURE = Message("{word}.{bit} waits for CPUID bit '{feature}', which cpuid.yaml does not have",
                     "the name of a single-bit row of cpuid.yaml")
FREE_RESERVED = Message("bits {bits} of {word} are reserved and the guest's", "refused or ignored")
RULE_BIT = Message("a rule of {word} names '{bit}', which is no bit of it", "one of {known}")
RULE_SHAPE = Message("a rule of {word} has {keys}", "always; or if and needs; or together")
VECTOR_TWICE = Message("vector {vector} has two names, '{first}' and '{second}'", "keep one")
VALUE_TWICE = Message("memory type {value} has two names, '{first}' and '{second}'", "keep one")
FORMAT_WORD = Message("format '{format}' is of word '{word}', which is no word", "one of {known}")
FORMAT_BIT = Message("format '{format}' names '{bit}', which is no bit of {word}", "one of {known}")
FORMAT_TYPE = Message("format '{format}' names memory type '{type}', which is none",
                      "one of {known}")

# Registers whose rows the model and the templates ask for by name.
CHECKED = {"cr0", "cr4", "xcr0"}
CLASSES = ("benign", "contributory", "page_fault", "double_fault")


@dataclass(frozen=True)
class Bits:
    """A field of a register, with what a guest may do to it."""

    field: Field
    policy: str  # free, refused, ignored, cpuid; empty in words
    feature: str
    fixed: bool
    host: bool


@dataclass(frozen=True)
class Rule:
    always: int
    condition: int
    needs: int
    together: int
    doc: str


@dataclass(frozen=True)
class Word:
    name: str
    width: int
    doc: str
    bits: tuple[Bits, ...]
    rules: tuple[Rule, ...]

    @property
    def suffix(self) -> str:
        return "ULL" if self.width > 32 else "u"

    def _mask(self, policy: str) -> int:
        return mask_of([bits.field for bits in self.bits if bits.policy == policy])

    @property
    def guest_free(self) -> int:
        return self._mask("free")

    @property
    def refused(self) -> int:
        return self._mask("refused")

    @property
    def ignored(self) -> int:
        return self._mask("ignored")

    @property
    def fixed(self) -> int:
        return mask_of([bits.field for bits in self.bits if bits.fixed])

    @property
    def host(self) -> int:
        return mask_of([bits.field for bits in self.bits if bits.host])

    @property
    def valid(self) -> int:
        return mask_of([bits.field for bits in self.bits if bits.field.name]) | self.fixed

    @property
    def needs(self) -> tuple[tuple[str, int], ...]:
        """(feature, mask) of the bits that wait for CPUID, one entry a feature."""
        features = dict.fromkeys(bits.feature for bits in self.bits if bits.feature)
        return tuple((feature, mask_of([bits.field for bits in self.bits
                                        if bits.feature == feature]))
                     for feature in features)


@dataclass(frozen=True)
class Exception_:
    name: str
    vector: int
    combines: str
    error_code: bool
    doc: str


@dataclass(frozen=True)
class MemoryType:
    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Format:
    """struct stage2_format."""

    name: str
    doc: str
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Arch:
    registers: tuple[Word, ...]
    words: tuple[Word, ...]
    exceptions: tuple[Exception_, ...]
    memory_types: tuple[MemoryType, ...]
    formats: tuple[Format, ...]

    def register(self, name: str) -> Word:
        return next(word for word in self.registers if word.name == name)

    @property
    def everything(self) -> tuple[Word, ...]:
        return (*self.registers, *self.words)

    @property
    def error_code_mask(self) -> int:
        return sum(1 << item.vector for item in self.exceptions if item.error_code)

    @property
    def contributory_mask(self) -> int:
        return sum(1 << item.vector for item in self.exceptions if item.combines == "contributory")

    @property
    def page_fault_mask(self) -> int:
        return sum(1 << item.vector for item in self.exceptions if item.combines == "page_fault")

    @property
    def pat_gaps(self) -> tuple[int, ...]:
        """Of the three-bit numbers of a PAT entry, those that no memory type has."""
        return tuple(sorted(set(range(8)) - {item.value for item in self.memory_types}))


def build(spec: Spec, errors: Errors) -> Arch:
    doc = spec.doc("arch")
    features = {feature.row.name for feature in spec.model("cpuid").features}
    _check_names(doc, errors)
    registers = tuple(_word(row, row["register"], features, errors) for row in doc["registers"])
    words = tuple(_word(row, row["word"], features, errors) for row in doc["words"])
    return Arch(registers, words, _exceptions(doc, errors), _memory_types(doc, errors),
                _formats(doc, words, errors))


def _check_names(doc: Map, errors: Errors) -> None:
    missing = sorted(CHECKED - {row["register"] for row in doc["registers"]})
    for name in missing:
        errors.add(doc, NO_REGISTER, "registers", name=name)
    if missing:
        raise SpecError("arch")
    seen: dict[str, Map] = {}
    for row in [*doc["registers"], *doc["words"]]:
        name = row.get("register", row.get("word"))
        if name in seen:
            errors.add(row, WORD_TWICE, word=name, place=where(seen[name]))
        seen.setdefault(name, row)


def _word(row: Map, name: str, features: set[str], errors: Errors) -> Word:
    word = name.upper()
    bits = []
    for field in build_fields(row["bits"], word, row["width"], errors):
        guest = field.row.get("guest", "")
        feature = guest["cpuid"] if isinstance(guest, Map) else ""
        if feature and feature not in features:
            errors.add(field.row, NO_FEATURE, "guest", word=word, bit=field.name, feature=feature)
        if not field.name and guest and guest not in ("refused", "ignored"):
            errors.add(field.row, FREE_RESERVED, "guest", word=word, bits=field.text)
        bits.append(Bits(field, "cpuid" if feature else str(guest), feature,
                         "fixed" in field.row, "host" in field.row))
    masks = {item.field.name: item.field.mask for item in bits if item.field.name}
    rules = tuple(_rule(rule, word, masks, errors) for rule in row.get("rules", ()))
    return Word(name, row["width"], row["doc"], tuple(bits), rules)


def _rule(row: Map, word: str, masks: dict[str, int], errors: Errors) -> Rule:
    keys = sorted(key for key in row if key != "doc")
    if keys not in (["always"], ["if", "needs"], ["together"]):
        errors.add(row, RULE_SHAPE, word=word, keys=" and ".join(keys) or "no condition")

    def mask(key: str) -> int:
        names = row.get(key, [])
        total = 0
        for name in names if isinstance(names, list) else [names]:
            if name not in masks:
                errors.add(row, RULE_BIT, key, word=word, bit=name, known=", ".join(masks))
            total |= masks.get(name, 0)
        return total

    return Rule(mask("always"), mask("if"), mask("needs"), mask("together"), row["doc"])


def _exceptions(doc: Map, errors: Errors) -> tuple[Exception_, ...]:
    seen: dict[int, str] = {}
    names: dict[str, Map] = {}
    for row in doc["exceptions"]:
        name, vector = row["exception"], row["vector"]
        if vector in seen:
            errors.add(row, VECTOR_TWICE, "vector", vector=vector, first=seen[vector], second=name)
        seen.setdefault(vector, name)
        if name in names:
            errors.add(row, WORD_TWICE, "exception", word=name, place=where(names[name]))
        names.setdefault(name, row)
    return tuple(Exception_(row["exception"], row["vector"], row["class"], "error_code" in row,
                            row["doc"]) for row in doc["exceptions"])


def _memory_types(doc: Map, errors: Errors) -> tuple[MemoryType, ...]:
    seen: dict[int, str] = {}
    for row in doc["memory_types"]:
        if row["value"] in seen:
            errors.add(row, VALUE_TWICE, "value", value=row["value"], first=seen[row["value"]],
                       second=row["type"])
        seen.setdefault(row["value"], row["type"])
    return tuple(MemoryType(row["type"], row["value"], row["doc"]) for row in doc["memory_types"])


def _formats(doc: Map, words: tuple[Word, ...], errors: Errors) -> tuple[Format, ...]:
    types = {row["type"]: row["value"] for row in doc["memory_types"] if "pat_only" not in row}
    formats = []
    for row in doc["stage2_formats"]:
        word = next((word for word in words if word.name == row["word"]), None)
        if word is None:
            errors.add(row, FORMAT_WORD, "word", format=row["format"], word=row["word"],
                       known=", ".join(item.name for item in words))
            continue
        formats.append(Format(row["format"], row["doc"], _members(row, word, types, errors)))
    return tuple(formats)


def _members(row: Map, word: Word, types: dict[str, int],
             errors: Errors) -> tuple[tuple[str, int], ...]:
    fields = {bits.field.name: bits.field for bits in word.bits if bits.field.name}

    def field(name: str, key: str) -> Field | None:
        if name not in fields:
            errors.add(row, FORMAT_BIT, key, format=row["format"], bit=name, word=word.name,
                       known=", ".join(fields))
        return fields.get(name)

    members: dict[str, int] = {}
    for key in ("table", "leaf", "large", "present", "r", "w", "x", "nx", "accessed"):
        found = [field(name, key) for name in row[key]]
        members[key] = mask_of([item for item in found if item is not None])
    if "memory_type" in row:
        place, name = row["memory_type"]["field"], row["memory_type"]["type"]
        target = field(place, "memory_type")
        if name not in types:
            errors.add(row, FORMAT_TYPE, "memory_type", format=row["format"], type=name,
                       known=", ".join(types))
        if target is not None:
            members["leaf"] |= types.get(name, 0) << target.low
    address = field(row["address"], "address")
    members["address"] = address.mask if address is not None else 0
    return tuple(members.items())
