"""The vendor's validation of requests, written from its documentation and independent of fluxgate's catalogue."""

import re
from typing import Any
from urllib.parse import urlsplit

RATIOS = frozenset({"1:1", "16:9", "9:16", "4:3", "3:2", "2:3", "4:5", "5:4", "3:4", "21:9", "9:21"})
PIXEL_MODELS = frozenset({"flux-dev", "flux-pro", "flux-pro-1.1"})
RATIO_MODELS = frozenset({"flux-pro-1.1-ultra", "flux-kontext-pro", "flux-kontext-max"})
FLUX_2_MODELS = frozenset({"flux-2-flex", "flux-2-pro", "flux-2-max", "flux-2-klein"})
MODELS = PIXEL_MODELS | RATIO_MODELS | FLUX_2_MODELS
NEWEST_MODELS = MODELS - {"flux-pro-1.1", "flux-pro-1.1-ultra"}

_PIXELS = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})", re.ASCII)


def find_violation(request: object, models: frozenset[str] = MODELS) -> str | None:
    """The message of the first violation, or None. Unknown fields are ignored."""
    if not isinstance(request, dict):
        return "The body must be a JSON object."
    checks = (_action, _prompt, _model, _size, _count, _image_url, _callback_options)
    return next((message for check in checks if (message := check(request, models))), None)


def parse_pixels(size: str) -> tuple[int, int] | None:
    """Width and height of a size such as 1024x768, None if it has another form."""
    match = _PIXELS.fullmatch(size)
    return (int(match[1]), int(match[2])) if match else None


def _action(request: dict[str, Any], _: frozenset[str]) -> str | None:
    return None if request.get("action") in ("generate", "edit") else "action is invalid."


def _prompt(request: dict[str, Any], _: frozenset[str]) -> str | None:
    prompt = request.get("prompt")
    return None if isinstance(prompt, str) and prompt.strip() else "prompt is required."


def _model(request: dict[str, Any], models: frozenset[str]) -> str | None:
    model = request.get("model", "flux-dev")
    return None if isinstance(model, str) and model in models else "model is invalid."


def _size(request: dict[str, Any], _: frozenset[str]) -> str | None:
    size, model = request.get("size"), request.get("model", "flux-dev")
    if not isinstance(size, str):
        return "size is required."
    sides = parse_pixels(size)
    if model in RATIO_MODELS or (model in FLUX_2_MODELS and sides is None):
        return None if size in RATIOS else f"size is invalid for {model}."
    low, high = (64, 16384) if model in FLUX_2_MODELS else (256, 1440)
    valid = sides is not None and all(low <= side <= high and side % 32 == 0 for side in sides)
    return None if valid else f"size is invalid for {model}."


def _count(request: dict[str, Any], _: frozenset[str]) -> str | None:
    count = request.get("count")
    if count is None:
        return None
    if request["action"] != "generate":
        return "count is only supported for generate."
    return None if type(count) is int and 1 <= count <= 4 else "count is invalid."


def _image_url(request: dict[str, Any], _: frozenset[str]) -> str | None:
    if request["action"] != "edit":
        return None
    return None if _is_url(request.get("image_url")) else "image_url is required."


def _callback_options(request: dict[str, Any], _: frozenset[str]) -> str | None:
    if "callback_url" in request and not _is_url(request["callback_url"]):
        return "callback_url is invalid."
    return None if isinstance(request.get("async", False), bool) else "async is invalid."


def _is_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
