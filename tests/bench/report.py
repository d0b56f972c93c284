"""Reports measurements and their targets: as a text table and as bench.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.bench.measurements import Measurement


@dataclass(frozen=True)
class Figure:
    """A measurement and its target, `most`. With `against`, the target applies to the ratio to `other`, measured in the
    same run. The field names are keys of bench.json."""

    name: str
    value: float
    unit: str
    most: float
    against: str | None = None
    other: float | None = None

    @property
    def result(self) -> float:
        """The value that the target applies to."""
        return self.value if self.other is None else self.value / self.other

    @property
    def meets_target(self) -> bool:
        return self.result <= self.most


def ratio(
    name: str, against: str, samples: Mapping[str, Sequence[float]], variants: tuple[str, str], most: float
) -> Figure:
    """The ratio of two medians. Samples are in seconds, the figure is in milliseconds."""
    value, other = (median(samples[variant]) * 1000 for variant in variants)
    return Figure(name, value, "ms", most, against, other)


def table(figures: Sequence[Figure]) -> str:
    rows = [("figure", "measured", "against", "", "ratio", "target", "")]
    for figure in figures:
        against = f"{figure.other:.1f} {figure.unit}" if figure.other is not None else ""
        rows.append(
            (
                figure.name,
                f"{figure.value:.1f} {figure.unit}",
                figure.against or "",
                against,
                f"{figure.result:.2f}" if figure.other is not None else "",
                f"≤ {figure.most:g}",
                "met" if figure.meets_target else "MISSED",
            )
        )
    return _aligned(rows)


def counts_table(measurements: Mapping[str, Measurement]) -> str:
    """Requests and items of each operation. Numbers of stored tasks with equal counts share a line."""
    rows: list[tuple[str, ...]] = [("operation", "tasks stored", "requests", "items read", "items written")]
    for name, measurement in measurements.items():
        sizes: dict[tuple[str, ...], list[str]] = {}
        for size, counts in measurement.counts.items():
            requests = ", ".join(f"{number} {request}" for request, number in counts.requests.items())
            found = (requests, str(counts.items_read), str(counts.items_written))
            sizes.setdefault(found, []).append(f"{size:,}")
        rows += [(name, " = ".join(same), *found) for found, same in sizes.items()]
    return _aligned(rows)


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write(path: Path, machine: Mapping[str, Any], figures: Sequence[Figure], more: Mapping[str, Any]) -> None:
    entries = [
        {**{name: _rounded(value) for name, value in asdict(figure).items()}, "result": _rounded(figure.result)}
        for figure in figures
    ]
    path.write_text(json.dumps({"machine": machine, "figures": entries, **more}, indent=2, ensure_ascii=False) + "\n")


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
