"""KFrames: the whole flow. Read this first.

    path -> OpenVideo -> candidate frames -> selector(frames, query) -> clips -> ends on cuts
         -> allocate(clips, k) -> timestamps -> frames -> Selection

The selector never sees k: it names the clips that matter, and the budget is spent afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from kframes_plugin.clips.allocation import DEFAULT, Allocation, check_strategy
from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.keyframes import Progress, check_request, draw, for_step, tell
from kframes_plugin.selection import SamplingOptions, Selection
from kframes_plugin.selectors.load import load_selector
from kframes_plugin.types import Candidates, Clip, Cost, Frame, Prediction, PredictionKind, Selector, Span, Strategy
from kframes_plugin.video import OpenVideo

CANDIDATES = 256  # T of the paper
CANDIDATE_SIZE = 448  # long side in pixels, where the selector does not say

Video = str | os.PathLike[str] | Sequence[Frame] | OpenVideo


class KFrames:
    """Query-aware key clips and any-k keyframes.

    Args:
        selector: any callable ``(frames, query) -> clips``; see :class:`~kframes_plugin.types.Selector`.
        candidates: candidate frames shown to the selector, >= 1; when None, what the selector asks for, else 256.
        strategy: "auto", "focused", "hybrid" or "uniform": see :func:`~kframes_plugin.clips.allocation.allocate`.
        allocation: weights of the priorities, hybrid's share, the rule of "auto".
        candidate_size: size of the candidates: long side in pixels or (width, height); when None, what the selector
            asks for, else 448.
        frame_size: the same for the keyframes; None is the size of the video.
        video_options: keyword arguments for :class:`~kframes_plugin.video.OpenVideo`: decoder, limits, allow_urls.
        snap_to_cuts: move the ends of clips to cuts between the candidates around them, at the cost of some more
            decoded frames: see :func:`~kframes_plugin.clips.snapping.snap_to_cuts`. Without a cut nothing moves.
            When None, what the selector asks for, else False: a function of yours may know its times exactly.

    Raises:
        TypeError: the selector is not callable.
        ValueError: candidates < 1 or an unknown strategy.
    """

    def __init__(
        self,
        selector: Selector,
        *,
        candidates: int | None = None,
        strategy: Strategy = "auto",
        allocation: Allocation = DEFAULT,
        candidate_size: int | tuple[int, int] | None = None,
        frame_size: int | tuple[int, int] | None = None,
        video_options: Mapping[str, Any] | None = None,
        snap_to_cuts: bool | None = None,
    ) -> None:
        if not callable(selector):
            raise TypeError(f"selector must be callable as selector(frames, query); got {type(selector).__name__}")
        self.selector = selector
        self.candidates = candidates or getattr(selector, "candidates", None) or CANDIDATES
        if not isinstance(self.candidates, int) or self.candidates < 1:
            raise ValueError(f"candidates must be a whole number >= 1; got {self.candidates!r}")
        self.candidate_size = candidate_size or getattr(selector, "frame_size", None) or CANDIDATE_SIZE
        self.sampling = SamplingOptions(check_strategy(strategy), allocation, frame_size, dict(video_options or {}))
        self.snap_to_cuts: bool = getattr(selector, "snap_to_cuts", False) if snap_to_cuts is None else snap_to_cuts

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = "nano",
        *,
        device: str | None = None,
        dtype: str = "auto",
        prediction: PredictionKind | None = None,
        **options: Any,
    ) -> Self:
        """A KFrames with a selector by name.

        Args:
            model: "nano", the small model that comes with kframes (trained on synthetic scenes alone); "uniform";
                "scenes"; "openclip:ARCH/WEIGHTS"; "https://host/v1#model" (an OpenAI-compatible server; key from
                KFRAMES_API_KEY or OPENAI_API_KEY); otherwise a transformers id or directory, or the directory of a
                PEFT adapter.
            device: "cpu", "cuda", "cuda:1" ...; automatic when None.
            dtype: "auto", "float32", "bfloat16" or "float16".
            prediction: of a multimodal model: "text", it writes its clips with reasons; "scores", one score a candidate
                from one pass, several times faster; "both", the clips of both; None: what its checkpoint says.
            options: keyword arguments of :class:`KFrames`.

        Raises:
            SelectorError: the selector cannot be loaded; the message says what to do.
        """
        return cls(load_selector(os.fspath(model), device=device, dtype=dtype, prediction=prediction), **options)

    def select(
        self,
        video: Video,
        query: str,
        k: int = 8,
        *,
        strategy: Strategy | None = None,
        progress: Progress | None = None,
    ) -> Selection:
        """Choose exactly min(k, frames) distinct frames of a video for a query.

        Args:
            video: path of a local file; or frames of your own: a sequence of :class:`Frame`, or an ``OpenVideo``.
            query: what is looked for, in words.
            k: frames wanted, >= 1.
            strategy: another strategy for this call.
            progress: called as ``progress(step, done, total)`` while frames are decoded.

        Raises:
            TypeError, ValueError: wrong arguments, before any work is done.
            VideoError: the video cannot be read.
            SelectorError: the selector cannot answer.
        """
        check_request(query, k, strategy)
        with self.open(video, progress=progress) as session:
            return session.select(query, k, strategy=strategy)

    def open(self, video: Video, *, progress: Progress | None = None) -> VideoSession:
        """One look at a video for many queries: a context manager; see :class:`VideoSession`."""
        return VideoSession(self, video, progress)

    def find(self, frames: Candidates, query: str, video: OpenVideo) -> Prediction:
        """The clips of a query, before any k: what the selector names, cut at the end of the video, ends on cuts.

        Args:
            frames: candidates of the video, as ``VideoSession.candidates`` gives them.
            query: what is looked for, in words.
            video: where the frames come from.

        Returns:
            The clips, best first, with the selector's notes and the cost of selecting and of finding the cuts.

        Raises:
            VideoError, SelectorError: as for :meth:`select`.
        """
        start = perf_counter()
        named = _inside(self.selector(frames, query), video.duration)
        spent = Cost(candidates=len(frames), seconds={"selector": perf_counter() - start})
        cost, clips = replace(named.cost, candidates=0) + spent, list(named)
        if clips and self.snap_to_cuts:
            start, before = perf_counter(), video.frames_decoded
            clips = snap_to_cuts(clips, frames, video, size=self.candidate_size)
            cost += Cost(video.frames_decoded - before, seconds={"snapping": perf_counter() - start})
        return Prediction(clips, notes=named.notes, cost=cost)

    def select_many(
        self, requests: Iterable[tuple[Video, str]], k: int = 8, *, strategy: Strategy | None = None
    ) -> Iterator[Selection]:
        """Select for many (video, query) pairs, in their order; queries on one video in a row share one look at it."""
        session: VideoSession | None = None
        opened: Video | None = None
        try:
            for video, query in requests:
                check_request(query, k, strategy)
                if session is None or (video is not opened and video != opened):
                    if session is not None:
                        session.close()
                    session, opened = self.open(video), video
                yield session.select(query, k, strategy=strategy)
        finally:
            if session is not None:
                session.close()


class VideoSession:
    """One opened video, its candidate frames and what the selector keeps of them. Use it as a context manager.

    Attributes:
        video: the :class:`OpenVideo`.
        duration: length of the video, seconds.

    One thread at a time.
    """

    def __init__(self, kframes: KFrames, video: Video, progress: Progress | None = None) -> None:
        start = perf_counter()
        self._kframes = kframes
        self._progress = progress
        self._owns = not isinstance(video, OpenVideo)
        self.video = _opened(video, kframes.sampling.video_options)
        self.duration = self.video.duration
        self._candidates: Candidates | None = None
        self._scenes: tuple[Span, ...] = ()
        self._unpaid = Cost(seconds={"open": perf_counter() - start})

    def select(self, query: str, k: int = 8, *, strategy: Strategy | None = None) -> Selection:
        """The same as :meth:`KFrames.select`; the candidate frames are decoded once for all queries."""
        check_request(query, k, strategy)
        kframes = self._kframes
        frames = self.candidates()
        clips = kframes.find(frames, query, self.video)
        tell(self.video.path, clips.notes)
        cost, self._unpaid = self._unpaid + clips.cost, Cost()
        found = Selection(
            video=self.video.path,
            query=query,
            k=k,
            strategy="uniform",
            clips=tuple(clips),
            frames=(),
            cost=cost,
            notes=clips.notes,
            duration=self.duration,
            scenes=self._scenes,
            candidates=tuple(frame.timestamp for frame in frames),
            sampling=kframes.sampling,
        )
        return draw(found, self.video, k, strategy or kframes.sampling.strategy, self._progress)

    def candidates(self) -> Candidates:
        """The candidate frames, decoded on the first call."""
        if self._candidates is None:
            start, before = perf_counter(), self.video.frames_decoded
            kframes = self._kframes
            self._candidates = self.video.candidates(
                kframes.candidates, size=kframes.candidate_size, progress=for_step(self._progress, "candidates")
            )
            seconds = {"candidates": perf_counter() - start}
            self._scenes = tuple(detect_scenes(self._candidates, self.duration))
            self._unpaid += Cost(frames_decoded=self.video.frames_decoded - before, seconds=seconds)
        return self._candidates

    def close(self) -> None:
        """Close the video (not one that was given opened)."""
        if self._owns:
            self.video.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def select(video: Video, query: str, k: int = 8, *, strategy: Strategy | None = None) -> Selection:
    """``KFrames.from_pretrained().select(...)``: the same with the default model, in one call."""
    return KFrames.from_pretrained().select(video, query, k, strategy=strategy)


def _inside(answer: list[Clip], duration: float) -> Prediction:
    """Check what a selector returned and cut it at the end of the video."""
    if not isinstance(answer, list) or not all(isinstance(clip, Clip) for clip in answer):
        raise TypeError(f"a selector must return a list of Clip; got {type(answer).__name__}")
    told = answer if isinstance(answer, Prediction) else Prediction(answer)
    notes, kept = list(told.notes), []
    for clip in told:
        if clip.start >= duration:
            notes.append(f"a clip at {clip.start:.1f}-{clip.end:.1f} s lies after the end of the video; dropped")
            continue
        kept.append(replace(clip, end=min(clip.end, duration)))
    return Prediction(kept, notes=notes, cost=told.cost)


def _opened(video: Video, options: Mapping[str, Any]) -> OpenVideo:
    if isinstance(video, OpenVideo):
        return video
    if isinstance(video, str | os.PathLike):
        return OpenVideo(video, **options)
    if isinstance(video, Sequence):
        return OpenVideo.from_frames(video)
    raise TypeError(f"video must be a path, a list of Frame or an OpenVideo; got {type(video).__name__}")
