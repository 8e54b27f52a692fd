"""A dense pool of small frames that pass by in batches: what is kept is their times, scenes and embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.clips.windows import thin
from kframes_plugin.types import Frame, FrameEmbedder, Span
from kframes_plugin.video import OpenVideo

BATCH = 32  # frames that are in memory together: 32 of 512 x 288 pixels are 14 MB
MOST = 4096  # frames of a pool
STRIDE = 6.5  # seconds between two of them, at least; at 4 s windows show a little more for a quarter more decoding

Rows = NDArray[np.floating[Any]]
Size = int | tuple[int, int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Pool:
    """What is kept of a dense pool.

    Attributes:
        times: (n,) seconds, rising.
        scenes: scenes seen in the pool: spans that part [0, duration).
        rows: (n, d) embeddings; None: the scorer has none, and each query sees the pictures anew.
        calls: batches that were embedded.
    """

    times: NDArray[np.float64]
    scenes: tuple[Span, ...]
    rows: Rows | None
    calls: int = 0

    @property
    def scene_numbers(self) -> NDArray[np.int64]:
        """(n,) the scene that each frame lies in, from 0."""
        starts = [start for start, _ in self.scenes]
        return np.searchsorted(starts, self.times, side="right").astype(np.int64) - 1


def find_cheap(video: OpenVideo) -> NDArray[np.float64]:
    """The times of the frames that cost at most one decoded picture."""
    return video.i_frames if video.file is not None else video.timestamps


def choose_times(video: OpenVideo, spans: Sequence[Span], least: int, most: int) -> NDArray[np.float64]:
    """The times of a pool: I-frames, which cost one decoded picture each, at most ``most``, spread evenly.

    Frames that were given cost nothing, and all may be taken. None where there are fewer than ``least``.
    """
    chosen = thin(find_cheap(video), spans, most)
    return chosen if len(chosen) >= least else chosen[:0]


def take_pool(
    video: OpenVideo,
    scorer: object,
    size: Size,
    spans: Sequence[Span],
    *,
    least: int,
    most: int = MOST,
    progress: Progress | None = None,
) -> Pool:
    """Let the frames of a dense pool pass by.

    Args:
        video: where the frames come from.
        scorer: where it is a :class:`~kframes_plugin.types.FrameEmbedder`, its rows are kept.
        size: of the frames, as for :meth:`OpenVideo.candidates`.
        spans: where the frames lie, seconds: apart, in time order, at least one.
        least: where there are fewer I-frames, the pool is so many frames spread evenly, which cost more to decode.
        most: frames at most.
        progress: called with (done, total).

    Raises:
        VideoError: decoding fails.
    """
    times = choose_times(video, spans, least, most)
    frames = (
        stream(video, times, size, progress) if len(times) else iter(video.candidates(least, size, progress, spans))
    )
    passing = _Passing(frames, scorer if isinstance(scorer, FrameEmbedder) else None)
    scenes = tuple(detect_scenes(passing, video.duration))
    rows = np.concatenate(passing.rows) if passing.rows else None
    return Pool(np.asarray(passing.times), scenes, rows, len(passing.rows))


def stream(
    video: OpenVideo, times: NDArray[np.float64], size: Size, progress: Progress | None = None
) -> Iterator[Frame]:
    """The frames on screen at rising times, one after the other; only ``BATCH`` of them are in memory."""
    last = -1.0
    ends = [*times[1:].tolist(), video.duration]
    for start in range(0, len(times), BATCH):
        shown = video.frames_at(times[start : start + BATCH].tolist(), size=size, keep=False)
        for frame, end in zip(shown, ends[start : start + BATCH], strict=True):
            if frame.timestamp > last:  # a file found damaged on the way has fewer frames than it says
                yield Frame(frame.timestamp, max(end - frame.timestamp, 0.0), frame.image)
                last = frame.timestamp
        if progress is not None:
            progress(min(start + BATCH, len(times)), len(times))


class _Passing(Iterator[Frame]):
    """Frames on their way to another reader; times and embeddings are noted as they pass."""

    def __init__(self, frames: Iterator[Frame], embedder: FrameEmbedder | None) -> None:
        self.frames, self.embedder = frames, embedder
        self.times: list[float] = []
        self.rows: list[Rows] = []
        self._batch: list[Frame] = []

    def __next__(self) -> Frame:
        frame = next(self.frames, None)
        if frame is None or len(self._batch) == BATCH:
            self._embed()
        if frame is None:
            raise StopIteration
        self.times.append(frame.timestamp)
        self._batch.append(frame)
        return frame

    def _embed(self) -> None:
        if self.embedder is not None and self._batch:
            self.rows.append(self.embedder.embed(self._batch))
        self._batch = []
