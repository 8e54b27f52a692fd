"""Pictures as JPEG: bytes, base64 text, and the data URLs of chat messages."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from kframes_plugin.prompt import Messages

if TYPE_CHECKING:
    from PIL import Image

LONG_SIDE = 768  # pixels: an hour of chat with pictures of 4K sits in memory, logs and checkpoints of an agent
QUALITY = 85


def jpeg(image: Image.Image, *, long_side: int | None = LONG_SIDE, quality: int = QUALITY) -> bytes:
    """A picture as JPEG, its long side at most that many pixels (never enlarged); None leaves its size.

    Raises:
        ValueError: long_side < 1 or quality outside 1..95.
    """
    if (long_side is not None and long_side < 1) or not 1 <= quality <= 95:
        raise ValueError(f"long_side must be at least 1 and quality in 1..95; got {long_side} and {quality}")
    small = image.convert("RGB")
    if long_side is not None:
        small.thumbnail((long_side, long_side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def base64_jpeg(image: Image.Image, *, long_side: int | None = LONG_SIDE, quality: int = QUALITY) -> str:
    """:func:`jpeg` as base64 text."""
    return base64.b64encode(jpeg(image, long_side=long_side, quality=quality)).decode("ascii")


def data_url(data: bytes) -> str:
    """JPEG bytes as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def with_data_urls(messages: Messages, *, long_side: int | None = None, quality: int = QUALITY) -> Messages:
    """Chat messages in OpenAI's form: their pictures as JPEG data URLs, everything else as it is.

    Args:
        messages: with content items ``{"type": "image", "image": PIL image}`` or ``{"type": "image", "jpeg": bytes}``;
            a "uuid" beside them is sent too.
        long_side, quality: as for :func:`jpeg`; bytes are sent as they are.
    """

    def sent(item: dict[str, Any]) -> dict[str, Any]:
        if item["type"] != "image":
            return item
        data = item["jpeg"] if "jpeg" in item else jpeg(item["image"], long_side=long_side, quality=quality)
        named = {"uuid": item["uuid"]} if "uuid" in item else {}
        return {"type": "image_url", "image_url": {"url": data_url(data)}, **named}

    return [{**message, "content": [sent(item) for item in message["content"]]} for message in messages]
