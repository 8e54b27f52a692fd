"""Start nano's language model where frames and words already mean the same.

Two starts, both only starts (everything is trained on from there):

* The last layer of the vision tower's merger is fitted (ridge regression) so that a frame's token is the sum of the
  embeddings of the words that describe it. "red" in a query then points at red frames by a plain dot product.
* Keys start as queries mirrored at a direction that all frames share: like attends to like, but frames do not attend to
  frames (a frame resembles itself and its neighbours more than it resembles any word).
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_training.nano_model import frame_tokens, patches_of
from kframes_training.synthetic.language import DOING
from kframes_training.vision import CHOICES, PAIRS, sample_frames

# How much an attribute of the main thing, or of the scene, weighs in a frame's token
WEIGHTS = {"background": 1.0, "texture": 0.5, "label": 1.0, "motion": 1.0, "colour": 1.0, "shape": 1.2, "size": 0.5}
PAIR = 0.7  # and every thing in it, by colour and shape together
BESIDE = 0.5  # colour and shape of a thing beside the main one


def frame_direction(width: int) -> Tensor:
    """The direction that all frames share: fixed, unit length."""
    u = torch.randn(width, generator=torch.Generator().manual_seed(1234))
    return u / u.norm()


def words_of(attribute: str, value: str) -> list[str]:
    """How a value is said: "bounce" is "bouncing" or "jumping"."""
    if attribute == "motion":
        return list(DOING.get(value, ()))
    return [value] if value else []


def tie_words(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase
) -> dict[tuple[str, str], Tensor]:
    """Give all spellings of a value one embedding, away from the direction of frames; returns (attribute, value) -> it.

    Values that are not said (a thing that stands still, no label) or that are several tokens get a vector of their own.
    """
    table = model.get_input_embeddings().weight.data
    u = frame_direction(table.shape[1])
    table -= (table @ u)[:, None] * u
    vectors: dict[tuple[str, str], Tensor] = {}
    rng = torch.Generator().manual_seed(99)
    for attribute, values in CHOICES.items():
        for value in values:
            first = [
                tokenizer(form, add_special_tokens=False)["input_ids"]
                for word in words_of(attribute, value)
                for form in (f" {word}", word)
            ]
            single = [ids[0] for ids in first if len(ids) == 1] or [ids[0] for ids in first[:1]]
            vector = table[single[0]].clone() if single else 0.05 * torch.randn(len(u), generator=rng)
            for token in single:
                table[token] = vector
            vectors[attribute, value] = vector
    return vectors


def target_of(labels: Tensor, vectors: Mapping[tuple[str, str], Tensor], pairs: Tensor) -> Tensor:
    """What the tokens of frames shall be: (n, 7 + 48) labels -> (n, width)."""
    total = torch.zeros(len(labels), pairs.shape[1])
    for column, (attribute, values) in enumerate(CHOICES.items()):
        table = torch.stack([vectors[attribute, value] for value in values])
        total += WEIGHTS[attribute] * table[labels[:, column]]
    there = labels[:, len(CHOICES) :].float()
    main = labels[:, 4] * len(CHOICES["shape"]) + labels[:, 5]  # PAIRS counts shapes within colours
    beside = there.scatter(1, main[:, None], 0.0)
    words = torch.stack([vectors["colour", c] + vectors["shape", s] for c, s in PAIRS])
    return total + PAIR * there @ pairs + BESIDE * beside @ words


@torch.no_grad()
def align(model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, count: int = 12_000,
          ridge: float = 1.0, seed: int = 3) -> float:  # fmt: skip
    """Both starts, in place. Returns the share of variance of the targets that the fitted tokens explain."""
    vectors = tie_words(model, tokenizer)
    width = model.config.text_config.hidden_size
    pairs = 0.05 * torch.randn(len(PAIRS), width, generator=torch.Generator().manual_seed(5))
    hidden, labels = _hidden(model, Random(f"align {seed}"), count)
    wanted = target_of(labels, vectors, pairs)
    centre = wanted.mean(0)
    scale = (wanted - centre).norm(dim=1).mean()
    wanted = (wanted - centre) / scale
    inputs = torch.cat([hidden, torch.ones(count, 1)], 1).double()
    gram = inputs.T @ inputs + ridge * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, inputs.T @ wanted.double()).float()
    last = model.model.visual.merger.mlp[2]
    last.weight.copy_(solution[:-1].T)
    last.bias.copy_(solution[-1] + frame_direction(width))
    mirror_keys(model)
    left = (inputs.float() @ solution - wanted).square().sum() / wanted.square().sum()
    return 1 - left.item()


@torch.no_grad()
def mirror_keys(model: Qwen2_5_VLForConditionalGeneration, sharpness: float = 1.3) -> None:
    """Keys = queries mirrored at the frames' direction, both ``sharpness`` times larger than usual."""
    u = frame_direction(model.config.text_config.hidden_size)
    mirror = torch.eye(len(u)) - 2 * torch.outer(u, u)
    for layer in model.model.language_model.layers:
        layer.self_attn.q_proj.weight *= sharpness
        layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight @ mirror)


def _hidden(model: Qwen2_5_VLForConditionalGeneration, rng: Random, count: int) -> tuple[Tensor, Tensor]:
    """What goes into the merger's last layer for fresh frames, and their labels."""
    kept: list[Tensor] = []
    handle = model.model.visual.merger.mlp[2].register_forward_hook(
        lambda module, inputs, output: kept.append(inputs[0])
    )
    labels = []
    try:
        for start in range(0, count, 200):
            pictures, told = sample_frames(rng, min(200, count - start))
            frame_tokens(model, patches_of(pictures))
            labels.append(told)
    finally:
        handle.remove()
    return torch.cat(kept), torch.cat(labels)
