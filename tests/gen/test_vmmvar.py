# SPDX-License-Identifier: ISC
"""machine/vmmvar.h: clean in every language it claims, and binary compatible."""

from __future__ import annotations

import re
import subprocess
import unittest

from tests.gen.tools import abi, compile_c, generated, scratch

# Member types of the table, as C has them here.
SIGNED = {"int", "pid_t"}


def run(lines: list[str]) -> list[str]:
    """Compile and run a program that prints; gives its lines."""
    body = "\n".join(lines)
    source = (f"#include <stdio.h>\n#include <machine/vmmvar.h>\nint main(void)\n{{\n{body}\n"
              "return 0;\n}\n")
    program = scratch() / "program"
    built = compile_c("gcc", source, "-std=c11", "-o", str(program))
    if built.returncode != 0:
        raise AssertionError(built.stderr)
    done = subprocess.run([str(program)], text=True, capture_output=True, check=True)
    return done.stdout.splitlines()


class Languages(unittest.TestCase):
    def _clean(self, compiler: str, standard: str) -> None:
        source = ("#include <machine/vmmvar.h>\n#include <machine/vmmvar.h>\n"
                  "int main(void)\n{\n\tstruct vm_exit e;\n\te.vex_gpa_low = 1;\n"
                  "\te.vex_gpa_high = 0;\n\treturn (int)vm_exit_gpa(&e);\n}\n")
        done = compile_c(compiler, source, f"-std={standard}", "-fsyntax-only")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_c99(self) -> None:
        self._clean("gcc", "c99")

    def test_c11(self) -> None:
        self._clean("gcc", "c11")

    def test_gnu11(self) -> None:
        self._clean("gcc", "gnu11")

    def test_cxx17(self) -> None:
        self._clean("g++", "c++17")

    def test_cxx20(self) -> None:
        self._clean("g++", "c++20")

    def test_a_wrong_layout_does_not_compile(self) -> None:
        """The static asserts bite: the header with one member made wider is refused."""
        text = (generated() / "include/machine/vmmvar.h").read_text(encoding="utf-8")
        self.assertEqual(text.count("uint8_t vrp_continue;"), 1)
        broken = text.replace("uint8_t vrp_continue;", "uint32_t vrp_continue;")
        for compiler, standard in (("gcc", "c99"), ("gcc", "c11"), ("g++", "c++17")):
            done = compile_c(compiler, broken, f"-std={standard}", "-fsyntax-only")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("VMMVAR_MEMBER", done.stderr)


class Layout(unittest.TestCase):
    maxDiff = None

    def test_offsets_and_sizes(self) -> None:
        wanted, lines = [], []
        for row in abi("layout.csv"):
            struct, member = row["struct"], row["member"]
            if struct == "vm_exit_union" or member == "(anonymous union)":
                continue  # it has no name in C; its parts are members of vm_exit
            if member == "(total)":
                align = row["count"].removeprefix("align ")
                wanted.append(f"{struct} {row['size']} align {align}")
                lines.append(f'printf("{struct} %zu align %zu\\n", sizeof(struct {struct}), '
                             f"_Alignof(struct {struct}));")
            else:
                wanted.append(f"{struct}.{member} {row['offset']} {row['size']}")
                lines.append(f'printf("{struct}.{member} %zu %zu\\n", offsetof(struct {struct}, '
                             f"{member}), sizeof(((struct {struct} *)0)->{member}));")
        self.assertGreater(len(wanted), 80)
        self.assertEqual(run(lines), wanted)

    def test_union_of_vm_exit(self) -> None:
        union = {row["member"]: row for row in abi("layout.csv")
                 if row["struct"] == "vm_exit_union"}
        lines = [f'printf("%zu %zu\\n", offsetof(struct vm_exit, {name}), '
                 f"sizeof(((struct vm_exit *)0)->{name}));" for name in ("vei", "vee")]
        wanted = [f"{union[name]['offset']} {union[name]['size']}" for name in ("vei", "vee")]
        self.assertEqual(run(lines), wanted)

    def test_signs(self) -> None:
        """Numbers are unsigned but for int and pid_t."""
        wanted, lines = [], []
        for row in abi("layout.csv"):
            if row["type"] in SIGNED | {"u8", "u16", "u32", "u64", "size_t", "paddr_t", "vaddr_t"} \
                    and row["count"] == "1":
                path = f"((struct {row['struct']} *)0)->{row['member']}"
                wanted.append(f"{row['member']} {int(row['type'] in SIGNED)}")
                lines.append(f'printf("{row["member"]} %d\\n", '
                             f"((__typeof__({path}))-1 < (__typeof__({path}))1));")
        source = [f"{line}" for line in lines]
        self.assertEqual(run(source), wanted)

    def test_extensions_take_holes_only(self) -> None:
        """Our members of vm_exit lie where the original has padding."""
        self.assertEqual(
            run(['printf("%zu %zu\\n", offsetof(struct vm_exit, vex_gpa_low), '
                 "offsetof(struct vm_exit, vex_gpa_high));"]), ["20 596"])
        taken: set[int] = set()
        for row in abi("layout.csv"):
            if row["struct"] == "vm_exit" and row["member"] != "(total)":
                taken |= set(range(int(row["offset"]), int(row["offset"]) + int(row["size"])))
        self.assertTrue(taken.isdisjoint(range(20, 24)) and taken.isdisjoint(range(596, 600)))


class Requests(unittest.TestCase):
    maxDiff = None

    def test_command_words(self) -> None:
        table = abi("ioctls.csv")
        self.assertEqual(len(table), 11)
        wanted = [f"{row['ioctl']} {row['linux_cmd']} {row['struct_size']}" for row in table]
        lines = [f'printf("{row["ioctl"]} 0x%08x %zu\\n", (unsigned){row["ioctl"]}, '
                 f"sizeof(struct {row['struct']}));" for row in table]
        self.assertEqual(run(lines), wanted)


class Constants(unittest.TestCase):
    def test_values(self) -> None:
        """Section by section as vmm(4) has them."""
        values = {
            "VMM_MAX_MEM_RANGES": 16, "VMM_MAX_VCPUS": 512, "VMM_MAX_VCPUS_PER_VM": 64,
            "VMM_MAX_NAME_LEN": 64, "VMM_PCI_MMIO_BAR_BASE": 0xF0000000,
            "VMM_PCI_MMIO_BAR_END": 0xFFFFFFFF, "VM_EXIT_TERMINATED": 0xFFFE,
            "VM_EXIT_NONE": 0xFFFF, "VCPU_STATE_STOPPED": 0, "VCPU_STATE_RUNNING": 1,
            "VCPU_STATE_REQTERM": 2, "VCPU_STATE_TERMINATED": 3, "VCPU_STATE_UNKNOWN": 4,
            "VEI_DIR_OUT": 0, "VEI_DIR_IN": 1, "VEE_FAULT_INVALID": 0, "VEE_FAULT_HANDLED": 1,
            "VEE_FAULT_MMIO_ASSIST": 2, "VEE_FAULT_PROTECT": 3, "VEE_LEN_VALID": 1,
            "VEE_BYTES_VALID": 2, "VM_RWREGS_GPRS": 1, "VM_RWREGS_SREGS": 2, "VM_RWREGS_CRS": 4,
            "VM_RWREGS_MSRS": 8, "VM_RWREGS_DRS": 16, "VM_RWREGS_ALL": 31,
            "VM_RWVMPARAMS_PVCLOCK_SYSTEM_GPA": 1, "VM_RWVMPARAMS_PVCLOCK_VERSION": 2,
            "VCPU_REGS_NGPRS": 18, "VCPU_REGS_NCRS": 10, "VCPU_REGS_NMSRS": 7,
            "VCPU_REGS_NDRS": 6, "VCPU_REGS_NSREGS": 8, "VMM_PCI_IO_BAR_BASE": 0x1000,
            "VMM_PCI_IO_BAR_END": 0xFFFF, "VMM_PCI_IO_BAR_SIZE": 0x1000,
            "VMM_PCI_MMIO_BAR_SIZE": 0x10000, "VMM_MAX_VM_MEM_SIZE": 128 << 30,
            "VMM_MAX_DISKS_PER_VM": 4, "VMM_MAX_NICS_PER_VM": 4, "VMM_MAX_PATH_DISK": 128,
            "VMM_MAX_PATH_CDROM": 128, "VMM_MAX_KERNEL_PATH": 128, "VMM_PAGE_SIZE": 4096,
            "VMM_MEM_UNIT": 1 << 20, "VMM_NO_IRQ": 0xFFFF, "VMM_MAX_IRQ": 255,
            "VEE_GPA_VALID": 4, "VM_RWVMPARAMS_ALL": 3, "VMM_PROT_READ": 1, "VMM_PROT_WRITE": 2,
            "VMM_PROT_EXEC": 4, "VMM_PROT_ALL": 7,
        }
        lines = [f'printf("%llu\\n", (unsigned long long){name});' for name in values]
        self.assertEqual(dict(zip(values, map(int, run(lines)))), values)

    def test_register_order(self) -> None:
        orders = {
            "": "RAX RBX RCX RDX RSI RDI R8 R9 R10 R11 R12 R13 R14 R15 RSP RBP RIP RFLAGS",
            "cr": "CR0 CR2 CR3 CR4 CR8 XCR0 PDPTE0 PDPTE1 PDPTE2 PDPTE3",
            "msr": "EFER STAR LSTAR CSTAR SFMASK KGSBASE MISC_ENABLE",
            "dr": "DR0 DR1 DR2 DR3 DR6 DR7",
            "sreg": "CS DS ES FS GS SS LDTR TR",
        }
        for order in orders.values():
            names = order.split()
            lines = [f'printf("%d\\n", VCPU_REGS_{name});' for name in names]
            self.assertEqual([int(line) for line in run(lines)], list(range(len(names))))


class Manual(unittest.TestCase):
    def setUp(self) -> None:
        self.page = generated() / "man" / "vmm.4"

    def test_lint(self) -> None:
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(self.page)], text=True,
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_everything_is_in_it(self) -> None:
        done = subprocess.run(["mandoc", "-Tutf8", str(self.page)], text=True,
                              capture_output=True, check=True)
        text = re.sub(".\b", "", done.stdout)  # bold and underlined by overstriking
        words = set(text.replace("[", " ").replace("]", " ").replace(",", " ").replace(";", " ")
                    .replace("*", " ").replace(".", " ").split())
        for row in abi("ioctls.csv"):
            self.assertIn(row["ioctl"], words)
            self.assertIn(row["struct"], words)
        for row in abi("layout.csv"):
            if not row["member"].startswith("("):
                self.assertIn(row["member"], words)
        for name in ("ENOENT", "EPERM", "EBUSY", "EINVAL", "EIO", "EFAULT", "ENOMEM", "ENOTTY",
                     "EINTR", "vex_gpa_low", "vex_gpa_high", "VEE_GPA_VALID"):
            self.assertIn(name, words)




if __name__ == "__main__":
    unittest.main()
