"""Stage 3: GRPO with TRL's GRPOTrainer on rows of ``images``; the reward is the frozen answerer's.

The policy writes clips for the question; the library's allocation turns them into k timestamps; the answerer sees
those frames; rewards.py turns its p(option) into a number. No clip labels are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForImageTextToText, ProcessorMixin
from trl import GRPOTrainer

from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, build_messages, split_images
from kframes_plugin.types import Frame, Strategy
from kframes_training.stages.group_sampling import SharesPrompts
from kframes_training.stages.rewards import TAU, Answerer, answer_reward, broken, choose_timestamps, format_reward
from kframes_training.stages.settings import JsonlLog, RLSettings, train_or_resume
from kframes_training.stages.sft import ResumesVisionModels


class ClipGRPOTrainer(ResumesVisionModels, GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer that resumes Qwen2.5-VL models."""


class SharedPromptGRPOTrainer(SharesPrompts, ClipGRPOTrainer):
    """The same, several times faster for a small model in one process (see group_sampling.py)."""


RewardFunction = Callable[..., list[float]]


def grpo_row(
    frames: Sequence[Frame],
    query: str,
    question: int,
    answer: int,
    duration: float,
    fmt: PromptFormat = DEFAULT_FORMAT,
) -> dict[str, Any]:
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
    """The two rewards in TRL's form: of the answer (-1 to 1), and of the format (0 to 1).

    Neither knows where the evidence is: stage 3 has no clip labels, only questions and their right options.

    Args:
        answerer: the frozen model that sees the frames; it is asked once for answers that lead to the same frames.
            What it raises ends the training. How often it gives no readable probabilities is logged as
            ``broken_answers``, 0 to 1.
        k: frames it sees, >= 1.
        tau: as :func:`kframes_training.stages.rewards.answer_reward`.
        fmt: how the policy writes.
        strategy: as :func:`kframes_plugin.clips.allocation.allocate`.
    """

    def of_answer(
        completions: list[Any], *, times: Any, duration: Any, question: Any, answer: Any, **trainer: Any
    ) -> list[float]:
        rows = zip(map(join_text, completions), times, duration, strict=True)
        chosen = [
            tuple(choose_timestamps(text, length, k, fmt=fmt, times=seconds, strategy=strategy))
            for text, seconds, length in rows
        ]
        asked = list(zip(chosen, question, strict=True))
        known = {key: answerer(*key) for key in dict.fromkeys(asked)}
        if "log_metric" in trainer:
            trainer["log_metric"]("broken_answers", sum(broken(known[key]) for key in asked) / len(asked))
        return [answer_reward(known[key], right, tau=tau) for key, right in zip(asked, answer, strict=True)]

    def of_format(completions: list[Any], *, times: Any, duration: Any, **_: Any) -> list[float]:
        return [
            format_reward(text, length, fmt=fmt, times=seconds)
            for text, seconds, length in zip(map(join_text, completions), times, duration, strict=True)
        ]

    return [of_answer, of_format]


def join_text(completion: Any) -> str:
    """The text of a completion, which TRL gives as a string or as messages."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def train_grpo(
    model: Any,
    processor: ProcessorMixin,
    rows: Sequence[dict[str, Any]] | Dataset,
    rewards: list[RewardFunction],
    folder: str | Path,
    *,
    lora: Any = None,
    **settings: Any,
) -> GRPOTrainer:
    """Train the policy in place (or an adapter of it), vision tower frozen.

    Args:
        model: a model, or a directory; with ``beta`` > 0 the reference model is read again from where it came from.
        processor: of the model.
        rows: from :func:`grpo_row`, or a Dataset of such rows.
        rewards: from :func:`reward_functions`.
        folder: checkpoints and ``metrics.jsonl``; a run goes on from the last checkpoint it finds there.
        lora: a peft config, or None for full weights.
        settings: those of :class:`RLSettings` (``steps`` is needed), and any other of GRPOConfig.

    Returns:
        The trainer, after training; its ``model`` is the policy, with its adapter if there is one.

    Raises:
        ValueError: ``share_prompts`` where it cannot be.
    """
    own = {field.name for field in fields(RLSettings)} & settings.keys()
    plan, folder = RLSettings(**{name: settings.pop(name) for name in own}), Path(folder)
    trainer = (SharedPromptGRPOTrainer if plan.share_prompts else ClipGRPOTrainer)(
        _policy(model, plan.train_merger),
        rewards,
        plan.config(folder, processor, **settings),
        train_dataset=rows if isinstance(rows, Dataset) else hold_rows(rows),
        processing_class=processor,
        callbacks=[JsonlLog(folder / "metrics.jsonl")],
        peft_config=lora,
    )
    train_or_resume(trainer, folder)
    return trainer


def hold_rows(rows: Sequence[dict[str, Any]]) -> Dataset:
    """Rows as a Dataset that hands them out as they are: images are neither packed nor unpacked, nor copied."""
    held = list(rows)

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        return {key: [held[number][key] for number in columns["number"]] for key in held[0]}

    return Dataset.from_dict({"number": list(range(len(held)))}).with_transform(read)


def _policy(model: Any, train_merger: bool) -> Any:
    """The model, loaded if need be, with its vision tower frozen."""
    if isinstance(model, (str, Path)):
        model = AutoModelForImageTextToText.from_pretrained(model)
    for name, parameter in model.named_parameters():
        if ".visual." in name and "lora_" not in name:
            parameter.requires_grad_(train_merger and "merger" in name and not hasattr(model, "peft_config"))
    return model
