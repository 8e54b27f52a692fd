"""How nano does on held-out videos, quickly: frames drawn instead of decoded, answers written in batches.

For a look during training; the table of RESULTS.md goes through real files and the selector itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from kframes_plugin.clips.geometry import iou
from kframes_plugin.prompt import parse_clips
from kframes_training.nano.data import FORMAT, Row, candidate_times, padded_left, prompt_ids
from kframes_training.nano.model import FRAME, frame_tokens, patches_of
from kframes_training.sources.synthscenes.draw import draw
from kframes_training.sources.synthscenes.language import queries
from kframes_training.sources.synthscenes.rows import clips_of
from kframes_training.sources.synthscenes.world import sample_video
from kframes_training.stages.dense import embed


@torch.no_grad()
def write(model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row],
          limit: int = 128) -> list[str]:  # fmt: skip
    """The likeliest answers to the rows' prompts; all go through the model together."""
    pad, stop = tokenizer.pad_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")
    ids, mask = padded_left([prompt_ids(row, tokenizer) for row in rows], pad)
    language = model.model.language_model
    cache = DynamicCache(config=language.config)
    step: Tensor = embed(model, ids, torch.cat([row.tokens for row in rows]))
    places = (mask.cumsum(1) - 1).clamp(min=0)
    done = torch.zeros(len(rows), dtype=torch.bool)
    written: list[Tensor] = []
    for _ in range(limit):
        hidden = language(inputs_embeds=step, attention_mask=mask, position_ids=places, past_key_values=cache,
                          use_cache=True).last_hidden_state[:, -1]  # fmt: skip
        token = model.lm_head(hidden).argmax(-1)
        token = torch.where(done, torch.full_like(token, pad), token)
        written.append(token)
        done |= token == stop
        if done.all():
            break
        step, places = model.get_input_embeddings()(token[:, None]), places[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    answers: list[str] = tokenizer.batch_decode(torch.stack(written, 1), skip_special_tokens=True)
    return answers


@torch.no_grad()
def video_rows(
    model: Qwen2_5_VLForConditionalGeneration, seed: int, candidates: int, split: str = "dev"
) -> list[tuple[Row, Any]]:
    """One row for every kind of query on the video of a seed, with the query and the video."""
    video = sample_video(seed)
    times = candidate_times(video.duration, candidates)
    pictures = np.stack([draw(video, time, (FRAME, FRAME)) for time in times])
    tokens = frame_tokens(model, patches_of(pictures))
    shown = tuple(video.scenes[video.scene_at(time)] for time in times)
    found = queries(video.scenes, Random(f"queries {seed}"), split)
    return [
        (Row(query.text, "", (0,) * candidates, shown, tokens, query.kind), (query, video, times)) for query in found
    ]


def measure(model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, seeds: Sequence[int],
            candidates: int, split: str = "dev", examples: list[str] | None = None) -> dict[str, float]:  # fmt: skip
    """Mean IoU in seconds of written and true clips for every kind of query (absent: share of empty answers).

    Also ``well-formed``: the share of
    answers that needed no repair; ``needle empty``: wrong abstentions; ``reason``: share of reasons that are right
    word for word, among P1 clips of needles with IoU >= .5.
    """
    model.eval()
    sums: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        rows = video_rows(model, seed, candidates, split)
        answers = write(model, tokenizer, [row for row, _ in rows])
        for (row, (query, video, times)), answer in zip(rows, answers, strict=True):
            parsed = parse_clips(answer, video.duration, fmt=FORMAT, times=times)
            true = clips_of(video.scenes, query)
            spans = [(clip.start, clip.end) for clip in parsed]
            wanted = [(clip.start, clip.end) for clip in true]
            sums[row.kind].append(iou(spans, wanted))
            sums["well-formed"].append(not parsed.notes)
            if row.kind == "needle":
                sums["needle empty"].append(not spans)
                good = bool(spans) and iou(spans, wanted) >= 0.5
                sums["needle R@.5"].append(good)
                if good:
                    sums["reason"].append(parsed[0].reason == true[0].reason)
                    sums["priority"].append(parsed[0].priority == true[0].priority)
            if examples is not None:
                examples.append(
                    f"{row.kind} | {row.query} | {answer} | {[(c.start, c.end, c.priority, c.reason) for c in true]}"
                )
    return {name: sum(values) / len(values) for name, values in sums.items()}
