# SPDX-License-Identifier: ISC
"""Read what a booted host reported, print it, and judge it.

Passed is only what said so. A run without a plan, with fewer results than
planned, with a skipped case, without the test program's exit status, or with a
complaint of the kernel on the console has failed.

With --planted, the kernel is one that checks itself, and mistakes were made on
purpose when all was over: each must have its complaint, and counts as a case. What
the kernel said before the driver came is not about the driver.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

PLAN = re.compile(r"^1\.\.(\d+)$")
RESULT = re.compile(r"^(ok|not ok) (\d+) - (.*?)(?: # (\d+) ms)?$")
STATUS = re.compile(r"^# status (\S+)$")
# A host whose CPU model has bugs says where to read about them: no trouble.
TROUBLE = re.compile(
    r"\bBUG:|WARNING:(?! See \S+/hw-vuln/)|Oops\b|general protection|[Kk]ernel panic|"
    r"soft lockup|hard LOCKUP|"
    r"detected stall|self-detected|Call Trace|unchecked MSR access|blocked for more than|"
    r"UBSAN|KASAN|list_(?:add|del) corruption|Bad page|Bad rss-counter|refcount_t:|"
    r"invalid opcode:|double fault|scheduling while atomic|unable to handle|"
    r"ODEBUG:|pagealloc: |page dumped because|[Kk]ernel BUG at|unreferenced object|"
    # Checkers that have gone to sleep.
    r"kmemleak: .*(?:disabled|[Cc]annot allocate)|MAX_\w+ too low|"
    r"turning off the locking correctness validator|"
    r"HARNESS: ")
# A case that makes the kernel print backtraces says so (klog_expect_backtraces()).
WANTED = re.compile(r"vmmtest: backtraces are (wanted|trouble)")
# On a debug kernel: what came before the driver is none of its business.
LOADED = re.compile(r"vmm: loading out-of-tree module")
# Where the planted mistakes begin, and where each does and ends (tests/debug/hook).
PLANTS = re.compile(r"vmmplant: begins")
PLANT = re.compile(r"vmmplant: (plant|end) (\w+)")


@dataclass
class Run:
    """What one boot reported."""

    plan: int | None = None
    passed: int = 0
    failed: int = 0
    status: str | None = None
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Something that is no verdict of a case but makes the run a failure."""
        self.problems.append(text)


def read_tap(lines: list[str], run: Run, verbose: bool) -> None:
    """Count the results; show the failed ones, or all."""
    shown = False
    for line in lines:
        if match := PLAN.match(line):
            if run.plan is not None:
                run.problem("two plans")
            run.plan = int(match[1])
        elif match := RESULT.match(line):
            good = match[1] == "ok" and "SKIP" not in match[3]
            if int(match[2]) != run.passed + run.failed + 1:
                run.problem(f"result {match[2]} is out of turn")
            run.passed += good
            run.failed += not good
            shown = verbose or not good
            if shown:
                print(f"{'ok' if good else 'FAILED':6} {match[3]}"
                      + (f"  ({match[4]} ms)" if match[4] else ""))
        elif match := STATUS.match(line):
            run.status = match[1]
        elif line.startswith("Bail out!"):
            run.problem(line)
        elif shown and line.startswith("#"):
            print("    " + line[1:].strip())


def judge(run: Run) -> None:
    """What is missing from the report."""
    if run.plan is None:
        run.problem("the test program printed no plan")
    elif run.plan == 0:
        run.problem("the plan is empty")
    elif run.plan > run.passed + run.failed:
        run.problem(f"{run.plan - run.passed - run.failed} of {run.plan} cases did not run")
    elif run.plan < run.passed + run.failed:
        run.problem("more results than planned")
    if run.status is None:
        run.problem("the test program did not end")
    elif run.status != "0" and run.failed == 0:
        run.problem(f"the test program ended with status {run.status}")


def complaint(console: list[str]) -> tuple[int, str] | None:
    """The first line of the console that is trouble, and its number."""
    wanted = False
    for number, line in enumerate(console, 1):
        if match := WANTED.search(line):
            wanted = match[1] == "wanted"
        elif (match := TROUBLE.search(line)) and not (wanted and match[0] == "Call Trace"):
            return number, line.strip()
    return None


def plant_found(lines: list[str], pattern: str) -> bool:
    """There is trouble among these lines, and it is what the mistake should give."""
    return complaint(lines) is not None and any(re.search(pattern, line) for line in lines)


def read_plants(console: list[str], table: str, run: Run, verbose: bool) -> None:
    """Count the mistakes of the table that their checkers have noticed, and the others."""
    said: dict[str, list[str]] = {}
    name = ""
    for line in console:
        if match := PLANT.search(line):
            name = match[2] if match[1] == "plant" else ""
        said.setdefault(name, []).append(line)
    rows = [row.split(maxsplit=1) for row in table.splitlines() if row and row[0] != "#"]
    if unknown := said.keys() - {plant for plant, _ in rows} - {""}:
        run.problem(f"planted, and not in the table: {' '.join(sorted(unknown))}")
    for plant, pattern in rows:
        good = plant_found(said.get(plant, []), pattern)
        run.passed += good
        run.failed += not good
        if verbose or not good:
            print(f"{'ok' if good else 'FAILED':6} planted mistake: {plant}"
                  + ("" if good else f": the console has no '{pattern}'"))


def main() -> int:
    """The exit status is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tap", type=Path, required=True)
    parser.add_argument("--console", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file for the counts")
    parser.add_argument("--verbose", action="store_true", help="show passed cases too")
    parser.add_argument("--planted", type=Path, help="table of mistakes made on purpose")
    args = parser.parse_args()

    run = Run()
    tap = args.tap.read_text(errors="replace") if args.tap.exists() else ""
    console = args.console.read_text(errors="replace") if args.console.exists() else ""
    lines = console.replace("\r", "").splitlines()
    start, end = 0, len(lines)
    if args.planted:
        start = next((i for i, line in enumerate(lines) if LOADED.search(line)), start)
        end = next((i for i, line in enumerate(lines) if PLANTS.search(line)), end)
    read_tap(tap.replace("\r", "").splitlines(), run, args.verbose)
    judge(run)
    if trouble := complaint(lines[start:end]):
        run.problem(f"{args.console}:{start + trouble[0]}: {trouble[1]}")
    missing = max(0, (run.plan or 0) - run.passed - run.failed)
    if args.planted:
        read_plants(lines[end:], args.planted.read_text(), run, args.verbose)
    failed = run.failed + missing
    if run.problems and failed == 0:
        failed = 1
    for text in run.problems:
        print(f"FAILED {text}")
    args.out.write_text(f"{run.passed} passed, {failed} failed\n")
    print(f"{run.passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
