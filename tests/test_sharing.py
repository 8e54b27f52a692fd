"""Sharing k: ties are spread, shares are exact, and coverage hedges k over scenes that may matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kframes_plugin import Clip, allocate
from kframes_plugin.clips.sharing import choose_best, share_by_remainder, spread, spread_by_coverage


@settings(max_examples=300, deadline=None)
@given(places=st.lists(st.floats(0, 1e4), min_size=1, max_size=60), data=st.data())
def test_spread_gives_distinct_indices_in_order(places, data):
    k = data.draw(st.integers(0, len(places)))
    chosen = spread(np.sort(places), k)
    assert len(chosen) == k
    assert (np.diff(chosen) > 0).all()
    assert not k or 0 <= chosen[0] <= chosen[-1] < len(places)


def test_spread_by_hand():
    assert spread(np.arange(9.0), 3).tolist() == [1, 4, 7]
    assert spread(np.arange(2.0), 1).tolist() == [0]
    assert spread(np.array([0.0, 1, 2, 3, 100]), 2).tolist() == [3, 4], "over time, not over the list"


@settings(max_examples=300, deadline=None)
@given(worth=st.lists(st.integers(0, 4), min_size=1, max_size=60), data=st.data())
def test_the_best_are_chosen_and_equals_are_spread(worth, data):
    k = data.draw(st.integers(0, len(worth)))
    values = np.array(worth, float)
    chosen = choose_best(values, np.arange(len(values)), k)
    assert sorted(values[chosen]) == sorted(values)[len(values) - k :]
    assert len(set(chosen.tolist())) == k


def test_equal_remainders_are_spread():
    ones = np.ones(10)
    counts = share_by_remainder(15, ones, ones, np.full(10, 9), np.arange(10.0))
    assert counts.sum() == 15
    assert sorted(counts[:4]) == sorted(counts[-4:]) == [1, 1, 2, 2]
    thirds = np.array([0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2, 0.3])  # .1 + .2 is not quite .3
    assert share_by_remainder(1, thirds, thirds, np.full(5, 9), np.arange(5.0)).tolist() == [0, 0, 1, 0, 0]


# ----------------------------------------------------------------------------------------------------------- coverage


@st.composite
def scenes(draw):
    count = draw(st.integers(1, 40))
    weights = draw(st.lists(st.one_of(st.just(0.0), st.just(1.0), st.floats(1e-6, 1)), min_size=count, max_size=count))
    frames = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    lengths = draw(st.one_of(st.none(), st.lists(st.floats(0.1, 100), min_size=count, max_size=count)))
    return weights, frames, lengths


@settings(max_examples=300, deadline=None)
@given(scenes(), st.integers(0, 200), st.floats(0.05, 0.95), st.booleans(), st.floats(0, 1))
def test_coverage_spends_exactly_k(case, k, decay, looks, discount):
    weights, frames, lengths = case
    features = np.random.default_rng(0).normal(size=(len(weights), 3)) if looks else None
    counts = spread_by_coverage(weights, frames, k, lengths=lengths, decay=decay, features=features, discount=discount)
    assert counts.sum() == min(k, sum(frames))
    assert (counts >= 0).all()
    assert (counts <= frames).all()
    none, some = np.array(weights) == 0, np.array(weights) > 0
    if counts[none].any() and some.any() and not looks:
        assert (counts[some] == np.array(frames)[some]).all(), "weight 0 comes last"


@settings(max_examples=300, deadline=None)
@given(scenes(), st.integers(0, 60), st.floats(0.05, 0.95), st.data())
def test_more_weight_never_means_fewer_frames(case, k, decay, data):
    weights, frames, lengths = case
    scene = data.draw(st.integers(0, len(weights) - 1))
    more = list(weights)
    more[scene] += data.draw(st.one_of(st.floats(1e-6, 1), st.sampled_from(weights)))
    before = spread_by_coverage(weights, frames, k, lengths=lengths, decay=decay)
    after = spread_by_coverage(more, frames, k, lengths=lengths, decay=decay)
    assert after[scene] >= before[scene]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_sure_scenes_get_what_focused_gives(data):
    """Weights 0 and 1: all of k inside the sure scenes, each of which gets its share by length within one frame."""
    count = data.draw(st.integers(1, 12))
    lengths = np.array(data.draw(st.lists(st.integers(5, 60), min_size=count, max_size=count)))
    sure = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    assume(sure.any())
    k = data.draw(st.integers(1, int(lengths[sure].sum())))
    ends = np.cumsum(lengths)
    clips = [Clip(float(end - n), float(end)) for end, n, s in zip(ends, lengths, sure, strict=True) if s]
    times = np.arange(float(ends[-1]))
    chosen = np.array(allocate(clips, k, times, float(ends[-1]), strategy="focused"))
    focused = [int(((chosen >= end - n) & (chosen < end)).sum()) for end, n in zip(ends, lengths, strict=True)]
    counts = spread_by_coverage(sure.astype(float), lengths, k, lengths=lengths)
    assert counts[~sure].sum() == 0
    assert counts.sum() == k
    assert np.abs(counts - focused).max() <= 1


def test_coverage_by_hand():
    """Worth of the next frame: .9, .45, .225 ... of the one scene, .4, .2 ... of the other."""
    assert spread_by_coverage([0.9, 0.4], [9, 9], 3).tolist() == [2, 1]
    assert spread_by_coverage([0.9, 0.4], [9, 9], 5).tolist() == [3, 2]
    assert spread_by_coverage([0.9, 0.4], [9, 9], 2, decay=0.1).tolist() == [1, 1]
    assert spread_by_coverage([0.9, 0.4], [2, 9], 5).tolist() == [2, 3], "two frames are all that it holds"
    assert spread_by_coverage([0.0, 0.4], [9, 2], 5).tolist() == [3, 2], "weight 0 gets what is left"
    assert spread_by_coverage([1, 1], [90, 90], 9, lengths=[10, 20]).tolist() == [3, 6]
    assert spread_by_coverage([], [], 5).tolist() == []


def test_a_scene_that_looks_like_a_served_one_waits():
    weights, frames, looks = [1, 0.99, 0.9], [5, 5, 5], [[1, 0], [1, 0], [0, 1]]
    assert spread_by_coverage(weights, frames, 2).tolist() == [1, 1, 0]
    assert spread_by_coverage(weights, frames, 2, features=looks, discount=0.95).tolist() == [1, 0, 1]
    assert spread_by_coverage(weights, frames, 2, features=looks, discount=0.0).tolist() == [1, 1, 0]
    assert spread_by_coverage(weights, frames, 15, features=looks, discount=1.0).tolist() == frames


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [0.5, -1]}, "weights must be finite and >= 0"),
        ({"weights": [0.5, np.nan]}, "weights must be finite and >= 0"),
        ({"frames": [1]}, r"lists of one length; got \(2,\), \(1,\)"),
        ({"lengths": [1, 0]}, "lengths > 0"),
        ({"k": -1}, "k must be >= 0"),
        ({"decay": 1.0}, "decay between 0 and 1"),
        ({"discount": 1.5}, r"discount in 0\.\.1"),
        ({"features": [[1, 0]]}, r"features must have shape \(2, d\)"),
    ],
)
def test_wrong_arguments_of_coverage_say_what_is_allowed(change, message):
    arguments = {"weights": [0.5, 0.5], "frames": [3, 3], "k": 2} | change
    with pytest.raises(ValueError, match=message):
        spread_by_coverage(**arguments)


def test_equal_weights_are_spread_over_the_video():
    counts = spread_by_coverage(np.full(230, 0.3), np.full(230, 50), 8)
    assert np.diff(np.flatnonzero(counts)).max() <= 2 * 230 / 8
    orthogonal = np.random.default_rng(0).normal(size=(230, 512))
    counts = spread_by_coverage(np.full(230, 0.3), np.full(230, 50), 8, features=orthogonal, discount=0.0)
    assert np.diff(np.flatnonzero(counts)).max() <= 2 * 230 / 8
