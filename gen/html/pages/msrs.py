# SPDX-License-Identifier: ISC
"""MSRs: what RDMSR and WRMSR do in a guest."""

from __future__ import annotations

from gen.html.content import Cell, Page, Row, Section, Span, code, lines, link, listed, text, word
from gen.load import Map
from gen.model.msrs import Msr, Msrs
from gen.spec import Spec

_VENDORS = {"intel": "Intel", "amd": "AMD"}


def build(spec: Spec) -> Page:
    msrs: Msrs = spec.model("msrs")
    return Page("msrs", "MSRs", "What RDMSR and WRMSR do in a guest. An MSR that is not here "
                "raises #GP(0), read or written.", (
                    Section("By index", ("index",),
                            ("Index", "Vendors", "Read", "Write", "Kept by"),
                            tuple(_msr(msr, row)
                                  for msr, row in zip(msrs.msrs, spec.doc("msrs")["msrs"]))),
                ), "msrs")


def _msr(msr: Msr, row: Map) -> Row:
    last = msr.index + msr.count - 1
    index: Cell = (code(f"0x{msr.index:x}"),)
    if msr.count > 1:
        index += (text(" to "), code(f"0x{last:x}"))
    return Row("msr", (msr.name,), msr.name,
               (index, (text(", ".join(_VENDORS[vendor] for vendor in msr.vendors)),),
                _access(row["read"]), _access(row["write"]), _context(row)),
               lines((_doc(row), *_reason(row), *_bits(msr))), row["source"],
               words=tuple(f"0x{index:x}" for index in range(msr.index, last + 1)))


def _access(policy: object) -> Cell:
    if not isinstance(policy, Map):
        return (word(str(policy)),)
    value = policy["constant"]
    if not isinstance(value, list):
        return (word("constant"), text(" "), code(f"0x{value:x}"))
    return (word("constant"), text(" "), *listed(code(bit) for bit in value))


def _context(row: Map) -> Cell:
    if "context" not in row:
        return (text("a slot of the vCPU"),) if "slot" in row else ()
    return listed((text(f"{vendor.upper()}: {how}") for vendor, how in row["context"].items()))


def _doc(row: Map) -> Cell:
    found: list[Span] = [text(row["doc"])]
    if "feature" in row:
        found += [text("; announced by CPUID bit "), link("cpuid", row["feature"])]
    return (*found, text("."))


def _reason(row: Map) -> tuple[Cell, ...]:
    return ((text(f"Because: {row['reason']}."),),) if "reason" in row else ()


def _bits(msr: Msr) -> tuple[Cell, ...]:
    if not msr.bits:
        return ()
    return ((text("Bits: "), *listed(code(f"{bit.number} {bit.name}") for bit in msr.bits)),)
