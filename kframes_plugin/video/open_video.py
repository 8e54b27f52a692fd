"""OpenVideo: the only door to the decoders.

>>> with OpenVideo("match.mp4") as video:  # doctest: +SKIP
...     video.duration, video.timestamps, video.candidates(256, size=448), video.frames_at([1.0, 2.5])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count as numbers
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self
from weakref import WeakValueDictionary, finalize

import numpy as np

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.clips.cheap_frames import spread_candidates
from kframes_plugin.errors import SpanError, VideoError
from kframes_plugin.text import quoted
from kframes_plugin.types import Candidates, Frame, Note, Span
from kframes_plugin.video.decoder import MAX_DECODED, DamagedError, VideoFile, open_decoder
from kframes_plugin.video.forks import ForkLock
from kframes_plugin.video.kept_pictures import PIXEL_BYTES, KeptPictures
from kframes_plugin.video.options import (
    KEPT_BYTES,
    MAX_BYTES,
    MAX_DURATION,
    MAX_MEMORY,
    MAX_PIXELS,
    MAX_STREAMS,
    TIMEOUT,
    TOTAL_TIMEOUT,
    VideoOptions,
)
from kframes_plugin.video.sources import Source, find_source

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

Given = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Size = int | tuple[int, int] | None
Progress = Callable[[int, int], None]

_NUMBERS = numbers(1)
_OPENED: WeakValueDictionary[str, OpenVideo] = WeakValueDictionary()


class OpenVideo:
    """One opened video: when its frames come on screen, and the frames themselves. A context manager.

    Times are seconds from the first frame, from the stream's own time stamps. Opening reads the packets of the
    stream once without decoding them (0.7 s for an hour of 720p) and decodes the first frame.

    Threads may share it: they wait for each other. A forked process, or one that gets it pickled, opens the file anew.

    Args:
        path: a local regular file, or a file URL. Its name says nothing: the content chooses the container. Bytes, a
            file object (read from where it stands) and a data URL (64 MB) are copied into a private temporary file.
        decoder: "pyav", or "decord" (faster on some machines, fewer codecs; never chosen in silence).
        max_pixels: width * height above which a video is refused.
        max_duration: seconds above which a video is refused.
        max_streams: streams (of any kind) above which a file is refused.
        allow_urls: also http(s) URLs, which are downloaded into a private temporary file: True, or the names of the
            hosts that may be asked. A redirect to a private address is refused, unless its host is named.
        kept_bytes: pictures that were decoded are kept while the video is open, up to so many bytes, so that asking
            again costs nothing; those not used for longest go first. Answers share them: copy one to draw on it.
        max_bytes: of what is copied or downloaded.
        timeout: seconds to wait for a server's connection, and for each next byte.
        total_timeout: seconds for a whole download.
        max_decoded: pixels x frames that one call may decode, those on the way too.
        max_memory: bytes of the pictures that one call may give, 4 a pixel.
        progress: called with (done, total) while all of a damaged, joined or unordered file is decoded to find its
            frames. That is also logged: an estimate before, and a line every 10 s where stderr is no terminal.

    Attributes:
        path: of the file, or its URL; "memory:..." for bytes and file objects, and "" for frames given by the user.
        timestamps: (n,) float64, rising, the first 0.0: when every frame comes on screen. A file that turns out
            to be damaged while it is read is indexed anew: then these are the frames that can be decoded.
        i_frames: (m,) float64, rising: those of them at which decoding can start.
        duration: seconds, end of the last frame, > timestamps[-1].
        frame_rate: frames a second on average, > 0.
        width, height: pixels as displayed, after sample aspect ratio and rotation.
        rotation: degrees clockwise by which stored pictures are turned: 0, 90, 180 or 270.
        codec, container, decoder: short names.
        offset: seconds, >= 0, by which the picture starts after the first stream, mostly the sound. Players and
            subtitles count from there: their time is ours plus ``offset``.
        hdr: "PQ" or "HLG" where the picture has a high dynamic range (it is tone-mapped to SDR), else "".
        interlaced: whether the picture comes as two fields (one of them is shown, with the lines between made from it).
        alpha: whether the picture can be see-through (it is shown on black).
        notes: what was out of the ordinary, one sentence each.
        frames_decoded: frames produced so far, also those only passed on the way.
        closed: whether it was closed and can give no more frames.
        key: names it in :func:`find_open`, in this process.

    Raises:
        VideoError: the file cannot be read: which file, what is wrong, what to do.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        path: Given,
        *,
        decoder: Literal["pyav", "decord"] = "pyav",
        max_pixels: int = MAX_PIXELS,
        max_duration: float = MAX_DURATION,
        max_streams: int = MAX_STREAMS,
        allow_urls: bool | Collection[str] = False,
        kept_bytes: int = KEPT_BYTES,
        max_bytes: int = MAX_BYTES,
        timeout: float = TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
        max_decoded: int = MAX_DECODED,
        max_memory: int = MAX_MEMORY,
        progress: Progress | None = None,
    ) -> None:
        self._options = VideoOptions(
            decoder,
            max_pixels,
            max_duration,
            max_streams,
            allow_urls,  # type: ignore[arg-type]
            kept_bytes,
            max_bytes,
            timeout,
            total_timeout,
            max_decoded,
            max_memory,
        )
        self._kept = KeptPictures(kept_bytes)
        self._source = find_source(path, self._options)
        self._delete = finalize(self, self._source.delete)
        self.path = self._source.name
        try:
            self._decoder = open_decoder(self._source, decoder, self._options.limits, progress)
        except BaseException:
            self._delete()
            raise
        self._begin()

    @classmethod
    def from_frames(
        cls, frames: Any, timestamps: Sequence[float] | None = None, duration: float | None = None
    ) -> OpenVideo:
        """A video of frames that are already there.

        Args:
            frames: Frames in time order, or PIL images, or uint8 RGB pictures as (h, w, 3) arrays or one
                (n, h, w, 3) array.
            timestamps: seconds, rising, one a frame; for anything but Frames it must be given.
            duration: end of the last frame, seconds; default: the last Frame's own end, or the usual gap later.

        Raises:
            TypeError, ValueError: no frames, or frames and timestamps do not fit together.
        """
        from kframes_plugin.video.frames import GivenFrames

        video = cls.__new__(cls)
        video._options = VideoOptions()
        video.path, video._source = "", Source("", "")
        video._kept = KeptPictures(KEPT_BYTES)
        video._decoder = GivenFrames(frames, timestamps, duration)
        video._begin()
        return video

    def _begin(self) -> None:
        self.closed = False
        self._lock = ForkLock()
        self.key = f"{os.getpid()}-{next(_NUMBERS)}"  # a forked process must not use the decoder of its parent
        _OPENED[self.key] = self

    def candidates(
        self, count: int, size: Size = None, progress: Progress | None = None, within: Sequence[Span] = ()
    ) -> Candidates:
        """min(count, frames) distinct frames spread evenly over the video, in time order.

        The video is cut into ``count`` equal spans, and one frame stands for each: the I-frame nearest to its middle,
        which costs a single decoded picture; where it has none, an early frame of the span, if the next candidate is
        near; where hardly any span has one, the frame on screen in the middle.

        Args:
            count: how many, >= 1.
            size: None = as displayed; an int = the long side at most that many pixels (never enlarged);
                (width, height) = exactly.
            progress: called with (done, total) after every frame.
            within: spans, seconds, apart and in time order, from which all candidates come; none: the whole video.
                A candidate then stands for no more than its span.

        Raises:
            ValueError: count < 1, or no frame comes on screen in the spans.
            VideoError: decoding fails.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}")
        ranks, pictures = self._pictures(lambda: self._spread(count, within), self._size(size), progress)
        starts = self.timestamps[ranks].tolist()
        ends = [*starts[1:], self.duration]
        if within:
            last = np.array([end for _, end in within])
            ends = np.minimum(ends, last[np.searchsorted(last, starts, side="right").clip(max=len(last) - 1)]).tolist()
        return Candidates(
            (Frame(start, end - start, pictures[rank]) for rank, start, end in zip(ranks, starts, ends, strict=True)),
            self.duration,
        )

    def frames_at(
        self, timestamps: Sequence[float], size: Size = None, progress: Progress | None = None, *, keep: bool = True
    ) -> list[Frame]:
        """The frame on screen at each time: the last one whose timestamp is not after it.

        Args:
            timestamps: seconds in [0, duration), in any order, repeats allowed.
            size, progress: as for :meth:`candidates`.
            keep: keep the pictures for the next call; no, where many pass by once.

        Raises:
            ValueError: a time outside [0, duration).
            VideoError: decoding fails.
        """
        times = np.asarray(timestamps, np.float64)
        outside = ~((times >= 0) & (times < self.duration))
        if outside.any():
            raise ValueError(f"timestamps must lie in [0, {self.duration}) s; got {times[outside][0]}")
        ranks, pictures = self._pictures(lambda: self._on_screen(times), self._size(size), progress, keep)
        return [self._frame(rank, pictures[rank]) for rank in ranks]

    def kept_pictures(self, timestamps: Sequence[float]) -> dict[float, Image.Image]:
        """The pictures that are kept of the frames on screen at these times, by time; nothing is decoded.

        Args:
            timestamps: seconds in [0, duration).

        Returns:
            Of each frame the largest one, of whatever size; frames of which none is kept are missing.
        """
        ranks = dict(zip(timestamps, self._on_screen(np.asarray(timestamps, np.float64)).tolist(), strict=True))
        with self._lock:
            found = self._kept.find_largest(set(ranks.values()))
        return {time: found[rank] for time, rank in ranks.items() if rank in found}

    def frames(self, size: Size = None) -> Iterator[Frame]:
        """Every frame in time order, in one sequential pass that keeps one frame at a time.

        Args:
            size: as for :meth:`candidates`.
        """
        self._must_be_open()
        for rank, picture in self._decoder.every_picture(self._size(size)):
            yield self._frame(rank, picture)

    def close(self) -> None:
        """Let go of the file; closing twice does no harm. Frames can then no longer be asked for."""
        with self._lock:
            self.closed = True
            self._kept.clear()
            self._decoder.close()
            self._source.delete()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its path or URL: another process opens it anew. Bytes and frames that were given are copied."""
        if self._source.has_own_name:
            return _reopen, (self.path, self._options)
        if self.path:
            return _reopen, (Path(self._source.file).read_bytes(), self._options)
        return OpenVideo.from_frames, (list(self.frames()), None, self.duration)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """(n,) seconds."""
        return self._decoder.index.timestamps

    @property
    def i_frames(self) -> NDArray[np.float64]:
        """(m,) seconds, the frames among ``timestamps`` whose decoding costs one picture; none for frames given."""
        return self.timestamps[self.is_i_frame]

    @property
    def is_i_frame(self) -> NDArray[np.bool_]:
        """(n,) which of ``timestamps`` are those of ``i_frames``."""
        return self._decoder.index.is_key

    @property
    def needed(self) -> NDArray[np.int64]:
        """(n,) packets that are read to decode each of ``timestamps``: 1 for an I-frame; all 0 where not known."""
        return self._decoder.index.needed

    @property
    def is_damaged(self) -> NDArray[np.bool_]:
        """(n,) which of ``timestamps`` were seen to be damaged so far, or depend on one that was."""
        return self._decoder.damaged

    @property
    def duration(self) -> float:
        """Seconds."""
        return self._decoder.index.duration

    @property
    def frame_rate(self) -> float:
        """Frames a second, on average."""
        return len(self.timestamps) / self.duration

    @property
    def width(self) -> int:
        """Pixels, as displayed."""
        return self._decoder.info.width

    @property
    def height(self) -> int:
        """Pixels, as displayed."""
        return self._decoder.info.height

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270."""
        return self._decoder.info.rotation

    @property
    def codec(self) -> str:
        """Short name of the codec."""
        return self._decoder.info.codec

    @property
    def container(self) -> str:
        """Short name of the container."""
        return self._decoder.info.container

    @property
    def decoder(self) -> str:
        """Name of the decoder."""
        return self._decoder.name

    @property
    def offset(self) -> float:
        """Seconds, >= 0; 0.0 for frames given by the user."""
        return 0.0 if self.file is None else self.file.offset

    @property
    def hdr(self) -> str:
        """See above."""
        return self._decoder.info.hdr

    @property
    def interlaced(self) -> bool:
        """See above."""
        return self._decoder.info.interlaced

    @property
    def alpha(self) -> bool:
        """See above."""
        return self._decoder.info.alpha

    @property
    def file(self) -> VideoFile | None:
        """The file and its clock; None for frames given by the user."""
        return self._decoder.file

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was out of the ordinary."""
        return tuple(self._decoder.notes)

    @property
    def frames_decoded(self) -> int:
        """Frames produced so far."""
        return self._decoder.frames_decoded

    @property
    def kept_bytes(self) -> int:
        """Bytes of decoded pictures that are kept now."""
        return self._kept.held

    def _on_screen(self, times: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Rank of the frame on screen at each time."""
        return np.searchsorted(self.timestamps, times, side="right") - 1

    def _spread(self, count: int, within: Sequence[Span]) -> NDArray[np.int64]:
        """Ranks of min(count, n) candidates: rising, distinct, cheap to decode."""
        ranks = spread_candidates(count, self.timestamps, self.needed, self.duration, within)
        if not len(ranks):
            raise SpanError(f"{self.path or 'the video'} shows no new frame within {list(within)} s; widen the spans")
        return ranks

    def _pictures(
        self,
        choose: Callable[[], NDArray[np.int64]],
        size: tuple[int, int],
        progress: Progress | None,
        keep: bool = True,
    ) -> tuple[list[int], dict[int, Image.Image]]:
        """The chosen ranks and their pictures; a file found damaged on the way is indexed anew, once."""
        with self._lock:
            self._must_be_open()
            try:
                return self._collect(choose(), size, progress, keep)
            except DamagedError:
                self._kept.clear()  # ranks change
                self._decoder.reindex()
            return self._collect(choose(), size, progress, keep)

    def _collect(
        self, ranks: NDArray[np.int64], size: tuple[int, int], progress: Progress | None, keep: bool
    ) -> tuple[list[int], dict[int, Image.Image]]:
        distinct = np.unique(ranks).tolist()
        if (needed := len(distinct) * size[0] * size[1] * PIXEL_BYTES) > self._options.max_memory:
            raise VideoError(
                f"{self.path or 'the video'}: {len(distinct)} pictures of {size[0]} x {size[1]} take {needed:,} bytes, "
                f"more than max_memory = {self._options.max_memory:,}; ask for fewer or smaller ones, or raise it."
            )
        pictures = self._kept.find(distinct, size)
        if pictures and progress is not None:
            progress(len(pictures), len(distinct))
        for rank, picture in self._decoder.pictures([rank for rank in distinct if rank not in pictures], size):
            stop_if_cancelled()
            pictures[rank] = picture
            if keep:
                self._kept.keep(rank, size, picture)
            if progress is not None:
                progress(len(pictures), len(distinct))
        return ranks.tolist(), pictures

    def _must_be_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.path or 'the video'} is closed; open it again to read frames")

    def _frame(self, rank: int, picture: Image.Image) -> Frame:
        """The frame with its own time: from its timestamp to that of the next frame."""
        start = float(self.timestamps[rank])
        end = float(self.timestamps[rank + 1]) if rank + 1 < len(self.timestamps) else self.duration
        return Frame(start, end - start, picture)

    def _size(self, size: Size) -> tuple[int, int]:
        """(width, height) of the pictures to be given for a ``size`` argument."""
        size = check_size(size)
        if size is None:
            return self.width, self.height
        if isinstance(size, tuple):
            return size
        scale = min(1.0, size / max(self.width, self.height))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))


def check_size(size: Any, name: str = "size") -> Any:
    """A size of pictures: None, the long side in pixels, or (width, height).

    Raises:
        ValueError: it is none; the message begins with ``name``.
    """
    if size is None:
        return None
    sides = size if isinstance(size, tuple) else (size,)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1 for side in sides)
    if not whole or len(sides) not in (1, 2) or (isinstance(size, tuple) and len(size) != 2):
        raise ValueError(
            f"{name} must be None, the long side in pixels, at least 1, or (width, height), each at least 1; "
            f"got {quoted(size)}"
        )
    if len(sides) == 2 and sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f"{name} must be at most {MAX_PIXELS:,} pixels in all; got {quoted(size)}")
    return (int(size[0]), int(size[1])) if isinstance(size, tuple) else int(size)


def _reopen(video: Given, options: VideoOptions) -> OpenVideo:
    return OpenVideo(video, **options.as_arguments())


def find_open(key: str) -> OpenVideo | None:
    """The video of a key, if this process opened it and it is still open; else None."""
    video = _OPENED.get(key) if key.startswith(f"{os.getpid()}-") else None
    return None if video is None or video.closed else video
