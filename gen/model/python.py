# SPDX-License-Identifier: ISC
"""The interface of /dev/vmm in ctypes' words: what build/python/vmm.py is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from gen.errors import Errors
from gen.model.exit_reasons import Exits
from gen.model.ioctls import Ioctl, Ioctls, Member, Struct
from gen.spec import Spec
from gen.text import plain

_SCALARS = {
    "u8": "c_uint8",
    "u16": "c_uint16",
    "u32": "c_uint32",
    "u64": "c_uint64",
    "int": "c_int32",
    "char": "c_char",
    "size_t": "c_uint64",
    "paddr_t": "c_uint64",
    "vaddr_t": "c_uint64",
    "pid_t": "c_int32",
}


@dataclass(frozen=True)
class PyConstant:
    name: str
    value: str
    doc: str


@dataclass(frozen=True)
class PyField:
    name: str
    ctype: str  # an expression
    annotation: str  # what reading it gives
    doc: str


@dataclass(frozen=True)
class PyStruct:
    """A class; those of its unions have a struct of their own, and no name outside."""

    name: str
    base: str
    doc: str
    size: int
    fields: tuple[PyField, ...]
    shown: tuple[PyField, ...]  # the members of unions instead of the unions
    anonymous: tuple[str, ...]


@dataclass(frozen=True)
class Python:
    constants: tuple[PyConstant, ...]
    structs: tuple[PyStruct, ...]
    ioctls: tuple[Ioctl, ...]
    reasons: tuple[tuple[str, str, tuple[str, ...]], ...]  # ioctl, errno, sentences
    common: tuple[tuple[str, tuple[str, ...]], ...]  # errno, sentences


def build(spec: Spec, errors: Errors) -> Python:
    del errors  # what can be wrong is wrong in the models behind this one
    ioctls: Ioctls = spec.model("ioctls")
    exits: Exits = spec.model("exit_reasons")
    return Python(
        constants=tuple(_constants(ioctls, exits)),
        structs=tuple(part for struct in ioctls.structs for part in _struct(struct)),
        ioctls=ioctls.ioctls,
        reasons=tuple((ioctl.name, error.errno, tuple(map(plain, error.docs)))
                      for ioctl in ioctls.ioctls for error in ioctl.errors),
        common=tuple((error.errno, tuple(map(plain, error.docs))) for error in ioctls.errors),
    )


def _constants(ioctls: Ioctls, exits: Exits) -> Iterator[PyConstant]:
    for constant in ioctls.constants:
        yield PyConstant(constant.name, _number(constant.value), plain(constant.doc))
    for enum in ioctls.enums:
        for value in enum.values:
            yield PyConstant(value.name, _number(value.value), plain(value.doc))
        if enum.all is not None:
            yield PyConstant(enum.all, hex(enum.mask), "All of them.")
    for name, number in exits.public_names:
        yield PyConstant(name, hex(number), "An exit reason.")
    for ioctl in ioctls.ioctls:
        yield PyConstant(ioctl.name, hex(ioctl.request), plain(ioctl.doc))


def _number(value: int) -> str:
    return str(value) if value < 0x1000 else hex(value)


def _struct(struct: Struct) -> Iterator[PyStruct]:
    """The unions of a struct, then the struct."""
    fields: list[PyField] = []
    shown: list[PyField] = []
    unions: list[str] = []
    for member in struct.members:
        if not member.alternatives:
            fields.append(_field(member))
            shown.append(fields[-1])
            continue
        unions.append(f"_union{len(unions)}")
        name = f"_{struct.name}{unions[-1]}"
        parts = tuple(_field(part) for part in member.alternatives)
        yield PyStruct(name, "Union", plain(member.doc), member.size, parts, parts, ())
        fields.append(PyField(unions[-1], name, name, plain(member.doc)))
        shown.extend(parts)
    yield PyStruct(struct.name, "Structure", plain(struct.doc), struct.size, tuple(fields),
                   tuple(shown), tuple(unions))


def _field(member: Member) -> PyField:
    ctype = member.struct or f"ctypes.{_SCALARS[member.type]}"
    annotation = member.struct or "int"
    if member.pointer:
        ctype, annotation = f"ctypes.POINTER({ctype})", f"ctypes._Pointer[{annotation}]"
    element = ctype
    for depth, count in enumerate(reversed(member.counts)):
        text = member.type == "char" and depth == 0  # ctypes reads it as bytes
        annotation = "bytes" if text else f"ctypes.Array[{element}]"
        ctype = f"{ctype} * {count}"
        element = f"ctypes.Array[{element}]"
    return PyField(member.name, ctype, annotation, plain(member.doc))
