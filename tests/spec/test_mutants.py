# SPDX-License-Identifier: ISC
"""Mutants of the specification are caught: a sample of them, and what the sample is made of."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from gen.errors import Errors
from gen.load import Map, load_file
from tests.spec import mutate
from tests.spec.mutants import mutants
from tests.spec.trial import CRASH, EQUIVALENT, SURVIVOR, TEST, VALIDATOR, Verdict

SHARE = 60  # one mutant in so many; with this the run takes a minute and a quarter on two CPUs

EXAMPLE = """# SPDX-License-Identifier: ISC
rows:
  - {name: one, bit: 4, policy: pass, of: [a, b], doc: The first., extra: true}
  - {name: two, bit: 7-5, policy: hidden, of: [a], doc: The second.}
  - {name: three, bit: 9, policy: pass, of: [b], doc: The third.}
checks:
  - {check: order, when: "a < 1 and not b", opcode: 0F A2 /4}
"""


def document(text: str) -> Map:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "example.yaml"
        path.write_text(text, encoding="utf-8")
        errors = Errors()
        doc = load_file(path, "example.yaml", errors)
        assert len(errors) == 0
        return doc


class Kinds(unittest.TestCase):
    """What is made of a small file."""

    def setUp(self) -> None:
        self.doc = document(EXAMPLE)
        self.mutants = {mutant.name: mutant for mutant in mutants("example", self.doc)}

    def test_every_fact_has_a_mutant(self) -> None:
        self.assertEqual(set(self.mutants), {f"example/{name}" for name in (
            "rows/one drop-row", "rows/two drop-row", "rows/three drop-row",
            "rows/one/bit swap", "rows/two/bit swap",
            "rows/one/name rename", "rows/two/name rename", "rows/three/name rename",
            "rows/one/bit number", "rows/two/bit number", "rows/three/bit number",
            "rows/one/policy word", "rows/two/policy word", "rows/three/policy word",
            "rows/one/of/a drop-item", "rows/one/of/b drop-item", "rows/two/of/a drop-item",
            "rows/three/of/b drop-item",
            "rows/one/of/a word", "rows/one/of/b word", "rows/two/of/a word",
            "rows/three/of/b word", "rows/one/extra drop-key",
            "checks/order drop-row", "checks/order/check rename", "checks/order/when operator",
            "checks/order/when operand", "checks/order/opcode opcode")})

    def test_only_the_fact_changes(self) -> None:
        before = repr(self.doc)
        for mutant in self.mutants.values():
            with self.subTest(mutant.name):
                changed = mutant.apply(self.doc)
                self.assertNotEqual(changed, self.doc)
                self.assertEqual(set(changed), set(self.doc))
                self.assertEqual(changed["rows"].line, self.doc["rows"].line)
        self.assertEqual(repr(self.doc), before)

    def test_a_swap_is_of_two(self) -> None:
        rows = self.mutants["example/rows/one/bit swap"].apply(self.doc)["rows"]
        self.assertEqual([row["bit"] for row in rows], ["7-5", 4, 9])

    def test_a_word_is_one_of_the_file(self) -> None:
        rows = self.mutants["example/rows/one/policy word"].apply(self.doc)["rows"]
        self.assertEqual(rows[0]["policy"], "hidden")

    def test_expressions(self) -> None:
        self.assertEqual(self.mutants["example/checks/order/when operand"].change,
                         "a < 1 and not b -> a < 0 and not b")
        self.assertIn(self.mutants["example/checks/order/when operator"].change.split(" -> ")[1],
                      ("a >= 1 and not b", "a < 1 or not b", "a < 1 and  b"))

    def test_other_rows_change_nothing(self) -> None:
        """A sample stays the same when rows come elsewhere."""
        longer = document(EXAMPLE.replace("rows:\n", "more: [{name: zero, bit: 1}]\nrows:\n"))
        changes = {mutant.name: mutant.change for mutant in mutants("example", longer)}
        for name, mutant in self.mutants.items():
            self.assertEqual(changes[name], mutant.change)


class Reports(unittest.TestCase):
    """What counts, and what is a failure."""

    def setUp(self) -> None:
        self.some = mutants("example", document(EXAMPLE))[:20]

    def report(self, *fates: tuple[str, int]) -> mutate.Report:
        words = [fate for fate, count in fates for _ in range(count)]
        return mutate.Report([(mutant, Verdict(fate))
                              for mutant, fate in zip(self.some, words, strict=False)])

    def test_equivalent_ones_do_not_count(self) -> None:
        report = self.report((VALIDATOR, 4), (TEST, 4), (EQUIVALENT, 8), (SURVIVOR, 2))
        self.assertEqual(report.rate(), 0.8)

    def test_a_survivor_that_is_not_listed(self) -> None:
        problems = self.report((VALIDATOR, 19), (SURVIVOR, 1)).problems()
        self.assertEqual(problems, [f"nobody catches {self.some[19].name}"])

    def test_too_few_are_caught(self) -> None:
        self.assertIn("90.0% are caught, not 95%",
                      self.report((VALIDATOR, 18), (SURVIVOR, 2)).problems())

    def test_a_generator_that_falls_over(self) -> None:
        self.assertEqual(self.report((VALIDATOR, 19), (CRASH, 1)).problems(),
                         [f"the generator falls over {self.some[19].name}"])


class Survivors(unittest.TestCase):
    def test_the_list_names_mutants(self) -> None:
        """A pattern of the list that no mutant has any more goes."""
        names = {mutant.name for mutant in mutate.all_mutants()}
        for pattern in mutate.patterns():
            self.assertTrue(mutate.matching(names, pattern), pattern)


class Sample(unittest.TestCase):
    maxDiff = None

    def test_mutants_are_caught(self) -> None:
        report = mutate.judge(mutate.sample(mutate.all_mutants(), SHARE))
        self.assertEqual(report.problems(), [], "see build/spec/mutants.txt")


if __name__ == "__main__":
    unittest.main()
