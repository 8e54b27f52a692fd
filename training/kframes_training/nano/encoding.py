"""Rows as nano reads them: token ids, the labels of the answer, and the dense labels at every frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from kframes_plugin.prompt import RELEVANCE, PromptFormat
from kframes_training.sources.synthscenes.tasks import Task
from kframes_training.sources.synthscenes.world import Scene

FORMAT = PromptFormat(time_format="index", query_position="before", instruction="short", reasons=True)
IGNORE = -100  # a label that is not trained
ATTRIBUTES = 5  # words that name what a frame shows, at most


@dataclass(frozen=True)
class Row(Task):
    """A task and its frames as the vision tower sees them.

    Attributes:
        tokens: float32 (T, width).
    """

    tokens: Tensor


def collate(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """Rows as tensors, padded on the right (attention is causal, so the padding needs no mask).

    Returns:
        int64 (rows, length): ``input_ids``; ``labels`` (answers); and at every image token the labels of dense.py:
        ``times``, ``relevance``, ``spans``; ``attributes`` (rows, length, ATTRIBUTES).
        And ``frames``, float32 (rows x T, width).
    """
    lines = [encode(row, tokenizer) for row in rows]
    length = max(len(line["input_ids"]) for line in lines)
    fills = {name: tokenizer.pad_token_id if name == "input_ids" else IGNORE for name in lines[0]}
    batch = {
        name: torch.tensor([[*line[name], *[fill] * (length - len(line[name]))] for line in lines])
        for name, fill in fills.items()
    }
    batch["attributes"] = torch.full((len(rows), length, ATTRIBUTES), IGNORE)
    piece = _pieces(tokenizer)
    for number, row in enumerate(rows):
        places = [place for place, label in enumerate(lines[number]["times"]) if label != IGNORE]
        for place, scene in zip(places, row.scenes, strict=True):
            words = [piece(f" {word}")[-1] for word in name_attributes(scene)]
            batch["attributes"][number, place, : len(words)] = torch.tensor(words)
    return batch | {"frames": torch.cat([row.tokens for row in rows])}


def encode(row: Row, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """A row as lists of equal length (see collate); the same ids as the chat template gives."""
    piece = _pieces(tokenizer)
    ids = [*piece("<|im_start|>user\n"), *piece(row.query), *piece("\n")]
    before, count = len(ids), len(row.relevance)
    image = piece("<|image_pad|>")[0]
    marks = [piece(str(index))[0] for index in range(count + 1)]
    ids += [token for mark in marks[:-1] for token in (mark, image)]
    ids += [marks[-1], *piece("<|im_end|>\n<|im_start|>assistant\n")]
    answer = [*piece(row.answer), *piece("<|im_end|>")]
    labels = [IGNORE] * len(ids) + answer
    ids += answer
    words = [piece(word)[0] for word in RELEVANCE]
    spans = [IGNORE if start is None else words[0] if start < 0 else marks[start] for start in clip_starts(row)]
    at_frames = {"times": marks[:-1], "relevance": [words[level] for level in row.relevance], "spans": spans}
    lines = {"input_ids": ids, "labels": labels}
    for name, tokens in at_frames.items():
        line = [IGNORE] * before + [label for token in tokens for label in (IGNORE, token)]
        lines[name] = [*line, *[IGNORE] * (len(ids) - len(line))]
    return lines


def name_attributes(scene: Scene) -> tuple[str, ...]:
    """Return the words that name what a frame shows, ATTRIBUTES at most."""
    main = scene.things[0]
    return (main.size, main.colour, main.shape, scene.background, *((scene.label,) if scene.label else ()))


def clip_starts(row: Row) -> list[int | None]:
    """Return what every frame knows of the clips of the row's answer.

    It is the start of its clip; at the first frame behind a clip its own number; elsewhere -1. None for all where the
    answer names no clips.
    """
    count = len(row.relevance)
    if not row.answer.startswith("["):
        return [None] * count
    starts: list[int | None] = [-1] * count
    clips = sorted((clip["start"], clip["end"]) for clip in json.loads(row.answer))
    for _, end in clips:
        if end < count:
            starts[end] = end
    for start, end in clips:
        starts[start:end] = [start] * (end - start)
    return starts


def prompt_ids(row: Row, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of a row up to where its answer begins."""
    line = encode(row, tokenizer)
    return line["input_ids"][: line["labels"].count(IGNORE)]


_CACHE: dict[int, dict[str, list[int]]] = {}


def _pieces(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Tokenise a piece of text, remembering short ones."""
    known = _CACHE.setdefault(id(tokenizer), {})

    def piece(text: str) -> list[int]:
        if text not in known:
            if len(known) > 50_000:
                known.clear()
            known[text] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return known[text]

    return piece
