# SPDX-License-Identifier: ISC
"""No cost has grown by more than 5 %:

    python3 -m bench.check --recorded bench/results.json --out COUNTS VENDOR:DIRECTORY ...

Holds what `run VENDOR check` counted there against what was recorded with
mitigations off. Counts are exact, so this is no timed test.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.results import VMM, Measured, read_results

GROWTH = 0.05
# What the host's timer adds to a short loop.
SLACK = 2


def problem(one: Measured, recorded: dict[str, Any]) -> str | None:
    row = recorded["operations"].get(one.operation)
    if row is None:
        return f"{one.operation}: not recorded, run `make bench-record`"
    before = row[VMM]["instructions"]
    if one.cost > before * (1 + GROWTH) + SLACK:
        return f"{one.operation}: {one.cost} instructions, {before} before"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recorded", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file for the counts")
    parser.add_argument("boots", nargs="+", metavar="BOOT")
    args = parser.parse_args()

    recorded = json.loads(args.recorded.read_text())
    passed, failed = 0, 0
    for argument in args.boots:
        vendor, directory = argument.split(":", 1)
        results = Path(directory) / "results"
        measured = read_results(results) if results.exists() else []
        if not measured:
            failed += 1
            print(f"FAILED {vendor}: nothing was measured")
        for one in measured:
            wrong = problem(one, recorded[vendor]["off"])
            if wrong:
                failed += 1
                print(f"FAILED {vendor}: {wrong}")
            else:
                passed += 1
    counts = f"{passed} passed, {failed} failed"
    args.out.write_text(counts + "\n")
    print(counts)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    raise SystemExit(main())
