"""Writes docs/cost.md from the last benchmark run, the prices, the assumptions and the template."""

from __future__ import annotations

import json

from local.stack import ROOT
from tests.bench.cost.bill import HERE, CostModel, Deployment, MeasuredOperation, read_toml
from tests.bench.cost.document import render

RECORD = ROOT / "bench.json"  # the last benchmark run
DOCUMENT = ROOT / "docs/cost.md"


def cost_model() -> CostModel:
    operations = json.loads(RECORD.read_text())["operations"]
    return CostModel(
        operations={name: MeasuredOperation.of(name, measurement) for name, measurement in operations.items()},
        deployment=Deployment.read(),
        prices=read_toml(HERE / "prices.toml"),
        assumptions=read_toml(HERE / "assumptions.toml"),
    )


def main() -> None:
    DOCUMENT.write_text(render(cost_model()))


if __name__ == "__main__":
    main()
