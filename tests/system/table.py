# SPDX-License-Identifier: ISC
"""Hold README's table of what works against what the last runs reported.

A row names its cases by patterns. Where a vendor's cell says yes, every run on
that vendor's machines must have such a case for each pattern, and none that
failed. Each such cell is one check.
"""

from __future__ import annotations

import argparse
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

RESULT = re.compile(r"^(ok|not ok) \d+ - (.*?)(?: # .*)?$", re.MULTILINE)
HEADING = re.compile(r"^\| what \| cases \| (.*) \|$", re.MULTILINE)
PATTERN = re.compile(r"`([^`]+)`")


def read_run(path: Path) -> dict[str, bool]:
    """Each case of one run, and whether it passed."""
    text = path.read_text(errors="replace").replace("\r", "")
    return {name: verdict == "ok" for verdict, name in RESULT.findall(text)}


def problems(patterns: list[str], run: dict[str, bool]) -> list[str]:
    """Why these cases of this run do not show that it works."""
    found = []
    for pattern in patterns:
        cases = [name for name in run if fnmatch(name, pattern)]
        if not cases:
            found.append(f"no case {pattern}")
        found += [f"{name} failed" for name in cases if not run[name]]
    return found


def main() -> int:
    """The exit status is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file for the counts")
    parser.add_argument("runs", nargs="+", metavar="COLUMN=TAP",
                        help="a column of the table, and the reports, with commas in between, "
                        "of one run on such a machine")
    args = parser.parse_args()

    readme = args.readme.read_text()
    heading = HEADING.search(readme)
    columns = [name.strip() for name in heading[1].split("|")] if heading else []
    runs: dict[str, list[tuple[str, dict[str, bool]]]] = {name: [] for name in columns}
    passed, failed = 0, 0
    for argument in args.runs:
        column, path = argument.split("=", 1)
        cases = {name: good for part in path.split(",")
                 for name, good in read_run(Path(part)).items()}
        runs[column].append((path, cases))
    rows = readme[heading.end():].splitlines()[2:] if heading else []
    for line in rows:
        if not line.startswith("|"):
            break
        what, named, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        patterns = PATTERN.findall(named)
        for column, cell in zip(columns, cells, strict=True):
            if cell != "yes":
                continue
            wrong = [f"{path}: {text}" for path, run in runs[column]
                     for text in problems(patterns, run)]
            if not patterns or not runs[column]:
                wrong.append("no cases, or no run")
            passed, failed = passed + (not wrong), failed + bool(wrong)
            for text in wrong:
                print(f"FAILED {what}, {column}: {text}")
    if passed + failed == 0:
        print("FAILED README has no table of what works")
        failed = 1
    args.out.write_text(f"{passed} passed, {failed} failed\n")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
