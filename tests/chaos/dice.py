"""Chance that can be repeated: each decision follows from the seed and its own name, whatever thread asks first."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

Face = TypeVar("Face")


class Dice:
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def roll(self, *name: object) -> float:
        """From 0 up to, not including, 1."""
        digest = hashlib.sha256(repr((self._seed, *name)).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def chance(self, rate: float, *name: object) -> bool:
        return self.roll(*name) < rate

    def number(self, low: int, high: int, *name: object) -> int:
        """Between `low` and `high`, both included."""
        return low + int(self.roll(*name) * (high - low + 1))

    def pick(self, weights: Mapping[Face, float], *name: object) -> Face:
        """One of the keys, as often as its share of the weights says."""
        at = self.roll(*name) * sum(weights.values())
        for face, weight in weights.items():
            at -= weight
            if at < 0:
                return face
        return next(reversed(list(weights)))
