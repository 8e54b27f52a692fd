"""The trainers on rows of images: nano's whole recipe in small, and one step of the 3B model's true layer shapes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
import yaml
from kframes_training.nano.model import build_nano, build_processor, build_tokenizer
from kframes_training.nano.recipe import run
from kframes_training.sources.synthscenes import sample_video
from kframes_training.stages.data import read_entries
from kframes_training.stages.finetune import load_answerer, load_model, main, train_rl, train_sft
from kframes_training.stages.mllm_answerer import option_probabilities
from kframes_training.stages.questions import DrawnQuestion
from kframes_training.stages.settings import RunSettings
from kframes_training.stages.synthscenes_rows import grpo_rows, paint_candidates
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from kframes_plugin.prompt import PromptFormat

RECIPES = Path(__file__).resolve().parents[1] / "training" / "recipes"
INDEX = PromptFormat(time_format="index", query_position="before", instruction="short")
TRAINER = {
    "max_steps": 1,
    "logging_steps": 1,
    "per_device_train_batch_size": 1,
    "learning_rate": 1e-4,
    "save_strategy": "no",
}
TINY: dict[str, Any] = {
    "data": "synthscenes",
    "frame": [56, 56],
    "kframes": {
        "candidates": 4,
        "frame_size": 56,
        "max_new_tokens": 64,
        "format": {"time_format": "seconds", "query_position": "after", "instruction": "full", "reasons": True},
    },
    "lora": None,
    "stage1": {"videos": [0, 2], "tasks": {"ground": 1, "describe": 1, "score": 1}, "trainer": TRAINER},
    "stage2": {"videos": [0, 2], "tasks": {"needle": 1, "count": 1, "absent": 1}, "trainer": TRAINER},
    # random answers all earn the same, so that only the entropy's term moves the weights
    "stage3": {
        "videos": [0, 1],
        "answerer": "oracle",
        "k": 2,
        "steps": 1,
        "generations": 2,
        "prompts": 1,
        "longest": 8,
        "lr": 1e-4,
        "beta": 0.0,
        "entropy_coef": 0.1,
        "save_strategy": "no",
    },
}


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
    trainer = train_sft(model, processor, TINY | {"lora": {"r": 4}}, "2", tmp_path)
    assert not changed_base(before, trainer.model)
    assert moved_adapters(trainer.model) == {"layers.0", "layers.1", "merger"}
    assert (tmp_path / "final" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "final" / "training_args.bin").exists()


def changed_base(before: dict[str, torch.Tensor], model: Any) -> set[str]:
    """Weights of the model itself that an adapter's training changed."""
    after = {name.replace(".base_layer", ""): value for name, value in model.get_base_model().state_dict().items()}
    assert before.keys() <= after.keys()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def moved_adapters(model: Any) -> set[str]:
    """Where the second matrices of an adapter are no longer zero, as they start."""
    moved = {name for name, value in model.named_parameters() if "lora_B" in name and value.abs().sum() > 0}
    return {place for place in ("layers.0", "layers.1", "merger", "visual.blocks") if any(place in n for n in moved)}


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_rl_stage_takes_a_step_and_logs_rewards(tiny: Any, tmp_path: Path) -> None:
    model, processor = tiny
    before = copy(model)
    train_rl(model, processor, TINY, tmp_path)
    line = logged(tmp_path)[0]
    assert line["rewards/of_format/mean"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert -1 <= line["rewards/of_answer/mean"] <= 1
    assert line["broken_answers"] == 0
    names = changed(before, model)
    assert any("language_model.layers.0" in name for name in names)
    assert any("visual.merger" in name for name in names)
    assert not any("visual.blocks" in name for name in names)
    assert (tmp_path / "final" / "model.safetensors").is_file()


def test_only_a_known_source_of_data(tiny: Any, tmp_path: Path) -> None:
    model, processor = tiny
    config, refused = TINY | {"data": "peakclip"}, r"kind must be one of synthscenes, peakclips, own, .*got 'peakclip'"
    with pytest.raises(ValueError, match=refused):
        train_sft(model, processor, config, "1", tmp_path)
    with pytest.raises(ValueError, match=refused):
        train_rl(model, processor, config, tmp_path)
    with pytest.raises(ValueError, match="got None"):
        read_entries({})


@pytest.fixture(scope="module")
def recipe(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 3B model's own file, with a tiny model, few frames and one step."""
    folder = tmp_path_factory.mktemp("recipe")
    build_nano(tokenizer, width=64, layers=2, vision_width=32, vision_layers=1).save_pretrained(folder / "model")
    build_processor(tokenizer).save_pretrained(folder / "model")
    config = yaml.safe_load((RECIPES / "qwen2_5_vl_3b.yaml").read_text())
    assert config["stage3"]["answerer"] == "Qwen/Qwen2.5-VL-7B-Instruct"  # the paper's
    config |= {"model": str(folder / "model"), "frame": [56, 56]}
    config["kframes"] |= {"candidates": 4, "frame_size": 56}
    for stage in ("stage1", "stage2"):
        config[stage]["videos"] = [0, 2]
        config[stage]["trainer"] |= {
            "max_steps": 1,
            "gradient_accumulation_steps": 1,
            "warmup_steps": 0,
            "logging_steps": 1,
        }
        config[stage]["trainer"]["warmup_steps"] = 0  # the one step counts
        config[stage]["trainer"]["dataloader_num_workers"] = 0
    config["stage3"] |= {"videos": [0, 1], "answerer": "oracle", "steps": 1, "generations": 2, "longest": 8}
    config["stage3"]["gradient_accumulation_steps"] = 2
    (folder / "recipe.yaml").write_text(yaml.safe_dump(config))
    return folder


def stages(recipe: Path, out: Path, *more: str) -> None:
    """All three stages from the command line, each from the one before."""
    file = str(recipe / "recipe.yaml")
    main([file, "--stage", "1", "--out", str(out / "1"), *more])
    main([file, "--stage", "2", "--model", str(out / "1" / "final"), "--out", str(out / "2"), *more])
    main([file, "--stage", "3", "--model", str(out / "2" / "final"), "--out", str(out / "3"), *more])
    for stage in "123":
        lines = logged(out / stage)
        assert math.isfinite(next(line["loss"] for line in lines if "loss" in line))
        assert json.loads((out / stage / "final" / "kframes.json").read_text())["candidates"] == 4


def test_the_recipe_trains_all_weights_from_the_command_line(recipe: Path, tmp_path: Path) -> None:
    stages(recipe, tmp_path, "--full")
    final = load_model(str(tmp_path / "3" / "final"), full=True)
    start = load_model(str(recipe / "model"), full=True)
    names = changed(copy(start), final)
    assert any("language_model.layers.1" in name for name in names)
    assert not any("visual.blocks" in name for name in names)


def test_the_recipe_trains_one_adapter_through_all_stages(recipe: Path, tmp_path: Path) -> None:
    from kframes_plugin.selectors.mllm import MLLMSelector

    stages(recipe, tmp_path)
    start = copy(load_model(str(recipe / "model"), full=True))
    trained = load_model(str(tmp_path / "3" / "final"), full=False)
    assert not changed_base(start, trained)
    assert moved_adapters(trained) == {"layers.0", "layers.1", "merger"}
    assert not (tmp_path / "3" / "final" / "ref").exists()
    merged = load_model(str(tmp_path / "3" / "final"), full=True)
    assert any("language_model" in name for name in changed(start, merged))
    selector = MLLMSelector.from_pretrained(tmp_path / "3" / "final")
    assert isinstance(selector(paint_candidates(sample_video(3), 4, (56, 56)), "the red circle"), list)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("full", ["", "1"])
def test_the_shell_file_runs_under_accelerate(recipe: Path, tmp_path: Path, full: str) -> None:
    settings = {"CONFIG": str(recipe / "recipe.yaml"), "OUT": str(tmp_path), "GPUS": "1", "CPU": "1", "PRECISION": "no"}
    settings |= {"FULL": full} if full else {}
    subprocess.run(["bash", RECIPES / "qwen2_5_vl_3b.sh"], env=os.environ | settings, check=True)
    weights = "model.safetensors" if full else "adapter_model.safetensors"
    assert (tmp_path / "stage3" / "final" / weights).is_file()


def test_the_sharding_file_is_read_by_accelerate() -> None:
    import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl as modeling
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(RECIPES / "fsdp.yaml"))
    assert config.distributed_type == "FSDP"
    assert config.num_processes == 8
    for name in config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(","):
        assert issubclass(getattr(modeling, name), torch.nn.Module)


def test_settings_of_a_run(tmp_path: Path) -> None:
    run = RunSettings(tmp_path, steps=3, lr=0.1, log_every=2)
    assert run.arguments()["max_steps"] == 3
    assert run.arguments(max_steps=5, beta=0.0) == run.arguments() | {"max_steps": 5, "beta": 0.0}
    assert run.arguments()["bf16"] is torch.cuda.is_available()
    assert RunSettings(tmp_path, steps=3, lr=0.1, bf16=True).arguments()["bf16"] is True


def test_a_model_by_name_answers_questions(recipe: Path) -> None:
    _, asked = grpo_rows([11], candidates=4, size=(56, 56))
    answer = load_answerer(str(recipe / "model"), [DrawnQuestion(*one) for one in asked], (56, 56))
    chances = answer([1.0, 7.5], 0)
    assert len(chances) == len(asked[0][1].options) == 4
    assert sum(chances) == pytest.approx(1)
    assert answer([1.0, 7.5], 0) == chances
    assert answer([100.0, 120.0], 0) != chances  # it looks at the frames
    with pytest.raises(ValueError, match="2 to 26 options, or none; got 1"):
        option_probabilities(None, None, [], "?", ["yes"])


def test_nano_recipe_smoke(tmp_path: Path) -> None:
    """Every stage from the command line (40 s), and the product works as a selector; nothing is done twice."""
    from kframes_plugin.selectors.mllm import MLLMSelector

    command = ["bash", str(RECIPES / "nano.sh"), "--smoke", "--alone"]
    env = os.environ | {"OUT": str(tmp_path), "PYTHON": sys.executable}
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=280)
    folder = tmp_path / "final"
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert run(yaml.safe_load((RECIPES / "nano.yaml").read_text())["smoke"], tmp_path, alone=True) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert {"stage1", "stage2", "stage2-alone", "answerer", "grpo"} <= {path.name for path in tmp_path.iterdir()}
    selector = MLLMSelector.from_pretrained(folder)
    clips = selector(paint_candidates(sample_video(2_000_000), 16, (56, 56)), "the red circle")
    assert isinstance(clips, list)


def true_shapes(tokenizer: Any) -> tuple[Any, Any]:
    """Qwen2.5-VL-3B's layers, two of each kind, random weights; and a processor with its patches."""
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 2,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "pad_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "bos_token_id": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "fullatt_block_indexes": [1],
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    sizes = {"size": {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes),
        chat_template=tokenizer.chat_template,
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", ["1", "2", "3"])
@pytest.mark.parametrize("lora", [{"r": 8}, None])
def test_one_step_with_the_true_layer_shapes(tokenizer: Any, tmp_path: Path, stage: str, lora: Any) -> None:
    """A step of every stage: 10 GB of memory with full weights."""
    model, processor = true_shapes(tokenizer)
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(5.6e8, rel=0.1)
    before = copy(model)
    config = TINY | {"lora": lora}
    if stage == "3":
        trainer = train_rl(model, processor, config, tmp_path)
    else:
        trainer = train_sft(model, processor, config, stage, tmp_path)
    loss = next(line["loss"] for line in logged(tmp_path) if "loss" in line)
    assert math.isfinite(loss)
    if lora:
        assert not changed_base(before, trainer.model)
        assert moved_adapters(trainer.model) == {"layers.0", "layers.1", "merger"}
        return
    still = before.keys() - changed(before, trainer.model)
    assert {name for name in still if "visual.blocks" in name or "patch_embed" in name} == still
    assert any("visual.blocks.1" in name for name in still)
