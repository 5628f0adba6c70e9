# SPDX-License-Identifier: ISC
"""What the tests of vmmspec share."""

from __future__ import annotations

import functools
import gc
import io
import os
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from gen.tool.cli import run
from gen.tool.tables import Tables
from tests.gen.tools import SPEC, scratch


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def placeless(self) -> str:
        """Without the numbers of lines in spec/, which move."""
        return re.sub(r"(spec/\w+\.yaml):\d+", r"\1", self.out)


@functools.cache
def _tables(directory: Path) -> Tables:
    return Tables(directory)


def ask(*words: str) -> Answer:
    """vmmspec, in a terminal of 100 columns; a spec is read once."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), \
            mock.patch.dict(os.environ, {"COLUMNS": "100"}), \
            mock.patch("gen.tool.cli.Tables", _tables):
        try:
            status = run(words)
        except SystemExit as wrong_usage:
            status = int(str(wrong_usage.code))
        finally:
            gc.enable()
    return Answer(status, out.getvalue(), err.getvalue())


def patched(*patches: tuple[str, str, str]) -> Path:
    """A copy of the spec with (file, text, other text) exchanged."""
    copy = scratch() / "spec"
    shutil.copytree(SPEC, copy)
    for file, old, new in patches:
        path = copy / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise AssertionError(f"{file} has '{old}' {text.count(old)} times")
        path.write_text(text.replace(old, new), encoding="utf-8")
    return copy
