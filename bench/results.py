# SPDX-License-Identifier: ISC
"""What vmmbench reported and what was traced: numbers of one boot."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.profile import Round, Symbols, read_trace

# Who did it: the columns of the table.
KVM, VMM, FLOOR = "KVM", "vmm", "floor"


@dataclass
class Measured:
    """One operation by one of them."""
    operation: str
    by: str
    count: int
    total: int

    @property
    def cost(self) -> int:
        """Instructions each time, to the nearest."""
        return (2 * self.total + self.count) // (2 * self.count)


@dataclass
class Boot:
    """One boot; operations are in the order in which they were measured."""
    measured: list[Measured] = field(default_factory=list)
    rounds: dict[tuple[str, str], Round] = field(default_factory=dict)

    def cost(self, operation: str, by: str) -> int | None:
        for one in self.measured:
            if (one.operation, one.by) == (operation, by):
                return one.cost
        return None

    def operations(self) -> list[str]:
        return list(dict.fromkeys(one.operation for one in self.measured if one.by != FLOOR))


def read_results(path: Path) -> list[Measured]:
    found = []
    for line in path.read_text(errors="replace").splitlines():
        words = line.split("\t")
        if len(words) == 4:
            found.append(Measured(words[0], words[1], int(words[2]), int(words[3])))
    return found


def read_boot(directories: list[Path]) -> Boot:
    """From what `run` left there; a directory may hold a trace."""
    boot = Boot()
    for directory in directories:
        found = read_results(directory / "results")
        if not (directory / "trace").exists():
            boot.measured += found
            continue
        rounds = read_trace(directory / "trace", Symbols(directory / "symbols"))
        if len(found) != len(rounds):
            raise SystemExit(f"{directory}: {len(found)} operations, but {len(rounds)} rounds")
        boot.rounds.update(zip(((one.operation, one.by) for one in found), rounds))
    return boot
