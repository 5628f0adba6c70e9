# SPDX-License-Identifier: ISC
"""vmm.ko calls what its kernel exports to any module, and does without the rest.

src/linux/Kbuild looks it up, and compat.h's users have another way. A slip there would build
as well, and nobody would notice.
"""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from tests.module.elf import Object

ROOT = Path(__file__).parent.parent.parent
MODULE = ROOT / "build" / "module" / "vmm.ko"
KBUILD = ROOT / "src" / "linux" / "Kbuild"


def exported() -> set[str]:
    """The symbols of the kernel that vmm.ko is for, without those for some modules only."""
    release = re.search(rb"vermagic=(\S+)", Object(MODULE).section(".modinfo").data)
    assert release is not None
    symbols = Path("/lib/modules") / release[1].decode() / "build" / "Module.symvers"
    rows = (line.split("\t") for line in symbols.read_text().splitlines())
    return {row[1] for row in rows if not any(row[4:])}


def wanted() -> list[str]:
    """What Kbuild looks for."""
    found = re.search(r"^optional := ((?:.*\\\n)*.*)$", KBUILD.read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("\\", " ").split()


class Exports(unittest.TestCase):
    """Of each symbol that Kbuild looks for."""

    def test_what_is_exported_is_used(self) -> None:
        """And nothing else, or the module would not load."""
        used = Object(MODULE).undefined()
        for name in wanted():
            with self.subTest(name):
                self.assertEqual(name in used, name in exported())

    def test_each_is_a_choice(self) -> None:
        """The sources ask for each by name, and for no other."""
        asked = {name for path in (ROOT / "src" / "linux").glob("*.[ch]")
                 for name in re.findall(r"\bCOMPAT_EXPORTS_([a-z]\w*)", path.read_text())}
        self.assertEqual(asked - {"symbol"}, set(wanted()))
