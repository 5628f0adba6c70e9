# SPDX-License-Identifier: ISC
"""Indexes that a guest or a caller controls are masked: the rule of src/core/nospec.h."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from tests.style import unguarded

ROOT = Path(__file__).parent.parent.parent
SOURCES = [*(ROOT / "src" / "core").glob("*.[ch]"), *(ROOT / "src" / "svm").glob("*.[ch]"),
           *(ROOT / "src" / "vmx").glob("*.[ch]"), *(ROOT / "build" / "gen").glob("*.[ch]")]
# Who must mask, by file: each has been found without.
MASKED = {
    "src/core/memory.c": ("vm->nprot", "r->size"),
    "src/core/ioctl.c": ("vm->ncpus",),
    "src/svm/svm_run.c": ("sizeof(seg)",),
    "src/vmx/vmx_decode.c": ("sizeof(segment)",),
    "build/gen/exits.h": ("sizeof(svm_kinds)", "sizeof(vmx_kinds)"),
}


class Indexes(unittest.TestCase):
    def test_no_index_is_only_checked(self) -> None:
        self.assertGreater(len(SOURCES), 50)
        for path in SOURCES:
            for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
                with self.subTest(file=path.name, line=number):
                    self.assertFalse(unguarded(line), line)

    def test_the_check_is_awake(self) -> None:
        for line in ("chunk = prot[gpa / PAGE_SIZE_2M];", "return svm_kinds[code];",
                     "return vmx_kinds[basic];", "return &v->gpr[reg_by_encoding[encoding]];"):
            self.assertTrue(unguarded(line), line)
        for line in ("chunk = prot[index_nospec(gpa / PAGE_SIZE_2M, vm->nprot)];",
                     "slot = &table[rip % SITES];", "v = table[names->vcpu % MAX];"):
            self.assertFalse(unguarded(line), line)

    def test_known_places_are_masked(self) -> None:
        for name, limits in MASKED.items():
            text = (ROOT / name).read_text(encoding="utf-8")
            for limit in limits:
                with self.subTest(file=name, limit=limit):
                    self.assertRegex(text, rf"index_nospec\([^;]*{re.escape(limit)}\)")


if __name__ == "__main__":
    unittest.main()
