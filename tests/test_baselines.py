"""Published selectors over scores: by hand where it can be done by hand, and what they promise on hard scores."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st
from kframes_training.evaluation.baselines import (
    BASELINES,
    aks,
    bolt,
    focus,
    mdp3,
    oracle,
    qframe,
    stratified,
    top_k,
    top_k_gap,
    uniform_linspace,
    uniform_midpoint,
    uniform_stride,
    watershed,
    wfs_sb,
)
from kframes_training.evaluation.baselines.common import share
from kframes_training.evaluation.baselines.focus import explored
from kframes_training.evaluation.baselines.wfs_sb import _mmr, _reconstruct_detail, _segments
from kframes_training.evaluation.studies.conformance import list_failures, list_tables
from kframes_training.evaluation.studies.hard_scores import list_selectors, make_features, try_out


def times(count: int, stride: float = 1.0) -> np.ndarray:
    return (np.arange(count) + 0.5) * stride


def call(select, scores, k, **more):
    scores = np.asarray(scores, float)
    return select(scores, times(len(scores)), k, duration=float(len(scores)), **more)


# ------------------------------------------------------------------------------------------------------------- by hand


def test_three_uniform_conventions():
    scores = np.zeros(10)
    assert call(uniform_midpoint, scores, 4) == [1, 3, 6, 8]
    assert call(uniform_linspace, scores, 4) == [0, 3, 6, 9]
    assert call(uniform_stride, scores, 4) == [0, 2, 4, 6]
    assert call(uniform_linspace, scores, 1) == [0]


def test_top_k_takes_the_best_and_faithful_the_nan():
    scores = [0.5, 0.9, 0.9, np.nan, 0.1]
    assert call(top_k, scores, 2) == [1, 2]
    assert call(top_k, scores, 3) == [0, 1, 2]
    assert call(top_k, scores, 1, faithful=True) == [3]


@pytest.mark.parametrize("select", [top_k, top_k_gap, aks, bolt, stratified], ids=lambda select: select.__name__)
@pytest.mark.parametrize(("count", "k"), [(64, 8), (230, 8), (1000, 33)])
def test_equal_scores_are_spread(select, count, k):
    """top_k took the first 8 frames, top_k_gap the first quarter, AKS the last."""
    made = call(select, np.zeros(count), k)
    assert max(np.diff([0, *made, count])) <= 2 * count / k
    scores = np.zeros(count)
    scores[5] = 1.0
    assert 5 in call(select, scores, k)


def test_faithful_top_k_of_equal_scores_takes_the_first():
    assert call(top_k, np.zeros(64), 8, faithful=True) == list(range(8))


def test_a_gap_keeps_frames_apart_until_it_cannot():
    scores = [9, 8, 7, 1, 1, 1, 6, 1, 1, 1]
    assert call(top_k_gap, scores, 2, gap=3) == [0, 6]
    assert call(top_k_gap, scores, 4, gap=8, faithful=True) == [0, 8]
    assert len(call(top_k_gap, scores, 4, gap=8)) == 4


def test_one_a_bucket():
    assert call(stratified, [1, 5, 2, 2, 9, 1], 2) == [1, 4]
    assert call(stratified, [1, 5, 2], 3) == [0, 1, 2]
    with pytest.raises(ValueError, match="empty"):
        call(stratified, [1.0, 2.0], 3, faithful=True)


def test_aks_by_hand():
    """One sharp peak: mean of the best 2 minus the mean of all is .9, so the root is a leaf and gives the top 2."""
    scores = np.zeros(20)
    scores[[7, 8]] = 1
    assert call(aks, scores, 2) == [7, 8]
    assert call(aks, scores, 2, faithful=True) == [7, 8]
    # flat halves: two leaves at depth 1, each with half of the budget
    scores = np.tile([0.0, 1.0], 10)
    assert call(aks, scores, 4, depth=1) == [1, 3, 11, 13]
    assert call(aks, scores, 4, depth=1, faithful=True) == [1, 3, 11, 13]


@pytest.mark.parametrize(("k", "given"), [(8, 0), (31, 0), (32, 32), (33, 32), (64, 64), (100, 96)])
def test_aks_as_published_gives_nothing_below_32(k, given):
    scores = np.random.default_rng(0).random(600)
    assert len(call(aks, scores, k, faithful=True, t1=2.0)) == given
    assert len(call(aks, scores, k, t1=2.0)) == k


def test_bolt_by_hand():
    scores = [0, 1, 1, 0, 2]  # density 0, 1/4, 1/4, 0, 1/2
    assert call(bolt, scores, 1, faithful=True) == [4]
    assert call(bolt, scores, 2, faithful=True) == [2, 2] or call(bolt, scores, 2, faithful=True) == [4, 4]
    assert call(bolt, scores, 2) == [1, 4]  # levels .25 and .75
    assert call(bolt, [0, 0, 1, 0], 3)[1:] != []  # the mass of one frame is not enough: others come by even share
    assert len(set(call(bolt, [0, 0, 1, 0], 3))) == 3


def test_mdp3_takes_one_of_each_of_two_alike():
    features = np.eye(3)[[0, 0, 1, 1, 2]]
    scores = [0.5, 0.5, 0.5, 0.5, 0.1]
    assert call(mdp3, scores, 2, features=features) == [0, 2]
    assert 4 in call(mdp3, scores, 3, features=features, lam=100.0)  # hardly any relevance: all three directions
    assert call(mdp3, scores, 2, features=features, query=np.array([0.0, 0.0, 1.0]), lam=0.05)[-1] == 4
    with pytest.raises(ValueError, match="needs the features"):
        call(mdp3, scores, 2)


def test_mdp3_picks_what_the_determinant_says():
    """Greedy gains against determinants computed whole."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(12, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = rng.random(12)
    widths = np.array([0.125, 0.25, 0.5, 1, 2])
    kernel = np.exp(-(2 - 2 * features @ features.T)[..., None] / (2 * widths)).sum(-1)
    worth = (2 / 0.2) * np.log(np.exp(-(2 - 2 * scores)[:, None] / (2 * widths)).sum(-1))
    chosen: list[int] = []
    for _ in range(5):
        value = {
            i: worth[[*chosen, i]].sum() + np.linalg.slogdet(kernel[np.ix_([*chosen, i], [*chosen, i])])[1]
            for i in range(12)
            if i not in chosen
        }
        chosen.append(max(value, key=value.__getitem__))
    assert call(mdp3, scores, 5, features=features) == sorted(chosen)


def test_mdp3_by_segments():
    rng = np.random.default_rng(6)
    features = make_features(64)
    scores = rng.random(64)
    made = call(mdp3, scores, 8, features=features, faithful=True)
    assert len(set(made)) == 8
    assert call(mdp3, scores, 8, features=features, segment=64) == call(mdp3, scores, 8, features=features)
    with pytest.raises(ValueError, match="segments of 32"):
        call(mdp3, scores[:63], 8, features=features[:63], faithful=True)
    assert len(call(mdp3, scores[:63], 8, features=features[:63], segment=32)) == 8


def test_focus_scores_part_of_a_long_video_and_finds_its_arm():
    scores = np.zeros(1600)
    scores[800:816] = 1.0  # one arm of 16 s of a hundred
    scored = explored(scores, times(1600), 1600.0)
    assert scored.sum() < 800
    assert scored[800:816].all()
    made = call(focus, scores, 8)
    assert sum(800 <= i < 816 for i in made) >= 2
    assert made == call(focus, scores, 8)
    assert made != call(focus, scores, 8, seed=1)


def test_qframe_is_seeded_when_mended():
    scores = np.random.default_rng(0).random(100)
    assert call(qframe, scores, 8) == call(qframe, scores, 8)
    assert call(qframe, scores, 8) != call(qframe, scores, 8, seed=1)
    assert any(call(qframe, scores, 8, faithful=True) != call(qframe, scores, 8, faithful=True) for _ in range(5))
    spike = np.where(np.arange(100) == 40, 1.0, 0.0)
    assert 40 in call(qframe, spike, 8)


def test_watershed_takes_the_clips_around_the_peaks():
    scores = np.zeros(40)
    scores[[9, 10, 11]] = [0.5, 1.0, 0.5]
    scores[[29, 30, 31]] = [0.5, 0.9, 0.5]
    assert call(watershed, scores, 6, anchors=2) == [9, 10, 11, 29, 30, 31]


def test_wfs_sb_takes_the_best_frame_of_the_best_part_and_faithful_the_nan():
    scores = np.concatenate([np.full(40, 0.1), np.full(40, 0.9), np.full(40, 0.1)])
    scores[60] = 1.0
    assert 60 in call(wfs_sb, scores, 4)
    scores[20] = np.nan
    assert 20 in call(wfs_sb, scores, 4, faithful=True)
    assert 60 in call(wfs_sb, scores, 4)


def test_mmr_avoids_what_looks_alike():
    scores = np.array([0.9, 0.89, 0.5, 0.1])
    features = np.eye(3)[[0, 0, 1, 2]]
    assert _mmr(scores, np.arange(4), 2, features, 0.5) == [0, 2]
    assert _mmr(scores, np.arange(4), 2, None, 0.5) == [0, 1]
    assert _mmr(scores, np.arange(4), 9, features, 0.5) == [0, 2, 3, 1]


def test_the_oracle_serves_every_true_span_first():
    made = call(oracle, np.zeros(100), 4, truth=[(10, 12), (50, 80)])
    assert any(10 <= i + 0.5 < 12 for i in made)
    assert all(10 <= i + 0.5 < 12 or 50 <= i + 0.5 < 80 for i in made)
    assert call(oracle, np.zeros(10), 4) == [1, 3, 6, 8]


# ------------------------------------------------------------------------------------------------------------- parts


def test_shares_are_exact_and_within_their_room():
    assert share([1, 1, 1], 7) == [3, 2, 2]
    assert share([0, 0], 3) == [2, 1]
    assert share([5, 1], 6, [2, 9]) == [2, 4]
    assert share([1, 1], 9, [2, 3]) == [2, 3]
    assert share([1] * 9, 3) == [1, 1, 1, 0, 0, 0, 0, 0, 0], "best first"
    assert share([1] * 9, 3, places=range(9)) == [0, 1, 0, 0, 1, 0, 0, 1, 0], "in time order"


@pytest.mark.parametrize("count", [14, 37, 200, 511])
def test_detail_is_that_of_waverec(count):
    signal = np.random.default_rng(count).random(count)
    for level in range(1, pywt.dwt_max_level(count, 8) + 1):
        coarse, detail, *finer = pywt.wavedec(signal, "db4", level=level)
        whole = pywt.waverec([np.zeros_like(coarse), detail, *map(np.zeros_like, finer)], "db4")[:count]
        np.testing.assert_allclose(_reconstruct_detail(signal, level), whole, atol=1e-12)


def test_segments_part_the_candidates_where_the_level_changes():
    steps = np.repeat([0.1, 0.9, 0.1], 40)
    parts = _segments(steps)
    assert np.concatenate(parts).tolist() == list(range(120))
    starts = [int(part[0]) for part in parts]
    assert all(min(abs(start - jump) for start in starts) <= 8 for jump in (40, 80))
    assert [len(_segments(np.zeros(n))) for n in (1, 2, 5, 64)] == [1, 1, 1, 1], "nothing moves, no cut"


# ---------------------------------------------------------------------------------------------------------- promises

hard = st.lists(
    st.one_of(st.floats(-1, 1), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")])),
    min_size=1,
    max_size=90,
)


@given(scores=hard, k=st.integers(1, 100), name=st.sampled_from(sorted(BASELINES)))
@settings(max_examples=300, deadline=None)
def test_mended_baselines_give_exactly_k_distinct_in_order_whatever_the_scores(scores, k, name):
    made = call(BASELINES[name], scores, k, features=make_features(len(scores)), truth=[(0.2, 3)])
    assert made == sorted(set(made))
    assert len(made) == min(k, len(scores))
    assert all(0 <= i < len(scores) for i in made)
    assert all(type(i) is int for i in made)


@pytest.mark.parametrize("name", sorted(list_selectors()))
@pytest.mark.parametrize("case", ["constant", "n < k", "spike", "NaN"])
def test_ours_and_the_mended_do_not_fail(name, case):
    cells = {k: try_out(list_selectors()[name], case, k) for k in (2, 7, 33)}
    if not name.endswith("faithful"):
        assert not [k for k, cell in cells.items() if "error" in cell or not (cell["exact"] and cell["stable"])]


def test_the_conformance_table_counts_failures():
    kept = dict.fromkeys(("exact", "distinct", "ordered", "in_range", "stable"), True)
    good = {**kept, "jaccard": 1.0, "seconds": 0.001}
    bad = good | {"exact": False, "distinct": False}
    cases = {case: {"64": good} for case in ("n < k", "spike", "NaN", "ordinary")}
    report = {"ks": [64], "selectors": {"a": cases | {"constant": {"64": bad, "1": {"error": "ValueError: x"}}}}}
    [row] = list_tables(report)[0].rows
    assert row[:9] == ["a", "2 of 2", "0", "0", "0", "0", "1", "0", "0"]
    assert list_failures(report, "a") == ["a, constant, k=64", "a, constant, k=1"]


def test_scores_are_not_changed():
    scores = np.array([0.1, np.nan, 0.4, 0.3])
    before = scores.copy()
    for select in BASELINES.values():
        select(scores, times(4), 2, duration=4.0, features=np.eye(4))
    np.testing.assert_array_equal(scores, before)
