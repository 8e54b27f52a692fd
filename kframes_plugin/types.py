"""All the words of kframes: Frame, Line, Candidates, Clip, Prediction, Selector, Cost.

Two rules of measure hold everywhere: time is a float in seconds from the first frame of the video;
a span is half-open, [start, end).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, overload, runtime_checkable

from kframes_plugin.text import clock, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from PIL import Image

Priority = Literal["P1", "P2"]
Strategy = Literal["auto", "focused", "hybrid", "uniform"]
PredictionKind = Literal["text", "scores", "both"]
ExportKind = Literal["mp4", "gif", "webp", "csv", "edl", "otio", "vtt", "label-studio"]
Span = tuple[float, float]

PRIORITIES: tuple[Priority, ...] = ("P1", "P2")
STRATEGIES: tuple[Strategy, ...] = ("auto", "focused", "hybrid", "uniform")
FRAME_SIZE = 1280  # long side of keyframes, pixels, at most: 64 of 1280 x 720 hold 236 MB in memory, of 4K 2.1 GB
PREDICTION_KINDS: tuple[PredictionKind, ...] = ("text", "scores", "both")
EXPORT_KINDS: tuple[ExportKind, ...] = get_args(ExportKind)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video.

    Attributes:
        timestamp: when it comes on screen; seconds from the first frame, >= 0.
        duration: how long it stands, seconds, >= 0. A decoded frame stands until the next frame of
            the video; a candidate stands until the next candidate: [timestamp, timestamp + duration).
        image: the picture, an RGB ``PIL.Image`` the right way up.
        said: the line that is spoken when it comes on screen; "" where none is, or none is known.
    """

    timestamp: float
    duration: float
    image: Image.Image
    said: str = ""

    @property
    def end(self) -> float:
        """``timestamp + duration``, seconds."""
        return self.timestamp + self.duration


@dataclass(frozen=True, slots=True)
class Line:
    """Words of one video: a line that is spoken, or text that stands on screen.

    Attributes:
        start: when it begins, seconds from the first frame, >= 0.
        end: when it ends, seconds, > start.
        text: the words, not empty.

    Raises:
        ValueError: a field is out of its range.
    """

    start: float
    end: float
    text: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start < self.end):
            raise ValueError(f"a line needs 0 <= start < end, finite seconds; got start={self.start}, end={self.end}")
        if not self.text.strip():
            raise ValueError(f"a line needs words; the one at {self.start} s has none")


class Candidates(Sequence[Frame]):
    """The candidate frames of one video: an immutable sequence of :class:`Frame` in time order.

    Attributes:
        duration: length of the whole video, seconds, > 0.
        transcript: the lines spoken in the video, in time order; none where none are known.
        screen_text: text read on its pictures, in time order; none where nobody asked for it.
        windows: spans, seconds, that a retriever named and where the frames are dense; none: they are spread evenly.
        cache: what selectors keep between two queries on the same frames (image embeddings, a
            prefilled prompt ...), one entry a selector. It lives as long as the frames do.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        duration: float,
        *,
        transcript: Iterable[Line] = (),
        screen_text: Iterable[Line] = (),
        windows: Iterable[Span] = (),
    ) -> None:
        self._frames = tuple(frames)
        self.duration = duration
        self.transcript = tuple(transcript)
        self.screen_text = tuple(screen_text)
        self.windows = tuple(windows)
        self.cache: dict[object, Any] = {}

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Frame, ...]: ...
    def __getitem__(self, index: int | slice) -> Frame | tuple[Frame, ...]:
        return self._frames[index]

    def __len__(self) -> int:
        return len(self._frames)


# What a note's code means. Code decides by these; the text of a note is for people, and free to change.
NOTE_CODES: Mapping[str, str] = {
    "no-clip": "no clip for the query: the frames show what comes nearest, or are spread over the scenes",
    "few-frames": "the video has fewer frames than k",
    "clips-full": "the clips hold fewer than k frames: some lie outside them",
    "spans-full": "the spans of within= hold fewer than k frames: some lie outside them",
    "clip-outside": "the selector named a clip, or a part of one, outside the video or the spans; it was dropped",
    "time-read": "times that the query names were read as spans; only these were looked at",
    "time-outside": "a time that the query names lies outside the video or the spans; it was ignored",
    "keys-unread": "a video block of a chat has keys that kframes ignores",
    "nothing-found": "the selector says that nothing in the video matches",
    "unknown-words": "the query has words the model does not know, so it abstains",
    "query-cut": "the query is longer than the model reads",
    "control-tokens": "control tokens of the model in the query were read as plain text",
    "untrained": "the model was not trained for what it is asked to do",
    "answer-cut": "the model's answer reached its maximum length",
    "answer-repaired": "the model's answer was not in the expected format and was repaired",
    "answer-unreadable": "no clips could be read in the model's answer",
    "damaged": "parts of the video cannot be decoded",
    "damaged-pictures": "some pictures decode with errors; intact ones nearby are preferred",
    "cut-short": "the file ends before it should",
    "starts-late": "the first frames cannot be decoded: the file starts in the middle",
    "decoded-whole": "all of the video had to be decoded to find its frames",
    "rare-i-frames": "many more frames than those asked for had to be decoded: there are few I-frames",
    "false-duration": "the file claims a different duration from that of its pictures",
    "times-restart": "time stamps go back or start again and were put in order",
    "tone-mapped": "pictures with a high dynamic range (HDR) were mapped to the standard range",
    "deinterlaced": "interlaced pictures were deinterlaced: one field of each is shown",
    "see-through": "transparent parts of the pictures are shown on black",
    "picture-late": "the picture starts after the sound; times count from the first picture",
    "no-transcript": "there are no subtitles in the language that was asked for, or none at all",
    "transcript-unreadable": "subtitles, or a part of them, cannot be read",
    "transcript-cut": "there are more subtitles than are read",
    "transcript-pictures": "the subtitles in the file are pictures, not text",
    "text-cut": "on-screen text was read on fewer pictures than changed",
    "retrieved": "a cheap scorer proposed windows of the video, and most candidates lie in them",
    "no-slider": "a report shows the frames of one k only, because the video cannot be opened again",
    "pictures-smaller": "a tool's pictures were made smaller, so that its answer stays within its byte limit",
    "contact-sheet": "a tool shows all frames on one sheet, so that its answer stays within its byte limit",
    "question-earlier": "a question that refers to an earlier one in the chat was read together with it",
    "selector": "reported by your own selector, as a plain string",
}


@dataclass(frozen=True, slots=True)
class Note:
    """Something out of the ordinary.

    Attributes:
        code: what it is, for code: one of ``NOTE_CODES``, or a code of your own.
        text: one sentence for people.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Clip:
    """A span of the video that a selector chose for a query.

    Attributes:
        start: first second of the clip, >= 0.
        end: end of the clip, seconds, > start (the span is [start, end)).
        priority: "P1" (top) or "P2" (secondary).
        reason: why it was chosen, in words, for people; may be empty.
        score: the selector's confidence, 0 to 1, or None where it has none.

    Raises:
        ValueError: a field is out of its range.
    """

    start: float
    end: float
    priority: Priority = "P1"
    reason: str = ""
    score: float | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "score"):  # numbers of numpy become Python's, which JSON and == understand
            value = getattr(self, name)
            if not (hasattr(value, "__float__") or (name == "score" and value is None)):
                raise TypeError(f"{name} must be a number; got {value!r} ({type(value).__name__})")
            if value is not None and type(value) not in (int, float):
                object.__setattr__(self, name, float(value))
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start < self.end):
            raise ValueError(f"a clip needs 0 <= start < end, finite seconds; got start={self.start}, end={self.end}")
        if self.priority not in PRIORITIES:
            raise ValueError(f'priority must be "P1" or "P2"; got {self.priority!r}')
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"score must lie in 0..1 or be None; got {self.score}")

    @property
    def length(self) -> float:
        """``end - start``, seconds, > 0."""
        return self.end - self.start

    def _repr_html_(self) -> str:
        """As a notebook shows it: priority, time, score, reason; everything escaped."""
        score = "" if self.score is None else f", score {self.score:.2f}"
        reason = f": {escape(printable(self.reason))}" if self.reason else ""
        return f"<div><b>{self.priority}</b> {clock(self.start)} – {clock(self.end)}{score}{reason}</div>"


@dataclass(frozen=True)
class Cost:
    """What a selection cost.

    Attributes:
        frames_decoded: frames the decoder had to produce, also those only passed on the way, >= 0.
        candidates: candidate frames shown to the selector, >= 0.
        model_calls: forward or generate calls of a model, or requests to a server, >= 0.
        tokens_in: tokens the model read, >= 0 (0 where unknown).
        tokens_out: tokens the model wrote, >= 0 (0 where unknown).
        tokens_cached: those of ``tokens_in`` that a server had in its cache, >= 0 (0 where it does not say).
        seconds: wall-clock seconds by step ("candidates", "selector", "keyframes" ...).
        peak_memory_mb: peak memory of the process (or of the GPU, where one is used), MB, or None.
    """

    frames_decoded: int = 0
    candidates: int = 0
    model_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None

    def __add__(self, other: Cost) -> Cost:
        """Both costs together: counts and seconds add up, the peak memory is the larger one."""
        steps = dict(self.seconds)
        for step, value in other.seconds.items():
            steps[step] = steps.get(step, 0.0) + value
        peaks = [peak for peak in (self.peak_memory_mb, other.peak_memory_mb) if peak is not None]
        counts = {
            f.name: getattr(self, f.name) + getattr(other, f.name)
            for f in fields(self)
            if f.name not in ("seconds", "peak_memory_mb")
        }
        return Cost(**counts, seconds=steps, peak_memory_mb=max(peaks) if peaks else None)


class Prediction(list[Clip]):
    """The clips a selector chose, best first, with what it has to say about them.

    A selector may return a plain list of clips; this one also carries notes and cost.

    Attributes:
        nearest: all that may matter, where it is unsure, best first, with chances as scores; no clips for people. k is
            hedged over them (see :func:`~kframes_plugin.clips.allocation.allocate`), also where no clip is claimed.
            None: without a clip the frames are spread over the scenes.
        notes: what was out of the ordinary (an answer repaired, the query unknown ...). Plain strings of a selector
            of your own become notes of the code "selector".
        cost: model calls and tokens of this prediction.
    """

    def __init__(
        self,
        clips: Iterable[Clip] = (),
        *,
        nearest: Iterable[Clip] = (),
        notes: Iterable[Note | str] = (),
        cost: Cost | None = None,
    ) -> None:
        super().__init__(clips)
        self.nearest = tuple(nearest)
        self.notes = tuple(Note("selector", note) if isinstance(note, str) else note for note in notes)
        self.cost = cost if cost is not None else Cost()


class Selector(Protocol):
    """Anything that names the clips of a video that matter to a query; a plain function will do.

    It is called with the candidate frames in time order and the query, and returns the clips, best
    first, or an empty list when nothing matches. It never sees k. ``frames`` is a :class:`Candidates`
    when it comes from kframes, so ``frames.duration`` and ``frames.cache`` can be used.

    A selector may have these attributes, which :class:`~kframes_plugin.KFrames` follows:
    ``candidates`` (int, how many candidate frames it wants), ``spacing`` (float: one every so many seconds is
    enough, but at least 256 of them), ``frame_size`` (int, their long side in pixels, or (width, height)) and
    ``snap_to_cuts`` (bool, whether its clips end at candidates, so
    that cuts between them are to be found), ``name`` (str) and ``description`` (a mapping of plain JSON values), which
    a :class:`Selection` keeps. With a method ``predict_all(frames, queries)`` many queries are asked at once.
    Where it scores frames (:class:`FrameScorer`, :class:`FrameEmbedder`), what is said and shown is joined with its
    clips, unless ``reads_words`` (bool) says that it reads the transcript itself.
    ``retriever`` says what names windows for it in videos of hours: "lite", another name, or "scores" (its own
    ``scores``); None: nothing does.
    """

    def __call__(self, frames: Sequence[Frame], query: str, /) -> list[Clip]: ...


class FrameScorer(Protocol):
    """A retriever: anything that says how well each frame fits a query. It may be asked about parts of a video.

    Attributes:
        frame_size: long side of the frames it reads, pixels, or (width, height); where missing, the selector's.
        rule: a :class:`~kframes_plugin.clips.from_scores.RelevanceRule`, what its scores mean; where missing, they are
            relative: the best of a video is 1. ``PROBABILITY``: they are chances.
    """

    def scores(self, frames: Sequence[Frame], query: str) -> ArrayLike:
        """(T,) finite, higher is better; two calls about one video must be comparable."""


@runtime_checkable
class FrameEmbedder(Protocol):
    """A retriever that reads each picture once: only its rows are kept, so memory stays flat and a query costs a text.

    Attributes:
        embedding_key: names what the rows depend on (model, weights, form), so that kept rows can be used again;
            "": not known, and rows are never kept on disk.
    """

    embedding_key: str

    def embed(self, frames: Sequence[Frame], /) -> NDArray[np.floating[Any]]:
        """(T, d) rows of T >= 1 frames. A row depends on its frame alone: frames come in batches of any size."""

    def score_embedded(
        self, rows: NDArray[np.floating[Any]], query: str, /, *, scenes: NDArray[np.int64]
    ) -> NDArray[np.floating[Any]]:
        """(T,) scores of kept rows, higher is better; ``scenes`` (T,) numbers the scene that each lies in."""


@runtime_checkable
class RowComparer(FrameEmbedder, Protocol):
    """An embedder that compares each row alone with a query: more rows can be searched than memory holds.

    ``score_embedded(rows, ...)`` is ``score_compared(compare_rows(rows, ...), ...)``.
    """

    def compare_rows(self, rows: NDArray[np.floating[Any]], query: str, /) -> NDArray[np.floating[Any]]:
        """(T, f) the few numbers of each row that scores of this query need."""

    def score_compared(
        self, compared: NDArray[np.floating[Any]], query: str, /, *, scenes: NDArray[np.int64]
    ) -> NDArray[np.floating[Any]]:
        """(T,) scores of all rows together, higher is better."""

    def doubt_compared(self, compared: NDArray[np.floating[Any]], query: str, /, *, seconds: float) -> Note | None:
        """Why nothing in so many seconds of video is like the query; None: something may be."""
