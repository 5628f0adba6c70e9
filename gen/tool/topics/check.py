# SPDX-License-Identifier: ISC
"""explain check: the rules of VM entry."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from gen.load import Map
from gen.tool.article import Article, Part, part, table
from gen.tool.tables import Entry, Tables, place, sources

_MAKERS = {"vmx": "Intel", "svm": "AMD"}


def entries(tables: Tables) -> Iterator[Entry]:
    if not tables.has_checks:
        return
    model = tables.model("entry_checks")
    for rules in (model.vmx, model.svm):
        for check in rules.checks:
            yield Entry("check", check.name, check.doc, partial(_check, check),
                        scope=rules.vendor, row=check.row)
        for phase in rules.phases:
            yield Entry("check", f"phase.{phase.name}", phase.doc, partial(_phase, rules, phase),
                        scope=rules.vendor, row=phase.row)
    for section, key in (("inputs", "input"), ("states", "state")):
        for name, row in tables.rows("entry_checks", section, key).items():
            yield Entry("check", f"{key}.{name}", row["doc"], partial(_given, key, row), row=row)


def _check(check: Any) -> Article:
    row: Map = check.row
    star = _star(row["check"], check.name)
    parts: list[Part] = []
    if "when" in row:
        parts += part("applies when", row["when"].replace("*", star))
    parts += part("requires", row["require"].replace("*", star))
    parts += part("looks at", ", ".join(operand.name for operand in check.operands))
    parts += part("phase", f"{check.phase.name}: {check.phase.doc}")
    parts += part("CPU says", _failure(check.phase, check.qualification))
    for emulator in check.emulators:
        parts += part(emulator.name, f"{emulator.verdict}: {emulator.reason}")
    parts += part("manual", check.source)
    parts += part("spec", place(row))
    title = f"check {check.name} of entries on {_MAKERS[check.phase.vendor]}"
    return Article("check", check.name, title, check.doc, tuple(parts))


def _star(pattern: str, name: str) -> str:
    """What * stands for in a row that is several checks."""
    before, star, after = pattern.partition("*")
    return name[len(before):len(name) - len(after)] if star else "*"


def _failure(phase: Any, qualification: int) -> str:
    if phase.error:
        return f"VM-instruction error {phase.error}"
    text = f"exit {phase.exit:#x}"
    return f"{text}, qualification {qualification}" if qualification >= 0 else text


def _phase(rules: Any, phase: Any) -> Article:
    mine = [(check.name, check.doc) for check in rules.checks if check.phase is phase]
    return Article("check", f"phase.{phase.name}",
                   f"phase {phase.name} of entries on {_MAKERS[phase.vendor]}", phase.doc, (
                       *part("CPU says", _failure(phase, -1)),
                       *table("checks", ("name", "meaning"), mine),
                       *part("manual", sources(phase.row)), *part("spec", place(phase.row))))


def _given(key: str, row: Map) -> Article:
    return Article("check", f"{key}.{row[key]}", f"{key} {row[key]} of entry checks", row["doc"], (
        *part("manual", sources(row)), *part("spec", place(row))))
