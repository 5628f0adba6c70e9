# SPDX-License-Identifier: ISC
"""vmm(4): its examples are C, and it says what each ioctl and each exit is about."""

from __future__ import annotations

import re
import unittest

from gen.errors import Errors
from gen.model.ioctls import Ioctls
from gen.spec import Spec
from tests.gen.tools import SPEC, compile_c, generated

# What the examples leave to the reader.
AROUND = """
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <machine/vmmvar.h>

void first_state(struct vcpu_reg_state *);
void port_access(struct vm_exit_inout *);
void device_memory(uint64_t, struct vm_exit *);
void wait_for_interrupt(void);
void client(void);

void
client(void)
{
%s
	uint32_t vm = create.vcp_id;
%s
}
"""


def section(name: str) -> str:
    """The source of one section of the page."""
    text = (generated() / "man" / "vmm.4").read_text(encoding="utf-8")
    return text.split(f"\n.Sh {name}\n")[1].split("\n.Sh ")[0]


class Manual(unittest.TestCase):
    def setUp(self) -> None:
        ioctls = Spec(SPEC, Errors()).model("ioctls")
        assert isinstance(ioctls, Ioctls)
        self.ioctls = ioctls

    def test_examples_compile(self) -> None:
        blocks = re.findall(r"^\.Bd [^\n]*\n(.*?)^\.Ed$", section("EXAMPLES"),
                            re.MULTILINE | re.DOTALL)
        self.assertEqual(len(blocks), 2)
        done = compile_c("gcc", AROUND % tuple(blocks), "-std=c11", "-D_DEFAULT_SOURCE",
                         "-fsyntax-only")
        self.assertEqual(done.stderr, "")

    def test_every_ioctl_with_struct_errors_and_text(self) -> None:
        parts = re.split(r"^\.It Dv (VMM_IOC_\w+) .*$", section("IOCTLS"), flags=re.MULTILINE)
        said = dict(zip(parts[1::2], parts[2::2]))
        self.assertEqual(list(said), [ioctl.name for ioctl in self.ioctls.ioctls])
        for ioctl in self.ioctls.ioctls:
            text = said[ioctl.name]
            self.assertIn(f"struct {ioctl.struct.name} {{", text)
            for member in ioctl.struct.fields():
                self.assertIn(f".It Va {member.name}\n", text)
            for error in ioctl.errors:
                self.assertIn(f".It Bq Er {error.errno}\n", text, ioctl.name)
            self.assertTrue(ioctl.text, ioctl.name)
            self.assertEqual(ioctl.extension, text.lstrip().split(".Pp")[0].endswith(
                ".Em Extension .\n"), ioctl.name)

    def test_every_exit_of_clients(self) -> None:
        text = section("DESCRIPTION")
        for item in self.ioctls.exits:
            self.assertIn(f".It Dv {' , '.join(item.constants)}\n", text)
        for name in ("VM_EXIT_NONE", "VM_EXIT_TERMINATED"):
            self.assertIn(f".It Dv {name}\n", text)

    def test_every_extension_is_marked(self) -> None:
        text = section("STANDARDS")
        for name, _ in self.ioctls.extensions:
            self.assertRegex(text, rf"(?m)^\.It (?:Dv|Va) {name}$")


if __name__ == "__main__":
    unittest.main()
