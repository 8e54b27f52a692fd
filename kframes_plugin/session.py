"""VideoSession: what happens to a query, from path to Selection. Read this first.

    path -> OpenVideo -> candidate frames -> selector(frames, query) -> clips -> ends on cuts
         -> allocate(clips, k) -> timestamps -> frames -> Selection

The selector never sees k: it names the clips that matter, and the budget is spent afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.clips.geometry import overlaps
from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.evidence.near import add_lines, lines_near
from kframes_plugin.finding import find_clips, find_said
from kframes_plugin.keyframes import (
    Progress,
    ProgressOption,
    as_progress,
    check_request,
    for_step,
    log_notes,
    take_keyframes,
    with_strategy,
)
from kframes_plugin.query.read import ReadQuery, read_query
from kframes_plugin.query.spans import Time, join_spans
from kframes_plugin.retrieval import Looked, Retrieval
from kframes_plugin.selection import Selection
from kframes_plugin.text import whole_text
from kframes_plugin.types import Candidates, Cost, Frame, Prediction, Span, Strategy
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.forks import ForkLock
from kframes_plugin.video.open_video import Given
from kframes_plugin.words.options import WordOptions
from kframes_plugin.words.video_words import VideoWords

if TYPE_CHECKING:
    from kframes_plugin.kframes import KFrames

Video = Given | Sequence[Frame] | OpenVideo


class VideoSession:
    """One opened video, its candidate frames and what the selector keeps of them. Use it as a context manager.

    Attributes:
        video: the :class:`OpenVideo`.
        duration: length of the video, seconds.
        words: what is said in it.
        retrieval: what a retriever has seen of it.

    Threads may share it: they wait for each other. It can be pickled; another process then opens the video anew.
    """

    def __init__(
        self, kframes: KFrames, video: Video, progress: ProgressOption = None, words: WordOptions | None = None
    ) -> None:
        start = perf_counter()
        self._kframes = kframes
        self._lock = ForkLock()
        self._words = kframes.words if words is None else words
        self._progress = progress = as_progress(progress)
        self._owns = not isinstance(video, OpenVideo)
        self.video = _opened(video, kframes.sampling.video_options, progress)
        self.duration = self.video.duration
        self.words = VideoWords(self.video, self._words, progress)
        self._candidates: dict[tuple[Span, ...], Candidates] = {}  # by the spans that were asked for
        self._scenes: dict[tuple[Span, ...], tuple[Span, ...]] = {}
        self._unpaid = Cost(seconds={"open": perf_counter() - start})
        sight = kframes.candidates, kframes.candidate_size
        self.retrieval = Retrieval(kframes.retriever, self.video, *sight, progress)

    def select(
        self,
        query: str,
        k: int = 8,
        *,
        strategy: Strategy | None = None,
        within: Iterable[Span] = (),
        start: Time | None = None,
        end: Time | None = None,
    ) -> Selection:
        """The same as :meth:`KFrames.select`; the candidate frames are decoded once for all queries."""
        k = check_request(query, k, strategy)
        spans = join_spans(within, start, end, self.duration, self.video.path)
        with self._lock:
            return self._select(query, k, strategy, spans)

    def _select(self, query: str, k: int, strategy: Strategy | None, spans: Sequence[Span]) -> Selection:
        stop_if_cancelled()
        kframes, times = self._kframes, self.video.timestamps
        asked = read_query(whole_text(query), spans, self.duration, times, self.find_scenes, kframes.time_words)
        frames, found, scenes, selector = self._find(asked)
        options = replace(with_strategy(kframes.sampling, strategy), within=asked.spans)
        taken = take_keyframes(
            self.video, found, k, options, nearest=found.nearest, scenes=scenes, progress=self._progress
        )
        notes = tuple(dict.fromkeys((*asked.notes, *found.notes, *taken.notes, *self.words.notes)))
        lines, clips = self.words.transcript, [(clip.start, clip.end) for clip in found]
        log_notes(self.video.path, notes)
        cost, self._unpaid = self._unpaid + found.cost + taken.cost, Cost()
        return Selection(
            video=self.video.path,
            query=query,
            k=k,
            strategy=taken.strategy,
            clips=tuple(found),
            nearest=found.nearest,
            frames=add_lines(taken.frames, lines),
            transcript=lines_near(lines, [frame.timestamp for frame in taken.frames], clips),
            cost=cost,
            notes=notes,
            duration=self.video.duration,
            scenes=tuple(scenes),
            candidates=tuple(frame.timestamp for frame in frames),
            sampling=options,
            selector=selector,
            source=self.video.key,
        )

    def _find(self, asked: ReadQuery) -> tuple[Sequence[Frame], Prediction, Sequence[Span], Mapping[str, Any]]:
        """The candidates and clips of a query, the scenes around them, and what chose the clips."""
        if not asked.text:  # times alone: they are the clips, and no selector is asked
            return (), Prediction(asked.clips), (), {"name": "time words"}
        spans = asked.spans
        looked = self.retrieval.look(asked.text, spans, lambda: self._find_said(asked.text, spans))
        looked = looked or Looked(self.candidates(spans), self._scenes[spans])
        if looked.frames.windows:
            self.words.give_to(looked.frames, spans)
        found = find_clips(self._kframes, looked.frames, [asked.text], self.video, spans)[0]
        nearest = found.nearest or (() if found else looked.nearest)
        notes, cost = (*looked.notes, *found.notes), looked.cost + found.cost
        scenes = overlaps(looked.scenes, spans) if spans else looked.scenes
        found = Prediction(found, nearest=nearest, notes=notes, cost=cost)
        return looked.frames, found, scenes, self._kframes.description

    def _find_said(self, query: str, spans: Sequence[Span]) -> list[Span]:
        """Where lines answer a query: windows, whatever a retriever sees there."""
        return find_said(self.words.transcript, query, spans or [(0.0, self.duration)])

    def find_scenes(self) -> tuple[Span, ...]:
        """The scenes of the whole video, as the candidates show them: spans that part [0, duration)."""
        self.candidates()
        return self._scenes[()]

    def candidates(self, within: Sequence[Span] = ()) -> Candidates:
        """The candidate frames, of the whole video or of some spans, decoded on the first call."""
        with self._lock:
            return self._look(tuple(within))

    def _look(self, within: tuple[Span, ...]) -> Candidates:
        if within not in self._candidates:
            start, before = perf_counter(), self.video.frames_decoded
            kframes, progress = self._kframes, for_step(self._progress, "candidates")
            length = sum(end - start for start, end in within) if within else self.duration
            count = kframes.count_candidates(length)
            frames = self.video.candidates(count, kframes.candidate_size, progress, within=within)
            seconds = {"candidates": perf_counter() - start}
            start = perf_counter()
            self.words.give_to(frames, within)
            if frames.transcript or frames.screen_text:
                seconds["words"] = perf_counter() - start
            self._candidates[within] = frames
            self._scenes[within] = tuple(detect_scenes(frames, self.duration))
            self._unpaid += Cost(frames_decoded=self.video.frames_decoded - before, seconds=seconds)
        return self._candidates[within]

    @property
    def kept_bytes(self) -> int:
        """Bytes of pictures that it holds: candidates, and keyframes that may be asked for again."""
        images = (frame.image for frames in self._candidates.values() for frame in frames)
        return self.video.kept_bytes + sum(3 * image.width * image.height for image in images)

    def __reduce__(self) -> tuple[Any, ...]:
        video = self.video
        return VideoSession, (self._kframes, video, None, self._words)

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


def _opened(video: Video, options: Mapping[str, Any], progress: Progress | None) -> OpenVideo:
    if isinstance(video, OpenVideo):
        return video
    if isinstance(video, Sequence) and not isinstance(video, str | bytes | bytearray | memoryview):
        return OpenVideo.from_frames(video)
    return OpenVideo(video, **options, progress=for_step(progress, "opening"))
