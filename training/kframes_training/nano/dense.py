"""The loss of nano's language stages: what is written, and what every frame is, read below the top.

This is deep supervision. At every image token, layers below the top say something of the frame, through the final norm
and the LM head: its time (so that it can be copied), its relevance to the query (a word of RELEVANCE), what it shows,
and of which clip it is part. The layers above are free to write. Only training needs it: the model stays a plain one.
With the labels on the last layer no layer was left to read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration

from kframes_plugin.mllm.frame_scores import first_layers
from kframes_training.nano.encoding import IGNORE

# After how many of 6 layers each label is read: "times" (the frame's own), "relevance", "attributes" (the words that
# describe the frame, equally likely), and "spans" (in a clip: the time it starts at; at the first frame behind a clip:
# the frame's own time; elsewhere "none").
DEPTHS = {"times": 2, "relevance": 3, "attributes": 4, "spans": 5}
WEIGHTS = {"times": 0.3, "relevance": 1.0, "attributes": 0.3, "spans": 1.0}


@contextmanager
def keep_outputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Keep what some layers put out while the block runs."""
    kept: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            kept[name] = output if isinstance(output, Tensor) else output[0]

        return keep

    handles = [layer.register_forward_hook(keeper(name)) for name, layer in layers.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def embed(model: Qwen2_5_VLForConditionalGeneration, input_ids: Tensor, frames: Tensor) -> Tensor:
    """Embeddings of a text with the frames' tokens (in order) in their places."""
    words: Tensor = model.get_input_embeddings()(input_ids)
    places = (input_ids == model.config.image_token_id).unsqueeze(-1)
    return words.masked_scatter(places, frames.to(words.dtype))


def dense_loss(
    model: Qwen2_5_VLForConditionalGeneration,
    batch: Mapping[str, Tensor],
    *,
    depths: Mapping[str, int] = DEPTHS,
    write: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean loss over answer tokens, plus that of the labels at the frames (means, weighted by WEIGHTS).

    Classes are not balanced: with every class weighing the same, the rare "P2" drowned all else (LOG.md).

    Args:
        model: a Qwen2.5-VL whose frames are one token each, so that positions simply count up.
        batch: ``input_ids``, ``labels`` and the names of ``depths``, all (rows, length), but "attributes" (rows,
            length, words); and ``frames`` (images, width).
        depths: after how many layers each label is read; {} for answers alone.
        write: whether the answer is trained; without it the layers above the relevance do not run.

    Returns:
        The loss, and its parts and accuracies for the log.
    """
    language = model.model.language_model
    embeds = embed(model, batch["input_ids"], batch["frames"])
    count = len(language.layers) if write else depths["relevance"]
    read = {name: language.layers[depth - 1] for name, depth in depths.items() if depth <= count}
    with keep_outputs(read) as seen, first_layers(language, None if write else count):
        last = language(inputs_embeds=embeds, use_cache=False).last_hidden_state
    parts: dict[str, Tensor] = {}
    loss = embeds.new_zeros(())
    if write:
        loss, parts["answer_right"] = _token_loss(model, last[:, :-1], batch["labels"][:, 1:])
        parts["answer"] = loss.detach()
    for name, hidden in seen.items():
        if (batch[name] != IGNORE).any():
            part, parts[f"{name}_right"] = _token_loss(model, language.norm(hidden), batch[name])
            parts[name] = part.detach()
            loss = loss + WEIGHTS[name] * part
    return loss, parts


def _token_loss(model: Qwen2_5_VLForConditionalGeneration, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy where there are labels; logits are made only there.

    Args:
        hidden: (rows, length, width).
        labels: (rows, length), or (rows, length, words) for several that are equally likely.
    """
    labels = labels if labels.ndim == 3 else labels.unsqueeze(-1)
    there = (labels != IGNORE).any(-1)
    labels = labels[there]
    logs = model.lm_head(hidden[there]).float().log_softmax(-1)
    known = labels != IGNORE
    losses = -logs.gather(1, labels.clamp(min=0)).masked_fill(~known, 0).sum(1) / known.sum(1)
    right = (logs.detach().argmax(-1, keepdim=True) == labels).any(-1).float()
    return losses.mean(), right.mean()
