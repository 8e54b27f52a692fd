"""Decode chosen frames, and every frame, with decord.

The file is opened, checked and indexed as for PyAV (decord has no limits, takes any protocol and names no reason), and
decord's frames are matched to that index by time stamp. Random access in decord 0.6.0 gave wrong frames for all
MPEG-TS, MPEG-PS, edit-listed and open-GOP HEVC test clips, and it hangs at the end of joined files; those, and
codecs it does not know (AV1, VVC), are refused with the fix, never read with another decoder in silence. decord
polls at the end of a file; DECORD_EOF_RETRY_MAX bounds that, but 128 instead of its 10,240 fails good files. The
measurements are in LOG.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from kframes_plugin.errors import VideoError
from kframes_plugin.video.decoder import Limits, Size
from kframes_plugin.video.forks import abandon, watch
from kframes_plugin.video.index import FrameIndex, Packets
from kframes_plugin.video.pyav import PyAVDecoder
from kframes_plugin.video.runs import Run
from kframes_plugin.video.sources import Source

_BATCH = 16  # frames fetched at once; 16 x 1.3 MB at 720p
_THREADS = min(4, os.cpu_count() or 1)
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")  # where its seeks were right
_LOOK_AHEAD = 48  # packets of the first run whose frames must rise in time


class DecordDecoder(PyAVDecoder):
    """One video file read with decord; see :class:`kframes_plugin.video.decoder.Decoder`.

    Raises:
        VideoError: as for PyAVDecoder; or decord is not installed or cannot read this file.
    """

    name = "decord"

    def __init__(self, source: Source, limits: Limits, progress: Callable[[int, int], None] | None = None) -> None:
        self._readers: dict[Size, Any] = {}
        watch(self)
        super().__init__(source, limits, progress)
        try:
            self._check_match()
        except BaseException:
            self.close()
            raise

    def after_fork(self) -> None:
        """Make readers anew in a child: those of its parent have threads that it lacks."""
        abandon(self._readers.values())
        self._readers = {}

    def close(self) -> None:
        """See :meth:`kframes_plugin.video.decoder.Decoder.close`."""
        self._readers.clear()
        super().close()

    def pictures(self, ranks: Sequence[int], size: Size) -> Iterator[tuple[int, Image.Image]]:
        """See :meth:`kframes_plugin.video.decoder.Decoder.pictures`."""
        reader = self._reader(size)
        todo = iter(ranks)
        while batch := list(islice(todo, _BATCH)):
            try:
                pixels = reader.get_batch(batch).asnumpy()
            except _decord().DECORDError as error:
                raise self._refused(f"fails while decoding ({_first_line(error)})") from error
            self.frames_decoded += len(batch)  # those it passes on the way are not told
            for rank, picture in zip(batch, pixels, strict=True):
                yield rank, Image.fromarray(picture)

    def every_picture(self, size: Size) -> Iterator[tuple[int, Image.Image]]:
        """See :meth:`kframes_plugin.video.decoder.Decoder.every_picture`."""
        return self.pictures(range(len(self.index)), size)

    def _check_claims(self, packets: Packets) -> None:
        super()._check_claims(packets)
        container, stream, _ = self._reading.shared(threads=1)
        if container.format.name not in _CONTAINERS:
            raise self._refused(f"seeks to wrong frames in {container.format.name} files")
        if self.index.counted:
            raise self._refused("cannot place the frames of a file whose time stamps do not tell their order")
        cut_short = "mp4" in container.format.name and stream.frames > len(packets)
        if packets.error or len(packets.corrupt) or cut_short:
            raise self._refused("cannot read damaged files")
        if self.info.hdr or self.info.interlaced or self.info.alpha:
            raise self._refused("does not tone-map, deinterlace or read alpha")
        if self._screen.mirrored or (self._screen.rotation and "mp4" not in container.format.name):
            raise self._refused("does not turn these pictures upright")
        if not packets.shown.all():
            raise self._refused("seeks to wrong frames where an edit list hides some")
        if self.info.codec == "hevc" and _has_open_groups(self.index):
            raise self._refused("seeks to wrong frames where groups of pictures are open")
        first, last = int(self.index.keys[0]), min(len(packets) - 1, int(self.index.keys[0]) + _LOOK_AHEAD)
        stamps = [frame.pts or 0 for frame in self._decode(self.index, Run(0, first, last), threads=1)]
        if stamps != sorted(stamps):
            raise self._refused("cannot place frames whose time stamps go back")

    def _reader(self, size: Size) -> Any:
        """decord's reader for pictures of that size; only the last one is kept."""
        if size not in self._readers:
            decord = _decord()
            self._readers.clear()
            try:
                self._readers[size] = decord.VideoReader(
                    os.path.abspath(self._reading.local),
                    ctx=decord.cpu(0),
                    width=size[0],
                    height=size[1],
                    num_threads=_THREADS,
                )
            except (RuntimeError, decord.DECORDError) as error:
                raise self._refused(f"cannot open it ({_first_line(error)})") from error
        return self._readers[size]

    def _check_match(self) -> None:
        """decord numbers the frames as the index does: same count, same times (its float32 is 0.2 ms off at 1 h)."""
        reader = self._reader((self.info.width, self.info.height))
        times = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
        ours = self.index.timestamps
        if len(times) != len(ours):
            raise self._refused(f"finds {len(times)} frames where there are {len(ours)}")
        gap = np.diff(ours).min() if len(ours) > 1 else 1.0
        if not (np.abs(times - times[0] - ours) < gap / 2).all():
            raise self._refused("gives other time stamps than the stream")

    def _refused(self, why: str) -> VideoError:
        return VideoError(
            f'{self.path}: decoder "decord" {why}; codec {self.info.codec}, container {self.info.container}. '
            'Use decoder="pyav".'
        )


def _has_open_groups(index: FrameIndex) -> bool:
    """Some frame follows an I-frame in the stream and is shown before it."""
    last_key = np.searchsorted(index.keys, index.packets, side="right") - 1
    return bool((index.key_pts[last_key] > index.stamps).any())


def _decord() -> Any:
    try:
        import decord
    except ImportError as error:
        raise VideoError(
            'decoder "decord" is not installed (it has wheels for Linux x86-64 and Windows only): '
            'pip install "kframes[decord]", or use decoder="pyav".'
        ) from error
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _first_line(error: Exception) -> str:
    """decord's message without its stack trace, time and source path."""
    line = str(error).strip().splitlines()[0]
    return re.sub(r"\[[^\]]*\] |/\S+\.cc:\d+: |Check failed: ", "", line)[:160]
