"""What every trainer of ours has in common: its folder, its log, its resuming. For SFTTrainer and GRPOTrainer alike."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


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


def train_or_resume(trainer: Trainer, folder: str | Path) -> None:
    """Train, from the last checkpoint in the folder where there is one."""
    trainer.train(resume_from_checkpoint=any(Path(folder).glob("checkpoint-*")))


class JsonlLog(TrainerCallback):  # type: ignore[misc]
    """Append everything the trainer logs to a file of JSON lines, with the step and the seconds since the start."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.began = Path(path), time.monotonic()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, Any] | None = None, **kwargs: Any) -> None:  # fmt: skip
        if not state.is_world_process_zero:  # one line, however many GPUs
            return
        line = {"step": state.global_step, "seconds": round(time.monotonic() - self.began, 1), **(logs or {})}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            # six digits, not six decimals: a learning rate is 1e-6
            file.write(
                json.dumps({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in line.items()}) + "\n"
            )
