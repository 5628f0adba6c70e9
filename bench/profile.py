# SPDX-License-Identifier: ISC
"""What a traced round of each operation consists of: by function, and how many
instructions of the kinds that are expensive on silicon but count one in an emulator.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

# Guests run below it, vmmbench is linked above it.
GUEST_END = 0x400000

# Kinds of expensive instructions, in the order of the table: what their text looks like.
EXPENSIVE: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern) for name, pattern in {
        "VMREAD": r"vmread",
        "VMWRITE": r"vmwrite",
        "RDMSR": r"rdmsr",
        "WRMSR": r"wrmsr",
        "XSAVE/XRSTOR": r"xsave|xrstor|fxsave|fxrstor",
        "XSETBV": r"xsetbv",
        "INVEPT/INVVPID": r"invept|invvpid|invlpga",
        "VMLOAD/VMSAVE": r"vmload|vmsave",
        "VMRUN/VMRESUME": r"vmrun|vmresume|vmlaunch",
        "CR write": r"movq?\s+(%\w+, ?%cr\d|cr\d, ?\w+)",
        "DR access": r"movq?\s+(.*%?\bdr\d)",
        "IRQ on/off": r"(cli|sti|clgi|stgi|popfq?)\b",
        "locked": r"lock\b|xchg\w*\s.*[\[(]",
    }.items()
}


@dataclass
class Round:
    """One round of an operation; what the guest does itself is not expensive."""
    instructions: int = 0
    functions: Counter[str] = field(default_factory=Counter)
    expensive: Counter[str] = field(default_factory=Counter)


class Symbols:
    """Which function an address is in."""

    def __init__(self, path: Path) -> None:
        rows = []
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) >= 3 and words[1] in "tTwW":
                owner = words[3].strip("[]") if len(words) > 3 else ""
                rows.append((int(words[0], 16), words[2], owner))
        rows.sort(key=lambda row: row[0])
        self.starts = [row[0] for row in rows]
        self.names = [name + (f" [{owner}]" if owner else "") for _, name, owner in rows]

    def name(self, address: int) -> str:
        if address < GUEST_END:
            return "(guest)"
        place = bisect.bisect_right(self.starts, address) - 1
        if place < 0:
            return "(unknown)"
        if address < 1 << 63:
            return f"{self.names[place]} [user]"
        return self.names[place]


def read_trace(path: Path, symbols: Symbols) -> list[Round]:
    """The rounds, in the order in which they ran."""
    rounds = []
    now = Round()
    kinds: dict[str, list[str]] = {}
    names: dict[int, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        if line == "end":
            rounds.append(now)
            now = Round()
            continue
        where, _, text = line.partition(" ")
        address = int(where, 16)
        if address not in names:
            names[address] = symbols.name(address)
        if text not in kinds:
            kinds[text] = [kind for kind, look in EXPENSIVE.items() if look.match(text)]
        now.instructions += 1
        now.functions[names[address]] += 1
        if address >= GUEST_END:
            now.expensive.update(kinds[text])
    return rounds
