"""Training on videos of one's own: sources of rows, candidates on disk, three stages to a checkpoint that loads."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")

import tiny_models
import yaml
from colour_films import make_film
from kframes_training.sources.datasets import read
from kframes_training.sources.datasets.moments import read_spans
from kframes_training.stages.candidate_cache import CandidateCache
from kframes_training.stages.data import grpo_dataset, read_entries, read_labels, read_questions, sft_dataset
from kframes_training.stages.finetune import main, read_settings
from kframes_training.stages.mllm_answerer import own_device
from kframes_training.stages.questions import FilmedQuestion
from kframes_training.stages.rewards import oracle_answerer
from peakclips_films import build_labels, write_films
from test_training_recipes import TINY
from typer.testing import CliRunner

from kframes_plugin import KFrames
from kframes_plugin.cli import app


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.mp4: red, green, blue; b.mp4: green, red. With spans and questions in labels.jsonl."""
    folder = tmp_path_factory.mktemp("films")
    make_film(folder / "a.mp4", ("red", 6), ("green", 6), ("blue", 6))
    make_film(folder / "b.mp4", ("green", 5), ("red", 7))
    options = ["red", "green", "blue"]
    rows = [
        {"video": "a.mp4", "query": "the lawn", "spans": [[6, 12]]},
        {"video": "b.mp4", "query": "the fire", "spans": [[5, 12]]},
        {"video": "b.mp4", "query": "the sea", "spans": []},
        {"video": "a.mp4", "query": "last", "question": "Which is last?", "options": options, "answer": "C",
         "spans": [[12, 18]]},
        {"video": "gone.mp4", "query": "nothing", "spans": [[0, 1]]},
    ]  # fmt: skip
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def config_of(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**TINY, "data": list(entries), **more}


def own(films: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "own", "path": str(films / "labels.jsonl"), "videos": str(films), **more}


# ------------------------------------------------------------------------------------------------ sources of rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "data must be a list of sources"),
        ([], "data must be a list of sources"),
        ([{"kind": "vimeo"}], "kind must be one of synthscenes, peakclips, own, .*; got 'vimeo'"),
        ([{}], "kind must be one of"),
        ([{"kind": "peakclips"}], "peakclips needs a path"),
        ([{"kind": "synthscenes", "path": "x"}], "synthscenes needs no path"),
        ([{"kind": "own", "path": "x", "weight": 0}], "weight must be > 0; got 0"),
        (
            [{"kind": "own", "path": "x", "folder": "y"}],
            "unknown 'folder'; known are kind, path, split, videos, weight",
        ),
    ],
)
def test_entries_that_cannot_be(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_entries({"data": data})


def test_spans_and_questions_of_a_file(films: Path, caplog: pytest.LogCaptureFixture) -> None:
    [entry] = read_entries({"data": [own(films)]})
    with caplog.at_level(logging.WARNING, "kframes"):
        first, second = read_labels(entry, "1"), read_labels(entry, "2")
    assert "1 of 5 rows left out, whose videos are missing; the first is " in caplog.text
    assert [(row["task"], row["query"]) for row in first] == [
        ("ground", "the lawn"), ("ground", "the fire"), ("ground", "last"),
    ]  # fmt: skip
    assert [(row["task"], len(row["clips"])) for row in second] == [
        ("moment", 1),
        ("moment", 1),
        ("absent", 0),
        ("moment", 1),
    ]
    assert second[1]["clips"][0] | {"reason": ""} == {"start": 5.0, "end": 12.0, "priority": "P1", "reason": ""}
    [question] = read_questions(entry)
    assert (question.text, question.answer, question.evidence) == ("Which is last?", 2, ((12.0, 18.0),))
    shown = question.show([1.0, 14.0], (32, 24))
    assert [frame.image.size for frame in shown] == [(32, 24)] * 2
    assert np.asarray(shown[1].image)[..., 2].mean() > 150, "blue at 14 s"


def test_weights_repeat_and_thin_rows(films: Path) -> None:
    reading = read_settings(TINY)
    once = sft_dataset(config_of(own(films)), "2", reading)
    assert len(once) == 4
    assert len(sft_dataset(config_of(own(films, weight=2.5)), "2", reading)) == 10
    both = sft_dataset(config_of(own(films, weight=0.5), {"kind": "synthscenes"}), "2", reading)
    assert len(both) == 2 + 8
    assert {tuple(sorted(both[place])) for place in (0, 9)} == {("completion", "images", "prompt")}
    row = once[0]
    assert json.loads(row["completion"][0]["content"][0]["text"])[0]["start"] == 6.0
    assert len(row["images"]) == TINY["kframes"]["candidates"]


def test_questions_of_several_sources_are_numbered_through(films: Path) -> None:
    rows, asked = grpo_dataset(config_of({"kind": "synthscenes"}, own(films)), read_settings(TINY))
    assert len(rows) == len(asked)
    last = rows[len(rows) - 1]
    assert isinstance(asked[last["question"]], FilmedQuestion)
    assert (last["question"], last["answer"], last["duration"]) == (len(asked) - 1, 2, 18.0)
    (films / "spans.jsonl").write_text('{"video": "a.mp4", "query": "x", "spans": [[1, 2]]}\n')
    config = config_of({**own(films), "path": str(films / "spans.jsonl")})
    with pytest.raises(ValueError, match="no source has rows for stage 3, which needs options with an answer"):
        grpo_dataset(config, read_settings(TINY))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("activitynet.json", '{"a": {"duration": 18.0, "timestamps": [[6, 12], [0, 3.5]], '
                             '"sentences": [" one ", "two"]}}'),
        ("timelens.jsonl", '{"video_path": "a.mp4", "duration": 18.0, "events": '
                           '[{"query": "one", "span": [[6, 12]]}, {"query": "two", "span": [0, 3.5]}]}'),
        ("rows.jsonl", '{"vid": "a", "sentence": "one", "timestamps": [6, 12]}\n'
                       '{"vid": "a", "description": "two", "relevant_windows": [[0, 3.5]]}'),
    ],
)  # fmt: skip
def test_grounding_files(films: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    data = read(tmp_path / name, films, kind="moments")
    assert data.odd == ()
    assert [(item.query, item.spans) for item in data.items] == [("one", ((6.0, 12.0),)), ("two", ((0.0, 3.5),))]
    assert {item.video for item in data.items} == {films / "a.mp4"}
    assert len({item.id for item in data.items}) == 2


def test_spans_in_their_forms() -> None:
    assert read_spans([[1, 2], [3, 4.5]]) == [(1.0, 2.0), (3.0, 4.5)]
    assert read_spans([1, 2]) == [(1.0, 2.0)]
    assert read_spans([]) == []
    with pytest.raises(ValueError, match="unpack"):
        read_spans([1, 2, 3])


def test_an_oracle_of_questions_with_their_own_numbers_of_options() -> None:
    answer = oracle_answerer([[(0, 5)], [(5, 9)]], [1, 2], options=[2, 5])
    assert answer([1.0], 0) == pytest.approx([0.1, 0.9])
    assert answer([1.0], 1) == pytest.approx([0.2] * 5)


def test_the_answerer_sits_where_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device() == ("cuda:3" if torch.cuda.is_available() else "cpu")


# -------------------------------------------------------------------------------------------- candidates on the disk


def test_candidates_are_decoded_once(films: Path, tmp_path: Path) -> None:
    cache = CandidateCache(tmp_path, 6, (32, 24))
    frames = cache(films / "a.mp4")
    file = cache.path_of(films / "a.mp4")
    assert file.is_file()
    (tmp_path / "copy.mp4").write_bytes((films / "a.mp4").read_bytes())
    assert cache.path_of(tmp_path / "copy.mp4") == file, "named by the content"
    stamp = file.stat().st_mtime_ns
    again = CandidateCache(tmp_path, 6, (32, 24))(films / "a.mp4")
    assert file.stat().st_mtime_ns == stamp
    assert [(f.timestamp, f.duration) for f in again] == [(f.timestamp, f.duration) for f in frames]
    assert (len(again), again.duration, again[0].image.size) == (6, 18.0, (32, 24))
    assert np.array_equal(np.asarray(again[3].image), np.asarray(frames[3].image))
    file.write_bytes(file.read_bytes()[:100])  # a disk that was full
    torn = CandidateCache(tmp_path, 6, (32, 24))(films / "a.mp4")
    assert [f.timestamp for f in torn] == [f.timestamp for f in frames]
    assert CandidateCache(tmp_path, 5, (32, 24)).path_of(films / "a.mp4") != file
    assert CandidateCache(None, 6, (32, 24))(films / "a.mp4").duration == 18.0


def test_the_command_fills_the_folder(films: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    words = ["candidates", str(films), str(tmp_path / "broken.mp4"), "--out", str(tmp_path / "out")]
    words += ["--candidates", "6", "--size", "32x24"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1, done.output
    assert "broken.mp4: " in done.stderr
    assert "2 videos in " in done.stderr
    cache = CandidateCache(tmp_path / "out", 6, (32, 24))
    assert set((tmp_path / "out").iterdir()) == {cache.path_of(films / name) for name in ("a.mp4", "b.mp4")}
    assert CliRunner().invoke(app, [*words, "--size", "32"]).exit_code != 0


# ----------------------------------------------------------------------------------------- labels to a checkpoint


@pytest.mark.timeout(600)
def test_from_labels_to_a_checkpoint_that_selects(films: Path, tmp_path: Path) -> None:
    """PeakClips' labels and spans of one's own -> candidates -> SFT 1, SFT 2, GRPO on a tiny Qwen3-VL -> select."""
    (tmp_path / "films").mkdir()
    scenes = write_films(tmp_path / "films")
    labels, _ = build_labels(scenes, tmp_path / "labels")
    model = tiny_models.qwen3_vl(tmp_path / "model")
    peakclips = {"kind": "peakclips", "path": str(labels), "videos": str(scenes), "weight": 0.1}
    config = config_of(peakclips, own(films), cache=str(tmp_path / "frames"), model=str(model))
    config["frame"], config["kframes"] = [64, 64], {**TINY["kframes"], "frame_size": 64}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(config))
    words = ["candidates", str(scenes), str(films), "--out", config["cache"], "--candidates", "4", "--size", "64x64"]
    assert CliRunner().invoke(app, words).exit_code == 0
    decoded = {file: file.stat().st_mtime_ns for file in Path(config["cache"]).iterdir()}
    start = str(model)
    for stage in "123":
        out = tmp_path / stage
        main([str(tmp_path / "recipe.yaml"), "--stage", stage, "--model", start, "--out", str(out)])
        start = str(out / "final")
        assert "loss" in (out / "metrics.jsonl").read_text()
    assert {file: file.stat().st_mtime_ns for file in Path(config["cache"]).iterdir()} == decoded, (
        "nothing decoded again"
    )
    selection = KFrames.from_pretrained(start, device="cpu").select(films / "a.mp4", "the lawn", 4)
    assert len(selection.frames) == 4
    assert selection.selector["candidates"] == 4
