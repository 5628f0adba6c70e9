# SPDX-License-Identifier: ISC
"""The pages of the HTML reference are well-formed, legible, self-contained and reproducible."""

from __future__ import annotations

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from gen.html.citations import citations
from gen.html.content import plain
from gen.html.site import breakable
from tests.spec.html_site import documents, make, site

# tidy 5.6 knows the attributes of WAI-ARIA 1.0 only; this one is of 1.1.
YOUNGER = 'proprietary attribute "aria-current"'

# Foreground and background that occur together, and the contrast that WCAG 2.1 AA asks of text.
PAIRS = (("text", "page"), ("text", "panel"), ("text", "mark"), ("faint", "page"),
         ("faint", "panel"), ("faint", "mark"), ("link", "page"), ("link", "mark"),
         ("good", "page"), ("good", "mark"), ("bad", "page"), ("bad", "mark"))
CONTRAST = 4.5


class Valid(unittest.TestCase):
    def test_tidy_has_nothing_to_say(self) -> None:
        for path in sorted(site().glob("*.html")):
            result = subprocess.run(["tidy", "-q", "-e", str(path)], capture_output=True,
                                    text=True, check=False)
            said = [line for line in result.stderr.splitlines() if YOUNGER not in line]
            self.assertEqual(said, [], path.name)

    def test_tidy_notices(self) -> None:
        result = subprocess.run(["tidy", "-q", "-e"], input="<!DOCTYPE html><title>x</title>"
                                "<p><b>nested<i>wrongly</b></i><p id=a><p id=a>",
                                capture_output=True, text=True, check=False)
        self.assertIn("replacing unexpected b with </b>", result.stderr)
        self.assertIn('anchor "a" already defined', result.stderr)

    def test_nothing_comes_from_elsewhere(self) -> None:
        for path in site().iterdir():
            text = path.read_text(encoding="utf-8")
            self.assertNotRegex(text, r"https?://|@import|url\(", path.name)


class Accessible(unittest.TestCase):
    def test_language_and_viewport(self) -> None:
        for page, document in documents().items():
            self.assertIn(("html", {"lang": "en"}), document.tags, page)
            self.assertTrue(any(tag == "meta" and values.get("name") == "viewport"
                                for tag, values in document.tags), page)

    def test_one_heading_of_the_page_and_no_level_left_out(self) -> None:
        for page, document in documents().items():
            levels = [int(tag[1]) for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)]
            self.assertEqual(levels.count(1), 1, page)
            self.assertEqual(levels[0], 1, page)
            self.assertLessEqual(set(levels), {1, 2}, page)

    def test_every_input_has_a_label(self) -> None:
        for page, document in documents().items():
            labels = {values["for"] for tag, values in document.tags if tag == "label"}
            inputs = {values["id"] for tag, values in document.tags if tag == "input"}
            self.assertEqual(labels, inputs, page)

    def test_headings_of_tables_have_a_scope(self) -> None:
        for page, document in documents().items():
            scopes = {values.get("scope") for tag, values in document.tags if tag == "th"}
            self.assertEqual(scopes, {"col", "row"}, page)

    def test_contrast(self) -> None:
        for scheme, colours in schemes().items():
            for front, back in PAIRS:
                ratio = contrast(colours[front], colours[back])
                self.assertGreaterEqual(ratio, CONTRAST, f"{front} on {back}, {scheme}")

    def test_contrast_is_what_it_is(self) -> None:
        self.assertEqual(contrast("#000000", "#ffffff"), 21)
        self.assertLess(contrast("#777777", "#ffffff"), CONTRAST)
        self.assertGreater(contrast("#767676", "#ffffff"), CONTRAST)


def schemes() -> dict[str, dict[str, str]]:
    """The colours of style.css, light and dark."""
    text = (site() / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in blocks)
    return {"light": light, "dark": {**light, **dark}}


def contrast(front: str, back: str) -> float:
    """Of two colours, by WCAG 2.1."""
    bright, dim = sorted((luminance(front), luminance(back)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[index:index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


class Reproducible(unittest.TestCase):
    def test_the_same_bytes_whatever_the_hashes(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            again = Path(name)
            (again / "of-before.html").touch()
            make(again, seed="1")
            self.assertEqual({path.name for path in again.iterdir()},
                             {path.name for path in site().iterdir()})
            for path in again.iterdir():
                self.assertEqual(path.read_bytes(), (site() / path.name).read_bytes(), path.name)


class Parts(unittest.TestCase):
    def test_citations(self) -> None:
        for source, expected in (
                ("APM 2 15.9", ["APM 2 15.9"]),
                ("APM 2 15.21, B.1", ["APM 2 15.21", "APM 2 B.1"]),
                ("SDM 2A CPUID 07H; APM 3 E.3.6", ["SDM 2A CPUID 07H", "APM 3 E.3.6"]),
                (["APM 2 C", "SDM 3C 26.1.3"], ["APM 2 C", "SDM 3C 26.1.3"]),
                ({"apm": "3 MOV CRn", "sdm": "2B MOV"}, ["APM 3 MOV CRn", "SDM 2B MOV"]),
                ("PPR family 17h", ["PPR family 17h"]), ((), [])):
            self.assertEqual([item.text for item in citations(source)], expected)

    def test_sections_stand_in_the_order_of_the_manual(self) -> None:
        sections = [item for words in ("APM 2 B.1", "APM 2 15.9", "APM 3 CPUID", "APM 2 15.10",
                                       "PPR", "APM 2 15") for item in citations(words)]
        self.assertEqual([item.text for item in sorted(sections, key=lambda item: item.order)],
                         ["APM 2 15", "APM 2 15.9", "APM 2 15.10", "APM 2 B.1", "APM 3 CPUID",
                          "PPR"])

    def test_text_is_escaped(self) -> None:
        self.assertEqual(breakable("a_b<c>&d.e"), "a_<wbr>b&lt;c&gt;&amp;d.<wbr>e")
        self.assertEqual(plain(()), "")


if __name__ == "__main__":
    unittest.main()
