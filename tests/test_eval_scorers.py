"""Scores of candidate frames: embeddings of pictures, and scores from a file; kept on disk for other selectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")

from kframes_training.evaluation.candidates import MeasuredVideo
from kframes_training.evaluation.loop import Plan
from kframes_training.evaluation.scorers import GivenScores, SimilarityScorer
from kframes_training.sources.datasets import Item
from test_eval_loop import baseline, run, videos, write_lines  # noqa: F401

from kframes_plugin.video import OpenVideo


def test_similarity_gives_features(tmp_path: Path, videos: Path) -> None:  # noqa: F811
    """A scorer with embeddings of pictures, by their brightness: MDP3 runs on its features."""
    from kframes_plugin.selectors.similarity import SimilaritySelector

    calls: list[int] = []

    def pictures(images: Sequence[Any]) -> Any:
        calls.append(len(images))
        return [[1.0, float(np.asarray(image).mean()) / 255] for image in images]

    scorer = SimilarityScorer(SimilaritySelector(pictures, lambda text: [0.0, 1.0], batch_size=8), "by hand", 16)
    with OpenVideo(videos / "a.mp4") as video:
        asked = [Item("q", videos / "a.mp4", "bright"), Item("r", videos / "a.mp4", "bright too")]
        scored, again = scorer.score_all(MeasuredVideo(video), asked)
    assert calls == [8, 8]  # the pictures are embedded once
    assert scored.features is not None
    assert np.linalg.norm(scored.features, axis=1) == pytest.approx(np.ones(16))
    assert scored.scores == pytest.approx(scored.features @ np.array([0.0, 1.0]))
    assert (scored.cost.model_calls, again.cost.model_calls, scored.cost.candidates) == (3, 3, 16)
    item = Item("q", videos / "a.mp4", "bright", scenes=(((1.0, 2.0),),))
    names = ["mdp3", "wfs_sb", "watershed", "top_k"]
    plan = Plan([baseline(name, scorer) for name in names], [4], scorer)
    first, again_ = run(plan, [item], tmp_path), run(plan, [item], tmp_path)
    assert [len(set(row["frames"]["candidates"]["4"])) for row in first.rows] == [4] * 4
    assert again_.rows == first.rows
    more = run(replace(plan, selectors=[*plan.selectors, baseline("bolt", scorer)]), [item], tmp_path)
    assert calls == [8, 8, 8, 8]  # the arrays are kept: a new selector on the same scores asks no model
    assert more.rows[-1]["cost"]["model_calls"] == 3


def test_given_scores(tmp_path: Path, videos: Path) -> None:  # noqa: F811
    rows = [
        {"id": "a1", "times": [0.5, 5.0, 90.0], "scores": [0.1, 0.9, 1.0]},
        {"video": "b.mp4", "query": "third", "times": [1, 2], "scores": [1, 2]},
    ]
    scorer = GivenScores(write_lines(tmp_path / "scores.jsonl", rows))
    with OpenVideo(videos / "a.mp4") as video:
        [scored] = scorer.score_all(MeasuredVideo(video), [Item("a1", videos / "a.mp4", "x")])
        with pytest.raises(ValueError, match=r"has no scores for item zzz \(a.mp4: y\)"):
            scorer.score_all(MeasuredVideo(video), [Item("zzz", videos / "a.mp4", "y")])
    assert scored.times.tolist() == [0.5, 5.0]  # 90 s is after the end of the video
    with OpenVideo(videos / "b.mp4") as video:
        [scored] = scorer.score_all(MeasuredVideo(video), [Item("b", videos / "b.mp4", "third")])
        assert scored.scores.tolist() == [1, 2]
    for wrong, message in [
        ({"id": "a", "times": [2, 1], "scores": [1, 1]}, "times must rise"),
        ({"times": [1], "scores": [1]}, 'a row needs "id", or "video" and "query"'),
    ]:
        with pytest.raises(ValueError, match=message):
            GivenScores(write_lines(tmp_path / "wrong.jsonl", [wrong]))
