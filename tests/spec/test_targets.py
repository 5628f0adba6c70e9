# SPDX-License-Identifier: ISC
"""Each target of `make help`, from a clean tree: nothing that was made goes away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import unittest
from pathlib import Path

from tests.gen.tools import ROOT, scratch

# Compiled in less time; the rules are the same.
FAST = ("-j2", "--no-print-directory", "UNIT_SANITIZE=", "UNIT_OPT=-O0")

# Each one in a clean tree.
ALONE = {
    "help": (),
    "generate": (),
    "docs": (),
    "spec-tool": (),
    "vmctl": (),
    "module": (),
    "lint": ("MODULE_MAKE=true",),  # sparse has its turn below
    "golden": (),
    "install": ("DESTDIR=build/installed",),
}
# Targets that take longer than their parts, or need an emulator: the parts that build something.
PARTS = {
    "check-gen": "build/.generated",
    "check-unit": "unit-programs",
    "check-spec": "spec-unit",
    "mutate": "spec-unit",
    "check-svm": "system-ready",
    "check-vmx": "system-ready",
    "check-vmctl": "system-ready",
    "check-mce": "system-ready",
    "check-module": "system-ready",
    "check-crash": "system-ready",
    "check-crash-intel": "system-ready",
    "bench": "bench-ready",
    "bench-check": "bench-ready",
    "bench-record": "bench-ready",
}
# What these do is what the others do, or is no building.
LEFT_OUT = {
    "check",  # makes the targets above
    "demo",  # module and vmctl
    "deps",  # installs packages
    "clean",  # is there to remove things
    "debug-kernel",  # a kernel of its own, outside build/
    "check-debug",  # system-ready, on that kernel
}
# Files that make and Kbuild have for themselves while they work, or that say how they worked.
TEMPORARY = (".tmp", ".d", ".cmd", ".mod", ".order", ".symvers", ".log")


def sources() -> list[str]:
    """The tree as git has it, with what has not been committed."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                          capture_output=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def clean_tree() -> Path:
    """A copy of the tree in which nothing has been built; `make lint` asks git for its files."""
    tree = scratch() / "vmm"
    for name in sources():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    return tree


def built(tree: Path) -> set[str]:
    """What a target has made, but for what is temporary."""
    return {str(path.relative_to(tree)) for path in (tree / "build").rglob("*")
            if path.suffix not in TEMPORARY and not path.name.startswith(".")}


class Targets(unittest.TestCase):
    def make(self, tree: Path, target: str, *variables: str) -> None:
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
        done = subprocess.run(["make", *FAST, target, *variables], cwd=tree,
                              env=environment, text=True, errors="replace", check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        # make says so when it removes what it takes for intermediate.
        removed = [line for line in done.stdout.splitlines() if line.startswith("rm ")]
        self.assertEqual(removed, [])

    def check_outputs(self, tree: Path) -> None:
        """The generator's outputs are there, and a client can be compiled with them."""
        stamp = tree / "build" / ".generated"
        if not stamp.exists():
            return
        missing = [name for name in stamp.read_text(encoding="utf-8").split()
                   if not (tree / name).exists()]
        self.assertEqual(missing, [])
        for example in sorted((tree / "docs" / "examples").glob("*.c")):
            done = subprocess.run(
                ["cc", "-Wall", "-Wextra", "-Werror", "-Ibuild/include", "-o", os.devnull,
                 str(example)],
                cwd=tree, text=True, capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_target_is_here(self) -> None:
        done = subprocess.run(["make", "-s", "help"], cwd=ROOT, text=True, capture_output=True,
                              check=True)
        self.assertEqual({line.split()[0] for line in done.stdout.splitlines()},
                         {*ALONE, *PARTS, *LEFT_OUT})

    def test_alone(self) -> None:
        for target, variables in ALONE.items():
            if target == "install":
                continue  # begins the next test
            with self.subTest(target=target):
                tree = clean_tree()
                self.make(tree, target, *variables)
                self.check_outputs(tree)
                shutil.rmtree(tree)

    def test_one_after_the_other(self) -> None:
        tree = clean_tree()
        before: set[str] = set()
        for target in dict.fromkeys(("install", *PARTS.values(), *ALONE)):
            variables = ALONE[target] if target == "install" else ()
            with self.subTest(target=target):
                self.make(tree, target, *variables)
                self.check_outputs(tree)
                after = built(tree)
                self.assertEqual(sorted(before - after), [])
                before |= after


if __name__ == "__main__":
    unittest.main()
