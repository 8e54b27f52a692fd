"""What the pipeline sees of a video: its identity, its scenes with their colours, a few frames of every scene."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.types import Frame, Span
from kframes_plugin.video import OpenVideo
from kframes_training.sources.peakclips.fades import find_fades

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".mpg", ".mpeg", ".m4v", ".ogv")
SEEN = 128  # long side of the frames that cuts are looked for in, pixels
LEVELS = 4  # of every channel: 64 colours


@dataclass(frozen=True)
class Source:
    """A video file.

    Attributes:
        video_id: name of the video in all tables: the file's name without its ending; where two files share it, with
            the first digits of their digests behind.
        path: of the file.
        bytes, sha256: of its content; 0 and "" where it cannot be read, "" too until it is needed.
        licence: what is known of its terms, free text.
    """

    video_id: str
    path: str
    bytes: int = 0
    sha256: str = ""
    licence: str = ""

    @property
    def file(self) -> str:
        """The file's name, without its folder."""
        return Path(self.path).name

    def with_digest(self) -> Source:
        """The same with the digest of its content."""
        return self if self.sha256 or not self.bytes else replace(self, sha256=_digest(Path(self.path)))


def sources(paths: Sequence[str | Path], licence: str = "") -> list[Source]:
    """The videos among files and folders, sorted by their ids; a content that is there twice is taken once.

    Only files of one size or one name are read for it; the digests of the others are taken when their turn comes.

    Args:
        paths: files (whatever their ending) and folders, with all below them but what is hidden (videos' endings).
        licence: of all of them.

    Raises:
        ValueError: no video among them.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        files += _find_videos(path) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"there is no video among {', '.join(map(str, paths))}; name files, or folders of files")
    bytes_of = {file: _size(file) for file in files}
    same_size, same_name = Counter(bytes_of.values()), Counter(file.stem for file in bytes_of)
    contents: dict[str, tuple[Path, int, str]] = {}
    for file, size in bytes_of.items():
        digest = _digest(file) if size and (same_size[size] > 1 or same_name[file.stem] > 1) else ""
        contents.setdefault(digest if digest else str(file), (file, size, digest))
    stems = Counter(file.stem for file, _, _ in contents.values())
    found = [
        Source(file.stem if stems[file.stem] == 1 else f"{file.stem}-{digest[:8]}", str(file), size, digest, licence)
        for file, size, digest in contents.values()
    ]
    return sorted(found, key=lambda source: source.video_id)


def _find_videos(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in found if not any(p.startswith(".") for p in file.relative_to(folder).parts))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def find_scenes(path: str, min_scene: float, max_scene: float) -> tuple[float, list[Span], list[list[float]]]:
    """Duration in seconds, scenes, and the share of every one of 64 colours in the middle half of each scene.

    Raises:
        VideoError: the file cannot be read.
    """
    times: list[float] = []
    brightness: list[float] = []
    colours: list[NDArray[np.float32]] = []

    def watched(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            small = np.asarray(frame.image.convert("RGB").resize((32, 32), Image.Resampling.BOX))
            times.append(frame.timestamp)
            brightness.append(float(np.percentile(small.max(axis=-1), 98)))
            colours.append(colour_shares(small))
            yield frame

    with OpenVideo(path) as video:
        spans = detect_scenes(watched(video.frames(SEEN)), video.duration, min_scene=min_scene)
        duration = video.duration
    spans = _parted(spans, find_fades(times, brightness, colours), min_scene)
    spans = [part for span in spans for part in _even_parts(span, max_scene)]
    shares = [_mean_colours(span, np.array(times), colours) for span in spans]
    return duration, spans, shares


def _parted(spans: list[Span], cuts: Sequence[float], min_scene: float) -> list[Span]:
    """Spans parted at more cuts, unless a part would be shorter than ``min_scene`` seconds."""
    edges = [spans[0][0], *(end for _, end in spans)]
    for cut in cuts:
        if all(abs(cut - edge) >= min_scene for edge in edges):
            edges.append(cut)
    return list(pairwise(sorted(edges)))


def _even_parts(span: Span, longest: float) -> list[Span]:
    """A span in as few equal parts as make none longer."""
    start, end = span
    count = max(1, math.ceil((end - start) / longest))
    edges = [start + (end - start) * place / count for place in range(count)] + [end]
    return list(pairwise(edges))


def colour_shares(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Share of every one of 64 colours in an RGB picture (h, w, 3)."""
    levels = picture.astype(np.int64) * LEVELS // 256
    codes = (levels[..., 0] * LEVELS + levels[..., 1]) * LEVELS + levels[..., 2]
    shares: NDArray[np.float32] = (np.bincount(codes.ravel(), minlength=LEVELS**3) / codes.size).astype(np.float32)
    return shares


def _mean_colours(span: Span, times: NDArray[np.float64], colours: Sequence[NDArray[np.float32]]) -> list[float]:
    quarter = (span[1] - span[0]) / 4  # fades and late cuts are at the edges
    inside = np.flatnonzero((times >= span[0] + quarter) & (times < span[1] - quarter))
    if not len(inside):
        inside = np.array([max(0, np.searchsorted(times, (span[0] + span[1]) / 2, side="right") - 1)])
    mean = np.mean([colours[index] for index in inside.tolist()], axis=0)
    return [round(float(share), 4) for share in mean]


def decode_frames(path: str, spans: Sequence[Span], count: int, size: int) -> list[list[Frame]]:
    """``count`` frames of every span, in the middles of as many equal parts of it, long side at most ``size`` pixels.

    Raises:
        VideoError: the file cannot be read.
    """
    with OpenVideo(path) as video:
        last = float(video.timestamps[-1])
        times = [min(a + (i + 0.5) * (b - a) / count, last) for a, b in spans for i in range(count)]
        frames = video.frames_at(times, size)
    return [frames[i * count : (i + 1) * count] for i in range(len(spans))]
