"""Settings and template agree: a function reads every variable it declares and declares every variable it reads."""

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
GLOBAL: dict[str, Any] = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
# Read by the packages we use, not by `settings`.
THIRD_PARTY = {"AWS_ENDPOINT_URL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
THIRD_PARTY |= {"PYDANTIC_DISABLE_PLUGINS"}
LOCAL_ONLY = {"ALLOW_LOCAL_URLS", "AWS_ENDPOINT_URL", "AWS_SDK_UA_APP_ID", "LOCAL_OWNER", "TIME_SCALE"}


def declared(function: str) -> set[str]:
    """The function's own variables, without the global ones."""
    return set(FUNCTIONS[function].get("Environment", {}).get("Variables", {}))


def folder(function: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


REQUIRED = [(folder(f), name) for f in FUNCTIONS for name in sorted(declared(f) - OPTIONAL)]


def test_the_template_declares_exactly_the_settings_that_exist() -> None:
    assert (GLOBAL.keys() - THIRD_PARTY).union(*(declared(function) for function in FUNCTIONS)) == FIELDS


def test_a_global_variable_is_third_party_or_local() -> None:
    """Whatever else a function reads it declares itself."""
    assert GLOBAL.keys() == THIRD_PARTY | LOCAL_ONLY
    for function in FUNCTIONS:
        assert not declared(function) & GLOBAL.keys()


def test_a_local_variable_has_no_value_at_aws() -> None:
    for name, value in GLOBAL.items():
        assert (value == {"Ref": "AWS::NoValue"}) == (name in LOCAL_ONLY)
    for function in FUNCTIONS.values():
        assert {"Ref": "AWS::NoValue"} not in function.get("Environment", {}).get("Variables", {}).values()


@pytest.mark.parametrize(("function", "name"), REQUIRED)
def test_a_function_needs_every_variable_it_declares(functions: Functions, function: str, name: str) -> None:
    """Without it, one of the function's good events fails with an error that names the variable."""
    messages = []
    for path in sorted(EVENTS.glob(f"{function}.good_*.json")):
        functions.seed()
        try:
            functions.invoke(function, event(path.stem), **{name: ""})
        except SettingsInvalid as error:
            messages.append(str(error))
    messages.append(functions.logs())  # errors of failed records are logged
    assert f"{name}: Field required" in "".join(messages)
