# SPDX-License-Identifier: ISC
"""Tables without collisions, whatever the keys."""

from __future__ import annotations

import unittest

from gen.model import slots


class Find(unittest.TestCase):
    def check(self, keys: list[int]) -> slots.Slots:
        found = slots.find(keys)
        self.assertEqual(len({found.slot(key) for key in keys}), len(set(keys)))
        places = list(found.spread(keys))
        self.assertEqual(len(places), found.size)
        for key in keys:
            index = places[found.slot(key)]
            assert index is not None
            self.assertEqual(keys[index], key)
        self.assertEqual(sum(index is not None for index in places), len(set(keys)))
        return found

    def test_few(self) -> None:
        self.check([])
        self.check([0])
        self.check([0xFFFFFFFF])
        self.check([0, 1])
        self.check([0, 0x80000000])

    def test_runs_and_strays(self) -> None:
        self.check([*range(0x17), 0x40000000, 0x40000100, *range(0x80000000, 0x80000022)])
        self.check([1 << bit for bit in range(32)])
        self.assertLessEqual(self.check(list(range(0x1000, 0x1100))).size, 1024)

    def test_many(self) -> None:
        self.check([index * index * 2654435761 & 0xFFFFFFFF for index in range(1, 300)])

    def test_one_twice(self) -> None:
        self.check([7, 9, 7])

    def test_is_the_same_each_time(self) -> None:
        keys = [index * 7919 for index in range(60)]
        self.assertEqual(slots.find(keys), slots.find(list(reversed(keys))))
