# SPDX-License-Identifier: ISC
"""python3 -m gen [--spec DIR] [--out DIR]: 0 done, 1 the spec is wrong, 2 a bug here.

python3 -m gen COMMAND ...: vmmspec, see vmmspec(1).
"""

from __future__ import annotations

import argparse
import gc
import sys
import traceback
from pathlib import Path

from gen.errors import Errors, SpecError
from gen.outputs import OUTPUTS
from gen.render import render, write
from gen.spec import Spec, has_file


def build(spec: Spec) -> None:
    """Every model; what is wrong with one is noted and the others have their say too.

    Views of models have nothing to say, and may take it that all is right.
    """
    for name in sorted({model for output in OUTPUTS for model in output.models
                        if has_file(model)}):
        try:
            spec.model(name)
        except SpecError:
            pass


def run(spec_dir: Path, out_dir: Path) -> int:
    errors = Errors()
    spec = Spec(spec_dir, errors)
    build(spec)
    if len(errors) == 0:
        for dest in write(out_dir, render(spec, OUTPUTS)):
            print(f"  GEN     {out_dir / dest}")
        return 0
    for line in errors.lines():
        print(line, file=sys.stderr)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="gen", description="Generate code and manual from spec/.")
    parser.add_argument("--spec", type=Path, default=Path("spec"), help="where the YAML is")
    parser.add_argument("--out", type=Path, default=Path("build"), help="where the output goes")
    parser.add_argument("--stamp", type=Path, help="a file to list the outputs in")
    args = parser.parse_args()
    gc.disable()  # a run is short, and all it makes lives to its end
    try:
        status = run(args.spec, args.out)
        if status == 0 and args.stamp:
            args.stamp.write_text(" ".join(str(args.out / output.dest) for output in OUTPUTS))
        return status
    except Exception:
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    if sys.argv[1:2] and not sys.argv[1].startswith("-"):
        from gen.tool.cli import run as ask  # the generator needs none of it

        sys.exit(ask(sys.argv[1:]))
    sys.exit(main())
