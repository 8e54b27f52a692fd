"""Videos whose pixels tell which frame they are, made with PyAV.

A frame shows its number as 16 big black and white blocks in four rows under a fixed top row. Reading fails loudly
when the picture is turned, mirrored or not a frame of ours, so a test cannot pass by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

_TOP = (1, 1, 0, 1)  # unlike itself turned or mirrored
_ROWS, _COLUMNS = 5, 4
MILLISECONDS = Fraction(1, 1000)


def numbered_picture(number: int, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(height, width, 3) uint8: the picture of frame ``number``, 0 to 65,535."""
    bits = np.array([*_TOP, *((number >> place) & 1 for place in range(16))], np.uint8).reshape(_ROWS, _COLUMNS)
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    gray = bits[rows][:, columns] * 200 + 28
    return np.repeat(gray[:, :, None], 3, axis=2)


def read_number(image: Image.Image) -> int:
    """The number of the frame that a decoded picture shows.

    Raises:
        AssertionError: it is not such a picture, upright.
    """
    pixels = np.asarray(image.convert("L"), np.float64)
    height, width = pixels.shape
    bits = []
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            top, left = (row + 0.3) * height / _ROWS, (column + 0.3) * width / _COLUMNS
            bottom, right = (row + 0.7) * height / _ROWS, (column + 0.7) * width / _COLUMNS
            block = pixels[int(top) : max(int(top) + 1, int(bottom)), int(left) : max(int(left) + 1, int(right))]
            level = block.mean()
            assert level < 90 or level > 165, f"block {row}, {column} is neither black nor white: {level}"
            bits.append(int(level > 127))
    assert tuple(bits[:4]) == _TOP, f"not a numbered picture, or not upright: top row {bits[:4]}"
    return sum(bit << place for place, bit in enumerate(bits[4:]))


def make_video(
    path: Path,
    stamps: Sequence[int],
    time_base: Fraction = MILLISECONDS,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 120),
    gop: int = 12,
    options: Mapping[str, str] | None = None,
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    muxer_options: Mapping[str, str] | None = None,
) -> Path:
    """Write frames 0, 1, 2 ... with these time stamps (ticks of ``time_base``, rising).

    ``size`` is the stored one; with ``rotation`` (degrees clockwise) players turn the picture, and it is stored
    turned the other way, so that people see it upright.
    """
    with av.open(str(path), "w", options=dict(muxer_options or {})) as output:
        stream = output.add_stream(codec, rate=25, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = gop
        if rotation:
            stream.set_display_rotation(-rotation)
        for frame in _frames(stamps, time_base, size, pixel_format, rotation):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def every(milliseconds: int, count: int, start: int = 0) -> list[int]:
    """Time stamps of a constant rate."""
    return [start + place * milliseconds for place in range(count)]


def _frames(
    stamps: Sequence[int], time_base: Fraction, size: tuple[int, int], pixel_format: str, rotation: int
) -> Iterable[av.VideoFrame]:
    shown = size if rotation % 180 == 0 else (size[1], size[0])
    for number, stamp in enumerate(stamps):
        stored = np.rot90(numbered_picture(number, *shown), k=rotation // 90)  # counter-clockwise
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")
        frame = frame.reformat(format=pixel_format)
        frame.pts, frame.time_base = stamp, time_base
        yield frame
