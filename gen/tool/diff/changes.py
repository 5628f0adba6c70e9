# SPDX-License-Identifier: ISC
"""What is different between two specs, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gen.tool.diff.facts import Fact, Facts

BREAK = "INTERFACE BREAK"

# table: (heading, what a row of it is called)
_TABLES = {
    "ioctl": ("interface", "ioctl"),
    "struct": ("interface", "struct"),
    "constant": ("interface", "constant"),
    "cpuid": ("what guests see", "CPUID"),
    "leaf": ("what guests see", "CPUID leaf"),
    "msr": ("what guests see", "MSR"),
    "bit": ("what guests see", "register bit"),
    "exit": ("exits", "exit"),
    "control": ("what is asked of the CPU", "control"),
    "capability": ("what is asked of the CPU", "capability"),
    "value": ("what is asked of the CPU", "value"),
    "check": ("entry checks", "check"),
    "register": ("tables", "register"),
    "vmcs": ("tables", "VMCS field"),
    "vmcb": ("tables", "VMCB field"),
    "word": ("tables", "word"),
    "exception": ("tables", "exception"),
    "insn": ("tables", "instruction"),
}
HEADINGS = tuple(dict.fromkeys(heading for heading, _ in _TABLES.values()))


@dataclass(frozen=True)
class Change:
    heading: str
    table: str
    row: str
    text: str
    breaks: bool = False

    @property
    def line(self) -> str:
        return f"{self.text}: {BREAK}" if self.breaks else self.text

    def data(self) -> dict[str, object]:
        return {"heading": self.heading, "table": self.table, "row": self.row,
                "text": self.text, "breaks_interface": self.breaks}


@dataclass(frozen=True)
class Changes:
    changes: tuple[Change, ...]
    reworded: int  # rows of which only words changed
    skipped: tuple[str, ...]  # what one of the two is too old to say anything of

    @property
    def breaks(self) -> bool:
        return any(change.breaks for change in self.changes)


Said = Iterator[tuple[str, bool]]


def compare(old: Facts, new: Facts) -> Changes:
    found: list[Change] = []
    reworded = 0
    skipped: list[str] = []
    for table, (heading, what) in _TABLES.items():
        if (table in old) != (table in new):
            skipped.append(what)
            continue
        before, after = old.get(table, {}), new.get(table, {})
        for row in [*before, *(name for name in after if name not in before)]:
            was, now = before.get(row), after.get(row)
            if was == now:
                continue
            said = list(_say(table, what, row, was, now))
            found += [Change(heading, table, row, text, breaks) for text, breaks in said]
            reworded += not said
    return Changes(tuple(found), reworded, tuple(skipped))


def _say(table: str, what: str, row: str, was: Fact | None, now: Fact | None) -> Said:
    special = _SPECIAL.get(table)
    if special is not None:
        yield from special(row, was, now)
    elif was is None and now is not None:
        yield f"{what} {row} added{_with(now)}", False
    elif now is None:
        yield f"{what} {row} removed", False
    elif was is not None:
        for key in _differ(was, now):
            yield f"{what} {row}: {key} {_show(was.get(key))} -> {_show(now.get(key))}", False


def _differ(was: Fact, now: Fact) -> list[str]:
    return [key for key in now if key != "doc" and was.get(key) != now.get(key)]


def _with(fact: Fact) -> str:
    """The first thing that is known of a new row."""
    key = next((key for key in fact if key != "doc" and fact[key] not in ("", [], {})), "")
    return f", {key} {_show(fact[key])}" if key else ""


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_show(item) for item in value) or "none"
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return "none" if value in ("", None) else str(value)


def _ioctl(row: str, was: Fact | None, now: Fact | None) -> Said:
    if was is None and now is not None:
        yield f"ioctl {row} added, number {now['number']}", False
    elif now is None:
        yield f"ioctl {row} removed", True
    elif was is not None:
        for key, name in (("number", "number"), ("struct", "argument")):
            if was[key] != now[key]:
                yield f"ioctl {row}: {name} {was[key]} -> {now[key]}", True
        if was["out"] != now["out"]:
            yield f"ioctl {row}: {'in and out' if now['out'] else 'in only'} now", True
        before, after = was["checks"], now["checks"]
        for doc in [doc for doc in after if doc not in before]:
            yield f"{row} now fails with {after[doc]} when: {_plain(doc)}", False
        for doc in [doc for doc in before if doc not in after]:
            yield f"{row} no longer fails with {before[doc]} when: {_plain(doc)}", False
        for doc in [doc for doc in after if doc in before and before[doc] != after[doc]]:
            yield (f"{row} fails with {after[doc]} instead of {before[doc]} when: "
                   f"{_plain(doc)}"), False
        checked = {f"{errno}: {doc}" for fact in (was, now)
                   for doc, errno in fact["checks"].items()}
        for text in [text for text in now["errors"] if text not in {*was["errors"], *checked}]:
            yield f"{row} can now fail with {_plain(text)}", False
        for text in [text for text in was["errors"] if text not in {*now["errors"], *checked}]:
            yield f"{row} can no longer fail with {_plain(text)}", False


def _plain(text: str) -> str:
    return text.replace("`", "").rstrip(".")


def _struct(row: str, was: Fact | None, now: Fact | None) -> Said:
    if was is None and now is not None:
        yield f"struct {row} added, {now['size']} bytes", False
    elif now is None:
        yield f"struct {row} removed", True
    elif was is not None:
        if was["size"] != now["size"]:
            verb = "grew" if now["size"] > was["size"] else "shrank"
            yield f"struct {row} {verb}, {was['size']} -> {now['size']} bytes", True
        before, after = was["members"], now["members"]
        for name, (offset, size, kind) in after.items():
            if name not in before:
                yield f"struct {row} has a new member {name} at offset {offset}", False
                continue
            moved, resized, retyped = (old != new for old, new in
                                       zip(before[name], (offset, size, kind)))
            if moved:
                yield f"{row}.{name} moved, offset {before[name][0]} -> {offset}", True
            if resized:
                yield f"{row}.{name} has {size} bytes instead of {before[name][1]}", True
            elif retyped:
                yield f"{row}.{name} is {kind} instead of {before[name][2]}", False
        for name in before:
            if name not in after:
                yield f"struct {row} lost its member {name}", True


def _constant(row: str, was: Fact | None, now: Fact | None) -> Said:
    if was is None and now is not None:
        yield f"constant {row} added, {now['value']:#x}", False
    elif now is None:
        yield f"constant {row} removed", True
    elif was is not None and was["value"] != now["value"]:
        yield f"constant {row}: {was['value']:#x} -> {now['value']:#x}", True


_SEEN = {"pass": "as the host has it", "set": "as {value:#x}", "synthesise":
         "as the driver makes it"}


def _cpuid(row: str, was: Fact | None, now: Fact | None) -> Said:
    fact = now or was
    assert fact is not None
    name = f"CPUID feature {fact['name']} ({row})"
    before, after = _sight(was), _sight(now)
    if before == after:
        if now is None or was is None:
            yield f"{name}: row {'added' if was is None else 'removed'}, hidden as before", False
        elif was["name"] != now["name"]:
            yield f"CPUID {row} is called {now['name']} instead of {was['name']}", False
    elif not before:
        yield f"guests now see {name} {after}", False
    elif not after:
        yield f"guests no longer see {name}", False
    else:
        yield f"guests see {name} {after}, not {before}", False
    if was is not None and now is not None and was["state"] != now["state"]:
        yield f"{name}: needs XCR0 component {_show(was['state'])} -> {_show(now['state'])}", False


def _sight(fact: Fact | None) -> str:
    """How guests see a row; empty: always 0."""
    return _SEEN[fact["policy"]].format(value=fact["value"]) if fact is not None and \
        fact["policy"] in _SEEN else ""


# What is done about an MSR without a row.
_NO_MSR: Fact = {"read": "fault", "write": "fault", "doc": ""}


def _msr(row: str, was: Fact | None, now: Fact | None) -> Said:
    fact = now or was
    assert fact is not None
    name = f"MSR {row} ({fact['name']})"
    if was is None:
        yield f"{name}: row added", False
    if now is None:
        yield f"{name}: row removed", False
    before, after = was or _NO_MSR, now or _NO_MSR
    for key in ("read", "write"):
        if before[key] != after[key]:
            yield f"{name}: {key}s {before[key]} -> {after[key]}", False
    if was is not None and now is not None:
        for key in _differ(was, now):
            if key not in ("read", "write"):
                yield f"{name}: {key} {_show(was.get(key))} -> {_show(now[key])}", False


def _exit(row: str, was: Fact | None, now: Fact | None) -> Said:
    if was is None and now is not None:
        yield f"exit {row} added, action {now['action']}", False
    elif now is None:
        yield f"exit {row} removed", False
    elif was is not None:
        for key in _differ(was, now):
            if key != "layouts":
                yield f"exit {row}: {key} {_show(was.get(key))} -> {_show(now[key])}", False
        if was.get("layouts") != now["layouts"]:
            yield f"exit {row}: what the CPU reports with it is described differently", False


_TURNED = {"required": "always set", "wanted": "set where the CPU has it",
           "fallback": "set where another cannot be", "dynamic": "set and cleared as needed",
           "refused": "never set", "default1": "left to the CPU"}


def _control(row: str, was: Fact | None, now: Fact | None) -> Said:
    if was is None and now is not None:
        yield f"control {row} added, {now['policy']}: {_TURNED[now['policy']]}", False
    elif now is None:
        yield f"control {row} removed", False
    elif was is not None:
        if was["policy"] != now["policy"]:
            yield (f"control {row}: {was['policy']} -> {now['policy']}, now "
                   f"{_TURNED[now['policy']]}{_refused(row, was, now)}"), False
        for key in _differ(was, now):
            if key != "policy":
                yield f"control {row}: {key} {_show(was.get(key))} -> {_show(now[key])}", False


def _refused(row: str, was: Fact, now: Fact) -> str:
    if "(Intel)" in row and now["policy"] == "required" and was["policy"] != "required":
        return "; CPUs without it are refused"
    return ""


_SPECIAL: dict[str, Callable[[str, Fact | None, Fact | None], Said]] = {
    "ioctl": _ioctl, "struct": _struct, "constant": _constant, "cpuid": _cpuid, "msr": _msr,
    "exit": _exit, "control": _control,
}
