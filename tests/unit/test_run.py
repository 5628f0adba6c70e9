# SPDX-License-Identifier: ISC
"""The runner itself: whatever goes wrong in a program is counted as a failure."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUN = Path(__file__).with_name("run.py")
TAP = 'printf \'%s\\n\' {lines} > "$CK_TAP_LOG_FILE_NAME"\n'


class RunnerTest(unittest.TestCase):
    """Runs run.py over programs made up for the purpose."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.dir = Path(scratch.name)

    def program(self, *lines: str, end: str = "exit 0") -> str:
        """A program that reports these lines of TAP."""
        path = self.dir / f"program{len(list(self.dir.iterdir()))}"
        quoted = " ".join(f"'{line}'" for line in lines)
        path.write_text("#!/bin/sh\n" + (TAP.format(lines=quoted) if lines else "") +
                        end + "\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    def python(self, body: str) -> str:
        """A directory with one module of Python tests."""
        directory = self.dir / "python"
        directory.mkdir()
        (directory / "test_it.py").write_text(
            "import unittest\nclass T(unittest.TestCase):\n" + body)
        return str(directory)

    def run_it(self, *arguments: str) -> tuple[int, str]:
        """Exit status and last line."""
        results = self.dir / "results"
        done = subprocess.run([sys.executable, str(RUN), "--out", str(results), *arguments],
                              cwd=self.dir, stdout=subprocess.PIPE, text=True, check=False)
        last = done.stdout.splitlines()[-1]
        self.assertEqual(results.read_text(), last + "\n")
        return done.returncode, last

    def test_passes_add_up(self) -> None:
        """All is well: status 0."""
        self.assertEqual(
            self.run_it(self.program("ok 1 - a", "ok 2 - b", "1..2"),
                        self.program("ok 1 - c", "1..1")),
            (0, "3 passed, 0 failed"))

    def test_one_failure_fails(self) -> None:
        """A failed test among good ones."""
        self.assertEqual(
            self.run_it(self.program("ok 1 - a", "not ok 2 - b", "1..2", end="exit 1")),
            (1, "1 passed, 1 failed"))

    def test_death_before_the_plan(self) -> None:
        """A program that crashes on the way has not passed."""
        self.assertEqual(self.run_it(self.program("ok 1 - a", end="kill -SEGV $$")),
                         (1, "1 passed, 1 failed"))

    def test_no_report_at_all(self) -> None:
        """Nothing ran, although the status is 0."""
        self.assertEqual(self.run_it(self.program()), (1, "0 passed, 1 failed"))
        self.assertEqual(self.run_it(self.program("1..0")), (1, "0 passed, 1 failed"))

    def test_bad_status_with_good_report(self) -> None:
        """A sanitizer speaks up at exit, after the last test."""
        self.assertEqual(self.run_it(self.program("ok 1 - a", "1..1", end="exit 23")),
                         (1, "1 passed, 1 failed"))

    def test_python_counts(self) -> None:
        """Failures, errors and skipped tests are failures."""
        directory = self.python(
            "    def test_a(self): pass\n"
            "    def test_b(self): self.fail()\n"
            "    def test_c(self): raise OSError\n"
            "    @unittest.skip('not today')\n"
            "    def test_d(self): pass\n")
        self.assertEqual(
            self.run_it("--python", directory, self.program("ok 1 - a", "1..1")),
            (1, "2 passed, 3 failed"))

    def test_one_python_module(self) -> None:
        """A path to a module, as seen from where the runner is."""
        directory = self.python("    def test_a(self): pass\n")
        module = os.path.relpath(directory + "/test_it.py", self.dir)
        self.assertEqual(self.run_it("--python", module), (0, "1 passed, 0 failed"))

    def test_nothing_to_run(self) -> None:
        """No test at all is no success."""
        self.assertEqual(self.run_it(), (1, "0 passed, 0 failed"))

    def test_too_slow(self) -> None:
        """A program that hangs is stopped, and is a failure."""
        self.assertEqual(self.run_it("--timeout", "0.2", self.program(end="exec sleep 100")),
                         (1, "0 passed, 1 failed"))

    def test_python_without_tests(self) -> None:
        """A directory in which nothing is found."""
        directory = self.python("    pass\n")
        self.assertEqual(
            self.run_it("--python", directory, self.program("ok 1 - a", "1..1")),
            (1, "1 passed, 1 failed"))


if __name__ == "__main__":
    unittest.main()
