# SPDX-License-Identifier: ISC
"""vmmspec decode: values, control words, dumps."""

from __future__ import annotations

import io
import json
import struct
import unittest
from pathlib import Path
from unittest import mock

from gen.tool.decode.negotiate import Offer, broken, choose, offer_of
from gen.tool.decode.shape import shapes, taken_apart
from gen.tool.tables import Tables
from tests.gen.tools import scratch
from tests.spec.tool import ask

QUALIFICATION = """\
qual_ept = 0x181
    Exit qualification of an EPT violation.

  bits          8  FINAL         1  The final address was translated; otherwise a table of the
                                    guest.
                7  LINEAR_VALID  1  There is a linear address.
                0  R             1  A read.
  clear         ASYNCHRONOUS, VERIFICATION, SSS, SS, NMI_UNBLOCK, LINEAR_NX, LINEAR_W, LINEAR_U,
                  PAGE_XU, PAGE_X, PAGE_W, PAGE_R, X, W
"""
EVENT = """\
intr_info = 0x80000b0e
    An event, for injection, for exits and for deliveries cut short.

  bits          31    V       1    The word holds an event.
                11    EV      1    The event pushes an error code.
                10-8  TYPE    0x3  EXCEPTION: Hardware exception.
                7-0   VECTOR  0xe  Vector.
  clear         NESTED, NMI_UNBLOCK
  event         #PF: Page fault.
"""
XCR0 = """\
xcr0 = 0x4
    State that XSAVE keeps.

  bits          2  AVX  1  if xcr0_avx  Upper halves of YMM.
  clear         X, LWP, APX, XTILEDATA, XTILECFG, PKRU, HI16_ZMM, ZMM_HI256, OPMASK, BNDCSR,
                  BNDREGS, SSE, X87
  wrong         X87 must be set: x87 state cannot be off.
                AVX needs SSE: YMM is made of XMM.
"""
ENTRY_FAILED = """\
exit_reason = 0x80000021
    Field exit_reason.

  bits          31    ENTRY_FAILED  1     The entry failed; the guest has not run.
                15-0  BASIC         0x21  Basic reason.
  clear         FROM_ROOT, PENDING_MTF, ENCLAVE, BUS_LOCK, BUSY_SHADOW_STACK
  exit          ENTRY_FAILED_GUEST_STATE, entry_failed_guest_state: VM entry refused the guest's
                  state.
  more          vmmspec explain exit vmx 0x21
"""


class Values(unittest.TestCase):
    maxDiff = None

    def says(self, question: str, expected: str) -> None:
        answer = ask("decode", *question.split())
        self.assertEqual((answer.status, answer.err, answer.out), (0, "", expected))

    def has(self, question: str, *lines: str) -> None:
        answer = ask("decode", *question.split())
        self.assertEqual((answer.status, answer.err), (0, ""))
        text = " ".join(answer.out.split())
        for line in lines:
            self.assertIn(line, text)

    def test_whole_answers(self) -> None:
        self.says("qualification EPT_VIOLATION 0x181", QUALIFICATION)
        self.says("qualification 48 0x181", QUALIFICATION)
        self.says("intr_info 0x80000b0e", EVENT)
        self.says("xcr0 4", XCR0)
        self.says("exit 0x80000021", ENTRY_FAILED)

    def test_exits(self) -> None:
        self.has("exit svm 0x400", "exit code = 0x400", "NPF, stage2_fault:")
        self.has("exit 9999", "0x270f is no exit that the spec knows")

    def test_details_of_amd(self) -> None:
        self.has("exitinfo1 NPF 0x100000006", "32 FINAL 1", "2 U 1", "1 W 1")
        self.has("exitinfo1 0x7b 0x3f80151", "31-16 PORT 0x3f8", "0 IN 1", "6 SZ32 1")
        self.has("exitinfo2 TASK_SWITCH 0x1000000000", "36 IRET 1")

    def test_segments(self) -> None:
        self.has("segattr 0xa9b", "segment code, readable, accessed.", "9 L 1")
        self.has("access_rights 0xa09b", "segment code, readable, accessed.")
        self.has("ar 0x8b", "segment system, busy TSS.")
        self.has("access_rights 0xc097", "segment data, writable, expand down, accessed.")
        self.has("segattr 0x9c", "segment code, execute only, conforming, not accessed.")
        self.has("segattr 0x88", "segment system, reserved type.")

    def test_registers(self) -> None:
        self.has("cr0 0x80000000", "wrong PG needs PE", "31 PG 1 free")
        self.has("cr4 0x2020", "13 VMXE 1 #GP", "5 PAE 1 if pae")
        self.has("efer 0xd01", "10 LMA 1 if lm")
        self.has("dr6 0xffff0ff1", "0 B0 1 free Breakpoint 0.")
        self.has("guest_cr0 0x31", "cr0 = 0x31")
        self.has("xcr0 0x27", "HI16_ZMM, ZMM_HI256, OPMASK all or none", "AVX-512 comes whole")

    def test_reserved_bits(self) -> None:
        self.has("np_control 0x100", "wrong reserved bits are set: 0x100")
        self.has("cr3 0x4", "wrong reserved bits are set: 0x4")

    def test_values_without_a_name(self) -> None:
        self.has("tlb_control 2", "The command. No such value.")

    def test_all(self) -> None:
        out = ask("decode", "--all", "cr0", "1").out
        self.assertIn("PG  0  free", out)
        self.assertNotIn("clear ", out)

    def test_cpuid(self) -> None:
        self.has("cpuid 1.0.ecx 0xffffffff", "5 vmx 1 hidden VMX (no nested virtualisation)",
                 "and the driver makes osxsave")
        self.has("cpuid 7.0.ebx 0x20", "guest sees 0x00000020")
        self.has("cpuid 0x40.0.eax 1", "always sees 0")

    def test_msr(self) -> None:
        self.has("msr feature_control 5", "2 vmx_outside_smx 1", "0 locked 1")
        self.has("msr 0xc0000080 0x500", "efer = 0x500")

    def test_every_word_takes_every_value(self) -> None:
        tables = Tables()
        for name, shape in shapes(tables).items():
            self.assertEqual(sum(item.mask for item in shape.pieces), (1 << shape.width) - 1, name)
            for value in (0, (1 << shape.width) - 1, 0x5555555555555555 & (1 << shape.width) - 1):
                with self.subTest(word=name, value=value):
                    self.assertTrue(list(taken_apart(shape, value)))
                    self.assertTrue(list(taken_apart(shape, value, True)))

    def test_json(self) -> None:
        found = json.loads(ask("--json", "decode", "cr0", "1").out)
        self.assertEqual(found[0]["parts"]["bits"], [
            {"bits": "0", "name": "PE", "value": "1", "guest": "free",
             "meaning": "Protected mode."}])


class Refusals(unittest.TestCase):
    def refuses(self, question: str, *lines: str) -> None:
        answer = ask("decode", *question.split())
        self.assertEqual((answer.status, answer.out), (1, ""))
        self.assertEqual(answer.err, "".join(f"vmmspec: {line}\n" for line in lines))

    def test_words(self) -> None:
        self.refuses("cr44 1", "no word 'cr44' to decode", "near it: cr4")
        self.refuses("zzz 1", "no word 'zzz' to decode",
                     "all kinds: vmmspec decode --help; all words: vmmspec explain word")
        self.refuses("tsc_offset 1", "tsc_offset is a number without structure")

    def test_values(self) -> None:
        self.refuses("cr4 x", "'x' is no number: 48, 0x30, 30h or 0b110000")
        self.refuses("segattr 0x10000", "0x10000 does not fit in 16 bits")
        self.refuses("cr4 1 2", "decode cr4 wants one value, and got 2")

    def test_kinds(self) -> None:
        self.refuses("qualification 48", "decode qualification wants EXIT VALUE")
        self.refuses("qualification HLT 1", "the exit qualification of HLT has no structure")
        self.refuses("qualification EPT_VIOLATON 1", "no exit 'vmx:EPT_VIOLATON'",
                     "near it: EPT_VIOLATION")
        self.refuses("exit svm", "decode exit wants one value")
        self.refuses("cpuid 7.0 1", "'7.0' is no register of CPUID: LEAF.SUBLEAF.REGISTER, as "
                                    "7.0.ebx")
        self.refuses("msr debugclt 1", "no MSR 'debugclt'", "near it: debugctl")
        self.refuses("msr debugctl 1", "the spec says nothing of the bits of MSR debugctl")
        self.refuses("control proc9 1", "no word of controls 'proc9'",
                     "one of: pin, proc, exceptions, proc2, proc3, exit, exit2, entry, "
                     "intercept_cr_read, intercept_cr_write, intercept_dr_read, "
                     "intercept_dr_write, intercept_exceptions, intercept_misc1, "
                     "intercept_misc2, intercept_misc3, vintr, np_control, lbr_control")
        self.refuses("control proc2", "decode control wants a value, or --capability, or both")


class Controls(unittest.TestCase):
    def test_negotiation(self) -> None:
        """The cases of vmx_controls_negotiate()."""
        words = {word.name: word for word in Tables().controls.vmx.words}
        proc2, proc = words["proc2"], words["proc"]
        required = proc2.mask("required")
        self.assertEqual(choose(proc2, Offer(0, required)), (required, ""))
        everything = (1 << 32) - 1
        self.assertEqual(choose(proc2, Offer(0, everything)),
                         (required | proc2.mask("wanted"), ""))
        self.assertEqual(choose(proc2, Offer(0, everything & ~2)), (0, "proc2.ept"))
        self.assertEqual(choose(proc2, Offer(1 << 8, everything)),
                         (0, "proc2.apic_register_virtualization = 0"))
        # The fallback stands in for what cannot be had.
        shadow, instead = proc.mask("wanted"), proc.mask("fallback")
        value, missing = choose(proc, Offer(0, everything))
        self.assertEqual((value & (shadow | instead), missing), (shadow, ""))
        value, missing = choose(proc, Offer(0, everything & ~shadow))
        self.assertEqual((value & (shadow | instead), missing), (instead, ""))

    def test_offers(self) -> None:
        words = {word.name: word for word in Tables().controls.vmx.words}
        self.assertEqual(offer_of(words["pin"], 0x7F00000016), Offer(0x16, 0x7F))
        self.assertEqual(offer_of(words["proc3"], 0x7F00000016), Offer(0, 0x7F00000016))
        self.assertEqual(list(broken(words["pin"], 0, Offer(1, 1))),
                         ["pin.intr is 0, and this CPU wants 1"])
        self.assertEqual(list(broken(words["pin"], 1, Offer(0, 0))),
                         ["pin.intr is 1, and this CPU wants 0"])

    def test_answers(self) -> None:
        out = ask("decode", "control", "proc2", "0x82", "--capability", "0xffffffff00000000").out
        self.assertIn("always set by the driver, clear here: wbinvd\n", out)
        self.assertRegex(out, r"\n +1 +ept +either +required +1\n")
        self.assertRegex(out, r"outcome +the driver writes 0x[0-9a-f]{8}\n")
        out = ask("decode", "control", "proc2", "--capability", "0").out
        self.assertIn("the driver refuses this CPU: it lacks proc2.ept\n", out)

    def test_amd(self) -> None:
        out = ask("decode", "control", "intercept_misc3", "--capability", "0x1000000").out
        self.assertIn("the driver writes 0x10\n", out)
        self.assertIn("more where the CPU has mcommit (CPUID 0x80000008.ebx.8)", out)
        self.assertIn("vgif", ask("decode", "control", "vintr", "0x3000000").out)


def page() -> bytes:
    """A VMCB that left for a nested page fault."""
    found = bytearray(4096)
    struct.pack_into("<I", found, 0x00C, 1 << 24 | 1 << 17)
    found[0x018] = 1
    struct.pack_into("<QQQ", found, 0x070, 0x400, 0x100000006, 0xFEE00000)
    struct.pack_into("<I", found, 0x0C0, 1 << 5 | 1 << 8)
    struct.pack_into("<HHIQ", found, 0x410, 8, 0xA9B, 0xFFFFFFFF, 0x1000)
    struct.pack_into("<Q", found, 0x558, 0x80000000)
    return bytes(found)


def lines(data: bytes, style: str) -> str:
    """As tools print it; lines that repeat are left out where they do that."""
    found = []
    last = b""
    starred = False
    for offset in range(0, len(data), 16):
        row = data[offset:offset + 16]
        if style not in ("xxd", "log") and row == last:
            if not starred:
                found.append("*")
            starred = True
            continue
        last, starred = row, False
        pairs = [row[at:at + 2] for at in range(0, 16, 2)]
        found.append({
            "hexdump -C": f"{offset:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  |{'.' * 16}|",
            "xxd": f"{offset:08x}: {' '.join(pair.hex() for pair in pairs)}  {'.' * 16}",
            "hexdump": f"{offset:07x} " + " ".join(pair[::-1].hex() for pair in pairs),
            "od -A x -t x1": f"{offset:06x} {row.hex(' ')}",
            "log": f"[   12.345678] vmcb: {offset:08x}: {row.hex(' ')}",
        }[style])
    if style not in ("xxd", "log"):
        found.append(f"{len(data):08x}")
    return "\n".join(found) + "\n"


VMCB = """\
    Left for NPF, exit stage2_fault: The second stage does not allow the access; the driver brings
    the page in or asks the client.

  control       0x00c  intercept_misc1  0x1020000    hlt popf
                0x070  exitcode         0x400        NPF
                0x078  exitinfo1        0x100000006  FINAL U W
                0x080  exitinfo2        0xfee00000   Second detail of the exit.
                0x0c0  clean            0x120        seg crx
  save          0x410  cs   0x8         base 0x1000 limit 0xffffffff attributes 0xa9b: G L P S
                                        TYPE=0xb
                0x558  cr0  0x80000000  PG
  wrong         reserved_018: reserved byte 0x018 is not 0
"""


class Dumps(unittest.TestCase):
    maxDiff = None

    def write(self, data: bytes | str) -> Path:
        path = scratch() / "dump"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def test_vmcb_in_every_format(self) -> None:
        data = page()
        formats: list[bytes | str] = [data, data.hex() + "\n"]
        formats += [lines(data, style) for style in ("hexdump -C", "xxd", "hexdump",
                                                     "od -A x -t x1", "log")]
        for dump in formats:
            with self.subTest(dump=dump[:60]):
                answer = ask("decode", "vmcb", str(self.write(dump)))
                self.assertEqual((answer.status, answer.err), (0, ""))
                self.assertEqual(answer.out.partition("\n")[2][:len(VMCB)], VMCB)
                self.assertIn("intercept_misc1: never set by the driver, set here: popf",
                              answer.out)

    def test_standard_input(self) -> None:
        with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(page()))):
            self.assertTrue(ask("decode", "vmcb", "-").out.startswith("VMCB -\n"))

    def test_all_of_a_vmcb(self) -> None:
        self.assertIn("0x668  g_pat", ask("decode", "--all", "vmcb",
                                          str(self.write(page()))).out)

    def test_vmcs(self) -> None:
        path = self.write("# a dump\n4402 30\n0x6400 0x181\nguest_cr0 = 80000000\n401e: 82\n"
                          "2400 fee00000\n2401 1\nVMCS_GUEST_RIP 1000\n")
        answer = ask("decode", "vmcs", str(path))
        self.assertEqual((answer.status, answer.err), (0, ""))
        for line in (
                "0x2400  guest_physical_address  0x1fee00000  Address that the second stage",
                "0x4402  exit_reason             0x30         BASIC=0x30 EPT_VIOLATION\n",
                "0x6400  exit_qualification      0x181        FINAL LINEAR_VALID R\n",
                "0x401e  proc2_controls  0x82  unrestricted_guest ept\n",
                "0x6800  guest_cr0  0x80000000  PG\n", "0x681e  guest_rip  0x1000      RIP.\n",
                "unlike        proc2_controls: always set by the driver, clear here: wbinvd\n"):
            self.assertIn(line, answer.out)

    def test_refusals(self) -> None:
        cases: tuple[tuple[str, bytes | str, str], ...] = (
                ("vmcb", b"\0" * 100, "PATH: 100 bytes: a VMCB has 4096"),
                ("vmcb", "hello world\n", "PATH:1: no line of a hexdump"),
                ("vmcb", lines(page()[:32], "xxd"), "PATH: 32 bytes: a VMCB has 4096"),
                ("vmcb", "00000010: 0000 0000\n", "PATH:1: offset 0x10 follows 0x0 bytes"),
                ("vmcs", b"\xff\xfe", "PATH: no text: a VMCS dump has lines ENCODING VALUE"),
                ("vmcs", "1 2 3\n", "PATH:1: 3 words: ENCODING VALUE, or NAME VALUE"),
                ("vmcs", "\n4402 zz\n", "PATH:2: 'zz' is no hexadecimal number"),
                ("vmcs", "gest_cr0 1\n", "PATH:1: no VMCS field gest_cr0; near it: guest_cr0, "
                                         "guest_cr4, guest_cr3"),
                ("vmcs", "7ffe 1\n", "PATH:1: no VMCS field 7ffe"),
                ("vmcs", "0 10000\n", "PATH:1: 0x10000 does not fit in vpid, 16 bits"))
        for kind, dump, expected in cases:
            with self.subTest(kind=kind, dump=dump[:20]):
                path = self.write(dump)
                answer = ask("decode", kind, str(path))
                self.assertEqual((answer.status, answer.out), (1, ""))
                self.assertEqual(answer.err.replace(str(path), "PATH"), f"vmmspec: {expected}\n")
        self.assertEqual(ask("decode", "vmcs", "/nowhere/at/all").err,
                         "vmmspec: /nowhere/at/all: No such file or directory\n")


if __name__ == "__main__":
    unittest.main()
