# SPDX-License-Identifier: ISC
"""States for the examples of entry checks: named ones, and what an example changes in them."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.model.entry_expr import MASK
from gen.model.entry_scope import EntryScope

STATE_TWICE = Message("state '{state}' stands twice", "rename one, the first is at {place}")
NO_STATE = Message("{what} begins with state '{state}', which {vendor} does not have",
                   "one of {known}")
NO_FIRST = Message("{vendor} has no state", "at least one, for the examples to begin with")
STATE_BREAKS = Message("state '{state}' breaks check '{check}'", "a state that every check accepts")
NO_SETTING = Message("{what} sets '{name}', which is nothing that checks look at",
                     "a field, its bits, or an input")
SETTING_WIDE = Message("{what}: {value} does not fit in '{name}'", "at most {limit}")


@dataclass(frozen=True)
class Setting:
    """Some bits of an operand."""

    operand: str
    mask: int
    value: int  # in place

    @property
    def constant(self) -> str:
        return self.operand.upper().replace(".", "_")

    def apply(self, state: dict[str, int]) -> str:
        state[self.operand] = (state[self.operand] & ~self.mask) | self.value
        return self.operand


@dataclass(frozen=True)
class State:
    name: str
    doc: str
    values: dict[str, int]
    row: Map

    @property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(Setting(name, MASK, value) for name, value in self.values.items())


@dataclass(frozen=True)
class States:
    vendor: str
    all: tuple[State, ...]

    def named(self, row: Map, check: str, errors: Errors) -> State | None:
        """The one that an example names; without a name, the first."""
        name = row.get("state", self.all[0].name if self.all else "")
        for state in self.all:
            if state.name == name:
                return state
        if self.all:
            errors.add(row, NO_STATE, "state", what=f"check '{check}'", state=name,
                       vendor=self.vendor, known=", ".join(item.name for item in self.all))
        return None

    @staticmethod
    def accused(state: State, check: str, errors: Errors) -> None:
        errors.add(state.row, STATE_BREAKS, "state", state=state.name, check=check)


def build_states(doc: Map, vendor: str, scope: EntryScope, errors: Errors) -> States:
    found: dict[str, State] = {}
    for row in doc["states"]:
        if row["vendor"] != vendor:
            continue
        name = row["state"]
        if name in found:
            errors.add(row, STATE_TWICE, "state", state=name, place=where(found[name].row))
        values: dict[str, int] = {}
        if "from" in row and row["from"] not in found:
            errors.add(row, NO_STATE, "from", what=f"state '{name}'", state=row["from"],
                       vendor=vendor, known=", ".join(found) or "none, it is the first")
        elif "from" in row:
            values = dict(found[row["from"]].values)
        for setting in settings(row, "values", f"state '{name}'", "*", scope, errors) or ():
            values.setdefault(setting.operand, 0)
            setting.apply(values)
        found.setdefault(name, State(name, row["doc"], values, row))
    if not found:
        errors.add(doc["states"], NO_FIRST, vendor=vendor)
    return States(vendor, tuple(found.values()))


def settings(row: Map, key: str, what: str, text: str, scope: EntryScope,
             errors: Errors) -> tuple[Setting, ...] | None:
    """What row[key] sets, with `text` for *; None when something is wrong with it."""
    found: list[Setting] = []
    values = row.get(key, {})
    good = True
    for name, value in values.items():
        name = name.replace("*", text)
        setting = _setting(values, name, value, what, scope, errors)
        if setting is None:
            good = False
        else:
            found.append(setting)
    return tuple(found) if good else None


def _setting(values: Map, name: str, value: int, what: str, scope: EntryScope,
             errors: Errors) -> Setting | None:
    operand, low, width = scope.operand(name), 0, 0
    if operand is not None:
        width = operand.width
    else:
        stem, _, bits = name.rpartition(".")
        operand = scope.operand(stem)
        at = operand.bits.get(bits) if operand is not None else None
        if operand is None or at is None:
            errors.add(values, NO_SETTING, what=what, name=name)
            return None
        low, width = at.low, at.high - at.low + 1
    if value >> width:
        errors.add(values, SETTING_WIDE, what=what, value=f"{value:#x}", name=name,
                   limit=f"{(1 << width) - 1:#x}")
        return None
    return Setting(operand.name, ((1 << width) - 1) << low, value << low)
