"""The printed measurements: what is asked of drawn videos, and every study on a small run through the one loop."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("trl")

from kframes_training.evaluation.baselines import BASELINES
from kframes_training.evaluation.drawn import make_exam, make_items, name_kind, to_row, video_on_disk
from kframes_training.evaluation.selectors import end_at_candidates, random_clips, true_clips
from kframes_training.evaluation.studies import contest, footage, latency, synthscenes
from kframes_training.evaluation.studies.hard_scores import CHECKS, list_selectors, try_out
from kframes_training.evaluation.studies.reasons import check_reason, find_scene, holds, read_reason
from kframes_training.sources.datasets import read
from kframes_training.sources.synthscenes import SPLITS, sample_video
from kframes_training.sources.synthscenes.language import Query
from kframes_training.sources.synthscenes.words import UNKNOWN
from kframes_training.sources.synthscenes.world import Scene, Thing
from test_eval_loop import write_lines
from video_maker import make_video

from kframes_plugin.types import Clip
from kframes_plugin.video import OpenVideo

ROOT = Path(__file__).resolve().parents[1]
SEED = min(SPLITS["test"][:60], key=lambda seed: sample_video(seed).duration)

# ------------------------------------------------------------------------------------------------------- drawn videos


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


def test_video_files_are_kept_and_named_by_what_they_show(drawn: Path) -> None:
    video = sample_video(SEED)
    path = video_on_disk(video, drawn)
    before = path.stat().st_mtime_ns
    assert video_on_disk(video, drawn).stat().st_mtime_ns == before
    other = replace(video, scenes=(replace(video.scenes[0], label="GO"), *video.scenes[1:]))
    assert video_on_disk(other, drawn) != path
    assert not [file for file in drawn.iterdir() if file.stem.count(".")]  # nothing unfinished
    with OpenVideo(path) as opened:
        assert (opened.codec, opened.width, opened.height) == ("h264", 192, 144)
        assert opened.duration == pytest.approx(video.duration, abs=0.26)


def test_an_exam_is_a_function_of_its_seed() -> None:
    exam = make_exam(SEED, "test")
    assert exam == make_exam(SEED, "test")
    assert len(exam.texts) == len(exam.truth) == len(exam.queries) + len(exam.questions)
    for query, true in zip(exam.queries, exam.truth, strict=False):
        assert bool(true) == (query.kind != "absent")
    for question, true in zip(exam.questions, exam.truth[len(exam.queries) :], strict=True):
        assert len(true) == len(question.evidence) > 0


def test_absent_queries_are_told_apart_by_why() -> None:
    kinds = {name_kind(query) for seed in SPLITS["test"][:30] for query in make_exam(seed, "test").queries}
    assert {"absent: known words", "absent: unknown words", "needle", "count"} <= kinds
    for text, kind in (
        (f"find the {UNKNOWN[0]}?", "absent: unknown words"),
        ("find the red star", "absent: known words"),
    ):
        assert name_kind(Query(text, "absent", (1.0,), ("",))) == kind


def test_drawn_videos_are_a_file_of_ones_own(drawn: Path) -> None:
    exam = make_exam(SEED, "test")
    items = make_items(exam, video_on_disk(exam.video, drawn))
    data = read(write_lines(drawn / "questions.jsonl", [to_row(item) for item in items]))
    assert (data.odd, data.missing) == ((), ())
    assert [item.query for item in data.items] == exam.texts
    assert [len(item.scenes) for item in data.items] == [len(true) for true in exam.truth]
    assert [item.absent for item in data.items] == [not true for true in exam.truth]
    asked = data.items[len(exam.queries) :]
    assert [(item.options, item.answer) for item in asked] == [(q.options, q.answer) for q in exam.questions]
    assert all(item.groups["kind"].startswith("question, ") for item in asked)
    assert [dict(item.groups) for item in data.items] == [dict(item.groups) for item in items]
    assert [item.query for item in make_items(exam, data.items[0].video, with_questions=False)] == [
        query.text for query in exam.queries
    ]


def test_selectors_that_know_the_truth(drawn: Path) -> None:
    exam = make_exam(SEED, "test")
    item = next(one for one in make_items(exam, video_on_disk(exam.video, drawn)) if one.evidence > 1)
    with OpenVideo(item.video) as opened:
        frames = opened.candidates(16, size=64)
    true = true_clips(item, frames, Random(0))
    assert [(clip.start, clip.end) for clip in true] == list(item.spans)
    lots = random_clips(item, frames, Random(0))
    assert [clip.length for clip in lots] == pytest.approx([clip.length for clip in true])
    assert lots == random_clips(item, frames, Random(0))
    assert lots != random_clips(item, frames, Random(1))
    stride = frames.duration / 16
    for clip, wanted in zip(end_at_candidates(true, frames), sorted(true, key=lambda c: c.start), strict=True):
        assert abs(clip.start - wanted.start) <= stride
        assert abs(clip.end - wanted.end) <= stride


# ---------------------------------------------------------------------------------------------------------- small runs


def results_page(folder: Path, out: Path) -> str:
    script = ROOT / "benchmarks" / "results.py"
    subprocess.run([sys.executable, str(script), "--results", str(folder), "--out", str(out)], check=True, timeout=120)
    return out.read_text(encoding="utf-8")


def lines_of(report: dict[str, Any], pool: str, group: str) -> dict[Any, Any]:
    return {(row["selector"], row["k"]): row for row in report["table"] if (row["pool"], row["group"]) == (pool, group)}


def test_synthscenes_on_two_videos(tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command, its tables, and the page of results that is made from the JSON alone."""
    command = ["--videos", "2", "--files", str(drawn), "--out", str(tmp_path / "run"), "--split", "dev"]
    synthscenes.main(command)
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert report["selectors"] == ["nano", "uniform", "scenes", "random", "oracle"]
    assert {one["candidates"] for one in report["settings"]["selectors"].values()} == {64}
    needle = lines_of(report, "free", "kind: needle")
    assert needle["oracle", None]["iou"][0] == needle["oracle", 8]["kfr"][0] == 1
    assert needle["nano", None]["iou"][0] > needle["uniform", None]["iou"][0]
    assert 0 < lines_of(report, "candidates", "kind: needle")["oracle", None]["iou"][0] <= 1
    for title in ("Clips, kind: needle (2 items): any frame", "Queries answered with no clip", "Cost of a query"):
        assert f"### {title}" in printed
    synthscenes.main(command)
    assert f"0 made, {report['made']} kept from before" in capsys.readouterr().err
    results = tmp_path / "results"
    results.mkdir()
    (results / "synthscenes.json").write_bytes((tmp_path / "run" / "results.json").read_bytes())
    page = results_page(results, tmp_path / "RESULTS.md")
    table = printed.index("### Clips, kind: needle")
    assert printed[table : printed.index("\n\n### ", table)] in page


def test_the_contest_on_one_video(tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contest.main(["--videos", "1", "--files", str(drawn), "--out", str(tmp_path / "run"), "--split", "dev"])
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert set(contest.PUBLISHED) == set(BASELINES) - {"oracle"} < set(report["selectors"])
    assert all(one["exactly_k"] == one["distinct"] == 1 for one in report["conformance"])
    assert report["failures"] == {}
    for pool in ("candidates", "free"):
        for group in (contest.ONE, contest.SEVERAL):
            lines = lines_of(report, pool, group)
            for (_, k), row in lines.items():
                if k is not None:
                    assert row["kfr"][0] <= lines["oracle", k]["kfr"][0] + 1e-9  # the ceiling
    at_t = lines_of(report, "candidates", contest.ONE)
    assert all(at_t[name, 64]["ukss"] == at_t["uniform_midpoint", 64]["ukss"] for name in contest.PUBLISHED)
    assert report["settings"]["scorer"]["features"] is True
    assert 0 <= report["reasons"]["all"][0] <= 1
    assert "### Are nano's reasons true?" in printed


def test_latency(tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latency.main(["--videos", "1", "--files", str(drawn), "--out", str(tmp_path / "run"), "--split", "dev"])
    report = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert set(report["waits"]) == {"text", "scores", "both"}
    assert all(one["first"] > one["next"] > 0 for one in report["waits"].values())
    assert "### Seconds until the clips are there" in capsys.readouterr().out


def test_conformance_of_a_selector() -> None:
    cell = try_out(list_selectors()["kframes auto"], "constant", 7)
    assert all(cell[check] for check in (*CHECKS, "stable"))


def test_footage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Small clips made here, and one haystack with its truth beside it."""
    items, hay = [], tmp_path / "hay"
    hay.mkdir()
    for number, seconds in enumerate((4, 6)):
        name = f"clip{number}.mp4"
        make_video(tmp_path / name, [i * 125 for i in range(seconds * 8)])
        queries = [{"query": f"thing {number}", "clips": [[1.0, 3.0]]}, {"query": "all", "clips": [[0.0, seconds]]}]
        items.append({"file": name, "duration": float(seconds), "derived_from": None, "queries": queries})
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"items": items}))
    make_video(hay / "hay.mp4", [i * 125 for i in range(80)])
    truth = {"queries": [{"query": "twice", "clips": [[1.0, 2.0], [6.0, 8.0]]}], "negative_queries": ["a cat"]}
    (hay / "hay.json").write_text(json.dumps(truth))
    footage.main([str(tmp_path), "--haystacks", str(hay), "--out", str(tmp_path / "run"), "--candidates", "16"])
    report = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert all(one["distinct"] == one["in_order"] == 1 for one in report["conformance"])
    several = lines_of(report, "free", "spans: haystacks, several spans")
    assert several["oracle", 8]["shr"][0] == 1
    assert several["top_k on lite", 64]["shr"][3] == 1
    found = report["no_clip"]["lite"]  # the clips show numbers, and no query names what they look like
    assert found["of"] == 5
    assert f"lite: no clip in {found['none']} of 5 items, which count as 0" in capsys.readouterr().out
    assert lines_of(report, "free", "absent")["lite", None]["empty"][0] == 1


def test_results_page_is_that_of_the_files(tmp_path: Path) -> None:
    page = results_page(ROOT / "benchmarks" / "results", tmp_path / "RESULTS.md")
    assert page == (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "nano"], "needs NAME=FOLDER"),
        (["--checkpoint", "nano=nowhere"], "nowhere has no kframes.json"),
        (["--videos", "0"], "--videos must be 1 to"),
        (["--workers", "0"], "must be a whole number >= 1"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        synthscenes.main(["--out", str(tmp_path / "out"), *arguments])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------------ reasons


def scene(start: float, end: float, background: str, *things: tuple[str, str, str]) -> Scene:
    made = tuple(Thing(shape, colour, size, "still", 0.5, 0.5) for size, colour, shape in things)
    return Scene(start, end, background, "plain", made)


def test_reasons_by_hand():
    scenes = [
        scene(0, 10, "teal", ("big", "red", "circle"), ("small", "blue", "star")),
        scene(10, 20, "navy", ("big", "green", "ring")),
    ]
    assert read_reason("big red circle on teal") == {
        "size": "big",
        "colour": "red",
        "shape": "circle",
        "background": "teal",
    }
    assert read_reason("the whole video") is None
    assert find_scene(Clip(8, 11), scenes) is scenes[0]
    right = check_reason(Clip(0, 11, "P1", "small blue star on teal"), "find the blue star", scenes, Random(0))
    assert (right["form"], right["all"], right["somewhere"], right["by chance"]) == (1, 1, 1, 0)
    assert (right["new"], right["new, true"], right["new, by chance"]) == (2, 2, 0)
    # blue belongs to the star, not to the circle: not all of it is one thing's
    mixed = check_reason(Clip(0, 10, "P1", "big blue circle on teal"), "circle", scenes, Random(0))
    assert (mixed["all"], mixed["background"], mixed["shape"], mixed["colour"]) == (0, 1, 1, 0)
    beside = check_reason(Clip(4, 12, "P1", "big green ring on navy"), "ring", scenes, Random(0))
    assert (beside["all"], beside["somewhere"], beside["by chance"]) == (0, 1, 1)
    assert check_reason(Clip(0, 5, "P1", "because"), "q", scenes, Random(0)) == {"form": 0}
    assert holds({"size": "big", "colour": "green", "shape": "ring", "background": "navy"}, scenes[1])["all"]
