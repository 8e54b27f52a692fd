"""Frames and words in one space: nano's vision tokens are refitted to be the sum of the words that describe the frame.

Every word gets a direction of its own. The last linear layer of the merger is fitted (ridge regression) so that a
frame's token is the sum of the directions of its background, texture, label, and of the colour, shape, size and motion
of its things; the words' embeddings start at the same directions. So "red" and a frame that shows red are alike from
the first step, as they are in a pretrained model. Without it the language model stayed at chance for a thousand steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_training.nano.dense import keep_outputs
from kframes_training.nano.model import FRAME, cut_patches, frame_tokens
from kframes_training.nano.vision import roughen_frames
from kframes_training.sources.synthscenes.paint import paint_scene
from kframes_training.sources.synthscenes.words import DOING
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

BESIDE = 0.6  # weight of a thing beside the main one
Part = tuple[float, tuple[str, ...]]


def list_parts(scene: Scene) -> Iterator[Part]:
    """What a scene's token is the sum of: (weight, name), where a name is one word or a (colour, shape) pair."""
    yield 1.0, (scene.background,)
    yield 0.5, (scene.texture,)
    yield 1.0, (scene.things[0].motion,)
    yield 1.0, (scene.label or "no label",)
    for index, thing in enumerate(scene.things):
        weight = BESIDE if index else 1.0
        yield weight, (thing.colour,)
        yield weight, (thing.shape,)
        yield weight, (thing.colour, thing.shape)
        yield 0.5 * weight, (thing.size,)


def _ideal_token(scene: Scene, towards: Mapping[tuple[str, ...], Tensor]) -> Tensor:
    return torch.stack([weight * towards[name] for weight, name in list_parts(scene)]).sum(0)


def all_names() -> list[tuple[str, ...]]:
    """Every name that list_parts gives, always in the same order."""
    words = (*BACKGROUNDS, *TEXTURES, *MOTIONS, *LABELS, "no label", *COLOURS, *SHAPES, *SIZES)
    return [*((word,) for word in words), *((colour, shape) for colour in COLOURS for shape in SHAPES)]


def directions(width: int) -> dict[tuple[str, ...], Tensor]:
    """A direction for every name, (width,) of length 1, the same on every machine.

    They are at right angles where there is room.
    """
    names = all_names()
    rows = torch.randn(len(names), width, generator=torch.Generator().manual_seed(0))
    if len(names) <= width:
        rows = torch.linalg.qr(rows.T)[0].T
    return dict(zip(names, rows / rows.norm(dim=1, keepdim=True), strict=True))


@torch.no_grad()
def fit_tokens(
    model: Qwen2_5_VLForConditionalGeneration, frames: int = 12_000, ridge: float = 1e-3, seed: int = 1
) -> float:
    """Refit the merger's last layer so that tokens are sums of directions, with mean 0 and mean length 1.

    Args:
        model: nano with a trained tower; changed in place.
        frames: drawn for the fit.
        ridge: share of the features' mean square that is added to the diagonal.
        seed: of the frames.

    Returns:
        Share of the directions' variance that the tokens explain, on frames of the fit.
    """
    last = model.model.visual.merger.mlp[2]
    width = last.out_features
    towards = directions(width)
    rng, hidden, ideal = Random(f"fit {seed}"), [], []
    for _ in range(0, frames, 100):
        scenes = [sample_scene(rng, rng.choice(list(BACKGROUNDS))) for _ in range(100)]
        pictures = roughen_frames([paint_scene(scene, rng.uniform(0, 20), (FRAME, FRAME)) for scene in scenes], rng)
        with keep_outputs({"hidden": model.model.visual.merger.mlp[1]}) as kept:
            frame_tokens(model, cut_patches(pictures))
        hidden.append(kept["hidden"])
        ideal.append(torch.stack([_ideal_token(scene, towards) for scene in scenes]))
    x, y = torch.cat(hidden).double(), torch.cat(ideal).double()
    shift, centre = x.mean(0), y.mean(0)
    x, y = x - shift, y - centre
    gram = x.T @ x
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram))
    weight = torch.linalg.solve(gram, x.T @ y)
    explained: float = 1 - ((x @ weight - y).square().sum() / y.square().sum()).item()
    scale = (x @ weight).norm(dim=1).mean()
    last.weight.copy_((weight / scale).T)
    last.bias.copy_(-(shift @ weight) / scale)
    return explained


@torch.no_grad()
def start_words(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, length: float = 0.7
) -> None:
    """Start the embeddings of the attributes' words at their directions, ``length`` long (as a fresh embedding is)."""
    table = model.get_input_embeddings().weight
    for name, towards in directions(table.shape[1]).items():
        if len(name) > 1:
            continue
        for form in DOING.get(name[0], name):
            for text in (form, f" {form}"):
                ids = tokenizer(text, add_special_tokens=False)["input_ids"]
                if len(ids) == 1:
                    table[ids[0]] = length * towards
