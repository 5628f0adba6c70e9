# SPDX-License-Identifier: ISC
"""Numbers as people write them, and names as they mistype them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*|[0-9][0-9a-fA-F]*[hH])\Z")


def number(text: str) -> int | None:
    """0x30, 48, 0b11, 30h, with _ between digits; None when it is no number."""
    if not _NUMBER.match(text):
        return None
    try:
        if text[-1] in "hH":
            return int(text[:-1], 16)
        return int(text, 0) if text[:2].lower() in ("0x", "0b") else int(text)
    except ValueError:
        return None


def fold(name: str) -> str:
    """Names that differ only in case and in - or _ are the same."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def near(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """What somebody may have meant."""
    by_fold: dict[str, str] = {}
    for item in known:
        by_fold.setdefault(fold(item), item)
    wanted = fold(name)
    found = difflib.get_close_matches(wanted, by_fold, most, 0.7)
    if len(wanted) >= 3:
        found += [item for item in by_fold if item.startswith(wanted) and item not in found]
    return [by_fold[item] for item in found[:most]]


def hexadecimal(value: int, bits: int = 0) -> str:
    """0x and as many digits as a word of that many bits has."""
    return f"0x{value:0{bits // 4}x}"
