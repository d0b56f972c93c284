"""Converts validation errors to violations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from fluxgate.errors import InvalidRequest, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

# Plainer than pydantic's own messages.
MESSAGES = {
    "extra_forbidden": "Unknown field. Remove it.",
    "missing": "This field is required.",
    "string_too_short": "This field must not be empty.",
}


def violations_of(errors: Iterable[Mapping[str, Any]], skip: int = 0) -> list[Violation]:
    """From pydantic's error details, without the first `skip` parts of each location."""
    return [
        (
            ".".join(str(part) for part in error["loc"][skip:] if part != "[key]"),
            MESSAGES.get(error["type"], error["msg"]),
        )
        for error in errors
    ]


def validate_all(*pairs: tuple[type[BaseModel], Mapping[str, Any]], violations: Sequence[Violation] = ()) -> list[Any]:
    """One instance per pair of model and content. Raises InvalidRequest with the violations of all pairs, after those
    given."""
    found: list[Any] = []
    all_violations = list(violations)
    for model, content in pairs:
        try:
            found.append(model.model_validate(content))
        except ValidationError as error:
            all_violations += violations_of(error.errors(include_input=False))
    if all_violations:
        raise InvalidRequest(all_violations)
    return found
