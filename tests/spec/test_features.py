# SPDX-License-Identifier: ISC
"""The handbook's chapter "Adding a CPU feature", done: its rows, in a copy of the tree.

The copy is built and run without a change to anything but spec/.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from gen.__main__ import build
from gen.errors import Errors
from gen.spec import Spec
from tests.gen.tools import ROOT, SPEC, contents, scratch

CHAPTER = re.compile(r"^## Adding a CPU feature\n(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FEATURE = re.compile(r"^### ", re.MULTILINE)

# No sanitizers: the unit tests have the same sources under them.
CFLAGS = ("-std=gnu11 -O0 -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes "
          "-pthread -D_GNU_SOURCE")


def chapter() -> str:
    found = CHAPTER.search((ROOT / "docs" / "handbook.md").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def parts(block: str) -> dict[str, str]:
    """What a block does to each file that it names."""
    found = (part.partition("\n") for part in re.split(r"^--- ", block, flags=re.MULTILINE)[1:])
    return {name: text for name, _, text in found}


def apply(changes: dict[str, str], tree: Path) -> None:
    """Change the files; what is shown of them stands there exactly once."""
    for name, text in changes.items():
        path = tree / name
        for hunk in re.split(r"^@@\n", text, flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            old = "\n" + "".join(line[1:] for line in lines if line[0] in " -")
            new = "\n" + "".join(line[1:] for line in lines if line[0] in " +")
            before = path.read_text(encoding="utf-8")
            if before.count(old) != 1:
                raise AssertionError(f"{name} has {before.count(old)} times:{old}")
            path.write_text(before.replace(old, new), encoding="utf-8")


class Features(unittest.TestCase):
    before: Path
    tree: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.before, cls.tree = scratch() / "before", scratch() / "vmm"
        for name in ("spec", "gen", "templates", "src", "tests"):
            shutil.copytree(ROOT / name, cls.before / name,
                            ignore=shutil.ignore_patterns("__pycache__", "golden"))
        shutil.copy(ROOT / "Makefile", cls.before)
        shutil.copytree(cls.before, cls.tree)
        for block in BLOCK.findall(chapter()):
            apply(parts(block), cls.tree)

    def run_in_tree(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.tree, text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout

    def test_rows_only(self) -> None:
        """Three features, and not a line outside spec/."""
        self.assertGreaterEqual(len(FEATURE.findall(chapter())), 3)
        before, after = contents(self.before), contents(self.tree)
        changed = {name for name in before.keys() | after.keys()
                   if before.get(name) != after.get(name)
                   and not name.startswith("build/") and "__pycache__" not in name}
        self.assertEqual(changed, {f"spec/{name}.yaml" for name in (
            "exit_reasons", "controls", "vmcs_fields", "vmcb_fields", "cpuid", "msrs")})

    def test_half_a_feature_is_refused(self) -> None:
        """One file's part of a block is an error without the others'."""
        tree = scratch()
        for block in BLOCK.findall(chapter()):
            for name, text in parts(block).items():
                if len(parts(block)) == 1 or name == "spec/vmcb_fields.yaml":
                    continue  # right by itself: nobody has to use it
                shutil.copytree(SPEC, tree / "spec", dirs_exist_ok=True)
                apply({name: text}, tree)
                errors = Errors()
                build(Spec(tree / "spec", errors))
                with self.subTest(alone=name, rows=text[:60]):
                    self.assertGreater(len(errors), 0)

    def test_the_driver_has_them_on_cpus_that_have_them(self) -> None:
        """The whole driver, built from the new tables, on simulated CPUs."""
        self.run_in_tree("make", "--no-print-directory", "-j2", "generate")
        self.run_in_tree("make", "--no-print-directory", "-j2", "build/unit/libvmm.a",
                         f"UNIT_CFLAGS={CFLAGS}")
        libraries = self.run_in_tree("pkg-config", "--libs", "check").split()
        self.run_in_tree(
            "gcc", *CFLAGS.split(), "-include", "tests/unit/sim/cpu.h", "-Itests/unit/sim",
            "-Itests/unit", "-Isrc/core", "-Isrc/svm", "-Isrc", "-Ibuild/include", "-Ibuild/gen",
            "-include", "tests/unit/sim/svm_cpu.h", "-include", "tests/unit/sim/vmx_cpu.h",
            "-o", "build/features", "tests/spec/features.c", "build/unit/libvmm.a", *libraries)
        said = self.run_in_tree("build/features")
        self.assertIn("100%: Checks: 9, Failures: 0, Errors: 0", said)

    def test_explain_knows_them(self) -> None:
        for thing, words in (
                (("exit", "notify"), "set where the CPU has it"),
                (("exit", "75"), "The VMCS does not hold the guest's state any more."),
                (("exit", "0xa5"), "has nothing to do but enter the guest again"),
                (("vmcs", "0x4024"), "A guest that never takes an event leaves all the same."),
                (("msr", "0x17da"), "reads the register itself, without an exit"),
                (("cpuid", "7.1.eax.22"), "policy pass"),
                (("cpuid", "0x20.0.ebx.0"), "History of the thread director")):
            with self.subTest(explain=thing):
                self.assertIn(words, self.run_in_tree(sys.executable, "-m", "gen", "explain",
                                                      *thing))

    def test_the_reference_knows_them(self) -> None:
        self.run_in_tree(sys.executable, "-m", "gen.html", "--spec", "spec", "--out",
                         "build/html")
        pages = "".join(path.read_text(encoding="utf-8")
                        for path in sorted((self.tree / "build" / "html").rglob("*.html")))
        for words in ("A guest that never takes an event leaves all the same.",
                      "Exit qualification of a notify window that ran out.",
                      "History of the thread director",
                      "Guests whose locks slow the host down are seen."):
            with self.subTest(words=words):
                self.assertIn(words, pages)


if __name__ == "__main__":
    unittest.main()
