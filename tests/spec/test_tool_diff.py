# SPDX-License-Identifier: ISC
"""vmmspec diff: a change of the spec, in words."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import unittest
from pathlib import Path

from gen.tool.diff import text
from gen.tool.diff.changes import Changes, compare
from gen.tool.diff.facts import Facts, facts
from tests.gen.tools import ROOT, SPEC, scratch
from tests.spec.tool import ask, patched


@functools.cache
def today() -> Facts:
    return facts(_quick())


def _quick(*patches: tuple[str, str, str]) -> Path:
    """A patched spec without entry checks, which take as long to prove as all else to read."""
    copy = patched(*patches)
    (copy / "entry_checks.yaml").unlink()
    return copy


def change(*patches: tuple[str, str, str]) -> Changes:
    """From the spec to one with these patches."""
    return compare(today(), facts(_quick(*patches)))


class Sentences(unittest.TestCase):
    maxDiff = None

    def says(self, expected: str, *patches: tuple[str, str, str]) -> None:
        self.assertEqual(text(change(*patches)), expected)

    def undone(self, expected: str, *patches: tuple[str, str, str]) -> None:
        """The same change the other way round."""
        self.assertEqual(text(compare(facts(_quick(*patches)), today())), expected)

    def test_nothing(self) -> None:
        self.says("the specs say the same")

    def test_words_only(self) -> None:
        self.says("1 row says the same in other words",
                  ("cpuid.yaml", "doc: CMPXCHG16B}", "doc: CMPXCHG of 16 bytes}"))

    def test_cpuid(self) -> None:
        passed = "{bit: 13, name: cx16, policy: pass, doc: CMPXCHG16B}"
        hidden = '{bit: 13, name: cx16, policy: hidden, reason: a test, doc: CMPXCHG16B}'
        name = "CPUID feature cx16 (0x1.ecx.13)"
        self.says(f"what guests see\n    guests no longer see {name}",
                  ("cpuid.yaml", passed, hidden))
        self.undone(f"what guests see\n    guests now see {name} as the host has it",
                    ("cpuid.yaml", passed, hidden))
        self.says(f"what guests see\n    guests see {name} as 0x1, not as the host has it",
                  ("cpuid.yaml", passed, passed.replace("pass", "set")))
        self.undone(f"what guests see\n    guests now see {name} as the host has it",
                    ("cpuid.yaml", f"  - {passed}\n", ""))
        self.says("what guests see\n    CPUID 0x1.ecx.13 is called cx128 instead of cx16",
                  ("cpuid.yaml", passed, passed.replace("cx16", "cx128")))

    def test_msr(self) -> None:
        row = ("- {msr: platform_info, index: 0xce, read: {constant: 0}, write: fault, "
               "vendors: [intel], ")
        name = "MSR 0xce (platform_info)"
        self.says(f"what guests see\n    {name}: reads constant 0x0 -> fault",
                  ("msrs.yaml", row, row.replace("{constant: 0}", "fault")))
        self.says(f"what guests see\n    {name}: writes fault -> ignore\n"
                  f"    {name}: vendors intel -> amd",
                  ("msrs.yaml", row, row.replace("write: fault", "write: ignore")
                   .replace("[intel]", "[amd]")))

    def test_msr_row_gone(self) -> None:
        line = next(line for line in (SPEC / "msrs.yaml").read_text().split("\n")
                    if "msr: fsb_freq," in line)
        self.says("what guests see\n    MSR 0xcd (fsb_freq): row removed\n"
                  "    MSR 0xcd (fsb_freq): reads constant 0x0 -> fault",
                  ("msrs.yaml", line + "\n", ""))
        self.undone("what guests see\n    MSR 0xcd (fsb_freq): row added\n"
                    "    MSR 0xcd (fsb_freq): reads fault -> constant 0x0",
                    ("msrs.yaml", line + "\n", ""))

    def test_exit(self) -> None:
        row = "    vmx: {reason: 11, unconditional: true}\n    action: inject\n    vector: UD\n"
        self.says("exits\n    exit getsec: action inject #UD -> inject #GP",
                  ("exit_reasons.yaml", row, row.replace("UD", "GP")))
        self.says("exits\n    exit getsec: action inject #UD -> emulate skip\n"
                  "    exit getsec: rip keep -> advance\n"
                  "    exit getsec: insns none -> INSN_CPUID",
                  ("exit_reasons.yaml", row + "    rip: keep\n",
                   "    vmx: {reason: 11, unconditional: true}\n    action: emulate\n"
                   "    handler: skip\n    rip: advance\n    insns: [cpuid]\n"))
        cpuid = "    action: emulate\n    handler: cpuid\n"
        self.says("exits\n    exit cpuid: action emulate cpuid -> emulate msr",
                  ("exit_reasons.yaml", cpuid, cpuid.replace("handler: cpuid", "handler: msr")))

    def test_exit_number(self) -> None:
        self.says("interface\n    constant VMX_EXIT_RDSEED: 0x3d -> 0x52: INTERFACE BREAK\n"
                  "exits\n    exit rdseed: Intel reasons 0x3d -> 0x52",
                  ("exit_reasons.yaml", "vmx: {reason: 61}", "vmx: {reason: 82}"))

    def test_exit_layout(self) -> None:
        self.says("exits\n    exit stage2_fault: what the CPU reports with it is described "
                  "differently", ("exit_reasons.yaml", "name: NPF, info1: npf", "name: NPF"))

    def test_control(self) -> None:
        vpid = "{control: vpid, vmx: {word: proc2, bits: 5}, policy: wanted"
        self.says("what is asked of the CPU\n    control proc2.vpid (Intel): wanted -> required, "
                  "now always set; CPUs without it are refused",
                  ("controls.yaml", vpid, vpid.replace("wanted", "required")))

    def test_register_bit(self) -> None:
        self.says("what guests see\n    register bit CR4.PCE: guest free -> refused",
                  ("arch.yaml", "name: PCE, guest: free", "name: PCE, guest: refused"))

    def test_struct_grows(self) -> None:
        old = "{at: 26, name: vrp_irqready, type: u8, out: true"
        changes = change(("ioctls.yaml", "  - name: vm_run_params\n    size: 32\n",
                          "  - name: vm_run_params\n    size: 40\n"),
                         ("ioctls.yaml", f"      - {old}",
                          f"      - {{at: 32, name: vrp_extra, type: u64, doc: A test.}}\n"
                          f"      - {old.replace('at: 26', 'at: 40')}"),
                         ("ioctls.yaml", "    size: 40\n", "    size: 48\n"))
        self.assertEqual(text(changes), "interface\n"
                         "    struct vm_run_params grew, 32 -> 48 bytes: INTERFACE BREAK\n"
                         "    struct vm_run_params has a new member vrp_extra at offset 32\n"
                         "    vm_run_params.vrp_irqready moved, offset 26 -> 40: INTERFACE BREAK")
        self.assertTrue(changes.breaks)

    def test_member(self) -> None:
        self.says("interface\n    vm_exit_inout.vei_data is int instead of uint32_t",
                  ("ioctls.yaml", "name: vei_data, type: u32", "name: vei_data, type: int"))
        self.says("interface\n"
                  "    struct vm_exit_inout has a new member vei_value at offset 8\n"
                  "    struct vm_exit_inout lost its member vei_data: INTERFACE BREAK",
                  ("ioctls.yaml", "name: vei_data, type", "name: vei_value, type"))

    def test_constants(self) -> None:
        self.says("interface\n    constant VMM_MAX_IRQ: 0xff -> 0xfe: INTERFACE BREAK",
                  ("ioctls.yaml", "{name: VMM_MAX_IRQ, value: 0xff", "{name: VMM_MAX_IRQ, "
                   "value: 0xfe"))
        line = "  - {name: VMM_PCI_IO_BAR_SIZE, value: 0x1000, doc: I/O ports one PCI device " \
               "takes.}\n"
        self.says("interface\n    constant VMM_PCI_IO_BAR_SIZE removed: INTERFACE BREAK",
                  ("ioctls.yaml", line, ""))
        self.undone("interface\n    constant VMM_PCI_IO_BAR_SIZE added, 0x1000",
                    ("ioctls.yaml", line, ""))

    def test_ioctl(self) -> None:
        row = ("ioctls:\n  - name: VMM_IOC_TEST\n    number: 63\n    extension: true\n"
               "    direction: in\n    struct: vm_terminate_params\n    handler: test\n"
               "    doc: A test.\n    errors:\n      - {errno: ENOENT, doc: There is none.}\n")
        self.says("interface\n    ioctl VMM_IOC_TEST added, number 63",
                  ("ioctls.yaml", "\nioctls:\n", "\n" + row))
        self.undone("interface\n    ioctl VMM_IOC_TEST removed: INTERFACE BREAK",
                    ("ioctls.yaml", "\nioctls:\n", "\n" + row))

    def test_ioctl_changes(self) -> None:
        head = "  - name: VMM_IOC_INTR\n    number: 6\n    direction: in\n"
        self.says("interface\n    ioctl VMM_IOC_INTR: in and out now: INTERFACE BREAK",
                  ("ioctls.yaml", head, head.replace("direction: in", "direction: inout")))

    def test_checks_and_errors(self) -> None:
        old = '{check: nonzero, member: vmep_prot, errno: EINVAL'
        self.says("interface\n    VMM_IOC_MPROTECT_EPT fails with EPERM instead of EINVAL when: "
                  "vmep_prot is 0", ("ioctls.yaml", old, old.replace("EINVAL", "EPERM")))
        error = '      - {errno: EIO, doc: A CPU could not be switched to virtualisation.}\n'
        words = "EIO: A CPU could not be switched to virtualisation"
        self.says(f"interface\n    VMM_IOC_CREATE can no longer fail with {words}",
                  ("ioctls.yaml", error, ""))
        self.undone(f"interface\n    VMM_IOC_CREATE can now fail with {words}",
                    ("ioctls.yaml", error, ""))

    def test_tables(self) -> None:
        self.says("tables\n    VMCB field cr2: clean bit cr2 -> none",
                  ("vmcb_fields.yaml", "{field: cr2, offset: 0x640, size: 8, flow: both, "
                   "clean: cr2,", "{field: cr2, offset: 0x640, size: 8, flow: both,"))
        self.says("tables\n    exception #XM: class benign -> contributory",
                  ("arch.yaml", "{exception: XM, vector: 19, class: benign",
                   "{exception: XM, vector: 19, class: contributory"))

    def test_json(self) -> None:
        found = change(("arch.yaml", "name: PCE, guest: free", "name: PCE, guest: refused"))
        self.assertEqual([item.data() for item in found.changes], [
            {"heading": "what guests see", "table": "bit", "row": "CR4.PCE",
             "text": "register bit CR4.PCE: guest free -> refused", "breaks_interface": False}])

    def test_an_older_table_is_not_compared(self) -> None:
        old = {table: rows for table, rows in today().items() if table != "insn"}
        self.assertEqual(text(compare(old, today())),
                         "not compared, one of the two has no such table: instruction")

    def test_entry_checks(self) -> None:
        path = patched(("entry_checks.yaml", "{check: event_type, phase: vmrun,",
                        "{check: event_kind, phase: vmrun,"))
        self.assertEqual(text(compare(facts(SPEC), facts(path))), "entry checks\n"
                         "    check event_type (AMD) removed\n"
                         "    check event_kind (AMD) added, phase vmrun")


class Git(unittest.TestCase):
    """Revisions, in a repository of our own."""

    def setUp(self) -> None:
        self.tree = scratch()
        shutil.copytree(SPEC, self.tree / "spec")
        shutil.copytree(ROOT / "gen", self.tree / "gen",
                        ignore=shutil.ignore_patterns("__pycache__"))
        self.git("init", "-q", "-b", "main")
        self.commit("one")

    def git(self, *words: str) -> None:
        subprocess.run(["git", "-C", str(self.tree), "-c", "user.name=test",
                        "-c", "user.email=test@example.org", *words], check=True,
                       capture_output=True)

    def commit(self, name: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", name)
        self.git("tag", name)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.tree / file
        said = path.read_text(encoding="utf-8")
        self.assertEqual(said.count(old), 1)
        path.write_text(said.replace(old, new), encoding="utf-8")

    def diff(self, *words: str) -> tuple[int, str, str]:
        answer = ask("--spec", str(self.tree / "spec"), "diff", *words)
        return answer.status, answer.out, answer.err

    def test_working_tree_and_revisions(self) -> None:
        self.assertEqual(self.diff("HEAD"), (0, "the specs say the same\n", ""))
        self.replace("spec/ioctls.yaml", "{name: VMM_MAX_IRQ, value: 0xff",
                     "{name: VMM_MAX_IRQ, value: 0xfe")
        said = "interface\n    constant VMM_MAX_IRQ: 0xff -> 0xfe: INTERFACE BREAK\n"
        self.assertEqual(self.diff("HEAD"), (0, said, ""))
        self.assertEqual(self.diff("--check", "HEAD"),
                         (1, said, "vmmspec: the binary interface breaks\n"))
        self.commit("two")
        self.assertEqual(self.diff("one", "two"), (0, said, ""))
        self.assertEqual(self.diff("two"), (0, "the specs say the same\n", ""))
        answer = ask("--json", "--spec", str(self.tree / "spec"), "diff", "one")
        self.assertEqual(json.loads(answer.out)["changes"][0]["row"], "VMM_MAX_IRQ")

    def test_a_spec_for_another_generator(self) -> None:
        """A key that we do not know: its own generator does."""
        forms = '"forms": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/form"}}'
        self.replace("gen/schema/insns.json", forms, '"colour": {"type": "string"}, ' + forms)
        self.replace("spec/insns.yaml", "    doc: Write the low word of CR0.",
                     "    colour: red\n    doc: Write the low word of CR0.")
        self.commit("coloured")
        self.replace("spec/insns.yaml", "    colour: red\n", "")
        self.assertEqual(self.diff("coloured"), (0, "the specs say the same\n", ""))

    def test_a_spec_that_nobody_reads(self) -> None:
        self.replace("spec/insns.yaml", "    doc: Write the low word of CR0.",
                     "    colour: red\n    doc: Write the low word of CR0.")
        self.commit("broken")
        status, out, err = self.diff("broken")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "vmmspec: the spec of broken cannot be read: "
                              ".*unknown key 'colour'")
        status, out, err = self.diff("one")  # the working tree is broken too
        self.assertRegex(err, r"vmmspec: spec/insns.yaml:\d+: .*unknown key 'colour'")

    def test_refusals(self) -> None:
        self.assertEqual(self.diff("mian"), (1, "", "vmmspec: no revision 'mian'\n"
                                             "vmmspec: near it: main\n"))
        outside = scratch() / "spec"
        shutil.copytree(SPEC, outside)
        answer = ask("--spec", str(outside), "diff", "HEAD")
        self.assertEqual(answer.status, 1)
        self.assertIn("not a git repository", answer.err)
        self.assertIn("to compare, give --spec DIR in a clone of the sources", answer.err)
        self.assertEqual(ask("--spec", "/nowhere", "diff", "HEAD").err,
                         "vmmspec: /nowhere: no such directory\n")


if __name__ == "__main__":
    unittest.main()
