"""``within=`` restricts the one flow to spans: candidates, clips and keyframes; and many queries equal one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from drawn_film import SAMPLE

from kframes_plugin import Clip, Frame, KFrames
from kframes_plugin.types import Prediction

DURATION = 122.625
SPANS = [(20.0, 30.0), (80.0, 100.0)]


class Remembering:
    """A selector that keeps what it was shown."""

    candidates = 24

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = list(clips)
        self.shown: Sequence[Frame] = ()

    def __call__(self, frames: Sequence[Frame], query: str) -> list[Clip]:
        self.shown = frames
        return self.clips


def is_inside(time: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(start <= time < end for start, end in spans)


def test_the_selector_sees_as_many_candidates_as_it_asks_for_all_inside_and_each_stands_for_its_span_only():
    selector = Remembering([])
    KFrames(selector).select(SAMPLE, "a cross", 4, within=SPANS)
    assert len(selector.shown) == 24
    for frame in selector.shown:
        assert any(start <= frame.timestamp < frame.end <= end for start, end in SPANS)
    counts = [sum(start <= frame.timestamp < end for frame in selector.shown) for start, end in SPANS]
    assert counts == [8, 16]  # as the spans' lengths


@pytest.mark.parametrize("strategy", ["auto", "focused", "hybrid", "uniform"])
@pytest.mark.parametrize("k", [1, 5, 16, 40])
@pytest.mark.parametrize("clips", [[], [Clip(85, 90)], [Clip(0, 5)], [Clip(25, 95, "P2")]], ids=range(4))
def test_exactly_k_keyframes_and_all_inside(clips: list[Clip], k: int, strategy: str):
    selection = KFrames(Remembering(clips)).select(SAMPLE, "a cross", k, strategy=strategy, within=SPANS)
    times = selection.timestamps
    assert len(times) == k
    assert all(a < b for a, b in pairwise(times))
    assert all(is_inside(time, SPANS) for time in times)
    assert all(any(start <= clip.start and clip.end <= end for start, end in SPANS) for clip in selection.clips)


@pytest.mark.parametrize("strategy", ["auto", "uniform"])
def test_frames_without_a_clip_are_spread_over_the_spans(strategy: str):
    selection = KFrames(Remembering([])).select(SAMPLE, "a cross", 12, strategy=strategy, within=SPANS)
    counts = [sum(start <= time < end for time in selection.timestamps) for start, end in SPANS]
    assert min(counts) >= 3, selection.timestamps
    assert max(b - a for a, b in pairwise(selection.timestamps) if not a < 30 <= b) < 7, selection.timestamps


def test_where_the_spans_hold_fewer_than_k_frames_all_of_them_come_and_the_rest_lies_around():
    for clips in ([], [Clip(20, 20.5)]):
        selection = KFrames(Remembering(clips)).select(SAMPLE, "a cross", 16, within=[(20, 21)])
        assert len(selection.frames) == 16
        assert sum(20 <= time < 21 for time in selection.timestamps) == 8  # eight frames a second
        assert "spans-full" in {note.code for note in selection.notes}


def test_a_clip_outside_is_dropped_with_a_note_and_one_across_is_cut():
    selection = KFrames(Remembering([Clip(0, 5), Clip(25, 85, reason="across")])).select(SAMPLE, "q", 4, within=SPANS)
    assert [(clip.start, clip.end, clip.reason) for clip in selection.clips] == [(25, 30, "across"), (80, 85, "across")]
    assert "clip-outside" in {note.code for note in selection.notes}


def test_resample_keeps_to_the_spans():
    selection = KFrames(Remembering([Clip(22, 24)])).select(SAMPLE, "q", 4, within=SPANS).resample(20)
    assert len(selection.frames) == 20
    assert all(is_inside(time, SPANS) for time in selection.timestamps)


def test_spans_that_touch_or_overlap_are_one_and_the_end_of_the_video_cuts():
    selector = Remembering([])
    selection = KFrames(selector).select(SAMPLE, "q", 4, within=[(110, 500), (100, 110), (105, 112)])
    assert selection.sampling.within == ((100.0, DURATION),)


@pytest.mark.parametrize(
    ("within", "error", "words"),
    [
        ([(30, 20)], ValueError, "start < end"),
        ([(5, 5)], ValueError, "start < end"),
        ([(-1, 5)], ValueError, "0 <= start"),
        ([(0, float("inf"))], ValueError, "finite"),
        ([(float("nan"), 5)], ValueError, "finite"),
        ([(200, 300)], ValueError, "after its end"),
        ((20, 30), TypeError, "pairs in seconds"),
        ([("a", "b")], TypeError, "pairs in seconds"),
        ([(1, 2, 3)], TypeError, "pairs in seconds"),
    ],
)
def test_spans_that_cannot_be_are_refused(within: object, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        KFrames(Remembering([])).select(SAMPLE, "q", 4, within=within)


def test_a_session_looks_at_the_whole_video_and_at_spans_side_by_side():
    with KFrames(Remembering([Clip(85, 90)])).open(SAMPLE) as video:
        whole, part = video.select("q", 6), video.select("q", 6, within=SPANS)
    assert whole == KFrames(Remembering([Clip(85, 90)])).select(SAMPLE, "q", 6)
    assert part == KFrames(Remembering([Clip(85, 90)])).select(SAMPLE, "q", 6, within=SPANS)


class Together:
    """A selector that can be asked for many queries at once."""

    snap_to_cuts, candidates = True, 32

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, frames: Sequence[Frame], query: str) -> Prediction:
        self.calls.append(1)
        return Prediction([Clip(10.0 + len(query), 20.0 + len(query), reason=query)])

    def predict_all(self, frames: Sequence[Frame], queries: Sequence[str]) -> list[Prediction]:
        self.calls.append(len(queries))
        return [Prediction([Clip(10.0 + len(q), 20.0 + len(q), reason=q)]) for q in queries]


def test_many_queries_at_once_find_what_they_find_one_by_one():
    queries = ["a", "a green cross", "something else"]
    selector = Together()
    kframes = KFrames(selector)
    with kframes.open(SAMPLE) as video:
        frames = video.candidates()
        together = kframes.find_all(frames, queries, video.video)
        assert selector.calls == [3]
        alone = [kframes.find(frames, query, video.video) for query in queries]
    assert [list(found) for found in together] == [list(found) for found in alone]
    assert [found.notes for found in together] == [found.notes for found in alone]


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "8"])
def test_a_number_of_candidates_that_cannot_be_is_refused(wrong: object):
    with pytest.raises(ValueError, match="candidates must be a whole number >= 1"):
        KFrames(Remembering([]), candidates=wrong)
