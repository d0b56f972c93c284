"""Draws the simulator's images: a gradient that depends on prompt and seed, with the prompt as text."""

import hashlib
from functools import lru_cache
from io import BytesIO
from math import sqrt

from PIL import Image, ImageDraw, ImageFont

from local.providers.acedata.validation import parse_pixels

MEGAPIXEL = 1024 * 1024
_MAX_LINES = 10
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def dimensions(size: str) -> tuple[int, int]:
    """Width and height of an image: the requested pixels, or about one megapixel in the requested ratio."""
    if sides := parse_pixels(size):
        return sides
    across, down = (int(part) for part in size.split(":"))
    scale = sqrt(MEGAPIXEL / (across * down))
    return round(across * scale / 16) * 16, round(down * scale / 16) * 16


@lru_cache(maxsize=64)
def draw(text: str, footer: str, size: str, seed: int, image_format: str) -> bytes:
    """The bytes of an image file. Equal arguments give equal bytes."""
    width, height = dimensions(size)
    image = _background(width, height, f"{seed} {text}")
    _write(ImageDraw.Draw(image, "RGBA"), text, footer, width, height)
    out = BytesIO()
    image.save(out, image_format, **({"compress_level": 1} if image_format == "png" else {"quality": 85}))
    return out.getvalue()


def _background(width: int, height: int, key: str) -> Image.Image:
    """A gradient between four corner colours, chosen by the hash of `key`."""
    hues = hashlib.sha256(key.encode("utf-8", "replace")).digest()
    corners = Image.new("HSV", (2, 2))
    for at, spot in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        corners.putpixel(spot, ((hues[0] + hues[at] // 4) % 256, 110 + hues[at + 4] // 4, 90 + hues[at + 8] // 3))
    return corners.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, box=(0.5, 0.5, 1.5, 1.5))


def _write(canvas: ImageDraw.ImageDraw, text: str, footer: str, width: int, height: int) -> None:
    """Draw the wrapped text in the middle and the footer at the bottom."""
    margin = max(4, min(width, height) // 14)
    font = ImageFont.load_default(max(8, min(width, height) // 16))
    small = ImageFont.load_default(max(8, min(width, height) // 40))
    block = "\n".join(_wrap(canvas, _printable(text), font, width - 2 * margin))
    middle = (width / 2, height / 2)
    left, top, right, bottom = canvas.multiline_textbbox(middle, block, font, anchor="mm", align="center")
    pad = margin // 2
    canvas.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), radius=pad, fill=(0, 0, 0, 70))
    canvas.multiline_text(middle, block, (255, 255, 255), font, anchor="mm", align="center")
    canvas.text((width / 2, height - margin / 2), footer, (255, 255, 255, 170), small, anchor="ms")


def _printable(text: str) -> str:
    """The text without control characters and lone surrogates, which Pillow cannot draw."""
    visible = "".join(c if c.isprintable() else " " for c in text[:2000])
    return visible.encode("utf-8", "replace").decode()


def _wrap(canvas: ImageDraw.ImageDraw, text: str, font: _Font, width: int) -> list[str]:
    """Lines that fit the width, at most _MAX_LINES. Longer words are split."""
    lines, line = [], ""
    for word in text.split():
        for piece in _pieces(canvas, word, font, width):
            longer = f"{line} {piece}".strip()
            if line and canvas.textlength(longer, font) > width:
                lines.append(line)
                longer = piece
            line = longer
        if len(lines) > _MAX_LINES:
            break
    lines.append(line)
    return [*lines[:_MAX_LINES], "…"] if len(lines) > _MAX_LINES else lines


def _pieces(canvas: ImageDraw.ImageDraw, word: str, font: _Font, width: int) -> list[str]:
    length = canvas.textlength(word, font)
    if length <= width:
        return [word]
    step = max(1, int(len(word) * width / length * 0.9))
    return [word[at : at + step] for at in range(0, len(word), step)]
