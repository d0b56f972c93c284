"""Repeatable randomness: each value depends only on the seed and its key, not on the order of threads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class RandomSource:
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def random(self, *key: object) -> float:
        """A number in [0, 1)."""
        digest = hashlib.sha256(repr((self._seed, *key)).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def chance(self, probability: float, *key: object) -> bool:
        return self.random(*key) < probability

    def randint(self, low: int, high: int, *key: object) -> int:
        """An integer between `low` and `high`, both inclusive."""
        return low + int(self.random(*key) * (high - low + 1))

    def choice(self, weights: Mapping[T, float], *key: object) -> T:
        """A key of `weights`, each with a probability proportional to its weight."""
        remaining = self.random(*key) * sum(weights.values())
        for option, weight in weights.items():
            remaining -= weight
            if remaining < 0:
                return option
        return next(reversed(list(weights)))
