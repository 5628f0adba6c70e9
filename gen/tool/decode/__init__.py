# SPDX-License-Identifier: ISC
"""decode: raw values in words; one function a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gen.model.cpuid import REGISTERS, Leaf
from gen.model.exit_reasons import Number
from gen.tool.article import Article, Part, part
from gen.tool.decode.blocks import vmcb, vmcs
from gen.tool.decode.context import context
from gen.tool.decode.negotiate import broken, negotiated, offer_of
from gen.tool.decode.shape import (Piece, Shape, control_shape, field_shape, shapes,
                                   taken_apart, unlike)
from gen.tool.find import SCOPES
from gen.tool.numbers import fold, hexadecimal, near, number
from gen.tool.tables import Tables, ToolError
from gen.tool.topics.cpuid import leaf_name


@dataclass(frozen=True)
class Question:
    """What stands behind the kind, and the options."""

    words: list[str]
    capability: int | None = None
    everything: bool = False


@dataclass(frozen=True)
class Kind:
    name: str
    arguments: str
    doc: str
    least: int
    most: int
    decode: Callable[[Tables, Question], Article]


def value_of(text: str, width: int = 64) -> int:
    """A value from the command line."""
    value = number(text)
    if value is None:
        raise ToolError(f"'{text}' is no number: 48, 0x30, 30h or 0b110000")
    if value >> width:
        raise ToolError(f"{text} does not fit in {width} bits")
    return value


def decode_word(tables: Tables, name: str, question: Question) -> Article:
    """A value of any word with structure, by the word's name or a field's."""
    known = shapes(tables)
    wanted = fold(name).removeprefix("vmcs_")
    shape = field_shape(tables, known, wanted)
    if shape is None:
        fields = [field.name for field in tables.vmcs.fields]
        fields += [field.name for field in tables.vmcb.fields]
        if wanted in fields:
            raise ToolError(f"{name} is a number without structure")
        nearest = near(name, [*KINDS, *known])
        hint = f"near it: {', '.join(nearest)}" if nearest else \
            "all kinds: vmmspec decode --help; all words: vmmspec explain word"
        raise ToolError(f"no word '{name}' to decode\n{hint}")
    if len(question.words) != 1:
        raise ToolError(f"decode {name} wants one value, and got {len(question.words)}")
    value = value_of(question.words[0], shape.width)
    return _article(tables, shape, value, question)


def _article(tables: Tables, shape: Shape, value: int, question: Question,
             more: tuple[Part, ...] = ()) -> Article:
    title = f"{shape.name} = {hexadecimal(value)}"
    return Article("decode", shape.name, title, shape.doc,
                   (*taken_apart(shape, value, question.everything),
                    *context(tables, shape, value), *more))


def _exit_number(tables: Tables, text: str) -> tuple[str, Number]:
    """An exit that is named by number or name; Intel's before AMD's where both have it."""
    scope, _, rest = text.partition(":")
    vendor = SCOPES.get(scope.lower(), "") if rest else ""
    word = rest if vendor else text
    value, name = number(word), fold(word).removeprefix("vmx_exit_").removeprefix("svm_vmexit_")
    for side, numbers in (("vmx", (*tables.exits.vmx, *tables.exits.vmx_vectors)),
                          ("svm", tables.exits.svm)):
        for item, _ in numbers:
            if vendor in ("", side) and (item.value == value if value is not None
                                         else fold(item.name) == name):
                return side, item
    names = [item.name for item, _ in (*tables.exits.vmx, *tables.exits.svm)]
    nearest = near(word, names)
    raise ToolError(f"no exit '{text}'" + (f"\nnear it: {', '.join(nearest)}" if nearest else ""))


def decode_exit(tables: Tables, question: Question) -> Article:
    """The exit_reason field of Intel, or with svm before it AMD's exit code."""
    vendor, words = "vmx", list(question.words)
    if words[0].lower() in SCOPES:
        vendor = SCOPES[words.pop(0).lower()]
    if len(words) != 1:
        raise ToolError("decode exit wants one value")
    known = shapes(tables)
    shape = known["exit_reason"]
    value = value_of(words[0], 64 if vendor == "svm" else shape.width)
    code = value if vendor == "svm" else value & 0xFFFF
    for item, row in tables.exits.svm if vendor == "svm" else tables.exits.vmx:
        if item.value == code:
            about = (*part("exit", f"{item.name}, {row.name}: {row.doc}"),
                     *part("more", f"vmmspec explain exit {vendor} {code:#x}"))
            break
    else:
        about = part("exit", f"{code:#x} is no exit that the spec knows")
    if vendor == "svm":
        return Article("decode", "exit", f"exit code = {hexadecimal(value)}", "", about)
    return _article(tables, shape, value, question, about)


def _by_exit(what: str, attribute: str, vendor: str) -> Callable[[Tables, Question], Article]:
    def decode(tables: Tables, question: Question) -> Article:
        text, value = question.words
        side, item = _exit_number(tables, text if ":" in text else f"{vendor}:{text}")
        layout = getattr(item, attribute)
        if not layout:
            raise ToolError(f"the {what} of {item.name} has no structure")
        shape = shapes(tables)[layout]
        return _article(tables, shape, value_of(value, shape.width), question)
    return decode


def decode_control(tables: Tables, question: Question) -> Article:
    """A control word, and with a capability what comes of it."""
    name = fold(question.words[0])
    svm = [item for item in tables.controls.words if item.word == name]
    shape = control_shape(tables, name) if svm else shapes(tables).get(name)
    word = next((word for word in tables.controls.vmx.words
                 if name in (word.name, word.field.name)), None)
    if shape is None or (word is None and not svm):
        names = [item.name for item in tables.controls.vmx.words]
        names += [item.word for item in tables.controls.words]
        raise ToolError(f"no word of controls '{question.words[0]}'\none of: {', '.join(names)}")
    value = value_of(question.words[1], shape.width) if question.words[1:] else None
    if value is None and question.capability is None:
        raise ToolError("decode control wants a value, or --capability, or both")
    parts: list[Part] = []
    if value is not None:
        parts += taken_apart(shape, value, question.everything)
        parts += part("unlike", *unlike(shape, value))
    if question.capability is not None:
        if word is None:
            parts += _svm_choice(tables, name, question.capability)
        else:
            offer = offer_of(word, question.capability)
            if value is not None:
                parts += part("CPU", *broken(word, value, offer))
            parts += negotiated(word, offer)
    title = shape.name if value is None else f"{shape.name} = {hexadecimal(value, shape.width)}"
    return Article("decode", shape.name, title, shape.doc, tuple(parts))


def _svm_choice(tables: Tables, name: str, edx: int) -> tuple[Part, ...]:
    """By the capabilities in CPUID 0x8000000a EDX."""
    setting = next(item for item in tables.controls.words if item.word == name)
    caps = {cap.name: cap for cap in tables.controls.caps}
    value, open_questions = setting.required, []
    for cap, mask in setting.wanted:
        if caps[cap].leaf != 0x8000000A:
            open_questions.append(f"{mask:#x} more where the CPU has {cap} (CPUID "
                                  f"{caps[cap].leaf:#x}.{caps[cap].reg}.{caps[cap].bit})")
        elif edx >> caps[cap].bit & 1:
            value |= mask
    return part("outcome", f"the driver writes {value:#x}", *open_questions)


def decode_cpuid(tables: Tables, question: Question) -> Article:
    """A register that the host's CPUID gave, and what of it a guest sees."""
    place, text = question.words
    pieces = place.lower().split(".")
    register = pieces.pop() if pieces[-1] in REGISTERS else ""
    index = number(pieces[0])
    subleaf = number(pieces[1]) if len(pieces) > 1 else 0
    if not register or index is None or subleaf is None:
        raise ToolError(f"'{place}' is no register of CPUID: LEAF.SUBLEAF.REGISTER, as 7.0.ebx")
    leaf = next((item for item in tables.cpuid.leaves if item.leaf == index
                 and (item.any_subleaf or item.subleaf == subleaf)), None)
    value = value_of(text, 32)
    title = f"CPUID {place} = {hexadecimal(value, 32)}"
    if leaf is None:
        return Article("decode", "cpuid", title, "", part("the guest", "always sees 0."))
    return Article("decode", "cpuid", title, leaf.doc,
                   (*taken_apart(_cpuid_shape(leaf, register), value, question.everything),
                    *_guest_sees(leaf, register, value)))


def _cpuid_shape(leaf: Leaf, register: str) -> Shape:
    rows = sorted((row for row in leaf.rows if row.register == register),
                  key=lambda row: -row.low)
    pieces: list[Piece] = []
    top = 31
    for row in rows:
        if row.high < top:
            pieces.append(Piece(top, row.high + 1, "", "", fixed=True))
        doc = f"{row.doc} ({row.reason})" if row.reason else row.doc
        pieces.append(Piece(row.high, row.low, row.name, doc, note=row.policy))
        top = row.low - 1
    if top >= 0:
        pieces.append(Piece(top, 0, "", "", fixed=True))
    return Shape(f"{leaf_name(leaf)}.{register}", 32, leaf.doc, tuple(pieces), "guest")


def _guest_sees(leaf: Leaf, register: str, value: int) -> tuple[Part, ...]:
    guest = value & leaf.passed(register) | leaf.preset(register)
    made = [row.name for row in leaf.rows if row.register == register
            and row.policy == "synthesise"]
    text = f"{hexadecimal(guest, 32)}" + (f", and the driver makes {', '.join(made)}"
                                          if made else "")
    return part("guest sees", text)


def decode_msr(tables: Tables, question: Question) -> Article:
    """The named bits of an MSR, or the word that it holds."""
    name, text = question.words
    index, wanted = number(name), fold(name).removeprefix("ia32_").removeprefix("msr_")
    for msr in tables.msrs.msrs:
        hit = msr.index <= index < msr.index + msr.count if index is not None else \
            msr.name == wanted
        if not hit:
            continue
        value = value_of(text)
        known = shapes(tables)
        shape = known.get(msr.name) or known.get(msr.name.removeprefix("vmx_"))
        if shape is None and msr.bits:
            numbers = {bit.number: bit.name for bit in msr.bits}
            shape = Shape(msr.name, 64, msr.doc, tuple(
                Piece(bit, bit, numbers.get(bit, ""), "", fixed=True)
                for bit in range(63, -1, -1)))
        if shape is None:
            raise ToolError(f"the spec says nothing of the bits of MSR {msr.name}")
        return _article(tables, shape, value, question)
    nearest = near(name, [msr.name for msr in tables.msrs.msrs])
    raise ToolError(f"no MSR '{name}'" + (f"\nnear it: {', '.join(nearest)}" if nearest else ""))


KINDS = {kind.name: kind for kind in (
    Kind("exit", "[svm] VALUE", "the exit_reason field of Intel, or AMD's exit code", 1, 2,
         decode_exit),
    Kind("qualification", "EXIT VALUE", "Intel's exit qualification, by exit", 2, 2,
         _by_exit("exit qualification", "qualification", "vmx")),
    Kind("exitinfo1", "EXIT VALUE", "AMD's EXITINFO1, by exit", 2, 2,
         _by_exit("EXITINFO1", "info1", "svm")),
    Kind("exitinfo2", "EXIT VALUE", "AMD's EXITINFO2, by exit", 2, 2,
         _by_exit("EXITINFO2", "info2", "svm")),
    Kind("control", "WORD [VALUE]", "a word of controls; --capability shows the negotiation",
         1, 2, decode_control),
    Kind("cpuid", "PLACE VALUE", "a register of CPUID, such as 7.0.ebx, and what guests see",
         2, 2, decode_cpuid),
    Kind("msr", "MSR VALUE", "an MSR with named bits", 2, 2, decode_msr),
    Kind("vmcb", "FILE", "a VMCB: 4096 bytes or a hexdump", 1, 1,
         lambda tables, question: vmcb(tables, question.words[0], question.everything)),
    Kind("vmcs", "FILE", "a VMCS: lines ENCODING VALUE", 1, 1,
         lambda tables, question: vmcs(tables, question.words[0], question.everything)),
)}


def decode(tables: Tables, name: str, question: Question) -> Article:
    kind = KINDS.get(name)
    if kind is None:
        return decode_word(tables, name, question)
    if not kind.least <= len(question.words) <= kind.most:
        raise ToolError(f"decode {name} wants {kind.arguments}")
    return kind.decode(tables, question)
