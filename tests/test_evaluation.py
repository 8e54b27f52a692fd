"""Evaluation on SynthScenes: metrics by hand, intervals, the batched reader against MLLMSelector, whole runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")

import torch
from kframes_training.evaluation import synthscenes
from kframes_training.evaluation.answering import TinyAnswerer, frames_for
from kframes_training.evaluation.bench import Record, Settings
from kframes_training.evaluation.contenders import Contender, ablations, main_contenders
from kframes_training.evaluation.exam import exam_of, kind_of
from kframes_training.evaluation.metrics import clip_scores
from kframes_training.evaluation.reader import NanoReader
from kframes_training.evaluation.reference_clips import REFERENCE_CLIPS
from kframes_training.evaluation.report import report_of
from kframes_training.evaluation.running import run
from kframes_training.evaluation.statistics import difference, discordant, estimate, mcnemar
from kframes_training.evaluation.summary import costs_of, values_of
from kframes_training.evaluation.videos import video_on_disk
from kframes_training.nano.answerer import answer_from_frames
from kframes_training.nano.data import FORMAT, UNSEEN, Row, prompt_ids
from kframes_training.nano.model import build_nano, build_processor, build_tokenizer
from kframes_training.nano.recipe import texts
from kframes_training.sources.synthscenes import SPLITS, sample_video
from kframes_training.sources.synthscenes.language import UNKNOWN, Query
from transformers import AutoProcessor

from kframes_plugin import KFrames
from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.prompt import build_messages
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import Candidates, Clip, Prediction
from kframes_plugin.video import OpenVideo

ROOT = Path(__file__).resolve().parents[1]
SEEDS = sorted(SPLITS["test"][:60], key=lambda seed: sample_video(seed).duration)[:3]  # about a minute each
T = 16

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


# ------------------------------------------------------------------------------------------- videos, exams, baselines


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def frames(videos: Path) -> Candidates:
    with OpenVideo(video_on_disk(sample_video(SEEDS[0]), videos)) as opened:
        return opened.candidates(T, size=112)


def test_video_files_are_kept_and_named_by_what_they_show(videos: Path) -> None:
    video = sample_video(SEEDS[0])
    path = video_on_disk(video, videos)
    before = path.stat().st_mtime_ns
    assert video_on_disk(video, videos).stat().st_mtime_ns == before
    other = replace(video, scenes=(replace(video.scenes[0], label="GO"), *video.scenes[1:]))
    assert video_on_disk(other, videos) != path
    assert not [file for file in videos.iterdir() if file.stem.count(".")]  # nothing unfinished
    with OpenVideo(path) as opened:
        assert (opened.codec, opened.width, opened.height) == ("h264", 192, 144)
        assert opened.duration == pytest.approx(video.duration, abs=0.26)


def test_an_exam_is_a_function_of_its_seed() -> None:
    exam = exam_of(SEEDS[0], "test")
    assert exam == exam_of(SEEDS[0], "test")
    assert len(exam.texts) == len(exam.truth) == len(exam.queries) + len(exam.questions)
    for query, true in zip(exam.queries, exam.truth, strict=False):
        assert bool(true) == (query.kind != "absent")
    for question, true in zip(exam.questions, exam.truth[len(exam.queries) :], strict=True):
        assert len(true) == len(question.evidence) > 0


def test_absent_queries_are_told_apart_by_why() -> None:
    kinds = {kind_of(query) for seed in SPLITS["test"][:30] for query in exam_of(seed, "test").queries}
    assert {"absent: known words", "absent: unknown words", "needle", "count"} <= kinds
    for text, kind in (
        (f"find the {UNKNOWN[0]}?", "absent: unknown words"),
        ("find the red star", "absent: known words"),
    ):
        assert kind_of(Query(text, "absent", (1.0,), ("",))) == kind


def test_baselines(frames: Candidates) -> None:
    true = [Clip(5.0, 12.0, "P1", "a"), Clip(30.0, 33.0, "P2", "b")]
    made = {name: select(frames, true, Random(0)) for name, select in REFERENCE_CLIPS.items()}
    assert [(clip.start, clip.end) for clip in made["uniform"]] == [(0.0, frames.duration)]
    assert len(made["scenes"]) > 1
    assert made["scenes"][-1].end == frames.duration
    assert made["oracle clips"] == true
    assert [round(clip.length, 6) for clip in made["random clips"]] == [7.0, 3.0]
    assert made["random clips"] == REFERENCE_CLIPS["random clips"](frames, true, Random(0))
    assert made["random clips"] != REFERENCE_CLIPS["random clips"](frames, true, Random(1))
    stride = frames.duration / T
    for clip, wanted in zip(made["oracle at candidates"], true, strict=True):
        assert abs(clip.start - wanted.start) <= stride
        assert abs(clip.end - wanted.end) <= stride
        assert clip.priority == wanted.priority


# ------------------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture(scope="module")
def checkpoint(frames: Candidates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny nano that was taught three answers, so that it writes clips, and different ones for different queries."""
    folder = tmp_path_factory.mktemp("nano")
    tokenizer = build_tokenizer(texts(20), 900)
    model = build_nano(tokenizer, width=64, layers=3, vision_width=32, vision_layers=2)
    build_processor(tokenizer).save_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    answers = {
        "the red star": '[{"start":2,"end":5,"priority":"P1","reason":"star"},'
        '{"start":7,"end":9,"priority":"P2","reason":"a"}]',
        "count every blue ring": '[{"start":11,"end":16,"priority":"P1","reason":"ring"}]',
        "find the green cross": "[]",
    }
    batches = [taught(processor, frames, query, answer) for query, answer in answers.items()]
    optimizer = torch.optim.AdamW(model.model.language_model.parameters(), lr=6e-3)
    for _ in range(200):
        loss = torch.stack([model(**batch).loss for batch in batches]).mean()
        if loss < 0.02:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.1
    model.save_pretrained(folder)
    settings = CheckpointSettings(candidates=T, frame_size=112, max_new_tokens=48, format=FORMAT, scores_layer=2)
    settings.save(folder)
    return folder


def taught(processor: Any, frames: Candidates, query: str, answer: str) -> dict[str, torch.Tensor]:
    start = processor.apply_chat_template(
        build_messages(frames, query, FORMAT),
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = processor.tokenizer(answer + "<|im_end|>", return_tensors="pt")["input_ids"]
    whole = {**start, "input_ids": torch.cat([start["input_ids"], ids], dim=1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    whole["mm_token_type_ids"] = torch.cat([start["mm_token_type_ids"], torch.zeros_like(ids)], dim=1)
    prompt = torch.full_like(start["input_ids"], -100)
    return {**whole, "labels": torch.cat([prompt, ids], dim=1)}


@pytest.fixture(scope="module")
def answerer(checkpoint: Path) -> str:
    return str(checkpoint)


QUERIES = (
    "the red star",
    "count every blue ring",
    "find the green cross",
    "what is the video about?",
    "a big pink square",
)


def alike(together: Prediction, alone: Prediction) -> None:
    assert [(c.start, c.end, c.priority, c.reason) for c in together] == [
        (c.start, c.end, c.priority, c.reason) for c in alone
    ]
    # notes quote the beginning of an answer that could not be read, so equal notes are equal answers
    assert [note for note in alone.notes if note.startswith("answer:")] == list(together.notes)


def test_reading_together_is_reading_with_the_selector(checkpoint: Path, frames: Candidates) -> None:
    reader = NanoReader(checkpoint)
    read = reader.read(frames, reader.see(frames), QUERIES)
    selector = MLLMSelector.from_pretrained(checkpoint, device="cpu")
    for query, together in zip(QUERIES, read.clips, strict=True):
        alike(together, selector(frames, query))
    assert [len(clips) for clips in read.clips[:3]] == [2, 1, 0]
    assert read.tokens > 0 < read.seconds


def test_prompts_without_times_are_those_of_the_format(checkpoint: Path, frames: Candidates) -> None:
    reader, fmt = NanoReader(checkpoint), replace(FORMAT, times=False)
    tokens, untimed = reader.see(frames), []
    for query in QUERIES:
        row = Row(query, "", (0,) * T, (UNSEEN,) * T, tokens, "")
        untimed.append(reader.untimed(prompt_ids(row, reader.tokenizer), T))
        template = reader.processor.apply_chat_template(
            build_messages(frames, query, fmt), tokenize=True, add_generation_prompt=True, return_dict=True
        )
        assert untimed[-1] == list(np.ravel(template["input_ids"]))
    together = reader.read(frames, tokens, QUERIES, times=False).clips
    for query, clips in zip(QUERIES, together, strict=True):
        assert clips == reader.read(frames, tokens, [query], times=False).clips[0]
    with pytest.raises(ValueError, match="does not stand before its image"):
        reader.untimed(untimed[0], T)


def test_scores_of_frames_are_those_of_the_selector(checkpoint: Path, frames: Candidates) -> None:
    reader = NanoReader(checkpoint)
    read = reader.read(frames, reader.see(frames), QUERIES, prediction="scores")
    selector = MLLMSelector.from_pretrained(checkpoint, device="cpu", prediction="scores")
    for query, together in zip(QUERIES, read.clips, strict=True):
        alone = selector(frames, query)
        assert [(c.start, c.end, c.priority) for c in together] == [(c.start, c.end, c.priority) for c in alone]
        assert [c.score for c in together] == pytest.approx([c.score for c in alone], abs=1e-4)
    assert read.tokens == 0


def test_a_vocabulary_is_kept_to_as_the_selector_does(checkpoint: Path, frames: Candidates) -> None:
    """Unknown words give no clips; known ones come in the case that the model knows."""
    settings = replace(CheckpointSettings.load(checkpoint / "kframes.json"), vocabulary=("the", "red", "star"))
    reader = NanoReader(checkpoint)
    reader.settings = settings
    selector = MLLMSelector.from_pretrained(checkpoint, device="cpu", settings=settings)
    queries = ["the red star", "the red piano", "The RED star", "the red star", "?"]
    read = reader.read(frames, reader.see(frames), queries)
    assert [len(clips) for clips in read.clips] == [2, 0, 2, 2, 0]
    for query, together in zip(queries, read.clips, strict=True):
        alike(together, selector(frames, query))
    assert reader.read(frames, reader.see(frames), ["a piano"]).clips == [[]]


def test_a_checkpoint_of_another_kind_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "kframes.json").unlink()
    with pytest.raises(ValueError, match="no checkpoint of nano"):
        NanoReader(tmp_path)


def test_checkpoints_with_the_same_eyes_share_what_they_see(checkpoint: Path, tmp_path: Path) -> None:
    one, other = NanoReader(checkpoint), NanoReader(checkpoint)
    assert one.sight == other.sight
    one.model.model.visual.merger.ln_q.weight.data += 0.1
    one.model.save_pretrained(tmp_path)
    one.processor.save_pretrained(tmp_path)
    one.settings.save(tmp_path)
    assert NanoReader(tmp_path).sight != other.sight


def test_answers_are_those_of_the_answerer_alone(answerer: str, videos: Path) -> None:
    exam, tiny = exam_of(SEEDS[0], "test"), TinyAnswerer(answerer)
    with OpenVideo(video_on_disk(exam.video, videos)) as opened:
        asked = [
            (index, tuple(float(opened.timestamps[i]) for i in range(3, 3 + k)))
            for index in range(len(exam.questions))
            for k in (2, 5)
        ]
        said = tiny.answer(opened, exam.questions, [*asked, asked[0]])
        assert set(said) == set(asked)
        for index, times in asked:
            alone = answer_from_frames(tiny.model, tiny.tokenizer, opened.frames_at(times), exam.questions[index])
            assert said[index, times] == pytest.approx(list(alone), abs=1e-5)


@pytest.mark.parametrize("clips", [[], [Clip(4, 10), Clip(30, 38, "P2")], [Clip(0, 50)]])
def test_frames_are_those_a_user_gets(videos: Path, clips: list[Clip]) -> None:
    path = video_on_disk(sample_video(SEEDS[0]), videos)
    kframes = KFrames(lambda frames, query: clips, candidates=T, candidate_size=112)
    with kframes.open(path) as session:
        for k in (4, 16):
            selection = session.select("q", k)
            mine = frames_for(clips, k, session.video, selection.scenes, Contender("c", "c", T))
            assert list(mine) == selection.timestamps


def test_without_tags_every_clip_is_p1(videos: Path) -> None:
    clips, contender = [Clip(0, 10, "P1"), Clip(20, 30, "P2")], Contender("c", "c", T, strategy="focused")
    with OpenVideo(video_on_disk(sample_video(SEEDS[0]), videos)) as opened:
        with_tags = frames_for(clips, 12, opened, (), contender)
        without = frames_for(clips, 12, opened, (), replace(contender, tags=False))
    assert sum(time < 15 for time in with_tags) == 8  # weights 1 and 1/2
    assert sum(time < 15 for time in without) == 6


def test_ablations_change_one_thing_each() -> None:
    base = main_contenders({"best": "folder"}, 64)[-1]
    made = ablations(base)
    names = [one.name for one in made]
    assert names == [
        f"best: {name}"
        for name in (
            "no times in the prompt",
            "no priority tags",
            "ends at candidates",
            "focused",
            "hybrid",
            "T = 16",
            "T = 32",
            "prediction scores",
            "prediction both",
        )
    ]
    fields = ("candidates", "times", "prediction", "strategy", "tags", "snap")
    assert all(sum(getattr(one, name) != getattr(base, name) for name in fields) == 1 for one in made)
    with pytest.raises(ValueError, match="'uniform', that is a baseline"):
        main_contenders({"uniform": "folder"}, 64)


# ---------------------------------------------------------------------------------------------------------- whole runs


def timeless(records: list[Record]) -> list[Record]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.fixture(scope="module")
def whole(checkpoint: Path, answerer: str, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """An undisturbed run of the baselines, a checkpoint and its ablations on three videos."""
    out = tmp_path_factory.mktemp("run")
    contenders = main_contenders({"nano": str(checkpoint)}, T)
    everyone = [*contenders, *ablations(contenders[-1])]
    settings = Settings(videos, "test", 112, answerer)
    return out, contenders, everyone, settings, run(out, SEEDS, everyone, settings, [str(checkpoint)])


def test_a_run_measures_everyone_on_every_video(whole: tuple[Any, ...]) -> None:
    out, _, everyone, _, records = whole
    assert [(r["seed"], r["selector"]) for r in records] == [(seed, c.name) for seed in SEEDS for c in everyone]
    assert len((out / "records.jsonl").read_text(encoding="utf-8").splitlines()) == len(records)
    values = values_of(records)
    assert all(value == [1.0] for value in values["oracle clips"]["needle", "iou"].values())
    ceiling = values["oracle at candidates"]["needle", "iou"]
    assert all(0 < value[0] <= 1 for value in ceiling.values())
    by_name = {record["selector"]: record for record in records[: len(everyone)]}
    exam = exam_of(SEEDS[0], "test")
    for record in by_name.values():
        assert [row["text"] for row in record["queries"]] == [query.text for query in exam.queries]
        for row, question in zip(record["questions"], exam.questions, strict=True):
            assert row["right"].keys() == row["options"].keys() == {"4", "8", "16", "32"}
            for k, options in row["options"].items():
                assert sum(options) == pytest.approx(1, abs=1e-3)
                assert row["right"][k] == int(int(np.argmax(options)) == question.answer)
    assert by_name["nano"]["queries"] == by_name["nano: focused"]["queries"]
    assert any(row["clips"] for row in by_name["nano"]["queries"])
    assert costs_of(records)["nano"]["tokens_a_query"] > 0


def test_a_stopped_run_goes_on_to_the_same_end(whole: tuple[Any, ...], checkpoint: Path, tmp_path: Path) -> None:
    out, _, everyone, settings, records = whole
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [*lines[:1], *lines[3:7], lines[len(everyone) + 2]]
    (tmp_path / "records.jsonl").write_text("".join(kept) + lines[-1][:40], encoding="utf-8")  # stopped while writing
    (tmp_path / "run.json").write_bytes((out / "run.json").read_bytes())
    resumed = run(tmp_path, SEEDS, everyone, settings, [str(checkpoint)])
    assert timeless(resumed) == timeless(records)
    assert [r["seconds"] for r in resumed if r == json.loads(lines[3])] == [json.loads(lines[3])["seconds"]]


def test_a_run_with_other_settings_is_not_continued(whole: tuple[Any, ...], checkpoint: Path, tmp_path: Path) -> None:
    out, contenders, _, settings, _ = whole
    with pytest.raises(ValueError, match="holds a run with another frame_size; choose another --out"):
        run(out, SEEDS, contenders, replace(settings, frame_size=64), [str(checkpoint)])
    changed = [replace(contender, candidates=8) for contender in contenders]
    with pytest.raises(ValueError, match="another selector uniform"):
        run(out, SEEDS, changed, settings, [str(checkpoint)])


def test_a_report_compares_in_pairs(whole: tuple[Any, ...]) -> None:
    _, contenders, everyone, settings, records = whole
    ablated = everyone[len(contenders) :]
    report = report_of(records, contenders, ablated, ["nano"], "nano", settings)
    json.dumps(report, allow_nan=False)
    assert report["videos"] == 3
    assert report["table"]["oracle clips"]["needle"]["iou"][0] == 1
    rows = {(row["one"], row["other"], row["kind"], row["measure"]): row for row in report["differences"]}
    row = rows["nano", "uniform", "answers all", "k=8"]
    means = [report["table"][name]["answers all"]["k=8"][0] for name in ("nano", "uniform")]
    assert row["difference"][0] == pytest.approx(means[0] - means[1])
    assert row["p"] == mcnemar(row["only_one"], row["only_other"])
    assert {row["one"] for row in report["ablation_differences"]} == {one.name for one in ablated}


@pytest.mark.slow
def test_several_processes_measure_the_same(whole: tuple[Any, ...], checkpoint: Path, tmp_path: Path) -> None:
    _, _, everyone, settings, records = whole
    found = run(tmp_path, SEEDS[:2], everyone, settings, [str(checkpoint)], workers=2)
    assert timeless(found) == timeless(records[: len(found)])


def test_the_command_and_its_page(
    checkpoint: Path, answerer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All tables are printed; RESULTS.md is made from the JSON alone."""
    out, results = tmp_path / "run", tmp_path / "results"
    command = ["--videos", "1", "--checkpoint", f"a={checkpoint}", "--checkpoint", f"b={checkpoint}", "--ablations"]
    synthscenes.main([*command, "--out", str(out), "--split", "dev", "--answerer", answerer])
    printed = capsys.readouterr().out
    assert "| b - a | +.000 |" in printed
    for title in ("Clips of needles", "Right answers, needle", "Ablations: mIoU", "Seconds that a user waits"):
        assert f"### {title}" in printed
    assert printed == (out / "tables.md").read_text(encoding="utf-8")
    results.mkdir()
    (results / "synthscenes.json").write_bytes((out / "results.json").read_bytes())
    assert printed.strip() in results_page(results, tmp_path / "RESULTS.md")


def results_page(folder: Path, out: Path) -> str:
    script = ROOT / "benchmarks" / "results.py"
    subprocess.run([sys.executable, str(script), "--results", str(folder), "--out", str(out)], check=True, timeout=120)
    return out.read_text(encoding="utf-8")


def test_results_page_is_that_of_the_files(tmp_path: Path) -> None:
    page = results_page(ROOT / "benchmarks" / "results", tmp_path / "RESULTS.md")
    assert page == (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "nano"], "needs NAME=FOLDER"),
        (["--checkpoint", "nano=nowhere"], "nowhere has no kframes.json"),
        (["--ablations"], "--best must name a --checkpoint"),
        (["--videos", "0"], "must be at least 1"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        synthscenes.main(["--out", str(tmp_path / "out"), *arguments])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_checkpoints_must_see_the_same_candidates(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    CheckpointSettings(candidates=8, frame_size=112, format=FORMAT).save(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        synthscenes.main(
            ["--out", str(tmp_path / "out"), "--checkpoint", f"a={checkpoint}", "--checkpoint", f"b={tmp_path}"]
        )
    assert "must see the same candidates" in capsys.readouterr().err
