"""The simulator serves images in the requested size and format, with injected download faults."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import requests
from PIL import Image

from local.providers.acedata import ImageFault, Simulator
from tests.acedata import QUICK, submit


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(behaviour=QUICK) as simulator:
        yield simulator


def image_of(simulator: Simulator, **behaviour: Any) -> requests.Response:
    """The download of a new image."""
    simulator.behave(QUICK.but(**behaviour))
    return requests.get(submit(simulator)["data"][0]["image_url"], timeout=120)


@pytest.mark.parametrize(
    ("model", "size", "dimensions"),
    [
        ("flux-dev", "1024x1024", (1024, 1024)),
        ("flux-dev", "256x1440", (256, 1440)),
        ("flux-kontext-pro", "1:1", (1024, 1024)),
        ("flux-kontext-pro", "21:9", (1568, 672)),
        ("flux-pro-1.1-ultra", "9:16", (768, 1360)),
    ],
)
def test_images_have_the_requested_size(
    simulator: Simulator, model: str, size: str, dimensions: tuple[int, int]
) -> None:
    submitted = submit(simulator, model=model, size=size)
    response = requests.get(submitted["data"][0]["image_url"], timeout=120)
    assert response.headers["content-type"] == "image/png"
    with Image.open(BytesIO(response.content)) as image:
        assert (image.format, image.size) == ("PNG", dimensions)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_images_are_served_in_three_formats(simulator: Simulator, image_format: str) -> None:
    response = image_of(simulator, image_format=image_format)
    assert response.headers["content-type"] == f"image/{image_format}"
    with Image.open(BytesIO(response.content)) as image:
        assert image.format == image_format.upper()


@pytest.mark.parametrize(
    "prompt", ["日本語 العربية 🎉", "\ud800 \x00 \r\n \u202e", "x" * 5000, "many words " * 500, "e\u0301\u200d" * 50]
)
def test_any_prompt_can_be_drawn(simulator: Simulator, prompt: str) -> None:
    submitted = submit(simulator, prompt=prompt, size="256x256")
    assert requests.get(submitted["data"][0]["image_url"], timeout=120).status_code == 200
    assert submitted["data"][0]["prompt"] == prompt


def test_images_differ_by_seed_and_are_stable(simulator: Simulator) -> None:
    urls = [datum["image_url"] for datum in submit(simulator, count=2)["data"]]
    first, second, again = (requests.get(url, timeout=120).content for url in [*urls, urls[0]])
    assert first == again != second


@pytest.mark.parametrize(
    ("fault", "status"), [(ImageFault.EXPIRED, 403), (ImageFault.MISSING, 404), (ImageFault.UNAVAILABLE, 503)]
)
def test_image_downloads_can_fail_with_a_status(simulator: Simulator, fault: ImageFault, status: int) -> None:
    assert image_of(simulator, image_fault=fault).status_code == status


@pytest.mark.parametrize(
    ("fault", "is_faulty"),
    [
        (ImageFault.WRONG_TYPE, lambda r: r.headers["content-type"] == "text/plain" and r.content[1:4] == b"PNG"),
        (ImageFault.NOT_AN_IMAGE, lambda r: r.headers["content-type"] == "image/png" and b"html" in r.content),
        (ImageFault.EMPTY, lambda r: r.content == b""),
        (ImageFault.REDIRECT, lambda r: r.history[0].status_code == 302 and r.content[1:4] == b"PNG"),
        (ImageFault.HUGE, lambda r: len(r.content) == 500_000 and "content-length" not in r.headers),
    ],
)
def test_image_downloads_can_be_faulty(
    simulator: Simulator, fault: ImageFault, is_faulty: Callable[[requests.Response], bool]
) -> None:
    assert is_faulty(image_of(simulator, image_fault=fault, huge_bytes=500_000))


def test_an_image_download_can_be_truncated(simulator: Simulator) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        image_of(simulator, image_fault=ImageFault.TRUNCATED)


def test_an_image_download_can_be_slow(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(image_fault=ImageFault.SLOW, image_delay=60))
    url = submit(simulator)["data"][0]["image_url"]
    with requests.get(url, stream=True, timeout=1) as response:
        assert len(response.raw.read(64)) == 64
        with pytest.raises(requests.ConnectionError):
            list(response.iter_content(64))


def test_a_fault_can_be_limited_to_the_first_downloads(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(image_fault=ImageFault.UNAVAILABLE, image_fault_times=1))
    url = submit(simulator)["data"][0]["image_url"]
    assert [requests.get(url, timeout=120).status_code for _ in range(2)] == [503, 200]


def test_image_urls_start_with_the_public_url() -> None:
    with Simulator(public_url="http://host.docker.internal:{port}", behaviour=QUICK) as simulator:
        url = submit(simulator)["data"][0]["image_url"]
        assert url.startswith(f"http://host.docker.internal:{simulator.port}/images/")


def test_an_image_can_be_published_without_a_submission(simulator: Simulator) -> None:
    simulator.publish("sample.png", "a red fox", "512x512", 1)
    assert requests.get(f"{simulator.url}/images/sample.png", timeout=120).content[1:4] == b"PNG"
    assert not simulator.tasks
