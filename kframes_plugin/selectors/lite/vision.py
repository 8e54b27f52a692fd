"""Frames -> what they show: ImageNet logits of eleven windows of a frame, and its colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.selectors.lite.session import LazySession

Floats = NDArray[np.float32]
STRIDE = 32  # pixels of a frame to a position of the feature map
AREA = 288 * 288  # pixels of a frame as it is read: 384 x 224 at 16:9
BATCH = 1  # frames a run: more is not faster, and each takes 25 MB of activations

# The colours that a query can name, by column of :func:`measure_colours`
_NAMED = ("red", "orange golden", "brown", "yellow gold blonde", "green", "blue turquoise", "purple violet", "pink")
_PLAIN = ("white", "black dark night", "grey gray")
COLOURS = {word: place for place, words in enumerate((*_NAMED, *_PLAIN)) for word in words.split()}


class VisionEncoder:
    """Frames -> (n, 11, 1000) logits: whole frame, centre square, and a 3 x 3 grid of half-size windows.

    The network runs once over a frame; a window's logits come from the mean of its part of the feature map. Eleven
    crops read one by one cost five times as much and find hardly more.

    Args:
        folder: holds ``vision.onnx``.
    """

    def __init__(self, folder: Path) -> None:
        self._run = LazySession(folder / "vision.onnx")

    def __call__(self, images: Sequence[Image.Image]) -> Floats:
        """Read n >= 1 RGB pictures; all are brought to the shape of the first."""
        width, height = choose_size(*images[0].size)
        windows = place_windows(height // STRIDE, width // STRIDE)
        parts = []
        for start in range(0, len(images), BATCH):
            stop_if_cancelled()
            shown = [_resize(image, (width, height)) for image in images[start : start + BATCH]]
            pixels = np.stack([np.asarray(image, np.float32) for image in shown]).transpose(0, 3, 1, 2)
            parts.append(self._run(pixels=np.ascontiguousarray(pixels), windows=windows))
        return np.concatenate(parts)


def choose_size(width: int, height: int) -> tuple[int, int]:
    """Width and height that ``STRIDE`` divides, of about ``AREA`` pixels and the given shape."""
    scale = (AREA / (width * height)) ** 0.5
    sides = (min(max(round(side * scale / STRIDE), 3), 48) for side in (width, height))
    wide, high = (side * STRIDE for side in sides)
    return wide, high


def place_windows(height: int, width: int) -> Floats:
    """(height * width, 11) weights of the map's positions: whole, centre square, and 3 x 3 half-size windows."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    boxes = [(0, height, 0, width), (top, top + side, left, left + side)]
    high, wide = (height + 1) // 2, (width + 1) // 2
    for y in np.linspace(0, height - high, 3).round().astype(int):
        boxes += [(y, y + high, x, x + wide) for x in np.linspace(0, width - wide, 3).round().astype(int)]
    windows = np.zeros((len(boxes), height, width), np.float32)
    for window, (y, bottom, x, right) in zip(windows, boxes, strict=True):
        window[y:bottom, x:right] = 1 / ((bottom - y) * (right - x))
    return np.ascontiguousarray(windows.reshape(len(boxes), -1).T)


def measure_colours(image: Image.Image) -> Floats:
    """(11,) shares of a picture in the colours of ``COLOURS``, 0..1; they overlap little but need not sum to 1."""
    small = np.asarray(_resize(image, (64, 64)).convert("HSV"), np.int32).reshape(-1, 3).T
    hue, saturation, value = small[0] * 360 / 255, small[1], small[2]
    black, plain = value < 50, (saturation < 45) & (value >= 50)
    white, coloured = plain & (value > 190), (value >= 50) & (saturation >= 45)

    def band(low: int, high: int) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = coloured & (hue >= low) & (hue < high)
        return inside

    red = band(0, 12) | band(345, 361)
    pink = band(300, 345) | (red & (saturation < 120) & (value > 180))
    orange, brown = band(12, 38) & (value > 140), band(12, 45) & (value <= 140)
    yellow, green, blue, purple = band(45, 70) & (value > 100), band(70, 165), band(165, 255), band(255, 300)
    masks = (red, orange, brown, yellow, green, blue, purple, pink, white, black, plain & ~white)
    return np.array([mask.mean() for mask in masks], np.float32)


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    image = image.convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
