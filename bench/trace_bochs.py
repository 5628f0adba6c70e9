# SPDX-License-Identifier: ISC
"""What Bochs's debugger traced, in the form of trace_qemu.c:

    python3 -m bench.trace_bochs SCREEN-LOG > TRACE

Bochs numbers the instructions, and a number is used up when an event takes the place
of one. More that are missing are an error, except while the CPU is halted.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator

STEP = re.compile(r"\(0\)\.\[(\d+)\] \[0x[0-9a-f]+\] [0-9a-f]+:([0-9a-f]+) \([^)]*\): "
                  r"(.*?) +; [0-9a-f]+")
MARK = "xchg bx, bx"
WAITS = ("hlt", "mwait")
START, STOP = "Tracing enabled", "Tracing disabled"


def convert(lines: list[str]) -> Iterator[str]:
    tracing, last, text = False, 0, ""
    for line in lines:
        if START in line:
            tracing, last = True, 0
        elif STOP in line and tracing:
            tracing = False
            yield "end"
        elif tracing and (step := STEP.search(line)):
            number = int(step[1])
            if last and number - last > 2 and text not in WAITS:
                raise SystemExit(f"Bochs's trace goes from {last} to {number}")
            last, address, text = number, step[2], step[3]
            if text != MARK:
                yield f"{address} {text}"


def main() -> None:
    for line in convert(Path(sys.argv[1]).read_text(errors="replace").splitlines()):
        print(line)


if __name__ == "__main__":
    main()
