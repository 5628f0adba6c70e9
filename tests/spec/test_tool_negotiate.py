# SPDX-License-Identifier: ISC
"""vmmspec's negotiation of VMX controls, against the generated C that the driver runs."""

from __future__ import annotations

import random
import subprocess
import unittest

from gen.model.vmx_controls import VmxWord
from gen.tool.decode.negotiate import Offer, choose, offer_of
from gen.tool.tables import Tables
from tests.gen.tools import ROOT, generated, scratch

ROUNDS = 400
TRUE_CONTROLS = 1 << 55  # of vmx_basic


def build() -> str:
    """The C side, as a program."""
    program = scratch() / "negotiate"
    made = generated()
    include = ["tests/unit/sim", "tests/unit", "src/core", "src/svm", "src",
               str(made / "include"), str(made / "gen")]
    sim = [word for path in sorted((ROOT / "tests" / "unit" / "sim").glob("*.h"))
           for word in ("-include", str(path))]
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
         *(f"-I{path}" for path in include), *sim, "-o", str(program),
         "tests/spec/negotiate.c", str(made / "gen" / "vmx_controls.c")],
        cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return str(program)


def capability(word: VmxWord, chance: random.Random) -> int:
    """Of a CPU that can do nearly everything, and insists on little but what is reserved."""
    must, may = word.mask("default1"), (1 << word.field.width) - 1
    for control in word.controls:
        if chance.random() < 0.1:
            may &= ~control.mask | must
        if control.policy != "refused" and chance.random() < 0.02:
            must |= control.mask & may
        if control.policy == "refused" and chance.random() < 0.002:
            must |= control.mask & may
    return may if word.wide else may << 32 | must


def kinder(word: VmxWord, value: int) -> int:
    """The same with what the driver insists on."""
    needs = word.mask("required") | word.mask("dynamic")
    return value | (needs if word.wide else needs << 32)


def negotiated(words: tuple[VmxWord, ...], capabilities: dict[str, int]) -> str:
    """What the driver would do, by choose()."""
    values: dict[str, int] = {}
    for word in words:
        if not word.msr:
            offer = Offer(0, (1 << word.field.width) - 1)
        elif word.active is not None and not values[word.active.word] & word.active.mask:
            offer = Offer(0, 0)
        else:
            offer = offer_of(word, capabilities[word.true_msr or word.msr])
        values[word.name], missing = choose(word, offer)
        if missing:
            return missing
    return " ".join(f"{value:x}" for value in values.values())


class Negotiation(unittest.TestCase):
    def test_same_as_the_driver(self) -> None:
        tables = Tables()
        words = tables.controls.vmx.words
        index = {msr.name: msr.index for msr in tables.msrs.msrs}
        chance = random.Random(1)
        asked, expected = [], []
        for number in range(ROUNDS):
            found = {word.true_msr or word.msr: capability(word, chance)
                     for word in words if word.msr}
            if number % 2:
                found = {word.true_msr or word.msr: kinder(word, found[word.true_msr or word.msr])
                         for word in words if word.msr}
            asked += [f"{index['vmx_basic']:x} {TRUE_CONTROLS:x}"]
            asked += [f"{index[name]:x} {value:x}" for name, value in found.items()] + [""]
            expected.append(negotiated(words, found))
        done = subprocess.run([build()], input="\n".join(asked) + "\n", text=True,
                              capture_output=True, check=True)
        self.assertEqual(done.stdout.rstrip("\n").split("\n"), expected)
        taken = [text for text in expected if " " in text.replace(" = 0", "")]
        self.assertGreater(len(taken), ROUNDS // 10)
        self.assertGreater(len(set(expected) - set(taken)), 10)


if __name__ == "__main__":
    unittest.main()
