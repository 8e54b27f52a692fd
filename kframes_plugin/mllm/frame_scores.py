"""One score a frame from one prefill (``prediction="scores"``); nothing is written. Several times cheaper than text.

At the last image token of every frame a model says with one word of ``RELEVANCE`` what the frame is to the query that
stands before the frames. nano is trained to say so below its top layers. A model that was not trained for it is asked
in words, after the frames: see ``asked_scores.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kframes_plugin.errors import SelectorError
from kframes_plugin.prompt import RELEVANCE
from kframes_plugin.types import Clip

WORTH = {"P1": 1.0, "P2": 0.6}  # of a frame in its score; the other words of RELEVANCE are worth nothing


def frame_scores(
    model: Any, tokenizer: Any, inputs: Mapping[str, Any], frames: int, layer: int | None = None
) -> NDArray[np.float64]:
    """How much every frame matters to each query: P("P1") + 0.6 P("P2").

    Args:
        model: an image-text-to-text model of transformers.
        tokenizer: its tokenizer.
        inputs: of the model, for n prompts on the same frames, in which the query stands before the frames.
        frames: T, how many there are.
        layer: read after this many layers of the language model, >= 1; None: after all of them. No layer above runs.

    Returns:
        (n, T) in 0..1.

    Raises:
        SelectorError: the model's image tokens or layers cannot be found.
    """
    token = image_token(model)
    places = torch.stack([frame_ends(row, token, frames) for row in inputs["input_ids"]])
    with torch.inference_mode(), first_layers(model.get_decoder(), layer):
        hidden: Tensor = model.base_model(**inputs, use_cache=False).last_hidden_state  # normed
        hidden = hidden.gather(1, places.to(hidden.device).unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        return read_relevance(model, tokenizer, hidden)


def read_relevance(model: Any, tokenizer: Any, hidden: Tensor) -> NDArray[np.float64]:
    """P("P1") + 0.6 P("P2") of the next word at places of a model; of its LM head only the rows of RELEVANCE are used.

    Args:
        model: an image-text-to-text model of transformers.
        tokenizer: its tokenizer. The first token of each word of RELEVANCE counts; words that share it share its
            probability evenly.
        hidden: (n, T, width) what the final norm gives at the places.

    Returns:
        (n, T) in 0..1.
    """
    firsts = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in RELEVANCE]
    tokens = sorted(set(firsts))
    head = model.get_output_embeddings()
    if type(head) is torch.nn.Linear:
        bias = head.bias[tokens] if head.bias is not None else None
        logits = torch.nn.functional.linear(hidden.to(head.weight.device), head.weight[tokens], bias)
    else:
        logits = head(hidden)[..., tokens]  # quantised, or with an adapter
    shares = logits.float().softmax(-1).double().cpu().numpy()
    scores = np.zeros(shares.shape[:2])
    for word, first in zip(RELEVANCE, firsts, strict=True):
        scores += WORTH.get(word, 0.0) * shares[..., tokens.index(first)] / firsts.count(first)
    return np.clip(scores, 0.0, 1.0)


@contextmanager
def first_layers(language: Any, count: int | None) -> Iterator[None]:
    """Run only the first ``count`` layers of a language model, and its final norm, while the block runs.

    Args:
        language: a decoder of transformers.
        count: how many, >= 1; None: all.

    Raises:
        SelectorError: it has no layers and norm that can be found, or too few.
    """
    if count is None:
        yield
        return
    layers, norm = getattr(language, "layers", ()), getattr(language, "norm", None)
    if norm is None or count > len(layers):
        raise SelectorError(
            f"scores_layer={count} cannot be read: {type(language).__name__} has {len(layers)} layers"
            f"{'' if norm is not None else ' and no norm'}; use one that exists, or None"
        )
    language.layers = layers[:count]
    try:
        yield
    finally:
        language.layers = layers


def merged_clips(written: Sequence[Clip], scored: Sequence[Clip]) -> list[Clip]:
    """The clips of both predictions: what a model writes, and where its scores of the frames are high.

    Where the two meet, the scored clip stays, with the reason that was written for it: scores see every occurrence, and
    writing tends to repeat or forget one in a list. A clip that only one of them has stays as it is: order ("what comes
    after ...") is in no frame's score.

    Returns:
        Best first: the scored clips in their order, then the written ones that none of these touches, in theirs.
    """
    clips = []
    for clip in scored:
        nearest = max(written, key=lambda one: _shared(one, clip), default=None)
        met = nearest is not None and _shared(nearest, clip) > 0
        clips.append(replace(clip, reason=nearest.reason) if nearest and met and nearest.reason else clip)
    return [*clips, *(one for one in written if not any(_shared(one, clip) > 0 for clip in scored))]


def _shared(one: Clip, other: Clip) -> float:
    """Seconds that two clips share; below 0: seconds between them."""
    return min(one.end, other.end) - max(one.start, other.start)


def image_token(model: Any) -> int:
    """The id of the token that stands for a piece of an image.

    Raises:
        SelectorError: the model's config does not name it.
    """
    for name in ("image_token_id", "image_token_index"):
        if isinstance(token := getattr(model.config, name, None), int):
            return token
    raise SelectorError(
        f"{type(model).__name__} does not say which token is an image's (config.image_token_id), so no frame can be "
        'scored; use prediction="text"'
    )


def frame_ends(ids: Tensor, token: int, frames: int) -> Tensor:
    """(T,) places of the last image token of every frame in ids (length,).

    A frame is a run of image tokens. Where runs touch (no time between the frames) or a frame is cut into several
    (a token ends every row of patches), the image tokens are shared evenly: candidates are all of one size.

    Raises:
        SelectorError: the image tokens cannot be shared among the frames.
    """
    images = ids == token
    ends = torch.nonzero(images & ~torch.cat([images[1:], images.new_zeros(1)])).flatten()
    if len(ends) == frames:
        return ends
    places = torch.nonzero(images).flatten()
    if len(places) == 0 or len(places) % frames:
        raise SelectorError(
            f"{len(places)} image tokens cannot be shared among {frames} frames; give frames of one size, or use "
            'prediction="text"'
        )
    return places.view(frames, -1)[:, -1]
