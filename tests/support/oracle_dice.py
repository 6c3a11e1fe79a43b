"""Seeded chance, quick enough to be asked a million times a second."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Dice:
    """The same seed throws the same numbers, on every Python."""

    def __init__(self, seed: str) -> None:
        """Begin anew."""
        self._throw = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """Return true as often as that."""
        return self._throw() < probability

    def number(self, low: int, high: int) -> int:
        """Return a number from low to high, both included."""
        return low + int(self._throw() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self._throw() * len(items))]

    def some(self, items: Sequence[T], low: int, high: int) -> list[T]:
        """Return `low` to `high` different items, in any order."""
        left = list(items)
        count = min(self.number(low, high), len(left))
        return [left.pop(int(self._throw() * len(left))) for _ in range(count)]
