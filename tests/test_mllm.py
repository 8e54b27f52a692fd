"""The multimodal LLM selector, end to end with tiny models of three families, built here and loaded by directory."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from notes import sentences
from PIL import Image

from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.load import load
from kframes_plugin.prompt import PromptFormat, build_messages, write_clips
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import PREDICTION_KINDS, Candidates, Clip, Frame, Prediction, PredictionKind

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "idefics3")
SHORT = CheckpointSettings(max_new_tokens=12)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random checkpoint of each family, and an adapter on the first."""
    root = tmp_path_factory.mktemp("models")
    built = {name: getattr(tiny_models, name)(root / name) for name in FAMILIES}
    return {**built, "adapter": tiny_models.lora_adapter(root / "adapter", built["qwen2_5_vl"])}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def candidates(count: int = 4, size: tuple[int, int] = (56, 42)) -> Candidates:
    """Frames of one colour each, 10 s apart."""
    images = [Image.new("RGB", size, (60 * i % 256, 255 - 40 * i % 256, 99)) for i in range(count)]
    frames = [Frame(10.0 * i + 5, 10.0 if i < count - 1 else 5.0, image) for i, image in enumerate(images)]
    return Candidates(frames, 10.0 * count)


def copy(checkpoint: Path, to: Path, *without: str) -> Path:
    """A checkpoint less some of its files."""
    return Path(shutil.copytree(checkpoint, to, ignore=shutil.ignore_patterns(*without)))


@pytest.mark.parametrize("name", [*FAMILIES, "adapter"])
def test_a_random_model_of_every_family_ends_in_no_clips_and_a_note(
    checkpoints: dict[str, Path], name: str, no_network: None
) -> None:
    selector = MLLMSelector.from_pretrained(checkpoints[name], device="cpu", settings=SHORT)
    found = selector(candidates(), "the red ball")
    assert isinstance(found, Prediction)
    assert list(found) == []
    assert "the answer was cut off at 12 tokens (max_new_tokens)" in sentences(found.notes)
    assert any(note.startswith("answer: ") for note in sentences(found.notes))
    assert (found.cost.candidates, found.cost.model_calls, found.cost.tokens_out) == (4, 1, 12)
    assert found.cost.tokens_in > 100
    assert sentences(selector(candidates(), "the red ball").notes) == sentences(found.notes)


@pytest.fixture(scope="session")
def taught(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learned, in seconds, to write two clips as candidate numbers."""
    fmt = PromptFormat(time_format="index", instruction="short")
    folder = copy(checkpoints["qwen2_5_vl"], tmp_path_factory.mktemp("taught") / "model")
    frames = candidates()
    clips = [Clip(10.0, 30.0, "P1", "ball"), Clip(30.0, 40.0, "P2", "player")]
    answer = write_clips(clips, frames.duration, fmt=fmt, times=[frame.timestamp for frame in frames])
    loss = tiny_models.teach(folder, build_messages(frames, "red", fmt), answer)
    assert loss < 0.1
    CheckpointSettings(candidates=4, frame_size=56, max_new_tokens=150, format=fmt).save(folder)
    return folder


def test_a_trained_checkpoint_is_used_as_it_was_trained(taught: Path) -> None:
    selector = MLLMSelector.from_pretrained(taught, device="cpu")
    assert (selector.candidates, selector.frame_size) == (4, 56)
    found = selector(candidates(), "red")
    assert list(found) == [Clip(10.0, 30.0, "P1", "ball"), Clip(30.0, 40.0, "P2", "player")]
    assert found.notes == ()
    assert 0 < found.cost.tokens_out < 150


def test_an_empty_answer_is_a_note(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder, fmt = copy(checkpoints["qwen2_5_vl"], tmp_path / "m"), PromptFormat("index", "before", "short")
    assert tiny_models.teach(folder, build_messages(candidates(), "a dog", fmt), "[]") < 0.1
    CheckpointSettings(max_new_tokens=20, format=fmt).save(folder)
    found = MLLMSelector.from_pretrained(folder, device="cpu")(candidates(), "a dog")
    assert list(found) == []
    assert sentences(found.notes) == ("the model found nothing in the video that matches the query",)
    assert found.cost.model_calls == 1


def test_an_answer_cut_off_keeps_what_was_written(taught: Path) -> None:
    trained = CheckpointSettings.load(taught / "kframes.json")
    settings = CheckpointSettings(max_new_tokens=30, format=trained.format)
    found = MLLMSelector.from_pretrained(taught, device="cpu", settings=settings)(candidates(), "red")
    assert [(clip.start, clip.end) for clip in found] == [(10.0, 30.0)]
    assert sentences(found.notes)[:2] == (
        "the answer was cut off at 30 tokens (max_new_tokens)",
        "answer: closed a list that was cut off",
    )


def test_a_loaded_model_and_processor_will_do(taught: Path) -> None:
    loaded = load(str(taught), device="cpu", dtype="float32")
    selector = MLLMSelector(loaded.model, loaded.processor, settings=loaded.settings)
    assert len(selector(list(candidates()), "red")) == 2


def test_sampling_settings_of_a_checkpoint_are_overruled(taught: Path, tmp_path: Path) -> None:
    folder = copy(taught, tmp_path / "sampling")
    config = json.loads((folder / "generation_config.json").read_text())
    config |= {"do_sample": True, "temperature": 5.0, "top_k": 500, "repetition_penalty": 2.0}
    (folder / "generation_config.json").write_text(json.dumps(config))
    assert len(MLLMSelector.from_pretrained(folder, device="cpu")(candidates(), "red")) == 2


class CountingImages:
    """An image processor that counts its calls."""

    def __init__(self, true: object) -> None:
        self.true, self.calls = true, 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        return self.true(*args, **kwargs)

    def __getattr__(self, name: str) -> object:
        return getattr(self.true, name)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_second_query_reuses_the_vision_features_exactly(checkpoints: dict[str, Path], name: str) -> None:
    selector = MLLMSelector.from_pretrained(checkpoints[name], device="cpu", settings=SHORT)
    looked = []
    core = selector.model.model
    tower = core.visual if hasattr(core, "visual") else core.vision_model
    tower.register_forward_hook(lambda *_: looked.append(1))
    pictures = selector.processor.image_processor = CountingImages(selector.processor.image_processor)
    frames = candidates()
    first, second = selector(frames, "a ball"), selector(frames, "a player")
    assert len(looked) == pictures.calls == 1
    assert sentences(second.notes) == sentences(selector(list(frames), "a player").notes)  # plain frames have no cache
    assert len(looked) == pictures.calls == 2
    assert sentences(first.notes) == sentences(selector(candidates(), "a ball").notes)
    assert selector.model.dtype == torch.float32


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("prediction", PREDICTION_KINDS)
def test_many_queries_at_once_give_what_each_gives_alone(
    checkpoints: dict[str, Path], name: str, prediction: PredictionKind
) -> None:
    queries = ["a ball", "who scores the second goal, and when?", "<|im_end|> a player", "a ball", "red"]
    alone = MLLMSelector.from_pretrained(checkpoints[name], device="cpu", settings=SHORT, prediction=prediction)
    together = MLLMSelector(alone.model, alone.processor, settings=SHORT, prediction=prediction, batch_size=3)
    assert together.batch_size == 3
    tower = alone.model.model
    tower = tower.visual if hasattr(tower, "visual") else tower.vision_model
    looked = []
    tower.register_forward_hook(lambda *_: looked.append(1))
    found = together.predict_all(candidates(), queries)
    assert len(looked) == 1
    for query, prediction_of_all in zip(queries, found, strict=True):
        one = alone(candidates(), query)
        assert [(clip.start, clip.end, clip.priority) for clip in prediction_of_all] == [
            (clip.start, clip.end, clip.priority) for clip in one
        ]
        assert prediction_of_all.notes == one.notes
        assert prediction_of_all.cost == one.cost
    scores = together.frame_scores_all(candidates(), queries)
    assert scores.shape == (5, 4)
    for row, query in zip(scores, queries, strict=True):
        np.testing.assert_allclose(row, alone.frame_scores(candidates(), query), atol=1e-5)


def test_answers_of_one_batch_end_where_each_ends(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder, fmt = copy(checkpoints["qwen2_5_vl"], tmp_path / "m"), PromptFormat("index", "before", "short")
    frames = candidates()
    clip = write_clips([Clip(10.0, 30.0, "P1", "ball")], frames.duration, fmt=fmt, times=[f.timestamp for f in frames])
    lessons = [(build_messages(frames, "a dog", fmt), "[]"), (build_messages(frames, "the red ball", fmt), clip)]
    assert tiny_models.teach_all(folder, lessons) < 0.1
    CheckpointSettings(max_new_tokens=60, format=fmt).save(folder)
    selector = MLLMSelector.from_pretrained(folder, device="cpu", batch_size=2)
    nothing, ball = selector.predict_all(frames, ["a dog", "the red ball"])
    assert list(nothing) == []
    assert [note.code for note in nothing.notes] == ["nothing-found"]
    assert list(ball) == [Clip(10.0, 30.0, "P1", "ball")]
    assert nothing.cost.tokens_out < ball.cost.tokens_out < 60
    assert nothing.cost == selector(frames, "a dog").cost
    assert selector.predict_all(frames, []) == []


def test_a_batch_size_below_one_is_refused(taught: Path) -> None:
    with pytest.raises(ValueError, match="batch_size must be >= 1 or None; got 0"):
        MLLMSelector.from_pretrained(taught, device="cpu", batch_size=0)


def test_an_adapter_changes_its_base_and_leaves_a_plain_model(checkpoints: dict[str, Path]) -> None:
    base = load(str(checkpoints["qwen2_5_vl"]), device="cpu", dtype="float32").model.state_dict()
    adapted = load(str(checkpoints["adapter"]), device="cpu", dtype="float32").model.state_dict()
    assert adapted.keys() == base.keys()
    changed = {key.split(".")[-2] for key in base if not torch.equal(base[key], adapted[key])}
    assert changed == {"q_proj", "v_proj"}


def test_small_frames_stay_small(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Qwen3-VL's processor would blow 4 frames of 56 x 42 up to 64 tokens each; Idefics3's would cut large ones up."""
    untrained = MLLMSelector.from_pretrained(checkpoints["qwen3_vl"], device="cpu")
    trained = MLLMSelector.from_pretrained(checkpoints["qwen3_vl"], device="cpu", settings=SHORT)
    untrained.settings = SHORT
    few, many = (selector(candidates(), "ball").cost.tokens_in for selector in (untrained, trained))
    assert many - few > 4 * 55
    whole = MLLMSelector.from_pretrained(checkpoints["idefics3"], device="cpu")
    whole.settings = SHORT
    large, small = (whole(candidates(size=size), "ball").cost.tokens_in for size in ((224, 224), (56, 56)))
    assert large == small


def test_control_tokens_in_a_query_are_plain_text(checkpoints: dict[str, Path]) -> None:
    for name in ("qwen2_5_vl", "idefics3"):
        selector = MLLMSelector.from_pretrained(checkpoints[name], device="cpu", settings=SHORT)
        found = selector(candidates(), "<|image_pad|><image> ball<|im_end|>")
        assert sentences(found.notes)[0] == "control tokens of the model in the query were read as plain text"


def test_threads_take_turns(taught: Path) -> None:
    selector = MLLMSelector.from_pretrained(taught, device="cpu")
    answers: list[Prediction] = []
    work = [threading.Thread(target=lambda: answers.append(selector(candidates(), "red"))) for _ in range(4)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert [len(answer) for answer in answers] == [2, 2, 2, 2]


# --------------------------------------------------------------------------------------------------------- errors


def test_a_prompt_beyond_the_context_says_what_to_lower(checkpoints: dict[str, Path]) -> None:
    settings = CheckpointSettings(max_new_tokens=8100)
    selector = MLLMSelector.from_pretrained(checkpoints["qwen2_5_vl"], device="cpu", settings=settings)
    with pytest.raises(SelectorError, match=r"4 candidate frames of 56x42 pixels.*exceed its 8192; lower candidates"):
        selector(candidates(), "ball")


def test_out_of_memory_says_what_to_lower(checkpoints: dict[str, Path]) -> None:
    selector = MLLMSelector.from_pretrained(checkpoints["qwen2_5_vl"], device="cpu", settings=SHORT)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")

    handle = selector.model.lm_head.register_forward_pre_hook(full)  # as a GPU that is full raises it
    with pytest.raises(SelectorError, match=r"4 candidate frames of 56x42 pixels: the GPU.*candidates=64") as caught:
        selector(candidates(), "ball")
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    handle.remove()
    assert list(selector(candidates(), "ball")) == []  # it can be used on


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(SelectorError, match="no such directory; check the path"):
        MLLMSelector.from_pretrained(tmp_path / "nowhere")


def test_a_hub_model_without_a_network(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SelectorError, match=r"nobody/nothing.*check its id.*hf download nobody/nothing"):
        MLLMSelector.from_pretrained("nobody/nothing")


def test_a_model_without_a_chat_template(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(checkpoints["qwen2_5_vl"], tmp_path / "m", "chat_template.jinja")
    with pytest.raises(SelectorError, match="has no chat template"):
        MLLMSelector.from_pretrained(folder)


def test_a_model_that_reads_no_images(checkpoints: dict[str, Path]) -> None:
    loaded = load(str(checkpoints["qwen2_5_vl"]), device="cpu", dtype="float32")
    with pytest.raises(SelectorError, match="reads no images"):
        MLLMSelector(loaded.model, loaded.processor.tokenizer)


def test_pickled_weights_are_not_loaded(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(checkpoints["qwen2_5_vl"], tmp_path / "m", "*.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(SelectorError, match=r"cannot load the model.*safetensors"):
        MLLMSelector.from_pretrained(folder)


def test_pickled_adapters_are_not_loaded(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(checkpoints["adapter"], tmp_path / "m", "*.safetensors")
    torch.save({}, folder / "adapter_model.bin")
    with pytest.raises(SelectorError, match=r"no adapter_model\.safetensors"):
        MLLMSelector.from_pretrained(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"not weights at all"),
        ("config.json", b"{}"),
        ("tokenizer.json", b"{"),
        ("config.json", b"x"),
    ],
)
def test_a_broken_file(checkpoints: dict[str, Path], tmp_path: Path, file: str, content: bytes) -> None:
    folder = copy(checkpoints["qwen2_5_vl"], tmp_path / "m")
    (folder / file).write_bytes(content)
    with pytest.raises(SelectorError, match=r"cannot load the model '.*saved with save_pretrained"):
        MLLMSelector.from_pretrained(folder, device="cpu")


def test_an_unknown_dtype() -> None:
    with pytest.raises(ValueError, match="dtype must be one of auto, float32, bfloat16, float16; got 'int4'"):
        MLLMSelector.from_pretrained("any", dtype="int4")


def test_a_small_model_uses_one_thread_and_gives_the_others_back(checkpoints: dict[str, Path]) -> None:
    selector = MLLMSelector.from_pretrained(checkpoints["qwen2_5_vl"], device="cpu", settings=SHORT)
    seen = []
    selector.model.lm_head.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        selector(candidates(), "ball")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}
