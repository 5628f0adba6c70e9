# SPDX-License-Identifier: ISC
"""explain msr: what RDMSR and WRMSR do in a guest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.msrs import Msr
from gen.tool.article import Article, Part, part, table
from gen.tool.numbers import hexadecimal, number
from gen.tool.tables import Entry, Tables, place, sources
from gen.tool.words import MSR_READ, MSR_WRITE

_MAKERS = {"intel": "Intel", "amd": "AMD"}


def entries(tables: Tables) -> Iterator[Entry]:
    rows = tables.rows("msrs", "msrs", "msr")
    for msr in tables.msrs.msrs:
        yield Entry("msr", msr.name, msr.doc, partial(_article, tables, msr, rows[msr.name]),
                    (f"msr_{msr.name}", f"ia32_{msr.name}"),
                    range(msr.index, msr.index + msr.count), row=rows[msr.name])


def _article(tables: Tables, msr: Msr, row: Map) -> Article:
    title = f"{msr.name}: MSR {hexadecimal(msr.index)}"
    if msr.count > 1:
        title += f" to {hexadecimal(msr.index + msr.count - 1)}"
    if len(msr.vendors) == 1:
        title += f", {_MAKERS[msr.vendors[0]]} only"
    parts: list[Part] = []
    parts += part("RDMSR", MSR_READ[msr.read].format(constant=msr.constant, name=msr.name) + ".")
    parts += part("WRMSR", MSR_WRITE[msr.write].format(name=msr.name) + _checked(msr) + ".")
    if len(msr.vendors) == 1:
        parts += part("elsewhere", f"on a CPU that is not {_MAKERS[msr.vendors[0]]}'s, both "
                                   "raise #GP(0) in the guest.")
    parts += part("reason", row.get("reason", ""), *_feature(tables, row))
    parts += part("switched", *_switched(row))
    if msr.slot:
        parts += part("value", f"kept by the driver; {msr.reset:#x} after a reset"
                      + (f"; a guest may change {msr.writable:#x}" if msr.writable else "") + ".")
    parts += table("bits", ("bits", "name"), ((str(bit.number), bit.name) for bit in msr.bits))
    parts += part("manual", sources(row))
    parts += part("spec", place(row))
    return Article("msr", msr.name, title, msr.doc, tuple(parts))


def _checked(msr: Msr) -> str:
    return "" if msr.check == "none" else f"; a value that is no {msr.check} raises #GP(0)"


def _feature(tables: Tables, row: Map) -> Iterator[str]:
    name = row.get("feature")
    for feature in tables.cpuid.features:
        if feature.row.name == name:
            shown = "hides" if feature.row.policy == "hidden" else "shows"
            why = f": {feature.row.reason}" if feature.row.reason else ""
            yield f"CPUID feature {name} announces it, and the guest's CPUID {shown} that{why}."


def _switched(row: Map) -> Iterator[str]:
    for key, maker in (("vmx", "Intel"), ("svm", "AMD")):
        word = row.get("context", {}).get(key, "none")
        if word != "none":
            yield f"on {maker}: {word}"


def missing(tables: Tables, text: str) -> Article | None:
    """An MSR with no row has a policy all the same."""
    index = number(text)
    if index is None or index > 0xFFFFFFFF:
        return None
    return Article("msr", hexadecimal(index), f"MSR {hexadecimal(index)} has no row", "", (
        *part("RDMSR", "raises #GP(0) in the guest."),
        *part("WRMSR", "raises #GP(0) in the guest."),
        *part("spec", "spec/msrs.yaml: a row would say otherwise.")))
