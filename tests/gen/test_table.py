# SPDX-License-Identifier: ISC
"""tests/system/table.py: a claim in README needs a case that passed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.gen.tools import ROOT

TABLE = """# x

| what | cases | AMD SVM | Intel VT-x |
|---|---|---|---|
| ports | `run/io/*` | yes | no |
| clock | `run/clock/*`, `run/tsc/*` | {clock} | no |

more
"""


class Table(unittest.TestCase):
    def run_table(self, clock: str, tap: str) -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as name:
            scratch = Path(name)
            (scratch / "README.md").write_text(TABLE.format(clock=clock))
            (scratch / "tap.log").write_text(tap)
            done = subprocess.run(
                [sys.executable, str(ROOT / "tests/system/table.py"), "--readme",
                 str(scratch / "README.md"), "--out", str(scratch / "counts"),
                 f"AMD SVM={scratch / 'tap.log'}"],
                text=True, capture_output=True, check=False)
            self.assertEqual(done.stdout.splitlines()[-1], (scratch / "counts").read_text().strip())
            return done.returncode, done.stdout.replace(name, "DIR")

    def test_claims_that_hold(self) -> None:
        tap = "1..3\nok 1 - run/io/in # 5 ms\r\nok 2 - run/clock/a\nok 3 - run/tsc/b\n"
        self.assertEqual(self.run_table("yes", tap), (0, "2 passed, 0 failed\n"))

    def test_no_claim_needs_no_case(self) -> None:
        self.assertEqual(self.run_table("no", "ok 1 - run/io/in\n"), (0, "1 passed, 0 failed\n"))

    def test_a_case_that_failed(self) -> None:
        tap = "ok 1 - run/io/in\nok 2 - run/clock/a\nnot ok 3 - run/tsc/b # 7 ms\n"
        self.assertEqual(self.run_table("yes", tap), (1,
            "FAILED clock, AMD SVM: DIR/tap.log: run/tsc/b failed\n1 passed, 1 failed\n"))

    def test_a_case_that_did_not_run(self) -> None:
        self.assertEqual(self.run_table("yes", "ok 1 - run/io/in\nok 2 - run/tsc/b\n"), (1,
            "FAILED clock, AMD SVM: DIR/tap.log: no case run/clock/*\n1 passed, 1 failed\n"))


if __name__ == "__main__":
    unittest.main()
