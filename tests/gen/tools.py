# SPDX-License-Identifier: ISC
"""What the tests of the generator share."""

from __future__ import annotations

import atexit
import csv
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gen.__main__ import build
from gen.errors import Errors
from gen.load import Doc
from gen.spec import Spec

ROOT = Path(__file__).parent.parent.parent
SPEC = ROOT / "spec"
PROFILE = "openbsd-7.2"


def scratch() -> Path:
    """A directory that goes when the tests are over."""
    path = Path(tempfile.mkdtemp(prefix="vmm-gen-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def generate(out: Path, spec: Path = SPEC, seed: str = "0") -> subprocess.CompletedProcess[str]:
    """Run the generator as `make generate` does."""
    return subprocess.run(
        [sys.executable, "-m", "gen", "--spec", str(spec), "--out", str(out)],
        cwd=ROOT, env=dict(os.environ, PYTHONHASHSEED=seed), text=True, capture_output=True,
        check=False)


@functools.cache
def generated() -> Path:
    """Everything, generated once; or what GENERATED names, to test that."""
    if "GENERATED" in os.environ:
        return Path(os.environ["GENERATED"])
    out = scratch()
    done = generate(out)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return out


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(directory.rglob("*")) if path.is_file()}


class TracedSpec(Spec):
    """Remembers what it read, what it built, and which documents each model was made from."""

    def __init__(self, directory: Path, errors: Errors) -> None:
        super().__init__(directory, errors)
        self.docs: dict[str, Doc] = {}
        self.models: dict[str, Any] = {}
        self.needs: dict[str, set[str]] = {}
        self._inside: list[str] = []

    def doc(self, name: str) -> Doc:
        for model in self._inside:
            self.needs[model].add(name)
        self.docs[name] = super().doc(name)
        return self.docs[name]

    def model(self, name: str) -> Any:
        self.needs.setdefault(name, set())
        self._inside.append(name)
        self.models[name] = super().model(name)
        self._inside.pop()
        for outer in self._inside:
            self.needs[outer] |= self.needs[name]
        return self.models[name]


@functools.cache
def valid() -> TracedSpec:
    """The specification as it is, read once."""
    errors = Errors()
    spec = TracedSpec(SPEC, errors)
    build(spec)
    if len(errors):
        raise AssertionError("\n".join(errors.lines()))
    return spec


def abi(name: str) -> list[dict[str, str]]:
    """The rows of a table of the binary interface: layout.csv, ioctls.csv."""
    with open(ROOT / "tests" / "unit" / "data" / name, encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["profile"] == PROFILE]


def compile_c(compiler: str, source: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Give `source` to a compiler on its standard input, with warnings as errors."""
    language = "c++" if compiler.endswith("++") else "c"
    return subprocess.run(
        [compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{generated() / 'include'}",
         *flags, "-x", language, "-"],
        input=source, text=True, capture_output=True, check=False)
