# SPDX-License-Identifier: ISC
"""A relocatable object for x86-64, as far as a test of vmm.ko looks at it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELA = struct.Struct("<QIIq")
SHT_SYMTAB = 2
STT_SECTION = 3
STT_FUNC = 2


@dataclass(frozen=True)
class Section:
    """One section, its bytes included."""

    name: str
    kind: int
    data: bytes
    link: int
    info: int


@dataclass(frozen=True)
class Symbol:
    """section: its index; 0 for a symbol that another object has."""

    name: str
    kind: int
    section: int
    value: int
    size: int


@dataclass(frozen=True)
class Reloc:
    """What is put at offset: the address of symbol + addend."""

    offset: int
    symbol: Symbol
    addend: int


class Object:
    """vmm.ko, or anything else that the linker has not finished."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        header = HEADER.unpack_from(self.data)
        start, count, names = header[6], header[12], header[13]
        raw = [SECTION.unpack_from(self.data, start + i * SECTION.size) for i in range(count)]
        strings = raw[names]
        self.sections = [
            Section(self._string(strings[4] + s[0]), s[1],
                    self.data[s[4]:s[4] + s[5]] if s[1] != 8 else b"", s[6], s[7])
            for s in raw]
        table = next(i for i, s in enumerate(self.sections) if s.kind == SHT_SYMTAB)
        text = raw[self.sections[table].link][4]
        self.symbols = [
            Symbol(self._string(text + name), info & 15, section, value, size)
            for name, info, _, section, value, size in
            SYMBOL.iter_unpack(self.sections[table].data)]

    def _string(self, offset: int) -> str:
        return self.data[offset:self.data.index(b"\0", offset)].decode()

    def section(self, name: str) -> Section:
        """The section of that name; KeyError without one."""
        for section in self.sections:
            if section.name == name:
                return section
        raise KeyError(name)

    def relocs(self, name: str) -> list[Reloc]:
        """The relocations of a section, by offset."""
        try:
            table = self.section(".rela" + name)
        except KeyError:
            return []
        return sorted((Reloc(offset, self.symbols[symbol], addend)
                       for offset, _, symbol, addend in RELA.iter_unpack(table.data)),
                      key=lambda r: r.offset)

    def function_at(self, section: int, offset: int) -> str:
        """The function that has this byte, or an empty string."""
        for s in self.symbols:
            if s.kind == STT_FUNC and s.section == section and \
                    s.value <= offset < s.value + s.size:
                return s.name
        return ""

    def target(self, reloc: Reloc) -> tuple[int, int]:
        """Where a relocation points: index of a section, and the offset in it."""
        return reloc.symbol.section, reloc.symbol.value + reloc.addend

    def undefined(self) -> set[str]:
        """The names that the kernel has to supply."""
        return {s.name for s in self.symbols if s.section == 0 and s.name}
