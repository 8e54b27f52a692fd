"""Stages 1 and 2: supervised training with TRL's SFTTrainer, the same class for nano and for the 3B model.

A pretrained model trains on rows of ``images``, ``prompt`` and ``completion`` (prompt.py writes both); nano adds dense
labels (dense.py) and takes its frames as vision tokens that were computed once. Both are one ``compute_loss``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import ProcessorMixin, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTConfig, SFTTrainer

from kframes_training.nano.data import Batches
from kframes_training.stages.dense import DEPTHS, dense_loss
from kframes_training.stages.settings import JsonlLog, RunSettings, train_or_resume


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


class DenseSFTTrainer(ResumesVisionModels, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that also trains dense labels where a batch has them (``frames`` beside ``relevance``).

    Args:
        depths: where they are read, as in dense_loss.
        write: whether answers are trained beside them.
        others: as SFTTrainer.
    """

    def __init__(self, *args: Any, depths: Mapping[str, int] = DEPTHS, write: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.depths, self.write = depths, write
        self.parts: dict[str, list[Tensor]] = {}

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if "frames" not in inputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self.accelerator.autocast():  # the trainer's own is around model.forward, which dense_loss goes past
            loss, parts = dense_loss(model, inputs, depths=self.depths, write=self.write)
        for name, value in parts.items():
            self.parts.setdefault(name, []).append(value)
        return (loss, parts) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs = logs | {name: torch.stack(values).mean().item() for name, values in self.parts.items()}
        self.parts.clear()
        super().log(logs, start_time)


class StopAfter(TrainerCallback):  # type: ignore[misc]
    """Leave the training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_training_stop |= state.global_step >= self.step


def train_on_batches(
    model: Any,
    processor: ProcessorMixin,
    batches: Batches,
    folder: str | Path,
    *,
    steps: int,
    lr: float = 1e-3,
    warmup: int = 100,
    decay: float = 0.3,
    depths: Mapping[str, int] = DEPTHS,
    write: bool = True,
    save_every: int = 500,
    log_every: int = 25,
    stop_after: int | None = None,
    callbacks: list[TrainerCallback] | None = None,
) -> None:
    """Train nano's language model in place on a stream of ready batches (one batch a step), vision tower frozen.

    Args:
        model, processor: nano.
        batches: the stream; each of its first ``steps`` batches is seen once. A resumed run sees what an undisturbed one would.
        folder: checkpoints and ``metrics.jsonl``; a run goes on from the last checkpoint it finds there.
        steps: optimizer steps.
        lr: AdamW's rate; warmed up over ``warmup`` steps, falling linearly over the last ``decay`` share.
        depths, write: as DenseSFTTrainer.
        save_every, log_every: steps.
        stop_after: leave at this step, as if killed (the schedule stays that of ``steps``).
        callbacks: more of them.
    """
    folder = Path(folder)
    # On a CPU, bfloat16 with plain attention reads 6,400 tokens a second, 3,700 in float32; sdpa's backward pass is slow there
    model.set_attn_implementation("eager" if not torch.cuda.is_available() else "sdpa")
    for parameter in model.model.visual.parameters():
        parameter.requires_grad_(False)
    run = RunSettings(folder, steps, lr, save_every=save_every, log_every=log_every, bf16=True)
    trainer = DenseSFTTrainer(
        model,
        SFTConfig(
            **run.arguments(
                per_device_train_batch_size=1,
                lr_scheduler_type="warmup_stable_decay",
                lr_scheduler_kwargs={
                    "num_decay_steps": max(1, round(decay * steps)),
                    "decay_type": "linear",
                    "min_lr_ratio": 0.02,
                },
                warmup_steps=warmup,
                weight_decay=0.01,
                adam_beta2=0.98,
                max_length=None,
                dataset_kwargs={"skip_prepare_dataset": True},
            )
        ),
        data_collator=lambda rows: batches[rows[0]["labels"]],
        train_dataset=Dataset.from_dict({"labels": list(range(steps))}),
        processing_class=processor,
        callbacks=[
            JsonlLog(folder / "metrics.jsonl"),
            *([StopAfter(stop_after)] if stop_after else []),
            *(callbacks or []),
        ],
        depths=depths,
        write=write,
    )
    train_or_resume(trainer, folder)
