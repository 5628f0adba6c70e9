# SPDX-License-Identifier: ISC
"""What becomes of one mutant: Trial(...).judge(mutant).

First the generator has it, in this process: it may refuse. Then the code that it gives is
compared with that of the real specification, comments left out: it may be the same. Then what uses
a name that is gone is compiled, and the tests that contain any of what is different are built and
run, the cheapest first, until one fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gen.__main__ import build
from gen.errors import Errors
from gen.outputs import OUTPUTS, Output
from gen.render import render
from gen.spec import Spec
from gen.validate import validate
from tests.gen.tools import ROOT, SPEC, valid
from tests.spec.mutants import Mutant

UNIT = ROOT / "build" / "spec" / "unit"  # what `make spec-unit` builds
LIMIT = 60  # seconds for one test program; the slowest takes two
COMPILE_SECONDS = 0.1  # what one object costs, to see which program is the cheapest
QUICK_SECONDS = 1.0  # programs that cost more are for mutants that all others let pass

# Who caught it.
VALIDATOR, COMPILER, TEST = "validator", "compiler", "test"
# Who did not: there is nothing to catch, or there is.
EQUIVALENT, SURVIVOR = "equivalent", "survivor"
# The generator must refuse what is wrong, not fall over it.
CRASH = "crash"

# Tests in Python of what is not linked into any program, by the output that they are about.
PYTHON_TESTS = {
    "include/machine/vmmvar.h": [f"tests.gen.test_vmmvar.{name}"
                                 for name in ("Layout", "Requests", "Constants")],
}

# Comments that begin with ! are re2c's rules.
_NOT_CODE = re.compile(r'("(?:[^"\\\n]|\\.)*")|/\*(?!!).*?\*/|\s+', re.DOTALL)
_NAME = re.compile(r"\b[A-Za-z_]\w+\b")


@dataclass(frozen=True)
class Verdict:
    """`by` names what caught it: the first message, the object or the test."""

    fate: str
    by: str = ""

    @property
    def caught(self) -> bool:
        return self.fate in (VALIDATOR, COMPILER, TEST)


@dataclass(frozen=True)
class Program:
    """A unit test, and what it is linked from."""

    name: str
    objects: frozenset[str]
    seconds: float


class Bench:
    """The unit tests as `make spec-unit` built them: their parts, and what each was made from."""

    def __init__(self) -> None:
        commands = (UNIT / "commands").read_text(encoding="utf-8").splitlines()
        self.compile, self.link = (line.split() for line in commands)
        self.sources: dict[str, str] = {}
        self.users: dict[str, set[str]] = {}
        for path in sorted((UNIT / "obj").rglob("*.d")):
            self._read(path)
        self._names = {name: set(_NAME.findall((ROOT / source).read_text(encoding="utf-8")))
                       for name, source in self.sources.items()}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self.programs = list(pool.map(self._program, sorted(UNIT.glob("*.map"))))

    def _read(self, path: Path) -> None:
        """One dependency file of the compiler: OBJECT: SOURCE HEADER..."""
        rule = path.read_text(encoding="utf-8").replace("\\\n", " ").split("\n", 1)[0]
        target, _, rest = rule.partition(":")
        needs = rest.split()
        name = str(Path(target).relative_to(UNIT.relative_to(ROOT)))
        self.sources[name] = needs[0]
        for need in needs:
            if need.startswith("build/"):
                self.users.setdefault(need.removeprefix("build/"), set()).add(name)

    def mention(self, names: set[str]) -> set[str]:
        """Objects whose sources have one of the names in them, most often because they need it."""
        return {name for name, words in self._names.items() if words & names}

    def _program(self, path: Path) -> Program:
        text = path.read_text(encoding="utf-8")
        direct = re.findall(r"^LOAD \S+?/(obj/\S+\.o)$", text, re.MULTILINE)
        members = set(re.findall(r"libvmm\.a\((\S+?\.o)\)", text))
        inside = [name for name in self.sources if Path(name).name in members]
        if len(inside) != len(members):
            raise AssertionError(f"{path}: two objects have one name")
        program = UNIT / path.stem
        start = time.monotonic()
        done = subprocess.run([program], cwd=ROOT, timeout=LIMIT, check=False,
                              # A busy machine is no failure.
                              env={**os.environ, "CK_DEFAULT_TIMEOUT": str(LIMIT)},
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AssertionError(f"{path.stem} fails on the specification as it is")
        return Program(path.stem, frozenset([*direct, *inside]), time.monotonic() - start)


class Trial:
    """A place of its own to try mutants in, one after the other."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self._bench = bench
        self._dir = directory
        shutil.rmtree(directory, ignore_errors=True)
        for name in ("gen", "include"):
            shutil.copytree(ROOT / "build" / name, directory / name)
        self._spec = valid()
        self._outputs = tuple(output for output in OUTPUTS
                              if output.dest.startswith(("gen/", "include/")))
        self._texts = render(self._spec, self._outputs)

    def judge(self, mutant: Mutant, thorough: bool) -> Verdict:
        """`thorough`: with the costly programs too, when no other has caught it."""
        errors = Errors()
        try:
            texts = self._generate(mutant, errors)
        except Exception as error:  # pylint: disable=broad-except
            return Verdict(CRASH, f"{type(error).__name__}: {error}")
        if len(errors):
            return Verdict(VALIDATOR, errors.lines()[0])
        changed = {dest: text for dest, text in texts.items()
                   if _code(text) != _code(self._texts[dest])}
        return self._run(changed, thorough) if changed else Verdict(EQUIVALENT)

    def _generate(self, mutant: Mutant, errors: Errors) -> dict[str, str]:
        """Those outputs that the file of the mutant has a part in."""
        file, known = mutant.file, self._spec
        doc = mutant.apply(known.docs[file])
        if not validate(doc, ROOT / "gen" / "schema" / f"{file}.json", errors):
            return {}
        spec = Spec(SPEC, errors, {**known.docs, file: doc},
                    {name: model for name, model in known.models.items()
                     if file not in known.needs[name]})
        build(spec)
        return {} if len(errors) else render(spec, self._reached(file))

    def _reached(self, file: str) -> tuple[Output, ...]:
        return tuple(output for output in self._outputs
                     if any(file in self._spec.needs[model] for model in output.models))

    # --- Building and running -----------------------------------------------------

    def _run(self, changed: dict[str, str], thorough: bool) -> Verdict:
        try:
            self._put(changed)
            return self._build_and_test(changed, thorough)
        finally:
            self._put({dest: self._texts[dest] for dest in changed})
            shutil.rmtree(self._dir / "obj", ignore_errors=True)

    def _put(self, texts: dict[str, str]) -> None:
        for dest, text in texts.items():
            (self._dir / dest).write_text(text, encoding="utf-8")

    def _build_and_test(self, changed: dict[str, str], thorough: bool) -> Verdict:
        stale: set[str] = set()
        for dest in changed:
            if dest.endswith(".re"):
                if not self._scanner(dest):
                    return Verdict(COMPILER, dest)
                dest = dest.removesuffix(".re") + ".c"
            stale |= self._bench.users.get(dest, set())
        new: set[str] = set()
        for name in sorted(stale & self._bench.mention(self._gone(changed))):
            if not self._compile(name):
                return Verdict(COMPILER, self._bench.sources[name])
            new.add(name)
        for dest in changed:
            if dest in PYTHON_TESTS and not self._python_passes(PYTHON_TESTS[dest]):
                return Verdict(TEST, PYTHON_TESTS[dest][0])
        return self._tests(stale, new, thorough)

    def _gone(self, changed: dict[str, str]) -> set[str]:
        """Names that are defined no more."""
        before = {name for dest in changed for name in _NAME.findall(self._texts[dest])}
        return before - {name for text in changed.values() for name in _NAME.findall(text)}

    def _tests(self, stale: set[str], new: set[str], thorough: bool) -> Verdict:
        def cost(program: Program) -> float:
            return program.seconds + COMPILE_SECONDS * len((program.objects & stale) - new)

        waiting = [program for program in self._bench.programs if program.objects & stale and
                   (thorough or cost(program) < QUICK_SECONDS)]
        while waiting:
            program = min(waiting, key=cost)
            waiting.remove(program)
            for name in sorted((program.objects & stale) - new):
                if not self._compile(name):
                    return Verdict(COMPILER, self._bench.sources[name])
                new.add(name)
            if not self._link(program, new):
                return Verdict(COMPILER, program.name)
            if not self._passes():
                return Verdict(TEST, program.name)
        return Verdict(SURVIVOR)

    def _scanner(self, dest: str) -> bool:
        source = self._dir / dest
        return _ok(["re2c", "-W", "-Werror", "--no-debug-info", "--no-generation-date", "-o",
                    str(source.with_suffix(".c")), str(source)])

    def _compile(self, name: str) -> bool:
        source = self._bench.sources[name]
        if source.startswith("build/"):
            source = str(self._dir / source.removeprefix("build/"))
        target = self._dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler, *options = self._bench.compile
        return _ok([compiler, f"-I{self._dir}/include", f"-I{self._dir}/gen", *options,
                    "-c", "-o", str(target), source])

    def _link(self, program: Program, new: set[str]) -> bool:
        objects = [str((self._dir if name in new else UNIT) / name)
                   for name in sorted(program.objects)] + [str(UNIT / "libvmm.a")]
        command = [word for part in self._bench.link
                   for word in (objects if part == "OBJECTS" else [part])]
        return _ok([*command, "-o", str(self._dir / "program")])

    def _python_passes(self, tests: list[str]) -> bool:
        return _ok([sys.executable, "-m", "unittest", *tests], GENERATED=str(self._dir))

    def _passes(self) -> bool:
        return _ok([str(self._dir / "program")])


def _ok(command: list[str], **environment: str) -> bool:
    """A hang is no success either."""
    try:
        return subprocess.run(command, cwd=ROOT, timeout=LIMIT, check=False,
                              env={**os.environ, **environment},
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _code(text: str) -> str:
    """C without comments and line ends."""
    return _NOT_CODE.sub(lambda found: found[1] or " ", text)
