"""The trainers on rows of images: nano's whole recipe in small, and one step of the 3B model's true layer shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
import yaml
from kframes_training.finetune import train_rl, train_sft
from kframes_training.grpo import reward_functions, text_of
from kframes_training.image_data import drawn_frames, grpo_rows, sft_dataset
from kframes_training.nano import run
from kframes_training.nano_model import build_nano, build_processor, build_tokenizer
from kframes_training.rewards import oracle_answerer
from kframes_training.synthetic import sample_video
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from kframes_plugin.prompt import PromptFormat

RECIPES = Path(__file__).resolve().parents[1] / "training" / "recipes"
INDEX = PromptFormat(time_format="index", query_position="both", instruction="short")
TINY: dict[str, Any] = {
    "frame": [56, 56],
    "kframes": {"candidates": 4, "frame_size": 56, "max_new_tokens": 64,
                "format": {"time_format": "seconds", "query_position": "after", "instruction": "full", "reasons": True}},
    "lora": None,
    "stage1": {"videos": [0, 2], "tasks": {"ground": 1, "describe": 1, "score": 1},
               "trainer": {"max_steps": 1, "per_device_train_batch_size": 1, "learning_rate": 1e-4, "use_cpu": True,
                           "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}},
    "stage3": {"videos": [0, 1], "k": 2, "steps": 1, "generations": 2, "prompts": 1, "longest": 8, "lr": 1e-4, "beta": 0.0},
}  # fmt: skip
TINY["stage2"] = {**TINY["stage1"], "tasks": {"needle": 1, "count": 1, "absent": 1}}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(["a big red circle on teal", "when is the star shown?"], 600)


@pytest.fixture
def tiny(tokenizer: Any) -> tuple[Any, Any]:
    return build_nano(tokenizer, width=64, layers=2, vision_width=32, vision_layers=1), build_processor(tokenizer)


def changed(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    after = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def copy(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("stage", ["1", "2"])
def test_supervised_stages_train_the_language_model_and_the_merger(tiny: Any, tmp_path: Path, stage: str) -> None:
    model, processor = tiny
    before = copy(model)
    train_sft(model, processor, TINY, stage, tmp_path)
    names = changed(before, model)
    assert any("language_model.layers.0" in name for name in names)
    assert any("visual.merger" in name for name in names)
    assert not any("visual.blocks" in name for name in names)
    assert json.loads((tmp_path / "final" / "kframes.json").read_text())["candidates"] == 4
    assert "loss" in (tmp_path / "metrics.jsonl").read_text()


def test_lora_trains_an_adapter_only(tiny: Any, tmp_path: Path) -> None:
    model, processor = tiny
    before = copy(model)
    train_sft(model, processor, TINY | {"lora": {"r": 4}}, "2", tmp_path)
    assert not {name for name in changed_base(before, model) if "merger" not in name}
    assert (tmp_path / "final" / "adapter_model.safetensors").is_file()


def changed_base(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    after = {name.replace(".base_layer", ""): value for name, value in model.state_dict().items()}
    return {name for name, value in before.items() if name in after and not torch.equal(value, after[name])}


def test_rl_stage_takes_a_step_and_logs_rewards(tiny: Any, tmp_path: Path) -> None:
    model, processor = tiny
    train_rl(model, processor, TINY, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert any("rewards/of_answer/mean" in line and "rewards/of_format/mean" in line for line in lines)
    assert (tmp_path / "final" / "model.safetensors").is_file()


def test_image_rows_hold_the_prompt_and_the_answer() -> None:
    rows = sft_dataset([3], candidates=5, size=(56, 42), tasks={"needle": 1, "absent": 1}, rows_per_video=3)
    assert len(rows) == 3
    for row in rows:
        content = row["prompt"][0]["content"]
        assert sum(item["type"] == "image" for item in content) == len(row["images"]) == 5
        assert row["images"][0].size == (56, 42)
        assert json.loads(row["completion"][0]["content"][0]["text"]) is not None
    with pytest.raises(ValueError, match="got nedle"):
        sft_dataset([3], candidates=5, size=(56, 42), tasks={"nedle": 1})


def test_drawn_frames_are_candidates_that_cover_the_video() -> None:
    video = sample_video(5)
    frames = drawn_frames(video, 10, (56, 56))
    assert frames.duration == video.duration
    assert frames[0].timestamp == pytest.approx(video.duration / 20)
    assert sum(frame.duration for frame in frames) == pytest.approx(video.duration)


def test_rewards_in_the_form_of_trl() -> None:
    rows, asked = grpo_rows([11], candidates=8, size=(56, 56), fmt=INDEX)
    video, question = asked[0]
    spans = [[(video.scenes[i].start, video.scenes[i].end) for i in q.evidence] for _, q in asked]
    of_answer, of_format = reward_functions(oracle_answerer(spans, [q.answer for _, q in asked]), k=4, fmt=INDEX)
    columns = {key: [rows[0][key]] * 2 for key in ("times", "duration", "question", "answer")}
    start, end = spans[0][0]
    inside = [i for i, time in enumerate(rows[0]["times"]) if start <= time < end] or [0]
    good = f'[{{"start":{inside[0]},"end":{inside[-1] + 1},"priority":"P1","reason":"x"}}]'
    messages = [[{"role": "assistant", "content": good}], [{"role": "assistant", "content": "what?"}]]
    earned = of_answer(messages, **columns)
    assert earned[0] > 0.5
    assert earned[0] >= earned[1]
    assert of_format(messages, **columns) == [1.0, 0.0]
    assert text_of([{"role": "assistant", "content": [{"type": "text", "text": "[]"}]}]) == text_of("[]") == "[]"
    assert question.text in rows[0]["prompt"][0]["content"][-1]["text"]


@pytest.mark.slow
def test_nano_recipe_smoke(tmp_path: Path) -> None:
    """Every stage, and the product works as a selector."""
    from kframes_plugin.selectors.mllm import MLLMSelector

    config = yaml.safe_load((RECIPES / "nano.yaml").read_text())["smoke"]
    folder = run(config, tmp_path)
    assert run(config, tmp_path) == folder  # nothing is done twice
    selector = MLLMSelector.from_pretrained(folder)
    clips = selector(drawn_frames(sample_video(2_000_000), 16, (56, 56)), "the red circle")
    assert isinstance(clips, list)


def true_shapes(tokenizer: Any) -> Any:
    """Qwen2.5-VL-3B's layers, two of each kind, random weights."""
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 2,
            "num_attention_heads": 16, "num_key_value_heads": 2, "pad_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"), "bos_token_id": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 2, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048,
            "fullatt_block_indexes": [1], "patch_size": 14, "spatial_merge_size": 4, "temporal_patch_size": 1,
        },
        image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"), vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config)


@pytest.mark.slow
@pytest.mark.parametrize("lora", [{"r": 8}, None])
def test_one_step_with_the_true_layer_shapes(tokenizer: Any, tmp_path: Path, lora: Any) -> None:
    train_sft(true_shapes(tokenizer), build_processor(tokenizer), TINY | {"lora": lora}, "2", tmp_path)
    train_rl(true_shapes(tokenizer), build_processor(tokenizer), TINY | {"lora": lora}, tmp_path / "rl")
