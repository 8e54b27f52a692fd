"""Candidate frames of many videos, decoded once and kept on disk: training reads JPEGs, not videos.

``kframes candidates VIDEOS --out FOLDER`` fills the folder before training; a video that is not there yet is decoded
when it is read. One safetensors file a video, named by its content, T and the size, so that processes and machines may
share a folder.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from kframes_plugin.chat.images import jpeg
from kframes_plugin.output.whole import draft_of
from kframes_plugin.types import Candidates, Frame
from kframes_plugin.video import OpenVideo

HELD = 4  # videos whose candidates stay in memory: neighbouring rows are of the same video
QUALITY = 90  # of the JPEGs
ENDS = 1 << 20  # bytes at both ends of a file that tell its content


class CandidateCache:
    """The candidates of a video, from memory, from the folder, or decoded.

    Args:
        folder: where they are kept; None: in memory alone, the last few videos.
        candidates: T, >= 1.
        size: (width, height) of a frame, pixels.
    """

    def __init__(self, folder: str | Path | None, candidates: int, size: tuple[int, int]) -> None:
        self.folder = None if folder is None else Path(folder)
        self.candidates, self.size = candidates, size
        self._held: OrderedDict[Path, Candidates] = OrderedDict()

    def __call__(self, video: Path) -> Candidates:
        """The candidates of a video.

        Raises:
            VideoError: it cannot be read.
            KFramesError: its candidates cannot be written.
        """
        if video not in self._held:
            self._held[video] = self._read(video)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return self._held[video]

    def path_of(self, video: Path) -> Path | None:
        """Where the candidates of a video are kept, or None without a folder."""
        if self.folder is None:
            return None
        width, height = self.size
        return self.folder / f"{content_key(video)}-{self.candidates}-{width}x{height}.safetensors"

    def _read(self, video: Path) -> Candidates:
        path = self.path_of(video)
        if path is not None and path.is_file():
            try:
                return _unpack(path)
            except (SafetensorError, OSError, KeyError, ValueError):
                path.unlink(missing_ok=True)  # a disk that was full: decoded anew
        with OpenVideo(video) as opened:
            frames = opened.candidates(self.candidates, self.size)
        if path is not None:
            _pack(frames, path)
            return _unpack(path)  # what every later epoch sees
        return frames


def content_key(video: Path) -> str:
    """A digest of a file's size and of its first and last megabyte: videos of hours are not read through for it."""
    digest = hashlib.sha256()
    with video.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        digest.update(str(size).encode())
        digest.update(stream.read(ENDS))
        stream.seek(max(0, size - ENDS))
        digest.update(stream.read(ENDS))
    return digest.hexdigest()[:32]


def _pack(frames: Candidates, path: Path) -> None:
    pictures = [jpeg(frame.image, long_side=None, quality=QUALITY) for frame in frames]
    tensors = {
        "jpegs": np.frombuffer(b"".join(pictures), np.uint8),
        "ends": np.cumsum([len(picture) for picture in pictures]),
        "times": np.array([frame.timestamp for frame in frames]),
        "durations": np.array([frame.duration for frame in frames]),
        "duration": np.array([frames.duration]),
    }
    with draft_of(path) as draft:
        save_file(tensors, draft)


def _unpack(path: Path) -> Candidates:
    kept = load_file(path)
    data, ends = kept["jpegs"].tobytes(), kept["ends"].tolist()
    pictures = [Image.open(io.BytesIO(data[start:end])) for start, end in zip([0, *ends], ends, strict=False)]
    rows = zip(kept["times"].tolist(), kept["durations"].tolist(), pictures, strict=True)
    frames = [Frame(time, duration, picture.convert("RGB")) for time, duration, picture in rows]
    return Candidates(frames, float(kept["duration"][0]))
