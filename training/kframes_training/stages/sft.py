"""Stages 1 and 2: supervised training with TRL's SFTTrainer on rows of ``images``, ``prompt`` and ``completion``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trl import SFTTrainer

from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, build_messages, split_images
from kframes_plugin.types import Frame


def sft_row(frames: Sequence[Frame], query: str, answer: str, fmt: PromptFormat = DEFAULT_FORMAT) -> dict[str, Any]:
    """One row for SFTTrainer: the prompt of :mod:`kframes_plugin.prompt`, and the answer as completion."""
    prompt, images = split_images(build_messages(frames, query, fmt))
    completion = [{"role": "assistant", "content": [{"type": "text", "text": answer}]}]
    return {"prompt": prompt, "completion": completion, "images": images}


class ResumesVisionModels:
    """Mix into a trainer: resume through ``from_pretrained``.

    save_pretrained renames the weights of a Qwen2.5-VL, and transformers 5.23 resumes by bare name, so that it would go
    on with weights at their start (it only warns).
    """

    model: Any

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = model if model is not None else self.model
        if hasattr(target, "peft_config"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        saved = type(target).from_pretrained(resume_from_checkpoint, dtype=next(target.parameters()).dtype)
        target.load_state_dict(saved.state_dict())


class ClipSFTTrainer(ResumesVisionModels, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that resumes Qwen2.5-VL models."""
