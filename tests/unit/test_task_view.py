"""The task as clients see it."""

import pytest

from fluxgate.tasks.model import Image, Status
from fluxgate.wire.task import ImageView, PublicStatus, TaskView
from tests.builders import a_task


@pytest.mark.parametrize("status", Status)
def test_every_status_has_exactly_one_public_status(status: Status) -> None:
    public = PublicStatus.of(status)
    assert public in {"queued", "processing", "succeeded", "failed", "expired"}
    assert status in public.statuses
    assert sum(status in other.statuses for other in PublicStatus) == 1


def test_images_appear_only_when_the_task_has_succeeded() -> None:
    archived = Image(source_url="https://cdn/1", key="o/t/0.png", content_type="image/png", width=8, height=9, bytes=10)
    unarchived = Image(source_url="https://cdn/2", seed=3)
    images = (archived, unarchived)
    assert TaskView.of(a_task(status=Status.GENERATED, images=images), "signed:{}".format).images == []
    assert TaskView.of(a_task(status=Status.SUCCEEDED, images=images), "signed:{}".format).images == [
        ImageView(
            url="signed:o/t/0.png", seed=None, content_type="image/png", width=8, height=9, bytes=10, archived=True
        ),
        ImageView(url="https://cdn/2", seed=3, content_type=None, width=None, height=None, bytes=None, archived=False),
    ]
