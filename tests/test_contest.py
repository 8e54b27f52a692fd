"""The contest on SynthScenes: the bundled nano on one short video, and what is made of its records."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest

pytest.importorskip("trl")

from kframes_training.evaluation.contest import summary
from kframes_training.evaluation.contest.__main__ import KS, NANO, main
from kframes_training.evaluation.contest.measure import Contest
from kframes_training.evaluation.contest.picks import KFRAMES, ORACLE, PICKS, RIVALS
from kframes_training.evaluation.contest.tables import markdown
from kframes_training.evaluation.exam import exam_of
from kframes_training.evaluation.reader import NanoReader
from kframes_training.evaluation.reasons import checked, holds, named, scene_of
from kframes_training.evaluation.videos import video_on_disk
from kframes_training.sources.synthscenes import SPLITS, sample_video
from kframes_training.sources.synthscenes.world import Scene, Thing

from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import Clip
from kframes_plugin.video import OpenVideo

SEED = min(SPLITS["test"][:60], key=lambda seed: sample_video(seed).duration)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    contest = Contest(NanoReader(NANO), None, tmp_path_factory.mktemp("videos"), "test", KS, ())
    return contest.measure(SEED)


def test_everyone_takes_exactly_k_and_the_oracle_is_the_ceiling(record):
    assert len(record["items"]) > 5
    for item in record["items"]:
        assert set(item["metrics"]) == set(PICKS)
        assert item["spans"] > 0
        best = item["metrics"][ORACLE]["8"]
        assert best[0] == 1 or item["spans"] > 8  # KFR: all frames show evidence
        for by_k in item["metrics"].values():
            assert set(by_k) == {str(k) for k in KS}
            assert all(row[1] <= best[1] for row in by_k.values() if item["spans"] <= 8)  # SHR
    at_t = [item["metrics"] for item in record["items"]]
    assert all(one[name]["64"] == one["uniform_midpoint"]["64"] for one in at_t for name in RIVALS)


def test_scores_are_those_of_the_selector(tmp_path):
    """One query at a time through MLLMSelector's prediction, against all at once."""
    reader, selector = NanoReader(NANO), MLLMSelector.from_pretrained(NANO, device="cpu", dtype="float32")
    exam = exam_of(SEED, "test")
    texts = [exam.texts[0], "find the elephant"]
    with OpenVideo(video_on_disk(exam.video, tmp_path)) as opened:
        frames = opened.candidates(64, size=reader.settings.frame_size)
    scores = reader.scores(reader.see(frames), texts)
    np.testing.assert_allclose(scores[0], selector.frame_scores(frames, texts[0]), atol=2e-3)
    assert not scores[1].any()  # a word that nano was never trained on


def test_tables_of_records(record, tmp_path):
    other = {**record, "seed": record["seed"] + 1, "video": "synthscenes-other"}
    values = summary.values_of([record, other])
    table = summary.table_of(values)
    needle = [item["metrics"][KFRAMES]["8"] for item in record["items"] if "needle" in summary.groups_of(item)]
    assert table[KFRAMES]["needle"]["shr, k=8"][0] == pytest.approx(np.mean([row[1] for row in needle]))
    by_hand = np.exp(np.mean(np.log(np.maximum([row[4] for row in needle], 0.01))))
    assert table[KFRAMES]["needle"]["ukss, k=8"][0] == pytest.approx(by_hand)
    rows = summary.differences(values, KS, ())
    assert {row["other"] for row in rows} >= set(RIVALS)
    report = {
        "videos": 2, "split": "test", "seconds": 120.0, "queries": 2 * len(record["items"]), "candidates": 64,
        "ks": KS, "answer_ks": (), "answerer": False, "table": table, "differences": rows,
        "losses": summary.losses_of([record, other]),
        "costs": summary.costs_of([record, other]), "reasons": summary.reasons_of([record, other]),
        "answers_with_reasons": {},
    }  # fmt: skip
    page = markdown(json.loads(json.dumps(report)))
    assert page.count("| kframes auto |") >= 9
    assert "Are the reasons true?" in page


def test_groups():
    assert summary.groups_of({"kind": "holistic", "spans": 1}) == ["holistic"]
    assert summary.groups_of({"kind": "count", "spans": 3}) == ["all but holistic", "3 spans or more", "several"]
    assert summary.groups_of({"kind": "order", "spans": 1}) == ["all but holistic", "1 span", "order"]
    assert summary.groups_of({"kind": "action", "spans": 1}) == ["all but holistic", "1 span", "needle"]


def test_another_run_in_the_same_folder_is_refused(tmp_path, capsys):
    (tmp_path / "run.json").write_text(json.dumps({"checkpoint": "another"}))
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path), "--videos", "1"])
    assert "holds a run with another checkpoint" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ reasons


def scene(start: float, end: float, background: str, *things: tuple[str, str, str]) -> Scene:
    made = tuple(Thing(shape, colour, size, "still", 0.5, 0.5) for size, colour, shape in things)
    return Scene(start, end, background, "plain", made)


def test_reasons_by_hand():
    scenes = [
        scene(0, 10, "teal", ("big", "red", "circle"), ("small", "blue", "star")),
        scene(10, 20, "navy", ("big", "green", "ring")),
    ]
    assert named("big red circle on teal") == {"size": "big", "colour": "red", "shape": "circle", "background": "teal"}
    assert named("the whole video") is None
    assert scene_of(Clip(8, 11), scenes) is scenes[0]
    right = checked(Clip(0, 11, "P1", "small blue star on teal"), "find the blue star", scenes, Random(0))
    assert (right["form"], right["all"], right["somewhere"], right["by chance"]) == (1, 1, 1, 0)
    assert (right["new"], right["new, true"], right["new, by chance"]) == (2, 2, 0)
    # blue belongs to the star, not to the circle: not all of it is one thing's
    mixed = checked(Clip(0, 10, "P1", "big blue circle on teal"), "circle", scenes, Random(0))
    assert (mixed["all"], mixed["background"], mixed["shape"], mixed["colour"]) == (0, 1, 1, 0)
    beside = checked(Clip(4, 12, "P1", "big green ring on navy"), "ring", scenes, Random(0))
    assert (beside["all"], beside["somewhere"], beside["by chance"]) == (0, 1, 1)
    assert checked(Clip(0, 5, "P1", "because"), "q", scenes, Random(0)) == {"form": 0}
    assert holds({"size": "big", "colour": "green", "shape": "ring", "background": "navy"}, scenes[1])["all"]
