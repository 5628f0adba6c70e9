# SPDX-License-Identifier: ISC
"""What the driver makes of a capability MSR: vmx_controls_negotiate() for one word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gen.model.vmx_controls import VmxWord
from gen.tool.article import Part, part, table
from gen.tool.numbers import hexadecimal


@dataclass(frozen=True)
class Offer:
    """What the CPU says of a word."""

    must: int  # bits that cannot be 0
    may: int  # bits that can be 1


def offer_of(word: VmxWord, capability: int) -> Offer:
    """SDM 3D A.3: the lower half cannot be 0, the upper can be 1; of 64 bits, all can be 0."""
    if word.wide:
        return Offer(0, capability)
    return Offer(capability & 0xFFFFFFFF, capability >> 32)


def choose(word: VmxWord, offer: Offer) -> tuple[int, str]:
    """The value that the driver would write; and the control that makes it refuse the CPU."""
    on = word.mask("required") | word.mask("wanted") & offer.may
    off = word.mask("refused") | word.mask("dynamic")
    fallback, dynamic = word.mask("fallback"), word.mask("dynamic")
    if word.instead & ~on:
        on |= fallback
    else:
        off |= fallback
    if (on | dynamic) & ~offer.may:
        return 0, _name(word, (on | dynamic) & ~offer.may)
    if off & offer.must:
        return 0, _name(word, off & offer.must) + " = 0"
    return on | offer.must, ""


def _name(word: VmxWord, bits: int) -> str:
    return next(control.key for control in word.controls if control.mask & bits)


def negotiated(word: VmxWord, offer: Offer) -> Iterator[Part]:
    """Bit by bit: what the CPU allows, what the driver asks, what comes of it."""
    value, missing = choose(word, offer)
    rows = []
    for control in reversed(word.controls):
        bits = str(control.low) if control.low == control.high else \
            f"{control.high}-{control.low}"
        rows.append((bits, control.name, _allowed(control.mask, offer), control.policy,
                     _outcome(control.mask, value) if not missing else "-"))
    yield from table("negotiation", ("bits", "name", "CPU", "policy", "outcome"), rows)
    if missing:
        yield from part("outcome", f"the driver refuses this CPU: it lacks {missing}")
    else:
        yield from part("outcome", f"the driver writes {hexadecimal(value, word.field.width)}")


def _allowed(mask: int, offer: Offer) -> str:
    if mask & offer.must == mask:
        return "must be 1"
    if mask & offer.may == 0:
        return "must be 0"
    return "either" if mask & offer.may == mask and not mask & offer.must else "some bits"


def _outcome(mask: int, value: int) -> str:
    if mask & value == 0:
        return "0"
    return "1" if mask & value == mask else f"{value & mask:#x}"


def broken(word: VmxWord, value: int, offer: Offer) -> Iterator[str]:
    """Why the CPU would refuse an entry with this value."""
    for control in word.controls:
        if control.mask & value & ~offer.may:
            yield f"{control.key} is 1, and this CPU wants 0"
        if control.mask & ~value & offer.must:
            yield f"{control.key} is 0, and this CPU wants 1"
