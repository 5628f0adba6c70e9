# SPDX-License-Identifier: ISC
"""A table in which a number is found at the first look: no two of its keys share a slot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_BITS = 32
_TRIES = 1 << 12  # factors tried before the table grows
_GOLDEN = 0x9E3779B1  # 2^32 over the golden ratio: its multiples spread well


@dataclass(frozen=True)
class Slots:
    """The slot of a key is key * factor, 32 bits of it, shifted right."""

    factor: int
    shift: int

    @property
    def size(self) -> int:
        return 1 << _BITS - self.shift

    def slot(self, key: int) -> int:
        return (key * self.factor & (1 << _BITS) - 1) >> self.shift

    def spread(self, keys: Sequence[int]) -> Iterator[int | None]:
        """Slot by slot the index of the key there."""
        places = {self.slot(key): index for index, key in enumerate(keys)}
        return (places.get(slot) for slot in range(self.size))


def find(keys: Sequence[int]) -> Slots:
    """The smallest table that a factor is found for; with all 32 bits any odd one will do."""
    different = set(keys)
    for bits in range(max(1, (len(different) - 1).bit_length()), _BITS + 1):
        for odd in range(1, 2 * _TRIES, 2):
            slots = Slots(_GOLDEN * odd & (1 << _BITS) - 1, _BITS - bits)
            if len({slots.slot(key) for key in different}) == len(different):
                return slots
    raise AssertionError("a key has more than 32 bits")
