# SPDX-License-Identifier: ISC
"""vmmspec as a program: in the tree, installed, in a pipe, and completed by a shell."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from gen.tool.completion import names
from gen.tool.decode import KINDS
from gen.tool.tables import Tables
from gen.tool.topics import TOPICS
from tests.gen.tools import ROOT, scratch
from tests.spec.tool import ask

Done = subprocess.CompletedProcess[str]


def start(*words: str, cwd: Path = ROOT) -> Done:
    return subprocess.run(words, cwd=cwd, text=True, capture_output=True, check=False,
                          env=dict(os.environ, COLUMNS="100"))


@functools.cache
def installed() -> Path:
    """What `make install` puts below PREFIX."""
    root = scratch()
    done = start("make", "-s", "install-spec-tool", f"DESTDIR={root}", "PREFIX=/usr",
                 f"BUILD={root / 'build'}", f"PYTHON={sys.executable}")
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return root / "usr"


class Program(unittest.TestCase):
    def test_three_ways_to_ask(self) -> None:
        expected = ask("explain", "msr", "0x1d9").out
        elsewhere = scratch()
        for command in ((sys.executable, "-m", "gen"), (sys.executable, "-m", "gen.tool")):
            self.assertEqual(start(*command, "explain", "msr", "0x1d9").stdout, expected)
        done = start(str(installed() / "bin" / "vmmspec"), "explain", "msr", "0x1d9",
                     cwd=elsewhere)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, expected, ""))

    def test_installed_without_the_tree(self) -> None:
        self.assertTrue((installed() / "share" / "man" / "man1" / "vmmspec.1").is_file())
        copy = scratch() / "usr"
        shutil.copytree(installed(), copy)
        done = start(str(copy / "bin" / "vmmspec"), "explain", "check", "event_type", cwd=copy)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(list(copy.rglob("__pycache__")), [])

    def test_the_generator_is_still_itself(self) -> None:
        done = start(sys.executable, "-m", "gen", "--help")
        self.assertIn("--stamp", done.stdout)

    def test_status(self) -> None:
        for words, status in (("explain exit 12", 0), ("explain exit nothing", 1), ("explain", 2)):
            self.assertEqual(start(sys.executable, "-m", "gen", *words.split()).returncode, status)

    def test_a_reader_that_leaves(self) -> None:
        done = start("bash", "-c", f"set -o pipefail; {sys.executable} -m gen explain cpuid | "
                                   "head -n 1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_manual_page(self) -> None:
        done = start("mandoc", "-Tlint", "-Wwarning", "docs/vmmspec.1")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        text = (ROOT / "docs" / "vmmspec.1").read_text(encoding="utf-8")
        said = {word for line in re.findall(r"^\.It Cm (.+)$", text, re.M)
                for word in re.split(r"[ ,]+", line)}
        self.assertLessEqual({*TOPICS, *KINDS, "explain", "decode", "diff", "completion"}, said)


class Completion(unittest.TestCase):
    def complete(self, *words: str) -> list[str]:
        """What bash offers for the last word."""
        script = installed() / "share" / "bash-completion" / "completions" / "vmmspec"
        line = " ".join(f"'{word}'" for word in ("vmmspec", *words))
        done = start("bash", "-c", f". {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
                                   "_vmmspec; printf '%s\\n' \"${COMPREPLY[@]}\"")
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands_and_topics(self) -> None:
        self.assertEqual(self.complete(""), ["explain", "decode", "diff", "completion"])
        self.assertEqual(self.complete("explain", ""), list(TOPICS))
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh"])
        self.assertEqual(self.complete("explain", "--j"), ["--json"])

    def test_names(self) -> None:
        self.assertEqual(self.complete("explain", "exit", "EPT_"),
                         ["EPT_VIOLATION", "EPT_MISCONFIGURATION"])
        self.assertEqual(self.complete("explain", "ioctl", "VMM_IOC_RU"), ["VMM_IOC_RUN"])
        self.assertEqual(self.complete("explain", "msr", "debugc"), ["debugctl"])
        self.assertIn("avx2", self.complete("explain", "cpuid", "avx"))
        self.assertIn("npf", self.complete("decode", "n"))
        self.assertEqual(self.complete("decode", "control", "proc"), ["proc", "proc2", "proc3"])

    def test_files(self) -> None:
        self.assertIn("README.md", self.complete("decode", "vmcb", "READM"))

    def test_every_name_that_is_offered_is_known(self) -> None:
        for key, words in names(Tables()).items():
            command, _, topic = key.partition(" ")
            if command == "explain" and topic:
                for word in words[::7]:
                    with self.subTest(topic=topic, word=word):
                        self.assertEqual(ask("explain", topic, word).status, 0)

    def test_every_name_is_offered(self) -> None:
        tables = Tables()
        found = names(tables)
        for topic in TOPICS.values():
            plain = {entry.name for entry in topic.entries(tables) if " " not in entry.name}
            self.assertEqual(set(found[f"explain {topic.name}"]), plain)

    def test_zsh(self) -> None:
        script = installed() / "share" / "zsh" / "site-functions" / "_vmmspec"
        text = script.read_text(encoding="utf-8")
        self.assertTrue(text.startswith("#compdef vmmspec\n"))
        self.assertIn("'explain exception' 'DE DB NMI", text)
        if shutil.which("zsh"):
            self.assertEqual(start("zsh", "-n", str(script)).stderr, "")


if __name__ == "__main__":
    unittest.main()
