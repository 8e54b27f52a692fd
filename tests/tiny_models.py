"""Tiny multimodal models with random weights, built offline in a second each and saved like any checkpoint.

Each builder takes an empty directory and returns it: config, safetensors, tokenizer, processor and chat template, as
``save_pretrained`` writes them. They are real models of their families, so every code path but skill is the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from kframes_plugin.prompt import RELEVANCE

# One line a message part, as the families' own templates do it; only the marks differ.
_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}IMAGE{% else %}{{ item['text'] }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_QWEN_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
_QWEN_TEMPLATE = _TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
_CORPUS = [
    '[{"start":12.5,"end":20.0,"priority":"P1","reason":"the ball crosses the line"}]',
    '[{"start":3,"end":9,"priority":"P2","reason":"players walk"}]',
    "Which clips of the video must be seen to answer this query? Answer with nothing but a JSON list of clips.",
    "These are 8 frames of a video of 60.0 seconds. Before each frame stands its time. <12.5 seconds>",
]


def tokenizer(extra_tokens: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: any text can be written, digits and punctuation stay single."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *extra_tokens]
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=extra_tokens,
    )


def qwen2_5_vl(path: Path, *, seed: int = 0, layers: int = 2) -> Path:
    """Qwen2.5-VL: LM 2 x 64, vision 2 x 32, patches of 14 pixels merged 2 x 2."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer(_QWEN_TOKENS)
    config = Qwen2_5_VLConfig(
        text_config=_text(words, layers, {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],  # the default names layers 7 to 31: a shallow tower would have none
        },
        tie_word_embeddings=True,
        **_qwen_ids(words),
    )
    # sizes are pixel areas; the defaults blow a small frame up
    sizes = {"shortest_edge": 28 * 28, "longest_edge": 224 * 224}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=sizes),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(size=sizes),
        chat_template=_QWEN_TEMPLATE,
    )
    return _save(path, seed, Qwen2_5_VLForConditionalGeneration, config, processor)


def qwen3_vl(path: Path, *, seed: int = 0) -> Path:
    """Qwen3-VL: LM 2 x 64, vision 2 x 32, one deepstack layer; the processor has the family's large default sizes."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    words = tokenizer(_QWEN_TOKENS)
    rope = {"rope_type": "default", "mrope_section": [3, 3, 2], "mrope_interleaved": True, "rope_theta": 1e4}
    config = Qwen3VLConfig(
        text_config={**_text(words, 2, rope), "head_dim": 16},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
        },
        tie_word_embeddings=True,
        **_qwen_ids(words),
    )
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 65536, "longest_edge": 16777216}),
        tokenizer=words,
        video_processor=Qwen3VLVideoProcessor(),
        chat_template=_QWEN_TEMPLATE,
    )
    return _save(path, seed, Qwen3VLForConditionalGeneration, config, processor)


def idefics3(path: Path, *, seed: int = 0) -> Path:
    """Idefics3 (the family of SmolVLM): a Llama of 2 x 64, vision 2 x 32; cuts large images up unless told not to."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessor, Idefics3Processor

    words = tokenizer(["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"])
    text = {**_text(words, 2, {"rope_type": "default", "rope_theta": 1e4}), "model_type": "llama"}
    config = Idefics3Config(
        text_config=text,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=True,
        scale_factor=2,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size={"longest_edge": 224}, max_image_size={"longest_edge": 56}),
        tokenizer=words,
        image_seq_len=4,  # (56 / 14 / 2) ** 2
        chat_template=_TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _save(path, seed, Idefics3ForConditionalGeneration, config, processor)


def lora_adapter(path: Path, base: Path, *, seed: int = 1) -> Path:
    """A PEFT adapter directory on a base checkpoint; its weights are random too, so it changes what is written."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(base)
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(model, lora).save_pretrained(path)
    return path


def teach(path: Path, prompt: list[dict[str, Any]], answer: str, *, steps: int = 400) -> float:
    """Train a saved checkpoint until it writes one constant answer to a prompt; saves it; returns the last loss."""
    return teach_all(path, [(prompt, answer)], steps=steps)


def teach_all(path: Path, lessons: Sequence[tuple[list[dict[str, Any]], str]], *, steps: int = 400) -> float:
    """Train a saved checkpoint until it writes to every prompt its answer; saves it; returns the last loss."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(path)
    processor = AutoProcessor.from_pretrained(path)
    batch = [_lesson(processor, prompt, answer) for prompt, answer in lessons]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = torch.tensor(float("inf"))
    for _ in range(steps):
        loss = torch.stack([model(**inputs).loss for inputs in batch]).mean()
        if loss < 0.02:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(path)
    return float(loss.detach())


def _lesson(processor: Any, prompt: list[dict[str, Any]], answer: str) -> dict[str, Any]:
    """The inputs and labels of a prompt with its answer."""
    start = _tokens(processor, prompt, add_generation_prompt=True)
    ids = processor.tokenizer(answer + "<|im_end|>", return_tensors="pt")["input_ids"]
    whole = {**start, "input_ids": torch.cat([start["input_ids"], ids], dim=1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    if "mm_token_type_ids" in whole:
        whole["mm_token_type_ids"] = torch.cat([start["mm_token_type_ids"], torch.zeros_like(ids)], dim=1)
    labels = whole["input_ids"].clone()
    labels[:, : start["input_ids"].shape[1]] = -100
    return {**whole, "labels": labels}


def teach_frames(
    path: Path, lessons: Sequence[tuple[list[dict[str, Any]], Sequence[str]]], *, layer: int, steps: int = 200
) -> float:
    """Train a saved checkpoint until it calls every frame by its word, read after ``layer`` layers; the last loss.

    A lesson is a prompt and a word of RELEVANCE for each of its frames; words are added as tokens where they are not.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(path)
    processor = AutoProcessor.from_pretrained(path)
    processor.tokenizer.add_tokens(list(RELEVANCE))
    model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
    batch = []
    for prompt, words in lessons:
        inputs = _tokens(processor, prompt, add_generation_prompt=True)
        ids = inputs["input_ids"][0]
        images = ids == model.config.image_token_id
        ends = [at for at in range(len(ids) - 1) if images[at] and not images[at + 1]]
        batch.append((inputs, ends, torch.tensor(processor.tokenizer.convert_tokens_to_ids(list(words)))))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = torch.tensor(float("inf"))
    for _ in range(steps):
        losses = []
        for inputs, ends, labels in batch:
            states = model.model(**inputs, output_hidden_states=True).hidden_states[layer][0, ends]
            logits = model.lm_head(model.model.language_model.norm(states))
            losses.append(torch.nn.functional.cross_entropy(logits, labels))
        loss = torch.stack(losses).mean()
        if loss < 0.02:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return float(loss.detach())


def _tokens(processor: Any, messages: list[dict[str, Any]], **options: Any) -> dict[str, torch.Tensor]:
    return dict(
        processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt", **options)
    )


def _text(words: PreTrainedTokenizerFast, layers: int, rope: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": len(words),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "rope_parameters": rope,
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "tie_word_embeddings": True,
    }


def _qwen_ids(words: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
    }
    return {key: words.convert_tokens_to_ids(token) for key, token in names.items()}


def _save(path: Path, seed: int, kind: Any, config: Any, processor: Any) -> Path:
    torch.manual_seed(seed)
    model = kind(config)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path
