"""Stage 0: the vision tower of nano learns to see, on single drawn frames.

A linear head on a frame's token predicts its background, texture, label, motion and things. Only nano needs this: a
pretrained model brings its eyes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration

from kframes_training.nano.model import FRAME, cut_patches, frame_tokens
from kframes_training.sources.synthscenes.paint import paint_scene
from kframes_training.sources.synthscenes.world import (
    BACKGROUNDS,
    COLOURS,
    LABELS,
    MOTIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Scene,
    sample_scene,
)

# one choice each
CHOICES: dict[str, tuple[str, ...]] = {
    "background": tuple(BACKGROUNDS),
    "texture": TEXTURES,
    "label": ("", *LABELS),
    "motion": MOTIONS,
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "size": tuple(SIZES),
}
PAIRS = [(colour, shape) for colour in COLOURS for shape in SHAPES]  # any number of them in a frame
WIDTH = sum(map(len, CHOICES.values())) + len(PAIRS)


def label_scene(scene: Scene) -> list[int]:
    """Index of every choice (of the main thing, where it is about a thing), then 0/1 for every (colour, shape)."""
    main = scene.things[0]
    values = [scene.background, scene.texture, scene.label, main.motion, main.colour, main.shape, main.size]
    there = {(thing.colour, thing.shape) for thing in scene.things}
    return [words.index(value) for words, value in zip(CHOICES.values(), values, strict=True)] + [
        int(pair in there) for pair in PAIRS
    ]


def sample_frames(rng: Random, count: int) -> tuple[NDArray[np.uint8], Tensor]:
    """Frames of fresh scenes with their labels: uint8 (count, 56, 56, 3) and int64 (count, 7 + 48)."""
    pictures, labels = [], []
    for _ in range(count):
        scene = sample_scene(rng, rng.choice(list(BACKGROUNDS)))
        pictures.append(paint_scene(scene, rng.uniform(0, 20), (FRAME, FRAME)))
        labels.append(label_scene(scene))
    return roughen_frames(pictures, rng), torch.tensor(labels)


def roughen_frames(frames: Sequence[NDArray[np.uint8]], rng: Random) -> NDArray[np.uint8]:
    """Frames (height, width, 3) with noise, blur and light like those of a compressed and rescaled video."""
    pictures = np.stack(frames)
    noise = np.random.default_rng(rng.getrandbits(32))
    x = pictures.astype(np.float32)
    if rng.random() < 0.5:
        share = rng.uniform(0, 0.25)
        axis = rng.choice((1, 2))
        x = (1 - 2 * share) * x + share * (np.roll(x, 1, axis) + np.roll(x, -1, axis))
    x = x * noise.uniform(0.93, 1.07, (len(x), 1, 1, 1)).astype(np.float32)
    x += noise.standard_normal(x.shape, np.float32) * np.float32(rng.uniform(1, 7))
    clean: NDArray[np.uint8] = np.clip(x, 0, 255).astype(np.uint8)
    return clean


def vision_loss(scores: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Loss over all labels, and the accuracy of each choice (for pairs: all 48 right)."""
    loss, seen, start = scores.new_zeros(()), {}, 0
    for column, (name, words) in enumerate(CHOICES.items()):
        part = scores[:, start : start + len(words)]
        loss = loss + nn.functional.cross_entropy(part, labels[:, column])
        seen[name] = (part.argmax(1) == labels[:, column]).float().mean().item()
        start += len(words)
    pairs, there = scores[:, start:], labels[:, len(CHOICES) :].float()
    loss = loss + 12 * nn.functional.binary_cross_entropy_with_logits(pairs, there)
    seen["pairs"] = ((pairs > 0) == (there > 0.5)).all(1).float().mean().item()
    return loss, seen


def train_vision(
    model: Qwen2_5_VLForConditionalGeneration,
    *,
    steps: int,
    batch: int = 64,
    lr: float = 2e-3,
    decay: float = 0.35,
    seed: int = 0,
    head: nn.Linear | None = None,
    log: Callable[[dict[str, float]], None] = lambda line: None,
) -> nn.Linear:
    """Train ``model.model.visual`` in place; returns the head (a new one unless given).

    The frames are those of seed ``seed``, never repeated; the rate falls linearly over the last ``decay`` share.
    """
    visual = model.model.visual
    torch.manual_seed(seed)
    if head is None:
        head = nn.Linear(visual.config.out_hidden_size, WIDTH)
    parameters = [*visual.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01, betas=(0.9, 0.98))
    rng, began = Random(f"vision {seed}"), time.monotonic()
    visual.train()
    for step in range(steps):
        rate = lr * min(1, (step + 1) / 200) * min(1, (steps - step) / (decay * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        pictures, labels = sample_frames(rng, batch)
        loss, seen = vision_loss(head(frame_tokens(model, cut_patches(pictures))), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 200 == 0 or step == steps - 1:
            log({"step": step, "loss": loss.item(), "seconds": time.monotonic() - began, **seen})
    visual.eval()
    return head


def jsonl_log(path: Path) -> Callable[[dict[str, float]], None]:
    """A log function that appends lines of JSON to a file."""

    def log(line: dict[str, float]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({key: round(value, 4) for key, value in line.items()}) + "\n")

    return log
