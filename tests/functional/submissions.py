"""A request to submit, and what the provider receives."""

from collections.abc import Callable

from local.providers.acedata import Submission
from tests.harness import event

GENERATE = event("submit_task.good_generate")

Received = Callable[[], list[Submission]]  # the submissions that the provider has received since the test began


def callback_of(submission: Submission) -> tuple[str, str]:
    """The task id and the token in the callback URL."""
    *_, task_id, token = submission.body["callback_url"].split("/")
    return task_id, token
