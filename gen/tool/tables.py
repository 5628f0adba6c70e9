# SPDX-License-Identifier: ISC
"""The spec as the tool sees it: built models, and entries that can be found by name and number."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gen.errors import Errors, SpecError
from gen.load import Map
from gen.model.arch import Arch
from gen.model.controls import Controls
from gen.model.cpuid import Cpuid
from gen.model.exit_reasons import Exits
from gen.model.insns import Insns
from gen.model.ioctls import Ioctls
from gen.model.msrs import Msrs
from gen.model.registers import Registers
from gen.model.vmcb_fields import Layout, Vmcb
from gen.model.vmcs_fields import Vmcs
from gen.spec import Spec
from gen.tool.article import Article

HOME = Path(__file__).resolve().parent.parent.parent
SPEC = HOME / "spec"


class ToolError(Exception):
    """What the user is told on stderr; the exit status is 1."""


@dataclass(frozen=True)
class Entry:
    """Something that can be explained."""

    topic: str
    name: str
    brief: str
    write: Callable[[], Article]
    aliases: tuple[str, ...] = ()
    numbers: Container[int] = ()
    scope: str = ""  # a word that may stand before a number, such as svm
    group: str = ""  # entries of one row
    row: Map | None = None  # of the spec; None: its group has another entry for it


class Tables:
    """Models, each built when it is first asked for."""

    def __init__(self, directory: Path = SPEC) -> None:
        self.directory = directory
        self.errors = Errors()
        self.spec = Spec(directory, self.errors)

    def model(self, name: str) -> Any:
        try:
            model = self.spec.model(name)
        except SpecError:
            model = None
        if model is None or len(self.errors):
            raise ToolError("\n".join(self.errors.lines()) or f"{name}: cannot be read")
        return model

    def rows(self, file: str, section: str, key: str) -> Mapping[str, Map]:
        """The rows of spec/FILE.yaml below SECTION, by the value of KEY."""
        self.model(file)
        return {str(row[key]): row for row in self.spec.doc(file)[section]}

    @cached_property
    def exits(self) -> Exits:
        return self.model("exit_reasons")  # type: ignore[no-any-return]

    @cached_property
    def controls(self) -> Controls:
        return self.model("controls")  # type: ignore[no-any-return]

    @cached_property
    def vmcs(self) -> Vmcs:
        return self.model("vmcs_fields")  # type: ignore[no-any-return]

    @cached_property
    def vmcb(self) -> Vmcb:
        return self.model("vmcb_fields")  # type: ignore[no-any-return]

    @cached_property
    def arch(self) -> Arch:
        return self.model("arch")  # type: ignore[no-any-return]

    @cached_property
    def msrs(self) -> Msrs:
        return self.model("msrs")  # type: ignore[no-any-return]

    @cached_property
    def cpuid(self) -> Cpuid:
        return self.model("cpuid")  # type: ignore[no-any-return]

    @cached_property
    def registers(self) -> Registers:
        return self.model("registers")  # type: ignore[no-any-return]

    @cached_property
    def insns(self) -> Insns:
        return self.model("insns")  # type: ignore[no-any-return]

    @cached_property
    def ioctls(self) -> Ioctls:
        return self.model("ioctls")  # type: ignore[no-any-return]

    @property
    def has_checks(self) -> bool:
        return (self.directory / "entry_checks.yaml").exists()

    def layout(self, name: str) -> Layout:
        """Of the VMCS's words or the VMCB's."""
        found = next((layout for layout in self.vmcs.layouts if layout.name == name), None)
        found = found or self.vmcb.layout(name)
        assert found is not None, name
        return found


def sources(row: Map) -> str:
    """The `source` of a row on one line."""
    said = row.get("source", "")
    if isinstance(said, Mapping):
        return "; ".join(f"{manual.upper()} {place}" for manual, place in said.items())
    return "; ".join(said) if isinstance(said, list) else str(said)


def place(row: Map) -> str:
    return f"{row.file}:{row.line}"


Entries = Callable[[Tables], Iterator[Entry]]
