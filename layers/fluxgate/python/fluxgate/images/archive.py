"""Copies images from the provider into the bucket and detects their type by content."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import imagesize
from botocore.exceptions import BotoCoreError, ClientError

from fluxgate.errors import ImageUnavailable, StorageUnavailable
from fluxgate.images.download import download
from fluxgate.images.store import ImageStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from fluxgate.tasks.model import Image

MAX_BYTES = 50 * 1024 * 1024
IN_MEMORY_BYTES = 16 * 1024 * 1024  # larger images are buffered on disk


class ImageArchive(ImageStore):
    def __init__(self, s3: S3Client, bucket: str, *, allow_local: bool) -> None:
        super().__init__(s3, bucket)
        self._allow_local = allow_local

    def archive(self, image: Image, prefix: str, seconds: float) -> Image:
        """Copy one image to `{prefix}.{extension}`. Repeating overwrites the same object.

        Raises ImageUnavailable if it cannot be fetched within `seconds` or is not an image, and StorageUnavailable.
        """
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            download(image.source_url, file, max_bytes=MAX_BYTES, seconds=seconds, allow_local=self._allow_local)
            size = file.tell()
            extension, content_type = _detect_type(file)
            width, height = _dimensions(file)
            file.seek(0)
            key = f"{prefix}.{extension}"
            try:
                self._s3.put_object(
                    Bucket=self._bucket, Key=key, Body=file, ContentType=content_type, ContentLength=size
                )
            except (ClientError, BotoCoreError) as error:
                raise StorageUnavailable(type(error).__name__) from error
        return replace(image, key=key, content_type=content_type, width=width, height=height, bytes=size)


def _detect_type(file: IO[bytes]) -> tuple[str, str]:
    """Extension and content type by the first bytes. Headers are not trusted."""
    file.seek(0)
    head = file.read(12)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg", "image/jpeg"
    if head.startswith(b"RIFF") and head[8:] == b"WEBP":
        return "webp", "image/webp"
    raise ImageUnavailable("not_an_image", final=True)


def _dimensions(file: IO[bytes]) -> tuple[int, int]:
    file.seek(0)
    width, height = imagesize.get(file)
    if width <= 0 or height <= 0:
        raise ImageUnavailable("not_an_image", final=True)
    return width, height
