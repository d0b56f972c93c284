"""How an image reaches whoever downloads it: whole, or with the fault that its task's behaviour names."""

from collections.abc import Callable, Iterator
from http import HTTPStatus

from local.providers.acedata.behaviour import Behaviour, ImageFault
from local.providers.acedata.listener import Reply
from local.providers.acedata.records import Image

_STATUSES = {ImageFault.EXPIRED: 403, ImageFault.MISSING: 404, ImageFault.UNAVAILABLE: 503}


def page(status: int) -> Reply:
    """The kind of HTML page that gateways and CDNs answer with."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return Reply(status, "text/html", f"<!doctype html><title>{title}</title><h1>{title}</h1>".encode())


def deliver(image: Image, *, plain: bool, pause: Callable[[float], object]) -> Reply:
    """Answer one download. `plain` asks for the picture itself, where a redirect has led; `pause` waits."""
    behaviour = image.task.behaviour
    image.downloads += 1
    over = behaviour.image_fault_times is not None and image.downloads > behaviour.image_fault_times
    whole = Reply(200, image.content_type, image.content)
    if behaviour.image_fault is None or over or plain:
        return whole
    if behaviour.image_fault in _STATUSES:
        return page(_STATUSES[behaviour.image_fault])
    return _spoilt(image, behaviour.image_fault, pause)


def _spoilt(image: Image, fault: ImageFault, pause: Callable[[float], object]) -> Reply:
    behaviour, content, content_type = image.task.behaviour, image.content, image.content_type
    replies: dict[ImageFault, Callable[[], Reply]] = {
        ImageFault.WRONG_TYPE: lambda: Reply(200, "text/plain", content),
        ImageFault.NOT_AN_IMAGE: lambda: Reply(200, content_type, page(200).body),
        ImageFault.EMPTY: lambda: Reply(200, content_type, b""),
        ImageFault.REDIRECT: lambda: Reply(302, "text/html", b"", headers={"Location": f"/images/{image.name}?plain"}),
        ImageFault.TRUNCATED: lambda: Reply(
            200, content_type, content[: len(content) // 2], length=len(content), headers={"Connection": "close"}
        ),
        ImageFault.SLOW: lambda: Reply(200, content_type, _slowly(content, behaviour, pause), length=len(content)),
        ImageFault.HUGE: lambda: Reply(200, content_type, _padded(content, behaviour.huge_bytes)),
    }
    return replies[fault]()


def _slowly(content: bytes, behaviour: Behaviour, pause: Callable[[float], object]) -> Iterator[bytes]:
    for at in range(0, len(content), behaviour.image_piece):
        yield content[at : at + behaviour.image_piece]
        pause(behaviour.image_delay)


def _padded(content: bytes, size: int) -> Iterator[bytes]:
    yield content
    for at in range(len(content), size, 65536):
        yield bytes(min(size - at, 65536))
