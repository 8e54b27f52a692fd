"""Frames that are already there, given by people who have their own loaders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from kframes_plugin.types import Frame, Note
from kframes_plugin.video.decoder import Size, VideoInfo
from kframes_plugin.video.index import FrameIndex


class GivenFrames:
    """Frames behind the same door as files; see :class:`kframes_plugin.video.decoder.Decoder`."""

    name = "frames"
    file = None

    def __init__(self, frames: Any, timestamps: Sequence[float] | None, duration: float | None) -> None:
        given = list(frames)
        if not given:
            raise ValueError("frames is empty; give at least one")
        if any(isinstance(frame, str | os.PathLike | bytes | Mapping) for frame in given):
            raise TypeError(
                f"frames must be Frames or pictures, not {type(given[0]).__name__}; a list of paths is not a video: "
                "give one path, or call select_many or search"
            )
        if all(isinstance(frame, Frame) for frame in given):
            if timestamps is not None:
                raise ValueError("Frames carry their own timestamps; leave timestamps out")
            self._images = [frame.image for frame in given]
            times = np.asarray([frame.timestamp for frame in given], np.float64)
            end = given[-1].end if duration is None else duration
        else:
            if timestamps is None or len(timestamps) != len(given):
                got = "none" if timestamps is None else str(len(timestamps))
                raise ValueError(f"timestamps must give one time for each of the {len(given)} frames; got {got}")
            self._images = [_image(frame) for frame in given]
            times = np.asarray(timestamps, np.float64)
            usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
            end = float(times[-1]) + usual if duration is None else duration
        self.index = _index(times, end)
        self.info = VideoInfo(self._images[0].width, self._images[0].height, rotation=0, codec="", container="")
        self.damaged = np.zeros(len(times), np.bool_)
        self.notes: list[Note] = []
        self.frames_decoded = 0

    def pictures(self, ranks: Sequence[int], size: Size) -> Iterator[tuple[int, Image.Image]]:
        """See :meth:`kframes_plugin.video.decoder.Decoder.pictures`."""
        for rank in ranks:
            image = self._images[rank]
            shrinks = size[0] <= image.width and size[1] <= image.height
            filter_ = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
            yield rank, image if image.size == size else image.resize(size, filter_)

    def every_picture(self, size: Size) -> Iterator[tuple[int, Image.Image]]:
        """See :meth:`kframes_plugin.video.decoder.Decoder.every_picture`."""
        return self.pictures(range(len(self._images)), size)

    def reindex(self) -> None:
        """Nothing to do: given frames are never damaged."""

    def close(self) -> None:
        """Nothing to let go of."""


def _image(frame: Any) -> Image.Image:
    if isinstance(frame, Image.Image):
        return frame.convert("RGB")
    pixels = np.asarray(frame)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise TypeError(
            "frames must be Frames, PIL images or uint8 RGB pictures of shape (h, w, 3); "
            f"got {type(frame).__name__} of {pixels.dtype}, shape {pixels.shape}"
        )
    return Image.fromarray(pixels)


def _index(times: np.ndarray[Any, np.dtype[np.float64]], end: float) -> FrameIndex:
    if not np.isfinite(times).all() or times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError("timestamps must be finite, >= 0 and rise from frame to frame")
    if not (np.isfinite(end) and end > times[-1]):
        raise ValueError(f"duration must be after the last timestamp, {times[-1]} s; got {end}")
    ranks = np.arange(len(times))
    nothing = np.empty(0, np.int64)
    return FrameIndex(times, float(end), ranks, ranks, nothing, nothing, nothing, np.zeros(len(times), np.bool_), True)
