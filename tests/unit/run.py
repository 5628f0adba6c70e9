# SPDX-License-Identifier: ISC
"""Run the unit tests and add up what they report.

Check programs are asked for TAP, Python's tests for their summary. A program
that dies before its plan is a failure of its own, and so is a skipped test:
what did not run is never a pass.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TAP_LINE = re.compile(r"^(ok|not ok) \d+ - (.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)$")
PY_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
PY_BAD = re.compile(r"(failures|errors|skipped|unexpected successes)=(\d+)")


@dataclass(frozen=True)
class Result:
    """What one program reported."""

    name: str
    passed: int
    failed: int
    seconds: float
    notes: tuple[str, ...]

    def line(self) -> str:
        """One line for people."""
        verdict = "ok" if self.failed == 0 else "FAILED"
        return (f"{verdict:6} {self.name:28} {self.passed:5} passed, "
                f"{self.failed} failed  ({self.seconds:.1f} s)")


def run(command: list[str], env: dict[str, str], timeout: float) -> tuple[int, str, float]:
    """Exit status, output and duration; a hang is status 124."""
    # Check has it of its own for single tests, on machines that are busy.
    timeout *= float(env.get("CK_TIMEOUT_MULTIPLIER") or 1)
    start = time.monotonic()
    try:
        done = subprocess.run(command, env=env, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, check=False)
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        text = late.stdout or b""
        status = 124
        output = text.decode(errors="replace") if isinstance(text, bytes) else text
        output += f"\nstopped after {timeout:.0f} s\n"
    return status, output, time.monotonic() - start


def check_program(path: str, timeout: float) -> Result:
    """Run one Check program."""
    name = Path(path).name
    with tempfile.TemporaryDirectory() as scratch:
        tap = Path(scratch) / "tap"
        env = dict(os.environ, CK_TAP_LOG_FILE_NAME=str(tap), CK_VERBOSITY="silent",
                   CK_DEFAULT_TIMEOUT=f"{timeout:.0f}")
        status, output, seconds = run([path], env, timeout)
        lines = tap.read_text(errors="replace").splitlines() if tap.exists() else []
    passed = failed = 0
    plan: int | None = None
    notes: list[str] = []
    for line in lines:
        if match := TAP_LINE.match(line):
            if match[1] == "ok":
                passed += 1
            else:
                failed += 1
                notes.append(match[2])
        elif match := TAP_PLAN.match(line):
            plan = int(match[1])
    if plan != passed + failed or plan == 0:
        failed += 1
        notes.append("the program ended before all of its tests had run")
    elif status != 0 and failed == 0:
        failed += 1
        notes.append(f"exit status {status} although all tests passed")
    if failed:
        notes.append(output.rstrip())
    return Result(name, passed, failed, seconds, tuple(notes))


def python_tests(path: str, timeout: float) -> Result:
    """Run one module, or unittest discovery in one directory."""
    command = [sys.executable, "-m", "unittest"]
    if path.endswith(".py"):
        command += [path]
    else:
        command += ["discover", "-s", path]
        if (Path(path) / "__init__.py").exists():
            command += ["-t", "."]
    status, output, seconds = run(command, dict(os.environ), timeout)
    ran = PY_RAN.search(output)
    total = int(ran[1]) if ran else 0
    failed = 0
    for match in PY_BAD.finditer(output.rsplit("\nRan ", 1)[-1]):
        failed += int(match[2])
    if failed == 0 and (status != 0 or total == 0):
        failed = 1
        total += 1
    notes = (output.rstrip(),) if failed else ()
    return Result(path, total - failed, failed, seconds, notes)


def main() -> int:
    """Run everything; the exit status is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file for the counts")
    parser.add_argument("--python", action="append", default=[], metavar="PATH",
                        help="a module of Python tests, or a directory of them")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS",
                        help="for one program, module or directory")
    parser.add_argument("program", nargs="*", help="a Check program")
    args = parser.parse_args()

    results: list[Result] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        jobs = [pool.submit(python_tests, p, args.timeout) for p in args.python]
        jobs += [pool.submit(check_program, p, args.timeout) for p in args.program]
        for job in jobs:
            result = job.result()
            results.append(result)
            print(result.line())
            for note in result.notes:
                print("    " + note.replace("\n", "\n    "))
            sys.stdout.flush()
    passed = sum(r.passed for r in results)
    failed = sum(r.failed for r in results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"{passed} passed, {failed} failed\n")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
