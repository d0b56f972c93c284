"""Writes docs/cost.md from what lies in the repository: the last run of the bench, prices, assumptions, template."""

from __future__ import annotations

import json

from local.stack import ROOT
from tests.bench.cost.bill import HERE, Books, Deployed, Operation, read
from tests.bench.cost.document import written

RECORD = ROOT / "bench.json"  # the last run of the bench
DOCUMENT = ROOT / "docs/cost.md"


def books() -> Books:
    """From what lies in the repository."""
    measured = json.loads(RECORD.read_text())["operations"]
    return Books(
        operations={name: Operation.of(name, found) for name, found in measured.items()},
        deployed=Deployed.read(),
        prices=read(HERE / "prices.toml"),
        assumed=read(HERE / "assumptions.toml"),
    )


def main() -> None:
    DOCUMENT.write_text(written(books()))


if __name__ == "__main__":
    main()
