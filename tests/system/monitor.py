# SPDX-License-Identifier: ISC
"""Commands for QEMU's monitor that the cases on the emulated machine ask for.

A line `# monitor in guest: COMMAND` among the results is such a request. It is carried out at a
moment when the CPU runs the guest of a test, found by its instruction pointer: whatever the
machine is doing, time does not matter. Ends with the emulator.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path

REQUEST = re.compile(r"^# monitor in guest: (.*)$", re.MULTILINE)
POINTER = re.compile(r"\bRIP=([0-9a-f]{16})")
PROMPT = b"(qemu) "
# Where tests/system/system.mk puts the guests: the host has nothing there.
GUESTS = range(0x8000, 0x40000)


class Monitor:
    """The human monitor, behind a socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        while self._socket.connect_ex(path) != 0:
            time.sleep(0.1)
        self._answer()

    def _answer(self) -> str:
        text = b""
        while not text.endswith(PROMPT):
            part = self._socket.recv(4096)
            if not part:
                raise EOFError("the emulator has ended")
            text += part
        return text.decode(errors="replace")

    def command(self, text: str) -> str:
        """What the emulator says to it."""
        self._socket.sendall(text.encode() + b"\n")
        return self._answer()

    def in_guest(self, text: str) -> None:
        """Do it while the CPU is in a guest."""
        while True:
            self.command("stop")
            pointer = POINTER.search(self.command("info registers"))
            if pointer and int(pointer[1], 16) in GUESTS:
                break
            self.command("cont")
            time.sleep(0.01)
        print(f"monitor: {text}: {self.command(text).splitlines()[1:-1]}", flush=True)
        self.command("cont")


def main(path: str, results: Path) -> None:
    """Carry out each request once."""
    monitor, done = Monitor(path), 0
    while True:
        text = results.read_text(errors="replace") if results.exists() else ""
        requests = REQUEST.findall(text.replace("\r", ""))
        for request in requests[done:]:
            monitor.in_guest(request)
        done = len(requests)
        monitor.command("info status")
        time.sleep(0.05)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except (EOFError, OSError):
        pass
