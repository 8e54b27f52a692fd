"""nano: a tiny Qwen2.5-VL, its tokenizer and its processor, built from nothing.

It is a plain ``Qwen2_5_VLForConditionalGeneration``: everything that serves the 3B model serves it. One frame is
56 x 56 pixels, 16 patches, merged into *one* token (Qwen merges 2 x 2, nano 4 x 4), so that 64 candidates with their
times make 128 tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from kframes_plugin.prompt import RELEVANCE

FRAME = 56  # pixels, width and height of a frame as nano sees it
PATCH, MERGE = 14, 4
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# The fixed parts of the wire form are one token each: an answer of one clip is a dozen tokens to write.
WIRE = (
    "[]",
    '[{"start":',
    ',"end":',
    ',"priority":"P1","reason":"',
    ',"priority":"P2","reason":"',
    '"},{"start":',
    '"}]',
)
FAST_PAIRS = 5  # of the 16 rotary pairs of a head: those that turn more than a radian in 80 tokens
INTEGERS = 257  # 0 to 256 are single tokens, so a time is one copy

# Qwen's, without the marks around an image (half of all tokens, and nothing is read there) and the system prompt.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}<|image_pad|>"
    "{% elif item['type'] == 'text' %}{{ item['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer(texts: Iterable[str], vocab_size: int = 1200) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer for the language of ``texts``; any other text is spelt in smaller pieces.

    Words carry their leading space, punctuation marks stand alone, integers 0 to 256 and the fixed parts of the
    wire form are single tokens.
    """
    bpe = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|\d{1,3}|\s|[^\sA-Za-z\d]"), "isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    numbers = [str(number) for number in range(INTEGERS)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*texts, *[*numbers, "user", "assistant"] * 20_000], trainer)
    # not Qwen2TokenizerFast: it would be loaded again with Qwen's own splitting, which takes numbers apart
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None, bos_token=None
    )
    tokenizer.add_tokens([*WIRE, *RELEVANCE])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLProcessor:
    """The processor that turns a picture into the 16 patches of a 56 x 56 square; KFrames sends square ones."""
    pixels = {"shortest_edge": FRAME * FRAME, "longest_edge": FRAME * FRAME}
    sizes: dict[str, Any] = {
        "size": pixels,
        "patch_size": PATCH,
        "temporal_patch_size": 1,
        "merge_size": MERGE,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes),
        chat_template=CHAT_TEMPLATE,
    )


def nano_config(
    tokenizer: PreTrainedTokenizerFast,
    *,
    width: int = 192,
    layers: int = 6,
    vision_width: int = 96,
    vision_layers: int = 4,
) -> Qwen2_5_VLConfig:
    """The shape of nano: 6 x 192 language model with heads of 32, 4 x 96 vision tower; 5.9 M parameters."""
    token = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": width * 8 // 3,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 32,
        "num_key_value_heads": width // 32,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
    }
    vision = {
        "depth": vision_layers,
        "hidden_size": vision_width,
        "intermediate_size": vision_width * 8 // 3,
        "num_heads": vision_width // 32,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 1,
        "window_size": FRAME * 2,
        "out_hidden_size": width,
        "fullatt_block_indexes": list(range(vision_layers)),  # the default names layers that are not there
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def build_nano(tokenizer: PreTrainedTokenizerFast, seed: int = 0, **shape: int) -> Qwen2_5_VLForConditionalGeneration:
    """nano with fresh weights, scaled so that it trains.

    The standard deviation of embeddings is .05, that of linear layers 1/sqrt(fan_in); keys begin as queries.
    """
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(nano_config(tokenizer, **shape))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(model.get_input_embeddings().weight, std=0.05)
    model.tie_weights()
    for layer in model.model.language_model.layers:
        _like_attends_to_like(layer.self_attn)
    return model


def _like_attends_to_like(attention: Any) -> None:
    """Start with keys = queries; half of the heads compare by the slowly turning pairs of the rotary embedding only.

    The fast pairs turn many times between a frame and the query, so there a match looks like chance. The other heads
    keep all pairs: they find what stands next to a token.
    """
    heads, size = attention.config.num_attention_heads, attention.head_dim
    gain = torch.full((size // 2,), 0.1)
    gain[FAST_PAIRS:] = (size / 2 / (size / 2 - FAST_PAIRS)) ** 0.5
    weight = attention.q_proj.weight.data.view(heads, size, -1)
    weight[: (heads + 1) // 2].mul_(torch.cat([gain, gain]).view(1, -1, 1))
    attention.k_proj.weight.data.copy_(attention.q_proj.weight.data)


def cut_patches(pictures: NDArray[np.uint8]) -> Tensor:
    """What nano's image processor makes of 56 x 56 pictures, at once: uint8 (n, 56, 56, 3) -> float (n, 16, 588)."""
    count, grid = len(pictures), FRAME // PATCH
    x = torch.from_numpy(np.ascontiguousarray(pictures)).to(torch.float32).div_(255).sub_(0.5).div_(0.25)
    x = x.view(count, grid, PATCH, grid, PATCH, 3).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(count, grid * grid, 3 * PATCH * PATCH)


def frame_tokens(model: Qwen2_5_VLForConditionalGeneration, patches: Tensor) -> Tensor:
    """The vision token of every frame: (n, 16, 588) -> (n, width).

    The same as ``model.model.visual`` with one image a row, which loops over the images (a test compares them).
    """
    visual = model.model.visual
    count, length, _ = patches.shape
    grid = FRAME // PATCH
    rows = torch.arange(length, device=patches.device)
    cos, sin = visual.rotary_pos_emb(patches, torch.stack([rows // grid, rows % grid], dim=-1))
    x = nn.functional.linear(
        patches.to(visual.patch_embed.proj.weight.dtype), visual.patch_embed.proj.weight.flatten(1)
    )
    for block in visual.blocks:
        q, k, v = block.attn.qkv(block.norm1(x)).view(count, length, 3, block.attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + block.attn.proj(mixed.transpose(1, 2).reshape(count, length, -1))
        x = x + block.mlp(block.norm2(x))
    merged: Tensor = visual.merger(x.reshape(count * length, -1))
    return merged


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin
