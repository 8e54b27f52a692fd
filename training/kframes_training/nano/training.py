"""Train nano's language model: answers, and dense labels beside them, on frames that its tower has seen once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import ProcessorMixin, TrainerCallback
from trl import SFTConfig

from kframes_training.nano.data import Batches
from kframes_training.nano.dense import DEPTHS, dense_loss
from kframes_training.stages.settings import JsonlLog, RunSettings, train_or_resume
from kframes_training.stages.sft import ClipSFTTrainer


@dataclass(frozen=True)
class LanguageSettings:
    """How a phase of nano's language model is trained.

    Attributes:
        steps: optimizer steps, one batch each.
        lr: AdamW's highest rate.
        warmup: steps over which the rate rises.
        decay: share of the steps over which it falls linearly at the end, 0 to 1.
        depths: where dense labels are read, as in dense_loss.
        write: whether answers are trained beside them.
        save_every, log_every: steps.
    """

    steps: int
    lr: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    depths: Mapping[str, int] = field(default_factory=lambda: DEPTHS)
    write: bool = True
    save_every: int = 500
    log_every: int = 25

    def config(self, folder: Path) -> SFTConfig:
        """The trainer's own settings."""
        run = RunSettings(folder, self.steps, self.lr, save_every=self.save_every, log_every=self.log_every, bf16=True)
        arguments = run.arguments(
            per_device_train_batch_size=1,
            lr_scheduler_type="warmup_stable_decay",
            lr_scheduler_kwargs={
                "num_decay_steps": max(1, round(self.decay * self.steps)),
                "decay_type": "linear",
                "min_lr_ratio": 0.02,
            },
            warmup_steps=self.warmup,
            weight_decay=0.01,
            adam_beta2=0.98,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        return SFTConfig(**arguments)


class DenseSFTTrainer(ClipSFTTrainer):
    """SFTTrainer whose loss is that of dense.py.

    Args:
        depths: where dense labels are read, as in dense_loss.
        write: whether answers are trained beside them.
        others: as SFTTrainer.
    """

    def __init__(self, *args: Any, depths: Mapping[str, int], write: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.depths, self.write = depths, write
        self.parts: dict[str, list[Tensor]] = {}

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The dense loss of a batch; its parts are kept for the log."""
        with self.accelerator.autocast():  # the trainer's own is around model.forward, which dense_loss goes past
            loss, parts = dense_loss(model, inputs, depths=self.depths, write=self.write)
        for name, value in parts.items():
            self.parts.setdefault(name, []).append(value)
        return (loss, parts) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the means of the loss's parts too."""
        logs = logs | {name: torch.stack(values).mean().item() for name, values in self.parts.items()}
        self.parts.clear()
        super().log(logs, start_time)


def train_on_batches(
    model: Any,
    processor: ProcessorMixin,
    batches: Batches,
    folder: str | Path,
    settings: LanguageSettings,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train nano's language model in place on a stream of ready batches, vision tower frozen.

    Args:
        model, processor: nano.
        batches: the stream; each of its first batches is seen once. A resumed run sees what an undisturbed one would.
        folder: checkpoints and ``metrics.jsonl``; a run goes on from the last checkpoint it finds there.
        settings: how long and how.
        callbacks: more of transformers' callbacks.
    """
    folder = Path(folder)
    # On a CPU, bfloat16 with plain attention reads 6,400 tokens a second, 3,700 in float32; sdpa's backward is slow
    model.set_attn_implementation("eager" if not torch.cuda.is_available() else "sdpa")
    for parameter in model.model.visual.parameters():
        parameter.requires_grad_(False)
    trainer = DenseSFTTrainer(
        model,
        settings.config(folder),
        data_collator=lambda rows: batches[rows[0]["labels"]],
        train_dataset=Dataset.from_dict({"labels": list(range(settings.steps))}),
        processing_class=processor,
        callbacks=[JsonlLog(folder / "metrics.jsonl"), *callbacks],
        depths=settings.depths,
        write=settings.write,
    )
    train_or_resume(trainer, folder)
