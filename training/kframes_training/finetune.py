"""Train a pretrained MLLM into a selector: ``python -m kframes_training.finetune recipes/qwen2_5_vl_3b.yaml --stage 1``.

The same classes as nano's, without dense labels: SFTTrainer for stages 1 and 2, GRPOTrainer for stage 3. Start it with
``accelerate launch`` for several GPUs. LoRA or full weights is a line of the file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig

from kframes_plugin.checkpoint import CheckpointSettings
from kframes_plugin.prompt import PromptFormat
from kframes_training.grpo import reward_functions, train_grpo
from kframes_training.image_data import grpo_rows, sft_dataset
from kframes_training.rewards import Answerer, oracle_answerer
from kframes_training.sft import DenseSFTTrainer, JsonlLog


def freeze_vision(model: Any) -> None:
    """The vision tower stays as it is, but for its merger (the projector is trained, as in the paper)."""
    for name, parameter in model.model.visual.named_parameters():
        parameter.requires_grad_("merger" in name)


def settings_of(config: dict[str, Any]) -> CheckpointSettings:
    """What goes into ``kframes.json`` beside the weights, so that the checkpoint is used as it was trained."""
    reading = dict(config["kframes"])
    return CheckpointSettings(format=PromptFormat(**reading.pop("format")), **reading)


def lora_of(config: dict[str, Any]) -> LoraConfig | None:
    """LoRA on the language model's linear layers, or None for full weights."""
    if not config.get("lora"):
        return None
    # a pattern, because the vision tower has layers of the same names
    return LoraConfig(
        target_modules=r".*language_model.*\.(q|k|v|o|gate|up|down)_proj", task_type="CAUSAL_LM", **config["lora"]
    )


def train_sft(model: Any, processor: Any, config: dict[str, Any], stage: str, folder: Path) -> None:
    """Stage "1" or "2" on the configuration's rows; the result is in ``folder``."""
    reading, plan = settings_of(config), config[f"stage{stage}"]
    rows = sft_dataset(
        range(*plan["videos"]),
        candidates=reading.candidates,
        size=tuple(config["frame"]),
        tasks=plan["tasks"],
        fmt=reading.format,
    )
    freeze_vision(model)
    trainer = DenseSFTTrainer(
        model,
        SFTConfig(
            output_dir=str(folder),
            max_length=None,
            completion_only_loss=True,
            remove_unused_columns=False,
            report_to="none",
            **plan["trainer"],
        ),
        train_dataset=rows,
        processing_class=processor,
        peft_config=lora_of(config),
        callbacks=[JsonlLog(folder / "metrics.jsonl")],
        dense_weight=0.0,
    )
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    save(trainer.model, processor, reading, folder / "final")


def train_rl(
    model: Any, processor: Any, config: dict[str, Any], folder: Path, answerer: Answerer | None = None
) -> None:
    """Stage 3. Without an answerer the oracle of SynthScenes rewards (it knows where the evidence is)."""
    reading, plan = settings_of(config), dict(config["stage3"])
    seeds, k = range(*plan.pop("videos")), plan.pop("k")
    rows, asked = grpo_rows(seeds, candidates=reading.candidates, size=tuple(config["frame"]), fmt=reading.format)
    if answerer is None:
        spans = [[(video.scenes[i].start, video.scenes[i].end) for i in question.evidence] for video, question in asked]
        answerer = oracle_answerer(spans, [question.answer for _, question in asked])
    rewards = reward_functions(answerer, k=k, fmt=reading.format)
    train_grpo(model, processor, rows, rewards, folder, lora=lora_of(config), **plan)
    save(model, processor, reading, folder / "final")


def save(model: Any, processor: Any, reading: CheckpointSettings, folder: Path) -> None:
    """Weights (or the adapter), processor and ``kframes.json``."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    reading.save(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--stage", choices=("1", "2", "3"), required=True)
    parser.add_argument("--model", help="start from this directory instead of the file's model (the stage before)")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    name = arguments.model or config["model"]
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
    width, height = config["frame"]
    pixels = {"shortest_edge": width * height, "longest_edge": width * height}
    processor = AutoProcessor.from_pretrained(config["model"], size=pixels)
    if arguments.stage == "3":
        train_rl(model, processor, config, arguments.out)
    else:
        train_sft(model, processor, config, arguments.stage, arguments.out)


if __name__ == "__main__":
    main()
