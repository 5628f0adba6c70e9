# SPDX-License-Identifier: ISC
"""Every link of the HTML reference leads somewhere, and every row of the spec can be reached."""

from __future__ import annotations

import unittest
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gen.errors import Errors
from gen.html.content import href
from gen.spec import Spec
from tests.spec.html_site import ROOT, dead, documents, search_index


class Dead(unittest.TestCase):
    def test_links_of_all_pages(self) -> None:
        found = {f"{page}: {address}: {why}" for page, document in documents().items()
                 for address in document.links if (why := dead(page, address))}
        self.assertEqual(sorted(found), [])

    def test_targets_of_the_search(self) -> None:
        found = {f"{name}: {address}: {why}" for name, _, address, _, _ in search_index()
                 if (why := dead("index.html", address))}
        self.assertEqual(sorted(found), [])

    def test_ids_are_unique(self) -> None:
        twice = {f"{page}#{name}" for page, document in documents().items()
                 for name, count in Counter(document.ids).items() if count > 1}
        self.assertEqual(sorted(twice), [])

    def test_every_page_is_reached_from_every_other(self) -> None:
        for page, document in documents().items():
            self.assertLessEqual(set(documents()), {*document.links, page, "index.html"}, page)

    def test_the_checker_notices(self) -> None:
        self.assertEqual(dead("index.html", "exits.html"), "")
        self.assertEqual(dead("exits.html", "#exit-hlt"), "")
        self.assertEqual(dead("index.html", "exits.html#exit-none"), "no such anchor")
        self.assertEqual(dead("index.html", "nothing.html"), "no such file")
        self.assertEqual(dead("index.html", "https://example.org/"), "leaves the reference")


class Rows(unittest.TestCase):
    """Against the YAML, by what identifies each row there."""

    def setUp(self) -> None:
        self.spec = Spec(ROOT / "spec", Errors())

    def test_every_row_has_an_anchor(self) -> None:
        missing = [address for address in self.addresses() if dead("index.html", address)]
        self.assertEqual(missing, [])

    def test_every_file_of_the_spec_has_a_page(self) -> None:
        pages = {"exit_reasons": "exits", "vmcs_fields": "vmcs", "vmcb_fields": "vmcb"}
        for path in sorted(Path(ROOT / "spec").glob("*.yaml")):
            self.assertIn(f"{pages.get(path.stem, path.stem)}.html", documents(), path.name)

    def addresses(self) -> Iterator[str]:
        for file, part, key, kind in (
                ("exit_reasons", "exits", "exit", "exit"),
                ("controls", "controls", "control", "control"),
                ("controls", "svm_capabilities", "cap", "svm-capability"),
                ("controls", "vmx_capabilities", "cap", "vmx-capability"),
                ("controls", "svm_words", "word", "svm-control-word"),
                ("controls", "vmx_words", "word", "vmx-control-word"),
                ("controls", "svm_values", "field", "value"),
                ("controls", "vmx_values", "field", "value"),
                ("controls", "vmx_fixed", "register", "fixed"),
                ("vmcs_fields", "fields", "field", "vmcs"),
                ("vmcs_fields", "layouts", "layout", "vmcs-word"),
                ("vmcb_fields", "layouts", "layout", "vmcb-word"),
                ("vmcb_fields", "clean_groups", "group", "clean"),
                ("vmcb_fields", "areas", "area", "area"),
                ("msrs", "msrs", "msr", "msr"),
                ("registers", "registers", "register", "register"),
                ("registers", "segments", "segment", "segment"),
                ("registers", "groups", "group", "register-group"),
                ("insns", "instructions", "insn", "insn"),
                ("entry_checks", "phases", "phase", "phase"),
                ("entry_checks", "inputs", "input", "input"),
                ("entry_checks", "states", "state", "state"),
                ("arch", "registers", "register", "word"),
                ("arch", "words", "word", "word"),
                ("arch", "exceptions", "exception", "exception"),
                ("arch", "memory_types", "type", "memory-type"),
                ("arch", "stage2_formats", "format", "format"),
                ("ioctls", "ioctls", "name", "ioctl"),
                ("ioctls", "exits", "exit", "client-exit"),
                ("ioctls", "structs", "name", "struct"),
                ("ioctls", "constants", "name", "constant"),
                ("ioctls", "enums", "name", "enum")):
            yield from (href(kind, row[key]) for row in self.spec.doc(file)[part])
        for row in self.spec.doc("insns")["prefixes"]:
            yield href("prefix", f"{row['prefix']:02X}")
        yield from self.nested()

    def nested(self) -> Iterator[str]:
        """Rows inside rows, and those that stand for several."""
        for row in self.spec.doc("vmcb_fields")["fields"]:
            for index in range(row.get("repeat", 1)):
                yield href("vmcb", row["field"].replace("*", str(index)))
        for vendor in ("vmx", "svm"):
            for row in self.spec.doc("entry_checks")[f"{vendor}_checks"]:
                for each in row.get("each", ("",)):
                    yield href("check", vendor, row["check"].replace("*", each))
        for leaf in self.spec.doc("cpuid")["leaves"]:
            yield href("leaf", f"0x{leaf['leaf']:x}", leaf.get("subleaf", 0))
            for register in ("eax", "ebx", "ecx", "edx"):
                yield from (href("cpuid", bits["name"]) for bits in leaf.get(register, ()))
        for file, part, key, kind in (("arch", "registers", "register", "bit"),
                                      ("arch", "words", "word", "bit"),
                                      ("vmcs_fields", "layouts", "layout", "vmcs-bit"),
                                      ("vmcb_fields", "layouts", "layout", "vmcb-bit")):
            for word in self.spec.doc(file)[part]:
                yield from (href(kind, word[key], bits["bits"]) for bits in word["bits"])
                for index, _ in enumerate(word.get("rules", ()), 1):
                    yield href("rule", word[key], index)
        yield from self.interface()

    def interface(self) -> Iterator[str]:
        doc = self.spec.doc("ioctls")
        for struct in doc["structs"]:
            for member in struct["members"]:
                yield from (href("member", struct["name"], part["name"])
                            for part in member.get("union", [member]))
        for enum in doc["enums"]:
            yield from (href("constant", value["name"]) for value in enum["values"])
        for ioctl in doc["ioctls"]:
            yield from (href("error", ioctl["name"], error["errno"]) for error in ioctl["errors"])
        yield from (href("error", "any", error["errno"]) for error in doc["errors"])
        yield from (href("difference", index) for index, _ in enumerate(doc["differences"], 1))


class Numbers(unittest.TestCase):
    def test_every_number_of_an_exit_has_a_row(self) -> None:
        exits = Spec(ROOT / "spec", Errors()).model("exit_reasons")
        numbers = [f"vmx-exit-{number.value}" for number, _ in exits.vmx]
        numbers += [f"svm-exit-{number.value:#04x}" for number, _ in exits.svm]
        self.assertGreater(len(numbers), 200)
        self.assertEqual(set(numbers) - set(documents()["exits.html"].ids), set())


class Referrers(unittest.TestCase):
    """Links work in both directions."""

    def test_both_ends(self) -> None:
        for here, there in (
                (href("exit", "hlt"), href("control", "hlt")),
                (href("vmcs", "proc_controls"), href("control", "hlt")),
                (href("cpuid", "smep"), href("bit", "cr4", "20")),
                (href("cpuid", "mtrr"), href("msr", "mtrrcap")),
                (href("register", "cr3"), href("vmcs", "guest_cr3")),
                (href("register", "cr3"), href("vmcb", "cr3")),
                (href("exit", "hlt"), href("source", "APM 2 15.9")),
                (href("insn", "cpuid"), href("exit", "cpuid")),
                (href("vmcs", "guest_cr3"), href("check", "vmx", "guest_cr3_width")),
                (href("control", "nested_paging"), href("check", "vmx", "ept_levels")),
                (href("vmcb", "guest_asid"), href("check", "svm", "asid_not_zero"))):
            for one, other in ((here, there), (there, here)):
                page, _, name = one.partition("#")
                self.assertIn(other, row_links(page, name), one)


def row_links(page: str, name: str) -> list[str]:
    """The links of the row or section with that id: up to the next one."""
    document = documents()[page]
    found: list[str] = []
    inside = False
    for tag, values in document.tags:
        if tag in ("tr", "section"):
            inside = values.get("id") == name
        elif inside and tag == "a":
            found.append(values["href"])
    return found


if __name__ == "__main__":
    unittest.main()
