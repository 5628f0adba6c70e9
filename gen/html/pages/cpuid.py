# SPDX-License-Identifier: ISC
"""CPUID: what the instruction answers in a guest, bit by bit."""

from __future__ import annotations

from gen.html.content import Cell, Page, Row, Section, Span, code, lines, link, text, word
from gen.load import Map
from gen.model.cpuid import Cpuid, Leaf
from gen.model.cpuid import Row as Bits
from gen.spec import Spec


def build(spec: Spec) -> Page:
    cpuid: Cpuid = spec.model("cpuid")
    doc = spec.doc("cpuid")
    return Page("cpuid", "CPUID", "What CPUID answers in a guest. A bit that is not here is zero, "
                "and so is a leaf that is not here.",
                tuple(_leaf(leaf, row) for leaf, row in zip(cpuid.leaves, doc["leaves"])),
                "cpuid")


def _leaf(leaf: Leaf, row: Map) -> Section:
    subleaf = row.get("subleaf")
    name = f"0x{leaf.leaf:x}"
    title = f"Leaf {name}"
    if subleaf is not None:
        title += ", every sub-leaf" if subleaf == "any" else f", sub-leaf {subleaf}"
    about: list[Span] = [text(leaf.doc)]
    if "fixup" in row:
        about += [text(" Fixup "), code(row["fixup"]), text(".")]
    prefix = f"{leaf.leaf:x}.{subleaf if isinstance(subleaf, int) else 0}"
    return Section(title, (name, 0 if subleaf is None else subleaf), ("Register", "Bits", "Policy"),
                   tuple(_bits(bits, prefix) for bits in leaf.rows), (tuple(about),), "leaf",
                   sources=row["source"], label=title.replace("Leaf ", ""), words=(name,))


def _bits(bits: Bits, prefix: str) -> Row:
    place = str(bits.low) if bits.single else f"{bits.high}-{bits.low}"
    register = bits.register.upper()
    full = f"{prefix}.{bits.register}.{bits.low}"
    policy: list[Span] = [word(bits.policy)]
    if bits.policy == "set" and not bits.single:
        policy.append(code(f" 0x{bits.value:x}"))
    return Row("cpuid", (bits.name,), bits.name,
               ((code(register),), (text(place),), tuple(policy)),
               lines(((text(_sentence(bits.doc)),), *_why(bits))),
               words=(full, f"0x{full}", bits.constant, f"{register}.{place}"))


def _why(bits: Bits) -> list[Cell]:
    found: list[Cell] = []
    if bits.reason:
        found.append((text(f"Because: {_sentence(bits.reason)}"),))
    if bits.state:
        found.append((text("Works on the registers of "), link("cpuid", f"xcr0_{bits.state}"),
                      text(".")))
    return found


def _sentence(words: str) -> str:
    return words if words.endswith(".") else f"{words}."
