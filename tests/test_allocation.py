"""allocate(): exact, distinct, ordered, in range and deterministic for any clips; P1 before P2."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kframes_plugin import Clip, allocate
from kframes_plugin.clips.allocation import Allocation, covered, resolve
from kframes_plugin.types import STRATEGIES

SECOND_BY_SECOND = np.arange(100.0)


@st.composite
def videos(draw):
    """(frame times, duration): constant or variable frame rate, 1 frame to 40 minutes."""
    n = draw(st.integers(1, 1200))
    seed = draw(st.integers(0, 2**32 - 1))
    step = draw(st.sampled_from([1 / 60, 1 / 30, 1 / 24, 0.5, 2.0]))
    gaps = np.full(n, step)
    if draw(st.booleans()):
        gaps = np.random.default_rng(seed).exponential(step, n) + 1e-4
    ends = np.cumsum(gaps)
    return np.concatenate([[0.0], ends[:-1]]), float(ends[-1])


@st.composite
def clip_lists(draw, duration):
    """None, touching, overlapping, shorter than a frame, covering everything, outside."""
    kind = draw(st.sampled_from(["none", "random", "touching", "tiny", "everything", "same", "outside"]))
    priority = st.sampled_from(["P1", "P2"])
    at = st.floats(0, duration * 0.999)
    if kind == "none":
        return []
    if kind == "everything":
        return [Clip(0, duration, draw(priority))]
    if kind == "outside":
        return [Clip(duration + 1, duration + 2, draw(priority)), Clip(duration * 0.5, duration * 3, draw(priority))]
    count = draw(st.integers(1, 12))
    if kind == "touching":
        edges = np.linspace(0, duration, count + 1)
        return [Clip(float(a), float(b), draw(priority)) for a, b in pairwise(edges)]
    if kind == "tiny":
        starts = [draw(at) for _ in range(count)]
        return [Clip(start, start + 1e-5, draw(priority)) for start in starts]
    if kind == "same":
        start = draw(at)
        return [Clip(start, start + duration / 3, draw(priority)) for _ in range(count)]
    spans = [(draw(at), draw(st.floats(min(1e-3, duration), duration))) for _ in range(count)]
    return [Clip(start, start + length, draw(priority)) for start, length in spans]


@st.composite
def cases(draw):
    times, duration = draw(videos())
    edges = np.linspace(0, duration, draw(st.integers(1, 20)) + 1)
    scenes = [(float(a), float(b)) for a, b in pairwise(edges)] if draw(st.booleans()) else []
    k = draw(st.one_of(st.integers(1, 40), st.integers(1, 1000)))
    return times, duration, draw(clip_lists(duration)), k, draw(st.sampled_from(STRATEGIES)), scenes


@settings(max_examples=800, deadline=None)
@given(cases())
def test_exactly_min_k_n_distinct_frames_in_order(case):
    times, duration, clips, k, strategy, scenes = case
    chosen = allocate(clips, k, times, duration, strategy=strategy, scenes=scenes)
    assert len(chosen) == min(k, len(times))
    assert all(a < b for a, b in pairwise(chosen)), "distinct and in time order"
    assert set(chosen) <= set(times.tolist()), "only times of real frames"
    assert chosen == allocate(clips, k, times, duration, strategy=strategy, scenes=scenes), "deterministic"


@settings(max_examples=600, deadline=None)
@given(cases())
def test_p1_never_starves_while_p2_is_served_in_focused_mode(case):
    times, duration, clips, k, _, _ = case
    chosen = np.array(allocate(clips, k, times, duration, strategy="focused"))
    top = _united([c for c in clips if c.priority == "P1"], duration)
    shown_in_p1 = [((chosen >= start) & (chosen < end)).any() for start, end in top]
    # a P1 clip without a frame of its own takes the frame on screen, which lies before it, maybe in a P2 clip
    has_frames = [((times >= start) & (times < end)).any() for start, end in top]
    on_screen = [times[max(np.searchsorted(times, span[0], "right") - 1, 0)] for span in top]
    borrowed = {time for time, has in zip(on_screen, has_frames, strict=True) if not has}
    in_p1 = np.array([t in borrowed or any(start <= t < end for start, end in top) for t in chosen], dtype=bool)
    in_p2 = np.array([any(c.start <= t < c.end for c in clips if c.priority == "P2") for t in chosen], dtype=bool)
    starved = [span for span, shown, has in zip(top, shown_in_p1, has_frames, strict=True) if has and not shown]
    assert not ((in_p2 & ~in_p1).any() and starved), f"P1 {starved} got nothing while P2 was served"


def _united(clips, duration):
    spans = []
    for clip in sorted(clips, key=lambda c: c.start):
        if clip.start >= duration:
            continue
        if spans and clip.start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], clip.end))
        else:
            spans.append((clip.start, clip.end))
    return spans


def test_shares_follow_weight_times_length():
    clips = [Clip(0, 20, "P1"), Clip(40, 60, "P2")]
    chosen = np.array(allocate(clips, 9, SECOND_BY_SECOND, 100.0, strategy="focused"))
    assert (chosen < 20).sum() == 6, "20 s at weight 1"
    assert ((chosen >= 40) & (chosen < 60)).sum() == 3, "20 s at weight .5"
    even = Allocation(p2_weight=1.0)
    chosen = np.array(allocate(clips, 8, SECOND_BY_SECOND, 100.0, strategy="focused", settings=even))
    assert (chosen < 20).sum() == ((chosen >= 40) & (chosen < 60)).sum() == 4


def test_frames_are_equally_spaced_and_off_the_edges():
    chosen = allocate([Clip(10, 50)], 4, SECOND_BY_SECOND, 100.0, strategy="focused")
    assert chosen == [15.0, 25.0, 35.0, 45.0]


def test_scarce_k_goes_to_the_best_clips_first():
    clips = [Clip(70, 72, "P1"), Clip(10, 40, "P1"), Clip(50, 60, "P2")]
    assert allocate(clips, 1, SECOND_BY_SECOND, 100.0) == [71.0], "the best clip, not the longest"
    two = allocate(clips, 2, SECOND_BY_SECOND, 100.0)
    assert two == [25.0, 71.0]
    only_second = [Clip(70, 72, "P2"), Clip(10, 40, "P2")]
    assert allocate(only_second, 1, SECOND_BY_SECOND, 100.0) == [71.0]


def _equal_clips(count, duration, score=None):
    return [Clip(i * duration / count, (i + 0.5) * duration / count, score=score) for i in range(count)]


def _largest_gap(chosen, duration):
    return float(np.diff([0.0, *chosen, duration]).max())


@pytest.mark.parametrize("strategy", ["focused", "auto"])
@pytest.mark.parametrize(("count", "k"), [(m, k) for m in (20, 230, 1000) for k in (1, 3, 8, 33) if k < m])
def test_equal_clips_are_chosen_all_over_the_video(count, k, strategy):
    """Of 230 equal clips the first 6 and 2 frames elsewhere were chosen at k = 8."""
    duration = 39 * 60.0
    chosen = allocate(_equal_clips(count, duration), k, np.arange(0, duration, 0.2), duration, strategy=strategy)
    assert len(set(chosen)) == k
    assert _largest_gap(chosen, duration) <= 2 * duration / k


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_equal_clips_of_any_video_are_chosen_all_over_it(data):
    count = data.draw(st.integers(2, 400))
    k = data.draw(st.integers(1, count - 1))
    duration = data.draw(st.floats(30, 20_000))
    score = data.draw(st.sampled_from([None, 0.0, 0.5, 1.0]))
    clips = _equal_clips(count, duration, score)
    if score is not None:  # with equal scores the order does not matter
        clips = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(np.array(clips, object)).tolist()
    step = duration / count / 8
    chosen = allocate(clips, k, np.arange(0, duration, step), duration, strategy="focused")
    assert len(set(chosen)) == k
    assert _largest_gap(chosen, duration) <= 2 * duration / k + step
    assert sum(any(clip.start <= time < clip.end for time in chosen) for clip in clips) == k, "k different clips"


def test_what_is_left_over_is_spread_over_equal_clips():
    clips = _equal_clips(20, 2000.0)
    chosen = np.array(allocate(clips, 30, np.arange(2000.0), 2000.0, strategy="focused"))
    counts = np.array([((chosen >= clip.start) & (chosen < clip.end)).sum() for clip in clips])
    assert sorted(counts) == [1] * 10 + [2] * 10
    assert counts[:10].sum() == counts[10:].sum() == 15
    second = _equal_clips(20, 2000.0)
    clips = [Clip(0, 5), *(Clip(clip.start + 10, clip.end, "P2") for clip in second)]
    chosen = np.array(allocate(clips, 5, np.arange(2000.0), 2000.0, strategy="focused"))
    assert len(chosen[chosen > 5]) == 4
    assert _largest_gap(chosen, 2000.0) <= 2 * 2000 / 4


def test_a_better_clip_goes_before_equal_ones():
    clips = [Clip(80, 84, score=0.9), *(Clip(start, start + 4, score=0.5) for start in (0, 10, 20, 30, 40))]
    chosen = allocate(clips, 3, SECOND_BY_SECOND, 100.0, strategy="focused")
    assert chosen == [12.0, 32.0, 82.0]
    ranked = [Clip(start, start + 4) for start in (80, 0, 10, 20)]  # not in time order, so the order says which is best
    assert allocate(ranked, 2, SECOND_BY_SECOND, 100.0, strategy="focused") == [2.0, 82.0]


def test_p1_wins_where_clips_overlap():
    chosen = allocate([Clip(0, 50, "P2"), Clip(20, 30, "P1")], 1, SECOND_BY_SECOND, 100.0)
    assert chosen == [25.0]


def test_focused_spills_over_only_when_the_clips_are_full():
    chosen = allocate([Clip(10, 14)], 6, SECOND_BY_SECOND, 100.0, strategy="focused")
    assert {10.0, 11.0, 12.0, 13.0} < set(chosen)
    assert len(chosen) == 6


def test_hybrid_is_dense_inside_and_sparse_outside():
    chosen = np.array(allocate([Clip(40, 60)], 16, SECOND_BY_SECOND, 100.0, strategy="hybrid"))
    inside = (chosen >= 40) & (chosen < 60)
    assert inside.sum() == 12, "three quarters"
    assert chosen[~inside].tolist() == [10.0, 30.0, 70.0, 90.0]
    half = Allocation(dense_share=0.5)
    chosen = np.array(allocate([Clip(40, 60)], 16, SECOND_BY_SECOND, 100.0, strategy="hybrid", settings=half))
    assert ((chosen >= 40) & (chosen < 60)).sum() == 8


def test_clips_that_cover_everything_are_uniform_sampling():
    everything = [Clip(0, 100)]
    for strategy in ("focused", "hybrid", "auto", "uniform"):
        assert allocate(everything, 4, SECOND_BY_SECOND, 100.0, strategy=strategy) == [12.0, 37.0, 62.0, 87.0]


def test_auto_is_focused_up_to_8_then_hybrid_and_hybrid_when_spread():
    needle, spread = [Clip(10, 20)], [Clip(0, 60)]
    assert resolve("auto", needle, 8, 100.0) == "focused"
    assert resolve("auto", needle, 9, 100.0) == "hybrid"
    assert resolve("auto", spread, 4, 100.0) == "hybrid"
    assert resolve("auto", [], 4, 100.0) == "uniform"
    assert resolve("auto", spread, 4, 100.0, Allocation(spread_over=0.7)) == "focused"
    assert resolve("auto", needle, 32, 100.0, Allocation(focused_up_to=64)) == "focused"
    assert resolve("focused", needle, 64, 100.0) == "focused"


def test_no_clips_means_every_scene_gets_a_frame():
    scenes = [(0.0, 2.0), (2.0, 4.0), (4.0, 100.0)]
    chosen = allocate([], 5, SECOND_BY_SECOND, 100.0, scenes=scenes)
    assert [sum(start <= t < end for t in chosen) for start, end in scenes] == [1, 1, 3]
    assert allocate([], 2, SECOND_BY_SECOND, 100.0, scenes=scenes) == [25.0, 75.0], "too few: uniform"
    assert allocate([], 5, SECOND_BY_SECOND, 100.0, strategy="uniform", scenes=scenes) == [10.0, 30.0, 50.0, 70.0, 90.0]


def test_a_clip_shorter_than_a_frame_takes_the_frame_on_screen():
    assert allocate([Clip(50.2, 50.3)], 1, SECOND_BY_SECOND, 100.0) == [50.0]


def test_covered_counts_overlaps_once():
    assert covered([Clip(0, 10), Clip(5, 20, "P2"), Clip(90, 200)], 100.0) == 30.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be at least 1; got 0"),
        ({"timestamps": []}, "timestamps must be a non-empty list"),
        ({"strategy": "dense"}, "strategy must be one of auto, focused, hybrid, uniform; got 'dense'"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments, message):
    call = {"clips": [], "k": 1, "timestamps": [0.0], "duration": 1.0} | arguments
    with pytest.raises(ValueError, match=message):
        allocate(**call)


def test_wrong_settings_say_what_is_allowed():
    with pytest.raises(ValueError, match=r"dense_share must lie in 0\.\.1; got 1\.5"):
        Allocation(dense_share=1.5)
    with pytest.raises(ValueError, match="weights must be > 0"):
        Allocation(p2_weight=0)


def test_a_thousand_clips_in_under_5_ms():
    rng = np.random.default_rng(0)
    times = np.arange(108_000) / 30
    starts = rng.uniform(0, 3500, 1000)
    clips = [Clip(float(s), float(s + rng.uniform(0.1, 8)), "P1" if rng.random() < 0.5 else "P2") for s in starts]
    allocate(clips, 256, times, 3600.0)
    best = min(_seconds(lambda: allocate(clips, 256, times, 3600.0)) for _ in range(10))
    assert best < 0.005, f"{best * 1000:.1f} ms"


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize("k", [1, 4, 8, 32, 200])
def test_auto_hedges_where_no_clip_is_likely(k):
    clips = [Clip(10 * i, 10 * i + 4, "P1" if i < 2 else "P2", score=0.4 / (i + 1)) for i in range(8)]
    times = np.arange(0, 100, 0.5)
    chosen = allocate(clips, k, times, 100.0)
    assert len(chosen) == len(set(chosen)) == k
    assert chosen == sorted(chosen)
    assert resolve("auto", clips, k, 100.0) == "hybrid"
    if k == 8:  # most of it goes to likely clips, and unlikely ones have some too
        counts = [sum(clip.start <= time < clip.end for time in chosen) for clip in clips]
        assert counts[0] == max(counts) >= 2
        assert sum(count > 0 for count in counts) >= 4


def test_one_sure_clip_is_not_hedged():
    clips = [Clip(10, 20, score=0.9), Clip(40, 50, "P2", score=0.1)]
    times = np.arange(0, 100, 0.5)
    assert allocate(clips, 4, times, 100.0) == allocate(clips, 4, times, 100.0, strategy="focused")


def test_unsure_settings_are_checked():
    with pytest.raises(ValueError, match="decay must lie between 0 and 1; got 1"):
        Allocation(decay=1)
    with pytest.raises(ValueError, match=r"outside_chance must lie in 0..1; got 2"):
        Allocation(outside_chance=2)


@pytest.mark.parametrize("strategy", ["auto", "focused", "hybrid"])
@pytest.mark.parametrize("score", [None, 0.5, 0.9])
def test_what_is_nearest_changes_nothing_for_a_sure_clip(strategy, score):
    times = np.arange(0, 100, 0.5)
    clips, nearest = [Clip(40, 52, score=score), Clip(60, 64, "P2", score=0.1)], [Clip(0, 20, "P2", score=0.4)]
    for k in (1, 8, 32, 300):
        with_them = allocate(clips, k, times, 100.0, strategy=strategy, nearest=nearest)
        assert with_them == allocate(clips, k, times, 100.0, strategy=strategy)


@pytest.mark.parametrize("k", [1, 5, 20, 64, 199, 300])
@pytest.mark.parametrize("clips", [[], [Clip(40, 50, score=0.3)]])
def test_unsure_k_is_hedged_over_what_is_nearest(k, clips):
    nearest = [Clip(10 * i, 10 * (i + 1), "P2", score=0.35 * 0.8**i) for i in range(10)]
    times = np.arange(0, 100, 0.5)
    chosen = allocate(clips, k, times, 100.0, nearest=nearest)
    assert len(set(chosen)) == len(chosen) == min(k, 200)
    assert chosen == sorted(chosen)
    counts = [sum(clip.start <= time < clip.end for time in chosen) for clip in nearest]
    assert counts == sorted(counts, reverse=True), "more where it is likelier"
    assert sum(count > 0 for count in counts) >= min(k, 4)
    assert resolve("auto", clips or nearest, k, 100.0) == "hybrid"


def test_without_a_clip_focused_serves_the_nearest_first():
    nearest = [Clip(start, start + 10, "P2", score=score) for start, score in ((70, 0.3), (10, 0.2), (40, 0.1))]
    chosen = allocate([], 2, np.arange(0, 100, 0.5), 100.0, strategy="focused", nearest=nearest)
    assert [int(time) // 10 for time in chosen] == [1, 7]


def test_nearest_needs_no_scores():
    nearest = [Clip(70, 80), Clip(10, 20, score=0.4)]
    assert len(allocate([Clip(5, 8, score=0.1)], 8, np.arange(0, 100, 0.5), 100.0, nearest=nearest)) == 8


@pytest.mark.filterwarnings("error")
def test_unsure_clips_behind_the_end_leave_the_whole_video():
    chosen = allocate([Clip(200, 210, score=0.1)], 5, np.arange(0, 100, 0.5), 100.0)
    assert [int(time) // 20 for time in chosen] == [0, 1, 2, 3, 4]
