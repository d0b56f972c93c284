"""The Flux provider on a laptop: AceDataCloud's API over real HTTP, with its quirks and its failures on demand."""

from local.simulator.behaviour import DOCUMENTED, Answer, Behaviour, Form, ImageFault, Refusal
from local.simulator.records import Callback, Image, Submission, Task
from local.simulator.server import Simulator

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
