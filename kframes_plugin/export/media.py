"""What the files of editors say of a video: its name, its whole frame rate, and seconds as numbers of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from kframes_plugin.types import Clip
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.sources import MEMORY, is_url

_NTSC = Fraction(1000, 1001)
_CLOSE = 5e-4  # of a rate; 29.97 and 30 are 1e-3 apart


@dataclass(frozen=True)
class Media:
    """A video as editors see it.

    Attributes:
        path: of the file, or its URL; "memory:..." where it had no name.
        rate: frames a second, > 0: a whole number, or that of NTSC (30000/1001 ...).
        frames: frames at that rate, >= 1.
        offset: seconds, >= 0, by which the picture starts after the file: players count from there.
    """

    path: str
    rate: Fraction
    frames: int
    offset: float

    @property
    def name(self) -> str:
        """The last part of its path."""
        return Path(self.path).name or "video"

    @property
    def url(self) -> str:
        """Where it lies, as a URL of ASCII letters; "" where it had no name."""
        if self.path.startswith(MEMORY):
            return ""
        return self.path if is_url(self.path) else Path(self.path).absolute().as_uri()

    def span(self, clip: Clip) -> tuple[int, int]:
        """The clip as numbers of frames: first, and the one behind the last; at least one frame of the video."""
        first = min(self.number(clip.start), self.frames - 1)
        return first, min(max(self.number(clip.end), first + 1), self.frames)

    def number(self, seconds: float) -> int:
        """The number of the frame that begins nearest to a time, from 0."""
        return math.floor(seconds * self.rate + Fraction(1, 2))


def media_of(video: OpenVideo) -> Media:
    """What editors must know of an opened video."""
    rate = whole_rate(video.frame_rate)
    return Media(video.path, rate, max(1, math.floor(video.duration * rate + Fraction(1, 2))), video.offset)


def whole_rate(rate: float) -> Fraction:
    """The rate that editors count in: a whole one or that of NTSC where it is close, else the nearest whole one."""
    whole = Fraction(max(1, round(rate)))
    ntsc = max(1, round(rate / float(_NTSC))) * _NTSC
    return ntsc if abs(rate / float(ntsc) - 1) < min(_CLOSE, abs(rate / float(whole) - 1)) else whole
