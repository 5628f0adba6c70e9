# SPDX-License-Identifier: ISC
"""python3 -m gen.html [--spec DIR] [--out DIR]: 0 done, 1 the spec is wrong, 2 a bug here."""

from __future__ import annotations

import argparse
import gc
import sys
import traceback
from pathlib import Path

from gen.errors import Errors, SpecError
from gen.html.site import MODELS, files
from gen.render import write
from gen.spec import Spec


def run(spec_dir: Path, out_dir: Path) -> int:
    errors = Errors()
    spec = Spec(spec_dir, errors)
    for name in MODELS:
        try:
            spec.model(name)
        except SpecError:
            pass  # noted
    if len(errors):
        for line in errors.lines():
            print(line, file=sys.stderr)
        return 1
    texts = files(spec, spec_dir)
    for name in write(out_dir, texts):
        print(f"  HTML    {out_dir / name}")
    # What is not made any more would be found by nobody but a reader with an old link.
    for page in out_dir.glob("*.html"):
        if page.name not in texts:
            page.unlink()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="gen.html", description="Generate the HTML reference.")
    parser.add_argument("--spec", type=Path, default=Path("spec"), help="where the YAML is")
    parser.add_argument("--out", type=Path, default=Path("build/html"), help="where it goes")
    args = parser.parse_args()
    gc.disable()  # a run is short, and all it makes lives to its end
    try:
        return run(args.spec, args.out)
    except Exception:
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main())
