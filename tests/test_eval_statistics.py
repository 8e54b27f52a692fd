"""Scores of clips by hand; means with intervals over videos, paired differences, McNemar's test."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("trl")

from kframes_training.evaluation.metrics import clip_scores
from kframes_training.evaluation.statistics import difference, discordant, estimate, mcnemar

from kframes_plugin.types import Clip

# ------------------------------------------------------------------------------------------------------------ metrics


def test_scores_of_clips_by_hand() -> None:
    found = [Clip(40, 50, "P2"), Clip(10, 20, "P1")]  # the P1 clip is the first, wherever it stands
    scores = clip_scores(found, [Clip(10, 25)])
    assert scores["iou"] == pytest.approx(10 / 25)  # both 10 s; either 20 + 15 - 10
    assert scores["precision"] == pytest.approx(10 / 20)
    assert scores["recall"] == pytest.approx(10 / 15)
    assert scores["over"] == pytest.approx(20 / 15)
    assert [scores[f"R@{level}"] for level in (0.3, 0.5, 0.7)] == [1, 1, 0]  # the first: 10 / 15
    assert scores["empty"] == 0


def test_the_first_clip_counts_against_the_best_true_one() -> None:
    scores = clip_scores([Clip(100, 120)], [Clip(0, 10), Clip(100, 116), Clip(300, 310)])
    assert [scores[f"R@{level}"] for level in (0.3, 0.5, 0.7)] == [1, 1, 1]  # 16 / 20
    assert scores["iou"] == pytest.approx(16 / 40)


def test_scores_of_nothing() -> None:
    scores = clip_scores([], [Clip(10, 20)])
    assert scores.pop("empty") == 1
    assert set(scores.values()) == {0.0}
    assert clip_scores([], []) == {"iou": 1.0, "empty": 1.0}
    assert clip_scores([Clip(0, 1)], []) == {"iou": 0.0, "empty": 0.0}


# --------------------------------------------------------------------------------------------------------- statistics


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    """400 videos with one item each: mean +- 1.96 standard errors."""
    values = np.random.default_rng(1).normal(0.3, 1.0, 400)
    found = estimate({str(i): [value] for i, value in enumerate(values)})
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert found.count == 400


def test_videos_are_resampled_not_items() -> None:
    """Nine copies of an item in a video say no more than one: a bootstrap over items would be three times narrower."""
    values = np.random.default_rng(2).normal(0, 1, 100)
    one = estimate({str(i): [value] for i, value in enumerate(values)})
    many = estimate({str(i): [value] * 9 for i, value in enumerate(values)})
    assert many[:3] == pytest.approx(one[:3])
    assert many.count == 900


def test_items_weigh_the_same_in_videos_of_any_size() -> None:
    assert estimate({"a": [1.0, 1.0, 1.0], "b": [0.0], "c": []}).mean == 0.75


def test_intervals_have_the_coverage_they_say() -> None:
    """Of 200 samples of 50 videos with 4 dependent items, about 95% of the intervals hold the true mean."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(200):
        level = rng.beta(2, 2, 50)
        found = estimate({str(i): (rng.random(4) < p).astype(float).tolist() for i, p in enumerate(level)}, draws=500)
        held += found.low <= 0.5 <= found.high
    assert 178 <= held <= 199


def test_estimates_are_functions_of_their_arguments() -> None:
    values = {str(i): [i**0.5] for i in range(30)}
    assert estimate(values) == estimate(values)
    assert estimate(values) != estimate(values, seed=1)
    assert math.isnan(estimate({"only": [1.0, 0.0]}).low)
    with pytest.raises(ValueError, match="at least one item; got none"):
        estimate({"a": []})


def test_paired_differences_are_narrow_where_selectors_agree() -> None:
    rng = np.random.default_rng(4)
    one = {str(i): rng.random(3).tolist() for i in range(200)}
    other = {video: [value - 0.05 for value in values] for video, values in one.items()}
    found = difference({**one, "alone": [1.0]}, other)
    assert found[:3] == pytest.approx((0.05, 0.05, 0.05))
    assert found.count == 600  # the video that only one has does not count
    with pytest.raises(ValueError, match="argument"):
        difference({"a": [1.0]}, {"a": [1.0, 0.0]})


def test_mcnemar_by_hand() -> None:
    one, other = {"a": [1, 1, 0], "b": [1, 0]}, {"a": [0, 1, 1], "b": [0, 0]}
    assert discordant(one, other) == (2, 1)
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 0) == 2 / 2**5
    assert mcnemar(2, 10) == mcnemar(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert mcnemar(7, 7) == 1
    assert mcnemar(900, 1100) < 1e-5  # no overflow
