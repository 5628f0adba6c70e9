# SPDX-License-Identifier: ISC
"""The interface of /dev/vmm as a fuzzer of system calls sees it: types of syzkaller's syzlang.

A member's type says what the checks of ioctls.yaml let through, so that most arguments get past
them; the fuzzer breaks types by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator

from gen.errors import Errors
from gen.load import Map, Seq
from gen.model.arch import Arch
from gen.model.ioctls import Enum, Ioctls, Member, Struct
from gen.spec import Spec
from gen.text import plain

ARCH = "amd64"
DEVICE, VM = "fd_vmm", "vmm_vm"
PAGE = 0x1000  # of the fuzzer's memory
FLAG_BITS = 8  # a part of a register with more is an address, and so is the register

# Calls, flags of open(2) and the directory, as Linux numbers them on amd64.
_SYSTEM = {"__NR_ioctl": 16, "__NR_openat": 257, "AT_FDCWD": 2**64 - 100, "O_RDWR": 2}


@dataclass(frozen=True)
class SyzField:
    name: str
    type: str
    doc: str
    out: bool = False


@dataclass(frozen=True)
class SyzStruct:
    name: str
    union: bool
    doc: str
    fields: tuple[SyzField, ...]


@dataclass(frozen=True)
class SyzFlags:
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class SyzCall:
    name: str
    direction: str
    struct: str
    doc: str


@dataclass(frozen=True)
class Syzlang:
    arch: str
    device: str
    vm: str
    calls: tuple[SyzCall, ...]
    structs: tuple[SyzStruct, ...]
    flags: tuple[SyzFlags, ...]
    constants: tuple[tuple[str, int], ...]  # sorted


def build(spec: Spec, errors: Errors) -> Syzlang:
    del errors  # what can be wrong is wrong in the models behind this one
    return _Builder(spec.model("ioctls"), spec.doc("ioctls"), spec.doc("registers"),
                    spec.model("arch")).build()


class _Builder:
    def __init__(self, ioctls: Ioctls, doc: Map, registers: Map, arch: Arch) -> None:
        self._ioctls = ioctls
        self._registers = registers
        self._numbers = {constant.name: constant.value for constant in ioctls.constants}
        for enum in ioctls.enums:
            self._numbers.update((value.name, value.value) for value in enum.values)
        self._words = {word.name: word for word in arch.registers}
        self._checks: dict[tuple[str, str], list[Map]] = {}
        for row in doc["ioctls"]:
            self._note(ioctls.struct(row["struct"]), row.get("checks", ()))
        self._flags: dict[str, SyzFlags] = {}
        self._constants = dict(_SYSTEM)

    def _note(self, struct: Struct, checks: Seq | tuple[()]) -> None:
        """File each check under the members it is about."""
        for row in checks:
            if row["check"] == "each":
                member = next(m for m in struct.fields() if m.name == row["member"])
                self._note(self._ioctls.struct(str(member.struct)), row["checks"])
                continue
            element = struct
            if row["check"] in ("ascending", "total"):
                member = next(m for m in struct.fields() if m.name == row["member"])
                element = self._ioctls.struct(str(member.struct))
            names = [row[key] for key in ("member", "start", "size") if key in row]
            for name in [*names, *row.get("members", ())]:
                self._checks.setdefault((element.name, name), []).append(row)

    def build(self) -> Syzlang:
        structs = tuple(part for struct in self._ioctls.structs for part in self._struct(struct))
        calls = tuple(SyzCall(ioctl.name, "inout" if ioctl.out else "in", ioctl.struct.name,
                              plain(ioctl.doc)) for ioctl in self._ioctls.ioctls)
        self._constants.update((ioctl.name, ioctl.request) for ioctl in self._ioctls.ioctls)
        return Syzlang(ARCH, DEVICE, VM, calls, structs, tuple(self._flags.values()),
                       tuple(sorted(self._constants.items())))

    # --- structs

    def _struct(self, struct: Struct) -> Iterator[SyzStruct]:
        """What the struct consists of first."""
        fields: list[SyzField] = []
        for member in struct.members:
            if member.alternatives:
                name = f"{struct.name}_{'_'.join(part.name for part in member.alternatives)}"
                parts = tuple(self._field(struct, part) for part in member.alternatives)
                yield SyzStruct(name, True, plain(member.doc), parts)
                fields.append(SyzField("u", name, plain(member.doc)))
                continue
            group = self._group(member)
            if group is not None:
                yield group
                fields.append(SyzField(member.name, group.name, plain(member.doc)))
                continue
            field = self._field(struct, member)
            choice = self._choice(struct, member, field)
            if choice is not None:
                yield choice
                field = replace(field, type=choice.name)
            fields.append(field)
        yield SyzStruct(struct.name, False, plain(struct.doc), tuple(fields))

    def _group(self, member: Member) -> SyzStruct | None:
        """An array that registers.yaml has names for, register by register."""
        rows = [group for group in self._registers["groups"]
                if group.get("member") == member.name and member.struct is None]
        if not rows:
            return None
        registers = [row for row in self._registers["registers"]
                     if row["group"] == rows[0]["group"]]
        fields = tuple(SyzField(row["register"], self._register(row["register"]), row["doc"])
                       for row in sorted(registers, key=lambda row: int(row["index"])))
        return SyzStruct(f"vcpu_regs_{rows[0]['group']}", False, plain(member.doc), fields)

    def _register(self, name: str) -> str:
        word = self._words.get(name)
        parts = [bits.field for bits in word.bits if bits.field.name] if word is not None else []
        values = {f"ARCH_{name.upper()}_{part.name}": part.mask for part in parts if part.single}
        if not values or any(part.mask.bit_count() > FLAG_BITS for part in parts):
            return "int64"
        self._constants.update(values)
        self._flags[f"vcpu_{name}"] = SyzFlags(f"vcpu_{name}", tuple(values))
        return f"flags[vcpu_{name}, int64]"

    def _choice(self, struct: Struct, member: Member, field: SyzField) -> SyzStruct | None:
        """A range with a value beside it."""
        for row in self._checks.get((struct.name, member.name), ()):
            if row["check"] == "range" and "or" in row:
                self._constants[row["or"]] = self._numbers[row["or"]]
                return SyzStruct(f"{struct.name}_{member.name}", True, plain(member.doc), (
                    SyzField("in_range", field.type, "What the range allows."),
                    SyzField("beside", f"const[{row['or']}, {_integer(member)}]",
                             "And what stands beside it.")))
        return None

    def _field(self, struct: Struct, member: Member) -> SyzField:
        return SyzField(member.name, self._type(struct, member), plain(member.doc), member.out)

    # --- types

    def _type(self, struct: Struct, member: Member) -> str:
        if member.pointer:
            return self._pointer(member)
        text = member.struct or (self._scalar(struct, member) if member.number
                                 else self._element(member))
        for count in reversed(member.counts):
            text = f"array[{text}, {count}]"
        return text

    def _pointer(self, member: Member) -> str:
        """To one, or to as many as the member `bytes` has room for."""
        target = self._ioctls.struct(str(member.struct))
        direction = "out" if all(part.out for part in target.fields()) else "inout"
        text = f"array[{target.name}]" if member.bytes else target.name
        return f"ptr64[{direction}, {text}]"

    def _element(self, member: Member) -> str:
        return self._enum(member.enum, member) if member.enum else _integer(member)

    def _enum(self, enum: Enum, member: Member) -> str:
        self._flags[enum.name] = SyzFlags(enum.name, tuple(v.name for v in enum.values))
        self._constants.update((value.name, value.value) for value in enum.values)
        return f"flags[{enum.name}, {_integer(member)}]"

    def _scalar(self, struct: Struct, member: Member) -> str:
        integer = _integer(member)
        if member.names == "vm":
            return VM
        if member.names == "vcpu":
            return f"{integer}[0:{self._numbers['VMM_MAX_VCPUS_PER_VM'] - 1}]"
        if member.enum is not None:
            return self._enum(member.enum, member)
        sized = [other for other in struct.fields() if other.bytes == member.name]
        if sized:
            return f"bytesize[{sized[0].name}, {integer}]"
        rows = self._checks.get((struct.name, member.name), [])
        for row in rows:
            if row["check"] == "user_span" and row["size"] == member.name:
                return f"len[{row['start']}, {integer}]"
            if row["check"] == "user_span":
                return self._pages(struct, row)
        low, high, step = 0, (1 << member.size * 8) - 1, 1
        for row in rows:
            if row["check"] == "range":
                low, high = self._number(row["min"]), self._number(row["max"])
            elif row["check"] == "aligned":
                step = self._number(row["to"])
            elif row["check"] == "span":
                high = self._number(row["limit"]) - (row["start"] == member.name)
                low = int(row["size"] == member.name)
        low = -(-low // step) * step
        if (low, high, step) == (0, (1 << member.size * 8) - 1, 1):
            return integer
        return f"{integer}[{low}:{high}{f', {step}' if step > 1 else ''}]"

    def _pages(self, struct: Struct, row: Map) -> str:
        """Memory of the process: as little as the sum of the sizes allows."""
        sums = [self._number(other["multiple"])
                for other in self._checks.get((struct.name, row["size"]), ())
                if other["check"] == "total"]
        return f"vma64[{sums[0] // PAGE}]" if sums else "vma64"

    def _number(self, value: int | str) -> int:
        return value if isinstance(value, int) else self._numbers[value]


def _integer(member: Member) -> str:
    return f"int{member.size // _elements(member) * 8}"


def _elements(member: Member) -> int:
    total = 1
    for count in member.counts:
        total *= count
    return total
