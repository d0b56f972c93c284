"""Validation errors as violations."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fluxgate.errors import InvalidRequest, Violation
from fluxgate.wire.validation import MESSAGES, validate_all, violations_of


class Address(BaseModel):
    city: str = Field(min_length=1)


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    addresses: list[Address] = []
    labels: dict[str, int] = {}


class Order(BaseModel):
    number: int


def errors(content: dict[str, Any]) -> list[Any]:
    with pytest.raises(ValidationError) as error:
        Person.model_validate(content)
    return list(error.value.errors())


@pytest.mark.parametrize(
    ("content", "violation"),
    [
        ({}, ("name", "This field is required.")),
        ({"name": ""}, ("name", "This field must not be empty.")),
        ({"name": "a", "colour": "red"}, ("colour", "Unknown field. Remove it.")),
        ({"name": 5}, ("name", "Input should be a valid string")),
        ({"name": "a", "addresses": [{"city": "b"}, {}]}, ("addresses.1.city", "This field is required.")),
        (
            {"name": "a", "labels": {"b": "x"}},
            ("labels.b", "Input should be a valid integer, unable to parse string as an integer"),
        ),
        ({"name": "a", "labels": {5: 1}}, ("labels.5", "Input should be a valid string")),
    ],
)
def test_violation_has_a_dotted_field_and_a_plain_message(content: dict[str, Any], violation: Violation) -> None:
    assert violations_of(errors(content)) == [violation]


def test_skip_drops_the_first_parts_of_each_location() -> None:
    details: list[dict[str, Any]] = [
        {"loc": ("body", "addresses", 0), "type": "missing", "msg": "?"},
        {"loc": ("body",), "type": "x", "msg": "m"},
    ]
    assert violations_of(details, skip=1) == [("addresses.0", MESSAGES["missing"]), ("", "m")]
    assert violations_of([]) == []


def test_valid_pairs_give_one_instance_each_in_order() -> None:
    assert validate_all((Person, {"name": "a"}), (Order, {"number": 1})) == [Person(name="a"), Order(number=1)]
    assert validate_all() == []


def test_invalid_pairs_raise_all_violations_after_the_given_ones() -> None:
    given = [("callback", "Unknown field. Remove it.")]
    with pytest.raises(InvalidRequest) as error:
        validate_all((Person, {"name": "", "colour": "red"}), (Order, {}), violations=given)
    assert error.value.violations == [
        ("callback", "Unknown field. Remove it."),
        ("name", "This field must not be empty."),
        ("colour", "Unknown field. Remove it."),
        ("number", "This field is required."),
    ]
    assert given == [("callback", "Unknown field. Remove it.")]


def test_given_violations_raise_even_if_every_pair_is_valid() -> None:
    with pytest.raises(InvalidRequest) as error:
        validate_all((Order, {"number": 1}), violations=[("", "Too many arguments.")])
    assert error.value.violations == [("", "Too many arguments.")]


def test_violations_do_not_quote_the_input() -> None:
    with pytest.raises(InvalidRequest) as error:
        validate_all((Order, {"number": "s3cret"}))
    assert "s3cret" not in f"{error.value} {error.value.violations}"
