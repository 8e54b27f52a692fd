"""The whole recipe of nano, from nothing: ``python -m kframes_training.nano recipes/nano.yaml --out runs/nano``.

Every stage leaves its result in a folder of its own and is skipped when that is there, so a run goes on where it
stopped:

    tower/             stage 0: tokenizer, and a vision tower that sees
    bank.safetensors   frames of train videos as that tower sees them
    stage1.../, stage2/  the phases of the file, one after the other, each with its checkpoint in export/
    answerer/          a copy of one of them that answers questions, frozen afterwards
    grpo/              stage 3
    final/             the checkpoint: bfloat16 weights, processor, kframes.json
"""

from __future__ import annotations

import argparse
import logging
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from kframes_plugin.mllm.checkpoint import CheckpointSettings
from kframes_plugin.mllm.vocabulary import words as words_of
from kframes_training.nano.answerer import QuestionBatches, make_answerer
from kframes_training.nano.data import Bank, Batches, build_bank
from kframes_training.nano.dense import DEPTHS
from kframes_training.nano.encoding import FORMAT
from kframes_training.nano.frame_attributes import all_names, fit_tokens, start_words
from kframes_training.nano.model import CHAT_TEMPLATE, FRAME, build_nano, build_processor, build_tokenizer
from kframes_training.nano.training import LanguageSettings, train_on_batches
from kframes_training.nano.vision import jsonl_log, train_vision
from kframes_training.sources.synthscenes import queries, questions, sample_video
from kframes_training.sources.synthscenes.language import caption_chapter, caption_scene
from kframes_training.sources.synthscenes.words import DOING
from kframes_training.sources.synthscenes.world import SPLITS
from kframes_training.stages.grpo import reward_functions, train_grpo
from kframes_training.stages.synthscenes_rows import grpo_rows

logger = logging.getLogger("kframes_training")


def texts(videos: int = 300) -> list[str]:
    """The language of SynthScenes, for the tokenizer: captions, queries, reasons, questions."""
    # every word of an attribute also stands at the start of a query, without its blank
    found = [form for name in all_names() if len(name) == 1 for form in DOING.get(name[0], name)] * 50
    for seed in SPLITS["train"][:videos]:
        video, rng = sample_video(seed), Random(f"texts {seed}")
        for query in queries(video.scenes, rng):
            found += [query.text, *(reason for reason in query.reasons if reason)]
        found += [caption_scene(scene, rng) for scene in video.scenes]
        found += [caption_chapter(chapter, rng) for chapter in video.chapters]
        found += [question.text for question in questions(video.scenes, rng)]
    return found


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """nano's tokenizer from a checkpoint folder."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def stage0(
    out: Path, seed: int, shape: dict[str, int], vision: dict[str, Any]
) -> tuple[Qwen2_5_VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """Tokenizer, fresh model and a vision tower that sees."""
    tower = out / "tower"
    if not (tower / "tokenizer.json").exists():
        build_tokenizer(texts()).save_pretrained(tower)
    tokenizer = load_tokenizer(tower)
    model = build_nano(tokenizer, seed, **shape)
    weights = tower / "visual.safetensors"
    if not weights.exists():
        train_vision(model, seed=seed, log=jsonl_log(tower / "metrics.jsonl"), **vision)
        logger.info("tokens explain %.3f of what the words say", fit_tokens(model))
        save_file({name: value.contiguous() for name, value in model.model.visual.state_dict().items()}, weights)
    model.model.visual.load_state_dict(load_file(weights))
    return model.eval(), tokenizer


def make_bank(out: Path, model: Qwen2_5_VLForConditionalGeneration, videos: int, frames: int) -> Bank:
    """The bank of the first train videos, kept as tokens only: the scenes are functions of their seeds."""
    seeds, file = SPLITS["train"][:videos], out / "bank.safetensors"
    if not file.exists():
        save_file({"tokens": build_bank(model, seeds, frames).tokens}, file)
    scenes = tuple(scene for seed in seeds for scene in sample_video(seed).scenes)
    return Bank(scenes, load_file(file)["tokens"])


def train_phase(
    folder: Path,
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    bank: Bank,
    seed: int,
    plan: dict[str, Any],
) -> Qwen2_5_VLForConditionalGeneration:
    """One phase of stages 1 and 2, in place; a finished one is loaded instead."""
    if not (folder / "final" / "model.safetensors").exists():
        settings = dict(plan)
        mix = {name: settings.pop(name) for name in ("lengths", "tasks", "videos", "queries")}
        stream = Batches(bank, tokenizer, **mix, seed=seed, write=plan.get("write", True))
        train_on_batches(model, build_processor(tokenizer), stream, folder, LanguageSettings(**settings))
        model.save_pretrained(folder / "final")
        logger.info("%s is done", folder.name)
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "final").eval()


def train_answerer(
    out: Path, tokenizer: PreTrainedTokenizerFast, bank: Bank, seed: int, plan: dict[str, Any]
) -> Qwen2_5_VLForConditionalGeneration:
    """The frozen answerer: a copy of the phase ``plan["start"]`` that has learned to answer questions from k frames."""
    folder = out / "answerer"
    if not (folder / "final" / "model.safetensors").exists():
        settings = dict(plan)
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(out / settings.pop("start") / "final")
        stream = QuestionBatches(
            bank, tokenizer, settings.pop("lengths"), {}, settings.pop("videos"), settings.pop("queries"), seed
        )
        train_on_batches(model, build_processor(tokenizer), stream, folder, LanguageSettings(**settings))
        model.save_pretrained(folder / "final")
        tokenizer.save_pretrained(folder / "final")
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "final").eval().requires_grad_(False)


def stage3(
    out: Path,
    policy: Path,
    answerer: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    candidates: int,
    plan: dict[str, Any],
) -> Path:
    """GRPO from the policy's folder; returns the folder of the result."""
    folder = out / "grpo"
    if not (folder / "final" / "model.safetensors").exists():
        settings = dict(plan)
        first, k, tau = settings.pop("first_video", 500_000), settings.pop("k", 8), settings.pop("tau", 1.0)
        seeds = range(first, first + settings.pop("videos"))
        kinds = settings.pop("kinds", None)
        rows, asked = grpo_rows(seeds, candidates=candidates, size=(FRAME, FRAME), fmt=FORMAT, kinds=kinds)
        rewards = reward_functions(make_answerer(answerer, tokenizer, asked), k=k, tau=tau, fmt=FORMAT)
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(policy)
        train_grpo(model, build_processor(tokenizer), rows, rewards, folder, **settings)
        model.save_pretrained(folder / "final")
    return folder / "final"


def export(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    candidates: int,
    layer: int,
) -> None:
    """The checkpoint as it ships: bfloat16 (half the size), processor, kframes.json.

    Frames are asked for at nano's own size, so that they are scaled once, by the decoder.
    """
    if (folder / "kframes.json").exists():
        return
    half = Qwen2_5_VLForConditionalGeneration(model.config).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    CheckpointSettings(
        candidates=candidates,
        frame_size=(FRAME, FRAME),
        max_new_tokens=160,
        format=FORMAT,
        vocabulary=vocabulary(),
        prediction="both",
        scores_layer=layer,
        retriever=None,  # lite knows no drawn scenes
    ).save(folder)


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word that queries of training are made of, in lower case: nano abstains where another one is asked for."""
    return tuple(sorted({word.lower() for text in texts() for word in words_of(text)}))


def run(config: dict[str, Any], out: Path, *, alone: bool = False) -> Path:
    """All stages of a configuration (see recipes/nano.yaml); returns the folder of the checkpoint.

    Args:
        config: the YAML file's, or its ``smoke`` section.
        out: folder of the run; what is finished there is not done again.
        alone: train the ablation too: stage 2 without stage 1, exported to ``out/stage2-alone/export``.
    """
    out.mkdir(parents=True, exist_ok=True)
    seed, candidates = config["seed"], config["candidates"]
    model, tokenizer = stage0(out, seed, config["shape"], config["vision"])
    bank = make_bank(out, model, **config["bank"])
    phases = [*config["phases"], *([config["alone"]] if alone else [])]
    for number, phase in enumerate(phases):
        if number == 0 or phase is config["alone"]:
            model = fresh(out, config, tokenizer)
        plan = dict(phase)
        folder = out / plan.pop("name")
        model = train_phase(folder, model, tokenizer, bank, seed + number, plan)
        export(model, tokenizer, folder / "export", candidates, plan.get("depths", DEPTHS)["relevance"])
    policy = out / config["phases"][-1]["name"] / "final"
    answerer = train_answerer(out, tokenizer, bank, seed, config["answerer"])
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        stage3(out, policy, answerer, tokenizer, candidates, config["grpo"])
    )
    export(model, tokenizer, out / "final", candidates, config["phases"][-1].get("depths", DEPTHS)["relevance"])
    return out / "final"


def fresh(out: Path, config: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLForConditionalGeneration:
    """The model that the language stages begin with: fresh but for its eyes and the attributes' words."""
    model, _ = stage0(out, config["seed"], config["shape"], config["vision"])
    start_words(model, tokenizer)
    return model


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a YAML file such as recipes/nano.yaml")
    parser.add_argument("--out", type=Path, default=Path("runs/nano"))
    parser.add_argument(
        "--smoke", action="store_true", help="use the file's `smoke` section: every stage, a few steps each"
    )
    parser.add_argument("--alone", action="store_true", help="train the ablation too: stage 2 without stage 1")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    smoke = config.pop("smoke")
    run(smoke if arguments.smoke else config, arguments.out, alone=arguments.alone)
