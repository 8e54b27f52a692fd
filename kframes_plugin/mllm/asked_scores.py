"""One score a frame from a model that was never trained to give one: it is asked, after the frames and the query.

Its answer is started with the mark of a frame, as "<12.5 seconds>", once for every frame, all in one pass: each start
sees the prompt and itself alone. The word of ``RELEVANCE`` that the model would write next is what it says of the
frame. The query stands last, so the frames' part of the prompt is read once for all queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kframes_plugin.mllm.frame_scores import read_relevance
from kframes_plugin.mllm.prefix import cache_name


def asked_scores(model: Any, tokenizer: Any, inputs: Mapping[str, Any], marks: Sequence[str]) -> NDArray[np.float64]:
    """How much every frame matters to a query: P("P1") + 0.6 P("P2") after its mark.

    Args:
        model: an image-text-to-text model of transformers.
        tokenizer: its tokenizer.
        inputs: of one prompt, with keys and values of the frames, as ``PrefixKeeper.extend`` makes them.
        marks: what the answer is started with, one a frame, (T,).

    Returns:
        (1, T) in 0..1.
    """
    name = cache_name(model)
    cache = inputs[name]
    known = cache.get_seq_length()
    query = inputs["input_ids"][:, known:]
    starts = [tokenizer(mark, add_special_tokens=False)["input_ids"] for mark in marks]
    lengths = torch.tensor([len(start) for start in starts])
    ids = torch.cat([query, query.new_tensor([list(chain.from_iterable(starts))])], dim=1)
    deltas = getattr(model.base_model, "rope_deltas", None)
    steps = torch.cat([torch.arange(query.shape[1]), query.shape[1] + _count_up(lengths)]) + known
    positions = steps.to(ids.device).unsqueeze(0)
    if deltas is not None:
        positions = (positions + deltas.to(ids.device)).expand(3, 1, -1)
    ends = query.shape[1] - 1 + lengths.cumsum(0)
    with torch.inference_mode(), _masked_attention(model.get_decoder().config):
        hidden: Tensor = model.base_model(
            input_ids=ids,
            attention_mask=_mask(known, query.shape[1], lengths, model.dtype).to(ids.device),
            position_ids=positions,
            use_cache=True,
            **{name: cache},
        ).last_hidden_state
        return read_relevance(model, tokenizer, hidden[:, ends.to(hidden.device)])


def _mask(known: int, query: int, lengths: Tensor, dtype: torch.dtype) -> Tensor:
    """(1, 1, query + starts, known + query + starts): 0 where a token looks, the least number where it does not."""
    owners = torch.cat([torch.full((query,), -1), torch.arange(len(lengths)).repeat_interleave(lengths)])
    order = torch.arange(len(owners))
    looks = (order <= order[:, None]) & ((owners == -1) | (owners == owners[:, None]))
    new = torch.zeros(looks.shape, dtype=dtype).masked_fill(~looks, torch.finfo(dtype).min)
    return torch.cat([new.new_zeros(len(owners), known), new], dim=1)[None, None]


def _count_up(lengths: Tensor) -> Tensor:
    """[2, 3] -> [0, 1, 0, 1, 2]."""
    return torch.cat([torch.arange(length) for length in lengths.tolist()])


@contextmanager
def _masked_attention(config: Any) -> Iterator[None]:
    """Let a language model take any mask while the block runs: flash attention does not."""
    before = config._attn_implementation
    if before not in ("sdpa", "eager"):
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        config._attn_implementation = before
