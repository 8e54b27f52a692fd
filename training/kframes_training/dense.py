"""The loss of the language stages: what is written, and (for small models) how relevant every frame is, read below the top.

Deep supervision: the relevance of a frame (a word of RELEVANCE) is predicted at its image token from a middle layer
through the final norm and the LM head; the layers above are free to write. It is training only: the model stays a plain
one. nano.md's probes say why: with the labels on the last layer no layer was left to read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration

IGNORE = -100
DENSE_LAYER = 4  # of 6: relevance is read after it


@contextmanager
def output_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Keep what a layer puts out while the block runs."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        kept.append(output if isinstance(output, Tensor) else output[0])

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def only_layers(language: nn.Module, count: int) -> Iterator[None]:
    """Run only the first ``count`` layers of a language model while the block runs."""
    layers = language.layers
    language.layers = layers[:count]
    try:
        yield
    finally:
        language.layers = layers


def embed(model: Qwen2_5_VLForConditionalGeneration, input_ids: Tensor, frames: Tensor) -> Tensor:
    """Embeddings of a text with the frames' tokens (in order) in their places."""
    words: Tensor = model.get_input_embeddings()(input_ids)
    places = (input_ids == model.config.image_token_id).unsqueeze(-1)
    return words.masked_scatter(places, frames.to(words.dtype))


def dense_loss(
    model: Qwen2_5_VLForConditionalGeneration,
    batch: Mapping[str, Tensor],
    *,
    layer: int,
    weight: float = 1.0,
    balance: float = 0.5,
    write: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean loss over answer tokens, plus ``weight`` times that of the frames' relevance.

    Args:
        model: a Qwen2.5-VL whose frames are one token each, so that positions simply count up.
        batch: ``input_ids``, ``labels``, ``relevance`` (rows, length) and ``frames`` (images, width).
        layer: relevance is read after this many layers.
        weight: of the relevance part; 0 leaves it out.
        balance: 0: every frame weighs the same; 1: every class does (most frames are irrelevant, and with plain means a
            model of ours said "none" to everything for 800 steps); between: a mixture of both means.
        write: whether the answer is trained; without it the layers above ``layer`` do not run.

    Returns:
        The loss, and its parts and accuracies for the log.
    """
    language = model.model.language_model
    embeds = embed(model, batch["input_ids"], batch["frames"])
    if not write:
        with only_layers(language, layer):
            seen = language(inputs_embeds=embeds, use_cache=False).last_hidden_state
        return _relevance_loss(model, seen, batch["relevance"], balance)
    with output_of(language.layers[layer - 1]) as middle:
        last = language(inputs_embeds=embeds, use_cache=False).last_hidden_state
    labels = batch["labels"][:, 1:]
    there = labels != IGNORE
    logits = model.lm_head(last[:, :-1][there])
    loss = nn.functional.cross_entropy(logits, labels[there])
    right = (logits.detach().argmax(-1) == labels[there]).float().mean()
    parts = {"answer": loss.detach(), "answer_right": right}
    if weight:
        dense, seen_parts = _relevance_loss(model, language.norm(middle[0]), batch["relevance"], balance)
        loss, parts = loss + weight * dense, parts | seen_parts
    return loss, parts


def _relevance_loss(
    model: Qwen2_5_VLForConditionalGeneration, seen: Tensor, labels: Tensor, balance: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss over the labelled places, and the accuracy of every class that occurs."""
    there = labels != IGNORE
    labels = labels[there]
    logits = model.lm_head(seen[there])
    losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    hits = (logits.detach().argmax(-1) == labels).float()
    classes = {int(label): labels == label for label in labels.unique()}
    by_class = torch.stack([losses[mask].mean() for mask in classes.values()]).mean()
    loss = (1 - balance) * losses.mean() + balance * by_class
    parts = {f"relevance_{label}": hits[mask].mean() for label, mask in classes.items()}
    return loss, {"relevance": loss.detach(), "relevance_right": hits.mean(), **parts}
