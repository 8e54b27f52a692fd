"""LiteSelector: clips that look like the query, on real footage, offline."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.from_scores import RELATIVE, RelevanceRule, clips_from_scores
from kframes_plugin.clips.geometry import candidate_edges
from kframes_plugin.clips.scenes import candidate_histograms, detect_scenes
from kframes_plugin.errors import SelectorError
from kframes_plugin.prompt import duration_of
from kframes_plugin.selectors.lite.scoring import (
    Pictures,
    choose_read,
    compare_rows,
    cut_scenes,
    describe,
    estimate_chances,
    estimate_confidence,
    find_stand_ins,
    fit_floor,
    normalize,
    pack_rows,
    score_compared,
)
from kframes_plugin.selectors.lite.text import TextEncoder, find_content, find_phrases
from kframes_plugin.selectors.lite.vision import AREA, COLOURS, Floats, VisionEncoder, measure_colours
from kframes_plugin.types import Candidates, Clip, Cost, Frame, Note, Prediction

FLOOR = 0.66  # least likeness: it refuses 12 % of queries that something answers and 56 % of those that nothing does
# The same for kept rows of many videos, where the likeness is that of mean embeddings: .31 for 20 s of video (LOG.md)
LIBRARY_FLOOR, LIBRARY_SLOPE = 0.52, 0.05
KNOWN = 0.32  # least cosine of the query's words with any class name; made-up words come to .31
CANDIDATES, MOST_READ = 512, 320  # more candidates need more memory, more reading more time
LEAST_READ, READ_A_SECOND = 20, 0.5  # of a short video so many frames are worth reading, and these for its length
FOLDER = Path(__file__).parent  # the files of lite: vision.onnx, text.onnx, tokenizer.json, names.npy, names.txt

UNKNOWN = Note("unknown-words", "the query names nothing that lite knows the look of; name something visible")


class LiteSelector:
    """Clips where the picture is like the query.

    What frames show is kept in their ``Candidates``, so a second query only embeds its text. It abstains where no
    frame comes near enough to the query. With or without clips it names every scene with its chance (``nearest``).

    Args:
        folder: holds the files of lite.
        candidates: T, candidate frames it wants to see. Dense, so that short scenes are among them.
        most_read: frames that the network reads: at least one a scene, fewer of a short video, and only those that
            differ from the one read before; others count as that one does.
        floor: least likeness of the best frame of twenty minutes, 0..1; below it no clip is claimed. Shorter videos
            need less: see :func:`~kframes_plugin.selectors.lite.scoring.fit_floor`. 0: it never abstains.
        rule: how scores become clips.

    Attributes:
        frame_size: long side of its frames, pixels.
        snap_to_cuts: True: its clips end at candidates.
        spacing: seconds; a candidate every so many is enough.
    """

    name = "lite"
    snap_to_cuts = True
    frame_size = 384
    spacing = 3.0

    def __init__(
        self,
        folder: str | Path = FOLDER,
        *,
        candidates: int = CANDIDATES,
        most_read: int = MOST_READ,
        floor: float = FLOOR,
        rule: RelevanceRule = RELATIVE,
    ) -> None:
        self.candidates, self.most_read = candidates, most_read
        self.floor = floor
        self.rule = rule
        self.folder = Path(folder)
        self._vision, self._text = VisionEncoder(Path(folder)), TextEncoder(Path(folder))
        self._names, self._embeddings = _load_names(Path(folder))
        self._asked: tuple[str, tuple[Floats, Floats, Floats]] | None = None  # the last query of kept rows

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips, best first.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Raises:
            SelectorError: the files of lite are missing or cannot be read.
        """
        return self.predict_all(frames, [query])[0]

    def predict_all(self, frames: Sequence[Frame], queries: Sequence[str], /) -> list[Prediction]:
        """The clips of many queries; arguments and errors as for one."""
        pictures, calls = self._see(frames)
        predictions = []
        for query in queries:
            embedding, content, phrases = self._read(query)
            scores = pictures.score(query, embedding, phrases)
            doubt = self._doubt(pictures, content, sum(frame.duration for frame in frames))
            # Scores of words that it does not know mean nothing: then the frames are spread over the scenes
            known = doubt is None or doubt.code != "unknown-words"
            clips = self._choose(frames, pictures, content, scores) if doubt is None else []
            if not clips and doubt is None:
                doubt = Note("nothing-found", "no candidate frame stands out for the query: all look alike")
            nearest = _chances(frames, pictures, scores) if known else []
            claimed, notes = (clips, []) if doubt is None else ([], [doubt])
            if self._text.is_cut(query):
                notes.append(Note("query-cut", "the query is longer than lite reads; its end was not used"))
            cost = Cost(candidates=len(frames), model_calls=calls + 1)
            predictions.append(Prediction(claimed, nearest=nearest, notes=notes, cost=cost))
            calls = 0
        return predictions

    def scores(self, frames: Sequence[Frame], query: str) -> Floats:
        """(T,) how well each frame fits the query, in deviations from the video's mean."""
        row: Floats = self.scores_all(frames, [query])[0]
        return row

    def scores_all(self, frames: Sequence[Frame], queries: Sequence[str]) -> Floats:
        """(q, T) scores of q queries."""
        pictures, _ = self._see(frames)
        read = ((query, *self._read(query)) for query in queries)
        return np.stack([pictures.score(query, embedding, phrases) for query, embedding, _, phrases in read])

    def features(self, frames: Sequence[Frame]) -> Floats:
        """(T, d) embeddings of the frames, of length 1."""
        return self._see(frames)[0].features()

    @cached_property
    def embedding_key(self) -> str:
        """Names the files of lite by their content; see :class:`~kframes_plugin.types.FrameEmbedder`."""
        digest = hashlib.sha256()
        for name in ("vision.onnx", "names.npy"):
            digest.update((self.folder / name).read_bytes())
        digest.update(str(AREA).encode())
        return f"lite-{digest.hexdigest()[:16]}"

    def embed(self, frames: Sequence[Frame], /) -> NDArray[np.float16]:
        """(n, 2 d + 11) all that scores need of n frames; see :class:`~kframes_plugin.types.FrameEmbedder`."""
        images = [frame.image for frame in frames]
        colours = np.stack([measure_colours(image) for image in images])
        return pack_rows(self._vision(images), self._embeddings, colours).astype(np.float16)

    def score_embedded(
        self, rows: NDArray[np.floating[Any]], query: str, /, *, scenes: NDArray[np.int64]
    ) -> NDArray[np.floating[Any]]:
        """(n,) scores of kept rows, in deviations from the mean of all of them."""
        return self.score_compared(self.compare_rows(rows, query), query, scenes=scenes)

    def compare_rows(self, rows: NDArray[np.floating[Any]], query: str, /) -> Floats:
        """(n, f) what scores need of each row; see :class:`~kframes_plugin.types.RowComparer`."""
        return compare_rows(np.asarray(rows, np.float32), query, *self._read_once(query))

    def score_compared(
        self, compared: NDArray[np.floating[Any]], query: str, /, *, scenes: NDArray[np.int64]
    ) -> NDArray[np.floating[Any]]:
        """(n,) scores of all rows."""
        return score_compared(np.asarray(compared, np.float32), query, scenes)

    def doubt_compared(self, compared: NDArray[np.floating[Any]], query: str, /, *, seconds: float) -> Note | None:
        """Why it names no video among so many seconds of them, or None where it may name some."""
        if self.floor > 0 and (self._embeddings @ self._read(query)[1]).max() < KNOWN:
            return UNKNOWN
        content = self._read_once(query)[1]
        nearest = float((normalize(self._embeddings - self._embeddings.mean(axis=0)) @ content).max())
        best = float(compared[:, 2].max()) / max(nearest, 1e-6)
        least = fit_floor(LIBRARY_FLOOR, seconds, LIBRARY_SLOPE)
        if self.floor > 0 and best < least:
            return _none_alike("these videos", best, least)
        return None

    def _doubt(self, pictures: Pictures, content: Floats, seconds: float) -> Note | None:
        """Why it claims no clip for a query in so many seconds of video, or None where it may claim some."""
        if self.floor > 0 and (self._embeddings @ content).max() < KNOWN:
            return UNKNOWN
        best = float(pictures.likeness(content, self._embeddings).max())
        if best < (least := fit_floor(self.floor, seconds)):
            return _none_alike("this video", best, least)
        return None

    def _choose(self, frames: Sequence[Frame], pictures: Pictures, content: Floats, scores: Floats) -> list[Clip]:
        """The clips of one query with their reasons, best first."""
        near = self._embeddings @ content
        times = np.array([frame.timestamp for frame in frames])
        clips = []
        for clip in clips_from_scores(scores, times.tolist(), duration_of(frames), rule=self.rule):
            inside = (times >= clip.start) & (times < clip.end)
            looks = describe(pictures.classes[inside].mean(axis=0), self._names, near)
            reason = f"looks like: {looks}; {clip.start:.0f}-{clip.end:.0f} s"
            relevance = 1.0 if clip.score is None else clip.score
            clips.append(replace(clip, reason=reason, score=estimate_confidence(relevance)))
        return clips

    def _read(self, query: str) -> tuple[Floats, Floats, Floats]:
        """(d,) embeddings of the query and of its content words, and (m, d) of its phrases."""
        content = find_content(query)
        rows = self._text([query, " ".join(content) if content else query, *find_phrases(query)])
        return rows[0], rows[1], rows[2:]

    def _read_once(self, query: str) -> tuple[Floats, Floats, Floats]:
        """The same for kept rows, which come in many parts; colours have scores of their own and are no content."""
        asked = self._asked
        if asked is None or asked[0] != query:
            embedding, content, phrases = self._read(query)
            words = find_content(query)
            plain = [word for word in words if word not in COLOURS]
            if plain and plain != words:
                content = self._text([" ".join(plain)])[0]
            self._asked = asked = query, (embedding, content, phrases)
        return asked[1]

    def _see(self, frames: Sequence[Frame]) -> tuple[Pictures, int]:
        """What the frames show, and the runs of the network it took."""
        cache = frames.cache if isinstance(frames, Candidates) else {}
        if self not in cache:
            shown = frames if isinstance(frames, Candidates) else Candidates(frames, duration_of(frames))
            scenes, most = _number_scenes(shown), LEAST_READ + math.ceil(READ_A_SECOND * shown.duration)
            read = choose_read(scenes, candidate_histograms(shown), min(self.most_read, most))
            images = [frames[place].image for place in read]
            colours = np.stack([measure_colours(image) for image in images])
            seen = Pictures.build(self._vision(images), self._embeddings, colours, scenes[read])
            cache[self] = seen.take(find_stand_ins(len(frames), read), scenes)
            return cache[self], 1
        kept: Pictures = cache[self]
        return kept, 0


def _none_alike(where: str, best: float, least: float) -> Note:
    likeness = f"likeness {best:.2f}, at least {least:.2f} is needed"
    return Note("nothing-found", f"nothing in {where} looks like the query ({likeness})")


def _chances(frames: Sequence[Frame], pictures: Pictures, scores: Floats) -> list[Clip]:
    """Every scene, a long one in parts, as a span with its chance, best first."""
    times, duration = [frame.timestamp for frame in frames], duration_of(frames)
    edges, parts = np.array(candidate_edges(times, duration)), cut_scenes(pictures.scenes, np.array(times), duration)
    first = np.unique(parts, return_index=True)[1]
    starts = edges[first]
    ends = np.append(starts[1:], edges[-1])
    chances = estimate_chances(scores, parts)
    best = np.argsort(-chances, kind="stable")
    return [Clip(starts[i], ends[i], "P2", score=chances[i]) for i in best]


def _number_scenes(frames: Candidates) -> NDArray[np.int64]:
    """(T,) number of each frame's scene; scenes that no candidate shows are not counted."""
    starts = [start for start, _ in detect_scenes(frames, frames.duration)]
    places = np.searchsorted(starts, [frame.timestamp for frame in frames], side="right")
    numbers: NDArray[np.int64] = np.unique(places, return_inverse=True)[1].astype(np.int64)
    return numbers


def _load_names(folder: Path) -> tuple[list[str], Floats]:
    """The class names, and (classes, d) their embeddings."""
    try:
        names = (folder / "names.txt").read_text(encoding="utf-8").splitlines()
        return names, np.load(folder / "names.npy", allow_pickle=False).astype(np.float32)
    except (OSError, ValueError) as error:
        raise SelectorError(
            f"cannot read the class names in {folder}: {error}; reinstall kframes, or run training/recipes/lite.sh"
        ) from error
