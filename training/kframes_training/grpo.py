"""Stage 3: GRPO with TRL's GRPOTrainer on rows of ``images``; the reward is the frozen answerer's.

The policy writes clips for the question; the library's allocation turns them into k timestamps; the answerer sees
those frames; rewards.py turns its p(option) into a number. No clip labels are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import ProcessorMixin
from trl import GRPOConfig, GRPOTrainer

from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, build_messages, split_images
from kframes_plugin.types import Frame, Strategy
from kframes_training.rewards import TAU, Answerer, answer_reward, format_reward, frames_of_answer
from kframes_training.sft import JsonlLog, ResumesVisionModels


class ClipGRPOTrainer(ResumesVisionModels, GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer that resumes Qwen2.5-VL models."""


RewardFunction = Callable[..., list[float]]
# What a model must not write; where a tokenizer has them
FORBIDDEN = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|im_start|>")


def grpo_row(frames: Sequence[Frame], query: str, question: int, answer: int, duration: float,
             fmt: PromptFormat = DEFAULT_FORMAT) -> dict[str, Any]:  # fmt: skip
    """One row of stage 3.

    Args:
        frames: the candidates.
        query: what the selector is asked: the question, without its options.
        question: its index, for the answerer.
        answer: index of the right option.
        duration: of the video, seconds.
        fmt: how the policy reads and writes.
    """
    prompt, images = split_images(build_messages(frames, query, fmt))
    times = [frame.timestamp for frame in frames]
    return {
        "prompt": prompt,
        "images": images,
        "times": times,
        "duration": duration,
        "question": question,
        "answer": answer,
    }


def reward_functions(
    answerer: Answerer,
    *,
    k: int = 8,
    tau: float = TAU,
    fmt: PromptFormat = DEFAULT_FORMAT,
    strategy: Strategy = "focused",
) -> list[RewardFunction]:
    """The two rewards in TRL's form: of the answer (-1 to 1), and of the format (0 to 1)."""

    def of_answer(
        completions: list[Any], *, times: Any, duration: Any, question: Any, answer: Any, **_: Any
    ) -> list[float]:
        earned = []
        for text, seconds, length, index, right in zip(
            map(text_of, completions), times, duration, question, answer, strict=True
        ):
            chosen = frames_of_answer(text, length, k, fmt=fmt, times=seconds, strategy=strategy)
            earned.append(answer_reward(answerer(chosen, index), right, tau=tau))
        return earned

    def of_format(completions: list[Any], *, times: Any, duration: Any, **_: Any) -> list[float]:
        return [
            format_reward(text, length, fmt=fmt, times=seconds)
            for text, seconds, length in zip(map(text_of, completions), times, duration, strict=True)
        ]

    return [of_answer, of_format]


def text_of(completion: Any) -> str:
    """The text of a completion, which TRL gives as a string or as messages."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def train_grpo(
    model: Any,
    processor: ProcessorMixin,
    rows: Sequence[dict[str, Any]],
    rewards: list[RewardFunction],
    folder: str | Path,
    *,
    steps: int,
    lr: float = 1e-6,
    beta: float = 0.01,
    generations: int = 8,
    prompts: int = 1,
    longest: int = 128,
    temperature: float = 1.0,
    format_weight: float = 0.2,
    lora: Any = None,
    **others: Any,
) -> None:
    """Train the policy in place (or an adapter of it), vision tower frozen.

    Args:
        model: a model, or a directory; with ``beta`` > 0 the reference model is read again from where it came from.
        processor: of the model.
        rows: from :func:`grpo_row`.
        rewards: from :func:`reward_functions`.
        folder: checkpoints and ``metrics.jsonl``; a run goes on from the last checkpoint it finds there.
        steps: optimizer steps.
        lr, beta: the paper's 1e-6 and KL coefficient .01.
        generations: answers for every prompt, whose rewards are compared.
        prompts: per step.
        longest: tokens of an answer.
        temperature: of sampling.
        format_weight: weight of the format reward (that of the answer is 1).
        lora: a peft config, or None for full weights.
        others: further settings of GRPOConfig.
    """
    folder = Path(folder)
    tokenizer = getattr(processor, "tokenizer", processor)
    known = tokenizer.get_vocab()
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": steps,
        "learning_rate": lr,
        "lr_scheduler_type": "constant",
        "beta": beta,
        "num_generations": generations,
        "per_device_train_batch_size": generations * prompts,
        "max_completion_length": longest,
        "temperature": temperature,
        "reward_weights": [1.0, format_weight],
        "generation_kwargs": {"suppress_tokens": [known[token] for token in FORBIDDEN if token in known]},
        "gradient_checkpointing": False,
        "bf16": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 1,
        "save_steps": 50,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    if hasattr(model, "model"):
        for parameter in model.model.visual.parameters():
            parameter.requires_grad_(False)
    trainer = ClipGRPOTrainer(
        model,
        rewards,
        GRPOConfig(**{**settings, **others}),
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=processor,
        callbacks=[JsonlLog(folder / "metrics.jsonl")],
        peft_config=lora,
    )
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
