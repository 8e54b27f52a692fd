"""What every trainer of ours has in common: its folder, its log, its resuming. For SFTTrainer and GRPOTrainer alike."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import ProcessorMixin, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOConfig

# What a model must not write; where a tokenizer has them
FORBIDDEN = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|im_start|>")


@dataclass(frozen=True)
class RunSettings:
    """Where a training runs, how long, and what it leaves behind.

    Attributes:
        folder: checkpoints and ``metrics.jsonl``; a run goes on from the last checkpoint it finds there.
        steps: optimizer steps.
        lr: of AdamW.
        save_every: steps between two checkpoints; the last two are kept.
        log_every: steps between two lines of the log.
        bf16: train in bfloat16 autocast; None: where there is a GPU.
    """

    folder: Path
    steps: int
    lr: float
    save_every: int = 500
    log_every: int = 25
    bf16: bool | None = None

    def arguments(self, **others: Any) -> dict[str, Any]:
        """Arguments for SFTConfig or GRPOConfig; ``others`` come on top and win."""
        gpu = torch.cuda.is_available()
        return {
            "output_dir": str(self.folder),
            "max_steps": self.steps,
            "learning_rate": self.lr,
            "save_steps": self.save_every,
            "save_total_limit": 2,
            "logging_steps": self.log_every,
            "bf16": gpu if self.bf16 is None else self.bf16,
            "use_cpu": not gpu,
            "gradient_checkpointing": False,
            "remove_unused_columns": False,
            "report_to": "none",
            "disable_tqdm": True,
        } | others


@dataclass(frozen=True)
class RLSettings:
    """How stage 3 is trained.

    Attributes:
        steps: optimizer steps.
        lr, beta: the paper's 1e-6 and KL coefficient .01.
        generations: answers for every prompt, whose rewards are compared.
        prompts: per step.
        longest: tokens of an answer.
        temperature: of sampling.
        format_weight: weight of the format reward (that of the answer is 1).
        train_merger: train the tower's merger (the projector) too.
        share_prompts: compute what the answers to a prompt share once: the same numbers in a fraction of the time, for
            one process and without activation checkpointing.
    """

    steps: int
    lr: float = 1e-6
    beta: float = 0.01
    generations: int = 8
    prompts: int = 1
    longest: int = 128
    temperature: float = 1.0
    format_weight: float = 0.2
    train_merger: bool = False
    share_prompts: bool = False

    def config(self, folder: Path, processor: ProcessorMixin, **others: Any) -> GRPOConfig:
        """The trainer's own settings; ``others`` come on top and win."""
        settings = RunSettings(folder, self.steps, self.lr, save_every=50, log_every=1).arguments(
            lr_scheduler_type="constant",
            beta=self.beta,
            num_generations=self.generations,
            per_device_train_batch_size=self.generations * self.prompts,
            max_completion_length=self.longest,
            temperature=self.temperature,
            reward_weights=[1.0, self.format_weight],
            generation_kwargs={"suppress_tokens": forbidden(processor)},
        )
        return GRPOConfig(**settings | others)


def forbidden(processor: ProcessorMixin) -> list[int]:
    """Tokens that must not be sampled: an image mark in an answer would ask for an image that is not there."""
    known = getattr(processor, "tokenizer", processor).get_vocab()
    return [known[token] for token in FORBIDDEN if token in known]


def train_or_resume(trainer: Trainer, folder: str | Path) -> None:
    """Train, from the last checkpoint in the folder where there is one."""
    trainer.train(resume_from_checkpoint=any(Path(folder).glob("checkpoint-*")))


class JsonlLog(TrainerCallback):  # type: ignore[misc]
    """Append everything the trainer logs to a file of JSON lines, with the step and the seconds since the start."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.began = Path(path), time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero:  # one line, however many GPUs
            return
        line = {
            "step": state.global_step,
            "seconds": round(time.monotonic() - self.began, 1),
            **(logs if logs is not None else {}),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            # six digits, not six decimals: a learning rate is 1e-6
            file.write(
                json.dumps({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in line.items()}) + "\n"
            )
