# SPDX-License-Identifier: ISC
"""The interface of /dev/vmm: layouts computed as C would, and the checks as C conditions."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, replace
from typing import Any, Iterator

from gen.errors import Errors, Message, SpecError, where
from gen.load import Map, Seq
from gen.model.client_exits import ClientExit, client_exits
from gen.text import c_number
from gen.spec import Spec

NAME_TWICE = Message("'{name}' is defined twice", "the first is at {first}")
NUMBER_TWICE = Message("'{name}' has the number {number} of '{other}'",
                       "a number of its own, the first is at {first}")
NOT_A_BIT = Message("flag '{name}' is {value:#x}", "a single bit")
KEYWORD = Message("'{name}' is a keyword of C, C++ or Python", "another name")
UNKNOWN_CONSTANT = Message("there is no constant '{name}'", "a name from constants or enums")
UNKNOWN_TYPE = Message("there is no type '{name}'", "a struct defined above, or one of {known}")
UNKNOWN_ENUM = Message("there is no enum '{name}'", "one of {known}")
WRONG_OFFSET = Message("'{struct}.{name}' is said to be at {at}, C puts it at {offset}",
                       "an offset that the members before it lead to")
WRONG_SIZE = Message("struct '{name}' is said to have {size} bytes, C makes it {real}",
                     "members that keep the size, it is part of the interface")
EXTENSION_NUMBER = Message("'{name}' has number {number}",
                           "numbers from 32 up for extensions, below for vmm(4)'s own")
UNKNOWN_STRUCT = Message("'{ioctl}': there is no struct '{name}'", "one of {known}")
ANSWER_LOST = Message("'{ioctl}' copies nothing out, but '{member}' is an answer",
                      "direction inout")
NO_VCPU = Message("'{ioctl}': vcpu '{vcpu}', but '{struct}' does not begin with its numbers",
                  "first two members of type u32, the one names vm, the other vcpu")
VCPU_UNUSED = Message("'{ioctl}': '{struct}' names a vCPU, but the handler gets none",
                      "vcpu: found, locked or run")
UNKNOWN_MEMBER = Message("'{struct}' has no member '{name}'", "one of {known}")
NOT_A_NUMBER = Message("'{struct}.{name}' is no plain integer", "a member that is one")
NOT_AN_ARRAY = Message("'{struct}.{name}' is no array of structs", "a member that is one")
NO_ENUM = Message("'{struct}.{name}' has no flags to check it by", "an enum of kind flags")
UNBOUNDED = Message("'{count}' may be more than the {size} elements of '{array}'",
                    "a range check of it before this one")

_SCALARS = {
    "u8": ("uint8_t", 1),
    "u16": ("uint16_t", 2),
    "u32": ("uint32_t", 4),
    "u64": ("uint64_t", 8),
    "int": ("int", 4),
    "char": ("char", 1),
    "size_t": ("size_t", 8),
    "paddr_t": ("uint64_t", 8),
    "vaddr_t": ("uint64_t", 8),
    "pid_t": ("int32_t", 4),
}
_KEYWORDS = frozenset(
    "alignas alignof and asm auto bool break case catch char class const constexpr continue "
    "default  delete do double else enum explicit export extern false float for friend goto "
    "if inline int  long mutable namespace new not operator or private protected public "
    "register restrict return  short signed sizeof static struct switch template this throw "
    "true try typedef typeid typename  typeof union unsigned using virtual void volatile "
    "while xor".split()) | frozenset(keyword.kwlist)

FIRST_EXTENSION = 32

# What _IOW() and _IOWR() of linux/ioctl.h put on top of a request.
_WRITE, _READ_WRITE = 1, 3


@dataclass(frozen=True)
class Constant:
    name: str
    value: int
    text: str  # as C writes it
    doc: str
    extension: bool


@dataclass(frozen=True)
class Enum:
    name: str
    doc: str
    flags: bool
    values: tuple[Constant, ...]
    all: str | None
    mask: int
    extension: bool


@dataclass(frozen=True)
class Member:
    """A member; one of an anonymous union stands here as a member with `alternatives`."""

    name: str
    doc: str
    offset: int
    size: int
    align: int
    type: str  # what YAML calls it
    c_type: str
    struct: str | None
    dims: tuple[str, ...]
    counts: tuple[int, ...]  # the same as numbers
    pointer: bool
    bytes: str  # of a pointer to several: the member that has their size
    names: str  # what the number names, vm or vcpu
    enum: Enum | None
    out: bool
    extension: bool
    alternatives: tuple[Member, ...]

    @property
    def count(self) -> int:
        """Elements of the first dimension, 1 when there is none."""
        return self.counts[0] if self.counts else 1

    @property
    def c_name(self) -> str:
        return ("*" if self.pointer else "") + self.name + "".join(f"[{dim}]" for dim in self.dims)

    @property
    def number(self) -> bool:
        return not (self.dims or self.pointer or self.struct or self.alternatives)


@dataclass(frozen=True)
class Struct:
    name: str
    doc: str
    size: int
    align: int
    members: tuple[Member, ...]

    def fields(self) -> Iterator[Member]:
        """All named members, those of unions included."""
        for member in self.members:
            yield from member.alternatives or (member,)


@dataclass(frozen=True)
class Check:
    """One refusal. `condition` is C and true when the argument is bad; `each` has inner checks."""

    kind: str
    condition: str
    errno: str
    doc: str
    array: str
    element: str
    count: str
    start: str
    size: str
    multiple: str
    inner: tuple[Check, ...]


@dataclass(frozen=True)
class Error:
    errno: str
    docs: tuple[str, ...]


@dataclass(frozen=True)
class Ioctl:
    name: str
    number: int
    request: int  # as Linux encodes it
    out: bool
    struct: Struct
    handler: str
    vcpu: str  # how the handler gets its vCPU, or none
    doc: str
    text: tuple[str, ...]
    checks: tuple[Check, ...]
    errors: tuple[Error, ...]
    extension: bool


@dataclass(frozen=True)
class Ioctls:
    revision: str
    release: str  # of OpenBSD
    date: str
    group: str
    doc: str
    constants: tuple[Constant, ...]
    enums: tuple[Enum, ...]
    structs: tuple[Struct, ...]
    errors: tuple[Error, ...]
    exits: tuple[ClientExit, ...]
    ioctls: tuple[Ioctl, ...]
    differences: tuple[str, ...]

    @property
    def table_size(self) -> int:
        """A power of two above every number: what is left of one after it finds a row."""
        return 1 << max(ioctl.number for ioctl in self.ioctls).bit_length()

    @property
    def extensions(self) -> tuple[tuple[str, str], ...]:
        """Name and doc of everything that is ours."""
        found = [(c.name, c.doc) for c in self.constants if c.extension]
        for enum in self.enums:
            found += [(c.name, c.doc) for c in enum.values if c.extension or enum.extension]
        for struct in self.structs:
            found += [(m.name, m.doc) for m in struct.members if m.extension]
        found += [(ioctl.name, ioctl.doc) for ioctl in self.ioctls if ioctl.extension]
        return tuple(found)

    def struct(self, name: str) -> Struct:
        return next(struct for struct in self.structs if struct.name == name)

    @property
    def parts(self) -> tuple[Struct, ...]:
        """Structs that are no ioctl's argument by themselves."""
        arguments = {ioctl.struct.name for ioctl in self.ioctls}
        return tuple(struct for struct in self.structs if struct.name not in arguments)


def build(spec: Spec, errors: Errors) -> Ioctls:
    doc = spec.doc("ioctls")
    interface = _Builder(doc, spec.doc("registers"), errors).build()
    return replace(interface, exits=client_exits(doc["exits"], spec.model("exit_reasons"), errors))


class _Builder:
    def __init__(self, doc: Map, registers: Map, errors: Errors) -> None:
        self._doc = doc
        self._registers = registers
        self._errors = errors
        self._names: dict[str, str] = {}  # name -> where
        self._constants: dict[str, Constant] = {}
        self._enums: dict[str, Enum] = {}
        self._structs: dict[str, Struct] = {}
        self._broken: set[str] = set()  # structs with errors of their own

    def build(self) -> Ioctls:
        doc = self._doc
        constants = tuple(self._constant(row) for row in doc["constants"])
        for row in doc["enums"]:
            self._enum(row)
        for row in self._registers["groups"]:
            if "member" in row:
                self._indices(row)
        for row in doc["structs"]:
            self._struct(row)
        ioctls = tuple(self._ioctls(doc["ioctls"]))
        return Ioctls(
            revision=doc["interface"]["revision"],
            release=doc["interface"]["revision"].removeprefix("openbsd-"),
            date=doc["interface"]["date"],
            group=doc["interface"]["group"],
            doc=doc["interface"]["doc"],
            constants=constants,
            enums=tuple(self._enums.values()),
            structs=tuple(self._structs.values()),
            errors=_by_errno([(row["errno"], row["doc"]) for row in doc["errors"]]),
            exits=(),
            ioctls=ioctls,
            differences=tuple(doc["differences"]),
        )

    def _claim(self, row: Map, name: str, key: str | None = "name") -> None:
        """A name of the header and of the bindings: not twice, not a keyword."""
        if name in _KEYWORDS:
            self._errors.add(row, KEYWORD, key, name=name)
        if name in self._names:
            self._errors.add(row, NAME_TWICE, key, name=name, first=self._names[name])
        else:
            self._names[name] = where(row, key)

    # --- constants and enums

    def _constant(self, row: Map, flags: bool = False) -> Constant:
        self._claim(row, row["name"])
        value = row["value"]
        text = f"{value:#x}" if flags else c_number(value)
        constant = Constant(row["name"], value, text, row["doc"], row.get("extension", False))
        self._constants[constant.name] = constant
        return constant

    def _enum(self, row: Map) -> None:
        flags = row["kind"] == "flags"
        numbers: dict[int, Map] = {}
        values = []
        mask = 0
        for item in row["values"]:
            constant = self._constant(item, flags)
            values.append(constant)
            if constant.value in numbers:
                first = numbers[constant.value]
                self._errors.add(item, NUMBER_TWICE, "value", name=constant.name,
                                 number=constant.value, other=first["name"],
                                 first=where(first, "value"))
            numbers.setdefault(constant.value, item)
            if flags and constant.value.bit_count() != 1:
                self._errors.add(item, NOT_A_BIT, "value", name=constant.name, value=constant.value)
            mask |= constant.value
        name = row["name"]
        self._claim(row, name)
        every = row.get("all")
        if every is not None:
            self._claim(row, every, "all")
            self._constants[every] = Constant(every, mask, f"{mask:#x}", "All of them.", False)
        self._enums[name] = Enum(name, row["doc"], flags, tuple(values), every, mask,
                                 row.get("extension", False))

    def _indices(self, group: Map) -> None:
        """The indices of one group of registers, as an enum; the last one is their number."""
        name = group["group"]
        values = []
        for kind, rows in (("register", self._registers["registers"]),
                           ("segment", self._registers["segments"])):
            for row in rows:
                if "index" in row and row.get("group", "sregs") == name:
                    values.append(self._index(row, row[kind].upper(), row["index"], row["doc"]))
        values.append(self._index(group, f"N{name.upper()}", len(values), "How many there are."))
        doc = f"Indices of `{group['member']}`."
        self._enums[f"vcpu_regs_{name}"] = Enum(f"vcpu_regs_{name}", doc, False, tuple(values),
                                                None, 0, False)

    def _index(self, row: Map, suffix: str, value: int, doc: str) -> Constant:
        name = f"VCPU_REGS_{suffix}"
        self._claim(row, name)
        constant = Constant(name, value, str(value), doc.rstrip(".") + ".", False)
        self._constants[name] = constant
        return constant

    def _number(self, row: Map | Seq, key: object) -> int:
        value: Any = row[str(key)] if isinstance(row, Map) else row[int(str(key))]
        if isinstance(value, int):
            return value
        if value not in self._constants:
            self._errors.add(row, UNKNOWN_CONSTANT, key, name=value)
            return 1
        return self._constants[value].value

    def _symbol(self, row: Map, key: str) -> str:
        self._number(row, key)
        return str(row[key])

    # --- structs

    def _struct(self, row: Map) -> None:
        name = row["name"]
        self._claim(row, name)
        members: list[Member] = []
        offset = 0
        align = 1
        for item in row["members"]:
            member = self._member(row, item)
            if member is None:
                self._broken.add(name)
                return
            align = max(align, member.align)
            offset = _round(offset, member.align)
            if item["at"] != offset:
                self._errors.add(item, WRONG_OFFSET, "at", struct=name, name=member.name,
                                 at=item["at"], offset=offset)
            members.append(member)
            offset += member.size
        real = _round(offset, align)
        if real != row["size"]:
            self._errors.add(row, WRONG_SIZE, "size", name=name, size=row["size"], real=real)
        struct = self._structs[name] = Struct(name, row["doc"], real, align, tuple(members))
        for item in row["members"]:
            if "bytes" in item:
                self._scalar(item, "bytes", struct)

    def _member(self, struct: Map, item: Map) -> Member | None:
        if "union" not in item:
            return self._plain(struct, item, item["at"])
        alternatives = [self._plain(struct, part, item["at"]) for part in item["union"]]
        known = [part for part in alternatives if part is not None]
        if len(known) < len(alternatives):
            return None
        align = max(part.align for part in known)
        size = _round(max(part.size for part in known), align)
        return Member(name="/".join(part.name for part in known), doc=item["doc"],
                      offset=item["at"], size=size, align=align, type="union", c_type="union",
                      struct=None, dims=(), counts=(), pointer=False, bytes="", names="",
                      enum=None, out=False, extension=False, alternatives=tuple(known))

    def _plain(self, struct: Map, item: Map, offset: int) -> Member | None:
        name, kind = item["name"], item["type"]
        if name in _KEYWORDS:
            self._errors.add(item, KEYWORD, "name", name=name)
        pointer = item.get("pointer", False)
        # A pointer may name a struct that comes later.
        later = {row["name"] for row in self._doc["structs"]} if pointer else set()
        inner = self._structs.get(kind)
        if kind not in _SCALARS and inner is None and kind not in later:
            if kind not in self._broken:
                known = ", ".join(sorted(_SCALARS))
                self._errors.add(item, UNKNOWN_TYPE, "type", name=kind, known=known)
            return None
        if pointer:
            size = align = 8
        elif inner is not None:
            size, align = inner.size, inner.align
        else:
            size = align = _SCALARS[kind][1]
        counts: Seq | list[Any] = item.get("count", [])
        numbers = [self._number(item["count"], index) for index in range(len(counts))]
        for number in numbers:
            size *= number
        enum = None
        if "enum" in item:
            enum = self._enums.get(item["enum"])
            if enum is None:
                self._errors.add(item, UNKNOWN_ENUM, "enum", name=item["enum"],
                                 known=", ".join(sorted(self._enums)))
        return Member(name=name, doc=item["doc"], offset=offset, size=size, align=align, type=kind,
                      c_type=_SCALARS[kind][0] if kind in _SCALARS else f"struct {kind}",
                      struct=None if kind in _SCALARS else kind,
                      dims=tuple(str(count) for count in counts), counts=tuple(numbers),
                      pointer=pointer, bytes=item.get("bytes", ""),
                      names=item.get("names", ""), enum=enum,
                      out=item.get("out", False), extension=item.get("extension", False),
                      alternatives=())

    # --- ioctls

    def _ioctls(self, rows: Seq) -> Iterator[Ioctl]:
        numbers: dict[int, Map] = {}
        for row in rows:
            name, number = row["name"], row["number"]
            self._claim(row, name)
            self._claim(row, f"vmm_ioctl_{row['handler']}", "handler")
            if number in numbers:
                first = numbers[number]
                self._errors.add(row, NUMBER_TWICE, "number", name=name, number=number,
                                 other=first["name"], first=where(first, "number"))
            numbers.setdefault(number, row)
            extension = row.get("extension", False)
            if extension != (number >= FIRST_EXTENSION):
                self._errors.add(row, EXTENSION_NUMBER, "number", name=name, number=number)
            struct = self._structs.get(row["struct"])
            if struct is None:
                if row["struct"] not in self._broken:
                    self._errors.add(row, UNKNOWN_STRUCT, "struct", ioctl=name, name=row["struct"],
                                     known=", ".join(self._structs))
                continue
            out = row["direction"] == "inout"
            for member in struct.members:
                if member.out and not out:
                    self._errors.add(row, ANSWER_LOST, "direction", ioctl=name, member=member.name)
            self._vcpu(row, struct)
            yield self._ioctl(row, struct, out, extension)

    def _vcpu(self, row: Map, struct: Struct) -> None:
        """The driver looks for the numbers of VM and vCPU at the start of the argument."""
        named = [(member.names, member.offset, member.type) for member in struct.members[:2]]
        if "vcpu" not in row:
            if any(member.names == "vcpu" for member in struct.members):
                self._errors.add(row, VCPU_UNUSED, ioctl=row["name"], struct=struct.name)
        elif named != [("vm", 0, "u32"), ("vcpu", 4, "u32")]:
            self._errors.add(row, NO_VCPU, "vcpu", ioctl=row["name"], vcpu=row["vcpu"],
                             struct=struct.name)

    def _ioctl(self, row: Map, struct: Struct, out: bool, extension: bool) -> Ioctl:
        checks = tuple(self._checks(row.get("checks", ()), struct, "p", {}))
        said = [(check.errno, check.doc) for check in flat(checks)]
        said += [(error["errno"], error["doc"]) for error in row["errors"]]
        request = ((_READ_WRITE if out else _WRITE) << 30 | struct.size << 16
                   | ord(self._doc["interface"]["group"]) << 8 | row["number"])
        return Ioctl(name=row["name"], number=row["number"], request=request, out=out,
                     struct=struct, handler=row["handler"],
                     vcpu=row.get("vcpu", "none"), doc=row["doc"],
                     text=tuple(row.get("text", ())), checks=checks, errors=_by_errno(said),
                     extension=extension)

    def _checks(self, rows: Seq | tuple[()], struct: Struct, var: str,
                bounds: dict[str, int]) -> Iterator[Check]:
        """`bounds` is how large members can be by now."""
        for row in rows:
            try:
                yield self._check(row, struct, var, bounds)
            except SpecError:
                pass  # noted

    def _check(self, row: Map, struct: Struct, var: str, bounds: dict[str, int]) -> Check:
        kind = row["check"]
        condition = array = element = count = ""
        inner: tuple[Check, ...] = ()
        if kind in ("each", "ascending", "total"):
            member = self._array(row, struct)
            array, element = member.name, str(member.struct)
            count = self._scalar(row, "count", struct).name
            if bounds.get(count, member.count + 1) > member.count:
                self._errors.add(row, UNBOUNDED, "count", count=count, size=member.count,
                                 array=array)
            if kind == "each":
                inner = tuple(self._checks(row["checks"], self._structs[element], "e", {}))
            else:
                of = self._structs[element]
                for key in ("start", "size"):
                    if key in row:
                        self._scalar(row, key, of)
                if "multiple" in row:
                    self._number(row, "multiple")
        else:
            condition = self._condition(kind, row, struct, var)
            if kind == "range":
                bounds[row["member"]] = self._number(row, "max")
        return Check(kind=kind, condition=condition, errno=row.get("errno", ""),
                     doc=row.get("doc", ""), array=array, element=element, count=count,
                     start=row.get("start", ""), size=row.get("size", ""),
                     multiple=row.get("multiple", ""), inner=inner)

    def _condition(self, kind: str, row: Map, struct: Struct, var: str) -> str:
        """The C condition under which the argument is refused."""
        def use(key: str) -> str:
            return f"{var}->{self._scalar(row, key, struct).name}"

        if kind == "aligned":
            unit = self._symbol(row, "to")
            names = [self._scalar_named(row["members"], index, name, struct).name
                     for index, name in enumerate(row["members"])]
            return " || ".join(f"{var}->{name} % {unit} != 0" for name in names)
        if kind == "user_span":
            return f"!host_user_range_ok({use('start')}, {use('size')})"
        if kind == "span":
            return f"!span_fits({use('start')}, {use('size')}, {self._symbol(row, 'limit')})"
        if kind == "outside":
            first, last = self._symbol(row, "first"), self._symbol(row, "last")
            return f"span_touches({use('start')}, {use('size')}, {first}, {last})"
        value = use("member")
        member = self._scalar(row, "member", struct)
        if kind == "nonzero":
            return f"{value} == 0"
        if kind == "range":
            terms = []
            if self._number(row, "min") > 0:
                terms.append(f"{value} < {row['min']}")
            self._number(row, "max")
            terms.append(f"{value} > {row['max']}")
            text = " || ".join(terms)
            if "or" not in row:
                return text
            other = f"{value} != {self._symbol(row, 'or')}"
            return f"{other} && ({text})" if len(terms) > 1 else f"{other} && {text}"
        bits = f"(uint{member.size * 8}_t){value}" if member.c_type == "int" else value
        if kind == "bits":
            if member.enum is None or member.enum.all is None:
                self._errors.add(row, NO_ENUM, "member", struct=struct.name, name=member.name)
                raise SpecError(member.name)
            cast = "uint64_t" if member.size == 8 else "uint32_t"
            return f"({bits} & ~({cast}){member.enum.all}) != 0"
        if kind == "implies":
            return (f"({bits} & {self._symbol(row, 'bits')}) != 0 && "
                    f"({bits} & {self._symbol(row, 'needs')}) == 0")
        assert kind == "exclusive", kind
        for index in range(len(row["bits"])):
            self._number(row["bits"], index)
        together = " | ".join(row["bits"])
        return f"({bits} & ({together})) == ({together})"

    def _array(self, row: Map, struct: Struct) -> Member:
        member = self._find(row, "member", row["member"], struct)
        if not member.dims or member.struct is None or member.pointer:
            self._errors.add(row, NOT_AN_ARRAY, "member", struct=struct.name, name=member.name)
            raise SpecError(member.name)
        return member

    def _scalar(self, row: Map, key: str, struct: Struct) -> Member:
        return self._scalar_named(row, key, row[key], struct)

    def _scalar_named(self, node: Map | Seq, key: object, name: str, struct: Struct) -> Member:
        member = self._find(node, key, name, struct)
        if not member.number:
            self._errors.add(node, NOT_A_NUMBER, key, struct=struct.name, name=name)
            raise SpecError(name)
        return member

    def _find(self, node: Map | Seq, key: object, name: str, struct: Struct) -> Member:
        for member in struct.fields():
            if member.name == name:
                return member
        known = ", ".join(member.name for member in struct.fields())
        self._errors.add(node, UNKNOWN_MEMBER, key, struct=struct.name, name=name, known=known)
        raise SpecError(name)


def flat(checks: tuple[Check, ...]) -> Iterator[Check]:
    """Each refusal, those about elements of an array too."""
    for check in checks:
        if check.inner:
            yield from flat(check.inner)
        else:
            yield check


def _round(offset: int, align: int) -> int:
    return -(-offset // align) * align


def _by_errno(said: list[tuple[str, str]]) -> tuple[Error, ...]:
    """Sentences of one errno together, in the order of first use."""
    found: dict[str, list[str]] = {}
    for errno, doc in said:
        sentences = found.setdefault(errno, [])
        if doc not in sentences:
            sentences.append(doc)
    return tuple(Error(errno, tuple(docs)) for errno, docs in found.items())
