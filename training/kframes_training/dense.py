"""The loss of the language stages: what is written, and (for small models) what every frame is, read two layers below the top.

Deep supervision: dense labels are predicted from a middle layer through the final norm and the LM head; the layers
above are free to write. It is training only: the model stays a plain one. nano.md's probes say why: with the dense
labels on the last layer no layer was left to read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration

IGNORE = -100


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


def embed(model: Qwen2_5_VLForConditionalGeneration, input_ids: Tensor, frames: Tensor) -> Tensor:
    """Embeddings of a text with the frames' tokens (in order) in their places."""
    words: Tensor = model.get_input_embeddings()(input_ids)
    places = (input_ids == model.config.image_token_id).unsqueeze(-1)
    return words.masked_scatter(places, frames.to(words.dtype))


def dense_loss(
    model: Qwen2_5_VLForConditionalGeneration, batch: Mapping[str, Tensor], *, layer: int, weight: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean loss over answer tokens, plus ``weight`` times that of the dense labels.

    Relevant and irrelevant frames weigh the same: most frames are irrelevant, and with plain means a model of ours said
    "none" to everything for 800 steps.

    Args:
        model: a Qwen2.5-VL whose frames are one token each, so that positions simply count up.
        batch: ``input_ids``, ``labels``, ``relevance``, ``attributes`` (rows, length), ``relevant`` (the same, 0 or 1: the
            frame is relevant) and ``frames`` (images, width).
        layer: the dense labels are read after this many layers.
        weight: of the dense part; 0 leaves it out.

    Returns:
        The loss, and its parts and accuracies for the log.
    """
    language = model.model.language_model
    embeds = embed(model, batch["input_ids"], batch["frames"])
    with output_of(language.layers[layer - 1]) as middle:
        last = language(inputs_embeds=embeds, use_cache=False).last_hidden_state
    written, right = _token_loss(model, last[:, :-1], batch["labels"][:, 1:])
    parts = {"answer": written.detach(), "answer_right": right}
    if not weight:
        return written, parts
    seen = language.norm(middle[0])
    loss = written
    for name, share, chosen in (
        ("attributes", 0.3, batch["attributes"]),
        ("relevant", 0.5, batch["relevance"].masked_fill(batch["relevant"] == 0, IGNORE)),
        ("irrelevant", 0.5, batch["relevance"].masked_fill(batch["relevant"] == 1, IGNORE)),
    ):
        if (chosen != IGNORE).any():
            part, right = _token_loss(model, seen, chosen)
            loss = loss + weight * share * part
            parts |= {name: part.detach(), f"{name}_right": right}
    return loss, parts


def _token_loss(model: Qwen2_5_VLForConditionalGeneration, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy where there are labels; logits are made only there."""
    there = labels != IGNORE
    logits = model.lm_head(hidden[there])
    loss = nn.functional.cross_entropy(logits, labels[there])
    return loss, (logits.detach().argmax(-1) == labels[there]).float().mean()


@torch.no_grad()
def start_words_from_sight(
    model: Qwen2_5_VLForConditionalGeneration, prototypes: Mapping[int, Tensor], std: float = 0.05
) -> None:
    """Start the embedding of a word (token id) at what frames that show it have in common, scaled to ``std``."""
    table = model.get_input_embeddings().weight
    for token, direction in prototypes.items():
        table[token] = 0.5 * table[token] + direction / direction.norm() * std * table.shape[1] ** 0.5
