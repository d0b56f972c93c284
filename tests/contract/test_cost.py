"""docs/cost.md, bench.json and calls.json agree with each other."""

import json

from tests.bench.calls import TABLE
from tests.bench.cost.__main__ import DOCUMENT, RECORD, cost_model
from tests.bench.cost.document import render


def test_cost_document_is_up_to_date() -> None:
    """If it is not, run `make cost`."""
    assert DOCUMENT.read_text() == render(cost_model())


def test_benchmark_counts_do_not_depend_on_the_number_of_stored_tasks() -> None:
    for operation in json.loads(RECORD.read_text())["operations"].values():
        first, *others = operation["counts"].values()
        assert len(others) >= 2
        assert all(counts == first for counts in others)


def test_benchmark_counts_equal_calls_json() -> None:
    """If they do not, run `make bench`."""
    measured = json.loads(RECORD.read_text())["operations"]
    assert {name: operation["counts"]["100"] for name, operation in measured.items()} == json.loads(TABLE.read_text())


def test_every_price_links_an_aws_page() -> None:
    prices = cost_model().prices
    services = {name: facts for name, facts in prices.items() if isinstance(facts, dict) and name != "images"}
    assert all(facts["page"].startswith("https://aws.amazon.com/") for facts in services.values())
