# SPDX-License-Identifier: ISC
"""vmm.ko has the mitigations that docs/mitigations.md says, and no others."""

from __future__ import annotations

import math
import re
import subprocess
import unittest
from pathlib import Path

from tests.module.elf import Object

ROOT = Path(__file__).parent.parent.parent
MODULE = ROOT / "build" / "module" / "vmm.ko"
TABLE = ROOT / "docs" / "mitigations.md"

QUOTED = re.compile(r"`([^`]+)`")
FEATURE = re.compile(r"^X86_(?:FEATURE|BUG)_\w+$")
SWITCHES = {"svm_enter": 3, "vmx_enter": 4}     # and the column of each
ALT_NOT = 0x8000        # in the number of a feature


def kernel_headers() -> Path:
    """Of the kernel that vmm.ko is for: its objects name them."""
    for command in (ROOT / "build" / "module" / "linux").glob(".*.o.cmd"):
        found = re.search(r"(\S+)/arch/x86/include/asm/cpufeatures\.h", command.read_text())
        if found:
            return Path(found[1])
    raise FileNotFoundError("build/module has not been built")


def sum_of_products(text: str) -> int:
    """Words of 32 bits and a bit: (11*32+18)."""
    return sum(math.prod(int(n) for n in product.split("*"))
               for product in re.sub(r"[\s()]", "", text).split("+"))


def feature_numbers() -> dict[str, int]:
    """Each CPU feature and bug that those headers know."""
    header = kernel_headers() / "arch/x86/include/asm/cpufeatures.h"
    names = sorted(set(re.findall(r"#define\s+(X86_(?:FEATURE|BUG)_\w+)", header.read_text())))
    source = "#include <asm/cpufeatures.h>\n" + "".join(f'"{n}" {n}\n' for n in names)
    text = subprocess.run(
        ["gcc", "-E", "-P", "-I", str(header.parent.parent), "-I",
         str(kernel_headers() / "include"), "-I", str(kernel_headers() / "arch/x86/include/uapi"),
         "-D__ASSEMBLY__", "-xc", "-"], input=source, text=True, capture_output=True,
        check=True).stdout
    numbers = {}
    for line in text.splitlines():
        found = re.match(r'"(\w+)" ([\d\s()*+]+)$', line)
        if found:
            numbers[found[1]] = sum_of_products(found[2])
    return numbers


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = TABLE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def features_of(cell: str) -> list[str]:
    return [name for name in QUOTED.findall(cell) if FEATURE.match(name)]


class Module:
    """What the kernel patches in vmm.ko."""

    def __init__(self) -> None:
        self.object = Object(MODULE)
        self.numbers = feature_numbers()
        self.alternatives: dict[str, set[int]] = {}
        data = self.object.section(".altinstructions").data
        places = self.object.relocs(".altinstructions")
        stride = places[2].offset - places[0].offset
        for place in places[::2]:
            section, offset = self.object.target(place)
            function = self.object.function_at(section, offset)
            at = place.offset - place.offset % stride + 8
            number = int.from_bytes(data[at:at + 2], "little") & ~ALT_NOT
            self.alternatives.setdefault(function, set()).add(number)

    def wanted(self, cell: str) -> int | None:
        """The number of the first feature in a cell that this kernel has."""
        for name in features_of(cell):
            if name in self.numbers:
                return self.numbers[name]
        return None


class WorldSwitch(unittest.TestCase):
    module: Module
    table: list[list[str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.module = Module()
        cls.table = rows("In the world switch")

    def test_there_is_a_table(self) -> None:
        self.assertGreater(len(self.table), 10)
        for row in self.table:
            self.assertEqual(len(row), 5, row)

    def test_what_a_row_says_is_there(self) -> None:
        for row in self.table:
            number = self.module.wanted(row[1])
            for switch, column in SWITCHES.items():
                if number is None or row[column] == "-":
                    continue
                with self.subTest(bug=row[0], switch=switch):
                    self.assertIn(number, self.module.alternatives[switch])

    def test_what_is_there_has_a_row(self) -> None:
        for switch, column in SWITCHES.items():
            known = {self.module.wanted(row[1]) for row in self.table if row[column] != "-"}
            self.assertEqual(self.module.alternatives[switch] - known, set(), switch)

    def test_macros_are_there(self) -> None:
        sources = "".join(path.read_text(encoding="utf-8") for path in (
            ROOT / "src/linux/host_asm.h", ROOT / "build/gen/gpr_offsets.h"))
        for switch, column in SWITCHES.items():
            code = (ROOT / f"src/{switch[:3]}/{switch}.S").read_text(encoding="utf-8")
            for row in self.table:
                for macro in QUOTED.findall(row[column]):
                    with self.subTest(macro=macro, switch=switch):
                        self.assertRegex(sources, rf"\b{macro}\b")
                        self.assertRegex(code, rf"\b{macro}\b")

    def test_verw_is_last(self) -> None:
        """Between VERW and the entry: nothing that loads a secret."""
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".noinstr.text",
                               str(MODULE)], text=True, capture_output=True, check=True).stdout
        for entry, between in (("vmrun", r""), ("vmlaunch", r"jb\s.*\n.*")):
            with self.subTest(entry=entry):
                self.assertRegex(text, rf"verw\s.*\n(?:.*:\s+{between})?.*\b{entry}\b"
                                 if between else rf"verw\s.*\n.*\b{entry}\b")


class Branches(unittest.TestCase):
    """Returns and indirect branches are such that the kernel can patch them."""

    def setUp(self) -> None:
        self.object = Object(MODULE)
        self.text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", str(MODULE)],
                                   text=True, capture_output=True, check=True).stdout

    def test_no_bare_return(self) -> None:
        self.assertEqual(re.findall(r"^.*\sretq?\s*$", self.text, re.MULTILINE), [])

    def test_no_bare_indirect_branch(self) -> None:
        """Calls through pv_ops the kernel makes direct ones, all of them."""
        bare = re.findall(r"^.*\s(?:jmp|call)q?\s+\*.*\n.*$", self.text, re.MULTILINE)
        self.assertEqual([b for b in bare if "pv_ops" not in b], [])

    def test_each_is_listed_for_the_kernel(self) -> None:
        for sites, thunk in ((".return_sites", "__x86_return_thunk"),
                             (".retpoline_sites", "__x86_indirect_thunk_")):
            # Of a section, places where an instruction begins; its operand is 1 to 3 bytes on.
            listed = {self.object.target(r) for r in self.object.relocs(sites)}
            self.assertTrue(listed)
            for index, section in enumerate(self.object.sections):
                if ".text" not in section.name or section.name.startswith(".rela"):
                    continue
                for r in self.object.relocs(section.name):
                    if r.symbol.name.startswith(thunk):
                        self.assertTrue({(index, r.offset - back) for back in (1, 2, 3)} & listed,
                                        (sites, section.name, hex(r.offset)))

    def test_both_switches_return_by_the_thunk(self) -> None:
        functions = {self.object.function_at(*self.object.target(r))
                     for r in self.object.relocs(".return_sites")}
        self.assertLessEqual(set(SWITCHES), functions)


class Around(unittest.TestCase):
    def test_the_module_needs_what_a_row_says(self) -> None:
        undefined = Object(MODULE).undefined()
        table = rows("Around it, in C")
        self.assertGreater(len(table), 8)
        exported = (kernel_headers() / "arch/x86/include/asm/nospec-branch.h").read_text()
        for row in table:
            self.assertEqual(len(row), 5, row)
            for name in QUOTED.findall(row[4]):
                if name == "x86_ibpb_exit_to_user" and name not in exported:
                    continue    # a kernel that does not know VMSCAPE
                with self.subTest(bug=row[0], needs=name):
                    self.assertIn(name, undefined)


if __name__ == "__main__":
    unittest.main()
