"""One reading of a prompt for several answers: the model's part of group_sampling.py, for a Qwen2.5-VL.

The prompt's keys and values are computed once and expanded to its answers. Gradients flow through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from packaging.version import Version
from torch import Tensor
from transformers import Cache, GenerationConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

# what ``generate`` calls the keys and values it goes on from; the old name is an error in our tests and gone in 6.0
CACHE = "cache" if Version(transformers.__version__) >= Version("5.24.0") else "past_key_values"


@dataclass(frozen=True)
class Prompts:
    """The distinct prompts (n of them, at most P tokens) of a batch of B rows.

    Attributes:
        ids, mask, types: (n, P), padded on the left; types are 1 at image tokens.
        pixels: the patches of each prompt's images, as the processor gives them.
        grids: each prompt's image_grid_thw, (images, 3).
        rows: (B,) for every row of the batch the index of its prompt.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor
    pixels: tuple[Tensor, ...]
    grids: tuple[Tensor, ...]
    rows: Tensor


def pad_left(lines: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Lists of ids as one tensor, (n, longest), with ``fill`` in front, so that all end together."""
    length = max(map(len, lines))
    return torch.tensor([[fill] * (length - len(line)) + list(line) for line in lines])


def distinct(ids: Tensor, mask: Tensor, types: Tensor, pixels: Tensor, grid: Tensor, counts: Sequence[int]) -> Prompts:
    """Find the rows that hold the same text and the same images.

    Args:
        ids, mask, types: (B, P), padded on the left.
        pixels: patches of all images, row after row.
        grid: image_grid_thw of all images.
        counts: images of every row.
    """
    grids = torch.split(grid, list(counts))
    patches = torch.split(pixels, [int(part.prod(-1).sum()) for part in grids])
    first: list[int] = []
    rows: list[int] = []
    for row in range(len(ids)):
        for number, known in enumerate(first):
            if all(torch.equal(part[row], part[known]) for part in (ids, mask, patches)):
                rows.append(number)
                break
        else:
            rows.append(len(first))
            first.append(row)
    return Prompts(
        ids[first],
        mask[first],
        types[first],
        tuple(patches[row] for row in first),
        tuple(grids[row] for row in first),
        torch.tensor(rows, device=ids.device),
    )


def read(model: Any, prompts: Prompts, vision: Sequence[Tensor]) -> tuple[Cache, Tensor]:
    """Read every prompt once, but for its last token.

    Args:
        model: a Qwen2_5_VLForConditionalGeneration.
        prompts: n distinct prompts.
        vision: the vision tokens of each prompt, (tokens, width).

    Returns:
        Keys and values, expanded to the B rows; (B, 1) what to add to a token's place to get its rotary position.
    """
    positions, delta = model.model.get_rope_index(
        prompts.ids, prompts.types, torch.cat(prompts.grids), attention_mask=prompts.mask
    )
    cache: Cache = model.model(
        input_ids=prompts.ids[:, :-1],
        attention_mask=prompts.mask[:, :-1],
        position_ids=positions[..., :-1],
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=tuple(vision))},
        use_cache=True,
    ).past_key_values
    cache.batch_select_indices(prompts.rows)
    return cache, delta[prompts.rows]


def score(
    model: Any, wrapped: Any, prompts: Prompts, vision: Sequence[Tensor], answers: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Log-probability and entropy of the tokens of the answers, (B, C) each, by TRL's head on ``wrapped``.

    A reference model has a head without entropy: None.
    """
    cache, delta = read(model, prompts, vision)
    whole = torch.cat([prompts.mask[prompts.rows], mask], dim=1)
    places = prompts.mask.sum(1)[prompts.rows, None] - 1 + torch.arange(answers.shape[1] + 1, device=answers.device)
    last = prompts.ids[prompts.rows, -1:]
    out = wrapped(
        input_ids=torch.cat([last, answers], dim=1),
        attention_mask=whole,
        position_ids=(places + delta).expand(3, -1, -1),
        past_key_values=cache,
        labels=torch.cat([torch.full_like(last, -100), answers.masked_fill(mask == 0, -100)], dim=1),
        fused_lm_head=True,
    )
    length = answers.shape[1]
    return out.log_probs[:, -length:], None if out.entropy is None else out.entropy[:, -length:]


def write(model: Any, prompts: Prompts, vision: Sequence[Tensor], config: GenerationConfig) -> Tensor:
    """What ``model.generate`` writes for every row, (B, up to max_new_tokens)."""
    cache, delta = read(model, prompts, vision)
    ids, mask = prompts.ids[prompts.rows], prompts.mask[prompts.rows]
    model.model.rope_deltas = delta
    out: Tensor = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, **{CACHE: cache})
    return out[:, ids.shape[1] :]
