# SPDX-License-Identifier: ISC
"""What pages are made of: spans of text, rows, sections, pages; and where a row is found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of row: the page where it stands, and what one of it and several are called."""

    page: str
    one: str
    many: str


KINDS: dict[str, Kind] = {
    "exit": Kind("exits", "exit", "exits"),
    "vmx-exit": Kind("exits", "Intel exit reason", "Intel exit reasons"),
    "svm-exit": Kind("exits", "AMD exit code", "AMD exit codes"),
    "vmcs": Kind("vmcs", "VMCS field", "VMCS fields"),
    "vmcs-word": Kind("vmcs", "layout (VMX)", "layouts (VMX)"),
    "vmcs-bit": Kind("vmcs", "bits (VMX)", "bits (VMX)"),
    "vmcb": Kind("vmcb", "VMCB field", "VMCB fields"),
    "vmcb-word": Kind("vmcb", "layout (VMCB)", "layouts (VMCB)"),
    "vmcb-bit": Kind("vmcb", "bits (VMCB)", "bits (VMCB)"),
    "area": Kind("vmcb", "VMCB area", "VMCB areas"),
    "clean": Kind("vmcb", "clean bit", "clean bits"),
    "control": Kind("controls", "control", "controls"),
    "vmx-control-word": Kind("controls", "VMX control word", "VMX control words"),
    "svm-control-word": Kind("controls", "SVM control word", "SVM control words"),
    "svm-capability": Kind("controls", "SVM capability", "SVM capabilities"),
    "vmx-capability": Kind("controls", "VMX capability", "VMX capabilities"),
    "value": Kind("controls", "value of a control", "values of controls"),
    "fixed": Kind("controls", "fixed bits", "fixed bits"),
    "msr": Kind("msrs", "MSR", "MSRs"),
    "leaf": Kind("cpuid", "CPUID leaf", "CPUID leaves"),
    "cpuid": Kind("cpuid", "CPUID bits", "CPUID bits"),
    "register": Kind("registers", "register", "registers"),
    "register-group": Kind("registers", "group of registers", "groups of registers"),
    "segment": Kind("registers", "segment", "segments"),
    "insn": Kind("insns", "instruction", "instructions"),
    "prefix": Kind("insns", "prefix", "prefixes"),
    "word": Kind("arch", "word", "words"),
    "bit": Kind("arch", "bits", "bits"),
    "rule": Kind("arch", "rule", "rules"),
    "exception": Kind("arch", "exception", "exceptions"),
    "memory-type": Kind("arch", "memory type", "memory types"),
    "format": Kind("arch", "second-stage format", "second-stage formats"),
    "ioctl": Kind("ioctls", "ioctl", "ioctls"),
    "client-exit": Kind("ioctls", "exit reason for clients", "exit reasons for clients"),
    "error": Kind("ioctls", "error", "errors"),
    "struct": Kind("ioctls", "structure", "structures"),
    "member": Kind("ioctls", "member", "members"),
    "constant": Kind("ioctls", "constant", "constants"),
    "enum": Kind("ioctls", "set of constants", "sets of constants"),
    "difference": Kind("ioctls", "difference", "differences"),
    "phase": Kind("entry_checks", "phase of an entry", "phases of an entry"),
    "check": Kind("entry_checks", "entry check", "entry checks"),
    "input": Kind("entry_checks", "input of entry checks", "inputs of entry checks"),
    "state": Kind("entry_checks", "example state", "example states"),
    "source": Kind("manuals", "manual section", "manual sections"),
}


def anchor(kind: str, *names: object) -> str:
    """The id of a row."""
    return "-".join([kind, *(re.sub(r"[^A-Za-z0-9_.]+", "-", str(name)) for name in names)])


def href(kind: str, *names: object) -> str:
    """The address of a row."""
    return f"{KINDS[kind].page}.html#{anchor(kind, *names)}"


@dataclass(frozen=True)
class Span:
    """Some text: of style text, code, word (of the closed vocabularies) or break (a new line)."""

    text: str
    style: str = "text"
    href: str = ""


Cell = tuple[Span, ...]
BREAK = Span("", "break")


def text(words: str) -> Span:
    return Span(words)


def code(words: object) -> Span:
    return Span(str(words), "code")


def word(policy: str) -> Span:
    return Span(policy, "word")


def link(kind: str, *names: object, label: str = "") -> Span:
    """A name that leads to its row."""
    return Span(label or str(names[-1]), "code", href(kind, *names))


def listed(spans: Iterable[Span], between: str = ", ") -> Cell:
    """One after another."""
    found: list[Span] = []
    for span in spans:
        if found:
            found.append(text(between))
        found.append(span)
    return tuple(found)


def lines(cells: Iterable[Cell]) -> Cell:
    """One below another, empty ones left out."""
    found: list[Span] = []
    for cell in cells:
        if cell and found:
            found.append(BREAK)
        found.extend(cell)
    return tuple(found)


def plain(cell: Cell) -> str:
    """The cell without its styles."""
    return "".join(" " if span.style == "break" else span.text for span in cell)


def number(value: int, digits: int = 0) -> str:
    return f"{value:#0{digits + 2}x}" if value else "0x" + "0" * max(1, digits)


@dataclass(frozen=True)
class Row:
    kind: str
    names: tuple[object, ...]  # what `kind` and these give is its anchor
    title: str  # in the first column
    cells: tuple[Cell, ...]  # in the columns of its section
    doc: Cell = ()
    sources: object = ()  # as the spec has it
    label: str = ""  # how others call it, when the title alone would not do
    words: tuple[str, ...] = ()  # what else it is searched by

    @property
    def anchor(self) -> str:
        return anchor(self.kind, *self.names)

    @property
    def href(self) -> str:
        return href(self.kind, *self.names)

    @property
    def name(self) -> str:
        return self.label or self.title


@dataclass(frozen=True)
class Section:
    """A heading, some paragraphs, and a table. With a kind it is itself a row of the spec."""

    title: str
    names: tuple[object, ...]
    columns: tuple[str, ...] = ()  # between the first column and the ones that every table has
    rows: tuple[Row, ...] = ()
    paragraphs: tuple[Cell, ...] = ()
    kind: str = ""
    first: str = "Name"
    sources: object = ()
    label: str = ""
    words: tuple[str, ...] = ()
    last: str = "See also"  # heading of the last column
    counts: bool = True  # its rows are named where they lead to

    @property
    def anchor(self) -> str:
        return anchor(self.kind or "section", *self.names)

    @property
    def documented(self) -> bool:
        return any(row.doc for row in self.rows)

    @property
    def name(self) -> str:
        return self.label or self.title


@dataclass(frozen=True)
class Page:
    name: str
    title: str
    doc: str
    sections: tuple[Section, ...]
    spec: str = ""  # its file in spec/, without suffix

    @property
    def file(self) -> str:
        return f"{self.name}.html"

    @property
    def size(self) -> int:
        """Rows of the spec on it."""
        return sum(len(section.rows) for section in self.sections if section.counts)
