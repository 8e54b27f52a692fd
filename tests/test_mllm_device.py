"""What a GPU is spared, shown without one: bytes for pictures, a kernel for the tower, logits nobody reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_families
import torch
from PIL import Image
from transformers import AutoProcessor

from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.inputs import made_on
from kframes_plugin.mllm.load import load, set_tower_attention
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import Candidates, Frame

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "smolvlm")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: getattr(tiny_families, name)(root / name) for name in FAMILIES}


def candidates(count: int = 4) -> Candidates:
    images = [Image.new("RGB", (56, 56), (60 * i % 256, 255 - 40 * i % 256, 99)) for i in range(count)]
    return Candidates([Frame(10.0 * i, 10.0, image) for i, image in enumerate(images)], 10.0 * count)


@pytest.mark.parametrize("name", FAMILIES)
def test_pictures_are_made_on_the_device(checkpoints: dict[str, Path], name: str) -> None:
    processor = AutoProcessor.from_pretrained(checkpoints[name])
    meta = torch.device("meta")  # holds shapes alone: what is there was never made on the CPU
    for part in (processor.image_processor, processor.video_processor):
        assert made_on(meta, part) == {"device": "meta"}
        assert made_on(torch.device("cpu"), part) == {}
    pixels = processor.image_processor(
        [candidates()[0].image], return_tensors="pt", **made_on(meta, processor.image_processor)
    )
    assert pixels["pixel_values"].device == meta
    assert made_on(meta, object()) == {}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_tower_alone_gets_another_kernel(checkpoints: dict[str, Path], name: str) -> None:
    model = load(str(checkpoints[name]), device="cpu", dtype="float32").model
    assert model.config.vision_config._attn_implementation == "sdpa"
    before = tower_output(model)
    assert set_tower_attention(model, "eager")
    assert model.config.vision_config._attn_implementation == "eager"
    assert model.get_decoder().config._attn_implementation == "sdpa"
    torch.testing.assert_close(tower_output(model), before, atol=1e-5, rtol=1e-4)


def tower_output(model: torch.nn.Module) -> torch.Tensor:
    """What the tower makes of two pictures of noise."""
    noise = torch.Generator().manual_seed(0)
    tower = model.model.visual if hasattr(model.model, "visual") else model.model.vision_model
    with torch.no_grad():
        if hasattr(model.model, "visual"):
            patch = model.config.vision_config
            width = 3 * patch.temporal_patch_size * patch.patch_size**2
            grid = torch.tensor([[1, 4, 4], [1, 4, 4]])
            return tower(torch.rand(32, width, generator=noise), grid_thw=grid).last_hidden_state
        return tower(torch.rand(2, 3, 56, 56, generator=noise)).last_hidden_state


def test_a_kernel_that_is_not_there_leaves_torchs(checkpoints: dict[str, Path]) -> None:
    model = load(str(checkpoints["qwen2_5_vl"]), device="cpu", dtype="float32").model
    assert not set_tower_attention(model, "flash_attention_2"), "flash-attn needs a GPU"
    assert model.config.vision_config._attn_implementation == "sdpa"


def test_scores_compute_no_logits_and_no_layer_that_nobody_reads(checkpoints: dict[str, Path]) -> None:
    settings = CheckpointSettings(scores_layer=1)
    selector = MLLMSelector.from_pretrained(checkpoints["qwen2_5_vl"], device="cpu", settings=settings)
    ran = []
    layers = selector.model.get_decoder().layers
    for number, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    selector.model.lm_head.register_forward_hook(lambda *_: ran.append("head"))
    scores = selector.frame_scores(candidates(), "a ball")
    assert ran == [0]
    assert len(layers) == 2
    asked = MLLMSelector(selector.model, selector.processor)
    assert not np.array_equal(asked.frame_scores(candidates(), "a ball"), scores)
    assert ran == [0, 0, 1, 0, 1], "the frames, then the query and a mark a frame"
