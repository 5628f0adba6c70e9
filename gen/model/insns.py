# SPDX-License-Identifier: ISC
"""insns.yaml: instruction forms as regular expressions over their bytes.

Whatever decides an instruction's length is in the expressions: opcode, ModRM (by address size),
SIB, displacement and an immediate byte. Forms that the same bytes can mean, told apart by prefixes
or mode, make one group; an immediate whose size they decide follows the expression.

The instructions of the driver and those of the monitor (memory_insns.py) make two decoders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map
from gen.spec import Spec

SAME_NAME = Message("instruction '{name}' stands twice", "one row a name, the first is at {first}")
SAME_PREFIX = Message("prefix {byte:#04x} stands twice", "one row a byte, the first is at {first}")
SEGMENT_KEYS = Message("prefix {byte:#04x}: segment and long_mode do not go with effect '{effect}'",
                       "both for a segment override, neither for another prefix")
RM_KEY = Message("instruction '{name}': opcode '{opcode}' and rm do not go together",
                 "rm where the opcode has a ModRM byte (/r or /0../7), and only there")
NO_MODRM = Message("instruction '{name}': registers, lock or always_reg with opcode '{opcode}'",
                   "these keys are for /r")
LOCK_REGISTERS = Message("instruction '{name}': lock: cr8 without registers 0 and 8",
                         "registers must hold both, LOCK makes one of the other")
PREFIX_OPCODE = Message("instruction '{name}': opcode '{opcode}' begins with a prefix byte",
                        "give mandatory prefixes with the prefix key; 40 to 4F are REX")
CUT_OFF = Message("instruction '{name}': opcode '{opcode}' is the beginning of '{other}'",
                  "opcodes must be told apart by their bytes, the other is at {first}")
CLASH = Message("instruction '{name}': the bytes {bytes} are instruction '{other}' too",
                "tell them apart by prefix or modes, the other is at {first}")

SEGMENTS = {"cs": "SREG_CS", "ds": "SREG_DS", "es": "SREG_ES",
            "fs": "SREG_FS", "gs": "SREG_GS", "ss": "SREG_SS"}
PREFIX_BITS = {"none": 1, 66: 2, "F2": 4, "F3": 8}
MODE_BITS = {16: 1, 32: 2, 64: 4}
# Bytes of an opcode that are more than one: what follows VEX (APM 3 1.2.7), and the byte of C4
# that says that the opcode is in the map 0F.
ANY_BYTE, VEX_0F = 256, 257
BYTE_CLASSES = {ANY_BYTE: "any", VEX_0F: "vex0f"}
VEX_BYTES: dict[str | None, tuple[tuple[int, ...], ...]] = {
    None: ((),),
    "0F": ((0xC5, ANY_BYTE), (0xC4, VEX_0F, ANY_BYTE)),
}
IMMEDIATES = ("ib", "iz", "moffs")
ANY_PREFIX = 15
ANY_MODE = 7


@dataclass(frozen=True)
class Prefix:
    byte: int
    effect: str
    segment: str | None
    ignored_in_long_mode: bool
    doc: str


@dataclass(frozen=True)
class Form:
    """One way to write an instruction; the members are those of the generated table."""

    op: str
    opcode_text: str
    prefixes: int
    modes: int
    size: str
    registers: int
    lock_cr8: bool
    rex_b_clear: bool
    in_es: bool
    memory: str
    operands: str
    immediate: str


@dataclass(frozen=True)
class Group:
    """What the same bytes can be: forms[first : first + count]."""

    first: int
    count: int
    opcode_bytes: int
    modrm: bool
    always_reg: bool
    immediate: bool


@dataclass(frozen=True)
class Rule:
    """A re2c rule: these bytes are that group."""

    pattern: str
    group: int


@dataclass(frozen=True)
class Op:
    name: str
    constant: str
    doc: str


@dataclass(frozen=True)
class Insns:
    prefixes: tuple[Prefix, ...]
    ops: tuple[Op, ...]
    forms: tuple[Form, ...]
    groups: tuple[Group, ...]
    rules16: tuple[Rule, ...]
    rules32: tuple[Rule, ...]


@dataclass(frozen=True)
class _Encoding:
    """A form while it is being sorted into groups."""

    form: Form
    node: Map
    name: str
    opcode: tuple[int, ...]
    modrm: frozenset[int]  # empty: no ModRM byte
    always_reg: bool
    immediate: bool


def build(spec: Spec, errors: Errors) -> Insns:
    doc = spec.doc("insns")
    return decoder(_prefixes(doc["prefixes"], errors), doc["instructions"], errors)


def decoder(prefixes: tuple[Prefix, ...], rows: list[Map], errors: Errors) -> Insns:
    """What a decoder of these rows is made of."""
    prefix_bytes = {prefix.byte for prefix in prefixes} | set(range(0x40, 0x50))
    ops: list[Op] = []
    encodings: list[_Encoding] = []
    seen: dict[str, Map] = {}
    for row in rows:
        name = row["insn"]
        if name in seen:
            errors.add(row, SAME_NAME, "insn", name=name, first=where(seen[name], "insn"))
            continue
        seen[name] = row
        ops.append(Op(name, f"INSN_{name.upper()}", row["doc"]))
        for node in row["forms"]:
            for text in _conditions(node["opcode"]):
                for vex in VEX_BYTES[node.get("vex")]:
                    encodings.append(_encoding(name, node, text, vex, prefix_bytes, errors))
    _check_cut_off(encodings, errors)
    _check_clashes(encodings, errors)
    forms, groups, rules16, rules32 = _rules(encodings)
    return Insns(prefixes, tuple(ops), forms, groups, rules16, rules32)


def _prefixes(rows: list[Map], errors: Errors) -> tuple[Prefix, ...]:
    found: dict[int, Map] = {}
    prefixes: list[Prefix] = []
    for row in rows:
        byte, effect = row["prefix"], row["effect"]
        if byte in found:
            errors.add(row, SAME_PREFIX, "prefix", byte=byte, first=where(found[byte], "prefix"))
            continue
        found[byte] = row
        wanted = effect == "segment"
        if ("segment" in row) != wanted or ("long_mode" in row) != wanted:
            errors.add(row, SEGMENT_KEYS, "effect", byte=byte, effect=effect)
            continue
        segment = SEGMENTS[row["segment"]] if wanted else None
        prefixes.append(Prefix(byte, effect, segment, row.get("long_mode") == "ignored",
                               row["doc"]))
    return tuple(prefixes)


def _conditions(opcode: str) -> list[str]:
    """+cc stands for 16 bytes, one a condition."""
    head, found, tail = opcode.partition("+cc")
    if not found:
        return [opcode]
    return [f"{head[:-2]}{int(head[-2:], 16) + cc:02X}{tail}" for cc in range(16)]


def _encoding(name: str, node: Map, text: str, vex: tuple[int, ...], prefix_bytes: set[int],
              errors: Errors) -> _Encoding:
    words = text.split()
    immediate = words.pop() if words[-1] in IMMEDIATES else "none"
    digit = words.pop()[1:] if words[-1].startswith("/") else None
    opcode = (*vex, *(int(word, 16) for word in words))
    rm = node.get("rm")
    if (rm is None) != (digit is None):
        errors.add(node, RM_KEY, "opcode", name=name, opcode=text)
    if digit != "r" and ("registers" in node or "lock" in node or rm == "always_reg"):
        errors.add(node, NO_MODRM, "opcode", name=name, opcode=text)
    if opcode[0] in prefix_bytes:
        errors.add(node, PREFIX_OPCODE, "opcode", name=name, opcode=text)
    registers = node.get("registers")
    if "lock" in node and not {0, 8} <= set(registers or ()):
        errors.add(node, LOCK_REGISTERS, "lock", name=name)
    form = Form(
        op=f"INSN_{name.upper()}",
        opcode_text=f"VEX {text}" if vex else text,
        prefixes=sum(PREFIX_BITS[p] for p in node["prefix"]) if "prefix" in node else ANY_PREFIX,
        modes=sum(MODE_BITS[m] for m in node["modes"]) if "modes" in node else ANY_MODE,
        size=f"SIZE_{node.get('size', 'none').upper()}",
        registers=0xffff if registers is None else sum(1 << r for r in registers),
        lock_cr8="lock" in node,
        rex_b_clear="rex_b" in node,
        in_es="segment" in node,
        memory=f"SIZE_{node.get('memory', 'none').upper()}",
        operands=f"OPERANDS_{node.get('operands', 'none').upper()}",
        immediate=f"IMMEDIATE_{immediate.upper()}",
    )
    return _Encoding(form, node, name, opcode, _modrm_set(digit, rm), rm == "always_reg",
                     immediate == "ib")


def _modrm_set(digit: str | None, rm: str | None) -> frozenset[int]:
    """The ModRM bytes that a form has."""
    if digit is None:
        return frozenset()
    regs = range(8) if digit == "r" else (int(digit),)
    mods = {"mem": (0, 1, 2), "reg": (3,)}.get(rm or "any", (0, 1, 2, 3))
    return frozenset(mod << 6 | reg << 3 | low for mod in mods for reg in regs for low in range(8))


def _keys(encoding: _Encoding) -> list[tuple[int, ...]]:
    """The byte strings up to ModRM that begin this encoding."""
    if not encoding.modrm:
        return [encoding.opcode]
    return [(*encoding.opcode, byte) for byte in sorted(encoding.modrm)]


def _check_cut_off(encodings: list[_Encoding], errors: Errors) -> None:
    ends = {encoding.opcode: encoding for encoding in encodings if not encoding.modrm}
    for encoding in encodings:
        key = _keys(encoding)[0]
        for length in range(1, len(key)):
            short = ends.get(key[:length])
            if short is not None:
                errors.add(short.node, CUT_OFF, "opcode", name=short.name,
                           opcode=short.form.opcode_text, other=encoding.form.opcode_text,
                           first=where(encoding.node, "opcode"))


def _check_clashes(encodings: list[_Encoding], errors: Errors) -> None:
    owners: dict[tuple[int, ...], list[_Encoding]] = {}
    told: set[tuple[int, int]] = set()
    for encoding in encodings:
        for key in _keys(encoding):
            for other in owners.setdefault(key, []):
                a, b = encoding.form, other.form
                pair = (id(other), id(encoding))
                if a.prefixes & b.prefixes and a.modes & b.modes and pair not in told:
                    told.add(pair)
                    errors.add(encoding.node, CLASH, "opcode", name=encoding.name,
                               bytes=" ".join(f"{byte:02X}" for byte in key), other=other.name,
                               first=where(other.node, "opcode"))
            owners[key].append(encoding)


def _rules(encodings: list[_Encoding]) -> tuple[tuple[Form, ...], tuple[Group, ...],
                                                tuple[Rule, ...], tuple[Rule, ...]]:
    """Sort encodings into groups of equal bytes, and write each group's expressions."""
    owners: dict[tuple[tuple[int, ...], int | None], list[_Encoding]] = {}
    for encoding in encodings:
        choices: list[int | None] = [*sorted(encoding.modrm)] or [None]
        for byte in choices:
            owners.setdefault((encoding.opcode, byte), []).append(encoding)
    members: dict[tuple[int, ...], tuple[list[_Encoding], list[int]]] = {}
    for (_, modrm_byte), group in owners.items():
        entry = members.setdefault(tuple(id(encoding) for encoding in group), (group, []))
        if modrm_byte is not None:
            entry[1].append(modrm_byte)
    forms: list[Form] = []
    groups: list[Group] = []
    rules16: list[Rule] = []
    rules32: list[Rule] = []
    for group, modrm in members.values():
        first = group[0]
        number = len(groups)
        groups.append(Group(len(forms), len(group), len(first.opcode), bool(modrm),
                            first.always_reg, first.immediate))
        forms += [encoding.form for encoding in group]
        rules16.append(Rule(_pattern(first, modrm, _tail16), number))
        rules32.append(Rule(_pattern(first, modrm, _tail32), number))
    return tuple(forms), tuple(groups), tuple(rules16), tuple(rules32)


def _tail16(modrm: int) -> str:
    """SIB and displacement after a ModRM byte, 16-bit addresses (APM 3 table A-33)."""
    mod, low = modrm >> 6, modrm & 7
    if mod == 3:
        return ""
    if mod == 0:
        return "disp16" if low == 6 else ""
    return "disp8" if mod == 1 else "disp16"


def _tail32(modrm: int) -> str:
    """The same for 32 and 64-bit addresses (APM 3 tables A-34 to A-37)."""
    mod, low = modrm >> 6, modrm & 7
    if mod == 3:
        return ""
    if low == 4:
        return ("sib0", "sib disp8", "sib disp32")[mod]
    if mod == 0:
        return "disp32" if low == 5 else ""
    return "disp8" if mod == 1 else "disp32"


def _pattern(encoding: _Encoding, modrm: list[int], tail: Callable[[int], str]) -> str:
    text = _opcode_pattern(encoding.opcode)
    if modrm:
        tails: dict[str, list[int]] = {}
        for byte in modrm:
            after = "" if encoding.always_reg else tail(byte)
            tails.setdefault(after, []).append(byte)
        choices = [" ".join([_class(found), after]).strip() for after, found in tails.items()]
        text += f" ({' | '.join(choices)})" if len(choices) > 1 else f" {choices[0]}"
    return text + " imm8" if encoding.immediate else text


def _opcode_pattern(opcode: tuple[int, ...]) -> str:
    """A string, with the names of classes where a byte is more than one."""
    words: list[str] = []
    plain = ""
    for byte in opcode:
        if byte in BYTE_CLASSES:
            words += [f'"{plain}"', BYTE_CLASSES[byte]]
            plain = ""
        else:
            plain += f"\\x{byte:02x}"
    return " ".join([*words, f'"{plain}"'])


def _class(members: list[int]) -> str:
    """A re2c character class."""
    ranges: list[tuple[int, int]] = []
    for byte in sorted(members):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1] = (ranges[-1][0], byte)
        else:
            ranges.append((byte, byte))
    return "[" + "".join(f"\\x{low:02x}" if low == high else f"\\x{low:02x}-\\x{high:02x}"
                         for low, high in ranges) + "]"
