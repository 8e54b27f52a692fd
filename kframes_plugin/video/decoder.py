"""The decoders behind :class:`kframes_plugin.video.OpenVideo`: PyAV, decord, and frames given by the user.

    opening.py   open a file safely: local, a real container, within the limits; say why when that fails
    index.py     when every frame comes on screen and where its decoding starts, from the packets alone
    pyav.py      decode chosen frames, and every frame, with PyAV
    picture.py   from a decoded frame to the picture a person sees; colour.py: from HDR to SDR
    decord.py    the same with decord
    frames.py    the same for frames that are already there

A frame is named by its *rank*: its place in time order, 0 for the first. Every decoder answers for ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kframes_plugin.errors import VideoError
from kframes_plugin.types import Note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from kframes_plugin.video.index import FrameIndex
    from kframes_plugin.video.sources import Source

Size = tuple[int, int]

MAX_DECODED = 5 * 10**12  # pixels: 60 hours of 720p, three hours of one core


class DamagedError(VideoError):
    """Decoding contradicts the index (a frame never came). The cure is :meth:`Decoder.reindex`."""


@dataclass(frozen=True)
class Limits:
    """What a file may claim before it is refused.

    Attributes:
        pixels: width * height of one picture, stored and displayed, >= 1.
        duration: seconds, > 0.
        streams: streams of any kind in the file, >= 1.
        decoded: pixels x frames that one call may decode, those on the way too, >= 1.
    """

    pixels: int
    duration: float
    streams: int
    decoded: int = MAX_DECODED


@dataclass(frozen=True)
class VideoFile:
    """A file that can be opened once more, for its other streams.

    Attributes:
        path: of the file, or its URL, as messages say it.
        local: path of the file that is read: the same, or a private copy.
        limits: what it may claim.
        starts: when the first frame comes on screen by the file's own clock, seconds.
        offset: how long after the first stream (mostly the sound) that is, seconds, >= 0. Players count from there,
            kframes from the first frame.
        has_subtitles: whether it holds streams of subtitles.
    """

    path: str
    local: str
    limits: Limits
    starts: float
    offset: float
    has_subtitles: bool


@dataclass(frozen=True)
class VideoInfo:
    """What a video looks like.

    Attributes:
        width: pixels as displayed (after sample aspect ratio and rotation), >= 1.
        height: pixels as displayed, >= 1.
        rotation: degrees clockwise by which the stored picture is turned for display: 0, 90, 180 or 270.
        codec: short name of the codec ("h264", "av1" ...).
        container: short name of the container ("mp4", "matroska" ...).
        hdr: "PQ" or "HLG" where its first frame has a high dynamic range; pictures are tone-mapped. Else "".
        interlaced: its first frame is two fields; pictures are made of one.
        alpha: its pictures can be see-through; they are shown on black.
    """

    width: int
    height: int
    rotation: int
    codec: str
    container: str
    hdr: str = ""
    interlaced: bool = False
    alpha: bool = False


class Decoder(Protocol):
    """What OpenVideo needs from a decoder.

    Attributes:
        name: as the user writes it.
        info: size, rotation, codec, container.
        index: when every frame comes on screen.
        file: the file behind it, None for frames that were given.
        damaged: (n,) bool, frames seen to have errors, or behind one in their group; so far.
        notes: what was out of the ordinary, one sentence each.
        frames_decoded: frames produced so far, also those only passed on the way.
    """

    name: str
    info: VideoInfo
    damaged: NDArray[np.bool_]
    notes: list[Note]
    frames_decoded: int

    @property
    def index(self) -> FrameIndex:
        """See above."""

    @property
    def file(self) -> VideoFile | None:
        """See above."""

    def pictures(self, ranks: Sequence[int], size: Size) -> Iterator[tuple[int, Image.Image]]:
        """(rank, RGB picture of that size), in any order, for rising ranks; :class:`DamagedError` if one is missing."""

    def every_picture(self, size: Size) -> Iterator[tuple[int, Image.Image]]:
        """(rank, RGB picture) of all frames in time order, one sequential pass; what cannot be decoded is left out."""

    def reindex(self) -> None:
        """Decode the whole video once and index what really comes out, with a note."""

    def close(self) -> None:
        """Let go of the file."""


def open_decoder(
    source: Source, decoder: str, limits: Limits, progress: Callable[[int, int], None] | None = None
) -> Decoder:
    """The decoder of a name for a video; ``progress`` is called while all of it has to be decoded.

    Raises:
        VideoError: the file cannot be read.
        ValueError: an unknown name.
    """
    if decoder == "pyav":
        from kframes_plugin.video.pyav import PyAVDecoder

        return PyAVDecoder(source, limits, progress)
    if decoder == "decord":
        from kframes_plugin.video.decord import DecordDecoder

        return DecordDecoder(source, limits, progress)
    raise ValueError(f'decoder must be "pyav" or "decord"; got {decoder!r}')
