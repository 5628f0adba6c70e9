# SPDX-License-Identifier: ISC
"""build/python/vmm.py: the same layout as the header's, typed, and errors with names."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import subprocess
import sys
import unittest
from types import ModuleType
from typing import Any

from tests.gen.tools import ROOT, abi, generated

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def bindings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vmm", generated() / "python" / "vmm.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Layout(unittest.TestCase):
    def test_offsets_and_sizes(self) -> None:
        vmm = bindings()
        seen = 0
        for row in abi("layout.csv"):
            if row["struct"] == "vm_exit_union" or row["member"] == "(anonymous union)":
                continue  # its parts are members of vm_exit
            struct = getattr(vmm, row["struct"])
            with self.subTest(struct=row["struct"], member=row["member"]):
                if row["member"] == "(total)":
                    align = int(row["count"].removeprefix("align "))
                    self.assertEqual((ctypes.sizeof(struct), ctypes.alignment(struct)),
                                     (int(row["size"]), align))
                else:
                    member = getattr(struct, row["member"])
                    self.assertEqual((member.offset, member.size),
                                     (int(row["offset"]), int(row["size"])))
            seen += 1
        self.assertGreater(seen, 80)

    def test_union_of_vm_exit(self) -> None:
        vm_exit = bindings().vm_exit
        self.assertEqual((vm_exit.vei.offset, vm_exit.vee.offset), (0, 0))
        exit_ = vm_exit()
        exit_.vei.vei_size, exit_.vei.vei_dir = 4, 1
        self.assertEqual((exit_.vee.vee_fault_type, exit_.vee.vee_insn_info), (4, 1))

    def test_the_address_of_a_fault(self) -> None:
        vmm = bindings()
        exit_ = vmm.vm_exit(vex_gpa_low=0x89ABCDEF, vex_gpa_high=0x12)
        self.assertEqual(vmm.vm_exit_gpa(exit_), 0x1289ABCDEF)

    def test_signs(self) -> None:
        """Numbers are unsigned but for int and pid_t."""
        vmm = bindings()
        for row in abi("layout.csv"):
            if row["count"] == "1" and row["type"] in ("u8", "u16", "u32", "u64", "int", "pid_t",
                                                       "size_t", "paddr_t", "vaddr_t"):
                value: Any = getattr(vmm, row["struct"])()
                setattr(value, row["member"], -1)
                with self.subTest(struct=row["struct"], member=row["member"]):
                    self.assertEqual(getattr(value, row["member"]) < 0,
                                     row["type"] in ("int", "pid_t"))


class Requests(unittest.TestCase):
    def test_numbers(self) -> None:
        vmm = bindings()
        table = abi("ioctls.csv")
        self.assertEqual(len(table), 11)
        for row in table:
            self.assertEqual(getattr(vmm, row["ioctl"]), int(row["linux_cmd"], 0))

    def test_errors_have_names_and_reasons(self) -> None:
        """/dev/null knows none of the requests."""
        vmm = bindings()
        fd = os.open("/dev/null", os.O_RDWR)
        try:
            with self.assertRaises(OSError) as caught:
                vmm.create(fd, vmm.vm_create_params())
        finally:
            os.close(fd)
        self.assertEqual(caught.exception.errno, errno.ENOTTY)
        self.assertIn("VMM_IOC_CREATE: ENOTTY: ", str(caught.exception))
        self.assertEqual([note[:33] for note in caught.exception.__notes__],
                         ["vmm(4): There is no such request,"])

    def test_each_request_has_a_function(self) -> None:
        vmm = bindings()
        with open("/dev/null", "rb") as null:
            for row in abi("ioctls.csv"):
                name = row["ioctl"].removeprefix("VMM_IOC_").lower()
                with self.assertRaisesRegex(OSError, row["ioctl"] + ": ENOTTY"):
                    getattr(vmm, name)(null.fileno(), getattr(vmm, row["struct"])())


class Types(unittest.TestCase):
    def test_bindings_and_examples_are_typed(self) -> None:
        self.assertTrue(EXAMPLES)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--no-incremental",
             str(generated() / "python" / "vmm.py"), *map(str, EXAMPLES),
             str(ROOT / "tests" / "system" / "bindings.py")],
            cwd=ROOT, text=True, capture_output=True, check=False,
            env=dict(os.environ, MYPYPATH=str(generated() / "python")))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


if __name__ == "__main__":
    unittest.main()
