"""The Flux provider on a laptop: AceDataCloud's API over real HTTP, with its quirks and its failures on demand."""

from local.providers.acedata.behaviour import DOCUMENTED, Answer, Behaviour, Form, ImageFault, Refusal
from local.providers.acedata.records import Callback, Image, Submission, Task
from local.providers.acedata.server import Simulator

__all__ = [
    "DOCUMENTED",
    "Answer",
    "Behaviour",
    "Callback",
    "Form",
    "Image",
    "ImageFault",
    "Refusal",
    "Simulator",
    "Submission",
    "Task",
]
