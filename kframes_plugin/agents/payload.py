"""Pictures for a language model within a number of bytes: smaller JPEGs, then all frames on one sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kframes_plugin.chat.images import base64_jpeg
from kframes_plugin.errors import KFramesError
from kframes_plugin.output.messages import clock
from kframes_plugin.types import Note

if TYPE_CHECKING:
    from PIL import Image

    from kframes_plugin.selection import Selection

Pictures = tuple[tuple[str, str], ...]  # (caption, JPEG as base64)

SHRINK = 0.8  # of the long side, from one try to the next
QUALITIES = (70, 55)  # of smaller JPEGs; below 55 blocks hide small text
SMALLEST = 256  # long side in pixels of a JPEG of its own; under it a sheet shows as much
CELLS = (320, 256, 200, 160, 128, 96, 64)  # width in pixels of a frame on a sheet
SHEET_QUALITIES = (70, 50, 35)


def fit_pictures(
    selection: Selection, max_bytes: int | None, *, long_side: int, quality: int
) -> tuple[Pictures, tuple[Note, ...]]:
    """All frames of a selection as captioned JPEGs in time order, and a note where they are not as large as asked for.

    Args:
        selection: at least one frame.
        max_bytes: of all captions and pictures, in base64, together; None: no limit.
        long_side, quality: of the JPEGs, at most, see :func:`~kframes_plugin.chat.images.jpeg`.

    Returns:
        One picture a frame; where no size of :data:`SMALLEST` pixels or more fits, one sheet with all frames.

    Raises:
        KFramesError: not even the smallest sheet fits.
    """
    captions = [f"Frame {n}, {clock(frame.timestamp)}:" for n, frame in enumerate(selection.frames, 1)]
    room = None if max_bytes is None else max_bytes - sum(map(len, captions))
    images = selection.images
    for side, level in _sizes(max(map(max, (image.size for image in images))), long_side, quality):
        if (encoded := _encode(images, side, level, room)) is not None:
            asked = side >= long_side and level == quality
            text = (
                f"the pictures are at most {side} pixels wide or high, JPEG quality {level}, so that all {len(images)} "
                "fit in the bytes of one answer; a smaller k shows more of each"
            )
            return tuple(zip(captions, encoded, strict=True)), () if asked else (Note("pictures-smaller", text),)
    return _fit_sheet(selection, max_bytes if max_bytes is not None else 0)


def _sizes(largest: int, long_side: int, quality: int) -> Iterator[tuple[int, int]]:
    """(long side, quality) to try, from what was asked for down; the first holds without a limit."""
    yield long_side, quality
    lower = [level for level in QUALITIES if level < quality] or [quality]
    yield long_side, lower[0]
    side = float(min(largest, long_side))
    while (side := side * SHRINK) > SMALLEST:
        yield round(side), lower[0]
    if min(largest, long_side) > SMALLEST:
        yield SMALLEST, lower[0]
    yield min(SMALLEST, long_side), lower[-1]


def _encode(images: Sequence[Image.Image], side: int, quality: int, room: int | None) -> list[str] | None:
    """The JPEGs as base64; None as soon as they take more than ``room`` bytes."""
    encoded, left = [], room
    for image in images:
        encoded.append(base64_jpeg(image, long_side=side, quality=quality))
        if left is not None and (left := left - len(encoded[-1])) < 0:
            return None
    return encoded


def _fit_sheet(selection: Selection, max_bytes: int) -> tuple[Pictures, tuple[Note, ...]]:
    """All frames on one sheet, as large as it may be."""
    count = len(selection.frames)
    caption = f"Frames 1 to {count} on one sheet, row by row, each under its number and time:"
    columns = max(1, round(count**0.5))
    for width in CELLS:
        sheet = selection.contact_sheet(columns, width)
        for quality in SHEET_QUALITIES:
            data = base64_jpeg(sheet, long_side=None, quality=quality)
            if len(caption) + len(data) <= max_bytes:
                text = (
                    f"all {count} frames are on one sheet, each {width} pixels wide, because their pictures do not fit "
                    "in the bytes of one answer; a smaller k shows more of each"
                )
                return ((caption, data),), (Note("contact-sheet", text),)
    raise KFramesError(
        f"{count} frames do not fit in the bytes of one answer, not even on one sheet; ask for a smaller k"
    )
