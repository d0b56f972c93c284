"""Settings and template agree: each function declares exactly the variables it reads."""

import re
from typing import Any

import pytest

from fluxgate import settings
from fluxgate.errors import SettingsInvalid
from tests.contract.test_template import FUNCTIONS, TEMPLATE
from tests.harness import EVENTS, Functions, event

CLASSES = [value for value in vars(settings).values() if hasattr(value, "_fields")]
OPTIONAL = {name.upper() for settings_class in CLASSES for name in settings_class._field_defaults}
FIELDS = {name.upper() for settings_class in CLASSES for name in settings_class._fields}
GLOBAL: dict[str, Any] = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
# Read by third-party packages, not by `settings`.
THIRD_PARTY = {"AWS_ENDPOINT_URL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
THIRD_PARTY |= {"PYDANTIC_DISABLE_PLUGINS"}
LOCAL_ONLY = {"ALLOW_LOCAL_URLS", "AWS_ENDPOINT_URL", "AWS_SDK_UA_APP_ID", "LOCAL_OWNER", "TIME_SCALE"}


def declared(function: str) -> set[str]:
    """The function's own variables, without the global ones."""
    return set(FUNCTIONS[function].get("Environment", {}).get("Variables", {}))


def folder(function: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


REQUIRED = [(folder(f), name) for f in FUNCTIONS for name in sorted(declared(f) - OPTIONAL)]


def test_template_declares_exactly_the_settings() -> None:
    assert (GLOBAL.keys() - THIRD_PARTY).union(*(declared(function) for function in FUNCTIONS)) == FIELDS


def test_global_variables_are_third_party_or_local() -> None:
    """A function declares all others itself."""
    assert GLOBAL.keys() == THIRD_PARTY | LOCAL_ONLY
    for function in FUNCTIONS:
        assert not declared(function) & GLOBAL.keys()


def test_local_variables_have_no_value_at_aws() -> None:
    for name, value in GLOBAL.items():
        assert (value == {"Ref": "AWS::NoValue"}) == (name in LOCAL_ONLY)
    for function in FUNCTIONS.values():
        assert {"Ref": "AWS::NoValue"} not in function.get("Environment", {}).get("Variables", {}).values()


@pytest.mark.parametrize(("function", "name"), REQUIRED)
def test_function_requires_every_variable_it_declares(functions: Functions, function: str, name: str) -> None:
    """Without the variable, at least one of the function's good events fails with an error that names it."""
    messages = []
    for path in sorted(EVENTS.glob(f"{function}.good_*.json")):
        functions.seed()
        try:
            functions.invoke(function, event(path.stem), **{name: ""})
        except SettingsInvalid as error:
            messages.append(str(error))
            break
    messages.append(functions.logs())  # the errors of failed records
    assert f"{name}: Field required" in "".join(messages)
