# SPDX-License-Identifier: ISC
"""A run as a whole: deterministic, all or nothing, quick, and idle when nothing changed."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from gen import __main__ as command
from gen.outputs import OUTPUTS
from gen.render import write
from tests.gen.tools import ROOT, SPEC, contents, generate, generated


class Run(unittest.TestCase):
    def test_two_hash_seeds_and_directories_give_the_same_bytes(self) -> None:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            deep = Path(two) / "a" / "b"
            self.assertEqual(generate(Path(one), seed="1").returncode, 0)
            self.assertEqual(generate(deep, seed="4711").returncode, 0)
            self.assertEqual(contents(Path(one)), contents(deep))

    def test_a_second_run_writes_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch)
            generate(out)
            before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
            done = generate(out)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            after = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
            self.assertEqual(before, after)

    def test_only_changed_files_are_written(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch)
            write(out, {"a.h": "a", "b/c.h": "c"})
            old = (out / "a.h").stat().st_mtime_ns
            self.assertEqual(write(out, {"a.h": "a", "b/c.h": "d"}), ["b/c.h"])
            self.assertEqual((out / "a.h").stat().st_mtime_ns, old)
            self.assertEqual(contents(out), {"a.h": b"a", "b/c.h": b"d"})

    def test_a_failed_write_changes_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch)
            write(out, {"a.h": "old", "b.h": "old"})
            real = Path.write_bytes

            def full(path: Path, data: bytes) -> int:
                if ".b.h." in path.name:
                    raise OSError(28, "no space")
                return real(path, data)

            with mock.patch.object(Path, "write_bytes", full), self.assertRaises(OSError):
                write(out, {"a.h": "new", "b.h": "new"})
            self.assertEqual(contents(out), {"a.h": b"old", "b.h": b"old"})

    def test_a_bug_is_status_2_with_a_trace(self) -> None:
        with mock.patch.object(command, "run", side_effect=KeyError("x")), \
                mock.patch("sys.argv", ["gen"]), \
                mock.patch("traceback.print_exc") as trace:
            self.assertEqual(command.main(), 2)
            trace.assert_called_once()

    def test_make_does_nothing_when_nothing_changed(self) -> None:
        """And makes again what has gone."""
        with tempfile.TemporaryDirectory() as scratch:
            make = ["make", "--no-print-directory", f"BUILD={scratch}/build", "generate"]
            environment = {name: value for name, value in os.environ.items()
                           if not name.startswith(("MAKE", "MFLAGS"))}

            def run() -> str:
                return subprocess.run(make, cwd=ROOT, env=environment, text=True, check=True,
                                      stdout=subprocess.PIPE).stdout

            run()
            times = {path: path.stat().st_mtime_ns for path in Path(scratch).rglob("*")}
            run()
            self.assertEqual(times,
                             {path: path.stat().st_mtime_ns for path in Path(scratch).rglob("*")})
            gone = Path(scratch) / "build" / OUTPUTS[0].dest
            gone.unlink()
            self.assertIn(str(gone), run())
            self.assertTrue(gone.exists())

    def test_comments_carry_nothing(self) -> None:
        """Nothing is read from comments: without them the output is the same."""
        with tempfile.TemporaryDirectory() as scratch:
            spec = Path(scratch) / "spec"
            spec.mkdir()
            for path in SPEC.glob("*.yaml"):
                first, *rest = path.read_text(encoding="utf-8").splitlines()
                lines = ["" if line.lstrip().startswith("#") else line for line in rest]
                (spec / path.name).write_text("\n".join([first, *lines, ""]), encoding="utf-8")
            out = Path(scratch) / "out"
            done = generate(out, spec)
            self.assertEqual(done.stderr, "")
            self.assertEqual(contents(out), contents(generated()))

    def test_every_file_says_where_it_comes_from(self) -> None:
        for output in OUTPUTS:
            with self.subTest(output.dest):
                top = (generated() / output.dest).read_text(encoding="utf-8")[:600]
                self.assertIn("SPDX-License-Identifier: ISC", top.splitlines()[0])
                self.assertIn("do not edit", top)
                self.assertIn("make generate", top)
                self.assertIn(output.template, top)

    def test_templates_and_outputs_agree(self) -> None:
        """No template without an output, no output twice."""
        used = {output.template for output in OUTPUTS}
        there = {path.name for path in (ROOT / "templates").iterdir() if path.is_file()}
        shared = {name for name in there if name.startswith("_")}
        self.assertEqual(there - shared, used)
        self.assertEqual(len({output.dest for output in OUTPUTS}), len(OUTPUTS))

    def test_every_spec_file_is_used(self) -> None:
        files = {path.stem for path in SPEC.iterdir()}
        schemas = {path.stem for path in (ROOT / "gen" / "schema").glob("*.json")}
        models = {model for output in OUTPUTS for model in output.models}
        self.assertEqual(files, schemas)
        self.assertLessEqual(files, models)


if __name__ == "__main__":
    unittest.main()
