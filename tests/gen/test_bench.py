# SPDX-License-Identifier: ISC
"""The benchmark's own sums: traces, profiles, tables and the check against what was recorded."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from bench import check, report
from bench.profile import EXPENSIVE, Round, Symbols, read_trace
from bench.results import Boot, Measured
from bench.trace_bochs import convert


def kinds(text: str) -> list[str]:
    return [kind for kind, look in EXPENSIVE.items() if look.match(text)]


def bochs(number: int, address: str, text: str) -> str:
    return f"(0).[{number}] [0x00000000ffff] 0010:{address} (unk. ctxt): {text}     ; 90"


class Files(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path


class Traces(Files):
    def test_both_disassemblers_are_understood(self) -> None:
        for text, kind in (
                ("vmread rax, rcx", "VMREAD"), ("vmwrite rcx, rax", "VMWRITE"),
                ("rdmsr", "RDMSR"), ("wrmsr", "WRMSR"), ("xsaves64 (%rdi)", "XSAVE/XRSTOR"),
                ("invvpid rax, dqword ptr [rsp]", "INVEPT/INVVPID"),
                ("vmload", "VMLOAD/VMSAVE"), ("movq %rax, %cr0", "CR write"),
                ("mov cr4, rax", "CR write"), ("movq %dr7, %rax", "DR access"),
                ("mov rax, dr7", "DR access"), ("cli", "IRQ on/off"), ("popfq", "IRQ on/off"),
                ("lock incl (%rdi)", "locked"), ("xchg rax, qword ptr [rbx]", "locked")):
            with self.subTest(text=text):
                self.assertEqual(kinds(text), [kind])
        for text in ("movq %cr0, %rax", "mov rax, cr0", "cld", "xchg ax, ax", "stosb"):
            with self.subTest(text=text):
                self.assertEqual(kinds(text), [])

    def test_rounds_are_by_function(self) -> None:
        symbols = self.write("symbols", "0000000000400000 T main\n"
                             "ffffffff81000000 T entry\nffffffffc0000000 t run\t[vmm]\n")
        trace = self.write("trace", "80000 cpuid\nffffffffc0000004 cli\nffffffffc0000008 nop\n"
                           "ffffffff81000010 sti\nend\n400010 nop\n80000 sti\nend\n")
        first, second = read_trace(trace, Symbols(symbols))
        self.assertEqual(first.instructions, 4)
        self.assertEqual(first.functions, {"(guest)": 1, "run [vmm]": 2, "entry": 1})
        self.assertEqual(first.expensive, {"IRQ on/off": 2})
        self.assertEqual(second.functions, {"main [user]": 1, "(guest)": 1})
        self.assertEqual(second.expensive, {})

    def test_bochs_is_converted(self) -> None:
        lines = [bochs(1, "10", "nop"), "Tracing enabled for CPU0", bochs(5, "ff10", "hlt"),
                 "CPU 0: HALTED", bochs(900, "ff11", "mov rax, rbx"), bochs(902, "ff14", "nop"),
                 bochs(903, "ff15", "xchg bx, bx"), "Tracing disabled for CPU0",
                 bochs(950, "20", "nop")]
        self.assertEqual(list(convert(lines)), ["ff10 hlt", "ff11 mov rax, rbx", "ff14 nop", "end"])

    def test_what_bochs_leaves_out_is_noticed(self) -> None:
        lines = ["Tracing enabled for CPU0", bochs(5, "ff10", "nop"), bochs(8, "ff11", "nop")]
        with self.assertRaisesRegex(SystemExit, "goes from 5 to 8"):
            list(convert(lines))


class Tables(unittest.TestCase):
    def test_costs_ratio_and_floor(self) -> None:
        boot = Boot([Measured("world switch", "floor", 10, 650),
                     Measured("CPUID", "KVM", 10, 10004), Measured("CPUID", "vmm", 10, 2506),
                     Measured("CPUID @8", "vmm", 10, 2600)])
        self.assertEqual(report.cost_table(boot)[2:], ["| CPUID | 1,000 | 251 | 0.25 | 65 |"])
        self.assertEqual(report.scale_table(boot)[2:], ["| CPUID | vmm | 260 |"])

    def test_small_functions_are_one(self) -> None:
        done = Round(1000)
        done.functions.update({"large": 990, "small": 6, "smaller": 4})
        self.assertEqual(report.profile_text(done), "large 990, others 10")


class Check(Files):
    def run_check(self, total: int) -> tuple[int, str]:
        recorded = self.write("recorded", json.dumps(
            {"amd": {"off": {"operations": {"OUT": {"vmm": {"instructions": 1000}}}}}}))
        (self.directory / "check").mkdir()
        if total:
            self.write("check/results", f"OUT\tvmm\t10\t{total}\nend ok\n")
        arguments = ["check", "--recorded", str(recorded), "--out", str(self.directory / "counts"),
                     f"amd:{self.directory}/check"]
        said = io.StringIO()
        with mock.patch("sys.argv", arguments), contextlib.redirect_stdout(said):
            return check.main(), said.getvalue()

    def test_five_percent_are_allowed(self) -> None:
        self.assertEqual(self.run_check(10520), (0, "1 passed, 0 failed\n"))

    def test_more_is_a_failure(self) -> None:
        self.assertEqual(self.run_check(10530), (
            1, "FAILED amd: OUT: 1053 instructions, 1000 before\n0 passed, 1 failed\n"))

    def test_nothing_is_a_failure(self) -> None:
        self.assertEqual(self.run_check(0), (1, "FAILED amd: nothing was measured\n"
                                             "0 passed, 1 failed\n"))


if __name__ == "__main__":
    unittest.main()
