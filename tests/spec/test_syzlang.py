# SPDX-License-Identifier: ISC
"""The descriptions for syzkaller: well-formed, complete, and with the layout of the interface."""

from __future__ import annotations

import unittest
from collections.abc import Iterator

from gen.errors import Errors
from gen.model.ioctls import Ioctls
from gen.spec import Spec
from tests.gen.tools import SPEC, abi, generated, scratch
from tests.spec import syzlang
from tests.spec.syzlang import Range, SyntaxProblem, Type, parse_type

TEXT = generated() / "syzkaller" / "dev_vmm.txt"
CONST = generated() / "syzkaller" / "dev_vmm.txt.const"
BUILTIN = {*syzlang.INTEGERS, "flags", "const", "len", "bytesize", "array", "ptr", "ptr64", "vma64",
           "string", "in", "out", "inout"}


def ioctls() -> Ioctls:
    errors = Errors()
    found: Ioctls = Spec(SPEC, errors).model("ioctls")
    assert len(errors) == 0
    return found


def types(kind: Type) -> Iterator[Type]:
    """A type and all in it."""
    yield kind
    for arg in kind.args:
        if isinstance(arg, Type):
            yield from types(arg)


def mentioned(description: syzlang.Description) -> Iterator[Type]:
    for struct in description.structs.values():
        for field in struct.fields:
            yield from types(field.type)
    for call in description.calls.values():
        for arg in call.args:
            yield from types(arg.type)


class Grammar(unittest.TestCase):
    def test_every_name_means_something(self) -> None:
        description = syzlang.parse(TEXT)
        _, numbers = syzlang.constants(CONST)
        known = {*BUILTIN, *description.resources, *description.structs, *description.flags, "fd"}
        for struct in description.structs.values():
            siblings = {field.name for field in struct.fields}
            for field in struct.fields:
                for kind in types(field.type):
                    if kind.name in ("len", "bytesize"):
                        target = kind.args[0]
                        assert isinstance(target, Type)
                        self.assertIn(target.name, siblings)
                        known.add(target.name)
        for kind in mentioned(description):
            self.assertIn(kind.name, known | numbers.keys())
            if kind.name == "flags":
                assert isinstance(kind.args[0], Type)
                self.assertIn(kind.args[0].name, description.flags)
            if kind.name == "const" and isinstance(kind.args[0], Type):
                self.assertIn(kind.args[0].name, numbers)

    def test_nothing_is_there_in_vain(self) -> None:
        """syzkaller refuses types, flags and numbers that nobody uses."""
        description = syzlang.parse(TEXT)
        _, numbers = syzlang.constants(CONST)
        used = {kind.name for kind in mentioned(description)}
        used |= {value for values in description.flags.values() for value in values}
        used |= {f"__NR_{call.call}" for call in description.calls.values()}
        self.assertEqual({*description.resources, *description.structs, *description.flags,
                          *numbers} - used - {"fd"}, set())

    def test_what_is_wrong_is_refused(self) -> None:
        """The reader is strict enough to tell."""
        text = TEXT.read_text(encoding="utf-8")
        for old, new in (("vmm_vm[int32]", "vmm_vm int32"), ("vm_exit {", "vm_exit ("),
                         ("flags[vei_dir, int8]", "flags[vei_dir, int8"),
                         ("\tvsi_limit ", "\tvsi_sel "), ("vei_dir = ", "vei_dir: "),
                         ("}\n", "\n")):
            with self.subTest(new=new):
                self.assertIn(old, text)
                path = scratch() / "broken.txt"
                path.write_text(text.replace(old, new, 1), encoding="utf-8")
                with self.assertRaises(SyntaxProblem):
                    syzlang.parse(path)


class Complete(unittest.TestCase):
    def test_requests(self) -> None:
        description = syzlang.parse(TEXT)
        arches, numbers = syzlang.constants(CONST)
        self.assertEqual((arches, description.arches), ("amd64", ["amd64"]))
        for row in abi("ioctls.csv"):
            call = description.calls[row["ioctl"]]
            direction = "in" if row["direction"] == "W" else "inout"
            self.assertEqual([(arg.name, arg.type) for arg in call.args], [
                ("fd", Type("fd_vmm")), ("cmd", Type("const", (Type(row["ioctl"]),))),
                ("arg", Type("ptr", (Type(direction), Type(row["struct"]))))])
            self.assertEqual(numbers[row["ioctl"]], int(row["linux_cmd"], 0))
        self.assertEqual(description.calls.keys(), {"vmm", *(i.name for i in ioctls().ioctls)})
        self.assertEqual(description.calls["vmm"].result, "fd_vmm")
        self.assertEqual((numbers["__NR_ioctl"], numbers["__NR_openat"]), (16, 257))

    def test_structs_and_members(self) -> None:
        """Every member of every struct, where the table of the interface has it."""
        description = syzlang.parse(TEXT)
        seen = 0
        for row in abi("layout.csv"):
            struct, member = row["struct"], row["member"]
            if struct == "vm_exit_union":
                struct = "vm_exit_vei_vee"
                if member == "(total)":
                    continue  # a union is not rounded up here; what follows it is in its place
            if member == "(anonymous union)":
                continue
            places, size, align = description.layout(struct)
            with self.subTest(struct=struct, member=member):
                if member == "(total)":
                    self.assertEqual((size, align), (int(row["size"]),
                                                     int(row["count"].removeprefix("align "))))
                else:
                    at = places["u"][0] if member in ("vei", "vee") and "u" in places else 0
                    places = places | description.layout("vm_exit_vei_vee")[0]
                    self.assertEqual((at + places[member][0], places[member][1]),
                                     (int(row["offset"]), int(row["size"])))
            seen += 1
        self.assertGreater(seen, 80)
        for whole in ioctls().structs:  # those of extensions too
            self.assertEqual(description.layout(whole.name)[1:], (whole.size, whole.align))

    def test_flags(self) -> None:
        description = syzlang.parse(TEXT)
        _, numbers = syzlang.constants(CONST)
        for struct in ioctls().structs:
            for member in struct.fields():
                if member.enum is not None:
                    with self.subTest(member=member.name):
                        self.assertEqual(
                            {name: numbers[name] for name in description.flags[member.enum.name]},
                            {value.name: value.value for value in member.enum.values})

    def test_registers(self) -> None:
        """By hand, from the manuals."""
        description = syzlang.parse(TEXT)
        _, numbers = syzlang.constants(CONST)
        for name, value in (("CR0_PG", 1 << 31), ("CR4_PAE", 1 << 5), ("EFER_LME", 1 << 8),
                            ("RFLAGS_IF", 1 << 9), ("XCR0_AVX", 1 << 2), ("DR7_GD", 1 << 13)):
            register = name.partition("_")[0].lower()
            self.assertIn(f"ARCH_{name}", description.flags[f"vcpu_{register}"])
            self.assertEqual(numbers[f"ARCH_{name}"], value)
        self.assertEqual([field.name for field in description.structs["vcpu_regs_gprs"].fields][:4],
                         ["rax", "rbx", "rcx", "rdx"])


class Sense(unittest.TestCase):
    """What keeps a fuzzer from being refused by the first check all the time."""

    def member(self, struct: str, name: str) -> syzlang.Field:
        return next(field for field in syzlang.parse(TEXT).structs[struct].fields
                    if field.name == name)

    def test_ids_come_from_create(self) -> None:
        self.assertEqual(self.member("vm_create_params", "vcp_id"),
                         syzlang.Field("vcp_id", Type("vmm_vm"), "out"))
        for row in abi("layout.csv"):
            if row["member"].endswith("_vm_id"):
                self.assertEqual(self.member(row["struct"], row["member"]).type, Type("vmm_vm"))
            if row["member"].endswith("_vcpu_id"):
                self.assertEqual(self.member(row["struct"], row["member"]).type,
                                 Type("int32", (Range(0, 63),)))

    def test_ranges_are_those_of_the_checks(self) -> None:
        for struct, name, wanted in (
                ("vm_create_params", "vcp_ncpus", "int64[1:64]"),
                ("vm_create_params", "vcp_nmemranges", "int64[1:16]"),
                ("vm_mem_range", "vmr_gpa", "int64[0:137438953471, 4096]"),
                ("vm_mem_range", "vmr_va", "vma64[256]"),
                ("vm_mem_range", "vmr_size", "len[vmr_va, int64]"),
                ("vm_mprotect_ept_params", "vmep_size", "int64[4096:137438953472, 4096]"),
                ("vm_info_params", "vip_size", "bytesize[vip_info, int64]"),
                ("vm_info_params", "vip_info", "ptr64[out, array[vm_info_result]]"),
                ("vm_run_params_vrp_irq", "in_range", "int16[0:255]"),
                ("vm_run_params_vrp_irq", "beside", "const[VMM_NO_IRQ, int16]"),
                ("vm_run_params", "vrp_exit", "ptr64[inout, vm_exit]")):
            with self.subTest(struct=struct, member=name):
                self.assertEqual(self.member(struct, name).type, parse_type(wanted))

    def test_answers_are_marked(self) -> None:
        for struct in ioctls().structs:
            for member in struct.members:
                if not member.alternatives:
                    self.assertEqual(self.member(struct.name, member.name).direction,
                                     "out" if member.out else "", member.name)


class Headers(unittest.TestCase):
    def test_both_files_say_where_they_come_from(self) -> None:
        for path in (TEXT, CONST):
            self.assertIn("make generate", path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
