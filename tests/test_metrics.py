"""Metrics of frames and answers against cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kframes_training.evaluation.metrics import (
    accuracy,
    clip_scores,
    compare,
    conformance,
    haystack_scores,
    jaccard_over_seeds,
    kfs_mean,
    kfs_scores,
    ssim,
    ukss_mean,
    ukss_ratio,
    visual_scores,
)
from kframes_training.evaluation.statistics import MEANS, compare_metric, estimate_metric

from kframes_plugin import Clip

# --------------------------------------------------------------------------------------------------------- KFS-Bench


def test_kfs_bench_by_hand():
    """Scenes of 10 and 30 s (with the second that every end is meant later); 2 and 1 of 5 frames inside."""
    scores = kfs_scores([5, 12, 105, 300, 400], [[(4, 13)], [(100, 109), (200, 219)]])
    assert scores["kfr"] == pytest.approx(3 / 5)
    assert scores["shr"] == 1
    # due: scene 1 max(1, floor(min(3/4, 3/2))) = 1; scene 2 max(1, floor(min(9/4, 3/2))) = 1
    assert scores["bsr"] == 1
    by_hand = max((2 * 10**a + 30**a) / (math.sqrt(5) * math.hypot(10**a, 30**a)) for a in (0, 0.1, 0.5, 1))
    assert scores["bds"] == pytest.approx(by_hand) == pytest.approx(3 / math.sqrt(10))
    assert scores["ukss"] == pytest.approx((0.6 * 1 * 3 / math.sqrt(10)) ** (1 / 3))


def test_a_scene_short_of_its_due_does_not_count_as_recalled():
    """Eight frames in scenes of equal length, 7 and 1: each is due 4."""
    scores = kfs_scores([*range(7), 100], [[(0, 9)], [(100, 109)]])
    assert scores["shr"] == 1
    assert scores["bsr"] == 0.5


def test_an_empty_selection_scores_zero():
    assert kfs_scores([], [[(0, 9)]]) == dict.fromkeys(("kfr", "shr", "bsr", "bds", "ukss"), 0.0)
    assert kfs_scores([50], [[(0, 9)]])["ukss"] == 0


def test_a_frame_in_two_scenes_counts_once_in_kfr_and_in_both_scenes():
    scores = kfs_scores([5], [[(0, 9)], [(5, 9)]])
    assert (scores["kfr"], scores["shr"], scores["bsr"]) == (1, 1, 1)


def test_a_frame_taken_twice_counts_twice():
    assert kfs_scores([5, 5, 50], [[(0, 9)]])["kfr"] == pytest.approx(2 / 3)


def test_a_point_lasts_a_second_and_ends_are_closed():
    for frame, hit in ((6.99, 0), (7, 1), (8, 1), (8.01, 0)):
        assert kfs_scores([frame], [[(7, 7)]])["shr"] == hit
    scores = kfs_scores([7], [[(7, 7)], [(20, 29)]], grace=0.0)  # a scene of no length
    assert (scores["shr"], scores["bsr"]) == (0.5, 0.5)
    assert 0 < scores["bds"] <= 1
    assert kfs_scores([7], [[(7, 7)]], grace=0.0)["ukss"] == 1


def test_scores_without_scenes_are_refused():
    with pytest.raises(ValueError, match="at least one true scene; got none"):
        kfs_scores([1], [])
    with pytest.raises(ValueError, match=r"start <= end; got \[\(9, 3\)\]"):
        kfs_scores([1], [[(9, 3)]])


def test_the_mean_of_ukss_is_geometric_with_a_floor():
    perfect = kfs_scores([5], [[(0, 9)]])
    nothing = kfs_scores([], [[(0, 9)]])
    mean = kfs_mean([perfect, nothing])
    assert mean["kfr"] == 0.5
    assert mean["ukss"] == pytest.approx(math.sqrt(1 * 0.01))
    with pytest.raises(ValueError, match="at least one item"):
        kfs_mean([])


# ------------------------------------------------------------------------------------------------------- LV-Haystack


def test_haystack_by_hand():
    scores = haystack_scores([10, 15, 100], [20, 200])
    assert scores["precision"] == pytest.approx(1 / 3)  # 15 is 5 s from 20: inclusive
    assert scores["recall"] == 0.5
    assert scores["f1"] == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5))
    assert scores["annd"] == pytest.approx((10 + 5 + 80) / 3)
    assert haystack_scores([14.999], [20])["f1"] == 0


def test_an_empty_side_is_zero_and_marked():
    for pair in (([], [1]), ([1], []), ([], [])):
        scores = haystack_scores(*pair)
        assert (scores["f1"], scores["annd"], scores["skipped"]) == (0.0, None, 1.0)
        assert visual_scores([], [np.zeros((20, 20))])["f1"] == 0


def test_ssim_by_hand():
    """Of constant pictures only the means differ: (2ab + c) / (a^2 + b^2 + c), c = (.01 * 255)^2."""
    one, other, c = np.full((20, 30), 100.0), np.full((20, 30), 50.0), 2.55**2
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, other) == pytest.approx((2 * 100 * 50 + c) / (100**2 + 50**2 + c))
    noise = np.random.default_rng(0).uniform(0, 255, (20, 30))
    assert ssim(noise, 255 - noise) < -0.9 < 0.9 < ssim(noise, noise + 5)
    with pytest.raises(ValueError, match="two gray pictures of one size"):
        ssim(one, other[:10])


def test_visual_scores_take_the_likest():
    dark, light = np.full((12, 12), 10.0), np.full((12, 12), 200.0)
    scores = visual_scores([dark], [dark, light])
    assert scores["precision"] == pytest.approx(1)
    assert scores["recall"] == pytest.approx((1 + ssim(dark, light)) / 2)


# ------------------------------------------------------------------------------------------------------------ clips


def test_nothing_found_scores_zero_never_nan():
    """Queries without a clip were left out of mIoU."""
    scores = clip_scores([], [Clip(3, 9), Clip(20, 21)])
    assert scores.pop("empty") == 1.0
    assert scores == dict.fromkeys(("iou", "R@0.3", "R@0.5", "R@0.7", "precision", "recall", "over"), 0.0)
    true = [Clip(0, 10)]
    rows = {"a": [clip_scores([Clip(0, 10)], true)["iou"]], "b": [clip_scores([], true)["iou"]]}
    assert estimate_metric("iou", rows).mean == 0.5


# ------------------------------------------------------------------------------------------------ one mean per metric


def test_a_metric_has_one_mean_in_tables_and_differences():
    one, other = {"a": [0.8, 0.4], "b": [0.0]}, {"a": [0.4, 0.2], "b": [0.0]}
    assert estimate_metric("shr", one).mean == pytest.approx(0.4)
    assert compare_metric("shr", one, other).mean == pytest.approx(0.2)
    assert estimate_metric("ukss", one).mean == pytest.approx((0.8 * 0.4 * 0.01) ** (1 / 3))
    ratio = compare_metric("ukss", one, other)
    assert ratio.mean == pytest.approx(4 ** (1 / 3))
    assert ratio.mean == pytest.approx(estimate_metric("ukss", one).mean / estimate_metric("ukss", other).mean)
    assert ratio.low <= ratio.mean <= ratio.high
    assert ukss_mean(one) == estimate_metric("ukss", one)
    assert ukss_ratio(one, other) == ratio


def test_every_metric_has_a_mean_and_others_are_refused():
    measured = {*kfs_scores([1], [[(0, 9)]]), *haystack_scores([1], [1]), *clip_scores([], [Clip(0, 1)]), "right"}
    assert measured <= set(MEANS)
    with pytest.raises(ValueError, match=r"metric must be one of kfr, .*; got 'ukss, k=8'"):
        estimate_metric("ukss, k=8", {"a": [1.0]})


# ---------------------------------------------------------------------------------------------- answers, conformance


def test_answers_are_compared_in_pairs():
    one, other = {"a": [1, 1, 0], "b": [1, 1]}, {"a": [0, 1, 1], "b": [0, 0]}
    found = compare(one, other)
    assert (found.only_one, found.only_other) == (3, 1)
    assert found.difference.mean == pytest.approx(2 / 5)
    assert found.p == pytest.approx(2 * (1 + 4) / 2**4)
    assert accuracy(one).mean == pytest.approx(4 / 5)
    with pytest.raises(ValueError, match=r"right \(1\) or wrong \(0\); a has 0.5"):
        accuracy({"a": [0.5]})


def test_conformance_by_hand():
    assert all(conformance([1, 4], 5, 2).values())
    assert all(conformance([0, 1, 2], 3, 8).values())
    assert conformance([4, 1], 5, 2) == {"exact": True, "distinct": True, "ordered": False, "in_range": True}
    assert conformance([1, 1], 5, 2) == {"exact": False, "distinct": False, "ordered": True, "in_range": True}
    assert not conformance([1, 5], 5, 2)["in_range"]
    assert not conformance([1], 5, 2)["exact"]
    assert jaccard_over_seeds([[1, 2], [1, 3], [1, 2]]) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert jaccard_over_seeds([[], []]) == jaccard_over_seeds([[1]]) == 1
