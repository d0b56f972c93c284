"""Settings and template agree: what a function declares is read, and what is read is declared."""

import re
from typing import Any

import pytest

from fluxgate import settings
from fluxgate.errors import SettingsInvalid
from tests.contract.test_template import FUNCTIONS, TEMPLATE
from tests.harness import EVENTS, Functions, event

CLASSES = [kind for kind in vars(settings).values() if hasattr(kind, "_fields")]
OPTIONAL = {name.upper() for kind in CLASSES for name in kind._field_defaults}
FIELDS = {name.upper() for kind in CLASSES for name in kind._fields}
NOT_OURS = {"AWS_ENDPOINT_URL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
NOT_OURS |= {"PYDANTIC_DISABLE_PLUGINS"}


def variables(function: str) -> dict[str, Any]:
    """Those of its own: a function may do with those that all have."""
    own: dict[str, Any] = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    return own


def declared(function: str) -> set[str]:
    return set(variables(function))


def folder(function: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


REQUIRED = [(folder(f), name) for f in FUNCTIONS for name in sorted(declared(f) - OPTIONAL)]


def test_the_template_declares_exactly_the_settings_that_exist() -> None:
    everywhere = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"].keys()
    assert everywhere == {*NOT_OURS, "TIME_SCALE", "AWS_SDK_UA_APP_ID"}
    assert set().union(everywhere - NOT_OURS, *(declared(function) for function in FUNCTIONS)) == FIELDS


@pytest.mark.parametrize(("function", "name"), REQUIRED)
def test_a_function_declares_no_variable_that_it_does_not_need(functions: Functions, function: str, name: str) -> None:
    """Without it one of the function's good events fails, and says which variable it lacks."""
    said = []
    for path in sorted(EVENTS.glob(f"{function}.good_*.json")):
        functions.seed()
        try:
            functions.invoke(function, event(path.stem), **{name: ""})
        except SettingsInvalid as error:
            said.append(str(error))
    said.append(functions.logs())  # of records that failed
    assert f"{name}: Field required" in "".join(said)


def test_what_is_for_a_laptop_only_has_no_value_at_aws() -> None:
    places = [variables(function) for function in FUNCTIONS]
    places.append(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    for name in ("LOCAL_OWNER", "ALLOW_LOCAL_URLS", "AWS_ENDPOINT_URL", "TIME_SCALE", "AWS_SDK_UA_APP_ID"):
        values = [declared[name] for declared in places if name in declared]
        assert values
        assert all(value == {"Ref": "AWS::NoValue"} for value in values)
