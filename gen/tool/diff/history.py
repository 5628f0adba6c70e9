# SPDX-License-Identifier: ISC
"""The spec as it was: a revision, taken out of git."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from gen.tool.diff.facts import BadSpec, Facts, facts
from gen.tool.numbers import near
from gen.tool.tables import ToolError


def _git(directory: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(directory), *words], capture_output=True,
                              check=False)
    except FileNotFoundError:
        raise ToolError("there is no git here, and diff asks it for revisions") from None
    if done.returncode:
        raise ToolError(done.stderr.decode(errors="replace").strip().split("\n")[0])
    return done.stdout


def facts_now(spec: Path) -> Facts:
    """Of the working tree."""
    try:
        return facts(spec)
    except BadSpec as bad:
        raise ToolError(str(bad)) from None


def facts_at(spec: Path, revision: str) -> Facts:
    """Of a revision."""
    if not spec.is_dir():
        raise ToolError(f"{spec}: no such directory")
    try:
        top = Path(_git(spec, "rev-parse", "--show-toplevel").decode().strip())
    except ToolError as error:
        raise ToolError(f"{error}\nto compare, give --spec DIR in a clone of the sources") from None
    commit = _commit(top, revision)
    prefix = spec.resolve().relative_to(top.resolve()).as_posix()
    with tempfile.TemporaryDirectory(prefix="vmmspec-") as scratch:
        tree = Path(scratch)
        _extract(_git(top, "archive", "--format=tar", commit), tree, (f"{prefix}/", "gen/"))
        if not (tree / prefix).is_dir():
            raise ToolError(f"revision {revision} has no {prefix}/")
        return _read(tree, tree / prefix, revision)


def _commit(top: Path, revision: str) -> str:
    try:
        return _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options",
                    f"{revision}^{{commit}}").decode().strip()
    except ToolError:
        names = _git(top, "for-each-ref", "--format=%(refname:short)").decode().split()
        nearest = near(revision, names)
        hint = f"\nnear it: {', '.join(nearest)}" if nearest else ""
        raise ToolError(f"no revision '{revision}'{hint}") from None


def _extract(archive: bytes, tree: Path, wanted: tuple[str, ...]) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(wanted):
                data = tar.extractfile(member)
                assert data is not None
                path = tree / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.read())


def _read(tree: Path, spec: Path, revision: str) -> Facts:
    """By our models where they can read it, otherwise by those of its own time."""
    try:
        return facts(spec)
    except BadSpec:
        pass
    script = Path(__file__).with_name("facts.py")
    done = subprocess.run([sys.executable, str(script), str(spec)], capture_output=True,
                          text=True, check=False, env=dict(os.environ, PYTHONPATH=str(tree)))
    if done.returncode:
        last = (done.stderr.strip().split("\n") or [""])[-1]
        raise ToolError(f"the spec of {revision} cannot be read: {last}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]
