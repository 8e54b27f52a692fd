"""Pictures of earlier tool calls in a chat: left out, or made small, so that they do not fill an agent's memory."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from kframes_plugin.chat.images import QUALITY, jpeg

Message = dict[str, Any]
Content = Sequence[Any]

IMAGES = ("image", "image_url", "input_image")  # types of blocks: LangChain, MCP and Anthropic; OpenAI's two
MOST_PIXELS = 1 << 26  # of a picture that is made smaller; a larger one is left out


def keep_last_images(
    messages: Sequence[Mapping[str, Any]], keep_last: int, *, long_side: int | None = None
) -> list[Message]:
    """A chat in which the last tool answers keep their pictures; texts, as the table of times, all stay.

    Args:
        messages: of OpenAI's chat completions or responses, Anthropic or any host of that form. They are not changed.
        keep_last: how many answers with pictures keep them, >= 0.
        long_side: pixels, >= 1, to which older pictures are scaled down; None leaves them out, and a line says so.
            A picture that is named by a URL takes no room, and stays where others are scaled down.

    Raises:
        ValueError: a number out of its range.
    """
    check_keep(keep_last, long_side)
    kept, left = [], keep_last

    def change(content: Content) -> list[Any]:
        nonlocal left
        if not has_images(content):
            return list(content)
        left -= 1
        return list(content) if left >= 0 else shrink_images(content, long_side)

    for message in reversed(messages):
        kept.append(_in_tool_answers(message, change))
    return kept[::-1]


def check_keep(keep_last: int, long_side: int | None) -> None:
    """Check both numbers.

    Raises:
        ValueError: one is out of its range.
    """
    if isinstance(keep_last, bool) or not isinstance(keep_last, int) or keep_last < 0:
        raise ValueError(f"keep_last must be a whole number >= 0; got {keep_last!r}")
    if long_side is not None and long_side < 1:
        raise ValueError(f"long_side must be at least 1, or None to leave pictures out; got {long_side}")


def has_images(content: Any) -> bool:
    """Whether a list of blocks has a picture."""
    return isinstance(content, list | tuple) and any(map(_is_image, content))


def shrink_images(content: Content, long_side: int | None) -> list[Any]:
    """The blocks with pictures of at most that long side; None: one line of text in place of all of them.

    What is small enough stays as it is, so doing it twice changes nothing. What cannot be read is left out.
    """
    blocks, gone, place, kind = list[Any](), 0, 0, "text"
    for block in content:
        small = _shrink(block, long_side) if _is_image(block) else block
        if small is not None:
            blocks.append(small)
            continue
        place, gone = place if gone else len(blocks), gone + 1
        kind = "input_text" if block["type"] == "input_image" else "text"
    if gone:
        blocks.insert(
            place,
            {"type": kind, "text": f"[{gone} pictures of this earlier call are left out; call again to see them.]"},
        )
    return blocks


def _is_image(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") in IMAGES


def _in_tool_answers(message: Mapping[str, Any], change: Callable[[Content], list[Any]]) -> Message:
    """The message, its tool answers changed: it is one, or holds some (Anthropic's tool_result), the last one first."""
    for key, marks in (("content", ("role", "type")), ("output", ("type",))):
        content = message.get(key)
        if not isinstance(content, list | tuple):
            continue
        if any(message.get(mark) in ("tool", "tool_result", "function_call_output") for mark in marks):
            return {**message, key: change(content)}
        inner = [
            _in_tool_answers(block, change) if isinstance(block, Mapping) else block for block in reversed(content)
        ]
        return {**message, key: inner[::-1]}
    return dict(message)


def _shrink(block: Mapping[str, Any], long_side: int | None) -> Mapping[str, Any] | None:
    """An image block with a smaller picture; None: it is to be left out."""
    if long_side is None:
        return None
    for path in (("base64",), ("data",), ("source", "data"), ("image_url", "url"), ("image_url",)):
        text = _get(block, path)
        if isinstance(text, str):
            break
    else:
        return None
    is_url = path[0] == "image_url"
    if is_url and not text.startswith("data:"):
        return block  # the URL of a picture that lies elsewhere
    try:
        with Image.open(io.BytesIO(base64.b64decode(text.rpartition(",")[2]))) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            if max(picture.size) <= long_side:
                return block
            small = base64.b64encode(jpeg(picture, long_side=long_side, quality=QUALITY)).decode("ascii")
    except (OSError, ValueError, binascii.Error, Image.DecompressionBombError):
        return None
    changed = _set(block, path, f"data:image/jpeg;base64,{small}" if is_url else small)
    for name in ("mime_type", "mimeType", "media_type"):
        place = (*path[:-1], name)
        if _get(changed, place) is not None:
            changed = _set(changed, place, "image/jpeg")
    return changed


def _get(block: Any, path: Sequence[str]) -> Any:
    for key in path:
        block = block.get(key) if isinstance(block, Mapping) else None
    return block


def _set(block: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    key, *rest = path
    return {**block, key: _set(block[key], rest, value) if rest else value}
