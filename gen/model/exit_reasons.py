# SPDX-License-Identifier: ISC
"""Exits: kinds, the vendors' numbers for them, and the policy of each."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map, Seq
from gen.spec import Spec

KIND_TWICE = Message("exit '{exit}' stands twice", "merge the rows, the first is at {place}")
TAKEN = Message("exit '{exit}' would be called {kind}, which exit.h has another use for",
                "another name")
CODE_TWICE = Message("SVM code {code} belongs to '{exit}' and to '{other}'",
                     "give it to one, see {place}; ranges can leave codes out with except")
REASON_TWICE = Message("VMX reason {reason} belongs to '{exit}' and to '{other}'",
                       "give it to one, see {place}, or tell them apart by vector")
VECTOR_ONLY = Message("VMX reason {reason} has rows with a vector but none without",
                      "one row stands for the reason itself")
NAME_TWICE = Message("public name {name} stands twice", "rename one, the first is at {place}")
NO_NUMBER = Message("exit '{exit}' has no number of either vendor", "give it one, or drop the row")
BAD_EXCEPT = Message("exit '{exit}' leaves out {code}, which is not in its range {low} to {high}",
                     "codes inside the range")
EXCEPT_GAP = Message("SVM code {code} is left out of '{exit}' and belongs to no other row",
                     "add its row, or take it back")
NAME_STAR = Message("exit '{exit}': the name '{name}' of {count} codes",
                    "one * in the name of a range, none otherwise")
NAME_MISSING = Message("exit '{exit}' has several numbers of one vendor without names of their own",
                       "a name for each but one")
NO_HANDLER = Message("exit '{exit}' is '{action}' and says no {key}", "{key}: one of {known}")
BAD_HANDLER = Message("exit '{exit}' is '{action}' with {key} '{value}'", "one of {known}")
EXTRA_KEY = Message("exit '{exit}' is '{action}' and has '{key}'", "drop '{key}'")
BAD_ADVANCE = Message("exit '{exit}' is '{action}' and moves RIP", "rip: keep")
MUST_ADVANCE = Message("exit '{exit}' is emulated and keeps RIP, so the guest would never get on",
                       "rip: advance")
BAD_QUICK = Message("exit '{exit}' is quick, but is not an emulation that only advances RIP",
                    "no quick, or action: emulate, rip: advance, and no sleep")
NO_INSNS = Message("exit '{exit}' moves RIP past an instruction it does not name",
                   "insns: instructions of insns.yaml")
EXTRA_INSNS = Message("exit '{exit}' keeps RIP and has insns", "drop 'insns'")
UNKNOWN_INSN = Message("exit '{exit}': '{insn}' is no instruction of insns.yaml", "one of {known}")
NO_VECTOR = Message("exit '{exit}' injects nothing", "vector: an exception of arch.yaml")
NO_LAYOUT = Message("'{layout}' is no exit qualification of vmcs_fields.yaml", "one of {known}")
NO_INFO = Message("'{layout}' is no layout of vmcb_fields.yaml", "one of {known}")
UNKNOWN_VECTOR = Message("'{vector}' is no exception of arch.yaml", "one of {known}")

# action -> (key that chooses, its words and the functions behind them; "" is the default)
_HANDLERS: dict[str, tuple[str, dict[str, str]]] = {
    "user": ("payload", {name: f"user_{name}" for name in ("plain", "inout", "hlt", "fault")}),
    "emulate": ("handler", {name: f"emulate_{name}"
                            for name in ("cpuid", "msr", "cr", "xsetbv", "skip")}),
    "inject": ("", {"": "exit_inject"}),
    "reflect": ("", {"": "exit_reflect"}),
    "host": ("handler", {"": "exit_host", "machine_check": "exit_machine_check"}),
    "resume": ("handler", {"": "exit_resume", "window": "exit_window"}),
    "error": ("", {"": "exit_error"}),
}
ACTIONS = tuple(_HANDLERS)
_TAKEN = ("unknown", "kinds", "resume", "to_client", *(f"action_{name}" for name in ACTIONS))


@dataclass(frozen=True)
class Number:
    """One hardware number of a kind."""

    value: int
    name: str  # public, without prefix
    vector: int | None  # VMX: vector that tells it from others with this reason
    unconditional: bool = False  # VMX: no control turns it on
    qualification: str = ""  # VMX: layout of the exit qualification
    info1: str = ""  # SVM: layouts of EXITINFO1 and EXITINFO2
    info2: str = ""

    @property
    def word(self) -> str:
        """What tools print."""
        return self.name.lower()


@dataclass(frozen=True)
class Exit:
    name: str
    svm: tuple[Number, ...]
    vmx: tuple[Number, ...]
    action: str
    function: str
    vector: int
    advance: bool
    insns: tuple[str, ...]  # C names
    operands: bool
    sleep: bool
    quick: bool
    delivery: bool
    doc: str
    source: tuple[str, ...]
    row: Map

    @property
    def kind(self) -> str:
        return f"EXIT_{self.name.upper()}"


@dataclass(frozen=True)
class Exits:
    exits: tuple[Exit, ...]
    svm: tuple[tuple[Number, Exit], ...]  # by value
    vmx: tuple[tuple[Number, Exit], ...]  # by value; the base row of each reason
    vmx_vectors: tuple[tuple[Number, Exit], ...]  # the others of a shared reason
    actions: tuple[str, ...] = ACTIONS

    @property
    def svm_low(self) -> tuple[tuple[Number, Exit], ...]:
        return tuple(item for item in self.svm if item[0].value < 0x100)

    @property
    def svm_high(self) -> tuple[tuple[Number, Exit], ...]:
        return tuple(item for item in self.svm if item[0].value >= 0x100)

    @property
    def svm_low_count(self) -> int:
        return max(number.value for number, _ in self.svm_low) + 1

    @property
    def vmx_count(self) -> int:
        return max(number.value for number, _ in self.vmx) + 1

    @property
    def svm_kinds(self) -> tuple[str, ...]:
        """By code below 0x100, from 0 on."""
        return _by_number(self.svm_low, self.svm_low_count)

    @property
    def vmx_kinds(self) -> tuple[str, ...]:
        """By basic reason, from 0 on."""
        return _by_number(self.vmx, self.vmx_count)

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(sorted({item.function for item in self.exits}))

    @property
    def public_names(self) -> tuple[tuple[str, int], ...]:
        """For vmmvar.h: name and number, VMX first, each vendor's in order."""
        vmx = [(f"VMX_EXIT_{number.name}", number.value) for number, _ in self.vmx]
        svm = [(f"SVM_VMEXIT_{number.name}", number.value) for number, _ in self.svm]
        return (*vmx, *svm)


def _by_number(rows: tuple[tuple[Number, Exit], ...], count: int) -> tuple[str, ...]:
    """The kind of each number below count."""
    kinds = {number.value: item.kind for number, item in rows}
    return tuple(kinds.get(value, "EXIT_UNKNOWN") for value in range(count))


def build(spec: Spec, errors: Errors) -> Exits:
    doc = spec.doc("exit_reasons")
    vectors = {row["exception"]: int(row["vector"]) for row in spec.doc("arch")["exceptions"]}
    insns = {row["insn"]: f"INSN_{row['insn'].upper()}"
             for row in spec.doc("insns")["instructions"]}
    layouts = {row["layout"]: row for row in spec.doc("vmcs_fields")["layouts"]
               if row["layout"].startswith("qual_")}
    infos = [row["layout"] for row in spec.doc("vmcb_fields")["layouts"]]
    exits = tuple(_exit(row, vectors, insns, layouts, infos, errors) for row in doc["exits"])
    seen: dict[str, Map] = {}
    for item in exits:
        if item.name in _TAKEN:
            errors.add(item.row, TAKEN, "exit", exit=item.name, kind=item.kind)
        if item.name in seen:
            errors.add(item.row, KIND_TWICE, "exit", exit=item.name, place=where(seen[item.name]))
        seen.setdefault(item.name, item.row)
    svm = _claim_svm(exits, errors)
    vmx, by_vector = _claim_vmx(exits, errors)
    _check_names(exits, errors)
    return Exits(exits, svm, vmx, by_vector)


def _exit(row: Map, vectors: dict[str, int], insns: dict[str, str], layouts: dict[str, Map],
          infos: list[str], errors: Errors) -> Exit:
    name = row["exit"]
    svm = _svm_numbers(row, infos, errors)
    vmx = _vmx_numbers(row, vectors, layouts, errors)
    if not svm and not vmx:
        errors.add(row, NO_NUMBER, exit=name)
    vector = 0
    if row["action"] == "inject":
        if "vector" not in row:
            errors.add(row, NO_VECTOR, exit=name)
        else:
            vector = _vector(row, vectors, errors) or 0
    elif "vector" in row:
        errors.add(row, EXTRA_KEY, "vector", exit=name, action=row["action"], key="vector")
    advance, keep = row["rip"] == "advance", row["rip"] == "keep"
    if not keep and row["action"] not in ("user", "emulate"):
        errors.add(row, BAD_ADVANCE, "rip", exit=name, action=row["action"])
    if keep and row["action"] == "emulate":
        errors.add(row, MUST_ADVANCE, "rip", exit=name)
    sleep, quick = bool(row.get("sleep", False)), bool(row.get("quick", False))
    if quick and (row["action"] != "emulate" or not advance or sleep):
        errors.add(row, BAD_QUICK, "quick", exit=name)
    return Exit(name, svm, vmx, row["action"], _function(row, errors), vector, advance,
                _insns(row, keep, insns, errors), bool(row.get("operands", False)),
                sleep, quick, bool(row.get("delivery", False)), row["doc"],
                tuple(row["source"]), row)


def _insns(row: Map, keep: bool, insns: dict[str, str], errors: Errors) -> tuple[str, ...]:
    words = row.get("insns", [])
    if keep and words:
        errors.add(row, EXTRA_INSNS, "insns", exit=row["exit"])
    if not keep and not words:
        errors.add(row, NO_INSNS, "rip", exit=row["exit"])
    for word in words:
        if word not in insns:
            errors.add(row, UNKNOWN_INSN, "insns", exit=row["exit"], insn=word,
                       known=", ".join(insns))
    return tuple(insns[word] for word in words if word in insns)


def _vector(row: Map, vectors: dict[str, int], errors: Errors) -> int | None:
    word = row.get("vector")
    if word is not None and word not in vectors:
        errors.add(row, UNKNOWN_VECTOR, "vector", vector=word, known=", ".join(vectors))
        return None
    return None if word is None else vectors[word]


def _function(row: Map, errors: Errors) -> str:
    name, action = row["exit"], row["action"]
    key, words = _HANDLERS[action]
    for other in ("handler", "payload"):
        if other != key and other in row:
            errors.add(row, EXTRA_KEY, other, exit=name, action=action, key=other)
    word = str(row.get(key, "")) if key else ""
    known = ", ".join(item for item in words if item)
    if word in words:
        return words[word]
    if word == "":
        errors.add(row, NO_HANDLER, exit=name, action=action, key=key, known=known)
    else:
        errors.add(row, BAD_HANDLER, key, exit=name, action=action, key=key, value=word,
                   known=known)
    return "exit_error"


def _items(node: Map | Seq | str) -> list[Map]:
    if isinstance(node, Map):
        return [node]
    return [] if isinstance(node, str) else list(node)


def _default_names(row: Map, items: list[Map], errors: Errors) -> None:
    if sum("name" not in item for item in items) > 1:
        errors.add(row, NAME_MISSING, exit=row["exit"])


def _svm_numbers(row: Map, infos: list[str], errors: Errors) -> tuple[Number, ...]:
    numbers: list[Number] = []
    items = _items(row["svm"])
    _default_names(row, items, errors)
    for item in items:
        code, count = item["code"], item.get("count", 1)
        name = item.get("name", row["exit"].upper())
        if name.count("*") != (1 if count > 1 else 0):
            errors.add(item, NAME_STAR, "name", exit=row["exit"], name=name, count=count)
        for key in ("info1", "info2"):
            if key in item and item[key] not in infos:
                errors.add(item, NO_INFO, key, layout=item[key], known=", ".join(infos))
        for left_out in item.get("except", ()):
            if not code <= left_out < code + count:
                errors.add(item, BAD_EXCEPT, "except", exit=row["exit"], code=f"0x{left_out:x}",
                           low=f"0x{code:x}", high=f"0x{code + count - 1:x}")
        numbers += [Number(code + index, name.replace("*", str(index)), None,
                           info1=item.get("info1", ""), info2=item.get("info2", ""))
                    for index in range(count) if code + index not in item.get("except", ())]
    return tuple(numbers)


def _qualification(item: Map, layouts: dict[str, Map], errors: Errors) -> str:
    word = str(item.get("qualification", ""))
    if word and word not in layouts:
        errors.add(item, NO_LAYOUT, "qualification", layout=word, known=", ".join(layouts))
    return word


def _vmx_numbers(row: Map, vectors: dict[str, int], layouts: dict[str, Map],
                 errors: Errors) -> tuple[Number, ...]:
    items = _items(row["vmx"])
    _default_names(row, items, errors)
    return tuple(Number(item["reason"], item.get("name", row["exit"].upper()),
                        _vector(item, vectors, errors), "unconditional" in item,
                        _qualification(item, layouts, errors)) for item in items)


def _claim_svm(exits: tuple[Exit, ...], errors: Errors) -> tuple[tuple[Number, Exit], ...]:
    owner: dict[int, tuple[Number, Exit]] = {}
    for item in exits:
        for number in item.svm:
            if number.value in owner:
                other = owner[number.value][1]
                errors.add(item.row, CODE_TWICE, "svm", code=f"0x{number.value:x}", exit=item.name,
                           other=other.name, place=where(other.row, "svm"))
            owner.setdefault(number.value, (number, item))
    for item in exits:
        for node in _items(item.row["svm"]):
            for code in node.get("except", ()):
                if code not in owner:
                    errors.add(node, EXCEPT_GAP, "except", code=f"0x{code:x}", exit=item.name)
    return tuple(owner[value] for value in sorted(owner))


def _claim_vmx(exits: tuple[Exit, ...], errors: Errors) -> tuple[
        tuple[tuple[Number, Exit], ...], tuple[tuple[Number, Exit], ...]]:
    owner: dict[tuple[int, int | None], tuple[Number, Exit]] = {}
    for item in exits:
        for number in item.vmx:
            key = (number.value, number.vector)
            if key in owner:
                other = owner[key][1]
                errors.add(item.row, REASON_TWICE, "vmx", reason=number.value, exit=item.name,
                           other=other.name, place=where(other.row, "vmx"))
            owner.setdefault(key, (number, item))
    for reason, vector in owner:
        if vector is not None and (reason, None) not in owner:
            errors.add(owner[reason, vector][1].row, VECTOR_ONLY, "vmx", reason=reason)
    base = sorted(reason for reason, vector in owner if vector is None)
    shared = [key for key in owner if key[1] is not None]
    return (tuple(owner[reason, None] for reason in base),
            tuple(owner[key] for key in sorted(shared, key=str)))


def _check_names(exits: tuple[Exit, ...], errors: Errors) -> None:
    seen: dict[str, Map] = {}
    for item in exits:
        for prefix, numbers in (("SVM_VMEXIT", item.svm), ("VMX_EXIT", item.vmx)):
            for number in numbers:
                name = f"{prefix}_{number.name}"
                if number.vector is not None:
                    continue
                if name in seen:
                    errors.add(item.row, NAME_TWICE, name=name, place=where(seen[name]))
                seen.setdefault(name, item.row)
