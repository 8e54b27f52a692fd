"""The measuring loop on real small videos: the true flow, all kept on disk, a run that is killed and continues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from drawn_film import QUERIES, SAMPLE

pytest.importorskip("trl")

from kframes_training.evaluation.answerers import Answer
from kframes_training.evaluation.baselines import BASELINES
from kframes_training.evaluation.cli import app
from kframes_training.evaluation.load import Setup, load_plan
from kframes_training.evaluation.loop import Outcome, Plan, keep_shard
from kframes_training.evaluation.loop import run as measure
from kframes_training.evaluation.report import build_report
from kframes_training.evaluation.scorers import GivenScores
from kframes_training.evaluation.selectors import (
    ClipSelector,
    ScoreSelector,
    TruthSelector,
    join_chosen,
    true_clips,
)
from kframes_training.evaluation.store import Store, make_key
from kframes_training.evaluation.tables import standard_tables, write_page
from kframes_training.sources.datasets import Data, Item
from video_maker import make_video, read_number

from kframes_plugin import Clip, KFrames
from kframes_plugin.types import Cost, Frame

RATE = 4  # frames a second of the numbered videos
MAIN = "from kframes_plugin.cli import main; main()"
ABOUT = {"study": "eval", "settings": {}}


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbered videos of 20 and 30 s, and one file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    for name, seconds in {"a.mp4": 20, "b.mp4": 30}.items():
        make_video(folder / name, [i * 1000 // RATE for i in range(seconds * RATE)])
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


@pytest.fixture
def items(videos: Path) -> list[Item]:
    """Whether the true seconds were seen: the answer is the second option where a frame of them is shown."""

    def one(name: str, video: str, query: str, **more: Any) -> Item:
        return Item(name, videos / video, query, f"Was the {query} shown?", ("no", "yes"), 1, **more)

    return [
        one("a1", "a.mp4", "first", scenes=(((4.0, 6.0),),)),
        one("a2", "a.mp4", "second", scenes=(((1.0, 2.0),), ((18.0, 19.0),))),
        one("b1", "b.mp4", "third", points=(15.0,), groups={"kind": "point"}),
    ]


class SeesNumbers:
    """Answers by what the pictures show: "yes" where one of them lies in the truth. Counts how often it is asked."""

    def __init__(self) -> None:
        self.settings = {"answerer": "numbers"}
        self.asked = 0

    def __call__(self, item: Item, frames: Sequence[Frame], clips: Sequence[Clip], duration: float) -> Answer:
        self.asked += 1
        times = [read_number(frame.image) / RATE for frame in frames]
        assert times == pytest.approx([frame.timestamp for frame in frames], abs=0.001)
        truth = [*item.spans, *((point - 1, point + 1) for point in item.points)]
        shown = any(start <= time < end for time in times for start, end in truth)
        return Answer(int(shown), "", [1.0 - shown, float(shown)], Cost(model_calls=1, tokens_in=len(frames)))


def kframes_selector(asked: list[str] | None = None, candidates: int = 8) -> ClipSelector:
    def selector(frames: Sequence[Frame], query: str) -> list[Clip]:
        if asked is not None:
            asked.append(query)
        return {"first": [Clip(4.0, 6.0)], "second": [Clip(1.0, 2.0)], "third": [Clip(14.5, 15.5)]}[query]

    return ClipSelector("kframes", KFrames(selector, candidates=candidates, candidate_size=64), {"model": "by hand"})


def oracle() -> TruthSelector:
    return TruthSelector("oracle", true_clips, 8, 64)


def baseline(name: str, scorer: Any = None, faithful: bool = False, label: str | None = None) -> ScoreSelector:
    settings = None if scorer is None else scorer.settings
    return ScoreSelector(name if label is None else label, BASELINES[name], name, faithful, 0, 8, 64, settings)


def run(plan: Plan, items: Sequence[Item], folder: Path) -> Outcome:
    store = Store(folder)
    try:
        return measure(items, lambda: plan, store, progress=False)
    finally:
        store.close()


# ------------------------------------------------------------------------------------------------------------ the flow


def test_what_is_measured_is_what_a_user_gets(tmp_path: Path) -> None:
    """nano on the sample: the frames of every k are those of KFrames.select."""
    plan = load_plan(Setup(["kframes"], [4, 16], model="nano", device="cpu"))
    item = Item("q", SAMPLE, "find the pink circle", scenes=(((61.42, 68.94),),))
    [row] = run(plan, [item], tmp_path).rows
    kframes = KFrames.from_pretrained("nano", device="cpu")
    for k in (4, 16):
        selection = kframes.select(SAMPLE, item.query, k)
        assert row["frames"]["free"][str(k)] == selection.timestamps
        assert [clip["start"] for clip in row["clips"]["free"]] == [clip.start for clip in selection.clips]
    cost = Cost(**row["cost"])
    assert (cost.candidates, cost.model_calls) == (64, 2)  # it writes, and it scores
    assert cost.frames_decoded >= 64
    assert cost.tokens_in > 0
    assert set(cost.seconds) == {"candidates", "select", "snapping"}


def test_candidates_only_takes_no_other_frame_and_clips_end_there(tmp_path: Path) -> None:
    plan = load_plan(
        Setup(
            ["kframes", "uniform", "scenes", "oracle", "bolt", "top-k"],
            [4, 8],
            model="nano",
            scorer="nano",
            device="cpu",
        )
    )
    item = Item("q", SAMPLE, "find the pink circle", scenes=(((61.42, 68.94),),))
    rows = run(plan, [item], tmp_path).rows
    from kframes_plugin.video import OpenVideo

    with OpenVideo(SAMPLE) as video:
        candidates = {frame.timestamp for frame in video.candidates(64, size=64)}
        every = set(video.timestamps.tolist())
    for row in rows:
        for k in ("4", "8"):
            assert len(set(row["frames"]["candidates"][k])) == len(set(row["frames"]["free"][k])) == int(k)
            assert set(row["frames"]["candidates"][k]) <= candidates
            assert set(row["frames"]["free"][k]) <= every
        assert not set(row["frames"]["free"]["8"]) <= candidates
    by_name = {row["selector"]: row for row in rows}
    assert by_name["oracle"]["clips"]["free"][0]["start"] == 61.42
    assert by_name["oracle"]["clips"]["candidates"][0]["start"] != 61.42
    # top-k chose neighbours in the one true scene: freed, all its frames lie in it
    assert all(61.4 <= time < 69 for time in by_name["top-k"]["frames"]["free"]["4"])


def test_chosen_candidates_become_clips() -> None:
    assert [(c.start, c.end) for c in join_chosen([2, 1, 4, 1], [1.0, 3.0, 5.0, 7.0, 9.0], 10.0)] == [
        (2, 6),
        (8, 10),
    ]
    assert join_chosen([], [1.0], 2.0) == []


class ByHand(NamedTuple):
    """Three selectors on three items, one missing and one broken video."""

    outcome: Outcome
    report: dict[str, Any]
    answerer: SeesNumbers


@pytest.fixture
def by_hand(tmp_path: Path, items: list[Item], videos: Path) -> ByHand:
    gone, broken = Item("c1", videos / "gone.mp4", "x"), Item("d1", videos / "broken.mp4", "first")
    data = Data("own", (*items, gone, broken), ("row 9: nothing",))
    answerer = SeesNumbers()
    plan = Plan([kframes_selector(), baseline("uniform_midpoint", label="uniform"), oracle()], [2], answerer=answerer)
    outcome = run(plan, data.present, tmp_path)
    report = build_report(outcome, data, plan, against=["uniform"], **ABOUT)
    return ByHand(outcome, report, answerer)


def test_frames_and_answers_by_hand(by_hand: ByHand) -> None:
    outcome, _, answerer = by_hand
    frames = {(row["item"].id, row["selector"]): row["frames"]["free"]["2"] for row in outcome.rows}
    assert frames["a1", "uniform"] == [5.0, 15.0]  # the middles of the two halves
    assert frames["b1", "uniform"] == [7.5, 22.5]
    right = {
        (row["item"].id, row["selector"]): int(row["answers"]["2"]["choice"] == row["item"].answer)
        for row in outcome.rows
    }
    # a1: 5.0 lies in 4-6 for both; a2: kframes sees the first scene, uniform none; b1: 15 +- 1 s
    assert [right[name, "kframes"] for name in ("a1", "a2", "b1")] == [1, 1, 1]
    assert [right[name, "uniform"] for name in ("a1", "a2", "b1")] == [1, 0, 0]
    assert [right[name, "oracle"] for name in ("a1", "a2", "b1")] == [1, 1, 1]
    assert answerer.asked == len({(i, tuple(f)) for (i, _), f in frames.items()})  # the same frames are asked once


def test_results_by_hand(by_hand: ByHand) -> None:
    report = by_hand.report
    table = {(row["selector"], row["group"], row["k"]): row for row in report["table"] if row["pool"] == "free"}
    assert table["uniform", "all", 2]["right"][0] == pytest.approx(1 / 3)
    assert table["uniform", "all", 2]["right"][3] == 3
    assert table["uniform", "1 span", 2]["right"][0] == 0.5  # a1 and the point of b1
    assert table["uniform", "2 spans", 2]["right"][0] == 0.0
    assert table["uniform", "< 3 min", 2]["right"][3] == 3
    assert table["kframes", "kind: point", 2]["right"][:1] == [1.0]
    assert table["kframes", "2 spans", 2]["shr"][0] == 0.5
    assert table["oracle", "2 spans", 2]["shr"][0] == 1.0
    assert table["kframes", "all", None]["iou"][0] == pytest.approx((1.0 + 0.5) / 2)  # points have no clips to fit
    assert table["kframes", "kind: point", 2]["f1"][0] == 1.0
    [row] = [
        r
        for r in report["differences"]
        if (r["one"], r["group"], r["measure"], r["pool"]) == ("kframes", "all", "right", "free")
    ]
    assert row["difference"][0] == pytest.approx(2 / 3)
    assert (row["only_one"], row["only_other"], row["p"]) == (2, 0, 0.5)  # two coins, both heads or both tails


def test_what_could_not_be_measured_stands_first(by_hand: ByHand, videos: Path) -> None:
    report = by_hand.report
    assert report["data"]["missing"] == [str(videos / "gone.mp4")]
    assert list(report["data"]["unreadable"]) == [str(videos / "broken.mp4")]
    assert report["data"]["odd"] == ["row 9: nothing"]
    assert (report["data"]["items"], report["data"]["measured"], report["data"]["answered"]) == (5, 3, 3)
    assert {len(item["timestamps"]) for item in report["items"]} == {2}
    assert {"commit", "versions", "device", "seed", "command", "cpu_minutes"} <= set(report)
    text = write_page(report, standard_tables(report))
    for line in (
        "MISSING: 1 videos are not there: ",
        "UNREADABLE: 1 of 3 videos cannot be read: ",
        "ODD: 1 rows could not be read as they stand: row 9: nothing",
        "| uniform | 2 | .333",
        "### 2 spans (1 items): candidates only",
        "### 2 spans (1 items): any frame, ends on cuts",
        "2 / 0, p = 0.5 |",
        "| every selector |  |  |  | 1.000 | 1.000 | 1.000 |",
    ):
        assert line in text
    assert text.index("UNREADABLE") < text.index("###")
    json.dumps(report, allow_nan=False)


def test_everything_is_done_once(tmp_path: Path, items: list[Item]) -> None:
    asked: list[str] = []
    answerer = SeesNumbers()
    plan = Plan([kframes_selector(asked), baseline("uniform_midpoint")], [2, 4], answerer=answerer)
    first = run(plan, items, tmp_path)
    assert asked == ["first", "second", "third"]  # one call a query, for both k and both pools
    answers = answerer.asked
    again = run(plan, items, tmp_path)
    assert (len(asked), answerer.asked, again.made) == (3, answers, 0)
    assert again.kept == first.made
    assert again.rows == first.rows
    more = run(replace(plan, ks=[2, 4, 8]), items, tmp_path)  # another budget: what is known stays
    for row, before in zip(more.rows, first.rows, strict=True):
        assert set(row["frames"]["free"]) == {"2", "4", "8"}
        assert all(row["frames"]["free"][k] == before["frames"]["free"][k] for k in ("2", "4"))
        assert row["cost"] == before["cost"]
        assert {k: row["answers"][k] for k in ("2", "4")} == before["answers"]
    changed = replace(plan, selectors=[kframes_selector(candidates=9)])
    assert run(changed, items, tmp_path).made > 0  # another setting finds nothing old


def test_a_faithful_original_may_fail(tmp_path: Path, videos: Path) -> None:
    rows = [{"id": "q", "times": [1, 2, 3], "scores": [0.5, 0.5, 0.5]}]
    scores = GivenScores(write_lines(tmp_path / "s.jsonl", rows))
    item = Item("q", videos / "a.mp4", "x", "Which?", ("a", "b"), 1, scenes=(((1.0, 2.5),),))
    selectors = [
        baseline("aks", scores, faithful=True, label="aks@faithful"),
        baseline("stratified", scores, faithful=True, label="stratified@faithful"),
        baseline("aks", scores),
    ]
    plan = Plan(selectors, [2, 5], scores, SeesNumbers())
    outcome = run(plan, [item], tmp_path / "rows")
    rows_of = {row["selector"]: row for row in outcome.rows}
    assert rows_of["aks@faithful"]["frames"]["candidates"]["2"] == []  # constant scores
    assert rows_of["stratified@faithful"]["frames"]["free"]["5"] == []  # fewer candidates than k
    assert [len(rows_of["aks"]["frames"]["candidates"][k]) for k in ("2", "5")] == [2, 3]
    report = build_report(outcome, Data("own", (item,)), plan, against=["aks"], **ABOUT)
    assert any("the original fails here" in note for note in report["notes"]["stratified@faithful"])
    assert "all 3 candidates are taken for k = 5" in report["notes"]["aks"]
    assert [row["answers"]["2"]["choice"] for row in outcome.rows if not row["frames"]["free"]["2"]] == [None]
    table = {(row["selector"], row["pool"], row["k"]): row for row in report["table"] if row["group"] == "all"}
    assert table["aks@faithful", "free", 2]["right"][0] == 0
    assert "| aks@faithful | candidates only | 2 | 1 | 0.000 | 1.000 | 1.000 |" in write_page(
        report, standard_tables(report)
    )


# ------------------------------------------------------------------------------------------- failures and empty answers


def failing(name: str, fails: Callable[[str], bool], clips: list[Clip]) -> ClipSelector:
    def selector(frames: Sequence[Frame], query: str) -> list[Clip]:
        if fails(query):
            raise RuntimeError(f"cannot read {query}")
        return clips

    return ClipSelector(name, KFrames(selector, candidates=8, candidate_size=64), {"model": name})


def test_what_raises_or_finds_nothing_counts_as_zero_and_is_told_first(tmp_path: Path, items: list[Item]) -> None:
    items = items[:2]  # with spans
    raises = failing("raises", lambda query: query == "second", [Clip(4.0, 6.0)])
    silent = failing("silent", lambda query: False, [])
    plan = Plan([raises, silent, oracle()], [2])
    outcome = run(plan, items, tmp_path)
    report = build_report(outcome, Data("own", tuple(items)), plan, against=["oracle"], **ABOUT)
    assert report["failures"] == {"raises": {"raised": 1, "of": 2, "messages": {"RuntimeError: cannot read second": 1}}}
    assert report["no_clip"] == {"silent": {"none": 2, "of": 2}}
    table = {
        (row["selector"], row["k"]): row for row in report["table"] if (row["pool"], row["group"]) == ("free", "all")
    }
    assert table["raises", None]["iou"][0] == pytest.approx(0.5)  # 1 and 0, not 1
    assert table["raises", None]["iou"][3] == 2
    assert table["raises", 2]["kfr"][0] == pytest.approx(0.5)
    assert table["silent", None]["iou"][:1] == table["silent", None]["R@0.5"][:1] == [0.0]
    lines = write_page(report, standard_tables(report)).splitlines()
    assert lines[1] == "RAISED: raises in 1 of 2 items, which count as 0: RuntimeError: cannot read second (1 x)"
    assert lines[2] == "silent: no clip in 2 of 2 items, which count as 0"
    mended = replace(plan, selectors=[failing("raises", lambda query: False, [Clip(4.0, 6.0)]), silent, oracle()])
    again = run(mended, items, tmp_path)  # what raised is tried again, the rest is kept
    assert again.made == 1
    assert not any("error" in row for row in again.rows)


def test_what_is_no_list_of_clips_is_a_failure(tmp_path: Path, items: list[Item]) -> None:
    wrong = failing("wrong", lambda query: False, [(4.0, 6.0)])  # type: ignore[list-item]
    [row] = run(Plan([wrong], [2]), items[:1], tmp_path).rows
    assert row["error"] == "TypeError: a selector must return a list of Clip; got list"


def test_nothing_to_find_is_an_answer(tmp_path: Path, videos: Path) -> None:
    """Of an absent query only the clips count: none is right."""
    item = Item("q", videos / "a.mp4", "first", absent=True)
    plan = Plan([kframes_selector(), failing("silent", lambda query: False, [])], [2])
    report = build_report(run(plan, [item], tmp_path), Data("own", (item,)), plan, against=[], **ABOUT)
    table = {row["selector"]: row for row in report["table"] if row["pool"] == "free"}
    assert {row["group"] for row in report["table"]} == {"absent"}
    assert (table["kframes"]["iou"][0], table["kframes"]["empty"][0]) == (0.0, 0.0)
    assert (table["silent"]["iou"][0], table["silent"]["empty"][0]) == (1.0, 1.0)
    assert report["no_clip"] == {}  # there was nothing to find


# --------------------------------------------------------------------------------------- killed, resumed, shared out


def test_a_killed_run_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"video": str(SAMPLE), "query": row["query"], "spans": row["clips"]} for row in QUERIES[:7]]
    data = write_lines(tmp_path / "mine.jsonl", lines)
    names = "uniform,kframes,scenes,aks"
    command = [sys.executable, "-c", MAIN, "eval", "--data", str(data), "--selectors", names, "--k", "4,8"]
    command += ["--model", "nano", "--scorer", "nano", "--device", "cpu", "--out"]
    kept_rows = tmp_path / "killed.rows" / "rows.jsonl"
    with (tmp_path / "log").open("wb") as log:
        victim = subprocess.Popen([*command, str(tmp_path / "killed.json")], stdout=log, stderr=log)
        for _ in range(12000):
            if kept_rows.exists() and kept_rows.read_bytes().count(b"\n") >= 5:
                break
            assert victim.poll() is None, (tmp_path / "log").read_text(errors="replace")[-3000:]
            time.sleep(0.01)
        os.kill(victim.pid, signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.json").exists()
    with kept_rows.open("ab") as stream:
        stream.write(b'{"key": "cut o')  # as a machine that stops leaves it
    kept = kept_rows.read_bytes().count(b"\n")
    assert 5 <= kept < 28
    done = subprocess.run([*command, str(tmp_path / "killed.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    resumed = json.loads((tmp_path / "killed.json").read_text(encoding="utf-8"))
    assert (resumed["kept"], resumed["made"]) == (kept, 28 - kept)  # 7 queries x 4 selectors

    app([*command[command.index("eval") + 1 :], str(tmp_path / "whole.json"), "--json"])
    expected = json.loads(capsys.readouterr().out)
    assert expected["made"] == 28
    for part in ("table", "differences", "items", "conformance", "notes", "data", "commit"):
        assert resumed[part] == expected[part], part
    for name in names.split(","):
        same = ("queries", "frames_decoded", "candidates", "model_calls", "tokens_in", "tokens_out")
        assert [resumed["costs"][name][one] for one in same] == [expected["costs"][name][one] for one in same]
    assert "| kframes | 4 |" in done.stdout


def rows_without_time(outcome: Outcome) -> list[dict[str, Any]]:
    return [{**row, "cost": {**row["cost"], "seconds": None, "peak_memory_mb": None}} for row in outcome.rows]


def test_processes_and_shards_measure_the_same(tmp_path: Path, items: list[Item]) -> None:
    setup = Setup(["scenes", "uniform", "oracle"], [2, 4], candidates=8)
    whole = run(load_plan(setup), items, tmp_path / "whole")
    load = partial(load_plan, setup)
    store = Store(tmp_path / "two")
    try:
        two = measure(items, load, store, workers=2, progress=False)
    finally:
        store.close()
    assert rows_without_time(two) == rows_without_time(whole)

    for shard in ("1/2", "2/2"):
        part = run(load_plan(setup), keep_shard(items, shard), tmp_path / shard[0])
        assert {row["item"].video.name for row in part.rows} == {"a.mp4" if shard == "1/2" else "b.mp4"}
    merged = Store(tmp_path / "merged", [tmp_path / "1", tmp_path / "2"])
    try:
        both = measure(items, load, merged, progress=False)
    finally:
        merged.close()
    assert (both.made, both.kept) == (0, whole.made)
    assert rows_without_time(both) == rows_without_time(whole)
    for wrong in ("2", "0/2", "3/2", "a/b"):
        with pytest.raises(ValueError, match="a shard is i/n with 1 <= i <= n"):
            keep_shard(items, wrong)


def test_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([{"key": "a", "x": (1, 2)}, {"key": "a", "x": 3}])
    store.arrays.add("b", {"scores": np.array([1.5])})
    store.close()
    file = tmp_path / "rows.jsonl"
    file.write_bytes(file.read_bytes() + b'{"key": "c", "x')
    again = Store(tmp_path)
    assert (again.get("a"), again.get("c"), len(again)) == ({"key": "a", "x": 3}, None, 1)
    kept = again.arrays.get("b")
    assert kept is not None
    assert kept["scores"].tolist() == [1.5]
    assert again.arrays.get("c") is None
    again.close()
    assert file.read_bytes().endswith(b"\n")
    assert make_key(1, {"a": 1, "b": 2}) == make_key(1, {"b": 2, "a": 1}) != make_key(1, {"a": 1, "b": 3})
    with pytest.raises(ValueError, match=r"holds no rows.jsonl; name the .rows folder"):
        Store(tmp_path / "new", [tmp_path / "none"])
