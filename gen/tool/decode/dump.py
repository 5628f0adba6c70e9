# SPDX-License-Identifier: ISC
"""Dumps as people have them: 4096 raw bytes, hexdumps of several tools, lines of two numbers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gen.tool.tables import ToolError

PAGE = 4096

# A log's time stamp and words, an offset, and bytes or larger words.
_LINE = re.compile(r"(?:\[[^\]]*\]\s*)?(?:[^\s:]*[^\s:0-9a-fA-F][^\s:]*:\s+)*"
                   r"(?:0x)?([0-9a-fA-F]{3,16})(:?)\s+"
                   r"((?:[0-9a-fA-F]{2,8}\s{1,2})*[0-9a-fA-F]{2,8})(?:\s*$|\s\s+\S|\s+\|)")
_BARE = re.compile(r"(?:[0-9a-fA-F]{2})+\Z")


def read(name: str) -> bytes:
    """A file, or standard input for -."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ToolError(f"{name}: {error.strerror}") from None


def page(name: str) -> bytes:
    """The 4096 bytes of a dump."""
    raw = read(name)
    if len(raw) == PAGE and not _looks_like_text(raw):
        return raw
    if not _looks_like_text(raw):
        raise ToolError(f"{name}: {len(raw)} bytes: a VMCB has {PAGE}")
    return _from_text(name, raw.decode("ascii"))


def _looks_like_text(raw: bytes) -> bool:
    return bool(raw) and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in raw)


def _from_text(name: str, text: str) -> bytes:
    found = bytearray()
    repeat = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("|")[0].rstrip() if "|" in line else line.rstrip()
        if not words:
            continue
        if words.strip() == "*":
            repeat = True
            continue
        if _BARE.match(words) and len(words) > 16:
            found += bytes.fromhex(words)
            continue
        offset, data = _hex_line(name, number, words)
        if repeat and found:
            last = bytes(found[-16:])
            while len(found) < offset:
                found += last
        repeat = False
        if offset != len(found):
            raise ToolError(f"{name}:{number}: offset {offset:#x} follows {len(found):#x} bytes")
        found += data
    if len(found) != PAGE:
        raise ToolError(f"{name}: {len(found)} bytes: a VMCB has {PAGE}")
    return bytes(found)


def _hex_line(name: str, number: int, line: str) -> tuple[int, bytes]:
    if re.fullmatch(r"[0-9a-fA-F]{3,16}:?", line):  # the end, as hexdump prints it
        return int(line.rstrip(":"), 16), b""
    found = _LINE.match(line + "\n")
    if found is None:
        raise ToolError(f"{name}:{number}: no line of a hexdump")
    words = found[3].split()
    # xxd has a colon and the bytes in order; hexdump and od print little-endian words.
    swap = not found[2] and len(words[0]) > 2
    data = b"".join(bytes.fromhex(word)[::-1] if swap else bytes.fromhex(word) for word in words)
    return int(found[1], 16), data


def pairs(name: str) -> Iterator[tuple[int, str, int]]:
    """(line, field, value) of a VMCS dump; # begins a comment."""
    try:
        text = read(name).decode("ascii")
    except UnicodeDecodeError:
        raise ToolError(f"{name}: no text: a VMCS dump has lines ENCODING VALUE") from None
    for number, line in enumerate(text.splitlines(), 1):
        words = re.split(r"[\s:=,]+", line.split("#")[0].strip())
        if words == [""]:
            continue
        if len(words) != 2:
            raise ToolError(f"{name}:{number}: {len(words)} words: ENCODING VALUE, or NAME VALUE")
        try:
            yield number, words[0], int(words[1], 16)
        except ValueError:
            raise ToolError(f"{name}:{number}: '{words[1]}' is no hexadecimal number") from None
