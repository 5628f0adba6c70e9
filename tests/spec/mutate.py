# SPDX-License-Identifier: ISC
"""Try mutants of the specification: `make mutate`.

All of them, or those whose name has a word in it: make mutate ONLY=cpuid/leaves/0x7. The report is
also in build/spec/mutants.txt: what became of each mutant. `make check-spec` tries a sample.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import multiprocessing
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable, Iterator, Sequence

import yaml

from tests.gen.tools import ROOT, valid
from tests.spec.mutants import Mutant, mutants
from tests.spec.trial import (CRASH, EQUIVALENT, SURVIVOR, Bench, Trial, Verdict)

SCRATCH = ROOT / "build" / "spec" / "mutants"
REPORT = ROOT / "build" / "spec" / "mutants.txt"
SURVIVORS = Path(__file__).with_name("survivors.yaml")
WANTED = 0.95  # of those that change anything


@dataclass
class Report:
    """What became of the mutants that were tried."""

    verdicts: list[tuple[Mutant, Verdict]] = field(default_factory=list)

    def fates(self) -> Counter[str]:
        return Counter(verdict.fate for _, verdict in self.verdicts)

    def with_fate(self, fate: str) -> list[str]:
        return sorted(mutant.name for mutant, verdict in self.verdicts if verdict.fate == fate)

    def rate(self) -> float:
        """How many were caught, of those that there was something to catch of."""
        caught = sum(verdict.caught for _, verdict in self.verdicts)
        return caught / max(1, len(self.verdicts) - self.fates()[EQUIVALENT])

    def problems(self) -> list[str]:
        """What must not be."""
        found = [f"the generator falls over {name}" for name in self.with_fate(CRASH)]
        found += [f"nobody catches {name}" for name in self.with_fate(SURVIVOR)
                  if not listed(name)]
        if self.rate() < WANTED:
            found.append(f"{self.rate():.1%} are caught, not {WANTED:.0%}")
        return found

    def stale(self) -> list[str]:
        """Patterns of the list that stand for nothing; of use when everything was tried."""
        left = self.with_fate(SURVIVOR)
        return [f"survivors.yaml lists what is caught, or gone: {pattern}"
                for pattern in patterns() if not matching(left, pattern)]

    def lines(self) -> Iterator[str]:
        """For people: by kind, then in sum."""
        fates = ("validator", "compiler", "test", SURVIVOR, EQUIVALENT, CRASH)
        count = Counter((mutant.kind, verdict.fate) for mutant, verdict in self.verdicts)
        yield f"{'kind':10}" + "".join(f"{fate:>12}" for fate in fates)
        for kind in sorted({mutant.kind for mutant, _ in self.verdicts}):
            yield f"{kind:10}" + "".join(f"{count[kind, fate]:12}" for fate in fates)
        yield f"{'all':10}" + "".join(f"{self.fates()[fate]:12}" for fate in fates)
        yield f"{self.rate():.1%} caught of {len(self.verdicts) - self.fates()[EQUIVALENT]}"

    def write(self) -> None:
        text = "".join(f"{verdict.fate:10} {mutant.name} ({mutant.change}) {verdict.by}\n"
                       for mutant, verdict in sorted(self.verdicts, key=lambda one: one[0].name))
        REPORT.write_text("".join(f"{line}\n" for line in self.lines()) + "\n" + text,
                          encoding="utf-8")


@functools.cache
def patterns() -> tuple[str, ...]:
    """The list of known survivors: names, with * for anything."""
    groups = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    return tuple(pattern for group in groups for pattern in group["mutants"])


def matching(names: Iterable[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


def listed(name: str) -> bool:
    return any(matching([name], pattern) for pattern in patterns())


def all_mutants() -> list[Mutant]:
    """Every mutant of every file."""
    return [mutant for file, doc in sorted(valid().docs.items()) for mutant in mutants(file, doc)]


def sample(every: Sequence[Mutant], share: int) -> list[Mutant]:
    """One in `share` of each kind in each file, at least one; always the same ones."""
    groups: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in every:
        groups.setdefault((mutant.file, mutant.kind), []).append(mutant)
    return [mutant for group in groups.values()
            for mutant in sorted(group, key=lambda one: one.rank)[:-(-len(group) // share)]]


# --- Trying, in as many processes as there are CPUs -----------------------------------

_todo: Sequence[Mutant] = ()
_trial: list[Trial] = []


def judge(todo: Sequence[Mutant], thorough: bool = False) -> Report:
    """Try these; `thorough`: known survivors too are shown to every test."""
    global _todo
    _todo = todo
    bench, report = Bench(), Report()
    valid()
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _start, (bench,)) as pool:
        work = [(index, thorough or not listed(mutant.name)) for index, mutant in enumerate(todo)]
        try:
            for index, verdict in pool.imap_unordered(_judge, work):
                report.verdicts.append((todo[index], verdict))
                if sys.stderr.isatty():
                    print(f"\r{len(report.verdicts)} of {len(todo)} ", end="", file=sys.stderr)
        finally:  # an interrupted run has something to say too
            report.write()
    return report


def _start(bench: Bench) -> None:
    _trial.append(Trial(bench, SCRATCH / str(os.getpid())))


def _judge(work: tuple[int, bool]) -> tuple[int, Verdict]:
    index, thorough = work
    verdict = _trial[0].judge(_todo[index], thorough=False)
    if verdict.fate == SURVIVOR and thorough:
        verdict = _trial[0].judge(_todo[index], thorough=True)
    return index, verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--share", type=int, default=1, help="one in so many")
    args = parser.parse_args()
    chosen = [mutant for mutant in sample(all_mutants(), args.share) if args.only in mutant.name]
    report = judge(chosen, thorough=True)
    problems = report.problems()
    if not args.only and args.share == 1:
        problems += report.stale()
    for line in [*problems, *report.lines()]:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
