# SPDX-License-Identifier: ISC
"""The VM-entry checks: rules over a VMCS or VMCB, each proved by the states of its example."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Iterator

from gen.errors import Errors, Message, SpecError, where
from gen.load import Map
from gen.model.entry_expr import Expression, Operand, parse
from gen.model.entry_scope import VENDORS, EntryScope, build_scope
from gen.model.entry_states import Setting, States, build_states, settings
from gen.model.vmcs_fields import Vmcs
from gen.spec import Spec

CHECK_TWICE = Message("check '{check}' stands twice", "rename one, the first is at {place}")
EACH_STAR = Message("check '{check}': each and a * in the name go together", "both or none")
PHASE_TWICE = Message("phase '{phase}' stands twice", "rename one, the first is at {place}")
NO_PHASE = Message("check '{check}' is of phase '{phase}', which {vendor} does not have",
                   "one of {known}")
PHASE_ORDER = Message("check '{check}' of phase '{phase}' stands after one of a later phase",
                      "the order of the manual, which is that of the CPU")
PHASE_GROUP = Message("check '{check}' of phase '{phase}' looks at '{field}' of group {group}",
                      "another phase, or another field")
NO_ALSO = Message("phase '{phase}' may also look at '{field}', which is no field of the VMCS",
                  "a field of vmcs_fields.yaml")
NO_ERROR = Message("phase '{phase}' fails with error '{error}', which is none", "one of {known}")
NO_EXIT = Message("phase '{phase}' fails with exit '{exit}', which is none",
                  "a row of exit_reasons.yaml with a number of that vendor")
FAILS_TWICE = Message("phase '{phase}' fails with {keys}", "an error of VMX or an exit")
SOURCE = Message("check '{check}': source '{source}' is not of {vendor}'s manual", "{expected}")
NEEDS = Message("check '{check}' uses '{field}' and not '{needs}'",
                "in when: the control without which there is no such field")
NO_QUALIFICATION = Message("check '{check}' gives qualification '{qualification}', which is none",
                           "one of {known}")
QUALIFICATION_PHASE = Message("check '{check}' gives a qualification, and {phase} has none",
                              "only exits have one")
UNUSED_INPUT = Message("no check of {vendor} uses input '{input}'", "drop it, or the vendor")
GOOD_IS_NOT = Message("check '{check}': its good state breaks '{other}'",
                      "a state that every check accepts")
NOT_REACHED = Message("check '{check}': its `when` is false in its good state",
                      "given: what the check is about")
NOT_BROKEN = Message("check '{check}': its bad state does not break it", "breaks: what it forbids")
ALSO_BROKEN = Message("check '{check}': its bad state breaks '{other}' too",
                      "a state that breaks this one only")

MANUALS = {"vmx": "SDM 3C 27", "svm": "APM 2 15"}
EMULATORS = {"vmx": "bochs", "svm": "qemu"}  # that tests run on


@dataclass(frozen=True)
class Phase:
    """Checks that the CPU makes together, and how it says that one of them failed."""

    name: str
    vendor: str
    doc: str
    error: int  # VM-instruction error; 0: there is an exit
    exit: int  # reason or code; only where there is no error
    groups: tuple[str, ...]
    also: tuple[str, ...]
    row: Map


@dataclass(frozen=True)
class Emulator:
    name: str
    verdict: str  # accepts, differs, stricter or untried
    reason: str


@dataclass(frozen=True)
class Example:
    state: str
    given: tuple[Setting, ...]
    breaks: tuple[Setting, ...]
    never_entered: str  # why the good state is not entered on a CPU, or empty


@dataclass(frozen=True)
class Check:
    name: str
    phase: Phase
    index: int
    when: Expression | None
    require: Expression
    qualification: int  # -1: the phase has none
    doc: str
    source: str
    example: Example
    emulators: tuple[Emulator, ...]
    operands: tuple[Operand, ...]
    row: Map

    def holds(self, state: dict[str, int]) -> bool:
        return (self.when is not None and not self.when.holds(state)) or self.require.holds(state)

    @property
    def constant(self) -> str:
        return self.name.upper()

    @property
    def said(self) -> str:
        """Its doc, as a part of a sentence."""
        return self.doc.removesuffix(".")

    def c_operands(self, prefix: str) -> str:
        return ", ".join(f"{prefix}_ENTRY_{operand.constant}" for operand in self.operands)

    @property
    def c(self) -> str:
        if self.when is None:
            return self.require.c
        return f"!{self.when.c} || {self.require.c}"


@dataclass(frozen=True)
class Vector:
    """An example for C: (first, count) of settings."""

    check: Check
    state: tuple[int, int]
    given: tuple[int, int]
    breaks: tuple[int, int]
    verdict: str
    reason: str


@dataclass(frozen=True)
class Vectors:
    settings: tuple[Setting, ...]
    rows: tuple[Vector, ...]

    @staticmethod
    def of(vendor: str, checks: tuple[Check, ...], states: States) -> Vectors:
        pool: list[Setting] = []
        places: dict[tuple[Setting, ...], tuple[int, int]] = {}

        def place(items: tuple[Setting, ...]) -> tuple[int, int]:
            if items not in places:
                places[items] = (len(pool), len(items))
                pool.extend(items)
            return places[items]

        bases = {state.name: place(state.settings) for state in states.all}
        rows = []
        for check in checks:
            said = next((item for item in check.emulators if item.name == EMULATORS[vendor]
                         and item.verdict != "stricter"), None)
            rows.append(Vector(check, bases[check.example.state], place(check.example.given),
                               place(check.example.breaks),
                               said.verdict.upper() if said else "AS_MANUAL",
                               said.reason if said else check.example.never_entered))
        return Vectors(tuple(pool), tuple(rows))


@dataclass(frozen=True)
class Rules:
    """One vendor's."""

    vendor: str
    phases: tuple[Phase, ...]
    checks: tuple[Check, ...]
    scope: EntryScope
    states: States

    @property
    def operands(self) -> tuple[Operand, ...]:
        """Those that the checks and their states use, in a fixed order."""
        used = {operand.name for check in self.checks for operand in check.operands}
        used |= {name for state in self.states.all for name in state.values}
        used |= {item.operand for check in self.checks
                 for item in (*check.example.given, *check.example.breaks)}
        used |= self.scope.read_by(used)
        return tuple(operand for operand in self.scope.operands if operand.name in used)

    @functools.cached_property
    def vectors(self) -> Vectors:
        return Vectors.of(self.vendor, self.checks, self.states)


@dataclass(frozen=True)
class EntryChecks:
    vmx: Rules
    svm: Rules


def build(spec: Spec, errors: Errors) -> EntryChecks:
    doc = spec.doc("entry_checks")
    # What the checks stand on must be right before they can be judged.
    for name in ("arch", "controls", "exit_reasons", "vmcb_fields", "vmcs_fields"):
        spec.model(name)
    _stop_at(errors)
    scopes = {vendor: build_scope(spec, doc, vendor, errors) for vendor in VENDORS}
    phases = _phases(spec, doc, errors)
    _stop_at(errors)
    vmx, svm = (_rules(spec, doc, vendor, scopes[vendor], phases, errors) for vendor in VENDORS)
    return EntryChecks(vmx, svm)


def _stop_at(errors: Errors) -> None:
    if len(errors):
        raise SpecError("entry_checks")


def _phases(spec: Spec, doc: Map, errors: Errors) -> tuple[Phase, ...]:
    vmcs: Vmcs = spec.model("vmcs_fields")
    numbers = {value.name: value.value for layout in vmcs.layouts
               if layout.name == "instruction_error"
               for field in layout.fields for value in field.values}
    exits = spec.model("exit_reasons").exits
    found: dict[str, Phase] = {}
    for row in doc["phases"]:
        name, vendor, error, leaves = row["phase"], row["vendor"], row.get("error"), row.get("exit")
        if name in found:
            errors.add(row, PHASE_TWICE, "phase", phase=name, place=where(found[name].row))
        if (error is None) == (leaves is None):
            errors.add(row, FAILS_TWICE, phase=name,
                       keys="both error and exit" if error else "nothing")
        if error is not None and error not in numbers:
            errors.add(row, NO_ERROR, "error", phase=name, error=error, known=", ".join(numbers))
        kind = next((item for item in exits if item.name == leaves), None)
        number = kind and (kind.vmx if vendor == "vmx" else kind.svm)
        if leaves is not None and not number:
            errors.add(row, NO_EXIT, "exit", phase=name, exit=leaves)
        for also in row.get("also", ()):
            if vmcs.field(also) is None:
                errors.add(row, NO_ALSO, "also", phase=name, field=also)
        found.setdefault(name, Phase(
            name, vendor, row["doc"], numbers.get(str(error), 0),
            number[0].value if number else 0, tuple(row.get("groups", ())),
            tuple(row.get("also", ())), row))
    return tuple(found.values())


def _rules(spec: Spec, doc: Map, vendor: str, scope: EntryScope, phases: tuple[Phase, ...],
           errors: Errors) -> Rules:
    ours = tuple(phase for phase in phases if phase.vendor == vendor)
    before = len(errors)
    states = build_states(doc, vendor, scope, errors)
    checks: list[Check] = []
    places: dict[str, Map] = {}
    for row in doc[f"{vendor}_checks"]:
        for name, text in _expand(row, errors):
            if name in places:
                errors.add(row, CHECK_TWICE, "check", check=name, place=where(places[name]))
            places.setdefault(name, row)
            check = _check(spec, row, name, text, len(checks), ours, scope, states, errors)
            if check is not None:
                checks.append(check)
    _check_order(checks, ours, errors)
    rules = Rules(vendor, ours, tuple(checks), scope, states)
    used = {operand.name for check in checks for operand in check.operands}
    for item in scope.inputs:
        if item.name not in used and len(errors) == before:
            errors.add(item.row, UNUSED_INPUT, "input", vendor=vendor, input=item.name)
    if len(errors) == before:
        _prove(rules, errors)
    return rules


def _expand(row: Map, errors: Errors) -> Iterator[tuple[str, str]]:
    """(name, what * stands for) of each check that a row is."""
    name = row["check"]
    if ("each" in row) != ("*" in name):
        errors.add(row, EACH_STAR, "check", check=name)
        return
    for text in row.get("each", ("*",)):
        yield name.replace("*", text), text


def _check(spec: Spec, row: Map, name: str, text: str, index: int, phases: tuple[Phase, ...],
           scope: EntryScope, states: States, errors: Errors) -> Check | None:
    vendor = scope.vendor
    phase = next((phase for phase in phases if phase.name == row["phase"]), None)
    if phase is None:
        errors.add(row, NO_PHASE, "phase", check=name, phase=row["phase"], vendor=vendor,
                   known=", ".join(phase.name for phase in phases))
    if not row["source"].startswith(MANUALS[vendor]):
        errors.add(row, SOURCE, "source", check=name, source=row["source"], vendor=vendor,
                   expected=f"{MANUALS[vendor]}.n")

    def expression(key: str) -> Expression | None:
        return parse(row[key].replace("*", text), name, scope, row, key, errors)

    require = expression("require")
    when = expression("when") if "when" in row else None
    example = _example(row, name, text, scope, states, errors)
    if phase is None or require is None or example is None or ("when" in row and when is None):
        return None
    parts = [part for part in (when, require) if part is not None]
    operands = tuple({operand.name: operand for part in parts
                      for operand in part.operands}.values())
    names = frozenset(written for part in parts for written in part.names)
    _check_fields(row, name, phase, operands, names, scope, errors)
    return Check(name, phase, index, when, require,
                 _qualification(spec, row, name, phase, errors), row["doc"].replace("*", text),
                 row["source"], example,
                 tuple(Emulator(emulator, verdict, reason)
                       for emulator, said in row.get("emulators", {}).items()
                       for verdict, reason in said.items()), operands, row)


def _check_fields(row: Map, name: str, phase: Phase, operands: tuple[Operand, ...],
                  names: frozenset[str], scope: EntryScope, errors: Errors) -> None:
    """The phase knows the fields, and the fields exist where the check applies."""
    for operand in operands:
        group = scope.group(operand.name)
        if phase.groups and group and group not in phase.groups and operand.name not in phase.also:
            errors.add(row, PHASE_GROUP, "phase", check=name, phase=phase.name,
                       field=operand.name, group=group)
        needs = scope.needs(operand.name)
        if needs and not any(need in names for need in needs):
            errors.add(row, NEEDS, "when" if "when" in row else "require", check=name,
                       field=operand.name, needs="' or '".join(needs))


def _qualification(spec: Spec, row: Map, name: str, phase: Phase, errors: Errors) -> int:
    """The exit qualification that the CPU gives; -1 where there is no exit."""
    vmcs: Vmcs = spec.model("vmcs_fields")
    known = {value.name: value.value for layout in vmcs.layouts if layout.name == "qual_entry"
             for field in layout.fields for value in field.values}
    wanted = row.get("qualification")
    with_exit = phase.vendor == "vmx" and phase.error == 0
    if wanted is None:
        return 0 if with_exit else -1
    if not with_exit:
        errors.add(row, QUALIFICATION_PHASE, "qualification", check=name, phase=phase.name)
    if wanted not in known:
        errors.add(row, NO_QUALIFICATION, "qualification", check=name, qualification=wanted,
                   known=", ".join(known))
    return known.get(wanted, 0)


def _example(row: Map, name: str, text: str, scope: EntryScope, states: States,
             errors: Errors) -> Example | None:
    example = row["example"]
    state = states.named(example, name, errors)
    given = settings(example, "given", f"check '{name}'", text, scope, errors)
    breaks = settings(example, "breaks", f"check '{name}'", text, scope, errors)
    if state is None or given is None or breaks is None:
        return None
    return Example(state.name, given, breaks, example.get("never_entered", ""))


def _check_order(checks: list[Check], phases: tuple[Phase, ...], errors: Errors) -> None:
    latest = 0
    for check in checks:
        at = phases.index(check.phase)
        if at < latest:
            errors.add(check.row, PHASE_ORDER, "phase", check=check.name, phase=check.phase.name)
        latest = max(latest, at)


def _prove(rules: Rules, errors: Errors) -> None:
    """Each example: a state that all accept, and one that breaks this check and no other."""
    looking: dict[str, list[Check]] = {}
    for check in rules.checks:
        for operand in check.operands:
            looking.setdefault(operand.name, []).append(check)

    def broken(state: dict[str, int], changed: set[str]) -> list[Check]:
        seen = {check.index: check for name in changed for check in looking.get(name, ())}
        return [seen[index] for index in sorted(seen) if not seen[index].holds(state)]

    bases = {state.name: rules.scope.complete(state.values) for state in rules.states.all}
    for state in rules.states.all:
        for check in broken(bases[state.name], set(looking)):
            rules.states.accused(state, check.name, errors)
    for check in rules.checks:
        example, row = check.example, check.row["example"]
        good = dict(bases[example.state])
        changed = {setting.apply(good) for setting in example.given}
        wrong = broken(good, changed)
        if wrong:
            errors.add(row, GOOD_IS_NOT, "given", check=check.name, other=wrong[0].name)
            continue
        if check.when is not None and not check.when.holds(good):
            errors.add(row, NOT_REACHED, "given", check=check.name)
        bad = dict(good)
        changed = {setting.apply(bad) for setting in example.breaks}
        wrong = broken(bad, changed)
        if check not in wrong:
            errors.add(row, NOT_BROKEN, "breaks", check=check.name)
        for other in wrong:
            if other is not check:
                errors.add(row, ALSO_BROKEN, "breaks", check=check.name, other=other.name)
