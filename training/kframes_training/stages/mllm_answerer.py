"""The frozen answerer of stage 3 for pretrained models: an image-text-to-text model, asked for the letter of an option.

The paper's is Qwen2.5-VL-7B. It sees the k frames with their times, the question and its options, and its logits of the
letters are the probabilities that the reward compares.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from kframes_plugin.prompt import frame_content
from kframes_plugin.prompt.choices import LETTERS, write_question
from kframes_plugin.types import Frame
from kframes_training.stages.questions import Asked
from kframes_training.stages.rewards import Answerer


def mllm_answerer(name: str, asked: Sequence[Asked], size: tuple[int, int]) -> Answerer:
    """A frozen model over a list of questions: (timestamps, index of the question) -> p(option).

    Each process of a run on several GPUs loads it on the GPU of its own.

    Args:
        name: hub id or directory of the model.
        asked: the questions.
        size: (width, height) of the frames it sees, pixels.
    """
    device = own_device()
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype, use_safetensors=True).to(device).eval()
    pixels = {"shortest_edge": size[0] * size[1], "longest_edge": size[0] * size[1]}
    processor = AutoProcessor.from_pretrained(name, size=pixels)

    def answer(timestamps: Sequence[float], index: int) -> list[float]:
        question = asked[index]
        return option_probabilities(model, processor, question.show(timestamps, size), question.text, question.options)

    return answer


def own_device() -> str:
    """The device of this process: "cpu", or the GPU that the launcher gave it (LOCAL_RANK), the first one alone."""
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0'))}" if torch.cuda.is_available() else "cpu"


@torch.no_grad()
def option_probabilities(
    model: Any, processor: Any, frames: Sequence[Frame], question: str, options: Sequence[str]
) -> list[float]:
    """p(option) of a multiple-choice question after k frames, from the logits of the options' letters.

    Args:
        model, processor: an image-text-to-text model and its processor.
        frames: what it sees, in time order.
        question: in words.
        options: 2 to 26.

    Returns:
        As many probabilities as options; they add up to 1.

    Raises:
        ValueError: fewer than 2 options or more than there are letters.
    """
    if not options:
        raise ValueError("a multiple-choice question has options; got none")
    text = "\n" + write_question(question, options)
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": [*frame_content(frames), {"type": "text", "text": text}]}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    ).to(model.device, dtype=model.dtype)
    letters = [
        processor.tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in LETTERS[: len(options)]
    ]
    logits = model(**inputs, logits_to_keep=1).logits[0, -1, letters]
    chances: list[float] = logits.float().softmax(-1).tolist()
    return chances
