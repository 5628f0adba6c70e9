# SPDX-License-Identifier: ISC
"""vmmspec explain: the words of answers, and of refusals, byte for byte."""

from __future__ import annotations

import json
import re
import shlex
import unittest

from tests.gen.tools import ROOT
from tests.spec.tool import ask, patched

EPT_VIOLATION = """\
EPT_VIOLATION: Intel exit reason 48 (0x30), exit stage2_fault
    The second stage does not allow the access; the driver brings the page in or asks the client.

  on Intel      Intel exit reason 48 (0x30): VMX_EXIT_EPT_VIOLATION
  on AMD        AMD exit code 0x400: SVM_VMEXIT_NPF
  when          On Intel: proc2.ept (bit 1 of VMCS field proc2_controls, 0x401e) is always set; a
                  CPU that cannot is refused. Guest memory is what the second stage maps.
                On AMD: np_control.nested_paging (bit 0 of VMCB field np_control, offset 0x090) is
                  always set. Guest memory is what the second stage maps.
  the driver    action user: leaves the decision to the client; a page that the client has mapped is
                  brought in without the client.
                Done by user_fault() in src/core. It may sleep, outside the guest's loop.
  RIP           stays where it was.
  the client    VMM_IOC_RUN returns 0 with vrp_exit_reason = 0x30, VMX_EXIT_EPT_VIOLATION, and with
                  all registers in vrp_exit->vrs.
"""
QUALIFICATION = """\
  exit qualification (VMCS field 0x6400)
                16  ASYNCHRONOUS  Not by an instruction or an event.
                15  VERIFICATION  Guest-paging verification refused it.
"""
MSR = """\
debugctl: MSR 0x1d9
    Debug control

  RDMSR         gives 0x0.
  WRMSR         does nothing.
  reason        branch recording and stepping by branch stay off; kernels read and write it unasked
                  when a debugger steps
  manual        SDM 4 2.1; APM 2 13.1.1.6
  spec          spec/msrs.yaml
"""
NO_MSR = """\
MSR 0x12345678 has no row

  RDMSR         raises #GP(0) in the guest.
  WRMSR         raises #GP(0) in the guest.
  spec          spec/msrs.yaml: a row would say otherwise.
"""
AVX2 = """\
avx2: CPUID 7.0.ebx.5
    AVX2.

  the guest     policy pass: the guest sees what the host has.
  needs         XCR0 component avx: hidden on a host without it.
  manual        SDM 2A CPUID 07H; APM 3 E.3.6
  spec          spec/cpuid.yaml
"""
EXITCODE = """\
exitcode: VMCB offset 0x070, 64 bits
    Why the guest left (exit_reasons.yaml).

  area          control; an exit writes it.
  values        vmmspec explain exit svm CODE
  manual        APM 2 C
  spec          spec/vmcb_fields.yaml
"""
SMEP = """\
CR4.SMEP: bit 20
    The supervisor does not run user pages.

  the guest     the guest's own if its CPUID shows smep, otherwise #GP.
  manual        APM 2 3.1.3; SDM 3A 2.5
  spec          spec/arch.yaml
"""
LMSW = """\
instruction LMSW
    Write the low word of CR0.

  forms         0F 01 /6  rm any, size word
  decoded at    exit cr_access (vmmspec explain exit cr_access)
  manual        APM 3 LMSW; SDM 2A LMSW
  spec          spec/insns.yaml
"""


class Explain(unittest.TestCase):
    maxDiff = None

    def says(self, question: str, expected: str) -> None:
        answer = ask("explain", *question.split())
        self.assertEqual((answer.status, answer.err), (0, ""))
        self.assertEqual(answer.placeless, expected)

    def test_msr(self) -> None:
        for question in ("msr 0x1d9", "msr 473", "msr debugctl", "msr IA32_DEBUGCTL", "msr 1d9h"):
            self.says(question, MSR)
        self.says("msr 0x12345678", NO_MSR)

    def test_cpuid(self) -> None:
        for question in ("cpuid 7.0.ebx.5", "cpuid avx2", "cpuid 0x7.0.EBX.5"):
            self.says(question, AVX2)

    def test_cpuid_without_a_row(self) -> None:
        self.assertIn("CPUID 0x21 has no row", ask("explain", "cpuid", "0x21").out)
        self.assertIn("always sees 0", ask("explain", "cpuid", "1.0.ecx.16").out)

    def test_cpuid_register(self) -> None:
        out = ask("explain", "cpuid", "7.0.ebx").out
        self.assertIn("avx2", out)
        self.assertNotIn("  ECX ", out)

    def test_vmcb_by_any_byte(self) -> None:
        for question in ("vmcb 0x70", "vmcb 0x77", "vmcb exitcode"):
            self.says(question, EXITCODE)

    def test_register_bit(self) -> None:
        for question in ("register cr4.smep", "register CR4_SMEP", "register CR4.SMEP"):
            self.says(question, SMEP)

    def test_insn(self) -> None:
        self.says("insn lmsw", LMSW)

    def test_exit(self) -> None:
        for question in ("exit vmx 48", "exit intel 0x30", "EPT_VIOLATION",
                         "exit VMX_EXIT_EPT_VIOLATION"):
            out = ask("explain", *question.split()).out
            self.assertEqual(out[:len(EPT_VIOLATION)], EPT_VIOLATION)
            self.assertIn(QUALIFICATION, out)
            self.assertIn("VEE_FAULT_MMIO_ASSIST", out)
            self.assertIn("SDM 3C 29.3.3", out)

    def test_exit_number_of_both_vendors(self) -> None:
        out = ask("explain", "exit", "48").out
        self.assertLess(out.index("EPT_VIOLATION: Intel"), out.index("DR0_WRITE: AMD"))
        self.assertNotIn("EPT_VIOLATION", ask("explain", "exit", "svm", "0x30").out)

    def test_exit_that_no_control_turns_on(self) -> None:
        out = ask("explain", "exit", "cpuid").out
        self.assertIn("On Intel: always; no control turns it on.", out)
        self.assertIn("intercept_misc1.cpuid (bit 18 of VMCB field intercept_misc1", out)

    def test_exit_that_nobody_asks_for(self) -> None:
        out = ask("explain", "exit", "notify").out
        self.assertIn("proc2.instruction_timeout", out)
        self.assertIn("is never set.", " ".join(out.split()))
        self.assertIn("VMM_IOC_RUN fails with EINVAL", out)

    def test_exit_without_a_control(self) -> None:
        out = ask("explain", "exit", "ept_misconfiguration").out
        self.assertIn("On Intel: no control of ours asks for it; the manual says what brings it.\n",
                      out)

    def test_cpuid_leaf(self) -> None:
        self.assertRegex(ask("explain", "cpuid", "7.0").out,
                         r"\n +2 +sgx +hidden +SGX \(enclave pages belong to the host\)\n")

    def test_vmcs_halves(self) -> None:
        self.assertEqual(ask("explain", "vmcs", "0x2401").out, ask("explain", "vmcs", "0x2400").out)
        self.assertEqual(ask("explain", "vmcs", "0x4003").status, 1)

    def test_control_by_word_and_bit(self) -> None:
        self.assertEqual(ask("explain", "control", "proc2.1").out,
                         ask("explain", "control", "ept").out)
        self.assertEqual(ask("explain", "control", "proc2.ept").out,
                         ask("explain", "control", "nested_paging").out)

    def test_ioctl(self) -> None:
        out = ask("explain", "ioctl", "VMM_IOC_RUN").out
        self.assertEqual(out, ask("explain", "ioctl", "run").out)
        self.assertEqual(out, ask("explain", "ioctl", "2").out)
        self.assertTrue(out.startswith("VMM_IOC_RUN: request 0xc0205602, number 2\n"))
        for words in ("struct vm_run_params, 32 bytes", "EINTR", "vmm_ioctl_run()"):
            self.assertIn(words, out)

    def test_check(self) -> None:
        out = ask("explain", "check", "svm", "event_type").out
        self.assertIn("requires      eventinj.TYPE in", out)
        self.assertIn("APM 2 15.20", out)

    def test_spec_without_checks(self) -> None:
        copy = patched()
        (copy / "entry_checks.yaml").unlink()
        self.assertEqual(ask("--spec", str(copy), "explain", "hlt").status, 0)
        answer = ask("--spec", str(copy), "explain", "check")
        self.assertEqual((answer.status, answer.err),
                         (1, "vmmspec: the spec has no entry checks\n"))

    def test_width_of_the_terminal(self) -> None:
        for line in ask("explain", "exit", "48").out.split("\n"):
            self.assertLessEqual(len(line), 100)


class Search(unittest.TestCase):
    def test_one_hit_is_explained(self) -> None:
        self.assertTrue(ask("explain", "waitpkg").out.startswith("waitpkg: CPUID 7.0.ecx.5\n"))

    def test_several_are_listed(self) -> None:
        out = ask("explain", "efer").out.split("\n")
        self.assertEqual([line.split("  ")[0] for line in out if line],
                         ["vmcb efer", "msr efer", "register efer"])

    def test_parts_of_names_and_then_of_words(self) -> None:
        self.assertTrue(ask("explain", "misconfig").out.startswith("exit ept_misconfiguration\n"))
        self.assertIn("msr tsc ", ask("explain", "time-stamp").out)

    def test_numbers(self) -> None:
        out = ask("explain", "0x4002").out
        self.assertTrue(out.startswith("proc_controls: VMCS field 0x4002"))

    def test_topics_are_listed(self) -> None:
        lines = ask("explain", "exception").out.rstrip("\n").split("\n")
        self.assertEqual(lines[0], "exception DE   Divide error.")
        self.assertEqual(len(lines), 24)


class Refusals(unittest.TestCase):
    def refuses(self, words: str, expected: str, status: int = 1) -> None:
        answer = ask(*shlex.split(words))
        self.assertEqual((answer.status, answer.out, answer.err), (status, "", expected))

    def test_near_misses(self) -> None:
        self.refuses("explain exit EPT_VIOLATOIN", "vmmspec: no exit 'EPT_VIOLATOIN'\n"
                     "vmmspec: near it: exit EPT_VIOLATION\n")
        self.refuses("explain msr debugclt", "vmmspec: no msr 'debugclt'\n"
                     "vmmspec: near it: msr debugctl\n")
        self.refuses("explain ioctl VMM_IOC_RUM", "vmmspec: no ioctl 'VMM_IOC_RUM'\n"
                     "vmmspec: near it: ioctl VMM_IOC_RUN, ioctl VMM_IOC_TERM, "
                     "ioctl VMM_IOC_INTR\n")

    def test_nothing_near(self) -> None:
        self.refuses("explain exit 9999", "vmmspec: no exit '9999'\n"
                     "vmmspec: examples: 48, svm 0x400, EPT_VIOLATION; all of them: "
                     "vmmspec explain exit\n")
        self.refuses("explain exit svm EPT_VIOLATOIN", "vmmspec: no exit 'EPT_VIOLATOIN' of svm\n"
                     "vmmspec: near it: exit EPT_VIOLATION\n")
        self.refuses("explain qqqqqqq", "vmmspec: no row of any table for 'qqqqqqq'\n")

    def test_near_misses_of_all_tables(self) -> None:
        self.refuses("explain pagging_verification",
                     "vmmspec: no row of any table for 'pagging_verification'\n"
                     "vmmspec: near it: guest_paging_verification\n")

    def test_wrong_usage(self) -> None:
        usage = "usage: vmmspec [-h] [--spec DIR] [--json] COMMAND ...\n"
        self.refuses("explian exit", usage + "vmmspec: error: no 'explian'; near it: explain\n", 2)
        self.refuses("", usage + "vmmspec: error: the following arguments are required: "
                     "COMMAND\n", 2)

    def test_a_spec_that_is_wrong(self) -> None:
        copy = patched(("msrs.yaml", "msr: debugctl,", "msr: debugctl, colour: red,"))
        answer = ask("--spec", str(copy), "explain", "msr", "0x1d9")
        self.assertEqual((answer.status, answer.out), (1, ""))
        self.assertRegex(answer.err, r"vmmspec: spec/msrs.yaml:\d+: .*unknown key 'colour'")

    def test_no_spec_there(self) -> None:
        answer = ask("--spec", "nowhere", "explain", "msr", "0x1d9")
        self.assertEqual(answer.status, 1)
        self.assertIn("the file is missing", answer.err)


class Json(unittest.TestCase):
    def test_articles(self) -> None:
        for words in (("--json", "explain", "exit", "48"), ("explain", "--json", "exit", "48"),
                      ("explain", "exit", "48", "--json")):
            found = json.loads(ask(*words).out)
            self.assertEqual([item["name"] for item in found], ["stage2_fault", "mov_dr"])
            bits = found[0]["parts"]["exit qualification (VMCS field 0x6400)"]
            self.assertIn({"bits": "1", "name": "W", "meaning": "A write."}, bits)

    def test_lists(self) -> None:
        found = json.loads(ask("--json", "explain", "efer").out)
        self.assertIn({"topic": "register", "name": "efer", "doc": "Long mode and friends"}, found)


class Documents(unittest.TestCase):
    """What the documents say one can type, one can."""

    def test_examples(self) -> None:
        seen = 0
        for name in ("README.md", "docs/handbook.md", "docs/vmmspec.1"):
            text = (ROOT / name).read_text(encoding="utf-8")
            for line in re.findall(r"^(?:\$|   ) ?(?:build/)?vmmspec (.+)$", text, re.M):
                words = shlex.split(line, comments=True)
                if words[0] == "diff" or "dump.bin" in words:
                    continue
                with self.subTest(document=name, line=line):
                    answer = ask(*words)
                    self.assertEqual((answer.status, answer.err), (0, ""))
                seen += 1
        self.assertGreater(seen, 8)

    def test_suggested_commands(self) -> None:
        """Those in answers too."""
        seen = set()
        for question in ("exit 48", "exit svm 0x7b", "exit msr", "vmcs exit_qualification",
                         "vmcb exitinfo1", "register cr0", "control proc2", "insn rdmsr"):
            text = " ".join(ask("explain", *question.split()).out.split())
            seen |= set(re.findall(r"vmmspec (explain \w+ [a-z0-9_]+)", text))
        self.assertGreater(len(seen), 8)
        for words in sorted(seen):
            with self.subTest(words=words):
                self.assertEqual(ask(*words.split()).status, 0)


if __name__ == "__main__":
    unittest.main()
