"""Tiny random checkpoints of the families that read videos, each with the video marks of the family's own template.

As ``tiny_models``: real classes of transformers, a tokenizer trained here, saved by ``save_pretrained``. Frames are
read at small sizes so that a test takes a second; what the processors write for a frame is the families' own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny_models
from tiny_models import _QWEN_TOKENS, _qwen_ids, _save, _text
from transformers import PreTrainedTokenizerFast

ROPE = {"rope_type": "default", "rope_theta": 1e4}
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
AREAS = {"shortest_edge": 28 * 28, "longest_edge": 224 * 224}  # the Qwen and GLM families say sizes in pixels

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}IMAGE{% elif item['type'] == 'video' %}VIDEO"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def template(image: str, video: str) -> str:
    return TEMPLATE.replace("IMAGE", image).replace("VIDEO", video)


QWEN_TEMPLATE = template("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>")
GLM_TEMPLATE = template("<|begin_of_image|><|image|><|end_of_image|>", "<|begin_of_video|><|video|><|end_of_video|>")
GLM_TOKENS = [f"<|{mark}_of_{kind}|>" for kind in ("image", "video") for mark in ("begin", "end")]


def named_tokenizer(extra: list[str], **named: str) -> PreTrainedTokenizerFast:
    """A tokenizer with special tokens that processors look up by name (``tokenizer.image_token`` ...)."""
    words = tiny_models.tokenizer([*extra, *named.values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=words.backend_tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=named,
    )


def qwen2_5_vl(path: Path) -> Path:
    return _with_template(tiny_models.qwen2_5_vl(path), QWEN_TEMPLATE)


def qwen3_vl(path: Path) -> Path:
    return _with_template(tiny_models.qwen3_vl(path), QWEN_TEMPLATE, video_size={"shortest_edge": 4096})


def qwen2_vl(path: Path) -> Path:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tiny_models.tokenizer(_QWEN_TOKENS)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2}
    config = Qwen2VLConfig(
        text_config=_text(words, 2, rope), vision_config=vision, tie_word_embeddings=True, **_qwen_ids(words)
    )
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=AREAS),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(size=AREAS),
        chat_template=QWEN_TEMPLATE,
    )
    return _save(path, 0, Qwen2VLForConditionalGeneration, config, processor)


def smolvlm(path: Path) -> Path:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    words = tiny_models.tokenizer(
        ["<fake_token_around_image>", "<image>", "<video>", "<end_of_utterance>", "<global-img>"]
    )
    config = SmolVLMConfig(
        text_config={**_text(words, 2, ROPE), "model_type": "llama"},
        vision_config={**VISION, "image_size": 56, "patch_size": 14},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=True,
        scale_factor=2,
    )
    sampling = {"max_frames": 64, "fps": 1, "video_size": {"longest_edge": 56}}
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size={"longest_edge": 224}, max_image_size={"longest_edge": 56}),
        tokenizer=words,
        video_processor=SmolVLMVideoProcessor(
            size={"longest_edge": 56}, max_image_size={"longest_edge": 56}, video_sampling=sampling
        ),
        image_seq_len=4,  # (56 / 14 / 2) ** 2
        chat_template=template("<image>", "<video>"),
    )
    return _save(path, 0, SmolVLMForConditionalGeneration, config, processor)


def llava_onevision(path: Path) -> Path:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    words = tiny_models.tokenizer(["<image>", "<video>"])
    square, pinpoints = {"height": 56, "width": 56}, [[56, 56], [56, 112], [112, 56], [112, 112]]
    config = LlavaOnevisionConfig(
        text_config={**_text(words, 2, ROPE), "model_type": "qwen2"},
        vision_config={**VISION, "model_type": "siglip_vision_model", "image_size": 56, "patch_size": 14},
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1,
        image_grid_pinpoints=pinpoints,
        tie_word_embeddings=True,
    )
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=square, image_grid_pinpoints=pinpoints),
        tokenizer=words,
        video_processor=LlavaOnevisionVideoProcessor(size=square),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template("<image>\n", "<video>\n"),
    )
    return _save(path, 0, LlavaOnevisionForConditionalGeneration, config, processor)


def internvl(path: Path) -> Path:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    words = named_tokenizer(
        [],
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    square = {"height": 56, "width": 56}
    config = InternVLConfig(
        text_config={**_text(words, 2, ROPE), "model_type": "qwen2"},
        vision_config={**VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=True,
    )
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=square),
        tokenizer=words,
        video_processor=InternVLVideoProcessor(size=square),
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>\n", "<video>\n"),
    )
    return _save(path, 0, InternVLForConditionalGeneration, config, processor)


def gemma3(path: Path) -> Path:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessor, Gemma3Processor

    words = named_tokenizer(
        [], image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>"
    )
    text = {**_text(words, 2, None), "head_dim": 16}
    del text["rope_parameters"]
    config = Gemma3Config(
        text_config=text,
        vision_config={**VISION, "model_type": "siglip_vision_model", "image_size": 56, "patch_size": 14},
        mm_tokens_per_image=4,
        image_token_index=words.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=words.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=words.convert_tokens_to_ids("<end_of_image>"),
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 56, "width": 56}),
        tokenizer=words,
        image_seq_length=4,
        chat_template=template("<start_of_image>", ""),
    )
    return _save(path, 0, Gemma3ForConditionalGeneration, config, processor)


def gemma4(path: Path) -> Path:
    from transformers import (
        Gemma4AudioFeatureExtractor,
        Gemma4Config,
        Gemma4ForConditionalGeneration,
        Gemma4ImageProcessor,
        Gemma4Processor,
        Gemma4VideoProcessor,
    )

    words = named_tokenizer(
        ["<|video|>"],
        image_token="<|image|>",
        boi_token="<|image>",
        eoi_token="<image|>",
        audio_token="<|audio|>",
        boa_token="<|audio>",
        eoa_token="<audio|>",
    )
    text = {**_text(words, 2, None), "head_dim": 16, "global_head_dim": 16, "hidden_size_per_layer_input": 8}
    del text["rope_parameters"]
    names = ("image_token_id", "video_token_id", "boi_token_id", "eoi_token_id")
    ids = dict(zip(names, words.convert_tokens_to_ids(["<|image|>", "<|video|>", "<|image>", "<image|>"]), strict=True))
    heads = {"num_key_value_heads": 2, "head_dim": 16, "patch_size": 16, "position_embedding_size": 512}
    config = Gemma4Config(
        text_config={
            **text,
            "vocab_size_per_layer_input": len(words),
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={**VISION, **heads},
        audio_config=None,
        **ids,
        audio_token_id=words.convert_tokens_to_ids("<|audio|>"),
        boa_token_id=words.convert_tokens_to_ids("<|audio>"),
        eoa_token_index=words.convert_tokens_to_ids("<audio|>"),
    )
    processor = Gemma4Processor(
        feature_extractor=Gemma4AudioFeatureExtractor(),
        image_processor=Gemma4ImageProcessor(max_soft_tokens=70),
        tokenizer=words,
        video_processor=Gemma4VideoProcessor(max_soft_tokens=70),
        image_seq_length=70,
        chat_template=template("\n\n<|image|>\n\n", "\n\n<|video|>\n\n"),
    )
    return _save(path, 0, Gemma4ForConditionalGeneration, config, processor)


def glm4v(path: Path) -> Path:
    from transformers import (
        Glm4vConfig,
        Glm4vForConditionalGeneration,
        Glm4vImageProcessor,
        Glm4vProcessor,
        Glm4vVideoProcessor,
    )

    return _glm(
        path, Glm4vConfig, Glm4vForConditionalGeneration, Glm4vProcessor, Glm4vImageProcessor, Glm4vVideoProcessor
    )


def glm46v(path: Path) -> Path:
    from transformers import (
        Glm46VConfig,
        Glm46VForConditionalGeneration,
        Glm46VImageProcessor,
        Glm46VProcessor,
        Glm46VVideoProcessor,
    )

    return _glm(
        path, Glm46VConfig, Glm46VForConditionalGeneration, Glm46VProcessor, Glm46VImageProcessor, Glm46VVideoProcessor
    )


def _glm(path: Path, config_kind: Any, model: Any, kind: Any, images: Any, videos: Any) -> Path:
    words = named_tokenizer(GLM_TOKENS, image_token="<|image|>", video_token="<|video|>")
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4, "partial_rotary_factor": 1.0}
    ids = {
        f"{name}_token_id": words.convert_tokens_to_ids(token)
        for name, token in {
            "image": "<|image|>",
            "video": "<|video|>",
            "image_start": "<|begin_of_image|>",
            "image_end": "<|end_of_image|>",
            "video_start": "<|begin_of_video|>",
            "video_end": "<|end_of_video|>",
        }.items()
    }
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64, "num_heads": 2}
    config = config_kind(
        text_config={**_text(words, 2, rope), "model_type": "glm4v_text"},
        vision_config={**vision, "model_type": "glm4v_vision", "image_size": 56},
        tie_word_embeddings=True,
        **ids,
    )
    processor = kind(
        image_processor=images(size=AREAS),
        tokenizer=words,
        video_processor=videos(size=AREAS),
        chat_template=GLM_TEMPLATE,
    )
    return _save(path, 0, model, config, processor)


def _with_template(path: Path, chat_template: str, video_size: dict[str, int] | None = None) -> Path:
    """A checkpoint of ``tiny_models`` with a template that has a place for videos too."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(path)
    processor.chat_template = chat_template
    if video_size is not None:
        processor.video_processor.size = {**dict(processor.video_processor.size), **video_size}
    processor.save_pretrained(path)
    return path


FAMILIES = {
    "qwen2_5_vl": "clips",
    "qwen2_vl": "clips",
    "qwen3_vl": "pairs",
    "glm4v": "pairs",
    "glm46v": "pairs",
    "smolvlm": "native",
    "gemma4": "native",
    "llava_onevision": "preamble",
    "internvl": "preamble",
    "gemma3": "interleaved",
}
