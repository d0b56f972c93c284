"""A simulator of AceDataCloud's Flux API over real HTTP, with the API's quirks and with injected failures."""

from local.providers.acedata.behaviour import (
    DOCUMENTED,
    Behaviour,
    ErrorShape,
    ImageFault,
    Refusal,
    ResponseKind,
)
from local.providers.acedata.records import Callback, Image, Submission, Task
from local.providers.acedata.server import Simulator

__all__ = [
    "DOCUMENTED",
    "Behaviour",
    "Callback",
    "ErrorShape",
    "Image",
    "ImageFault",
    "Refusal",
    "ResponseKind",
    "Simulator",
    "Submission",
    "Task",
]
