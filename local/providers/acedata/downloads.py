"""Responses to image downloads: the image, or the fault that its task's behaviour injects."""

from collections.abc import Callable, Iterator
from http import HTTPStatus

from local.providers.acedata.behaviour import Behaviour, ImageFault
from local.providers.acedata.records import Image
from local.providers.listener import HttpResponse

_STATUSES = {ImageFault.EXPIRED: 403, ImageFault.MISSING: 404, ImageFault.UNAVAILABLE: 503}


def html_page(status: int) -> HttpResponse:
    """An HTML page as gateways and CDNs send it."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return HttpResponse(status, "text/html", f"<!doctype html><title>{title}</title><h1>{title}</h1>".encode())


def download(image: Image, *, redirected: bool, pause: Callable[[float], object]) -> HttpResponse:
    """The response to a download. `redirected` marks a request after a redirect, which gets the image itself.

    `pause` waits for a number of seconds.
    """
    behaviour = image.task.behaviour
    image.downloads += 1
    exhausted = behaviour.image_fault_times is not None and image.downloads > behaviour.image_fault_times
    if behaviour.image_fault is None or exhausted or redirected:
        return HttpResponse(200, image.content_type, image.content)
    if behaviour.image_fault in _STATUSES:
        return html_page(_STATUSES[behaviour.image_fault])
    return _faulty(image, behaviour.image_fault, pause)


def _faulty(image: Image, fault: ImageFault, pause: Callable[[float], object]) -> HttpResponse:
    behaviour, content, content_type = image.task.behaviour, image.content, image.content_type
    location = {"Location": f"/images/{image.name}?plain"}
    responses: dict[ImageFault, Callable[[], HttpResponse]] = {
        ImageFault.WRONG_TYPE: lambda: HttpResponse(200, "text/plain", content),
        ImageFault.NOT_AN_IMAGE: lambda: HttpResponse(200, content_type, html_page(200).body),
        ImageFault.EMPTY: lambda: HttpResponse(200, content_type, b""),
        ImageFault.REDIRECT: lambda: HttpResponse(302, "text/html", b"", headers=location),
        ImageFault.TRUNCATED: lambda: HttpResponse(
            200, content_type, content[: len(content) // 2], length=len(content), headers={"Connection": "close"}
        ),
        ImageFault.SLOW: lambda: HttpResponse(
            200, content_type, _slowly(content, behaviour, pause), length=len(content)
        ),
        ImageFault.HUGE: lambda: HttpResponse(200, content_type, _padded(content, behaviour.huge_bytes)),
    }
    return responses[fault]()


def _slowly(content: bytes, behaviour: Behaviour, pause: Callable[[float], object]) -> Iterator[bytes]:
    for at in range(0, len(content), behaviour.image_chunk):
        yield content[at : at + behaviour.image_chunk]
        pause(behaviour.image_delay)


def _padded(content: bytes, size: int) -> Iterator[bytes]:
    yield content
    for at in range(len(content), size, 65536):
        yield bytes(min(size - at, 65536))
