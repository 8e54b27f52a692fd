"""Train a pretrained MLLM into a selector: ``python -m kframes_training.stages.finetune qwen2_5_vl_3b.yaml --stage 1``.

The same classes as nano's, without dense labels: SFTTrainer for stages 1 and 2, GRPOTrainer for stage 3. Start it with
``accelerate launch`` for several GPUs. LoRA or full weights is a line of the file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer
from trl import SFTConfig

from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.prompt import PromptFormat
from kframes_training.stages.data import grpo_dataset, sft_dataset
from kframes_training.stages.grpo import reward_functions, train_grpo
from kframes_training.stages.mllm_answerer import mllm_answerer
from kframes_training.stages.questions import Asked
from kframes_training.stages.rewards import Answerer, oracle_answerer
from kframes_training.stages.settings import JsonlLog, RunSettings, train_or_resume
from kframes_training.stages.sft import ClipSFTTrainer

# The language model's linear layers and the merger's; a pattern, because the tower has layers of the same names.
LORA_LAYERS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj|.*visual\.merger\.mlp\.[02]"


def freeze_vision(model: Any) -> None:
    """The vision tower stays as it is, but for its merger (the projector is trained, as in the paper)."""
    if hasattr(model, "peft_config"):  # an adapter says itself what is trained
        return
    for name, parameter in model.model.visual.named_parameters():
        parameter.requires_grad_("merger" in name)


def read_settings(config: dict[str, Any]) -> CheckpointSettings:
    """Return what goes into ``kframes.json`` beside the weights, so that the checkpoint is used as it was trained."""
    reading = dict(config["kframes"])
    return CheckpointSettings(format=PromptFormat(**reading.pop("format")), **reading)


def make_lora(config: dict[str, Any], model: Any) -> LoraConfig | None:
    """Make LoRA for the language model and the merger; None for full weights, or a model with its adapter."""
    if not config.get("lora") or hasattr(model, "peft_config"):
        return None
    return LoraConfig(target_modules=LORA_LAYERS, task_type="CAUSAL_LM", **config["lora"])


def train_sft(model: Any, processor: Any, config: dict[str, Any], stage: str, folder: Path) -> Trainer:
    """Stage "1" or "2" on the configuration's rows; the result is in ``folder / "final"``.

    Raises:
        ValueError: a source of data or a task that there is not.
    """
    reading, plan = read_settings(config), config[f"stage{stage}"]
    rows = sft_dataset(config, stage, reading)
    freeze_vision(model)
    run = RunSettings(folder, steps=-1, lr=1e-5)  # steps: by the file's num_train_epochs or max_steps
    trainer = ClipSFTTrainer(
        model,
        SFTConfig(max_length=None, completion_only_loss=True, **run.arguments(**plan["trainer"])),
        train_dataset=rows,
        processing_class=processor,
        peft_config=make_lora(config, model),
        callbacks=[JsonlLog(folder / "metrics.jsonl")],
    )
    train_or_resume(trainer, folder)
    save(trainer, processor, reading, folder / "final")
    return trainer


def train_rl(
    model: Any, processor: Any, config: dict[str, Any], folder: Path, answerer: Answerer | None = None
) -> Trainer:
    """Stage 3; the result is in ``folder / "final"``.

    Args:
        model, processor: the policy.
        config: of the recipe.
        folder: of the run.
        answerer: rewards; None for the one that the configuration names.

    Raises:
        ValueError: a source of data that there is not.
    """
    reading, plan = read_settings(config), dict(config["stage3"])
    plan.pop("videos", None)  # of synthscenes
    k, named = plan.pop("k"), plan.pop("answerer")
    rows, asked = grpo_dataset(config, reading)
    if answerer is None:
        answerer = load_answerer(named, asked, tuple(config["frame"]))
    rewards = reward_functions(answerer, k=k, fmt=reading.format)
    trainer = train_grpo(
        model, processor, rows, rewards, folder, lora=make_lora(config, model), train_merger=True, **plan
    )
    save(trainer, processor, reading, folder / "final")
    return trainer


def load_answerer(name: str, asked: Sequence[Asked], size: tuple[int, int]) -> Answerer:
    """Load the answerer of a recipe: "oracle", which knows where the evidence is, or a model by its name."""
    if name != "oracle":
        return mllm_answerer(name, asked, size)
    counts = [len(one.options) for one in asked]
    return oracle_answerer([one.evidence for one in asked], [one.answer for one in asked], options=counts)


def save(trainer: Trainer, processor: Any, reading: CheckpointSettings, folder: Path) -> None:
    """Weights (or the adapter), processor and ``kframes.json``, gathered from all GPUs and written by the first."""
    policy = trainer.accelerator.unwrap_model(trainer.model)
    if "ref" in getattr(policy, "peft_config", {}):
        policy.delete_adapter("ref")  # TRL's copy of where stage 3 began
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, with paths of this machine
        processor.save_pretrained(folder)
        reading.save(folder)


def load_model(name: str, *, full: bool) -> Any:
    """A model, or a model with the adapter of the stage before, which is trained on.

    Args:
        name: hub id or directory.
        full: all weights are trained: they are loaded in float32 (in bfloat16 a step of 1e-5 would be lost in rounding)
            and an adapter is merged into them.
    """
    dtype = torch.bfloat16 if torch.cuda.is_available() and not full else torch.float32
    adapter = Path(name) / "adapter_config.json"
    if not adapter.is_file():
        return AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
    base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    model = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(base, dtype=dtype), name, is_trainable=True
    )
    return model.merge_and_unload() if full else model


def main(given: Sequence[str] | None = None) -> None:
    """Command line.

    Args:
        given: the words after the program's name; None for those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--stage", choices=("1", "2", "3"), required=True)
    parser.add_argument("--model", help="start from this directory instead of the file's model (the stage before)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--full", action="store_true", help="train all weights, whatever the file says of LoRA")
    arguments = parser.parse_args(given)
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    if arguments.full:
        config["lora"] = None
    model = load_model(config["model"] if arguments.model is None else arguments.model, full=not config.get("lora"))
    width, height = config["frame"]
    pixels = {"shortest_edge": width * height, "longest_edge": width * height}
    processor = AutoProcessor.from_pretrained(config["model"], size=pixels)
    if arguments.stage == "3":
        train_rl(model, processor, config, arguments.out)
    else:
        train_sft(model, processor, config, arguments.stage, arguments.out)


if __name__ == "__main__":
    main()
