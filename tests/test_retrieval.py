"""Retrieve, then ground: windows where a scorer finds something, candidates inside them, memory that stays flat."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_films import Colours, make_film

from kframes_plugin import Clip, Frame, KFrames, OpenVideo, SelectorError
from kframes_plugin.clips.windows import choose_stretches, choose_windows, subtract, thin, trim_to_windows
from kframes_plugin.retrieval import Retrieval, Retriever
from kframes_plugin.retrieval.pool import stream, take_pool
from kframes_plugin.selectors.lite import LiteSelector
from kframes_plugin.types import Candidates, FrameEmbedder

LENGTH = 700.0  # seconds, above the ten minutes from which a retriever is used by itself
RED = (431.0, 437.0)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven hundred seconds of gray and green with six of red."""
    path = tmp_path_factory.mktemp("films") / "long.mp4"
    return make_film(path, ("gray", 200), ("green", 231), ("red", 6), ("gray", 263), gop=12)


class Remembering:
    """A selector that keeps what it was shown, and names where it sees red."""

    candidates, frame_size, retriever = 24, 32, "colours"

    def __init__(self) -> None:
        self.shown: Sequence[Frame] = ()

    def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
        self.shown = frames
        red = [frame for frame in frames if np.asarray(frame.image).mean(axis=(0, 1))[0] > 180]
        return [Clip(red[0].timestamp, red[-1].end, score=0.9)] if red else []


class Scorer:
    """Scores without embeddings; it notes how many frames it is shown at once."""

    name, candidates, frame_size = "scorer", 10, 32

    def __init__(self) -> None:
        self.batches: list[int] = []

    def scores(self, frames: Sequence[Frame], query: str) -> list[float]:
        assert frames[0].timestamp == 0.0
        self.batches.append(len(frames))
        return [float(np.asarray(frame.image, np.float64)[..., 0].mean()) for frame in frames]


def is_inside(time: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(start <= time < end for start, end in spans)


@pytest.mark.parametrize("retriever", [Colours(), Scorer()], ids=["embedder", "scorer"])
def test_most_candidates_lie_in_the_windows_and_the_needle_is_found(film, retriever):
    selector = Remembering()
    even = KFrames(selector, retriever=None).select(film, "red", 4)
    assert not even.clips  # 29 s apart, they miss the six seconds
    selection = KFrames(selector, retriever=retriever).select(film, "red", 4)
    assert "retrieved" in [note.code for note in selection.notes]
    windows = selector.shown.windows
    assert windows
    assert len(selector.shown) == 24
    assert 19 <= sum(is_inside(frame.timestamp, windows) for frame in selector.shown) <= 21
    assert all(a.timestamp < b.timestamp and a.end == b.timestamp for a, b in pairwise(selector.shown))
    (clip,) = selection.clips
    assert RED[0] - 1 <= clip.start < clip.end <= RED[1] + 5
    assert sum(RED[0] <= time < RED[1] for time in selection.timestamps) >= 2
    assert selection.candidates == tuple(frame.timestamp for frame in selector.shown)
    assert selection.selector["retriever"] == retriever.name
    assert selection.cost.seconds["retrieval"] > 0


def test_candidates_in_windows_cost_one_decoded_picture_each(film):
    with OpenVideo(film) as video:
        i_frames = set(video.i_frames.tolist())
    selection = KFrames(selector := Remembering(), retriever=Colours()).select(film, "red", 4)
    assert {
        frame.timestamp for frame in selector.shown if is_inside(frame.timestamp, selector.shown.windows)
    } <= i_frames
    pool = 108  # one in 6.5 s
    assert selection.cost.frames_decoded <= pool + len(selector.shown) + 60  # and the keyframes


@pytest.mark.parametrize("within", [(), [(100.0, 700.0)]], ids=str)
def test_a_line_that_answers_names_a_window(film, within):
    """The colours see nothing at 604 s; the line stands for less than the distance of two I-frames."""
    said = [(20.0, 23.0, "Nothing of note."), (604.1, 605.9, "The red lighthouse was built in 1820.")]
    with KFrames(selector := Remembering(), retriever=Colours()).open(film, transcript=said) as video:
        video.select("red", 4, within=within)
        assert any(start <= 604.1 and end >= 605.9 for start, end in selector.shown.windows)
        assert any(604.0 <= frame.timestamp < 606.0 for frame in selector.shown)
        video.select("green", 4, within=within)
        assert not any(start <= 605 < end for start, end in selector.shown.windows)
    with KFrames(selector, retriever=Colours()).open(film, transcript=said) as video:
        video.select("red", 4, within=[(0.0, 500.0)])
    assert all(end <= 500.0 for _, end in selector.shown.windows)


def test_stretches_are_taken_until_they_hold_enough_frames():
    times, frames = [1.0, 3.0, 5.0, 7.0, 9.0], np.arange(10) + 0.5
    spans = [(0.0, 4.5), (5.0, 10.0)]
    scores = [0.0, 3.0, 1.0, 2.0, 0.5]
    assert choose_stretches(scores, times, spans, frames, 2) == [(2.0, 4.0)]
    assert choose_stretches(scores, times, spans, frames, 4) == [(2.0, 4.0), (6.0, 8.0)]
    assert choose_stretches(scores, times, spans, frames, 5) == [(2.0, 4.0), (5.0, 8.0)]
    assert choose_stretches(scores, times, spans, frames, 1) == [(2.0, 4.0)], "the best has a window in any case"
    assert choose_stretches(scores, times, spans, frames, 4, named=[(0.0, 1.0)]) == [(0.0, 1.0), (2.0, 4.0)]


def test_a_second_query_embeds_nothing(film):
    colours = Colours()
    with KFrames(Remembering(), retriever=colours).open(film) as video:
        video.select("red", 4)
        embedded = colours.embedded
        assert embedded >= 24
        video.select("green", 4)
        assert colours.embedded == embedded
        assert len(video.retrieval.pools) == 1


def test_spans_of_within_hold_windows_and_candidates(film):
    selector = Remembering()
    within = [(0.0, 150.0), (300.0, 500.0)]
    KFrames(selector, retriever=Colours()).select(film, "red", 4, within=within)
    assert all(is_inside(frame.timestamp, within) for frame in selector.shown)
    assert all(any(a <= start < end <= b for a, b in within) for start, end in selector.shown.windows)


def test_a_scorer_is_shown_as_many_frames_at_once_as_it_asks_for(film):
    scorer = Scorer()
    KFrames(Remembering(), retriever=scorer).select(film, "red", 4)
    assert set(scorer.batches[:-1]) == {10}


def test_frames_that_were_given_are_a_pool_too(film):
    with OpenVideo(film) as video:
        frames = video.candidates(350, 32)
    selector = Remembering()
    KFrames(selector, retriever=Colours()).select(list(frames), "red", 4)
    assert selector.shown.windows
    assert len(selector.shown) == 24


class OwnScores(Remembering):
    """A selector with scores under the name that multimodal models have."""

    def frame_scores(self, frames: Sequence[Frame], query: str) -> list[float]:
        return Scorer().scores(frames, query)


def test_a_selector_can_be_its_own_retriever(film):
    selection = KFrames(OwnScores(), retriever="scores").select(film, "red", 4)
    assert selection.selector["retriever"] == "scores"
    assert RED[0] - 1 <= selection.clips[0].start < RED[1]


class Loading:
    """Loads colours by name, and counts."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[str] = []
        self.fails = fails

    def __call__(self, name: str) -> Any:
        self.calls.append(name)
        if self.fails:
            raise SelectorError("not here")
        return Colours()


def look(film: Path, wanted: Any, load: Loading, selector: Any, within: Sequence[tuple[float, float]] = ()) -> Any:
    with OpenVideo(film) as video:
        return Retrieval(Retriever(wanted, selector, load), video, selector.candidates, 32).look("red", within)


def test_by_itself_it_is_used_for_long_videos_and_selectors_that_ask_for_it(film):
    load = Loading()
    looked = look(film, "auto", load, Remembering())
    assert looked.frames.windows
    assert load.calls == ["colours"]
    assert look(film, "auto", load, Remembering(), [(0.0, 590.0)]) is None  # under ten minutes
    dense = Remembering()
    dense.candidates = 200
    assert look(film, "auto", load, dense) is None  # 3.5 s apart
    silent = Remembering()
    silent.retriever = None
    assert look(film, "auto", load, silent) is None
    assert look(film, None, load, Remembering()) is None
    assert load.calls == ["colours"]


def test_what_cannot_be_loaded_is_an_error_only_where_it_was_asked_for(film):
    assert look(film, "auto", Loading(fails=True), Remembering()) is None
    with pytest.raises(SelectorError, match="not here"):
        look(film, "lite", Loading(fails=True), Remembering())
    with pytest.raises(SelectorError, match="gives no scores"):
        look(film, "scores", Loading(), Remembering())
    with pytest.raises(TypeError, match="retriever must be"):
        KFrames(Remembering(), retriever=3)


def test_a_kframes_with_a_retriever_can_be_pickled(film):
    kframes = KFrames(Colours(), retriever="lite")
    kframes.searcher  # noqa: B018
    again = pickle.loads(pickle.dumps(kframes))
    assert again.retriever.name == "lite"


# ---- the pool


class Watching(Colours):
    """Counts how many pictures of the pool are alive when it embeds."""

    def embed(self, frames: Sequence[Frame], /) -> Any:
        self.most = max(getattr(self, "most", 0), len(frames))
        return super().embed(frames)


def test_a_pool_is_i_frames_in_batches_and_rows_without_pictures(film):
    colours = Watching()
    with OpenVideo(film) as video:
        before = video.frames_decoded
        pool = take_pool(video, colours, 32, [(0.0, video.duration)], least=8)
        assert set(pool.times) <= set(video.i_frames)
        assert video.frames_decoded - before <= len(pool.times) + 8
    assert pool.rows.shape == (len(pool.times), 3)
    assert colours.most <= 32
    assert pool.scenes[0][0] == 0.0
    assert len(pool.scene_numbers) == len(pool.times)
    assert (np.diff(pool.scene_numbers) >= 0).all()


def test_where_i_frames_are_few_the_pool_is_spread_evenly(film):
    with OpenVideo(film) as video:
        assert len(video.i_frames) < 400
        pool = take_pool(video, Colours(), 32, [(0.0, video.duration)], least=400)
    assert len(pool.times) == 400
    assert np.diff(pool.times).max() < 2 * LENGTH / 400


def test_frames_pass_by_one_after_the_other(film):
    with OpenVideo(film) as video:
        wanted = video.i_frames
        passing = stream(video, wanted, 32)
        assert isinstance(passing, Iterator)
        frames = list(passing)
    assert [frame.timestamp for frame in frames] == wanted.tolist()
    assert frames[-1].end == LENGTH


def test_rows_of_lite_give_its_own_scores(film):
    lite = LiteSelector()
    assert isinstance(lite, FrameEmbedder)
    with OpenVideo(film) as video:
        frames = video.candidates(12, 128)
    rows = np.concatenate([lite.embed(frames[:5]), lite.embed(frames[5:])])
    scenes = np.zeros(12, np.int64)
    scenes[4:8], scenes[8:] = 1, 2
    apart = lite.score_embedded(rows, "a red wall", scenes=scenes)
    lite._see(frames)[0].scenes[:] = scenes
    assert np.allclose(apart, lite.scores(frames, "a red wall"), atol=0.05)
    assert lite.embedding_key == LiteSelector().embedding_key


# ---- windows


def test_windows_hold_the_best_frames_and_stay_in_their_spans():
    times, spans = [float(t) for t in range(0, 1000, 10)], [(0.0, 400.0), (500.0, 1000.0)]
    times = [time for time in times if is_inside(time, spans)]
    scores = np.zeros(len(times))
    scores[[3, 39, 60]] = 3, 2, 1
    windows = choose_windows(scores, times, spans, 60.0, margin=5.0)
    assert all(is_inside(times[place], windows) for place in (3, 39, 60))
    assert all(any(a <= start < end <= b for a, b in spans) for start, end in windows)
    assert 60 <= sum(end - start for start, end in windows) < 80
    assert all(a[1] < b[0] for a, b in pairwise(windows))


@pytest.mark.parametrize("wrong", [[1.0], [1.0, float("nan")]])
def test_scores_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="scores must"):
        choose_windows(wrong, [1.0, 2.0], [(0.0, 3.0)], 1.0, margin=0.0)


def test_subtract():
    assert subtract([(0, 10), (20, 30)], [(2, 4), (9, 22), (30, 40)]) == [(0, 2), (4, 9), (22, 30)]
    assert subtract([(0, 10)], []) == [(0, 10)]
    assert subtract([(0, 10)], [(0, 10)]) == []


def test_thinning_keeps_the_times_nearest_to_even():
    times = np.array([0.0, 1.0, 5.0, 6.0, 50.0, 51.0, 99.0])
    assert thin(times, [(0.0, 100.0)], 7).tolist() == times.tolist()
    assert thin(times, [(0.0, 100.0)], 2).tolist() == [6.0, 99.0] or thin(times, [(0.0, 100.0)], 2)[0] == 6.0
    assert thin(times, [(40.0, 100.0)], 7).tolist() == [50.0, 51.0, 99.0]


def test_clips_end_with_their_window_where_nothing_was_seen_beyond():
    frames = [Frame(time, 1.0, None) for time in (0.0, 40.0, 42.0, 44.0, 90.0, 140.0)]  # type: ignore[arg-type]
    windows = [(39.0, 46.0)]
    seen = Candidates(frames, 150.0, windows=windows)
    inside, over, beyond = Clip(41.0, 43.0), Clip(20.0, 67.0), Clip(41.0, 115.0)
    assert trim_to_windows([inside, over, beyond], seen) == [inside, Clip(39.0, 46.0), beyond]
    assert trim_to_windows([over], Candidates(frames, 150.0)) == [over]
