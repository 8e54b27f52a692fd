"""Presets of public grounding checkpoints: which are found, what is asked, with which times, and how answers are read.

Their weights are not here: tiny random checkpoints of their families stand for them, with the true processors.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_families
import tiny_models
import torch
from PIL import Image
from video_maker import every, make_video, read_number

from kframes_plugin import KFrames
from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.load import load
from kframes_plugin.mllm.presets import find_preset, list_presets
from kframes_plugin.prompt import PromptFormat, build_messages, parse_clips, write_clips
from kframes_plugin.prompt.styles import fuse
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.selectors.models import MODELS
from kframes_plugin.types import Candidates, Frame

PRESETS = {
    "MCG-NJU/TimeLens2-2B": "qwen3_vl",
    "MCG-NJU/TimeLens2-4B": "qwen3_vl",
    "MCG-NJU/TimeLens2-8B": "qwen3_vl",
    "TencentARC/TimeLens-7B": "qwen2_5_vl",
    "TencentARC/TimeLens-8B": "qwen3_vl",
}
QUERY = "a red {ball}"
ALL = (
    'Given the query: "a red {ball}", return ALL time spans (in seconds) where the query is relevant.\n'
    "Output format MUST be a JSON array of [start, end] pairs.\n"
)
ONE = (
    "Please find the visual event described by the sentence 'a red {ball}', determining its starting and ending times. "
    "The format should be: 'The event happens in <start time> - <end time> seconds'."
)
NUMBERS = (
    "You are given a video with multiple frames. "
    "The numbers before each video frame indicate its sampling timestamp (in seconds). "
)
# Tokens in a row are written once with their number: 64 x 48 pixels are 2 x 2 tokens of Qwen3-VL, 2 x 2 of Qwen2.5-VL.
PAIR = "<|vision_start|><|video_pad|>*4<|vision_end|>"
HEAD, TAIL = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
GOLDEN = {
    "MCG-NJU/TimeLens2": ("<{} seconds>" + PAIR, ALL),
    "TencentARC/TimeLens-8B": ("<{} seconds>" + PAIR, ONE),
    "TencentARC/TimeLens-7B": ("{}s: " + PAIR, NUMBERS + ONE),
}
# A second at 20 frames, then two frames a second with jitter, then one every 3 s; and a frame every 0.2 s.
VARIABLE = sorted({*every(50, 41), *(500 * n + (n * 37) % 90 for n in range(6, 58)), *every(3000, 24, 30_000)})
CONSTANT = every(200, 501)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[int]]]:
    folder = tmp_path_factory.mktemp("videos")
    return {
        "constant": (make_video(folder / "constant.mp4", CONSTANT, size=(160, 120)), CONSTANT),
        "variable": (make_video(folder / "variable.mkv", VARIABLE, size=(160, 120)), VARIABLE),
    }


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: getattr(tiny_families, name)(root / name) for name in ("qwen3_vl", "qwen2_5_vl", "gemma3")}


def named(checkpoint: Path, to: Path, name: str) -> Path:
    """A local copy of a checkpoint whose config names where it comes from."""
    folder = Path(shutil.copytree(checkpoint, to))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": name}))
    return folder


def prompts(selector: MLLMSelector) -> list[str]:
    """Where the prompts that go into the model will be, as text; a run of equal tokens is written "<token>*n"."""
    seen: list[str] = []

    def keep(_model: Any, _args: Any, inputs: dict[str, Any]) -> None:
        text = selector.processor.tokenizer.decode(inputs["input_ids"][0])
        text = re.sub(r"(<[^<>]*>)\1{2,}", lambda run: f"{run[1]}*{len(run[0]) // len(run[1])}", text)
        if inputs.get("mm_encoder_outputs"):
            seen.append(text)
        elif inputs["input_ids"].shape[1] > 1:
            seen[-1] += text  # the query, which is read after the frames

    selector.model.model.register_forward_pre_hook(keep, with_kwargs=True)
    return seen


class Watched:
    """A selector that keeps the candidates it was given."""

    def __init__(self, selector: MLLMSelector) -> None:
        self.selector, self.frames = selector, ()

    def __call__(self, frames: Any, query: str) -> Any:
        self.frames = frames
        return self.selector(frames, query)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_asks_as_its_model_was_trained_with_true_times(
    families: dict[str, Path], videos: dict[str, tuple[Path, list[int]]], name: str
) -> None:
    preset = find_preset(name)
    assert preset is not None
    assert preset.format.input == "video"
    loaded = load(str(families[PRESETS[name]]), device="cpu", dtype="float32")
    selector = MLLMSelector(loaded.model, loaded.processor, settings=replace(preset, max_new_tokens=4))
    seen = prompts(selector)
    mark, task = GOLDEN[name if name in GOLDEN else name[:-3]]
    far = {"constant": ["9.6", "30.4", "50.4", "70.4", "91.2"], "variable": ["12.5", "24.5", "48.0", "75.0", "90.0"]}
    for kind, (video, stamps) in videos.items():
        watched = Watched(selector)
        kf = KFrames(watched, candidates=5, candidate_size=64)
        found = kf.select(video, QUERY, 3)
        times = [frame.timestamp for frame in watched.frames]
        assert times == pytest.approx([stamps[read_number(frame.image)] / 1000 for frame in watched.frames], abs=1e-3)
        print(f"\n{name}, {kind} rate:\n{seen[-1]}")
        assert seen[-1] == HEAD + "".join(mark.format(time) for time in far[kind]) + task + TAIL
        assert found.cost.tokens_out == 4
        assert len(found.frames) == 3


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        # candidates at 0, .1, .2 ... s: two by two; the family writes the mean time of each two, .05 and .25
        ("MCG-NJU/TimeLens2-2B", ["<0.1 seconds>", "<0.2 seconds>", "<0.4 seconds>"]),
        ("TencentARC/TimeLens-7B", ["0.0s: ", "0.2s: ", "0.4s: "]),
    ],
)
def test_frames_at_most_half_a_second_apart_share_a_pair(
    families: dict[str, Path], name: str, marks: list[str]
) -> None:
    preset = find_preset(name)
    assert preset is not None
    loaded = load(str(families[PRESETS[name]]), device="cpu", dtype="float32")
    selector = MLLMSelector(loaded.model, loaded.processor, settings=replace(preset, max_new_tokens=2))
    seen = prompts(selector)
    pictures = [Image.new("RGB", (64, 48), (40 * n, 0, 0)) for n in range(5)]
    times = [0.0, 0.1, 0.2, 0.3, 0.4]
    frames = Candidates([Frame(time, 0.1, image) for time, image in zip(times, pictures, strict=True)], 0.5)
    selector(frames, "red")
    assert re.findall(r"<[\d.]+ seconds>|[\d.]+s: ", seen[0]) == marks
    assert seen[0].count("<|video_pad|>*4") == 3


def test_pairs_of_uneven_frames_hold_every_frame_once_or_twice_in_order() -> None:
    times = [0.0, 0.5, 1.2, 1.3, 1.4, 9.0]
    frames = [Frame(time, 0.1, Image.new("RGB", (8, 8))) for time in times]
    assert [(a.timestamp, b.timestamp) for a, b in fuse(frames)] == [(0.0, 0.5), (1.2, 1.3), (1.4, 1.4), (9.0, 9.0)]


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_frames_keep_their_size_and_later_queries_look_at_them_no_more(families: dict[str, Path], family: str) -> None:
    loaded = load(str(families[family]), device="cpu", dtype="float32")
    settings = CheckpointSettings(max_new_tokens=6, format=PromptFormat(input="video", answer="spans"))
    alone = MLLMSelector(loaded.model, loaded.processor, settings=settings, batch_size=1)
    together = MLLMSelector(loaded.model, loaded.processor, settings=settings, batch_size=2)
    looked: list[torch.Tensor] = []
    loaded.model.model.visual.register_forward_pre_hook(
        lambda _model, _args, inputs: looked.append(inputs["grid_thw"]), with_kwargs=True
    )
    # 448 x 224 pixels; budgets that are shared over a video would make a long one smaller, and a small one larger
    frames = Candidates([Frame(9.0 * n, 0.1, Image.new("RGB", (448, 224), (9 * n, 0, 0))) for n in range(12)], 108.0)
    found = together.predict_all(frames, ["a dog", "red", "who wins?"])
    patch = 16 if family == "qwen3_vl" else 14
    assert len(looked) == 1
    assert {tuple(row[1:]) for row in looked[0].tolist()} == {(224 // patch, 448 // patch)}
    assert int(looked[0][:, 0].sum()) == 12
    for query, one in zip(["a dog", "red", "who wins?"], found, strict=True):
        again = alone(Candidates(list(frames), 108.0), query)  # nothing is kept from before
        assert (list(again), again.notes, again.cost) == (list(one), one.notes, one.cost)


def test_a_preset_is_found_by_id_by_the_config_of_a_copy_and_for_an_adapter(
    families: dict[str, Path], tmp_path: Path
) -> None:
    assert set(list_presets()) == set(PRESETS)
    assert find_preset("mcg-nju/timelens2-2b") == find_preset("MCG-NJU/TimeLens2-2B") is not None
    assert find_preset("Qwen/Qwen3-VL-2B-Instruct") is find_preset("") is None
    copy = named(families["qwen3_vl"], tmp_path / "copy", "MCG-NJU/TimeLens2-2B")
    preset = find_preset("MCG-NJU/TimeLens2-2B")
    assert load(str(copy), device="cpu", dtype="float32").settings == preset
    cached = tmp_path / "hub" / "models--TencentARC--TimeLens-8B" / "snapshots" / "4cb89bb"  # what "auto" loads
    shutil.copytree(families["qwen3_vl"], cached)
    assert load(str(cached), device="cpu", dtype="float32").settings == find_preset("TencentARC/TimeLens-8B")
    adapter = tiny_models.lora_adapter(tmp_path / "adapter", copy)
    assert load(str(adapter), device="cpu", dtype="float32").settings == preset
    own = CheckpointSettings(candidates=7)
    own.save(copy)  # the checkpoint's own word wins
    assert load(str(copy), device="cpu", dtype="float32").settings == own
    kf = KFrames.from_pretrained(str(copy), device="cpu")
    assert kf.select(Path(__file__).parents[1] / "examples" / "sample.mp4", "a cup", 2).cost.candidates == 7


def test_short_names_reach_the_presets() -> None:
    grounders = [model for model in MODELS if model.name.startswith("grounder")]
    assert len(grounders) == 2
    for model in grounders:
        assert find_preset(model.selector) is not None
        assert "own prompt" in model.use


def test_a_processor_with_code_of_its_own_is_read_as_its_familys(families: dict[str, Path], tmp_path: Path) -> None:
    """TimeLens-7B brings one; the preset writes the times that it would write."""
    folder = Path(shutil.copytree(families["qwen2_5_vl"], tmp_path / "m"))
    config = json.loads((folder / "processor_config.json").read_text())
    foreign = {"processor_class": "TimeLensProcessor", "auto_map": {"AutoProcessor": "code.TimeLensProcessor"}}
    (folder / "processor_config.json").write_text(json.dumps({**config, **foreign}))
    assert type(load(str(folder), device="cpu", dtype="float32").processor).__name__ == "Qwen2_5_VLProcessor"


# ------------------------------------------------------------------------------------------------ fields and refusals


def test_presets_and_kframes_json_have_one_list_of_fields(tmp_path: Path) -> None:
    known = set(json.loads(CheckpointSettings().save(tmp_path).read_text()))
    assert known == {*asdict(CheckpointSettings()), *asdict(PromptFormat())} - {"format"}
    for name, file in list_presets().items():
        row = json.loads(file.read_text())
        assert set(row) <= known
        assert row["source"]
        assert CheckpointSettings.load(file) == find_preset(name)
        wrong = tmp_path / file.name
        wrong.write_text(json.dumps({**row, "promt": "{query}"}))
        with pytest.raises(SelectorError, match=r"unknown key 'promt'; known are answer, candidates"):
            CheckpointSettings.load(wrong)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "frames"}, "input must be one of images, video; got 'frames'"),
        ({"answer": "json"}, "answer must be one of clips, spans; got 'json'"),
        ({"prompt": "Where is it?"}, r"prompt must be a text with \{query\} in it, or None; got 'Where is it\?'"),
        ({"time_mark": "at"}, r"time_mark must be a text with \{time\} in it, or None; got 'at'"),
        ({"input": "video", "time_format": "index"}, "native video has its times in seconds"),
        ({"source": 7}, "source must be a text; got 7"),
        (
            {"input": "video", "prediction": "scores"},
            "prediction='scores' reads one score per frame.*prediction=\"text\"",
        ),
        ({"input": "video", "prediction": "both"}, "prediction='both' reads one score per frame"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    (tmp_path / "kframes.json").write_text(json.dumps(row))
    with pytest.raises(SelectorError, match=message):
        CheckpointSettings.load(tmp_path / "kframes.json")


def test_scores_of_native_video_are_refused_in_one_line(families: dict[str, Path]) -> None:
    loaded = load(str(families["qwen3_vl"]), device="cpu", dtype="float32")
    settings = find_preset("MCG-NJU/TimeLens2-2B")
    with pytest.raises(
        ValueError, match=r'scores\' reads one score per frame, which native video .* use prediction="te'
    ):
        MLLMSelector(loaded.model, loaded.processor, settings=settings, prediction="scores")
    frames = Candidates([Frame(0.0, 1.0, Image.new("RGB", (64, 48)))], 1.0)
    with pytest.raises(SelectorError, match=r"frame_scores reads one score per frame"):
        MLLMSelector(loaded.model, loaded.processor, settings=settings).frame_scores(frames, "red")


def test_a_family_without_a_place_for_videos_is_refused(families: dict[str, Path]) -> None:
    loaded = load(str(families["gemma3"]), device="cpu", dtype="float32")
    settings = CheckpointSettings(format=PromptFormat(input="video"))
    with pytest.raises(SelectorError, match=r'has no place for videos, so input="video" is not for it; use "images"'):
        MLLMSelector(loaded.model, loaded.processor, settings=settings)


def test_native_video_is_for_models_that_run_here() -> None:
    frames = [Frame(0.0, 1.0, Image.new("RGB", (8, 8)))]
    with pytest.raises(ValueError, match=r'input="video" is for models that kframes runs itself'):
        build_messages(frames, "red", PromptFormat(input="video"))


# ------------------------------------------------------------------------------------------------------------ answers

SPANS = PromptFormat(input="video", answer="spans")


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("[[61.0, 74.5], [80, 90]]", [(61.0, 74.5), (80, 90)]),
        ("[[0.0, 3.5]]", [(0.0, 3.5)]),
        ("[]", []),
        ("The event happens in 0.0 - 5.0 seconds.", [(0.0, 5.0)]),
        ("The event happens in 0.0 - 5.0 seconds, 8.0 - 9.5 seconds.", [(0.0, 5.0), (8.0, 9.5)]),
        ("From 9.0 to 16.0 seconds.", [(9.0, 16.0)]),
    ],
)
def test_spans_that_were_asked_for_are_no_repair(text: str, spans: list[tuple[float, float]]) -> None:
    found = parse_clips(text, 100.0, fmt=SPANS)
    assert [(clip.start, clip.end) for clip in found] == spans
    assert all(clip.priority == "P1" and clip.reason == "" for clip in found)
    assert found.notes == ()
    if spans:  # asked for clips, it is one
        assert {note.code for note in parse_clips(text, 100.0).notes} == {"answer-repaired"}


def test_what_is_wrong_with_spans_is_still_said() -> None:
    found = parse_clips("[[74.5, 61.0], [90, 130]]", 100.0, fmt=SPANS)
    assert [(clip.start, clip.end) for clip in found] == [(61.0, 74.5), (90, 100.0)]
    assert {note.code for note in found.notes} == {"answer-repaired"}
    assert [note.code for note in parse_clips("I cannot tell.", 100.0, fmt=SPANS).notes] == ["answer-unreadable"]


def test_spans_are_written_as_they_are_read() -> None:
    clips = parse_clips("[[3, 9.5], [20, 30]]", 100.0, fmt=SPANS)
    text = write_clips(clips, 100.0, fmt=SPANS)
    assert text == "[[3.0,9.5],[20.0,30.0]]"
    assert parse_clips(text, 100.0, fmt=SPANS) == clips


def test_the_prompt_of_kframes_asks_for_spans_too() -> None:
    frames = [Frame(0.0, 1.0, Image.new("RGB", (8, 8)))]
    asked = build_messages(frames, "red", PromptFormat(answer="spans", time_mark="at {time}: "))[0]["content"]
    assert asked[0]["text"] == "at 0.0: "
    assert "JSON list of [start, end] pairs in seconds: [[start, end], [start, end]]." in asked[-1]["text"]
