"""Multimodal models with random weights, in the shapes of public ones: they cost what these cost and say nothing.

Nothing is downloaded. The tokenizer is trained here on a line of text, so a prompt has more text tokens than with the
family's own; the tokens of pictures are the family's.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

TEXT = 'These are 256 frames of a video of 600.0 seconds. <12.5 seconds> [{"start":12.5,"end":20.0,"priority":"P1"}]'
MARKS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif item['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ item['text'] }}"
    "{% endif %}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
KINDS = {
    "qwen2.5-vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2VLVideoProcessor),
    "qwen3-vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor, Qwen3VLVideoProcessor),
}
PATCH = {"qwen2.5-vl": 14, "qwen3-vl": 16}


def _text(width: int, inner: int, layers: int, heads: int, groups: int, sections: list[int]) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}
    sizes = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    names = {"num_attention_heads": heads, "num_key_value_heads": groups, "rope_parameters": rope}
    return {**sizes, **names, "vocab_size": 151_936, "max_position_embeddings": 128_000}


def _vision(width: int, inner: int, depth: int, heads: int, out: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": width, "intermediate_size": inner, "depth": depth, "num_heads": heads}
    return {**sizes, "out_hidden_size": out, **more}


LOUD = {"initializer_range": 0.6}  # with the usual .02 a model of two layers says the same to every query
# Sizes from the configs that the public checkpoints have. "tiny" runs on any CPU in seconds.
SHAPES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "tiny": (
        "qwen2.5-vl",
        {**_text(64, 128, 2, 4, 2, [2, 3, 3]), "vocab_size": 512, **LOUD},
        _vision(32, 64, 2, 2, 64, fullatt_block_indexes=[1], **LOUD),
    ),
    "qwen2.5-vl-3b": (
        "qwen2.5-vl",
        _text(2048, 11_008, 36, 16, 2, [16, 24, 24]),
        _vision(1280, 3420, 32, 16, 2048, fullatt_block_indexes=[7, 15, 23, 31]),
    ),
    "qwen3-vl-2b": (
        "qwen3-vl",
        {**_text(2048, 6144, 28, 16, 8, [24, 20, 20]), "head_dim": 128},
        _vision(1024, 4096, 24, 16, 2048, deepstack_visual_indexes=[5, 11, 17], num_position_embeddings=2304),
    ),
}


def build_model(shape: str, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """A model of a shape with random weights (seed 0), on its device, and its processor."""
    family, text, vision = SHAPES[shape]
    config_kind, model_kind, processor_kind, video_kind = KINDS[family]
    words = build_tokenizer()
    names = {"vision_start": MARKS[0], "vision_end": MARKS[1], "image": MARKS[2], "video": MARKS[3]}
    ids = {f"{name}_token_id": words.convert_tokens_to_ids(mark) for name, mark in names.items()}
    text = {**text, "bos_token_id": None, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    config = config_kind(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = model_kind(config).eval()
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = None  # every answer has its longest length
    model.generation_config.pad_token_id = words.pad_token_id
    areas = {"shortest_edge": (2 * PATCH[family]) ** 2, "longest_edge": 2**24}
    processor = processor_kind(
        image_processor=Qwen2VLImageProcessor(patch_size=PATCH[family], size=areas),
        tokenizer=words,
        video_processor=video_kind(),
        chat_template=TEMPLATE,
    )
    return model, processor


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that can write any text; digits and punctuation stay single."""
    core = Tokenizer(models.BPE())
    parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()]
    core.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *MARKS]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=MARKS
    )
