"""docs/cost.md is what its inputs say, and they agree with each other."""

import json

from tests.bench.calls import TABLE
from tests.bench.cost.__main__ import DOCUMENT, RECORD, books
from tests.bench.cost.document import written


def test_the_document_is_what_its_inputs_say() -> None:
    """If not: `make cost`."""
    assert DOCUMENT.read_text() == written(books())


def test_the_bench_has_counted_the_same_at_every_size() -> None:
    for operation in json.loads(RECORD.read_text())["operations"].values():
        first, *others = operation["counts"].values()
        assert len(others) >= 2
        assert all(counts == first for counts in others)


def test_the_bench_has_counted_what_the_table_says() -> None:
    """If not: the bench has to run again."""
    measured = json.loads(RECORD.read_text())["operations"]
    assert {name: operation["counts"]["100"] for name, operation in measured.items()} == json.loads(TABLE.read_text())


def test_every_price_has_its_page() -> None:
    services = {name: facts for name, facts in books().prices.items() if isinstance(facts, dict) and name != "pictures"}
    assert all(facts["page"].startswith("https://aws.amazon.com/") for facts in services.values())
