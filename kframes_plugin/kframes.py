"""KFrames: a selector and how it is used. What happens to a query, from path to Selection, is in ``session.py``."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, Unpack

from kframes_plugin.clips.allocation import DEFAULT, Allocation, check_strategy
from kframes_plugin.clips.geometry import check_spans
from kframes_plugin.finding import find_clips
from kframes_plugin.kept_sessions import KeptSessions
from kframes_plugin.keyframes import (
    ProgressOption,
    SamplingOptions,
    as_progress,
    check_kinds,
    check_request,
)
from kframes_plugin.query.english import ENGLISH
from kframes_plugin.query.spans import Time, check_range
from kframes_plugin.query.time_words import TimeWords
from kframes_plugin.retrieval import Retriever
from kframes_plugin.selection import Selection
from kframes_plugin.selectors.load import load_selector
from kframes_plugin.session import Video, VideoSession
from kframes_plugin.text import quoted
from kframes_plugin.types import (
    FRAME_SIZE,
    Candidates,
    Prediction,
    PredictionKind,
    Selector,
    Span,
    Strategy,
)
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.open_video import check_size
from kframes_plugin.video.options import VideoOptions
from kframes_plugin.words.options import WordArguments, WordOptions

if TYPE_CHECKING:  # imported on use, for a first call to be quick
    from kframes_plugin.answering import Answer, Answerer
    from kframes_plugin.bulk.requests import Failure, Request
    from kframes_plugin.search import Hits, Searcher

CANDIDATES = 256  # T of the paper
CANDIDATE_SIZE = 448  # long side in pixels, where the selector does not say


class KFrames:
    """Query-aware key clips and any-k keyframes.

    Args:
        selector: any callable ``(frames, query) -> clips``; see :class:`~kframes_plugin.types.Selector`.
        candidates: candidate frames shown to the selector, >= 1; when None, what the selector asks for, else 256 (lite:
            one every 3 s, 256 to 512).
        strategy: "auto", "focused", "hybrid" or "uniform": see :func:`~kframes_plugin.clips.allocation.allocate`.
        allocation: weights of the priorities, the share of "hybrid", the rule of "auto".
        candidate_size: size of the candidates: long side in pixels or (width, height); when None, what the selector
            asks for, else 448.
        frame_size: the same for the keyframes; None is the size of the video. By default 1280: 720p stays as it is, and
            larger pictures are scaled down while they are decoded.
        video_options: keyword arguments for :class:`~kframes_plugin.video.OpenVideo`: decoder, limits, allow_urls.
        snap_to_cuts: move the ends of clips to cuts between the candidates around them, at the cost of some more
            decoded frames: see :func:`~kframes_plugin.clips.snapping.snap_to_cuts`. Without a cut nothing moves.
            Clips that the selector is unsure of move only to cuts with an I-frame.
            When None, what the selector asks for, else False: your own function may know its times exactly.
        exact: space keyframes exactly. Otherwise each may move, within its own stretch of time, to an I-frame, which
            costs a single decoded picture.
        time_words: read the times that a query names ("the cat in the first minute") as spans to look at, and ask the
            selector for the rest. A table for another language does this in that language; False reads none.
        retriever: for hours of video: a cheap scorer that sees up to 4,096 I-frames and proposes the windows in which
            most candidates lie. A name such as "lite", "scores" (the selector's own), or an object: see
            :class:`~kframes_plugin.types.FrameEmbedder` and :class:`~kframes_plugin.types.FrameScorer`. None: no
            retriever. "auto": what the selector asks for, if the video is longer than ten minutes and
            candidates are more than 4 s apart.
        words: ``transcript``, ``language`` and ``ocr``: where the words of videos come from, see
            :class:`~kframes_plugin.words.options.WordOptions`. Words are evidence in addition to the
            pictures that a selector scores; if none match the query, clips come from the pictures alone.

    Raises:
        TypeError: the selector is not callable, or the retriever gives no scores.
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
        frame_size: int | tuple[int, int] | None = FRAME_SIZE,
        video_options: Mapping[str, Any] | None = None,
        snap_to_cuts: bool | None = None,
        exact: bool = False,
        time_words: bool | TimeWords = True,
        retriever: Any = "auto",
        **words: Unpack[WordArguments],
    ) -> None:
        if not callable(selector):
            raise TypeError(f"selector must be callable as selector(frames, query); got {type(selector).__name__}")
        self.selector = selector
        self.candidates: int = _first(candidates, getattr(selector, "candidates", None), CANDIDATES)
        if not isinstance(self.candidates, int) or isinstance(self.candidates, bool) or self.candidates < 1:
            raise ValueError(f"candidates must be a whole number >= 1; got {self.candidates!r}")
        self._spacing: float | None = getattr(selector, "spacing", None) if candidates is None else None
        size = _first(candidate_size, getattr(selector, "frame_size", None), CANDIDATE_SIZE)
        self.candidate_size = check_size(size, "candidate_size")
        check_kinds(allocation=(allocation, Allocation), exact=(exact, bool), time_words=(time_words, bool | TimeWords))
        check_kinds(snap_to_cuts=(snap_to_cuts, bool | None))
        opening = VideoOptions.read(video_options)
        self.sampling = SamplingOptions(
            check_strategy(strategy),
            allocation,
            check_size(frame_size, "frame_size"),
            {name: getattr(opening, name) for name in video_options or {}},
            exact=exact,
        )
        self.time_words = ENGLISH if time_words is True else time_words or None
        self.snap_to_cuts: bool = getattr(selector, "snap_to_cuts", False) if snap_to_cuts is None else snap_to_cuts
        self.words = WordOptions().changed(words)
        self.retriever = Retriever(retriever, selector, load_selector)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = "lite",
        *,
        device: str | None = None,
        dtype: str = "auto",
        prediction: PredictionKind | None = None,
        server: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """A KFrames with a selector by name.

        Args:
            model: a short name of ``kframes models`` ("lite", "nano", "scenes", "uniform", "clip", "qwen3-vl-4b" ...);
                "auto", the best one that this machine can run without a download; "openclip:ARCH/WEIGHTS";
                "st:ORG/MODEL" or "st:DIRECTORY", a sentence-transformers multimodal encoder (extra ``st``);
                "https://host/v1#model" (an OpenAI-compatible server; key from KFRAMES_API_KEY or OPENAI_API_KEY);
                otherwise a transformers id or directory, or the directory of a PEFT adapter.
            device: "cpu", "cuda", "cuda:1" ...; chosen automatically when None.
            dtype: "auto", "float32", "bfloat16" or "float16".
            prediction: how a multimodal model predicts: "text", it writes its clips with reasons; "scores", it scores
                every candidate in one pass, several times faster; "both", the clips of both; None: what its
                checkpoint says.
            server: for a model behind a URL, fields of :class:`~kframes_plugin.selectors.remote.RemoteSelector`, as
                ``{"max_tokens": 4000, "timeout": 300, "options": {"reasoning_effort": "low"}}``.
            options: keyword arguments of :class:`KFrames`.

        Raises:
            SelectorError: the selector cannot be loaded; the message says what to do.
        """
        if not isinstance(model, str | os.PathLike):
            raise TypeError(f"model must be a name or a directory; got {quoted(model)} ({type(model).__name__})")
        name = os.fspath(model)
        return cls(load_selector(name, device=device, dtype=dtype, prediction=prediction, server=server), **options)

    def select(
        self,
        video: Video,
        query: str,
        k: int = 8,
        *,
        strategy: Strategy | None = None,
        within: Iterable[Span] = (),
        start: Time | None = None,
        end: Time | None = None,
        progress: ProgressOption = None,
        **words: Unpack[WordArguments],
    ) -> Selection:
        """Choose exactly min(k, frames) distinct frames of a video for a query.

        Args:
            video: path of a local file; or your own frames: a sequence of :class:`Frame`, or an ``OpenVideo``.
            query: what is looked for, in words.
            k: frames wanted, >= 1.
            strategy: another strategy for this call.
            within: spans, (start, end) in seconds; nothing outside them is looked at: candidates, clips and
                keyframes lie inside. If they hold fewer than k frames, the rest come from around them, and a note
                says so. None: the whole video.
            start, end: the same for one span: seconds, or a text such as "1:30"; None is the start or the end of the
                video. Together with ``within``, only what lies in both counts.
            progress: called as ``progress(step, done, total)`` while frames are decoded; True: tqdm bars.
            words: another ``transcript``, ``language`` or ``ocr`` for this call, as for :class:`KFrames`.

        Raises:
            TypeError, ValueError: wrong arguments, before any work is done.
            SpanError: the span that was asked for lies outside the video.
            VideoError: the video cannot be read.
            SelectorError: the selector cannot answer.
        """
        check_request(query, k, strategy)
        within = check_spans(within)
        check_range(start, end)
        with self.open(video, progress=progress, **words) as session:
            return session.select(query, k, strategy=strategy, within=within, start=start, end=end)

    def ask(
        self,
        video: Video,
        question: str,
        answerer: str | os.PathLike[str] | Answerer | Callable[..., Any],
        k: int = 8,
        *,
        query: str | None = None,
        options: Sequence[str] = (),
        compare: bool = False,
        reasons: bool = False,
        transcript_lines: bool = False,
        on_text: Callable[[str], None] | None = None,
        **select: Any,
    ) -> Answer:
        """Answer a question about a video: select k frames for it, and give them to an answering model.

        Args:
            video: as for :meth:`select`.
            question: what the model is asked.
            answerer: "http(s)://HOST/v1#MODEL", a transformers id or directory; what
                :func:`~kframes_plugin.answering.load_answerer` gives, which is loaded once for many questions; or a
                function: chat messages -> text, or pieces of it.
            k: frames, >= 1.
            query: what is looked for, in words; the question when None.
            options: of a multiple-choice question, none or 2 to 26.
            compare: also answer from k evenly spaced frames: ``answer.uniform``.
            reasons: give it the clips with their reasons. Off by default, since they make answers worse.
            transcript_lines: give it what is said near the frames.
            on_text: called with each piece of the answer as it arrives.
            select: more arguments of :meth:`select`.

        Raises:
            AnswererError: the model cannot be loaded or cannot answer.
            TypeError, ValueError, VideoError, SelectorError: as for :meth:`select`.
        """
        from kframes_plugin.answering import answer_question, load_answerer
        from kframes_plugin.prompt.choices import write_question

        write_question(question, options)  # wrong options are told before any work
        asked = load_answerer(answerer) if isinstance(answerer, str | os.PathLike) else answerer
        selection = self.select(video, question if query is None else query, k, **select)
        told: dict[str, Any] = {"options": options, "reasons": reasons, "transcript": transcript_lines}
        return answer_question(selection, question, asked, **told, compare=compare, on_text=on_text)

    def search(
        self,
        videos: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        query: str,
        k: int = 8,
        *,
        index: str | os.PathLike[str] | None = None,
        progress: ProgressOption = None,
    ) -> Hits:
        """Find the videos that match a query best, and the moments in them; no frame is decoded for a query.

        Their frames are embedded once and kept on disk; new and changed videos are indexed first. The selector
        embeds the frames if it can (lite, open_clip), else its retriever, else lite. Subtitles are evidence too.

        Args:
            videos: a folder, searched recursively, or paths of videos and folders.
            query: what is looked for, in words.
            k: videos wanted, >= 1.
            index: folder of the index; None: ``.kframes`` inside the folder of videos.
            progress: called as ``progress("index", done, total)``; True: tqdm bars.

        Returns:
            At most k videos with clips, best first; ``errors`` names those that cannot be read.

        Raises:
            TypeError, ValueError: wrong arguments.
            KFramesError: a path does not exist, or the index cannot be written.
        """
        k = check_request(query, k, None)
        check_kinds(index=(index, str | os.PathLike | None))
        return self.searcher.search(videos, query, k, index=index, progress=as_progress(progress))

    @cached_property
    def searcher(self) -> Searcher:
        """The object behind :meth:`search`; ``searcher.build(videos)`` only builds the index."""
        from kframes_plugin.search import Searcher

        return Searcher(self.retriever.find_embedder(), self.sampling.video_options, self.words)

    @cached_property
    def kept(self) -> KeptSessions:
        """Videos that stay open between questions, for hosts that ask many: ``kept.select(...)``."""
        return KeptSessions(self)

    def open(self, video: Video, *, progress: ProgressOption = None, **words: Unpack[WordArguments]) -> VideoSession:
        """Open a video once for many queries: a context manager; see :class:`VideoSession`."""
        return VideoSession(self, video, progress, self.words.changed(words))

    def find(self, frames: Candidates, query: str, video: OpenVideo, *, within: Sequence[Span] = ()) -> Prediction:
        """The clips of one query: see :meth:`find_all`."""
        return self.find_all(frames, [query], video, within=within)[0]

    def find_all(
        self, frames: Candidates, queries: Sequence[str], video: OpenVideo, *, within: Sequence[Span] = ()
    ) -> list[Prediction]:
        """The clips of queries, before any k: what the selector names, cut at the end of the video, ends on cuts.

        A selector with a method ``predict_all(frames, queries)`` is asked for all queries at once; what it finds is
        what it would find for each alone.

        Args:
            frames: candidates of the video, as ``VideoSession.candidates`` gives them.
            queries: what is looked for, in words.
            video: where the frames come from.
            within: spans, seconds, outside of which clips are cut off; none: the whole video.

        Returns:
            For each query the clips, best first, with the selector's notes and the cost of selecting and of finding
            the cuts. Ends of ``nearest`` stay where they are: there may be hundreds.

        Raises:
            VideoError, SelectorError: as for :meth:`select`.
        """
        check_kinds(frames=(frames, Candidates), video=(video, OpenVideo), queries=(queries, list | tuple))
        for query in queries:
            check_request(query, 1, None)
        return find_clips(self, frames, queries, video, within)

    def count_candidates(self, length: float) -> int:
        """How many candidates so many seconds of video get: ``candidates``, or fewer where the selector spaces them."""
        if self._spacing is None:
            return self.candidates
        return min(self.candidates, max(CANDIDATES, math.ceil(length / self._spacing)))

    @property
    def description(self) -> dict[str, Any]:
        """Name and settings of the selector, and what the clips depend on here, as plain JSON values."""
        function = getattr(self.selector, "__qualname__", type(self.selector).__qualname__)
        said = getattr(self.selector, "description", None)
        return {
            "name": getattr(self.selector, "name", function),
            "candidates": self.candidates,
            "candidate_size": self.candidate_size,
            "snap_to_cuts": self.snap_to_cuts,
            **({} if self.retriever.name is None else {"retriever": self.retriever.name}),
            **(dict(said) if isinstance(said, Mapping) else {}),
        }

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled, for worker processes; the selector as bytes, so that it is pickled once.

        Raises:
            TypeError: the selector cannot be pickled.
        """
        try:
            selector = pickle.dumps(self.selector)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"this KFrames cannot be pickled because its selector cannot be ({error}); use a function of a module, "
                "an object that can be pickled, or make the KFrames in each process"
            ) from error
        state = {name: value for name, value in self.__dict__.items() if name not in ("kept", "searcher")}
        return {**state, "selector": selector}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "selector": pickle.loads(state["selector"])}
        self.retriever.selector = self.selector

    def select_many(
        self,
        requests: Iterable[Request | tuple[Video, str]],
        k: int = 8,
        *,
        strategy: Strategy | None = None,
        workers: int = 1,
        ordered: bool = True,
    ) -> Iterator[Selection | Failure]:
        """Select for many requests. Consecutive requests about one video open it only once.

        Args:
            requests: (video, query) pairs, or :class:`~kframes_plugin.bulk.Request` with a k, strategy or spans of
                their own; read as they are needed.
            k, strategy: for requests that do not say.
            workers: processes, >= 1. With more than one, each has a copy of the selector, so it must be picklable, and
                a script must have its call under ``if __name__ == "__main__":``. With one, the next video is decoded
                while the selector works on this one.
            ordered: give results in the order of the requests; otherwise, with several workers, as they finish.

        Returns:
            A selection for each request; if one fails, a :class:`~kframes_plugin.bulk.Failure` in its place.

        Raises:
            TypeError, ValueError: k, strategy or workers are invalid.
        """
        check_request("-", k, strategy)
        if isinstance(requests, str | bytes | os.PathLike | Mapping) or not isinstance(requests, Iterable):
            raise TypeError(f"requests must be a list of (video, query) pairs; got {quoted(requests)}")
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ValueError(f"workers must be a whole number >= 1; got {workers!r}")
        from kframes_plugin.bulk.run import select_requests

        return select_requests(self, requests, k, strategy, workers, ordered)


def select(video: Video, query: str, k: int = 8, **options: Any) -> Selection:
    """``KFrames.from_pretrained().select(...)``: the same with the default model, in one call.

    Args:
        video, query, k, options: as for :meth:`KFrames.select`.
    """
    return KFrames.from_pretrained().select(video, query, k, **options)


def _first(*values: Any) -> Any:
    """The first value that is not None."""
    return next(value for value in values if value is not None)
