"""Models with their sizes and defaults."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, Protocol

Action = Literal["generate", "edit"]

MAX_COUNT = 4  # AceDataCloud documents no limit; its own page offers 1 to 4

COMMON_RATIOS = ("1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16")

_SIZE_OR_RATIO = r"\s*(\d{1,6})\s*([x:*/\u00d7])\s*(\d{1,6})\s*"


def _parse_size(text: str) -> tuple[int, int, bool] | None:
    """Two positive numbers and whether they form a ratio. None if the text is neither a size nor a ratio."""
    match = re.fullmatch(_SIZE_OR_RATIO, text, re.IGNORECASE)
    if not match or not int(match[1]) or not int(match[3]):
        return None
    return int(match[1]), int(match[3]), match[2] in ":/"


class SizeRule(Protocol):
    """The values that a model accepts as `size`."""

    @property
    def default(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def choices(self) -> tuple[str, ...]:
        """All accepted values, or common ones if there are too many to list."""

    def accepts(self, size: str) -> bool: ...
    def nearest(self, text: str) -> str:
        """The accepted size closest to `text`; the default if `text` is neither a size nor a ratio."""


@dataclass(frozen=True)
class Pixels:
    """`WxH`: both sides between `minimum` and `maximum`, in multiples of `step`."""

    minimum: int
    maximum: int
    step: int = 32
    default: str = "1024x1024"

    @property
    def description(self) -> str:
        return f"WIDTHxHEIGHT, both from {self.minimum} to {self.maximum} and multiples of {self.step}"

    @property
    def choices(self) -> tuple[str, ...]:
        """About one megapixel in common aspect ratios."""
        return tuple(self.nearest(ratio) for ratio in COMMON_RATIOS)

    def accepts(self, size: str) -> bool:
        match = re.fullmatch(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", size)
        sides = [int(side) for side in match.groups()] if match else []
        return bool(sides) and all(self.minimum <= side <= self.maximum and side % self.step == 0 for side in sides)

    def nearest(self, text: str) -> str:
        numbers = _parse_size(text)
        if not numbers:
            return self.default
        width, height, is_ratio = numbers
        scale = math.sqrt(1024 * 1024 / (width * height)) if is_ratio else 1
        return f"{self._side(width * scale)}x{self._side(height * scale)}"

    def _side(self, length: float) -> int:
        return min(max(round(length / self.step) * self.step, self.minimum), self.maximum)


@dataclass(frozen=True)
class Ratios:
    """One of the listed aspect ratios."""

    values: tuple[str, ...]
    default: str = "1:1"

    @property
    def description(self) -> str:
        return f"an aspect ratio, one of {', '.join(self.values)}"

    @property
    def choices(self) -> tuple[str, ...]:
        return self.values

    def accepts(self, size: str) -> bool:
        return size in self.values

    def nearest(self, text: str) -> str:
        numbers = _parse_size(text)
        if not numbers:
            return self.default
        wanted = math.log(numbers[0] / numbers[1])
        return min(self.values, key=lambda value: abs(_log_ratio(value) - wanted))


def _log_ratio(value: str) -> float:
    width, height = value.split(":")
    return math.log(int(width) / int(height))


@dataclass(frozen=True)
class Model:
    name: str
    description: str
    sizes: SizeRule


FLUX_1_PIXELS = Pixels(minimum=256, maximum=1440)
FLUX_2_PIXELS = Pixels(minimum=64, maximum=2048)
RATIOS = Ratios(("1:1", "16:9", "9:16", "4:3", "3:2", "2:3", "4:5", "5:4", "3:4", "21:9", "9:21"))

# The first six names and descriptions come from the tool's specification, the others from AceDataCloud's model list.
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("flux-dev", "Fast development model, good balance of speed and quality", FLUX_1_PIXELS),
        Model("flux-pro", "Higher quality production model", FLUX_1_PIXELS),
        Model("flux-pro-1.1", "Improved production model with better prompt following", FLUX_1_PIXELS),
        Model("flux-pro-1.1-ultra", "Highest quality, supports aspect ratios instead of pixel sizes", RATIOS),
        Model("flux-kontext-pro", "Context-aware model for editing and style transfer", RATIOS),
        Model("flux-kontext-max", "Maximum context model for complex editing tasks", RATIOS),
        Model("flux-2-flex", "FLUX.2, tuned for control over detail and typography", FLUX_2_PIXELS),
        Model("flux-2-pro", "FLUX.2, production quality", FLUX_2_PIXELS),
        Model("flux-2-max", "FLUX.2, highest quality", FLUX_2_PIXELS),
        Model("flux-2-klein", "FLUX.2, smallest and fastest", FLUX_2_PIXELS),
    )
}

# AceDataCloud's guide allows edits with the kontext models only; its own tool allows any model. fluxgate allows any
# model and reports a refusal to the client.
DEFAULT_MODEL: dict[Action, str] = {"generate": "flux-dev", "edit": "flux-kontext-pro"}
