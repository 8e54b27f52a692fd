"""``kframes eval`` on real small videos: the true flow, everything kept on disk, a run that is killed and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")

from drawn_film import QUERIES, SAMPLE
from kframes_training.evaluation.baselines import BASELINES
from kframes_training.evaluation.cli import app
from kframes_training.evaluation.data import Data, Item, read
from kframes_training.evaluation.run.answerers import (
    RemoteAnswerer,
    Said,
    SynthScenesAnswerer,
    TransformersAnswerer,
    load_answerer,
    prompt,
    read_choice,
)  # fmt: skip
from kframes_training.evaluation.run.command import Request, evaluate
from kframes_training.evaluation.run.look import Look
from kframes_training.evaluation.run.loop import Loop, Outcome, Plan
from kframes_training.evaluation.run.report import report_of
from kframes_training.evaluation.run.scorers import GivenScores, SimilarityScorer
from kframes_training.evaluation.run.selectors import BaselineContestant, KFramesContestant, parse
from kframes_training.evaluation.run.store import Store, key_of
from kframes_training.evaluation.run.tables import markdown
from test_remote import free_port, wait_for
from typer.testing import CliRunner
from video_maker import make_video, read_number

from kframes_plugin import Clip, KFrames
from kframes_plugin.types import Cost, Frame
from kframes_plugin.video import OpenVideo

ROOT = Path(__file__).resolve().parents[1]
RATE = 4  # frames a second of the numbered videos
MAIN = "from kframes_plugin.cli import main; main()"


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
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

    def __call__(self, item: Item, frames: Sequence[Frame], clips: Sequence[Clip], duration: float) -> Said:
        self.asked += 1
        times = [read_number(frame.image) / RATE for frame in frames]
        assert times == pytest.approx([frame.timestamp for frame in frames], abs=0.001)
        truth = [*item.spans, *((point - 1, point + 1) for point in item.points)]
        shown = any(start <= time < end for time in times for start, end in truth)
        return Said(int(shown), "", [1.0 - shown, float(shown)], Cost(model_calls=1, tokens_in=len(frames)))


def kframes_contestant(asked: list[str] | None = None) -> KFramesContestant:
    def selector(frames: Sequence[Frame], query: str) -> list[Clip]:
        if asked is not None:
            asked.append(query)
        return {"first": [Clip(4.0, 6.0)], "second": [Clip(1.0, 2.0)], "third": [Clip(14.5, 15.5)]}[query]

    return KFramesContestant("kframes", KFrames(selector, candidates=8), "by hand")


def baseline(name: str, scorer: Any = None, faithful: bool = False, label: str | None = None) -> BaselineContestant:
    return BaselineContestant(
        label or name, BASELINES[name], faithful, scorer is not None, 0, scorer and scorer.settings
    )


def run(plan: Plan, folder: Path) -> Outcome:
    store = Store(folder)
    try:
        return Loop(plan, store).run(progress=False)
    finally:
        store.close()


# ------------------------------------------------------------------------------------------------------------ the flow


def test_what_is_measured_is_what_a_user_gets(tmp_path: Path) -> None:
    """nano on the sample: the frames of every k are those of KFrames.select."""
    kframes = KFrames.from_pretrained("nano")
    item = Item("q", SAMPLE, "find the pink circle", scenes=(((61.42, 68.94),),))
    outcome = run(Plan([item], [KFramesContestant("kframes", kframes, "nano")], [4, 16]), tmp_path)
    for row in outcome.rows:
        selection = kframes.select(SAMPLE, item.query, row["k"])
        assert row["frames"] == selection.timestamps
        assert [clip["start"] for clip in row["clips"]] == [clip.start for clip in selection.clips]
    [cost] = outcome.costs["kframes"]
    assert (cost.candidates, cost.model_calls) == (64, 2)  # it writes, and it scores
    assert cost.frames_decoded >= 64
    assert cost.tokens_in > 0
    assert set(cost.seconds) == {"candidates", "select"}


def test_results_by_hand(tmp_path: Path, items: list[Item], videos: Path) -> None:
    gone, broken = Item("c1", videos / "gone.mp4", "x"), Item("d1", videos / "broken.mp4", "first")
    data = Data("own", (*items, gone, broken), ("row 9: nothing",))
    contestants = [kframes_contestant(), baseline("uniform_midpoint", label="uniform"), baseline("oracle")]
    answerer = SeesNumbers()
    outcome = run(Plan(data.present, contestants, [2], answerer=answerer), tmp_path)
    report = report_of(outcome, data, {}, ["kframes", "uniform", "oracle"], [2], "uniform")

    frames = {(row["item"].id, row["selector"]): row["frames"] for row in outcome.rows}
    assert frames["a1", "uniform"] == [5.0, 15.0]  # the middles of the two halves
    assert frames["b1", "uniform"] == [7.5, 22.5]
    right = {(row["item"].id, row["selector"]): row["right"] for row in outcome.rows}
    # a1: 5.0 lies in 4-6 for both; a2: kframes sees the first scene, uniform none; b1: 15 +- 1 s
    assert [right[name, "kframes"] for name in ("a1", "a2", "b1")] == [1, 1, 1]
    assert [right[name, "uniform"] for name in ("a1", "a2", "b1")] == [1, 0, 0]
    assert [right[name, "oracle"] for name in ("a1", "a2", "b1")] == [1, 1, 1]
    assert answerer.asked == len({(i, tuple(f)) for (i, _), f in frames.items()})  # the same frames are asked once

    table = {(row["selector"], row["group"]): row for row in report["table"]}
    assert table["uniform", "all"]["right"][0] == pytest.approx(1 / 3)
    assert table["uniform", "all"]["right"][3] == 3
    assert table["uniform", "1 span"]["right"][0] == 0.5  # a1 and the point of b1
    assert table["uniform", "2 spans"]["right"][0] == 0.0
    assert table["uniform", "< 3 min"]["right"][3] == 3
    assert table["kframes", "kind: point"]["right"][:1] == [1.0]
    assert table["kframes", "2 spans"]["shr"][0] == 0.5
    assert table["oracle", "2 spans"]["shr"][0] == 1.0
    assert table["kframes", "all"]["iou"][0] == pytest.approx((1.0 + 0.5) / 2)  # points have no clips to fit
    assert table["kframes", "kind: point"]["f1"][0] == 1.0
    [row] = [r for r in report["differences"] if (r["one"], r["group"], r["measure"]) == ("kframes", "all", "right")]
    assert row["difference"][0] == pytest.approx(2 / 3)
    assert (row["only_one"], row["only_other"], row["p"]) == (2, 0, 0.5)  # two coins, both heads or both tails

    assert report["data"]["missing"] == {"count": 1, "videos": [str(videos / "gone.mp4")]}
    assert list(report["data"]["failed"]["videos"]) == [str(videos / "broken.mp4")]
    assert report["data"]["odd"]["rows"] == ["row 9: nothing"]
    assert (report["data"]["items"], report["data"]["items_with_video"], report["data"]["answered"]) == (5, 4, 3)
    assert {len(item["timestamps"]) for item in report["items"]} == {2}
    text = markdown(report)
    for line in (
        "MISSING: 1 videos are not there: ",
        "FAILED: 1 videos cannot be read: ",
        "ODD: 1 rows could not be read as they stand: row 9: nothing",
        "| uniform | 2 | .333",
        "### 2 spans (1 items)",
        "2 / 0, p = 0.5 |",
        "Every selector gave exactly k frames",
    ):
        assert line in text
    json.dumps(report, allow_nan=False)


def test_everything_is_done_once(tmp_path: Path, items: list[Item]) -> None:
    asked: list[str] = []
    answerer = SeesNumbers()
    plan = Plan(items, [kframes_contestant(asked), baseline("uniform_midpoint")], [2, 4], answerer=answerer)
    first = run(plan, tmp_path)
    assert asked == ["first", "second", "third"]  # one call a query, for both k
    answers = answerer.asked
    again = run(plan, tmp_path)
    assert (len(asked), answerer.asked, again.made) == (3, answers, 0)
    assert again.reused == first.made + first.reused
    assert again.rows == first.rows
    assert again.costs == first.costs
    more = run(replace(plan, ks=[2, 4, 8]), tmp_path)  # another budget: clips again, what is known stays
    assert {row["k"] for row in more.rows} == {2, 4, 8}
    assert [row for row in more.rows if row["k"] < 8] == first.rows
    assert more.costs == first.costs
    changed = KFramesContestant("kframes", KFrames(kframes_contestant().kframes.selector, candidates=9), "by hand")
    assert run(replace(plan, contestants=[changed]), tmp_path).made > 0  # another setting finds nothing old


def test_a_faithful_original_may_fail(tmp_path: Path, videos: Path) -> None:
    scores = GivenScores(written(tmp_path / "s.jsonl", [{"id": "q", "times": [1, 2, 3], "scores": [0.5, 0.5, 0.5]}]))
    item = Item("q", videos / "a.mp4", "x", "Which?", ("a", "b"), 1, scenes=(((1.0, 2.5),),))
    contestants = [
        baseline("aks", scores, faithful=True, label="aks@faithful"),
        baseline("stratified", scores, faithful=True, label="stratified@faithful"),
        baseline("aks", scores),
    ]
    outcome = run(Plan([item], contestants, [2, 5], scores, SeesNumbers()), tmp_path / "found")
    frames = {(row["selector"], row["k"]): row["frames"] for row in outcome.rows}
    assert frames["aks@faithful", 2] == []  # constant scores
    assert frames["stratified@faithful", 5] == []  # fewer candidates than k
    assert (len(frames["aks", 2]), len(frames["aks", 5])) == (2, 3)
    assert any("the original fails here" in note for note in outcome.notes["stratified@faithful"])
    assert "all 3 candidates are taken for k = 5" in outcome.notes["aks"]
    assert {row["right"] for row in outcome.rows if not row["frames"]} == {0}
    report = report_of(outcome, Data("own", (item,)), {}, [one.name for one in contestants], [2, 5], "aks")
    assert "| aks@faithful | 2 | 1 | 0.000 | 1.000 | 1.000 |" in markdown(report)


# -------------------------------------------------------------------------------------------------- killed, resumed


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    lines = [{"video": str(SAMPLE), "query": row["query"], "spans": row["clips"]} for row in QUERIES[:7]]
    data = written(tmp_path / "mine.jsonl", lines)
    names = "kframes,scenes,uniform,aks"
    command = [sys.executable, "-c", MAIN, "eval", "--data", str(data), "--selectors", names, "--k", "4,8"]
    command += ["--scorer", "nano", "--out"]
    found = tmp_path / "killed.found" / "rows.jsonl"
    with (tmp_path / "log").open("wb") as log:
        victim = subprocess.Popen([*command, str(tmp_path / "killed.json")], stdout=log, stderr=log)
        for _ in range(2400):
            if found.exists() and found.read_bytes().count(b"\n") >= 5:
                break
            assert victim.poll() is None, (tmp_path / "log").read_text(errors="replace")[-3000:]
            time.sleep(0.05)
        os.kill(victim.pid, signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.json").exists()
    kept = found.read_bytes().count(b"\n")
    assert 5 <= kept < 28
    with found.open("ab") as stream:
        stream.write(b'{"key": "cut o')  # as a machine that stops leaves it
    done = subprocess.run([*command, str(tmp_path / "killed.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    resumed = json.loads((tmp_path / "killed.json").read_text(encoding="utf-8"))
    assert (resumed["reused"], resumed["made"]) == (kept, 28 - kept)  # 7 queries x 4 selectors

    request = Request(data, tmp_path / "whole.found", names.split(","), [4, 8], scorer="nano")
    whole = evaluate(request, progress=False)
    assert whole["made"] == 28
    for part in ("table", "differences", "items", "conformance", "notes", "data"):
        assert resumed[part] == json.loads(json.dumps(whole[part])), part
    for name in names.split(","):
        same = ("queries", "frames_decoded", "candidates", "model_calls", "tokens_in", "tokens_out")
        assert [resumed["costs"][name][one] for one in same] == [whole["costs"][name][one] for one in same]
    assert "| kframes | 4 |" in done.stdout
    assert whole["commit"] == resumed["commit"]
    assert {"torch", "transformers", "python"} <= set(whole["versions"])


def test_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add("a", {"x": (1, 2)})
    store.add("a", {"x": 3})
    store.add_arrays("b", {"scores": np.array([1.5])})
    store.close()
    file = tmp_path / "rows.jsonl"
    file.write_bytes(file.read_bytes() + b'{"key": "c", "x')
    again = Store(tmp_path)
    assert (again.get("a"), again.get("c"), len(again)) == ({"key": "a", "x": 3}, None, 1)
    kept = again.arrays("b")
    assert kept is not None
    assert kept["scores"].tolist() == [1.5]
    assert again.arrays("c") is None
    again.close()
    assert file.read_bytes().endswith(b"\n")
    assert key_of(1, {"a": 1, "b": 2}) == key_of(1, {"b": 2, "a": 1}) != key_of(1, {"a": 1, "b": 3})


# ----------------------------------------------------------------------------------------------------------- scorers


def test_similarity_gives_features(tmp_path: Path, videos: Path) -> None:
    """A scorer with embeddings of pictures, by their brightness: MDP3 runs on its features."""
    from kframes_plugin.selectors.similarity import SimilaritySelector

    calls: list[int] = []

    def pictures(images: Sequence[Any]) -> Any:
        calls.append(len(images))
        return [[1.0, float(np.asarray(image).mean()) / 255] for image in images]

    scorer = SimilarityScorer(SimilaritySelector(pictures, lambda text: [0.0, 1.0], batch_size=8), "by hand", 16)
    with OpenVideo(videos / "a.mp4") as video:
        look = Look(video)
        scored = scorer(look, Item("q", videos / "a.mp4", "bright"))
        again = scorer(look, Item("q", videos / "a.mp4", "bright too"))
    assert calls == [8, 8]  # the pictures are embedded once
    assert scored.features is not None
    assert np.linalg.norm(scored.features, axis=1) == pytest.approx(np.ones(16))
    assert scored.scores == pytest.approx(scored.features @ np.array([0.0, 1.0]))
    assert (scored.cost.model_calls, again.cost.model_calls, scored.cost.candidates) == (3, 3, 16)
    item = Item("q", videos / "a.mp4", "bright", scenes=(((1.0, 2.0),),))
    names = ["mdp3", "wfs_sb", "watershed", "top_k"]
    plan = Plan([item], [baseline(name, scorer) for name in names], [4], scorer)
    first, again_ = run(plan, tmp_path), run(plan, tmp_path)
    assert [len(set(row["frames"])) for row in first.rows] == [4] * 4
    assert again_.rows == first.rows
    more = run(replace(plan, contestants=[*plan.contestants, baseline("bolt", scorer)]), tmp_path)
    assert calls == [8, 8, 8, 8]  # the arrays are kept: a new selector on the same scores asks no model
    assert more.costs["bolt"][0].model_calls == 3


def test_given_scores(tmp_path: Path, videos: Path) -> None:
    rows = [
        {"id": "a1", "times": [0.5, 5.0, 90.0], "scores": [0.1, 0.9, 1.0]},
        {"video": "b.mp4", "query": "third", "times": [1, 2], "scores": [1, 2]},
    ]
    scorer = GivenScores(written(tmp_path / "scores.jsonl", rows))
    with OpenVideo(videos / "a.mp4") as video:
        scored = scorer(Look(video), Item("a1", videos / "a.mp4", "x"))
        with pytest.raises(ValueError, match=r"has no scores for item zzz \(a.mp4: y\)"):
            scorer(Look(video), Item("zzz", videos / "a.mp4", "y"))
    assert scored.times.tolist() == [0.5, 5.0]  # 90 s is after the end of the video
    with OpenVideo(videos / "b.mp4") as video:
        assert scorer(Look(video), Item("b", videos / "b.mp4", "third")).scores.tolist() == [1, 2]
    for wrong, message in [
        ({"id": "a", "times": [2, 1], "scores": [1, 1]}, "times must rise"),
        ({"times": [1], "scores": [1]}, 'a row needs "id", or "video" and "query"'),
    ]:
        with pytest.raises(ValueError, match=message):
            GivenScores(written(tmp_path / "wrong.jsonl", [wrong]))


# ---------------------------------------------------------------------------------------------------------- answerers


def shown(count: int = 4) -> list[Frame]:
    from PIL import Image

    return [Frame(5.0 * i, 5.0, Image.new("RGB", (56, 42), (60 * i, 200, 99))) for i in range(count)]


ASKED = Item("q", Path("none.mp4"), "ring", "What colour is the ring?", ("red", "green", "blue"), 1)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2.5-VL that learned to answer "B" to ASKED."""
    import tiny_models

    folder = tiny_models.qwen2_5_vl(tmp_path_factory.mktemp("answerer") / "model")
    content: list[dict[str, Any]] = []
    for frame in shown():
        content += [{"type": "text", "text": f"{frame.timestamp:.1f} s:"}, {"type": "image", "image": frame.image}]
    content.append({"type": "text", "text": "\n" + prompt(ASKED, shown())})
    assert tiny_models.teach(folder, [{"role": "user", "content": content}], "B") < 0.05
    return folder


def test_a_transformers_model_answers(taught: Path) -> None:
    answerer = TransformersAnswerer(str(taught))
    said = answerer(ASKED, shown(), (), 20.0)
    assert said.choice == 1
    assert sum(said.chances) == pytest.approx(1.0, abs=1e-4)
    assert said.chances[1] > 0.9
    assert said.cost.model_calls == 1
    assert said.cost.tokens_in > 40
    own = TransformersAnswerer(str(taught), style="auto")  # interleaved: this chat template has no place for videos
    assert own.settings["style"] == "interleaved"
    with pytest.raises(ValueError, match="style must be"):
        TransformersAnswerer(str(taught), style="none")


def test_a_server_answers(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`transformers serve` with the same model; it was taught the prompt of the other answerer, all but alike."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(taught)]
    with (taught.parent / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--device", "cpu", "--port", str(port)], stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, taught.parent / "log")
        said = RemoteAnswerer(f"http://127.0.0.1:{port}/v1#{taught}")(ASKED, shown(), (), 20.0)
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert (said.text, said.choice) == ("B", 1)
    assert said.cost.model_calls == 1
    assert said.cost.tokens_in > 40


def test_the_answerer_of_drawn_scenes(tmp_path: Path) -> None:
    from kframes_training.evaluation.answering import TinyAnswerer
    from kframes_training.nano.answerer import answer_from_frames
    from kframes_training.nano.model import build_nano, build_tokenizer
    from kframes_training.nano.recipe import texts
    from kframes_training.sources.synthscenes import Question

    tokenizer = build_tokenizer(texts())
    build_nano(tokenizer, seed=1).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    item = Item("q", SAMPLE, "ring", "what colour is the ring?", ("red", "green", "blue", "pink"), 1)
    with OpenVideo(SAMPLE) as video:
        frames = video.frames_at([10.0, 50.0, 70.0])
    answerer = load_answerer(f"synthscenes:{tmp_path}")
    assert isinstance(answerer, SynthScenesAnswerer)
    said = answerer(item, frames, (), 120.0)
    tiny = TinyAnswerer(tmp_path)
    alone = answer_from_frames(tiny.model, tiny.tokenizer, frames, Question(item.question, "", item.options, 1, ()))
    assert said.chances == pytest.approx(alone, abs=1e-4)
    assert said.choice == int(np.argmax(alone))
    with pytest.raises(ValueError, match="holds no answerer"):
        load_answerer(f"synthscenes:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match="takes images with their times"):
        load_answerer("http://host/v1#m", style="auto")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B", 1),
        ("(B)", 1),
        ("B. green", 1),
        ("The answer is C.", 2),
        ("Answer: a", 0),
        ("It is green", 1),
        ("A red or a blue one", 0),
        ("Bananas", None),
        ("D", None),
        ("", None),
    ],
)
def test_reading_an_option(text: str, choice: int | None) -> None:
    assert read_choice(text, ASKED.options) == choice


def test_the_prompt_has_the_subtitles_near_the_frames() -> None:
    item = replace(ASKED, subtitles=((0.5, 1.0, "hello"), (30.0, 31.0, "far away")))
    assert prompt(item, shown()) == (
        "Subtitles near these frames: hello\nWhat colour is the ring?\nA. red\nB. green\nC. blue\n"
        "Answer with the letter of the right option alone."
    )
    assert prompt(ASKED, shown()).startswith("What colour")


# -------------------------------------------------------------------------------------------------------- the command


def test_names_of_selectors() -> None:
    assert parse(["uniform", " top-k ", "aks@faithful", "mine=some/model", "kframes"]) == [
        ("uniform", "uniform_midpoint", None, False),
        ("top-k", "top_k", None, False),
        ("aks@faithful", "aks", None, True),
        ("mine", "kframes", "some/model", False),
        ("kframes", "kframes", None, False),
    ]
    for wrong in (["nothing"], ["kframes@faithful"], ["mine="]):
        with pytest.raises(ValueError, match=r"no selector '.*'; known are kframes, scenes, uniform"):
            parse(wrong)
    for wrong in ([], ["aks", "aks"]):
        with pytest.raises(ValueError, match="at least one name, each once"):
            parse(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ks": [0]}, "k must be whole numbers >= 1; got 0"),
        ({"selectors": ["uniform", "aks"]}, "aks read scores of frames: name a --scorer"),
        ({"selectors": ["mdp3"], "scorer": "nano"}, "mdp3 need features of the frames, which nano does not have"),
        ({"selectors": ["uniform"], "against": "aks"}, "--against must be one of the selectors uniform; got 'aks'"),
        ({"selectors": ["uniform", "oracle"]}, "oracle needs true spans or points, and no item of mine.jsonl has any"),
        ({"videos": Path("nowhere")}, r"none of the 1 videos of .* is there; .* name their folder with --videos"),
        ({"scorer": "none.jsonl", "selectors": ["aks"]}, "there is no file of scores none.jsonl"),
        ({"scorer": "uniform", "selectors": ["aks"]}, "has one way to answer"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path: Path, videos: Path, options: dict[str, Any], message: str) -> None:
    data = written(tmp_path / "mine.jsonl", [{"video": "a.mp4", "query": "q"}])
    request = Request(data, tmp_path / "found", **{"videos": videos, "selectors": ["uniform"], **options})
    with pytest.raises(ValueError, match=message):
        evaluate(request, progress=False)


def test_data_without_truth_or_questions(tmp_path: Path, videos: Path) -> None:
    """Cost and conformance are still there."""
    data = written(tmp_path / "mine.jsonl", [{"video": "a.mp4", "query": "q"}, {"video": "b.mp4", "query": "q"}])
    request = Request(data, tmp_path / "found", ["scenes", "uniform"], [3], videos=videos, limit=1)
    report = evaluate(request, progress=False)
    assert report["table"] == []
    assert [one["exactly_k"] for one in report["conformance"]] == [1.0, 1.0]
    assert "| scenes |" in markdown(report)
    assert len(read(data, videos).items) == 2
    assert report["data"]["items"] == 1


def test_the_command_line(tmp_path: Path, videos: Path) -> None:
    def kframes(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})

    data = written(tmp_path / "mine.jsonl", [{"video": str(videos / "a.mp4"), "query": "q", "spans": [[4, 6]]}])
    none = kframes()
    assert (none.exit_code, "name the questions with --data" in none.stderr) == (2, True)
    wrong = kframes("--data", str(data), "--out", str(tmp_path / "r.json"), "--k", "4,x")
    assert (wrong.exit_code, "--k must be whole numbers" in wrong.stderr) == (2, True)
    unknown = kframes("--data", str(data), "--out", str(tmp_path / "r.json"), "--selectors", "unifrom")
    assert (unknown.exit_code, "no selector 'unifrom'; known are" in unknown.stderr) == (2, True)
    command = ["--data", str(data), "--out", str(tmp_path / "r.json"), "--k", "4", "--selectors", "uniform,oracle"]
    fine = kframes(*command)
    assert fine.exit_code == 0, fine.stderr
    assert "| oracle | 4 | 1.000" in fine.stdout
    assert "2 made, 0 found before" in fine.stderr
    assert json.loads(kframes(*command, "--json").stdout)["selectors"] == ["uniform", "oracle"]
    assert "Score anybody's selections" in kframes("score", "--help").stdout


def test_drawn_videos_are_a_file_of_ones_own(tmp_path: Path) -> None:
    from kframes_training.evaluation.data.drawn import rows_of
    from kframes_training.evaluation.exam import exam_of
    from kframes_training.sources.synthscenes import SPLITS, sample_video

    seed = min(SPLITS["test"][:60], key=lambda one: sample_video(one).duration)
    rows = rows_of(seed, tmp_path, "test")
    data = read(written(tmp_path / "questions.jsonl", rows))
    exam = exam_of(seed, "test")
    assert (data.odd, data.missing) == ((), ())
    assert [item.query for item in data.items] == exam.texts
    assert [len(item.scenes) for item in data.items] == [len(true) for true in exam.truth]
    asked = data.items[len(exam.queries) :]
    assert [(item.options, item.answer) for item in asked] == [(q.options, q.answer) for q in exam.questions]
    assert all(item.groups["kind"].startswith("question: ") for item in asked)
    with OpenVideo(data.items[0].video) as video:
        assert video.duration == pytest.approx(exam.video.duration, abs=0.5)
