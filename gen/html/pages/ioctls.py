# SPDX-License-Identifier: ISC
"""The interface: ioctls, structures, constants."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gen.html.content import (Cell, Page, Row, Section, Span, code, href, lines, link, listed, text,
                              word)
from gen.model.client_exits import ClientExit
from gen.model.ioctls import Constant, Enum, Error, Ioctl, Ioctls, Member, Struct
from gen.spec import Spec


def build(spec: Spec) -> Page:
    return _Interface(spec.model("ioctls")).page()


class _Interface:
    def __init__(self, ioctls: Ioctls) -> None:
        self._ioctls = ioctls
        self._names = dict(_names(ioctls))

    def page(self) -> Page:
        ioctls = self._ioctls
        return Page("ioctls", "Interface", "/dev/vmm: ioctls, structures and constants, as in "
                    "machine/vmmvar.h. The manual page vmm(4) says the same at length.", (
                        *(self._ioctl(item) for item in ioctls.ioctls),
                        Section("Errors of any ioctl", ("errors",), (),
                                tuple(self._error("any", error) for error in ioctls.errors),
                                first="Error"),
                        Section("Exit reasons", ("exits",), ("Constants",),
                                tuple(self._exit(item) for item in ioctls.exits),
                                ((text("What ends "), link("ioctl", "VMM_IOC_RUN"), text(
                                    ", and what a client does about it."),),), first="Exit"),
                        *(self._struct(item) for item in ioctls.structs),
                        Section("Constants", ("constants",), ("Value",),
                                tuple(self._constant(item) for item in ioctls.constants)),
                        *(self._enum(item) for item in ioctls.enums),
                        Section("Differences from OpenBSD", ("differences",), (), tuple(
                            Row("difference", (index,), str(index), (), self._prose(words),
                                label=f"difference {index}")
                            for index, words in enumerate(ioctls.differences, 1)), first="Number"),
                    ), "ioctls")

    def _prose(self, words: str) -> Cell:
        """Text in which `names` lead to their rows."""
        parts = re.split(r"`([^`]*)`", words)
        return tuple(span for index, part in enumerate(parts) if part
                     for span in ((self._name(part) if index % 2 else text(part)),))

    def _name(self, name: str) -> Span:
        return Span(name, "code", self._names.get(name, ""))

    def _ioctl(self, item: Ioctl) -> Section:
        way = "read and written" if item.out else "read"
        about: Cell = (text(f"Number {item.number}, argument "),
                       link("struct", item.struct.name, label=f"struct {item.struct.name}"),
                       text(f", which is {way}."), *_extension(item.extension))
        return Section(item.name, (item.name,), (),
                       tuple(self._error(item.name, error) for error in item.errors),
                       (self._prose(item.doc), *(self._prose(words) for words in item.text),
                        about), "ioctl", "Error")

    def _error(self, ioctl: str, error: Error) -> Row:
        return Row("error", (ioctl, error.errno), error.errno, (),
                   self._prose(" ".join(error.docs)), label=f"{error.errno} of {ioctl}",
                   words=(error.errno,))

    def _exit(self, item: ClientExit) -> Row:
        return Row("client-exit", (item.exit.name,), item.exit.name,
                   ((*listed(code(name) for name in item.constants), text(": kind "),
                     link("exit", item.exit.name)),),
                   lines(self._prose(words) for words in item.text), words=item.constants)

    def _struct(self, item: Struct) -> Section:
        return Section(f"struct {item.name}", (item.name,), ("Offset", "Type", "Values"),
                       tuple(self._member(item, member) for member in item.fields()),
                       ((*self._prose(item.doc), text(f" {item.size} bytes.")),), "struct",
                       "Member", words=(item.name,))

    def _member(self, struct: Struct, member: Member) -> Row:
        kind: Cell = (code(member.c_type),)
        if member.struct is not None:
            kind = (link("struct", member.struct, label=member.c_type),)
        if member.pointer:
            kind += (text(" pointer"),)
        if member.dims:
            kind += (text(" "), *listed((self._dimension(dim) for dim in member.dims), " by "))
        values: Cell = (link("enum", member.enum.name),) if member.enum is not None else ()
        doc = self._prose(member.doc)
        if member.out:
            doc += (text(" Set by the driver."),)
        return Row("member", (struct.name, member.name), member.name,
                   ((text(str(member.offset)),), kind, values),
                   (*doc, *_extension(member.extension)), label=f"{struct.name}.{member.name}")

    def _dimension(self, dim: str) -> Span:
        return Span(f"[{dim}]", "code", self._names.get(dim, ""))

    def _constant(self, item: Constant) -> Row:
        return Row("constant", (item.name,), item.name, ((code(item.text),),),
                   (*self._prose(item.doc), *_extension(item.extension)))

    def _enum(self, item: Enum) -> Section:
        about: Cell = (*self._prose(item.doc), *_extension(item.extension))
        if item.all is not None:
            about += (text(" "), code(item.all), text(" is all of them."))
        return Section(_title(item), (item.name,), ("Value",),
                       tuple(self._constant(value) for value in item.values), (about,), "enum",
                       label=item.name, words=(item.all or "",))


def _title(item: Enum) -> str:
    return f"{item.name}: {'bits' if item.flags else 'values'}"


def _extension(extension: bool) -> Cell:
    return (text(" "), word("extension")) if extension else ()


def _names(ioctls: Ioctls) -> Iterator[tuple[str, str]]:
    """Where the names lead that text mentions; members only when one struct alone has them."""
    owners: dict[str, list[str]] = {}
    for struct in ioctls.structs:
        yield f"struct {struct.name}", href("struct", struct.name)
        for member in struct.fields():
            owners.setdefault(member.name, []).append(struct.name)
    for name, structs in owners.items():
        if len(structs) == 1:
            yield name, href("member", structs[0], name)
    for ioctl in ioctls.ioctls:
        yield ioctl.name, href("ioctl", ioctl.name)
    for enum in ioctls.enums:
        for constant in enum.values:
            yield constant.name, href("constant", constant.name)
    for constant in ioctls.constants:
        yield constant.name, href("constant", constant.name)
